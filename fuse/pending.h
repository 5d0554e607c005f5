/* SPDX-License-Identifier: MIT */
/* The pending value of one open file: its content as every reader of the mount sees it, before it
 * is a record in the log.  Bytes and times alone; no lock, no store, no clock.
 *
 * Empty (not loaded): the content is the committed value.  Loaded: the content is in memory.
 * Dirty: it is to be committed.  Dirty implies loaded.  Threads: one at a time. */
#ifndef FREYJAFS_FUSE_PENDING_H
#define FREYJAFS_FUSE_PENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "codec/compiler.h"
#include "writer/store.h"

struct pending {
	uint8_t *bytes;		 /* owned */
	uint64_t size_bytes;	 /* of the content */
	uint64_t capacity_bytes; /* of 'bytes' */
	bool loaded;
	bool dirty;
	/* Made or emptied by an open, and nothing has been put into it since.  It is dirty, but a
	 * flush does not commit it: a shell that redirects closes a duplicate of its descriptor
	 * before the command writes, and a crash must not leave an empty stand-in.  The last close
	 * does. */
	bool awaits_content;
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

/* Makes the content 'size_bytes' long and loaded; the caller then fills 'bytes' with it.  -ENOMEM,
 * -EFBIG; nothing changed then. */
int pending_load(struct pending *p, uint64_t size_bytes) WARN_UNUSED;

/* Changes a loaded pending value and makes it dirty; a hole reads as zeros.  -ENOMEM, -EFBIG (above
 * STORE_VALUE_BYTES_MAX): nothing changed. */
int pending_write(struct pending *p, const void *buf, size_t n, uint64_t offset,
		  struct timespec now) WARN_UNUSED;
int pending_truncate(struct pending *p, uint64_t size_bytes, struct timespec now) WARN_UNUSED;

/* Overwrites a range with zeros; what is behind the end only if it is to extend the content. */
int pending_zero(struct pending *p, uint64_t offset, uint64_t n, bool extend,
		 struct timespec now) WARN_UNUSED;

/* Makes sure that 'size_bytes' are in memory, zeros behind the content, and changes nothing else.
 */
int pending_reserve(struct pending *p, uint64_t size_bytes) WARN_UNUSED;

/* Reads a loaded pending value.  Returns how many bytes, fewer at its end. */
size_t pending_read(const struct pending *p, void *buf, size_t n, uint64_t offset);

/* Remembers times set by hand while dirty; others in 'set' are not looked at. */
void pending_set_times(struct pending *p, const struct store_set *set, struct timespec now);

/* Overlays size and times on the attributes of the node. */
void pending_show(struct pending *p, struct store_attr *attr);

/* Fills in what a commit sets beside the value.  Returns whether there is anything. */
bool pending_commit_set(const struct pending *p, struct store_set *ret);

/* The value is in the log now, and the times with it. */
void pending_committed(struct pending *p);

/* Frees the content; PENDING_INIT again. */
void pending_drop(struct pending *p);

#endif
