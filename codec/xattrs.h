/* SPDX-License-Identifier: MIT */
/* A list of extended attributes, as an attr record holds it (docs/FORMAT.md): entries of name size
 * (1 byte), value size (4 bytes), name, value, one after the other.  Pure functions over bytes;
 * threads: any. */
#ifndef FREYJAFS_CODEC_XATTRS_H
#define FREYJAFS_CODEC_XATTRS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define XATTRS_BYTES_MAX      (1024 * 1024) /* a whole list */
#define XATTRS_NAME_BYTES_MAX 255
#define XATTRS_ENTRY_BYTES    5 /* the two sizes */

struct xattr {
	const char *name; /* borrowed from the list; not NUL-terminated */
	size_t name_bytes;
	const uint8_t *value;
	size_t value_bytes;
};

/* Says whether the list is well formed: whole entries, names of 1 ... 255 bytes without NUL and
 * each only once. */
bool xattrs_ok(const uint8_t *list, size_t list_bytes);

/* Steps through a list that is well formed.  Start with 'pos' = 0; returns false at the end. */
bool xattrs_next(const uint8_t *list, size_t list_bytes, size_t *pos, struct xattr *ret);

/* Finds an attribute by name. */
bool xattrs_find(const uint8_t *list, size_t list_bytes, const char *name, size_t name_bytes,
		 struct xattr *ret);

/* Returns the size of 'list' without attribute 'name', plus, unless 'value' is NULL, an entry for
 * it. */
size_t xattrs_set_bytes(const uint8_t *list, size_t list_bytes, const char *name, size_t name_bytes,
			const void *value, size_t value_bytes);

/* Writes that list to 'out', which has room for it and does not overlap 'list'. */
void xattrs_set(const uint8_t *list, size_t list_bytes, const char *name, size_t name_bytes,
		const void *value, size_t value_bytes, uint8_t *out);

#endif
