/* SPDX-License-Identifier: MIT */
/* Trouble with a value: what whoever runs the store is told, so that no loss goes unseen. */
#ifndef FREYJAFS_WRITER_BASE_TROUBLE_H
#define FREYJAFS_WRITER_BASE_TROUBLE_H

#include <stddef.h>
#include <stdint.h>

enum trouble_kind {
	TROUBLE_READ,	/* a reader got EIO */
	TROUBLE_COMMIT, /* a value was not committed; whoever closed or synced it got the error */
	TROUBLE_SCRUB,	/* a scrub found a record that is not what was written */
	TROUBLE_ROTATE, /* no next segment can be made; told when that begins; it has no path */
	TROUBLE_KINDS,
};

struct trouble {
	enum trouble_kind kind;
	/* The path below the root, or (scrub) that of the record's key; borrowed, not
	 * NUL-terminated.  Empty: the file has no name, or the record does not tell. */
	const char *path;
	size_t path_bytes;
	/* Where the record is; segment 0: there is none, or its file was replaced just now. */
	uint64_t segment, file_offset;
	const char *reason;
};

/* Any thread, maybe with locks of the store held: it must not call the store. */
typedef void (*trouble_fn)(void *arg, const struct trouble *t);

#endif
