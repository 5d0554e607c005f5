/* SPDX-License-Identifier: MIT */
/* The public view of a node and of a directory entry: copies of the keydir's values, without its
 * structures.  Part of the interface of a store: writer/store.h includes this header. */
#ifndef FREYJAFS_WRITER_INDEX_NODE_VIEW_H
#define FREYJAFS_WRITER_INDEX_NODE_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

struct node; /* see writer/index/keydir.h */

/* Inode numbers have 53 bits: programs in JavaScript, Lua and other languages represent integers as
 * doubles, which are exact up to 53 bits, and must be able to tell two files apart. */
#define STORE_INO_MAX ((UINT64_C(1) << 53) - 1)

/* A name in a directory.  The name is not NUL-terminated. */
struct store_name {
	struct node *dir;
	const char *name;
	size_t name_bytes;
};

/* Mode and owner of a node.  'mode' includes the type if a function requires it. */
struct store_owner {
	mode_t mode;
	uint32_t uid, gid;
};

/* A change of attributes: only those selected by 'which' change. */
enum {
	STORE_SET_MODE = 1 << 0, /* permission bits */
	STORE_SET_UID = 1 << 1,
	STORE_SET_GID = 1 << 2,
	STORE_SET_MTIME = 1 << 3,
	STORE_SET_ATIME = 1 << 4,
	STORE_SET_CTIME = 1 << 5,
};
struct store_set {
	unsigned int which; /* STORE_SET_... */
	mode_t mode;
	uint32_t uid, gid;
	struct timespec mtime, atime, ctime;
};

/* Attributes of a node, as stat(2) shows them. */
struct store_attr {
	uint64_t ino;	     /* at most STORE_INO_MAX, with config.inode32 at most UINT32_MAX */
	uint32_t generation; /* differs from those of nodes that had its address before */
	mode_t mode;	     /* type and permissions */
	uint32_t uid, gid;
	uint32_t link_count;
	uint32_t rdev_major, rdev_minor; /* devices */
	uint64_t size_bytes; /* of the committed value, or the target of a symlink; otherwise 0 */
	uint64_t data_bytes; /* the same without holes */
	uint64_t pieces;     /* number of pieces of the log in the value; 1 for a plain record */
	struct timespec atime, mtime, ctime;
	bool committed; /* false: store_create()d and not yet in the log */
};

/* One entry of a directory.  Listing from 'cookie' on continues with the entry after it; cookies of
 * entries that stay do not change while the store is open, whatever other entries are made or
 * removed. */
struct store_dirent {
	const char *name; /* not NUL-terminated */
	size_t name_bytes;
	struct node
		*node; /* not pinned; valid inside the callback, which may store_pin_in_list() it */
	struct store_attr attr;
	uint64_t cookie;
};
/* Called for each entry.  If it does not return 0, the listing stops at this entry, which counts as
 * not listed.  Must not call the store, except store_pin_in_list(). */
typedef int (*store_list_fn)(void *arg, const struct store_dirent *entry);

/* Returns whether a list of xattr names may include this one. */
typedef bool (*store_xattr_filter)(const char *name, size_t name_bytes);

#endif
