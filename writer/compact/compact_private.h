/* SPDX-License-Identifier: MIT */
/* The interfaces between the files of compact/: schedule.c (when rounds run), round.c (one round),
 * fold.c (the oldest segments become one), survey.c (how much of each segment is live), space.c (a
 * full disk) and pace.c (giving way to other threads). */
#ifndef FREYJAFS_WRITER_COMPACT_COMPACT_PRIVATE_H
#define FREYJAFS_WRITER_COMPACT_COMPACT_PRIVATE_H

#include "writer/compact/compact.h"
#include "writer/compact/live_ranges.h"
#include "writer/log/file_set.h"
#include "writer/store/for_background.h"

/* The parameters of a round. */
struct compact_mode {
	unsigned int dead_percent; /* percentage of a segment that must be gainable */
	bool seals_active;	   /* seals the active segment if this share of it is dead */
	uint64_t bytes_min;	   /* and if it has at least this size */
	uint64_t run;		   /* not 0: by hand; each segment once, one fold at the end, */
	uint64_t below;		   /* and only segments with a smaller number */
	store_compact_progress_fn progress;
	void *arg;
	uint64_t lacking_bytes; /* set: disk space missing for the smallest segment that did not fit
				 */
	bool no_space;		/* whatever the disk reports: a write has failed */
	bool tries_least;	/* tries the smallest of these in any case */
	bool takes_reserve;	/* set: the new file is written into the blocks of the reserve */
};

/* A sealed segment at the time of the look. */
struct compact_view {
	struct segment seg;
	uint64_t written_ns; /* time of its newest record, wall clock */
	uint64_t live_bytes;
	/* It has staged extents that do not belong to a file yet.  Extents staged later are in
	 * another segment. */
	bool staged;
	struct compact_known known;
	/* Of the first part of a base: the bytes of all parts that were not live values when it was
	 * written; otherwise 0. */
	uint64_t base_bytes;
};

struct compact_survey {
	struct compact_view *views; /* by start */
	size_t count;
	size_t base_count; /* how many of them, by number, are the parts of a base */
	uint64_t active_bytes, active_live_bytes;
};

struct compact_victim {
	struct segment seg;
	uint64_t live_bytes;
	struct live live;
	struct log_new_segment new; /* its 'fd' is -1 if there is none */
	bool unreadable, replaced;
};

struct compact_batch {
	uint64_t judged_end; /* end of the log when the live bytes were collected */
	uint64_t gained_bytes;
	size_t count;
	struct compact_victim victims[];
};

struct fold; /* fold.c */

struct compact_pace {
	struct compactor *c;
	struct fold *fold; /* NULL: it is none */
	const struct compact_mode *mode;
	uint64_t done_bytes, all_bytes;
};

/* --- compact/pace.c --- */

/* Called for each piece of work: gives way to other threads and reports the progress.  -ECANCELED.
 */
int compact_pace(void *arg, uint64_t bytes);

/* --- compact/survey.c --- */

/* Calls 'fn' for each piece of a value that the keydir refers to, or that is kept, as
 * keydir_each_piece() does.  It takes the commit lock for a few nodes at a time and releases it in
 * between, so that other threads can commit.  At the end, 'fn' has seen everything that is referred
 * to at that time, except for records appended since the beginning.  -ECANCELED. */
int compact_each_piece(struct compactor *c, bool changes, content_piece_fn fn, void *arg)
	REQUIRES(c->run_lock, round_class) WARN_UNUSED;

/* Returns the number of live and staged bytes: a large file that is being written will be live. */
uint64_t compact_live_bytes(struct compactor *c);
/* Examines the whole keydir.  Other threads may change it in the meantime, so the figures are only
 * good enough to choose segments. */
int compact_survey(struct compactor *c, struct compact_survey *l)
	REQUIRES(c->run_lock, round_class) WARN_UNUSED;
/* Returns the knowledge about a segment, which is made if missing.  NULL: no memory. */
struct compact_known *compact_known_of(struct compactor *c, uint64_t number)
	REQUIRES(c->run_lock, round_class);
/* Returns whether the segment is too young to be changed. */
bool compact_is_retained(const struct compactor *c, const struct compact_view *v);
/* Notes that the segment cannot be read completely. */
void compact_set_unreadable(struct compactor *c, struct compact_known *known)
	REQUIRES(c->run_lock, round_class);

/* --- compact/space.c --- */

/* Detects a quota when a store is opened.  Both reserves must have been made. */
void compact_detect_quota(struct compactor *c) REQUIRES(c->run_lock, round_class);
/* Makes the file for a new segment, from the reserve if 'mode' requires that.  The file is then
 * longer than the bytes written to it, and must be cut.  Returns its descriptor or -errno. */
int compact_new_file(struct compactor *c, const struct compact_mode *mode, const char *name)
	REQUIRES(c->run_lock, round_class) WARN_UNUSED;
/* Makes the log durable up to its end when the live bytes were collected.  Buffered records may
 * find no space: the reserve for names gives way to them. */
int compact_sync_judged(struct compactor *c, uint64_t judged_end) WARN_UNUSED;
/* Seals the rotated segments, which writes MANIFEST; the reserve for names gives way as in
 * compact_sync_judged().  Returns 0 also if there is no space for MANIFEST: the segments that are
 * not sealed wait. */
int compact_seal(struct compactor *c) WARN_UNUSED;
/* Calls log_writer_install(); the reserve for names gives way as in compact_sync_judged(). */
int compact_install(struct compactor *c, struct log_new_segment *list, size_t count, bool folds,
		    bool *ret_installed) WARN_UNUSED;
/* The bytes gained by all rounds so far. */
uint64_t compact_gained_bytes(struct compactor *c);
/* Returns the space on the disk that compaction may use, in bytes. */
uint64_t compact_space(struct compactor *c);
/* Notes that space was looked for: answers the first 'asked' requests. */
void compact_space_done(struct compactor *c, uint64_t asked) REQUIRES(c->run_lock, round_class);
/* Returns whether the disk is full, or nearly full. */
bool compact_is_short(struct compactor *c) REQUIRES(c->run_lock, round_class);

/* --- compact/fold.c and compact/round.c --- */

/* Folds the oldest segments into one, if that gains enough.  Requires that compact_survey() has
 * filled in 'l'. */
int compact_fold(struct compactor *c, struct compact_survey *l, struct compact_mode *mode,
		 bool *ret_folded) REQUIRES(c->run_lock, round_class) WARN_UNUSED;

/* Runs one round.  Stores whether another round is useful. */
int compact_round(struct compactor *c, struct compact_mode *mode, bool *ret_more)
	REQUIRES(c->run_lock, round_class) WARN_UNUSED;

#endif
