/* SPDX-License-Identifier: MIT */
#include "codec/hint.h"

#include <string.h>

#include "codec/crc32.h"
#include "codec/le.h"
#include "codec/meta.h"

enum {
	HINT_MAGIC = 0,
	HINT_VERSION = 8,
	HINT_CRC = 12, /* of the entries, then of the header's bytes before the CRC, then of those
			  behind it */
	HINT_SEGMENT = 16,
	HINT_SEGMENT_BYTES = 24,
	HINT_RECORDS = 32,
	HINT_BYTES = 40,
	HINT_LAST_OFFSET = 48,
	HINT_LAST_CRC = 56,
	HINT_ZERO = 60,
};

enum {
	ENTRY_KEY_SIZE = 0,
	ENTRY_VALUE_SIZE = 4,
	ENTRY_TIMESTAMP = 8,
	ENTRY_HELD_SIZE = 16,
	ENTRY_KEY = 20,
};

#define HINT_MAGIC_BYTES 8
static const char magic[HINT_MAGIC_BYTES + 1] = "freyjhnt";
static const uint32_t version = 1;

#define KIND_EXTENT	  'e'
#define EXTENT_HEAD_BYTES 18 /* version, flags, offset, and the length of a hole */

_Static_assert(HINT_ZERO + 4 == HINT_HEADER_BYTES, "the zeros are the last field");
_Static_assert(ENTRY_KEY == HINT_ENTRY_FIXED_BYTES, "the key follows the sizes");

static uint32_t header_crc(const uint8_t *p, uint32_t body_crc)
{
	uint32_t crc = crc32_extend(body_crc, p, HINT_CRC);

	return crc32_extend(crc, p + HINT_SEGMENT, HINT_HEADER_BYTES - HINT_SEGMENT);
}

void hint_header_encode(const struct hint_header *h, uint32_t body_crc,
			uint8_t out[HINT_HEADER_BYTES])
{
	memcpy(out + HINT_MAGIC, magic, HINT_MAGIC_BYTES);
	le32_store(out + HINT_VERSION, version);
	le64_store(out + HINT_SEGMENT, h->segment);
	le64_store(out + HINT_SEGMENT_BYTES, h->segment_bytes);
	le64_store(out + HINT_RECORDS, h->records);
	le64_store(out + HINT_BYTES, h->hint_bytes);
	le64_store(out + HINT_LAST_OFFSET, h->last_record_offset);
	le32_store(out + HINT_LAST_CRC, h->last_record_crc);
	le32_store(out + HINT_ZERO, 0);
	le32_store(out + HINT_CRC, header_crc(out, body_crc));
}

uint32_t hint_held_bytes(const void *key, size_t key_bytes, uint32_t value_bytes)
{
	const uint8_t *k = key;

	if (!meta_is_key(key, key_bytes))
		return 0;
	if (key_bytes >= META_KEY_PREFIX_BYTES && k[1] == KIND_EXTENT &&
	    value_bytes > EXTENT_HEAD_BYTES)
		return EXTENT_HEAD_BYTES;
	return value_bytes;
}

void hint_entry_encode(const struct record *rec, uint32_t held_bytes, uint8_t *out)
{
	le32_store(out + ENTRY_KEY_SIZE, rec->key_bytes);
	le32_store(out + ENTRY_VALUE_SIZE, rec->value_bytes);
	le64_store(out + ENTRY_TIMESTAMP, rec->timestamp_ns);
	le32_store(out + ENTRY_HELD_SIZE, held_bytes);
	if (rec->key_bytes > 0)
		memcpy(out + ENTRY_KEY, rec->key, rec->key_bytes);
	if (held_bytes > 0)
		memcpy(out + ENTRY_KEY + rec->key_bytes, rec->value, held_bytes);
}

size_t hint_entry_decode(const uint8_t *buf, size_t buf_bytes, struct record *ret,
			 uint32_t *ret_held_bytes)
{
	uint32_t key_bytes, value_bytes, held;

	if (buf_bytes < HINT_ENTRY_FIXED_BYTES)
		return 0;
	key_bytes = le32_load(buf + ENTRY_KEY_SIZE);
	value_bytes = le32_load(buf + ENTRY_VALUE_SIZE);
	held = le32_load(buf + ENTRY_HELD_SIZE);
	if (held > value_bytes || hint_entry_bytes(key_bytes, held) > buf_bytes)
		return 0;
	*ret = (struct record){
		.timestamp_ns = le64_load(buf + ENTRY_TIMESTAMP),
		.key = buf + ENTRY_KEY,
		.value = buf + ENTRY_KEY + key_bytes,
		.key_bytes = key_bytes,
		.value_bytes = value_bytes,
	};
	*ret_held_bytes = held;
	return hint_entry_bytes(key_bytes, held);
}

/* Returns whether the entries are complete and match the header's segment.  Stores the first and
 * the latest timestamp. */
static bool entries_ok(const uint8_t *p, struct hint_header *h)
{
	uint64_t offset = 0, last = 0, records = 0;
	size_t pos = HINT_HEADER_BYTES;
	uint32_t held;

	while (pos < h->hint_bytes) {
		struct record rec;
		size_t bytes = hint_entry_decode(p + pos, (size_t)h->hint_bytes - pos, &rec, &held);

		if (bytes == 0 || held != hint_held_bytes(rec.key, rec.key_bytes, rec.value_bytes))
			return false;
		if (records == 0)
			h->first_timestamp_ns = rec.timestamp_ns;
		if (rec.timestamp_ns > h->last_timestamp_ns)
			h->last_timestamp_ns = rec.timestamp_ns;
		last = offset;
		offset += record_bytes(rec.key_bytes, rec.value_bytes);
		records++;
		pos += bytes;
	}
	return offset == h->segment_bytes && records == h->records && last == h->last_record_offset;
}

bool hint_check(const void *hint, size_t hint_bytes, struct hint_header *ret)
{
	const uint8_t *p = hint;
	struct hint_header h;
	uint32_t body_crc;

	if (hint_bytes < HINT_HEADER_BYTES || memcmp(p + HINT_MAGIC, magic, HINT_MAGIC_BYTES) != 0)
		return false;
	body_crc = crc32_extend(0, p + HINT_HEADER_BYTES, hint_bytes - HINT_HEADER_BYTES);
	if (le32_load(p + HINT_VERSION) != version ||
	    le32_load(p + HINT_CRC) != header_crc(p, body_crc) || le32_load(p + HINT_ZERO) != 0)
		return false;
	h = (struct hint_header){
		.segment = le64_load(p + HINT_SEGMENT),
		.segment_bytes = le64_load(p + HINT_SEGMENT_BYTES),
		.records = le64_load(p + HINT_RECORDS),
		.hint_bytes = le64_load(p + HINT_BYTES),
		.last_record_offset = le64_load(p + HINT_LAST_OFFSET),
		.last_record_crc = le32_load(p + HINT_LAST_CRC),
	};
	if (h.hint_bytes != hint_bytes || !entries_ok(p, &h))
		return false;
	*ret = h;
	return true;
}
