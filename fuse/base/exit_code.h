/* SPDX-License-Identifier: MIT */
/* The exit statuses of freyjafs.  --help and the man page list the same values. */
#ifndef FREYJAFS_FUSE_BASE_EXIT_CODE_H
#define FREYJAFS_FUSE_BASE_EXIT_CODE_H

/* X(name, number, meaning) */
#define EXIT_CODES(X)                                                                          \
	X(OK, 0, "mounted (as a daemon), or unmounted and durable (with -f)")                  \
	X(USAGE, 1, "wrong arguments or options")                                              \
	X(SYSTEM, 2, "the mount failed, or the operating system refused something")            \
	X(DATA, 3, "the data in DATADIR is damaged or cannot be read")                         \
	X(IN_USE, 4, "DATADIR is in use by another process, or MOUNTPOINT is mounted already") \
	X(NOT_DURABLE, 5,                                                                      \
	  "changes are lost, or will be on a power failure: a sync or a commit failed")

enum exit_code {
#define EXIT_CODE_ENUM(name, number, meaning) EXIT_CODE_##name = (number),
	EXIT_CODES(EXIT_CODE_ENUM)
#undef EXIT_CODE_ENUM
};

#endif
