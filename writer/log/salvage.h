/* SPDX-License-Identifier: MIT */
/* Salvage of a damaged segment: which of its records are whole, what the others were, and a new
 * file with the same commits without the lost bytes.
 *
 * A hint names every record of a segment.  If a segment has one, damage to a record costs only the
 * bytes of that record: a record that the hint has completely (a removal, a rename, attributes, a
 * publish) is written again; a value or a piece of content is replaced by a record which states
 * that its bytes are gone, so that all later records keep their meaning.
 *
 * Without a hint, a length whose CRC is wrong is not trusted: behind a record that is not whole the
 * next one is searched for byte by byte.  But the bytes inside the claimed length may be the
 * record's value, and a value can be the image of a log; bytes there that look like records are
 * counted but not taken, unless the caller requests it.  If a whole record begins exactly where the
 * damaged one claims to end, the sizes are right, and the content of the damaged record is passed
 * on as a claim.
 *
 * Threads: one at a time. */
#ifndef FREYJAFS_WRITER_LOG_SALVAGE_H
#define FREYJAFS_WRITER_LOG_SALVAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/compiler.h"
#include "codec/manifest.h"
#include "codec/record.h"
#include "writer/base/io.h"
#include "writer/log/reader.h"

#define SALVAGE_NAME_BYTES   128
#define SALVAGE_REASON_BYTES 120

/* How much is known about the record in a lost range. */
enum salvage_known {
	SALVAGE_UNKNOWN, /* nothing: any records may have been there */
	SALVAGE_CLAIMED, /* 'was' is the content of its bytes; its sizes are right */
	SALVAGE_PROVEN,	 /* 'was' is from a hint: one record */
	SALVAGE_NOTHING, /* by a hint, no record was there */
};

/* A record, and the known part of its value. */
struct salvage_record {
	struct record rec; /* key and value point into 'owned' */
	uint32_t value_held_bytes;
	uint8_t *owned;
};

/* A range of a segment that is not a whole record, and its replacement. */
struct salvage_lost {
	uint64_t offset, bytes;
	char reason[SALVAGE_REASON_BYTES];
	uint64_t inside;      /* records in it that look whole, and may be part of a value */
	uint64_t inside_from; /* offset of the first of them */
	char saved_as[SALVAGE_NAME_BYTES]; /* set by salvage_write(); "": nothing to save */
	enum salvage_known known;
	struct salvage_record was; /* CLAIMED, PROVEN */
	bool in_order;		   /* CLAIMED: its time is between those of the records around it */
	bool exact;		   /* 'instead' is identical to the lost bytes: nothing is lost */
	uint8_t *instead;	   /* owned; NULL: the range is left out */
	size_t instead_bytes;
	uint64_t new_offset; /* offset of its replacement in the new file */
};

/* Lost ranges in the order of their offsets; they do not overlap. */
struct salvage {
	struct salvage_lost *lost; /* owned */
	size_t count, capacity;
	uint64_t records; /* whole records */
	bool used_hint;	  /* it names all records of the segment */
	bool whole;	  /* the file has nothing but whole records, with these facts: */
	struct manifest_facts facts;
};

/* A file for salvage. */
struct salvage_file {
	struct io *io;
	int dir_fd;
	const char *name;     /* in 'dir_fd' */
	const char *new_name; /* of the new file; NULL: it replaces the old one */
	int fd;		      /* -1: missing */
	uint64_t bytes;
	uint64_t number;	 /* of the segment, as in hints */
	const char *hint_name;	 /* NULL: no hint */
	uint64_t boundary_bytes; /* a record certainly ends there; 0: unknown */
	bool may_have_more;	 /* more records than its hint: the active segment may have grown */
	bool is_cut;	  /* bytes are missing: the remaining parts may not belong together */
	bool take_inside; /* records inside a claimed length are taken, too */
};

/* Reads a segment and adds its lost ranges.  -ENOMEM; -EIO and other errors of a read: nothing is
 * concluded. */
int salvage_scan(const struct salvage_file *f, struct salvage *ret) WARN_UNUSED;
/* Adds a range that is left out, and returns it, borrowed; NULL: no memory. */
struct salvage_lost *salvage_add(struct salvage *s, uint64_t offset, uint64_t bytes,
				 const char *reason);
/* Encodes a record as a replacement of 'l', behind the replacements that exist already.  -ENOMEM.
 */
int salvage_put_instead(struct salvage_lost *l, const struct record *rec) WARN_UNUSED;
/* Drops all ranges except the first 'count'. */
void salvage_truncate(struct salvage *s, size_t count);
void salvage_free(struct salvage *s);
/* Computes the offsets in the new file again; required after a replacement has changed. */
void salvage_assign_offsets(struct salvage *s);

/* Encodes a replacement of 'l' for the record 'was': the record itself if all of it is known, and
 * sets 'l->exact'; otherwise one with the same key and time which states that the bytes cannot be
 * read.  -ENODATA if too little is known.  -ENOMEM. */
int salvage_stand_in(struct salvage_lost *l, const struct salvage_record *was) WARN_UNUSED;
/* Encodes a replacement of 'l' which states that the content of a key cannot be read, with the key
 * and the time of 'was'.  'flags' are those of the publish besides META_FLAG_DROPPED.  -ENODATA if
 * the key is too long.  -ENOMEM. */
int salvage_put_dropped(struct salvage_lost *l, const struct record *was, uint64_t size_bytes,
			uint8_t flags) WARN_UNUSED;
/* Copies a record.  The caller frees 'ret->owned' (free(3)).  -ENOMEM. */
int salvage_copy_record(const struct log_entry *e, struct salvage_record *ret) WARN_UNUSED;

/* Returns the offset in the new file of a byte of the old one; for a lost byte the offset where it
 * would be. */
uint64_t salvage_new_offset(const struct salvage *s, uint64_t offset);
/* Returns the size of the new file. */
uint64_t salvage_new_bytes(const struct salvage *s, uint64_t file_bytes);

/* A view of the new file by its offsets, before it exists: 'view->io' reads it from 'fd'. */
struct salvage_view {
	struct io io;
	struct io_ops ops;
	struct io *base;
	int fd;
	uint64_t file_bytes;
	const struct salvage *s;
};
void salvage_view_init(struct salvage_view *v, const struct salvage_file *f,
		       const struct salvage *s);

/* Replaces 'f->name' by the new file: 1. saves each range in quarantine/ with a report, and syncs
 * them; 2. writes the new file under another name and syncs it; 3. renames it and syncs the
 * directory.  If the process is killed at any point, either the old or the new file is there.
 * 'edits' are ranges of the new file to be replaced in the same way; may be empty.  Stores the size
 * of the new file. */
int salvage_write(const struct salvage_file *f, struct salvage *s, struct salvage *edits,
		  uint64_t *ret_bytes) WARN_UNUSED;

#endif
