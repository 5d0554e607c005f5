/* SPDX-License-Identifier: MIT */
/* The names and the owner of the files in a DATADIR (docs/FORMAT.md, section 1).
 * codec/segment_name.h has the names of segments.
 *
 * Pure functions; threads: any. */
#ifndef FREYJAFS_WRITER_LOG_NAMES_H
#define FREYJAFS_WRITER_LOG_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "codec/compiler.h"
#include "codec/segment_name.h"

#define ACTIVE_NAME	     "active.data" /* of a store; other logs may have other names */
#define ACTIVE_MARK_NAME     "active.synced"
#define MANIFEST_NAME	     "MANIFEST"
#define MANIFEST_TEMP_NAME   MANIFEST_NAME SEGMENT_TEMP_SUFFIX
#define LOCK_NAME	     "lock"
#define SOCKET_NAME	     "socket"
#define QUARANTINE_NAME	     "quarantine" /* a directory */
#define RESERVE_NAME	     "reserve"
#define RESERVE_SEGMENT_NAME "reserve.segment"
#define RESERVE_SET_NAME     "reserve.manifest"
#define RESERVE_ACTIVE_NAME  "reserve.active" /* only an inode, no struct reserve */
#define SALVAGE_TEMP_SUFFIX  ".salvage"	      /* of a segment that fsck.freyjafs is rewriting */

/* Stores the name of the durable mark of the log file 'log_name': for "x.data" it is "x.synced".
 * -ENAMETOOLONG. */
int synced_mark_name(const char *log_name, char *ret, size_t ret_size) WARN_UNUSED;
/* Stores the name of the hint of a segment: for "x.data" it is "x.hint".  -ENAMETOOLONG. */
int hint_file_name(const char *log_name, char *ret, size_t ret_size) WARN_UNUSED;
/* Stores the name of the hint of a sealed or rotated segment. */
void hint_name_of(struct segment_id id, char ret[SEGMENT_NAME_BYTES]);

/* Returns whether 'name' is the name of a hint of a store.  Stores the segment (number 0: the
 * active one), and whether the file is being written. */
bool hint_name_parse(const char *name, struct segment_id *ret, bool *ret_temp);

/* Returns whether a store may have a file of that name. */
bool store_uses_name(const char *name);
/* Returns why a mount by the user 'owner' refuses the file or the DATADIR, or NULL: another user
 * may change it. */
const char *store_file_foreign(const struct stat *st, uid_t owner);

#endif
