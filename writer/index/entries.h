/* SPDX-License-Identifier: MIT */
/* Entries of directories: linking, unlinking and renaming nodes.
 *
 * Threads: the one that changes the keydir. */
#ifndef FREYJAFS_WRITER_INDEX_ENTRIES_H
#define FREYJAFS_WRITER_INDEX_ENTRIES_H

#include "writer/index/node.h"

/* --- reading an entry --- */

INDEX_ACCESSOR struct node *dentry_dir(const struct dentry *d);
INDEX_ACCESSOR struct node *dentry_node(const struct dentry *d); /* NULL: not linked */
struct store_name dentry_name(const struct dentry *d);		 /* valid as long as the entry */

/* --- preparing, so that no step can fail after the append; takes the lock --- */

/* Makes an entry that keydir_link() or keydir_move() can link without a failure, if no other entry
 * is linked in between.  NULL: no memory. keydir_dentry_free() frees it unless it is linked. */
struct dentry *keydir_dentry_new(struct keydir *k, struct node *dir, const char *name,
				 size_t name_bytes);
void keydir_dentry_free(struct keydir *k, struct dentry *d);
/* Makes a node of 'type', with its inode number, and the entry that keydir_link() will link it by.
 * -ENOMEM: nothing was made. */
int keydir_prepare_node(struct keydir *k, const struct store_name *at, mode_t type,
			struct node **ret_node, struct dentry **ret_dentry) WARN_UNUSED;

/* --- changing; with the write lock.  mtime and ctime of the directories become 'now_ns' --- */

/* Gives 'n' a name: its first, or one more (requires keydir_prepare_name()). */
void keydir_link(struct keydir *k, struct dentry *d, struct node *n, int64_t now_ns);
/* Removes the entry and frees it, and also the node, if it has neither another name nor a pin.
 * Requires keydir_prepare() for a node that stays, which could otherwise lose its inode number. */
void keydir_unlink(struct keydir *k, struct dentry *d, int64_t now_ns);
/* Renames: moves the node of 'from' to 'to', an existing entry, whose node loses that name, or a
 * new one from keydir_dentry_new().  'from' is freed.  Nodes keep their inode numbers.  Requires
 * keydir_prepare() for each node. */
void keydir_move(struct keydir *k, struct dentry *from, struct dentry *to, int64_t now_ns);
void keydir_exchange(struct keydir *k, struct dentry *a, struct dentry *b, int64_t now_ns);

#endif
