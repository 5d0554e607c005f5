/* SPDX-License-Identifier: MIT */
/* The structure of an open log, for the files of log/: log_writer.c (appending, syncing), queries.c
 * (reading, figures), rotation.c (rotation), headroom.c (head room), file_set.c (changes of the set
 * of files), recovery.c (recovery) and open.c (open, close). */
#ifndef FREYJAFS_WRITER_LOG_LOG_WRITER_PRIVATE_H
#define FREYJAFS_WRITER_LOG_LOG_WRITER_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "codec/manifest.h"
#include "writer/base/thread.h"
#include "writer/log/file_set.h"
#include "writer/log/mark.h"
#include "writer/log/reserve.h"
#include "writer/log/segments.h"
#include "writer/log_writer.h"

/* Limits for appends that run ahead of the disk: the number of rotated segments, and their total
 * size unless it is only one.  These segments cannot be compacted. */
#define ROTATED_MAX	  32
#define ROTATED_BYTES_MAX ((uint64_t)1024 * 1024 * 1024)

/* A request for a call when the log is durable up to 'position'. */
struct sync_request {
	struct sync_request *next;
	uint64_t position;
	log_sync_fn done;
	void *arg;
};

extern struct lock_class log_set_class; /* of log_writer.set_lock */
extern struct lock_class log_class;	/* of log_writer.lock */

struct log_writer {
	/* Constant after open. */
	struct io *io;
	char *path;
	char *name; /* of the active segment, in 'dir_fd' */
	int dir_fd;
	int mark_fd; /* owned; written by the thread that has set 'syncing', otherwise with 'lock'
		      */
	uint64_t segment_bytes_max; /* 0: the log is always one file */
	bool accepts_missing;	    /* the log opens even if segments are missing */
	bool read_only;		    /* without threads and appends */
	bool ignores_hints;
	log_progress_fn progress; /* called while the log is opened; may be NULL */
	log_ahead_fn ahead;	  /* the same */
	uint64_t replay_bytes;	  /* of all segments, at the open */
	uint64_t until_ns;	  /* read-only: time at which the log ends; 0: none */
	bool reached_until;
	int64_t fsync_interval_ns;
	size_t buffer_capacity; /* 0: no buffer */
	uint64_t block_bytes;	/* where a full buffer is cut in the file; 1: behind a record */
	bool no_background;
	bool keeps_reserves;
	uint64_t rotated_bytes_max; /* ROTATED_BYTES_MAX, except in tests */
	/* Head room (log/headroom.c). */
	uint64_t headroom_bytes;      /* the most of it; 0: none, the file has O_APPEND */
	uint64_t headroom_step_bytes; /* made at a time */
	bool headroom_is_auto;	      /* only while callers keep waiting for syncs: */
	uint64_t headroom_paid_bytes; /* by each of them, */
	uint64_t headroom_idle_ns;    /* until none has waited for so long */
	uint8_t *buffer;
	pthread_t syncer;
	bool has_hinter;
	uint64_t hint_from;	 /* number of the first segment that it handles */
	pthread_t hinter;	 /* writes hints of sealed segments */
	atomic_bool stop_hinter; /* also checked while it writes a hint */

	struct segments segments; /* all except the active one; has its own lock, inside 'lock' */

	/* One change of the set of files at a time; taken before 'lock', held across MANIFEST's
	 * sync. */
	struct mutex set_lock;
	bool has_manifest;				      /* constant after open */
	uint8_t store_id[MANIFEST_STORE_ID_BYTES];	      /* the same */
	uint64_t numbered_from;				      /* the same */
	struct manifest manifest GUARDED_BY(log_set_class);   /* as it is in the file */
	struct reserve set_reserve GUARDED_BY(log_set_class); /* for the next MANIFEST */

	/* Released around fdatasync(), so that appends continue during a sync. */
	struct mutex lock;
	pthread_cond_t wake;		/* with lock: new work for the syncer */
	pthread_cond_t synced;		/* with lock: a sync ended */
	pthread_cond_t rotated_durable; /* with lock: a rotated segment is durable, or closing */
	pthread_cond_t gathered;	/* with lock: as many threads wait as before */

	/* Offsets are log positions (segments.h). */

	/* The active segment; owned; a rotated one keeps its own. */
	int fd GUARDED_BY(log_class);
	/* The number under which it will be sealed. */
	uint64_t active_number GUARDED_BY(log_class);
	uint64_t active_start GUARDED_BY(log_class); /* position of its first byte */
	/* Of its records; without a digest. */
	struct manifest_facts active_facts GUARDED_BY(log_class);
	/* It is empty and must begin with a segment record. */
	bool number_pending GUARDED_BY(log_class);
	/* Number of rotated segments that are not durable. */
	uint32_t rotated_count GUARDED_BY(log_class);
	uint64_t rotated_bytes GUARDED_BY(log_class); /* their total size */
	/* A rotated segment has got its old name back; not durable yet. */
	bool names_dirty GUARDED_BY(log_class);
	void (*rotate_failed)(void *arg, int err); /* constant; may be NULL */
	void *rotate_failed_arg;		   /* constant */
	uint64_t rotate_failures GUARDED_BY(log_class);
	int rotate_error GUARDED_BY(log_class); /* of the last attempt */
	/* No rotation before the log's end is here: the last one failed. */
	uint64_t rotate_from GUARDED_BY(log_class);
	/* Size to rotate at; at most the maximum. */
	uint64_t segment_bytes_now GUARDED_BY(log_class);
	uint64_t end_position GUARDED_BY(log_class);
	uint64_t written_position GUARDED_BY(log_class);
	/* Moves after fdatasync(), not when it is queued. */
	uint64_t durable_position GUARDED_BY(log_class);
	/* The last end of a record it has reached. */
	uint64_t durable_record_end GUARDED_BY(log_class);
	uint64_t last_timestamp_ns GUARDED_BY(log_class);
	/* Monotonic; 0: no deadline is running. */
	uint64_t oldest_unsynced_ns GUARDED_BY(log_class);
	/* Zeros reach up to here, if that is past written_position. */
	uint64_t headroom_end GUARDED_BY(log_class);
	/* No head room until this is written: the disk was full. */
	uint64_t headroom_from GUARDED_BY(log_class);
	/* Adaptive head room: bytes that are paid for and not made. */
	uint64_t headroom_paid GUARDED_BY(log_class);
	/* Monotonic; of the last caller that waited for a sync. */
	uint64_t last_wait_ns GUARDED_BY(log_class);
	/* Bytes of a failed write may be behind written_position. */
	bool tail_dirty GUARDED_BY(log_class);
	/* Number of bytes that may have been there; their removal is not durable. */
	uint64_t refused_bytes GUARDED_BY(log_class);
	bool syncing GUARDED_BY(log_class);	/* a sync runs, or waits for more callers */
	bool gathering GUARDED_BY(log_class);	/* it waits for more callers */
	bool hurries GUARDED_BY(log_class);	/* it, or the next one, must not wait for them */
	uint32_t waiting GUARDED_BY(log_class); /* callers that the next sync will serve */
	/* Callers that waited when the last sync ended, served or not. */
	uint32_t expected GUARDED_BY(log_class);
	uint64_t sync_ns_last GUARDED_BY(log_class);
	bool stopping GUARDED_BY(log_class);
	int poison GUARDED_BY(log_class); /* 0 or the first -errno of a sync; never reset */
	struct sync_request *requests GUARDED_BY(log_class);
	struct sync_request **requests_tail GUARDED_BY(log_class);

	uint64_t appends GUARDED_BY(log_class);
	uint64_t syncs GUARDED_BY(log_class);
	uint64_t sync_ns_total GUARDED_BY(log_class);
	uint64_t sync_ns_max GUARDED_BY(log_class);
};

LOCK_FUNCTIONS(log_set, struct log_writer, set_lock, log_set_class);
LOCK_FUNCTIONS(log, struct log_writer, lock, log_class);

/* Stops all writes: the log returns EIO until it is opened again. */
static inline void log_writer_poison_locked(struct log_writer *w, int err)
	REQUIRES(w->lock, log_class)
{
	if (w->poison == 0)
		w->poison = err;
}

/* --- log_writer.c --- */

/* Removes bytes that a failed write may have left behind the last whole record. */
int log_writer_restore_tail_locked(struct log_writer *w) REQUIRES(w->lock, log_class) WARN_UNUSED;
/* Writes the buffer to the file.  On failure the buffer keeps its records. */
int log_writer_flush_locked(struct log_writer *w) REQUIRES(w->lock, log_class) WARN_UNUSED;
/* Writes bytes at the written position.  Requires an empty buffer. */
int log_writer_write_locked(struct log_writer *w, const void *bytes, size_t n)
	REQUIRES(w->lock, log_class) WARN_UNUSED;
void *log_writer_syncer_main(void *arg);
/* Waits for the sync that runs, or runs one.  Returns -errno if no rotated segment has become
 * durable. */
int log_writer_sync_to_seal_locked(struct log_writer *w) REQUIRES(w->lock, log_class) WARN_UNUSED;

/* --- log/headroom.c --- */

/* Takes the option over, before the log is opened. */
void log_writer_set_headroom(struct log_writer *w, int64_t preallocate_bytes);
/* Notes a caller that waits for a sync, for adaptive head room. */
void log_writer_pay_headroom_locked(struct log_writer *w) REQUIRES(w->lock, log_class);
/* Returns whether a step of the head room is missing, is paid for and can be made. */
bool log_writer_wants_headroom_locked(const struct log_writer *w) REQUIRES(w->lock, log_class);
/* Makes head room, and releases the lock in between.  The new zeros are not durable: the next sync
 * waits for the filesystem.  Called by the thread that syncs, or by the syncer. */
void log_writer_make_headroom_locked(struct log_writer *w) REQUIRES(w->lock, log_class);
/* Cuts the file behind its last record; the cut is not durable yet. */
int log_writer_trim_headroom_locked(struct log_writer *w) REQUIRES(w->lock, log_class) WARN_UNUSED;
/* Returns the time (monotonic) from which on the next function cuts head room; UINT64_MAX: never.
 */
uint64_t log_writer_headroom_idle_locked(const struct log_writer *w) REQUIRES(w->lock, log_class);
/* Cuts adaptive head room if no caller has waited for a sync for some seconds.  Returns false if
 * there is nothing to cut yet. */
bool log_writer_cut_idle_headroom_locked(struct log_writer *w) REQUIRES(w->lock, log_class);

/* --- log/rotation.c --- */

void *log_writer_hinter_main(void *arg);

/* Begins a new active segment if 'bytes' more would make this one too large, and makes sure that
 * the active segment has its number.  May release the lock, if appends have run too far ahead of
 * the disk.  Returns 0 also if the log cannot be rotated and continues in the old segment; -EIO if
 * it is poisoned. */
int log_writer_rotate_if_full_locked(struct log_writer *w, uint64_t bytes)
	REQUIRES(w->lock, log_class) WARN_UNUSED;
/* Postpones the next attempt after a rotation, or the sync before it, has failed. */
void log_writer_rotate_later_locked(struct log_writer *w) REQUIRES(w->lock, log_class);
/* Returns whether a sync is due only because of rotated segments. */
bool log_writer_syncs_to_seal_locked(const struct log_writer *w) REQUIRES(w->lock, log_class);

/* Makes missing files of the reserves.  -ENOSPC or -EDQUOT if it could not. */
int log_writer_refill_inodes(struct log_writer *w) WARN_UNUSED;
/* Appends the segment record with which the active segment must begin, if it is missing. */
int log_writer_number_active_locked(struct log_writer *w) REQUIRES(w->lock, log_class) WARN_UNUSED;
/* Returns whether the active segment has only that record. */
bool log_writer_active_is_empty_locked(const struct log_writer *w) REQUIRES(w->lock, log_class);

/* Makes 'count' rotated segments durable, including the cut of their head room.  'number' is the
 * first rotated segment that is not durable; bytes below 'durable_position' are durable already.
 * For the one sync that runs, without the lock. */
int log_writer_sync_rotated(struct log_writer *w, uint64_t number, uint32_t count,
			    uint64_t durable_position) WARN_UNUSED;
/* Notes that the first 'count' rotated segments that were not durable now are. */
void log_writer_note_rotated_durable_locked(struct log_writer *w, uint32_t count)
	REQUIRES(w->lock, log_class);

/* --- log/file_set.c --- */

/* Lists in MANIFEST the rotated segments that are durable and not listed, and the digests that are
 * known now, and gives sealed segments their names. */
int log_set_list(struct log_writer *w) WARN_UNUSED;
/* Takes over the MANIFEST in 'w->manifest', while the log is opened. */
void log_set_take(struct log_writer *w);
/* Makes the first MANIFEST of a log.  It lists all segments before the active one; recovery has
 * made them durable. */
int log_set_create(struct log_writer *w) WARN_UNUSED;

#endif
