/* SPDX-License-Identifier: MIT */
/* The source of a fold: reads records of the folded segments by their positions.  No byte of a
 * record is used before its CRC has been checked.
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
	struct value_position value; /* of the current record */
	uint64_t at;		     /* position of the current record; UINT64_MAX: none */
	bool is_held;		     /* the buffer has all of it; otherwise only its front */
	struct record rec;	     /* sizes and time of the current record */
	uint32_t crc;		     /* of the current record */
	struct number_set checked;   /* positions, plus 1, of checked large records */
};

/* -ENOMEM. */
int fold_source_init(struct fold_source *s, struct log_writer *log) WARN_UNUSED;
void fold_source_free(struct fold_source *s);

/* Makes the record of 'value' the current one, and checks its CRC.  Errors are those of
 * writer/log/record_at.h. */
int fold_source_take(struct fold_source *s, const struct value_position *value) WARN_UNUSED;

/* Adds a record: time, key and head are those of 'rec'; the rest of its value are the 'bytes' from
 * 'from' on of the current record's value. */
int fold_source_copy(struct fold_source *s, struct compact_out *to, const struct record *rec,
		     uint32_t from, uint32_t bytes) WARN_UNUSED;

#endif
