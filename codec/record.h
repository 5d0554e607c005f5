/* SPDX-License-Identifier: MIT */
/* The record: one key and one value, or a tombstone, with a CRC (docs/FORMAT.md, section 2).
 *
 * Pure functions over bytes: no allocation, no system call, no clock.  Threads: any. */
#ifndef FREYJAFS_CODEC_RECORD_H
#define FREYJAFS_CODEC_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "codec/compiler.h"

#define RECORD_HEADER_BYTES	 20
#define RECORD_CRC_OFFSET	 0
#define RECORD_KEY_SIZE_OFFSET	 4
#define RECORD_VALUE_SIZE_OFFSET 8
#define RECORD_TIMESTAMP_OFFSET	 12
#define RECORD_CRC_COVERS_FROM	 4	    /* up to the last byte of the value */
#define RECORD_KEY_BYTES_MAX	 UINT32_MAX /* what the format can say; a store takes less */
#define RECORD_VALUE_BYTES_MAX	 UINT32_MAX

/* A record in memory.  The pointers are borrowed. */
struct record {
	uint64_t timestamp_ns; /* since the epoch */
	const void *key;
	const void *value;
	uint32_t key_bytes;
	uint32_t value_bytes; /* 0: a tombstone */
	/* To be encoded only: the first bytes of the value where they are not in 'value', which has
	 * the rest.  They count in 'value_bytes'. */
	uint32_t head_bytes;
	const void *head;
};

/* Returns the encoded size of a record; cannot overflow. */
static inline uint64_t record_bytes(uint32_t key_bytes, uint32_t value_bytes)
{
	return (uint64_t)RECORD_HEADER_BYTES + key_bytes + value_bytes;
}

/* Encodes the header of 'rec', its CRC included, into 'out'.  Reads the key and the value once. */
void record_encode_header(const struct record *rec, uint8_t out[RECORD_HEADER_BYTES]);

/* Encodes the whole of 'rec' into 'out', which has room for record_bytes(). */
void record_encode(const struct record *rec, uint8_t *out);

/* What stands at a position of a log. */
enum record_scan {
	RECORD_WHOLE,	  /* a record, and its CRC is right */
	RECORD_END,	  /* nothing: the file ends here, cleanly */
	RECORD_NEED_MORE, /* the file has the bytes, the buffer has not */
	RECORD_TORN,	  /* the end of an append that did not finish, or zeros */
	RECORD_DAMAGED,	  /* all bytes are there and they are wrong */
};

/* Why a position is torn or damaged. */
enum record_reason {
	RECORD_REASON_NONE,
	RECORD_REASON_SHORT_HEADER, /* torn: fewer than 20 bytes up to the end of the file */
	RECORD_REASON_ZERO_HEADER,  /* torn: 20 zero bytes, never written or preallocated */
	RECORD_REASON_SHORT_BODY,   /* torn: key and value would end past the end of the file */
	RECORD_REASON_CRC,	    /* damaged: the CRC does not match */
	/* Set by readers, not by record_scan(): */
	RECORD_REASON_GROUP,  /* torn: the file ends inside a group */
	RECORD_REASON_BEHIND, /* torn: whole or not, something before it is missing */
};

struct record_scan_result {
	struct record
		rec; /* RECORD_WHOLE; points into the buffer.  RECORD_NEED_MORE: the sizes alone */
	enum record_reason reason; /* RECORD_TORN, RECORD_DAMAGED */
	uint64_t bytes; /* RECORD_WHOLE: of the record.  RECORD_NEED_MORE: to be in the buffer */
	uint32_t crc_stored;   /* RECORD_REASON_CRC */
	uint32_t crc_computed; /* RECORD_REASON_CRC */
};

/* Classifies the position at 'buf'.  'buf_bytes' are in memory; 'file_bytes' >= 'buf_bytes' is the
 * distance from this position to the end of the file.  Every size is checked against 'file_bytes'
 * before it is used.  Always fills 'ret'. */
enum record_scan record_scan(const uint8_t *buf, size_t buf_bytes, uint64_t file_bytes,
			     struct record_scan_result *ret);

/* Decodes a header without checking anything: for a caller that computes the CRC in pieces.  The
 * pointers in 'ret' are NULL.  Returns the stored CRC. */
uint32_t record_decode_header(const uint8_t header[RECORD_HEADER_BYTES], struct record *ret);

/* Returns a phrase for 'reason', such as "the CRC does not match". */
const char *record_reason_text(enum record_reason reason);

#endif
