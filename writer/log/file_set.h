/* SPDX-License-Identifier: MIT */
/* The segments of an open log, for compaction, folding, the scrubber and reserves: listing the
 * files and replacing them.
 *
 * Threads: any, but only one at a time may install files.  Errors: 0 or -errno. */
#ifndef FREYJAFS_WRITER_LOG_FILE_SET_H
#define FREYJAFS_WRITER_LOG_FILE_SET_H

#include <stdatomic.h>

#include "writer/log/segments.h"
#include "writer/log_writer.h"

/* --- listing --- */

/* Copies the description of sealed segment 'index' (0 ...).  Returns false if 'index' is behind the
 * last sealed segment.  'ret->fd' is borrowed, and valid until the segment is replaced. */
bool log_writer_sealed(struct log_writer *w, size_t index, struct segment *ret);
/* Copies the description of segment 'index' (0 ...): of the sealed and the rotated segments, and
 * then of the active one with the size of its durable part.  Returns false if 'index' is behind the
 * active segment. */
bool log_writer_segment(struct log_writer *w, size_t index, struct segment *ret);
/* Returns the number of bytes from position 'position' to the end of its segment, which is the
 * upper limit for the size of a record there.  0: no segment has the position. */
uint64_t log_writer_bytes_from(struct log_writer *w, uint64_t position);
/* Returns the size of the record at the beginning of segment 'number' that holds its number.  0:
 * the segment has no such record.  All segments that have one have the same size of it. */
uint64_t log_writer_number_bytes(const struct log_writer *w, uint64_t number);

/* The size of a segment record. */
#define LOG_WRITER_NUMBER_BYTES (RECORD_HEADER_BYTES + META_KEY_PREFIX_BYTES + META_SEGMENT_BYTES)
/* Writes the segment record of segment 'number' to 'out'. */
void log_writer_number_record(const struct log_writer *w, uint64_t number, uint64_t timestamp_ns,
			      uint8_t out[LOG_WRITER_NUMBER_BYTES]);

/* --- space --- */

/* Gives unused head room back to the disk.  Returns false if there is none, or the log has failed.
 */
bool log_writer_release_headroom(struct log_writer *w);

/* --- rotation --- */

/* Seals the segments that are rotated now; everything in them is durable on return. */
int log_writer_seal(struct log_writer *w) WARN_UNUSED;
/* Sets the size from which the active segment is rotated, at most the size in the config; 0: the
 * size in the config. */
void log_writer_set_segment_size(struct log_writer *w, uint64_t bytes);
/* Returns that size. */
uint64_t log_writer_segment_size(struct log_writer *w);

/* --- replacing --- */

/* A file that will replace the file of sealed segment 'number'. */
struct log_new_segment {
	uint64_t number, generation;
	char name[SEGMENT_TEMP_NAME_BYTES]; /* its name in the directory until it is installed */
	int fd; /* owned by the caller until log_writer_install(); -1: none */
	uint64_t bytes;
	bool is_base;
	struct manifest_facts facts;
	/* The position of its first byte, set by log_writer_install().  The positions of each file
	 * follow those of the file before it in the list. */
	uint64_t start;
};

/* Stores in 'ret' the name for the file of a new generation of sealed segment 'number'.  The caller
 * creates the file. */
int log_writer_new_segment(struct log_writer *w, uint64_t number,
			   struct log_new_segment *ret) WARN_UNUSED;
/* Reads the complete file of 'n->bytes', stores its facts and, if 'with_hint' is set, writes its
 * hint.  -ECANCELED if '*stop' became true; -EIO if the file does not have the bytes that were
 * written. */
int log_writer_check_new(struct log_writer *w, struct log_new_segment *n, const atomic_bool *stop,
			 bool with_hint) WARN_UNUSED;
/* Closes and removes a file that will not be installed. */
void log_writer_drop_new(struct log_writer *w, struct log_new_segment *n);

/* Puts complete and synced files in the place of their segments, all at once.  With 'folds' (for
 * files of consecutive segments, in their order) all segments before the first one leave the log.
 * On success the change is durable, the log owns the descriptors and sets them to -1 in 'list', and
 * the old files can be read from until log_writer_retire().  On failure nothing has changed, with
 * one exception: if the directory cannot be synced, 'ret_installed' is set although an error is
 * returned; then the new files are in place, the old ones stay, and the writer is poisoned. */
int log_writer_install(struct log_writer *w, struct log_new_segment *list, size_t count, bool folds,
		       bool *ret_installed) WARN_UNUSED;
/* Removes the files that were replaced or folded.  Files that cannot be removed are left to the
 * next call or the next open. */
void log_writer_remove_replaced(struct log_writer *w);
/* Calls 'fn' for each commit of a sealed segment, as log_writer_open_replay() does.  The segment's
 * file must not be retired during the call. */
int log_writer_replay_sealed(struct log_writer *w, const struct segment *seg, log_replay_fn fn,
			     void *arg, struct diag *diag) WARN_UNUSED;
/* Closes the replaced file whose first byte is at position 'start'.  No thread may read from it any
 * more. */
void log_writer_retire(struct log_writer *w, uint64_t start);

#endif
