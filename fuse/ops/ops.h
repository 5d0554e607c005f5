/* SPDX-License-Identifier: MIT */
/* The FUSE operations, with the signatures of struct fuse_lowlevel_ops (fuse_lowlevel.h of
 * libfuse).  The comment of each operation lists the replies that it sends.  All may be called in
 * any thread, and none holds a lock when it replies. */
#ifndef FREYJAFS_FUSE_OPS_OPS_H
#define FREYJAFS_FUSE_OPS_OPS_H

#include "fuse/mount/fs.h"

/* All operations, for fuse_session_new(). */
extern const struct fuse_lowlevel_ops ops;

/* ops/node.c: names and attributes */
void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup);
void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);
void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		struct fuse_file_info *fi);
void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
	       const char *new_name, unsigned int flags);
void op_readlink(fuse_req_t req, fuse_ino_t ino);
void op_statfs(fuse_req_t req, fuse_ino_t ino);

/* ops/make.c: new nodes and names */
void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t new_parent, const char *new_name);

/* Makes a regular file that is not in the log yet, owned by the caller of 'req'; stores its node,
 * pinned.  Returns 0 or -errno. */
int ops_make_file(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		  struct node **ret) WARN_UNUSED;
/* Makes a temporary file in the same way, without a name. */
int ops_make_temporary(fuse_req_t req, fuse_ino_t parent, mode_t mode,
		       struct node **ret) WARN_UNUSED;
/* Removes such a file again and gives its pin back.  'name' is REQUEST_TEMPORARY for a temporary
 * file. */
void ops_unmake_file(fuse_req_t req, fuse_ino_t parent, const char *name, struct node *n);

/* ops/xattr.c */
void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
		 int flags);
void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);

/* ops/file.c: open files */
/* Returns the open file of a handle; no reference is added. */
struct open_file *ops_handle(const struct fuse_file_info *fi);
void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	       struct fuse_file_info *fi);
void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
	      struct fuse_file_info *fi);
/* Makes the kernel send changes that programs have made through mappings of open files, and waits
 * until they are pending values.  Must not be called by a thread that serves requests. */
void ops_take_mapped(struct fs *fs);
void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi);
void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t length,
		  struct fuse_file_info *fi);
void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

/* ops/dir.c: open directories */
void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi);
void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

#endif
