/* SPDX-License-Identifier: MIT */
/* Replay and recovery of a log that is being opened.  Threads: one. */
#ifndef FREYJAFS_WRITER_LOG_RECOVERY_H
#define FREYJAFS_WRITER_LOG_RECOVERY_H

#include "writer/log/log_writer_private.h"

/* One opening of a log. */
struct log_opening {
	struct log_writer *w;
	const char *dir;    /* of the log; for messages */
	struct synced mark; /* the durable mark; zeros: there is none */
	log_replay_fn fn;   /* may be NULL */
	void *arg;
	struct log_recovery *recovery; /* is filled */
	struct diag *diag;
	/* For a writer: is called once the log is not refused, before any of its files changes. */
	int (*accepted)(struct log_opening *o);
};

/* Replays the segments, which are open, and then the active one, of 'active_bytes'.  Makes what is
 * left durable, and nothing but that is left: full segments are sealed, what is torn is cut. */
int log_recover(struct log_opening *o, uint64_t active_bytes) WARN_UNUSED;
/* The same for a log that is only read: nothing is changed.  The log ends where recovery would end
 * it. */
int log_recover_read_only(struct log_opening *o, uint64_t active_bytes) WARN_UNUSED;

/* Leaves a hint of the active segment, so that the next open need not read it.  By the last thread.
 */
void log_recover_leave_hint(struct log_writer *w);

#endif
