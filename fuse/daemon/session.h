/* SPDX-License-Identifier: MIT */
/* The libfuse session of the mount.  Of the messages that libfuse and fusermount3 print while it is
 * made, the last one becomes the reason in 'diag'.  Threads: one at a time, and no other thread may
 * write to standard error during a call. */
#ifndef FREYJAFS_FUSE_DAEMON_SESSION_H
#define FREYJAFS_FUSE_DAEMON_SESSION_H

#include "codec/compiler.h"
#include "fuse/mount/fs.h"
#include "writer/base/diag.h"

/* Makes fs->session and mounts it; session_end() undoes both.  Returns 0, or -errno with a message
 * in 'diag'; -EINVAL: libfuse refuses an option. */
int session_start(struct fs *fs, struct diag *diag) WARN_UNUSED;

/* Unmounts, if that has not happened yet.  Later replies are discarded. */
void session_unmount(struct fs *fs);
/* Unmounts and frees the session. */
void session_end(struct fs *fs);

#endif
