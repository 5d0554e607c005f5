/* SPDX-License-Identifier: MIT */
/* The text of /status: lines "name: value".  Threads: any. */
#ifndef FREYJAFS_FUSE_VIRTUAL_STATUS_H
#define FREYJAFS_FUSE_VIRTUAL_STATUS_H

#include <stddef.h>

#include "codec/compiler.h"

struct fs;

/* Stores a string, which the caller frees, and its length.  Returns 0 or -ENOMEM. */
int status_text(struct fs *fs, char **ret, size_t *ret_bytes) WARN_UNUSED;

#endif
