/* SPDX-License-Identifier: MIT */
/* Operations that make nodes and names. */
#include "fuse/ops/ops.h"

#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "fuse/mount/reply.h"
#include "fuse/transport/request.h"

/* Returns the owner and the mode of a new node.  In a setgid directory it gets the directory's
 * group, and a directory also that bit. */
static struct store_owner owner_in(fuse_req_t req, struct node *dir, mode_t mode)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct store_owner owner = { mode, ctx->uid, ctx->gid };
	struct store_attr attr;

	store_getattr(fs_of(req)->store, dir, &attr);
	if (attr.mode & S_ISGID)
		owner.gid = attr.gid;
	if (S_ISDIR(mode))
		owner.mode |= attr.mode & S_ISGID;
	return owner;
}

int ops_make_file(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		  struct node **ret)
{
	struct store_name at = fs_name(parent, name);
	struct store_owner owner;

	if (fs_is_virtual(parent))
		return fs_refuse_name(fs_of(req), parent, name);
	owner = owner_in(req, at.dir, mode & 07777);
	return store_create(fs_of(req)->store, &at, &owner, ret, NULL);
}

int ops_make_temporary(fuse_req_t req, fuse_ino_t parent, mode_t mode, struct node **ret)
{
	struct store_owner owner;

	if (fs_is_virtual(parent))
		return -EPERM;
	owner = owner_in(req, fs_node(parent), mode & 07777);
	return store_create_temporary(fs_of(req)->store, fs_node(parent), &owner, ret);
}

void ops_unmake_file(fuse_req_t req, fuse_ino_t parent, const char *name, struct node *n)
{
	struct store_name at = fs_name(parent, name);
	struct fs *fs = fs_of(req);
	uint64_t end;

	/* The file is not in the log yet, so removing it cannot fail. */
	if (strcmp(name, REQUEST_TEMPORARY) != 0)
		(void)!store_unlink(fs->store, &at, &end);
	fs_unpin(fs, fs_ino(n), 1);
}

/* Makes a file for mknod(2).  It is committed at once, because it has no handle whose close would
 * do so. */
static int make_closed_file(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
			    struct node **ret, uint64_t *ret_end)
{
	int err = ops_make_file(req, parent, name, mode, ret);

	if (err < 0)
		return err;
	err = open_files_commit(&fs_of(req)->files, *ret, ret_end);
	if (err < 0)
		ops_unmake_file(req, parent, name, *ret);
	return err;
}

/* Makes a symbolic link or special file. */
static int make_special(fuse_req_t req, fuse_ino_t parent, const char *name,
			struct store_special *special, struct node **ret, uint64_t *ret_end)
{
	struct store_name at = fs_name(parent, name);

	if (fs_is_virtual(parent))
		return fs_refuse_name(fs_of(req), parent, name);
	special->owner = owner_in(req, at.dir, special->owner.mode);
	return store_mknod(fs_of(req)->store, &at, special, ret, NULL, ret_end);
}

static void reply_new(fuse_req_t req, int err, struct node *n, uint64_t end)
{
	struct fuse_entry_param entry;

	if (err < 0) {
		reply_err(req, err);
		return;
	}
	fs_entry(fs_of(req), n, &entry);
	reply_entry(req, &entry, REPLY_AS_CONFIGURED, end);
}

/* Replies: entry, err. */
void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	struct store_special special = { .owner.mode = mode,
					 .rdev_major = major(rdev),
					 .rdev_minor = minor(rdev) };
	struct node *n = NULL;
	uint64_t end = 0;
	int err;

	if (S_ISREG(mode))
		err = make_closed_file(req, parent, name, mode, &n, &end);
	else
		err = make_special(req, parent, name, &special, &n, &end);
	reply_new(req, err, n, end);
}

/* Replies: entry, err. */
void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	struct store_special special = { .owner.mode = S_IFLNK | 0777, .target = target };
	struct node *n = NULL;
	uint64_t end = 0;
	int err = make_special(req, parent, name, &special, &n, &end);

	reply_new(req, err, n, end);
}

/* Gives a temporary file its first name.  Its value is in its open file, so without a handle there
 * is nothing to link. */
static int give_name(struct fs *fs, struct node *n, const struct store_name *to, uint64_t *ret_end)
{
	struct open_file *of = open_files_find(&fs->files, n);
	int err;

	if (of == NULL)
		return -ENOENT;
	err = open_file_give_name(of, to, ret_end);
	open_files_put(&fs->files, of);
	return err;
}

static int make_link(struct fs *fs, struct node *n, const struct store_name *to, uint64_t *ret_end)
{
	struct store_attr attr;
	int err;

	store_getattr(fs->store, n, &attr);
	if (attr.link_count == 0) /* the kernel permits it only for O_TMPFILE files */
		return give_name(fs, n, to, ret_end);
	err = open_files_commit(&fs->files, n, ret_end); /* only a node in the log can be linked */
	return err < 0 ? err : store_link(fs->store, n, to, ret_end);
}

/* Replies: entry, err. */
void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t new_parent, const char *new_name)
{
	struct store_name to = fs_name(new_parent, new_name);
	struct fs *fs = fs_of(req);
	struct node *n = fs_node(ino);
	uint64_t end = 0;
	int err;

	if (fs_is_virtual(ino) || fs_is_virtual(new_parent))
		err = fs_refuse_name(fs, fs_is_history(ino) ? ino : new_parent, new_name);
	else
		err = make_link(fs, n, &to, &end);
	if (err == 0)
		store_pin(fs->store, n); /* the kernel looks it up with this reply */
	reply_new(req, err, n, end);
}

/* Replies: entry, err. */
void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct store_name at = fs_name(parent, name);
	struct store_owner owner;
	struct node *n = NULL;
	uint64_t end = 0;
	int err;

	if (fs_is_virtual(parent)) {
		reply_err(req, fs_refuse_name(fs_of(req), parent, name));
		return;
	}
	owner = owner_in(req, at.dir, S_IFDIR | (mode & 07777));
	err = store_mkdir(fs_of(req)->store, &at, &owner, &n, NULL, &end);
	reply_new(req, err, n, end);
}
