/* SPDX-License-Identifier: MIT */
/* The files of a store as they were at one moment, in the order of the log. */
#ifndef FREYJAFS_MOUNT_HELPERS_FSCK_FILES_H
#define FREYJAFS_MOUNT_HELPERS_FSCK_FILES_H

#include "codec/compiler.h"
#include "mount-helpers/fsck/fsck.h"

/* Opens the files, finds the missing and the displaced ones, and reports what is wrong with the set
 * of files.  The store may be mounted.  Returns 0, or -errno after a message. */
int fsck_open_files(struct fsck *f) WARN_UNUSED;
/* Closes the files and frees their losses.  The counts of damages stay. */
void fsck_forget_files(struct fsck *f);

#endif
