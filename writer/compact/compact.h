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

#include "writer/log/full_disk.h"
#include "writer/log/reserve.h"
#include "writer/store.h"
#include "writer/base/thread.h"

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
	/* Constant after open. */
	unsigned int dead_percent; /* 0: not by itself */
	int64_t retain_ns;
	uint64_t opened_ns;   /* monotonic; when the store was opened */
	uint64_t bytes_min;   /* smaller amounts are not worth it */
	uint64_t slack_bytes; /* so much may be dead, if the disk has room */
	uint64_t segment_bytes_max;
	bool has_thread;
	pthread_t thread;
	atomic_bool stop; /* in the middle of everything */

	/* Log end from which on an append wakes the thread. */
	atomic_uint_least64_t wake_at;
	atomic_bool has_quota; /* which has been used up once: nobody sees how much of it is left */
	atomic_bool full;      /* a commit has found no space since there was enough of it */

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
	struct reserve reserve GUARDED; /* by commit_lock: for the segment that is written anew */

	/* Innermost. */
	struct mutex lock;
	pthread_cond_t wake;			  /* with lock: something is to be done */
	bool woken GUARDED;			  /* by lock */
	bool stopping GUARDED;			  /* by lock */
	struct compact_request *requests GUARDED; /* by lock */
	struct store_compaction figures GUARDED;  /* by lock */
	pthread_cond_t space;		 /* with lock: space was gained, or there is none to gain */
	uint64_t space_asked GUARDED;	 /* by lock: requests so far, */
	uint64_t space_answered GUARDED; /* by lock: and how many of them were looked into */
	uint64_t space_gains GUARDED;	 /* by lock: how many times there was some */
	uint64_t space_retry_ns GUARDED; /* by lock: monotonic; nothing can be gained before */
};

void compact_init(struct compactor *c, const struct store_config *config);
/* Starts the thread, if there is to be one.  -errno. */
int compact_start(struct store *s) WARN_UNUSED;
/* Stops it; requests are answered with -ECANCELED. */
void compact_stop(struct store *s);
void compact_destroy(struct compactor *c);

/* Something was appended, up to 'end'. */
void compact_note(struct compactor *c, uint64_t end);
void compact_figures(struct store *s, struct store_compaction *ret);

/* --- a full disk (compact/space.c) --- */

/* A commit has found no space: what can be gained is worth more now, and hints are given up. */
void compact_note_full(struct compactor *c, int err);
/* For a commit that removes something and has failed with 'err'.  Where that means a full disk,
 * hints are given up, or dead space is compacted, and this waits for it.  True: there is space, try
 * again.  With no lock held. */
bool compact_makes_space_for(struct store *s, int err);

#endif
