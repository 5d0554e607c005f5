/* SPDX-License-Identifier: MIT */
/* fsck.freyjafs, last part: files that cannot be read whole become their newest whole versions, by
 * commits at the end of the log.  Killed at any point, each file is one or the other. */
#ifndef FREYJAFS_MOUNT_HELPERS_FSCK_OLD_H
#define FREYJAFS_MOUNT_HELPERS_FSCK_OLD_H

#include "mount-helpers/fsck/fsck.h"
#include "writer/base/diag.h"

/* Restores those of 'names' that have an older version which is still in the log, and stores how
 * many that were.  The store in 'datadir' is not in use, and can be opened. */
int fsck_old(const char *datadir, const struct fsck_names *names, uint64_t *ret_restored,
	     struct diag *diag) WARN_UNUSED;

#endif
