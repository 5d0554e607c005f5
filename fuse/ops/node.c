/* SPDX-License-Identifier: MIT */
/* Operations on names and attributes. */
#include "fuse/ops/ops.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "fuse/ops/privileges.h"
#include "fuse/mount/reply.h"
#include "fuse/virtual/virtual.h"
#include "writer/base/times.h"

/* Replies: entry (a negative one has no node and no pin), err. */
void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);
	struct fuse_entry_param entry;
	struct node *n;
	int err;

	if (fs_is_history(parent)) {
		history_lookup(req, parent, name);
		return;
	}
	if (fs_is_virtual(parent)) {
		virtual_lookup(req, name);
		return;
	}
	err = store_lookup(fs->store, fs_node(parent), name, strlen(name), &n, NULL);
	if (err < 0 && err != -ENOENT) {
		reply_err(req, err);
		return;
	}
	if (err == 0)
		fs_entry(fs, n, &entry);
	else
		entry = (struct fuse_entry_param){ .entry_timeout = FS_CACHE_SECONDS };
	reply_entry(req, &entry, REPLY_AS_CONFIGURED, 0);
}

/* Replies: none. */
void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	fs_unpin(fs_of(req), ino, nlookup);
	fuse_reply_none(req);
}

/* Replies: none. */
void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		fs_unpin(fs_of(req), forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

/* Replies: attr, err. */
void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	if (fs_is_history(ino))
		history_stat_of(fs_of(req), ino, &st);
	else if (fs_is_virtual(ino))
		virtual_stat(fs_of(req), ino, &st);
	else
		fs_stat(fs_of(req), fs_node(ino), &st);
	(void)fuse_reply_attr(req, &st, fs_attr_seconds(&st));
}

/* --- setattr --- */

/* Returns the nearest time that the log can hold, so that a program sees at once what is kept. */
static struct timespec keepable(struct timespec t)
{
	return timespec_of_ns(ns_of_timespec(t));
}

static void set_from(const struct stat *attr, int to_set, struct store_set *ret)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail */
	*ret = (struct store_set){
		.mode = attr->st_mode & 07777,
		.uid = attr->st_uid,
		.gid = attr->st_gid,
		.mtime = to_set & FUSE_SET_ATTR_MTIME_NOW ? now : keepable(attr->st_mtim),
		.atime = to_set & FUSE_SET_ATTR_ATIME_NOW ? now : keepable(attr->st_atim),
	};
	if (to_set & FUSE_SET_ATTR_MODE)
		ret->which |= STORE_SET_MODE;
	if (to_set & FUSE_SET_ATTR_UID)
		ret->which |= STORE_SET_UID;
	if (to_set & FUSE_SET_ATTR_GID)
		ret->which |= STORE_SET_GID;
	if (to_set & (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW))
		ret->which |= STORE_SET_MTIME;
	if (to_set & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_ATIME_NOW))
		ret->which |= STORE_SET_ATIME;
}

/* truncate(2): no handle will be closed, so it makes a commit of its own. */
static int truncate_path(struct fs *fs, struct node *n, uint64_t size_bytes,
			 const struct store_set *set, uint64_t *ret_end)
{
	struct open_file *of = open_files_get(&fs->files, n);
	int err;

	if (of == NULL)
		return -ENOMEM;
	err = open_file_truncate_commit(of, size_bytes, set, ret_end);
	open_files_put(&fs->files, of);
	return err;
}

static int set_attributes(struct fs *fs, struct node *n, const struct store_set *set, pid_t by,
			  uint64_t *ret_end)
{
	struct open_file *of;
	int err;

	of = open_files_find(&fs->files, n);
	if (of == NULL)
		return store_setattr(fs->store, n, set, ret_end);
	err = open_file_setattr(of, set, by, ret_end);
	open_files_put(&fs->files, of);
	return err;
}

/* chown(path, -1, -1) sets nothing, but still counts as a chown. */
static bool is_chown(int to_set)
{
	return to_set == 0 || (to_set & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)) != 0;
}

/* Replies: attr, err. */
void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct node *n = fs_node(ino);
	struct store_set set;
	struct stat st;
	uint64_t end = 0;
	int err = 0;

	if (fs_is_history(ino)) {
		reply_err(req, -EROFS);
		return;
	}
	if (fs_is_virtual(ino)) {
		virtual_setattr(req, ino, attr, to_set);
		return;
	}
	set_from(attr, to_set, &set);
	err = privileges_drop_in(req, n, is_chown(to_set), (to_set & FUSE_SET_ATTR_SIZE) != 0,
				 &set);
	if (err < 0) {
		reply_err(req, err);
		return;
	}
	if ((to_set & FUSE_SET_ATTR_SIZE) && fi == NULL) {
		err = truncate_path(fs, n, (uint64_t)attr->st_size, &set, &end);
		set.which = 0;
	} else if (to_set & FUSE_SET_ATTR_SIZE) {
		err = open_file_truncate(ops_handle(fi), (uint64_t)attr->st_size,
					 fuse_req_ctx(req)->pid);
	}
	/* If nothing is set, as by chown(path, -1, -1), only the ctime changes. */
	if (err == 0 && (set.which != 0 || (to_set & FUSE_SET_ATTR_SIZE) == 0))
		err = set_attributes(fs, n, &set, fuse_req_ctx(req)->pid, &end);
	if (err < 0) {
		reply_err(req, err);
		return;
	}
	fs_stat(fs, n, &st);
	reply_attr(req, &st, REPLY_AS_CONFIGURED, end);
}

/* --- removing and moving --- */

typedef int (*remove_fn)(struct store *s, const struct store_name *at, uint64_t *ret_end);

static void remove_name(fuse_req_t req, fuse_ino_t parent, const char *name, remove_fn remove)
{
	struct store_name at = fs_name(parent, name);
	uint64_t end = 0;
	int err = fs_is_virtual(parent) ? fs_refusal(parent) : remove(fs_of(req)->store, &at, &end);

	reply_done(req, err, REPLY_AS_CONFIGURED, end);
}

/* Replies: err. */
void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	remove_name(req, parent, name, store_unlink);
}

/* Replies: err. */
void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	remove_name(req, parent, name, store_rmdir);
}

/* Commits the pending value of a file before its rename, because a rename(2) over an old file must
 * not leave less than the new value after a crash.  Also commits a file without a handle whose
 * first commit failed. */
static int commit_before_rename(struct fs *fs, const struct store_name *at)
{
	struct node *n;
	uint64_t end;
	int err;

	err = store_lookup(fs->store, at->dir, at->name, at->name_bytes, &n, NULL);
	if (err < 0)
		return err == -ENOENT ? 0 : err; /* the rename itself reports the error */
	err = open_files_commit(&fs->files, n, &end);
	fs_unpin(fs, fs_ino(n), 1);
	return err;
}

/* Replies: err. */
void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
	       const char *new_name, unsigned int flags)
{
	struct store_name from = fs_name(parent, name), to = fs_name(new_parent, new_name);
	struct fs *fs = fs_of(req);
	uint64_t end = 0;
	int err;

	if (fs_is_virtual(parent) || fs_is_virtual(new_parent)) {
		reply_err(req, fs_refuse_name(fs, fs_is_history(parent) ? parent : new_parent,
					      new_name));
		return;
	}
	err = commit_before_rename(fs, &from);
	if (err == 0 && (flags & RENAME_EXCHANGE))
		err = commit_before_rename(fs, &to);
	if (err == 0)
		err = store_rename(fs->store, &from, &to, flags, &end);
	reply_done(req, err, REPLY_AS_CONFIGURED, end);
}

/* --- the rest --- */

/* Replies: readlink, err. */
void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	char target[PATH_MAX];
	ssize_t n = -EINVAL;

	if (fs_is_history(ino)) {
		history_readlink(req, ino);
		return;
	}
	if (!fs_is_virtual(ino))
		n = store_readlink(fs_of(req)->store, fs_node(ino), target, sizeof(target) - 1);
	if (n < 0) {
		reply_err(req, (int)n);
		return;
	}
	target[n] = '\0';
	(void)fuse_reply_readlink(req, target);
}

/* Replies: statfs, err. */
void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct io_space space;
	struct statvfs st;
	int err;

	err = store_space(fs_of(req)->store, &space);
	if (err < 0) {
		reply_err(req, err);
		return;
	}
	st = (struct statvfs){
		.f_bsize = space.block_bytes,
		.f_frsize = space.block_bytes,
		.f_blocks = space.blocks,
		.f_bfree = space.blocks_free,
		.f_bavail = space.blocks_available,
		.f_files = space.files,
		.f_ffree = space.files_free,
		.f_favail = space.files_free,
		.f_namemax = 255,
	};
	(void)fuse_reply_statfs(req, &st);
}
