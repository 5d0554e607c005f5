/* SPDX-License-Identifier: MIT */
/* The exit statuses of freyjactl, in one table for the program, its --help and the man page.  A
 * status that freyjafs has, too, has the same number there. */
#ifndef FREYJAFS_MOUNT_HELPERS_COMMON_EXIT_STATUS_H
#define FREYJAFS_MOUNT_HELPERS_COMMON_EXIT_STATUS_H

/* X(name, number, meaning) */
#define CTL_EXITS(X)                                                              \
	X(CTL_OK, 0, "done")                                                      \
	X(CTL_USAGE, 1, "wrong arguments")                                        \
	X(CTL_SYSTEM, 2, "the operating system refused something")                \
	X(CTL_DATA, 3, "the data in DATADIR is damaged or cannot be read")        \
	X(CTL_IN_USE, 4, "DATADIR is in use by another process, such as a mount") \
	X(CTL_NOT_DURABLE, 5, "a sync failed: what was changed may be lost")      \
	X(CTL_NOT_FOUND, 6, "there is no such key, or nothing ever had that path")

enum ctl_exit {
#define CTL_EXIT_ENUM(name, number, meaning) name = (number),
	CTL_EXITS(CTL_EXIT_ENUM)
#undef CTL_EXIT_ENUM
};

#endif
