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
	/* zlib interprets NULL as the start of a new CRC, and an empty value may have no address.
	 */
	return n == 0 ? crc : (uint32_t)crc32_z(crc, buf, n);
#endif
}

#define POLYNOMIAL 0xEDB88320u
#define X_TO_0	   0x80000000u /* reflected: the highest bit is the lowest power */
#define X_TO_8	   0x00800000u

/* Returns a * b modulo the polynomial. */
static uint32_t multiply(uint32_t a, uint32_t b)
{
	uint32_t product = 0;

	for (uint32_t bit = X_TO_0; bit != 0; bit >>= 1) {
		if (a & bit)
			product ^= b;
		b = (b >> 1) ^ (b & 1 ? POLYNOMIAL : 0);
	}
	return product;
}

void crc32_powers_init(struct crc32_powers *p)
{
	uint32_t step = X_TO_8;

	for (size_t i = 0; i < sizeof(p->of) / sizeof(p->of[0]); i++) {
		p->of[i][0] = X_TO_0;
		for (size_t n = 1; n < 256; n++)
			p->of[i][n] = multiply(p->of[i][n - 1], step);
		step = multiply(p->of[i][255], step);
	}
}

uint32_t crc32_of_end(const struct crc32_powers *p, uint32_t front, uint32_t whole, uint64_t n)
{
	for (size_t i = 0; n > 0; i++, n >>= 8)
		if ((n & 255) != 0)
			front = multiply(p->of[i][n & 255], front);
	return front ^ whole;
}

const char *crc32_backend(void)
{
#ifdef HAVE_ISAL
	return "isa-l";
#else
	return "zlib";
#endif
}
