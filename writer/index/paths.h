/* SPDX-License-Identifier: MIT */
/* Paths of nodes, and their limits of length and depth.
 *
 * Threads: the one that changes the keydir, except for keydir_path_of(). */
#ifndef FREYJAFS_WRITER_INDEX_PATHS_H
#define FREYJAFS_WRITER_INDEX_PATHS_H

#include "writer/index/node.h"

/* Copies the path of the oldest name of 'n', without a NUL, to 'buf' of PATH_BYTES_MAX bytes.
 * Returns its size; 0: the root, or 'n' has no name.  Any thread; takes the lock. */
size_t keydir_path_of(struct keydir *k, const struct node *n, char *buf);
/* Copies the path of 'n', or of 'name' in directory 'n' unless 'name' is NULL, to 'buf' of
 * PATH_BYTES_MAX bytes.  Returns its size, or -ENAMETOOLONG. */
ssize_t keydir_path(const struct keydir *k, const struct node *n, const char *name,
		    size_t name_bytes, char *buf);

/* Copies the path of an entry, in the same way. */
ssize_t keydir_entry_path(const struct keydir *k, const struct dentry *d, char *buf);

bool keydir_is_inside(const struct node *n, const struct node *dir); /* 'n' is 'dir' or below it */

/* Checks that directory 'n' (NULL: a new one) can be linked as a name of 'name_bytes' in 'dir':
 * each path below it must fit the key of a record, and it must not be too deep, unless it is as
 * deep already.  -ENAMETOOLONG.  Walks through the tree below 'n' only if the result depends on it.
 */
int keydir_fits(struct node *n, const struct node *dir, size_t name_bytes) WARN_UNUSED;
/* Finds a directory to be moved elsewhere, because a path below it is longer than a key can be,
 * while its own path fits a key.  NULL: none.  Only old logs have such paths. */
struct node *keydir_find_too_long(struct keydir *k);

#endif
