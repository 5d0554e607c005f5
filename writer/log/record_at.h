/* SPDX-License-Identifier: MIT */
/* Reading a record whose position in the log is known.  Threads: any.
 *
 * Errors of all functions: -EBADMSG if the requested record is not there: the CRC or a size
 * differs, or the segment ends before the record does.  Others are those of the read: -EIO, and
 * -EAGAIN under io_set_nowait(); or -ENOMEM. */
#ifndef FREYJAFS_WRITER_LOG_RECORD_AT_H
#define FREYJAFS_WRITER_LOG_RECORD_AT_H

#include <stddef.h>
#include <stdint.h>

#include "codec/compiler.h"
#include "codec/record.h"

struct log_writer;

/* The record of a value. */
struct value_position {
	uint64_t record_position; /* a log position */
	uint32_t key_bytes;
	uint32_t value_bytes; /* 0: no record, the file is empty */
};

/* Returns the offset of the value in the record. */
static inline uint64_t value_position_header_bytes(const struct value_position *value)
{
	return RECORD_HEADER_BYTES + (uint64_t)value->key_bytes;
}

/* Reads the whole record and compares its CRC and its sizes.  Copies 'n' of its bytes, from byte
 * 'from' of the record on, to 'buf'.  Reads each byte once. */
int record_at_check(struct log_writer *w, const struct value_position *value, uint64_t from,
		    void *buf, size_t n) WARN_UNUSED;

/* Reads 'n' bytes of the record, from byte 'from' on, without a check. */
int record_at_read(struct log_writer *w, const struct value_position *value, uint64_t from,
		   void *buf, size_t n) WARN_UNUSED;

/* A record in memory.  Must be all zeros before the first use, except 'ahead_bytes'; the caller
 * frees 'data' (free(3)) after the last use. */
struct log_record {
	struct record rec;    /* points into 'data' */
	const uint8_t *start; /* the record as it is in the log, in 'data' */
	size_t bytes;	      /* of the record */
	size_t ahead_bytes;   /* least number of bytes to read at a time, if there are as many */
	uint64_t held_from;   /* position of the first byte in 'data' */
	size_t held_bytes;    /* in 'data' */
	uint8_t *data;
	size_t capacity; /* capacity of 'data' */
};

/* Reads the whole record of unknown size at a log position into '*r' and compares its CRC.  Does
 * not read bytes again that the previous call has left in memory.  -ERANGE if no segment has that
 * position.  After an error 'rec' is invalid. */
int record_at_load(struct log_writer *w, uint64_t position, struct log_record *r) WARN_UNUSED;

#endif
