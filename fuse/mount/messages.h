/* SPDX-License-Identifier: MIT */
/* The daemon's messages, one line each: to stderr until the daemon is in the background, then to
 * syslog.  Messages of libfuse take the same way.  Threads: any, except where noted. */
#ifndef FREYJAFS_FUSE_MOUNT_MESSAGES_H
#define FREYJAFS_FUSE_MOUNT_MESSAGES_H

#include "codec/compiler.h"
#include "writer/base/diag.h"

void log_init(void);	  /* call first; from then on messages of libfuse come here */
void log_to_syslog(void); /* while there is one thread */

/* Print a formatted line, as an error or as a notice; 'fmt' has no newline. */
void log_error(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_notice(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* Redirects errors of libfuse: instead of being printed, the last one is stored in 'into', without
 * its newline.  NULL: print them again.  Only while one thread uses libfuse. */
void log_capture_libfuse(struct diag *into);

#endif
