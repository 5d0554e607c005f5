/* SPDX-License-Identifier: MIT */
/* Compaction on a full disk.  It needs space in order to make some, so it keeps a reserve of its
 * own: the file "reserve.segment", into whose blocks the new file of a victim is written.  Nobody
 * else can take these blocks meanwhile.  The reserve is made again when the old file is gone, which
 * had more.
 *
 * A segment is at most as large as the reserve may be, so that the reserve serves for each of them.
 *
 * Both reserves follow the log, so that a small store stays small.  The commit path has them grow
 * before the log has outgrown them; a thread could come too late, as nothing can be allocated on a
 * full disk.
 *
 * What is given up first is hints: each can be made again. */
#include <errno.h>
#include <fcntl.h>

#include "writer/base/times.h"
#include "writer/compact/compact_private.h"
#include "writer/log/hint_file.h"

#define RETRY_AFTER_NS (10 * (uint64_t)NSEC_PER_SEC) /* where there was nothing to gain */
/* The reserve: of this size on a disk that is large enough, and of that share of a smaller one; */
#define RESERVE_SEGMENT_BYTES ((uint64_t)8 * 1024 * 1024)
#define RESERVE_SHARE	      32
/* where there are larger segments, of their size, but not of a larger share of the disk than this,
 * nor a larger one of what is free. */
#define RESERVE_SHARE_MAX  64
#define RESERVE_FREE_SHARE 4
#define NAMES_SHARE	   4 /* of the log: what the tombstones of all its names may need */
#define ROOMY		   4 /* times the reserve is free: the disk is not full any more */

/* --- the reserve --- */

/* Returns 'bytes', or the share of the disk if that is less; of a disk that does not say how large
 * it is, 'bytes'. */
static uint64_t at_most_share(const struct io_space *disk, uint64_t bytes)
{
	uint64_t share = disk->blocks * disk->block_bytes / RESERVE_SHARE;

	return disk->blocks == 0 || bytes < share ? bytes : share;
}

/* The smallest and the largest that the reserve should be on this disk. */
struct limits {
	uint64_t names_most; /* of the one for names */
	uint64_t least, most;
	uint64_t free_bytes; /* of the disk */
};

static struct limits limits_of(struct store *s)
{
	uint64_t segment_bytes = s->compactor.segment_bytes_max;
	struct io_space disk = { .blocks = 0 };
	struct limits l;

	(void)!store_space(s, &disk);
	l.names_most = at_most_share(&disk, RESERVE_BYTES);
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

/* Returns the size that a reserve is to have, of 'most' at most.  It grows by more than is needed
 * now, and is not made smaller for little. */
static uint64_t size_of(const struct reserve *r, uint64_t needed, uint64_t most)
{
	uint64_t size = needed + RESERVE_STEP_BYTES - 1;

	size -= size % RESERVE_STEP_BYTES;
	if (size < RESERVE_BYTES_MIN)
		size = RESERVE_BYTES_MIN;
	if (size > r->goal_bytes && r->goal_bytes > 0)
		size += size / 2;
	else if (size > r->goal_bytes / 2 && r->goal_bytes > 0)
		size = r->goal_bytes;
	return size < most ? size : most;
}

/* Says how large the log may become until the reserve has to grow. */
static uint64_t enough_for(const struct reserve *r, uint64_t share, uint64_t most)
{
	return r->goal_bytes + RESERVE_STEP_BYTES > most ? UINT64_MAX : r->goal_bytes * share;
}

/* The most that the reserve of compaction should have now. */
static uint64_t segment_most(struct store *s, const struct limits *l, uint64_t segment_bytes)
	REQUIRES(s->commit_lock)
{
	const struct reserve *r = &s->compactor.reserve;
	uint64_t most = largest_segment(s);

	most = most > segment_bytes ? most : segment_bytes;
	most = most < l->most ? most : l->most;
	if (most > l->least && most > r->bytes + l->free_bytes / RESERVE_FREE_SHARE)
		most = r->bytes + l->free_bytes / RESERVE_FREE_SHARE;
	most = most > l->least ? most : l->least;
	return most > r->goal_bytes ? most : r->goal_bytes;
}

static void keep_one(struct store *s, struct reserve *r, const char *name, uint64_t size)
	REQUIRES(s->commit_lock)
{
	if (r->name == NULL)
		reserve_open(r, s->io, s->dir_fd, name, size);
	else
		reserve_resize(r, size);
}

/* Makes both as large as they should be; the one of compaction with 'opens', or if it is there.
 * Returns how large a segment of 'segment_bytes' may become. */
static uint64_t keep_reserves(struct store *s, uint64_t segment_bytes, bool opens)
	REQUIRES(s->commit_lock)
{
	struct reserve *names = &s->reserve, *segment = &s->compactor.reserve;
	struct limits l = limits_of(s);
	struct log_writer_stats log;
	uint64_t log_bytes, enough, most;

	log_writer_stats(s->log, &log);
	log_bytes = log.active_bytes + log.sealed_bytes;
	keep_one(s, names, RESERVE_NAME, size_of(names, log_bytes / NAMES_SHARE, l.names_most));
	enough = enough_for(names, NAMES_SHARE, l.names_most);
	if (opens || segment->name != NULL) {
		most = segment_most(s, &l, segment_bytes);
		keep_one(s, segment, RESERVE_SEGMENT_NAME, size_of(segment, log_bytes, most));
		if (enough_for(segment, 1, most) < enough)
			enough = enough_for(segment, 1, most);
	}
	s->reserves_until = UINT64_MAX;
	if (enough != UINT64_MAX)
		s->reserves_until = log.end_offset + (enough > log_bytes ? enough - log_bytes : 0);
	most = segment->bytes > l.least ? segment->bytes : l.least;
	return segment_bytes < most ? segment_bytes : most;
}

void compact_grow_reserves(struct store *s)
{
	(void)keep_reserves(s, 0, false);
}

uint64_t compact_keep_reserves(struct store *s, uint64_t segment_bytes)
{
	uint64_t bytes;

	mutex_lock(&s->commit_lock);
	bytes = keep_reserves(s, segment_bytes, true);
	mutex_unlock(&s->commit_lock);
	return bytes;
}

/* Nothing says what a quota leaves.  A store that was opened when it was nearly used up would know
 * of it only when a write has failed, and until then what is removed would not come back. */
void compact_first_reserves(struct store *s)
{
	int err;

	(void)compact_keep_reserves(s, 0);
	mutex_lock(&s->commit_lock);
	err = reserve_probe(&s->compactor.reserve);
	mutex_unlock(&s->commit_lock);
	if (err == -EDQUOT)
		atomic_store(&s->compactor.has_quota, true);
}

uint64_t compact_reserve_bytes(struct store *s)
{
	uint64_t bytes;

	mutex_lock(&s->commit_lock);
	bytes = s->compactor.reserve.bytes;
	mutex_unlock(&s->commit_lock);
	return bytes;
}

uint64_t compact_reserve_goal(struct store *s)
{
	uint64_t bytes;

	mutex_lock(&s->commit_lock);
	bytes = s->compactor.reserve.goal_bytes;
	mutex_unlock(&s->commit_lock);
	return bytes;
}

int compact_new_file(struct store *s, const struct compact_mode *mode, const char *name)
{
	int fd = -ENOENT;

	mutex_lock(&s->commit_lock);
	if (mode->takes_reserve)
		fd = reserve_take(&s->compactor.reserve, name);
	mutex_unlock(&s->commit_lock);
	return fd >= 0 ? fd : io_open(s->io, s->dir_fd, name, O_RDWR | O_CREAT | O_TRUNC, 0600);
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
		/* Before the others take what was gained. */
		(void)compact_keep_reserves(s, 0);
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
	       compact_space(s) < compact_reserve_goal(s);
}

void compact_space_done(struct store *s, uint64_t asked)
{
	struct compactor *c = &s->compactor;

	if (compact_space(s) >= ROOMY * compact_reserve_goal(s))
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
