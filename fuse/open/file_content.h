/* SPDX-License-Identifier: MIT */
/* The content of an open file: its pending value over what the store has, read as one, and brought
 * into the log.
 *
 * How it gets there is a matter of cost.  A value of at most FILE_CONTENT_INLINE_BYTES that is new
 * as a whole is one plain record.  What is larger goes into the log in pieces while it is written,
 * and a publish makes them the content.  A small change of a value that is not tiny is staged
 * alone, and laid over the committed one.  Where many small changes have left many small pieces,
 * they are written again as one.
 *
 * All functions want the open file locked, and 'p' active unless they say otherwise.  Errors: 0 or
 * -errno. */
#ifndef FREYJAFS_FUSE_OPEN_FILE_CONTENT_H
#define FREYJAFS_FUSE_OPEN_FILE_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/compiler.h"
#include "fuse/open/pending.h"
#include "writer/store.h"

/* Whose content it is. */
struct file_content {
	struct store *store;
	struct node *node;
	struct pending *p;
};

#define FILE_CONTENT_INLINE_BYTES RANGE_BYTES_MAX
/* Never more than one record. */
#define FILE_CONTENT_TINY_BYTES UINT64_C(8192)

/* Returns how many bytes, fewer at its end.  -EIO: the CRC of a record is wrong. */
ssize_t file_content_read(const struct file_content *c, void *buf, size_t n,
			  uint64_t offset) WARN_UNUSED;

/* As store_next_data(), and 'p' may be inactive. */
bool file_content_next_data(const struct file_content *c, uint64_t offset, uint64_t *ret_begin,
			    uint64_t *ret_end);
/* How many bytes will be no hole once it is committed: attributes stay in the kernel's cache over
 * the commit.  An estimate where there are very many pieces. */
uint64_t file_content_data_bytes(const struct file_content *c);

/* Says whether a write is best staged from the buffer that it comes in: it goes on at the end of a
 * content that is too large for one record, and is not small. */
bool file_content_streams(const struct file_content *c, uint64_t offset, uint64_t n);
/* Stages it, as pending_write() else. */
int file_content_stage_write(const struct file_content *c, const void *buf, size_t n,
			     uint64_t offset, struct timespec now) WARN_UNUSED;
/* Stages the ranges that cannot grow any more. */
int file_content_stage_full(const struct file_content *c) WARN_UNUSED;
/* Stages all that is in memory. */
int file_content_stage_all(const struct file_content *c) WARN_UNUSED;

/* Commits, with the pending times.  'ret_end' as store_commit(): 0 when the node has no name, then
 * 'p' stays active; else it is dropped.  After a failure it is dirty as before. */
int file_content_commit(const struct file_content *c, uint64_t *ret_end) WARN_UNUSED;

#endif
