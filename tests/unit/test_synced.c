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
	{ "a log with MANIFEST", { 7, 70790, true } },
};

static void test_round_trip(void **state)
{
	const struct synced_case *c = *state;
	uint8_t buf[SYNCED_BYTES];
	struct synced got = { 99, 99, !c->mark.with_manifest };

	synced_encode(&c->mark, buf);
	assert_true(synced_decode(buf, sizeof(buf), &got));
	assert_int_equal(got.segment, c->mark.segment);
	assert_int_equal(got.durable_offset, c->mark.durable_offset);
	assert_int_equal(got.with_manifest, c->mark.with_manifest);
}

static void encode_example(uint8_t buf[SYNCED_BYTES])
{
	synced_encode(&(struct synced){ .segment = 1, .durable_offset = 70790 }, buf);
}

static void assert_refused(const uint8_t *buf, size_t n)
{
	struct synced got = { 77, 88, false };

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

static void set_version(uint8_t buf[SYNCED_BYTES], uint32_t version)
{
	uint32_t crc;

	le32_store(buf + 8, version);
	crc = crc32_extend(0, buf, 12);
	crc = crc32_extend(crc, buf + 16, 16);
	le32_store(buf + 12, crc);
}

/* A later version may lay out the rest as it likes, with a CRC that fits. */
static void test_versions(void **state)
{
	struct synced got = { .segment = 0 };
	uint8_t buf[SYNCED_BYTES];

	encode_example(buf);
	for (uint32_t version = 0; version < 20; version++) {
		set_version(buf, version);
		if (version != 1 && version != 2) {
			assert_refused(buf, sizeof(buf));
			continue;
		}
		assert_true(synced_decode(buf, sizeof(buf), &got));
		assert_int_equal(got.with_manifest, version == 2);
		assert_int_equal(got.durable_offset, 70790);
	}
}

/* --- how much of a segment is durable --- */

static const struct durable_case {
	const char *name;
	struct synced mark;
	uint64_t segment, rotated_bytes;
	bool sealed_behind;
	uint64_t want;
} durable_cases[] = {
	{ "active, no mark", { 0, 0 }, 5, 0, false, 0 },
	{ "active, its mark", { 5, 100 }, 5, 0, false, 100 },
	{ "active, mark of an earlier one", { 4, 100 }, 5, 0, false, 0 },
	{ "active, mark of a later one", { 6, 100 }, 5, 0, false, 0 },
	{ "rotated, no mark", { 0, 0 }, 5, 900, false, 0 },
	{ "rotated, its mark", { 5, 100 }, 5, 900, false, 100 },
	{ "rotated, mark of an earlier one", { 4, 100 }, 5, 900, false, 0 },
	{ "rotated, mark of a later one", { 6, 0 }, 5, 900, false, 900 },
	{ "rotated, one behind it is sealed", { 0, 0 }, 5, 900, true, 900 },
	{ "rotated, its mark, one behind it is sealed", { 5, 100 }, 5, 900, true, 900 },
};

static void test_durable_bytes(void **state)
{
	const struct durable_case *c = *state;

	assert_int_equal(
		synced_durable_bytes(&c->mark, c->segment, c->rotated_bytes, c->sealed_behind),
		c->want);
}

static void test_raise(void **state)
{
	static const struct synced before = { 5, 100, false };
	static const struct {
		uint64_t segment, offset;
		bool raises;
	} bounds[] = { { 4, 900, false }, { 5, 99, false }, { 5, 100, false },
		       { 5, 101, true },  { 6, 0, true },   { 6, 900, true } };

	for (size_t i = 0; i < ARRAY_SIZE(bounds); i++) {
		struct synced mark = before;

		synced_raise(&mark, bounds[i].segment, bounds[i].offset);
		assert_int_equal(mark.segment, bounds[i].raises ? bounds[i].segment : 5);
		assert_int_equal(mark.durable_offset, bounds[i].raises ? bounds[i].offset : 100);
		assert_int_equal(mark.with_manifest, bounds[i].raises);
	}
}

static void check_golden(const char *path, const struct synced *want)
{
	struct unit_file golden = unit_read_file(path);
	uint8_t buf[SYNCED_BYTES];
	struct synced got;

	synced_encode(want, buf);
	assert_int_equal(golden.bytes, SYNCED_BYTES);
	assert_memory_equal(golden.data, buf, SYNCED_BYTES);
	assert_true(synced_decode(golden.data, golden.bytes, &got));
	assert_int_equal(got.segment, want->segment);
	assert_int_equal(got.durable_offset, want->durable_offset);
	assert_int_equal(got.with_manifest, want->with_manifest);
	free(golden.data);
}

static void test_golden(void **state)
{
	check_golden(GOLDEN_DIR "/synced.bin", &(struct synced){ 1, 70790, false });
	check_golden(GOLDEN_DIR "/synced_manifest.bin", &(struct synced){ 7, 70790, true });
}

int main(void)
{
	struct CMUnitTest tests[ARRAY_SIZE(cases) + ARRAY_SIZE(durable_cases) + 6] = {
		{ "every single bit flip is refused", test_every_bit_flip, NULL, NULL, NULL },
		{ "every other length is refused", test_every_other_length, NULL, NULL, NULL },
		{ "32 zeros are refused", test_zeros, NULL, NULL, NULL },
		{ "every version but 1 and 2 is refused", test_versions, NULL, NULL, NULL },
		{ "golden files", test_golden, NULL, NULL, NULL },
		{ "the later bound counts", test_raise, NULL, NULL, NULL },
	};
	size_t n = 6;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		tests[n++] = (struct CMUnitTest){ cases[i].name, test_round_trip, NULL, NULL,
						  (void *)(uintptr_t)&cases[i] };
	for (size_t i = 0; i < ARRAY_SIZE(durable_cases); i++)
		tests[n++] = (struct CMUnitTest){ durable_cases[i].name, test_durable_bytes, NULL,
						  NULL, (void *)(uintptr_t)&durable_cases[i] };
	return unit_run("synced", tests, n);
}
