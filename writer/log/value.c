/* SPDX-License-Identifier: MIT */
#include "writer/log/value.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "codec/crc32.h"
#include "codec/record.h"

#define CHUNK_BYTES	 ((size_t)256 * 1024)
#define FIRST_READ_BYTES 4096 /* holds most records whole */

static int read_exactly(struct log_writer *w, void *buf, size_t n, uint64_t offset)
{
	ssize_t got = log_writer_read(w, buf, n, offset);

	return got >= 0 && (size_t)got == n ? 0 : -EIO;
}

/* -EBADMSG: the CRC or a size differs. */
static int check_record(struct log_writer *w, uint64_t offset, uint32_t key_bytes,
			uint32_t value_bytes)
{
	uint64_t bytes = record_bytes(key_bytes, value_bytes), done = 0;
	uint8_t *chunk = malloc(CHUNK_BYTES);
	struct record rec = { 0 };
	uint32_t crc = 0, stored = 0;
	int err = chunk == NULL ? -ENOMEM : 0;

	while (err == 0 && done < bytes) {
		size_t n = bytes - done < CHUNK_BYTES ? (size_t)(bytes - done) : CHUNK_BYTES;
		size_t skip = 0;

		err = read_exactly(w, chunk, n, offset + done);
		if (err < 0)
			break;
		if (done == 0) {
			stored = record_decode_header(chunk, &rec);
			skip = RECORD_CRC_COVERS_FROM;
		}
		crc = crc32_extend(crc, chunk + skip, n - skip);
		done += n;
	}
	free(chunk);
	if (err < 0)
		return err;
	if (crc != stored || rec.key_bytes != key_bytes || rec.value_bytes != value_bytes)
		return -EBADMSG;
	return 0;
}

int log_value_check(struct log_writer *w, uint64_t offset, uint32_t key_bytes, uint32_t value_bytes)
{
	int err = check_record(w, offset, key_bytes, value_bytes);

	return err == -EBADMSG ? -EIO : err;
}

int log_value_read(struct log_writer *w, uint64_t offset, uint32_t key_bytes, uint64_t value_offset,
		   void *buf, size_t n)
{
	return read_exactly(w, buf, n, offset + RECORD_HEADER_BYTES + key_bytes + value_offset);
}

static int reserve(struct log_record *r, uint64_t bytes)
{
	void *data;

	if (bytes <= r->room)
		return 0;
	if (bytes > SIZE_MAX)
		return -ENOMEM;
	data = realloc(r->data, (size_t)bytes);
	if (data == NULL)
		return -ENOMEM;
	r->data = data;
	r->room = (size_t)bytes;
	return 0;
}

int log_record_at(struct log_writer *w, uint64_t position, struct log_record *r)
{
	uint64_t room = log_writer_room(w, position);
	size_t n = room < FIRST_READ_BYTES ? (size_t)room : FIRST_READ_BYTES;
	uint8_t first[FIRST_READ_BYTES];
	struct record_scan_result res;
	enum record_scan scan;
	int err;

	if (room == 0)
		return -ERANGE;
	err = read_exactly(w, first, n, position);
	if (err < 0)
		return err;
	scan = record_scan(first, n, room, &res);
	if (scan != RECORD_WHOLE && scan != RECORD_NEED_MORE)
		return -EBADMSG;
	/* No large allocation by a size that may be wrong. */
	if (res.bytes > CHUNK_BYTES)
		err = check_record(w, position, res.rec.key_bytes, res.rec.value_bytes);
	if (err == 0)
		err = reserve(r, res.bytes);
	if (err == 0 && scan == RECORD_NEED_MORE)
		err = read_exactly(w, r->data, (size_t)res.bytes, position);
	if (err < 0)
		return err;
	if (scan == RECORD_WHOLE)
		memcpy(r->data, first, (size_t)res.bytes);
	if (record_scan(r->data, (size_t)res.bytes, res.bytes, &res) != RECORD_WHOLE)
		return -EBADMSG;
	r->rec = res.rec;
	r->bytes = (size_t)res.bytes;
	return 0;
}
