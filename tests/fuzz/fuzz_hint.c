/* SPDX-License-Identifier: MIT */
/* Any bytes as a hint file, the checksum mended if the first byte is odd: what is accepted has
 * whole entries that encode to the same bytes and add up to the segment. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "codec/crc32.h"
#include "codec/hint.h"
#include "codec/le.h"

static void check_entries(const uint8_t *hint, size_t bytes, const struct hint_header *h)
{
	uint64_t records = 0, segment_bytes = 0;
	size_t at = HINT_HEADER_BYTES;

	while (at < bytes) {
		struct record rec;
		uint32_t held;
		size_t size = hint_entry_decode(hint + at, bytes - at, &rec, &held);
		uint8_t *again;

		FUZZ_CHECK(size > 0 && size <= bytes - at);
		FUZZ_CHECK(held == hint_held_bytes(rec.key, rec.key_bytes, rec.value_bytes));
		FUZZ_CHECK(size == hint_entry_bytes(rec.key_bytes, held));
		again = malloc(size);
		FUZZ_CHECK(again != NULL);
		hint_entry_encode(&rec, held, again);
		FUZZ_CHECK(memcmp(again, hint + at, size) == 0);
		free(again);
		records++;
		segment_bytes += record_bytes(rec.key_bytes, rec.value_bytes);
		at += size;
	}
	FUZZ_CHECK(at == bytes);
	FUZZ_CHECK(records == h->records && segment_bytes == h->segment_bytes);
	FUZZ_CHECK(records == 0 || h->last_record_offset < segment_bytes);
}

/* Any entry at any place: nothing is read outside of the bytes. */
static void check_anywhere(const uint8_t *data, size_t bytes)
{
	for (size_t at = 0; at < bytes; at++) {
		struct record rec;
		uint32_t held;
		size_t size = hint_entry_decode(data + at, bytes - at, &rec, &held);

		FUZZ_CHECK(size <= bytes - at);
		if (size > 0)
			FUZZ_CHECK((const uint8_t *)rec.value + held == data + at + size);
	}
}

static void mend(uint8_t *hint, size_t bytes)
{
	const struct hint_header h = {
		.segment = le64_load(hint + 16),
		.segment_bytes = le64_load(hint + 24),
		.records = le64_load(hint + 32),
		.hint_bytes = le64_load(hint + 40),
		.last_record_offset = le64_load(hint + 48),
		.last_record_crc = le32_load(hint + 56),
	};

	hint_header_encode(&h, crc32_extend(0, hint + HINT_HEADER_BYTES, bytes - HINT_HEADER_BYTES),
			   hint);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hint_header h;
	uint8_t *hint;

	if (size < 1)
		return 0;
	size--;
	hint = malloc(size > 0 ? size : 1);
	FUZZ_CHECK(hint != NULL);
	memcpy(hint, data + 1, size);
	if ((data[0] & 1) && size >= HINT_HEADER_BYTES)
		mend(hint, size);
	if (hint_check(hint, size, &h))
		check_entries(hint, size, &h);
	check_anywhere(hint, size < 4096 ? size : 4096);
	free(hint);
	return 0;
}
