/* SPDX-License-Identifier: MIT */
/* The configuration of uthash: an element for which memory is missing is left out, and its hh.tbl
 * is then NULL; the hash is FNV-1a. */
#ifndef FREYJAFS_WRITER_BASE_UTHASH_CONFIG_H
#define FREYJAFS_WRITER_BASE_UTHASH_CONFIG_H

#include <stddef.h>
#include <stdint.h>

static inline uint32_t uthash_fnv1a(const void *key, size_t key_bytes)
{
	const uint8_t *k = key;
	uint32_t hash = 0x811c9dc5;

	for (size_t i = 0; i < key_bytes; i++)
		hash = (hash ^ k[i]) * 0x01000193;
	return hash;
}

#define HASH_NONFATAL_OOM		    1
#define HASH_FUNCTION(key, key_bytes, hash) ((hash) = uthash_fnv1a(key, key_bytes))
#include <uthash.h>

#endif
