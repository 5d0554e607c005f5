/* SPDX-License-Identifier: MIT */
/* A progress line for a terminal during a long operation: nothing for a second, then the part that
 * is done, in per cent, five times a second.  Threads: one at a time. */
#ifndef FREYJAFS_WRITER_BASE_PROGRESS_H
#define FREYJAFS_WRITER_BASE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	int fd;			  /* borrowed; -1: not a terminal, nothing is shown */
	const char *label;	  /* borrowed; printed before the percentage */
	uint64_t (*now_ns)(void); /* a monotonic clock */
	uint64_t next_ns;	  /* time of the next update */
	bool shown;
};

/* Starts an operation.  'label' is borrowed.  Nothing is shown if 'fd' is not a terminal. */
void progress_begin(struct progress *p, int fd, const char *label);
/* Shows the progress; a store_progress_fn whose 'arg' is the struct progress. */
void progress_show(void *arg, uint64_t done_bytes, uint64_t all_bytes);
/* Removes the line, if it is shown. */
void progress_end(struct progress *p);

#endif
