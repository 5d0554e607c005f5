/* SPDX-License-Identifier: MIT */
/* A hash table of references that needs little memory: it grows in small steps and without a second
 * copy of itself.  It knows only hashes and references, not the objects behind them.
 *
 * Threads: one at a time, or several that only search. */
#ifndef FREYJAFS_WRITER_INDEX_HASH_TABLE_H
#define FREYJAFS_WRITER_INDEX_HASH_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "codec/compiler.h"

#define HASH_TABLE_PART_BITS 4
#define HASH_TABLE_PARTS     (1 << HASH_TABLE_PART_BITS)

struct hash_slot {
	uint32_t hash;
	uint32_t ref; /* 0: free */
};

/* The entries of all hashes with the same first bits. */
struct hash_part {
	struct hash_slot *slots; /* sorted by hash; first 'capacity' slots, then 'tail' */
	uint32_t capacity, tail, count;
};

struct hash_table {
	struct hash_part parts[HASH_TABLE_PARTS];
};

void hash_table_init(struct hash_table *t);
void hash_table_destroy(struct hash_table *t);

/* Makes space for one more entry with this hash.  -ENOMEM. */
int hash_table_reserve(struct hash_table *t, uint32_t hash) WARN_UNUSED;
/* Adds an entry.  Requires hash_table_reserve(). */
void hash_table_add(struct hash_table *t, uint32_t hash, uint32_t ref);
/* Removes an entry, which must exist. */
void hash_table_remove(struct hash_table *t, uint32_t hash, uint32_t ref);

/* hash_table_find() returns the first entry with this hash, hash_table_next() the next one; NULL:
 * none. */
const struct hash_slot *hash_table_find(const struct hash_table *t, uint32_t hash);
static inline const struct hash_slot *hash_table_next(const struct hash_slot *slot)
{
	return slot[1].ref != 0 && slot[1].hash == slot->hash ? slot + 1 : NULL;
}
/* Prefetches the memory that hash_table_find() will read. */
void hash_table_prefetch(const struct hash_table *t, uint32_t hash);

size_t hash_table_bytes(const struct hash_table *t);

#endif
