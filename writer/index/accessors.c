/* SPDX-License-Identifier: MIT */
/* The accessors of node.h and entries.h as functions, for files outside writer/index/
 * (keydir_private.h has them inline). */
#define ACCESSORS_AS_FUNCTIONS
#include "writer/index/keydir_private.h"

struct node *dentry_dir(const struct dentry *d)
{
	return dentry_dir_inline(d);
}

struct node *dentry_node(const struct dentry *d)
{
	return dentry_node_inline(d);
}

bool node_is_dir(const struct node *n)
{
	return node_is_dir_inline(n);
}

bool node_is_file(const struct node *n)
{
	return node_is_file_inline(n);
}

uint32_t node_name_count(const struct node *n)
{
	return node_name_count_inline(n);
}

struct dentry *node_name(const struct node *n)
{
	return node_name_inline(n);
}

struct node *node_parent(const struct node *n)
{
	return node_parent_inline(n);
}

bool keydir_is_gone(const struct keydir *k, const struct node *n)
{
	return keydir_is_gone_inline(k, n);
}

bool keydir_is_unnameable(const struct keydir *k, const struct node *n)
{
	return keydir_is_unnameable_inline(k, n);
}

struct node_times node_times(const struct node *n)
{
	return node_times_inline(n);
}

struct value_position node_value(const struct node *n)
{
	return node_value_inline(n);
}

struct content_map *node_content(const struct node *n)
{
	return node_content_inline(n);
}

bool node_is_pinned(const struct node *n)
{
	return node_is_pinned_inline(n);
}
