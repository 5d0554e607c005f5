/* SPDX-License-Identifier: MIT */
#include "fuse/transport/workers.h"

#include <stdlib.h>

struct job {
	void (*fn)(void *arg);
	void *arg;
	struct job *next;
};

void workers_init(struct workers *w, size_t max) NO_THREAD_SAFETY
{
	*w = (struct workers){ .last = &w->first, .max = max };
	mutex_init(&w->lock);
	cond_init(&w->wanted);
}

static struct job *take_locked(struct workers *w) REQUIRES(w->lock, workers_class)
{
	struct job *job = w->first;

	w->first = job->next;
	if (w->first == NULL)
		w->last = &w->first;
	w->jobs--;
	return job;
}

static void *work(void *arg)
{
	struct workers *w = arg;
	struct job *job;

	(void)pthread_setname_np(pthread_self(), "worker"); /* for ps(1) */
	workers_lock(w);
	for (;;) {
		while (w->first == NULL && !w->ends) {
			w->idle++;
			cond_wait(&w->wanted, &w->lock);
			w->idle--;
		}
		if (w->first == NULL)
			break;
		job = take_locked(w);
		workers_unlock(w);
		job->fn(job->arg);
		free(job);
		workers_lock(w);
	}
	workers_unlock(w);
	return NULL;
}

/* Starts a thread if the idle ones have enough jobs.  Returns false if no thread would do the next
 * job. */
static bool start_locked(struct workers *w) REQUIRES(w->lock, workers_class)
{
	if (w->idle > w->jobs || w->count == w->max)
		return true;
	if (pthread_create(&w->threads[w->count], NULL, work, w) == 0)
		w->count++;
	return w->count > 0;
}

bool workers_run(struct workers *w, void (*fn)(void *arg), void *arg)
{
	struct job *job = malloc(sizeof(*job));
	bool ok;

	if (job == NULL)
		return false;
	*job = (struct job){ .fn = fn, .arg = arg };
	workers_lock(w);
	ok = start_locked(w);
	if (ok) {
		*w->last = job;
		w->last = &job->next;
		w->jobs++;
		thread_check(pthread_cond_signal(&w->wanted));
	}
	workers_unlock(w);
	if (!ok)
		free(job);
	return ok;
}

void workers_end(struct workers *w) NO_THREAD_SAFETY
{
	workers_lock(w);
	w->ends = true;
	thread_check(pthread_cond_broadcast(&w->wanted));
	workers_unlock(w);
	for (size_t i = 0; i < w->count; i++) /* no thread starts another one now */
		thread_check(pthread_join(w->threads[i], NULL));
	thread_check(pthread_cond_destroy(&w->wanted));
	mutex_destroy(&w->lock);
}
