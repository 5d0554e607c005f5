/* SPDX-License-Identifier: MIT */
/* Salvage of a segment by its hint.  Threads: one at a time. */
#ifndef FREYJAFS_WRITER_LOG_SALVAGE_HINT_H
#define FREYJAFS_WRITER_LOG_SALVAGE_HINT_H

#include "writer/log/salvage.h"

/* Adds what the segment has lost of the records that its hint names, also those behind its end, and
 * what stands between records and is none.  'scanned' is what a scan without the hint has found.
 * 'ret->used_hint' stays false where the hint would say nothing else; where there is none; or one
 * that does not fit what is whole in the file.  '*ret_next' is where the hint ends in the file: the
 * caller reads on there.  -ENOMEM; -errno of a read. */
int salvage_by_hint(const struct salvage_file *f, const struct salvage *scanned,
		    struct salvage *ret, uint64_t *ret_next) WARN_UNUSED;

#endif
