/* SPDX-License-Identifier: MIT */
/* Staged content while a log is read: content that the log has staged and not published yet.
 *
 * Threads: one at a time. */
#ifndef FREYJAFS_WRITER_INDEX_STAGED_H
#define FREYJAFS_WRITER_INDEX_STAGED_H

#include "writer/index/content_map.h"
#include "writer/index/keydir.h"

/* All staged contents of a log, by id.  All zeros is the empty set; staged_drop_all() frees it. */
struct staged_set {
	void *root; /* of a tsearch() tree */
};

/* Returns the set of a replay into 'k'. */
struct staged_set *keydir_staged(struct keydir *k);

/* Returns the content that is staged under 'id', borrowed; with 'make' it is made if missing.
 * NULL: none, or no memory. */
struct content_map *staged_find(struct staged_set *set, uint64_t id, bool make);
/* Removes the content from the set and returns it; the caller owns it.  NULL: none. */
struct content_map *staged_take(struct staged_set *set, uint64_t id);
void staged_drop_all(struct staged_set *set);
/* Calls 'fn' for each staged content, by id. */
void staged_each(struct staged_set *set, void (*fn)(void *arg, uint64_t id, struct content_map *c),
		 void *arg);

#endif
