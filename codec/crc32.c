/* SPDX-License-Identifier: MIT */
#include "codec/crc32.h"

#ifdef HAVE_ISAL
#include <isa-l/crc.h>
#else
#include <zlib.h>
#endif

uint32_t crc32_extend(uint32_t crc, const void *buf, size_t n)
{
#ifdef HAVE_ISAL
	return crc32_gzip_refl(crc, buf, n);
#else
	/* zlib takes NULL for the start of a new CRC; an empty value may have no address. */
	return n == 0 ? crc : (uint32_t)crc32_z(crc, buf, n);
#endif
}

const char *crc32_backend(void)
{
#ifdef HAVE_ISAL
	return "isa-l";
#else
	return "zlib";
#endif
}
