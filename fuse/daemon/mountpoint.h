/* SPDX-License-Identifier: MIT */
/* Checks of DATADIR, MOUNTPOINT and the system before a mount, made before anything is changed;
 * each failure is reported in one line.  Also finds mounts by path.  Threads: one at a time.
 * Errors: 0, or -errno with the line in 'diag'. */
#ifndef FREYJAFS_FUSE_DAEMON_MOUNTPOINT_H
#define FREYJAFS_FUSE_DAEMON_MOUNTPOINT_H

#include <stdbool.h>

#include "codec/compiler.h"
#include "writer/base/diag.h"

/* One line of mountinfo (proc(5)); the strings are unescaped. */
struct mount_entry {
	char path[4096];
	char type[64];
	char source[4096];
};

/* Finds the topmost mount at 'path' in 'mountinfo_path' ("/proc/self/mountinfo").  Returns false if
 * there is none, or if the file cannot be read. */
bool mountpoint_find(const char *mountinfo_path, const char *path, struct mount_entry *ret);

/* Makes a path absolute and free of links, "." and "..".  Its last component need not exist.
 * Stores a string, which the caller frees.  -ENOENT: the parent directory does not exist. */
int mountpoint_resolve(const char *path, char **ret) WARN_UNUSED;

/* Checks that DATADIR exists or can be made, is a directory, and can be written to.  Stores the
 * resolved path, which the caller frees. */
int mountpoint_check_datadir(const char *arg, char **ret, struct diag *diag) WARN_UNUSED;

/* Checks that MOUNTPOINT exists, is a directory, is not a mount yet (-EBUSY), and neither contains
 * DATADIR nor is in it.  Stores the resolved path, which the caller frees. */
int mountpoint_check(const char *arg, const char *datadir, char **ret,
		     struct diag *diag) WARN_UNUSED;

/* Checks that /dev/fuse can be opened, and that fusermount3 exists if it is needed. */
int mountpoint_check_fuse(struct diag *diag) WARN_UNUSED;

#endif
