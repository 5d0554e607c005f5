/* SPDX-License-Identifier: MIT */
/* Reading what a fold copies: records of the segments that are folded, by their positions.  No byte
 * of a record is used before its CRC has been found right.
 *
 * Threads: one at a time. */
#ifndef FREYJAFS_WRITER_COMPACT_FOLD_SOURCE_H
#define FREYJAFS_WRITER_COMPACT_FOLD_SOURCE_H

#include <stdbool.h>

#include "codec/record.h"
#include "writer/compact/segment_out.h"
#include "writer/index/content_map.h"
#include "writer/log_writer.h"
#include "writer/base/number_set.h"

struct fold_source {
	struct log_writer *log; /* borrowed */
	uint8_t *buffer, *chunk;
	struct value_place place;  /* of the record at hand */
	uint64_t at;		   /* position of the record at hand; UINT64_MAX: there is none */
	bool is_held;		   /* all of it is in the buffer; else only its front */
	struct record rec;	   /* of it: the sizes and the time */
	uint32_t crc;		   /* of it */
	struct number_set checked; /* positions, plus 1, of those that do not fit the buffer */
};

/* -ENOMEM. */
int fold_source_init(struct fold_source *s, struct log_writer *log) WARN_UNUSED;
void fold_source_free(struct fold_source *s);

/* Makes the record at 'place' the one at hand, and checks its CRC.  Errors are those of
 * writer/log/record_at.h. */
int fold_source_take(struct fold_source *s, const struct value_place *place) WARN_UNUSED;

/* Says whether the record at hand has this key. */
bool fold_source_has_key(const struct fold_source *s, const void *key, uint32_t key_bytes);

/* Adds a record: time, key and head are those of 'rec', and the rest of its value are the 'bytes'
 * from 'from' on of the value at hand. */
int fold_source_copy(struct fold_source *s, struct compact_out *to, const struct record *rec,
		     uint32_t from, uint32_t bytes) WARN_UNUSED;

#endif
