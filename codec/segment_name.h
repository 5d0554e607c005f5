/* SPDX-License-Identifier: MIT */
/* The names of segment files (docs/FORMAT.md, section 1).  The number is the place of a segment in
 * the log; the generation counts how many files the segment has had, from 1.  A name is never used
 * again for other bytes.
 *
 * Pure functions over bytes.  Threads: any. */
#ifndef FREYJAFS_CODEC_SEGMENT_NAME_H
#define FREYJAFS_CODEC_SEGMENT_NAME_H

#include <stdbool.h>
#include <stdint.h>

#define SEGMENT_NAME_BYTES	64 /* size of any of these names, with its NUL */
#define SEGMENT_FIRST_NUMBER	1
#define SEGMENT_SUFFIX		".data"
#define SEGMENT_TEMP_SUFFIX	".new" /* of a file that is not complete */
#define SEGMENT_TEMP_NAME_BYTES (SEGMENT_NAME_BYTES + 4)

/* No log can lack more segments: a number that implies more is wrong. */
#define SEGMENTS_MISSING_MAX 10000

/* The parts of a segment's name. */
struct segment_id {
	uint64_t number;
	uint64_t generation;
};

/* Writes the name of a sealed segment: 000007.data, 000007.2.data, ... */
void segment_name(struct segment_id id, char ret[SEGMENT_NAME_BYTES]);
/* Writes the name of a rotated segment that is not sealed yet: 000007.1048100.full.  'bytes' is its
 * size. */
void segment_rotated_name(uint64_t number, uint64_t bytes, char ret[SEGMENT_NAME_BYTES]);
/* Writes the name that the file of a sealed segment has until MANIFEST lists it. */
void segment_temp_name(struct segment_id id, char ret[SEGMENT_TEMP_NAME_BYTES]);

/* Returns whether segment_name() writes 'name', and for which segment. */
bool segment_name_parse(const char *name, struct segment_id *ret);
/* Returns whether segment_temp_name() writes 'name', and for which segment. */
bool segment_temp_name_parse(const char *name, struct segment_id *ret);
/* Returns the number in a name that segment_rotated_name() writes, and stores the size.  Returns 0
 * for any other name. */
uint64_t segment_rotated_number(const char *name, uint64_t *ret_bytes);

#endif
