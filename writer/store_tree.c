/* SPDX-License-Identifier: MIT */
/* Names: create, mkdir, unlink, rmdir, rename, setattr.  Each looks, prepares whatever may fail,
 * appends, and then changes the keydir, which cannot fail. */
#include "writer/store_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "writer/replay.h"

/* --- putting a commit together --- */

void commit_begin(struct store *s)
{
	s->commit.count = 0;
}

/* Writes the path of 'n'/'name' behind the prefix of the next part's key. */
static int next_part(struct store *s, const struct node *n, const char *name, size_t name_bytes,
		     struct record *ret) REQUIRES(s->commit_lock)
{
	struct commit_part *part = &s->commit.parts[s->commit.count];
	ssize_t path_bytes;

	path_bytes = keydir_path(s->keydir, n, name, name_bytes,
				 (char *)part->key + META_KEY_PREFIX_BYTES);
	if (path_bytes < 0)
		return (int)path_bytes;
	*ret = (struct record){
		.key = part->key,
		.key_bytes = (uint32_t)(META_KEY_PREFIX_BYTES + path_bytes),
		.value = part->value,
	};
	return 0;
}

int commit_add_plain(struct store *s, const struct node *n, const char *name, size_t name_bytes,
		     const void *value, uint32_t value_bytes, uint64_t timestamp_ns)
{
	struct record rec;
	int err = next_part(s, n, name, name_bytes, &rec);

	if (err < 0)
		return err;
	rec.key = (const uint8_t *)rec.key + META_KEY_PREFIX_BYTES;
	rec.key_bytes -= META_KEY_PREFIX_BYTES;
	rec.value = value;
	rec.value_bytes = value_bytes;
	rec.timestamp_ns = timestamp_ns;
	s->commit.records[s->commit.count++] = rec;
	return 0;
}

int commit_add_attr(struct store *s, const struct node *n, const char *name, size_t name_bytes,
		    const struct meta_attr *attr, uint64_t timestamp_ns)
{
	struct commit_part *part = &s->commit.parts[s->commit.count];
	struct record rec;
	int err = next_part(s, n, name, name_bytes, &rec);

	if (err < 0)
		return err;
	meta_key_prefix(META_ATTR, part->key);
	rec.value_bytes = (uint32_t)meta_attr_encode(attr, part->value);
	rec.timestamp_ns = timestamp_ns;
	s->commit.records[s->commit.count++] = rec;
	return 0;
}

int commit_add_move(struct store *s, const struct node *n, const struct node *new_dir,
		    const char *new_name, size_t new_name_bytes, uint8_t flags)
{
	struct commit_part *part = &s->commit.parts[s->commit.count];
	struct record rec;
	ssize_t path_bytes;
	int err = next_part(s, n, NULL, 0, &rec);

	if (err < 0)
		return err;
	path_bytes = keydir_path(s->keydir, new_dir, new_name, new_name_bytes,
				 (char *)part->value + META_MOVE_FIXED_BYTES);
	if (path_bytes < 0)
		return (int)path_bytes;
	meta_key_prefix(META_MOVE, part->key);
	meta_move_encode_fixed(flags, part->value);
	rec.value_bytes = (uint32_t)(META_MOVE_FIXED_BYTES + path_bytes);
	s->commit.records[s->commit.count++] = rec;
	return 0;
}

int commit_append(struct store *s, bool removes)
{
	struct commit *c = &s->commit;
	int err;

	do
		err = log_writer_append(s->log, c->records, c->count, &c->where);
	while ((err == -ENOSPC || err == -EDQUOT) && removes && reserve_release(&s->reserve));
	if (err < 0)
		return err;
	c->now_ns = (int64_t)c->where.timestamp_ns[c->count - 1];
	if (!removes)
		reserve_refill(&s->reserve);
	return 0;
}

struct meta_attr commit_attr_of(const struct node *n)
{
	return (struct meta_attr){
		.type = node_is_dir(n) ? META_TYPE_DIRECTORY : META_TYPE_FILE,
		.content = META_CONTENT_KEPT,
		.mode = n->mode & META_MODE_BITS,
		.uid = n->uid,
		.gid = n->gid,
	};
}

int store_commit_empty(struct store *s, struct node *n)
{
	struct meta_attr attr = commit_attr_of(n);
	struct value_place empty = { 0 };
	int err;

	attr.content = META_CONTENT_EMPTY;
	commit_begin(s);
	err = commit_add_attr(s, n, NULL, 0, &attr, 0);
	if (err == 0)
		err = commit_append(s, false);
	if (err < 0)
		return err;
	keydir_write_lock(s->keydir);
	keydir_set_value(s->keydir, n, &empty, s->commit.now_ns);
	keydir_write_unlock(s->keydir);
	return 0;
}

/* A directory that exists only through its keys is about to lose one: an attr record in the same
 * group keeps it, so that "rm -r" finds it. */
static int keep_parent(struct store *s, const struct node *dir) REQUIRES(s->commit_lock)
{
	struct meta_attr attr = commit_attr_of(dir);

	if (dir->explicit)
		return 0;
	attr.flags = META_FLAG_MORE;
	return commit_add_attr(s, dir, NULL, 0, &attr, 0);
}

/* --- looking --- */

static int check_dir(const struct store *s, const struct node *dir, size_t name_bytes)
{
	if (!node_is_dir(dir))
		return -ENOTDIR;
	if (keydir_is_gone(s->keydir, dir))
		return -ENOENT;
	return name_bytes > PATH_NAME_BYTES_MAX ? -ENAMETOOLONG : 0;
}

/* Finds an entry that must be there. */
static int find(struct store *s, const struct node *dir, const char *name, size_t name_bytes,
		struct dentry **ret) REQUIRES(s->commit_lock)
{
	int err = check_dir(s, dir, name_bytes);

	if (err < 0)
		return err;
	*ret = keydir_find(s->keydir, dir, name, name_bytes);
	return *ret == NULL ? -ENOENT : 0;
}

/* Checks that a new entry can be made. */
static int check_new(struct store *s, const struct node *dir, const char *name, size_t name_bytes)
	REQUIRES(s->commit_lock)
{
	int err = check_dir(s, dir, name_bytes);

	if (err < 0)
		return err;
	if (keydir_find(s->keydir, dir, name, name_bytes) != NULL)
		return -EEXIST;
	return path_name_ok(name, name_bytes) ? 0 : -EINVAL;
}

/* --- making --- */

/* Makes a node and its entry, neither linked. */
static int prepare(struct store *s, struct node *dir, const char *name, size_t name_bytes,
		   mode_t mode, uint32_t uid, uint32_t gid, struct node **ret_node,
		   struct dentry **ret_dentry) REQUIRES(s->commit_lock)
{
	struct node *n = keydir_node_new(s->keydir, mode & S_IFMT);
	struct dentry *d;

	if (n == NULL)
		return -ENOMEM;
	d = keydir_dentry_new(s->keydir, dir, name, name_bytes);
	if (d == NULL) {
		keydir_node_free(n);
		return -ENOMEM;
	}
	n->mode = mode;
	n->uid = uid;
	n->gid = gid;
	*ret_node = n;
	*ret_dentry = d;
	return 0;
}

/* Links what prepare() made, pinned for the caller. */
static void link_prepared(struct store *s, struct dentry *d, struct node *n, int64_t now_ns)
	REQUIRES(s->commit_lock)
{
	n->mtime_ns = n->ctime_ns = now_ns;
	atomic_store(&n->pins, 1);
	keydir_write_lock(s->keydir);
	keydir_link(s->keydir, d, n, now_ns);
	keydir_write_unlock(s->keydir);
}

static bool is_poisoned(struct store *s)
{
	struct log_writer_stats stats;

	log_writer_stats(s->log, &stats);
	return stats.poison < 0;
}

static int create_locked(struct store *s, struct node *dir, const char *name, size_t name_bytes,
			 mode_t mode, uint32_t uid, uint32_t gid, struct node **ret)
	REQUIRES(s->commit_lock)
{
	struct dentry *d = NULL;
	int err;

	if (is_poisoned(s))
		return -EIO;
	err = check_new(s, dir, name, name_bytes);
	if (err < 0)
		return err;
	commit_begin(s);
	err = commit_add_plain(s, dir, name, name_bytes, NULL, 0,
			       0); /* only to see that the path fits */
	if (err == 0)
		err = prepare(s, dir, name, name_bytes, S_IFREG | (mode & META_MODE_BITS), uid, gid,
			      ret, &d);
	if (err < 0)
		return err;
	link_prepared(s, d, *ret, (int64_t)s->io->ops->now_ns(s->io));
	return 0;
}

int store_create(struct store *s, struct node *dir, const char *name, size_t name_bytes,
		 mode_t mode, uint32_t uid, uint32_t gid, struct node **ret,
		 struct store_attr *ret_attr)
{
	struct node *n = NULL;
	int err;

	mutex_lock(&s->commit_lock);
	err = create_locked(s, dir, name, name_bytes, mode, uid, gid, &n);
	mutex_unlock(&s->commit_lock);
	if (err < 0)
		return err;
	*ret = n;
	if (ret_attr != NULL)
		keydir_getattr(s->keydir, n, ret_attr);
	return 0;
}

static int mkdir_locked(struct store *s, struct node *dir, const char *name, size_t name_bytes,
			mode_t mode, uint32_t uid, uint32_t gid, struct node **ret)
	REQUIRES(s->commit_lock)
{
	struct meta_attr attr;
	struct dentry *d = NULL;
	struct node *n = NULL;
	int err;

	err = check_new(s, dir, name, name_bytes);
	if (err == 0)
		err = prepare(s, dir, name, name_bytes, S_IFDIR | (mode & META_MODE_BITS), uid, gid,
			      &n, &d);
	if (err < 0)
		return err;
	attr = commit_attr_of(n);
	commit_begin(s);
	err = commit_add_attr(s, dir, name, name_bytes, &attr, 0);
	if (err == 0)
		err = commit_append(s, false);
	if (err < 0) {
		keydir_dentry_free(d);
		keydir_node_free(n);
		return err;
	}
	n->committed = n->explicit = true;
	link_prepared(s, d, n, s->commit.now_ns);
	*ret = n;
	return 0;
}

int store_mkdir(struct store *s, struct node *dir, const char *name, size_t name_bytes, mode_t mode,
		uint32_t uid, uint32_t gid, struct node **ret, struct store_attr *ret_attr,
		uint64_t *ret_end)
{
	struct node *n = NULL;
	int err;

	mutex_lock(&s->commit_lock);
	err = mkdir_locked(s, dir, name, name_bytes, mode, uid, gid, &n);
	if (err == 0)
		*ret_end = s->commit.where.end_offset;
	mutex_unlock(&s->commit_lock);
	if (err < 0)
		return err;
	*ret = n;
	if (ret_attr != NULL)
		keydir_getattr(s->keydir, n, ret_attr);
	return 0;
}

/* --- removing --- */

/* Appends the tombstone of 'd', unless the log does not know it, and takes it out. */
static int remove_locked(struct store *s, struct dentry *d, uint64_t *ret_end)
	REQUIRES(s->commit_lock)
{
	struct node *dir = d->dir;
	uint64_t end = 0;
	int64_t now_ns;
	int err;

	if (d->node->committed) {
		commit_begin(s);
		err = keep_parent(s, dir);
		if (err == 0)
			err = commit_add_plain(s, d->node, NULL, 0, NULL, 0, 0);
		if (err == 0)
			err = commit_append(s, true);
		if (err < 0)
			return err;
		end = s->commit.where.end_offset;
		now_ns = s->commit.now_ns;
	} else {
		now_ns = (int64_t)s->io->ops->now_ns(s->io);
	}
	keydir_write_lock(s->keydir);
	if (d->node->committed)
		dir->explicit = true;
	keydir_unlink(s->keydir, d, now_ns);
	keydir_write_unlock(s->keydir);
	*ret_end = end;
	return 0;
}

int store_unlink(struct store *s, struct node *dir, const char *name, size_t name_bytes,
		 uint64_t *ret_end)
{
	struct dentry *d;
	int err;

	mutex_lock(&s->commit_lock);
	err = find(s, dir, name, name_bytes, &d);
	if (err == 0 && node_is_dir(d->node))
		err = -EISDIR;
	if (err == 0)
		err = remove_locked(s, d, ret_end);
	mutex_unlock(&s->commit_lock);
	return err;
}

/* Says whether a key that no path can name has the path of directory 'n': only the directory hides
 * it. */
static bool hides_key(struct store *s, const struct node *n) REQUIRES(s->commit_lock)
{
	char *path = (char *)s->commit.parts[0].value; /* as good a place as any */
	ssize_t path_bytes = keydir_path(s->keydir, n, NULL, 0, path);

	return path_bytes > 0 && keydir_unnamed_find(s->keydir, path, (size_t)path_bytes) != NULL;
}

int store_rmdir(struct store *s, struct node *dir, const char *name, size_t name_bytes,
		uint64_t *ret_end)
{
	struct dentry *d;
	int err;

	mutex_lock(&s->commit_lock);
	err = find(s, dir, name, name_bytes, &d);
	if (err == 0 && !node_is_dir(d->node))
		err = -ENOTDIR;
	/* The tombstone of the directory would be one of the key, too, and a key is never dropped.
	 */
	if (err == 0 && (keydir_dir_count(d->node) > 0 || hides_key(s, d->node)))
		err = -ENOTEMPTY;
	if (err == 0)
		err = remove_locked(s, d, ret_end);
	mutex_unlock(&s->commit_lock);
	return err;
}

/* --- renaming --- */

/* A rename that has been looked at: what goes where. */
struct renaming {
	struct dentry *from;
	struct node *new_dir;
	const char *new_name;
	size_t new_name_bytes;
	struct dentry *to; /* NULL: there is no such entry */
	bool exchange;
};

static int check_exchange(const struct renaming *r)
{
	if (r->to == NULL)
		return -ENOENT;
	return keydir_is_inside(r->from->dir, r->to->node) ? -EINVAL : 0;
}

static int check_replace(const struct renaming *r)
{
	const struct node *from = r->from->node, *to;

	if (r->to == NULL)
		return path_name_ok(r->new_name, r->new_name_bytes) ? 0 : -EINVAL;
	to = r->to->node;
	if (node_is_dir(from) && !node_is_dir(to))
		return -ENOTDIR;
	if (!node_is_dir(from) && node_is_dir(to))
		return -EISDIR;
	return node_is_dir(to) && keydir_dir_count(to) > 0 ? -ENOTEMPTY : 0;
}

/* Puts the record of a rename together. */
static int add_rename(struct store *s, const struct renaming *r) REQUIRES(s->commit_lock)
{
	const struct node *n = r->from->node;
	struct meta_attr attr = commit_attr_of(n);
	int err;

	commit_begin(s);
	if (!r->exchange && n->committed) {
		err = keep_parent(s, r->from->dir);
		if (err < 0)
			return err;
	}
	if (n->committed)
		return commit_add_move(s, n, r->new_dir, r->new_name, r->new_name_bytes,
				       r->exchange ? META_FLAG_EXCHANGE : 0);
	/* The log has nothing to move: the file begins under its new name, empty as it is. */
	attr.content = META_CONTENT_EMPTY;
	return commit_add_attr(s, r->new_dir, r->new_name, r->new_name_bytes, &attr, 0);
}

static void apply_rename(struct store *s, const struct renaming *r) REQUIRES(s->commit_lock)
{
	struct value_place empty = { 0 };
	struct node *n = r->from->node;
	int64_t now_ns = s->commit.now_ns;

	keydir_write_lock(s->keydir);
	if (n->committed)
		r->from->dir->explicit = r->from->dir->explicit || !r->exchange;
	if (r->exchange)
		keydir_exchange(s->keydir, r->from, r->to, now_ns);
	else
		keydir_move(s->keydir, r->from, r->to, now_ns);
	if (!n->committed)
		keydir_set_value(s->keydir, n, &empty, now_ns);
	keydir_write_unlock(s->keydir);
}

/* A key that the directory at the old path hid can be named now.  Its place was in the move
 * record's key. */
static void reveal_old_path(struct store *s) REQUIRES(s->commit_lock)
{
	const struct record *rec = &s->commit.records[s->commit.count - 1];

	if (!meta_is_key(rec->key, rec->key_bytes))
		return;
	/* Without memory the key stays hidden until the next mount. */
	if (replay_reveal(s->keydir, (const char *)rec->key + META_KEY_PREFIX_BYTES,
			  rec->key_bytes - META_KEY_PREFIX_BYTES, s->commit.now_ns) < 0)
		return;
}

static int rename_locked(struct store *s, struct renaming *r, uint64_t *ret_end)
	REQUIRES(s->commit_lock)
{
	bool made = false;
	int err;

	if (keydir_is_inside(r->new_dir, r->from->node))
		return -EINVAL;
	err = r->exchange ? check_exchange(r) : check_replace(r);
	if (err == 0 && r->exchange && !r->from->node->committed)
		err = store_commit_empty(s, r->from->node);
	if (err == 0 && r->exchange && !r->to->node->committed)
		err = store_commit_empty(s, r->to->node);
	if (err < 0)
		return err;
	if (r->to == NULL) {
		r->to = keydir_dentry_new(s->keydir, r->new_dir, r->new_name, r->new_name_bytes);
		if (r->to == NULL)
			return -ENOMEM;
		made = true;
	}
	err = add_rename(s, r);
	if (err == 0)
		err = commit_append(s, false);
	if (err < 0) {
		if (made)
			keydir_dentry_free(r->to);
		return err;
	}
	apply_rename(s, r);
	if (!r->exchange)
		reveal_old_path(s);
	*ret_end = s->commit.where.end_offset;
	return 0;
}

int store_rename(struct store *s, struct node *old_dir, const char *old_name, size_t old_name_bytes,
		 struct node *new_dir, const char *new_name, size_t new_name_bytes,
		 unsigned int flags, uint64_t *ret_end)
{
	struct renaming r = {
		.new_dir = new_dir,
		.new_name = new_name,
		.new_name_bytes = new_name_bytes,
		.exchange = flags == RENAME_EXCHANGE,
	};
	int err;

	if (flags != 0 && flags != RENAME_NOREPLACE && flags != RENAME_EXCHANGE)
		return -EINVAL;
	mutex_lock(&s->commit_lock);
	err = find(s, old_dir, old_name, old_name_bytes, &r.from);
	if (err == 0)
		err = check_dir(s, new_dir, new_name_bytes);
	if (err == 0) {
		r.to = keydir_find(s->keydir, new_dir, new_name, new_name_bytes);
		if (r.to != NULL && flags == RENAME_NOREPLACE)
			err = -EEXIST;
		else if (r.to != NULL && r.to->node == r.from->node)
			*ret_end = 0; /* two names of one node: nothing to do */
		else
			err = rename_locked(s, &r, ret_end);
	}
	mutex_unlock(&s->commit_lock);
	return err;
}

/* --- attributes --- */

static struct meta_time meta_time_of(struct timespec ts)
{
	return (struct meta_time){ .sec = ts.tv_sec, .nsec = (uint32_t)ts.tv_nsec };
}

void store_apply_set(struct node *n, const struct store_set *set)
{
	if (set->which & STORE_SET_MODE)
		n->mode = (n->mode & S_IFMT) | (set->mode & META_MODE_BITS);
	if (set->which & STORE_SET_UID)
		n->uid = set->uid;
	if (set->which & STORE_SET_GID)
		n->gid = set->gid;
	if (set->which & STORE_SET_MTIME)
		n->mtime_ns = keydir_ns(set->mtime.tv_sec, (uint32_t)set->mtime.tv_nsec);
	if (set->which & STORE_SET_ATIME)
		n->atime_ns = keydir_ns(set->atime.tv_sec, (uint32_t)set->atime.tv_nsec);
	if (set->which & STORE_SET_CTIME)
		n->ctime_ns = keydir_ns(set->ctime.tv_sec, (uint32_t)set->ctime.tv_nsec);
}

void store_set_to_attr(const struct store_set *set, struct meta_attr *attr)
{
	if (set->which & STORE_SET_MODE)
		attr->mode = set->mode & META_MODE_BITS;
	if (set->which & STORE_SET_UID)
		attr->uid = set->uid;
	if (set->which & STORE_SET_GID)
		attr->gid = set->gid;
	attr->mtime = meta_time_of(set->mtime);
	attr->atime = meta_time_of(set->atime);
	attr->ctime = meta_time_of(set->ctime);
	if (set->which & STORE_SET_MTIME)
		attr->fields |= META_FIELD_MTIME;
	if (set->which & STORE_SET_ATIME)
		attr->fields |= META_FIELD_ATIME;
	if (set->which & STORE_SET_CTIME)
		attr->fields |= META_FIELD_CTIME;
}

static int setattr_locked(struct store *s, struct node *n, const struct store_set *set,
			  uint64_t *ret_end) REQUIRES(s->commit_lock)
{
	struct meta_attr attr = commit_attr_of(n);
	int64_t now_ns;
	int err;

	*ret_end = 0;
	if (n->committed && !keydir_is_gone(s->keydir, n)) {
		store_set_to_attr(set, &attr);
		commit_begin(s);
		err = commit_add_attr(s, n, NULL, 0, &attr, 0);
		if (err == 0)
			err = commit_append(s, false);
		if (err < 0)
			return err;
		now_ns = s->commit.now_ns;
		*ret_end = s->commit.where.end_offset;
	} else {
		now_ns = (int64_t)s->io->ops->now_ns(s->io);
	}
	keydir_write_lock(s->keydir);
	n->ctime_ns = now_ns;
	store_apply_set(n, set);
	if (node_is_dir(n))
		n->explicit = true;
	keydir_write_unlock(s->keydir);
	return 0;
}

int store_setattr(struct store *s, struct node *n, const struct store_set *set, uint64_t *ret_end)
{
	int err;

	mutex_lock(&s->commit_lock);
	err = setattr_locked(s, n, set, ret_end);
	mutex_unlock(&s->commit_lock);
	return err;
}
