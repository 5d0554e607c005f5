/* SPDX-License-Identifier: MIT */
/* Commits, decoded: what a record needs of its value, which records announce others, and in which
 * order all of them take effect. */
#include "codec/commit.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/unit.h"

#define RECORDS_MAX 8

/* --- decoding --- */

static const struct decode_case {
	const char *name;
	const char *key;
	size_t key_bytes;
	const char *value;
	uint32_t value_bytes, held_bytes;
	enum meta_error want;
	unsigned int kind; /* also after an error */
} decode_cases[] = {
#define S(text) text, sizeof(text) - 1
#define ID	"\1\0\0\0\0\0\0\0"
#define ZEROS8	"\0\0\0\0\0\0\0\0"
	{ "put, none of its value held", S("key"), NULL, 1000, 0, META_OK, 0 },
	{ "tombstone", S("key"), NULL, 0, 0, META_OK, 0 },
	{ "empty key", S(""), NULL, 5, 0, META_OK, 0 },
	{ "NUL alone", S("\0"), S("\1\0"), 2, META_ERROR_SHORT, 0 },
	{ "unknown kind", S("\0zpath"), S("\1\0"), 2, META_ERROR_KIND, 0 },
	{ "move", S("\0mold"), S("\1\0" ZEROS8 "new"), 13, META_OK, 'm' },
	{ "link", S("\0lold"), S("\1\0" ZEROS8 "new"), 13, META_OK, 'l' },
	{ "move, not all of it held", S("\0mold"), S("\1\0" ZEROS8 "new"), 12, META_ERROR_LONG,
	  'm' },
	{ "move of another version", S("\0mold"), S("\2\0" ZEROS8 "new"), 13, META_ERROR_VERSION,
	  'm' },
	{ "link with a flag of moves", S("\0lold"), S("\1\2" ZEROS8 ZEROS8 "new"), 21,
	  META_ERROR_FLAGS, 'l' },
	{ "publish", S("\0ppath"), S("\1\0" ID ID), 18, META_OK, 'p' },
	{ "publish, too long", S("\0ppath"), S("\1\0" ID ID "x"), 19, META_ERROR_VALUE, 'p' },
	{ "base", S("\0b"), S("\1\0" ID ID), 18, META_OK, 'b' },
	{ "segment", S("\0s"), S("\1\0" ID ID ID), 26, META_OK, 's' },
	{ "segment 0", S("\0s"), S("\1\0" ZEROS8 ID ID), 26, META_ERROR_VALUE, 's' },
	{ "attr of a fifo", S("\0apath"), S("\1\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0"), 16, META_OK, 'a' },
	{ "attr of type 8", S("\0apath"), S("\1\0\10\0\0\0\0\0\0\0\0\0\0\0\0\0"), 16,
	  META_ERROR_VALUE, 'a' },
	{ "extent of one byte", S("\0e" ID), S("\1\0" ZEROS8 "x"), 11, META_OK, 'e' },
	{ "extent without an id", S("\0e" ZEROS8), S("\1\0" ZEROS8 "x"), 11, META_ERROR_VALUE,
	  'e' },
	{ "short extent, not all of it held", S("\0e" ID), S("\1\0" ZEROS8 "x"), 10,
	  META_ERROR_LONG, 'e' },
	{ "long extent, its front held", S("\0e" ID), "\1\0" ZEROS8 "12345678", 1000,
	  META_HOLE_BYTES, META_OK, 'e' },
	{ "long extent, less than that held", S("\0e" ID), "\1\0" ZEROS8 "12345678", 1000,
	  META_HOLE_BYTES - 1, META_ERROR_LONG, 'e' },
};

static void test_decode(void **state)
{
	const struct decode_case *c = *state;
	const struct record rec = { .key = c->key,
				    .key_bytes = (uint32_t)c->key_bytes,
				    .value = c->value,
				    .value_bytes = c->value_bytes };
	size_t skip = c->kind != 0 ? META_KEY_PREFIX_BYTES : 0;
	struct commit_record got;

	memset(&got, 0xff, sizeof(got));
	assert_int_equal(commit_record_decode(&rec, c->held_bytes, &got), c->want);
	assert_int_equal(got.kind, c->kind);
	if (c->want == META_ERROR_SHORT || c->want == META_ERROR_KIND)
		return;
	assert_false(got.unnameable);
	assert_ptr_equal(got.path, c->key + skip);
	assert_int_equal(got.path_bytes, c->key_bytes - skip);
	if (c->kind == 0)
		assert_int_equal(got.value_bytes, c->value_bytes);
	if (c->want == META_OK && (c->kind == 'm' || c->kind == 'l')) {
		assert_int_equal(got.move.new_path_bytes, 3);
		assert_memory_equal(got.move.new_path, "new", 3);
	}
	if (c->want == META_OK && c->kind == 'p')
		assert_int_equal(got.publish.staging_id, 1);
	if (c->want == META_OK && c->kind == 'e') {
		assert_int_equal(got.staging_id, 1);
		assert_int_equal(got.extent.bytes, c->value_bytes - META_EXTENT_FIXED_BYTES);
	}
}

/* --- the records of a commit --- */

/* Makes records of words: "D" and "F" are attr records of a directory and of a file, "m" a move,
 * "b" a base; "p" a put, "t" a tombstone, "U" the announcement of a value for an unnameable key and
 * "Z" a dropped value, each with the letter of its key behind it. */
static size_t make_records(const char *words, struct commit_record *ret)
{
	size_t count = 0;

	for (const char *w = words; *w != '\0'; w++) {
		struct commit_record *r = &ret[count++];

		assert_true(count <= RECORDS_MAX);
		*r = (struct commit_record){ .path = w, .path_bytes = 1 };
		if (*w == 'D' || *w == 'F') {
			r->kind = META_ATTR;
			r->attr.type = *w == 'D' ? META_TYPE_DIRECTORY : META_TYPE_FILE;
		} else if (*w == 'm' || *w == 'b') {
			r->kind = *w == 'm' ? META_MOVE : META_BASE;
		} else {
			if (*w == 'U' || *w == 'Z') {
				r->kind = META_PUBLISH;
				r->publish.flags =
					META_FLAG_MORE |
					(*w == 'U' ? META_FLAG_UNNAMEABLE : META_FLAG_DROPPED);
			} else {
				r->value_bytes = *w == 'p' ? 1 : 0;
			}
			r->path = ++w;
		}
	}
	return count;
}

static const struct order_case {
	const char *name;
	const char *words;
	const char *want; /* the index of each step */
} order_cases[] = {
	{ "a put", "pa", "0" },
	{ "a base", "b", "0" },
	{ "attributes of a file", "F", "0" },
	{ "attributes of a directory", "D", "00" },
	{ "a directory, then what moves, then the directory", "mD", "101" },
	{ "what moves and puts stays in order", "mUxpx", "012" },
	{ "attributes of a file come behind its content", "Fpa", "10" },
	{ "all of them", "FDmFDpa", "14250314" },
};

static void test_order(void **state)
{
	const struct order_case *c = *state;
	struct commit_record records[RECORDS_MAX];
	size_t n = 0, count = make_records(c->words, records);
	struct commit_step step = { 0 };

	while (commit_next(records, count, &step)) {
		assert_true(n < strlen(c->want));
		assert_int_equal(step.index, c->want[n++] - '0');
	}
	assert_int_equal(n, strlen(c->want));
	assert_false(commit_next(records, count, &step));
}

static const struct unnameable_case {
	const char *name;
	const char *words;
	const char *want; /* of each record, whether it is unnameable */
	bool resolved;
} unnameable_cases[] = {
	{ "nothing announced", "paZb", "00", true },
	{ "a put", "Uapa", "01", true },
	{ "a dropped value", "UaZa", "01", true },
	{ "nothing follows", "Ua", "0", false },
	{ "another key follows", "Uapb", "00", false },
	{ "only the first of its key", "UaZapa", "010", true },
	{ "other records between", "UaDFmpbpa", "000001", true },
	{ "a tombstone is no value", "Uata", "00", false },
	{ "a value before it", "ZaUa", "00", false },
	{ "two keys", "UaZaUbpb", "0101", true },
};

static void test_unnameable(void **state)
{
	const struct unnameable_case *c = *state;
	struct commit_record records[RECORDS_MAX];
	size_t count = make_records(c->words, records);

	assert_int_equal(count, strlen(c->want));
	assert_int_equal(commit_resolve_unnameable(records, count), c->resolved);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(records[i].unnameable, c->want[i] == '1');
}

int main(void)
{
	struct CMUnitTest tests[ARRAY_SIZE(decode_cases) + ARRAY_SIZE(order_cases) +
				ARRAY_SIZE(unnameable_cases)];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(decode_cases); i++)
		tests[n++] = (struct CMUnitTest){ decode_cases[i].name, test_decode, NULL, NULL,
						  (void *)(uintptr_t)&decode_cases[i] };
	for (size_t i = 0; i < ARRAY_SIZE(order_cases); i++)
		tests[n++] = (struct CMUnitTest){ order_cases[i].name, test_order, NULL, NULL,
						  (void *)(uintptr_t)&order_cases[i] };
	for (size_t i = 0; i < ARRAY_SIZE(unnameable_cases); i++)
		tests[n++] = (struct CMUnitTest){ unnameable_cases[i].name, test_unnameable, NULL,
						  NULL, (void *)(uintptr_t)&unnameable_cases[i] };
	return unit_run("commit", tests, n);
}
