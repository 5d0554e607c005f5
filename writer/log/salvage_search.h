/* SPDX-License-Identifier: MIT */
/* A search for whole records in a damaged segment, at every byte.
 *
 * Any four bytes that are a small number could be the beginning of a record, so the time for the
 * CRC of a candidate must not depend on its length: its CRC is computed from the CRCs of all bytes
 * in front of its first and its last byte.  The time of a search is proportional to the number of
 * bytes searched, whatever they are.  Threads: one at a time. */
#ifndef FREYJAFS_WRITER_LOG_SALVAGE_SEARCH_H
#define FREYJAFS_WRITER_LOG_SALVAGE_SEARCH_H

#include <stddef.h>
#include <stdint.h>

#include "codec/compiler.h"
#include "codec/crc32.h"
#include "writer/base/io.h"

struct search {
	struct io *io;
	int fd;
	uint64_t file_bytes;
	uint8_t *window; /* owned */
	uint64_t window_offset;
	size_t window_bytes;
	/* Made for long candidates. */
	struct crc32_powers *powers; /* owned */
	uint32_t *sums;		     /* owned; [i]: CRC of the first i * sum_step bytes */
	size_t sum_count, sum_capacity;
	uint32_t sum_next; /* of index 'sum_count' */
	uint64_t sum_step;
};

/* Borrows 'io' and 'fd'.  -ENOMEM. */
int search_init(struct search *s, struct io *io, int fd, uint64_t file_bytes) WARN_UNUSED;
void search_free(struct search *s);

/* Loads 'n' bytes from 'offset' on into the window and returns them, valid until the next call.
 * NULL: the file is too short, or '*ret_err' is not 0. */
const uint8_t *search_load(struct search *s, uint64_t offset, size_t n, int *ret_err);

/* Returns whether a whole record is at 'offset', and stores its size: 1, 0 or -errno. */
int search_is_whole(struct search *s, uint64_t offset, uint64_t *ret_bytes) WARN_UNUSED;

/* Returns whether the bytes at 'offset' could be the header of a damaged record: 1, 0 or -errno. */
int search_is_likely(struct search *s, uint64_t offset) WARN_UNUSED;
/* Stores the difference between the stored and the computed CRC of a record. */
int search_syndrome(struct search *s, uint64_t offset, uint32_t *ret) WARN_UNUSED;

/* Stores the timestamp in the header at 'offset'; -EIO if there is no header. */
int search_timestamp(struct search *s, uint64_t offset, uint64_t *ret) WARN_UNUSED;

/* Stores the claimed end of the record at 'offset', at most the end of the file; 'offset' itself if
 * there are zeros. */
int search_claimed_end(struct search *s, uint64_t offset, uint64_t *ret) WARN_UNUSED;

struct search_result {
	uint64_t offset;	      /* of the record; the end of the file: none found */
	uint64_t inside, inside_from; /* candidates before 'claimed' that look whole */
};
/* Finds the first whole record at or behind 'claimed', and counts the whole records between 'from'
 * and 'claimed'. */
int search_whole(struct search *s, uint64_t from, uint64_t claimed,
		 struct search_result *ret) WARN_UNUSED;

#endif
