/* SPDX-License-Identifier: MIT */
/* Asks the kernel for what libfuse 3.14 does not know: FUSE_HANDLE_KILLPRIV_V2.
 *
 * Without it the kernel asks for security.capability before each write, in order to know whether
 * the write has to take it away; with it the filesystem takes away setuid bits and capabilities
 * itself. The flag is set in the reply to INIT on its way to the kernel (kernel ABI: linux/fuse.h).
 * Threads: one call, before the session loop. */
#ifndef FREYJAFS_FUSE_INIT_REPLY_H
#define FREYJAFS_FUSE_INIT_REPLY_H

#include <fuse_lowlevel.h>

#include "codec/compiler.h"

/* Puts itself between 'se', which is mounted, and the kernel.  0 or -errno. */
int init_reply_extend(struct fuse_session *se) WARN_UNUSED;

#endif
