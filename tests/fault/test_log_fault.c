/* SPDX-License-Identifier: MIT */
/* The log alone, with every call failing in every way: a put returns an error or the record is
 * there; no partial record stays; what was acknowledged is in the log after the next open; the
 * writer heals, unless a sync failed: then it is poisoned for good. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/record.h"
#include "tests/fault/fault.h"
#include "tests/sim/commit.h"
#include "tests/sim/quarantine.h"
#include "writer/log_writer.h"

#define LOG_DIR	       "/data"
#define LOG_PATH       LOG_DIR "/active.data"
#define STEPS_MAX      12
#define COMMITS_MAX    32
#define NEVER	       LOG_WRITER_NEVER
#define DISK_BYTES_MAX 4096

/* What a step does.  The commits of a log are numbered; every third is a group. */
enum step {
	STEP_END,
	STEP_APPEND,
	STEP_SYNC,
	STEP_ASYNC_SYNC,
	STEP_CLOSE,
	STEP_FAIL_FROM_HERE, /* without it, opening the log can fail, too */
};

/* How the log looks before the writer opens it. */
enum start {
	START_NOTHING,
	START_WHOLE,	  /* four commits */
	START_TORN,	  /* the same, and half of one more */
	START_TORN_GROUP, /* the same, and a group without its last record */
	START_ZEROS,	  /* the same, and zeros */
};

struct scenario {
	const char *name;
	enum start start;
	int64_t interval_ns;
	int64_t buffer_bytes;
	enum step steps[STEPS_MAX];
};

#define APPEND3 STEP_APPEND, STEP_APPEND, STEP_APPEND

static const struct scenario scenarios[] = {
	{ "open a new log", START_NOTHING, NEVER, 0, { STEP_CLOSE } },
	{ "open a log", START_WHOLE, NEVER, 0, { STEP_CLOSE } },
	{ "recover half a record", START_TORN, NEVER, 0, { STEP_APPEND, STEP_CLOSE } },
	{ "recover half a group", START_TORN_GROUP, 0, 0, { STEP_APPEND, STEP_CLOSE } },
	{ "recover zeros", START_ZEROS, 0, 0, { STEP_APPEND, STEP_CLOSE } },
	{ "put, durable", START_WHOLE, 0, 0, { STEP_FAIL_FROM_HERE, APPEND3, STEP_APPEND } },
	{ "put", START_WHOLE, NEVER, 0, { STEP_FAIL_FROM_HERE, APPEND3, STEP_APPEND } },
	{ "put into a buffer",
	  START_NOTHING,
	  NEVER,
	  700,
	  { STEP_FAIL_FROM_HERE, APPEND3, APPEND3, STEP_SYNC } },
	{ "put into a buffer of a block",
	  START_NOTHING,
	  NEVER,
	  4096,
	  { STEP_FAIL_FROM_HERE, APPEND3, APPEND3, APPEND3, STEP_APPEND, STEP_SYNC } },
	{ "put and sync",
	  START_WHOLE,
	  NEVER,
	  0,
	  { STEP_FAIL_FROM_HERE, STEP_APPEND, STEP_SYNC, STEP_APPEND, STEP_SYNC, STEP_SYNC } },
	{ "put and sync by callback",
	  START_WHOLE,
	  LOG_WRITER_INTERVAL_MAX_NS,
	  0,
	  { STEP_FAIL_FROM_HERE, STEP_APPEND, STEP_ASYNC_SYNC, STEP_APPEND, STEP_ASYNC_SYNC,
	    STEP_ASYNC_SYNC } },
	{ "buffer and sync by callback",
	  START_WHOLE,
	  LOG_WRITER_INTERVAL_MAX_NS,
	  4096,
	  { STEP_FAIL_FROM_HERE, APPEND3, STEP_ASYNC_SYNC, STEP_APPEND, STEP_SYNC } },
	{ "close", START_WHOLE, NEVER, 0, { STEP_APPEND, STEP_FAIL_FROM_HERE, STEP_CLOSE } },
	{ "close with a buffer",
	  START_WHOLE,
	  NEVER,
	  65536,
	  { APPEND3, STEP_FAIL_FROM_HERE, STEP_CLOSE } },
	{ "everything",
	  START_TORN,
	  0,
	  0,
	  { APPEND3, STEP_SYNC, APPEND3, STEP_ASYNC_SYNC, STEP_CLOSE } },
};

static const struct commit_style style = { .groups = true };

/* What a log must, may and must not hold. */
enum fate {
	FATE_NONE,
	FATE_MAY,
	FATE_MUST
};

struct world {
	struct fault_run *run;
	const struct scenario *scenario;
	struct log_writer *writer;
	enum fate fates[COMMITS_MAX];
	uint64_t next;	 /* the commit that is appended next */
	uint64_t synced; /* commits below it are known to be durable */
	uint64_t failed_steps;
	bool opened;
	bool close_failed;
	bool sync_failed; /* the log's fdatasync(), while the writer was open */
	uint8_t *log;	  /* before recovery; NULL without a tail to cut */
	size_t log_bytes, whole_bytes;
};

/* --- the start --- */

static int open_writer(struct world *w, struct io *io, log_replay_fn fn, void *arg,
		       struct log_recovery *ret_recovery, struct diag *diag)
{
	struct log_writer_config config = {
		.file_path = LOG_PATH,
		.fsync_interval_ns = w->scenario->interval_ns,
		.buffer_size_bytes = w->scenario->buffer_bytes,
		.io = io,
	};

	return log_writer_open_replay(&config, fn, arg, &w->writer, ret_recovery, diag);
}

/* Bytes that an append left behind when the power went. */
static size_t make_tail(enum start start, uint8_t out[DISK_BYTES_MAX])
{
	struct commit c;
	size_t n = 0;

	memset(out, 0, DISK_BYTES_MAX);
	if (start == START_ZEROS)
		return 300;
	commit_make(&style, 0, start == START_TORN ? 7 : 8, &c); /* 8 is a group */
	assert_true(start == START_TORN || c.count > 1);
	for (size_t i = 0; i < c.count; i++) {
		uint8_t encoded[DISK_BYTES_MAX];
		size_t bytes = record_bytes(c.records[i].key_bytes, c.records[i].value_bytes);

		assert_true(bytes <= sizeof(encoded));
		record_encode(&c.records[i], encoded);
		if (i + 1 == c.count)
			bytes = start == START_TORN ? bytes / 2 : 0;
		memcpy(out + n, encoded, bytes);
		n += bytes;
	}
	commit_free(&c);
	return n;
}

static void prepare(struct world *w)
{
	uint8_t tail[DISK_BYTES_MAX];
	size_t bytes, tail_bytes;
	uint8_t *log;

	if (w->scenario->start == START_NOTHING)
		return;
	assert_int_equal(open_writer(w, simdisk_io(w->run->disk), NULL, NULL, NULL, NULL), 0);
	for (; w->next < 4; w->next++) {
		assert_int_equal(commit_append(&style, w->writer, 0, w->next, false), 0);
		w->fates[w->next] = FATE_MUST;
	}
	assert_int_equal(log_writer_close(w->writer), 0);
	w->writer = NULL;
	w->synced = w->next;
	if (w->scenario->start == START_WHOLE)
		return;
	log = simdisk_read_file(w->run->disk, LOG_PATH, &bytes);
	assert_non_null(log);
	tail_bytes = make_tail(w->scenario->start, tail);
	log = realloc(log, bytes + tail_bytes);
	assert_non_null(log);
	memcpy(log + bytes, tail, tail_bytes);
	assert_int_equal(simdisk_write_file(w->run->disk, LOG_PATH, log, bytes + tail_bytes), 0);
	w->log = log;
	w->log_bytes = bytes + tail_bytes;
	w->whole_bytes = bytes;
}

/* --- the steps --- */

struct waiting {
	pthread_mutex_t lock;
	pthread_cond_t done;
	unsigned int times;
	int err;
};

static void wake(void *arg, int err)
{
	struct waiting *wait = arg;

	(void)pthread_mutex_lock(&wait->lock);
	wait->times++;
	wait->err = err;
	(void)pthread_cond_signal(&wait->done);
	(void)pthread_mutex_unlock(&wait->lock);
}

static int sync_by_callback(struct log_writer *w)
{
	struct waiting wait = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0 };
	int err = log_writer_sync_async(w, log_writer_size(w), wake, &wait);

	if (err < 0)
		return err;
	(void)pthread_mutex_lock(&wait.lock);
	while (wait.times == 0)
		(void)pthread_cond_wait(&wait.done, &wait.lock);
	(void)pthread_mutex_unlock(&wait.lock);
	return wait.err;
}

/* Appends the next commit and notes what the answer promises. */
static int step_append(struct world *w)
{
	uint64_t size_before = log_writer_size(w->writer);
	bool durable = w->scenario->interval_ns == 0;
	int err = commit_append(&style, w->writer, 0, w->next, durable);
	bool grew = log_writer_size(w->writer) > size_before;

	assert_true(w->next < COMMITS_MAX);
	FAULT_CHECK(w->run, err < 0 || grew, "put succeeds and the log does not grow");
	w->fates[w->next] = err == 0 ? FATE_MUST : grew ? FATE_MAY : FATE_NONE;
	if (err == 0 && durable)
		w->synced = w->next + 1;
	w->next++;
	return err;
}

static int step_close(struct world *w)
{
	int err = log_writer_close(w->writer);

	w->writer = NULL;
	w->close_failed = err < 0;
	return err;
}

static int do_step(struct world *w, enum step step)
{
	int err = 0;

	switch (step) {
	case STEP_APPEND:
		return step_append(w);
	case STEP_SYNC:
		err = log_writer_sync(w->writer);
		break;
	case STEP_ASYNC_SYNC:
		err = sync_by_callback(w->writer);
		break;
	case STEP_CLOSE:
		err = step_close(w);
		break;
	case STEP_FAIL_FROM_HERE:
		fault_arm(w->run);
		return 0;
	case STEP_END:
		return 0;
	}
	if (err == 0)
		w->synced = w->next;
	return err;
}

static bool fails_from_open(const struct scenario *s)
{
	for (size_t i = 0; i < STEPS_MAX; i++) {
		if (s->steps[i] == STEP_FAIL_FROM_HERE)
			return false;
	}
	return true;
}

static void run_steps(struct world *w)
{
	struct diag diag;
	int err;

	if (fails_from_open(w->scenario))
		fault_arm(w->run);
	err = open_writer(w, faultio_io(w->run->io), NULL, NULL, NULL, &diag);
	w->opened = err == 0;
	if (err < 0) {
		w->failed_steps = 1;
		FAULT_CHECK(w->run, diag.text[0] != '\0', "open fails without a word");
		FAULT_CHECK(w->run, err == w->run->fault->err, "open fails with %s, not the fault",
			    strerror(-err));
		return;
	}
	for (size_t i = 0; i < STEPS_MAX && w->scenario->steps[i] != STEP_END; i++) {
		err = do_step(w, w->scenario->steps[i]);
		if (err == 0)
			continue;
		w->failed_steps++;
		FAULT_CHECK(w->run, err == w->run->fault->err || err == -EIO,
			    "step %zu fails with %s, which nobody injected", i, strerror(-err));
	}
}

/* --- afterwards --- */

struct found {
	struct world *world;
	bool there[COMMITS_MAX];
	uint64_t next;
	char why[COMMIT_WHY_BYTES];
};

static int take(void *arg, const struct log_entry *entries, size_t count, struct diag *diag)
{
	struct found *f = arg;
	uint64_t thread, number;
	int err = commit_check(&style, entries, count, &thread, &number, f->why);

	(void)diag;
	if (err < 0)
		return err;
	if (number < f->next || number >= COMMITS_MAX) {
		(void)snprintf(f->why, sizeof(f->why), "commit %" PRIu64 " out of order", number);
		return -EPROTO;
	}
	f->there[number] = true;
	f->next = number + 1;
	return 0;
}

/* Opens the log on 'd' without faults; each commit below 'must_end' that is a FATE_MUST is there,
 * and none that is a FATE_NONE. */
static void check_reopen(struct world *w, struct simdisk *d, const char *when, uint64_t must_end)
{
	struct found found = { .world = w };
	struct diag diag;
	int err = open_writer(w, simdisk_io(d), take, &found, NULL, &diag);

	FAULT_CHECK(w->run, err == 0, "%s: open: %s: %s; %s", when, strerror(-err), diag.text,
		    found.why);
	for (uint64_t i = 0; i < COMMITS_MAX; i++) {
		FAULT_CHECK(w->run, found.there[i] || i >= must_end || w->fates[i] != FATE_MUST,
			    "%s: commit %" PRIu64 " was acknowledged and is gone", when, i);
		FAULT_CHECK(w->run, !found.there[i] || w->fates[i] != FATE_NONE,
			    "%s: commit %" PRIu64 " failed and is there", when, i);
	}
	err = log_writer_close(w->writer);
	w->writer = NULL;
	FAULT_CHECK(w->run, err == 0, "%s: close: %s", when, strerror(-err));
	FAULT_CHECK(w->run, simdisk_open_count(d) == 0, "%s: descriptors leak", when);
}

/* Scans the file itself: whole records to its last byte, and no group without its end. */
static void check_no_partial_record(struct world *w)
{
	size_t bytes = 0, at = 0;
	uint8_t *log = simdisk_read_file(w->run->disk, LOG_PATH, &bytes);
	struct record_scan_result result;
	bool more = false;

	FAULT_CHECK(w->run, log != NULL, "no log");
	while (record_scan(log + at, bytes - at, bytes - at, &result) == RECORD_WHOLE) {
		more = meta_has_more(result.rec.key, result.rec.key_bytes, result.rec.value,
				     result.rec.value_bytes);
		at += result.bytes;
	}
	FAULT_CHECK(w->run, at == bytes && !more,
		    "a partial record: %zu of %zu bytes are whole records%s", at, bytes,
		    more ? ", a group has no end" : "");
	free(log);
}

/* After a failed fdatasync() nothing succeeds any more, however often and in whatever way. */
static void check_poisoned(struct world *w)
{
	uint64_t size = log_writer_size(w->writer);
	uint64_t durable = log_writer_durable_position(w->writer);
	struct log_writer_stats stats;
	int err;

	log_writer_stats(w->writer, &stats);
	FAULT_CHECK(w->run, stats.poison < 0, "a sync failed and the writer is not poisoned");
	for (int i = 0; i < 3; i++) {
		err = log_writer_put(w->writer, "x", 1, "y", 1, NULL);
		FAULT_CHECK(w->run, err == -EIO, "put on a poisoned log: %d", err);
		err = log_writer_sync(w->writer);
		FAULT_CHECK(w->run, err == -EIO, "sync of a poisoned log: %d", err);
		err = log_writer_sync_to(w->writer, size);
		FAULT_CHECK(w->run, err == -EIO, "sync_to of a poisoned log: %d", err);
		err = sync_by_callback(w->writer);
		FAULT_CHECK(w->run, err == -EIO, "async sync of a poisoned log: %d", err);
	}
	FAULT_CHECK(w->run, log_writer_size(w->writer) == size, "a poisoned log grows");
	FAULT_CHECK(w->run, log_writer_durable_position(w->writer) == durable,
		    "a poisoned log becomes durable");
	err = log_writer_close(w->writer);
	w->writer = NULL;
	FAULT_CHECK(w->run, err < 0, "close of a poisoned log succeeds");
}

/* With the fault gone the writer works as if nothing had been. */
static void check_heals(struct world *w)
{
	struct log_writer_stats stats;
	int err;

	log_writer_stats(w->writer, &stats);
	FAULT_CHECK(w->run, stats.poison == 0, "poisoned, and no sync failed");
	err = step_append(w);
	FAULT_CHECK(w->run, err == 0, "put with the fault gone: %s", strerror(-err));
	err = log_writer_sync(w->writer);
	FAULT_CHECK(w->run, err == 0, "sync with the fault gone: %s", strerror(-err));
	w->synced = w->next;
	FAULT_CHECK(w->run, log_writer_durable_position(w->writer) == log_writer_size(w->writer),
		    "synced, and the durable offset lags");
	check_no_partial_record(w);
	err = log_writer_close(w->writer);
	w->writer = NULL;
	FAULT_CHECK(w->run, err == 0, "close with the fault gone: %s", strerror(-err));
}

static void check_visible(const struct world *w, uint64_t hits)
{
	const struct fault *fault = w->run->fault;

	if (fault_is_invisible(fault))
		FAULT_CHECK(w->run, w->failed_steps == 0, "%" PRIu64 " steps failed",
			    w->failed_steps);
	if (hits == 0)
		FAULT_CHECK(w->run, w->failed_steps == 0, "failed without a fault");
	if (fault->times == 1 && !w->sync_failed)
		FAULT_CHECK(w->run, w->failed_steps <= 1, "one fault, %" PRIu64 " failed steps",
			    w->failed_steps);
}

/* A log that could not be opened is as it was; what recovery did cut is in quarantine. */
static void check_failed_open(struct world *w)
{
	size_t bytes = 0;
	uint8_t *log = simdisk_read_file(w->run->disk, LOG_PATH, &bytes);
	bool same = log != NULL && bytes == w->log_bytes &&
		    (bytes == 0 || memcmp(log, w->log, bytes) == 0);

	if (w->log != NULL && faultio_failures(w->run->io, IOCALL_PREAD) > 0)
		FAULT_CHECK(w->run, same && quarantine_count(w->run->disk, LOG_DIR) == 0,
			    "a failed read changes the log");
	if (w->log != NULL && !same) {
		FAULT_CHECK(w->run,
			    log != NULL && bytes == w->whole_bytes &&
				    memcmp(log, w->log, bytes) == 0,
			    "a failed open changes the log");
		FAULT_CHECK(w->run,
			    quarantine_holds(w->run->disk, LOG_DIR, w->log + w->whole_bytes,
					     w->log_bytes - w->whole_bytes),
			    "a failed open cuts without a copy");
	}
	free(log);
}

/* What is on the disk after a power cut, after the process died, and in the end. */
static void check_later(struct world *w)
{
	struct simdisk *durable = simdisk_power_cut(w->run->disk, SIMDISK_KEEP_NONE, 0);
	struct simdisk *killed = simdisk_power_cut(w->run->disk, SIMDISK_KEEP_ALL, 0);
	uint64_t handed_over = w->scenario->buffer_bytes == 0 ? w->next : w->synced;
	uint64_t in_the_end = handed_over;
	struct log_writer *writer = w->writer;

	if (!w->opened)
		check_failed_open(w);
	check_reopen(w, durable, "power cut", w->synced);
	check_reopen(w, killed, "killed", handed_over);
	simdisk_free(durable);
	simdisk_free(killed);
	w->writer = writer;
	if (w->writer != NULL && w->sync_failed) {
		check_poisoned(w);
	} else if (w->writer != NULL) {
		check_heals(w);
		in_the_end = w->next;
	} else if (!w->close_failed) {
		in_the_end = w->next;
	}
	check_reopen(w, w->run->disk, "in the end", in_the_end);
	check_no_partial_record(w);
	if (w->log != NULL)
		FAULT_CHECK(w->run,
			    quarantine_holds(w->run->disk, LOG_DIR, w->log + w->whole_bytes,
					     w->log_bytes - w->whole_bytes),
			    "the tail is not in quarantine");
}

static bool run_once(struct fault_run *run, const void *scenario)
{
	struct world w = { .run = run, .scenario = scenario };
	uint64_t hits;

	prepare(&w);
	run_steps(&w);
	hits = faultio_hits(run->io);
	w.sync_failed = w.opened && !fault_is_invisible(run->fault) &&
			faultio_failures(run->io, IOCALL_FDATASYNC) > 0;
	check_visible(&w, hits);
	fault_disarm(run);
	check_later(&w);
	free(w.log);
	return hits > 0;
}

/* A log that is open cannot be opened; it is not changed by the attempt. */
static void test_second_writer(void **state)
{
	static const struct scenario scenario = {
		"second writer", START_NOTHING, NEVER, 0, { STEP_END }
	};
	static const struct fault none = { "no fault", FAULT_ERROR, 0, 0 };
	struct fault_run run = { .scenario = "second writer", .fault = &none };
	struct world w = { .run = &run, .scenario = &scenario };
	struct log_writer *first;
	struct diag diag;

	(void)state;
	run.disk = simdisk_new();
	run.io = faultio_new(simdisk_io(run.disk));
	assert_int_equal(open_writer(&w, faultio_io(run.io), NULL, NULL, NULL, &diag), 0);
	first = w.writer;
	assert_int_equal(step_append(&w), 0);
	assert_int_equal(open_writer(&w, faultio_io(run.io), NULL, NULL, NULL, &diag),
			 -EWOULDBLOCK);
	FAULT_CHECK(&run, strstr(diag.text, LOG_PATH) != NULL, "the refusal does not name the log");
	w.writer = first;
	check_heals(&w);
	check_reopen(&w, run.disk, "afterwards", w.next);
	faultio_free(run.io);
	simdisk_free(run.disk);
}

struct row {
	const struct scenario *scenario;
	const struct fault *fault;
	char name[96];
};

static void test_row(void **state)
{
	const struct row *row = *state;
	uint64_t runs =
		fault_for_every_call(row->scenario->name, row->fault, run_once, row->scenario);

	assert_true(runs > 1);
}

int main(int argc, char **argv)
{
	static struct row rows[ARRAY_SIZE(scenarios) * FAULT_COUNT];
	static struct CMUnitTest tests[ARRAY_SIZE(rows) + 1];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		rows[i].scenario = &scenarios[i / FAULT_COUNT];
		rows[i].fault = &fault_list[i % FAULT_COUNT];
		(void)snprintf(rows[i].name, sizeof(rows[i].name), "%s: %s", rows[i].scenario->name,
			       rows[i].fault->name);
		tests[i] = (struct CMUnitTest){ rows[i].name, test_row, NULL, NULL, &rows[i] };
	}
	tests[ARRAY_SIZE(rows)] =
		(struct CMUnitTest){ "second writer", test_second_writer, NULL, NULL, NULL };
	return fault_main("fault: log", tests, ARRAY_SIZE(tests), argc, argv);
}
