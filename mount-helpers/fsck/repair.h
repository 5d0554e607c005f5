/* SPDX-License-Identifier: MIT */
/* Salvage: new files without the lost parts, a new durable mark and a new MANIFEST. */
#ifndef FREYJAFS_MOUNT_HELPERS_FSCK_REPAIR_H
#define FREYJAFS_MOUNT_HELPERS_FSCK_REPAIR_H

#include "codec/compiler.h"
#include "mount-helpers/fsck/fsck.h"

/* Salvages the last file first.  If this process is killed, the losses in earlier files can still
 * be recognised, and so can the later commits that do not fit because of them. */
int fsck_salvage_all(struct fsck *f) WARN_UNUSED;

#endif
