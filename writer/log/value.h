/* SPDX-License-Identifier: MIT */
/* Reading a record whose place in the log is known, or its value.  Threads: any. */
#ifndef FREYJAFS_WRITER_LOG_VALUE_H
#define FREYJAFS_WRITER_LOG_VALUE_H

#include "writer/log_writer.h"

/* Reads the whole record at log position 'offset' and compares its CRC, and the sizes that it is
 * believed to have.  -EIO: they differ, or it cannot be read.  -ENOMEM. */
int log_value_check(struct log_writer *w, uint64_t offset, uint32_t key_bytes,
		    uint32_t value_bytes) WARN_UNUSED;

/* Reads exactly 'n' bytes of its value, from 'value_offset' on.  Checks nothing.  -EIO. */
int log_value_read(struct log_writer *w, uint64_t offset, uint32_t key_bytes, uint64_t value_offset,
		   void *buf, size_t n) WARN_UNUSED;

/* A record in memory.  All zeros before the first use; free(data) after the last. */
struct log_record {
	struct record rec; /* points into 'data' */
	uint8_t *data;	   /* the record as it is in the log */
	size_t bytes;	   /* of the record */
	size_t room;	   /* of 'data' */
};

/* Reads the whole record at a log position into '*r' and compares its CRC.  -ERANGE: no segment has
 * that position.  -EBADMSG: no whole record begins there.  -EIO, -ENOMEM.  After an error 'rec' is
 * void. */
int log_record_at(struct log_writer *w, uint64_t position, struct log_record *r) WARN_UNUSED;

#endif
