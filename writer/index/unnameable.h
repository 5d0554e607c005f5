/* SPDX-License-Identifier: MIT */
/* Unnameable keys: keys that no path can have now, like "a//b", or "a" while "a" is a directory.
 * The keydir keeps their values next to the tree.
 *
 * Threads: the one that changes the keydir; with the write lock for changes. */
#ifndef FREYJAFS_WRITER_INDEX_UNNAMEABLE_H
#define FREYJAFS_WRITER_INDEX_UNNAMEABLE_H

#include "writer/index/node.h"

/* An unnameable key and its value; the keydir owns all of it. */
struct unnameable {
	const uint8_t *key;
	size_t key_bytes;
	struct value_position value;
	struct content_map *content; /* NULL: the value is at 'value' */
	uint64_t timestamp_ns;
};
/* Returns the key, borrowed, valid until it is put again or removed; NULL: no such key. */
const struct unnameable *keydir_unnameable_find(struct keydir *k, const void *key,
						size_t key_bytes);
/* Puts a copy of 'u'; the keydir then owns 'u->content', unless this fails.  -ENOMEM. */
int keydir_unnameable_put(struct keydir *k, const struct unnameable *u) WARN_UNUSED;
void keydir_unnameable_remove(struct keydir *k, const void *key, size_t key_bytes);
/* Makes the value of a key that has become nameable the content of file 'n', and removes the key.
 * Takes the lock itself.  -ENOMEM. */
int keydir_unnameable_become(struct keydir *k, const struct unnameable *u,
			     struct node *n) WARN_UNUSED;
/* Calls 'fn' for each key, in no order. */
void keydir_unnameable_each(struct keydir *k, void (*fn)(void *arg, const struct unnameable *u),
			    void *arg);

#endif
