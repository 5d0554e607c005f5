/* SPDX-License-Identifier: MIT */
#include "tests/unit/log_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int log_fixture_setup(void **state)
{
	struct log_fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->row = *state;
	f->dir = unit_tmpdir();
	if (asprintf(&f->path_owned, "%s/db/active.data", f->dir) < 0)
		abort();
	f->path = f->path_owned;
	f->probe = probe_new();
	*state = f;
	return 0;
}

int log_fixture_teardown(void **state)
{
	struct log_fixture *f = *state;

	probe_open_gate(f->probe);
	if (f->w != NULL && log_writer_close(f->w) < 0)
		print_message("the writer could not be closed\n"); /* the test said why */
	probe_free(f->probe);
	unit_tmpdir_remove(f->dir);
	free(f->path_owned);
	free(f);
	return 0;
}

void fixture_open(struct log_fixture *f, int64_t fsync_interval_ns, int64_t buffer_size_bytes)
{
	struct log_writer_config config = {
		.file_path = f->path,
		.fsync_interval_ns = fsync_interval_ns,
		.buffer_size_bytes = buffer_size_bytes,
		.io = probe_io(f->probe),
	};
	struct diag diag;
	int err = log_writer_open(&config, &f->w, &diag);

	if (err < 0)
		fail_msg("log_writer_open: %s: %s", strerror(-err), diag.text);
}

int fixture_try_open(struct log_fixture *f, struct log_recovery *ret_recovery, struct diag *diag)
{
	struct log_writer_config config = {
		.file_path = f->path,
		.fsync_interval_ns = LOG_WRITER_NEVER,
		.io = probe_io(f->probe),
	};

	return log_writer_open_replay(&config, NULL, NULL, &f->w, ret_recovery, diag);
}

void fixture_close(struct log_fixture *f)
{
	struct log_writer *w = f->w;

	f->w = NULL;
	assert_int_equal(log_writer_close(w), 0);
}

void fixture_kill(struct log_fixture *f)
{
	struct log_writer_stats stats = fixture_stats(f);
	struct log_writer *w = f->w;

	f->w = NULL;
	probe_fail(f->probe,
		   stats.written_position < stats.end_position ? IOCALL_WRITEV : IOCALL_FDATASYNC,
		   FAULT_FOR_EVER, -EIO);
	assert_true(log_writer_close(w) <= 0);
	probe_heal(f->probe);
}

uint64_t fixture_put(struct log_fixture *f, const char *key, const char *value)
{
	uint64_t offset;

	assert_int_equal(log_writer_put(f->w, key, (uint32_t)strlen(key), value,
					(uint32_t)strlen(value), &offset),
			 0);
	return offset;
}

struct unit_file fixture_file(const struct log_fixture *f)
{
	return unit_read_file(f->path);
}

struct log_writer_stats fixture_stats(struct log_fixture *f)
{
	struct log_writer_stats stats;

	log_writer_stats(f->w, &stats);
	return stats;
}

const char *fixture_beside(const struct log_fixture *f, const char *name)
{
	return unit_path("%s/db/%s", f->dir, name);
}

size_t assert_log_whole(const struct unit_file *log)
{
	struct record_scan_result got;
	uint64_t offset = 0, last_ns = 0;
	size_t count = 0;

	while (offset < log->bytes) {
		uint64_t left = log->bytes - offset;

		if (record_scan(log->data + offset, left, left, &got) != RECORD_WHOLE)
			fail_msg("offset %lu: %s", offset, record_reason_text(got.reason));
		assert_true(got.rec.timestamp_ns > last_ns);
		last_ns = got.rec.timestamp_ns;
		offset += got.bytes;
		count++;
	}
	return count;
}

time_t monotonic_seconds(void)
{
	struct timespec now;

	assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
	return now.tv_sec;
}

void sleep_ms(int ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * MS_NS };

	nanosleep(&ts, NULL);
}
