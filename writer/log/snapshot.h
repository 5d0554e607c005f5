/* SPDX-License-Identifier: MIT */
/* A snapshot of a log: its files, opened only for reading, as they were at one moment, whatever a
 * writer does in the meantime.  Threads: one. */
#ifndef FREYJAFS_WRITER_LOG_SNAPSHOT_H
#define FREYJAFS_WRITER_LOG_SNAPSHOT_H

#include "writer/log/segments.h"
#include "writer/log/mark.h"

struct log_snapshot {
	int fd;		       /* of the active segment, owned by the caller; -1: none */
	struct io_stat active; /* of the active segment */
	struct synced mark;    /* the durable mark; zeros: none */
	bool mark_valid;
	struct manifest manifest; /* the caller frees it, also after a failure */
	bool has_manifest;
	bool manifest_damaged; /* with 'segments->lenient': it exists, and 'diag' has the fault */
	struct segments *segments; /* all other segments; owned by the caller */
};

/* Opens the files.  'ret->segments' must be initialised and empty; 'dir' is its directory, for
 * messages; 'active_name' is a file in it.  -ENOENT if there is no log; -EBADMSG if MANIFEST is
 * damaged or a file does not match it; -EAGAIN if the files kept changing. */
int log_snapshot_open(struct log_snapshot *ret, const char *dir, const char *active_name,
		      struct diag *diag) WARN_UNUSED;

#endif
