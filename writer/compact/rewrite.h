/* SPDX-License-Identifier: MIT */
/* Writing a sealed segment anew, without the bytes that nobody reads any more.
 *
 * The new file has the same commits in the same order.  A put whose value is dead becomes a publish
 * with META_FLAG_DROPPED of the same key, size and timestamp, where that is shorter; the dead bytes
 * of an extent become dropped holes.  All else is as it was, so the tree that a replay makes of it
 * is the same one.
 *
 * Threads: one at a time. */
#ifndef FREYJAFS_WRITER_COMPACT_REWRITE_H
#define FREYJAFS_WRITER_COMPACT_REWRITE_H

#include <stdbool.h>
#include <stdint.h>

#include "codec/compiler.h"
#include "writer/compact/live_ranges.h"
#include "writer/base/io.h"

#define REWRITE_GAP_BYTES 64 /* of dead bytes in an extent, which are not worth a record */

struct rewrite {
	struct io *io;
	int from_fd, to_fd;  /* borrowed */
	uint64_t from_bytes; /* of the old file */
	struct live *live;   /* sorted; gets the places in the new file */
	/* Called for each piece of bytes that was handled.  Not 0: it stops with that. */
	int (*pace)(void *arg, uint64_t bytes);
	void *arg;

	uint64_t to_bytes; /* set: of the new file */
	bool unreadable;   /* set: the old file could not be read through */
};

/* Writes the new file and syncs it.  -EBADMSG: the old one is damaged. */
int rewrite_segment(struct rewrite *r) WARN_UNUSED;

#endif
