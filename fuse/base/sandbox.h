/* SPDX-License-Identifier: MIT */
/* What the daemon gives up once it does not need it: root's capabilities, the right to gain
 * privileges by execve(2), and system calls that it never makes.  So an error in it that somebody
 * can use from inside the mount leads no further than to DATADIR.
 *
 * For root alone: a user's daemon has none of these capabilities, and has to run fusermount3, which
 * is setuid, when it unmounts.
 *
 * Threads: the main one, before there are others (sandbox_drop()), and at any time. */
#ifndef FREYJAFS_FUSE_BASE_SANDBOX_H
#define FREYJAFS_FUSE_BASE_SANDBOX_H

#include <stdbool.h>

#include "codec/compiler.h"
#include "writer/base/diag.h"

/* Gives up capabilities, for this thread and those that it will make.  What is kept: to unmount
 * (CAP_SYS_ADMIN), to follow paths to DATADIR and MOUNTPOINT (CAP_DAC_READ_SEARCH), to see in
 * /proc/PID/fd whether a writer has other descriptors (CAP_SYS_PTRACE; writers.h), and, where
 * DATADIR or the directory that it will be made in is another user's, or with 'accepts_foreign' a
 * file in DATADIR may be, to write there (CAP_DAC_OVERRIDE).  0 or -errno with 'diag'. */
int sandbox_drop(const char *datadir, bool accepts_foreign, struct diag *diag) WARN_UNUSED;

/* Forbids system calls, for all threads, when all that is needed only once is done.  One that is
 * forbidden fails with ENOSYS and is logged by the kernel (audit): libraries know what to do where
 * a kernel lacks a call, and a daemon that is killed would take the mount with it.  0, also where
 * the program was built without it; or -errno with 'diag'. */
int sandbox_filter(struct diag *diag) WARN_UNUSED;

/* Describes in some words what is in force. */
const char *sandbox_text(void);

#endif
