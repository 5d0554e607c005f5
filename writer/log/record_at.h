/* SPDX-License-Identifier: MIT */
/* Reading a record whose position in the log is known.  Threads: any.
 *
 * Errors of all functions: -EBADMSG: the record that was asked for is not there: the CRC or a size
 * differs, or the segment ends before the record does.  Others are those of the read: -EIO, and
 * -EAGAIN under io_set_nowait(); or -ENOMEM. */
#ifndef FREYJAFS_WRITER_LOG_RECORD_AT_H
#define FREYJAFS_WRITER_LOG_RECORD_AT_H

#include <stddef.h>
#include <stdint.h>

#include "codec/compiler.h"
#include "codec/record.h"

struct log_writer;

/* Where the record of a value is. */
struct value_place {
	uint64_t record_offset; /* a log position */
	uint32_t key_bytes;
	uint32_t value_bytes; /* 0: there is no record, the file is empty */
};

/* Returns where in the record the value begins. */
static inline uint64_t value_place_header_bytes(const struct value_place *place)
{
	return RECORD_HEADER_BYTES + (uint64_t)place->key_bytes;
}

/* Reads the whole record and compares its CRC and its sizes.  Copies 'n' of its bytes, from 'from'
 * on, to 'buf'; all of it is read once. */
int record_at_check(struct log_writer *w, const struct value_place *place, uint64_t from, void *buf,
		    size_t n) WARN_UNUSED;

/* Reads 'n' bytes of the record, from 'from' on, and checks nothing. */
int record_at_read(struct log_writer *w, const struct value_place *place, uint64_t from, void *buf,
		   size_t n) WARN_UNUSED;

/* A record in memory.  All zeros before the first use, but 'ahead_bytes' may be set; free(data)
 * after the last. */
struct log_record {
	struct record rec;    /* points into 'data' */
	const uint8_t *start; /* the record as it is in the log, in 'data' */
	size_t bytes;	      /* of the record */
	size_t ahead_bytes;   /* so many bytes at least are read at a time, if there are as many */
	uint64_t held_from;   /* position of the first byte in 'data' */
	size_t held_bytes;    /* in 'data' */
	uint8_t *data;
	size_t room; /* of 'data' */
};

/* Reads the whole record at a log position, of unknown size, into '*r' and compares its CRC.  Bytes
 * that the call before has left in memory are not read again. -ERANGE: no segment has that
 * position.  After an error 'rec' is void. */
int record_at_load(struct log_writer *w, uint64_t position, struct log_record *r) WARN_UNUSED;

#endif
