/* SPDX-License-Identifier: MIT */
/* active.synced: a lower bound of what is durable in active.data (docs/FORMAT.md, section 6).
 * Threads: any. */
#ifndef FREYJAFS_CODEC_SYNCED_H
#define FREYJAFS_CODEC_SYNCED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SYNCED_BYTES 32

struct synced {
	uint64_t segment; /* number the active segment will be sealed under; 1 in a store without
			     sealed ones */
	uint64_t durable_offset; /* every byte of active.data below it is durable */
	bool with_manifest;	 /* the log has a MANIFEST */
};

void synced_encode(const struct synced *synced, uint8_t out[SYNCED_BYTES]);

/* Returns false, and leaves 'ret' alone, for anything that synced_encode() did not write. */
bool synced_decode(const void *buf, size_t buf_bytes, struct synced *ret);

#endif
