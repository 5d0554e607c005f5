/* SPDX-License-Identifier: MIT */
/* A segment file that compaction writes: a buffer, and a sync after every few MiB.
 *
 * Threads: one at a time. */
#ifndef FREYJAFS_WRITER_COMPACT_SEGMENT_OUT_H
#define FREYJAFS_WRITER_COMPACT_SEGMENT_OUT_H

#include <stdint.h>

#include "codec/compiler.h"
#include "codec/record.h"
#include "writer/base/io.h"

#define COMPACT_OUT_BYTES ((size_t)256 * 1024) /* size of the buffer */

struct compact_out {
	struct io *io;
	int fd; /* borrowed */
	uint8_t *buffer;
	size_t used;	   /* bytes in the buffer; always less than its size */
	uint64_t written;  /* bytes of the file before those in the buffer */
	uint64_t unsynced; /* of the written bytes */
};

/* -ENOMEM. */
int compact_out_init(struct compact_out *o, struct io *io, int fd) WARN_UNUSED;
void compact_out_free(struct compact_out *o);

int compact_out_add(struct compact_out *o, const void *bytes, size_t n) WARN_UNUSED;
/* Adds a record with its 'head'; computes its CRC. */
int compact_out_record(struct compact_out *o, const struct record *rec) WARN_UNUSED;
/* Notes that the caller has put 'n' bytes behind those in the buffer. */
int compact_out_added(struct compact_out *o, size_t n) WARN_UNUSED;
/* Writes the buffer to the file. */
int compact_out_flush(struct compact_out *o) WARN_UNUSED;

/* Returns the offset of the next byte. */
static inline uint64_t compact_out_end(const struct compact_out *o)
{
	return o->written + o->used;
}

#endif
