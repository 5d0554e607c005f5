/* SPDX-License-Identifier: MIT */
/* Staging: values in pieces, and publishing them. */
#include "writer/store/store_private.h"

#include <errno.h>
#include <stdlib.h>

#include "writer/log/full_disk.h"

#define PIECE_BYTES  ((uint64_t)256 * 1024) /* of one extent */
#define BATCH_PIECES LOG_WRITER_GROUP_MAX   /* number of extents in one append */

struct store_staging {
	struct store *store;
	struct store_staging *next, **prev; /* by the commit lock: in the store's list */
	uint64_t id;			    /* 0: the log has no extent of it yet */
	struct content_map *content;	    /* changed only with the commit lock held */
	bool is_published;
};

/* --- staging --- */

static struct store_staging *staging_new(struct store *s)
{
	struct store_staging *st = calloc(1, sizeof(*st));

	if (st == NULL)
		return NULL;
	st->content = content_map_new(true);
	if (st->content == NULL) {
		free(st);
		return NULL;
	}
	st->store = s;
	commit_lock(s);
	st->next = s->stagings;
	st->prev = &s->stagings;
	if (st->next != NULL)
		st->next->prev = &st->next;
	s->stagings = st;
	commit_unlock(s);
	return st;
}

void store_staging_free(struct store_staging *staging)
{
	struct store *s;

	if (staging == NULL)
		return;
	s = staging->store;
	commit_lock(s);
	*staging->prev = staging->next;
	if (staging->next != NULL)
		staging->next->prev = staging->prev;
	if (staging->id != 0 && !staging->is_published)
		(void)!number_set_add(&s->void_stagings, staging->id); /* or a fold keeps it */
	commit_unlock(s);
	content_map_free(staging->content);
	free(staging);
}

bool store_is_void_staging(struct store *s, uint64_t id)
{
	return WITH_LOCK(commit, s, number_set_has(&s->void_stagings, id));
}

void store_each_staged(struct store *s, content_piece_fn fn, void *arg)
{
	commit_lock(s);
	for (struct store_staging *st = s->stagings; st != NULL; st = st->next)
		content_map_each(st->content, fn, arg);
	commit_unlock(s);
}

uint64_t store_all_staged_bytes(struct store *s)
{
	uint64_t bytes = 0;

	commit_lock(s);
	for (const struct store_staging *st = s->stagings; st != NULL; st = st->next)
		bytes += content_map_data_bytes(st->content);
	commit_unlock(s);
	return bytes;
}

/* Extents of one append. */
struct batch {
	uint8_t key[META_EXTENT_KEY_BYTES];
	uint8_t heads[BATCH_PIECES][META_HOLE_BYTES]; /* the beginnings of their values */
	struct record records[BATCH_PIECES];
	struct content_piece pieces[BATCH_PIECES];
	size_t count;
};

/* Adds the front of 'range' to the batch and removes it from 'range'. */
static void add_staged_piece(struct batch *b, struct store_range *range)
{
	uint8_t *head = b->heads[b->count];
	struct content_piece *piece = &b->pieces[b->count];
	struct record *rec = &b->records[b->count++];
	struct meta_extent extent = {
		.flags = range->data == NULL ? META_FLAG_HOLE : 0,
		.offset = range->offset,
		.bytes = range->bytes,
	};
	size_t bytes;

	if (range->data != NULL && extent.bytes > PIECE_BYTES)
		extent.bytes = PIECE_BYTES;
	bytes = meta_extent_encode_fixed(&extent, head);
	*rec = (struct record){
		.key = b->key,
		.key_bytes = sizeof(b->key),
		.head = head,
		.head_bytes = (uint32_t)bytes,
		.value = range->data,
		.value_bytes = (uint32_t)(bytes + (range->data != NULL ? extent.bytes : 0)),
	};
	if (range->data != NULL)
		range->data = (const uint8_t *)range->data + extent.bytes;
	range->offset += extent.bytes;
	range->bytes -= extent.bytes;
	*piece = (struct content_piece){
		.offset = extent.offset,
		.bytes = extent.bytes,
		.value = { .key_bytes = rec->key_bytes, .value_bytes = rec->value_bytes },
		.value_offset = META_EXTENT_FIXED_BYTES,
		.hole = extent.flags != 0,
	};
}

/* Appends the batch and lays it over the staged content.  The timestamps are the next free ones, so
 * that a publish can have the time of the last write.  The first timestamp is the id. */
static int append_batch(struct store *s, struct store_staging *st, struct batch *b)
	REQUIRES(s->commit_lock, commit_class)
{
	uint64_t next_ns = log_writer_last_timestamp(s->log) + 1;
	uint64_t id = st->id != 0 ? st->id : next_ns;
	struct log_append where;
	int err = content_map_reserve(st->content, b->count);

	if (err < 0)
		return err;
	meta_key_prefix(META_EXTENT, b->key);
	meta_staging_id_encode(id, b->key + META_KEY_PREFIX_BYTES);
	for (size_t i = 0; i < b->count; i++)
		b->records[i].timestamp_ns = next_ns + i;
	err = log_writer_append(s->log, b->records, b->count, &where);
	if (err < 0)
		return err;
	st->id = id;
	for (size_t i = 0; i < b->count; i++) {
		b->pieces[i].value.record_position = where.position[i];
		content_map_lay(st->content, &b->pieces[i]);
	}
	b->count = 0;
	growth_note(&s->growth, where.end_position);
	return 0;
}

static int stage_locked(struct store *s, struct store_staging *st, const struct store_range *ranges,
			size_t range_count) REQUIRES(s->commit_lock, commit_class)
{
	struct batch b = { .count = 0 };
	int err = 0;

	for (size_t i = 0; err == 0 && i < range_count; i++) {
		struct store_range rest = ranges[i];

		while (err == 0 && rest.bytes > 0) {
			add_staged_piece(&b, &rest);
			if (b.count == BATCH_PIECES)
				err = append_batch(s, st, &b);
		}
	}
	if (err == 0 && b.count > 0)
		err = append_batch(s, st, &b);
	return err;
}

int store_stage(struct store *s, struct store_staging **staging, const struct store_range *ranges,
		size_t range_count)
{
	int err;

	for (size_t i = 0; i < range_count; i++)
		if (ranges[i].bytes > STORE_CONTENT_BYTES_MAX ||
		    ranges[i].offset > STORE_CONTENT_BYTES_MAX - ranges[i].bytes)
			return -EFBIG;
	if (*staging == NULL)
		*staging = staging_new(s);
	if (*staging == NULL)
		return -ENOMEM;
	err = WITH_LOCK(commit, s, stage_locked(s, *staging, ranges, range_count));
	return err;
}

/* --- queries --- */

enum store_staged store_staged_at(const struct store_staging *staging, uint64_t offset,
				  uint64_t *ret_end)
{
	struct content_piece piece;

	*ret_end = UINT64_MAX;
	if (staging == NULL || !content_map_find(staging->content, offset, &piece))
		return STORE_STAGED_NOTHING;
	if (piece.offset > offset) {
		*ret_end = piece.offset;
		return STORE_STAGED_NOTHING;
	}
	*ret_end = piece.offset + piece.bytes;
	return piece.hole ? STORE_STAGED_HOLE : STORE_STAGED_DATA;
}

uint64_t store_staged_bytes(const struct store_staging *staging)
{
	return staging == NULL ? 0 : content_map_data_bytes(staging->content);
}

int store_staged_read(struct store *s, struct node *node, struct store_staging *staging, void *buf,
		      size_t buf_bytes, uint64_t offset)
{
	const struct store_reader reader = { s, NULL, staging->content };
	struct content_piece piece;
	const struct content_pieces list = { .pieces = &piece, .count = 1 };
	size_t done = 0;
	int err = 0;

	while (err == 0 && done < buf_bytes) {
		uint64_t at = offset + done;
		size_t n = buf_bytes - done;

		if (!content_map_find(staging->content, at, &piece) || piece.offset > at)
			return -EIO; /* not staged; the caller has checked */
		if (n > piece.offset + piece.bytes - at)
			n = (size_t)(piece.offset + piece.bytes - at);
		err = store_read_pieces(&reader, &list, (uint8_t *)buf + done, n, at);
		done += n;
	}
	if (err == -EIO)
		store_tell_unreadable(s, node);
	return err;
}

/* --- publishing --- */

bool store_lends_space(struct store *s, int err)
{
	bool lent;

	if (!log_is_full(err))
		return false;
	lent = WITH_LOCK(commit, s,
			 2 * s->reserve.bytes > s->reserve.goal_bytes &&
				 reserve_release(&s->reserve));
	growth_note_full_disk(&s->growth, err);
	return lent;
}

int store_publish(struct store *s, struct node *n, struct store_staging **staging,
		  const struct store_content *content, uint64_t *ret_end)
{
	const struct store_staging *st = *staging;
	const struct meta_publish publish = {
		.flags = content->keep ? META_FLAG_KEEP : 0,
		.staging_id = st != NULL ? st->id : 0,
		.size_bytes = content->bytes,
	};
	const struct content_commit cc = {
		.n = n,
		.content = content,
		.publish = &publish,
		.staged = st != NULL ? st->content : NULL,
	};
	int err;

	if (content->bytes > STORE_CONTENT_BYTES_MAX)
		return -EFBIG;
	if (!node_is_file(n))
		return node_is_dir(n) ? -EISDIR : -EINVAL;
	commit_lock(s);
	if (content->keep && !node_is_committed(n) && !keydir_is_gone(s->keydir, n))
		err = -EINVAL; /* the log has no content of the file that the staged bytes could be
				  laid over */
	else
		err = store_commit_content(s, &cc, ret_end);
	commit_unlock(s);
	if (err == 0 && *ret_end != 0) {
		if (*staging != NULL)
			(*staging)->is_published = true;
		store_staging_free(*staging);
		*staging = NULL;
	}
	return err;
}
