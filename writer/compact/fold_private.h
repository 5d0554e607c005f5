/* SPDX-License-Identifier: MIT */
/* The interface between fold_content.c (values, staged or not) and fold_tree.c (names and
 * attributes). */
#ifndef FREYJAFS_WRITER_COMPACT_FOLD_PRIVATE_H
#define FREYJAFS_WRITER_COMPACT_FOLD_PRIVATE_H

#include "codec/meta.h"
#include "codec/path.h"
#include "writer/compact/fold_base.h"
#include "writer/compact/fold_replay.h"
#include "writer/compact/fold_source.h"

#define FOLD_OWN_TIME UINT64_MAX /* the time of the record that has the value */

/* A base that is being written. */
struct fold_writer {
	struct fold_base *b;
	struct compact_out to; /* the part at hand */
	uint64_t before_bytes; /* of the parts before it */
	uint64_t live_before;  /* of 'live_bytes', what is in them */
	bool in_group;	       /* the next record belongs to the group of the last one */
	struct fold_source source;
	uint64_t next_id;    /* for a staging, unless one of the tree has it */
	uint64_t live_bytes; /* of values, with their records' headers and keys */
	uint64_t paced;	     /* bytes of the file that were reported to 'pace' */
	uint64_t hole_id;    /* of the dropped bytes to be written; 0: none */
	struct meta_extent hole;
	uint8_t *key;	/* buffer for a meta record's key with the longest path */
	char *path;	/* of the current node; buffer for the longest path */
	uint8_t *value; /* of an attr record; grows */
	size_t value_capacity;
	int err; /* the first error, in callbacks that cannot return one */
};

/* --- fold_parts.c --- */

/* Begins the first part, or the next one. */
int fold_begin_part(struct fold_writer *w) WARN_UNUSED;
/* To be called before each record: begins another part if the one at hand is large enough and a
 * record of 'bytes' would make it too large. */
int fold_begin_record(struct fold_writer *w, uint64_t bytes) WARN_UNUSED;
/* Completes all parts: says in the first what the base has, and in each other one its number.
 * Syncs them. */
int fold_finish_parts(struct fold_writer *w) WARN_UNUSED;

/* The bytes of all parts so far. */
static inline uint64_t fold_end(const struct fold_writer *w)
{
	return w->before_bytes + compact_out_end(&w->to);
}

/* --- fold_content.c --- */

/* Adds a meta record with the operand that 'rec' has as key. */
int fold_add_meta(struct fold_writer *w, enum meta_kind kind, struct record rec) WARN_UNUSED;
/* Adds 'value' as a put of 'key', or a substitute for a value that is not read.
 * '*timestamp_ns' is its time, or FOLD_OWN_TIME; then the time is stored there. */
int fold_add_put(struct fold_writer *w, const void *key, size_t key_bytes,
		 const struct value_position *value, uint64_t *timestamp_ns) WARN_UNUSED;
/* Adds a content in pieces, and the publish record that gives it to a path. */
int fold_add_content(struct fold_writer *w, const char *path, size_t path_bytes,
		     const struct content_map *c, uint64_t timestamp_ns) WARN_UNUSED;
/* Adds all unnameable keys. */
int fold_add_unnameable(struct fold_writer *w) WARN_UNUSED;
/* Adds staged content that may be published later. */
int fold_add_staged(struct fold_writer *w) WARN_UNUSED;
/* Adds the ranges that are read and were not added yet; must be called last. */
int fold_add_orphans(struct fold_writer *w) WARN_UNUSED;
/* Writes the pending hole. */
int fold_flush_hole(struct fold_writer *w) WARN_UNUSED;

#endif
