/* SPDX-License-Identifier: MIT */
/* The pending value of one open file: the content that all readers in the mount see before it is in
 * the log.  Holds ranges, size and times only; it has no lock and no clock, and it neither reads
 * nor appends records.
 *
 * Inactive (all zeros): the content is the committed value.  Active: the content has three layers,
 * from the top: the ranges in memory; the staged ranges, which were too much for memory; and, with
 * 'keep', the committed value.  Bytes of a lower layer at or behind 'size_bytes' have a hole above
 * them.  Dirty: it must be committed.  A dirty value is active.
 *
 * Threads: one at a time (the open file's lock). */
#ifndef FREYJAFS_FUSE_OPEN_PENDING_H
#define FREYJAFS_FUSE_OPEN_PENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "codec/compiler.h"
#include "fuse/open/ranges.h"
#include "fuse/open/writers.h"
#include "writer/store.h"

struct pending {
	struct ranges ranges;
	struct store_staging *staging; /* owned; NULL: nothing is staged */
	uint64_t staged_ranges;	       /* number of ranges staged into it */
	bool keep;
	uint64_t size_bytes; /* of the content */
	bool active;
	bool dirty;
	/* An open has made or emptied the file, and nothing has been written since.  The value is
	 * dirty, but a flush does not commit it: a shell that redirects closes a duplicate of its
	 * descriptor before the command writes, and a crash must not leave an empty value.  The
	 * last close commits it. */
	bool awaits_content;
	/* The processes whose close commits the value; the open file adds them.  Empty while it is
	 * not dirty. */
	struct writers writers;
	bool mapped; /* a mapping has written some of it: the kernel names no thread */
	/* 0, or the error of a close that could not commit the value and reported it.  Then only a
	 * change or an explicit request, such as fsync(2), makes another attempt. */
	int close_err;
	bool shown; /* a program has seen 'written_at' or 'changed_at' since they were set */
	struct timespec written_at; /* time of the last write; the mtime, unless one is set */
	struct timespec changed_at; /* time of the last change of any kind; the ctime */
	/* Times set by hand while dirty: STORE_SET_MTIME, STORE_SET_ATIME. */
	unsigned int set_times;
	struct timespec mtime, atime;
};

#define PENDING_INIT \
	{            \
		0    \
	}

/* Makes an inactive value active.  With 'keep' its content is the committed value of 'size_bytes',
 * otherwise it is empty. */
void pending_begin(struct pending *p, bool keep, uint64_t size_bytes);

/* Change an active value and make it dirty; 'now' is the mtime.  Errors: -EFBIG (past
 * STORE_CONTENT_BYTES_MAX): nothing changed; -ENOMEM: some of a write may be done. */
int pending_write(struct pending *p, const void *buf, size_t n, uint64_t offset,
		  struct timespec now) WARN_UNUSED;
/* A size of 0 removes all layers. */
int pending_truncate(struct pending *p, uint64_t size_bytes, struct timespec now) WARN_UNUSED;
/* Overwrites 'n' bytes at 'offset' with zeros.  With 'extend' the content grows if the range ends
 * behind it. */
int pending_zero(struct pending *p, uint64_t offset, uint64_t n, bool extend,
		 struct timespec now) WARN_UNUSED;
/* Records that 'n' bytes at 'offset' have been staged and are the newest ones there. */
int pending_staged(struct pending *p, uint64_t offset, uint64_t n, struct timespec now) WARN_UNUSED;

/* Stores the mtime and atime of 'set', set by hand while the value is dirty; ignores its other
 * attributes. */
void pending_set_times(struct pending *p, const struct store_set *set, struct timespec now);

/* Overlays size and times on the attributes of the node. */
void pending_show(struct pending *p, struct store_attr *attr);

/* Fills in the attributes that a commit sets with the value.  Returns whether there are any. */
bool pending_commit_set(const struct pending *p, struct store_set *ret);

/* Records a commit of a value whose node has no name: the value stays active, but is not dirty. */
void pending_committed(struct pending *p);

/* Frees all layers; 'p' is PENDING_INIT again. */
void pending_drop(struct pending *p);

#endif
