/* SPDX-License-Identifier: MIT */
/* Rotation: the active segment is synced, renamed to the next number and never written again; a new
 * one takes its name.  Nothing in the new one can be durable before all of the old one is.
 *
 * Killed between the two steps there is no active segment: the next open makes one.  The durable
 * mark names the segment that it speaks of, so an older one says nothing about the new one. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "writer/hint_file.h"
#include "writer/log_tail.h"
#include "writer/log_writer_private.h"
#include "writer/synced_mark.h"

#define RETRY_SHARE \
	16 /* of a segment: that much is appended before a failed rotation is tried again */
#define EARLY_SHARE	4 /* of a segment: from so much before its end on it may be sealed */
#define EARLY_BYTES_MIN ((uint64_t)16 * 1024 * 1024) /* of a segment for which that is worth it */
#define EARLY_BYTES_MAX ((uint64_t)512 * 1024)	     /* that are not durable then */
#define AHEAD_BYTES	((uint64_t)16 * 1024 * 1024) /* that are not durable: do not wait longer */

/* Makes all of the active segment durable.  It is held back from appends for as long as that takes:
 * what the interval has not synced yet. */
static int sync_all_locked(struct log_writer *w) REQUIRES(w->lock)
{
	bool had_room;
	int err = log_writer_restore_tail_locked(w);

	if (err == 0)
		err = log_writer_flush_locked(w);
	had_room = w->room_end > w->written_offset;
	if (err == 0)
		err = log_writer_trim_room_locked(w);
	if (err < 0)
		return err;
	if (w->durable_offset < w->written_offset || had_room) {
		err = io_fdatasync(w->io, w->fd); /* the size, too */
		if (err < 0) {
			log_writer_poison_locked(w, err);
			return -EIO;
		}
		w->syncs++;
	}
	w->durable_offset = w->written_offset;
	w->oldest_unsynced_ns = 0;
	w->waiting = 0; /* all are served */
	thread_check(pthread_cond_broadcast(&w->synced));
	thread_check(pthread_cond_signal(&w->wake));
	return 0;
}

/* Makes an empty active segment, locked.  Returns its descriptor. */
static int new_active(struct log_writer *w)
{
	int append = w->room_bytes > 0 ? 0 : O_APPEND;
	int fd = io_open(w->io, w->dir_fd, w->name, O_RDWR | append | O_CREAT | O_EXCL, 0600);
	int err;

	if (fd < 0)
		return fd;
	err = io_lock(w->io, fd);
	if (err == 0)
		return fd;
	(void)io_close(w->io, &fd);
	(void)!io_unlink(w->io, w->dir_fd, w->name); /* the rename back will say so */
	return err;
}

/* Gives the active segment its number for a name and makes the next one.  On failure the log goes
 * on in the old one, under its old name; where even that fails, it is poisoned. */
static int rename_and_make_locked(struct log_writer *w, int *ret_fd) REQUIRES(w->lock)
{
	char sealed[SEGMENT_NAME_BYTES];
	int fd, err;

	segment_name(w->active_number, sealed);
	err = io_rename(w->io, w->dir_fd, w->name, sealed);
	if (err < 0)
		return err;
	fd = new_active(w);
	if (fd < 0) {
		err = io_rename(w->io, w->dir_fd, sealed, w->name);
		if (err < 0)
			log_writer_poison_locked(w, err);
		return fd;
	}
	err = io_fsync(w->io, w->dir_fd);
	if (err < 0) {
		/* Nobody knows which names a power cut would leave: nothing more may be promised.
		 */
		log_writer_poison_locked(w, err);
		(void)io_close(w->io, &fd);
		return err;
	}
	*ret_fd = fd;
	return 0;
}

static int rotate_locked(struct log_writer *w) REQUIRES(w->lock)
{
	int fd = -1, err;

	err = segments_reserve(&w->segments);
	if (err == 0)
		err = sync_all_locked(w);
	if (err == 0)
		err = rename_and_make_locked(w, &fd);
	if (err < 0)
		return w->poison < 0 ? -EIO : err;
	segments_add(&w->segments, &(struct segment){ .number = w->active_number,
						      .start = w->active_start,
						      .bytes = w->end_offset - w->active_start,
						      .fd = w->fd,
						      .last_timestamp_ns = w->last_timestamp_ns });
	w->fd = fd;
	w->active_start = w->end_offset;
	w->active_number++;
	thread_check(pthread_cond_signal(&w->sealed));
	synced_mark_write(w->io, w->mark_fd, w->active_number, 0);
	return 0;
}

/* Says whether the active segment may be sealed although it is not full.  A rotation keeps appends
 * waiting for as long as it syncs, so the last quarter of a segment is there to find a moment at
 * which little is to be synced, and much that is not durable is not left until then. */
static bool may_rotate_early_locked(const struct log_writer *w) REQUIRES(w->lock)
{
	uint64_t bytes = w->segment_bytes_now;

	return w->segment_bytes_max > 0 && bytes >= EARLY_BYTES_MIN &&
	       w->end_offset - w->active_start >= bytes - bytes / EARLY_SHARE &&
	       w->end_offset >= w->rotate_from;
}

void log_writer_rotate_later_locked(struct log_writer *w)
{
	w->rotate_from = w->end_offset + w->segment_bytes_max / RETRY_SHARE;
}

bool log_writer_syncs_to_rotate_locked(const struct log_writer *w)
{
	uint64_t unsynced = w->end_offset - w->durable_offset;

	if (w->poison < 0 || w->segment_bytes_now < EARLY_BYTES_MIN || w->segment_bytes_max == 0 ||
	    w->end_offset < w->rotate_from)
		return false;
	if (may_rotate_early_locked(w))
		return unsynced > EARLY_BYTES_MAX;
	return w->fsync_interval_ns != LOG_WRITER_NEVER && unsynced > AHEAD_BYTES;
}

static bool is_full_locked(const struct log_writer *w, uint64_t bytes) REQUIRES(w->lock)
{
	uint64_t in_file = w->end_offset - w->active_start;

	if (may_rotate_early_locked(w) && !w->syncing &&
	    w->end_offset - w->durable_offset <= EARLY_BYTES_MAX)
		return true;
	return w->segment_bytes_max > 0 && in_file > 0 && in_file + bytes > w->segment_bytes_now &&
	       w->end_offset >= w->rotate_from;
}

int log_writer_rotate_if_full_locked(struct log_writer *w, uint64_t bytes)
{
	int err = 0;

	while (w->poison == 0 && is_full_locked(w, bytes)) {
		if (w->syncing) {
			cond_wait(&w->synced, &w->lock);
			continue;
		}
		err = rotate_locked(w);
		if (err < 0)
			log_writer_rotate_later_locked(w);
	}
	return w->poison < 0 ? -EIO : 0;
}

int log_writer_rotate(struct log_writer *w)
{
	int err = 0;

	if (w->read_only)
		return -EROFS;
	mutex_lock(&w->lock);
	while (w->syncing)
		cond_wait(&w->synced, &w->lock);
	if (w->poison < 0)
		err = -EIO;
	else if (w->end_offset > w->active_start)
		err = rotate_locked(w);
	mutex_unlock(&w->lock);
	return err;
}

void log_writer_set_segment_size(struct log_writer *w, uint64_t bytes)
{
	mutex_lock(&w->lock);
	w->segment_bytes_now =
		bytes > 0 && bytes < w->segment_bytes_max ? bytes : w->segment_bytes_max;
	mutex_unlock(&w->lock);
}

/* --- replacing --- */

bool log_writer_sealed(struct log_writer *w, size_t index, struct segment *ret)
{
	return segments_get(&w->segments, index, ret);
}

int log_writer_remove_hint(struct log_writer *w, uint64_t number)
{
	char name[SEGMENT_NAME_BYTES], hint_name[SEGMENT_NAME_BYTES];
	int err;

	segment_name(number, name);
	err = hint_file_name(name, hint_name, sizeof(hint_name));
	if (err == 0)
		err = io_unlink(w->io, w->dir_fd, hint_name);
	return err == -ENOENT ? 0 : err;
}

/* Gives the new file of segment 'number' its name. */
static int rename_new(struct log_writer *w, uint64_t number)
{
	char name[SEGMENT_NAME_BYTES], temp[SEGMENT_TEMP_NAME_BYTES];
	int err = segments_reserve(&w->segments);

	segment_name(number, name);
	segment_temp_name(number, temp);
	return err < 0 ? err : io_rename(w->io, w->dir_fd, temp, name);
}

int log_writer_replace(struct log_writer *w, uint64_t number, uint64_t bytes, int fd,
		       uint64_t *ret_start)
{
	int err = rename_new(w, number);

	if (err == 0)
		*ret_start = segments_replace(&w->segments, number, bytes, fd);
	return err;
}

int log_writer_fold(struct log_writer *w, uint64_t number, uint64_t bytes, int fd,
		    uint64_t *ret_start)
{
	int err = rename_new(w, number);

	if (err == 0)
		*ret_start = segments_fold(&w->segments, number, bytes, fd);
	return err;
}

int log_writer_remove_folded(struct log_writer *w, uint64_t number)
{
	char name[SEGMENT_NAME_BYTES];
	int hint_err = log_writer_remove_hint(w, number), err;

	segment_name(number, name);
	err = io_unlink(w->io, w->dir_fd, name);
	return err < 0 ? err : hint_err;
}

int log_writer_replay_sealed(struct log_writer *w, const struct segment *seg, log_replay_fn fn,
			     void *arg, struct diag *diag)
{
	char name[SEGMENT_NAME_BYTES], hint_name[SEGMENT_NAME_BYTES];
	const struct hint_about about = {
		.segment = seg->number,
		.segment_bytes = seg->bytes,
		.segment_fd = seg->fd,
		.name = hint_name,
	};
	struct log_tail t = {
		.io = w->io,
		.dir_fd = w->dir_fd,
		.fd = seg->fd,
		.name = name,
		.path = name,
		.number = seg->number,
		.start = seg->start,
		.file_bytes = seg->bytes,
		.durable_bytes = seg->bytes,
		.sealed = true,
	};
	int err;

	segment_name(seg->number, name);
	err = hint_file_name(name, hint_name, sizeof(hint_name));
	if (err < 0)
		return err; /* cannot be */
	t.hint = hint_reader_open(w->io, w->dir_fd, &about);
	err = log_tail_replay(&t, fn, arg, diag);
	hint_reader_close(t.hint);
	return err;
}

int log_writer_sync_names(struct log_writer *w)
{
	return io_fsync(w->io, w->dir_fd);
}

void log_writer_retire(struct log_writer *w, uint64_t start)
{
	segments_retire(&w->segments, start);
}

/* --- hints --- */

/* Through a descriptor of its own. */
void log_writer_make_hint(struct log_writer *w, const struct segment *seg, const atomic_bool *stop)
{
	char name[SEGMENT_NAME_BYTES], hint_name[SEGMENT_NAME_BYTES];
	struct hint_about about = {
		.segment = seg->number,
		.segment_bytes = seg->bytes,
		.name = hint_name,
	};

	segment_name(seg->number, name);
	about.segment_fd = io_open(w->io, w->dir_fd, name, O_RDONLY, 0);
	if (about.segment_fd < 0)
		return;
	if (hint_file_name(name, hint_name, sizeof(hint_name)) < 0) {
		(void)io_close(w->io, &about.segment_fd); /* cannot be */
		return;
	}
	hint_file_make(w->io, w->dir_fd, &about, stop);
	(void)io_close(w->io, &about.segment_fd);
}

/* A segment that is sealed while the log is open gets its hint here; one that had none when the log
 * was opened got it then. */
void *log_writer_hinter_main(void *arg)
{
	struct log_writer *w = arg;
	uint64_t number = w->hint_from;
	struct segment seg;

	mutex_lock(&w->lock);
	while (!w->stopping) {
		if (number == w->active_number) {
			cond_wait(&w->sealed, &w->lock);
			continue;
		}
		mutex_unlock(&w->lock);
		if (segments_by_number(&w->segments, number, &seg))
			log_writer_make_hint(w, &seg, &w->stop_hinter);
		number++;
		mutex_lock(&w->lock);
	}
	mutex_unlock(&w->lock);
	return NULL;
}
