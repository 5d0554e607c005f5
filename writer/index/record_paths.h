/* SPDX-License-Identifier: MIT */
/* Paths that a record enters or frees (docs/FORMAT.md, section 5): directories that keys make and
 * keep, and keys that become unnameable or nameable again.
 *
 * Threads: the one that changes the keydir.  Each function takes the keydir's write lock.  Changes
 * get the time 'now_ns'.  Errors: -ENOMEM. */
#ifndef FREYJAFS_WRITER_INDEX_RECORD_PATHS_H
#define FREYJAFS_WRITER_INDEX_RECORD_PATHS_H

#include "writer/index/entries.h"

/* The last component of a path, and its directory. */
struct record_target {
	struct node *dir; /* in which it is looked up */
	const char *name;
	size_t name_bytes;
	struct dentry *entry; /* NULL: no such entry */
};

/* Makes the missing directories of a path.  A file in their place gives way: its key becomes
 * unnameable. */
int keydir_enter(struct keydir *k, const char *path, size_t path_bytes, int64_t now_ns,
		 struct record_target *ret) WARN_UNUSED;

/* Makes a node of 'type' at a path without an entry. */
int keydir_make(struct keydir *k, const struct record_target *at, mode_t type, int64_t now_ns,
		struct node **ret) WARN_UNUSED;

/* Returns whether a key stays unnameable although it is a path: its directory does not exist, and
 * it would make more directories than one key may. (A key of 64 KB could make 32,000 directories,
 * and 25 MB of such keys would need gigabytes of memory.) */
bool keydir_is_too_deep(struct keydir *k, const char *key, size_t key_bytes);

/* Finds the entry that a record is about; NULL: none.  Earlier versions made files of keys however
 * deep they were; one of their records about such a file, or about a directory above it, makes the
 * key a file now. */
int keydir_find_operand(struct keydir *k, const char *path, size_t path_bytes, int64_t now_ns,
			struct dentry **ret) WARN_UNUSED;

/* Settles a path after the entry at 'path', which was in 'dir', was removed.  An unnameable key of
 * that path becomes a file.  'dir' is removed if it is empty and exists only through its keys, and
 * so on upwards. */
int keydir_path_is_free(struct keydir *k, const char *path, size_t path_bytes, struct node *dir,
			int64_t now_ns) WARN_UNUSED;

#endif
