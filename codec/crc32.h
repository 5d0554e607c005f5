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

/* Returns the name of the library that computes it: "isa-l" or "zlib". */
const char *crc32_backend(void);

#endif
