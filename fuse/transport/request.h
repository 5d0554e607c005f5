/* SPDX-License-Identifier: MIT */
/* Translation of requests that libfuse 3.14 does not know into requests that it knows.  Each reader
 * of requests calls request_translate() before fuse_session_process_buf().
 *
 * FUSE_TMPFILE (since Linux 6.1; libfuse would answer ENOSYS) has the layout of FUSE_CREATE, and
 * the name "/", which no file can have.  Threads: any. */
#ifndef FREYJAFS_FUSE_TRANSPORT_REQUEST_H
#define FREYJAFS_FUSE_TRANSPORT_REQUEST_H

#include <stddef.h>

#include <linux/fuse.h>

/* The name in a create() that makes a temporary file. */
#define REQUEST_TEMPORARY "/"

/* Translates the request of 'bytes' bytes in 'buf' in place. */
static inline void request_translate(void *buf, size_t bytes)
{
	struct fuse_in_header *in = buf;

	if (bytes >= sizeof(*in) && in->opcode == FUSE_TMPFILE)
		in->opcode = FUSE_CREATE;
}

#endif
