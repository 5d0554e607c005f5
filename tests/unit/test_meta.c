/* SPDX-License-Identifier: MIT */
/* Meta records: golden bytes, round trips, and a refusal for everything that is not known. */
#include "tests/unit/unit.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "codec/le.h"
#include "codec/meta.h"
#include "codec/record.h"

#define S(text)	     (text), sizeof(text) - 1
#define ROWS_MAX     512
#define ALL_TIMES    (META_FIELD_MTIME | META_FIELD_ATIME | META_FIELD_CTIME)
#define WHOLE_FIELDS (ALL_TIMES | META_FIELD_INO | META_FIELD_XATTRS)
#define WHOLE_BYTES  94
#define ATTR_BUFFER  256
#define MOVE_BUFFER  64

static struct CMUnitTest rows[ROWS_MAX];
static size_t row_count;

static void add_row(const char *name, CMUnitTestFunction fn, const void *state)
{
	if (row_count == ROWS_MAX)
		abort();
	rows[row_count++] = (struct CMUnitTest){ name, fn, NULL, NULL, (void *)(uintptr_t)state };
}

static uint8_t *exact_copy(const void *data, size_t n)
{
	uint8_t *copy = malloc(n > 0 ? n : 1);

	assert_non_null(copy);
	memcpy(copy, data, n);
	return copy;
}

/* user.a = "1", trusted.empty = "" */
static const uint8_t whole_xattrs[] = "\6\1\0\0\0user.a1"
				      "\15\0\0\0\0trusted.empty";

static const struct meta_attr whole_attr = {
	.flags = META_FLAG_MORE,
	.type = META_TYPE_FILE,
	.content = META_CONTENT_EMPTY,
	.fields = WHOLE_FIELDS,
	.mode = 06741,
	.uid = 1000,
	.gid = 0xfffffffe,
	.mtime = { 1795346587, 697513122 },
	.atime = { -1, 999999999 },
	.ctime = { INT64_MAX, 1 },
	.ino = 0xfedcba9876543210,
	.xattrs = whole_xattrs,
	.xattrs_bytes = sizeof(whole_xattrs) - 1,
};

/* --- attr: golden bytes --- */

static const struct attr_case {
	const char *name;
	const char *golden; /* in GOLDEN_DIR; NULL: round trip only */
	struct meta_attr attr;
	size_t bytes;
} attr_cases[] = {
	{ "directory",
	  "attr_directory.bin",
	  { .type = META_TYPE_DIRECTORY, .mode = 0755, .uid = 1000, .gid = 100 },
	  16 },
	{ "empty file",
	  "attr_empty_file.bin",
	  { .type = META_TYPE_FILE, .content = META_CONTENT_EMPTY, .mode = 0644 },
	  16 },
	{ "directory that exists only through its keys",
	  "attr_implicit.bin",
	  { .flags = META_FLAG_IMPLICIT,
	    .type = META_TYPE_DIRECTORY,
	    .fields = META_FIELD_MTIME,
	    .mode = 0755,
	    .uid = 1000,
	    .gid = 100,
	    .mtime = { 1700000000, 5 } },
	  28 },
	{ "every field",
	  "attr_every_field.bin",
	  { .flags = META_FLAG_MORE,
	    .type = META_TYPE_FILE,
	    .content = META_CONTENT_EMPTY,
	    .fields = WHOLE_FIELDS,
	    .mode = 06741,
	    .uid = 1000,
	    .gid = 0xfffffffe,
	    .mtime = { 1795346587, 697513122 },
	    .atime = { -1, 999999999 },
	    .ctime = { INT64_MAX, 1 },
	    .ino = 0xfedcba9876543210,
	    .xattrs = whole_xattrs,
	    .xattrs_bytes = sizeof(whole_xattrs) - 1 },
	  WHOLE_BYTES },
	{ "symlink",
	  "attr_symlink.bin",
	  { .type = META_TYPE_SYMLINK,
	    .fields = META_FIELD_TARGET,
	    .mode = 0777,
	    .target = "../where",
	    .target_bytes = 8 },
	  26 },
	{ "character device",
	  "attr_device.bin",
	  { .type = META_TYPE_CHAR_DEVICE,
	    .fields = META_FIELD_RDEV,
	    .mode = 0640,
	    .gid = 5,
	    .rdev_major = 5,
	    .rdev_minor = 70000 },
	  24 },
	{ "block device with every number",
	  NULL,
	  { .type = META_TYPE_BLOCK_DEVICE,
	    .fields = ALL_TIMES | META_FIELD_RDEV | META_FIELD_INO,
	    .ino = 1,
	    .rdev_major = UINT32_MAX,
	    .rdev_minor = UINT32_MAX },
	  META_ATTR_BYTES_MAX },
	{ "new file under a name that something has",
	  NULL,
	  { .type = META_TYPE_FILE, .content = META_CONTENT_NEW, .mode = 0600 },
	  16 },
	{ "fifo", NULL, { .type = META_TYPE_FIFO, .mode = 0600 }, 16 },
	{ "socket, no xattrs any more",
	  NULL,
	  { .type = META_TYPE_SOCKET, .fields = META_FIELD_XATTRS },
	  20 },
	{ "one xattr, set",
	  "attr_xattr_set.bin",
	  { .type = META_TYPE_FILE,
	    .fields = META_FIELD_XATTR,
	    .mode = 0644,
	    .xattr = { S("user.a"), (const uint8_t *)"one", 3 } },
	  31 },
	{ "one xattr, removed",
	  "attr_xattr_removed.bin",
	  { .type = META_TYPE_DIRECTORY,
	    .fields = META_FIELD_INO | META_FIELD_XATTR,
	    .mode = 0755,
	    .ino = 9,
	    .xattr = { S("user.a"), NULL, 0 } },
	  36 },
	{ "one xattr, set to nothing",
	  NULL,
	  { .type = META_TYPE_FIFO,
	    .fields = META_FIELD_XATTR,
	    .xattr = { S("user.a"), (const uint8_t *)"", 0 } },
	  28 },
	{ "atime alone",
	  "attr_atime.bin",
	  { .type = META_TYPE_FILE,
	    .fields = META_FIELD_ATIME,
	    .mode = 0600,
	    .uid = 1,
	    .gid = 2,
	    .atime = { 5, 6 } },
	  28 },
	{ "mtime alone, before the epoch",
	  NULL,
	  { .type = META_TYPE_FILE, .fields = META_FIELD_MTIME, .mtime = { INT64_MIN, 0 } },
	  28 },
	{ "ctime alone",
	  NULL,
	  { .type = META_TYPE_DIRECTORY, .fields = META_FIELD_CTIME, .ctime = { 7, 8 } },
	  28 },
	{ "mtime and ctime",
	  NULL,
	  { .type = META_TYPE_FILE,
	    .fields = META_FIELD_MTIME | META_FIELD_CTIME,
	    .mtime = { 1, 2 },
	    .ctime = { 3, 4 } },
	  40 },
	{ "mode 07777, largest ids",
	  NULL,
	  { .type = META_TYPE_FILE, .mode = 07777, .uid = UINT32_MAX, .gid = UINT32_MAX },
	  16 },
};

static void assert_same_time(const struct meta_time *a, const struct meta_time *b)
{
	assert_true(a->sec == b->sec);
	assert_int_equal(a->nsec, b->nsec);
}

static void assert_same_attr(const struct meta_attr *a, const struct meta_attr *b)
{
	assert_int_equal(a->flags, b->flags);
	assert_int_equal(a->type, b->type);
	assert_int_equal(a->content, b->content);
	assert_int_equal(a->fields, b->fields);
	assert_int_equal(a->mode, b->mode);
	assert_int_equal(a->uid, b->uid);
	assert_int_equal(a->gid, b->gid);
	assert_same_time(&a->mtime, &b->mtime);
	assert_same_time(&a->atime, &b->atime);
	assert_same_time(&a->ctime, &b->ctime);
	assert_int_equal(a->rdev_major, b->rdev_major);
	assert_int_equal(a->rdev_minor, b->rdev_minor);
	assert_true(a->ino == b->ino);
	assert_int_equal(a->target_bytes, b->target_bytes);
	if (a->target_bytes > 0)
		assert_memory_equal(a->target, b->target, a->target_bytes);
	assert_int_equal(a->xattrs_bytes, b->xattrs_bytes);
	if (a->xattrs_bytes > 0)
		assert_memory_equal(a->xattrs, b->xattrs, a->xattrs_bytes);
	assert_int_equal(a->xattr.name_bytes, b->xattr.name_bytes);
	assert_int_equal(a->xattr.value == NULL, b->xattr.value == NULL);
	assert_int_equal(a->xattr.value_bytes, b->xattr.value_bytes);
	if (a->xattr.name_bytes > 0)
		assert_memory_equal(a->xattr.name, b->xattr.name, a->xattr.name_bytes);
	if (a->xattr.value_bytes > 0)
		assert_memory_equal(a->xattr.value, b->xattr.value, a->xattr.value_bytes);
}

static void test_attr_golden(void **state)
{
	const struct attr_case *c = *state;
	struct unit_file golden = unit_read_file(unit_path("%s/%s", GOLDEN_DIR, c->golden));
	uint8_t buf[ATTR_BUFFER];
	struct meta_attr got;

	assert_int_equal(meta_attr_bytes(&c->attr), c->bytes);
	assert_int_equal(meta_attr_encode(&c->attr, buf), c->bytes);
	assert_int_equal(golden.bytes, c->bytes);
	assert_memory_equal(buf, golden.data, c->bytes);
	assert_int_equal(meta_attr_decode(golden.data, golden.bytes, &got), META_OK);
	assert_same_attr(&got, &c->attr);
	free(golden.data);
}

static void test_attr_round_trip(void **state)
{
	const struct attr_case *c = *state;
	uint8_t buf[ATTR_BUFFER + 8];
	struct meta_attr got;

	for (size_t align = 0; align < 8; align++) {
		assert_int_equal(meta_attr_encode(&c->attr, buf + align), c->bytes);
		assert_int_equal(meta_attr_decode(buf + align, c->bytes, &got), META_OK);
		assert_same_attr(&got, &c->attr);
	}
}

/* --- attr: everything else is refused, and 'ret' is untouched --- */

static void assert_attr_refused(const uint8_t *value, size_t n, enum meta_error want)
{
	uint8_t *exact = exact_copy(value, n);
	struct meta_attr got = { .uid = 4711, .mode = 01234 };
	enum meta_error err = meta_attr_decode(exact, n, &got);

	free(exact);
	assert_int_equal(err, want);
	assert_int_equal(got.uid, 4711);
	assert_int_equal(got.mode, 01234);
}

/* One byte of the encoding of 'whole_attr' replaced. */
static const struct attr_byte_case {
	const char *name;
	size_t at;
	uint8_t byte;
	enum meta_error want;
} attr_bytes[] = {
	{ "type 0", 2, 0, META_ERROR_VALUE },
	{ "symlink without a target", 2, META_TYPE_SYMLINK, META_ERROR_VALUE },
	{ "fifo with content = empty", 2, META_TYPE_FIFO, META_ERROR_VALUE },
	{ "device without a number", 2, META_TYPE_CHAR_DEVICE, META_ERROR_VALUE },
	{ "type 8", 2, 8, META_ERROR_VALUE },
	{ "xattr without a name", 64, 0, META_ERROR_VALUE },
	{ "xattr name that ends behind the list", 64, 255, META_ERROR_VALUE },
	{ "xattr value that ends behind the list", 68, 1, META_ERROR_VALUE },
	{ "xattr name with a NUL", 70, 0, META_ERROR_VALUE },
	{ "type 255", 2, 255, META_ERROR_VALUE },
	{ "content 3", 3, 3, META_ERROR_VALUE },
	{ "content 255", 3, 255, META_ERROR_VALUE },
	{ "directory with content = empty", 2, META_TYPE_DIRECTORY, META_ERROR_VALUE },
	{ "mode 010000", 7, 0x10, META_ERROR_VALUE },
	{ "mode 0100000, a type in it", 7, 0x80, META_ERROR_VALUE },
	{ "mtime of 2^32 - 1 ns or so", 27, 0xff, META_ERROR_VALUE },
	{ "atime of 2^32 - 1 ns or so", 39, 0xff, META_ERROR_VALUE },
	{ "ctime of 2^32 - 1 ns or so", 51, 0xff, META_ERROR_VALUE },
};

static void test_attr_byte(void **state)
{
	const struct attr_byte_case *c = *state;
	uint8_t buf[ATTR_BUFFER];
	size_t n = meta_attr_encode(&whole_attr, buf);

	buf[c->at] = c->byte;
	assert_attr_refused(buf, n, c->want);
}

static void test_attr_version(void **state)
{
	for (unsigned int v = 0; v <= 255; v++) {
		uint8_t buf[ATTR_BUFFER];
		size_t n = meta_attr_encode(&whole_attr, buf);

		buf[0] = (uint8_t)v;
		if (v != 1)
			assert_attr_refused(buf, n, META_ERROR_VERSION);
	}
}

static void test_attr_flags(void **state)
{
	for (unsigned int flags = 0; flags <= 255; flags++) {
		uint8_t buf[ATTR_BUFFER];
		size_t n = meta_attr_encode(&whole_attr, buf);
		struct meta_attr got;

		buf[1] = (uint8_t)flags;
		if ((flags & ~1u) != 0) /* a file is there by itself */
			assert_attr_refused(buf, n,
					    flags & ~0x11u ? META_ERROR_FLAGS : META_ERROR_VALUE);
		else
			assert_int_equal(meta_attr_decode(buf, n, &got), META_OK);
	}
}

static void test_attr_fields(void **state)
{
	for (int bit = 8; bit < 16; bit++) {
		uint8_t buf[ATTR_BUFFER];
		size_t n = meta_attr_encode(&whole_attr, buf);

		le16_store(buf + 4, (uint16_t)(whole_attr.fields | (1u << bit)));
		assert_attr_refused(buf, n, META_ERROR_FLAGS);
	}
}

/* A number that no file has, a target that no file has. */
static void test_attr_fields_of_others(void **state)
{
	static const uint16_t others[] = { META_FIELD_RDEV, META_FIELD_TARGET, META_FIELD_XATTR };

	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		uint8_t buf[ATTR_BUFFER];
		size_t n = meta_attr_encode(&whole_attr, buf);

		le16_store(buf + 4, (uint16_t)(whole_attr.fields | others[i]));
		assert_attr_refused(buf, n, META_ERROR_VALUE);
	}
}

/* All fields are there, the field bits say otherwise. */
static void test_attr_fields_against_size(void **state)
{
	for (unsigned int fields = 0; fields <= META_FIELDS_KNOWN; fields++) {
		uint8_t buf[ATTR_BUFFER];
		size_t n = meta_attr_encode(&whole_attr, buf);
		struct meta_attr got;
		enum meta_error err;

		if (fields == WHOLE_FIELDS)
			continue;
		le16_store(buf + 4, (uint16_t)fields);
		err = meta_attr_decode(buf, n, &got);
		assert_true(err == META_ERROR_VALUE || err == META_ERROR_SHORT);
	}
}

static void test_attr_target(void **state)
{
	static const struct {
		const char *target;
		size_t bytes;
		enum meta_error want;
	} cases[] = {
		{ S("x"), META_OK },
		{ S(""), META_ERROR_VALUE },
		{ S("a\0b"), META_ERROR_VALUE },
	};
	static char longest[META_TARGET_BYTES_MAX + 1];
	struct meta_attr attr = { .type = META_TYPE_SYMLINK, .fields = META_FIELD_TARGET }, got;
	uint8_t buf[META_TARGET_BYTES_MAX + ATTR_BUFFER];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		attr.target = cases[i].target;
		attr.target_bytes = cases[i].bytes;
		assert_int_equal(meta_attr_decode(buf, meta_attr_encode(&attr, buf), &got),
				 cases[i].want);
	}
	memset(longest, 'x', sizeof(longest));
	attr.target = longest;
	attr.target_bytes = META_TARGET_BYTES_MAX;
	assert_int_equal(meta_attr_decode(buf, meta_attr_encode(&attr, buf), &got), META_OK);
	attr.target_bytes = META_TARGET_BYTES_MAX + 1;
	assert_int_equal(meta_attr_decode(buf, meta_attr_encode(&attr, buf), &got),
			 META_ERROR_VALUE);
}

/* One change of an xattr, each byte of it wrong in turn. */
static void test_attr_xattr(void **state)
{
	static const struct {
		size_t at;
		uint8_t byte;
		enum meta_error want;
	} cases[] = {
		{ 16, 0, META_ERROR_VALUE },   /* removed, and it has a value */
		{ 16, 2, META_ERROR_VALUE },   /* neither set nor removed */
		{ 17, 0, META_ERROR_VALUE },   /* without a name */
		{ 17, 9, META_ERROR_SHORT },   /* a name that takes in the value */
		{ 17, 255, META_ERROR_SHORT }, /* and one that ends behind it */
		{ 18, 2, META_ERROR_VALUE },   /* a byte left over */
		{ 18, 4, META_ERROR_SHORT },   { 21, 255, META_ERROR_SHORT },
		{ 24, 0, META_ERROR_VALUE }, /* a NUL in the name */
	};
	const struct meta_attr attr = { .type = META_TYPE_FILE,
					.fields = META_FIELD_XATTR,
					.xattr = { S("user.a"), (const uint8_t *)"one", 3 } };
	uint8_t buf[ATTR_BUFFER];
	size_t n = meta_attr_encode(&attr, buf);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		(void)meta_attr_encode(&attr, buf);
		buf[cases[i].at] = cases[i].byte;
		assert_attr_refused(buf, n, cases[i].want);
	}
	(void)meta_attr_encode(&attr, buf);
	for (size_t keep = 0; keep < n; keep++)
		assert_attr_refused(buf, keep, META_ERROR_SHORT);
}

/* A list of so many names that they are sorted: with one of them twice it is refused. */
static void test_xattrs_distinct(void **state)
{
	static const size_t counts[] = { 2, 32, 33, 3000 };

	for (size_t c = 0; c < ARRAY_SIZE(counts); c++) {
		size_t count = counts[c], bytes = count * (XATTRS_ENTRY_BYTES + 5);
		uint8_t *list = calloc(1, bytes), *end = list;

		assert_non_null(list);
		for (size_t i = 0; i < count; i++) {
			const char *name = unit_path("n%04zx", i * 7919 % 4096);

			end = xattr_encode(&(struct xattr){ name, 5, list, 0 }, end);
		}
		assert_true(xattrs_ok(list, bytes));
		memcpy(list + XATTRS_ENTRY_BYTES, list + bytes - 5, 5); /* the last is the first */
		assert_false(xattrs_ok(list, bytes));
		free(list);
	}
}

static void test_attr_ino_zero(void **state)
{
	struct meta_attr attr = { .type = META_TYPE_FILE, .fields = META_FIELD_INO };
	uint8_t buf[ATTR_BUFFER];

	assert_attr_refused(buf, meta_attr_encode(&attr, buf), META_ERROR_VALUE);
}

static void test_attr_cut(void **state)
{
	size_t keep = (size_t)(uintptr_t)*state;
	uint8_t buf[ATTR_BUFFER];
	size_t n = meta_attr_encode(&whole_attr, buf);

	assert_in_range(keep, 0, n - 1);
	assert_attr_refused(buf, keep, META_ERROR_SHORT);
}

static void test_attr_trailing(void **state)
{
	for (size_t extra = 1; extra <= 40; extra++) {
		uint8_t buf[ATTR_BUFFER + 40] = { 0 };
		size_t n = meta_attr_encode(&whole_attr, buf);

		assert_attr_refused(buf, n + extra, META_ERROR_VALUE);
		n = meta_attr_encode(&attr_cases[0].attr, buf);
		assert_attr_refused(buf, n + extra, META_ERROR_VALUE);
	}
}

static void test_attr_nsec(void **state)
{
	static const size_t nsec_at[] = { 24, 36, 48 };

	for (size_t i = 0; i < ARRAY_SIZE(nsec_at); i++) {
		uint8_t buf[ATTR_BUFFER];
		size_t n = meta_attr_encode(&whole_attr, buf);
		struct meta_attr got;

		le32_store(buf + nsec_at[i], 999999999);
		assert_int_equal(meta_attr_decode(buf, n, &got), META_OK);
		le32_store(buf + nsec_at[i], 1000000000);
		assert_attr_refused(buf, n, META_ERROR_VALUE);
		le32_store(buf + nsec_at[i], UINT32_MAX);
		assert_attr_refused(buf, n, META_ERROR_VALUE);
	}
}

/* --- move --- */

static const struct move_case {
	const char *name;
	const char *golden;
	uint8_t flags;
	uint64_t ino, other_ino;
	const char *new_path;
	size_t new_path_bytes;
} move_cases[] = {
	{ "move", "move_plain.bin", 0, 0xfedcba9876543210, 0, S("users/43") },
	{ "exchange", "move_exchange.bin", META_FLAG_EXCHANGE, 1, 2, S("b") },
	{ "more", "move_more.bin", META_FLAG_MORE, 0, 0, S("d/new") },
	{ "more and exchange", NULL, META_FLAG_MORE | META_FLAG_EXCHANGE, 3, 4, S("x") },
	{ "path that is none, not this layer's business", NULL, 0, 0, 0, S("a//../\0b") },
};

static size_t encode_move(const struct move_case *c, uint8_t buf[MOVE_BUFFER])
{
	struct meta_move move = { .flags = c->flags, .ino = c->ino, .other_ino = c->other_ino };
	size_t fixed = meta_move_encode_fixed(&move, buf);

	memcpy(buf + fixed, c->new_path, c->new_path_bytes);
	return fixed + c->new_path_bytes;
}

static void assert_golden(const char *name, const uint8_t *buf, size_t n)
{
	struct unit_file golden = unit_read_file(unit_path("%s/%s", GOLDEN_DIR, name));

	assert_int_equal(golden.bytes, n);
	assert_memory_equal(golden.data, buf, n);
	free(golden.data);
}

static void test_move(void **state)
{
	const struct move_case *c = *state;
	uint8_t buf[MOVE_BUFFER];
	size_t n = encode_move(c, buf);
	struct meta_move got;

	assert_int_equal(meta_move_decode(buf, n, &got), META_OK);
	assert_int_equal(got.flags, c->flags);
	assert_true(got.ino == c->ino && got.other_ino == c->other_ino);
	assert_int_equal(got.new_path_bytes, c->new_path_bytes);
	assert_ptr_equal(got.new_path, buf + n - c->new_path_bytes);
	if (c->golden != NULL)
		assert_golden(c->golden, buf, n);
}

static void test_link(void **state)
{
	static const struct move_case link = { "link", NULL, 0, 42, 0, S("users/44") };
	uint8_t buf[MOVE_BUFFER];
	size_t n = encode_move(&link, buf);
	struct meta_move got;

	assert_golden("link_plain.bin", buf, n);
	assert_int_equal(meta_link_decode(buf, n, &got), META_OK);
	assert_true(got.ino == 42);
	assert_int_equal(got.new_path_bytes, 8);
	buf[1] = META_FLAG_EXCHANGE; /* a move alone has it */
	assert_int_equal(meta_link_decode(buf, n, &got), META_ERROR_FLAGS);
}

static void assert_move_refused(const void *value, size_t n, enum meta_error want)
{
	uint8_t *exact = exact_copy(value, n);
	struct meta_move got = { .flags = 99, .new_path_bytes = 98 };
	enum meta_error err = meta_move_decode(exact, n, &got);

	free(exact);
	assert_int_equal(err, want);
	assert_int_equal(got.flags, 99);
	assert_int_equal(got.new_path_bytes, 98);
}

static void test_move_refusals(void **state)
{
	uint8_t buf[META_EXCHANGE_FIXED_BYTES + 1] = { 1, 0 };
	struct meta_move got;

	for (unsigned int v = 0; v <= 255; v++) {
		buf[0] = (uint8_t)v;
		if (v != 1)
			assert_move_refused(buf, sizeof(buf), META_ERROR_VERSION);
	}
	buf[0] = 1;
	for (unsigned int flags = 0; flags <= 255; flags++) {
		buf[1] = (uint8_t)flags;
		if ((flags & ~3u) != 0)
			assert_move_refused(buf, sizeof(buf), META_ERROR_FLAGS);
		else
			assert_int_equal(meta_move_decode(buf, sizeof(buf), &got), META_OK);
	}
	buf[1] = 0;
	for (size_t n = 0; n <= META_MOVE_FIXED_BYTES; n++) /* the last: no new path */
		assert_move_refused(buf, n, META_ERROR_SHORT);
	buf[1] = META_FLAG_EXCHANGE;
	for (size_t n = 0; n <= META_EXCHANGE_FIXED_BYTES; n++)
		assert_move_refused(buf, n, META_ERROR_SHORT);
}

/* --- extent and publish --- */

static const struct extent_case {
	const char *name;
	const char *golden; /* in GOLDEN_DIR; NULL: none */
	const char *value;
	uint32_t value_bytes;
	enum meta_error want;
	struct meta_extent extent;
} extent_cases[] = {
	{ "bytes",
	  "extent_bytes.bin",
	  S("\1\0\0\0\0\1\0\0\0\0staged\n"),
	  META_OK,
	  { .offset = 0x1000000, .bytes = 7 } },
	{ "hole",
	  "extent_hole.bin",
	  S("\1\4\0\20\0\0\0\0\0\0\0\0\0\0\1\0\0\0"),
	  META_OK,
	  { .flags = META_FLAG_HOLE, .offset = 4096, .bytes = UINT64_C(1) << 32 } },
	{ "last byte of all",
	  NULL,
	  S("\1\0\376\377\377\377\377\377\377\177x"),
	  META_OK,
	  { .offset = INT64_MAX - 1, .bytes = 1 } },
	{ "hole that is all there can be",
	  NULL,
	  S("\1\4\0\0\0\0\0\0\0\0\377\377\377\377\377\377\377\177"),
	  META_OK,
	  { .flags = META_FLAG_HOLE, .bytes = INT64_MAX } },
	{ "past the last byte",
	  NULL,
	  S("\1\0\377\377\377\377\377\377\377\177x"),
	  META_ERROR_VALUE,
	  { 0 } },
	{ "offset that wraps",
	  NULL,
	  S("\1\0\377\377\377\377\377\377\377\377x"),
	  META_ERROR_VALUE,
	  { 0 } },
	{ "hole past the last byte",
	  NULL,
	  S("\1\4\1\0\0\0\0\0\0\0\377\377\377\377\377\377\377\177"),
	  META_ERROR_VALUE,
	  { 0 } },
	{ "hole that wraps",
	  NULL,
	  S("\1\4\1\0\0\0\0\0\0\0\377\377\377\377\377\377\377\377"),
	  META_ERROR_VALUE,
	  { 0 } },
	{ "hole of nothing",
	  NULL,
	  S("\1\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
	  META_ERROR_VALUE,
	  { 0 } },
	{ "byte behind the hole",
	  NULL,
	  S("\1\4\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0x"),
	  META_ERROR_VALUE,
	  { 0 } },
	{ "no bytes", NULL, S("\1\0\0\0\0\0\0\0\0\0"), META_ERROR_VALUE, { 0 } },
	{ "version 2", NULL, S("\2\0\0\0\0\0\0\0\0\0x"), META_ERROR_VERSION, { 0 } },
	{ "more", NULL, S("\1\1\0\0\0\0\0\0\0\0x"), META_ERROR_FLAGS, { 0 } },
	{ "exchange", NULL, S("\1\2\0\0\0\0\0\0\0\0x"), META_ERROR_FLAGS, { 0 } },
	{ "dropped",
	  "extent_dropped.bin",
	  S("\1\14\0\20\0\0\0\0\0\0\0\0\4\0\0\0\0\0"),
	  META_OK,
	  { .flags = META_FLAG_HOLE | META_FLAG_DROPPED, .offset = 4096, .bytes = 256 * 1024 } },
	{ "dropped, with bytes",
	  NULL,
	  S("\1\10\0\0\0\0\0\0\0\0xxxxxxxx"),
	  META_ERROR_VALUE,
	  { 0 } },
	{ "flag 4", NULL, S("\1\20\0\0\0\0\0\0\0\0x"), META_ERROR_FLAGS, { 0 } },
	{ "flag 7", NULL, S("\1\200\0\0\0\0\0\0\0\0x"), META_ERROR_FLAGS, { 0 } },
};

static void test_extent(void **state)
{
	const struct extent_case *c = *state;
	uint8_t *value = exact_copy(c->value, c->value_bytes), buf[META_HOLE_BYTES];
	struct meta_extent got = { .flags = 99 };
	size_t fixed;

	assert_int_equal(meta_extent_decode(value, c->value_bytes, &got), c->want);
	free(value);
	if (c->want != META_OK) {
		assert_int_equal(got.flags, 99);
		return;
	}
	assert_int_equal(got.flags, c->extent.flags);
	assert_true(got.offset == c->extent.offset && got.bytes == c->extent.bytes);
	fixed = meta_extent_encode_fixed(&got, buf);
	assert_memory_equal(buf, c->value, fixed);
	assert_int_equal(c->value_bytes, fixed + (got.flags == 0 ? got.bytes : 0));
	if (c->golden != NULL)
		assert_golden(c->golden, (const uint8_t *)c->value, c->value_bytes);
	for (uint32_t n = 0; n < fixed; n++) { /* cut anywhere */
		value = exact_copy(c->value, n);
		assert_int_equal(meta_extent_decode(value, n, &got), META_ERROR_SHORT);
		free(value);
	}
}

static const struct publish_case {
	const char *name;
	const char *golden;
	const char *value;
	size_t value_bytes;
	enum meta_error want;
	struct meta_publish publish;
} publish_cases[] = {
	{ "replace",
	  "publish_replace.bin",
	  S("\1\0\1\2\3\4\5\6\7\10\0\0\0\200\1\0\0\0"),
	  META_OK,
	  { .staging_id = 0x0807060504030201, .size_bytes = UINT64_C(6) << 30 } },
	{ "keep",
	  "publish_keep.bin",
	  S("\1\4\1\0\0\0\0\0\0\0\0\20\0\0\0\0\0\0"),
	  META_OK,
	  { .flags = META_FLAG_KEEP, .staging_id = 1, .size_bytes = 4096 } },
	{ "more",
	  "publish_more.bin",
	  S("\1\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
	  META_OK,
	  { .flags = META_FLAG_MORE } },
	{ "more and keep, the largest",
	  NULL,
	  S("\1\5\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377\177"),
	  META_OK,
	  { .flags = META_FLAG_MORE | META_FLAG_KEEP,
	    .staging_id = UINT64_MAX,
	    .size_bytes = INT64_MAX } },
	{ "too large", NULL, S("\1\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\200"), META_ERROR_VALUE, { 0 } },
	{ "byte behind it",
	  NULL,
	  S("\1\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0x"),
	  META_ERROR_VALUE,
	  { 0 } },
	{ "version 0", NULL, S("\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), META_ERROR_VERSION, { 0 } },
	{ "exchange", NULL, S("\1\2\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), META_ERROR_FLAGS, { 0 } },
	{ "dropped",
	  "publish_dropped.bin",
	  S("\1\10\0\0\0\0\0\0\0\0\5\0\0\0\0\0\0\0"),
	  META_OK,
	  { .flags = META_FLAG_DROPPED, .size_bytes = 5 } },
	{ "dropped and more",
	  NULL,
	  S("\1\11\0\0\0\0\0\0\0\0\5\0\0\0\0\0\0\0"),
	  META_OK,
	  { .flags = META_FLAG_DROPPED | META_FLAG_MORE, .size_bytes = 5 } },
	{ "dropped and keep",
	  NULL,
	  S("\1\14\0\0\0\0\0\0\0\0\5\0\0\0\0\0\0\0"),
	  META_ERROR_VALUE,
	  { 0 } },
	{ "dropped, but staged",
	  NULL,
	  S("\1\10\1\0\0\0\0\0\0\0\5\0\0\0\0\0\0\0"),
	  META_ERROR_VALUE,
	  { 0 } },
	{ "nothing dropped",
	  NULL,
	  S("\1\10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
	  META_ERROR_VALUE,
	  { 0 } },
	{ "unnamed",
	  "publish_unnamed.bin",
	  S("\1\20\7\0\0\0\0\0\0\0\5\0\0\0\0\0\0\0"),
	  META_OK,
	  { .flags = META_FLAG_UNNAMEABLE, .staging_id = 7, .size_bytes = 5 } },
	{ "unnamed, by the put that follows",
	  NULL,
	  S("\1\21\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
	  META_OK,
	  { .flags = META_FLAG_UNNAMEABLE | META_FLAG_MORE } },
	{ "unnamed, by both",
	  NULL,
	  S("\1\21\7\0\0\0\0\0\0\0\5\0\0\0\0\0\0\0"),
	  META_ERROR_VALUE,
	  { 0 } },
	{ "unnamed, not staged",
	  NULL,
	  S("\1\20\0\0\0\0\0\0\0\0\5\0\0\0\0\0\0\0"),
	  META_ERROR_VALUE,
	  { 0 } },
	{ "unnamed, of nothing",
	  NULL,
	  S("\1\20\7\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
	  META_ERROR_VALUE,
	  { 0 } },
	{ "unnamed and keep",
	  NULL,
	  S("\1\24\7\0\0\0\0\0\0\0\5\0\0\0\0\0\0\0"),
	  META_ERROR_VALUE,
	  { 0 } },
	{ "unnamed and dropped",
	  NULL,
	  S("\1\30\0\0\0\0\0\0\0\0\5\0\0\0\0\0\0\0"),
	  META_ERROR_VALUE,
	  { 0 } },
	{ "flag 5", NULL, S("\1\40\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), META_ERROR_FLAGS, { 0 } },
};

static void test_publish(void **state)
{
	const struct publish_case *c = *state;
	uint8_t *value = exact_copy(c->value, c->value_bytes), buf[META_PUBLISH_BYTES];
	struct meta_publish got = { .flags = 99 };

	assert_int_equal(meta_publish_decode(value, c->value_bytes, &got), c->want);
	free(value);
	if (c->want != META_OK) {
		assert_int_equal(got.flags, 99);
		return;
	}
	assert_int_equal(got.flags, c->publish.flags);
	assert_true(got.staging_id == c->publish.staging_id &&
		    got.size_bytes == c->publish.size_bytes);
	meta_publish_encode(&got, buf);
	assert_memory_equal(buf, c->value, sizeof(buf));
	if (c->golden != NULL)
		assert_golden(c->golden, buf, sizeof(buf));
	for (size_t n = 0; n < sizeof(buf); n++) {
		value = exact_copy(c->value, n);
		assert_int_equal(meta_publish_decode(value, n, &got), META_ERROR_SHORT);
		free(value);
	}
}

static const struct base_case {
	const char *name;
	const char *value;
	size_t value_bytes;
	enum meta_error want;
} base_cases[] = {
	{ "whole", S("\1\0\1\2\3\4\5\6\7\10\100\2\1\0\0\0\0\0"), META_OK },
	{ "version 2", S("\2\0\1\2\3\4\5\6\7\10\100\2\1\0\0\0\0\0"), META_ERROR_VERSION },
	{ "more", S("\1\1\1\2\3\4\5\6\7\10\100\2\1\0\0\0\0\0"), META_ERROR_FLAGS },
	{ "flag 7", S("\1\200\1\2\3\4\5\6\7\10\100\2\1\0\0\0\0\0"), META_ERROR_FLAGS },
	{ "byte behind it", S("\1\0\1\2\3\4\5\6\7\10\100\2\1\0\0\0\0\0x"), META_ERROR_VALUE },
};

static void test_base(void **state)
{
	const struct base_case *c = *state;
	uint8_t *value = exact_copy(c->value, c->value_bytes), buf[META_BASE_BYTES];
	struct meta_base got = { .as_of_ns = 99, .other_bytes = 99 };

	assert_int_equal(meta_base_decode(value, c->value_bytes, &got), c->want);
	free(value);
	if (c->want != META_OK) {
		assert_true(got.as_of_ns == 99 && got.other_bytes == 99);
		return;
	}
	assert_true(got.as_of_ns == UINT64_C(0x0807060504030201) && got.other_bytes == 66112);
	meta_base_encode(&got, buf);
	assert_memory_equal(buf, c->value, sizeof(buf));
	assert_golden("base.bin", buf, sizeof(buf));
	for (size_t n = 0; n < sizeof(buf); n++) {
		value = exact_copy(c->value, n);
		assert_int_equal(meta_base_decode(value, n, &got), META_ERROR_SHORT);
		free(value);
	}
}

#define SEGMENT_STORE_ID "\0\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17"

static const struct segment_case {
	const char *name;
	const char *value;
	size_t value_bytes;
	enum meta_error want;
} segment_cases[] = {
	{ "whole", S("\1\0\1\2\3\4\5\6\7\10" SEGMENT_STORE_ID), META_OK },
	{ "version 2", S("\2\0\1\2\3\4\5\6\7\10" SEGMENT_STORE_ID), META_ERROR_VERSION },
	{ "more", S("\1\1\1\2\3\4\5\6\7\10" SEGMENT_STORE_ID), META_ERROR_FLAGS },
	{ "flag 7", S("\1\200\1\2\3\4\5\6\7\10" SEGMENT_STORE_ID), META_ERROR_FLAGS },
	{ "number 0", S("\1\0\0\0\0\0\0\0\0\0" SEGMENT_STORE_ID), META_ERROR_VALUE },
	{ "byte behind it", S("\1\0\1\2\3\4\5\6\7\10" SEGMENT_STORE_ID "x"), META_ERROR_VALUE },
};

static void test_segment(void **state)
{
	const struct segment_case *c = *state;
	uint8_t *value = exact_copy(c->value, c->value_bytes), buf[META_SEGMENT_BYTES];
	struct meta_segment got = { .number = 99 };

	assert_int_equal(meta_segment_decode(value, c->value_bytes, &got), c->want);
	free(value);
	if (c->want != META_OK) {
		assert_int_equal(got.number, 99);
		return;
	}
	assert_true(got.number == UINT64_C(0x0807060504030201));
	assert_memory_equal(got.store_id, SEGMENT_STORE_ID, META_STORE_ID_BYTES);
	meta_segment_encode(&got, buf);
	assert_memory_equal(buf, c->value, sizeof(buf));
	assert_golden("segment.bin", buf, sizeof(buf));
	for (size_t n = 0; n < sizeof(buf); n++) {
		value = exact_copy(c->value, n);
		assert_int_equal(meta_segment_decode(value, n, &got), META_ERROR_SHORT);
		free(value);
	}
}

static void test_segment_key(void **state)
{
	assert_true(meta_is_segment_key("\0s", 2));
	assert_false(meta_is_segment_key("\0s", 1));
	assert_false(meta_is_segment_key("\0sx", 3));
	assert_false(meta_is_segment_key("\0a", 2));
	assert_false(meta_is_segment_key("ss", 2));
	assert_false(meta_is_segment_key("", 0));
}

static void test_staging_id(void **state)
{
	uint8_t operand[META_STAGING_ID_BYTES + 1] = { 0 };
	const char *text = (const char *)operand;
	uint64_t id = 99;

	for (size_t n = 0; n < META_STAGING_ID_BYTES; n++)
		assert_int_equal(meta_staging_id_decode(text, n, &id), META_ERROR_SHORT);
	assert_int_equal(meta_staging_id_decode(text, META_STAGING_ID_BYTES, &id),
			 META_ERROR_VALUE); /* 0 */
	meta_staging_id_encode(0x0807060504030201, operand);
	assert_memory_equal(operand, "\1\2\3\4\5\6\7\10", META_STAGING_ID_BYTES);
	assert_int_equal(meta_staging_id_decode(text, sizeof(operand), &id), META_ERROR_VALUE);
	assert_int_equal(id, 99);
	assert_int_equal(meta_staging_id_decode(text, META_STAGING_ID_BYTES, &id), META_OK);
	assert_true(id == 0x0807060504030201);
}

/* --- keys --- */

static const struct key_case {
	const char *name;
	const char *key;
	size_t key_bytes;
	bool is_meta;
	enum meta_error want; /* of meta_parse_key() */
} key_cases[] = {
	{ "attr of a path", S("\0ausers/42"), true, META_OK },
	{ "attr of the root", S("\0a"), true, META_OK },
	{ "move of a path", S("\0mold"), true, META_OK },
	{ "NUL alone", S("\0"), true, META_ERROR_SHORT },
	{ "link of a path", S("\0lpath"), true, META_OK },
	{ "extent", S("\0eid"), true, META_OK },
	{ "publish of a path", S("\0ppath"), true, META_OK },
	{ "segment", S("\0s"), true, META_OK },
	{ "plain key", S("a"), false, META_OK },
	{ "plain key with a NUL later", S("a\0a"), false, META_OK },
	{ "empty key", S(""), false, META_OK },
};

static void test_key(void **state)
{
	const struct key_case *c = *state;
	uint8_t *key = exact_copy(c->key, c->key_bytes);
	enum meta_kind kind = META_ATTR;
	const char *operand = "untouched";
	size_t operand_bytes = 9;
	enum meta_error err;

	assert_int_equal(meta_is_key(key, c->key_bytes), c->is_meta);
	if (c->is_meta) {
		err = meta_parse_key(key, c->key_bytes, &kind, &operand, &operand_bytes);
		assert_int_equal(err, c->want);
		if (err == META_OK) {
			assert_int_equal(kind, key[1]);
			assert_ptr_equal(operand, key + 2);
			assert_int_equal(operand_bytes, c->key_bytes - 2);
		} else {
			assert_string_equal(operand, "untouched");
			assert_int_equal(operand_bytes, 9);
		}
	}
	free(key);
}

static void test_every_other_kind(void **state)
{
	for (unsigned int k = 0; k <= 255; k++) {
		uint8_t key[] = { 0, (uint8_t)k, 'x' };
		enum meta_kind kind;
		const char *operand;
		size_t n;
		bool known = k != 0 && strchr("abelmps", (int)k) != NULL;
		enum meta_error want = known ? META_OK : META_ERROR_KIND;

		assert_int_equal(meta_parse_key(key, sizeof(key), &kind, &operand, &n), want);
	}
}

static void test_key_prefix(void **state)
{
	uint8_t key[META_KEY_PREFIX_BYTES];

	meta_key_prefix(META_ATTR, key);
	assert_memory_equal(key, "\0a", 2);
	meta_key_prefix(META_MOVE, key);
	assert_memory_equal(key, "\0m", 2);
}

static const struct more_case {
	const char *name;
	const char *key;
	size_t key_bytes;
	const char *value;
	size_t value_bytes;
	bool want;
} more_cases[] = {
	{ "attr with more", S("\0ax"), S("\1\1"), true },
	{ "attr without", S("\0ax"), S("\1\0"), false },
	{ "move with more", S("\0mx"), S("\1\1y"), true },
	{ "move with more and exchange", S("\0mx"), S("\1\3y"), true },
	{ "move with exchange alone", S("\0mx"), S("\1\2y"), false },
	{ "plain record that looks like it", S("x"), S("\1\1"), false },
	{ "empty key", S(""), S("\1\1"), false },
	{ "publish with more", S("\0px"), S("\1\1y"), true },
	{ "publish with keep alone", S("\0px"), S("\1\4y"), false },
	{ "value of one byte", S("\0ax"), S("\1"), false },
	{ "empty value", S("\0ax"), S(""), false },
};

static void test_more(void **state)
{
	const struct more_case *c = *state;
	uint8_t *key = exact_copy(c->key, c->key_bytes);
	uint8_t *value = exact_copy(c->value, c->value_bytes);

	assert_int_equal(meta_has_more(key, c->key_bytes, value, c->value_bytes), c->want);
	free(key);
	free(value);
}

static void assert_kinds(const char *path, const char *kinds)
{
	struct unit_file golden = unit_read_file(path);
	uint64_t offset = 0;

	for (size_t i = 0; i < strlen(kinds); i++) {
		struct record_scan_result got;
		uint64_t left = golden.bytes - offset;
		const char *key;

		assert_int_equal(record_scan(golden.data + offset, left, left, &got), RECORD_WHOLE);
		key = got.rec.key;
		assert_int_equal(key[0] == '\0' ? key[1] : key[0], kinds[i]);
		offset += got.bytes;
	}
	assert_int_equal(offset, golden.bytes);
	free(golden.data);
}

/* A log of what large values are made of, made by tests/tools/make_golden.py. */
static void test_golden_extents(void **state)
{
	assert_kinds(GOLDEN_DIR "/extents.data", "eepheeppe");
}

/* One that begins with a base. */
static void test_golden_base(void **state)
{
	assert_kinds(GOLDEN_DIR "/base.data", "baadadpdepada");
}

static void test_errors_have_texts(void **state)
{
	static const enum meta_error errors[] = {
		META_OK,	  META_ERROR_SHORT, META_ERROR_KIND, META_ERROR_VERSION,
		META_ERROR_FLAGS, META_ERROR_VALUE,
	};

	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		const char *text = meta_error_text(errors[i]);

		assert_true(strlen(text) > 5);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(text, meta_error_text(errors[j]));
	}
}

/* A log of one directory, a group and a move, made by tests/tools/make_golden.py. */
static void test_golden_log(void **state)
{
	static const char *const keys[] = { "\0adir",	"\0adir/f",	"dir/f",      "\0mdir",
					    "\0aempty", "\0amoved/sym", "\0lmoved/f", "\0ahard" };
	static const size_t key_bytes[] = { 5, 7, 5, 5, 7, 11, 9, 6 };
	static const bool more[] = { false, true, false, false, false, false, false, false };
	struct unit_file golden = unit_read_file(GOLDEN_DIR "/meta.data");
	uint64_t offset = 0;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		struct record_scan_result got;
		uint64_t left = golden.bytes - offset;

		assert_int_equal(record_scan(golden.data + offset, left, left, &got), RECORD_WHOLE);
		assert_int_equal(got.rec.key_bytes, key_bytes[i]);
		assert_memory_equal(got.rec.key, keys[i], key_bytes[i]);
		assert_int_equal(meta_has_more(got.rec.key, got.rec.key_bytes, got.rec.value,
					       got.rec.value_bytes),
				 more[i]);
		offset += got.bytes;
	}
	assert_int_equal(offset, golden.bytes);
	free(golden.data);
}

static void add_attr_rows(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(attr_cases); i++) {
		const struct attr_case *c = &attr_cases[i];

		if (c->golden != NULL)
			add_row(unit_name("attr golden: %s", c->name), test_attr_golden, c);
		add_row(unit_name("attr round trip: %s", c->name), test_attr_round_trip, c);
	}
	for (size_t i = 0; i < ARRAY_SIZE(attr_bytes); i++)
		add_row(unit_name("attr refused: %s", attr_bytes[i].name), test_attr_byte,
			&attr_bytes[i]);
	for (uintptr_t n = 0; n < WHOLE_BYTES; n++)
		add_row(unit_name("attr cut to %lu of 94 bytes", n), test_attr_cut, (void *)n);
	add_row("attr refused: every version but 1", test_attr_version, NULL);
	add_row("attr refused: every flag but more", test_attr_flags, NULL);
	add_row("attr refused: every field bit above 6", test_attr_fields, NULL);
	add_row("attr refused: fields of other types", test_attr_fields_of_others, NULL);
	add_row("attr refused: targets that are none", test_attr_target, NULL);
	add_row("attr: one xattr", test_attr_xattr, NULL);
	add_row("xattrs: each name once", test_xattrs_distinct, NULL);
	add_row("attr refused: inode number 0", test_attr_ino_zero, NULL);
	add_row("attr refused: fewer fields than bytes", test_attr_fields_against_size, NULL);
	add_row("attr refused: trailing bytes", test_attr_trailing, NULL);
	add_row("attr refused: a second of nanoseconds", test_attr_nsec, NULL);
}

int main(void)
{
	add_attr_rows();
	for (size_t i = 0; i < ARRAY_SIZE(move_cases); i++)
		add_row(unit_name("move: %s", move_cases[i].name), test_move, &move_cases[i]);
	add_row("link", test_link, NULL);
	add_row("move refused: version, flags, no path", test_move_refusals, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(extent_cases); i++)
		add_row(unit_name("extent: %s", extent_cases[i].name), test_extent,
			&extent_cases[i]);
	for (size_t i = 0; i < ARRAY_SIZE(publish_cases); i++)
		add_row(unit_name("publish: %s", publish_cases[i].name), test_publish,
			&publish_cases[i]);
	add_row("staging id", test_staging_id, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(key_cases); i++)
		add_row(unit_name("key: %s", key_cases[i].name), test_key, &key_cases[i]);
	for (size_t i = 0; i < ARRAY_SIZE(base_cases); i++)
		add_row(unit_name("base: %s", base_cases[i].name), test_base, &base_cases[i]);
	for (size_t i = 0; i < ARRAY_SIZE(segment_cases); i++)
		add_row(unit_name("segment: %s", segment_cases[i].name), test_segment,
			&segment_cases[i]);
	add_row("segment key", test_segment_key, NULL);
	add_row("key refused: every kind but a, b, e, l, m, p and s", test_every_other_kind, NULL);
	add_row("key prefix", test_key_prefix, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(more_cases); i++)
		add_row(unit_name("more: %s", more_cases[i].name), test_more, &more_cases[i]);
	add_row("every error has its own text", test_errors_have_texts, NULL);
	add_row("golden log meta.data", test_golden_log, NULL);
	add_row("golden log extents.data", test_golden_extents, NULL);
	add_row("golden log base.data", test_golden_base, NULL);
	return unit_run("meta", rows, row_count);
}
