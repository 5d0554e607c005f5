/* SPDX-License-Identifier: MIT */
/* The rules for keys that are paths, and the components of a path (docs/FORMAT.md, section 3).
 * Threads: any. */
#ifndef FREYJAFS_CODEC_PATH_H
#define FREYJAFS_CODEC_PATH_H

#include <stdbool.h>
#include <stddef.h>

#define PATH_NAME_BYTES_MAX 255	  /* of one component; NAME_MAX of Linux */
#define PATH_BYTES_MAX	    65535 /* of a whole key that is a path */
#define PATH_LEVELS_MAX	    2048  /* components of a path; limit for making directories */
#define PATH_KEY_LEVELS_MAX 64	  /* components up to which a key makes the directories above it */

/* Returns whether 'name' can be one component of a path: 1 to 255 bytes, without '/' and NUL, and
 * neither "." nor "..". */
bool path_name_ok(const char *name, size_t name_bytes);

/* Returns whether the key can be reached as a path below /keys: it has at most PATH_BYTES_MAX
 * bytes, and each of its components is path_name_ok(). */
bool path_ok(const char *key, size_t key_bytes);

/* Returns the number of components of a path, which must be path_ok(). */
size_t path_levels(const char *path, size_t path_bytes);

/* Steps through a path, which must be path_ok().  Start with '*pos' = 0.  Stores the next component
 * in 'ret_name' (borrowed from 'path'), moves '*pos' behind it, and returns its size; returns 0 at
 * the end. */
size_t path_next(const char *path, size_t path_bytes, size_t *pos, const char **ret_name);

#endif
