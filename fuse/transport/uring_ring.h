/* SPDX-License-Identifier: MIT */
/* One ring of the io_uring transport: the queues of some CPUs, and the thread that serves them.
 *
 * Each entry of a queue is at any time with the kernel, or with the thread (its request is being
 * worked on), or with whoever will reply later.  A reply finds its entry by the request's number:
 * the thread that works on a request replies to it without a lock, any other takes the entry over
 * with one atomic exchange and hands it to the ring's thread.
 *
 * Threads: ring_pin(), ring_open(), ring_register(), ring_serve() and ring_close() in the ring's
 * own thread, which no other may take over (the kernel demands it).  ring_reply() and ring_stop():
 * any. */
#ifndef FREYJAFS_FUSE_TRANSPORT_URING_RING_H
#define FREYJAFS_FUSE_TRANSPORT_URING_RING_H

#include <liburing.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/compiler.h"
#include "fuse/transport/ring_entry.h"

struct fuse_session;
struct ring;

/* One entry.  What is not atomic belongs to whoever has the entry. */
struct ring_slot {
	struct ring_entry entry;
	struct ring *ring; /* constant */
	uint16_t qid;	   /* constant */
	/* The request that nobody has replied to yet; 0: none.  In an array of these alone, because
	 * a late reply is looked for there. */
	_Atomic uint64_t *unanswered;
	struct ring_slot *next;	 /* in the list of late replies */
	struct iovec buffers[2]; /* what the kernel is told of when it is registered */
};

struct ring {
	struct ring_slot *slots; /* borrowed; constant */
	size_t slot_count;	 /* constant */
	int cpu;		 /* to run on; -1: any */
	int event_fd;		 /* owned until the process ends: a late reply may still be on it */

	/* The ring's thread alone. */
	struct io_uring io;
	bool is_open;
	void *memory; /* of all entries; owned */
	size_t memory_bytes;
	uint64_t event_count; /* what is read from event_fd */
	size_t busy;	      /* entries that are not with the kernel */
	uint64_t pinned_ns;   /* when it was last tried, by monotonic_ns() */

	_Atomic(struct ring_slot *) late; /* replied to by other threads */
	atomic_bool stopping;
};

/* Has the calling thread run on 'cpu', where that can be: it may be offline.  What the kernel takes
 * away when the CPU goes offline, ring_serve() sets again within a second of its return. */
void ring_pin(struct ring *r);
/* Makes the ring and the memory of its entries; 'event_fd', 'slots' and 'cpu' are there.  -errno:
 * ring_close() is still to be called. */
int ring_open(struct ring *r, size_t payload_capacity) WARN_UNUSED;
/* Gives one entry of each queue to the kernel, which has accepted.  -errno: not each queue has one,
 * so the kernel uses no ring yet.  When all rings are through with this, it does, for good. */
int ring_register(struct ring *r, int fuse_fd) WARN_UNUSED;
/* After a failure in any ring: tells the kernel not to wait for rings any more. */
int ring_refuse(struct ring *r) WARN_UNUSED;
/* Gives it the others, and serves until ring_stop(), then until all requests are replied to.
 * Returns 0 or -errno. */
int ring_serve(struct ring *r, struct fuse_session *se) WARN_UNUSED;
/* Gives back all but 'event_fd'. */
void ring_close(struct ring *r);

void ring_stop(struct ring *r);

/* Takes the reply to a request of one of 'slots', whose 'unanswered' are those at 'unanswered'.
 * False: it belongs to none of them. */
bool ring_reply(struct ring_slot *slots, _Atomic uint64_t *unanswered, size_t slot_count,
		const struct iovec *iov, int count);

/* The payload of the request that the calling thread works on; NULL: none, or smaller. */
void *ring_buffer(size_t bytes);

#endif
