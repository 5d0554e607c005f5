/* SPDX-License-Identifier: MIT */
/* Open files over a store: what is read, what goes into the log and when, and what it costs. */
#include "tests/unit/store_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuse/open/file_content.h"
#include "fuse/open/open_file.h"
#include "tests/sim/rng.h"
#include "tests/unit/store_ops.h"

#define KIB	    UINT64_C(1024)
#define MIB	    (1024 * KIB)
#define FILE_MAX    (3 * MIB)
#define RECORD_MORE 100	     /* header and key of one, at most */
#define SELF	    getpid() /* the thread that requests come from */

static struct open_files files;

static void start_files(struct store_fixture *f, uint64_t append_commit_ns)
{
	struct open_files_config config = {
		.store = f->s,
		.pending_max_bytes = OPEN_FILES_PENDING_MIN,
		.append_commit_ns = append_commit_ns,
		.append_sync = true,
	};

	open_files_init(&files, &config);
}

static int setup(void **state)
{
	store_fixture_setup(state);
	fixture_open_store(*state);
	start_files(*state, 3600000000000);
	return 0;
}

static int teardown(void **state)
{
	open_files_stop(&files);
	open_files_destroy(&files);
	return store_fixture_teardown(state);
}

/* A handle: the open file and, as the kernel has it, the node. */
struct handle {
	struct open_file *of;
	struct node *node;
};

static struct handle open_path(struct store_fixture *f, const char *path, bool truncate)
{
	const struct open_file_how how = { .truncate = truncate, .writable = true, .by = SELF };
	struct handle h;
	bool bypass;

	if (ops_find(f->s, path, &h.node) < 0)
		assert_int_equal(ops_create(f->s, path, 0644, &h.node), 0);
	h.of = open_files_get(&files, h.node);
	assert_non_null(h.of);
	assert_int_equal(open_file_open(h.of, &how, &bypass), 0);
	return h;
}

static void close_handle(struct store_fixture *f, struct handle *h, int want)
{
	uint64_t end;
	bool dropped;

	assert_int_equal(open_file_flush(h->of, SELF, &end), want);
	(void)!open_file_release(h->of, true, &dropped);
	assert_int_equal(dropped, want < 0);
	open_files_put(&files, h->of);
	store_unpin(f->s, h->node, 1);
}

static void release_ok(struct handle *h)
{
	bool dropped;

	assert_int_equal(open_file_release(h->of, true, &dropped), 0);
	assert_false(dropped);
}

/* After its release. */
static void let_go_of(struct store_fixture *f, struct handle *h)
{
	open_files_put(&files, h->of);
	store_unpin(f->s, h->node, 1);
}

static uint64_t committed_bytes(struct store_fixture *f, const char *path)
{
	return ops_attr_ok(f->s, path).size_bytes;
}

/* Bytes that differ from their neighbours; made by main(). */
static uint8_t all_bytes[FILE_MAX + 256];

static void make_bytes(void)
{
	for (size_t i = 0; i < sizeof(all_bytes); i++)
		all_bytes[i] = (uint8_t)(1 + (i * 31 + (i >> 8) * 7 + (i >> 16)) % 255);
}

static const uint8_t *some_bytes(uint64_t seed)
{
	return all_bytes + seed % 256;
}

static void write_ok(struct handle *h, const void *buf, size_t n, uint64_t offset)
{
	assert_int_equal(open_file_write(h->of, buf, n, offset, false, SELF), 0);
}

static void write_path(struct store_fixture *f, const char *path, uint64_t n, uint64_t part)
{
	struct handle h = open_path(f, path, true);

	for (uint64_t at = 0; at < n; at += part)
		write_ok(&h, some_bytes(0) + at, at + part < n ? part : n - at, at);
	close_handle(f, &h, 0);
}

static void assert_path(struct store_fixture *f, const char *path, const void *want, size_t n)
{
	struct node *node = ops_find_ok(f->s, path);
	uint8_t *got = malloc(n + 1);

	assert_non_null(got);
	assert_int_equal(store_read(f->s, node, got, n + 1, 0), n);
	assert_memory_equal(got, want, n);
	free(got);
	store_unpin(f->s, node, 1);
}

/* --- one record or pieces --- */

static const struct shape_case {
	const char *name;
	uint64_t bytes, part, pieces;
} shapes[] = {
	{ "a byte", 1, 1, 1 },
	{ "a page", 4096, 512, 1 },
	{ "just inline, in large writes", FILE_CONTENT_INLINE_BYTES, 128 * KIB, 1 },
	{ "just inline, in one write", FILE_CONTENT_INLINE_BYTES, FILE_CONTENT_INLINE_BYTES, 1 },
	{ "just inline, in odd writes", FILE_CONTENT_INLINE_BYTES, 1001, 1 },
	{ "not inline any more", FILE_CONTENT_INLINE_BYTES + 1, 128 * KIB, 5 },
	{ "large, in large writes", FILE_MAX, MIB, 12 },
	{ "large, in small writes", FILE_MAX, 4096, 12 },
	{ "large, in odd large writes", FILE_MAX, 200 * KIB, 12 },
};

static void test_shape(void **state)
{
	struct store_fixture *f = *state;
	const struct shape_case *c = f->row;
	uint64_t before;

	for (int round = 0; round < 2; round++) { /* made, and rewritten */
		before = store_end(f->s);
		write_path(f, "a", c->bytes, c->part);
		assert_path(f, "a", some_bytes(0), c->bytes);
		assert_int_equal(ops_attr_ok(f->s, "a").pieces, c->pieces);
		assert_true(store_end(f->s) - before <= c->bytes + (c->pieces + 1) * RECORD_MORE);
		assert_int_equal(open_files_pending_bytes(&files), 0);
	}
}

/* Over a value of 'before' bytes; 'max' is what the log may grow by. */
static const struct change_case {
	const char *name;
	uint64_t before, offset, bytes, max;
	int mode;   /* of fallocate(2), or one of the next; 0: a write */
	bool plain; /* it is one record afterwards */
} changes[] = {
	{ "a line to a tiny value", 5000, 5000, 100, 5300, 0, true },
	{ "a line to a small value", 100 * KIB, 100 * KIB, 100, 500, 0, false },
	{ "a page of a small value", 64 * KIB, 8192, 4096, 4500, 0, false },
	{ "most of a small value", 64 * KIB, 100, 40 * KIB, 65 * KIB, 0, true },
	{ "a line to a large value", FILE_MAX - 200, FILE_MAX - 200, 100, 500, 0, false },
	{ "a page of a large value", FILE_MAX, 8192, 4096, 4500, 0, false },
	{ "a hole in a large value", FILE_MAX, 8192, MIB, 500,
	  FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, false },
	{ "zeros in a small value", 100 * KIB, 8192, 50 * KIB, 500, FALLOC_FL_ZERO_RANGE, false },
};

static void test_change(void **state)
{
	struct store_fixture *f = *state;
	const struct change_case *c = f->row;
	uint64_t size = c->offset + c->bytes > c->before ? c->offset + c->bytes : c->before;
	uint8_t *want = malloc(size);
	struct handle h;
	uint64_t before;

	assert_non_null(want);
	memcpy(want, some_bytes(0), c->before);
	write_path(f, "a", c->before, 64 * KIB);
	before = store_end(f->s);
	h = open_path(f, "a", false);
	if (c->mode == 0) {
		write_ok(&h, some_bytes(77), c->bytes, c->offset);
		memcpy(want + c->offset, some_bytes(77), c->bytes);
	} else {
		assert_int_equal(open_file_fallocate(h.of, c->mode, c->offset, c->bytes, SELF), 0);
		memset(want + c->offset, 0, c->bytes);
	}
	close_handle(f, &h, 0);
	assert_path(f, "a", want, size);
	assert_true(store_end(f->s) - before <= c->max);
	assert_int_equal(ops_attr_ok(f->s, "a").pieces == 1, c->plain);
	if (c->mode != 0)
		assert_int_equal(ops_attr_ok(f->s, "a").data_bytes, c->before - c->bytes);
	open_files_destroy(&files);
	fixture_reopen_store(f);
	start_files(f, 1);
	assert_path(f, "a", want, size);
	free(want);
}

/* A committed value takes no memory, though the file stays open. */
static void test_commit_gives_back(void **state)
{
	struct store_fixture *f = *state;
	struct handle h = open_path(f, "a", true);
	uint64_t end;

	for (uint64_t bytes = 100; bytes <= 2 * MIB; bytes *= 27) {
		write_ok(&h, some_bytes(0), bytes, 0);
		assert_true(open_files_pending_bytes(&files) >= bytes || bytes > MIB);
		assert_int_equal(open_file_commit(h.of, &end), 0);
		assert_int_equal(open_files_pending_bytes(&files), 0);
	}
	close_handle(f, &h, 0);
}

/* truncate(2) and ftruncate(2) cost a record, not the value. */
static void test_truncate_costs_a_record(void **state)
{
	struct store_fixture *f = *state;
	struct store_set set = { 0 };
	struct handle h;
	uint64_t before, end;

	write_path(f, "a", FILE_MAX, MIB);
	before = store_end(f->s);
	h = open_path(f, "a", false);
	assert_int_equal(open_file_truncate_commit(h.of, MIB + 5, &set, &end), 0);
	assert_int_equal(end, store_end(f->s));
	assert_path(f, "a", some_bytes(0), MIB + 5);
	assert_int_equal(open_file_truncate(h.of, 2 * MIB, SELF), 0);
	close_handle(f, &h, 0);
	assert_true(store_end(f->s) - before < 300);
	assert_int_equal(ops_attr_ok(f->s, "a").size_bytes, 2 * MIB);
	assert_int_equal(ops_attr_ok(f->s, "a").data_bytes, MIB + 5);
}

static void test_sparse(void **state)
{
	const int64_t tib = INT64_C(1) << 40;
	struct store_fixture *f = *state;
	uint64_t before = store_end(f->s);
	struct store_attr attr;
	struct handle h;

	h = open_path(f, "a", true);
	assert_int_equal(open_file_truncate(h.of, (uint64_t)tib, SELF), 0);
	write_ok(&h, "x", 1, 10 * MIB);
	write_ok(&h, "y", 1, (uint64_t)tib - 1);
	for (int round = 0; round < 3; round++) { /* pending, open, and opened again */
		open_file_getattr(h.of, &attr);
		assert_int_equal(attr.size_bytes, tib);
		assert_int_equal(attr.data_bytes, 2);
		assert_int_equal(open_file_seek(h.of, true, 0), 10 * MIB);
		assert_int_equal(open_file_seek(h.of, false, 5), 5);
		assert_int_equal(open_file_seek(h.of, false, 10 * MIB), 10 * MIB + 4096);
		assert_int_equal(open_file_seek(h.of, true, 10 * MIB + 1), 10 * MIB + 1);
		assert_int_equal(open_file_seek(h.of, true, 11 * MIB), tib - 4096);
		assert_int_equal(open_file_seek(h.of, false, (uint64_t)tib - 1), tib);
		assert_int_equal(open_file_seek(h.of, true, (uint64_t)tib), -ENXIO);
		assert_int_equal(open_file_seek(h.of, false, (uint64_t)tib), -ENXIO);
		if (round == 0) {
			assert_int_equal(open_file_commit(h.of, &before), 0);
		} else if (round == 1) {
			close_handle(f, &h, 0);
			h = open_path(f, "a", false);
		}
	}
	assert_true(store_end(f->s) < 500);
	assert_int_equal(open_file_write(h.of, "x", 1, STORE_CONTENT_BYTES_MAX, false, SELF),
			 -EFBIG);
	assert_int_equal(open_file_truncate(h.of, STORE_CONTENT_BYTES_MAX + UINT64_C(1), SELF),
			 -EFBIG);
	assert_int_equal(open_file_fallocate(h.of, 0, STORE_CONTENT_BYTES_MAX, 1, SELF), -EFBIG);
	close_handle(f, &h, 0);
	assert_int_equal(ops_attr_ok(f->s, "a").size_bytes, tib);
}

/* --- many small changes --- */

/* Lines that are appended one by one, each with an open and a close. */
static void append_lines(struct store_fixture *f, const char *path, uint64_t line_bytes)
{
	const uint64_t lines = UNIT_SANITIZED ? 2500 : 10000;
	uint64_t size = FILE_MAX - line_bytes * lines, before;
	struct handle h;

	write_path(f, path, size, MIB);
	before = store_end(f->s);
	for (uint64_t i = 0; i < lines; i++, size += line_bytes) {
		h = open_path(f, path, false);
		assert_int_equal(
			open_file_write(h.of, some_bytes(0) + size, line_bytes, size, true, SELF),
			0);
		close_handle(f, &h, 0);
	}
	assert_true(store_end(f->s) - before < 1000 * lines);
	assert_true(ops_attr_ok(f->s, path).pieces < 12 + 64 + lines * line_bytes / (4 * KIB));
	assert_path(f, path, some_bytes(0), size);
}

static void test_appends_cost_what_they_are(void **state)
{
	append_lines(*state, "a", 100);
	append_lines(*state, "b", 90); /* of these a block is not full when it is gathered */
}

/* However small the writes, the pieces do not become more and more. */
static void test_pieces_are_bounded(void **state)
{
	const int writes = UNIT_SANITIZED ? 4000 : 30000;
	struct store_fixture *f = *state;
	uint8_t *want = malloc(512 * KIB);
	struct rng rng = { 5 };
	struct handle h;
	uint64_t end;

	assert_non_null(want);
	memcpy(want, some_bytes(0), 512 * KIB);
	write_path(f, "a", 512 * KIB, MIB);
	h = open_path(f, "a", false);
	for (int i = 0; i < writes; i++) {
		uint64_t at = rng_below(&rng, 512 * KIB - 10);

		memcpy(want + at, some_bytes((uint64_t)i), 10);
		write_ok(&h, want + at, 10, at);
		if (i % 10 == 0)
			assert_int_equal(open_file_commit(h.of, &end), 0);
		assert_true(ops_attr_ok(f->s, "a").pieces <= 16 * (64 + 20));
	}
	close_handle(f, &h, 0);
	assert_path(f, "a", want, 512 * KIB);
	free(want);
}

/* --- users --- */

/* One user has half of the memory at most, whatever he leaves open, and what another one has
 * pending is not moved to the log for him. */
static void test_users(void **state)
{
	enum {
		HOG = 1000,
		OTHER = 1001,
		HOGS_FILES = 24,
		SHARE = OPEN_FILES_PENDING_MIN / 2,
	};
	struct store_fixture *f = *state;
	struct handle hogs[HOGS_FILES], other;
	char path[16];
	uint64_t others_bytes;

	other = open_path(f, "other", true);
	open_file_set_user(other.of, OTHER);
	write_ok(&other, some_bytes(0), 900 * KIB, 0);
	others_bytes = open_files_user_bytes(&files, OTHER);
	assert_true(others_bytes >= 900 * KIB);
	for (int i = 0; i < HOGS_FILES; i++) {
		(void)snprintf(path, sizeof(path), "hog.%d", i);
		hogs[i] = open_path(f, path, true);
		open_file_set_user(hogs[i].of, HOG);
		for (uint64_t at = 0; at < 512 * KIB; at += 64 * KIB) {
			write_ok(&hogs[i], some_bytes(i) + at, 64 * KIB, at);
			assert_true(open_files_user_bytes(&files, HOG) <= SHARE + 128 * KIB);
		}
	}
	assert_true(open_files_user_bytes(&files, HOG) > SHARE / 2);
	assert_int_equal(open_files_user_bytes(&files, OTHER), others_bytes);

	/* Where somebody else writes on, the bytes become his. */
	open_file_set_user(hogs[0].of, OTHER);
	write_ok(&hogs[0], some_bytes(0), 64 * KIB, 512 * KIB);
	assert_true(open_files_user_bytes(&files, OTHER) > others_bytes);
	for (int i = 0; i < HOGS_FILES; i++) {
		close_handle(f, &hogs[i], 0);
		(void)snprintf(path, sizeof(path), "hog.%d", i);
		if (i > 0)
			assert_path(f, path, some_bytes(i), 512 * KIB);
	}
	close_handle(f, &other, 0);
	assert_path(f, "other", some_bytes(0), 900 * KIB);
	assert_int_equal(open_files_user_bytes(&files, HOG), 0);
	assert_int_equal(open_files_user_bytes(&files, OTHER), 0);
	assert_int_equal(open_files_pending_bytes(&files), 0);
}

/* --- failures --- */

/* A full disk while a large value streams: an error, the old content, and all well afterwards. */
static void test_disk_full(void **state)
{
	struct store_fixture *f = *state;
	struct store_set set = { 0 };
	struct store_attr attr;
	struct handle h;
	uint64_t at = 0, end;
	int err = 0;

	write_path(f, "a", 5000, 5000);
	h = open_path(f, "a", true);
	probe_fail(f->probe, IOCALL_WRITEV, FAULT_FOR_EVER, -ENOSPC);
	for (; err == 0 && at < FILE_MAX; at += 128 * KIB)
		err = open_file_write(h.of, some_bytes(0) + at, 128 * KIB, at, false, SELF);
	assert_int_equal(err, -ENOSPC);
	at -= 128 * KIB;
	assert_path(f, "a", some_bytes(0), 5000);
	assert_int_equal(open_file_commit(h.of, &end), -ENOSPC);
	assert_int_equal(open_file_truncate_commit(h.of, 4000, &set, &end), -ENOSPC);
	assert_path(f, "a", some_bytes(0), 5000);
	probe_heal(f->probe);
	for (; at < FILE_MAX; at += 128 * KIB)
		write_ok(&h, some_bytes(0) + at, 128 * KIB, at);
	close_handle(f, &h, 0);
	assert_path(f, "a", some_bytes(0), FILE_MAX);

	h = open_path(f, "a", false);
	probe_fail(f->probe, IOCALL_WRITEV, FAULT_FOR_EVER, -ENOSPC);
	assert_int_equal(open_file_truncate_commit(h.of, 4000, &set, &end), -ENOSPC);
	open_file_getattr(h.of, &attr);
	assert_int_equal(attr.size_bytes, FILE_MAX);
	write_ok(&h, "abc", 3, 7);
	close_handle(f, &h, -ENOSPC);
	probe_heal(f->probe);
	assert_path(f, "a", some_bytes(0), FILE_MAX);
	assert_int_equal(open_files_pending_bytes(&files), 0);
}

/* --- whose close commits --- */

static void flush_ok(struct handle *h, pid_t by)
{
	uint64_t end;

	assert_int_equal(open_file_flush(h->of, by, &end), 0);
}

static pid_t start_process(void)
{
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* it ends with a test that fails */
		for (;;)
			(void)pause();
	}
	return child;
}

static void end_process(pid_t child)
{
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
}

/* A child closes what it got from its parent, which has written half of the value. */
static void test_close_of_a_child(void **state)
{
	struct store_fixture *f = *state;
	pid_t child = start_process();
	struct handle h;

	write_path(f, "a", 5, 5);
	h = open_path(f, "a", true);
	write_ok(&h, "half", 4, 0);
	flush_ok(&h, child);
	assert_path(f, "a", some_bytes(0), 5);
	write_ok(&h, "half", 4, 4);
	flush_ok(&h, SELF); /* the writer's own */
	assert_path(f, "a", "halfhalf", 8);

	assert_int_equal(open_file_write(h.of, "c", 1, 8, false, child), 0);
	flush_ok(&h, SELF); /* it has written nothing of the value that is pending now */
	assert_path(f, "a", "halfhalf", 8);
	write_ok(&h, "p", 1, 9);
	flush_ok(&h, child);
	assert_path(f, "a", "halfhalfcp", 10);

	write_ok(&h, "q", 1, 10);
	flush_ok(&h, child);
	assert_path(f, "a", "halfhalfcp", 10);
	release_ok(&h); /* the last one commits, whichever process closes it */
	assert_path(f, "a", "halfhalfcpq", 11);
	let_go_of(f, &h);
	end_process(child);
}

/* A process that truncates, allocates or sets times also changes the value. */
static void test_close_after_other_changes(void **state)
{
	struct store_fixture *f = *state;
	const struct store_set set = { .which = STORE_SET_MTIME, .mtime = { .tv_sec = 7 } };
	pid_t child = start_process();
	struct handle h = open_path(f, "a", true);
	uint64_t end;

	write_ok(&h, "abc", 3, 0);
	flush_ok(&h, SELF);
	assert_int_equal(open_file_truncate(h.of, 2, child), 0);
	flush_ok(&h, SELF);
	assert_path(f, "a", "abc", 3);
	flush_ok(&h, child);
	assert_path(f, "a", "ab", 2);
	assert_int_equal(open_file_fallocate(h.of, 0, 0, 4, child), 0);
	flush_ok(&h, SELF);
	assert_path(f, "a", "ab", 2);
	flush_ok(&h, child);
	assert_path(f, "a", "ab\0\0", 4);
	close_handle(f, &h, 0);

	h = open_path(f, "a", true);
	assert_int_equal(open_file_setattr(h.of, &set, child, &end), 0);
	flush_ok(&h, SELF);
	assert_path(f, "a", "ab\0\0", 4);
	flush_ok(&h, child); /* as touch(1) */
	assert_path(f, "a", "", 0);
	close_handle(f, &h, 0);
	end_process(child);
}

/* Pages of a mapping come without a thread: they belong to the process that has opened the file. */
static void test_close_of_a_mapping(void **state)
{
	struct store_fixture *f = *state;
	pid_t child = start_process();
	struct handle h = open_path(f, "a", true), other = open_path(f, "a", false);

	assert_int_equal(open_file_write(h.of, "a", 1, 0, false, 0), 0);
	flush_ok(&h, child);
	assert_int_equal(committed_bytes(f, "a"), 0);
	flush_ok(&h, SELF);
	assert_path(f, "a", "a", 1);
	assert_int_equal(open_file_write(h.of, "b", 1, 0, false, 0), 0);
	release_ok(&h); /* it goes with its mapping, though another one is left */
	assert_path(f, "a", "b", 1);
	write_ok(&other, "c", 1, 0);
	let_go_of(f, &h);
	close_handle(f, &other, 0);
	end_process(child);
}

/* A value that a close could not commit is lost, and does not come back at the release. */
static void test_close_that_fails(void **state)
{
	struct store_fixture *f = *state;
	bool dropped;
	struct handle h;
	uint64_t end;

	write_path(f, "a", 5, 5);
	h = open_path(f, "a", true);
	write_ok(&h, "new", 3, 0);
	probe_fail(f->probe, IOCALL_WRITEV, FAULT_FOR_EVER, -ENOSPC);
	assert_int_equal(open_file_flush(h.of, SELF, &end), -ENOSPC);
	probe_heal(f->probe);
	assert_int_equal(open_file_release(h.of, true, &dropped), -ENOSPC);
	assert_true(dropped);
	assert_path(f, "a", some_bytes(0), 5);
	let_go_of(f, &h);

	/* Unless something is written again, or somebody asks for it. */
	h = open_path(f, "a", true);
	write_ok(&h, "new", 3, 0);
	probe_fail(f->probe, IOCALL_WRITEV, FAULT_FOR_EVER, -ENOSPC);
	assert_int_equal(open_file_flush(h.of, SELF, &end), -ENOSPC);
	probe_heal(f->probe);
	write_ok(&h, "est", 3, 3);
	release_ok(&h);
	assert_path(f, "a", "newest", 6);
	let_go_of(f, &h);

	h = open_path(f, "a", true);
	write_ok(&h, "old", 3, 0);
	probe_fail(f->probe, IOCALL_WRITEV, FAULT_FOR_EVER, -ENOSPC);
	assert_int_equal(open_file_flush(h.of, SELF, &end), -ENOSPC);
	probe_heal(f->probe);
	assert_int_equal(open_file_commit(h.of, &end), 0);
	assert_path(f, "a", "old", 3);
	close_handle(f, &h, 0);
}

/* It is unknown whether the writer, which has ended, was of the process that closes the file: its
 * close commits, but not once more if that has failed. */
static void test_close_that_fails_of_an_ended_writer(void **state)
{
	struct store_fixture *f = *state;
	pid_t writer = start_process();
	bool dropped;
	struct handle h;
	uint64_t end;

	write_path(f, "a", 5, 5);
	h = open_path(f, "a", true);
	assert_int_equal(open_file_write(h.of, "new", 3, 0, false, writer), 0);
	end_process(writer);
	probe_fail(f->probe, IOCALL_WRITEV, FAULT_FOR_EVER, -ENOSPC);
	assert_int_equal(open_file_flush(h.of, SELF, &end), -ENOSPC);
	probe_heal(f->probe);
	flush_ok(&h, SELF);
	assert_path(f, "a", some_bytes(0), 5);
	assert_int_equal(open_file_release(h.of, true, &dropped), -ENOSPC);
	assert_true(dropped);
	assert_path(f, "a", some_bytes(0), 5);
	let_go_of(f, &h);
}

/* Nor does the committer take it. */
static void test_append_that_fails(void **state)
{
	struct store_fixture *f = *state;
	struct handle h, other;
	uint64_t end;

	write_path(f, "a", 5, 5);
	h = open_path(f, "a", false);
	other = open_path(f, "a", false);
	assert_int_equal(open_file_write(h.of, "x", 1, 5, true, SELF), 0);
	probe_fail(f->probe, IOCALL_WRITEV, FAULT_FOR_EVER, -ENOSPC);
	assert_int_equal(open_file_flush(h.of, SELF, &end), -ENOSPC);
	probe_heal(f->probe);
	assert_int_equal(open_files_start(&files), 0);
	open_files_stop(&files);
	assert_path(f, "a", some_bytes(0), 5);
	assert_int_equal(open_file_commit(other.of, &end), 0);
	close_handle(f, &h, 0);
	close_handle(f, &other, 0);
}

/* --- the end of the mount --- */

static void count_lost(void *arg, struct node *n, int err)
{
	assert_ptr_equal(n, ((struct handle *)arg)->node);
	assert_int_equal(err, -ENOSPC);
}

static void test_commit_all(void **state)
{
	struct store_fixture *f = *state;
	struct handle written, emptied, made, failed, read;
	struct open_files_end all;
	uint64_t end;

	write_path(f, "emptied", 5, 5);
	write_path(f, "failed", 5, 5);
	write_path(f, "read", 5, 5);
	failed = open_path(f, "failed", true);
	write_ok(&failed, "x", 1, 0);
	probe_fail(f->probe, IOCALL_WRITEV, FAULT_FOR_EVER, -ENOSPC);
	assert_int_equal(open_file_flush(failed.of, SELF, &end), -ENOSPC);
	probe_heal(f->probe);
	written = open_path(f, "written", true);
	write_ok(&written, "half", 4, 0);
	emptied = open_path(f, "emptied", true);
	made = open_path(f, "made", false);
	read = open_path(f, "read", false);
	open_files_commit_all(&files, count_lost, &failed, &all);
	assert_int_equal(all.committed, 3);
	assert_int_equal(all.lost, 1);
	assert_path(f, "written", "half", 4);
	assert_path(f, "emptied", "", 0);
	assert_true(ops_attr_ok(f->s, "made").committed);
	assert_path(f, "failed", some_bytes(0), 5);
	assert_path(f, "read", some_bytes(0), 5);
	assert_int_equal(open_file_commit(failed.of, &end), 0);
	close_handle(f, &written, 0);
	close_handle(f, &emptied, 0);
	close_handle(f, &made, 0);
	close_handle(f, &failed, 0);
	close_handle(f, &read, 0);
}

/* --- without a name --- */

static void test_unlinked(void **state)
{
	struct store_fixture *f = *state;
	uint8_t *got = malloc(FILE_MAX);
	struct store_attr attr;
	struct handle h;
	uint64_t end;

	assert_non_null(got);
	write_path(f, "a", 2 * MIB, MIB);
	h = open_path(f, "a", false);
	write_ok(&h, "before", 6, 10);
	assert_int_equal(ops_unlink(f->s, "a"), 0);
	assert_int_equal(open_file_commit(h.of, &end), 0);
	for (uint64_t at = 2 * MIB; at < FILE_MAX; at += 256 * KIB)
		write_ok(&h, some_bytes(0) + at, 256 * KIB, at);
	assert_int_equal(open_file_commit(h.of, &end), 0);
	open_file_getattr(h.of, &attr);
	assert_int_equal(attr.size_bytes, FILE_MAX);
	assert_int_equal(open_file_read(h.of, got, FILE_MAX, 0), FILE_MAX);
	assert_memory_equal(got + 10, "before", 6);
	memcpy(got + 10, some_bytes(0) + 10, 6);
	assert_memory_equal(got, some_bytes(0), FILE_MAX);
	close_handle(f, &h, 0);
	free(got);
}

/* --- against arrays --- */

#define MODELS	     3
#define MODEL_STEPS  (UNIT_SANITIZED ? 250 : 900)
#define MODEL_WRITES (300 * KIB)

/* A file, what it should be, and what the log should have of it. */
struct model {
	char path[8];
	struct handle h;
	uint8_t *bytes, *committed; /* FILE_MAX each, zeros behind the end */
	uint64_t size, committed_size;
	bool awaits_content;
};

static void model_commit(struct model *m)
{
	memcpy(m->committed, m->bytes, FILE_MAX);
	m->committed_size = m->size;
}

static void model_write(struct model *m, struct rng *rng)
{
	uint64_t n = 1 + rng_below(rng, rng_chance(rng, 30) ? MODEL_WRITES : 3000);
	uint64_t at = rng_chance(rng, 30) ? m->size : rng_below(rng, FILE_MAX - n);

	if (at + n > FILE_MAX)
		return;
	memcpy(m->bytes + at, some_bytes(rng_next(rng)), n);
	write_ok(&m->h, m->bytes + at, n, at);
	m->size = at + n > m->size ? at + n : m->size;
}

static void model_set_size(struct model *m, struct rng *rng)
{
	uint64_t size = rng_chance(rng, 20) ? 0 : rng_below(rng, FILE_MAX), end;
	struct store_set set = { 0 };

	if (size < m->size)
		memset(m->bytes + size, 0, m->size - size);
	m->size = size;
	if (rng_chance(rng, 70)) {
		assert_int_equal(open_file_truncate(m->h.of, size, SELF), 0);
		return;
	}
	assert_int_equal(open_file_truncate_commit(m->h.of, size, &set, &end), 0);
	model_commit(m);
}

static void model_zero(struct model *m, struct rng *rng)
{
	uint64_t at = rng_below(rng, FILE_MAX), n = 1 + rng_below(rng, FILE_MAX - at);
	bool extends = rng_chance(rng, 50);
	int mode = extends ? FALLOC_FL_ZERO_RANGE : FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	if (rng_chance(rng, 70))
		n = 1 + rng_below(rng, n < 5000 ? n : 5000);
	memset(m->bytes + at, 0, n);
	if (extends && at + n > m->size)
		m->size = at + n;
	assert_int_equal(open_file_fallocate(m->h.of, mode, at, n, SELF), 0);
}

static void model_check(struct model *m, struct rng *rng)
{
	static uint8_t got[FILE_MAX];
	uint64_t at = rng_below(rng, FILE_MAX), n = rng_below(rng, FILE_MAX - at), want = 0;
	struct store_attr attr;
	int64_t found;

	if (at < m->size)
		want = m->size - at < n ? m->size - at : n;
	assert_int_equal(open_file_read(m->h.of, got, n, at), want);
	if (want > 0)
		assert_memory_equal(got, m->bytes + at, want);
	open_file_getattr(m->h.of, &attr);
	assert_int_equal(attr.size_bytes, m->size);
	assert_true(attr.data_bytes <= m->size);
	/* Up to the next data there are zeros. */
	found = open_file_seek(m->h.of, true, at);
	if (at >= m->size) {
		assert_int_equal(found, -ENXIO);
		return;
	}
	for (uint64_t i = at; i < (found < 0 ? m->size : (uint64_t)found); i++)
		assert_int_equal(m->bytes[i], 0);
	found = open_file_seek(m->h.of, false, at);
	assert_true(found >= (int64_t)at && found <= (int64_t)m->size);
	for (uint64_t i = (uint64_t)found; i < m->size && (i == (uint64_t)found || i % 4096 != 0);
	     i++)
		assert_int_equal(m->bytes[i], 0);
	assert_true(open_files_pending_bytes(&files) <= OPEN_FILES_PENDING_MIN + MIB);
}

static void model_reopen(struct store_fixture *f, struct model *m)
{
	close_handle(f, &m->h, 0);
	model_commit(m);
	assert_path(f, m->path, m->bytes, m->size);
	m->h = open_path(f, m->path, false);
}

/* The daemon dies: what was committed is there. */
static void models_crash(struct store_fixture *f, struct model models[MODELS])
{
	open_files_destroy(&files);
	fixture_reopen_store(f);
	start_files(f, 1);
	for (int i = 0; i < MODELS; i++) {
		struct model *m = &models[i];

		memcpy(m->bytes, m->committed, FILE_MAX);
		m->size = m->committed_size;
		assert_path(f, m->path, m->bytes, m->size);
		m->h = open_path(f, m->path, false);
	}
}

static void model_step(struct store_fixture *f, struct model *m, struct rng *rng)
{
	uint64_t end;

	switch (rng_below(rng, 20)) {
	case 0:
		model_set_size(m, rng);
		break;
	case 1:
	case 2:
		model_zero(m, rng);
		break;
	case 3:
		model_reopen(f, m);
		break;
	case 4:
		assert_int_equal(open_file_commit(m->h.of, &end), 0);
		model_commit(m);
		break;
	case 5: /* all that is pending goes to the log, and not into the files */
		assert_int_equal(budget_take(&files.budget, OPEN_FILES_PENDING_MIN), 0);
		budget_give(&files.budget, OPEN_FILES_PENDING_MIN);
		assert_int_equal(open_files_pending_bytes(&files), 0);
		break;
	default:
		model_write(m, rng);
		break;
	}
	model_check(m, rng);
}

static void test_random(void **state)
{
	struct store_fixture *f = *state;
	struct model models[MODELS] = { 0 };
	struct rng rng = { 42 };

	for (int i = 0; i < MODELS; i++) {
		struct model *m = &models[i];

		(void)snprintf(m->path, sizeof(m->path), "m%d", i);
		m->bytes = calloc(1, FILE_MAX);
		m->committed = calloc(1, FILE_MAX);
		assert_true(m->bytes != NULL && m->committed != NULL);
		m->h = open_path(f, m->path, true);
		model_reopen(f, m);
	}
	for (int step = 0; step < MODEL_STEPS; step++) {
		model_step(f, &models[rng_below(&rng, MODELS)], &rng);
		if (rng_chance(&rng, 2))
			models_crash(f, models);
	}
	for (int i = 0; i < MODELS; i++) {
		close_handle(f, &models[i].h, 0);
		free(models[i].bytes);
		free(models[i].committed);
	}
	assert_int_equal(open_files_pending_bytes(&files), 0);
}

/* --- many at once --- */

#define WRITERS	     4
#define WRITER_FILES 6

struct writer {
	pthread_t thread;
	struct store_fixture *f;
	struct handle handles[WRITER_FILES];
	uint64_t most; /* pending bytes that it has seen */
};

/* Writes to its files in turn, so that all of them stay pending. */
static void *writer_main(void *arg)
{
	struct writer *w = arg;

	for (uint64_t at = 0; at < MIB; at += 48 * KIB) {
		for (int i = 0; i < WRITER_FILES; i++) {
			uint64_t n = MIB - at < 48 * KIB ? MIB - at : 48 * KIB, pending;

			write_ok(&w->handles[i], some_bytes((uint64_t)i) + at, n, at);
			pending = open_files_pending_bytes(&files);
			w->most = pending > w->most ? pending : w->most;
		}
	}
	return NULL;
}

/* More than may be pending: nobody fails, nobody waits for ever. */
static void test_pending_is_bounded(void **state)
{
	struct store_fixture *f = *state;
	struct writer writers[WRITERS] = { 0 };

	for (int i = 0; i < WRITERS; i++) {
		writers[i].f = f;
		for (int j = 0; j < WRITER_FILES; j++)
			writers[i].handles[j] = open_path(f, unit_path("w%d-%d", i, j), true);
		assert_int_equal(pthread_create(&writers[i].thread, NULL, writer_main, &writers[i]),
				 0);
	}
	for (int i = 0; i < WRITERS; i++) {
		assert_int_equal(pthread_join(writers[i].thread, NULL), 0);
		assert_true(writers[i].most <= OPEN_FILES_PENDING_MIN + WRITERS * MIB);
		assert_true(writers[i].most > OPEN_FILES_PENDING_MIN / 4);
	}
	for (int i = 0; i < WRITERS; i++) {
		for (int j = 0; j < WRITER_FILES; j++) {
			close_handle(f, &writers[i].handles[j], 0);
			assert_path(f, unit_path("w%d-%d", i, j), some_bytes((uint64_t)j), MIB);
			/* It was spilled, and is one record all the same. */
			assert_int_equal(ops_attr_ok(f->s, unit_path("w%d-%d", i, j)).pieces, 1);
		}
	}
	assert_int_equal(open_files_pending_bytes(&files), 0);
}

/* --- files that stay open --- */

static bool is_durable(struct store_fixture *f)
{
	struct store_stats stats;

	store_stats(f->s, &stats);
	return stats.log.durable_position == stats.log.end_position;
}

static void test_appends_are_committed(void **state)
{
	struct store_fixture *f = *state;
	struct handle log, other;

	open_files_destroy(&files);
	start_files(f, 20000000);
	assert_int_equal(open_files_start(&files), 0);
	log = open_path(f, "log", true);
	other = open_path(f, "other", true);
	for (uint64_t at = 0; at < 3000; at += 1000) {
		assert_int_equal(open_file_write(log.of, some_bytes(0) + at, 1000, at, true, SELF),
				 0);
		write_ok(&other, "x", 1, at);
		WAIT_FOR(committed_bytes(f, "log") == at + 1000);
	}
	assert_path(f, "log", some_bytes(0), 3000);
	WAIT_FOR(is_durable(f));
	assert_int_equal(committed_bytes(f, "other"), 0); /* nobody has closed it */
	open_files_stop(&files);
	assert_int_equal(open_file_write(log.of, "y", 1, 3000, true, SELF), 0);
	close_handle(f, &log, 0);
	close_handle(f, &other, 0);
}

/* Appends whose time has not come are committed by the end of the mount. */
static void test_appends_at_the_end(void **state)
{
	struct store_fixture *f = *state;
	struct handle log;

	assert_int_equal(open_files_start(&files), 0);
	log = open_path(f, "log", true);
	assert_int_equal(open_file_write(log.of, "line\n", 5, 0, true, SELF), 0);
	assert_int_equal(committed_bytes(f, "log"), 0);
	open_files_stop(&files);
	assert_path(f, "log", "line\n", 5);
	close_handle(f, &log, 0);
}

static bool open_with(struct open_file *of, bool wants_bypass)
{
	const struct open_file_how how = { .wants_bypass = wants_bypass, .by = SELF };
	bool bypass;

	assert_int_equal(open_file_open(of, &how, &bypass), 0);
	return bypass;
}

static void release(struct open_file *of)
{
	bool dropped;

	assert_int_equal(open_file_release(of, false, &dropped), 0);
}

/* Handles with pages and handles without do not mix: a page that one of the former brings in would
 * stay when one of the latter writes past it. */
static void test_modes_do_not_mix(void **state)
{
	struct store_fixture *f = *state;
	struct handle h = open_path(f, "a", false);
	struct open_file *of = h.of;

	assert_false(open_with(of, true)); /* the first one has pages */
	assert_false(open_file_has_stale_pages(of));
	release(of);
	release(of);
	assert_true(open_with(of, true));
	assert_false(open_file_has_stale_pages(of)); /* nobody else could have any */
	assert_true(open_with(of, false));
	assert_true(open_file_has_stale_pages(of));
	release(of);
	assert_true(open_file_has_stale_pages(of)); /* a mapping can outlive its descriptor */
	assert_true(open_with(of, true));
	release(of);
	release(of);
	assert_false(open_with(of, false)); /* a new life */
	assert_false(open_file_has_stale_pages(of));
	close_handle(f, &h, 0);
}

/* --- values for the kernel's pages --- */

struct shown {
	size_t calls, bytes;
	struct open_file *of; /* to be opened for writing while the value is shown; or NULL */
	pthread_t writer;
	atomic_bool tries, has_opened;
};

static void *open_for_writing(void *arg)
{
	const struct open_file_how how = { .writable = true, .by = SELF };
	struct shown *s = arg;
	bool bypass;

	atomic_store(&s->tries, true);
	assert_int_equal(open_file_open(s->of, &how, &bypass), 0);
	atomic_store(&s->has_opened, true);
	return NULL;
}

static void note_shown(void *arg, void *value, size_t n)
{
	struct shown *s = arg;

	s->calls++;
	s->bytes = n;
	assert_memory_equal(value, some_bytes(0), n);
	if (s->of == NULL)
		return;
	assert_int_equal(pthread_create(&s->writer, NULL, open_for_writing, s), 0);
	while (!atomic_load(&s->tries))
		(void)usleep(1000);
	(void)usleep(20000); /* time enough for a wrong open; a right one takes until later */
	assert_false(atomic_load(&s->has_opened));
}

/* Opens for reading, shows, and closes again.  Returns the number of bytes that were shown. */
static size_t shown_bytes(struct store_fixture *f, const char *path)
{
	struct shown s = { 0 };
	struct node *n = ops_find_ok(f->s, path);
	struct open_file *of = open_files_get(&files, n);

	(void)open_with(of, false);
	open_file_show_unread(of, note_shown, &s);
	release(of);
	open_files_put(&files, of);
	store_unpin(f->s, n, 1);
	assert_int_equal(s.calls, s.bytes > 0);
	return s.bytes;
}

static void remount(struct store_fixture *f)
{
	open_files_stop(&files);
	open_files_destroy(&files);
	fixture_reopen_store(f);
	start_files(f, 3600000000000);
}

static void test_show_unread(void **state)
{
	struct store_fixture *f = *state;
	struct handle h;

	write_path(f, "a", 6000, 6000);
	write_path(f, "open", 5000, 5000);
	write_path(f, "large", OPEN_FILE_SHOW_BYTES_MAX + 1, 70000);
	write_path(f, "empty", 0, 1);
	assert_int_equal(shown_bytes(f, "a"), 0); /* written in this mount */
	remount(f);
	assert_int_equal(shown_bytes(f, "a"), 6000);
	assert_int_equal(shown_bytes(f, "a"), 0);
	assert_int_equal(shown_bytes(f, "large"), 0);
	assert_int_equal(shown_bytes(f, "empty"), 0);
	h = open_path(f, "open", false);
	assert_int_equal(shown_bytes(f, "open"), 0); /* a mapping may have changed pages */
	close_handle(f, &h, 0);
	assert_int_equal(shown_bytes(f, "open"), 5000);
}

/* Pages that a writer changes would be overwritten by the old value. */
static void test_no_writer_while_shown(void **state)
{
	struct store_fixture *f = *state;
	struct shown s = { 0 };
	struct node *n;

	write_path(f, "a", 6000, 6000);
	remount(f);
	n = ops_find_ok(f->s, "a");
	s.of = open_files_get(&files, n);
	(void)open_with(s.of, false);
	open_file_show_unread(s.of, note_shown, &s);
	assert_int_equal(s.calls, 1);
	assert_int_equal(pthread_join(s.writer, NULL), 0);
	assert_true(atomic_load(&s.has_opened));
	release_ok(&(struct handle){ s.of, n });
	release(s.of);
	open_files_put(&files, s.of);
	store_unpin(f->s, n, 1);
}

int main(void)
{
	static const struct CMUnitTest fixed[] = {
		cmocka_unit_test(test_commit_gives_back),
		cmocka_unit_test(test_truncate_costs_a_record),
		cmocka_unit_test(test_sparse),
		cmocka_unit_test(test_appends_cost_what_they_are),
		cmocka_unit_test(test_pieces_are_bounded),
		cmocka_unit_test(test_users),
		cmocka_unit_test(test_disk_full),
		cmocka_unit_test(test_unlinked),
		cmocka_unit_test(test_close_of_a_child),
		cmocka_unit_test(test_close_after_other_changes),
		cmocka_unit_test(test_close_of_a_mapping),
		cmocka_unit_test(test_close_that_fails),
		cmocka_unit_test(test_close_that_fails_of_an_ended_writer),
		cmocka_unit_test(test_append_that_fails),
		cmocka_unit_test(test_commit_all),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_pending_is_bounded),
		cmocka_unit_test(test_appends_are_committed),
		cmocka_unit_test(test_appends_at_the_end),
		cmocka_unit_test(test_modes_do_not_mix),
		cmocka_unit_test(test_show_unread),
		cmocka_unit_test(test_no_writer_while_shown),
	};
	static struct CMUnitTest
		tests[ARRAY_SIZE(shapes) + ARRAY_SIZE(changes) + ARRAY_SIZE(fixed)];
	size_t n = 0;

	make_bytes();
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++)
		tests[n++] =
			(struct CMUnitTest){ unit_name("shape: %s", shapes[i].name), test_shape,
					     setup, teardown, (void *)(uintptr_t)&shapes[i] };
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++)
		tests[n++] =
			(struct CMUnitTest){ unit_name("change: %s", changes[i].name), test_change,
					     setup, teardown, (void *)(uintptr_t)&changes[i] };
	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++) {
		tests[n] = fixed[i];
		tests[n].setup_func = setup;
		tests[n++].teardown_func = teardown;
	}
	return unit_run("open_file", tests, n);
}
