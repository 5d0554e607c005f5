/* SPDX-License-Identifier: MIT */
/* Writing a base: a segment that has all that a tree needs, and nothing of how it came about.
 *
 * The tree is the one that the segments to be folded make, replayed by themselves.  Of its contents
 * only those bytes are copied that somebody reads now; the rest becomes dropped, as in compaction.
 * What somebody reads and that tree does not have, since a file is open that has no name any more,
 * is kept as the value of a key that is deleted again.
 *
 * Threads: one at a time. */
#ifndef FREYJAFS_WRITER_COMPACT_FOLD_BASE_H
#define FREYJAFS_WRITER_COMPACT_FOLD_BASE_H

#include <stdbool.h>
#include <stdint.h>

#include "codec/compiler.h"
#include "writer/compact/live_ranges.h"
#include "writer/index/keydir.h"
#include "writer/log_writer.h"

struct fold_replay;

struct fold_base {
	struct io *io;
	int fd; /* of the new file, borrowed */
	struct log_writer *log;
	struct keydir *tree;
	const struct fold_replay *replay; /* when contents came about */
	const struct live *live;	  /* what is read now, sorted */
	uint64_t as_of_ns;		  /* of the newest record that is folded */
	uint64_t bytes_max;		  /* a larger file is not worth it */
	/* Called for each piece of bytes that was written.  Not 0: it stops with that. */
	int (*pace)(void *arg, uint64_t bytes);
	/* Says whether nothing will ever publish what is staged under the id. */
	bool (*is_void)(void *arg, uint64_t staging_id);
	void *arg;

	struct live moved;     /* set: where all of 'live' went; to be freed */
	uint64_t to_bytes;     /* set: of the new file */
	uint64_t other_bytes;  /* set: of them that are no live values */
	bool is_too_large;     /* set: it would be larger than 'bytes_max' */
	uint64_t bad_position; /* set: of a record that is damaged; UINT64_MAX: none is */
};

/* Writes the file and syncs it.  -EBADMSG: a record is damaged; -EFBIG: it is too large, or has a
 * value that only one record can hold and that is in pieces; -ENAMETOOLONG: a path is longer than a
 * key can be. */
int fold_base_write(struct fold_base *b) WARN_UNUSED;

#endif
