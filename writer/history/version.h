/* SPDX-License-Identifier: MIT */
/* One version of a file, open for reading.  Private to writer/history/. */
#ifndef FREYJAFS_WRITER_HISTORY_VERSION_H
#define FREYJAFS_WRITER_HISTORY_VERSION_H

#include <stdatomic.h>

#include "writer/base/thread.h"
#include "writer/history.h"
#include "writer/index/content_map.h"
#include "writer/log_writer.h"

/* The open log, shared by the history and the versions that read from its files. */
struct shared_log {
	struct log_writer *w;
	atomic_uint refs;
};
/* Drops a reference (NULL is a no-op); the last one closes the log. */
void history_log_release(struct shared_log *log);

extern struct lock_class history_version_class; /* of history_version.lock */

struct history_version {
	struct shared_log *log;
	struct history_attr attr;
	trouble_fn trouble; /* may be NULL */
	void *trouble_arg;
	char *path; /* owned; NULL: not enough memory for it */
	size_t path_bytes;
	struct value_position value; /* of the record of a version without a content map */
	char *target;		     /* owned; symlinks */
	atomic_bool verified;

	struct mutex lock; /* innermost */
	/* Owned; NULL: a single record. */
	struct content_map *content GUARDED_BY(history_version_class);
};

LOCK_FUNCTIONS(version, struct history_version, lock, history_version_class);

#endif
