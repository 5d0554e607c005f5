/* SPDX-License-Identifier: MIT */
/* The pending value: bytes, holes, limits, and which times a commit is to set. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuse/pending.h"

static struct timespec at(time_t sec)
{
	return (struct timespec){ .tv_sec = sec, .tv_nsec = 7 };
}

static void assert_time(struct timespec got, time_t sec)
{
	assert_int_equal(got.tv_sec, sec);
	assert_int_equal(got.tv_nsec, 7);
}

/* A loaded, clean pending value. */
static struct pending loaded(const char *text)
{
	struct pending p = PENDING_INIT;

	assert_int_equal(pending_load(&p, strlen(text)), 0);
	if (text[0] != '\0')
		memcpy(p.bytes, text, strlen(text));
	return p;
}

static void assert_content(const struct pending *p, const void *want, size_t n)
{
	uint8_t *got = malloc(n + 16);

	assert_non_null(got);
	assert_int_equal(p->size_bytes, n);
	assert_int_equal(pending_read(p, got, n + 16, 0), n);
	if (n > 0)
		assert_memory_equal(got, want, n);
	free(got);
}

/* --- content --- */

static const struct write_case {
	const char *name;
	const char *before;
	const char *data;
	uint64_t offset;
	const char *want;
	size_t want_bytes;
} writes[] = {
	{ "into an empty value", "", "abc", 0, "abc", 3 },
	{ "over the beginning", "hello", "J", 0, "Jello", 5 },
	{ "over the end and past it", "hello", "pers", 3, "helpers", 7 },
	{ "at the end", "hello", " you", 5, "hello you", 9 },
	{ "past the end leaves zeros", "ab", "z", 5, "ab\0\0\0z", 6 },
	{ "nothing at all", "ab", "", 0, "ab", 2 },
	{ "nothing past the end", "ab", "", 100, "ab", 2 },
};

static void test_write(void **state)
{
	const struct write_case *c = *state;
	struct pending p = loaded(c->before);

	assert_false(p.dirty);
	assert_int_equal(pending_write(&p, c->data, strlen(c->data), c->offset, at(5)), 0);
	assert_true(p.dirty);
	assert_content(&p, c->want, c->want_bytes);
	pending_drop(&p);
	assert_null(p.bytes);
	assert_false(p.loaded);
}

static void test_truncate_hides_old_bytes(void **state)
{
	struct pending p = loaded("secret");

	assert_int_equal(pending_truncate(&p, 2, at(1)), 0);
	assert_content(&p, "se", 2);
	assert_int_equal(pending_truncate(&p, 6, at(2)), 0);
	assert_content(&p, "se\0\0\0\0", 6);
	assert_int_equal(pending_truncate(&p, 1, at(3)), 0);
	assert_int_equal(pending_write(&p, "!", 1, 4, at(4)), 0);
	assert_content(&p, "s\0\0\0!", 5);
	pending_drop(&p);
}

static void test_reserve_changes_nothing(void **state)
{
	struct pending p = loaded("abc");

	assert_int_equal(pending_reserve(&p, 4096), 0);
	assert_false(p.dirty);
	assert_content(&p, "abc", 3);
	assert_true(p.capacity_bytes >= 4096);
	assert_int_equal(p.bytes[4095], 0);
	pending_drop(&p);
}

static void test_appends_grow_by_half(void **state)
{
	struct pending p = loaded("");
	size_t grown = 0;

	for (uint64_t i = 0; i < 100000; i++) {
		uint64_t capacity = p.capacity_bytes;

		assert_int_equal(pending_write(&p, "0123456789", 10, i * 10, at(1)), 0);
		grown += p.capacity_bytes != capacity;
	}
	assert_int_equal(p.size_bytes, 1000000);
	assert_true(grown < 50); /* log of 100000 to the base of 1.5 is 28 */
	for (uint64_t i = 0; i < p.size_bytes; i++)
		assert_int_equal(p.bytes[i], '0' + i % 10);
	pending_drop(&p);
}

static void test_limits(void **state)
{
	struct pending p = loaded("abc");

	assert_int_equal(pending_write(&p, "x", 1, STORE_VALUE_BYTES_MAX, at(1)), -EFBIG);
	assert_int_equal(pending_write(&p, "xy", 2, UINT64_MAX, at(1)), -EFBIG);
	assert_int_equal(pending_write(&p, "x", 1, UINT64_MAX - 1, at(1)), -EFBIG);
	assert_int_equal(pending_truncate(&p, (uint64_t)STORE_VALUE_BYTES_MAX + 1, at(1)), -EFBIG);
	assert_false(p.dirty);
	assert_content(&p, "abc", 3);
	pending_drop(&p);
}

static void test_read_stops_at_the_end(void **state)
{
	struct pending p = loaded("hello");
	char buf[8];

	assert_int_equal(pending_read(&p, buf, sizeof(buf), 3), 2);
	assert_memory_equal(buf, "lo", 2);
	assert_int_equal(pending_read(&p, buf, 2, 1), 2);
	assert_memory_equal(buf, "el", 2);
	assert_int_equal(pending_read(&p, buf, sizeof(buf), 5), 0);
	assert_int_equal(pending_read(&p, buf, sizeof(buf), UINT64_MAX), 0);
	pending_drop(&p);
}

/* --- times --- */

static struct store_attr node_attr(void)
{
	return (struct store_attr){
		.size_bytes = 99, .mtime = at(1), .atime = at(1), .ctime = at(1)
	};
}

static void test_times_of_a_write(void **state)
{
	struct pending p = loaded("");
	struct store_attr attr = node_attr();
	struct store_set set;

	assert_int_equal(pending_write(&p, "abc", 3, 0, at(10)), 0);
	assert_false(p.shown);
	assert_false(pending_commit_set(&p, &set));
	pending_show(&p, &attr);
	assert_true(p.shown);
	assert_int_equal(attr.size_bytes, 3);
	assert_time(attr.mtime, 10);
	assert_time(attr.ctime, 10);
	assert_time(attr.atime, 10); /* follows */
	assert_time(p.written_at, 10);
	assert_false(pending_commit_set(&p, &set)); /* 'written_at_shown' says it all */
	assert_int_equal(pending_write(&p, "d", 1, 3, at(11)), 0);
	assert_false(p.shown); /* nobody has seen the new time */
	pending_drop(&p);
}

static void test_times_set_while_dirty(void **state)
{
	struct pending p = loaded("");
	struct store_set by_hand = {
		.which = STORE_SET_MTIME | STORE_SET_ATIME | STORE_SET_MODE,
		.mtime = at(500),
		.atime = at(600),
	};
	struct store_attr attr = node_attr();
	struct store_set set;

	assert_int_equal(pending_write(&p, "abc", 3, 0, at(10)), 0);
	pending_set_times(&p, &by_hand, at(20));
	pending_show(&p, &attr);
	assert_time(attr.mtime, 500);
	assert_time(attr.atime, 600);
	assert_time(attr.ctime, 20);
	assert_true(pending_commit_set(&p, &set));
	assert_int_equal(set.which, STORE_SET_MTIME | STORE_SET_ATIME | STORE_SET_CTIME);
	assert_time(set.mtime, 500);
	assert_time(set.atime, 600);
	assert_time(set.ctime, 20);

	/* A later write drops the mtime, and keeps the atime. */
	assert_int_equal(pending_write(&p, "d", 1, 3, at(30)), 0);
	attr = node_attr();
	pending_show(&p, &attr);
	assert_time(attr.mtime, 30);
	assert_time(attr.atime, 600);
	assert_true(pending_commit_set(&p, &set));
	assert_int_equal(set.which, STORE_SET_ATIME | STORE_SET_CTIME);

	/* What one commit has set is not set again by the next. */
	pending_committed(&p);
	assert_false(p.dirty);
	assert_int_equal(pending_write(&p, "e", 1, 4, at(40)), 0);
	assert_false(pending_commit_set(&p, &set));
	pending_drop(&p);
}

static void test_ctime_of_a_chmod_while_dirty(void **state)
{
	struct pending p = loaded("");
	struct store_attr attr = node_attr();
	struct store_set set;

	assert_int_equal(pending_write(&p, "abc", 3, 0, at(10)), 0);
	attr.ctime = at(15); /* the node was changed after the write */
	pending_show(&p, &attr);
	assert_time(attr.mtime, 10);
	assert_time(attr.ctime, 15);
	assert_true(pending_commit_set(&p, &set)); /* it was shown, so it is kept */
	assert_int_equal(set.which, STORE_SET_CTIME);
	assert_time(set.ctime, 15);
	pending_drop(&p);
}

static void test_atime_set_before_stays(void **state)
{
	struct pending p = loaded("");
	struct store_attr attr = node_attr();

	attr.atime = at(77);
	assert_int_equal(pending_write(&p, "abc", 3, 0, at(10)), 0);
	pending_show(&p, &attr);
	assert_time(attr.atime, 77);
	pending_drop(&p);
}

int main(void)
{
	static struct CMUnitTest tests[ARRAY_SIZE(writes) + 16];
	static const struct CMUnitTest fixed[] = {
		cmocka_unit_test(test_truncate_hides_old_bytes),
		cmocka_unit_test(test_reserve_changes_nothing),
		cmocka_unit_test(test_appends_grow_by_half),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_read_stops_at_the_end),
		cmocka_unit_test(test_times_of_a_write),
		cmocka_unit_test(test_times_set_while_dirty),
		cmocka_unit_test(test_ctime_of_a_chmod_while_dirty),
		cmocka_unit_test(test_atime_set_before_stays),
	};
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(writes); i++)
		tests[n++] = (struct CMUnitTest){ unit_name("write %s", writes[i].name), test_write,
						  NULL, NULL, (void *)(uintptr_t)&writes[i] };
	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
		tests[n++] = fixed[i];
	return unit_run("pending", tests, n);
}
