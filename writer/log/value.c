/* SPDX-License-Identifier: MIT */
#include "writer/log/value.h"

#include <errno.h>
#include <stdlib.h>

#include "codec/crc32.h"
#include "codec/record.h"

#define CHUNK_BYTES ((size_t)256 * 1024)

static int read_exactly(struct log_writer *w, void *buf, size_t n, uint64_t offset)
{
	ssize_t got = log_writer_read(w, buf, n, offset);

	return got >= 0 && (size_t)got == n ? 0 : -EIO;
}

int log_value_check(struct log_writer *w, uint64_t offset, uint32_t key_bytes, uint32_t value_bytes)
{
	uint64_t bytes = record_bytes(key_bytes, value_bytes), done = 0;
	uint8_t *chunk = malloc(CHUNK_BYTES);
	struct record rec = { 0 };
	uint32_t crc = 0, stored = 0;
	int err = chunk == NULL ? -ENOMEM : 0;

	while (err == 0 && done < bytes) {
		size_t n = bytes - done < CHUNK_BYTES ? (size_t)(bytes - done) : CHUNK_BYTES;
		size_t skip = 0;

		err = read_exactly(w, chunk, n, offset + done);
		if (err < 0)
			break;
		if (done == 0) {
			stored = record_decode_header(chunk, &rec);
			skip = RECORD_CRC_COVERS_FROM;
		}
		crc = crc32_extend(crc, chunk + skip, n - skip);
		done += n;
	}
	free(chunk);
	if (err < 0)
		return err;
	return crc == stored && rec.key_bytes == key_bytes && rec.value_bytes == value_bytes ? 0
											     : -EIO;
}

int log_value_read(struct log_writer *w, uint64_t offset, uint32_t key_bytes, uint64_t value_offset,
		   void *buf, size_t n)
{
	return read_exactly(w, buf, n, offset + RECORD_HEADER_BYTES + key_bytes + value_offset);
}
