/* SPDX-License-Identifier: MIT */
/* Between libfuse and the kernel: asks the kernel for what libfuse 3.14 does not know, and lets a
 * transport take replies.
 *
 * FUSE_HANDLE_KILLPRIV_V2: without it the kernel asks for security.capability before each write, in
 * order to know whether the write has to take it away; with it the filesystem takes away setuid
 * bits and capabilities itself.  FUSE_DIRECT_IO_ALLOW_MMAP: a handle with direct_io can be mapped
 * all the same.  FUSE over io_uring: if the transport wants it.  All are set in the reply to INIT
 * on its way to the kernel (kernel ABI: linux/fuse.h, fuse/transport/uring_abi.h).
 *
 * Threads: one call, before the session loop. */
#ifndef FREYJAFS_FUSE_TRANSPORT_INIT_REPLY_H
#define FREYJAFS_FUSE_TRANSPORT_INIT_REPLY_H

#include <stdbool.h>

#include <fuse_lowlevel.h>

#include "codec/compiler.h"
#include "fuse/transport/transport.h"

/* Puts itself between 'se', which is mounted, and the kernel.  Calls 'on_ready' with 'arg' once, if
 * it is not NULL, when the mount can be used.  0 or -errno. */
int init_reply_extend(struct fuse_session *se, const struct transport *transport,
		      void (*on_ready)(void *arg), void *arg) WARN_UNUSED;

/* Says whether a handle may have direct_io beside others that have pages of the same file: since
 * Linux 6.6 the kernel drops those that are written past, and writes out before what was changed
 * through a mapping (fuse_direct_io(), fs/fuse/file.c).  For requests after INIT; any thread. */
bool init_reply_allows_bypass(void);

#endif
