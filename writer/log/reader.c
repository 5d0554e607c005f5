/* SPDX-License-Identifier: MIT */
/* The reader of a log file keeps a window of the file in memory and classifies each position in it
 * with record_scan().  A record larger than the window is read twice: once in pieces for its CRC
 * and, if that is right, so that its sizes can be trusted, once more for the key and the front of
 * the value. */
#include "writer/log/reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "codec/crc32.h"

#define WINDOW_BYTES (1024 * 1024)

struct log_reader {
	struct io *io;
	int fd;
	uint64_t file_bytes; /* the end for this reader */
	uint64_t offset;     /* of the next record */

	/* The window: file bytes [window_offset, window_offset + window_bytes). */
	uint8_t *window;
	uint64_t window_offset;
	size_t window_bytes;

	bool may_shrink;
	bool has_shrunk; /* 'file_bytes' is the new end */

	uint8_t *large; /* key and front of the value of a record larger than the window */
	struct log_stop stop;
};

int log_reader_open(struct io *io, int fd, uint64_t offset, uint64_t file_bytes,
		    struct log_reader **ret)
{
	struct log_reader *r = calloc(1, sizeof(*r));
	uint64_t left = file_bytes > offset ? file_bytes - offset : 1;

	if (r == NULL)
		return -ENOMEM;
	/* A log can have very many small files. */
	r->window = malloc(left < WINDOW_BYTES ? (size_t)left : WINDOW_BYTES);
	if (r->window == NULL) {
		free(r);
		return -ENOMEM;
	}
	r->io = io;
	r->fd = fd;
	r->offset = offset;
	r->window_offset = offset;
	r->file_bytes = file_bytes;
	*ret = r;
	return 0;
}

void log_reader_close(struct log_reader *r)
{
	if (r == NULL)
		return;
	free(r->large);
	free(r->window);
	free(r);
}

struct log_stop log_reader_stop(const struct log_reader *r)
{
	return r->stop;
}

/* Reads exactly 'n' bytes that the file is known to have. */
static int read_exactly(struct log_reader *r, void *buf, size_t n, uint64_t offset)
{
	ssize_t got = io_pread_all(r->io, r->fd, buf, n, offset);

	if (got < 0)
		return (int)got;
	if ((size_t)got == n)
		return 0;
	/* The file shrank while it was read. */
	if (r->may_shrink) {
		r->has_shrunk = true;
		r->file_bytes = offset + (uint64_t)got;
	}
	return -EIO;
}

/* Moves the window so that it begins at the next record, and fills it as far as the file allows. */
static int refill(struct log_reader *r)
{
	size_t used = (size_t)(r->offset - r->window_offset);
	size_t rest = r->window_bytes - used;
	uint64_t left = r->file_bytes - r->offset;
	size_t want = left < WINDOW_BYTES ? (size_t)left : WINDOW_BYTES;
	int err;

	memmove(r->window, r->window + used, rest);
	r->window_offset = r->offset;
	r->window_bytes = rest;
	err = read_exactly(r, r->window + rest, want - rest, r->offset + rest);
	if (err == 0)
		r->window_bytes = want;
	return err;
}

/* Computes the CRC of the record of 'bytes' at the reader's position, a window at a time. */
static int crc_in_pieces(struct log_reader *r, uint64_t bytes, uint32_t *ret_crc)
{
	uint64_t done = RECORD_CRC_COVERS_FROM;
	uint32_t crc = 0;
	int err;

	r->window_bytes = 0; /* its memory is used here */
	r->window_offset = r->offset;
	while (done < bytes) {
		size_t n = bytes - done < WINDOW_BYTES ? (size_t)(bytes - done) : WINDOW_BYTES;

		err = read_exactly(r, r->window, n, r->offset + done);
		if (err < 0)
			return err;
		crc = crc32_extend(crc, r->window, n);
		done += n;
	}
	*ret_crc = crc;
	return 0;
}

static uint32_t held_bytes(uint32_t value_bytes)
{
	return value_bytes < LOG_READER_VALUE_BYTES ? value_bytes : LOG_READER_VALUE_BYTES;
}

static int stop_at(struct log_reader *r, enum record_scan scan,
		   const struct record_scan_result *res)
{
	r->stop = (struct log_stop){
		.offset = r->offset,
		.scan = scan,
		.reason = res->reason,
		.crc_stored = res->crc_stored,
		.crc_computed = res->crc_computed,
	};
	return 0;
}

static void fill_entry(struct log_reader *r, const struct record *rec, uint32_t crc,
		       struct log_entry *ret)
{
	*ret = (struct log_entry){
		.rec = *rec,
		.value_held_bytes = held_bytes(rec->value_bytes),
		.offset = r->offset,
		.bytes = record_bytes(rec->key_bytes, rec->value_bytes),
		.crc = crc,
	};
	r->offset += ret->bytes;
}

/* Reads a record that does not fit the window.  'res' has its sizes and its stored CRC. */
static int next_large(struct log_reader *r, struct record_scan_result *res, struct log_entry *ret)
{
	struct record rec = res->rec;
	size_t want = (size_t)rec.key_bytes + held_bytes(rec.value_bytes);
	int err;

	err = crc_in_pieces(r, res->bytes, &res->crc_computed);
	if (err < 0)
		return err;
	if (res->crc_computed != res->crc_stored) {
		res->reason = RECORD_REASON_CRC;
		return stop_at(r, RECORD_DAMAGED, res);
	}
	free(r->large);
	r->large = malloc(want);
	if (r->large == NULL)
		return -ENOMEM;
	err = read_exactly(r, r->large, want, r->offset + RECORD_HEADER_BYTES);
	if (err < 0)
		return err;
	rec.key = r->large;
	rec.value = r->large + rec.key_bytes;
	fill_entry(r, &rec, res->crc_stored, ret);
	r->window_offset = r->offset; /* the window is empty: it begins at the next record */
	return 1;
}

bool log_reader_next_held(struct log_reader *r, struct log_entry *ret)
{
	size_t used = (size_t)(r->offset - r->window_offset);
	struct record_scan_result res;

	if (record_scan(r->window + used, r->window_bytes - used, r->file_bytes - r->offset,
			&res) != RECORD_WHOLE)
		return false;
	fill_entry(r, &res.rec, res.crc_stored, ret);
	return true;
}

static int next(struct log_reader *r, struct log_entry *ret)
{
	struct record_scan_result res;
	enum record_scan scan;
	int err;

	for (;;) {
		size_t used = (size_t)(r->offset - r->window_offset);

		scan = record_scan(r->window + used, r->window_bytes - used,
				   r->file_bytes - r->offset, &res);
		if (scan == RECORD_WHOLE) {
			fill_entry(r, &res.rec, res.crc_stored, ret);
			return 1;
		}
		if (scan != RECORD_NEED_MORE)
			return stop_at(r, scan, &res);
		if (res.bytes > WINDOW_BYTES)
			return next_large(r, &res, ret);
		err = refill(r);
		if (err < 0)
			return err;
	}
}

int log_reader_next(struct log_reader *r, struct log_entry *ret)
{
	int got = next(r, ret);

	if (got == -EIO && r->has_shrunk) { /* once more, up to the new end */
		r->has_shrunk = false;
		r->window_bytes = 0;
		r->window_offset = r->offset;
		if (r->file_bytes < r->offset)
			r->file_bytes = r->offset;
		got = next(r, ret);
	}
	return got;
}

void log_reader_allow_shrinking(struct log_reader *r)
{
	r->may_shrink = true;
}
