/* SPDX-License-Identifier: MIT */
/* A layer between libfuse and the kernel: changes the reply to INIT, so that the kernel uses
 * features that libfuse 3.14 does not know, and lets a transport take replies.
 *
 * FUSE_HANDLE_KILLPRIV_V2: the filesystem clears setuid bits and capabilities itself; without this
 * flag the kernel asks for security.capability before each write, to know whether the write must
 * clear it.  FUSE_PARALLEL_DIROPS: lookups in one directory run in parallel.
 * FUSE_DIRECT_IO_ALLOW_MMAP: a handle with direct_io can still be mapped.  FUSE over io_uring: if
 * the transport accepts it.  The flags are set in the reply to INIT on its way to the kernel
 * (kernel ABI: linux/fuse.h, fuse/transport/uring_abi.h).
 *
 * Threads: init_reply_extend() is called once, before the session loop. */
#ifndef FREYJAFS_FUSE_TRANSPORT_INIT_REPLY_H
#define FREYJAFS_FUSE_TRANSPORT_INIT_REPLY_H

#include <stdbool.h>

#include <fuse_lowlevel.h>

#include "codec/compiler.h"
#include "fuse/transport/transport.h"

/* Inserts this layer between 'se', which must be mounted, and the kernel.  Calls 'on_ready' (may be
 * NULL) with 'arg' once, when the mount can be used, in the thread that answers INIT.  Borrows
 * 'transport' and 'arg'.  Returns 0 or -errno. */
int init_reply_extend(struct fuse_session *se, const struct transport *transport,
		      void (*on_ready)(void *arg), void *arg) WARN_UNUSED;

/* Returns whether a handle may have direct_io while other handles have cached pages of the same
 * file.  Since Linux 6.6 the kernel drops pages that a direct write covers, and before the write it
 * sends changes that were made through a mapping (fuse_direct_io(), fs/fuse/file.c).  Valid for
 * requests after INIT; any thread. */
bool init_reply_allows_bypass(void);

#endif
