/* SPDX-License-Identifier: MIT */
/* The files that were the active segment once.  While it is not known that all of it is durable,
 * one is *full*, and its name says how many bytes it has: NNNNNN.BYTES.full.  Then it is *sealed*:
 * NNNNNN.data.  They change no more, but for compaction, which puts another file in the place of a
 * sealed one.  Full ones come behind all that are sealed.
 *
 * Log positions.  All segments in number order, and the active one behind them, are one sequence of
 * bytes when a log is opened: a position is an offset in it.  Each file keeps its positions until
 * it is closed, whatever becomes of its neighbours; one that takes the place of another gets new
 * ones, far behind all others.  Positions mean nothing beyond one open: on disk there are file
 * offsets only.
 *
 * Threads: any number may read while one adds and one replaces. */
#ifndef FREYJAFS_WRITER_SEGMENTS_H
#define FREYJAFS_WRITER_SEGMENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "writer/diag.h"
#include "writer/io.h"
#include "writer/thread.h"

#define SEGMENT_NAME_BYTES	64 /* of both, and a NUL; more digits from a million on */
#define SEGMENT_FIRST_NUMBER	1
#define SEGMENT_TEMP_SUFFIX	".new" /* behind the name of a file that is to take its place */
#define SEGMENT_TEMP_NAME_BYTES (SEGMENT_NAME_BYTES + 4)

/* First position of files that take the place of others. */
#define SEGMENTS_REPLACED_START (UINT64_C(1) << 62)

struct segment {
	uint64_t number;
	uint64_t start; /* position of its first byte */
	uint64_t bytes;
	uint64_t full_bytes;	    /* what the name of a full one says; 0: it is sealed */
	int fd;			    /* borrowed from its range */
	uint64_t last_timestamp_ns; /* of its newest record */
};

/* A file that can be read from: of a segment, or of one that was replaced while somebody may still
 * read from it. */
struct segment_range {
	uint64_t start, bytes;
	int fd; /* owned */
};

struct segments {
	struct io *io;
	int dir_fd;	    /* borrowed */
	bool has_leftovers; /* there were files that were to take the place of a segment, or that
			       the base has taken in */
	/* When opened: the number of the segment that the log begins with, since older ones are
	 * folded into it, and as of when; 0: it begins with the first. */
	uint64_t base_number, base_as_of_ns;

	struct rwlock lock;
	/* By lock: */
	struct segment *list; /* by number */
	size_t count, room;
	struct segment_range *ranges; /* by start */
	size_t range_count, range_room;
	uint64_t next_start; /* of the next file that takes the place of another */
};

/* Writes the name of sealed segment 'number'. */
void segment_name(uint64_t number, char ret[SEGMENT_NAME_BYTES]);
/* The same for a full one, and whichever it is. */
void segment_full_name(uint64_t number, uint64_t bytes, char ret[SEGMENT_NAME_BYTES]);
void segment_file_name(const struct segment *seg, char ret[SEGMENT_NAME_BYTES]);
/* Writes the name of the file that is to take the place of segment 'number'. */
void segment_temp_name(uint64_t number, char ret[SEGMENT_TEMP_NAME_BYTES]);
/* Returns the number of a sealed segment by its name; 0: that is no such name. */
uint64_t segment_number(const char *name);
/* Returns that of a full one, and stores the size that its name says. */
uint64_t segment_full_number(const char *name, uint64_t *ret_bytes);

/* Says whether a segment of 'file_bytes' begins with a base, and stores as of when that is (0: its
 * record is damaged; it counts all the same, because nothing else has that key).  Returns 1, 0 or
 * -errno. */
int segment_is_base(struct io *io, int fd, uint64_t file_bytes, uint64_t *ret_as_of_ns) WARN_UNUSED;

void segments_init(struct segments *s, struct io *io, int dir_fd);
void segments_clear(struct segments *s); /* closes all files */
void segments_close(struct segments *s); /* the same, for good */

/* Opens every segment in the directory but the active one, from the newest base on.  'dir' is for
 * messages.  -EBADMSG: two files are the same segment. */
int segments_open(struct segments *s, const char *dir, struct diag *diag) WARN_UNUSED;

/* Lists the directory again and says whether just these segments are there.  Returns 1, 0 or
 * -errno. */
int segments_are_all(struct segments *s) WARN_UNUSED;

/* Removes what a compaction that was cut off has left; after segments_open(). */
void segments_remove_leftovers(struct segments *s);

/* Makes sure that segments_add() and segments_replace() cannot fail once.  -ENOMEM. */
int segments_reserve(struct segments *s) WARN_UNUSED;
/* Takes over 'seg->fd', the file of a segment whose number is behind all others. */
void segments_add(struct segments *s, const struct segment *seg);
/* Full segment 'number' is sealed, by its name, too. */
void segments_seal(struct segments *s, uint64_t number);
/* Forgets full segment 'number', the last one.  The caller owns the descriptor that it returns. */
int segments_take_last(struct segments *s, uint64_t number);
/* The newest record of a segment is known now. */
void segments_set_timestamp(struct segments *s, uint64_t number, uint64_t last_timestamp_ns);
/* Takes over 'fd': the file of segment 'number' from here on.  Returns the position of its first
 * byte.  The old file can be read from until segments_retire(). */
uint64_t segments_replace(struct segments *s, uint64_t number, uint64_t bytes, int fd);
/* The same, and all segments with smaller numbers are no more, at once: they are folded into it.
 * Their files can be read from until segments_retire(), too. */
uint64_t segments_fold(struct segments *s, uint64_t number, uint64_t bytes, int fd);
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
