/* SPDX-License-Identifier: MIT */
#include "writer/index/staged.h"

#include <search.h>
#include <stdlib.h>

#include "writer/index/keydir_private.h"

/* An item of the tree. */
struct staged {
	uint64_t id;
	struct content_map *content; /* owned */
};

static int compare_staged(const void *a, const void *b)
{
	uint64_t x = ((const struct staged *)a)->id, y = ((const struct staged *)b)->id;

	return x < y ? -1 : x > y;
}

static void staged_free(void *p)
{
	struct staged *s = p;

	content_map_free(s->content);
	free(s);
}

struct staged_set *keydir_staged(struct keydir *k)
{
	return &k->staged;
}

struct content_map *staged_find(struct staged_set *set, uint64_t id, bool make)
{
	struct staged probe = { .id = id }, **found, *s;

	found = tfind(&probe, &set->root, compare_staged);
	if (found != NULL)
		return (*found)->content;
	s = make ? calloc(1, sizeof(*s)) : NULL;
	if (s == NULL)
		return NULL;
	s->id = id;
	s->content = content_map_new(true);
	if (s->content == NULL || tsearch(s, &set->root, compare_staged) == NULL) {
		staged_free(s);
		return NULL;
	}
	return s->content;
}

struct content_map *staged_take(struct staged_set *set, uint64_t id)
{
	struct staged probe = { .id = id }, **found, *s;
	struct content_map *content;

	found = tfind(&probe, &set->root, compare_staged);
	if (found == NULL)
		return NULL;
	s = *found;
	content = s->content;
	(void)tdelete(s, &set->root, compare_staged);
	free(s);
	return content;
}

void staged_drop_all(struct staged_set *set)
{
	tdestroy(set->root, staged_free);
	set->root = NULL;
}

struct each_staged {
	void (*fn)(void *arg, uint64_t id, struct content_map *c);
	void *arg;
};

static void visit_staged(const void *item, VISIT which, void *closure)
{
	const struct staged *s = *(const struct staged *const *)item;
	const struct each_staged *each = closure;

	if (which == postorder || which == leaf)
		each->fn(each->arg, s->id, s->content);
}

void staged_each(struct staged_set *set, void (*fn)(void *arg, uint64_t id, struct content_map *c),
		 void *arg)
{
	struct each_staged each = { fn, arg };

	twalk_r(set->root, visit_staged, &each);
}
