/* SPDX-License-Identifier: MIT */
/* Finds out whether what is wrong with a record is one byte of its front.  Threads: any. */
#ifndef FREYJAFS_WRITER_LOG_SALVAGE_LOCATE_H
#define FREYJAFS_WRITER_LOG_SALVAGE_LOCATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 'front' are 'front_bytes' of a record of 'record_bytes', from 'offset' in it on, and 'syndrome'
 * is what the CRC of the record differs by.  If another value of one byte in the front makes the
 * CRC right, it gets it, and true is returned.
 *
 * Where bytes elsewhere are wrong such a byte is found by chance with a probability of
 * front_bytes / 2^24.  So it says which key a record had, and nothing about its value. */
bool salvage_locate(uint8_t *front, size_t front_bytes, uint64_t offset, uint64_t record_bytes,
		    uint32_t syndrome);

#endif
