/* SPDX-License-Identifier: MIT */
/* Head room: zeros behind the end of the active segment.  A record that is written over them
 * changes neither the size of the file nor its blocks, so the filesystem has no metadata to commit
 * when the file is synced.  The zeros are written, not only allocated: ext4 and xfs mark allocated
 * blocks as unwritten, and changing that mark is metadata again.
 *
 * With head room the file is not opened with O_APPEND, which would write behind the zeros.  Appends
 * are still ordered by one lock and one offset. */
#include "writer/log/log_writer_private.h"

#define CHUNK_BYTES ((uint64_t)64 * 1024) /* most zeros that an append may have to wait for */

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
	       w->headroom_end < w->written_position + w->headroom_bytes / 2 &&
	       w->headroom_end < goal &&
	       w->written_position < goal; /* a record may be larger than its segment */
}

/* Gives the unused zeros back to the disk, and does not try again soon. */
static void give_up_locked(struct log_writer *w) REQUIRES(w->lock, log_class)
{
	w->headroom_from = w->written_position + w->headroom_bytes / 4;
	(void)!log_writer_trim_headroom_locked(w); /* a longer file does no harm */
}

/* Adds zeros up to the next chunk.  Returns false if no more are needed or possible. */
static bool add_chunk_locked(struct log_writer *w) REQUIRES(w->lock, log_class)
{
	static const uint8_t zeros[CHUNK_BYTES];
	uint64_t from =
		w->headroom_end > w->written_position ? w->headroom_end : w->written_position;
	uint64_t goal = headroom_goal_locked(w);
	uint64_t n = CHUNK_BYTES - (from - w->active_start) % CHUNK_BYTES;

	if (from >= goal || w->stopping || w->tail_dirty || w->poison < 0)
		return false;
	if (n > goal - from)
		n = goal - from;
	if (io_pwrite_all(w->io, w->fd, zeros, (size_t)n, from - w->active_start) < 0) {
		w->headroom_end = from + n; /* the write may have come this far */
		give_up_locked(w);
		return false;
	}
	w->headroom_end = from + n;
	return true;
}

void log_writer_make_headroom_locked(struct log_writer *w)
{
	while (add_chunk_locked(w)) {
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
