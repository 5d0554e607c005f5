/* SPDX-License-Identifier: MIT */
#include "writer/index/record_paths.h"

#include <errno.h>
#include <string.h>

#include "codec/path.h"
#include "writer/index/inode_numbers.h"
#include "writer/index/keydir_private.h"
#include "writer/index/node_content.h"
#include "writer/index/paths.h"
#include "writer/index/unnameable.h"

int keydir_make(struct keydir *k, const struct record_target *at, mode_t type, int64_t now_ns,
		struct node **ret)
{
	const struct store_name name = { at->dir, at->name, at->name_bytes };
	struct node *n;
	struct dentry *d;
	int err = keydir_prepare_node(k, &name, type, &n, &d);

	if (err < 0)
		return err;
	keydir_set_committed(n);
	keydir_touch(n, now_ns);
	LOCKED(keydir_write, k, keydir_link(k, d, n, now_ns));
	*ret = n;
	return 0;
}

/* Sets the content of 'n' to that of 'from', at its time. */
static int copy_content(struct keydir *k, struct node *n, const struct node *from)
{
	const struct content_map *content = node_content(from);
	struct value_position value = node_value(from);
	struct content_change change = { .staged = content };
	int err = 0;

	if (content != NULL) {
		change.size_bytes = content_map_size(content);
		err = keydir_prepare_publish(k, n, &change);
	}
	if (err < 0)
		return err;
	k->content_copies++;
	keydir_write_lock(k);
	if (content != NULL)
		keydir_publish(k, n, &change, node_times(from).mtime_ns);
	else
		keydir_set_value(k, n, &value, node_times(from).mtime_ns);
	keydir_write_unlock(k);
	return 0;
}

/* Makes the file at 'at' give way to a directory: its key, 'path', becomes unnameable. */
static int displace(struct keydir *k, const struct record_target *at, const char *path,
		    size_t path_bytes, int64_t now_ns)
{
	struct node *file = dentry_node(at->entry), *n;
	int err = 0;

	/* Another node, because a program may have the file open. */
	if (node_is_file(file) && node_size_bytes(file) > 0) {
		err = keydir_unnameable_get(k, path, path_bytes, &n);
		if (err == 0)
			err = copy_content(k, n, file);
	}
	if (err < 0)
		return err;
	LOCKED(keydir_write, k, keydir_unlink(k, at->entry, now_ns));
	return 0;
}

int keydir_enter(struct keydir *k, const char *path, size_t path_bytes, int64_t now_ns,
		 struct record_target *ret)
{
	size_t pos = keydir_dir_bytes(path, path_bytes);
	struct record_target at = { .dir = keydir_find_dir(k, path, pos) };
	int err = 0;

	if (at.dir == NULL) { /* or something that is not a directory is there */
		at.dir = keydir_root(k);
		pos = 0;
	}
	for (;;) {
		at.name_bytes = path_next(path, path_bytes, &pos, &at.name);
		at.entry = keydir_find(k, at.dir, at.name, at.name_bytes);
		if (pos >= path_bytes)
			break;
		if (at.entry != NULL && node_is_dir(dentry_node(at.entry))) {
			at.dir = dentry_node(at.entry);
			continue;
		}
		if (at.entry != NULL)
			err = displace(k, &at, path, (size_t)(at.name - path) + at.name_bytes,
				       now_ns);
		if (err == 0)
			err = keydir_make(k, &at, S_IFDIR, now_ns, &at.dir);
		if (err < 0)
			return err;
	}
	*ret = at;
	return 0;
}

bool keydir_is_too_deep(struct keydir *k, const char *key, size_t key_bytes)
{
	return path_levels(key, key_bytes) > PATH_KEY_LEVELS_MAX &&
	       keydir_find_dir(k, key, keydir_dir_bytes(key, key_bytes)) == NULL;
}

/* Makes a file of the unnameable key 'path', if that exists and no entry has the path. */
static int reveal(struct keydir *k, const char *path, size_t path_bytes, int64_t now_ns)
{
	const struct node *hidden = keydir_unnameable_find(k, path, path_bytes);
	struct node *n = NULL;
	struct record_target at;
	int err;

	if (hidden == NULL)
		return 0;
	err = keydir_enter(k, path, path_bytes, now_ns, &at);
	if (err == 0 && at.entry != NULL)
		return 0;
	if (err == 0)
		err = keydir_make(k, &at, S_IFREG, now_ns, &n);
	if (err == 0)
		err = copy_content(k, n, hidden);
	if (err < 0)
		return err;
	LOCKED(keydir_write, k, keydir_unnameable_remove(k, path, path_bytes));
	return 0;
}

/* Makes files of the keys at 'path' or below it that are too deep (keydir_is_too_deep()). */
static int reveal_below(struct keydir *k, const char *path, size_t path_bytes, int64_t now_ns)
{
	const struct node *n;
	uint64_t cursor = 0;
	int err = 0;

	while (err == 0 && (n = keydir_unnameable_next(k, &cursor)) != NULL) {
		struct store_name key = dentry_name(node_name(n));

		if (key.name_bytes >= path_bytes && memcmp(key.name, path, path_bytes) == 0 &&
		    (key.name_bytes == path_bytes || key.name[path_bytes] == '/') &&
		    path_ok(key.name, key.name_bytes) &&
		    path_levels(key.name, key.name_bytes) > PATH_KEY_LEVELS_MAX)
			err = reveal(k, key.name, key.name_bytes, now_ns);
	}
	return err;
}

int keydir_find_operand(struct keydir *k, const char *path, size_t path_bytes, int64_t now_ns,
			struct dentry **ret)
{
	int err = 0;

	*ret = keydir_find_path(k, path, path_bytes);
	if (*ret == NULL) {
		err = reveal_below(k, path, path_bytes, now_ns);
		*ret = keydir_find_path(k, path, path_bytes);
	}
	return err;
}

/* Removes 'dir', and the directories above it, as long as they are empty and exist only through
 * their keys. */
static int prune(struct keydir *k, struct node *dir, int64_t now_ns)
{
	char path[PATH_BYTES_MAX];
	int err = 0;

	while (err == 0 && dir != keydir_root(k) && !node_is_explicit(dir) &&
	       keydir_dir_count(dir) == 0) {
		ssize_t path_bytes = keydir_path(k, dir, NULL, 0, path);
		struct node *above = node_parent(dir);

		LOCKED(keydir_write, k, keydir_unlink(k, node_name(dir), now_ns));
		if (path_bytes > 0)
			err = reveal(k, path, (size_t)path_bytes, now_ns);
		dir = above;
	}
	return err;
}

int keydir_path_is_free(struct keydir *k, const char *path, size_t path_bytes, struct node *dir,
			int64_t now_ns)
{
	int err = reveal(k, path, path_bytes, now_ns);

	return err < 0 ? err : prune(k, dir, now_ns);
}
