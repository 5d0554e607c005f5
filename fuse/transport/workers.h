/* SPDX-License-Identifier: MIT */
/* A pool of threads for jobs that a request thread must not wait for, such as reading a cold file,
 * or asking the kernel to drop pages that it may have locked.  Threads are started as needed, and
 * stay until workers_end().
 *
 * Threads: any, except where noted.  The pool makes nothing durable. */
#ifndef FREYJAFS_FUSE_TRANSPORT_WORKERS_H
#define FREYJAFS_FUSE_TRANSPORT_WORKERS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "codec/compiler.h"
#include "writer/base/thread.h"

#define WORKERS_MAX 32

struct job;

extern struct lock_class workers_class; /* of workers.lock */

struct workers {
	struct mutex lock;     /* a leaf */
	pthread_cond_t wanted; /* with lock: there is a job, or the end has begun */
	struct job *first GUARDED_BY(workers_class); /* owned; the oldest job */
	struct job **last GUARDED_BY(workers_class); /* pointer to fill with the next job */
	size_t idle GUARDED_BY(workers_class);	     /* waiting threads */
	size_t jobs GUARDED_BY(workers_class);	     /* jobs that no thread has begun */
	size_t count GUARDED_BY(workers_class);	     /* number of threads */
	size_t max;				     /* constant */
	bool ends GUARDED_BY(workers_class);
	pthread_t threads[WORKERS_MAX] GUARDED_BY(workers_class);
};

LOCK_FUNCTIONS(workers, struct workers, lock, workers_class);

/* Initialises an empty pool of at most 'max' threads, up to WORKERS_MAX; the first job starts the
 * first thread. */
void workers_init(struct workers *w, size_t max);
/* Queues a call of 'fn' with 'arg' in another thread.  Returns false without memory or a thread;
 * then 'fn' is not called. */
bool workers_run(struct workers *w, void (*fn)(void *arg), void *arg) WARN_UNUSED;
/* Finishes the remaining jobs and ends the threads.  Requires that no thread calls workers_run()
 * any more. */
void workers_end(struct workers *w);

#endif
