/* SPDX-License-Identifier: MIT */
/* A budget of bytes, shared by many threads: a bound on the memory that all pending values take.
 * Threads: any. */
#ifndef FREYJAFS_FUSE_OPEN_BUDGET_H
#define FREYJAFS_FUSE_OPEN_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "codec/compiler.h"
#include "writer/base/thread.h"

/* Makes holders of bytes give some back, and stores how many bytes these were (0: nothing can be
 * given back now).  Returns 0 or -errno. */
typedef int (*budget_free_fn)(void *arg, uint64_t *ret_freed);

extern struct lock_class budget_class; /* of budget.lock */

struct budget {
	uint64_t max_bytes; /* constant */
	budget_free_fn free_some;
	void *arg;
	_Atomic uint64_t taken_bytes;
	_Atomic uint32_t waiting; /* threads in budget_take() */

	/* Innermost: no lock is taken while it is held. */
	struct mutex lock;
	pthread_cond_t given; /* with lock: bytes were given back, or 'freeing' ended */
	bool freeing GUARDED_BY(budget_class); /* a thread is in free_some() */
};

LOCK_FUNCTIONS(budget, struct budget, lock, budget_class);

/* Initialises an unused budget of 'max_bytes'.  'free_some' is called with 'arg'. */
void budget_init(struct budget *b, uint64_t max_bytes, budget_free_fn free_some, void *arg);
/* Frees the resources of a budget that no thread uses. */
void budget_destroy(struct budget *b);

/* Takes 'n' bytes and returns true, or returns false if fewer are left.  Never waits. */
bool budget_try(struct budget *b, uint64_t n) WARN_UNUSED;
/* Takes 'n' bytes (at most 'max_bytes') and waits until they are available.  One of the waiting
 * threads at a time calls free_some(), without the budget's lock.  Returns 0; or the error of
 * free_some(), and then no bytes are taken.  The caller must hold no bytes and no lock that giving
 * bytes back needs. */
int budget_take(struct budget *b, uint64_t n) WARN_UNUSED;
/* Gives 'n' bytes back and wakes threads that wait for some. */
void budget_give(struct budget *b, uint64_t n);
/* Changes a holding of 'old' bytes to 'fresh' bytes.  Never waits, so the budget may be exceeded.
 */
void budget_change(struct budget *b, uint64_t old, uint64_t fresh);

#endif
