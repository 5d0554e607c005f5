/* SPDX-License-Identifier: MIT */
/* A hash table of references: a small one, which grows in small steps and without a second copy of
 * itself.  It knows hashes and references, not what they refer to.
 *
 * Threads: as whoever holds it says. */
#ifndef FREYJAFS_WRITER_INDEX_HASH_TABLE_H
#define FREYJAFS_WRITER_INDEX_HASH_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/compiler.h"

#define HASH_TABLE_PART_BITS 4
#define HASH_TABLE_PARTS     (1 << HASH_TABLE_PART_BITS)

struct hash_slot {
	uint32_t hash;
	uint32_t ref; /* 0: free */
};

/* The entries of all hashes that begin with the same bits. */
struct hash_part {
	struct hash_slot *slots; /* sorted by hash; 'room' of them, then 'tail' */
	uint32_t room, tail, count;
};

struct hash_table {
	struct hash_part parts[HASH_TABLE_PARTS];
};

void hash_table_init(struct hash_table *t);
void hash_table_destroy(struct hash_table *t);

/* Makes room for one more entry with this hash.  -ENOMEM. */
int hash_table_reserve(struct hash_table *t, uint32_t hash) WARN_UNUSED;
/* Adds an entry, for which there is room. */
void hash_table_add(struct hash_table *t, uint32_t hash, uint32_t ref);
/* Takes away an entry, which is there. */
void hash_table_remove(struct hash_table *t, uint32_t hash, uint32_t ref);

/* Returns the first entry with this hash, or NULL; then the next one. */
const struct hash_slot *hash_table_find(const struct hash_table *t, uint32_t hash);
static inline const struct hash_slot *hash_table_next(const struct hash_slot *slot)
{
	return slot[1].ref != 0 && slot[1].hash == slot->hash ? slot + 1 : NULL;
}
/* Asks for the memory where hash_table_find() will look. */
void hash_table_prefetch(const struct hash_table *t, uint32_t hash);

size_t hash_table_bytes(const struct hash_table *t);

#endif
