/* SPDX-License-Identifier: MIT */
/* Open files: one 'struct open_file' for each node that has an open handle, shared by all of its
 * handles.  It holds the pending value and commits it.
 *
 * The caller keeps the node pinned as long as it has the open file (the kernel's lookup count does
 * that for a handle: it forgets a node only after the answer to its last release).
 *
 * Threads: any.  Errors: 0 or -errno.  Lock order: docs/LOCKING.md. */
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

struct open_file; /* opaque, see open_file_private.h */

#define OPEN_FILES_PENDING_MIN (INT64_C(4) << 20)

/* Users are told apart by this many parts of what is pending; two that meet in one share it. */
#define OPEN_FILES_USERS 256

struct open_files_config {
	struct store *store;	    /* borrowed */
	uint64_t pending_max_bytes; /* at least OPEN_FILES_PENDING_MIN */
	/* What was appended through a descriptor that stays open is committed after so long, and
	 * with 'append_sync' a sync is asked for. */
	uint64_t append_commit_ns;
	bool append_sync;
};

struct open_files {
	struct open_files_config config; /* constant */
	struct budget budget; /* of pending bytes in memory; a lock of its own, inside all */
	/* Of these, the bytes of files that a user was the last to write.  One has half of all at
	 * most (and one write more), so the others have memory whatever he does. */
	_Atomic uint64_t user_bytes[OPEN_FILES_USERS];

	/* Held for a look into the table alone; no other lock is taken under it. */
	struct mutex lock;
	struct open_file *by_node GUARDED; /* by lock; uthash */

	/* The committer is the thread that commits what is appended.  Innermost. */
	struct mutex append_lock;
	pthread_cond_t append_wake; /* with append_lock: 'append_due_ns' or 'stopping' changed */
	uint64_t append_due_ns GUARDED; /* by append_lock; monotonic; 0: nothing to do */
	bool stopping GUARDED;		/* by append_lock */
	bool has_committer;
	pthread_t committer;
};

void open_files_init(struct open_files *f, const struct open_files_config *config);
/* Starts the committer; and stops it, after everything that was appended is committed. */
int open_files_start(struct open_files *f) WARN_UNUSED;
void open_files_stop(struct open_files *f);
/* When no request comes any more: commits what programs have written to files that they have not
 * closed, as if they had closed them all.  Calls 'lost' for each that cannot be committed. */
struct open_files_end {
	size_t committed, lost;
};
typedef void (*open_files_lost_fn)(void *arg, struct node *n, int err);
void open_files_commit_all(struct open_files *f, open_files_lost_fn lost, void *arg,
			   struct open_files_end *ret);
void open_files_destroy(struct open_files *f); /* frees all that is left */

uint64_t open_files_pending_bytes(struct open_files *f);	    /* in memory */
uint64_t open_files_user_bytes(struct open_files *f, uint32_t uid); /* those of a user */

/* Finds or makes the open file of 'n', with one reference more.  NULL: no memory. */
struct open_file *open_files_get(struct open_files *f, struct node *n);
/* Finds it, with one reference more; NULL if 'n' is not open. */
struct open_file *open_files_find(struct open_files *f, struct node *n);
/* Gives a reference back. */
void open_files_put(struct open_files *f, struct open_file *of);
/* Finds all that can be mapped for writing, each with one reference more and its node pinned;
 * returns how many.  The caller frees the list. */
size_t open_files_hold_mapped(struct open_files *f, struct open_file ***ret);
void open_files_let_go(struct open_files *f, struct open_file *of); /* gives both back */
/* The node of an open file. */
struct node *open_file_node(const struct open_file *of);

/* Commits what is pending of 'n', open or not: before a record that needs it in the log.  'ret_end'
 * as open_file_commit(); 0 if nothing was pending. */
int open_files_commit(struct open_files *f, struct node *n, uint64_t *ret_end) WARN_UNUSED;

/* --- what handles do --- */

struct open_file_how {
	bool truncate; /* the value becomes empty */
	bool writable;
	/* It would rather have the kernel send its writes as they are than keep pages of them. */
	bool wants_bypass;
	pid_t by; /* as below */
};
/* A handle is opened, and keeps the reference.  Stores whether it is to bypass the pages of the
 * kernel: only if all other handles do, too, and then it has to, because a page that is read while
 * another handle writes past it would stay as it was. */
int open_file_open(struct open_file *of, const struct open_file_how *how,
		   bool *ret_bypass) WARN_UNUSED;
/* Says whether the kernel may have pages of the file that are no longer right: there was another
 * handle, maybe with a mapping, while one wrote past them.  They are to be dropped before a handle
 * is released. */
bool open_file_has_stale_pages(struct open_file *of);
/* It is released; 'writable' as it was opened.  A dirty value is committed if no handle is left
 * that can write, unless a close has failed to: that one has told a program that the value is lost.
 * If it is not committed and no handle is left, the value is dropped: what was committed before is
 * the value again, which the caller tells the kernel. */
int open_file_release(struct open_file *of, bool writable, bool *ret_dropped) WARN_UNUSED;

/* -EIO: the CRC is wrong. */
ssize_t open_file_read(struct open_file *of, void *buf, size_t n, uint64_t offset) WARN_UNUSED;
/* In what follows 'by' is the thread that a request comes from (fuse/open/writers.h). */

/* Changes the pending value; waits, or moves pending bytes to the log, when there are too many.
 * 'appends': the descriptor is for appending, so the committer looks after it.  -EFBIG, -ENOMEM,
 * and what appending to the log can fail with; nothing changed then. */
int open_file_write(struct open_file *of, const void *buf, size_t n, uint64_t offset, bool appends,
		    pid_t by) WARN_UNUSED;
int open_file_truncate(struct open_file *of, uint64_t size_bytes, pid_t by) WARN_UNUSED;
/* As fallocate(2) with mode 0, FALLOC_FL_KEEP_SIZE, PUNCH_HOLE or ZERO_RANGE.  -EOPNOTSUPP:
 * another. */
int open_file_fallocate(struct open_file *of, int mode, uint64_t offset, uint64_t n,
			pid_t by) WARN_UNUSED;
/* What is written from here on is this user's. */
void open_file_set_user(struct open_file *of, uint32_t uid);
/* A handle can be mapped for writing from here on, or no more. */
void open_file_begin_maps(struct open_file *of);
void open_file_end_maps(struct open_file *of);
/* lseek(2) with SEEK_DATA ('data') or SEEK_HOLE.  Returns the offset; -ENXIO.  All is data while a
 * handle can be mapped for writing: the kernel tells of a written page only when it writes it
 * back. */
int64_t open_file_seek(struct open_file *of, bool data, uint64_t offset) WARN_UNUSED;

/* A descriptor is closed: commits if dirty and the process has written some of it.  A child closes
 * the descriptors that it got from its parent, which may have written half of the value.  Where it
 * is known that descriptors are copied, another one of that process keeps it from being committed,
 * as for a shell that does "exec 5>file; echo >&5".  Nor does
 * it commit what open(2) alone has done: a shell closes one of two descriptors before the program
 * that it redirects has written anything, and the old value must not give way to an empty one that
 * nobody meant.  open_file_release() or open_file_commit() commits that.  Stores as
 * open_file_commit(). */
int open_file_flush(struct open_file *of, pid_t by, uint64_t *ret_end) WARN_UNUSED;

/* Commits if dirty.  Stores where the newest commit of this file ends in the log (0: none since it
 * was opened).  After a failure the value stays dirty, for another attempt. */
int open_file_commit(struct open_file *of, uint64_t *ret_end) WARN_UNUSED;
/* Gives a file that store_create_unnamed() has made its first name, and commits it, or changes
 * nothing. Stores as open_file_commit().  As store_give_name(), and what a commit can fail with;
 * -ENOENT: not such a file. */
int open_file_give_name(struct open_file *of, struct node *dir, const char *name,
			uint64_t *ret_end) WARN_UNUSED;
/* truncate(2) without a handle: truncates and commits, with the attributes in 'set', or does
 * nothing. */
int open_file_truncate_commit(struct open_file *of, uint64_t size_bytes,
			      const struct store_set *set, uint64_t *ret_end) WARN_UNUSED;

/* As the node's, with the pending size and times. */
void open_file_getattr(struct open_file *of, struct store_attr *ret);
/* Times set while dirty wait for the commit: they belong to the new value. */
int open_file_setattr(struct open_file *of, const struct store_set *set, pid_t by,
		      uint64_t *ret_end) WARN_UNUSED;

#endif
