/* SPDX-License-Identifier: MIT */
/* The log writer's syncs: intervals and their deadline, group commit, callbacks, poison. */
#include "tests/unit/log_fixture.h"
#include "writer/log/log_writer_private.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_MAX 64

static struct CMUnitTest rows[ROWS_MAX];
static size_t row_count;

static void add_test(const char *name, CMUnitTestFunction fn)
{
	if (row_count == ROWS_MAX)
		abort();
	rows[row_count++] =
		(struct CMUnitTest){ name, fn, log_fixture_setup, log_fixture_teardown, NULL };
}

/* fdatasync() calls since the log was opened: opening makes one itself. */
static uint64_t syncs_since(struct log_fixture *f, uint64_t opened)
{
	return probe_calls(f->probe, IOCALL_FDATASYNC) - opened;
}

static uint64_t syncs_now(struct log_fixture *f)
{
	return probe_calls(f->probe, IOCALL_FDATASYNC);
}

/* --- intervals --- */

static void test_interval_zero(void **state)
{
	struct log_fixture *f = *state;
	uint64_t opened;

	fixture_open(f, 0, 0);
	opened = syncs_now(f);
	for (unsigned int i = 1; i <= 5; i++) {
		fixture_put(f, "key", "value");
		assert_int_equal(log_writer_durable_position(f->w), 28 * i);
		assert_int_equal(syncs_since(f, opened), i);
	}
}

/* With a buffer, too: durable means written and synced. */
static void test_interval_zero_with_a_buffer(void **state)
{
	struct log_fixture *f = *state;

	fixture_open(f, 0, 1 << 16);
	fixture_put(f, "key", "value");
	assert_int_equal(log_writer_durable_position(f->w), 28);
	assert_int_equal(unit_file_bytes(f->path), 28);
}

static void *put_one(void *arg)
{
	struct log_fixture *f = arg;

	return (void *)(intptr_t)log_writer_put(f->w, "key", 3, "value", 5, NULL);
}

/* Put does not return while the fdatasync() is still running. */
static void test_interval_zero_waits(void **state)
{
	struct log_fixture *f = *state;
	pthread_t thread;
	void *err;

	fixture_open(f, 0, 0);
	probe_close_gate(f->probe);
	assert_int_equal(pthread_create(&thread, NULL, put_one, f), 0);
	WAIT_FOR(probe_someone_at_gate(f->probe));
	sleep_ms(20);
	assert_int_equal(pthread_tryjoin_np(thread, NULL), EBUSY);
	assert_int_equal(log_writer_size(f->w), 28);
	assert_int_equal(log_writer_durable_position(f->w), 0); /* not when it is queued */
	probe_open_gate(f->probe);
	assert_int_equal(pthread_join(thread, &err), 0);
	assert_null(err);
	assert_int_equal(log_writer_durable_position(f->w), 28);
}

static void test_short_interval(void **state)
{
	struct log_fixture *f = *state;
	uint64_t opened;

	fixture_open(f, 10 * MS_NS, 0);
	opened = syncs_now(f);
	fixture_put(f, "key", "value");
	WAIT_FOR(log_writer_durable_position(f->w) == 28);
	assert_int_equal(syncs_since(f, opened), 1);
	fixture_put(f, "key", "value"); /* and the deadline starts anew */
	WAIT_FOR(log_writer_durable_position(f->w) == 56);
	assert_int_equal(syncs_since(f, opened), 2);
}

static void test_shortest_interval(void **state)
{
	struct log_fixture *f = *state;

	fixture_open(f, 1, 0);
	fixture_put(f, "key", "value");
	WAIT_FOR(log_writer_durable_position(f->w) == 28);
}

/* Nothing syncs by itself; sync and close do. */
static void check_no_sync_by_itself(struct log_fixture *f, int64_t fsync_interval_ns)
{
	uint64_t opened;

	fixture_open(f, fsync_interval_ns, 0);
	opened = syncs_now(f);
	for (int i = 0; i < 20; i++) {
		fixture_put(f, "key", "value");
		sleep_ms(5);
	}
	assert_int_equal(syncs_since(f, opened), 0);
	assert_int_equal(log_writer_durable_position(f->w), 0);
	assert_int_equal(unit_file_bytes(f->path), 20 * 28); /* but the kernel has them */
	assert_int_equal(log_writer_sync(f->w), 0);
	assert_int_equal(syncs_since(f, opened), 1);
	assert_int_equal(log_writer_durable_position(f->w), 20 * 28);
	fixture_put(f, "key", "value");
	fixture_close(f);
	assert_int_equal(syncs_since(f, opened), 2);
}

static void test_long_interval(void **state)
{
	check_no_sync_by_itself(*state, LOG_WRITER_INTERVAL_MAX_NS);
}

static void test_never(void **state)
{
	check_no_sync_by_itself(*state, LOG_WRITER_NEVER);
}

#define STARVE_INTERVAL_NS (300 * MS_NS)

static int64_t now_ns(void)
{
	struct timespec ts;

	assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &ts), 0);
	return ts.tv_sec * 1000 * MS_NS + ts.tv_nsec;
}

/* Puts come faster than the interval, for ever: the sync comes all the same.  A writer whose puts
 * push the deadline back would sync, too, when the machine holds the puts up for an interval; a
 * sync after such a gap proves nothing and is not counted. */
static void check_not_starved(struct log_fixture *f, int64_t buffer_size_bytes)
{
	int64_t started_ns = now_ns(), last_ns = started_ns, gap_ns = 0;
	uint64_t durable_position = 0;
	bool proved = false;

	fixture_open(f, STARVE_INTERVAL_NS, buffer_size_bytes);
	while (!proved) {
		uint64_t durable_now;
		int64_t at_ns;

		fixture_put(f, "key", "value");
		at_ns = now_ns();
		if (at_ns - last_ns > gap_ns)
			gap_ns = at_ns - last_ns;
		last_ns = at_ns;
		durable_now = log_writer_durable_position(f->w);
		if (durable_now > durable_position) {
			proved = gap_ns < STARVE_INTERVAL_NS / 2;
			durable_position = durable_now;
			gap_ns = 0;
		}
		if (at_ns - started_ns > 20000 * MS_NS)
			fail_msg("20 s of puts every ms, %lu bytes of %lu durable", durable_now,
				 log_writer_size(f->w));
		sleep_ms(1);
	}
}

static void test_deadline_is_not_pushed_back(void **state)
{
	check_not_starved(*state, 0);
}

/* The puts stay in the buffer, and the deadline still holds. */
static void test_deadline_is_not_pushed_back_by_buffered_puts(void **state)
{
	check_not_starved(*state, 1 << 20);
}

/* A record that arrives while a sync runs is not served by it: its own deadline runs. */
static void test_put_during_a_sync_has_its_own_deadline(void **state)
{
	struct log_fixture *f = *state;
	uint64_t opened;

	fixture_open(f, 5 * MS_NS, 0);
	opened = syncs_now(f);
	probe_close_gate(f->probe);
	fixture_put(f, "key", "first");
	WAIT_FOR(probe_someone_at_gate(f->probe));
	fixture_put(f, "key", "later");
	assert_int_equal(syncs_since(f, opened), 0); /* it waits in front of the kernel */
	probe_open_gate(f->probe);
	WAIT_FOR(log_writer_durable_position(f->w) == 56);
	assert_int_equal(syncs_since(f, opened), 2);
}

/* A sync by hand serves the deadline, too. */
static void test_sync_takes_the_deadline_away(void **state)
{
	struct log_fixture *f = *state;
	uint64_t opened;

	fixture_open(f, 50 * MS_NS, 0);
	opened = syncs_now(f);
	fixture_put(f, "key", "value");
	assert_int_equal(log_writer_sync(f->w), 0);
	sleep_ms(150);
	assert_in_range(syncs_since(f, opened), 1, 2); /* 2: the deadline came first */
	assert_int_equal(log_writer_durable_position(f->w), 28);
}

static void test_sync_of_nothing(void **state)
{
	struct log_fixture *f = *state;
	uint64_t opened;

	fixture_open(f, LOG_WRITER_NEVER, 0);
	opened = syncs_now(f);
	assert_int_equal(log_writer_sync(f->w), 0);
	fixture_put(f, "key", "value");
	assert_int_equal(log_writer_sync(f->w), 0);
	assert_int_equal(log_writer_sync(f->w), 0);
	assert_int_equal(log_writer_sync_to(f->w, 28), 0);
	assert_int_equal(log_writer_sync_to(f->w, 0), 0);
	assert_int_equal(syncs_since(f, opened), 1); /* what is durable needs no other */
	assert_int_equal(fixture_stats(f).syncs, 1);
}

/* --- idle --- */

#define TASKS_MAX 16

/* The threads of this process. */
struct tasks {
	int count;
	int tids[TASKS_MAX];
};

static struct tasks list_tasks(void)
{
	struct tasks tasks = { 0 };
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		assert_in_range(tasks.count, 0, TASKS_MAX - 1);
		tasks.tids[tasks.count++] = atoi(entry->d_name);
	}
	assert_int_equal(closedir(dir), 0);
	return tasks;
}

/* Finds the one thread that was not there before. */
static int new_task(const struct tasks *before)
{
	struct tasks now = list_tasks();
	int found = 0;

	for (int i = 0; i < now.count; i++) {
		bool old = false;

		for (int j = 0; j < before->count; j++)
			old |= now.tids[i] == before->tids[j];
		if (!old) {
			assert_int_equal(found, 0);
			found = now.tids[i];
		}
	}
	assert_int_not_equal(found, 0);
	return found;
}

/* How often a thread gave up the processor of its own accord: each time it went to sleep, so each
 * wake-up counts. */
static unsigned long wakeups_of(int tid)
{
	FILE *status = fopen(unit_path("/proc/self/task/%d/status", tid), "re");
	unsigned long switches = 0;
	char line[256];

	assert_non_null(status);
	while (fgets(line, sizeof(line), status) != NULL)
		(void)sscanf(line, "voluntary_ctxt_switches: %lu", &switches);
	assert_int_equal(fclose(status), 0);
	assert_int_not_equal(switches, 0);
	return switches;
}

/* After the last record is durable nothing wakes: no call and no wake-up in 40 intervals.  A writer
 * that ticks never shows that. */
static void test_idle(void **state)
{
	struct log_fixture *f = *state;
	struct tasks before = list_tasks();
	unsigned long wakeups, again;
	uint64_t calls;
	int tries = 0, syncer;

	fixture_open(f, 5 * MS_NS, 1 << 16);
	syncer = new_task(&before);
	fixture_put(f, "key", "value");
	WAIT_FOR(log_writer_durable_position(f->w) == 28);
	do {
		if (++tries == 50)
			fail_msg("the sync thread goes on waking up");
		wakeups = wakeups_of(syncer);
		calls = probe_calls_all(f->probe);
		sleep_ms(200);
		again = wakeups_of(syncer);
	} while (again != wakeups);
	assert_int_equal(probe_calls_all(f->probe), calls);
}

static void test_never_written_is_idle(void **state)
{
	struct log_fixture *f = *state;
	uint64_t calls;

	fixture_open(f, 1 * MS_NS, 0);
	calls = probe_calls_all(f->probe);
	sleep_ms(100);
	assert_int_equal(probe_calls_all(f->probe), calls);
}

/* --- group commit --- */

#define GROUP_THREADS 8

/* While one fdatasync() runs, seven more durable puts arrive: one more fdatasync() serves all. */
static void test_group_commit(void **state)
{
	struct log_fixture *f = *state;
	pthread_t threads[GROUP_THREADS];
	uint64_t opened;
	void *err;

	fixture_open(f, 0, 0);
	opened = syncs_now(f);
	probe_close_gate(f->probe);
	assert_int_equal(pthread_create(&threads[0], NULL, put_one, f), 0);
	WAIT_FOR(probe_someone_at_gate(f->probe));
	for (int i = 1; i < GROUP_THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, put_one, f), 0);
	WAIT_FOR(log_writer_size(f->w) == 28 * GROUP_THREADS); /* appends go on during a sync */
	probe_open_gate(f->probe);
	for (int i = 0; i < GROUP_THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], &err), 0);
		assert_null(err);
	}
	assert_int_equal(syncs_since(f, opened), 2);
	assert_int_equal(log_writer_durable_position(f->w), 28 * GROUP_THREADS);
}

static void *sync_all(void *arg)
{
	struct log_fixture *f = arg;

	return (void *)(intptr_t)log_writer_sync(f->w);
}

/* Puts a record, and starts a thread whose sync waits for a second caller, for weeks. */
static pthread_t start_gathering(struct log_fixture *f)
{
	pthread_t thread;

	fixture_put(f, "key", "value");
	log_lock(f->w);
	f->w->expected = 2;
	f->w->sync_ns_last = UINT64_C(1) << 53;
	log_unlock(f->w);
	assert_int_equal(pthread_create(&thread, NULL, sync_all, f), 0);
	return thread;
}

static void wait_until_gathering(struct log_fixture *f)
{
	bool gathering;

	do {
		log_lock(f->w);
		gathering = f->w->gathering;
		log_unlock(f->w);
	} while (!gathering);
}

static void join_sync(pthread_t thread)
{
	void *err;

	assert_int_equal(pthread_join(thread, &err), 0);
	assert_null(err);
}

/* A hurry ends the wait of a sync for more callers, or leaves it out of one sync. */
static void test_hurry(void **state)
{
	struct log_fixture *f = *state;
	pthread_t thread;

	fixture_open(f, LOG_WRITER_NEVER, 0);
	thread = start_gathering(f);
	wait_until_gathering(f);
	log_writer_hurry(f->w);
	join_sync(thread);
	log_writer_hurry(f->w);
	join_sync(start_gathering(f));
	thread = start_gathering(f);
	wait_until_gathering(f);
	log_writer_hurry(f->w);
	join_sync(thread);
	assert_int_equal(log_writer_durable_position(f->w), 3 * 28);
}

/* --- callbacks --- */

struct callback {
	struct log_writer *w;
	atomic_int calls;
	atomic_int err;
	_Atomic uint64_t durable_position;
};

static void on_sync(void *arg, int err)
{
	struct callback *c = arg;

	atomic_store(&c->err, err);
	atomic_store(&c->durable_position, log_writer_durable_position(c->w)); /* no lock is held */
	atomic_fetch_add(&c->calls, 1);
}

static void test_async(void **state)
{
	struct log_fixture *f = *state;
	struct callback c = { 0 };

	fixture_open(f, LOG_WRITER_NEVER, 1 << 16);
	c.w = f->w;
	fixture_put(f, "key", "value");
	assert_int_equal(log_writer_sync_async(f->w, 28, on_sync, &c), 0);
	WAIT_FOR(atomic_load(&c.calls) == 1);
	assert_int_equal(atomic_load(&c.err), 0);
	assert_int_equal(atomic_load(&c.durable_position), 28);
	fixture_close(f);
	assert_int_equal(atomic_load(&c.calls), 1);
}

static void test_async_of_what_is_durable(void **state)
{
	struct log_fixture *f = *state;
	struct callback c = { 0 };
	uint64_t opened;

	fixture_open(f, LOG_WRITER_NEVER, 0);
	c.w = f->w;
	fixture_put(f, "key", "value");
	assert_int_equal(log_writer_sync(f->w), 0);
	opened = syncs_now(f);
	assert_int_equal(log_writer_sync_async(f->w, 28, on_sync, &c), 0);
	assert_int_equal(atomic_load(&c.calls), 1); /* before it returned */
	assert_int_equal(log_writer_sync_async(f->w, 0, on_sync, &c), 0);
	assert_int_equal(atomic_load(&c.calls), 2);
	assert_int_equal(atomic_load(&c.err), 0);
	assert_int_equal(syncs_since(f, opened), 0);
}

static void test_async_beyond_the_end(void **state)
{
	struct log_fixture *f = *state;
	struct callback c = { 0 };

	fixture_open(f, LOG_WRITER_NEVER, 0);
	c.w = f->w;
	assert_int_equal(log_writer_sync_async(f->w, 1, on_sync, &c), 0);
	assert_int_equal(atomic_load(&c.calls), 1);
	assert_int_equal(atomic_load(&c.err), -EINVAL);
}

/* Requests made during a sync are answered by the next one, each once. */
static void test_async_many(void **state)
{
	struct log_fixture *f = *state;
	static struct callback c[100];
	uint64_t opened;

	fixture_open(f, LOG_WRITER_NEVER, 0);
	opened = syncs_now(f);
	probe_close_gate(f->probe);
	for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
		c[i].w = f->w;
		fixture_put(f, "key", "value");
		assert_int_equal(log_writer_sync_async(f->w, 28 * (i + 1), on_sync, &c[i]), 0);
		if (i == 0)
			WAIT_FOR(probe_someone_at_gate(f->probe));
	}
	for (size_t i = 0; i < ARRAY_SIZE(c); i++)
		assert_int_equal(atomic_load(&c[i].calls), 0);
	probe_open_gate(f->probe);
	for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
		WAIT_FOR(atomic_load(&c[i].calls) == 1);
		assert_int_equal(atomic_load(&c[i].err), 0);
		assert_true(atomic_load(&c[i].durable_position) >= 28 * (i + 1));
	}
	assert_int_equal(syncs_since(f, opened), 2);
}

static void test_async_is_answered_by_close(void **state)
{
	struct log_fixture *f = *state;
	struct callback c = { 0 };

	fixture_open(f, LOG_WRITER_NEVER, 1 << 16);
	c.w = f->w;
	for (int i = 0; i < 50; i++)
		fixture_put(f, "key", "value");
	assert_int_equal(log_writer_sync_async(f->w, log_writer_size(f->w), on_sync, &c), 0);
	fixture_close(f);
	assert_int_equal(atomic_load(&c.calls), 1);
	assert_int_equal(atomic_load(&c.err), 0);
}

static void test_async_gets_the_error(void **state)
{
	struct log_fixture *f = *state;
	struct callback c = { 0 };

	fixture_open(f, LOG_WRITER_NEVER, 0);
	c.w = f->w;
	fixture_put(f, "key", "value");
	probe_fail(f->probe, IOCALL_FDATASYNC, 1, -EIO);
	assert_int_equal(log_writer_sync_async(f->w, 28, on_sync, &c), 0);
	WAIT_FOR(atomic_load(&c.calls) == 1);
	assert_int_equal(atomic_load(&c.err), -EIO);
	assert_int_equal(atomic_load(&c.durable_position), 0);
	assert_int_equal(log_writer_sync_async(f->w, 28, on_sync, &c), 0); /* for good */
	WAIT_FOR(atomic_load(&c.calls) == 2);
	assert_int_equal(atomic_load(&c.err), -EIO);
}

/* --- poison --- */

/* After the one failure every fdatasync() would succeed: nobody may ask it again. */
static void check_poisoned(struct log_fixture *f, uint64_t durable_position)
{
	uint64_t syncs = syncs_now(f), size = log_writer_size(f->w);
	uint8_t got[28];

	assert_int_equal(fixture_stats(f).poison, -EIO);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(log_writer_put(f->w, "key", 3, "lost?", 5, NULL), -EIO);
		assert_int_equal(log_writer_sync(f->w), -EIO);
		assert_int_equal(log_writer_sync_to(f->w, 0), -EIO);
	}
	assert_int_equal(log_writer_size(f->w), size); /* nothing was appended */
	assert_int_equal(unit_file_bytes(f->path), size);
	assert_int_equal(log_writer_durable_position(f->w), durable_position);
	assert_int_equal(log_writer_read(f->w, got, sizeof(got), 0), sizeof(got)); /* reads go on */
	assert_int_equal(syncs_now(f), syncs);
	assert_true(log_writer_close(f->w) < 0);
	f->w = NULL;
	assert_int_equal(syncs_now(f), syncs);
}

static void test_poisoned_by_put(void **state)
{
	struct log_fixture *f = *state;

	fixture_open(f, 0, 0);
	fixture_put(f, "key", "value");
	probe_fail(f->probe, IOCALL_FDATASYNC, 1, -EIO);
	assert_int_equal(log_writer_put(f->w, "key", 3, "value", 5, NULL), -EIO);
	check_poisoned(f, 28);
}

static void test_poisoned_by_sync(void **state)
{
	struct log_fixture *f = *state;

	fixture_open(f, LOG_WRITER_NEVER, 0);
	fixture_put(f, "key", "value");
	probe_fail(f->probe, IOCALL_FDATASYNC, 1, -EIO);
	assert_int_equal(log_writer_sync(f->w), -EIO);
	check_poisoned(f, 0);
}

/* The syncer's own failure is not dropped: the next call gets it. */
static void test_poisoned_by_the_deadline(void **state)
{
	struct log_fixture *f = *state;

	fixture_open(f, 5 * MS_NS, 0);
	probe_fail(f->probe, IOCALL_FDATASYNC, 1, -EIO);
	fixture_put(f, "key", "value");
	WAIT_FOR(fixture_stats(f).poison != 0);
	check_poisoned(f, 0);
}

/* All who waited for the sync that failed get the error, not only the one who ran it. */
static void test_poison_reaches_all_who_wait(void **state)
{
	struct log_fixture *f = *state;
	pthread_t threads[GROUP_THREADS];
	void *err;

	fixture_open(f, 0, 0);
	probe_fail(f->probe, IOCALL_FDATASYNC, 1, -EIO);
	probe_close_gate(f->probe);
	assert_int_equal(pthread_create(&threads[0], NULL, put_one, f), 0);
	WAIT_FOR(probe_someone_at_gate(f->probe));
	for (int i = 1; i < GROUP_THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, put_one, f), 0);
	WAIT_FOR(log_writer_size(f->w) == 28 * GROUP_THREADS);
	probe_open_gate(f->probe);
	for (int i = 0; i < GROUP_THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], &err), 0);
		assert_int_equal((intptr_t)err, -EIO);
	}
	check_poisoned(f, 0);
}

static void test_close_reports_a_failed_sync(void **state)
{
	struct log_fixture *f = *state;
	struct log_writer *w;

	fixture_open(f, LOG_WRITER_NEVER, 0);
	fixture_put(f, "key", "value");
	probe_fail(f->probe, IOCALL_FDATASYNC, 1, -EIO);
	w = f->w;
	f->w = NULL;
	assert_int_equal(log_writer_close(w), -EIO);
}

static void test_poison_ends_with_the_writer(void **state)
{
	struct log_fixture *f = *state;

	test_poisoned_by_sync(state);
	fixture_open(f, 0, 0);
	assert_int_equal(log_writer_size(f->w), 28); /* what the kernel still has */
	assert_int_equal(log_writer_durable_position(f->w), 28);
	fixture_put(f, "key", "value");
}

/* After any error of fdatasync(), also that of a full disk, the pages may be gone. */
static void test_poisoned_by_enospc_of_a_sync(void **state)
{
	struct log_fixture *f = *state;

	fixture_open(f, 0, 0);
	fixture_put(f, "key", "value");
	probe_fail(f->probe, IOCALL_FDATASYNC, 1, -ENOSPC);
	/* Not -ENOSPC: that would say that nothing was appended. */
	assert_int_equal(log_writer_put(f->w, "key", 3, "value", 5, NULL), -EIO);
	assert_int_equal(fixture_stats(f).poison, -ENOSPC);
	assert_int_equal(log_writer_put(f->w, "key", 3, "value", 5, NULL), -EIO);
	assert_int_equal(log_writer_sync(f->w), -EIO);
}

/* --- what happens while a sync runs --- */

/* An io that puts something while an fdatasync() runs that is called outside of the writer's lock.
 */
struct meddling {
	struct io io;
	struct io_ops ops;
	struct log_writer *w;
	const char *value; /* what is put */
	const char *again; /* and then, when there is space; may be NULL */
	int put_err;	   /* set */
	int again_err;	   /* set */
	int syncs;
	int put_at;    /* that one */
	int next_err;  /* what the one after it returns */
	int write_err; /* what a write returns, unless 0, when it has done all but a byte */
	bool was_short;
	bool heals; /* before the put */
};

static int meddling_fdatasync(struct io *io, int fd)
{
	struct meddling *m = (struct meddling *)(void *)io;

	if (m->w == NULL)
		return 0;
	m->syncs++;
	if (m->syncs == m->put_at + 1)
		return m->next_err;
	if (m->syncs == m->put_at) {
		m->write_err = m->heals ? 0 : -ENOSPC;
		m->put_err =
			log_writer_put(m->w, "key", 3, m->value, (uint32_t)strlen(m->value), NULL);
		if (m->again != NULL) {
			m->write_err = 0;
			m->again_err = log_writer_put(m->w, "key", 3, m->again,
						      (uint32_t)strlen(m->again), NULL);
		}
	}
	return 0;
}

static ssize_t meddling_writev(struct io *io, int fd, const struct iovec *iov, int iov_count)
{
	struct meddling *m = (struct meddling *)(void *)io;

	if (m->write_err < 0 && !m->was_short && iov_count <= 4) {
		struct iovec parts[4];

		memcpy(parts, iov, (size_t)iov_count * sizeof(parts[0]));
		parts[iov_count - 1].iov_len--;
		m->was_short = true;
		return io_posix.ops->writev(&io_posix, fd, parts, iov_count);
	}
	return m->write_err < 0 ? m->write_err
				: io_posix.ops->writev(&io_posix, fd, iov, iov_count);
}

static void open_meddling(struct log_fixture *f, struct meddling *m, int64_t buffer_size_bytes)
{
	const struct log_writer_config config = {
		.file_path = f->path,
		.fsync_interval_ns = LOG_WRITER_NEVER,
		.buffer_size_bytes = buffer_size_bytes,
		.io = &m->io,
	};

	m->ops = *io_posix.ops;
	m->ops.fdatasync = meddling_fdatasync;
	m->ops.writev = meddling_writev;
	m->io.ops = &m->ops;
	assert_int_equal(log_writer_open(&config, &f->w, NULL), 0);
}

/* An append fails, and the sync of what it takes back, before a shorter one, has the error of the
 * disk that was this one's: nothing of it counts. */
static void test_error_of_another_sync(void **state)
{
	struct log_fixture *f = *state;
	static struct meddling m = {
		.value = "value", .again = "v", .put_at = 1, .next_err = -EIO
	};
	struct log_recovery rec;

	open_meddling(f, &m, 0);
	fixture_put(f, "key", "value");
	m.w = f->w;
	assert_int_equal(log_writer_sync(f->w), -EIO);
	assert_int_equal(m.syncs, 2);
	assert_int_equal(m.put_err, -ENOSPC);
	assert_int_equal(m.again_err, -EIO);
	assert_int_equal(log_writer_durable_position(f->w), 0);
	assert_int_equal(log_writer_close(f->w), -EIO);
	f->w = NULL;
	assert_int_equal(fixture_try_open(f, &rec, NULL), 0);
	assert_int_equal(rec.durable_bytes, 0);
}

static void note_result(void *arg, int err)
{
	atomic_store((_Atomic int *)arg, err);
}

/* The buffer cannot be written when a sync begins, and is written before it ends: who waits for
 * what was in it gets no error. */
static void written_meanwhile(struct log_fixture *f, bool waits)
{
	static char large[100];
	static struct meddling m; /* the teardown needs it, too */
	static _Atomic int result;
	uint64_t end;

	memset(large, 'v', sizeof(large) - 1);
	m = (struct meddling){ .value = large, .put_at = 1, .heals = true };
	atomic_store(&result, 1);
	open_meddling(f, &m, 64);
	assert_int_equal(log_writer_put(f->w, "key", 3, large, sizeof(large) - 1, NULL), 0);
	end = fixture_put(f, "key", "value") + 28; /* in the buffer */
	assert_int_equal(fixture_stats(f).written_position, end - 28);
	m.write_err = -ENOSPC;
	m.w = f->w;
	if (waits) {
		assert_int_equal(log_writer_sync_to(f->w, end), 0);
	} else {
		assert_int_equal(log_writer_sync_async(f->w, end, note_result, &result), 0);
		WAIT_FOR(atomic_load(&result) != 1);
		assert_int_equal(result, 0);
	}
	assert_int_equal(m.put_err, 0);
	assert_true(log_writer_durable_position(f->w) >= end);
	m.w = NULL;
	fixture_close(f);
}

static void test_written_meanwhile(void **state)
{
	written_meanwhile(*state, true);
}

static void test_written_meanwhile_async(void **state)
{
	written_meanwhile(*state, false);
}

/* A buffer that could not be written keeps its deadline: it is synced when there is space. */
static void test_deadline_after_a_full_disk(void **state)
{
	struct log_fixture *f = *state;
	uint64_t end;

	fixture_open(f, 10 * MS_NS, 4096);
	probe_fail(f->probe, IOCALL_WRITEV, FAULT_FOR_EVER, -ENOSPC);
	end = fixture_put(f, "key", "value") + 28; /* in the buffer */
	assert_int_equal(log_writer_sync(f->w), -ENOSPC);
	probe_heal(f->probe);
	WAIT_FOR(log_writer_durable_position(f->w) >= end);
	fixture_close(f);
}

/* --- the durable mark --- */

static void test_mark_follows_the_sync(void **state)
{
	struct log_fixture *f = *state;
	struct log_recovery rec;

	fixture_open(f, LOG_WRITER_NEVER, 0);
	fixture_put(f, "key", "value");
	assert_int_equal(log_writer_sync(f->w), 0);
	fixture_put(f, "key", "value");
	fixture_kill(f);
	assert_int_equal(fixture_try_open(f, &rec, NULL), 0);
	assert_int_equal(rec.durable_bytes, 28);
	assert_int_equal(rec.kept_bytes, 56);
	assert_false(rec.durable_mark_missing);
}

/* A mark above the durable position would make recovery refuse a good store. */
static void test_mark_stays_after_a_failed_sync(void **state)
{
	struct log_fixture *f = *state;
	struct log_recovery rec;

	test_poisoned_by_put(state);
	assert_int_equal(fixture_try_open(f, &rec, NULL), 0);
	assert_int_equal(rec.durable_bytes, 28);
}

/* The mark is written after the fdatasync() that it speaks of. */
static void test_mark_is_written_after_the_sync(void **state)
{
	struct log_fixture *f = *state;
	int synced, marked;

	fixture_open(f, LOG_WRITER_NEVER, 0);
	fixture_put(f, "key", "value");
	synced = probe_find_event(f->probe, "writev:active.data", 0);
	assert_int_equal(log_writer_sync(f->w), 0);
	synced = probe_find_event(f->probe, "fdatasync:active.data", synced);
	marked = probe_find_event(f->probe, "pwrite:active.synced", synced < 0 ? 0 : synced);
	assert_true(synced >= 0);
	assert_true(marked > synced);
}

/* A mark that cannot be written is only a lower bound that stays low. */
static void test_mark_failure_is_no_error(void **state)
{
	struct log_fixture *f = *state;

	fixture_open(f, 0, 0);
	probe_fail(f->probe, IOCALL_PWRITE, FAULT_FOR_EVER, -EIO);
	fixture_put(f, "key", "value");
	assert_int_equal(log_writer_durable_position(f->w), 28);
	fixture_close(f);
}

static void add_interval_tests(void)
{
	add_test("interval 0: durable before put returns", test_interval_zero);
	add_test("interval 0 with a buffer", test_interval_zero_with_a_buffer);
	add_test("interval 0: put waits for the fdatasync", test_interval_zero_waits);
	add_test("short interval: synced without being asked", test_short_interval);
	add_test("interval of 1 ns", test_shortest_interval);
	add_test("long interval: nothing by itself, sync and close do", test_long_interval);
	add_test("never: nothing by itself, sync and close do", test_never);
	add_test("deadline is not pushed back by later puts", test_deadline_is_not_pushed_back);
	add_test("deadline is not pushed back by buffered puts",
		 test_deadline_is_not_pushed_back_by_buffered_puts);
	add_test("put during a sync has its own deadline",
		 test_put_during_a_sync_has_its_own_deadline);
	add_test("sync takes the deadline away", test_sync_takes_the_deadline_away);
	add_test("sync of nothing is no fdatasync", test_sync_of_nothing);
	add_test("idle: no call and no wake-up", test_idle);
	add_test("never written: no call", test_never_written_is_idle);
}

int main(void)
{
	add_interval_tests();
	add_test("group commit: 8 puts, 2 fdatasyncs", test_group_commit);
	add_test("hurry: a sync waits for no more callers", test_hurry);
	add_test("callback after the sync, once", test_async);
	add_test("callback at once for what is durable", test_async_of_what_is_durable);
	add_test("callback for a position beyond the end", test_async_beyond_the_end);
	add_test("100 callbacks, 2 fdatasyncs", test_async_many);
	add_test("close answers callbacks", test_async_is_answered_by_close);
	add_test("callback gets the error", test_async_gets_the_error);
	add_test("poisoned by a put", test_poisoned_by_put);
	add_test("poisoned by a sync", test_poisoned_by_sync);
	add_test("poisoned by the deadline: the error is not dropped",
		 test_poisoned_by_the_deadline);
	add_test("poison reaches all who wait", test_poison_reaches_all_who_wait);
	add_test("poisoned by ENOSPC of a sync", test_poisoned_by_enospc_of_a_sync);
	add_test("close reports a failed sync", test_close_reports_a_failed_sync);
	add_test("poison ends with the writer", test_poison_ends_with_the_writer);
	add_test("error that another sync has had", test_error_of_another_sync);
	add_test("written while a sync runs", test_written_meanwhile);
	add_test("written while a sync runs, callback", test_written_meanwhile_async);
	add_test("deadline after a full disk", test_deadline_after_a_full_disk);
	add_test("durable mark follows the sync", test_mark_follows_the_sync);
	add_test("durable mark stays after a failed sync", test_mark_stays_after_a_failed_sync);
	add_test("durable mark is written after the sync", test_mark_is_written_after_the_sync);
	add_test("durable mark that cannot be written is no error", test_mark_failure_is_no_error);
	return unit_run("log_sync", rows, row_count);
}
