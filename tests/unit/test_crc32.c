/* SPDX-License-Identifier: MIT */
/* CRC-32 against published values and against a bit-by-bit computation. */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "codec/crc32.h"

static const struct known_case {
	const char *name;
	const char *text;
	uint32_t want;
} known[] = {
	{ "check value of the algorithm, 123456789", "123456789", 0xcbf43926 },
	{ "no bytes", "", 0x00000000 },
	{ "one byte a", "a", 0xe8b7be43 },
	{ "abc", "abc", 0x352441c2 },
	{ "the quick brown fox", "The quick brown fox jumps over the lazy dog", 0x414fa339 },
};

static void test_known(void **state)
{
	const struct known_case *c = *state;

	assert_int_equal(crc32_extend(0, c->text, strlen(c->text)), c->want);
}

/* The definition, one bit at a time. */
static uint32_t crc_by_bits(const uint8_t *p, size_t n)
{
	uint32_t crc = 0xffffffff;

	for (size_t i = 0; i < n; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ ((crc & 1) ? 0xedb88320 : 0);
	}
	return ~crc;
}

#define BUF_BYTES 1100

static void fill(uint8_t *buf)
{
	uint32_t x = 12345;

	for (size_t i = 0; i < BUF_BYTES; i++) {
		x = x * 1664525 + 1013904223;
		buf[i] = (uint8_t)(x >> 24);
	}
}

static void test_every_length(void **state)
{
	uint8_t buf[BUF_BYTES];

	fill(buf);
	for (size_t n = 0; n <= BUF_BYTES - 16; n++)
		assert_int_equal(crc32_extend(0, buf, n), crc_by_bits(buf, n));
}

static void test_every_alignment(void **state)
{
	uint8_t buf[BUF_BYTES];

	fill(buf);
	for (size_t at = 0; at < 16; at++)
		assert_int_equal(crc32_extend(0, buf + at, 1000), crc_by_bits(buf + at, 1000));
}

static void test_every_split(void **state)
{
	uint8_t buf[BUF_BYTES];
	uint32_t whole;

	fill(buf);
	whole = crc_by_bits(buf, 300);
	for (size_t split = 0; split <= 300; split++) {
		uint32_t crc = crc32_extend(0, buf, split);

		assert_int_equal(crc32_extend(crc, buf + split, 300 - split), whole);
	}
}

static void test_nothing_added(void **state)
{
	assert_int_equal(crc32_extend(0x12345678, "", 0), 0x12345678);
	assert_int_equal(crc32_extend(0x12345678, NULL, 0), 0x12345678);
}

static void test_a_million_zeros(void **state)
{
	uint8_t *zeros = calloc(1000000, 1);

	assert_non_null(zeros);
	assert_int_equal(crc32_extend(0, zeros, 1000000), crc_by_bits(zeros, 1000000));
	free(zeros);
}

static void test_backend_is_named(void **state)
{
	const char *name = crc32_backend();

	assert_true(strcmp(name, "isa-l") == 0 || strcmp(name, "zlib") == 0);
}

int main(void)
{
	struct CMUnitTest tests[ARRAY_SIZE(known) + 6] = {
		{ "every length from 0 to 1084", test_every_length, NULL, NULL, NULL },
		{ "every alignment", test_every_alignment, NULL, NULL, NULL },
		{ "every split into two calls", test_every_split, NULL, NULL, NULL },
		{ "extending by nothing", test_nothing_added, NULL, NULL, NULL },
		{ "a million zeros", test_a_million_zeros, NULL, NULL, NULL },
		{ "the backend has a name", test_backend_is_named, NULL, NULL, NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		void *row = (void *)(uintptr_t)&known[i];

		tests[6 + i] = (struct CMUnitTest){ known[i].name, test_known, NULL, NULL, row };
	}
	return unit_run("crc32", tests, ARRAY_SIZE(tests));
}
