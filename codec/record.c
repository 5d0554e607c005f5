/* SPDX-License-Identifier: MIT */
#include "codec/record.h"

#include <stdbool.h>
#include <string.h>

#include "codec/crc32.h"
#include "codec/le.h"

_Static_assert(RECORD_CRC_OFFSET == 0, "the CRC is the first field");
_Static_assert(RECORD_KEY_SIZE_OFFSET == RECORD_CRC_OFFSET + 4, "key_size follows the CRC");
_Static_assert(RECORD_VALUE_SIZE_OFFSET == RECORD_KEY_SIZE_OFFSET + 4,
	       "value_size follows key_size");
_Static_assert(RECORD_TIMESTAMP_OFFSET == RECORD_VALUE_SIZE_OFFSET + 4,
	       "timestamp follows value_size");
_Static_assert(RECORD_HEADER_BYTES == RECORD_TIMESTAMP_OFFSET + 8, "the key follows the timestamp");
_Static_assert(RECORD_CRC_COVERS_FROM == RECORD_CRC_OFFSET + 4, "the CRC covers all but itself");
_Static_assert(RECORD_KEY_BYTES_MAX == 0xffffffff && RECORD_VALUE_BYTES_MAX == 0xffffffff,
	       "sizes are u32");

/* Encodes all fields but the CRC. */
static void encode_fields(const struct record *rec, uint8_t *out)
{
	le32_store(out + RECORD_KEY_SIZE_OFFSET, rec->key_bytes);
	le32_store(out + RECORD_VALUE_SIZE_OFFSET, rec->value_bytes);
	le64_store(out + RECORD_TIMESTAMP_OFFSET, rec->timestamp_ns);
}

void record_encode_header(const struct record *rec, uint8_t out[RECORD_HEADER_BYTES])
{
	uint32_t crc;

	encode_fields(rec, out);
	crc = crc32_extend(0, out + RECORD_CRC_COVERS_FROM,
			   RECORD_HEADER_BYTES - RECORD_CRC_COVERS_FROM);
	crc = crc32_extend(crc, rec->key, rec->key_bytes);
	crc = crc32_extend(crc, rec->head, rec->head_bytes);
	crc = crc32_extend(crc, rec->value, rec->value_bytes - rec->head_bytes);
	le32_store(out + RECORD_CRC_OFFSET, crc);
}

void record_encode(const struct record *rec, uint8_t *out)
{
	uint8_t *body = out + RECORD_HEADER_BYTES;
	uint64_t bytes = record_bytes(rec->key_bytes, rec->value_bytes);

	encode_fields(rec, out);
	if (rec->key_bytes > 0)
		memcpy(body, rec->key, rec->key_bytes);
	if (rec->head_bytes > 0)
		memcpy(body + rec->key_bytes, rec->head, rec->head_bytes);
	if (rec->value_bytes > rec->head_bytes)
		memcpy(body + rec->key_bytes + rec->head_bytes, rec->value,
		       rec->value_bytes - rec->head_bytes);
	/* Computed over the copy, in one call: the copy is in the cache, and one long CRC is faster
	 * than three short ones. */
	le32_store(out + RECORD_CRC_OFFSET,
		   crc32_extend(0, out + RECORD_CRC_COVERS_FROM, bytes - RECORD_CRC_COVERS_FROM));
}

uint32_t record_decode_header(const uint8_t header[RECORD_HEADER_BYTES], struct record *ret)
{
	*ret = (struct record){
		.key_bytes = le32_load(header + RECORD_KEY_SIZE_OFFSET),
		.value_bytes = le32_load(header + RECORD_VALUE_SIZE_OFFSET),
		.timestamp_ns = le64_load(header + RECORD_TIMESTAMP_OFFSET),
	};
	return le32_load(header + RECORD_CRC_OFFSET);
}

static bool is_zero(const uint8_t header[RECORD_HEADER_BYTES])
{
	static const uint8_t zeros[RECORD_HEADER_BYTES];

	return memcmp(header, zeros, sizeof(zeros)) == 0;
}

static enum record_scan torn(struct record_scan_result *ret, enum record_reason reason)
{
	ret->reason = reason;
	return RECORD_TORN;
}

static enum record_scan need(struct record_scan_result *ret, uint64_t bytes)
{
	ret->bytes = bytes;
	return RECORD_NEED_MORE;
}

enum record_scan record_scan(const uint8_t *buf, size_t buf_bytes, uint64_t file_bytes,
			     struct record_scan_result *ret)
{
	uint64_t bytes;

	*ret = (struct record_scan_result){ 0 };
	if (file_bytes == 0)
		return RECORD_END;
	if (file_bytes < RECORD_HEADER_BYTES)
		return torn(ret, RECORD_REASON_SHORT_HEADER);
	if (buf_bytes < RECORD_HEADER_BYTES)
		return need(ret, RECORD_HEADER_BYTES);
	if (is_zero(buf))
		return torn(ret, RECORD_REASON_ZERO_HEADER);
	ret->crc_stored = record_decode_header(buf, &ret->rec);
	bytes = record_bytes(ret->rec.key_bytes, ret->rec.value_bytes);
	if (bytes > file_bytes)
		return torn(ret, RECORD_REASON_SHORT_BODY);
	if (bytes > buf_bytes)
		return need(ret, bytes);
	ret->crc_computed =
		crc32_extend(0, buf + RECORD_CRC_COVERS_FROM, bytes - RECORD_CRC_COVERS_FROM);
	if (ret->crc_computed != ret->crc_stored) {
		ret->reason = RECORD_REASON_CRC;
		return RECORD_DAMAGED;
	}
	ret->rec.key = buf + RECORD_HEADER_BYTES;
	ret->rec.value = buf + RECORD_HEADER_BYTES + ret->rec.key_bytes;
	ret->bytes = bytes;
	return RECORD_WHOLE;
}

const char *record_reason_text(enum record_reason reason)
{
	switch (reason) {
	case RECORD_REASON_NONE:
		return "nothing is wrong";
	case RECORD_REASON_SHORT_HEADER:
		return "the file ends inside a record header";
	case RECORD_REASON_ZERO_HEADER:
		return "zeros stand where a record should begin";
	case RECORD_REASON_SHORT_BODY:
		return "the record would end past the end of the file";
	case RECORD_REASON_CRC:
		return "the CRC does not match";
	case RECORD_REASON_GROUP:
		return "the file ends inside a group of records";
	case RECORD_REASON_BEHIND:
		return "what the log has before it lacks its end";
	}
	return "unknown reason";
}
