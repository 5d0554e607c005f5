/* SPDX-License-Identifier: MIT */
/* Reading ahead: which bytes of the log a store asks for, and which values count as unread. */
#include "tests/unit/store_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/store_ops.h"
#include "writer/base/io.h"

#define FILES	    300
#define VALUE_BYTES 4000

/* The operating system, and the newest call of will_need. */
static struct io_ops ops;
static struct io io = { &ops };
static struct {
	size_t calls;
	int fd;
	uint64_t offset, n;
} asked;

static void note_will_need(struct io *self, int fd, uint64_t offset, uint64_t n)
{
	asked.calls++;
	asked.fd = fd;
	asked.offset = offset;
	asked.n = n;
}

static struct store *open_store(const struct store_fixture *f)
{
	const struct store_config config = { .dir_path = f->data_dir,
					     .fsync_interval_ns = LOG_WRITER_NEVER,
					     .segment_size_bytes = 1 << 20,
					     .io = &io };
	struct store *s;
	struct diag diag;

	if (store_open(&config, &s, &diag) < 0)
		fail_msg("%s", diag.text);
	return s;
}

static void name_of(char name[8], int file)
{
	(void)snprintf(name, 8, "f%03d", file);
}

/* A store of files in the order of their names, in two segments, that has just been opened. */
static struct store *make_store(const struct store_fixture *f)
{
	struct store *s;
	char value[VALUE_BYTES + 1], name[8];

	ops = *io_posix.ops;
	ops.will_need = note_will_need;
	memset(value, 'v', VALUE_BYTES);
	value[VALUE_BYTES] = '\0';
	s = open_store(f);
	for (int i = 0; i < FILES; i++) {
		name_of(name, i);
		ops_write_ok(s, name, value);
	}
	assert_int_equal(store_close(s), 0);
	memset(&asked, 0, sizeof(asked));
	return open_store(f);
}

static void read_ahead(struct store *s, int file)
{
	struct node *n;
	char name[8];

	name_of(name, file);
	n = ops_find_ok(s, name);
	store_read_ahead(s, n, 0);
	store_unpin(s, n, 1);
}

static void read_files(struct store *s, int from, int to)
{
	struct node *n;
	char name[8];

	for (int i = from; i < to; i++) {
		name_of(name, i);
		n = ops_find_ok(s, name);
		assert_int_equal(ops_verify(s, n), 0);
		store_unpin(s, n, 1);
	}
}

static size_t unread_bytes(struct store *s, const char *name)
{
	struct node *n = ops_find_ok(s, name);
	size_t bytes = store_unread_bytes(s, n);

	store_unpin(s, n, 1);
	return bytes;
}

static void test_window(void **state)
{
	struct store *s = make_store(*state);
	uint64_t first;
	int first_fd;

	read_ahead(s, 20);
	assert_int_equal(asked.calls, 1);
	assert_int_equal(asked.n, STORE_AHEAD_MIN);
	assert_int_equal(asked.offset % asked.n, 0);
	assert_in_range(20 * VALUE_BYTES, asked.offset, asked.offset + asked.n);
	first = asked.offset;
	first_fd = asked.fd;
	read_ahead(s, FILES - 1); /* in the other segment */
	assert_int_not_equal(asked.fd, first_fd);
	read_files(s, 0, 100); /* without a wait for the disk */
	read_ahead(s, 150);
	assert_int_equal(asked.calls, 3);
	assert_in_range(asked.n, STORE_AHEAD_MAX / 2, STORE_AHEAD_MAX);
	assert_int_equal(asked.offset % asked.n, 0);
	for (int i = 0; i < 100; i++)
		read_ahead(s, 150); /* nothing of it is read */
	assert_int_equal(asked.n, STORE_AHEAD_MIN);
	assert_true(asked.offset > first);
	assert_int_equal(store_close(s), 0);
}

/* Only first reads show what lies on the disk in the order of reading. */
static void test_second_reads_do_not_count(void **state)
{
	struct store *s = make_store(*state);

	read_files(s, 0, 1);
	for (int i = 0; i < 100; i++)
		read_files(s, 0, 1);
	read_ahead(s, 0);
	assert_int_equal(asked.calls, 0);
	read_ahead(s, 1);
	assert_int_equal(asked.n, STORE_AHEAD_MIN);
	assert_int_equal(store_close(s), 0);
}

/* The kernel reads a large value ahead in larger requests than these. */
static void test_large_value(void **state)
{
	struct store *s = make_store(*state);
	char *value = malloc(STORE_AHEAD_MIN + 1);
	struct node *n;

	assert_non_null(value);
	memset(value, 'v', STORE_AHEAD_MIN);
	value[STORE_AHEAD_MIN] = '\0';
	ops_write_ok(s, "large", value);
	n = ops_find_ok(s, "large");
	store_read_ahead(s, n, 0);
	assert_int_equal(asked.calls, 0);
	store_unpin(s, n, 1);
	free(value);
	assert_int_equal(store_close(s), 0);
}

static void test_unread(void **state)
{
	struct store *s = make_store(*state);

	assert_int_equal(unread_bytes(s, "f000"), VALUE_BYTES);
	read_files(s, 0, 1);
	assert_int_equal(unread_bytes(s, "f000"), 0);
	ops_write_ok(s, "f001", "of this mount");
	ops_write_ok(s, "new", "of this mount");
	ops_write_ok(s, "f002", "");
	assert_int_equal(unread_bytes(s, "f001"), 0);
	assert_int_equal(unread_bytes(s, "new"), 0);
	assert_int_equal(unread_bytes(s, "f002"), 0);
	assert_int_equal(unread_bytes(s, "f003"), VALUE_BYTES);
	assert_int_equal(store_close(s), 0);
}

int main(void)
{
#define TEST(test) \
	cmocka_unit_test_setup_teardown(test, store_fixture_setup, store_fixture_teardown)
	static const struct CMUnitTest tests[] = {
		TEST(test_window),
		TEST(test_second_reads_do_not_count),
		TEST(test_large_value),
		TEST(test_unread),
	};

	return unit_run("read_ahead", tests, ARRAY_SIZE(tests));
}
