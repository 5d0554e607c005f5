/* SPDX-License-Identifier: MIT */
/* A hint file: what a segment holds, without the values (docs/FORMAT.md, section 10).  A header,
 * then one entry for each record, in their order: enough to replay the segment without reading it.
 *
 * Pure functions over bytes: no allocation, no system call, no clock.  Threads: any. */
#ifndef FREYJAFS_CODEC_HINT_H
#define FREYJAFS_CODEC_HINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/record.h"

#define HINT_HEADER_BYTES      64
#define HINT_ENTRY_FIXED_BYTES 20

struct hint_header {
	uint64_t segment;	/* number of the segment, or the one it will be sealed under */
	uint64_t segment_bytes; /* what the segment had when the hint was made: all of it */
	uint64_t records;
	uint64_t hint_bytes; /* of the hint file */
	uint64_t
		last_record_offset; /* in the segment, and the first four bytes that stand there: */
	uint32_t last_record_crc;
	/* Not in the header: hint_check() finds them in the entries. */
	uint64_t first_timestamp_ns; /* of the first record */
	uint64_t last_timestamp_ns;  /* the latest of all records */
};

/* 'body_crc' is the CRC of all entries. */
void hint_header_encode(const struct hint_header *h, uint32_t body_crc,
			uint8_t out[HINT_HEADER_BYTES]);

/* Checks a whole hint file: the CRC over all of it, and that its entries are whole, as many as it
 * says, and add up to the segment.  Returns false for anything else. */
bool hint_check(const void *hint, size_t hint_bytes, struct hint_header *ret);

/* How many bytes of the value of a record with this key the hint has: all of a meta record's, but
 * of an extent's only what stands before the bytes of the file; none of a plain one's. */
uint32_t hint_held_bytes(const void *key, size_t key_bytes, uint32_t value_bytes);

/* The size of an entry with so many bytes of key and value. */
static inline size_t hint_entry_bytes(uint32_t key_bytes, uint32_t held_bytes)
{
	return (size_t)HINT_ENTRY_FIXED_BYTES + key_bytes + held_bytes;
}

/* Encodes an entry; 'rec->value' has the first 'held_bytes' of the value. */
void hint_entry_encode(const struct record *rec, uint32_t held_bytes, uint8_t *out);

/* Decodes the entry at 'buf'.  Returns its size, or 0 when it is not whole.  The pointers in 'ret'
 * point into 'buf'. */
size_t hint_entry_decode(const uint8_t *buf, size_t buf_bytes, struct record *ret,
			 uint32_t *ret_held_bytes);

#endif
