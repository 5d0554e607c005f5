/* SPDX-License-Identifier: MIT */
/* The processes that have written to a pending value.  A process gets a copy of each descriptor of
 * its parent, and its close of that copy must not commit what the parent has half written.
 *
 * A request names the thread that it comes from, as the process that has mounted sees it; 0: a
 * thread that it cannot see, or the kernel itself.  Its process is looked up in /proc, and only
 * when the thread is another one than before.  Threads: one at a time. */
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
	unsigned int count; /* above WRITERS_MAX: there were more, and nobody knows which */
};

/* 'thread' has written.  Its process is looked up unless it is 'opener', the thread that has opened
 * the file: mostly one thread does all, and a process that starts others may outlive them. */
void writers_add(struct writers *w, pid_t thread, pid_t opener);

enum writers_answer {
	WRITERS_NO,
	WRITERS_YES,
	/* There is no /proc to ask, or a thread that has written is gone.  It was of this process
	 * then: when a process ends, its descriptors are closed before it is gone. */
	WRITERS_MAYBE,
};
/* Says whether the process of 'thread', which is there, has written. */
enum writers_answer writers_include(const struct writers *w, pid_t thread);

/* Says whether the process of 'thread', which is closing a descriptor of the file with inode number
 * 'ino', surely has another one that it can write with. */
bool writers_has_another(pid_t thread, uint64_t ino);

#endif
