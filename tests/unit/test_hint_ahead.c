/* SPDX-License-Identifier: MIT */
/* Hints are read by another thread while the segment before is replayed, and the replay is the same
 * as without hints, whichever of them is wrong. */
#include "tests/unit/unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "codec/crc32.h"
#include "writer/log/names.h"
#include "writer/log_writer.h"

#define SEGMENT_BYTES (2 * 1024 * 1024)
#define VALUE_BYTES   1000
#define RECORDS	      9000 /* 4 sealed segments and the active one */
#define SEALED	      4

/* --- an io that tells which threads open hints --- */

struct watch {
	struct io io; /* first, for 'watch_of' */
	struct io_ops ops;
	pthread_t caller;
	atomic_uint by_caller, by_others; /* hints of sealed segments that were opened */
};

static int watched_open(struct io *io, int dir_fd, const char *path, int flags, mode_t mode)
{
	struct watch *w = (struct watch *)io;
	struct segment_id id;
	bool temp;

	if (hint_name_parse(path, &id, &temp) && !temp && strcmp(path, "active.hint") != 0)
		(void)atomic_fetch_add(pthread_equal(pthread_self(), w->caller) ? &w->by_caller
										: &w->by_others,
				       1);
	return io_posix.ops->open(&io_posix, dir_fd, path, flags, mode);
}

static struct watch *watch_new(void)
{
	struct watch *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->ops = *io_posix.ops;
	w->ops.open = watched_open;
	w->io.ops = &w->ops;
	w->caller = pthread_self();
	return w;
}

/* --- a log --- */

/* All records that a replay passes on: their number, and the CRC of their keys and positions. */
struct replayed {
	size_t records;
	uint32_t crc;
};

static int add(void *arg, const struct log_entry *entries, size_t entry_count, struct diag *diag)
{
	struct replayed *r = arg;

	for (size_t i = 0; i < entry_count; i++) {
		const struct log_entry *e = &entries[i];

		r->crc = crc32_extend(r->crc, e->rec.key, e->rec.key_bytes);
		r->crc = crc32_extend(r->crc, &e->offset, sizeof(e->offset));
		r->crc = crc32_extend(r->crc, &e->rec.timestamp_ns, sizeof(e->rec.timestamp_ns));
	}
	r->records += entry_count;
	return 0;
}

struct opening {
	bool ignore_hints, read_only;
	uint64_t until_ns;
};

static struct log_writer *open_log(struct watch *w, const char *dir, struct opening how,
				   struct replayed *ret, struct log_recovery *ret_recovery)
{
	const struct log_writer_config config = {
		.file_path = unit_path("%s/active.data", dir),
		.fsync_interval_ns = LOG_WRITER_NEVER,
		.buffer_size_bytes = 1 << 20,
		.segment_size_bytes = SEGMENT_BYTES,
		.ignore_hints = how.ignore_hints,
		.read_only = how.read_only,
		.until_ns = how.until_ns,
		.no_background = true,
		.io = &w->io,
	};
	struct log_writer *log;
	struct diag diag = { "" };

	*ret = (struct replayed){ 0 };
	w->by_caller = w->by_others = 0;
	if (log_writer_open_replay(&config, add, ret, &log, ret_recovery, &diag) < 0)
		fail_msg("open: %s", diag.text);
	return log;
}

/* Makes a log of SEALED sealed segments with hints.  Returns how many. */
static uint64_t make_log(struct watch *w, const char *dir)
{
	static uint8_t value[VALUE_BYTES];
	struct log_recovery recovery;
	struct replayed got;
	char key[32];
	struct log_writer *log = open_log(w, dir, (struct opening){ 0 }, &got, &recovery);

	for (unsigned int i = 0; i < RECORDS; i++) {
		int bytes = snprintf(key, sizeof(key), "key%07u", i);

		assert_int_equal(
			log_writer_put(log, key, (uint32_t)bytes, value, VALUE_BYTES, NULL), 0);
	}
	assert_int_equal(log_writer_close(log), 0);
	/* The next open seals the segments and makes their hints. */
	log = open_log(w, dir, (struct opening){ 0 }, &got, &recovery);
	assert_int_equal(log_writer_close(log), 0);
	assert_int_equal(got.records, RECORDS);
	return recovery.segments;
}

static const char *hint_path(const char *dir, unsigned int number)
{
	return unit_path("%s/%06u.hint", dir, number);
}

/* --- wrong hints --- */

static void leave(const char *dir, unsigned int number)
{
	(void)dir;
	(void)number;
}

static void flip_a_bit(const char *dir, unsigned int number)
{
	struct unit_file f = unit_read_file(hint_path(dir, number));

	f.data[f.bytes / 2] ^= 1;
	unit_write_file(hint_path(dir, number), f.data, f.bytes);
	free(f.data);
}

static void cut(const char *dir, unsigned int number)
{
	const char *path = hint_path(dir, number);

	assert_int_equal(truncate(path, (off_t)unit_file_bytes(path) - 1), 0);
}

static void drop(const char *dir, unsigned int number)
{
	assert_int_equal(unlink(hint_path(dir, number)), 0);
}

static void take_from_another(const char *dir, unsigned int number)
{
	struct unit_file f = unit_read_file(hint_path(dir, number % SEALED + 1));

	unit_write_file(hint_path(dir, number), f.data, f.bytes);
	free(f.data);
}

static const struct damage {
	const char *name;
	void (*damage)(const char *dir, unsigned int number);
	unsigned int lost; /* hints that are not used */
} damages[] = {
	{ "all hints are right", leave, 0 },
	{ "a bit of a hint is wrong", flip_a_bit, 1 },
	{ "a hint is short", cut, 1 },
	{ "a hint is missing", drop, 1 },
	{ "a hint of another segment", take_from_another, 1 },
};

static void test_same_result(void **state)
{
	const char *dir = unit_tmpdir();
	const struct damage *d = *state;
	struct watch *w = watch_new();
	struct replayed want, got;
	struct log_recovery recovery;

	assert_int_equal(make_log(w, dir), SEALED);
	for (unsigned int number = 1; number <= SEALED; number++) {
		struct opening all = { .read_only = true, .ignore_hints = true };

		assert_int_equal(log_writer_close(open_log(w, dir, all, &want, &recovery)), 0);
		assert_int_equal(want.records, RECORDS);
		assert_int_equal(recovery.hints, 0);
		assert_int_equal(w->by_caller + w->by_others, 0);
		d->damage(dir, number);
		/* A writer makes the hint again. */
		assert_int_equal(
			log_writer_close(open_log(w, dir, (struct opening){ 0 }, &got, &recovery)),
			0);
		assert_int_equal(got.records, want.records);
		assert_int_equal(got.crc, want.crc);
		assert_int_equal(recovery.hints, SEALED + 1 - d->lost);
		assert_int_equal(w->by_caller, 1); /* the first one */
		assert_int_equal(w->by_others, SEALED - 1);
	}
	free(w);
	unit_tmpdir_remove((char *)(uintptr_t)dir);
}

/* A replay that ends in the first segment does not need the hint that is being read. */
static void test_until(void **state)
{
	char *dir = unit_tmpdir();
	struct watch *w = watch_new();
	struct log_recovery recovery;
	struct replayed all, got;
	struct opening how = { .read_only = true };

	assert_int_equal(make_log(w, dir), SEALED);
	assert_int_equal(log_writer_close(open_log(w, dir, how, &all, &recovery)), 0);
	how.until_ns = 1; /* before all of them */
	assert_int_equal(log_writer_close(open_log(w, dir, how, &got, &recovery)), 0);
	assert_int_equal(got.records, 0);
	assert_int_equal(w->by_caller + w->by_others, 2);
	free(w);
	unit_tmpdir_remove(dir);
}

int main(void)
{
	static struct CMUnitTest tests[1 + ARRAY_SIZE(damages)] = {
		{ "a replay that ends early", test_until, NULL, NULL, NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(damages); i++)
		tests[1 + i] = (struct CMUnitTest){ damages[i].name, test_same_result, NULL, NULL,
						    (void *)(uintptr_t)&damages[i] };
	return unit_run("hint_ahead", tests, ARRAY_SIZE(tests));
}
