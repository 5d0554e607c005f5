/* SPDX-License-Identifier: MIT */
/* The signals between a store and the thread that gives space back.  The store signals that the log
 * has grown or that the disk is full, and a removal on a full disk waits for space.  The thread
 * sleeps until one of these happens, and signals when it has gained space.
 *
 * The store knows nothing else about that thread: without one, growth_note() is a comparison and
 * growth_wait_for_space() returns false immediately.  Threads: any; only one may sleep. */
#ifndef FREYJAFS_WRITER_STORE_GROWTH_H
#define FREYJAFS_WRITER_STORE_GROWTH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "writer/base/thread.h"

extern struct lock_class growth_class; /* of growth.lock */

struct growth {
	/* End of the log from which on an append wakes the thread. */
	atomic_uint_least64_t wake_at;
	atomic_bool has_quota; /* a quota was used up once; its free space is unknown */
	atomic_bool is_full; /* a commit has found no space since the disk last had enough of it */

	/* Innermost lock. */
	struct mutex lock;
	pthread_cond_t wake; /* with lock: work is available */
	bool woken GUARDED_BY(growth_class);
	bool stopping GUARDED_BY(growth_class);
	/* The thread answers requests for space. */
	bool gives_space GUARDED_BY(growth_class);
	pthread_cond_t space; /* with lock: space was gained, or none can be gained */
	uint64_t asked GUARDED_BY(growth_class);    /* number of requests for space so far, */
	uint64_t answered GUARDED_BY(growth_class); /* and of those examined */
	uint64_t gains GUARDED_BY(growth_class);    /* number of times that space was gained */
	/* Monotonic; no space can be gained before this time. */
	uint64_t retry_ns GUARDED_BY(growth_class);
};

LOCK_FUNCTIONS(growth, struct growth, lock, growth_class);

/* Initialises 'g', which must be all zeros. */
void growth_init(struct growth *g);
void growth_destroy(struct growth *g);

/* --- for the store --- */

/* Notes an append up to log position 'end'. */
void growth_note(struct growth *g, uint64_t end);
/* Notes that an append has failed with 'err', because the disk or a quota is full. */
void growth_note_full_disk(struct growth *g, int err);
/* Wakes the thread, and waits until it has gained space or found that none can be gained.  Returns
 * whether space was gained.  Blocks: no lock may be held. */
bool growth_wait_for_space(struct growth *g);

/* --- for the thread --- */

/* From this call on growth_wait_for_space() waits: the thread must answer with growth_answer(). */
void growth_give_space(struct growth *g);
/* Lets growth_note() wake the thread when the end of the log reaches 'end'. */
void growth_wake_at(struct growth *g, uint64_t end);
/* Wakes the thread, or makes its next growth_sleep() return immediately. */
void growth_wake(struct growth *g);
/* Returns whether the thread was woken since the last call, or must stop. */
bool growth_was_woken(struct growth *g);
/* Sleeps until the thread is woken, or until 'until_ns' (monotonic; 0: no limit). */
void growth_sleep(struct growth *g, uint64_t until_ns);
/* Makes the thread end: wakes it, and tells all threads that wait for space that none can be
 * gained. */
void growth_stop(struct growth *g);
bool growth_is_stopping(struct growth *g);

/* Returns the number of requests for space so far. */
uint64_t growth_asked(struct growth *g);
/* Returns whether a request has not been answered. */
bool growth_is_asked(struct growth *g);
/* Answers the waiting threads: space was 'gained', or the first 'up_to' requests were examined
 * without success. */
void growth_answer(struct growth *g, bool gained, uint64_t up_to);

#endif
