/* SPDX-License-Identifier: MIT */
/* What a terminal shows while a store is being loaded: nothing for a second, then one line that
 * says how much has been done.  Threads: one at a time. */
#ifndef FREYJAFS_FUSE_DAEMON_PROGRESS_H
#define FREYJAFS_FUSE_DAEMON_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	int fd;			  /* borrowed; -1: nobody is looking */
	const char *name;	  /* borrowed; of the store */
	uint64_t (*now_ns)(void); /* a clock that only goes forward */
	uint64_t next_ns;	  /* when the line is written again */
	bool shown;
};

/* Shows nothing if 'fd' is no terminal. */
void progress_begin(struct progress *p, int fd, const char *name);
/* A store_progress_fn: 'arg' is the progress. */
void progress_show(void *arg, uint64_t done_bytes, uint64_t all_bytes);
/* Takes the line away, if there is one. */
void progress_end(struct progress *p);

#endif
