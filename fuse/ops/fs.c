/* SPDX-License-Identifier: MIT */
#include "fuse/ops/fs.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "codec/path.h"
#include "fuse/daemon/messages.h"
#include "fuse/ops/ops.h"
#include "fuse/ops/history.h"

#define BACKGROUND_MAX 64 /* readahead requests on their way at a time */

void fs_unpin(struct fs *fs, fuse_ino_t ino, uint64_t count)
{
	if (fs_is_history(ino))
		history_forget(fs, ino, count);
	else if (!fs_is_virtual(ino) && fs_node(ino) != store_root(fs->store))
		store_unpin(fs->store, fs_node(ino), count);
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

void fs_stat_of(const struct store_attr *attr, struct stat *ret)
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

/* The table is asked before the node: an open file holds its value back from commits, so what is
 * seen is one state. */
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
	fs_stat_of(&attr, ret);
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
		.generation = (uint32_t)(attr.generation + fs->generation), /* 32 bits in Linux */
		.entry_timeout = FS_CACHE_SECONDS,
	};
	fs_stat_of(&attr, &ret->attr);
	ret->attr_timeout = fs_attr_seconds(&ret->attr);
}

void *fs_reply_buffer(fuse_req_t req, size_t bytes, void **ret_own)
{
	const struct transport *t = fs_of(req)->transport;
	void *buf = t->buffer != NULL ? t->buffer(bytes) : NULL;

	*ret_own = buf == NULL ? malloc(bytes) : NULL;
	return buf != NULL ? buf : *ret_own;
}

/* Called by libfuse when the kernel has opened the connection.  No reply. */
static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	struct fs *fs = userdata;

	conn->want |= conn->capable &
		      (FUSE_CAP_ASYNC_READ | FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_PARALLEL_DIROPS |
		       FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO);
	/* Cached pages never go stale, so a new mtime is no reason to drop them.  Who takes setuid
	 * bits away: see init_reply.h.  Write-back caching would hide the writes that make a value
	 * pending.  After an asynchronous direct write the kernel does not drop the pages that
	 * others have read meanwhile, so it is to wait for each of them (ASYNC_DIO). */
	conn->want &= ~(unsigned int)(FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_HANDLE_KILLPRIV |
				      FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_ASYNC_DIO);
	if (fs->options->max_read_bytes != 0)
		conn->max_read = fs->options->max_read_bytes;
	conn->max_background = BACKGROUND_MAX;
	conn->congestion_threshold = BACKGROUND_MAX * 3 / 4;
	conn->time_gran = 1;
}

/* What is missing here is answered ENOSYS by libfuse, and the kernel stops asking and does it
 * itself: copy_file_range, locks. */
const struct fuse_lowlevel_ops fs_ops = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.unlink = op_unlink,
	.rmdir = op_rmdir,
	.symlink = op_symlink,
	.link = op_link,
	.readlink = op_readlink,
	.getxattr = op_getxattr,
	.setxattr = op_setxattr,
	.listxattr = op_listxattr,
	.removexattr = op_removexattr,
	.fallocate = op_fallocate,
	.rename = op_rename,
	.statfs = op_statfs,
	.create = op_create,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.flush = op_flush,
	.lseek = op_lseek,
	.fsync = op_fsync,
	.release = op_release,
	.opendir = op_opendir,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.fsyncdir = op_fsyncdir,
	.releasedir = op_releasedir,
};

void fs_tell(void *arg, const struct trouble *t)
{
	char line[TROUBLES_LINE_MAX];

	if (troubles_line(arg, t, monotonic_ns(), line))
		log_error("%s", line);
}
