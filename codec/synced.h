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

/* Raises the mark to another lower bound, the one of MANIFEST, if that is later. */
void synced_raise(struct synced *mark, uint64_t segment, uint64_t durable_offset);

/* Returns how many bytes of a segment that is not sealed are known to be durable.  'rotated_bytes'
 * is the size of a rotated segment, 0 for the active one; 'sealed_behind' says that a later segment
 * is sealed.  An invalid mark is all zeros. */
uint64_t synced_durable_bytes(const struct synced *mark, uint64_t segment, uint64_t rotated_bytes,
			      bool sealed_behind);

/* Encodes a durable mark into 'out'. */
void synced_encode(const struct synced *synced, uint8_t out[SYNCED_BYTES]);

/* Decodes a durable mark.  Returns false, and leaves 'ret' untouched, for anything that
 * synced_encode() did not write. */
bool synced_decode(const void *buf, size_t buf_bytes, struct synced *ret);

#endif
