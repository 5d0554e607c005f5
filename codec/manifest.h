/* SPDX-License-Identifier: MIT */
/* MANIFEST: the list of the files that make up a log (docs/FORMAT.md, section 14).  Text, one line
 * a fact, the last line the CRC-32 of all before it.
 *
 * Pure functions over bytes, but for memory; threads: any. */
#ifndef FREYJAFS_CODEC_MANIFEST_H
#define FREYJAFS_CODEC_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/compiler.h"
#include "codec/record.h"
#include "codec/segment_name.h"

#define MANIFEST_VERSION	1
#define MANIFEST_STORE_ID_BYTES 16
#define MANIFEST_BYTES_MAX	((size_t)64 * 1024 * 1024)

/* The records of one segment, in short. */
struct manifest_facts {
	uint64_t records;
	uint64_t first_timestamp_ns; /* of the first record */
	uint64_t last_timestamp_ns;  /* the latest of all records */
	uint64_t digest;	     /* of all headers and their offsets; FORMAT.md says how */
	bool has_digest;	     /* false: not computed yet */
};

struct manifest_segment {
	struct segment_id id;
	uint64_t bytes;
	struct manifest_facts facts;
	bool is_base;
};

struct manifest {
	uint8_t store_id[MANIFEST_STORE_ID_BYTES];
	/* Segments from this number on begin with a segment record. */
	uint64_t numbered_from;
	struct manifest_segment *segments; /* owned; in the order of the log */
	size_t count, capacity;
	/* Files that are no part of the log any more and may still be there. */
	struct segment_id *obsolete; /* owned */
	size_t obsolete_count, obsolete_capacity;
	/* The number after the last one listed. */
	uint64_t active_number;
	/* The log was durable up to this offset of this segment when the list was written. */
	uint64_t durable_number, durable_offset;
};

enum manifest_error {
	MANIFEST_OK,
	MANIFEST_ERROR_MEMORY,
	MANIFEST_ERROR_VERSION, /* of a later version */
	MANIFEST_ERROR_DAMAGED, /* the CRC is wrong, or it is no manifest */
	MANIFEST_ERROR_VALUE,	/* the CRC is right, and what it says is not possible */
};

/* Writes 'm' as text into memory that the caller frees; stores the size.  NULL: out of memory. */
char *manifest_format(const struct manifest *m, size_t *ret_bytes) WARN_UNUSED;
/* Reads what manifest_format() has written.  On failure 'ret' is left alone. */
enum manifest_error manifest_parse(const char *text, size_t bytes,
				   struct manifest *ret) WARN_UNUSED;
/* Returns a phrase for 'error', such as "its CRC does not match". */
const char *manifest_error_text(enum manifest_error error);

void manifest_free(struct manifest *m);
/* Copies 'm' with all that it owns.  False: out of memory, and 'ret' is left alone. */
bool manifest_copy(const struct manifest *m, struct manifest *ret) WARN_UNUSED;

/* Returns the entry of segment 'number', or NULL. */
struct manifest_segment *manifest_find(const struct manifest *m, uint64_t number);
/* Adds an entry behind all others.  False: out of memory. */
bool manifest_add(struct manifest *m, const struct manifest_segment *seg) WARN_UNUSED;
/* Makes the file of a segment an obsolete one.  False: out of memory. */
bool manifest_add_obsolete(struct manifest *m, struct segment_id id) WARN_UNUSED;
/* Removes the entries of all segments below 'number'; their files become obsolete.  False: out of
 * memory. */
bool manifest_remove_below(struct manifest *m, uint64_t number) WARN_UNUSED;

/* Collects the facts of a segment, record by record. */
struct manifest_scan {
	struct manifest_facts facts; /* of the records so far */
	void *state;		     /* owned; of the digest; NULL: none, or out of memory */
};

/* 'with_digest': the CRCs of the records will be known. */
void manifest_scan_init(struct manifest_scan *s, bool with_digest);
/* Adds a record that stands at 'offset' of its segment; 'crc' is the one in its header. */
void manifest_scan_add(struct manifest_scan *s, uint64_t offset, uint32_t crc,
		       const struct record *rec);
/* Returns the facts of all that was added, and frees what 's' owns. */
struct manifest_facts manifest_scan_finish(struct manifest_scan *s);

#endif
