/* SPDX-License-Identifier: MIT */
/* Attributes: owner, mode and times, extended attributes, targets of symlinks. */
#include "writer/store/store_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "writer/base/times.h"
#include "codec/xattrs.h"

void store_apply_set(struct node *n, const struct store_set *set)
{
	struct node_times t = node_times(n);

	if (set->which & STORE_SET_MODE)
		keydir_set_mode(n, set->mode);
	if (set->which & STORE_SET_UID)
		n->uid = set->uid;
	if (set->which & STORE_SET_GID)
		n->gid = set->gid;
	if (set->which & STORE_SET_MTIME) {
		t.mtime_ns = ns_of_timespec(set->mtime);
		n->mtime_set = true;
	}
	if (set->which & STORE_SET_ATIME)
		t.atime_ns = ns_of_timespec(set->atime);
	if (set->which & STORE_SET_CTIME)
		t.ctime_ns = ns_of_timespec(set->ctime);
	keydir_set_times(n, &t);
}

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

static int setattr_locked(struct store *s, struct node *n, const struct store_set *set,
			  uint64_t *ret_end) REQUIRES(s->commit_lock)
{
	struct meta_attr attr = node_meta_attr(n);
	int64_t now_ns;
	int err = keydir_prepare(s->keydir, n);

	*ret_end = 0;
	if (err < 0)
		return err;
	if (n->committed && !keydir_is_gone(s->keydir, n)) {
		store_set_to_attr(set, &attr);
		commit_begin(s);
		commit_say_ctime(s, &attr);
		err = commit_add_attr(s, n, NULL, 0, &attr, 0);
		if (err == 0)
			err = commit_append(s, false);
		if (err < 0)
			return err;
		now_ns = s->commit.now_ns;
		*ret_end = s->commit.where.end_offset;
	} else {
		now_ns = s->io->ops->now_ns(s->io);
	}
	keydir_write_lock(s->keydir);
	keydir_set_ctime(n, now_ns);
	store_apply_set(n, set);
	if (node_is_dir(n))
		n->explicit = true;
	keydir_write_unlock(s->keydir);
	return 0;
}

/* Appends an attr record that changes one xattr if the log has the node. */
static int append_xattr(struct store *s, const struct node *n, const struct xattr *x,
			int64_t *ret_now_ns, uint64_t *ret_end) REQUIRES(s->commit_lock)
{
	struct meta_attr attr = node_meta_attr(n);
	int err;

	*ret_end = 0;
	*ret_now_ns = s->io->ops->now_ns(s->io);
	if (!n->committed || keydir_is_gone(s->keydir, n))
		return 0;
	attr.fields |= META_FIELD_XATTR;
	attr.xattr = *x;
	commit_begin(s);
	commit_say_ctime(s, &attr);
	err = commit_add_attr(s, n, NULL, 0, &attr, 0);
	if (err == 0)
		err = commit_append(s, false);
	if (err < 0)
		return err;
	*ret_now_ns = s->commit.now_ns;
	*ret_end = s->commit.where.end_offset;
	return 0;
}

/* Says whether xattr 'name' has this value already. */
static bool xattr_is(const struct node_extra *extra, const struct xattr *x)
{
	struct xattr old;

	return xattrs_find(extra->xattrs, extra->xattrs_bytes, x->name, x->name_bytes, &old) &&
	       old.value_bytes == x->value_bytes &&
	       memcmp(old.value, x->value, x->value_bytes) == 0;
}

/* Says whether a list may be so long: it may not grow past the limit, but a list that is longer,
 * from before there was one, can be changed and made shorter. */
static bool may_have(const struct node_extra *extra, size_t bytes)
{
	return bytes <= XATTRS_SET_BYTES_MAX || bytes <= extra->xattrs_bytes;
}

/* Sets (or, with a value of NULL, removes) an xattr. */
static int change_xattr(struct store *s, struct node *n, const struct xattr *x, uint64_t *ret_end)
	REQUIRES(s->commit_lock)
{
	struct node_extra *extra = node_extra_get(s->keydir, n);
	uint8_t *list = NULL;
	size_t bytes;
	int64_t now_ns;
	int err;

	if (extra == NULL)
		return -ENOMEM;
	*ret_end = 0;
	if (x->value != NULL && xattr_is(extra, x))
		return 0; /* no change, no new ctime: as ext4 has it */
	if (!may_have(extra, xattrs_set_bytes(extra->xattrs, extra->xattrs_bytes, x)))
		return -ENOSPC;
	err = keydir_change_xattrs(n, x, &list, &bytes);
	if (err < 0)
		return err;
	err = append_xattr(s, n, x, &now_ns, ret_end);
	if (err < 0) {
		free(list);
		return err;
	}
	keydir_write_lock(s->keydir);
	keydir_set_xattrs(s->keydir, n, list, bytes);
	keydir_set_ctime(n, now_ns);
	if (node_is_dir(n))
		n->explicit = true;
	keydir_write_unlock(s->keydir);
	return 0;
}

static bool has_xattr(struct store *s, struct node *n, const char *name)
{
	return keydir_xattr(s->keydir, n, name, NULL, 0) >= 0;
}

int store_setxattr(struct store *s, struct node *n, const char *name, const void *value,
		   size_t value_bytes, int flags, uint64_t *ret_end)
{
	const struct xattr x = { .name = name,
				 .name_bytes = strlen(name),
				 .value = value != NULL ? value : (const uint8_t *)"",
				 .value_bytes = value_bytes };
	int err = 0;

	if (x.name_bytes == 0 || x.name_bytes > XATTRS_NAME_BYTES_MAX)
		return -ERANGE;
	mutex_lock(&s->commit_lock);
	if ((flags & XATTR_CREATE) && has_xattr(s, n, name))
		err = -EEXIST;
	else if ((flags & XATTR_REPLACE) && !has_xattr(s, n, name))
		err = -ENODATA;
	if (err == 0)
		err = change_xattr(s, n, &x, ret_end);
	mutex_unlock(&s->commit_lock);
	return err;
}

int store_removexattr(struct store *s, struct node *n, const char *name, uint64_t *ret_end)
{
	const struct xattr x = { .name = name, .name_bytes = strlen(name) };
	int err = -ENODATA;

	mutex_lock(&s->commit_lock);
	if (has_xattr(s, n, name))
		err = change_xattr(s, n, &x, ret_end);
	mutex_unlock(&s->commit_lock);
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
	int err;

	mutex_lock(&s->commit_lock);
	err = setattr_locked(s, n, set, ret_end);
	mutex_unlock(&s->commit_lock);
	return err;
}
