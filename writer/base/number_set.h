/* SPDX-License-Identifier: MIT */
/* A set of 64-bit numbers that are hashes already: inode numbers.  0 cannot be in it.  Threads: as
 * whoever holds it says. */
#ifndef FREYJAFS_WRITER_BASE_NUMBER_SET_H
#define FREYJAFS_WRITER_BASE_NUMBER_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/compiler.h"

struct number_set {
	uint64_t *slots; /* room is a power of two; 0: free */
	size_t room, count;
};

void number_set_init(struct number_set *s);
void number_set_destroy(struct number_set *s);
/* Adds a number, which may be there already.  -ENOMEM. */
int number_set_add(struct number_set *s, uint64_t number) WARN_UNUSED;
void number_set_remove(struct number_set *s, uint64_t number); /* if it is there */
bool number_set_has(const struct number_set *s, uint64_t number);

#endif
