/* SPDX-License-Identifier: MIT */
/* The hint of the next segment: a thread reads and checks it while the records of the present
 * segment are replayed.  The replay has the same result as without the thread: it takes the hints
 * in the order of the log, and the thread does nothing but hint_reader_open().  Threads: one. */
#ifndef FREYJAFS_WRITER_LOG_HINT_AHEAD_H
#define FREYJAFS_WRITER_LOG_HINT_AHEAD_H

#include <pthread.h>
#include <stdbool.h>

#include "writer/log/hint_file.h"

/* Zeroed: none. */
struct hint_ahead {
	struct io *io;
	int dir_fd;
	struct hint_about about; /* points to the fields below */
	struct manifest_facts facts;
	char name[SEGMENT_NAME_BYTES];
	pthread_t thread;
	bool started;
	struct hint_reader *reader; /* once the thread has ended; NULL: none that can be trusted */
};

/* Starts to read the hint, unless it is too small to be worth a thread.  hint_ahead_take() or
 * hint_ahead_drop() must follow before the next start, and before the segment is closed. */
void hint_ahead_start(struct hint_ahead *a, struct io *io, int dir_fd,
		      const struct hint_about *about);
/* Returns the hint that was started last, which must be this one; without a start it is opened
 * here. Otherwise as hint_reader_open(). */
struct hint_reader *hint_ahead_take(struct hint_ahead *a, struct io *io, int dir_fd,
				    const struct hint_about *about);
void hint_ahead_drop(struct hint_ahead *a); /* closes the hint that was started, if any */

#endif
