/* SPDX-License-Identifier: MIT */
/* Compaction: gives back the dead space of sealed segments while the store is in use.
 *
 * A round looks at how much of each segment is still read, chooses victims, collects their live
 * bytes (both with the commit lock, for a few files at a time), and writes them to new files next
 * to the old ones (with no lock).  It makes the log durable up to its end at the time of the
 * collection, and puts the new files in the place of the old ones.  Then the keydir gets the new
 * positions, and the old files are closed when the last reader has left.
 *
 * Bytes that were dead at the collection stay dead: only bytes that the keydir refers to can be
 * read later.  And the records that superseded them are durable before they are removed, so no
 * power cut can bring back a tree that needs them.
 *
 * Threads: any. */
#ifndef FREYJAFS_WRITER_COMPACT_COMPACT_H
#define FREYJAFS_WRITER_COMPACT_COMPACT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "writer/base/thread.h"
#include "writer/log/full_disk.h"
#include "writer/store.h"
#include "writer/store/growth.h"

/* Knowledge about a sealed segment that its file does not have. */
struct compact_known {
	uint64_t number;
	uint64_t floor_bytes; /* neither live nor gainable: names, attributes, dropped content */
	uint64_t run;	      /* the last run by hand that has examined it */
	bool unreadable;      /* it is left alone */
	bool not_foldable;    /* something in it cannot be expressed in a base */
};

struct compact_request {
	struct compact_request *next;
	log_sync_fn done;
	void *arg;
};

extern struct lock_class round_class;	  /* of compactor.run_lock */
extern struct lock_class compactor_class; /* of compactor.lock */

struct compactor {
	/* Constant after compact_init(); the pointers are borrowed from the store. */
	struct store *s;
	struct io *io;
	int dir_fd;
	struct log_writer *log;
	struct keydir *keydir;
	struct growth *growth;
	bool read_only;
	bool segments_missing;	   /* bytes that seem dead may be live */
	unsigned int dead_percent; /* 0: only by hand */
	int64_t retain_ns;
	uint64_t opened_ns;   /* monotonic; time when the store was opened */
	uint64_t bytes_min;   /* smaller amounts are not compacted */
	uint64_t slack_bytes; /* this much may be dead, if the disk has space */

	bool has_thread; /* constant after compact_start() */
	pthread_t thread;
	atomic_bool stop; /* checked in all loops */

	/* One round at a time.  Taken before the commit lock. */
	struct mutex run_lock;
	struct compact_known *known GUARDED_BY(round_class);
	size_t known_count GUARDED_BY(round_class);
	uint64_t runs GUARDED_BY(round_class);	    /* number of runs by hand */
	uint64_t dead_seen GUARDED_BY(round_class); /* dead bytes at the last look, */
	/* Monotonic; time of the next try; 0: none. */
	uint64_t retry_ns GUARDED_BY(round_class);
	uint64_t dead_swept GUARDED_BY(round_class); /* or when all was compacted */
	uint64_t paced_ns GUARDED_BY(round_class);   /* time when the last piece was done */
	uint64_t paced_end GUARDED_BY(round_class);  /* end of the log at that time */
	/* Without a request no fold of fewer dead bytes than this, because the last one gained too
	 * little. */
	uint64_t fold_from GUARDED_BY(round_class);

	/* Innermost lock. */
	struct mutex lock;
	struct compact_request *requests GUARDED_BY(compactor_class);
	struct store_compaction figures GUARDED_BY(compactor_class);
};

LOCK_FUNCTIONS(compact_run, struct compactor, run_lock, round_class);
LOCK_FUNCTIONS(compactor, struct compactor, lock, compactor_class);

/* Initialises 'c' for an open store, which it borrows. */
void compact_init(struct compactor *c, struct store *s, const struct store_config *config);
/* Starts the thread.  -errno. */
int compact_start(struct compactor *c) WARN_UNUSED;
/* Stops the thread; requests are answered with -ECANCELED. */
void compact_stop(struct compactor *c);
void compact_destroy(struct compactor *c);

/* As store_compact() and store_compact_async(). */
int compact_by_hand(struct compactor *c, store_compact_progress_fn progress, void *arg) WARN_UNUSED;
int compact_by_thread(struct compactor *c, log_sync_fn done, void *arg) WARN_UNUSED;

void compact_figures(struct compactor *c, struct store_compaction *ret);

#endif
