/* SPDX-License-Identifier: MIT */
/* The check that the undamaged commits fit together.  A gap is a position where unknown records
 * were lost.  Behind a gap, a file is certain to be as the log describes it only if its whole
 * content was written behind the gap, too (it is "fresh").  A staging is certain only if it began
 * behind the gap, or has all bytes of the file.  A partial change of any other file is laid over a
 * content that cannot be read.  So all bytes that are shown were in the file, at this offset, at
 * this time. */
#include "mount-helpers/fsck/replay.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/path.h"
#include "mount-helpers/common/key_text.h"
#include "mount-helpers/fsck/file.h"
#include "writer/base/array.h"
#include "writer/index/entries.h"
#include "writer/index/keydir.h"
#include "writer/index/staged.h"
#include "writer/log/segment_replay.h"
#include "writer/index/lost.h"
#include "writer/index/replay.h"
#include "writer/base/uthash_config.h"

#define LOST_REST "the rest of its group is lost"

/* A file whose whole content was written behind the last gap. */
struct fresh {
	UT_hash_handle hh;
	const struct node *node;
};

/* The newest whole version of a file that is not whole. */
struct older {
	UT_hash_handle hh;
	const struct node *node;
	int64_t version_ns;
	uint64_t size_bytes;
};

/* A staging. */
struct staged {
	UT_hash_handle hh;
	uint64_t id;
	size_t gaps_passed; /* when it began */
	uint64_t bytes;	    /* sum over its extents */
	bool unsure;	    /* one of its extents is only claimed, not proven */
};

struct checking {
	struct keydir *k;
	struct fsck_file *file; /* the file that is being read */
	size_t next_lost;	/* the first lost part of it that has not been passed yet */
	size_t gaps_passed;	/* in all files */
	bool took_claim;	/* a lost record was taken for what its damaged bytes claim */
	bool behind_gap;	/* no record has followed the last gap yet */
	uint64_t gap_next_ns;	/* time of the first record behind the last gap */
	struct fresh *fresh;	/* uthash */
	struct older *older;	/* uthash */
	struct staged *staged;	/* uthash */
	/* Owned; arrays for the records of one commit. */
	struct before *before;
	struct log_entry *entries;
	size_t before_capacity, entry_capacity;
	struct fsck_names *names;
};

static struct node *file_at(const struct checking *c, const char *path, size_t path_bytes)
{
	const struct dentry *d =
		path_ok(path, path_bytes) ? keydir_find_path(c->k, path, path_bytes) : NULL;

	return d == NULL || !node_is_file(dentry_node(d)) ? NULL : dentry_node(d);
}

static uint64_t size_of(const struct node *n)
{
	const struct content_map *content = node_content(n);

	return content != NULL ? content_map_size(content) : node_value(n).value_bytes;
}

/* --- fresh files --- */

static void forget_fresh(struct checking *c)
{
	struct fresh *f, *next;

	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): uthash has read what it needs */
	HASH_ITER (hh, c->fresh, f, next) {
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): uthash has read what it needs */
		HASH_DEL(c->fresh, f);
		free(f);
	}
}

static bool is_fresh(const struct checking *c, const struct node *n)
{
	struct fresh *f;

	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): uthash has read what it needs */
	HASH_FIND_PTR(c->fresh, &n, f);
	return c->gaps_passed == 0 || f != NULL;
}

static int add_fresh(struct checking *c, const struct node *n)
{
	struct fresh *f;

	if (n == NULL || is_fresh(c, n))
		return 0;
	f = calloc(1, sizeof(*f));
	if (f == NULL)
		return -ENOMEM;
	f->node = n;
	HASH_ADD_PTR(c->fresh, node, f);
	if (f->hh.tbl != NULL)
		return 0;
	free(f);
	return -ENOMEM;
}

/* --- stagings --- */

static struct staged *find_staged(const struct checking *c, uint64_t id)
{
	struct staged *s;

	HASH_FIND(hh, c->staged, &id, sizeof(id), s);
	return s;
}

static int add_staged(struct checking *c, uint64_t id, uint64_t bytes, bool unsure)
{
	struct staged *s = find_staged(c, id);

	if (s == NULL) {
		s = calloc(1, sizeof(*s));
		if (s == NULL)
			return -ENOMEM;
		s->id = id;
		s->gaps_passed = c->gaps_passed;
		HASH_ADD(hh, c->staged, id, sizeof(s->id), s);
		if (s->hh.tbl == NULL) {
			free(s);
			return -ENOMEM;
		}
	}
	s->bytes += bytes;
	s->unsure |= unsure;
	return 0;
}

static void forget_staged(struct checking *c, uint64_t id)
{
	struct staged *s = find_staged(c, id);

	if (s == NULL)
		return;
	HASH_DEL(c->staged, s);
	free(s);
}

/* Returns whether the staged pieces cover every byte up to 'size_bytes'. */
static bool covers(const struct checking *c, uint64_t id, uint64_t size_bytes)
{
	const struct content_map *staged = keydir_staged(c->k, id, false);
	struct content_piece piece;
	uint64_t at = 0;

	while (staged != NULL && at < size_bytes && content_map_find(staged, at, &piece) &&
	       piece.offset <= at)
		at = piece.offset + piece.bytes;
	return at >= size_bytes;
}

/* Returns whether the publish proves the single, only claimed extent of its staging: the publish
 * makes the file longer, and the extent ends at the new end of the file. */
static bool is_append(const struct checking *c, const struct commit_record *p, uint64_t bytes)
{
	const struct content_map *staged = keydir_staged(c->k, p->publish.staging_id, false);
	const struct node *n = file_at(c, p->path, p->path_bytes);
	struct content_piece piece;

	return n != NULL && staged != NULL && content_map_pieces(staged) == 1 &&
	       content_map_find(staged, 0, &piece) && piece.bytes == bytes &&
	       piece.offset + bytes == p->publish.size_bytes && size_of(n) < p->publish.size_bytes;
}

/* Returns whether everything that was staged for a publish is present.  The id of a staging is the
 * time of its first extent; so a staging whose id is later than the first record behind the last
 * gap began behind the gap.  Any other staging may have lost an extent; but if its extents behind
 * the gap have all bytes, a lost one would not be visible. */
static bool is_complete(const struct checking *c, const struct commit_record *parsed)
{
	const struct meta_publish *p = &parsed->publish;
	const struct staged *s = find_staged(c, p->staging_id);
	bool whole = (p->flags & META_FLAG_KEEP) == 0 && covers(c, p->staging_id, p->size_bytes);

	if (s == NULL)
		return false;
	if (s->unsure && !(whole && s->bytes == p->size_bytes) && !is_append(c, parsed, s->bytes))
		return false;
	if (c->gaps_passed == 0)
		return true;
	if (s->gaps_passed != c->gaps_passed)
		return c->file->base && whole && s->bytes == p->size_bytes;
	return whole || (!c->file->base && s->id > c->gap_next_ns);
}

/* --- edits --- */

static struct salvage_lost *add_edit(struct checking *c, uint64_t offset, uint64_t bytes,
				     const char *reason)
{
	return salvage_add(&c->file->edits, offset, bytes, reason);
}

/* Returns a publish that marks the content of 'path' as unreadable.  'buf' must have space for its
 * key and value. */
static struct record dropped_record(const char *path, size_t path_bytes, uint64_t size_bytes,
				    uint8_t flags, uint64_t timestamp_ns, uint8_t *buf)
{
	const struct meta_publish publish = { .flags = META_FLAG_DROPPED | flags,
					      .size_bytes = size_bytes };
	uint8_t *value = buf + META_KEY_PREFIX_BYTES + path_bytes;

	meta_key_prefix(META_PUBLISH, buf);
	memcpy(buf + META_KEY_PREFIX_BYTES, path, path_bytes);
	meta_publish_encode(&publish, value);
	return (struct record){
		.key = buf,
		.key_bytes = (uint32_t)(META_KEY_PREFIX_BYTES + path_bytes),
		.value = value,
		.value_bytes = META_PUBLISH_BYTES,
		.timestamp_ns = timestamp_ns,
	};
}

static int apply(struct checking *c, const struct record *rec, struct diag *diag)
{
	const struct log_entry entry = { .rec = *rec, .value_held_bytes = rec->value_bytes };

	return replay_commit(c->k, "the log", &entry, 1, diag);
}

/* Inserts a commit before 'offset' that marks the content of 'path' as unreadable. */
static int insert_dropped(struct checking *c, struct salvage_lost *edit, const char *path,
			  size_t path_bytes, uint64_t size_bytes, uint64_t timestamp_ns,
			  struct diag *diag)
{
	uint8_t *buf = malloc(META_KEY_PREFIX_BYTES + path_bytes + META_PUBLISH_BYTES);
	struct record rec;
	int err;

	if (buf == NULL || edit == NULL) {
		free(buf);
		return -ENOMEM;
	}
	rec = dropped_record(path, path_bytes, size_bytes, 0, timestamp_ns, buf);
	err = salvage_put_instead(edit, &rec);
	if (err == 0)
		err = apply(c, &rec, diag);
	free(buf);
	return err;
}

/* --- claims of lost records --- */

static int take_claimed_extent(struct checking *c, const struct salvage_lost *l,
			       const struct commit_record *p, struct diag *diag)
{
	bool known = find_staged(c, p->staging_id) != NULL;
	struct salvage_record was = l->was;
	struct salvage_lost *edit;
	struct record rec;
	struct log_entry e;
	bool exact;
	int err;

	if (!known && p->staging_id != l->was.rec.timestamp_ns)
		return 1; /* the id itself is damaged */
	if (p->extent.flags != 0)
		return known ? add_staged(c, p->staging_id, 0, true) : 1;
	edit = add_edit(c, l->new_offset, 0, "");
	if (edit == NULL)
		return -ENOMEM;
	err = salvage_stand_in(&was, &edit->instead, &edit->instead_bytes, &exact);
	if (err < 0)
		return err;
	(void)record_decode_header(edit->instead, &rec);
	rec.key = edit->instead + RECORD_HEADER_BYTES;
	rec.value = edit->instead + RECORD_HEADER_BYTES + rec.key_bytes;
	e = (struct log_entry){ .rec = rec, .value_held_bytes = rec.value_bytes };
	err = replay_commit(c->k, "the log", &e, 1, diag);
	return err < 0 ? err : add_staged(c, p->staging_id, p->extent.bytes, true);
}

static int take_claimed_publish(struct checking *c, const struct salvage_lost *l,
				const struct commit_record *p, struct diag *diag)
{
	const struct meta_publish *publish = &p->publish;
	bool keep = (publish->flags & META_FLAG_KEEP) != 0;
	int err;

	if ((publish->flags & ~META_FLAG_KEEP) != 0 || publish->size_bytes == 0 ||
	    !path_ok(p->path, p->path_bytes) ||
	    (publish->staging_id != 0 && find_staged(c, publish->staging_id) == NULL) ||
	    (keep && file_at(c, p->path, p->path_bytes) == NULL))
		return 1;
	err = insert_dropped(c, add_edit(c, l->new_offset, 0, ""), p->path, p->path_bytes,
			     publish->size_bytes, l->was.rec.timestamp_ns, diag);
	keydir_drop_staged(c->k, publish->staging_id);
	forget_staged(c, publish->staging_id);
	return err < 0 ? err : add_fresh(c, file_at(c, p->path, p->path_bytes));
}

/* Applies a lost record as far as its damaged bytes claim something likely.  Returns 1 if no claim
 * is likely: any record may have been lost. */
static int take_claim(struct checking *c, const struct salvage_lost *l, struct diag *diag)
{
	struct commit_record p;

	if (l->instead != NULL)
		return 0; /* a put */
	if (commit_record_decode(&l->was.rec, l->was.value_held_bytes, &p) != META_OK)
		return 1;
	if (p.kind == META_EXTENT)
		return take_claimed_extent(c, l, &p, diag);
	if (p.kind == META_PUBLISH)
		return take_claimed_publish(c, l, &p, diag);
	return p.kind == 0 && path_ok(p.path, p.path_bytes) ? 0 : 1;
}

/* Passes the parts that were lost before 'offset' of the new file. */
static int pass_lost(struct checking *c, uint64_t offset, struct diag *diag)
{
	const struct salvage *lost = &c->file->lost;

	for (; c->next_lost < lost->count; c->next_lost++) {
		const struct salvage_lost *l = &lost->lost[c->next_lost];
		int got = 1;

		if (l->new_offset > offset || (l->new_offset == offset && l->instead != NULL))
			break;
		if (l->known == SALVAGE_NOTHING || (l->known == SALVAGE_PROVEN && l->instead))
			continue;
		if (l->known == SALVAGE_CLAIMED)
			got = take_claim(c, l, diag);
		if (got < 0)
			return got;
		if (got == 0) {
			c->took_claim = c->took_claim || l->known == SALVAGE_CLAIMED;
			continue;
		}
		c->gaps_passed++;
		c->behind_gap = true;
		forget_fresh(c);
	}
	return 0;
}

/* --- commits --- */

/* Returns whether a record gives a file its whole content. */
static bool gives_content(const struct commit_record *p)
{
	if (p->kind == META_PUBLISH)
		return (p->publish.flags & META_FLAG_UNNAMEABLE) == 0 &&
		       ((p->publish.flags & META_FLAG_KEEP) == 0 || p->publish.size_bytes == 0);
	if (p->kind == META_ATTR)
		return p->attr.content != META_CONTENT_KEPT;
	return p->kind == 0 && p->value_bytes > 0;
}

/* The file that a record changes, in its state before the commit. */
struct before {
	bool gives_content;
	/* The path of the file that gets a content or (by a move) another name; 0 bytes: the record
	 * does neither. */
	const char *path;
	size_t path_bytes;
	const struct node *node; /* NULL: there was none */
	bool whole;
	int64_t version_ns;
	uint64_t size_bytes;
};

static struct before look_before(const struct checking *c, const struct commit_record *p)
{
	struct before b = { .gives_content = gives_content(p), .path = p->path };

	if (p->kind == META_PUBLISH || (p->kind == 0 && p->value_bytes > 0)) {
		b.path_bytes = p->path_bytes;
	} else if (p->kind == META_MOVE) {
		b.path = p->move.new_path;
		b.path_bytes = p->move.new_path_bytes;
	}
	b.node = file_at(c, b.path, b.path_bytes);
	if (b.node != NULL) {
		b.whole = !lost_in_node(b.node);
		b.version_ns = node_times(b.node).mtime_ns;
		b.size_bytes = size_of(b.node);
	}
	return b;
}

/* Updates the state after a record was applied. */
static int note(struct checking *c, const struct commit_record *p, const struct before *b)
{
	if (p->kind == META_EXTENT)
		return add_staged(c, p->staging_id, p->extent.bytes, false);
	if (p->kind == META_PUBLISH)
		forget_staged(c, p->publish.staging_id);
	return b->gives_content ? add_fresh(c, file_at(c, p->path, p->path_bytes)) : 0;
}

/* Remembers the last whole version of a file that has ceased to be whole. */
static int note_older(struct checking *c, const struct before *b)
{
	const struct node *n = file_at(c, b->path, b->path_bytes);
	struct older *o;

	if (n == NULL || !lost_in_node(n))
		return 0;
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): uthash has read what it needs */
	HASH_FIND_PTR(c->older, &n, o);
	if (o != NULL && b->node == NULL) { /* of a file that is gone */
		HASH_DEL(c->older, o);
		free(o);
	}
	if (b->node == NULL || !b->whole)
		return 0;
	if (o == NULL) {
		o = calloc(1, sizeof(*o));
		if (o == NULL)
			return -ENOMEM;
		o->node = n;
		HASH_ADD_PTR(c->older, node, o);
		if (o->hh.tbl == NULL) {
			free(o);
			return -ENOMEM;
		}
	}
	o->version_ns = b->version_ns;
	o->size_bytes = b->size_bytes;
	return 0;
}

/* Replaces a publish whose content is uncertain by one that marks the content as unreadable. */
static int replace_publish(struct checking *c, struct log_entry *e, struct commit_record *p)
{
	uint8_t more = p->publish.flags & META_FLAG_MORE;
	struct salvage_lost *edit;
	struct record rec;
	uint8_t *buf;
	int err;

	edit = add_edit(c, e->file_offset, e->bytes, "some of its pieces may be lost");
	buf = malloc(META_KEY_PREFIX_BYTES + p->path_bytes + META_PUBLISH_BYTES);
	if (edit == NULL || buf == NULL) {
		free(buf);
		return -ENOMEM;
	}
	rec = dropped_record(p->path, p->path_bytes, p->publish.size_bytes, more,
			     e->rec.timestamp_ns, buf);
	err = salvage_put_instead(edit, &rec);
	free(buf);
	if (err < 0)
		return err;
	keydir_drop_staged(c->k, p->publish.staging_id);
	forget_staged(c, p->publish.staging_id);
	rec.key = edit->instead + RECORD_HEADER_BYTES;
	rec.value = edit->instead + RECORD_HEADER_BYTES + rec.key_bytes;
	e->rec = rec;
	e->value_held_bytes = rec.value_bytes;
	p->publish.flags = META_FLAG_DROPPED | more;
	p->publish.staging_id = 0;
	return 0;
}

/* Ensures that a publish shows no content that never existed.  Changes the entry, or inserts a
 * commit before it.  Returns 1 if the publish must be left out. */
static int mend_publish(struct checking *c, const struct log_entry *first, struct log_entry *e,
			struct commit_record *p, struct diag *diag)
{
	const struct meta_publish *publish = &p->publish;
	const struct node *n = file_at(c, p->path, p->path_bytes);
	bool keep = (publish->flags & META_FLAG_KEEP) != 0;
	uint64_t size;

	if (publish->size_bytes == 0 || (publish->flags & META_FLAG_DROPPED))
		return 0;
	if (publish->staging_id != 0 && !is_complete(c, p)) {
		/* A publish whose piece is missing behind a claim: the claim is false. */
		if (c->gaps_passed == 0 && !c->took_claim &&
		    find_staged(c, publish->staging_id) == NULL)
			return 0; /* no damage: the replay reports the error */
		return (publish->flags & META_FLAG_UNNAMEABLE) ? 1 : replace_publish(c, e, p);
	}
	if (!keep || is_fresh(c, n))
		return 0;
	if (n == NULL)
		return replace_publish(c, e, p);
	size = size_of(n) > publish->size_bytes ? size_of(n) : publish->size_bytes;
	return insert_dropped(
		c, add_edit(c, first->file_offset, 0, "the content that it changes may be lost"),
		p->path, p->path_bytes, size, first->rec.timestamp_ns, diag);
}

/* Returns the reason in the message that a mount would print. */
static const char *reason_in(struct diag *diag)
{
	char *end = strstr(diag->text, "; nothing was changed"), *begin;

	if (end != NULL)
		*end = '\0';
	begin = strstr(diag->text, ": record at offset ");
	begin = begin != NULL ? strstr(begin + 2, ": ") : NULL;
	return begin != NULL ? begin + 2 : diag->text;
}

/* Leaves a commit out. */
static int leave_out(struct checking *c, const struct log_entry *entries, size_t count,
		     const char *reason)
{
	const struct log_entry *last = &entries[count - 1];
	uint64_t from = entries[0].file_offset, end = last->file_offset + last->bytes;
	struct salvage *edits = &c->file->edits;
	struct salvage_record was = { .rec = last->rec,
				      .value_held_bytes = last->value_held_bytes };
	struct salvage_lost *l;

	/* Copied first: the entry may be one of the edits that are dropped next. */
	was.owned = malloc((size_t)last->rec.key_bytes + last->value_held_bytes + 1);
	if (was.owned == NULL)
		return -ENOMEM;
	memcpy(was.owned, last->rec.key, last->rec.key_bytes);
	memcpy(was.owned + last->rec.key_bytes, last->rec.value, last->value_held_bytes);
	was.rec.key = was.owned;
	was.rec.value = was.owned + last->rec.key_bytes;
	/* Edits inside the commit are dropped with it. */
	while (edits->count > 0 && edits->lost[edits->count - 1].offset >= from &&
	       edits->lost[edits->count - 1].bytes > 0)
		salvage_truncate(edits, edits->count - 1);
	l = add_edit(c, from, end - from, reason);
	if (l == NULL) {
		free(was.owned);
		return -ENOMEM;
	}
	l->was = was;
	return 0;
}

static int refuse_newer(const struct checking *c, const struct log_entry *e, enum meta_error err,
			struct diag *diag)
{
	return diag_set(diag, -EPROTONOSUPPORT,
			"%s: offset %" PRIu64
			": %s; it was written by a newer version of freyjafs; nothing was changed",
			c->file->name, e->file_offset, meta_error_text(err));
}

/* Checks a commit, whose entries are in 'c'. */
static int check_commit(struct checking *c, struct decoded_commit *d, struct diag *diag)
{
	int err = 0;

	for (size_t i = 0; err == 0 && i < d->count; i++) {
		c->before[i] = look_before(c, &d->records[i]);
		if (d->records[i].kind == META_PUBLISH)
			err = mend_publish(c, &c->entries[0], &c->entries[i], &d->records[i], diag);
	}
	if (err > 0)
		return leave_out(c, c->entries, d->count, "some of its pieces may be lost");
	if (err == 0)
		err = replay_decoded(c->k, "the log", d, diag);
	if (err == -EBADMSG)
		return leave_out(c, c->entries, d->count, reason_in(diag));
	for (size_t i = 0; err == 0 && i < d->count; i++) {
		err = note(c, &d->records[i], &c->before[i]);
		if (err == 0 && c->before[i].path_bytes > 0)
			err = note_older(c, &c->before[i]);
	}
	return err;
}

/* Returns how many records of a group precede the first record of it that is lost; all if none is.
 * A record with a replacement is not lost. */
static size_t count_before_gap(const struct checking *c, const struct log_entry *entries,
			       size_t count)
{
	const struct salvage *lost = &c->file->lost;
	size_t before = 1;

	for (size_t i = c->next_lost; i < lost->count; i++) {
		const struct salvage_lost *l = &lost->lost[i];

		if (l->instead != NULL || l->known == SALVAGE_NOTHING ||
		    l->new_offset <= entries[0].file_offset)
			continue;
		while (before < count && entries[before].file_offset < l->new_offset)
			before++;
		return before;
	}
	return count;
}

static int check(void *arg, const struct log_entry *entries, size_t entry_count, struct diag *diag);

/* Checks a decoded commit.  If some of its records are lost, leaves the records before the gap out,
 * and checks the rest. */
static int check_decoded(struct checking *c, struct decoded_commit *d, struct diag *diag)
{
	const struct log_entry *entries = d->entries;
	size_t before = count_before_gap(c, entries, d->count);
	int err = ARRAY_RESERVE(c->before, d->count, c->before_capacity);

	if (err == 0)
		err = ARRAY_RESERVE(c->entries, d->count, c->entry_capacity);
	if (err == 0)
		err = pass_lost(c, entries[0].file_offset, diag);
	if (err == 0 && before < d->count) {
		err = leave_out(c, entries, before, LOST_REST);
		return err < 0 ? err : check(c, entries + before, d->count - before, diag);
	}
	if (err < 0)
		return err;
	if (c->behind_gap)
		c->gap_next_ns = entries[0].rec.timestamp_ns;
	c->behind_gap = false;
	memcpy(c->entries, entries, d->count * sizeof(entries[0]));
	d->entries = c->entries;
	return check_commit(c, d, diag);
}

static int check(void *arg, const struct log_entry *entries, size_t entry_count, struct diag *diag)
{
	struct checking *c = arg;
	struct decoded_commit d;
	int err = replay_decode(&d, "the log", entries, entry_count, diag);

	if (err == -EBADMSG)
		err = refuse_newer(c, &entries[d.problem_at], d.problem, diag);
	else if (err == 0)
		err = check_decoded(c, &d, diag);
	replay_release(&d);
	return err;
}

/* --- names --- */

static int add_name(void *arg, const struct lost_name *lost)
{
	struct checking *c = arg;
	struct fsck_names *names = c->names;
	struct fsck_name *name;
	struct older *o;

	if (ARRAY_RESERVE(names->list, names->count + 1, names->capacity) < 0)
		return -ENOMEM;
	name = &names->list[names->count];
	*name = (struct fsck_name){
		.path = malloc(lost->path_bytes + 1),
		.path_bytes = lost->path_bytes,
		.has_path = lost->node != NULL,
		.version_ns = (uint64_t)lost->version_ns,
		.size_bytes = lost->size_bytes,
		.lost_bytes = lost->lost_bytes,
		.first_lost = lost->first_lost,
	};
	if (name->path == NULL)
		return -ENOMEM;
	memcpy(name->path, lost->path, lost->path_bytes);
	name->path[lost->path_bytes] = '\0';
	names->count++;
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): uthash has read what it needs */
	HASH_FIND_PTR(c->older, &lost->node, o);
	if (o == NULL || lost->node == NULL)
		return 0;
	name->has_older = true;
	name->older_ns = (uint64_t)o->version_ns;
	name->older_bytes = o->size_bytes;
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	const struct fsck_name *x = a, *y = b;

	return strcmp(x->path, y->path);
}

void fsck_names_free(struct fsck_names *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->list[i].path);
	free(n->list);
	*n = (struct fsck_names){ 0 };
}

/* --- the replay --- */

static int replay_file(struct checking *c, struct io *io, struct fsck_file *file, uint64_t start,
		       struct diag *diag)
{
	struct salvage_file sf = fsck_salvage_file(file, io, -1, false);
	struct salvage_view view;
	struct log_tail t = {
		.io = &view.io,
		.dir_fd = -1,
		.fd = file->fd,
		.name = file->name,
		.path = file->name,
		.number = file->number,
		.any_number = true, /* files.c has checked it */
		.start = start,
		.file_bytes =
			salvage_new_bytes(&file->lost, file->torn ? file->torn_at : file->bytes),
	};
	int err;

	salvage_view_init(&view, &sf, &file->lost);
	c->file = file;
	c->next_lost = 0;
	err = log_tail_replay(&t, check, c, diag);
	if (err == 0 && t.stop.scan != RECORD_END)
		err = add_edit(c, t.stop.offset, t.file_bytes - t.stop.offset, LOST_REST) == NULL
			      ? -ENOMEM
			      : 0;
	return err < 0 ? err : pass_lost(c, UINT64_MAX, diag);
}

static void free_checking(struct checking *c)
{
	struct staged *s, *next;
	struct older *o, *next_older;

	forget_fresh(c);
	HASH_ITER (hh, c->staged, s, next) {
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): HASH_ITER has read 'next' before */
		HASH_DEL(c->staged, s);
		free(s);
	}
	HASH_ITER (hh, c->older, o, next_older) {
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): HASH_ITER has read 'next' before */
		HASH_DEL(c->older, o);
		free(o);
	}
	free(c->before);
	free(c->entries);
	keydir_free(c->k);
}

int fsck_replay(struct io *io, struct fsck_file *files, size_t count, struct fsck_names *ret,
		struct diag *diag)
{
	const struct keydir_defaults defaults = { .umask = 022 };
	struct checking c = { .names = ret };
	uint64_t start = 0;
	int err = keydir_create(&defaults, &c.k);

	for (size_t i = 0; err == 0 && i < count; i++) {
		err = replay_file(&c, io, &files[i], start, diag);
		start += salvage_new_bytes(&files[i].lost, files[i].bytes);
	}
	if (err == 0) {
		err = lost_each(c.k, add_name, &c);
		if (err == 0 && ret->count > 1)
			qsort(ret->list, ret->count, sizeof(ret->list[0]), compare_names);
	}
	free_checking(&c);
	return err;
}
