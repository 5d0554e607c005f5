/* SPDX-License-Identifier: MIT */
/* Makes the store that tests/damage/sweep damages, and prints what a store holds.
 *
 * usage: damage_store begin DATADIR           a store with every kind of record
 *        damage_store end DATADIR [killed]    some more; killed: its writer does not close it
 *        damage_store dump DATADIR            read only: "TYPE MODE PATH TARGET-OR-CONTENT" a node,
 *                                             in hexadecimal, "--" for each byte that is EIO;
 *                                             "u KEY CONTENT" a key that no path can name
 *        damage_store versions DATADIR        "PATH CONTENT" for each version in the history
 *
 * Exit status 0; 3: the store refuses the log; 1: another error. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "writer/history.h"
#include "writer/store.h"

#define PATH_ROOM     4096
#define CONTENT_MAX   65536
#define SEGMENT_BYTES 8192

#define CHECK(expr) check((expr), #expr, __LINE__)

static int64_t check(int64_t got, const char *what, int line)
{
	if (got >= 0)
		return got;
	fprintf(stderr, "damage_store: line %d: %s: %s\n", line, what, strerror((int)-got));
	exit(1);
}

/* --- making --- */

static uint64_t counter; /* of contents: each is another */

/* Bytes that no other content has at the same place. */
static void fill(char *buf, size_t bytes)
{
	uint64_t x = ++counter * UINT64_C(0x9E3779B97F4A7C15);

	for (size_t i = 0; i < bytes; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		buf[i] = (char)('A' + x % 53);
	}
}

static struct node *walk(struct store *s, const char *path, const char **ret_name,
			 size_t *ret_bytes)
{
	struct node *dir = store_root(s), *next = NULL;

	for (const char *slash; (slash = strchr(path, '/')) != NULL; path = slash + 1) {
		CHECK(store_lookup(s, dir, path, (size_t)(slash - path), &next, NULL));
		store_unpin(s, dir, 1);
		dir = next;
	}
	*ret_name = path;
	*ret_bytes = strlen(path);
	return dir;
}

/* Finds a file, or makes it. */
static struct node *file(struct store *s, const char *path, mode_t mode)
{
	const char *name;
	size_t bytes;
	struct node *dir = walk(s, path, &name, &bytes), *n = NULL;

	if (store_lookup(s, dir, name, bytes, &n, NULL) < 0)
		CHECK(store_create(s, &(struct store_name){ dir, name, bytes },
				   &(struct store_owner){ mode, getuid(), getgid() }, &n, NULL));
	store_unpin(s, dir, 1);
	return n;
}

static void write_file(struct store *s, const char *path, size_t bytes, mode_t mode)
{
	struct node *n = file(s, path, mode);
	char buf[CONTENT_MAX];
	struct timespec now;
	uint64_t end;

	fill(buf, bytes);
	clock_gettime(CLOCK_REALTIME, &now);
	CHECK(store_commit(
		s, n, &(struct store_content){ .value = buf, .bytes = bytes, .written_at = now },
		&end));
	store_unpin(s, n, 1);
}

/* Writes ranges, in their order, as one change: 'keep' lays them over what is there. */
static void write_ranges(struct store *s, const char *path, const struct store_range *ranges,
			 size_t count, bool keep, uint64_t size)
{
	struct node *n = file(s, path, 0644);
	struct store_staging *staging = NULL;
	char buf[CONTENT_MAX];
	struct timespec now;
	uint64_t end;

	for (size_t i = 0; i < count; i++) {
		struct store_range r = ranges[i];

		fill(buf, r.bytes);
		if (r.data != NULL)
			r.data = buf;
		CHECK(store_stage(s, &staging, &r, 1));
	}
	clock_gettime(CLOCK_REALTIME, &now);
	CHECK(store_publish(
		s, n, &staging,
		&(struct store_content){ .keep = keep, .bytes = size, .written_at = now }, &end));
	store_unpin(s, n, 1);
}

#define DATA "" /* of a range: bytes, no hole */

static void append(struct store *s, const char *path, uint64_t at, size_t bytes)
{
	const struct store_range r = { at, bytes, DATA };

	write_ranges(s, path, &r, 1, true, at + bytes);
}

static void make_dir(struct store *s, const char *path)
{
	const char *name;
	size_t bytes;
	struct node *dir = walk(s, path, &name, &bytes), *n;
	uint64_t end;

	CHECK(store_mkdir(s, &(struct store_name){ dir, name, bytes },
			  &(struct store_owner){ 0755, getuid(), getgid() }, &n, NULL, &end));
	store_unpin(s, n, 1);
	store_unpin(s, dir, 1);
}

static void make_special(struct store *s, const char *path, mode_t mode, const char *target)
{
	const struct store_special special = {
		.owner.mode = mode, .owner.uid = getuid(), .owner.gid = getgid(), .target = target
	};
	const char *name;
	size_t bytes;
	struct node *dir = walk(s, path, &name, &bytes), *n;
	uint64_t end;

	CHECK(store_mknod(s, &(struct store_name){ dir, name, bytes }, &special, &n, NULL, &end));
	store_unpin(s, n, 1);
	store_unpin(s, dir, 1);
}

static void remove_file(struct store *s, const char *path)
{
	const char *name;
	size_t bytes;
	struct node *dir = walk(s, path, &name, &bytes);
	uint64_t end;

	CHECK(store_unlink(s, &(struct store_name){ dir, name, bytes }, &end));
	store_unpin(s, dir, 1);
}

static void rename_file(struct store *s, const char *from, const char *to, unsigned int flags)
{
	const char *from_name, *to_name;
	size_t from_bytes, to_bytes;
	struct node *from_dir = walk(s, from, &from_name, &from_bytes);
	struct node *to_dir = walk(s, to, &to_name, &to_bytes);
	uint64_t end;

	CHECK(store_rename(s, &(struct store_name){ from_dir, from_name, from_bytes },
			   &(struct store_name){ to_dir, to_name, to_bytes }, flags, &end));
	store_unpin(s, from_dir, 1);
	store_unpin(s, to_dir, 1);
}

static void link_file(struct store *s, const char *from, const char *to)
{
	struct node *n = file(s, from, 0644), *dir;
	const char *name;
	size_t bytes;
	uint64_t end;

	dir = walk(s, to, &name, &bytes);
	CHECK(store_link(s, n, &(struct store_name){ dir, name, bytes }, &end));
	store_unpin(s, n, 1);
	store_unpin(s, dir, 1);
}

static void set_attributes(struct store *s, const char *path, mode_t mode)
{
	const struct store_set set = { .which = STORE_SET_MODE, .mode = mode };
	struct node *n = file(s, path, 0644);
	uint64_t end;

	CHECK(store_setattr(s, n, &set, &end));
	CHECK(store_setxattr(s, n, &(struct xattr){ "user.of", 7, path, strlen(path) }, 0, &end));
	store_unpin(s, n, 1);
}

static void put_key(struct store *s, const char *key, size_t bytes)
{
	char buf[CONTENT_MAX];

	fill(buf, bytes);
	CHECK(store_put(s, key, strlen(key), buf, bytes, NULL));
}

/* What is folded into a base. */
static void make_first_part(struct store *s)
{
	const struct store_range pieces[] = { { 0, 1500, DATA },    { 1500, 1500, DATA },
					      { 3000, 1000, DATA }, { 6000, 500, DATA },
					      { 1000, 300, DATA },  { 2000, 400, NULL } };
	char path[64];

	make_dir(s, "dir");
	make_dir(s, "dir/sub");
	make_dir(s, "moved");
	for (int i = 0; i < 150; i++) {
		(void)snprintf(path, sizeof(path), "gone%d", i);
		write_file(s, path, 60, 0644);
		remove_file(s, path);
	}
	for (int i = 0; i < 12; i++) {
		(void)snprintf(path, sizeof(path), "dir/base%02d", i);
		write_file(s, path, 30 + (size_t)i * 40, i % 4 == 0 ? 0600 : 0644);
	}
	write_ranges(s, "pieces", pieces, 6, false, 7000);
	write_ranges(s, "sparse", pieces + 3, 1, false, 9000);
	append(s, "pieces", 7000, 200);
	link_file(s, "dir/base01", "dir/sub/link");
	make_special(s, "symlink", S_IFLNK | 0777, "dir/base01");
	make_special(s, "fifo", S_IFIFO | 0600, NULL);
	write_file(s, "empty", 0, 0644);
	set_attributes(s, "dir/base02", 0640);
	put_key(s, "un//nameable", 70);
	put_key(s, "../other", 300);
	write_file(s, "app.log", 600, 0644);
}

/* What stands behind it. */
static void make_second_part(struct store *s)
{
	const struct store_range stream[] = { { 0, 2000, DATA }, { 2000, 2000, DATA } };
	const struct store_range patch[] = { { 100, 50, DATA },
					     { 120, 20, DATA },
					     { 900, 60, NULL } };
	char path[64];

	for (int i = 0; i < 14; i++) {
		(void)snprintf(path, sizeof(path), "dir/sub/file%02d", i);
		write_file(s, path, 20 + (size_t)i * 60, 0644);
		append(s, "app.log", 600 + (uint64_t)i * 30, 30);
		if (i % 3 == 0)
			write_file(s, path, 100, 0644);
		if (i % 5 == 0)
			write_file(s, "dir/base03", 200, 0644);
	}
	for (int i = 0; i < 5; i++) {
		write_file(s, "document.tmp", 400 + (size_t)i, 0644);
		rename_file(s, "document.tmp", "document", 0);
	}
	write_ranges(s, "stream", stream, 2, false, 4000);
	write_ranges(s, "stream", patch, 3, true, 4000);
	write_ranges(s, "pieces", patch, 2, true, 5000);
	write_ranges(s, "pieces", NULL, 0, true, 5500);
	rename_file(s, "dir/base04", "dir/base05", 2); /* RENAME_EXCHANGE */
	rename_file(s, "dir/base06", "moved/base06", 0);
	link_file(s, "document", "moved/document");
	write_file(s, "removed", 500, 0644);
	remove_file(s, "removed");
	remove_file(s, "dir/base07");
	set_attributes(s, "dir/base08", 0604);
	put_key(s, "../other", 100);
	make_dir(s, "last");
	for (int i = 0; i < 20; i++) {
		(void)snprintf(path, sizeof(path), "last/%02d", i);
		write_file(s, path, 5 + (size_t)i, 0644);
		append(s, "app.log", 1020 + (uint64_t)i * 30, 30);
	}
	rename_file(s, "last", "moved/last", 0);
}

static struct store *open_store(const char *dir)
{
	struct store_config config = { .dir_path = dir,
				       .fsync_interval_ns = LOG_WRITER_NEVER,
				       .segment_size_bytes = SEGMENT_BYTES,
				       .no_background = true,
				       .umask = 022 };
	struct diag diag;
	struct store *s;

	config.uid = getuid();
	config.gid = getgid();
	CHECK(store_open(&config, &s, &diag));
	return s;
}

static int begin(const char *dir)
{
	struct store *s = open_store(dir);

	make_first_part(s);
	CHECK(store_rotate(s));
	CHECK(store_compact(s, NULL, NULL));
	make_second_part(s);
	return store_close(s) < 0;
}

/* Hints of what was sealed are written by this open. */
static int end(const char *dir, bool killed)
{
	struct store *s = open_store(dir);

	counter = 1000;
	write_file(s, "killed", 50, 0644);
	append(s, "app.log", 1620, 30);
	write_file(s, "dir/base09", 90, 0644);
	CHECK(store_sync(s));
	if (killed)
		_exit(0);
	return store_close(s) < 0;
}

/* --- printing --- */

static void print_hex(const void *data, size_t bytes)
{
	const uint8_t *p = data;

	putchar(' ');
	for (size_t i = 0; i < bytes; i++)
		printf("%02x", p[i]);
}

typedef ssize_t (*read_fn)(void *from, void *buf, size_t bytes, uint64_t offset);

/* Prints ['at', 'end'): all of it, or each half. */
static void print_range(read_fn fn, void *from, uint64_t at, uint64_t end)
{
	uint8_t buf[CONTENT_MAX];
	ssize_t got;

	if (at == end)
		return;
	got = fn(from, buf, (size_t)(end - at), at);
	if (got == (ssize_t)(end - at)) {
		for (ssize_t i = 0; i < got; i++)
			printf("%02x", buf[i]);
	} else if (end - at == 1) {
		printf("--");
	} else {
		print_range(fn, from, at, at + (end - at) / 2);
		print_range(fn, from, at + (end - at) / 2, end);
	}
}

struct reading {
	struct store *s;
	struct node *n;
};

static ssize_t read_node(void *from, void *buf, size_t bytes, uint64_t offset)
{
	struct reading *r = from;

	return store_read(r->s, r->n, buf, bytes, offset);
}

struct child {
	struct child *next;
	struct node *node;
	struct store_attr attr;
	size_t name_bytes;
	char name[256];
};

static int collect(void *arg, const struct store_dirent *e)
{
	struct child **list = arg, *c = malloc(sizeof(*c));

	if (c == NULL)
		return -ENOMEM;
	*c = (struct child){ .next = *list, .node = e->node, .attr = e->attr };
	c->name_bytes = e->name_bytes;
	memcpy(c->name, e->name, e->name_bytes);
	store_pin_in_list(e->node);
	*list = c;
	return 0;
}

static void print_child(struct store *s, const struct child *c, const char *path, size_t bytes)
{
	struct reading r = { s, c->node };
	char target[PATH_ROOM];
	uint64_t size = c->attr.size_bytes;

	printf("%o %o", (c->attr.mode & S_IFMT) >> 12, c->attr.mode & 07777);
	print_hex(path, bytes);
	putchar(' ');
	if (S_ISREG(c->attr.mode))
		print_range(read_node, &r, 0, size < CONTENT_MAX ? size : CONTENT_MAX);
	else if (S_ISLNK(c->attr.mode))
		print_hex(target, (size_t)CHECK(store_readlink(s, c->node, target, PATH_ROOM)));
	putchar('\n');
}

static void print_dir(struct store *s, struct node *dir, char *path, size_t path_bytes)
{
	struct child *list = NULL, *next;

	CHECK(store_list(s, dir, 0, collect, &list));
	for (struct child *c = list; c != NULL; c = next) {
		size_t bytes = path_bytes + c->name_bytes;

		next = c->next;
		CHECK(bytes + 2 > PATH_ROOM ? -ENAMETOOLONG : 0);
		memcpy(path + path_bytes, c->name, c->name_bytes);
		print_child(s, c, path, bytes);
		if (S_ISDIR(c->attr.mode)) {
			path[bytes] = '/';
			print_dir(s, c->node, path, bytes + 1);
		}
		store_unpin(s, c->node, 1);
		free(c);
	}
}

/* Keys are collected, because the store cannot be called while they are listed. */
struct key {
	struct key *next;
	size_t bytes;
	uint64_t size;
	uint8_t key[];
};

static int collect_key(void *arg, const void *key, size_t key_bytes, uint64_t size_bytes)
{
	struct key **list = arg, *k = malloc(sizeof(*k) + key_bytes);

	if (k == NULL)
		return -ENOMEM;
	*k = (struct key){ .next = *list, .bytes = key_bytes, .size = size_bytes };
	memcpy(k->key, key, key_bytes);
	*list = k;
	return 0;
}

static void print_keys(struct store *s)
{
	struct key *list = NULL, *next;

	CHECK(store_list_unnameable(s, collect_key, &list));
	for (struct key *k = list; k != NULL; k = next) {
		void *value = NULL;
		size_t bytes = 0;

		next = k->next;
		printf("u 0");
		print_hex(k->key, k->bytes);
		putchar(' ');
		if (store_get(s, k->key, k->bytes, &value, &bytes) < 0)
			for (uint64_t i = 0; i < k->size && i < CONTENT_MAX; i++)
				printf("--");
		for (size_t i = 0; i < bytes; i++)
			printf("%02x", ((const uint8_t *)value)[i]);
		putchar('\n');
		free(value);
		free(k);
	}
}

static int dump(const char *dir)
{
	const struct store_config config = {
		.dir_path = dir, .read_only = true, .umask = 022, .uid = getuid(), .gid = getgid()
	};
	char path[PATH_ROOM];
	struct diag diag = { "" };
	struct store *s;
	int err = store_open(&config, &s, &diag);

	if (err < 0) {
		fprintf(stderr, "%s\n", diag.text);
		return err == -EBADMSG || err == -ENOENT ? 3 : 1;
	}
	print_dir(s, store_root(s), path, 0);
	print_keys(s);
	return store_close(s) < 0;
}

/* --- versions --- */

struct listing {
	struct history *h;
	char path[PATH_ROOM];
	size_t bytes;
	struct key *names;    /* below the path */
	struct key *versions; /* their times, as sizes */
};

static int collect_entry(void *arg, const struct history_entry *e)
{
	struct listing *l = arg;

	if (e->name != NULL)
		return collect_key(&l->names, e->name, e->name_bytes, 0);
	if (!S_ISREG(e->version.mode) || !e->version.available)
		return 0;
	return collect_key(&l->versions, "", 0, e->version.timestamp_ns);
}

static ssize_t read_version(void *from, void *buf, size_t bytes, uint64_t offset)
{
	return history_version_read(from, buf, bytes, offset);
}

static void print_versions(struct history *h, const char *path, size_t bytes)
{
	struct listing l = { .h = h, .bytes = bytes };
	struct key *next;

	memcpy(l.path, path, bytes);
	CHECK(history_list(h, path, bytes, collect_entry, &l));
	for (struct key *k = l.versions; k != NULL; k = next) {
		struct history_version *v;
		struct history_attr attr;

		next = k->next;
		CHECK(history_version_open(h, path, bytes, k->size, &v));
		history_version_attr(v, &attr);
		printf("v 0");
		print_hex(path, bytes);
		putchar(' ');
		print_range(read_version, v, 0, attr.size_bytes);
		putchar('\n');
		history_version_close(v);
		free(k);
	}
	for (struct key *k = l.names; k != NULL; k = next) {
		size_t at = bytes;

		next = k->next;
		if (at > 0)
			l.path[at++] = '/';
		memcpy(l.path + at, k->key, k->bytes);
		print_versions(h, l.path, at + k->bytes);
		free(k);
	}
}

static int versions(const char *dir)
{
	const struct history_config config = { .dir_path = dir };
	struct diag diag = { "" };
	struct history *h;

	if (history_open(&config, &h, &diag) < 0) {
		fprintf(stderr, "%s\n", diag.text);
		return 1;
	}
	print_versions(h, "", 0);
	history_close(h);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "begin") == 0)
		return begin(argv[2]);
	if (argc >= 3 && strcmp(argv[1], "end") == 0)
		return end(argv[2], argc > 3);
	if (argc == 3 && strcmp(argv[1], "dump") == 0)
		return dump(argv[2]);
	if (argc == 3 && strcmp(argv[1], "versions") == 0)
		return versions(argv[2]);
	return 2;
}
