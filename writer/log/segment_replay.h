/* SPDX-License-Identifier: MIT */
/* Replay and recovery of one segment: find where its whole records end, and cut what stands behind.
 * Nothing is destroyed: the bytes that are cut are in quarantine/ first.  Threads: one at a time.
 */
#ifndef FREYJAFS_WRITER_LOG_SEGMENT_REPLAY_H
#define FREYJAFS_WRITER_LOG_SEGMENT_REPLAY_H

#include "writer/log/hint_file.h"
#include "writer/log_writer.h"

/* One log file while it is being opened. */
struct log_tail {
	struct io *io;
	int dir_fd;
	int fd;
	const char *name;    /* in 'dir_fd' */
	const char *path;    /* for messages */
	uint64_t number;     /* of the segment; of the active one that it will have */
	uint64_t start;	     /* log position of its first byte (segments.h) */
	uint64_t from_bytes; /* where to begin: what is before was replayed */
	uint64_t until_ns;   /* 0, or: commits from the first later one on are left out */
	uint64_t file_bytes;
	uint64_t durable_bytes;	    /* from the durable mark */
	bool sealed;		    /* all of it has to be whole */
	const uint8_t *store_id;    /* borrowed; NULL: a log without MANIFEST */
	bool numbered;		    /* its first record has to be a segment record */
	bool any_number;	    /* a segment record may say what it wants */
	bool may_shrink;	    /* its writer may cut its end: zeros, or what is torn */
	struct hint_reader *hint;   /* borrowed; read instead of the segment; may be NULL */
	struct hint_writer *add_to; /* borrowed; gets every record of the segment; may be NULL */
	log_ahead_fn ahead;	    /* as in log_writer_config */
	log_progress_fn progress;
	uint64_t all_bytes; /* of all segments */

	/* Found by log_tail_replay(). */
	uint64_t kept_bytes;
	struct manifest_facts kept; /* of the records that are; without a digest */
	/* Of all records, those of a group without an end included; a digest only where the whole
	 * segment was read. */
	struct manifest_facts facts;
	bool reached_until; /* and 'stop' says where; 'kept_bytes' end there */
	struct log_stop stop;
};

/* Reads the segment from its start and hands each commit to 'fn' (may be NULL), with log positions.
 * Fills the second part of 't'.  -EBADMSG: what is not whole begins before the durable mark or in a
 * sealed segment, or bytes before the mark are missing, or it is another segment than 'number'. */
int log_tail_replay(struct log_tail *t, log_replay_fn fn, void *arg, struct diag *diag) WARN_UNUSED;

/* Cuts what stands behind the whole records if that is nothing but zeros, head room of a writer
 * that was killed, and says so in 'ret_cut'. */
int log_tail_cut_zeros(struct log_tail *t, bool *ret_cut, struct diag *diag) WARN_UNUSED;

/* Saves the bytes from 'kept_bytes' on under quarantine/ with a report beside them, makes both
 * durable, and cuts the file.  Stores the name of the saved bytes, relative to 'dir_fd'. */
int log_tail_cut(struct log_tail *t, char *ret_name, size_t ret_name_size,
		 struct diag *diag) WARN_UNUSED;

#endif
