/* SPDX-License-Identifier: MIT */
/* All that a store shows as one number.  A file that cannot be read counts as its EIO. */
#ifndef FREYJAFS_TESTS_FUZZ_WALK_H
#define FREYJAFS_TESTS_FUZZ_WALK_H

#include <stdint.h>

#include "writer/store.h"

/* Dies when a node cannot be listed, or read otherwise than with EIO. */
uint64_t walk_digest(struct store *s);
/* How many files the last walk could not read. */
uint64_t walk_unreadable(void);

#endif
