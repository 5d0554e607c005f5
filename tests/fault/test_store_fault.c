/* SPDX-License-Identifier: MIT */
/* The store, with every call failing in every way: an operation succeeds or changes nothing; the
 * tree in memory is the one that the next open finds; reads go on when writes cannot. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fault/fault.h"
#include "tests/sim/tree_ops.h"
#include "writer/store.h"

#define DATADIR	   "/data"
#define LOG_PATH   DATADIR "/active.data"
#define OPS_MAX	   20
#define STATES_MAX (2 * OPS_MAX)
#define NEVER	   LOG_WRITER_NEVER
#define FULL_LIVE  50000 /* of "change the set of files on a full disk", at most */

struct scenario {
	const char *name;
	bool existing; /* the store has a tree before */
	bool torn;     /* and its log ends in half a record */
	bool open_too; /* opening can fail, too; otherwise only what comes after */
	bool close_too;
	bool compacts;	  /* not every sync is one of the log */
	size_t full_from; /* not 0: before this operation the disk becomes full, to the last byte
			     and inode, and only from then on calls fail */
	int64_t interval_ns, buffer_bytes;
	int64_t segment_bytes;	/* 0: one that is never full */
	int64_t headroom_bytes; /* of head room; if adaptive, in small steps */
	struct tree_op ops[OPS_MAX];
};

/* The tree of an existing store. */
static const struct tree_op before[] = {
	MKDIR("d"),	PUT("d/a", 700),     PUT_AS("d/b", 20, 0600), MKDIR("d/e"),
	PUT("old", 80), KEY_PUT("k/l/m", 9), EMPTY("empty"),
};

static const struct scenario scenarios[] = {
	{ "new store", .open_too = true, .close_too = true, .interval_ns = NEVER },
	{ "existing store", .existing = true, .open_too = true, .close_too = true,
	  .interval_ns = NEVER },
	{ "torn store, one put", .existing = true, .torn = true, .open_too = true,
	  .close_too = true, .ops = { PUT("new", 10) } },
	{ "put and create, durable", .existing = true,
	  .ops = { PUT("old", 300), PUT_AS("new", 50, 0640), EMPTY("d/a"),
		   PUT_SET("d/b", 4, 0700) } },
	{ "pieces, durable", .existing = true, .open_too = true,
	  .ops = { PIECES("old", 300), PIECES("new", 50), SYNC, PIECES("d/a", 20),
		   PUT("new", 5) } },
	{ "pieces, buffer, segments", .existing = true, .interval_ns = NEVER, .buffer_bytes = 600,
	  .segment_bytes = 1024,
	  .ops = { PIECES("old", 2000), PIECES("new", 50), PIECES("d/a", 900), UNLINK("old") } },
	{ "put and create", .existing = true, .interval_ns = NEVER,
	  .ops = { PUT("old", 300), PUT_AS("new", 50, 0640), EMPTY("d/a"),
		   PUT_SET("d/b", 4, 0700) } },
	{ "names, durable", .existing = true,
	  .ops = { MKDIR("n"), RENAME("d", "n/d"), UNLINK("old"), RMDIR("n/d/e"),
		   EXCHANGE("n/d/a", "empty"), BIRTH("tmp", "born"), RENAME("k/l/m", "n/m") } },
	{ "names", .existing = true, .interval_ns = NEVER,
	  .ops = { MKDIR("n"), RENAME("d", "n/d"), UNLINK("old"), RMDIR("n/d/e"),
		   EXCHANGE("n/d/a", "empty"), BIRTH("tmp", "born"), RENAME("n/d/b", "empty"),
		   SYNC } },
	{ "attributes and sync", .existing = true, .interval_ns = LOG_WRITER_INTERVAL_MAX_NS,
	  .ops = { SETATTR("d", 0700), SYNC, SETATTR("old", 0600), SETATTR("k", 0711), SYNC } },
	{ "keys, durable", .existing = true,
	  .ops = { KEY_PUT("k/l/m", 30), KEY_PUT("x/y", 5), KEY_DELETE("k/l/m"),
		   KEY_DELETE("x/y") } },
	{ "links, special files, xattrs", .existing = true, .interval_ns = NEVER,
	  .ops = { LINK("old", "d/link"), SYMLINK("s", "old"), SETXATTR("old"), PUT("d/link", 9),
		   UNLINK("old"), FIFO("p"), RENAME("p", "d/link"), SETXATTR("s"), REMOVEXATTR("s"),
		   BIRTH("tmp", "s") } },
	{ "buffer", .existing = true, .close_too = true, .interval_ns = NEVER, .buffer_bytes = 600,
	  .ops = { PUT("old", 300), PUT_AS("new", 500, 0640), UNLINK("d/a"), SYNC, PUT("d/a", 90),
		   MKDIR("n"), PUT("n/x", 2000), UNLINK("old") } },
	{ "open segments", .existing = true, .open_too = true, .close_too = true,
	  .interval_ns = NEVER, .segment_bytes = 1024, .ops = { PUT("new", 10) } },
	{ "rotate", .existing = true, .interval_ns = NEVER,
	  .ops = { ROTATE, PUT("old", 30), RENAME("d", "n"), ROTATE, ROTATE, PUT("n/a", 5) } },
	{ "rotate when full", .existing = true, .interval_ns = NEVER, .segment_bytes = 1024,
	  .ops = { PUT("old", 700), PUT("d/a", 800), MKDIR("n"), PUT("n/x", 2000), SYNC,
		   UNLINK("old") } },
	{ "head room, durable", .existing = true, .open_too = true, .close_too = true,
	  .headroom_bytes = 2000, .ops = { PUT("old", 700), PUT("d/a", 800), PUT("n", 20) } },
	{ "head room, segments", .existing = true, .interval_ns = NEVER, .segment_bytes = 1024,
	  .headroom_bytes = 2000,
	  .ops = { PUT("old", 700), SYNC, PUT("d/a", 800), SYNC, PUT("n", 20), SYNC } },
	{ "head room, adaptive, durable", .existing = true, .close_too = true,
	  .headroom_bytes = LOG_WRITER_HEADROOM_AUTO,
	  .ops = { PUT("old", 30), PUT("d/a", 800), PUT("n", 20), IDLE, PUT("old", 40),
		   PUT("d/a", 20), PUT("n", 2000), UNLINK("d/b"), IDLE, PUT("d/a", 90) } },
	{ "head room, adaptive, segments", .existing = true, .interval_ns = NEVER,
	  .segment_bytes = 2048, .headroom_bytes = LOG_WRITER_HEADROOM_AUTO,
	  .ops = { PUT("old", 700), SYNC, SYNC, PUT("d/a", 800), SYNC, IDLE, PUT("n", 20), SYNC,
		   SYNC, ROTATE, PUT("old", 50), SYNC, IDLE, SYNC } },
	{ "compact", .existing = true, .compacts = true, .interval_ns = NEVER,
	  .ops = { PUT("old", 700), PATCH("d/a", 200, 300), PUT("d/b", 800), RENAME("old", "n"),
		   ROTATE, PUT("d/b", 5), PATCH("d/a", 100, 300), COMPACT, UNLINK("n"), COMPACT,
		   SYNC } },
	{ "fold", .existing = true, .compacts = true, .interval_ns = NEVER, .segment_bytes = 1024,
	  .ops = { CHURN, COMES_GOES, COMES_GOES, PATCH("d/a", 200, 300), LINK("old", "n"),
		   RENAME("d", "o"), ROTATE, PUT("n", 60), COMPACT, UNLINK("old"), SYNC } },
	{ "fold into several segments", .existing = true, .compacts = true, .interval_ns = NEVER,
	  .segment_bytes = 1024,
	  .ops = { CHURN, PUT("p", 900), PUT("d/q", 800), COMES_GOES, PATCH("d/a", 200, 300),
		   ROTATE, PUT("n", 60), COMPACT, UNLINK("p"), SYNC } },
	{ "change the set of files on a full disk", .existing = true, .compacts = true,
	  .interval_ns = NEVER, .segment_bytes = 65536, .full_from = 6,
	  .ops = { PUT("old", 40000), PUT("d/a", 50000), PUT("n", 60000), PUT("d/b", 30000), SYNC,
		   COMPACT, UNLINK("old"), UNLINK("d/a"), ROTATE, COMPACT, UNLINK("n"), COMPACT,
		   SYNC } },
	{ "rotate when full, durable, buffer", .existing = true, .segment_bytes = 1024,
	  .buffer_bytes = 300, .ops = { PUT("old", 700), PUT("d/a", 800), PUT("n", 20) } },
};

/* --- one run --- */

struct world {
	struct fault_run *run;
	const struct scenario *scenario;
	struct store *store;
	struct model *model;
	char *states[STATES_MAX]; /* the model's tree after each operation that changed it */
	uint64_t state_count;
	uint64_t synced; /* number of the state that is known to be durable */
	uint64_t tag;
	uint64_t failed_steps;
	bool opened;
	bool closed, close_failed;
	bool sync_failed; /* the log's fdatasync(), while the store was open */
	bool read_failed; /* so a segment may count as unreadable */
};

static int open_store(struct world *w, struct io *io, struct diag *diag)
{
	const struct store_config config = {
		.dir_path = DATADIR,
		.fsync_interval_ns = w->scenario->interval_ns,
		.buffer_size_bytes = w->scenario->buffer_bytes,
		.segment_size_bytes = w->scenario->segment_bytes,
		.preallocate_bytes = w->scenario->headroom_bytes,
		.no_background = true,
		.compact_at_percent = w->scenario->full_from > 0 ? 50 : 0,
		.uid = TREE_UID,
		.gid = TREE_GID,
		.umask = TREE_UMASK,
		.holder = "the fault test",
		.io = io,
	};

	int err = store_open(&config, &w->store, diag);

	if (err == 0 && w->scenario->headroom_bytes == LOG_WRITER_HEADROOM_AUTO)
		tree_small_headroom(w->store);
	return err;
}

static void push_state(struct world *w)
{
	assert_true(w->state_count < STATES_MAX);
	w->states[w->state_count++] = model_text(w->model);
}

static const char *last_state(const struct world *w)
{
	return w->states[w->state_count - 1];
}

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

static int wait_for(struct store *s, uint64_t end)
{
	struct waiting wait = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0 };
	int err = store_sync_async(s, end, wake, &wait);

	if (err < 0)
		return err;
	(void)pthread_mutex_lock(&wait.lock);
	while (wait.times == 0)
		(void)pthread_cond_wait(&wait.done, &wait.lock);
	(void)pthread_mutex_unlock(&wait.lock);
	return wait.err;
}

static void prepare(struct world *w)
{
	static const uint8_t half[] = { 1, 2, 3, 4, 5, 0, 0, 0, 200, 0, 0, 0, 9 };
	uint64_t end;
	uint8_t *log;
	size_t bytes;

	w->model = model_new();
	if (w->scenario->existing) {
		assert_int_equal(open_store(w, simdisk_io(w->run->disk), NULL), 0);
		for (size_t i = 0; i < ARRAY_SIZE(before); i++) {
			assert_int_equal(tree_op_do(w->store, &before[i], w->tag, &end), 0);
			assert_int_equal(model_do(w->model, &before[i], w->tag++), 0);
		}
		assert_int_equal(store_close(w->store), 0);
		w->store = NULL;
	}
	push_state(w);
	if (!w->scenario->torn)
		return;
	log = simdisk_read_file(w->run->disk, LOG_PATH, &bytes);
	assert_non_null(log);
	log = realloc(log, bytes + sizeof(half));
	assert_non_null(log);
	memcpy(log + bytes, half, sizeof(half));
	assert_int_equal(simdisk_write_file(w->run->disk, LOG_PATH, log, bytes + sizeof(half)), 0);
	free(log);
}

/* The tree that 's' shows is the model's. */
static void check_tree(struct world *w, struct store *s, const char *want, const char *when)
{
	int err = 0;
	char *got;

	faultio_pause(w->run->io, true);
	got = tree_text(s, false, &err);
	faultio_pause(w->run->io, false);
	FAULT_CHECK(w->run, got != NULL, "%s: reading the tree: %s", when, strerror(-err));
	FAULT_CHECK(w->run, strcmp(got, want) == 0, "%s: the tree is\n%snot\n%s", when, got, want);
	free(got);
}

/* Says whether the store's tree is another than the model's. */
static bool changed(struct world *w)
{
	char *now, *old = model_text(w->model);
	bool same;
	int err = 0;

	faultio_pause(w->run->io, true);
	now = tree_text(w->store, false, &err);
	faultio_pause(w->run->io, false);
	same = now != NULL && strcmp(now, old) == 0;
	free(now);
	free(old);
	return !same;
}

static bool is_full(int err)
{
	return err == -ENOSPC || err == -EDQUOT;
}

static void do_op(struct world *w, const struct tree_op *op)
{
	bool synced =
		op->kind == TREE_SYNC || op->kind == TREE_ROTATE || store_is_synchronous(w->store);
	uint64_t end = 0;
	int err, wait_err = 0;

	err = tree_op_do(w->store, op, w->tag, &end);
	/* By key, the wait is part of the call: the record is in the log even if that fails. */
	if (err < 0 && op->kind != TREE_SYNC && changed(w)) {
		FAULT_CHECK(w->run,
			    synced && (op->kind == TREE_KEY_PUT || op->kind == TREE_KEY_DELETE),
			    "an operation fails with %s and changes the tree", strerror(-err));
		wait_err = err;
		err = 0;
	}
	if (err == 0) {
		assert_int_equal(model_do(w->model, op, w->tag), 0);
		push_state(w);
		if (wait_err == 0 && store_is_synchronous(w->store))
			wait_err = wait_for(w->store, end);
	}
	if (err == 0 && wait_err == 0 && synced)
		w->synced = w->state_count - 1;
	w->tag++;
	if (err == 0)
		err = wait_err;
	if (err < 0) {
		w->failed_steps++;
		/* What follows a failed operation may miss its result. */
		FAULT_CHECK(w->run,
			    err == w->run->fault->err || err == -EIO || w->failed_steps > 1 ||
				    (w->scenario->full_from > 0 && is_full(err)),
			    "an operation fails with %s, which nobody injected", strerror(-err));
	}
	check_tree(w, w->store, last_state(w), "after an operation");
}

static void fill_disk(struct world *w)
{
	struct simdisk *d = w->run->disk;

	if (w->run->fault->err == -EDQUOT)
		simdisk_set_quota(d, simdisk_used_bytes(d));
	else
		simdisk_set_capacity(d, simdisk_used_bytes(d));
	simdisk_set_no_inodes(d, true);
}

static void run_ops(struct world *w)
{
	struct diag diag = { "" };
	int err;

	if (w->scenario->open_too)
		fault_arm(w->run);
	err = open_store(w, faultio_io(w->run->io), &diag);
	w->opened = err == 0;
	if (err < 0) {
		w->failed_steps = 1;
		w->store = NULL;
		FAULT_CHECK(w->run, diag.text[0] != '\0', "open fails without a word");
		FAULT_CHECK(w->run, err == w->run->fault->err, "open fails with %s, not the fault",
			    strerror(-err));
		return;
	}
	if (!w->scenario->open_too && w->scenario->full_from == 0)
		fault_arm(w->run);
	for (size_t i = 0; i < OPS_MAX && w->scenario->ops[i].kind != TREE_END; i++) {
		if (i > 0 && i == w->scenario->full_from) {
			fill_disk(w);
			fault_arm(w->run);
		}
		do_op(w, &w->scenario->ops[i]);
	}
	if (w->scenario->close_too) {
		err = store_close(w->store);
		w->store = NULL;
		w->closed = true;
		w->close_failed = err < 0;
		w->failed_steps += err < 0;
	}
}

/* --- afterwards --- */

/* Opens 'd' without faults: its tree is one of the states from 'first' on. */
static void check_reopen(struct world *w, struct simdisk *d, const char *when, uint64_t first)
{
	struct store *old = w->store;
	struct diag diag = { "" };
	bool found = false;
	int err = open_store(w, simdisk_io(d), &diag);
	char *got;

	FAULT_CHECK(w->run, err == 0, "%s: open: %s: %s", when, strerror(-err), diag.text);
	got = tree_text(w->store, false, &err);
	FAULT_CHECK(w->run, got != NULL, "%s: reading the tree: %s", when, strerror(-err));
	for (uint64_t i = first; i < w->state_count && !found; i++)
		found = strcmp(got, w->states[i]) == 0;
	FAULT_CHECK(w->run, found, "%s: the tree is\n%snot\n%s", when, got, last_state(w));
	free(got);
	err = store_close(w->store);
	FAULT_CHECK(w->run, err == 0, "%s: close: %s", when, strerror(-err));
	FAULT_CHECK(w->run, simdisk_open_count(d) == 0, "%s: descriptors leak", when);
	w->store = old;
}

/* After a failed fdatasync() nothing can be changed any more, and everything can be read. */
static void check_poisoned(struct world *w)
{
	static const struct tree_op ops[] = { PUT("old", 3),	      PUT("new2", 3),
					      MKDIR("dir2"),	      UNLINK("empty"),
					      RENAME("old", "older"), SETATTR("old", 0),
					      EMPTY("d/a"),	      SYNC };
	struct store_stats stats;
	uint64_t end;
	int err;

	store_stats(w->store, &stats);
	FAULT_CHECK(w->run, stats.log.poison < 0, "a sync failed and the log is not poisoned");
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		err = tree_op_do(w->store, &ops[i], w->tag++, &end);
		FAULT_CHECK(w->run, err == -EIO || err == -ENOENT,
			    "operation %zu on a poisoned store: %d", i, err);
		check_tree(w, w->store, last_state(w), "on a poisoned store");
	}
	err = wait_for(w->store, store_end(w->store));
	FAULT_CHECK(w->run, err == -EIO, "waiting on a poisoned store: %d", err);
	err = store_sync(w->store);
	FAULT_CHECK(w->run, err == -EIO, "sync of a poisoned store: %d", err);
	err = store_close(w->store);
	w->store = NULL;
	FAULT_CHECK(w->run, err < 0, "close of a poisoned store succeeds");
}

static void check_heals(struct world *w)
{
	static const struct tree_op ops[] = { PUT("healed", 3000), MKDIR("healed.d"),
					      PUT_AS("healed.d/a", 1, 0400), UNLINK("healed"),
					      SYNC };
	uint64_t end;
	int err;

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		err = tree_op_do(w->store, &ops[i], w->tag, &end);
		FAULT_CHECK(w->run, err == 0, "operation %zu with the fault gone: %s", i,
			    strerror(-err));
		assert_int_equal(model_do(w->model, &ops[i], w->tag++), 0);
		push_state(w);
	}
	check_tree(w, w->store, last_state(w), "with the fault gone");
	err = store_close(w->store);
	w->store = NULL;
	FAULT_CHECK(w->run, err == 0, "close with the fault gone: %s", strerror(-err));
}

static void check_visible(const struct world *w, uint64_t hits)
{
	const struct fault *fault = w->run->fault;

	if (fault_is_invisible(fault) || hits == 0)
		FAULT_CHECK(w->run, w->failed_steps == 0, "%" PRIu64 " operations failed",
			    w->failed_steps);
}

static void check_later(struct world *w)
{
	struct simdisk *durable = simdisk_power_cut(w->run->disk, SIMDISK_KEEP_NONE, 0);
	struct simdisk *killed = simdisk_power_cut(w->run->disk, SIMDISK_KEEP_ALL, 0);
	uint64_t last = w->state_count - 1;
	uint64_t handed_over = w->scenario->buffer_bytes == 0 ? last : w->synced;
	uint64_t in_the_end = handed_over;

	check_reopen(w, durable, "power cut", w->synced);
	check_reopen(w, killed, "killed", handed_over);
	simdisk_free(durable);
	simdisk_free(killed);
	if (w->store != NULL && w->sync_failed) {
		check_poisoned(w);
	} else if (w->store != NULL) {
		check_heals(w);
		in_the_end = w->state_count - 1;
	} else if (w->closed && !w->close_failed) {
		in_the_end = last;
	}
	check_reopen(w, w->run->disk, "in the end", in_the_end);
}

static bool is_poisoned(const struct world *w)
{
	struct store_stats stats = { .files = 0 };

	if (w->store != NULL) /* or it was closed */
		store_stats(w->store, &stats);
	return stats.log.poison < 0;
}

/* Says whether calls failed after which nobody knows what is durable: a sync of the log or of the
 * names, or a rotation that could neither go on nor back.  A sync of a file that is not in the set
 * of files yet is none of these: its change is aborted. */
static bool breaks_promises(struct world *w)
{
	struct faultio *io = w->run->io;
	bool syncs =
		faultio_failures(io, IOCALL_FDATASYNC) > 0 || faultio_dir_sync_failures(io) > 0;
	bool no_new_segment = faultio_failures(io, IOCALL_OPEN) > 0 ||
			      faultio_failures(io, IOCALL_LOCK) > 0 ||
			      w->scenario->full_from > 0; /* the disk has no inode */

	if (syncs && !w->scenario->compacts)
		return true;
	if (!is_poisoned(w))
		return false;
	FAULT_CHECK(w->run, syncs || (no_new_segment && faultio_failures(io, IOCALL_RENAME) > 0),
		    "the log is poisoned without a reason");
	return true;
}

/* Failed calls cost no reserve: with the fault gone everything can be removed from the full disk,
 * and comes back as space.  Compaction may return that the active segment has to wait for an inode.
 * Lifts the limits in the end. */
static void check_full_disk(struct world *w)
{
	static const struct tree_op ops[] = { UNLINK("old"), UNLINK("d/a"), UNLINK("n") };
	struct store_stats stats;
	uint64_t end;
	int err;

	for (size_t i = 0; !w->sync_failed && i < ARRAY_SIZE(ops); i++) {
		err = tree_op_do(w->store, &ops[i], w->tag, &end);
		FAULT_CHECK(w->run, err == 0 || err == -ENOENT, "a removal on a full disk: %s",
			    strerror(-err));
		if (err < 0)
			continue;
		assert_int_equal(model_do(w->model, &ops[i], w->tag++), 0);
		push_state(w);
	}
	err = w->sync_failed ? 0 : store_compact(w->store, NULL, NULL);
	FAULT_CHECK(w->run, err == 0 || is_full(err), "compaction with the fault gone: %s",
		    strerror(-err));
	store_stats(w->store, &stats);
	FAULT_CHECK(w->run,
		    w->sync_failed || w->read_failed ||
			    stats.log.sealed_bytes + stats.log.active_bytes < FULL_LIVE,
		    "the log still has %" PRIu64 " bytes",
		    stats.log.sealed_bytes + stats.log.active_bytes);
	simdisk_set_capacity(w->run->disk, SIMDISK_NO_LIMIT);
	simdisk_set_no_inodes(w->run->disk, false);
}

static bool run_once(struct fault_run *run, const void *scenario)
{
	struct world w = { .run = run, .scenario = scenario };
	uint64_t hits;

	prepare(&w);
	run_ops(&w);
	hits = faultio_hits(run->io);
	w.sync_failed = w.opened && !fault_is_invisible(run->fault) && breaks_promises(&w);
	w.read_failed = faultio_failures(run->io, IOCALL_PREAD) > 0;
	check_visible(&w, hits);
	fault_disarm(run);
	if (w.scenario->full_from > 0)
		check_full_disk(&w);
	check_later(&w);
	for (uint64_t i = 0; i < w.state_count; i++)
		free(w.states[i]);
	model_free(w.model);
	return hits > 0;
}

/* --- a full disk --- */

#define FULL_FILES 64

/* Puts files, smaller and smaller, until there is no room for one byte.  Returns how many. */
static uint64_t fill(struct world *w)
{
	uint64_t count = 0, end;

	for (uint32_t bytes = 3000; bytes > 0; bytes /= 10) {
		int err = 0;

		while (count < FULL_FILES && err == 0) {
			struct tree_op op = { .kind = TREE_PUT, .value_bytes = bytes };

			(void)snprintf(op.path, sizeof(op.path), "file%02" PRIu64, count);
			err = tree_op_do(w->store, &op, count, &end);
			if (err == 0)
				assert_int_equal(model_do(w->model, &op, count++), 0);
		}
		assert_int_equal(err, -ENOSPC);
	}
	return count;
}

/* Nothing can be put on a full disk, everything can be removed, and then it can be used again. */
static void test_full_disk(void **state)
{
	static const struct scenario scenario = { "full disk", .interval_ns = NEVER };
	static const struct fault none = { "no fault", FAULT_ERROR, 0, 0 };
	struct fault_run run = { .scenario = "full disk", .fault = &none };
	struct world w = { .run = &run, .scenario = &scenario, .model = model_new() };
	struct tree_op op = { .kind = TREE_UNLINK };
	uint64_t count, end;

	(void)state;
	run.disk = simdisk_new();
	run.io = faultio_new(simdisk_io(run.disk));
	assert_int_equal(open_store(&w, faultio_io(run.io), NULL), 0);
	simdisk_set_capacity(run.disk, simdisk_used_bytes(run.disk) + 50000);
	count = fill(&w);
	assert_true(count > 10);
	push_state(&w);
	check_tree(&w, w.store, last_state(&w), "full");
	for (uint64_t i = 0; i < count; i++) {
		(void)snprintf(op.path, sizeof(op.path), "file%02" PRIu64, i);
		FAULT_CHECK(&run, tree_op_do(w.store, &op, 0, &end) == 0,
			    "unlink of %s on a full disk fails", op.path);
		assert_int_equal(model_do(w.model, &op, 0), 0);
	}
	push_state(&w);
	check_tree(&w, w.store, last_state(&w), "emptied");
	FAULT_CHECK(&run, store_sync(w.store) == 0, "sync on a full disk fails");
	w.synced = w.state_count - 1;
	simdisk_set_capacity(run.disk, SIMDISK_NO_LIMIT);
	check_later(&w);
	for (uint64_t i = 0; i < w.state_count; i++)
		free(w.states[i]);
	model_free(w.model);
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
		(struct CMUnitTest){ "full disk", test_full_disk, NULL, NULL, NULL };
	return fault_main("fault: store", tests, ARRAY_SIZE(tests), argc, argv);
}
