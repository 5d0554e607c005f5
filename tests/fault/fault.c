/* SPDX-License-Identifier: MIT */
#include "tests/fault/fault.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define TEXT_BYTES 2048
#define AT_MAX	   100000 /* a run that makes more calls does not end */

const struct fault fault_list[FAULT_COUNT] = {
	{ "EIO once", FAULT_ERROR, -EIO, 1 },
	{ "EIO for ever", FAULT_ERROR, -EIO, FAULT_FOR_EVER },
	{ "ENOSPC once", FAULT_ERROR, -ENOSPC, 1 },
	{ "ENOSPC for ever", FAULT_ERROR, -ENOSPC, FAULT_FOR_EVER },
	{ "EDQUOT once", FAULT_ERROR, -EDQUOT, 1 },
	{ "EINTR once", FAULT_ERROR, -EINTR, 1 },
	{ "EINTR 50 times", FAULT_ERROR, -EINTR, 50 },
	{ "short once", FAULT_SHORT, 0, 1 },
	{ "short for ever", FAULT_SHORT, 0, FAULT_FOR_EVER },
	{ "half, then EIO once", FAULT_PARTIAL, -EIO, 1 },
	{ "half, then EIO for ever", FAULT_PARTIAL, -EIO, FAULT_FOR_EVER },
	{ "half, then ENOSPC once", FAULT_PARTIAL, -ENOSPC, 1 },
	{ "half, then ENOSPC for ever", FAULT_PARTIAL, -ENOSPC, FAULT_FOR_EVER },
};

bool fault_is_invisible(const struct fault *fault)
{
	return fault->action == FAULT_SHORT || fault->err == -EINTR;
}

void fault_arm(struct fault_run *run)
{
	const struct fault_plan plan = {
		.at = run->at,
		.times = run->fault->times,
		.kinds = IOCALL_ALL,
		.action = run->fault->action,
		.err = run->fault->err,
	};

	faultio_set_plan(run->io, &plan);
}

void fault_disarm(struct fault_run *run)
{
	faultio_set_plan(run->io, NULL);
}

void fault_fail(const struct fault_run *run, const char *fmt, ...)
{
	char text[TEXT_BYTES];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	faultio_print_log(run->io, stderr);
	fail_msg("%s: %s at call %llu: %s\nalone: FAULT_AT=%llu %s '%s: %s'", run->scenario,
		 run->fault->name, (unsigned long long)run->at, text, (unsigned long long)run->at,
		 program_invocation_name, run->scenario, run->fault->name);
}

/* How far apart the calls are that fail: 1, or less often by FAULT_EVERY, where every one of them
 * was tried in another build. */
static uint64_t step_between_calls(void)
{
	const char *text = getenv("FAULT_EVERY");
	uint64_t step = text != NULL ? strtoull(text, NULL, 10) : 1;

	assert_true(step > 0);
	return step;
}

uint64_t fault_for_every_call(const char *scenario_name, const struct fault *fault, fault_run_fn fn,
			      const void *scenario)
{
	const char *only = getenv("FAULT_AT");
	uint64_t runs = 0, step = step_between_calls();
	bool again = true;

	for (uint64_t at = only != NULL ? strtoull(only, NULL, 10) : 1; again; at += step) {
		struct fault_run run = { .scenario = scenario_name, .fault = fault, .at = at };

		assert_true(at < AT_MAX);
		run.disk = simdisk_new();
		run.io = faultio_new(simdisk_io(run.disk));
		again = fn(&run, scenario) && only == NULL;
		runs++;
		FAULT_CHECK(&run, simdisk_open_count(run.disk) == 0, "%u descriptors leak",
			    simdisk_open_count(run.disk));
		faultio_free(run.io);
		simdisk_free(run.disk);
	}
	return runs;
}

int fault_main(const char *group, const struct CMUnitTest *tests, size_t count, int argc,
	       char **argv)
{
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return _cmocka_run_group_tests(group, tests, count, NULL, NULL);
}
