/* SPDX-License-Identifier: MIT */
/* SIGTERM, SIGINT and SIGHUP end the daemon.  They are blocked in every thread but one that waits
 * for them, so none is lost between a look at a flag and a sleep.
 *
 * While the store is being loaded nothing is mounted, and a load can be cut off anywhere, as by
 * SIGKILL: the signal ends the process at once.  From the mount on it unmounts. */
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

/* Before there is any thread: they inherit what is blocked. */
void signals_block(void);
/* Starts the thread that waits.  Until signals_mounts() a signal ends the process. */
int signals_start(struct signals *s, const char *mountpoint) WARN_UNUSED;
/* The mount is about to be made.  A signal is remembered from here on.  Does not return if one has
 * come before. */
void signals_mounts(struct signals *s);
/* 'fs' has a session, and its transport is about to run: a signal stops it from here on. */
void signals_serves(struct signals *s, struct fs *fs);
/* As if SIGHUP had come.  Any thread, from signals_start() to signals_end(). */
void signals_hang_up(struct signals *s);
/* There is nothing more to stop: ends that thread, if it runs. */
void signals_end(struct signals *s);

#endif
