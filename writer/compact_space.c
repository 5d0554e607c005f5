/* SPDX-License-Identifier: MIT */
/* Compaction on a full disk.  It needs space in order to make some, so it keeps a reserve of its
 * own: the file "reserve.segment", into whose blocks the new file of a victim is written.  Nobody
 * else can take these blocks meanwhile.  The reserve is made again when the old file is gone, which
 * had more.
 *
 * A segment is at most as large as the reserve may be, so that the reserve serves for each of them.
 *
 * What is given up first is hints: each can be made again. */
#include <errno.h>
#include <fcntl.h>

#include "writer/compact_private.h"
#include "writer/hint_file.h"

#define RETRY_AFTER_NS UINT64_C(10000000000) /* where there was nothing to gain */
/* The reserve: of this size on a disk that is large enough, and of that share of a smaller one; */
#define RESERVE_SEGMENT_BYTES ((uint64_t)8 * 1024 * 1024)
#define RESERVE_SHARE	      32
/* where there are larger segments, of their size, but not of a larger share of the disk than this,
 * nor a larger one of what is free. */
#define RESERVE_SHARE_MAX  64
#define RESERVE_FREE_SHARE 4
#define ROOMY		   4 /* times the reserve is free: the disk is not full any more */

/* --- the reserve --- */

/* Returns 'bytes', or the share of the disk if that is less; of a disk that does not say how large
 * it is, 'bytes'. */
static uint64_t at_most_share(const struct io_space *disk, uint64_t bytes)
{
	uint64_t share = disk->blocks * disk->block_bytes / RESERVE_SHARE;

	return disk->blocks == 0 || bytes < share ? bytes : share;
}

uint64_t compact_share_of_disk(struct store *s, uint64_t bytes)
{
	struct io_space disk = { .blocks = 0 };

	(void)!store_space(s, &disk);
	return at_most_share(&disk, bytes);
}

/* The smallest and the largest that the reserve should be on this disk. */
struct limits {
	uint64_t least, most;
	uint64_t free_bytes; /* of the disk */
};

static struct limits limits_of(struct store *s)
{
	uint64_t segment_bytes = s->compactor.segment_bytes_max;
	struct io_space disk = { .blocks = 0 };
	struct limits l;

	(void)!store_space(s, &disk);
	l.least = l.most = at_most_share(&disk, RESERVE_SEGMENT_BYTES);
	if (l.most < disk.blocks * disk.block_bytes / RESERVE_SHARE_MAX)
		l.most = disk.blocks * disk.block_bytes / RESERVE_SHARE_MAX;
	if (l.most > segment_bytes)
		l.most = segment_bytes;
	if (l.least > segment_bytes)
		l.least = segment_bytes;
	l.free_bytes = disk.blocks_available * disk.block_bytes;
	return l;
}

/* Where there are larger segments, from before or by hand, it helps to have more. */
static uint64_t largest_segment(struct store *s)
{
	struct segment seg;
	uint64_t bytes = 0;

	for (size_t i = 0; log_writer_sealed(s->log, i, &seg); i++)
		if (seg.bytes > bytes)
			bytes = seg.bytes;
	return bytes;
}

uint64_t compact_keep_reserve(struct store *s, uint64_t segment_bytes)
{
	struct reserve *r = &s->compactor.reserve;
	uint64_t goal = largest_segment(s);
	struct limits l = limits_of(s);

	goal = goal > segment_bytes ? goal : segment_bytes;
	goal = goal < l.most ? goal : l.most;
	if (goal > l.least && goal > r->bytes + l.free_bytes / RESERVE_FREE_SHARE)
		goal = r->bytes + l.free_bytes / RESERVE_FREE_SHARE;
	goal = goal > l.least ? goal : l.least;
	if (goal < r->goal_bytes)
		goal = r->goal_bytes;
	if (r->name == NULL)
		reserve_open(r, s->io, s->dir_fd, RESERVE_SEGMENT_NAME, goal);
	r->goal_bytes = goal - goal % RESERVE_STEP_BYTES;
	if (!reserve_is_whole(r))
		reserve_fill(r);
	goal = r->bytes > l.least ? r->bytes : l.least;
	return segment_bytes < goal ? segment_bytes : goal;
}

int compact_new_file(struct store *s, const struct compact_mode *mode, const char *name)
{
	int fd = -ENOENT;

	if (mode->takes_reserve)
		fd = reserve_take(&s->compactor.reserve, name);
	return fd >= 0 ? fd : io_open(s->io, s->dir_fd, name, O_RDWR | O_CREAT | O_TRUNC, 0600);
}

/* Both reserves again: before the others take what was gained. */
static void refill(struct store *s) REQUIRES(s->compactor.run_lock)
{
	(void)compact_keep_reserve(s, 0);
	mutex_lock(&s->commit_lock);
	if (!reserve_is_whole(&s->reserve))
		reserve_fill(&s->reserve);
	mutex_unlock(&s->commit_lock);
}

/* --- rounds on a full disk --- */

/* Gives up a part of the reserve for removing names.  False: there is none left. */
static bool release(struct store *s)
{
	bool released;

	mutex_lock(&s->commit_lock);
	released = reserve_release(&s->reserve);
	mutex_unlock(&s->commit_lock);
	return released;
}

int compact_sync_judged(struct store *s, uint64_t judged_end)
{
	int err;

	do
		err = log_writer_sync_to(s->log, judged_end);
	while (log_is_full(err) && release(s));
	return err;
}

int compact_seal(struct store *s)
{
	int err;

	do
		err = log_writer_seal(s->log);
	while (log_is_full(err) && release(s));
	return log_is_full(err) ? 0 : err;
}

int compact_install(struct store *s, struct log_new_segment *list, size_t count, bool folds,
		    bool *ret_installed)
{
	int err;

	do
		err = log_writer_install(s->log, list, count, folds, ret_installed);
	while (log_is_full(err) && !*ret_installed && release(s));
	return err;
}

uint64_t compact_gained_bytes(struct compactor *c)
{
	uint64_t bytes;

	mutex_lock(&c->lock);
	bytes = c->figures.gained_bytes;
	mutex_unlock(&c->lock);
	return bytes;
}

/* Wakes those who wait for space: some was gained, or the requests up to 'up_to' were looked into.
 */
static void answer(struct compactor *c, bool gained, uint64_t up_to)
{
	mutex_lock(&c->lock);
	if (gained) {
		c->space_gains++;
		c->space_retry_ns = 0;
	}
	if (up_to > c->space_answered) {
		c->space_answered = up_to;
		if (!gained)
			c->space_retry_ns = monotonic_ns() + RETRY_AFTER_NS;
	}
	thread_check(pthread_cond_broadcast(&c->space));
	mutex_unlock(&c->lock);
}

int compact_rounds(struct store *s, struct compact_mode *mode)
{
	struct compactor *c = &s->compactor;
	uint64_t before = compact_gained_bytes(c), after;
	bool more = true;
	int err = 0, full_err = 0;

	while (err == 0 && more) {
		if (atomic_load(&c->stop))
			return -ECANCELED;
		err = compact_round(s, mode, &more);
		after = compact_gained_bytes(c);
		refill(s);
		if (after > before)
			answer(c, true, 0);
		before = after;
		/* What a quota leaves is not seen before it is used up. */
		if (log_is_full(err) && !mode->no_space) {
			(void)hint_files_drop(s->io, s->dir_fd);
			mode->no_space = true;
			full_err = err;
			err = 0;
			more = true;
		}
	}
	return err == 0 && mode->lacking_bytes > 0 ? full_err : err;
}

uint64_t compact_space_asked(struct compactor *c)
{
	uint64_t asked;

	mutex_lock(&c->lock);
	asked = c->space_asked;
	mutex_unlock(&c->lock);
	return asked;
}

bool compact_is_asked(struct compactor *c)
{
	bool asked;

	mutex_lock(&c->lock);
	asked = c->space_asked > c->space_answered;
	mutex_unlock(&c->lock);
	return asked;
}

bool compact_is_short(struct store *s)
{
	struct compactor *c = &s->compactor;

	return atomic_load(&c->full) || atomic_load(&c->has_quota) ||
	       compact_space(s) < s->compactor.reserve.goal_bytes;
}

void compact_space_done(struct store *s, uint64_t asked)
{
	struct compactor *c = &s->compactor;

	if (compact_space(s) >= ROOMY * s->compactor.reserve.goal_bytes)
		atomic_store(&c->full, false);
	answer(c, false, asked);
}

/* --- those who need it --- */

void compact_note_full(struct compactor *c, int err)
{
	if (err == -EDQUOT)
		atomic_store(&c->has_quota, true);
	if (atomic_exchange(&c->full, true))
		return;
	mutex_lock(&c->lock);
	c->woken = true;
	thread_check(pthread_cond_signal(&c->wake));
	mutex_unlock(&c->lock);
}

/* Has the thread look, and waits until something was gained or it says that there is nothing. */
static bool wait_for_space(struct compactor *c)
{
	uint64_t ticket, gains;
	bool gained;

	mutex_lock(&c->lock);
	if (monotonic_ns() < c->space_retry_ns || c->stopping) {
		mutex_unlock(&c->lock);
		return false;
	}
	ticket = ++c->space_asked;
	gains = c->space_gains;
	c->woken = true;
	thread_check(pthread_cond_signal(&c->wake));
	while (!c->stopping && c->space_gains == gains && c->space_answered < ticket)
		cond_wait(&c->space, &c->lock);
	gained = c->space_gains != gains;
	mutex_unlock(&c->lock);
	return gained;
}

bool compact_makes_space_for(struct store *s, int err)
{
	struct compactor *c = &s->compactor;

	if (!log_is_full(err))
		return false;
	if (hint_files_drop(s->io, s->dir_fd))
		return true;
	return c->has_thread && c->dead_percent > 0 && s->recovery.segments_missing == 0 &&
	       wait_for_space(c);
}
