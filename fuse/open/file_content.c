/* SPDX-License-Identifier: MIT */
#include "fuse/open/file_content.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define STREAM_BYTES_MIN (UINT64_C(128) * 1024) /* smaller writes are collected in memory */
#define BATCH_RANGES	 64			/* ranges that one call stages */
#define COUNT_STEPS_MAX	 512			/* of file_content_data_bytes() */

/* Cost of a record beyond its bytes, including the memory for the piece. */
#define RECORD_COST_BYTES UINT64_C(128)

/* A block that consists of more pieces than the limit is written again as one piece.  The more
 * pieces the file has, the lower is the limit of a block; one piece for each of its pages is always
 * allowed. */
#define BLOCK_BYTES	    UINT64_C(32768)
#define BLOCK_PAGES	    8 /* of 4096 bytes */
#define APPENDED_PIECES_MAX 2 /* in a block that an append has just reached */
static const struct {
	uint64_t pieces_max; /* of the file */
	size_t limit;	     /* in a block */
} block_limits[] = {
	{ 4096, 64 },
	{ 65536, 16 },
	{ UINT64_MAX, BLOCK_PAGES },
};

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* --- looking through the layers --- */

struct layer {
	enum {
		LAYER_MEMORY,
		LAYER_STAGED,
		LAYER_COMMITTED,
		LAYER_ZEROS,
	} kind;
	uint64_t end;	     /* the layer is seen up to this offset */
	const uint8_t *data; /* LAYER_MEMORY: the bytes */
};

/* Returns the layer that is seen at 'offset', which must be inside the content. */
static struct layer layer_at(const struct file_content *c, uint64_t offset)
{
	const struct pending *p = c->p;
	struct layer l = { .kind = LAYER_COMMITTED, .end = p->size_bytes };
	struct range r;
	uint64_t end;

	if (!p->active) {
		l.end = UINT64_MAX;
		return l;
	}
	if (ranges_find(&p->ranges, offset, &r)) {
		if (r.offset <= offset) {
			l.kind = r.data != NULL ? LAYER_MEMORY : LAYER_ZEROS;
			l.data = r.data != NULL ? r.data + (offset - r.offset) : NULL;
			l.end = least(l.end, r.offset + r.bytes);
			return l;
		}
		l.end = least(l.end, r.offset);
	}
	switch (store_staged_at(p->staging, offset, &end)) {
	case STORE_STAGED_DATA:
		l.kind = LAYER_STAGED;
		break;
	case STORE_STAGED_HOLE:
		l.kind = LAYER_ZEROS;
		break;
	case STORE_STAGED_NOTHING:
		if (!p->keep)
			l.kind = LAYER_ZEROS;
		break;
	}
	l.end = least(l.end, end);
	return l;
}

/* Reads the committed value, and zeros behind its end. */
static int read_committed(const struct file_content *c, uint8_t *buf, size_t n, uint64_t offset)
{
	ssize_t got = store_read(c->store, c->node, buf, n, offset);

	if (got < 0)
		return (int)got;
	memset(buf + got, 0, n - (size_t)got);
	return 0;
}

static int read_layer(const struct file_content *c, const struct layer *l, uint8_t *buf, size_t n,
		      uint64_t offset)
{
	switch (l->kind) {
	case LAYER_MEMORY:
		memcpy(buf, l->data, n);
		break;
	case LAYER_STAGED:
		return store_staged_read(c->store, c->node, c->p->staging, buf, n, offset);
	case LAYER_COMMITTED:
		return read_committed(c, buf, n, offset);
	case LAYER_ZEROS:
		memset(buf, 0, n);
		break;
	}
	return 0;
}

ssize_t file_content_read(const struct file_content *c, void *buf, size_t n, uint64_t offset)
{
	size_t done = 0;
	int err = 0;

	if (offset >= c->p->size_bytes)
		return 0;
	n = (size_t)least(n, c->p->size_bytes - offset);
	while (err == 0 && done < n) {
		struct layer l = layer_at(c, offset + done);
		size_t part = (size_t)least(n - done, l.end - (offset + done));

		err = read_layer(c, &l, (uint8_t *)buf + done, part, offset + done);
		done += part;
	}
	return err < 0 ? err : (ssize_t)n;
}

bool file_content_next_data(const struct file_content *c, uint64_t offset, uint64_t *ret_begin,
			    uint64_t *ret_end)
{
	uint64_t size = c->p->active ? c->p->size_bytes : UINT64_MAX;

	while (offset < size) {
		struct layer l = layer_at(c, offset);
		uint64_t begin = offset, end = l.end;

		if (l.kind == LAYER_COMMITTED &&
		    !store_next_data(c->store, c->node, offset, &begin, &end))
			begin = l.end;
		if (l.kind != LAYER_ZEROS && begin < l.end) {
			*ret_begin = begin;
			*ret_end = least(end, l.end);
			return true;
		}
		offset = l.end;
	}
	return false;
}

/* Returns whether the whole content should be committed as one plain record. */
static bool is_plain(const struct file_content *c)
{
	const struct pending *p = c->p;
	uint64_t changed = p->ranges.data_bytes + store_staged_bytes(p->staging);
	uint64_t records = p->ranges.count + p->staged_ranges + 1;

	if (p->size_bytes > FILE_CONTENT_INLINE_BYTES)
		return false;
	if (p->size_bytes <= FILE_CONTENT_TINY_BYTES)
		return true;
	return 2 * (changed + records * RECORD_COST_BYTES) > p->size_bytes;
}

uint64_t file_content_data_bytes(const struct file_content *c)
{
	uint64_t begin, end = 0, sum = 0;
	struct store_attr attr;
	int steps = 0;

	if (is_plain(c))
		return c->p->size_bytes; /* the record will have no holes */
	for (; file_content_next_data(c, end, &begin, &end); steps++) {
		sum += end - begin;
		if (steps == COUNT_STEPS_MAX)
			break;
	}
	if (steps < COUNT_STEPS_MAX)
		return sum;
	store_getattr(c->store, c->node, &attr);
	sum = c->p->ranges.data_bytes + store_staged_bytes(c->p->staging) +
	      (c->p->keep ? attr.data_bytes : 0);
	return least(sum, c->p->size_bytes);
}

/* --- staging --- */

/* Counts the pieces of a block, or of a part of one. */
static size_t pieces_in(const struct file_content *c, uint64_t begin, uint64_t end)
{
	uint64_t at = begin, from, to;
	size_t pieces = 0;

	while (at < end && file_content_next_data(c, at, &from, &to) && from < end) {
		pieces++;
		at = to;
	}
	return pieces;
}

static size_t block_limit(const struct file_content *c)
{
	struct store_attr attr;
	uint64_t pieces;
	size_t i = 0;

	store_getattr(c->store, c->node, &attr);
	pieces = attr.pieces + c->p->staged_ranges;
	while (pieces >= block_limits[i].pieces_max && i + 1 < ARRAY_SIZE(block_limits))
		i++;
	return block_limits[i].limit;
}

static uint64_t block_of(uint64_t offset)
{
	return offset - offset % BLOCK_BYTES;
}

/* Reads the block that begins at 'begin' into memory if it consists of more than 'limit' pieces;
 * returns their number.  It may fail: without memory, or at damaged bytes, the pieces stay. */
static size_t gather_block(const struct file_content *c, uint64_t begin, size_t limit)
{
	uint64_t end = least(begin + BLOCK_BYTES, c->p->size_bytes);
	size_t pieces = pieces_in(c, begin, end);
	uint8_t *bytes;
	ssize_t n;

	if (pieces <= limit)
		return pieces;
	bytes = malloc(BLOCK_BYTES);
	if (bytes == NULL)
		return pieces;
	n = file_content_read(c, bytes, (size_t)(end - begin), begin);
	if (n > 0)
		(void)!ranges_write(&c->p->ranges, begin, bytes, (uint64_t)n);
	free(bytes);
	return pieces;
}

/* Gathers the blocks that a range covers in part, at its two ends.  When an append has reached the
 * next block, the one before gets no more bytes, so it is gathered with the strictest limit. */
static void gather_around(const struct file_content *c, const struct range *r, size_t limit)
{
	uint64_t end = r->offset + r->bytes, first = block_of(r->offset), last = block_of(end - 1);
	size_t pieces;

	if (r->offset != first || end < first + BLOCK_BYTES) {
		pieces = gather_block(c, first, limit);
		if (pieces <= APPENDED_PIECES_MAX && first >= BLOCK_BYTES && limit > BLOCK_PAGES)
			(void)gather_block(c, first - BLOCK_BYTES, BLOCK_PAGES);
	}
	if (last != first && end != last + BLOCK_BYTES)
		(void)gather_block(c, last, limit);
}

/* Gathers around the first ranges, at most around one batch, because gathered blocks take memory
 * until they are staged. */
static void gather_front(const struct file_content *c)
{
	uint64_t at = 0, bytes = 0;
	size_t limit = block_limit(c);
	struct range r;

	for (size_t i = 0; i < BATCH_RANGES && bytes < RANGE_BYTES_MAX; i++) {
		if (!ranges_find(&c->p->ranges, at, &r) || r.offset >= c->p->size_bytes)
			break;
		at = r.offset + r.bytes;
		bytes += r.data != NULL ? r.bytes : 0;
		gather_around(c, &r, limit);
	}
}

static bool is_full(const struct range *r)
{
	return r->data != NULL && r->bytes == RANGE_BYTES_MAX;
}

/* Collects ranges in their order; returns their number. */
static size_t collect_ranges(const struct file_content *c, bool full_only, uint64_t end,
			     struct store_range batch[BATCH_RANGES])
{
	uint64_t from = 0, bytes = 0;
	struct range r;
	size_t n = 0;

	while (n < BATCH_RANGES && bytes < RANGE_BYTES_MAX &&
	       ranges_find(&c->p->ranges, from, &r) && r.offset < end) {
		from = r.offset + r.bytes;
		if (full_only && !is_full(&r))
			continue;
		batch[n++] = (struct store_range){ r.offset, r.bytes, r.data };
		bytes += r.data != NULL ? r.bytes : 0;
	}
	return n;
}

static int stage_batch(const struct file_content *c, const struct store_range *batch, size_t n)
{
	int err = store_stage(c->store, &c->p->staging, batch, n);

	if (err < 0)
		return err;
	for (size_t i = 0; i < n; i++)
		ranges_drop(&c->p->ranges, batch[i].offset);
	c->p->staged_ranges += n;
	return 0;
}

int file_content_stage_full(const struct file_content *c)
{
	struct store_range batch[BATCH_RANGES];
	int err = 0;

	while (err == 0 && c->p->ranges.full_count > 0)
		err = stage_batch(c, batch, collect_ranges(c, true, UINT64_MAX, batch));
	return err;
}

/* Stages the ranges that begin before 'end'. */
static int stage_up_to(const struct file_content *c, uint64_t end)
{
	struct store_range batch[BATCH_RANGES];
	size_t n;
	int err = 0;

	do {
		gather_front(c);
		n = collect_ranges(c, false, end, batch);
		if (n > 0)
			err = stage_batch(c, batch, n);
	} while (err == 0 && n > 0);
	return err;
}

int file_content_stage_all(const struct file_content *c)
{
	return stage_up_to(c, UINT64_MAX);
}

bool file_content_streams(const struct file_content *c, uint64_t offset, uint64_t n)
{
	const struct pending *p = c->p;

	return n >= STREAM_BYTES_MIN && offset >= p->size_bytes &&
	       p->size_bytes > FILE_CONTENT_INLINE_BYTES && p->ranges.data_bytes == 0;
}

int file_content_stage_write(const struct file_content *c, const void *buf, size_t n,
			     uint64_t offset, struct timespec now)
{
	struct store_range range = { offset, n, buf };
	int err = store_stage(c->store, &c->p->staging, &range, 1);

	return err < 0 ? err : pending_staged(c->p, offset, n, now);
}

/* --- commit --- */

static int commit_plain(const struct file_content *c, struct store_content *content,
			uint64_t *ret_end)
{
	struct pending *p = c->p;
	uint8_t *copy = NULL;
	ssize_t n = 0;
	struct range r;
	int err = 0;

	if (ranges_find(&p->ranges, 0, &r) && r.data != NULL && r.offset == 0 &&
	    r.bytes == p->size_bytes) {
		content->value = r.data;
	} else if (p->size_bytes > 0) {
		content->value = copy = malloc(p->size_bytes);
		if (copy == NULL)
			return -ENOMEM;
		n = file_content_read(c, copy, p->size_bytes, 0);
		err = n < 0 ? (int)n : 0;
	}
	if (err == 0)
		err = store_commit(c->store, c->node, content, ret_end);
	free(copy);
	return err;
}

static int commit_pieces(const struct file_content *c, const struct store_content *content,
			 uint64_t *ret_end)
{
	struct pending *p = c->p;
	int err;

	do {
		/* A hole behind the end means that no bytes are there; the size means the same. */
		err = stage_up_to(c, p->size_bytes);
		if (err == 0)
			err = store_publish(c->store, c->node, &p->staging, content, ret_end);
		/* On a full disk, store_lends_space() lets the store finish a file whose writes
		 * succeeded. */
	} while (err < 0 && store_staged_bytes(p->staging) > 0 && store_lends_space(c->store, err));
	return err;
}

int file_content_commit(const struct file_content *c, uint64_t *ret_end)
{
	struct pending *p = c->p;
	struct store_set set;
	struct store_content content = {
		.bytes = p->size_bytes,
		.keep = p->keep,
		.written_at = p->written_at,
		.written_at_shown = p->shown,
		.set = pending_commit_set(p, &set) ? &set : NULL,
	};
	struct store_attr attr;
	uint64_t end = 0;
	int err;

	store_getattr(c->store, c->node, &attr);
	if (attr.link_count == 0) { /* no value is appended; the times stay visible */
		content.bytes = 0;
		err = store_commit(c->store, c->node, &content, &end);
	} else if (is_plain(c)) {
		err = commit_plain(c, &content, &end);
	} else {
		err = commit_pieces(c, &content, &end);
	}
	if (err < 0)
		return err;
	if (end != 0)
		pending_drop(p);
	else
		pending_committed(p);
	*ret_end = end;
	return 0;
}
