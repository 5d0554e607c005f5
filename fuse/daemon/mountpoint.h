/* SPDX-License-Identifier: MIT */
/* What can be wrong with the two directories and with the system before a mount, each found before
 * anything is changed and said in one line.  Also: who is mounted where.  Threads: one at a time.
 */
#ifndef FREYJAFS_FUSE_DAEMON_MOUNTPOINT_H
#define FREYJAFS_FUSE_DAEMON_MOUNTPOINT_H

#include <stdbool.h>
#include <stddef.h>

#include "codec/compiler.h"
#include "writer/base/diag.h"

/* One line of mountinfo; the strings are unescaped. */
struct mount_entry {
	char path[4096];
	char type[64];
	char source[4096];
};

/* Finds the topmost mount at 'path' in 'mountinfo_path' ("/proc/self/mountinfo").  Returns false if
 * there is none, or if the file cannot be read. */
bool mountpoint_find(const char *mountinfo_path, const char *path, struct mount_entry *ret);

/* Makes a path absolute and free of links, "." and "..".  Its last component need not exist.
 * Stores a string that the caller frees.  -ENOENT: the parent directory does not exist. */
int mountpoint_resolve(const char *path, char **ret) WARN_UNUSED;

/* DATADIR, resolved: exists or can be made, is a directory, may be written.  Stores the resolved
 * path, which the caller frees. */
int mountpoint_check_datadir(const char *arg, char **ret, struct diag *diag) WARN_UNUSED;

/* MOUNTPOINT: exists, is a directory, is no mount yet (-EBUSY), neither holds DATADIR nor is in it.
 * Stores the resolved path, which the caller frees. */
int mountpoint_check(const char *arg, const char *datadir, char **ret,
		     struct diag *diag) WARN_UNUSED;

/* /dev/fuse can be opened, and fusermount3 is there when it is needed. */
int mountpoint_check_fuse(struct diag *diag) WARN_UNUSED;

#endif
