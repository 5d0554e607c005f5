/* SPDX-License-Identifier: MIT */
/* The memory of one ring entry, with the conversions between the kernel's format and libfuse's: a
 * request that arrives in three parts is joined for libfuse, and a reply of libfuse is split into
 * the parts that the kernel reads.
 *
 * 0                               RING_ENTRY_HEAD_BYTES   ... + payload capacity | uring_header |
 * room  | in_header, op header | payload |
 *
 * The kernel writes the payload behind the space for the two headers, so joining a request copies
 * only the headers, at most 168 bytes, and never the payload.
 *
 * Threads: one at a time for each entry.  No function takes a lock, makes a system call or calls
 * libfuse. */
#ifndef FREYJAFS_FUSE_TRANSPORT_RING_ENTRY_H
#define FREYJAFS_FUSE_TRANSPORT_RING_ENTRY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "codec/compiler.h"
#include "fuse/transport/uring_abi.h"

/* One page, so that the payload begins at a page boundary. */
#define RING_ENTRY_HEAD_BYTES 4096

struct ring_entry {
	struct uring_header *header; /* begin of the memory */
	uint8_t *payload;
	size_t payload_capacity; /* bytes */
	/* Of the request in the entry. */
	uint64_t commit_id;
	uint64_t unique;
};

/* Initialises an entry.  'memory' must have RING_ENTRY_HEAD_BYTES + 'payload_capacity' bytes and be
 * aligned to 8; the entry borrows it. */
void ring_entry_init(struct ring_entry *e, void *memory, size_t payload_capacity);

/* Stores the two buffers to register with the kernel: header and payload. */
void ring_entry_buffers(const struct ring_entry *e, struct iovec ret[2]);

/* Joins the request that the kernel has written into the entry, and stores its beginning, in the
 * entry's memory, and its length.  -EBADMSG: the lengths of the parts do not fit together;
 * commit_id and unique are still valid. */
int ring_entry_request(struct ring_entry *e, void **ret, size_t *ret_bytes) WARN_UNUSED;

/* Writes a reply into the entry: iov[0] is the fuse_out_header, the other parts are its payload.
 * Parts that are already at their position in the payload are not copied.  -EMSGSIZE: the payload
 * is too small for it. */
int ring_entry_reply(struct ring_entry *e, const struct iovec *iov, int count) WARN_UNUSED;

/* Writes a reply into the entry that has only 'error' (-errno). */
void ring_entry_fail(struct ring_entry *e, int error);

#endif
