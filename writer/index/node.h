/* SPDX-License-Identifier: MIT */
/* A node of the keydir: a file, a directory, a symlink, a device, a fifo or a socket.
 *
 * Threads: see keydir.h. */
#ifndef FREYJAFS_WRITER_INDEX_NODE_H
#define FREYJAFS_WRITER_INDEX_NODE_H

#include "codec/meta.h"
#include "writer/index/content_map.h"
#include "writer/index/keydir.h"

/* --- reading --- */

INDEX_ACCESSOR bool node_is_dir(const struct node *n);
INDEX_ACCESSOR bool node_is_file(const struct node *n);
/* Return the type of a node, and the bits for a type in st_mode. */
enum meta_type node_type(const struct node *n);
mode_t node_type_bits(enum meta_type type);

/* Returns whether the log has the node. */
bool node_is_committed(const struct node *n);
/* Returns whether the log has an attr record of a directory.  A directory without one exists
 * through the keys in it. */
bool node_is_explicit(const struct node *n);

/* The names of a node: none while it is new or unlinked, more than one with hard links. */
INDEX_ACCESSOR uint32_t node_name_count(const struct node *n);
INDEX_ACCESSOR struct dentry *
node_name(const struct node *n); /* the oldest one; NULL: the root, or none */
struct dentry *node_nth_name(const struct node *n, uint32_t i); /* by age; below the count */
INDEX_ACCESSOR struct node *
node_parent(const struct node *n); /* directory of the oldest name; requires a name */
INDEX_ACCESSOR bool keydir_is_gone(const struct keydir *k,
				   const struct node *n); /* no name, and not the root */
/* Returns whether 'n' is the file of an unnameable key (unnameable.h). */
INDEX_ACCESSOR bool keydir_is_unnameable(const struct keydir *k, const struct node *n);

/* Times in ns since the epoch (writer/base/times.h). */
#define NODE_ATIME_FOLLOWS_MTIME INT64_MIN
struct node_times {
	int64_t mtime_ns, ctime_ns;
	int64_t atime_ns; /* or NODE_ATIME_FOLLOWS_MTIME */
};
INDEX_ACCESSOR struct node_times node_times(const struct node *n);
/* Directories: returns whether the mtime was set by keydir_set_attributes(), and no entry has
 * changed since. */
bool node_mtime_is_set(const struct node *n);

/* Returns the size of a file's content, or of a symbolic link's target. */
uint64_t node_size_bytes(const struct node *n);
/* Returns the position of the value of a file that is one record. */
INDEX_ACCESSOR struct value_position node_value(const struct node *n);
/* Returns the content of a file in pieces, borrowed; NULL: it is one record or none. */
INDEX_ACCESSOR struct content_map *node_content(const struct node *n);

/* Returns the list of extended attributes (codec/xattrs.h), which the node owns; NULL: none. */
const uint8_t *node_xattrs(const struct node *n, size_t *ret_bytes);

/* Returns whether owner and mode are those of a new node. */
bool keydir_is_default(const struct keydir *k, const struct node *n);

/* --- as the meta records of the log describe it --- */

/* Returns the attr record that describes 'n' now, without the optional fields: times, xattrs, inode
 * number.  It borrows the target from 'n'. */
struct meta_attr node_meta_attr(const struct node *n);

/* Adds the xattrs of 'n', if it has any, for a node that the log does not have.  The record borrows
 * the list from 'n'. */
void node_meta_add_xattrs(const struct node *n, struct meta_attr *attr);

/* --- pins: a node lives until its last name and its last pin are gone --- */

/* Adds a pin; keydir_unpin() drops pins.  Requires that the caller has the node pinned, or holds
 * the keydir lock.  Any thread. */
void node_pin(struct node *n);
INDEX_ACCESSOR bool node_is_pinned(const struct node *n);

/* --- making and preparing, so that no step can fail after the append; takes the lock --- */

/* Makes a node of a type (S_IFMT), with the default owner and mode and without a name.
 * keydir_node_free() frees it unless it is linked.  NULL: no memory. */
struct node *keydir_node_new(struct keydir *k, mode_t type);
void keydir_node_free(struct keydir *k, struct node *n); /* NULL is a no-op */
/* Reserves memory in 'n' for an inode number and for times that differ.  Required before each
 * change of its names except its first one, and before a change of only its ctime.  -ENOMEM. */
int keydir_prepare(struct keydir *k, struct node *n) WARN_UNUSED;
/* Reserves as keydir_prepare(), and memory for one more name. */
int keydir_prepare_name(struct keydir *k, struct node *n) WARN_UNUSED;

/* --- changing; with the write lock, or while no other thread knows the node --- */

/* Notes that the log has the node. */
void keydir_set_committed(struct node *n);
/* Notes that the log has an attr record of the node; only meaningful for directories. */
void keydir_set_explicit(struct node *n);
/* Sets permission bits and owner; the type of 'owner->mode' is ignored. */
void keydir_set_owner(struct node *n, const struct store_owner *owner);
/* Requires keydir_prepare() if the times differ. */
void keydir_set_times(struct node *n, const struct node_times *times);
void keydir_set_ctime(struct node *n, int64_t ctime_ns);
/* An entry of directory 'n', or the content of file 'n', has changed: sets mtime and ctime. */
void keydir_touch(struct node *n, int64_t now_ns);
/* Sets the attributes that 'set' selects.  Requires keydir_prepare() for times. */
void keydir_set_attributes(struct node *n, const struct store_set *set);

#endif
