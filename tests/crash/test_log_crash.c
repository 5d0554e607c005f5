/* SPDX-License-Identifier: MIT */
/* The log by itself: after a power cut at any call it has a prefix of the appended records, and
 * that prefix includes all that were acknowledged as durable. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/crash/crash.h"
#include "tests/sim/commit.h"
#include "tests/sim/quarantine.h"
#include "writer/log_writer.h"

#define LOG_DIR	 "/data"
#define LOG_PATH LOG_DIR "/active.data"

/* A workload.  Thread t appends its commits 0, 1, 2, ... one after the other. */
struct workload {
	const char *name;
	int64_t interval_ns;
	int64_t buffer_bytes;
	unsigned int threads;
	unsigned int commits;	 /* of each thread */
	unsigned int sync_every; /* number of commits; 0: never */
	struct commit_style style;
	bool async; /* syncs by callback */
	unsigned int sync_delay_us;
};

#define GROUPS                 \
	{                      \
		.groups = true \
	}
#define HUGE                 \
	{                    \
		.huge = true \
	}
#define LONG_NS LOG_WRITER_INTERVAL_MAX_NS

static const struct workload workloads[] = {
	{ "log: interval 0", 0, 0, 1, 24, .style = GROUPS },
	{ "log: interval 0, buffer", 0, 65536, 1, 24, .style = GROUPS },
	{ "log: interval 0, huge value", 0, 0, 1, 8, .style = HUGE },
	{ "log: long interval", LONG_NS, 0, 1, 24, 6, .style = GROUPS },
	{ "log: long interval, async syncs", LONG_NS, 0, 1, 24, 6, .async = true },
	{ "log: long interval, buffer", LONG_NS, 65536, 1, 24, 6, .style = GROUPS },
	{ "log: long interval, small buffer", LONG_NS, 900, 1, 24, 6, .style = GROUPS },
	{ "log: long interval, buffer of a block", LONG_NS, 4096, 1, 24, 6, .style = GROUPS },
	{ "log: short interval", 1000000, 0, 1, 24, .style = GROUPS, .sync_delay_us = 300 },
	{ "log: never", LOG_WRITER_NEVER, 0, 1, 24, .style = GROUPS },
	{ "log: never, sync at times", LOG_WRITER_NEVER, 0, 1, 24, 7, .style = GROUPS },
	{ "log: never, buffer", LOG_WRITER_NEVER, 65536, 1, 24, 9, .style = HUGE },
	{ "log: 3 threads, interval 0", 0, 0, 3, 12, .style = GROUPS, .sync_delay_us = 100 },
	{ "log: 3 threads, interval 0, buffer", 0, 4096, 3, 12, .sync_delay_us = 100 },
	{ "log: 3 threads, long interval", LONG_NS, 0, 3, 12, 3, .sync_delay_us = 100 },
	{ "log: 3 threads, short interval", 500000, 2048, 3, 12, 5, .sync_delay_us = 100 },
};

/* --- the workload --- */

struct run {
	const struct workload *workload;
	struct simdisk *disk;
	struct log_writer *writer;
	struct crash_recorder recorder;
};

struct worker {
	struct run *run;
	uint64_t thread;
	pthread_t id;
	int err; /* the first failure */
};

struct waiting {
	pthread_mutex_t lock;
	pthread_cond_t done;
	bool is_done;
	int err;
};

static void wake(void *arg, int err)
{
	struct waiting *wait = arg;

	(void)pthread_mutex_lock(&wait->lock);
	wait->is_done = true;
	wait->err = err;
	(void)pthread_cond_signal(&wait->done);
	(void)pthread_mutex_unlock(&wait->lock);
}

static int sync_async(struct log_writer *w)
{
	struct waiting wait = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0 };
	int err = log_writer_sync_async(w, log_writer_size(w), wake, &wait);

	if (err < 0)
		return err;
	(void)pthread_mutex_lock(&wait.lock);
	while (!wait.is_done)
		(void)pthread_cond_wait(&wait.done, &wait.lock);
	(void)pthread_mutex_unlock(&wait.lock);
	return wait.err;
}

static void *work(void *arg)
{
	struct worker *me = arg;
	struct run *run = me->run;
	const struct workload *w = run->workload;

	for (uint64_t i = 0; i < w->commits && me->err == 0; i++) {
		atomic_store(&run->recorder.now[me->thread].issued, i + 1);
		me->err = commit_append(&w->style, run->writer, me->thread, i, w->interval_ns == 0);
		if (me->err == 0)
			atomic_store(&run->recorder.now[me->thread].returned, i + 1);
		if (me->err == 0 && w->interval_ns == 0)
			atomic_store(&run->recorder.now[me->thread].synced, i + 1);
		if (me->err < 0 || w->sync_every == 0 || (i + 1) % w->sync_every != 0)
			continue;
		me->err = w->async ? sync_async(run->writer) : log_writer_sync(run->writer);
		if (me->err == 0)
			atomic_store(&run->recorder.now[me->thread].synced, i + 1);
	}
	return NULL;
}

static void run_workers(struct run *run)
{
	struct worker workers[CRASH_THREADS_MAX] = { { 0 } };

	for (uint64_t t = 0; t < run->workload->threads; t++) {
		workers[t].run = run;
		workers[t].thread = t;
		assert_int_equal(pthread_create(&workers[t].id, NULL, work, &workers[t]), 0);
	}
	for (uint64_t t = 0; t < run->workload->threads; t++) {
		assert_int_equal(pthread_join(workers[t].id, NULL), 0);
		assert_int_equal(workers[t].err, 0);
	}
}

/* --- the content of a log --- */

struct found {
	const struct workload *workload;
	uint64_t next[CRASH_THREADS_MAX]; /* number of commits of each thread */
	uint64_t last_timestamp_ns;
	char why[COMMIT_WHY_BYTES]; /* "" as long as no fault was found */
};

static int wrong(struct found *f, const char *fmt, ...) PRINTF_LIKE(2, 3);
static int wrong(struct found *f, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(f->why, sizeof(f->why), fmt, args);
	va_end(args);
	return -EPROTO;
}

/* Takes one commit of the log: it must be the next one of its thread. */
static int take(void *arg, const struct log_entry *entries, size_t count, struct diag *diag)
{
	struct found *f = arg;
	uint64_t thread, number;
	int err = commit_check(&f->workload->style, entries, count, &thread, &number, f->why);

	(void)diag;
	if (err < 0)
		return err;
	if (number != f->next[thread])
		return wrong(f, "commit %" PRIu64 ".%" PRIu64 " where number %" PRIu64 " belongs",
			     thread, number, f->next[thread]);
	for (size_t i = 0; i < count; i++) {
		if (entries[i].rec.timestamp_ns <= f->last_timestamp_ns)
			return wrong(f, "commit %" PRIu64 ".%" PRIu64 " is not the youngest",
				     thread, number);
		f->last_timestamp_ns = entries[i].rec.timestamp_ns;
	}
	f->next[thread]++;
	return 0;
}

static char *state_text(const struct found *f)
{
	char *text = NULL;
	int len = 0;

	len = asprintf(&text, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", f->next[0],
		       f->next[1], f->next[2], f->next[3]);
	assert_true(len > 0);
	return text;
}

/* --- the log as a system that crashes --- */

struct handle {
	struct log_writer *writer;
	struct found found;
};

static void *open_log(void *arg, struct simdisk *d, char **ret_state,
		      struct log_recovery *ret_recovery, char why[CRASH_WHY_BYTES])
{
	const struct workload *w = arg;
	struct log_writer_config config = {
		.file_path = LOG_PATH,
		.fsync_interval_ns = w->interval_ns,
		.buffer_size_bytes = w->buffer_bytes,
		.io = simdisk_io(d),
	};
	struct handle *h = calloc(1, sizeof(*h));
	struct diag diag;
	int err;

	assert_non_null(h);
	h->found.workload = w;
	err = log_writer_open_replay(&config, take, &h->found, &h->writer, ret_recovery, &diag);
	if (err < 0) {
		(void)snprintf(why, CRASH_WHY_BYTES, "open: %s: %s; %s", strerror(-err), diag.text,
			       h->found.why);
		free(h);
		return NULL;
	}
	*ret_state = state_text(&h->found);
	return h;
}

static bool is_allowed(void *arg, const char *state,
		       const struct crash_progress progress[CRASH_THREADS_MAX],
		       enum crash_kind kind, char why[CRASH_WHY_BYTES])
{
	const struct workload *w = arg;
	uint64_t next[CRASH_THREADS_MAX];

	assert_int_equal(sscanf(state, "%" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, &next[0],
				&next[1], &next[2], &next[3]),
			 4);
	for (size_t t = 0; t < CRASH_THREADS_MAX; t++) {
		const struct crash_progress *p = &progress[t];
		bool handed_over = kind == CRASH_KILLED && w->buffer_bytes == 0;
		uint64_t least = handed_over ? p->returned : p->synced;

		if (next[t] >= least && next[t] <= p->issued)
			continue;
		(void)snprintf(why, CRASH_WHY_BYTES,
			       "%" PRIu64 " commits of thread %zu are back; %" PRIu64
			       " were promised, %" PRIu64 " begun",
			       next[t], t, least, p->issued);
		return false;
	}
	return true;
}

static int go_on(void *arg, void *handle, char **ret_state)
{
	const struct workload *w = arg;
	struct handle *h = handle;
	int err = commit_append(&w->style, h->writer, 0, h->found.next[0], true);

	if (err == 0)
		err = log_writer_sync(h->writer);
	h->found.next[0]++;
	*ret_state = state_text(&h->found);
	return err;
}

static int close_log(void *arg, void *handle)
{
	struct handle *h = handle;
	int err = log_writer_close(h->writer);

	(void)arg;
	free(h);
	return err;
}

static void test_workload(void **state)
{
	const struct workload *w = *state;
	struct crash_options options = crash_options(0, 4);
	struct run run = { .workload = w, .disk = simdisk_new() };
	const struct crash_system system = {
		.name = w->name,
		.log_dir = LOG_DIR,
		.arg = *state,
		.open = open_log,
		.is_allowed = is_allowed,
		.go_on = go_on,
		.close = close_log,
	};
	const struct log_writer_config config = {
		.file_path = LOG_PATH,
		.fsync_interval_ns = w->interval_ns,
		.buffer_size_bytes = w->buffer_bytes,
		.io = simdisk_io(run.disk),
	};

	simdisk_set_sync_delay(run.disk, w->sync_delay_us);
	crash_record(&run.recorder, run.disk);
	assert_int_equal(log_writer_open(&config, &run.writer, NULL), 0);
	run_workers(&run);
	assert_int_equal(log_writer_close(run.writer), 0);
	for (size_t t = 0; t < w->threads; t++)
		atomic_store(&run.recorder.now[t].synced, w->commits);
	crash_record_end(&run.recorder, run.disk);
	assert_int_equal(simdisk_open_count(run.disk), 0);
	crash_check(&system, &run.recorder, &options);
	crash_recorder_free(&run.recorder);
	simdisk_free(run.disk);
}

/* --- damage, which no power cut causes --- */

#define DAMAGE_COMMITS 12
#define DAMAGE_SYNCED  8
#define DAMAGE_STEP    5 /* bytes; coprime to the size of every field, to meet all bytes */

/* Makes a log of 12 commits, with the durable mark behind the eighth.  Stores its size and that
 * mark. */
static struct simdisk *make_damage_log(const struct workload *w, uint8_t **ret_log,
				       size_t *ret_bytes, size_t *ret_synced)
{
	struct simdisk *disk = simdisk_new(), *killed;
	const struct log_writer_config config = {
		.file_path = LOG_PATH,
		.fsync_interval_ns = LOG_WRITER_NEVER,
		.io = simdisk_io(disk),
	};
	struct log_writer *writer;

	assert_int_equal(log_writer_open(&config, &writer, NULL), 0);
	for (uint64_t i = 0; i < DAMAGE_COMMITS; i++) {
		assert_int_equal(commit_append(&w->style, writer, 0, i, false), 0);
		if (i + 1 == DAMAGE_SYNCED)
			assert_int_equal(log_writer_sync(writer), 0);
	}
	*ret_synced = log_writer_durable_position(writer);
	killed = simdisk_power_cut(disk, SIMDISK_KEEP_ALL, 0);
	assert_int_equal(log_writer_close(writer), 0);
	simdisk_free(disk);
	*ret_log = simdisk_read_file(killed, LOG_PATH, ret_bytes);
	assert_non_null(*ret_log);
	assert_true(*ret_synced > 0 && *ret_synced < *ret_bytes);
	return killed;
}

/* Opens a log that was cut to 'bytes' and is damaged at 'at'. */
static void check_damaged(const struct workload *w, struct simdisk *disk, const uint8_t *log,
			  size_t bytes, size_t at, size_t synced)
{
	struct simdisk *d = simdisk_copy(disk);
	struct found found = { .workload = w };
	const struct log_writer_config config = {
		.file_path = LOG_PATH,
		.fsync_interval_ns = LOG_WRITER_NEVER,
		.io = simdisk_io(d),
	};
	struct log_writer *writer = NULL;
	struct diag diag;
	size_t after_bytes = 0;
	uint8_t *after;
	int err;

	assert_int_equal(simdisk_write_file(d, LOG_PATH, log, bytes), 0);
	err = log_writer_open_replay(&config, take, &found, &writer, NULL, &diag);
	after = simdisk_read_file(d, LOG_PATH, &after_bytes);
	if (at < synced) {
		if (err != -EBADMSG || after_bytes != bytes || memcmp(after, log, bytes) != 0 ||
		    quarantine_count(d, LOG_DIR) != 0 || diag.text[0] == '\0')
			fail_msg("damage at %zu of %zu, durable to %zu: open: %d %s; %zu bytes are "
				 "left",
				 at, bytes, synced, err, diag.text, after_bytes);
	} else {
		if (err != 0 || found.next[0] < DAMAGE_SYNCED || found.next[0] > DAMAGE_COMMITS ||
		    !quarantine_holds(d, LOG_DIR, log + after_bytes, bytes - after_bytes))
			fail_msg("damage at %zu of %zu, durable to %zu: open: %d %s; %" PRIu64
				 " commits, %zu bytes are left",
				 at, bytes, synced, err, diag.text, found.next[0], after_bytes);
		assert_int_equal(log_writer_close(writer), 0);
	}
	assert_int_equal(simdisk_open_count(d), 0);
	free(after);
	simdisk_free(d);
}

/* Changes a byte, or removes the end: before the durable mark the log is refused unchanged, behind
 * it the rest is cut and kept in quarantine. */
static void test_damage(void **state)
{
	static const struct workload w = { .name = "damage", .style = GROUPS };
	size_t bytes, synced;
	uint8_t *log;
	struct simdisk *disk = make_damage_log(&w, &log, &bytes, &synced);

	(void)state;
	for (size_t at = 0; at < bytes; at += DAMAGE_STEP) {
		log[at] ^= 0x20;
		check_damaged(&w, disk, log, bytes, at, synced);
		log[at] ^= 0x20;
		check_damaged(&w, disk, log, at, at, synced);
	}
	free(log);
	simdisk_free(disk);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[ARRAY_SIZE(workloads) + 1];

	tests[ARRAY_SIZE(workloads)] =
		(struct CMUnitTest){ "log: damage", test_damage, NULL, NULL, NULL };
	for (size_t i = 0; i < ARRAY_SIZE(workloads); i++)
		tests[i] = (struct CMUnitTest){ workloads[i].name, test_workload, NULL, NULL,
						(void *)(uintptr_t)&workloads[i] };
	return crash_run("crash: log", tests, ARRAY_SIZE(tests), argc, argv);
}
