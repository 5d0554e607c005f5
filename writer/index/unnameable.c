/* SPDX-License-Identifier: MIT */
#include "writer/index/unnameable.h"

#include "writer/index/keydir_private.h"
#include "writer/index/record_paths.h"

struct node *keydir_unnameable_find(struct keydir *k, const void *key, size_t key_bytes)
{
	/* Usually there are none. */
	struct dentry *d = keydir_dir_count(k->unnameable) == 0
				   ? NULL
				   : keydir_find(k, k->unnameable, key, key_bytes);

	return d == NULL ? NULL : dentry_node(d);
}

struct node *keydir_unnameable_next(const struct keydir *k, uint64_t *cursor)
{
	struct dir *dir = k->unnameable->dir;
	uint32_t i = directory_after(dir, *cursor);
	const struct dentry *d = directory_next(dir, &i);

	if (d == NULL)
		return NULL;
	*cursor = directory_cookie(dir, d);
	return dentry_node(d);
}

int keydir_unnameable_get(struct keydir *k, const void *key, size_t key_bytes, struct node **ret)
{
	const struct record_target at = { k->unnameable, key, key_bytes, NULL };

	*ret = keydir_unnameable_find(k, key, key_bytes);
	return *ret != NULL ? 0 : keydir_make(k, &at, S_IFREG, 0, ret);
}

void keydir_unnameable_remove(struct keydir *k, const void *key, size_t key_bytes)
{
	const struct node *n = keydir_unnameable_find(k, key, key_bytes);

	if (n != NULL)
		keydir_unlink(k, node_name(n), 0);
}
