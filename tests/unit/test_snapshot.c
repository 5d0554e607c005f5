/* SPDX-License-Identifier: MIT */
/* A store that is only read: beside the one who writes it, and as it was at an earlier time. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/sim/faultio.h"
#include "tests/unit/store_fixture.h"
#include "tests/unit/store_ops.h"
#include "tests/unit/unit.h"
#include "writer/log/file_set.h"
#include "writer/log/segments.h"
#include "writer/store/for_background.h"

#define SEGMENT_BYTES 1024
#define STEPS	      40

static void open_writer(struct store_fixture *f)
{
	const struct store_config config = {
		.dir_path = f->data_dir,
		.fsync_interval_ns = LOG_WRITER_NEVER,
		.segment_size_bytes = SEGMENT_BYTES,
		.uid = OPS_UID,
		.gid = OPS_GID,
		.umask = 022,
		.no_background = true,
	};

	assert_int_equal(store_open(&config, &f->s, NULL), 0);
}

static int open_reader(const struct store_fixture *f, uint64_t until_ns, struct io *io,
		       struct store **ret, struct diag *diag)
{
	const struct store_config config = {
		.dir_path = f->data_dir,
		.read_only = true,
		.until_ns = until_ns,
		.uid = OPS_UID,
		.gid = OPS_GID,
		.umask = 022,
		.io = io,
	};

	return store_open(&config, ret, diag);
}

static struct store *open_reader_ok(const struct store_fixture *f, uint64_t until_ns)
{
	struct store *s;
	struct diag diag;
	int err = open_reader(f, until_ns, NULL, &s, &diag);

	if (err < 0)
		fail_msg("store_open: %s: %s", strerror(-err), diag.text);
	return s;
}

/* --- nothing is changed --- */

static void test_refuses_changes(void **state)
{
	struct store_fixture *f = *state;
	struct store *s;
	struct diag diag;
	uint64_t end;

	assert_int_equal(open_reader(f, 0, NULL, &s, &diag), -ENOENT);
	assert_false(unit_exists(f->data_dir));
	open_writer(f);
	ops_write_ok(f->s, "a", "one");
	s = open_reader_ok(f, 0);
	end = store_end(s);
	assert_tree(s, "f a=one");
	assert_int_equal(store_put(s, "b", 1, "x", 1, NULL), -EROFS);
	assert_int_equal(store_delete(s, "a", 1), -EROFS);
	assert_int_equal(ops_write(s, "a", "two"), -EROFS);
	assert_int_equal(ops_mkdir(s, "d"), -EROFS);
	assert_int_equal(ops_rename(s, "a", "b", 0), -EROFS);
	assert_int_equal(ops_unlink(s, "a"), -EROFS);
	assert_int_equal(store_rotate(s), -EROFS);
	assert_int_equal(store_sync(s), 0);
	assert_int_equal(store_end(s), end);
	assert_int_equal(store_close(s), 0);
	ops_write_ok(f->s, "a", "two"); /* the writer never noticed */
}

static void test_leaves_a_torn_tail(void **state)
{
	struct store_fixture *f = *state;
	struct unit_file log = make_log("p:a=1 p:b=2 t:a p:c=3");
	struct store *s;

	plant_log(f, log.data, log.bytes - 1);
	s = open_reader_ok(f, 0);
	assert_tree(s, "f b=2");
	assert_int_equal(store_close(s), 0);
	assert_int_equal(unit_file_bytes(f->log_path), log.bytes - 1);
	assert_false(unit_exists(unit_path("%s/quarantine", f->data_dir)));
	assert_false(unit_exists(unit_path("%s/lock", f->data_dir)));
	assert_false(unit_exists(unit_path("%s/reserve", f->data_dir)));
	assert_false(unit_exists(unit_path("%s/active.synced", f->data_dir)));
	free(log.data);
}

static void test_damage_is_refused(void **state)
{
	struct store_fixture *f = *state;
	struct unit_file file;
	struct store *s;
	struct diag diag;

	open_writer(f);
	for (int i = 0; i < 20; i++)
		ops_write_ok(f->s, "a", "some value that takes a few bytes of the segment");
	fixture_close_store(f);
	file = unit_read_file(unit_path("%s/000001.data", f->data_dir));
	file.data[30] ^= 1;
	unit_write_file(unit_path("%s/000001.data", f->data_dir), file.data, file.bytes);
	free(file.data);
	(void)unlink(unit_path("%s/000001.hint", f->data_dir));
	assert_int_equal(open_reader(f, 0, NULL, &s, &diag), -EBADMSG);
	assert_non_null(strstr(diag.text, "000001.data"));
	assert_int_equal(unlink(unit_path("%s/000001.data", f->data_dir)), 0);
	assert_int_equal(open_reader(f, 0, NULL, &s, &diag), -EBADMSG);
	assert_non_null(strstr(diag.text, "is missing"));
}

/* --- until a time --- */

/* One change of many kinds; each is one commit or none. */
static void change(struct store *s, int step)
{
	const char *name = unit_path("f%d", step % 5);

	switch (step % 8) {
	case 5:
		(void)!ops_rename(s, name, unit_path("f%d", (step + 2) % 5), 0);
		break;
	case 6:
		(void)!ops_unlink(s, name);
		break;
	case 7:
		(void)!ops_mkdir(s, unit_path("d%d", step));
		break;
	default:
		ops_write_ok(s, name, unit_path("%0200d", step));
	}
}

/* Every state that ever was is found again, at its own time and just before the next one. */
static void test_until(void **state)
{
	struct store_fixture *f = *state;
	char *trees[STEPS];
	uint64_t times[STEPS];
	struct store_stats stats;
	struct store *s;

	open_writer(f);
	for (int i = 0; i < STEPS; i++) {
		change(f->s, i);
		trees[i] = dump_tree(f->s);
		store_stats(f->s, &stats);
		times[i] = stats.log.last_timestamp_ns;
	}
	assert_true(stats.log.segments > 3);
	for (int i = 0; i < STEPS; i++) {
		s = open_reader_ok(f, times[i]);
		assert_tree(s, trees[i]);
		assert_int_equal(store_close(s), 0);
		if (i + 1 == STEPS || times[i + 1] == times[i])
			continue;
		s = open_reader_ok(f, times[i + 1] - 1);
		assert_tree(s, trees[i]);
		assert_int_equal(store_close(s), 0);
	}
	s = open_reader_ok(f, times[0] - 1);
	assert_tree(s, "");
	assert_int_equal(store_close(s), 0);
	/* A reader that uses hints shows the same trees. */
	fixture_close_store(f);
	open_writer(f);
	for (int i = 0; i < STEPS; i++) {
		s = open_reader_ok(f, times[i]);
		assert_tree(s, trees[i]);
		assert_int_equal(store_close(s), 0);
		free(trees[i]);
	}
}

/* A group is there with the time of its last record. */
static void test_until_splits_no_group(void **state)
{
	struct store_fixture *f = *state;
	struct unit_file log = make_log("p:a=1 +D:d p:d/b=2 p:c=3"); /* 1000 ... 1003 */
	static const char *const want[] = { "", "f a=1", "f a=1", "f a=1, d d, f d/b=2",
					    "f a=1, f c=3, d d, f d/b=2" };
	struct store *s;

	plant_log(f, log.data, log.bytes);
	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		s = open_reader_ok(f, 999 + i);
		assert_tree(s, want[i]);
		assert_int_equal(store_close(s), 0);
	}
	free(log.data);
}

/* --- beside a writer --- */

/* An io that does something to the directory just before one of its opens. */
struct meddling {
	struct io io;
	struct io_ops ops;
	struct store_fixture *f;
	int opens, meddle_at;
	int kind;
};

static void meddle(struct meddling *m)
{
	struct unit_file copy;

	switch (m->kind) {
	case 0: /* seal the active segment, and go on */
		assert_int_equal(store_rotate(m->f->s), 0);
		ops_write_ok(m->f->s, "late", "after the rotation");
		break;
	case 1: /* as each change of the set of files does */
		copy = unit_read_file(unit_path("%s/MANIFEST", m->f->data_dir));
		unit_write_file(unit_path("%s/new", m->f->data_dir), copy.data, copy.bytes);
		assert_int_equal(rename(unit_path("%s/new", m->f->data_dir),
					unit_path("%s/MANIFEST", m->f->data_dir)),
				 0);
		free(copy.data);
		break;
	case 2: /* fold what there is */
		for (int i = 0; i < 40; i++) {
			ops_mkdir_ok(m->f->s, "a directory that comes and goes");
			assert_int_equal(ops_rmdir(m->f->s, "a directory that comes and goes"), 0);
		}
		assert_int_equal(store_compact(m->f->s, NULL, NULL), 0);
		break;
	case 3: /* the rotated segments are sealed */
		assert_int_equal(log_writer_seal(store_parts(m->f->s).log), 0);
		break;
	default: /* one change more */
		ops_write_ok(m->f->s, "late", "a change");
	}
}

static int meddling_open(struct io *io, int dir_fd, const char *path, int flags, mode_t mode)
{
	struct meddling *m = (struct meddling *)(void *)io;

	if (m->opens++ == m->meddle_at)
		meddle(m);
	return io_posix.ops->open(&io_posix, dir_fd, path, flags, mode);
}

/* A reader shows the tree before or after a change that a writer makes between two of its opens. */
static void test_beside_a_writer(void **state)
{
	struct store_fixture *f = *state;
	struct meddling m = { .f = f };
	struct store *s;
	struct diag diag;
	struct store_stats stats;
	char *before, *after, *seen, large[SEGMENT_BYTES] = "";

	m.ops = *io_posix.ops;
	m.ops.open = meddling_open;
	m.io.ops = &m.ops;
	open_writer(f);
	for (int i = 0; i < STEPS; i++)
		change(f->s, i);
	memset(large, 'x', sizeof(large) - 1);
	for (m.kind = 0; m.kind < 5; m.kind++) {
		for (m.meddle_at = 0; m.meddle_at < 60; m.meddle_at++) {
			for (int i = 0; i < 4 && m.kind == 3; i++)
				ops_write_ok(f->s, "large", large); /* each fills one */
			ops_write_ok(f->s, "late", unit_path("%d", m.meddle_at));
			before = dump_tree(f->s);
			m.opens = 0;
			assert_int_equal(open_reader(f, 0, &m.io, &s, &diag), 0);
			after = dump_tree(f->s);
			seen = dump_tree(s);
			if (strcmp(seen, before) != 0)
				assert_string_equal(seen, after);
			assert_int_equal(store_close(s), 0);
			free(before);
			free(after);
			free(seen);
		}
	}
	store_stats(f->s, &stats);
	assert_in_range(stats.compaction.folds, 5, 60);
}

static uint64_t segment_count(struct store_fixture *f)
{
	struct store_stats stats;

	store_stats(f->s, &stats);
	return stats.log.segments - 1;
}

/* A MANIFEST that was replaced after it was read makes the reader begin again, so that it never
 * takes a mix of old and new files for a log. */
static void test_begins_again(void **state)
{
	struct store_fixture *f = *state;
	struct meddling m = { .f = f, .kind = 1, .meddle_at = -1 };
	struct store *s;
	int undisturbed;

	m.ops = *io_posix.ops;
	m.ops.open = meddling_open;
	m.io.ops = &m.ops;
	open_writer(f);
	for (int i = 0; i < STEPS; i++)
		change(f->s, i);
	assert_int_equal(open_reader(f, 0, &m.io, &s, NULL), 0);
	assert_int_equal(store_close(s), 0);
	undisturbed = m.opens;
	m.opens = 0;
	/* The directory twice, MANIFEST twice, active.data, the segments, each at least once. */
	m.meddle_at = 4 + (int)segment_count(f);
	assert_int_equal(open_reader(f, 0, &m.io, &s, NULL), 0);
	assert_int_equal(store_close(s), 0);
	assert_true(m.opens > undisturbed + 4);
}

/* An 'io' whose listings leave one name out. */
struct listing {
	struct io io;
	struct io_ops ops;
	const char *hidden;
	io_list_fn fn;
	void *arg;
};

static int show_others(void *arg, const char *name)
{
	struct listing *l = arg;

	return strcmp(name, l->hidden) == 0 ? 0 : l->fn(l->arg, name);
}

static int list_others(struct io *io, int dir_fd, io_list_fn fn, void *arg)
{
	struct listing *l = (struct listing *)(void *)io;

	l->fn = fn;
	l->arg = arg;
	return io_posix.ops->list(&io_posix, dir_fd, show_others, l);
}

/* MANIFEST says what the log is: one listing need not show a file that gets another name at that
 * moment. */
static void test_incomplete_listing(void **state)
{
	struct store_fixture *f = *state;
	struct listing l = { .ops = *io_posix.ops };
	char *tree, hidden[SEGMENT_NAME_BYTES];
	struct store *s;
	struct diag diag;

	l.ops.list = list_others;
	l.io.ops = &l.ops;
	l.hidden = hidden;
	open_writer(f);
	for (int i = 0; i < STEPS; i++)
		change(f->s, i);
	assert_int_equal(store_rotate(f->s), 0);
	tree = dump_tree(f->s);
	assert_true(segment_count(f) > 3);
	for (uint64_t number = 1; number <= segment_count(f); number++) {
		segment_name((struct segment_id){ number, 1 }, hidden);
		assert_int_equal(open_reader(f, 0, &l.io, &s, &diag), 0);
		assert_string_equal(diag.text, "");
		assert_tree(s, tree);
		assert_int_equal(store_close(s), 0);
	}
	free(tree);
}

/* Each call fails: an error, or the store as it is. */
static void test_every_call_fails(void **state)
{
	struct store_fixture *f = *state;
	struct fault_plan plan = {
		.times = 1, .kinds = IOCALL_ALL, .action = FAULT_ERROR, .err = -EIO
	};
	struct faultio *faults = faultio_new(&io_posix);
	uint64_t hits = 1, failed = 0;
	struct store *s;
	char *tree;

	open_writer(f);
	for (int i = 0; i < STEPS; i++)
		change(f->s, i);
	tree = dump_tree(f->s);
	for (plan.at = 1; hits > 0; plan.at++) {
		faultio_set_plan(faults, &plan);
		if (open_reader(f, 0, faultio_io(faults), &s, NULL) == 0) {
			faultio_pause(faults, true);
			assert_tree(s, tree);
			faultio_pause(faults, false);
			assert_int_equal(store_close(s), 0);
		} else {
			failed++;
		}
		hits = faultio_hits(faults);
	}
	assert_true(failed > 10);
	free(tree);
	faultio_free(faults);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, store_fixture_setup, store_fixture_teardown)
		TEST(test_refuses_changes),	  TEST(test_leaves_a_torn_tail),
		TEST(test_damage_is_refused),	  TEST(test_until),
		TEST(test_until_splits_no_group), TEST(test_beside_a_writer),
		TEST(test_begins_again),	  TEST(test_incomplete_listing),
		TEST(test_every_call_fails),
	};

	return unit_run("snapshot", tests, ARRAY_SIZE(tests));
}
