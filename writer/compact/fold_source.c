/* SPDX-License-Identifier: MIT */
#include "writer/compact/fold_source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "codec/crc32.h"
#include "codec/le.h"

/* Large enough for every value that a mount writes: one mebibyte, and the longest path. */
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

/* Adds 'bytes' of the current record, from byte 'from' on, to 'crc'. */
static int crc_of(struct fold_source *s, uint64_t from, uint64_t bytes, uint32_t *crc)
{
	while (bytes > 0) {
		size_t n = bytes < CHUNK_BYTES ? (size_t)bytes : CHUNK_BYTES;
		int err = record_at_read(s->log, &s->value, from, s->chunk, n);

		if (err < 0)
			return err;
		*crc = crc32_extend(*crc, s->chunk, n);
		from += n;
		bytes -= n;
	}
	return 0;
}

int fold_source_take(struct fold_source *s, const struct value_position *value)
{
	uint64_t bytes = record_bytes(value->key_bytes, value->value_bytes);
	size_t held = bytes < BUFFER_BYTES ? (size_t)bytes : BUFFER_BYTES;
	bool is_checked;
	int err;

	if (s->at == value->record_position)
		return 0;
	s->at = UINT64_MAX;
	is_checked = held < bytes && number_set_has(&s->checked, value->record_position + 1);
	err = is_checked ? record_at_read(s->log, value, 0, s->buffer, held)
			 : record_at_check(s->log, value, 0, s->buffer, held);
	if (err < 0)
		return err;
	if (held < bytes) /* without memory for the note it is checked again */
		(void)!number_set_add(&s->checked, value->record_position + 1);
	s->crc = record_decode_header(s->buffer, &s->rec);
	s->value = *value;
	s->at = value->record_position;
	s->is_held = held == bytes;
	return 0;
}

/* Returns whether the current record has this key. */
static bool has_key(const struct fold_source *s, const void *key, uint32_t key_bytes)
{
	if (s->rec.key_bytes != key_bytes || key_bytes > BUFFER_BYTES - RECORD_HEADER_BYTES)
		return false;
	return memcmp(s->buffer + RECORD_HEADER_BYTES, key, key_bytes) == 0;
}

static int copy_bytes(struct fold_source *s, struct compact_out *to, uint64_t from, uint64_t bytes)
{
	int err = 0;

	while (err == 0 && bytes > 0) {
		size_t n = bytes < CHUNK_BYTES ? (size_t)bytes : CHUNK_BYTES;

		err = record_at_read(s->log, &s->value, from, s->chunk, n);
		if (err == 0)
			err = compact_out_add(to, s->chunk, n);
		from += n;
		bytes -= n;
	}
	return err;
}

/* Copies from a record that does not fit the buffer.  A record that does not change keeps its CRC,
 * too, so that damage on the way is detected later. */
static int copy_large(struct fold_source *s, struct compact_out *to, const struct record *rec,
		      uint32_t from, uint32_t bytes)
{
	uint64_t from_in_record = value_position_header_bytes(&s->value) + from;
	bool is_same = rec->head_bytes == 0 && bytes == s->rec.value_bytes &&
		       rec->timestamp_ns == s->rec.timestamp_ns &&
		       has_key(s, rec->key, rec->key_bytes);
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
		err = crc_of(s, from_in_record, bytes, &crc);
	}
	le32_store(header + RECORD_CRC_OFFSET, crc);
	if (err == 0)
		err = compact_out_add(to, header, sizeof(header));
	if (err == 0)
		err = compact_out_add(to, rec->key, rec->key_bytes);
	if (err == 0)
		err = compact_out_add(to, rec->head, rec->head_bytes);
	return err < 0 ? err : copy_bytes(s, to, from_in_record, bytes);
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
