/* SPDX-License-Identifier: MIT */
/* A clock that was ahead once, that goes back, that is before 1970: what times are shown, before
 * and after the store is opened again, what the log is stamped with, and what retention makes of
 * it. */
#include "tests/unit/store_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "tests/unit/store_ops.h"

#define SECOND INT64_C(1000000000)
#define HOUR   (3600 * SECOND)
#define RIGHT  (1800000000 * SECOND)		 /* 2027 */
#define AHEAD  (RIGHT + 3650 * 24 * HOUR)	 /* ten years later */
#define BEFORE (-INT64_C(40000) * 1000 * SECOND) /* 1968 */

static uint64_t told_ns;
static unsigned int told;

static void tell(void *arg, uint64_t behind_ns)
{
	told++;
	told_ns = behind_ns;
}

static void open_with(struct store_fixture *f, int64_t retain_ns)
{
	const struct store_config config = {
		.dir_path = f->data_dir,
		.fsync_interval_ns = LOG_WRITER_NEVER,
		.no_background = true,
		.retain_ns = retain_ns,
		.uid = OPS_UID,
		.gid = OPS_GID,
		.umask = 022,
		.clock_behind = tell,
		.io = probe_io(f->probe),
	};
	struct diag diag;

	told = 0;
	assert_int_equal(store_open(&config, &f->s, &diag), 0);
}

static void set_clock(struct store_fixture *f, int64_t ns)
{
	probe_set_clock(f->probe, ns);
}

/* A file that is written now. */
static void write_at(struct store *s, const char *path, const char *value, int64_t ns, bool shown)
{
	const struct timespec ts = { .tv_sec = ns / SECOND - (ns % SECOND < 0),
				     .tv_nsec = (ns % SECOND + SECOND) % SECOND };
	struct node *n;
	uint64_t end;

	if (ops_find(s, path, &n) < 0)
		assert_int_equal(ops_create(s, path, 0644, &n), 0);
	assert_int_equal(store_commit(s, n,
				      &(struct store_content){ .value = value,
							       .bytes = strlen(value),
							       .written_at = ts,
							       .written_at_shown = shown },
				      &end),
			 0);
	store_unpin(s, n, 1);
}

static void make_symlink(struct store *s, const char *name)
{
	const struct store_special special = { .owner.mode = S_IFLNK | 0777, .target = "target" };
	struct node *n;
	uint64_t end;

	assert_int_equal(store_mknod(s, &(struct store_name){ store_root(s), name, strlen(name) },
				     &special, &n, NULL, &end),
			 0);
	store_unpin(s, n, 1);
}

static void make_link(struct store *s, const char *path, const char *name)
{
	struct node *n = ops_find_ok(s, path);
	uint64_t end;

	assert_int_equal(
		store_link(s, n, &(struct store_name){ store_root(s), name, strlen(name) }, &end),
		0);
	store_unpin(s, n, 1);
}

static void set_mode(struct store *s, const char *path)
{
	const struct store_set set = { .which = STORE_SET_MODE, .mode = 0700 };

	assert_int_equal(ops_setattr(s, path, &set), 0);
}

static void set_xattr(struct store *s, const char *path)
{
	struct node *n = ops_find_ok(s, path);
	uint64_t end;

	assert_int_equal(store_setxattr(s, n, &(struct xattr){ "user.a", 6, "b", 1 }, 0, &end), 0);
	store_unpin(s, n, 1);
}

/* --- what is done while the clock is behind, and whose times that changes --- */

static void do_create(struct store *s, int64_t ns)
{
	write_at(s, "new", "v", ns, false);
}
static void do_create_below(struct store *s, int64_t ns)
{
	write_at(s, "d/new", "v", ns, true);
}
static void do_create_empty(struct store *s, int64_t ns)
{
	write_at(s, "new", "", ns, false);
}
static void do_overwrite(struct store *s, int64_t ns)
{
	write_at(s, "d/f", "other", ns, false);
}
static void do_mkdir(struct store *s, int64_t ns)
{
	ops_mkdir_ok(s, "d/new");
}
static void do_symlink(struct store *s, int64_t ns)
{
	make_symlink(s, "new");
}
static void do_link(struct store *s, int64_t ns)
{
	make_link(s, "d/f", "new");
}
static void do_unlink(struct store *s, int64_t ns)
{
	assert_int_equal(ops_unlink(s, "d/f"), 0);
}
static void do_unlink_one(struct store *s, int64_t ns)
{
	assert_int_equal(ops_unlink(s, "d/two"), 0);
}
static void do_unlink_implicit(struct store *s, int64_t ns)
{
	assert_int_equal(ops_unlink(s, "implicit/f"), 0);
}
static void do_rmdir(struct store *s, int64_t ns)
{
	assert_int_equal(ops_rmdir(s, "d/e"), 0);
}
static void do_rename(struct store *s, int64_t ns)
{
	assert_int_equal(ops_rename(s, "d/f", "new", 0), 0);
}
static void do_rename_over(struct store *s, int64_t ns)
{
	assert_int_equal(ops_rename(s, "d/f", "d/two", 0), 0);
}
static void do_rename_dir(struct store *s, int64_t ns)
{
	assert_int_equal(ops_rename(s, "d/e", "new", 0), 0);
}
static void do_rename_new(struct store *s, int64_t ns)
{
	struct node *n;

	assert_int_equal(ops_create(s, "made", 0644, &n), 0);
	assert_int_equal(ops_rename(s, "made", "new", 0), 0);
	store_unpin(s, n, 1);
}
static void do_exchange(struct store *s, int64_t ns)
{
	assert_int_equal(ops_rename(s, "d/f", "d/e", RENAME_EXCHANGE), 0);
}
static void do_chmod(struct store *s, int64_t ns)
{
	set_mode(s, "d/f");
}
static void do_chmod_dir(struct store *s, int64_t ns)
{
	set_mode(s, "d");
}
static void do_xattr(struct store *s, int64_t ns)
{
	set_xattr(s, "d/f");
}
static void do_put(struct store *s, int64_t ns)
{
	assert_int_equal(store_put(s, "p/q/new", 7, "v", 1, NULL), 0);
}
static void do_put_over(struct store *s, int64_t ns)
{
	assert_int_equal(store_put(s, "d/f", 3, "v", 1, NULL), 0);
}
static void do_delete(struct store *s, int64_t ns)
{
	assert_int_equal(store_delete(s, "d/f", 3), 0);
}

static const struct change_case {
	const char *name;
	void (*change)(struct store *s, int64_t ns);
	const char *mtimes, *ctimes; /* of these; "." is the root */
} changes[] = {
	{ "create", do_create, "new .", "new ." },
	{ "create below", do_create_below, "d/new d", "d/new d" },
	{ "create an empty one", do_create_empty, "new .", "new ." },
	{ "overwrite", do_overwrite, "d/f", "d/f" },
	{ "mkdir", do_mkdir, "d/new d", "d/new d" },
	{ "symlink", do_symlink, "new .", "new ." },
	{ "link", do_link, ".", "new d/f ." },
	{ "unlink", do_unlink, "d", "d" },
	{ "unlink one of two names", do_unlink_one, "d", "d two" },
	{ "unlink in an implicit directory", do_unlink_implicit, "implicit", "implicit" },
	{ "rmdir", do_rmdir, "d", "d" },
	{ "rename", do_rename, "d .", "new d ." },
	{ "rename over one of two names", do_rename_over, "d", "d/two two d" },
	{ "rename a directory", do_rename_dir, "d .", "new d ." },
	{ "rename a new file", do_rename_new, "new .", "new ." },
	{ "exchange", do_exchange, "d", "d/f d/e d" },
	{ "chmod", do_chmod, "", "d/f" },
	{ "chmod of a directory", do_chmod_dir, "", "d" },
	{ "xattr", do_xattr, "", "d/f" },
	{ "put", do_put, "p/q/new p/q p .", "p/q/new p/q p ." },
	{ "put over", do_put_over, "d/f", "d/f" },
	{ "delete", do_delete, "d", "d" },
};

static struct timespec time_of(struct store *s, const char *path, bool mtime)
{
	struct store_attr attr;

	if (strcmp(path, ".") == 0)
		store_getattr(s, store_root(s), &attr);
	else
		attr = ops_attr_ok(s, path);
	return mtime ? attr.mtime : attr.ctime;
}

static void assert_times(struct store *s, const char *paths, bool mtime, int64_t want_ns)
{
	char *copy = strdup(paths), *rest = copy, *path;

	assert_non_null(copy);
	while ((path = strsep(&rest, " ")) != NULL && *path != '\0') {
		struct timespec got = time_of(s, path, mtime);

		if (got.tv_sec * SECOND + got.tv_nsec != want_ns)
			fail_msg("%s of %s: %ld.%09ld", mtime ? "mtime" : "ctime", path,
				 (long)got.tv_sec, got.tv_nsec);
	}
	free(copy);
}

static void make_tree(struct store *s, int64_t ns)
{
	ops_mkdir_ok(s, "d");
	ops_mkdir_ok(s, "d/e");
	write_at(s, "d/f", "v", ns, false);
	write_at(s, "two", "v", ns, false);
	make_link(s, "two", "link");
	assert_int_equal(ops_rename(s, "link", "d/two", 0), 0);
	assert_int_equal(store_put(s, "implicit/f", 10, "v", 1, NULL), 0);
}

static void check_change(struct store_fixture *f, int64_t before_ns, int64_t now_ns)
{
	const struct change_case *c = f->row;
	char *want, *got;

	set_clock(f, before_ns);
	open_with(f, 0);
	make_tree(f->s, before_ns);
	set_clock(f, now_ns);
	c->change(f->s, now_ns);
	assert_times(f->s, c->mtimes, true, now_ns);
	assert_times(f->s, c->ctimes, false, now_ns);
	want = dump_attributes(f->s, true);
	fixture_close_store(f);
	open_with(f, 0);
	got = dump_attributes(f->s, true);
	assert_string_equal(got, want);
	free(want);
	free(got);
}

static void test_ahead_once(void **state)
{
	check_change(*state, AHEAD, RIGHT);
}

static void test_back_a_little(void **state)
{
	check_change(*state, RIGHT, RIGHT - SECOND / 2);
}

static void test_before_1970(void **state)
{
	check_change(*state, BEFORE, BEFORE + HOUR);
}

/* --- timestamps --- */

static uint64_t last_ns(struct store_fixture *f)
{
	struct store_stats stats;

	store_stats(f->s, &stats);
	return stats.log.last_timestamp_ns;
}

static uint64_t behind_ns(struct store_fixture *f)
{
	struct store_stats stats;

	store_stats(f->s, &stats);
	return stats.clock_behind_ns;
}

/* A time that somebody has given a file is none of the log's. */
static void test_future_mtime(void **state)
{
	struct store_fixture *f = *state;

	set_clock(f, RIGHT);
	open_with(f, 0);
	write_at(f->s, "a", "v", AHEAD, false);
	assert_true(last_ns(f) < (uint64_t)RIGHT + 1000);
	assert_times(f->s, "a", true, AHEAD);
	assert_times(f->s, "a", false, RIGHT);
	write_at(f->s, "b", "", AHEAD, true);
	write_at(f->s, "c", "v", RIGHT - SECOND, true);
	assert_true(last_ns(f) < (uint64_t)RIGHT + 1000);
	fixture_close_store(f);
	open_with(f, 0);
	assert_times(f->s, "a b", true, AHEAD);
	assert_times(f->s, "a b", false, RIGHT);
	assert_times(f->s, "c", true, RIGHT - SECOND);
}

/* They rise, whatever the clock does, and it is told once how far the clock is behind. */
static void test_told(void **state)
{
	struct store_fixture *f = *state;
	uint64_t last;

	set_clock(f, AHEAD);
	open_with(f, 0);
	ops_mkdir_ok(f->s, "a");
	assert_int_equal(told, 0);
	assert_int_equal(behind_ns(f), 0);
	last = last_ns(f);
	set_clock(f, RIGHT);
	ops_mkdir_ok(f->s, "b");
	ops_mkdir_ok(f->s, "c");
	assert_int_equal(told, 1);
	assert_int_equal(told_ns, AHEAD - RIGHT);
	assert_true(behind_ns(f) >= (uint64_t)(AHEAD - RIGHT));
	assert_true(last_ns(f) > last && last_ns(f) < last + 100);
	set_clock(f, RIGHT + HOUR);
	ops_mkdir_ok(f->s, "d");
	assert_int_equal(told, 1);
	set_clock(f, RIGHT); /* it was set again */
	ops_mkdir_ok(f->s, "e");
	assert_int_equal(told, 2);
	fixture_close_store(f);
	open_with(f, 0); /* the next mount says it, too */
	assert_int_equal(told, 1);
	set_clock(f, AHEAD + HOUR);
	ops_mkdir_ok(f->s, "f");
	assert_int_equal(told, 1);
	assert_int_equal(behind_ns(f), 0);
	assert_int_equal(last_ns(f), AHEAD + HOUR);
}

/* --- retention --- */

static void churn(struct store_fixture *f, int64_t ns)
{
	static char large[300000];

	memset(large, 'x', sizeof(large) - 1);
	for (int i = 0; i < 5; i++)
		write_at(f->s, "large", large, ns, true);
	assert_int_equal(store_rotate(f->s), 0);
}

static uint64_t compacted(struct store_fixture *f)
{
	struct store_stats stats;

	assert_int_equal(store_compact(f->s, NULL, NULL), 0);
	store_stats(f->s, &stats);
	return stats.compaction.gained_bytes;
}

static int64_t real_clock(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * SECOND + ts.tv_nsec;
}

/* The log is ahead of the clock, but its files say when they were written. */
static void test_retained(void **state)
{
	struct store_fixture *f = *state;
	int64_t now_ns = real_clock();

	set_clock(f, now_ns + 3650 * 24 * HOUR);
	open_with(f, 2 * HOUR);
	ops_mkdir_ok(f->s, "a");
	set_clock(f, now_ns);
	churn(f, now_ns);
	set_clock(f, now_ns + HOUR);
	assert_int_equal(compacted(f), 0);
	set_clock(f, now_ns + 3 * HOUR);
	assert_true(compacted(f) > 0);
}

/* A file from when the clock was ahead is older than the one behind it. */
static void test_retained_from_ahead(void **state)
{
	struct store_fixture *f = *state;
	int64_t now_ns = real_clock();
	const struct timespec ahead[2] = { { .tv_sec = now_ns / SECOND + 3650L * 24 * 3600 },
					   { .tv_sec = now_ns / SECOND + 3650L * 24 * 3600 } };
	const char *first = unit_path("%s/000001.data", f->data_dir);

	set_clock(f, now_ns + 3650 * 24 * HOUR);
	open_with(f, 2 * HOUR);
	churn(f, now_ns + 3650 * 24 * HOUR);
	set_clock(f, now_ns);
	assert_int_equal(store_sync(f->s), 0);
	assert_int_equal(utimensat(AT_FDCWD, first, ahead, 0), 0);
	assert_int_equal(compacted(f), 0); /* nothing says that it is old */
	ops_mkdir_ok(f->s, "a");
	assert_int_equal(store_rotate(f->s), 0);
	assert_int_equal(store_sync(f->s), 0);
	set_clock(f, now_ns + HOUR);
	assert_int_equal(compacted(f), 0);
	set_clock(f, now_ns + 3 * HOUR);
	assert_true(compacted(f) > 0);
}

int main(void)
{
	static const struct {
		const char *name;
		CMUnitTestFunction fn;
	} clocks[] = {
		{ "ahead once", test_ahead_once },
		{ "back a little", test_back_a_little },
		{ "before 1970", test_before_1970 },
	};
	static const struct CMUnitTest fixed[] = {
		cmocka_unit_test(test_future_mtime),
		cmocka_unit_test(test_told),
		cmocka_unit_test(test_retained),
		cmocka_unit_test(test_retained_from_ahead),
	};
	static struct CMUnitTest
		tests[ARRAY_SIZE(clocks) * ARRAY_SIZE(changes) + ARRAY_SIZE(fixed)];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(clocks); i++)
		for (size_t j = 0; j < ARRAY_SIZE(changes); j++)
			tests[n++] = (struct CMUnitTest){
				unit_name("%s: %s", clocks[i].name, changes[j].name), clocks[i].fn,
				store_fixture_setup, store_fixture_teardown,
				(void *)(uintptr_t)&changes[j]
			};
	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++) {
		tests[n] = fixed[i];
		tests[n].setup_func = store_fixture_setup;
		tests[n++].teardown_func = store_fixture_teardown;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
