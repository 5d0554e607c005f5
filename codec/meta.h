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
#include "codec/xattrs.h"

#define META_KEY_PREFIX_BYTES 2 /* NUL and kind */
#define META_VERSION	      1
#define META_FLAG_MORE	      0x01 /* takes effect with the record that follows, or not at all */
#define META_FLAG_EXCHANGE    0x02 /* move only: the two paths change places */
#define META_FLAG_HOLE	      0x04 /* extent only: zeros, and no bytes */
#define META_FLAG_KEEP	      0x04 /* publish only: laid over the content that is there */
#define META_FLAG_DROPPED     0x08 /* publish, hole: content was here and compaction dropped it */
#define META_FLAG_IMPLICIT    0x10 /* attr of a directory: it still exists only through its keys */
#define META_FLAG_UNNAMEABLE  0x10 /* publish: to a key that no path can name */

enum meta_kind {
	META_ATTR = 'a',
	META_BASE = 'b',
	META_EXTENT = 'e',
	META_LINK = 'l',
	META_MOVE = 'm',
	META_PUBLISH = 'p',
	META_SEGMENT = 's',
};

enum meta_type {
	META_TYPE_FILE = 1,
	META_TYPE_DIRECTORY = 2,
	META_TYPE_SYMLINK = 3,
	META_TYPE_FIFO = 4,
	META_TYPE_SOCKET = 5,
	META_TYPE_CHAR_DEVICE = 6,
	META_TYPE_BLOCK_DEVICE = 7,
};

enum meta_content {
	META_CONTENT_KEPT = 0,	/* the content is what it was */
	META_CONTENT_EMPTY = 1, /* the file exists and is empty */
	META_CONTENT_NEW = 2,	/* a new file, empty; what had the name has it no longer */
};

/* Optional fields of an attr value; they follow the fixed part in this order. */
#define META_FIELD_MTIME \
	0x0001 /* unless set: unchanged, or the time of the commit for a new node */
#define META_FIELD_ATIME  0x0002 /* unless set: unchanged, or follows the mtime */
#define META_FIELD_CTIME  0x0004 /* unless set: the time of the commit */
#define META_FIELD_RDEV	  0x0008 /* devices, and only they */
#define META_FIELD_INO	  0x0010 /* the inode number, where it is not the one of the path */
#define META_FIELD_TARGET 0x0020 /* symlinks, and only they */
#define META_FIELD_XATTRS 0x0040 /* the whole list; unless set: unchanged, or none */
#define META_FIELD_XATTR  0x0080 /* one attribute is set or removed; never with the whole list */
#define META_FIELDS_KNOWN 0x00ff

#define META_ATTR_FIXED_BYTES 16
#define META_TIME_BYTES	      12
#define META_RDEV_BYTES	      8
#define META_INO_BYTES	      8
#define META_TARGET_BYTES_MAX 4095 /* PATH_MAX of Linux, less the NUL */
/* An attr value without target and xattrs. */
#define META_ATTR_BYTES_MAX \
	(META_ATTR_FIXED_BYTES + 3 * META_TIME_BYTES + META_RDEV_BYTES + META_INO_BYTES)
#define META_MOVE_FIXED_BYTES	  10 /* version, flags, inode number */
#define META_EXCHANGE_FIXED_BYTES 18 /* the same, and the other inode number */
#define META_MODE_BITS		  07777
#define META_STAGING_ID_BYTES	  8
#define META_EXTENT_KEY_BYTES	  (META_KEY_PREFIX_BYTES + META_STAGING_ID_BYTES)
#define META_EXTENT_FIXED_BYTES	  10 /* version, flags, file offset; then the bytes */
#define META_HOLE_BYTES		  18 /* the same, and a length */
#define META_PUBLISH_BYTES	  18 /* version, flags, staging id, size */
#define META_BASE_BYTES		  18 /* version, flags, time, bytes */
#define META_STORE_ID_BYTES	  16
#define META_SEGMENT_BYTES	  26	    /* version, flags, number, store id */
#define META_CONTENT_BYTES_MAX	  INT64_MAX /* of a file: what off_t can say */

struct meta_time {
	int64_t sec;   /* since the epoch, may be negative */
	uint32_t nsec; /* < 1,000,000,000 */
};

struct meta_attr {
	uint8_t flags; /* META_FLAG_MORE; directories: META_FLAG_IMPLICIT */
	enum meta_type type;
	enum meta_content content;
	uint16_t fields; /* META_FIELD_...: which of the times below are set */
	uint16_t mode;	 /* permission bits, 07777 */
	uint32_t uid;
	uint32_t gid;
	struct meta_time mtime;
	struct meta_time atime;
	struct meta_time ctime;
	uint32_t rdev_major, rdev_minor;
	uint64_t ino;
	const char *target; /* borrowed; not NUL-terminated */
	size_t target_bytes;
	const uint8_t *xattrs; /* borrowed; see codec/xattrs.h */
	size_t xattrs_bytes;
	struct xattr xattr; /* borrowed; META_FIELD_XATTR; its value is NULL: it is removed */
};

/* The value of a move or of a link. */
struct meta_move {
	uint8_t flags;	      /* META_FLAG_MORE; moves: META_FLAG_EXCHANGE */
	uint64_t ino;	      /* of the node at the path in the key; 0: the one of its path */
	uint64_t other_ino;   /* META_FLAG_EXCHANGE: of the node at 'new_path' */
	const char *new_path; /* borrowed */
	size_t new_path_bytes;
};

/* The value of an extent: a piece of content that belongs to no file yet. */
struct meta_extent {
	uint8_t flags;	 /* META_FLAG_HOLE, with it META_FLAG_DROPPED; or 0 */
	uint64_t offset; /* in the file */
	uint64_t bytes;	 /* from there on; at least 1 */
};

/* The value of a publish: a staging becomes content of the file at the path in the key.  With
 * META_FLAG_DROPPED it stands for a put, or for a publish without keep, of 'size_bytes' that were
 * dropped: nothing is staged, the size is not 0, and the key need not have a path.  With
 * META_FLAG_UNNAMEABLE the content becomes that of the key, as one that no path can name; with
 * META_FLAG_MORE, too, nothing is staged, the size is 0, and that is said of the plain record that
 * follows. */
struct meta_publish {
	uint8_t flags; /* META_FLAG_MORE, META_FLAG_KEEP, META_FLAG_DROPPED, META_FLAG_UNNAMEABLE */
	uint64_t staging_id; /* 0: nothing was staged */
	uint64_t size_bytes; /* of the file from here on */
};

/* The value of a base: the tree is empty from here on, what older segments had is folded into what
 * follows. */
struct meta_base {
	uint64_t as_of_ns;    /* timestamp of the newest record that is folded in */
	uint64_t other_bytes; /* of the segment that were no live values when it was written */
};

/* The value of a segment record, the first record of a segment: which one it is. */
struct meta_segment {
	uint64_t number; /* not 0 */
	uint8_t store_id[META_STORE_ID_BYTES];
};

/* Why a meta record is refused. */
enum meta_error {
	META_OK = 0,
	META_ERROR_SHORT,   /* the key or the value ends too early */
	META_ERROR_KIND,    /* a kind byte that this version does not know */
	META_ERROR_VERSION, /* a version byte that this version does not know */
	META_ERROR_FLAGS,   /* a flag or a field bit that this version does not know */
	META_ERROR_VALUE,   /* a field out of its range, or bytes left over */
	META_ERROR_LONG,    /* a value that is longer than a reader keeps in memory */
};

/* Returns whether a key is that of a meta record: it begins with a NUL byte. */
bool meta_is_key(const void *key, size_t key_bytes);

/* Splits the key of a meta record: kind and operand (borrowed from 'key').  The outputs are
 * untouched on error. */
enum meta_error meta_parse_key(const void *key, size_t key_bytes, enum meta_kind *ret_kind,
			       const char **ret_operand, size_t *ret_operand_bytes) WARN_UNUSED;

/* Writes the two bytes that go before the operand of a meta key. */
void meta_key_prefix(enum meta_kind kind, uint8_t out[META_KEY_PREFIX_BYTES]);

/* Returns whether a record, given its key and the first bytes of its value, is followed by another
 * part of its group. */
bool meta_has_more(const void *key, size_t key_bytes, const void *value, size_t value_bytes);

/* Returns the encoded size of 'attr': at most META_ATTR_BYTES_MAX plus that of target and xattrs.
 */
size_t meta_attr_bytes(const struct meta_attr *attr);
/* Encodes 'attr' into 'out', which has room for it.  Returns the size. */
size_t meta_attr_encode(const struct meta_attr *attr, uint8_t *out);
/* 'ret' borrows target and xattrs from 'value'. */
enum meta_error meta_attr_decode(const void *value, size_t value_bytes,
				 struct meta_attr *ret) WARN_UNUSED;

/* Encodes all of a move or link but the path, which follows it, into 'out', which has room for
 * META_EXCHANGE_FIXED_BYTES.  Returns the size. */
size_t meta_move_encode_fixed(const struct meta_move *move, uint8_t *out);
/* The path in 'ret' points into 'value'; it is not checked with path_ok(). */
enum meta_error meta_move_decode(const void *value, size_t value_bytes,
				 struct meta_move *ret) WARN_UNUSED;
enum meta_error meta_link_decode(const void *value, size_t value_bytes,
				 struct meta_move *ret) WARN_UNUSED;

/* The staging id of an extent, from and to the operand of its key.  0 is none. */
void meta_staging_id_encode(uint64_t id, uint8_t out[META_STAGING_ID_BYTES]);
enum meta_error meta_staging_id_decode(const char *operand, size_t operand_bytes,
				       uint64_t *ret) WARN_UNUSED;

/* Encodes all of an extent but its bytes, which follow, into 'out', which has room for
 * META_HOLE_BYTES.  Returns the size. */
size_t meta_extent_encode_fixed(const struct meta_extent *extent, uint8_t *out);
/* 'value' is the front of a value of 'value_bytes': at least META_HOLE_BYTES of it, or all. */
enum meta_error meta_extent_decode(const void *value, uint32_t value_bytes,
				   struct meta_extent *ret) WARN_UNUSED;

void meta_publish_encode(const struct meta_publish *publish, uint8_t out[META_PUBLISH_BYTES]);
enum meta_error meta_publish_decode(const void *value, size_t value_bytes,
				    struct meta_publish *ret) WARN_UNUSED;

void meta_base_encode(const struct meta_base *base, uint8_t out[META_BASE_BYTES]);
enum meta_error meta_base_decode(const void *value, size_t value_bytes,
				 struct meta_base *ret) WARN_UNUSED;

void meta_segment_encode(const struct meta_segment *segment, uint8_t out[META_SEGMENT_BYTES]);
enum meta_error meta_segment_decode(const void *value, size_t value_bytes,
				    struct meta_segment *ret) WARN_UNUSED;
/* Returns whether a key is that of a segment record. */
bool meta_is_segment_key(const void *key, size_t key_bytes);

/* Returns a phrase for 'error', such as "a kind that this version does not know". */
const char *meta_error_text(enum meta_error error);

#endif
