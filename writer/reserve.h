/* SPDX-License-Identifier: MIT */
/* Space kept in DATADIR/reserve, so that names can be removed when the disk is full: a tombstone
 * must be appended for each. Threads: one at a time. */
#ifndef FREYJAFS_WRITER_RESERVE_H
#define FREYJAFS_WRITER_RESERVE_H

#include <stdbool.h>
#include <stdint.h>

#include "writer/io.h"

#define RESERVE_BYTES (UINT64_C(1) << 20)
#define RESERVE_STEP_BYTES \
	(UINT64_C(1) << 16) /* given up at a time; more than the largest group of tombstones */

struct reserve {
	struct io *io;
	int fd; /* owned; -1: there is none */
	uint64_t bytes;
	uint64_t next_try_ns; /* monotonic; when reserve_refill() tries again */
};

/* Opens or makes the reserve.  Without space for it there is none yet: that is no failure. */
void reserve_open(struct reserve *r, struct io *io, int dir_fd);

/* Gives a step of the reserve back to the disk.  Returns false when none is left. */
bool reserve_release(struct reserve *r);

/* Tries to make it whole again, at most once in a second. */
void reserve_refill(struct reserve *r);

bool reserve_is_whole(const struct reserve *r);
void reserve_close(struct reserve *r); /* keeps the file */

#endif
