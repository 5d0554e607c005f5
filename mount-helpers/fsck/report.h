/* SPDX-License-Identifier: MIT */
/* Messages of fsck.freyjafs, and the lines of its report on stdout. */
#ifndef FREYJAFS_MOUNT_HELPERS_FSCK_REPORT_H
#define FREYJAFS_MOUNT_HELPERS_FSCK_REPORT_H

#include <err.h>
#include <stdbool.h>

#include "codec/compiler.h"
#include "mount-helpers/fsck/fsck.h"

/* Prints a message about a file of the store on stderr, and returns 'err'. */
int fsck_failed(const struct fsck *f, const char *name, int err);
/* Prints on stderr that a file of the store cannot be read, with the reason 'err', and returns
 * 'err'. */
int fsck_failed_read(const struct fsck *f, const char *name, int err);

/* Notes a finding that is no damage.  Salvage checks all files repeatedly, and finds it each time,
 * so notes are kept and printed at the end. */
void fsck_note(struct fsck *f, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Ends the notes of one check of the files, and prints them if it is the last one. */
void fsck_end_notes(struct fsck *f, bool print);

/* Prints a lost part of a file. */
void fsck_print_lost(const struct fsck_file *file, const struct salvage_lost *l);
/* Prints the undamaged records that do not fit. */
void fsck_print_edits(const struct fsck_file *file);
/* Prints the names of the files in quarantine/ that have the bytes taken out of 'file'. */
void fsck_print_saved(const struct fsck_file *file);
/* Prints a name that cannot be read whole. */
void fsck_print_name(const struct fsck_name *name);

#endif
