/* SPDX-License-Identifier: MIT */
#include "fuse/open/ranges.h"

#include <bsd/sys/tree.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ALLOCATION_BYTES 16 /* overhead of malloc(3) */

struct range_node {
	RB_ENTRY(range_node) entry;
	uint64_t offset, bytes;
	uint8_t *memory; /* owned; NULL: a hole */
	uint64_t memory_bytes;
	uint64_t skip_bytes; /* of 'memory', before the first byte */
};

RB_HEAD(range_tree, range_node);

static int compare(const struct range_node *a, const struct range_node *b)
{
	return a->offset < b->offset ? -1 : a->offset > b->offset;
}

/* The macro of <bsd/sys/tree.h> for static functions uses __unused, which is not defined here. */
RB_GENERATE_INTERNAL(range_tree, range_node, entry, compare, static __attribute__((unused)))

static struct range_tree tree_of(const struct ranges *r)
{
	return (struct range_tree){ .rbh_root = r->root };
}

static uint64_t end_of(const struct range_node *e)
{
	return e->offset + e->bytes;
}

static uint64_t node_bytes(const struct range_node *e)
{
	return sizeof(*e) + ALLOCATION_BYTES +
	       (e->memory != NULL ? e->memory_bytes + ALLOCATION_BYTES : 0);
}

/* Adds a range to the counters (by = 1), or removes it (-1).  A change of a range is made between
 * the two calls. */
static void count_range(struct ranges *r, const struct range_node *e, int by)
{
	r->count += (uint64_t)by;
	r->memory_bytes += (uint64_t)by * node_bytes(e);
	if (e->memory == NULL)
		return;
	r->data_bytes += (uint64_t)by * e->bytes;
	if (e->bytes == RANGE_BYTES_MAX)
		r->full_count += (uint64_t)by;
}

static void insert(struct ranges *r, struct range_node *e)
{
	struct range_tree tree = tree_of(r);

	RB_INSERT(range_tree, &tree, e);
	r->root = tree.rbh_root;
	count_range(r, e, 1);
}

static void free_node(struct range_node *e)
{
	if (e != NULL)
		free(e->memory);
	free(e);
}

static void remove_node(struct ranges *r, struct range_node *e)
{
	struct range_tree tree = tree_of(r);

	count_range(r, e, -1);
	RB_REMOVE(range_tree, &tree, e);
	r->root = tree.rbh_root;
	free_node(e);
}

static struct range_node *next_node(struct range_node *e)
{
	return range_tree_RB_NEXT(e);
}

static struct range_node *first_ending_after(const struct ranges *r, uint64_t offset)
{
	struct range_node *e = r->root, *found = NULL;

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

/* --- forgetting --- */

static void set_end(struct ranges *r, struct range_node *e, uint64_t end)
{
	count_range(r, e, -1);
	e->bytes = end - e->offset;
	count_range(r, e, 1);
}

/* The position in the tree stays valid: no range is between the old offset and the new one. */
static void set_begin(struct ranges *r, struct range_node *e, uint64_t begin)
{
	count_range(r, e, -1);
	e->skip_bytes += e->memory != NULL ? begin - e->offset : 0;
	e->bytes = end_of(e) - begin;
	e->offset = begin;
	count_range(r, e, 1);
}

/* Makes a range [begin, end) with a copy of the bytes that 'from' has there (NULL: a hole).  It is
 * not in the tree yet.  NULL: no memory. */
static struct range_node *new_node(uint64_t begin, uint64_t end, const struct range_node *from)
{
	struct range_node *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return NULL;
	e->offset = begin;
	e->bytes = end - begin;
	if (from == NULL || from->memory == NULL)
		return e;
	e->memory = malloc(e->bytes);
	if (e->memory == NULL) {
		free(e);
		return NULL;
	}
	e->memory_bytes = e->bytes;
	memcpy(e->memory, from->memory + from->skip_bytes + (begin - from->offset), e->bytes);
	return e;
}

int ranges_clear(struct ranges *r, uint64_t offset, uint64_t end)
{
	struct range_node *e = first_ending_after(r, offset), *next, *rest;

	if (e != NULL && e->offset < offset) {
		next = next_node(e);
		if (end_of(e) > end) {
			rest = new_node(end, end_of(e), e);
			if (rest == NULL)
				return -ENOMEM;
			set_end(r, e, offset);
			insert(r, rest);
			/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the tree has it */
			return 0;
		}
		set_end(r, e, offset);
		e = next;
	}
	for (; e != NULL && end_of(e) <= end; e = next) {
		next = next_node(e);
		remove_node(r, e);
	}
	if (e != NULL && e->offset < end)
		set_begin(r, e, end);
	return 0;
}

void ranges_drop(struct ranges *r, uint64_t offset)
{
	struct range_node *e = first_ending_after(r, offset);

	if (e != NULL && e->offset == offset)
		remove_node(r, e);
}

void ranges_free(struct ranges *r)
{
	(void)!ranges_clear(r, 0, UINT64_MAX); /* splits no range, so it cannot fail */
}

/* --- laying --- */

int ranges_hole(struct ranges *r, uint64_t offset, uint64_t end)
{
	struct range_node *hole, *e;
	int err;

	if (offset >= end)
		return 0;
	hole = new_node(offset, end, NULL);
	if (hole == NULL)
		return -ENOMEM;
	err = ranges_clear(r, offset, end);
	if (err < 0) {
		free(hole);
		return err;
	}
	/* A hole merges with the holes that it touches. */
	e = first_ending_after(r, offset == 0 ? 0 : offset - 1);
	if (e != NULL && e->memory == NULL && end_of(e) == offset) {
		hole->bytes += e->bytes;
		hole->offset = e->offset;
		remove_node(r, e);
	}
	e = first_ending_after(r, end);
	if (e != NULL && e->memory == NULL && e->offset == end) {
		hole->bytes += e->bytes;
		remove_node(r, e);
	}
	insert(r, hole);
	return 0;
}

/* Returns the range of bytes that a write at 'offset' continues or overwrites, if at least one byte
 * more fits into it there. */
static struct range_node *find_to_write_in(const struct ranges *r, uint64_t offset)
{
	struct range_node *e = first_ending_after(r, offset == 0 ? 0 : offset - 1);

	if (e != NULL && end_of(e) == offset && (e->memory == NULL || e->bytes == RANGE_BYTES_MAX))
		e = next_node(e);
	return e != NULL && e->memory != NULL && e->offset <= offset ? e : NULL;
}

/* Grows by half, so that n appends cost O(n). */
static uint64_t grown_bytes(uint64_t memory_bytes, uint64_t needed_bytes)
{
	uint64_t grown = memory_bytes + memory_bytes / 2;

	if (needed_bytes <= memory_bytes)
		return memory_bytes;
	if (grown > RANGE_BYTES_MAX)
		grown = RANGE_BYTES_MAX;
	return grown > needed_bytes ? grown : needed_bytes;
}

/* Returns how many bytes of a write at 'offset' go into one range. */
static uint64_t part_bytes(const struct range_node *e, uint64_t offset, uint64_t n)
{
	uint64_t left = e == NULL ? RANGE_BYTES_MAX : e->offset + RANGE_BYTES_MAX - offset;

	return n < left ? n : left;
}

uint64_t ranges_growth(const struct ranges *r, uint64_t offset, uint64_t n)
{
	const struct range_node *e = find_to_write_in(r, offset);
	uint64_t part = part_bytes(e, offset, n), growth = 0;
	uint64_t node = sizeof(*e) + 2 * ALLOCATION_BYTES;

	if (e != NULL) {
		growth = grown_bytes(e->memory_bytes, offset + part - e->offset) - e->memory_bytes;
		n -= part;
	}
	return growth + n + (n / RANGE_BYTES_MAX + 1) * node + sizeof(*e) + ALLOCATION_BYTES;
}

/* Enlarges the memory of a range to at least 'bytes'; its bytes stay. */
static int grow_node(struct ranges *r, struct range_node *e, uint64_t bytes)
{
	uint64_t grown = grown_bytes(e->memory_bytes, bytes);
	uint8_t *memory;

	if (e->skip_bytes + bytes <= e->memory_bytes)
		return 0;
	if (grown != e->memory_bytes) {
		memory = realloc(e->memory, grown);
		if (memory == NULL)
			return -ENOMEM;
		count_range(r, e, -1);
		e->memory = memory;
		e->memory_bytes = grown;
		count_range(r, e, 1);
	}
	memmove(e->memory, e->memory + e->skip_bytes, e->bytes);
	e->skip_bytes = 0;
	return 0;
}

/* Makes a range at 'offset' without bytes.  It is not in the tree yet. */
static struct range_node *new_data_node(uint64_t offset, uint64_t memory_bytes)
{
	struct range_node *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return NULL;
	e->offset = offset;
	e->memory = malloc(memory_bytes);
	e->memory_bytes = memory_bytes;
	if (e->memory == NULL) {
		free(e);
		return NULL;
	}
	return e;
}

/* Writes the part of a write that goes into one range. */
static int write_part(struct ranges *r, struct range_node *e, uint64_t offset, const void *buf,
		      uint64_t n)
{
	bool fresh = e == NULL;
	uint64_t begin;
	int err = 0;

	if (fresh)
		e = new_data_node(offset, n);
	if (e == NULL)
		return -ENOMEM;
	if (!fresh)
		err = grow_node(r, e, offset + n - e->offset);
	begin = fresh ? offset : end_of(e);
	if (err == 0 && begin < offset + n)
		err = ranges_clear(r, begin, offset + n);
	if (err < 0) {
		if (fresh)
			free_node(e);
		return err;
	}
	memcpy(e->memory + e->skip_bytes + (offset - e->offset), buf, n);
	if (fresh) {
		e->bytes = n;
		insert(r, e);
	} else if (end_of(e) < offset + n) {
		set_end(r, e, offset + n);
	}
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the tree has it */
	return 0;
}

int ranges_write(struct ranges *r, uint64_t offset, const void *buf, uint64_t n)
{
	int err = 0;

	while (err == 0 && n > 0) {
		struct range_node *e = find_to_write_in(r, offset);
		uint64_t part = part_bytes(e, offset, n);

		err = write_part(r, e, offset, buf, part);
		offset += part;
		buf = (const uint8_t *)buf + part;
		n -= part;
	}
	return err;
}

bool ranges_find(const struct ranges *r, uint64_t offset, struct range *ret)
{
	const struct range_node *e = first_ending_after(r, offset);

	if (e == NULL)
		return false;
	*ret = (struct range){
		.offset = e->offset,
		.bytes = e->bytes,
		.data = e->memory == NULL ? NULL : e->memory + e->skip_bytes,
	};
	return true;
}
