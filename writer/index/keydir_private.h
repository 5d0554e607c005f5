/* SPDX-License-Identifier: MIT */
/* The structures of the keydir.  Only files in writer/index/ include this header.
 *
 * Entries are found by (directory, name) in one hash table for the whole store, and listed through
 * the slots of each directory (directory_private.h).
 *
 * Nodes, entries and other objects of fixed size are in a slab, and refer to each other by its
 * references: half of the bytes that pointers take. */
#ifndef FREYJAFS_WRITER_INDEX_KEYDIR_PRIVATE_H
#define FREYJAFS_WRITER_INDEX_KEYDIR_PRIVATE_H

#include <stdatomic.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "writer/base/number_set.h"
#include "writer/base/thread.h"
#include "writer/index/directory_private.h"
#include "writer/index/entries.h"
#include "writer/index/hash_table.h"
#include "writer/index/keydir.h"
#include "writer/index/node.h"
#include "writer/index/slab.h"
#include "writer/index/staged.h"

#define FILE_MODE_DEFAULT   0666
#define DIR_MODE_DEFAULT    0777
#define FOUND_DIRS	    64
#define FOUND_DIR_BYTES_MAX 256

/* Kinds of objects in the slab. */
enum {
	KIND_OTHER,
	KIND_NODE = SLAB_KIND_DATED, /* the mount uses addresses of nodes as identifiers */
};

/* The names of a node except the first; only a file with hard links has them. */
struct node_names {
	slab_ref_t *refs; /* owned; of entries, oldest first */
	uint32_t count, capacity;
};

/* Attributes that only a few nodes need. */
struct node_extra {
	uint32_t rdev_major, rdev_minor; /* devices */
	char *target;			 /* symlinks; owned */
	size_t target_bytes;
	uint8_t *xattrs; /* see codec/xattrs.h; owned; NULL: none */
	size_t xattrs_bytes;
	struct content_map *content; /* of a file with more than one record; owned; by the lock */
	struct node_names more_names;
};

/* Fields that a file does not need if it was written under its present name, and has no attributes
 * of its own. */
struct node_rare {
	uint64_t ino; /* given: no other node gets it; 0: the hash of the path */
	int64_t ctime_ns, atime_ns;
	struct node_extra *extra; /* owned; NULL: none of these */
};

/* A node.  There are millions of them.  Optional fields are in 'rare', which keydir_prepare() makes
 * before a change that needs it. */
struct node {
	uint16_t mode;	    /* 0: not in use */
	uint16_t key_bytes; /* of the value's record */
	slab_ref_t name;    /* the first entry; 0: the root, or none */
	_Atomic uint32_t pins;
	slab_ref_t rare; /* 0: the ctime equals the mtime, the atime follows it, and the other
			    fields are empty */
	uint32_t uid, gid;
	union {
		uint64_t record_position; /* of the value, unless 'extra' has a content */
		struct dir *dir;	  /* directories; owned */
	};
	uint32_t value_bytes;
	bool committed; /* the log has it */
	bool explicit;	/* directories: the log has an attr record of it */
	bool mtime_set; /* directories: the mtime was set explicitly, and no entry has changed since
			 */
	bool verified;	/* the CRC of the value has been checked since open */
	int64_t mtime_ns;
};

/* A directory that a search by path has found. */
struct found_dir {
	struct node *node; /* NULL: none */
	size_t bytes;
	char path[FOUND_DIR_BYTES_MAX];
};

struct keydir {
	struct keydir_defaults defaults; /* constant */
	struct node *root;		 /* constant */
	struct node *unnameable; /* constant; directory of the unnameable keys, without a name */
	bool alone;		 /* the lock is not taken; see keydir_set_alone() */

	struct rwlock lock; /* innermost */

	/* All below: by lock. */
	struct slab slab;
	struct hash_table table;
	/* The inode numbers of nodes whose number differs from that of their path, or once did. */
	struct number_set given;
	struct staged_set staged;
	struct keydir_stats stats;

	/* Only for the one thread that changes the keydir: */
	struct found_dir found_dirs[FOUND_DIRS]; /* by the hash of the path */
	uint32_t content_copies; /* how often a file got the content of another one */
	bool begun;		 /* a record has been replayed */
};

static inline struct node_rare *node_rare(const struct node *n)
{
	return slab_beside(n, n->rare);
}

static inline struct node_extra *node_extra(const struct node *n)
{
	const struct node_rare *r = node_rare(n);

	return r == NULL ? NULL : r->extra;
}

static inline void keydir_read_lock(struct keydir *k) ACQUIRES_SHARED(keydir_class) NO_THREAD_SAFETY
{
	if (!k->alone)
		rwlock_read_lock(&k->lock);
}

static inline void keydir_read_unlock(struct keydir *k)
	RELEASES_SHARED(keydir_class) NO_THREAD_SAFETY
{
	if (!k->alone)
		rwlock_read_unlock(&k->lock);
}

static inline uint32_t keydir_hash_name(const struct node *dir, const char *name, size_t name_bytes)
{
	return (uint32_t)XXH3_64bits_withSeed(name, name_bytes, (uintptr_t)dir);
}

/* --- accessors of node.h and entries.h ---
 *
 * The files of writer/index/ inline them: a replay executes a tenth fewer instructions by that.
 * accessors.c compiles the same definitions as the functions that all other files call. */

INDEX_ACCESSOR struct node *dentry_dir(const struct dentry *d)
{
	return slab_beside(d, d->dir);
}

INDEX_ACCESSOR struct node *dentry_node(const struct dentry *d)
{
	return slab_beside(d, d->node);
}

INDEX_ACCESSOR bool node_is_dir(const struct node *n)
{
	return S_ISDIR(n->mode);
}

INDEX_ACCESSOR bool node_is_file(const struct node *n)
{
	return S_ISREG(n->mode);
}

INDEX_ACCESSOR uint32_t node_name_count(const struct node *n)
{
	const struct node_extra *e = node_extra(n);

	return (n->name != 0 ? 1u : 0u) + (e == NULL ? 0 : e->more_names.count);
}

INDEX_ACCESSOR struct dentry *node_name(const struct node *n)
{
	return slab_beside(n, n->name);
}

INDEX_ACCESSOR struct node *node_parent(const struct node *n)
{
	return dentry_dir(node_name(n));
}

INDEX_ACCESSOR bool keydir_is_gone(const struct keydir *k, const struct node *n)
{
	return n->name == 0 && n != k->root;
}

INDEX_ACCESSOR bool keydir_is_unnameable(const struct keydir *k, const struct node *n)
{
	return n->name != 0 && node_parent(n) == k->unnameable;
}

INDEX_ACCESSOR struct node_times node_times(const struct node *n)
{
	const struct node_rare *r = node_rare(n);

	return (struct node_times){
		.mtime_ns = n->mtime_ns,
		.ctime_ns = r == NULL ? n->mtime_ns : r->ctime_ns,
		.atime_ns = r == NULL ? NODE_ATIME_FOLLOWS_MTIME : r->atime_ns,
	};
}

/* Returns the size of a key that 'n->key_bytes' cannot hold.  Such a key is not a path, so it is
 * the name of the file. */
static inline uint32_t node_long_key_bytes(const struct node *n)
{
	size_t name_bytes = n->name == 0 ? 0 : dentry_name_bytes(node_name(n));

	return name_bytes > UINT16_MAX ? (uint32_t)name_bytes : UINT16_MAX;
}

INDEX_ACCESSOR struct value_position node_value(const struct node *n)
{
	return (struct value_position){
		.record_position = n->value_bytes == 0 ? 0 : n->record_position,
		.key_bytes = n->key_bytes < UINT16_MAX ? n->key_bytes : node_long_key_bytes(n),
		.value_bytes = n->value_bytes,
	};
}

INDEX_ACCESSOR struct content_map *node_content(const struct node *n)
{
	const struct node_extra *e = node_extra(n);

	return e == NULL ? NULL : e->content;
}

INDEX_ACCESSOR bool node_is_pinned(const struct node *n)
{
	return atomic_load(&n->pins) > 0;
}

/* --- keydir.c --- */

/* Forgets the directories that searches by path have found. */
void keydir_forget_dirs(struct keydir *k);

/* --- node.c; with the write lock --- */

struct node *node_new(struct keydir *k, mode_t type); /* NULL: no memory */
/* Frees the memory of a node that is outside of the slab. */
void node_empty(struct node *n);
/* Makes 'rare' unless it exists.  NULL: no memory. */
struct node_rare *node_rare_get(struct keydir *k, struct node *n);
/* Frees a node if it has neither a name nor a pin. */
void node_release_if_unused(struct keydir *k, struct node *n);

/* Makes 'extra' unless it exists, for writing.  NULL: no memory.  Takes the lock itself. */
struct node_extra *node_extra_get(struct keydir *k, struct node *n);

/* --- node_content.c --- */

/* Returns the bytes of the log that a content keeps alive; see content_map_live_bytes(). */
uint64_t content_live_bytes(const struct value_position *value, const struct content_map *content);
uint64_t node_live_bytes(const struct node *n);
/* Returns the single record of a file as a piece. */
struct content_piece node_whole_piece(const struct node *n);
/* Sets the position of the single record of a file. */
void node_set_position(struct node *n, const struct value_position *value);
/* Sets the content to 'value' or, unless it is NULL, to 'content', which 'n' then owns and for
 * which it must have an 'extra'.  With the write lock. */
void node_replace_content(struct keydir *k, struct node *n, const struct value_position *value,
			  struct content_map *content, int64_t now_ns);

/* --- inode_numbers.c --- */

/* Returns a number of 32 bits that no other node has now: the position of the node in memory. */
uint64_t node_ino32(const struct node *n);
/* Gives 'n' the number of its path, which it is about to leave. */
void node_keep_ino(struct keydir *k, struct node *n);
/* Allows other nodes to get the number that 'n' was given. */
void node_forget_ino(struct keydir *k, struct node *n);

/* --- paths.c --- */

/* Raises the bounds that keydir_fits() uses, for entry 'd', which has been linked. */
void dentry_raise_bounds(const struct dentry *d);

#endif
