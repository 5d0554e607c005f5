/* SPDX-License-Identifier: MIT */
/* The hash table uses open addressing with linear probing, with the entries sorted by hash.  The
 * home of an entry is the slot whose share of all slots is the hash's share of all hashes; the
 * entry is there, or as close behind it as possible.  So the whole array is in the order of the
 * hashes, whatever its size: the size need not be a power of two, and entries move to a larger
 * array from front to back.  Entries at the end do not wrap around: there is a tail for them, whose
 * last slot is always free.
 *
 * The table consists of parts, so that only one part exists twice while it is moved, and no thread
 * waits for the whole table. */
#include "writer/index/hash_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "writer/base/pages.h"

#define CAPACITY_FIRST 16
#define TAIL_FIRST     16
/* At most 5/6 are used, and 1/5 is added: of a part that has grown at least 25/36 are used. */
#define LOAD_NUM 5
#define LOAD_DEN 6
#define GROW_DEN 5

#define PAGE_BYTES_MAX	  ((size_t)64 * 1024) /* of any architecture */
#define MAP_BYTES_MIN	  ((size_t)1024 * 1024)
#define HUGE_BYTES_MIN	  (2 * PAGES_HUGE_BYTES)
#define ROUND_UP(n, unit) (((n) + (unit)-1) / (unit) * (unit))

void hash_table_init(struct hash_table *t)
{
	*t = (struct hash_table){ 0 };
}

static struct hash_part *part_of(const struct hash_table *t, uint32_t hash)
{
	/* The caller may be a lookup, which does not change the part. */
	return (struct hash_part *)(uintptr_t)&t->parts[hash >> (32 - HASH_TABLE_PART_BITS)];
}

static size_t slot_count(const struct hash_part *p)
{
	return (size_t)p->capacity + p->tail;
}

static size_t home(uint32_t capacity, uint32_t hash)
{
	return (uint64_t)(hash << HASH_TABLE_PART_BITS) * capacity >> 32;
}

/* --- growing --- */

static struct hash_slot *slots_new(size_t count)
{
	size_t bytes = count * sizeof(struct hash_slot);

	if (bytes < MAP_BYTES_MIN)
		return calloc(count, sizeof(struct hash_slot));
	return pages_map(ROUND_UP(bytes, PAGE_BYTES_MAX),
			 bytes < HUGE_BYTES_MIN ? PAGE_BYTES_MAX : PAGES_HUGE_BYTES);
}

static void slots_free(struct hash_slot *slots, size_t count)
{
	size_t bytes = count * sizeof(struct hash_slot);

	if (bytes < MAP_BYTES_MIN)
		free(slots);
	else
		pages_unmap(slots, ROUND_UP(bytes, PAGE_BYTES_MAX));
}

void hash_table_destroy(struct hash_table *t)
{
	for (size_t i = 0; i < HASH_TABLE_PARTS; i++)
		slots_free(t->parts[i].slots, slot_count(&t->parts[i]));
	hash_table_init(t);
}

/* Moves the entries of a part to more slots.  All of them fit: none is closer to the end than it
 * was in the smaller array. */
static int stretch(struct hash_part *p, uint32_t capacity, uint32_t tail)
{
	struct hash_slot *slots = slots_new((size_t)capacity + tail);
	size_t next = 0;

	if (slots == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < slot_count(p); i++) {
		size_t at = home(capacity, p->slots[i].hash);

		if (p->slots[i].ref == 0)
			continue;
		at = at > next ? at : next;
		slots[at] = p->slots[i];
		next = at + 1;
	}
	slots_free(p->slots, slot_count(p));
	p->slots = slots;
	p->capacity = capacity;
	p->tail = tail;
	return 0;
}

int hash_table_reserve(struct hash_table *t, uint32_t hash)
{
	struct hash_part *p = part_of(t, hash);
	uint32_t capacity = p->capacity, tail = p->tail;

	if (capacity == 0)
		return stretch(p, CAPACITY_FIRST, TAIL_FIRST);
	if (((uint64_t)p->count + 1) * LOAD_DEN > (uint64_t)capacity * LOAD_NUM)
		capacity += capacity / GROW_DEN + CAPACITY_FIRST;
	if (p->slots[slot_count(p) - 2].ref != 0) /* the last slot must stay free */
		tail *= 2;
	return capacity == p->capacity && tail == p->tail ? 0 : stretch(p, capacity, tail);
}

/* --- entries --- */

void hash_table_add(struct hash_table *t, uint32_t hash, uint32_t ref)
{
	struct hash_part *p = part_of(t, hash);
	size_t at = home(p->capacity, hash), end;

	while (p->slots[at].ref != 0 && p->slots[at].hash <= hash)
		at++;
	for (end = at; p->slots[end].ref != 0; end++)
		;
	memmove(&p->slots[at + 1], &p->slots[at], (end - at) * sizeof(p->slots[0]));
	p->slots[at] = (struct hash_slot){ .hash = hash, .ref = ref };
	p->count++;
}

void hash_table_remove(struct hash_table *t, uint32_t hash, uint32_t ref)
{
	struct hash_part *p = part_of(t, hash);
	size_t at = home(p->capacity, hash), end;

	while (p->slots[at].ref != ref)
		at++;
	/* Entries behind it that are not at their home move up. */
	for (end = at + 1; p->slots[end].ref != 0 && home(p->capacity, p->slots[end].hash) < end;
	     end++)
		;
	memmove(&p->slots[at], &p->slots[at + 1], (end - at - 1) * sizeof(p->slots[0]));
	p->slots[end - 1] = (struct hash_slot){ 0 };
	p->count--;
}

const struct hash_slot *hash_table_find(const struct hash_table *t, uint32_t hash)
{
	const struct hash_part *p = part_of(t, hash);
	const struct hash_slot *s;

	if (p->capacity == 0)
		return NULL;
	for (s = &p->slots[home(p->capacity, hash)]; s->ref != 0 && s->hash < hash; s++)
		;
	return s->ref != 0 && s->hash == hash ? s : NULL;
}

void hash_table_prefetch(const struct hash_table *t, uint32_t hash)
{
	const struct hash_part *p = part_of(t, hash);

	if (p->capacity > 0)
		__builtin_prefetch(&p->slots[home(p->capacity, hash)]);
}

size_t hash_table_bytes(const struct hash_table *t)
{
	size_t bytes = 0;

	for (size_t i = 0; i < HASH_TABLE_PARTS; i++)
		bytes += slot_count(&t->parts[i]) * sizeof(struct hash_slot);
	return bytes;
}
