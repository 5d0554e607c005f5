/* SPDX-License-Identifier: MIT */
/* Segments that the log should have and that are missing, and files that can replace them. */
#ifndef FREYJAFS_MOUNT_HELPERS_FSCK_MISSING_H
#define FREYJAFS_MOUNT_HELPERS_FSCK_MISSING_H

#include <stdbool.h>
#include <stdint.h>

#include "codec/compiler.h"
#include "mount-helpers/fsck/fsck.h"

/* Returns whether a log that continues with segment 'next' can have segment 'number': it is not
 * more than the largest possible number of missing segments ahead. */
bool fsck_is_in_reach(uint64_t next, uint64_t number);

/* Adds the segments whose numbers are missing.  Salvage replaces them by stand-ins for the records
 * in their hints. */
int fsck_add_missing(struct fsck *f) WARN_UNUSED;
/* Adds the active segment as missing.  After a crash it may be absent without a loss: if nothing
 * shows that it had durable records, and its number would be 'next_number'.  With a higher number,
 * the segments before it are missing, too. */
int fsck_add_missing_active(struct fsck *f, struct fsck_file *active,
			    uint64_t next_number) WARN_UNUSED;

#endif
