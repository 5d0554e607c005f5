/* SPDX-License-Identifier: MIT */
/* The records of a commit, decoded, and the order in which they take effect (docs/FORMAT.md,
 * sections 4 and 5).  Everything that replays a log works on this form.  Pure functions over bytes;
 * threads: any. */
#ifndef FREYJAFS_CODEC_COMMIT_H
#define FREYJAFS_CODEC_COMMIT_H

#include "codec/meta.h"
#include "codec/record.h"

struct commit_record {
	enum meta_kind kind; /* 0: a plain record */
	bool unnameable;     /* a record before it says that no path can name its key */
	const char *path;    /* borrowed; the operand, or the key of a plain record */
	size_t path_bytes;
	uint64_t staging_id; /* META_EXTENT */
	union {
		uint32_t value_bytes; /* a plain record; 0: a tombstone */
		struct meta_attr attr;
		struct meta_base base;
		struct meta_extent extent;
		struct meta_move move; /* META_MOVE, META_LINK */
		struct meta_publish publish;
		struct meta_segment segment;
	};
};

/* Decodes a record, of whose value the first 'value_held_bytes' are in memory: at least
 * META_HOLE_BYTES of an extent, all of another meta record, any number of a plain record.  When the
 * key is valid and the value is not, 'kind' and the path are set all the same; else 'kind' is 0. */
enum meta_error commit_record_decode(const struct record *rec, uint32_t value_held_bytes,
				     struct commit_record *ret) WARN_UNUSED;

/* Sets 'unnameable' in the records of a commit.  Returns false if a publish announces a value for a
 * key that no path can name, and no value of that key follows. */
bool commit_resolve_unnameable(struct commit_record *records, size_t count) WARN_UNUSED;

/* A step through the records of a commit; begins as { 0 }. */
struct commit_step {
	size_t index; /* of the record */
	unsigned int phase;
	size_t next;
};

/* Goes to the next record that takes effect.  A record of a directory's attributes does so twice.
 * Returns false at the end. */
bool commit_next(const struct commit_record *records, size_t count, struct commit_step *step);

#endif
