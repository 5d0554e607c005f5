/* SPDX-License-Identifier: MIT */
/* The pending value of one open file: its content as every reader of the mount sees it, before it
 * is in the log.  Ranges, size and times alone; no lock, no clock, and nothing is read or appended.
 *
 * Inactive (all zeros): the content is the committed value.  Active: the content is what three
 * layers show, the upper ones first: the ranges in memory; what is staged, because it was too much
 * for memory; and, with 'keep', the committed value.  What lies at or behind 'size_bytes' in a
 * lower layer has a hole above it.  Dirty: it is to be committed.  Dirty implies active.
 *
 * Threads: one at a time. */
#ifndef FREYJAFS_FUSE_OPEN_PENDING_H
#define FREYJAFS_FUSE_OPEN_PENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "codec/compiler.h"
#include "fuse/open/ranges.h"
#include "fuse/open/writers.h"
#include "writer/store.h"

struct pending {
	struct ranges ranges;
	struct store_staging *staging; /* owned; NULL: nothing is staged */
	uint64_t staged_ranges;	       /* how many ranges went into it */
	bool keep;
	uint64_t size_bytes; /* of the content */
	bool active;
	bool dirty;
	/* Made or emptied by an open, and nothing has been put into it since.  It is dirty, but a
	 * flush does not commit it: a shell that redirects closes a duplicate of its descriptor
	 * before the command writes, and a crash must not leave an empty stand-in.  The last close
	 * does. */
	bool awaits_content;
	/* Whose close commits it; kept by the owner.  Empty when it is not dirty. */
	struct writers writers;
	bool mapped; /* some of it was written to a mapping: the kernel says of no thread */
	/* 0, or why a close could not commit it, and has said so: only a change, or somebody who
	 * asks for it, makes it be tried again. */
	int close_err;
	bool shown; /* somebody has seen 'written_at' or 'changed_at' since they were set */
	struct timespec written_at; /* of the last write; the mtime, unless one is set */
	struct timespec changed_at; /* of the last change of any kind; the ctime */
	/* Times set by hand while dirty: STORE_SET_MTIME, STORE_SET_ATIME. */
	unsigned int set_times;
	struct timespec mtime, atime;
};

#define PENDING_INIT \
	{            \
		0    \
	}

/* Makes an inactive one active: the content is the committed one, of 'size_bytes' ('keep'), or
 * empty. */
void pending_begin(struct pending *p, bool keep, uint64_t size_bytes);

/* Change an active pending value and make it dirty.  -EFBIG (past STORE_CONTENT_BYTES_MAX): nothing
 * changed.  -ENOMEM: of a write, some of it may be there. */
int pending_write(struct pending *p, const void *buf, size_t n, uint64_t offset,
		  struct timespec now) WARN_UNUSED;
/* A size of 0 takes all layers away. */
int pending_truncate(struct pending *p, uint64_t size_bytes, struct timespec now) WARN_UNUSED;
/* Overwrites a range with zeros; what is behind the end only if it is to extend the content. */
int pending_zero(struct pending *p, uint64_t offset, uint64_t n, bool extend,
		 struct timespec now) WARN_UNUSED;
/* 'n' bytes at 'offset' have been staged, and are the newest there. */
int pending_staged(struct pending *p, uint64_t offset, uint64_t n, struct timespec now) WARN_UNUSED;

/* Remembers times set by hand while dirty; others in 'set' are not looked at. */
void pending_set_times(struct pending *p, const struct store_set *set, struct timespec now);

/* Overlays size and times on the attributes of the node. */
void pending_show(struct pending *p, struct store_attr *attr);

/* Fills in what a commit sets beside the value.  Returns whether there is anything. */
bool pending_commit_set(const struct pending *p, struct store_set *ret);

/* The value has been committed, but its node has no name: it stays what it is, and is not dirty. */
void pending_committed(struct pending *p);

/* Frees all layers; PENDING_INIT again. */
void pending_drop(struct pending *p);

#endif
