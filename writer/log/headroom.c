/* SPDX-License-Identifier: MIT */
/* Head room: zeros behind the end of the active segment.  A record that is written over them
 * changes neither the size of the file nor its blocks, so the filesystem has no metadata to commit
 * when the file is synced.  The zeros are written, not only allocated: ext4 and xfs mark allocated
 * blocks as unwritten, and changing that mark is metadata again.
 *
 * With head room the file is not opened with O_APPEND, which would write behind the zeros.  Appends
 * are still ordered by one lock and one offset.
 *
 * Adaptive head room (LOG_WRITER_HEADROOM_AUTO): each caller that waits for a sync pays for some
 * zeros in advance.  A step of head room is made when it is paid for, so the zeros never cost much
 * more writing than the syncs do, and a program that rarely syncs, or that writes a lot between two
 * syncs, has few of them or none.  When no caller has waited for some seconds, unused zeros are cut
 * and advance payments are forgotten. */
#include "writer/log/file_set.h"
#include "writer/log/log_writer_private.h"

#define CHUNK_BYTES ((uint64_t)64 * 1024) /* most zeros that an append may have to wait for */
#define RETRY_SHARE 4 /* of the head room: bytes to be written before it is tried again */

/* Adaptive head room. */
#define AUTO_BYTES	((uint64_t)16 * 1024 * 1024)
#define AUTO_STEP_BYTES ((uint64_t)1024 * 1024)
#define AUTO_PAID_BYTES ((uint64_t)64 * 1024)  /* by each caller that waits for a sync */
#define AUTO_IDLE_NS	((uint64_t)3000000000) /* then unused zeros are cut */
#define AUTO_SHARE	64		       /* of the free space: the most zeros */
#define NEVER_NS	(UINT64_MAX / 2)

void log_writer_set_headroom(struct log_writer *w, int64_t preallocate_bytes)
{
	w->headroom_is_auto = preallocate_bytes == LOG_WRITER_HEADROOM_AUTO;
	w->headroom_bytes = w->headroom_is_auto ? AUTO_BYTES : (uint64_t)preallocate_bytes;
	w->headroom_step_bytes =
		w->headroom_is_auto ? AUTO_STEP_BYTES : w->headroom_bytes - w->headroom_bytes / 2;
	w->headroom_paid_bytes = AUTO_PAID_BYTES;
	w->headroom_idle_ns = w->no_background ? NEVER_NS : AUTO_IDLE_NS;
}

/* Returns whether no caller has waited for a sync for some seconds. */
static bool is_idle_locked(const struct log_writer *w, uint64_t now_ns) REQUIRES(w->lock, log_class)
{
	return now_ns >= w->last_wait_ns + w->headroom_idle_ns;
}

void log_writer_pay_headroom_locked(struct log_writer *w)
{
	uint64_t now_ns;

	if (!w->headroom_is_auto)
		return;
	now_ns = monotonic_ns();
	if (is_idle_locked(w, now_ns))
		w->headroom_paid = 0;
	w->last_wait_ns = now_ns;
	if (w->headroom_paid < w->headroom_bytes)
		w->headroom_paid += w->headroom_paid_bytes;
}

static uint64_t unused_locked(const struct log_writer *w) REQUIRES(w->lock, log_class)
{
	return w->headroom_end > w->written_position ? w->headroom_end - w->written_position : 0;
}

/* Returns the intended end of the zeros: at most the size that the segment may have. */
static uint64_t headroom_goal_locked(const struct log_writer *w) REQUIRES(w->lock, log_class)
{
	uint64_t goal = w->written_position + w->headroom_bytes;

	if (w->segment_bytes_max > 0 && goal > w->active_start + w->segment_bytes_max)
		goal = w->active_start + w->segment_bytes_max;
	return goal;
}

bool log_writer_wants_headroom_locked(const struct log_writer *w)
{
	uint64_t goal = headroom_goal_locked(w);

	return w->headroom_bytes > 0 && w->poison == 0 && !w->stopping && !w->tail_dirty &&
	       w->written_position >= w->headroom_from &&
	       (!w->headroom_is_auto || w->headroom_paid >= w->headroom_step_bytes) &&
	       unused_locked(w) + w->headroom_step_bytes <= w->headroom_bytes &&
	       w->headroom_end < goal &&
	       w->written_position < goal; /* a record may be larger than its segment */
}

/* Makes head room again only after some bytes, at least one. */
static void retry_later_locked(struct log_writer *w) REQUIRES(w->lock, log_class)
{
	w->headroom_from = w->written_position + w->headroom_bytes / RETRY_SHARE + 1;
}

/* Gives the unused zeros back to the disk, and does not try again soon. */
static void give_up_locked(struct log_writer *w) REQUIRES(w->lock, log_class)
{
	retry_later_locked(w);
	(void)!log_writer_trim_headroom_locked(w); /* a longer file does no harm */
}

/* Adds zeros up to the next chunk, at most '*left' bytes, and subtracts them from it.  Returns
 * false if no more are needed or possible. */
static bool add_chunk_locked(struct log_writer *w, uint64_t *left) REQUIRES(w->lock, log_class)
{
	static const uint8_t zeros[CHUNK_BYTES];
	uint64_t from = w->written_position + unused_locked(w);
	uint64_t goal = headroom_goal_locked(w);
	uint64_t n = CHUNK_BYTES - (from - w->active_start) % CHUNK_BYTES;

	if (from >= goal || *left == 0 || w->stopping || w->tail_dirty || w->poison < 0)
		return false;
	if (n > goal - from)
		n = goal - from;
	if (n > *left)
		n = *left;
	*left -= n;
	if (io_pwrite_all(w->io, w->fd, zeros, (size_t)n, from - w->active_start) < 0) {
		w->headroom_end = from + n; /* the write may have come this far */
		give_up_locked(w);
		return false;
	}
	w->headroom_end = from + n;
	return true;
}

/* Returns whether so many zeros may be behind the end of the log. */
static bool has_space(struct log_writer *w, uint64_t bytes)
{
	struct io_space disk;

	return io_space(w->io, w->dir_fd, &disk) == 0 &&
	       bytes <= disk.blocks_available * disk.block_bytes / AUTO_SHARE;
}

void log_writer_make_headroom_locked(struct log_writer *w)
{
	uint64_t left = w->headroom_bytes;

	if (w->headroom_is_auto) {
		left = w->headroom_step_bytes;
		w->headroom_paid -= left;
		if (!has_space(w, unused_locked(w) + left)) {
			retry_later_locked(w);
			return;
		}
	}
	while (add_chunk_locked(w, &left)) {
		log_unlock(w); /* appends first; they may change the segment */
		log_lock(w);
	}
}

int log_writer_trim_headroom_locked(struct log_writer *w)
{
	int err;

	if (w->headroom_end <= w->written_position)
		return 0;
	err = io_truncate(w->io, w->fd, w->written_position - w->active_start);
	if (err == 0)
		w->headroom_end = w->written_position;
	return err;
}

uint64_t log_writer_headroom_idle_locked(const struct log_writer *w)
{
	if (!w->headroom_is_auto || unused_locked(w) == 0 || w->poison < 0)
		return UINT64_MAX;
	return w->last_wait_ns + w->headroom_idle_ns;
}

bool log_writer_cut_idle_headroom_locked(struct log_writer *w)
{
	uint64_t now_ns = monotonic_ns();

	if (now_ns < log_writer_headroom_idle_locked(w))
		return false;
	w->headroom_paid = 0;
	if (log_writer_trim_headroom_locked(w) < 0)
		w->last_wait_ns = now_ns; /* later */
	return true;
}

bool log_writer_release_headroom(struct log_writer *w)
{
	bool released;

	log_lock(w);
	released = w->poison == 0 && unused_locked(w) > 0;
	if (released)
		give_up_locked(w);
	released = released && unused_locked(w) == 0;
	log_unlock(w);
	return released;
}
