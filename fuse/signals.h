/* SPDX-License-Identifier: MIT */
/* SIGTERM, SIGINT and SIGHUP unmount.  They are blocked in every thread but one that waits for
 * them, so none is lost between a look at a flag and a sleep. */
#ifndef FREYJAFS_FUSE_SIGNALS_H
#define FREYJAFS_FUSE_SIGNALS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "codec/compiler.h"

struct fs;

struct signals {
	struct fs *fs; /* constant */
	pthread_t thread;
	atomic_bool finished; /* the transport has returned */
	atomic_int received;  /* the signal that ended the mount; 0: none */
};

/* Before there is any thread: they inherit what is blocked. */
void signals_block(void);
/* Starts the thread that waits; 'fs' has a session and a transport. */
int signals_start(struct signals *s, struct fs *fs) WARN_UNUSED;
/* When the transport has returned: ends that thread. */
void signals_end(struct signals *s);

#endif
