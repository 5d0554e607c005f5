/* SPDX-License-Identifier: MIT */
/* Keys: the store as a key-value store. */
#include "writer/store/store_private.h"

#include <errno.h>
#include <stdlib.h>

#include "codec/record.h"
#include "writer/index/entries.h"
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
		LOCKED(keydir_write, s->keydir, keydir_set_times(n, &now));
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

/* Finds the file of a key: in the tree, or of an unnameable key.  It is not pinned. */
static int find_key(struct store *s, const void *key, size_t key_bytes, struct node **ret)
	REQUIRES(s->commit_lock, commit_class)
{
	const struct dentry *d = NULL;

	*ret = keydir_unnameable_find(s->keydir, key, key_bytes);
	if (*ret != NULL)
		return 0;
	if (path_ok(key, key_bytes))
		d = keydir_find_path(s->keydir, key, key_bytes);
	if (d == NULL)
		return -ENOENT;
	*ret = dentry_node(d);
	return node_is_file(*ret) ? 0 : -EISDIR;
}

static int wait_if_synchronous(struct store *s, uint64_t end)
{
	return s->synchronous ? log_writer_sync_to(s->log, end) : 0;
}

int store_put(struct store *s, const void *key, size_t key_bytes, const void *value,
	      size_t value_bytes, uint64_t *ret_position)
{
	struct record rec = { .key = key, .value = value };
	struct node *n;
	uint64_t offset, end;
	int err;

	if (key_bytes == 0 || value_bytes == 0 || meta_is_key(key, key_bytes))
		return -EINVAL;
	if (key_bytes > RECORD_KEY_BYTES_MAX || value_bytes > RECORD_VALUE_BYTES_MAX)
		return -EFBIG;
	rec.key_bytes = (uint32_t)key_bytes;
	rec.value_bytes = (uint32_t)value_bytes;
	commit_lock(s);
	err = find_key(s, key, key_bytes, &n) == -EISDIR ? -EISDIR : 0;
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
	struct node *n;
	uint64_t offset, end;
	int err;

	if (key_bytes == 0 || key_bytes > RECORD_KEY_BYTES_MAX)
		return -ENOENT;
	rec.key_bytes = (uint32_t)key_bytes;
	do {
		commit_lock(s);
		err = find_key(s, key, key_bytes, &n);
		if (err == 0)
			err = append_plain_locked(s, &rec, true, &offset, &end);
		commit_unlock(s);
	} while (store_makes_space_for(s, err));
	return err < 0 ? err : wait_if_synchronous(s, end);
}

static int get_locked(struct store *s, const void *key, size_t key_bytes, void **ret_value,
		      size_t *ret_value_bytes) REQUIRES(s->commit_lock, commit_class)
{
	struct node *n;
	uint64_t bytes;
	ssize_t got;
	void *buf;
	int err = find_key(s, key, key_bytes, &n);

	if (err < 0)
		return err;
	bytes = node_size_bytes(n);
	if (bytes > STORE_VALUE_BYTES_MAX)
		return -EFBIG;
	buf = malloc(bytes > 0 ? bytes : 1);
	if (buf == NULL)
		return -ENOMEM;
	got = store_read_value(s, n, buf, bytes, 0); /* with the lock it cannot change meanwhile */
	if (got < 0) {
		free(buf);
		return (int)got;
	}
	*ret_value = buf;
	*ret_value_bytes = (size_t)got;
	return 0;
}

int store_get(struct store *s, const void *key, size_t key_bytes, void **ret_value,
	      size_t *ret_value_bytes)
{
	unsigned int side = read_gate_enter(&s->gate);
	int err = WITH_LOCK(commit, s, get_locked(s, key, key_bytes, ret_value, ret_value_bytes));

	read_gate_leave(&s->gate, side);
	return err;
}

/* --- unnameable keys --- */

int store_list_unnameable(struct store *s, store_unnameable_fn fn, void *arg)
{
	const struct node *n;
	uint64_t cursor = 0;
	int stopped = 0;

	commit_lock(s);
	while (stopped == 0 && (n = keydir_unnameable_next(s->keydir, &cursor)) != NULL) {
		struct store_name key = dentry_name(node_name(n));

		stopped = fn(arg, (const uint8_t *)key.name, key.name_bytes, node_size_bytes(n));
	}
	commit_unlock(s);
	return stopped;
}
