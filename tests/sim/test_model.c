/* SPDX-License-Identifier: MIT */
/* A store against a plain model of it, over a random life: values whole and in pieces, renames of
 * files and trees, links, deletes, rotations, compactions, restarts after a clean close (with hints
 * and without), a kill and a power cut, and files that are open when they lose their name.
 *
 * A life that goes wrong is made as short as it can be and printed.
 *
 * Environment:
 *   MODEL_SEED=n  the first seed (default 1)
 *   MODEL_OPS=n   how many operations in all (default: few) */
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "tests/sim/content.h"
#include "tests/sim/simdisk.h"
#include "tests/sim/tree.h"

#define DATADIR	      "/data"
#define LIFE_OPS      300
#define OPS_DEFAULT   9000
#define CHECK_EVERY   7
#define OPEN_MAX      4
#define UNSYNCED_MAX  64 /* states that a power cut may go back to */
#define PROBLEM_BYTES 16384

enum step_kind {
	STEP_OP,
	STEP_REOPEN,	    /* after a clean close */
	STEP_REOPEN_SLOWLY, /* and all hints are gone */
	STEP_KILL,
	STEP_CUT,
	STEP_HOLD, /* unlinks a file that is open */
	STEP_LET_GO,
};

static const char *const step_names[] = {
	[STEP_REOPEN] = "reopen", [STEP_REOPEN_SLOWLY] = "reopen without hints",
	[STEP_KILL] = "kill",	  [STEP_CUT] = "power cut",
	[STEP_HOLD] = "hold",	  [STEP_LET_GO] = "let go",
};

struct step {
	enum step_kind kind;
	struct tree_op op; /* STEP_OP, STEP_HOLD */
	uint64_t tag;
};

/* How a store is opened. */
static const struct config {
	const char *name;
	int64_t interval_ns, buffer_bytes, segment_bytes;
} configs[] = {
	{ "never", LOG_WRITER_NEVER, 0, 4096 },
	{ "never, large segments", LOG_WRITER_NEVER, 0, 0 },
	{ "interval 0", 0, 0, 2048 },
	{ "buffer", LOG_WRITER_NEVER, 3000, 8192 },
};

struct open_file {
	struct node *node; /* NULL: none */
	uint8_t *value;
	size_t bytes;
};

struct life {
	const struct config *config;
	struct simdisk *disk;
	struct store *store;
	struct model *model;
	struct model *states[UNSYNCED_MAX]; /* what a power cut may leave; the last is the model */
	size_t state_count;
	struct open_file files[OPEN_MAX];
	char problem[PROBLEM_BYTES]; /* "": none */
};

static void problem(struct life *l, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void problem(struct life *l, const char *fmt, ...)
{
	va_list args;

	if (l->problem[0] != '\0')
		return;
	va_start(args, fmt);
	(void)vsnprintf(l->problem, sizeof(l->problem), fmt, args);
	va_end(args);
}

/* --- the states that may come back --- */

static void forget_states(struct life *l)
{
	for (size_t i = 0; i < l->state_count; i++)
		model_free(l->states[i]);
	l->state_count = 0;
}

/* All so far is durable. */
static void set_synced(struct life *l)
{
	forget_states(l);
	l->states[l->state_count++] = model_copy(l->model);
}

static void push_state(struct life *l)
{
	if (l->state_count == UNSYNCED_MAX) {
		if (store_sync(l->store) < 0)
			problem(l, "sync failed");
		set_synced(l);
		return;
	}
	l->states[l->state_count++] = model_copy(l->model);
}

/* --- opening --- */

static void open_store(struct life *l)
{
	const struct store_config config = {
		.dir_path = DATADIR,
		.fsync_interval_ns = l->config->interval_ns,
		.buffer_size_bytes = l->config->buffer_bytes,
		.segment_size_bytes = l->config->segment_bytes,
		.no_background = true,
		.uid = TREE_UID,
		.gid = TREE_GID,
		.umask = TREE_UMASK,
		.io = simdisk_io(l->disk),
	};
	struct diag diag = { "" };
	int err = store_open(&config, &l->store, &diag);

	if (err < 0)
		problem(l, "open: %s: %s", strerror(-err), diag.text);
}

static void let_go(struct life *l, bool unpin)
{
	for (size_t i = 0; i < OPEN_MAX; i++) {
		if (l->files[i].node != NULL && unpin)
			store_unpin(l->store, l->files[i].node, 1);
		free(l->files[i].value);
		l->files[i] = (struct open_file){ NULL };
	}
}

static void close_store(struct life *l)
{
	int err;

	if (l->store == NULL)
		return;
	let_go(l, true);
	err = store_close(l->store);
	l->store = NULL;
	if (err < 0)
		problem(l, "close: %s", strerror(-err));
}

struct hints {
	char list[1024][32];
	size_t count;
};

static int find_hint(void *arg, const char *name)
{
	struct hints *n = arg;

	if (strstr(name, ".hint") != NULL && n->count < ARRAY_SIZE(n->list))
		(void)snprintf(n->list[n->count++], sizeof(n->list[0]), "%s", name);
	return 0;
}

static void remove_hints(struct life *l)
{
	struct io *io = simdisk_io(l->disk);
	struct hints *names = sim_alloc(sizeof(*names));
	char path[64];

	(void)simdisk_list_names(l->disk, DATADIR, find_hint, names);
	for (size_t i = 0; i < names->count; i++) {
		(void)snprintf(path, sizeof(path), DATADIR "/%s", names->list[i]);
		(void)!io_unlink(io, -100, path);
	}
	free(names);
}

/* --- comparing --- */

static char *tree_of(struct life *l)
{
	int err = 0;
	char *text = tree_text(l->store, false, &err);

	if (text == NULL)
		problem(l, "reading the tree: %s", strerror(-err));
	return text;
}

static void check_tree(struct life *l)
{
	char *got = tree_of(l), *want = model_text(l->model);

	if (got != NULL && strcmp(got, want) != 0)
		problem(l, "the tree is\n%sthe model says\n%s", got, want);
	free(got);
	free(want);
}

static void check_files(struct life *l)
{
	for (size_t i = 0; i < OPEN_MAX; i++) {
		const struct open_file *f = &l->files[i];
		uint8_t *got;
		ssize_t n;

		if (f->node == NULL)
			continue;
		got = sim_alloc(f->bytes + 1);
		n = store_read(l->store, f->node, got, f->bytes + 1, 0);
		if (n < 0 || (size_t)n != f->bytes || memcmp(got, f->value, f->bytes) != 0)
			problem(l, "an open file without a name reads %zd of %zu bytes", n,
				f->bytes);
		free(got);
	}
}

/* After a crash the tree is one of the states; the model goes back to it. */
static void check_crashed(struct life *l, bool cut)
{
	bool all = !cut && l->config->buffer_bytes == 0;
	size_t first = all && l->state_count > 0 ? l->state_count - 1 : 0;
	char *got = l->store != NULL ? tree_of(l) : NULL;
	bool found = false;

	for (size_t i = l->state_count; got != NULL && i > first && !found; i--) {
		char *want = model_text(l->states[i - 1]);

		found = strcmp(got, want) == 0;
		if (found) {
			model_free(l->model);
			l->model = model_copy(l->states[i - 1]);
		}
		free(want);
	}
	if (got != NULL && !found)
		problem(l, "after a crash the tree is none of the last %zu:\n%s",
			l->state_count - first, got);
	free(got);
	set_synced(l); /* an open log is synced */
}

/* --- steps --- */

static void crash(struct life *l, bool cut, uint64_t tag)
{
	struct simdisk *image;

	let_go(l, true);
	if (cut)
		image = simdisk_power_cut(
			l->disk, tag % 3 == 0 ? SIMDISK_KEEP_NONE : SIMDISK_KEEP_SOME, tag);
	else
		image = simdisk_copy(l->disk);
	if (store_close(l->store) < 0)
		problem(l, "close after a crash");
	l->store = NULL;
	simdisk_free(l->disk);
	l->disk = image;
	open_store(l);
	check_crashed(l, cut);
}

/* Opens a file that has one name, and takes the name away. */
static void hold(struct life *l, const struct step *step)
{
	struct open_file *f = NULL;
	struct tree_op op = step->op;
	struct store_attr attr;
	uint64_t end;
	ssize_t n;
	int err, want;

	for (size_t i = 0; i < OPEN_MAX && f == NULL; i++)
		if (l->files[i].node == NULL)
			f = &l->files[i];
	op.kind = TREE_UNLINK;
	if (f == NULL || tree_find(l->store, op.path, &f->node) < 0)
		return;
	store_getattr(l->store, f->node, &attr);
	f->bytes = attr.size_bytes;
	f->value = sim_alloc(f->bytes + 1);
	n = S_ISREG(attr.mode) ? store_read(l->store, f->node, f->value, f->bytes, 0) : -1;
	if (n < 0 || attr.link_count != 1 || f->node == store_root(l->store)) {
		if (f->node != store_root(l->store))
			store_unpin(l->store, f->node, 1);
		free(f->value);
		*f = (struct open_file){ NULL };
		return;
	}
	err = tree_op_do(l->store, &op, step->tag, &end);
	want = model_do(l->model, &op, step->tag);
	if (err != want)
		problem(l, "unlink of an open file: %s", strerror(-err));
	push_state(l);
}

static void do_op(struct life *l, const struct step *step)
{
	uint64_t end = 0;
	int err, want;

	if (!model_knows(l->model, &step->op))
		return;
	err = tree_op_do(l->store, &step->op, step->tag, &end);
	want = model_do(l->model, &step->op, step->tag);
	if ((err < 0) != (want < 0))
		problem(l, "%s; the model says %s", strerror(-err), strerror(-want));
	if (err == 0 && store_is_synchronous(l->store) && store_sync(l->store) < 0)
		problem(l, "sync failed");
	push_state(l);
	if (err == 0 && (step->op.kind == TREE_SYNC || step->op.kind == TREE_ROTATE ||
			 store_is_synchronous(l->store)))
		set_synced(l);
}

static void do_step(struct life *l, const struct step *step)
{
	switch (step->kind) {
	case STEP_OP:
		do_op(l, step);
		break;
	case STEP_REOPEN:
	case STEP_REOPEN_SLOWLY:
		close_store(l);
		if (step->kind == STEP_REOPEN_SLOWLY)
			remove_hints(l);
		open_store(l);
		set_synced(l);
		break;
	case STEP_KILL:
	case STEP_CUT:
		crash(l, step->kind == STEP_CUT, step->tag);
		break;
	case STEP_HOLD:
		hold(l, step);
		break;
	case STEP_LET_GO:
		let_go(l, true);
		break;
	}
}

/* Lives through 'steps'.  Returns how many were done, and what went wrong, if anything. */
static size_t live(const struct config *config, const struct step *steps, size_t count, char *ret)
{
	struct life l = { .config = config, .disk = simdisk_new(), .model = model_new() };
	size_t i;

	open_store(&l);
	set_synced(&l);
	for (i = 0; i < count && l.problem[0] == '\0'; i++) {
		do_step(&l, &steps[i]);
		if (l.problem[0] != '\0' || l.store == NULL)
			continue;
		if (steps[i].kind != STEP_OP || steps[i].op.kind == TREE_COMPACT ||
		    i % CHECK_EVERY == 0 || i + 1 == count) {
			check_tree(&l);
			check_files(&l);
		}
	}
	if (l.problem[0] == '\0')
		close_store(&l);
	if (l.problem[0] == '\0' && simdisk_open_count(l.disk) != 0)
		problem(&l, "descriptors leak");
	if (l.store != NULL) {
		let_go(&l, true);
		(void)!store_close(l.store);
	}
	let_go(&l, false);
	forget_states(&l);
	model_free(l.model);
	simdisk_free(l.disk);
	memcpy(ret, l.problem, sizeof(l.problem));
	return i;
}

/* --- making up a life, and making it shorter --- */

static void make_up(uint64_t seed, struct step *steps)
{
	struct model *m = model_new();
	struct rng rng = { seed };

	for (size_t i = 0; i < LIFE_OPS; i++) {
		uint64_t what = rng_below(&rng, 100);
		struct step *s = &steps[i];

		*s = (struct step){ .kind = STEP_OP, .tag = i, .op = model_random_op(m, &rng) };
		if (what < 2)
			s->kind = STEP_REOPEN;
		else if (what < 3)
			s->kind = STEP_REOPEN_SLOWLY;
		else if (what < 4)
			s->kind = STEP_KILL;
		else if (what < 5)
			s->kind = STEP_CUT;
		else if (what < 8)
			s->kind = STEP_HOLD;
		else if (what < 9)
			s->kind = STEP_LET_GO;
		if (s->kind == STEP_OP && model_do(m, &s->op, i) < 0 && rng_chance(&rng, 80))
			i--; /* most of what fails is not interesting */
	}
	model_free(m);
}

/* Takes out all that the failure does not need. */
static size_t shrink(const struct config *config, struct step *steps, size_t count)
{
	static char ignored[PROBLEM_BYTES];
	struct step *fewer = sim_alloc(count * sizeof(steps[0]));

	for (size_t chunk = count / 2; chunk > 0; chunk /= 2) {
		for (size_t at = 0; at + chunk <= count;) {
			size_t left = count - chunk;

			memcpy(fewer, steps, at * sizeof(steps[0]));
			memcpy(fewer + at, steps + at + chunk, (left - at) * sizeof(steps[0]));
			left = live(config, fewer, left, ignored);
			if (ignored[0] == '\0') {
				at += chunk;
				continue;
			}
			memcpy(steps, fewer, left * sizeof(steps[0]));
			count = left;
		}
	}
	free(fewer);
	return count;
}

static void print_steps(const struct step *steps, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct tree_op *op = &steps[i].op;
		char text[256] = "";

		if (steps[i].kind == STEP_OP || steps[i].kind == STEP_HOLD)
			tree_op_text(op, text, sizeof(text));
		(void)fprintf(stderr,
			      "  %s%s%s, %" PRIu32 " bytes at %" PRIu32 ", tag %" PRIu64 "\n",
			      steps[i].kind == STEP_OP ? "" : step_names[steps[i].kind],
			      steps[i].kind == STEP_OP ? "" : " ", text, op->value_bytes,
			      op->offset, steps[i].tag);
	}
}

static uint64_t env_number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text == NULL || text[0] == '\0' ? otherwise : strtoull(text, NULL, 10);
}

static void test_model(void **state)
{
	static char problem_text[PROBLEM_BYTES];
	static struct step steps[LIFE_OPS];
	uint64_t seed = env_number("MODEL_SEED", 1), ops = env_number("MODEL_OPS", OPS_DEFAULT);

	(void)state;
	for (uint64_t done = 0; done < ops; done += LIFE_OPS, seed++) {
		const struct config *config = &configs[seed % ARRAY_SIZE(configs)];
		size_t count;

		make_up(seed, steps);
		count = live(config, steps, LIFE_OPS, problem_text);
		if (problem_text[0] == '\0')
			continue;
		count = shrink(config, steps, count);
		(void)live(config, steps, count, problem_text);
		(void)fprintf(stderr, "seed %" PRIu64 ", %s, %zu steps: %s\n", seed, config->name,
			      count, problem_text);
		print_steps(steps, count);
		fail_msg("alone: MODEL_SEED=%" PRIu64 " MODEL_OPS=1", seed);
	}
	print_message("%" PRIu64 " operations\n", ops);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_model) };

	/* Opening a log takes and returns large buffers. */
	(void)mallopt(M_MMAP_THRESHOLD, 64 << 20);
	(void)mallopt(M_TRIM_THRESHOLD, 256 << 20);
	return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
