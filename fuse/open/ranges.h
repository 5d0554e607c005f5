/* SPDX-License-Identifier: MIT */
/* The bytes of a file that are in memory, as ranges in the order of their offsets that do not
 * overlap.  A range either has bytes, or is a hole: zeros that hide the bytes of lower layers.
 *
 * A range of bytes has at most RANGE_BYTES_MAX.  A write at its end makes it grow in place, so a
 * file that is written from its beginning becomes few ranges of that size.
 *
 * Threads: one at a time.  Errors: 0 or -errno. */
#ifndef FREYJAFS_FUSE_OPEN_RANGES_H
#define FREYJAFS_FUSE_OPEN_RANGES_H

#include <stdbool.h>
#include <stdint.h>

#include "codec/compiler.h"

#define RANGE_BYTES_MAX (UINT64_C(1024) * 1024)

struct range_node;

/* All zeros: empty. */
struct ranges {
	struct range_node *root; /* owned */
	uint64_t memory_bytes;	 /* memory of all nodes and their bytes */
	uint64_t data_bytes;	 /* bytes in ranges, without holes */
	uint64_t count;		 /* of ranges, holes included */
	uint64_t full_count;	 /* ranges of RANGE_BYTES_MAX bytes */
};

/* A view of one range; valid until the next change. */
struct range {
	uint64_t offset, bytes;
	const uint8_t *data; /* NULL: a hole */
};

/* Returns an upper bound on the memory that ranges_write() of 'n' bytes at 'offset' takes in
 * addition. */
uint64_t ranges_growth(const struct ranges *r, uint64_t offset, uint64_t n);

/* Copies 'n' bytes from 'buf' to 'offset'.  'n' must not be 0, and 'offset' + 'n' must not
 * overflow.  -ENOMEM: some of them may be written. */
int ranges_write(struct ranges *r, uint64_t offset, const void *buf, uint64_t n) WARN_UNUSED;
/* Makes ['offset', 'end') a hole.  -ENOMEM: nothing changed. */
int ranges_hole(struct ranges *r, uint64_t offset, uint64_t end) WARN_UNUSED;
/* Removes ['offset', 'end') from the ranges.  -ENOMEM: nothing changed. */
int ranges_clear(struct ranges *r, uint64_t offset, uint64_t end) WARN_UNUSED;
/* Removes the range that begins at 'offset', if there is one. */
void ranges_drop(struct ranges *r, uint64_t offset);
void ranges_free(struct ranges *r); /* frees all ranges */

/* Stores the first range that ends behind 'offset'.  Returns false if there is none. */
bool ranges_find(const struct ranges *r, uint64_t offset, struct range *ret);

#endif
