/* SPDX-License-Identifier: MIT */
/* Attributes of nodes: owner, mode and times, extended attributes, targets of symlinks. */
#include "writer/store/store_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "writer/base/times.h"
#include "codec/xattrs.h"
#include "writer/index/node_attributes.h"

void store_set_to_attr(const struct store_set *set, struct meta_attr *attr)
{
	if (set->which & STORE_SET_MODE)
		attr->mode = set->mode & META_MODE_BITS;
	if (set->which & STORE_SET_UID)
		attr->uid = set->uid;
	if (set->which & STORE_SET_GID)
		attr->gid = set->gid;
	attr->mtime = meta_time_of_timespec(set->mtime);
	attr->atime = meta_time_of_timespec(set->atime);
	attr->ctime = meta_time_of_timespec(set->ctime);
	if (set->which & STORE_SET_MTIME)
		attr->fields |= META_FIELD_MTIME;
	if (set->which & STORE_SET_ATIME)
		attr->fields |= META_FIELD_ATIME;
	if (set->which & STORE_SET_CTIME)
		attr->fields |= META_FIELD_CTIME;
}

/* Appends an attr record of 'n', if the log has the node.  Stores the time of the change. */
static int append_attr(struct store *s, const struct node *n, struct meta_attr *attr,
		       int64_t *ret_now_ns, uint64_t *ret_end)
	REQUIRES(s->commit_lock, commit_class)
{
	int err;

	*ret_end = 0;
	*ret_now_ns = s->io->ops->now_ns(s->io);
	if (!node_is_committed(n) || keydir_is_gone(s->keydir, n))
		return 0;
	commit_begin(s);
	commit_say_ctime(s, attr);
	err = commit_add_attr(s, n, NULL, 0, attr);
	if (err == 0)
		err = commit_append(s, false);
	if (err < 0)
		return err;
	*ret_now_ns = s->commit.now_ns;
	*ret_end = s->commit.where.end_position;
	return 0;
}

static int setattr_locked(struct store *s, struct node *n, const struct store_set *set,
			  uint64_t *ret_end) REQUIRES(s->commit_lock, commit_class)
{
	struct meta_attr attr = node_meta_attr(n);
	int64_t now_ns;
	int err = keydir_prepare(s->keydir, n);

	*ret_end = 0;
	store_set_to_attr(set, &attr);
	if (err < 0)
		return err;
	err = append_attr(s, n, &attr, &now_ns, ret_end);
	if (err < 0)
		return err;
	keydir_write_lock(s->keydir);
	keydir_set_ctime(n, now_ns);
	keydir_set_attributes(n, set);
	keydir_set_explicit(n);
	keydir_write_unlock(s->keydir);
	return 0;
}

static bool has_xattr(const struct node *n, const struct xattr *x, struct xattr *ret_old)
{
	size_t bytes;
	const uint8_t *list = node_xattrs(n, &bytes);

	return xattrs_find(list, bytes, x->name, x->name_bytes, ret_old);
}

/* Returns whether a list of xattrs may have 'bytes'.  It may not grow past the limit, but a list
 * that is longer already, from before the limit existed, can be changed and made shorter. */
static bool may_have(const struct node *n, size_t bytes)
{
	size_t old_bytes;

	(void)node_xattrs(n, &old_bytes);
	return bytes <= XATTRS_SET_BYTES_MAX || bytes <= old_bytes;
}

/* Sets (or, with a value of NULL, removes) an xattr. */
static int change_xattr(struct store *s, struct node *n, const struct xattr *x, uint64_t *ret_end)
	REQUIRES(s->commit_lock, commit_class)
{
	struct meta_attr attr = node_meta_attr(n);
	uint8_t *list = NULL;
	struct xattr old;
	size_t bytes;
	int64_t now_ns;
	int err;

	*ret_end = 0;
	if (x->value != NULL && has_xattr(n, x, &old) && old.value_bytes == x->value_bytes &&
	    memcmp(old.value, x->value, x->value_bytes) == 0)
		return 0; /* no change, no new ctime: as in ext4 */
	err = keydir_change_xattrs(s->keydir, n, x, &list, &bytes);
	if (err < 0)
		return err;
	attr.fields |= META_FIELD_XATTR;
	attr.xattr = *x;
	err = may_have(n, bytes) ? append_attr(s, n, &attr, &now_ns, ret_end) : -E2BIG;
	if (err < 0) {
		free(list);
		return err;
	}
	keydir_write_lock(s->keydir);
	keydir_set_xattrs(n, list, bytes);
	keydir_set_ctime(n, now_ns);
	keydir_set_explicit(n);
	keydir_write_unlock(s->keydir);
	return 0;
}

int store_setxattr(struct store *s, struct node *n, const struct xattr *x, int flags,
		   uint64_t *ret_end)
{
	struct xattr old;
	int err = 0;

	if (x->name_bytes == 0 || x->name_bytes > XATTRS_NAME_BYTES_MAX)
		return -ERANGE;
	commit_lock(s);
	if ((flags & XATTR_CREATE) && has_xattr(n, x, &old))
		err = -EEXIST;
	else if ((flags & XATTR_REPLACE) && !has_xattr(n, x, &old))
		err = -ENODATA;
	if (err == 0)
		err = change_xattr(s, n, x, ret_end);
	commit_unlock(s);
	return err;
}

int store_removexattr(struct store *s, struct node *n, const char *name, uint64_t *ret_end)
{
	const struct xattr x = { .name = name, .name_bytes = strlen(name) };
	struct xattr old;
	int err = -ENODATA;

	commit_lock(s);
	if (has_xattr(n, &x, &old))
		err = change_xattr(s, n, &x, ret_end);
	commit_unlock(s);
	return err;
}

ssize_t store_getxattr(struct store *s, struct node *n, const char *name, void *buf,
		       size_t buf_bytes)
{
	return keydir_xattr(s->keydir, n, name, buf, buf_bytes);
}

ssize_t store_listxattr(struct store *s, struct node *n, store_xattr_filter filter, char *buf,
			size_t buf_bytes)
{
	return keydir_xattr_names(s->keydir, n, filter, buf, buf_bytes);
}

ssize_t store_readlink(struct store *s, struct node *n, char *buf, size_t buf_bytes)
{
	return keydir_target(s->keydir, n, buf, buf_bytes);
}

int store_setattr(struct store *s, struct node *n, const struct store_set *set, uint64_t *ret_end)
{
	return WITH_LOCK(commit, s, setattr_locked(s, n, set, ret_end));
}
