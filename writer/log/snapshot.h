/* SPDX-License-Identifier: MIT */
/* The files of a log, opened to be read only: such as they were at one moment, whatever a writer
 * does meanwhile.  Threads: one. */
#ifndef FREYJAFS_WRITER_LOG_SNAPSHOT_H
#define FREYJAFS_WRITER_LOG_SNAPSHOT_H

#include "writer/log/segments.h"
#include "writer/log/mark.h"

struct log_snapshot {
	int fd;		       /* of the active segment, and the caller's; -1: there is none */
	struct io_stat active; /* of that one */
	struct synced mark;    /* the durable mark; zeros: there is none */
	bool mark_valid;
	struct manifest manifest; /* what the caller frees, also after a failure */
	bool has_manifest;
	bool manifest_damaged; /* 'segments->lenient': it is there, and 'diag' says what is wrong */
	struct segments *segments; /* the caller's; all others */
};

/* Opens them.  'ret->segments' is one that is initialized and empty; 'dir' is its directory, for
 * messages; 'active_name' is in it.  -ENOENT: there is no log; -EBADMSG: MANIFEST is damaged or
 * a file is not as it says; -EAGAIN: the files have changed all the time. */
int log_snapshot_open(struct log_snapshot *ret, const char *dir, const char *active_name,
		      struct diag *diag) WARN_UNUSED;

/* Says whether 'name' still means the file behind 'fd' (-1: there was none).  Returns 1, 0 or
 * -errno. */
int log_snapshot_is_same(struct io *io, int dir_fd, const char *name, int fd) WARN_UNUSED;

#endif
