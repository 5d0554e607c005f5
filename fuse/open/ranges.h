/* SPDX-License-Identifier: MIT */
/* Bytes of a file that are in memory: ranges that do not overlap, in the order of their offsets.  A
 * range has bytes, or is a hole: zeros that are to be laid over whatever the file has there.
 *
 * A range of bytes is at most RANGE_BYTES_MAX long; one that is written on at its end grows in
 * place, so a file that is written from its beginning is few ranges of that size.
 *
 * Threads: one at a time. */
#ifndef FREYJAFS_FUSE_OPEN_RANGES_H
#define FREYJAFS_FUSE_OPEN_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/compiler.h"

#define RANGE_BYTES_MAX (UINT64_C(1024) * 1024)

struct range_node;

/* All zeros: empty. */
struct ranges {
	struct range_node *root; /* owned */
	uint64_t memory_bytes;	 /* what all of this takes */
	uint64_t data_bytes;	 /* without holes */
	uint64_t count;		 /* of ranges, holes included */
	uint64_t full_count;	 /* of those that have RANGE_BYTES_MAX */
};

/* A look at one. */
struct range {
	uint64_t offset, bytes;
	const uint8_t *data; /* NULL: a hole */
};

/* At most so much memory more is taken by ranges_write() of 'n' bytes at 'offset'. */
uint64_t ranges_growth(const struct ranges *r, uint64_t offset, uint64_t n);

/* 'n' is not 0, and 'offset' + 'n' does not overflow.  -ENOMEM: some of it may be there. */
int ranges_write(struct ranges *r, uint64_t offset, const void *buf, uint64_t n) WARN_UNUSED;
/* Makes ['offset', 'end') a hole.  -ENOMEM: nothing changed. */
int ranges_hole(struct ranges *r, uint64_t offset, uint64_t end) WARN_UNUSED;
/* Forgets what is in ['offset', 'end').  -ENOMEM: nothing changed. */
int ranges_clear(struct ranges *r, uint64_t offset, uint64_t end) WARN_UNUSED;
/* Forgets what is at or behind 'offset', or the one range that begins at 'offset'. */
void ranges_cut(struct ranges *r, uint64_t offset);
void ranges_drop(struct ranges *r, uint64_t offset);
void ranges_free(struct ranges *r); /* all of them */

/* Stores the first range that ends behind 'offset'.  False: there is none. */
bool ranges_find(const struct ranges *r, uint64_t offset, struct range *ret);

#endif
