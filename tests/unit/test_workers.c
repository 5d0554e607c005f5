/* SPDX-License-Identifier: MIT */
/* Jobs for other threads: each is done once, including jobs that no thread had begun at the end. */
#include "tests/unit/unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "fuse/transport/workers.h"

#define JOBS 1000

static atomic_int done[JOBS];
static pthread_t caller;

static void count_job(void *arg)
{
	assert_false(pthread_equal(pthread_self(), caller));
	atomic_fetch_add((atomic_int *)arg, 1);
}

static void test_each_once(void **state)
{
	struct workers w;

	caller = pthread_self();
	for (size_t i = 0; i < JOBS; i++)
		atomic_store(&done[i], 0);
	workers_init(&w, WORKERS_MAX);
	for (size_t i = 0; i < JOBS; i++)
		assert_true(workers_run(&w, count_job, &done[i]));
	workers_end(&w);
	for (size_t i = 0; i < JOBS; i++)
		assert_int_equal(atomic_load(&done[i]), 1);
}

static void test_no_jobs(void **state)
{
	struct workers w;

	workers_init(&w, WORKERS_MAX);
	workers_end(&w);
}

/* Jobs that wait for each other need a thread each. */
static pthread_barrier_t together;

static void meet(void *arg)
{
	(void)pthread_barrier_wait(&together);
	atomic_fetch_add((atomic_int *)arg, 1);
}

static void test_side_by_side(void **state)
{
	struct workers w;

	atomic_store(&done[0], 0);
	assert_int_equal(pthread_barrier_init(&together, NULL, WORKERS_MAX), 0);
	workers_init(&w, WORKERS_MAX);
	for (size_t i = 0; i < WORKERS_MAX; i++)
		assert_true(workers_run(&w, meet, &done[0]));
	workers_end(&w);
	assert_int_equal(atomic_load(&done[0]), WORKERS_MAX);
	(void)pthread_barrier_destroy(&together);
}

/* One thread does its jobs one after another, in order. */
static void note_order(void *arg)
{
	static int next;

	atomic_store((atomic_int *)arg, next++);
}

static void test_one_thread(void **state) NO_THREAD_SAFETY
{
	struct workers w;

	workers_init(&w, 1);
	for (size_t i = 0; i < JOBS; i++)
		assert_true(workers_run(&w, note_order, &done[i]));
	workers_end(&w);
	assert_int_equal(w.count, 1);
	for (size_t i = 0; i < JOBS; i++)
		assert_int_equal(atomic_load(&done[i]), i);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_once),
		cmocka_unit_test(test_no_jobs),
		cmocka_unit_test(test_side_by_side),
		cmocka_unit_test(test_one_thread),
	};

	return unit_run("workers", tests, ARRAY_SIZE(tests));
}
