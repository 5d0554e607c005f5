/* SPDX-License-Identifier: MIT */
/* Scrub: reads the whole log in the background and checks the CRC of each record, also of the
 * records that a mount took from a hint without reading them, so that damage is found while there
 * is a backup.
 *
 * It reads by log position, as other readers do, a piece at a time, and rests after each piece for
 * several times as long as the piece took: it never holds a lock for long.  A segment that
 * compaction replaces in the meantime is read again from its new file.  Threads: any. */
#ifndef FREYJAFS_WRITER_SCRUB_SCRUB_H
#define FREYJAFS_WRITER_SCRUB_SCRUB_H

#include <stdatomic.h>

#include "writer/base/thread.h"
#include "writer/store.h"

extern struct lock_class scrubber_class; /* of scrubber.lock */

struct scrubber {
	/* Constant after scrub_init(); the pointers are borrowed from the store. */
	struct store *s;
	struct io *io;
	int dir_fd;
	struct log_writer *log;
	int64_t interval_ns; /* 0: only on request */

	atomic_bool stop; /* checked in all loops */

	/* Innermost lock. */
	struct mutex lock;
	pthread_cond_t wake; /* with lock: 'requested' or 'stop' was set */
	bool has_thread GUARDED_BY(scrubber_class);
	bool requested GUARDED_BY(scrubber_class);
	pthread_t thread GUARDED_BY(scrubber_class);
	struct store_scrub figures GUARDED_BY(scrubber_class);
};

LOCK_FUNCTIONS(scrubber, struct scrubber, lock, scrubber_class);

/* Initialises 'c' for an open store, which it borrows. */
void scrub_init(struct scrubber *c, struct store *s, const struct store_config *config);
/* Starts the thread.  -errno. */
int scrub_start(struct scrubber *c) WARN_UNUSED;
/* Stops the thread, without waiting for the end of a scrub. */
void scrub_stop(struct scrubber *c);
void scrub_destroy(struct scrubber *c);

/* As store_scrub(). */
int scrub_request(struct scrubber *c) WARN_UNUSED;
void scrub_figures(struct scrubber *c, struct store_scrub *ret);

#endif
