/* SPDX-License-Identifier: MIT */
/* The signals that end the daemon: SIGTERM, SIGINT and SIGHUP.  All threads block them, except one
 * that waits for them, so no signal is lost between a check of a flag and a sleep.
 *
 * While the store is being replayed nothing is mounted, and replay may be interrupted anywhere, as
 * by SIGKILL: a signal ends the process at once.  From the mount on, a signal unmounts. */
#ifndef FREYJAFS_FUSE_DAEMON_SIGNALS_H
#define FREYJAFS_FUSE_DAEMON_SIGNALS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "codec/compiler.h"

struct fs;

struct signals {
	const char *mountpoint; /* borrowed; constant */
	struct fs *fs;		/* set before the phase that needs it */
	bool has_thread;
	pthread_t thread;
	atomic_int phase;    /* see signals.c */
	atomic_int received; /* the signal that ended the mount; 0: none */
};

/* Blocks the signals.  Call before any thread exists: threads inherit the mask. */
void signals_block(void);
/* Starts the thread that waits for signals.  Until signals_mounts() a signal ends the process.
 * Borrows 'mountpoint'.  Returns 0 or -errno. */
int signals_start(struct signals *s, const char *mountpoint) WARN_UNUSED;
/* Call before mounting.  From here on a signal is remembered.  Does not return if a signal has
 * arrived before. */
void signals_mounts(struct signals *s);
/* Call when 'fs' has a session and its transport is about to run.  From here on a signal stops the
 * transport. */
void signals_serves(struct signals *s, struct fs *fs);
/* Has the effect of SIGHUP.  Any thread, between signals_start() and signals_end(). */
void signals_hang_up(struct signals *s);
/* Ends the thread, if it runs.  Call when nothing is left to stop. */
void signals_end(struct signals *s);

#endif
