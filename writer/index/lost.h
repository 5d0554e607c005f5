/* SPDX-License-Identifier: MIT */
/* Lost content: names whose content cannot be read completely, because some of its bytes are not in
 * the log any more.  Threads: the one that changes the keydir. */
#ifndef FREYJAFS_WRITER_INDEX_LOST_H
#define FREYJAFS_WRITER_INDEX_LOST_H

#include "writer/index/keydir.h"

/* One name of a file, or an unnameable key. */
struct lost_name {
	const char *path; /* not NUL-terminated */
	size_t path_bytes;
	const struct node *node; /* NULL: an unnameable key */
	int64_t version_ns;	 /* time of the version */
	uint64_t size_bytes, lost_bytes;
	uint64_t first_lost; /* offset of the first lost byte */
};
/* Called for each lost name.  If it does not return 0, the walk stops and returns that value. */
typedef int (*lost_name_fn)(void *arg, const struct lost_name *name);

/* Returns whether some of the content of 'n' is not in the log any more. */
bool lost_in_node(const struct node *n);
/* Calls 'fn' for each lost name, in no order. */
int lost_each(struct keydir *k, lost_name_fn fn, void *arg);
/* Returns the number of lost names. */
uint64_t lost_count(struct keydir *k);

#endif
