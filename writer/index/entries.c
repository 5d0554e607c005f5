/* SPDX-License-Identifier: MIT */
#include "writer/index/entries.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "codec/path.h"
#include "writer/index/inode_numbers.h"
#include "writer/index/keydir_private.h"

_Static_assert(PATH_NAME_BYTES_MAX <= UINT8_MAX, "dentry.name_bytes");
_Static_assert(sizeof(struct dentry) + PATH_NAME_BYTES_MAX <= SLAB_OBJECT_BYTES_MAX, "it fits");

struct store_name dentry_name(const struct dentry *d)
{
	return (struct store_name){ dentry_dir(d), dentry_name_start(d), dentry_name_bytes(d) };
}

/* --- preparing --- */

/* Allocates an entry with a name. */
static struct dentry *dentry_new(struct slab *slab, const char *name, size_t name_bytes)
{
	bool is_long = name_bytes == 0 || name_bytes > PATH_NAME_BYTES_MAX;
	size_t bytes = offsetof(struct dentry, name) + (is_long ? sizeof(void *) : name_bytes);
	struct long_name *copy = is_long ? malloc(sizeof(*copy) + name_bytes) : NULL;
	struct dentry *d = NULL;

	if (!is_long || copy != NULL)
		d = slab_new(slab, KIND_OTHER, bytes < sizeof(*d) ? sizeof(*d) : bytes);
	if (d == NULL) {
		free(copy);
		return NULL;
	}
	if (is_long) {
		copy->bytes = name_bytes;
		memcpy(copy->start, name, name_bytes);
		memcpy(d->name, &copy, sizeof(copy));
	} else {
		d->name_bytes = (uint8_t)name_bytes;
		memcpy(d->name, name, name_bytes);
	}
	return d;
}

static void dentry_free(struct dentry *d)
{
	dentry_empty(d);
	slab_free(d);
}

struct dentry *keydir_dentry_new(struct keydir *k, struct node *dir, const char *name,
				 size_t name_bytes)
{
	struct dentry *d;

	keydir_write_lock(k);
	d = dentry_new(&k->slab, name, name_bytes);
	if (d != NULL &&
	    (hash_table_reserve(&k->table, keydir_hash_name(dir, name, name_bytes)) < 0 ||
	     directory_reserve(dir->dir) < 0)) {
		dentry_free(d);
		d = NULL;
	}
	keydir_write_unlock(k);
	if (d != NULL)
		d->dir = slab_ref(dir);
	return d;
}

void keydir_dentry_free(struct keydir *k, struct dentry *d)
{
	LOCKED(keydir_write, k, dentry_free(d));
}

int keydir_prepare_node(struct keydir *k, const struct store_name *at, mode_t type,
			struct node **ret_node, struct dentry **ret_dentry)
{
	struct node *n = keydir_node_new(k, type);
	struct dentry *d;

	if (n == NULL)
		return -ENOMEM;
	d = keydir_dentry_new(k, at->dir, at->name, at->name_bytes);
	if (d == NULL) {
		keydir_node_free(k, n);
		return -ENOMEM;
	}
	(void)keydir_ino_for(k, n, at->dir, at->name, at->name_bytes);
	*ret_node = n;
	*ret_dentry = d;
	return 0;
}

/* --- names of nodes --- */

/* Counts a node that has received its first name (+1) or loses its last one (-1). */
static void count_node(struct keydir *k, const struct node *n, int by)
{
	uint64_t *counter = node_is_dir(n)		 ? &k->stats.directories
			    : keydir_is_unnameable(k, n) ? &k->stats.unnamed_keys
							 : &k->stats.files;

	*counter += (uint64_t)by;
	k->stats.live_bytes += (uint64_t)by * node_live_bytes(n);
}

static uint32_t dentry_hash(const struct dentry *d)
{
	return keydir_hash_name(dentry_dir(d), dentry_name_start(d), dentry_name_bytes(d));
}

/* Adds a new entry to its directory. */
static void dentry_insert(struct keydir *k, struct dentry *d)
{
	struct node *dir = dentry_dir(d);

	hash_table_add(&k->table, dentry_hash(d), slab_ref(d));
	directory_add(dir->dir, d);
}

static void dentry_remove(struct keydir *k, struct dentry *d)
{
	struct node *dir = dentry_dir(d);

	hash_table_remove(&k->table, dentry_hash(d), slab_ref(d));
	directory_remove(dir->dir, d);
	dentry_free(d);
}

/* Adds 'd' behind the other names of 'n'. */
static void name_add(struct keydir *k, struct dentry *d, struct node *n)
{
	d->node = slab_ref(n);
	if (node_is_dir(n))
		dentry_dir(d)->dir->subdir_count++;
	if (n->name == 0) {
		n->name = slab_ref(d);
		count_node(k, n, 1);
	} else {
		struct node_names *more = &node_extra(n)->more_names;

		more->refs[more->count++] = slab_ref(d);
	}
	dentry_raise_bounds(d);
}

/* Removes 'd' from the names of its node, which does not change otherwise. */
static void name_remove(struct keydir *k, struct dentry *d)
{
	struct node *n = dentry_node(d);
	struct node_extra *extra = node_extra(n);
	struct node_names *more = extra == NULL ? NULL : &extra->more_names;
	uint32_t i = 0;

	d->node = 0;
	if (node_is_dir(n)) {
		dentry_dir(d)->dir->subdir_count--;
		keydir_forget_dirs(k); /* its path, or one below it, has changed */
	}
	if (more == NULL || more->count == 0) {
		count_node(k, n, -1);
		n->name = 0;
		return;
	}
	if (n->name == slab_ref(d))
		n->name = more->refs[0];
	else
		while (more->refs[i] != slab_ref(d))
			i++;
	more->count--;
	memmove(&more->refs[i], &more->refs[i + 1], (more->count - i) * sizeof(more->refs[0]));
}

/* --- changing --- */

void keydir_link(struct keydir *k, struct dentry *d, struct node *n, int64_t now_ns)
{
	if (n->name != 0) {
		node_keep_ino(k, n); /* it may outlive the name of this number */
		keydir_set_ctime(n, now_ns);
	}
	dentry_insert(k, d);
	name_add(k, d, n);
	keydir_touch(dentry_dir(d), now_ns);
}

/* Removes the name 'd' from its node. */
static void drop_name(struct keydir *k, struct dentry *d, int64_t now_ns)
{
	struct node *n = dentry_node(d);

	if (node_is_pinned(n) || node_name_count(n) > 1) {
		(void)node_rare_get(k, n); /* exists, except where it matters little */
		node_keep_ino(k, n);	   /* while it still has a path */
	}
	name_remove(k, d);
	keydir_set_ctime(n, now_ns);
	node_release_if_unused(k, n);
}

void keydir_unlink(struct keydir *k, struct dentry *d, int64_t now_ns)
{
	keydir_touch(dentry_dir(d), now_ns);
	drop_name(k, d, now_ns);
	dentry_remove(k, d);
}

void keydir_move(struct keydir *k, struct dentry *from, struct dentry *to, int64_t now_ns)
{
	struct node *n = dentry_node(from);

	keydir_touch(dentry_dir(from), now_ns);
	keydir_touch(dentry_dir(to), now_ns);
	node_keep_ino(k, n);
	if (to->node != 0)
		drop_name(k, to, now_ns);
	else
		dentry_insert(k, to);
	name_remove(k, from);
	name_add(k, to, n); /* in the memory of its old name */
	keydir_set_ctime(n, now_ns);
	dentry_remove(k, from);
}

void keydir_exchange(struct keydir *k, struct dentry *a, struct dentry *b, int64_t now_ns)
{
	struct node *at_a = dentry_node(a), *at_b = dentry_node(b);

	keydir_touch(dentry_dir(a), now_ns);
	keydir_touch(dentry_dir(b), now_ns);
	node_keep_ino(k, at_a);
	node_keep_ino(k, at_b);
	name_remove(k, a);
	name_remove(k, b);
	name_add(k, a, at_b);
	name_add(k, b, at_a);
	keydir_set_ctime(at_a, now_ns);
	keydir_set_ctime(at_b, now_ns);
}
