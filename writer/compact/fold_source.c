/* SPDX-License-Identifier: MIT */
#include "writer/compact/fold_source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "codec/crc32.h"
#include "codec/le.h"

/* Whatever a mount writes fits: a mebibyte of value, and the longest path. */
#define BUFFER_BYTES ((size_t)(1024 + 128) * 1024)
#define CHUNK_BYTES  ((size_t)256 * 1024)

int fold_source_init(struct fold_source *s, struct log_writer *log)
{
	*s = (struct fold_source){ .log = log, .at = UINT64_MAX };
	number_set_init(&s->checked);
	s->buffer = malloc(BUFFER_BYTES);
	s->chunk = malloc(CHUNK_BYTES);
	return s->buffer == NULL || s->chunk == NULL ? -ENOMEM : 0;
}

void fold_source_free(struct fold_source *s)
{
	free(s->buffer);
	free(s->chunk);
	s->buffer = s->chunk = NULL;
	number_set_destroy(&s->checked);
}

static int read_exactly(struct fold_source *s, void *buf, size_t n, uint64_t position)
{
	ssize_t got = log_writer_read(s->log, buf, n, position);

	if (got < 0)
		return (int)got;
	return (size_t)got == n ? 0 : -EIO;
}

/* Computes the CRC of so many bytes at a position, beginning with 'crc'. */
static int crc_of(struct fold_source *s, uint64_t position, uint64_t bytes, uint32_t *crc)
{
	while (bytes > 0) {
		size_t n = bytes < CHUNK_BYTES ? (size_t)bytes : CHUNK_BYTES;
		int err = read_exactly(s, s->chunk, n, position);

		if (err < 0)
			return err;
		*crc = crc32_extend(*crc, s->chunk, n);
		position += n;
		bytes -= n;
	}
	return 0;
}

/* Checks a record whose first 'held' bytes are in the buffer. */
static int check(struct fold_source *s, uint64_t position, uint64_t bytes, size_t held)
{
	uint32_t crc =
		crc32_extend(0, s->buffer + RECORD_CRC_COVERS_FROM, held - RECORD_CRC_COVERS_FROM);
	int err;

	if (held < bytes && number_set_has(&s->checked, position + 1))
		return 0;
	err = crc_of(s, position + held, bytes - held, &crc);
	if (err == 0 && crc != s->crc)
		err = -EBADMSG;
	if (err == 0 && held < bytes) /* else it is checked again */
		(void)!number_set_add(&s->checked, position + 1);
	return err;
}

int fold_source_take(struct fold_source *s, const struct value_place *place)
{
	uint64_t bytes = record_bytes(place->key_bytes, place->value_bytes);
	size_t held = bytes < BUFFER_BYTES ? (size_t)bytes : BUFFER_BYTES;
	int err;

	if (s->at == place->record_offset)
		return 0;
	s->at = UINT64_MAX;
	err = read_exactly(s, s->buffer, held, place->record_offset);
	if (err < 0)
		return err;
	s->crc = record_decode_header(s->buffer, &s->rec);
	if (s->rec.key_bytes != place->key_bytes || s->rec.value_bytes != place->value_bytes)
		return -EBADMSG;
	err = check(s, place->record_offset, bytes, held);
	if (err < 0)
		return err;
	s->at = place->record_offset;
	s->is_held = held == bytes;
	return 0;
}

bool fold_source_has_key(const struct fold_source *s, const void *key, uint32_t key_bytes)
{
	if (s->rec.key_bytes != key_bytes || key_bytes > BUFFER_BYTES - RECORD_HEADER_BYTES)
		return false;
	return memcmp(s->buffer + RECORD_HEADER_BYTES, key, key_bytes) == 0;
}

static int copy_bytes(struct fold_source *s, struct compact_out *to, uint64_t position,
		      uint64_t bytes)
{
	int err = 0;

	while (err == 0 && bytes > 0) {
		size_t n = bytes < CHUNK_BYTES ? (size_t)bytes : CHUNK_BYTES;

		err = read_exactly(s, s->chunk, n, position);
		if (err == 0)
			err = compact_out_add(to, s->chunk, n);
		position += n;
		bytes -= n;
	}
	return err;
}

/* A record that does not fit the buffer.  One that stays what it is keeps its CRC, too: it still
 * tells if a byte rots on the way. */
static int copy_large(struct fold_source *s, struct compact_out *to, const struct record *rec,
		      uint32_t from, uint32_t bytes)
{
	uint64_t position = s->at + RECORD_HEADER_BYTES + s->rec.key_bytes + from;
	bool is_same = rec->head_bytes == 0 && bytes == s->rec.value_bytes &&
		       rec->timestamp_ns == s->rec.timestamp_ns &&
		       fold_source_has_key(s, rec->key, rec->key_bytes);
	uint8_t header[RECORD_HEADER_BYTES];
	uint32_t crc = s->crc;
	int err = 0;

	le32_store(header + RECORD_KEY_SIZE_OFFSET, rec->key_bytes);
	le32_store(header + RECORD_VALUE_SIZE_OFFSET, rec->value_bytes);
	le64_store(header + RECORD_TIMESTAMP_OFFSET, rec->timestamp_ns);
	if (!is_same) {
		crc = crc32_extend(0, header + RECORD_CRC_COVERS_FROM,
				   sizeof(header) - RECORD_CRC_COVERS_FROM);
		crc = crc32_extend(crc, rec->key, rec->key_bytes);
		crc = crc32_extend(crc, rec->head, rec->head_bytes);
		err = crc_of(s, position, bytes, &crc);
	}
	le32_store(header + RECORD_CRC_OFFSET, crc);
	if (err == 0)
		err = compact_out_add(to, header, sizeof(header));
	if (err == 0)
		err = compact_out_add(to, rec->key, rec->key_bytes);
	if (err == 0)
		err = compact_out_add(to, rec->head, rec->head_bytes);
	return err < 0 ? err : copy_bytes(s, to, position, bytes);
}

int fold_source_copy(struct fold_source *s, struct compact_out *to, const struct record *rec,
		     uint32_t from, uint32_t bytes)
{
	struct record whole = *rec;

	whole.value_bytes = rec->head_bytes + bytes;
	if (!s->is_held)
		return copy_large(s, to, &whole, from, bytes);
	whole.value = s->buffer + RECORD_HEADER_BYTES + s->rec.key_bytes + from;
	return compact_out_record(to, &whole);
}
