/* SPDX-License-Identifier: MIT */
/* The pace of compaction: it gives way to other threads. */
#include <errno.h>
#include <time.h>

#include "writer/base/times.h"
#include "writer/compact/compact_private.h"

#define NAP_NS_MAX     (NSEC_PER_SEC / 20)
#define GENTLE_PERCENT 180 /* size of the log per live bytes: below this it is slow, */
#define URGENT_PERCENT 200 /* and from here on it does not pause */

/* Sleeps to let other threads work: longer if compaction is less urgent. */
static void give_way(struct compactor *c) REQUIRES(c->run_lock, round_class)
{
	struct log_writer_stats log;
	struct keydir_stats keydir;
	uint64_t now_ns = monotonic_ns(), took_ns = now_ns - c->paced_ns, percent;
	struct timespec nap;

	log_writer_stats(c->log, &log);
	keydir_stats(c->keydir, &keydir);
	percent = (log.active_bytes + log.sealed_bytes) / (keydir.live_bytes / 100 + 1);
	if (log.end_position != c->paced_end && percent < URGENT_PERCENT &&
	    !atomic_load(&c->growth->is_full)) {
		if (percent >= GENTLE_PERCENT)
			took_ns /= 4;
		if (took_ns > NAP_NS_MAX)
			took_ns = NAP_NS_MAX;
		nap = timespec_of_ns((int64_t)took_ns);
		(void)nanosleep(&nap, NULL);
	}
	c->paced_end = log.end_position;
	c->paced_ns = monotonic_ns();
}

int compact_pace(void *arg, uint64_t bytes) NO_THREAD_SAFETY
{
	struct compact_pace *p = arg;

	if (atomic_load(&p->c->stop))
		return -ECANCELED;
	give_way(p->c); /* the writing thread holds run_lock */
	p->done_bytes += bytes;
	if (p->mode->progress == NULL)
		return 0;
	return p->mode->progress(p->mode->arg, p->done_bytes, p->all_bytes) != 0 ? -ECANCELED : 0;
}
