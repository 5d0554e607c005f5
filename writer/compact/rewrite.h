/* SPDX-License-Identifier: MIT */
/* Rewriting a sealed segment without its dead bytes.
 *
 * The new file has the same commits in the same order.  A put whose value is dead becomes a publish
 * with META_FLAG_DROPPED of the same key, size and timestamp, if that is shorter; the dead bytes of
 * an extent become dropped holes.  Everything else stays the same, so that a replay makes the same
 * tree of it.
 *
 * Threads: one at a time. */
#ifndef FREYJAFS_WRITER_COMPACT_REWRITE_H
#define FREYJAFS_WRITER_COMPACT_REWRITE_H

#include <stdbool.h>
#include <stdint.h>

#include "codec/compiler.h"
#include "writer/compact/live_ranges.h"
#include "writer/base/io.h"

#define REWRITE_GAP_BYTES 64 /* fewer dead bytes in an extent are not worth a record */

struct rewrite {
	struct io *io;
	int from_fd, to_fd;  /* borrowed */
	uint64_t from_bytes; /* size of the old file */
	struct live *live;   /* sorted; receives the positions in the new file */
	/* Called for each piece of bytes that was handled.  If it does not return 0, the rewrite
	 * stops with that value. */
	int (*pace)(void *arg, uint64_t bytes);
	void *arg;

	uint64_t to_bytes; /* set: size of the new file */
	bool unreadable;   /* set: the old file could not be read completely */
};

/* Writes the new file and syncs it.  -EBADMSG if the old file is damaged. */
int rewrite_segment(struct rewrite *r) WARN_UNUSED;

#endif
