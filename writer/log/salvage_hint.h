/* SPDX-License-Identifier: MIT */
/* Salvage of a segment by its hint.  Threads: one at a time. */
#ifndef FREYJAFS_WRITER_LOG_SALVAGE_HINT_H
#define FREYJAFS_WRITER_LOG_SALVAGE_HINT_H

#include "writer/log/salvage.h"

/* Adds the records of the hint that the segment has lost, including records behind its end, and
 * bytes between records that are not records.  'scanned' is the result of a scan without the hint.
 * 'ret->used_hint' stays false if the hint has no more information, if there is none, or if it does
 * not fit the whole records of the file.  '*ret_next' is the offset in the file where the hint
 * ends: the caller must continue there.  -ENOMEM; -errno of a read. */
int salvage_by_hint(const struct salvage_file *f, const struct salvage *scanned,
		    struct salvage *ret, uint64_t *ret_next) WARN_UNUSED;

#endif
