/* SPDX-License-Identifier: MIT */
/* Keys as text: any bytes, on a terminal and on a command line.  What is not printable ASCII, and
 * the backslash, is written as \xHH; "\\" is read as a backslash, too.  Threads: any. */
#ifndef FREYJAFS_MOUNT_HELPERS_COMMON_KEY_TEXT_H
#define FREYJAFS_MOUNT_HELPERS_COMMON_KEY_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "codec/compiler.h"

/* Writes the key to 'f'. */
void key_text_print(FILE *f, const void *key, size_t key_bytes);

/* Reads such a text into a new buffer that the caller frees.  False: a backslash with anything else
 * behind it, or no memory. */
bool key_text_parse(const char *text, char **ret, size_t *ret_bytes) WARN_UNUSED;

#endif
