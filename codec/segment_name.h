/* SPDX-License-Identifier: MIT */
/* The names of segment files (docs/FORMAT.md, section 1).  A number says where a segment stands in
 * the log; a generation counts how often compaction has written it anew, from 1.  A name is never
 * used for other bytes.
 *
 * Pure functions over bytes; threads: any. */
#ifndef FREYJAFS_CODEC_SEGMENT_NAME_H
#define FREYJAFS_CODEC_SEGMENT_NAME_H

#include <stdbool.h>
#include <stdint.h>

#define SEGMENT_NAME_BYTES	64 /* of any of these names, and a NUL */
#define SEGMENT_FIRST_NUMBER	1
#define SEGMENT_SUFFIX		".data"
#define SEGMENT_TEMP_SUFFIX	".new" /* of a file that is not complete */
#define SEGMENT_TEMP_NAME_BYTES (SEGMENT_NAME_BYTES + 4)

/* No log lacks more segments: a number that says so is wrong. */
#define SEGMENTS_MISSING_MAX 10000

/* Names a segment file. */
struct segment_id {
	uint64_t number;
	uint64_t generation;
};

/* Writes the name of a sealed segment: 000007.data, 000007.2.data, ... */
void segment_name(struct segment_id id, char ret[SEGMENT_NAME_BYTES]);
/* Writes the name of a rotated segment that is not sealed yet: 000007.1048100.full.  'bytes' is its
 * size. */
void segment_full_name(uint64_t number, uint64_t bytes, char ret[SEGMENT_NAME_BYTES]);
/* Writes the name that the file of a sealed segment has until MANIFEST lists it. */
void segment_temp_name(struct segment_id id, char ret[SEGMENT_TEMP_NAME_BYTES]);

/* Returns whether 'name' is one that segment_name() writes, and which. */
bool segment_name_parse(const char *name, struct segment_id *ret);
/* Returns whether segment_temp_name() writes "name", and for which segment. */
bool segment_temp_name_parse(const char *name, struct segment_id *ret);
/* Returns the number in a name that segment_full_name() writes, and stores the size; 0 for any
 * other name. */
uint64_t segment_full_number(const char *name, uint64_t *ret_bytes);

#endif
