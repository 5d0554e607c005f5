/* SPDX-License-Identifier: MIT */
/* The content of an open file: reads its pending value over the committed one, and commits it.
 *
 * The way of the bytes into the log depends on the cost.  A new value of at most
 * FILE_CONTENT_INLINE_BYTES becomes one plain record.  Larger values are staged in pieces while
 * programs write them, and a publish makes the pieces the content.  A small change of a value
 * larger than FILE_CONTENT_TINY_BYTES is staged alone and laid over the committed value.  Where
 * small changes have left many small pieces, they are written again as one.
 *
 * All functions require the lock of the open file and an active 'p', unless they say otherwise.
 * Errors: 0 or -errno.  Staged and committed bytes are in the log, and become durable with its next
 * sync. */
#ifndef FREYJAFS_FUSE_OPEN_FILE_CONTENT_H
#define FREYJAFS_FUSE_OPEN_FILE_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/compiler.h"
#include "fuse/open/pending.h"
#include "writer/store.h"

/* The layers of one file's content; all pointers are borrowed. */
struct file_content {
	struct store *store;
	struct node *node;
	struct pending *p;
};

#define FILE_CONTENT_INLINE_BYTES RANGE_BYTES_MAX
/* A value of at most this size is always committed as one plain record. */
#define FILE_CONTENT_TINY_BYTES UINT64_C(8192)

/* Reads up to 'n' bytes at 'offset' into 'buf'.  Returns the number of bytes, less than 'n' only at
 * the end of the content; -EIO if the CRC of a record is wrong. */
ssize_t file_content_read(const struct file_content *c, void *buf, size_t n,
			  uint64_t offset) WARN_UNUSED;

/* As store_next_data(): stores the first range ['ret_begin', 'ret_end') with data at or behind
 * 'offset', and returns false if there is none.  'p' may be inactive. */
bool file_content_next_data(const struct file_content *c, uint64_t offset, uint64_t *ret_begin,
			    uint64_t *ret_end);
/* Returns the number of bytes outside of holes that the content will have once it is committed; the
 * kernel keeps attributes in its cache across the commit.  An estimate if the content consists of
 * very many pieces. */
uint64_t file_content_data_bytes(const struct file_content *c);

/* Returns whether a write should be staged directly from the caller's buffer: it must be large,
 * begin at or behind the end of a content that is too large for one record, and no bytes may be
 * pending in memory. */
bool file_content_streams(const struct file_content *c, uint64_t offset, uint64_t n);
/* Stages such a write, with the effects of pending_write(). */
int file_content_stage_write(const struct file_content *c, const void *buf, size_t n,
			     uint64_t offset, struct timespec now) WARN_UNUSED;
/* Stages the ranges that have reached RANGE_BYTES_MAX and cannot grow. */
int file_content_stage_full(const struct file_content *c) WARN_UNUSED;
/* Stages all ranges in memory. */
int file_content_stage_all(const struct file_content *c) WARN_UNUSED;

/* Commits the content with its pending times, and makes 'p' inactive.  'ret_end' as store_commit():
 * the position behind the commit.  It is 0 if the node has no name; then 'p' stays active.  After a
 * failure 'p' is dirty as before. */
int file_content_commit(const struct file_content *c, uint64_t *ret_end) WARN_UNUSED;

#endif
