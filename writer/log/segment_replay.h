/* SPDX-License-Identifier: MIT */
/* Replay and recovery of one segment: finds the end of its whole records, and cuts the bytes
 * behind.  No byte is destroyed: bytes to be cut are first saved in quarantine/.  Threads: one at a
 * time. */
#ifndef FREYJAFS_WRITER_LOG_SEGMENT_REPLAY_H
#define FREYJAFS_WRITER_LOG_SEGMENT_REPLAY_H

#include "writer/log/hint_file.h"
#include "writer/log_writer.h"

/* A log file that is being opened. */
struct log_tail {
	struct io *io;
	int dir_fd;
	int fd;
	const char *name;    /* in 'dir_fd' */
	const char *path;    /* for messages */
	uint64_t number;     /* of the segment; for the active one its future number */
	uint64_t start;	     /* log position of its first byte (segments.h) */
	uint64_t from_bytes; /* offset at which to begin: everything before is replayed already */
	uint64_t until_ns;   /* leaves out commits from the first later one on; 0: none */
	uint64_t file_bytes;
	uint64_t durable_bytes;	    /* from the durable mark */
	bool sealed;		    /* all of it must be whole */
	const uint8_t *store_id;    /* borrowed; NULL: a log without MANIFEST */
	bool numbered;		    /* its first record must be a segment record */
	bool any_number;	    /* a segment record may have any number */
	bool may_shrink;	    /* its writer may cut its end: zeros, or a torn tail */
	struct hint_reader *hint;   /* borrowed; read instead of the segment; may be NULL */
	struct hint_writer *add_to; /* borrowed; receives every record; may be NULL */
	log_ahead_fn ahead;	    /* as in log_writer_config */
	log_progress_fn progress;
	uint64_t all_bytes; /* size of all segments */

	/* Found by log_tail_replay(). */
	uint64_t kept_bytes;
	struct manifest_facts kept; /* of the records before 'kept_bytes'; without a digest */
	/* Of all records, including those of an incomplete group; has a digest only if the whole
	 * segment was read. */
	struct manifest_facts facts;
	bool reached_until; /* 'until_ns' was reached: 'stop' has the position, and 'kept_bytes' end
			       there */
	struct log_stop stop;
};

/* Reads the segment from 'from_bytes' on and passes each commit to 'fn' (may be NULL), with log
 * positions.  Fills in the second part of 't'.  -EBADMSG if a record that is not whole begins
 * before the durable mark or in a sealed segment, if bytes before the mark are missing, or if it is
 * not segment 'number'. */
int log_tail_replay(struct log_tail *t, log_replay_fn fn, void *arg, struct diag *diag) WARN_UNUSED;

/* Cuts the bytes behind the whole records if they are only zeros, which are head room of a writer
 * that was killed.  Stores in 'ret_cut' whether it did. */
int log_tail_cut_zeros(struct log_tail *t, bool *ret_cut, struct diag *diag) WARN_UNUSED;

/* Saves the bytes from 'kept_bytes' on under quarantine/, with a report next to them, makes both
 * durable, and cuts the file.  Stores the name of the saved bytes, relative to 'dir_fd'. */
int log_tail_cut(struct log_tail *t, char *ret_name, size_t ret_name_size,
		 struct diag *diag) WARN_UNUSED;

#endif
