/* SPDX-License-Identifier: MIT */
/* Hint files: NNNNNN.hint next to a sealed segment, active.hint next to the active segment while no
 * process has the log open.  A hint is derived from its segment and may be deleted at any time: it
 * is never synced, and a hint with any doubtful content counts as missing.  Threads: one at a time.
 */
#ifndef FREYJAFS_WRITER_LOG_HINT_FILE_H
#define FREYJAFS_WRITER_LOG_HINT_FILE_H

#include <stdatomic.h>

#include "codec/hint.h"
#include "codec/manifest.h"
#include "writer/base/io.h"
#include "writer/log/names.h"
#include "writer/log/reader.h"

/* The segment of a hint. */
struct hint_about {
	uint64_t segment;
	uint64_t segment_bytes;
	int segment_fd;	  /* borrowed; for reading the last record */
	const char *name; /* of the hint, in the directory; NULL in hint_file_make(): no hint */
	/* Borrowed; the segment's facts in MANIFEST: a hint with other facts does not belong to it.
	 * NULL: unknown. */
	const struct manifest_facts *facts;
};

/* --- reading --- */

struct hint_reader; /* defined in hint_file.c */

/* Loads a hint.  NULL: none that can be trusted.  The caller closes it with hint_reader_close(). */
struct hint_reader *hint_reader_open(struct io *io, int dir_fd, const struct hint_about *about);
/* As hint_reader_open(), for a segment that is damaged or missing, of which only the number and the
 * name of its hint are known.  The caller must find out whether the hint belongs to the file. */
struct hint_reader *hint_reader_open_any(struct io *io, int dir_fd, const char *name,
					 uint64_t segment, struct hint_header *ret);
/* As log_reader_next(): 1, or 0 at the end; cannot fail. */
int hint_reader_next(struct hint_reader *r, struct log_entry *ret);
/* Gives back the memory of records read so far.  Without this call, the records that the reader
 * returns are valid as long as the reader. */
void hint_reader_drop(struct hint_reader *r);
void hint_reader_close(struct hint_reader *r); /* NULL is a no-op */

/* --- writing --- */

struct hint_writer; /* defined in hint_file.c */

/* Begins a hint.  NULL: it cannot be written, which is not an error. */
struct hint_writer *hint_writer_open(struct io *io, int dir_fd, const char *name);
/* Adds an entry.  After a failure hint_writer_close() drops the hint.  NULL is a no-op. */
void hint_writer_add(struct hint_writer *w, const struct log_entry *entry);
/* Completes the hint of a segment all of whose records were added, or drops it if 'about' is NULL.
 * NULL is a no-op. */
void hint_writer_close(struct hint_writer *w, const struct hint_about *about);

/* Reads the segment and writes its hint, unless '*stop' (may be NULL) becomes true in the meantime.
 * Returns whether all of the segment was read and is whole, and then stores its facts ('ret_facts'
 * may be NULL).  It is not a failure if the hint cannot be written. */
bool hint_file_make(struct io *io, int dir_fd, const struct hint_about *about,
		    const atomic_bool *stop, struct manifest_facts *ret_facts);

/* Removes all hints of a directory.  Returns whether there were any. */
bool hint_files_drop(struct io *io, int dir_fd);

#endif
