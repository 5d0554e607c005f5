/* SPDX-License-Identifier: MIT */
/* A segment file while compaction writes it: a buffer, and a sync now and then.
 *
 * Threads: one at a time. */
#ifndef FREYJAFS_WRITER_COMPACT_SEGMENT_OUT_H
#define FREYJAFS_WRITER_COMPACT_SEGMENT_OUT_H

#include <stdint.h>

#include "codec/compiler.h"
#include "codec/record.h"
#include "writer/base/io.h"

#define COMPACT_OUT_BYTES ((size_t)256 * 1024) /* of the buffer */

struct compact_out {
	struct io *io;
	int fd; /* borrowed */
	uint8_t *buffer;
	size_t used;	   /* bytes in the buffer; always fewer than it has */
	uint64_t written;  /* bytes of the file before them */
	uint64_t unsynced; /* of those */
};

/* -ENOMEM. */
int compact_out_init(struct compact_out *o, struct io *io, int fd) WARN_UNUSED;
void compact_out_free(struct compact_out *o);

int compact_out_add(struct compact_out *o, const void *bytes, size_t n) WARN_UNUSED;
/* Adds a record, with its 'head'; its CRC is computed. */
int compact_out_record(struct compact_out *o, const struct record *rec) WARN_UNUSED;
/* 'n' bytes have been put behind those in the buffer. */
int compact_out_added(struct compact_out *o, size_t n) WARN_UNUSED;
/* Writes the buffer out. */
int compact_out_flush(struct compact_out *o) WARN_UNUSED;

/* Where the next byte will be. */
static inline uint64_t compact_out_end(const struct compact_out *o)
{
	return o->written + o->used;
}

#endif
