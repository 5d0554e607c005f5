/* SPDX-License-Identifier: MIT */
/* The record: encoding, every way a position can fail to be one, and the log that FreyjaDB wrote.
 */
#include "tests/unit/unit.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/crc32.h"
#include "codec/le.h"
#include "codec/record.h"

#define GIB(n)		 ((uint64_t)(n) << 30)
#define ROWS_MAX	 512
#define GOLDEN_RECORDS	 14
#define GOLDEN_KEY_BYTES 64

static struct CMUnitTest rows[ROWS_MAX];
static size_t row_count;

static void add_row(const char *name, CMUnitTestFunction fn, const void *state)
{
	if (row_count == ROWS_MAX)
		abort();
	rows[row_count++] = (struct CMUnitTest){ name, fn, NULL, NULL, (void *)(uintptr_t)state };
}

/* A copy that ends where its memory ends: a sanitizer sees any read past 'n'. */
static uint8_t *exact_copy(const uint8_t *data, size_t n)
{
	uint8_t *copy = malloc(n > 0 ? n : 1);

	assert_non_null(copy);
	memcpy(copy, data, n);
	return copy;
}

/* --- encoding --- */

static const struct encode_case {
	const char *name;
	const char *key;
	uint32_t key_bytes;
	const char *value;
	uint32_t value_bytes;
	uint64_t timestamp_ns;
} encode_cases[] = {
	{ "key and value", "hello", 5, "world\n", 6, UINT64_C(1795346587697513122) },
	{ "tombstone", "gone", 4, "", 0, 1 },
	{ "empty key", "", 0, "value", 5, 2 },
	{ "empty key, empty value, timestamp 1", "", 0, "", 0, 1 },
	{ "empty key, empty value, timestamp 0", "", 0, "", 0, 0 },
	{ "one byte each", "k", 1, "v", 1, UINT64_MAX },
	{ "NULs in key and value", "\0k\0", 3, "\0\0\0", 3, 3 },
	{ "value of zeros", "zeros", 5, "\0\0\0\0\0\0\0\0", 8, 4 },
};

static struct record as_record(const struct encode_case *c)
{
	return (struct record){
		.timestamp_ns = c->timestamp_ns,
		.key = c->key,
		.key_bytes = c->key_bytes,
		.value = c->value,
		.value_bytes = c->value_bytes,
	};
}

/* Checks the bytes one by one against docs/FORMAT.md, not against the encoder's own helpers. */
static void test_encode_layout(void **state)
{
	const struct encode_case *c = *state;
	struct record rec = as_record(c);
	uint8_t buf[64], header[RECORD_HEADER_BYTES];
	size_t n = 20 + c->key_bytes + c->value_bytes;
	uint32_t crc;

	memset(buf, 0xee, sizeof(buf));
	record_encode(&rec, buf);
	crc = crc32_extend(0, buf + 4, n - 4);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(buf[i], (uint8_t)(crc >> (8 * i)));
		assert_int_equal(buf[4 + i], (uint8_t)(c->key_bytes >> (8 * i)));
		assert_int_equal(buf[8 + i], (uint8_t)(c->value_bytes >> (8 * i)));
	}
	for (int i = 0; i < 8; i++)
		assert_int_equal(buf[12 + i], (uint8_t)(c->timestamp_ns >> (8 * i)));
	assert_memory_equal(buf + 20, c->key, c->key_bytes);
	assert_memory_equal(buf + 20 + c->key_bytes, c->value, c->value_bytes);
	assert_int_equal(buf[n], 0xee); /* not a byte more */
	record_encode_header(&rec, header);
	assert_memory_equal(header, buf, RECORD_HEADER_BYTES);
	assert_int_equal(record_bytes(c->key_bytes, c->value_bytes), n);
	for (uint32_t head = 0; head <= c->value_bytes; head++) { /* the value in two parts */
		uint8_t again[64];

		rec.head = c->value;
		rec.head_bytes = head;
		rec.value = c->value + head;
		record_encode(&rec, again);
		assert_memory_equal(again, buf, n);
		record_encode_header(&rec, header);
		assert_memory_equal(header, buf, RECORD_HEADER_BYTES);
	}
}

static void test_encode_scan(void **state)
{
	const struct encode_case *c = *state;
	struct record rec = as_record(c);
	struct record_scan_result got;
	size_t n = record_bytes(rec.key_bytes, rec.value_bytes);
	uint8_t buf[64 + 8];

	for (size_t align = 0; align < 8; align++) {
		record_encode(&rec, buf + align);
		assert_int_equal(record_scan(buf + align, n, n, &got), RECORD_WHOLE);
		assert_int_equal(got.bytes, n);
		assert_int_equal(got.reason, RECORD_REASON_NONE);
		assert_int_equal(got.rec.timestamp_ns, rec.timestamp_ns);
		assert_int_equal(got.rec.key_bytes, rec.key_bytes);
		assert_int_equal(got.rec.value_bytes, rec.value_bytes);
		assert_ptr_equal(got.rec.key, buf + align + 20);
		assert_ptr_equal(got.rec.value, buf + align + 20 + rec.key_bytes);
		assert_memory_equal(got.rec.key, rec.key, rec.key_bytes);
		assert_memory_equal(got.rec.value, rec.value, rec.value_bytes);
	}
}

static void test_scan_ignores_what_follows(void **state)
{
	struct record rec = as_record(&encode_cases[0]);
	struct record_scan_result got;
	uint8_t buf[64];

	memset(buf, 0xff, sizeof(buf));
	record_encode(&rec, buf);
	assert_int_equal(record_scan(buf, sizeof(buf), sizeof(buf), &got), RECORD_WHOLE);
	assert_int_equal(got.bytes, 31);
	assert_int_equal(record_scan(buf, 31, GIB(100), &got), RECORD_WHOLE);
	assert_int_equal(got.bytes, 31);
}

static void test_decode_header(void **state)
{
	struct record rec = as_record(&encode_cases[0]), got;
	uint8_t buf[64];

	record_encode(&rec, buf);
	assert_int_equal(record_decode_header(buf, &got), le32_load(buf));
	assert_int_equal(got.key_bytes, 5);
	assert_int_equal(got.value_bytes, 6);
	assert_int_equal(got.timestamp_ns, rec.timestamp_ns);
	assert_null(got.key);
	assert_null(got.value);
}

/* --- truncation: the file ends inside the record --- */

#define EXAMPLE_BYTES 31

static void encode_example(uint8_t buf[EXAMPLE_BYTES])
{
	struct record rec = as_record(&encode_cases[0]);

	record_encode(&rec, buf);
}

static void test_cut_file(void **state)
{
	size_t keep = (size_t)(uintptr_t)*state;
	struct record_scan_result got;
	enum record_scan scan;
	uint8_t buf[EXAMPLE_BYTES];
	uint8_t *exact;

	encode_example(buf);
	exact = exact_copy(buf, keep);
	scan = record_scan(exact, keep, keep, &got);
	free(exact);
	if (keep == 0) {
		assert_int_equal(scan, RECORD_END);
	} else if (keep == EXAMPLE_BYTES) {
		assert_int_equal(scan, RECORD_WHOLE);
	} else {
		assert_int_equal(scan, RECORD_TORN);
		assert_int_equal(got.reason, keep < RECORD_HEADER_BYTES ? RECORD_REASON_SHORT_HEADER
									: RECORD_REASON_SHORT_BODY);
	}
}

/* The file has the whole record, memory has not. */
static void test_cut_buffer(void **state)
{
	size_t have = (size_t)(uintptr_t)*state;
	struct record_scan_result got;
	enum record_scan scan;
	uint8_t buf[EXAMPLE_BYTES];
	uint8_t *exact;

	encode_example(buf);
	exact = exact_copy(buf, have);
	scan = record_scan(exact, have, EXAMPLE_BYTES, &got);
	free(exact);
	if (have == EXAMPLE_BYTES) {
		assert_int_equal(scan, RECORD_WHOLE);
		return;
	}
	assert_int_equal(scan, RECORD_NEED_MORE);
	assert_int_equal(got.bytes,
			 have < RECORD_HEADER_BYTES ? RECORD_HEADER_BYTES : EXAMPLE_BYTES);
	if (have >= RECORD_HEADER_BYTES) {
		assert_int_equal(got.rec.key_bytes, 5);
		assert_int_equal(got.rec.value_bytes, 6);
	}
}

/* --- damage --- */

/* Flips each bit of one byte in turn. */
static void test_bit_flip(void **state)
{
	size_t at = (size_t)(uintptr_t)*state;
	bool in_size = at >= RECORD_KEY_SIZE_OFFSET && at < RECORD_TIMESTAMP_OFFSET;

	for (int bit = 0; bit < 8; bit++) {
		struct record_scan_result got;
		enum record_scan scan;
		uint8_t buf[EXAMPLE_BYTES];

		encode_example(buf);
		buf[at] ^= (uint8_t)(1u << bit);
		scan = record_scan(buf, sizeof(buf), sizeof(buf), &got);
		if (in_size && scan == RECORD_TORN) { /* it claims more than the file has */
			assert_int_equal(got.reason, RECORD_REASON_SHORT_BODY);
			continue;
		}
		assert_int_equal(scan, RECORD_DAMAGED);
		assert_int_equal(got.reason, RECORD_REASON_CRC);
		assert_int_equal(got.crc_stored, le32_load(buf));
		assert_int_not_equal(got.crc_stored, got.crc_computed);
		assert_null(got.rec.key); /* damaged bytes are not handed out */
		assert_null(got.rec.value);
	}
}

/* --- headers that lie: nothing behind the header is in memory --- */

static const struct size_case {
	const char *name;
	uint32_t key_bytes, value_bytes;
	uint64_t file_bytes;
	enum record_scan want;
	uint64_t want_bytes; /* RECORD_NEED_MORE */
} size_cases[] = {
	{ "both sizes largest, small file", UINT32_MAX, UINT32_MAX, 31, RECORD_TORN, 0 },
	{ "sizes that add up to 0 in u32", 0x80000000, 0x80000000, 31, RECORD_TORN, 0 },
	{ "sizes that add up to 11 in u32", 0xffffffff, 12, 31, RECORD_TORN, 0 },
	{ "20 + sizes overflow to 0 in u32", 0xffffffec, 0, 31, RECORD_TORN, 0 },
	{ "20 + sizes overflow to 20 in u32", 0xfffffff0, 16, 31, RECORD_TORN, 0 },
	{ "20 + sizes overflow to 31 in u32", 0xffffffff, 12, 31, RECORD_TORN, 0 },
	{ "value size with the top bit", 5, 0x80000006, 31, RECORD_TORN, 0 },
	{ "key size largest, value empty", UINT32_MAX, 0, 31, RECORD_TORN, 0 },
	{ "one byte more than the file", 5, 7, 31, RECORD_TORN, 0 },
	{ "8 GiB claimed, file one byte short", UINT32_MAX, UINT32_MAX,
	  20 + 2 * (uint64_t)UINT32_MAX - 1, RECORD_TORN, 0 },
	{ "8 GiB claimed, and the file has them", UINT32_MAX, UINT32_MAX,
	  20 + 2 * (uint64_t)UINT32_MAX, RECORD_NEED_MORE, 20 + 2 * (uint64_t)UINT32_MAX },
	{ "4 GiB + 20 bytes in a file of 5 GiB", UINT32_MAX, 1, GIB(5), RECORD_NEED_MORE,
	  20 + (uint64_t)UINT32_MAX + 1 },
	{ "a mebibyte in a file of two", 3, 1 << 20, 2 << 20, RECORD_NEED_MORE, 23 + (1 << 20) },
};

static void test_sizes(void **state)
{
	const struct size_case *c = *state;
	struct record_scan_result got;
	uint8_t header[RECORD_HEADER_BYTES] = { 1 };
	enum record_scan scan;
	uint8_t *exact;

	le32_store(header + RECORD_KEY_SIZE_OFFSET, c->key_bytes);
	le32_store(header + RECORD_VALUE_SIZE_OFFSET, c->value_bytes);
	exact = exact_copy(header, sizeof(header));
	scan = record_scan(exact, sizeof(header), c->file_bytes, &got);
	free(exact);
	assert_int_equal(scan, c->want);
	if (scan == RECORD_TORN)
		assert_int_equal(got.reason, RECORD_REASON_SHORT_BODY);
	else
		assert_int_equal(got.bytes, c->want_bytes);
}

/* --- zeros --- */

static const struct zero_case {
	const char *name;
	size_t zeros, file_bytes;
	enum record_scan want;
	enum record_reason reason;
} zero_cases[] = {
	{ "one zero", 1, 1, RECORD_TORN, RECORD_REASON_SHORT_HEADER },
	{ "19 zeros", 19, 19, RECORD_TORN, RECORD_REASON_SHORT_HEADER },
	{ "20 zeros", 20, 20, RECORD_TORN, RECORD_REASON_ZERO_HEADER },
	{ "21 zeros", 21, 21, RECORD_TORN, RECORD_REASON_ZERO_HEADER },
	{ "a page of zeros", 4096, 4096, RECORD_TORN, RECORD_REASON_ZERO_HEADER },
	{ "20 zeros in memory, more in the file", 20, 4096, RECORD_TORN,
	  RECORD_REASON_ZERO_HEADER },
	{ "19 zeros in memory, more in the file", 19, 4096, RECORD_NEED_MORE, RECORD_REASON_NONE },
};

static void test_zeros(void **state)
{
	const struct zero_case *c = *state;
	struct record_scan_result got;
	enum record_scan scan;
	uint8_t *zeros = calloc(c->zeros, 1);

	assert_non_null(zeros);
	scan = record_scan(zeros, c->zeros, c->file_bytes, &got);
	free(zeros);
	assert_int_equal(scan, c->want);
	assert_int_equal(got.reason, c->reason);
}

/* Zeros in the header alone are a damaged record, not "never written": sizes 0, CRC of the 16 zeros
 * behind it is not 0. */
static void test_zero_header_but_one_bit(void **state)
{
	for (size_t bit = 0; bit < 8 * (size_t)RECORD_HEADER_BYTES; bit++) {
		struct record_scan_result got;
		uint8_t header[RECORD_HEADER_BYTES] = { 0 };
		enum record_scan scan;

		header[bit / 8] = (uint8_t)(1u << (bit % 8));
		scan = record_scan(header, sizeof(header), sizeof(header), &got);
		assert_true(scan == RECORD_DAMAGED || scan == RECORD_TORN);
		assert_int_not_equal(got.reason, RECORD_REASON_ZERO_HEADER);
	}
}

static void test_end(void **state)
{
	struct record_scan_result got;

	assert_int_equal(record_scan((const uint8_t *)"", 0, 0, &got), RECORD_END);
	assert_int_equal(got.reason, RECORD_REASON_NONE);
}

static void test_nothing_in_memory(void **state)
{
	struct record_scan_result got;

	assert_int_equal(record_scan((const uint8_t *)"", 0, 31, &got), RECORD_NEED_MORE);
	assert_int_equal(got.bytes, RECORD_HEADER_BYTES);
}

static void test_bytes_never_overflow(void **state)
{
	assert_true(record_bytes(UINT32_MAX, UINT32_MAX) ==
		    UINT64_C(20) + 2 * UINT64_C(0xffffffff));
	assert_true(record_bytes(UINT32_MAX, 0) == UINT64_C(0x100000013));
	assert_true(record_bytes(0, 0) == 20);
}

static void test_reasons_have_texts(void **state)
{
	static const enum record_reason reasons[] = {
		RECORD_REASON_NONE,	  RECORD_REASON_SHORT_HEADER, RECORD_REASON_ZERO_HEADER,
		RECORD_REASON_SHORT_BODY, RECORD_REASON_CRC,	      RECORD_REASON_GROUP,
	};

	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
		const char *text = record_reason_text(reasons[i]);

		assert_true(strlen(text) > 5);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(text, record_reason_text(reasons[j]));
	}
}

/* --- the log that FreyjaDB wrote --- */

static struct golden_row {
	uint64_t offset, bytes, timestamp_ns;
	uint32_t crc, key_bytes, value_bytes;
	uint8_t key[GOLDEN_KEY_BYTES];
} golden_rows[GOLDEN_RECORDS];

static size_t golden_count;
static struct unit_file golden;

/* One line of freyjadb.tsv.  The SHA-256 of the value is checked by tests/tools/decode.py. */
static void parse_golden_row(const char *line, struct golden_row *row)
{
	char key_hex[2 * GOLDEN_KEY_BYTES + 1];
	int n;

	n = sscanf(line, "%lu\t%lu\t%lu\t%x\t%128s\t%u", &row->offset, &row->bytes,
		   &row->timestamp_ns, &row->crc, key_hex, &row->value_bytes);
	if (n != 6)
		abort();
	row->key_bytes = (uint32_t)strlen(key_hex) / 2;
	for (uint32_t i = 0; i < row->key_bytes; i++) {
		unsigned int byte;

		if (sscanf(key_hex + (size_t)2 * i, "%2x", &byte) != 1)
			abort();
		row->key[i] = (uint8_t)byte;
	}
}

static void load_golden(void)
{
	struct unit_file tsv = unit_read_file(GOLDEN_DIR "/freyjadb.tsv");
	char *state, *line = strtok_r((char *)tsv.data, "\n", &state);

	golden = unit_read_file(GOLDEN_DIR "/freyjadb.data");
	while ((line = strtok_r(NULL, "\n", &state)) != NULL) { /* the first line is a heading */
		if (golden_count == GOLDEN_RECORDS)
			abort();
		parse_golden_row(line, &golden_rows[golden_count++]);
	}
	free(tsv.data);
}

static void test_golden_record(void **state)
{
	const struct golden_row *row = *state;
	struct record_scan_result got;
	uint64_t left = golden.bytes - row->offset;
	uint8_t *again;

	assert_int_equal(record_scan(golden.data + row->offset, left, left, &got), RECORD_WHOLE);
	assert_int_equal(got.bytes, row->bytes);
	assert_int_equal(got.rec.timestamp_ns, row->timestamp_ns);
	assert_int_equal(got.rec.key_bytes, row->key_bytes);
	assert_int_equal(got.rec.value_bytes, row->value_bytes);
	assert_memory_equal(got.rec.key, row->key, row->key_bytes);
	assert_int_equal(le32_load(golden.data + row->offset), row->crc);

	again = malloc(row->bytes);
	assert_non_null(again);
	record_encode(&got.rec, again);
	assert_memory_equal(again, golden.data + row->offset, row->bytes);
	free(again);
}

static void test_golden_to_the_last_byte(void **state)
{
	struct record_scan_result got;
	uint64_t offset = 0;
	size_t count = 0;

	while (record_scan(golden.data + offset, golden.bytes - offset, golden.bytes - offset,
			   &got) == RECORD_WHOLE) {
		assert_in_range(count, 0, golden_count - 1);
		assert_int_equal(offset, golden_rows[count].offset);
		offset += got.bytes;
		count++;
	}
	assert_int_equal(count, GOLDEN_RECORDS);
	assert_int_equal(golden_count, GOLDEN_RECORDS);
	assert_int_equal(offset, golden.bytes);
}

/* "embedded" holds the image of a log as its value: found only by a reader that looks inside. */
static void test_golden_embedded_log_is_a_value(void **state)
{
	const struct golden_row *row = &golden_rows[12];
	struct record_scan_result got;
	uint64_t value_at = row->offset + RECORD_HEADER_BYTES + row->key_bytes;
	uint64_t left = golden.bytes - value_at;
	bool found = false;

	assert_memory_equal(row->key, "embedded", 8);
	for (uint64_t i = 0; i < row->value_bytes; i++)
		found |= record_scan(golden.data + value_at + i, left - i, left - i, &got) ==
			 RECORD_WHOLE;
	assert_true(found);
	assert_int_equal(golden_rows[13].offset, row->offset + row->bytes);
}

int main(void)
{
	load_golden();
	for (size_t i = 0; i < ARRAY_SIZE(encode_cases); i++) {
		const struct encode_case *c = &encode_cases[i];

		add_row(unit_name("layout: %s", c->name), test_encode_layout, c);
		if (c->key_bytes + c->value_bytes + c->timestamp_ns > 0)
			add_row(unit_name("round trip: %s", c->name), test_encode_scan, c);
	}
	for (uintptr_t n = 0; n <= EXAMPLE_BYTES; n++) {
		add_row(unit_name("file cut to %lu of 31 bytes", n), test_cut_file, (void *)n);
		add_row(unit_name("buffer has %lu of 31 bytes", n), test_cut_buffer, (void *)n);
	}
	for (uintptr_t n = 0; n < EXAMPLE_BYTES; n++)
		add_row(unit_name("bit flips in byte %lu", n), test_bit_flip, (void *)n);
	for (size_t i = 0; i < ARRAY_SIZE(size_cases); i++)
		add_row(unit_name("sizes: %s", size_cases[i].name), test_sizes, &size_cases[i]);
	for (size_t i = 0; i < ARRAY_SIZE(zero_cases); i++)
		add_row(unit_name("zeros: %s", zero_cases[i].name), test_zeros, &zero_cases[i]);
	for (size_t i = 0; i < golden_count; i++)
		add_row(unit_name("golden record at %lu", golden_rows[i].offset),
			test_golden_record, &golden_rows[i]);
	add_row("golden log is records to its last byte", test_golden_to_the_last_byte, NULL);
	add_row("golden log image inside a value", test_golden_embedded_log_is_a_value, NULL);
	add_row("zero header but for one bit is no zero header", test_zero_header_but_one_bit,
		NULL);
	add_row("scan ignores what follows the record", test_scan_ignores_what_follows, NULL);
	add_row("decode_header checks nothing", test_decode_header, NULL);
	add_row("end of the file", test_end, NULL);
	add_row("nothing in memory", test_nothing_in_memory, NULL);
	add_row("record_bytes() cannot overflow", test_bytes_never_overflow, NULL);
	add_row("every reason has its own text", test_reasons_have_texts, NULL);
	return unit_run("record", rows, row_count);
}
