/* SPDX-License-Identifier: MIT */
/* The damage in the files of a log: first in each file, then between them. */
#ifndef FREYJAFS_MOUNT_HELPERS_FSCK_SCAN_H
#define FREYJAFS_MOUNT_HELPERS_FSCK_SCAN_H

#include "codec/compiler.h"
#include "mount-helpers/fsck/fsck.h"

/* Reads all files, reports their lost parts and compares them with MANIFEST. */
int fsck_scan(struct fsck *f) WARN_UNUSED;
/* Replays the log without its lost parts, reports the commits that do not fit, and finds the names
 * that cannot be read whole. */
int fsck_check_fit(struct fsck *f) WARN_UNUSED;

#endif
