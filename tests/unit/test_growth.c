/* SPDX-License-Identifier: MIT */
/* The signals between a store and compaction: none is lost, and a wait for space ends. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "writer/store/growth.h"

#define APPENDS 20000
#define WAITERS 4
#define ROUNDS	200

static int setup(void **state)
{
	struct growth *g = calloc(1, sizeof(*g));

	assert_non_null(g);
	growth_init(g);
	*state = g;
	return 0;
}

static int teardown(void **state)
{
	growth_destroy(*state);
	free(*state);
	return 0;
}

static void test_wakes_at_an_end(void **state)
{
	struct growth *g = *state;

	growth_note(g, 1000); /* no thread has asked */
	assert_false(growth_was_woken(g));
	growth_wake_at(g, 100);
	growth_note(g, 99);
	assert_false(growth_was_woken(g));
	growth_note(g, 100);
	assert_true(growth_was_woken(g));
	assert_false(growth_was_woken(g)); /* it was told */
	growth_note(g, 200);
	assert_false(growth_was_woken(g)); /* it did not ask again */
}

static void test_full_wakes_once(void **state)
{
	struct growth *g = *state;

	growth_note_full_disk(g, -ENOSPC);
	assert_true(growth_was_woken(g));
	assert_false(atomic_load(&g->has_quota));
	growth_note_full_disk(g, -EDQUOT);
	assert_false(growth_was_woken(g));
	assert_true(atomic_load(&g->has_quota));
	atomic_store(&g->is_full, false); /* there was enough space again */
	growth_note_full_disk(g, -ENOSPC);
	assert_true(growth_was_woken(g));
}

static void test_no_thread(void **state)
{
	struct growth *g = *state;

	assert_false(growth_wait_for_space(g));
	assert_false(growth_is_asked(g));
	growth_give_space(g);
	growth_stop(g);
	assert_false(growth_wait_for_space(g));
	growth_sleep(g, 0); /* returns: it has to stop */
	assert_true(growth_is_stopping(g));
}

static void test_sleep_after_wake(void **state)
{
	struct growth *g = *state;

	growth_wake(g);
	growth_sleep(g, 0); /* returns at once */
	growth_wake(g);
	assert_true(growth_was_woken(g));
	growth_sleep(g, 1); /* that time is past */
	assert_false(growth_was_woken(g));
}

/* The thread asks to be woken by the next append and sleeps for ever, as compaction does while
 * nothing happens; the next append comes when it has seen the last one.  A lost signal is a hang
 * here. */
static atomic_uint_least64_t log_end, seen_end;

static void *append_all(void *arg)
{
	for (uint64_t end = 1; end <= APPENDS; end++) {
		atomic_store(&log_end, end);
		growth_note(arg, end);
		while (atomic_load(&seen_end) < end)
			(void)sched_yield();
	}
	return NULL;
}

static void test_no_append_is_missed(void **state)
{
	struct growth *g = *state;
	uint64_t seen = 0;
	pthread_t appender;

	atomic_store(&log_end, 0);
	atomic_store(&seen_end, 0);
	assert_int_equal(pthread_create(&appender, NULL, append_all, g), 0);
	while (seen < APPENDS) {
		growth_wake_at(g, seen + 1);
		if (atomic_load(&log_end) == seen)
			growth_sleep(g, 0);
		seen = atomic_load(&log_end);
		atomic_store(&seen_end, seen);
	}
	assert_int_equal(pthread_join(appender, NULL), 0);
}

static void *give_space(void *arg)
{
	struct growth *g = arg;

	while (!growth_is_stopping(g)) {
		uint64_t asked = growth_asked(g);

		if (growth_is_asked(g))
			growth_answer(g, true, 0); /* a round that has gained some */
		growth_answer(g, true, asked);
		if (!growth_was_woken(g))
			growth_sleep(g, 0);
	}
	return NULL;
}

static atomic_uint got_space;

static void *want_space(void *arg)
{
	for (unsigned int i = 0; i < ROUNDS; i++)
		if (growth_wait_for_space(arg))
			atomic_fetch_add(&got_space, 1);
	return NULL;
}

static void test_waiters_get_space(void **state)
{
	struct growth *g = *state;
	pthread_t giver, waiters[WAITERS];

	atomic_store(&got_space, 0);
	growth_give_space(g);
	assert_int_equal(pthread_create(&giver, NULL, give_space, g), 0);
	for (size_t i = 0; i < WAITERS; i++)
		assert_int_equal(pthread_create(&waiters[i], NULL, want_space, g), 0);
	for (size_t i = 0; i < WAITERS; i++)
		assert_int_equal(pthread_join(waiters[i], NULL), 0);
	growth_stop(g);
	assert_int_equal(pthread_join(giver, NULL), 0);
	assert_int_equal(atomic_load(&got_space), WAITERS * ROUNDS);
}

/* Answers the first request: there is nothing to gain. */
static void *find_nothing(void *arg)
{
	struct growth *g = arg;

	while (!growth_is_asked(g))
		growth_sleep(g, 0);
	growth_answer(g, false, growth_asked(g));
	return NULL;
}

static void test_nothing_to_gain(void **state)
{
	struct growth *g = *state;
	pthread_t thread;

	growth_give_space(g);
	assert_int_equal(pthread_create(&thread, NULL, find_nothing, g), 0);
	assert_false(growth_wait_for_space(g));
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_false(growth_wait_for_space(g)); /* at once: nobody would answer */
	assert_int_equal(growth_asked(g), 1);
}

/* The end of the thread is an answer, too. */
static void *stop_when_asked(void *arg)
{
	struct growth *g = arg;

	while (!growth_is_asked(g))
		growth_sleep(g, 0);
	growth_stop(g);
	return NULL;
}

static void test_stop_ends_a_wait(void **state)
{
	struct growth *g = *state;
	pthread_t thread;

	growth_give_space(g);
	assert_int_equal(pthread_create(&thread, NULL, stop_when_asked, g), 0);
	assert_false(growth_wait_for_space(g));
	assert_int_equal(pthread_join(thread, NULL), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_wakes_at_an_end, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_wakes_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_thread, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sleep_after_wake, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_append_is_missed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_waiters_get_space, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nothing_to_gain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stop_ends_a_wait, setup, teardown),
	};

	return unit_run("growth", tests, ARRAY_SIZE(tests));
}
