/* SPDX-License-Identifier: MIT */
/* Shared by fold_content.c (values, staged or not) and fold_tree.c (names and attributes). */
#ifndef FREYJAFS_WRITER_COMPACT_FOLD_PRIVATE_H
#define FREYJAFS_WRITER_COMPACT_FOLD_PRIVATE_H

#include "codec/meta.h"
#include "codec/path.h"
#include "writer/compact/fold_base.h"
#include "writer/compact/fold_replay.h"
#include "writer/compact/fold_source.h"

#define FOLD_OWN_TIME UINT64_MAX /* of the record that a value is in */

/* A base while it is written. */
struct fold_writer {
	struct fold_base *b;
	struct compact_out to;
	struct fold_source source;
	uint64_t next_id;    /* of a staging, unless one of the tree has it */
	uint64_t live_bytes; /* of values, with what their records have around them */
	uint64_t paced;	     /* bytes of the file that 'pace' has been told of */
	uint64_t hole_id;    /* of the dropped bytes that are to be written; 0: there are none */
	struct meta_extent hole;
	uint8_t *key;	/* room for a meta record's, with the longest path */
	char *path;	/* of the node at hand; room for the longest */
	uint8_t *value; /* of an attr record; grows */
	size_t value_room;
	int err; /* the first, in a callback that cannot tell */
};

/* --- fold_content.c --- */

/* Adds a meta record.  'value' has all of it. */
int fold_add_meta(struct fold_writer *w, enum meta_kind kind, const void *operand,
		  size_t operand_bytes, const void *value, size_t value_bytes,
		  uint64_t timestamp_ns) WARN_UNUSED;
/* Adds the value at 'place' as a put of 'key', or what stands for one that nobody reads.  With that
 * time, or FOLD_OWN_TIME; what it is is stored. */
int fold_add_put(struct fold_writer *w, const void *key, size_t key_bytes,
		 const struct value_place *place, uint64_t *timestamp_ns) WARN_UNUSED;
/* Adds a content in pieces, and the publish that gives it to a path. */
int fold_add_content(struct fold_writer *w, const char *path, size_t path_bytes,
		     const struct content_map *c, uint64_t timestamp_ns) WARN_UNUSED;
/* Adds all that no path can name. */
int fold_add_unnamed(struct fold_writer *w) WARN_UNUSED;
/* Adds what is staged and may be published later. */
int fold_add_staged(struct fold_writer *w) WARN_UNUSED;
/* Adds what is read and was not added yet; after all else. */
int fold_add_orphans(struct fold_writer *w) WARN_UNUSED;
/* Writes what is kept back for a moment. */
int fold_flush_hole(struct fold_writer *w) WARN_UNUSED;

#endif
