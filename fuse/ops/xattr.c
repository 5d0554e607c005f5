/* SPDX-License-Identifier: MIT */
/* Operations on extended attributes.  The kernel has checked who may use which name; this file
 * restricts the names to user.*, trusted.* and security.*. */
#include "fuse/ops/ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuse/mount/reply.h"

static bool has_prefix(const char *name, size_t name_bytes, const char *prefix)
{
	size_t n = strlen(prefix);

	return name_bytes >= n && memcmp(name, prefix, n) == 0;
}

/* Returns 0, or the error of ext4 for such a name. */
static int check_name(fuse_ino_t ino, const char *name)
{
	static const char *const prefixes[] = { "user.", "trusted.", "security." };
	size_t n = strlen(name);

	for (size_t i = 0; !fs_is_virtual(ino) && i < ARRAY_SIZE(prefixes); i++)
		if (has_prefix(name, n, prefixes[i]))
			return n == strlen(prefixes[i]) ? -EINVAL : 0;
	return -EOPNOTSUPP;
}

/* Replies with 'n' bytes of 'buf', or with 'n' itself if only the size was requested, or with the
 * error 'n'. */
static void reply_bytes(fuse_req_t req, const void *buf, ssize_t n, size_t size)
{
	if (n < 0)
		reply_err(req, (int)n);
	else if (size == 0)
		(void)fuse_reply_xattr(req, (size_t)n);
	else
		(void)fuse_reply_buf(req, buf, (size_t)n);
}

/* Replies: buf, xattr, err. */
void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	int err = check_name(ino, name);
	void *buf = NULL;
	ssize_t n;

	if (err == 0 && size > 0) {
		buf = malloc(size);
		if (buf == NULL)
			err = -ENOMEM;
	}
	n = err < 0 ? err : store_getxattr(fs_of(req)->store, fs_node(ino), name, buf, size);
	reply_bytes(req, buf, n, size);
	free(buf);
}

/* Returns whether a caller who is not root may list the name.  Only privileged processes may use
 * trusted.*; root stands for them. */
static bool is_public(const char *name, size_t name_bytes)
{
	return !has_prefix(name, name_bytes, "trusted.");
}

/* Replies: buf, xattr, err. */
void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	store_xattr_filter filter = fuse_req_ctx(req)->uid == 0 ? NULL : is_public;
	void *buf = NULL;
	ssize_t n = 0;

	if (size > 0) {
		buf = malloc(size);
		if (buf == NULL)
			n = -ENOMEM;
	}
	if (n == 0 && !fs_is_virtual(ino))
		n = store_listxattr(fs_of(req)->store, fs_node(ino), filter, buf, size);
	reply_bytes(req, buf, n, size);
	free(buf);
}

/* Replies: err. */
void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
		 int flags)
{
	const struct xattr x = { name, strlen(name), value != NULL ? value : "", size };
	uint64_t end = 0;
	int err = check_name(ino, name);

	if (err == 0)
		err = store_setxattr(fs_of(req)->store, fs_node(ino), &x, flags, &end);
	if (err == -E2BIG) /* for this limit Linux has the error of a full disk */
		err = -ENOSPC;
	reply_done(req, err, REPLY_AS_CONFIGURED, end);
}

/* Replies: err. */
void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	uint64_t end = 0;
	int err = check_name(ino, name);

	if (err == 0)
		err = store_removexattr(fs_of(req)->store, fs_node(ino), name, &end);
	reply_done(req, err, REPLY_AS_CONFIGURED, end);
}
