/* SPDX-License-Identifier: MIT */
/* Opening a log on a full disk.  The log must then be able to write some bytes (a missing file, a
 * copy of bytes that recovery cuts), and for that it gives up files that are not needed: first
 * hints, which can be made again, then the reserves.  Threads: one at a time. */
#ifndef FREYJAFS_WRITER_LOG_FULL_DISK_H
#define FREYJAFS_WRITER_LOG_FULL_DISK_H

#include <stdbool.h>

#include "writer/base/io.h"

/* Returns whether an error means a lack of space: -ENOSPC, also for inodes, or -EDQUOT. */
bool log_is_full(int err);

/* Gives up the next kind of file; '*step' must be 0 for the first call.  Returns false if nothing
 * is left. */
bool log_give_up(struct io *io, int dir_fd, unsigned int *step);

/* As io_open() of a file in 'dir_fd', which is made if missing. */
int log_open_or_make(struct io *io, int dir_fd, const char *name, int flags) WARN_UNUSED;

#endif
