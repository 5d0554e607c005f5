/* SPDX-License-Identifier: MIT */
/* Compaction: what becomes of each kind of record, that the tree stays what it is, what is left
 * alone.  Killed and failing in the middle: tests/crash, tests/fault. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codec/meta.h"
#include "codec/record.h"
#include "tests/sim/rng.h"
#include "tests/unit/store_fixture.h"
#include "tests/unit/store_ops.h"
#include "tests/unit/unit.h"
#include "writer/compact/compact_private.h"
#include "writer/open_private.h"
#include "writer/log/segments.h"

#define NUMBER_RECORD_BYTES 48 /* that each segment but the first begins with */
#define TEXT_BYTES	    4096
#define V30		    "123456789012345678901234567890"
#define V40		    V30 "1234567890"
#define V100		    V30 V30 V40
#define V300		    V100 V100 V100

static void open_with(struct store_fixture *f, const struct store_config *more)
{
	struct store_config config = *more;
	struct diag diag;
	int err;

	config.dir_path = f->data_dir;
	config.fsync_interval_ns = LOG_WRITER_NEVER;
	config.no_background = true;
	config.uid = OPS_UID;
	config.gid = OPS_GID;
	config.umask = 022;
	config.io = probe_io(f->probe);
	err = store_open(&config, &f->s, &diag);
	if (err < 0)
		fail_msg("store_open: %s: %s", strerror(-err), diag.text);
}

static void open_plainly(struct store_fixture *f)
{
	open_with(f, &(struct store_config){ 0 });
}

static const char *segment_path(const struct store_fixture *f, uint64_t number)
{
	return unit_segment_path(f->data_dir, number, ".data");
}

static const char *hint_path(const struct store_fixture *f, uint64_t number)
{
	return unit_segment_path(f->data_dir, number, ".hint");
}

static struct store_stats stats_of(struct store_fixture *f)
{
	struct store_stats stats;

	store_stats(f->s, &stats);
	return stats;
}

static void compact_ok(struct store_fixture *f)
{
	assert_int_equal(store_compact(f->s, NULL, NULL), 0);
}

/* --- records --- */

static void print_extent(const struct record *rec, char *out, size_t capacity)
{
	struct meta_extent extent;
	uint64_t id;

	assert_int_equal(meta_staging_id_decode((const char *)rec->key + META_KEY_PREFIX_BYTES,
						META_STAGING_ID_BYTES, &id),
			 META_OK);
	assert_int_equal(meta_extent_decode(rec->value, rec->value_bytes, &extent), META_OK);
	(void)snprintf(out, capacity, "%c:%" PRIu64 "@%" PRIu64 "=%" PRIu64,
		       extent.flags == 0		  ? 'e'
		       : extent.flags & META_FLAG_DROPPED ? 'z'
							  : 'h',
		       id, extent.offset, extent.bytes);
}

static void print_record(const struct record *rec, char *out, size_t capacity)
{
	const char *key = rec->key;
	struct meta_publish publish;

	if (!meta_is_key(rec->key, rec->key_bytes)) {
		(void)snprintf(out, capacity, "%c:%.*s", rec->value_bytes > 0 ? 'p' : 't',
			       (int)rec->key_bytes, key);
		return;
	}
	if (key[1] == META_EXTENT) {
		print_extent(rec, out, capacity);
		return;
	}
	if (key[1] == META_PUBLISH) {
		assert_int_equal(meta_publish_decode(rec->value, rec->value_bytes, &publish),
				 META_OK);
		if (publish.flags & META_FLAG_DROPPED) {
			(void)snprintf(out, capacity, "Z:%.*s,%" PRIu64, (int)rec->key_bytes - 2,
				       key + 2, publish.size_bytes);
			return;
		}
	}
	(void)snprintf(out, capacity, "%s%c:%.*s",
		       meta_has_more(rec->key, rec->key_bytes, rec->value, rec->value_bytes) ? "+"
											     : "",
		       key[1], (int)rec->key_bytes - 2, key + 2);
}

/* The records of a file as words, with a space before each.  Checks that timestamps do not fall. */
static void print_records(const char *path, char out[TEXT_BYTES])
{
	struct unit_file file = unit_read_file(path);
	uint64_t last_ns = 0;
	size_t used = 0;

	out[0] = '\0';
	for (size_t at = 0; at < file.bytes;) {
		struct record_scan_result res;
		char word[512];

		assert_int_equal(
			record_scan(file.data + at, file.bytes - at, file.bytes - at, &res),
			RECORD_WHOLE);
		assert_true(res.rec.timestamp_ns >= last_ns);
		last_ns = res.rec.timestamp_ns;
		print_record(&res.rec, word, sizeof(word));
		used += (size_t)snprintf(out + used, TEXT_BYTES - used, "%s%s", at > 0 ? " " : "",
					 word);
		assert_true(used < TEXT_BYTES);
		at += res.bytes;
	}
	free(file.data);
}

static const struct record_case {
	const char *name;
	const char *sealed, *active; /* logs, as words */
	const char *want;	     /* the sealed one afterwards; NULL: as it was */
} record_cases[] = {
	{ "live put", "p:a=" V30 " p:b=" V30, "p:c=x", NULL },
	{ "dead put", "p:a=" V30 " p:b=" V30, "p:a=x", "Z:a,30 p:b" },
	{ "dead put in the same segment", "p:a=" V30 " p:a=" V40, "", "Z:a,30 p:a" },
	{ "dead put that is shorter than what would stand for it",
	  "p:a=12345678901234567890 p:b=" V30, "p:a=x p:b=x", "p:a Z:b,30" },
	{ "tombstone", "p:a=" V30 " p:b=x t:b", "t:a", "Z:a,30 p:b t:b" },
	{ "dead put that a move needs", "p:a=" V30 " m:a>b", "p:b=x", "Z:a,30 m:a" },
	{ "live put behind a move", "p:c=" V30 " p:a=" V30 " m:a>b t:c", "p:a=x",
	  "Z:c,30 p:a m:a t:c" },
	{ "exchange", "p:a=" V30 " p:b=" V40 " x:a>b", "p:a=x", "p:a Z:b,40 m:a" },
	{ "moved with its directory", "p:d/a=" V30 " p:d/b=" V30 " m:d>e", "p:e/a=x",
	  "Z:d/a,30 p:d/b m:d" },
	{ "group", "+D:d p:d/a=" V30 " +K:d/a p:d/a=" V40, "", "+a:d Z:d/a,30 +a:d/a p:d/a" },
	{ "directories that exist through it", "p:d/e/a=" V30, "p:d/e/b=x t:d/e/a", "Z:d/e/a,30" },
	{ "key that is no path", "p:a//b=" V30 " p:c//d=" V30, "p:a//b=x", "Z:a//b,30 p:c//d" },
	{ "key that a directory hides", "p:a=" V30 " p:a/b=" V30, "p:a/b=x", "p:a Z:a/b,30" },
	{ "hidden key that was put again", "p:a/b=x p:a=" V30 " p:c=" V30, "p:a=y t:c",
	  "p:a/b Z:a,30 Z:c,30" },
	{ "empty file", "p:a=" V30 " E:a", "", "Z:a,30 a:a" },
	{ "attributes", "p:a=" V30 " K:a", "p:a=x", "Z:a,30 a:a" },
	{ "live extents", "e:7@0=" V40 " e:7@40=" V40 " P:a=7,80", "", NULL },
	{ "dead extent", "e:7@0=" V40 " e:7@40=" V40 " P:a=7,80", "e:8@0=" V40 " Q:a=8,80",
	  "z:7@0=40 e:7@40=40 p:a" },
	{ "dead middle of an extent", "e:7@0=" V300 " P:a=7,300", "e:8@100=" V100 " Q:a=8,300",
	  "e:7@0=100 z:7@100=100 e:7@200=100 p:a" },
	{ "cut extent", "e:7@0=" V300 " P:a=7,300", "Q:a=0,150", "e:7@0=150 z:7@150=150 p:a" },
	{ "gap that is not worth it", "e:7@0=" V100 " P:a=7,100", "e:8@40=123456 Q:a=8,100", NULL },
	{ "dead extents that meet", "e:7@0=" V40 " e:7@40=" V40 " P:a=7,80", "p:a=x",
	  "z:7@0=80 p:a" },
	{ "dead extents of two stagings", "e:7@0=" V40 " e:8@40=" V40 " P:a=7,80 Q:a=8,80", "p:a=x",
	  "z:7@0=40 z:8@40=40 p:a p:a" },
	{ "extents that nobody published", "e:7@0=" V40 " p:a=" V30, "", "z:7@0=40 p:a" },
	{ "dead extent over live ones", "e:7@0=" V100 " P:a=7,100 e:8@0=" V100 " Q:a=8,100", "",
	  "z:7@0=100 p:a e:8@0=100 p:a" },
	{ "hole", "e:7@0=" V100 " h:7@20=60 P:a=7,100 p:b=" V30, "t:b",
	  "e:7@0=100 h:7@20=60 p:a Z:b,30" },
	{ "put of which a part is read", "p:a=" V100 " p:b=" V30, "e:8@10=" V40 " Q:a=8,100 t:b",
	  "p:a Z:b,30" },
	{ "what has been dropped before", "Z:a=0,99 z:7@0=40 z:7@40=40 P:b=7,80 p:c=" V30,
	  "t:c p:a=x t:b", "Z:a,99 z:7@0=80 p:b Z:c,30" },
};

static void check_again(struct store_fixture *f, const char *tree, const char *attributes)
{
	char *got = dump_attributes(f->s, true);

	assert_tree(f->s, tree);
	assert_string_equal(got, attributes);
	free(got);
}

/* The tree, attributes and times are the same before and after, and after each kind of start. */
static void test_records(void **state)
{
	struct store_fixture *f = *state;
	const struct record_case *row = f->row;
	struct unit_file sealed = make_log(row->sealed), active = make_log(row->active), now;
	char text[TEXT_BYTES], *tree, *attributes;

	plant_log(f, active.data, active.bytes);
	unit_write_file(segment_path(f, 1), sealed.data, sealed.bytes);
	open_plainly(f);
	tree = dump_tree(f->s);
	attributes = dump_attributes(f->s, true);
	compact_ok(f);
	check_again(f, tree, attributes);
	compact_ok(f);
	check_again(f, tree, attributes);
	now = unit_read_file(segment_path(f, 1));
	print_records(segment_path(f, 1), text);
	if (row->want == NULL) {
		assert_int_equal(now.bytes, sealed.bytes);
		assert_memory_equal(now.data, sealed.data, now.bytes);
	} else {
		assert_string_equal(text, row->want);
		assert_true(now.bytes < sealed.bytes);
	}
	fixture_close_store(f);
	open_plainly(f);
	check_again(f, tree, attributes);
	fixture_close_store(f);
	for (uint64_t i = 1; i < 4; i++)
		(void)unlink(hint_path(f, i));
	open_plainly(f);
	check_again(f, tree, attributes);
	free(tree);
	free(attributes);
	free(now.data);
	free(sealed.data);
	free(active.data);
}

/* --- a store with something to gain --- */

/* Segment 1 has a dead value of 'a' and a live one of 'b', segment 2 a dead one of 'a'. */
static void prepare(struct store_fixture *f)
{
	open_plainly(f);
	ops_write_ok(f->s, "a", V100);
	ops_write_ok(f->s, "b", V100);
	assert_int_equal(store_rotate(f->s), 0);
	ops_write_ok(f->s, "a", V300);
	assert_int_equal(store_rotate(f->s), 0);
	ops_write_ok(f->s, "a", "now");
}

static void check_prepared(struct store_fixture *f)
{
	assert_int_equal(ops_read(f->s, "a", "now"), 0);
	assert_int_equal(ops_read(f->s, "b", V100), 0);
}

static void test_figures(void **state)
{
	struct store_fixture *f = *state;
	uint64_t before;

	prepare(f);
	before = stats_of(f).log.sealed_bytes;
	compact_ok(f);
	assert_int_equal(stats_of(f).compaction.segments, 2);
	assert_int_equal(stats_of(f).compaction.gained_bytes,
			 before - stats_of(f).log.sealed_bytes);
	assert_int_equal(stats_of(f).log.sealed_bytes,
			 unit_file_bytes(segment_path(f, 1)) + unit_file_bytes(segment_path(f, 2)));
	assert_int_equal(stats_of(f).compaction.state, STORE_COMPACTION_IDLE);
	check_prepared(f);
}

/* Each new file has its hint, and that is what the next open reads. */
static void test_hints(void **state)
{
	struct store_fixture *f = *state;

	prepare(f);
	compact_ok(f);
	fixture_close_store(f);
	open_plainly(f);
	assert_int_equal(stats_of(f).recovery.hints, 3);
	check_prepared(f);
}

/* The hint of an old file goes once it is durable that the new one is in its place, and that one
 * would not believe it. */
static void test_old_hint(void **state)
{
	static const char *const steps[] = { "rename:MANIFEST.new", "fsync:data",
					     "rename:000001.2.data.new" };
	struct store_fixture *f = *state;
	struct unit_file hint;
	int at, unlinked;

	prepare(f);
	fixture_close_store(f);
	open_plainly(f); /* makes hints */
	fixture_close_store(f);
	hint = unit_read_file(hint_path(f, 1));
	open_plainly(f);
	compact_ok(f);
	unlinked = probe_find_event(f->probe, "unlink:000001.hint", 0);
	at = probe_find_event(f->probe, "rename:000001.2.hint.new", 0);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		assert_true(at >= 0);
		at = probe_find_event(f->probe, steps[i], at);
	}
	assert_true(at >= 0 && at < unlinked);
	fixture_close_store(f);
	unit_write_file(hint_path(f, 1), hint.data, hint.bytes);
	open_plainly(f);
	assert_int_equal(stats_of(f).recovery.hints, 2);
	check_prepared(f);
	free(hint.data);
}

static void test_leftover(void **state)
{
	struct store_fixture *f = *state;
	const char *name = unit_path("%s.new", segment_path(f, 1));

	prepare(f);
	fixture_close_store(f);
	unit_write_file(unit_path("%s.new", segment_path(f, 1)), "half", 4);
	open_plainly(f);
	name = unit_path("%s.new", segment_path(f, 1));
	assert_false(unit_exists(name));
	check_prepared(f);
}

/* --- what is left alone --- */

static void test_damaged(void **state)
{
	struct store_fixture *f = *state;
	struct unit_file before, after;

	prepare(f);
	before = unit_read_file(segment_path(f, 1));
	before.data[before.bytes - 1] ^= 1;
	unit_write_file(segment_path(f, 1), before.data, before.bytes);
	assert_int_equal(store_compact(f->s, NULL, NULL), -EBADMSG);
	assert_int_equal(stats_of(f).compaction.unreadable_segments, 1);
	after = unit_read_file(segment_path(f, 1));
	assert_int_equal(after.bytes, before.bytes);
	assert_memory_equal(after.data, before.data, after.bytes);
	assert_false(unit_exists(unit_path("%s.new", segment_path(f, 1))));
	assert_int_equal(stats_of(f).compaction.segments, 1); /* the other one */
	assert_int_equal(ops_read(f->s, "a", "now"), 0);
	compact_ok(f); /* not again */
	free(before.data);
	free(after.data);
}

static void test_retained(void **state)
{
	struct store_fixture *f = *state;
	static const int64_t retain[] = { INT64_C(3600000000000), LOG_WRITER_NEVER };

	prepare(f);
	for (size_t i = 0; i < ARRAY_SIZE(retain); i++) {
		fixture_close_store(f);
		open_with(f, &(struct store_config){ .retain_ns = retain[i] });
		compact_ok(f);
		assert_int_equal(stats_of(f).compaction.segments, 0);
	}
	fixture_close_store(f);
	open_with(f, &(struct store_config){ .retain_ns = 1 });
	compact_ok(f);
	assert_int_equal(stats_of(f).compaction.segments, 2);
	check_prepared(f);
}

static void test_missing(void **state)
{
	struct store_fixture *f = *state;

	prepare(f);
	fixture_close_store(f);
	assert_int_equal(unlink(segment_path(f, 2)), 0);
	open_with(f, &(struct store_config){ .accept_missing_segments = true });
	assert_int_equal(store_compact(f->s, NULL, NULL), -EPERM);
	assert_int_equal(stats_of(f).compaction.state, STORE_COMPACTION_NOT_SAFE);
}

static void test_read_only(void **state)
{
	struct store_fixture *f = *state;

	prepare(f);
	fixture_close_store(f);
	open_with(f, &(struct store_config){ .read_only = true });
	assert_int_equal(store_compact(f->s, NULL, NULL), -EROFS);
}

static int stop_it(void *arg, uint64_t done_bytes, uint64_t all_bytes)
{
	unsigned int *calls = arg;

	assert_true(done_bytes > 0 && done_bytes <= all_bytes);
	return ++*calls == 2;
}

static void test_cancelled(void **state)
{
	struct store_fixture *f = *state;
	size_t bytes = 600 * 1024;
	char *value = malloc(bytes + 1);
	unsigned int calls = 0;
	int err;

	assert_non_null(value);
	memset(value, 'x', bytes);
	value[bytes] = '\0';
	open_plainly(f);
	ops_write_ok(f->s, "a", V100);
	ops_write_ok(f->s, "big", value);
	assert_int_equal(store_rotate(f->s), 0);
	ops_write_ok(f->s, "a", "now");
	ops_write_ok(f->s, "b", V40);
	assert_int_equal(store_rotate(f->s), 0);
	ops_write_ok(f->s, "b", "now");
	ops_write_ok(f->s, "c", value);
	err = store_compact(f->s, stop_it, &calls);
	assert_int_equal(err, calls == 2 ? -ECANCELED : 0);
	assert_int_equal(ops_read(f->s, "big", value), 0);
	assert_false(unit_exists(unit_path("%s.new", segment_path(f, 1))));
	free(value);
}

/* --- what is open --- */

static void test_open_without_a_name(void **state)
{
	struct store_fixture *f = *state;
	char got[400];
	struct node *n;

	open_plainly(f);
	ops_write_ok(f->s, "dead", V300);
	ops_write_ok(f->s, "open", V300);
	ops_write_ok(f->s, "dead", "now");
	n = ops_find_ok(f->s, "open");
	assert_int_equal(ops_unlink(f->s, "open"), 0);
	for (int i = 0; i < 3; i++) {
		compact_ok(f);
		ops_write_ok(f->s, "dead", V300);
		assert_int_equal(store_read(f->s, n, got, sizeof(got), 0), strlen(V300));
		assert_memory_equal(got, V300, strlen(V300));
	}
	store_unpin(f->s, n, 1);
	assert_true(stats_of(f).compaction.segments > 0);
}

/* A segment with something that is staged is left alone until that is published. */
static void test_staged(void **state)
{
	struct store_fixture *f = *state;
	const struct store_range range = { .bytes = 300, .data = V300 };
	struct store_staging *st = NULL;
	uint64_t bytes, end;
	struct node *n;

	open_plainly(f);
	ops_write_ok(f->s, "a", V300);
	assert_int_equal(store_stage(f->s, &st, &range, 1), 0);
	assert_int_equal(store_rotate(f->s), 0);
	ops_write_ok(f->s, "a", "now");
	bytes = unit_file_bytes(segment_path(f, 1));
	compact_ok(f);
	assert_int_equal(unit_file_bytes(segment_path(f, 1)), bytes);
	n = ops_find_ok(f->s, "a");
	assert_int_equal(store_publish(f->s, n, &st, &(struct store_content){ .bytes = 300 }, &end),
			 0);
	store_unpin(f->s, n, 1);
	compact_ok(f);
	assert_true(unit_file_bytes(segment_path(f, 1)) < bytes);
	assert_int_equal(ops_read(f->s, "a", V300), 0);
	fixture_close_store(f);
	open_plainly(f);
	assert_int_equal(ops_read(f->s, "a", V300), 0);
}

/* A large file that is being written is no dead space: nothing is sealed for it. */
static void test_staged_is_not_dead(void **state)
{
	struct store_fixture *f = *state;
	const struct store_range range = { .bytes = 300, .data = V300 };
	struct store_staging *st = NULL;
	uint64_t live;

	open_plainly(f);
	ops_write_ok(f->s, "a", V300);
	live = compact_live_bytes(&store_background(f->s)->compactor);
	assert_int_equal(store_stage(f->s, &st, &range, 1), 0);
	assert_int_equal(compact_live_bytes(&store_background(f->s)->compactor), live + 300);
	compact_ok(f);
	assert_int_equal(stats_of(f).log.segments, 1);
	store_staging_free(st); /* it never becomes a file */
	assert_int_equal(compact_live_bytes(&store_background(f->s)->compactor), live);
	compact_ok(f);
	assert_int_equal(stats_of(f).log.segments, 2);
}

/* --- others meanwhile --- */

#define FILES 20

struct meanwhile {
	struct store *s;
	atomic_bool stop;
	atomic_uint rounds, wrong;
};

static void *read_all(void *arg)
{
	struct meanwhile *m = arg;

	while (!atomic_load(&m->stop)) {
		for (unsigned int i = 0; i < FILES; i++) {
			struct node *n = NULL;
			char name[16], got[400];
			ssize_t bytes;

			(void)snprintf(name, sizeof(name), "f%u", i);
			if (ops_find(m->s, name, &n) < 0)
				continue;
			bytes = store_read(m->s, n, got, sizeof(got), 0);
			if (bytes != 300 || memcmp(got, V300, 300) != 0 || ops_verify(m->s, n) < 0)
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
	pthread_t threads[2];

	open_with(f, &(struct store_config){ .segment_size_bytes = 4096 });
	m.s = f->s;
	for (unsigned int i = 0; i < FILES; i++)
		ops_write_ok(f->s, unit_path("f%u", i), V300);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_all, &m), 0);
	for (unsigned int round = 0; round < 25 || atomic_load(&m.rounds) < 4; round++) {
		for (unsigned int i = 0; i < FILES; i += 1 + round % 3)
			ops_write_ok(f->s, unit_path("f%u", i), V300);
		compact_ok(f);
	}
	atomic_store(&m.stop, true);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(atomic_load(&m.wrong), 0);
	assert_true(stats_of(f).compaction.segments > 25);
}

/* More files than are looked at with the locks at once. */
#define MANY_FILES   1800
#define VALUE_FORMAT "%0200u"

struct overwriting {
	struct store *s;
	atomic_bool stop;
	atomic_uint rounds;
	unsigned int versions[MANY_FILES]; /* what each has, by the overwriting thread */
	struct rng rng;
};

static void overwrite(struct overwriting *o, unsigned int file)
{
	char value[256];

	(void)snprintf(value, sizeof(value), VALUE_FORMAT, ++o->versions[file]);
	ops_write_ok(o->s, unit_path("many%u", file), value);
}

static void check_many(const struct overwriting *o)
{
	char value[256];

	for (unsigned int i = 0; i < MANY_FILES; i++) {
		(void)snprintf(value, sizeof(value), VALUE_FORMAT, o->versions[i]);
		assert_int_equal(ops_read(o->s, unit_path("many%u", i), value), 0);
	}
}

static void *overwrite_some(void *arg)
{
	struct overwriting *o = arg;

	while (!atomic_load(&o->stop)) {
		for (unsigned int i = 0; i < 50; i++)
			overwrite(o, (unsigned int)rng_below(&o->rng, MANY_FILES));
		atomic_fetch_add(&o->rounds, 1);
	}
	return NULL;
}

/* Files change while the places of others are noted, and all of them are found again after it. */
static void test_writer(void **state)
{
	struct store_fixture *f = *state;
	struct overwriting *o = calloc(1, sizeof(*o));
	pthread_t thread;

	assert_non_null(o);
	open_with(f, &(struct store_config){ .segment_size_bytes = 65536 });
	o->s = f->s;
	o->rng.state = 1;
	for (unsigned int i = 0; i < MANY_FILES; i++)
		overwrite(o, i);
	for (unsigned int i = 0; i < MANY_FILES; i += 3)
		overwrite(o, i);
	compact_ok(f); /* nothing else happens */
	check_many(o);
	assert_int_equal(pthread_create(&thread, NULL, overwrite_some, o), 0);
	while (atomic_load(&o->rounds) < 20 || stats_of(f).compaction.segments < 10)
		compact_ok(f);
	atomic_store(&o->stop, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	check_many(o);
	fixture_close_store(f);
	open_plainly(f);
	o->s = f->s;
	check_many(o);
	free(o);
}

#define BUSY_LOG_BYTES ((uint64_t)32 * 1024 * 1024)

/* Overwrites the files, and returns whether compaction has taken so many segments.  Where it gets
 * no processor, the log does not grow without bounds. */
static bool has_compacted(struct store_fixture *f, unsigned int segments)
{
	struct store_stats stats = stats_of(f);

	if (stats.log.active_bytes + stats.log.sealed_bytes < BUSY_LOG_BYTES)
		for (unsigned int i = 0; i < 1000; i++)
			ops_write_ok(f->s, unit_path("f%u", i % FILES), V300);
	return stats.compaction.segments >= segments;
}

/* By itself: the log stays small although it is written over and over. */
static void test_by_itself(void **state)
{
	struct store_fixture *f = *state;
	struct diag diag;
	const struct store_config config = {
		.dir_path = f->data_dir,
		.fsync_interval_ns = LOG_WRITER_NEVER,
		.segment_size_bytes = 65536,
		.compact_at_percent = 50,
		.uid = OPS_UID,
		.gid = OPS_GID,
		.io = probe_io(f->probe),
	};

	assert_int_equal(store_open(&config, &f->s, &diag), 0);
	WAIT_FOR(has_compacted(f, 10));
	for (unsigned int i = 0; i < FILES; i++)
		assert_int_equal(ops_read(f->s, unit_path("f%u", i), V300), 0);
	fixture_close_store(f);
	open_plainly(f);
	for (unsigned int i = 0; i < FILES; i++)
		assert_int_equal(ops_read(f->s, unit_path("f%u", i), V300), 0);
}

struct answer {
	pthread_mutex_t lock;
	pthread_cond_t done;
	int err;
};

static void answer(void *arg, int err)
{
	struct answer *a = arg;

	(void)pthread_mutex_lock(&a->lock);
	a->err = err;
	(void)pthread_cond_signal(&a->done);
	(void)pthread_mutex_unlock(&a->lock);
}

struct wanted {
	uint64_t position;
	bool seen;
};

static bool look_for(void *arg, struct content_piece *piece)
{
	struct wanted *w = arg;

	w->seen = w->seen || piece->value.record_position == w->position;
	return false;
}

/* A key is hidden by a directory, or comes back, between two looks at some nodes each: its value is
 * then in another node, and must still be seen, or compaction would drop it. */
static void test_other_node(void **state)
{
	struct store_fixture *f = *state;
	struct wanted w = { .seen = false };
	char key[16];

	open_plainly(f);
	assert_int_equal(store_put(f->s, "a", 1, V30, 30, &w.position), 0);
	for (int i = 0; i < 8; i++) {
		(void)snprintf(key, sizeof(key), "file%d", i);
		assert_int_equal(store_put(f->s, key, strlen(key), V30, 30, NULL), 0);
	}
	for (int i = 0; i < 32; i++) {
		uint64_t cursor = 0;
		bool hides = i % 2 == 0;
		int looks = 0, err = 0;

		w.seen = false;
		while (store_each_piece(f->s, &cursor, 1, false, look_for, &w)) {
			if (looks++ != i / 2)
				continue;
			err = hides ? store_put(f->s, "a/b", 3, V30, 30, NULL)
				    : store_delete(f->s, "a/b", 3);
			assert_int_equal(err, 0);
		}
		if (!w.seen)
			fail_msg("%s after %d nodes", hides ? "hidden" : "back", i / 2);
		if (looks <= i / 2)
			break;
	}
}

static void test_async(void **state)
{
	struct store_fixture *f = *state;
	struct answer a = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 1 };

	prepare(f);
	fixture_close_store(f);
	fixture_open_store(f); /* with threads */
	assert_int_equal(store_compact_async(f->s, answer, &a), 0);
	(void)pthread_mutex_lock(&a.lock);
	while (a.err == 1)
		(void)pthread_cond_wait(&a.done, &a.lock);
	(void)pthread_mutex_unlock(&a.lock);
	assert_int_equal(a.err, 0);
	assert_int_equal(stats_of(f).compaction.segments, 2);
	check_prepared(f);
}

/* Without room for the whole, and without a reserve, it does what there is room for, and says so.
 * With the reserve it needs no room. */
static void test_no_space(void **state)
{
	struct store_fixture *f = *state;

	prepare(f);
	probe_set_free_bytes(f->probe, 256 * 1024 + 30 + NUMBER_RECORD_BYTES);
	probe_fail(f->probe, IOCALL_ALLOCATE, FAULT_FOR_EVER, -ENOSPC);
	assert_int_equal(store_compact(f->s, NULL, NULL), -ENOSPC);
	assert_int_equal(stats_of(f).compaction.state, STORE_COMPACTION_NO_SPACE);
	assert_true(stats_of(f).compaction.needed_bytes > 30);
	assert_int_equal(stats_of(f).compaction.segments, 1); /* there was room for the other */
	probe_heal(f->probe);
	probe_set_free_bytes(f->probe, 0);
	compact_ok(f);
	assert_int_equal(stats_of(f).compaction.segments, 2);
	assert_int_equal(stats_of(f).compaction.state, STORE_COMPACTION_IDLE);
	assert_true(unit_file_bytes(unit_path("%s/reserve.segment", f->data_dir)) >= 65536);
	check_prepared(f);
}

#define TEST(fn)                                                           \
	{                                                                  \
#fn, fn, store_fixture_setup, store_fixture_teardown, NULL \
	}

int main(void)
{
	static const struct CMUnitTest plain[] = {
		TEST(test_figures),   TEST(test_hints),
		TEST(test_old_hint),  TEST(test_leftover),
		TEST(test_damaged),   TEST(test_retained),
		TEST(test_missing),   TEST(test_read_only),
		TEST(test_cancelled), TEST(test_open_without_a_name),
		TEST(test_staged),    TEST(test_staged_is_not_dead),
		TEST(test_readers),   TEST(test_by_itself),
		TEST(test_async),     TEST(test_other_node),
		TEST(test_no_space),  TEST(test_writer),
	};
	struct CMUnitTest tests[ARRAY_SIZE(plain) + ARRAY_SIZE(record_cases)];
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(record_cases); i++)
		tests[count++] = (struct CMUnitTest){ record_cases[i].name, test_records,
						      store_fixture_setup, store_fixture_teardown,
						      (void *)(uintptr_t)&record_cases[i] };
	for (size_t i = 0; i < ARRAY_SIZE(plain); i++)
		tests[count++] = plain[i];
	return unit_run("compact", tests, count);
}
