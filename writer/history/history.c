/* SPDX-License-Identifier: MIT */
/* History: reads the log into the graph, and finds the versions of paths in it. */
#include "writer/history.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "codec/path.h"
#include "codec/array.h"
#include "writer/history/graph.h"
#include "writer/history/version.h"
#include "writer/log/names.h"

struct history {
	struct history_config config; /* without 'dir_path' */
	char *log_path;		      /* owned */
	struct shared_log *log;
	struct graph graph;
};

/* --- open, refresh, close --- */

static int take_commit(void *arg, const struct log_entry *entries, size_t entry_count,
		       struct diag *diag)
{
	return graph_apply(arg, entries, entry_count);
}

static struct graph new_graph(const struct history *h)
{
	return (struct graph){
		.default_uid = h->config.uid,
		.default_gid = h->config.gid,
		.default_mode = (uint16_t)(0666 & ~h->config.umask),
	};
}

/* Reads the whole log into a new graph, and replaces the old log and graph by the new ones. */
static int read_log(struct history *h, struct diag *diag)
{
	const struct log_writer_config config = {
		.file_path = h->log_path,
		.fsync_interval_ns = LOG_WRITER_NEVER,
		.segment_size_bytes = LOG_WRITER_SEGMENT_MAX,
		.accept_missing_segments = h->config.accept_missing_segments,
		.read_only = true,
		.until_ns = h->config.until_ns,
		.io = h->config.io,
	};
	struct shared_log *log = calloc(1, sizeof(*log));
	struct graph graph = new_graph(h);
	int err;

	err = log == NULL ? -ENOMEM : graph_init(&graph);
	if (err == 0)
		err = log_writer_open_replay(&config, take_commit, &graph, &log->w, NULL, diag);
	if (err < 0) {
		graph_free(&graph);
		free(log);
		return err;
	}
	log->refs = 1;
	graph_free(&h->graph);
	history_log_release(h->log);
	h->graph = graph;
	h->log = log;
	return 0;
}

int history_open(const struct history_config *config, struct history **ret, struct diag *diag)
{
	struct history *h = calloc(1, sizeof(*h));
	int err = 0;

	if (h == NULL)
		return -ENOMEM;
	h->config = *config;
	h->config.dir_path = NULL;
	if (asprintf(&h->log_path, "%s/" ACTIVE_NAME, config->dir_path) < 0) {
		h->log_path = NULL;
		err = -ENOMEM;
	}
	if (err == 0)
		err = read_log(h, diag);
	if (err < 0) {
		history_close(h);
		return err;
	}
	*ret = h;
	return 0;
}

int history_refresh(struct history *h, struct diag *diag)
{
	int got = log_writer_read_on(h->log->w, take_commit, &h->graph, diag);

	return got <= 0 ? got : read_log(h, diag);
}

void history_close(struct history *h)
{
	if (h == NULL)
		return;
	graph_free(&h->graph);
	history_log_release(h->log);
	free(h->log_path);
	free(h);
}

/* --- resolving a path --- */

/* A file or directory that had the path, and the time when it lost it. */
struct held {
	const struct graph_node *node;
	uint64_t until_ns;
};

struct held_list {
	struct held *held; /* owned */
	size_t count, capacity;
};

static int held_add(struct held_list *l, const struct graph_node *node, uint64_t until_ns)
{
	if (ARRAY_RESERVE(l->held, l->count + 1, l->capacity) < 0)
		return -ENOMEM;
	l->held[l->count++] = (struct held){ node, until_ns };
	return 0;
}

/* Orders by node; for the same node the longest time comes first. */
static int compare_held(const void *a, const void *b)
{
	const struct held *x = a, *y = b;

	if (x->node != y->node)
		return (uintptr_t)x->node < (uintptr_t)y->node ? -1 : 1;
	return x->until_ns > y->until_ns ? -1 : x->until_ns < y->until_ns;
}

static void merge_held(struct held_list *l)
{
	size_t kept = 0;

	if (l->count > 1)
		qsort(l->held, l->count, sizeof(l->held[0]), compare_held);
	for (size_t i = 0; i < l->count; i++)
		if (kept == 0 || l->held[kept - 1].node != l->held[i].node)
			l->held[kept++] = l->held[i];
	l->count = kept;
}

/* Adds the nodes that 'name' had in a directory which had its own path until 'until_ns'. */
static int add_meanings(struct held_list *l, const struct graph_name *name, uint64_t until_ns)
{
	int err = 0;

	for (uint32_t i = 0; err == 0 && i < name->span_count; i++) {
		const struct graph_span *s = &name->spans[i];

		if (s->from_ns <= until_ns)
			err = held_add(l, s->node, s->until_ns < until_ns ? s->until_ns : until_ns);
	}
	return err;
}

/* Finds all nodes that ever had the path.  The caller frees 'ret->held'. */
static int resolve(const struct history *h, const char *path, size_t path_bytes,
		   struct held_list *ret)
{
	struct held_list at = { 0 };
	size_t pos = 0;
	int err = held_add(&at, h->graph.root, HISTORY_STILL);

	if (path_bytes > 0 && !path_ok(path, path_bytes))
		err = -ENOENT;
	while (err == 0 && pos < path_bytes) {
		struct held_list next = { 0 };
		const char *text;
		size_t bytes = path_next(path, path_bytes, &pos, &text);

		for (size_t i = 0; err == 0 && i < at.count; i++) {
			const struct graph_name *name = graph_find(at.held[i].node, text, bytes);

			if (name != NULL)
				err = add_meanings(&next, name, at.held[i].until_ns);
		}
		free(at.held);
		at = next;
		merge_held(&at);
		if (err == 0 && at.count == 0)
			err = -ENOENT;
	}
	if (err < 0) {
		free(at.held);
		return err;
	}
	*ret = at;
	return 0;
}

bool history_has(struct history *h, const char *path, size_t path_bytes)
{
	struct held_list found = { 0 };
	int err = resolve(h, path, path_bytes, &found);

	free(found.held);
	return err == 0;
}

int history_directory_until(struct history *h, const char *path, size_t path_bytes,
			    uint64_t *ret_until_ns)
{
	struct held_list found;
	uint64_t until_ns = 0;
	int err = resolve(h, path, path_bytes, &found);

	if (err < 0)
		return err;
	err = -ENOENT;
	for (size_t i = 0; i < found.count; i++) {
		if (found.held[i].node->type != META_TYPE_DIRECTORY)
			continue;
		err = 0;
		if (found.held[i].until_ns > until_ns)
			until_ns = found.held[i].until_ns;
	}
	free(found.held);
	if (err == 0)
		*ret_until_ns = until_ns;
	return err;
}

/* --- versions of a path --- */

struct found_version {
	const struct graph_node *node;
	size_t index;
	uint64_t timestamp_ns; /* its name: the timestamp of its commit, or the next free one */
};

struct found_list {
	struct found_version *found; /* owned */
	size_t count;
};

/* Returns the position of the record of a version, which orders versions with the same timestamp.
 */
static uint64_t position_of_version(const struct found_version *f)
{
	return f->node->versions[f->index].offset;
}

static int compare_versions(const void *a, const void *b)
{
	const struct found_version *x = a, *y = b;

	if (x->timestamp_ns != y->timestamp_ns)
		return x->timestamp_ns < y->timestamp_ns ? -1 : 1;
	return position_of_version(x) < position_of_version(y)
		       ? -1
		       : position_of_version(x) > position_of_version(y);
}

/* Records of a base may share a timestamp, and two files of a base can have had one path since.
 * Each version needs a distinct name. */
static void make_distinct(struct found_list *l)
{
	for (size_t i = 1; i < l->count; i++)
		if (l->found[i].timestamp_ns <= l->found[i - 1].timestamp_ns)
			l->found[i].timestamp_ns = l->found[i - 1].timestamp_ns + 1;
}

/* Collects the versions of all files that had a path, oldest first. */
static int find_versions(const struct held_list *held, struct found_list *ret)
{
	size_t count = 0, n = 0;

	for (size_t i = 0; i < held->count; i++)
		count += held->held[i].node->version_count;
	ret->found = calloc(count + 1, sizeof(ret->found[0]));
	if (ret->found == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < held->count; i++) {
		const struct graph_node *node = held->held[i].node;

		for (size_t v = 0; v < node->version_count; v++)
			if (node->versions[v].timestamp_ns <= held->held[i].until_ns)
				ret->found[n++] =
					(struct found_version){ node, v,
								node->versions[v].timestamp_ns };
	}
	qsort(ret->found, n, sizeof(ret->found[0]), compare_versions);
	ret->count = n;
	make_distinct(ret);
	return 0;
}

/* Returns whether all bytes of a content are in the log. */
static bool is_available(const struct content_map *content)
{
	struct content_piece piece;
	uint64_t at = 0;

	while (content_map_find(content, at, &piece)) {
		if (piece.dropped)
			return false;
		at = piece.offset + piece.bytes;
	}
	return true;
}

/* Fills in 'ret', and stores the content of a version in pieces (otherwise NULL), which the caller
 * owns. */
static int describe_version(const struct graph_node *n, size_t index, struct history_attr *ret,
			    struct content_map **ret_content)
{
	const struct version *v = &n->versions[index];
	struct content_map *content = NULL;
	int err;

	*ret = (struct history_attr){
		.timestamp_ns = v->timestamp_ns,
		.mode = (v->kind == VERSION_SYMLINK ? S_IFLNK : S_IFREG) | v->mode,
		.uid = v->uid,
		.gid = v->gid,
		.size_bytes = v->size_bytes,
		.mtime_ns = v->mtime_ns,
		.segment = v->segment,
		.file_offset = v->file_offset,
		.pieces = v->kind == VERSION_PLAIN,
		.available = v->kind != VERSION_DROPPED,
	};
	if (v->kind == VERSION_LAID) {
		err = graph_content(n, index, &content);
		if (err < 0)
			return err;
		ret->pieces = content_map_pieces(content);
		ret->available = is_available(content);
	}
	*ret_content = content;
	return 0;
}

static int list_versions(const struct held_list *held, history_list_fn fn, void *arg)
{
	struct found_list found = { 0 };
	int err = find_versions(held, &found);

	for (size_t i = 0; err == 0 && i < found.count; i++) {
		struct history_entry entry = { .name = NULL };
		struct content_map *content;

		err = describe_version(found.found[i].node, found.found[i].index, &entry.version,
				       &content);
		if (err < 0)
			break;
		content_map_free(content);
		entry.version.timestamp_ns = found.found[i].timestamp_ns;
		err = fn(arg, &entry);
	}
	free(found.found);
	return err;
}

/* --- listing --- */

/* Returns whether a directory had the name before it lost its own path. */
static bool had_name(const struct held *dir, const struct graph_name *name)
{
	return name != NULL && name->span_count > 0 && name->spans[0].from_ns <= dir->until_ns;
}

static bool had_before(const struct held_list *held, size_t count, const struct graph_name *name)
{
	for (size_t i = 0; i < count; i++)
		if (had_name(&held->held[i],
			     graph_find(held->held[i].node, name->name, name->name_bytes)))
			return true;
	return false;
}

static int list_names(const struct held_list *held, history_list_fn fn, void *arg)
{
	int err = 0;

	for (size_t i = 0; err == 0 && i < held->count; i++) {
		struct graph_name *name, *next;

		HASH_ITER (hh, held->held[i].node->names, name, next) {
			const struct history_entry entry = { .name = name->name,
							     .name_bytes = name->name_bytes };

			if (!had_name(&held->held[i], name) || had_before(held, i, name))
				continue;
			err = fn(arg, &entry);
			if (err != 0)
				break;
		}
	}
	return err;
}

int history_list(struct history *h, const char *path, size_t path_bytes, history_list_fn fn,
		 void *arg)
{
	struct held_list held;
	int err = resolve(h, path, path_bytes, &held);

	if (err < 0)
		return err;
	err = list_names(&held, fn, arg);
	if (err == 0)
		err = list_versions(&held, fn, arg);
	free(held.held);
	return err;
}

/* --- one version --- */

static int open_found(struct history *h, const struct found_version *found,
		      struct history_version **ret) NO_THREAD_SAFETY
{
	const struct version *of = &found->node->versions[found->index];
	struct history_version *v = calloc(1, sizeof(*v));
	int err;

	if (v == NULL)
		return -ENOMEM;
	err = describe_version(found->node, found->index, &v->attr, &v->content);
	v->attr.timestamp_ns = found->timestamp_ns;
	if (err == 0 && !v->attr.available)
		err = -ENOENT;
	if (err == 0 && of->kind == VERSION_SYMLINK) {
		v->target = strdup(of->target);
		err = v->target == NULL ? -ENOMEM : 0;
	}
	if (err < 0) {
		content_map_free(v->content);
		free(v);
		return err;
	}
	mutex_init(&v->lock);
	v->trouble = h->config.trouble;
	v->trouble_arg = h->config.trouble_arg;
	v->value = (struct value_position){ of->offset, of->key_bytes, of->value_bytes };
	v->log = h->log;
	atomic_fetch_add(&h->log->refs, 1);
	*ret = v;
	return 0;
}

/* For messages. */
static void set_path(struct history_version *v, const char *path, size_t path_bytes)
{
	v->path = malloc(path_bytes);
	if (v->path == NULL)
		return;
	memcpy(v->path, path, path_bytes);
	v->path_bytes = path_bytes;
}

int history_version_open(struct history *h, const char *path, size_t path_bytes,
			 uint64_t timestamp_ns, struct history_version **ret)
{
	struct found_list found = { 0 };
	struct held_list held;
	int err = resolve(h, path, path_bytes, &held);

	if (err < 0)
		return err;
	err = find_versions(&held, &found);
	if (err == 0) {
		err = -ENOENT;
		for (size_t i = 0; i < found.count; i++) {
			if (found.found[i].timestamp_ns != timestamp_ns)
				continue;
			err = open_found(h, &found.found[i], ret);
			if (err == 0)
				set_path(*ret, path, path_bytes);
			break;
		}
	}
	free(found.found);
	free(held.held);
	return err;
}
