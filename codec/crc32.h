/* SPDX-License-Identifier: MIT */
/* CRC-32 (IEEE 802.3, reflected, polynomial 0xEDB88320): the one of zlib, PNG and FreyjaDB.
 * Computed by ISA-L where it exists, else by zlib; meson chooses.  Threads: any. */
#ifndef FREYJAFS_CODEC_CRC32_H
#define FREYJAFS_CODEC_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* Returns the CRC of the bytes that gave 'crc', followed by 'n' bytes at 'buf'.  0 is the CRC of no
 * bytes. */
uint32_t crc32_extend(uint32_t crc, const void *buf, size_t n);

/* Computes the CRC of a range from those of what is in front of it: a CRC is linear, and so many
 * more bytes multiply it by a power of x.  [i][n] is that of n * 256^i bytes. */
struct crc32_powers {
	uint32_t of[8][256];
};
void crc32_powers_init(struct crc32_powers *p);
/* Returns the CRC of the last 'n' bytes of those that gave 'whole', where the others, in front of
 * them, gave 'front'. */
uint32_t crc32_of_end(const struct crc32_powers *p, uint32_t front, uint32_t whole, uint64_t n);

/* Returns the name of the library that computes it: "isa-l" or "zlib". */
const char *crc32_backend(void);

#endif
