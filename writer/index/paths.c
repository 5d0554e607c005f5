/* SPDX-License-Identifier: MIT */
#include "writer/index/paths.h"

#include <errno.h>
#include <string.h>

#include "codec/path.h"
#include "writer/index/keydir_private.h"

ssize_t keydir_path(const struct keydir *k, const struct node *n, const char *name,
		    size_t name_bytes, char *buf)
{
	size_t bytes = name == NULL ? 0 : name_bytes;
	const struct node *at;
	char *end;

	for (at = n; at != k->root; at = node_parent(at))
		bytes += node_name(at)->name_bytes + (bytes > 0 ? 1u : 0u);
	if (bytes > PATH_BYTES_MAX)
		return -ENAMETOOLONG;
	end = buf + bytes; /* filled from its end */
	if (name != NULL) {
		end -= name_bytes;
		memcpy(end, name, name_bytes);
	}
	for (at = n; at != k->root; at = node_parent(at)) {
		const struct dentry *d = node_name(at);

		if (end != buf + bytes)
			*--end = '/';
		end -= d->name_bytes;
		memcpy(end, d->name, d->name_bytes);
	}
	return (ssize_t)bytes;
}

ssize_t keydir_entry_path(const struct keydir *k, const struct dentry *d, char *buf)
{
	return keydir_path(k, dentry_dir(d), d->name, d->name_bytes, buf);
}

size_t keydir_path_of(struct keydir *k, const struct node *n, char *buf)
{
	const struct dentry *d;
	ssize_t bytes = 0;

	keydir_read_lock(k);
	d = node_name(n);
	if (d != NULL)
		bytes = keydir_entry_path(k, d, buf);
	keydir_read_unlock(k);
	return bytes < 0 ? 0 : (size_t)bytes;
}

bool keydir_is_inside(const struct node *n, const struct node *dir)
{
	while (n != dir) {
		if (n->name == 0)
			return false;
		n = node_parent(n); /* only directories have entries, and they have one name */
	}
	return true;
}

/* --- length and depth of paths --- */

static uint16_t saturated(uint32_t n)
{
	return n < UINT16_MAX ? (uint16_t)n : UINT16_MAX;
}

/* Raises the bounds of the directory of 'd' by the bytes and levels of 'd' and everything below it.
 * Returns whether that changed them. */
static bool raise_bounds(const struct dentry *d)
{
	const struct node *n = dentry_node(d);
	struct dir *dir = dentry_dir(d)->dir;
	uint32_t bytes = d->name_bytes, levels = 1;
	bool raised = false;

	if (node_is_dir(n) && n->dir->below_bytes > 0) {
		bytes += 1u + n->dir->below_bytes;
		levels += n->dir->below_levels;
	}
	if (dir->below_bytes < saturated(bytes)) {
		dir->below_bytes = saturated(bytes);
		raised = true;
	}
	if (dir->below_levels < saturated(levels)) {
		dir->below_levels = saturated(levels);
		raised = true;
	}
	return raised;
}

void dentry_raise_bounds(const struct dentry *d)
{
	while (d != NULL && raise_bounds(d))
		d = node_name(dentry_dir(d)); /* NULL: the root */
}

/* Makes the bounds of 'top' and of all directories below it exact. */
static void tighten_bounds(struct node *top)
{
	struct node *at = top;
	uint32_t i = 0;

	top->dir->below_bytes = top->dir->below_levels = 0;
	for (;;) {
		struct dentry *d = directory_next(at->dir, &i);

		if (d == NULL && at == top)
			return;
		if (d == NULL) {
			d = node_name(at);
			(void)raise_bounds(d);
			at = dentry_dir(d);
			i = directory_after_entry(at->dir, d);
		} else if (node_is_dir(dentry_node(d))) {
			at = dentry_node(d);
			at->dir->below_bytes = at->dir->below_levels = 0;
			i = 0;
		} else {
			(void)raise_bounds(d);
		}
	}
}

/* Stores the size of the path of 'n', with a slash behind it, and its depth. */
static void measure_path(const struct node *n, size_t *ret_bytes, size_t *ret_levels)
{
	*ret_bytes = *ret_levels = 0;
	for (; n->name != 0; n = node_parent(n)) {
		*ret_bytes += node_name(n)->name_bytes + 1u;
		(*ret_levels)++;
	}
}

/* Returns whether the paths in directory 'n' are too long or too deep behind a path of 'bytes' and
 * 'levels'. */
static bool is_too_much(const struct node *n, size_t bytes, size_t levels, size_t levels_max)
{
	if (n != NULL && n->dir->below_bytes > 0) {
		bytes += 1u + n->dir->below_bytes;
		levels += n->dir->below_levels;
	}
	return bytes > PATH_BYTES_MAX || levels > levels_max;
}

int keydir_fits(struct node *n, const struct node *dir, size_t name_bytes)
{
	size_t bytes, levels, old_bytes, old_levels = 0, levels_max = PATH_LEVELS_MAX;

	measure_path(dir, &bytes, &levels);
	bytes += name_bytes;
	levels++;
	if (n != NULL)
		measure_path(n, &old_bytes, &old_levels);
	if (levels <= old_levels)
		levels_max = SIZE_MAX; /* it does not become deeper than it is */
	if (!is_too_much(n, bytes, levels, levels_max))
		return 0;
	if (n == NULL)
		return -ENAMETOOLONG;
	tighten_bounds(n); /* the bounds may be those of a long path that is gone */
	return is_too_much(n, bytes, levels, levels_max) ? -ENAMETOOLONG : 0;
}

struct node *keydir_find_too_long(struct keydir *k)
{
	struct node *n = k->root;
	size_t bytes = 0;

	if (n->dir->below_bytes < PATH_BYTES_MAX)
		return NULL;
	tighten_bounds(n);
	/* Goes down the longest path, until half of a key is full. */
	while (bytes < PATH_BYTES_MAX / 2) {
		const struct dentry *d, *longest = NULL;
		uint32_t i = 0, most = 0;

		while ((d = directory_next(n->dir, &i)) != NULL) {
			if (!node_is_dir(dentry_node(d)) ||
			    d->name_bytes + dentry_node(d)->dir->below_bytes <= most)
				continue;
			most = d->name_bytes + dentry_node(d)->dir->below_bytes;
			longest = d;
		}
		if (longest == NULL)
			return NULL;
		n = dentry_node(longest);
		bytes += longest->name_bytes + 1u;
	}
	return bytes + n->dir->below_bytes > PATH_BYTES_MAX ? n : NULL;
}
