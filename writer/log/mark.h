/* SPDX-License-Identifier: MIT */
/* The durable mark: a small file beside the log that holds a lower bound of what is durable in it.
 * It is written after each successful sync up to the end of a record and never synced itself: after
 * a power cut it may be older than the truth, never newer.  Threads: one at a time. */
#ifndef FREYJAFS_WRITER_LOG_MARK_H
#define FREYJAFS_WRITER_LOG_MARK_H

#include <stdbool.h>
#include <stdint.h>

#include "codec/synced.h"
#include "writer/base/io.h"
#include "writer/log/names.h"

/* Opens or creates the mark and reads it: 'ret_valid' is false, and 'ret' zeros, where it holds
 * none.  Stores a descriptor that the caller owns. */
int synced_mark_open(struct io *io, int dir_fd, const char *name, int *ret_fd, struct synced *ret,
		     bool *ret_valid) WARN_UNUSED;

/* The same without creating or changing it; there may be none. */
int synced_mark_read(struct io *io, int dir_fd, const char *name, struct synced *ret,
		     bool *ret_valid) WARN_UNUSED;

/* Records how far the log is durable.  A failure is not reported: it leaves the mark too low or
 * invalid, which costs protection against later damage alone. */
void synced_mark_write(struct io *io, int fd, struct synced mark);

#endif
