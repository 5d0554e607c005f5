/* SPDX-License-Identifier: MIT */
/* MANIFEST as text: what is written is read again, and nothing else is taken for one. */
#include "tests/unit/unit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/crc32.h"
#include "codec/manifest.h"
#include "codec/record.h"

#define HEAD	 "freyjafs manifest 1\n"
#define STORE	 "store 000102030405060708090a0b0c0d0e0f\n"
#define NUMBERED "numbered_from 2\n"
#define SEGMENT1 "segment 000001.data bytes=1004 records=2 first=5 last=9 digest=00000000000000ff\n"
#define SEGMENT2 "segment 000002.3.data bytes=1052 records=3 first=10 last=12\n"
#define BASE7                                                                                 \
	"segment 000007.2.data bytes=500 records=9 first=1 last=100 digest=fedcba9876543210 " \
	"base\n"
#define TAIL3	 "active 3\ndurable 3 48\n"
#define CRC_LINE "crc32 00000000\n"

/* Texts without their last line. */
static const struct text_case {
	const char *name;
	const char *body;
	enum manifest_error want;
} text_cases[] = {
	/* These are written again as they are. */
	{ "no segment", HEAD STORE NUMBERED "active 1\ndurable 1 0\n", MANIFEST_OK },
	{ "two segments", HEAD STORE NUMBERED SEGMENT1 SEGMENT2 TAIL3, MANIFEST_OK },
	{ "a base", HEAD STORE NUMBERED BASE7 "active 8\ndurable 8 0\n", MANIFEST_OK },
	{ "a base without a digest",
	  HEAD STORE NUMBERED "segment 000007.2.data bytes=500 records=9 first=1 last=100 base\n"
			      "active 8\ndurable 8 0\n",
	  MANIFEST_OK },
	{ "obsolete files",
	  HEAD STORE NUMBERED SEGMENT1 SEGMENT2
	  "obsolete 000002.data\nobsolete 000002.2.data\n" TAIL3,
	  MANIFEST_OK },
	{ "an obsolete file of a later segment",
	  HEAD STORE NUMBERED SEGMENT1 "obsolete 000009.data\nactive 2\ndurable 2 0\n",
	  MANIFEST_OK },
	{ "a number that is missing", HEAD STORE NUMBERED SEGMENT2 "active 4\ndurable 5 0\n",
	  MANIFEST_OK },
	{ "largest numbers",
	  HEAD STORE
	  "numbered_from 18446744073709551615\n"
	  "segment 1000000.999.data bytes=18446744073709551615 records=18446744073709551615 "
	  "first=18446744073709551615 last=18446744073709551615 digest=ffffffffffffffff\n"
	  "active 9223372036854775806\ndurable 9223372036854775806 18446744073709551615\n",
	  MANIFEST_OK },
	/* These have the right CRC, and say something that is not possible. */
	{ "no store", HEAD NUMBERED TAIL3, MANIFEST_ERROR_VALUE },
	{ "no numbered_from", HEAD STORE TAIL3, MANIFEST_ERROR_VALUE },
	{ "no active", HEAD STORE NUMBERED "durable 3 48\n", MANIFEST_ERROR_VALUE },
	{ "no durable", HEAD STORE NUMBERED "active 3\n", MANIFEST_ERROR_VALUE },
	{ "nothing but its head", HEAD, MANIFEST_ERROR_VALUE },
	{ "a store id that is too short",
	  HEAD "store 000102030405060708090a0b0c0d0e0\n" NUMBERED TAIL3, MANIFEST_ERROR_VALUE },
	{ "a store id that is too long",
	  HEAD "store 000102030405060708090a0b0c0d0e0f0\n" NUMBERED TAIL3, MANIFEST_ERROR_VALUE },
	{ "a store id in capitals", HEAD "store 000102030405060708090A0B0C0D0E0F\n" NUMBERED TAIL3,
	  MANIFEST_ERROR_VALUE },
	{ "numbered_from 0", HEAD STORE "numbered_from 0\n" TAIL3, MANIFEST_ERROR_VALUE },
	{ "a leading zero", HEAD STORE "numbered_from 02\n" TAIL3, MANIFEST_ERROR_VALUE },
	{ "a plus sign", HEAD STORE "numbered_from +2\n" TAIL3, MANIFEST_ERROR_VALUE },
	{ "a negative number", HEAD STORE NUMBERED "active 3\ndurable 3 -1\n",
	  MANIFEST_ERROR_VALUE },
	{ "a number of 65 bits", HEAD STORE NUMBERED "active 3\ndurable 3 18446744073709551616\n",
	  MANIFEST_ERROR_VALUE },
	{ "a hexadecimal number", HEAD STORE NUMBERED "active 0x3\ndurable 3 48\n",
	  MANIFEST_ERROR_VALUE },
	{ "no number", HEAD STORE NUMBERED "active \ndurable 3 48\n", MANIFEST_ERROR_VALUE },
	{ "two spaces", HEAD STORE NUMBERED "active  3\ndurable 3 48\n", MANIFEST_ERROR_VALUE },
	{ "a space at the end", HEAD STORE NUMBERED "active 3 \ndurable 3 48\n",
	  MANIFEST_ERROR_VALUE },
	{ "a tab", HEAD STORE NUMBERED "active\t3\ndurable 3 48\n", MANIFEST_ERROR_VALUE },
	{ "a carriage return", HEAD STORE NUMBERED "active 3\r\ndurable 3 48\n",
	  MANIFEST_ERROR_VALUE },
	{ "an empty line", HEAD STORE NUMBERED "\n" TAIL3, MANIFEST_ERROR_VALUE },
	{ "an unknown line", HEAD STORE NUMBERED "colour red\n" TAIL3, MANIFEST_ERROR_VALUE },
	{ "a line behind the last", HEAD STORE NUMBERED TAIL3 "active 3\n", MANIFEST_ERROR_VALUE },
	{ "no newline at the end", HEAD STORE NUMBERED "active 3\ndurable 3 48",
	  MANIFEST_ERROR_VALUE },
	{ "lines in another order", HEAD STORE NUMBERED "durable 3 48\nactive 3\n",
	  MANIFEST_ERROR_VALUE },
	{ "segments in another order", HEAD STORE NUMBERED SEGMENT2 SEGMENT1 TAIL3,
	  MANIFEST_ERROR_VALUE },
	{ "a segment twice", HEAD STORE NUMBERED SEGMENT1 SEGMENT1 TAIL3, MANIFEST_ERROR_VALUE },
	{ "two generations of a segment",
	  HEAD STORE NUMBERED
	  "segment 000002.data bytes=1 records=1 first=1 last=1\n" SEGMENT2 TAIL3,
	  MANIFEST_ERROR_VALUE },
	{ "a base that is not the first",
	  HEAD STORE NUMBERED SEGMENT1 BASE7 "active 8\ndurable 8 0\n", MANIFEST_ERROR_VALUE },
	{ "segment 0",
	  HEAD STORE NUMBERED "segment 000000.data bytes=1 records=1 first=1 last=1\n" TAIL3,
	  MANIFEST_ERROR_VALUE },
	{ "generation 1 in a name",
	  HEAD STORE NUMBERED "segment 000002.1.data bytes=1 records=1 first=1 last=1\n" TAIL3,
	  MANIFEST_ERROR_VALUE },
	{ "a name that is none",
	  HEAD STORE NUMBERED "segment ../a.data bytes=1 records=1 first=1 last=1\n" TAIL3,
	  MANIFEST_ERROR_VALUE },
	{ "a name without an end",
	  HEAD STORE NUMBERED
	  "segment "
	  "0000010000010000010000010000010000010000010000010000010000010000010000010001.data "
	  "bytes=1 records=1 first=1 last=1\n" TAIL3,
	  MANIFEST_ERROR_VALUE },
	{ "the name of the active segment",
	  HEAD STORE NUMBERED "segment active.data bytes=1 records=1 first=1 last=1\n" TAIL3,
	  MANIFEST_ERROR_VALUE },
	{ "a segment of the largest number",
	  HEAD STORE NUMBERED
	  "segment 9999999999999999999.data bytes=1 records=1 first=1 last=1\n" TAIL3,
	  MANIFEST_ERROR_VALUE },
	{ "fields in another order",
	  HEAD STORE NUMBERED "segment 000001.data records=2 bytes=1004 first=5 last=9\n" TAIL3,
	  MANIFEST_ERROR_VALUE },
	{ "a field less", HEAD STORE NUMBERED "segment 000001.data bytes=1004 records=2\n" TAIL3,
	  MANIFEST_ERROR_VALUE },
	{ "a field more",
	  HEAD STORE NUMBERED
	  "segment 000001.data bytes=1 records=1 first=1 last=1 colour=red\n" TAIL3,
	  MANIFEST_ERROR_VALUE },
	{ "a digest of 15 digits",
	  HEAD STORE NUMBERED
	  "segment 000001.data bytes=1 records=1 first=1 last=1 digest=0000000000000ff\n" TAIL3,
	  MANIFEST_ERROR_VALUE },
	{ "a digest of 17 digits",
	  HEAD STORE NUMBERED
	  "segment 000001.data bytes=1 records=1 first=1 last=1 digest=000000000000000ff\n" TAIL3,
	  MANIFEST_ERROR_VALUE },
	{ "a digest in capitals",
	  HEAD STORE NUMBERED
	  "segment 000001.data bytes=1 records=1 first=1 last=1 digest=00000000000000FF\n" TAIL3,
	  MANIFEST_ERROR_VALUE },
	{ "a digest behind 'base'",
	  HEAD STORE NUMBERED "segment 000001.data bytes=1 records=1 first=1 last=1 base "
			      "digest=00000000000000ff\n" TAIL3,
	  MANIFEST_ERROR_VALUE },
	{ "an obsolete file that is listed",
	  HEAD STORE NUMBERED SEGMENT1 SEGMENT2 "obsolete 000002.3.data\n" TAIL3,
	  MANIFEST_ERROR_VALUE },
	{ "an obsolete file that is no segment",
	  HEAD STORE NUMBERED SEGMENT1 SEGMENT2 "obsolete active.data\n" TAIL3,
	  MANIFEST_ERROR_VALUE },
	{ "obsolete files before segments",
	  HEAD STORE NUMBERED "obsolete 000002.data\n" SEGMENT1 SEGMENT2 TAIL3,
	  MANIFEST_ERROR_VALUE },
	{ "an active number that is listed",
	  HEAD STORE NUMBERED SEGMENT1 SEGMENT2 "active 2\ndurable 3 48\n", MANIFEST_ERROR_VALUE },
	{ "active number 0", HEAD STORE NUMBERED "active 0\ndurable 0 0\n", MANIFEST_ERROR_VALUE },
	{ "durable in a listed segment",
	  HEAD STORE NUMBERED SEGMENT1 SEGMENT2 "active 3\ndurable 2 48\n", MANIFEST_ERROR_VALUE },
	{ "durable in a segment that nobody reaches",
	  HEAD STORE NUMBERED "active 3\ndurable 9223372036854775807 0\n", MANIFEST_ERROR_VALUE },
	/* Of another version the rest means nothing. */
	{ "version 2", "freyjafs manifest 2\nwhatever\n", MANIFEST_ERROR_VERSION },
	{ "version 10", "freyjafs manifest 10\n" STORE NUMBERED TAIL3, MANIFEST_ERROR_VERSION },
	{ "version 0", "freyjafs manifest 0\n" STORE NUMBERED TAIL3, MANIFEST_ERROR_VERSION },
	{ "version 01", "freyjafs manifest 01\n" STORE NUMBERED TAIL3, MANIFEST_ERROR_VERSION },
	{ "no version", "freyjafs manifest \n" STORE NUMBERED TAIL3, MANIFEST_ERROR_VERSION },
	/* These are something else. */
	{ "another file", "freyjafs manuscript 1\n" STORE NUMBERED TAIL3, MANIFEST_ERROR_DAMAGED },
	{ "no text", "", MANIFEST_ERROR_DAMAGED },
	{ "no head", STORE NUMBERED TAIL3, MANIFEST_ERROR_DAMAGED },
};

/* Returns a copy of exactly as many bytes: a sanitizer sees a read past its end. */
static char *exact_copy(const char *text, size_t bytes)
{
	char *copy = malloc(bytes > 0 ? bytes : 1);

	assert_non_null(copy);
	memcpy(copy, text, bytes);
	return copy;
}

/* Returns 'body' with the last line that belongs to it; free() it. */
static char *add_crc(const char *body, size_t body_bytes, size_t *ret_bytes)
{
	char line[sizeof(CRC_LINE)], *text;

	*ret_bytes = body_bytes + sizeof(line) - 1;
	(void)snprintf(line, sizeof(line), "crc32 %08" PRIx32 "\n",
		       crc32_extend(0, body, body_bytes));
	text = malloc(*ret_bytes);
	assert_non_null(text);
	memcpy(text, body, body_bytes);
	memcpy(text + body_bytes, line, sizeof(line) - 1);
	return text;
}

/* Parses a copy.  On failure nothing may be stored. */
static enum manifest_error parse(const char *text, size_t bytes, struct manifest *ret)
{
	struct manifest got = { .active_number = 77 };
	char *copy = exact_copy(text, bytes);
	enum manifest_error error = manifest_parse(copy, bytes, &got);

	free(copy);
	if (error != MANIFEST_OK) {
		assert_int_equal(got.active_number, 77);
		assert_null(got.segments);
		assert_null(got.obsolete);
	}
	*ret = got;
	return error;
}

static void assert_error(const char *text, size_t bytes, enum manifest_error want)
{
	struct manifest m;
	enum manifest_error error = parse(text, bytes, &m);

	if (error == MANIFEST_OK)
		manifest_free(&m);
	assert_int_equal(error, want);
}

static void test_text(void **state)
{
	const struct text_case *c = *state;
	size_t bytes, again_bytes = 0;
	char *text = add_crc(c->body, strlen(c->body), &bytes), *again;
	struct manifest m;

	assert_int_equal(parse(text, bytes, &m), c->want);
	if (c->want == MANIFEST_OK) {
		again = manifest_format(&m, &again_bytes);
		assert_non_null(again);
		assert_int_equal(again_bytes, bytes);
		assert_memory_equal(again, text, bytes);
		manifest_free(&m);
		free(again);
	}
	free(text);
}

static const char example[] =
	HEAD STORE NUMBERED SEGMENT1 SEGMENT2 "obsolete 000002.2.data\n" TAIL3;

static void test_every_bit_flip(void **state)
{
	size_t bytes;
	char *text = add_crc(example, strlen(example), &bytes);

	for (size_t bit = 0; bit < bytes * 8; bit++) {
		text[bit / 8] ^= (char)(1U << (bit % 8));
		assert_error(text, bytes, MANIFEST_ERROR_DAMAGED);
		text[bit / 8] ^= (char)(1U << (bit % 8));
	}
	free(text);
}

static void test_every_other_length(void **state)
{
	size_t bytes;
	char *text = add_crc(example, strlen(example), &bytes);
	char *longer = calloc(1, 2 * bytes);

	assert_non_null(longer);
	memcpy(longer, text, bytes);
	for (size_t n = 0; n <= 2 * bytes; n++)
		if (n != bytes)
			assert_error(longer, n, MANIFEST_ERROR_DAMAGED);
	memcpy(longer + bytes, text, bytes); /* twice the same */
	assert_error(longer, 2 * bytes, MANIFEST_ERROR_DAMAGED);
	free(longer);
	free(text);
}

/* The CRC is right, and one byte is another. */
static void test_every_nul(void **state)
{
	char *body = exact_copy(example, strlen(example));

	for (size_t i = 0; i < strlen(example); i++) {
		size_t bytes;
		char was = body[i], *text;

		body[i] = '\0';
		text = add_crc(body, strlen(example), &bytes);
		assert_error(text, bytes, MANIFEST_ERROR_DAMAGED);
		free(text);
		body[i] = was;
	}
	free(body);
}

static void test_too_large(void **state)
{
	char *text = calloc(1, MANIFEST_BYTES_MAX + 1);

	assert_non_null(text);
	assert_int_equal(manifest_parse(text, MANIFEST_BYTES_MAX + 1, &(struct manifest){ 0 }),
			 MANIFEST_ERROR_DAMAGED);
	free(text);
}

static void test_fields(void **state)
{
	size_t bytes;
	char *text = add_crc(example, strlen(example), &bytes);
	struct manifest m;

	assert_int_equal(parse(text, bytes, &m), MANIFEST_OK);
	for (uint8_t i = 0; i < MANIFEST_STORE_ID_BYTES; i++)
		assert_int_equal(m.store_id[i], i);
	assert_int_equal(m.numbered_from, 2);
	assert_int_equal(m.active_number, 3);
	assert_int_equal(m.durable_number, 3);
	assert_int_equal(m.durable_offset, 48);
	assert_int_equal(m.count, 2);
	assert_int_equal(m.segments[0].id.number, 1);
	assert_int_equal(m.segments[0].id.generation, 1);
	assert_int_equal(m.segments[0].bytes, 1004);
	assert_int_equal(m.segments[0].facts.records, 2);
	assert_int_equal(m.segments[0].facts.first_timestamp_ns, 5);
	assert_int_equal(m.segments[0].facts.last_timestamp_ns, 9);
	assert_true(m.segments[0].facts.has_digest);
	assert_int_equal(m.segments[0].facts.digest, 0xff);
	assert_false(m.segments[0].is_base);
	assert_int_equal(m.segments[1].id.generation, 3);
	assert_false(m.segments[1].facts.has_digest);
	assert_int_equal(m.obsolete_count, 1);
	assert_int_equal(m.obsolete[0].number, 2);
	assert_int_equal(m.obsolete[0].generation, 2);
	manifest_free(&m);
	assert_null(m.segments);
	free(text);
}

/* Made by tests/tools/make_golden.py. */
static void test_golden(void **state)
{
	struct unit_file golden = unit_read_file(GOLDEN_DIR "/manifest.txt");
	struct manifest m;
	size_t bytes;
	char *text;

	assert_int_equal(parse((const char *)golden.data, golden.bytes, &m), MANIFEST_OK);
	assert_int_equal(m.count, 3);
	assert_true(m.segments[0].is_base);
	assert_false(m.segments[0].facts.has_digest);
	assert_int_equal(m.segments[0].id.number, 7);
	assert_int_equal(m.segments[0].id.generation, 2);
	assert_true(m.segments[0].facts.last_timestamp_ns == UINT64_MAX);
	assert_false(m.segments[1].is_base);
	assert_int_equal(m.segments[2].id.number, 1000000);
	assert_true(m.segments[2].facts.digest == UINT64_C(0xfedcba9876543210));
	assert_int_equal(m.obsolete_count, 2);
	assert_int_equal(m.active_number, 1000001);
	assert_int_equal(m.durable_number, 1000002);
	text = manifest_format(&m, &bytes);
	assert_non_null(text);
	assert_int_equal(bytes, golden.bytes);
	assert_memory_equal(text, golden.data, bytes);
	manifest_free(&m);
	free(text);
	free(golden.data);
}

/* --- the list in memory --- */

static struct manifest_segment segment_of(uint64_t number)
{
	return (struct manifest_segment){
		.id = { .number = number, .generation = 1 + number % 3 },
		.bytes = number * 1000,
		.facts = { .records = number,
			   .first_timestamp_ns = number * 10,
			   .last_timestamp_ns = number * 10 + 9,
			   .digest = number % 2 ? UINT64_MAX / number : 0,
			   .has_digest = number % 2 },
	};
}

static struct manifest make_many(uint64_t count)
{
	struct manifest m = { .numbered_from = 5,
			      .active_number = count + 1,
			      .durable_number = count + 2,
			      .durable_offset = 12345 };

	memset(m.store_id, 0xa5, sizeof(m.store_id));
	for (uint64_t number = 1; number <= count; number++) {
		struct manifest_segment seg = segment_of(number);
		struct segment_id before = { .number = number, .generation = 9 };

		assert_true(manifest_add(&m, &seg));
		assert_true(manifest_add_obsolete(&m, before));
	}
	return m;
}

static void assert_same_text(const struct manifest *a, const struct manifest *b)
{
	size_t a_bytes, b_bytes;
	char *a_text = manifest_format(a, &a_bytes), *b_text = manifest_format(b, &b_bytes);

	assert_non_null(a_text);
	assert_non_null(b_text);
	assert_int_equal(a_bytes, b_bytes);
	assert_memory_equal(a_text, b_text, a_bytes);
	free(a_text);
	free(b_text);
}

static void test_many(void **state)
{
	struct manifest m = make_many(3000), got;
	size_t bytes;
	char *text = manifest_format(&m, &bytes);

	assert_non_null(text);
	assert_int_equal(parse(text, bytes, &got), MANIFEST_OK);
	assert_int_equal(got.count, 3000);
	assert_int_equal(got.obsolete_count, 3000);
	for (uint64_t number = 1; number <= 3000; number++) {
		struct manifest_segment want = segment_of(number);
		const struct manifest_segment *seg = manifest_find(&got, number);

		assert_non_null(seg);
		assert_int_equal(seg->id.generation, want.id.generation);
		assert_int_equal(seg->bytes, want.bytes);
		assert_memory_equal(&seg->facts.digest, &want.facts.digest, sizeof(uint64_t));
	}
	assert_null(manifest_find(&got, 0));
	assert_null(manifest_find(&got, 3001));
	assert_same_text(&m, &got);
	manifest_free(&got);
	manifest_free(&m);
	free(text);
}

static void test_copy(void **state)
{
	struct manifest m = make_many(40), copy, empty = { .active_number = 1 };

	assert_true(manifest_copy(&m, &copy));
	assert_same_text(&m, &copy);
	assert_ptr_not_equal(m.segments, copy.segments);
	assert_ptr_not_equal(m.obsolete, copy.obsolete);
	manifest_free(&m);
	assert_int_equal(manifest_find(&copy, 40)->bytes, 40000); /* owns what it has */
	manifest_free(&copy);
	assert_true(manifest_copy(&empty, &copy));
	assert_int_equal(copy.count, 0);
	assert_int_equal(copy.active_number, 1);
	manifest_free(&copy);
}

static void test_remove_below(void **state)
{
	struct manifest m = { .count = 0 };

	for (uint64_t number = 1; number <= 10; number += 3) { /* 1, 4, 7, 10 */
		struct manifest_segment seg = segment_of(number);

		assert_true(manifest_add(&m, &seg));
	}
	assert_true(manifest_remove_below(&m, 1));
	assert_int_equal(m.count, 4);
	assert_true(manifest_remove_below(&m, 7));
	assert_int_equal(m.count, 2);
	assert_int_equal(m.segments[0].id.number, 7);
	assert_int_equal(m.segments[1].id.number, 10);
	assert_int_equal(m.obsolete_count, 2);
	assert_int_equal(m.obsolete[0].number, 1);
	assert_int_equal(m.obsolete[0].generation, segment_of(1).id.generation);
	assert_int_equal(m.obsolete[1].number, 4);
	assert_true(manifest_remove_below(&m, 100));
	assert_int_equal(m.count, 0);
	assert_int_equal(m.obsolete_count, 4);
	manifest_free(&m);
}

/* --- facts --- */

static struct manifest_facts scan(const struct record *records, const uint32_t *crcs, size_t count,
				  bool with_digest)
{
	struct manifest_scan s;
	uint64_t offset = 0;

	manifest_scan_init(&s, with_digest);
	for (size_t i = 0; i < count; i++) {
		manifest_scan_add(&s, offset, crcs[i], &records[i]);
		offset += record_bytes(records[i].key_bytes, records[i].value_bytes);
	}
	return manifest_scan_finish(&s);
}

/* The digests are those of another implementation of XXH3, over the same bytes. */
static void test_facts(void **state)
{
	static const struct record records[] = {
		{ .timestamp_ns = 1000, .key_bytes = 1, .value_bytes = 2 },
		{ .timestamp_ns = 3000, .key_bytes = 3, .value_bytes = 0 },
		{ .timestamp_ns = 2000, .key_bytes = 5, .value_bytes = 70000 },
	};
	static const uint32_t crcs[] = { 0x01020304, 0, 0xffffffff };
	static const uint64_t digests[] = { UINT64_C(0x2d06800538d394c2),
					    UINT64_C(0x89b8607e23baeff7),
					    UINT64_C(0xd233d997e0565b52),
					    UINT64_C(0x0c595654fa5bdf66) };

	for (size_t count = 0; count <= ARRAY_SIZE(records); count++) {
		struct manifest_facts got = scan(records, crcs, count, true);

		assert_int_equal(got.records, count);
		assert_true(got.has_digest);
		assert_true(got.digest == digests[count]);
		got = scan(records, crcs, count, false);
		assert_int_equal(got.records, count);
		assert_false(got.has_digest);
		assert_int_equal(got.first_timestamp_ns, count > 0 ? 1000 : 0);
		assert_int_equal(got.last_timestamp_ns, count > 1 ? 3000 : count * 1000);
	}
}

/* Each field of each header counts, and where it stands. */
static void test_every_field_counts(void **state)
{
	static const struct record rec = { .timestamp_ns = 1000, .key_bytes = 1, .value_bytes = 2 };
	struct record other[4] = { rec, rec, rec, rec };
	uint64_t digests[5];

	other[1].timestamp_ns ^= UINT64_C(1) << 63;
	other[2].key_bytes ^= 1U << 31;
	other[3].value_bytes ^= 1U << 31;
	for (size_t i = 0; i < ARRAY_SIZE(other); i++)
		digests[i] = scan(&other[i], &(uint32_t){ 7 }, 1, true).digest;
	digests[4] = scan(&rec, &(uint32_t){ 8 }, 1, true).digest;
	for (size_t i = 0; i < 5; i++)
		for (size_t j = 0; j < i; j++)
			assert_true(digests[i] != digests[j]);
}

static void test_errors_have_texts(void **state)
{
	static const enum manifest_error errors[] = { MANIFEST_OK, MANIFEST_ERROR_MEMORY,
						      MANIFEST_ERROR_VERSION,
						      MANIFEST_ERROR_DAMAGED,
						      MANIFEST_ERROR_VALUE };

	for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(manifest_error_text(errors[i]),
						manifest_error_text(errors[j]));
}

int main(void)
{
	static const struct CMUnitTest plain[] = {
		{ "every single bit flip is refused", test_every_bit_flip, NULL, NULL, NULL },
		{ "every other length is refused", test_every_other_length, NULL, NULL, NULL },
		{ "a NUL anywhere is refused", test_every_nul, NULL, NULL, NULL },
		{ "more than 64 MiB are refused", test_too_large, NULL, NULL, NULL },
		{ "fields", test_fields, NULL, NULL, NULL },
		{ "golden file manifest.txt", test_golden, NULL, NULL, NULL },
		{ "many segments", test_many, NULL, NULL, NULL },
		{ "copy", test_copy, NULL, NULL, NULL },
		{ "remove below", test_remove_below, NULL, NULL, NULL },
		{ "facts", test_facts, NULL, NULL, NULL },
		{ "every field counts", test_every_field_counts, NULL, NULL, NULL },
		{ "every error has its own text", test_errors_have_texts, NULL, NULL, NULL },
	};
	static struct CMUnitTest tests[ARRAY_SIZE(plain) + ARRAY_SIZE(text_cases)];
	size_t count = 0;

	for (; count < ARRAY_SIZE(plain); count++)
		tests[count] = plain[count];
	for (size_t i = 0; i < ARRAY_SIZE(text_cases); i++)
		tests[count++] =
			(struct CMUnitTest){ unit_name("text: %s", text_cases[i].name), test_text,
					     NULL, NULL, (void *)(uintptr_t)&text_cases[i] };
	return unit_run("manifest", tests, count);
}
