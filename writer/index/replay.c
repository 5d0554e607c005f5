/* SPDX-License-Identifier: MIT */
#include "writer/index/replay.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "codec/path.h"
#include "writer/base/times.h"
#include "writer/index/entries.h"
#include "writer/index/inode_numbers.h"
#include "writer/index/keydir_private.h"
#include "writer/index/node_attributes.h"
#include "writer/index/node_content.h"
#include "writer/index/record_paths.h"
#include "writer/index/rename.h"
#include "writer/index/unnameable.h"

struct replay {
	struct keydir *k;
	const struct log_entry *entry; /* the entry that is being applied */
	int64_t now_ns;		       /* time of the commit */
	bool grouped;		       /* the commit has more than one record */
	const char *problem;	       /* set with -EBADMSG */
};

static int refuse(struct replay *r, const char *problem)
{
	r->problem = problem;
	return -EBADMSG;
}

static struct value_position value_of(const struct log_entry *entry)
{
	return (struct value_position){
		.record_position = entry->offset,
		.key_bytes = entry->rec.key_bytes,
		.value_bytes = entry->rec.value_bytes,
	};
}

static void remove_unnameable(struct replay *r, const struct commit_record *rec)
{
	LOCKED(keydir_write, r->k, keydir_unnameable_remove(r->k, rec->path, rec->path_bytes));
}

/* Notes that the file 'n' got a value by the present record: an unnameable key with the same bytes
 * ends. */
static void supersede(struct replay *r, const struct commit_record *rec, const struct node *n)
{
	if (!keydir_is_unnameable(r->k, n))
		remove_unnameable(r, rec);
}

/* Returns the time that a value of the present record gives to 'n'. */
static int64_t value_time(const struct replay *r, const struct node *n)
{
	return keydir_is_unnameable(r->k, n) ? ns_of_timestamp(r->entry->rec.timestamp_ns)
					     : r->now_ns;
}

/* Finds or makes the file that gets a value: at its path, or that of an unnameable key. */
static int file_for_value(struct replay *r, const struct commit_record *rec, struct node **ret)
{
	struct record_target at;
	int err;

	if (rec->unnameable || !path_ok(rec->path, rec->path_bytes) ||
	    keydir_is_too_deep(r->k, rec->path, rec->path_bytes))
		return keydir_unnameable_get(r->k, rec->path, rec->path_bytes, ret);
	err = keydir_enter(r->k, rec->path, rec->path_bytes, r->now_ns, &at);
	if (err < 0)
		return err;
	if (at.entry == NULL)
		return keydir_make(r->k, &at, S_IFREG, r->now_ns, ret);
	if (!node_is_file(dentry_node(at.entry)))
		return keydir_unnameable_get(r->k, rec->path, rec->path_bytes, ret);
	*ret = dentry_node(at.entry);
	return 0;
}

static int apply_put(struct replay *r, const struct commit_record *rec)
{
	struct value_position value = value_of(r->entry);
	struct node *n;
	int err = file_for_value(r, rec, &n);

	if (err < 0)
		return err;
	LOCKED(keydir_write, r->k, keydir_set_value(r->k, n, &value, value_time(r, n)));
	supersede(r, rec, n);
	return 0;
}

static int apply_tombstone(struct replay *r, const struct commit_record *rec)
{
	struct dentry *d;
	struct node *dir;

	remove_unnameable(r, rec);
	if (!path_ok(rec->path, rec->path_bytes))
		return 0;
	d = keydir_find_path(r->k, rec->path, rec->path_bytes);
	if (d == NULL || (node_is_dir(dentry_node(d)) && keydir_dir_count(dentry_node(d)) > 0))
		return 0; /* FreyjaDB deletes keys that do not exist, too */
	dir = dentry_dir(d);
	LOCKED(keydir_write, r->k, keydir_unlink(r->k, d, r->now_ns));
	return keydir_path_is_free(r->k, rec->path, rec->path_bytes, dir, r->now_ns);
}

/* Gives 'n' the xattrs of 'attr': the whole list, or one change. */
static int set_xattrs(struct replay *r, struct node *n, const struct meta_attr *attr)
{
	uint8_t *list = NULL;
	size_t bytes = attr->xattrs_bytes;
	int err;

	if ((attr->fields & (META_FIELD_XATTRS | META_FIELD_XATTR)) == 0)
		return 0;
	if (attr->fields & META_FIELD_XATTR)
		err = keydir_change_xattrs(r->k, n, &attr->xattr, &list, &bytes);
	else
		err = keydir_copy_xattrs(r->k, n, attr->xattrs, bytes, &list);
	if (err < 0)
		return err;
	if (bytes > XATTRS_BYTES_MAX) {
		free(list);
		return refuse(r, "more extended attributes than a file can have");
	}
	LOCKED(keydir_write, r->k, keydir_set_xattrs(n, list, bytes));
	return 0;
}

/* Gives 'n' the device number, the target and the xattrs of 'attr', if it has them. */
static int set_rare(struct replay *r, struct node *n, const struct meta_attr *attr)
{
	int err = 0;

	if (attr->fields & META_FIELD_RDEV)
		err = keydir_set_device(r->k, n, attr->rdev_major, attr->rdev_minor);
	if (err == 0 && (attr->fields & META_FIELD_TARGET) != 0)
		err = keydir_set_target(r->k, n, attr->target, attr->target_bytes);
	return err < 0 ? err : set_xattrs(r, n, attr);
}

/* Sets the attributes in an attr record, except type and content. */
static int set_attr(struct replay *r, struct node *n, const struct meta_attr *attr)
{
	const struct store_owner owner = { .mode = attr->mode, .uid = attr->uid, .gid = attr->gid };
	struct node_times t = node_times(n);
	int err = set_rare(r, n, attr);

	t.ctime_ns = r->now_ns;
	if (attr->fields & META_FIELD_MTIME)
		t.mtime_ns = ns_of_meta_time(attr->mtime);
	if (attr->fields & META_FIELD_ATIME)
		t.atime_ns = ns_of_meta_time(attr->atime);
	if (attr->fields & META_FIELD_CTIME)
		t.ctime_ns = ns_of_meta_time(attr->ctime);
	if (err == 0 && (t.ctime_ns != t.mtime_ns || t.atime_ns != NODE_ATIME_FOLLOWS_MTIME ||
			 (attr->fields & META_FIELD_INO)))
		err = keydir_prepare(r->k, n);
	if (err < 0)
		return err;
	keydir_write_lock(r->k);
	keydir_set_owner(n, &owner);
	keydir_set_times(n, &t);
	if (attr->fields & META_FIELD_INO)
		keydir_set_ino(r->k, n, attr->ino);
	if (node_is_dir(n) && (attr->flags & META_FLAG_IMPLICIT) == 0)
		keydir_set_explicit(n);
	keydir_write_unlock(r->k);
	return 0;
}

/* Finds or makes the node that an attr record is about. */
static int attr_node(struct replay *r, const char *path, size_t path_bytes,
		     const struct meta_attr *attr, struct node **ret)
{
	bool is_there = attr->type == META_TYPE_FILE && attr->content == META_CONTENT_KEPT;
	struct record_target at = { 0 };
	int err = 0;

	if (!path_ok(path, path_bytes))
		return refuse(r, "an attr record of something that is no path");
	if (is_there)
		err = keydir_find_operand(r->k, path, path_bytes, r->now_ns, &at.entry);
	else
		err = keydir_enter(r->k, path, path_bytes, r->now_ns, &at);
	if (err < 0)
		return err;
	if (is_there && at.entry == NULL)
		return refuse(r, "an attr record of a file that does not exist");
	if (at.entry != NULL && attr->content == META_CONTENT_NEW) {
		if (node_is_dir(dentry_node(at.entry)))
			return refuse(r, "a new file where a directory is");
		LOCKED(keydir_write, r->k, keydir_unlink(r->k, at.entry, r->now_ns));
		at.entry = NULL;
	}
	if (at.entry == NULL)
		return keydir_make(r->k, &at, node_type_bits(attr->type), r->now_ns, ret);
	if (node_type(dentry_node(at.entry)) != attr->type)
		return refuse(r, "an attr record of another type than what is there");
	*ret = dentry_node(at.entry);
	return 0;
}

static int apply_attr(struct replay *r, const struct commit_record *rec)
{
	const struct meta_attr *attr = &rec->attr;
	struct value_position empty = { 0 };
	struct node *n = NULL;
	int err;

	if (rec->path_bytes == 0) {
		if (attr->type != META_TYPE_DIRECTORY)
			return refuse(r, "the root is said to be no directory");
		return set_attr(r, keydir_root(r->k), attr);
	}
	err = attr_node(r, rec->path, rec->path_bytes, attr, &n);
	if (err < 0)
		return err;
	if (attr->content != META_CONTENT_KEPT)
		LOCKED(keydir_write, r->k, keydir_set_value(r->k, n, &empty, r->now_ns));
	return set_attr(r, n, attr);
}

static int apply_move(struct replay *r, const struct commit_record *rec)
{
	const struct meta_move *move = &rec->move;
	struct rename rename = { .exchange = (move->flags & META_FLAG_EXCHANGE) != 0 };
	struct record_target to;
	int err;

	if (!path_ok(rec->path, rec->path_bytes) || !path_ok(move->new_path, move->new_path_bytes))
		return refuse(r, "a move of something that is no path");
	err = keydir_find_operand(r->k, rec->path, rec->path_bytes, r->now_ns, &rename.from);
	if (err < 0)
		return err;
	if (rename.from == NULL)
		return refuse(r, "a move of something that does not exist");
	err = keydir_enter(r->k, move->new_path, move->new_path_bytes, r->now_ns, &to);
	if (err < 0)
		return err;
	rename.from = keydir_find_path(r->k, rec->path, rec->path_bytes);
	if (rename.from == NULL) /* the new path made a directory of the file */
		return refuse(r, "a move into itself");
	rename.at = (struct store_name){ to.dir, to.name, to.name_bytes };
	rename.to = to.entry;
	if (rename_check(&rename) < 0)
		return refuse(r, rename.problem);
	err = rename_prepare(r->k, &rename);
	if (err < 0)
		return err;
	return rename_apply(r->k, &rename, rec, r->now_ns);
}

static int apply_link(struct replay *r, const struct commit_record *rec)
{
	const struct meta_move *link = &rec->move;
	const char *path = rec->path;
	size_t path_bytes = rec->path_bytes;
	struct dentry *from, *d;
	struct record_target to;
	struct node *n;
	int err = 0;

	if (!path_ok(path, path_bytes) || !path_ok(link->new_path, link->new_path_bytes))
		return refuse(r, "a link to something that is no path");
	err = keydir_find_operand(r->k, path, path_bytes, r->now_ns, &from);
	if (err < 0)
		return err;
	if (from == NULL || node_is_dir(dentry_node(from)))
		return refuse(r, "a link to something that does not exist or is a directory");
	err = keydir_enter(r->k, link->new_path, link->new_path_bytes, r->now_ns, &to);
	if (err < 0)
		return err;
	from = keydir_find_path(r->k, path, path_bytes); /* it may be a directory now */
	if (from == NULL || node_is_dir(dentry_node(from)))
		return refuse(r, "a link into itself");
	if (to.entry != NULL)
		return refuse(r, "a link where something is already");
	n = dentry_node(from);
	err = keydir_prepare_name(r->k, n);
	if (err < 0)
		return err;
	d = keydir_dentry_new(r->k, to.dir, to.name, to.name_bytes);
	if (d == NULL)
		return -ENOMEM;
	keydir_write_lock(r->k);
	keydir_link(r->k, d, n, r->now_ns);
	if (link->ino != 0)
		keydir_set_ino(r->k, n, link->ino);
	keydir_write_unlock(r->k);
	return 0;
}

/* --- content in pieces --- */

static int apply_extent(struct replay *r, const struct commit_record *rec)
{
	const struct meta_extent *extent = &rec->extent;
	bool dropped = (extent->flags & META_FLAG_DROPPED) != 0;
	struct content_piece piece = {
		.offset = extent->offset,
		.bytes = extent->bytes,
		.value = value_of(r->entry),
		.value_offset = META_EXTENT_FIXED_BYTES,
		.hole = (extent->flags & META_FLAG_HOLE) != 0 && !dropped,
		.dropped = dropped,
	};
	struct content_map *c;

	if (r->grouped)
		return refuse(r, "an extent in a group");
	c = staged_find(keydir_staged(r->k), rec->staging_id, true);
	if (c == NULL || content_map_reserve(c, 1) < 0)
		return -ENOMEM;
	content_map_lay(c, &piece);
	return 0;
}

/* Makes 'staged', or with 'keep' what is there with 'staged' laid over it, the content of 'n'. */
static int publish_staged(struct replay *r, struct node *n, const struct commit_record *rec,
			  const struct content_map *staged)
{
	struct content_change change = { .staged = staged,
					 .keep = (rec->publish.flags & META_FLAG_KEEP) != 0,
					 .size_bytes = rec->publish.size_bytes };
	int err = keydir_prepare_publish(r->k, n, &change);

	if (err < 0)
		return err;
	LOCKED(keydir_write, r->k, keydir_publish(r->k, n, &change, value_time(r, n)));
	supersede(r, rec, n);
	return 0;
}

/* Applies the loss of a value: as a put, but without the bytes. */
static int apply_dropped(struct replay *r, const struct commit_record *rec)
{
	const struct content_piece piece = { .bytes = rec->publish.size_bytes, .dropped = true };
	struct content_map *content = content_map_new(false);
	struct node *n;
	int err = -ENOMEM;

	if (content != NULL && content_map_reserve(content, 1) == 0) {
		content_map_lay(content, &piece);
		err = file_for_value(r, rec, &n);
	}
	if (err == 0)
		err = publish_staged(r, n, rec, content);
	content_map_free(content);
	return err;
}

/* Finds or makes the file that a publish is about. */
static int file_for_publish(struct replay *r, const struct commit_record *rec, struct node **ret)
{
	bool keep = (rec->publish.flags & META_FLAG_KEEP) != 0;
	struct record_target at = { 0 };
	int err;

	if (rec->publish.flags & META_FLAG_UNNAMEABLE)
		return keydir_unnameable_get(r->k, rec->path, rec->path_bytes, ret);
	if (keep)
		err = keydir_find_operand(r->k, rec->path, rec->path_bytes, r->now_ns, &at.entry);
	else
		err = keydir_enter(r->k, rec->path, rec->path_bytes, r->now_ns, &at);
	if (err < 0)
		return err;
	if (at.entry == NULL ? keep : !node_is_file(dentry_node(at.entry)))
		return refuse(r, "a publish where no file is");
	if (at.entry == NULL)
		return keydir_make(r->k, &at, S_IFREG, r->now_ns, ret);
	*ret = dentry_node(at.entry);
	return 0;
}

static int apply_publish(struct replay *r, const struct commit_record *rec)
{
	const struct meta_publish *publish = &rec->publish;
	bool unnamed = (publish->flags & META_FLAG_UNNAMEABLE) != 0;
	const struct content_map *staged = NULL;
	struct node *n;
	int err;

	if (publish->flags & META_FLAG_DROPPED)
		return apply_dropped(r, rec);
	if (unnamed && meta_is_key(rec->path, rec->path_bytes))
		return refuse(r, "a publish to the key of a meta record");
	if (unnamed && (publish->flags & META_FLAG_MORE) != 0)
		return 0; /* it belongs to a record that follows */
	if (!unnamed && !path_ok(rec->path, rec->path_bytes))
		return refuse(r, "a publish to what is no path");
	if (publish->staging_id != 0)
		staged = staged_find(keydir_staged(r->k), publish->staging_id, false);
	if (publish->staging_id != 0 && staged == NULL)
		return refuse(r, "a publish of what was not staged");
	err = file_for_publish(r, rec, &n);
	if (err == 0)
		err = publish_staged(r, n, rec, staged);
	if (err == 0)
		content_map_free(staged_take(keydir_staged(r->k), publish->staging_id));
	return err;
}

/* The log begins here: its content replaces that of older segments. */
static int apply_base(struct replay *r, size_t operand_bytes)
{
	if (operand_bytes > 0)
		return refuse(r, "a base of something");
	if (r->grouped || keydir_has_begun(r->k))
		return refuse(r, "a base that is not the beginning of the log");
	return 0;
}

static int apply(struct replay *r, const struct commit_record *rec)
{
	switch (rec->kind) {
	case META_ATTR:
		return apply_attr(r, rec);
	case META_BASE:
		return apply_base(r, rec->path_bytes);
	case META_LINK:
		return apply_link(r, rec);
	case META_MOVE:
		return apply_move(r, rec);
	case META_EXTENT:
		return apply_extent(r, rec);
	case META_PUBLISH:
		return apply_publish(r, rec);
	case META_SEGMENT: /* log/segment_replay.c handles the one at the beginning of a segment */
		return refuse(r, "a segment record that is not the beginning of a segment");
	}
	return rec->value_bytes > 0 ? apply_put(r, rec) : apply_tombstone(r, rec);
}

void replay_ahead(struct keydir *k, const struct record *rec)
{
	size_t skip = meta_is_key(rec->key, rec->key_bytes) ? META_KEY_PREFIX_BYTES : 0;
	const char *path = (const char *)rec->key + skip;
	struct node *dir;
	size_t dir_bytes, bytes;

	if (rec->key_bytes <= skip)
		return;
	bytes = rec->key_bytes - skip;
	dir_bytes = keydir_dir_bytes(path, bytes);
	dir = keydir_find_dir(k, path, dir_bytes);
	if (dir != NULL)
		keydir_prefetch(k, dir, path + dir_bytes, bytes - dir_bytes);
}

static int tell(const char *path, const struct log_entry *entry, int err, const char *problem,
		struct diag *diag)
{
	if (err == -EBADMSG)
		return diag_set(diag, err,
				"%s: record at offset %" PRIu64
				": %s; nothing was changed; was it written by a newer version?",
				path, entry->offset, problem);
	return diag_set(diag, err, "%s: record at offset %" PRIu64 ": %s", path, entry->offset,
			strerror(-err));
}

int replay_decode(struct decoded_commit *c, const char *path, const struct log_entry *entries,
		  size_t entry_count, struct diag *diag)
{
	c->entries = entries;
	c->count = entry_count;
	c->resolved = false;
	c->problem = META_OK;
	c->records = c->few;
	if (entry_count > LOG_WRITER_GROUP_MAX)
		c->records = reallocarray(NULL, entry_count, sizeof(c->records[0]));
	if (c->records == NULL)
		return tell(path, entries, -ENOMEM, NULL, diag);
	for (size_t i = 0; i < entry_count; i++) {
		c->problem = commit_record_decode(&entries[i].rec, entries[i].value_held_bytes,
						  &c->records[i]);
		if (c->problem != META_OK) {
			c->problem_at = i;
			return tell(path, &entries[i], -EBADMSG, meta_error_text(c->problem), diag);
		}
	}
	c->resolved = commit_resolve_unnameable(c->records, entry_count);
	return 0;
}

void replay_release(struct decoded_commit *c)
{
	if (c->records != c->few)
		free(c->records);
}

int replay_decoded(struct keydir *k, const char *path, const struct decoded_commit *c,
		   struct diag *diag)
{
	/* All parts of a group happen at the same time: that of its last record. */
	struct replay r = { .k = k,
			    .entry = &c->entries[c->count - 1],
			    .now_ns = ns_of_timestamp(c->entries[c->count - 1].rec.timestamp_ns),
			    .grouped = c->count > 1 };
	struct commit_step step = { 0 };
	int err = 0;

	if (!c->resolved)
		err = refuse(&r, "a publish that no put of its key follows");
	while (err == 0 && commit_next(c->records, c->count, &step)) {
		r.entry = &c->entries[step.index];
		err = apply(&r, &c->records[step.index]);
	}
	keydir_begin(k);
	return err < 0 ? tell(path, r.entry, err, r.problem, diag) : 0;
}

int replay_commit(struct keydir *k, const char *path, const struct log_entry *entries,
		  size_t entry_count, struct diag *diag)
{
	struct decoded_commit c;
	int err = replay_decode(&c, path, entries, entry_count, diag);

	if (err == 0)
		err = replay_decoded(k, path, &c, diag);
	replay_release(&c);
	return err;
}
