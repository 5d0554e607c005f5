/* SPDX-License-Identifier: MIT */
/* When there is compaction: by itself, in a thread that looks as the log grows, or by hand. */
#include <errno.h>
#include <stdlib.h>

#include "writer/base/times.h"
#include "writer/compact/compact_private.h"

#define LOOK_EVERY_NS	  NSEC_PER_SEC		      /* while something is appended */
#define RETRY_AFTER_NS	  (10 * NSEC_PER_SEC)	      /* where there was no space, or it failed */
#define DEAD_BYTES_MIN	  ((uint64_t)4 * 1024 * 1024) /* worth a look */
#define LOOK_SHARE	  32 /* of what is live: so much more has to be dead for the next look */
#define SEGMENT_SHARE	  16 /* of what is live: the size of a segment */
#define SEGMENT_BYTES_MIN ((uint64_t)8 * 1024 * 1024)
/* A smaller one is sealed more often than pays, if the disk has room for it so many times. */
#define SEGMENT_BYTES_FEW ((uint64_t)32 * 1024 * 1024)
#define LOG_SHARE	  4    /* of the log: a segment is no larger, as its reserve would be */
#define FREE_SHARE	  8    /* of the disk: a segment, or what may be dead, at most */
#define SHORT_LOOK_SHARE  1024 /* the same on a full disk, */
#define SHORT_BYTES_MIN	  ((uint64_t)64 * 1024)
#define SHORT_PERCENT	  3 /* and what may be dead of a segment */
/* When nothing happens, the same is worth it if more than that share of what is free is dead, and
 * of what is live since the last time. */
#define QUIET_FREE_SHARE 4
#define QUIET_LOOK_SHARE 64
#define SLACK_SHARE	 8 /* of the largest segment: so much may be dead before it is worth it */

/* --- figures --- */

static void set_state(struct compactor *c, enum store_compaction_state state, int err,
		      uint64_t needed_bytes)
{
	mutex_lock(&c->lock);
	c->figures.state = state;
	c->figures.err = err;
	c->figures.needed_bytes = needed_bytes;
	mutex_unlock(&c->lock);
}

static void set_result(struct compactor *c, int err, const struct compact_mode *mode)
{
	if (log_is_full(err) || (err == 0 && mode->lacking_bytes > 0))
		set_state(c, STORE_COMPACTION_NO_SPACE, err, mode->lacking_bytes);
	else if (err < 0 && err != -ECANCELED)
		set_state(c, STORE_COMPACTION_FAILED, err, 0);
	else
		set_state(c, STORE_COMPACTION_IDLE, 0, 0);
}

void compact_figures(struct store *s, struct store_compaction *ret)
{
	struct compactor *c = &s->compactor;

	mutex_lock(&c->lock);
	*ret = c->figures;
	mutex_unlock(&c->lock);
	if (s->recovery.segments_missing > 0)
		ret->state = STORE_COMPACTION_NOT_SAFE;
}

/* --- by itself --- */

static uint64_t log_bytes(struct store *s)
{
	struct log_writer_stats log;

	log_writer_stats(s->log, &log);
	return log.active_bytes + log.sealed_bytes;
}

/* Half of what is dead is in few large segments or in many small ones: with small ones the new
 * files, and what is waiting in the active one, are a small share of the whole. */
static uint64_t segment_bytes(struct store *s, uint64_t live_bytes, uint64_t free_bytes)
{
	uint64_t bytes = live_bytes / SEGMENT_SHARE;

	if (bytes < SEGMENT_BYTES_FEW)
		bytes = SEGMENT_BYTES_FEW;
	if (bytes > free_bytes / FREE_SHARE)
		bytes = free_bytes / FREE_SHARE;
	if (bytes > log_bytes(s) / LOG_SHARE)
		bytes = log_bytes(s) / LOG_SHARE;
	return bytes > SEGMENT_BYTES_MIN ? bytes : SEGMENT_BYTES_MIN;
}

/* The reserve grows before the segments do: each of them fits it. */
static void set_segment_size(struct store *s, uint64_t live_bytes, uint64_t free_bytes)
	REQUIRES(s->compactor.run_lock)
{
	uint64_t bytes = segment_bytes(s, live_bytes, free_bytes);

	log_writer_set_segment_size(s->log, compact_keep_reserves(s, bytes));
}

/* How much may be dead without a look.  A small store that is overwritten all the time would be
 * written anew as often, for little space. */
static uint64_t slack_bytes(const struct compactor *c, uint64_t free_bytes)
{
	uint64_t most = free_bytes / FREE_SHARE;

	return c->slack_bytes < most ? c->slack_bytes : most;
}

static uint64_t free_bytes_of(struct store *s)
{
	struct io_space disk;

	if (store_space(s, &disk) < 0)
		return UINT64_MAX;
	return disk.blocks_available * disk.block_bytes;
}

static uint64_t dead_bytes(struct store *s, uint64_t live_bytes)
{
	uint64_t all = log_bytes(s);

	return live_bytes < all ? all - live_bytes : 0;
}

/* Says whether so much has died since the last look that there may be something to gain.  On a full
 * disk less is worth it. */
static bool is_worth_a_look(struct store *s, bool is_short) REQUIRES(s->compactor.run_lock)
{
	struct compactor *c = &s->compactor;
	uint64_t live = compact_live_bytes(s), dead = dead_bytes(s, live);
	uint64_t step, free_bytes = free_bytes_of(s);

	set_segment_size(s, live, free_bytes);
	step = is_short ? live / SHORT_LOOK_SHARE : live / LOOK_SHARE;
	if (step < (is_short ? SHORT_BYTES_MIN : c->bytes_min))
		step = is_short ? SHORT_BYTES_MIN : c->bytes_min;
	if (dead < c->dead_seen)
		c->dead_seen = dead;
	return dead - c->dead_seen >= step && (is_short || dead >= slack_bytes(c, free_bytes));
}

/* Says the same of each segment, while nothing happens. */
static bool is_worth_all(struct store *s, bool is_short) REQUIRES(s->compactor.run_lock)
{
	struct compactor *c = &s->compactor;
	uint64_t live = compact_live_bytes(s), dead = dead_bytes(s, live);
	uint64_t step = is_short ? SHORT_BYTES_MIN : live / QUIET_LOOK_SHARE;

	if (dead < c->dead_swept)
		c->dead_swept = dead;
	if (step > c->bytes_min)
		step = c->bytes_min;
	return dead - c->dead_swept >= (step > SHORT_BYTES_MIN ? step : SHORT_BYTES_MIN) &&
	       dead >= free_bytes_of(s) / QUIET_FREE_SHARE;
}

/* What was dead when the rounds began, and is not gone, was looked at.  Not what has died
 * meanwhile: it may be all that there is. */
static void note_dead(struct store *s, bool all, uint64_t dead, uint64_t gained)
	REQUIRES(s->compactor.run_lock)
{
	s->compactor.dead_seen = dead > gained ? dead - gained : 0;
	if (all)
		s->compactor.dead_swept = s->compactor.dead_seen;
}

static uint64_t segments_so_far(struct store *s)
{
	struct log_writer_stats log;

	log_writer_stats(s->log, &log);
	return log.segments;
}

/* Each segment is worth it, once, as by hand. */
static int compact_thoroughly(struct store *s, struct compact_mode *mode)
	REQUIRES(s->compactor.run_lock)
{
	*mode = (struct compact_mode){
		.dead_percent = SHORT_PERCENT,
		.seals_active = true,
		.bytes_min = compact_reserve_goal(s) / 8,
		.run = ++s->compactor.runs,
		.below = segments_so_far(s) + 1,
		.no_space = mode->no_space,
		.tries_least = true,
	};
	return compact_rounds(s, mode);
}

/* Compacts what is worth it, or 'all' that has anything dead.  Returns whether it should be tried
 * again although nothing is appended. */
static bool compact_what_is_worth_it(struct store *s, bool all) REQUIRES(s->compactor.run_lock)
{
	struct compactor *c = &s->compactor;
	struct compact_mode mode = { .dead_percent = c->dead_percent,
				     .seals_active = true,
				     .bytes_min = c->bytes_min };
	int err;

	set_state(c, STORE_COMPACTION_RUNNING, 0, 0);
	err = compact_rounds(s, &mode);
	if ((err == 0 || log_is_full(err)) && all)
		err = compact_thoroughly(s, &mode);
	set_result(c, err, &mode);
	return err < 0 || mode.lacking_bytes > 0;
}

/* Does what is worth doing.  Returns whether it should be tried again although nothing is appended.
 */
static bool tick(struct store *s, bool is_quiet)
{
	struct compactor *c = &s->compactor;
	uint64_t asked = compact_space_asked(c);
	bool again, is_short, sweeps, looks;
	uint64_t dead, gained;

	if (c->dead_percent == 0 || s->recovery.segments_missing > 0)
		return false;
	mutex_lock(&s->compactor.run_lock);
	is_short = compact_is_short(s) || compact_is_asked(c);
	looks = is_worth_a_look(s, is_short) || compact_is_asked(c) ||
		(s->compactor.retry_ns > 0 && monotonic_ns() >= s->compactor.retry_ns);
	sweeps = is_quiet && is_worth_all(s, is_short);
	if (looks || sweeps) {
		dead = dead_bytes(s, compact_live_bytes(s));
		gained = compact_gained_bytes(c);
		again = compact_what_is_worth_it(s, is_short || sweeps);
		note_dead(s, is_short || sweeps, dead, compact_gained_bytes(c) - gained);
		s->compactor.retry_ns = again ? monotonic_ns() + RETRY_AFTER_NS : 0;
	}
	compact_space_done(s, asked);
	again = s->compactor.retry_ns > 0;
	mutex_unlock(&s->compactor.run_lock);
	return again;
}

/* --- by hand --- */

int store_compact(struct store *s, store_compact_progress_fn progress, void *arg)
{
	struct compactor *c = &s->compactor;
	struct compact_mode mode = { .seals_active = true, .progress = progress, .arg = arg };
	int err;

	if (s->read_only)
		return -EROFS;
	if (s->recovery.segments_missing > 0)
		return -EPERM;
	mutex_lock(&s->compactor.run_lock);
	set_state(c, STORE_COMPACTION_RUNNING, 0, 0);
	mode.run = ++c->runs;
	mode.below = segments_so_far(s) + 1; /* the active one, when it has been sealed, too */
	(void)compact_keep_reserves(s, 0);
	err = compact_rounds(s, &mode);
	if (err == 0 && mode.lacking_bytes > 0)
		err = -ENOSPC;
	set_result(c, err, &mode);
	mutex_unlock(&s->compactor.run_lock);
	return err;
}

int store_compact_async(struct store *s, log_sync_fn done, void *arg)
{
	struct compactor *c = &s->compactor;
	struct compact_request *r, **p;

	if (!c->has_thread) {
		done(arg, store_compact(s, NULL, NULL));
		return 0;
	}
	r = malloc(sizeof(*r));
	if (r == NULL)
		return -ENOMEM;
	*r = (struct compact_request){ .done = done, .arg = arg };
	mutex_lock(&c->lock);
	for (p = &c->requests; *p != NULL; p = &(*p)->next)
		;
	*p = r;
	c->woken = true;
	thread_check(pthread_cond_signal(&c->wake));
	mutex_unlock(&c->lock);
	return 0;
}

/* One run for all who have asked so far. */
static void serve_locked(struct store *s) REQUIRES(s->compactor.lock)
{
	struct compactor *c = &s->compactor;
	struct compact_request *r = c->requests, *next;
	int err;

	c->requests = NULL;
	mutex_unlock(&s->compactor.lock);
	err = store_compact(s, NULL, NULL);
	for (; r != NULL; r = next) {
		next = r->next;
		r->done(r->arg, err);
		free(r);
	}
	mutex_lock(&s->compactor.lock);
}

/* --- the thread --- */

void compact_note(struct compactor *c, uint64_t end)
{
	if (end < atomic_load(&c->wake_at))
		return;
	atomic_store(&c->wake_at, UINT64_MAX);
	mutex_lock(&c->lock);
	c->woken = true;
	thread_check(pthread_cond_signal(&c->wake));
	mutex_unlock(&c->lock);
}

/* Waits until the log has grown by a piece, or for a while if it has grown at all; for ever while
 * nothing happens. */
static void sleep_locked(struct store *s, uint64_t *seen_end, bool again)
	REQUIRES(s->compactor.lock)
{
	struct compactor *c = &s->compactor;
	uint64_t end = log_writer_size(s->log);
	bool quiet = end == *seen_end;

	*seen_end = end;
	atomic_store(&c->wake_at, quiet ? end + 1 : end + c->bytes_min);
	if (log_writer_size(s->log) > end && quiet)
		return; /* just now */
	if (again && quiet)
		cond_wait_until(&c->wake, &s->compactor.lock, monotonic_ns() + RETRY_AFTER_NS);
	else if (quiet)
		cond_wait(&c->wake, &s->compactor.lock);
	else
		cond_wait_until(&c->wake, &s->compactor.lock, monotonic_ns() + LOOK_EVERY_NS);
}

static void *thread_main(void *arg)
{
	struct store *s = arg;
	struct compactor *c = &s->compactor;
	uint64_t seen_end = UINT64_MAX;
	bool again;

	mutex_lock(&s->compactor.lock);
	while (!c->stopping) {
		if (c->requests != NULL) {
			serve_locked(s);
			continue;
		}
		mutex_unlock(&s->compactor.lock);
		again = tick(s, log_writer_size(s->log) == seen_end);
		mutex_lock(&s->compactor.lock);
		if (!c->woken && !c->stopping && c->requests == NULL)
			sleep_locked(s, &seen_end, again);
		c->woken = false;
	}
	mutex_unlock(&s->compactor.lock);
	return NULL;
}

/* --- life --- */

void compact_init(struct compactor *c, const struct store_config *config)
{
	uint64_t segment_bytes = (uint64_t)config->segment_size_bytes;

	c->dead_percent = config->compact_at_percent;
	c->retain_ns = config->retain_ns;
	c->opened_ns = monotonic_ns();
	c->segment_bytes_max = segment_bytes > 0 ? segment_bytes : STORE_SEGMENT_SIZE_DEFAULT;
	c->slack_bytes = c->segment_bytes_max / SLACK_SHARE;
	c->bytes_min = segment_bytes > 0 && segment_bytes < DEAD_BYTES_MIN ? segment_bytes
									   : DEAD_BYTES_MIN;
	atomic_store(&c->wake_at, UINT64_MAX);
	mutex_init(&c->run_lock);
	mutex_init(&c->lock);
	cond_init(&c->wake);
	cond_init(&c->space);
}

int compact_start(struct store *s)
{
	int err;

	/* Before somebody fills the disk. */
	mutex_lock(&s->compactor.run_lock);
	if (s->compactor.dead_percent > 0)
		compact_first_reserves(s);
	mutex_unlock(&s->compactor.run_lock);
	err = -pthread_create(&s->compactor.thread, NULL, thread_main, s);
	s->compactor.has_thread = err == 0;
	return err;
}

static void cancel_requests(struct compactor *c) NO_THREAD_SAFETY
{
	struct compact_request *r, *next;

	for (r = c->requests; r != NULL; r = next) {
		next = r->next;
		r->done(r->arg, -ECANCELED);
		free(r);
	}
	c->requests = NULL;
}

void compact_stop(struct store *s)
{
	struct compactor *c = &s->compactor;

	atomic_store(&c->stop, true);
	if (!c->has_thread)
		return;
	mutex_lock(&c->lock);
	c->stopping = true;
	thread_check(pthread_cond_signal(&c->wake));
	thread_check(pthread_cond_broadcast(&c->space));
	mutex_unlock(&c->lock);
	thread_check(pthread_join(c->thread, NULL));
	c->has_thread = false;
	cancel_requests(c);
}

void compact_destroy(struct compactor *c) NO_THREAD_SAFETY
{
	free(c->known);
	thread_check(pthread_cond_destroy(&c->space));
	thread_check(pthread_cond_destroy(&c->wake));
	mutex_destroy(&c->lock);
	mutex_destroy(&c->run_lock);
}
