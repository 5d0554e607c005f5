/* SPDX-License-Identifier: MIT */
/* A diagnostic: one line for a person that names the file, the offset, the problem and the remedy.
 * The library fills it in and never prints it; programs act on the error code that is returned with
 * it.  Threads: one at a time. */
#ifndef FREYJAFS_WRITER_BASE_DIAG_H
#define FREYJAFS_WRITER_BASE_DIAG_H

#include "codec/compiler.h"

#define DIAG_BYTES 1024

struct diag {
	char text[DIAG_BYTES]; /* "" if there is nothing to report; never ends in a newline */
};

/* Replaces the text of 'd' (NULL is a no-op) and returns 'err', as in: return diag_set(d, -EBADMSG,
 * "%s: ...", path); */
int diag_set(struct diag *d, int err, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
