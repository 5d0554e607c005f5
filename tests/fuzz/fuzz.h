/* SPDX-License-Identifier: MIT */
/* A fuzz target is one file with LLVMFuzzerTestOneInput().  With -Dfuzz=true (clang) it is linked
 * with libFuzzer; always it is also linked with smoke.c, which gives it the files of a corpus and a
 * fixed number of mutations of them. */
#ifndef FREYJAFS_TESTS_FUZZ_FUZZ_H
#define FREYJAFS_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Dies, so that a fuzzer sees it, with a line that says what is wrong. */
#define FUZZ_CHECK(condition)                                                                  \
	do {                                                                                   \
		if (!(condition)) {                                                            \
			fprintf(stderr, "%s:%d: wrong: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                               \
		}                                                                              \
	} while (0)

#endif
