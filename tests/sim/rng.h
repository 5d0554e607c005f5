/* SPDX-License-Identifier: MIT */
/* Random numbers that a seed repeats exactly, on every machine (splitmix64).  Threads: one at a
 * time. */
#ifndef FREYJAFS_TESTS_SIM_RNG_H
#define FREYJAFS_TESTS_SIM_RNG_H

#include <stdbool.h>
#include <stdint.h>

struct rng {
	uint64_t state;
};

static inline uint64_t rng_next(struct rng *r)
{
	uint64_t z = (r->state += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

/* Returns a number in 0 ... n - 1. */
static inline uint64_t rng_below(struct rng *r, uint64_t n)
{
	return rng_next(r) % n;
}

/* True 'percent' times out of a hundred. */
static inline bool rng_chance(struct rng *r, unsigned int percent)
{
	return rng_below(r, 100) < percent;
}

/* Returns a seed that depends on all three numbers. */
static inline uint64_t rng_mix(uint64_t a, uint64_t b, uint64_t c)
{
	struct rng r = { a };

	r.state = rng_next(&r) ^ b;
	r.state = rng_next(&r) ^ c;
	return rng_next(&r);
}

#endif
