/* SPDX-License-Identifier: MIT */
/* Salvage: which records of a damaged segment are whole, what the others were, and a file that has
 * the same commits without the bytes that are lost.
 *
 * A hint says what each record of a segment was.  Where a segment has one, a damaged record costs
 * its own bytes: a record that a hint has completely (a removal, a rename, attributes, a publish)
 * is written again; of a value or a piece of content the place is kept by a record that says that
 * its bytes are gone, so that all that follows means what it meant.
 *
 * Without a hint a length whose CRC is wrong is not believed: behind a record that is not whole the
 * next one is searched for byte by byte.  But what stands inside the length that it claims may be
 * its own value, and a value can be the image of a log; what looks like records there is counted
 * and not taken, unless the caller says so.  If a whole record stands just where the damaged one
 * claims to end, its sizes are right, and what it claims to be is passed on as a claim.
 *
 * Threads: one at a time. */
#ifndef FREYJAFS_WRITER_LOG_SALVAGE_H
#define FREYJAFS_WRITER_LOG_SALVAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/compiler.h"
#include "codec/record.h"
#include "writer/base/io.h"

#define SALVAGE_NAME_BYTES   128
#define SALVAGE_REASON_BYTES 120

/* How much is known of the record that a lost range was. */
enum salvage_known {
	SALVAGE_UNKNOWN, /* nothing: any records may have been there */
	SALVAGE_CLAIMED, /* 'was' is what its bytes say; its sizes are right */
	SALVAGE_PROVEN,	 /* 'was' is what a hint says: one record */
	SALVAGE_NOTHING, /* a hint says that no record was there */
};

/* A record, and as much of its value as is known. */
struct salvage_record {
	struct record rec; /* key and value point into 'owned' */
	uint32_t value_held_bytes;
	uint8_t *owned;
};

/* A range of a segment that is no whole record, and what is put in its place. */
struct salvage_lost {
	uint64_t offset, bytes;
	char reason[SALVAGE_REASON_BYTES];
	uint64_t inside;      /* records in it that look whole, and may be part of a value */
	uint64_t inside_from; /* where the first of them is */
	char saved_as[SALVAGE_NAME_BYTES]; /* set by salvage_write(); "": nothing to save */
	enum salvage_known known;
	struct salvage_record was; /* CLAIMED, PROVEN */
	bool exact;		   /* 'instead' is what was there: nothing is lost */
	uint8_t *instead;	   /* owned; NULL: the range is left out */
	size_t instead_bytes;
	uint64_t new_offset; /* where its place is in the new file */
};

/* Lost ranges in the order of their offsets; they do not overlap. */
struct salvage {
	struct salvage_lost *lost; /* owned */
	size_t count, room;
	uint64_t records; /* that are whole */
	bool used_hint;	  /* it says what all of the segment was */
};

/* A file to be salvaged. */
struct salvage_file {
	struct io *io;
	int dir_fd;
	const char *name;     /* in 'dir_fd' */
	const char *new_name; /* of the new file; NULL: it takes the place of the old one */
	int fd;		      /* -1: it is missing */
	uint64_t bytes;
	uint64_t number;	 /* of the segment, as hints have it */
	const char *hint_name;	 /* NULL: it has none */
	uint64_t boundary_bytes; /* a record is known to end there; 0: nothing is known */
	bool may_have_more;	 /* than its hint has: the active segment may have grown */
	bool is_cut;		 /* bytes are missing: what is left need not belong together */
	bool take_inside;	 /* records inside a claimed length are taken, too */
};

/* Reads a segment and adds what is lost in it.  -ENOMEM; -EIO and others while reading: nothing is
 * concluded. */
int salvage_scan(const struct salvage_file *f, struct salvage *ret) WARN_UNUSED;
/* Adds a range that is left out, and returns it; NULL: no memory. */
struct salvage_lost *salvage_add(struct salvage *s, uint64_t offset, uint64_t bytes,
				 const char *reason);
/* Encodes a record to be put in the place of 'l', behind what is there already.  -ENOMEM. */
int salvage_put_instead(struct salvage_lost *l, const struct record *rec) WARN_UNUSED;
/* Forgets all ranges but the first 'count'. */
void salvage_keep(struct salvage *s, size_t count);
void salvage_free(struct salvage *s);
/* What is put in the place of ranges has changed: says anew where each is in the new file. */
void salvage_place(struct salvage *s);

/* Encodes what stands for a record whose bytes are gone: the record itself where all of it is
 * known, or one of the same key and time that says that its bytes cannot be read.  The caller frees
 * it. -ENODATA: too little is known of it.  -ENOMEM. */
int salvage_stand_in(const struct salvage_record *was, uint8_t **ret, size_t *ret_bytes,
		     bool *ret_exact) WARN_UNUSED;

/* Where a byte of the old file is in the new one: if it is lost, where what was lost would be. */
uint64_t salvage_new_offset(const struct salvage *s, uint64_t offset);
/* The size of the new file. */
uint64_t salvage_new_bytes(const struct salvage *s, uint64_t file_bytes);

/* The new file, to be read by its offsets before it is there: 'view->io' reads it from 'fd'. */
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

/* Puts the new file in the place of 'f->name': 1. each range is saved in quarantine/ with a report,
 * and synced; 2. the new file is written under another name and synced; 3. it is renamed and the
 * directory synced.  Killed at any point, the old file or the new one is there.  'edits' are ranges
 * of the new file, to be replaced in the same way; may be empty.  Stores the size of the new one.
 */
int salvage_write(const struct salvage_file *f, struct salvage *s, struct salvage *edits,
		  uint64_t *ret_bytes) WARN_UNUSED;

#endif
