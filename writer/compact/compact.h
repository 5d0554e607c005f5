/* SPDX-License-Identifier: MIT */
/* Compaction: dead space of sealed segments comes back while the store is in use.
 *
 * A round looks at how much of each segment is still read, chooses victims, collects what is live
 * in them (both with the commit lock, for a few files at a time), writes them anew beside the old
 * ones (with no lock), makes the log durable up to where it was when that was known, and puts the
 * new files in the place of the old ones.  Then the keydir learns where everything went, and the
 * old files are closed when the last reader has left.
 *
 * What was dead then stays dead: only what the keydir refers to can be read later on.  And whatever
 * superseded it is durable before it goes, so no power cut can bring back a tree that needs it.
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

/* What is known of a sealed segment beyond its file. */
struct compact_known {
	uint64_t number;
	uint64_t floor_bytes; /* neither live nor to be gained: names, attributes, what was dropped
			       */
	uint64_t run;	      /* the last run by hand that has looked at it */
	bool unreadable;      /* left alone */
	bool not_foldable;    /* something in it cannot be said in a base */
};

struct compact_request {
	struct compact_request *next;
	log_sync_fn done;
	void *arg;
};

struct compactor {
	/* Constant after compact_init(); the pointers are borrowed from the store. */
	struct store *s;
	struct io *io;
	int dir_fd;
	struct log_writer *log;
	struct keydir *keydir;
	struct growth *growth;
	bool read_only;
	bool segments_missing;	   /* what seems dead may not be */
	unsigned int dead_percent; /* 0: not by itself */
	int64_t retain_ns;
	uint64_t opened_ns;   /* monotonic; when the store was opened */
	uint64_t bytes_min;   /* smaller amounts are not worth it */
	uint64_t slack_bytes; /* so much may be dead, if the disk has room */

	bool has_thread; /* constant after compact_start() */
	pthread_t thread;
	atomic_bool stop; /* in the middle of everything */

	/* One round at a time.  Outside the commit lock. */
	struct mutex run_lock;
	struct compact_known *known GUARDED; /* by run_lock */
	size_t known_count GUARDED;	     /* by run_lock */
	uint64_t runs GUARDED;		     /* by run_lock: by hand */
	uint64_t dead_seen GUARDED;	     /* by run_lock: when last looked at, */
	uint64_t retry_ns GUARDED;	     /* by run_lock: monotonic; 0: nothing was lacking */
	uint64_t dead_swept GUARDED;	     /* by run_lock: or when all was compacted */
	uint64_t paced_ns GUARDED;	     /* by run_lock: when the last piece was done */
	uint64_t paced_end GUARDED;	     /* by run_lock: of the log then */
	uint64_t fold_from GUARDED; /* by run_lock: no fold by itself of fewer dead bytes than this:
				       the last one was not worth it */

	/* A leaf. */
	struct mutex lock;
	struct compact_request *requests GUARDED; /* by lock */
	struct store_compaction figures GUARDED;  /* by lock */
};

/* 's' is open. */
void compact_init(struct compactor *c, struct store *s, const struct store_config *config);
/* Starts the thread.  -errno. */
int compact_start(struct compactor *c) WARN_UNUSED;
/* Stops it; requests are answered with -ECANCELED. */
void compact_stop(struct compactor *c);
void compact_destroy(struct compactor *c);

/* As store_compact() and store_compact_async(). */
int compact_by_hand(struct compactor *c, store_compact_progress_fn progress, void *arg) WARN_UNUSED;
int compact_by_thread(struct compactor *c, log_sync_fn done, void *arg) WARN_UNUSED;

void compact_figures(struct compactor *c, struct store_compaction *ret);

#endif
