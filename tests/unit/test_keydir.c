/* SPDX-License-Identifier: MIT */
/* The keydir by itself: what it takes for a key, what its small fields hold, places in listings,
 * inode numbers, names, and readers beside a writer. */
#include "tests/unit/unit.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codec/path.h"
#include "tests/sim/rng.h"
#include "tests/unit/store_fixture.h"
#include "tests/unit/store_ops.h"
#include "writer/index/entries.h"
#include "writer/index/inode_numbers.h"
#include "writer/index/node_content.h"
#include "writer/index/paths.h"

#define NAME_SIZE (PATH_NAME_BYTES_MAX + 1)
#define NOW	  1000

static struct keydir *keydir_new(void)
{
	struct keydir_defaults defaults = { .uid = 7, .gid = 8, .umask = 022 };
	struct keydir *k = NULL;

	assert_int_equal(keydir_create(&defaults, &k), 0);
	return k;
}

static struct node *add(struct keydir *k, struct node *dir, const char *name, mode_t type)
{
	struct node *n = keydir_node_new(k, type);
	struct dentry *d = keydir_dentry_new(k, dir, name, strlen(name));

	assert_non_null(n);
	assert_non_null(d);
	(void)keydir_ino_for(k, n, dir, name, strlen(name));
	keydir_touch(n, NOW);
	keydir_write_lock(k);
	keydir_link(k, d, n, NOW);
	keydir_write_unlock(k);
	return n;
}

static struct dentry *find(struct keydir *k, struct node *dir, const char *name)
{
	return keydir_find(k, dir, name, strlen(name));
}

static void take_away(struct keydir *k, struct node *dir, const char *name)
{
	struct dentry *d = find(k, dir, name);

	assert_non_null(d);
	assert_int_equal(keydir_prepare(k, dentry_node(d)), 0);
	keydir_write_lock(k);
	keydir_unlink(k, d, NOW);
	keydir_write_unlock(k);
}

static void move(struct keydir *k, struct node *from_dir, const char *from, struct node *to_dir,
		 const char *to)
{
	struct dentry *a = find(k, from_dir, from), *b = find(k, to_dir, to);

	assert_non_null(a);
	assert_int_equal(keydir_prepare(k, dentry_node(a)), 0);
	if (b != NULL)
		assert_int_equal(keydir_prepare(k, dentry_node(b)), 0);
	else
		b = keydir_dentry_new(k, to_dir, to, strlen(to));
	assert_non_null(b);
	keydir_write_lock(k);
	keydir_move(k, a, b, NOW);
	keydir_write_unlock(k);
}

/* --- memory --- */

static uint64_t resident_bytes(void)
{
	struct unit_file f = unit_read_proc("/proc/self/statm");
	unsigned long pages = 0;

	assert_int_equal(sscanf((char *)f.data, "%*u %lu", &pages), 1);
	free(f.data);
	return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

#define KEYS		  200000
#define BYTES_PER_KEY_MAX 100

static const struct shape {
	const char *name;
	size_t dirs; /* 0: all keys in the root */
	bool renamed;
	uint64_t bytes_max; /* of a key beyond its name */
} shapes[] = {
	{ "one directory", 0, false, BYTES_PER_KEY_MAX },
	{ "20 directories", 20, false, BYTES_PER_KEY_MAX },
	{ "5000 directories", 5000, false, BYTES_PER_KEY_MAX },
	{ "one directory, renamed", 0, true, 200 },
};

/* A key takes little memory of the process beyond its name. */
static void test_memory(void **state)
{
	const struct shape *shape = *state;
	struct value_position value = { .record_position = 1, .key_bytes = 20, .value_bytes = 100 };
	uint64_t before, names = 0, bytes;
	struct keydir *k = keydir_new();
	struct node *dir = keydir_root(k);
	struct keydir_stats stats;
	char name[NAME_SIZE];

	(void)malloc_trim(0); /* nothing of other tests is there to be used again */
	before = resident_bytes();
	for (size_t i = 0; i < KEYS; i++) {
		struct node *n;

		if (shape->dirs > 0 && i % (KEYS / shape->dirs) == 0) {
			names += (size_t)snprintf(name, sizeof(name), "dir%zu", i);
			dir = add(k, keydir_root(k), name, S_IFDIR);
		}
		names += (size_t)snprintf(name, sizeof(name), "file-%zu", i);
		n = add(k, dir, name, S_IFREG);
		keydir_write_lock(k);
		keydir_set_value(k, n, &value, NOW);
		keydir_write_unlock(k);
		if (shape->renamed)
			move(k, dir, name, dir, unit_path("name-%zu", i));
	}
	keydir_stats(k, &stats);
	assert_int_equal(stats.files, KEYS);
	bytes = UNIT_SANITIZED ? stats.memory_bytes : resident_bytes() - before;
	if (bytes - names > shape->bytes_max * KEYS)
		fail_msg("%.1f bytes a key", (double)(bytes - names) / KEYS);
	keydir_free(k);
}

/* --- small fields --- */

/* The largest of everything comes back as it was. */
static void test_limits(void **state)
{
	struct value_position value = {
		.record_position = UINT64_MAX,
		.key_bytes = PATH_BYTES_MAX,
		.value_bytes = UINT32_MAX,
	};
	struct node_times times = { .mtime_ns = INT64_MAX,
				    .ctime_ns = INT64_MIN,
				    .atime_ns = INT64_MIN + 1 };
	struct keydir *k = keydir_new();
	const struct store_owner owner = { S_IFDIR | 07777, UINT32_MAX, UINT32_MAX };
	struct content_piece piece;
	struct content_pieces list = { .pieces = &piece, .capacity = 1 };
	struct store_attr attr;
	char name[NAME_SIZE];
	struct node *n;

	memset(name, 'n', PATH_NAME_BYTES_MAX);
	name[PATH_NAME_BYTES_MAX] = '\0';
	n = add(k, keydir_root(k), name, S_IFREG);
	assert_ptr_equal(dentry_node(find(k, keydir_root(k), name)), n);
	assert_int_equal(keydir_prepare(k, n), 0);
	keydir_write_lock(k);
	keydir_set_value(k, n, &value, NOW);
	keydir_set_times(n, &times);
	keydir_set_owner(n, &owner); /* the type stays */
	keydir_write_unlock(k);
	assert_int_equal(node_value(n).record_position, value.record_position);
	assert_int_equal(node_value(n).key_bytes, value.key_bytes);
	assert_int_equal(keydir_pieces(k, n, 0, UINT64_MAX, &list), 1);
	assert_int_equal(list.size_bytes, UINT32_MAX);
	assert_int_equal(piece.value.record_position, value.record_position);
	keydir_getattr(k, n, &attr);
	assert_int_equal(attr.mode, S_IFREG | 07777);
	assert_int_equal(attr.uid, UINT32_MAX);
	assert_int_equal(attr.gid, UINT32_MAX);
	assert_true(node_times(n).mtime_ns == times.mtime_ns);
	assert_true(node_times(n).ctime_ns == times.ctime_ns);
	assert_true(node_times(n).atime_ns == times.atime_ns);
	keydir_free(k);
}

/* As many owners, modes and times as there are nodes. */
static void test_all_different(void **state)
{
	enum {
		COUNT = 70000
	};
	struct keydir *k = keydir_new();
	struct store_attr attr;
	char name[NAME_SIZE];

	for (uint32_t i = 0; i < COUNT; i++) {
		struct node_times times = { i, i + 1, i + 2 };
		struct node *n;

		(void)snprintf(name, sizeof(name), "%u", i);
		n = add(k, keydir_root(k), name, S_IFREG);
		assert_int_equal(keydir_prepare(k, n), 0);
		keydir_set_owner(n, &(struct store_owner){ i & 07777, i, ~i });
		keydir_set_times(n, &times);
	}
	for (uint32_t i = 0; i < COUNT; i++) {
		(void)snprintf(name, sizeof(name), "%u", i);
		keydir_getattr(k, dentry_node(find(k, keydir_root(k), name)), &attr);
		assert_int_equal(attr.uid, i);
		assert_int_equal(attr.gid, ~i);
		assert_int_equal(attr.mode, S_IFREG | (i & 07777));
		assert_int_equal(attr.mtime.tv_nsec, i);
		assert_int_equal(attr.ctime.tv_nsec, i + 1);
		assert_int_equal(attr.atime.tv_nsec, i + 2);
	}
	keydir_free(k);
}

static size_t count_nodes(const struct keydir *k)
{
	uint32_t cursor = 0;
	size_t count = 0;

	while (keydir_each_node(k, &cursor) != NULL)
		count++;
	return count;
}

/* A node that is pinned more often than can be counted is never freed. */
static void test_pins(void **state)
{
	struct keydir *k = keydir_new();
	struct node *n = add(k, keydir_root(k), "n", S_IFREG);
	struct node *below = add(k, keydir_root(k), "below", S_IFREG);

	/* Counting down from 0 leaves a node as if it were pinned 2^32 - 3 times. */
	keydir_unpin(k, below, 3);
	node_pin(below);
	keydir_unpin(k, below, 1);
	take_away(k, keydir_root(k), "below");
	assert_int_equal(count_nodes(k), 3);
	keydir_unpin(k, below, UINT32_MAX - 2);
	assert_int_equal(count_nodes(k), 2);
	keydir_unpin(k, n, 3);
	for (int i = 0; i < 4; i++)
		node_pin(n);
	take_away(k, keydir_root(k), "n");
	keydir_unpin(k, n, 1); /* were it one again, it would be freed */
	assert_int_equal(count_nodes(k), 2);
	keydir_unpin(k, n, UINT32_MAX - 1); /* the same, were it counted down from the largest */
	assert_int_equal(count_nodes(k), 2);
	keydir_free(k);
}

/* --- listings --- */

#define LISTED_MAX 400

struct listing {
	char names[LISTED_MAX][8];
	uint64_t cookies[LISTED_MAX];
	size_t count;
};

static int on_entry(void *arg, const struct store_dirent *e)
{
	struct listing *l = arg;

	assert_true(l->count < LISTED_MAX);
	memcpy(l->names[l->count], e->name, e->name_bytes);
	l->names[l->count][e->name_bytes] = '\0';
	l->cookies[l->count++] = e->cookie;
	return 0;
}

static void list(struct keydir *k, uint64_t cookie, struct listing *ret)
{
	ret->count = 0;
	assert_int_equal(keydir_list(k, keydir_root(k), cookie, on_entry, ret), 0);
}

/* The cookie of a name; 0: it is not listed. */
static uint64_t cookie_of(const struct listing *l, const char *name)
{
	for (size_t i = 0; i < l->count; i++)
		if (strcmp(l->names[i], name) == 0)
			return l->cookies[i];
	return 0;
}

/* Entries that stayed keep their cookies, in rising order, and a listing continues behind each. */
static void check_listing(struct keydir *k, const struct listing *before, const char *changed,
			  struct rng *r)
{
	static struct listing l, rest;
	size_t from;

	list(k, 0, &l);
	for (size_t i = 0; i < l.count; i++) {
		uint64_t had = cookie_of(before, l.names[i]);

		assert_true(l.cookies[i] > (i == 0 ? 2 : l.cookies[i - 1]));
		if (had != 0 && strcmp(l.names[i], changed) != 0)
			assert_int_equal(l.cookies[i], had);
	}
	if (l.count == 0)
		return;
	from = rng_below(r, l.count);
	list(k, l.cookies[from], &rest);
	assert_int_equal(rest.count, l.count - from - 1);
	assert_memory_equal(rest.cookies, l.cookies + from + 1, rest.count * sizeof(l.cookies[0]));
}

static void test_cookies(void **state)
{
	static struct listing before;
	struct keydir *k = keydir_new();
	struct node *root = keydir_root(k);
	struct rng r = { 11 };

	for (size_t step = 0; step < 6000; step++) {
		/* Many for a while, then few, so that holes are squeezed out. */
		const char *a = unit_path("%u", (unsigned int)rng_below(&r, LISTED_MAX));
		const char *b = unit_path("%u", (unsigned int)rng_below(&r, LISTED_MAX));
		bool more = step / 700 % 2 == 0;

		list(k, 0, &before);
		if (find(k, root, a) == NULL) {
			if (more || rng_chance(&r, 20))
				(void)add(k, root, a, S_IFREG);
			b = a;
		} else if (rng_chance(&r, 30) && strcmp(a, b) != 0) {
			uint64_t had = cookie_of(&before, b);

			move(k, root, a, root, b);
			if (had != 0)
				b = ""; /* it keeps the place of the name */
		} else if (!more || rng_chance(&r, 20)) {
			take_away(k, root, a);
		}
		check_listing(k, &before, b, &r);
	}
	keydir_free(k);
}

static const struct wrap {
	const char *name;
	bool ancient; /* an entry from the beginning is still there */
} wraps[] = {
	{ "cookies beyond 32 bits", false },
	{ "cookies beyond 32 bits, and an old entry", true },
};

/* A directory in which four thousand million entries have been: a listing that is under way misses
 * nothing, and without an entry as old as that it meets nothing twice. */
static void test_cookie_wrap(void **state)
{
	const struct wrap *w = *state;
	static struct listing before, after, rest;
	struct keydir *k = keydir_new();
	struct node *root = keydir_root(k);

	if (w->ancient)
		(void)add(k, root, "old", S_IFREG);
	keydir_skip_cookies(root, UINT32_MAX - 66);
	for (unsigned int i = 0; i < 40; i++)
		(void)add(k, root, unit_path("%u", i), S_IFREG);
	list(k, 0, &before);
	for (unsigned int i = 40; i < 80; i++)
		(void)add(k, root, unit_path("%u", i), S_IFREG);
	list(k, 0, &after);
	assert_int_equal(after.count, 80 + w->ancient);
	for (size_t i = 1; i < after.count; i++)
		assert_true(after.cookies[i] > after.cookies[i - 1]);
	assert_true(after.cookies[after.count - 1] > UINT32_MAX);
	if (!w->ancient)
		assert_memory_equal(after.cookies, before.cookies,
				    before.count * sizeof(before.cookies[0]));
	list(k, before.cookies[before.count - 1], &rest);
	for (unsigned int i = 40; i < 80; i++)
		assert_true(cookie_of(&rest, unit_path("%u", i)) != 0);
	if (!w->ancient)
		assert_int_equal(rest.count, 40);
	take_away(k, root, "45");
	list(k, 0, &rest);
	assert_int_equal(rest.count, after.count - 1);
	assert_int_equal(cookie_of(&rest, "45"), 0);
	keydir_free(k);
}

/* --- names and numbers --- */

/* A file of many names loses them in any order. */
static void test_hard_links(void **state)
{
	enum {
		NAMES = 200
	};
	struct keydir *k = keydir_new();
	struct node *root = keydir_root(k), *n = add(k, root, "0", S_IFREG);
	uint64_t ino = keydir_ino(k, n);
	struct rng r = { 5 };
	size_t left = NAMES;
	bool there[NAMES];
	struct listing *l = calloc(1, sizeof(*l));

	for (unsigned int i = 1; i < NAMES; i++) {
		const char *name = unit_path("%u", i);
		struct dentry *d;

		assert_int_equal(keydir_prepare_name(k, n), 0);
		d = keydir_dentry_new(k, root, name, strlen(name));
		assert_non_null(d);
		keydir_write_lock(k);
		keydir_link(k, d, n, NOW);
		keydir_write_unlock(k);
	}
	memset(there, 1, sizeof(there));
	while (left > 1) {
		unsigned int i = (unsigned int)rng_below(&r, NAMES);
		char path[PATH_BYTES_MAX];
		ssize_t bytes;

		if (!there[i])
			continue;
		take_away(k, root, unit_path("%u", i));
		there[i] = false;
		left--;
		assert_int_equal(node_name_count(n), left);
		assert_int_equal(keydir_ino(k, n), ino);
		bytes = keydir_path(k, n, NULL, 0, path);
		assert_true(bytes > 0);
		path[bytes] = '\0';
		assert_true(there[atoi(path)]);
		for (i = 0; i < (unsigned int)atoi(path); i++)
			assert_false(there[i]); /* the oldest one */
	}
	list(k, 0, l);
	assert_int_equal(l->count, 1);
	take_away(k, root, l->names[0]);
	free(l);
	keydir_free(k);
}

static void test_numbers(void **state)
{
	struct keydir *k = keydir_new();
	struct node *root = keydir_root(k);
	struct node *dir = add(k, root, "dir", S_IFDIR), *sub = add(k, dir, "sub", S_IFDIR);
	struct node *file = add(k, sub, "file", S_IFREG), *again;
	uint64_t dir_ino = keydir_ino(k, dir), file_ino = keydir_ino(k, file);

	/* Not asked for before the move; below it nothing changes. */
	move(k, root, "dir", root, "moved");
	assert_int_equal(keydir_ino(k, dir), dir_ino);
	assert_int_equal(keydir_ino(k, file), file_ino);
	again = add(k, root, "dir", S_IFDIR);
	assert_true(keydir_ino(k, again) != dir_ino);
	assert_true(keydir_ino_is_given(again));
	/* One that is gone but pinned keeps its number; when it is freed the next one gets it. */
	node_pin(file);
	take_away(k, sub, "file");
	assert_int_equal(keydir_ino(k, file), file_ino);
	again = add(k, sub, "file", S_IFREG);
	assert_true(keydir_ino(k, again) != file_ino);
	take_away(k, sub, "file");
	keydir_unpin(k, file, 1);
	again = add(k, sub, "file", S_IFREG);
	assert_int_equal(keydir_ino(k, again), file_ino);
	assert_false(keydir_ino_is_given(again));
	keydir_free(k);
}

/* Nodes with names, without, and none that is free. */
static void test_each_node(void **state)
{
	struct keydir *k = keydir_new();
	struct node *root = keydir_root(k), *n;
	size_t named = 0, nameless = 0;
	uint32_t cursor = 0;

	for (unsigned int i = 0; i < 20000; i++) {
		(void)add(k, root, unit_path("%u", i), i % 2 == 0 ? S_IFREG : S_IFDIR);
		if (i % 4 == 0)
			node_pin(dentry_node(find(k, root, unit_path("%u", i))));
	}
	for (unsigned int i = 0; i < 20000; i++)
		if (i % 4 < 2)
			take_away(k, root, unit_path("%u", i));
	while ((n = keydir_each_node(k, &cursor)) != NULL) {
		named += node_name(n) != NULL;
		nameless += node_name(n) == NULL;
	}
	assert_int_equal(named, 10000);
	assert_int_equal(nameless, 5000 + 1); /* and the root */
	keydir_free(k);
}

/* --- readers beside a writer --- */

#define READERS 3
#define NAMES	50
#define ROUNDS	(UNIT_SANITIZED ? 300 : 2000)

struct reader {
	struct store *s;
	unsigned int seed;
	pthread_t thread;
	_Atomic bool *stop;
	_Atomic size_t found;
};

static int check_entry(void *arg, const struct store_dirent *e)
{
	assert_true(e->attr.ino != 0);
	assert_true(e->attr.size_bytes <= 8);
	*(uint64_t *)arg = e->cookie;
	return 0;
}

/* A search finds a node that stays as long as it is pinned, with a number of its own. */
static void *read_main(void *arg)
{
	struct reader *r = arg;
	struct rng rng = { r->seed };

	while (!atomic_load(r->stop)) {
		struct node *dir, *n, *parent;
		struct store_attr attr, again;
		char name[8];
		uint64_t cookie = 0;

		if (store_lookup(r->s, store_root(r->s), rng_chance(&rng, 50) ? "d" : "e", 1, &dir,
				 NULL) < 0)
			continue;
		(void)snprintf(name, sizeof(name), "%u", (unsigned int)rng_below(&rng, NAMES));
		(void)store_list(r->s, dir, 0, check_entry, &cookie);
		if (store_lookup(r->s, dir, name, strlen(name), &n, &attr) == 0) {
			store_getattr(r->s, n, &again);
			assert_int_equal(attr.ino, again.ino);
			parent = store_parent(r->s, n);
			if (parent != NULL)
				store_unpin(r->s, parent, 1);
			store_unpin(r->s, n, 1);
			atomic_fetch_add(&r->found, 1);
		}
		store_unpin(r->s, dir, 1);
	}
	return NULL;
}

static void change_at_random(struct store *s, struct rng *rng)
{
	const char *a = unit_path("%s/%u", rng_chance(rng, 50) ? "d" : "e",
				  (unsigned int)rng_below(rng, NAMES));
	const char *b = unit_path("%s/%u", rng_chance(rng, 50) ? "d" : "e",
				  (unsigned int)rng_below(rng, NAMES));

	switch (rng_below(rng, 4)) {
	case 0:
		(void)ops_rename(s, a, b, 0);
		break;
	case 1:
		(void)ops_unlink(s, a);
		break;
	default:
		(void)ops_write(s, a, "value");
		break;
	}
}

static void test_readers(void **state)
{
	struct store_fixture *f = *state;
	struct reader readers[READERS];
	_Atomic bool stop = false;
	struct rng rng = { 17 };

	fixture_open_store(f);
	ops_mkdir_ok(f->s, "d");
	ops_mkdir_ok(f->s, "e");
	for (unsigned int i = 0; i < READERS; i++) {
		readers[i] = (struct reader){ .s = f->s, .seed = i, .stop = &stop };
		assert_int_equal(pthread_create(&readers[i].thread, NULL, read_main, &readers[i]),
				 0);
	}
	for (size_t i = 0; i < ROUNDS || atomic_load(&readers[i % READERS].found) == 0; i++) {
		change_at_random(f->s, &rng);
		if (i % 100 == 0) /* whole directories, too */
			assert_int_equal(ops_rename(f->s, "d", "e", RENAME_EXCHANGE), 0);
	}
	atomic_store(&stop, true);
	for (unsigned int i = 0; i < READERS; i++)
		(void)pthread_join(readers[i].thread, NULL);
	fixture_reopen_store(f);
}

int main(void)
{
	static struct CMUnitTest tests[ARRAY_SIZE(shapes) + ARRAY_SIZE(wraps) + 8] = {
		{ "the largest of everything", test_limits, NULL, NULL, NULL },
		{ "all attributes different", test_all_different, NULL, NULL, NULL },
		{ "too many pins", test_pins, NULL, NULL, NULL },
		{ "cookies", test_cookies, NULL, NULL, NULL },
		{ "hard links", test_hard_links, NULL, NULL, NULL },
		{ "inode numbers", test_numbers, NULL, NULL, NULL },
		{ "all nodes", test_each_node, NULL, NULL, NULL },
		{ "readers beside a writer", test_readers, store_fixture_setup,
		  store_fixture_teardown, NULL },
	};
	size_t count = 8;

	for (size_t i = 0; i < ARRAY_SIZE(wraps); i++)
		tests[count++] = (struct CMUnitTest){ wraps[i].name, test_cookie_wrap, NULL, NULL,
						      (void *)(uintptr_t)&wraps[i] };
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++)
		tests[count++] =
			(struct CMUnitTest){ unit_name("memory: %s", shapes[i].name), test_memory,
					     NULL, NULL, (void *)(uintptr_t)&shapes[i] };
	return unit_run("keydir", tests, count);
}
