/* SPDX-License-Identifier: MIT */
/* A list of extended attributes, as an attr record holds it (docs/FORMAT.md): entries of name size
 * (1 byte), value size (4 bytes), name, value, one after the other.  Pure functions over bytes;
 * threads: any. */
#ifndef FREYJAFS_CODEC_XATTRS_H
#define FREYJAFS_CODEC_XATTRS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define XATTRS_BYTES_MAX      (1024 * 1024) /* a whole list, in a log */
#define XATTRS_SET_BYTES_MAX  (64 * 1024)   /* what one may grow to: as Linux lists them */
#define XATTRS_NAME_BYTES_MAX 255
#define XATTRS_ENTRY_BYTES    5 /* the two sizes */

struct xattr {
	const char *name; /* borrowed from the list; not NUL-terminated */
	size_t name_bytes;
	const uint8_t *value;
	size_t value_bytes;
};

/* An entry by itself: its encoded size; writes it, and returns the end; takes it from the front of
 * 'bytes', and returns its size, or 0 if it is not whole. */
size_t xattr_bytes(const struct xattr *x);
uint8_t *xattr_encode(const struct xattr *x, uint8_t *out);
size_t xattr_decode(const uint8_t *bytes, size_t n, struct xattr *ret);
/* Returns whether the name has 1 ... 255 bytes without NUL. */
bool xattr_name_ok(const struct xattr *x);

/* Returns whether the list is well formed: whole entries, names that are xattr_name_ok() and each
 * only once. */
bool xattrs_ok(const uint8_t *list, size_t list_bytes);

/* Steps through a list that is well formed.  Start with 'pos' = 0; returns false at the end. */
bool xattrs_next(const uint8_t *list, size_t list_bytes, size_t *pos, struct xattr *ret);

/* Finds an attribute by name. */
bool xattrs_find(const uint8_t *list, size_t list_bytes, const char *name, size_t name_bytes,
		 struct xattr *ret);

/* Returns the size of 'list' without the attribute of that name, plus, unless 'x->value' is NULL,
 * an entry for it. */
size_t xattrs_set_bytes(const uint8_t *list, size_t list_bytes, const struct xattr *x);

/* Writes that list to 'out', which has room for it and does not overlap 'list'. */
void xattrs_set(const uint8_t *list, size_t list_bytes, const struct xattr *x, uint8_t *out);

#endif
