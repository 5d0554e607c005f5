/* SPDX-License-Identifier: MIT */
/* The signals between a store and the thread that gives space back.  The store says that the log
 * has grown and that the disk is full, and a removal on a full disk waits for space.  The thread
 * sleeps until one of these happens, and says when it has gained space.
 *
 * The store knows nothing else of that thread: without one, growth_note() is a comparison and
 * growth_wait_for_space() returns false at once.  Threads: any; one that sleeps. */
#ifndef FREYJAFS_WRITER_STORE_GROWTH_H
#define FREYJAFS_WRITER_STORE_GROWTH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "writer/base/thread.h"

struct growth {
	/* Log end from which on an append wakes the thread. */
	atomic_uint_least64_t wake_at;
	atomic_bool has_quota; /* which has been used up once: nobody sees how much of it is left */
	atomic_bool is_full;   /* a commit has found no space since there was enough of it */

	/* A leaf. */
	struct mutex lock;
	pthread_cond_t wake;	   /* with lock: there is something to do */
	bool woken GUARDED;	   /* by lock */
	bool stopping GUARDED;	   /* by lock */
	bool gives_space GUARDED;  /* by lock: the thread answers requests for space */
	pthread_cond_t space;	   /* with lock: space was gained, or there is none to gain */
	uint64_t asked GUARDED;	   /* by lock: requests for space so far, */
	uint64_t answered GUARDED; /* by lock: and how many of them were looked into */
	uint64_t gains GUARDED;	   /* by lock: how many times there was some */
	uint64_t retry_ns GUARDED; /* by lock: monotonic; nothing can be gained before */
};

/* 'g' is all zeros. */
void growth_init(struct growth *g);
void growth_destroy(struct growth *g);

/* --- for the store --- */

/* Something was appended, up to log position 'end'. */
void growth_note(struct growth *g, uint64_t end);
/* An append has failed with 'err', because the disk or a quota is full. */
void growth_note_full(struct growth *g, int err);
/* Wakes the thread, and waits until it has gained space or has found none to gain.  Returns whether
 * there was some.  Blocks: to be called with no lock held. */
bool growth_wait_for_space(struct growth *g);

/* --- for the thread --- */

/* From here on growth_wait_for_space() waits: the thread answers with growth_answer(). */
void growth_give_space(struct growth *g);
/* Has growth_note() wake the thread when the log's end comes to 'end'. */
void growth_wake_at(struct growth *g, uint64_t end);
/* Wakes the thread, or has its next growth_sleep() return at once. */
void growth_wake(struct growth *g);
/* Returns whether the thread was woken since it last asked, or has to stop. */
bool growth_was_woken(struct growth *g);
/* Sleeps until the thread is woken, or 'until_ns' (monotonic; 0: for ever). */
void growth_sleep(struct growth *g, uint64_t until_ns);
/* Has the thread end: it is woken, and all threads that wait for space are told that there is
 * none. */
void growth_stop(struct growth *g);
bool growth_is_stopping(struct growth *g);

/* Returns how many have asked for space so far. */
uint64_t growth_asked(struct growth *g);
/* Returns whether one of them has not been answered. */
bool growth_is_asked(struct growth *g);
/* Answers the waiting threads: space was 'gained', or the first 'up_to' requests were looked into.
 */
void growth_answer(struct growth *g, bool gained, uint64_t up_to);

#endif
