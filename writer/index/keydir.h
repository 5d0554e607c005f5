/* SPDX-License-Identifier: MIT */
/* The keydir: the tree of names and nodes, and the positions of their contents in the log.
 *
 * A directory entry (struct dentry, entries.h) is a name in a directory; it points at a node
 * (struct node, node.h).  Both exist only in memory; the log has the records from which they are
 * made.
 *
 *     keydir.h           the tree as a whole; finding and listing
 *     node.h             a node: reading its fields, making it, pins, times, owner and mode
 *     node_attributes.h  extended attributes, targets of symlinks, devices
 *     node_content.h     the content of a file
 *     entries.h          linking, unlinking, renaming
 *     rename.h           the rules of a rename
 *     paths.h            paths of nodes, and their limits
 *     record_paths.h     paths that a record enters or frees
 *     inode_numbers.h    inode numbers
 *     unnameable.h       keys that no path can name
 *     staged.h           content that the log has staged, during a replay
 *     replay.h           the effects of records
 *     places.h           all positions of the log that are in use
 *     lost.h             names whose content is not completely in the log
 *
 * Threads.  One thread at a time changes the keydir: it holds the store's commit lock throughout,
 * and the keydir lock for writing (keydir_write_lock()) around each change.  That thread may read
 * without the keydir lock, since no other thread changes anything, except for pins and inode
 * numbers, which are atomic.  All other threads read under the keydir lock.  A function takes the
 * lock itself if its comment says "takes the lock", or if it is in the part "any thread" of
 * keydir.h. */
#ifndef FREYJAFS_WRITER_INDEX_KEYDIR_H
#define FREYJAFS_WRITER_INDEX_KEYDIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h> /* S_IFMT, the types of nodes */

#include "codec/compiler.h"
#include "writer/base/thread.h"
#include "writer/index/node_view.h"

struct keydir;
struct node;
struct dentry;

/* Precedes each function that the files of writer/index/ inline: meson.build makes it "static
 * inline" for them, and keydir_private.h has the definitions. */
#ifndef INDEX_ACCESSOR
#define INDEX_ACCESSOR
#endif

extern struct lock_class keydir_class; /* of the keydir lock */

struct keydir_defaults {
	uint32_t uid, gid;
	mode_t umask;
	bool inode32; /* stat(2) shows numbers of 32 bits; the log is the same with and without */
};

/* Makes an empty keydir, which the caller owns and frees with keydir_free().  -ENOMEM. */
int keydir_create(const struct keydir_defaults *defaults, struct keydir **ret) WARN_UNUSED;
/* Returns the defaults with which it was created. */
const struct keydir_defaults *keydir_defaults_of(const struct keydir *k);
void keydir_free(struct keydir *k); /* with all nodes, pinned or not; NULL is a no-op */

void keydir_write_lock(struct keydir *k) ACQUIRES(keydir_class);
void keydir_write_unlock(struct keydir *k) RELEASES(keydir_class);
/* Sets whether only one thread knows the keydir; then its lock is not needed, and not taken. */
void keydir_set_alone(struct keydir *k, bool alone);

struct keydir_stats {
	uint64_t files, directories, unnamed_keys, live_bytes;
	uint64_t memory_bytes; /* of nodes, names and the table for finding them */
};

/* --- any thread --- */

struct node *keydir_root(const struct keydir *k);
/* Finds a name and pins its node.  'ret_attr' may be NULL.  -ENOENT, -ENOTDIR, -ENAMETOOLONG. */
int keydir_lookup(struct keydir *k, struct node *dir, const char *name, size_t name_bytes,
		  struct node **ret, struct store_attr *ret_attr) WARN_UNUSED;
void keydir_getattr(struct keydir *k, struct node *n, struct store_attr *ret);
struct node *keydir_parent(struct keydir *k, struct node *n); /* pinned, or NULL */
/* Calls 'fn' for the entries behind 'cookie', as store_list() does. */
int keydir_list(struct keydir *k, struct node *dir, uint64_t cookie, store_list_fn fn, void *arg);
uint64_t keydir_list_end(struct keydir *k, struct node *dir); /* as store_list_end() */
void keydir_unpin(struct keydir *k, struct node *n, uint64_t count);
void keydir_stats(struct keydir *k, struct keydir_stats *ret);

/* --- finding; the thread that changes the keydir --- */

struct dentry *keydir_find(struct keydir *k, const struct node *dir, const char *name,
			   size_t name_bytes);
/* Follows a path for which path_ok() is true.  NULL if there is no such entry. */
struct dentry *keydir_find_path(struct keydir *k, const char *path, size_t path_bytes);
/* Returns the number of bytes of a path that name its directory: up to and including the last
 * slash. */
size_t keydir_dir_bytes(const char *path, size_t path_bytes);
/* Follows the front of a path, keydir_dir_bytes() of it; 0 is the root.  Fast for the directory
 * that was found last.  NULL if there is no such directory. */
struct node *keydir_find_dir(struct keydir *k, const char *path, size_t dir_bytes);
/* Prefetches the memory that keydir_find() needs. */
void keydir_prefetch(const struct keydir *k, const struct node *dir, const char *name,
		     size_t name_bytes);
uint64_t keydir_dir_count(const struct node *dir); /* number of entries */

/* Iterates over the nodes, including pinned ones without a name, in no order.  '*cursor' must be 0
 * for the first call; NULL is the end.  The keydir may change between two calls; nodes made in the
 * meantime may be returned or not. */
struct node *keydir_each_node(const struct keydir *k, uint32_t *cursor);

/* --- replaying a log --- */

/* A base is only allowed as the first record of a replay: keydir_has_begun() returns whether a
 * record was replayed, and keydir_begin() notes that one was. */
bool keydir_has_begun(const struct keydir *k);
void keydir_begin(struct keydir *k);

/* --- for tests --- */

/* Changes 'dir' as if 'count' more entries had been made in it and removed again. */
void keydir_skip_cookies(struct node *dir, uint32_t count);

#endif
