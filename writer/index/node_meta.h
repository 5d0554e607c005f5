/* SPDX-License-Identifier: MIT */
/* A node as the meta records of the log have it. */
#ifndef FREYJAFS_WRITER_INDEX_NODE_META_H
#define FREYJAFS_WRITER_INDEX_NODE_META_H

#include "codec/meta.h"
#include "writer/index/keydir.h"

/* Returns the attr record that says what 'n' is now, without the fields that may be left out:
 * times, xattrs, inode number.  It refers to the target that 'n' owns. */
struct meta_attr node_meta_attr(const struct node *n);

/* Adds the xattrs of 'n', if it has any: for a node that the log does not have.  The record refers
 * to the list that 'n' owns. */
void node_meta_add_xattrs(const struct node *n, struct meta_attr *attr);

#endif
