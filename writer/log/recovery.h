/* SPDX-License-Identifier: MIT */
/* Replay and recovery of a log that is being opened.  Threads: one. */
#ifndef FREYJAFS_WRITER_LOG_RECOVERY_H
#define FREYJAFS_WRITER_LOG_RECOVERY_H

#include "writer/log/hint_ahead.h"
#include "writer/log/log_writer_private.h"

/* One opening of a log. */
struct log_opening {
	struct log_writer *w;
	const char *dir;    /* of the log; for messages */
	struct synced mark; /* the durable mark; zeros: none */
	log_replay_fn fn;   /* may be NULL */
	void *arg;
	struct log_recovery *recovery; /* filled in */
	struct diag *diag;
	struct hint_ahead hint_ahead; /* of the next segment */
	/* For a writer: called once the log is accepted, before any of its files changes. */
	int (*accepted)(struct log_opening *o);
};

/* Replays the segments, which are open, and then the active one, of 'active_bytes'.  Makes the
 * whole commits durable and removes all other bytes: seals rotated segments, and cuts the torn
 * tail. */
int log_recover(struct log_opening *o, uint64_t active_bytes) WARN_UNUSED;
/* Replays a read-only log and changes nothing.  The log ends where recovery would end it. */
int log_recover_read_only(struct log_opening *o, uint64_t active_bytes) WARN_UNUSED;

/* Writes a hint of the active segment, so that the next open does not have to read it.  Must be
 * called by the last thread. */
void log_recover_leave_hint(struct log_writer *w);

#endif
