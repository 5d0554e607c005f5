/* SPDX-License-Identifier: MIT */
/* libfreyjalog through its public header alone.  This program defines writev(2) and fdatasync(2),
 * and so can make those of the library fail. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "writer/freyjalog/freyjalog.h"

#define ROWS_MAX     96
#define HEADER_BYTES 20

static struct CMUnitTest rows[ROWS_MAX];
static size_t row_count;

/* --- failing system calls --- */

static atomic_int writev_errno, fdatasync_errno; /* 0: they work */

ssize_t writev(int fd, const struct iovec *iov, int iov_count)
{
	if (writev_errno != 0) {
		errno = writev_errno;
		return -1;
	}
	return syscall(SYS_writev, fd, iov, iov_count);
}

int fdatasync(int fd)
{
	if (fdatasync_errno != 0) {
		errno = fdatasync_errno;
		return -1;
	}
	return (int)syscall(SYS_fdatasync, fd);
}

/* --- what the tests share --- */

struct fixture {
	const void *row;
	char *dir;
	char *path; /* of the log: DIR/active.data */
	struct freyja_config config;
	struct freyja_log *log; /* NULL: closed */
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->row = *state;
	f->dir = unit_tmpdir();
	f->path = strdup(unit_path("%s/active.data", f->dir));
	freyja_config_init(&f->config, sizeof(f->config));
	f->config.path = f->path;
	f->config.fsync_interval_ns = FREYJA_NEVER;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	writev_errno = fdatasync_errno = 0;
	(void)freyja_close(&f->log);
	unit_tmpdir_remove(f->dir);
	free(f->path);
	free(f);
	return 0;
}

static void add_row(const char *name, CMUnitTestFunction fn, const void *row)
{
	if (row_count == ROWS_MAX)
		abort();
	rows[row_count++] =
		(struct CMUnitTest){ name, fn, setup, teardown, (void *)(uintptr_t)row };
}

static void open_log(struct fixture *f)
{
	char message[256];

	if (freyja_open(&f->config, &f->log, message, sizeof(message)) != 0)
		fail_msg("freyja_open: %s", message);
}

static void close_log(struct fixture *f)
{
	assert_int_equal(freyja_close(&f->log), 0);
	assert_null(f->log);
}

static uint64_t put(struct fixture *f, const char *key, const char *value)
{
	uint64_t position = UINT64_MAX;

	assert_int_equal(freyja_put(f->log, key, strlen(key), value, strlen(value), &position), 0);
	return position;
}

static struct freyja_item item(const char *key, const char *value)
{
	return (struct freyja_item){ key, strlen(key), value, strlen(value) };
}

static struct freyja_stats stats_of(const struct fixture *f)
{
	struct freyja_stats stats;

	freyja_get_stats(f->log, &stats, sizeof(stats));
	return stats;
}

static void assert_record(const struct freyja_record *record, enum freyja_kind kind,
			  const char *key, const char *value)
{
	size_t key_bytes, value_bytes;
	const void *got_key = freyja_record_key(record, &key_bytes);
	const void *got_value = freyja_record_value(record, &value_bytes);

	assert_int_equal(freyja_record_kind(record), kind);
	assert_non_null(got_key);
	assert_non_null(got_value);
	assert_int_equal(key_bytes, strlen(key));
	assert_memory_equal(got_key, key, key_bytes);
	assert_int_equal(value_bytes, strlen(value));
	assert_memory_equal(got_value, value, value_bytes);
}

static void assert_get(const struct fixture *f, uint64_t position, enum freyja_kind kind,
		       const char *key, const char *value)
{
	struct freyja_record *record;

	assert_int_equal(freyja_get(f->log, position, &record), 0);
	assert_record(record, kind, key, value);
	assert_int_equal(freyja_record_position(record), position);
	freyja_record_free(record);
}

/* Iterates from 'position' to the end.  Writes "key=value " for each record but meta records. */
static const char *text_from(const struct fixture *f, uint64_t position)
{
	static char text[4096];
	const struct freyja_record *record;
	struct freyja_iter *iter;
	size_t used = 0;
	int got;

	text[0] = '\0';
	assert_int_equal(freyja_iter_open(f->log, position, &iter), 0);
	while ((got = freyja_iter_next(iter, &record)) == 1) {
		size_t key_bytes, value_bytes;
		const char *key = freyja_record_key(record, &key_bytes);
		const char *value = freyja_record_value(record, &value_bytes);

		if (freyja_record_kind(record) == FREYJA_META)
			continue;
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%.*s=%.*s ",
					 (int)key_bytes, key, (int)value_bytes, value);
		assert_true(used < sizeof(text));
	}
	assert_int_equal(got, 0);
	freyja_iter_close(iter);
	return text;
}

/* --- writing and reading --- */

static void test_put_and_get(void **state)
{
	struct fixture *f = *state;
	uint64_t a, gone, empty;

	open_log(f);
	a = put(f, "a", "1");
	gone = put(f, "a", "");
	empty = put(f, "", "no key");
	assert_int_equal(a, 0);
	assert_int_equal(gone, HEADER_BYTES + 2);
	for (int i = 0; i < 2; i++) { /* and again after it was opened again */
		assert_get(f, a, FREYJA_PUT, "a", "1");
		assert_get(f, gone, FREYJA_TOMBSTONE, "a", "");
		assert_get(f, empty, FREYJA_PUT, "", "no key");
		assert_string_equal(text_from(f, 0), "a=1 a= =no key ");
		assert_string_equal(text_from(f, gone), "a= =no key ");
		close_log(f);
		open_log(f);
	}
	assert_int_equal(freyja_put(f->log, "k", 1, "v", 1, NULL), 0);
	assert_int_equal(unit_file_bytes(f->path), stats_of(f).end_position);
}

static void test_record_outlives_the_log(void **state)
{
	struct fixture *f = *state;
	struct freyja_record *record;
	uint64_t position;

	open_log(f);
	position = put(f, "key", "value");
	assert_int_equal(freyja_get(f->log, position, &record), 0);
	close_log(f);
	assert_record(record, FREYJA_PUT, "key", "value");
	assert_true(freyja_record_timestamp_ns(record) > 0);
	freyja_record_free(record);
	freyja_record_free(NULL);
}

static void test_iterator_follows(void **state)
{
	struct fixture *f = *state;
	const struct freyja_record *record;
	struct freyja_iter *iter;

	f->config.buffer_size_bytes = 1 << 16; /* the records are in memory alone */
	open_log(f);
	put(f, "a", "1");
	assert_int_equal(freyja_iter_open(f->log, stats_of(f).end_position, &iter), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(freyja_iter_next(iter, &record), 0);
		put(f, "b", "2");
		assert_int_equal(freyja_iter_next(iter, &record), 1);
		assert_record(record, FREYJA_PUT, "b", "2");
	}
	freyja_iter_close(iter);
	freyja_iter_close(NULL);
	assert_int_equal(unit_file_bytes(f->path), 0);
	assert_int_equal(freyja_iter_open(f->log, stats_of(f).end_position + 1, &iter), -ERANGE);
}

/* Records that end anywhere in the pieces that an iterator reads, and larger ones. */
static void test_iterator_reads_ahead(void **state)
{
	static char value[100 * 1000];
	struct fixture *f = *state;
	const struct freyja_record *record;
	static uint64_t positions[2000];
	struct freyja_iter *iter;
	const void *got;
	size_t bytes;

	for (size_t i = 0; i < sizeof(value); i++)
		value[i] = (char)(i % 251);
	f->config.segment_size_bytes = 300 * 1000;
	open_log(f);
	for (size_t i = 0; i < ARRAY_SIZE(positions); i++)
		assert_int_equal(freyja_put(f->log, "key", 3, value,
					    i % 500 == 7 ? sizeof(value) : i % 701, &positions[i]),
				 0);
	assert_int_equal(freyja_iter_open(f->log, 0, &iter), 0);
	for (size_t i = 0; i < ARRAY_SIZE(positions); i++) {
		do
			assert_int_equal(freyja_iter_next(iter, &record), 1);
		while (freyja_record_kind(record) == FREYJA_META);
		assert_int_equal(freyja_record_position(record), positions[i]);
		got = freyja_record_value(record, &bytes);
		assert_int_equal(bytes, i % 500 == 7 ? sizeof(value) : i % 701);
		assert_memory_equal(got, value, bytes);
	}
	assert_int_equal(freyja_iter_next(iter, &record), 0);
	freyja_iter_close(iter);
}

static const struct large_case {
	const char *name;
	size_t bytes;
} large_cases[] = {
	{ "value of 491 bytes: the record has 512", 491 },
	{ "value of 492 bytes: the record has 513", 492 },
	{ "value of 300 KiB", 300 * 1024 },
	{ "value of 3 MiB", 3 * 1024 * 1024 },
};

/* Changes one byte of the file. */
static void flip(const struct fixture *f, uint64_t offset)
{
	struct unit_file file = unit_read_file(f->path);

	assert_true(offset < file.bytes);
	file.data[offset] ^= 1;
	unit_write_file(f->path, file.data, file.bytes);
	free(file.data);
}

static void test_large(void **state)
{
	struct fixture *f = *state;
	const struct large_case *c = f->row;
	char *value = malloc(c->bytes + 1);
	struct freyja_record *record;
	uint64_t position, behind;

	assert_non_null(value);
	memset(value, 'v', c->bytes);
	value[c->bytes] = '\0';
	open_log(f);
	position = put(f, "k", value);
	behind = put(f, "next", "1");
	assert_int_equal(behind, HEADER_BYTES + 1 + c->bytes);
	assert_get(f, position, FREYJA_PUT, "k", value);
	assert_string_equal(text_from(f, behind), "next=1 ");
	flip(f, HEADER_BYTES + c->bytes); /* the last one of the value */
	record = NULL;
	assert_int_equal(freyja_get(f->log, position, &record), -EBADMSG);
	assert_null(record);
	assert_get(f, behind, FREYJA_PUT, "next", "1");
	free(value);
}

static void test_damage_stops_an_iterator(void **state)
{
	struct fixture *f = *state;
	const struct freyja_record *record;
	struct freyja_iter *iter;

	open_log(f);
	put(f, "a", "1");
	put(f, "b", "2");
	flip(f, 2 * (HEADER_BYTES + 2) - 1);
	assert_int_equal(freyja_iter_open(f->log, 0, &iter), 0);
	assert_int_equal(freyja_iter_next(iter, &record), 1);
	assert_int_equal(freyja_iter_next(iter, &record), -EBADMSG);
	assert_int_equal(freyja_iter_next(iter, &record), -EBADMSG);
	freyja_iter_close(iter);
}

static const struct get_case {
	const char *name;
	uint64_t position; /* in a log of two records of 22 bytes */
	int err;
} get_cases[] = {
	{ "at the end", 44, -ERANGE },
	{ "behind the end", 45, -ERANGE },
	{ "at the highest position", UINT64_MAX, -ERANGE },
	{ "inside a record", 1, -EBADMSG },
	{ "inside the last record, fewer bytes than a header", 30, -EBADMSG },
};

static void test_get_error(void **state)
{
	struct fixture *f = *state;
	const struct get_case *c = f->row;
	struct freyja_record *record = NULL;

	open_log(f);
	put(f, "a", "1");
	put(f, "b", "2");
	assert_int_equal(freyja_get(f->log, c->position, &record), c->err);
	assert_null(record);
}

static void test_segments(void **state)
{
	struct fixture *f = *state;
	uint64_t positions[40];

	f->config.segment_size_bytes = 1024;
	open_log(f);
	for (int i = 0; i < 40; i++)
		positions[i] = put(f, unit_path("key-%02d", i), unit_path("%060d", i));
	assert_true(stats_of(f).segments > 3);
	for (int reopened = 0; reopened < 2; reopened++) {
		for (int i = 0; i < 40; i++)
			assert_get(f, positions[i], FREYJA_PUT, unit_path("key-%02d", i),
				   unit_path("%060d", i));
		assert_string_equal(text_from(f, positions[39]), unit_path("key-39=%060d ", 39));
		assert_int_equal(strlen(text_from(f, 0)), 40 * strlen("key-00=") + 40 * 61);
		close_log(f);
		open_log(f);
	}
}

/* As one file the log would be its last segment, so a writer is refused. */
static void test_segments_as_one_file(void **state)
{
	struct fixture *f = *state;
	char message[512];

	f->config.segment_size_bytes = 1024;
	open_log(f);
	for (int i = 0; i < 40; i++)
		put(f, unit_path("key-%02d", i), unit_path("%060d", i));
	close_log(f);
	f->config.segment_size_bytes = 0;
	assert_int_equal(freyja_open(&f->config, &f->log, message, sizeof(message)), -EINVAL);
	assert_non_null(strstr(message, "active.data: is segment "));
	assert_non_null(strstr(message, "segment_size_bytes that is not 0"));
	f->config.flags = FREYJA_READ_ONLY; /* finds the segments itself */
	open_log(f);
	assert_int_equal(strlen(text_from(f, 0)), 40 * strlen("key-00=") + 40 * 61);
}

/* --- groups --- */

static void test_group(void **state)
{
	struct fixture *f = *state;
	struct freyja_item items[] = { item("x", "1"), item("y", ""), item("x", "333") };
	struct freyja_record *record;
	uint64_t positions[3], group, last;

	open_log(f);
	put(f, "a", "1");
	group = stats_of(f).end_position;
	assert_int_equal(freyja_put_group(f->log, items, 3, positions), 0);
	last = put(f, "z", "9");
	assert_int_equal(stats_of(f).appends, 3);
	for (int i = 0; i < 2; i++) {
		assert_string_equal(text_from(f, 0), "a=1 x=1 y= x=333 z=9 ");
		assert_string_equal(text_from(f, group), "x=1 y= x=333 z=9 ");
		assert_string_equal(text_from(f, positions[1]), "y= x=333 z=9 ");
		assert_get(f, positions[0], FREYJA_PUT, "x", "1");
		assert_get(f, positions[1], FREYJA_TOMBSTONE, "y", "");
		assert_get(f, positions[2], FREYJA_PUT, "x", "333");
		assert_int_equal(positions[2] + HEADER_BYTES + 4, last);
		assert_int_equal(freyja_get(f->log, group, &record), 0);
		assert_int_equal(freyja_record_kind(record), FREYJA_GROUP);
		freyja_record_free(record);
		close_log(f);
		open_log(f);
	}
}

static void test_group_positions_in_an_iterator(void **state)
{
	struct fixture *f = *state;
	struct freyja_item items[] = { item("x", "1"), item("yy", "22") };
	const struct freyja_record *record;
	struct freyja_iter *iter;
	uint64_t positions[2];

	open_log(f);
	for (int i = 0; i < 2; i++)
		assert_int_equal(freyja_put_group(f->log, items, 2, positions), 0);
	assert_int_equal(freyja_iter_open(f->log, positions[0], &iter), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(freyja_iter_next(iter, &record), 1);
		assert_int_equal(freyja_record_position(record), positions[i]);
	}
	assert_int_equal(freyja_iter_next(iter, &record), 0);
	freyja_iter_close(iter);
}

/* Wherever the end of the file is lost, the group is there as a whole or not at all. */
static void test_group_is_atomic(void **state)
{
	struct fixture *f = *state;
	struct freyja_item items[] = { item("x", "1"), item("y", "2"), item("z", "3") };
	struct unit_file whole;
	size_t first;

	open_log(f);
	put(f, "a", "1");
	first = stats_of(f).end_position;
	assert_int_equal(freyja_put_group(f->log, items, 3, NULL), 0);
	whole = unit_read_file(f->path); /* nothing was synced: no durable mark says so */
	assert_true(whole.bytes > first + 3 * (HEADER_BYTES + 2));
	close_log(f);
	for (size_t bytes = first; bytes <= whole.bytes; bytes++) {
		f->config.path = unit_path("%s/cut-%zu.data", f->dir, bytes);
		unit_write_file(f->config.path, whole.data, bytes);
		open_log(f);
		assert_string_equal(text_from(f, 0),
				    bytes < whole.bytes ? "a=1 " : "a=1 x=1 y=2 z=3 ");
		close_log(f);
	}
	free(whole.data);
}

/* A record that only looks like a group is an ordinary one. */
static void test_no_group(void **state)
{
	struct fixture *f = *state;
	struct freyja_item items[] = { item("x", "1") };
	struct unit_file file;

	open_log(f);
	assert_int_equal(freyja_put_group(f->log, items, 1, NULL), 0);
	close_log(f);
	file = unit_read_file(f->path);
	/* The key is not a group's any more; its CRC is wrong then, and so is the record. */
	file.data[HEADER_BYTES] = 'X';
	unit_write_file(f->path, file.data, file.bytes);
	free(file.data);
	assert_int_equal(freyja_open(&f->config, &f->log, NULL, 0), -EBADMSG);
	assert_null(f->log);
}

static const struct put_case {
	const char *name;
	struct freyja_item item;
	int err;
} put_cases[] = {
	{ "key begins with NUL", { "\0a", 2, "v", 1 }, -EINVAL },
	{ "key of a group", { FREYJA_GROUP_KEY "x", sizeof(FREYJA_GROUP_KEY), "v", 1 }, -EINVAL },
	{ "key of 4 GiB", { "k", (size_t)1 << 32, "v", 1 }, -EFBIG },
	{ "value of 4 GiB", { "k", 1, "v", (size_t)1 << 32 }, -EFBIG },
};

static void test_put_error(void **state)
{
	struct fixture *f = *state;
	const struct put_case *c = f->row;
	struct freyja_item items[] = { item("a", "1"), c->item };
	uint64_t positions[2] = { 7, 7 };

	open_log(f);
	assert_int_equal(freyja_put(f->log, c->item.key, c->item.key_bytes, c->item.value,
				    c->item.value_bytes, positions),
			 c->err);
	assert_int_equal(freyja_put_group(f->log, items, 2, positions), c->err);
	assert_int_equal(positions[0], 7);
	assert_int_equal(positions[1], 7);
	assert_int_equal(unit_file_bytes(f->path), 0);
}

static void test_group_of_nonsense(void **state)
{
	struct fixture *f = *state;
	struct freyja_item items[] = { { "k", 1, "v", 0xffffffff - 40 }, item("a", "1") };

	open_log(f);
	assert_int_equal(freyja_put_group(f->log, NULL, 0, NULL), -EINVAL);
	assert_int_equal(freyja_put_group(f->log, items, 2, NULL), -EFBIG); /* together */
	assert_int_equal(stats_of(f).appends, 0);
}

/* --- durability --- */

static void test_full_disk(void **state)
{
	struct fixture *f = *state;
	struct freyja_item items[] = { item("x", "1"), item("y", "2") };
	uint64_t positions[2] = { 7, 7 };

	open_log(f);
	put(f, "a", "1");
	writev_errno = ENOSPC;
	assert_int_equal(freyja_put(f->log, "b", 1, "2", 1, positions), -ENOSPC);
	assert_int_equal(freyja_put_group(f->log, items, 2, positions), -ENOSPC);
	assert_int_equal(positions[0], 7);
	writev_errno = 0;
	put(f, "c", "3");
	assert_string_equal(text_from(f, 0), "a=1 c=3 ");
	assert_int_equal(stats_of(f).sync_error, 0);
}

struct answer {
	atomic_int count, err;
};

static void answered(void *arg, int err)
{
	struct answer *a = arg;

	a->err = err;
	a->count++;
}

static void test_failed_sync(void **state)
{
	struct fixture *f = *state;
	struct freyja_item items[] = { item("x", "1") };
	struct answer answer = { 0, 0 };

	open_log(f);
	put(f, "a", "1");
	fdatasync_errno = EIO;
	assert_int_equal(freyja_sync(f->log), -EIO);
	fdatasync_errno = 0;
	assert_int_equal(stats_of(f).sync_error, -EIO);
	assert_int_equal(freyja_sync(f->log), -EIO);
	assert_int_equal(freyja_sync_async(f->log, answered, &answer), 0);
	assert_int_equal(answer.count, 1);
	assert_int_equal(answer.err, -EIO);
	assert_string_equal(text_from(f, 0), "a=1 ");
	assert_int_equal(freyja_put(f->log, "b", 1, "2", 1, NULL), -EIO);
	assert_int_equal(freyja_put_group(f->log, items, 1, NULL), -EIO);
	assert_int_equal(freyja_close(&f->log), -EIO);
	assert_null(f->log);
	open_log(f);
	assert_int_equal(freyja_sync(f->log), 0);
}

static void test_durable_put_fails(void **state)
{
	struct fixture *f = *state;
	uint64_t position = 7;

	f->config.fsync_interval_ns = 0;
	open_log(f);
	put(f, "a", "1");
	assert_int_equal(stats_of(f).durable_position, HEADER_BYTES + 2);
	fdatasync_errno = EIO;
	assert_int_equal(freyja_put(f->log, "b", 1, "2", 1, &position), -EIO);
	assert_int_equal(position, 7);
}

static void test_sync(void **state)
{
	struct fixture *f = *state;
	struct freyja_stats stats;

	f->config.buffer_size_bytes = 4096;
	open_log(f);
	put(f, "a", "1");
	stats = stats_of(f);
	assert_int_equal(stats.end_position, HEADER_BYTES + 2);
	assert_int_equal(stats.written_position, 0);
	assert_int_equal(stats.durable_position, 0);
	assert_int_equal(freyja_sync(f->log), 0);
	stats = stats_of(f);
	assert_int_equal(stats.written_position, HEADER_BYTES + 2);
	assert_int_equal(stats.durable_position, HEADER_BYTES + 2);
	assert_int_equal(stats.syncs, 1);
	assert_true(stats.sync_ns_max > 0 && stats.sync_ns_total >= stats.sync_ns_max);
	assert_true(stats.last_timestamp_ns > 0);
	assert_int_equal(unit_file_bytes(f->path), HEADER_BYTES + 2);
}

static void test_sync_async(void **state)
{
	struct fixture *f = *state;
	struct answer answer = { 0, -1 };

	open_log(f);
	assert_int_equal(freyja_sync_async(f->log, answered, &answer), 0);
	assert_int_equal(answer.count, 1); /* nothing to wait for */
	put(f, "a", "1");
	assert_int_equal(freyja_sync_async(f->log, answered, &answer), 0);
	while (answer.count < 2)
		(void)usleep(1000);
	assert_int_equal(stats_of(f).durable_position, HEADER_BYTES + 2);
	for (int i = 0; i < 20; i++) {
		put(f, "a", "1");
		assert_int_equal(freyja_sync_async(f->log, answered, &answer), 0);
	}
	close_log(f); /* waits for all */
	assert_int_equal(answer.count, 22);
	assert_int_equal(answer.err, 0);
}

/* --- opening and closing --- */

static void test_close(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(freyja_close(&f->log), 0); /* never opened */
	open_log(f);
	put(f, "a", "1");
	close_log(f);
	close_log(f);
	open_log(f);
	assert_string_equal(text_from(f, 0), "a=1 ");
}

static const struct config_case {
	const char *name;
	struct freyja_config config; /* laid over the defaults where it is not 0 */
	int err;
	const char *message; /* is in the message */
} config_cases[] = {
	{ "interval below 0", { .fsync_interval_ns = -1 }, -EINVAL, "fsync_interval_ns" },
	{ "interval above an hour",
	  { .fsync_interval_ns = INT64_C(3600000000001) },
	  -EINVAL,
	  "fsync_interval_ns" },
	{ "buffer below 0", { .buffer_size_bytes = -1 }, -EINVAL, "buffer_size_bytes" },
	{ "buffer above 1 GiB",
	  { .buffer_size_bytes = (INT64_C(1) << 30) + 1 },
	  -EINVAL,
	  "buffer_size_bytes" },
	{ "segments below 1 KiB", { .segment_size_bytes = 1023 }, -EINVAL, "segment_size_bytes" },
	{ "preallocation below 0", { .preallocate_bytes = -1 }, -EINVAL, "preallocate_bytes" },
	{ "preallocation above 1 GiB",
	  { .preallocate_bytes = FREYJA_AUTO - 1 },
	  -EINVAL,
	  "preallocate_bytes" },
	{ "an unknown flag", { .flags = 2 }, -EINVAL, "flags" },
	{ "an empty path", { .path = "" }, -EINVAL, "file_path" },
	{ "no parent directory", { .path = "no/such/x.data" }, -ENOENT, "no/such" },
	{ "read only, and no log", { .flags = FREYJA_READ_ONLY }, -ENOENT, "active.data" },
};

static void test_config_error(void **state)
{
	struct fixture *f = *state;
	const struct config_case *c = f->row;
	char message[512] = "";

	f->config.flags = c->config.flags;
	f->config.buffer_size_bytes = c->config.buffer_size_bytes;
	f->config.segment_size_bytes = c->config.segment_size_bytes;
	f->config.preallocate_bytes = c->config.preallocate_bytes;
	if (c->config.fsync_interval_ns != 0)
		f->config.fsync_interval_ns = c->config.fsync_interval_ns;
	if (c->config.path != NULL)
		f->config.path = c->config.path;
	assert_int_equal(freyja_open(&f->config, &f->log, message, sizeof(message)), c->err);
	assert_null(f->log);
	assert_non_null(strstr(message, c->message));
	assert_int_equal(freyja_open(&f->config, &f->log, NULL, 0), c->err);
}

static void test_adaptive_head_room(void **state)
{
	struct fixture *f = *state;

	f->config.preallocate_bytes = FREYJA_AUTO;
	assert_int_equal(freyja_open(&f->config, &f->log, NULL, 0), 0);
}

static void test_defaults(void **state)
{
	struct freyja_config config;

	freyja_config_init(&config, sizeof(config));
	assert_int_equal(config.struct_bytes, sizeof(config));
	assert_null(config.path);
	assert_int_equal(config.fsync_interval_ns, 1000000000);
	assert_int_equal(config.buffer_size_bytes, 0);
	assert_int_equal(config.segment_size_bytes, 0);
	assert_int_equal(config.preallocate_bytes, 0);
	assert_int_equal(config.flags, 0);
	assert_string_equal(freyja_version(), FREYJAFS_VERSION);
}

/* Programs that were compiled with an older and with a later header. */
static void test_other_sizes(void **state)
{
	struct fixture *f = *state;
	struct {
		struct freyja_config config;
		uint64_t later;
	} large;
	struct {
		struct freyja_stats stats;
		uint64_t later;
	} stats;

	freyja_config_init(&large.config, sizeof(large));
	assert_int_equal(large.later, 0);
	large.config.path = f->path;
	assert_int_equal(freyja_open(&large.config, &f->log, NULL, 0), 0);
	stats.stats.segments = 7;
	freyja_get_stats(f->log, &stats.stats, offsetof(struct freyja_stats, segments));
	assert_int_equal(stats.stats.segments, 7);
	memset(&stats, 0xff, sizeof(stats));
	freyja_get_stats(f->log, &stats.stats, sizeof(stats));
	assert_int_equal(stats.stats.segments, 1);
	assert_int_equal(stats.later, 0);
	close_log(f);
	large.later = 1;
	assert_int_equal(freyja_open(&large.config, &f->log, NULL, 0), -E2BIG);
	large.config.struct_bytes = offsetof(struct freyja_config, flags);
	large.config.flags = 2; /* behind its end: not seen */
	assert_int_equal(freyja_open(&large.config, &f->log, NULL, 0), 0);
}

static void test_directory(void **state)
{
	struct fixture *f = *state;

	f->config.path = unit_path("%s/db/", f->dir);
	open_log(f);
	put(f, "a", "1");
	close_log(f);
	assert_true(unit_exists(unit_path("%s/db/active.data", f->dir)));
}

static void test_second_open(void **state)
{
	struct fixture *f = *state;
	struct freyja_log *other = NULL;
	char message[512];

	open_log(f);
	assert_int_equal(freyja_open(&f->config, &other, message, sizeof(message)), -EWOULDBLOCK);
	assert_null(other);
	assert_non_null(strstr(message, f->path));
	assert_int_equal(freyja_open(&f->config, &other, message, 4), -EWOULDBLOCK);
	assert_int_equal(strlen(message), 3);
}

static void test_read_only(void **state)
{
	struct fixture *f = *state;
	struct freyja_log *writer;
	struct answer answer = { 0, -1 };

	open_log(f);
	put(f, "a", "1");
	writer = f->log;
	f->config.flags = FREYJA_READ_ONLY;
	open_log(f);
	assert_int_equal(freyja_put(writer, "b", 1, "2", 1, NULL), 0);
	assert_string_equal(text_from(f, 0), "a=1 ");
	assert_int_equal(freyja_put(f->log, "c", 1, "3", 1, NULL), -EROFS);
	assert_int_equal(freyja_sync(f->log), 0);
	assert_int_equal(freyja_sync_async(f->log, answered, &answer), 0);
	assert_int_equal(answer.count, 1);
	assert_int_equal(answer.err, 0);
	close_log(f);
	assert_int_equal(freyja_close(&writer), 0);
}

static void test_torn_tail(void **state)
{
	struct fixture *f = *state;
	char message[512] = "";
	struct unit_file file;

	open_log(f);
	put(f, "a", "1");
	put(f, "b", "2");
	file = unit_read_file(f->path);
	close_log(f);
	f->config.path = unit_path("%s/torn.data", f->dir);
	unit_write_file(f->config.path, file.data, file.bytes - 1);
	free(file.data);
	assert_int_equal(freyja_open(&f->config, &f->log, message, sizeof(message)), 0);
	assert_non_null(strstr(message, "torn.data"));
	assert_string_equal(text_from(f, 0), "a=1 ");
}

/* --- threads --- */

#define WRITERS	   2
#define PER_THREAD 500

struct writing {
	struct freyja_log *log;
	int id, failures;
};

/* Puts records "w0-000" ..., each third one in a group with "w0-000g". */
static void *writer_main(void *arg)
{
	struct writing *w = arg;

	for (int i = 0; i < PER_THREAD; i++) {
		char key[16], other[20];

		(void)snprintf(key, sizeof(key), "w%d-%03d", w->id, i);
		(void)snprintf(other, sizeof(other), "%sg", key);
		if (i % 3 == 0) {
			struct freyja_item items[] = { item(key, key), item(other, key) };

			w->failures += freyja_put_group(w->log, items, 2, NULL) != 0;
		} else {
			w->failures +=
				freyja_put(w->log, key, strlen(key), key, strlen(key), NULL) != 0;
		}
	}
	return NULL;
}

/* Reads the next record, which is the next one of a writer, or the second one of its group. */
static void check_next(const struct freyja_record *record, int next[WRITERS], bool *in_group)
{
	size_t key_bytes, value_bytes;
	const char *key = freyja_record_key(record, &key_bytes);
	const char *value = freyja_record_value(record, &value_bytes);
	int id = key[1] - '0';

	assert_true(id >= 0 && id < WRITERS);
	if (*in_group)
		next[id]--;
	assert_int_equal(key_bytes, *in_group ? 7 : 6);
	assert_int_equal(value_bytes, 6);
	assert_memory_equal(key, value, 6);
	assert_memory_equal(key, unit_path("w%d-%03d", id, next[id]), 6);
	*in_group = !*in_group && next[id] % 3 == 0;
	next[id]++;
}

static void test_reading_while_writing(void **state)
{
	struct fixture *f = *state;
	struct writing writers[WRITERS];
	pthread_t threads[WRITERS];
	const struct freyja_record *record;
	struct freyja_iter *iter;
	int next[WRITERS] = { 0 };
	bool in_group = false;

	f->config.buffer_size_bytes = 4096;
	f->config.segment_size_bytes = 8192;
	open_log(f);
	for (int i = 0; i < WRITERS; i++) {
		writers[i] = (struct writing){ .log = f->log, .id = i };
		assert_int_equal(pthread_create(&threads[i], NULL, writer_main, &writers[i]), 0);
	}
	assert_int_equal(freyja_iter_open(f->log, 0, &iter), 0);
	while (next[0] + next[1] < WRITERS * PER_THREAD || in_group) {
		int got = freyja_iter_next(iter, &record);

		assert_true(got >= 0);
		if (got == 1 && freyja_record_kind(record) != FREYJA_META)
			check_next(record, next, &in_group);
	}
	assert_int_equal(freyja_iter_next(iter, &record), 0);
	freyja_iter_close(iter);
	for (int i = 0; i < WRITERS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(writers[i].failures, 0);
	}
}

static void add_table_rows(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(large_cases); i++)
		add_row(large_cases[i].name, test_large, &large_cases[i]);
	for (size_t i = 0; i < ARRAY_SIZE(get_cases); i++)
		add_row(unit_name("get: %s", get_cases[i].name), test_get_error, &get_cases[i]);
	for (size_t i = 0; i < ARRAY_SIZE(put_cases); i++)
		add_row(unit_name("put: %s", put_cases[i].name), test_put_error, &put_cases[i]);
	for (size_t i = 0; i < ARRAY_SIZE(config_cases); i++)
		add_row(unit_name("open: %s", config_cases[i].name), test_config_error,
			&config_cases[i]);
}

int main(void)
{
	add_row("put and get", test_put_and_get, NULL);
	add_row("a record outlives the log", test_record_outlives_the_log, NULL);
	add_row("an iterator follows the log", test_iterator_follows, NULL);
	add_row("an iterator reads ahead", test_iterator_reads_ahead, NULL);
	add_row("damage stops an iterator", test_damage_stops_an_iterator, NULL);
	add_row("segments", test_segments, NULL);
	add_row("segments as one file", test_segments_as_one_file, NULL);
	add_row("group", test_group, NULL);
	add_row("group: positions", test_group_positions_in_an_iterator, NULL);
	add_row("group: atomic, cut at each byte", test_group_is_atomic, NULL);
	add_row("group: damaged", test_no_group, NULL);
	add_row("group: none, or too large", test_group_of_nonsense, NULL);
	add_row("full disk", test_full_disk, NULL);
	add_row("failed sync", test_failed_sync, NULL);
	add_row("failed sync of a durable put", test_durable_put_fails, NULL);
	add_row("sync", test_sync, NULL);
	add_row("asynchronous sync", test_sync_async, NULL);
	add_row("close, also twice", test_close, NULL);
	add_row("defaults", test_defaults, NULL);
	add_row("adaptive head room", test_adaptive_head_room, NULL);
	add_row("structs of other versions", test_other_sizes, NULL);
	add_row("directory", test_directory, NULL);
	add_row("second open", test_second_open, NULL);
	add_row("read only", test_read_only, NULL);
	add_row("torn tail", test_torn_tail, NULL);
	add_row("reading while writing", test_reading_while_writing, NULL);
	add_table_rows();
	return unit_run("freyjalog", rows, row_count);
}
