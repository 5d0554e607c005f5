/* SPDX-License-Identifier: MIT */
/* What the mount shows beside the store: its root directory, /status, /metrics and /control.  The
 * operations hand everything over here that concerns a small node number (fs_is_virtual()).
 *
 * The functions with a request take it over. Threads: any. */
#ifndef FREYJAFS_FUSE_VIRTUAL_VIRTUAL_H
#define FREYJAFS_FUSE_VIRTUAL_VIRTUAL_H

#include "fuse/mount/fs.h"

/* The entries of the root, by number from 0.  False: there is no such entry. */
bool virtual_entry(struct fs *fs, size_t i, const char **ret_name, struct fuse_entry_param *ret);

/* What stat(2) shows of a virtual node. */
void virtual_stat(struct fs *fs, fuse_ino_t ino, struct stat *ret);

void virtual_lookup(fuse_req_t req, const char *name);
void virtual_setattr(fuse_req_t req, fuse_ino_t ino, const struct stat *attr, int to_set);
void virtual_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void virtual_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		  struct fuse_file_info *fi);
void virtual_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size);
void virtual_release(fuse_req_t req, struct fuse_file_info *fi);

#endif
