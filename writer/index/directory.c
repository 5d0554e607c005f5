/* SPDX-License-Identifier: MIT */
/* Directories in the keydir: their entries, hash tables, and the cookies of listings. */
#include "writer/index/directory_private.h"

#include <errno.h>
#include <stdlib.h>

#define SLOT_CAPACITY_MIN 4
#define SLOT_HOLES_MIN	  16
#define SLOT_HOLES_SHARE  8  /* removes holes instead of growing if their share is larger */
#define COOKIE_FIRST	  16 /* smaller ones are for the callers' "." and ".." */

_Static_assert(offsetof(struct dentry, name) == 13, "there are millions of them");

void directory_init(struct dir *dir)
{
	dir->cookie_next = COOKIE_FIRST;
	dir->capacity = 1;
}

void dentry_empty(const struct dentry *d)
{
	if (d->name_bytes == 0)
		free(dentry_long_name(d));
}

void directory_empty(struct dir *dir)
{
	if (dir->capacity > 1)
		free(dir->slots);
}

static struct slot *slots_of(struct dir *dir)
{
	return dir->capacity > 1 ? dir->slots : &dir->one;
}

uint32_t directory_after(struct dir *dir, uint64_t cookie)
{
	const struct slot *slots = slots_of(dir);
	uint32_t low = 0, high = dir->used;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (dir->cookie_base + slots[mid].cookie > cookie)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

uint32_t directory_after_entry(struct dir *dir, const struct dentry *d)
{
	return directory_after(dir, dir->cookie_base + d->cookie);
}

static void squeeze(struct dir *dir)
{
	struct slot *slots = slots_of(dir);
	uint32_t kept = 0;

	for (uint32_t i = 0; i < dir->used; i++)
		if (slots[i].entry != 0)
			slots[kept++] = slots[i];
	dir->used = kept;
}

/* The cookies have reached the limit of 32 bits: continues from a larger base.  If an entry is
 * older than four thousand million others, all entries get new cookies, larger than the old ones: a
 * listing in progress then returns entries again, or ends if it has a bound. */
static void rebase(struct dir *dir)
{
	uint32_t first, base;

	squeeze(dir);
	first = dir->used > 0 ? slots_of(dir)[0].cookie : dir->cookie_next;
	base = first > UINT32_MAX / 2 ? first : dir->cookie_next;
	for (uint32_t i = 0; i < dir->used; i++) {
		struct dentry *d = slab_beside(dir, slots_of(dir)[i].entry);

		d->cookie = base == first ? d->cookie - base : i;
		slots_of(dir)[i].cookie = d->cookie;
	}
	dir->cookie_next = base == first ? dir->cookie_next - base : dir->used;
	dir->cookie_base += base;
}

int directory_reserve(struct dir *dir)
{
	uint32_t capacity = dir->capacity + dir->capacity / 2;
	struct slot *slots;

	if (dir->cookie_next == UINT32_MAX)
		rebase(dir);
	if (dir->used == dir->capacity && (dir->used - dir->count) * SLOT_HOLES_SHARE > dir->used)
		squeeze(dir);
	if (dir->used < dir->capacity)
		return 0;
	if (capacity < SLOT_CAPACITY_MIN)
		capacity = SLOT_CAPACITY_MIN;
	if (capacity < dir->capacity)
		return -ENOMEM; /* 32 bits cannot count them */
	slots = reallocarray(dir->capacity > 1 ? dir->slots : NULL, capacity, sizeof(slots[0]));
	if (slots == NULL)
		return -ENOMEM;
	if (dir->capacity == 1)
		slots[0] = dir->one;
	dir->slots = slots;
	dir->capacity = capacity;
	return 0;
}

void directory_add(struct dir *dir, struct dentry *d)
{
	d->cookie = dir->cookie_next++;
	slots_of(dir)[dir->used++] = (struct slot){ .cookie = d->cookie, .entry = slab_ref(d) };
	dir->count++;
}

void directory_remove(struct dir *dir, const struct dentry *d)
{
	uint32_t i = directory_after_entry(dir, d) - 1;

	slots_of(dir)[i].entry = 0;
	dir->count--;
	if (dir->used - dir->count > dir->count + SLOT_HOLES_MIN)
		squeeze(dir);
	if (dir->count == 0)
		dir->below_bytes = dir->below_levels = 0;
}

struct dentry *directory_next(struct dir *dir, uint32_t *i)
{
	struct dentry *d = NULL;

	while (d == NULL && *i < dir->used)
		d = slab_beside(dir, slots_of(dir)[(*i)++].entry);
	return d;
}

uint64_t directory_cookie(const struct dir *dir, const struct dentry *d)
{
	return dir->cookie_base + d->cookie;
}

uint64_t directory_last_cookie(const struct dir *dir)
{
	return dir->cookie_base + dir->cookie_next - 1;
}
