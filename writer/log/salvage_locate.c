/* SPDX-License-Identifier: MIT */
#include "writer/log/salvage_locate.h"

#include <stdlib.h>

#include "codec/crc32.h"

/* A CRC is linear: the effect of a changed byte depends only on the change and on the number of
 * bytes that follow. */
static bool change_at(uint8_t *byte, const struct crc32_powers *p, uint64_t behind,
		      uint32_t syndrome)
{
	static const uint8_t zero;
	uint32_t by_bit[8], crc = 0;

	for (unsigned int bit = 0; bit < 8; bit++) {
		uint8_t change = (uint8_t)(1u << bit);

		by_bit[bit] = crc32_of_end(
			p, crc32_extend(0, &change, 1) ^ crc32_extend(0, &zero, 1), 0, behind);
	}
	for (unsigned int n = 1; n < 256; n++) { /* each step changes one bit: a Gray code */
		unsigned int bit = (unsigned int)__builtin_ctz(n);

		crc ^= by_bit[bit];
		if (crc == syndrome) {
			*byte ^= (uint8_t)(n ^ (n >> 1));
			return true;
		}
	}
	return false;
}

bool salvage_locate(uint8_t *front, size_t front_bytes, uint64_t offset, uint64_t record_bytes,
		    uint32_t syndrome)
{
	struct crc32_powers *p = malloc(sizeof(*p));
	bool found = false;

	if (p == NULL)
		return false;
	crc32_powers_init(p);
	for (size_t i = 0; !found && i < front_bytes; i++)
		found = change_at(&front[i], p, record_bytes - 1 - (offset + i), syndrome);
	free(p);
	return found;
}
