/* SPDX-License-Identifier: MIT */
/* Archives for tests of import and export: tar in memory, from a table.  Threads: any. */
#ifndef FREYJAFS_TESTS_SIM_ARCHIVES_H
#define FREYJAFS_TESTS_SIM_ARCHIVES_H

#include <archive.h>
#include <archive_entry.h>
#include <stdint.h>

#include "mount-helpers/freyjactl/import_tree.h"

#define ARCHIVE_MTIME 1500000000 /* of each entry */

/* An entry; a table of them ends with a type of 0.  The bytes of a file are those of tree_fill()
 * with the number of the entry. */
struct archive_row {
	char type; /* 'f' file, 'd' directory, 'l' symlink, 'h' hard link, 'p' fifo, 's' socket */
	const char *path;
	const char *target;   /* of links */
	uint32_t value_bytes; /* of files */
	const char *xattr;    /* the value of "user.a"; NULL: none */
};

struct archive_bytes {
	void *data; /* free() it */
	size_t bytes;
};
struct archive_bytes archive_make(const struct archive_row *rows);

/* Imports entries until one fails in a way that ends the import, or until the end.  'before' (may
 * be NULL) is called before each entry, and 'after' with its result.  Returns the last
 * error. */
struct archive_watch {
	void *arg;
	void (*before)(void *arg, uint64_t entry);
	void (*after)(void *arg, uint64_t entry, int err);
};
int archive_import(struct store *s, const struct archive_bytes *archive, const char *into,
		   const struct archive_watch *watch);

#endif
