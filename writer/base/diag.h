/* SPDX-License-Identifier: MIT */
/* One line for a person: which file, which offset, what is wrong, what to do.  The library fills it
 * in and never prints; the error code beside it is what programs act on.  Threads: one at a time.
 */
#ifndef FREYJAFS_WRITER_BASE_DIAG_H
#define FREYJAFS_WRITER_BASE_DIAG_H

#include "codec/compiler.h"

#define DIAG_BYTES 1024

struct diag {
	char text[DIAG_BYTES]; /* "" when there is nothing to say; never ends in a newline */
};

/* Replaces the text of 'd' (NULL is a no-op) and returns 'err': return diag_set(d, -EBADMSG, "%s:
 * ...", path); */
int diag_set(struct diag *d, int err, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
