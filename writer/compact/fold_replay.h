/* SPDX-License-Identifier: MIT */
/* The replay of the segments to be folded, into a separate tree.  It also keeps the time at which a
 * content was made, if the times of its file were set since then.
 *
 * Threads: one at a time. */
#ifndef FREYJAFS_WRITER_COMPACT_FOLD_REPLAY_H
#define FREYJAFS_WRITER_COMPACT_FOLD_REPLAY_H

#include "writer/index/keydir.h"
#include "writer/log/file_set.h"
#include "writer/log_writer.h"

struct fold_stamp; /* the time at which the content of a node was made */

struct fold_replay {
	struct keydir *tree;	   /* owned */
	struct fold_stamp *stamps; /* uthash; owned */
	uint64_t paced;		   /* position up to which bytes were reported to 'pace' */
	int (*pace)(void *arg, uint64_t bytes);
	void *arg;
};

/* Initialises 'r' with an empty tree.  'defaults' are the store's.  -ENOMEM. */
int fold_replay_init(struct fold_replay *r, const struct keydir_defaults *defaults) WARN_UNUSED;
void fold_replay_free(struct fold_replay *r);

/* Replays the next segment.  -EBADMSG if it is damaged, or a record does not fit the tree. */
int fold_replay_segment(struct fold_replay *r, struct log_writer *log,
			const struct segment *seg) WARN_UNUSED;

/* Returns the time at which the content of 'n' was made, as far as known.  'n' must not have a
 * single plain record as content. */
int64_t fold_replay_time(const struct fold_replay *r, const struct node *n);

#endif
