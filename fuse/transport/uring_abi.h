/* SPDX-License-Identifier: MIT */
/* The kernel's ABI of FUSE over io_uring (Linux 6.14 and later; include/uapi/linux/fuse.h), which
 * the linux/fuse.h of Debian 12 does not have yet.
 *
 * A ring entry consists of a struct uring_header and a payload, which the process gives to the
 * kernel with URING_REGISTER.  A completion of that command means that the entry has a request.
 * URING_COMMIT makes the kernel take the reply out of the entry and fetch the next request.  Each
 * possible CPU has a queue, and the kernel puts a request into the queue of the CPU that it was
 * made on.  FORGET, INTERRUPT and notifications stay on /dev/fuse. */
#ifndef FREYJAFS_FUSE_TRANSPORT_URING_ABI_H
#define FREYJAFS_FUSE_TRANSPORT_URING_ABI_H

#include <stdint.h>

#define URING_INIT_EXT	    (UINT32_C(1) << 30) /* INIT flags: flags2 is valid */
#define URING_INIT_FLAGS2   (UINT32_C(1) << 9)	/* INIT flags2: FUSE_OVER_IO_URING */
#define URING_REGISTER	    1			/* cmd_op */
#define URING_COMMIT	    2			/* cmd_op: COMMIT_AND_FETCH */
#define URING_OP_BYTES	    128			/* maximum size of an operation's header */
#define URING_INTERRUPT_BIT UINT64_C(1)		/* in a unique: an INTERRUPT, not a request */

/* In the command area of a submission. */
struct uring_command {
	uint64_t flags;	    /* 0 */
	uint64_t commit_id; /* URING_COMMIT: of the request to answer */
	uint16_t qid;	    /* the queue: a CPU number */
	uint8_t padding[6];
};
_Static_assert(sizeof(struct uring_command) == 24, "kernel ABI");

struct uring_header {
	uint8_t in_out[128];	    /* fuse_in_header, then fuse_out_header */
	uint8_t op[URING_OP_BYTES]; /* the header of the operation; may be empty */
	uint64_t flags;
	uint64_t commit_id;
	uint32_t payload_bytes;
	uint32_t padding;
	uint64_t reserved;
};
_Static_assert(sizeof(struct uring_header) == 288, "kernel ABI");

#endif
