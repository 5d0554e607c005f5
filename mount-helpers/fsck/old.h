/* SPDX-License-Identifier: MIT */
/* The last part of fsck.freyjafs: files that cannot be read whole get the content of their newest
 * whole version, by commits at the end of the log.  If fsck is killed, each file has either its
 * present or its restored content. */
#ifndef FREYJAFS_MOUNT_HELPERS_FSCK_OLD_H
#define FREYJAFS_MOUNT_HELPERS_FSCK_OLD_H

#include "mount-helpers/fsck/fsck.h"
#include "writer/base/diag.h"

/* Restores the files among 'names' whose older version is still in the log, and stores their
 * number.  The store in 'datadir' must not be in use, and must be one that can be opened.  The
 * commits are durable on return.  Returns 0, or -errno with a message in 'diag'. */
int fsck_old(const char *datadir, const struct fsck_names *names, uint64_t *ret_restored,
	     struct diag *diag) WARN_UNUSED;

#endif
