/* SPDX-License-Identifier: MIT */
/* Failing the Nth call, for every N until a run needs no failure: what both fault tests share. */
#ifndef FREYJAFS_TESTS_FAULT_FAULT_H
#define FREYJAFS_TESTS_FAULT_FAULT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "codec/compiler.h"
#include "tests/sim/faultio.h"
#include "tests/sim/simdisk.h"

/* One way to fail. */
struct fault {
	const char *name;
	enum fault_action action;
	int err;
	uint64_t times;
};

#define FAULT_COUNT 13
extern const struct fault fault_list[FAULT_COUNT];

/* EINTR and short counts are nobody's business but the library's. */
bool fault_is_invisible(const struct fault *fault);

/* One run: call 'at' is the first to fail. */
struct fault_run {
	const char *scenario;
	const struct fault *fault;
	uint64_t at;
	struct simdisk *disk;
	struct faultio *io;
};

/* Arms the fault on 'run->io'. */
void fault_arm(struct fault_run *run);
/* No call fails from here on. */
void fault_disarm(struct fault_run *run);

/* Fails the test with the last calls and the way to run this one alone. */
void fault_fail(const struct fault_run *run, const char *fmt, ...) PRINTF_LIKE(2, 3);
#define FAULT_CHECK(run, ok, ...)                     \
	do {                                          \
		if (!(ok))                            \
			fault_fail(run, __VA_ARGS__); \
	} while (0)

/* Runs 'fn' for N = 1, 2, ... until it returns false: no call was hit.  FAULT_AT=n in the
 * environment runs that one alone.  Returns how many runs there were. */
typedef bool (*fault_run_fn)(struct fault_run *run, const void *scenario);
uint64_t fault_for_every_call(const char *scenario_name, const struct fault *fault, fault_run_fn fn,
			      const void *scenario);

/* Runs the rows; argv[1], if given, is a pattern: only those whose names match it. */
int fault_main(const char *group, const struct CMUnitTest *tests, size_t count, int argc,
	       char **argv);

#endif
