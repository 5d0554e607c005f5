/* SPDX-License-Identifier: MIT */
/* Head room (preallocate_bytes): zeros behind the end of the log, and nobody who takes them for
 * anything else. */
#include "tests/unit/log_fixture.h"
#include "writer/log/file_set.h"
#include "writer/log/log_writer_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROOM_BYTES	    INT64_C(262144)
#define RECORD_BYTES	    22 /* of "k" and "v" */
#define NUMBER_RECORD_BYTES 48 /* that each segment but the first begins with */

static int try_open_room(struct log_fixture *f, int64_t headroom_bytes, int64_t segment_bytes,
			 struct log_recovery *ret_recovery, struct diag *diag)
{
	struct log_writer_config config = {
		.file_path = f->path,
		.fsync_interval_ns = LOG_WRITER_NEVER,
		.segment_size_bytes = segment_bytes,
		.preallocate_bytes = headroom_bytes,
		.io = probe_io(f->probe),
	};

	return log_writer_open_replay(&config, NULL, NULL, &f->w, ret_recovery, diag);
}

static void open_room(struct log_fixture *f, int64_t segment_bytes)
{
	struct diag diag;

	if (try_open_room(f, ROOM_BYTES, segment_bytes, NULL, &diag) < 0)
		fail_msg("open: %s", diag.text);
}

/* The log has 'records' whole records and zeros behind them. */
static void assert_records_and_zeros(const struct log_fixture *f, size_t records)
{
	struct unit_file log = fixture_file(f);
	struct unit_file front = { .data = log.data, .bytes = records * RECORD_BYTES };

	assert_true(log.bytes > front.bytes);
	assert_int_equal(assert_log_whole(&front), records);
	for (size_t i = front.bytes; i < log.bytes; i++)
		assert_int_equal(log.data[i], 0);
	free(log.data);
}

static void assert_records_alone(const struct log_fixture *f, size_t records)
{
	struct unit_file log = fixture_file(f);

	assert_int_equal(log.bytes, records * RECORD_BYTES);
	assert_int_equal(assert_log_whole(&log), records);
	free(log.data);
}

/* All of it is there, and durable. */
static void wait_for_room(struct log_fixture *f)
{
	WAIT_FOR(unit_file_bytes(f->path) >= (uint64_t)ROOM_BYTES);
	assert_int_equal(log_writer_sync(f->w), 0);
}

static void test_puts_do_not_change_the_size(void **state)
{
	struct log_fixture *f = *state;
	uint64_t file_bytes;

	open_room(f, 0);
	fixture_put(f, "k", "v");
	wait_for_room(f);
	file_bytes = unit_file_bytes(f->path);
	for (int i = 1; i < 1000; i++)
		assert_int_equal(fixture_put(f, "k", "v"), i * RECORD_BYTES);
	assert_int_equal(log_writer_sync(f->w), 0);
	assert_int_equal(unit_file_bytes(f->path), file_bytes);
	assert_int_equal(probe_calls(f->probe, IOCALL_WRITEV), 0);
	assert_int_equal(probe_open_flags(f->probe, "active.data") & O_APPEND, 0);
	assert_records_and_zeros(f, 1000);
}

static void test_room_is_made_again(void **state)
{
	struct log_fixture *f = *state;
	uint64_t puts = 1, want;

	open_room(f, 0);
	fixture_put(f, "k", "v");
	WAIT_FOR(unit_file_bytes(f->path) >= (uint64_t)ROOM_BYTES);
	for (; puts * RECORD_BYTES < (uint64_t)ROOM_BYTES * 3; puts++)
		fixture_put(f, "k", "v");
	want = puts * RECORD_BYTES + (uint64_t)ROOM_BYTES / 2;
	WAIT_FOR(unit_file_bytes(f->path) >= want);
	assert_records_and_zeros(f, puts);
}

#define WRITERS 4
#define PUTS	500

/* An io that sees two syncs of files that run at once. */
struct one_sync {
	struct io io;
	struct io_ops ops;
	atomic_int running;
	atomic_bool twice;
};

static int slow_fdatasync(struct io *io, int fd)
{
	struct one_sync *o = (struct one_sync *)(void *)io;

	if (atomic_fetch_add(&o->running, 1) > 0)
		atomic_store(&o->twice, true);
	nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
	atomic_fetch_sub(&o->running, 1);
	return 0;
}

static void *put_many(void *arg)
{
	static const char value[480]; /* two in each segment */

	for (int i = 0; i < PUTS; i++)
		if (log_writer_put(arg, "k", 1, value, sizeof(value), NULL) < 0)
			return arg;
	return NULL;
}

/* Without a sync thread, the thread that syncs makes head room, with the lock released in between,
 * and no other thread syncs in the meantime. */
static void test_room_by_who_syncs(void **state)
{
	struct log_fixture *f = *state;
	static struct one_sync one; /* the teardown needs it, too */
	const struct log_writer_config config = {
		.file_path = f->path,
		.segment_size_bytes = 1024,
		.preallocate_bytes = ROOM_BYTES,
		.no_background = true,
		.io = &one.io,
	};
	pthread_t threads[WRITERS];
	struct log_writer_stats stats;
	void *failed;

	one.ops = *io_posix.ops;
	one.ops.fdatasync = slow_fdatasync;
	one.io.ops = &one.ops;
	assert_int_equal(log_writer_open(&config, &f->w, NULL), 0);
	for (int i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, put_many, f->w), 0);
	for (int i = 0; i < WRITERS; i++) {
		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
	assert_false(one.twice);
	stats = fixture_stats(f);
	assert_int_equal(stats.appends, WRITERS * PUTS);
	assert_int_equal(stats.durable_position, stats.end_position);
	fixture_close(f);
}

static void test_close_cuts_it(void **state)
{
	struct log_fixture *f = *state;
	struct log_recovery recovery;

	open_room(f, 0);
	fixture_put(f, "k", "v");
	WAIT_FOR(unit_file_bytes(f->path) > RECORD_BYTES);
	fixture_close(f);
	assert_records_alone(f, 1);
	assert_int_equal(fixture_try_open(f, &recovery, NULL), 0);
	assert_int_equal(recovery.stop.scan, RECORD_END);
	assert_int_equal(recovery.kept_bytes, RECORD_BYTES);
}

/* A process that dies leaves the zeros. */
static void leave_room_behind(struct log_fixture *f)
{
	open_room(f, 0);
	fixture_put(f, "k", "v");
	wait_for_room(f);
	fixture_put(f, "k", "v");
	fixture_kill(f);
	assert_records_and_zeros(f, 2);
}

static void test_zeros_of_a_crash_are_no_news(void **state)
{
	struct log_fixture *f = *state;
	struct log_recovery recovery;
	struct diag diag;

	leave_room_behind(f);
	assert_int_equal(try_open_room(f, ROOM_BYTES, 0, &recovery, &diag), 0);
	assert_string_equal(diag.text, "");
	assert_int_equal(recovery.stop.scan, RECORD_END);
	assert_string_equal(recovery.quarantine, "");
	assert_false(unit_exists(fixture_beside(f, "quarantine")));
	assert_int_equal(recovery.kept_bytes, 2 * RECORD_BYTES);
	assert_int_equal(fixture_put(f, "k", "v"), 2 * RECORD_BYTES);
	fixture_close(f);
	assert_records_alone(f, 3);
}

/* An open without head room cuts zeros, too: the mark shows that no record was there. */
static void test_zeros_without_the_option(void **state)
{
	struct log_fixture *f = *state;
	struct log_recovery recovery;

	leave_room_behind(f);
	assert_int_equal(fixture_try_open(f, &recovery, NULL), 0);
	assert_int_equal(recovery.stop.scan, RECORD_END);
	assert_false(unit_exists(fixture_beside(f, "quarantine")));
	fixture_close(f);
	assert_records_alone(f, 2);
}

/* Zeros may be all that is left of durable records. */
static void test_zeros_without_a_mark_are_reported(void **state)
{
	struct log_fixture *f = *state;
	struct log_recovery recovery;
	struct diag diag;

	leave_room_behind(f);
	assert_int_equal(unlink(fixture_beside(f, "active.synced")), 0);
	assert_int_equal(try_open_room(f, ROOM_BYTES, 0, &recovery, &diag), 0);
	assert_non_null(strstr(diag.text, "quarantine/"));
	assert_int_equal(recovery.stop.reason, RECORD_REASON_ZERO_HEADER);
	assert_true(recovery.quarantine[0] != '\0');
	fixture_close(f);
	assert_records_alone(f, 2);
}

static void test_torn_record_in_the_room(void **state)
{
	static const uint8_t torn[] = { 1, 2, 3, 4, 1, 0, 0, 0, 1, 0, 0, 0, 9 };
	struct log_fixture *f = *state;
	struct log_recovery recovery;
	struct unit_file log, saved;

	leave_room_behind(f);
	log = fixture_file(f);
	memcpy(log.data + 2 * RECORD_BYTES, torn, sizeof(torn));
	unit_write_file(f->path, log.data, log.bytes);
	free(log.data);
	assert_int_equal(try_open_room(f, ROOM_BYTES, 0, &recovery, NULL), 0);
	assert_int_equal(recovery.stop.reason, RECORD_REASON_CRC);
	saved = unit_read_file(fixture_beside(f, recovery.quarantine));
	assert_int_equal(saved.bytes, sizeof(torn));
	assert_memory_equal(saved.data, torn, sizeof(torn));
	free(saved.data);
	fixture_close(f);
	assert_records_alone(f, 2);
}

static void test_sealed_segment_has_none(void **state)
{
	struct log_fixture *f = *state;
	uint64_t sealed_bytes;
	uint8_t value[700] = { 1 };
	int renamed, cut, synced;
	const char *full;

	open_room(f, 4096);
	fixture_put(f, "k", "v");
	WAIT_FOR(unit_file_bytes(f->path) == 4096); /* no more than the segment may have */
	for (int i = 0; i < 6; i++)
		assert_int_equal(log_writer_put(f->w, "k", 1, value, sizeof(value), NULL), 0);
	sealed_bytes = RECORD_BYTES + 5 * (RECORD_BYTES - 1 + sizeof(value));
	full = unit_path("000001.%" PRIu64 ".full", sealed_bytes);
	cut = probe_find_event(f->probe, "truncate:active.data", 0);
	assert_true(cut >= 0);
	assert_int_equal(log_writer_seal(f->w), 0);
	assert_int_equal(unit_file_bytes(fixture_beside(f, "000001.data")), sealed_bytes);
	synced = probe_find_event(f->probe, "fdatasync:active.data", cut);
	renamed = probe_find_event(f->probe, unit_path("rename:%s", full), 0);
	assert_true(synced > cut && renamed > synced); /* the cut is durable before */
	fixture_close(f);
	assert_int_equal(unit_file_bytes(f->path),
			 NUMBER_RECORD_BYTES + RECORD_BYTES - 1 + sizeof(value));
}

/* One record may be larger than a segment.  There is no room to be made behind it, and nobody tries
 * to for ever. */
static void test_record_past_the_segment(void **state)
{
	struct log_fixture *f = *state;
	static uint8_t value[5000] = { 1 };
	uint64_t syncs;

	open_room(f, 4096);
	fixture_put(f, "k", "v");
	assert_int_equal(log_writer_rotate(f->w), 0);
	assert_int_equal(log_writer_put(f->w, "k", 1, value, sizeof(value), NULL), 0);
	assert_int_equal(log_writer_sync(f->w), 0);
	syncs = probe_calls(f->probe, IOCALL_FDATASYNC);
	sleep_ms(100);
	assert_in_range(probe_calls(f->probe, IOCALL_FDATASYNC), syncs, syncs + 2);
	fixture_put(f, "k", "v"); /* in a new one */
	assert_int_equal(log_writer_seal(f->w), 0);
	assert_int_equal(unit_file_bytes(fixture_beside(f, "000002.data")),
			 NUMBER_RECORD_BYTES + RECORD_BYTES - 1 + sizeof(value));
}

static void test_no_space_for_it(void **state)
{
	struct log_fixture *f = *state;

	probe_fail_partial(f->probe, IOCALL_PWRITE, FAULT_FOR_EVER, -ENOSPC);
	open_room(f, 0);
	fixture_put(f, "k", "v");
	WAIT_FOR(probe_find_event(f->probe, "truncate:active.data", 0) >= 0);
	assert_int_equal(log_writer_sync(f->w), 0);
	fixture_put(f, "k", "v");
	assert_records_alone(f, 2); /* what it could get was given back */
	probe_heal(f->probe);
	for (int i = 2; i * RECORD_BYTES < ROOM_BYTES; i++) /* it does not give up for good */
		fixture_put(f, "k", "v");
	WAIT_FOR(unit_file_bytes(f->path) > (uint64_t)ROOM_BYTES * 5 / 4);
}

/* However small it is, the syncer does not try for ever to make it. */
static void test_no_space_for_one_byte(void **state)
{
	struct log_fixture *f = *state;
	struct diag diag;

	probe_fail_partial(f->probe, IOCALL_PWRITE, FAULT_FOR_EVER, -ENOSPC);
	assert_int_equal(try_open_room(f, 1, 0, NULL, &diag), 0);
	fixture_put(f, "k", "v");
	WAIT_FOR(probe_calls(f->probe, IOCALL_TRUNCATE) > 0);
	sleep_ms(50);
	assert_in_range(probe_calls(f->probe, IOCALL_TRUNCATE), 1, 2); /* and one before the put */
}

static void test_failed_put_in_the_room(void **state)
{
	struct log_fixture *f = *state;

	open_room(f, 0);
	fixture_put(f, "k", "v");
	wait_for_room(f);
	probe_fail_partial(f->probe, IOCALL_PWRITEV, 1, -ENOSPC);
	assert_int_equal(log_writer_put(f->w, "k", 1, "v", 1, NULL), -ENOSPC);
	probe_heal(f->probe);
	assert_int_equal(fixture_put(f, "k", "v"), RECORD_BYTES);
	fixture_close(f);
	assert_records_alone(f, 2);
}

/* --- adaptive head room --- */

#define STEP_BYTES ((uint64_t)1024 * 1024)
#define STEP_WAITS 16 /* that pay for a step */

/* Puts a record and waits for a sync, so many times. */
static void put_and_sync(struct log_fixture *f, int times)
{
	for (int i = 0; i < times; i++) {
		fixture_put(f, "k", "v");
		assert_int_equal(log_writer_sync(f->w), 0);
	}
}

static void open_auto(struct log_fixture *f, int64_t segment_bytes)
{
	struct diag diag;

	if (try_open_room(f, LOG_WRITER_HEADROOM_AUTO, segment_bytes, NULL, &diag) < 0)
		fail_msg("open: %s", diag.text);
}

/* Sets the time after which head room is cut, and lets the sync thread see it. */
static void set_idle_ns(struct log_fixture *f, uint64_t ns)
{
	log_lock(f->w);
	f->w->headroom_idle_ns = ns;
	thread_check(pthread_cond_signal(&f->w->wake));
	log_unlock(f->w);
}

static void note_done(void *arg, int err)
{
	assert_int_equal(err, 0);
	atomic_store((atomic_bool *)arg, true);
}

/* Waits for head room of one step, and until the sync thread has nothing to do any more.  Puts one
 * record. */
static void wait_for_step(struct log_fixture *f)
{
	atomic_bool done = false;

	WAIT_FOR(unit_file_bytes(f->path) >= STEP_BYTES);
	fixture_put(f, "k", "v");
	assert_int_equal(log_writer_sync_async(f->w, log_writer_size(f->w), note_done, &done), 0);
	WAIT_FOR(atomic_load(&done));
}

/* No sync is waited for, or only some: there is no head room. */
static void test_auto_needs_waits(void **state)
{
	struct log_fixture *f = *state;

	open_auto(f, 0);
	set_idle_ns(f, UINT64_MAX / 2);
	for (int i = 0; i < 1000; i++)
		fixture_put(f, "k", "v");
	put_and_sync(f, STEP_WAITS - 1);
	sleep_ms(20);
	assert_records_alone(f, 1000 + STEP_WAITS - 1);
	put_and_sync(f, 2);
	WAIT_FOR(unit_file_bytes(f->path) >= STEP_BYTES);
	assert_records_and_zeros(f, 1000 + STEP_WAITS + 1);
}

/* It grows with the number of waits, up to 16 steps. */
static void test_auto_grows(void **state)
{
	struct log_fixture *f = *state;
	uint64_t bytes;

	open_auto(f, 0);
	set_idle_ns(f, UINT64_MAX / 2);
	put_and_sync(f, 3 * STEP_WAITS + 2);
	WAIT_FOR(unit_file_bytes(f->path) >= 3 * STEP_BYTES);
	put_and_sync(f, 20 * STEP_WAITS);
	WAIT_FOR(unit_file_bytes(f->path) > 15 * STEP_BYTES);
	sleep_ms(20);
	bytes = (uint64_t)(23 * STEP_WAITS + 2) * RECORD_BYTES;
	assert_in_range(unit_file_bytes(f->path), 15 * STEP_BYTES, 16 * STEP_BYTES + bytes);
	assert_records_and_zeros(f, 23 * STEP_WAITS + 2);
}

/* Waits that are rare pay for nothing. */
static void test_auto_forgets(void **state)
{
	struct log_fixture *f = *state;

	open_auto(f, 0);
	set_idle_ns(f, 0); /* each wait comes too late */
	put_and_sync(f, 4 * STEP_WAITS);
	sleep_ms(20);
	assert_records_alone(f, 4 * STEP_WAITS);
}

/* An idle time makes the waits before it count for nothing. */
static void test_auto_forgets_after_idle_time(void **state)
{
	struct log_fixture *f = *state;

	open_auto(f, 0);
	set_idle_ns(f, UINT64_MAX / 2);
	put_and_sync(f, STEP_WAITS - 5);
	set_idle_ns(f, 0);
	put_and_sync(f, 1);
	set_idle_ns(f, UINT64_MAX / 2);
	put_and_sync(f, STEP_WAITS - 5);
	sleep_ms(20);
	assert_records_alone(f, 2 * (STEP_WAITS - 5) + 1);
}

/* Waits that paid for more than there may be do not bring it back after the cut. */
static void test_auto_stays_cut(void **state)
{
	struct log_fixture *f = *state;

	open_auto(f, 0);
	set_idle_ns(f, UINT64_MAX / 2);
	put_and_sync(f, 20 * STEP_WAITS);
	wait_for_step(f);
	set_idle_ns(f, 1000000);
	WAIT_FOR(unit_file_bytes(f->path) < STEP_BYTES);
	sleep_ms(50);
	assert_int_equal(probe_calls(f->probe, IOCALL_TRUNCATE), 1);
	assert_records_alone(f, 20 * STEP_WAITS + 1);
}

/* When nobody waits any more, the log ends with its last record, without one more sync. */
static void test_auto_is_cut(void **state)
{
	struct log_fixture *f = *state;
	uint64_t syncs;

	open_auto(f, 0);
	put_and_sync(f, STEP_WAITS + 2);
	wait_for_step(f);
	fixture_put(f, "k", "v"); /* no caller waits for it */
	syncs = probe_calls(f->probe, IOCALL_FDATASYNC);
	set_idle_ns(f, 1000000);
	WAIT_FOR(unit_file_bytes(f->path) < STEP_BYTES);
	assert_records_alone(f, STEP_WAITS + 4);
	assert_int_equal(probe_calls(f->probe, IOCALL_FDATASYNC), syncs);
	set_idle_ns(f, UINT64_MAX / 2);
	put_and_sync(f, STEP_WAITS + 2); /* and it comes again */
	WAIT_FOR(unit_file_bytes(f->path) >= STEP_BYTES);
	assert_records_and_zeros(f, 2 * STEP_WAITS + 6);
}

/* A cut that fails is tried again, and not without a pause. */
static void test_auto_cut_fails(void **state)
{
	struct log_fixture *f = *state;

	open_auto(f, 0);
	put_and_sync(f, STEP_WAITS + 2);
	wait_for_step(f);
	probe_fail(f->probe, IOCALL_TRUNCATE, 2, -EIO);
	set_idle_ns(f, 1000000);
	WAIT_FOR(unit_file_bytes(f->path) < STEP_BYTES);
	assert_int_equal(probe_calls(f->probe, IOCALL_TRUNCATE), 3);
	assert_records_alone(f, STEP_WAITS + 3);
	put_and_sync(f, 1); /* the log has not failed */
}

/* A disk without much space, or whose space is unknown, gets no head room. */
static void test_auto_on_a_full_disk(void **state)
{
	struct log_fixture *f = *state;

	probe_fail(f->probe, IOCALL_SPACE, FAULT_FOR_EVER, -EIO);
	open_auto(f, 0);
	set_idle_ns(f, UINT64_MAX / 2);
	put_and_sync(f, 4 * STEP_WAITS);
	sleep_ms(20);
	assert_records_alone(f, 4 * STEP_WAITS);
}

/* Asked for, the disk gets all of it back at once. */
static void test_released(void **state)
{
	struct log_fixture *f = *state;

	open_auto(f, 0);
	set_idle_ns(f, UINT64_MAX / 2);
	assert_false(log_writer_release_headroom(f->w));
	put_and_sync(f, STEP_WAITS + 2);
	wait_for_step(f);
	assert_true(log_writer_release_headroom(f->w));
	assert_records_alone(f, STEP_WAITS + 3);
	put_and_sync(f, 2 * STEP_WAITS); /* and it does not come again soon */
	sleep_ms(20);
	assert_records_alone(f, 3 * STEP_WAITS + 3);
}

/* A log whose sync has failed is not changed any more. */
static void test_not_released_after_a_failure(void **state)
{
	struct log_fixture *f = *state;
	uint64_t bytes;

	open_auto(f, 0);
	set_idle_ns(f, UINT64_MAX / 2);
	put_and_sync(f, STEP_WAITS + 2);
	wait_for_step(f);
	probe_fail(f->probe, IOCALL_FDATASYNC, 1, -ENOSPC);
	fixture_put(f, "k", "v");
	assert_true(log_writer_sync(f->w) < 0);
	bytes = unit_file_bytes(f->path);
	assert_false(log_writer_release_headroom(f->w));
	assert_int_equal(unit_file_bytes(f->path), bytes);
	assert_true(log_writer_close(f->w) < 0);
	f->w = NULL;
	assert_int_equal(unit_file_bytes(f->path), bytes);
}

static void test_nonsense(void **state)
{
	struct log_fixture *f = *state;
	struct diag diag;

	assert_int_equal(try_open_room(f, -1, 0, NULL, &diag), -EINVAL);
	assert_non_null(strstr(diag.text, "preallocate_bytes"));
	assert_int_equal(try_open_room(f, LOG_WRITER_HEADROOM_MAX + 1, 0, NULL, &diag), -EINVAL);
	assert_int_equal(try_open_room(f, INT64_MIN, 0, NULL, &diag), -EINVAL);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, log_fixture_setup, log_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_puts_do_not_change_the_size),
		TEST(test_room_is_made_again),
		TEST(test_room_by_who_syncs),
		TEST(test_close_cuts_it),
		TEST(test_zeros_of_a_crash_are_no_news),
		TEST(test_zeros_without_the_option),
		TEST(test_zeros_without_a_mark_are_reported),
		TEST(test_torn_record_in_the_room),
		TEST(test_sealed_segment_has_none),
		TEST(test_record_past_the_segment),
		TEST(test_no_space_for_it),
		TEST(test_no_space_for_one_byte),
		TEST(test_failed_put_in_the_room),
		TEST(test_auto_needs_waits),
		TEST(test_auto_grows),
		TEST(test_auto_forgets),
		TEST(test_auto_forgets_after_idle_time),
		TEST(test_auto_stays_cut),
		TEST(test_auto_is_cut),
		TEST(test_auto_cut_fails),
		TEST(test_auto_on_a_full_disk),
		TEST(test_released),
		TEST(test_not_released_after_a_failure),
		TEST(test_nonsense),
	};

	return cmocka_run_group_tests_name("log_headroom", tests, NULL, NULL);
}
