/* SPDX-License-Identifier: MIT */
/* The live ranges of a segment: the bytes that are still read.  They are collected while the keydir
 * does not change, looked up while the segment is rewritten, and used once more to give the keydir
 * the new positions.
 *
 * Threads: one at a time. */
#ifndef FREYJAFS_WRITER_COMPACT_LIVE_RANGES_H
#define FREYJAFS_WRITER_COMPACT_LIVE_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/compiler.h"
#include "writer/index/content_map.h"

/* Bytes of one record that are read: whole values or parts of them. */
struct live_range {
	uint64_t record;      /* position of the record */
	uint32_t from, bytes; /* in its value */
	uint64_t to_record; /* position of the new record in the new file; set while that is written
			     */
	uint32_t to_from;
	uint32_t to_value_bytes, to_key_bytes; /* sizes of the old record until then */
};

struct live {
	uint64_t start, end; /* positions of the segment, or of the whole log */
	struct live_range *ranges;
	size_t count, capacity;
	bool no_memory;	   /* a range is missing, for want of memory */
	uint64_t to_start; /* position of the new file */
};

void live_init(struct live *l, uint64_t start, uint64_t end);
void live_free(struct live *l);

/* Adds the bytes that 'piece' reads, if they are in the segment. */
void live_add(struct live *l, const struct content_piece *piece);
/* Sorts the ranges, and joins ranges of a record that overlap or have fewer than 'gap' bytes
 * between them.  -ENOMEM if a range could not be added. */
int live_sort(struct live *l, uint32_t gap) WARN_UNUSED;

/* Returns the first range of the record at 'record' that ends behind byte 'from' of its value, or
 * NULL. */
const struct live_range *live_next(const struct live *l, uint64_t record, uint64_t from);
/* Stores the ranges of the record at 'record', and returns their number.  '*at' (0 for the first
 * call) moves forward; records must be passed in their order. */
size_t live_of(const struct live *l, uint64_t record, size_t *at, struct live_range **ret);

/* Adds a range unchanged, with the new position of a record's bytes.  -ENOMEM. */
int live_add_moved(struct live *l, const struct live_range *range) WARN_UNUSED;
/* Sorts ranges from live_add_moved(), without joining any. */
void live_sort_moved(struct live *l);
/* Returns whether one of the ranges includes all of another range. */
bool live_has(const struct live *l, const struct live_range *range);

/* Changes 'piece' to the position of its bytes in the new file.  Returns false if it is not in the
 * segment. */
bool live_move(const struct live *l, struct content_piece *piece);

#endif
