/* SPDX-License-Identifier: MIT */
/* Hint files: NNNNNN.hint beside a sealed segment, active.hint beside the active one while nobody
 * has the log open.  A hint is derived from its segment and may be deleted at any time: it is never
 * synced, and whatever is doubtful about it means that there is none.  Threads: one at a time. */
#ifndef FREYJAFS_WRITER_LOG_HINT_FILE_H
#define FREYJAFS_WRITER_LOG_HINT_FILE_H

#include <stdatomic.h>

#include "codec/hint.h"
#include "codec/manifest.h"
#include "writer/base/io.h"
#include "writer/log/names.h"
#include "writer/log/reader.h"

/* Which segment a hint is about. */
struct hint_about {
	uint64_t segment;
	uint64_t segment_bytes;
	int segment_fd;	  /* borrowed; to look at the last record */
	const char *name; /* of the hint, in the directory; hint_file_make(): NULL for none */
	/* Borrowed; what MANIFEST says of the segment: a hint that says otherwise is not its.
	 * NULL: nothing. */
	const struct manifest_facts *facts;
};

/* --- reading --- */

struct hint_reader; /* opaque, see hint_file.c */

/* Loads a hint.  NULL: there is none to be trusted. */
struct hint_reader *hint_reader_open(struct io *io, int dir_fd, const struct hint_about *about);
/* The same of a segment that is damaged or gone: all that is known of it is its number, and the
 * name of its hint.  The caller finds out whether it speaks of this file. */
struct hint_reader *hint_reader_open_any(struct io *io, int dir_fd, const char *name,
					 uint64_t segment, struct hint_header *ret);
/* As log_reader_next(): 1, or 0 at the end; cannot fail. */
int hint_reader_next(struct hint_reader *r, struct log_entry *ret);
/* The records that it returns live as long as the reader, unless this is called: what has been read
 * so far is not needed any more: its memory is given back. */
void hint_reader_drop(struct hint_reader *r);
void hint_reader_close(struct hint_reader *r); /* NULL is a no-op */

/* --- writing --- */

struct hint_writer; /* opaque, see hint_file.c */

/* NULL: it cannot be written, which is no error. */
struct hint_writer *hint_writer_open(struct io *io, int dir_fd, const char *name);
/* Adds an entry.  A failure is remembered.  NULL is a no-op. */
void hint_writer_add(struct hint_writer *w, const struct log_entry *entry);
/* Makes it the hint of a segment all of whose records were added, or ('about' NULL) drops it. */
void hint_writer_close(struct hint_writer *w, const struct hint_about *about);

/* Reads the segment and writes its hint, unless '*stop' (may be NULL) becomes true meanwhile.
 * Returns whether all of the segment was read and is whole, and then stores its facts ('ret_facts'
 * may be NULL); that the hint cannot be written is no failure. */
bool hint_file_make(struct io *io, int dir_fd, const struct hint_about *about,
		    const atomic_bool *stop, struct manifest_facts *ret_facts);

/* Removes all hints of a directory.  Says whether there were any. */
bool hint_files_drop(struct io *io, int dir_fd);

#endif
