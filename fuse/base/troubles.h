/* SPDX-License-Identifier: MIT */
/* Messages about values that cannot be read or committed: never so many that they flood the
 * journal.  Threads: any. */
#ifndef FREYJAFS_FUSE_BASE_TROUBLES_H
#define FREYJAFS_FUSE_BASE_TROUBLES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "writer/base/thread.h"
#include "writer/base/trouble.h"

#define TROUBLES_MAX	   20			 /* messages in one window */
#define TROUBLES_WINDOW_NS UINT64_C(60000000000) /* a minute */
#define REFUSALS_PAUSE_NS  UINT64_C(10000000000) /* between two of them */
#define TROUBLES_RECENT	   8			 /* told of in this window: not again */
#define TROUBLES_LINE_MAX  1024

struct troubles {
	const char *mountpoint; /* constant */
	atomic_uint_least64_t counts[TROUBLE_KINDS];
	struct mutex lock;
	/* All below: by lock. */
	uint64_t window_ns GUARDED;  /* when the window began; 0: there was none */
	uint64_t told GUARDED;	     /* in this window */
	uint64_t untold GUARDED;     /* since the last message that was told */
	uint64_t refusal_ns GUARDED; /* of the last refusal that was told; 0: none was */
	struct {
		enum trouble_kind kind;
		uint64_t segment, file_offset;
	} recent[TROUBLES_RECENT] GUARDED; /* the records that were told of last */
};

void troubles_init(struct troubles *t, const char *mountpoint);
void troubles_destroy(struct troubles *t);

/* Counts it.  Writes the message to 'line', unless there were too many, or the same was told a
 * moment ago. Returns whether it is to be told. */
bool troubles_line(struct troubles *t, const struct trouble *trouble, uint64_t now_ns,
		   char line[TROUBLES_LINE_MAX]);

/* Writes to 'line' why a name in the root of the mount was refused, unless that was told about
 * another one a moment ago.  Returns whether it is to be told. */
bool troubles_refusal(struct troubles *t, const char *name, const char *why, uint64_t now_ns,
		      char line[TROUBLES_LINE_MAX]);

#endif
