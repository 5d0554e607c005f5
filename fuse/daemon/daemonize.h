/* SPDX-License-Identifier: MIT */
/* Going into the background: the process forks before it has threads; the parent stays until the
 * mount is usable, or leaves with the exit code of the child.  Threads: one at a time. */
#ifndef FREYJAFS_FUSE_DAEMON_DAEMONIZE_H
#define FREYJAFS_FUSE_DAEMON_DAEMONIZE_H

#include <stdbool.h>

#include "codec/compiler.h"

struct daemonize {
	int ready_fd; /* owned; -1: nobody waits */
};

/* Forks.  Returns 0 in the child and -errno if there is none; the parent waits and exits here. */
int daemonize_fork(struct daemonize *d) WARN_UNUSED;

/* Until this call the child gets SIGTERM when the parent ends, for whatever reason: the mount is
 * not wanted any more.  The thread that has forked calls it before the mount is made.  False: the
 * parent has ended. */
bool daemonize_detach(struct daemonize *d) WARN_UNUSED;

/* Standard input, output and error become /dev/null, and the parent is let go.  -EPIPE: it has
 * ended before. */
int daemonize_ready(struct daemonize *d) WARN_UNUSED;

/* Tells the parent the exit code, if it still waits. */
void daemonize_failed(struct daemonize *d, int exit_code);

#endif
