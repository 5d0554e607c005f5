/* SPDX-License-Identifier: MIT */
#include "fuse/open/budget.h"

void budget_init(struct budget *b, uint64_t max_bytes, budget_free_fn free_some,
		 void *arg) NO_THREAD_SAFETY
{
	b->max_bytes = max_bytes;
	b->free_some = free_some;
	b->arg = arg;
	atomic_init(&b->taken_bytes, 0);
	atomic_init(&b->waiting, 0);
	mutex_init(&b->lock);
	cond_init(&b->given);
	b->freeing = false;
}

void budget_destroy(struct budget *b)
{
	thread_check(pthread_cond_destroy(&b->given));
	mutex_destroy(&b->lock);
}

bool budget_try(struct budget *b, uint64_t n)
{
	uint64_t taken = atomic_load_explicit(&b->taken_bytes, memory_order_relaxed);

	do {
		if (taken > b->max_bytes || n > b->max_bytes - taken)
			return false;
	} while (!atomic_compare_exchange_weak(&b->taken_bytes, &taken, taken + n));
	return true;
}

/* Calls free_some().  Called with the lock, which is released during the call. */
static int free_some_locked(struct budget *b, uint64_t *ret_freed) REQUIRES(b->lock, budget_class)
{
	int err;

	b->freeing = true;
	budget_unlock(b);
	err = b->free_some(b->arg, ret_freed);
	budget_lock(b);
	b->freeing = false;
	thread_check(pthread_cond_broadcast(&b->given));
	return err;
}

int budget_take(struct budget *b, uint64_t n)
{
	uint64_t freed = 1;
	int err = 0;

	if (budget_try(b, n))
		return 0;
	budget_lock(b);
	/* From here on budget_give() takes the lock to wake this thread. */
	atomic_fetch_add(&b->waiting, 1);
	while (!budget_try(b, n)) {
		if (b->freeing || freed == 0) {
			cond_wait(&b->given, &b->lock);
			freed = 1;
			continue;
		}
		freed = 0;
		err = free_some_locked(b, &freed);
		if (err < 0)
			break;
	}
	atomic_fetch_sub(&b->waiting, 1);
	budget_unlock(b);
	return err;
}

void budget_give(struct budget *b, uint64_t n)
{
	atomic_fetch_sub(&b->taken_bytes, n);
	if (n == 0 || atomic_load(&b->waiting) == 0)
		return;
	LOCKED(budget, b, thread_check(pthread_cond_broadcast(&b->given)));
}

void budget_change(struct budget *b, uint64_t old, uint64_t fresh)
{
	if (fresh > old)
		atomic_fetch_add(&b->taken_bytes, fresh - old);
	else
		budget_give(b, old - fresh);
}
