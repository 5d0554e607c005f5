/* SPDX-License-Identifier: MIT */
/* Lists of extended attributes in the format of an attr record (docs/FORMAT.md): entries of name
 * size (1 byte), value size (4 bytes), name, value, one after the other.
 *
 * Pure functions over bytes; only xattrs_ok() allocates memory, for a long list, and works without
 * it.  Threads: any. */
#ifndef FREYJAFS_CODEC_XATTRS_H
#define FREYJAFS_CODEC_XATTRS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define XATTRS_BYTES_MAX      (1024 * 1024) /* of a list in a log */
#define XATTRS_SET_BYTES_MAX  (64 * 1024)   /* to set; Linux lists no more */
#define XATTRS_NAME_BYTES_MAX 255
#define XATTRS_ENTRY_BYTES    5 /* the two sizes */

struct xattr {
	const char *name; /* borrowed from the list; not NUL-terminated */
	size_t name_bytes;
	const void *value;
	size_t value_bytes;
};

/* xattr_bytes() returns the encoded size of an entry.  xattr_encode() writes the entry and returns
 * its end.  xattr_decode() decodes the entry at the front of 'bytes' and returns its size, or 0 if
 * it is not complete. */
size_t xattr_bytes(const struct xattr *x);
uint8_t *xattr_encode(const struct xattr *x, uint8_t *out);
size_t xattr_decode(const uint8_t *bytes, size_t n, struct xattr *ret);
/* Returns whether the name has 1 ... 255 bytes without NUL. */
bool xattr_name_ok(const struct xattr *x);

/* Returns whether the list is well formed: complete entries, and distinct names, each
 * xattr_name_ok(). */
bool xattrs_ok(const uint8_t *list, size_t list_bytes);

/* Steps through a well-formed list.  Start with '*pos' = 0.  Returns false at the end. */
bool xattrs_next(const uint8_t *list, size_t list_bytes, size_t *pos, struct xattr *ret);

/* Finds an attribute by name.  Returns false if the list does not have it. */
bool xattrs_find(const uint8_t *list, size_t list_bytes, const char *name, size_t name_bytes,
		 struct xattr *ret);

/* Returns the size of 'list' without the attribute with the name of 'x', plus an entry for 'x'
 * unless 'x->value' is NULL. */
size_t xattrs_set_bytes(const uint8_t *list, size_t list_bytes, const struct xattr *x);

/* Writes that list to 'out', which must have space for it and must not overlap 'list'. */
void xattrs_set(const uint8_t *list, size_t list_bytes, const struct xattr *x, uint8_t *out);

#endif
