/* SPDX-License-Identifier: MIT */
#include "mount-helpers/freyjactl/import_tree.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "codec/path.h"
#include "codec/xattrs.h"
#include "codec/array.h"
#include "writer/base/times.h"

#define DIR_MODE	0755  /* of a directory that the archive does not have */
#define MAJOR_MAX	0xfff /* of a device, in a kernel */
#define MINOR_MAX	0xfffff
#define WHOLE_BYTES_MAX ((size_t)1 << 20) /* of a file that is one record; see fuse/open/ */

/* A directory whose times are set at the end. */
struct late_dir {
	struct node *node; /* pinned */
	struct store_set times;
};

struct import_tree {
	struct store *s;
	struct node *top; /* pinned: the entries go into this directory */
	/* The directory of the last entry, so that its path is not looked up for each file. */
	struct node *dir; /* pinned; NULL: none */
	char dir_path[PATH_BYTES_MAX];
	size_t dir_path_bytes;
	struct late_dir *late;
	size_t late_count, late_capacity;
	struct import_counts counts;
	/* The content of the present entry: staged, or the first bytes of 'whole'. */
	struct store_staging *staging;
	size_t whole_bytes;
	uint8_t whole[WHOLE_BYTES_MAX];
};

/* An entry on its way into the store. */
struct item {
	struct archive_entry *e;
	mode_t type;
	struct store_owner owner;
	struct store_set times;
	struct node *target; /* of a hard link; pinned; else NULL */
};

/* --- paths --- */

/* Returns the next component of a path in an archive, and moves '*path' behind it; empty ones and
 * "." are left out.  0: there are no more. */
static size_t next_component(const char **path, const char **ret)
{
	for (;;) {
		const char *begin = *path + strspn(*path, "/");
		size_t bytes = strcspn(begin, "/");

		*path = begin + bytes;
		*ret = begin;
		if (bytes != 1 || begin[0] != '.')
			return bytes;
	}
}

static int lookup_dir(struct import_tree *t, const struct store_name *at, struct node **ret)
{
	const struct store_owner owner = { .mode = DIR_MODE, .uid = getuid(), .gid = getgid() };
	uint64_t end;
	int err = store_lookup(t->s, at->dir, at->name, at->name_bytes, ret, NULL);

	return err == -ENOENT ? store_mkdir(t->s, at, &owner, ret, NULL, &end) : err;
}

/* Finds the directory of the first 'bytes' of 'path', or makes it.  Stores it, pinned. */
static int enter_dir(struct import_tree *t, const char *path, size_t bytes, struct node **ret)
{
	const char *at = path, *name;
	struct node *n = t->top, *next;
	size_t name_bytes;
	int err = 0;

	store_pin(t->s, n);
	while (err == 0 && (name_bytes = next_component(&at, &name)) > 0 &&
	       (size_t)(at - path) <= bytes) {
		if (!path_name_ok(name, name_bytes))
			err = -EINVAL;
		else
			err = lookup_dir(t, &(struct store_name){ n, name, name_bytes }, &next);
		store_unpin(t->s, n, 1);
		n = err == 0 ? next : NULL;
	}
	if (err == 0)
		*ret = n;
	return err;
}

/* Splits the path of an entry into its directory, which is made if it is missing, and its name.
 * 'ret->name' borrows from 'path'.  A name of 0 bytes is the directory of the import. */
static int find_place(struct import_tree *t, const char *path, struct store_name *ret)
{
	const char *at = path, *name, *last = path;
	size_t bytes, last_bytes = 0, dir_bytes;
	struct node *dir;
	int err;

	while ((bytes = next_component(&at, &name)) > 0) {
		last = name;
		last_bytes = bytes;
	}
	if (last_bytes > 0 && !path_name_ok(last, last_bytes))
		return last_bytes > PATH_NAME_BYTES_MAX ? -ENAMETOOLONG : -EINVAL;
	dir_bytes = (size_t)(last - path);
	if (dir_bytes > sizeof(t->dir_path))
		return -ENAMETOOLONG;
	if (t->dir == NULL || dir_bytes != t->dir_path_bytes ||
	    memcmp(path, t->dir_path, dir_bytes) != 0) {
		err = enter_dir(t, path, dir_bytes, &dir);
		if (err < 0)
			return err;
		if (t->dir != NULL)
			store_unpin(t->s, t->dir, 1);
		t->dir = dir;
		memcpy(t->dir_path, path, dir_bytes);
		t->dir_path_bytes = dir_bytes;
	}
	*ret = (struct store_name){ t->dir, last, last_bytes };
	return 0;
}

/* Finds the file that a hard link leads to.  Stores it, pinned. */
static int find_target(struct import_tree *t, const char *path, struct node **ret)
{
	struct node *n = t->top, *next;
	const char *name;
	size_t bytes;
	int err = 0;

	store_pin(t->s, n);
	while (err == 0 && (bytes = next_component(&path, &name)) > 0) {
		err = store_lookup(t->s, n, name, bytes, &next, NULL);
		store_unpin(t->s, n, 1);
		n = err == 0 ? next : NULL;
	}
	if (err == 0)
		*ret = n;
	return err;
}

/* --- content --- */

static void drop_content(struct import_tree *t)
{
	store_staging_free(t->staging);
	t->staging = NULL;
	t->whole_bytes = 0;
}

/* Adds bytes to the content of a file of 'size' bytes. */
static int add_bytes(struct import_tree *t, const struct store_range *range, uint64_t size)
{
	if (range->offset > size || range->bytes > size - range->offset)
		return -EBADMSG;
	if (size > sizeof(t->whole))
		return store_stage(t->s, &t->staging, range, 1);
	memcpy(t->whole + range->offset, range->data, range->bytes);
	return 0;
}

/* Reads the content of a file: small ones as a whole, others into the log. */
static int read_content(struct import_tree *t, struct archive *a, uint64_t size)
{
	int err = 0, status = ARCHIVE_OK;

	if (size <= sizeof(t->whole)) {
		memset(t->whole, 0, size);
		t->whole_bytes = size;
	}
	while (err == 0 && status == ARCHIVE_OK) {
		struct store_range range = { 0 };
		la_int64_t offset = 0;
		size_t bytes = 0;

		status = archive_read_data_block(a, &range.data, &bytes, &offset);
		range.offset = (uint64_t)offset;
		range.bytes = bytes;
		if (status == ARCHIVE_OK && bytes > 0)
			err = add_bytes(t, &range, size);
	}
	return err == 0 && status != ARCHIVE_EOF ? -EBADMSG : err;
}

/* --- making --- */

static bool is_shown(const char *name)
{
	static const char *const prefixes[] = { "user.", "trusted.", "security." };

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

/* Decodes the name of an xattr.  A pax header has %HH for some bytes: GNU tar so writes '=' and
 * '%', libarchive also what is not printable ASCII, and reads none of them.  Returns its size,
 * which is too large if it does not fit. */
static size_t decode_xattr_name(const char *text, char out[XATTRS_NAME_BYTES_MAX])
{
	size_t bytes = 0;

	for (; *text != '\0' && bytes < XATTRS_NAME_BYTES_MAX; bytes++) {
		bool is_encoded = text[0] == '%' && isxdigit((unsigned char)text[1]) &&
				  isxdigit((unsigned char)text[2]) && strncmp(text, "%00", 3) != 0;
		const char digits[] = { text[1], is_encoded ? text[2] : '\0', '\0' };

		out[bytes] = is_encoded ? (char)strtoul(digits, NULL, 16) : text[0];
		text += is_encoded ? 3 : 1;
	}
	return *text == '\0' ? bytes : XATTRS_NAME_BYTES_MAX + 1;
}

static int set_xattrs(struct import_tree *t, const struct item *item, struct node *n)
{
	char name[XATTRS_NAME_BYTES_MAX];
	struct xattr x;
	const char *text;
	uint64_t end;
	int err = 0;

	(void)archive_entry_xattr_reset(item->e);
	while (err == 0 &&
	       archive_entry_xattr_next(item->e, &text, &x.value, &x.value_bytes) == ARCHIVE_OK) {
		x.name = name;
		x.name_bytes = decode_xattr_name(text, name);
		x.value = x.value_bytes > 0 ? x.value : ""; /* NULL would remove it */
		if (is_shown(text))
			err = store_setxattr(t->s, n, &x, 0, &end);
		else
			t->counts.skipped_xattrs++;
	}
	return err;
}

static int commit_file(struct import_tree *t, const struct item *item, struct node *n)
{
	const struct store_content content = {
		.bytes = (uint64_t)archive_entry_size(item->e),
		.value = t->whole,
		.written_at = item->times.mtime,
		.written_at_shown = true,
		.set = &item->times,
	};
	uint64_t end;

	if (content.bytes <= sizeof(t->whole))
		return store_commit(t->s, n, &content, &end);
	return store_publish(t->s, n, &t->staging, &content, &end);
}

/* Makes a file: nothing of it is in the log before all of it is. */
static int make_file(struct import_tree *t, const struct item *item, const struct store_name *at)
{
	struct node *n;
	uint64_t end;
	int err = store_create(t->s, at, &item->owner, &n, NULL);

	if (err < 0)
		return err;
	err = set_xattrs(t, item, n);
	if (err == 0)
		err = commit_file(t, item, n);
	if (err < 0)
		(void)!store_unlink(t->s, at, &end); /* the log does not have it */
	store_unpin(t->s, n, 1);
	return err;
}

/* Makes a symlink, device or fifo. */
static int make_special(struct import_tree *t, const struct item *item, const struct store_name *at)
{
	const struct store_special special = {
		.owner = { item->owner.mode | item->type, item->owner.uid, item->owner.gid },
		.target = archive_entry_symlink(item->e),
		.rdev_major = (uint32_t)archive_entry_rdevmajor(item->e),
		.rdev_minor = (uint32_t)archive_entry_rdevminor(item->e),
	};
	struct node *n;
	uint64_t end;
	int err;

	if (archive_entry_rdevmajor(item->e) > MAJOR_MAX ||
	    archive_entry_rdevminor(item->e) > MINOR_MAX)
		return -EOVERFLOW;
	err = store_mknod(t->s, at, &special, &n, NULL, &end);
	if (err < 0)
		return err;
	err = set_xattrs(t, item, n);
	if (err == 0)
		err = store_setattr(t->s, n, &item->times, &end);
	if (err < 0)
		(void)!store_unlink(t->s, at,
				    &end); /* half of the entry would look like all of it */
	store_unpin(t->s, n, 1);
	return err;
}

static int make(struct import_tree *t, const struct item *item, const struct store_name *at)
{
	uint64_t end;

	if (item->target != NULL)
		return store_link(t->s, item->target, at, &end);
	return item->type == S_IFREG ? make_file(t, item, at) : make_special(t, item, at);
}

/* Puts an entry in the place of the file that has its name, at once. */
static int replace(struct import_tree *t, const struct item *item, const struct store_name *at)
{
	const struct store_name temporary = { at->dir, IMPORT_TEMPORARY_NAME,
					      strlen(IMPORT_TEMPORARY_NAME) };
	struct store_attr attr;
	struct node *old;
	uint64_t end;
	int err = store_lookup(t->s, at->dir, at->name, at->name_bytes, &old, &attr);

	if (err < 0)
		return err;
	store_unpin(t->s, old, 1); /* only compared */
	if (S_ISDIR(attr.mode))
		return -EISDIR;
	if (old == item->target)
		return 0;
	err = store_unlink(t->s, &temporary, &end); /* of an import that was killed */
	if (err < 0 && err != -ENOENT)
		return err;
	err = make(t, item, &temporary);
	if (err < 0)
		return err;
	err = store_rename(t->s, &temporary, at, 0, &end);
	if (err < 0)
		(void)!store_unlink(t->s, &temporary, &end);
	return err;
}

/* --- directories --- */

static int set_later(struct import_tree *t, struct node *n, const struct store_set *times)
{
	int err = ARRAY_RESERVE(t->late, t->late_count + 1, t->late_capacity);

	if (err < 0)
		return err;
	store_pin(t->s, n);
	t->late[t->late_count++] = (struct late_dir){ n, *times };
	return 0;
}

/* Makes a directory, or finds one.  Stores it, pinned, and whether it was there. */
static int make_dir(struct import_tree *t, const struct item *item, const struct store_name *at,
		    struct node **ret, bool *ret_was_there)
{
	uint64_t end;
	int err = -EEXIST;

	if (at->name_bytes == 0) {
		*ret = t->top;
		store_pin(t->s, t->top);
	} else {
		err = store_mkdir(t->s, at, &item->owner, ret, NULL, &end);
		if (err == -EEXIST &&
		    store_lookup(t->s, at->dir, at->name, at->name_bytes, ret, NULL) < 0)
			return err;
	}
	*ret_was_there = err == -EEXIST;
	return err == -EEXIST ? 0 : err;
}

static int set_owner(struct import_tree *t, const struct item *item, struct node *n)
{
	const struct store_set set = { .which = STORE_SET_MODE | STORE_SET_UID | STORE_SET_GID,
				       .mode = item->owner.mode,
				       .uid = item->owner.uid,
				       .gid = item->owner.gid };
	struct store_attr attr;
	uint64_t end;

	store_getattr(t->s, n, &attr);
	return S_ISDIR(attr.mode) ? store_setattr(t->s, n, &set, &end) : -ENOTDIR;
}

static int add_dir(struct import_tree *t, const struct item *item, const struct store_name *at)
{
	bool was_there;
	struct node *n;
	int err = make_dir(t, item, at, &n, &was_there);

	if (err < 0)
		return err;
	if (was_there)
		err = set_owner(t, item, n);
	if (err == 0)
		err = set_later(t, n, &item->times);
	if (err == 0)
		err = set_xattrs(t, item, n);
	store_unpin(t->s, n, 1);
	return err;
}

int import_tree_finish(struct import_tree *t)
{
	uint64_t end;
	int err = 0;

	for (size_t i = 0; err == 0 && i < t->late_count; i++)
		err = store_setattr(t->s, t->late[i].node, &t->late[i].times, &end);
	return err;
}

/* --- entries --- */

/* The times of an entry.  Without a ctime in the archive it is the mtime, as if the file had been
 * written here then; a ctime is never in the future. */
static struct store_set times_of(struct archive_entry *e)
{
	struct store_set set = { .which = STORE_SET_MTIME | STORE_SET_CTIME };
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	set.mtime = now;
	if (archive_entry_mtime_is_set(e))
		set.mtime =
			(struct timespec){ archive_entry_mtime(e), archive_entry_mtime_nsec(e) };
	set.ctime = set.mtime;
	if (archive_entry_ctime_is_set(e))
		set.ctime =
			(struct timespec){ archive_entry_ctime(e), archive_entry_ctime_nsec(e) };
	if (timespec_is_later(set.ctime, now))
		set.ctime = now;
	if (archive_entry_atime_is_set(e)) {
		set.which |= STORE_SET_ATIME;
		set.atime =
			(struct timespec){ archive_entry_atime(e), archive_entry_atime_nsec(e) };
	}
	return set;
}

static int read_item(struct archive_entry *e, struct item *ret)
{
	la_int64_t uid = archive_entry_uid(e), gid = archive_entry_gid(e);

	if (uid < 0 || uid >= UINT32_MAX || gid < 0 || gid >= UINT32_MAX)
		return -EOVERFLOW;
	*ret = (struct item){
		.e = e,
		.type = archive_entry_filetype(e),
		.owner = { archive_entry_perm(e) & 07777, (uint32_t)uid, (uint32_t)gid },
		.times = times_of(e),
	};
	return 0;
}

/* Adds an entry that is no directory. */
static int add_leaf(struct import_tree *t, struct archive *a, struct item *item,
		    const struct store_name *at)
{
	const char *link = archive_entry_hardlink(item->e);
	int err = 0;

	if (at->name_bytes == 0)
		return -EISDIR;
	if (link != NULL)
		err = find_target(t, link, &item->target);
	else if (item->type == S_IFREG)
		err = read_content(t, a, (uint64_t)archive_entry_size(item->e));
	if (err == 0)
		err = make(t, item, at);
	if (err == -EEXIST)
		err = replace(t, item, at);
	if (err == 0 && link == NULL && item->type == S_IFREG)
		t->counts.bytes += (uint64_t)archive_entry_size(item->e);
	if (item->target != NULL)
		store_unpin(t->s, item->target, 1);
	drop_content(t);
	return err;
}

int import_tree_add(struct import_tree *t, struct archive *a, struct archive_entry *e)
{
	const char *path = archive_entry_pathname(e);
	struct store_name at;
	struct item item;
	int err;

	if (path == NULL)
		return -EINVAL;
	err = read_item(e, &item);
	if (err == 0)
		err = find_place(t, path, &at);
	if (err < 0)
		return err;
	err = item.type == S_IFDIR ? add_dir(t, &item, &at) : add_leaf(t, a, &item, &at);
	t->counts.entries += err == 0;
	t->counts.skipped_acls += err == 0 && archive_entry_acl_types(e) != 0;
	return err;
}

int import_tree_new(struct store *s, const char *path, struct import_tree **ret)
{
	struct import_tree *t = calloc(1, sizeof(*t));
	struct store_attr attr;
	struct node *top;
	int err;

	if (t == NULL)
		return -ENOMEM;
	t->s = s;
	t->top = store_root(s);
	err = enter_dir(t, path, strlen(path), &top);
	if (err == 0) {
		store_getattr(s, top, &attr);
		if (S_ISDIR(attr.mode)) {
			t->top = top;
			*ret = t;
			return 0;
		}
		store_unpin(s, top, 1);
		err = -ENOTDIR;
	}
	free(t);
	return err;
}

void import_tree_free(struct import_tree *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->late_count; i++)
		store_unpin(t->s, t->late[i].node, 1);
	free(t->late);
	if (t->dir != NULL)
		store_unpin(t->s, t->dir, 1);
	store_unpin(t->s, t->top, 1);
	free(t);
}

void import_tree_counts(const struct import_tree *t, struct import_counts *ret)
{
	*ret = t->counts;
}
