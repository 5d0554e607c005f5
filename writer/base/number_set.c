/* SPDX-License-Identifier: MIT */
/* A set of numbers as a hash table with open addressing and linear probing. */
#include "writer/base/number_set.h"

#include <errno.h>
#include <stdlib.h>

#define CAPACITY_FIRST 16

void number_set_init(struct number_set *s)
{
	*s = (struct number_set){ 0 };
}

void number_set_destroy(struct number_set *s)
{
	free(s->slots);
	number_set_init(s);
}

/* Returns the slot that has 'number', or the free slot where it belongs. */
static size_t find(const struct number_set *s, uint64_t number)
{
	size_t i = number & (s->capacity - 1);

	while (s->slots[i] != 0 && s->slots[i] != number)
		i = (i + 1) & (s->capacity - 1);
	return i;
}

static int grow(struct number_set *s)
{
	struct number_set larger = { .capacity =
					     s->capacity == 0 ? CAPACITY_FIRST : s->capacity * 2 };

	larger.slots = calloc(larger.capacity, sizeof(larger.slots[0]));
	if (larger.slots == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < s->capacity; i++)
		if (s->slots[i] != 0)
			larger.slots[find(&larger, s->slots[i])] = s->slots[i];
	larger.count = s->count;
	free(s->slots);
	*s = larger;
	return 0;
}

int number_set_add(struct number_set *s, uint64_t number)
{
	size_t i;

	if ((s->count + 1) * 4 > s->capacity * 3 && grow(s) < 0)
		return -ENOMEM;
	i = find(s, number);
	s->count += s->slots[i] == 0;
	s->slots[i] = number;
	return 0;
}

void number_set_remove(struct number_set *s, uint64_t number)
{
	size_t mask = s->capacity - 1, hole, i;

	if (!number_set_has(s, number))
		return;
	hole = find(s, number);
	/* Numbers behind it that it displaced move up. */
	for (i = (hole + 1) & mask; s->slots[i] != 0; i = (i + 1) & mask) {
		if (((i - s->slots[i]) & mask) >= ((i - hole) & mask)) {
			s->slots[hole] = s->slots[i];
			hole = i;
		}
	}
	s->slots[hole] = 0;
	s->count--;
}

bool number_set_has(const struct number_set *s, uint64_t number)
{
	return s->count > 0 && s->slots[find(s, number)] != 0;
}
