/* SPDX-License-Identifier: MIT */
/* The sandbox: the daemon gives up privileges that it no longer needs, namely root's capabilities,
 * the right to gain privileges by execve(2), and system calls that it never makes.  An attacker who
 * exploits an error of the daemon from inside the mount then reaches DATADIR and no more.
 *
 * Only a daemon that runs as root does so.  A user's daemon has none of these capabilities, and at
 * unmounting it must be able to run fusermount3, which is setuid.
 *
 * Threads: sandbox_drop() is called by the main thread before there are others; the other functions
 * at any time. */
#ifndef FREYJAFS_FUSE_BASE_SANDBOX_H
#define FREYJAFS_FUSE_BASE_SANDBOX_H

#include <stdbool.h>

#include "codec/compiler.h"
#include "writer/base/diag.h"

/* Drops capabilities of the calling thread, and so of all threads that it creates later.  The
 * daemon keeps CAP_SYS_ADMIN to unmount, CAP_DAC_READ_SEARCH to follow paths to DATADIR and
 * MOUNTPOINT, and CAP_SYS_PTRACE to see in /proc/PID/fdinfo whether a writer has other descriptors
 * (writers.h).  It also keeps CAP_DAC_OVERRIDE, to write to DATADIR, if DATADIR (or, while it is
 * missing, its parent directory) belongs to another user or lacks the owner's permissions, or if
 * 'accepts_foreign' (files in DATADIR may then belong to another user).  Does nothing if the daemon
 * is not root's.  Returns 0, or -errno with a message in 'diag'. */
int sandbox_drop(const char *datadir, bool accepts_foreign, struct diag *diag) WARN_UNUSED;

/* Forbids all system calls of all threads that the daemon does not need while it serves requests;
 * the caller has finished its setup.  A forbidden call fails with ENOSYS, and the kernel logs it
 * (audit): libraries know how to continue on a kernel that lacks a call, and killing the daemon
 * would end the mount.  Returns 0, also if sandbox_drop() has dropped nothing or the program was
 * built without libseccomp, or -errno with a message in 'diag'. */
int sandbox_filter(struct diag *diag) WARN_UNUSED;

/* Returns a static text that lists the parts of the sandbox in force. */
const char *sandbox_text(void);

#endif
