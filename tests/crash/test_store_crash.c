/* SPDX-License-Identifier: MIT */
/* The store: after a power cut at any call of a workload the tree is exactly what it was after one
 * of the operations, none before the last that was made durable. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/crash/crash.h"
#include "tests/sim/tree_ops.h"
#include "writer/store.h"

#define DATADIR	    "/data"
#define OPS_MAX	    64
#define RANDOM_OPS  40
#define RANDOM_RUNS 1
#define IMAGES	    4

/* --- workloads --- */

struct workload {
	const char *name;
	struct tree_op ops[OPS_MAX];
	size_t op_count;
	uint64_t free_bytes; /* on the disk, once the store is open; 0: no limit */
	bool any_keys;	     /* also keys that no path can name, which the model does not know */
};

static const struct workload by_hand[] = {
	{ "values",
	  { PUT("a", 5), PUT("a", 900), PUT("b", 1), SYNC, PUT("a", 3000), EMPTY("a"), PUT("a", 12),
	    UNLINK("b"), EMPTY("e"), PUT("e", 30), SYNC, PUT("a", 700), UNLINK("a"), PUT("a", 9),
	    UNLINK("e") } },
	{ "pieces",
	  { PIECES("a", 900), PUT("b", 300), PIECES("b", 40), SYNC, PIECES("b", 2500), ROTATE,
	    PIECES("a", 20), RENAME("a", "b"), PIECES("b", 30), SYNC, PUT("b", 10), EMPTY("b"),
	    PIECES("b", 1500), UNLINK("b"), PIECES("b", 5), PIECES("c", 1) } },
	{ "directories",
	  { MKDIR("d"), PUT("d/x", 50), MKDIR_AS("d/e", 0700), PUT("d/e/y", 600), SYNC,
	    UNLINK("d/x"), RMDIR("d/e"), UNLINK("d/e/y"), RMDIR("d/e"), RMDIR("d"), MKDIR("d"),
	    SYNC, PUT("d/x", 1), MKDIR("f"), RMDIR("f") } },
	{ "write a new file and rename it over the old one",
	  { PUT("config", 300), SYNC, PUT("config.tmp", 310), RENAME("config.tmp", "config"),
	    PUT("config.tmp", 2000), RENAME("config.tmp", "config"), SYNC, PUT("config.tmp", 10),
	    RENAME("config.tmp", "config"), BIRTH("config.tmp", "config"), UNLINK("config") } },
	{ "directories move",
	  { MKDIR("d"), MKDIR("d/e"), PUT("d/e/a", 100), PUT("d/b", 20), RENAME("d", "n"),
	    PUT("n/e/a", 40), SYNC, MKDIR("o"), RENAME("n/e", "o"), RENAME("o", "n/o"),
	    EXCHANGE("n/o", "n/b"), PUT("q", 5), EXCHANGE("q", "n"), SYNC, RENAME("q/o", "p") } },
	{ "segments",
	  { ROTATE, PUT("a", 5), ROTATE, MKDIR("d"), PUT("d/b", 1500), ROTATE, ROTATE,
	    RENAME("d", "e"), PUT("a", 7), SYNC, ROTATE, UNLINK("e/b"), PUT_AS("c", 30, 0600),
	    PUT("c", 9), ROTATE, RENAME("c", "a"), RMDIR("e"), EMPTY("x") } },
	{ "attributes",
	  { PUT_AS("a", 10, 0600), PUT("b", 10), SETATTR("b", 0755), PUT_SET("b", 400, 0700), SYNC,
	    MKDIR_AS("d", 0500), SETATTR("d", 0711), PUT_AS("d/c", 2000, 0640), PUT("a", 30),
	    SETATTR("a", 04755), PUT_SET("d/c", 5, 0444), EMPTY("b"), SETATTR("b", 0600), SYNC,
	    PUT_AS("e", 1, 0400) } },
	{ "keys",
	  { KEY_PUT("users/42/name", 20), KEY_PUT("users/42/mail", 700), SYNC,
	    KEY_DELETE("users/42/name"), KEY_PUT("users/7/name", 3), KEY_DELETE("users/42/mail"),
	    UNLINK("users/7/name"), KEY_PUT("x", 50), KEY_PUT("x", 2500), SYNC, KEY_DELETE("x"),
	    KEY_PUT("k/l/m", 4), RENAME("k/l", "k/z"), KEY_DELETE("k/z/m") } },
	{ "links, symlinks, xattrs",
	  { PUT_AS("a", 60, 0640),
	    LINK("a", "b"),
	    PUT("b", 500),
	    SYMLINK("s", "a"),
	    SYNC,
	    SETXATTR("a"),
	    UNLINK("a"),
	    MKDIR("d"),
	    LINK("b", "d/c"),
	    RENAME("d/c", "b"),
	    RENAME("b", "e"),
	    FIFO("p"),
	    SETXATTR("s"),
	    EXCHANGE("s", "e"),
	    SETATTR("d/c", 0600),
	    SYNC,
	    PUT("f", 7),
	    RENAME("f", "d/c"),
	    REMOVEXATTR("s"),
	    SETXATTR("d"),
	    LINK("p", "q"),
	    UNLINK("p"),
	    EMPTY("d/c"),
	    BIRTH("t", "s") } },
	{ "compaction",
	  { PUT("a", 900),
	    PUT("b", 700),
	    PUT_AS("a", 30, 0600),
	    ROTATE,
	    PUT("a", 800),
	    COMPACT,
	    MKDIR("d"),
	    RENAME("b", "d/b"),
	    PUT("b", 40),
	    UNLINK("a"),
	    COMPACT,
	    PUT("d/b", 500),
	    RENAME("d", "e"),
	    PUT("a", 60),
	    COMPACT,
	    KEY_PUT("k/l", 300),
	    KEY_PUT("k/l", 20),
	    LINK("a", "c"),
	    PUT("c", 2000),
	    UNLINK("e/b"),
	    COMPACT,
	    UNLINK("a"),
	    COMPACT,
	    COMPACT } },
	{ "compaction of pieces",
	  { PUT("a", 3000),
	    PATCH("a", 500, 700),
	    ROTATE,
	    PATCH("a", 600, 100),
	    COMPACT,
	    MKDIR("d"),
	    PUT("d/b", 10),
	    REWRITE("d/b", 2000),
	    PATCH("d/b", 1900, 400),
	    TRUNCATE("d/b", 1500),
	    COMPACT,
	    RENAME("d/b", "a"),
	    TRUNCATE("a", 4000),
	    PATCH("a", 100, 1200),
	    COMPACT,
	    PUT("a", 70),
	    COMPACT,
	    PATCH("a", 60, 90),
	    UNLINK("a"),
	    COMPACT } },
	{ "folding into several segments",
	  { CHURN, PUT("a", 900), PIECES("b", 1500), PUT("c", 700), MKDIR("d"), CHURN,
	    RENAME("c", "d/c"), LINK("a", "e"), ROTATE, COMPACT, PATCH("b", 1200, 60),
	    UNLINK("d/c"), ROTATE, COMPACT, PUT("a", 800), CHURN, COMPACT } },
	{ "folding",
	  { CHURN,
	    CHURN,
	    PUT("a", 900),
	    PIECES("b", 500),
	    LINK("a", "d"),
	    KEY_PUT("k/l/m", 40),
	    MKDIR("e"),
	    RENAME("a", "e/a"),
	    SYMLINK("s", "b"),
	    CHURN,
	    CHURN,
	    ROTATE,
	    PUT("e/a", 300),
	    COMPACT,
	    PATCH("b", 100, 60),
	    UNLINK("d"),
	    CHURN,
	    SETXATTR("e/a"),
	    RENAME("e", "n"),
	    COMPACT,
	    KEY_DELETE("k/l/m"),
	    PUT("n/a", 20),
	    COMPACT } },
	{ "head room comes and goes",
	  { PUT("a", 300), SYNC, PUT("b", 200),	 SYNC,	 SYNC,	       PUT("a", 700),
	    SYNC,	   IDLE, PUT("c", 90),	 SYNC,	 IDLE,	       PUT("b", 1200),
	    SYNC,	   SYNC, UNLINK("c"),	 ROTATE, PUT("d", 60), SYNC,
	    IDLE,	   IDLE, PUT("a", 2500), SYNC } },
	{ "full disk",
	  { PUT("a", 1500), PUT_AS("b", 1500, 0600), PUT("c", 1500), PUT_AS("d", 1500, 0600),
	    PUT("e", 40), SYNC, PUT_AS("f", 1500, 0600), PUT("a", 3000), UNLINK("a"), MKDIR("g"),
	    UNLINK("b"), PUT("g/h", 900), RENAME("c", "e"), PUT("i", 5), SYNC, UNLINK("c"),
	    PUT("k", 70000), PUT("l", 5) },
	  .free_bytes = 4000 },
};

/* How a store is opened. */
static const struct mode {
	const char *name;
	int64_t interval_ns, buffer_bytes;
	int64_t segment_bytes;	/* 0: one that is never full */
	int64_t headroom_bytes; /* of head room; if adaptive, in steps as small as here */
} modes[] = {
	{ "interval 0", 0, 0 },
	{ "long interval", LOG_WRITER_INTERVAL_MAX_NS, 0 },
	{ "long interval, buffer", LOG_WRITER_INTERVAL_MAX_NS, 65536 },
	{ "never", LOG_WRITER_NEVER, 0 },
	{ "never, small buffer", LOG_WRITER_NEVER, 1000 },
	{ "interval 0, small segments", 0, 0, 1024 },
	{ "never, small segments", LOG_WRITER_NEVER, 0, 1024 },
	{ "long interval, buffer, small segments", LOG_WRITER_INTERVAL_MAX_NS, 700, 1100 },
	{ "interval 0, head room", 0, 0, 0, 3000 },
	{ "long interval, buffer, small segments, head room", LOG_WRITER_INTERVAL_MAX_NS, 700, 1100,
	  2000 },
	{ "interval 0, adaptive head room", 0, 0, 0, LOG_WRITER_HEADROOM_AUTO },
	{ "never, small segments, adaptive head room", LOG_WRITER_NEVER, 0, 1800,
	  LOG_WRITER_HEADROOM_AUTO },
};

/* --- one run --- */

struct run {
	const struct workload *workload;
	const struct mode *mode;
	struct crash_recorder recorder;
	char *snapshots[OPS_MAX + 1]; /* the tree after so many operations, with times */
	uint64_t tag;		      /* of the next value that is written after recovery */
};

static int open_store(const struct mode *mode, struct simdisk *d, struct store **ret,
		      struct diag *diag)
{
	const struct store_config config = {
		.dir_path = DATADIR,
		.fsync_interval_ns = mode->interval_ns,
		.buffer_size_bytes = mode->buffer_bytes,
		.segment_size_bytes = mode->segment_bytes,
		.preallocate_bytes = mode->headroom_bytes,
		.no_background = true,
		.uid = TREE_UID,
		.gid = TREE_GID,
		.umask = TREE_UMASK,
		.holder = "the crash test",
		.io = simdisk_io(d),
	};

	int err = store_open(&config, ret, diag);

	if (err == 0 && mode->headroom_bytes == LOG_WRITER_HEADROOM_AUTO)
		tree_small_headroom(*ret);
	return err;
}

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

/* Waits by callback, as a daemon does before it acknowledges. */
static int wait_for(struct store *s, uint64_t end)
{
	struct waiting wait = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0 };
	int err = store_sync_async(s, end, wake, &wait);

	if (err < 0)
		return err;
	(void)pthread_mutex_lock(&wait.lock);
	while (!wait.is_done)
		(void)pthread_cond_wait(&wait.done, &wait.lock);
	(void)pthread_mutex_unlock(&wait.lock);
	return wait.err;
}

/* Keys that hide others, are hidden by others, or are no paths at all. */
static const char *const odd_keys[] = {
	"a", "a/x", "a/x/y", "d", "d/a", "d/a/x", "f/g", "f/g/a/z", "h/x", "d/", "//", "..", "a//b",
};

/* Everything that a store holds: the tree, and what the odd keys have. */
static char *store_state(struct store *s, int *ret_err)
{
	char *tree = tree_text(s, true, ret_err), *more;
	struct store_stats stats;

	if (tree == NULL)
		return NULL;
	store_stats(s, &stats);
	for (size_t i = 0; i < ARRAY_SIZE(odd_keys) && stats.unnamed_keys > 0; i++) {
		struct tree_line line = { .path = odd_keys[i] };
		size_t bytes = 0;
		void *value = NULL;
		int err = store_get(s, odd_keys[i], strlen(odd_keys[i]), &value, &bytes);
		char *text;

		line.value = value;
		line.value_bytes = bytes;
		line.mode = err < 0 ? (mode_t)-err : 0;
		text = tree_line_text(&line);
		assert_true(asprintf(&more, "%skey %s", tree, text) > 0);
		free(text);
		free(value);
		free(tree);
		tree = more;
	}
	return tree;
}

/* Shows the operations that led to a failure. */
static void print_ops(const struct run *run, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		const struct tree_op *op = &run->workload->ops[i];
		char text[256];

		tree_op_text(op, text, sizeof(text));
		print_error("  operation %" PRIu64 ": %s, %" PRIu32 " bytes\n", i, text,
			    op->value_bytes);
	}
}

/* The values of the odd keys.  An empty file is not the value of a key. */
struct key_values {
	void *values[ARRAY_SIZE(odd_keys)]; /* NULL: nothing */
	size_t bytes[ARRAY_SIZE(odd_keys)];
};

static void get_keys(struct store *s, struct key_values *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(odd_keys); i++) {
		ret->values[i] = NULL;
		if (store_get(s, odd_keys[i], strlen(odd_keys[i]), &ret->values[i],
			      &ret->bytes[i]) < 0 ||
		    ret->bytes[i] > 0)
			continue;
		free(ret->values[i]);
		ret->values[i] = NULL;
	}
}

/* An operation by key changes its own key and no other, however they hide each other. */
static void check_keys(struct run *run, const struct tree_op *op, uint64_t tag, bool done,
		       struct key_values *before, struct key_values *after)
{
	for (size_t i = 0; i < ARRAY_SIZE(odd_keys); i++) {
		bool own = done && strcmp(odd_keys[i], op->path) == 0;
		const void *want = before->values[i];
		size_t bytes = before->bytes[i];
		uint8_t *value = NULL;

		if (own && op->kind == TREE_KEY_PUT) {
			bytes = op->value_bytes;
			want = value = calloc(1, bytes);
			assert_non_null(value);
			tree_fill(value, op->value_bytes, tag);
		} else if (own) {
			want = NULL;
		}
		if ((want == NULL) != (after->values[i] == NULL) ||
		    (want != NULL &&
		     (after->bytes[i] != bytes || memcmp(after->values[i], want, bytes) != 0))) {
			print_ops(run, tag + 1);
			fail_msg("%s: operation %" PRIu64 ", %s by key '%s', leaves key '%s' %s",
				 run->workload->name, tag,
				 op->kind == TREE_KEY_PUT ? "put" : "delete", op->path, odd_keys[i],
				 after->values[i] == NULL ? "without its value" : "with another");
		}
		free(value);
		free(before->values[i]);
		free(after->values[i]);
	}
}

/* The tree is what the model says. */
static void check_model(struct run *run, struct store *s, const struct model *m, const char *op)
{
	char *want = model_text(m), *got;
	int err = 0;

	got = tree_text(s, false, &err);
	assert_int_equal(err, 0);
	if (strcmp(got, want) != 0)
		fail_msg("%s: after '%s' the tree is\n%sthe model:\n%s", run->workload->name, op,
			 got, want);
	free(got);
	free(want);
}

/* Does one operation to store and model, and compares the trees. */
static void step(struct run *run, struct store *s, struct model *m, uint64_t i)
{
	const struct tree_op *op = &run->workload->ops[i];
	char text[256];
	uint64_t end;
	bool to_sync = store_is_synchronous(s) || op->kind == TREE_SYNC || op->kind == TREE_ROTATE;
	bool by_key = run->workload->any_keys &&
		      (op->kind == TREE_KEY_PUT || op->kind == TREE_KEY_DELETE);
	struct key_values before, after;
	int err, wait_err, want, state_err = 0;

	tree_op_text(op, text, sizeof(text));
	atomic_store(&run->recorder.now[0].issued, i + 1);
	if (by_key)
		get_keys(s, &before);
	err = wait_err = tree_op_do(s, op, i, &end);
	if (err == 0)
		atomic_store(&run->recorder.now[0].returned, i + 1);
	if (err == 0 && store_is_synchronous(s))
		wait_err = wait_for(s, end);
	if (wait_err == 0 && to_sync)
		atomic_store(&run->recorder.now[0].synced, i + 1);
	if (by_key) {
		get_keys(s, &after);
		check_keys(run, op, i, err == 0, &before, &after);
	}
	if (wait_err != err) /* acknowledged, and then no room for the buffer */
		assert_true(run->workload->free_bytes > 0 && wait_err == -ENOSPC);
	if (!run->workload->any_keys) {
		/* A full disk: the operation did nothing, or it is in the buffer. */
		want = err == -ENOSPC && run->workload->free_bytes > 0 ? err : model_do(m, op, i);
		if ((err < 0) != (want < 0)) {
			print_ops(run, i + 1);
			fail_msg("%s: operation %" PRIu64 ", %s: %s; the model says %s",
				 run->workload->name, i, text, strerror(-err), strerror(-want));
		}
		check_model(run, s, m, text);
	}
	run->snapshots[i + 1] = store_state(s, &state_err);
	assert_int_equal(state_err, 0);
}

/* --- the store as a system that crashes --- */

static void *open_system(void *arg, struct simdisk *d, char **ret_state,
			 struct log_recovery *ret_recovery, char why[CRASH_WHY_BYTES])
{
	const struct run *run = arg;
	struct store_stats stats;
	struct store *s = NULL;
	struct diag diag;
	int err = open_store(run->mode, d, &s, &diag);

	if (err < 0) {
		(void)snprintf(why, CRASH_WHY_BYTES, "open: %s: %s", strerror(-err), diag.text);
		return NULL;
	}
	*ret_state = store_state(s, &err);
	if (err < 0) {
		(void)snprintf(why, CRASH_WHY_BYTES, "reading the tree: %s", strerror(-err));
		err = store_close(s); /* the first error is told */
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
	bool handed_over = kind == CRASH_KILLED && run->mode->buffer_bytes == 0;
	uint64_t least = handed_over ? p->returned : p->synced;
	int len;

	for (uint64_t i = least; i <= p->issued; i++) {
		if (strcmp(state, run->snapshots[i]) == 0)
			return true;
	}
	len = snprintf(why, CRASH_WHY_BYTES,
		       "the tree is not one of operations %" PRIu64 " ... %" PRIu64 ":\n%s", least,
		       p->issued, state);
	for (uint64_t i = 0; i <= run->workload->op_count && len < CRASH_WHY_BYTES; i++) {
		char text[256] = "nothing";

		if (i > 0)
			tree_op_text(&run->workload->ops[i - 1], text, sizeof(text));
		if (strcmp(state, run->snapshots[i]) == 0)
			len += snprintf(why + len, (size_t)(CRASH_WHY_BYTES - len),
					"it is that of operation %" PRIu64 " (%s)\n", i, text);
		else if (i >= least && i <= p->issued)
			len += snprintf(why + len, (size_t)(CRASH_WHY_BYTES - len),
					"operation %" PRIu64 " (%s) left:\n%s", i, text,
					run->snapshots[i]);
	}
	return false;
}

static int go_on(void *arg, void *handle, char **ret_state)
{
	const struct tree_op ops[] = { MKDIR_AS("afterwards", 0750),
				       PUT_AS("afterwards/a", 600, 0640), PUT("afterwards/b", 6) };
	struct store *s = handle;
	uint64_t end = 0;
	int err = 0, state_err = 0;

	(void)arg;
	for (size_t i = 0; i < ARRAY_SIZE(ops) && err == 0; i++)
		err = tree_op_do(s, &ops[i], 1000 + i, &end);
	if (err == 0)
		err = wait_for(s, end);
	*ret_state = store_state(s, &state_err);
	return err < 0 ? err : state_err;
}

static int close_system(void *arg, void *handle)
{
	(void)arg;
	return store_close(handle);
}

/* Runs a workload from an empty disk and looks at every crash of it. */
static void run_workload(const char *name, const struct workload *workload, const struct mode *mode,
			 const struct crash_options *options)
{
	struct run run = { .workload = workload, .mode = mode };
	const struct crash_system system = {
		.name = name,
		.log_dir = DATADIR,
		.arg = &run,
		.open = open_system,
		.is_allowed = is_allowed,
		.go_on = go_on,
		.close = close_system,
	};
	struct simdisk *disk = simdisk_new();
	struct model *m = model_new();
	struct store *s;
	int err;

	if (options->only_call != 0)
		print_ops(&run, workload->op_count);
	crash_record(&run.recorder, disk);
	assert_int_equal(open_store(mode, disk, &s, NULL), 0);
	if (workload->free_bytes > 0)
		simdisk_set_capacity(disk, simdisk_used_bytes(disk) + workload->free_bytes);
	run.snapshots[0] = calloc(1, 1);
	for (uint64_t i = 0; i < workload->op_count; i++)
		step(&run, s, m, i);
	err = store_close(s);
	if (err == 0)
		atomic_store(&run.recorder.now[0].synced, workload->op_count);
	else /* a buffer that the disk has no room for */
		assert_true(workload->free_bytes > 0 && mode->buffer_bytes > 0 && err == -ENOSPC);
	crash_record_end(&run.recorder, disk);
	assert_int_equal(simdisk_open_count(disk), 0);
	crash_check(&system, &run.recorder, options);
	crash_recorder_free(&run.recorder);
	for (size_t i = 0; i <= workload->op_count; i++)
		free(run.snapshots[i]);
	model_free(m);
	simdisk_free(disk);
}

struct row {
	const struct workload *workload; /* NULL: random */
	bool any_keys;
	const struct mode *mode;
	char name[128];
};

static void test_by_hand(void **state)
{
	struct crash_options options = crash_options(RANDOM_RUNS, IMAGES);
	const struct row *row = *state;
	struct workload w = *row->workload;

	while (w.op_count < OPS_MAX && w.ops[w.op_count].kind != TREE_END)
		w.op_count++;
	run_workload(row->name, &w, row->mode, &options);
}

/* Makes up operations against a model of its own, so that most of them succeed. */
static void make_random(uint64_t seed, struct workload *ret)
{
	struct model *m = model_new();
	struct rng rng = { seed };

	for (ret->op_count = 0; ret->op_count < RANDOM_OPS;) {
		struct tree_op op = model_random_op(m, &rng);
		int err;

		if (ret->any_keys && rng_chance(&rng, 40)) {
			op.kind = rng_chance(&rng, 60) ? TREE_KEY_PUT : TREE_KEY_DELETE;
			(void)snprintf(op.path, sizeof(op.path), "%s",
				       odd_keys[rng_below(&rng, ARRAY_SIZE(odd_keys))]);
			ret->ops[ret->op_count++] = op;
			continue;
		}
		err = model_do(m, &op, ret->op_count);

		if (err == 0 || rng_chance(&rng, 5))
			ret->ops[ret->op_count++] = op;
	}
	model_free(m);
}

static void test_random(void **state)
{
	struct crash_options options = crash_options(RANDOM_RUNS, IMAGES);
	uint64_t first = options.seed;
	const struct row *row = *state;

	/* With one call chosen, one seed is meant. */
	for (uint64_t i = 0; i < (options.only_call != 0 ? 1 : options.runs); i++) {
		struct workload w = { .name = row->name, .any_keys = row->any_keys };

		options.seed = first + i;
		make_random(rng_mix(options.seed, 4, (uint64_t)(row->mode - modes)), &w);
		run_workload(row->name, &w, row->mode, &options);
	}
}

int main(int argc, char **argv)
{
	static struct row rows[(ARRAY_SIZE(by_hand) + 2) * ARRAY_SIZE(modes)];
	static struct CMUnitTest tests[ARRAY_SIZE(rows)];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t w = i / ARRAY_SIZE(modes);
		struct row *row = &rows[i];

		row->workload = w < ARRAY_SIZE(by_hand) ? &by_hand[w] : NULL;
		row->any_keys = w > ARRAY_SIZE(by_hand);
		row->mode = &modes[i % ARRAY_SIZE(modes)];
		(void)snprintf(row->name, sizeof(row->name), "store: %s: %s",
			       row->workload != NULL ? row->workload->name
			       : row->any_keys	     ? "random, any keys"
						     : "random",
			       row->mode->name);
		tests[i] = (struct CMUnitTest){ row->name,
						row->workload != NULL ? test_by_hand : test_random,
						NULL, NULL, row };
	}
	return crash_run("crash: store", tests, ARRAY_SIZE(tests), argc, argv);
}
