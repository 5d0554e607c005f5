/* SPDX-License-Identifier: MIT */
/* A node as the meta records of the log describe it.  Threads: see keydir.h. */
#ifndef FREYJAFS_WRITER_INDEX_NODE_META_H
#define FREYJAFS_WRITER_INDEX_NODE_META_H

#include "codec/meta.h"
#include "writer/index/keydir.h"

/* Returns the attr record that describes 'n' now, without the optional fields: times, xattrs, inode
 * number.  It borrows the target from 'n'. */
struct meta_attr node_meta_attr(const struct node *n);

/* Adds the xattrs of 'n', if it has any, for a node that the log does not have.  The record borrows
 * the list from 'n'. */
void node_meta_add_xattrs(const struct node *n, struct meta_attr *attr);

#endif
