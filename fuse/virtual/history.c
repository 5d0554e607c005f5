/* SPDX-License-Identifier: MIT */
/* The requests to /history: names, attributes, versions of files, directories. */
#include "fuse/virtual/virtual.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuse/mount/history_nodes.h"
#include "fuse/mount/reply.h"
#include "writer/base/times.h"

/* The log does not record who might enter a directory of the past, so these directories are only
 * for the user who mounted. */
#define DIR_MODE 0500

static fuse_ino_t ino_of(const struct history_node *n)
{
	return (fuse_ino_t)(uintptr_t)n | FS_HISTORY_BIT;
}

int history_start(struct fs *fs)
{
	const struct history_config config = {
		.dir_path = fs->datadir,
		.until_ns = (uint64_t)fs->options->at,
		.accept_missing_segments = fs->options->missing_segments != 0,
		.uid = fs->options->uid == OPTION_OWN_ID ? fs->uid : (uint32_t)fs->options->uid,
		.gid = fs->options->gid == OPTION_OWN_ID ? fs->gid : (uint32_t)fs->options->gid,
		.umask = (mode_t)fs->options->umask,
		.trouble = fs_tell,
		.trouble_arg = &fs->troubles,
	};

	return history_nodes_create(&config, &fs->history);
}

void history_end(struct fs *fs)
{
	history_nodes_destroy(fs->history);
	fs->history = NULL;
}

/* --- attributes --- */

static uint64_t shown_ino(const struct fs *fs, uint64_t ino)
{
	uint64_t folded = (ino ^ ino >> 32) & UINT32_MAX;

	if (!fs->options->inode32)
		return ino;
	return folded == 0 ? 1 : folded;
}

static void fill_stat(const struct fs *fs, const struct history_stat *s, struct stat *ret)
{
	const struct history_attr *v = &s->version;

	*ret = (struct stat){
		.st_ino = shown_ino(fs, s->ino),
		.st_mode = S_IFDIR | DIR_MODE,
		.st_nlink = s->is_dir ? 2 : 1,
		.st_uid = fs->uid,
		.st_gid = fs->gid,
		.st_blksize = 4096,
		.st_atim = fs->mounted_at,
		.st_mtim = fs->mounted_at,
		.st_ctim = fs->mounted_at,
	};
	if (s->is_dir)
		return;
	/* A version cannot be written, and its setuid and setgid bits are not shown. */
	ret->st_mode = (v->mode & S_IFMT) | (v->mode & (S_ISLNK(v->mode) ? 0777 : 0555));
	ret->st_uid = v->uid;
	ret->st_gid = v->gid;
	ret->st_size = (off_t)v->size_bytes;
	ret->st_blocks = (blkcnt_t)((v->size_bytes + 511) / 512);
	ret->st_mtim = ret->st_atim = timespec_of_ns(v->mtime_ns);
	ret->st_ctim = timespec_of_ns(ns_of_timestamp(v->timestamp_ns));
}

void history_stat_of(struct fs *fs, fuse_ino_t ino, struct stat *ret)
{
	struct history_stat s;

	history_nodes_stat(fs->history, fs_history_node(fs, ino), &s);
	fill_stat(fs, &s, ret);
}

/* --- requests that may read the log, which a request thread must not wait for --- */

struct job {
	fuse_req_t req;
	fuse_ino_t ino;
	struct fuse_file_info fi;
	void (*answer)(struct job *j);
	char name[];
};

static void run_job(void *arg)
{
	struct job *j = arg;

	j->answer(j);
	free(j);
}

/* Answers a request in a worker, or in this thread if none is available. */
static void answer_elsewhere(fuse_req_t req, fuse_ino_t ino, const char *name,
			     const struct fuse_file_info *fi, void (*answer)(struct job *j))
{
	size_t name_bytes = name != NULL ? strlen(name) + 1 : 1;
	struct job *j = calloc(1, sizeof(*j) + name_bytes);

	if (j == NULL) {
		reply_err(req, -ENOMEM);
		return;
	}
	j->req = req;
	j->ino = ino;
	j->answer = answer;
	if (fi != NULL)
		j->fi = *fi;
	memcpy(j->name, name != NULL ? name : "", name_bytes);
	if (!workers_run(&fs_of(req)->workers, run_job, j))
		run_job(j);
}

static void answer_lookup(struct job *j)
{
	fuse_req_t req = j->req;
	struct fs *fs = fs_of(req);
	struct fuse_entry_param entry = { .attr_timeout = FS_CACHE_SECONDS };
	struct history_node *n;
	struct history_stat s;
	int err;

	err = history_nodes_lookup(fs->history, fs_history_node(fs, j->ino), j->name, &n, &s);
	if (err < 0) {
		reply_err(req, err);
		return;
	}
	entry.ino = ino_of(n);
	entry.generation = (uint32_t)(s.generation + fs->generation);
	fill_stat(fs, &s, &entry.attr);
	reply_entry(req, &entry, REPLY_AS_CONFIGURED, 0);
}

/* Replies: entry, err.  Compaction may remove a version at any time, so the kernel must look a name
 * up each time. */
void history_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	answer_elsewhere(req, parent, name, NULL, answer_lookup);
}

/* --- versions --- */

static void answer_readlink(struct job *j)
{
	fuse_req_t req = j->req;
	struct fs *fs = fs_of(req);
	struct history_version *v;
	char target[PATH_MAX];
	ssize_t n;

	n = history_nodes_open(fs->history, fs_history_node(fs, j->ino), &v);
	if (n == 0) {
		n = history_version_target(v, target, sizeof(target) - 1);
		history_version_close(v);
	}
	if (n < 0) {
		reply_err(req, (int)n);
		return;
	}
	target[n] = '\0';
	(void)fuse_reply_readlink(req, target);
}

/* Replies: readlink, err. */
void history_readlink(fuse_req_t req, fuse_ino_t ino)
{
	answer_elsewhere(req, ino, NULL, NULL, answer_readlink);
}

static struct history_version *version_of(const struct fuse_file_info *fi)
{
	return (struct history_version *)(uintptr_t)fi->fh;
}

static void answer_open(struct job *j)
{
	fuse_req_t req = j->req;
	struct fs *fs = fs_of(req);
	struct fuse_file_info *fi = &j->fi;
	struct history_version *v;
	int err = -EROFS;

	if ((fi->flags & O_ACCMODE) == O_RDONLY && (fi->flags & O_TRUNC) == 0)
		err = history_nodes_open(fs->history, fs_history_node(fs, j->ino), &v);
	if (err < 0) {
		reply_err(req, err);
		return;
	}
	fi->fh = (uint64_t)(uintptr_t)v;
	fi->keep_cache = 1; /* a version never changes */
	fi->noflush = 1;
	if (fuse_reply_open(req, fi) < 0)
		history_version_close(v);
}

/* Replies: open, err. */
void history_open_file(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	answer_elsewhere(req, ino, NULL, fi, answer_open);
}

/* Replies: buf, err. */
void history_read(fuse_req_t req, size_t size, off_t off, struct fuse_file_info *fi)
{
	void *buf = malloc(size > 0 ? size : 1);
	ssize_t n = -ENOMEM;

	if (buf != NULL)
		n = history_version_read(version_of(fi), buf, size, (uint64_t)off);
	if (n < 0)
		reply_err(req, (int)n);
	else
		(void)fuse_reply_buf(req, buf, (size_t)n);
	free(buf);
}

/* Replies: lseek, err.  The whole version counts as data. */
void history_lseek(fuse_req_t req, off_t off, int whence, struct fuse_file_info *fi)
{
	struct history_attr attr;

	history_version_attr(version_of(fi), &attr);
	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		reply_err(req, -EINVAL);
	else if (off < 0 || (uint64_t)off >= attr.size_bytes)
		reply_err(req, -ENXIO);
	else
		(void)fuse_reply_lseek(req, whence == SEEK_DATA ? off : (off_t)attr.size_bytes);
}

/* Replies: err. */
void history_release(fuse_req_t req, struct fuse_file_info *fi)
{
	history_version_close(version_of(fi));
	reply_err(req, 0);
}

/* --- directories --- */

static struct history_listing *listing_of(const struct fuse_file_info *fi)
{
	return (struct history_listing *)(uintptr_t)fi->fh;
}

static void answer_opendir(struct job *j)
{
	fuse_req_t req = j->req;
	struct fs *fs = fs_of(req);
	struct fuse_file_info *fi = &j->fi;
	struct history_listing *l;
	int err = history_nodes_list(fs->history, fs_history_node(fs, j->ino), &l);

	if (err < 0) {
		reply_err(req, err);
		return;
	}
	fi->fh = (uint64_t)(uintptr_t)l;
	if (fuse_reply_open(req, fi) < 0)
		history_listing_free(l);
}

/* Replies: open, err. */
void history_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	answer_elsewhere(req, ino, NULL, fi, answer_opendir);
}

/* Adds entry 'i' of a listing; "." and ".." come first.  The node number in a readdirplus entry is
 * 0, so the kernel looks the name up when it needs more.  Returns the bytes that the entry takes;
 * if that is more than 'left', it was not added. */
static size_t add_version_entry(fuse_req_t req, const struct history_listing *l, size_t i,
				char *buf, size_t left, bool plus)
{
	struct fuse_entry_param entry = { .attr = { .st_ino = l->ino, .st_mode = S_IFDIR } };
	const char *name = ".";

	if (i == 1) {
		name = "..";
		entry.attr.st_ino = l->parent_ino;
	} else if (i > 1) {
		name = l->names + l->entries[i - 2].name_at;
		entry.attr.st_ino = l->entries[i - 2].ino;
		entry.attr.st_mode = l->entries[i - 2].mode;
	}
	entry.attr.st_ino = shown_ino(fs_of(req), entry.attr.st_ino);
	if (plus)
		return fuse_add_direntry_plus(req, buf, left, name, &entry, (off_t)i + 1);
	return fuse_add_direntry(req, buf, left, name, &entry.attr, (off_t)i + 1);
}

/* Replies: buf, err. */
void history_readdir(fuse_req_t req, size_t size, off_t off, struct fuse_file_info *fi, bool plus)
{
	const struct history_listing *l = listing_of(fi);
	char *buf = malloc(size > 0 ? size : 1);
	size_t used = 0;

	if (buf == NULL) {
		reply_err(req, -ENOMEM);
		return;
	}
	for (size_t i = (size_t)off; i < l->count + 2; i++) {
		size_t n = add_version_entry(req, l, i, buf + used, size - used, plus);

		if (n > size - used)
			break;
		used += n;
	}
	(void)fuse_reply_buf(req, buf, used);
	free(buf);
}

/* Replies: err. */
void history_releasedir(fuse_req_t req, struct fuse_file_info *fi)
{
	history_listing_free(listing_of(fi));
	reply_err(req, 0);
}
