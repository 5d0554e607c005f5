/* SPDX-License-Identifier: MIT */
/* Searching a damaged segment for whole records, at any byte.
 *
 * Any four bytes that are a small number could be the beginning of a record, so the CRC of a
 * candidate must not cost its length: it comes from the CRCs of all that is in front of its first
 * and its last byte.  A search takes time in proportion to the bytes that are searched, whatever
 * they are.  Threads: one at a time. */
#ifndef FREYJAFS_WRITER_LOG_SALVAGE_SEARCH_H
#define FREYJAFS_WRITER_LOG_SALVAGE_SEARCH_H

#include <stdbool.h>
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
	/* Made when a long candidate is met first. */
	struct crc32_powers *powers; /* owned */
	uint32_t *sums;		     /* owned; [i]: of the first i * sum_step bytes */
	uint64_t sum_step;
};

/* -ENOMEM. */
int search_init(struct search *s, struct io *io, int fd, uint64_t file_bytes) WARN_UNUSED;
void search_free(struct search *s);

/* Makes sure that the window has 'n' bytes from 'offset' on.  Returns them; NULL: the file has not
 * so many, or '*ret_err' is not 0. */
const uint8_t *search_load(struct search *s, uint64_t offset, size_t n, int *ret_err);

/* Says whether a whole record is at 'offset', and how long it is.  Returns 1, 0 or -errno. */
int search_is_whole(struct search *s, uint64_t offset, uint64_t *ret_bytes) WARN_UNUSED;

/* Says whether what is at 'offset' could be the header of a record that was damaged.  Returns 1, 0
 * or -errno. */
int search_is_likely(struct search *s, uint64_t offset) WARN_UNUSED;
/* Stores the difference of the CRC that a record says and the one that it has. */
int search_syndrome(struct search *s, uint64_t offset, uint32_t *ret) WARN_UNUSED;

/* The time that the record at 'offset' says; -EIO: there is no header. */
int search_timestamp(struct search *s, uint64_t offset, uint64_t *ret) WARN_UNUSED;

/* Where what the record at 'offset' claims to be ends, at most the end of the file; 'offset' itself
 * where zeros are. */
int search_claimed_end(struct search *s, uint64_t offset, uint64_t *ret) WARN_UNUSED;

struct search_result {
	uint64_t offset;	      /* of the record; the end of the file: there is none */
	uint64_t inside, inside_from; /* what looks like records before 'claimed' */
};
/* Finds the first whole record at or behind 'claimed', and counts those from 'from' to there. */
int search_whole(struct search *s, uint64_t from, uint64_t claimed,
		 struct search_result *ret) WARN_UNUSED;

#endif
