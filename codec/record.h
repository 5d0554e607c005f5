/* SPDX-License-Identifier: MIT */
/* The record: a key and a value, or a tombstone, with a CRC (docs/FORMAT.md, section 2).
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
#define RECORD_KEY_BYTES_MAX	 UINT32_MAX /* limit of the format; a store accepts less */
#define RECORD_VALUE_BYTES_MAX	 UINT32_MAX

/* A record in memory.  All pointers are borrowed. */
struct record {
	uint64_t timestamp_ns; /* since the epoch */
	const void *key;
	const void *value;
	uint32_t key_bytes;
	uint32_t value_bytes; /* 0: a tombstone */
	/* Only for encoding: the first bytes of the value, if they are not in 'value', which then
	 * has the rest.  'value_bytes' includes them. */
	uint32_t head_bytes;
	const void *head;
};

/* Returns the encoded size of a record; cannot overflow. */
static inline uint64_t record_bytes(uint32_t key_bytes, uint32_t value_bytes)
{
	return (uint64_t)RECORD_HEADER_BYTES + key_bytes + value_bytes;
}

/* Encodes the header of 'rec', with its CRC, into 'out'.  Reads the key and the value once. */
void record_encode_header(const struct record *rec, uint8_t out[RECORD_HEADER_BYTES]);

/* Encodes 'rec' as a whole into 'out', which must have space for record_bytes(). */
void record_encode(const struct record *rec, uint8_t *out);

/* The classes of bytes at a position of a log. */
enum record_scan {
	RECORD_WHOLE,	  /* an undamaged record */
	RECORD_END,	  /* the end of the file, directly behind a record */
	RECORD_NEED_MORE, /* the file has more bytes than the buffer, and they are needed */
	RECORD_TORN,	  /* the end of an append that did not finish, or zeros */
	RECORD_DAMAGED,	  /* all bytes are present, but they are wrong */
};

/* The reason why a position is torn or damaged. */
enum record_reason {
	RECORD_REASON_NONE,
	RECORD_REASON_SHORT_HEADER, /* torn: less than 20 bytes up to the end of the file */
	RECORD_REASON_ZERO_HEADER,  /* torn: 20 zero bytes, never written or preallocated */
	RECORD_REASON_SHORT_BODY, /* torn: key and value would extend beyond the end of the file */
	RECORD_REASON_CRC,	  /* damaged: the CRC does not match */
	/* Set by readers, not by record_scan(): */
	RECORD_REASON_GROUP,  /* torn: the file ends inside a group */
	RECORD_REASON_BEHIND, /* torn, whatever is here: something before it is missing */
};

struct record_scan_result {
	struct record rec; /* RECORD_WHOLE: borrows the buffer.  RECORD_NEED_MORE: only sizes */
	enum record_reason reason; /* RECORD_TORN, RECORD_DAMAGED */
	uint64_t bytes;	       /* RECORD_WHOLE: its size.  RECORD_NEED_MORE: needed in the buffer */
	uint32_t crc_stored;   /* RECORD_REASON_CRC */
	uint32_t crc_computed; /* RECORD_REASON_CRC */
};

/* Classifies the bytes at 'buf'.  'buf_bytes' of them are in memory; 'file_bytes' >= 'buf_bytes' is
 * the distance from their beginning to the end of the file.  Each size is checked against
 * 'file_bytes' before it is used.  Always fills in 'ret'. */
enum record_scan record_scan(const uint8_t *buf, size_t buf_bytes, uint64_t file_bytes,
			     struct record_scan_result *ret);

/* Decodes a header without any check, for a caller that computes the CRC in pieces.  The pointers
 * in 'ret' are NULL.  Returns the stored CRC. */
uint32_t record_decode_header(const uint8_t header[RECORD_HEADER_BYTES], struct record *ret);

/* Returns a phrase for 'reason', such as "the CRC does not match". */
const char *record_reason_text(enum record_reason reason);

#endif
