/* SPDX-License-Identifier: MIT */
/* Writing a base: segments with everything that a tree needs, but without the history of its
 * changes.  Each segment is a part of the base; the first one begins with the base record.
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

/* One segment of a base. */
struct fold_part {
	int fd; /* borrowed */
	uint64_t bytes;
	uint64_t other_bytes; /* its bytes that are not live values */
};

struct fold_base {
	struct io *io;
	struct log_writer *log;
	struct keydir *tree;
	const struct fold_replay *replay; /* for the times of contents */
	const struct live *live;	  /* ranges that are read now, sorted */
	uint64_t as_of_ns;		  /* timestamp of the newest folded record */
	uint64_t bytes_max;		  /* a larger base does not gain enough */
	uint64_t last_number;		  /* number of the last part; those before it precede it */
	/* The next part begins with a record that would make the part larger than 'part_most', if
	 * the part has at least 'part_least' bytes and there are fewer than 'parts_max' parts. */
	uint64_t part_least, part_most;
	struct fold_part *parts; /* an array of 'parts_max', owned by the caller */
	size_t parts_max;
	/* Creates the file of the next part.  Returns its descriptor or -errno. */
	int (*new_part)(void *arg);
	/* Called for each piece of written bytes.  If it does not return 0, writing stops with that
	 * value. */
	int (*pace)(void *arg, uint64_t bytes);
	/* Returns whether the extents staged under the id will never be published. */
	bool (*is_void)(void *arg, uint64_t staging_id);
	void *arg;

	struct live moved;     /* set: new positions of all of 'live'; the caller frees it */
	size_t part_count;     /* set */
	uint64_t to_bytes;     /* set: size of all parts */
	uint64_t other_bytes;  /* set: their bytes that are not live values */
	bool is_too_large;     /* set: it would be larger than 'bytes_max' */
	uint64_t bad_position; /* set: of a damaged record; UINT64_MAX: none */
};

/* Writes the parts and syncs them.  -EBADMSG if a record is damaged; -EFBIG if the base is too
 * large, or has a value in pieces that only one record can hold; -ENAMETOOLONG if a path is longer
 * than a key can be. */
int fold_base_write(struct fold_base *b) WARN_UNUSED;

#endif
