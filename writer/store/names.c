/* SPDX-License-Identifier: MIT */
/* Names: create, mkdir, mknod, link, unlink, rmdir, rename.  Each checks, prepares every step that
 * may fail, appends, and then changes the keydir, which cannot fail. */
#include "writer/store/store_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "writer/index/entries.h"
#include "writer/index/inode_numbers.h"
#include "writer/index/node_attributes.h"
#include "writer/index/node_content.h"
#include "writer/index/paths.h"
#include "writer/index/rename.h"
#include "writer/index/unnameable.h"

/* As in ext4: removing one of a node's names requires a search through all of them, in a replay,
 * too. */
#define LINKS_MAX 65000

/* --- checking --- */

static int check_dir(const struct store *s, const struct node *dir, size_t name_bytes)
{
	if (!node_is_dir(dir))
		return -ENOTDIR;
	if (keydir_is_gone(s->keydir, dir))
		return -ENOENT;
	return name_bytes > PATH_NAME_BYTES_MAX ? -ENAMETOOLONG : 0;
}

/* Finds an entry that must exist. */
static int find_entry(struct store *s, const struct store_name *at, struct dentry **ret)
	REQUIRES(s->commit_lock, commit_class)
{
	int err = check_dir(s, at->dir, at->name_bytes);

	if (err < 0)
		return err;
	*ret = keydir_find(s->keydir, at->dir, at->name, at->name_bytes);
	return *ret == NULL ? -ENOENT : 0;
}

/* Checks that a new entry can be made. */
static int check_new(struct store *s, const struct store_name *at)
	REQUIRES(s->commit_lock, commit_class)
{
	int err = check_dir(s, at->dir, at->name_bytes);

	if (err < 0)
		return err;
	if (keydir_find(s->keydir, at->dir, at->name, at->name_bytes) != NULL)
		return -EEXIST;
	return path_name_ok(at->name, at->name_bytes) ? 0 : -EINVAL;
}

/* For a directory that exists only through its keys and is about to lose one: an attr record in the
 * same group keeps it, so that "rm -r" finds it. */
static int keep_parent(struct store *s, const struct node *dir)
	REQUIRES(s->commit_lock, commit_class)
{
	struct meta_attr attr = node_meta_attr(dir);

	if (node_is_explicit(dir))
		return 0;
	attr.flags = META_FLAG_MORE;
	return commit_add_attr(s, dir, NULL, 0, &attr);
}

/* --- making --- */

/* Links the results of keydir_prepare_node(); the node is pinned for the caller. */
static void link_prepared(struct store *s, struct dentry *d, struct node *n, int64_t now_ns)
	REQUIRES(s->commit_lock, commit_class)
{
	keydir_touch(n, now_ns);
	node_pin(n);
	LOCKED(keydir_write, s->keydir, keydir_link(s->keydir, d, n, now_ns));
}

static bool is_poisoned(struct store *s)
{
	struct log_writer_stats stats;

	log_writer_stats(s->log, &stats);
	return stats.poison < 0;
}

/* Checks that a file can get that name and that the path fits its record. */
static int check_new_file(struct store *s, const struct store_name *at)
	REQUIRES(s->commit_lock, commit_class)
{
	int err;

	if (is_poisoned(s))
		return -EIO;
	err = check_new(s, at);
	if (err < 0)
		return err;
	commit_begin(s);
	return commit_add_plain(s, at->dir, at->name, at->name_bytes, NULL, 0);
}

static int create_locked(struct store *s, const struct store_name *at,
			 const struct store_owner *owner, struct node **ret)
	REQUIRES(s->commit_lock, commit_class)
{
	struct dentry *d = NULL;
	int err;

	err = check_new_file(s, at);
	if (err == 0)
		err = keydir_prepare_node(s->keydir, at, S_IFREG, ret, &d);
	if (err != 0)
		return err;
	keydir_set_owner(*ret, owner);
	link_prepared(s, d, *ret, s->io->ops->now_ns(s->io));
	return 0;
}

int store_create(struct store *s, const struct store_name *at, const struct store_owner *owner,
		 struct node **ret, struct store_attr *ret_attr)
{
	struct node *n = NULL;
	int err;

	err = WITH_LOCK(commit, s, create_locked(s, at, owner, &n));
	if (err < 0)
		return err;
	*ret = n;
	if (ret_attr != NULL)
		keydir_getattr(s->keydir, n, ret_attr);
	return 0;
}

/* --- temporary files --- */

static int create_temporary_locked(struct store *s, struct node *dir,
				   const struct store_owner *owner, struct node **ret)
	REQUIRES(s->commit_lock, commit_class)
{
	struct node *n;
	int err = is_poisoned(s) ? -EIO : check_dir(s, dir, 0);

	if (err < 0)
		return err;
	n = keydir_node_new(s->keydir, S_IFREG);
	if (n == NULL)
		return -ENOMEM;
	keydir_set_owner(n, owner);
	keydir_touch(n, s->io->ops->now_ns(s->io));
	node_pin(n);
	err = keydir_give_ino(s->keydir, n, dir);
	if (err < 0) {
		keydir_node_free(s->keydir, n);
		return err;
	}
	*ret = n;
	return 0;
}

int store_create_temporary(struct store *s, struct node *dir, const struct store_owner *owner,
			   struct node **ret)
{
	return WITH_LOCK(commit, s, create_temporary_locked(s, dir, owner, ret));
}

static int give_name_locked(struct store *s, struct node *n, const struct store_name *at)
	REQUIRES(s->commit_lock, commit_class)
{
	struct dentry *d;
	int err;

	if (!node_is_file(n) || node_is_committed(n) || !keydir_is_gone(s->keydir, n))
		return -EINVAL;
	err = check_new_file(s, at);
	if (err < 0)
		return err;
	d = keydir_dentry_new(s->keydir, at->dir, at->name, at->name_bytes);
	if (d == NULL)
		return -ENOMEM;
	LOCKED(keydir_write, s->keydir, keydir_link(s->keydir, d, n, s->io->ops->now_ns(s->io)));
	return 0;
}

int store_give_name(struct store *s, struct node *n, const struct store_name *at)
{
	return WITH_LOCK(commit, s, give_name_locked(s, n, at));
}

/* Gives a node that is not linked yet its target or device number. */
static int set_special(struct store *s, struct node *n, const struct store_special *special)
{
	size_t target_bytes = special->target == NULL ? 0 : strlen(special->target);

	if (S_ISCHR(special->owner.mode) || S_ISBLK(special->owner.mode))
		return keydir_set_device(s->keydir, n, special->rdev_major, special->rdev_minor);
	if (!S_ISLNK(special->owner.mode))
		return 0;
	if (target_bytes == 0)
		return -ENOENT;
	if (target_bytes > META_TARGET_BYTES_MAX)
		return -ENAMETOOLONG;
	return keydir_set_target(s->keydir, n, special->target, target_bytes);
}

/* Makes a node that is in the log immediately: any type except a file. */
static int make_locked(struct store *s, const struct store_name *at,
		       const struct store_special *special, struct node **ret, uint64_t *ret_end)
	REQUIRES(s->commit_lock, commit_class)
{
	struct meta_attr attr;
	struct dentry *d = NULL;
	struct node *n = NULL;
	int err;

	err = check_new(s, at);
	if (err == 0 && S_ISDIR(special->owner.mode))
		err = keydir_fits(NULL, at->dir, at->name_bytes);
	if (err == 0)
		err = keydir_prepare_node(s->keydir, at, special->owner.mode & S_IFMT, &n, &d);
	if (err != 0)
		return err;
	keydir_set_owner(n, &special->owner);
	commit_begin(s);
	err = set_special(s, n, special);
	if (err == 0) {
		attr = node_meta_attr(n);
		if (keydir_ino_is_given(n)) {
			attr.fields |= META_FIELD_INO;
			attr.ino = keydir_ino(s->keydir, n);
		}
		commit_say_times(s, &attr);
		err = commit_add_attr(s, at->dir, at->name, at->name_bytes, &attr);
	}
	if (err == 0)
		err = commit_append(s, false);
	if (err != 0) {
		keydir_dentry_free(s->keydir, d);
		keydir_node_free(s->keydir, n);
		return err;
	}
	keydir_set_committed(n);
	keydir_set_explicit(n);
	link_prepared(s, d, n, s->commit.now_ns);
	commit_keep_times(s, &at->dir, 1);
	*ret_end = s->commit.where.end_position;
	*ret = n;
	return 0;
}

static int make(struct store *s, const struct store_name *at, const struct store_special *special,
		struct node **ret, struct store_attr *ret_attr, uint64_t *ret_end)
{
	struct node *n = NULL;
	int err;

	err = WITH_LOCK(commit, s, make_locked(s, at, special, &n, ret_end));
	if (err < 0)
		return err;
	*ret = n;
	if (ret_attr != NULL)
		keydir_getattr(s->keydir, n, ret_attr);
	return 0;
}

int store_mkdir(struct store *s, const struct store_name *at, const struct store_owner *owner,
		struct node **ret, struct store_attr *ret_attr, uint64_t *ret_end)
{
	struct store_special special = { .owner = *owner };

	special.owner.mode = S_IFDIR | (owner->mode & META_MODE_BITS);
	return make(s, at, &special, ret, ret_attr, ret_end);
}

int store_mknod(struct store *s, const struct store_name *at, const struct store_special *special,
		struct node **ret, struct store_attr *ret_attr, uint64_t *ret_end)
{
	switch (special->owner.mode & S_IFMT) {
	case S_IFLNK:
	case S_IFIFO:
	case S_IFSOCK:
	case S_IFCHR:
	case S_IFBLK:
		return make(s, at, special, ret, ret_attr, ret_end);
	default:
		return -EINVAL;
	}
}

/* --- linking --- */

static int link_locked(struct store *s, struct node *n, const struct store_name *at,
		       uint64_t *ret_end) REQUIRES(s->commit_lock, commit_class)
{
	struct commit_record link = { .kind = META_LINK };
	struct dentry *d;
	int err;

	if (node_is_dir(n))
		return -EPERM;
	if (keydir_is_gone(s->keydir, n))
		return -ENOENT;
	if (node_name_count(n) >= LINKS_MAX)
		return -EMLINK;
	err = check_new(s, at);
	if (err == 0 && !node_is_committed(n))
		err = store_commit_empty(s, n);
	if (err == 0)
		err = keydir_prepare_name(s->keydir, n);
	if (err < 0)
		return err;
	d = keydir_dentry_new(s->keydir, at->dir, at->name, at->name_bytes);
	if (d == NULL)
		return -ENOMEM;
	link.move.ino = keydir_ino(s->keydir, n);
	commit_begin(s);
	err = commit_add_move(s, node_name(n), at, &link);
	if (err == 0)
		err = commit_append(s, false);
	if (err < 0) {
		keydir_dentry_free(s->keydir, d);
		return err;
	}
	LOCKED(keydir_write, s->keydir, keydir_link(s->keydir, d, n, s->commit.now_ns));
	commit_keep_times(s, (struct node *[]){ at->dir, n }, 2);
	*ret_end = s->commit.where.end_position;
	return 0;
}

int store_link(struct store *s, struct node *n, const struct store_name *at, uint64_t *ret_end)
{
	return WITH_LOCK(commit, s, link_locked(s, n, at, ret_end));
}

/* --- removing --- */

/* Appends the tombstone of 'd', unless the log does not have the name, and removes the entry. */
static int remove_locked(struct store *s, struct dentry *d, uint64_t *ret_end)
	REQUIRES(s->commit_lock, commit_class)
{
	const struct store_name name = dentry_name(d);
	struct node *dir = name.dir, *n = dentry_node(d);
	struct node *stays = node_name_count(n) > 1 ? n : NULL;
	uint64_t end = 0;
	int64_t now_ns;
	int err = keydir_prepare(s->keydir, n);

	if (err < 0)
		return err;
	if (node_is_committed(n)) {
		commit_begin(s);
		err = keep_parent(s, dir);
		if (err == 0)
			err = commit_add_plain(s, dir, name.name, name.name_bytes, NULL, 0);
		if (err == 0)
			err = commit_append(s, true);
		if (err < 0)
			return err;
		end = s->commit.where.end_position;
		now_ns = s->commit.now_ns;
	} else {
		now_ns = s->io->ops->now_ns(s->io);
	}
	keydir_write_lock(s->keydir);
	if (end > 0) {
		const struct record *tombstone = &s->commit.records[s->commit.count - 1];

		keydir_set_explicit(dir);
		keydir_unnameable_remove(s->keydir, tombstone->key, tombstone->key_bytes);
	}
	keydir_unlink(s->keydir, d, now_ns);
	keydir_write_unlock(s->keydir);
	if (end > 0) {
		commit_keep_times(s, (struct node *[]){ dir, stays }, 2);
		end = s->commit.where.end_position;
	}
	*ret_end = end;
	return 0;
}

/* Returns whether an unnameable key has the path of directory 'n': only the directory hides that
 * key. */
static bool hides_key(struct store *s, const struct node *n) REQUIRES(s->commit_lock, commit_class)
{
	char *path = (char *)s->commit.parts[0].value; /* any free buffer will do */
	ssize_t path_bytes = keydir_path(s->keydir, n, NULL, 0, path);

	return path_bytes > 0 &&
	       keydir_unnameable_find(s->keydir, path, (size_t)path_bytes) != NULL;
}

static int unlink_locked(struct store *s, const struct store_name *at, bool of_dir,
			 uint64_t *ret_end) REQUIRES(s->commit_lock, commit_class)
{
	struct dentry *d;
	int err = find_entry(s, at, &d);

	if (err == 0 && node_is_dir(dentry_node(d)) != of_dir)
		err = of_dir ? -ENOTDIR : -EISDIR;
	/* The tombstone of the directory would also delete the key, and a key must never be
	 * dropped. */
	if (err == 0 && of_dir &&
	    (keydir_dir_count(dentry_node(d)) > 0 || hides_key(s, dentry_node(d))))
		err = -ENOTEMPTY;
	return err < 0 ? err : remove_locked(s, d, ret_end);
}

static int unlink_name(struct store *s, const struct store_name *at, bool of_dir, uint64_t *ret_end)
{
	int err;

	do
		err = WITH_LOCK(commit, s, unlink_locked(s, at, of_dir, ret_end));
	while (store_makes_space_for(s, err));
	return err;
}

int store_unlink(struct store *s, const struct store_name *at, uint64_t *ret_end)
{
	return unlink_name(s, at, false, ret_end);
}

int store_rmdir(struct store *s, const struct store_name *at, uint64_t *ret_end)
{
	return unlink_name(s, at, true, ret_end);
}

/* --- renaming --- */

/* Checks that no path becomes longer than a key can be: it could neither be used nor removed. */
static int check_paths(struct store *s, const struct rename *r)
	REQUIRES(s->commit_lock, commit_class)
{
	struct node *from = dentry_node(r->from), *to = r->exchange ? dentry_node(r->to) : NULL;
	int err = 0;

	if (node_is_dir(from))
		err = keydir_fits(from, r->at.dir, r->at.name_bytes);
	if (err == 0 && to != NULL && node_is_dir(to))
		err = keydir_fits(to, dentry_dir(r->from), dentry_name(r->from).name_bytes);
	return err;
}

/* Assembles the record of a rename.  Fills in 'ret', which is not a move if the log does not have
 * the file: then the file begins under its new name, empty as it is. */
static int add_rename(struct store *s, const struct rename *r, struct commit_record *ret)
	REQUIRES(s->commit_lock, commit_class)
{
	struct node *n = dentry_node(r->from);
	struct meta_attr attr;
	int err = 0;

	commit_begin(s);
	*ret = (struct commit_record){ .kind = node_is_committed(n) ? META_MOVE : META_ATTR };
	if (!node_is_committed(n)) {
		attr = node_meta_attr(n);
		attr.content = META_CONTENT_NEW;
		attr.fields |= META_FIELD_INO;
		attr.ino = keydir_ino(s->keydir, n);
		node_meta_add_xattrs(n, &attr);
		commit_say_times(s, &attr);
		return commit_add_attr(s, r->at.dir, r->at.name, r->at.name_bytes, &attr);
	}
	ret->move.ino = keydir_ino(s->keydir, n);
	if (r->exchange) {
		ret->move.flags = META_FLAG_EXCHANGE;
		ret->move.other_ino = keydir_ino(s->keydir, dentry_node(r->to));
	} else {
		err = keep_parent(s, dentry_dir(r->from));
	}
	if (err < 0)
		return err;
	return commit_add_move(s, r->from, &r->at, ret);
}

static void apply_rename(struct store *s, const struct rename *r, const struct commit_record *rec)
	REQUIRES(s->commit_lock, commit_class)
{
	struct node *n = dentry_node(r->from);
	struct value_position empty = { 0 };
	int64_t now_ns = s->commit.now_ns;

	keydir_write_lock(s->keydir);
	if (rec->kind == META_MOVE && !r->exchange)
		keydir_set_explicit(dentry_dir(r->from)); /* done by keep_parent() */
	if (rec->kind != META_MOVE) {
		keydir_move(s->keydir, r->from, r->to, now_ns);
		keydir_set_value(s->keydir, n, &empty, now_ns);
	}
	keydir_write_unlock(s->keydir);
	/* Without memory an unnameable key stays hidden until the next mount. */
	if (rec->kind == META_MOVE)
		(void)!rename_apply(s->keydir, r, rec, now_ns);
}

static int rename_locked(struct store *s, struct rename *r, uint64_t *ret_end)
	REQUIRES(s->commit_lock, commit_class)
{
	struct node *from = dentry_node(r->from), *to = r->to == NULL ? NULL : dentry_node(r->to);
	struct node *old_dir = dentry_dir(r->from), *stays = NULL;
	struct commit_record rec;
	int err = rename_check(r);

	if (err == 0 && to == NULL && !path_name_ok(r->at.name, r->at.name_bytes))
		err = -EINVAL;
	if (err == 0)
		err = check_paths(s, r);
	/* The log can only exchange files that it has: a file that it does not have yet begins
	 * empty. */
	if (err == 0 && r->exchange && !node_is_committed(from))
		err = store_commit_empty(s, from);
	if (err == 0 && r->exchange && to != NULL && !node_is_committed(to))
		err = store_commit_empty(s, to);
	if (err == 0)
		err = rename_prepare(s->keydir, r);
	if (err < 0)
		return err;
	err = add_rename(s, r, &rec);
	if (err == 0)
		err = commit_append(s, false);
	if (err < 0) {
		rename_cancel(s->keydir, r);
		return err;
	}
	if (to != NULL && (r->exchange || node_name_count(to) > 1))
		stays = to;
	apply_rename(s, r, &rec);
	commit_keep_times(s, (struct node *[]){ old_dir, r->at.dir, from, stays }, 4);
	*ret_end = s->commit.where.end_position;
	return 0;
}

/* Earlier versions let a rename make paths that are longer than a key can be.  Entries below such a
 * path can be neither changed nor removed, so their directory is moved to the root. */
void store_move_too_long(struct store *s)
{
	struct node *n;
	uint64_t end;
	int err = 0;

	while (err == 0 && (n = keydir_find_too_long(s->keydir)) != NULL) {
		const struct store_name old = dentry_name(node_name(n));
		struct store_name to = { .dir = keydir_root(s->keydir) };
		char name[32];

		do
			(void)snprintf(name, sizeof(name), "moved-%" PRIu64, ++s->moved_names);
		while (keydir_find(s->keydir, keydir_root(s->keydir), name, strlen(name)) != NULL);
		to.name = name;
		to.name_bytes = strlen(name);
		err = store_rename(s, &old, &to, RENAME_NOREPLACE, &end);
		s->moved_directories += err == 0;
	}
}

int store_rename(struct store *s, const struct store_name *from, const struct store_name *to,
		 unsigned int flags, uint64_t *ret_end)
{
	struct rename r = { .at = *to, .exchange = flags == RENAME_EXCHANGE };
	int err;

	if (flags != 0 && flags != RENAME_NOREPLACE && flags != RENAME_EXCHANGE)
		return -EINVAL;
	commit_lock(s);
	err = find_entry(s, from, &r.from);
	if (err == 0)
		err = check_dir(s, to->dir, to->name_bytes);
	if (err == 0) {
		r.to = keydir_find(s->keydir, to->dir, to->name, to->name_bytes);
		if (r.to != NULL && flags == RENAME_NOREPLACE)
			err = -EEXIST;
		else if (r.to != NULL && dentry_node(r.to) == dentry_node(r.from))
			*ret_end = 0; /* two names of one node: no change */
		else
			err = rename_locked(s, &r, ret_end);
	}
	commit_unlock(s);
	return err;
}
