/* SPDX-License-Identifier: MIT */
/* The contents of a base: values, staged or not, copied from the folded segments. */
#include "writer/compact/fold_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "writer/compact/rewrite.h"
#include "writer/index/staged.h"
#include "writer/index/node_content.h"
#include "writer/index/unnameable.h"

#define KEY_BYTES_MAX ((size_t)META_KEY_PREFIX_BYTES + PATH_BYTES_MAX)

/* --- records --- */

/* Reports the bytes written since the last call. */
static int pace(struct fold_writer *w)
{
	uint64_t end = fold_end(w), bytes = end - w->paced;

	if (end > w->b->bytes_max) {
		w->b->is_too_large = true;
		return -EFBIG;
	}
	if (bytes < COMPACT_OUT_BYTES)
		return 0;
	w->paced = end;
	return w->b->pace(w->b->arg, bytes);
}

/* Adds a record behind the pending hole, if there is one. */
static int add_base_record(struct fold_writer *w, const struct record *rec)
{
	int err = fold_flush_hole(w);

	if (err == 0)
		err = fold_begin_record(w, record_bytes(rec->key_bytes, rec->value_bytes));
	if (err == 0)
		err = compact_out_record(&w->to, rec);
	return err < 0 ? err : pace(w);
}

int fold_add_meta(struct fold_writer *w, enum meta_kind kind, struct record rec)
{
	size_t key_bytes = META_KEY_PREFIX_BYTES + (size_t)rec.key_bytes;
	uint8_t *key = key_bytes <= KEY_BYTES_MAX ? w->key : malloc(key_bytes);
	int err = key_bytes > RECORD_KEY_BYTES_MAX ? -ENAMETOOLONG : key == NULL ? -ENOMEM : 0;

	if (err == 0) {
		meta_key_prefix(kind, key);
		if (rec.key_bytes > 0)
			memcpy(key + META_KEY_PREFIX_BYTES, rec.key, rec.key_bytes);
		rec.key = key;
		rec.key_bytes = (uint32_t)key_bytes;
		err = add_base_record(w, &rec);
	}
	if (key != w->key)
		free(key);
	return err;
}

static int add_publish(struct fold_writer *w, const void *key, size_t key_bytes,
		       struct meta_publish publish, uint64_t timestamp_ns)
{
	uint8_t value[META_PUBLISH_BYTES];

	meta_publish_encode(&publish, value);
	return fold_add_meta(w, META_PUBLISH,
			     (struct record){ .timestamp_ns = timestamp_ns,
					      .key = key,
					      .key_bytes = (uint32_t)key_bytes,
					      .value = value,
					      .value_bytes = sizeof(value) });
}

/* The timestamps of extents do not matter, except that a timestamp equal to the id marks the first
 * extent. */
static uint64_t time_of_extents(const struct fold_writer *w, uint64_t id)
{
	return id < w->b->as_of_ns ? id : w->b->as_of_ns;
}

static void extent_key(uint64_t id, uint8_t key[META_EXTENT_KEY_BYTES])
{
	meta_key_prefix(META_EXTENT, key);
	meta_staging_id_encode(id, key + META_KEY_PREFIX_BYTES);
}

/* Adds a hole, dropped or not, without merging it with another. */
static int add_hole_record(struct fold_writer *w, uint64_t id, const struct meta_extent *hole)
{
	uint8_t key[META_EXTENT_KEY_BYTES], value[META_HOLE_BYTES];
	struct record rec = { .timestamp_ns = time_of_extents(w, id),
			      .key = key,
			      .key_bytes = sizeof(key),
			      .value = value };
	int err;

	extent_key(id, key);
	rec.value_bytes = (uint32_t)meta_extent_encode_fixed(hole, value);
	err = fold_begin_record(w, record_bytes(rec.key_bytes, rec.value_bytes));
	return err < 0 ? err : compact_out_record(&w->to, &rec);
}

int fold_flush_hole(struct fold_writer *w)
{
	uint64_t id = w->hole_id;

	w->hole_id = 0;
	return id == 0 ? 0 : add_hole_record(w, id, &w->hole);
}

/* Adds dropped bytes; merges them with the pending hole if they follow it. */
static int add_dropped(struct fold_writer *w, uint64_t id, uint64_t offset, uint64_t bytes)
{
	int err;

	if (w->hole_id == id && w->hole.offset + w->hole.bytes == offset) {
		w->hole.bytes += bytes;
		return 0;
	}
	err = fold_flush_hole(w);
	w->hole_id = id;
	w->hole = (struct meta_extent){ .flags = META_FLAG_HOLE | META_FLAG_DROPPED,
					.offset = offset,
					.bytes = bytes };
	return err;
}

/* --- copying --- */

static int take_record(struct fold_writer *w, const struct value_position *value)
{
	int err = fold_source_take(&w->source, value);

	if (err == -EBADMSG || err == -EIO)
		w->b->bad_position = value->record_position;
	return err;
}

/* Copies bytes of the current record's value as the value of 'rec', behind its head, and notes
 * their new position.  Counts them as live if 'live' is set. */
static int copy(struct fold_writer *w, const struct record *rec, uint32_t from, uint32_t bytes,
		bool live)
{
	struct live_range range = {
		.record = w->source.at,
		.from = from,
		.bytes = bytes,
		.to_from = rec->head_bytes,
		.to_value_bytes = rec->head_bytes + bytes,
		.to_key_bytes = rec->key_bytes,
	};
	int err = fold_flush_hole(w);

	if (err == 0)
		err = fold_begin_record(w, record_bytes(rec->key_bytes, range.to_value_bytes));
	range.to_record = fold_end(w);
	if (err == 0)
		err = fold_source_copy(&w->source, &w->to, rec, from, bytes);
	if (err == 0)
		err = live_add_moved(&w->b->moved, &range);
	if (live)
		w->live_bytes += record_bytes(range.to_key_bytes, range.to_value_bytes);
	return err < 0 ? err : pace(w);
}

/* Returns whether any file is read from the record. */
static bool is_read(const struct fold_writer *w, const struct value_position *value)
{
	return live_next(w->b->live, value->record_position, 0) != NULL;
}

int fold_add_put(struct fold_writer *w, const void *key, size_t key_bytes,
		 const struct value_position *value, uint64_t *timestamp_ns)
{
	uint64_t stub_bytes = (uint64_t)META_KEY_PREFIX_BYTES + key_bytes + META_PUBLISH_BYTES;
	struct record rec = { .key = key, .key_bytes = (uint32_t)key_bytes };
	int err = take_record(w, value);

	if (err < 0)
		return err;
	rec.timestamp_ns = w->source.rec.timestamp_ns;
	if (*timestamp_ns != FOLD_OWN_TIME)
		rec.timestamp_ns = *timestamp_ns;
	*timestamp_ns = rec.timestamp_ns;
	if (!is_read(w, value) && stub_bytes < (uint64_t)key_bytes + value->value_bytes)
		return add_publish(
			w, key, key_bytes,
			(struct meta_publish){ META_FLAG_DROPPED, 0, value->value_bytes },
			rec.timestamp_ns);
	return copy(w, &rec, 0, value->value_bytes, is_read(w, value));
}

/* Adds bytes of the current record's value as an extent. */
static int add_extent(struct fold_writer *w, uint64_t id, uint64_t offset, uint32_t from,
		      uint32_t bytes)
{
	const struct meta_extent extent = { .offset = offset, .bytes = bytes };
	uint8_t key[META_EXTENT_KEY_BYTES], head[META_HOLE_BYTES];
	struct record rec = { .timestamp_ns = time_of_extents(w, id),
			      .key = key,
			      .key_bytes = sizeof(key),
			      .head = head };

	if (bytes > UINT32_MAX - META_EXTENT_FIXED_BYTES)
		return -EFBIG; /* a put of 4 GiB whose last bytes were overwritten */
	extent_key(id, key);
	rec.head_bytes = (uint32_t)meta_extent_encode_fixed(&extent, head);
	return copy(w, &rec, from, bytes, true);
}

/* Finds the next bytes of a piece that are read, at or behind byte 'from' of the value, together
 * with bytes that follow so closely that a gap would cost more than it gains.  Returns false if
 * there are none. */
static bool next_run(const struct fold_writer *w, const struct content_piece *piece, uint64_t from,
		     uint64_t *ret_begin, uint64_t *ret_end)
{
	uint64_t record = piece->value.record_position, end = piece->value_offset + piece->bytes;
	const struct live_range *r = live_next(w->b->live, record, from);

	if (r == NULL || r->from >= end)
		return false;
	*ret_begin = r->from > from ? r->from : from;
	do {
		*ret_end = (uint64_t)r->from + r->bytes;
		r = *ret_end < end ? live_next(w->b->live, record, *ret_end) : NULL;
	} while (r != NULL && r->from < end && r->from <= *ret_end + REWRITE_GAP_BYTES);
	if (*ret_end > end)
		*ret_end = end;
	return true;
}

/* Adds a piece of the content staged under 'id'. */
static int add_content_piece(struct fold_writer *w, uint64_t id, const struct content_piece *piece)
{
	const struct meta_extent hole = { META_FLAG_HOLE, piece->offset, piece->bytes };
	uint64_t at = piece->value_offset, end = at + piece->bytes, run, run_end;
	int err;

	if (piece->dropped)
		return add_dropped(w, id, piece->offset, piece->bytes);
	if (piece->hole) {
		err = fold_flush_hole(w);
		return err < 0 ? err : add_hole_record(w, id, &hole);
	}
	err = take_record(w, &piece->value);
	while (err == 0 && next_run(w, piece, at, &run, &run_end)) {
		uint64_t offset = piece->offset + (at - piece->value_offset);

		if (run > at)
			err = add_dropped(w, id, offset, run - at);
		if (err == 0)
			err = add_extent(w, id, offset + (run - at), (uint32_t)run,
					 (uint32_t)(run_end - run));
		at = run_end;
	}
	if (err == 0 && at < end)
		err = add_dropped(w, id, piece->offset + (at - piece->value_offset), end - at);
	return err;
}

static int add_pieces(struct fold_writer *w, uint64_t id, const struct content_map *c)
{
	struct content_piece piece;
	uint64_t at = 0;
	int err = 0;

	while (err == 0 && content_map_find(c, at, &piece)) {
		err = add_content_piece(w, id, &piece);
		at = piece.offset + piece.bytes;
	}
	return err;
}

/* Returns an id that no staging in the tree has, and none can have later: later stagings have later
 * times. */
static uint64_t new_id(struct fold_writer *w)
{
	while (w->next_id == 0 || staged_find(keydir_staged(w->b->tree), w->next_id, false) != NULL)
		w->next_id--;
	return w->next_id--;
}

/* Returns whether no byte of a content can be read. */
static bool is_dropped(const struct content_map *c)
{
	struct content_piece piece;

	return content_map_find(c, 0, &piece) && piece.dropped && piece.offset == 0 &&
	       piece.bytes == content_map_size(c);
}

int fold_add_content(struct fold_writer *w, const char *path, size_t path_bytes,
		     const struct content_map *c, uint64_t timestamp_ns)
{
	uint64_t id = content_map_pieces(c) > 0 ? new_id(w) : 0;
	int err;

	if (is_dropped(c))
		return add_publish(
			w, path, path_bytes,
			(struct meta_publish){ META_FLAG_DROPPED, 0, content_map_size(c) },
			timestamp_ns);
	err = add_pieces(w, id, c);
	return err < 0 ? err
		       : add_publish(w, path, path_bytes,
				     (struct meta_publish){ 0, id, content_map_size(c) },
				     timestamp_ns);
}

/* --- unnameable keys --- */

static int add_unnameable(struct fold_writer *w, const struct node *n)
{
	const struct store_name key = dentry_name(node_name(n));
	const struct content_map *c = node_content(n);
	const struct value_position value = node_value(n);
	/* All of it, if it has no pieces, or is one record that is not read. */
	const struct content_piece all = { .bytes = node_size_bytes(n),
					   .hole = c != NULL,
					   .dropped = c == NULL };
	struct meta_publish publish = { .flags = META_FLAG_UNNAMEABLE | META_FLAG_MORE };
	uint64_t time_ns = (uint64_t)node_times(n).mtime_ns;
	int err;

	if (time_ns > w->b->as_of_ns)
		time_ns = w->b->as_of_ns;
	if (c == NULL && !path_ok(key.name, key.name_bytes))
		return fold_add_put(w, key.name, key.name_bytes, &value, &time_ns);
	if (c == NULL && is_read(w, &value)) {
		err = add_publish(w, key.name, key.name_bytes, publish, time_ns);
		w->in_group = true;
		if (err == 0)
			err = fold_add_put(w, key.name, key.name_bytes, &value, &time_ns);
		w->in_group = false;
		return err;
	}
	publish = (struct meta_publish){ META_FLAG_UNNAMEABLE, new_id(w), all.bytes };
	err = c != NULL && content_map_pieces(c) > 0
		      ? add_pieces(w, publish.staging_id, c)
		      : add_content_piece(w, publish.staging_id, &all);
	return err < 0 ? err : add_publish(w, key.name, key.name_bytes, publish, time_ns);
}

int fold_add_unnameable(struct fold_writer *w)
{
	const struct node *n;
	uint64_t cursor = 0;
	int err = 0;

	while (err == 0 && (n = keydir_unnameable_next(w->b->tree, &cursor)) != NULL)
		err = add_unnameable(w, n);
	return err;
}

/* --- remaining content --- */

static void add_staged(void *arg, uint64_t id, struct content_map *c)
{
	struct fold_writer *w = arg;

	if (w->err == 0 && !w->b->is_void(w->b->arg, id))
		w->err = add_pieces(w, id, c);
}

int fold_add_staged(struct fold_writer *w)
{
	staged_each(keydir_staged(w->b->tree), add_staged, w);
	return w->err;
}

/* Adds a range as the value of 'key'. */
static int add_orphan(struct fold_writer *w, const struct live_range *r, const struct record *rec)
{
	const struct value_position value = { r->record, r->to_key_bytes, r->to_value_bytes };
	int err = take_record(w, &value);

	return err < 0 ? err : copy(w, rec, r->from, r->bytes, true);
}

/* Adds ranges that only unlinked files have, and the second piece of a range that was folded into
 * two. */
int fold_add_orphans(struct fold_writer *w)
{
	const struct live *live = w->b->live;
	struct record rec = { .timestamp_ns = w->b->as_of_ns };
	size_t moved = w->b->moved.count;
	char key[64];
	int err = 0;

	/* An unnameable key that does not exist yet. */
	memset(key, '/', sizeof(key));
	rec.key = key;
	rec.key_bytes = 1;
	while (rec.key_bytes < sizeof(key) &&
	       keydir_unnameable_find(w->b->tree, key, rec.key_bytes) != NULL)
		rec.key_bytes++;
	live_sort_moved(&w->b->moved);
	for (size_t i = 0; err == 0 && i < live->count; i++) {
		struct live sorted = w->b->moved; /* as it was; ranges added here are behind it */

		sorted.count = moved;
		if (!live_has(&sorted, &live->ranges[i]))
			err = add_orphan(w, &live->ranges[i], &rec);
	}
	if (err == 0 && w->b->moved.count > moved)
		err = add_base_record(w, &rec); /* a tombstone */
	live_sort_moved(&w->b->moved);
	return err;
}
