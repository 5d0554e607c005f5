/* SPDX-License-Identifier: MIT */
/* Arrays that grow: a pointer to the items, a count, and a capacity in items. */
#ifndef FREYJAFS_CODEC_ARRAY_H
#define FREYJAFS_CODEC_ARRAY_H

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "codec/compiler.h"

/* Grows the array that '*items' points to, if needed, to hold at least 'count' items; 'items' is
 * the address of that pointer, of any type, and '*capacity' is at least doubled, so that adding
 * items one by one takes amortized constant time.  -ENOMEM: nothing has changed. */
WARN_UNUSED static inline int array_reserve(void *items, size_t item_bytes, size_t count,
					    size_t *capacity)
{
	size_t bigger = 2 * *capacity;
	void *p;

	if (count <= *capacity)
		return 0;
	if (bigger < count)
		bigger = count;
	memcpy(&p, items, sizeof(p)); /* all pointers to objects have the same representation */
	p = reallocarray(p, bigger, item_bytes);
	if (p == NULL)
		return -ENOMEM;
	memcpy(items, &p, sizeof(p));
	*capacity = bigger;
	return 0;
}

/* As array_reserve(), for the pointer 'items', whose type gives the size of an item, and the size_t
 * 'capacity'. */
#define ARRAY_RESERVE(items, count, capacity) \
	array_reserve(&(items), sizeof((items)[0]), (count), &(capacity))

#endif
