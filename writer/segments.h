/* SPDX-License-Identifier: MIT */
/* Sealed segments: the files NNNNNN.data that were the active segment once and never change again.
 *
 * Log positions.  All segments in number order, and the active one behind them, are one sequence of
 * bytes while a log is open: a position is an offset in it.  Each segment keeps its positions until
 * it is closed, whatever becomes of its neighbours.  Positions mean nothing beyond one open: on
 * disk there are file offsets only.
 *
 * Threads: any number may read while one adds. */
#ifndef FREYJAFS_WRITER_SEGMENTS_H
#define FREYJAFS_WRITER_SEGMENTS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "writer/diag.h"
#include "writer/io.h"

#define SEGMENT_NAME_BYTES   32 /* "NNNNNN.data" and a NUL; more digits when a million is reached */
#define SEGMENT_FIRST_NUMBER 1

struct segment {
	uint64_t number;
	uint64_t start; /* position of its first byte */
	uint64_t bytes;
	int fd; /* owned */
};

struct segments {
	struct io *io;
	int dir_fd; /* borrowed */

	pthread_rwlock_t lock;
	/* By lock: */
	struct segment *list; /* by number, so by start, too */
	size_t count, room;
};

/* Writes the name of sealed segment 'number'. */
void segment_name(uint64_t number, char ret[SEGMENT_NAME_BYTES]);
/* Returns the number of a sealed segment by its name; 0: that is no such name. */
uint64_t segment_number(const char *name);

void segments_init(struct segments *s, struct io *io, int dir_fd);
void segments_clear(struct segments *s); /* closes all files */
void segments_close(struct segments *s); /* the same, for good */

/* Opens every sealed segment in the directory.  'dir' is for messages. */
int segments_open(struct segments *s, const char *dir, struct diag *diag) WARN_UNUSED;

/* Makes sure that segments_add() cannot fail once.  -ENOMEM. */
int segments_reserve(struct segments *s) WARN_UNUSED;
/* Takes over 'fd', the file of a segment whose number and start are behind all others. */
void segments_add(struct segments *s, uint64_t number, uint64_t start, uint64_t bytes, int fd);

/* The number that follows the last one. */
uint64_t segments_next_number(struct segments *s);
/* The position behind the last one. */
uint64_t segments_end(struct segments *s);
/* Copies segment 'index' (0 ...).  False: there are not so many. */
bool segments_get(struct segments *s, size_t index, struct segment *ret);
/* Copies the segment of that number. */
bool segments_by_number(struct segments *s, uint64_t number, struct segment *ret);
/* Copies the segment that holds 'position'. */
bool segments_find(struct segments *s, uint64_t position, struct segment *ret);

/* Between these no file is closed, the active one included once it is sealed. */
void segments_hold(struct segments *s);
void segments_release(struct segments *s);

/* Reads up to 'n' bytes at 'position', not past the end of the segment that holds it.  Returns how
 * many, 0 when no segment does, or -errno. */
ssize_t segments_read(struct segments *s, void *buf, size_t n, uint64_t position) WARN_UNUSED;

#endif
