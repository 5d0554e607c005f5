/* SPDX-License-Identifier: MIT */
#include "writer/compact/fold_replay.h"

#include <errno.h>
#include <stdlib.h>

#include "codec/path.h"
#include "writer/index/entries.h"
#include "writer/index/replay.h"
#include "writer/base/uthash_config.h"

#define PACE_BYTES ((uint64_t)256 * 1024)

struct fold_stamp {
	UT_hash_handle hh;
	const struct node *node;
	int64_t time_ns;
};

/* --- times of contents --- */

static struct fold_stamp *find_stamp(const struct fold_replay *r, const struct node *n)
{
	struct fold_stamp *s;

	HASH_FIND_PTR(r->stamps, &n, s);
	return s;
}

static void forget(struct fold_replay *r, const struct node *n)
{
	struct fold_stamp *s = find_stamp(r, n);

	if (s == NULL)
		return;
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): uthash has read what it needs */
	HASH_DEL(r->stamps, s);
	free(s);
}

static int note(struct fold_replay *r, const struct node *n, int64_t time_ns)
{
	struct fold_stamp *s = find_stamp(r, n);

	if (s != NULL) {
		s->time_ns = time_ns;
		return 0;
	}
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return -ENOMEM;
	s->node = n;
	s->time_ns = time_ns;
	HASH_ADD_PTR(r->stamps, node, s);
	if (s->hh.tbl != NULL)
		return 0;
	free(s);
	return -ENOMEM;
}

int64_t fold_replay_time(const struct fold_replay *r, const struct node *n)
{
	const struct fold_stamp *s = find_stamp(r, n);

	return s != NULL ? s->time_ns : node_times(n).mtime_ns;
}

/* Returns the node of a record that makes a content, or that changes the attributes of a node other
 * than a directory; NULL if there is none. */
static const struct node *node_of(const struct fold_replay *r, const struct commit_record *rec)
{
	const struct dentry *d;

	if (rec->kind != META_PUBLISH &&
	    (rec->kind != META_ATTR || rec->attr.type == META_TYPE_DIRECTORY))
		return NULL;
	d = path_ok(rec->path, rec->path_bytes)
		    ? keydir_find_path(r->tree, rec->path, rec->path_bytes)
		    : NULL;
	return d == NULL ? NULL : dentry_node(d);
}

static bool makes_content(const struct commit_record *rec)
{
	return rec->kind == META_PUBLISH || rec->attr.content != META_CONTENT_KEPT;
}

/* Before a commit: notes the mtime as the time of the content, before it is set. */
static int note_before(struct fold_replay *r, const struct node *n, const struct commit_record *rec)
{
	if (n == NULL || makes_content(rec) || (rec->attr.fields & META_FIELD_MTIME) == 0 ||
	    node_is_dir(n) || (node_content(n) == NULL && node_value(n).value_bytes > 0) ||
	    find_stamp(r, n) != NULL)
		return 0;
	return note(r, n, node_times(n).mtime_ns);
}

/* After it: notes the time of a new content or a new node. */
static int note_after(struct fold_replay *r, bool was_there, const struct commit_record *rec,
		      int64_t now_ns)
{
	const struct node *n = node_of(r, rec);

	if (n == NULL || node_is_dir(n) || (!makes_content(rec) && was_there))
		return 0;
	if (node_times(n).mtime_ns != now_ns)
		return note(r, n, now_ns);
	forget(r, n);
	return 0;
}

/* --- replay --- */

static int replay_decoded_commit(struct fold_replay *r, const struct decoded_commit *c,
				 int64_t now_ns, struct diag *diag)
{
	bool was_there[LOG_WRITER_GROUP_MAX];
	int err = 0;

	for (size_t i = 0; err == 0 && i < c->count; i++) {
		const struct node *n = node_of(r, &c->records[i]);

		if (i < LOG_WRITER_GROUP_MAX)
			was_there[i] = n != NULL;
		err = note_before(r, n, &c->records[i]);
	}
	if (err == 0)
		err = replay_decoded(r->tree, "the log", c, diag);
	for (size_t i = 0; err == 0 && i < c->count; i++)
		err = note_after(r, i >= LOG_WRITER_GROUP_MAX || was_there[i], &c->records[i],
				 now_ns);
	return err;
}

static int replay_one(void *arg, const struct log_entry *entries, size_t entry_count,
		      struct diag *diag)
{
	struct fold_replay *r = arg;
	const struct log_entry *last = &entries[entry_count - 1];
	uint64_t bytes = last->offset + last->bytes - r->paced;
	struct decoded_commit c;
	int err = replay_decode(&c, "the log", entries, entry_count, diag);

	if (err == 0)
		err = replay_decoded_commit(r, &c, (int64_t)last->rec.timestamp_ns, diag);
	replay_release(&c);
	if (err < 0 || bytes < PACE_BYTES)
		return err;
	r->paced += bytes;
	return r->pace(r->arg, bytes);
}

int fold_replay_segment(struct fold_replay *r, struct log_writer *log, const struct segment *seg)
{
	int err;

	r->paced = seg->start;
	err = log_writer_replay_sealed(log, seg, replay_one, r, NULL);
	if (err < 0)
		return err;
	return r->pace(r->arg, seg->start + seg->bytes - r->paced);
}

int fold_replay_init(struct fold_replay *r, const struct keydir_defaults *defaults)
{
	int err = keydir_create(defaults, &r->tree);

	if (err == 0)
		keydir_set_alone(r->tree, true);
	return err;
}

void fold_replay_free(struct fold_replay *r)
{
	struct fold_stamp *s, *next;

	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): uthash has read what it needs */
	HASH_ITER (hh, r->stamps, s, next) {
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): uthash has read what it needs */
		HASH_DEL(r->stamps, s);
		free(s);
	}
	if (r->tree != NULL)
		keydir_set_alone(r->tree, false);
	keydir_free(r->tree);
	r->tree = NULL;
}
