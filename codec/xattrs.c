/* SPDX-License-Identifier: MIT */
#include "codec/xattrs.h"

#include <stdlib.h>
#include <string.h>

#include "codec/le.h"

_Static_assert(XATTRS_ENTRY_BYTES == 1 + 4, "name size, value size");

size_t xattr_bytes(const struct xattr *x)
{
	return XATTRS_ENTRY_BYTES + x->name_bytes + x->value_bytes;
}

uint8_t *xattr_encode(const struct xattr *x, uint8_t *out)
{
	out[0] = (uint8_t)x->name_bytes;
	le32_store(out + 1, (uint32_t)x->value_bytes);
	memcpy(out + XATTRS_ENTRY_BYTES, x->name, x->name_bytes);
	if (x->value_bytes > 0)
		memcpy(out + XATTRS_ENTRY_BYTES + x->name_bytes, x->value, x->value_bytes);
	return out + xattr_bytes(x);
}

size_t xattr_decode(const uint8_t *bytes, size_t n, struct xattr *ret)
{
	*ret = (struct xattr){ 0 };
	if (n < XATTRS_ENTRY_BYTES)
		return 0;
	ret->name_bytes = bytes[0];
	ret->value_bytes = le32_load(bytes + 1);
	n -= XATTRS_ENTRY_BYTES;
	if (ret->name_bytes > n || ret->value_bytes > n - ret->name_bytes)
		return 0;
	ret->name = (const char *)bytes + XATTRS_ENTRY_BYTES;
	ret->value = bytes + XATTRS_ENTRY_BYTES + ret->name_bytes;
	return xattr_bytes(ret);
}

bool xattr_name_ok(const struct xattr *x)
{
	return x->name_bytes > 0 && x->name_bytes <= XATTRS_NAME_BYTES_MAX &&
	       memchr(x->name, '\0', x->name_bytes) == NULL;
}

bool xattrs_next(const uint8_t *list, size_t list_bytes, size_t *pos, struct xattr *ret)
{
	size_t n = *pos < list_bytes ? xattr_decode(list + *pos, list_bytes - *pos, ret) : 0;

	*pos += n;
	return n > 0;
}

static bool is_named(const struct xattr *x, const char *name, size_t name_bytes)
{
	return x->name_bytes == name_bytes && memcmp(x->name, name, name_bytes) == 0;
}

/* Up to this number of entries, searching the list for each name is faster than sorting it. */
#define SEARCHED_MAX 32

static int compare_names(const void *a, const void *b)
{
	const uint8_t *x = *(const uint8_t *const *)a, *y = *(const uint8_t *const *)b;

	if (x[0] != y[0])
		return x[0] < y[0] ? -1 : 1;
	return memcmp(x + XATTRS_ENTRY_BYTES, y + XATTRS_ENTRY_BYTES, x[0]);
}

static bool are_distinct_by_search(const uint8_t *list, size_t list_bytes)
{
	struct xattr x, first;
	size_t pos = 0, before = 0;

	while (xattrs_next(list, list_bytes, &pos, &x)) {
		if (xattrs_find(list, before, x.name, x.name_bytes, &first))
			return false;
		before = pos;
	}
	return true;
}

/* Returns whether the 'count' names are distinct.  A long list is sorted, because each record of a
 * log from an untrusted source could have a hundred thousand names. */
static bool are_distinct(const uint8_t *list, size_t list_bytes, size_t count)
{
	const uint8_t **entries = NULL;
	size_t pos = 0, i = 0;
	bool distinct = true;
	struct xattr x;

	if (count > SEARCHED_MAX)
		entries = malloc(count * sizeof(entries[0]));
	if (entries == NULL)
		return are_distinct_by_search(list, list_bytes);
	while (xattrs_next(list, list_bytes, &pos, &x))
		entries[i++] = list + pos - xattr_bytes(&x);
	qsort(entries, count, sizeof(entries[0]), compare_names);
	for (i = 1; distinct && i < count; i++)
		distinct = compare_names(&entries[i - 1], &entries[i]) != 0;
	free(entries);
	return distinct;
}

bool xattrs_ok(const uint8_t *list, size_t list_bytes)
{
	size_t pos = 0, count = 0;
	struct xattr x;

	if (list_bytes > XATTRS_BYTES_MAX)
		return false;
	for (; pos < list_bytes; count++)
		if (!xattrs_next(list, list_bytes, &pos, &x) || !xattr_name_ok(&x))
			return false;
	return are_distinct(list, list_bytes, count);
}

bool xattrs_find(const uint8_t *list, size_t list_bytes, const char *name, size_t name_bytes,
		 struct xattr *ret)
{
	size_t pos = 0;

	while (xattrs_next(list, list_bytes, &pos, ret))
		if (is_named(ret, name, name_bytes))
			return true;
	return false;
}

size_t xattrs_set_bytes(const uint8_t *list, size_t list_bytes, const struct xattr *x)
{
	size_t bytes = list_bytes;
	struct xattr old;

	if (xattrs_find(list, list_bytes, x->name, x->name_bytes, &old))
		bytes -= xattr_bytes(&old);
	return x->value == NULL ? bytes : bytes + xattr_bytes(x);
}

void xattrs_set(const uint8_t *list, size_t list_bytes, const struct xattr *x, uint8_t *out)
{
	size_t before = list_bytes, after = list_bytes;
	struct xattr old;

	if (xattrs_find(list, list_bytes, x->name, x->name_bytes, &old)) {
		before = (size_t)((const uint8_t *)old.name - list) - XATTRS_ENTRY_BYTES;
		after = before + xattr_bytes(&old);
	}
	if (before > 0)
		memcpy(out, list, before);
	if (after < list_bytes)
		memcpy(out + before, list + after, list_bytes - after);
	if (x->value != NULL)
		(void)xattr_encode(x, out + before + (list_bytes - after));
}
