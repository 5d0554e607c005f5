/* SPDX-License-Identifier: MIT */
/* The log writer: the only code that appends to a log.
 *
 * A log is a file of encoded records (docs/FORMAT.md) without gaps; the last record ends at the end
 * of the file.  Next to "x.data", the file "x.synced" records a lower bound on how much of the log
 * is durable.  With a segment size, the log is a sequence of files: when the active segment is
 * full, it is renamed and a new one begins; when the renamed file is durable, it is sealed as
 * 000001.data, 000002.data, ...  The file MANIFEST in the same directory lists the sealed segments.
 * A position is an offset in that sequence (writer/log/segments.h), valid until this log is closed.
 * writer/log/file_set.h has the functions for compaction.
 *
 * Threads: any, except that log_writer_close() must be the last call.
 *
 * Errors: 0 or -errno.  A failed append leaves no partial record behind and the writer still works:
 * after -ENOSPC and -EDQUOT appends succeed again when space returns.  After one failed
 * fdatasync(2) the writer is poisoned: every later put and sync returns -EIO until the log is
 * opened again, because the kernel may have dropped the pages that it failed to write.  A log that
 * is open read-only returns -EROFS for every append and rotation. */
#ifndef FREYJAFS_WRITER_LOG_WRITER_H
#define FREYJAFS_WRITER_LOG_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "codec/record.h"
#include "writer/base/diag.h"
#include "writer/log/reader.h"

#define LOG_WRITER_INTERVAL_MAX_NS INT64_C(3600000000000) /* one hour */
#define LOG_WRITER_NEVER	   INT64_MAX		  /* fsync_interval_ns: no deadline */
#define LOG_WRITER_BUFFER_MAX	   (INT64_C(1) << 30)
#define LOG_WRITER_HEADROOM_MAX	   (INT64_C(1) << 30) /* preallocate_bytes */
#define LOG_WRITER_HEADROOM_AUTO   INT64_MAX	      /* preallocate_bytes: adaptive */
#define LOG_WRITER_SEGMENT_MIN	   INT64_C(1024)
#define LOG_WRITER_SEGMENT_MAX	   (INT64_C(1) << 40)
#define LOG_WRITER_GROUP_MAX	   8 /* records in one group */

struct log_writer; /* defined in log/log_writer_private.h */

/* Reports the progress of a replay: 'done_bytes' of 'all_bytes' are replayed.  Called often, with
 * the argument of the replay. */
typedef void (*log_progress_fn)(void *arg, uint64_t done_bytes, uint64_t all_bytes);
/* Announces a record that will be replayed after some others, so that the callback can fetch memory
 * which the replay will need into the cache.  The pointers in 'rec' are valid until the callback
 * returns. */
typedef void (*log_ahead_fn)(void *arg, const struct record *rec);

struct log_writer_config {
	/* The log.  If missing, it is created with mode 0600 and its parent directory with mode
	 * 0700 (one level); both are synced. */
	const char *file_path;
	/* 0: a record is durable when log_writer_put() returns.  1 ns ... 1 h: it becomes durable
	 * at most this long (and one fdatasync) after log_writer_put() returned; the time runs from
	 * the oldest record that is not durable.  LOG_WRITER_NEVER: no deadline. */
	int64_t fsync_interval_ns;
	/* 0: the kernel has the record when log_writer_put() returns, so that the process may die.
	 * 1 ... 1 GiB: up to this many acknowledged bytes stay in memory until the buffer is full,
	 * the deadline, a sync or the close.  Without effect if the interval is 0.  A full buffer
	 * of 4 KiB to 128 KiB is cut where a block of the file ends, so the file may end inside an
	 * acknowledged record; if the process then dies, recovery cuts the front part of that
	 * record. */
	int64_t buffer_size_bytes;
	/* The active segment is rotated before it grows larger than this; a segment with one larger
	 * commit is the exception.  0: the log is always one file. */
	int64_t segment_size_bytes;
	/* Head room: zeros kept ready behind the last record, so that a sync does not have to
	 * commit metadata; up to 1 GiB.  They are cut at the close, and after a crash at the next
	 * open.  0: none; then, without a buffer, the file always ends with the last record.
	 * LOG_WRITER_HEADROOM_AUTO: made while callers keep waiting for syncs, up to 16 MiB and a
	 * 64th of the free space, and cut when none has waited for some seconds. */
	int64_t preallocate_bytes;
	/* Reserves exist next to the log (reserve.h); a rotation leaves their inodes to them. */
	bool keeps_reserves;
	/* Opens the log even if sealed segments are missing. */
	bool accept_missing_segments;
	/* Opens the files as they are, without a change and without the lock: also while a writer
	 * has the log open, and then as the log was at one moment.  A torn tail is left out.  Every
	 * put returns -EROFS. */
	bool read_only;
	/* With 'read_only': the log ends before the first commit that is later than this time (ns
	 * since the epoch); 0: no limit. */
	uint64_t until_ns;
	/* With 'read_only': reads every record instead of hints, and so checks every CRC. */
	bool ignore_hints;
	/* For tests: no background work.  Missing hints are then written at the next open. */
	bool no_background;
	struct io *io; /* NULL: the operating system */
	/* For log_writer_open_replay(); each may be NULL. */
	log_progress_fn progress;
	log_ahead_fn ahead;
	/* Reports that no next segment could be made, for example because no more files can be
	 * opened.  The active segment then grows past its size, and the rotation is tried again
	 * after each further sixteenth of that size.  Called once each time this state begins, with
	 * a lock held: it must not call the writer.  May be NULL. */
	void (*rotate_failed)(void *arg, int err);
	void *rotate_failed_arg;
};

/* Called by log_writer_open_replay() for each commit in the log, in order: the records of a group,
 * or one record.  The pointers are valid until the callback returns.  If it does not return 0, the
 * open fails with that value; the callback can give the reason in 'diag'. */
typedef int (*log_replay_fn)(void *arg, const struct log_entry *entries, size_t entry_count,
			     struct diag *diag);

/* The results of opening a log: its size and the actions of recovery. */
struct log_recovery {
	/* Of the active segment: */
	uint64_t file_bytes;	/* before recovery */
	uint64_t kept_bytes;	/* size after recovery */
	uint64_t durable_bytes; /* from the durable mark; 0 without one */
	uint64_t records;	/* of all segments */
	uint64_t segments;	/* number of sealed segments */
	uint64_t hints;		/* segments whose hint was read instead, the active one included */
	uint64_t segments_missing; /* number of missing segments that the config accepted */
	struct log_stop stop; /* why the log ends there; scan is RECORD_END if nothing was cut */
	char quarantine[128]; /* file with the cut bytes, relative to the log; "": none */
	bool durable_mark_missing; /* the log existed, but no valid durable mark */
};

/* Opens the log and, after a crash, cuts its torn tail: saves the bytes from the first position
 * that has no whole record (or begins a group that is not whole) under quarantine/ next to the log,
 * and then cuts them.  Stores a writer that the caller owns and closes with log_writer_close().
 * All records in the log are durable on return, unless it is read-only.
 *
 * Errors: -EINVAL if a value in the config is out of range.  -EWOULDBLOCK if another writer has the
 * file open.  -ENOENT if the log does not exist and 'read_only' is set.  -EBADMSG if a record
 * before the durable mark is not whole, or bytes before the mark are missing; then nothing was
 * changed.  Other errors come from the operating system; -EIO while reading changes nothing.  On
 * errors 'diag' (may be NULL) has the file, the position and the reason. */
int log_writer_open(const struct log_writer_config *config, struct log_writer **ret,
		    struct diag *diag) WARN_UNUSED;

/* As log_writer_open(), and calls 'fn' (may be NULL) for every commit in the log.  'ret_recovery'
 * may be NULL. */
int log_writer_open_replay(const struct log_writer_config *config, log_replay_fn fn, void *arg,
			   struct log_writer **ret, struct log_recovery *ret_recovery,
			   struct diag *diag) WARN_UNUSED;

/* Replays the commits that were appended to a read-only log since it was opened or last read on, by
 * calling 'fn'.  Returns 0; 1 if its writer has sealed or compacted a segment in the meantime, so
 * that the log must be opened again; or -errno as log_writer_open().  Other threads may read from
 * the log at the same time. */
int log_writer_read_on(struct log_writer *w, log_replay_fn fn, void *arg,
		       struct diag *diag) WARN_UNUSED;

/* Appends one record and stores the position of its first byte ('ret_position' may be NULL).  Key
 * and value are copied.  An empty value makes a tombstone.  When it returns 0, log_writer_read()
 * sees the record, and the record is as durable as the config requires.  Records are in the file in
 * the order of their positions, with strictly increasing timestamps.  If waiting for durability
 * fails
 * (-EIO, the writer is poisoned), the record is in the log all the same. */
int log_writer_put(struct log_writer *w, const void *key, uint32_t key_bytes, const void *value,
		   uint32_t value_bytes, uint64_t *ret_position) WARN_UNUSED;

/* The timestamps and positions of an appended group. */
struct log_append {
	uint64_t timestamp_ns[LOG_WRITER_GROUP_MAX]; /* of each record */
	uint64_t position[LOG_WRITER_GROUP_MAX];     /* of each record */
	uint64_t end_position; /* just behind the group: the position to pass to a sync */
};

/* Appends 'record_count' (1 ... LOG_WRITER_GROUP_MAX) records in one piece: after a crash the log
 * has all of them or none, if all but the last are meta records with META_FLAG_MORE.  Does not wait
 * for durability, whatever the interval; use log_writer_sync_to() or log_writer_sync_async().  Keys
 * and values are copied.  Each record gets the timestamp in 'records' if it is later than all in
 * the log; otherwise, or if it is 0, the time of the clock, or the last timestamp plus 1 if the
 * clock is behind.  Fills in 'ret'.  -EINVAL if 'record_count' is out of range. */
int log_writer_append(struct log_writer *w, const struct record *records, size_t record_count,
		      struct log_append *ret) WARN_UNUSED;

/* Makes every record durable that was appended before the call, and waits for that. */
int log_writer_sync(struct log_writer *w) WARN_UNUSED;

/* Makes every record durable that ends at or before 'position', and waits for that.  -EINVAL if
 * 'position' is behind the end of the log. */
int log_writer_sync_to(struct log_writer *w, uint64_t position) WARN_UNUSED;

/* Requests a sync and calls 'done' once: with 0 when every record that ends at or before 'position'
 * is durable, or with -errno.  The call comes from the sync thread, or from this function if
 * nothing has to be waited for; no lock is held.  'done' must not block and must not call
 * log_writer_close().  Returns -ENOMEM if the request could not be made; then 'done' is not called.
 */
typedef void (*log_sync_fn)(void *arg, int err);
int log_writer_sync_async(struct log_writer *w, uint64_t position, log_sync_fn done,
			  void *arg) WARN_UNUSED;

/* Ends the wait of a sync for more callers, or leaves it out of the next sync. */
void log_writer_hurry(struct log_writer *w);

/* Rotates the active segment, however small, unless it is empty, and seals all rotated segments.
 * Everything that was appended before the call is durable on return. */
int log_writer_rotate(struct log_writer *w) WARN_UNUSED;

/* Reads up to 'n' bytes at position 'position', also bytes that are still in the buffer, but none
 * past the end of the segment that holds 'position'.  Returns their number, 0 behind the end of the
 * log, or -errno. */
ssize_t log_writer_read(struct log_writer *w, void *buf, size_t n, uint64_t position) WARN_UNUSED;

/* Begins to read into memory the 'n' bytes around 'position' that begin at a multiple of 'n' in its
 * file.  Does not wait for them; a failure is not reported. */
void log_writer_read_ahead(struct log_writer *w, uint64_t position, uint64_t n);

/* Returns the number of the segment that holds a position, and stores the offset in its file.  For
 * the active segment it is the number under which it will be sealed.  Returns 0 if no segment holds
 * the position, or the segment's file was replaced. */
uint64_t log_writer_locate(struct log_writer *w, uint64_t position, uint64_t *ret_file_offset);

struct log_writer_stats {
	uint64_t end_position;	    /* the position behind the last record */
	uint64_t written_position;  /* the kernel has the log up to here; <= end_position; with a
				     buffer  it may be inside a record */
	uint64_t durable_position;  /* the log is durable up to here; <= written_position */
	uint64_t last_timestamp_ns; /* of the newest record; 0 in an empty log */
	uint64_t appends;	    /* groups and single records since open */
	uint64_t syncs;		    /* successful fdatasync(2) calls since open */
	uint64_t sync_ns_total;	    /* their time in all */
	uint64_t sync_ns_max;	    /* the time of the slowest */
	int poison;		    /* 0, or the -errno of the sync that failed */
	uint64_t segments; /* number of the active segment; all before it are rotated or sealed */
	uint64_t active_bytes;	  /* size of the active segment */
	uint64_t sealed_bytes;	  /* size of all other segments */
	uint64_t rotate_failures; /* failed attempts to make a next segment since open */
	int rotate_error; /* -errno of the last attempt; 0: it succeeded, or none was made */
};
void log_writer_stats(struct log_writer *w, struct log_writer_stats *ret);

/* Return single figures of log_writer_stats(). */
uint64_t log_writer_size(struct log_writer *w);		    /* end position of the log */
uint64_t log_writer_durable_position(struct log_writer *w); /* durable position */
uint64_t
log_writer_last_timestamp(struct log_writer *w); /* ns since the epoch; 0 in an empty log */

/* Writes the buffer, syncs, joins the sync thread (after its callbacks) and frees 'w' (NULL is a
 * no-op), also on failure.  Returns the first failure; then records that were not durable may be
 * lost.  On success all records are durable. */
int log_writer_close(struct log_writer *w) WARN_UNUSED;

#endif
