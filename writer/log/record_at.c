/* SPDX-License-Identifier: MIT */
#include "writer/log/file_set.h"
#include "writer/log/record_at.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "codec/crc32.h"
#include "writer/log_writer.h"

#define CHUNK_BYTES    ((size_t)256 * 1024)
#define READ_BYTES_MIN 512 /* enough for many records */

static int read_all_at(struct log_writer *w, void *buf, size_t n, uint64_t position)
{
	ssize_t got = log_writer_read(w, buf, n, position);

	if (got < 0)
		return (int)got;
	return (size_t)got == n ? 0 : -EBADMSG;
}

/* A record that is read in chunks, and the bytes of it that the caller wants. */
struct check {
	struct log_writer *w;
	const struct value_position *value;
	uint64_t from, end; /* of the wanted bytes, as offsets in the record */
	uint8_t *buf;
	uint8_t *chunk; /* owned */
	uint64_t done;
	uint32_t crc, stored;
};

/* Returns memory for the next 'n' bytes: the caller's if all of them are wanted, otherwise the
 * chunk, which is allocated the first time.  NULL: no memory. */
static uint8_t *target(struct check *c, size_t n)
{
	if (c->done >= c->from && c->done + n <= c->end)
		return c->buf + (c->done - c->from);
	if (c->chunk == NULL)
		c->chunk = malloc(n); /* no later chunk is larger */
	return c->chunk;
}

/* Copies the wanted bytes of the chunk. */
static void copy_wanted(const struct check *c, size_t n)
{
	uint64_t begin = c->done > c->from ? c->done : c->from;
	uint64_t end = c->done + n < c->end ? c->done + n : c->end;

	if (begin < end)
		memcpy(c->buf + (begin - c->from), c->chunk + (begin - c->done),
		       (size_t)(end - begin));
}

static int check_chunk(struct check *c, size_t n)
{
	size_t skip = c->done == 0 ? RECORD_CRC_COVERS_FROM : 0;
	uint8_t *bytes = target(c, n);
	struct record rec;
	int err;

	if (bytes == NULL)
		return -ENOMEM;
	err = read_all_at(c->w, bytes, n, c->value->record_position + c->done);
	if (err < 0)
		return err;
	if (c->done == 0) {
		c->stored = record_decode_header(bytes, &rec);
		if (rec.key_bytes != c->value->key_bytes ||
		    rec.value_bytes != c->value->value_bytes)
			return -EBADMSG;
	}
	c->crc = crc32_extend(c->crc, bytes + skip, n - skip);
	if (bytes == c->chunk)
		copy_wanted(c, n);
	c->done += n;
	return 0;
}

int record_at_check(struct log_writer *w, const struct value_position *value, uint64_t from,
		    void *buf, size_t n)
{
	uint64_t bytes = record_bytes(value->key_bytes, value->value_bytes);
	struct check c = { .w = w, .value = value, .from = from, .end = from + n, .buf = buf };
	int err = 0;

	while (err == 0 && c.done < bytes)
		err = check_chunk(&c, bytes - c.done < CHUNK_BYTES ? (size_t)(bytes - c.done)
								   : CHUNK_BYTES);
	free(c.chunk);
	if (err < 0)
		return err;
	return c.crc == c.stored ? 0 : -EBADMSG;
}

int record_at_read(struct log_writer *w, const struct value_position *value, uint64_t from,
		   void *buf, size_t n)
{
	return read_all_at(w, buf, n, value->record_position + from);
}

/* --- records of unknown size --- */

static int reserve(struct log_record *r, uint64_t bytes)
{
	void *data;

	if (bytes <= r->capacity)
		return 0;
	if (bytes > SIZE_MAX)
		return -ENOMEM;
	data = realloc(r->data, (size_t)bytes);
	if (data == NULL)
		return -ENOMEM;
	r->data = data;
	r->capacity = (size_t)bytes;
	return 0;
}

/* Checks the record's CRC before memory is allocated by a size that may be wrong. */
static int check_in_chunks(struct log_writer *w, uint64_t position,
			   const struct record_scan_result *found)
{
	const struct value_position value = { .record_position = position,
					      .key_bytes = found->rec.key_bytes,
					      .value_bytes = found->rec.value_bytes };

	return found->bytes > CHUNK_BYTES ? record_at_check(w, &value, 0, NULL, 0) : 0;
}

/* Reads 'bytes' at 'position' into memory, replacing the bytes that are there. */
static int load_bytes(struct log_writer *w, struct log_record *r, uint64_t position, uint64_t bytes)
{
	int err = reserve(r, bytes);

	r->held_bytes = 0;
	if (err == 0)
		err = read_all_at(w, r->data, (size_t)bytes, position);
	if (err < 0)
		return err;
	r->held_from = position;
	r->held_bytes = (size_t)bytes;
	return 0;
}

/* Classifies 'position' by the bytes in memory. */
static enum record_scan scan_held(struct log_record *r, uint64_t position, uint64_t left,
				  struct record_scan_result *ret)
{
	static const uint8_t nothing[1];
	uint64_t at = position - r->held_from;

	r->start = nothing;
	if (position < r->held_from || at >= r->held_bytes)
		return record_scan(nothing, 0, left, ret);
	r->start = r->data + at;
	return record_scan(r->start, r->held_bytes - (size_t)at, left, ret);
}

int record_at_load(struct log_writer *w, uint64_t position, struct log_record *r)
{
	uint64_t ahead = r->ahead_bytes > READ_BYTES_MIN ? r->ahead_bytes : READ_BYTES_MIN;
	uint64_t left = log_writer_bytes_from(w, position), bytes;
	struct record_scan_result res;
	enum record_scan scan;
	int err = 0;

	if (left == 0)
		return -ERANGE;
	/* Records never change, so bytes in memory are as good as those in the file. */
	scan = scan_held(r, position, left, &res);
	while (err == 0 && scan == RECORD_NEED_MORE) {
		err = check_in_chunks(w, position, &res);
		bytes = res.bytes > ahead ? res.bytes : ahead;
		if (err == 0)
			err = load_bytes(w, r, position, bytes < left ? bytes : left);
		if (err == 0)
			scan = scan_held(r, position, left, &res);
	}
	if (err < 0)
		return err;
	if (scan != RECORD_WHOLE)
		return -EBADMSG;
	r->rec = res.rec;
	r->bytes = (size_t)res.bytes;
	return 0;
}
