/* SPDX-License-Identifier: MIT */
/* The set of processes that have written to a pending value.  A process inherits a copy of each
 * descriptor of its parent, and when it closes the copy, it must not commit a value that the parent
 * has half written.
 *
 * A FUSE request names its thread in the PID namespace of the mounting process (fuse_ctx.pid); 0
 * means a thread that is not visible there, or the kernel itself.  The thread's process is looked
 * up in /proc only if the thread is not the one that opened the file.
 *
 * Threads: one at a time. */
#ifndef FREYJAFS_FUSE_OPEN_WRITERS_H
#define FREYJAFS_FUSE_OPEN_WRITERS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define WRITERS_MAX 8

struct writers {
	struct writers_thread {
		pid_t thread;
		pid_t process; /* 0: not looked up */
	} writers[WRITERS_MAX];
	unsigned int count; /* above WRITERS_MAX: there were more than fit */
};

/* Adds 'thread' to the writers.  Looks up its process unless 'thread' is 'opener', the thread that
 * opened the file: in most cases one thread does all of it.  The process is needed because it may
 * outlive the thread. */
void writers_add(struct writers *w, pid_t thread, pid_t opener);

enum writers_answer {
	WRITERS_NO,
	WRITERS_YES,
	/* /proc is not available, or a thread that has written is gone.  Such a thread may have
	 * been one of this process: when a process ends, the kernel closes its descriptors before
	 * its number goes. */
	WRITERS_MAYBE,
};
/* Returns whether the process of 'thread', which must still exist, has written. */
enum writers_answer writers_include(const struct writers *w, pid_t thread);

/* Returns whether the process of 'thread', which is closing a descriptor of the file with inode
 * number 'ino', certainly has another descriptor that it can write with. */
bool writers_has_another(pid_t thread, uint64_t ino);

#endif
