/* SPDX-License-Identifier: MIT */
/* Keys: the store as a key-value store. */
#include "writer/store/store_private.h"

#include <errno.h>
#include <stdlib.h>

#include "codec/record.h"
#include "writer/index/entries.h"
#include "writer/index/paths.h"
#include "writer/index/replay.h"
#include "writer/index/unnameable.h"

/* If the clock is behind: gives the times of the clock, instead of the record's timestamp from the
 * replay, to the file and to each directory that has changed. */
static void show_clock(struct store *s, const struct record *rec)
	REQUIRES(s->commit_lock, commit_class)
{
	const struct node_times now = { s->commit.now_ns, s->commit.now_ns,
					NODE_ATIME_FOLLOWS_MTIME };
	int64_t stamp_ns = ns_of_timestamp(s->commit.where.timestamp_ns[0]);
	const struct dentry *d = NULL;
	struct node *n = NULL;
	bool is_root = false;

	if (s->commit.behind_ns == 0)
		return;
	if (path_ok(rec->key, rec->key_bytes))
		d = keydir_find_path(s->keydir, rec->key, rec->key_bytes);
	if (d != NULL)
		n = dentry_node(d);
	else
		n = keydir_find_dir(s->keydir, rec->key,
				    keydir_dir_bytes(rec->key, rec->key_bytes));
	while (n != NULL && !is_root && node_times(n).ctime_ns == stamp_ns) {
		keydir_write_lock(s->keydir);
		keydir_set_times(n, &now);
		keydir_write_unlock(s->keydir);
		commit_keep_times(s, &n, 1);
		is_root = n == keydir_root(s->keydir);
		n = is_root ? NULL : node_parent(n);
	}
}

/* Appends one plain record and applies it as a replay would. */
static int append_plain_locked(struct store *s, const struct record *rec, bool removes,
			       uint64_t *ret_position, uint64_t *ret_end)
	REQUIRES(s->commit_lock, commit_class)
{
	struct log_entry entry = { .rec = *rec, .value_held_bytes = rec->value_bytes };
	int err;

	commit_begin(s);
	s->commit.records[0] = *rec;
	s->commit.count = 1;
	err = commit_append(s, removes);
	if (err < 0)
		return err;
	entry.rec.timestamp_ns = s->commit.where.timestamp_ns[0];
	entry.offset = s->commit.where.position[0];
	entry.bytes = record_bytes(rec->key_bytes, rec->value_bytes);
	*ret_position = entry.offset;
	err = replay_commit(s->keydir, s->path, &entry, 1, NULL);
	if (err == 0)
		show_clock(s, rec);
	*ret_end = s->commit.where.end_position;
	return err;
}

/* Location of the value of a key: one record, or pieces. */
struct key_value {
	struct value_position value;
	struct node *node;	     /* a file whose content is in pieces; not pinned */
	struct content_map *content; /* of an unnameable key whose content is in pieces */
};

/* Finds the value of a key: of a file, or of an unnameable key. */
static int find_key(struct store *s, const void *key, size_t key_bytes, struct key_value *ret)
	REQUIRES(s->commit_lock, commit_class)
{
	const struct unnameable *u = keydir_unnameable_find(s->keydir, key, key_bytes);
	const struct dentry *d = NULL;
	struct node *n;

	*ret = (struct key_value){ 0 };
	if (u != NULL) {
		ret->value = u->value;
		ret->content = u->content;
		return 0;
	}
	if (path_ok(key, key_bytes))
		d = keydir_find_path(s->keydir, key, key_bytes);
	if (d == NULL)
		return -ENOENT;
	n = dentry_node(d);
	if (!node_is_file(n))
		return -EISDIR;
	ret->value = node_value(n);
	if (node_content(n) != NULL)
		ret->node = n;
	return 0;
}

static int wait_if_synchronous(struct store *s, uint64_t end)
{
	return s->synchronous ? log_writer_sync_to(s->log, end) : 0;
}

int store_put(struct store *s, const void *key, size_t key_bytes, const void *value,
	      size_t value_bytes, uint64_t *ret_position)
{
	struct record rec = { .key = key, .value = value };
	struct key_value found;
	uint64_t offset, end;
	int err;

	if (key_bytes == 0 || value_bytes == 0 || meta_is_key(key, key_bytes))
		return -EINVAL;
	if (key_bytes > RECORD_KEY_BYTES_MAX || value_bytes > RECORD_VALUE_BYTES_MAX)
		return -EFBIG;
	rec.key_bytes = (uint32_t)key_bytes;
	rec.value_bytes = (uint32_t)value_bytes;
	commit_lock(s);
	err = find_key(s, key, key_bytes, &found) == -EISDIR ? -EISDIR : 0;
	if (err == 0)
		err = append_plain_locked(s, &rec, false, &offset, &end);
	commit_unlock(s);
	if (err < 0)
		return err;
	if (ret_position != NULL)
		*ret_position = offset;
	return wait_if_synchronous(s, end);
}

int store_delete(struct store *s, const void *key, size_t key_bytes)
{
	struct record rec = { .key = key };
	struct key_value found;
	uint64_t offset, end;
	int err;

	if (key_bytes == 0 || key_bytes > RECORD_KEY_BYTES_MAX)
		return -ENOENT;
	rec.key_bytes = (uint32_t)key_bytes;
	do {
		commit_lock(s);
		err = find_key(s, key, key_bytes, &found);
		if (err == 0)
			err = append_plain_locked(s, &rec, true, &offset, &end);
		commit_unlock(s);
	} while (store_makes_space_for(s, err));
	return err < 0 ? err : wait_if_synchronous(s, end);
}

/* Reads all of a content that no other thread can change. */
static int read_content(struct store *s, const struct content_map *c, uint8_t *buf, size_t bytes)
{
	const struct store_reader reader = { .s = s };
	struct content_piece piece;
	struct content_pieces list = { .pieces = &piece };
	uint64_t at = 0, end;
	int err = 0;

	while (err == 0 && at < bytes) {
		list.count = content_map_find(c, at, &piece);
		end = list.count > 0 ? piece.offset + piece.bytes : bytes;
		err = store_read_pieces(&reader, &list, buf + at, (size_t)(end - at), at);
		at = end;
	}
	return err;
}

/* Reads a value that is in pieces. */
static int get_pieces(struct store *s, const struct key_value *found, void **ret_value,
		      size_t *ret_value_bytes) REQUIRES(s->commit_lock, commit_class)
{
	const struct content_map *c =
		found->node != NULL ? node_content(found->node) : found->content;
	uint64_t bytes = content_map_size(c);
	uint8_t *buf;
	int err;

	if (bytes > STORE_VALUE_BYTES_MAX)
		return -EFBIG;
	buf = malloc(bytes > 0 ? bytes : 1);
	if (buf == NULL)
		return -ENOMEM;
	err = read_content(s, c, buf, bytes);
	if (err < 0) {
		free(buf);
		return err;
	}
	*ret_value = buf;
	*ret_value_bytes = bytes;
	return 0;
}

static int get(struct store *s, const void *key, size_t key_bytes, void **ret_value,
	       size_t *ret_value_bytes)
{
	struct key_value found;
	bool in_pieces;
	size_t bytes;
	void *buf;
	int err;

	commit_lock(s);
	err = find_key(s, key, key_bytes, &found);
	in_pieces = err == 0 && (found.node != NULL || found.content != NULL);
	if (in_pieces) /* with the lock held, no other thread changes them */
		err = get_pieces(s, &found, ret_value, ret_value_bytes);
	commit_unlock(s);
	if (err < 0 || in_pieces)
		return err;
	bytes = found.value.value_bytes;
	buf = malloc(bytes > 0 ? bytes : 1);
	if (buf == NULL)
		return -ENOMEM;
	if (bytes > 0)
		err = store_record_error(&found.value,
					 record_at_check(s->log, &found.value,
							 value_position_header_bytes(&found.value),
							 buf, bytes));
	if (err < 0) {
		free(buf);
		return err;
	}
	*ret_value = buf;
	*ret_value_bytes = bytes;
	return 0;
}

int store_get(struct store *s, const void *key, size_t key_bytes, void **ret_value,
	      size_t *ret_value_bytes)
{
	unsigned int side = read_gate_enter(&s->gate);
	int err = get(s, key, key_bytes, ret_value, ret_value_bytes);

	read_gate_leave(&s->gate, side);
	return err;
}

/* --- unnameable keys --- */

struct unnameable_list {
	store_unnameable_fn fn;
	void *arg;
	int stopped;
};

static void list_one_unnameable(void *arg, const struct unnameable *u)
{
	struct unnameable_list *l = arg;
	uint64_t bytes = u->content != NULL ? content_map_size(u->content) : u->value.value_bytes;

	if (l->stopped == 0)
		l->stopped = l->fn(l->arg, u->key, u->key_bytes, bytes);
}

int store_list_unnameable(struct store *s, store_unnameable_fn fn, void *arg)
{
	struct unnameable_list l = { fn, arg, 0 };

	commit_lock(s);
	keydir_unnameable_each(s->keydir, list_one_unnameable, &l);
	commit_unlock(s);
	return l.stopped;
}
