/* SPDX-License-Identifier: MIT */
/* Requests to /history, namely all requests with a node number for which fs_is_history() is true.
 * Every change below /history fails with EROFS.
 *
 * The functions take the request over and reply to it.  Threads: any. */
#ifndef FREYJAFS_FUSE_VIRTUAL_HISTORY_H
#define FREYJAFS_FUSE_VIRTUAL_HISTORY_H

#include "fuse/mount/fs.h"

/* Makes the nodes of /history for the mount; history_end() frees them.  -ENOMEM. */
int history_start(struct fs *fs) WARN_UNUSED;
void history_end(struct fs *fs);

/* Fills in the attributes of /history or of a node below it. */
void history_stat_of(struct fs *fs, fuse_ino_t ino, struct stat *ret);

void history_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void history_readlink(fuse_req_t req, fuse_ino_t ino);
void history_open_file(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void history_read(fuse_req_t req, size_t size, off_t off, struct fuse_file_info *fi);
void history_lseek(fuse_req_t req, off_t off, int whence, struct fuse_file_info *fi);
void history_release(fuse_req_t req, struct fuse_file_info *fi);
void history_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void history_readdir(fuse_req_t req, size_t size, off_t off, struct fuse_file_info *fi, bool plus);
void history_releasedir(fuse_req_t req, struct fuse_file_info *fi);

#endif
