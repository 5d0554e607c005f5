/* SPDX-License-Identifier: MIT */
/* Shared by open_files.c (the table, the bound on what is pending, the committer) and open_file.c
 * (one open file). */
#ifndef FREYJAFS_FUSE_OPEN_OPEN_FILE_PRIVATE_H
#define FREYJAFS_FUSE_OPEN_OPEN_FILE_PRIVATE_H

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "fuse/open/file_content.h"
#include "fuse/open/open_file.h"
#include "fuse/open/pending.h"

/* The table hashes addresses, whose low bits are always the same. */
static inline unsigned int hash_address(const void *key)
{
	uint64_t bits;

	memcpy(&bits, key, sizeof(bits));
	return (unsigned int)((bits * UINT64_C(0x9e3779b97f4a7c15)) >> 32);
}
#define HASH_FUNCTION(key, key_bytes, hash) ((hash) = hash_address(key))
#define HASH_NONFATAL_OOM		    1
#include <uthash.h>

struct open_file {
	struct open_files *files; /* constant */
	struct store *store;	  /* borrowed; constant */
	struct node *node;	  /* pinned by the callers; constant; the key in the table */

	size_t references; /* by open_files.lock */
	UT_hash_handle hh; /* by open_files.lock */

	/* Held over the commit and the loading of the value, so across system calls; never across
	 * a wait for durability, and never across a reply. */
	struct mutex lock;
	size_t writable_handles GUARDED; /* by lock; those of the handles that can write */
	size_t handles GUARDED;		 /* by lock; open ones; each has a reference */
	size_t flushes
		GUARDED;      /* by lock; that no release has followed: of copies of descriptors */
	pid_t opener GUARDED; /* by lock; the thread that has opened the last of these */
	bool bypass GUARDED;  /* by lock; of all handles: past the pages of the kernel */
	bool shared GUARDED;  /* by lock; with 'bypass': there was more than one */
	bool ready GUARDED;   /* by lock; the state of the node was looked at */
	bool unnamed GUARDED; /* by lock; no name yet: nothing is committed, it stays dirty */
	struct pending pending GUARDED; /* by lock */
	uint64_t commit_end GUARDED;	/* by lock; of the newest commit; 0: none */

	unsigned int charged_user GUARDED; /* by lock; whose part 'charged_bytes' is in */

	/* Read without the lock; all but 'maps' and 'user' are changed with it. */
	_Atomic unsigned int user;	  /* below OPEN_FILES_USERS; the last who has written */
	_Atomic uint32_t maps;		  /* handles that can be mapped for writing */
	_Atomic uint64_t charged_bytes;	  /* taken from the budget for what is pending */
	_Atomic uint64_t append_since_ns; /* monotonic; when the oldest append that is not committed
					     was made; 0: there is none */
};

/* Locks it; when it is the first to do so, looks at the state of the node. */
void open_file_lock(struct open_file *of) ACQUIRES(of->lock);
/* Unlocks it, and charges it for what it has pending. */
void open_file_unlock(struct open_file *of) RELEASES(of->lock);
void open_file_charge_locked(struct open_file *of) REQUIRES(of->lock);
struct file_content open_file_content(struct open_file *of) REQUIRES(of->lock);
int open_file_commit_locked(struct open_file *of) REQUIRES(of->lock) WARN_UNUSED;

/* Says whether a user may have 'n' bytes more. */
bool open_files_has_share(struct open_files *f, unsigned int user, uint64_t n);
/* Moves what is pending of a user's largest files to the log until he may, or has nothing that
 * could be moved.  No open file is locked by the caller. */
int open_files_make_share(struct open_files *f, unsigned int user, uint64_t n) WARN_UNUSED;

/* The committer is to look at this file. */
void open_files_append_begins(struct open_file *of);

#endif
