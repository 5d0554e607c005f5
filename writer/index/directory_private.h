/* SPDX-License-Identifier: MIT */
/* The slots of a directory: its entries in the order of a listing.  Only files in writer/index/
 * include this header.
 *
 * Slots are sorted by cookie, and a cookie is used only once: removing an entry leaves a hole, so
 * every other entry keeps its position in a listing, which a binary search finds again.  Holes are
 * squeezed out if they are the larger part, or if there is no space for a new entry.
 *
 * Threads: by the keydir lock. */
#ifndef FREYJAFS_WRITER_INDEX_DIRECTORY_PRIVATE_H
#define FREYJAFS_WRITER_INDEX_DIRECTORY_PRIVATE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "codec/compiler.h"
#include "writer/index/slab.h"

/* An entry: a name in a directory. */
struct dentry {
	slab_ref_t dir, node; /* 'node' 0: not linked */
	uint32_t cookie;      /* relative to dir.cookie_base */
	uint8_t name_bytes;   /* 0: 'name' has a pointer to a struct long_name */
	char name[];	      /* not NUL-terminated */
};

/* The name of an unnameable key, which may be longer than that of a path's component, or empty. */
struct long_name {
	size_t bytes;
	char start[];
};

static inline struct long_name *dentry_long_name(const struct dentry *d)
{
	struct long_name *name;

	memcpy(&name, d->name, sizeof(name));
	return name;
}

static inline size_t dentry_name_bytes(const struct dentry *d)
{
	return d->name_bytes > 0 ? d->name_bytes : dentry_long_name(d)->bytes;
}

static inline const char *dentry_name_start(const struct dentry *d)
{
	return d->name_bytes > 0 ? d->name : dentry_long_name(d)->start;
}

struct slot {
	uint32_t cookie;
	slab_ref_t entry; /* 0: a hole */
};

struct dir {
	/* The number of the directory, from which the numbers of its entries are computed; 0: not
	 * computed yet.  Any thread may compute it; all get the same result. */
	_Atomic uint64_t ino;
	/* Added to the cookies of slots and entries. */
	uint64_t cookie_base;
	/* Sorted by cookie.  The slot of a single entry, as very many directories have, is stored
	 * here. */
	union {
		struct slot *slots; /* owned */
		struct slot one;    /* if 'capacity' is 1 */
	};
	uint32_t used, capacity; /* 'used' includes the holes */
	uint32_t count;		 /* entries */
	uint32_t subdir_count;	 /* entries that are directories */
	uint32_t cookie_next;
	/* No path below this directory, from its first component on, has more bytes and levels than
	 * these.  Upper bounds (keydir_fits()); at most UINT16_MAX, which stands for any larger
	 * number.  Only for the one thread that changes the keydir. */
	uint16_t below_bytes, below_levels;
};

/* Frees the memory of an entry that is outside of the slab. */
void dentry_empty(const struct dentry *d);

/* Initialises 'dir', which must be all zeros and an object of a slab. */
void directory_init(struct dir *dir);
void directory_empty(struct dir *dir); /* frees the slots */

/* Reserves memory for one more entry.  -ENOMEM. */
int directory_reserve(struct dir *dir) WARN_UNUSED;
/* Adds an entry at the end.  Requires directory_reserve(). */
void directory_add(struct dir *dir, struct dentry *d);
void directory_remove(struct dir *dir, const struct dentry *d);

/* Returns the index of the first slot whose cookie is larger than 'cookie'. */
uint32_t directory_after(struct dir *dir, uint64_t cookie);
/* Returns the index of the slot behind that of 'd'. */
uint32_t directory_after_entry(struct dir *dir, const struct dentry *d);
/* Returns the entry at or behind slot '*i', and moves '*i' past it; NULL: none. */
struct dentry *directory_next(struct dir *dir, uint32_t *i);
/* Returns the cookie of an entry, for listings. */
uint64_t directory_cookie(const struct dir *dir, const struct dentry *d);
/* Returns a cookie: no entry has a larger one now, and each entry that is added later does. */
uint64_t directory_last_cookie(const struct dir *dir);

#endif
