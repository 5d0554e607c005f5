/* SPDX-License-Identifier: MIT */
/* The daemon's messages: one line each, to stderr until it is in the background, then to syslog.
 * libfuse's own go the same way.  Threads: any, except where noted. */
#ifndef FREYJAFS_FUSE_MOUNT_MESSAGES_H
#define FREYJAFS_FUSE_MOUNT_MESSAGES_H

#include "codec/compiler.h"
#include "writer/base/diag.h"

void log_init(void);	  /* first of all; messages of libfuse come here from now on */
void log_to_syslog(void); /* one thread; from now on */

void log_error(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_notice(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* One thread: the errors of libfuse are kept, the last in 'into' without its newline, instead of
 * being printed.  NULL: print again. */
void log_capture_libfuse(struct diag *into);

#endif
