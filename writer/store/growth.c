/* SPDX-License-Identifier: MIT */
#include "writer/store/growth.h"

#include <errno.h>

#include "writer/base/times.h"

#define RETRY_AFTER_NS (10 * (uint64_t)NSEC_PER_SEC) /* if nothing could be gained */

void growth_init(struct growth *g)
{
	atomic_store(&g->wake_at, UINT64_MAX);
	mutex_init(&g->lock);
	cond_init(&g->wake);
	cond_init(&g->space);
}

void growth_destroy(struct growth *g)
{
	thread_check(pthread_cond_destroy(&g->space));
	thread_check(pthread_cond_destroy(&g->wake));
	mutex_destroy(&g->lock);
}

static void wake_locked(struct growth *g) REQUIRES(g->lock, growth_class)
{
	g->woken = true;
	thread_check(pthread_cond_signal(&g->wake));
}

/* --- for the store --- */

void growth_note(struct growth *g, uint64_t end)
{
	if (end < atomic_load(&g->wake_at))
		return;
	atomic_store(&g->wake_at, UINT64_MAX);
	growth_wake(g);
}

void growth_note_full_disk(struct growth *g, int err)
{
	if (err == -EDQUOT)
		atomic_store(&g->has_quota, true);
	if (!atomic_exchange(&g->is_full, true))
		growth_wake(g);
}

bool growth_wait_for_space(struct growth *g)
{
	uint64_t ticket, gains;
	bool gained;

	growth_lock(g);
	if (!g->gives_space || g->stopping || monotonic_ns() < g->retry_ns) {
		growth_unlock(g);
		return false;
	}
	ticket = ++g->asked;
	gains = g->gains;
	wake_locked(g);
	while (!g->stopping && g->gains == gains && g->answered < ticket)
		cond_wait(&g->space, &g->lock);
	gained = g->gains != gains;
	growth_unlock(g);
	return gained;
}

/* --- for the thread --- */

void growth_give_space(struct growth *g)
{
	LOCKED(growth, g, g->gives_space = true);
}

void growth_wake_at(struct growth *g, uint64_t end)
{
	atomic_store(&g->wake_at, end);
}

void growth_wake(struct growth *g)
{
	LOCKED(growth, g, wake_locked(g));
}

bool growth_was_woken(struct growth *g)
{
	bool woken;

	growth_lock(g);
	woken = g->woken || g->stopping;
	g->woken = false;
	growth_unlock(g);
	return woken;
}

void growth_sleep(struct growth *g, uint64_t until_ns)
{
	growth_lock(g);
	while (!g->woken && !g->stopping && (until_ns == 0 || monotonic_ns() < until_ns)) {
		if (until_ns == 0)
			cond_wait(&g->wake, &g->lock);
		else
			cond_wait_until(&g->wake, &g->lock, until_ns);
	}
	g->woken = false;
	growth_unlock(g);
}

void growth_stop(struct growth *g)
{
	growth_lock(g);
	g->stopping = true;
	thread_check(pthread_cond_signal(&g->wake));
	thread_check(pthread_cond_broadcast(&g->space));
	growth_unlock(g);
}

bool growth_is_stopping(struct growth *g)
{
	return WITH_LOCK(growth, g, g->stopping);
}

uint64_t growth_asked(struct growth *g)
{
	return WITH_LOCK(growth, g, g->asked);
}

bool growth_is_asked(struct growth *g)
{
	return WITH_LOCK(growth, g, g->asked > g->answered);
}

void growth_answer(struct growth *g, bool gained, uint64_t up_to)
{
	growth_lock(g);
	if (gained) {
		g->gains++;
		g->retry_ns = 0;
	}
	if (up_to > g->answered) {
		g->answered = up_to;
		if (!gained)
			g->retry_ns = monotonic_ns() + RETRY_AFTER_NS;
	}
	thread_check(pthread_cond_broadcast(&g->space));
	growth_unlock(g);
}
