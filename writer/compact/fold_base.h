/* SPDX-License-Identifier: MIT */
/* Writing a base: a segment with everything that a tree needs, but without the history of its
 * changes.
 *
 * The tree is the result of replaying only the segments to be folded.  Of its contents only the
 * bytes that are read now are copied; the others become dropped, as in compaction.  Bytes that are
 * read now but are not in that tree, because they belong to an unlinked file that is open, are kept
 * as the value of a key that is deleted again.
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
	const struct fold_replay *replay; /* for the times of contents */
	const struct live *live;	  /* ranges that are read now, sorted */
	uint64_t as_of_ns;		  /* timestamp of the newest folded record */
	uint64_t bytes_max;		  /* a larger file does not gain enough */
	/* Called for each piece of written bytes.  If it does not return 0, writing stops with that
	 * value. */
	int (*pace)(void *arg, uint64_t bytes);
	/* Returns whether the extents staged under the id will never be published. */
	bool (*is_void)(void *arg, uint64_t staging_id);
	void *arg;

	struct live moved;     /* set: new positions of all of 'live'; the caller frees it */
	uint64_t to_bytes;     /* set: size of the new file */
	uint64_t other_bytes;  /* set: its bytes that are not live values */
	bool is_too_large;     /* set: it would be larger than 'bytes_max' */
	uint64_t bad_position; /* set: of a damaged record; UINT64_MAX: none */
};

/* Writes the file and syncs it.  -EBADMSG if a record is damaged; -EFBIG if the file is too large,
 * or has a value in pieces that only one record can hold; -ENAMETOOLONG if a path is longer than a
 * key can be. */
int fold_base_write(struct fold_base *b) WARN_UNUSED;

#endif
