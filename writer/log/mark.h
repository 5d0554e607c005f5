/* SPDX-License-Identifier: MIT */
/* The durable mark: a small file next to the log that holds a lower bound of its durable position.
 * It is written after each successful sync up to the end of a record and never synced itself: after
 * a power cut it may be older than the durable position, never newer.  Threads: one at a time. */
#ifndef FREYJAFS_WRITER_LOG_MARK_H
#define FREYJAFS_WRITER_LOG_MARK_H

#include <stdbool.h>
#include <stdint.h>

#include "codec/synced.h"
#include "writer/base/io.h"
#include "writer/log/names.h"

/* Opens or creates the mark and reads it.  If it has no valid content, 'ret_valid' is false and
 * 'ret' zeros.  Stores a descriptor that the caller owns. */
int synced_mark_open(struct io *io, int dir_fd, const char *name, int *ret_fd, struct synced *ret,
		     bool *ret_valid) WARN_UNUSED;

/* Reads the mark without creating or changing it; a mark that is missing is not valid. */
int synced_mark_read(struct io *io, int dir_fd, const char *name, struct synced *ret,
		     bool *ret_valid) WARN_UNUSED;

/* Records a durable position.  A failure is not reported: it leaves the mark too low or invalid,
 * which only weakens the protection against later damage. */
void synced_mark_write(struct io *io, int fd, struct synced mark);

#endif
