/* SPDX-License-Identifier: MIT */
/* Open files: one 'struct open_file' for each node with an open handle, shared by all handles of
 * the node.  It holds the pending value and commits it.
 *
 * The caller keeps the node pinned while it uses the open file.  For a handle the kernel's lookup
 * count does that: the kernel forgets a node only after the reply to its last release
 * (fuse_lowlevel.h of libfuse, forget()).
 *
 * A commit is in the log, and becomes durable with the log's next sync; functions that commit store
 * the position behind it in 'ret_end', for a caller that syncs.
 *
 * Threads: any.  Errors: 0 or -errno; on failure 'ret_...' stay untouched.  Lock order:
 * docs/LOCKING.md. */
#ifndef FREYJAFS_FUSE_OPEN_OPEN_FILE_H
#define FREYJAFS_FUSE_OPEN_OPEN_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "codec/compiler.h"
#include "fuse/open/budget.h"
#include "writer/store.h"
#include "writer/base/thread.h"

struct open_file; /* defined in open_file_private.h */

#define OPEN_FILES_PENDING_MIN (INT64_C(4) << 20)

/* Pending bytes are counted by user id modulo this number; users with the same remainder share one
 * count. */
#define OPEN_FILES_USERS 256

struct open_files_config {
	struct store *store;	    /* borrowed */
	uint64_t pending_max_bytes; /* at least OPEN_FILES_PENDING_MIN */
	/* Appends through a descriptor that stays open are committed after this time; with
	 * 'append_sync' the committer also requests a sync. */
	uint64_t append_commit_ns;
	bool append_sync;
};

extern struct lock_class open_files_class; /* of open_files.lock */
extern struct lock_class append_class;	   /* of open_files.append_lock */

struct open_files {
	struct open_files_config config; /* constant */
	struct budget budget; /* of pending bytes in memory; its lock is inside all others */
	/* Pending bytes in memory by the last user who wrote to the file.  One user has at most
	 * half of the budget (and one write more), so that other users can always write. */
	_Atomic uint64_t user_bytes[OPEN_FILES_USERS];

	/* Held only to search or change the table; no other lock is taken under it. */
	struct mutex lock;
	struct open_file *by_node GUARDED_BY(open_files_class); /* uthash */

	/* For the committer, the thread that commits appends.  Innermost. */
	struct mutex append_lock;
	pthread_cond_t append_wake; /* with append_lock: 'append_due_ns' or 'stopping' changed */
	uint64_t append_due_ns GUARDED_BY(append_class); /* monotonic; 0: nothing to do */
	bool stopping GUARDED_BY(append_class);
	bool has_committer;
	pthread_t committer;
};

LOCK_FUNCTIONS(open_files, struct open_files, lock, open_files_class);
LOCK_FUNCTIONS(open_files_append, struct open_files, append_lock, append_class);

/* Initialises an unused 'f'; copies 'config', which borrows the store. */
void open_files_init(struct open_files *f, const struct open_files_config *config);
/* Start the committer, and stop it; the stop commits the remaining appends.  One thread calls both.
 */
int open_files_start(struct open_files *f) WARN_UNUSED;
void open_files_stop(struct open_files *f);
/* Numbers of values. */
struct open_files_end {
	size_t committed, lost;
};
/* Reports that the value of 'n' is lost because of 'err' (-errno). */
typedef void (*open_files_lost_fn)(void *arg, struct node *n, int err);
/* Commits the values that programs have not closed, as if they had closed all files.  Calls 'lost'
 * for each value that cannot be committed.  Requires that requests have ended: the table is read
 * without its lock. */
void open_files_commit_all(struct open_files *f, open_files_lost_fn lost, void *arg,
			   struct open_files_end *ret);
void open_files_destroy(struct open_files *f); /* frees the open files that are left */

/* Return the pending bytes in memory: of all files, or charged to the user 'uid'. */
uint64_t open_files_pending_bytes(struct open_files *f);
uint64_t open_files_user_bytes(struct open_files *f, uint32_t uid);

/* Finds or makes the open file of 'n' and adds a reference to it, which open_files_put() drops.
 * NULL: no memory. */
struct open_file *open_files_get(struct open_files *f, struct node *n);
/* Finds the open file of 'n' and adds a reference; NULL if 'n' has none. */
struct open_file *open_files_find(struct open_files *f, struct node *n);
/* Drops a reference; frees the open file with the last one. */
void open_files_put(struct open_files *f, struct open_file *of);
/* Finds all open files that a mapping can write to.  Adds a reference to each and pins its node;
 * open_files_let_go() drops both.  Returns their number; the caller frees the list (free(3); NULL
 * without memory, and then 0 is returned). */
size_t open_files_hold_mapped(struct open_files *f, struct open_file ***ret);
void open_files_let_go(struct open_files *f, struct open_file *of);
/* Returns the node of an open file; no reference is added. */
struct node *open_file_node(const struct open_file *of);

/* Commits the pending value of 'n', open or not, before a record that requires it in the log.
 * 'ret_end' as open_file_commit(); 0 if 'n' is not open and is in the log already. */
int open_files_commit(struct open_files *f, struct node *n, uint64_t *ret_end) WARN_UNUSED;

/* --- operations of handles --- */

struct open_file_how {
	bool truncate; /* the value becomes empty */
	bool writable;
	/* The handle prefers that the kernel sends its writes unchanged over caching pages of them.
	 */
	bool wants_bypass;
	pid_t by; /* the thread that opens */
};
/* Opens a handle; it keeps the caller's reference until open_file_release().  Stores in
 * 'ret_bypass' whether the handle must bypass the kernel's page cache.  The first handle decides
 * for all later ones: a page that one handle caches would become stale when another handle writes
 * past the cache. */
int open_file_open(struct open_file *of, const struct open_file_how *how,
		   bool *ret_bypass) WARN_UNUSED;
/* Receives 'n' bytes; may change them. */
typedef void (*open_file_show_fn)(void *arg, void *value, size_t n);
/* For a handle that only reads: calls 'show' with the whole value if it is small, in memory, and
 * has not been read since the mount (store_unread_bytes()), and if no other handle exists.  Until
 * 'show' returns, nobody else can open or truncate the file, so the kernel can be given the value
 * as pages: no program has another one there, not even in a mapping. */
#define OPEN_FILE_SHOW_BYTES_MAX ((size_t)64 * 1024)
void open_file_show_unread(struct open_file *of, open_file_show_fn show, void *arg);
/* Returns whether the kernel may have stale pages of the file: the handles bypass the page cache,
 * and there was more than one, maybe with a mapping.  The caller drops the pages before it releases
 * a handle. */
bool open_file_has_stale_pages(struct open_file *of);
/* Releases a handle; 'writable' as at its open.  Commits a dirty value if no handle is left, or
 * none that can write; a handle that can write also commits a value that an open has emptied or a
 * mapping has written.  Does not commit if a close has failed to: that close has reported the loss
 * to a program.  If the value is not committed and no handle is left, it is dropped, and the file
 * has its committed value again; then 'ret_dropped' is true, also with an error returned, and the
 * caller tells the kernel. */
int open_file_release(struct open_file *of, bool writable, bool *ret_dropped) WARN_UNUSED;

/* Reads up to 'n' bytes.  Returns their number, less than 'n' only at the end; -EIO if the CRC of a
 * record is wrong. */
ssize_t open_file_read(struct open_file *of, void *buf, size_t n, uint64_t offset) WARN_UNUSED;
/* In the functions below 'by' is the thread that a request comes from, as the kernel names it
 * (writers.h); 0: unknown. */

/* Change the pending value and make it dirty.  open_file_write() waits, or moves pending bytes to
 * the log, while pending bytes exceed their bounds.  'appends' means that the descriptor is for
 * appending: then the committer commits the write later.  Errors: -EFBIG, -ENOMEM, and errors of
 * appending to the log; then nothing has changed. */
int open_file_write(struct open_file *of, const void *buf, size_t n, uint64_t offset, bool appends,
		    pid_t by) WARN_UNUSED;
int open_file_truncate(struct open_file *of, uint64_t size_bytes, pid_t by) WARN_UNUSED;
/* As fallocate(2) with mode 0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE or FALLOC_FL_ZERO_RANGE;
 * -EOPNOTSUPP for other modes. */
int open_file_fallocate(struct open_file *of, int mode, uint64_t offset, uint64_t n,
			pid_t by) WARN_UNUSED;
/* Ascribes the next writes, and with them all pending bytes of the file, to this user. */
void open_file_set_user(struct open_file *of, uint32_t uid);
/* Counts the handles that can be mapped for writing: 'change' is 1 or -1. */
void open_file_count_maps(struct open_file *of, int change);
/* lseek(2) with SEEK_DATA ('data') or SEEK_HOLE.  Returns the offset, or -ENXIO.  While a handle
 * can be mapped for writing, the whole file counts as data, because the kernel reports a written
 * page only when it writes it back. */
int64_t open_file_seek(struct open_file *of, bool data, uint64_t offset) WARN_UNUSED;

/* A descriptor is closed.  Commits a dirty value if the process of 'by' has written some of it.  A
 * child that closes the descriptors inherited from its parent must not commit a value that the
 * parent has half written.  If there are signs that descriptors were copied, another writable
 * descriptor of the same process also prevents the commit, as for a shell that runs "exec 5>file;
 * echo >&5".
 *
 * It does not commit a value that only open(2) has emptied: a shell closes one of two descriptors
 * before the program that it redirects has written anything, and the old value must not be replaced
 * by an empty one that no program intended.  open_file_release() or open_file_commit() commits it.
 * 'ret_end' as open_file_commit(). */
int open_file_flush(struct open_file *of, pid_t by, uint64_t *ret_end) WARN_UNUSED;

/* Commits the value if it is dirty.  Stores the position behind the newest commit of this file (0:
 * none since it was opened).  After a failure the value stays dirty, for another attempt. */
int open_file_commit(struct open_file *of, uint64_t *ret_end) WARN_UNUSED;
/* Gives a temporary file (store_create_temporary()) its first name and commits it, or changes
 * nothing.  'ret_end' as open_file_commit().  Errors: those of store_give_name() and of a commit;
 * -ENOENT if it is not a temporary file. */
int open_file_give_name(struct open_file *of, const struct store_name *to,
			uint64_t *ret_end) WARN_UNUSED;
/* truncate(2) without a handle: truncates, sets the attributes in 'set', and commits.  A failed
 * truncation changes nothing except that a value which was pending may be committed; the attributes
 * other than times are set after it, by a commit of their own. */
int open_file_truncate_commit(struct open_file *of, uint64_t size_bytes,
			      const struct store_set *set, uint64_t *ret_end) WARN_UNUSED;

/* Stores the attributes of the node with the pending size and times. */
void open_file_getattr(struct open_file *of, struct store_attr *ret);
/* Sets attributes of the node.  Times that are set while the value is dirty belong to the new
 * value, and are committed with it.  Stores the position behind the commit, 0 if nothing was
 * committed. */
int open_file_setattr(struct open_file *of, const struct store_set *set, pid_t by,
		      uint64_t *ret_end) WARN_UNUSED;

#endif
