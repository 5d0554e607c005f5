/* SPDX-License-Identifier: MIT */
/* A gate that says when nobody is left who came in before a moment: readers of the log look up
 * where a value stands and read it then, and the file must not be closed in between.
 *
 * A reader counts in one of two counters; whoever waits makes the other one count and waits until
 * the first is empty.  Threads: any number of readers, one that waits. */
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

/* Returns what read_gate_leave() wants. */
static inline unsigned int read_gate_enter(struct read_gate *g)
{
	for (;;) {
		unsigned int side = atomic_load(&g->epoch) & 1;

		atomic_fetch_add(&g->readers[side], 1);
		if ((atomic_load(&g->epoch) & 1) == side)
			return side;
		atomic_fetch_sub(&g->readers[side], 1); /* it was turned meanwhile */
	}
}

static inline void read_gate_leave(struct read_gate *g, unsigned int side)
{
	atomic_fetch_sub(&g->readers[side], 1);
}

/* Returns when all who are inside now have left. */
static inline void read_gate_wait(struct read_gate *g)
{
	const struct timespec poll = { .tv_nsec = READ_GATE_POLL_NS };
	unsigned int side = atomic_fetch_add(&g->epoch, 1) & 1;

	while (atomic_load(&g->readers[side]) > 0)
		(void)nanosleep(&poll, NULL);
}

#endif
