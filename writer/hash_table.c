/* SPDX-License-Identifier: MIT */
/* Open addressing with linear probing, with the entries sorted by hash.  An entry belongs in the
 * slot that its hash is to all hashes as the slot is to all slots (its home), or as near behind it
 * as it gets.  So the whole array is in the order of the hashes, for any size of it, and can be
 * stretched in place: no power of two, no second table beside it.  Those at the end have nobody to
 * wrap around to: there is a tail for them, whose last slot is always free.
 *
 * The table is in parts, so that stretching it is a matter of a part only. */
#include "writer/hash_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_FIRST 16
#define TAIL_FIRST 16
/* At most 5/6 are used, and 1/5 is added: at least 25/36 are used of a part that has grown. */
#define LOAD_NUM 5
#define LOAD_DEN 6
#define GROW_DEN 5

void hash_table_init(struct hash_table *t)
{
	*t = (struct hash_table){ 0 };
}

void hash_table_destroy(struct hash_table *t)
{
	for (size_t i = 0; i < HASH_TABLE_PARTS; i++)
		free(t->parts[i].slots);
	hash_table_init(t);
}

static struct hash_part *part_of(const struct hash_table *t, uint32_t hash)
{
	/* Whoever looks for something does not change it. */
	return (struct hash_part *)(uintptr_t)&t->parts[hash >> (32 - HASH_TABLE_PART_BITS)];
}

static size_t slot_count(const struct hash_part *p)
{
	return (size_t)p->room + p->tail;
}

static size_t home(uint32_t room, uint32_t hash)
{
	return (uint64_t)(hash << HASH_TABLE_PART_BITS) * room >> 32;
}

/* --- growing --- */

/* Moves all entries to the end of the array, which has become longer: 'old' slots were in use.
 * Returns where they begin. */
static size_t push_back(struct hash_part *p, size_t old)
{
	size_t to = slot_count(p);

	for (size_t from = old; from > 0; from--)
		if (p->slots[from - 1].ref != 0)
			p->slots[--to] = p->slots[from - 1];
	memset(p->slots, 0, to * sizeof(p->slots[0]));
	return to;
}

/* Says whether the entries, which begin at 'begin', find a place, and one more does, with a free
 * slot behind them. */
static bool fits(const struct hash_part *p, size_t begin)
{
	size_t next = 0;

	for (size_t i = begin; i < slot_count(p); i++) {
		size_t at = home(p->room, p->slots[i].hash);

		next = (at > next ? at : next) + 1;
	}
	return next + 1 < slot_count(p);
}

/* Moves each entry to its place: never to behind where it is, since all of them fit. */
static void spread(struct hash_part *p, size_t begin)
{
	size_t next = 0;

	for (size_t i = begin; i < slot_count(p); i++) {
		struct hash_slot s = p->slots[i];
		size_t at = home(p->room, s.hash);

		at = at > next ? at : next;
		p->slots[i] = (struct hash_slot){ 0 };
		p->slots[at] = s;
		next = at + 1;
	}
}

static int stretch(struct hash_part *p, uint32_t room, uint32_t tail)
{
	size_t old = slot_count(p), begin;
	struct hash_slot *slots;

	do {
		slots = reallocarray(p->slots, (size_t)room + tail, sizeof(slots[0]));
		if (slots == NULL)
			return -ENOMEM;
		p->slots = slots;
		p->room = room;
		p->tail = tail;
		begin = push_back(p, old);
		old = slot_count(p);
		tail *= 2; /* many hashes close to the last one: nothing that chance does */
	} while (!fits(p, begin));
	spread(p, begin);
	return 0;
}

int hash_table_reserve(struct hash_table *t, uint32_t hash)
{
	struct hash_part *p = part_of(t, hash);

	if (p->room == 0)
		return stretch(p, ROOM_FIRST, TAIL_FIRST);
	if (((uint64_t)p->count + 1) * LOAD_DEN > (uint64_t)p->room * LOAD_NUM)
		return stretch(p, p->room + p->room / GROW_DEN + ROOM_FIRST, p->tail);
	if (p->slots[slot_count(p) - 2].ref != 0) /* and the last slot stays free */
		return stretch(p, p->room, p->tail * 2);
	return 0;
}

/* --- entries --- */

void hash_table_add(struct hash_table *t, uint32_t hash, uint32_t ref)
{
	struct hash_part *p = part_of(t, hash);
	size_t at = home(p->room, hash), end;

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
	size_t at = home(p->room, hash), end;

	while (p->slots[at].ref != ref)
		at++;
	/* What stands behind it and not at its home moves up. */
	for (end = at + 1; p->slots[end].ref != 0 && home(p->room, p->slots[end].hash) < end; end++)
		;
	memmove(&p->slots[at], &p->slots[at + 1], (end - at - 1) * sizeof(p->slots[0]));
	p->slots[end - 1] = (struct hash_slot){ 0 };
	p->count--;
}

const struct hash_slot *hash_table_find(const struct hash_table *t, uint32_t hash)
{
	const struct hash_part *p = part_of(t, hash);
	const struct hash_slot *s;

	if (p->room == 0)
		return NULL;
	for (s = &p->slots[home(p->room, hash)]; s->ref != 0 && s->hash < hash; s++)
		;
	return s->ref != 0 && s->hash == hash ? s : NULL;
}

void hash_table_prefetch(const struct hash_table *t, uint32_t hash)
{
	const struct hash_part *p = part_of(t, hash);

	if (p->room > 0)
		__builtin_prefetch(&p->slots[home(p->room, hash)]);
}

size_t hash_table_bytes(const struct hash_table *t)
{
	size_t bytes = 0;

	for (size_t i = 0; i < HASH_TABLE_PARTS; i++)
		bytes += slot_count(&t->parts[i]) * sizeof(struct hash_slot);
	return bytes;
}
