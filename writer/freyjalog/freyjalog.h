/* SPDX-License-Identifier: MIT */
/* libfreyjalog: an append-only log of keys and values, each record checked by a CRC-32.
 *
 * The log is a file of records in FreyjaDB's format (docs/FORMAT.md) with nothing between them.  A
 * *position* is the offset of a byte in the log, from its beginning: of the file if the log is one
 * file, else of all its segments one after the other.  Positions stay the same when the log is
 * opened again, until a freyjafs mount of the same directory compacts it.
 *
 * Errors: a function that returns int returns 0 (freyja_iter_next() also 1) or a negative errno
 * value, and leaves its ret_... arguments untouched when it fails.  The library prints nothing, and
 * never calls exit() or abort(), but for misuse such as a handle that was closed.  A failed put
 * leaves no partial record in the log, and the log stays usable: -ENOSPC and -EDQUOT end when there
 * is space again.  After one failed fdatasync(2) the handle is *poisoned*: every later put and sync
 * returns -EIO, because the kernel may have dropped the pages that it failed to write; reading
 * still works.  Close the log and open it again: recovery finds what is on the disk.
 *
 * Threads: a 'struct freyja_log' may be used by any number of threads at once; freyja_close() must
 * be the last call.  An iterator or a record may be used by one thread at a time.  After fork(2)
 * only the parent may use the handle.
 *
 * Memory: arguments are copied; the caller may change or free them when a function has returned. */
#ifndef FREYJALOG_H
#define FREYJALOG_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FREYJA_MUST_CHECK __attribute__((warn_unused_result))

struct freyja_log;    /* an open log */
struct freyja_record; /* a record that was read */
struct freyja_iter;   /* a place in an open log, to read from */

/* Returns the version of the library, such as "0.1.0".  The string is static. */
const char *freyja_version(void);

/* --- opening and closing --- */

#define FREYJA_NEVER INT64_MAX /* fsync_interval_ns */
#define FREYJA_AUTO  INT64_MAX /* preallocate_bytes */

/* Flags of struct freyja_config. */
#define FREYJA_READ_ONLY UINT64_C(1)

/* Says which log freyja_open() opens, and how.  Later versions of the library may add fields at the
 * end; 'struct_bytes' tells them what a program was compiled with. */
struct freyja_config {
	size_t struct_bytes; /* set by freyja_config_init() */

	/* Path of the log.  If it ends in '/' it is a directory, and the log is "active.data" in
	 * it.  A missing log is created with mode 0600, and its directory, but not the parent of
	 * that, with mode 0700. */
	const char *path;

	/* Nanoseconds: 0, or 1 to 3,600,000,000,000 (one hour), or FREYJA_NEVER.  0: a record is
	 * durable when its put returns.  Otherwise a put returns before, and the library syncs the
	 * log in the background at most this long after the oldest record that is not durable.
	 * FREYJA_NEVER: it does not; freyja_sync() and freyja_close() do. */
	int64_t fsync_interval_ns;

	/* Bytes: 0 to 1 GiB.  0: the kernel has a record when its put returns, so that the record
	 * outlives the process.  Otherwise up to so many bytes of records stay in the memory of the
	 * process until the buffer is full, the interval has passed, or the log is synced or
	 * closed.  With an interval of 0 there is no buffer. */
	int64_t buffer_size_bytes;

	/* Bytes: 0, or 1 KiB to 1 TiB.  0: the log is one file.  Otherwise a new segment begins
	 * when the active one would grow larger than this.  Must not be 0 for a writer of a log
	 * that has begun a second segment, nor for a directory that freyjafs has mounted; its
	 * default is 1 GiB. */
	int64_t segment_size_bytes;

	/* Bytes: 0 to 1 GiB of zeros that the library keeps behind the last record, so that a sync
	 * commits no metadata of the filesystem.  freyja_close() cuts them off.  FREYJA_AUTO: they
	 * exist while threads keep waiting for syncs, up to 16 MiB and a 64th of the free space. */
	int64_t preallocate_bytes;

	/* FREYJA_READ_ONLY: nothing is changed and no lock is taken, also while another process
	 * writes the log.  The handle shows the log as it was when it was opened. */
	uint64_t flags;
};

/* Sets all of 'config' to the defaults: a sync interval of one second, no buffer, one file, no
 * preallocation, no path.  'struct_bytes' is sizeof(struct freyja_config). */
void freyja_config_init(struct freyja_config *config, size_t struct_bytes);

/* Opens or creates a log, and recovers it after a crash: a torn record or group at its end is saved
 * in the directory quarantine/ next to the log, then cut off.
 *
 * Stores a handle in '*ret', which the caller must close with freyja_close().  Writes a line for
 * people to 'message', an array of 'message_bytes' (NULL and 0: none), which always ends with a NUL
 * byte: after an error which file, which position and what to do; after success "", or that a torn
 * end was cut off.  On success the names of the log and its directory are durable.
 *
 * -EINVAL: a field of 'config' is out of its range, or the log cannot be opened as one file.
 * -E2BIG: 'config' comes from a later version of the library and sets a field that this one does
 * not know.  -EWOULDBLOCK: another handle or process has the log open for writing.  -EBADMSG: a
 * record that was durable is damaged or missing; nothing was changed.  -ENOENT: there is no log,
 * for FREYJA_READ_ONLY, or no parent directory. -ENOMEM, and what the operating system returns for
 * a file: -EACCES, -ENOSPC, -EROFS, ... */
int freyja_open(const struct freyja_config *config, struct freyja_log **ret, char *message,
		size_t message_bytes) FREYJA_MUST_CHECK;

/* Writes the buffer, syncs the log, waits for all callbacks of freyja_sync_async(), and frees the
 * handle.  Sets '*log' to NULL, also on failure; if it is NULL already, does nothing and returns 0.
 * All iterators must have been closed; records may live on.  Returns 0 if every record is durable,
 * otherwise the first error: records that were not durable may then be lost. */
int freyja_close(struct freyja_log **log);

/* --- writing --- */

/* Appends a record.  An empty value makes a *tombstone*, which says that the key is gone.
 *
 * Stores the position of the record in '*ret_position' (may be NULL).  When it returns 0, a read at
 * that position finds the record; it is durable as 'fsync_interval_ns' says.  Records are in the
 * log in the order of their positions, with strictly increasing timestamps.
 *
 * -EINVAL: the key begins with a NUL byte (docs/FORMAT.md, section 4) or with FREYJA_GROUP_KEY.
 * -EFBIG: a key or a value has more than 2^32 - 1 bytes, or the file would exceed a limit of the
 * system.  -EROFS: the log is open read only.  -EIO: the handle is poisoned; if a sync that this
 * put waited for failed, the record may be in the log.  -ENOSPC, -EDQUOT. */
int freyja_put(struct freyja_log *log, const void *key, size_t key_bytes, const void *value,
	       size_t value_bytes, uint64_t *ret_position) FREYJA_MUST_CHECK;

/* A key and a value of a group.  This struct never changes. */
struct freyja_item {
	const void *key;
	size_t key_bytes;
	const void *value;
	size_t value_bytes; /* 0: a tombstone */
};

/* The key of the record that holds a group begins with this.  It has an empty component and so
 * names no file of a mount. */
#define FREYJA_GROUP_KEY "//freyja-group/"

/* Appends 'item_count' records (at least 1) that are in the log together: after a crash all of them
 * are there or none is.
 *
 * Stores the position of each in 'ret_positions', an array of 'item_count' (may be NULL).
 * freyja_get() and iterators read them as records of their own; their timestamp is the time of the
 * call.  Durability and errors are those of freyja_put(); the -EFBIG limit holds for all of them
 * together, with 20 bytes for each.  -EINVAL also: 'item_count' is 0.  -ENOMEM.
 *
 * In the log a group is one record: its key is unique and begins with FREYJA_GROUP_KEY, its value
 * is the records, one after the other.  Programs that do not know groups, freyjafs among them, see
 * that one record; a mount does not show the keys in it. */
int freyja_put_group(struct freyja_log *log, const struct freyja_item *items, size_t item_count,
		     uint64_t *ret_positions) FREYJA_MUST_CHECK;

/* Returns when every record that was put before the call is durable.  -EIO: the sync failed, or the
 * handle is poisoned.  -ENOSPC and others: the buffer cannot be written; its records are still in
 * memory, and a later sync may succeed. */
int freyja_sync(struct freyja_log *log) FREYJA_MUST_CHECK;

/* Called once with the 'arg' of freyja_sync_async(), and with 0 or the error that freyja_sync()
 * would have returned.  Runs in a thread of the library, or in the caller's before
 * freyja_sync_async() returns.  Must not block, and must not call freyja_close(). */
typedef void (*freyja_sync_fn)(void *arg, int err);

/* Calls 'done' when every record that was put before the call is durable, or when that has failed.
 * Calls that wait at the same time share a sync.  -ENOMEM: 'done' will not be called.  Every other
 * error goes to 'done'. */
int freyja_sync_async(struct freyja_log *log, freyja_sync_fn done, void *arg) FREYJA_MUST_CHECK;

/* --- reading --- */

/* The kind of a record.  Later versions may add kinds; a reader should skip unknown ones. */
enum freyja_kind {
	FREYJA_PUT = 1,
	FREYJA_TOMBSTONE = 2, /* the key is gone */
	FREYJA_GROUP = 3,     /* freyja_get() at the position of a whole group: the records in it */
	FREYJA_META = 4,      /* of a freyjafs store: docs/FORMAT.md, section 4 */
};

/* Reads the record at 'position' and compares its CRC.
 *
 * Stores a record that the caller must free with freyja_record_free(); it does not depend on the
 * handle.  Reads records that are still in the buffer, too.  -ERANGE: the log ends at or before
 * 'position'.  -EBADMSG: no record begins there, or it is damaged.  -EIO: the disk cannot be read.
 * -ENOMEM. */
int freyja_get(struct freyja_log *log, uint64_t position,
	       struct freyja_record **ret) FREYJA_MUST_CHECK;

/* These return a field of a record.  The pointers live as long as the record, are never NULL, and
 * are followed by no NUL byte; '*ret_bytes' (may be NULL) becomes the size. */
const void *freyja_record_key(const struct freyja_record *record, size_t *ret_bytes);
const void *freyja_record_value(const struct freyja_record *record, size_t *ret_bytes);
enum freyja_kind freyja_record_kind(const struct freyja_record *record);
uint64_t freyja_record_position(const struct freyja_record *record);
/* Nanoseconds since 1970-01-01 00:00:00 UTC. */
uint64_t freyja_record_timestamp_ns(const struct freyja_record *record);

/* Frees what freyja_get() has returned.  NULL is a no-op. */
void freyja_record_free(struct freyja_record *record);

/* Stores an iterator whose first record is the one at 'position' (0: the first of the log, the end
 * of the log: the next one that will be put).  The caller must close it before the log.  -ERANGE:
 * the log ends before 'position'.  -ENOMEM. */
int freyja_iter_open(struct freyja_log *log, uint64_t position,
		     struct freyja_iter **ret) FREYJA_MUST_CHECK;

/* Reads the next record, in the order of the log, and compares its CRC; the records of a group one
 * by one.  Returns 1 and stores a record that belongs to the iterator and lives until the next call
 * with it; 0 at the end of the log, where a later call returns the records that were put meanwhile;
 * or an error of freyja_get(), after which the iterator stays where it is. */
int freyja_iter_next(struct freyja_iter *iter, const struct freyja_record **ret) FREYJA_MUST_CHECK;

/* Frees the iterator.  NULL is a no-op. */
void freyja_iter_close(struct freyja_iter *iter);

/* --- statistics --- */

/* Later versions of the library may add fields at the end. */
struct freyja_stats {
	uint64_t end_position;	    /* the log ends here */
	uint64_t written_position;  /* the kernel has all bytes before it; <= end_position */
	uint64_t durable_position;  /* all bytes before it are durable; <= written_position */
	uint64_t last_timestamp_ns; /* of the newest record; 0: the log is empty */
	uint64_t appends;	    /* puts, a group counted as one, since the log was opened */
	uint64_t syncs;		    /* fdatasync(2) calls that succeeded since then */
	uint64_t sync_ns_total;	    /* that these took, in nanoseconds */
	uint64_t sync_ns_max;	    /* the slowest of them, in nanoseconds */
	uint64_t segments;	    /* number of the active segment, from 1 */
	uint64_t rotate_failures;   /* attempts to begin a segment that failed; the log goes on in
				       the active one */
	int32_t sync_error;	    /* 0, or the error that has poisoned the handle */
	int32_t rotate_error;	    /* 0, or the error of the last attempt to begin a segment */
};

/* Fills 'ret' with the state at one moment.  'struct_bytes' is sizeof(struct freyja_stats); fields
 * that the library does not know become 0. */
void freyja_get_stats(struct freyja_log *log, struct freyja_stats *ret, size_t struct_bytes);

#ifdef __cplusplus
}
#endif

#endif
