/* SPDX-License-Identifier: MIT */
/* The slab, the table and the set that the keydir is made of, each against a plain model. */
#include "tests/unit/unit.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/sim/rng.h"
#include "writer/index/hash_table.h"
#include "writer/base/number_set.h"
#include "writer/index/slab.h"

/* --- slab --- */

#define OBJECTS 40000
#define STEPS	200000

struct object {
	uint8_t *p; /* NULL: none */
	size_t bytes;
	unsigned int kind;
	uint8_t fill;
};

static bool filled(const struct object *o)
{
	for (size_t i = 0; i < o->bytes; i++)
		if (o->p[i] != o->fill)
			return false;
	return true;
}

static void object_new(struct slab *s, struct rng *r, struct object *o)
{
	/* Few sizes, so that chunks become full and empty again. */
	static const size_t sizes[] = { 8, 13, 48, 48, 49, 200, SLAB_OBJECT_BYTES_MAX };
	static const uint8_t zeros[SLAB_OBJECT_BYTES_MAX];

	*o = (struct object){
		.bytes = sizes[rng_below(r, ARRAY_SIZE(sizes))],
		.kind = (unsigned int)rng_below(r, SLAB_KINDS),
		.fill = (uint8_t)(1 + rng_below(r, 255)),
	};
	o->p = slab_new(s, o->kind, o->bytes);
	assert_non_null(o->p);
	assert_int_equal((uintptr_t)o->p % 8, 0);
	assert_memory_equal(o->p, zeros, o->bytes);
	assert_int_not_equal(slab_ref(o->p), 0);
	assert_ptr_equal(slab_at(s, slab_ref(o->p)), o->p);
	memset(o->p, o->fill, o->bytes);
}

static void check_each(const struct slab *s, const struct object *objects, unsigned int kind)
{
	size_t want = 0, met = 0;
	slab_ref_t cursor = 0, last = 0;
	uint8_t *p;

	for (size_t i = 0; i < OBJECTS; i++)
		want += objects[i].p != NULL && objects[i].kind == kind;
	while ((p = slab_each(s, kind, &cursor)) != NULL) {
		assert_true(slab_ref(p) > last); /* each one once */
		last = slab_ref(p);
		met++;
	}
	assert_int_equal(met, want);
	assert_null(slab_each(s, kind, &cursor));
}

/* Objects keep their bytes while others are made and freed, references lead to them, and freed
 * memory is used again. */
static void test_slab(void **state)
{
	struct object *objects = calloc(OBJECTS, sizeof(objects[0]));
	struct rng r = { 1 };
	struct slab s;
	size_t most;

	slab_init(&s);
	for (size_t i = 0; i < OBJECTS; i++)
		object_new(&s, &r, &objects[i]);
	most = slab_bytes(&s);
	for (size_t step = 0; step < STEPS; step++) {
		struct object *o = &objects[rng_below(&r, OBJECTS)];

		if (o->p == NULL) {
			object_new(&s, &r, o);
		} else {
			assert_true(filled(o));
			slab_free(o->p);
			o->p = NULL;
		}
		if (step % 100000 == 0)
			for (unsigned int kind = 0; kind < SLAB_KINDS; kind++)
				check_each(&s, objects, kind);
	}
	/* About half of them are there; sizes vary a little. */
	assert_true(slab_bytes(&s) - s.generations_bytes <= most);
	assert_true(s.generations_bytes < OBJECTS * 2 * sizeof(uint32_t));
	for (size_t i = 0; i < OBJECTS; i++) {
		assert_true(objects[i].p == NULL || filled(&objects[i]));
		slab_free(objects[i].p);
	}
	/* One chunk of each kind and size stays. */
	assert_true(most > 20 * SLAB_CHUNK_BYTES);
	assert_true(slab_bytes(&s) < 13 * SLAB_CHUNK_BYTES);
	slab_destroy(&s);
	free(objects);
}

/* Numbers of chunks that went away are given out again. */
static void test_slab_numbers(void **state)
{
	enum {
		COUNT = 4000
	};
	static void *p[COUNT];
	struct slab s;
	size_t bytes = 0;

	slab_init(&s);
	for (int round = 0; round < 5; round++) {
		slab_ref_t largest = 0;

		for (size_t i = 0; i < COUNT; i++) {
			p[i] = slab_new(&s, 0, SLAB_OBJECT_BYTES_MAX);
			assert_non_null(p[i]);
			largest = slab_ref(p[i]) > largest ? slab_ref(p[i]) : largest;
		}
		if (round == 0)
			bytes = slab_bytes(&s);
		assert_int_equal(slab_bytes(&s), bytes);
		assert_true(largest >> SLAB_CHUNK_REF_BITS <= bytes / SLAB_CHUNK_BYTES);
		for (size_t i = 0; i < COUNT; i++)
			slab_free(p[i]);
	}
	slab_destroy(&s);
}

/* All memory goes back, with gaps in it and from several regions. */
static void test_slab_destroy(void **state)
{
	enum {
		COUNT = 60000,
		GAP = 2000
	};
	static void *p[COUNT];
	struct slab s;

	slab_init(&s);
	for (size_t i = 0; i < COUNT; i++)
		p[i] = slab_new(&s, 0, SLAB_OBJECT_BYTES_MAX);
	for (size_t i = 0; i < COUNT; i++)
		if (i / GAP % 3 == 1)
			slab_free(p[i]);
	slab_destroy(&s);
	for (size_t i = 0; i < COUNT; i++)
		assert_int_equal(msync(slab_chunk_of(p[i]), SLAB_CHUNK_BYTES, MS_ASYNC), -1);
}

/* A small slab leaves its memory to the next one, which finds only zeros in it. */
static void test_slab_small(void **state)
{
	enum {
		COUNT = 100,
		KIND = 1
	};
	static const uint8_t zeros[SLAB_OBJECT_BYTES_MAX];
	struct slab_chunk *before = NULL;
	slab_ref_t cursor;
	struct slab s;

	for (size_t count = COUNT; count > 0; count /= 2) {
		slab_init(&s);
		for (size_t i = 0; i < count; i++) {
			uint8_t *p = slab_new(&s, KIND, sizeof(zeros));

			assert_non_null(p);
			assert_memory_equal(p, zeros, sizeof(zeros));
			assert_true(before == NULL || slab_chunk_of(p) == before);
			before = slab_chunk_of(p);
			memset(p, 0xff, sizeof(zeros));
		}
		cursor = 0;
		for (size_t i = 0; i < count; i++)
			assert_non_null(slab_each(&s, KIND, &cursor));
		assert_null(slab_each(&s, KIND, &cursor));
		slab_destroy(&s);
		assert_int_equal(msync(before, SLAB_CHUNK_BYTES, MS_ASYNC), 0);
	}
}

/* A caller with the address of a freed object notices that by the generation. */
static void test_generations(void **state)
{
	enum {
		COUNT = 3 * SLAB_CHUNK_BYTES / 48,
	};
	static struct {
		uint8_t *p;
		uint32_t generation;
	} first[COUNT];
	struct slab s;
	uint32_t last;
	uint8_t *p;

	slab_init(&s);
	for (size_t i = 0; i < COUNT; i++) {
		first[i].p = slab_new(&s, SLAB_KIND_DATED, 48);
		assert_non_null(first[i].p);
		memset(first[i].p, 1, 48);
		first[i].generation = slab_generation(first[i].p);
	}
	for (size_t i = 0; i < COUNT; i += 2)
		slab_free(first[i].p);
	for (size_t i = 1; i < COUNT; i += 2) /* others keep theirs */
		assert_int_equal(slab_generation(first[i].p), first[i].generation);
	for (size_t i = 0; i < COUNT; i += 2) { /* the same places, in any order */
		p = slab_new(&s, SLAB_KIND_DATED, 48);
		for (size_t j = 0; j < COUNT && i % 512 == 0; j++)
			if (first[j].p == p)
				assert_int_not_equal(slab_generation(p), first[j].generation);
	}
	p = slab_new(&s, SLAB_KIND_DATED, 48);
	last = slab_generation(p);
	for (int i = 0; i < 1000; i++) {
		uint8_t *again;

		slab_free(p);
		again = slab_new(&s, SLAB_KIND_DATED, 48);
		assert_ptr_equal(again, p);
		assert_int_not_equal(slab_generation(again), last);
		last = slab_generation(again);
	}
	slab_destroy(&s);

	/* A slab that has the memory of one that was destroyed. */
	slab_init(&s);
	for (size_t i = 0; i < COUNT; i++) {
		p = slab_new(&s, SLAB_KIND_DATED, 48);
		assert_non_null(p);
		for (size_t j = 0; j < COUNT && i % 512 == 0; j++)
			if (first[j].p == p)
				assert_int_not_equal(slab_generation(p), first[j].generation);
	}
	slab_destroy(&s);
}

/* --- hash table --- */

#define ENTRIES 5000

static const struct hashes {
	const char *name;
	uint32_t keep, set; /* what of a random hash is kept, and set */
} hashes[] = {
	{ "spread", UINT32_MAX, 0 },
	{ "few", 0xf0000007, 0 },
	{ "one part", 0x0fffffff, 0x30000000 },
	{ "the largest ones", 0x0000000f, 0xfffffff0 },
	{ "all the same, the largest", 0, UINT32_MAX },
	{ "all the same", 0, 0x12345678 },
};

struct entry {
	uint32_t hash;
	bool there;
};

/* All entries with a hash are found, each once, and no others. */
static void check_find(const struct hash_table *t, const struct entry *entries, uint32_t hash)
{
	static uint8_t met[ENTRIES];
	const struct hash_slot *s;

	memset(met, 0, sizeof(met));
	for (s = hash_table_find(t, hash); s != NULL; s = hash_table_next(s)) {
		assert_int_equal(s->hash, hash);
		assert_int_equal(met[s->ref - 1]++, 0);
	}
	for (size_t i = 0; i < ENTRIES; i++)
		assert_int_equal(met[i], entries[i].there && entries[i].hash == hash);
}

static void test_hash_table(void **state)
{
	const struct hashes *h = *state;
	struct entry *entries = calloc(ENTRIES, sizeof(entries[0]));
	struct rng r = { 7 };
	struct hash_table t;

	hash_table_init(&t);
	assert_null(hash_table_find(&t, 5));
	for (size_t step = 0; step < 4 * (size_t)ENTRIES; step++) {
		uint32_t i = (uint32_t)rng_below(&r, ENTRIES);
		struct entry *e = &entries[i];

		if (e->there) {
			hash_table_remove(&t, e->hash, i + 1);
			e->there = false;
		} else {
			e->hash = ((uint32_t)rng_next(&r) & h->keep) | h->set;
			assert_int_equal(hash_table_reserve(&t, e->hash), 0);
			hash_table_add(&t, e->hash, i + 1);
			e->there = true;
		}
		if (step % 50 == 0)
			check_find(&t, entries, e->hash);
	}
	hash_table_destroy(&t);
	free(entries);
}

/* However many there are, little is left over. */
static void test_hash_table_bytes(void **state)
{
	struct rng r = { 3 };
	struct hash_table t;

	hash_table_init(&t);
	for (uint32_t i = 1; i <= 300000; i++) {
		uint32_t hash = (uint32_t)rng_next(&r);

		assert_int_equal(hash_table_reserve(&t, hash), 0);
		hash_table_add(&t, hash, i);
		if (i >= 100000 && i % 1000 == 0)
			assert_true(hash_table_bytes(&t) <= (uint64_t)i * 12);
	}
	hash_table_destroy(&t);
}

/* --- number set --- */

static void test_number_set(void **state)
{
	enum {
		NUMBERS = 300
	};
	bool there[NUMBERS] = { false };
	struct rng r = { 9 };
	struct number_set s;

	number_set_init(&s);
	assert_false(number_set_has(&s, 1));
	number_set_remove(&s, 1);
	for (size_t step = 0; step < 20000; step++) {
		size_t i = rng_below(&r, NUMBERS);
		/* Every third one wants the same slots. */
		uint64_t number = i % 3 == 0 ? (i + 1) << 32 | 0x3f : i + 1;

		there[i] = rng_chance(&r, 50);
		if (there[i])
			assert_int_equal(number_set_add(&s, number), 0);
		else
			number_set_remove(&s, number);
		for (size_t j = 0; step % 100 == 0 && j < NUMBERS; j++)
			assert_int_equal(
				number_set_has(&s, j % 3 == 0 ? (j + 1) << 32 | 0x3f : j + 1),
				there[j]);
	}
	number_set_destroy(&s);
}

int main(void)
{
	static struct CMUnitTest tests[ARRAY_SIZE(hashes) + 6] = {
		{ "slab", test_slab, NULL, NULL, NULL },
		{ "generations", test_generations, NULL, NULL, NULL },
		{ "slab: numbers of chunks", test_slab_numbers, NULL, NULL, NULL },
		{ "slab: destroy", test_slab_destroy, NULL, NULL, NULL },
		{ "slab: small ones", test_slab_small, NULL, NULL, NULL },
		{ "hash table: memory", test_hash_table_bytes, NULL, NULL, NULL },
		{ "number set", test_number_set, NULL, NULL, NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(hashes); i++)
		tests[6 + i] = (struct CMUnitTest){ unit_name("hash table: %s", hashes[i].name),
						    test_hash_table, NULL, NULL,
						    (void *)(uintptr_t)&hashes[i] };
	return unit_run("slab", tests, ARRAY_SIZE(tests));
}
