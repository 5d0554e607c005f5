/* SPDX-License-Identifier: MIT */
#include "writer/index/rename.h"

#include <errno.h>

#include "writer/index/entries.h"
#include "writer/index/inode_numbers.h"
#include "writer/index/keydir_private.h"
#include "writer/index/paths.h"
#include "writer/index/record_paths.h"
#include "writer/index/unnameable.h"

static int refuse(struct rename *r, int err, const char *problem)
{
	r->problem = problem;
	return err;
}

int rename_check(struct rename *r)
{
	const struct node *n = dentry_node(r->from);
	const struct node *other = r->to == NULL ? NULL : dentry_node(r->to);
	int err = 0;

	if (keydir_is_inside(r->at.dir, n) || other == n)
		return refuse(r, -EINVAL, "a move into itself");
	if (r->exchange && other == NULL)
		return refuse(r, -ENOENT, "an exchange with something that does not exist");
	/* The directory of this entry: a file may have other names elsewhere. */
	if (r->exchange && keydir_is_inside(dentry_dir(r->from), other))
		return refuse(r, -EINVAL, "an exchange with a directory above it");
	if (r->exchange || other == NULL)
		return 0;
	if (node_is_dir(n) != node_is_dir(other))
		err = node_is_dir(n) ? -ENOTDIR : -EISDIR;
	else if (node_is_dir(other) && keydir_dir_count(other) > 0)
		err = -ENOTEMPTY;
	return err < 0 ? refuse(r, err, "a move onto something that it cannot replace") : 0;
}

int rename_prepare(struct keydir *k, struct rename *r)
{
	int err = keydir_prepare(k, dentry_node(r->from));

	if (err == 0 && r->to != NULL)
		return keydir_prepare(k, dentry_node(r->to));
	if (err == 0)
		r->to = keydir_dentry_new(k, r->at.dir, r->at.name, r->at.name_bytes);
	return r->to == NULL ? -ENOMEM : err;
}

void rename_cancel(struct keydir *k, struct rename *r)
{
	if (dentry_node(r->to) == NULL)
		keydir_dentry_free(k, r->to);
}

int rename_apply(struct keydir *k, const struct rename *r, const struct commit_record *rec,
		 int64_t now_ns)
{
	const struct meta_move *move = &rec->move;
	struct node *old_dir = dentry_dir(r->from);
	struct node *n = dentry_node(r->from), *other = r->exchange ? dentry_node(r->to) : NULL;

	keydir_write_lock(k);
	if (node_is_file(n))
		keydir_unnameable_remove(k, move->new_path, move->new_path_bytes);
	if (other != NULL && node_is_file(other))
		keydir_unnameable_remove(k, rec->path, rec->path_bytes);
	if (other != NULL)
		keydir_exchange(k, r->from, r->to, now_ns);
	else
		keydir_move(k, r->from, r->to, now_ns);
	if (move->ino != 0)
		keydir_set_ino(k, n, move->ino);
	if (other != NULL && move->other_ino != 0)
		keydir_set_ino(k, other, move->other_ino);
	keydir_write_unlock(k);
	if (r->exchange)
		return 0;
	return keydir_path_is_free(k, rec->path, rec->path_bytes, old_dir, now_ns);
}
