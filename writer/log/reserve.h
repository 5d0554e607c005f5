/* SPDX-License-Identifier: MIT */
/* Space kept in a file of DATADIR, for a path that has to write in order to get out of a full disk:
 * "reserve" for the tombstones of names that are removed, "reserve.segment" for the segment that
 * compaction writes anew, "reserve.manifest" for the MANIFEST that puts it in place.  The file has
 * blocks and an inode, so it also serves where a quota or the inodes are used up.  Its content
 * means nothing.
 *
 * Threads: one at a time. */
#ifndef FREYJAFS_WRITER_LOG_RESERVE_H
#define FREYJAFS_WRITER_LOG_RESERVE_H

#include <stdbool.h>
#include <stdint.h>

#include "writer/base/io.h"
#include "writer/log/names.h"

/* Of "reserve", at most.  Half of it is for tombstones alone; the other is enough for what a large
 * file may have in memory. */
#define RESERVE_BYTES (UINT64_C(9) << 18)
#define RESERVE_STEP_BYTES \
	(UINT64_C(1) << 16) /* given up at a time; more than the largest group of tombstones */
#define RESERVE_BYTES_MIN (4 * RESERVE_STEP_BYTES) /* of each, also in a small store */

struct reserve {
	struct io *io;
	const char *name;
	int dir_fd;	     /* borrowed */
	int fd;		     /* owned; -1: there is none */
	uint64_t goal_bytes; /* a multiple of the step */
	uint64_t bytes;
	uint64_t next_try_ns; /* monotonic; when reserve_refill() tries again */
};

/* Opens or makes the file.  Without space for it there is none yet, or a part: that is no failure.
 */
void reserve_open(struct reserve *r, struct io *io, int dir_fd, const char *name,
		  uint64_t goal_bytes);

/* Gives a step of the reserve back to the disk.  Returns false when none is left. */
bool reserve_release(struct reserve *r);

/* Gives back all of it, and the inode.  Returns false when there is none. */
bool reserve_drop(struct reserve *r);

/* Gives the file away: it gets the name 'to', in the place of a file that has it.  Returns its
 * descriptor, which the caller owns, or -errno; then the reserve is as it was, but closed if the
 * file is gone. */
int reserve_take(struct reserve *r, const char *to) WARN_UNUSED;

/* Tries to make it whole, or as much of it as there is space for. */
void reserve_fill(struct reserve *r);
/* The same for another goal; what is above that is given back. */
void reserve_resize(struct reserve *r, uint64_t goal_bytes);
/* The same, at most once in a second. */
void reserve_refill(struct reserve *r);

/* Tries whether there would be space for another one: 0 or -errno. */
int reserve_probe(struct reserve *r) WARN_UNUSED;

bool reserve_is_whole(const struct reserve *r);
void reserve_close(struct reserve *r); /* keeps the file */

#endif
