/* SPDX-License-Identifier: MIT */
/* The search for the records of a hint: each must be behind the one before.  If several are not,
 * bytes may have been inserted or removed: then all records are searched for at every byte, by
 * their timestamps, in one pass. */
#include "writer/log/salvage_hint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "codec/le.h"
#include "codec/array.h"
#include "writer/log/hint_file.h"
#include "writer/log/salvage_search.h"

#define NOWHERE UINT64_MAX
/* Number of records behind a damaged one that are tried before all are searched for. */
#define LOOK_AHEAD 64

/* A record that the hint names. */
struct expected {
	struct log_entry entry; /* points into the hint */
	uint64_t at;		/* in the file; NOWHERE: lost */
	size_t next_same;	/* 1 + index of a record with the same hash; 0: none */
	size_t first_seen;	/* 1 + index in 'seen'; 0: none */
};

/* A position in the file that has such a record. */
struct seen {
	uint64_t offset;
	size_t next; /* 1 + index */
};

struct fitting {
	const struct salvage_file *f;
	struct search search;
	struct expected *records;
	size_t count;
	size_t *table; /* 1 + index of a record, by the hash of its timestamp; NULL: not made yet */
	size_t table_mask;
	struct seen *seen;
	size_t seen_count, seen_capacity;
	size_t matched;
};

/* --- comparing --- */

static bool same_header(const uint8_t *p, const struct record *rec)
{
	return le32_load(p + RECORD_KEY_SIZE_OFFSET) == rec->key_bytes &&
	       le32_load(p + RECORD_VALUE_SIZE_OFFSET) == rec->value_bytes &&
	       le64_load(p + RECORD_TIMESTAMP_OFFSET) == rec->timestamp_ns;
}

/* Returns whether the file has these 'n' bytes at 'offset': 1, 0 or -errno. */
static int has_bytes(struct fitting *g, uint64_t offset, const void *bytes, size_t n)
{
	int err = 0;
	const uint8_t *p = search_load(&g->search, offset, n, &err);

	if (err < 0)
		return err;
	return p != NULL && memcmp(p, bytes, n) == 0;
}

/* Returns whether exactly this record is at 'offset', whole: 1, 0 or -errno. */
static int is_at(struct fitting *g, const struct log_entry *e, uint64_t offset)
{
	int err = 0;
	const uint8_t *p = search_load(&g->search, offset, RECORD_HEADER_BYTES, &err);
	uint64_t bytes, key = offset + RECORD_HEADER_BYTES;
	int got;

	if (p == NULL || !same_header(p, &e->rec))
		return err;
	got = search_is_whole(&g->search, offset, &bytes);
	if (got > 0)
		got = has_bytes(g, key, e->rec.key, e->rec.key_bytes);
	if (got > 0)
		got = has_bytes(g, key + e->rec.key_bytes, e->rec.value, e->value_held_bytes);
	return got;
}

/* --- searching the whole file --- */

static size_t slot_of(const struct fitting *g, uint64_t timestamp_ns)
{
	return (size_t)((timestamp_ns * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & g->table_mask;
}

static int add_seen(struct fitting *g, struct expected *r, uint64_t offset)
{
	if (ARRAY_RESERVE(g->seen, g->seen_count + 1, g->seen_capacity) < 0)
		return -ENOMEM;
	g->seen[g->seen_count] = (struct seen){ .offset = offset, .next = r->first_seen };
	r->first_seen = ++g->seen_count;
	return 0;
}

static int make_table(struct fitting *g)
{
	size_t slots = 64;

	while (slots < 2 * g->count)
		slots *= 2;
	g->table = calloc(slots, sizeof(g->table[0]));
	if (g->table == NULL)
		return -ENOMEM;
	g->table_mask = slots - 1;
	for (size_t i = g->count; i > 0; i--) {
		size_t *slot = &g->table[slot_of(g, g->records[i - 1].entry.rec.timestamp_ns)];

		g->records[i - 1].next_same = *slot;
		*slot = i;
	}
	return 0;
}

/* Notes the records at each byte of the file.  Goes from the end to the beginning, so that each
 * record has its positions in order. */
static int look_everywhere(struct fitting *g)
{
	uint64_t end =
		g->f->bytes < RECORD_HEADER_BYTES ? 0 : g->f->bytes - RECORD_HEADER_BYTES + 1;
	int err = make_table(g), got;

	for (uint64_t at = 0; err == 0 && at < end; at++) {
		const uint8_t *p = search_load(&g->search, at, RECORD_HEADER_BYTES, &err);
		size_t i;

		if (p == NULL)
			break;
		i = g->table[slot_of(g, le64_load(p + RECORD_TIMESTAMP_OFFSET))];
		for (; err == 0 && i > 0; i = g->records[i - 1].next_same) {
			got = is_at(g, &g->records[i - 1].entry, at);
			err = got < 0 ? got : 0;
			if (got > 0)
				err = add_seen(g, &g->records[i - 1], at);
		}
	}
	return err;
}

/* Returns the first position of a record at or behind 'from'. */
static uint64_t first_seen_from(const struct fitting *g, const struct expected *r, uint64_t from)
{
	uint64_t found = NOWHERE;

	for (size_t i = r->first_seen; i > 0; i = g->seen[i - 1].next) {
		if (g->seen[i - 1].offset < from)
			break; /* the others are further in front */
		found = g->seen[i - 1].offset;
	}
	return found;
}

/* --- finding all records --- */

/* Returns whether one of the records behind number 'i', which is damaged, is at the position that
 * it has if bytes were only changed: 1, 0 or -errno. */
static int goes_on(struct fitting *g, size_t i, uint64_t at)
{
	int got = 0;

	if (g->records[i].entry.bytes > g->f->bytes - at)
		return 0;
	at += g->records[i].entry.bytes;
	if (i + 1 == g->count)
		return at == g->f->bytes;
	for (size_t n = 1; got == 0 && n <= LOOK_AHEAD && i + n < g->count; n++) {
		got = is_at(g, &g->records[i + n].entry, at);
		at += g->records[i + n].entry.bytes;
		if (at > g->f->bytes)
			break;
	}
	return got;
}

static int find_all(struct fitting *g)
{
	uint64_t at = 0, behind = 0; /* the expected position of the next record, and the end of the
					last one */

	for (size_t i = 0; i < g->count; i++) {
		struct expected *r = &g->records[i];
		int got = at <= g->f->bytes ? is_at(g, &r->entry, at) : 0;

		if (got == 0 && g->table == NULL && at <= g->f->bytes && g->f->bytes > 0) {
			got = goes_on(g, i, at);
			if (got == 0)
				got = look_everywhere(g);
			if (got < 0)
				return got;
			got = 0;
		}
		if (got < 0)
			return got;
		r->at = got > 0 ? at : first_seen_from(g, r, behind);
		if (r->at != NOWHERE) {
			at = behind = r->at + r->entry.bytes;
			g->matched++;
		} else {
			at += r->entry.bytes;
		}
	}
	return 0;
}

/* --- lost records --- */

static int add_lost(struct salvage *ret, const struct log_entry *e, uint64_t offset, uint64_t bytes,
		    const char *reason)
{
	struct salvage_lost *l = salvage_add(ret, offset, bytes, reason);
	int err = l == NULL ? -ENOMEM : salvage_copy_record(e, &l->was);

	if (err == 0)
		err = salvage_stand_in(l, &l->was);
	if (err == 0)
		l->known = SALVAGE_PROVEN;
	return err == -ENODATA ? 0 : err;
}

/* Adds the records 'from' ... 'to' (not included) as lost; ['at', 'end') are the bytes in their
 * place. */
static int add_missing(const struct fitting *g, size_t from, size_t to, uint64_t at, uint64_t end,
		       struct salvage *ret)
{
	struct salvage_lost *l;
	int err = 0;

	for (size_t i = from; err == 0 && i < to; i++) {
		const struct log_entry *e = &g->records[i].entry;
		uint64_t bytes = e->bytes < end - at ? e->bytes : end - at;

		err = add_lost(ret, e, at, bytes,
			       bytes < e->bytes ? "the record is missing, or only a part is there"
						: "the record is damaged");
		at += bytes;
	}
	if (err < 0 || at == end)
		return err;
	l = salvage_add(ret, at, end - at, "bytes that are no part of the segment");
	if (l != NULL)
		l->known = SALVAGE_NOTHING;
	return l == NULL ? -ENOMEM : 0;
}

/* Returns the end of the part of the file that the hint covers, if the records from 'first' on are
 * missing.  Records appended to an active segment are behind it. */
static uint64_t end_of_hint(const struct fitting *g, size_t first, uint64_t at)
{
	if (!g->f->may_have_more)
		return g->f->bytes;
	for (; first < g->count && at < g->f->bytes; first++)
		at += g->records[first].entry.bytes;
	return at < g->f->bytes ? at : g->f->bytes;
}

static int add_all(const struct fitting *g, struct salvage *ret, uint64_t *ret_next)
{
	uint64_t at = 0, end;
	size_t first = 0; /* of the missing records */
	int err = 0;

	for (size_t i = 0; err == 0 && i < g->count; i++) {
		const struct expected *r = &g->records[i];

		if (r->at == NOWHERE)
			continue;
		if (r->at > at || i > first)
			err = add_missing(g, first, i, at, r->at, ret);
		at = r->at + r->entry.bytes;
		first = i + 1;
		ret->records++;
	}
	end = end_of_hint(g, first, at);
	if (err == 0 && (first < g->count || at < end))
		err = add_missing(g, first, g->count, at, end, ret);
	*ret_next = end;
	return err;
}

static int load(struct fitting *g, struct hint_reader *hint)
{
	struct log_entry e;

	for (size_t i = 0; i < g->count && hint_reader_next(hint, &e) > 0; i++)
		g->records[i] = (struct expected){ .entry = e, .at = NOWHERE };
	return search_init(&g->search, g->f->io, g->f->fd, g->f->bytes);
}

/* Returns whether the hint has no more information than the file. */
static bool is_agreed(const struct salvage_file *f, const struct salvage *scanned,
		      const struct hint_header *h)
{
	if (scanned->count > 0 || f->fd < 0 || f->bytes < h->segment_bytes)
		return false;
	return f->bytes == h->segment_bytes || f->may_have_more;
}

int salvage_by_hint(const struct salvage_file *f, const struct salvage *scanned,
		    struct salvage *ret, uint64_t *ret_next)
{
	struct fitting g = { .f = f };
	struct hint_header header;
	struct hint_reader *hint =
		hint_reader_open_any(f->io, f->dir_fd, f->hint_name, f->number, &header);
	int err = 0;

	if (hint == NULL)
		return 0;
	if (is_agreed(f, scanned, &header)) {
		hint_reader_close(hint);
		return 0;
	}
	g.count = (size_t)header.records;
	g.records = calloc(g.count, sizeof(g.records[0]));
	err = g.records == NULL ? -ENOMEM : load(&g, hint);
	if (err == 0)
		err = find_all(&g);
	/* A hint of another file has few or none of the whole records of this one. */
	if (err == 0 && 2 * g.matched >= scanned->records) {
		ret->used_hint = true;
		err = add_all(&g, ret, ret_next);
	}
	search_free(&g.search);
	free(g.records);
	free(g.table);
	free(g.seen);
	hint_reader_close(hint);
	return err;
}
