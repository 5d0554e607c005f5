/* SPDX-License-Identifier: MIT */
/* Shared by log_writer.c (appending, syncing, reading), log/rotation.c (rotation), log/file_set.c
 * (changes of the set of files) and log/open.c (open, recovery, close). */
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

/* So far appends may run ahead of the disk: so many rotated segments, of so many bytes in all
 * unless it is one.  They cannot be compacted. */
#define FULL_MAX       32
#define FULL_BYTES_MAX ((uint64_t)1024 * 1024 * 1024)

/* Somebody who asked to be called when the log is durable up to 'offset'. */
struct sync_request {
	struct sync_request *next;
	uint64_t offset;
	log_sync_fn done;
	void *arg;
};

struct log_writer {
	/* Constant after open. */
	struct io *io;
	char *path;
	char *name; /* of the active segment, in 'dir_fd' */
	int dir_fd;
	int mark_fd; /* owned; written by whoever has 'syncing' set, or the lock while it is not */
	uint64_t segment_bytes_max; /* 0: the log is one file for ever */
	bool keeps_going;	    /* a missing segment does not keep the log from opening */
	bool read_only;		    /* no thread runs, nothing is ever appended */
	bool ignores_hints;
	log_progress_fn progress; /* while it is opened; may be NULL */
	log_ahead_fn ahead;	  /* the same */
	uint64_t replay_bytes;	  /* of all segments, when it is opened */
	uint64_t until_ns;	  /* read-only: 0, or where the log ends for us */
	bool reached_until;
	int64_t fsync_interval_ns;
	size_t buffer_room;   /* 0: no buffer */
	uint64_t block_bytes; /* where a full buffer is cut in the file; 1: behind a record */
	bool no_background;
	bool keeps_reserves;
	uint64_t full_bytes_max; /* FULL_BYTES_MAX, but in tests */
	uint64_t room_bytes;	 /* of head room (log/headroom.c); 0: none, the file has O_APPEND */
	uint8_t *buffer;
	pthread_t syncer;
	bool has_hinter;
	uint64_t hint_from;	 /* number of the first segment that it looks at */
	pthread_t hinter;	 /* writes hints of sealed segments */
	atomic_bool stop_hinter; /* in the middle of one, too */

	struct segments segments; /* all but the active one; has a lock of its own, inside 'lock' */

	/* One change of the set of files at a time; outside 'lock', held across MANIFEST's sync. */
	struct mutex set_lock;
	bool has_manifest;			   /* constant after open */
	uint8_t store_id[MANIFEST_STORE_ID_BYTES]; /* the same */
	uint64_t numbered_from;			   /* the same */
	struct manifest manifest;		   /* by set_lock; as it is in the file */
	struct reserve set_reserve;		   /* by set_lock; for the next MANIFEST */

	/* Released around fdatasync(), so appends go on during a sync. */
	struct mutex lock;
	pthread_cond_t wake;		/* with lock: the syncer has something new to look at */
	pthread_cond_t synced;		/* with lock: a sync ended */
	pthread_cond_t rotated_durable; /* with lock: a rotated segment is, or the log is closed */
	pthread_cond_t gathered;	/* with lock: as many wait as before */

	/* All below: by lock.  Offsets are log positions (segments.h). */
	int fd GUARDED;			/* the active segment; owned; a full one keeps its own */
	uint64_t active_number GUARDED; /* the number that it will have when it is full */
	uint64_t active_start GUARDED;	/* position of its first byte */
	struct manifest_facts active_facts GUARDED; /* of its records; without a digest */
	bool number_pending GUARDED; /* it is empty and has to begin with a segment record */
	uint32_t full_count GUARDED; /* segments before it that are not durable */
	uint64_t full_bytes GUARDED; /* of all of these */
	bool names_dirty GUARDED;    /* the name of a full one was taken back; not durable yet */
	void (*rotate_failed)(void *arg, int err); /* constant; may be NULL */
	void *rotate_failed_arg;		   /* constant */
	uint64_t rotate_failures GUARDED;	   /* by lock */
	int rotate_error GUARDED;		   /* by lock; of the last attempt */
	uint64_t rotate_from
		GUARDED; /* no rotation before the log ends here: the last one failed */
	uint64_t segment_bytes_now GUARDED; /* when the active one is full; at most the maximum */
	uint64_t end_offset GUARDED;
	uint64_t written_offset GUARDED;
	uint64_t durable_offset GUARDED;     /* moves after fdatasync(), not when it is queued */
	uint64_t durable_record_end GUARDED; /* the last end of a record at which it stood */
	uint64_t last_timestamp_ns GUARDED;
	uint64_t oldest_unsynced_ns GUARDED; /* monotonic; 0: no deadline is running */
	uint64_t room_end GUARDED;  /* zeros reach up to here, if that is past written_offset */
	uint64_t room_from GUARDED; /* no head room before this is written: the disk was full */
	bool tail_dirty GUARDED;    /* bytes of a failed write may stand behind written_offset */
	uint64_t refused_bytes GUARDED; /* so many may have stood there; that they do not is not
					   durable */
	bool syncing GUARDED;		/* a sync runs, or waits for company */
	bool gathering GUARDED;		/* it waits for company */
	uint32_t waiting GUARDED;	/* callers that the next sync will serve */
	uint32_t expected GUARDED; /* callers that waited when the last sync ended, served or not */
	uint64_t sync_ns_last GUARDED;
	bool stopping GUARDED;
	int poison GUARDED; /* 0 or the first -errno of a sync; never reset */
	struct sync_request *requests GUARDED;
	struct sync_request **requests_tail GUARDED;

	uint64_t appends GUARDED;
	uint64_t syncs GUARDED;
	uint64_t sync_ns_total GUARDED;
	uint64_t sync_ns_max GUARDED;
};

/* From here on nothing is written any more: the log returns EIO until it is opened again. */
static inline void log_writer_poison_locked(struct log_writer *w, int err) REQUIRES(w->lock)
{
	if (w->poison == 0)
		w->poison = err;
}

/* --- log_writer.c --- */

/* Takes away what a failed write may have left behind the last whole record. */
int log_writer_restore_tail_locked(struct log_writer *w) REQUIRES(w->lock) WARN_UNUSED;
/* Writes the buffer out.  On failure it keeps its records. */
int log_writer_flush_locked(struct log_writer *w) REQUIRES(w->lock) WARN_UNUSED;
/* Writes bytes behind all that is written; only while the buffer is empty. */
int log_writer_write_locked(struct log_writer *w, const void *bytes, size_t n)
	REQUIRES(w->lock) WARN_UNUSED;
void *log_writer_syncer_main(void *arg);
/* Waits for a sync that runs, or runs one.  -errno: no rotated segment has become durable. */
int log_writer_sync_to_seal_locked(struct log_writer *w) REQUIRES(w->lock) WARN_UNUSED;

/* --- log/headroom.c --- */

/* Returns whether the head room is used up to a half, and can be made. */
bool log_writer_wants_room_locked(const struct log_writer *w) REQUIRES(w->lock);
/* Makes it, and releases the lock in between.  What is made is not durable yet: the next sync is
 * what has to wait for the filesystem.  By who syncs, or the syncer. */
void log_writer_make_room_locked(struct log_writer *w) REQUIRES(w->lock);
/* Cuts the file behind its last record; not durable yet. */
int log_writer_trim_room_locked(struct log_writer *w) REQUIRES(w->lock) WARN_UNUSED;

/* --- log/rotation.c --- */

void *log_writer_hinter_main(void *arg);

/* Begins a new active segment if 'bytes' more would make this one too large, and makes sure that it
 * has its number.  May release the lock, where appends have run too far ahead of the disk.  0 also
 * when it cannot be rotated and the log goes on in it; -EIO: poisoned. */
int log_writer_rotate_if_full_locked(struct log_writer *w, uint64_t bytes)
	REQUIRES(w->lock) WARN_UNUSED;
/* It failed, or the sync that goes ahead of it did: not again at once. */
void log_writer_rotate_later_locked(struct log_writer *w) REQUIRES(w->lock);
/* Returns whether a sync is due because of rotated segments alone. */
bool log_writer_syncs_to_seal_locked(const struct log_writer *w) REQUIRES(w->lock);

/* Makes the files of the reserves that are missing.  -ENOSPC, -EDQUOT: it could not. */
int log_writer_keep_inodes(struct log_writer *w) WARN_UNUSED;
/* Appends the segment record that the active segment has to begin with, if it is not there. */
int log_writer_number_active_locked(struct log_writer *w) REQUIRES(w->lock) WARN_UNUSED;
/* Returns whether the active segment has nothing but that record. */
bool log_writer_active_is_empty_locked(const struct log_writer *w) REQUIRES(w->lock);

/* For the one sync that runs, without the lock.  'number' is that of the first rotated segment that
 * is not durable.  Makes 'count' of them durable, and that their head room is cut; what is below
 * 'durable_offset' is durable already. */
int log_writer_sync_full(struct log_writer *w, uint64_t number, uint32_t count,
			 uint64_t durable_offset) WARN_UNUSED;
/* The first 'count' rotated ones that were not durable are. */
void log_writer_note_full_durable_locked(struct log_writer *w, uint32_t count) REQUIRES(w->lock);

/* --- log/file_set.c --- */

/* Lists in MANIFEST the rotated segments below 'below' that are durable and not listed, and the
 * digests that are known now, and gives sealed segments their names. */
int log_set_list(struct log_writer *w, uint64_t below) WARN_UNUSED;
/* The log has the MANIFEST that is in 'w->manifest'; while it is opened. */
void log_set_take(struct log_writer *w);
/* Makes the first MANIFEST of a log, with the segments that are open; those that are not sealed
 * are not listed. */
int log_set_create(struct log_writer *w) WARN_UNUSED;

#endif
