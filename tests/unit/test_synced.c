/* SPDX-License-Identifier: MIT */
/* The durable mark: 32 bytes, and nothing else is taken for one. */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "codec/crc32.h"
#include "codec/le.h"
#include "codec/synced.h"

static const struct synced_case {
	const char *name;
	struct synced mark;
} cases[] = {
	{ "first segment, nothing durable", { 1, 0 } },
	{ "first segment, the golden log durable", { 1, 70790 } },
	{ "segment 7, past 4 GiB", { 7, UINT64_C(0x123456789) } },
	{ "largest numbers", { UINT64_MAX, UINT64_MAX } },
};

static void test_round_trip(void **state)
{
	const struct synced_case *c = *state;
	uint8_t buf[SYNCED_BYTES];
	struct synced got = { 99, 99 };

	synced_encode(&c->mark, buf);
	assert_true(synced_decode(buf, sizeof(buf), &got));
	assert_int_equal(got.segment, c->mark.segment);
	assert_int_equal(got.durable_offset, c->mark.durable_offset);
}

static void encode_example(uint8_t buf[SYNCED_BYTES])
{
	synced_encode(&(struct synced){ 1, 70790 }, buf);
}

static void assert_refused(const uint8_t *buf, size_t n)
{
	struct synced got = { 77, 88 };

	assert_false(synced_decode(buf, n, &got));
	assert_int_equal(got.segment, 77); /* untouched */
	assert_int_equal(got.durable_offset, 88);
}

static void test_every_bit_flip(void **state)
{
	uint8_t buf[SYNCED_BYTES];

	for (size_t bit = 0; bit < (size_t)SYNCED_BYTES * 8; bit++) {
		encode_example(buf);
		buf[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		assert_refused(buf, sizeof(buf));
	}
}

static void test_every_other_length(void **state)
{
	for (size_t n = 0; n <= (size_t)2 * SYNCED_BYTES; n++) {
		uint8_t whole[2 * SYNCED_BYTES];
		uint8_t *exact;

		if (n == SYNCED_BYTES)
			continue;
		encode_example(whole);
		encode_example(whole + SYNCED_BYTES);
		exact = malloc(n > 0 ? n : 1); /* a sanitizer sees a read past its end */
		assert_non_null(exact);
		memcpy(exact, whole, n);
		assert_refused(exact, n);
		free(exact);
	}
}

static void test_zeros(void **state)
{
	uint8_t buf[SYNCED_BYTES] = { 0 };

	assert_refused(buf, sizeof(buf));
}

/* A later version may lay out the rest as it likes, with a CRC that fits. */
static void test_later_version(void **state)
{
	uint8_t buf[SYNCED_BYTES];
	uint32_t crc;

	encode_example(buf);
	le32_store(buf + 8, 2);
	crc = crc32_extend(0, buf, 12);
	crc = crc32_extend(crc, buf + 16, 16);
	le32_store(buf + 12, crc);
	assert_refused(buf, sizeof(buf));
	le32_store(buf + 8, 1);
	crc = crc32_extend(0, buf, 12);
	crc = crc32_extend(crc, buf + 16, 16);
	le32_store(buf + 12, crc);
	assert_true(synced_decode(buf, sizeof(buf), &(struct synced){ 0 }));
}

static void test_golden(void **state)
{
	struct unit_file golden = unit_read_file(GOLDEN_DIR "/synced.bin");
	uint8_t buf[SYNCED_BYTES];
	struct synced got;

	encode_example(buf);
	assert_int_equal(golden.bytes, SYNCED_BYTES);
	assert_memory_equal(golden.data, buf, SYNCED_BYTES);
	assert_true(synced_decode(golden.data, golden.bytes, &got));
	assert_int_equal(got.segment, 1);
	assert_int_equal(got.durable_offset, 70790);
	free(golden.data);
}

int main(void)
{
	struct CMUnitTest tests[ARRAY_SIZE(cases) + 5] = {
		{ "every single bit flip is refused", test_every_bit_flip, NULL, NULL, NULL },
		{ "every other length is refused", test_every_other_length, NULL, NULL, NULL },
		{ "32 zeros are refused", test_zeros, NULL, NULL, NULL },
		{ "a later version is refused", test_later_version, NULL, NULL, NULL },
		{ "golden file synced.bin", test_golden, NULL, NULL, NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		void *row = (void *)(uintptr_t)&cases[i];

		tests[5 + i] =
			(struct CMUnitTest){ cases[i].name, test_round_trip, NULL, NULL, row };
	}
	return unit_run("synced", tests, ARRAY_SIZE(tests));
}
