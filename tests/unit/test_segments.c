/* SPDX-License-Identifier: MIT */
/* Segments: when the active one is sealed, what stays readable, what a missing or damaged one
 * means. Killed and failing in the middle: tests/crash, tests/fault. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "codec/synced.h"
#include "tests/unit/store_fixture.h"
#include "tests/unit/store_ops.h"
#include "tests/unit/unit.h"
#include "writer/log/file_set.h"
#include "writer/log/segments.h"
#include "writer/store/for_background.h"

#define VALUE_BYTES			  300
#define SEGMENT_BYTES			  1024 /* three records of such a value, and not four */
#define NUMBER_RECORD_BYTES		  48   /* that each segment but the first begins with */
#define RECORD_OF(key_bytes, value_bytes) (20 + (key_bytes) + (value_bytes))

/* --- names --- */

static const struct name_case {
	const char *name;
	uint64_t number, generation;
} names[] = {
	{ "000001.data", 1, 1 },
	{ "000042.data", 42, 1 },
	{ "000042.2.data", 42, 2 },
	{ "000042.1000.data", 42, 1000 },
	{ "1000000.9.data", 1000000, 9 },
	{ "000042.1.data", 0 },
	{ "000042.02.data", 0 },
	{ "000042.0.data", 0 },
	{ "000042..data", 0 },
	{ "000042.2.3.data", 0 },
	{ "999999.data", 999999, 1 },
	{ "1000000.data", 1000000, 1 },
	{ "18446744073709551615.data", 0 },
	{ "000000.data", 0 },
	{ "1.data", 0 },
	{ "0000001.data", 0 },
	{ "00000a.data", 0 },
	{ "000001.dat", 0 },
	{ "000001.data ", 0 },
	{ "000001.hint", 0 },
	{ "active.data", 0 },
	{ "", 0 },
};

static const struct full_name_case {
	const char *name;
	uint64_t number, bytes;
} full_names[] = {
	{ "000001.1.full", 1, 1 },
	{ "000042.1073741824.full", 42, 1073741824 },
	{ "1000000.7.full", 1000000, 7 },
	{ "000001.0.full", 0 },
	{ "000001.01.full", 0 },
	{ "000001..full", 0 },
	{ "000001.full", 0 },
	{ "1.5.full", 0 },
	{ "000000.5.full", 0 },
	{ "000001.-5.full", 0 },
	{ "000001.5.fulls", 0 },
	{ "000001.5.data", 0 },
	{ "000001.99999999999999999999.full", 0 },
	{ "99999999999999999999.5.full", 0 },
	{ "", 0 },
};

static void test_full_names(void **state)
{
	struct segment_id id = { .number = 0 };
	char name[SEGMENT_NAME_BYTES];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(full_names); i++) {
		const struct full_name_case *c = &full_names[i];
		uint64_t bytes = 0;

		assert_int_equal(segment_rotated_number(c->name, &bytes), c->number);
		if (c->number == 0)
			continue;
		assert_false(segment_name_parse(c->name, &id));
		assert_int_equal(bytes, c->bytes);
		segment_rotated_name(c->number, c->bytes, name);
		assert_string_equal(name, c->name);
	}
}

static void test_names(void **state)
{
	char name[SEGMENT_NAME_BYTES], temp[SEGMENT_TEMP_NAME_BYTES];
	char again[SEGMENT_TEMP_NAME_BYTES];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const struct name_case *c = &names[i];
		struct segment_id id = { .number = 0 };

		assert_int_equal(segment_name_parse(c->name, &id), c->number > 0);
		assert_int_equal(id.number, c->number);
		(void)snprintf(temp, sizeof(temp), "%s.new", c->name);
		assert_int_equal(segment_temp_name_parse(temp, &id), c->number > 0);
		assert_false(segment_temp_name_parse(c->name, &id));
		if (c->number == 0)
			continue;
		assert_int_equal(id.generation, c->generation);
		segment_name(id, name);
		assert_string_equal(name, c->name);
		segment_temp_name(id, again);
		assert_string_equal(again, temp);
	}
}

/* --- a store of small segments --- */

static int try_open(struct store_fixture *f, bool accept_missing, struct diag *diag)
{
	const struct store_config config = {
		.dir_path = f->data_dir,
		.fsync_interval_ns = LOG_WRITER_NEVER,
		.segment_size_bytes = SEGMENT_BYTES,
		.accept_missing_segments = accept_missing,
		.uid = OPS_UID,
		.gid = OPS_GID,
		.umask = 022,
		.io = probe_io(f->probe),
	};

	return store_open(&config, &f->s, diag);
}

static void open_small(struct store_fixture *f)
{
	struct diag diag;
	int err = try_open(f, false, &diag);

	if (err < 0)
		fail_msg("store_open: %s: %s", strerror(-err), diag.text);
}

static const char *segment_path(const struct store_fixture *f, uint64_t number)
{
	return unit_segment_path(f->data_dir, number, ".data");
}

/* The value that file 'i' has in version 'version'. */
static const char *value_of(unsigned int i, unsigned int version)
{
	static char value[VALUE_BYTES + 1];

	memset(value, 'a' + (int)(i % 26), VALUE_BYTES);
	(void)snprintf(value, sizeof(value), "%u.%u", i, version);
	value[strlen(value)] = ' ';
	value[VALUE_BYTES] = '\0';
	return value;
}

static void write_files(struct store_fixture *f, unsigned int count, unsigned int version)
{
	for (unsigned int i = 0; i < count; i++)
		ops_write_ok(f->s, unit_path("f%02u", i), value_of(i, version));
}

static void check_files(struct store_fixture *f, unsigned int count, unsigned int version)
{
	for (unsigned int i = 0; i < count; i++)
		assert_int_equal(ops_read(f->s, unit_path("f%02u", i), value_of(i, version)), 0);
}

static struct store_stats stats_of(struct store_fixture *f)
{
	struct store_stats stats;

	store_stats(f->s, &stats);
	return stats;
}

static void seal(struct store_fixture *f)
{
	assert_int_equal(log_writer_seal(store_parts(f->s).log), 0);
}

static void test_rotation_by_size(void **state)
{
	struct store_fixture *f = *state;
	uint64_t record = RECORD_OF(3, VALUE_BYTES), all = 0;

	open_small(f);
	write_files(f, 10, 1);
	assert_int_equal(stats_of(f).log.segments, 4);
	seal(f);
	for (uint64_t n = 1; n <= 4; n++) {
		uint64_t bytes = (n > 1 ? NUMBER_RECORD_BYTES : 0) + (n < 4 ? 3 : 1) * record;

		assert_int_equal(unit_file_bytes(n < 4 ? segment_path(f, n) : f->log_path), bytes);
		all += bytes;
	}
	assert_int_equal(store_end(f->s), all); /* a position, over all segments */
	assert_int_equal(stats_of(f).log.durable_position, all);
	check_files(f, 10, 1);
	fixture_close_store(f);
	open_small(f);
	check_files(f, 10, 1);
	assert_int_equal(stats_of(f).recovery.segments, 3);
	assert_int_equal(stats_of(f).recovery.records, 10 + 3); /* and their numbers */
	assert_int_equal(store_end(f->s), all);
	write_files(f, 10, 2); /* the old versions are in the older segments */
	check_files(f, 10, 2);
	fixture_close_store(f);
	open_small(f);
	check_files(f, 10, 2);
	assert_int_equal(stats_of(f).recovery.segments, 6);
}

/* The size is where one ends, not what a commit has to fit in. */
static void test_large_commits(void **state)
{
	struct store_fixture *f = *state;
	char large[3 * SEGMENT_BYTES + 1];

	memset(large, 'x', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	open_small(f);
	ops_write_ok(f->s, "a", "1");
	ops_write_ok(f->s, "b", large);
	ops_write_ok(f->s, "c", "2");
	seal(f);
	assert_int_equal(unit_file_bytes(segment_path(f, 1)), RECORD_OF(1, 1));
	assert_int_equal(unit_file_bytes(segment_path(f, 2)),
			 NUMBER_RECORD_BYTES + RECORD_OF(1, sizeof(large) - 1));
	assert_int_equal(unit_file_bytes(f->log_path), NUMBER_RECORD_BYTES + RECORD_OF(1, 1));
	assert_int_equal(ops_read(f->s, "b", large), 0);
	fixture_close_store(f);
	open_small(f);
	assert_int_equal(ops_read(f->s, "b", large), 0);
	assert_int_equal(ops_read(f->s, "c", "2"), 0);
}

static void test_rotate_by_hand(void **state)
{
	struct store_fixture *f = *state;
	struct unit_file file;
	struct synced mark;

	fixture_open_store(f); /* of the default size */
	assert_int_equal(store_rotate(f->s), 0);
	assert_int_equal(access(segment_path(f, 1), F_OK), -1); /* there was nothing to seal */
	ops_write_ok(f->s, "a", "1");
	assert_int_equal(store_rotate(f->s), 0);
	assert_int_equal(unit_file_bytes(segment_path(f, 1)), RECORD_OF(1, 1));
	assert_int_equal(unit_file_bytes(f->log_path), NUMBER_RECORD_BYTES);
	assert_int_equal(stats_of(f).log.durable_position, store_end(f->s));
	file = unit_read_file(unit_path("%s/active.synced", f->data_dir));
	assert_true(synced_decode(file.data, file.bytes, &mark));
	assert_int_equal(mark.segment, 2); /* who loses 000001.data now will hear of it */
	assert_int_equal(mark.durable_offset, NUMBER_RECORD_BYTES);
	assert_true(mark.with_manifest);
	free(file.data);
	assert_int_equal(ops_rename(f->s, "a", "b", 0), 0);
	assert_int_equal(store_rotate(f->s), 0);
	ops_write_ok(f->s, "b", "2");
	fixture_reopen_store(f);
	assert_tree(f->s, "f b=2");
	assert_int_equal(stats_of(f).log.segments, 3);
}

/* Killed between the two steps of a rotation, there is no active segment. */
static void test_no_active_segment(void **state)
{
	struct store_fixture *f = *state;
	struct diag diag;

	open_small(f);
	ops_write_ok(f->s, "a", "1");
	fixture_close_store(f);
	assert_int_equal(rename(f->log_path, segment_path(f, 1)), 0);
	assert_int_equal(try_open(f, false, &diag), -EBADMSG); /* no rotation leaves that */
	assert_non_null(strstr(diag.text, "000001.data: is not in MANIFEST"));
	assert_int_equal(rename(segment_path(f, 1), unit_path("%s/000001.22.full", f->data_dir)),
			 0);
	open_small(f);
	assert_int_equal(unit_file_bytes(segment_path(f, 1)), RECORD_OF(1, 1));
	assert_int_equal(ops_read(f->s, "a", "1"), 0);
	assert_false(stats_of(f).recovery.durable_mark_missing); /* it is the older one's */
	ops_write_ok(f->s, "a", "2");
	fixture_close_store(f);
	open_small(f);
	assert_int_equal(ops_read(f->s, "a", "2"), 0);
	assert_int_equal(stats_of(f).log.segments, 2);
}

/* --- what is missing or damaged --- */

static void test_missing_segment(void **state)
{
	struct store_fixture *f = *state;
	struct diag diag;

	open_small(f);
	ops_mkdir_ok(f->s, "d");
	ops_write_ok(f->s, "d/early", "1");
	assert_int_equal(store_rotate(f->s), 0);
	ops_write_ok(f->s, "d/lost", "2");
	assert_int_equal(store_rotate(f->s), 0);
	ops_write_ok(f->s, "late", "3");
	assert_int_equal(ops_rename(f->s, "d/lost", "moved", 0), 0);
	fixture_close_store(f);
	assert_int_equal(unlink(segment_path(f, 2)), 0);
	assert_int_equal(try_open(f, false, &diag), -EBADMSG);
	assert_non_null(strstr(diag.text, "000002.data: is missing"));
	assert_non_null(strstr(diag.text, "missing_segments=accept"));
	assert_int_equal(try_open(f, true, &diag), 0);
	assert_int_equal(stats_of(f).recovery.segments_missing, 1);
	assert_int_equal(stats_of(f).dropped_commits, 1);
	assert_int_equal(ops_read(f->s, "d/early", "1"), 0);
	assert_int_equal(ops_read(f->s, "late", "3"), 0);
	assert_tree(f->s, "d d, f d/early=1, f late=3");
}

/* Only the durable mark knows of the last one. */
static void test_last_segment_missing(void **state)
{
	struct store_fixture *f = *state;
	struct diag diag;

	open_small(f);
	ops_write_ok(f->s, "a", "1");
	assert_int_equal(store_rotate(f->s), 0);
	ops_write_ok(f->s, "b", "2");
	fixture_close_store(f);
	assert_int_equal(unlink(segment_path(f, 1)), 0);
	assert_int_equal(try_open(f, false, &diag), -EBADMSG);
	assert_non_null(strstr(diag.text, "000001.data: is missing"));
	assert_int_equal(try_open(f, true, &diag), 0);
	assert_int_equal(ops_read(f->s, "b", "2"), 0);
}

/* A sealed segment has no torn tail: what is not whole in it is damage, wherever it is. */
static void test_damaged_segment(void **state)
{
	struct store_fixture *f = *state;
	struct diag diag;
	struct unit_file file;

	open_small(f);
	ops_write_ok(f->s, "a", "1");
	ops_write_ok(f->s, "b", "2");
	assert_int_equal(store_rotate(f->s), 0);
	fixture_close_store(f);
	file = unit_read_file(segment_path(f, 1));
	for (int torn = 0; torn < 2; torn++) {
		if (!torn) /* it is to be read; a hint of another size does not count */
			(void)unlink(unit_path("%s/000001.hint", f->data_dir));
		file.data[file.bytes - 1] ^= 1;
		unit_write_file(segment_path(f, 1), file.data, torn ? file.bytes - 1 : file.bytes);
		assert_int_equal(try_open(f, false, &diag), -EBADMSG);
		if (torn) {
			assert_non_null(strstr(diag.text, "000001.data: has 43 bytes, and 44 by"));
		} else {
			assert_non_null(strstr(diag.text, "000001.data: damaged at offset 22"));
			assert_non_null(strstr(diag.text, "in a segment that was complete"));
		}
		assert_non_null(strstr(diag.text, "fsck.freyjafs"));
		file.data[file.bytes - 1] ^= 1;
	}
	unit_write_file(segment_path(f, 1), file.data, file.bytes);
	free(file.data);
	open_small(f);
	assert_int_equal(ops_read(f->s, "b", "2"), 0);
}

static void test_damage_behind_our_back(void **state)
{
	struct store_fixture *f = *state;
	struct unit_file file;

	open_small(f);
	ops_write_ok(f->s, "a", "value");
	assert_int_equal(store_rotate(f->s), 0);
	file = unit_read_file(segment_path(f, 1));
	file.data[file.bytes - 1] ^= 1;
	unit_write_file(segment_path(f, 1), file.data, file.bytes);
	free(file.data);
	assert_int_equal(ops_read(f->s, "a", "value"), -EIO);
}

/* --- hints --- */

static const char *hint_path(const struct store_fixture *f, const char *name)
{
	return unit_path("%s/%s.hint", f->data_dir, name);
}

static void reopen_small(struct store_fixture *f)
{
	fixture_close_store(f);
	open_small(f);
}

/* A store of three sealed segments and an active one, with all of their hints. */
static void make_hinted(struct store_fixture *f)
{
	open_small(f);
	write_files(f, 10, 1);
	assert_int_equal(ops_rename(f->s, "f00", "f10", 0), 0);
	reopen_small(f); /* writes what was not written yet */
	assert_int_equal(stats_of(f).recovery.segments, 3);
	fixture_close_store(f);
}

static void check_hinted(struct store_fixture *f, uint64_t hints)
{
	open_small(f);
	assert_int_equal(stats_of(f).recovery.hints, hints);
	assert_int_equal(stats_of(f).recovery.records, 11 + 3); /* and their numbers */
	assert_int_equal(ops_read(f->s, "f10", value_of(0, 1)), 0);
	for (unsigned int i = 1; i < 10; i++)
		assert_int_equal(ops_read(f->s, unit_path("f%02u", i), value_of(i, 1)), 0);
	assert_int_equal(stats_of(f).files, 10);
	assert_false(unit_exists(hint_path(f, "active"))); /* the segment may grow now */
	fixture_close_store(f);
}

static void test_hints_are_used(void **state)
{
	struct store_fixture *f = *state;
	struct unit_file file;

	make_hinted(f);
	check_hinted(f, 4);
	assert_int_equal(unlink(hint_path(f, "000002")), 0);
	check_hinted(f, 3);
	check_hinted(f, 4); /* made again */
	/* It is read instead of the segment: what is wrong there is seen by who reads the value. */
	file = unit_read_file(segment_path(f, 2));
	file.data[100] ^= 1;
	unit_write_file(segment_path(f, 2), file.data, file.bytes);
	free(file.data);
	open_small(f);
	assert_int_equal(stats_of(f).recovery.hints, 4);
	assert_int_equal(ops_read(f->s, "f03", value_of(3, 1)), -EIO);
	assert_int_equal(ops_read(f->s, "f04", value_of(4, 1)), 0);
}

/* Every byte of a hint, flipped: it is not used, and made again. */
static void test_damaged_hints(void **state)
{
	struct store_fixture *f = *state;
	struct unit_file file;
	size_t step = UNIT_SANITIZED ? 7 : 1;

	make_hinted(f);
	file = unit_read_file(hint_path(f, "000003"));
	for (size_t i = 0; i < file.bytes; i += step) {
		file.data[i] ^= 0x10;
		unit_write_file(hint_path(f, "000003"), file.data, file.bytes);
		check_hinted(f, 3);
		file.data[i] ^= 0x10;
	}
	for (size_t bytes = 0; bytes < file.bytes; bytes += step) {
		unit_write_file(hint_path(f, "000003"), file.data, bytes);
		check_hinted(f, 3);
	}
	check_hinted(f, 4);
	free(file.data);
}

/* Whole hints, but of something else. */
static void test_hints_of_others(void **state)
{
	struct store_fixture *f = *state;
	struct unit_file other, mine, segment;

	make_hinted(f);
	other = unit_read_file(hint_path(f, "000001"));
	mine = unit_read_file(hint_path(f, "000002"));
	unit_write_file(hint_path(f, "000002"), other.data, other.bytes);
	check_hinted(f, 3);
	/* Of the same segment, as it was before its last record changed. */
	open_small(f);
	ops_write_ok(f->s, "x", "1");
	fixture_close_store(f);
	free(other.data);
	other = unit_read_file(hint_path(f, "active"));
	segment = unit_read_file(f->log_path);
	open_small(f);
	ops_write_ok(f->s, "x", "2");
	fixture_close_store(f);
	assert_int_equal(truncate(f->log_path, (off_t)segment.bytes - 22), 0);
	assert_int_equal(unlink(unit_path("%s/active.synced", f->data_dir)), 0);
	open_small(f);
	ops_write_ok(f->s, "y", "3");
	fixture_close_store(f);
	assert_int_equal(unit_file_bytes(f->log_path), segment.bytes);
	unit_write_file(hint_path(f, "active"), other.data, other.bytes);
	open_small(f);
	assert_int_equal(stats_of(f).recovery.hints, 3);
	assert_int_equal(ops_read(f->s, "y", "3"), 0);
	free(other.data);
	free(mine.data);
	free(segment.data);
}

/* Of a log whose end nobody knows to be durable, the active segment is read. */
static void test_active_hint_needs_the_mark(void **state)
{
	struct store_fixture *f = *state;

	make_hinted(f);
	assert_int_equal(unlink(unit_path("%s/active.synced", f->data_dir)), 0);
	check_hinted(f, 4); /* MANIFEST knows, too */
	open_small(f);
	ops_write_ok(f->s, "x", "later than MANIFEST");
	fixture_close_store(f);
	assert_int_equal(unlink(unit_path("%s/active.synced", f->data_dir)), 0);
	open_small(f);
	assert_int_equal(stats_of(f).recovery.hints, 3);
	reopen_small(f);
	assert_int_equal(stats_of(f).recovery.hints, 4);
	assert_int_equal(ops_read(f->s, "x", "later than MANIFEST"), 0);
}

static void test_hints_in_the_background(void **state)
{
	struct store_fixture *f = *state;

	open_small(f);
	ops_write_ok(f->s, "a", "1");
	assert_int_equal(store_rotate(f->s), 0);
	for (int i = 0; i < 6000 && !unit_exists(hint_path(f, "000001")); i++)
		(void)usleep(10000);
	assert_true(unit_exists(hint_path(f, "000001")));
	assert_false(unit_exists(unit_path("%s/000001.hint.new", f->data_dir)));
	assert_false(unit_exists(hint_path(f, "active")));
	reopen_small(f);
	assert_int_equal(stats_of(f).recovery.hints, 1);
}

/* --- threads --- */

#define THREADS 4
#define PUTS	100

static void *put_many(void *arg)
{
	struct store *s = arg;
	static _Atomic unsigned int threads;
	unsigned int me = threads++ % THREADS;
	struct store_stats stats;
	uint64_t durable_position = 0;
	char key[32], value[512];
	void *got;
	size_t bytes;

	for (unsigned int i = 0; i < PUTS; i++) {
		int key_bytes = snprintf(key, sizeof(key), "k%u.%u", me, i);
		int value_bytes = snprintf(value, sizeof(value), "%-400u of %u", i, me);

		if (store_put(s, key, (size_t)key_bytes, value, (size_t)value_bytes, NULL) < 0 ||
		    store_get(s, key, (size_t)key_bytes, &got, &bytes) < 0)
			abort();
		if (bytes != (size_t)value_bytes || memcmp(got, value, bytes) != 0)
			abort();
		free(got);
		if (i % 4 == me && store_sync(s) < 0)
			abort();
		if (i % 8 == me && store_rotate(s) < 0)
			abort();
		store_stats(s, &stats);
		if (stats.log.durable_position < durable_position)
			abort(); /* a sync of the old segment has ended after the rotation */
		durable_position = stats.log.durable_position;
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct store_fixture *f = *state;
	pthread_t threads[THREADS];
	uint64_t numbers;

	open_small(f);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, put_many, f->s), 0);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(stats_of(f).files, THREADS * PUTS);
	numbers = stats_of(f).log.segments - 1; /* of all but the first */
	assert_true(numbers > 10);
	fixture_close_store(f);
	open_small(f);
	assert_int_equal(stats_of(f).files, THREADS * PUTS);
	assert_int_equal(stats_of(f).recovery.records, THREADS * PUTS + numbers);
}

#define TEST(name, fn)                                                      \
	{                                                                   \
		name, fn, store_fixture_setup, store_fixture_teardown, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		{ "names", test_names, NULL, NULL, NULL },
		{ "names of full ones", test_full_names, NULL, NULL, NULL },
		TEST("rotation by size", test_rotation_by_size),
		TEST("a commit larger than a segment", test_large_commits),
		TEST("rotate by hand", test_rotate_by_hand),
		TEST("no active segment", test_no_active_segment),
		TEST("a segment is missing", test_missing_segment),
		TEST("the last segment is missing", test_last_segment_missing),
		TEST("a segment is damaged", test_damaged_segment),
		TEST("a segment is damaged while open", test_damage_behind_our_back),
		TEST("hints are used", test_hints_are_used),
		TEST("damaged hints", test_damaged_hints),
		TEST("hints of others", test_hints_of_others),
		TEST("the hint of the active segment needs the mark",
		     test_active_hint_needs_the_mark),
		TEST("hints in the background", test_hints_in_the_background),
		TEST("threads", test_threads),
	};

	return cmocka_run_group_tests_name("segments", tests, NULL, NULL);
}
