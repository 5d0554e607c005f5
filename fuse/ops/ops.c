/* SPDX-License-Identifier: MIT */
/* The table of operations for libfuse, and the negotiation of features at the mount. */
#include "fuse/ops/ops.h"

#define BACKGROUND_MAX 64 /* limit of readahead requests in flight */

/* Called by libfuse when the kernel has opened the connection.  No reply. */
static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	struct fs *fs = userdata;

	conn->want |= conn->capable &
		      (FUSE_CAP_ASYNC_READ | FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_PARALLEL_DIROPS |
		       FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO);
	/* Cached pages never become stale, so a new mtime is no reason to drop them
	 * (AUTO_INVAL_DATA). init_reply.h handles setuid bits (HANDLE_KILLPRIV).  Write-back
	 * caching would hide the writes that make a value pending.  After an asynchronous direct
	 * write the kernel does not drop pages that other programs have read meanwhile, so it must
	 * wait for each such write (ASYNC_DIO). */
	conn->want &= ~(unsigned int)(FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_HANDLE_KILLPRIV |
				      FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_ASYNC_DIO);
	if (fs->options->max_read_bytes != 0)
		conn->max_read = fs->options->max_read_bytes;
	conn->max_background = BACKGROUND_MAX;
	conn->congestion_threshold = BACKGROUND_MAX * 3 / 4;
	conn->time_gran = 1;
}

/* libfuse answers ENOSYS to an operation that is missing here; then the kernel stops sending it and
 * does the operation itself: copy_file_range, locks. */
const struct fuse_lowlevel_ops ops = {
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
