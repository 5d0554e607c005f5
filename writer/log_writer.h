/* SPDX-License-Identifier: MIT */
/* Append-only log writer: the only code that appends to a log.
 *
 * The log is a file of encoded records (docs/FORMAT.md) with nothing between them.  Its last bytes
 * are the last record.  Next to "x.data", "x.synced" records a lower bound on how much of the log
 * is durable.  With a segment size the log is a sequence of files, which the file MANIFEST in the
 * same directory lists: a log that has grown to that size is renamed and a new file begins; when
 * the renamed file is durable, it becomes 000001.data, 000002.data, ...  Offsets are then positions
 * in that sequence (writer/log/segments.h), as of this open.  writer/log/file_set.h has the
 * functions for compaction.
 *
 * Threads: any, except that log_writer_close() must be the last call.
 * Errors: 0 or -errno.  A failed append leaves no partial record behind and the writer still works:
 * -ENOSPC and -EDQUOT heal when space returns.  After one failed fdatasync(2) the writer is
 * poisoned: every later put and sync returns -EIO, for good, because the kernel may have dropped
 * the pages that it failed to write. */
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
#define LOG_WRITER_NEVER	   INT64_MAX /* fsync_interval_ns: left to the kernel */
#define LOG_WRITER_BUFFER_MAX	   (INT64_C(1) << 30)
#define LOG_WRITER_ROOM_MAX	   (INT64_C(1) << 30) /* preallocate_bytes */
#define LOG_WRITER_SEGMENT_MIN	   INT64_C(1024)
#define LOG_WRITER_SEGMENT_MAX	   (INT64_C(1) << 40)
#define LOG_WRITER_GROUP_MAX	   8 /* records in one group */

struct log_writer; /* opaque, see log/log_writer_private.h */

/* Called while a log is replayed, often, with the argument of the replay: so many bytes of all are
 * done. */
typedef void (*log_progress_fn)(void *arg, uint64_t done_bytes, uint64_t all_bytes);
/* Called with a record, whose pointers live until it returns, that is about to be replayed, before
 * some others are: what it will need can be fetched into the cache. */
typedef void (*log_ahead_fn)(void *arg, const struct record *rec);

struct log_writer_config {
	/* The log; created with mode 0600, its parent directory with 0700 (one level), both synced.
	 */
	const char *file_path;
	/* 0: durable before put returns.  1 ns ... 1 h: a put is durable at most that long (and one
	 * fdatasync) after it returned; the time runs from the oldest record that is not durable.
	 * LOG_WRITER_NEVER: no deadline. */
	int64_t fsync_interval_ns;
	/* 0: put has handed the record to the kernel when it returns; the process may die.  1 ... 1
	 * GiB: up to that many acknowledged bytes stay in memory until the buffer is full, the
	 * deadline, a sync or close.  With an interval of 0 it has no effect.  A full buffer of 4
	 * KiB to 128 KiB is cut where a block of the file ends, so the file may end inside a record
	 * that was acknowledged; if the process then dies, recovery cuts the front of that one. */
	int64_t buffer_size_bytes;
	/* The active segment is sealed before it grows larger than this; one commit may be larger.
	 * 0: the log is one file for ever. */
	int64_t segment_size_bytes;
	/* Zeros kept ready behind the last record, so that a sync need not commit metadata; up to 1
	 * GiB.  They are cut at close, and after a crash at the next open.  0: none; without a
	 * buffer the last bytes of the file are the last record at any time. */
	int64_t preallocate_bytes;
	/* There are reserves beside the log (reserve.h): a rotation does not take their inodes. */
	bool keeps_reserves;
	/* Opens the log also when sealed segments are missing among those that are there. */
	bool accept_missing_segments;
	/* Opens what is there without changing anything, and without the lock: also beside a
	 * writer, as the log was at one moment.  What is torn at its end is left out.  Every put is
	 * -EROFS.
	 */
	bool read_only;
	/* With 'read_only': 0, or the log ends before the first commit that is later than this. */
	uint64_t until_ns;
	/* With 'read_only': reads every record, and so checks every CRC. */
	bool ignore_hints;
	/* For tests: nothing runs but what was asked for.  Hints are then written at the next open.
	 */
	bool no_background;
	struct io *io; /* NULL: the operating system */
	/* For log_writer_open_replay(); may be NULL. */
	log_progress_fn progress;
	log_ahead_fn ahead;
	/* Told when no next segment could be made, for example because there may be no more open
	 * files: the active one grows past its size, and each sixteenth of that it is tried again.
	 * Once for each time that it begins.  Under a lock: it must not call the writer.  May be
	 * NULL. */
	void (*rotate_failed)(void *arg, int err);
	void *rotate_failed_arg;
};

/* Called by log_writer_open_replay() for each commit in the log, in order: the records of a group,
 * or one record.  The pointers live until it returns.  Not 0 makes the open fail with it; 'diag' is
 * for the reason. */
typedef int (*log_replay_fn)(void *arg, const struct log_entry *entries, size_t entry_count,
			     struct diag *diag);

/* What opening found and did. */
struct log_recovery {
	/* Of the active segment: */
	uint64_t file_bytes;	/* before recovery */
	uint64_t kept_bytes;	/* where it ends now */
	uint64_t durable_bytes; /* from the durable mark; 0 without one */
	uint64_t records;	/* in all segments */
	uint64_t segments;	/* sealed ones */
	uint64_t hints;		/* segments, the active one included, whose hint was read instead */
	uint64_t segments_missing; /* accepted by the config */
	struct log_stop stop; /* why it ends there; stop.scan is RECORD_END when nothing was cut */
	char quarantine[128]; /* where the cut bytes were saved, relative to the log's directory; ""
				 if none */
	bool durable_mark_missing; /* there was a log, and no valid mark beside it */
};

/* Opens the log and, after a crash, cuts its torn tail: the bytes from the first position that is
 * not a whole record (or begins a group that is not whole) are saved under quarantine/ beside the
 * log, then cut.  Stores a writer that the caller owns. -EINVAL: nonsense in the config.
 * -EWOULDBLOCK: another writer has the file open.  -ENOENT: there is no log to be read only.
 * -EBADMSG: a record before the durable mark is not whole, or bytes before it are missing; nothing
 * was changed.  Others from the operating system; -EIO while reading changes nothing.  'diag' (may
 * be NULL) then says which file, where and what. */
int log_writer_open(const struct log_writer_config *config, struct log_writer **ret,
		    struct diag *diag) WARN_UNUSED;

/* The same, and hands every commit in the log to 'fn' (NULL: to nobody).  'ret_recovery' may be
 * NULL. */
int log_writer_open_replay(const struct log_writer_config *config, log_replay_fn fn, void *arg,
			   struct log_writer **ret, struct log_recovery *ret_recovery,
			   struct diag *diag) WARN_UNUSED;

/* Of a log that is open read only: hands what was appended since to 'fn'.  Returns 0; 1 when its
 * writer has sealed or compacted a segment meanwhile, so that it has to be opened anew; or -errno,
 * as an open does.  Others may read from it at the same time. */
int log_writer_read_on(struct log_writer *w, log_replay_fn fn, void *arg,
		       struct diag *diag) WARN_UNUSED;

/* Appends one record and stores the offset it begins at ('ret_offset' may be NULL).  Key and value
 * are copied.  An empty value is a tombstone.  When it returns 0, log_writer_read() sees the record
 * and it is as durable as the config says; records are in the file in the order of their offsets,
 * with strictly increasing timestamps.  The record is in the log also when waiting for its
 * durability fails: -EIO, poisoned. */
int log_writer_put(struct log_writer *w, const void *key, uint32_t key_bytes, const void *value,
		   uint32_t value_bytes, uint64_t *ret_offset) WARN_UNUSED;

/* Where an appended group stands. */
struct log_append {
	uint64_t timestamp_ns[LOG_WRITER_GROUP_MAX]; /* of each record */
	uint64_t offset[LOG_WRITER_GROUP_MAX];	     /* of each record */
	uint64_t end_offset;			     /* just past the group: what to wait for */
};

/* Appends 'record_count' (1 ... LOG_WRITER_GROUP_MAX) records in one piece: after a crash all of
 * them are there or none, if all but the last are meta records with META_FLAG_MORE.  Does not wait
 * for durability, whatever the interval; use log_writer_sync_to() or log_writer_sync_async().  The
 * timestamp of each record is the one in 'records' if that is later than all in the log, else (or
 * if 0) the clock or the next free one.  Fills 'ret'. */
int log_writer_append(struct log_writer *w, const struct record *records, size_t record_count,
		      struct log_append *ret) WARN_UNUSED;

/* Returns when every record appended before the call is durable. */
int log_writer_sync(struct log_writer *w) WARN_UNUSED;

/* Returns when every record that ends at or before 'offset' is durable. */
int log_writer_sync_to(struct log_writer *w, uint64_t offset) WARN_UNUSED;

/* Calls 'done' once with 0 when every record that ends at or before 'offset' is durable, or with
 * -errno.  From the sync thread, or before returning if there is nothing to wait for; without any
 * lock held.  'done' must not block and must not call log_writer_close().  -ENOMEM: 'done' will not
 * be called. */
typedef void (*log_sync_fn)(void *arg, int err);
int log_writer_sync_async(struct log_writer *w, uint64_t offset, log_sync_fn done,
			  void *arg) WARN_UNUSED;

/* Seals the active segment, however small, unless it is empty.  All that was appended before is
 * durable then. */
int log_writer_rotate(struct log_writer *w) WARN_UNUSED;

/* Reads bytes below the end offset, also those still in the buffer, but none past the end of the
 * segment that holds 'offset'.  Returns how many were read, or -errno. */
ssize_t log_writer_read(struct log_writer *w, void *buf, size_t n, uint64_t offset) WARN_UNUSED;

/* Returns the number of the segment that holds a position (of the active one: that it will have),
 * and stores the offset in its file.  0: no segment does, or it was replaced. */
uint64_t log_writer_locate(struct log_writer *w, uint64_t position, uint64_t *ret_file_offset);

struct log_writer_stats {
	uint64_t end_offset;	    /* just past the last record */
	uint64_t written_offset;    /* handed to the kernel up to here; <= end_offset; with a buffer
				       it may be inside a record */
	uint64_t durable_offset;    /* durable up to here; <= written_offset */
	uint64_t last_timestamp_ns; /* of the newest record; 0 in an empty log */
	uint64_t appends;	    /* groups and single records since open */
	uint64_t syncs;		    /* fdatasync(2) calls that succeeded since open */
	uint64_t sync_ns_total;	    /* that these took */
	uint64_t sync_ns_max;	    /* the slowest of them */
	int poison;		    /* 0, or the -errno of the sync that failed */
	uint64_t segments;	  /* number of the active one: those before it are full or sealed */
	uint64_t active_bytes;	  /* of the active one */
	uint64_t sealed_bytes;	  /* of the others together */
	uint64_t rotate_failures; /* attempts to make a next segment that have failed since open */
	int rotate_error; /* -errno of the last attempt; 0: it succeeded, or none was made */
};
void log_writer_stats(struct log_writer *w, struct log_writer_stats *ret);

/* The queries one by one. */
uint64_t log_writer_size(struct log_writer *w);		  /* the end of the log, a position */
uint64_t log_writer_durable_offset(struct log_writer *w); /* every byte below it is durable */
uint64_t
log_writer_last_timestamp(struct log_writer *w);	 /* ns since the epoch; 0 in an empty log */
const char *log_writer_path(const struct log_writer *w); /* as given; lives as long as 'w' */

/* Writes the buffer, syncs, joins the sync thread (callbacks included) and frees 'w' (NULL is a
 * no-op).  Returns the first failure; records that were not durable may then be lost.  'w' is gone
 * either way. */
int log_writer_close(struct log_writer *w) WARN_UNUSED;

#endif
