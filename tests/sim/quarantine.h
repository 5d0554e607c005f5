/* SPDX-License-Identifier: MIT */
/* The quarantine on a simulated disk: bytes that recovery saved.  Threads: any. */
#ifndef FREYJAFS_TESTS_SIM_QUARANTINE_H
#define FREYJAFS_TESTS_SIM_QUARANTINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/sim/simdisk.h"

/* Returns whether a file under 'dir'/quarantine has exactly the bytes of 'tail'.  Trailing zeros
 * are not saved, so the result is true for a tail of zeros. */
bool quarantine_holds(struct simdisk *d, const char *dir, const uint8_t *tail, size_t tail_bytes);

/* Returns the number of files under 'dir'/quarantine. */
unsigned int quarantine_count(struct simdisk *d, const char *dir);

#endif
