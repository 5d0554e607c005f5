/* SPDX-License-Identifier: MIT */
/* The files that were the active segment once.  After a rotation its file has a name that says how
 * many bytes it has: NNNNNN.BYTES.full.  When it is durable and MANIFEST lists it, it is *sealed*:
 * NNNNNN.data.  Sealed segments change no more, but for compaction, which puts a file of another
 * generation in the place of one: NNNNNN.2.data.  Those that are not sealed come behind all that
 * are.
 *
 * Log positions.  All segments in number order, and the active one behind them, are one sequence of
 * bytes when a log is opened: a position is an offset in it.  Each file keeps its positions until
 * it is closed, whatever becomes of its neighbours; one that takes the place of another gets new
 * ones, far behind all others.  Positions mean nothing beyond one open: on disk there are file
 * offsets only.
 *
 * Threads: any number may read while one adds and one replaces. */
#ifndef FREYJAFS_WRITER_LOG_SEGMENTS_H
#define FREYJAFS_WRITER_LOG_SEGMENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "codec/manifest.h"
#include "codec/meta.h"
#include "codec/segment_name.h"
#include "writer/base/diag.h"
#include "writer/base/io.h"
#include "writer/base/thread.h"

/* First position of files that take the place of others. */
#define SEGMENTS_REPLACED_START (UINT64_C(1) << 62)

struct segment {
	uint64_t number;
	uint64_t generation;
	uint64_t start; /* position of its first byte */
	uint64_t bytes;
	uint64_t full_bytes; /* what the name of a rotated one says; 0: it is sealed */
	int fd;		     /* borrowed from its range */
	bool is_base;
	bool was_cut; /* behind its end something was cut, which is not durable yet */
	struct manifest_facts facts;
};

/* A file that can be read from: of a segment, or of one that was replaced while somebody may still
 * read from it. */
struct segment_range {
	uint64_t start, bytes;
	int fd; /* owned */
};

struct segments {
	struct io *io;
	int dir_fd;	 /* borrowed */
	bool may_change; /* files may be given the names that MANIFEST has for them */
	bool lenient;	 /* for who repairs: what is there is opened, whatever MANIFEST says */
	/* When opened: the number of the base that the log begins with, and the base; 0: the log
	 * begins with the first segment. */
	uint64_t base_number;
	struct meta_base base;

	struct rwlock lock;
	/* By lock: */
	struct segment *list; /* by number */
	size_t count, room;
	struct segment_range *ranges; /* by start */
	size_t range_count, range_room;
	size_t promised;     /* ranges that segments_replace() will add */
	uint64_t next_start; /* of the next file that takes the place of another */
};

/* Writes the name that the file of 'seg' has. */
void segment_file_name(const struct segment *seg, char ret[SEGMENT_NAME_BYTES]);

/* Reads a segment of 'bytes' and stores its facts.  Returns 1, 0 if it is not whole, or -errno. */
int segment_facts(struct io *io, int fd, uint64_t bytes, struct manifest_facts *ret) WARN_UNUSED;

/* Returns 1 if a segment of 'file_bytes' begins with a base, and stores the base; 0 if not, or
 * -errno.  A base whose record is damaged is all zeros; it counts all the same, because nothing
 * else has that key. */
int segment_is_base(struct io *io, int fd, uint64_t file_bytes, struct meta_base *ret) WARN_UNUSED;

void segments_init(struct segments *s, struct io *io, int dir_fd);
void segments_clear(struct segments *s); /* closes all files */
void segments_close(struct segments *s); /* the same, for good */

/* Opens the segments that 'm' lists, and those that were rotated since; with 'm' NULL every one in
 * the directory, from the newest base on.  A file that is missing is left out: its number is.
 * 'dir' is for messages.  -EBADMSG: a file is not as 'm' says, or is not in it and should be, or
 * two files are the same segment. */
int segments_open(struct segments *s, const struct manifest *m, const char *dir,
		  struct diag *diag) WARN_UNUSED;

/* Removes what an interrupted compaction or a hinter has left: files that were not complete, and
 * hints of segments that the log does not have.  'keep_hints': segments are missing, and their
 * hints say what was in them. */
void segments_remove_leftovers(struct segments *s, bool keep_hints);

/* Makes sure that segments_add() cannot fail once.  -ENOMEM. */
int segments_reserve(struct segments *s) WARN_UNUSED;
/* Makes sure that segments_replace() cannot fail 'count' times, whatever is added meanwhile. */
int segments_promise(struct segments *s, size_t count) WARN_UNUSED;
/* Takes that back. */
void segments_unpromise(struct segments *s, size_t count);
/* Takes over 'seg->fd', the file of a segment whose number is behind all others. */
void segments_add(struct segments *s, const struct segment *seg);
/* Rotated segment 'number' is sealed, by its name, too. */
void segments_seal(struct segments *s, uint64_t number);
/* Forgets rotated segment 'number', the last one.  The caller owns the descriptor that it returns.
 */
int segments_take_last(struct segments *s, uint64_t number);
/* The facts of a segment are known now, if it is still of that generation. */
void segments_set_facts(struct segments *s, struct segment_id id,
			const struct manifest_facts *facts);
/* Takes over 'with->fd': the file of segment 'with->number' from here on.  Returns the position of
 * its first byte.  The old file can be read from until segments_retire().  With 'folds' all
 * segments with smaller numbers are no more, at once: they are folded into it.  Their files can be
 * read from until segments_retire(), too. */
uint64_t segments_replace(struct segments *s, const struct segment *with, bool folds);
/* Closes the file whose first byte is at 'start', which is no segment's any more. */
void segments_retire(struct segments *s, uint64_t start);

/* The number that follows the last one. */
uint64_t segments_next_number(struct segments *s);
/* The position behind the last one. */
uint64_t segments_end(struct segments *s);
/* Copies segment 'index' (0 ...).  False: there are not so many. */
bool segments_get(struct segments *s, size_t index, struct segment *ret);
/* Copies the segment of that number. */
bool segments_by_number(struct segments *s, uint64_t number, struct segment *ret);
/* How many bytes there are from 'position' to the end of its file; 0: no file has it. */
uint64_t segments_room(struct segments *s, uint64_t position);
/* The size of all of them. */
uint64_t segments_bytes(struct segments *s);

/* Between these no file is closed, the active one included once it is sealed. */
void segments_hold(struct segments *s);
void segments_release(struct segments *s);

/* Reads up to 'n' bytes at 'position', not past the end of the segment that holds it.  Returns how
 * many, 0 when no segment does, or -errno. */
ssize_t segments_read(struct segments *s, void *buf, size_t n, uint64_t position) WARN_UNUSED;

#endif
