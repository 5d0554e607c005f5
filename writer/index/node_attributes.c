/* SPDX-License-Identifier: MIT */
#include "writer/index/node_attributes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "writer/index/keydir_private.h"

/* --- reading --- */

/* Copies 'n' bytes if they fit; with a buffer of 0 bytes only returns the size. */
static ssize_t copy_out(void *buf, size_t buf_bytes, const void *bytes, size_t n)
{
	if (buf_bytes == 0)
		return (ssize_t)n;
	if (n > buf_bytes)
		return -ERANGE;
	if (n > 0)
		memcpy(buf, bytes, n);
	return (ssize_t)n;
}

ssize_t keydir_target(struct keydir *k, struct node *n, char *buf, size_t buf_bytes)
{
	ssize_t got = -EINVAL;

	keydir_read_lock(k);
	if (S_ISLNK(n->mode))
		got = copy_out(buf, buf_bytes, node_extra(n)->target, node_extra(n)->target_bytes);
	keydir_read_unlock(k);
	return got;
}

ssize_t keydir_xattr(struct keydir *k, struct node *n, const char *name, void *buf,
		     size_t buf_bytes)
{
	const struct node_extra *extra;
	ssize_t got = -ENODATA;
	struct xattr x;

	keydir_read_lock(k);
	extra = node_extra(n);
	if (extra != NULL &&
	    xattrs_find(extra->xattrs, extra->xattrs_bytes, name, strlen(name), &x))
		got = copy_out(buf, buf_bytes, x.value, x.value_bytes);
	keydir_read_unlock(k);
	return got;
}

ssize_t keydir_xattr_names(struct keydir *k, struct node *n, store_xattr_filter filter, char *buf,
			   size_t buf_bytes)
{
	const struct node_extra *extra;
	size_t pos = 0, used = 0;
	ssize_t err = 0;
	struct xattr x;

	keydir_read_lock(k);
	extra = node_extra(n);
	while (err == 0 && extra != NULL &&
	       xattrs_next(extra->xattrs, extra->xattrs_bytes, &pos, &x)) {
		if (filter != NULL && !filter(x.name, x.name_bytes))
			continue;
		if (buf_bytes > 0 && used + x.name_bytes + 1 > buf_bytes) {
			err = -ERANGE;
		} else if (buf_bytes > 0) {
			memcpy(buf + used, x.name, x.name_bytes);
			buf[used + x.name_bytes] = '\0';
		}
		used += x.name_bytes + 1;
	}
	keydir_read_unlock(k);
	return err < 0 ? err : (ssize_t)used;
}

/* --- changing --- */

int keydir_set_target(struct keydir *k, struct node *n, const char *target, size_t target_bytes)
{
	struct node_extra *extra = node_extra_get(k, n);
	char *copy = malloc(target_bytes);

	if (extra == NULL || copy == NULL) {
		free(copy);
		return -ENOMEM;
	}
	memcpy(copy, target, target_bytes);
	keydir_write_lock(k);
	free(extra->target);
	extra->target = copy;
	extra->target_bytes = target_bytes;
	keydir_write_unlock(k);
	return 0;
}

int keydir_set_device(struct keydir *k, struct node *n, uint32_t rdev_major, uint32_t rdev_minor)
{
	struct node_extra *extra = node_extra_get(k, n);

	if (extra == NULL)
		return -ENOMEM;
	keydir_write_lock(k);
	extra->rdev_major = rdev_major;
	extra->rdev_minor = rdev_minor;
	keydir_write_unlock(k);
	return 0;
}

int keydir_change_xattrs(struct keydir *k, struct node *n, const struct xattr *change,
			 uint8_t **ret, size_t *ret_bytes)
{
	const struct node_extra *extra = node_extra_get(k, n);
	uint8_t *list = NULL;
	size_t bytes;

	if (extra == NULL)
		return -ENOMEM;
	bytes = xattrs_set_bytes(extra->xattrs, extra->xattrs_bytes, change);
	if (bytes > 0) {
		list = malloc(bytes);
		if (list == NULL)
			return -ENOMEM;
		xattrs_set(extra->xattrs, extra->xattrs_bytes, change, list);
	}
	*ret = list;
	*ret_bytes = bytes;
	return 0;
}

int keydir_copy_xattrs(struct keydir *k, struct node *n, const uint8_t *list, size_t list_bytes,
		       uint8_t **ret)
{
	uint8_t *copy = NULL;

	if (node_extra_get(k, n) == NULL)
		return -ENOMEM;
	if (list_bytes > 0) {
		copy = malloc(list_bytes);
		if (copy == NULL)
			return -ENOMEM;
		memcpy(copy, list, list_bytes);
	}
	*ret = copy;
	return 0;
}

void keydir_set_xattrs(struct node *n, uint8_t *list, size_t list_bytes)
{
	struct node_extra *extra = node_extra(n);

	free(extra->xattrs);
	extra->xattrs = list;
	extra->xattrs_bytes = list_bytes;
}
