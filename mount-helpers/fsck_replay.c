/* SPDX-License-Identifier: MIT */
#include "mount-helpers/fsck_replay.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/meta.h"
#include "codec/path.h"
#include "mount-helpers/key_text.h"
#include "writer/keydir.h"
#include "writer/log_writer.h"
#include "writer/replay.h"
#include "writer/uthash_config.h"

/* A file whose whole content was given behind the last gap. */
struct fresh {
	UT_hash_handle hh;
	const struct node *node;
};

/* A staging, when it began. */
struct staged {
	UT_hash_handle hh;
	uint64_t id, first_ns;
	size_t gaps_passed;
};

struct checking {
	struct keydir *k;
	const struct fsck_gap *gaps;
	size_t gap_count, gaps_passed;
	struct fresh *fresh;   /* uthash */
	struct staged *staged; /* uthash */
	struct fsck_misfits *misfits;
};

/* --- what may be a mix --- */

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

static void pass_gaps(struct checking *c, const struct log_entry *entry)
{
	for (; c->gaps_passed < c->gap_count; c->gaps_passed++) {
		const struct fsck_gap *g = &c->gaps[c->gaps_passed];

		if (g->segment > entry->segment ||
		    (g->segment == entry->segment && g->offset > entry->file_offset))
			break;
		forget_fresh(c);
	}
}

static const struct node *file_at(struct checking *c, const char *path, size_t path_bytes)
{
	const struct dentry *d =
		path_ok(path, path_bytes) ? keydir_find_path(c->k, path, path_bytes) : NULL;

	return d == NULL ? NULL : dentry_node(d);
}

static int add_fresh(struct checking *c, const struct node *n)
{
	struct fresh *f;

	if (n == NULL || c->gaps_passed == 0)
		return 0;
	HASH_FIND_PTR(c->fresh, &n, f);
	if (f != NULL)
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

static int add_staged(struct checking *c, const struct log_entry *e, uint64_t id)
{
	struct staged *s;

	HASH_FIND(hh, c->staged, &id, sizeof(id), s);
	if (s != NULL)
		return 0;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return -ENOMEM;
	s->id = id;
	s->first_ns = e->rec.timestamp_ns;
	s->gaps_passed = c->gaps_passed;
	HASH_ADD(hh, c->staged, id, sizeof(s->id), s);
	if (s->hh.tbl != NULL)
		return 0;
	free(s);
	return -ENOMEM;
}

/* Says what may be wrong with a publish; NULL: nothing.  The id of a staging is the time of its
 * first extent. */
static const char *publish_problem(struct checking *c, const char *path, size_t path_bytes,
				   const struct meta_publish *p)
{
	const struct node *n = file_at(c, path, path_bytes);
	struct staged *s = NULL;
	struct fresh *f = NULL;

	if (p->staging_id != 0)
		HASH_FIND(hh, c->staged, &p->staging_id, sizeof(p->staging_id), s);
	if (s != NULL && (s->first_ns != s->id || s->gaps_passed != c->gaps_passed))
		return "some of what it is made of may be lost";
	if ((p->flags & META_FLAG_KEEP) == 0)
		return NULL;
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): uthash has read what it needs */
	HASH_FIND_PTR(c->fresh, &n, f);
	return f == NULL ? "what it changes a part of may be lost" : NULL;
}

struct parsed {
	enum meta_kind kind; /* 0: a plain record */
	const char *path;
	size_t path_bytes;
};

static struct parsed parse(const struct log_entry *e)
{
	struct parsed p = { .path = e->rec.key, .path_bytes = e->rec.key_bytes };

	if (meta_is_key(e->rec.key, e->rec.key_bytes) &&
	    meta_parse_key(e->rec.key, e->rec.key_bytes, &p.kind, &p.path, &p.path_bytes) !=
		    META_OK)
		p.kind = 0;
	return p;
}

static const char *problem_of(struct checking *c, const struct log_entry *e)
{
	struct parsed p = parse(e);
	struct meta_publish publish;

	if (c->gaps_passed == 0 || p.kind != META_PUBLISH ||
	    meta_publish_decode(e->rec.value, e->rec.value_bytes, &publish) != META_OK)
		return NULL;
	return publish_problem(c, p.path, p.path_bytes, &publish);
}

/* Takes note of a commit that was applied. */
static int note(struct checking *c, const struct log_entry *e)
{
	struct parsed p = parse(e);
	struct meta_publish publish;
	struct meta_attr attr;
	uint64_t id;

	switch (p.kind) {
	case META_EXTENT:
		if (meta_staging_id_decode(p.path, p.path_bytes, &id) == META_OK)
			return add_staged(c, e, id);
		return 0;
	case META_PUBLISH:
		if (meta_publish_decode(e->rec.value, e->rec.value_bytes, &publish) != META_OK ||
		    (publish.flags & META_FLAG_KEEP))
			return 0;
		break;
	case META_ATTR:
		if (e->rec.value_bytes != e->value_held_bytes ||
		    meta_attr_decode(e->rec.value, e->rec.value_bytes, &attr) != META_OK ||
		    attr.content == META_CONTENT_KEPT)
			return 0;
		break;
	case META_BASE:
	case META_LINK:
	case META_MOVE:
		return 0;
	default:
		if (e->rec.value_bytes == 0 || meta_is_key(e->rec.key, e->rec.key_bytes))
			return 0;
	}
	return add_fresh(c, file_at(c, p.path, p.path_bytes));
}

/* --- the replay --- */

static void key_of(const struct log_entry *e, char *buf, size_t buf_bytes)
{
	struct parsed p = parse(e);
	FILE *f = fmemopen(buf, buf_bytes - 1, "w");

	buf[buf_bytes - 1] = '\0';
	if (f == NULL) {
		buf[0] = '\0';
		return;
	}
	key_text_print(f, p.path, p.path_bytes);
	(void)fclose(f); /* cut where it is full */
}

static int add_misfit(struct checking *c, const struct log_entry *entries, size_t entry_count,
		      const char *reason)
{
	const struct log_entry *last = &entries[entry_count - 1];
	struct fsck_misfits *m = c->misfits;
	struct fsck_misfit *misfit;

	if (m->count == m->room) {
		size_t room = m->room == 0 ? 8 : 2 * m->room;
		void *list = reallocarray(m->list, room, sizeof(m->list[0]));

		if (list == NULL)
			return -ENOMEM;
		m->list = list;
		m->room = room;
	}
	misfit = &m->list[m->count++];
	*misfit = (struct fsck_misfit){
		.segment = last->segment,
		.offset = entries[0].file_offset,
		.bytes = last->file_offset + last->bytes - entries[0].file_offset,
	};
	(void)snprintf(misfit->reason, sizeof(misfit->reason), "%s", reason);
	key_of(last, misfit->key, sizeof(misfit->key));
	return 0;
}

/* Takes the reason out of the message that a mount would print. */
static const char *reason_in(struct diag *diag)
{
	char *end = strstr(diag->text, "; nothing was changed"), *begin;

	if (end != NULL)
		*end = '\0';
	begin = strstr(diag->text, ": record at offset ");
	begin = begin != NULL ? strstr(begin + 2, ": ") : NULL;
	return begin != NULL ? begin + 2 : diag->text;
}

static int check(void *arg, const struct log_entry *entries, size_t entry_count, struct diag *diag)
{
	struct checking *c = arg;
	const char *problem = NULL;
	int err = 0;

	pass_gaps(c, &entries[0]);
	for (size_t i = 0; i < entry_count && problem == NULL; i++)
		problem = problem_of(c, &entries[i]);
	if (problem != NULL)
		return add_misfit(c, entries, entry_count, problem);
	err = replay_commit(c->k, "the log", entries, entry_count, diag);
	if (err == -EBADMSG)
		return add_misfit(c, entries, entry_count, reason_in(diag));
	for (size_t i = 0; err == 0 && i < entry_count; i++)
		err = note(c, &entries[i]);
	return err;
}

int fsck_replay(const char *datadir, const struct fsck_gap *gaps, size_t gap_count,
		struct fsck_misfits *ret, struct diag *diag)
{
	struct checking c = { .gaps = gaps, .gap_count = gap_count, .misfits = ret };
	const struct keydir_defaults defaults = { .umask = 022 };
	struct log_writer_config config = {
		.fsync_interval_ns = LOG_WRITER_NEVER,
		.segment_size_bytes = LOG_WRITER_SEGMENT_MAX,
		.accept_missing_segments = true,
		.read_only = true,
		.ignore_hints = true,
	};
	struct staged *s, *next;
	struct log_writer *w = NULL;
	char *path;
	int err;

	if (asprintf(&path, "%s/active.data", datadir) < 0)
		return -ENOMEM;
	config.file_path = path;
	err = keydir_create(&defaults, &c.k);
	if (err == 0)
		err = log_writer_open_replay(&config, check, &c, &w, NULL, diag);
	(void)!log_writer_close(w); /* read only */
	forget_fresh(&c);
	HASH_ITER (hh, c.staged, s, next) {
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): HASH_ITER has read 'next' before */
		HASH_DEL(c.staged, s);
		free(s);
	}
	keydir_free(c.k);
	free(path);
	return err;
}

void fsck_misfits_free(struct fsck_misfits *m)
{
	free(m->list);
	*m = (struct fsck_misfits){ 0 };
}
