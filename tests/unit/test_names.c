/* SPDX-License-Identifier: MIT */
/* The names of the files in a DATADIR, and which names a store takes for its own. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "writer/log/names.h"

static const struct hint_case {
	const char *name;
	bool is_hint;
	uint64_t number, generation;
	bool temp;
} hint_cases[] = {
	{ "000001.hint", true, 1, 1, false },
	{ "000001.hint.new", true, 1, 1, true },
	{ "000007.2.hint", true, 7, 2, false },
	{ "1234567.hint", true, 1234567, 1, false },
	{ "active.hint", true, 0, 0, false },
	{ "active.hint.new", true, 0, 0, true },
	{ "000001.data", false },
	{ "000001.data.new", false },
	{ "active.data", false },
	{ "active.5.hint", false },
	{ "1.hint", false },
	{ "000000.hint", false },
	{ "000001.1.hint", false },
	{ "000001.hint.old", false },
	{ "000001.65520.full.hint", false },
	{ "00notes.hint", false },
	{ "my.hint", false },
	{ ".hint", false },
	{ ".hint.new", false },
	{ ".new", false },
	{ "", false },
	{ "00000000000000000000000000000000000000000000000000000000000000000000001.hint", false },
};

static void test_hint(void **state)
{
	const struct hint_case *c = *state;
	struct segment_id id = { 99, 99 };
	bool temp = false;

	assert_int_equal(hint_name_parse(c->name, &id, &temp), c->is_hint);
	if (!c->is_hint)
		return;
	assert_int_equal(id.number, c->number);
	assert_int_equal(id.generation, c->generation);
	assert_int_equal(temp, c->temp);
}

static void test_beside_log(void **state)
{
	char name[16];

	assert_int_equal(hint_file_name("active.data", name, sizeof(name)), 0);
	assert_string_equal(name, "active.hint");
	assert_int_equal(synced_mark_name(ACTIVE_NAME, name, sizeof(name)), 0);
	assert_string_equal(name, ACTIVE_MARK_NAME);
	assert_int_equal(synced_mark_name("log", name, sizeof(name)), 0);
	assert_string_equal(name, "log.synced");
	assert_int_equal(synced_mark_name(".data", name, sizeof(name)), 0);
	assert_string_equal(name, ".data.synced");
	assert_int_equal(synced_mark_name("12345678.data", name, sizeof(name)), 0);
	assert_int_equal(synced_mark_name("123456789.data", name, sizeof(name)), -ENAMETOOLONG);
}

static void test_uses(void **state)
{
	static const char *const ours[] = { "active.data",   "active.synced",
					    "active.hint",   "MANIFEST",
					    "MANIFEST.new",  "lock",
					    "socket",	     "quarantine",
					    "reserve",	     "reserve.segment",
					    "000001.data",   "000001.70790.full",
					    "000001.2.hint", "000001.data.salvage" };
	static const char *const others[] = { "", ".", "..", "lost+found", "notes", "act.data" };

	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		assert_true(store_uses_name(ours[i]));
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		assert_false(store_uses_name(others[i]));
}

int main(void)
{
	struct CMUnitTest tests[ARRAY_SIZE(hint_cases) + 2] = {
		{ "names beside a log", test_beside_log, NULL, NULL, NULL },
		{ "names that a store uses", test_uses, NULL, NULL, NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(hint_cases); i++) {
		void *row = (void *)(uintptr_t)&hint_cases[i];

		tests[2 + i] =
			(struct CMUnitTest){ hint_cases[i].name, test_hint, NULL, NULL, row };
	}
	return unit_run("names", tests, ARRAY_SIZE(tests));
}
