/* SPDX-License-Identifier: MIT */
/* The memory of one ring entry, and the two ways across it: a request that came in three parts
 * becomes one for libfuse, and a reply of libfuse's goes where the kernel looks for it.
 *
 *	0				RING_ENTRY_HEAD_BYTES	... + payload capacity
 *	| uring_header |  room  | in_header, op header | payload |
 *
 * The payload is where the kernel puts it, right behind room for the two headers: a request is made
 * whole by copying these, at most 168 bytes, and never its payload.
 *
 * Threads: one at a time for each entry.  No lock, no system call, no libfuse. */
#ifndef FREYJAFS_FUSE_TRANSPORT_RING_ENTRY_H
#define FREYJAFS_FUSE_TRANSPORT_RING_ENTRY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "codec/compiler.h"
#include "fuse/transport/uring_abi.h"

/* A page, so that the payload is on a page boundary. */
#define RING_ENTRY_HEAD_BYTES 4096

struct ring_entry {
	struct uring_header *header; /* the beginning of the memory */
	uint8_t *payload;
	size_t payload_capacity; /* bytes */
	/* Of the request that is in it. */
	uint64_t commit_id;
	uint64_t unique;
};

/* 'memory' has RING_ENTRY_HEAD_BYTES + 'payload_capacity' bytes, is aligned to 8, and stays the
 * caller's. */
void ring_entry_init(struct ring_entry *e, void *memory, size_t payload_capacity);

/* The two buffers that the kernel is told of. */
void ring_entry_buffers(const struct ring_entry *e, struct iovec ret[2]);

/* Makes one request of what the kernel has put into the entry, and stores where it begins and its
 * length.  -EBADMSG: its parts do not fit together; commit_id and unique are right all the same. */
int ring_entry_request(struct ring_entry *e, void **ret, size_t *ret_bytes) WARN_UNUSED;

/* Puts a reply into the entry: a fuse_out_header, then what belongs to it.  Bytes that are in the
 * payload already, in their place, are not copied.  -EMSGSIZE: it does not fit. */
int ring_entry_reply(struct ring_entry *e, const struct iovec *iov, int count) WARN_UNUSED;

/* Puts a reply into the entry that says 'error' (-errno) alone. */
void ring_entry_fail(struct ring_entry *e, int error);

#endif
