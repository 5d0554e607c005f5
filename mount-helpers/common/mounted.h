/* SPDX-License-Identifier: MIT */
/* Finding the mounts of stores on this machine.  Threads: one. */
#ifndef FREYJAFS_MOUNT_HELPERS_MOUNTED_H
#define FREYJAFS_MOUNT_HELPERS_MOUNTED_H

#include <limits.h>
#include <stdbool.h>

/* Returns whether a store is mounted on 'path', and stores its DATADIR, from /proc/self/mounts.
 * Sends no request to the mount itself, whose daemon may be dead. */
bool mounted_store(const char *path, char ret_datadir[PATH_MAX]);

#endif
