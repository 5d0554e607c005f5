/* SPDX-License-Identifier: MIT */
/* Inode numbers.
 *
 * An inode number is a hash of the path, so that it stays over a remount without being stored, and
 * takes no memory.  A node that was renamed, linked or unlinked while in use keeps its number as a
 * given one, and no other node gets it.  (Two paths that have the same hash by chance are one in
 * 20,000 stores of a million keys; programs then take them for hard links.)
 *
 * Threads: the one that changes the keydir, except for keydir_ino(). */
#ifndef FREYJAFS_WRITER_INDEX_INODE_NUMBERS_H
#define FREYJAFS_WRITER_INDEX_INODE_NUMBERS_H

#include "writer/index/node.h"

/* The inode number of 'n': the hash of its path, or the given one; 0: it has neither.  Any thread
 * with the keydir lock or the commit lock. */
uint64_t keydir_ino(const struct keydir *k, const struct node *n);
/* Says whether the number is a given one. */
bool keydir_ino_is_given(const struct node *n);
/* Says whether a new node at the path of 'n' would get another number: 'n' was given its number, or
 * is a directory whose number dates from when the directory above had another one. */
bool keydir_ino_is_special(const struct keydir *k, const struct node *n);
/* Before 'n', which has no name yet, is linked as 'name' in 'dir': gives it another number if a
 * node has the number of that path.  Says whether 'n' has a given number.  Takes the lock. */
bool keydir_ino_for(struct keydir *k, struct node *n, const struct node *dir, const char *name,
		    size_t name_bytes);
/* Gives 'n', which has no name and would get one in 'dir', a number that it keeps whatever its name
 * will be.  Takes the lock.  -ENOMEM. */
int keydir_give_ino(struct keydir *k, struct node *n, const struct node *dir) WARN_UNUSED;
/* The log says that 'n' has this number.  Requires keydir_prepare().  With the write lock. */
void keydir_set_ino(struct keydir *k, struct node *n, uint64_t ino);

#endif
