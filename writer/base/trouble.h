/* SPDX-License-Identifier: MIT */
/* Trouble: a report to the program that runs the store about a value that cannot be read or
 * committed, so that no loss goes unnoticed. */
#ifndef FREYJAFS_WRITER_BASE_TROUBLE_H
#define FREYJAFS_WRITER_BASE_TROUBLE_H

#include <stddef.h>
#include <stdint.h>

enum trouble_kind {
	TROUBLE_READ,	/* a read failed with EIO */
	TROUBLE_COMMIT, /* a value was not committed; the program that closed or synced the file got
			   the error */
	TROUBLE_SCRUB,	/* a scrub found a record that does not have the bytes that were written */
	TROUBLE_ROTATE, /* no next segment can be made; reported when that begins; has no path */
	TROUBLE_KINDS,
};

struct trouble {
	enum trouble_kind kind;
	/* The path below the root, or (scrub) the path of the record's key; borrowed, not
	 * NUL-terminated.  Empty: the file has no name, or the record does not show its key. */
	const char *path;
	size_t path_bytes;
	/* Segment and file offset of the record; segment 0: no record is concerned, or its file was
	 * replaced just now. */
	uint64_t segment, file_offset;
	const char *reason;
};

/* Receives a report.  Called by any thread, maybe with locks of the store held: it must not call
 * the store.  't' is borrowed for the call. */
typedef void (*trouble_fn)(void *arg, const struct trouble *t);

#endif
