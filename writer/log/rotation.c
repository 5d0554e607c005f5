/* SPDX-License-Identifier: MIT */
/* Rotation, in three steps.  The thread that appends gives the active segment a name with its size
 * (segments.h), and gives the active name to a new segment, without waiting for the disk.  The next
 * sync makes rotated segments durable, oldest first, before it syncs the active one.  Then the
 * hinter reads each of them, writes its hint and lists it in MANIFEST (log/file_set.c): it is
 * sealed.
 *
 * So a power cut may remove the end of a rotated segment and still leave later segments.  The name
 * has the size: recovery sees that bytes are missing, and ends the log there (log/recovery.c).
 *
 * If the process is killed between the two renames there is no active segment: the next open makes
 * one.  The durable mark has the number of its segment; all segments before it are completely
 * durable.  A segment begins with a record that has its number. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "codec/meta.h"
#include "writer/log/full_disk.h"
#include "writer/log/hint_file.h"
#include "writer/log/log_writer_private.h"
#include "writer/log/segment_replay.h"

#define RETRY_SHARE \
	16 /* of a segment: bytes to be appended before a failed rotation is tried again */

/* A new active segment takes an inode for a long time, and the reserves need theirs to get any
 * inode back: each change of the set of files needs a new MANIFEST, and compaction needs a new
 * file.  So missing files of reserves are made first.
 *
 * Another thread may have given a reserve another name at this moment; it then finds the file that
 * is made here. */
int log_writer_refill_inodes(struct log_writer *w)
{
	static const char *const names[] = { RESERVE_SET_NAME, RESERVE_SEGMENT_NAME, RESERVE_NAME,
					     RESERVE_ACTIVE_NAME };
	size_t count = !w->has_manifest ? 0 : w->keeps_reserves ? ARRAY_SIZE(names) : 1;
	int fd;

	for (size_t i = 0; i < count; i++) {
		fd = io_open(w->io, w->dir_fd, names[i], O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
		if (log_is_full(fd))
			return fd;
		(void)io_close(w->io, &fd); /* an empty file that only keeps space */
	}
	return 0;
}

/* Makes an empty active segment, locked.  For compaction ('wanted') it gets the inode that is kept
 * for it.  Returns its descriptor, or -errno. */
static int new_active(struct log_writer *w, bool wanted)
{
	int flags = O_RDWR | O_CREAT | O_EXCL | (w->headroom_bytes > 0 ? 0 : O_APPEND);
	int fd = io_open(w->io, w->dir_fd, w->name, flags, 0600);
	int err;

	if (log_is_full(fd) && wanted &&
	    io_rename(w->io, w->dir_fd, RESERVE_ACTIVE_NAME, w->name) == 0)
		fd = io_open(w->io, w->dir_fd, w->name, (flags & ~O_EXCL) | O_TRUNC, 0600);
	if (fd < 0)
		return fd;
	err = io_lock(w->io, fd);
	if (err == 0)
		return fd;
	(void)io_close(w->io, &fd);
	(void)!io_unlink(w->io, w->dir_fd, w->name); /* if this fails, the rename back fails, too */
	return err;
}

/* Gives the active segment its name as a rotated one and makes the next one.  On failure the log
 * continues in the old one, under its old name; if even that fails, it is poisoned. */
static int rename_and_make_locked(struct log_writer *w, bool wanted, int *ret_fd)
	REQUIRES(w->lock, log_class)
{
	char full[SEGMENT_NAME_BYTES];
	int fd, err;

	segment_rotated_name(w->active_number, w->end_position - w->active_start, full);
	err = io_rename(w->io, w->dir_fd, w->name, full);
	if (err < 0)
		return err;
	fd = new_active(w, wanted);
	if (fd < 0) {
		err = io_rename(w->io, w->dir_fd, full, w->name);
		/* The name that it had contains its size: no position behind that size may count as
		 * durable before that name is gone for good. */
		w->names_dirty = true;
		if (err < 0)
			log_writer_poison_locked(w, err);
		return fd;
	}
	*ret_fd = fd;
	return 0;
}

/* Notes the result of an attempt to rotate, and reports the first failure. */
static void note_rotate_locked(struct log_writer *w, int err) REQUIRES(w->lock, log_class)
{
	bool first = err < 0 && w->rotate_error == 0;

	w->rotate_failures += err < 0;
	w->rotate_error = err;
	if (first && w->rotate_failed != NULL)
		w->rotate_failed(w->rotate_failed_arg, err);
}

static int try_rotate_locked(struct log_writer *w, bool wanted) REQUIRES(w->lock, log_class)
{
	uint64_t bytes = w->end_position - w->active_start;
	int fd = -1, err;

	err = segments_reserve(&w->segments);
	if (err == 0)
		err = log_writer_restore_tail_locked(w);
	if (err == 0)
		err = log_writer_flush_locked(w);
	if (err == 0)
		err = log_writer_trim_headroom_locked(w);
	if (err == 0)
		err = rename_and_make_locked(w, wanted, &fd);
	if (err < 0)
		return w->poison < 0 ? -EIO : err;
	segments_add(&w->segments, &(struct segment){ .number = w->active_number,
						      .generation = 1,
						      .start = w->active_start,
						      .bytes = bytes,
						      .rotated_bytes = bytes,
						      .fd = w->fd,
						      .was_cut = w->refused_bytes > 0,
						      .facts = w->active_facts });
	w->refused_bytes = 0;
	w->fd = fd;
	w->active_facts = (struct manifest_facts){ .records = 0 };
	w->number_pending = w->has_manifest;
	w->active_start = w->end_position;
	w->active_number++;
	w->rotated_count++;
	w->rotated_bytes += bytes;
	if (log_writer_syncs_to_seal_locked(w))
		thread_check(pthread_cond_signal(&w->wake));
	(void)!log_writer_number_active_locked(w); /* the next append tries again */
	return 0;
}

/* Rotates.  'wanted': for compaction, or by hand; then it uses the inode that is kept for it. */
static int rotate_locked(struct log_writer *w, bool wanted) REQUIRES(w->lock, log_class)
{
	int err = log_writer_refill_inodes(w);

	if (err == 0 || wanted)
		err = try_rotate_locked(w, wanted);
	if (w->poison == 0)
		note_rotate_locked(w, err);
	return err;
}

void log_writer_number_record(const struct log_writer *w, uint64_t number, uint64_t timestamp_ns,
			      uint8_t out[LOG_WRITER_NUMBER_BYTES])
{
	struct meta_segment segment = { .number = number };
	uint8_t key[META_KEY_PREFIX_BYTES], value[META_SEGMENT_BYTES];
	const struct record rec = { .timestamp_ns = timestamp_ns,
				    .key = key,
				    .key_bytes = sizeof(key),
				    .value = value,
				    .value_bytes = sizeof(value) };

	memcpy(segment.store_id, w->store_id, sizeof(segment.store_id));
	meta_key_prefix(META_SEGMENT, key);
	meta_segment_encode(&segment, value);
	record_encode(&rec, out);
}

int log_writer_number_active_locked(struct log_writer *w)
{
	uint64_t timestamp_ns = w->last_timestamp_ns + 1;
	uint8_t bytes[LOG_WRITER_NUMBER_BYTES];
	int err;

	if (!w->number_pending)
		return 0;
	if (timestamp_ns == 0)
		return -EOVERFLOW;
	log_writer_number_record(w, w->active_number, timestamp_ns, bytes);
	err = log_writer_write_locked(w, bytes, sizeof(bytes));
	if (err < 0)
		return err;
	w->number_pending = false;
	w->end_position += sizeof(bytes);
	w->last_timestamp_ns = timestamp_ns;
	w->active_facts = (struct manifest_facts){ .records = 1,
						   .first_timestamp_ns = timestamp_ns,
						   .last_timestamp_ns = timestamp_ns };
	return 0;
}

uint64_t log_writer_number_bytes(const struct log_writer *w, uint64_t number)
{
	return w->has_manifest && number >= w->numbered_from ? LOG_WRITER_NUMBER_BYTES : 0;
}

bool log_writer_active_is_empty_locked(const struct log_writer *w)
{
	return w->active_facts.records == 0 ||
	       (w->active_facts.records == 1 &&
		w->end_position - w->active_start == log_writer_number_bytes(w, w->active_number));
}

void log_writer_rotate_later_locked(struct log_writer *w)
{
	w->rotate_from = w->end_position + w->segment_bytes_now / RETRY_SHARE;
}

bool log_writer_syncs_to_seal_locked(const struct log_writer *w)
{
	return !w->no_background && w->poison == 0 && w->durable_position < w->active_start &&
	       w->end_position >= w->rotate_from &&
	       (w->rotated_count >= ROTATED_MAX / 2 ||
		w->rotated_bytes >= w->rotated_bytes_max / 2 ||
		w->fsync_interval_ns == LOG_WRITER_NEVER);
}

int log_writer_sync_rotated(struct log_writer *w, uint64_t number, uint32_t count,
			    uint64_t durable_position)
{
	struct segment seg;
	int err = 0;

	for (; err == 0 && count > 0; number++, count--) {
		if (!segments_by_number(&w->segments, number, &seg))
			return -EIO; /* cannot happen */
		if (seg.start + seg.bytes > durable_position || w->headroom_bytes > 0 ||
		    seg.was_cut)
			err = io_fdatasync(w->io, seg.fd);
	}
	return err;
}

void log_writer_note_rotated_durable_locked(struct log_writer *w, uint32_t count)
{
	struct segment seg;

	for (uint32_t i = 0; i < count; i++, w->rotated_count--)
		if (segments_by_number(&w->segments, w->active_number - w->rotated_count, &seg))
			w->rotated_bytes -= seg.bytes;
	if (count > 0)
		thread_check(pthread_cond_signal(&w->rotated_durable));
}

static bool is_full_locked(const struct log_writer *w, uint64_t bytes) REQUIRES(w->lock, log_class)
{
	uint64_t in_file = w->end_position - w->active_start;

	return w->segment_bytes_max > 0 && !log_writer_active_is_empty_locked(w) &&
	       in_file + bytes > w->segment_bytes_now && w->end_position >= w->rotate_from;
}

/* Returns whether another segment may be rotated before the present ones are durable. */
static bool may_run_ahead_locked(const struct log_writer *w) REQUIRES(w->lock, log_class)
{
	uint64_t in_file = w->end_position - w->active_start;

	return w->rotated_count == 0 || (w->rotated_count < ROTATED_MAX &&
					 w->rotated_bytes + in_file <= w->rotated_bytes_max);
}

int log_writer_rotate_if_full_locked(struct log_writer *w, uint64_t bytes)
{
	int err = 0;

	while (w->poison == 0 && err == 0 && is_full_locked(w, bytes)) {
		if (may_run_ahead_locked(w))
			err = rotate_locked(w, false);
		else
			err = log_writer_sync_to_seal_locked(w);
	}
	if (err < 0)
		log_writer_rotate_later_locked(w);
	if (w->poison < 0)
		return -EIO;
	return log_writer_number_active_locked(w);
}

int log_writer_rotate(struct log_writer *w)
{
	int err = 0;

	if (w->read_only)
		return -EROFS;
	log_lock(w);
	if (w->poison < 0)
		err = -EIO;
	else if (!log_writer_active_is_empty_locked(w))
		err = rotate_locked(w, true);
	log_unlock(w);
	return err < 0 ? err : log_writer_seal(w);
}

int log_writer_seal(struct log_writer *w)
{
	uint64_t below;
	int err = 0;

	log_lock(w);
	below = w->active_number; /* other threads may rotate segments without end */
	while (err == 0 && w->rotated_count > 0 && w->active_number - w->rotated_count < below)
		err = log_writer_sync_to_seal_locked(w);
	log_unlock(w);
	return err < 0 ? err : log_set_list(w);
}

void log_writer_set_segment_size(struct log_writer *w, uint64_t bytes)
{
	if (bytes == 0 || bytes > w->segment_bytes_max)
		bytes = w->segment_bytes_max;
	LOCKED(log, w, w->segment_bytes_now = bytes);
}

uint64_t log_writer_segment_size(struct log_writer *w)
{
	return WITH_LOCK(log, w, w->segment_bytes_now);
}

/* --- replaying --- */

int log_writer_replay_sealed(struct log_writer *w, const struct segment *seg, log_replay_fn fn,
			     void *arg, struct diag *diag)
{
	char name[SEGMENT_NAME_BYTES], hint_name[SEGMENT_NAME_BYTES];
	const struct hint_about about = {
		.segment = seg->number,
		.segment_bytes = seg->bytes,
		.segment_fd = seg->fd,
		.name = hint_name,
		.facts = &seg->facts,
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
		.store_id = w->has_manifest ? w->store_id : NULL,
	};
	int err;

	segment_file_name(seg, name);
	hint_name_of((struct segment_id){ seg->number, seg->generation }, hint_name);
	t.hint = hint_reader_open(w->io, w->dir_fd, &about);
	err = log_tail_replay(&t, fn, arg, diag);
	hint_reader_close(t.hint);
	return err;
}

/* --- hints --- */

/* Reads a segment through a separate descriptor, writes its hint and notes its facts. */
static void make_hint(struct log_writer *w, const struct segment *seg)
{
	char name[SEGMENT_NAME_BYTES], hint_name[SEGMENT_NAME_BYTES];
	struct segment_id id = { seg->number, seg->generation };
	struct manifest_facts facts;
	struct hint_about about = {
		.segment = seg->number,
		.segment_bytes = seg->bytes,
		.name = hint_name,
	};
	bool whole;

	segment_name(id, name);
	hint_name_of(id, hint_name);
	about.segment_fd = io_open(w->io, w->dir_fd, name, O_RDONLY, 0);
	if (about.segment_fd == -ENOENT) {
		segment_file_name(seg, name);
		about.segment_fd = io_open(w->io, w->dir_fd, name, O_RDONLY, 0);
	}
	if (about.segment_fd < 0)
		return;
	whole = hint_file_make(w->io, w->dir_fd, &about, &w->stop_hinter, &facts);
	(void)io_close(w->io, &about.segment_fd);
	if (whole)
		segments_set_facts(&w->segments, id, &facts);
}

/* The hinter: writes hints of segments that become durable while the log is open, and seals them.
 * Also makes digests that MANIFEST lacks.  Segments that had no hint when the log was opened got
 * one then. */
void *log_writer_hinter_main(void *arg)
{
	struct log_writer *w = arg;
	uint64_t number = w->hint_from;
	bool unlisted = false; /* digests */
	struct segment seg = { .number = 0 };

	log_lock(w);
	while (!w->stopping) {
		bool idle = number >= w->active_number - w->rotated_count;

		if (idle && !unlisted) {
			cond_wait(&w->rotated_durable, &w->lock);
			continue;
		}
		log_unlock(w);
		if (!idle && segments_by_number(&w->segments, number++, &seg)) {
			if (!seg.facts.has_digest)
				make_hint(w, &seg);
			unlisted = true;
		}
		/* A rotated segment is sealed immediately; digests alone are collected. */
		if (unlisted && (idle || seg.rotated_bytes > 0) && !atomic_load(&w->stop_hinter)) {
			(void)!log_set_list(w); /* the next one tries again, or the close */
			unlisted = false;
		}
		log_lock(w);
	}
	log_unlock(w);
	return NULL;
}
