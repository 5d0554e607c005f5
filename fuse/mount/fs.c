/* SPDX-License-Identifier: MIT */
#include "fuse/mount/fs.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "codec/path.h"
#include "fuse/mount/messages.h"
#include "fuse/mount/history_nodes.h"

struct history_node *fs_history_node(struct fs *fs, fuse_ino_t ino)
{
	if (ino == FS_INO_HISTORY)
		return history_nodes_root(fs->history);
	return (struct history_node *)(uintptr_t)(ino & ~FS_HISTORY_BIT);
}

void fs_unpin(struct fs *fs, fuse_ino_t ino, uint64_t count)
{
	if (fs_is_history(ino)) {
		if (ino != FS_INO_HISTORY)
			history_nodes_forget(fs->history, fs_history_node(fs, ino), count);
	} else if (!fs_is_virtual(ino) && fs_node(ino) != store_root(fs->store)) {
		store_unpin(fs->store, fs_node(ino), count);
	}
}

void fs_report_lost(struct fs *fs, struct node *n, int err)
{
	char *path = malloc(PATH_BYTES_MAX);
	size_t bytes = path == NULL ? 0 : store_node_path(fs->store, n, path);

	for (size_t i = 0; i < bytes; i++) {
		if (iscntrl((unsigned char)path[i]))
			path[i] = '?'; /* a message is one line */
	}
	log_error("%s: keys/%.*s: what was written and not committed is lost: %s", fs->mountpoint,
		  (int)bytes, path == NULL ? "" : path, strerror(-err));
	free(path);
}

static void stat_of(const struct store_attr *attr, struct stat *ret)
{
	*ret = (struct stat){
		.st_ino = attr->ino,
		.st_mode = attr->mode,
		.st_nlink = attr->link_count,
		.st_rdev = makedev(attr->rdev_major, attr->rdev_minor),
		.st_uid = attr->uid,
		.st_gid = attr->gid,
		.st_size = (off_t)attr->size_bytes,
		.st_blocks = (blkcnt_t)((attr->data_bytes + 511) / 512),
		.st_blksize = 4096,
		.st_atim = attr->atime,
		.st_mtim = attr->mtime,
		.st_ctim = attr->ctime,
	};
}

/* The table is searched before the node is read.  A commit holds the open file's lock, so size and
 * times are from one state. */
static void get_attr(struct fs *fs, struct node *n, struct store_attr *ret)
{
	struct open_file *of = open_files_find(&fs->files, n);

	if (of != NULL) {
		open_file_getattr(of, ret);
		open_files_put(&fs->files, of);
	} else {
		store_getattr(fs->store, n, ret);
	}
}

void fs_stat(struct fs *fs, struct node *n, struct stat *ret)
{
	struct store_attr attr;

	get_attr(fs, n, &attr);
	stat_of(&attr, ret);
}

double fs_attr_seconds(const struct stat *attr)
{
	return S_ISREG(attr->st_mode) && (attr->st_mode & (S_ISUID | S_ISGID)) != 0
		       ? 0
		       : FS_CACHE_SECONDS;
}

void fs_entry(struct fs *fs, struct node *n, struct fuse_entry_param *ret)
{
	struct store_attr attr;

	get_attr(fs, n, &attr);
	*ret = (struct fuse_entry_param){
		.ino = fs_ino(n),
		.generation = (uint32_t)(attr.generation + fs->generation), /* Linux: 32 bits */
		.entry_timeout = FS_CACHE_SECONDS,
	};
	stat_of(&attr, &ret->attr);
	ret->attr_timeout = fs_attr_seconds(&ret->attr);
}

void *fs_reply_buffer(fuse_req_t req, size_t bytes, void **ret_own)
{
	const struct transport *t = fs_of(req)->transport;
	void *buf = t->buffer != NULL ? t->buffer(bytes) : NULL;

	*ret_own = buf == NULL ? malloc(bytes) : NULL;
	return buf != NULL ? buf : *ret_own;
}

void fs_tell_refused(struct fs *fs, const char *name, const char *why)
{
	char line[TROUBLES_LINE_MAX];

	if (troubles_refusal(&fs->troubles, name, why, monotonic_ns(), line))
		log_notice("%s", line);
}

int fs_refuse_name(struct fs *fs, fuse_ino_t parent, const char *name)
{
	if (parent == FS_INO_ROOT)
		fs_tell_refused(fs, name, "the store is below keys/, and nothing beside that");
	return fs_refusal(parent);
}

void fs_tell(void *arg, const struct trouble *t)
{
	char line[TROUBLES_LINE_MAX];

	if (troubles_line(arg, t, monotonic_ns(), line))
		log_error("%s", line);
}
