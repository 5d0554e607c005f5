/* SPDX-License-Identifier: MIT */
/* Replies that may have to wait: until the log is durable up to a commit's end.  No thread sleeps
 * meanwhile; the reply is sent by the thread that finds it durable.  A wait that fails is answered
 * with its error.
 *
 * The functions take the request over.  Pins that go to the kernel with a reply are given back when
 * it cannot be sent.  No lock may be held by the caller. */
#ifndef FREYJAFS_FUSE_MOUNT_REPLY_H
#define FREYJAFS_FUSE_MOUNT_REPLY_H

#include "fuse/mount/fs.h"

/* When is a commit that ends at 'end' (0: there was none) acknowledged? */
enum reply_when {
	REPLY_AS_CONFIGURED, /* durable if the sync interval is 0, else at once */
	REPLY_DURABLE,	     /* durable */
};

void reply_ok(fuse_req_t req, enum reply_when when, uint64_t end);
void reply_written(fuse_req_t req, size_t n, enum reply_when when, uint64_t end);
void reply_attr(fuse_req_t req, const struct stat *attr, enum reply_when when, uint64_t end);
void reply_entry(fuse_req_t req, const struct fuse_entry_param *entry, enum reply_when when,
		 uint64_t end);

/* A write of 'n' bytes, when compaction by hand is done. */
void reply_compacted(fuse_req_t req, size_t n);

/* At once.  'err' is 0 or -errno. */
void reply_err(fuse_req_t req, int err);

#endif
