/* SPDX-License-Identifier: MIT */
/* Requests that libfuse 3.14 does not know, as others that it does.  Whoever reads requests from
 * the kernel calls request_translate() before fuse_session_process_buf().
 *
 * FUSE_TMPFILE (Linux 6.1; libfuse answers ENOSYS) has the layout of FUSE_CREATE, and the name "/",
 * which no file has.  Threads: any. */
#ifndef FREYJAFS_FUSE_TRANSPORT_REQUEST_H
#define FREYJAFS_FUSE_TRANSPORT_REQUEST_H

#include <stddef.h>
#include <stdint.h>

#include <linux/fuse.h>

/* The name in a create() that is for a file without one. */
#define REQUEST_UNNAMED "/"

static inline void request_translate(void *buf, size_t bytes)
{
	struct fuse_in_header *in = buf;

	if (bytes >= sizeof(*in) && in->opcode == FUSE_TMPFILE)
		in->opcode = FUSE_CREATE;
}

#endif
