/* SPDX-License-Identifier: MIT */
/* uthash, as it is used here: an element that there is no memory for is left out, and its hh.tbl is
 * NULL then; the hash is FNV-1a. */
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
