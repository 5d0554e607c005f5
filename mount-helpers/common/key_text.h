/* SPDX-License-Identifier: MIT */
/* Keys as printable text, for terminals and command lines; a key may contain any bytes.  Bytes that
 * are not printable ASCII, the backslash, and a space at the begin or end of the key are written as
 * \xHH.  The parser also accepts "\\" for a backslash.  Threads: any. */
#ifndef FREYJAFS_MOUNT_HELPERS_COMMON_KEY_TEXT_H
#define FREYJAFS_MOUNT_HELPERS_COMMON_KEY_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "codec/compiler.h"

/* Writes the key to 'f' as text.  The caller checks 'f' for errors. */
void key_text_print(FILE *f, const void *key, size_t key_bytes);

/* Parses such a text into a new buffer, which the caller frees; a NUL byte follows the key.
 * Returns false if a backslash is followed by anything else, or without memory. */
bool key_text_parse(const char *text, char **ret, size_t *ret_bytes) WARN_UNUSED;

#endif
