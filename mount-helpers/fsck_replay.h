/* SPDX-License-Identifier: MIT */
/* fsck.freyjafs, second part: what is whole has to fit, too.  The log is replayed, and commits are
 * found that a mount would refuse, or that would show a content that never was, because something
 * before them was lost. */
#ifndef FREYJAFS_MOUNT_HELPERS_FSCK_REPLAY_H
#define FREYJAFS_MOUNT_HELPERS_FSCK_REPLAY_H

#include <stddef.h>
#include <stdint.h>

#include "codec/compiler.h"
#include "writer/diag.h"

/* A place in the log where something was cut out. */
struct fsck_gap {
	uint64_t segment, offset; /* as the log is now */
};

/* A commit that does not fit. */
struct fsck_misfit {
	uint64_t segment, offset, bytes;
	char reason[120];
	char key[200]; /* as key_text_print() would; cut where it is longer */
};

struct fsck_misfits {
	struct fsck_misfit *list; /* owned */
	size_t count, room;
};

/* Replays the log in 'datadir', read only.  'gaps' are in the order of the log.  Errors as of
 * log_writer_open_replay(). */
int fsck_replay(const char *datadir, const struct fsck_gap *gaps, size_t gap_count,
		struct fsck_misfits *ret, struct diag *diag) WARN_UNUSED;
void fsck_misfits_free(struct fsck_misfits *m);

#endif
