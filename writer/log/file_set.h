/* SPDX-License-Identifier: MIT */
/* The segments of an open log, for compaction, folding, the scrubber and reserves: looking at the
 * files and putting others in their place.
 *
 * Threads: any, but one at a time puts files in place. */
#ifndef FREYJAFS_WRITER_LOG_FILE_SET_H
#define FREYJAFS_WRITER_LOG_FILE_SET_H

#include <stdatomic.h>

#include "writer/log/segments.h"
#include "writer/log_writer.h"

/* --- looking --- */

/* Copies sealed segment 'index' (0 ...).  False: there are not so many.  Its 'fd' is good until
 * somebody replaces it. */
bool log_writer_sealed(struct log_writer *w, size_t index, struct segment *ret);
/* Copies segment 'index' (0 ...): the sealed and the rotated ones, and then the active one, up to
 * where it is durable.  False: there are not so many. */
bool log_writer_segment(struct log_writer *w, size_t index, struct segment *ret);
/* How many bytes there are from 'offset' to the end of its segment: a record there has that many at
 * most.  0: no segment has it. */
uint64_t log_writer_room(struct log_writer *w, uint64_t offset);
/* How many bytes of segment 'number' are the record that says its number: 0 or as many as any. */
uint64_t log_writer_number_bytes(const struct log_writer *w, uint64_t number);

/* --- rotation --- */

/* Seals the rotated segments: all that was appended to them is durable then. */
int log_writer_seal(struct log_writer *w) WARN_UNUSED;
/* From here on the active segment is sealed before it grows larger than this, which is at most what
 * the config says; 0: as the config says. */
void log_writer_set_segment_size(struct log_writer *w, uint64_t bytes);

/* --- replacing --- */

/* A file that is to take the place of sealed segment 'number'. */
struct log_new_segment {
	uint64_t number, generation;
	char name[SEGMENT_TEMP_NAME_BYTES]; /* in the directory, until it is installed */
	int fd; /* owned by the caller until log_writer_install(); -1: there is none */
	uint64_t bytes;
	bool is_base;
	struct manifest_facts facts;
	uint64_t start; /* set by log_writer_install(): position of its first byte */
};

/* Says which name the file of a new generation of sealed segment 'number' is to have; the caller
 * makes it. */
int log_writer_new_segment(struct log_writer *w, uint64_t number,
			   struct log_new_segment *ret) WARN_UNUSED;
/* Reads the complete file of 'n->bytes', stores its facts and, 'with_hint', writes its hint.
 * -ECANCELED: '*stop' became true; -EIO: it is not as it was written. */
int log_writer_check_new(struct log_writer *w, struct log_new_segment *n, const atomic_bool *stop,
			 bool with_hint) WARN_UNUSED;
/* Closes and removes a file that will not be installed. */
void log_writer_drop_new(struct log_writer *w, struct log_new_segment *n);

/* Puts complete and synced files in the place of their segments, all at once; with 'folds' (one
 * file) all segments before it are no more.  On success the descriptors are the log's, which sets
 * them to -1, and the old files can be read from until log_writer_retire().  On failure nothing has
 * changed, but if the directory cannot be synced 'ret_installed' is set all the same: then the
 * files are in place, the old ones stay, and the writer is poisoned.  One thread at a time. */
int log_writer_install(struct log_writer *w, struct log_new_segment *list, size_t count, bool folds,
		       bool *ret_installed) WARN_UNUSED;
/* Removes the files that were replaced or folded; a failure leaves them to the next call, or to the
 * next open. */
void log_writer_remove_replaced(struct log_writer *w);
/* Hands each commit of a sealed segment to 'fn', as log_writer_open_replay() does.  Its file must
 * not be retired meanwhile. */
int log_writer_replay_sealed(struct log_writer *w, const struct segment *seg, log_replay_fn fn,
			     void *arg, struct diag *diag) WARN_UNUSED;
/* Closes the file that was replaced and began at 'start'. */
void log_writer_retire(struct log_writer *w, uint64_t start);

#endif
