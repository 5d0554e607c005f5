/* SPDX-License-Identifier: MIT */
#include "writer/index/inode_numbers.h"

#include <xxhash.h>

#include "writer/index/keydir_private.h"

#define INO_FIRST 16 /* smaller ones are for the files that a mount shows next to the tree */

_Static_assert(SLAB_CHUNKS_MAX << SLAB_CHUNK_REF_BITS <= UINT32_MAX - INO_FIRST, "node_ino32()");

/* Reduces a number to 53 bits. */
static uint64_t fold_ino(uint64_t ino)
{
	ino &= STORE_INO_MAX;
	return ino < INO_FIRST ? ino + INO_FIRST : ino;
}

/* Returns the first number from 'ino' on that was not given to a node. */
static uint64_t next_free_ino(const struct keydir *k, uint64_t ino)
{
	while (number_set_has(&k->given, ino))
		ino = fold_ino(ino + 1);
	return ino;
}

static uint64_t ino_of_path(const struct keydir *k, const struct node *dir, const char *name,
			    size_t name_bytes)
{
	uint64_t parent_ino = keydir_ino(k, dir); /* recursive; the root has its number */

	return fold_ino(XXH3_64bits_withSeed(name, name_bytes, parent_ino));
}

bool keydir_ino_is_given(const struct node *n)
{
	const struct node_rare *r = node_rare(n);

	return r != NULL && r->ino != 0;
}

bool keydir_ino_is_special(const struct keydir *k, const struct node *n)
{
	const struct dentry *d = node_name(n);

	if (keydir_ino_is_given(n))
		return true;
	return node_is_dir(n) && d != NULL &&
	       keydir_ino(k, n) != ino_of_path(k, dentry_dir(d), d->name, d->name_bytes);
}

uint64_t keydir_ino(const struct keydir *k, const struct node *n)
{
	const struct dentry *d = node_name(n);
	uint64_t ino;

	if (n == k->root)
		return INO_FIRST;
	if (keydir_ino_is_given(n))
		return node_rare(n)->ino;
	if (d == NULL) /* not linked yet */
		return 0;
	if (!node_is_dir(n))
		return ino_of_path(k, dentry_dir(d), d->name, d->name_bytes);
	ino = atomic_load_explicit(&n->dir->ino, memory_order_relaxed);
	if (ino == 0) {
		ino = ino_of_path(k, dentry_dir(d), d->name, d->name_bytes);
		atomic_store_explicit(&n->dir->ino, ino, memory_order_relaxed);
	}
	return ino;
}

uint64_t node_ino32(const struct node *n)
{
	return (uint64_t)slab_ref(n) + INO_FIRST;
}

void node_forget_ino(struct keydir *k, struct node *n)
{
	if (keydir_ino_is_given(n)) {
		number_set_remove(&k->given, node_rare(n)->ino);
		node_rare(n)->ino = 0;
	}
}

void keydir_set_ino(struct keydir *k, struct node *n, uint64_t ino)
{
	if (n == k->root || n->rare == 0)
		return; /* the root always has the same number */
	node_forget_ino(k, n);
	/* An earlier version used numbers of 64 bits. */
	if (ino > STORE_INO_MAX)
		ino = next_free_ino(k, fold_ino(ino));
	node_rare(n)->ino = ino;
	if (node_is_dir(n))
		atomic_store_explicit(&n->dir->ino, ino, memory_order_relaxed);
	/* Without memory another node may get the same number, which is not a reason to fail. */
	(void)!number_set_add(&k->given, ino);
}

void node_keep_ino(struct keydir *k, struct node *n)
{
	if (!keydir_ino_is_given(n))
		keydir_set_ino(k, n, keydir_ino(k, n));
}

/* Finds the number for a new node 'name' in 'dir', and returns whether it differs from the number
 * of the path. */
static bool free_ino(struct keydir *k, const struct node *dir, const char *name, size_t name_bytes,
		     uint64_t *ret)
{
	uint64_t ino;

	if (k->given.count == 0)
		return false;
	ino = ino_of_path(k, dir, name, name_bytes);
	if (!number_set_has(&k->given, ino))
		return false;
	*ret = next_free_ino(k, ino);
	return true;
}

bool keydir_ino_for(struct keydir *k, struct node *n, const struct node *dir, const char *name,
		    size_t name_bytes)
{
	uint64_t ino = 0;
	bool differs;

	if (keydir_ino_is_given(n))
		return true;
	keydir_read_lock(k); /* the thread that drops the last pin removes a number */
	differs = free_ino(k, dir, name, name_bytes, &ino);
	keydir_read_unlock(k);
	if (!differs || keydir_prepare(k, n) < 0)
		return false; /* without memory both have the same number, which is not a reason to
				 fail */
	LOCKED(keydir_write, k, keydir_set_ino(k, n, ino));
	return true;
}

int keydir_give_ino(struct keydir *k, struct node *n, const struct node *dir)
{
	uint64_t ino;
	int err = keydir_prepare(k, n);

	if (err < 0)
		return err;
	keydir_write_lock(k);
	/* No name has the bytes of an address, which contain a NUL. */
	ino = ino_of_path(k, dir, (const char *)&n, sizeof(n));
	keydir_set_ino(k, n, next_free_ino(k, ino));
	keydir_write_unlock(k);
	return 0;
}
