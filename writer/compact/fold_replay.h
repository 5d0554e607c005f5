/* SPDX-License-Identifier: MIT */
/* The tree of the segments that are to be folded: they are replayed by themselves, and it is kept
 * in mind when contents came about, where the times of their files have been set since.
 *
 * Threads: one at a time. */
#ifndef FREYJAFS_WRITER_COMPACT_FOLD_REPLAY_H
#define FREYJAFS_WRITER_COMPACT_FOLD_REPLAY_H

#include "writer/index/keydir.h"
#include "writer/log/file_set.h"
#include "writer/log_writer.h"

struct fold_stamp; /* when the content of a node came about */

struct fold_replay {
	struct keydir *tree;	   /* owned */
	struct fold_stamp *stamps; /* uthash; owned */
	uint64_t paced;		   /* position up to which 'pace' has been told */
	int (*pace)(void *arg, uint64_t bytes);
	void *arg;
};

/* 'defaults' are those of the store.  -ENOMEM. */
int fold_replay_init(struct fold_replay *r, const struct keydir_defaults *defaults) WARN_UNUSED;
void fold_replay_free(struct fold_replay *r);

/* Replays the next segment.  -EBADMSG: it is damaged, or does not fit. */
int fold_replay_segment(struct fold_replay *r, struct log_writer *log,
			const struct segment *seg) WARN_UNUSED;

/* When the content of 'n', which is no plain record, came about, as far as is known. */
int64_t fold_replay_time(const struct fold_replay *r, const struct node *n);

#endif
