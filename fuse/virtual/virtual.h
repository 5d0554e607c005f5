/* SPDX-License-Identifier: MIT */
/* The parts of the mount that are not in the store: the root directory, /status, /metrics and
 * /control.  Operations pass all requests with a virtual node number here (fs_is_virtual()).
 *
 * The functions with a request take it over and reply to it.  Threads: any. */
#ifndef FREYJAFS_FUSE_VIRTUAL_VIRTUAL_H
#define FREYJAFS_FUSE_VIRTUAL_VIRTUAL_H

#include "fuse/mount/fs.h"

/* Stores entry 'i' (from 0) of the root of the mount.  Returns false if there is no such entry. */
bool virtual_entry(struct fs *fs, size_t i, const char **ret_name, struct fuse_entry_param *ret);

/* Fills in the attributes of a virtual node. */
void virtual_stat(struct fs *fs, fuse_ino_t ino, struct stat *ret);

void virtual_lookup(fuse_req_t req, const char *name);
void virtual_setattr(fuse_req_t req, fuse_ino_t ino, const struct stat *attr, int to_set);
void virtual_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void virtual_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		  struct fuse_file_info *fi);
void virtual_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size);
void virtual_release(fuse_req_t req, struct fuse_file_info *fi);

#endif
