/* SPDX-License-Identifier: MIT */
/* Unnameable keys: keys that no path can have now, like "a//b", or "a" while "a" is a directory.
 * Each of them is a file in a second root directory, next to the tree, with the key as its name.
 * Its mtime is the timestamp of the value's record.
 *
 * Threads: the one that changes the keydir; with the write lock for changes. */
#ifndef FREYJAFS_WRITER_INDEX_UNNAMEABLE_H
#define FREYJAFS_WRITER_INDEX_UNNAMEABLE_H

#include "writer/index/entries.h"

/* Returns the file of an unnameable key; NULL: no such key. */
struct node *keydir_unnameable_find(struct keydir *k, const void *key, size_t key_bytes);
/* Iterates over the files, in no order.  '*cursor' must be 0 for the first call; NULL is the end.
 * The keys may change between two calls. */
struct node *keydir_unnameable_next(const struct keydir *k, uint64_t *cursor);

/* Finds or makes the file of an unnameable key.  Takes the lock.  -ENOMEM. */
int keydir_unnameable_get(struct keydir *k, const void *key, size_t key_bytes,
			  struct node **ret) WARN_UNUSED;
void keydir_unnameable_remove(struct keydir *k, const void *key, size_t key_bytes);

#endif
