/* SPDX-License-Identifier: MIT */
/* Messages about values that cannot be read or committed: what they say, and how many there are. */
#include <stdio.h>
#include <string.h>

#include "fuse/base/troubles.h"
#include "tests/unit/unit.h"

static bool tell(struct troubles *t, const char *path, uint64_t offset, uint64_t now_ns, char *line)
{
	const struct trouble trouble = { .kind = TROUBLE_READ,
					 .path = path,
					 .path_bytes = strlen(path),
					 .segment = 7,
					 .file_offset = offset,
					 .reason = "the CRC does not match" };

	return troubles_line(t, &trouble, now_ns, line);
}

static void test_text(void **state)
{
	const struct trouble commit = { .kind = TROUBLE_COMMIT,
					.path = "a",
					.path_bytes = 1,
					.reason = "No space left on device" };
	const struct trouble unnamed = { .kind = TROUBLE_SCRUB, .segment = 1, .reason = "x" };
	const struct trouble rotate = { .kind = TROUBLE_ROTATE, .reason = "Too many open files" };
	char line[TROUBLES_LINE_MAX], path[4000];
	struct troubles t;

	troubles_init(&t, "/mnt");
	assert_true(tell(&t, "d/a\nb", 12, 1, line));
	assert_string_equal(line, "/mnt: keys/d/a?b: cannot be read: the CRC does not match "
				  "(segment 7, offset 12)");
	assert_true(troubles_line(&t, &commit, 1, line));
	assert_string_equal(line, "/mnt: keys/a: the value was not committed: "
				  "No space left on device");
	assert_true(troubles_line(&t, &unnamed, 1, line));
	assert_string_equal(line, "/mnt: keys/(no path): scrub: the record is damaged: x "
				  "(segment 1, offset 0)");
	assert_true(troubles_line(&t, &rotate, 1, line));
	assert_string_equal(line, "/mnt: the log cannot go on in a new file, so active.data grows "
				  "past segment_size: Too many open files");
	memset(path, 'p', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	assert_true(tell(&t, path, 13, 1, line));
	assert_non_null(strstr(line, "keys/...ppp"));
	assert_non_null(strstr(line, "(segment 7, offset 13)"));
	assert_int_equal(atomic_load(&t.counts[TROUBLE_READ]), 2);
	assert_int_equal(atomic_load(&t.counts[TROUBLE_COMMIT]), 1);
	troubles_destroy(&t);
}

static void test_not_too_many(void **state)
{
	char line[TROUBLES_LINE_MAX];
	struct troubles t;
	size_t told = 0;

	troubles_init(&t, "/mnt");
	for (uint64_t i = 0; i < 1000; i++)
		told += tell(&t, "a", i, 1, line);
	assert_int_equal(told, TROUBLES_MAX);
	assert_int_equal(atomic_load(&t.counts[TROUBLE_READ]), 1000);
	assert_false(tell(&t, "a", 2000, TROUBLES_WINDOW_NS, line));
	assert_true(tell(&t, "a", 2000, TROUBLES_WINDOW_NS + 1, line));
	assert_non_null(strstr(line, unit_path("; %d messages before", 1000 - TROUBLES_MAX + 1)));
	/* Each read of one record gets an error, and one message. */
	for (int i = 0; i < 100; i++)
		assert_false(tell(&t, "a", 2000, TROUBLES_WINDOW_NS + 2, line));
	assert_true(tell(&t, "a", 2001, TROUBLES_WINDOW_NS + 2, line));
	troubles_destroy(&t);
}

/* A program that tries names in a loop does not fill the journal. */
static void test_refusals(void **state)
{
	const char *why = "the store is below keys/";
	char line[TROUBLES_LINE_MAX];
	struct troubles t;

	troubles_init(&t, "/mnt");
	assert_true(troubles_refusal(&t, "a\nb", why, 1, line));
	assert_string_equal(line, "/mnt/a?b: refused: the store is below keys/");
	for (uint64_t i = 0; i < 100; i++)
		assert_false(troubles_refusal(&t, "c", why, 1 + i, line));
	assert_false(troubles_refusal(&t, "c", why, REFUSALS_PAUSE_NS, line));
	assert_true(troubles_refusal(&t, "c", why, REFUSALS_PAUSE_NS + 1, line));
	assert_string_equal(line, "/mnt/c: refused: the store is below keys/");
	troubles_destroy(&t);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_not_too_many),
		cmocka_unit_test(test_refusals),
	};

	return unit_run("troubles", tests, ARRAY_SIZE(tests));
}
