/* SPDX-License-Identifier: MIT */
/* Moving the daemon into the background: the process forks before it has threads, and the parent
 * stays until the mount is usable, or exits with the exit code of the child.  Threads: one at a
 * time. */
#ifndef FREYJAFS_FUSE_DAEMON_DAEMONIZE_H
#define FREYJAFS_FUSE_DAEMON_DAEMONIZE_H

#include <stdbool.h>

#include "codec/compiler.h"

struct daemonize {
	int ready_fd; /* owned; -1: no parent waits */
};

/* Forks.  Returns 0 in the child, or -errno if the fork failed.  The parent does not return: it
 * waits for the child, and exits. */
int daemonize_fork(struct daemonize *d) WARN_UNUSED;

/* Until this call the kernel sends SIGTERM to the child when the parent ends, for whatever reason,
 * because then the mount is no longer wanted.  The thread that called daemonize_fork() calls this
 * before it mounts.  Returns false if the parent has ended. */
bool daemonize_detach(struct daemonize *d) WARN_UNUSED;

/* Redirects standard input, output and error to /dev/null, and makes the parent exit with status 0.
 * Returns 0 or -errno; -EPIPE: the parent has ended before. */
int daemonize_ready(struct daemonize *d) WARN_UNUSED;

/* Sends the exit code to the parent, if it still waits. */
void daemonize_failed(struct daemonize *d, int exit_code);

#endif
