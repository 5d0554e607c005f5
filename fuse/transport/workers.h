/* SPDX-License-Identifier: MIT */
/* Threads for what a request thread must not wait for: reading a cold file, telling the kernel to
 * drop pages that it may have locked.  They are started as they are needed and stay.
 *
 * Threads: any, except where noted.  Nothing is durable by this. */
#ifndef FREYJAFS_FUSE_TRANSPORT_WORKERS_H
#define FREYJAFS_FUSE_TRANSPORT_WORKERS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "codec/compiler.h"
#include "writer/base/thread.h"

#define WORKERS_MAX 32

struct job;

struct workers {
	struct mutex lock;			/* a leaf */
	pthread_cond_t wanted;			/* with lock: there is a job, or it is the end */
	struct job *first GUARDED;		/* by lock; owned; the oldest */
	struct job **last GUARDED;		/* by lock; where the next one goes */
	size_t idle GUARDED;			/* by lock; threads that wait */
	size_t jobs GUARDED;			/* by lock; that no thread has begun */
	size_t count GUARDED;			/* by lock; threads */
	bool ends GUARDED;			/* by lock */
	pthread_t threads[WORKERS_MAX] GUARDED; /* by lock */
};

void workers_init(struct workers *w);
/* Calls 'fn' with 'arg' in another thread, soon.  False: there is no memory or no thread, and it
 * will not be called. */
bool workers_run(struct workers *w, void (*fn)(void *arg), void *arg) WARN_UNUSED;
/* When nobody calls workers_run() any more: does what is left to do, and ends the threads. */
void workers_end(struct workers *w);

#endif
