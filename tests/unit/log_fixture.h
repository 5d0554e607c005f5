/* SPDX-License-Identifier: MIT */
/* The common part of the log's tests: a directory, a probed 'struct io' and a writer.  If a helper
 * fails, the test fails. */
#ifndef FREYJAFS_TESTS_UNIT_LOG_FIXTURE_H
#define FREYJAFS_TESTS_UNIT_LOG_FIXTURE_H

#include <time.h>

#include "tests/unit/probe.h"
#include "tests/unit/unit.h"
#include "writer/log_writer.h"

#define MS_NS INT64_C(1000000)

struct log_fixture {
	const void *row;  /* the initial state of the test: a row of its table, or NULL */
	char *dir;	  /* owned */
	const char *path; /* of the log: "DIR/db/active.data"; DIR/db does not exist yet */
	char *path_owned;
	struct probe *probe;
	struct log_writer *w; /* NULL: closed */
};

/* cmocka setup and teardown: *state becomes the fixture. */
int log_fixture_setup(void **state);
int log_fixture_teardown(void **state);

/* Opens 'f->path' through the probe. */
void fixture_open(struct log_fixture *f, int64_t fsync_interval_ns, int64_t buffer_size_bytes);
int fixture_try_open(struct log_fixture *f, struct log_recovery *ret_recovery, struct diag *diag);
void fixture_close(struct log_fixture *f);
/* Drops the writer as a dying process would: closed with every sync and write failing. */
void fixture_kill(struct log_fixture *f);

/* Puts two strings.  Returns the offset. */
uint64_t fixture_put(struct log_fixture *f, const char *key, const char *value);
struct unit_file fixture_file(const struct log_fixture *f);
struct log_writer_stats fixture_stats(struct log_fixture *f);

/* The path of a file beside the log. */
const char *fixture_beside(const struct log_fixture *f, const char *name);

/* Checks that the log is whole records to its last byte, with strictly increasing timestamps.
 * Returns how many. */
size_t assert_log_whole(const struct unit_file *log);

/* Polls until 'condition'; gives up after WAIT_SECONDS, which are many because a loaded machine may
 * leave a background thread without a processor for long.  No test waits for a time to pass, only
 * for a thing to happen. */
#define WAIT_SECONDS 120
#define WAIT_FOR(condition)                                                                \
	do {                                                                               \
		const time_t wait_until = monotonic_seconds() + WAIT_SECONDS;              \
		while (!(condition)) {                                                     \
			if (monotonic_seconds() > wait_until)                              \
				fail_msg("waited %d s for: %s", WAIT_SECONDS, #condition); \
			sleep_ms(1);                                                       \
		}                                                                          \
	} while (0)

time_t monotonic_seconds(void);
void sleep_ms(int ms);

#endif
