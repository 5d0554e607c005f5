/* SPDX-License-Identifier: MIT */
/* The files that were once the active segment.  After a rotation the name of such a file has its
 * size: NNNNNN.BYTES.full.  When it is durable and MANIFEST lists it, it is *sealed*: NNNNNN.data.
 * Sealed segments do not change any more, except by compaction, which replaces the file by one of
 * another generation: NNNNNN.2.data.  Rotated segments are behind all sealed ones.
 *
 * Log positions.  When a log is opened, all segments in the order of their numbers, and the active
 * one behind them, are one sequence of bytes: a position is an offset in it.  Each file keeps its
 * positions until it is closed, whatever happens to its neighbours; a file that replaces another
 * gets new ones, far behind all others.  Positions have no meaning after the log is closed: on disk
 * there are only file offsets.
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

/* First position of files that replace others. */
#define SEGMENTS_REPLACED_START (UINT64_C(1) << 62)

struct segment {
	uint64_t number;
	uint64_t generation;
	uint64_t start; /* position of its first byte */
	uint64_t bytes;
	uint64_t rotated_bytes; /* size in the name of a rotated segment; 0: it is sealed */
	int fd;			/* borrowed from its range */
	bool is_base;
	bool was_cut; /* bytes behind its end were cut; the cut is not durable yet */
	struct manifest_facts facts;
};

/* A file that can be read: of a segment, or one that was replaced while a thread may still read
 * from it. */
struct segment_range {
	uint64_t start, bytes;
	int fd; /* owned */
};

extern struct lock_class segments_class; /* of segments.lock */

struct segments {
	struct io *io;
	int dir_fd;	 /* borrowed */
	bool may_change; /* files may be given the names that MANIFEST has for them */
	bool lenient;	 /* for repairs: opens the existing files, whatever MANIFEST lists */
	/* At the open: the number of the base that the log begins with, and the base; 0: the log
	 * begins with the first segment. */
	uint64_t base_number;
	struct meta_base base;

	struct rwlock lock;
	struct segment *list GUARDED_BY(segments_class); /* by number */
	size_t count GUARDED_BY(segments_class);
	size_t capacity GUARDED_BY(segments_class);
	struct segment_range *ranges GUARDED_BY(segments_class); /* by start */
	size_t range_count GUARDED_BY(segments_class);
	size_t range_capacity GUARDED_BY(segments_class);
	size_t promised GUARDED_BY(segments_class); /* ranges that segments_replace() will add */
	/* Of the next file that replaces another. */
	uint64_t next_start GUARDED_BY(segments_class);
};

/* Stores the name of the file of 'seg'. */
void segment_file_name(const struct segment *seg, char ret[SEGMENT_NAME_BYTES]);

/* Reads a segment of 'bytes' and stores its facts.  Returns 1, 0 if it is not whole, or -errno. */
int segment_facts(struct io *io, int fd, uint64_t bytes, struct manifest_facts *ret) WARN_UNUSED;

/* Returns 1 if a segment of 'file_bytes' begins with a base, and stores the base; 0 if not, or
 * -errno.  A base whose record is damaged is all zeros; it still counts, because no other record
 * has that key. */
int segment_is_base(struct io *io, int fd, uint64_t file_bytes, struct meta_base *ret) WARN_UNUSED;

void segments_init(struct segments *s, struct io *io, int dir_fd);
void segments_clear(struct segments *s); /* closes all files */
void segments_close(struct segments *s); /* the same, and destroys the lock */

/* Opens the segments that 'm' lists, and those rotated since then; with 'm' NULL every segment in
 * the directory, from the newest base on.  A missing file is left out, and so is its number.  'dir'
 * is for messages.  -EBADMSG if a file does not match 'm', or is not listed and should be, or two
 * files are the same segment. */
int segments_open(struct segments *s, const struct manifest *m, const char *dir,
		  struct diag *diag) WARN_UNUSED;

/* Removes files left by an interrupted compaction or hinter: incomplete files, and hints of
 * segments that the log does not have.  'keep_hints': segments are missing, and their hints name
 * their records. */
void segments_remove_leftovers(struct segments *s, bool keep_hints);

/* Reserves memory so that one segments_add() cannot fail.  -ENOMEM. */
int segments_reserve(struct segments *s) WARN_UNUSED;
/* Reserves memory so that 'count' calls of segments_replace() cannot fail, whatever is added in the
 * meantime.  -ENOMEM. */
int segments_promise(struct segments *s, size_t count) WARN_UNUSED;
/* Drops that reservation. */
void segments_unpromise(struct segments *s, size_t count);
/* Adds a segment whose number is behind all others; takes ownership of 'seg->fd'.  Requires
 * segments_reserve(). */
void segments_add(struct segments *s, const struct segment *seg);
/* Marks rotated segment 'number' as sealed; its file has the sealed name. */
void segments_seal(struct segments *s, uint64_t number);
/* Removes rotated segment 'number', the last one.  The caller owns the descriptor that it returns.
 */
int segments_take_last(struct segments *s, uint64_t number);
/* Sets the facts of a segment, if it still has that generation. */
void segments_set_facts(struct segments *s, struct segment_id id,
			const struct manifest_facts *facts);
/* Makes 'with->fd' the file of segment 'with->number', and takes ownership of it.  Returns the
 * position of its first byte.  The old file can be read from until segments_retire().  With 'folds'
 * all segments with smaller numbers leave the log at the same time: they are folded into it.  Their
 * files can be read from until segments_retire(), too.  Requires segments_promise(). */
uint64_t segments_replace(struct segments *s, const struct segment *with, bool folds);
/* Closes the file whose first byte is at 'start', which must not belong to a segment any more. */
void segments_retire(struct segments *s, uint64_t start);

/* Returns the number behind the last one. */
uint64_t segments_next_number(struct segments *s);
/* Returns the position behind the last segment. */
uint64_t segments_end(struct segments *s);
/* Copies the description of segment 'index' (0 ...).  Returns false if 'index' is behind the last
 * one. */
bool segments_get(struct segments *s, size_t index, struct segment *ret);
/* Copies the description of the segment with that number.  Returns false if there is none. */
bool segments_by_number(struct segments *s, uint64_t number, struct segment *ret);
/* Returns the number of bytes from 'position' to the end of its file; 0: no file has it. */
uint64_t segments_bytes_from(struct segments *s, uint64_t position);
/* Returns the size of all segments together. */
uint64_t segments_bytes(struct segments *s);

/* Prevent, between the two calls, that any file is closed, including the active one once it is
 * sealed. */
void segments_hold(struct segments *s) ACQUIRES_SHARED(s->lock, segments_class);
void segments_release(struct segments *s) RELEASES_SHARED(s->lock, segments_class);

/* Returns the file that has 'position', and stores the position of the file's first byte; -1: no
 * segment has it.  Requires segments_hold(). */
int segments_file_at(struct segments *s, uint64_t position, uint64_t *ret_start)
	REQUIRES_SHARED(s->lock, segments_class);

/* Reads up to 'n' bytes at 'position', not past the end of the segment that has it.  Returns their
 * number, 0 if no segment has it, or -errno. */
ssize_t segments_read(struct segments *s, void *buf, size_t n, uint64_t position) WARN_UNUSED;

#endif
