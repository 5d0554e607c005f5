/* SPDX-License-Identifier: MIT */
/* MANIFEST and the durable mark: whether they match the files, and a new MANIFEST. */
#ifndef FREYJAFS_MOUNT_HELPERS_FSCK_MANIFEST_H
#define FREYJAFS_MOUNT_HELPERS_FSCK_MANIFEST_H

#include <stdbool.h>
#include <stdint.h>

#include "codec/compiler.h"
#include "mount-helpers/fsck/fsck.h"

/* Reports a damaged or missing MANIFEST.  If it has a later durable position than the mark, that
 * position is used. */
void fsck_check_manifest(struct fsck *f, bool damaged);
/* Reports that MANIFEST is damaged or missing, as 'how' says; salvage will write a new one. */
void fsck_report_manifest(struct fsck *f, const char *how);
/* Reports a MANIFEST that is older than a sealed segment. */
void fsck_check_unlisted(struct fsck *f);
/* Ignores a durable mark with a number that no log of these files can have. */
void fsck_check_mark(struct fsck *f, uint64_t next_number);

/* Returns whether MANIFEST lists a file as replaced. */
bool fsck_is_obsolete(const struct manifest *m, struct segment_id id);
/* For io_list() with a struct fsck: reports files that have the name of a segment but are no part
 * of the log, and second files of a segment. */
int fsck_report_stranger(void *arg, const char *name);

/* Writes MANIFEST for the segments in their present form. */
int fsck_write_manifest(struct fsck *f) WARN_UNUSED;

#endif
