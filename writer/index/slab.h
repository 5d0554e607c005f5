/* SPDX-License-Identifier: MIT */
/* A slab: memory for millions of small objects, without a header for each, and with references of
 * four bytes in addition to pointers.  Objects do not move.
 *
 * Threads: one at a time, except that slab_at() and slab_ref() of existing objects may run at the
 * same time. */
#ifndef FREYJAFS_WRITER_INDEX_SLAB_H
#define FREYJAFS_WRITER_INDEX_SLAB_H

#include <stddef.h>
#include <stdint.h>

#include "codec/compiler.h"

#define SLAB_CHUNK_BITS                                                           \
	18 /* a chunk is aligned to its size; it has objects of one kind and size \
	    */
#define SLAB_CHUNK_BYTES      ((size_t)1 << SLAB_CHUNK_BITS)
#define SLAB_GRANULE_BITS     3
#define SLAB_GRANULE_BYTES    ((size_t)1 << SLAB_GRANULE_BITS)
#define SLAB_CHUNK_REF_BITS   (SLAB_CHUNK_BITS - SLAB_GRANULE_BITS)
#define SLAB_OBJECT_BYTES_MAX 320
#define SLAB_SIZES	      (SLAB_OBJECT_BYTES_MAX / SLAB_GRANULE_BYTES + 1)
#define SLAB_KINDS	      2
#define SLAB_KIND_DATED	      1 /* objects with a generation: their addresses are kept elsewhere */
#define SLAB_CHUNKS_MAX	      (((size_t)1 << (32 - SLAB_CHUNK_REF_BITS)) - 1)

typedef uint32_t slab_ref_t; /* 0: none */

struct slab;

/* The head of each chunk. */
struct slab_chunk {
	struct slab *slab;
	struct slab_chunk *next, *prev; /* in the list of chunks like it that are not full */
	uint32_t number;
	uint16_t kind, granules; /* of its objects */
	uint32_t used;		 /* number of objects */
	uint32_t fresh;		 /* the first granule at which no object has begun so far */
	uint32_t free;		 /* the granule of the first free object behind the head; 0: none */
	/* SLAB_KIND_DATED: */
	uint32_t generation;   /* of objects whose place was not used before */
	uint32_t *generations; /* of all places; NULL: all have 'generation'; owned */
};

struct slab {
	struct slab_chunk **chunks; /* by number; NULL: free number */
	size_t chunk_capacity, chunk_end, chunk_count;
	size_t generations_bytes; /* of all chunks */
	struct slab_chunk *with_free[SLAB_KINDS][SLAB_SIZES];
	uint8_t *region, *region_end; /* address space for future chunks */
};

void slab_init(struct slab *s);
/* Frees all objects.  The process keeps the memory of one small slab for the next one. */
void slab_destroy(struct slab *s);

/* Returns a zeroed object of 1 ... SLAB_OBJECT_BYTES_MAX bytes, aligned to 8; 'kind' (below
 * SLAB_KINDS) is for slab_each(). slab_free() frees it.  NULL: no memory. */
void *slab_new(struct slab *s, unsigned int kind, size_t bytes);
void slab_free(void *object); /* NULL is a no-op */

/* Returns the generation of an object of SLAB_KIND_DATED, which differs from that of each other
 * object that had its address before, in any slab of the process (of the last 2^32 objects).  It
 * costs 4 bytes for each place of a chunk, from the first free in the chunk on. */
uint32_t slab_generation(const void *object);

/* Iterates over the objects of a kind.  '*cursor' must be 0 for the first call; NULL is the end.
 * The first four bytes of the objects must not all be zero: such objects count as free.  Objects
 * made in the meantime may be returned or not. */
void *slab_each(const struct slab *s, unsigned int kind, slab_ref_t *cursor);

size_t slab_bytes(const struct slab *s); /* of all chunks */

static inline struct slab_chunk *slab_chunk_of(const void *object)
{
	return (struct slab_chunk *)((uintptr_t)object & ~(uintptr_t)(SLAB_CHUNK_BYTES - 1));
}

static inline slab_ref_t slab_ref(const void *object)
{
	uintptr_t within = (uintptr_t)object & (SLAB_CHUNK_BYTES - 1);

	return slab_chunk_of(object)->number << SLAB_CHUNK_REF_BITS |
	       (slab_ref_t)(within >> SLAB_GRANULE_BITS);
}

static inline void *slab_at(const struct slab *s, slab_ref_t ref)
{
	uint8_t *chunk = (uint8_t *)s->chunks[ref >> SLAB_CHUNK_REF_BITS];
	size_t granule = ref & (((slab_ref_t)1 << SLAB_CHUNK_REF_BITS) - 1);

	return chunk + (granule << SLAB_GRANULE_BITS);
}

/* Returns the object of 'ref', which is in the same slab as 'beside'. */
static inline void *slab_beside(const void *beside, slab_ref_t ref)
{
	return ref == 0 ? NULL : slab_at(slab_chunk_of(beside)->slab, ref);
}

#endif
