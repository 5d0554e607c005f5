/* SPDX-License-Identifier: MIT */
/* Rotation, in two steps.  The active segment gets the name of a full one (segments.h) and a new
 * one takes its own: by whoever appends, without waiting for the disk.  The next sync makes full
 * ones durable, oldest first, and then seals them, before it syncs the active one.
 *
 * So a power cut may leave the end of a full segment out, and later ones in.  The name says how
 * long it was: recovery sees that something is missing, and ends the log there (log_recover.c).
 *
 * Killed between the two names there is no active segment: the next open makes one.  The durable
 * mark names the segment that it speaks of; those before it are durable as a whole. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "writer/hint_file.h"
#include "writer/log_tail.h"
#include "writer/log_writer_private.h"
#include "writer/synced_mark.h"

#define RETRY_SHARE \
	16 /* of a segment: that much is appended before a failed rotation is tried again */

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

/* Gives the active segment its name as a full one and makes the next one.  On failure the log goes
 * on in the old one, under its old name; where even that fails, it is poisoned. */
static int rename_and_make_locked(struct log_writer *w, int *ret_fd) REQUIRES(w->lock)
{
	char full[SEGMENT_NAME_BYTES];
	int fd, err;

	segment_full_name(w->active_number, w->end_offset - w->active_start, full);
	err = io_rename(w->io, w->dir_fd, w->name, full);
	if (err < 0)
		return err;
	fd = new_active(w);
	if (fd < 0) {
		err = io_rename(w->io, w->dir_fd, full, w->name);
		/* Its size is in the name that it had: nothing longer may be called durable
		 * before that name is gone for good. */
		w->names_dirty = true;
		if (err < 0)
			log_writer_poison_locked(w, err);
		return fd;
	}
	*ret_fd = fd;
	return 0;
}

/* Remembers how an attempt to rotate has ended, and tells of the first failure. */
static void note_rotate_locked(struct log_writer *w, int err) REQUIRES(w->lock)
{
	bool first = err < 0 && w->rotate_error == 0;

	w->rotate_failures += err < 0;
	w->rotate_error = err;
	if (first && w->rotate_failed != NULL)
		w->rotate_failed(w->rotate_failed_arg, err);
}

static int try_rotate_locked(struct log_writer *w) REQUIRES(w->lock)
{
	uint64_t bytes = w->end_offset - w->active_start;
	int fd = -1, err;

	err = segments_reserve(&w->segments);
	if (err == 0)
		err = log_writer_restore_tail_locked(w);
	if (err == 0)
		err = log_writer_flush_locked(w);
	if (err == 0)
		err = log_writer_trim_room_locked(w);
	if (err == 0)
		err = rename_and_make_locked(w, &fd);
	if (err < 0)
		return w->poison < 0 ? -EIO : err;
	segments_add(&w->segments, &(struct segment){ .number = w->active_number,
						      .start = w->active_start,
						      .bytes = bytes,
						      .full_bytes = bytes,
						      .fd = w->fd,
						      .last_timestamp_ns = w->last_timestamp_ns });
	w->fd = fd;
	w->active_start = w->end_offset;
	w->active_number++;
	w->full_count++;
	w->full_bytes += bytes;
	if (log_writer_syncs_to_seal_locked(w))
		thread_check(pthread_cond_signal(&w->wake));
	return 0;
}

static int rotate_locked(struct log_writer *w) REQUIRES(w->lock)
{
	int err = try_rotate_locked(w);

	if (w->poison == 0)
		note_rotate_locked(w, err);
	return err;
}

void log_writer_rotate_later_locked(struct log_writer *w)
{
	w->rotate_from = w->end_offset + w->segment_bytes_max / RETRY_SHARE;
}

bool log_writer_syncs_to_seal_locked(const struct log_writer *w)
{
	return !w->no_background && w->poison == 0 && w->durable_offset < w->active_start &&
	       w->end_offset >= w->rotate_from &&
	       (w->full_count >= FULL_MAX / 2 || w->full_bytes >= w->full_bytes_max / 2 ||
		w->fsync_interval_ns == LOG_WRITER_NEVER);
}

int log_writer_sync_full(struct log_writer *w, uint64_t number, uint32_t count,
			 uint64_t durable_offset)
{
	struct segment seg;
	int err = 0;

	for (; err == 0 && count > 0; number++, count--) {
		if (!segments_by_number(&w->segments, number, &seg))
			return -EIO; /* cannot be */
		if (seg.start + seg.bytes > durable_offset || w->room_bytes > 0)
			err = io_fdatasync(w->io, seg.fd);
	}
	return err;
}

int log_writer_name_full(struct log_writer *w, uint64_t number, uint32_t count, uint32_t *ret_named)
{
	char full[SEGMENT_NAME_BYTES], sealed[SEGMENT_NAME_BYTES];
	struct segment seg;
	int err = 0;

	*ret_named = 0;
	while (*ret_named < count && segments_by_number(&w->segments, number + *ret_named, &seg)) {
		segment_file_name(&seg, full);
		segment_name(seg.number, sealed);
		err = io_rename(w->io, w->dir_fd, full, sealed);
		if (err < 0)
			break;
		++*ret_named;
	}
	return err;
}

void log_writer_seal_locked(struct log_writer *w, uint32_t count)
{
	struct segment seg;

	for (uint32_t i = 0; i < count; i++, w->full_count--) {
		if (segments_by_number(&w->segments, w->active_number - w->full_count, &seg))
			w->full_bytes -= seg.bytes;
		segments_seal(&w->segments, w->active_number - w->full_count);
	}
	if (count > 0)
		thread_check(pthread_cond_signal(&w->sealed));
}

static bool is_full_locked(const struct log_writer *w, uint64_t bytes) REQUIRES(w->lock)
{
	uint64_t in_file = w->end_offset - w->active_start;

	return w->segment_bytes_max > 0 && in_file > 0 && in_file + bytes > w->segment_bytes_now &&
	       w->end_offset >= w->rotate_from;
}

/* Says whether the active segment may become a full one, too. */
static bool may_run_ahead_locked(const struct log_writer *w) REQUIRES(w->lock)
{
	uint64_t in_file = w->end_offset - w->active_start;

	return w->full_count == 0 ||
	       (w->full_count < FULL_MAX && w->full_bytes + in_file <= w->full_bytes_max);
}

int log_writer_rotate_if_full_locked(struct log_writer *w, uint64_t bytes)
{
	int err = 0;

	while (w->poison == 0 && err == 0 && is_full_locked(w, bytes)) {
		if (may_run_ahead_locked(w))
			err = rotate_locked(w);
		else
			err = log_writer_sync_to_seal_locked(w);
	}
	if (err < 0)
		log_writer_rotate_later_locked(w);
	return w->poison < 0 ? -EIO : 0;
}

int log_writer_rotate(struct log_writer *w)
{
	int err = 0;

	if (w->read_only)
		return -EROFS;
	mutex_lock(&w->lock);
	if (w->poison < 0)
		err = -EIO;
	else if (w->end_offset > w->active_start)
		err = rotate_locked(w);
	mutex_unlock(&w->lock);
	return err < 0 ? err : log_writer_seal(w);
}

int log_writer_seal(struct log_writer *w)
{
	uint64_t below;
	int err = 0;

	mutex_lock(&w->lock);
	below = w->active_number; /* others may become full for ever */
	while (err == 0 && w->full_count > 0 && w->active_number - w->full_count < below)
		err = log_writer_sync_to_seal_locked(w);
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
	return segments_get(&w->segments, index, ret) && ret->full_bytes == 0;
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
		if (number >= w->active_number - w->full_count) {
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
