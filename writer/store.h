/* SPDX-License-Identifier: MIT */
/* A store: a DATADIR with its log, and the tree of files that the log spells out.
 *
 * Names and nodes are two things: a directory holds names, a name points at a node, and a node
 * (file or directory) lives until its last name and its last pin are gone.  A 'struct node *'
 * returned by a function is pinned for the caller, who gives it back with store_unpin(); the root
 * needs none.
 *
 * A node made by store_create() exists in memory alone until store_commit() puts it in the log.
 * Everything else that changes the tree is one commit: it is in the log when the function returns
 * 0, and nothing has changed when it returns an error.  No function here waits for durability,
 * except store_sync() and the key interface: a commit stores in 'ret_end' the log position to hand
 * to store_sync_async() (0: nothing was appended).
 *
 * Threads: any, except that store_close() must be the last call.  Errors: 0 or -errno, as POSIX
 * names them for the system call concerned; -EIO once the log is poisoned, or for a value whose CRC
 * is wrong. */
#ifndef FREYJAFS_WRITER_STORE_H
#define FREYJAFS_WRITER_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "codec/compiler.h"
#include "writer/base/diag.h"
#include "writer/base/io.h"
#include "writer/index/node_view.h"
#include "writer/log_writer.h"
#include "writer/base/trouble.h"

struct store; /* opaque, see store/store_private.h */

#define STORE_VALUE_BYTES_MAX	   UINT32_MAX /* one record */
#define STORE_SEGMENT_SIZE_DEFAULT (INT64_C(1) << 30)

/* Called while a store is being opened, often: so many bytes of all of the log are done. */
typedef void (*store_progress_fn)(void *arg, uint64_t done_bytes, uint64_t all_bytes);

/* The clock is so far behind the last record of the log, by a second at least, and was not before.
 * Called with a lock of the store: must not call it. */
typedef void (*store_clock_fn)(void *arg, uint64_t behind_ns);

struct store_config {
	const char
		*dir_path; /* DATADIR; created with mode 0700 if missing (its parent must exist) */
	int64_t fsync_interval_ns;  /* as log_writer_config */
	int64_t buffer_size_bytes;  /* as log_writer_config */
	int64_t segment_size_bytes; /* as log_writer_config; 0: STORE_SEGMENT_SIZE_DEFAULT */
	int64_t preallocate_bytes;  /* as log_writer_config */
	/* As log_writer_config.  Commits about what is missing are then left out, and counted. */
	bool accept_missing_segments;
	/* Opens what is there without the lock and without changing anything, also beside a process
	 * that has it open: the store as it was at one moment.  Every change is -EROFS. */
	bool read_only;
	/* With 'read_only': 0, or the store as it was at this time, ns since the epoch: with the
	 * commits up to it.  What compaction has dropped since cannot be read (-EIO). */
	uint64_t until_ns;
	bool no_background; /* as log_writer_config; and no compaction that was not asked for */
	/* A sealed segment is compacted when so many percent of it (1 ... 100) can be gained; 0:
	 * only by store_compact(). */
	unsigned int compact_at_percent;
	/* What was written less long ago than this is left as it is.  LOG_WRITER_NEVER: all. */
	int64_t retain_ns;
	uint32_t uid, gid; /* of nodes whose log record names none */
	mode_t umask; /* files are 0666 less this, directories 0777 less this, where no record says
			 else */
	bool inode32; /* see struct store_attr */
	const char *holder; /* written to DATADIR/lock for people: who has the store; NULL: the
			       process id alone */
	struct io *io;	    /* NULL: the operating system */
	/* The whole log is read and checked this long after the store was opened, and after the
	 * last time; 0 or less: only by store_scrub(). */
	int64_t scrub_interval_ns;
	trouble_fn trouble; /* told of values that cannot be read or committed; may be NULL */
	void *trouble_arg;
	store_clock_fn clock_behind; /* may be NULL */
	void *clock_arg;
	store_progress_fn progress; /* may be NULL */
	void *progress_arg;
};

/* Opens the store: lock, replay of all segments into the keydir, recovery of active.data.  Stores a
 * store that the caller owns. -EWOULDBLOCK: another process has it; 'diag' says who.  -EBADMSG:
 * damage, or a record that this version does not know; nothing was changed.  'diag' (may be NULL)
 * has the line for the user; it may also hold a notice after success, when a torn tail was cut. */
int store_open(const struct store_config *config, struct store **ret,
	       struct diag *diag) WARN_UNUSED;

/* Syncs, closes and frees 's' (NULL is a no-op).  All pins must have been given back, or are void.
 */
int store_close(struct store *s) WARN_UNUSED;

/* --- nodes and names --- */

struct node *store_root(struct store *s);
/* One more pin on a node that the caller already has pinned. */
void store_pin(struct store *s, struct node *n);
void store_unpin(struct store *s, struct node *n, uint64_t count);

void store_getattr(struct store *s, struct node *n, struct store_attr *ret);
/* The parent directory, pinned; the root's is the root; NULL for a node without a name. */
struct node *store_parent(struct store *s, struct node *n);

/* Copies the path of 'n' (PATH_BYTES_MAX bytes at most), without a NUL; a node with several names
 * has several, and this is one of them.  Returns its size; 0: it has no name. */
size_t store_node_path(struct store *s, struct node *n, char *buf);

/* -ENOENT, -ENOTDIR, -ENAMETOOLONG.  'ret_attr' may be NULL. */
int store_lookup(struct store *s, struct node *dir, const char *name, size_t name_bytes,
		 struct node **ret, struct store_attr *ret_attr) WARN_UNUSED;

/* Calls 'fn' for the entries behind 'cookie' (0: all), without "." and "..".  Returns 0, or what
 * 'fn' returned. */
int store_list(struct store *s, struct node *dir, uint64_t cookie, store_list_fn fn, void *arg);
/* No entry of 'dir' has a larger cookie now; each one that is made later has. */
uint64_t store_list_end(struct store *s, struct node *dir);
/* One more pin on an entry of the listing that the callback was called for. */
void store_pin_in_list(struct node *n);

/* Makes a file that is in the directory at once and in the log with store_commit().  -EEXIST,
 * -ENOENT (the directory was removed), -ENAMETOOLONG, -ENOTDIR, -EIO. */
int store_create(struct store *s, const struct store_name *at, const struct store_owner *owner,
		 struct node **ret, struct store_attr *ret_attr) WARN_UNUSED;

/* O_TMPFILE: makes a file without a name, which nobody finds and a crash takes; it goes with its
 * last pin.  'dir' is where it would be.  -ENOENT, -ENOTDIR, -EIO. */
int store_create_unnamed(struct store *s, struct node *dir, const struct store_owner *owner,
			 struct node **ret) WARN_UNUSED;
/* Gives it a name, after which it is as store_create() had made it: store_commit() brings it into
 * the log, and store_unlink() takes the name back if that fails.  -EEXIST, -ENOENT, -ENAMETOOLONG,
 * -ENOTDIR, -EIO; -EINVAL: it is not such a file (any more). */
int store_give_name(struct store *s, struct node *n, const struct store_name *at) WARN_UNUSED;

int store_mkdir(struct store *s, const struct store_name *at, const struct store_owner *owner,
		struct node **ret, struct store_attr *ret_attr, uint64_t *ret_end) WARN_UNUSED;

/* Makes a symlink, a fifo, a socket or a device: 'mode' has the type.  In the log at once. 'target'
 * (symlinks) is NUL-terminated, 1 ... 4095 bytes.  The kernel has checked who may make a device. */
struct store_special {
	struct store_owner owner; /* 'mode' has the type */
	const char *target;
	uint32_t rdev_major, rdev_minor;
};
int store_mknod(struct store *s, const struct store_name *at, const struct store_special *special,
		struct node **ret, struct store_attr *ret_attr, uint64_t *ret_end) WARN_UNUSED;

/* Copies the target of a symlink, without a NUL.  Returns its size, or -EINVAL, -ERANGE. */
ssize_t store_readlink(struct store *s, struct node *n, char *buf, size_t buf_bytes) WARN_UNUSED;

/* Gives 'n', which is no directory, one more name.  A node that is not committed yet is committed
 * by it, as an empty file: its caller commits it first if it has a value.  -EEXIST, -EPERM (a
 * directory), -ENOENT (it has no name any more), -EMLINK. */
int store_link(struct store *s, struct node *n, const struct store_name *at,
	       uint64_t *ret_end) WARN_UNUSED;

/* Removes a name.  Works on a full disk: space is kept in reserve for it.  -EISDIR from unlink,
 * -ENOTDIR and -ENOTEMPTY from rmdir.  A node that never was committed leaves nothing in the log.
 */
int store_unlink(struct store *s, const struct store_name *at, uint64_t *ret_end) WARN_UNUSED;
int store_rmdir(struct store *s, const struct store_name *at, uint64_t *ret_end) WARN_UNUSED;

/* rename(2), 'flags' as renameat2(2): 0, RENAME_NOREPLACE or RENAME_EXCHANGE, else -EINVAL.  One
 * record.  A node that is not committed yet is committed first, as an empty file: its caller
 * commits it if it has a value.  -EINVAL: into its own subdirectory.  -ENOTEMPTY, -EISDIR,
 * -ENOTDIR, -EEXIST, -ENOENT. */
int store_rename(struct store *s, const struct store_name *from, const struct store_name *to,
		 unsigned int flags, uint64_t *ret_end) WARN_UNUSED;

/* Sets attributes.  A committed node: one attr record, now.  Another: in memory; store_commit()
 * writes owner and mode, and takes times from its own 'set'.  Without STORE_SET_CTIME the ctime
 * becomes now. */
int store_setattr(struct store *s, struct node *n, const struct store_set *set,
		  uint64_t *ret_end) WARN_UNUSED;

/* --- extended attributes; any name of 1 ... 255 bytes: who may use which is the caller's business
 * --- */

/* A size of 0 asks for the size.  -ENODATA, -ERANGE. */
ssize_t store_getxattr(struct store *s, struct node *n, const char *name, void *buf,
		       size_t buf_bytes) WARN_UNUSED;
/* The names, each with a NUL behind it; those that 'filter' (NULL: all) lets through. */
ssize_t store_listxattr(struct store *s, struct node *n, store_xattr_filter filter, char *buf,
			size_t buf_bytes) WARN_UNUSED;
/* 'flags' as setxattr(2): 0, XATTR_CREATE, XATTR_REPLACE.  -EEXIST, -ENODATA, -ENOSPC (all of a
 * node are at most 1 MiB), -ERANGE (the name). */
int store_setxattr(struct store *s, struct node *n, const char *name, const void *value,
		   size_t value_bytes, int flags, uint64_t *ret_end) WARN_UNUSED;
int store_removexattr(struct store *s, struct node *n, const char *name,
		      uint64_t *ret_end) WARN_UNUSED;

/* --- values --- */

/* Commits a value as the whole content of 'n', with the attributes in 'set' (NULL: those it has),
 * in one piece: a plain record, preceded by an attr record where one is needed (an empty value,
 * attributes that are not the default and not yet in the log, explicit times).  'written_at' is the
 * time of the last write: the record's timestamp if it is later than all in the log, so that it is
 * the file's mtime and ctime; 'written_at_shown' says that somebody has seen it as such, then it is
 * kept even when it costs an attr record.  A node without a name: nothing is
 * appended ('ret_end' is 0), and the value is dropped.  -EFBIG above STORE_VALUE_BYTES_MAX. */
int store_commit(struct store *s, struct node *n, const void *value, uint64_t value_bytes,
		 struct timespec written_at, bool written_at_shown, const struct store_set *set,
		 uint64_t *ret_end) WARN_UNUSED;

/* Reads the committed value.  Returns how many bytes (fewer at its end), or -errno.  -EIO: the CRC
 * of a record is wrong; it is checked once, at the first read from each. */
ssize_t store_read(struct store *s, struct node *n, void *buf, size_t buf_bytes,
		   uint64_t offset) WARN_UNUSED;

/* Stores where the next bytes at or behind 'offset' begin and end that are no hole.  False: there
 * are none.  They may go on behind the end. */
bool store_next_data(struct store *s, struct node *n, uint64_t offset, uint64_t *ret_begin,
		     uint64_t *ret_end);

/* Checks the CRCs of the committed value, unless that has been done.  0 or -EIO. */
int store_verify(struct store *s, struct node *n) WARN_UNUSED;

/* --- staging: content that is in the log and belongs to no file yet --- */

#define STORE_CONTENT_BYTES_MAX INT64_MAX /* of a file */

struct store_staging; /* opaque, see store/staging.c; one thread at a time */

/* Bytes at an offset of the file, or ('data' is NULL) a hole to be laid over what is there. */
struct store_range {
	uint64_t offset, bytes;
	const void *data;
};

/* Appends ranges and adds them, in their order, to '*staging', which is made if it is NULL.  After
 * a failure it may have some of them.  -EFBIG past STORE_CONTENT_BYTES_MAX. */
int store_stage(struct store *s, struct store_staging **staging, const struct store_range *ranges,
		size_t range_count) WARN_UNUSED;
/* Frees it (NULL is a no-op), before the store is closed.  What it has in the log is dead. */
void store_staging_free(struct store_staging *staging);

/* What a staging has at 'offset', and where that ends (UINT64_MAX: nothing comes behind it). */
enum store_staged {
	STORE_STAGED_NOTHING,
	STORE_STAGED_DATA,
	STORE_STAGED_HOLE,
};
enum store_staged store_staged_at(const struct store_staging *staging, uint64_t offset,
				  uint64_t *ret_end);
uint64_t store_staged_bytes(const struct store_staging *staging); /* without holes */
/* Reads bytes that it has; all of them, or -errno.  'node' is the file that they are for, for a
 * message; may be NULL. */
int store_staged_read(struct store *s, struct node *node, struct store_staging *staging, void *buf,
		      size_t buf_bytes, uint64_t offset) WARN_UNUSED;

/* Where 'err', of staging or publishing, says that the disk is full: gives up a piece of the
 * reserve for the last bytes of a value that is staged but for these, and says whether there was
 * one.  Then it can be tried again. */
bool store_lends_space(struct store *s, int err);

/* As store_commit(), but what is staged becomes the content: with 'keep' laid over the committed
 * one, else all of it; and the file has 'size_bytes'.  '*staging' (NULL: nothing) is freed and
 * becomes NULL.  A node without a name, or a failure: it stays. */
int store_publish(struct store *s, struct node *n, struct store_staging **staging, bool keep,
		  uint64_t size_bytes, struct timespec written_at, bool written_at_shown,
		  const struct store_set *set, uint64_t *ret_end) WARN_UNUSED;

/* --- durability --- */

/* Everything committed before the call is durable when it returns 0. */
int store_sync(struct store *s) WARN_UNUSED;
/* As log_writer_sync_async(): calls 'done' when the log is durable up to 'end'. */
int store_sync_async(struct store *s, uint64_t end, log_sync_fn done, void *arg) WARN_UNUSED;
/* The position behind everything committed so far. */
uint64_t store_end(struct store *s);
/* Seals the active segment, unless it is empty. */
int store_rotate(struct store *s) WARN_UNUSED;

/* --- compaction --- */

/* Called now and then: so many bytes of the log have been looked at, of so many.  Not 0 stops it.
 */
typedef int (*store_compact_progress_fn)(void *arg, uint64_t done_bytes, uint64_t all_bytes);
/* Seals the active segment if there is anything to gain in it, and compacts until nothing more can
 * be gained.  Returns when that is done; others go on meanwhile.  'progress' may be NULL.  -ENOSPC:
 * some of it needs more space than there is.  -EBADMSG: a segment is damaged, and was left as it
 * is; so was nothing else.  -ECANCELED: 'progress' or store_close() stopped it.  -EPERM: segments
 * are missing, and what seems dead may not be. */
int store_compact(struct store *s, store_compact_progress_fn progress, void *arg) WARN_UNUSED;
/* The same by the store's own thread; 'done' is called once, as by log_writer_sync_async().  Where
 * there is no such thread it is done before this returns. */
int store_compact_async(struct store *s, log_sync_fn done, void *arg) WARN_UNUSED;

/* The sync interval is 0: a commit is to be durable before it is acknowledged. */
bool store_is_synchronous(const struct store *s);

/* --- keys: the store as a key-value store, without a mount --- */

/* Puts a key that is a path, or any other: what no path can name is kept all the same.  Waits for
 * durability when the interval is 0.  An empty value is -EINVAL: use store_delete().  -EISDIR: the
 * path is a directory. */
int store_put(struct store *s, const void *key, size_t key_bytes, const void *value,
	      size_t value_bytes, uint64_t *ret_offset) WARN_UNUSED;
/* Deletes a key.  -ENOENT: there is none, and nothing was appended. */
int store_delete(struct store *s, const void *key, size_t key_bytes) WARN_UNUSED;
/* Reads a key into a new buffer that the caller frees.  -ENOENT, -EFBIG above
 * STORE_VALUE_BYTES_MAX. */
int store_get(struct store *s, const void *key, size_t key_bytes, void **ret_value,
	      size_t *ret_value_bytes) WARN_UNUSED;
/* Calls 'fn' for each key that no path can name, under a lock: it must not call the store.  Not 0
 * stops the listing, which returns it. */
typedef int (*store_unnamed_fn)(void *arg, const void *key, size_t key_bytes, uint64_t size_bytes);
int store_list_unnamed(struct store *s, store_unnamed_fn fn, void *arg);
/* Reads the record at log position 'offset', which compaction may make void: its key and value in
 * new buffers that the caller frees.  -EBADMSG. */
int store_get_at(struct store *s, uint64_t offset, struct record *ret,
		 void **ret_buffer) WARN_UNUSED;

/* --- scrub --- */

/* Has the whole log read and checked in the background, soon; once more after one that runs
 * already. -errno: there is no thread for it. */
int store_scrub(struct store *s) WARN_UNUSED;

struct store_scrub {
	bool running;
	uint64_t done_bytes; /* of the one that runs */
	uint64_t runs;	     /* that came to their end since open */
	/* Of the last one that did: */
	uint64_t ended_ns; /* wall clock, since the epoch; 0: there was none */
	int err;	   /* -ENOMEM, or 0 */
	uint64_t bytes, records;
	uint64_t damaged;	  /* records that are not what was written */
	uint64_t unchecked_bytes; /* behind a damaged one, without a hint that tells them apart */
};

/* --- figures --- */

enum store_compaction_state {
	STORE_COMPACTION_IDLE,
	STORE_COMPACTION_RUNNING,
	STORE_COMPACTION_NO_SPACE, /* until there is more of it */
	STORE_COMPACTION_FAILED,   /* by 'err'; tried again later */
	STORE_COMPACTION_NOT_SAFE, /* segments are missing */
};

struct store_compaction {
	enum store_compaction_state state;
	int err;
	uint64_t needed_bytes;	      /* of space on the disk, STORE_COMPACTION_NO_SPACE */
	uint64_t segments;	      /* written anew since open */
	uint64_t gained_bytes;	      /* by that, and by folds */
	uint64_t folds;		      /* of the oldest ones into one, since open */
	uint64_t unreadable_segments; /* left as they are */
};

struct store_stats {
	struct log_writer_stats log;
	struct log_recovery recovery; /* what opening found */
	uint64_t files;		      /* nodes that are files, with a name */
	uint64_t directories;	      /* without the root */
	uint64_t unnamed_keys;	      /* keys that no path can name */
	uint64_t dropped_commits;     /* at open, because of missing segments */
	uint64_t incomplete_names;    /* at open: not all of their content is in the log any more */
	uint64_t moved_directories;   /* at open, to the root: paths in them were too long */
	uint64_t live_bytes;	      /* of records that a file or an unnamed key is read from */
	uint64_t clock_behind_ns; /* how far the clock is behind the last record; 0: it is not */
	struct store_compaction compaction;
	struct store_scrub scrub;
	bool reserve_missing; /* the reserve for deleting on a full disk could not be made */
};
void store_stats(struct store *s, struct store_stats *ret);
int store_space(struct store *s, struct io_space *ret) WARN_UNUSED;
const char *store_path(const struct store *s);

#endif
