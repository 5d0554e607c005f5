/* SPDX-License-Identifier: MIT */
/* The line that a terminal shows while a store is being loaded, and what a store tells for it. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "writer/base/progress.h"
#include "writer/store.h"

static uint64_t clock_ns;

static uint64_t fake_now(void)
{
	return clock_ns;
}

/* A file that is taken for a terminal. */
static void begin(struct progress *p, const char *dir, int *ret_fd)
{
	*ret_fd = open(unit_path("%s/tty", dir), O_RDWR | O_CREAT | O_TRUNC, 0600);
	assert_true(*ret_fd >= 0);
	progress_begin(p, *ret_fd, "freyjafs: DIR: loading");
	assert_int_equal(p->fd, -1); /* it is none */
	p->fd = *ret_fd;
	p->now_ns = fake_now;
	clock_ns = 0;
	p->next_ns = 1000000000;
}

static void assert_shown(const char *dir, const char *want)
{
	struct unit_file f = unit_read_file(unit_path("%s/tty", dir));

	assert_int_equal(f.bytes, strlen(want));
	assert_memory_equal(f.data, want, f.bytes);
	free(f.data);
}

/* Nothing for a second, then the line, and again five times a second; at the end it is wiped. */
static void test_slow(void **state)
{
	struct progress p;
	int fd;

	begin(&p, *state, &fd);
	clock_ns = 999999999;
	progress_show(&p, 10, 100);
	assert_shown(*state, "");
	clock_ns = 1000000000;
	progress_show(&p, 20, 100);
	clock_ns = 1199999999;
	progress_show(&p, 30, 100);
	assert_shown(*state, "\r\033[Kfreyjafs: DIR: loading, 20 %");
	clock_ns = 1200000000;
	progress_show(&p, 100, 100);
	progress_end(&p);
	assert_shown(*state, "\r\033[Kfreyjafs: DIR: loading, 20 %"
			     "\r\033[Kfreyjafs: DIR: loading, 100 %\r\033[K");
	(void)close(fd);
}

static void test_quick(void **state)
{
	struct progress p;
	int fd;

	begin(&p, *state, &fd);
	clock_ns = 500000000;
	progress_show(&p, 100, 100);
	progress_end(&p);
	assert_shown(*state, "");
	(void)close(fd);
}

static void test_no_terminal(void **state)
{
	struct progress p;
	int fd;

	begin(&p, *state, &fd);
	p.fd = -1;
	clock_ns = UINT64_C(5000000000);
	progress_show(&p, 50, 100);
	progress_end(&p);
	assert_shown(*state, "");
	(void)close(fd);
}

/* --- what the store tells --- */

struct told {
	size_t count;
	uint64_t done, all;
};

static void on_progress(void *arg, uint64_t done_bytes, uint64_t all_bytes)
{
	struct told *t = arg;

	assert_true(done_bytes >= t->done);
	assert_true(done_bytes < all_bytes);
	assert_true(t->count == 0 || t->all == all_bytes);
	t->count++;
	t->done = done_bytes;
	t->all = all_bytes;
}

static struct store *open_store(const char *dir, struct told *told)
{
	struct store_config config = {
		.dir_path = unit_path("%s/data", dir),
		.fsync_interval_ns = LOG_WRITER_NEVER,
		.segment_size_bytes = 16384,
		.no_background = true,
		.progress = told == NULL ? NULL : on_progress,
		.progress_arg = told,
	};
	struct store *s = NULL;

	assert_int_equal(store_open(&config, &s, NULL), 0);
	return s;
}

/* It goes forward over all segments, with hints and without, and ends close to the end. */
static void test_store(void **state)
{
	const char *dir = *state;
	uint64_t all;
	struct store *s = open_store(dir, NULL);

	for (unsigned int i = 0; i < 2000; i++)
		assert_int_equal(store_put(s, unit_path("key%u", i), strlen(unit_path("key%u", i)),
					   "a value", 7, NULL),
				 0);
	all = store_end(s);
	assert_int_equal(store_close(s), 0);
	for (int round = 0; round < 2; round++) { /* the second one has hints of all */
		struct told told = { 0 };

		s = open_store(dir, &told);
		assert_true(told.count > 100);
		assert_int_equal(told.all, all);
		assert_true(told.done > all - 1000);
		assert_int_equal(store_close(s), 0);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		{ "longer than a second", test_slow, unit_setup_tmpdir, unit_teardown_tmpdir,
		  NULL },
		{ "a short time", test_quick, unit_setup_tmpdir, unit_teardown_tmpdir, NULL },
		{ "no terminal", test_no_terminal, unit_setup_tmpdir, unit_teardown_tmpdir, NULL },
		{ "what the store tells", test_store, unit_setup_tmpdir, unit_teardown_tmpdir,
		  NULL },
	};

	return unit_run("progress", tests, ARRAY_SIZE(tests));
}
