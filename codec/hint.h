/* SPDX-License-Identifier: MIT */
/* A hint file: the records of a segment without the values of puts (docs/FORMAT.md, section 10).  A
 * header is followed by one entry for each record, in their order, so that replay need not read the
 * segment.
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
	uint64_t segment_bytes; /* size of the segment when the hint was made */
	uint64_t records;
	uint64_t hint_bytes;	     /* size of the hint file */
	uint64_t last_record_offset; /* in the segment, and the first four bytes there: */
	uint32_t last_record_crc;
	/* Not in the header: hint_check() finds them in the entries. */
	uint64_t first_timestamp_ns; /* of the first record */
	uint64_t last_timestamp_ns;  /* the latest of all records */
};

/* Encodes a header.  'body_crc' is the CRC of all entries. */
void hint_header_encode(const struct hint_header *h, uint32_t body_crc,
			uint8_t out[HINT_HEADER_BYTES]);

/* Checks a whole hint file: its CRC, and whether its entries are complete, have the number that the
 * header gives, and add up to the size of the segment.  Returns false if not; then 'ret' is
 * untouched. */
bool hint_check(const void *hint, size_t hint_bytes, struct hint_header *ret);

/* Returns how many bytes of a record's value its entry holds: all of a meta record, except that of
 * an extent only the bytes before the file's bytes; none of a plain record. */
uint32_t hint_held_bytes(const void *key, size_t key_bytes, uint32_t value_bytes);

/* Returns the size of an entry with 'key_bytes' of key and 'held_bytes' of value. */
static inline size_t hint_entry_bytes(uint32_t key_bytes, uint32_t held_bytes)
{
	return (size_t)HINT_ENTRY_FIXED_BYTES + key_bytes + held_bytes;
}

/* Encodes an entry into 'out', which has space for hint_entry_bytes().  'rec->value' must have the
 * first 'held_bytes' of the value. */
void hint_entry_encode(const struct record *rec, uint32_t held_bytes, uint8_t *out);

/* Decodes the entry at 'buf'.  Returns its size, or 0 if it is not complete.  Pointers in 'ret'
 * point into 'buf'. */
size_t hint_entry_decode(const uint8_t *buf, size_t buf_bytes, struct record *ret,
			 uint32_t *ret_held_bytes);

#endif
