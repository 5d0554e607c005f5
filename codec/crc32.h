/* SPDX-License-Identifier: MIT */
/* CRC-32 (IEEE 802.3, reflected, polynomial 0xEDB88320), the one of zlib, PNG and FreyjaDB.  Meson
 * chooses the library that computes it: ISA-L if it exists, otherwise zlib.  Threads: any. */
#ifndef FREYJAFS_CODEC_CRC32_H
#define FREYJAFS_CODEC_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* Returns the CRC of the bytes whose CRC is 'crc', followed by the 'n' bytes at 'buf'.  The CRC of
 * no bytes is 0. */
uint32_t crc32_extend(uint32_t crc, const void *buf, size_t n);

/* Tables to compute the CRC of a range from the CRC of the bytes before it.  A CRC is linear: n
 * more bytes multiply it by a power of x. of[i][n] is the power for n * 256^i bytes. */
struct crc32_powers {
	uint32_t of[8][256];
};
/* Fills in the tables, which stay constant; threads share them. */
void crc32_powers_init(struct crc32_powers *p);
/* Returns the CRC of the last 'n' bytes of a range.  'whole' is the CRC of the range, 'front' the
 * CRC of its bytes before the last 'n'. */
uint32_t crc32_of_end(const struct crc32_powers *p, uint32_t front, uint32_t whole, uint64_t n);

/* Returns the name of the library that computes CRCs: "isa-l" or "zlib". */
const char *crc32_backend(void);

#endif
