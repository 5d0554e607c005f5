/* SPDX-License-Identifier: MIT */
/* Assembling a commit: the records of one group, in buffers that the store reuses. */
#include "writer/store/store_private.h"

#include <errno.h>
#include <stdlib.h>

#include "codec/array.h"
#include "writer/base/times.h"
#include "writer/index/entries.h"
#include "writer/index/node_content.h"
#include "writer/index/paths.h"
#include "writer/log/full_disk.h"

/* Timestamps are some ns ahead of the clock when several records are appended at the same time. */
#define BEHIND_MIN_NS  UINT64_C(1000000)
#define TELL_BEHIND_NS ((uint64_t)NSEC_PER_SEC)

uint64_t store_clock_behind(struct store *s, int64_t clock_ns)
{
	uint64_t last_ns = log_writer_last_timestamp(s->log), behind_ns;

	if (clock_ns >= 0 && (uint64_t)clock_ns >= last_ns)
		return 0;
	behind_ns = last_ns - (uint64_t)clock_ns; /* before 1970 the clock is farther behind */
	return behind_ns > BEHIND_MIN_NS ? behind_ns : 0;
}

void commit_begin(struct store *s)
{
	struct commit *c = &s->commit;

	c->count = 0;
	c->clock_ns = s->io->ops->now_ns(s->io);
	c->behind_ns = store_clock_behind(s, c->clock_ns);
	if (c->behind_ns > s->told_behind_ns + TELL_BEHIND_NS && s->clock_behind != NULL)
		s->clock_behind(s->clock_arg, c->behind_ns);
	s->told_behind_ns = c->behind_ns; /* farther behind later: it was set again */
}

void commit_say_ctime(struct store *s, struct meta_attr *attr)
{
	if (s->commit.behind_ns == 0 || (attr->fields & META_FIELD_CTIME) != 0)
		return;
	attr->fields |= META_FIELD_CTIME;
	attr->ctime = meta_time_of_ns(s->commit.clock_ns);
}

void commit_say_times(struct store *s, struct meta_attr *attr)
{
	commit_say_ctime(s, attr);
	if (s->commit.behind_ns == 0 || (attr->fields & META_FIELD_MTIME) != 0)
		return;
	attr->fields |= META_FIELD_MTIME;
	attr->mtime = meta_time_of_ns(s->commit.clock_ns);
}

static int keep_times(struct store *s, struct node *n) REQUIRES(s->commit_lock, commit_class)
{
	struct node_times t = node_times(n);
	struct meta_attr attr = node_meta_attr(n);
	int err;

	attr.fields |= META_FIELD_MTIME | META_FIELD_CTIME;
	attr.mtime = meta_time_of_ns(t.mtime_ns);
	attr.ctime = meta_time_of_ns(t.ctime_ns);
	commit_begin(s);
	err = commit_add_attr(s, n, NULL, 0, &attr);
	if (err == 0)
		err = commit_append(s, false);
	if (err < 0)
		return err;
	LOCKED(keydir_write, s->keydir, keydir_set_explicit(n));
	return 0;
}

void commit_keep_times(struct store *s, struct node *const *nodes, size_t count)
{
	int err = 0;

	if (s->commit.behind_ns == 0)
		return;
	for (size_t i = 0; err == 0 && i < count; i++) {
		struct node *n = nodes[i];

		if (n != NULL && (node_is_committed(n) || node_is_dir(n)) &&
		    !keydir_is_gone(s->keydir, n) && (i == 0 || n != nodes[i - 1]))
			err = keep_times(s, n);
	}
}

/* Writes the path of 'n'/'name' behind the prefix of the next part's key. */
static int next_part(struct store *s, const struct node *n, const char *name, size_t name_bytes,
		     struct record *ret) REQUIRES(s->commit_lock, commit_class)
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
		     const void *value, uint32_t value_bytes)
{
	struct record rec;
	int err = next_part(s, n, name, name_bytes, &rec);

	if (err < 0)
		return err;
	rec.key = (const uint8_t *)rec.key + META_KEY_PREFIX_BYTES;
	rec.key_bytes -= META_KEY_PREFIX_BYTES;
	rec.value = value;
	rec.value_bytes = value_bytes;
	s->commit.records[s->commit.count++] = rec;
	return 0;
}

/* Returns a buffer for an attr value of 'bytes'; NULL: no memory. */
static uint8_t *attr_buffer(struct commit_part *part, size_t bytes)
{
	if (bytes <= sizeof(part->value))
		return part->value;
	return ARRAY_RESERVE(part->large, bytes, part->large_bytes) < 0 ? NULL : part->large;
}

int commit_add_attr(struct store *s, const struct node *n, const char *name, size_t name_bytes,
		    const struct meta_attr *attr)
{
	struct commit_part *part = &s->commit.parts[s->commit.count];
	uint8_t *value = attr_buffer(part, meta_attr_bytes(attr));
	struct record rec;
	int err;

	if (value == NULL)
		return -ENOMEM;
	err = next_part(s, n, name, name_bytes, &rec);
	if (err < 0)
		return err;
	meta_key_prefix(META_ATTR, part->key);
	rec.value = value;
	rec.value_bytes = (uint32_t)meta_attr_encode(attr, value);
	s->commit.records[s->commit.count++] = rec;
	return 0;
}

int commit_add_move(struct store *s, const struct dentry *from, const struct store_name *to,
		    struct commit_record *move)
{
	struct commit_part *part = &s->commit.parts[s->commit.count];
	const struct store_name name = dentry_name(from);
	struct record rec;
	ssize_t path_bytes;
	size_t fixed;
	int err = next_part(s, name.dir, name.name, name.name_bytes, &rec);

	if (err < 0)
		return err;
	meta_key_prefix(move->kind, part->key);
	fixed = meta_move_encode_fixed(&move->move, part->value);
	path_bytes = keydir_path(s->keydir, to->dir, to->name, to->name_bytes,
				 (char *)part->value + fixed);
	if (path_bytes < 0)
		return (int)path_bytes;
	rec.value_bytes = (uint32_t)(fixed + (size_t)path_bytes);
	move->path = (const char *)part->key + META_KEY_PREFIX_BYTES;
	move->path_bytes = rec.key_bytes - META_KEY_PREFIX_BYTES;
	move->move.new_path = (const char *)part->value + fixed;
	move->move.new_path_bytes = (size_t)path_bytes;
	s->commit.records[s->commit.count++] = rec;
	return 0;
}

int commit_add_publish(struct store *s, const struct node *n, const struct meta_publish *publish)
{
	struct commit_part *part = &s->commit.parts[s->commit.count];
	struct record rec;
	int err = next_part(s, n, NULL, 0, &rec);

	if (err < 0)
		return err;
	meta_key_prefix(META_PUBLISH, part->key);
	meta_publish_encode(publish, part->value);
	rec.value_bytes = META_PUBLISH_BYTES;
	s->commit.records[s->commit.count++] = rec;
	return 0;
}

int commit_append(struct store *s, bool removes)
{
	struct commit *c = &s->commit;
	int err;

	do {
		err = log_writer_append(s->log, c->records, c->count, &c->where);
		if (log_is_full(err))
			growth_note_full_disk(&s->growth, err);
	} while (log_is_full(err) && removes && reserve_release(&s->reserve));
	if (err < 0)
		return err;
	c->now_ns = c->behind_ns > 0 ? c->clock_ns
				     : ns_of_timestamp(c->where.timestamp_ns[c->count - 1]);
	if (!removes && c->where.end_position >= s->reserves_until)
		store_grow_reserves(s);
	else if (!removes)
		reserve_refill(&s->reserve);
	growth_note(&s->growth, c->where.end_position);
	return 0;
}

int store_commit_empty(struct store *s, struct node *n)
{
	struct meta_attr attr = node_meta_attr(n);
	struct value_position empty = { 0 };
	struct node *dir;
	int err;

	attr.content = META_CONTENT_EMPTY;
	node_meta_add_xattrs(n, &attr);
	commit_begin(s);
	commit_say_times(s, &attr);
	err = commit_add_parent_times(s, n);
	if (err == 0)
		err = commit_add_attr(s, n, NULL, 0, &attr);
	if (err == 0)
		err = commit_append(s, false);
	if (err < 0)
		return err;
	LOCKED(keydir_write, s->keydir, keydir_set_value(s->keydir, n, &empty, s->commit.now_ns));
	dir = node_parent(n);
	commit_keep_times(s, &dir, 1);
	return 0;
}

bool commit_needs_parent_times(const struct node *n)
{
	return !node_is_committed(n) && node_mtime_is_set(node_parent(n));
}

int commit_add_parent_times(struct store *s, const struct node *n)
{
	const struct node *dir = node_parent(n);
	struct node_times t = node_times(dir);
	struct meta_attr attr = node_meta_attr(dir);

	if (!commit_needs_parent_times(n))
		return 0;
	attr.flags = META_FLAG_MORE;
	attr.fields = META_FIELD_MTIME | META_FIELD_CTIME;
	attr.mtime = meta_time_of_ns(t.mtime_ns);
	attr.ctime = meta_time_of_ns(t.ctime_ns);
	return commit_add_attr(s, dir, NULL, 0, &attr);
}
