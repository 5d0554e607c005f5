/* SPDX-License-Identifier: MIT */
#include "writer/index/unnameable.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "writer/base/times.h"
#include "writer/index/keydir_private.h"

/* An item of the tsearch() tree k->unnameable. */
struct item {
	struct unnameable u; /* 'u.content' is owned */
	uint8_t key[];
};

static int compare(const void *a, const void *b)
{
	const struct unnameable *x = &((const struct item *)a)->u,
				*y = &((const struct item *)b)->u;
	size_t n = x->key_bytes < y->key_bytes ? x->key_bytes : y->key_bytes;
	int order = memcmp(x->key, y->key, n);

	if (order != 0)
		return order;
	return x->key_bytes < y->key_bytes ? -1 : x->key_bytes > y->key_bytes;
}

/* Finds an item.  Usually there are none: callers check k->unnameable first. */
static struct item *find(struct keydir *k, const void *key, size_t key_bytes)
{
	const struct item probe = { .u = { .key = key, .key_bytes = key_bytes } };
	struct item **found;

	found = tfind(&probe, &k->unnameable, compare);
	return found == NULL ? NULL : *found;
}

const struct unnameable *keydir_unnameable_find(struct keydir *k, const void *key, size_t key_bytes)
{
	const struct item *i = k->unnameable == NULL ? NULL : find(k, key, key_bytes);

	return i == NULL ? NULL : &i->u;
}

static uint64_t item_live_bytes(const struct item *i)
{
	return content_live_bytes(&i->u.value, i->u.content);
}

static void item_free(void *p)
{
	struct item *i = p;

	content_map_free(i->u.content);
	free(i);
}

int keydir_unnameable_put(struct keydir *k, const struct unnameable *u)
{
	struct item *i = calloc(1, sizeof(*i) + u->key_bytes), **found;

	if (i == NULL)
		return -ENOMEM;
	i->u = *u;
	i->u.key = memcpy(i->key, u->key, u->key_bytes);
	found = tsearch(i, &k->unnameable, compare);
	if (found == NULL) {
		free(i);
		return -ENOMEM;
	}
	if (*found == i) {
		k->stats.unnamed_keys++;
	} else {
		free(i);
		i = *found;
		k->stats.live_bytes -= item_live_bytes(i);
		content_map_free(i->u.content);
		i->u.value = u->value;
		i->u.content = u->content;
		i->u.timestamp_ns = u->timestamp_ns;
	}
	k->stats.live_bytes += item_live_bytes(i);
	return 0;
}

/* Removes an item from the tree. */
static void take_out(struct keydir *k, struct item *i)
{
	(void)tdelete(i, &k->unnameable, compare);
	k->stats.unnamed_keys--;
	k->stats.live_bytes -= item_live_bytes(i);
}

void keydir_unnameable_remove(struct keydir *k, const void *key, size_t key_bytes)
{
	struct item *i = k->unnameable == NULL ? NULL : find(k, key, key_bytes);

	if (i == NULL)
		return;
	take_out(k, i);
	item_free(i);
}

int keydir_unnameable_become(struct keydir *k, const struct unnameable *u, struct node *n)
{
	struct item *i = find(k, u->key, u->key_bytes);

	if (u->content != NULL && node_extra_get(k, n) == NULL)
		return -ENOMEM;
	keydir_write_lock(k);
	take_out(k, i);
	node_replace_content(k, n, &i->u.value, i->u.content, ns_of_timestamp(i->u.timestamp_ns));
	keydir_write_unlock(k);
	free(i);
	return 0;
}

struct each {
	void (*fn)(void *arg, const struct unnameable *u);
	void *arg;
};

static void visit(const void *node, VISIT which, void *closure)
{
	const struct each *each = closure;

	if (which == postorder || which == leaf)
		each->fn(each->arg, &(*(const struct item *const *)node)->u);
}

void keydir_unnameable_each(struct keydir *k, void (*fn)(void *arg, const struct unnameable *u),
			    void *arg)
{
	struct each each = { fn, arg };

	twalk_r(k->unnameable, visit, &each);
}

struct each_piece {
	struct keydir *k;
	bool changes;
	content_piece_fn fn;
	void *arg;
};

static void visit_piece(const void *node, VISIT which, void *closure)
{
	struct item *i = *(struct item *const *)node;
	const struct each_piece *each = closure;
	struct content_piece piece = { .bytes = i->u.value.value_bytes, .value = i->u.value };
	uint64_t before;

	if (which != postorder && which != leaf)
		return;
	before = each->changes ? item_live_bytes(i) : 0;
	if (i->u.content != NULL)
		content_map_each(i->u.content, each->fn, each->arg);
	else if (i->u.value.value_bytes > 0 && each->fn(each->arg, &piece))
		i->u.value = piece.value;
	if (each->changes)
		each->k->stats.live_bytes += item_live_bytes(i) - before;
}

void unnameable_each_piece(struct keydir *k, bool changes, content_piece_fn fn, void *arg)
{
	struct each_piece each = { .k = k, .changes = changes, .fn = fn, .arg = arg };

	twalk_r(k->unnameable, visit_piece, &each);
}

void unnameable_destroy(struct keydir *k)
{
	tdestroy(k->unnameable, item_free);
	k->unnameable = NULL;
}
