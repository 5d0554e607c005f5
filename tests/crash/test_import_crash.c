/* SPDX-License-Identifier: MIT */
/* An import: after a power cut at any call, on a full disk, or after the failure of any call, the
 * store has the first entries of the archive, each of them whole. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/crash/crash.h"
#include "tests/sim/archives.h"
#include "tests/sim/faultio.h"
#include "tests/sim/tree.h"

#define DATADIR	     "/data"
#define ROWS_MAX     40
#define BUFFER_BYTES 4096 /* less than that of freyjactl, so that it is written often */
#define IMAGES	     4

static const struct workload {
	const char *name, *fault_name;
	uint64_t room_bytes; /* on the disk, once the store is open; 0: no limit */
	struct archive_row rows[ROWS_MAX];
} workloads[] = {
	{ "a tree",
	  "a tree, and calls that fail",
	  0,
	  { { 'd', "d" },
	    { 'f', "d/a", NULL, 100 },
	    { 'f', "d/b", NULL, 5000, "8 bytes." },
	    { 'd', "d/e" },
	    { 'f', "d/e/c", NULL, 0 },
	    { 'f', "d/e/d", NULL, 3000 },
	    { 'l', "l", "d/a" },
	    { 'h', "d/e/h", "d/b" },
	    { 'p', "p" },
	    { 'h', "q", "p" },
	    { 'f', "z", NULL, 9000 },
	    { 'd', "." } } },
	{ "files that replace others",
	  "files that replace others, and calls that fail",
	  0,
	  { { 'f', "a", NULL, 900 },
	    { 'f', "k", NULL, 900 }, /* so that a tree without "a" is not one of the trees before */
	    { 'f', "a", NULL, 4000 },
	    { 'f', "b", NULL, 30 },
	    { 'h', "b", "a" },
	    { 'f', "a", NULL, 20, "8 bytes." },
	    { 'l', "a", "b" },
	    { 'f', "a", NULL, 7000 },
	    { 'f', "b", NULL, 0 } } },
	{ "a large file",
	  "a large file, and calls that fail",
	  0,
	  { { 'f', "a", NULL, 10 }, { 'f', "b", NULL, 1500000 }, { 'f', "c", NULL, 10 } } },
	{ "a full disk",
	  NULL,
	  60000,
	  { { 'f', "a", NULL, 9000 },
	    { 'f', "b", NULL, 9000 },
	    { 'f', "c", NULL, 9000 },
	    { 'f', "a", NULL, 8000 },
	    { 'f', "d", NULL, 9000 },
	    { 'f', "e", NULL, 9000 },
	    { 'f', "f", NULL, 9000 },
	    { 'f', "g", NULL, 9000 } } },
};

struct run {
	const struct workload *workload;
	struct store *s;
	struct crash_recorder recorder;
	char *snapshots[ROWS_MAX + 1]; /* after so many entries */
	uint64_t entries;
};

static int open_store(struct io *io, struct store **ret, struct diag *diag)
{
	const struct store_config config = {
		.dir_path = DATADIR,
		.fsync_interval_ns = LOG_WRITER_NEVER,
		.buffer_size_bytes = BUFFER_BYTES,
		.no_background = true,
		.uid = TREE_UID,
		.gid = TREE_GID,
		.umask = TREE_UMASK,
		.holder = "the crash test",
		.io = io,
	};

	return store_open(&config, ret, diag);
}

/* The tree without the file that is about to replace another one. */
static char *state_of(struct store *s, int *ret_err)
{
	char *text = tree_text(s, false, ret_err), *line, *end;

	line = text == NULL ? NULL : strstr(text, IMPORT_TEMPORARY_NAME);
	if (line == NULL)
		return text;
	while (line > text && line[-1] != '\n')
		line--;
	end = strchr(line, '\n');
	memmove(line, end + 1, strlen(end + 1) + 1);
	return text;
}

static void before(void *arg, uint64_t entry)
{
	struct run *run = arg;

	atomic_store(&run->recorder.now[0].issued, entry + 1);
}

static void after(void *arg, uint64_t entry, int err)
{
	struct run *run = arg;
	int state_err = 0;

	if (err < 0) {
		assert_true(err == -ENOSPC && run->workload->room_bytes > 0);
		return;
	}
	atomic_store(&run->recorder.now[0].returned, entry + 1);
	run->entries = entry + 1;
	run->snapshots[entry + 1] = state_of(run->s, &state_err);
	assert_int_equal(state_err, 0);
}

/* --- the store as a system that crashes --- */

static void *open_system(void *arg, struct simdisk *d, char **ret_state,
			 struct log_recovery *ret_recovery, char why[CRASH_WHY_BYTES])
{
	struct store_stats stats;
	struct store *s = NULL;
	struct diag diag;
	int err = open_store(simdisk_io(d), &s, &diag);

	(void)arg;
	if (err < 0) {
		(void)snprintf(why, CRASH_WHY_BYTES, "open: %s: %s", strerror(-err), diag.text);
		return NULL;
	}
	*ret_state = state_of(s, &err);
	if (err < 0) {
		(void)snprintf(why, CRASH_WHY_BYTES, "reading the tree: %s", strerror(-err));
		(void)!store_close(s); /* the first error is told */
		return NULL;
	}
	store_stats(s, &stats);
	*ret_recovery = stats.recovery;
	return s;
}

static bool is_allowed(void *arg, const char *state,
		       const struct crash_progress progress[CRASH_THREADS_MAX],
		       enum crash_kind kind, char why[CRASH_WHY_BYTES])
{
	const struct run *run = arg;
	const struct crash_progress *p = &progress[0];

	(void)kind; /* bytes in the buffer are lost with the process, too */
	for (uint64_t i = p->synced; i <= p->issued && i <= run->entries; i++)
		if (strcmp(state, run->snapshots[i]) == 0)
			return true;
	(void)snprintf(why, CRASH_WHY_BYTES,
		       "the tree is not that of the first %" PRIu64 " ... %" PRIu64 " entries:\n%s",
		       p->synced, p->issued, state);
	return false;
}

static int go_on(void *arg, void *handle, char **ret_state)
{
	static const struct archive_row rows[] = { { 'f', "afterwards", NULL, 6 }, { 0 } };
	const struct archive_watch watch = { .arg = arg };
	struct archive_bytes archive = archive_make(rows);
	int err = archive_import(handle, &archive, "", &watch), state_err = 0;

	if (err == 0)
		err = store_sync(handle);
	*ret_state = state_of(handle, &state_err);
	free(archive.data);
	return err < 0 ? err : state_err;
}

static int close_system(void *arg, void *handle)
{
	(void)arg;
	return store_close(handle);
}

static void test_import(void **state)
{
	struct crash_options options = crash_options(0, IMAGES);
	struct run run = { .workload = *state };
	const struct archive_watch watch = { .arg = &run, .before = before, .after = after };
	const struct crash_system system = {
		.name = run.workload->name,
		.log_dir = DATADIR,
		.arg = &run,
		.open = open_system,
		.is_allowed = is_allowed,
		.go_on = go_on,
		.close = close_system,
	};
	struct archive_bytes archive = archive_make(run.workload->rows);
	struct simdisk *disk = simdisk_new();
	bool is_limited = run.workload->room_bytes > 0;
	int err;

	crash_record(&run.recorder, disk);
	assert_int_equal(open_store(simdisk_io(disk), &run.s, NULL), 0);
	if (is_limited)
		simdisk_set_capacity(disk, simdisk_used_bytes(disk) + run.workload->room_bytes);
	run.snapshots[0] = state_of(run.s, &err);
	assert_non_null(run.snapshots[0]);
	err = archive_import(run.s, &archive, "", &watch);
	assert_int_equal(err, is_limited ? -ENOSPC : 0);
	err = store_close(run.s);
	if (err == 0)
		atomic_store(&run.recorder.now[0].synced, run.entries);
	assert_true(err == 0 || (is_limited && err == -ENOSPC));
	crash_record_end(&run.recorder, disk);
	crash_check(&system, &run.recorder, &options);
	crash_recorder_free(&run.recorder);
	for (size_t i = 0; i <= run.entries; i++)
		free(run.snapshots[i]);
	simdisk_free(disk);
	free(archive.data);
}

/* --- calls that fail --- */

static const struct fault_plan plans[] = {
	{ .times = 1, .kinds = ~0u, .action = FAULT_ERROR, .err = -EIO },
	{ .times = FAULT_FOR_EVER, .kinds = ~0u, .action = FAULT_ERROR, .err = -EIO },
	{ .times = 1, .kinds = ~0u, .action = FAULT_PARTIAL, .err = -ENOSPC },
};

static void note_entry(void *arg, uint64_t entry, int err)
{
	uint64_t *entries = arg;

	if (err == 0)
		*entries = entry + 1;
}

/* Imports while call 'plan->at' fails, and compares the store afterwards.  Returns false if no call
 * was hit. */
static bool import_with_fault(struct run *run, const struct archive_bytes *archive,
			      const struct fault_plan *plan)
{
	struct simdisk *disk = simdisk_new();
	struct faultio *faults = faultio_new(simdisk_io(disk));
	uint64_t entries = 0, least;
	const struct archive_watch watch = { .arg = &entries, .after = note_entry };
	struct store *s = NULL;
	bool is_allowed_state = false, is_hit;
	char *state;
	int err, close_err, state_err = 0;

	assert_int_equal(open_store(faultio_io(faults), &s, NULL), 0);
	faultio_set_plan(faults, plan);
	err = archive_import(s, archive, "", &watch);
	close_err = store_close(s);
	is_hit = faultio_hits(faults) > 0;
	least = err == 0 && close_err == 0 ? run->entries : 0;
	assert_int_equal(open_store(simdisk_io(disk), &s, NULL), 0);
	state = state_of(s, &state_err);
	assert_int_equal(state_err, 0);
	for (uint64_t i = least; i <= run->entries; i++)
		is_allowed_state |= strcmp(state, run->snapshots[i]) == 0;
	if (!is_allowed_state)
		fail_msg("call %" PRIu64 " fails: %s: the tree is not that of the first %" PRIu64
			 " ... %" PRIu64 " entries:\n%s",
			 plan->at, strerror(-plan->err), least, run->entries, state);
	free(state);
	assert_int_equal(store_close(s), 0);
	faultio_free(faults);
	simdisk_free(disk);
	return is_hit;
}

static void test_faults(void **state)
{
	struct run run = { .workload = *state };
	const struct archive_watch watch = { .arg = &run, .before = before, .after = after };
	struct archive_bytes archive = archive_make(run.workload->rows);
	struct simdisk *disk = simdisk_new();
	uint64_t calls = 0;
	int err;

	assert_int_equal(open_store(simdisk_io(disk), &run.s, NULL), 0);
	run.snapshots[0] = state_of(run.s, &err);
	assert_int_equal(archive_import(run.s, &archive, "", &watch), 0);
	assert_int_equal(store_close(run.s), 0);
	simdisk_free(disk);
	for (size_t i = 0; i < ARRAY_SIZE(plans); i++) {
		struct fault_plan plan = plans[i];

		for (plan.at = 1; import_with_fault(&run, &archive, &plan); plan.at++)
			calls++;
	}
	assert_in_range(calls, 10 * ARRAY_SIZE(plans), UINT64_MAX);
	for (size_t i = 0; i <= run.entries; i++)
		free(run.snapshots[i]);
	free(archive.data);
}

int main(int argc, char **argv)
{
	static struct CMUnitTest tests[2 * ARRAY_SIZE(workloads)];
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(workloads); i++) {
		const struct workload *w = &workloads[i];

		tests[count++] = (struct CMUnitTest){ w->name, test_import, NULL, NULL,
						      (void *)(uintptr_t)w };
		if (w->room_bytes == 0)
			tests[count++] = (struct CMUnitTest){ w->fault_name, test_faults, NULL,
							      NULL, (void *)(uintptr_t)w };
	}
	return crash_run("crash: import", tests, count, argc, argv);
}
