/* SPDX-License-Identifier: MIT */
/* Salvage of a segment by its hint.  Threads: one at a time. */
#ifndef FREYJAFS_WRITER_SALVAGE_HINT_H
#define FREYJAFS_WRITER_SALVAGE_HINT_H

#include "writer/salvage.h"

/* Adds what the segment has lost of the records that its hint names, also those behind its end, and
 * what stands between records and is none.  'ret->used_hint' stays false where there is no hint, or
 * one that does not fit what is in the file: there are 'whole_records'.  '*ret_next' is where the
 * hint ends in the file: the caller reads on there.  -ENOMEM; -errno of a read. */
int salvage_by_hint(const struct salvage_file *f, uint64_t whole_records, struct salvage *ret,
		    uint64_t *ret_next) WARN_UNUSED;

#endif
