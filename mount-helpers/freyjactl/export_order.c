/* SPDX-License-Identifier: MIT */
#include "mount-helpers/freyjactl/export_order.h"

#include <errno.h>
#include <stdlib.h>

/* A file.  Empty files have position 0. */
struct item {
	uint64_t position;
	struct node *node; /* pinned */
};

struct export_order {
	struct store *s;
	struct item *items; /* capacity: twice 'most'; owned */
	size_t most, count, next;
	bool sorted;
	bool is_cut;	    /* files behind 'last' have been left out of this pass */
	struct item before; /* the last one of the earlier passes */
	struct item last;   /* the last one of this pass, if it is cut */
};

static int compare(const void *left, const void *right)
{
	const struct item *a = left, *b = right;

	if (a->position != b->position)
		return a->position < b->position ? -1 : 1;
	return a->node == b->node ? 0 : (uintptr_t)a->node < (uintptr_t)b->node ? -1 : 1;
}

int export_order_new(struct store *s, size_t most, struct export_order **ret)
{
	struct export_order *o = calloc(1, sizeof(*o));

	if (o != NULL)
		o->items = reallocarray(NULL, 2 * most, sizeof(o->items[0]));
	if (o == NULL || o->items == NULL) {
		free(o);
		return -ENOMEM;
	}
	o->s = s;
	o->most = most;
	*ret = o;
	return 0;
}

static void drop_from(struct export_order *o, size_t first)
{
	for (size_t i = first; i < o->count; i++)
		store_unpin(o->s, o->items[i].node, 1);
	o->count = first;
}

void export_order_free(struct export_order *o)
{
	if (o == NULL)
		return;
	drop_from(o, 0);
	free(o->items);
	free(o);
}

/* Sorts the files, and leaves out the last ones if there are too many. */
static void sort(struct export_order *o)
{
	qsort(o->items, o->count, sizeof(o->items[0]), compare);
	if (o->count <= o->most)
		return;
	drop_from(o, o->most);
	o->is_cut = true;
	o->last = o->items[o->most - 1];
}

void export_order_add(struct export_order *o, struct node *n)
{
	const struct item item = { store_position(o->s, n), n };

	if (compare(&item, &o->before) <= 0)
		return;
	if (o->count == 2 * o->most)
		sort(o);
	if (o->is_cut && compare(&item, &o->last) > 0)
		return;
	store_pin(o->s, n);
	o->items[o->count++] = item;
}

struct node *export_order_next(struct export_order *o)
{
	if (!o->sorted)
		sort(o);
	o->sorted = true;
	return o->next < o->count ? o->items[o->next++].node : NULL;
}

bool export_order_again(struct export_order *o)
{
	bool again = o->is_cut;

	drop_from(o, 0);
	o->next = 0;
	o->sorted = o->is_cut = false;
	o->before = o->last;
	return again;
}
