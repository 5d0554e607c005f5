/* SPDX-License-Identifier: MIT */
/* What a change of a file takes from it: setuid and setgid bits, and what setcap(8) has given.  The
 * kernel leaves it to the filesystem (see init_reply.h).  Root stands for who has CAP_FSETID: a
 * request does not tell.  Threads: any. */
#ifndef FREYJAFS_FUSE_OPS_PRIVILEGES_H
#define FREYJAFS_FUSE_OPS_PRIVILEGES_H

#include "fuse/mount/fs.h"

/* For a write or anything like it, by the caller of 'req'. */
int privileges_drop(fuse_req_t req, struct node *n) WARN_UNUSED;
/* For pages that a mapping has written: the kernel writes them back, and does not say for whom. */
int privileges_drop_all(fuse_req_t req, struct node *n) WARN_UNUSED;

/* For a new owner or a new size: adds a new mode to 'set' where it has to change. */
int privileges_drop_in(fuse_req_t req, struct node *n, bool new_owner, bool new_size,
		       struct store_set *set) WARN_UNUSED;

#endif
