/* SPDX-License-Identifier: MIT */
#include "codec/meta.h"

#include <string.h>

#include "codec/le.h"
#include "codec/xattrs.h"

#define NSEC_PER_SEC	  1000000000
#define TARGET_SIZE_BYTES 2 /* before the target */
#define XATTRS_SIZE_BYTES 4 /* before the list */
#define XATTR_REMOVED	  0 /* before the entry of one attribute */
#define XATTR_SET	  1

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
_Static_assert(META_ATTR == 'a' && META_LINK == 'l' && META_MOVE == 'm',
	       "on disk: kinds cannot change");
_Static_assert(META_EXTENT == 'e' && META_PUBLISH == 'p', "on disk: kinds cannot change");
_Static_assert(META_FLAG_HOLE == 4 && META_FLAG_KEEP == 4, "on disk: flags cannot change");
_Static_assert(META_FLAG_DROPPED == 8, "on disk: flags cannot change");
_Static_assert(META_FLAG_IMPLICIT == 16 && META_FLAG_UNNAMEABLE == 16,
	       "on disk: flags cannot change");
_Static_assert(META_BASE == 'b' && META_SEGMENT == 's', "on disk: kinds cannot change");
_Static_assert(META_FLAG_MORE == 1 && META_FLAG_EXCHANGE == 2, "on disk: flags cannot change");
_Static_assert(META_TYPE_FILE == 1 && META_TYPE_DIRECTORY == 2, "on disk: types cannot change");
_Static_assert(META_TYPE_SYMLINK == 3 && META_TYPE_FIFO == 4 && META_TYPE_SOCKET == 5,
	       "on disk: types");
_Static_assert(META_TYPE_CHAR_DEVICE == 6 && META_TYPE_BLOCK_DEVICE == 7, "on disk: types");
_Static_assert(META_CONTENT_KEPT == 0 && META_CONTENT_EMPTY == 1 && META_CONTENT_NEW == 2,
	       "on disk: content values cannot change");
_Static_assert(META_FIELD_MTIME == 1 && META_FIELD_ATIME == 2 && META_FIELD_CTIME == 4,
	       "on disk: field bits");
_Static_assert(META_FIELD_RDEV == 8 && META_FIELD_INO == 16, "on disk: field bits");
_Static_assert(META_FIELD_TARGET == 32 && META_FIELD_XATTRS == 64, "on disk: field bits");
_Static_assert(META_FIELD_XATTR == 128, "on disk: field bits");
_Static_assert(META_FIELDS_KNOWN == 2 * META_FIELD_XATTR - 1, "all of them, and no others");
_Static_assert(META_ATTR_FIXED_BYTES == ATTR_GID + 4, "the fixed part ends with the gid");
_Static_assert(META_TIME_BYTES == 8 + 4, "i64 seconds, u32 nanoseconds");
_Static_assert(META_RDEV_BYTES == 4 + 4 && META_INO_BYTES == 8, "u32 major, u32 minor; u64");
_Static_assert(META_ATTR_BYTES_MAX == 68, "fixed part, three times, device and inode number");
_Static_assert(META_KEY_PREFIX_BYTES == 2, "NUL, kind");
_Static_assert(META_MOVE_FIXED_BYTES == 2 + META_INO_BYTES, "version, flags, inode number");
_Static_assert(META_EXCHANGE_FIXED_BYTES == 2 + 2 * META_INO_BYTES,
	       "version, flags, two inode numbers");

_Static_assert(META_EXTENT_FIXED_BYTES == 2 + 8, "version, flags, offset");
_Static_assert(META_HOLE_BYTES == META_EXTENT_FIXED_BYTES + 8, "and a length");
_Static_assert(META_PUBLISH_BYTES == 2 + META_STAGING_ID_BYTES + 8, "version, flags, id, size");
_Static_assert(META_BASE_BYTES == 2 + 8 + 8, "version, flags, time, bytes");
_Static_assert(META_SEGMENT_BYTES == 2 + 8 + META_STORE_ID_BYTES,
	       "version, flags, number, store id");

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
	if (k[1] != META_ATTR && k[1] != META_BASE && k[1] != META_EXTENT && k[1] != META_LINK &&
	    k[1] != META_MOVE && k[1] != META_PUBLISH && k[1] != META_SEGMENT)
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

size_t meta_attr_bytes(const struct meta_attr *attr)
{
	size_t bytes = META_ATTR_FIXED_BYTES;

	bytes += attr->fields & META_FIELD_MTIME ? META_TIME_BYTES : 0;
	bytes += attr->fields & META_FIELD_ATIME ? META_TIME_BYTES : 0;
	bytes += attr->fields & META_FIELD_CTIME ? META_TIME_BYTES : 0;
	bytes += attr->fields & META_FIELD_RDEV ? META_RDEV_BYTES : 0;
	bytes += attr->fields & META_FIELD_INO ? META_INO_BYTES : 0;
	bytes += attr->fields & META_FIELD_TARGET ? TARGET_SIZE_BYTES + attr->target_bytes : 0;
	bytes += attr->fields & META_FIELD_XATTRS ? XATTRS_SIZE_BYTES + attr->xattrs_bytes : 0;
	bytes += attr->fields & META_FIELD_XATTR ? 1 + xattr_bytes(&attr->xattr) : 0;
	return bytes;
}

static uint8_t *encode_bytes(uint8_t *p, const void *bytes, size_t n)
{
	if (n > 0)
		memcpy(p, bytes, n);
	return p + n;
}

/* Writes the optional fields.  Returns the end. */
static uint8_t *encode_fields(const struct meta_attr *attr, uint8_t *p)
{
	if (attr->fields & META_FIELD_MTIME)
		p = encode_time(p, &attr->mtime);
	if (attr->fields & META_FIELD_ATIME)
		p = encode_time(p, &attr->atime);
	if (attr->fields & META_FIELD_CTIME)
		p = encode_time(p, &attr->ctime);
	if (attr->fields & META_FIELD_RDEV) {
		le32_store(p, attr->rdev_major);
		le32_store(p + 4, attr->rdev_minor);
		p += META_RDEV_BYTES;
	}
	if (attr->fields & META_FIELD_INO) {
		le64_store(p, attr->ino);
		p += META_INO_BYTES;
	}
	if (attr->fields & META_FIELD_TARGET) {
		le16_store(p, (uint16_t)attr->target_bytes);
		p = encode_bytes(p + TARGET_SIZE_BYTES, attr->target, attr->target_bytes);
	}
	if (attr->fields & META_FIELD_XATTRS) {
		le32_store(p, (uint32_t)attr->xattrs_bytes);
		p = encode_bytes(p + XATTRS_SIZE_BYTES, attr->xattrs, attr->xattrs_bytes);
	}
	if (attr->fields & META_FIELD_XATTR) {
		*p++ = attr->xattr.value == NULL ? XATTR_REMOVED : XATTR_SET;
		p = xattr_encode(&attr->xattr, p);
	}
	return p;
}

size_t meta_attr_encode(const struct meta_attr *attr, uint8_t *out)
{
	out[ATTR_VERSION] = META_VERSION;
	out[ATTR_FLAGS] = attr->flags;
	out[ATTR_TYPE] = (uint8_t)attr->type;
	out[ATTR_CONTENT] = (uint8_t)attr->content;
	le16_store(out + ATTR_FIELDS, attr->fields);
	le16_store(out + ATTR_MODE, attr->mode);
	le32_store(out + ATTR_UID, attr->uid);
	le32_store(out + ATTR_GID, attr->gid);
	return (size_t)(encode_fields(attr, out + META_ATTR_FIXED_BYTES) - out);
}

/* What is left of a value that is being decoded. */
struct rest {
	const uint8_t *p;
	size_t bytes;
};

/* Takes 'n' bytes off the front.  NULL: there are fewer. */
static const uint8_t *take_front(struct rest *rest, size_t n)
{
	const uint8_t *p = rest->p;

	if (rest->bytes < n)
		return NULL;
	rest->p += n;
	rest->bytes -= n;
	return p;
}

static enum meta_error decode_time(struct rest *rest, struct meta_time *ret)
{
	const uint8_t *p = take_front(rest, META_TIME_BYTES);

	if (p == NULL)
		return META_ERROR_SHORT;
	ret->sec = (int64_t)le64_load(p);
	ret->nsec = le32_load(p + 8);
	return ret->nsec < NSEC_PER_SEC ? META_OK : META_ERROR_VALUE;
}

static enum meta_error decode_times(struct rest *rest, struct meta_attr *attr)
{
	struct meta_time *const times[] = { &attr->mtime, &attr->atime, &attr->ctime };
	enum meta_error err = META_OK;

	for (size_t i = 0; err == META_OK && i < ARRAY_SIZE(times); i++)
		if (attr->fields & (1u << i))
			err = decode_time(rest, times[i]);
	return err;
}

static enum meta_error decode_numbers(struct rest *rest, struct meta_attr *attr)
{
	const uint8_t *p;

	if (attr->fields & META_FIELD_RDEV) {
		p = take_front(rest, META_RDEV_BYTES);
		if (p == NULL)
			return META_ERROR_SHORT;
		attr->rdev_major = le32_load(p);
		attr->rdev_minor = le32_load(p + 4);
	}
	if (attr->fields & META_FIELD_INO) {
		p = take_front(rest, META_INO_BYTES);
		if (p == NULL)
			return META_ERROR_SHORT;
		attr->ino = le64_load(p);
		if (attr->ino == 0)
			return META_ERROR_VALUE;
	}
	return META_OK;
}

static enum meta_error decode_target(struct rest *rest, struct meta_attr *attr)
{
	const uint8_t *p = take_front(rest, TARGET_SIZE_BYTES);

	if (p == NULL)
		return META_ERROR_SHORT;
	attr->target_bytes = le16_load(p);
	attr->target = (const char *)take_front(rest, attr->target_bytes);
	if (attr->target == NULL)
		return META_ERROR_SHORT;
	if (attr->target_bytes == 0 || attr->target_bytes > META_TARGET_BYTES_MAX ||
	    memchr(attr->target, '\0', attr->target_bytes) != NULL)
		return META_ERROR_VALUE;
	return META_OK;
}

static enum meta_error decode_xattrs(struct rest *rest, struct meta_attr *attr)
{
	const uint8_t *p = take_front(rest, XATTRS_SIZE_BYTES);

	if (p == NULL)
		return META_ERROR_SHORT;
	attr->xattrs_bytes = le32_load(p);
	attr->xattrs = take_front(rest, attr->xattrs_bytes);
	if (attr->xattrs == NULL)
		return META_ERROR_SHORT;
	return xattrs_ok(attr->xattrs, attr->xattrs_bytes) ? META_OK : META_ERROR_VALUE;
}

static enum meta_error decode_xattr(struct rest *rest, struct meta_attr *attr)
{
	const uint8_t *how = take_front(rest, 1);
	size_t n = how == NULL ? 0 : xattr_decode(rest->p, rest->bytes, &attr->xattr);

	if (n == 0)
		return META_ERROR_SHORT;
	(void)take_front(rest, n);
	if (!xattr_name_ok(&attr->xattr) || *how > XATTR_SET ||
	    (*how == XATTR_REMOVED && attr->xattr.value_bytes > 0))
		return META_ERROR_VALUE;
	if (*how == XATTR_REMOVED)
		attr->xattr.value = NULL;
	return META_OK;
}

/* Decodes the optional fields, which are all that is left. */
static enum meta_error decode_fields(struct rest *rest, struct meta_attr *attr)
{
	enum meta_error err = decode_times(rest, attr);

	if (err == META_OK)
		err = decode_numbers(rest, attr);
	if (err == META_OK && (attr->fields & META_FIELD_TARGET))
		err = decode_target(rest, attr);
	if (err == META_OK && (attr->fields & META_FIELD_XATTRS))
		err = decode_xattrs(rest, attr);
	if (err == META_OK && (attr->fields & META_FIELD_XATTR))
		err = decode_xattr(rest, attr);
	if (err == META_OK && rest->bytes > 0)
		err = META_ERROR_VALUE;
	return err;
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

/* Checks the fixed part: each field by itself, and what the type asks for. */
static enum meta_error check_fixed(const struct meta_attr *attr)
{
	bool is_device =
		attr->type == META_TYPE_CHAR_DEVICE || attr->type == META_TYPE_BLOCK_DEVICE;
	bool is_symlink = attr->type == META_TYPE_SYMLINK;

	if (attr->fields & ~META_FIELDS_KNOWN)
		return META_ERROR_FLAGS;
	if ((attr->flags & META_FLAG_IMPLICIT) && attr->type != META_TYPE_DIRECTORY)
		return META_ERROR_VALUE;
	if (attr->type < META_TYPE_FILE || attr->type > META_TYPE_BLOCK_DEVICE)
		return META_ERROR_VALUE;
	if (attr->content > META_CONTENT_NEW)
		return META_ERROR_VALUE;
	if (attr->type != META_TYPE_FILE && attr->content != META_CONTENT_KEPT)
		return META_ERROR_VALUE;
	if (attr->mode & ~META_MODE_BITS)
		return META_ERROR_VALUE;
	if ((attr->fields & META_FIELD_XATTRS) && (attr->fields & META_FIELD_XATTR))
		return META_ERROR_VALUE;
	if (((attr->fields & META_FIELD_RDEV) != 0) != is_device)
		return META_ERROR_VALUE;
	return ((attr->fields & META_FIELD_TARGET) != 0) == is_symlink ? META_OK : META_ERROR_VALUE;
}

enum meta_error meta_attr_decode(const void *value, size_t value_bytes, struct meta_attr *ret)
{
	struct rest rest = { .p = value, .bytes = value_bytes };
	struct meta_attr attr = { 0 };
	enum meta_error err;
	const uint8_t *v;

	err = check_lead(value, value_bytes, META_FLAG_MORE | META_FLAG_IMPLICIT);
	if (err != META_OK)
		return err;
	v = take_front(&rest, META_ATTR_FIXED_BYTES);
	if (v == NULL)
		return META_ERROR_SHORT;
	attr.flags = v[ATTR_FLAGS];
	attr.type = (enum meta_type)v[ATTR_TYPE];
	attr.content = (enum meta_content)v[ATTR_CONTENT];
	attr.fields = le16_load(v + ATTR_FIELDS);
	attr.mode = le16_load(v + ATTR_MODE);
	attr.uid = le32_load(v + ATTR_UID);
	attr.gid = le32_load(v + ATTR_GID);
	err = check_fixed(&attr);
	if (err == META_OK)
		err = decode_fields(&rest, &attr);
	if (err == META_OK)
		*ret = attr;
	return err;
}

size_t meta_move_encode_fixed(const struct meta_move *move, uint8_t *out)
{
	out[0] = META_VERSION;
	out[1] = move->flags;
	le64_store(out + 2, move->ino);
	if ((move->flags & META_FLAG_EXCHANGE) == 0)
		return META_MOVE_FIXED_BYTES;
	le64_store(out + META_MOVE_FIXED_BYTES, move->other_ino);
	return META_EXCHANGE_FIXED_BYTES;
}

static enum meta_error decode_move(const uint8_t *v, size_t value_bytes, uint8_t flags_known,
				   struct meta_move *ret)
{
	size_t fixed = META_MOVE_FIXED_BYTES;
	enum meta_error err;

	err = check_lead(v, value_bytes, flags_known);
	if (err != META_OK)
		return err;
	if (v[1] & META_FLAG_EXCHANGE)
		fixed = META_EXCHANGE_FIXED_BYTES;
	if (value_bytes <= fixed)
		return META_ERROR_SHORT;
	*ret = (struct meta_move){
		.flags = v[1],
		.ino = le64_load(v + 2),
		.other_ino = v[1] & META_FLAG_EXCHANGE ? le64_load(v + META_MOVE_FIXED_BYTES) : 0,
		.new_path = (const char *)v + fixed,
		.new_path_bytes = value_bytes - fixed,
	};
	return META_OK;
}

enum meta_error meta_move_decode(const void *value, size_t value_bytes, struct meta_move *ret)
{
	return decode_move(value, value_bytes, META_FLAG_MORE | META_FLAG_EXCHANGE, ret);
}

enum meta_error meta_link_decode(const void *value, size_t value_bytes, struct meta_move *ret)
{
	return decode_move(value, value_bytes, META_FLAG_MORE, ret);
}

void meta_staging_id_encode(uint64_t id, uint8_t out[META_STAGING_ID_BYTES])
{
	le64_store(out, id);
}

enum meta_error meta_staging_id_decode(const char *operand, size_t operand_bytes, uint64_t *ret)
{
	uint64_t id;

	if (operand_bytes < META_STAGING_ID_BYTES)
		return META_ERROR_SHORT;
	id = le64_load((const uint8_t *)operand);
	if (operand_bytes > META_STAGING_ID_BYTES || id == 0)
		return META_ERROR_VALUE;
	*ret = id;
	return META_OK;
}

size_t meta_extent_encode_fixed(const struct meta_extent *extent, uint8_t *out)
{
	out[0] = META_VERSION;
	out[1] = extent->flags;
	le64_store(out + 2, extent->offset);
	if ((extent->flags & META_FLAG_HOLE) == 0)
		return META_EXTENT_FIXED_BYTES;
	le64_store(out + META_EXTENT_FIXED_BYTES, extent->bytes);
	return META_HOLE_BYTES;
}

enum meta_error meta_extent_decode(const void *value, uint32_t value_bytes, struct meta_extent *ret)
{
	const uint8_t *v = value;
	struct meta_extent extent;
	enum meta_error err;

	err = check_lead(v, value_bytes, META_FLAG_HOLE | META_FLAG_DROPPED);
	if (err != META_OK)
		return err;
	if ((v[1] & (META_FLAG_HOLE | META_FLAG_DROPPED)) == META_FLAG_DROPPED)
		return META_ERROR_VALUE;
	if (value_bytes < (v[1] & META_FLAG_HOLE ? META_HOLE_BYTES : META_EXTENT_FIXED_BYTES))
		return META_ERROR_SHORT;
	extent.flags = v[1];
	extent.offset = le64_load(v + 2);
	extent.bytes = value_bytes - META_EXTENT_FIXED_BYTES;
	if (extent.flags & META_FLAG_HOLE) {
		extent.bytes = le64_load(v + META_EXTENT_FIXED_BYTES);
		if (value_bytes > META_HOLE_BYTES)
			return META_ERROR_VALUE;
	}
	if (extent.bytes == 0 || extent.bytes > META_CONTENT_BYTES_MAX ||
	    extent.offset > META_CONTENT_BYTES_MAX - extent.bytes)
		return META_ERROR_VALUE;
	*ret = extent;
	return META_OK;
}

void meta_publish_encode(const struct meta_publish *publish, uint8_t out[META_PUBLISH_BYTES])
{
	out[0] = META_VERSION;
	out[1] = publish->flags;
	le64_store(out + 2, publish->staging_id);
	le64_store(out + 2 + META_STAGING_ID_BYTES, publish->size_bytes);
}

/* It has a content of its own, or the plain record that follows is it. */
static bool unnameable_ok(const struct meta_publish *publish)
{
	if (publish->flags & (META_FLAG_KEEP | META_FLAG_DROPPED))
		return false;
	if (publish->flags & META_FLAG_MORE)
		return publish->staging_id == 0 && publish->size_bytes == 0;
	return publish->staging_id != 0 && publish->size_bytes > 0;
}

enum meta_error meta_publish_decode(const void *value, size_t value_bytes, struct meta_publish *ret)
{
	const uint8_t *v = value;
	struct meta_publish publish;
	enum meta_error err;

	err = check_lead(v, value_bytes,
			 META_FLAG_MORE | META_FLAG_KEEP | META_FLAG_DROPPED |
				 META_FLAG_UNNAMEABLE);
	if (err != META_OK)
		return err;
	if (value_bytes < META_PUBLISH_BYTES)
		return META_ERROR_SHORT;
	publish.flags = v[1];
	publish.staging_id = le64_load(v + 2);
	publish.size_bytes = le64_load(v + 2 + META_STAGING_ID_BYTES);
	if (value_bytes > META_PUBLISH_BYTES || publish.size_bytes > META_CONTENT_BYTES_MAX)
		return META_ERROR_VALUE;
	if ((publish.flags & META_FLAG_DROPPED) &&
	    ((publish.flags & META_FLAG_KEEP) || publish.staging_id != 0 ||
	     publish.size_bytes == 0))
		return META_ERROR_VALUE;
	if ((publish.flags & META_FLAG_UNNAMEABLE) && !unnameable_ok(&publish))
		return META_ERROR_VALUE;
	*ret = publish;
	return META_OK;
}

void meta_base_encode(const struct meta_base *base, uint8_t out[META_BASE_BYTES])
{
	out[0] = META_VERSION;
	out[1] = 0;
	le64_store(out + 2, base->as_of_ns);
	le64_store(out + 10, base->other_bytes);
}

enum meta_error meta_base_decode(const void *value, size_t value_bytes, struct meta_base *ret)
{
	const uint8_t *v = value;
	enum meta_error err = check_lead(v, value_bytes, 0);

	if (err != META_OK)
		return err;
	if (value_bytes < META_BASE_BYTES)
		return META_ERROR_SHORT;
	if (value_bytes > META_BASE_BYTES)
		return META_ERROR_VALUE;
	ret->as_of_ns = le64_load(v + 2);
	ret->other_bytes = le64_load(v + 10);
	return META_OK;
}

void meta_segment_encode(const struct meta_segment *segment, uint8_t out[META_SEGMENT_BYTES])
{
	out[0] = META_VERSION;
	out[1] = 0;
	le64_store(out + 2, segment->number);
	memcpy(out + 10, segment->store_id, META_STORE_ID_BYTES);
}

enum meta_error meta_segment_decode(const void *value, size_t value_bytes, struct meta_segment *ret)
{
	const uint8_t *v = value;
	enum meta_error err = check_lead(v, value_bytes, 0);

	if (err != META_OK)
		return err;
	if (value_bytes < META_SEGMENT_BYTES)
		return META_ERROR_SHORT;
	if (value_bytes > META_SEGMENT_BYTES || le64_load(v + 2) == 0)
		return META_ERROR_VALUE;
	ret->number = le64_load(v + 2);
	memcpy(ret->store_id, v + 10, META_STORE_ID_BYTES);
	return META_OK;
}

bool meta_is_segment_key(const void *key, size_t key_bytes)
{
	const uint8_t *k = key;

	return key_bytes == META_KEY_PREFIX_BYTES && k[0] == 0 && k[1] == META_SEGMENT;
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
	case META_ERROR_LONG:
		return "a meta record that is too long";
	}
	return "unknown error";
}
