/* SPDX-License-Identifier: MIT */
/* The line that a terminal shows during a long operation: nothing for a second, then how much is
 * done, in per cent, five times a second.  Threads: one at a time. */
#ifndef FREYJAFS_WRITER_BASE_PROGRESS_H
#define FREYJAFS_WRITER_BASE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	int fd;			  /* borrowed; -1: it is no terminal, so that nothing is shown */
	const char *label;	  /* borrowed; printed before the percentage */
	uint64_t (*now_ns)(void); /* a clock that only goes forward */
	uint64_t next_ns;	  /* when the line is written again */
	bool shown;
};

/* 'label' is printed before the percentage.  Nothing is shown if 'fd' is no terminal. */
void progress_begin(struct progress *p, int fd, const char *label);
/* A store_progress_fn: 'arg' is the progress. */
void progress_show(void *arg, uint64_t done_bytes, uint64_t all_bytes);
/* Removes the line, if there is one. */
void progress_end(struct progress *p);

#endif
