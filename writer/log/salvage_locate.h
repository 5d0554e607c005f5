/* SPDX-License-Identifier: MIT */
/* Locating a damaged byte: whether a single wrong byte in the front of a record explains its
 * damage.  Threads: any. */
#ifndef FREYJAFS_WRITER_LOG_SALVAGE_LOCATE_H
#define FREYJAFS_WRITER_LOG_SALVAGE_LOCATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 'front' are 'front_bytes' of a record of 'record_bytes', from offset 'offset' in it on;
 * 'syndrome' is the difference between the stored and the computed CRC of the record.  If another
 * value of one byte in the front makes the CRC right, stores that value in the byte and returns
 * true.
 *
 * If bytes elsewhere are wrong, such a byte is found by chance with a probability of front_bytes /
 * 2^24.  So the result can identify the key of a record, but proves nothing about its value. */
bool salvage_locate(uint8_t *front, size_t front_bytes, uint64_t offset, uint64_t record_bytes,
		    uint32_t syndrome);

#endif
