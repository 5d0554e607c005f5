/* SPDX-License-Identifier: MIT */
/* Inode numbers: the hash of a path, or a number that a node was given.
 *
 * A hash survives a remount without being stored, and needs no memory.  A node that was renamed,
 * linked or unlinked while in use keeps its number as a given one, and no other node gets it. (In
 * one of 18,000 stores with a million keys two paths have the same hash by chance; programs then
 * take them for hard links: docs/decisions/0020.)
 *
 * Threads: the one that changes the keydir, except for keydir_ino(). */
#ifndef FREYJAFS_WRITER_INDEX_INODE_NUMBERS_H
#define FREYJAFS_WRITER_INDEX_INODE_NUMBERS_H

#include "writer/index/node.h"

/* Returns the inode number of 'n': the hash of its path, or the given one; 0 if it has neither.
 * Any thread with the keydir lock or the commit lock. */
uint64_t keydir_ino(const struct keydir *k, const struct node *n);
/* Returns whether the number is a given one. */
bool keydir_ino_is_given(const struct node *n);
/* Returns whether a new node at the path of 'n' would get another number: 'n' was given its number,
 * or is a directory whose number dates from when its parent directory had another one. */
bool keydir_ino_is_special(const struct keydir *k, const struct node *n);
/* Gives 'n', which has no name yet, another number if a node has the number of the path 'name' in
 * 'dir'.  Must be called before it is linked there.  Returns whether 'n' has a given number.  Takes
 * the lock. */
bool keydir_ino_for(struct keydir *k, struct node *n, const struct node *dir, const char *name,
		    size_t name_bytes);
/* Gives 'n', which has no name, a number that it keeps whatever its name will be.  'dir' is the
 * directory where it would get a name.  Takes the lock.  -ENOMEM. */
int keydir_give_ino(struct keydir *k, struct node *n, const struct node *dir) WARN_UNUSED;
/* Sets the number that 'n' has in the log.  Requires keydir_prepare().  With the write lock. */
void keydir_set_ino(struct keydir *k, struct node *n, uint64_t ino);

#endif
