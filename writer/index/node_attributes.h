/* SPDX-License-Identifier: MIT */
/* Attributes that only a few nodes have: extended attributes, targets of symlinks, device numbers.
 *
 * Threads: see keydir.h. */
#ifndef FREYJAFS_WRITER_INDEX_NODE_ATTRIBUTES_H
#define FREYJAFS_WRITER_INDEX_NODE_ATTRIBUTES_H

#include "codec/xattrs.h"
#include "writer/index/node.h"

/* --- reading; any thread; takes the lock --- */

/* Copies the target of a symlink.  With a 'buf_bytes' of 0 copies nothing.  Returns its size, or
 * -errno: -EINVAL (not a symlink), -ERANGE. */
ssize_t keydir_target(struct keydir *k, struct node *n, char *buf, size_t buf_bytes);
/* Copy the value of an xattr, or the NUL-terminated names of the xattrs that 'filter' (NULL: all)
 * accepts.  With a 'buf_bytes' of 0 they copy nothing.  Return the size, or -errno: -ENODATA,
 * -ERANGE. */
ssize_t keydir_xattr(struct keydir *k, struct node *n, const char *name, void *buf,
		     size_t buf_bytes);
ssize_t keydir_xattr_names(struct keydir *k, struct node *n, store_xattr_filter filter, char *buf,
			   size_t buf_bytes);

/* --- changing, in one step; takes the lock --- */

/* Sets a copy of a target.  -ENOMEM. */
int keydir_set_target(struct keydir *k, struct node *n, const char *target,
		      size_t target_bytes) WARN_UNUSED;
/* Sets the device number.  -ENOMEM. */
int keydir_set_device(struct keydir *k, struct node *n, uint32_t rdev_major,
		      uint32_t rdev_minor) WARN_UNUSED;

/* --- changing xattrs, in two steps, so that no step can fail after the append --- */

/* Makes the list of xattrs that 'n' will have after the change (a value of NULL removes the xattr);
 * NULL is the empty list.  The caller owns the list.  -ENOMEM. */
int keydir_change_xattrs(struct keydir *k, struct node *n, const struct xattr *change,
			 uint8_t **ret, size_t *ret_bytes) WARN_UNUSED;
/* Makes a copy of a list for keydir_set_xattrs().  The caller owns it.  -ENOMEM. */
int keydir_copy_xattrs(struct keydir *k, struct node *n, const uint8_t *list, size_t list_bytes,
		       uint8_t **ret) WARN_UNUSED;
/* Replaces the xattrs by a list that one of these two functions has made for 'n', which then owns
 * it.  With the write lock. */
void keydir_set_xattrs(struct node *n, uint8_t *list, size_t list_bytes);

#endif
