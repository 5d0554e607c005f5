/* SPDX-License-Identifier: MIT */
/* One ring of the io_uring transport: the queues of some CPUs, and the thread that serves them.
 *
 * At any time an entry of a queue belongs to the kernel, to the ring's thread (which processes its
 * request), or to the thread that will reply later.  A reply finds its entry by the request's
 * number: the thread that processes a request replies without a lock; any other thread takes the
 * entry over with one atomic exchange and hands it to the ring's thread.
 *
 * Threads: ring_pin(), ring_open(), ring_register(), ring_refuse(), ring_serve() and ring_close()
 * only in the ring's own thread, as the kernel requires; ring_reply() and ring_stop(): any.
 * Errors: 0 or -errno. */
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

/* One entry.  The fields that are not atomic belong to the owner of the entry. */
struct ring_slot {
	struct ring_entry entry;
	struct ring *ring; /* constant */
	uint16_t qid;	   /* constant */
	/* The number of the request without a reply; 0: none.  It is in an array of such numbers,
	 * because a late reply searches them. */
	_Atomic uint64_t *unanswered;
	struct ring_slot *next;	 /* in the list of late replies */
	struct iovec buffers[2]; /* the buffers to register with the kernel */
};

struct ring {
	struct ring_slot *slots; /* borrowed; constant */
	size_t slot_count;	 /* constant */
	int cpu;		 /* the CPU to run on; -1: any */
	int event_fd; /* owned until the process ends: a late reply may still write to it */

	/* Only the ring's thread uses these. */
	struct io_uring io;
	bool is_open;
	void *memory; /* of all entries; owned */
	size_t memory_bytes;
	uint64_t event_count; /* value read from event_fd */
	size_t busy;	      /* entries that are not with the kernel */
	uint64_t pinned_ns;   /* time of the last attempt, by monotonic_ns() */

	_Atomic(struct ring_slot *) late; /* replied to by other threads */
	atomic_bool stopping;
};

/* Pins the calling thread to 'cpu', if possible: the CPU may be offline.  The kernel unpins a
 * thread when its CPU goes offline; ring_serve() pins it again within a second after the CPU has
 * returned. */
void ring_pin(struct ring *r);
/* Makes the ring and the memory of its entries; 'event_fd', 'slots' and 'cpu' must be set.  The
 * caller must call ring_close() also after a failure. */
int ring_open(struct ring *r, size_t payload_capacity) WARN_UNUSED;
/* Registers one entry of each queue with the kernel, which must have accepted io_uring at INIT.
 * After a failure some queue has no entry, so the kernel uses no ring yet.  When all rings have
 * registered, the kernel uses rings until the mount ends. */
int ring_register(struct ring *r, int fuse_fd) WARN_UNUSED;
/* After a failure in any ring: makes the kernel stop waiting for rings, and use /dev/fuse. */
int ring_refuse(struct ring *r) WARN_UNUSED;
/* Registers the other entries, and serves until ring_stop(), and then until all requests have
 * replies. */
int ring_serve(struct ring *r, struct fuse_session *se) WARN_UNUSED;
/* Frees everything but 'event_fd'. */
void ring_close(struct ring *r);

/* Makes ring_serve() return, as soon as all requests have replies. */
void ring_stop(struct ring *r);

/* Takes the reply to a request of one of 'slots', whose numbers are in 'unanswered', an array of
 * the same length.  Returns false if the reply belongs to none of them. */
bool ring_reply(struct ring_slot *slots, _Atomic uint64_t *unanswered, size_t slot_count,
		const struct iovec *iov, int count);

/* Returns the payload of the request that the calling thread processes, as memory for the reply;
 * NULL if there is no request or the payload is smaller than 'bytes'. */
void *ring_buffer(size_t bytes);

#endif
