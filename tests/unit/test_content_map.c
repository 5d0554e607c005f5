/* SPDX-License-Identifier: MIT */
/* The map of a content, against an array that has for each byte the record and the place in it. */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "codec/meta.h"
#include "codec/record.h"
#include "tests/sim/rng.h"
#include "writer/index/content_map.h"

#define BYTES_MAX 200
#define STEPS	  2000
#define SEEDS	  20
#define KEY_BYTES 10

/* One byte: where it is read from.  Record 0: nowhere, a hole. */
struct byte {
	uint64_t record;
	uint32_t value_offset;
	bool hole; /* laid */
};

struct naive {
	struct byte bytes[BYTES_MAX];
	uint64_t size;
	bool keeps_holes;
};

static void naive_lay(struct naive *n, const struct content_piece *p)
{
	for (uint64_t i = 0; i < p->bytes; i++) {
		struct byte b = { p->value.record_position, p->value_offset + (uint32_t)i, false };

		if (p->hole)
			b = (struct byte){ .hole = n->keeps_holes };
		n->bytes[p->offset + i] = b;
	}
	if (p->offset + p->bytes > n->size)
		n->size = p->offset + p->bytes;
}

static void naive_set_size(struct naive *n, uint64_t size)
{
	for (uint64_t i = size; i < BYTES_MAX; i++)
		n->bytes[i] = (struct byte){ 0 };
	n->size = size;
}

/* Every byte, and every figure, is that of the array. */
static void check(const struct content_map *c, const struct naive *n)
{
	uint64_t data = 0, live = 0, pieces = 0, last_end = 0;
	struct content_piece p;

	assert_int_equal(content_map_size(c), n->size);
	for (uint64_t i = 0; i < BYTES_MAX; i++) {
		const struct byte *b = &n->bytes[i];
		bool found = content_map_find(c, i, &p) && p.offset <= i;

		assert_int_equal(found, b->record != 0 || b->hole);
		if (!found)
			continue;
		assert_true(p.offset + p.bytes > i);
		assert_int_equal(p.hole, b->hole);
		data += !b->hole;
		if (!b->hole) {
			assert_int_equal(p.value.record_position, b->record);
			assert_int_equal(p.value_offset + (i - p.offset), b->value_offset);
		}
		if (p.offset == i) {
			assert_true(p.offset >= last_end);
			last_end = p.offset + p.bytes;
			pieces++;
			if (!p.hole)
				live += RECORD_HEADER_BYTES + KEY_BYTES + META_EXTENT_FIXED_BYTES;
		}
	}
	assert_int_equal(content_map_data_bytes(c), data);
	assert_int_equal(content_map_live_bytes(c), live + data);
	assert_int_equal(content_map_pieces(c), pieces);
}

static struct content_piece random_piece(struct rng *rng, uint64_t step)
{
	uint64_t offset = rng_below(rng, BYTES_MAX - 1);

	return (struct content_piece){
		.offset = offset,
		.bytes = 1 + rng_below(rng, rng_chance(rng, 70) ? 10 : BYTES_MAX - offset) %
				     (BYTES_MAX - offset),
		.value = { .record_position = 1000 * (step + 1), .key_bytes = KEY_BYTES },
		.value_offset = (uint32_t)rng_below(rng, 500),
		.hole = rng_chance(rng, 20),
	};
}

static void test_random(void **state)
{
	bool keeps_holes = *state != NULL;

	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct content_map *c = content_map_new(keeps_holes), *copy;
		struct naive n = { .keeps_holes = keeps_holes };
		struct rng rng = { seed };

		assert_non_null(c);
		for (uint64_t step = 0; step < STEPS; step++) {
			struct content_piece p = random_piece(&rng, step);

			if (rng_chance(&rng, 3)) {
				uint64_t size = rng_below(&rng, BYTES_MAX);

				content_map_set_size(c, size);
				naive_set_size(&n, size);
			} else {
				assert_int_equal(content_map_reserve(c, 1), 0);
				content_map_lay(c, &p);
				naive_lay(&n, &p);
			}
			check(c, &n);
		}
		copy = content_map_new(keeps_holes);
		assert_non_null(copy);
		assert_int_equal(content_map_reserve(copy, content_map_pieces(c)), 0);
		content_map_lay_all(copy, c);
		content_map_set_size(copy, content_map_size(c));
		content_map_free(c);
		check(copy, &n);
		content_map_free(copy);
	}
}

/* A staged content is laid over a base: its holes cut the base, and are gone. */
static void test_lay_all(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 10 * SEEDS; seed++) {
		struct content_map *base = content_map_new(false), *over = content_map_new(true);
		struct naive n = { 0 }, m = { .keeps_holes = true };
		struct rng rng = { seed };

		for (uint64_t step = 0; step < 30; step++) {
			struct content_map *c = step < 10 ? base : over;
			struct content_piece p = random_piece(&rng, step);

			assert_int_equal(content_map_reserve(c, 1), 0);
			content_map_lay(c, &p);
			naive_lay(step < 10 ? &n : &m, &p);
		}
		for (uint64_t i = 0; i < BYTES_MAX; i++) {
			if (m.bytes[i].record != 0 || m.bytes[i].hole)
				n.bytes[i] = (struct byte){ m.bytes[i].record,
							    m.bytes[i].value_offset, false };
		}
		n.size = m.size > n.size ? m.size : n.size;
		assert_int_equal(content_map_reserve(base, content_map_pieces(over)), 0);
		content_map_lay_all(base, over);
		check(base, &n);
		check(over, &m);
		content_map_free(base);
		content_map_free(over);
	}
}

static void test_verified(void **state)
{
	struct content_map *c = content_map_new(false);
	struct content_piece p = { .bytes = 10, .value = { .record_position = 5 } }, got;
	struct value_position other = { .record_position = 6 };

	(void)state;
	assert_int_equal(content_map_reserve(c, 1), 0);
	content_map_lay(c, &p);
	content_map_set_verified(c, 3, &other);	   /* not that record */
	content_map_set_verified(c, 10, &p.value); /* nothing there */
	assert_true(content_map_find(c, 0, &got));
	assert_false(got.verified);
	content_map_set_verified(c, 9, &p.value);
	assert_true(content_map_find(c, 0, &got));
	assert_true(got.verified);
	p = (struct content_piece){ .offset = 4, .bytes = 2, .value = other };
	assert_int_equal(content_map_reserve(c, 1), 0);
	content_map_lay(c, &p);
	assert_true(
		content_map_find(c, 6, &got)); /* what is behind the split has been checked, too */
	assert_true(got.verified);
	assert_int_equal(got.value_offset, 6);
	content_map_free(c);
}

/* Offsets and holes as large as they can be. */
static void test_large(void **state)
{
	struct content_map *c = content_map_new(true);
	struct content_piece p = { .bytes = INT64_MAX, .hole = true }, got;

	(void)state;
	assert_int_equal(content_map_reserve(c, 1), 0);
	content_map_lay(c, &p);
	p = (struct content_piece){ .offset = INT64_MAX - 1, .bytes = 1 };
	assert_int_equal(content_map_reserve(c, 1), 0);
	content_map_lay(c, &p);
	assert_true(content_map_find(c, INT64_MAX - 1, &got));
	assert_false(got.hole);
	assert_true(content_map_find(c, 0, &got));
	assert_true(got.bytes == INT64_MAX - 1);
	assert_false(content_map_find(c, INT64_MAX, &got));
	content_map_set_size(c, 0);
	assert_int_equal(content_map_pieces(c), 0);
	content_map_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		{ "random, as a file", test_random, NULL, NULL, NULL },
		{ "random, as a staging", test_random, NULL, NULL, (void *)1 },
		cmocka_unit_test(test_lay_all),
		cmocka_unit_test(test_verified),
		cmocka_unit_test(test_large),
	};

	return unit_run("content_map", tests, ARRAY_SIZE(tests));
}
