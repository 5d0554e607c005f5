/* SPDX-License-Identifier: MIT */
#include "writer/index/node_meta.h"

#include "writer/index/keydir_private.h"

struct meta_attr node_meta_attr(const struct node *n)
{
	const struct node_extra *extra = node_extra(n);
	struct meta_attr attr = {
		.type = node_type(n),
		.content = META_CONTENT_KEPT,
		.mode = n->mode & META_MODE_BITS,
		.uid = n->uid,
		.gid = n->gid,
	};

	if (attr.type == META_TYPE_CHAR_DEVICE || attr.type == META_TYPE_BLOCK_DEVICE) {
		attr.fields |= META_FIELD_RDEV;
		attr.rdev_major = extra->rdev_major;
		attr.rdev_minor = extra->rdev_minor;
	}
	if (attr.type == META_TYPE_SYMLINK) {
		attr.fields |= META_FIELD_TARGET;
		attr.target = extra->target;
		attr.target_bytes = extra->target_bytes;
	}
	return attr;
}

void node_meta_add_xattrs(const struct node *n, struct meta_attr *attr)
{
	const struct node_extra *extra = node_extra(n);

	if (extra == NULL || extra->xattrs == NULL)
		return;
	attr->fields |= META_FIELD_XATTRS;
	attr->xattrs = extra->xattrs;
	attr->xattrs_bytes = extra->xattrs_bytes;
}
