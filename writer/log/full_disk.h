/* SPDX-License-Identifier: MIT */
/* Opening a log on a full disk.  The log must be able to write some bytes then (a file that is
 * missing, what a recovery cuts), and for that it gives up what is not needed: first hints, which
 * can be made again, then the reserves.  Threads: one at a time. */
#ifndef FREYJAFS_WRITER_LOG_FULL_DISK_H
#define FREYJAFS_WRITER_LOG_FULL_DISK_H

#include <stdbool.h>

#include "writer/base/io.h"

/* Returns whether an error means that there is no space: -ENOSPC, for inodes, too, or -EDQUOT. */
bool log_is_full(int err);

/* Gives up the next thing, '*step' is 0 at first.  False: nothing is left. */
bool log_give_up(struct io *io, int dir_fd, unsigned int *step);

/* As io_open() of a file in 'dir_fd', which is made if it is missing. */
int log_open_or_make(struct io *io, int dir_fd, const char *name, int flags) WARN_UNUSED;

#endif
