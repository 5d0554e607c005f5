/* SPDX-License-Identifier: MIT */
/* Files under the names of other files. */
#ifndef FREYJAFS_MOUNT_HELPERS_FSCK_DISPLACED_H
#define FREYJAFS_MOUNT_HELPERS_FSCK_DISPLACED_H

#include "codec/compiler.h"
#include "mount-helpers/fsck/fsck.h"

/* Assigns each listed content to the file that MANIFEST lists it as, whatever its present name is.
 */
int fsck_put_in_order(struct fsck *f) WARN_UNUSED;

#endif
