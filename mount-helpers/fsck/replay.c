/* SPDX-License-Identifier: MIT */
/* The second part of fsck.freyjafs: checks that the undamaged commits fit together.  It replays the
 * log in the form that it will have without its lost parts, before anything is written.  It finds
 * commits that a mount would refuse, or that would show a content that never existed, because
 * something before them was lost; and in the end all names whose content cannot be read whole.
 *
 * A partial change of a file that is not certain (certain.h) is laid over a content that cannot be
 * read.  So all bytes that are shown were in the file, at this offset, at this time. */
#include "mount-helpers/fsck/fsck.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "codec/path.h"
#include "mount-helpers/fsck/certain.h"
#include "codec/array.h"
#include "writer/index/entries.h"
#include "writer/index/keydir.h"
#include "writer/index/node.h"
#include "writer/index/staged.h"
#include "writer/log/segment_replay.h"
#include "writer/index/lost.h"
#include "writer/index/replay.h"

#define LOST_REST "the rest of its group is lost"

struct fsck_replay {
	struct io *io;
	struct keydir *k; /* owned */
	uint64_t start;	  /* log position of the next file */
	struct certain certain;
	struct fsck_file *file; /* the file that is being read */
	size_t next_lost;	/* the first lost part of it that has not been passed yet */
	bool took_claim;	/* a lost record was taken for what its damaged bytes claim */
	/* Owned; arrays for the records of one commit. */
	struct before *before;
	struct log_entry *entries;
	size_t before_capacity, entry_capacity;
	struct fsck_names *names;
};

static struct node *file_at(const struct fsck_replay *c, const char *path, size_t path_bytes)
{
	const struct dentry *d =
		path_ok(path, path_bytes) ? keydir_find_path(c->k, path, path_bytes) : NULL;

	return d == NULL || !node_is_file(dentry_node(d)) ? NULL : dentry_node(d);
}

/* --- edits --- */

static struct salvage_lost *add_edit(struct fsck_replay *c, uint64_t offset, uint64_t bytes,
				     const char *reason)
{
	return salvage_add(&c->file->edits, offset, bytes, reason);
}

/* Makes 'e' the record that replaces 'edit'. */
static void read_instead(const struct salvage_lost *edit, struct log_entry *e)
{
	(void)record_decode_header(edit->instead, &e->rec);
	e->rec.key = edit->instead + RECORD_HEADER_BYTES;
	e->rec.value = edit->instead + RECORD_HEADER_BYTES + e->rec.key_bytes;
	e->value_held_bytes = e->rec.value_bytes;
}

/* Applies the record that replaces 'edit', which has no other. */
static int apply_instead(struct fsck_replay *c, const struct salvage_lost *edit, struct diag *diag)
{
	struct log_entry e = { 0 };

	read_instead(edit, &e);
	return replay_commit(c->k, "the log", &e, 1, diag);
}

/* Encodes a replacement which marks the content that 'p' publishes as unreadable.  'edit' is NULL
 * if memory was short. */
static int put_dropped(struct salvage_lost *edit, const struct commit_record *p,
		       uint64_t size_bytes, uint8_t flags, uint64_t timestamp_ns)
{
	const struct record was = { .key = p->path,
				    .key_bytes = (uint32_t)p->path_bytes,
				    .timestamp_ns = timestamp_ns };

	return edit == NULL ? -ENOMEM : salvage_put_dropped(edit, &was, size_bytes, flags);
}

static void forget_staging(struct fsck_replay *c, uint64_t id)
{
	content_map_free(staged_take(keydir_staged(c->k), id));
	certain_forget_staging(&c->certain, id);
}

/* --- claims of lost records --- */

/* Returns whether a key is UTF-8 without control characters. */
static bool is_text(const char *key, size_t key_bytes)
{
	int more = 0;

	for (size_t i = 0; i < key_bytes; i++) {
		unsigned char b = (unsigned char)key[i];

		if (more > 0 ? (b & 0xc0) != 0x80
			     : b < ' ' || b == 0x7f || (b >= 0x80 && b < 0xc2) || b > 0xf4)
			return false;
		more = more > 0 ? more - 1 : (b >= 0xc0) + (b >= 0xe0) + (b >= 0xf0);
	}
	return more == 0;
}

/* Returns whether the claimed key of a lost record is likely to be the key that it had.  If damaged
 * bytes are taken for a key, the record may have been any other, for example a piece of a file:
 * then that file would get a content that it never had.  So the key must be that of a file; or a
 * text below a directory that exists, in a record whose time is in the order of the log. */
static bool is_likely_key(const struct fsck_replay *c, const struct salvage_lost *l,
			  const char *key, size_t key_bytes)
{
	const struct dentry *parent;
	size_t parent_bytes = key_bytes;

	if (file_at(c, key, key_bytes) != NULL)
		return true;
	if (!l->in_order || !path_ok(key, key_bytes) || !is_text(key, key_bytes))
		return false;
	while (parent_bytes > 0 && key[parent_bytes - 1] != '/')
		parent_bytes--;
	if (parent_bytes == 0)
		return true;
	parent = keydir_find_path(c->k, key, parent_bytes - 1);
	return parent != NULL && node_is_dir(dentry_node(parent));
}

static int take_claimed_extent(struct fsck_replay *c, const struct salvage_lost *l,
			       const struct commit_record *p, struct diag *diag)
{
	bool known = certain_has_staging(&c->certain, p->staging_id);
	struct salvage_lost *edit;
	int err;

	if (!known && p->staging_id != l->was.rec.timestamp_ns)
		return 1; /* the id itself is damaged */
	if (p->extent.flags != 0)
		return known ? certain_add_extent(&c->certain, p->staging_id, 0, true) : 1;
	edit = add_edit(c, l->new_offset, 0, "");
	if (edit == NULL)
		return -ENOMEM;
	err = salvage_stand_in(edit, &l->was);
	if (err == 0)
		err = apply_instead(c, edit, diag);
	return err < 0 ? err
		       : certain_add_extent(&c->certain, p->staging_id, p->extent.bytes, true);
}

static int take_claimed_publish(struct fsck_replay *c, const struct salvage_lost *l,
				const struct commit_record *p, struct diag *diag)
{
	const struct meta_publish *publish = &p->publish;
	bool keep = (publish->flags & META_FLAG_KEEP) != 0;
	struct salvage_lost *edit;
	int err;

	if ((publish->flags & ~META_FLAG_KEEP) != 0 || publish->size_bytes == 0 ||
	    (publish->staging_id != 0 && !certain_has_staging(&c->certain, publish->staging_id)) ||
	    !is_likely_key(c, l, p->path, p->path_bytes) ||
	    (keep && file_at(c, p->path, p->path_bytes) == NULL))
		return 1;
	edit = add_edit(c, l->new_offset, 0, "");
	err = put_dropped(edit, p, publish->size_bytes, 0, l->was.rec.timestamp_ns);
	if (err == 0)
		err = apply_instead(c, edit, diag);
	forget_staging(c, publish->staging_id);
	return err < 0 ? err : certain_add_fresh(&c->certain, file_at(c, p->path, p->path_bytes));
}

/* Applies a lost record as far as its damaged bytes claim something likely.  Returns 1 if no claim
 * is likely: any record may have been lost. */
static int take_claim(struct fsck_replay *c, const struct salvage_lost *l, struct diag *diag)
{
	struct commit_record p;

	if (l->instead != NULL)
		return 0; /* a put: claims_unlikely_key() */
	if (commit_record_decode(&l->was.rec, l->was.value_held_bytes, &p) != META_OK)
		return 1;
	if (p.kind == META_EXTENT)
		return take_claimed_extent(c, l, &p, diag);
	if (p.kind == META_PUBLISH)
		return take_claimed_publish(c, l, &p, diag);
	return p.kind == 0 && is_likely_key(c, l, p.path, p.path_bytes) ? 0 : 1;
}

/* Returns whether damaged bytes claim a put of an unlikely key in a commit. */
static bool claims_unlikely_key(const struct fsck_replay *c, const struct log_entry *entries,
				size_t count)
{
	const struct salvage *lost = &c->file->lost;

	for (size_t i = c->next_lost; i < lost->count; i++) {
		const struct salvage_lost *l = &lost->lost[i];
		const struct record *rec = &l->was.rec;

		if (l->new_offset > entries[count - 1].file_offset)
			break;
		if (l->known == SALVAGE_CLAIMED && l->instead != NULL && rec->value_bytes > 0 &&
		    path_ok(rec->key, rec->key_bytes) &&
		    !is_likely_key(c, l, rec->key, rec->key_bytes))
			return true;
	}
	return false;
}

/* Passes the parts that were lost before 'offset' of the new file. */
static int pass_lost(struct fsck_replay *c, uint64_t offset, struct diag *diag)
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
		certain_pass_gap(&c->certain);
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

static struct before look_before(const struct fsck_replay *c, const struct commit_record *p)
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
		b.size_bytes = node_size_bytes(b.node);
	}
	return b;
}

/* Updates the state after a record was applied. */
static int note(struct fsck_replay *c, const struct commit_record *p, const struct before *b)
{
	if (p->kind == META_EXTENT)
		return certain_add_extent(&c->certain, p->staging_id, p->extent.bytes, false);
	if (p->kind == META_PUBLISH)
		certain_forget_staging(&c->certain, p->publish.staging_id);
	return b->gives_content ? certain_add_fresh(&c->certain, file_at(c, p->path, p->path_bytes))
				: 0;
}

/* Remembers the last whole version of a file that has ceased to be whole. */
static int note_older(struct fsck_replay *c, const struct before *b)
{
	const struct node *n = file_at(c, b->path, b->path_bytes);
	struct known_file *f;

	if (n == NULL || !lost_in_node(n))
		return 0;
	f = certain_find_file(&c->certain, n);
	if (f != NULL && b->node == NULL) /* of a file that is gone */
		f->has_older = false;
	if (b->node == NULL || !b->whole)
		return 0;
	f = certain_file(&c->certain, n);
	if (f == NULL)
		return -ENOMEM;
	f->has_older = true;
	f->older_ns = b->version_ns;
	f->older_bytes = b->size_bytes;
	return 0;
}

/* Replaces a publish whose content is uncertain by one that marks the content as unreadable. */
static int replace_publish(struct fsck_replay *c, struct log_entry *e, struct commit_record *p)
{
	uint8_t more = p->publish.flags & META_FLAG_MORE;
	struct salvage_lost *edit =
		add_edit(c, e->file_offset, e->bytes, "some of its pieces may be lost");
	int err = put_dropped(edit, p, p->publish.size_bytes, more, e->rec.timestamp_ns);

	if (err < 0)
		return err;
	forget_staging(c, p->publish.staging_id);
	read_instead(edit, e);
	p->publish.flags = META_FLAG_DROPPED | more;
	p->publish.staging_id = 0;
	return 0;
}

/* Ensures that a publish shows no content that never existed.  Changes the entry, or inserts a
 * commit before it.  Returns 1 if the publish must be left out. */
static int mend_publish(struct fsck_replay *c, const struct log_entry *first, struct log_entry *e,
			struct commit_record *p, struct diag *diag)
{
	const struct meta_publish *publish = &p->publish;
	const struct node *n = file_at(c, p->path, p->path_bytes);
	bool keep = (publish->flags & META_FLAG_KEEP) != 0;
	struct salvage_lost *edit;
	uint64_t size;
	int err;

	if (publish->size_bytes == 0 || (publish->flags & META_FLAG_DROPPED))
		return 0;
	if (publish->staging_id != 0 &&
	    !certain_is_complete(&c->certain, publish, n, c->file->in_base)) {
		/* A publish whose piece is missing behind a claim: the claim is false. */
		if (c->certain.gaps == 0 && !c->took_claim &&
		    !certain_has_staging(&c->certain, publish->staging_id))
			return 0; /* no damage: the replay reports the error */
		return (publish->flags & META_FLAG_UNNAMEABLE) ? 1 : replace_publish(c, e, p);
	}
	if (!keep || certain_is_fresh(&c->certain, n))
		return 0;
	if (n == NULL)
		return replace_publish(c, e, p);
	size = node_size_bytes(n) > publish->size_bytes ? node_size_bytes(n) : publish->size_bytes;
	edit = add_edit(c, first->file_offset, 0, "the content that it changes may be lost");
	err = put_dropped(edit, p, size, 0, first->rec.timestamp_ns);
	return err < 0 ? err : apply_instead(c, edit, diag);
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
static int leave_out(struct fsck_replay *c, const struct log_entry *entries, size_t count,
		     const char *reason)
{
	const struct log_entry *last = &entries[count - 1];
	uint64_t from = entries[0].file_offset, end = last->file_offset + last->bytes;
	struct salvage *edits = &c->file->edits;
	struct salvage_record was;
	struct salvage_lost *l;
	int err = salvage_copy_record(last, &was); /* first: the edits dropped next may own it */

	if (err < 0)
		return err;
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

static int refuse_newer(const struct fsck_replay *c, const struct log_entry *e, enum meta_error err,
			struct diag *diag)
{
	return diag_set(diag, -EPROTONOSUPPORT,
			"%s: offset %" PRIu64
			": %s; it was written by a newer version of freyjafs; nothing was changed",
			c->file->name, e->file_offset, meta_error_text(err));
}

/* Checks a commit, whose entries are in 'c'. */
static int check_commit(struct fsck_replay *c, struct decoded_commit *d, struct diag *diag)
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
static size_t count_before_gap(const struct fsck_replay *c, const struct log_entry *entries,
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

static int check_entries(void *arg, const struct log_entry *entries, size_t entry_count,
			 struct diag *diag);

/* Checks a decoded commit.  If some of its records are lost, leaves the records before the gap out,
 * and checks the rest. */
static int check_decoded(struct fsck_replay *c, struct decoded_commit *d, struct diag *diag)
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
		return err < 0 ? err : check_entries(c, entries + before, d->count - before, diag);
	}
	if (err < 0)
		return err;
	if (c->file->lost_anywhere || claims_unlikely_key(c, entries, d->count))
		certain_pass_gap(&c->certain);
	certain_pass_record(&c->certain, entries[0].rec.timestamp_ns);
	memcpy(c->entries, entries, d->count * sizeof(entries[0]));
	d->entries = c->entries;
	return check_commit(c, d, diag);
}

static int check_entries(void *arg, const struct log_entry *entries, size_t entry_count,
			 struct diag *diag)
{
	struct fsck_replay *c = arg;
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
	struct fsck_replay *c = arg;
	struct fsck_names *names = c->names;
	struct fsck_name *name;
	const struct known_file *f;

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
	f = certain_find_file(&c->certain, lost->node);
	if (f == NULL || !f->has_older)
		return 0;
	name->has_older = true;
	name->older_ns = (uint64_t)f->older_ns;
	name->older_bytes = f->older_bytes;
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

int fsck_replay_file(struct fsck_replay *c, struct fsck_file *file, struct diag *diag)
{
	struct salvage_file sf = fsck_salvage_file(file, c->io, -1, false);
	struct salvage_view view;
	struct log_tail t = {
		.io = &view.io,
		.dir_fd = -1,
		.fd = file->fd,
		.name = file->name,
		.path = file->name,
		.number = file->number,
		.any_number = true, /* files.c has checked it */
		.start = c->start,
		.file_bytes =
			salvage_new_bytes(&file->lost, file->torn ? file->torn_at : file->bytes),
	};
	int err;

	salvage_view_init(&view, &sf, &file->lost);
	c->file = file;
	c->next_lost = 0;
	c->start += salvage_new_bytes(&file->lost, file->bytes);
	err = log_tail_replay(&t, check_entries, c, diag);
	if (err == 0 && t.stop.scan != RECORD_END)
		err = add_edit(c, t.stop.offset, t.file_bytes - t.stop.offset, LOST_REST) == NULL
			      ? -ENOMEM
			      : 0;
	return err < 0 ? err : pass_lost(c, UINT64_MAX, diag);
}

int fsck_replay_begin(struct io *io, struct fsck_replay **ret)
{
	const struct keydir_defaults defaults = { .umask = 022 };
	struct fsck_replay *c = calloc(1, sizeof(*c));
	int err = c == NULL ? -ENOMEM : keydir_create(&defaults, &c->k);

	if (err < 0) {
		free(c);
		return err;
	}
	c->io = io;
	c->certain.k = c->k;
	*ret = c;
	return 0;
}

int fsck_replay_names(struct fsck_replay *c, struct fsck_names *ret)
{
	int err;

	c->names = ret;
	err = lost_each(c->k, add_name, c);
	if (err == 0 && ret->count > 1)
		qsort(ret->list, ret->count, sizeof(ret->list[0]), compare_names);
	return err;
}

void fsck_replay_end(struct fsck_replay *c)
{
	certain_free(&c->certain);
	free(c->before);
	free(c->entries);
	keydir_free(c->k);
	free(c);
}
