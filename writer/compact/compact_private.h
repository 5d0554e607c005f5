/* SPDX-License-Identifier: MIT */
/* Shared by the files of compact/: schedule.c (when there are rounds), round.c (one round), fold.c
 * (the oldest segments become one), survey.c (how much of each segment is live), space.c (a full
 * disk) and pace.c (giving way to the others). */
#ifndef FREYJAFS_WRITER_COMPACT_COMPACT_PRIVATE_H
#define FREYJAFS_WRITER_COMPACT_COMPACT_PRIVATE_H

#include "writer/compact/compact.h"
#include "writer/compact/live_ranges.h"
#include "writer/log/file_set.h"
#include "writer/store/for_background.h"

/* What a round is to do. */
struct compact_mode {
	unsigned int dead_percent; /* of a segment that can be gained */
	bool seals_active;	   /* if so much of it is dead */
	uint64_t bytes_min;	   /* that the active segment has then */
	uint64_t run;		   /* not 0: by hand; each segment once, one fold at the end, */
	uint64_t below;		   /* and only those with a smaller number */
	store_compact_progress_fn progress;
	void *arg;
	uint64_t lacking_bytes; /* set: of disk space, for the smallest of those there was no room
				   for */
	bool no_space;		/* whatever the disk says: a write has failed */
	bool tries_least;	/* the smallest of these in any case */
	bool takes_reserve;	/* set: the new file is written into the blocks of the reserve */
};

/* A sealed segment as it was when looked at. */
struct compact_view {
	struct segment seg;
	uint64_t written_ns; /* when its newest record was, wall clock */
	uint64_t live_bytes;
	/* Something is staged in it that belongs to no file yet.  What is staged later is in
	 * another. */
	bool staged;
	struct compact_known known;
	uint64_t base_bytes; /* of a base: what is no live value, when it was written; else 0 */
};

struct compact_look {
	struct compact_view *views; /* by start */
	size_t count;
	uint64_t active_bytes, active_live_bytes;
};

struct compact_victim {
	struct segment seg;
	uint64_t live_bytes;
	struct live live;
	struct log_new_segment new; /* its file is -1 if there is none */
	bool unreadable, replaced;
};

struct compact_batch {
	uint64_t judged_end; /* of the log, when what is live was collected */
	uint64_t gained_bytes;
	size_t count;
	struct compact_victim victims[];
};

struct compact_pace {
	struct compactor *c;
	const struct compact_mode *mode;
	uint64_t done_bytes, all_bytes;
};

/* --- compact/pace.c --- */

/* Called for each piece of work: gives way to others, tells of progress.  -ECANCELED. */
int compact_pace(void *arg, uint64_t bytes);

/* --- compact/survey.c --- */

/* Calls 'fn' with each piece of a value that the keydir refers to, or that is kept, as
 * keydir_each_place() does.  It takes the commit lock for a few nodes at a time, and gives way in
 * between: others commit meanwhile.  What 'fn' has seen is all that was referred to at the end of
 * it, but for what was appended since it began: a commit never takes up a place of another node.
 * -ECANCELED. */
int compact_each_place(struct compactor *c, bool changes, content_piece_fn fn, void *arg)
	REQUIRES(c->run_lock) WARN_UNUSED;

/* The bytes of what is live, and of what is staged: a large file that is being written will be
 * live.
 */
uint64_t compact_live_bytes(struct compactor *c);
/* Looks at all of the keydir.  Others may change it meanwhile: the figures are good for choosing.
 */
int compact_look(struct compactor *c, struct compact_look *l) REQUIRES(c->run_lock) WARN_UNUSED;
/* What is known of a segment.  NULL: no memory. */
struct compact_known *compact_known_of(struct compactor *c, uint64_t number) REQUIRES(c->run_lock);
/* Says whether it is too young to be touched. */
bool compact_is_retained(const struct compactor *c, const struct compact_view *v);
/* The segment cannot be read through. */
void compact_set_unreadable(struct compactor *c, struct compact_known *known) REQUIRES(c->run_lock);

/* --- compact/space.c --- */

/* Makes both reserves when a store is opened, and looks for a quota. */
void compact_first_reserves(struct compactor *c) REQUIRES(c->run_lock);
/* Makes the file that a new segment is written to, of the reserve where 'mode' says so.  Then it is
 * longer than what is written to it, and has to be cut.  Returns its descriptor or -errno. */
int compact_new_file(struct compactor *c, const struct compact_mode *mode, const char *name)
	REQUIRES(c->run_lock) WARN_UNUSED;
/* Makes durable what was there when it was judged what is live.  Records in a buffer may find no
 * space: the reserve for names gives way to them. */
int compact_sync_judged(struct compactor *c, uint64_t judged_end) WARN_UNUSED;
/* The same for log_writer_seal(), which writes MANIFEST; 0 also where there is no space for that:
 * segments that are not sealed wait. */
int compact_seal(struct compactor *c) WARN_UNUSED;
/* The same for log_writer_install(). */
int compact_install(struct compactor *c, struct log_new_segment *list, size_t count, bool folds,
		    bool *ret_installed) WARN_UNUSED;
/* The bytes gained by all rounds so far. */
uint64_t compact_gained_bytes(struct compactor *c);
/* How much space there is on the disk to write to. */
uint64_t compact_space(struct compactor *c);
/* There was a look for space: answers the first 'asked' requests for it. */
void compact_space_done(struct compactor *c, uint64_t asked) REQUIRES(c->run_lock);
/* Says whether the disk is full, or nearly. */
bool compact_is_short(struct compactor *c) REQUIRES(c->run_lock);

/* --- compact/fold.c and compact/round.c --- */

/* Folds the oldest segments into one, if that is worth it.  After 'l' was looked at. */
int compact_fold(struct compactor *c, struct compact_look *l, struct compact_mode *mode,
		 bool *ret_folded) REQUIRES(c->run_lock) WARN_UNUSED;

/* One round.  Stores whether another one is worth it. */
int compact_round(struct compactor *c, struct compact_mode *mode, bool *ret_more)
	REQUIRES(c->run_lock) WARN_UNUSED;

#endif
