/* SPDX-License-Identifier: MIT */
/* Staged content during a replay: content that the log has staged and not published yet.
 *
 * Threads: the one that replays. */
#ifndef FREYJAFS_WRITER_INDEX_STAGED_H
#define FREYJAFS_WRITER_INDEX_STAGED_H

#include "writer/index/content_map.h"
#include "writer/index/keydir.h"

/* Returns the content that is staged under 'id', borrowed; with 'make' it is made if missing.
 * NULL: none, or no memory. */
struct content_map *keydir_staged(struct keydir *k, uint64_t id, bool make);
void keydir_drop_staged(struct keydir *k, uint64_t id);
void keydir_drop_all_staged(struct keydir *k);
/* Calls 'fn' for each staged content, by id. */
void keydir_staged_each(struct keydir *k, void (*fn)(void *arg, uint64_t id, struct content_map *c),
			void *arg);

#endif
