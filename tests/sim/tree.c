/* SPDX-License-Identifier: MIT */
#include "tests/sim/tree.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/sim/content.h"
#include "writer/log/log_writer_private.h"
#include "writer/store/for_background.h"

#define XATTR_NAME "user.a"

void tree_fill(uint8_t *value, uint32_t value_bytes, uint64_t tag)
{
	struct rng rng = { rng_mix(tag, value_bytes, 3) };

	for (uint32_t i = 0; i < value_bytes; i++)
		value[i] = (uint8_t)rng_next(&rng);
}

void tree_op_text(const struct tree_op *op, char *out, size_t out_bytes)
{
	static const char *const names[] = {
		[TREE_END] = "end",
		[TREE_SYNC] = "sync",
		[TREE_ROTATE] = "rotate",
		[TREE_PUT] = "put",
		[TREE_PUT_SET] = "put+set",
		[TREE_EMPTY] = "empty",
		[TREE_PIECES] = "pieces",
		[TREE_MKDIR] = "mkdir",
		[TREE_UNLINK] = "unlink",
		[TREE_RMDIR] = "rmdir",
		[TREE_RENAME] = "rename",
		[TREE_EXCHANGE] = "exchange",
		[TREE_BIRTH] = "birth",
		[TREE_SETATTR] = "setattr",
		[TREE_KEY_PUT] = "key put",
		[TREE_KEY_DELETE] = "key delete",
		[TREE_LINK] = "link",
		[TREE_SYMLINK] = "symlink",
		[TREE_FIFO] = "fifo",
		[TREE_SETXATTR] = "setxattr",
		[TREE_REMOVEXATTR] = "removexattr",
		[TREE_REWRITE] = "rewrite",
		[TREE_PATCH] = "patch",
		[TREE_TRUNCATE] = "truncate",
		[TREE_COMPACT] = "compact",
		[TREE_IDLE] = "idle",
	};

	(void)snprintf(out, out_bytes, "%s %s%s%s", names[op->kind], op->path,
		       op->to[0] != '\0' ? " -> " : "", op->to);
}

/* --- doing --- */

static mode_t mode_of(const struct tree_op *op)
{
	mode_t otherwise = op->kind == TREE_MKDIR ? 0777 : 0666;

	return op->mode != 0 ? op->mode : otherwise & ~TREE_UMASK;
}

static uint32_t uid_of(const struct tree_op *op)
{
	return op->uid != 0 ? op->uid : TREE_UID;
}

static uint32_t gid_of(const struct tree_op *op)
{
	return op->gid != 0 ? op->gid : TREE_GID;
}

/* Finds the directory that holds 'path', pinned, and its last component. */
static int find_parent(struct store *s, const char *path, struct node **ret_dir,
		       const char **ret_name)
{
	struct node *dir = store_root(s), *next;

	for (;;) {
		size_t n = strcspn(path, "/");
		int err;

		if (path[n] == '\0') {
			*ret_dir = dir;
			*ret_name = path;
			return 0;
		}
		err = store_lookup(s, dir, path, n, &next, NULL);
		if (dir != store_root(s))
			store_unpin(s, dir, 1);
		if (err < 0)
			return err;
		dir = next;
		path += n + 1;
	}
}

static void give_back(struct store *s, struct node *n)
{
	if (n != store_root(s))
		store_unpin(s, n, 1);
}

int tree_find(struct store *s, const char *path, struct node **ret)
{
	struct node *dir;
	const char *name;
	int err = find_parent(s, path, &dir, &name);

	if (err < 0)
		return err;
	err = store_lookup(s, dir, name, strlen(name), ret, NULL);
	give_back(s, dir);
	return err;
}

static struct store_set set_of(const struct tree_op *op)
{
	return (struct store_set){
		.which = STORE_SET_MODE | STORE_SET_UID | STORE_SET_GID,
		.mode = mode_of(op),
		.uid = uid_of(op),
		.gid = gid_of(op),
	};
}

static bool has_mtime(struct store *s, struct node *n, struct timespec want)
{
	struct store_attr attr;

	store_getattr(s, n, &attr);
	return attr.mtime.tv_sec == want.tv_sec && attr.mtime.tv_nsec == want.tv_nsec;
}

/* Two extents, a hole between them that the second fills, and a publish. */
static int put_pieces(struct store *s, struct node *n, struct store_content content,
		      uint64_t *ret_end)
{
	const uint8_t *value = content.value;
	uint64_t half = content.bytes / 2;
	const struct store_range ranges[] = {
		{ 0, half, value },
		{ half, content.bytes, NULL },
		{ half, content.bytes - half, value + half },
	};
	struct store_staging *st = NULL;
	struct store_attr attr;
	int err = 0;

	store_getattr(s, n, &attr);
	for (size_t i = 0; err == 0 && i < ARRAY_SIZE(ranges); i++)
		err = store_stage(s, &st, &ranges[i], 1);
	content.keep = attr.committed;
	if (err == 0)
		err = store_publish(s, n, &st, &content, ret_end);
	store_staging_free(st);
	return err;
}

/* TREE_PUT, TREE_PUT_SET, TREE_EMPTY, TREE_PIECES. */
static int do_put(struct store *s, struct node *dir, const char *name, const struct tree_op *op,
		  uint64_t tag, uint64_t *ret_end)
{
	const struct timespec written_at = { .tv_sec = 1700000000, .tv_nsec = (long)tag };
	uint32_t value_bytes = op->kind == TREE_EMPTY ? 0 : op->value_bytes;
	struct store_set set = set_of(op);
	uint8_t *value = sim_alloc(value_bytes + 1);
	bool made = false, shown = tag % 2 == 0;
	const struct store_content content = {
		.bytes = value_bytes,
		.value = value,
		.written_at = written_at,
		.written_at_shown = shown,
		.set = op->kind == TREE_PUT_SET ? &set : NULL,
	};
	struct store_attr attr;
	uint64_t ignored;
	struct node *n;
	int err;

	err = store_lookup(s, dir, name, strlen(name), &n, NULL);
	if (err == -ENOENT) {
		err = store_create(s, &(struct store_name){ dir, name, strlen(name) },
				   &(struct store_owner){ mode_of(op), uid_of(op), gid_of(op) }, &n,
				   &attr);
		made = err == 0;
	}
	if (err < 0) {
		free(value);
		return err;
	}
	tree_fill(value, value_bytes, tag);
	if (op->kind == TREE_PIECES)
		err = put_pieces(s, n, content, ret_end);
	else
		err = store_commit(s, n, &content, ret_end);
	if (err == 0 && shown && !has_mtime(s, n, written_at))
		err = -EPROTO; /* somebody saw that time, and now it is another */
	/* As a program that creates a file and cannot write it: takes it away again. */
	if (err < 0 && made &&
	    store_unlink(s, &(struct store_name){ dir, name, strlen(name) }, &ignored) < 0)
		abort();
	store_unpin(s, n, 1);
	free(value);
	return err;
}

/* Stages 'value', in two pieces, and publishes it; or ('value' NULL) publishes a size. */
static int do_publish(struct store *s, struct node *n, const struct tree_op *op,
		      const uint8_t *value, uint64_t tag, uint64_t *ret_end)
{
	const struct timespec written_at = { .tv_sec = 1700000000, .tv_nsec = (long)tag };
	uint32_t first = op->value_bytes / 3 + 1;
	struct store_range ranges[2] = {
		{ .offset = op->offset, .bytes = first, .data = value },
		{ .offset = op->offset + first, .bytes = op->value_bytes - first },
	};
	struct store_staging *staging = NULL;
	struct store_attr attr;
	uint64_t size = op->value_bytes;
	int err = 0;

	store_getattr(s, n, &attr);
	if (value != NULL) {
		size += op->offset;
		if (op->kind == TREE_PATCH && size < attr.size_bytes)
			size = attr.size_bytes;
		ranges[1].data = value + first;
		err = store_stage(s, &staging, ranges, ranges[1].bytes > 0 ? 2 : 1);
	}
	if (err == 0)
		err = store_publish(s, n, &staging,
				    &(struct store_content){ .keep = op->kind != TREE_REWRITE,
							     .bytes = size,
							     .written_at = written_at },
				    ret_end);
	store_staging_free(staging);
	return err;
}

/* TREE_REWRITE, TREE_PATCH, TREE_TRUNCATE. */
static int do_change(struct store *s, struct node *dir, const char *name, const struct tree_op *op,
		     uint64_t tag, uint64_t *ret_end)
{
	uint8_t *value = sim_alloc(op->value_bytes + 1);
	struct node *n;
	int err = store_lookup(s, dir, name, strlen(name), &n, NULL);

	if (err == 0) {
		tree_fill(value, op->value_bytes, tag);
		err = do_publish(s, n, op, op->kind == TREE_TRUNCATE ? NULL : value, tag, ret_end);
		store_unpin(s, n, 1);
	}
	free(value);
	return err;
}

/* TREE_SYMLINK, TREE_FIFO. */
static int do_mknod(struct store *s, struct node *dir, const char *name, const struct tree_op *op,
		    uint64_t *ret_end)
{
	const struct store_special special = {
		.owner.mode = op->kind == TREE_FIFO ? S_IFIFO | mode_of(op) : S_IFLNK | 0777,
		.owner.uid = uid_of(op),
		.owner.gid = gid_of(op),
		.target = op->to,
	};
	struct node *n;
	int err = store_mknod(s, &(struct store_name){ dir, name, strlen(name) }, &special, &n,
			      NULL, ret_end);

	if (err == 0)
		store_unpin(s, n, 1);
	return err;
}

/* Applies an operation on one node that exists. */
static int do_node(struct store *s, struct node *dir, const char *name, const struct tree_op *op,
		   uint64_t tag, uint64_t *ret_end)
{
	struct store_set set = set_of(op);
	uint64_t value = tag + 1;
	const char *to_name;
	struct node *n, *to_dir;
	int err = store_lookup(s, dir, name, strlen(name), &n, NULL);

	if (err < 0)
		return err;
	if (op->kind == TREE_SETATTR) {
		err = store_setattr(s, n, &set, ret_end);
	} else if (op->kind == TREE_SETXATTR) {
		err = store_setxattr(
			s, n,
			&(struct xattr){ XATTR_NAME, strlen(XATTR_NAME), &value, sizeof(value) }, 0,
			ret_end);
	} else if (op->kind == TREE_REMOVEXATTR) {
		err = store_removexattr(s, n, XATTR_NAME, ret_end);
	} else {
		err = find_parent(s, op->to, &to_dir, &to_name);
		if (err == 0) {
			err = store_link(s, n,
					 &(struct store_name){ to_dir, to_name, strlen(to_name) },
					 ret_end);
			give_back(s, to_dir);
		}
	}
	store_unpin(s, n, 1);
	return err;
}

static int do_mkdir(struct store *s, struct node *dir, const char *name, const struct tree_op *op,
		    uint64_t *ret_end)
{
	struct node *n;
	int err = store_mkdir(s, &(struct store_name){ dir, name, strlen(name) },
			      &(struct store_owner){ mode_of(op), uid_of(op), gid_of(op) }, &n,
			      NULL, ret_end);

	if (err == 0)
		store_unpin(s, n, 1);
	return err;
}

static int do_rename(struct store *s, struct node *dir, const char *name, const struct tree_op *op,
		     uint64_t *ret_end)
{
	struct node *to_dir, *born = NULL;
	const char *to_name;
	uint64_t ignored;
	int err = find_parent(s, op->to, &to_dir, &to_name);

	if (err < 0)
		return err;
	if (op->kind == TREE_BIRTH)
		err = store_create(s, &(struct store_name){ dir, name, strlen(name) },
				   &(struct store_owner){ mode_of(op), uid_of(op), gid_of(op) },
				   &born, NULL);
	if (err == 0)
		err = store_rename(s, &(struct store_name){ dir, name, strlen(name) },
				   &(struct store_name){ to_dir, to_name, strlen(to_name) },
				   op->kind == TREE_EXCHANGE ? RENAME_EXCHANGE : 0, ret_end);
	if (err < 0 && born != NULL &&
	    store_unlink(s, &(struct store_name){ dir, name, strlen(name) }, &ignored) < 0)
		abort();
	if (born != NULL)
		store_unpin(s, born, 1);
	give_back(s, to_dir);
	return err;
}

static int do_key(struct store *s, const struct tree_op *op, uint64_t tag)
{
	uint8_t *value;
	int err;

	if (op->kind == TREE_KEY_DELETE)
		return store_delete(s, op->path, strlen(op->path));
	value = sim_alloc(op->value_bytes);
	tree_fill(value, op->value_bytes, tag);
	err = store_put(s, op->path, strlen(op->path), value, op->value_bytes, NULL);
	free(value);
	return err;
}

void tree_small_headroom(struct store *s)
{
	struct log_writer *w = store_parts(s).log;

	log_lock(w);
	w->headroom_bytes = 3000;
	w->headroom_step_bytes = 1000;
	w->headroom_paid_bytes = 600;
	log_unlock(w);
}

/* Cuts head room as if no caller had waited for a sync for some seconds. */
static void idle(struct store *s)
{
	struct log_writer *w = store_parts(s).log;
	uint64_t idle_ns;

	log_lock(w);
	idle_ns = w->headroom_idle_ns;
	w->headroom_idle_ns = 0;
	(void)log_writer_cut_idle_headroom_locked(w);
	w->headroom_idle_ns = idle_ns;
	log_unlock(w);
}

int tree_op_do(struct store *s, const struct tree_op *op, uint64_t tag, uint64_t *ret_end)
{
	const char *name;
	struct node *dir;
	int err;

	*ret_end = 0;
	if (op->kind == TREE_SYNC)
		return store_sync(s);
	if (op->kind == TREE_ROTATE)
		return store_rotate(s);
	if (op->kind == TREE_COMPACT)
		return store_compact(s, NULL, NULL);
	if (op->kind == TREE_IDLE) {
		idle(s);
		return 0;
	}
	if (op->kind == TREE_KEY_PUT || op->kind == TREE_KEY_DELETE)
		return do_key(s, op, tag); /* waits by itself */
	err = find_parent(s, op->path, &dir, &name);
	if (err < 0)
		return err;
	if (op->kind == TREE_MKDIR)
		err = do_mkdir(s, dir, name, op, ret_end);
	else if (op->kind == TREE_UNLINK)
		err = store_unlink(s, &(struct store_name){ dir, name, strlen(name) }, ret_end);
	else if (op->kind == TREE_RMDIR)
		err = store_rmdir(s, &(struct store_name){ dir, name, strlen(name) }, ret_end);
	else if (op->kind == TREE_SYMLINK || op->kind == TREE_FIFO)
		err = do_mknod(s, dir, name, op, ret_end);
	else if (op->kind == TREE_SETATTR || op->kind == TREE_SETXATTR ||
		 op->kind == TREE_REMOVEXATTR || op->kind == TREE_LINK)
		err = do_node(s, dir, name, op, tag, ret_end);
	else if (op->kind == TREE_REWRITE || op->kind == TREE_PATCH || op->kind == TREE_TRUNCATE)
		err = do_change(s, dir, name, op, tag, ret_end);
	else if (op->kind == TREE_RENAME || op->kind == TREE_EXCHANGE || op->kind == TREE_BIRTH)
		err = do_rename(s, dir, name, op, ret_end);
	else
		err = do_put(s, dir, name, op, tag, ret_end);
	give_back(s, dir);
	return err;
}

/* --- looking --- */

/* FNV-1a, 64 bits. */
static uint64_t hash_value(const uint8_t *value, uint64_t value_bytes)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (uint64_t i = 0; i < value_bytes; i++)
		hash = (hash ^ value[i]) * UINT64_C(0x100000001b3);
	return hash;
}

char *tree_line_text(const struct tree_line *line)
{
	char links[32] = "", xattr[64] = "", times[128] = "", *text;
	bool is_dir = line->type == 'd';

	if (line->link_count > 1 && !is_dir)
		(void)snprintf(links, sizeof(links), " %" PRIu32 " links", line->link_count);
	if (line->xattr != 0)
		(void)snprintf(xattr, sizeof(xattr), " xattr %" PRIu64, line->xattr);
	if (line->times != NULL && !is_dir)
		(void)snprintf(times, sizeof(times), " mtime %lld.%09ld ctime %lld.%09ld",
			       (long long)line->times->mtime.tv_sec, line->times->mtime.tv_nsec,
			       (long long)line->times->ctime.tv_sec, line->times->ctime.tv_nsec);
	if (asprintf(&text,
		     "%s %c %04o %" PRIu32 ":%" PRIu32 " %" PRIu64 " bytes %016" PRIx64 "%s%s%s\n",
		     line->path, line->type, (unsigned int)line->mode, line->uid, line->gid,
		     line->value_bytes, hash_value(line->value, line->value_bytes), links, xattr,
		     times) < 0)
		abort();
	return text;
}

struct listed {
	char *path;
	struct node *node;
	struct store_attr attr;
};

struct listing {
	const char *prefix;
	struct listed *list;
	size_t count;
};

static int add_listed(void *arg, const struct store_dirent *entry)
{
	struct listing *l = arg;
	struct listed *new;

	l->list = sim_realloc(l->list, (l->count + 1) * sizeof(l->list[0]));
	new = &l->list[l->count++];
	if (asprintf(&new->path, "%s%.*s", l->prefix, (int)entry->name_bytes, entry->name) < 0)
		abort();
	new->node = entry->node;
	new->attr = entry->attr;
	store_pin_in_list(entry->node);
	return 0;
}

struct lines {
	char **list;
	size_t count;
};

static char type_of(mode_t mode)
{
	return S_ISDIR(mode) ? 'd' : S_ISREG(mode) ? 'f' : S_ISLNK(mode) ? 'l' : 'p';
}

/* Reads what a node holds: bytes, a target, nothing. */
static ssize_t read_node(struct store *s, const struct listed *l, uint8_t *buf, size_t buf_bytes)
{
	if (S_ISREG(l->attr.mode))
		return store_read(s, l->node, buf, buf_bytes, 0);
	if (S_ISLNK(l->attr.mode))
		return store_readlink(s, l->node, (char *)buf, buf_bytes);
	return 0;
}

/* Adds the line of one node; the log does not know one that is not committed. */
static int add_line(struct store *s, const struct listed *l, bool times, struct lines *out)
{
	struct tree_line line = {
		.path = l->path,
		.type = type_of(l->attr.mode),
		.mode = l->attr.mode & 07777,
		.uid = l->attr.uid,
		.gid = l->attr.gid,
		.link_count = l->attr.link_count,
		.value_bytes = l->attr.size_bytes,
		.times = times ? &l->attr : NULL,
	};
	uint8_t *value;
	ssize_t got;

	if (!l->attr.committed)
		return 0;
	value = sim_alloc(line.value_bytes + 1);
	got = read_node(s, l, value, line.value_bytes + 1);
	if (got >= 0 && (uint64_t)got != line.value_bytes)
		got = -EPROTO;
	if (got >= 0) {
		ssize_t xattr =
			store_getxattr(s, l->node, XATTR_NAME, &line.xattr, sizeof(line.xattr));

		if (xattr != (ssize_t)sizeof(line.xattr) && xattr != -ENODATA)
			got = -EPROTO;
	}
	if (got >= 0) {
		line.value = value;
		out->list = sim_realloc(out->list, (out->count + 1) * sizeof(out->list[0]));
		out->list[out->count++] = tree_line_text(&line);
	}
	free(value);
	return got < 0 ? (int)got : 0;
}

static int add_dir(struct store *s, struct node *dir, const char *prefix, bool times,
		   struct lines *out)
{
	struct listing l = { .prefix = prefix };
	int err = store_list(s, dir, 0, add_listed, &l);

	for (size_t i = 0; i < l.count; i++) {
		struct listed *e = &l.list[i];

		if (err == 0)
			err = add_line(s, e, times, out);
		if (err == 0 && S_ISDIR(e->attr.mode)) {
			char *below;

			if (asprintf(&below, "%s/", e->path) < 0)
				abort();
			err = add_dir(s, e->node, below, times, out);
			free(below);
		}
		store_unpin(s, e->node, 1);
		free(e->path);
	}
	free(l.list);
	return err;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char *tree_text(struct store *s, bool times, int *ret_err)
{
	struct lines lines = { 0 };
	int err = add_dir(s, store_root(s), "", times, &lines);
	size_t bytes = 1;
	char *text;

	for (size_t i = 0; i < lines.count; i++)
		bytes += strlen(lines.list[i]);
	text = sim_alloc(bytes);
	if (lines.count > 0)
		qsort(lines.list, lines.count, sizeof(lines.list[0]), compare);
	bytes = 0;
	for (size_t i = 0; i < lines.count; i++) {
		size_t n = strlen(lines.list[i]);

		memcpy(text + bytes, lines.list[i], n);
		bytes += n;
		free(lines.list[i]);
	}
	free(lines.list);
	if (err == 0)
		return text;
	free(text);
	*ret_err = err;
	return NULL;
}
