/* SPDX-License-Identifier: MIT */
#include "writer/compact/fold_replay.h"

#include <errno.h>
#include <stdlib.h>

#include "codec/meta.h"
#include "codec/path.h"
#include "writer/index/replay.h"
#include "writer/base/uthash_config.h"

#define PACE_BYTES ((uint64_t)256 * 1024)

struct fold_stamp {
	UT_hash_handle hh;
	const struct node *node;
	int64_t time_ns;
};

/* --- when contents came about --- */

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

	return s != NULL ? s->time_ns : n->mtime_ns;
}

/* A meta record that changes or makes a content, or sets times. */
struct parsed {
	enum meta_kind kind;
	const struct node *node; /* at its path; NULL: none */
	bool sets_mtime, makes_content;
};

static const struct node *node_at(struct fold_replay *r, const char *path, size_t path_bytes)
{
	const struct dentry *d = NULL;

	if (path_ok(path, path_bytes))
		d = keydir_find_path(r->tree, path, path_bytes);
	return d == NULL ? NULL : dentry_node(d);
}

/* False: it is no such record. */
static bool parse(struct fold_replay *r, const struct log_entry *e, struct parsed *ret)
{
	const struct record *rec = &e->rec;
	struct meta_attr attr;
	size_t path_bytes;
	const char *path;

	*ret = (struct parsed){ .node = NULL };
	if (!meta_is_key(rec->key, rec->key_bytes) ||
	    meta_parse_key(rec->key, rec->key_bytes, &ret->kind, &path, &path_bytes) != META_OK ||
	    (ret->kind != META_PUBLISH && ret->kind != META_ATTR))
		return false;
	ret->makes_content = ret->kind == META_PUBLISH;
	if (ret->kind == META_ATTR) {
		if (meta_attr_decode(rec->value, rec->value_bytes, &attr) != META_OK ||
		    attr.type == META_TYPE_DIRECTORY)
			return false;
		ret->makes_content = attr.content != META_CONTENT_KEPT;
		ret->sets_mtime = (attr.fields & META_FIELD_MTIME) != 0;
	}
	ret->node = node_at(r, path, path_bytes);
	return true;
}

/* Before a commit: the mtime is when the content came about, until it is set. */
static int note_before(struct fold_replay *r, const struct parsed *p)
{
	const struct node *n = p->node;

	if (n == NULL || !p->sets_mtime || p->makes_content || node_is_dir(n) ||
	    (node_content(n) == NULL && n->value_bytes > 0) || find_stamp(r, n) != NULL)
		return 0;
	return note(r, n, n->mtime_ns);
}

/* After it: there is a new content, or a new node. */
static int note_after(struct fold_replay *r, const struct node *before, const struct parsed *p,
		      int64_t now_ns)
{
	const struct node *n = p->node;

	if (n == NULL || node_is_dir(n) || (!p->makes_content && before != NULL))
		return 0;
	if (n->mtime_ns != now_ns)
		return note(r, n, now_ns);
	forget(r, n);
	return 0;
}

/* --- replay --- */

static int replay_one(void *arg, const struct log_entry *entries, size_t entry_count,
		      struct diag *diag)
{
	struct fold_replay *r = arg;
	const struct log_entry *last = &entries[entry_count - 1];
	const struct node *before[LOG_WRITER_GROUP_MAX] = { NULL };
	int64_t now_ns = (int64_t)last->rec.timestamp_ns;
	uint64_t bytes = last->offset + last->bytes - r->paced;
	struct parsed p;
	int err = 0;

	for (size_t i = 0; err == 0 && i < entry_count; i++) {
		if (!parse(r, &entries[i], &p))
			continue;
		if (i < LOG_WRITER_GROUP_MAX)
			before[i] = p.node;
		err = note_before(r, &p);
	}
	if (err == 0)
		err = replay_commit(r->tree, "the log", entries, entry_count, diag);
	for (size_t i = 0; err == 0 && i < entry_count; i++)
		if (parse(r, &entries[i], &p))
			err = note_after(r, i < LOG_WRITER_GROUP_MAX ? before[i] : p.node, &p,
					 now_ns);
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
