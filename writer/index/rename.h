/* SPDX-License-Identifier: MIT */
/* The rules of rename(2): which renames the tree allows, and their effects.  The store checks and
 * prepares before it appends the move record and applies afterwards; a replay does all three with
 * the present record.  Threads: the one that changes the keydir. */
#ifndef FREYJAFS_WRITER_INDEX_RENAME_H
#define FREYJAFS_WRITER_INDEX_RENAME_H

#include "codec/commit.h"
#include "writer/index/keydir.h"

struct rename {
	struct dentry *from;
	struct store_name at; /* the new name */
	struct dentry *to;    /* at the new name; NULL: no such entry */
	bool exchange;
	const char *problem; /* set by rename_check() on failure */
};

/* Returns 0 if the tree allows the rename, or -errno as rename(2) does. */
int rename_check(struct rename *r) WARN_UNUSED;

/* Prepares rename_apply(), and makes 'to' if needed.  -ENOMEM: nothing was made. */
int rename_prepare(struct keydir *k, struct rename *r) WARN_UNUSED;
/* Frees the results of rename_prepare(), for a rename that will not be applied. */
void rename_cancel(struct keydir *k, struct rename *r);

/* Renames, as the move record 'rec' requires, and frees 'from' unless it exchanges.  A file that
 * gets a path supersedes the unnameable key of that path; the old path becomes free
 * (record_paths.h).  Takes the keydir's write lock.  -ENOMEM: the old path is not settled. */
int rename_apply(struct keydir *k, const struct rename *r, const struct commit_record *rec,
		 int64_t now_ns) WARN_UNUSED;

#endif
