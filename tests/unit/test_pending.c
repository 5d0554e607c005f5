/* SPDX-License-Identifier: MIT */
/* The pending value: ranges, holes, limits, and which times a commit is to set. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

#include "fuse/open/pending.h"

static struct timespec at(time_t sec)
{
	return (struct timespec){ .tv_sec = sec, .tv_nsec = 7 };
}

static void assert_time(struct timespec got, time_t sec)
{
	assert_int_equal(got.tv_sec, sec);
	assert_int_equal(got.tv_nsec, 7);
}

/* An active pending value with nothing below it, and not dirty. */
static struct pending active(const char *text)
{
	struct pending p = PENDING_INIT;

	pending_begin(&p, false, 99);
	assert_int_equal(p.size_bytes, 0);
	assert_int_equal(pending_write(&p, text, strlen(text), 0, at(0)), 0);
	p.dirty = false;
	return p;
}

/* The pending bytes in memory: a hole as '_', no pending byte as '.'. */
static void assert_ranges(const struct pending *p, const char *want)
{
	char got[128];
	struct range r;
	size_t at = 0;

	while (ranges_find(&p->ranges, at, &r)) {
		assert_true(r.offset + r.bytes < sizeof(got));
		memset(got + at, '.', r.offset - at);
		if (r.data != NULL)
			memcpy(got + r.offset, r.data, r.bytes);
		else
			memset(got + r.offset, '_', r.bytes);
		at = r.offset + r.bytes;
	}
	got[at] = '\0';
	assert_string_equal(got, want);
}

/* --- content --- */

static const struct write_case {
	const char *name;
	const char *before;
	const char *data;
	uint64_t offset;
	const char *want;
	uint64_t want_bytes;
} writes[] = {
	{ "into an empty value", "", "abc", 0, "abc", 3 },
	{ "over the beginning", "hello", "J", 0, "Jello", 5 },
	{ "over the end and past it", "hello", "pers", 3, "helpers", 7 },
	{ "at the end", "hello", " you", 5, "hello you", 9 },
	{ "past the end", "ab", "z", 5, "ab...z", 6 },
	{ "nothing at all", "ab", "", 0, "ab", 2 },
	{ "nothing past the end", "ab", "", 100, "ab", 2 },
};

static void test_write(void **state)
{
	const struct write_case *c = *state;
	struct pending p = active(c->before);

	assert_int_equal(pending_write(&p, c->data, strlen(c->data), c->offset, at(5)), 0);
	assert_true(p.dirty);
	assert_ranges(&p, c->want);
	assert_int_equal(p.size_bytes, c->want_bytes);
	pending_drop(&p);
	assert_int_equal(p.ranges.memory_bytes, 0);
	assert_false(p.active);
}

/* Over a committed value, what is cut or zeroed is hidden by a hole. */
static void test_holes_over_the_committed(void **state)
{
	struct pending p = PENDING_INIT;

	pending_begin(&p, true, 20);
	assert_false(p.dirty);
	assert_int_equal(pending_write(&p, "abc", 3, 8, at(1)), 0);
	assert_int_equal(pending_truncate(&p, 10, at(2)), 0);
	assert_ranges(&p, "........ab__________");
	assert_int_equal(p.size_bytes, 10);
	assert_int_equal(pending_truncate(&p, 15, at(3)), 0);
	assert_ranges(&p, "........ab__________");
	assert_int_equal(p.size_bytes, 15);
	assert_int_equal(pending_zero(&p, 2, 3, false, at(4)), 0);
	assert_int_equal(pending_zero(&p, 14, 30, false, at(4)), 0);
	assert_ranges(&p, "..___...ab__________");
	assert_int_equal(p.size_bytes, 15);
	assert_int_equal(pending_zero(&p, 14, 30, true, at(4)), 0);
	assert_int_equal(p.size_bytes, 44);
	assert_true(p.keep);
	assert_int_equal(pending_truncate(&p, 0, at(5)), 0); /* nothing is left to hide */
	assert_false(p.keep);
	assert_ranges(&p, "");
	assert_int_equal(pending_truncate(&p, 9, at(5)), 0);
	assert_ranges(&p, "");
	pending_drop(&p);
}

/* Over nothing there is nothing to hide. */
static void test_no_holes_over_nothing(void **state)
{
	struct pending p = active("secret");

	assert_int_equal(pending_truncate(&p, 2, at(1)), 0);
	assert_ranges(&p, "se");
	assert_int_equal(pending_truncate(&p, 6, at(2)), 0);
	assert_ranges(&p, "se");
	assert_int_equal(pending_write(&p, "abcd", 4, 2, at(3)), 0);
	assert_int_equal(pending_zero(&p, 1, 2, false, at(3)), 0);
	assert_ranges(&p, "s..bcd");
	pending_drop(&p);
}

static void test_staged(void **state)
{
	struct pending p = active("hello");

	assert_int_equal(pending_staged(&p, 4, 10, at(7)), 0);
	assert_true(p.dirty);
	assert_time(p.written_at, 7);
	assert_int_equal(p.size_bytes, 14);
	assert_ranges(&p, "hell");
	pending_drop(&p);
}

static void test_limits(void **state)
{
	struct pending p = active("abc");
	uint64_t max = STORE_CONTENT_BYTES_MAX;

	assert_int_equal(pending_write(&p, "x", 1, max, at(1)), -EFBIG);
	assert_int_equal(pending_write(&p, "xy", 2, UINT64_MAX, at(1)), -EFBIG);
	assert_int_equal(pending_write(&p, "x", 1, UINT64_MAX - 1, at(1)), -EFBIG);
	assert_int_equal(pending_truncate(&p, max + 1, at(1)), -EFBIG);
	assert_int_equal(pending_zero(&p, max, 1, true, at(1)), -EFBIG);
	assert_false(p.dirty);
	assert_ranges(&p, "abc");
	assert_int_equal(pending_write(&p, "x", 1, max - 1, at(1)), 0);
	assert_int_equal(p.size_bytes, max);
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
	struct pending p = active("");
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
	struct pending p = active("");
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

	/* An attribute that one commit has set is not set again by the next. */
	pending_committed(&p);
	assert_false(p.dirty);
	assert_int_equal(pending_write(&p, "e", 1, 4, at(40)), 0);
	assert_false(pending_commit_set(&p, &set));
	pending_drop(&p);
}

static void test_ctime_of_a_chmod_while_dirty(void **state)
{
	struct pending p = active("");
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
	struct pending p = active("");
	struct store_attr attr = node_attr();

	attr.atime = at(77);
	assert_int_equal(pending_write(&p, "abc", 3, 0, at(10)), 0);
	pending_show(&p, &attr);
	assert_time(attr.atime, 77);
	pending_drop(&p);
}

int main(void)
{
	static const struct CMUnitTest fixed[] = {
		cmocka_unit_test(test_holes_over_the_committed),
		cmocka_unit_test(test_no_holes_over_nothing),
		cmocka_unit_test(test_staged),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_times_of_a_write),
		cmocka_unit_test(test_times_set_while_dirty),
		cmocka_unit_test(test_ctime_of_a_chmod_while_dirty),
		cmocka_unit_test(test_atime_set_before_stays),
	};
	static struct CMUnitTest tests[ARRAY_SIZE(writes) + ARRAY_SIZE(fixed)];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(writes); i++)
		tests[n++] = (struct CMUnitTest){ unit_name("write %s", writes[i].name), test_write,
						  NULL, NULL, (void *)(uintptr_t)&writes[i] };
	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
		tests[n++] = fixed[i];
	return unit_run("pending", tests, n);
}
