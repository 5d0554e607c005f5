/* SPDX-License-Identifier: MIT */
/* The operations of struct io_ops by number, for the test doubles that count, fail and record them.
 * Threads: any. */
#ifndef FREYJAFS_TESTS_SIM_IOCALL_H
#define FREYJAFS_TESTS_SIM_IOCALL_H

enum iocall {
	IOCALL_OPEN,
	IOCALL_CLOSE,
	IOCALL_PREAD,
	IOCALL_PWRITE,
	IOCALL_WRITEV,
	IOCALL_PWRITEV,
	IOCALL_TRUNCATE,
	IOCALL_ALLOCATE,
	IOCALL_FDATASYNC,
	IOCALL_FSYNC,
	IOCALL_STAT,
	IOCALL_RENAME,
	IOCALL_LINK,
	IOCALL_UNLINK,
	IOCALL_MKDIR,
	IOCALL_LIST,
	IOCALL_LOCK,
	IOCALL_SPACE,
	IOCALL_COUNT,
};

#define IOCALL_BIT(kind) (1U << (kind))
#define IOCALL_ALL	 (IOCALL_BIT(IOCALL_COUNT) - 1)

static inline const char *iocall_name(enum iocall kind)
{
	static const char *const names[IOCALL_COUNT] = {
		"open",	    "close",	"pread",     "pwrite", "writev", "pwritev",
		"truncate", "allocate", "fdatasync", "fsync",  "stat",	 "rename",
		"link",	    "unlink",	"mkdir",     "list",   "lock",	 "space",
	};

	return names[kind];
}

#endif
