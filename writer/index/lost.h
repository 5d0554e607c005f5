/* SPDX-License-Identifier: MIT */
/* Names whose content cannot be read whole, because some of its bytes are not in the log any more.
 * Threads: the one that changes the keydir. */
#ifndef FREYJAFS_WRITER_INDEX_LOST_H
#define FREYJAFS_WRITER_INDEX_LOST_H

#include "writer/index/keydir.h"

/* One name of a file, or a key that no path can name. */
struct lost_name {
	const char *path; /* not NUL-terminated */
	size_t path_bytes;
	const struct node *node; /* NULL: a key that no path can name */
	int64_t version_ns;	 /* time of the version */
	uint64_t size_bytes, lost_bytes;
	uint64_t first_lost; /* offset of the first byte that is lost */
};
/* Not 0 stops the walk, which returns it. */
typedef int (*lost_name_fn)(void *arg, const struct lost_name *name);

/* Says whether some of the content of 'n' is not in the log any more. */
bool lost_in_node(const struct node *n);
/* Calls 'fn' with each such name, in no order. */
int lost_each(struct keydir *k, lost_name_fn fn, void *arg);
/* How many there are. */
uint64_t lost_count(struct keydir *k);

#endif
