/* SPDX-License-Identifier: MIT */
/* The effects of a log's records on the keydir (docs/FORMAT.md, section 5).  Used when a store is
 * opened, and for the key interface.  Threads: the one that changes the keydir. */
#ifndef FREYJAFS_WRITER_INDEX_REPLAY_H
#define FREYJAFS_WRITER_INDEX_REPLAY_H

#include "codec/commit.h"
#include "writer/index/keydir.h"
#include "writer/log_writer.h"

/* A decoded commit: one record, or the records of a group. */
struct decoded_commit {
	const struct log_entry *entries; /* borrowed */
	struct commit_record *records;	 /* one for each entry */
	size_t count;
	bool resolved; /* result of commit_resolve_unnameable() */
	/* After -EBADMSG: index of the invalid record, and the reason. */
	size_t problem_at;
	enum meta_error problem;
	struct commit_record few[LOG_WRITER_GROUP_MAX];
};

/* Decodes a commit.  The caller must call replay_release() afterwards, also after an error; the
 * pointers in 'entries' must be valid until then.  -EBADMSG if a meta record is unknown to this
 * version; 'diag' has the record and its position, with 'path' as the name of the log.  -ENOMEM. */
int replay_decode(struct decoded_commit *c, const char *path, const struct log_entry *entries,
		  size_t entry_count, struct diag *diag) WARN_UNUSED;
void replay_release(struct decoded_commit *c);

/* Applies a commit.  Takes the keydir's write lock.  -EBADMSG if it does not fit the tree; 'diag'
 * has the reason.  -ENOMEM. */
int replay_decoded(struct keydir *k, const char *path, const struct decoded_commit *c,
		   struct diag *diag) WARN_UNUSED;

/* Decodes and applies a commit. */
int replay_commit(struct keydir *k, const char *path, const struct log_entry *entries,
		  size_t entry_count, struct diag *diag) WARN_UNUSED;

/* Prefetches the memory that applying the record will need; changes nothing. */
void replay_ahead(struct keydir *k, const struct record *rec);

#endif
