/* SPDX-License-Identifier: MIT */
/* Folding: whatever the oldest segments contain, the tree in memory, the tree of a folded log and
 * the tree of the log before stay the same: contents, times, inode numbers, xattrs, links,
 * unnameable keys, and staged content.  Kills and failures in the middle: tests/crash, tests/fault.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codec/crc32.h"
#include "codec/meta.h"
#include "codec/record.h"
#include "tests/sim/rng.h"
#include "tests/sim/simdisk.h"
#include "tests/sim/tree.h"
#include "tests/unit/store_fixture.h"
#include "tests/unit/store_ops.h"
#include "tests/unit/unit.h"
#include "writer/compact/compact_private.h"
#include "writer/open_private.h"
#include "writer/history.h"
#include "writer/log/segments.h"

#define V30  "123456789012345678901234567890"
#define V100 V30 V30 V30 "1234567890"
#define V300 V100 V100 V100
#define ROOM 65536
#define JUNK 110 /* times what a fold leaves nothing of */

static struct store_config plain_config(const char *dir_path, struct io *io)
{
	return (struct store_config){
		.dir_path = dir_path,
		.fsync_interval_ns = LOG_WRITER_NEVER,
		.no_background = true,
		.uid = OPS_UID,
		.gid = OPS_GID,
		.umask = 022,
		.io = io,
	};
}

static struct store *open_at(const char *dir_path, struct io *io, uint64_t segment_bytes)
{
	struct store_config config = plain_config(dir_path, io);
	struct diag diag;
	struct store *s;
	int err;

	config.segment_size_bytes = (int64_t)segment_bytes;
	err = store_open(&config, &s, &diag);
	if (err < 0)
		fail_msg("store_open: %s: %s", strerror(-err), diag.text);
	return s;
}

static struct store_stats stats_of(struct store *s)
{
	struct store_stats stats;

	store_stats(s, &stats);
	return stats;
}

/* --- all that a store shows --- */

struct node_list {
	const char *above;
	struct {
		char *path;
		struct node *node;
		struct store_attr attr;
	} * items;
	size_t count;
};

static int collect(void *arg, const struct store_dirent *e)
{
	struct node_list *l = arg;

	l->items = reallocarray(l->items, l->count + 1, sizeof(l->items[0]));
	assert_non_null(l->items);
	l->items[l->count].node = e->node;
	l->items[l->count].attr = e->attr;
	store_pin_in_list(e->node);
	assert_true(asprintf(&l->items[l->count++].path, "%s%.*s", l->above, (int)e->name_bytes,
			     e->name) > 0);
	return 0;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void print_times(FILE *out, const struct store_attr *a)
{
	fprintf(out, " m=%lld.%09ld c=%lld.%09ld a=%lld.%09ld", (long long)a->mtime.tv_sec,
		a->mtime.tv_nsec, (long long)a->ctime.tv_sec, a->ctime.tv_nsec,
		(long long)a->atime.tv_sec, a->atime.tv_nsec);
}

/* The bytes of a file; what of it cannot be read is said to be so, block by block. */
static void print_content(FILE *out, struct store *s, struct node *n, uint64_t size_bytes)
{
	uint32_t crc = 0;
	uint8_t block[16];

	for (uint64_t at = 0; at < size_bytes; at += sizeof(block)) {
		ssize_t got = store_read(s, n, block, sizeof(block), at);

		if (got < 0) {
			assert_int_equal(got, -EIO);
			fprintf(out, " lost@%" PRIu64, at);
		} else {
			crc = crc32_extend(crc, block, (size_t)got);
		}
	}
	fprintf(out, " =%08x", crc);
}

static void print_xattrs(FILE *out, struct store *s, struct node *n)
{
	char names[512];
	ssize_t bytes = store_listxattr(s, n, NULL, names, sizeof(names));

	assert_true(bytes >= 0);
	for (ssize_t at = 0; at < bytes; at += (ssize_t)strlen(names + at) + 1) {
		char value[512];
		ssize_t got = store_getxattr(s, n, names + at, value, sizeof(value));

		assert_true(got >= 0);
		fprintf(out, " %s=%.*s", names + at, (int)got, value);
	}
}

static void print_node(FILE *out, struct store *s, const char *path, struct node *n,
		       const struct store_attr *a)
{
	char target[64];

	fprintf(out, "%s %o %u:%u ino=%" PRIx64 " links=%u rdev=%u:%u size=%" PRIu64, path, a->mode,
		a->uid, a->gid, a->ino, a->link_count, a->rdev_major, a->rdev_minor, a->size_bytes);
	print_times(out, a);
	print_xattrs(out, s, n);
	if (S_ISLNK(a->mode))
		fprintf(out, " ->%.*s", (int)store_readlink(s, n, target, sizeof(target)), target);
	if (S_ISREG(a->mode))
		print_content(out, s, n, a->size_bytes);
	fputc('\n', out);
}

static void print_dir(FILE *out, struct store *s, struct node *dir, const char *above)
{
	struct node_list l = { .above = above };

	assert_int_equal(store_list(s, dir, 0, collect, &l), 0);
	if (l.count > 0)
		qsort(l.items, l.count, sizeof(l.items[0]), by_path);
	for (size_t i = 0; i < l.count; i++) {
		print_node(out, s, l.items[i].path, l.items[i].node, &l.items[i].attr);
		if (S_ISDIR(l.items[i].attr.mode)) {
			char *below;

			assert_true(asprintf(&below, "%s/", l.items[i].path) > 0);
			print_dir(out, s, l.items[i].node, below);
			free(below);
		}
		store_unpin(s, l.items[i].node, 1);
		free(l.items[i].path);
	}
	free(l.items);
}

struct key_list {
	char *keys[64]; /* with the size before each */
	size_t count;
};

static int add_key(void *arg, const void *key, size_t key_bytes, uint64_t size_bytes)
{
	struct key_list *l = arg;

	assert_true(l->count < ARRAY_SIZE(l->keys));
	assert_true(asprintf(&l->keys[l->count++], "%.*s", (int)key_bytes, (const char *)key) >= 0);
	return 0;
}

static void print_unnameable(FILE *out, struct store *s)
{
	struct key_list l = { .count = 0 };

	assert_int_equal(store_list_unnameable(s, add_key, &l), 0);
	if (l.count > 0)
		qsort(l.keys, l.count, sizeof(l.keys[0]), by_path);
	for (size_t i = 0; i < l.count; i++) {
		void *value = NULL;
		size_t bytes = 0;
		int err = store_get(s, l.keys[i], strlen(l.keys[i]), &value, &bytes);

		fprintf(out, "key %s %d %zu %08x\n", l.keys[i], err, bytes,
			err < 0 ? 0 : crc32_extend(0, value, bytes));
		free(value);
		free(l.keys[i]);
	}
}

/* All there is.  The root's times are those of opening where nothing has ever set them. */
static char *dump_all(struct store *s)
{
	struct store_stats stats = stats_of(s);
	struct store_attr root;
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	assert_non_null(out);
	store_getattr(s, store_root(s), &root);
	fprintf(out, "%" PRIu64 " files, %" PRIu64 " directories, %" PRIu64 " keys; root %o %u:%u",
		stats.files, stats.directories, stats.unnamed_keys, root.mode, root.uid, root.gid);
	if (stats.files + stats.directories > 0)
		print_times(out, &root);
	print_xattrs(out, s, store_root(s));
	fputc('\n', out);
	print_dir(out, s, store_root(s), "");
	print_unnameable(out, s);
	assert_int_equal(fclose(out), 0);
	return text;
}

/* Prints the lines from the first that differs on. */
static void assert_same(const char *got, const char *want, const char *when)
{
	size_t line = 0, i = 0;

	if (strcmp(got, want) == 0)
		return;
	for (; got[i] == want[i]; i++)
		if (got[i] == '\n')
			line = i + 1;
	print_error("%s:\n%.800s\nnot:\n%.800s\n", when, got + line, want + line);
	fail();
}

static void assert_all(struct store *s, const char *want, const char *when)
{
	char *got = dump_all(s);

	assert_same(got, want, when);
	free(got);
}

/* --- what each kind of record becomes --- */

static const char *path_of(const struct store_fixture *f, uint64_t number, const char *suffix)
{
	return unit_segment_path(f->data_dir, number, suffix);
}

/* The words of one log, so that time moves forward: records to fold, and the words given, with a
 * tombstone of "|" at the end of each segment. */
static char *all_words(const char *sealed, const char *active, int junk_in_segment)
{
	char *out = malloc(ROOM), *copy, *state, *word;
	size_t used = 0;

	assert_non_null(out);
	assert_true(asprintf(&copy, "%s | %s", sealed, active) > 0);
	for (int i = 1; i <= JUNK; i++)
		used += (size_t)snprintf(out + used, ROOM - used, "p:~=x t:~ %s",
					 i % junk_in_segment == 0 ? "t:| " : "");
	for (word = strtok_r(copy, " ", &state); word != NULL; word = strtok_r(NULL, " ", &state))
		used += (size_t)snprintf(out + used, ROOM - used, "%s%s ",
					 word[0] == '|' ? "t:" : "", word);
	free(copy);
	return out;
}

/* Plants the segments 'sealed', with bars between them, and the active one.  Before them stand the
 * records that a fold removes, so many in each segment. */
static void plant_with_junk(struct store_fixture *f, const char *sealed, const char *active,
			    int junk_in_segment)
{
	char *words = all_words(sealed, active, junk_in_segment);
	struct unit_file log = make_log(words);
	size_t at = 0, from = 0;
	uint64_t number = 1;

	free(words);
	assert_int_equal(mkdir(f->data_dir, 0700), 0);
	while (at < log.bytes) {
		struct record_scan_result res;

		assert_int_equal(record_scan(log.data + at, log.bytes - at, log.bytes - at, &res),
				 RECORD_WHOLE);
		at += res.bytes;
		if (res.rec.key_bytes != 1 || *(const char *)res.rec.key != '|')
			continue;
		unit_write_file(path_of(f, number++, ".data"), log.data + from, at - from);
		from = at;
	}
	plant_log(f, log.data + from, at - from);
	free(log.data);
}

static void plant_segments(struct store_fixture *f, const char *sealed, const char *active)
{
	plant_with_junk(f, sealed, active, INT_MAX);
}

static const struct fold_case {
	const char *name;
	const char *sealed, *active;
} fold_cases[] = {
	{ "nothing", "t:a", "" },
	{ "files", "p:a=1 p:b=" V30 " p:d/c=" V300, "" },
	{ "files that change later", "p:a=1 p:b=" V30 " p:d/c=" V300 " | p:b=2", "p:a=3 t:d/c" },
	{ "dead puts", "p:a=" V300 " | p:a=" V30 " p:b=" V300, "p:b=x p:a=y" },
	{ "removed", "p:a=1 p:d/b=2 t:d/b | t:a", "" },
	{ "moved", "p:a=" V30 " m:a>b | p:a=2 m:b>d/e", "" },
	{ "moved later", "p:a=" V30 " p:d/b=2 | p:c=3", "m:a>x m:d>y" },
	{ "directory moved", "p:d/e/f=" V30 " D:d/g m:d>n | m:n/e>q", "p:q/f=5" },
	{ "exchanged", "p:a=" V30 " p:d/b=" V100 " x:a>d | p:a/c=1", "x:a>d" },
	{ "directories", "D:d D:d/e p:d/e/f=1 D:empty | t:d/e/f", "" },
	{ "directories through their keys", "p:d/e/f=1 p:d/g=2 | t:d/g p:h/i=1", "t:d/e/f" },
	{ "attributes of one that exists through its keys", "p:d/a=1 | I:d", "t:d/a" },
	{ "attributes", "p:a=1 K:a E:b D:d | K:b", "p:b=2" },
	{ "attributes of the root", "D: p:a=1", "" },
	{ "empty file", "E:a p:b=1 E:b | E:c p:c=1", "" },
	{ "links", "p:a=" V100 " l:a>b", "" },
	{ "links, removed", "p:a=" V100 " l:a>d/b p:c=1 l:c>e t:a", "t:c" },
	{ "extents", "e:7@0=" V100 " e:7@100=" V30 " P:a=7,200 | p:b=1", "" },
	{ "extents over a put", "p:a=" V300 " e:7@20=" V30 " Q:a=7,300 | e:8@25=xx Q:a=8,280",
	  "e:9@100=" V100 " Q:a=9,300" },
	{ "dead extents", "e:7@0=" V300 " P:a=7,300", "e:9@100=" V100 " Q:a=9,300" },
	{ "all of them dead", "e:7@0=" V300 " P:a=7,300 p:b=1", "p:a=2" },
	{ "dead put under a patch", "p:a=" V300 " e:7@20=" V30 " Q:a=7,300", "p:a=1" },
	{ "part of a put that is cut", "p:a=" V300, "Q:a=0,100" },
	{ "hole", "p:a=" V100 " h:7@20=60 Q:a=7,400 P:b=0,50", "" },
	{ "staged, published later", "e:7@0=" V100 " e:7@50=" V30 " | p:b=1", "P:a=7,120" },
	{ "staged with a hole, published later", "p:a=" V100 " h:7@10=30 e:7@60=xx | p:b=1",
	  "e:7@62=yy Q:a=7,100" },
	{ "staged, published and written over later", "e:7@0=" V100 " p:b=1", "P:a=7,100 p:a=1" },
	{ "staged and published in the next segment", "e:7@0=" V100 " | e:7@100=" V30 " P:a=7,130",
	  "" },
	{ "staged for nobody", "e:7@0=" V100 " p:b=1", "" },
	{ "key that is no path", "p:a//b=" V100 " p:/=1 p://=2 p:c//d=" V300, "p:c//d=x" },
	{ "key beside its directory", "p:a=" V30 " p:a/b=1", "" },
	{ "the same, that comes back", "p:a=" V30 " p:a/b=1", "t:a/b" },
	{ "key in pieces beside its directory", "e:7@2=" V30 " P:a=7,40 p:a/b=1", "" },
	{ "the same, that comes back", "e:7@2=" V30 " P:a=7,40 p:a/b=1", "t:a/b" },
	{ "key of a hole beside its directory", "P:a=0,40 p:a/b=1", "" },
	{ "key whose path is free", "p:a/b=" V30 " p:a/b/c=1 m:a>d", "" },
	{ "the same, with a file above it", "p:a/b=" V30 " p:a/b/c=1 m:a>d p:a=2", "" },
	{ "the same, with a file in its place", "p:a/b=" V30 " p:a/b/c=1 m:a>d E:a/b", "" },
	{ "the same in pieces", "e:7@2=" V30 " P:a/b=7,40 p:a/b/c=1 m:a>d", "" },
	{ "the same, dead by now", "p:a/b=" V30 " p:a/b/c=1 m:a>d", "p:a/b=x" },
	{ "key that comes back, and its file has another name", "p:a=" V300 " l:a>z p:a/b=1",
	  "t:a/b" },
	{ "dropped before", "Z:a=0,99 z:7@0=40 e:7@40=" V30 " P:b=7,80 Z:c//d=0,9 p:f=1", "" },
	{ "dropped, and a key hides it", "Z:a=0,99 p:a/b=1", "" },
	{ "group", "+D:d p:d/a=" V30 " | +K:d/a p:d/a=" V100, "+D:d t:d/a" },
	{ "everything at once",
	  "D:d p:d/a=" V300 " p:d/b=" V30 " m:d/b>e/f | e:7@0=" V100 " E:g P:g=7,150 p:d=hid "
	  "p:x/y=1 | m:x>z p:q=1 t:q e:9@4=" V30 " x:d>z",
	  "p:g=1 P:h=9,40" },
};

static void check_reopened(struct store_fixture *f, const char *want, uint64_t live_bytes,
			   const char *when)
{
	f->s = open_at(f->data_dir, probe_io(f->probe), 0);
	assert_all(f->s, want, when);
	assert_int_equal(stats_of(f->s).live_bytes, live_bytes);
}

static struct log_writer *log_of(struct store *s)
{
	return store_background(s)->compactor.log;
}

/* The base is in several segments, unless it is small. */
static void assert_parts(struct store *s, uint64_t as_of_ns)
{
	struct segment seg;
	uint64_t bytes = 0;
	size_t count = 0;

	while (log_writer_sealed(log_of(s), count, &seg) &&
	       seg.facts.last_timestamp_ns <= as_of_ns) {
		assert_int_equal(seg.is_base, count == 0);
		bytes += seg.bytes;
		count++;
	}
	assert_in_range(count, bytes > 1000 ? 2 : 1, JUNK);
}

/* With 'retain_ns' the active segment is not folded with the others. */
static void check_fold(struct store_fixture *f, int64_t retain_ns, uint64_t part_bytes)
{
	struct store_config config = plain_config(f->data_dir, probe_io(f->probe));
	struct diag diag;
	uint64_t live, as_of_ns;
	char *want;

	config.retain_ns = retain_ns;
	assert_int_equal(store_open(&config, &f->s, &diag), 0);
	log_writer_set_segment_size(log_of(f->s), part_bytes);
	want = dump_all(f->s);
	as_of_ns = stats_of(f->s).log.last_timestamp_ns;
	assert_int_equal(store_compact(f->s, NULL, NULL), 0);
	if (part_bytes > 0)
		assert_parts(f->s, as_of_ns);
	assert_int_equal(stats_of(f->s).compaction.folds, 1);
	assert_int_equal(stats_of(f->s).compaction.unreadable_segments, 0);
	assert_all(f->s, want, "after the fold");
	assert_int_equal(store_compact(f->s, NULL, NULL), 0);
	assert_int_equal(stats_of(f->s).compaction.folds, 1); /* no more to gain */
	assert_all(f->s, want, "after another one");
	live = stats_of(f->s).live_bytes;
	fixture_close_store(f);
	check_reopened(f, want, live, "reopened");
	fixture_close_store(f);
	for (uint64_t i = 1; i < 2 * JUNK; i++)
		(void)unlink(path_of(f, i, ".hint"));
	check_reopened(f, want, live, "reopened without hints");
	free(want);
}

static void test_all_of_it(void **state)
{
	struct store_fixture *f = *state;
	const struct fold_case *c = f->row;

	plant_segments(f, c->sealed, c->active);
	check_fold(f, 0, 0);
}

/* Folds the files of the row into a base of many segments. */
static void test_in_parts(void **state)
{
	struct store_fixture *f = *state;
	const struct fold_case *c = f->row;

	plant_with_junk(f, c->sealed, c->active, 3);
	check_fold(f, 0, 1);
}

static void test_but_the_active(void **state)
{
	struct store_fixture *f = *state;
	const struct fold_case *c = f->row;

	plant_segments(f, c->sealed, c->active);
	check_fold(f, 1, 0);
}

/* Content that the words of a log cannot describe. */
static void make_all_kinds(struct store *s)
{
	static const struct store_special kinds[] = {
		{ .owner.mode = S_IFLNK | 0777, .target = "../where" },
		{ .owner.mode = S_IFIFO | 0600, .owner.uid = 5 },
		{ .owner.mode = S_IFSOCK | 0640 },
		{ .owner.mode = S_IFCHR | 0600, .rdev_major = 5, .rdev_minor = 70000 },
		{ .owner.mode = S_IFBLK | 0600, .rdev_major = 8, .rdev_minor = 1 },
	};
	uint64_t end;

	ops_mkdir_ok(s, "d");
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct node *dir = ops_find_ok(s, "d"), *n;

		assert_int_equal(store_mknod(s,
					     &(struct store_name){ dir, unit_path("s%zu", i), 2 },
					     &kinds[i], &n, NULL, &end),
				 0);
		assert_int_equal(
			store_link(s, n,
				   &(struct store_name){ store_root(s), unit_path("l%zu", i), 2 },
				   &end),
			0);
		assert_int_equal(
			store_setxattr(s, n, &(struct xattr){ "user.a", 6, "value", 5 }, 0, &end),
			0);
		store_unpin(s, n, 1);
		store_unpin(s, dir, 1);
	}
}

/* Keys around the longest path, and much longer ones. */
static void test_long_keys(void **state)
{
	static const size_t sizes[] = { 65534, 65535, 65536, 70001, 200000 };
	struct store_fixture *f = *state;
	uint64_t live = 0;
	char *want, *key;

	f->s = open_at(f->data_dir, probe_io(f->probe), ROOM);
	for (size_t i = 0; i < 3 * ARRAY_SIZE(sizes); i++) {
		size_t bytes = sizes[i % ARRAY_SIZE(sizes)];

		key = malloc(bytes);
		assert_non_null(key);
		memset(key, '/', bytes);
		assert_int_equal(store_put(f->s, key, bytes, V300, 100 + i, NULL), 0);
		if (i >= 2 * ARRAY_SIZE(sizes))
			live += record_bytes((uint32_t)bytes, (uint32_t)(100 + i));
		free(key);
	}
	assert_int_equal(stats_of(f->s).live_bytes, live);
	want = dump_all(f->s);
	assert_int_equal(store_compact(f->s, NULL, NULL), 0);
	assert_int_equal(stats_of(f->s).compaction.folds, 1);
	assert_all(f->s, want, "after the fold");
	assert_int_equal(stats_of(f->s).live_bytes, live);
	fixture_close_store(f);
	check_reopened(f, want, live, "reopened");
	free(want);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		key = malloc(sizes[i]);
		assert_non_null(key);
		memset(key, '/', sizes[i]);
		assert_int_equal(store_delete(f->s, key, sizes[i]), 0);
		free(key);
	}
	assert_int_equal(stats_of(f->s).unnamed_keys, 0);
	assert_int_equal(stats_of(f->s).live_bytes, 0);
}

static void set_times(struct store *s, const char *path, unsigned int which, time_t sec)
{
	const struct store_set set = { .which = which,
				       .mode = 0640,
				       .uid = 9,
				       .mtime = { sec, 1 },
				       .atime = { sec + 1, 999999999 },
				       .ctime = { sec + 2, 2 } };

	assert_int_equal(ops_setattr(s, path, &set), 0);
}

static void test_attributes(void **state)
{
	struct store_fixture *f = *state;
	static const char *const paths[] = { "", "f", "empty", "d", "d/s0", "d/s1" };
	static const unsigned int which[] = { STORE_SET_ATIME, STORE_SET_MTIME, STORE_SET_CTIME,
					      STORE_SET_ATIME | STORE_SET_MTIME | STORE_SET_MODE,
					      STORE_SET_UID };
	static const time_t times[] = { -5000000000, -1, 0, 86400, 5000000000 };
	struct node *n;
	uint64_t end;

	for (size_t i = 0; i < ARRAY_SIZE(which) * ARRAY_SIZE(times); i++) {
		f->s = open_at(f->data_dir, probe_io(f->probe), 4096);
		if (i == 0) {
			make_all_kinds(f->s);
			ops_write_ok(f->s, "f", V100);
			ops_write_ok(f->s, "empty", "");
			n = ops_find_ok(f->s, "d");
			assert_int_equal(store_setxattr(f->s, n,
							&(struct xattr){ "user.d", 6, "x", 1 }, 0,
							&end),
					 0);
			store_unpin(f->s, n, 1);
			n = ops_find_ok(f->s, "f");
			assert_int_equal(store_setxattr(f->s, n,
							&(struct xattr){ "user.f", 6, V300, 300 },
							0, &end),
					 0);
			assert_int_equal(store_setxattr(f->s, n,
							&(struct xattr){ "user.g", 6, "", 0 }, 0,
							&end),
					 0);
			store_unpin(f->s, n, 1);
		}
		for (unsigned int j = 0; j < 40; j++)
			ops_write_ok(f->s, "dead", V30), (void)!ops_rename(f->s, "dead", "gone", 0);
		for (size_t j = 0; j < ARRAY_SIZE(paths); j++)
			set_times(f->s, paths[j], which[i % ARRAY_SIZE(which)],
				  times[(i + j) % ARRAY_SIZE(times)]);
		assert_int_equal(store_rotate(f->s), 0);
		fixture_close_store(f);
		check_fold(f, 0, 0);
		fixture_close_store(f);
	}
	f->s = open_at(f->data_dir, probe_io(f->probe), 4096);
}

/* --- random changes --- */

static uint64_t env_or(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

#define RANDOM_STEPS 400
#define RANDOM_RUNS  12

struct random_run {
	struct simdisk *disk;
	struct store *s;
	struct model *m;
	struct rng rng;
	struct store_staging *staging; /* goes on over many changes */
	uint64_t tag, folds;
	struct node *open; /* a file without a name */
	uint8_t open_bytes[64];
	ssize_t open_count;
};

static const char *const odd_keys[] = {
	"a", "a/x", "a/x/y", "d", "d/a", "f/g", "d/", "//", "a//b"
};

static void stage_some(struct random_run *r)
{
	uint8_t data[500];
	struct store_range range = { .offset = rng_below(&r->rng, 3000),
				     .bytes = 1 + rng_below(&r->rng, sizeof(data)) };

	memset(data, 'a' + (int)(r->tag % 26), sizeof(data));
	range.data = rng_chance(&r->rng, 80) ? data : NULL;
	assert_int_equal(store_stage(r->s, &r->staging, &range, 1), 0);
}

/* Publishes it to a file of its own, or forgets it. */
static void end_staging(struct random_run *r)
{
	struct timespec now = { .tv_sec = 1000000 + (time_t)r->tag };
	struct node *n;
	uint64_t end;

	if (rng_chance(&r->rng, 30)) {
		store_staging_free(r->staging);
		r->staging = NULL;
		return;
	}
	if (ops_find(r->s, "staged", &n) < 0)
		assert_int_equal(ops_create(r->s, "staged", 0600, &n), 0);
	assert_int_equal(store_publish(r->s, n, &r->staging,
				       &(struct store_content){ .bytes = 3600, .written_at = now },
				       &end),
			 0);
	store_unpin(r->s, n, 1);
	(void)!ops_rename(r->s, "staged", unit_path("staged%u", (unsigned)rng_below(&r->rng, 3)),
			  0);
}

static void by_odd_key(struct random_run *r)
{
	const char *key = odd_keys[rng_below(&r->rng, ARRAY_SIZE(odd_keys))];
	uint8_t value[300];
	uint64_t offset;

	memset(value, 'A' + (int)(r->tag % 26), sizeof(value));
	if (rng_chance(&r->rng, 70))
		(void)!store_put(r->s, key, strlen(key), value,
				 1 + rng_below(&r->rng, sizeof(value)), &offset);
	else
		(void)!store_delete(r->s, key, strlen(key));
}

static void hold_open(struct random_run *r, const char *path)
{
	struct node *n;
	struct store_attr attr;

	if (r->open != NULL) {
		store_unpin(r->s, r->open, 1);
		r->open = NULL;
	}
	if (ops_find(r->s, path, &n) < 0)
		return;
	store_getattr(r->s, n, &attr);
	if (!S_ISREG(attr.mode) || attr.link_count > 1 || ops_unlink(r->s, path) < 0) {
		store_unpin(r->s, n, 1);
		return;
	}
	r->open = n;
	r->open_count = store_read(r->s, n, r->open_bytes, sizeof(r->open_bytes), 0);
}

static void check_open(struct random_run *r)
{
	uint8_t bytes[sizeof(r->open_bytes)];

	if (r->open == NULL)
		return;
	assert_int_equal(store_read(r->s, r->open, bytes, sizeof(bytes), 0), r->open_count);
	if (r->open_count > 0)
		assert_memory_equal(bytes, r->open_bytes, (size_t)r->open_count);
}

static void change(struct random_run *r)
{
	struct tree_op op = model_random_op(r->m, &r->rng);
	static const enum tree_op_kind more[] = { TREE_LINK,	 TREE_LINK,	   TREE_SYMLINK,
						  TREE_SETXATTR, TREE_REMOVEXATTR, TREE_FIFO };
	uint64_t end;

	r->tag++;
	if (op.kind == TREE_COMPACT)
		op.kind = TREE_ROTATE;
	if (rng_chance(&r->rng, 15)) {
		op.kind = more[rng_below(&r->rng, ARRAY_SIZE(more))];
		(void)snprintf(op.to, sizeof(op.to), "l%u", (unsigned)rng_below(&r->rng, 6));
	}
	if (rng_chance(&r->rng, 8))
		by_odd_key(r);
	else if (rng_chance(&r->rng, 4))
		hold_open(r, op.path);
	else if (rng_chance(&r->rng, 8))
		stage_some(r);
	else if (r->staging != NULL && rng_chance(&r->rng, 8))
		end_staging(r);
	else if (tree_op_do(r->s, &op, r->tag, &end) == 0)
		(void)!model_do(r->m, &op, r->tag);
}

/* The tree of a copy of the disk. */
static char *dump_copy(struct simdisk *disk, bool hints)
{
	struct simdisk *copy = simdisk_copy(disk);
	struct store *s;
	char *text;

	for (unsigned int i = 0; !hints && i < 1000; i++) {
		struct io *io = simdisk_io(copy);
		int dir = io_open(io, AT_FDCWD, "/data", O_RDONLY | O_DIRECTORY, 0);
		char name[32];

		(void)snprintf(name, sizeof(name), "%06u.hint", i);
		(void)!io_unlink(io, dir, name);
		(void)io_close(io, &dir);
	}
	s = open_at("/data", simdisk_io(copy), 1024);
	text = dump_all(s);
	assert_int_equal(store_close(s), 0);
	simdisk_free(copy);
	return text;
}

static void fold_and_compare(struct random_run *r)
{
	char *live, *log, *now;

	assert_int_equal(store_sync(r->s), 0);
	live = dump_all(r->s);
	log = dump_copy(r->disk, true);
	assert_int_equal(store_compact(r->s, NULL, NULL), 0);
	r->folds = stats_of(r->s).compaction.folds;
	assert_int_equal(stats_of(r->s).compaction.unreadable_segments, 0);
	assert_all(r->s, live, "in memory, after a fold");
	check_open(r);
	now = dump_copy(r->disk, rng_chance(&r->rng, 50));
	assert_same(now, log, "what the log makes, after a fold");
	free(live);
	free(log);
	free(now);
}

static void reopen(struct random_run *r)
{
	store_staging_free(r->staging);
	r->staging = NULL;
	if (r->open != NULL)
		store_unpin(r->s, r->open, 1);
	r->open = NULL;
	assert_int_equal(store_close(r->s), 0);
	r->s = open_at("/data", simdisk_io(r->disk), 1024);
}

static void run_random(uint64_t seed)
{
	struct random_run r = { .disk = simdisk_new(), .m = model_new(), .rng = { seed } };
	uint64_t folds = 0;

	r.s = open_at("/data", simdisk_io(r.disk), 1024);
	for (int i = 0; i < RANDOM_STEPS; i++) {
		change(&r);
		if (rng_chance(&r.rng, 4))
			fold_and_compare(&r);
		if (rng_chance(&r.rng, 1)) {
			folds += r.folds;
			r.folds = 0;
			reopen(&r);
		}
	}
	fold_and_compare(&r);
	assert_true(folds + r.folds > 0);
	reopen(&r);
	assert_int_equal(store_close(r.s), 0);
	model_free(r.m);
	simdisk_free(r.disk);
}

/* FOLD_SEED=n: that one alone. */
static void test_random(void **state)
{
	uint64_t only = env_or("FOLD_SEED", 0), runs = env_or("FOLD_RUNS", RANDOM_RUNS);

	for (uint64_t seed = 1; seed <= runs; seed++) {
		if (only != 0 && seed != only)
			continue;
		print_message("FOLD_SEED=%" PRIu64 "\n", seed);
		run_random(rng_mix(seed, 17, 0));
	}
}

/* --- what bounds the log --- */

#define CHURN_BYTES_MAX	   65536 /* of the whole log */
#define CHURN_SEGMENTS_MAX 8

static uint64_t count_files(const struct store_fixture *f, uint64_t up_to)
{
	uint64_t count = 0;

	for (uint64_t i = 1; i <= up_to; i++)
		count += unit_exists(path_of(f, i, ".data"));
	return count;
}

static void churn(struct store *s, unsigned int i)
{
	struct store_staging *staging = NULL;
	const struct store_range range = { .bytes = 300, .data = V300 };

	ops_mkdir_ok(s, "churn");
	ops_write_ok(s, "churn/file", V30);
	ops_mkdir_ok(s, "churn/e");
	assert_int_equal(ops_rename(s, "churn/file", "churn/e/file", 0), 0);
	ops_write_ok(s, "churn/e/other", i % 2 ? V100 : V300);
	assert_int_equal(ops_rename(s, "churn", "churned", 0), 0);
	assert_int_equal(store_stage(s, &staging, &range, 1), 0);
	store_staging_free(staging); /* nobody ever publishes it */
	assert_int_equal(ops_unlink(s, "churned/e/file"), 0);
	assert_int_equal(ops_unlink(s, "churned/e/other"), 0);
	assert_int_equal(ops_rmdir(s, "churned/e"), 0);
	assert_int_equal(ops_rmdir(s, "churned"), 0);
}

/* The log does not grow while a small tree is made and removed again and again. */
static void test_churn(void **state)
{
	struct store_fixture *f = *state;
	struct store_stats stats;

	f->s = open_at(f->data_dir, probe_io(f->probe), 4096);
	ops_write_ok(f->s, "stays", V100);
	for (unsigned int i = 0; i < 3000; i++) {
		churn(f->s, i);
		if (i % 50 != 49)
			continue;
		assert_int_equal(store_compact(f->s, NULL, NULL), 0);
		stats = stats_of(f->s);
		assert_in_range(stats.log.active_bytes + stats.log.sealed_bytes, 0,
				CHURN_BYTES_MAX);
		assert_in_range(count_files(f, stats.log.segments), 0, CHURN_SEGMENTS_MAX);
		if (i % 500 == 499) {
			fixture_close_store(f);
			f->s = open_at(f->data_dir, probe_io(f->probe), 4096);
		}
	}
	assert_int_equal(store_compact(f->s, NULL, NULL), 0);
	stats = stats_of(f->s);
	assert_in_range(stats.log.sealed_bytes, 0, 4096);
	assert_int_equal(ops_read(f->s, "stays", V100), 0);
}

#define BUSY_LOG_BYTES ((uint64_t)16 * 1024 * 1024)

/* Makes something dead, and returns whether there were so many folds.  Where compaction gets no
 * processor, the log does not grow without bounds, and a fold has not more and more to read. */
static bool has_folded(struct store_fixture *f, unsigned int folds)
{
	struct store_stats stats = stats_of(f->s);

	if (stats.log.active_bytes + stats.log.sealed_bytes < BUSY_LOG_BYTES)
		for (unsigned int i = 0; i < 200; i++)
			churn(f->s, i);
	return stats.compaction.folds >= folds;
}

/* By itself, while others go on. */
static void test_by_itself(void **state)
{
	struct store_fixture *f = *state;
	struct store_config config = plain_config(f->data_dir, probe_io(f->probe));
	struct store_stats stats;
	struct diag diag;

	config.no_background = false;
	config.segment_size_bytes = 65536;
	config.compact_at_percent = 50;
	assert_int_equal(store_open(&config, &f->s, &diag), 0);
	ops_write_ok(f->s, "stays", V100);
	WAIT_FOR(has_folded(f, 4));
	stats = stats_of(f->s);
	assert_int_equal(stats.compaction.unreadable_segments, 0);
	assert_int_equal(ops_read(f->s, "stays", V100), 0);
	assert_false(unit_exists(path_of(f, 1, ".data")));
	fixture_close_store(f);
	f->s = open_at(f->data_dir, probe_io(f->probe), 65536);
	assert_int_equal(ops_read(f->s, "stays", V100), 0);
}

/* Records that make a value dead are durable before the base without it takes its place: otherwise
 * a power cut could bring back a tree that needs the value.  The first round finds out how many
 * bytes names take up in the segment, so the second one folds, and only the fold syncs the records
 * that were appended between them. */
static void test_syncs_first(void **state) NO_THREAD_SAFETY
{
	struct store_fixture *f = *state;
	struct compact_mode mode = { .dead_percent = 1 };
	struct compactor *c;
	bool more;

	f->s = open_at(f->data_dir, probe_io(f->probe), 1024 * 1024);
	ops_write_ok(f->s, "a", V100);
	ops_write_ok(f->s, "a", V300);
	for (unsigned int i = 0; i < 50; i++)
		churn(f->s, i);
	c = &store_background(f->s)->compactor;
	assert_int_equal(store_rotate(f->s), 0);
	compact_run_lock(c);
	assert_int_equal(compact_round(c, &mode, &more), 0);
	assert_int_equal(stats_of(f->s).compaction.folds, 0);
	ops_write_ok(f->s, "a", "2");
	assert_int_not_equal(stats_of(f->s).log.durable_position, store_end(f->s));
	assert_int_equal(compact_round(c, &mode, &more), 0);
	compact_run_unlock(c);
	assert_int_equal(stats_of(f->s).compaction.folds, 1);
	assert_int_equal(stats_of(f->s).log.durable_position, store_end(f->s));
	assert_int_equal(ops_read(f->s, "a", "2"), 0);
}

/* --- what is left alone --- */

/* Segments that a fold is worth it for, with something live in them. */
static void prepare(struct store_fixture *f)
{
	plant_segments(f, "p:a=" V300 " p:d/b=" V100 " | p:c=" V30 " m:c>d/c", "p:d/e=1");
}

static void check_prepared(struct store_fixture *f)
{
	assert_int_equal(ops_read(f->s, "a", V300), 0);
	assert_int_equal(ops_read(f->s, "d/b", V100), 0);
	assert_int_equal(ops_read(f->s, "d/c", V30), 0);
	assert_int_equal(ops_read(f->s, "d/e", "1"), 0);
}

static void test_retained(void **state)
{
	struct store_fixture *f = *state;
	struct store_config config = plain_config(f->data_dir, probe_io(f->probe));
	struct diag diag;

	prepare(f);
	config.retain_ns = LOG_WRITER_NEVER;
	assert_int_equal(store_open(&config, &f->s, &diag), 0);
	assert_int_equal(store_compact(f->s, NULL, NULL), 0);
	assert_int_equal(stats_of(f->s).compaction.folds, 0);
	assert_true(unit_exists(path_of(f, 1, ".data")));
	check_prepared(f);
}

/* Two files had one record and have one each after a fold; memory reads both from one of them.  The
 * other is not taken for dead when the base is compacted. */
static void test_one_record_of_two(void **state)
{
	struct store_fixture *f = *state;

	plant_segments(f, "p:a=" V300 " l:a>z p:a/b=1 p:c=" V300 V300 V300, "t:a/b");
	f->s = open_at(f->data_dir, probe_io(f->probe), 0);
	assert_int_equal(store_compact(f->s, NULL, NULL), 0);
	assert_int_equal(stats_of(f->s).compaction.folds, 1);
	ops_write_ok(f->s, "c", "x");
	assert_int_equal(store_compact(f->s, NULL, NULL), 0);
	assert_true(stats_of(f->s).compaction.segments > 0);
	fixture_close_store(f);
	f->s = open_at(f->data_dir, probe_io(f->probe), 0);
	assert_int_equal(ops_read(f->s, "a", V300), 0);
	assert_int_equal(ops_read(f->s, "z", V300), 0);
}

/* Segments that are old enough are folded; younger segments behind them stay as they are. */
static void test_retained_in_part(void **state)
{
	const int64_t hour_ns = INT64_C(3600000000000), now_ns = INT64_C(1800000000000000000);
	struct store_fixture *f = *state;
	struct store_config config = plain_config(f->data_dir, probe_io(f->probe));
	struct diag diag;
	uint64_t bytes;

	config.retain_ns = (int64_t)hour_ns;
	probe_set_clock(f->probe, now_ns);
	assert_int_equal(store_open(&config, &f->s, &diag), 0);
	for (unsigned int segment = 1; segment <= 2; segment++) {
		for (unsigned int i = 0; i < 60; i++)
			churn(f->s, i);
		assert_int_equal(store_rotate(f->s), 0);
		probe_set_clock(f->probe, now_ns + 2 * hour_ns);
	}
	bytes = unit_file_bytes(path_of(f, 2, ".data"));
	assert_int_equal(store_compact(f->s, NULL, NULL), 0);
	assert_int_equal(stats_of(f->s).compaction.folds, 1);
	assert_true(unit_exists(path_of(f, 1, ".data")));
	assert_int_equal(unit_file_bytes(path_of(f, 2, ".data")), bytes);
}

static void test_no_space(void **state)
{
	struct store_fixture *f = *state;

	prepare(f);
	f->s = open_at(f->data_dir, probe_io(f->probe), 0);
	assert_int_equal(store_compact(f->s, NULL, NULL), 0);
	fixture_close_store(f);
	f->s = open_at(f->data_dir, probe_io(f->probe), 0);
	for (unsigned int i = 0; i < 60; i++)
		churn(f->s, i);
	assert_int_equal(store_rotate(f->s), 0);
	probe_set_free_bytes(f->probe, 256 * 1024 + 700);
	probe_fail(f->probe, IOCALL_ALLOCATE, FAULT_FOR_EVER, -ENOSPC);
	assert_int_equal(unlink(unit_path("%s/reserve.segment", f->data_dir)), 0);
	assert_int_equal(store_compact(f->s, NULL, NULL), -ENOSPC);
	assert_int_equal(stats_of(f->s).compaction.state, STORE_COMPACTION_NO_SPACE);
	assert_true(stats_of(f->s).compaction.needed_bytes > 700);
	assert_int_equal(stats_of(f->s).compaction.folds, 0);
	probe_heal(f->probe); /* with the reserve there is room */
	assert_int_equal(store_compact(f->s, NULL, NULL), 0);
	assert_int_equal(stats_of(f->s).compaction.folds, 1);
	check_prepared(f);
}

/* A record that is to be copied is damaged, in a segment that nothing but a fold looks at: nothing
 * is changed. */
static void test_damaged(void **state)
{
	struct store_fixture *f = *state;
	struct unit_file file = make_log("p:c=" V300);

	prepare(f);
	unit_write_file(path_of(f, 2, ".data"), file.data, file.bytes);
	f->s = open_at(f->data_dir, probe_io(f->probe), 0); /* makes hints */
	fixture_close_store(f);
	file.data[file.bytes - 3] ^= 1;
	unit_write_file(path_of(f, 2, ".data"), file.data, file.bytes);
	f->s = open_at(f->data_dir, probe_io(f->probe), 0);
	assert_int_equal(store_compact(f->s, NULL, NULL), -EBADMSG);
	assert_int_equal(stats_of(f->s).compaction.unreadable_segments, 1);
	assert_int_equal(stats_of(f->s).compaction.folds, 0);
	assert_true(unit_exists(path_of(f, 1, ".data")));
	assert_int_equal(unit_file_bytes(path_of(f, 2, ".data")), file.bytes);
	assert_false(unit_exists(path_of(f, 2, ".data.new")));
	assert_int_equal(ops_read(f->s, "a", V300), 0);
	assert_int_equal(store_compact(f->s, NULL, NULL), 0); /* without it */
	assert_int_equal(stats_of(f->s).compaction.folds, 1);
	assert_int_equal(unit_file_bytes(path_of(f, 2, ".data")), file.bytes);
	assert_int_equal(ops_read(f->s, "a", V300), 0);
	free(file.data);
}

static int stop_late(void *arg, uint64_t done_bytes, uint64_t all_bytes)
{
	unsigned int *calls = arg;

	assert_true(done_bytes > 0 && done_bytes <= all_bytes);
	return ++*calls == 2;
}

static void test_cancelled(void **state)
{
	struct store_fixture *f = *state;
	unsigned int calls = 0;

	prepare(f);
	f->s = open_at(f->data_dir, probe_io(f->probe), 0);
	assert_int_equal(store_compact(f->s, stop_late, &calls), -ECANCELED);
	assert_int_equal(stats_of(f->s).compaction.folds, 0);
	assert_false(unit_exists(path_of(f, 2, ".data.new")));
	check_prepared(f);
}

/* --- what a fold that was cut off leaves --- */

static void test_leftovers(void **state)
{
	struct store_fixture *f = *state;
	struct unit_file first, hint;
	struct store_config config = plain_config(f->data_dir, probe_io(f->probe));
	struct diag diag;

	prepare(f);
	f->s = open_at(f->data_dir, probe_io(f->probe), 0);
	fixture_close_store(f);
	first = unit_read_file(path_of(f, 1, ".data"));
	hint = unit_read_file(path_of(f, 1, ".hint"));
	f->s = open_at(f->data_dir, probe_io(f->probe), 0);
	assert_int_equal(store_compact(f->s, NULL, NULL), 0);
	assert_false(unit_exists(path_of(f, 1, ".data")));
	assert_false(unit_exists(path_of(f, 1, ".hint")));
	fixture_close_store(f);
	unit_write_file(path_of(f, 1, ".data"), first.data, first.bytes);
	unit_write_file(path_of(f, 1, ".hint"), hint.data, hint.bytes);
	config.read_only = true;
	assert_int_equal(store_open(&config, &f->s, &diag), 0);
	check_prepared(f);
	fixture_close_store(f);
	assert_true(unit_exists(path_of(f, 1, ".data")));
	f->s = open_at(f->data_dir, probe_io(f->probe), 0);
	check_prepared(f);
	assert_false(unit_exists(path_of(f, 1, ".data")));
	assert_false(unit_exists(path_of(f, 1, ".hint")));
	free(first.data);
	free(hint.data);
}

/* --- readers of earlier states --- */

static void test_until(void **state)
{
	struct store_fixture *f = *state;
	struct store_config config = plain_config(f->data_dir, probe_io(f->probe));
	uint64_t as_of_ns;
	struct diag diag;

	f->s = open_at(f->data_dir, probe_io(f->probe), 4096);
	ops_write_ok(f->s, "a", V30);
	for (unsigned int i = 0; i < 40; i++)
		churn(f->s, i);
	as_of_ns = stats_of(f->s).log.last_timestamp_ns;
	assert_int_equal(store_rotate(f->s), 0);
	assert_int_equal(store_compact(f->s, NULL, NULL), 0);
	assert_int_equal(stats_of(f->s).compaction.folds, 1);
	ops_write_ok(f->s, "a", "later");
	fixture_close_store(f);
	config.read_only = true;
	config.until_ns = as_of_ns - 1;
	assert_int_equal(store_open(&config, &f->s, &diag), -ERANGE);
	assert_non_null(strstr(diag.text, "compaction has folded everything up to "));
	f->s = NULL;
	config.until_ns = as_of_ns;
	assert_int_equal(store_open(&config, &f->s, &diag), 0);
	assert_int_equal(ops_read(f->s, "a", V30), 0);
}

struct versions {
	uint64_t times[8];
	uint64_t sizes[8];
	size_t count;
};

static int add_version(void *arg, const struct history_entry *e)
{
	struct versions *v = arg;

	if (e->name != NULL)
		return 0;
	assert_true(v->count < ARRAY_SIZE(v->times));
	v->times[v->count] = e->version.timestamp_ns;
	v->sizes[v->count++] = e->version.size_bytes;
	return 0;
}

static struct versions versions_of(struct store_fixture *f, const char *path)
{
	const struct history_config config = { .dir_path = f->data_dir };
	struct versions v = { .count = 0 };
	struct history *h;

	assert_int_equal(history_open(&config, &h, NULL), 0);
	assert_int_equal(history_list(h, path, strlen(path), add_version, &v),
			 history_has(h, path, strlen(path)) ? 0 : -ENOENT);
	history_close(h);
	return v;
}

static void set_old_time(struct store *s, const char *path)
{
	const struct store_set set = { .which = STORE_SET_MTIME, .mtime = { .tv_sec = 86400 } };

	assert_int_equal(ops_setattr(s, path, &set), 0);
}

/* Live files are found with the times of their commits, below directories that are younger; files
 * deleted before are gone; later records still apply. */
static void test_history(void **state)
{
	struct store_fixture *f = *state;
	struct store_staging *staging = NULL;
	const struct store_range range = { .bytes = 300, .data = V300 };
	static const char *const paths[] = { "d/file", "d/pieces", "d/empty", "d/link",
					     "d/s39/file" };
	struct versions before[ARRAY_SIZE(paths)], after;
	struct node *n;
	uint64_t end, as_of_ns;

	f->s = open_at(f->data_dir, probe_io(f->probe), 1024);
	ops_write_ok(f->s, "gone", V30);
	ops_mkdir_ok(f->s, "o");
	for (unsigned int i = 0; i < 40; i++) /* more than a segment has */
		ops_mkdir_ok(f->s, unit_path("o/s%u", i));
	ops_write_ok(f->s, "o/s39/file", V100);
	ops_write_ok(f->s, "o/file", V30);
	assert_int_equal(ops_create(f->s, "o/pieces", 0600, &n), 0);
	assert_int_equal(store_stage(f->s, &staging, &range, 1), 0);
	assert_int_equal(
		store_publish(f->s, n, &staging, &(struct store_content){ .bytes = 400 }, &end), 0);
	store_unpin(f->s, n, 1);
	ops_write_ok(f->s, "o/empty", "");
	assert_int_equal(ops_create(f->s, "o/link", 0600, &n), 0);
	assert_int_equal(ops_commit(f->s, n, V100, NULL), 0);
	store_unpin(f->s, n, 1);
	set_old_time(f->s, "o/file");
	set_old_time(f->s, "o/pieces");
	set_old_time(f->s, "o/empty");
	assert_int_equal(ops_unlink(f->s, "gone"), 0);
	for (unsigned int i = 0; i < 40; i++)
		churn(f->s, i);
	assert_int_equal(ops_rename(f->s, "o", "d", 0), 0);
	assert_int_equal(store_rotate(f->s), 0);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		before[i] = versions_of(f, paths[i]);
		assert_int_equal(before[i].count, 1);
	}
	assert_int_equal(versions_of(f, "gone").count, 1);
	as_of_ns = stats_of(f->s).log.last_timestamp_ns;
	assert_int_equal(store_compact(f->s, NULL, NULL), 0);
	assert_int_equal(stats_of(f->s).compaction.folds, 1);
	assert_parts(f->s, as_of_ns);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		after = versions_of(f, paths[i]);
		assert_memory_equal(&after, &before[i], sizeof(after));
	}
	assert_int_equal(versions_of(f, "gone").count, 0);
	ops_write_ok(f->s, "d/file", "again");
	after = versions_of(f, "d/file");
	assert_int_equal(after.count, 2);
	assert_int_equal(after.times[0], before[0].times[0]);
}

/* --- others meanwhile --- */

struct meanwhile {
	struct store *s;
	atomic_bool stop;
	atomic_uint rounds, wrong;
};

static void *read_all(void *arg)
{
	struct meanwhile *m = arg;
	struct node *n;
	char got[400];
	ssize_t bytes;

	while (!atomic_load(&m->stop)) {
		for (unsigned int i = 0; i < 20; i++) {
			char name[16];

			(void)snprintf(name, sizeof(name), "f%u", i);
			if (ops_find(m->s, name, &n) < 0)
				continue;
			bytes = store_read(m->s, n, got, sizeof(got), 0);
			if (bytes != 0 && /* made, and not committed yet */
			    (bytes != 300 || memcmp(got, V300, 300) != 0 ||
			     ops_verify(m->s, n) < 0))
				atomic_fetch_add(&m->wrong, 1);
			store_unpin(m->s, n, 1);
		}
		atomic_fetch_add(&m->rounds, 1);
	}
	return NULL;
}

static void test_readers(void **state)
{
	struct store_fixture *f = *state;
	struct meanwhile m = { 0 };
	pthread_t thread;

	f->s = open_at(f->data_dir, probe_io(f->probe), 4096);
	m.s = f->s;
	for (unsigned int i = 0; i < 20; i++)
		ops_write_ok(f->s, unit_path("f%u", i), V300);
	assert_int_equal(pthread_create(&thread, NULL, read_all, &m), 0);
	for (unsigned int round = 0; round < 15 || atomic_load(&m.rounds) < 4; round++) {
		for (unsigned int i = 0; i < 40; i++)
			churn(f->s, i);
		assert_int_equal(ops_rename(f->s, unit_path("f%u", round % 20),
					    unit_path("f%u", (round + 7) % 20), 0),
				 0);
		ops_write_ok(f->s, unit_path("f%u", round % 20), V300);
		assert_int_equal(store_compact(f->s, NULL, NULL), 0);
	}
	atomic_store(&m.stop, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(atomic_load(&m.wrong), 0);
	assert_in_range(stats_of(f->s).compaction.folds, 10, 1000000);
}

#define TEST(fn)                                                           \
	{                                                                  \
#fn, fn, store_fixture_setup, store_fixture_teardown, NULL \
	}

int main(void)
{
	static const struct CMUnitTest plain[] = {
		TEST(test_attributes),
		TEST(test_random),
		TEST(test_churn),
		TEST(test_long_keys),
		TEST(test_syncs_first),
		TEST(test_by_itself),
		TEST(test_retained),
		TEST(test_retained_in_part),
		TEST(test_one_record_of_two),
		TEST(test_no_space),
		TEST(test_damaged),
		TEST(test_cancelled),
		TEST(test_leftovers),
		TEST(test_until),
		TEST(test_history),
		TEST(test_readers),
	};
	static const struct {
		const char *name;
		void (*fn)(void **);
	} ways[] = { { "", test_but_the_active },
		     { ", all of it", test_all_of_it },
		     { ", in several segments", test_in_parts } };
	static struct CMUnitTest
		tests[ARRAY_SIZE(plain) + ARRAY_SIZE(ways) * ARRAY_SIZE(fold_cases)];
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(ways) * ARRAY_SIZE(fold_cases); i++) {
		const struct fold_case *c = &fold_cases[i / ARRAY_SIZE(ways)];
		size_t way = i % ARRAY_SIZE(ways);

		tests[count++] = (struct CMUnitTest){
			unit_name("%s%s", c->name, ways[way].name),
			ways[way].fn,
			store_fixture_setup,
			store_fixture_teardown,
			(void *)(uintptr_t)c,
		};
	}
	for (size_t i = 0; i < ARRAY_SIZE(plain); i++)
		tests[count++] = plain[i];
	return unit_run("fold", tests, count);
}
