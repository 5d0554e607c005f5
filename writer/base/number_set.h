/* SPDX-License-Identifier: MIT */
/* A set of 64-bit numbers that are hashes already, such as inode numbers.  It cannot contain 0.
 * Threads: one at a time; the owner has the lock. */
#ifndef FREYJAFS_WRITER_BASE_NUMBER_SET_H
#define FREYJAFS_WRITER_BASE_NUMBER_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/compiler.h"

struct number_set {
	uint64_t *slots; /* 'capacity' is their number, a power of two; 0: free */
	size_t capacity, count;
};

void number_set_init(struct number_set *s);
void number_set_destroy(struct number_set *s);
/* Adds a number, which may be in the set already.  -ENOMEM: nothing has changed. */
int number_set_add(struct number_set *s, uint64_t number) WARN_UNUSED;
void number_set_remove(struct number_set *s, uint64_t number); /* no-op if it is not in the set */
bool number_set_has(const struct number_set *s, uint64_t number);

#endif
