/* SPDX-License-Identifier: MIT */
/* Which keys are paths, and how a path splits. */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "codec/path.h"

#define S(text)	 (text), sizeof(text) - 1
#define X16	 "xxxxxxxxxxxxxxxx"
#define X64	 X16 X16 X16 X16
#define NAME_255 X64 X64 X64 X16 X16 X16 "xxxxxxxxxxxxxxx"

static const struct path_case {
	const char *name;
	const char *key;
	size_t key_bytes;
	bool want;
	size_t components;
} cases[] = {
	{ "one letter", S("a"), true, 1 },
	{ "one name", S("hello"), true, 1 },
	{ "two components", S("a/b"), true, 2 },
	{ "three components", S("users/42/name"), true, 3 },
	{ "space, newline and high bytes", S("a b\n\xff\xfe/\xc3\xaf"), true, 2 },
	{ "colon and backslash", S("relationship:a\\b"), true, 1 },
	{ "three dots", S("..."), true, 1 },
	{ "hidden name", S(".profile"), true, 1 },
	{ "two dots and more", S("..a"), true, 1 },
	{ "name that ends in dots", S("a.."), true, 1 },
	{ "name of 255 bytes", S(NAME_255), true, 1 },
	{ "name of 255 bytes below a directory", S("d/" NAME_255), true, 2 },
	{ "two names of 255 bytes", S(NAME_255 "/" NAME_255), true, 2 },
	{ "empty key", S(""), false, 0 },
	{ "slash alone", S("/"), false, 0 },
	{ "leading slash", S("/a"), false, 0 },
	{ "trailing slash", S("a/"), false, 0 },
	{ "empty component", S("a//b"), false, 0 },
	{ "dot", S("."), false, 0 },
	{ "two dots", S(".."), false, 0 },
	{ "dot first", S("./a"), false, 0 },
	{ "dot in the middle", S("a/./b"), false, 0 },
	{ "dot last", S("a/."), false, 0 },
	{ "two dots first", S("../a"), false, 0 },
	{ "two dots in the middle", S("odd/../name"), false, 0 },
	{ "two dots last", S("a/.."), false, 0 },
	{ "name of 256 bytes", S(NAME_255 "x"), false, 0 },
	{ "name of 256 bytes below a directory", S("d/" NAME_255 "x"), false, 0 },
	{ "name of 256 bytes above a file", S(NAME_255 "x/f"), false, 0 },
	{ "NUL alone", S("\0"), false, 0 },
	{ "NUL first", S("\0a"), false, 0 },
	{ "NUL inside", S("a\0b"), false, 0 },
	{ "NUL last", S("a\0"), false, 0 },
	{ "NUL in the second component", S("a/b\0"), false, 0 },
};

/* The key stands alone in memory, so that a sanitizer sees a read past its end. */
static char *exact_copy(const char *key, size_t key_bytes)
{
	char *copy = malloc(key_bytes + 1);

	assert_non_null(copy);
	copy = realloc(copy, key_bytes > 0 ? key_bytes : 1);
	assert_non_null(copy);
	memcpy(copy, key, key_bytes);
	return copy;
}

static void test_path(void **state)
{
	const struct path_case *c = *state;
	char *key = exact_copy(c->key, c->key_bytes);
	size_t pos = 0, components = 0, bytes = 0, n;
	const char *name;

	assert_int_equal(path_ok(key, c->key_bytes), c->want);
	if (c->want) {
		while ((n = path_next(key, c->key_bytes, &pos, &name)) > 0) {
			assert_true(path_name_ok(name, n));
			assert_memory_equal(name, c->key + bytes, n);
			bytes += n + 1;
			components++;
		}
		assert_int_equal(components, c->components);
		assert_int_equal(bytes, c->key_bytes + 1);
	}
	if (c->components <= 1 && memchr(c->key, '/', c->key_bytes) == NULL)
		assert_int_equal(path_name_ok(key, c->key_bytes), c->want);
	free(key);
}

static void test_longest_path(void **state)
{
	char *key = malloc(PATH_BYTES_MAX + 1);

	assert_non_null(key);
	memset(key, 'x', PATH_BYTES_MAX + 1);
	for (size_t i = 255; i < PATH_BYTES_MAX - 1; i += 256)
		key[i] = '/';
	assert_true(path_ok(key, PATH_BYTES_MAX));
	assert_false(path_ok(key, PATH_BYTES_MAX + 1));
	free(key);
}

static void test_name_with_a_slash(void **state)
{
	assert_false(path_name_ok("a/b", 3));
	assert_false(path_name_ok("/", 1));
}

int main(void)
{
	struct CMUnitTest tests[ARRAY_SIZE(cases) + 2] = {
		{ "65535 bytes are a path, 65536 are not", test_longest_path, NULL, NULL, NULL },
		{ "a name has no slash", test_name_with_a_slash, NULL, NULL, NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		void *row = (void *)(uintptr_t)&cases[i];

		tests[2 + i] = (struct CMUnitTest){ cases[i].name, test_path, NULL, NULL, row };
	}
	return unit_run("path", tests, ARRAY_SIZE(tests));
}
