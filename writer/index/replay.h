/* SPDX-License-Identifier: MIT */
/* What the records of a log do to the keydir (docs/FORMAT.md, section 5).  Used when a store is
 * opened, and for the key interface.  Threads: the one that changes the keydir. */
#ifndef FREYJAFS_WRITER_INDEX_REPLAY_H
#define FREYJAFS_WRITER_INDEX_REPLAY_H

#include "codec/commit.h"
#include "writer/index/keydir.h"
#include "writer/log_writer.h"

/* One commit, a record or the records of a group, decoded. */
struct decoded_commit {
	const struct log_entry *entries; /* borrowed */
	struct commit_record *records;	 /* one for each entry */
	size_t count;
	bool resolved; /* as commit_resolve_unnameable() has returned */
	/* After -EBADMSG: which record is invalid, and why. */
	size_t problem_at;
	enum meta_error problem;
	struct commit_record few[LOG_WRITER_GROUP_MAX];
};

/* Decodes a commit; replay_release() must follow, also after an error.  The pointers in 'entries'
 * have to live until then.  -EBADMSG: a meta record that this version does not know; 'diag' says
 * which and where, 'path' being the log's name for it.  -ENOMEM. */
int replay_decode(struct decoded_commit *c, const char *path, const struct log_entry *entries,
		  size_t entry_count, struct diag *diag) WARN_UNUSED;
void replay_release(struct decoded_commit *c);

/* Applies a commit.  Takes the keydir's write lock.  -EBADMSG: it does not fit the tree; 'diag'
 * says what does not.  -ENOMEM. */
int replay_decoded(struct keydir *k, const char *path, const struct decoded_commit *c,
		   struct diag *diag) WARN_UNUSED;

/* Decodes and applies a commit. */
int replay_commit(struct keydir *k, const char *path, const struct log_entry *entries,
		  size_t entry_count, struct diag *diag) WARN_UNUSED;

/* Fetches into the cache what applying the record will need; changes nothing. */
void replay_ahead(struct keydir *k, const struct record *rec);

#endif
