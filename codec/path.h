/* SPDX-License-Identifier: MIT */
/* Which keys name a path, and the components of one (docs/FORMAT.md, section 3).  Threads: any. */
#ifndef FREYJAFS_CODEC_PATH_H
#define FREYJAFS_CODEC_PATH_H

#include <stdbool.h>
#include <stddef.h>

#define PATH_NAME_BYTES_MAX 255	  /* one component; NAME_MAX of Linux */
#define PATH_BYTES_MAX	    65535 /* a whole key that is a path */
#define PATH_LEVELS_MAX	    2048  /* components; directories are made up to here */
#define PATH_KEY_LEVELS_MAX 64	  /* a key makes the directories on its way up to here */

/* Says whether 'name' can be one component of a path: 1 to 255 bytes, no '/', no NUL, neither "."
 * nor "..". */
bool path_name_ok(const char *name, size_t name_bytes);

/* Says whether the key can be reached as a path below /keys: every component is path_name_ok(), at
 * most PATH_BYTES_MAX in all. */
bool path_ok(const char *key, size_t key_bytes);

/* How many components a path_ok() path has. */
size_t path_levels(const char *path, size_t path_bytes);

/* Steps through a path_ok() path.  Start with 'pos' = 0.  Stores the next component in 'ret_name'
 * (borrowed from 'path'), moves 'pos' past it and returns its size; returns 0 at the end. */
size_t path_next(const char *path, size_t path_bytes, size_t *pos, const char **ret_name);

#endif
