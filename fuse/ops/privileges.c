/* SPDX-License-Identifier: MIT */
/* Clearing of setuid and setgid bits and of file capabilities. */
#include "fuse/ops/privileges.h"

#define CAPABILITY_XATTR "security.capability"
#define NGROUPS_LIMIT	 1024 /* maximum number of supplementary groups checked */

static bool is_in_group(fuse_req_t req, gid_t gid)
{
	gid_t groups[NGROUPS_LIMIT];
	int n;

	if (fuse_req_ctx(req)->gid == gid)
		return true;
	n = fuse_req_getgroups(req, NGROUPS_LIMIT, groups);
	for (int i = 0; i < n && i < NGROUPS_LIMIT; i++)
		if (groups[i] == gid)
			return true;
	return false;
}

/* Returns the permission bits that stay.  Setgid without group execution is no privilege, but only
 * root and members of the group may keep it (setattr_should_drop_sgid() of Linux). */
static mode_t mode_left(fuse_req_t req, const struct store_attr *attr)
{
	mode_t left = attr->mode & 07777 & ~(mode_t)S_ISUID;

	if ((left & S_ISGID) == 0)
		return left;
	if ((left & S_IXGRP) != 0 || (fuse_req_ctx(req)->uid != 0 && !is_in_group(req, attr->gid)))
		left &= ~(mode_t)S_ISGID;
	return left;
}

static int drop_capability(struct fs *fs, struct node *n)
{
	uint64_t end;

	if (store_getxattr(fs->store, n, CAPABILITY_XATTR, NULL, 0) < 0)
		return 0;
	return store_removexattr(fs->store, n, CAPABILITY_XATTR, &end);
}

int privileges_drop_in(fuse_req_t req, struct node *n, bool new_owner, bool new_size,
		       struct store_set *set)
{
	struct store_attr attr;
	mode_t left;

	if (!new_owner && !new_size)
		return 0;
	store_getattr(fs_of(req)->store, n, &attr);
	if (S_ISDIR(attr.mode))
		return 0;
	left = mode_left(req, &attr);
	if ((set->which & STORE_SET_MODE) == 0 && left != (attr.mode & 07777) &&
	    (new_owner || fuse_req_ctx(req)->uid != 0)) {
		set->which |= STORE_SET_MODE;
		set->mode = left;
	}
	return drop_capability(fs_of(req), n);
}

int privileges_drop(fuse_req_t req, struct node *n)
{
	struct store_set set = { 0 };
	uint64_t end;
	int err = privileges_drop_in(req, n, false, true, &set);

	if (err < 0 || set.which == 0)
		return err;
	return store_setattr(fs_of(req)->store, n, &set, &end);
}

int privileges_drop_all(fuse_req_t req, struct node *n)
{
	struct store_set set = { .which = STORE_SET_MODE };
	struct store_attr attr;
	uint64_t end;
	int err = drop_capability(fs_of(req), n);

	store_getattr(fs_of(req)->store, n, &attr);
	set.mode = attr.mode & 07777 & ~(mode_t)(S_ISUID | S_ISGID);
	if (err < 0 || set.mode == (attr.mode & 07777))
		return err;
	return store_setattr(fs_of(req)->store, n, &set, &end);
}
