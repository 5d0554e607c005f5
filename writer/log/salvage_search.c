/* SPDX-License-Identifier: MIT */
#include "writer/log/salvage_search.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "codec/le.h"
#include "codec/path.h"
#include "codec/record.h"
#include "codec/array.h"

#define WINDOW_BYTES ((size_t)4 << 20)
/* A candidate of at most this size is read completely: that is cheaper than the arithmetic. */
#define SHORT_BYTES 2048
/* The longest key that is searched for: every path, and most others. */
#define KEY_BYTES_MAX ((uint32_t)4 * PATH_BYTES_MAX)
#define SUM_STEP_MIN  512
#define SUM_STEP_MAX  ((uint64_t)1 << 16)
#define SUMS_MAX      ((uint64_t)1 << 24)

int search_init(struct search *s, struct io *io, int fd, uint64_t file_bytes)
{
	*s = (struct search){
		.io = io, .fd = fd, .file_bytes = file_bytes, .sum_step = SUM_STEP_MIN
	};
	while (file_bytes / s->sum_step > SUMS_MAX && s->sum_step < SUM_STEP_MAX)
		s->sum_step *= 2;
	s->window = malloc(WINDOW_BYTES);
	return s->window == NULL ? -ENOMEM : 0;
}

void search_free(struct search *s)
{
	free(s->window);
	free(s->powers);
	free(s->sums);
	*s = (struct search){ 0 };
}

const uint8_t *search_load(struct search *s, uint64_t offset, size_t n, int *ret_err)
{
	ssize_t got;

	if (offset > s->file_bytes || s->file_bytes - offset < n)
		return NULL;
	if (offset >= s->window_offset && offset + n <= s->window_offset + s->window_bytes)
		return s->window + (offset - s->window_offset);
	s->window_bytes = 0;
	got = io_pread_all(s->io, s->fd, s->window, WINDOW_BYTES, offset);
	if (got < 0) {
		*ret_err = (int)got;
		return NULL;
	}
	s->window_offset = offset;
	s->window_bytes = (size_t)got;
	return (size_t)got < n ? NULL : s->window;
}

/* --- CRCs of the bytes in front of a position --- */

/* Extends the sums so that they reach over the first 'end' bytes: a sparse file may claim to have
 * very many more. */
static int extend_sums(struct search *s, uint64_t end)
{
	size_t step = (size_t)s->sum_step, per_chunk = (size_t)(SUM_STEP_MAX / s->sum_step);
	uint8_t *chunk = calloc(1, SUM_STEP_MAX); /* the file may end in it */
	int err = chunk == NULL ? -ENOMEM : 0;

	while (err == 0 && end / step >= s->sum_count) {
		uint64_t from = (uint64_t)s->sum_count * step;
		ssize_t got;

		err = ARRAY_RESERVE(s->sums, s->sum_count + per_chunk, s->sum_capacity);
		got = err < 0 ? err : io_pread_all(s->io, s->fd, chunk, SUM_STEP_MAX, from);
		err = got < 0 ? (int)got : 0;
		for (size_t i = 0; err == 0 && i < per_chunk; i++) {
			s->sums[s->sum_count++] = s->sum_next;
			s->sum_next = crc32_extend(s->sum_next, chunk + i * step, step);
		}
	}
	free(chunk);
	return err;
}

/* Computes the CRC of the first 'end' bytes of the file. */
static int crc_up_to(struct search *s, uint64_t end, uint32_t *ret)
{
	uint64_t from = end / s->sum_step * s->sum_step;
	uint8_t bytes[SUM_STEP_MAX];
	size_t n = (size_t)(end - from);
	const uint8_t *p = bytes;
	ssize_t got;

	if (from >= s->window_offset && end <= s->window_offset + s->window_bytes) {
		p = s->window + (from - s->window_offset);
	} else {
		got = io_pread_all(s->io, s->fd, bytes, n, from);
		if (got != (ssize_t)n)
			return got < 0 ? (int)got : -EIO;
	}
	*ret = crc32_extend(s->sums[from / s->sum_step], p, n);
	return 0;
}

static int crc_of(struct search *s, uint64_t from, uint64_t end, uint32_t *ret)
{
	uint32_t front = 0, whole = 0;
	int err = end / s->sum_step < s->sum_count ? 0 : extend_sums(s, end);

	if (err == 0 && s->powers == NULL) {
		s->powers = malloc(sizeof(*s->powers));
		if (s->powers == NULL)
			return -ENOMEM;
		crc32_powers_init(s->powers);
	}
	if (err == 0)
		err = crc_up_to(s, from, &front);
	if (err == 0)
		err = crc_up_to(s, end, &whole);
	if (err == 0)
		*ret = crc32_of_end(s->powers, front, whole, end - from);
	return err;
}

/* --- records --- */

static bool is_zero(const uint8_t *header)
{
	static const uint8_t zeros[RECORD_HEADER_BYTES];

	return memcmp(header, zeros, sizeof(zeros)) == 0;
}

/* Decodes the header at 'offset', if the bytes there can be one.  Returns 1, 0 or -errno. */
static int read_header(struct search *s, uint64_t offset, struct record *ret, uint32_t *ret_crc)
{
	int err = 0;
	const uint8_t *p = search_load(s, offset, RECORD_HEADER_BYTES, &err);

	if (p == NULL || le32_load(p + RECORD_KEY_SIZE_OFFSET) > KEY_BYTES_MAX)
		return err;
	*ret_crc = record_decode_header(p, ret);
	return record_bytes(ret->key_bytes, ret->value_bytes) <= s->file_bytes - offset &&
	       !is_zero(p);
}

/* Computes the CRC of the record of 'bytes' at 'offset'. */
static int record_crc(struct search *s, uint64_t offset, uint64_t bytes, uint32_t *ret)
{
	int err = 0;
	const uint8_t *p;

	if (bytes > SHORT_BYTES)
		return crc_of(s, offset + RECORD_CRC_COVERS_FROM, offset + bytes, ret);
	p = search_load(s, offset, (size_t)bytes, &err);
	if (p == NULL)
		return err < 0 ? err : -EIO; /* the file shrank */
	*ret = crc32_extend(0, p + RECORD_CRC_COVERS_FROM, (size_t)bytes - RECORD_CRC_COVERS_FROM);
	return 0;
}

int search_is_whole(struct search *s, uint64_t offset, uint64_t *ret_bytes)
{
	uint32_t crc = 0, stored = 0;
	struct record rec = { 0 };
	int err, got = read_header(s, offset, &rec, &stored);

	if (got <= 0)
		return got;
	*ret_bytes = record_bytes(rec.key_bytes, rec.value_bytes);
	err = record_crc(s, offset, *ret_bytes, &crc);
	return err < 0 ? err : crc == stored;
}

int search_is_likely(struct search *s, uint64_t offset)
{
	struct record rec = { 0 };
	uint32_t crc;

	return read_header(s, offset, &rec, &crc);
}

int search_syndrome(struct search *s, uint64_t offset, uint32_t *ret)
{
	uint32_t crc = 0, stored = 0;
	struct record rec = { 0 };
	int err, got = read_header(s, offset, &rec, &stored);

	if (got <= 0)
		return got < 0 ? got : -EIO;
	err = record_crc(s, offset, record_bytes(rec.key_bytes, rec.value_bytes), &crc);
	*ret = crc ^ stored;
	return err;
}

int search_timestamp(struct search *s, uint64_t offset, uint64_t *ret)
{
	int err = 0;
	const uint8_t *p = search_load(s, offset, RECORD_HEADER_BYTES, &err);

	if (p == NULL)
		return err < 0 ? err : -EIO;
	*ret = le64_load(p + RECORD_TIMESTAMP_OFFSET);
	return 0;
}

int search_claimed_end(struct search *s, uint64_t offset, uint64_t *ret)
{
	int err = 0;
	const uint8_t *p = search_load(s, offset, RECORD_HEADER_BYTES, &err);
	struct record rec = { 0 };
	uint64_t bytes;

	*ret = s->file_bytes;
	if (p == NULL)
		return err;
	*ret = offset;
	if (is_zero(p))
		return 0;
	(void)record_decode_header(p, &rec);
	bytes = record_bytes(rec.key_bytes, rec.value_bytes);
	*ret = bytes > s->file_bytes - offset ? s->file_bytes : offset + bytes;
	return 0;
}

/* Returns the next offset from 'from' on at which a header does not consist of zeros; the end of
 * the file if there is none. */
static uint64_t skip_zeros(struct search *s, uint64_t from, int *ret_err)
{
	while (from < s->file_bytes) {
		const uint8_t *p = search_load(s, from, RECORD_HEADER_BYTES, ret_err);
		size_t zeros = 0, held;

		if (p == NULL)
			return s->file_bytes;
		held = s->window_bytes - (size_t)(p - s->window);
		while (zeros < held && p[zeros] == 0)
			zeros++;
		if (zeros < RECORD_HEADER_BYTES)
			return from;
		if (zeros < held)
			return from + zeros - (RECORD_HEADER_BYTES - 1);
		/* A header may begin with zeros that are in the hole. */
		from = io_next_data(s->io, s->fd, from + zeros, s->file_bytes) -
		       (RECORD_HEADER_BYTES - 1);
	}
	return s->file_bytes;
}

int search_whole(struct search *s, uint64_t from, uint64_t claimed, struct search_result *ret)
{
	uint64_t bytes = 0;

	*ret = (struct search_result){ 0 };
	while (from < s->file_bytes) {
		int err = 0, got;

		from = skip_zeros(s, from, &err);
		got = err < 0 ? err : search_is_whole(s, from, &bytes);
		if (got < 0)
			return got;
		if (got > 0 && from >= claimed)
			break;
		if (got > 0 && ret->inside++ == 0)
			ret->inside_from = from;
		if (got > 0 && bytes < claimed - from)
			from += bytes;
		else
			from = got > 0 ? claimed : from + 1;
	}
	ret->offset = from < s->file_bytes ? from : s->file_bytes;
	return 0;
}
