/* SPDX-License-Identifier: MIT */
#include "writer/history/graph.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "codec/path.h"
#include "codec/array.h"
#include "writer/base/times.h"
#include "writer/index/replay.h"

/* A commit that is being applied. */
struct change {
	struct graph *g;
	uint64_t now_ns;
	const struct log_entry *entry; /* the current part */
};

/* --- nodes and names --- */

static struct graph_node *graph_node_new(struct graph *g, enum meta_type type)
{
	struct graph_node *n = calloc(1, sizeof(*n));

	if (n == NULL)
		return NULL;
	n->type = type;
	n->mode = g->default_mode;
	n->uid = g->default_uid;
	n->gid = g->default_gid;
	n->next = g->nodes;
	g->nodes = n;
	return n;
}

static bool is_dir(const struct graph_node *n)
{
	return n->type == META_TYPE_DIRECTORY;
}

struct graph_name *graph_find(const struct graph_node *dir, const char *name, size_t name_bytes)
{
	struct graph_name *found;

	HASH_FIND(hh, dir->names, name, name_bytes, found);
	return found;
}

/* Returns the node that a name has now, or NULL. */
static struct graph_node *means(const struct graph_name *name)
{
	const struct graph_span *last;

	if (name == NULL || name->span_count == 0)
		return NULL;
	last = &name->spans[name->span_count - 1];
	return last->until_ns == HISTORY_STILL ? last->node : NULL;
}

static struct graph_name *name_get(struct graph_node *dir, const char *text, size_t bytes)
{
	struct graph_name *name = graph_find(dir, text, bytes);

	if (name != NULL)
		return name;
	name = calloc(1, sizeof(*name) + bytes);
	if (name == NULL)
		return NULL;
	name->name_bytes = (uint16_t)bytes;
	memcpy(name->name, text, bytes);
	HASH_ADD_KEYPTR(hh, dir->names, name->name, bytes, name);
	if (name->hh.tbl == NULL) {
		free(name);
		return NULL;
	}
	return name;
}

/* The timestamps of a base's records are the times of the described changes; they are in no order.
 * All records behind the base are later than its state. */
static bool is_in_base(const struct change *c)
{
	return c->now_ns <= c->g->base_ns;
}

/* Gives the name 'name' in 'dir' to 'n' from now on. */
static int begin_span(struct change *c, struct graph_node *dir, struct graph_name *name,
		      struct graph_node *n)
{
	size_t capacity = name->span_capacity;

	if (ARRAY_RESERVE(name->spans, (size_t)name->span_count + 1, capacity) < 0)
		return -ENOMEM;
	name->span_capacity = (uint32_t)capacity;
	name->spans[name->span_count++] = (struct graph_span){
		.node = n, .from_ns = is_in_base(c) ? 0 : c->now_ns, .until_ns = HISTORY_STILL
	};
	dir->live++;
	if (is_dir(n)) {
		n->dir = dir;
		n->own_name = name;
	}
	return 0;
}

/* Makes a node, and gives it the name 'name' in 'dir'. */
static int make_node(struct change *c, struct graph_node *dir, struct graph_name *name,
		     enum meta_type type, struct graph_node **ret)
{
	*ret = graph_node_new(c->g, type);
	return *ret == NULL ? -ENOMEM : begin_span(c, dir, name, *ret);
}

/* Ends the present meaning of the name. */
static void end_span(struct change *c, struct graph_node *dir, struct graph_name *name)
{
	struct graph_node *n = means(name);

	if (n == NULL || dir == NULL)
		return;
	name->spans[name->span_count - 1].until_ns = c->now_ns;
	dir->live--;
	if (is_dir(n)) {
		n->dir = NULL;
		n->own_name = NULL;
	}
}

/* Removes a directory that existed only through its keys, with the last of them. */
static void prune_empty(struct change *c, struct graph_node *dir)
{
	while (dir->live == 0 && !dir->explicit && dir->dir != NULL && dir->own_name != NULL) {
		struct graph_node *above = dir->dir;

		end_span(c, above, dir->own_name);
		dir = above;
	}
}

/* --- paths --- */

/* The last component of a path, and its directory. */
struct target {
	struct graph_node *dir;
	struct graph_name *name;
	struct graph_node *node; /* the node that has the path now; NULL: none */
};

/* Walks along a path, and makes missing directories on the way. */
static int walk(struct change *c, const char *path, size_t path_bytes, struct target *ret)
{
	struct target at = { .node = c->g->root };
	size_t pos = 0;
	int err;

	do {
		const char *text;
		size_t bytes = path_next(path, path_bytes, &pos, &text);

		if (at.name != NULL && at.node != NULL && !is_dir(at.node)) {
			end_span(c, at.dir, at.name); /* a key that gives way to a directory */
			at.node = NULL;
		}
		if (at.name != NULL && at.node == NULL) {
			err = make_node(c, at.dir, at.name, META_TYPE_DIRECTORY, &at.node);
			if (err < 0)
				return err;
		}
		at.dir = at.node;
		at.name = name_get(at.dir, text, bytes);
		if (at.name == NULL)
			return -ENOMEM;
		at.node = means(at.name);
	} while (pos < path_bytes);
	*ret = at;
	return 0;
}

/* Looks up the node that has a path now.  Returns false if there is none. */
static bool look_up(struct change *c, const char *path, size_t path_bytes, struct target *ret)
{
	struct target at = { .node = c->g->root };
	size_t pos = 0;

	if (!path_ok(path, path_bytes))
		return false;
	do {
		const char *text;
		size_t bytes = path_next(path, path_bytes, &pos, &text);

		if (!is_dir(at.node))
			return false;
		at.dir = at.node;
		at.name = graph_find(at.dir, text, bytes);
		at.node = means(at.name);
		if (at.node == NULL)
			return false;
	} while (pos < path_bytes);
	*ret = at;
	return true;
}

/* --- versions --- */

/* Adds a version; the caller has filled in everything except the common fields. */
static int add_version(struct change *c, struct graph_node *n, const struct version *v)
{
	struct version *added;

	if (ARRAY_RESERVE(n->versions, n->version_count + 1, n->version_capacity) < 0)
		return -ENOMEM;
	added = &n->versions[n->version_count++];
	*added = *v;
	added->timestamp_ns = c->now_ns;
	added->mtime_ns = ns_of_timestamp(c->now_ns);
	added->offset = c->entry->offset;
	added->segment = c->entry->segment;
	added->file_offset = c->entry->file_offset;
	added->key_bytes = c->entry->rec.key_bytes;
	added->value_bytes = c->entry->rec.value_bytes;
	added->mode = n->mode;
	added->uid = n->uid;
	added->gid = n->gid;
	return 0;
}

/* Returns whether a replay keeps the key as an unnameable key, because it is too deep. */
static bool is_too_deep(struct change *c, const char *path, size_t path_bytes)
{
	const char *slash = memrchr(path, '/', path_bytes);
	struct target dir;

	return path_levels(path, path_bytes) > PATH_KEY_LEVELS_MAX &&
	       (!look_up(c, path, (size_t)(slash - path), &dir) || !is_dir(dir.node));
}

/* Adds a new content of the file at a path; makes the file if it is missing. */
static int graph_put_version(struct change *c, const char *path, size_t path_bytes,
			     const struct version *v)
{
	struct target at;
	int err;

	if (is_too_deep(c, path, path_bytes))
		return -EEXIST;
	err = walk(c, path, path_bytes, &at);
	if (err < 0)
		return err;
	if (at.node != NULL && at.node->type != META_TYPE_FILE)
		return -EEXIST; /* it is an unnameable key */
	if (at.node == NULL)
		err = make_node(c, at.dir, at.name, META_TYPE_FILE, &at.node);
	return err < 0 ? err : add_version(c, at.node, v);
}

int graph_content(const struct graph_node *n, size_t index, struct content_map **ret)
{
	struct content_map *content = content_map_new(false);
	size_t first = index;
	int err = content == NULL ? -ENOMEM : 0;

	while (first > 0 && n->versions[first].kind == VERSION_LAID && n->versions[first].keep)
		first--;
	for (size_t i = first; err == 0 && i <= index; i++) {
		const struct version *v = &n->versions[i];
		struct content_piece whole = {
			.bytes = v->size_bytes,
			.value = { v->offset, v->key_bytes, v->value_bytes },
			.dropped = v->kind != VERSION_PLAIN,
		};

		/* To be laid over unknown content. */
		bool lost = v->kind == VERSION_DROPPED || (i == 0 && v->keep);

		err = content_map_reserve(content,
					  1 + (v->laid != NULL ? content_map_pieces(v->laid) : 0));
		if (err < 0)
			break;
		if (v->size_bytes > 0 && (lost || v->kind == VERSION_PLAIN))
			content_map_lay(content, &whole);
		if (v->laid != NULL)
			content_map_lay_all(content, v->laid);
		content_map_set_size(content, v->size_bytes);
	}
	if (err < 0) {
		content_map_free(content);
		return err;
	}
	*ret = content;
	return 0;
}

/* --- records --- */

static int graph_put(struct change *c, const struct commit_record *rec)
{
	const struct version v = { .kind = VERSION_PLAIN, .size_bytes = rec->value_bytes };
	int err;

	if (rec->unnameable || !path_ok(rec->path, rec->path_bytes))
		return 0;
	err = graph_put_version(c, rec->path, rec->path_bytes, &v);
	return err == -EEXIST ? 0 : err;
}

static int graph_tombstone(struct change *c, const struct commit_record *rec)
{
	struct target at;

	if (!look_up(c, rec->path, rec->path_bytes, &at) || (is_dir(at.node) && at.node->live > 0))
		return 0;
	end_span(c, at.dir, at.name);
	prune_empty(c, at.dir);
	return 0;
}

static int set_target(struct change *c, struct graph_node *n, const struct meta_attr *attr)
{
	struct version v = { .kind = VERSION_SYMLINK, .size_bytes = attr->target_bytes };
	int err;

	v.target = malloc(attr->target_bytes + 1);
	if (v.target == NULL)
		return -ENOMEM;
	memcpy(v.target, attr->target, attr->target_bytes);
	v.target[attr->target_bytes] = '\0';
	err = add_version(c, n, &v);
	if (err < 0)
		free(v.target);
	return err;
}

/* The attributes of an attr record apply to the newest version, too: programs set the times after
 * they have written. */
static void graph_set_attr(struct graph_node *n, const struct meta_attr *attr)
{
	struct version *v = n->version_count > 0 ? &n->versions[n->version_count - 1] : NULL;

	n->mode = attr->mode;
	n->uid = attr->uid;
	n->gid = attr->gid;
	if (is_dir(n) && (attr->flags & META_FLAG_IMPLICIT) == 0)
		n->explicit = true;
	if (v == NULL)
		return;
	v->mode = n->mode;
	v->uid = n->uid;
	v->gid = n->gid;
	if (attr->fields & META_FIELD_MTIME)
		v->mtime_ns = ns_of_meta_time(attr->mtime);
}

static int graph_attr(struct change *c, const struct commit_record *rec)
{
	const struct meta_attr *attr = &rec->attr;
	const struct version empty = { .kind = VERSION_LAID };
	bool is_new = false;
	struct target at;
	int err;

	if (!path_ok(rec->path, rec->path_bytes))
		return 0; /* the root, for example */
	err = walk(c, rec->path, rec->path_bytes, &at);
	if (err < 0)
		return err;
	if (at.node != NULL && attr->content == META_CONTENT_NEW && !is_dir(at.node)) {
		end_span(c, at.dir, at.name);
		at.node = NULL;
	}
	if (at.node == NULL) {
		is_new = true;
		err = make_node(c, at.dir, at.name, attr->type, &at.node);
	}
	if (err < 0 || at.node->type != attr->type)
		return err;
	if (attr->content != META_CONTENT_KEPT)
		err = add_version(c, at.node, &empty);
	if (is_new && attr->type == META_TYPE_SYMLINK)
		err = set_target(c, at.node, attr);
	if (err == 0)
		graph_set_attr(at.node, attr);
	return err;
}

static int graph_move(struct change *c, const struct commit_record *rec)
{
	const struct meta_move *move = &rec->move;
	bool exchange = (move->flags & META_FLAG_EXCHANGE) != 0;
	struct graph_node *moved, *other;
	struct target from, to;
	int err;

	if (!path_ok(move->new_path, move->new_path_bytes) ||
	    !look_up(c, rec->path, rec->path_bytes, &from))
		return 0;
	err = walk(c, move->new_path, move->new_path_bytes, &to);
	if (err < 0)
		return err;
	/* Walking cannot have ended the old name, except in a log that no store writes. */
	moved = means(from.name);
	other = to.node;
	if (moved == NULL || moved == other)
		return 0;
	if (other != NULL)
		end_span(c, to.dir, to.name);
	end_span(c, from.dir, from.name);
	err = begin_span(c, to.dir, to.name, moved);
	if (err == 0 && exchange && other != NULL)
		err = begin_span(c, from.dir, from.name, other);
	if (err == 0)
		prune_empty(c, from.dir);
	return err;
}

static int graph_link(struct change *c, const struct commit_record *rec)
{
	const struct meta_move *link = &rec->move;
	struct target from, to;
	int err;

	if (!path_ok(link->new_path, link->new_path_bytes) ||
	    !look_up(c, rec->path, rec->path_bytes, &from) || is_dir(from.node))
		return 0;
	err = walk(c, link->new_path, link->new_path_bytes, &to);
	return err < 0 || to.node != NULL ? err : begin_span(c, to.dir, to.name, from.node);
}

/* --- content in pieces --- */

static int graph_extent(struct change *c, const struct commit_record *rec)
{
	const struct meta_extent *extent = &rec->extent;
	bool dropped = (extent->flags & META_FLAG_DROPPED) != 0;
	const struct content_piece piece = {
		.offset = extent->offset,
		.bytes = extent->bytes,
		.value = { c->entry->offset, c->entry->rec.key_bytes, c->entry->rec.value_bytes },
		.value_offset = META_EXTENT_FIXED_BYTES,
		.hole = (extent->flags & META_FLAG_HOLE) != 0 && !dropped,
		.dropped = dropped,
	};
	struct content_map *content = staged_find(&c->g->staged, rec->staging_id, true);

	if (content == NULL || content_map_reserve(content, 1) < 0)
		return -ENOMEM;
	content_map_lay(content, &piece);
	return 0;
}

static int graph_publish(struct change *c, const struct commit_record *rec)
{
	const struct meta_publish *publish = &rec->publish;
	bool unnameable = rec->unnameable || (publish->flags & META_FLAG_UNNAMEABLE) != 0;
	struct version v = {
		.kind = publish->flags & META_FLAG_DROPPED ? VERSION_DROPPED : VERSION_LAID,
		.keep = (publish->flags & META_FLAG_KEEP) != 0,
		.size_bytes = publish->size_bytes,
		.laid = staged_take(&c->g->staged, publish->staging_id),
	};
	int err = -EEXIST;

	if (!unnameable && path_ok(rec->path, rec->path_bytes))
		err = graph_put_version(c, rec->path, rec->path_bytes, &v);
	if (err < 0)
		content_map_free(v.laid);
	return err == -EEXIST ? 0 : err;
}

/* --- commits --- */

static int graph_add_record(struct change *c, const struct commit_record *rec)
{
	switch (rec->kind) {
	case META_ATTR:
		return graph_attr(c, rec);
	case META_BASE:
		c->g->base_ns = rec->base.as_of_ns;
		return 0;
	case META_LINK:
		return graph_link(c, rec);
	case META_MOVE:
		return graph_move(c, rec);
	case META_EXTENT:
		return graph_extent(c, rec);
	case META_PUBLISH:
		return graph_publish(c, rec);
	case META_SEGMENT:
		return 0;
	}
	return rec->value_bytes > 0 ? graph_put(c, rec) : graph_tombstone(c, rec);
}

int graph_apply(struct graph *g, const struct log_entry *entries, size_t entry_count)
{
	struct change c = { .g = g, .now_ns = entries[entry_count - 1].rec.timestamp_ns };
	struct commit_step step = { 0 };
	struct decoded_commit d;
	int err = replay_decode(&d, "", entries, entry_count, NULL);

	while (err == 0 && commit_next(d.records, d.count, &step)) {
		c.entry = &entries[step.index];
		err = graph_add_record(&c, &d.records[step.index]);
	}
	replay_release(&d);
	return err == -EBADMSG ? 0 : err; /* the store reports the fault of the commit */
}

/* --- life --- */

int graph_init(struct graph *g)
{
	g->nodes = NULL;
	g->staged = (struct staged_set){ 0 };
	g->base_ns = 0;
	g->root = graph_node_new(g, META_TYPE_DIRECTORY);
	if (g->root == NULL)
		return -ENOMEM;
	g->root->explicit = true;
	return 0;
}

static void graph_node_free(struct graph_node *n)
{
	struct graph_name *name, *next;

	HASH_ITER (hh, n->names, name, next) {
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): uthash has read what it needs */
		HASH_DEL(n->names, name);
		free(name->spans);
		free(name);
	}
	for (size_t i = 0; i < n->version_count; i++) {
		content_map_free(n->versions[i].laid);
		free(n->versions[i].target);
	}
	free(n->versions);
	free(n);
}

void graph_free(struct graph *g)
{
	struct graph_node *n, *next;

	staged_drop_all(&g->staged);
	for (n = g->nodes; n != NULL; n = next) {
		next = n->next;
		graph_node_free(n);
	}
	g->nodes = g->root = NULL;
}
