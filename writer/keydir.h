/* SPDX-License-Identifier: MIT */
/* The keydir: the tree of names and nodes, and where in the log each value stands.
 *
 * A directory entry (struct dentry) is a name in a directory; it points at a node.  Both live in
 * memory alone; the log is what makes them.
 *
 * Threads.  One thread at a time changes the keydir: it holds the store's commit lock throughout,
 * and the keydir lock for writing (keydir_write_lock()) around each change.  It may read without
 * the keydir lock, since nobody else changes anything, but for pins and inode numbers, which are
 * atomic.  All others read under the keydir lock; the functions in the part "reading" take it
 * themselves. */
#ifndef FREYJAFS_WRITER_KEYDIR_H
#define FREYJAFS_WRITER_KEYDIR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "codec/meta.h"
#include "writer/content_map.h"
#include "writer/store.h"

struct keydir; /* opaque, see keydir.c */
struct dir;    /* the entries of a directory; opaque, see keydir.c */

/* A time of a node, ns since the epoch; keydir_ns() clamps to 1677 ... 2262. */
#define NODE_ATIME_FOLLOWS_MTIME INT64_MIN

/* What few nodes have. */
struct node_extra {
	uint32_t rdev_major, rdev_minor; /* devices */
	char *target;			 /* symlinks; owned */
	size_t target_bytes;
	uint8_t *xattrs; /* see codec/xattrs.h; owned; NULL: none */
	size_t xattrs_bytes;
	struct content_map
		*content; /* of a file that is more than one record; owned; by the lock */
};

struct node {
	_Atomic uint64_t pins;
	_Atomic uint64_t ino; /* 0: not asked for yet */
	struct dentry *names; /* oldest first; NULL: the root, or unlinked */
	uint32_t name_count;
	struct dir *dir;	  /* directories only; owned */
	struct node_extra *extra; /* owned; NULL: nothing of that */
	struct value_place value; /* unless 'extra' has a content */
	int64_t mtime_ns, ctime_ns, atime_ns;
	mode_t mode;
	uint32_t uid, gid;
	bool committed; /* the log has it */
	bool explicit;	/* directories: the log has an attr record of it; else it exists through its
			   keys */
	bool mtime_set; /* directories: the mtime was set by hand, and no entry has changed since */
	bool verified;	/* the CRC of the value has been checked since open */
	bool stray;	/* its ino is not the one of its path: see keydir_ino() */
};

struct dentry {
	struct node *dir;
	struct node *node;
	struct dentry *next_name; /* of the same node */
	uint64_t cookie;	  /* its place in listings */
	uint32_t hash;
	uint16_t name_bytes;
	char name[]; /* not NUL-terminated */
};

static inline bool node_is_dir(const struct node *n)
{
	return S_ISDIR(n->mode);
}

static inline bool node_is_file(const struct node *n)
{
	return S_ISREG(n->mode);
}

/* The type of a node, as attr records and as st_mode have it. */
enum meta_type node_type(const struct node *n);
mode_t node_type_bits(enum meta_type type);

struct keydir_defaults {
	uint32_t uid, gid;
	mode_t umask;
};

/* -ENOMEM.  The caller owns what is stored. */
int keydir_create(const struct keydir_defaults *defaults, struct keydir **ret) WARN_UNUSED;
void keydir_free(struct keydir *k); /* with all nodes, pinned or not; NULL is a no-op */

void keydir_write_lock(struct keydir *k);
void keydir_write_unlock(struct keydir *k);

/* --- reading; any thread --- */

struct node *keydir_root(const struct keydir *k);
int keydir_lookup(struct keydir *k, struct node *dir, const char *name, size_t name_bytes,
		  struct node **ret, struct store_attr *ret_attr) WARN_UNUSED;
void keydir_getattr(struct keydir *k, struct node *n, struct store_attr *ret);
struct node *keydir_parent(struct keydir *k, struct node *n); /* pinned, or NULL */
int keydir_list(struct keydir *k, struct node *dir, uint64_t cookie, store_list_fn fn, void *arg);
void keydir_unpin(struct keydir *k, struct node *n, uint64_t count);
/* Copies the target of a symlink.  Returns its size, or -errno: -EINVAL, -ERANGE. */
ssize_t keydir_target(struct keydir *k, struct node *n, char *buf, size_t buf_bytes);
/* Copies the value of an xattr, or (names) the NUL-terminated names of those that 'filter' lets
 * through.  'buf_bytes' 0: only the size.  Returns the size, or -errno: -ENODATA, -ERANGE. */
ssize_t keydir_xattr(struct keydir *k, struct node *n, const char *name, void *buf,
		     size_t buf_bytes);
ssize_t keydir_xattr_names(struct keydir *k, struct node *n, store_xattr_filter filter, char *buf,
			   size_t buf_bytes);
/* Copies the pieces of the content that have bytes in ['offset', 'end'), at most 'pieces_max'; they
 * are not cut to it.  Returns how many, and the size of the content. */
size_t keydir_pieces(struct keydir *k, struct node *n, uint64_t offset, uint64_t end,
		     struct content_piece *ret, size_t pieces_max, uint64_t *ret_size);
/* Records that the CRC of the record behind 'piece' is right, if the content is still that. */
void keydir_set_verified(struct keydir *k, struct node *n, const struct content_piece *piece);

struct keydir_stats {
	uint64_t files, directories, unnamed_keys, live_bytes;
};
void keydir_stats(struct keydir *k, struct keydir_stats *ret);

/* --- for the one thread that changes the keydir: looking --- */

struct dentry *keydir_find(struct keydir *k, const struct node *dir, const char *name,
			   size_t name_bytes);
/* Follows a path_ok() path.  NULL if there is no such entry. */
struct dentry *keydir_find_path(struct keydir *k, const char *path, size_t path_bytes);
uint64_t keydir_dir_count(const struct node *dir);
bool keydir_is_inside(const struct node *n, const struct node *dir);  /* 'n' is 'dir' or below it */
bool keydir_is_gone(const struct keydir *k, const struct node *n);    /* it has no name any more */
bool keydir_is_default(const struct keydir *k, const struct node *n); /* owner and mode */

/* Writes the path of 'n' (and, below it, of 'name' unless that is NULL) to 'buf', which has room
 * for PATH_BYTES_MAX.  Returns its size, or -ENAMETOOLONG. */
ssize_t keydir_path(const struct keydir *k, const struct node *n, const char *name,
		    size_t name_bytes, char *buf);

/* --- for the one thread that changes the keydir: preparing, so that nothing can fail after the
 * append --- */

/* The inode number of 'n', which has a name: a hash of its path, or the one it was given.  Any
 * thread, with the keydir lock or the commit lock. */
uint64_t keydir_ino(struct keydir *k, struct node *n);
/* Says whether it is not the one of the path of 'n'. */
bool keydir_ino_is_given(struct keydir *k, struct node *n);
/* Gives 'n', which has no name yet, the number it will have as 'name' in 'dir'.  Says whether that
 * is not the one of the path.  keydir_ino_forget() goes before keydir_node_free() then. */
bool keydir_ino_for(struct keydir *k, struct node *n, struct node *dir, const char *name,
		    size_t name_bytes);
void keydir_ino_forget(struct keydir *k, struct node *n);
/* The log says that 'n' has this number. */
void keydir_set_ino(struct keydir *k, struct node *n, uint64_t ino);

/* Makes a node without a name.  Freed by keydir_node_free() unless it is linked. */
struct node *keydir_node_new(struct keydir *k, mode_t type);
void keydir_node_free(struct node *n);
/* Returns what few nodes have, for writing; made if it is not there.  NULL: no memory. */
struct node_extra *node_extra_get(struct node *n);
/* Makes all that a publish needs, so that nothing can fail after it: stores the new content of 'n',
 * complete, to be set by keydir_set_content(); or NULL when 'staged' is to be laid over the one it
 * has.  -ENOMEM. */
int keydir_prepare_content(struct keydir *k, struct node *n, const struct content_map *staged,
			   bool keep, uint64_t size_bytes, struct content_map **ret) WARN_UNUSED;
/* Makes an entry that keydir_link() can link without failing, if nothing else is linked in between.
 * NULL: no memory.  Takes the write lock itself for a moment.  Freed by keydir_dentry_free() unless
 * it is linked. */
struct dentry *keydir_dentry_new(struct keydir *k, struct node *dir, const char *name,
				 size_t name_bytes);
void keydir_dentry_free(struct dentry *d);

/* --- changing; with the write lock --- */

/* Gives 'n' a name: its first, or one more. */
void keydir_link(struct keydir *k, struct dentry *d, struct node *n, int64_t now_ns);
/* Takes the entry away and frees it; the node too when that was its last name and nobody has it
 * pinned. */
void keydir_unlink(struct keydir *k, struct dentry *d, int64_t now_ns);
/* Moves the node of 'from' to 'to': an existing entry, whose node loses its name, or a new one from
 * keydir_dentry_new(). 'from' is freed. */
void keydir_move(struct keydir *k, struct dentry *from, struct dentry *to, int64_t now_ns);
void keydir_exchange(struct keydir *k, struct dentry *a, struct dentry *b, int64_t now_ns);
/* The content of 'n' is now the value at 'place'.  Sets mtime and ctime. */
void keydir_set_value(struct keydir *k, struct node *n, const struct value_place *place,
		      int64_t now_ns);
/* The same with a content, which 'n' owns from here on.  node_extra_get() has been called. */
void keydir_set_content(struct keydir *k, struct node *n, struct content_map *content,
			int64_t now_ns);
/* Lays 'over' (NULL: nothing) over the content that 'n' has, and gives it the size.  Room for its
 * pieces has been reserved. */
void keydir_lay_content(struct keydir *k, struct node *n, const struct content_map *over,
			uint64_t size_bytes, int64_t now_ns);
/* An entry of directory 'n' has changed. */
void keydir_touch(struct node *n, int64_t now_ns);
/* Replaces the xattrs by a list that 'n' owns from here on; NULL: none.  node_extra_get() has been
 * called. */
void keydir_set_xattrs(struct keydir *k, struct node *n, uint8_t *list, size_t list_bytes);

/* --- keys that no path can name --- */

struct unnamed {
	struct value_place place;
	struct content_map *content; /* owned; NULL: the value is at 'place' */
	uint64_t timestamp_ns;
	size_t key_bytes;
	uint8_t key[];
};
struct unnamed *keydir_unnamed_find(struct keydir *k, const void *key, size_t key_bytes);
/* 'content' (NULL: the value is at 'place') is the keydir's from here on, unless it fails. */
int keydir_unnamed_put(struct keydir *k, const void *key, size_t key_bytes,
		       const struct value_place *place, struct content_map *content,
		       uint64_t timestamp_ns) WARN_UNUSED;
void keydir_unnamed_remove(struct keydir *k, const void *key, size_t key_bytes);

/* --- what a log has staged and not published; while it is replayed --- */

/* The content that is staged under 'id'; made if 'make'.  NULL: there is none, or no memory. */
struct content_map *keydir_staged(struct keydir *k, uint64_t id, bool make);
void keydir_drop_staged(struct keydir *k, uint64_t id);
void keydir_drop_all_staged(struct keydir *k);

/* --- times --- */

int64_t keydir_ns(int64_t sec, uint32_t nsec);
struct timespec keydir_timespec(int64_t ns);

#endif
