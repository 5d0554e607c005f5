/* SPDX-License-Identifier: MIT */
/* Ranges in memory, against an array that has for each byte what it is. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuse/open/ranges.h"
#include "tests/sim/rng.h"

#define SEEDS	    12
#define STEPS	    1500
#define SMALL_BYTES 300 /* of the array, in the runs with small writes */

/* Of each byte: nothing is known, or a hole, or the byte + MODEL_DATA. */
enum {
	MODEL_NOTHING = 0,
	MODEL_HOLE = 1,
	MODEL_DATA = 2,
};

struct model {
	uint16_t *bytes;
	uint64_t size;
};

static void fill(struct model *m, uint64_t offset, uint64_t end, uint16_t what)
{
	for (uint64_t i = offset; i < end && i < m->size; i++)
		m->bytes[i] = what;
}

static void check(const struct ranges *r, const struct model *m)
{
	uint64_t at = 0, data = 0, count = 0, full = 0;
	struct range range;

	while (ranges_find(r, at, &range)) {
		assert_true(range.offset >= at);
		assert_true(range.bytes > 0);
		assert_true(range.offset + range.bytes <= m->size);
		assert_true(range.data == NULL || range.bytes <= RANGE_BYTES_MAX);
		for (; at < range.offset; at++)
			assert_int_equal(m->bytes[at], MODEL_NOTHING);
		for (uint64_t i = 0; i < range.bytes; i++, at++)
			assert_int_equal(m->bytes[at], range.data == NULL
							       ? MODEL_HOLE
							       : MODEL_DATA + range.data[i]);
		count++;
		data += range.data != NULL ? range.bytes : 0;
		full += range.data != NULL && range.bytes == RANGE_BYTES_MAX;
	}
	for (; at < m->size; at++)
		assert_int_equal(m->bytes[at], MODEL_NOTHING);
	assert_int_equal(r->count, count);
	assert_int_equal(r->data_bytes, data);
	assert_int_equal(r->full_count, full);
	assert_true(r->memory_bytes >= data);
}

static void write_checked(struct ranges *r, struct model *m, uint64_t offset, uint64_t n,
			  uint8_t byte)
{
	uint64_t before = r->memory_bytes, growth = ranges_growth(r, offset, n);
	uint8_t *buf = malloc(n);

	assert_non_null(buf);
	memset(buf, byte, n);
	assert_int_equal(ranges_write(r, offset, buf, n), 0);
	free(buf);
	/* Bytes cleared away at the ends of ranges keep their memory, but no more is used. */
	assert_true(r->memory_bytes <= before + growth);
	fill(m, offset, offset + n, (uint16_t)(MODEL_DATA + byte));
}

static void step(struct ranges *r, struct model *m, struct rng *rng)
{
	uint64_t offset = rng_below(rng, m->size), n = 1 + rng_below(rng, m->size - offset);
	struct range range;

	if (rng_chance(rng, 60)) /* mostly small */
		n = 1 + rng_below(rng, n < 20 ? n : n / 10);
	switch (rng_below(rng, 10)) {
	case 0:
		assert_int_equal(ranges_hole(r, offset, offset + n), 0);
		fill(m, offset, offset + n, MODEL_HOLE);
		break;
	case 1:
		assert_int_equal(ranges_clear(r, offset, offset + n), 0);
		fill(m, offset, offset + n, MODEL_NOTHING);
		break;
	case 2:
		if (rng_chance(rng, 70))
			break;
		assert_int_equal(ranges_clear(r, offset, UINT64_MAX), 0);
		fill(m, offset, m->size, MODEL_NOTHING);
		break;
	case 3:
		if (!ranges_find(r, offset, &range) || rng_chance(rng, 50))
			break;
		ranges_drop(r, range.offset);
		fill(m, range.offset, range.offset + range.bytes, MODEL_NOTHING);
		break;
	default:
		write_checked(r, m, offset, n, (uint8_t)rng_next(rng));
		break;
	}
}

static void run_random(uint64_t size, uint64_t seed, int steps, int check_every)
{
	struct model m = { calloc(size, sizeof(*m.bytes)), size };
	struct rng rng = { rng_mix(seed, size, 0) };
	struct ranges r = { 0 };

	assert_non_null(m.bytes);
	for (int i = 0; i < steps; i++) {
		step(&r, &m, &rng);
		if (i % check_every == 0)
			check(&r, &m);
	}
	check(&r, &m);
	ranges_free(&r);
	assert_int_equal(r.memory_bytes, 0);
	assert_null(r.root);
	free(m.bytes);
}

static void test_random(void **state)
{
	for (uint64_t seed = 0; seed < SEEDS; seed++)
		run_random(SMALL_BYTES, seed, STEPS, 1);
}

/* So large that ranges get full. */
static void test_random_large(void **state)
{
	run_random(3 * RANGE_BYTES_MAX + 777, 1, UNIT_SANITIZED ? 60 : 200, 20);
}

static void test_growth(void **state)
{
	struct model m = { calloc(RANGE_BYTES_MAX * 2, sizeof(*m.bytes)), RANGE_BYTES_MAX * 2 };
	struct ranges r = { 0 };
	struct range range;
	uint64_t memory = 0;
	size_t grown = 0;

	assert_non_null(m.bytes);
	for (uint64_t i = 0; i < 2 * RANGE_BYTES_MAX; i += 64) {
		write_checked(&r, &m, i, 64, (uint8_t)(i / 64));
		grown += r.memory_bytes != memory;
		memory = r.memory_bytes;
	}
	check(&r, &m);
	assert_true(grown < 80); /* by half each time: 25 times for 1 MiB */
	assert_int_equal(r.count, 2);
	assert_int_equal(r.full_count, 2);
	assert_true(ranges_find(&r, RANGE_BYTES_MAX, &range));
	assert_int_equal(range.offset, RANGE_BYTES_MAX);
	assert_true(r.memory_bytes < 2 * RANGE_BYTES_MAX + 1000);
	ranges_free(&r);
	free(m.bytes);
}

static void test_holes_join(void **state)
{
	struct ranges r = { 0 };
	struct range range;

	assert_int_equal(ranges_hole(&r, 10, 20), 0);
	assert_int_equal(ranges_hole(&r, 30, 40), 0);
	assert_int_equal(ranges_hole(&r, 5, 5), 0);
	assert_int_equal(r.count, 2);
	assert_int_equal(ranges_hole(&r, 20, 30), 0);
	assert_int_equal(r.count, 1);
	assert_true(ranges_find(&r, 0, &range));
	assert_int_equal(range.offset, 10);
	assert_int_equal(range.bytes, 30);
	assert_int_equal(ranges_write(&r, 15, "x", 1), 0);
	assert_int_equal(r.count, 3);
	ranges_free(&r);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_random_large),
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_holes_join),
	};

	return unit_run("ranges", tests, ARRAY_SIZE(tests));
}
