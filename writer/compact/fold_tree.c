/* SPDX-License-Identifier: MIT */
/* The tree of a base: names and attributes, in this order: directories, parents first; their
 * entries; unnameable keys; staged content; the directories once more, because their times have
 * changed by all of that. */
#include "writer/compact/fold_private.h"

#include <errno.h>
#include <stdlib.h>

#include "codec/array.h"
#include "codec/path.h"
#include "writer/base/times.h"
#include "writer/index/inode_numbers.h"
#include "writer/index/node.h"
#include "writer/index/paths.h"

/* The state of a node that a replay of the base has reached. */
struct known {
	int64_t mtime_ns, ctime_ns;
	bool has_attr; /* owner, mode, xattrs, atime */
	bool has_ino;
};

static uint64_t time_within(const struct fold_writer *w, int64_t time_ns)
{
	if (time_ns < 0 || (uint64_t)time_ns > w->b->as_of_ns)
		return w->b->as_of_ns;
	return (uint64_t)time_ns;
}

/* --- attributes --- */

static int add_attr_record(struct fold_writer *w, const char *path, size_t path_bytes,
			   const struct meta_attr *attr, uint64_t timestamp_ns)
{
	size_t bytes = meta_attr_bytes(attr);

	if (ARRAY_RESERVE(w->value, bytes, w->value_capacity) < 0)
		return -ENOMEM;
	bytes = meta_attr_encode(attr, w->value);
	return fold_add_meta(w, META_ATTR,
			     (struct record){ .timestamp_ns = timestamp_ns,
					      .key = path,
					      .key_bytes = (uint32_t)path_bytes,
					      .value = w->value,
					      .value_bytes = (uint32_t)bytes });
}

static bool has_xattrs(const struct node *n)
{
	size_t bytes;

	return node_xattrs(n, &bytes) != NULL;
}

/* Returns the attributes of 'n' that a replay does not have yet, for a record with timestamp
 * 'timestamp_ns'. */
static struct meta_attr attr_of(const struct fold_writer *w, const struct node *n,
				const struct known *known, uint64_t timestamp_ns)
{
	struct meta_attr attr = node_meta_attr(n);
	struct node_times t = node_times(n);

	if (!known->has_attr)
		node_meta_add_xattrs(n, &attr);
	if (!known->has_ino && keydir_ino_is_special(w->b->tree, n)) {
		attr.fields |= META_FIELD_INO;
		attr.ino = keydir_ino(w->b->tree, n);
	}
	if (t.mtime_ns != known->mtime_ns) {
		attr.fields |= META_FIELD_MTIME;
		attr.mtime = meta_time_of_ns(t.mtime_ns);
	}
	if (t.ctime_ns != (int64_t)timestamp_ns) {
		attr.fields |= META_FIELD_CTIME;
		attr.ctime = meta_time_of_ns(t.ctime_ns);
	}
	if (!known->has_attr && t.atime_ns != NODE_ATIME_FOLLOWS_MTIME) {
		attr.fields |= META_FIELD_ATIME;
		attr.atime = meta_time_of_ns(t.atime_ns);
	}
	return attr;
}

static bool needs_attr(const struct fold_writer *w, const struct node *n, const struct known *known)
{
	struct node_times t = node_times(n);

	if (t.mtime_ns != known->mtime_ns || t.ctime_ns != known->ctime_ns)
		return true;
	if (!known->has_ino && keydir_ino_is_special(w->b->tree, n))
		return true;
	return !known->has_attr && (t.atime_ns != NODE_ATIME_FOLLOWS_MTIME || has_xattrs(n) ||
				    !keydir_is_default(w->b->tree, n));
}

/* --- directories --- */

/* The private tree has no pins from elsewhere: a pin marks a directory that has been added. */
static bool is_added(const struct node *n)
{
	return node_is_pinned(n);
}

/* A directory that exists only through its keys, and has the number that follows from its path, is
 * made by its entries. */
static bool makes_itself(const struct fold_writer *w, const struct node *n)
{
	return !node_is_explicit(n) && !keydir_ino_is_special(w->b->tree, n);
}

/* Adds the attributes of a directory that a replay does not have yet. */
static int add_directory_attr(struct fold_writer *w, const struct node *n,
			      const struct known *known)
{
	struct meta_attr attr = attr_of(w, n, known, w->b->as_of_ns);
	ssize_t path_bytes = keydir_path(w->b->tree, n, NULL, 0, w->path);

	if (path_bytes < 0)
		return (int)path_bytes;
	attr.flags = node_is_explicit(n) ? 0 : META_FLAG_IMPLICIT;
	return add_attr_record(w, w->path, (size_t)path_bytes, &attr, w->b->as_of_ns);
}

static int add_directory(struct fold_writer *w, struct node *n)
{
	const struct known nothing = { .mtime_ns = (int64_t)w->b->as_of_ns };

	node_pin(n);
	return makes_itself(w, n) ? 0 : add_directory_attr(w, n, &nothing);
}

/* Adds 'n' and, before it, the directories above it that were not added yet. */
static int add_with_those_above(struct fold_writer *w, struct node *n)
{
	struct node *next;
	int err = 0;

	while (err == 0 && !is_added(n)) {
		for (next = n; !is_added(node_parent(next)); next = node_parent(next))
			;
		err = add_directory(w, next);
	}
	return err;
}

/* Calls 'add' for each directory, in no order. */
static int each_directory(struct fold_writer *w, int (*add)(struct fold_writer *w, struct node *n))
{
	struct node *n;
	uint32_t cursor = 0;
	int err = 0;

	while (err == 0 && (n = keydir_each_node(w->b->tree, &cursor)) != NULL)
		if (node_is_dir(n) && !keydir_is_gone(w->b->tree, n))
			err = add(w, n);
	return err;
}

/* Adds the times of a directory, after all its entries were made. */
static int add_directory_times(struct fold_writer *w, struct node *n)
{
	struct known known = { .has_attr = !makes_itself(w, n), .has_ino = true };

	if (n == keydir_root(w->b->tree))
		known.has_attr = false;		  /* the root exists without a record */
	known.mtime_ns = ~node_times(n).mtime_ns; /* any value that is not the present one */
	return add_directory_attr(w, n, &known);
}

/* --- files, and all nodes except directories --- */

/* Makes an empty file, a symlink, a device, ... by an attr record. */
static int add_by_attr(struct fold_writer *w, const struct node *n, size_t path_bytes,
		       struct known *known)
{
	uint64_t timestamp_ns = time_within(w, fold_replay_time(w->b->replay, n));
	struct meta_attr attr;

	known->mtime_ns = (int64_t)timestamp_ns;
	attr = attr_of(w, n, known, timestamp_ns);
	if (node_is_file(n))
		attr.content = META_CONTENT_EMPTY;
	*known = (struct known){ .mtime_ns = node_times(n).mtime_ns,
				 .ctime_ns = node_times(n).ctime_ns,
				 .has_attr = true,
				 .has_ino = true };
	return add_attr_record(w, w->path, path_bytes, &attr, timestamp_ns);
}

/* Adds the record that makes a node under its first name, whose path is in 'path'. */
static int add_content(struct fold_writer *w, const struct node *n, size_t path_bytes,
		       struct known *known)
{
	struct value_position value = node_value(n);
	uint64_t timestamp_ns = FOLD_OWN_TIME;
	int err;

	if (!node_is_file(n) || (node_content(n) == NULL && value.value_bytes == 0))
		return add_by_attr(w, n, path_bytes, known);
	if (node_content(n) != NULL) {
		timestamp_ns = time_within(w, fold_replay_time(w->b->replay, n));
		err = fold_add_content(w, w->path, path_bytes, node_content(n), timestamp_ns);
	} else {
		err = fold_add_put(w, w->path, path_bytes, &value, &timestamp_ns);
	}
	known->mtime_ns = known->ctime_ns = ns_of_timestamp(timestamp_ns);
	return err;
}

/* Adds the name 'd' of a node whose first path is in 'path'. */
static int add_link(struct fold_writer *w, const struct node *n, size_t path_bytes,
		    const struct dentry *d, struct known *known)
{
	const struct meta_move link = { .ino = keydir_ino_is_given(n) ? keydir_ino(w->b->tree, n)
								      : 0 };
	uint8_t *value = malloc(META_MOVE_FIXED_BYTES + PATH_BYTES_MAX);
	struct record rec = { .timestamp_ns = time_within(w, node_times(n).ctime_ns),
			      .key = w->path,
			      .key_bytes = (uint32_t)path_bytes,
			      .value = value };
	size_t fixed;
	ssize_t bytes;
	int err;

	if (value == NULL)
		return -ENOMEM;
	fixed = meta_move_encode_fixed(&link, value);
	bytes = keydir_entry_path(w->b->tree, d, (char *)value + fixed);
	rec.value_bytes = (uint32_t)(fixed + (size_t)bytes);
	err = bytes < 0 ? (int)bytes : fold_add_meta(w, META_LINK, rec);
	free(value);
	known->ctime_ns = (int64_t)rec.timestamp_ns;
	known->has_ino = true;
	return err;
}

static int add_node(struct fold_writer *w, const struct node *n)
{
	struct known known = { .has_attr = false };
	struct meta_attr attr;
	uint64_t timestamp_ns;
	ssize_t path_bytes;
	int err;

	path_bytes = keydir_entry_path(w->b->tree, node_name(n), w->path);
	if (path_bytes < 0)
		return (int)path_bytes;
	err = add_content(w, n, (size_t)path_bytes, &known);
	for (uint32_t i = 1; err == 0 && i < node_name_count(n); i++)
		err = add_link(w, n, (size_t)path_bytes, node_nth_name(n, i), &known);
	if (err < 0 || !needs_attr(w, n, &known))
		return err;
	timestamp_ns = time_within(w, node_times(n).ctime_ns);
	attr = attr_of(w, n, &known, timestamp_ns);
	return add_attr_record(w, w->path, (size_t)path_bytes, &attr, timestamp_ns);
}

static int add_nodes(struct fold_writer *w)
{
	struct node *n;
	uint32_t cursor = 0;
	int err = 0;

	while (err == 0 && (n = keydir_each_node(w->b->tree, &cursor)) != NULL)
		if (!node_is_dir(n) && !keydir_is_gone(w->b->tree, n) &&
		    !keydir_is_unnameable(w->b->tree, n))
			err = add_node(w, n);
	return err;
}

/* --- all of it --- */

static int write_tree(struct fold_writer *w)
{
	uint8_t value[META_BASE_BYTES] = { 0 };
	int err;

	node_pin(keydir_root(w->b->tree)); /* the root needs no record to be made */
	/* The number of its other bytes is written last. */
	err = fold_add_meta(w, META_BASE,
			    (struct record){ .timestamp_ns = w->b->as_of_ns,
					     .value = value,
					     .value_bytes = sizeof(value) });
	if (err == 0)
		err = each_directory(w, add_with_those_above);
	if (err == 0)
		err = add_nodes(w);
	if (err == 0)
		err = fold_add_unnameable(w);
	if (err == 0)
		err = fold_add_staged(w);
	if (err == 0)
		err = fold_add_orphans(w);
	if (err == 0)
		err = each_directory(w, add_directory_times);
	return err < 0 ? err : fold_flush_hole(w);
}

int fold_base_write(struct fold_base *b)
{
	struct fold_writer w = { .b = b, .next_id = b->as_of_ns };
	int err = compact_out_init(&w.to, b->io, -1);

	live_init(&b->moved, 0, UINT64_MAX);
	b->bad_position = UINT64_MAX;
	w.key = malloc(META_KEY_PREFIX_BYTES + PATH_BYTES_MAX);
	w.path = malloc(PATH_BYTES_MAX);
	if (fold_source_init(&w.source, b->log) < 0 || w.key == NULL || w.path == NULL)
		err = -ENOMEM;
	if (err == 0)
		err = fold_begin_part(&w);
	if (err == 0)
		err = write_tree(&w);
	if (err == 0)
		err = fold_finish_parts(&w);
	fold_source_free(&w.source);
	compact_out_free(&w.to);
	free(w.key);
	free(w.path);
	free(w.value);
	return err;
}
