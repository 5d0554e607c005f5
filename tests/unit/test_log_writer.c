/* SPDX-License-Identifier: MIT */
/* The log writer: open, put, append, read, close; its buffer; what it does when a call fails.
 * Intervals and syncs are in test_log_sync.c, recovery in test_log_recovery.c. */
#include "tests/unit/log_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codec/meta.h"

#define ROWS_MAX 128

static struct CMUnitTest rows[ROWS_MAX];
static size_t row_count;

static void add_row(const char *name, CMUnitTestFunction fn, const void *row)
{
	if (row_count == ROWS_MAX)
		abort();
	rows[row_count++] = (struct CMUnitTest){ name, fn, log_fixture_setup, log_fixture_teardown,
						 (void *)(uintptr_t)row };
}

static void add_test(const char *name, CMUnitTestFunction fn)
{
	add_row(name, fn, NULL);
}

/* --- the file --- */

static void test_records_are_appended(void **state)
{
	struct log_fixture *f = *state;
	struct unit_file log;

	fixture_open(f, LOG_WRITER_NEVER, 0);
	assert_int_equal(fixture_put(f, "a", "1"), 0);
	assert_int_equal(fixture_put(f, "bb", "22"), 22);
	assert_int_equal(fixture_put(f, "a", ""), 46);
	fixture_close(f);

	fixture_open(f, LOG_WRITER_NEVER, 0); /* and again: behind the present records */
	assert_int_equal(fixture_put(f, "c", "333"), 67);
	fixture_close(f);

	log = fixture_file(f);
	assert_int_equal(log.bytes, 91);
	assert_int_equal(assert_log_whole(&log), 4);
	free(log.data);
}

static void test_grows_by_the_encoded_size(void **state)
{
	static const uint32_t value_bytes[] = { 0, 1, 6, 100, 4096, 70000, 3 << 20 };
	struct log_fixture *f = *state;
	char *value = calloc(1, 3 << 20);
	uint64_t want = 0;

	assert_non_null(value);
	fixture_open(f, LOG_WRITER_NEVER, 0);
	for (size_t i = 0; i < ARRAY_SIZE(value_bytes); i++) {
		uint64_t offset = UINT64_MAX;

		assert_int_equal(log_writer_put(f->w, "key", 3, value, value_bytes[i], &offset), 0);
		assert_int_equal(offset, want);
		want += 20 + 3 + value_bytes[i];
		assert_int_equal(log_writer_size(f->w), want);
		assert_int_equal(unit_file_bytes(f->path), want);
	}
	free(value);
}

static const struct tail_case {
	const char *name;
	int64_t buffer_size_bytes;
} tail_cases[] = {
	{ "tail bytes equal the encoded record, no buffer", 0 },
	{ "tail bytes equal the encoded record, 1 KiB buffer", 1024 },
	{ "tail bytes equal the encoded record, 1 byte buffer", 1 },
};

static void check_tail(struct log_fixture *f, const char *key, uint32_t key_bytes,
		       const char *value, uint32_t value_bytes)
{
	struct record rec = { .key = key, .key_bytes = key_bytes };
	uint64_t bytes = record_bytes(key_bytes, value_bytes), offset;
	uint8_t *want = malloc(bytes);
	struct unit_file log;

	assert_non_null(want);
	assert_int_equal(log_writer_put(f->w, key, key_bytes, value, value_bytes, &offset), 0);
	assert_int_equal(log_writer_sync(f->w), 0);
	rec.value = value;
	rec.value_bytes = value_bytes;
	rec.timestamp_ns = log_writer_last_timestamp(f->w);
	record_encode(&rec, want);
	log = fixture_file(f);
	assert_int_equal(log.bytes, offset + bytes);
	assert_memory_equal(log.data + offset, want, bytes);
	free(log.data);
	free(want);
}

static void test_tail_bytes(void **state)
{
	struct log_fixture *f = *state;
	const struct tail_case *c = f->row;

	fixture_open(f, LOG_WRITER_NEVER, c->buffer_size_bytes);
	check_tail(f, "hello", 5, "world\n", 6);
	check_tail(f, "hello", 5, "", 0);
	check_tail(f, "", 0, "no key", 6);
	check_tail(f, "\0\1\2", 3, "\0\0", 2);
	check_tail(f, "large", 5, NAME_MAX > 0 ? (char[5000]){ 7 } : NULL, 5000);
	fixture_close(f);
}

static void test_modes_and_o_append(void **state)
{
	struct log_fixture *f = *state;
	mode_t umask_before = umask(0);
	struct stat st;

	fixture_open(f, LOG_WRITER_NEVER, 0);
	umask(umask_before);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_int_equal(stat(unit_path("%s/db", f->dir), &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0700);
	assert_int_equal(probe_open_flags(f->probe, "active.data") & O_APPEND, O_APPEND);
}

/* The new directory's name is in its parent, the new file's name in the directory: both are synced,
 * in this order, before the first record. */
static void test_new_names_are_synced(void **state)
{
	struct log_fixture *f = *state;
	const char *parent = strrchr(f->dir, '/') + 1;
	int made, parent_synced, opened, dir_synced, written;

	fixture_open(f, LOG_WRITER_NEVER, 0);
	fixture_put(f, "k", "v");
	made = probe_find_event(f->probe, "mkdir:db", 0);
	assert_true(made >= 0);
	parent_synced = probe_find_event(f->probe, unit_path("fsync:%s", parent), made);
	assert_true(parent_synced > made);
	opened = probe_find_event(f->probe, "open:active.data", 0);
	assert_true(opened >= 0);
	dir_synced = probe_find_event(f->probe, "fsync:db", opened);
	assert_true(dir_synced > opened);
	written = probe_find_event(f->probe, "writev:active.data", 0);
	assert_true(written > dir_synced && written > parent_synced);
}

static void test_dir_sync_failure_is_reported(void **state)
{
	struct log_fixture *f = *state;
	struct diag diag;

	probe_fail(f->probe, IOCALL_FSYNC, FAULT_FOR_EVER, -EIO);
	assert_int_equal(fixture_try_open(f, NULL, &diag), -EIO);
	assert_true(diag.text[0] != '\0');
	probe_heal(f->probe);
	assert_int_equal(fixture_try_open(f, NULL, &diag), 0);
}

static void test_path_query(void **state)
{
	struct log_fixture *f = *state;

	fixture_open(f, LOG_WRITER_NEVER, 0);
	assert_int_equal(log_writer_size(f->w), 0);
	assert_int_equal(log_writer_durable_position(f->w), 0);
	assert_int_equal(log_writer_last_timestamp(f->w), 0);
	fixture_put(f, "k", "v");
	assert_int_equal(log_writer_size(f->w), 22);
	assert_int_equal(log_writer_durable_position(f->w), 0);
	assert_int_equal(log_writer_sync(f->w), 0);
	assert_int_equal(log_writer_durable_position(f->w), 22);
}

static void test_relative_path(void **state)
{
	struct log_fixture *f = *state;
	struct log_writer_config config = { .file_path = "plain.data" };
	int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(here >= 0);
	assert_int_equal(chdir(f->dir), 0);
	assert_int_equal(log_writer_open(&config, &f->w, NULL), 0);
	fixture_put(f, "k", "v");
	fixture_close(f);
	assert_int_equal(unit_file_bytes("plain.data"), 22);
	assert_true(unit_exists("plain.synced"));
	assert_int_equal(fchdir(here), 0);
	assert_int_equal(close(here), 0);
}

/* --- nonsense --- */

static const struct config_case {
	const char *name;
	int64_t fsync_interval_ns, buffer_size_bytes;
	int want;
	const char *want_word; /* in the diagnosis */
} config_cases[] = {
	{ "interval -1 ns", -1, 0, -EINVAL, "fsync_interval" },
	{ "interval -1 s", -1000 * MS_NS, 0, -EINVAL, "fsync_interval" },
	{ "interval lowest", INT64_MIN, 0, -EINVAL, "fsync_interval" },
	{ "interval an hour and 1 ns", LOG_WRITER_INTERVAL_MAX_NS + 1, 0, -EINVAL,
	  "fsync_interval" },
	{ "interval highest but one", INT64_MAX - 1, 0, -EINVAL, "fsync_interval" },
	{ "buffer of -1", 0, -1, -EINVAL, "buffer_size" },
	{ "buffer lowest", 0, INT64_MIN, -EINVAL, "buffer_size" },
	{ "buffer of 1 GiB and 1", 0, LOG_WRITER_BUFFER_MAX + 1, -EINVAL, "buffer_size" },
	{ "buffer highest", 0, INT64_MAX, -EINVAL, "buffer_size" },
	{ "buffer of 4 GiB, 0 in 32 bits", 0, INT64_C(1) << 32, -EINVAL, "buffer_size" },
	{ "interval 0, no buffer", 0, 0, 0, "" },
	{ "interval 1 ns", 1, 0, 0, "" },
	{ "interval an hour", LOG_WRITER_INTERVAL_MAX_NS, 0, 0, "" },
	{ "interval never", LOG_WRITER_NEVER, 0, 0, "" },
	{ "buffer of 1 byte", LOG_WRITER_NEVER, 1, 0, "" },
	{ "buffer of 1 GiB", LOG_WRITER_NEVER, LOG_WRITER_BUFFER_MAX, 0, "" },
};

static void test_config(void **state)
{
	struct log_fixture *f = *state;
	const struct config_case *c = f->row;
	struct log_writer_config config = {
		.fsync_interval_ns = c->fsync_interval_ns,
		.buffer_size_bytes = c->buffer_size_bytes,
	};
	struct log_writer *const untouched = (void *)&config;
	struct log_writer *w = untouched;
	struct diag diag;

	config.file_path = f->path;
	config.io = probe_io(f->probe);
	assert_int_equal(log_writer_open(&config, &w, &diag), c->want);
	assert_non_null(strstr(diag.text, c->want_word));
	if (c->want < 0) {
		assert_ptr_equal(w, untouched);
		assert_int_equal(probe_calls_all(f->probe), 0); /* nothing was made */
	} else {
		f->w = w;
		fixture_put(f, "k", "v");
		fixture_close(f);
		assert_int_equal(unit_file_bytes(f->path), 22);
	}
}

static const struct path_case {
	const char *name;
	const char *path; /* below the directory of the test */
	bool literal;	  /* not below it */
	int want;
	const char *want_word; /* in the diagnosis */
} path_cases[] = {
	{ "no path", NULL, true, -EINVAL, "file_path" },
	{ "empty path", "", true, -EINVAL, "file_path" },
	{ "path that ends in a slash", "d/", false, -EINVAL, "/d/" },
	{ "parent of the parent is missing", "no/such/x.data", false, -ENOENT, "/no/such" },
	{ "parent is a file", "file/active.data", false, -ENOTDIR, "/file" },
	{ "path is a directory", "dir", false, -EISDIR, "/dir" },
	{ "path is a FIFO", "fifo", false, -EINVAL, "/fifo" },
	{ "path is a device", "/dev/full", true, -EINVAL, "/dev/full" },
};

static void test_path(void **state)
{
	struct log_fixture *f = *state;
	const struct path_case *c = f->row;
	struct log_writer_config config = { 0 };
	struct log_writer *w = NULL;
	struct diag diag;

	unit_write_file(unit_path("%s/file", f->dir), "x", 1);
	assert_int_equal(mkdir(unit_path("%s/dir", f->dir), 0700), 0);
	assert_int_equal(mkfifo(unit_path("%s/fifo", f->dir), 0600), 0);
	config.file_path = c->literal ? c->path : unit_path("%s/%s", f->dir, c->path);
	assert_int_equal(log_writer_open(&config, &w, &diag), c->want);
	assert_null(w);
	assert_non_null(strstr(diag.text, c->want_word));
	assert_null(strchr(diag.text, '\n'));
}

static void test_path_too_long(void **state)
{
	struct log_fixture *f = *state;
	char *path = malloc(2 * PATH_MAX);
	struct log_writer_config config = { .file_path = path };
	struct log_writer *w = NULL;

	assert_non_null(path);
	memset(path, 'x', (size_t)2 * PATH_MAX);
	path[2 * PATH_MAX - 1] = '\0';
	assert_int_equal(log_writer_open(&config, &w, NULL), -EINVAL);
	config.file_path = unit_path("%s/%.300s", f->dir, path);
	assert_int_equal(log_writer_open(&config, &w, NULL), -ENAMETOOLONG);
	free(path);
}

static void test_group_of_nonsense(void **state)
{
	struct log_fixture *f = *state;
	struct record records[LOG_WRITER_GROUP_MAX + 1] = { 0 };
	struct log_append where;

	fixture_open(f, LOG_WRITER_NEVER, 0);
	assert_int_equal(log_writer_append(f->w, records, 0, &where), -EINVAL);
	assert_int_equal(log_writer_append(f->w, records, LOG_WRITER_GROUP_MAX + 1, &where),
			 -EINVAL);
	assert_int_equal(log_writer_sync_to(f->w, 1), -EINVAL);
	assert_int_equal(log_writer_size(f->w), 0);
	assert_int_equal(log_writer_append(f->w, records, LOG_WRITER_GROUP_MAX, &where), 0);
	assert_int_equal(log_writer_size(f->w), 20 * LOG_WRITER_GROUP_MAX);
}

/* Runs 'fn' as a user that permissions restrict. */
static void as_nobody(void (*fn)(struct log_fixture *), struct log_fixture *f)
{
	bool root = geteuid() == 0;

	if (root)
		assert_int_equal(seteuid(65534), 0);
	fn(f);
	if (root)
		assert_int_equal(seteuid(0), 0);
}

static void open_without_permission(struct log_fixture *f)
{
	struct diag diag;

	assert_int_equal(fixture_try_open(f, NULL, &diag), -EACCES);
	assert_non_null(strstr(diag.text, "active.data"));
	assert_non_null(strstr(diag.text, f->dir));
	assert_non_null(strstr(diag.text, "Permission denied"));
}

static void test_permission_of_the_file(void **state)
{
	struct log_fixture *f = *state;

	assert_int_equal(mkdir(unit_path("%s/db", f->dir), 0755), 0);
	unit_write_file(f->path, "", 0);
	assert_int_equal(chmod(f->path, 0444), 0);
	assert_int_equal(chmod(f->dir, 0755), 0);
	as_nobody(open_without_permission, f);
}

static void test_permission_of_the_directory(void **state)
{
	struct log_fixture *f = *state;

	assert_int_equal(mkdir(unit_path("%s/db", f->dir), 0555), 0);
	assert_int_equal(chmod(f->dir, 0755), 0);
	as_nobody(open_without_permission, f);
	assert_int_equal(chmod(unit_path("%s/db", f->dir), 0755), 0);
}

static void open_below_a_closed_directory(struct log_fixture *f)
{
	struct diag diag;

	assert_int_equal(fixture_try_open(f, NULL, &diag), -EACCES);
	assert_non_null(strstr(diag.text, unit_path("%s/db", f->dir)));
}

static void test_permission_of_the_parent(void **state)
{
	struct log_fixture *f = *state;

	assert_int_equal(chmod(f->dir, 0555), 0);
	as_nobody(open_below_a_closed_directory, f);
	assert_int_equal(chmod(f->dir, 0755), 0);
}

static void test_second_open(void **state)
{
	struct log_fixture *f = *state;
	struct log_writer_config config = { .file_path = f->path };
	struct log_writer *second = NULL;
	struct diag diag;

	fixture_open(f, LOG_WRITER_NEVER, 0);
	fixture_put(f, "k", "v");
	assert_int_equal(log_writer_open(&config, &second, &diag), -EWOULDBLOCK);
	assert_null(second);
	assert_non_null(strstr(diag.text, f->path));
	fixture_put(f, "k", "w"); /* the first goes on */
	fixture_close(f);
	assert_int_equal(log_writer_open(&config, &second, &diag), 0);
	assert_int_equal(log_writer_size(second), 44);
	assert_int_equal(log_writer_close(second), 0);
}

static void test_close_of_nothing(void **state)
{
	assert_int_equal(log_writer_close(NULL), 0);
}

static int count_fds(void)
{
	int count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void test_no_descriptor_leaks(void **state)
{
	struct log_fixture *f = *state;
	int before = count_fds();

	fixture_open(f, 10 * MS_NS, 100);
	fixture_put(f, "k", "v");
	fixture_close(f);
	assert_int_equal(count_fds(), before);
	probe_fail(f->probe, IOCALL_LOCK, FAULT_FOR_EVER, -EWOULDBLOCK);
	assert_int_equal(fixture_try_open(f, NULL, NULL), -EWOULDBLOCK);
	assert_int_equal(count_fds(), before);
}

/* --- timestamps --- */

static void test_timestamps_with_a_still_clock(void **state)
{
	struct log_fixture *f = *state;
	struct unit_file log;

	fixture_open(f, LOG_WRITER_NEVER, 0);
	probe_set_clock(f->probe, 1000);
	for (int i = 0; i < 5; i++)
		fixture_put(f, "k", "v");
	assert_int_equal(log_writer_last_timestamp(f->w), 1004);
	probe_set_clock(f->probe, 500); /* back in time */
	fixture_put(f, "k", "v");
	assert_int_equal(log_writer_last_timestamp(f->w), 1005);
	probe_set_clock(f->probe, 9000);
	fixture_put(f, "k", "v");
	assert_int_equal(log_writer_last_timestamp(f->w), 9000);
	fixture_close(f);

	probe_set_clock(f->probe, 2000); /* a clock that went back while the log was closed */
	fixture_open(f, LOG_WRITER_NEVER, 0);
	assert_int_equal(log_writer_last_timestamp(f->w), 9000);
	fixture_put(f, "k", "v");
	assert_int_equal(log_writer_last_timestamp(f->w), 9001);
	log = fixture_file(f);
	assert_int_equal(assert_log_whole(&log), 8);
	free(log.data);
}

static void test_given_timestamps(void **state)
{
	struct log_fixture *f = *state;
	struct record records[3] = {
		{ .timestamp_ns = 700, .key = "a", .key_bytes = 1 },
		{ .timestamp_ns = 600, .key = "b", .key_bytes = 1 }, /* too early: the clock */
		{ .timestamp_ns = 0, .key = "c", .key_bytes = 1 },
	};
	struct log_append where;

	fixture_open(f, LOG_WRITER_NEVER, 0);
	probe_set_clock(f->probe, 650);
	assert_int_equal(log_writer_append(f->w, records, 3, &where), 0);
	assert_int_equal(where.timestamp_ns[0], 700);
	assert_int_equal(where.timestamp_ns[1], 701);
	assert_int_equal(where.timestamp_ns[2], 702);
}

/* An append reports the positions and timestamps that the file has. */
static void test_append_reports_the_truth(void **state)
{
	struct log_fixture *f = *state;
	struct record records[LOG_WRITER_GROUP_MAX];
	struct record_scan_result got;
	struct log_append where;
	struct unit_file log;

	fixture_open(f, LOG_WRITER_NEVER, 0);
	fixture_put(f, "before", "x");
	for (int i = 0; i < LOG_WRITER_GROUP_MAX; i++)
		records[i] = (struct record){ .key = "abcdefgh",
					      .key_bytes = 8,
					      .value = "01234567",
					      .value_bytes = (uint32_t)i };
	assert_int_equal(log_writer_append(f->w, records, LOG_WRITER_GROUP_MAX, &where), 0);
	log = fixture_file(f);
	for (int i = 0; i < LOG_WRITER_GROUP_MAX; i++) {
		uint64_t left = log.bytes - where.position[i];

		assert_int_equal(record_scan(log.data + where.position[i], left, left, &got),
				 RECORD_WHOLE);
		assert_int_equal(got.rec.timestamp_ns, where.timestamp_ns[i]);
		assert_int_equal(got.rec.value_bytes, i);
	}
	assert_int_equal(where.end_position, log.bytes);
	assert_int_equal(probe_calls(f->probe, IOCALL_WRITEV), 2); /* the group in one piece */
	assert_int_equal(assert_log_whole(&log), 1 + LOG_WRITER_GROUP_MAX);
	free(log.data);
}

/* --- the buffer --- */

static void test_no_buffer(void **state)
{
	struct log_fixture *f = *state;

	fixture_open(f, LOG_WRITER_NEVER, 0);
	for (int i = 1; i <= 50; i++) {
		fixture_put(f, "key", "value");
		assert_int_equal(unit_file_bytes(f->path), 28 * i);
		assert_int_equal(fixture_stats(f).written_position, 28 * i);
	}
}

static void test_buffer_holds_that_much(void **state)
{
	struct log_fixture *f = *state;
	uint64_t on_disk = 0;
	bool held = false, written = false;

	fixture_open(f, LOG_WRITER_NEVER, 100);
	for (int i = 1; i <= 50; i++) {
		fixture_put(f, "key", "value"); /* 28 bytes: three fit */
		on_disk = unit_file_bytes(f->path);
		assert_in_range((uint64_t)28 * i - on_disk, 0, 100);
		assert_int_equal(on_disk % 28, 0); /* whole records */
		held |= on_disk < (uint64_t)28 * i;
		written |= on_disk > 0;
	}
	assert_true(held && written);
	assert_int_equal(probe_calls(f->probe, IOCALL_WRITEV), 16); /* three at a time */
}

static void test_buffer_of_exactly_one_record(void **state)
{
	struct log_fixture *f = *state;

	fixture_open(f, LOG_WRITER_NEVER, 28);
	fixture_put(f, "key", "value");
	assert_int_equal(unit_file_bytes(f->path), 0);
	fixture_put(f, "key", "value");
	assert_int_equal(unit_file_bytes(f->path), 28);
	fixture_put(f, "key", "value 2"); /* larger than the buffer: written through, in order */
	assert_int_equal(unit_file_bytes(f->path), 28 + 28 + 30);
}

static void test_buffer_sync_and_close(void **state)
{
	struct log_fixture *f = *state;
	struct unit_file log;

	fixture_open(f, LOG_WRITER_NEVER, 1 << 20);
	fixture_put(f, "key", "value");
	assert_int_equal(unit_file_bytes(f->path), 0);
	assert_int_equal(log_writer_sync(f->w), 0);
	assert_int_equal(unit_file_bytes(f->path), 28);
	assert_int_equal(log_writer_durable_position(f->w), 28);
	fixture_put(f, "key", "value");
	assert_int_equal(unit_file_bytes(f->path), 28);
	fixture_close(f);
	log = fixture_file(f);
	assert_int_equal(assert_log_whole(&log), 2);
	free(log.data);
}

static void test_buffer_is_written_at_the_deadline(void **state)
{
	struct log_fixture *f = *state;

	fixture_open(f, 5 * MS_NS, 1 << 20);
	fixture_put(f, "key", "value");
	WAIT_FOR(log_writer_durable_position(f->w) == 28);
	assert_int_equal(unit_file_bytes(f->path), 28);
}

static void test_buffer_dies_with_the_process(void **state)
{
	struct log_fixture *f = *state;

	fixture_open(f, LOG_WRITER_NEVER, 100);
	for (int i = 0; i < 5; i++)
		fixture_put(f, "key", "value");
	fixture_kill(f);
	fixture_open(f, LOG_WRITER_NEVER, 0);
	assert_int_equal(log_writer_size(f->w), 3 * 28); /* what the full buffer wrote */
}

/* Every read from every offset, with part of the log in the file and part in the buffer. */
static void test_read_of_buffered_bytes(void **state)
{
	struct log_fixture *f = *state;
	uint8_t got[200], all[200];
	struct unit_file log;
	uint64_t size;
	uint64_t syncs;

	fixture_open(f, LOG_WRITER_NEVER, 70);
	for (int i = 0; i < 5; i++)
		fixture_put(f, "key", i % 2 ? "value" : "VALUE");
	size = log_writer_size(f->w);
	assert_int_equal(size, 140);
	assert_int_equal(fixture_stats(f).written_position, 112);
	syncs = probe_calls(f->probe, IOCALL_FDATASYNC);
	assert_int_equal(log_writer_read(f->w, all, sizeof(all), 0), size);
	for (uint64_t offset = 0; offset <= size + 1; offset++) {
		for (size_t n = 0; n <= sizeof(got); n += 7) {
			uint64_t left = offset < size ? size - offset : 0;
			size_t want = n < left ? n : (size_t)left;

			assert_int_equal(log_writer_read(f->w, got, n, offset), want);
			assert_memory_equal(got, all + (offset < size ? offset : 0), want);
		}
	}
	/* A read is no sync, and no write. */
	assert_int_equal(probe_calls(f->probe, IOCALL_FDATASYNC), syncs);
	assert_int_equal(unit_file_bytes(f->path), 112);
	fixture_close(f);
	log = fixture_file(f);
	assert_memory_equal(log.data, all, size);
	free(log.data);
}

static void test_read_error(void **state)
{
	struct log_fixture *f = *state;
	uint8_t got[64];

	fixture_open(f, LOG_WRITER_NEVER, 0);
	fixture_put(f, "key", "value");
	probe_fail(f->probe, IOCALL_PREAD, 1, -EIO);
	assert_int_equal(log_writer_read(f->w, got, sizeof(got), 0), -EIO);
	assert_int_equal(log_writer_read(f->w, got, sizeof(got), 0), 28);
}

/* --- failed writes --- */

static const struct write_case {
	const char *name;
	int err;
	bool partial;
	int64_t buffer_size_bytes;
} write_cases[] = {
	{ "disk full at once", -ENOSPC, false, 0 },
	{ "disk full after a short write", -ENOSPC, true, 0 },
	{ "quota after a short write", -EDQUOT, true, 0 },
	{ "I/O error at once", -EIO, false, 0 },
	{ "I/O error after a short write", -EIO, true, 0 },
	{ "file too large after a short write", -EFBIG, true, 0 },
	{ "disk full after a short write, record larger than the buffer", -ENOSPC, true, 10 },
};

/* The failed put reports its error and leaves nothing; the next one works. */
static void test_failed_write(void **state)
{
	struct log_fixture *f = *state;
	const struct write_case *c = f->row;
	struct unit_file log;
	uint64_t offset = 4711;

	fixture_open(f, LOG_WRITER_NEVER, c->buffer_size_bytes);
	fixture_put(f, "first", "whole");
	if (c->partial)
		probe_fail_partial(f->probe, IOCALL_WRITEV, 1, c->err);
	else
		probe_fail(f->probe, IOCALL_WRITEV, 1, c->err);
	assert_int_equal(log_writer_put(f->w, "second", 6, "lost", 4, &offset), c->err);
	assert_int_equal(offset, 4711);
	assert_int_equal(unit_file_bytes(f->path), 30); /* cut back at once */
	assert_int_equal(log_writer_size(f->w), 30);
	assert_int_equal(fixture_stats(f).poison, 0);

	assert_int_equal(fixture_put(f, "third", "again"), 30); /* healed */
	fixture_close(f);
	log = fixture_file(f);
	assert_int_equal(log.bytes, 60);
	assert_int_equal(assert_log_whole(&log), 2);
	free(log.data);
}

/* Cutting back fails, too: nothing may be appended behind the torn bytes. */
static void test_failed_write_and_truncate(void **state)
{
	struct log_fixture *f = *state;
	struct fault_plan plan = { .at = 1,
				   .times = FAULT_FOR_EVER,
				   .kinds = IOCALL_BIT(IOCALL_WRITEV) | IOCALL_BIT(IOCALL_TRUNCATE),
				   .action = FAULT_PARTIAL,
				   .err = -EIO };
	struct unit_file log;

	fixture_open(f, LOG_WRITER_NEVER, 0);
	fixture_put(f, "first", "whole");
	faultio_set_plan(probe_faults(f->probe), &plan);
	assert_int_equal(log_writer_put(f->w, "second", 6, "torn", 4, NULL), -EIO);
	assert_true(unit_file_bytes(f->path) > 30); /* the torn bytes are there */
	assert_int_equal(log_writer_size(f->w), 30);

	probe_fail(f->probe, IOCALL_TRUNCATE, FAULT_FOR_EVER, -EIO);
	assert_int_equal(log_writer_put(f->w, "third", 5, "x", 1, NULL), -EIO);
	assert_int_equal(log_writer_size(f->w), 30);

	probe_heal(f->probe);
	assert_int_equal(fixture_put(f, "fourth", "ok"), 30);
	fixture_close(f);
	log = fixture_file(f);
	assert_int_equal(log.bytes, 30 + 28);
	assert_int_equal(assert_log_whole(&log), 2);
	free(log.data);
}

/* A refused write on a full disk costs no sync, whether or not a piece of it was written.  A
 * shorter record first makes durable that the piece is gone, because it would not cover it. */
static void test_refused_write_costs_no_sync(void **state)
{
	struct log_fixture *f = *state;
	uint64_t syncs, truncates;

	fixture_open(f, LOG_WRITER_NEVER, 0);
	fixture_put(f, "first", "whole");
	syncs = probe_calls(f->probe, IOCALL_FDATASYNC);
	truncates = probe_calls(f->probe, IOCALL_TRUNCATE);
	probe_fail(f->probe, IOCALL_WRITEV, FAULT_FOR_EVER, -ENOSPC);
	for (int i = 0; i < 3; i++)
		assert_int_equal(log_writer_put(f->w, "second", 6, "lost", 4, NULL), -ENOSPC);
	assert_int_equal(probe_calls(f->probe, IOCALL_TRUNCATE), truncates);
	probe_fail_partial(f->probe, IOCALL_WRITEV, 1, -ENOSPC);
	assert_int_equal(log_writer_put(f->w, "second", 6, "lost", 4, NULL), -ENOSPC);
	assert_int_equal(probe_calls(f->probe, IOCALL_TRUNCATE), truncates + 1);
	fixture_put(f, "third", "again");
	assert_int_equal(probe_calls(f->probe, IOCALL_FDATASYNC), syncs);
	probe_fail_partial(f->probe, IOCALL_WRITEV, 1, -ENOSPC);
	assert_int_equal(log_writer_put(f->w, "a record that is longer", 23, "lost", 4, NULL),
			 -ENOSPC);
	assert_int_equal(probe_calls(f->probe, IOCALL_FDATASYNC), syncs);
	fixture_put(f, "", "s");
	assert_int_equal(probe_calls(f->probe, IOCALL_FDATASYNC), syncs + 1);
}

/* The longest piece counts, not the last: the first put leaves 50 bytes, the second 46. */
static void test_refused_writes_of_two_lengths(void **state)
{
	char key[80] = "", value[] = "value";
	struct log_fixture *f = *state;
	uint64_t syncs;

	fixture_open(f, LOG_WRITER_NEVER, 0);
	fixture_put(f, "first", "whole");
	syncs = probe_calls(f->probe, IOCALL_FDATASYNC);
	probe_fail_partial(f->probe, IOCALL_WRITEV, 1, -ENOSPC);
	assert_int_equal(log_writer_put(f->w, key, 80, NULL, 0, NULL), -ENOSPC);
	probe_fail_partial(f->probe, IOCALL_WRITEV, 1, -ENOSPC);
	assert_int_equal(log_writer_put(f->w, key, 72, NULL, 0, NULL), -ENOSPC);
	assert_int_equal(probe_calls(f->probe, IOCALL_FDATASYNC), syncs);
	assert_int_equal(log_writer_put(f->w, key, 22, value, 5, NULL), 0);
	assert_int_equal(probe_calls(f->probe, IOCALL_FDATASYNC), syncs + 1);
}

static void test_full_disk_with_a_buffer(void **state)
{
	struct log_fixture *f = *state;
	struct unit_file log;
	int acknowledged = 0, refused = 0;

	fixture_open(f, LOG_WRITER_NEVER, 100);
	probe_fail_partial(f->probe, IOCALL_WRITEV, FAULT_FOR_EVER, -ENOSPC);
	for (int i = 0; i < 10; i++) {
		int err = log_writer_put(f->w, "key", 3, "value", 5, NULL);

		assert_true(err == 0 || err == -ENOSPC);
		acknowledged += err == 0;
		refused += err != 0;
	}
	assert_int_equal(acknowledged, 3); /* what the buffer holds */
	assert_int_equal(refused, 7);
	assert_int_equal(log_writer_sync(f->w), -ENOSPC);
	assert_int_equal(fixture_stats(f).poison, 0); /* nothing was lost: it is in the buffer */
	probe_heal(f->probe);
	fixture_put(f, "key", "value");
	assert_int_equal(log_writer_sync(f->w), 0);
	log = fixture_file(f);
	assert_int_equal(log.bytes, 4 * 28);
	assert_int_equal(assert_log_whole(&log), 4);
	free(log.data);
}

/* A record that a put has refused is not in the log later: durable put, buffer, full disk. */
static void test_refused_durable_put_leaves_nothing(void **state)
{
	struct log_fixture *f = *state;
	struct unit_file log;

	fixture_open(f, 0, 1 << 16);
	fixture_put(f, "first", "whole");
	probe_fail_partial(f->probe, IOCALL_WRITEV, FAULT_FOR_EVER, -ENOSPC);
	assert_int_equal(log_writer_put(f->w, "second", 6, "lost", 4, NULL), -ENOSPC);
	probe_heal(f->probe);
	fixture_put(f, "third", "again");
	fixture_close(f);
	log = fixture_file(f);
	assert_int_equal(assert_log_whole(&log), 2);
	free(log.data);
}

static void test_interrupted_and_short_calls(void **state)
{
	static const enum iocall kinds[] = { IOCALL_WRITEV, IOCALL_FDATASYNC, IOCALL_PREAD,
					     IOCALL_OPEN,   IOCALL_FSYNC,     IOCALL_TRUNCATE };
	struct log_fixture *f = *state;
	struct fault_plan plan = {
		.at = 1, .times = 5, .kinds = IOCALL_BIT(IOCALL_WRITEV), .action = FAULT_SHORT
	};
	struct unit_file log;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		uint8_t got[8];

		probe_fail(f->probe, kinds[i], 3, -EINTR);
		fixture_open(f, 0, 0);
		fixture_put(f, "key", "value");
		assert_int_equal(log_writer_read(f->w, got, sizeof(got), 0), sizeof(got));
		fixture_close(f);
	}
	fixture_open(f, 0, 0);
	faultio_set_plan(probe_faults(f->probe), &plan);
	fixture_put(f, "key", "value");
	assert_int_equal(faultio_hits(probe_faults(f->probe)), 5);
	fixture_close(f);
	log = fixture_file(f);
	assert_int_equal(log.bytes, 28 * (ARRAY_SIZE(kinds) + 1));
	assert_int_equal(assert_log_whole(&log), ARRAY_SIZE(kinds) + 1);
	free(log.data);
}

/* A real limit of the kernel: the write comes back short, the next one fails. */
static void test_file_size_limit(void **state)
{
	struct log_fixture *f = *state;
	struct rlimit before, limit;
	struct unit_file log;
	char value[100];

	memset(value, 'v', sizeof(value));
	fixture_open(f, LOG_WRITER_NEVER, 0);
	assert_int_equal(log_writer_put(f->w, "k", 1, value, sizeof(value), NULL), 0);
	assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = before;
	limit.rlim_cur = 150;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(log_writer_put(f->w, "k", 1, value, sizeof(value), NULL), -EFBIG);
	assert_int_equal(unit_file_bytes(f->path), 121);
	assert_int_equal(log_writer_put(f->w, "k", 1, value, 8, NULL), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(log_writer_put(f->w, "k", 1, value, sizeof(value), NULL), 0);
	log = fixture_file(f);
	assert_int_equal(log.bytes, 121 + 29 + 121);
	assert_int_equal(assert_log_whole(&log), 3);
	free(log.data);
}

/* --- threads --- */

#define THREADS		8
#define PUTS_PER_THREAD 400

static const struct thread_case {
	const char *name;
	int64_t fsync_interval_ns, buffer_size_bytes;
} thread_cases[] = {
	{ "8 threads, never, no buffer", LOG_WRITER_NEVER, 0 },
	{ "8 threads, never, 4 KiB buffer", LOG_WRITER_NEVER, 4096 },
	{ "8 threads, 1 ms, 4 KiB buffer", 1 * MS_NS, 4096 },
	{ "8 threads, durable, no buffer", 0, 0 },
	{ "8 threads, durable, 4 KiB buffer", 0, 4096 },
};

struct putter {
	struct log_writer *w;
	int id, failures;
	uint64_t offsets[PUTS_PER_THREAD];
};

/* A value whose every byte says whose it is. */
static uint32_t make_value(char *value, int id, int i)
{
	uint32_t n = (uint32_t)((id * 37 + i * 11) % 300) + 1;

	memset(value, 'a' + id, n);
	return n;
}

static void *putter_main(void *arg)
{
	struct putter *p = arg;

	for (int i = 0; i < PUTS_PER_THREAD; i++) {
		char key[16], value[300];
		uint32_t n = make_value(value, p->id, i);

		(void)snprintf(key, sizeof(key), "t%d-%04d", p->id, i);
		p->failures += log_writer_put(p->w, key, (uint32_t)strlen(key), value, n,
					      &p->offsets[i]) != 0;
	}
	return NULL;
}

static void check_putter(const struct putter *p, const struct unit_file *log)
{
	assert_int_equal(p->failures, 0);
	for (int i = 0; i < PUTS_PER_THREAD; i++) {
		struct record_scan_result got;
		uint64_t left = log->bytes - p->offsets[i];
		char key[16], value[300];
		uint32_t n = make_value(value, p->id, i);

		(void)snprintf(key, sizeof(key), "t%d-%04d", p->id, i);
		if (i > 0)
			assert_true(p->offsets[i] > p->offsets[i - 1]);
		assert_int_equal(record_scan(log->data + p->offsets[i], left, left, &got),
				 RECORD_WHOLE);
		assert_int_equal(got.rec.key_bytes, strlen(key));
		assert_memory_equal(got.rec.key, key, got.rec.key_bytes);
		assert_int_equal(got.rec.value_bytes, n);
		assert_memory_equal(got.rec.value, value, n);
	}
}

static void test_threads(void **state)
{
	struct log_fixture *f = *state;
	const struct thread_case *c = f->row;
	static struct putter putters[THREADS];
	pthread_t threads[THREADS];
	struct unit_file log;

	fixture_open(f, c->fsync_interval_ns, c->buffer_size_bytes);
	for (int i = 0; i < THREADS; i++) {
		putters[i] = (struct putter){ .w = f->w, .id = i };
		assert_int_equal(pthread_create(&threads[i], NULL, putter_main, &putters[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	if (c->fsync_interval_ns == 0)
		assert_int_equal(log_writer_durable_position(f->w), log_writer_size(f->w));
	fixture_close(f);
	log = fixture_file(f);
	/* No interleaving, nothing missing, timestamps rising in the order of the file. */
	assert_int_equal(assert_log_whole(&log), THREADS * PUTS_PER_THREAD);
	for (int i = 0; i < THREADS; i++)
		check_putter(&putters[i], &log);
	free(log.data);
}

static void add_table_rows(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(tail_cases); i++)
		add_row(tail_cases[i].name, test_tail_bytes, &tail_cases[i]);
	for (size_t i = 0; i < ARRAY_SIZE(config_cases); i++)
		add_row(unit_name("config: %s", config_cases[i].name), test_config,
			&config_cases[i]);
	for (size_t i = 0; i < ARRAY_SIZE(path_cases); i++)
		add_row(unit_name("path: %s", path_cases[i].name), test_path, &path_cases[i]);
	for (size_t i = 0; i < ARRAY_SIZE(write_cases); i++)
		add_row(unit_name("failed write: %s", write_cases[i].name), test_failed_write,
			&write_cases[i]);
	for (size_t i = 0; i < ARRAY_SIZE(thread_cases); i++)
		add_row(thread_cases[i].name, test_threads, &thread_cases[i]);
}

int main(void)
{
	add_test("records are appended to active.data", test_records_are_appended);
	add_test("file grows by exactly the encoded size", test_grows_by_the_encoded_size);
	add_table_rows();
	add_test("directory 0700, file 0600, O_APPEND", test_modes_and_o_append);
	add_test("new names are synced before the first record", test_new_names_are_synced);
	add_test("a directory that cannot be synced fails the open",
		 test_dir_sync_failure_is_reported);
	add_test("path, size, durable offset, last timestamp", test_path_query);
	add_test("relative path without a directory", test_relative_path);
	add_test("path: too long", test_path_too_long);
	add_test("group of 0 or 9 records, sync beyond the end", test_group_of_nonsense);
	add_test("permission error names the file", test_permission_of_the_file);
	add_test("permission error in the directory names the file",
		 test_permission_of_the_directory);
	add_test("permission error of the parent names the directory",
		 test_permission_of_the_parent);
	add_test("second open is refused", test_second_open);
	add_test("close of NULL", test_close_of_nothing);
	add_test("no descriptor leaks", test_no_descriptor_leaks);
	add_test("timestamps rise when the clock does not", test_timestamps_with_a_still_clock);
	add_test("given timestamps are kept when they rise", test_given_timestamps);
	add_test("append reports what is in the file", test_append_reports_the_truth);
	add_test("buffer 0: every put reaches the kernel", test_no_buffer);
	add_test("buffer holds up to that many bytes", test_buffer_holds_that_much);
	add_test("buffer of exactly one record", test_buffer_of_exactly_one_record);
	add_test("buffer is written at sync and close", test_buffer_sync_and_close);
	add_test("buffer is written at the deadline", test_buffer_is_written_at_the_deadline);
	add_test("buffer dies with the process, written records do not",
		 test_buffer_dies_with_the_process);
	add_test("read of buffered bytes, without a sync", test_read_of_buffered_bytes);
	add_test("read error is passed on", test_read_error);
	add_test("failed write and failed truncate", test_failed_write_and_truncate);
	add_test("refused write costs no sync", test_refused_write_costs_no_sync);
	add_test("refused writes of two lengths", test_refused_writes_of_two_lengths);
	add_test("full disk with a buffer", test_full_disk_with_a_buffer);
	add_test("refused durable put with a buffer leaves nothing",
		 test_refused_durable_put_leaves_nothing);
	add_test("interrupted and short calls go on", test_interrupted_and_short_calls);
	add_test("file size limit of the kernel", test_file_size_limit);
	return unit_run("log_writer", rows, row_count);
}
