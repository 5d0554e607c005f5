/* SPDX-License-Identifier: MIT */
/* What the benchmark programs share: a clock, threads that start together, an end to it all. */
#ifndef FREYJAFS_BENCH_BENCH_H
#define FREYJAFS_BENCH_BENCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/compiler.h"

#define BENCH_THREADS_MAX 64

/* Prints "program: ..." to stderr and exits with 1.  'err' (an errno, or 0) is appended as text. */
void bench_die(int err, const char *fmt, ...) PRINTF_LIKE(2, 3) __attribute__((noreturn));

/* Seconds on the monotonic clock. */
double bench_seconds(void);

/* The next of a sequence of random numbers, the same in each run; 'state' is any number but 0. */
uint64_t bench_random(uint64_t *state);

/* Bytes that do not compress, the same in each run.  The caller frees them. */
uint8_t *bench_random_bytes(size_t bytes);

/* Reads a number with an optional suffix K, M or G (powers of 1024); dies on anything else. */
uint64_t bench_parse_size(const char *text);

/* One thread's part.  Runs until bench_stopped(), or until it has nothing more to do. */
typedef void (*bench_fn)(void *arg, unsigned int thread);

/* Runs 'fn' in 'threads' threads that start together.  After 'seconds' (0: never) the stop flag is
 * set.  Returns the time from the start to the end of the last thread. */
double bench_run(unsigned int threads, double seconds, bench_fn fn, void *arg);

extern atomic_bool bench_stop_flag;

static inline bool bench_stopped(void)
{
	return atomic_load_explicit(&bench_stop_flag, memory_order_relaxed);
}

/* Ends the run for all threads: one of them has used up its share of the disk. */
static inline void bench_stop(void)
{
	atomic_store_explicit(&bench_stop_flag, true, memory_order_relaxed);
}

#endif
