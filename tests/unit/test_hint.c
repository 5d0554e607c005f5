/* SPDX-License-Identifier: MIT */
/* Hint files as bytes.  Flipped bytes and foreign hints: test_segments.c. */
#include <string.h>

#include "codec/crc32.h"
#include "codec/hint.h"
#include "codec/le.h"
#include "tests/unit/unit.h"

static const struct held_case {
	const char *key;
	size_t key_bytes;
	uint32_t value_bytes, held;
} held_cases[] = {
	{ "a", 1, 0, 0 },
	{ "a", 1, 5000, 0 },
	{ "", 0, 5, 0 },
	{ "\0a", 2, 16, 16 }, /* the root */
	{ "\0ad", 3, 1000000, 1000000 },
	{ "\0md/x", 5, 20, 20 },
	{ "\0e12345678", 10, 17, 17 },
	{ "\0e12345678", 10, 18, 18 },
	{ "\0e12345678", 10, 70000, 18 },
	{ "\0", 1, 7, 7 },
};

static void test_held(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(held_cases); i++) {
		const struct held_case *c = &held_cases[i];

		assert_int_equal(hint_held_bytes(c->key, c->key_bytes, c->value_bytes), c->held);
	}
}

static void test_entry(void **state)
{
	const struct record rec = { .timestamp_ns = 0x1122334455667788,
				    .key = "\0md/x",
				    .key_bytes = 5,
				    .value = "value",
				    .value_bytes = 5 };
	static const uint8_t want[] = { 5,    0,    0,	  0,	5,    0,    0,	 0,   0x88, 0x77,
					0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 5,	 0,   0,    0,
					0,    'm',  'd',  '/',	'x',  'v',  'a', 'l', 'u',  'e' };
	uint8_t bytes[sizeof(want)];
	struct record got;
	uint32_t held;

	(void)state;
	assert_int_equal(hint_entry_bytes(5, 5), sizeof(want));
	hint_entry_encode(&rec, 5, bytes);
	assert_memory_equal(bytes, want, sizeof(want));
	for (size_t n = 0; n < sizeof(want); n++)
		assert_int_equal(hint_entry_decode(bytes, n, &got, &held), 0);
	assert_int_equal(hint_entry_decode(bytes, sizeof(want), &got, &held), sizeof(want));
	assert_int_equal(got.timestamp_ns, rec.timestamp_ns);
	assert_int_equal(got.key_bytes, 5);
	assert_memory_equal(got.key, rec.key, 5);
	assert_int_equal(held, 5);
	assert_memory_equal(got.value, "value", 5);
	le32_store(bytes + 16, 6); /* more held than there is */
	assert_int_equal(hint_entry_decode(bytes, sizeof(want), &got, &held), 0);
	le32_store(bytes, UINT32_MAX); /* no sum of sizes may overflow */
	le32_store(bytes + 4, UINT32_MAX);
	le32_store(bytes + 16, UINT32_MAX);
	assert_int_equal(hint_entry_decode(bytes, sizeof(want), &got, &held), 0);
}

/* --- whole files --- */

static const struct record records[] = {
	{ 10, "a", "12345", 1, 5 },
	{ 11, "\0ad", "0123456789abcdef", 3, 16 },
	{ 12, "a", "", 1, 0 },
};

/* Faults that a test puts into a hint; the CRC is still right. */
struct broken {
	const char *name;
	int64_t segment_bytes, records, hint_bytes, last_offset; /* added to the right value */
	bool held;						 /* one entry holds too much */
	bool short_entry;					 /* the last one is not whole */
	bool ok;
};

static const struct broken broken[] = {
	{ "nothing", .ok = true },
	{ "the size of the segment, too large", .segment_bytes = 1 },
	{ "the size of the segment, too small", .segment_bytes = -1 },
	{ "too many records", .records = 1 },
	{ "too few records", .records = -1 },
	{ "the size of the hint, too large", .hint_bytes = 1 },
	{ "the size of the hint, too small", .hint_bytes = -1 },
	{ "the offset of the last record", .last_offset = 1 },
	{ "a plain value is held", .held = true },
	{ "an entry that is not whole", .short_entry = true },
};

static size_t build(const struct broken *b, uint8_t *out)
{
	struct hint_header h = { .segment = 7, .last_record_crc = 99 };
	size_t used = HINT_HEADER_BYTES;

	for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
		const struct record *rec = &records[i];
		uint32_t held = hint_held_bytes(rec->key, rec->key_bytes, rec->value_bytes);

		if (b->held && i == 0)
			held = rec->value_bytes;
		hint_entry_encode(rec, held, out + used);
		used += hint_entry_bytes(rec->key_bytes, held);
		h.last_record_offset = h.segment_bytes;
		h.segment_bytes += record_bytes(rec->key_bytes, rec->value_bytes);
		h.records++;
	}
	used -= b->short_entry;
	h.hint_bytes = (uint64_t)((int64_t)used + b->hint_bytes);
	h.segment_bytes += (uint64_t)b->segment_bytes;
	h.records += (uint64_t)b->records;
	h.last_record_offset += (uint64_t)b->last_offset;
	hint_header_encode(&h, crc32_extend(0, out + HINT_HEADER_BYTES, used - HINT_HEADER_BYTES),
			   out);
	return used;
}

static void test_check(void **state)
{
	const struct broken *b = *state;
	struct hint_header h = { .segment = 1 };
	uint8_t bytes[512];
	size_t used = build(b, bytes);

	assert_int_equal(hint_check(bytes, used, &h), b->ok);
	if (!b->ok) {
		assert_int_equal(h.segment, 1); /* untouched */
		return;
	}
	assert_int_equal(h.segment, 7);
	assert_int_equal(h.segment_bytes, 26 + 39 + 21);
	assert_int_equal(h.records, 3);
	assert_int_equal(h.hint_bytes, used);
	assert_int_equal(h.last_record_offset, 26 + 39);
	assert_int_equal(h.last_record_crc, 99);
	for (size_t i = 0; i < used; i++) {
		for (int bit = 0; bit < 8; bit++) {
			bytes[i] ^= (uint8_t)(1 << bit);
			assert_false(hint_check(bytes, used, &h));
			bytes[i] ^= (uint8_t)(1 << bit);
		}
		assert_false(hint_check(bytes, i, &h));
	}
}

int main(void)
{
	static struct CMUnitTest tests[2 + ARRAY_SIZE(broken)] = {
		{ "held bytes", test_held, NULL, NULL, NULL },
		{ "entry", test_entry, NULL, NULL, NULL },
	};
	size_t count = 2;

	for (size_t i = 0; i < ARRAY_SIZE(broken); i++)
		tests[count++] = (struct CMUnitTest){ broken[i].name, test_check, NULL, NULL,
						      (void *)(uintptr_t)&broken[i] };
	return unit_run("hint", tests, count);
}
