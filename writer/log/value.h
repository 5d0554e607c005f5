/* SPDX-License-Identifier: MIT */
/* Reading the value of a record whose place in the log is known.  Threads: any. */
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

#endif
