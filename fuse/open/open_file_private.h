/* SPDX-License-Identifier: MIT */
/* The internals of an open file, shared by open_files.c (the table, the bounds on pending bytes,
 * the committer) and open_file.c (one open file). */
#ifndef FREYJAFS_FUSE_OPEN_OPEN_FILE_PRIVATE_H
#define FREYJAFS_FUSE_OPEN_OPEN_FILE_PRIVATE_H

#include <stdatomic.h>
#include <string.h>

#include "fuse/open/file_content.h"
#include "fuse/open/open_file.h"
#include "fuse/open/pending.h"

/* The table hashes addresses, whose low bits are always zero. */
static inline unsigned int hash_address(const void *key)
{
	uint64_t bits;

	memcpy(&bits, key, sizeof(bits));
	return (unsigned int)((bits * UINT64_C(0x9e3779b97f4a7c15)) >> 32);
}
#define HASH_FUNCTION(key, key_bytes, hash) ((hash) = hash_address(key))
#define HASH_NONFATAL_OOM		    1
#include <uthash.h>

extern struct lock_class open_file_class; /* of open_file.lock */

struct open_file {
	struct open_files *files; /* constant */
	struct store *store;	  /* borrowed; constant */
	struct node *node;	  /* pinned by the callers; constant; the key in the table */

	size_t references GUARDED_BY(open_files_class);
	UT_hash_handle hh GUARDED_BY(open_files_class);

	/* Held while the value is loaded and committed, so across system calls; never while waiting
	 * for durability, and never across a reply. */
	struct mutex lock;
	/* Open handles that can write. */
	size_t writable_handles GUARDED_BY(open_file_class);
	size_t handles GUARDED_BY(open_file_class); /* open handles; each has a reference */
	/* Flushes without a release yet: closes of copies of descriptors. */
	size_t flushes GUARDED_BY(open_file_class);
	/* The thread that opened the newest writable handle. */
	pid_t opener GUARDED_BY(open_file_class);
	/* All handles bypass the kernel's page cache. */
	bool bypass GUARDED_BY(open_file_class);
	bool shared GUARDED_BY(open_file_class); /* there was more than one handle */
	bool ready GUARDED_BY(open_file_class);	 /* the state of the node has been read */
	/* A temporary file without a name: it stays dirty and is not committed. */
	bool temporary GUARDED_BY(open_file_class);
	struct pending pending GUARDED_BY(open_file_class);
	/* Position behind the newest commit; 0: none. */
	uint64_t commit_end GUARDED_BY(open_file_class);

	/* Index of 'user_bytes' charged. */
	unsigned int charged_user GUARDED_BY(open_file_class);

	/* Read without the lock.  Changed with it, except 'maps' and 'user'. */
	_Atomic unsigned int user;	  /* below OPEN_FILES_USERS; the last user who wrote */
	_Atomic uint32_t maps;		  /* handles that can be mapped for writing */
	_Atomic uint64_t charged_bytes;	  /* taken from the budget for the pending value */
	_Atomic uint64_t append_since_ns; /* monotonic; time of the oldest append without a commit;
					     0: none */
};

LOCK_FUNCTIONS(open_file_mutex, struct open_file, lock, open_file_class);

/* Locks the open file; the first call also reads the state of the node. */
void open_file_lock(struct open_file *of) ACQUIRES(of->lock, open_file_class);
/* Corrects the charge for the memory of the pending value, and unlocks. */
void open_file_unlock(struct open_file *of) RELEASES(of->lock, open_file_class);
/* Corrects the charge for the memory of the pending value. */
void open_file_charge_locked(struct open_file *of) REQUIRES(of->lock, open_file_class);
/* Returns the content of the open file, with borrowed pointers. */
struct file_content open_file_content(struct open_file *of) REQUIRES(of->lock, open_file_class);
/* Commits the pending value; a temporary file without a name stays dirty.  Returns 0 or -errno. */
int open_file_commit_locked(struct open_file *of) REQUIRES(of->lock, open_file_class) WARN_UNUSED;

/* Returns whether the user may take 'n' more bytes. */
bool open_files_has_share(struct open_files *f, unsigned int user, uint64_t n);
/* Moves pending bytes of the user's largest files to the log until the user may take 'n' bytes, or
 * nothing is left to move.  The caller must hold no open file's lock. */
int open_files_make_share(struct open_files *f, unsigned int user, uint64_t n) WARN_UNUSED;

/* Makes the committer commit this file later. */
void open_files_append_begins(struct open_file *of);

#endif
