/* SPDX-License-Identifier: MIT */
#include "writer/index/keydir.h"

#include <errno.h>
#include <string.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "codec/path.h"
#include "writer/base/times.h"
#include "writer/index/inode_numbers.h"
#include "writer/index/keydir_private.h"
#include "writer/index/node_content.h"

/* --- life --- */

int keydir_create(const struct keydir_defaults *defaults, struct keydir **ret)
{
	struct keydir *k = calloc(1, sizeof(*k));

	if (k == NULL)
		return -ENOMEM;
	k->defaults = *defaults;
	slab_init(&k->slab);
	hash_table_init(&k->table);
	number_set_init(&k->given);
	k->root = node_new(k, S_IFDIR);
	k->unnameable = node_new(k, S_IFDIR);
	if (k->root == NULL || k->unnameable == NULL) {
		slab_destroy(&k->slab);
		free(k);
		return -ENOMEM;
	}
	k->root->committed = k->root->explicit = true;
	rwlock_init(&k->lock);
	*ret = k;
	return 0;
}

const struct keydir_defaults *keydir_defaults_of(const struct keydir *k)
{
	return &k->defaults;
}

void keydir_free(struct keydir *k)
{
	struct node *n;
	const struct dentry *d;
	uint32_t cursor = 0, slot = 0;

	if (k == NULL)
		return;
	while ((d = directory_next(k->unnameable->dir, &slot)) != NULL)
		dentry_empty(d);
	staged_drop_all(&k->staged);
	while ((n = slab_each(&k->slab, KIND_NODE, &cursor)) != NULL)
		node_empty(n);
	slab_destroy(&k->slab);
	hash_table_destroy(&k->table);
	number_set_destroy(&k->given);
	rwlock_destroy(&k->lock);
	free(k);
}

/* --- finding --- */

struct dentry *keydir_find(struct keydir *k, const struct node *dir, const char *name,
			   size_t name_bytes)
{
	slab_ref_t dir_ref = slab_ref(dir);
	const struct hash_slot *s;

	s = hash_table_find(&k->table, keydir_hash_name(dir, name, name_bytes));
	for (; s != NULL; s = hash_table_next(s)) {
		struct dentry *d = slab_at(&k->slab, s->ref);

		if (d->dir == dir_ref && dentry_name_bytes(d) == name_bytes &&
		    memcmp(dentry_name_start(d), name, name_bytes) == 0)
			return d;
	}
	return NULL;
}

void keydir_prefetch(const struct keydir *k, const struct node *dir, const char *name,
		     size_t name_bytes)
{
	hash_table_prefetch(&k->table, keydir_hash_name(dir, name, name_bytes));
}

size_t keydir_dir_bytes(const char *path, size_t path_bytes)
{
	const char *slash = memrchr(path, '/', path_bytes);

	return slash == NULL ? 0 : (size_t)(slash - path) + 1;
}

struct node *keydir_find_dir(struct keydir *k, const char *path, size_t dir_bytes)
{
	struct found_dir *found;
	struct node *n = k->root;
	const char *name;
	size_t pos = 0, name_bytes;

	if (dir_bytes == 0)
		return n;
	found = &k->found_dirs[XXH3_64bits(path, dir_bytes) % FOUND_DIRS];
	if (found->node != NULL && found->bytes == dir_bytes &&
	    memcmp(found->path, path, dir_bytes) == 0)
		return found->node;
	while ((name_bytes = path_next(path, dir_bytes, &pos, &name)) > 0) {
		struct dentry *d = keydir_find(k, n, name, name_bytes);

		if (d == NULL || !node_is_dir(dentry_node(d)))
			return NULL;
		n = dentry_node(d);
	}
	if (dir_bytes <= sizeof(found->path)) {
		memcpy(found->path, path, dir_bytes);
		found->bytes = dir_bytes;
		found->node = n;
	}
	return n;
}

void keydir_forget_dirs(struct keydir *k)
{
	for (size_t i = 0; i < FOUND_DIRS; i++)
		k->found_dirs[i].node = NULL;
}

struct dentry *keydir_find_path(struct keydir *k, const char *path, size_t path_bytes)
{
	size_t dir_bytes = keydir_dir_bytes(path, path_bytes);
	struct node *dir = keydir_find_dir(k, path, dir_bytes);

	return dir == NULL ? NULL : keydir_find(k, dir, path + dir_bytes, path_bytes - dir_bytes);
}

uint64_t keydir_dir_count(const struct node *dir)
{
	return dir->dir->count;
}

struct node *keydir_each_node(const struct keydir *k, uint32_t *cursor)
{
	struct node *n = slab_each(&k->slab, KIND_NODE, cursor);

	return n == k->unnameable ? slab_each(&k->slab, KIND_NODE, cursor) : n;
}

/* --- reading --- */

struct node *keydir_root(const struct keydir *k)
{
	return k->root;
}

static uint32_t link_count(const struct keydir *k, const struct node *n)
{
	if (!node_is_dir(n))
		return node_name_count(n);
	if (keydir_is_gone(k, n))
		return 0;
	/* Its name, its ".", and the ".." of each directory in it. */
	return n->dir->subdir_count < UINT32_MAX - 2 ? n->dir->subdir_count + 2 : UINT32_MAX;
}

static void fill_attr(const struct keydir *k, const struct node *n, struct store_attr *ret)
{
	const struct node_extra *extra = node_extra(n);
	const struct content_map *content = node_content(n);
	uint64_t size_bytes = node_size_bytes(n);
	struct node_times t = node_times(n);

	*ret = (struct store_attr){
		.ino = k->defaults.inode32 ? node_ino32(n) : keydir_ino(k, n),
		.generation = slab_generation(n),
		.mode = n->mode,
		.uid = n->uid,
		.gid = n->gid,
		.link_count = link_count(k, n),
		.rdev_major = extra != NULL ? extra->rdev_major : 0,
		.rdev_minor = extra != NULL ? extra->rdev_minor : 0,
		.size_bytes = size_bytes,
		.data_bytes = content != NULL ? content_map_data_bytes(content) : size_bytes,
		.pieces = content != NULL ? content_map_pieces(content) : 1,
		.mtime = timespec_of_ns(t.mtime_ns),
		.ctime = timespec_of_ns(t.ctime_ns),
		.atime = timespec_of_ns(t.atime_ns == NODE_ATIME_FOLLOWS_MTIME ? t.mtime_ns
									       : t.atime_ns),
		.committed = n->committed,
	};
}

int keydir_lookup(struct keydir *k, struct node *dir, const char *name, size_t name_bytes,
		  struct node **ret, struct store_attr *ret_attr)
{
	struct dentry *d;
	int err = 0;

	if (!node_is_dir(dir))
		return -ENOTDIR;
	if (name_bytes > PATH_NAME_BYTES_MAX)
		return -ENAMETOOLONG;
	keydir_read_lock(k);
	d = keydir_find(k, dir, name, name_bytes);
	if (d == NULL) {
		err = -ENOENT;
	} else {
		*ret = slab_at(&k->slab, d->node);
		node_pin(*ret);
		if (ret_attr != NULL)
			fill_attr(k, *ret, ret_attr);
	}
	keydir_read_unlock(k);
	return err;
}

void keydir_getattr(struct keydir *k, struct node *n, struct store_attr *ret)
{
	LOCKED(keydir_read, k, fill_attr(k, n, ret));
}

struct node *keydir_parent(struct keydir *k, struct node *n)
{
	struct node *parent = NULL;

	keydir_read_lock(k);
	if (n == k->root)
		parent = n;
	else if (n->name != 0)
		parent = node_parent(n);
	if (parent != NULL)
		node_pin(parent);
	keydir_read_unlock(k);
	return parent;
}

int keydir_list(struct keydir *k, struct node *dir, uint64_t cookie, store_list_fn fn, void *arg)
{
	const struct dentry *d;
	uint32_t i;
	int err = 0;

	if (!node_is_dir(dir))
		return -ENOTDIR;
	keydir_read_lock(k);
	i = directory_after(dir->dir, cookie);
	while (err == 0 && (d = directory_next(dir->dir, &i)) != NULL) {
		struct store_dirent entry = {
			.name = d->name,
			.name_bytes = d->name_bytes,
			.node = slab_at(&k->slab, d->node),
			.cookie = directory_cookie(dir->dir, d),
		};

		fill_attr(k, entry.node, &entry.attr);
		err = fn(arg, &entry);
	}
	keydir_read_unlock(k);
	return err;
}

uint64_t keydir_list_end(struct keydir *k, struct node *dir)
{
	return node_is_dir(dir) ? WITH_LOCK(keydir_read, k, directory_last_cookie(dir->dir)) : 0;
}

void keydir_stats(struct keydir *k, struct keydir_stats *ret)
{
	keydir_read_lock(k);
	*ret = k->stats;
	ret->memory_bytes = slab_bytes(&k->slab) + hash_table_bytes(&k->table);
	keydir_read_unlock(k);
}

/* --- replaying a log --- */

bool keydir_has_begun(const struct keydir *k)
{
	return k->begun;
}

void keydir_begin(struct keydir *k)
{
	k->begun = true;
}

/* --- for tests --- */

void keydir_skip_cookies(struct node *dir, uint32_t count)
{
	dir->dir->cookie_next += count;
}
