/* SPDX-License-Identifier: MIT */
/* The text of /metrics: the numbers of /status in the text format of Prometheus, version 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/).  Threads: any. */
#ifndef FREYJAFS_FUSE_VIRTUAL_METRICS_H
#define FREYJAFS_FUSE_VIRTUAL_METRICS_H

#include <stddef.h>

#include "codec/compiler.h"

struct fs;

/* Stores a string, which the caller frees, and its length.  Returns 0 or -errno. */
int metrics_text(struct fs *fs, char **ret, size_t *ret_bytes) WARN_UNUSED;

#endif
