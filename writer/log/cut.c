/* SPDX-License-Identifier: MIT */
/* Cutting a segment.  The bytes to be cut are first saved in quarantine/ with a report, and both
 * are durable before the cut.
 *
 * On a full disk hints and reserves are given up for that.  If this is not enough, the segment is
 * cut from its end, a piece at a time: each piece is held in memory, and its copy uses the space of
 * the bytes that were cut.  A piece is lost if the process dies between its cut and its copy; the
 * last piece is also lost if even then no file can be made for it.  No promise is broken by that:
 * no append of these bytes was ever acknowledged as durable. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "writer/log/full_disk.h"
#include "writer/log/names.h"
#include "writer/log/quarantine.h"
#include "writer/log/segment_replay.h"

#define COPY_CHUNK_BYTES ((size_t)256 * 1024)
#define PIECE_BYTES	 ((size_t)1024 * 1024)

/* A range to be saved: the bytes of the segment from 'from' on. */
struct saved {
	uint64_t from;
	uint64_t end; /* behind the last non-zero byte; zeros are only counted */
	uint64_t to;
	const uint8_t *bytes; /* NULL: they are still in the segment */
};

/* Finds the end of the last non-zero byte at or behind 'from'; 'from' if there is none. */
static int find_last_nonzero(const struct log_tail *t, uint8_t *chunk, uint64_t *ret_end)
{
	const uint64_t all = t->file_bytes;
	uint64_t at = t->kept_bytes;

	*ret_end = at;
	while ((at = io_next_data(t->io, t->fd, at, all)) < all) {
		size_t n = all - at < COPY_CHUNK_BYTES ? (size_t)(all - at) : COPY_CHUNK_BYTES;
		ssize_t got = io_pread_all(t->io, t->fd, chunk, n, at);

		if (got < 0)
			return (int)got;
		while (got > 0 && chunk[got - 1] == 0)
			got--;
		if (got > 0)
			*ret_end = at + (uint64_t)got;
		at += n;
	}
	return 0;
}

static int save_report(const struct log_tail *t, int quarantine_fd, const char *name,
		       const struct saved *saved, uint64_t now_ns)
{
	return quarantine_report(t->io, quarantine_fd, name,
				 "file: %s\n"
				 "offset: %" PRIu64 "\n"
				 "length: %" PRIu64 "\n"
				 "reason: %s\n"
				 "durable_offset: %" PRIu64 "\n"
				 "saved_as: %s\n"
				 "saved_bytes: %" PRIu64 "\n"
				 "trailing_zero_bytes: %" PRIu64 "\n"
				 "cut_at_ns: %" PRIu64 "\n",
				 t->name, saved->from, saved->to - saved->from,
				 record_reason_text(t->stop.reason), t->durable_bytes,
				 saved->end > saved->from ? name : "-", saved->end - saved->from,
				 saved->to - saved->end, now_ns);
}

/* Writes the bytes and the report into quarantine/ and makes them durable.  If there is no space
 * for the report and 'saved->bytes' is set, the report is left out: the name of the copy has the
 * same information. */
static int save_in(const struct log_tail *t, int quarantine_fd, const struct saved *saved,
		   char *ret_name, size_t ret_name_size)
{
	const struct file_part part = { t->io, t->fd, saved->from, saved->end - saved->from,
					saved->bytes };
	uint64_t now_ns = io_clock_ns(t->io);
	char name[NAME_MAX + 1];
	int err = quarantine_name(t->name, "", saved->from, now_ns, name, sizeof(name));

	if (err == 0 && part.bytes > 0)
		err = quarantine_save(t->io, quarantine_fd, name, &part);
	if (err < 0)
		return err;
	err = save_report(t, quarantine_fd, name, saved, now_ns);
	if (log_is_full(err) && saved->bytes != NULL)
		err = 0;
	else if (err < 0 && part.bytes > 0)
		(void)!io_unlink(t->io, quarantine_fd, name);
	if (err == 0)
		err = io_fsync(t->io, quarantine_fd);
	if (err == 0)
		(void)snprintf(ret_name, ret_name_size, QUARANTINE_NAME "/%.*s%s",
			       (int)strlen(name) - 4, name, part.bytes > 0 ? ".bad" : ".txt");
	return err;
}

static int save(const struct log_tail *t, const struct saved *saved, char *ret_name,
		size_t ret_name_size)
{
	int err, fd = quarantine_open(t->io, t->dir_fd);

	if (fd < 0)
		return fd;
	err = save_in(t, fd, saved, ret_name, ret_name_size);
	(void)io_close(t->io, &fd); /* a directory: nothing can be lost */
	return err;
}

int log_tail_cut_zeros(struct log_tail *t, bool *ret_cut, struct diag *diag)
{
	uint8_t *chunk = malloc(COPY_CHUNK_BYTES);
	uint64_t end = t->kept_bytes;
	int err;

	if (chunk == NULL)
		return diag_set(diag, -ENOMEM, "%s: out of memory", t->path);
	err = find_last_nonzero(t, chunk, &end);
	free(chunk);
	if (err == 0 && end == t->kept_bytes) {
		err = io_truncate(t->io, t->fd, t->kept_bytes);
		*ret_cut = err == 0;
	}
	if (err < 0)
		return diag_set(diag, err, "%s: cannot cut the zeros at offset %" PRIu64 ": %s",
				t->path, t->kept_bytes, strerror(-err));
	return 0;
}

static int truncate_to(const struct log_tail *t, uint64_t bytes)
{
	int err = io_truncate(t->io, t->fd, bytes);

	return err < 0 ? err : io_fsync(t->io, t->fd);
}

/* --- on a full disk --- */

/* Saves and cuts the last bytes of the segment; cuts first if they cannot be saved before. */
static int cut_piece(const struct log_tail *t, const struct saved *saved, char *ret_name,
		     size_t ret_name_size)
{
	size_t n = (size_t)(saved->to - saved->from);
	int err = save(t, saved, ret_name, ret_name_size);
	int cut_err = 0;

	if (err == 0 || log_is_full(err))
		cut_err = truncate_to(t, saved->from);
	if (cut_err < 0 || !log_is_full(err))
		return err < 0 ? err : cut_err;
	err = save(t, saved, ret_name, ret_name_size);
	if (log_is_full(err) && saved->from == t->kept_bytes) {
		(void)snprintf(ret_name, ret_name_size, "nothing: the disk is full");
		return 0;
	}
	if (err < 0) /* as it was, except for the bytes that are saved */
		(void)!io_pwrite_all(t->io, t->fd, saved->bytes, n, saved->from);
	return err;
}

static int read_piece(const struct log_tail *t, uint8_t *piece, const struct saved *saved)
{
	size_t n = (size_t)(saved->to - saved->from);
	ssize_t got = io_pread_all(t->io, t->fd, piece, n, saved->from);

	if (got >= 0 && (size_t)got != n)
		return -EIO; /* the file shrank */
	return got < 0 ? (int)got : 0;
}

static int cut_in_pieces(const struct log_tail *t, uint64_t end, char *ret_name,
			 size_t ret_name_size)
{
	uint8_t *piece = malloc(PIECE_BYTES);
	int err = piece == NULL ? -ENOMEM : 0;

	if (err == 0 && end < t->file_bytes)
		err = truncate_to(t, end); /* zeros */
	while (err == 0 && end > t->kept_bytes) {
		uint64_t left = end - t->kept_bytes;
		struct saved saved = { .from = left > PIECE_BYTES ? end - PIECE_BYTES
								  : t->kept_bytes,
				       .end = end,
				       .to = end,
				       .bytes = piece };

		err = read_piece(t, piece, &saved);
		if (err == 0)
			err = cut_piece(t, &saved, ret_name, ret_name_size);
		end = saved.from;
	}
	free(piece);
	return err;
}

/* --- the whole cut --- */

static int save_and_cut(struct log_tail *t, char *ret_name, size_t ret_name_size)
{
	uint8_t *chunk = malloc(COPY_CHUNK_BYTES);
	struct saved saved = { .from = t->kept_bytes, .to = t->file_bytes };
	unsigned int given_up = 0;
	int err = chunk == NULL ? -ENOMEM : find_last_nonzero(t, chunk, &saved.end);

	free(chunk);
	if (err < 0)
		return err;
	do
		err = save(t, &saved, ret_name, ret_name_size);
	while (log_is_full(err) && log_give_up(t->io, t->dir_fd, &given_up));
	return log_is_full(err) ? cut_in_pieces(t, saved.end, ret_name, ret_name_size) : err;
}

int log_tail_cut(struct log_tail *t, char *ret_name, size_t ret_name_size, struct diag *diag)
{
	int err = save_and_cut(t, ret_name, ret_name_size);

	if (err < 0)
		return diag_set(diag, err,
				"%s: cannot save the torn tail at offset %" PRIu64
				" under " QUARANTINE_NAME "/: %s; nothing was cut",
				t->path, t->kept_bytes, strerror(-err));
	err = truncate_to(t, t->kept_bytes);
	if (err < 0)
		return diag_set(diag, err, "%s: cannot cut the torn tail at offset %" PRIu64 ": %s",
				t->path, t->kept_bytes, strerror(-err));
	return 0;
}
