/* SPDX-License-Identifier: MIT */
#include "writer/index/node_content.h"

#include <errno.h>
#include <sys/stat.h>

#include "codec/record.h"
#include "writer/index/keydir_private.h"

/* --- reading --- */

static uint64_t value_record_bytes(const struct value_position *value)
{
	return value->value_bytes == 0 ? 0 : record_bytes(value->key_bytes, value->value_bytes);
}

uint64_t content_live_bytes(const struct value_position *value, const struct content_map *content)
{
	return content != NULL ? content_map_live_bytes(content) : value_record_bytes(value);
}

uint64_t node_live_bytes(const struct node *n)
{
	struct value_position value = node_value(n);

	return content_live_bytes(&value, node_content(n));
}

uint64_t node_size_bytes(const struct node *n)
{
	const struct node_extra *extra = node_extra(n);

	if (S_ISLNK(n->mode) && extra != NULL)
		return extra->target_bytes;
	if (extra != NULL && extra->content != NULL)
		return content_map_size(extra->content);
	return n->value_bytes;
}

struct content_piece node_whole_piece(const struct node *n)
{
	return (struct content_piece){
		.bytes = n->value_bytes,
		.value = node_value(n),
		.verified = n->verified,
	};
}

size_t keydir_pieces(struct keydir *k, struct node *n, uint64_t offset, uint64_t end,
		     struct content_pieces *ret)
{
	const struct content_map *c;
	struct content_piece *piece = ret->pieces;

	ret->count = 0;
	keydir_read_lock(k);
	c = node_content(n);
	ret->size_bytes = node_size_bytes(n);
	if (c == NULL && n->value_bytes > offset && offset < end && ret->capacity > 0)
		ret->pieces[ret->count++] = node_whole_piece(n);
	while (c != NULL && offset < end && ret->count < ret->capacity &&
	       content_map_find(c, offset, piece) && piece->offset < end) {
		offset = piece->offset + piece->bytes;
		ret->count++;
		piece++;
	}
	keydir_read_unlock(k);
	return ret->count;
}

void keydir_set_verified(struct keydir *k, struct node *n, const struct content_piece *piece)
{
	keydir_write_lock(k);
	if (node_content(n) != NULL)
		content_map_set_verified(node_content(n), piece->offset, &piece->value);
	else if (node_value(n).record_position == piece->value.record_position)
		n->verified = true;
	keydir_write_unlock(k);
}

/* --- all bytes of the log that a tree reads --- */

static void node_pieces(struct keydir *k, struct node *n, bool changes, content_piece_fn fn,
			void *arg)
{
	uint64_t before = changes ? node_live_bytes(n) : 0;
	struct content_piece piece;

	if (node_content(n) != NULL) {
		content_map_each(node_content(n), fn, arg);
	} else if (n->value_bytes > 0) {
		piece = node_whole_piece(n);
		if (fn(arg, &piece))
			node_set_position(n, &piece.value);
	}
	if (changes && n->name != 0)
		k->stats.live_bytes += node_live_bytes(n) - before;
}

static bool each_piece_locked(struct keydir *k, uint32_t *cursor, size_t nodes, bool changes,
			      content_piece_fn fn, void *arg) REQUIRES_SHARED(keydir_class)
{
	struct node *n = NULL;

	for (; nodes > 0 && (n = keydir_each_node(k, cursor)) != NULL; nodes--)
		if (node_is_file(n))
			node_pieces(k, n, changes, fn, arg);
	return n != NULL;
}

bool keydir_each_piece(struct keydir *k, uint64_t *cursor, size_t nodes, bool changes,
		       content_piece_fn fn, void *arg)
{
	/* The cursor has a position in the slab and the number of copies at the beginning. */
	uint32_t at = (uint32_t)*cursor, copies = (uint32_t)(*cursor >> 32);
	bool more;

	if (at == 0)
		copies = k->content_copies;
	if (changes)
		more = WITH_LOCK(keydir_write, k,
				 each_piece_locked(k, &at, nodes, changes, fn, arg));
	else
		more = WITH_LOCK(keydir_read, k,
				 each_piece_locked(k, &at, nodes, changes, fn, arg));
	if (!more && copies != k->content_copies) {
		at = 0; /* the other node may be one that was passed before */
		more = true;
	}
	*cursor = (uint64_t)copies << 32 | at;
	return more;
}

/* --- changing --- */

void node_set_position(struct node *n, const struct value_position *value)
{
	n->record_position = value->record_position;
	n->key_bytes = (uint16_t)(value->key_bytes < UINT16_MAX ? value->key_bytes : UINT16_MAX);
	n->value_bytes = value->value_bytes;
}

/* Notes the first commit of a file, at 'now_ns'.  A replay makes its entry at that time, so its
 * directory must show that time from here on, too, unless the directory's time was set explicitly,
 * which the log has as well. */
static void commit_entry(struct node *n, int64_t now_ns)
{
	if (!n->committed && n->name != 0 && !node_parent(n)->mtime_set &&
	    node_parent(n)->mtime_ns < now_ns)
		keydir_touch(node_parent(n), now_ns);
	n->committed = true;
}

void node_replace_content(struct keydir *k, struct node *n, const struct value_position *value,
			  struct content_map *content, int64_t now_ns)
{
	struct content_map *old = node_content(n);
	struct value_position old_value = node_value(n);

	if (n->name != 0)
		k->stats.live_bytes +=
			content_live_bytes(value, content) - content_live_bytes(&old_value, old);
	node_set_position(n, value);
	if (old != NULL || content != NULL)
		node_extra(n)->content = content;
	content_map_free(old);
	n->verified = false;
	commit_entry(n, now_ns);
	keydir_touch(n, now_ns);
}

void keydir_set_value(struct keydir *k, struct node *n, const struct value_position *value,
		      int64_t now_ns)
{
	node_replace_content(k, n, value, NULL, now_ns);
}

/* Lays 'over' (NULL: nothing) over the content of 'n'.  Requires a reservation for its pieces. */
static void lay_content(struct keydir *k, struct node *n, const struct content_map *over,
			uint64_t size_bytes, int64_t now_ns)
{
	struct content_map *c = node_content(n);
	uint64_t before = content_map_live_bytes(c);

	if (over != NULL)
		content_map_lay_all(c, over);
	content_map_set_size(c, size_bytes);
	if (n->name != 0)
		k->stats.live_bytes += content_map_live_bytes(c) - before;
	commit_entry(n, now_ns);
	keydir_touch(n, now_ns);
}

int keydir_prepare_publish(struct keydir *k, struct node *n, struct content_change *change)
{
	const struct content_map *staged = change->staged;
	size_t pieces = staged == NULL ? 0 : content_map_pieces(staged);
	struct content_piece base;
	struct content_map *c;

	change->fresh = NULL;
	if (node_extra_get(k, n) == NULL)
		return -ENOMEM;
	if (change->keep && node_content(n) != NULL)
		return content_map_reserve(node_content(n), pieces);
	keydir_read_lock(k); /* other threads may note a CRC that they have checked */
	base = node_whole_piece(n);
	keydir_read_unlock(k);
	c = content_map_new(false);
	if (c == NULL)
		return -ENOMEM;
	if (content_map_reserve(c, pieces + 1) < 0) {
		content_map_free(c);
		return -ENOMEM;
	}
	if (change->keep && base.bytes > 0)
		content_map_lay(c, &base);
	if (staged != NULL)
		content_map_lay_all(c, staged);
	content_map_set_size(c, change->size_bytes);
	change->fresh = c;
	return 0;
}

void keydir_drop_publish(struct content_change *change)
{
	content_map_free(change->fresh);
	change->fresh = NULL;
}

void keydir_publish(struct keydir *k, struct node *n, struct content_change *change, int64_t now_ns)
{
	const struct value_position none = { 0 };

	if (change->fresh != NULL)
		node_replace_content(k, n, &none, change->fresh, now_ns);
	else
		lay_content(k, n, change->staged, change->size_bytes, now_ns);
	change->fresh = NULL;
}
