/* SPDX-License-Identifier: MIT */
/* The parts of the mount that are not in the store: the root directory, /status, /metrics, /control
 * and /history.  Operations pass all requests with a virtual node number here (fs_is_virtual()).
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

/* --- /history, namely all requests with a node number for which fs_is_history() is true
 * (history.c). Every change below it fails with EROFS. --- */

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

/* --- virtual/status.c, virtual/metrics.c: texts; each a string, which the caller frees, and its
 * length --- */

/* Returns 0 or -ENOMEM. */
int status_text(struct fs *fs, char **ret, size_t *ret_bytes) WARN_UNUSED;
/* Returns 0 or -errno. */
int metrics_text(struct fs *fs, char **ret, size_t *ret_bytes) WARN_UNUSED;

#endif
