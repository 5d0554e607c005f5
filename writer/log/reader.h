/* SPDX-License-Identifier: MIT */
/* Sequential reader of a log file.  Never allocates by a size that the file claims; a record that
 * does not fit its buffer is read in pieces.  Threads: one at a time. */
#ifndef FREYJAFS_WRITER_LOG_READER_H
#define FREYJAFS_WRITER_LOG_READER_H

#include "codec/record.h"
#include "writer/base/io.h"

struct log_reader; /* opaque, see log/reader.c */

/* How much of a value is kept in memory; more than any meta record of this version has. */
#define LOG_READER_VALUE_BYTES (2 * 1024 * 1024)

/* One record as it stands in the log, its CRC checked.  The whole key is in memory, and the first
 * 'value_held_bytes' of the value: all of it, or LOG_READER_VALUE_BYTES if it is longer. */
struct log_entry {
	struct record rec;
	uint32_t value_held_bytes;
	uint64_t offset; /* of the record */
	uint64_t bytes;	 /* of the record */
	uint32_t crc;	 /* as it stands in the record; 0 where a hint was read */
	/* When a whole log is replayed 'offset' is a position in it (segments.h), and then: */
	uint64_t segment;     /* number of the segment, of the active one that it will have */
	uint64_t file_offset; /* of the record in it */
};

/* Where and why the reader stopped. */
struct log_stop {
	uint64_t offset;
	enum record_scan scan; /* RECORD_END, RECORD_TORN or RECORD_DAMAGED */
	enum record_reason reason;
	uint32_t crc_stored, crc_computed; /* RECORD_REASON_CRC */
};

/* Reads 'fd' from 'offset' to 'file_bytes'.  Borrows 'io' and 'fd'.  -ENOMEM. */
int log_reader_open(struct io *io, int fd, uint64_t offset, uint64_t file_bytes,
		    struct log_reader **ret) WARN_UNUSED;

/* The file may become shorter while it is read; then it ends there. */
void log_reader_allow_shrinking(struct log_reader *r);

/* Returns 1 and fills 'ret', whose pointers live until the next call; 0 at the end or at a record
 * that is not whole (log_reader_stop() tells); or -errno when reading fails.  Not to be called
 * again after 0 or a failure. */
int log_reader_next(struct log_reader *r, struct log_entry *ret) WARN_UNUSED;

/* The same for a record that is in memory already, whole: then the pointers of the one before live
 * on as well.  False: log_reader_next() says what comes. */
bool log_reader_next_held(struct log_reader *r, struct log_entry *ret) WARN_UNUSED;

/* After log_reader_next() returned 0. */
struct log_stop log_reader_stop(const struct log_reader *r);

void log_reader_close(struct log_reader *r); /* NULL is a no-op */

#endif
