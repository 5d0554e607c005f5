/* SPDX-License-Identifier: MIT */
/* Rate-limited messages about values that cannot be read or committed, so that they do not flood
 * the journal.  The functions only format messages; the caller prints them.  Threads: any. */
#ifndef FREYJAFS_FUSE_BASE_TROUBLES_H
#define FREYJAFS_FUSE_BASE_TROUBLES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "writer/base/thread.h"
#include "writer/base/trouble.h"

#define TROUBLES_MAX	   20			 /* messages in one window */
#define TROUBLES_WINDOW_NS UINT64_C(60000000000) /* one minute */
#define REFUSALS_PAUSE_NS  UINT64_C(10000000000) /* between two refusals */
#define TROUBLES_RECENT	   8			 /* latest records in messages: no second one */
#define TROUBLES_LINE_MAX  1024

extern struct lock_class troubles_class; /* of troubles.lock */

struct troubles {
	const char *mountpoint; /* constant; borrowed */
	atomic_uint_least64_t counts[TROUBLE_KINDS];
	struct mutex lock;
	/* Monotonic time of the window's begin; 0: no window yet. */
	uint64_t window_ns GUARDED_BY(troubles_class);
	uint64_t told GUARDED_BY(troubles_class); /* messages in this window */
	/* Messages left out since the last one. */
	uint64_t untold GUARDED_BY(troubles_class);
	/* Time of the last refusal's message; 0: none. */
	uint64_t refusal_ns GUARDED_BY(troubles_class);
	/* The records that the last messages named. */
	struct {
		enum trouble_kind kind;
		uint64_t segment, file_offset;
	} recent[TROUBLES_RECENT] GUARDED_BY(troubles_class);
};

LOCK_FUNCTIONS(troubles, struct troubles, lock, troubles_class);

/* Borrows 'mountpoint', which messages begin with. */
void troubles_init(struct troubles *t, const char *mountpoint);
/* Frees the resources of 't', which no thread may use any more. */
void troubles_destroy(struct troubles *t);

/* Counts 't->counts' up for the kind of trouble.  Formats the message into 'line' and returns true,
 * unless this window has its TROUBLES_MAX messages already or one about the same record among its
 * last TROUBLES_RECENT; then it returns false.  'now_ns' is monotonic time. */
bool troubles_line(struct troubles *t, const struct trouble *trouble, uint64_t now_ns,
		   char line[TROUBLES_LINE_MAX]);

/* Formats into 'line' why a name in the root of the mount was refused ('why'), and returns true;
 * false if the last such message is less than REFUSALS_PAUSE_NS old.  'now_ns' is monotonic time.
 */
bool troubles_refusal(struct troubles *t, const char *name, const char *why, uint64_t now_ns,
		      char line[TROUBLES_LINE_MAX]);

#endif
