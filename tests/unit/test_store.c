/* SPDX-License-Identifier: MIT */
/* The store: open, names, values, attributes, keys, errors.  Which tree a log gives is in
 * test_replay.c. */
#include "tests/unit/store_fixture.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/sim/rng.h"
#include "tests/unit/store_ops.h"
#include "writer/log/record_at.h"
#include "writer/store/for_background.h"

#define ROWS_MAX 256

static struct CMUnitTest rows[ROWS_MAX];
static size_t row_count;

static void add_row(const char *name, CMUnitTestFunction fn, const void *row)
{
	if (row_count == ROWS_MAX)
		abort();
	rows[row_count++] = (struct CMUnitTest){ name, fn, store_fixture_setup,
						 store_fixture_teardown, (void *)(uintptr_t)row };
}

static void add_test(const char *name, CMUnitTestFunction fn)
{
	add_row(name, fn, NULL);
}

static struct store_stats stats_of(struct store_fixture *f)
{
	struct store_stats stats;

	store_stats(f->s, &stats);
	return stats;
}

/* --- the golden log --- */

/* The last value of each key, by length; SHA-256s are compared by tests/tools/decode.py. */
static const struct golden_case {
	const char *key;
	size_t bytes;
	bool named;
} golden_keys[] = {
	{ "hello", 22, true },
	{ "greeting-one", 10, true },
	{ "na\xc3\xafve-\xd0\xba\xd0\xbb\xd1\x8e\xd1\x87-\xe9\x8d\xb5", 11, true },
	{ "bin", 8, true },
	{ "users/42/name", 6, true },
	{ "users/42/mail", 18, true },
	{ "big", 70001, true },
	{ "relationship:forward:a:knows:b", 21, true },
	{ "odd/../name", 22, false },
	{ "embedded", 226, true },
	{ "last", 10, true },
};

static void plant_golden(struct store_fixture *f)
{
	struct unit_file golden = unit_read_file(GOLDEN_DIR "/freyjadb.data");

	plant_log(f, golden.data, golden.bytes);
	free(golden.data);
}

/* Checks that the last record of 'key' in the file has this value, as in the golden list. */
static void check_golden_value(const struct unit_file *log, const char *key, const void *value,
			       size_t bytes)
{
	struct record_scan_result got;
	const void *last = NULL;
	uint64_t offset = 0;

	while (offset < log->bytes) {
		uint64_t left = log->bytes - offset;

		assert_int_equal(record_scan(log->data + offset, left, left, &got), RECORD_WHOLE);
		if (got.rec.key_bytes == strlen(key) &&
		    memcmp(got.rec.key, key, strlen(key)) == 0) {
			last = got.rec.value;
			assert_int_equal(bytes > 0, got.rec.value_bytes > 0);
		}
		offset += got.bytes;
	}
	assert_non_null(last);
	assert_memory_equal(value, last, bytes);
}

static void test_golden_keys(void **state)
{
	struct store_fixture *f = *state;
	struct unit_file golden = unit_read_file(GOLDEN_DIR "/freyjadb.data");
	struct store_stats stats;
	size_t bytes;
	void *value;

	plant_golden(f);
	fixture_open_store(f);
	for (size_t i = 0; i < ARRAY_SIZE(golden_keys); i++) {
		const struct golden_case *c = &golden_keys[i];

		assert_int_equal(store_get(f->s, c->key, strlen(c->key), &value, &bytes), 0);
		assert_int_equal(bytes, c->bytes);
		check_golden_value(&golden, c->key, value, bytes);
		free(value);
		if (c->named) {
			assert_int_equal(ops_attr_ok(f->s, c->key).size_bytes, c->bytes);
			assert_true(S_ISREG(ops_attr_ok(f->s, c->key).mode));
		}
	}
	assert_int_equal(store_get(f->s, "gone", 4, &value, &bytes), -ENOENT);
	assert_true(S_ISDIR(ops_attr_ok(f->s, "users").mode));
	assert_true(S_ISDIR(ops_attr_ok(f->s, "users/42").mode));
	stats = stats_of(f);
	assert_int_equal(stats.files, ARRAY_SIZE(golden_keys) - 1);
	assert_int_equal(stats.directories, 2);
	assert_int_equal(stats.unnamed_keys, 1);
	free(golden.data);
}

static void test_golden_is_not_touched(void **state)
{
	struct store_fixture *f = *state;
	struct unit_file golden = unit_read_file(GOLDEN_DIR "/freyjadb.data"), now;

	plant_golden(f);
	fixture_open_store(f);
	assert_int_equal(ops_read(f->s, "users/42/mail", "astrid@example.org"), 0);
	fixture_close_store(f);
	now = unit_read_file(f->log_path);
	assert_int_equal(now.bytes, golden.bytes);
	assert_memory_equal(now.data, golden.data, golden.bytes);
	free(now.data);
	free(golden.data);
}

/* The timestamp of a record is the file's mtime. */
static void test_golden_mtime(void **state)
{
	struct store_fixture *f = *state;
	struct store_attr attr;

	plant_golden(f);
	fixture_open_store(f);
	attr = ops_attr_ok(f->s, "last");
	assert_int_equal(attr.mtime.tv_sec, 1795346587);
	assert_int_equal(attr.mtime.tv_nsec, 697741071);
}

/* --- open --- */

static void test_open_makes_the_files(void **state)
{
	static const struct {
		const char *name;
		mode_t mode;
	} files[] = {
		{ "", S_IFDIR | 0700 },
		{ "/active.data", S_IFREG | 0600 },
		{ "/active.synced", S_IFREG | 0600 },
		{ "/lock", S_IFREG | 0600 },
		{ "/reserve", S_IFREG | 0600 },
	};
	struct store_fixture *f = *state;
	struct stat st;

	fixture_open_store(f);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		assert_int_equal(stat(unit_path("%s%s", f->data_dir, files[i].name), &st), 0);
		assert_int_equal(st.st_mode, files[i].mode);
	}
	assert_string_equal(store_path(f->s), f->data_dir);
	assert_tree(f->s, "");
}

static void test_second_open_says_who(void **state)
{
	struct store_fixture *f = *state;
	struct store *first;
	struct diag diag;

	fixture_open_store(f);
	first = f->s;
	assert_int_equal(fixture_try_open_store(f, &diag), -EWOULDBLOCK);
	assert_ptr_equal(f->s, first);
	assert_non_null(strstr(diag.text, "the test")); /* the holder's own words */
	assert_non_null(strstr(diag.text, f->data_dir));
	ops_write_ok(f->s, "a", "1");
	fixture_reopen_store(f); /* free again after close */
	assert_tree(f->s, "f a=1");
}

static void test_parent_missing(void **state)
{
	struct store_fixture *f = *state;
	struct store_config config = { .dir_path = unit_path("%s/no/data", f->dir) };
	struct diag diag;

	assert_int_equal(store_open(&config, &f->s, &diag), -ENOENT);
	assert_null(f->s);
	assert_non_null(strstr(diag.text, "parent directory"));
	assert_false(unit_exists(unit_path("%s/no", f->dir)));
}

static void test_not_a_directory(void **state)
{
	struct store_fixture *f = *state;
	struct diag diag;

	unit_write_file(f->data_dir, "x", 1);
	assert_int_equal(fixture_try_open_store(f, &diag), -ENOTDIR);
	assert_non_null(strstr(diag.text, f->data_dir));
	assert_non_null(strstr(diag.text, "not a directory"));
}

static void test_nonsense_config(void **state)
{
	struct store_fixture *f = *state;
	struct store_config config = { .dir_path = f->data_dir, .fsync_interval_ns = -1 };

	assert_int_equal(store_open(&config, &f->s, NULL), -EINVAL);
	config.fsync_interval_ns = 0;
	config.buffer_size_bytes = -1;
	assert_int_equal(store_open(&config, &f->s, NULL), -EINVAL);
	config.buffer_size_bytes = 0;
	config.dir_path = "";
	assert_int_equal(store_open(&config, &f->s, NULL), -EINVAL);
	config.dir_path = NULL;
	assert_int_equal(store_open(&config, &f->s, NULL), -EINVAL);
	assert_null(f->s);
	assert_int_equal(store_close(NULL), 0);
}

/* A store is opened on a torn log: it says so, and counts what it lost. */
static void test_torn_log(void **state)
{
	struct store_fixture *f = *state;
	struct unit_file log = make_log("p:a=1 p:b=2");
	struct diag diag;

	plant_log(f, log.data, log.bytes - 1);
	assert_int_equal(fixture_try_open_store(f, &diag), 0);
	assert_non_null(strstr(diag.text, "quarantine/"));
	assert_tree(f->s, "f a=1");
	assert_int_equal(stats_of(f).recovery.kept_bytes, 22);
	ops_write_ok(f->s, "c", "3");
	fixture_reopen_store(f);
	assert_tree(f->s, "f a=1, f c=3");
	free(log.data);
}

/* --- the key interface --- */

static void test_put_get_delete(void **state)
{
	struct store_fixture *f = *state;
	uint64_t offset;
	size_t bytes;
	void *value;

	fixture_open_store(f);
	assert_int_equal(store_put(f->s, "a/b", 3, "one", 3, &offset), 0);
	assert_int_equal(offset, 0);
	assert_int_equal(store_put(f->s, "a/b", 3, "three", 5, &offset), 0);
	assert_int_equal(offset, 26);
	assert_int_equal(store_get(f->s, "a/b", 3, &value, &bytes), 0);
	assert_int_equal(bytes, 5);
	assert_memory_equal(value, "three", 5);
	free(value);
	assert_tree(f->s, "d a, f a/b=three");
	assert_int_equal(store_delete(f->s, "a/b", 3), 0);
	assert_int_equal(store_get(f->s, "a/b", 3, &value, &bytes), -ENOENT);
	assert_tree(f->s, "");
	fixture_reopen_store(f);
	assert_tree(f->s, "");
}

static void test_delete_of_nothing_appends_nothing(void **state)
{
	struct store_fixture *f = *state;
	uint64_t size;

	fixture_open_store(f);
	assert_int_equal(store_put(f->s, "a/b", 3, "1", 1, NULL), 0);
	size = store_end(f->s);
	assert_int_equal(store_delete(f->s, "none", 4), -ENOENT);
	assert_int_equal(store_delete(f->s, "a/c", 3), -ENOENT);
	assert_int_equal(store_delete(f->s, "a/b/c", 5), -ENOENT);
	assert_int_equal(store_delete(f->s, "//", 2), -ENOENT);
	assert_int_equal(store_delete(f->s, "", 0), -ENOENT);
	assert_int_equal(store_delete(f->s, "\0aa", 3), -ENOENT);
	assert_int_equal(store_delete(f->s, "a", 1), -EISDIR);
	assert_int_equal(ops_unlink(f->s, "none"), -ENOENT);
	assert_int_equal(store_delete(f->s, "a/b", 3), 0);
	assert_int_equal(store_end(f->s), size + 23);
	assert_int_equal(store_delete(f->s, "a/b", 3), -ENOENT);
	assert_int_equal(store_end(f->s), size + 23);
	assert_int_equal(unit_file_bytes(f->log_path), size + 23);
}

static void test_same_bytes_are_a_record(void **state)
{
	struct store_fixture *f = *state;

	fixture_open_store(f);
	for (unsigned int i = 1; i <= 3; i++) {
		assert_int_equal(store_put(f->s, "key", 3, "same", 4, NULL), 0);
		assert_int_equal(store_end(f->s), 27 * i);
	}
	for (unsigned int i = 4; i <= 6; i++) {
		ops_write_ok(f->s, "key", "same");
		assert_int_equal(store_end(f->s), 27 * i);
	}
}

static const struct bad_put_case {
	const char *name;
	const char *key;
	size_t key_bytes, value_bytes;
	int want;
} bad_puts[] = {
	{ "empty value", "a", 1, 0, -EINVAL },
	{ "empty key", "", 0, 1, -EINVAL },
	{ "meta key", "\0ax", 3, 1, -EINVAL },
	{ "NUL alone", "\0", 1, 1, -EINVAL },
	{ "key of a directory", "dir", 3, 1, -EISDIR },
	{ "key of 4 GiB", "a", (size_t)UINT32_MAX + 1, 1, -EFBIG },
	{ "value of 4 GiB", "a", 1, (size_t)UINT32_MAX + 1, -EFBIG },
};

static void test_bad_put(void **state)
{
	struct store_fixture *f = *state;
	const struct bad_put_case *c = f->row;
	uint64_t size;

	fixture_open_store(f);
	ops_mkdir_ok(f->s, "dir");
	size = store_end(f->s);
	assert_int_equal(store_put(f->s, c->key, c->key_bytes, "v", c->value_bytes, NULL), c->want);
	assert_int_equal(store_end(f->s), size);
}

static void test_unnameable_keys(void **state)
{
	static const char *const keys[] = { "/a", "a//b", "..", "a/../b", "a/" };
	struct store_fixture *f = *state;
	size_t bytes;
	void *value;

	fixture_open_store(f);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		assert_int_equal(store_put(f->s, keys[i], strlen(keys[i]), keys[i], 2, NULL), 0);
		assert_int_equal(stats_of(f).unnamed_keys, i + 1);
	}
	fixture_reopen_store(f);
	assert_tree(f->s, "");
	assert_int_equal(stats_of(f).unnamed_keys, ARRAY_SIZE(keys));
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		assert_int_equal(store_get(f->s, keys[i], strlen(keys[i]), &value, &bytes), 0);
		assert_int_equal(bytes, 2);
		assert_memory_equal(value, keys[i], 2);
		free(value);
		assert_int_equal(store_delete(f->s, keys[i], strlen(keys[i])), 0);
		assert_int_equal(store_get(f->s, keys[i], strlen(keys[i]), &value, &bytes),
				 -ENOENT);
	}
	assert_int_equal(stats_of(f).unnamed_keys, 0);
	fixture_reopen_store(f);
	assert_int_equal(stats_of(f).unnamed_keys, 0);
}

/* A key that is hidden by a directory: reachable by key, and safe from rmdir. */
static void test_hidden_key(void **state)
{
	struct store_fixture *f = *state;
	size_t bytes;
	void *value;

	fixture_open_store(f);
	assert_int_equal(store_put(f->s, "a", 1, "1", 1, NULL), 0);
	assert_int_equal(store_put(f->s, "a/b", 3, "2", 1, NULL), 0);
	assert_tree(f->s, "d a, f a/b=2");
	assert_int_equal(store_get(f->s, "a", 1, &value, &bytes), 0);
	assert_memory_equal(value, "1", 1);
	free(value);
	assert_int_equal(ops_unlink(f->s, "a/b"), 0);
	assert_int_equal(ops_rmdir(f->s, "a"), -ENOTEMPTY);
	fixture_reopen_store(f);
	assert_int_equal(stats_of(f).unnamed_keys, 1);
	assert_int_equal(ops_rename(f->s, "a", "c", 0), 0);
	assert_tree(f->s, "f a=1, d c");
	fixture_reopen_store(f);
	assert_tree(f->s, "f a=1, d c");
}

/* A file that an exchange brings to the path of a hidden key supersedes it, on either side. */
static void test_hidden_key_is_superseded(void **state)
{
	struct store_fixture *f = *state;
	static const char *const pairs[][2] = { { "a", "x" }, { "x", "a" } };

	fixture_open_store(f);
	ops_write_ok(f->s, "x", "3");
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		assert_int_equal(store_put(f->s, "a", 1, "stale", 5, NULL), 0);
		assert_int_equal(store_put(f->s, "a/b", 3, "2", 1, NULL), 0);
		assert_int_equal(stats_of(f).unnamed_keys, 1);
		assert_int_equal(ops_rename(f->s, pairs[i][0], pairs[i][1], RENAME_EXCHANGE), 0);
		assert_int_equal(stats_of(f).unnamed_keys, 0);
		assert_tree(f->s, "f a=3, d x, f x/b=2");
		fixture_reopen_store(f);
		assert_int_equal(stats_of(f).unnamed_keys, 0);
		assert_int_equal(ops_unlink(f->s, "x/b"), 0);
		assert_int_equal(ops_rmdir(f->s, "x"), 0);
		assert_int_equal(ops_rename(f->s, "a", "x", 0), 0);
		assert_tree(f->s, "f x=3");
	}
}

/* A file takes the path of a hidden key by an exchange and is written: the key has its value from
 * then on, and the old one does not come back when the file goes. */
static void test_hidden_key_is_overwritten(void **state)
{
	struct store_fixture *f = *state;
	size_t bytes;
	void *value;

	fixture_open_store(f);
	assert_int_equal(store_put(f->s, "a", 1, "stale", 5, NULL), 0);
	assert_int_equal(store_put(f->s, "a/b", 3, "2", 1, NULL), 0);
	ops_write_ok(f->s, "x", "3");
	assert_int_equal(ops_rename(f->s, "a", "x", RENAME_EXCHANGE), 0);
	ops_write_ok(f->s, "a", "new");
	assert_int_equal(stats_of(f).unnamed_keys, 0);
	assert_int_equal(store_get(f->s, "a", 1, &value, &bytes), 0);
	assert_int_equal(bytes, 3);
	assert_memory_equal(value, "new", 3);
	free(value);
	assert_int_equal(ops_rename(f->s, "a", "c", 0), 0);
	assert_tree(f->s, "f c=new, d x, f x/b=2");
	fixture_reopen_store(f);
	assert_tree(f->s, "f c=new, d x, f x/b=2");
}

/* The file over a hidden key is removed: its tombstone removes the key, too. */
static void test_hidden_key_is_removed(void **state)
{
	struct store_fixture *f = *state;

	fixture_open_store(f);
	assert_int_equal(store_put(f->s, "a", 1, "stale", 5, NULL), 0);
	assert_int_equal(store_put(f->s, "a/b", 3, "2", 1, NULL), 0);
	ops_write_ok(f->s, "x", "3");
	assert_int_equal(ops_rename(f->s, "a", "x", RENAME_EXCHANGE), 0);
	assert_int_equal(ops_unlink(f->s, "a"), 0);
	assert_int_equal(stats_of(f).unnamed_keys, 0);
	assert_tree(f->s, "d x, f x/b=2");
	fixture_reopen_store(f);
	assert_int_equal(stats_of(f).unnamed_keys, 0);
	assert_tree(f->s, "d x, f x/b=2");
}

static void test_get_at(void **state)
{
	struct store_fixture *f = *state;
	struct log_record found = { .data = NULL };
	struct log_writer *log;
	uint64_t offset;

	fixture_open_store_with(f, LOG_WRITER_NEVER, 1 << 16);
	assert_int_equal(store_put(f->s, "key", 3, "first", 5, NULL), 0);
	assert_int_equal(store_put(f->s, "key", 3, "second", 6, &offset), 0);
	log = store_parts(f->s).log;
	assert_int_equal(record_at_load(log, 0, &found), 0); /* an old version */
	assert_int_equal(found.rec.value_bytes, 5);
	assert_memory_equal(found.rec.value, "first", 5);
	assert_memory_equal(found.rec.key, "key", 3);
	assert_int_equal(record_at_load(log, offset, &found), 0);
	assert_memory_equal(found.rec.value, "second", 6);
	for (uint64_t bad = 1; bad < store_end(f->s) + 3; bad++) {
		if (bad != offset)
			assert_int_equal(record_at_load(log, bad, &found),
					 bad < store_end(f->s) ? -EBADMSG : -ERANGE);
	}
	free(found.data);
}

static void test_durable_puts(void **state)
{
	struct store_fixture *f = *state;

	fixture_open_store_with(f, 0, 0);
	assert_true(store_is_synchronous(f->s));
	assert_int_equal(store_put(f->s, "a", 1, "1", 1, NULL), 0);
	assert_int_equal(stats_of(f).log.durable_position, 22);
	assert_int_equal(store_delete(f->s, "a", 1), 0);
	assert_int_equal(stats_of(f).log.durable_position, 43);
}

static void on_done(void *arg, int err)
{
	atomic_store((atomic_int *)arg, err == 0 ? 1 : -1);
}

static void test_sync(void **state)
{
	struct store_fixture *f = *state;
	atomic_int done = 0;

	fixture_open_store(f);
	assert_false(store_is_synchronous(f->s));
	ops_write_ok(f->s, "a", "1");
	assert_int_equal(stats_of(f).log.durable_position, 0);
	assert_int_equal(store_sync(f->s), 0);
	assert_int_equal(stats_of(f).log.durable_position, 22);
	ops_write_ok(f->s, "a", "2");
	assert_int_equal(store_sync_async(f->s, store_end(f->s), on_done, &done), 0);
	WAIT_FOR(atomic_load(&done) == 1);
	assert_int_equal(stats_of(f).log.durable_position, 44);
}

/* --- values --- */

/* "echo hello > keys/x" is one record of 20 + 1 + 6 bytes, and "cat" is none. */
static void test_one_record_per_value(void **state)
{
	struct store_fixture *f = *state;
	uint64_t syncs;

	fixture_open_store(f);
	ops_write_ok(f->s, "x", "hello\n");
	assert_int_equal(store_end(f->s), 27);
	assert_int_equal(stats_of(f).log.appends, 1);
	syncs = probe_calls(f->probe, IOCALL_FDATASYNC);
	assert_int_equal(ops_read(f->s, "x", "hello\n"), 0);
	assert_int_equal(store_end(f->s), 27);
	assert_int_equal(probe_calls(f->probe, IOCALL_FDATASYNC),
			 syncs); /* reading syncs nothing */
}

static void test_create_is_not_in_the_log(void **state)
{
	struct store_fixture *f = *state;
	struct node *n;

	fixture_open_store(f);
	assert_int_equal(ops_create(f->s, "a", OPS_FILE_MODE, &n), 0);
	assert_false(ops_attr_ok(f->s, "a").committed);
	assert_int_equal(store_end(f->s), 0);
	assert_tree(f->s, "f a=");
	store_unpin(f->s, n, 1);
	fixture_reopen_store(f);
	assert_tree(f->s, "");
}

static void test_unlink_of_what_is_not_in_the_log(void **state)
{
	struct store_fixture *f = *state;
	struct node *n;

	fixture_open_store(f);
	assert_int_equal(ops_create(f->s, "a", OPS_FILE_MODE, &n), 0);
	assert_int_equal(ops_unlink(f->s, "a"), 0);
	assert_int_equal(store_end(f->s), 0);
	assert_int_equal(ops_commit(f->s, n, "dropped", NULL), 0);
	assert_int_equal(store_end(f->s), 0);
	store_unpin(f->s, n, 1);
	assert_tree(f->s, "");
}

/* Attributes that are not the default ones come with the value, in one piece. */
static void test_value_with_attributes(void **state)
{
	struct store_fixture *f = *state;
	struct node *n;

	fixture_open_store(f);
	assert_int_equal(ops_create(f->s, "a", 0600, &n), 0);
	assert_int_equal(ops_commit(f->s, n, "value", NULL), 0);
	assert_int_equal(store_end(f->s), 20 + 3 + 16 + 20 + 1 + 5);
	assert_int_equal(stats_of(f).log.appends, 1);
	assert_int_equal(ops_commit(f->s, n, "again", NULL), 0); /* the log knows them by now */
	assert_int_equal(store_end(f->s), 20 + 3 + 16 + 2 * (20 + 1 + 5));
	store_unpin(f->s, n, 1);
	fixture_reopen_store(f);
	assert_int_equal(ops_attr_ok(f->s, "a").mode, S_IFREG | 0600);
	assert_tree(f->s, "f a=again");
}

static void test_empty_values(void **state)
{
	struct store_fixture *f = *state;

	fixture_open_store(f);
	ops_write_ok(f->s, "empty", "");
	ops_write_ok(f->s, "full", "value");
	ops_write_ok(f->s, "full", "");
	assert_tree(f->s, "f empty=, f full=");
	fixture_reopen_store(f);
	assert_tree(f->s, "f empty=, f full=");
	ops_write_ok(f->s, "empty", "no more");
	fixture_reopen_store(f);
	assert_tree(f->s, "f empty=no more, f full=");
}

static void test_read_in_pieces(void **state)
{
	struct store_fixture *f = *state;
	struct node *n;
	char got[16];

	fixture_open_store(f);
	ops_write_ok(f->s, "a", "0123456789");
	n = ops_find_ok(f->s, "a");
	assert_int_equal(store_read(f->s, n, got, 4, 3), 4);
	assert_memory_equal(got, "3456", 4);
	assert_int_equal(store_read(f->s, n, got, sizeof(got), 8), 2);
	assert_memory_equal(got, "89", 2);
	assert_int_equal(store_read(f->s, n, got, sizeof(got), 10), 0);
	assert_int_equal(store_read(f->s, n, got, sizeof(got), UINT64_MAX), 0);
	assert_int_equal(store_read(f->s, n, got, 0, 0), 0);
	store_unpin(f->s, n, 1);
}

static void assert_preads(struct store_fixture *f, uint64_t before, uint64_t count)
{
	assert_int_equal(probe_calls(f->probe, IOCALL_PREAD) - before, count);
}

/* The read that checks a record is the one that serves its bytes. */
static void test_first_read_reads_once(void **state)
{
	enum {
		BYTES = 700000,
		PART = 300000
	};
	char *value = malloc(BYTES), *got = malloc(BYTES);
	struct store_fixture *f = *state;
	uint64_t before;
	struct node *n;

	assert_true(value != NULL && got != NULL);
	for (size_t i = 0; i < BYTES; i++)
		value[i] = (char)(i * 7 + i / 251);
	fixture_open_store(f);
	for (size_t bytes = 10; bytes <= BYTES; bytes += BYTES - 10) {
		assert_int_equal(store_put(f->s, "a", 1, value, bytes, NULL), 0);
		n = ops_find_ok(f->s, "a");
		before = probe_calls(f->probe, IOCALL_PREAD);
		assert_int_equal(store_read(f->s, n, got, BYTES, 0), bytes);
		assert_memory_equal(got, value, bytes);
		assert_preads(f, before, bytes == BYTES ? 3 : 1); /* of 256 KiB each */
		assert_int_equal(store_read(f->s, n, got, BYTES, 0), bytes);
		assert_memory_equal(got, value, bytes);
		assert_preads(f, before, bytes == BYTES ? 4 : 2);
		store_unpin(f->s, n, 1);
	}
	assert_int_equal(store_put(f->s, "a", 1, value, BYTES, NULL), 0);
	n = ops_find_ok(f->s, "a");
	before = probe_calls(f->probe, IOCALL_PREAD);
	for (size_t at = 123; at + PART <= BYTES; at += PART) { /* the first checks all of it */
		assert_int_equal(store_read(f->s, n, got, PART, at), PART);
		assert_memory_equal(got, value + at, PART);
	}
	assert_preads(f, before, 3 + 1);
	store_unpin(f->s, n, 1);
	free(value);
	free(got);
}

/* A byte of a value goes bad on the disk after the log was opened: EIO, and nothing else. */
static void test_bad_value_is_eio(void **state)
{
	struct store_fixture *f = *state;
	struct unit_file log = make_log("p:a=good p:b=fine"), bad;
	struct node *n;
	size_t bytes;
	void *value;

	plant_log(f, log.data, log.bytes);
	fixture_open_store(f);
	bad = unit_read_file(f->log_path);
	bad.data[22] ^= 1;
	unit_write_file(f->log_path, bad.data, bad.bytes);
	assert_int_equal(ops_read(f->s, "a", "good"), -EIO);
	n = ops_find_ok(f->s, "a"); /* it is still there */
	assert_int_equal(ops_verify(f->s, n), -EIO);
	store_unpin(f->s, n, 1);
	assert_int_equal(store_get(f->s, "a", 1, &value, &bytes), -EIO);
	assert_int_equal(ops_read(f->s, "b", "fine"), 0); /* and the others are served */
	ops_write_ok(f->s, "a", "new");
	assert_int_equal(ops_read(f->s, "a", "new"), 0);
	free(bad.data);
	free(log.data);
}

/* The sizes in the header are checked, too: a value that would begin elsewhere is not served. */
static void test_bad_header_is_eio(void **state)
{
	struct store_fixture *f = *state;
	struct unit_file log = make_log("p:a=good"), bad;

	plant_log(f, log.data, log.bytes);
	fixture_open_store(f);
	bad = unit_read_file(f->log_path);
	bad.data[4] ^= 2;
	unit_write_file(f->log_path, bad.data, bad.bytes);
	assert_int_equal(ops_read(f->s, "a", "good"), -EIO);
	free(bad.data);
	free(log.data);
}

/* A record with a good CRC and other sizes is not the record of the value: it came from another
 * file. */
static void test_other_sizes_are_eio(void **state)
{
	struct store_fixture *f = *state;
	struct unit_file log = make_log("p:a=good"), other = make_log("p:ab=bad");

	assert_int_equal(log.bytes, other.bytes);
	plant_log(f, log.data, log.bytes);
	fixture_open_store(f);
	unit_write_file(f->log_path, other.data, other.bytes);
	assert_int_equal(ops_read(f->s, "a", "good"), -EIO);
	free(other.data);
	free(log.data);
}

static void test_read_error_is_eio(void **state)
{
	struct store_fixture *f = *state;

	fixture_open_store(f);
	ops_write_ok(f->s, "a", "value");
	probe_fail(f->probe, IOCALL_PREAD, 1, -EIO);
	assert_int_equal(ops_read(f->s, "a", "value"), -EIO);
	assert_int_equal(ops_read(f->s, "a", "value"), 0);
}

/* An unlinked file can still be read through its open handles. */
static void test_unlink_while_open(void **state)
{
	struct store_fixture *f = *state;
	struct store_attr attr;
	struct node *n;
	uint64_t size;
	char got[8];

	fixture_open_store(f);
	ops_write_ok(f->s, "a", "value");
	n = ops_find_ok(f->s, "a");
	assert_int_equal(ops_unlink(f->s, "a"), 0);
	assert_int_equal(ops_find(f->s, "a", &n), -ENOENT);
	store_getattr(f->s, n, &attr);
	assert_int_equal(attr.link_count, 0);
	assert_int_equal(store_read(f->s, n, got, sizeof(got), 0), 5);
	size = store_end(f->s);
	assert_int_equal(ops_commit(f->s, n, "dropped", NULL), 0); /* nobody can find it again */
	assert_int_equal(store_end(f->s), size);
	ops_write_ok(f->s, "a", "other");
	assert_int_equal(store_read(f->s, n, got, sizeof(got), 0), 5);
	assert_memory_equal(got, "value", 5);
	assert_null(store_parent(f->s, n));
	store_unpin(f->s, n, 1);
	assert_tree(f->s, "f a=other");
}

static void test_value_too_large(void **state)
{
	struct store_fixture *f = *state;
	struct timespec now = { 1, 0 };
	struct node *n;
	uint64_t end;

	fixture_open_store(f);
	ops_write_ok(f->s, "a", "value");
	n = ops_find_ok(f->s, "a");
	assert_int_equal(
		store_commit(f->s, n,
			     &(struct store_content){ .value = "",
						      .bytes = STORE_VALUE_BYTES_MAX + UINT64_C(1),
						      .written_at = now },
			     &end),
		-EFBIG);
	store_unpin(f->s, n, 1);
	assert_tree(f->s, "f a=value");
}

/* --- names: what is refused --- */

enum op {
	OP_LOOKUP,
	OP_CREATE,
	OP_MKDIR,
	OP_UNLINK,
	OP_RMDIR,
	OP_RENAME,
	OP_NOREPLACE,
	OP_EXCHANGE
};

#define NAME_255                                                                                \
	"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" \
	"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" \
	"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

/* In a tree with file "f", empty directory "e" and directory "d" that has "d/f" and "d/e". */
static const struct name_case {
	const char *name;
	enum op op;
	const char *path, *to;
	int want;
} name_cases[] = {
	{ "lookup of nothing", OP_LOOKUP, "x", "", -ENOENT },
	{ "lookup below nothing", OP_LOOKUP, "x/y", "", -ENOENT },
	{ "lookup below a file", OP_LOOKUP, "f/y", "", -ENOTDIR },
	{ "lookup of a name of 255 bytes", OP_LOOKUP, NAME_255, "", -ENOENT },
	{ "lookup of a name of 256 bytes", OP_LOOKUP, NAME_255 "x", "", -ENAMETOOLONG },
	{ "create over a file", OP_CREATE, "f", "", -EEXIST },
	{ "create over a directory", OP_CREATE, "d", "", -EEXIST },
	{ "create below a file", OP_CREATE, "f/x", "", -ENOTDIR },
	{ "create with a name of 256 bytes", OP_CREATE, NAME_255 "x", "", -ENAMETOOLONG },
	{ "create dot", OP_CREATE, "d/.", "", -EINVAL },
	{ "create two dots", OP_CREATE, "d/..", "", -EINVAL },
	{ "create without a name", OP_CREATE, "d/", "", -EINVAL },
	{ "mkdir over a file", OP_MKDIR, "f", "", -EEXIST },
	{ "mkdir over a directory", OP_MKDIR, "d", "", -EEXIST },
	{ "mkdir below a file", OP_MKDIR, "f/x", "", -ENOTDIR },
	{ "mkdir with a name of 256 bytes", OP_MKDIR, NAME_255 "x", "", -ENAMETOOLONG },
	{ "mkdir dot", OP_MKDIR, "d/.", "", -EINVAL },
	{ "unlink of nothing", OP_UNLINK, "x", "", -ENOENT },
	{ "unlink of a directory", OP_UNLINK, "e", "", -EISDIR },
	{ "unlink below a file", OP_UNLINK, "f/x", "", -ENOTDIR },
	{ "rmdir of nothing", OP_RMDIR, "x", "", -ENOENT },
	{ "rmdir of a file", OP_RMDIR, "f", "", -ENOTDIR },
	{ "rmdir of a full directory", OP_RMDIR, "d", "", -ENOTEMPTY },
	{ "rename of nothing", OP_RENAME, "x", "y", -ENOENT },
	{ "rename into nothing", OP_RENAME, "f", "x/f", -ENOENT },
	{ "rename below a file", OP_RENAME, "e", "f/e", -ENOTDIR },
	{ "rename of a file onto a directory", OP_RENAME, "f", "e", -EISDIR },
	{ "rename of a directory onto a file", OP_RENAME, "e", "f", -ENOTDIR },
	{ "rename onto a full directory", OP_RENAME, "e", "d", -ENOTEMPTY },
	{ "rename into itself", OP_RENAME, "d", "d/x", -EINVAL },
	{ "rename far into itself", OP_RENAME, "d", "d/e/x", -EINVAL },
	{ "rename to a name of 256 bytes", OP_RENAME, "f", NAME_255 "x", -ENAMETOOLONG },
	{ "rename to two dots", OP_RENAME, "f", "d/..", -EINVAL },
	{ "noreplace onto a file", OP_NOREPLACE, "f", "d/f", -EEXIST },
	{ "noreplace onto a directory", OP_NOREPLACE, "f", "e", -EEXIST },
	{ "exchange with nothing", OP_EXCHANGE, "f", "x", -ENOENT },
	{ "exchange with what is below", OP_EXCHANGE, "d", "d/f", -EINVAL },
	{ "exchange with what is above", OP_EXCHANGE, "d/f", "d", -EINVAL },
};

static int run_op(struct store *s, const struct name_case *c)
{
	struct node *n;
	int err;

	switch (c->op) {
	case OP_LOOKUP:
		return ops_find(s, c->path, &n);
	case OP_CREATE:
		/* ops_create() cannot name what ends in a slash */
		err = ops_create(s, c->path, OPS_FILE_MODE, &n);
		if (err == 0)
			store_unpin(s, n, 1);
		return err;
	case OP_MKDIR:
		return ops_mkdir(s, c->path);
	case OP_UNLINK:
		return ops_unlink(s, c->path);
	case OP_RMDIR:
		return ops_rmdir(s, c->path);
	case OP_RENAME:
		return ops_rename(s, c->path, c->to, 0);
	case OP_NOREPLACE:
		return ops_rename(s, c->path, c->to, RENAME_NOREPLACE);
	case OP_EXCHANGE:
		return ops_rename(s, c->path, c->to, RENAME_EXCHANGE);
	}
	return 0;
}

/* Refused with the right error, and neither the tree nor the log has changed. */
static void test_refused(void **state)
{
	struct store_fixture *f = *state;
	const struct name_case *c = f->row;
	uint64_t size;

	fixture_open_store(f);
	ops_write_ok(f->s, "f", "1");
	ops_mkdir_ok(f->s, "e");
	ops_mkdir_ok(f->s, "d");
	ops_write_ok(f->s, "d/f", "2");
	ops_mkdir_ok(f->s, "d/e");
	size = store_end(f->s);
	assert_int_equal(run_op(f->s, c), c->want);
	assert_int_equal(store_end(f->s), size);
	assert_tree(f->s, "d d, d d/e, f d/f=2, d e, f f=1");
}

static void test_bad_rename_flags(void **state)
{
	struct store_fixture *f = *state;

	fixture_open_store(f);
	ops_write_ok(f->s, "a", "1");
	assert_int_equal(ops_rename(f->s, "a", "b", RENAME_WHITEOUT), -EINVAL);
	assert_int_equal(ops_rename(f->s, "a", "b", RENAME_NOREPLACE | RENAME_EXCHANGE), -EINVAL);
	assert_int_equal(ops_rename(f->s, "a", "b", 1u << 31), -EINVAL);
	assert_tree(f->s, "f a=1");
}

/* --- names: what is done --- */

static void test_rename(void **state)
{
	struct store_fixture *f = *state;
	uint64_t appends;

	fixture_open_store(f);
	ops_write_ok(f->s, "a", "1");
	ops_write_ok(f->s, "b", "2");
	ops_mkdir_ok(f->s, "d");
	ops_mkdir_ok(f->s, "e");
	ops_write_ok(f->s, "d/x", "3");
	appends = stats_of(f).log.appends;
	assert_int_equal(ops_rename(f->s, "a", "b", 0), 0);
	assert_tree(f->s, "f b=1, d d, f d/x=3, d e");
	assert_int_equal(ops_rename(f->s, "d", "e", 0), 0);
	assert_tree(f->s, "f b=1, d e, f e/x=3");
	assert_int_equal(ops_rename(f->s, "b", "e/x", RENAME_EXCHANGE), 0);
	assert_tree(f->s, "f b=3, d e, f e/x=1");
	assert_int_equal(ops_rename(f->s, "b", "c", RENAME_NOREPLACE), 0);
	assert_int_equal(stats_of(f).log.appends, appends + 4); /* one record each */
	assert_int_equal(ops_rename(f->s, "c", "c", 0), 0);
	assert_int_equal(stats_of(f).log.appends, appends + 4); /* nothing to do */
	assert_tree(f->s, "f c=3, d e, f e/x=1");
	fixture_reopen_store(f);
	assert_tree(f->s, "f c=3, d e, f e/x=1");
}

/* A file is renamed before its first commit: the log begins it under its new name. */
static void test_rename_before_the_commit(void **state)
{
	struct store_fixture *f = *state;
	struct node *n;

	fixture_open_store(f);
	ops_write_ok(f->s, "b", "old");
	assert_int_equal(ops_create(f->s, "a.tmp", OPS_FILE_MODE, &n), 0);
	assert_int_equal(ops_commit(f->s, n, "new", NULL), 0);
	assert_int_equal(ops_rename(f->s, "a.tmp", "b", 0), 0);
	store_unpin(f->s, n, 1);
	assert_int_equal(ops_create(f->s, "c.tmp", OPS_FILE_MODE, &n), 0);
	assert_int_equal(ops_rename(f->s, "c.tmp", "c", 0), 0);
	store_unpin(f->s, n, 1);
	assert_tree(f->s, "f b=new, f c=");
	fixture_reopen_store(f);
	assert_tree(f->s, "f b=new, f c=");
}

static void test_exchange_before_the_commit(void **state)
{
	struct store_fixture *f = *state;
	struct node *n;

	fixture_open_store(f);
	ops_write_ok(f->s, "a", "1");
	assert_int_equal(ops_create(f->s, "b", OPS_FILE_MODE, &n), 0);
	assert_int_equal(ops_rename(f->s, "a", "b", RENAME_EXCHANGE), 0);
	store_unpin(f->s, n, 1);
	assert_tree(f->s, "f a=, f b=1");
	fixture_reopen_store(f);
	assert_tree(f->s, "f a=, f b=1");
}

/* "rm -r" of a directory that only its keys made: it stays until rmdir takes it. */
static void test_rm_r_of_a_made_up_directory(void **state)
{
	struct store_fixture *f = *state;
	struct unit_file log = make_log("p:a/b/c=1 p:a/b/d=2");

	plant_log(f, log.data, log.bytes);
	fixture_open_store(f);
	assert_int_equal(ops_unlink(f->s, "a/b/c"), 0);
	assert_int_equal(ops_unlink(f->s, "a/b/d"), 0);
	assert_tree(f->s, "d a, d a/b");
	fixture_reopen_store(f);
	assert_tree(f->s, "d a, d a/b");
	assert_int_equal(ops_rmdir(f->s, "a/b"), 0);
	assert_tree(f->s, "d a");
	assert_int_equal(ops_rmdir(f->s, "a"), 0);
	fixture_reopen_store(f);
	assert_tree(f->s, "");
	free(log.data);
}

/* A directory that keys made also stays when an entry is moved out of it. */
static void test_mv_out_of_a_made_up_directory(void **state)
{
	struct store_fixture *f = *state;
	struct unit_file log = make_log("p:a/b=1 p:c/d/e=2");

	plant_log(f, log.data, log.bytes);
	fixture_open_store(f);
	assert_int_equal(ops_rename(f->s, "a/b", "b", 0), 0);
	assert_int_equal(ops_rename(f->s, "c/d", "d", 0), 0);
	assert_tree(f->s, "d a, f b=1, d c, d d, f d/e=2");
	fixture_reopen_store(f);
	assert_tree(f->s, "d a, f b=1, d c, d d, f d/e=2");
	free(log.data);
}

static void test_parent(void **state)
{
	struct store_fixture *f = *state;
	struct node *dir, *n, *parent;

	fixture_open_store(f);
	ops_mkdir_ok(f->s, "d");
	ops_write_ok(f->s, "d/f", "1");
	dir = ops_find_ok(f->s, "d");
	n = ops_find_ok(f->s, "d/f");
	parent = store_parent(f->s, n);
	assert_ptr_equal(parent, dir);
	store_unpin(f->s, parent, 1);
	parent = store_parent(f->s, dir);
	assert_ptr_equal(parent, store_root(f->s));
	assert_ptr_equal(store_parent(f->s, store_root(f->s)), store_root(f->s));
	store_unpin(f->s, n, 1);
	store_unpin(f->s, dir, 1);
}

static void test_work_in_a_removed_directory(void **state)
{
	struct store_fixture *f = *state;
	struct store_attr attr;
	struct node *dir, *n;
	uint64_t size, end;

	fixture_open_store(f);
	ops_mkdir_ok(f->s, "d");
	dir = ops_find_ok(f->s, "d");
	assert_int_equal(ops_rmdir(f->s, "d"), 0);
	size = store_end(f->s);
	assert_int_equal(store_create(f->s, &(struct store_name){ dir, "x", 1 },
				      &(struct store_owner){ 0644, 0, 0 }, &n, NULL),
			 -ENOENT);
	assert_int_equal(store_mkdir(f->s, &(struct store_name){ dir, "x", 1 },
				     &(struct store_owner){ 0755, 0, 0 }, &n, NULL, &end),
			 -ENOENT);
	assert_int_equal(store_lookup(f->s, dir, "x", 1, &n, NULL), -ENOENT);
	store_getattr(f->s, dir, &attr);
	assert_int_equal(attr.link_count, 0);
	assert_int_equal(store_end(f->s), size);
	store_unpin(f->s, dir, 1);
}

static void test_path_too_long(void **state)
{
	struct store_fixture *f = *state;
	struct node *dir = store_root((fixture_open_store(f), f->s)), *next;
	uint64_t end, size;
	int depth = 0, err;

	for (;;) {
		err = store_mkdir(f->s, &(struct store_name){ dir, NAME_255, 255 },
				  &(struct store_owner){ 0755, 0, 0 }, &next, NULL, &end);
		if (err < 0)
			break;
		store_unpin(f->s, dir, 1);
		dir = next;
		depth++;
	}
	assert_int_equal(err, -ENAMETOOLONG);
	assert_int_equal(depth, 256); /* 256 names and 255 slashes are 65535 bytes */
	size = store_end(f->s);
	assert_int_equal(store_create(f->s, &(struct store_name){ dir, NAME_255, 255 },
				      &(struct store_owner){ 0644, 0, 0 }, &next, NULL),
			 -ENAMETOOLONG);
	store_unpin(f->s, dir, 1);
	/* A move record has room for both paths, too. */
	assert_int_equal(ops_write(f->s, "f", "1"), 0);
	assert_true(store_end(f->s) > size);
	fixture_reopen_store(f);
	assert_int_equal(stats_of(f).directories, depth);
}

/* --- listings --- */

struct names {
	char text[4096];
	uint64_t last_cookie;
	int left;
};

static int on_name(void *arg, const struct store_dirent *e)
{
	struct names *names = arg;
	size_t n = strlen(names->text);

	if (names->left-- == 0)
		return 1;
	(void)snprintf(names->text + n, sizeof(names->text) - n, "%.*s ", (int)e->name_bytes,
		       e->name);
	names->last_cookie = e->cookie;
	return 0;
}

/* A listing in small steps, while entries before and behind it come and go: what stays is listed
 * once. */
static void test_listing_while_names_change(void **state)
{
	struct store_fixture *f = *state;
	struct names names = { .left = 0 };
	char path[16];

	fixture_open_store(f);
	for (int i = 0; i < 100; i++) {
		(void)snprintf(path, sizeof(path), "n%02d", i);
		ops_write_ok(f->s, path, "1");
	}
	for (int i = 0; i < 50; i++) {
		names.left = 2;
		(void)store_list(f->s, store_root(f->s), names.last_cookie, on_name, &names);
		(void)snprintf(path, sizeof(path), "n%02d", 2 * i); /* the one just listed */
		assert_int_equal(ops_unlink(f->s, path), 0);
		(void)snprintf(path, sizeof(path), "new%02d", i);
		ops_write_ok(f->s, path, "1");
	}
	for (int i = 0; i < 100; i++) {
		const char *found;

		(void)snprintf(path, sizeof(path), "n%02d ", i);
		found = strstr(names.text, path);
		assert_non_null(found);
		assert_null(strstr(found + 1, path));
	}
	assert_int_equal(store_list(f->s, store_root(f->s), UINT64_MAX, on_name, &names), 0);
}

static void test_listing_of_a_file(void **state)
{
	struct store_fixture *f = *state;
	struct names names = { .left = 1 };
	struct node *n;

	fixture_open_store(f);
	ops_write_ok(f->s, "a", "1");
	n = ops_find_ok(f->s, "a");
	assert_int_equal(store_list(f->s, n, 0, on_name, &names), -ENOTDIR);
	store_unpin(f->s, n, 1);
}

static void test_inode_numbers(void **state)
{
	struct store_fixture *f = *state;
	uint64_t a, b, d;

	fixture_open_store(f);
	ops_write_ok(f->s, "a", "1");
	ops_write_ok(f->s, "b", "1");
	ops_mkdir_ok(f->s, "d");
	a = ops_attr_ok(f->s, "a").ino;
	b = ops_attr_ok(f->s, "b").ino;
	d = ops_attr_ok(f->s, "d").ino;
	assert_true(a != 0 && b != 0 && d != 0 && a != b && b != d && a != d);
	ops_write_ok(f->s, "a", "2");
	assert_int_equal(ops_attr_ok(f->s, "a").ino, a); /* a value is no other file */
	assert_int_equal(ops_rename(f->s, "a", "d/a", 0), 0);
	assert_int_equal(ops_attr_ok(f->s, "d/a").ino, a);
	ops_write_ok(f->s, "a", "3");
	assert_true(ops_attr_ok(f->s, "a").ino != a); /* another file under the old name */
}

/* --- attributes --- */

static void test_setattr_persists(void **state)
{
	struct store_fixture *f = *state;
	struct store_set set = {
		.which = STORE_SET_MODE | STORE_SET_UID | STORE_SET_GID | STORE_SET_MTIME |
			 STORE_SET_ATIME,
		.mode = 04751,
		.uid = 12,
		.gid = 34,
		.mtime = { 1234567890, 987654321 },
		.atime = { -5, 500000000 },
	};
	struct store_attr attr;

	fixture_open_store(f);
	ops_write_ok(f->s, "f", "value");
	ops_mkdir_ok(f->s, "d");
	assert_int_equal(ops_setattr(f->s, "f", &set), 0);
	set.mode = 02770;
	assert_int_equal(ops_setattr(f->s, "d", &set), 0);
	for (int round = 0; round < 2; round++) {
		attr = ops_attr_ok(f->s, "f");
		assert_int_equal(attr.mode, S_IFREG | 04751);
		assert_int_equal(attr.uid, 12);
		assert_int_equal(attr.gid, 34);
		assert_int_equal(attr.mtime.tv_sec, 1234567890);
		assert_int_equal(attr.mtime.tv_nsec, 987654321);
		assert_int_equal(attr.atime.tv_sec, -5);
		assert_int_equal(attr.atime.tv_nsec, 500000000);
		assert_int_equal(attr.size_bytes, 5);
		assert_int_equal(ops_attr_ok(f->s, "d").mode, S_IFDIR | 02770);
		fixture_reopen_store(f);
	}
	assert_tree(f->s, "d d, f f=value");
}

static void test_setattr_of_the_root(void **state)
{
	struct store_fixture *f = *state;
	struct store_set set = { .which = STORE_SET_MODE, .mode = 0711 };

	fixture_open_store(f);
	assert_int_equal(ops_setattr(f->s, "", &set), 0);
	fixture_reopen_store(f);
	assert_int_equal(ops_attr_ok(f->s, "").mode, S_IFDIR | 0711);
}

static void test_setattr_before_the_commit(void **state)
{
	struct store_fixture *f = *state;
	struct store_set set = { .which = STORE_SET_MODE, .mode = 0600 };
	struct node *n;

	fixture_open_store(f);
	assert_int_equal(ops_create(f->s, "a", OPS_FILE_MODE, &n), 0);
	assert_int_equal(ops_setattr(f->s, "a", &set), 0);
	assert_int_equal(store_end(f->s), 0);
	assert_int_equal(ops_commit(f->s, n, "1", NULL), 0);
	store_unpin(f->s, n, 1);
	fixture_reopen_store(f);
	assert_int_equal(ops_attr_ok(f->s, "a").mode, S_IFREG | 0600);
}

/* cp -p: the content and its times are one commit. */
static void test_times_with_the_value(void **state)
{
	struct store_fixture *f = *state;
	struct store_set set = { .which = STORE_SET_MTIME, .mtime = { 1000000000, 1 } };
	struct node *n;

	fixture_open_store(f);
	assert_int_equal(ops_create(f->s, "a", OPS_FILE_MODE, &n), 0);
	assert_int_equal(ops_commit(f->s, n, "value", &set), 0);
	assert_int_equal(stats_of(f).log.appends, 1);
	store_unpin(f->s, n, 1);
	fixture_reopen_store(f);
	assert_int_equal(ops_attr_ok(f->s, "a").mtime.tv_sec, 1000000000);
	assert_int_equal(ops_attr_ok(f->s, "a").mtime.tv_nsec, 1);
}

static void test_mtime_is_the_time_of_the_write(void **state)
{
	struct store_fixture *f = *state;
	struct timespec early = { 1000000000, 7 };
	struct node *n;
	uint64_t end;

	fixture_open_store(f);
	ops_write_ok(f->s, "later", "1"); /* the log is past the early time by now */
	assert_int_equal(ops_create(f->s, "a", OPS_FILE_MODE, &n), 0);
	assert_int_equal(store_commit(f->s, n,
				      &(struct store_content){ .value = "1",
							       .bytes = 1,
							       .written_at = early,
							       .written_at_shown = true },
				      &end),
			 0);
	store_unpin(f->s, n, 1);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(ops_attr_ok(f->s, "a").mtime.tv_sec, 1000000000);
		assert_int_equal(ops_attr_ok(f->s, "a").mtime.tv_nsec, 7);
		fixture_reopen_store(f);
	}
}

/* The ctime alone is given, and the mtime is one that the log is past. */
static void test_ctime_with_the_value(void **state)
{
	struct store_fixture *f = *state;
	struct store_set set = { .which = STORE_SET_CTIME, .ctime = { 1234567890, 5 } };
	struct timespec early = { 1000000000, 7 };
	struct node *n;
	uint64_t end;

	fixture_open_store(f);
	ops_write_ok(f->s, "later", "1");
	assert_int_equal(ops_create(f->s, "a", OPS_FILE_MODE, &n), 0);
	assert_int_equal(store_commit(f->s, n,
				      &(struct store_content){ .value = "1",
							       .bytes = 1,
							       .written_at = early,
							       .written_at_shown = true,
							       .set = &set },
				      &end),
			 0);
	store_unpin(f->s, n, 1);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(ops_attr_ok(f->s, "a").mtime.tv_sec, 1000000000);
		assert_int_equal(ops_attr_ok(f->s, "a").ctime.tv_sec, 1234567890);
		fixture_reopen_store(f);
	}
}

/* --- errors of the log --- */

static void test_full_disk(void **state)
{
	struct store_fixture *f = *state;
	struct node *n;

	fixture_open_store(f);
	ops_write_ok(f->s, "a", "1");
	ops_mkdir_ok(f->s, "d");
	probe_fail_partial(f->probe, IOCALL_WRITEV, FAULT_FOR_EVER, -ENOSPC);
	assert_int_equal(ops_write(f->s, "a", "2"), -ENOSPC);
	assert_int_equal(ops_mkdir(f->s, "e"), -ENOSPC);
	assert_int_equal(ops_rename(f->s, "a", "b", 0), -ENOSPC);
	assert_int_equal(ops_setattr(f->s, "a", &(struct store_set){ STORE_SET_UID }), -ENOSPC);
	assert_int_equal(ops_create(f->s, "new", OPS_FILE_MODE, &n), 0);
	assert_int_equal(ops_commit(f->s, n, "value", NULL), -ENOSPC);
	assert_tree(f->s, "f a=1, d d, f new="); /* nothing has changed */
	assert_int_equal(unit_file_bytes(f->log_path), store_end(f->s));
	probe_heal(f->probe);
	assert_int_equal(ops_commit(f->s, n, "value", NULL), 0); /* healed */
	store_unpin(f->s, n, 1);
	fixture_reopen_store(f);
	assert_tree(f->s, "f a=1, d d, f new=value");
}

/* Deleting works on a full disk: the reserve gives way until the write goes through. */
static void test_delete_on_a_full_disk(void **state)
{
	struct store_fixture *f = *state;
	uint64_t reserve;

	fixture_open_store(f);
	ops_write_ok(f->s, "a", "1");
	ops_mkdir_ok(f->s, "d");
	reserve = unit_file_bytes(unit_path("%s/reserve", f->data_dir));
	assert_true(reserve > 0);
	assert_false(stats_of(f).reserve_missing);
	probe_fail_partial(f->probe, IOCALL_WRITEV, 1, -ENOSPC);
	assert_int_equal(ops_unlink(f->s, "a"), 0);
	assert_true(unit_file_bytes(unit_path("%s/reserve", f->data_dir)) < reserve);
	assert_true(stats_of(f).reserve_missing);
	probe_fail_partial(f->probe, IOCALL_WRITEV, 1, -EDQUOT);
	assert_int_equal(ops_rmdir(f->s, "d"), 0);
	probe_heal(f->probe);
	assert_tree(f->s, "");
	fixture_reopen_store(f);
	assert_tree(f->s, "");
	assert_false(stats_of(f).reserve_missing); /* made whole again */
}

/* The reserve ends some time: then deleting fails, too, and not for ever. */
static void test_full_disk_without_a_reserve(void **state)
{
	struct store_fixture *f = *state;

	fixture_open_store(f);
	ops_write_ok(f->s, "a", "1");
	probe_fail(f->probe, IOCALL_WRITEV, FAULT_FOR_EVER, -ENOSPC);
	assert_int_equal(ops_unlink(f->s, "a"), -ENOSPC);
	assert_tree(f->s, "f a=1");
	probe_heal(f->probe);
	assert_int_equal(ops_unlink(f->s, "a"), 0);
}

static void test_poisoned(void **state)
{
	struct store_fixture *f = *state;
	struct node *n, *open;

	fixture_open_store(f);
	ops_write_ok(f->s, "a", "1");
	assert_int_equal(ops_create(f->s, "open", OPS_FILE_MODE, &open), 0);
	probe_fail(f->probe, IOCALL_FDATASYNC, 1, -EIO);
	assert_int_equal(store_sync(f->s), -EIO);
	assert_int_equal(stats_of(f).log.poison, -EIO);
	assert_int_equal(ops_commit(f->s, open, "value", NULL), -EIO);
	assert_int_equal(ops_write(f->s, "a", "2"), -EIO);
	assert_int_equal(ops_create(f->s, "new", OPS_FILE_MODE, &n), -EIO);
	assert_int_equal(ops_mkdir(f->s, "d"), -EIO);
	assert_int_equal(ops_unlink(f->s, "a"), -EIO);
	assert_int_equal(ops_rename(f->s, "a", "b", 0), -EIO);
	assert_int_equal(store_put(f->s, "k", 1, "v", 1, NULL), -EIO);
	assert_int_equal(store_delete(f->s, "a", 1), -EIO);
	assert_int_equal(store_sync(f->s), -EIO);
	assert_tree(f->s, "f a=1, f open="); /* reads go on */
	store_unpin(f->s, open, 1);
}

/* --- what is in memory is what the log says --- */

#define RANDOM_SEEDS	64
#define RANDOM_OPS	120
#define RANDOM_CLOCK_NS UINT64_C(1700000000000000000)

static void random_path(struct rng *r, char *out)
{
	int depth = 1 + (int)rng_below(r, 3);
	char *p = out;

	for (int i = 0; i < depth; i++) {
		*p++ = (char)('a' + rng_below(r, 3));
		*p++ = '/';
	}
	p[-1] = '\0';
}

static void random_set(struct rng *r, struct store_set *ret)
{
	*ret = (struct store_set){
		.which = (unsigned int)rng_below(r, 64),
		.mode = (mode_t)rng_below(r, 010000),
		.uid = (uint32_t)rng_next(r),
		.gid = (uint32_t)rng_next(r),
		.mtime = { (time_t)rng_below(r, 4000000000), (long)rng_below(r, 1000000000) },
		.atime = { -(time_t)rng_below(r, 4000000000), (long)rng_below(r, 1000000000) },
		.ctime = { (time_t)rng_below(r, 4000000000), (long)rng_below(r, 1000000000) },
	};
}

/* A file is made or found and gets a value, now and then with attributes of its own. */
static int random_write(struct store *s, struct rng *r, const char *path)
{
	static const char *const values[] = { "", "1", "22", "a longer value" };
	struct timespec at = { (time_t)rng_below(r, 2000000000), (long)rng_below(r, 1000000000) };
	const char *value = values[rng_below(r, 4)];
	struct store_set set;
	struct node *n;
	uint64_t end;
	int err = ops_find(s, path, &n);

	if (err == -ENOENT)
		err = ops_create(s, path, rng_chance(r, 50) ? OPS_FILE_MODE : 0600, &n);
	if (err < 0)
		return err;
	random_set(r, &set);
	err = store_commit(s, n,
			   &(struct store_content){ .value = value,
						    .bytes = strlen(value),
						    .written_at = at,
						    .written_at_shown = rng_chance(r, 50),
						    .set = rng_chance(r, 30) ? &set : NULL },
			   &end);
	store_unpin(s, n, 1);
	return err;
}

/* By key: a put, or where that is refused, a delete. */
static int random_key_op(struct store *s, const char *key)
{
	int err = store_put(s, key, strlen(key), "by key", 6, NULL);

	return err < 0 ? store_delete(s, key, strlen(key)) : err;
}

static void random_op(struct store *s, struct rng *r)
{
	static const unsigned int flags[] = { 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE };
	struct store_set set;
	char path[16], to[16];

	random_path(r, path);
	random_path(r, to);
	switch (rng_below(r, 10)) {
	case 0:
	case 1:
	case 2:
		(void)random_write(s, r, path);
		break;
	case 3:
		(void)ops_mkdir(s, path);
		break;
	case 4:
		(void)ops_unlink(s, path);
		break;
	case 5:
		(void)ops_rmdir(s, path);
		break;
	case 6:
		random_set(r, &set);
		(void)ops_setattr(s, path, &set);
		break;
	case 7:
		(void)random_key_op(s, path);
		break;
	default:
		(void)ops_rename(s, path, to, flags[rng_below(r, ARRAY_SIZE(flags))]);
		break;
	}
}

/* Fails with the first line in which two texts differ. */
static void assert_same_lines(const char *live, const char *replayed)
{
	size_t same = 0, start = 0;

	while (live[same] == replayed[same] && live[same] != '\0') {
		same++;
		if (live[same - 1] == '\n')
			start = same;
	}
	if (live[same] != replayed[same])
		fail_msg("in memory: %.*s\nreplayed:  %.*s", (int)strcspn(live + start, "\n"),
			 live + start, (int)strcspn(replayed + start, "\n"), replayed + start);
}

/* Random operations; then the store is opened again: the same names, values, owners and modes, and
 * the same times of files.  (A directory's mtime is that of the last commit in it, which may be
 * later than when an entry was made in memory.) */
static void test_reopened_is_the_same(void **state)
{
	struct store_fixture *f = *state;
	struct rng r = { (uintptr_t)f->row };
	struct store_stats before, after;

	probe_set_clock(f->probe, RANDOM_CLOCK_NS); /* so that a seed repeats everything */
	fixture_open_store(f);
	for (int round = 0; round < 4; round++) {
		char *live, *replayed;

		for (int i = 0; i < RANDOM_OPS / 4; i++)
			random_op(f->s, &r);
		live = dump_attributes(f->s, false);
		before = stats_of(f);
		fixture_reopen_store(f);
		replayed = dump_attributes(f->s, false);
		assert_same_lines(live, replayed);
		after = stats_of(f);
		assert_int_equal(after.files, before.files);
		assert_int_equal(after.directories, before.directories);
		assert_int_equal(after.unnamed_keys, before.unnamed_keys);
		assert_int_equal(after.live_bytes, before.live_bytes);
		free(live);
		free(replayed);
	}
}

static void test_space(void **state)
{
	struct store_fixture *f = *state;
	struct io_space space;

	fixture_open_store(f);
	assert_int_equal(store_space(f->s, &space), 0);
	assert_true(space.block_bytes > 0 && space.blocks > 0);
	assert_true(space.blocks_available <= space.blocks);
}

static void add_open_tests(void)
{
	add_test("golden log: latest values, the deleted key absent", test_golden_keys);
	add_test("golden log is not touched", test_golden_is_not_touched);
	add_test("golden log: timestamp is the mtime", test_golden_mtime);
	add_test("open makes the files", test_open_makes_the_files);
	add_test("second open says who has it", test_second_open_says_who);
	add_test("parent directory missing", test_parent_missing);
	add_test("DATADIR is not a directory", test_not_a_directory);
	add_test("nonsense in the config", test_nonsense_config);
	add_test("torn log is said", test_torn_log);
}

static void add_key_tests(void)
{
	add_test("put, get, delete", test_put_get_delete);
	add_test("delete of nothing appends nothing", test_delete_of_nothing_appends_nothing);
	add_test("the same bytes are a record", test_same_bytes_are_a_record);
	for (size_t i = 0; i < ARRAY_SIZE(bad_puts); i++)
		add_row(unit_name("put of nonsense: %s", bad_puts[i].name), test_bad_put,
			&bad_puts[i]);
	add_test("unnameable keys are kept, counted, readable", test_unnameable_keys);
	add_test("hidden key is safe", test_hidden_key);
	add_test("hidden key is superseded by an exchange", test_hidden_key_is_superseded);
	add_test("hidden key is overwritten by a file at its path", test_hidden_key_is_overwritten);
	add_test("hidden key is removed with the file at its path", test_hidden_key_is_removed);
	add_test("get by offset", test_get_at);
	add_test("durable puts", test_durable_puts);
	add_test("sync, and sync with a callback", test_sync);
}

static void add_value_tests(void)
{
	add_test("one record per value, none for reading", test_one_record_per_value);
	add_test("create is not in the log", test_create_is_not_in_the_log);
	add_test("unlink of what is not in the log", test_unlink_of_what_is_not_in_the_log);
	add_test("value with attributes is one commit", test_value_with_attributes);
	add_test("empty values", test_empty_values);
	add_test("read in pieces", test_read_in_pieces);
	add_test("the first read reads once", test_first_read_reads_once);
	add_test("bad value is EIO", test_bad_value_is_eio);
	add_test("bad header is EIO", test_bad_header_is_eio);
	add_test("other sizes are EIO", test_other_sizes_are_eio);
	add_test("read error is EIO", test_read_error_is_eio);
	add_test("unlink while open", test_unlink_while_open);
	add_test("value too large", test_value_too_large);
}

static void add_name_tests(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(name_cases); i++)
		add_row(unit_name("refused: %s", name_cases[i].name), test_refused, &name_cases[i]);
	add_test("refused: unknown rename flags", test_bad_rename_flags);
	add_test("rename", test_rename);
	add_test("rename before the commit", test_rename_before_the_commit);
	add_test("exchange before the commit", test_exchange_before_the_commit);
	add_test("rm -r of a directory made by keys", test_rm_r_of_a_made_up_directory);
	add_test("mv out of a directory made by keys", test_mv_out_of_a_made_up_directory);
	add_test("parent", test_parent);
	add_test("work in a removed directory", test_work_in_a_removed_directory);
	add_test("path too long", test_path_too_long);
	add_test("listing while names change", test_listing_while_names_change);
	add_test("listing of a file", test_listing_of_a_file);
	add_test("inode numbers", test_inode_numbers);
}

int main(void)
{
	add_open_tests();
	add_key_tests();
	add_value_tests();
	add_name_tests();
	add_test("setattr persists", test_setattr_persists);
	add_test("setattr of the root", test_setattr_of_the_root);
	add_test("setattr before the commit", test_setattr_before_the_commit);
	add_test("times with the value", test_times_with_the_value);
	add_test("mtime is the time of the write", test_mtime_is_the_time_of_the_write);
	add_test("ctime with the value", test_ctime_with_the_value);
	add_test("full disk changes nothing, and heals", test_full_disk);
	add_test("delete on a full disk", test_delete_on_a_full_disk);
	add_test("full disk without a reserve", test_full_disk_without_a_reserve);
	add_test("poisoned", test_poisoned);
	for (uintptr_t seed = 1; seed <= RANDOM_SEEDS; seed++)
		add_row(unit_name("reopened is the same, seed %lu", seed),
			test_reopened_is_the_same, (void *)seed);
	add_test("space", test_space);
	return unit_run("store", rows, row_count);
}
