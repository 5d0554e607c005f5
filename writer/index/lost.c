/* SPDX-License-Identifier: MIT */
#include "writer/index/lost.h"

#include "codec/path.h"
#include "writer/index/entries.h"
#include "writer/index/keydir_private.h"
#include "writer/index/node.h"
#include "writer/index/paths.h"

bool lost_in_node(const struct node *n)
{
	const struct content_map *c = node_is_file(n) ? node_content(n) : NULL;

	return c != NULL && content_map_dropped_bytes(c) > 0;
}

static void describe(const struct content_map *c, struct lost_name *ret)
{
	struct content_piece piece;
	uint64_t at = 0;

	ret->size_bytes = content_map_size(c);
	ret->lost_bytes = content_map_dropped_bytes(c);
	while (content_map_find(c, at, &piece) && !piece.dropped)
		at = piece.offset + piece.bytes;
	ret->first_lost = piece.offset;
}

/* Reports one name of a file. */
static int tell(const struct keydir *k, const struct node *n, const struct dentry *d,
		lost_name_fn fn, void *arg)
{
	struct lost_name name = { .version_ns = node_times(n).mtime_ns };
	char path[PATH_BYTES_MAX];
	ssize_t bytes;

	if (keydir_is_unnameable(k, n)) {
		name.path = dentry_name(d).name;
		name.path_bytes = dentry_name(d).name_bytes;
	} else {
		bytes = keydir_entry_path(k, d, path);
		if (bytes < 0)
			return (int)bytes;
		name.path = path;
		name.path_bytes = (size_t)bytes;
		name.node = n;
	}
	describe(node_content(n), &name);
	return fn(arg, &name);
}

int lost_each(struct keydir *k, lost_name_fn fn, void *arg)
{
	uint32_t cursor = 0;
	struct node *n;
	int err = 0;

	while (err == 0 && (n = keydir_each_node(k, &cursor)) != NULL) {
		if (!lost_in_node(n))
			continue;
		for (uint32_t i = 0; err == 0 && i < node_name_count(n); i++)
			err = tell(k, n, node_nth_name(n, i), fn, arg);
	}
	return err;
}

static int add_one(void *arg, const struct lost_name *name)
{
	uint64_t *count = arg;

	(*count)++;
	return 0;
}

uint64_t lost_count(struct keydir *k)
{
	uint64_t count = 0;

	(void)!lost_each(k, add_one, &count);
	return count;
}
