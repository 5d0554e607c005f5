/* SPDX-License-Identifier: MIT */
/* Runs a fuzz target without a fuzzer: each file of the command line as it is, cut, and with random
 * mutations that a seed repeats.  Prints one TAP line per file and kind; a crash is the failure. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "tests/sim/rng.h"

#define INPUT_BYTES_MAX ((size_t)1 << 17)
#define RANDOM_BYTES	200

static uint8_t input[INPUT_BYTES_MAX], mutant[INPUT_BYTES_MAX + 64];
static int line;

/* The target gets memory that ends where the input ends. */
static void run(const uint8_t *data, size_t n)
{
	uint8_t *exact = malloc(n > 0 ? n : 1);

	FUZZ_CHECK(exact != NULL);
	memcpy(exact, data, n);
	FUZZ_CHECK(LLVMFuzzerTestOneInput(exact, n) == 0);
	free(exact);
}

static size_t mutate(struct rng *r, size_t n)
{
	static const uint8_t edges[] = { 0, 1, 0x7f, 0x80, 0xff };
	size_t at = n == 0 ? 0 : rng_below(r, n), other, len;

	if (n == 0)
		return 0;
	switch (rng_below(r, 6)) {
	case 0:
		mutant[at] ^= (uint8_t)(1u << rng_below(r, 8));
		break;
	case 1:
		mutant[at] = edges[rng_below(r, sizeof(edges))];
		break;
	case 2:
		mutant[at] = (uint8_t)rng_next(r);
		break;
	case 3: /* cut */
		return at;
	case 4: /* a piece over another place */
		other = rng_below(r, n);
		len = rng_below(r, 64) + 1;
		if (at + len > n || other + len > n)
			break;
		memmove(mutant + other, mutant + at, len);
		break;
	default: /* a piece comes in */
		len = rng_below(r, 40) + 1;
		if (n + len > INPUT_BYTES_MAX)
			break;
		memmove(mutant + at + len, mutant + at, n - at);
		n += len;
		break;
	}
	return n;
}

static void run_mutations(size_t bytes, unsigned int count, uint64_t seed)
{
	for (unsigned int i = 0; i < count; i++) {
		struct rng r = { rng_mix(seed, i, bytes) };
		uint64_t steps = 1 + rng_below(&r, 8);
		size_t n = bytes;

		memcpy(mutant, input, bytes);
		while (steps-- > 0)
			n = mutate(&r, n);
		run(mutant, n);
	}
}

/* Bytes that have nothing to do with any file. */
static void run_random(unsigned int count, uint64_t seed)
{
	for (unsigned int i = 0; i < count; i++) {
		struct rng r = { rng_mix(seed, i, 1) };
		size_t n = rng_below(&r, RANDOM_BYTES);

		for (size_t j = 0; j < n; j++)
			mutant[j] = (uint8_t)rng_next(&r);
		run(mutant, n);
	}
}

static int ok(const char *what, const char *name)
{
	line++;
	return printf("ok %d - %s%s\n", line, what, name) < 0 || fflush(stdout) != 0;
}

/* usage: smoke PREFIX MUTATIONS SEED FILE...
 * PREFIX: two hexadecimal digits per byte, put before each file; "-" for none. */
int main(int argc, char **argv)
{
	size_t prefix = 0, n;
	unsigned int count;
	uint64_t seed;
	int failed = 0;

	if (argc < 5)
		return 2;
	count = (unsigned int)strtoul(argv[2], NULL, 10);
	seed = strtoull(argv[3], NULL, 10);
	for (const char *p = argv[1]; p[0] != '\0' && p[1] != '\0'; p += 2) {
		char digits[3] = { p[0], p[1], '\0' };

		input[prefix++] = (uint8_t)strtoul(digits, NULL, 16);
	}
	printf("1..%d\n", 2 * (argc - 4) + 1);
	for (int i = 4; i < argc; i++) {
		FILE *f = fopen(argv[i], "rbe");
		const char *name = strrchr(argv[i], '/');

		if (f == NULL)
			return 2;
		name = name == NULL ? argv[i] : name + 1;
		n = prefix + fread(input + prefix, 1, INPUT_BYTES_MAX - prefix, f);
		fclose(f);
		run(input, n);
		failed |= ok("as it is: ", name);
		run_mutations(n, count, seed + (uint64_t)i);
		failed |= ok("mutations of ", name);
	}
	run_random(count, seed);
	failed |= ok("random bytes", "");
	return failed;
}
