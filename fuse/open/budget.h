/* SPDX-License-Identifier: MIT */
/* A bound on bytes that many threads take and give back.  Threads: any. */
#ifndef FREYJAFS_FUSE_OPEN_BUDGET_H
#define FREYJAFS_FUSE_OPEN_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "codec/compiler.h"
#include "writer/base/thread.h"

/* Makes somebody give bytes back, if it can, and stores how many.  0 or -errno. */
typedef int (*budget_free_fn)(void *arg, uint64_t *ret_freed);

struct budget {
	uint64_t max_bytes; /* constant */
	budget_free_fn free_some;
	void *arg;
	_Atomic uint64_t taken_bytes;
	_Atomic uint32_t waiting; /* threads in budget_take() */

	/* No lock is taken under it. */
	struct mutex lock;
	pthread_cond_t given; /* with lock: bytes were given back, or 'freeing' ended */
	bool freeing GUARDED; /* by lock; a thread is in free_some() */
};

void budget_init(struct budget *b, uint64_t max_bytes, budget_free_fn free_some, void *arg);
void budget_destroy(struct budget *b);

/* Takes 'n' bytes if they are there. */
bool budget_try(struct budget *b, uint64_t n) WARN_UNUSED;
/* Takes 'n' bytes (at most what there is in all), and waits until they are there.  One of those who
 * wait calls free_some(), without the lock; its error is returned, and nothing is taken then.  Who
 * waits has taken nothing, nor holds a lock that is needed to give back. */
int budget_take(struct budget *b, uint64_t n) WARN_UNUSED;
void budget_give(struct budget *b, uint64_t n);
/* What was taken as 'old' is now 'fresh'; never waits. */
void budget_change(struct budget *b, uint64_t old, uint64_t fresh);

#endif
