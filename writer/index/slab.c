/* SPDX-License-Identifier: MIT */
/* The slab.  A chunk hands out freed places first, and then its granules in order.  A chunk that
 * has become empty is returned to the operating system.  A reference consists of the number of a
 * chunk and the granule in it; granule 0 is the head, so that no reference is 0.
 *
 * In a free object the first four bytes are zero, for slab_each(), and the next four link it to the
 * next free one.  AddressSanitizer is told that the rest is free, so that it finds uses after a
 * free. */
#include "writer/index/slab.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "codec/array.h"
#include "writer/base/pages.h"

#define REGION_BYTES	 ((size_t)8 * 1024 * 1024)
#define HEAD_BYTES	 ((size_t)64)
#define HEAD_GRANULES	 (HEAD_BYTES / SLAB_GRANULE_BYTES)
#define CHUNK_GRANULES	 (SLAB_CHUNK_BYTES / SLAB_GRANULE_BYTES)
#define FREE_BYTES	 SLAB_GRANULE_BYTES /* bytes of a free object that are in use */
#define KEPT_CHUNKS_MAX	 8 /* most chunks of a kept region that may have been touched */
#define HUGE_FROM_CHUNKS ((size_t)64 * 1024 * 1024 / SLAB_CHUNK_BYTES)

_Static_assert(sizeof(struct slab_chunk) <= HEAD_BYTES, "the head fits");

struct free_object {
	uint32_t zero;
	uint32_t next;
};

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN
#endif

#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
#define forbid(p, n) ASAN_POISON_MEMORY_REGION(p, n)
#define allow(p, n)  ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
#define forbid(p, n) ((void)(p), (void)(n))
#define allow(p, n)  ((void)(p), (void)(n))
#endif

void slab_init(struct slab *s)
{
	*s = (struct slab){ 0 };
}

static void *granule_at(struct slab_chunk *c, uint32_t granule)
{
	return (uint8_t *)c + (size_t)granule * SLAB_GRANULE_BYTES;
}

static size_t object_bytes(const struct slab_chunk *c)
{
	return (size_t)c->granules * SLAB_GRANULE_BYTES;
}

/* --- generations --- */

static uint32_t generation_new(void)
{
	static _Atomic uint32_t newest;

	return atomic_fetch_add_explicit(&newest, 1, memory_order_relaxed) + 1;
}

static size_t object_count(const struct slab_chunk *c)
{
	return (CHUNK_GRANULES - HEAD_GRANULES) / c->granules;
}

static size_t index_of(const struct slab_chunk *c, const void *object)
{
	size_t granule = ((uintptr_t)object & (SLAB_CHUNK_BYTES - 1)) / SLAB_GRANULE_BYTES;

	return (granule - HEAD_GRANULES) / c->granules;
}

uint32_t slab_generation(const void *object)
{
	const struct slab_chunk *c = slab_chunk_of(object);

	return c->generations == NULL ? c->generation : c->generations[index_of(c, object)];
}

static int generations_make(struct slab_chunk *c)
{
	size_t count = object_count(c);

	c->generations = reallocarray(NULL, count, sizeof(c->generations[0]));
	if (c->generations == NULL)
		return -1;
	c->slab->generations_bytes += count * sizeof(c->generations[0]);
	for (size_t i = 0; i < count; i++)
		c->generations[i] = c->generation;
	return 0;
}

static void generations_free(struct slab_chunk *c)
{
	if (c->generations != NULL)
		c->slab->generations_bytes -= object_count(c) * sizeof(c->generations[0]);
	free(c->generations);
}

/* Gives the place of 'object', which is being freed, another generation.  Returns false if memory
 * is missing; the place must then not be used again. */
static bool renew_generation(struct slab_chunk *c, const void *object)
{
	if (c->kind != SLAB_KIND_DATED)
		return true;
	if (c->generations == NULL && generations_make(c) < 0)
		return false;
	c->generations[index_of(c, object)] = generation_new();
	return true;
}

/* --- chunks --- */

/* The region of a small slab that was destroyed, for the next one: mapping, touching and unmapping
 * it takes longer than all other work on such a slab.  NULL: none. */
static _Atomic(uint8_t *) kept_region;

/* Takes address space for more chunks: in huge pages if the unused rest of the last one is small
 * compared with the whole slab. */
static int region_new(struct slab *s)
{
	bool huge = s->chunk_count >= HUGE_FROM_CHUNKS;

	s->region = huge ? NULL : atomic_exchange(&kept_region, NULL);
	if (s->region == NULL)
		s->region = pages_map(REGION_BYTES, huge ? PAGES_HUGE_BYTES : SLAB_CHUNK_BYTES);
	s->region_end = s->region == NULL ? NULL : s->region + REGION_BYTES;
	return s->region == NULL ? -1 : 0;
}

/* Finds a number for a chunk. */
static int number_new(struct slab *s, size_t *ret)
{
	if (s->chunk_count < s->chunk_end) { /* a number was given back */
		*ret = s->chunk_end;
		while (s->chunks[--*ret] != NULL)
			;
		return 0;
	}
	if (s->chunk_end == SLAB_CHUNKS_MAX)
		return -1;
	if (ARRAY_RESERVE(s->chunks, s->chunk_end + 1, s->chunk_capacity) < 0)
		return -1;
	*ret = s->chunk_end;
	return 0;
}

static void list_add(struct slab_chunk *c)
{
	struct slab_chunk **head = &c->slab->with_free[c->kind][c->granules];

	c->prev = NULL;
	c->next = *head;
	if (c->next != NULL)
		c->next->prev = c;
	*head = c;
}

static void list_remove(struct slab_chunk *c)
{
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		c->slab->with_free[c->kind][c->granules] = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
}

static struct slab_chunk *chunk_new(struct slab *s, unsigned int kind, uint32_t granules)
{
	struct slab_chunk *c;
	size_t number;

	if (number_new(s, &number) < 0)
		return NULL;
	if (s->region == s->region_end && region_new(s) < 0)
		return NULL;
	c = (struct slab_chunk *)s->region;
	s->region += SLAB_CHUNK_BYTES;
	*c = (struct slab_chunk){
		.slab = s,
		.number = (uint32_t)number,
		.kind = (uint16_t)kind,
		.granules = (uint16_t)granules,
		.fresh = HEAD_GRANULES,
		.generation = kind == SLAB_KIND_DATED ? generation_new() : 0,
	};
	forbid((uint8_t *)c + HEAD_BYTES, SLAB_CHUNK_BYTES - HEAD_BYTES);
	s->chunks[number] = c;
	s->chunk_count++;
	if (number == s->chunk_end)
		s->chunk_end++;
	list_add(c);
	return c;
}

static void chunk_free(struct slab_chunk *c)
{
	struct slab *s = c->slab;

	s->chunks[c->number] = NULL;
	s->chunk_count--;
	generations_free(c);
	allow(c, SLAB_CHUNK_BYTES);
	pages_unmap(c, SLAB_CHUNK_BYTES);
}

/* Keeps a region, if none is kept. */
static bool region_keep(uint8_t *region)
{
	uint8_t *none = NULL;

	return atomic_compare_exchange_strong(&kept_region, &none, region);
}

void slab_destroy(struct slab *s)
{
	uint8_t *from = s->region, *end = s->region_end; /* to be unmapped in one piece */

	/* The last chunks were taken from the region in order, so they end where its rest begins.
	 */
	for (size_t i = s->chunk_end; i-- > 0;) {
		uint8_t *chunk = (uint8_t *)s->chunks[i];

		if (chunk == NULL)
			continue;
		generations_free(s->chunks[i]);
		allow(chunk, SLAB_CHUNK_BYTES);
		if (chunk + SLAB_CHUNK_BYTES != from) {
			pages_unmap(from, (size_t)(end - from));
			end = chunk + SLAB_CHUNK_BYTES;
		}
		from = chunk;
	}
	if ((size_t)(end - from) != REGION_BYTES || s->chunk_end > KEPT_CHUNKS_MAX ||
	    !region_keep(from))
		pages_unmap(from, (size_t)(end - from));
	free(s->chunks);
	slab_init(s);
}

size_t slab_bytes(const struct slab *s)
{
	return s->chunk_count * SLAB_CHUNK_BYTES + s->chunk_capacity * sizeof(s->chunks[0]) +
	       s->generations_bytes;
}

/* --- objects --- */

static bool has_free(const struct slab_chunk *c)
{
	return c->free != 0 || c->fresh + c->granules <= CHUNK_GRANULES;
}

void *slab_new(struct slab *s, unsigned int kind, size_t bytes)
{
	uint32_t granules = (uint32_t)((bytes + SLAB_GRANULE_BYTES - 1) / SLAB_GRANULE_BYTES);
	struct slab_chunk *c = s->with_free[kind][granules];
	struct free_object *o;

	if (c == NULL)
		c = chunk_new(s, kind, granules);
	if (c == NULL)
		return NULL;
	if (c->free != 0) {
		o = granule_at(c, c->free);
		c->free = o->next;
	} else {
		o = granule_at(c, c->fresh);
		c->fresh += granules;
	}
	c->used++;
	if (!has_free(c))
		list_remove(c);
	allow(o, object_bytes(c));
	memset(o, 0, object_bytes(c));
	return o;
}

void slab_free(void *object)
{
	struct slab_chunk *c = slab_chunk_of(object);
	struct free_object *o = object;

	bool again;

	if (object == NULL)
		return;
	again = renew_generation(c, object);
	if (again && !has_free(c))
		list_add(c);
	*o = (struct free_object){ .next = c->free };
	forbid((uint8_t *)o + FREE_BYTES, object_bytes(c) - FREE_BYTES);
	if (again)
		c->free = (uint32_t)(((uintptr_t)o & (SLAB_CHUNK_BYTES - 1)) / SLAB_GRANULE_BYTES);
	/* The last chunk of its size stays: a caller that frees and makes objects in turn would
	 * otherwise map and unmap it each time. */
	if (--c->used == 0 && (c->next != NULL || c->prev != NULL)) {
		list_remove(c);
		chunk_free(c);
	}
}

void *slab_each(const struct slab *s, unsigned int kind, slab_ref_t *cursor)
{
	size_t number = *cursor >> SLAB_CHUNK_REF_BITS;
	size_t granule = *cursor & (CHUNK_GRANULES - 1);

	for (; number < s->chunk_end; number++, granule = 0) {
		struct slab_chunk *c = s->chunks[number];

		if (c == NULL || c->kind != kind)
			continue;
		if (granule < HEAD_GRANULES)
			granule = HEAD_GRANULES;
		for (; granule < c->fresh; granule += c->granules) {
			struct free_object *o = granule_at(c, (uint32_t)granule);

			if (o->zero == 0)
				continue;
			/* Behind the end of a chunk is the head of the next one. */
			*cursor = (slab_ref_t)((number << SLAB_CHUNK_REF_BITS) + granule +
					       c->granules);
			return o;
		}
	}
	*cursor = UINT32_MAX;
	return NULL;
}
