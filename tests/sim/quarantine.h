/* SPDX-License-Identifier: MIT */
/* What recovery put aside on a simulated disk.  Threads: any. */
#ifndef FREYJAFS_TESTS_SIM_QUARANTINE_H
#define FREYJAFS_TESTS_SIM_QUARANTINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/sim/simdisk.h"

/* Says whether a file under 'dir'/quarantine is exactly the bytes of 'tail'; its trailing zeros are
 * not saved, so a tail of zeros always is. */
bool quarantine_holds(struct simdisk *d, const char *dir, const uint8_t *tail, size_t tail_bytes);

/* How many files are under 'dir'/quarantine. */
unsigned int quarantine_count(struct simdisk *d, const char *dir);

#endif
