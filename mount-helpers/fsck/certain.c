/* SPDX-License-Identifier: MIT */
#include "mount-helpers/fsck/certain.h"

#include <errno.h>
#include <stdlib.h>

#include "writer/index/content_map.h"
#include "writer/index/node.h"
#include "writer/index/staged.h"

struct staging {
	UT_hash_handle hh;
	uint64_t id;
	size_t gaps;	/* when it began */
	uint64_t bytes; /* sum over its extents */
	bool claimed;	/* one of its extents is only claimed, not proven */
};

void certain_pass_gap(struct certain *c)
{
	c->gaps++;
	c->behind_gap = true;
}

void certain_pass_record(struct certain *c, uint64_t timestamp_ns)
{
	if (c->behind_gap)
		c->gap_next_ns = timestamp_ns;
	c->behind_gap = false;
}

/* --- files --- */

struct known_file *certain_find_file(const struct certain *c, const struct node *n)
{
	struct known_file *f;

	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): uthash has read what it needs */
	HASH_FIND_PTR(c->files, &n, f);
	return f;
}

struct known_file *certain_file(struct certain *c, const struct node *n)
{
	struct known_file *f = certain_find_file(c, n);

	if (f != NULL)
		return f;
	f = calloc(1, sizeof(*f));
	if (f == NULL)
		return NULL;
	f->node = n;
	HASH_ADD_PTR(c->files, node, f);
	if (f->hh.tbl != NULL)
		return f;
	free(f);
	return NULL;
}

bool certain_is_fresh(const struct certain *c, const struct node *n)
{
	const struct known_file *f = certain_find_file(c, n);

	return c->gaps == 0 || (f != NULL && f->fresh_behind == c->gaps);
}

int certain_add_fresh(struct certain *c, const struct node *n)
{
	struct known_file *f;

	if (n == NULL || certain_is_fresh(c, n))
		return 0;
	f = certain_file(c, n);
	if (f == NULL)
		return -ENOMEM;
	f->fresh_behind = c->gaps;
	return 0;
}

/* --- stagings --- */

static struct staging *find_staging(const struct certain *c, uint64_t id)
{
	struct staging *s;

	HASH_FIND(hh, c->stagings, &id, sizeof(id), s);
	return s;
}

bool certain_has_staging(const struct certain *c, uint64_t id)
{
	return find_staging(c, id) != NULL;
}

int certain_add_extent(struct certain *c, uint64_t id, uint64_t bytes, bool claimed)
{
	struct staging *s = find_staging(c, id);

	if (s == NULL) {
		s = calloc(1, sizeof(*s));
		if (s == NULL)
			return -ENOMEM;
		s->id = id;
		s->gaps = c->gaps;
		HASH_ADD(hh, c->stagings, id, sizeof(s->id), s);
		if (s->hh.tbl == NULL) {
			free(s);
			return -ENOMEM;
		}
	}
	s->bytes += bytes;
	s->claimed |= claimed;
	return 0;
}

void certain_forget_staging(struct certain *c, uint64_t id)
{
	struct staging *s = find_staging(c, id);

	if (s == NULL)
		return;
	HASH_DEL(c->stagings, s);
	free(s);
}

/* Returns whether the staged pieces cover every byte of the file. */
static bool covers(const struct content_map *staged, const struct meta_publish *p)
{
	struct content_piece piece;
	uint64_t at = 0;

	while (staged != NULL && at < p->size_bytes && content_map_find(staged, at, &piece) &&
	       piece.offset <= at)
		at = piece.offset + piece.bytes;
	return at >= p->size_bytes;
}

/* Returns whether the publish proves the single, only claimed extent of its staging: the publish
 * makes the file longer, and the extent ends at the new end of the file. */
static bool is_append(const struct content_map *staged, const struct meta_publish *p,
		      const struct node *n, uint64_t bytes)
{
	struct content_piece piece;

	return n != NULL && staged != NULL && content_map_pieces(staged) == 1 &&
	       content_map_find(staged, 0, &piece) && piece.bytes == bytes &&
	       piece.offset + bytes == p->size_bytes && node_size_bytes(n) < p->size_bytes;
}

/* The id of a staging is the time of its first extent; so a staging whose id is later than the
 * first record behind the last gap began behind the gap.  Any other staging may have lost an
 * extent; but if its extents behind the gap have all bytes, a lost one would not be visible. */
bool certain_is_complete(const struct certain *c, const struct meta_publish *p,
			 const struct node *n, bool in_base)
{
	const struct content_map *staged = staged_find(keydir_staged(c->k), p->staging_id, false);
	const struct staging *s = find_staging(c, p->staging_id);
	bool whole = (p->flags & META_FLAG_KEEP) == 0 && covers(staged, p);

	if (s == NULL)
		return false;
	if (s->claimed && !(whole && s->bytes == p->size_bytes) &&
	    !is_append(staged, p, n, s->bytes))
		return false;
	if (c->gaps == 0)
		return true;
	if (s->gaps != c->gaps)
		return in_base && whole && s->bytes == p->size_bytes;
	return whole || (!in_base && s->id > c->gap_next_ns);
}

void certain_free(struct certain *c)
{
	struct staging *s, *next;
	struct known_file *f, *next_file;

	HASH_ITER (hh, c->stagings, s, next) {
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): HASH_ITER has read 'next' before */
		HASH_DEL(c->stagings, s);
		free(s);
	}
	HASH_ITER (hh, c->files, f, next_file) {
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): HASH_ITER has read 'next' before */
		HASH_DEL(c->files, f);
		free(f);
	}
}
