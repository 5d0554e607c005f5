/* SPDX-License-Identifier: MIT */
#include "writer/index/content_map.h"

#include <assert.h>
#include <bsd/sys/tree.h>
#include <errno.h>
#include <stdlib.h>

#include "codec/meta.h"
#include "codec/record.h"

struct extent {
	RB_ENTRY(extent) entry; /* in a spare extent the right child is the next spare one */
	struct content_piece piece;
};

RB_HEAD(extents, extent);

struct content_map {
	struct extents extents; /* by offset */
	struct extent *spares;
	size_t spare_count;
	bool keeps_holes; /* constant */
	uint64_t size_bytes;
	uint64_t count, data_bytes, dropped_bytes, live_bytes; /* for the queries of these names */
};

static int compare(const struct extent *a, const struct extent *b)
{
	return a->piece.offset < b->piece.offset ? -1 : a->piece.offset > b->piece.offset;
}

/* The header has __unused in its RB_GENERATE_STATIC, which is not defined here. */
RB_GENERATE_INTERNAL(extents, extent, entry, compare, static __attribute__((unused)))

static uint64_t end_of(const struct extent *e)
{
	return e->piece.offset + e->piece.bytes;
}

/* --- life --- */

struct content_map *content_map_new(bool keeps_holes)
{
	struct content_map *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	RB_INIT(&c->extents);
	c->keeps_holes = keeps_holes;
	return c;
}

static void spare_add(struct content_map *c, struct extent *e)
{
	RB_RIGHT(e, entry) = c->spares;
	c->spares = e;
	c->spare_count++;
}

static struct extent *spare_take(struct content_map *c)
{
	struct extent *e = c->spares;

	assert(e != NULL); /* reserved earlier */
	c->spares = RB_RIGHT(e, entry);
	c->spare_count--;
	return e;
}

void content_map_free(struct content_map *c)
{
	struct extent *e, *next;

	if (c == NULL)
		return;
	RB_FOREACH_SAFE(e, extents, &c->extents, next)
	{
		RB_REMOVE(extents, &c->extents, e);
		free(e);
	}
	while (c->spares != NULL)
		free(spare_take(c));
	free(c);
}

int content_map_reserve(struct content_map *c, size_t pieces)
{
	struct extent *e;

	while (c->spare_count < 2 * pieces) { /* one new piece can split another */
		e = malloc(sizeof(*e));
		if (e == NULL)
			return -ENOMEM;
		spare_add(c, e);
	}
	return 0;
}

/* Frees reserved extents that were not needed: over many files they would add up. */
static void trim_spares(struct content_map *c)
{
	while (c->spares != NULL)
		free(spare_take(c));
}

/* --- changing --- */

/* Adds an extent to the counts (+1), or removes it (-1). */
static void count(struct content_map *c, const struct content_piece *p, int by)
{
	uint64_t around = RECORD_HEADER_BYTES + p->value.key_bytes + META_EXTENT_FIXED_BYTES;

	c->count += (uint64_t)by;
	if (p->dropped)
		c->dropped_bytes += (uint64_t)by * p->bytes;
	if (p->hole || p->dropped)
		return;
	c->data_bytes += (uint64_t)by * p->bytes;
	c->live_bytes += (uint64_t)by * (p->bytes + around);
}

static struct extent *first_ending_after(const struct content_map *c, uint64_t offset)
{
	struct extent *e = RB_ROOT(&c->extents), *found = NULL;

	while (e != NULL) {
		if (end_of(e) > offset) {
			found = e;
			e = RB_LEFT(e, entry);
		} else {
			e = RB_RIGHT(e, entry);
		}
	}
	return found;
}

static void insert(struct content_map *c, const struct content_piece *piece)
{
	struct extent *e = spare_take(c);

	e->piece = *piece;
	RB_INSERT(extents, &c->extents, e);
	count(c, piece, 1);
}

static void remove_extent(struct content_map *c, struct extent *e)
{
	count(c, &e->piece, -1);
	RB_REMOVE(extents, &c->extents, e);
	spare_add(c, e);
}

static void set_end(struct content_map *c, struct extent *e, uint64_t end)
{
	count(c, &e->piece, -1);
	e->piece.bytes = end - e->piece.offset;
	count(c, &e->piece, 1);
}

/* Changes the beginning of an extent.  It keeps its place in the tree: no extent is between the old
 * offset and the new one. */
static void set_begin(struct content_map *c, struct extent *e, uint64_t begin)
{
	count(c, &e->piece, -1);
	if (!e->piece.hole)
		e->piece.value_offset += (uint32_t)(begin - e->piece.offset);
	e->piece.bytes = end_of(e) - begin;
	e->piece.offset = begin;
	count(c, &e->piece, 1);
}

/* Removes the bytes in [begin, end). */
static void clear(struct content_map *c, uint64_t begin, uint64_t end)
{
	struct extent *e = first_ending_after(c, begin), *next;

	if (e != NULL && e->piece.offset < begin) {
		struct content_piece rest = e->piece;
		uint64_t old_end = end_of(e);

		set_end(c, e, begin);
		if (old_end > end) {
			rest.value_offset += rest.hole ? 0 : (uint32_t)(end - rest.offset);
			rest.offset = end;
			rest.bytes = old_end - end;
			insert(c, &rest);
			return;
		}
		e = RB_NEXT(extents, &c->extents, e);
	}
	for (; e != NULL && end_of(e) <= end; e = next) {
		next = RB_NEXT(extents, &c->extents, e);
		remove_extent(c, e);
	}
	if (e != NULL && e->piece.offset < end)
		set_begin(c, e, end);
}

void content_map_lay(struct content_map *c, const struct content_piece *piece)
{
	uint64_t end = piece->offset + piece->bytes;

	clear(c, piece->offset, end);
	if (!piece->hole || c->keeps_holes)
		insert(c, piece);
	if (end > c->size_bytes)
		c->size_bytes = end;
}

void content_map_lay_all(struct content_map *c, const struct content_map *over)
{
	struct extent *e;

	RB_FOREACH(e, extents, (struct extents *)(uintptr_t)&over->extents)
	content_map_lay(c, &e->piece);
	if (over->size_bytes > c->size_bytes)
		c->size_bytes = over->size_bytes;
	trim_spares(c);
}

void content_map_set_size(struct content_map *c, uint64_t size_bytes)
{
	if (size_bytes < c->size_bytes)
		clear(c, size_bytes, UINT64_MAX);
	c->size_bytes = size_bytes;
	trim_spares(c);
}

void content_map_set_verified(struct content_map *c, uint64_t offset,
			      const struct value_position *value)
{
	struct extent *e = first_ending_after(c, offset);

	if (e != NULL && e->piece.offset <= offset && !e->piece.hole && !e->piece.dropped &&
	    e->piece.value.record_position == value->record_position)
		e->piece.verified = true;
}

void content_map_each(struct content_map *c, content_piece_fn fn, void *arg)
{
	struct extent *e;

	RB_FOREACH(e, extents, &c->extents)
	{
		struct content_piece before = e->piece;

		if (!e->piece.hole && !e->piece.dropped && fn(arg, &e->piece)) {
			count(c, &before, -1);
			count(c, &e->piece, 1);
		}
	}
}

/* --- queries --- */

bool content_map_find(const struct content_map *c, uint64_t offset, struct content_piece *ret)
{
	const struct extent *e = first_ending_after(c, offset);

	if (e == NULL)
		return false;
	*ret = e->piece;
	return true;
}

uint64_t content_map_size(const struct content_map *c)
{
	return c->size_bytes;
}

uint64_t content_map_pieces(const struct content_map *c)
{
	return c->count;
}

uint64_t content_map_data_bytes(const struct content_map *c)
{
	return c->data_bytes;
}

uint64_t content_map_dropped_bytes(const struct content_map *c)
{
	return c->dropped_bytes;
}

uint64_t content_map_live_bytes(const struct content_map *c)
{
	return c->live_bytes;
}
