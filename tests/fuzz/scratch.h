/* SPDX-License-Identifier: MIT */
/* A temporary directory of real files, for targets that cannot use a disk in memory. */
#ifndef FREYJAFS_TESTS_FUZZ_SCRATCH_H
#define FREYJAFS_TESTS_FUZZ_SCRATCH_H

#include <stddef.h>

/* Makes the directory "data" in the temporary directory anew, empty, and returns its path.  The
 * temporary directory is on /dev/shm, where there is one, and is removed at exit. */
const char *scratch_make(void);
/* Writes a new file in "data". */
void scratch_write(const char *name, const void *bytes, size_t n);
/* Dies if a file in "data" has not exactly these bytes. */
void scratch_check(const char *name, const void *bytes, size_t n);

#endif
