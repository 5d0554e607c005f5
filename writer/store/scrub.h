/* SPDX-License-Identifier: MIT */
/* Scrub: reads the whole log in the background and checks the CRC of each record, also of those
 * that a mount took from a hint without reading them, so that rot is found while there is a backup.
 *
 * It reads by log position, as readers do, a piece at a time, and rests for several times as long
 * as that took: it never holds a lock for long.  A segment that compaction replaces meanwhile is
 * read again from its new file.  Threads: any. */
#ifndef FREYJAFS_WRITER_STORE_SCRUB_H
#define FREYJAFS_WRITER_STORE_SCRUB_H

#include <stdatomic.h>

#include "writer/store.h"
#include "writer/base/thread.h"

struct scrubber {
	int64_t interval_ns; /* constant after open; 0: when asked alone */
	atomic_bool stop;    /* in the middle of everything */

	/* Innermost. */
	struct mutex lock;
	pthread_cond_t wake; /* with lock: 'requested' or 'stop' */
	/* All below: by lock. */
	bool has_thread GUARDED;
	bool requested GUARDED;
	pthread_t thread GUARDED;
	struct store_scrub figures GUARDED;
};

void scrub_init(struct scrubber *c, const struct store_config *config);
/* Starts the thread.  -errno. */
int scrub_start(struct store *s) WARN_UNUSED;
/* Stops it, at once. */
void scrub_stop(struct store *s);
void scrub_destroy(struct scrubber *c);
void scrub_figures(struct store *s, struct store_scrub *ret);

#endif
