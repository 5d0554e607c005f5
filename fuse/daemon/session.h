/* SPDX-License-Identifier: MIT */
/* The libfuse session of the mount.  What libfuse and fusermount3 print on the way becomes one
 * line.  Threads: one at a time, and no other may write to standard error meanwhile. */
#ifndef FREYJAFS_FUSE_DAEMON_SESSION_H
#define FREYJAFS_FUSE_DAEMON_SESSION_H

#include "codec/compiler.h"
#include "fuse/mount/fs.h"
#include "writer/base/diag.h"

/* Makes fs->session and mounts it.  -EINVAL: an option that libfuse does not take.  Undone by
 * session_end(). */
int session_start(struct fs *fs, struct diag *diag) WARN_UNUSED;

/* Unmounts, if that has not been done.  Replies that come later go nowhere. */
void session_unmount(struct fs *fs);
void session_end(struct fs *fs);

#endif
