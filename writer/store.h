/* SPDX-License-Identifier: MIT */
/* A store: a DATADIR with its log, and the tree of files that the log describes.
 *
 * Names and nodes are separate: a directory has names, a name leads to a node, and a node (a file
 * or directory) lives until its last name and its last pin are gone.  A 'struct node *' that a
 * function returns is pinned for the caller, who drops the pin with store_unpin(); the root needs
 * no pin.
 *
 * A node made by store_create() exists only in memory until store_commit() puts it in the log.
 * Every other change of the tree is one commit: it is in the log when the function returns 0, and
 * nothing has changed when it returns an error.  No function here waits for durability, except
 * store_sync(), store_rotate() and the key interface.  A function that commits stores in 'ret_end'
 * the log position to pass to store_sync_async(); 0: nothing was appended.
 *
 * Names of entries are 'name_bytes' long and need no NUL.  Pointers to callers' buffers are not
 * kept.
 *
 * Threads: any, except that store_close() must be the last call.
 *
 * Errors: 0 or -errno, as POSIX names them for the system call concerned.  -EIO if the log is
 * poisoned, or the CRC of a value is wrong.  -EROFS for a change of a store that is open read-only.
 */
#ifndef FREYJAFS_WRITER_STORE_H
#define FREYJAFS_WRITER_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "codec/compiler.h"
#include "codec/xattrs.h"
#include "writer/base/diag.h"
#include "writer/base/io.h"
#include "writer/index/node_view.h"
#include "writer/log_writer.h"
#include "writer/base/trouble.h"

struct store; /* defined in store/store_private.h */

#define STORE_VALUE_BYTES_MAX	   UINT32_MAX /* of one record */
#define STORE_SEGMENT_SIZE_DEFAULT (INT64_C(1) << 30)

/* Reports the progress of opening a store: 'done_bytes' of 'all_bytes' of the log are replayed.
 * Called often. */
typedef void (*store_progress_fn)(void *arg, uint64_t done_bytes, uint64_t all_bytes);

/* Reports that the clock is 'behind_ns' behind the last record of the log, at least one second more
 * than when it was last compared.  Called with a lock of the store held: it must not call the
 * store. */
typedef void (*store_clock_fn)(void *arg, uint64_t behind_ns);

struct store_config {
	const char
		*dir_path; /* DATADIR; created with mode 0700 if missing; its parent must exist */
	int64_t fsync_interval_ns;  /* as log_writer_config */
	int64_t buffer_size_bytes;  /* as log_writer_config */
	int64_t segment_size_bytes; /* as log_writer_config; 0: STORE_SEGMENT_SIZE_DEFAULT */
	int64_t preallocate_bytes;  /* as log_writer_config */
	/* As log_writer_config.  Commits about missing records are then left out, and counted. */
	bool accept_missing_segments;
	/* Opens the store as it was at one moment, without the lock and without a change, also
	 * while another process has it open.  Every change returns -EROFS. */
	bool read_only;
	/* With 'read_only': opens the store as it was at this time, ns since the epoch, which
	 * includes the commits of that moment; 0: as it is now.  Values that compaction has dropped
	 * since then cannot be read (-EIO). */
	uint64_t until_ns;
	bool no_background; /* as log_writer_config; and no compaction without a request */
	/* A sealed segment is compacted when this percentage of it (1 ... 100) can be gained; 0:
	 * only by store_compact(). */
	unsigned int compact_at_percent;
	/* Segments with records younger than this, in ns, are not compacted; LOG_WRITER_NEVER: no
	 * segment is. */
	int64_t retain_ns;
	uint32_t uid, gid; /* of nodes whose log record has no owner */
	mode_t umask; /* files without a mode in the log have 0666 less this, directories 0777 less
			 this */
	bool inode32; /* see struct store_attr */
	const char *holder; /* text for people, written to DATADIR/lock, that names the user of the
			       store; NULL: only the process id */
	struct io *io;	    /* NULL: the operating system */
	/* The whole log is read and checked this long, in ns, after the store was opened, and after
	 * each such scrub; 0 or less: only by store_scrub(). */
	int64_t scrub_interval_ns;
	trouble_fn trouble; /* called for values that cannot be read or committed; may be NULL */
	void *trouble_arg;
	store_clock_fn clock_behind; /* may be NULL */
	void *clock_arg;
	store_progress_fn progress; /* may be NULL */
	void *progress_arg;
};

/* Opens the store: takes the lock, replays all segments into the keydir, and recovers active.data.
 * Stores a store that the caller owns and closes with store_close().  Strings in 'config' are
 * copied; 'io' and the arguments of callbacks are borrowed.  -EWOULDBLOCK if another process has
 * the store; 'diag' has that process's text.  -EBADMSG for damage, or a record that this version
 * does not know; then nothing was changed.  'diag' (may be NULL) has the line for the user, after
 * success also a notice if a torn tail was cut. */
int store_open(const struct store_config *config, struct store **ret,
	       struct diag *diag) WARN_UNUSED;

/* Syncs, closes and frees 's' (NULL is a no-op), also on failure.  All pins must have been dropped
 * before, or are void.  Returns the first failure; on success all commits are durable. */
int store_close(struct store *s) WARN_UNUSED;

/* --- nodes and names --- */

struct node *store_root(struct store *s);
/* Adds a pin to a node that the caller has pinned already. */
void store_pin(struct store *s, struct node *n);
void store_unpin(struct store *s, struct node *n, uint64_t count);

void store_getattr(struct store *s, struct node *n, struct store_attr *ret);
/* Returns the parent directory, pinned; for the root the root; NULL for a node without a name. */
struct node *store_parent(struct store *s, struct node *n);

/* Copies the path of 'n' without a NUL; 'buf' has PATH_BYTES_MAX bytes.  For a node with several
 * names it is one of their paths.  Returns its size; 0: the node has no name. */
size_t store_node_path(struct store *s, struct node *n, char *buf);

/* Finds an entry of 'dir' and stores its node, pinned.  'ret_attr' may be NULL.  -ENOENT, -ENOTDIR,
 * -ENAMETOOLONG. */
int store_lookup(struct store *s, struct node *dir, const char *name, size_t name_bytes,
		 struct node **ret, struct store_attr *ret_attr) WARN_UNUSED;
/* Follows a path from the root ("": the root) in the same way.  -ENOENT. */
int store_find_path(struct store *s, const char *path, size_t path_bytes, struct node **ret,
		    struct store_attr *ret_attr) WARN_UNUSED;

/* Calls 'fn' for the entries behind 'cookie' (0: all), without "." and "..".  Returns 0, or the
 * value that 'fn' returned to stop the listing. */
int store_list(struct store *s, struct node *dir, uint64_t cookie, store_list_fn fn, void *arg);
/* Returns a cookie: no entry of 'dir' has a larger one now, and each entry that is made later does.
 */
uint64_t store_list_end(struct store *s, struct node *dir);
/* Adds a pin to the node of an entry.  Only for the callback of store_list(), for the entry that it
 * was called with. */
void store_pin_in_list(struct node *n);

/* Makes a file that is in the directory immediately, and in the log only with store_commit().
 * Stores the node, pinned.  -EEXIST, -ENOENT (the directory was removed), -ENAMETOOLONG, -ENOTDIR,
 * -EIO. */
int store_create(struct store *s, const struct store_name *at, const struct store_owner *owner,
		 struct node **ret, struct store_attr *ret_attr) WARN_UNUSED;

/* Makes a temporary file (O_TMPFILE): it has no name, no lookup finds it, and it is gone with its
 * last pin or with a crash.  'dir' is the directory that it would be in.  Stores the node, pinned.
 * -ENOENT, -ENOTDIR, -EIO. */
int store_create_temporary(struct store *s, struct node *dir, const struct store_owner *owner,
			   struct node **ret) WARN_UNUSED;
/* Gives a temporary file its first name; it is then like a file that store_create() has made:
 * store_commit() puts it in the log, and if that fails store_unlink() takes the name back.
 * -EEXIST, -ENOENT, -ENAMETOOLONG, -ENOTDIR, -EIO; -EINVAL if 'n' is not a temporary file (any
 * more). */
int store_give_name(struct store *s, struct node *n, const struct store_name *at) WARN_UNUSED;

int store_mkdir(struct store *s, const struct store_name *at, const struct store_owner *owner,
		struct node **ret, struct store_attr *ret_attr, uint64_t *ret_end) WARN_UNUSED;

/* Makes a symlink, a fifo, a socket or a device; 'mode' has the type.  Commits it.  'target' (of
 * symlinks) is NUL-terminated, 1 ... 4095 bytes.  The kernel has checked the permission to make a
 * device. */
struct store_special {
	struct store_owner owner; /* 'mode' has the type */
	const char *target;
	uint32_t rdev_major, rdev_minor;
};
int store_mknod(struct store *s, const struct store_name *at, const struct store_special *special,
		struct node **ret, struct store_attr *ret_attr, uint64_t *ret_end) WARN_UNUSED;

/* Copies the target of a symlink, without a NUL.  Returns its size, or -EINVAL (not a symlink),
 * -ERANGE ('buf' is too small). */
ssize_t store_readlink(struct store *s, struct node *n, char *buf, size_t buf_bytes) WARN_UNUSED;

/* Gives 'n', which is not a directory, one more name.  If the node is not committed yet, this
 * commits it as an empty file; a caller that has a value for it must commit that first.  -EEXIST,
 * -EPERM (a directory), -ENOENT (the node has no name any more), -EMLINK. */
int store_link(struct store *s, struct node *n, const struct store_name *at,
	       uint64_t *ret_end) WARN_UNUSED;

/* Remove a name.  They also work on a full disk: a reserve keeps space for that.  -EISDIR from
 * unlink, -ENOTDIR and -ENOTEMPTY from rmdir.  A node that was never committed leaves nothing in
 * the log. */
int store_unlink(struct store *s, const struct store_name *at, uint64_t *ret_end) WARN_UNUSED;
int store_rmdir(struct store *s, const struct store_name *at, uint64_t *ret_end) WARN_UNUSED;

/* rename(2); 'flags' as renameat2(2): 0, RENAME_NOREPLACE or RENAME_EXCHANGE, otherwise -EINVAL.
 * Appends one record.  If the node is not committed yet, this first commits it as an empty file; a
 * caller that has a value for it must commit that before.  -EINVAL if a directory would move into
 * its own subdirectory.  -ENOTEMPTY, -EISDIR, -ENOTDIR, -EEXIST, -ENOENT. */
int store_rename(struct store *s, const struct store_name *from, const struct store_name *to,
		 unsigned int flags, uint64_t *ret_end) WARN_UNUSED;

/* Sets attributes.  For a committed node it appends one attr record.  For another it sets them in
 * memory: store_commit() then writes owner and mode, and takes times from its own 'set'.  Without
 * STORE_SET_CTIME the ctime becomes the current time. */
int store_setattr(struct store *s, struct node *n, const struct store_set *set,
		  uint64_t *ret_end) WARN_UNUSED;

/* --- extended attributes; names are any 1 ... 255 bytes; the caller checks who may use which ---
 */

/* Copies the value.  Returns its size, with a 'buf_bytes' of 0 without copying.  -ENODATA, -ERANGE.
 */
ssize_t store_getxattr(struct store *s, struct node *n, const char *name, void *buf,
		       size_t buf_bytes) WARN_UNUSED;
/* Copies the names that 'filter' (NULL: all) accepts, each followed by a NUL.  Returns their size,
 * with a 'buf_bytes' of 0 without copying. */
ssize_t store_listxattr(struct store *s, struct node *n, store_xattr_filter filter, char *buf,
			size_t buf_bytes) WARN_UNUSED;
/* Set or remove an extended attribute.  'flags' as setxattr(2): 0, XATTR_CREATE, XATTR_REPLACE.
 * -EEXIST, -ENODATA, -E2BIG (more than XATTRS_SET_BYTES_MAX together), -ERANGE (the name). */
int store_setxattr(struct store *s, struct node *n, const struct xattr *x, int flags,
		   uint64_t *ret_end) WARN_UNUSED;
int store_removexattr(struct store *s, struct node *n, const char *name,
		      uint64_t *ret_end) WARN_UNUSED;

/* --- values --- */

/* The content of a file from its next commit on. */
struct store_content {
	uint64_t bytes;	   /* size of the file */
	const void *value; /* store_commit(): all its bytes */
	bool keep;	   /* store_publish(): staged bytes are laid over the committed content;
			      otherwise they are all of it */
	/* The time of the last write: it becomes the record's timestamp if it is later than all in
	 * the log, and so the file's mtime and ctime. */
	struct timespec written_at;
	bool written_at_shown; /* a program has seen this time as mtime; it is kept even if that
				  requires an attr record */
	const struct store_set *set; /* attributes; NULL: the present ones */
};
/* Commits a value as the whole content of 'n', as one group: a plain record, preceded by an attr
 * record if one is needed (for an empty value, for attributes that are not the default and not yet
 * in the log, for explicit times).  For a node without a name nothing is appended ('ret_end' is 0),
 * and the value is dropped.  -EFBIG above STORE_VALUE_BYTES_MAX. */
int store_commit(struct store *s, struct node *n, const struct store_content *content,
		 uint64_t *ret_end) WARN_UNUSED;

/* Reads the committed value from byte 'offset' on.  Returns the number of bytes (fewer than
 * 'buf_bytes' only at its end), or -errno.  -EIO if the CRC of a record is wrong; each record is
 * checked at the first read from it. */
ssize_t store_read(struct store *s, struct node *n, void *buf, size_t buf_bytes,
		   uint64_t offset) WARN_UNUSED;

/* Returns the size of a committed value that is one record, was in the log when the store was
 * opened, and has not been read since; 0 for any other, an empty one included. */
size_t store_unread_bytes(struct store *s, struct node *n);

/* For a read from byte 'offset' on that has to wait for the disk: begins to read the bytes around
 * that place in the log into memory, because values that were written together are often read
 * together.  The more of the values that are read for the first time are in memory already, the
 * more bytes: STORE_AHEAD_MIN to STORE_AHEAD_MAX.  Only for values smaller than STORE_AHEAD_MIN. */
#define STORE_AHEAD_MIN UINT32_C(32768)
#define STORE_AHEAD_MAX (UINT32_C(2) << 20)
void store_read_ahead(struct store *s, struct node *n, uint64_t offset);

/* Stores the beginning and the end of the next bytes at or behind 'offset' that are not a hole.
 * Returns false if there are none.  More data may follow at the end. */
bool store_next_data(struct store *s, struct node *n, uint64_t offset, uint64_t *ret_begin,
		     uint64_t *ret_end);

/* Returns the log position of the first bytes of the committed value, so that a caller can read
 * many files in the order of the log; 0: the log has no bytes of it. */
uint64_t store_position(struct store *s, struct node *n);

/* --- staging: content that is in the log and does not belong to a file yet --- */

#define STORE_CONTENT_BYTES_MAX INT64_MAX /* of a file */

struct store_staging; /* defined in store/staging.c; one thread at a time */

/* Bytes at an offset of the file or, if 'data' is NULL, a hole that replaces the bytes there. */
struct store_range {
	uint64_t offset, bytes;
	const void *data;
};

/* Appends ranges to the log and adds them, in their order, to '*staging', which is made if it is
 * NULL.  The bytes are copied.  After a failure it may have some of the ranges.  -EFBIG past
 * STORE_CONTENT_BYTES_MAX. */
int store_stage(struct store *s, struct store_staging **staging, const struct store_range *ranges,
		size_t range_count) WARN_UNUSED;
/* Frees 'staging' (NULL is a no-op); required before the store is closed.  Its extents in the log
 * are then dead bytes. */
void store_staging_free(struct store_staging *staging);

/* Returns which kind of content a staging has at 'offset', and stores the end of that range
 * (UINT64_MAX: nothing follows). */
enum store_staged {
	STORE_STAGED_NOTHING,
	STORE_STAGED_DATA,
	STORE_STAGED_HOLE,
};
enum store_staged store_staged_at(const struct store_staging *staging, uint64_t offset,
				  uint64_t *ret_end);
uint64_t store_staged_bytes(const struct store_staging *staging); /* without holes */
/* Reads staged bytes: all of them, or returns -errno.  'node' is their file, for a message; it may
 * be NULL. */
int store_staged_read(struct store *s, struct node *node, struct store_staging *staging, void *buf,
		      size_t buf_bytes, uint64_t offset) WARN_UNUSED;

/* If 'err', from staging or publishing, means that the disk is full, gives up a piece of the
 * reserve, for the last bytes of a value that is staged except for these.  Returns true if the
 * reserve had one; the caller can then try again. */
bool store_lends_space(struct store *s, int err);

/* As store_commit(), but the staged bytes become the content.  Frees '*staging' (NULL: nothing is
 * staged) and sets it to NULL.  If the node has no name, or on failure, '*staging' stays. */
int store_publish(struct store *s, struct node *n, struct store_staging **staging,
		  const struct store_content *content, uint64_t *ret_end) WARN_UNUSED;

/* --- durability --- */

/* Makes everything durable that was committed before the call, and waits for that. */
int store_sync(struct store *s) WARN_UNUSED;
/* As log_writer_sync_async(): calls 'done' once the log is durable up to position 'end', or with an
 * error. */
int store_sync_async(struct store *s, uint64_t end, log_sync_fn done, void *arg) WARN_UNUSED;
/* As log_writer_hurry(): the next sync does not wait for more callers. */
void store_hurry(struct store *s);
/* Returns the log position behind the last commit. */
uint64_t store_end(struct store *s);
/* Seals the active segment, unless it is empty.  Everything committed before the call is durable on
 * return. */
int store_rotate(struct store *s) WARN_UNUSED;

/* --- compaction --- */

/* Reports that 'done_bytes' of 'all_bytes' of the log have been examined.  Called now and then.  If
 * it does not return 0, the compaction stops. */
typedef int (*store_compact_progress_fn)(void *arg, uint64_t done_bytes, uint64_t all_bytes);
/* Seals the active segment if space can be gained in it, and compacts until no more can be gained.
 * Returns when that is done; other threads are not blocked.  'progress' may be NULL.  -ENOSPC if
 * some of it needs more space than the disk has.  -EBADMSG if a segment is damaged; then only that
 * segment was left as it is.  -ECANCELED if 'progress' or store_close() stopped it.  -EPERM if
 * segments are missing, because bytes that seem dead may not be dead then. */
int store_compact(struct store *s, store_compact_progress_fn progress, void *arg) WARN_UNUSED;
/* As store_compact(), by the store's own thread, which calls 'done' once, as
 * log_writer_sync_async() does.  Without such a thread, compacts before it returns. */
int store_compact_async(struct store *s, log_sync_fn done, void *arg) WARN_UNUSED;

/* Returns whether the sync interval is 0: then a commit must be durable before it is acknowledged.
 */
bool store_is_synchronous(const struct store *s);

/* --- keys: the store as a key-value store, without a mount --- */

/* Puts a value under a key that may be a path or any other non-empty bytes that are not the key of
 * a meta record; a key that no path can name is kept as an unnameable key.  Key and value are
 * copied.  Durable on return if the sync interval is 0.  Stores the record's log position
 * ('ret_position' may be NULL).  -EINVAL for an empty value: use store_delete().  -EISDIR if the
 * path is a directory. */
int store_put(struct store *s, const void *key, size_t key_bytes, const void *value,
	      size_t value_bytes, uint64_t *ret_position) WARN_UNUSED;
/* Deletes a key.  Durable on return if the sync interval is 0.  -ENOENT if the key does not exist;
 * then nothing was appended. */
int store_delete(struct store *s, const void *key, size_t key_bytes) WARN_UNUSED;
/* Reads the value of a key into a new buffer that the caller frees (free(3)).  -ENOENT, -EFBIG
 * above STORE_VALUE_BYTES_MAX. */
int store_get(struct store *s, const void *key, size_t key_bytes, void **ret_value,
	      size_t *ret_value_bytes) WARN_UNUSED;
/* Calls 'fn' for each unnameable key, with a lock held: it must not call the store.  If 'fn' does
 * not return 0, the listing stops and returns that value.  'key' is borrowed for the call. */
typedef int (*store_unnameable_fn)(void *arg, const void *key, size_t key_bytes,
				   uint64_t size_bytes);
int store_list_unnameable(struct store *s, store_unnameable_fn fn, void *arg);
/* --- scrub --- */

/* Requests a scrub, which reads and checks the whole log in the background.  It starts soon; if a
 * scrub runs already, after that.  -errno if the thread for it cannot be started. */
int store_scrub(struct store *s) WARN_UNUSED;

struct store_scrub {
	bool running;
	uint64_t done_bytes; /* of the scrub that runs */
	uint64_t runs;	     /* scrubs completed since open */
	/* Of the last completed scrub: */
	uint64_t ended_ns; /* wall clock, ns since the epoch; 0: none */
	int err;	   /* -ENOMEM, or 0 */
	uint64_t bytes, records;
	uint64_t damaged;	  /* records that do not have the bytes that were written */
	uint64_t unchecked_bytes; /* behind a damaged record, without a hint that shows where the
				     next record begins */
};

/* --- figures --- */

enum store_compaction_state {
	STORE_COMPACTION_IDLE,
	STORE_COMPACTION_RUNNING,
	STORE_COMPACTION_NO_SPACE, /* until more space is available */
	STORE_COMPACTION_FAILED,   /* with 'err'; tried again later */
	STORE_COMPACTION_NOT_SAFE, /* segments are missing */
};

struct store_compaction {
	enum store_compaction_state state;
	int err;
	uint64_t needed_bytes;	      /* space needed on the disk, with STORE_COMPACTION_NO_SPACE */
	uint64_t segments;	      /* segments rewritten since open */
	uint64_t gained_bytes;	      /* space gained by that, and by folds */
	uint64_t folds;		      /* folds since open */
	uint64_t unreadable_segments; /* segments that cannot be read, left as they are */
};

struct store_stats {
	struct log_writer_stats log;
	struct log_recovery recovery; /* results of the open */
	uint64_t files;		      /* number of nodes that are files and have a name */
	uint64_t directories;	      /* number of directories without the root */
	uint64_t unnamed_keys;	      /* number of unnameable keys */
	uint64_t dropped_commits;     /* at open, because of missing segments */
	uint64_t incomplete_names;  /* at open: names whose content is not completely in the log any
				       more */
	uint64_t moved_directories; /* at open, to the root, because paths in them were too long */
	uint64_t live_bytes; /* bytes of records that a file or an unnameable key is read from */
	uint64_t clock_behind_ns; /* how far the clock is behind the last record; 0: not behind */
	struct store_compaction compaction;
	struct store_scrub scrub;
	bool reserve_missing; /* the reserve for deleting on a full disk could not be made */
};
void store_stats(struct store *s, struct store_stats *ret);
int store_space(struct store *s, struct io_space *ret) WARN_UNUSED;
const char *store_path(const struct store *s);

#endif
