/* SPDX-License-Identifier: MIT */
/* A reserve: space kept in a file of DATADIR, for code that must write in order to recover from a
 * full disk: "reserve" for the tombstones of names that are removed, "reserve.segment" for the
 * segment that compaction rewrites, "reserve.manifest" for the MANIFEST that installs it.  The file
 * has blocks and an inode, so it also helps if a quota or the inodes are used up.  Its content has
 * no meaning.
 *
 * Threads: one at a time. */
#ifndef FREYJAFS_WRITER_LOG_RESERVE_H
#define FREYJAFS_WRITER_LOG_RESERVE_H

#include <stdbool.h>
#include <stdint.h>

#include "writer/base/io.h"
#include "writer/log/names.h"

/* Largest size of "reserve".  Half of it is only for tombstones; the other half is enough for the
 * pending bytes of a large file. */
#define RESERVE_BYTES (UINT64_C(9) << 18)
#define RESERVE_STEP_BYTES \
	(UINT64_C(1) << 16) /* given up at a time; more than the largest group of tombstones */
#define RESERVE_BYTES_MIN (4 * RESERVE_STEP_BYTES) /* of each reserve, also in a small store */

struct reserve {
	struct io *io;
	const char *name;
	int dir_fd;	     /* borrowed */
	int fd;		     /* owned; -1: none */
	uint64_t goal_bytes; /* a multiple of the step */
	uint64_t bytes;
	uint64_t next_try_ns; /* monotonic; time of the next try by reserve_refill() */
};

/* Opens or makes the file.  Without space there is no file yet, or a part of it: that is not a
 * failure. */
void reserve_open(struct reserve *r, struct io *io, int dir_fd, const char *name,
		  uint64_t goal_bytes);

/* Gives a step of the reserve back to the disk.  Returns false if none is left. */
bool reserve_release(struct reserve *r);

/* Gives back all of it, and the inode.  Returns false if there is none. */
bool reserve_drop(struct reserve *r);

/* Renames the file to 'to', replacing a file of that name, and gives it to the caller.  Returns its
 * descriptor, which the caller owns, or -errno; then the reserve is unchanged, but closed if the
 * file is gone. */
int reserve_take(struct reserve *r, const char *to) WARN_UNUSED;

/* Tries to make the reserve whole, or as large as the free space allows. */
void reserve_fill(struct reserve *r);
/* Sets another goal, fills the reserve up to it, and gives back the bytes above it. */
void reserve_resize(struct reserve *r, uint64_t goal_bytes);
/* Calls reserve_fill(), at most once in a second. */
void reserve_refill(struct reserve *r);

/* Tries whether there is space for another reserve of this size: 0 or -errno. */
int reserve_probe(struct reserve *r) WARN_UNUSED;

bool reserve_is_whole(const struct reserve *r);
void reserve_close(struct reserve *r); /* keeps the file */

#endif
