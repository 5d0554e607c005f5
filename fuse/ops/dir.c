/* SPDX-License-Identifier: MIT */
/* Operations on open directories.  The offset of an entry is its cookie in the store, which stays
 * the same until the entry is removed.  Cookies are larger than the offsets of "." and "..".  An
 * open directory remembers the largest cookie at the begin of its listing: each name made later,
 * also by a rename, gets a larger cookie, and without that limit a program that renames the listed
 * names would never reach the end. */
#include "fuse/ops/ops.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "fuse/mount/reply.h"
#include "fuse/virtual/virtual.h"
#include "codec/array.h"

enum {
	OFFSET_DOT = 1,	   /* behind "." */
	OFFSET_DOTDOT = 2, /* behind "..": store_list() begins */
};

/* --- the reply --- */

/* A reply to readdir (without attributes) or readdirplus (with attributes). */
struct dir_reply {
	fuse_req_t req;
	char *buf;
	size_t size, used;
	bool plus;
};

static size_t entry_bytes(const struct dir_reply *r, const char *name)
{
	if (r->plus)
		return fuse_add_direntry_plus(r->req, NULL, 0, name, NULL, 0);
	return fuse_add_direntry(r->req, NULL, 0, name, NULL, 0);
}

/* Adds an entry to the reply.  Returns false if it does not fit. */
static bool add_entry(struct dir_reply *r, const char *name, const struct fuse_entry_param *entry,
		      off_t next)
{
	size_t left = r->size - r->used, n;

	if (r->plus)
		n = fuse_add_direntry_plus(r->req, r->buf + r->used, left, name, entry, next);
	else
		n = fuse_add_direntry(r->req, r->buf + r->used, left, name, &entry->attr, next);
	if (n > left)
		return false;
	r->used += n;
	return true;
}

/* Adds "." or "..".  They give the kernel no node, so they have only an inode number. */
static bool add_dot(struct dir_reply *r, const char *name, uint64_t st_ino, off_t next)
{
	struct fuse_entry_param entry = { .attr = { .st_ino = st_ino, .st_mode = S_IFDIR } };

	return add_entry(r, name, &entry, next);
}

/* --- the root of the mount --- */

static void list_virtual(struct fs *fs, struct dir_reply *r, off_t off)
{
	struct fuse_entry_param entry;
	const char *name;

	if (off == 0 && !add_dot(r, ".", FS_INO_ROOT, OFFSET_DOT))
		return;
	if (off <= OFFSET_DOT && !add_dot(r, "..", FS_INO_ROOT, OFFSET_DOTDOT))
		return;
	for (size_t i = off <= OFFSET_DOTDOT ? 0 : (size_t)off - OFFSET_DOTDOT;
	     virtual_entry(fs, i, &name, &entry); i++) {
		if (!add_entry(r, name, &entry, (off_t)i + OFFSET_DOTDOT + 1))
			return; /* these nodes need no pins */
	}
}

/* --- directories of the store --- */

/* An entry between store_list() and the reply. */
struct listed {
	struct node *node; /* readdirplus: pinned */
	uint64_t cookie;
	uint64_t st_ino;
	mode_t mode;
	size_t name_at; /* offset in 'names' */
};

/* An open directory. */
struct dir_handle {
	_Atomic uint64_t end; /* the largest cookie when the listing began */
};

static struct dir_handle *dir_handle_of(const struct fuse_file_info *fi)
{
	return (struct dir_handle *)(uintptr_t)fi->fh;
}

/* The entries that fit into one reply.  They are collected first, because reading attributes takes
 * locks that must not be taken in the callback of store_list(). */
struct listing {
	const struct dir_reply *reply;
	struct dir_handle *handle;
	uint64_t end; /* entries with larger cookies are not listed */
	size_t left;  /* bytes of the reply that are left */
	struct listed *entries;
	size_t count, capacity;
	char *names; /* NUL-terminated; as large as the reply, which needs more bytes for each name
		      */
	size_t names_used;
	int err;
};

static int collect_dirent(void *arg, const struct store_dirent *e)
{
	struct listing *l = arg;
	char *name = l->names + l->names_used;
	size_t need;

	if (e->cookie > l->end || l->names_used + e->name_bytes >= l->reply->size)
		return 1;
	memcpy(name, e->name, e->name_bytes);
	name[e->name_bytes] = '\0';
	need = entry_bytes(l->reply, name);
	if (need > l->left)
		return 1;
	if (ARRAY_RESERVE(l->entries, l->count + 1, l->capacity) < 0) {
		l->err = -ENOMEM;
		return 1;
	}
	l->entries[l->count++] = (struct listed){ .node = e->node,
						  .cookie = e->cookie,
						  .st_ino = e->attr.ino,
						  .mode = e->attr.mode,
						  .name_at = l->names_used };
	l->names_used += e->name_bytes + 1;
	l->left -= need;
	if (l->reply->plus)
		store_pin_in_list(e->node);
	return 0;
}

static void add_listed(struct fs *fs, struct dir_reply *r, const struct listing *l)
{
	for (size_t i = 0; i < l->count; i++) {
		const struct listed *e = &l->entries[i];
		struct fuse_entry_param entry = { .attr = { .st_ino = e->st_ino,
							    .st_mode = e->mode } };

		if (r->plus)
			fs_entry(fs, e->node, &entry);
		(void)add_entry(r, l->names + e->name_at, &entry,
				(off_t)e->cookie); /* collect_dirent() has checked that it fits */
	}
}

static void unpin_listed(struct fs *fs, const struct listing *l)
{
	for (size_t i = 0; i < l->count; i++)
		fs_unpin(fs, fs_ino(l->entries[i].node), 1);
}

static uint64_t ino_of_parent(struct fs *fs, struct node *dir)
{
	struct store_attr attr;
	struct node *parent;

	if (dir == store_root(fs->store))
		return FS_INO_ROOT;
	parent = store_parent(fs->store, dir);
	store_getattr(fs->store, parent == NULL ? dir : parent, &attr); /* NULL: it was removed */
	if (parent != NULL)
		fs_unpin(fs, fs_ino(parent), 1);
	return attr.ino;
}

static bool add_dots(struct fs *fs, struct dir_reply *r, struct node *dir, off_t off)
{
	struct store_attr attr;

	if (off == 0) {
		store_getattr(fs->store, dir, &attr);
		if (!add_dot(r, ".", attr.ino, OFFSET_DOT))
			return false;
	}
	return off > OFFSET_DOT || add_dot(r, "..", ino_of_parent(fs, dir), OFFSET_DOTDOT);
}

/* Fills the reply.  'l' keeps the pins that the kernel gets with it. */
static int list_store(struct fs *fs, struct dir_reply *r, struct node *dir, off_t off,
		      struct listing *l)
{
	uint64_t cookie = off <= OFFSET_DOTDOT ? 0 : (uint64_t)off;

	if (off == 0)
		atomic_store(&l->handle->end, store_list_end(fs->store, dir));
	l->end = atomic_load(&l->handle->end);
	if (!add_dots(fs, r, dir, off))
		return 0;
	l->names = malloc(r->size);
	if (l->names == NULL)
		return -ENOMEM;
	l->reply = r;
	l->left = r->size - r->used;
	(void)store_list(fs->store, dir, cookie, collect_dirent, l); /* 1: the reply is full */
	if (l->count == 0 && l->err < 0)
		return l->err;
	add_listed(fs, r, l);
	return 0;
}

/* Replies: buf, err. */
static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi,
		 bool plus)
{
	struct fs *fs = fs_of(req);
	struct dir_reply r = { .req = req, .size = size, .plus = plus };
	struct listing l = { .handle = dir_handle_of(fi) };
	void *own;
	int err = 0;

	if (fs_is_history(ino)) {
		history_readdir(req, size, off, fi, plus);
		return;
	}
	r.buf = fs_reply_buffer(req, size, &own);
	if (r.buf == NULL)
		err = -ENOMEM;
	else if (fs_is_virtual(ino))
		list_virtual(fs, &r, off);
	else
		err = list_store(fs, &r, fs_node(ino), off, &l);
	if (err < 0)
		reply_err(req, err);
	else if (fuse_reply_buf(req, r.buf, r.used) < 0 && plus)
		unpin_listed(fs, &l);
	free(l.names);
	free(l.entries);
	free(own);
}

/* Replies: buf, err. */
void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	list(req, ino, size, off, fi, false);
}

/* Replies: buf, err. */
void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	list(req, ino, size, off, fi, true);
}

/* Replies: open, err. */
void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct dir_handle *h;

	if (fs_is_history(ino)) {
		history_opendir(req, ino, fi);
		return;
	}
	h = calloc(1, sizeof(*h));
	if (h == NULL) {
		reply_err(req, -ENOMEM);
		return;
	}
	/* The kernel may take the first part of a listing from its cache and request only the rest.
	 */
	if (!fs_is_virtual(ino))
		atomic_init(&h->end, store_list_end(fs_of(req)->store, fs_node(ino)));
	fi->fh = (uint64_t)(uintptr_t)h;
	/* The kernel drops a cached listing when it changes the directory, and only the kernel
	 * changes it. */
	fi->cache_readdir = 1;
	fi->keep_cache = 1;
	if (fuse_reply_open(req, fi) < 0)
		free(h);
}

/* Replies: err, when every commit of the whole store is durable. */
void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);

	/* The kernel holds the lock of the directory until the reply, so threads that save files in
	 * one directory cannot join this sync.  Those in directories of their own can. */
	if (atomic_exchange(&fs->synced_dir, ino) == ino)
		store_hurry(fs->store);
	reply_done(req, 0, REPLY_DURABLE, store_end(fs->store));
}

/* Replies: err. */
void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if (fs_is_history(ino)) {
		history_releasedir(req, fi);
		return;
	}
	free(dir_handle_of(fi));
	reply_err(req, 0);
}
