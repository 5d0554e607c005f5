/* SPDX-License-Identifier: MIT */
/* What is still read from a segment: collected while the keydir stands still, looked up while the
 * segment is written anew, and used once more to tell the keydir where everything went.
 *
 * Threads: one at a time. */
#ifndef FREYJAFS_WRITER_COMPACT_LIVE_RANGES_H
#define FREYJAFS_WRITER_COMPACT_LIVE_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/compiler.h"
#include "writer/index/content_map.h"

/* Bytes of one record: what somebody reads, in whole values or parts of them. */
struct live_range {
	uint64_t record;      /* position of the record */
	uint32_t from, bytes; /* of its value */
	uint64_t to_record; /* where the new record is, in the new file; set while it is written */
	uint32_t to_from;
	uint32_t to_value_bytes, to_key_bytes; /* of the old record before that */
};

struct live {
	uint64_t start, end; /* positions of the segment; or of all that there are */
	struct live_range *ranges;
	size_t count, room;
	bool no_memory;	   /* something is missing here */
	uint64_t to_start; /* position of the new file */
};

void live_init(struct live *l, uint64_t start, uint64_t end);
void live_free(struct live *l);

/* Adds what 'piece' reads, if it is in the segment. */
void live_add(struct live *l, const struct content_piece *piece);
/* Sorts, and makes one of ranges of a record that overlap or have fewer than 'gap' bytes between
 * them.  -ENOMEM: something could not be added. */
int live_sort(struct live *l, uint32_t gap) WARN_UNUSED;

/* Returns the first range of the record at 'record' that ends behind byte 'from' of its value, or
 * NULL. */
const struct live_range *live_next(const struct live *l, uint64_t record, uint64_t from);
/* Stores the ranges of the record at 'record': '*at' (0 at first) moves on; records have to be
 * asked for in their order.  Returns how many there are. */
size_t live_of(const struct live *l, uint64_t record, size_t *at, struct live_range **ret);

/* Adds a range as it is: where bytes of a record went.  -ENOMEM. */
int live_add_moved(struct live *l, const struct live_range *range) WARN_UNUSED;
/* Sorts ranges that were added so, none of which is to be joined with another. */
void live_sort_moved(struct live *l);
/* Says whether one of them has all of another range. */
bool live_has(const struct live *l, const struct live_range *range);

/* Moves 'piece' to where its bytes are in the new file.  False: it is not in the segment. */
bool live_move(const struct live *l, struct content_piece *piece);

#endif
