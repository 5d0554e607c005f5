/* SPDX-License-Identifier: MIT */
/* Any text as MANIFEST, as it is and with its CRC line made right: what is accepted is written as
 * the same bytes. */
#include "tests/fuzz/fuzz.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "codec/crc32.h"
#include "codec/manifest.h"

#define CRC_LINE_BYTES 15 /* "crc32 ", eight digits and '\n' */

static void check(const char *text, size_t bytes)
{
	struct manifest m = { .count = 0 };
	enum manifest_error err = manifest_parse(text, bytes, &m);
	size_t again_bytes;
	char *again;

	FUZZ_CHECK(err != MANIFEST_ERROR_MEMORY);
	if (err != MANIFEST_OK) {
		FUZZ_CHECK(manifest_error_text(err)[0] != '\0');
		return;
	}
	again = manifest_format(&m, &again_bytes);
	FUZZ_CHECK(again != NULL);
	FUZZ_CHECK(again_bytes == bytes);
	FUZZ_CHECK(memcmp(again, text, bytes) == 0);
	for (size_t i = 0; i < m.count; i++)
		FUZZ_CHECK(manifest_find(&m, m.segments[i].id.number) == &m.segments[i]);
	free(again);
	manifest_free(&m);
}

/* Returns how many bytes stand before the line of the CRC, if there is one. */
static size_t body_bytes(const uint8_t *data, size_t size)
{
	const char *line = "crc32 ";

	if (size < CRC_LINE_BYTES || memcmp(data + size - CRC_LINE_BYTES, line, strlen(line)) != 0)
		return size;
	return size - CRC_LINE_BYTES;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t bytes = body_bytes(data, size);
	char *text = malloc(size + CRC_LINE_BYTES + 1);

	FUZZ_CHECK(text != NULL);
	if (size > 0)
		memcpy(text, data, size);
	check(text, size);
	(void)snprintf(text + bytes, CRC_LINE_BYTES + 1, "crc32 %08" PRIx32 "\n",
		       crc32_extend(0, text, bytes));
	check(text, bytes + CRC_LINE_BYTES);
	free(text);
	return 0;
}
