/* SPDX-License-Identifier: MIT */
/* Meta records: what a filesystem knows beyond keys and values (docs/FORMAT.md, section 4).
 *
 * The key of a meta record is a NUL byte, a kind byte and an operand; its value starts with a
 * version byte and a flags byte.  What is unknown is refused, never guessed.  Pure functions over
 * bytes; threads: any. */
#ifndef FREYJAFS_CODEC_META_H
#define FREYJAFS_CODEC_META_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/compiler.h"

#define META_KEY_PREFIX_BYTES 2 /* NUL and kind */
#define META_VERSION	      1
#define META_FLAG_MORE	      0x01 /* takes effect with the record that follows, or not at all */
#define META_FLAG_EXCHANGE    0x02 /* move only: the two paths change places */

enum meta_kind {
	META_ATTR = 'a',
	META_MOVE = 'm',
};

enum meta_type {
	META_TYPE_FILE = 1,
	META_TYPE_DIRECTORY = 2,
};

enum meta_content {
	META_CONTENT_KEPT = 0,	/* the content is what it was */
	META_CONTENT_EMPTY = 1, /* the file exists and is empty */
};

/* Optional fields of an attr value; they follow the fixed part in this order. */
#define META_FIELD_MTIME  0x0001
#define META_FIELD_ATIME  0x0002
#define META_FIELD_CTIME  0x0004
#define META_FIELDS_KNOWN (META_FIELD_MTIME | META_FIELD_ATIME | META_FIELD_CTIME)

#define META_ATTR_FIXED_BYTES 16
#define META_TIME_BYTES	      12
#define META_ATTR_BYTES_MAX   (META_ATTR_FIXED_BYTES + 3 * META_TIME_BYTES)
#define META_MOVE_FIXED_BYTES 2
#define META_MODE_BITS	      07777

struct meta_time {
	int64_t sec;   /* since the epoch, may be negative */
	uint32_t nsec; /* < 1,000,000,000 */
};

struct meta_attr {
	uint8_t flags; /* META_FLAG_MORE or 0 */
	enum meta_type type;
	enum meta_content content;
	uint16_t fields; /* META_FIELD_...: which of the times below are set */
	uint16_t mode;	 /* permission bits, 07777 */
	uint32_t uid;
	uint32_t gid;
	struct meta_time mtime;
	struct meta_time atime;
	struct meta_time ctime;
};

struct meta_move {
	uint8_t flags;	      /* META_FLAG_MORE, META_FLAG_EXCHANGE */
	const char *new_path; /* borrowed */
	size_t new_path_bytes;
};

/* Why a meta record is refused. */
enum meta_error {
	META_OK = 0,
	META_ERROR_SHORT,   /* the key or the value ends too early */
	META_ERROR_KIND,    /* a kind byte that this version does not know */
	META_ERROR_VERSION, /* a version byte that this version does not know */
	META_ERROR_FLAGS,   /* a flag or a field bit that this version does not know */
	META_ERROR_VALUE,   /* a field out of its range, or bytes left over */
};

/* Says whether a key is that of a meta record: it begins with a NUL byte. */
bool meta_is_key(const void *key, size_t key_bytes);

/* Splits the key of a meta record: kind and operand (borrowed from 'key').  The outputs are
 * untouched on error. */
enum meta_error meta_parse_key(const void *key, size_t key_bytes, enum meta_kind *ret_kind,
			       const char **ret_operand, size_t *ret_operand_bytes) WARN_UNUSED;

/* Writes the two bytes that go before the operand of a meta key. */
void meta_key_prefix(enum meta_kind kind, uint8_t out[META_KEY_PREFIX_BYTES]);

/* Says whether a record, given its key and the first bytes of its value, is followed by another
 * part of its group. */
bool meta_has_more(const void *key, size_t key_bytes, const void *value, size_t value_bytes);

/* Encodes 'attr' into 'out'.  Returns the size. */
size_t meta_attr_encode(const struct meta_attr *attr, uint8_t out[META_ATTR_BYTES_MAX]);
enum meta_error meta_attr_decode(const void *value, size_t value_bytes,
				 struct meta_attr *ret) WARN_UNUSED;

/* Encodes the fixed part of a move's value; the new path follows it. */
void meta_move_encode_fixed(uint8_t flags, uint8_t out[META_MOVE_FIXED_BYTES]);
/* The path in 'ret' points into 'value'; it is not checked with path_ok(). */
enum meta_error meta_move_decode(const void *value, size_t value_bytes,
				 struct meta_move *ret) WARN_UNUSED;

/* Returns a phrase for 'error', such as "a kind that this version does not know". */
const char *meta_error_text(enum meta_error error);

#endif
