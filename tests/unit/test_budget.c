/* SPDX-License-Identifier: MIT */
/* A budget: it is kept, who waits is woken, and an error of the freeing ends the wait. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <time.h>

#include "fuse/open/budget.h"

#define MAX_BYTES 1000

static struct budget budget;

/* The state of free_some(), which gives 'each' bytes back each time, until there is an error. */
static struct {
	uint64_t held, each;
	int calls, err;
} source;

static int free_some(void *arg, uint64_t *ret_freed)
{
	uint64_t n = source.held < source.each ? source.held : source.each;

	assert_ptr_equal(arg, &source);
	source.calls++;
	source.held -= n;
	*ret_freed = n;
	budget_give(&budget, n);
	return n == 0 ? source.err : 0;
}

static int setup(void **state)
{
	budget_init(&budget, MAX_BYTES, free_some, &source);
	source.held = source.each = 0;
	source.calls = source.err = 0;
	return 0;
}

static int teardown(void **state)
{
	budget_destroy(&budget);
	return 0;
}

static void test_limit(void **state)
{
	assert_true(budget_try(&budget, 600));
	assert_false(budget_try(&budget, 401));
	assert_true(budget_try(&budget, 400));
	assert_false(budget_try(&budget, 1));
	assert_true(budget_try(&budget, 0));
	budget_change(&budget, 400, 300);
	assert_true(budget_try(&budget, 100));
	budget_change(&budget, 300, 350); /* what is there is there */
	assert_false(budget_try(&budget, 0));
	budget_give(&budget, 1050);
	assert_true(budget_try(&budget, MAX_BYTES));
	assert_false(budget_try(&budget, UINT64_MAX));
}

/* Freeing goes on until there is enough. */
static void test_frees(void **state)
{
	source.held = 900;
	source.each = 100;
	assert_true(budget_try(&budget, 900));
	assert_int_equal(budget_take(&budget, 450), 0);
	assert_int_equal(source.calls, 4);
	assert_int_equal(budget.taken_bytes, 950);
}

static void test_error(void **state)
{
	source.held = source.each = 100;
	source.err = -ENOSPC;
	assert_true(budget_try(&budget, 900));
	assert_int_equal(budget_take(&budget, 400), -ENOSPC);
	assert_int_equal(source.calls, 2);
	assert_int_equal(budget.taken_bytes, 800);
	assert_int_equal(budget_take(&budget, 200), 0);
}

static void *take_main(void *arg)
{
	int *err = arg;

	*err = budget_take(&budget, 500);
	return NULL;
}

/* If nothing can be freed, the others wake the threads that wait. */
static void test_woken(void **state)
{
	pthread_t threads[2];
	int errs[2] = { 1, 1 };

	assert_true(budget_try(&budget, MAX_BYTES));
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_main, &errs[i]), 0);
	while (atomic_load(&budget.waiting) < 2)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	budget_give(&budget, 400);
	nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	assert_int_equal(atomic_load(&budget.waiting), 2);
	budget_give(&budget, 100);
	while (atomic_load(&budget.waiting) == 2)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	assert_int_equal(atomic_load(&budget.taken_bytes), MAX_BYTES);
	budget_give(&budget, 500);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(errs[i], 0);
	}
	assert_int_equal(budget.taken_bytes, MAX_BYTES);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_frees, setup, teardown),
		cmocka_unit_test_setup_teardown(test_error, setup, teardown),
		cmocka_unit_test_setup_teardown(test_woken, setup, teardown),
	};

	return unit_run("budget", tests, ARRAY_SIZE(tests));
}
