/* SPDX-License-Identifier: MIT */
#include "codec/synced.h"

#include <string.h>

#include "codec/crc32.h"
#include "codec/le.h"

enum {
	SYNCED_MAGIC = 0,
	SYNCED_VERSION = 8,
	SYNCED_CRC = 12, /* of all other bytes, in order */
	SYNCED_SEGMENT = 16,
	SYNCED_OFFSET = 24,
};

#define SYNCED_MAGIC_BYTES 8
static const char magic[SYNCED_MAGIC_BYTES + 1] = "freyjsyn";
enum {
	VERSION_NAMES = 1,    /* the names of the files define the log */
	VERSION_MANIFEST = 2, /* a MANIFEST defines it */
};

_Static_assert(SYNCED_OFFSET + 8 == SYNCED_BYTES, "the offset is the last field");

static uint32_t checksum(const uint8_t *p)
{
	uint32_t crc = crc32_extend(0, p, SYNCED_CRC);

	return crc32_extend(crc, p + SYNCED_SEGMENT, SYNCED_BYTES - SYNCED_SEGMENT);
}

void synced_encode(const struct synced *synced, uint8_t out[SYNCED_BYTES])
{
	memcpy(out + SYNCED_MAGIC, magic, SYNCED_MAGIC_BYTES);
	le32_store(out + SYNCED_VERSION, synced->with_manifest ? VERSION_MANIFEST : VERSION_NAMES);
	le64_store(out + SYNCED_SEGMENT, synced->segment);
	le64_store(out + SYNCED_OFFSET, synced->durable_offset);
	le32_store(out + SYNCED_CRC, checksum(out));
}

bool synced_decode(const void *buf, size_t buf_bytes, struct synced *ret)
{
	const uint8_t *p = buf;
	uint32_t version;

	if (buf_bytes != SYNCED_BYTES || memcmp(p + SYNCED_MAGIC, magic, SYNCED_MAGIC_BYTES) != 0)
		return false;
	version = le32_load(p + SYNCED_VERSION);
	if ((version != VERSION_NAMES && version != VERSION_MANIFEST) ||
	    le32_load(p + SYNCED_CRC) != checksum(p))
		return false;
	ret->with_manifest = version == VERSION_MANIFEST;
	ret->segment = le64_load(p + SYNCED_SEGMENT);
	ret->durable_offset = le64_load(p + SYNCED_OFFSET);
	return true;
}

void synced_raise(struct synced *mark, uint64_t segment, uint64_t durable_offset)
{
	if (segment > mark->segment ||
	    (segment == mark->segment && durable_offset > mark->durable_offset))
		*mark = (struct synced){ segment, durable_offset, true };
}

uint64_t synced_durable_bytes(const struct synced *mark, uint64_t segment, uint64_t rotated_bytes,
			      bool sealed_behind)
{
	/* Segments become durable, and are sealed, in their order. */
	if (rotated_bytes > 0 && (sealed_behind || mark->segment > segment))
		return rotated_bytes;
	return mark->segment == segment ? mark->durable_offset : 0;
}
