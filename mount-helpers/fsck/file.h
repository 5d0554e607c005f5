/* SPDX-License-Identifier: MIT */
/* One file of the log: facts that several checks need. */
#ifndef FREYJAFS_MOUNT_HELPERS_FSCK_FILE_H
#define FREYJAFS_MOUNT_HELPERS_FSCK_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "codec/compiler.h"
#include "mount-helpers/fsck/fsck.h"

/* Adds a file and takes over its descriptor, also on failure.  -ENOMEM. */
int fsck_add_file(struct fsck *f, const struct fsck_file *file) WARN_UNUSED;
/* Returns whether DATADIR has a file 'name'. */
bool fsck_has_name(const struct fsck *f, const char *name);

/* Stores the facts that MANIFEST has about a sealed segment. */
void fsck_look_up(const struct fsck *f, struct fsck_file *file);
/* Returns whether MANIFEST lists 'file' with these facts. */
bool fsck_has_facts(const struct fsck_file *file, uint64_t bytes,
		    const struct manifest_facts *facts);

/* Reads the time of the first record of a file; UINT64_MAX: it has no record, or cannot be read. */
uint64_t fsck_first_time(const struct fsck *f, int fd);
/* Returns whether a file begins with a segment record, and stores the record. */
bool fsck_read_number(struct fsck *f, int fd, struct meta_segment *ret);

/* Returns whether bytes are missing at the end of the file. */
bool fsck_is_too_short(const struct fsck_file *file);
/* Returns the number of damages of a file. */
uint64_t fsck_damages_of(const struct fsck_file *file);
/* Returns the description of a file for the functions of writer/log/salvage.h; it borrows from
 * 'file'. */
struct salvage_file fsck_salvage_file(const struct fsck_file *file, struct io *io, int dir_fd,
				      bool take_inside);

#endif
