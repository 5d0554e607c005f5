/* SPDX-License-Identifier: MIT */
#include "writer/index/lost.h"

#include "codec/path.h"
#include "writer/index/entries.h"
#include "writer/index/node.h"
#include "writer/index/paths.h"
#include "writer/index/unnameable.h"

struct walk {
	lost_name_fn fn;
	void *arg;
	int err; /* of unnameable keys */
};

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
		const struct walk *w)
{
	struct lost_name name = { .node = n, .version_ns = node_times(n).mtime_ns };
	char path[PATH_BYTES_MAX];
	ssize_t bytes = keydir_entry_path(k, d, path);

	if (bytes < 0)
		return (int)bytes;
	name.path = path;
	name.path_bytes = (size_t)bytes;
	describe(node_content(n), &name);
	return w->fn(w->arg, &name);
}

static void tell_unnameable(void *arg, const struct unnameable *u)
{
	struct lost_name name = { .path = (const char *)u->key,
				  .path_bytes = u->key_bytes,
				  .version_ns = (int64_t)u->timestamp_ns };
	struct walk *w = arg;

	if (w->err != 0 || u->content == NULL || content_map_dropped_bytes(u->content) == 0)
		return;
	describe(u->content, &name);
	w->err = w->fn(w->arg, &name);
}

int lost_each(struct keydir *k, lost_name_fn fn, void *arg)
{
	struct walk w = { .fn = fn, .arg = arg };
	uint32_t cursor = 0;
	struct node *n;
	int err = 0;

	while (err == 0 && (n = keydir_each_node(k, &cursor)) != NULL) {
		if (!lost_in_node(n))
			continue;
		for (uint32_t i = 0; err == 0 && i < node_name_count(n); i++)
			err = tell(k, n, node_nth_name(n, i), &w);
	}
	if (err == 0)
		keydir_unnameable_each(k, tell_unnameable, &w);
	return err != 0 ? err : w.err;
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
