/* SPDX-License-Identifier: MIT */
#include "codec/xattrs.h"

#include <string.h>

#include "codec/le.h"

_Static_assert(XATTRS_ENTRY_BYTES == 1 + 4, "name size, value size");

/* Takes the entry at 'pos' apart.  Returns its size, or 0 if it is not whole. */
static size_t entry_at(const uint8_t *list, size_t list_bytes, size_t pos, struct xattr *ret)
{
	size_t left = list_bytes - pos;
	const uint8_t *p = list + pos;

	*ret = (struct xattr){ 0 };
	if (left < XATTRS_ENTRY_BYTES)
		return 0;
	ret->name_bytes = p[0];
	ret->value_bytes = le32_load(p + 1);
	left -= XATTRS_ENTRY_BYTES;
	if (ret->name_bytes > left || ret->value_bytes > left - ret->name_bytes)
		return 0;
	ret->name = (const char *)p + XATTRS_ENTRY_BYTES;
	ret->value = p + XATTRS_ENTRY_BYTES + ret->name_bytes;
	return XATTRS_ENTRY_BYTES + ret->name_bytes + ret->value_bytes;
}

bool xattrs_next(const uint8_t *list, size_t list_bytes, size_t *pos, struct xattr *ret)
{
	size_t n = *pos < list_bytes ? entry_at(list, list_bytes, *pos, ret) : 0;

	*pos += n;
	return n > 0;
}

static bool is_named(const struct xattr *x, const char *name, size_t name_bytes)
{
	return x->name_bytes == name_bytes && memcmp(x->name, name, name_bytes) == 0;
}

bool xattrs_ok(const uint8_t *list, size_t list_bytes)
{
	struct xattr x, first;
	size_t pos = 0, n;

	if (list_bytes > XATTRS_BYTES_MAX)
		return false;
	while (pos < list_bytes) {
		n = entry_at(list, list_bytes, pos, &x);
		if (n == 0 || x.name_bytes == 0 || memchr(x.name, '\0', x.name_bytes) != NULL)
			return false;
		/* The list up to here is well formed, so it can be searched. */
		if (xattrs_find(list, pos, x.name, x.name_bytes, &first))
			return false;
		pos += n;
	}
	return true;
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

size_t xattrs_set_bytes(const uint8_t *list, size_t list_bytes, const char *name, size_t name_bytes,
			const void *value, size_t value_bytes)
{
	size_t bytes = list_bytes;
	struct xattr x;

	if (xattrs_find(list, list_bytes, name, name_bytes, &x))
		bytes -= XATTRS_ENTRY_BYTES + x.name_bytes + x.value_bytes;
	if (value != NULL)
		bytes += XATTRS_ENTRY_BYTES + name_bytes + value_bytes;
	return bytes;
}

static uint8_t *put(uint8_t *out, const char *name, size_t name_bytes, const void *value,
		    size_t value_bytes)
{
	out[0] = (uint8_t)name_bytes;
	le32_store(out + 1, (uint32_t)value_bytes);
	memcpy(out + XATTRS_ENTRY_BYTES, name, name_bytes);
	if (value_bytes > 0)
		memcpy(out + XATTRS_ENTRY_BYTES + name_bytes, value, value_bytes);
	return out + XATTRS_ENTRY_BYTES + name_bytes + value_bytes;
}

void xattrs_set(const uint8_t *list, size_t list_bytes, const char *name, size_t name_bytes,
		const void *value, size_t value_bytes, uint8_t *out)
{
	struct xattr x;
	size_t pos = 0;

	while (xattrs_next(list, list_bytes, &pos, &x))
		if (!is_named(&x, name, name_bytes))
			out = put(out, x.name, x.name_bytes, x.value, x.value_bytes);
	if (value != NULL)
		(void)put(out, name, name_bytes, value, value_bytes);
}
