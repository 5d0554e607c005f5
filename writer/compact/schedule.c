/* SPDX-License-Identifier: MIT */
/* The schedule of compaction: its thread looks as the log grows, and rounds also run by hand. */
#include <errno.h>
#include <stdlib.h>

#include "writer/base/times.h"
#include "writer/compact/compact_private.h"
#include "writer/log/hint_file.h"

#define SURVEY_EVERY_NS	  NSEC_PER_SEC		      /* while records are appended */
#define RETRY_AFTER_NS	  (10 * NSEC_PER_SEC)	      /* after a lack of space, or a failure */
#define DEAD_BYTES_MIN	  ((uint64_t)4 * 1024 * 1024) /* makes a look worthwhile */
#define SURVEY_SHARE	  32 /* of the live bytes: additional dead bytes until the next look */
#define SEGMENT_SHARE	  16 /* share of the live bytes: size of a segment */
#define SEGMENT_BYTES_MIN ((uint64_t)8 * 1024 * 1024)
/* Smaller segments are sealed too often.  Used if the disk has free space for FREE_SHARE of them.
 */
#define SEGMENT_BYTES_FEW  ((uint64_t)32 * 1024 * 1024)
#define LOG_SHARE	   4	/* of the log: largest segment, as its reserve is as large */
#define FREE_SHARE	   8	/* of the disk: largest segment, or most dead bytes */
#define SHORT_SURVEY_SHARE 1024 /* as SURVEY_SHARE and DEAD_BYTES_MIN on a full disk, */
#define SHORT_BYTES_MIN	   ((uint64_t)64 * 1024)
#define SHORT_PERCENT	   3 /* and the dead percentage of a segment */
/* While nothing is appended, the same applies if more than this share of the free space is dead,
 * and more than this share of the live bytes has died since the last time. */
#define QUIET_FREE_SHARE   4
#define QUIET_SURVEY_SHARE 64
#define SLACK_SHARE	   8 /* share of the largest segment that may be dead without a look */

/* --- figures --- */

static void set_state(struct compactor *c, enum store_compaction_state state, int err,
		      uint64_t needed_bytes)
{
	compactor_lock(c);
	c->figures.state = state;
	c->figures.err = err;
	c->figures.needed_bytes = needed_bytes;
	compactor_unlock(c);
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

void compact_figures(struct compactor *c, struct store_compaction *ret)
{
	*ret = WITH_LOCK(compactor, c, c->figures);
	if (c->segments_missing)
		ret->state = STORE_COMPACTION_NOT_SAFE;
}

/* --- without a request --- */

static uint64_t log_bytes(struct compactor *c)
{
	struct log_writer_stats log;

	log_writer_stats(c->log, &log);
	return log.active_bytes + log.sealed_bytes;
}

/* Half of the dead bytes are in few large segments or in many small ones: with small segments the
 * new files, and the dead bytes still in the active segment, are a small share of the total. */
static uint64_t segment_bytes(struct compactor *c, uint64_t live_bytes, uint64_t free_bytes)
{
	uint64_t bytes = live_bytes / SEGMENT_SHARE;

	if (bytes < SEGMENT_BYTES_FEW)
		bytes = SEGMENT_BYTES_FEW;
	if (bytes > free_bytes / FREE_SHARE)
		bytes = free_bytes / FREE_SHARE;
	if (bytes > log_bytes(c) / LOG_SHARE)
		bytes = log_bytes(c) / LOG_SHARE;
	return bytes > SEGMENT_BYTES_MIN ? bytes : SEGMENT_BYTES_MIN;
}

/* Makes both reserves, and sets the size of segments.  The reserve grows before the segments do, so
 * that each of them fits it. */
static void set_segment_size(struct compactor *c, uint64_t live_bytes, uint64_t free_bytes)
	REQUIRES(c->run_lock, round_class)
{
	uint64_t bytes = segment_bytes(c, live_bytes, free_bytes);

	log_writer_set_segment_size(c->log, store_keep_reserves(c->s, bytes));
}

/* Returns the number of bytes that may be dead without a look.  A small store that is overwritten
 * all the time would otherwise be rewritten just as often, for little space. */
static uint64_t slack_bytes(const struct compactor *c, uint64_t free_bytes)
{
	uint64_t most = free_bytes / FREE_SHARE;

	return c->slack_bytes < most ? c->slack_bytes : most;
}

static uint64_t free_bytes_of(struct compactor *c)
{
	struct io_space disk;

	if (store_space(c->s, &disk) < 0)
		return UINT64_MAX;
	return disk.blocks_available * disk.block_bytes;
}

static uint64_t dead_bytes(struct compactor *c, uint64_t live_bytes)
{
	uint64_t all = log_bytes(c);

	return live_bytes < all ? all - live_bytes : 0;
}

/* Returns whether enough has died since the last look that space can perhaps be gained.  On a full
 * disk less is enough. */
static bool is_worth_a_survey(struct compactor *c, bool is_short) REQUIRES(c->run_lock, round_class)
{
	uint64_t live = compact_live_bytes(c), dead = dead_bytes(c, live);
	uint64_t step, free_bytes = free_bytes_of(c);

	set_segment_size(c, live, free_bytes);
	step = is_short ? live / SHORT_SURVEY_SHARE : live / SURVEY_SHARE;
	if (step < (is_short ? SHORT_BYTES_MIN : c->bytes_min))
		step = is_short ? SHORT_BYTES_MIN : c->bytes_min;
	if (dead < c->dead_seen)
		c->dead_seen = dead;
	return dead - c->dead_seen >= step && (is_short || dead >= slack_bytes(c, free_bytes));
}

/* Returns the same for all segments, while nothing is appended. */
static bool is_worth_all(struct compactor *c, bool is_short) REQUIRES(c->run_lock, round_class)
{
	uint64_t live = compact_live_bytes(c), dead = dead_bytes(c, live);
	uint64_t step = is_short ? SHORT_BYTES_MIN : live / QUIET_SURVEY_SHARE;

	if (dead < c->dead_swept)
		c->dead_swept = dead;
	if (step > c->bytes_min)
		step = c->bytes_min;
	return dead - c->dead_swept >= (step > SHORT_BYTES_MIN ? step : SHORT_BYTES_MIN) &&
	       dead >= free_bytes_of(c) / QUIET_FREE_SHARE;
}

/* Notes the bytes that were dead when the rounds began and are still there: they have been
 * examined.  Does not include bytes that have died in the meantime, which may be the only ones to
 * gain. */
static void note_dead(struct compactor *c, bool all, uint64_t dead, uint64_t gained)
	REQUIRES(c->run_lock, round_class)
{
	c->dead_seen = dead > gained ? dead - gained : 0;
	if (all)
		c->dead_swept = c->dead_seen;
}

static uint64_t segments_so_far(struct compactor *c)
{
	struct log_writer_stats log;

	log_writer_stats(c->log, &log);
	return log.segments;
}

/* Runs rounds as long as they gain enough.  After each it makes the reserves again and tells the
 * threads that wait for space. */
static int do_rounds(struct compactor *c, struct compact_mode *mode)
	REQUIRES(c->run_lock, round_class)
{
	uint64_t before = compact_gained_bytes(c), after;
	bool more = true;
	int err = 0, full_disk_err = 0;

	while (err == 0 && more) {
		if (atomic_load(&c->stop))
			return -ECANCELED;
		err = compact_round(c, mode, &more);
		after = compact_gained_bytes(c);
		/* Before other threads take the space that was gained. */
		(void)store_keep_reserves(c->s, 0);
		if (after > before)
			growth_answer(c->growth, true, 0);
		before = after;
		/* A quota shows only when it is used up. */
		if (log_is_full(err) && !mode->no_space) {
			(void)hint_files_drop(c->io, c->dir_fd);
			mode->no_space = true;
			full_disk_err = err;
			err = 0;
			more = true;
		}
	}
	return err == 0 && mode->lacking_bytes > 0 ? full_disk_err : err;
}

/* Compacts each segment once, as by hand. */
static int compact_thoroughly(struct compactor *c, struct compact_mode *mode)
	REQUIRES(c->run_lock, round_class)
{
	*mode = (struct compact_mode){
		.dead_percent = SHORT_PERCENT,
		.seals_active = true,
		.bytes_min = store_segment_reserve_goal(c->s) / 8,
		.run = ++c->runs,
		.below = segments_so_far(c) + 1,
		.no_space = mode->no_space,
		.tries_least = true,
	};
	return do_rounds(c, mode);
}

/* Compacts the segments that gain enough, or with 'all' every segment that has dead bytes.  Returns
 * whether to try again although nothing is appended. */
static bool compact_what_is_worth_it(struct compactor *c, bool all)
	REQUIRES(c->run_lock, round_class)
{
	struct compact_mode mode = { .dead_percent = c->dead_percent,
				     .seals_active = true,
				     .bytes_min = c->bytes_min };
	int err;

	set_state(c, STORE_COMPACTION_RUNNING, 0, 0);
	err = do_rounds(c, &mode);
	if ((err == 0 || log_is_full(err)) && all)
		err = compact_thoroughly(c, &mode);
	set_result(c, err, &mode);
	return err < 0 || mode.lacking_bytes > 0;
}

/* Does the work that is due.  Returns whether to try again although nothing is appended. */
static bool tick(struct compactor *c, bool is_quiet)
{
	uint64_t asked = growth_asked(c->growth);
	bool again, is_short, sweeps, looks;
	uint64_t dead, gained;

	if (c->dead_percent == 0 || c->segments_missing)
		return false;
	compact_run_lock(c);
	is_short = compact_is_short(c) || growth_is_asked(c->growth);
	looks = is_worth_a_survey(c, is_short) || growth_is_asked(c->growth) ||
		(c->retry_ns > 0 && monotonic_ns() >= c->retry_ns);
	sweeps = is_quiet && is_worth_all(c, is_short);
	if (looks || sweeps) {
		dead = dead_bytes(c, compact_live_bytes(c));
		gained = compact_gained_bytes(c);
		again = compact_what_is_worth_it(c, is_short || sweeps);
		note_dead(c, is_short || sweeps, dead, compact_gained_bytes(c) - gained);
		c->retry_ns = again ? monotonic_ns() + RETRY_AFTER_NS : 0;
	}
	compact_space_done(c, asked);
	again = c->retry_ns > 0;
	compact_run_unlock(c);
	return again;
}

/* --- by hand --- */

int compact_by_hand(struct compactor *c, store_compact_progress_fn progress, void *arg)
{
	struct compact_mode mode = { .seals_active = true, .progress = progress, .arg = arg };
	int err;

	if (c->read_only)
		return -EROFS;
	if (c->segments_missing)
		return -EPERM;
	compact_run_lock(c);
	set_state(c, STORE_COMPACTION_RUNNING, 0, 0);
	mode.run = ++c->runs;
	mode.below = segments_so_far(c) + 1; /* includes the active one, once it has been sealed */
	(void)store_keep_reserves(c->s, 0);
	err = do_rounds(c, &mode);
	if (err == 0 && mode.lacking_bytes > 0)
		err = -ENOSPC;
	set_result(c, err, &mode);
	compact_run_unlock(c);
	return err;
}

int compact_by_thread(struct compactor *c, log_sync_fn done, void *arg)
{
	struct compact_request *r, **p;

	if (!c->has_thread) {
		done(arg, compact_by_hand(c, NULL, NULL));
		return 0;
	}
	r = malloc(sizeof(*r));
	if (r == NULL)
		return -ENOMEM;
	*r = (struct compact_request){ .done = done, .arg = arg };
	compactor_lock(c);
	for (p = &c->requests; *p != NULL; p = &(*p)->next)
		;
	*p = r;
	compactor_unlock(c);
	growth_wake(c->growth);
	return 0;
}

/* Does one run for all requests so far.  Returns whether there were any. */
static bool serve_requests(struct compactor *c)
{
	struct compact_request *r, *next;
	int err;

	compactor_lock(c);
	r = c->requests;
	c->requests = NULL;
	compactor_unlock(c);
	if (r == NULL)
		return false;
	err = compact_by_hand(c, NULL, NULL);
	for (; r != NULL; r = next) {
		next = r->next;
		r->done(r->arg, err);
		free(r);
	}
	return true;
}

/* --- the thread --- */

/* Waits until the log has grown by a piece, or for some time if it has grown at all; without a
 * limit while nothing is appended. */
static void wait_for_growth(struct compactor *c, uint64_t *seen_end, bool again)
{
	uint64_t end = log_writer_size(c->log);
	bool quiet = end == *seen_end;

	*seen_end = end;
	growth_wake_at(c->growth, quiet ? end + 1 : end + c->bytes_min);
	if (log_writer_size(c->log) > end && quiet)
		return; /* it has just grown */
	if (again && quiet)
		growth_sleep(c->growth, monotonic_ns() + RETRY_AFTER_NS);
	else
		growth_sleep(c->growth, quiet ? 0 : monotonic_ns() + SURVEY_EVERY_NS);
}

static void *compaction_main(void *arg)
{
	struct compactor *c = arg;
	uint64_t seen_end = UINT64_MAX;
	bool again;

	while (!growth_is_stopping(c->growth)) {
		if (serve_requests(c))
			continue;
		again = tick(c, log_writer_size(c->log) == seen_end);
		if (!growth_was_woken(c->growth))
			wait_for_growth(c, &seen_end, again);
	}
	return NULL;
}

/* --- life --- */

void compact_init(struct compactor *c, struct store *s, const struct store_config *config)
{
	const struct store_parts parts = store_parts(s);

	c->s = s;
	c->io = parts.io;
	c->dir_fd = parts.dir_fd;
	c->log = parts.log;
	c->keydir = parts.keydir;
	c->growth = parts.growth;
	c->read_only = parts.read_only;
	c->segments_missing = parts.segments_missing;
	c->dead_percent = config->compact_at_percent;
	c->retain_ns = config->retain_ns;
	c->opened_ns = monotonic_ns();
	c->slack_bytes = parts.segment_bytes_max / SLACK_SHARE;
	c->bytes_min =
		parts.segment_bytes_max < DEAD_BYTES_MIN ? parts.segment_bytes_max : DEAD_BYTES_MIN;
	mutex_init(&c->run_lock);
	mutex_init(&c->lock);
}

int compact_start(struct compactor *c)
{
	int err;

	/* Before other files fill the disk, and before a segment outgrows the reserve: the thread
	 * may begin late. */
	compact_run_lock(c);
	if (c->dead_percent > 0) {
		set_segment_size(c, compact_live_bytes(c), free_bytes_of(c));
		compact_detect_quota(c);
	}
	compact_run_unlock(c);
	err = -pthread_create(&c->thread, NULL, compaction_main, c);
	c->has_thread = err == 0;
	if (c->has_thread && c->dead_percent > 0 && !c->segments_missing)
		growth_give_space(c->growth);
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

void compact_stop(struct compactor *c)
{
	atomic_store(&c->stop, true);
	if (!c->has_thread)
		return;
	growth_stop(c->growth);
	thread_check(pthread_join(c->thread, NULL));
	c->has_thread = false;
	cancel_requests(c);
}

void compact_destroy(struct compactor *c) NO_THREAD_SAFETY
{
	free(c->known);
	mutex_destroy(&c->lock);
	mutex_destroy(&c->run_lock);
}
