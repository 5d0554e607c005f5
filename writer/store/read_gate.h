/* SPDX-License-Identifier: MIT */
/* A gate that waits for readers: it shows when all threads that entered before a moment have left.
 * Readers of the log look up the position of a value and then read it, and the file must not be
 * closed in between.
 *
 * A reader counts in one of two counters; the waiting thread makes new readers use the other
 * counter and waits until the first is 0.  Threads: any number of readers, one that waits. */
#ifndef FREYJAFS_WRITER_STORE_READ_GATE_H
#define FREYJAFS_WRITER_STORE_READ_GATE_H

#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#define READ_GATE_POLL_NS 500000

struct read_gate {
	atomic_uint epoch;
	atomic_ullong readers[2];
};

/* Enters the gate.  Returns the argument for read_gate_leave(). */
static inline unsigned int read_gate_enter(struct read_gate *g)
{
	for (;;) {
		unsigned int side = atomic_load(&g->epoch) & 1;

		atomic_fetch_add(&g->readers[side], 1);
		if ((atomic_load(&g->epoch) & 1) == side)
			return side;
		atomic_fetch_sub(&g->readers[side], 1); /* the side has changed in the meantime */
	}
}

static inline void read_gate_leave(struct read_gate *g, unsigned int side)
{
	atomic_fetch_sub(&g->readers[side], 1);
}

/* Waits until all readers that are inside now have left. */
static inline void read_gate_wait(struct read_gate *g)
{
	const struct timespec poll = { .tv_nsec = READ_GATE_POLL_NS };
	unsigned int side = atomic_fetch_add(&g->epoch, 1) & 1;

	while (atomic_load(&g->readers[side]) > 0)
		(void)nanosleep(&poll, NULL);
}

#endif
