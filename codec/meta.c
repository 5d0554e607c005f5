/* SPDX-License-Identifier: MIT */
#include "codec/meta.h"

#include <string.h>

#include "codec/le.h"

#define NSEC_PER_SEC 1000000000

/* The fixed part of an attr value. */
enum {
	ATTR_VERSION = 0,
	ATTR_FLAGS = 1,
	ATTR_TYPE = 2,
	ATTR_CONTENT = 3,
	ATTR_FIELDS = 4,
	ATTR_MODE = 6,
	ATTR_UID = 8,
	ATTR_GID = 12,
};

_Static_assert(META_VERSION == 1, "on disk: docs/FORMAT.md describes version 1");
_Static_assert(META_ATTR == 'a' && META_MOVE == 'm', "on disk: kinds cannot change");
_Static_assert(META_FLAG_MORE == 1 && META_FLAG_EXCHANGE == 2, "on disk: flags cannot change");
_Static_assert(META_TYPE_FILE == 1 && META_TYPE_DIRECTORY == 2, "on disk: types cannot change");
_Static_assert(META_CONTENT_KEPT == 0 && META_CONTENT_EMPTY == 1,
	       "on disk: content values cannot change");
_Static_assert(META_FIELD_MTIME == 1 && META_FIELD_ATIME == 2 && META_FIELD_CTIME == 4,
	       "on disk: field bits");
_Static_assert(META_ATTR_FIXED_BYTES == ATTR_GID + 4, "the fixed part ends with the gid");
_Static_assert(META_TIME_BYTES == 8 + 4, "i64 seconds, u32 nanoseconds");
_Static_assert(META_ATTR_BYTES_MAX == 52, "fixed part and three times");
_Static_assert(META_KEY_PREFIX_BYTES == 2 && META_MOVE_FIXED_BYTES == 2,
	       "NUL + kind; version + flags");

bool meta_is_key(const void *key, size_t key_bytes)
{
	return key_bytes > 0 && *(const uint8_t *)key == 0;
}

enum meta_error meta_parse_key(const void *key, size_t key_bytes, enum meta_kind *ret_kind,
			       const char **ret_operand, size_t *ret_operand_bytes)
{
	const uint8_t *k = key;

	if (key_bytes < META_KEY_PREFIX_BYTES)
		return META_ERROR_SHORT;
	if (k[1] != META_ATTR && k[1] != META_MOVE)
		return META_ERROR_KIND;
	*ret_kind = (enum meta_kind)k[1];
	*ret_operand = (const char *)k + META_KEY_PREFIX_BYTES;
	*ret_operand_bytes = key_bytes - META_KEY_PREFIX_BYTES;
	return META_OK;
}

void meta_key_prefix(enum meta_kind kind, uint8_t out[META_KEY_PREFIX_BYTES])
{
	out[0] = 0;
	out[1] = (uint8_t)kind;
}

bool meta_has_more(const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
	const uint8_t *v = value;

	return meta_is_key(key, key_bytes) && value_bytes >= 2 && v[0] == META_VERSION &&
	       (v[1] & META_FLAG_MORE) != 0;
}

static uint8_t *encode_time(uint8_t *p, const struct meta_time *t)
{
	le64_store(p, (uint64_t)t->sec);
	le32_store(p + 8, t->nsec);
	return p + META_TIME_BYTES;
}

size_t meta_attr_encode(const struct meta_attr *attr, uint8_t out[META_ATTR_BYTES_MAX])
{
	uint8_t *p = out + META_ATTR_FIXED_BYTES;

	out[ATTR_VERSION] = META_VERSION;
	out[ATTR_FLAGS] = attr->flags;
	out[ATTR_TYPE] = (uint8_t)attr->type;
	out[ATTR_CONTENT] = (uint8_t)attr->content;
	le16_store(out + ATTR_FIELDS, attr->fields);
	le16_store(out + ATTR_MODE, attr->mode);
	le32_store(out + ATTR_UID, attr->uid);
	le32_store(out + ATTR_GID, attr->gid);
	if (attr->fields & META_FIELD_MTIME)
		p = encode_time(p, &attr->mtime);
	if (attr->fields & META_FIELD_ATIME)
		p = encode_time(p, &attr->atime);
	if (attr->fields & META_FIELD_CTIME)
		p = encode_time(p, &attr->ctime);
	return (size_t)(p - out);
}

/* Takes one time off the front of [*p, end). */
static enum meta_error decode_time(const uint8_t **p, const uint8_t *end, struct meta_time *ret)
{
	if (end - *p < META_TIME_BYTES)
		return META_ERROR_SHORT;
	ret->sec = (int64_t)le64_load(*p);
	ret->nsec = le32_load(*p + 8);
	*p += META_TIME_BYTES;
	return ret->nsec < NSEC_PER_SEC ? META_OK : META_ERROR_VALUE;
}

static enum meta_error decode_times(const uint8_t *p, const uint8_t *end, struct meta_attr *attr)
{
	struct meta_time *const times[] = { &attr->mtime, &attr->atime, &attr->ctime };
	enum meta_error err;

	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		if ((attr->fields & (1u << i)) == 0)
			continue;
		err = decode_time(&p, end, times[i]);
		if (err != META_OK)
			return err;
	}
	return p == end ? META_OK : META_ERROR_VALUE;
}

/* Checks the version and the flags that every meta value starts with. */
static enum meta_error check_lead(const uint8_t *v, size_t value_bytes, uint8_t flags_known)
{
	if (value_bytes < 2)
		return META_ERROR_SHORT;
	if (v[0] != META_VERSION)
		return META_ERROR_VERSION;
	return (v[1] & ~flags_known) == 0 ? META_OK : META_ERROR_FLAGS;
}

enum meta_error meta_attr_decode(const void *value, size_t value_bytes, struct meta_attr *ret)
{
	const uint8_t *v = value;
	struct meta_attr attr = { 0 };
	enum meta_error err;

	err = check_lead(v, value_bytes, META_FLAG_MORE);
	if (err != META_OK)
		return err;
	if (value_bytes < META_ATTR_FIXED_BYTES)
		return META_ERROR_SHORT;
	attr.flags = v[ATTR_FLAGS];
	attr.type = (enum meta_type)v[ATTR_TYPE];
	attr.content = (enum meta_content)v[ATTR_CONTENT];
	attr.fields = le16_load(v + ATTR_FIELDS);
	attr.mode = le16_load(v + ATTR_MODE);
	attr.uid = le32_load(v + ATTR_UID);
	attr.gid = le32_load(v + ATTR_GID);
	if (attr.fields & ~META_FIELDS_KNOWN)
		return META_ERROR_FLAGS;
	if (attr.type != META_TYPE_FILE && attr.type != META_TYPE_DIRECTORY)
		return META_ERROR_VALUE;
	if (attr.content != META_CONTENT_KEPT && attr.content != META_CONTENT_EMPTY)
		return META_ERROR_VALUE;
	if (attr.type != META_TYPE_FILE && attr.content != META_CONTENT_KEPT)
		return META_ERROR_VALUE;
	if (attr.mode & ~META_MODE_BITS)
		return META_ERROR_VALUE;
	err = decode_times(v + META_ATTR_FIXED_BYTES, v + value_bytes, &attr);
	if (err == META_OK)
		*ret = attr;
	return err;
}

void meta_move_encode_fixed(uint8_t flags, uint8_t out[META_MOVE_FIXED_BYTES])
{
	out[0] = META_VERSION;
	out[1] = flags;
}

enum meta_error meta_move_decode(const void *value, size_t value_bytes, struct meta_move *ret)
{
	const uint8_t *v = value;
	enum meta_error err;

	err = check_lead(v, value_bytes, META_FLAG_MORE | META_FLAG_EXCHANGE);
	if (err != META_OK)
		return err;
	if (value_bytes == META_MOVE_FIXED_BYTES)
		return META_ERROR_SHORT;
	ret->flags = v[1];
	ret->new_path = (const char *)v + META_MOVE_FIXED_BYTES;
	ret->new_path_bytes = value_bytes - META_MOVE_FIXED_BYTES;
	return META_OK;
}

const char *meta_error_text(enum meta_error error)
{
	switch (error) {
	case META_OK:
		return "nothing is wrong";
	case META_ERROR_SHORT:
		return "a meta record that ends too early";
	case META_ERROR_KIND:
		return "a meta record of a kind that this version does not know";
	case META_ERROR_VERSION:
		return "a meta record of a version that this version does not know";
	case META_ERROR_FLAGS:
		return "a meta record with flags that this version does not know";
	case META_ERROR_VALUE:
		return "a meta record with a field out of its range";
	}
	return "unknown error";
}
