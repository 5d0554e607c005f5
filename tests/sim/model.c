/* SPDX-License-Identifier: MIT */
/* A tree as an array of paths: slow, and simple enough to be right. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/content.h"
#include "tests/sim/tree.h"

#define NODES_MAX     64
#define PATHS_TO_PICK 14

/* One name.  The names of one node have the same 'id', and all else below it the same. */
struct model_node {
	char path[TREE_PATH_BYTES];
	uint64_t id;
	bool is_dir;
	char type;     /* as in struct tree_line */
	bool explicit; /* a directory with a record of its own */
	mode_t mode;
	uint32_t uid, gid;
	struct content *value; /* a reference; of files */
	char target[TREE_PATH_BYTES];
	uint64_t xattr;
};

struct model {
	struct model_node nodes[NODES_MAX];
	size_t count;
	uint64_t next_id;
};

struct model *model_new(void)
{
	return sim_alloc(sizeof(struct model));
}

struct model *model_copy(const struct model *m)
{
	struct model *copy = model_new();

	*copy = *m;
	for (size_t i = 0; i < copy->count; i++)
		(void)content_ref(copy->nodes[i].value);
	return copy;
}

void model_free(struct model *m)
{
	for (size_t i = 0; m != NULL && i < m->count; i++)
		content_unref(m->nodes[i].value);
	free(m);
}

static struct model_node *find(struct model *m, const char *path)
{
	for (size_t i = 0; i < m->count; i++) {
		if (strcmp(m->nodes[i].path, path) == 0)
			return &m->nodes[i];
	}
	return NULL;
}

static bool is_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && path[n] == '/';
}

static bool has_children(const struct model *m, const char *dir)
{
	for (size_t i = 0; i < m->count; i++) {
		if (is_below(m->nodes[i].path, dir))
			return true;
	}
	return false;
}

/* The parent of 'path', or NULL in the root. */
static struct model_node *parent(struct model *m, const char *path)
{
	const char *slash = strrchr(path, '/');
	char dir[TREE_PATH_BYTES];

	if (slash == NULL)
		return NULL;
	(void)snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path), path);
	return find(m, dir);
}

/* 0 if something can be made at 'path'. */
static int check_parent(struct model *m, const char *path)
{
	const struct model_node *dir = parent(m, path);

	if (strchr(path, '/') == NULL)
		return 0;
	if (dir == NULL)
		return -ENOENT;
	return dir->is_dir ? 0 : -ENOTDIR;
}

static void keep_parent(struct model *m, const char *path)
{
	struct model_node *dir = parent(m, path);

	if (dir != NULL)
		dir->explicit = true;
}

static struct model_node *add(struct model *m, const char *path, bool is_dir)
{
	struct model_node *n = &m->nodes[m->count++];

	if (m->count > NODES_MAX)
		abort();
	*n = (struct model_node){
		.id = ++m->next_id,
		.is_dir = is_dir,
		.type = is_dir ? 'd' : 'f',
		.mode = (is_dir ? 0777 : 0666) & ~TREE_UMASK,
		.uid = TREE_UID,
		.gid = TREE_GID,
		.value = content_new(0),
	};
	(void)snprintf(n->path, sizeof(n->path), "%s", path);
	return n;
}

/* Says of all names of the node of 'n' what is said of 'n'. */
static void spread(struct model *m, const struct model_node *n)
{
	for (size_t i = 0; i < m->count; i++) {
		struct model_node copy = *n;

		if (m->nodes[i].id != n->id || &m->nodes[i] == n)
			continue;
		memcpy(copy.path, m->nodes[i].path, sizeof(copy.path));
		(void)content_ref(copy.value);
		content_unref(m->nodes[i].value);
		m->nodes[i] = copy;
	}
}

static uint32_t link_count(const struct model *m, const struct model_node *n)
{
	uint32_t count = 0;

	for (size_t i = 0; i < m->count; i++)
		count += m->nodes[i].id == n->id;
	return count;
}

static void drop(struct model *m, struct model_node *n)
{
	content_unref(n->value);
	*n = m->nodes[--m->count];
}

/* The value becomes 'value_bytes' of 'tag' at 'offset' of 'old', which may be its own. */
static void set_value(struct model_node *n, struct content *old, uint32_t value_bytes, uint64_t tag,
		      uint64_t offset)
{
	uint8_t *bytes = sim_alloc(value_bytes + 1);
	struct content *value;

	tree_fill(bytes, value_bytes, tag);
	value = content_write(old, bytes, value_bytes, offset);
	free(bytes);
	content_unref(n->value);
	n->value = value;
}

static void new_value(struct model_node *n, uint32_t value_bytes, uint64_t tag)
{
	struct content *empty = content_new(0);

	set_value(n, empty, value_bytes, tag, 0);
	content_unref(empty);
}

static void set_attributes(struct model_node *n, const struct tree_op *op)
{
	n->mode = op->mode != 0 ? op->mode : 0666 & ~TREE_UMASK;
	if (op->mode == 0 && op->kind == TREE_MKDIR)
		n->mode = 0777 & ~TREE_UMASK;
	n->uid = op->uid != 0 ? op->uid : TREE_UID;
	n->gid = op->gid != 0 ? op->gid : TREE_GID;
}

static int put(struct model *m, const struct tree_op *op, uint64_t tag)
{
	struct model_node *n = find(m, op->path);
	int err = check_parent(m, op->path);

	if (err < 0)
		return err;
	if (n != NULL && n->type != 'f')
		return n->is_dir ? -EISDIR : -EINVAL;
	if (n == NULL || op->kind == TREE_PUT_SET) {
		if (n == NULL)
			n = add(m, op->path, false);
		set_attributes(n, op);
	}
	new_value(n, op->kind == TREE_EMPTY ? 0 : op->value_bytes, tag);
	spread(m, n);
	return 0;
}

/* TREE_REWRITE, TREE_PATCH, TREE_TRUNCATE. */
static int change_value(struct model *m, const struct tree_op *op, uint64_t tag)
{
	struct model_node *n = find(m, op->path);
	int err = check_parent(m, op->path);
	struct content *value;

	if (err < 0)
		return err;
	if (n == NULL)
		return -ENOENT;
	if (n->type != 'f')
		return n->is_dir ? -EISDIR : -EINVAL;
	if (op->kind == TREE_PATCH) {
		set_value(n, n->value, op->value_bytes, tag, op->offset);
	} else if (op->kind == TREE_REWRITE) {
		new_value(n, 0, tag);
		set_value(n, n->value, op->value_bytes, tag, op->offset);
	} else {
		value = content_resize(n->value, op->value_bytes);
		content_unref(n->value);
		n->value = value;
	}
	spread(m, n);
	return 0;
}

static int make_dir(struct model *m, const struct tree_op *op)
{
	int err = check_parent(m, op->path);
	struct model_node *n;

	if (err < 0)
		return err;
	if (find(m, op->path) != NULL)
		return -EEXIST;
	n = add(m, op->path, true);
	set_attributes(n, op);
	n->explicit = true;
	return 0;
}

/* TREE_SYMLINK, TREE_FIFO. */
static int make_special(struct model *m, const struct tree_op *op)
{
	int err = check_parent(m, op->path);
	struct model_node *n;

	if (err < 0)
		return err;
	if (find(m, op->path) != NULL)
		return -EEXIST;
	n = add(m, op->path, false);
	set_attributes(n, op);
	n->type = op->kind == TREE_FIFO ? 'p' : 'l';
	if (op->kind == TREE_FIFO)
		return 0;
	n->mode = 0777;
	(void)snprintf(n->target, sizeof(n->target), "%s", op->to);
	return 0;
}

static int make_link(struct model *m, const struct tree_op *op)
{
	struct model_node *from = find(m, op->path), *to;
	int err = check_parent(m, op->path);

	if (err == 0 && from == NULL)
		err = -ENOENT;
	if (err == 0)
		err = check_parent(m, op->to);
	if (err < 0)
		return err;
	if (from->is_dir)
		return -EPERM;
	if (find(m, op->to) != NULL)
		return -EEXIST;
	to = add(m, op->to, false);
	to->id = from->id;
	spread(m, from);
	return 0;
}

/* TREE_SETATTR, TREE_SETXATTR, TREE_REMOVEXATTR. */
static int change(struct model *m, const struct tree_op *op, uint64_t tag)
{
	struct model_node *n = find(m, op->path);
	int err = check_parent(m, op->path);

	if (err < 0)
		return err;
	if (n == NULL)
		return -ENOENT;
	if (op->kind == TREE_REMOVEXATTR && n->xattr == 0)
		return -ENODATA;
	if (op->kind == TREE_SETATTR)
		set_attributes(n, op);
	else
		n->xattr = op->kind == TREE_SETXATTR ? tag + 1 : 0;
	n->explicit = true;
	spread(m, n);
	return 0;
}

static int take_away(struct model *m, const struct tree_op *op)
{
	struct model_node *n = find(m, op->path);
	int err = check_parent(m, op->path);

	if (err < 0)
		return err;
	if (n == NULL)
		return -ENOENT;
	if (op->kind == TREE_UNLINK && n->is_dir)
		return -EISDIR;
	if (op->kind == TREE_RMDIR && !n->is_dir)
		return -ENOTDIR;
	if (n->is_dir && has_children(m, op->path))
		return -ENOTEMPTY;
	drop(m, n);
	keep_parent(m, op->path);
	return 0;
}

/* Gives 'from' and all below it the path 'to'. */
static void move_paths(struct model *m, const char *from, const char *to)
{
	size_t n = strlen(from);

	for (size_t i = 0; i < m->count; i++) {
		char *path = m->nodes[i].path, moved[2 * TREE_PATH_BYTES];
		int len;

		if (strcmp(path, from) != 0 && !is_below(path, from))
			continue;
		len = snprintf(moved, sizeof(moved), "%s%s", to, path + n);
		if (len < 0 || len >= TREE_PATH_BYTES)
			abort();
		memcpy(path, moved, (size_t)len + 1);
	}
}

static int rename_paths(struct model *m, const struct tree_op *op)
{
	struct model_node *from = find(m, op->path), *to = find(m, op->to);
	int err = check_parent(m, op->path);

	if (err == 0 && from == NULL)
		err = -ENOENT;
	if (err == 0)
		err = check_parent(m, op->to);
	if (err < 0)
		return err;
	if (is_below(op->to, op->path))
		return -EINVAL;
	if (op->kind == TREE_EXCHANGE) {
		if (to == NULL)
			return -ENOENT;
		if (is_below(op->path, op->to))
			return -EINVAL;
		if (to->id == from->id)
			return 0;
		move_paths(m, op->path, "\x01");
		move_paths(m, op->to, op->path);
		move_paths(m, "\x01", op->to);
		return 0;
	}
	if (to != NULL && to->id == from->id)
		return 0; /* two names of one node: rename(2) does nothing */
	if (to != NULL && from->is_dir != to->is_dir)
		return to->is_dir ? -EISDIR : -ENOTDIR;
	if (to != NULL && to->is_dir && has_children(m, op->to))
		return -ENOTEMPTY;
	if (to != NULL)
		drop(m, to);
	keep_parent(m, op->path);
	move_paths(m, op->path, op->to);
	return 0;
}

static int birth(struct model *m, const struct tree_op *op)
{
	struct model_node *to = find(m, op->to);
	int err = check_parent(m, op->to);

	if (err == 0)
		err = check_parent(m, op->path);
	if (err == 0 && find(m, op->path) != NULL)
		err = -EEXIST;
	if (err < 0)
		return err;
	if (to != NULL && to->is_dir)
		return -EISDIR;
	if (to != NULL)
		drop(m, to); /* another node has the name from now on */
	set_attributes(add(m, op->to, false), op);
	return 0;
}

/* Puts by key; what no path can name is not modelled. */
static int key_put(struct model *m, const struct tree_op *op, uint64_t tag)
{
	struct model_node *n = find(m, op->path);
	char dir[TREE_PATH_BYTES];

	if (n != NULL && n->type != 'f')
		return -EISDIR;
	for (const char *slash = strchr(op->path, '/'); slash != NULL;
	     slash = strchr(slash + 1, '/')) {
		(void)snprintf(dir, sizeof(dir), "%.*s", (int)(slash - op->path), op->path);
		if (find(m, dir) == NULL)
			(void)add(m, dir, true);
		else if (!find(m, dir)->is_dir)
			abort();
	}
	n = find(m, op->path);
	if (n == NULL)
		n = add(m, op->path, false);
	new_value(n, op->value_bytes, tag);
	spread(m, n);
	return 0;
}

static int key_delete(struct model *m, const struct tree_op *op)
{
	struct model_node *n = find(m, op->path), *dir;
	char path[TREE_PATH_BYTES];

	if (n == NULL)
		return -ENOENT;
	if (n->type != 'f')
		return -EISDIR;
	(void)snprintf(path, sizeof(path), "%s", op->path);
	drop(m, n);
	/* Directories that existed through this key alone go with it. */
	while ((dir = parent(m, path)) != NULL && !dir->explicit && !has_children(m, dir->path)) {
		(void)snprintf(path, sizeof(path), "%s", dir->path);
		drop(m, dir);
	}
	return 0;
}

int model_do(struct model *m, const struct tree_op *op, uint64_t tag)
{
	switch (op->kind) {
	case TREE_END:
	case TREE_SYNC:
	case TREE_ROTATE:
	case TREE_COMPACT:
	case TREE_IDLE:
		return 0;
	case TREE_PUT:
	case TREE_PUT_SET:
	case TREE_EMPTY:
	case TREE_PIECES:
		return put(m, op, tag);
	case TREE_MKDIR:
		return make_dir(m, op);
	case TREE_UNLINK:
	case TREE_RMDIR:
		return take_away(m, op);
	case TREE_RENAME:
	case TREE_EXCHANGE:
		return rename_paths(m, op);
	case TREE_BIRTH:
		return birth(m, op);
	case TREE_SETATTR:
	case TREE_SETXATTR:
	case TREE_REMOVEXATTR:
		return change(m, op, tag);
	case TREE_LINK:
		return make_link(m, op);
	case TREE_SYMLINK:
	case TREE_FIFO:
		return make_special(m, op);
	case TREE_KEY_PUT:
		return key_put(m, op, tag);
	case TREE_KEY_DELETE:
		return key_delete(m, op);
	case TREE_REWRITE:
	case TREE_PATCH:
	case TREE_TRUNCATE:
		return change_value(m, op, tag);
	}
	return -EINVAL;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char *model_text(const struct model *m)
{
	char *lines[NODES_MAX], *text;
	size_t bytes = 1;

	for (size_t i = 0; i < m->count; i++) {
		const struct model_node *n = &m->nodes[i];
		struct tree_line line = {
			.path = n->path,
			.type = n->type,
			.mode = n->mode,
			.uid = n->uid,
			.gid = n->gid,
			.link_count = link_count(m, n),
			.value_bytes = n->value->size_bytes,
			.xattr = n->xattr,
		};
		uint8_t *value = sim_alloc(n->value->size_bytes + 1);

		(void)content_read(n->value, value, n->value->size_bytes, 0);
		line.value = value;
		if (n->type == 'l') {
			line.value = (const uint8_t *)n->target;
			line.value_bytes = strlen(n->target);
		}
		lines[i] = tree_line_text(&line);
		bytes += strlen(lines[i]);
		free(value);
	}
	qsort(lines, m->count, sizeof(lines[0]), compare);
	text = sim_alloc(bytes);
	bytes = 0;
	for (size_t i = 0; i < m->count; i++) {
		memcpy(text + bytes, lines[i], strlen(lines[i]));
		bytes += strlen(lines[i]);
		free(lines[i]);
	}
	return text;
}

/* --- random operations --- */

/* A few names, so that operations meet; a path below one that may be a file now and then. */
static void pick_path(const struct model *m, struct rng *rng, char out[TREE_PATH_BYTES])
{
	static const char *const paths[PATHS_TO_PICK] = {
		"a",	 "b",	  "c", "d",   "d/a", "d/b",   "d/e",
		"d/e/a", "d/e/b", "f", "f/a", "f/g", "f/g/a", "h",
	};

	if (m->count > 0 && rng_chance(rng, 50))
		(void)snprintf(out, TREE_PATH_BYTES, "%s", m->nodes[rng_below(rng, m->count)].path);
	else
		(void)snprintf(out, TREE_PATH_BYTES, "%s", paths[rng_below(rng, PATHS_TO_PICK)]);
}

static uint32_t pick_bytes(struct rng *rng)
{
	uint64_t class = rng_below(rng, 100);

	if (class < 60)
		return (uint32_t)(1 + rng_below(rng, 100));
	return (uint32_t)(1 + rng_below(rng, class < 95 ? 1500 : 20000));
}

/* A key must not go through a file: the model does not know such keys. */
static bool goes_through_file(const struct model *m, const char *path)
{
	for (size_t i = 0; i < m->count; i++) {
		if (!m->nodes[i].is_dir && is_below(path, m->nodes[i].path))
			return true;
	}
	return false;
}

bool model_knows(const struct model *m, const struct tree_op *op)
{
	return (op->kind != TREE_KEY_PUT && op->kind != TREE_KEY_DELETE) ||
	       !goes_through_file(m, op->path);
}

struct tree_op model_random_op(const struct model *m, struct rng *rng)
{
	static const enum tree_op_kind kinds[] = {
		TREE_PUT,     TREE_PUT,	     TREE_PUT,	      TREE_PUT,	    TREE_PUT_SET,
		TREE_PUT_SET, TREE_EMPTY,    TREE_MKDIR,      TREE_MKDIR,   TREE_MKDIR,
		TREE_UNLINK,  TREE_UNLINK,   TREE_RMDIR,      TREE_RENAME,  TREE_RENAME,
		TREE_RENAME,  TREE_EXCHANGE, TREE_BIRTH,      TREE_SETATTR, TREE_SETATTR,
		TREE_KEY_PUT, TREE_KEY_PUT,  TREE_KEY_DELETE, TREE_SYNC,    TREE_ROTATE,
		TREE_PIECES,  TREE_PIECES,   TREE_REWRITE,    TREE_PATCH,   TREE_PATCH,
		TREE_PATCH,   TREE_TRUNCATE, TREE_COMPACT,    TREE_COMPACT,
	};
	struct tree_op op = { .kind = kinds[rng_below(rng, ARRAY_SIZE(kinds))] };

	pick_path(m, rng, op.path);
	if (op.kind == TREE_RENAME || op.kind == TREE_EXCHANGE || op.kind == TREE_BIRTH ||
	    op.kind == TREE_LINK || op.kind == TREE_SYMLINK)
		pick_path(m, rng, op.to);
	op.value_bytes = pick_bytes(rng);
	op.offset = op.kind == TREE_PATCH ? (uint32_t)rng_below(rng, 4000) : 0;
	if (rng_chance(rng, 40)) {
		op.mode = (mode_t)(0400 + rng_below(rng, 0400));
		op.uid = (uint32_t)(1 + rng_below(rng, 3));
		op.gid = (uint32_t)(1 + rng_below(rng, 3));
	}
	if ((op.kind == TREE_KEY_PUT || op.kind == TREE_KEY_DELETE) &&
	    goes_through_file(m, op.path))
		op.kind = TREE_SYNC;
	if (strcmp(op.path, op.to) == 0)
		op.kind = TREE_SYNC;
	return op;
}
