/* SPDX-License-Identifier: MIT */
/* Replies that may wait until the log is durable up to the end of a commit.  No thread sleeps
 * meanwhile: the thread that completes the sync sends the reply.  If the wait fails, the reply is
 * its error.
 *
 * The functions take the request over.  Pins that go to the kernel with a reply are given back if
 * the reply cannot be sent.  The caller must hold no lock.  Threads: any. */
#ifndef FREYJAFS_FUSE_MOUNT_REPLY_H
#define FREYJAFS_FUSE_MOUNT_REPLY_H

#include "fuse/mount/fs.h"

/* When to acknowledge a commit that ends at position 'end' (0: no commit, acknowledge at once). */
enum reply_when {
	REPLY_AS_CONFIGURED, /* when durable if the sync interval is 0, otherwise at once */
	REPLY_DURABLE,	     /* when durable */
};

/* Send an empty reply, or the size of a write; or 'err' at once, if it is not 0 but -errno. */
void reply_done(fuse_req_t req, int err, enum reply_when when, uint64_t end);
void reply_written(fuse_req_t req, int err, size_t n, enum reply_when when, uint64_t end);
/* Send attributes, or an entry; 'attr' and 'entry' are copied. */
void reply_attr(fuse_req_t req, const struct stat *attr, enum reply_when when, uint64_t end);
void reply_entry(fuse_req_t req, const struct fuse_entry_param *entry, enum reply_when when,
		 uint64_t end);

/* Replies to a write of 'n' bytes to /control when a compaction of all segments has ended, or with
 * its error. */
void reply_compacted(fuse_req_t req, size_t n);

/* Replies at once.  'err' is 0 or -errno. */
void reply_err(fuse_req_t req, int err);

#endif
