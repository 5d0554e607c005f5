/* SPDX-License-Identifier: MIT */
/* The durable mark, active.synced: a lower bound on how much of active.data is durable
 * (docs/FORMAT.md, section 6).  Threads: any. */
#ifndef FREYJAFS_CODEC_SYNCED_H
#define FREYJAFS_CODEC_SYNCED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SYNCED_BYTES 32

struct synced {
	uint64_t segment; /* the number that the active segment will be sealed under; 1 in a store
			     without sealed segments */
	uint64_t durable_offset; /* every byte of active.data below it is durable */
	bool with_manifest;	 /* the log has a MANIFEST */
};

/* Encodes a durable mark into 'out'. */
void synced_encode(const struct synced *synced, uint8_t out[SYNCED_BYTES]);

/* Decodes a durable mark.  Returns false, and leaves 'ret' untouched, for anything that
 * synced_encode() did not write. */
bool synced_decode(const void *buf, size_t buf_bytes, struct synced *ret);

#endif
