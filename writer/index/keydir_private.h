/* SPDX-License-Identifier: MIT */
/* The inside of a directory, for keydir.c and its test. */
#ifndef FREYJAFS_WRITER_INDEX_KEYDIR_PRIVATE_H
#define FREYJAFS_WRITER_INDEX_KEYDIR_PRIVATE_H

#include "writer/index/keydir.h"

struct slot {
	uint32_t cookie;
	slab_ref_t entry; /* 0: a hole */
};

struct dir {
	/* The number of the directory, which the numbers of its entries are made of; 0: not asked
	 * for yet.  Any thread may ask, and finds the same. */
	_Atomic uint64_t ino;
	/* Cookies of slots and entries are what is to be added to this. */
	uint64_t cookie_base;
	/* Sorted by cookie.  Of a single entry, which very many directories have, it is here. */
	union {
		struct slot *slots; /* owned */
		struct slot one;    /* with 'room' 1 */
	};
	uint32_t used, room;   /* 'used' counts the holes, too */
	uint32_t count;	       /* entries */
	uint32_t subdir_count; /* entries that are directories */
	uint32_t cookie_next;
	/* No path below this directory, from its first component on, has more bytes and levels than
	 * this.  An upper bound (keydir_fits()); at most UINT16_MAX, which means more.  Of the one
	 * thread that changes the keydir. */
	uint16_t below_bytes, below_levels;
};

#endif
