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
#ifndef FREYJAFS_WRITER_INDEX_KEYDIR_H
#define FREYJAFS_WRITER_INDEX_KEYDIR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "codec/compiler.h"
#include "codec/meta.h"
#include "writer/index/content_map.h"
#include "writer/index/node_view.h"
#include "writer/index/slab.h"

struct keydir; /* opaque, see keydir.c */
struct dir;    /* the entries of a directory; opaque, see keydir_private.h */

/* A time of a node (writer/base/times.h) that stands for no time of its own. */
#define NODE_ATIME_FOLLOWS_MTIME INT64_MIN

/* The names of a node but the first: only of a file with hard links. */
struct node_names {
	slab_ref_t *refs; /* owned; of dentries, oldest first */
	uint32_t count, room;
};

/* What few nodes have. */
struct node_extra {
	uint32_t rdev_major, rdev_minor; /* devices */
	char *target;			 /* symlinks; owned */
	size_t target_bytes;
	uint8_t *xattrs; /* see codec/xattrs.h; owned; NULL: none */
	size_t xattrs_bytes;
	struct content_map
		*content; /* of a file that is more than one record; owned; by the lock */
	struct node_names more_names;
};

/* What a file does not have that was written under its own name, with no attributes of its own. */
struct node_rare {
	uint64_t ino; /* 0: the one of its path; else nobody else gets it */
	int64_t ctime_ns, atime_ns;
	struct node_extra *extra; /* owned; NULL: nothing of that */
};

/* There are millions of them.  Whatever can be left out is in 'rare', which is made before a change
 * that needs it (keydir_prepare()). */
struct node {
	uint16_t mode;	    /* 0: not in use */
	uint16_t key_bytes; /* of the value's record */
	slab_ref_t name;    /* the first dentry; 0: the root, or unlinked */
	_Atomic uint32_t pins;
	slab_ref_t rare; /* 0: ctime is mtime, atime follows it, and nothing else */
	uint32_t uid, gid;
	union {
		uint64_t record_offset; /* of the value, unless 'extra' has a content */
		struct dir *dir;	/* directories; owned */
	};
	uint32_t value_bytes;
	bool committed; /* the log has it */
	bool explicit;	/* directories: the log has an attr record of it; else it exists through its
			   keys */
	bool mtime_set; /* directories: the mtime was set by hand, and no entry has changed since */
	bool verified;	/* the CRC of the value has been checked since open */
	int64_t mtime_ns;
};

struct dentry {
	slab_ref_t dir, node;
	uint32_t cookie; /* its place in listings, see struct dir */
	uint8_t name_bytes;
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

/* The first name of a node; NULL: the root, or it has none. */
static inline struct dentry *node_name(const struct node *n)
{
	return slab_beside(n, n->name);
}

static inline struct node_rare *node_rare(const struct node *n)
{
	return slab_beside(n, n->rare);
}

static inline struct node_extra *node_extra(const struct node *n)
{
	const struct node_rare *r = node_rare(n);

	return r == NULL ? NULL : r->extra;
}

/* The content in pieces; NULL: it is one record or none. */
static inline struct content_map *node_content(const struct node *n)
{
	const struct node_extra *e = node_extra(n);

	return e == NULL ? NULL : e->content;
}

static inline uint32_t node_name_count(const struct node *n)
{
	const struct node_extra *e = node_extra(n);

	return (n->name != 0 ? 1u : 0u) + (e == NULL ? 0 : e->more_names.count);
}

/* Where the value of a file is that is one record. */
static inline struct value_place node_value(const struct node *n)
{
	return (struct value_place){
		.record_offset = n->value_bytes == 0 ? 0 : n->record_offset,
		.key_bytes = n->key_bytes,
		.value_bytes = n->value_bytes,
	};
}

static inline struct node *dentry_dir(const struct dentry *d)
{
	return slab_beside(d, d->dir);
}

static inline struct node *dentry_node(const struct dentry *d) /* NULL: not linked */
{
	return slab_beside(d, d->node);
}

/* The directory of the first name of 'n', which has one. */
static inline struct node *node_parent(const struct node *n)
{
	return dentry_dir(node_name(n));
}

struct node_times {
	int64_t mtime_ns, ctime_ns;
	int64_t atime_ns; /* or NODE_ATIME_FOLLOWS_MTIME */
};

static inline struct node_times node_times(const struct node *n)
{
	const struct node_rare *r = node_rare(n);

	return (struct node_times){
		.mtime_ns = n->mtime_ns,
		.ctime_ns = r == NULL ? n->mtime_ns : r->ctime_ns,
		.atime_ns = r == NULL ? NODE_ATIME_FOLLOWS_MTIME : r->atime_ns,
	};
}

/* One more pin.  The caller has the node pinned, or holds the keydir lock. */
void node_pin(struct node *n);

/* The type of a node, as attr records and as st_mode have it. */
enum meta_type node_type(const struct node *n);
mode_t node_type_bits(enum meta_type type);

struct keydir_defaults {
	uint32_t uid, gid;
	mode_t umask;
	bool inode32; /* what stat(2) shows; the log has the same numbers as without */
};

/* -ENOMEM.  The caller owns what is stored. */
int keydir_create(const struct keydir_defaults *defaults, struct keydir **ret) WARN_UNUSED;
/* What it was created with. */
const struct keydir_defaults *keydir_defaults_of(const struct keydir *k);
void keydir_free(struct keydir *k); /* with all nodes, pinned or not; NULL is a no-op */

void keydir_write_lock(struct keydir *k);
void keydir_write_unlock(struct keydir *k);
/* While nobody else knows the keydir its lock need not be taken: it is not, from here on or no
 * more.
 */
void keydir_set_alone(struct keydir *k, bool alone);

/* --- reading; any thread --- */

struct node *keydir_root(const struct keydir *k);
int keydir_lookup(struct keydir *k, struct node *dir, const char *name, size_t name_bytes,
		  struct node **ret, struct store_attr *ret_attr) WARN_UNUSED;
void keydir_getattr(struct keydir *k, struct node *n, struct store_attr *ret);
struct node *keydir_parent(struct keydir *k, struct node *n); /* pinned, or NULL */
int keydir_list(struct keydir *k, struct node *dir, uint64_t cookie, store_list_fn fn, void *arg);
uint64_t keydir_list_end(struct keydir *k, struct node *dir); /* as store_list_end() */
/* Writes the path of 'n' to 'buf', which has room for PATH_BYTES_MAX.  Returns its size; 0: the
 * root, or it has no name. */
size_t keydir_path_of(struct keydir *k, const struct node *n, char *buf);
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
	uint64_t memory_bytes; /* of nodes, names and the table that finds them */
};
void keydir_stats(struct keydir *k, struct keydir_stats *ret);

/* --- for the one thread that changes the keydir: looking --- */

struct dentry *keydir_find(struct keydir *k, const struct node *dir, const char *name,
			   size_t name_bytes);
/* Follows a path_ok() path.  NULL if there is no such entry. */
struct dentry *keydir_find_path(struct keydir *k, const char *path, size_t path_bytes);
/* How much of a path names its directory: all up to the last slash, and with it. */
size_t keydir_dir_bytes(const char *path, size_t path_bytes);
/* Follows the front of a path, keydir_dir_bytes() of it; 0 is the root.  Quick for the one it has
 * followed last.  NULL: there is no such directory. */
struct node *keydir_find_dir(struct keydir *k, const char *path, size_t dir_bytes);
/* Fetches into the cache what keydir_find() needs. */
void keydir_prefetch(const struct keydir *k, const struct node *dir, const char *name,
		     size_t name_bytes);
uint64_t keydir_dir_count(const struct node *dir);
bool keydir_is_inside(const struct node *n, const struct node *dir);  /* 'n' is 'dir' or below it */
bool keydir_is_gone(const struct keydir *k, const struct node *n);    /* it has no name any more */
bool keydir_is_default(const struct keydir *k, const struct node *n); /* owner and mode */

/* Writes the path of 'n' (and, below it, of 'name' unless that is NULL) to 'buf', which has room
 * for PATH_BYTES_MAX.  Returns its size, or -ENAMETOOLONG. */
ssize_t keydir_path(const struct keydir *k, const struct node *n, const char *name,
		    size_t name_bytes, char *buf);

/* Checks that directory 'n' (NULL: a new one) can be linked as a name of 'name_bytes' in 'dir':
 * that each path below it can be the key of a record, and that it is not too deep, unless it is as
 * deep already.  -ENAMETOOLONG.  Walks through what is below 'n' only where it could matter. */
int keydir_fits(struct node *n, const struct node *dir, size_t name_bytes) WARN_UNUSED;
/* Finds a directory to be moved elsewhere, because a path below it is longer than a key can be: its
 * own path can be a key.  NULL: there is none.  Only old logs have such paths. */
struct node *keydir_find_too_long(struct keydir *k);

/* --- for the one thread that changes the keydir: preparing, so that nothing can fail after the
 * append --- */

/* The inode number of 'n', which has a name: a hash of its path, or the one it was given.  Any
 * thread, with the keydir lock or the commit lock. */
uint64_t keydir_ino(const struct keydir *k, const struct node *n);
/* Says whether it is one that it was given. */
bool keydir_ino_is_given(const struct node *n);
/* Says whether it is another than a new node at the path of 'n' would get: one that it was given,
 * or of a directory from when the one above had another number. */
bool keydir_ino_is_special(const struct keydir *k, const struct node *n);
/* Before 'n', which has no name yet, is linked as 'name' in 'dir': gives it another number if a
 * node has the one of that path.  Says whether it did. */
bool keydir_ino_for(struct keydir *k, struct node *n, const struct node *dir, const char *name,
		    size_t name_bytes);
/* Gives 'n', which has no name and would get one in 'dir', a number that it keeps whatever its name
 * will be.  -ENOMEM. */
int keydir_give_ino(struct keydir *k, struct node *n, const struct node *dir) WARN_UNUSED;

/* Makes a node without a name.  Freed by keydir_node_free() unless it is linked. */
struct node *keydir_node_new(struct keydir *k, mode_t type);
void keydir_node_free(struct keydir *k, struct node *n); /* NULL is a no-op */
/* Makes room in 'n' for an inode number, and times that differ.  Goes before whatever changes its
 * names (but for its first one) or its ctime alone.  -ENOMEM. */
int keydir_prepare(struct keydir *k, struct node *n) WARN_UNUSED;
/* The same, and for one more name. */
int keydir_prepare_name(struct keydir *k, struct node *n) WARN_UNUSED;
/* Returns what few nodes have, for writing; made if it is not there.  NULL: no memory. */
struct node_extra *node_extra_get(struct keydir *k, struct node *n);
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
void keydir_dentry_free(struct keydir *k, struct dentry *d);

/* --- changing; with the write lock --- */

/* Gives 'n' a name: its first, or one more (keydir_prepare_name()). */
void keydir_link(struct keydir *k, struct dentry *d, struct node *n, int64_t now_ns);
/* Takes the entry away and frees it; the node too when that was its last name and nobody has it
 * pinned.  Else keydir_prepare() has gone before: without it the node may lose its number. */
void keydir_unlink(struct keydir *k, struct dentry *d, int64_t now_ns);
/* Moves the node of 'from' to 'to': an existing entry, whose node loses its name, or a new one from
 * keydir_dentry_new(). 'from' is freed.  keydir_prepare() has gone before, for both.  They keep
 * their numbers. */
void keydir_move(struct keydir *k, struct dentry *from, struct dentry *to, int64_t now_ns);
void keydir_exchange(struct keydir *k, struct dentry *a, struct dentry *b, int64_t now_ns);
/* The log says that 'n' has this number.  keydir_prepare() has gone before. */
void keydir_set_ino(struct keydir *k, struct node *n, uint64_t ino);
/* keydir_prepare() has gone before if the times differ. */
void keydir_set_times(struct node *n, const struct node_times *times);
void keydir_set_ctime(struct node *n, int64_t ctime_ns);
void keydir_set_mode(struct node *n, mode_t mode); /* the permission bits of it */
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
/* An entry of directory 'n', or the content of file 'n', has changed. */
void keydir_touch(struct node *n, int64_t now_ns);
/* Makes the list of xattrs that 'n' has after the change (a value of NULL: it is removed); NULL is
 * the empty one.  The caller owns it.  -ENOMEM. */
int keydir_change_xattrs(const struct node *n, const struct xattr *change, uint8_t **ret,
			 size_t *ret_bytes) WARN_UNUSED;
/* Replaces the xattrs by a list that 'n' owns from here on; NULL: none.  node_extra_get() has been
 * called. */
void keydir_set_xattrs(struct keydir *k, struct node *n, uint8_t *list, size_t list_bytes);

/* --- all of them --- */

/* Steps through the nodes, named or pinned only, without an order: begin with '*cursor' = 0; NULL
 * is the end.  For the one thread that changes the keydir; between two calls it may let others do
 * so: nodes made meanwhile are met or not. */
struct node *keydir_each_node(const struct keydir *k, uint32_t *cursor);

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
/* Takes the content away from it, for the caller to own. */
struct content_map *keydir_unnamed_take_content(struct keydir *k, struct unnamed *u);
/* Calls 'fn' for each of them, in no order. */
void keydir_unnamed_each(struct keydir *k, void (*fn)(void *arg, const struct unnamed *u),
			 void *arg);

/* --- what a log has staged and not published; while it is replayed --- */

/* The content that is staged under 'id'; made if 'make'.  NULL: there is none, or no memory. */
struct content_map *keydir_staged(struct keydir *k, uint64_t id, bool make);
void keydir_drop_staged(struct keydir *k, uint64_t id);
void keydir_drop_all_staged(struct keydir *k);
/* Calls 'fn' for each of them, by id. */
void keydir_staged_each(struct keydir *k, void (*fn)(void *arg, uint64_t id, struct content_map *c),
			void *arg);

/* A base can only be the first record that is replayed: says whether there was one, and that there
 * was. */
bool keydir_has_begun(const struct keydir *k);
void keydir_begin(struct keydir *k);

/* --- all places of the log that something is read from --- */

/* Calls 'fn' with each of them, as a piece of content: those of at most 'nodes' nodes from
 * '*cursor' (0: from the start) on, named or pinned only, and with the last also those of unnamed
 * keys.  False: those were the last.  With the commit lock; where that is released between two
 * calls, some may be missed, or come twice.  'fn' returns true if it has changed where the bytes
 * are; it may only with 'changes'.  Takes the keydir lock. */
bool keydir_each_place(struct keydir *k, uint32_t *cursor, size_t nodes, bool changes,
		       content_piece_fn fn, void *arg);

#endif
