/* SPDX-License-Identifier: MIT */
/* Lists of CPUs as sysfs prints them: "0-3,5".  Threads: any. */
#ifndef FREYJAFS_FUSE_TRANSPORT_CPU_LIST_H
#define FREYJAFS_FUSE_TRANSPORT_CPU_LIST_H

#include "codec/compiler.h"

#define CPU_LIST_MAX 8192 /* more than the kernel can be built for */

/* Counts the CPUs in such a text, which may end with a newline.  -EINVAL: it is none, or has more
 * than CPU_LIST_MAX. */
int cpu_list_count(const char *text) WARN_UNUSED;

#endif
