/* SPDX-License-Identifier: MIT */
/* A sequential reader of a log file.  It never allocates memory by a size that the file claims; a
 * record that does not fit its buffer is read in pieces.  Threads: one at a time. */
#ifndef FREYJAFS_WRITER_LOG_READER_H
#define FREYJAFS_WRITER_LOG_READER_H

#include "codec/record.h"
#include "writer/base/io.h"

struct log_reader; /* defined in log/reader.c */

/* Most bytes of a value that are kept in memory; more than any meta record of this version has. */
#define LOG_READER_VALUE_BYTES (2 * 1024 * 1024)

/* One record of the log, with its CRC checked.  Memory has the whole key and the first
 * 'value_held_bytes' of the value: all of it, or LOG_READER_VALUE_BYTES if it is longer. */
struct log_entry {
	struct record rec;
	uint32_t value_held_bytes;
	uint64_t offset; /* of the record */
	uint64_t bytes;	 /* of the record */
	uint32_t crc;	 /* the stored CRC; 0 if a hint was read */
	/* If a whole log is replayed, 'offset' is a position in it (segments.h), and: */
	uint64_t segment;     /* number of the segment; for the active one its future number */
	uint64_t file_offset; /* offset of the record in the segment's file */
};

/* The position at which the reader stopped, and the reason. */
struct log_stop {
	uint64_t offset;
	enum record_scan scan; /* RECORD_END, RECORD_TORN or RECORD_DAMAGED */
	enum record_reason reason;
	uint32_t crc_stored, crc_computed; /* RECORD_REASON_CRC */
};

/* Opens a reader of 'fd' from 'offset' to 'file_bytes'.  Borrows 'io' and 'fd'.  The caller closes
 * it with log_reader_close().  -ENOMEM. */
int log_reader_open(struct io *io, int fd, uint64_t offset, uint64_t file_bytes,
		    struct log_reader **ret) WARN_UNUSED;

/* Allows that the file becomes shorter while it is read; it then ends there. */
void log_reader_allow_shrinking(struct log_reader *r);

/* Returns 1 and fills in 'ret', whose pointers are valid until the next call; 0 at the end or at a
 * record that is not whole (see log_reader_stop()); or -errno if reading fails.  Must not be called
 * again after 0 or a failure. */
int log_reader_next(struct log_reader *r, struct log_entry *ret) WARN_UNUSED;

/* As log_reader_next(), for a record that is completely in memory already; the pointers of the
 * record before it then stay valid as well.  Returns false if it is not; log_reader_next() must
 * then be used. */
bool log_reader_next_held(struct log_reader *r, struct log_entry *ret) WARN_UNUSED;

/* Returns the reason of the stop, after log_reader_next() has returned 0. */
struct log_stop log_reader_stop(const struct log_reader *r);

void log_reader_close(struct log_reader *r); /* NULL is a no-op */

#endif
