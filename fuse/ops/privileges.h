/* SPDX-License-Identifier: MIT */
/* Privileges that a file loses when it is changed: setuid and setgid bits, and file capabilities
 * (setcap(8)).  The kernel leaves this to the filesystem (init_reply.h).  Root stands for processes
 * with CAP_FSETID, because a request does not say who has it.
 *
 * Returns of all functions: 0 or -errno.  A change is committed, and not durable yet.  Threads:
 * any. */
#ifndef FREYJAFS_FUSE_OPS_PRIVILEGES_H
#define FREYJAFS_FUSE_OPS_PRIVILEGES_H

#include "fuse/mount/fs.h"

/* Drops privileges for a write or a similar change by the caller of 'req'. */
int privileges_drop(fuse_req_t req, struct node *n) WARN_UNUSED;
/* Drops privileges for pages written through a mapping: the kernel does not say which user wrote
 * them. */
int privileges_drop_all(fuse_req_t req, struct node *n) WARN_UNUSED;

/* For a new owner or a new size: drops the capability, and adds a new mode to 'set' if the mode
 * must change. */
int privileges_drop_in(fuse_req_t req, struct node *n, bool new_owner, bool new_size,
		       struct store_set *set) WARN_UNUSED;

#endif
