/* SPDX-License-Identifier: MIT */
/* Values in pieces: staging, publishing, reading them, and what they cost. */
#include "tests/unit/store_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "codec/meta.h"
#include "tests/sim/rng.h"
#include "tests/unit/store_ops.h"

#define MIB	  (UINT64_C(1024) * 1024)
#define FILE_MAX  100000
#define SEEDS	  4
#define STEPS	  120
#define PIECE_MAX (256 * 1024)

static const struct timespec written = { .tv_sec = 1700000000, .tv_nsec = 5 };

static struct node *make_file(struct store *s, const char *path)
{
	struct node *n;

	assert_int_equal(ops_create(s, path, 0644, &n), 0);
	return n;
}

static void stage(struct store *s, struct store_staging **st, uint64_t offset, const char *text)
{
	struct store_range range = { offset, strlen(text), text };

	assert_int_equal(store_stage(s, st, &range, 1), 0);
}

static void stage_hole(struct store *s, struct store_staging **st, uint64_t offset, uint64_t bytes)
{
	struct store_range range = { offset, bytes, NULL };

	assert_int_equal(store_stage(s, st, &range, 1), 0);
}

static int try_publish(struct store *s, struct node *n, struct store_staging **st, bool keep,
		       uint64_t size)
{
	uint64_t end = 1;
	int err = store_publish(
		s, n, st,
		&(struct store_content){ .keep = keep, .bytes = size, .written_at = written },
		&end);

	if (err == 0 && end > 0)
		assert_int_equal(end, store_end(s));
	return err;
}

static void publish(struct store *s, struct node *n, struct store_staging **st, bool keep,
		    uint64_t size)
{
	assert_int_equal(try_publish(s, n, st, keep, size), 0);
	assert_null(*st);
}

static struct store_stats stats_of(struct store *s)
{
	struct store_stats stats;

	store_stats(s, &stats);
	return stats;
}

static void test_publish(void **state)
{
	struct store_fixture *f = *state;
	struct store_staging *st = NULL;
	struct node *n;

	fixture_open_store(f);
	n = make_file(f->s, "a");
	stage(f->s, &st, 3, "def");
	stage(f->s, &st, 0, "abc");
	assert_tree(f->s, "f a="); /* nobody sees it */
	publish(f->s, n, &st, false, 6);
	assert_tree(f->s, "f a=abcdef");
	stage(f->s, &st, 1, "XX");
	stage_hole(f->s, &st, 4, 1);
	publish(f->s, n, &st, true, 8);
	assert_tree(f->s, "f a=aXXd.f..");
	publish(f->s, n, &st, true, 2);
	publish(f->s, n, &st, true, 4);
	assert_tree(f->s, "f a=aX..");
	store_unpin(f->s, n, 1);
	fixture_reopen_store(f);
	assert_tree(f->s, "f a=aX..");
}

/* Nothing that is staged and not published is there after a remount, nor in the way of others. */
static void test_discard(void **state)
{
	struct store_fixture *f = *state;
	struct store_staging *a = NULL, *b = NULL;
	struct node *n;

	fixture_open_store(f);
	ops_write_ok(f->s, "a", "old");
	n = ops_find_ok(f->s, "a");
	stage(f->s, &a, 0, "never");
	stage(f->s, &b, 0, "seen");
	store_staging_free(a);
	a = NULL;
	store_staging_free(b);
	b = NULL;
	fixture_close_store(f); /* the pin is void */
	fixture_open_store(f);
	assert_tree(f->s, "f a=old");
	n = ops_find_ok(f->s, "a");
	stage(f->s, &a, 0, "new");
	publish(f->s, n, &a, false, 3);
	store_unpin(f->s, n, 1);
	fixture_reopen_store(f);
	assert_tree(f->s, "f a=new");
}

/* A plain commit over pieces, and pieces over a plain record. */
static void test_plain_and_pieces(void **state)
{
	struct store_fixture *f = *state;
	struct store_staging *st = NULL;
	struct node *n;

	fixture_open_store(f);
	ops_write_ok(f->s, "a", "0123456789");
	n = ops_find_ok(f->s, "a");
	stage(f->s, &st, 10, "tail");
	publish(f->s, n, &st, true, 14);
	assert_tree(f->s, "f a=0123456789tail");
	assert_int_equal(ops_attr_ok(f->s, "a").pieces, 2);
	ops_write_ok(f->s, "a", "plain");
	assert_tree(f->s, "f a=plain");
	assert_int_equal(ops_attr_ok(f->s, "a").pieces, 1);
	stage(f->s, &st, 0, "P");
	publish(f->s, n, &st, true, 5);
	assert_int_equal(ops_commit(f->s, n, "", NULL), 0);
	assert_tree(f->s, "f a=");
	store_unpin(f->s, n, 1);
	fixture_reopen_store(f);
	assert_tree(f->s, "f a=");
}

/* store_publish() does the same things around a publish as store_commit() around a value. */
static void test_attributes(void **state)
{
	struct store_fixture *f = *state;
	struct store_set set = { .which = STORE_SET_MODE | STORE_SET_MTIME,
				 .mode = 0700,
				 .mtime = { 12345, 6 } };
	struct store_staging *st = NULL;
	struct store_attr attr;
	struct node *n;
	uint64_t end;

	fixture_open_store(f);
	assert_int_equal(ops_create(f->s, "a", 0600, &n), 0);
	stage(f->s, &st, 0, "abc");
	assert_int_equal(store_publish(f->s, n, &st,
				       &(struct store_content){ .bytes = 3,
								.written_at = written,
								.written_at_shown = true },
				       &end),
			 0);
	store_unpin(f->s, n, 1);
	n = make_file(f->s, "b");
	stage(f->s, &st, 0, "abc");
	assert_int_equal(store_publish(f->s, n, &st,
				       &(struct store_content){
					       .bytes = 3, .written_at = written, .set = &set },
				       &end),
			 0);
	store_unpin(f->s, n, 1);
	for (int round = 0; round < 2; round++) {
		attr = ops_attr_ok(f->s, "a");
		assert_int_equal(attr.mode, S_IFREG | 0600);
		assert_int_equal(attr.mtime.tv_sec, written.tv_sec); /* it was shown */
		assert_int_equal(attr.mtime.tv_nsec, written.tv_nsec);
		attr = ops_attr_ok(f->s, "b");
		assert_int_equal(attr.mode, S_IFREG | 0700);
		assert_int_equal(attr.mtime.tv_sec, 12345);
		fixture_reopen_store(f);
	}
}

/* A publish right after the write is stamped with its time, though the extents come between. */
static void test_time_of_the_last_write(void **state)
{
	struct store_fixture *f = *state;
	struct store_staging *st = NULL;
	struct timespec now, got;
	struct node *n;
	uint64_t before, end;

	fixture_open_store(f);
	n = make_file(f->s, "a");
	assert_int_equal(clock_gettime(CLOCK_REALTIME, &now), 0);
	for (int i = 0; i < 20; i++)
		stage(f->s, &st, (uint64_t)i, "x");
	before = stats_of(f->s).log.end_position;
	assert_int_equal(store_publish(f->s, n, &st,
				       &(struct store_content){ .bytes = 20,
								.written_at = now,
								.written_at_shown = true },
				       &end),
			 0);
	assert_int_equal(end - before,
			 RECORD_HEADER_BYTES + META_KEY_PREFIX_BYTES + 1 + META_PUBLISH_BYTES);
	got = ops_attr_ok(f->s, "a").mtime;
	assert_true(got.tv_sec == now.tv_sec && got.tv_nsec == now.tv_nsec);
	store_unpin(f->s, n, 1);
}

static void test_refusals(void **state)
{
	struct store_fixture *f = *state;
	struct store_range far = { INT64_MAX, 1, "x" };
	struct store_staging *st = NULL;
	struct node *n, *dir;

	fixture_open_store(f);
	ops_mkdir_ok(f->s, "d");
	dir = ops_find_ok(f->s, "d");
	n = make_file(f->s, "a");
	assert_int_equal(store_stage(f->s, &st, &far, 1), -EFBIG);
	far.offset = UINT64_MAX;
	assert_int_equal(store_stage(f->s, &st, &far, 1), -EFBIG);
	assert_int_equal(try_publish(f->s, n, &st, false, (uint64_t)INT64_MAX + 1), -EFBIG);
	assert_int_equal(try_publish(f->s, n, &st, true, 1), -EINVAL); /* not committed */
	assert_int_equal(try_publish(f->s, dir, &st, false, 1), -EISDIR);
	store_unpin(f->s, dir, 1);
	publish(f->s, n, &st, false, INT64_MAX);
	assert_int_equal(ops_attr_ok(f->s, "a").size_bytes, INT64_MAX);
	assert_int_equal(ops_attr_ok(f->s, "a").data_bytes, 0);
	store_unpin(f->s, n, 1);
}

/* Without a name nothing is appended, and the staged content stays with the caller. */
static void test_unlinked(void **state)
{
	struct store_fixture *f = *state;
	struct store_staging *st = NULL;
	uint64_t end;
	char buf[8];
	struct node *n;

	fixture_open_store(f);
	ops_write_ok(f->s, "a", "old!");
	n = ops_find_ok(f->s, "a");
	assert_int_equal(ops_unlink(f->s, "a"), 0);
	stage(f->s, &st, 0, "new");
	end = store_end(f->s);
	assert_int_equal(try_publish(f->s, n, &st, true, 4), 0);
	assert_non_null(st);
	assert_int_equal(store_end(f->s), end);
	assert_int_equal(store_staged_read(f->s, NULL, st, buf, 3, 0), 0);
	assert_memory_equal(buf, "new", 3);
	assert_int_equal(store_read(f->s, n, buf, 8, 0), 4);
	assert_memory_equal(buf, "old!", 4);
	store_staging_free(st);
	store_unpin(f->s, n, 1);
}

static void test_staged_at(void **state)
{
	struct store_fixture *f = *state;
	struct store_staging *st = NULL;
	uint64_t end;
	char buf[4];

	fixture_open_store(f);
	assert_int_equal(store_staged_at(NULL, 5, &end), STORE_STAGED_NOTHING);
	assert_true(end == UINT64_MAX);
	assert_int_equal(store_staged_bytes(NULL), 0);
	stage(f->s, &st, 10, "abc");
	stage_hole(f->s, &st, 13, 5);
	assert_int_equal(store_staged_at(st, 0, &end), STORE_STAGED_NOTHING);
	assert_int_equal(end, 10);
	assert_int_equal(store_staged_at(st, 11, &end), STORE_STAGED_DATA);
	assert_int_equal(end, 13);
	assert_int_equal(store_staged_at(st, 13, &end), STORE_STAGED_HOLE);
	assert_int_equal(end, 18);
	assert_int_equal(store_staged_at(st, 18, &end), STORE_STAGED_NOTHING);
	assert_int_equal(store_staged_bytes(st), 3);
	assert_int_equal(store_staged_read(f->s, NULL, st, buf, 2, 11), 0);
	assert_memory_equal(buf, "bc", 2);
	store_staging_free(st);
}

/* --- against an array --- */

struct naive {
	uint8_t bytes[FILE_MAX];
	uint64_t size;
};

static void naive_set_size(struct naive *m, uint64_t size)
{
	if (size < m->size)
		memset(m->bytes + size, 0, m->size - size);
	m->size = size;
}

static void check_file(struct store *s, const char *path, const struct naive *m, struct rng *rng)
{
	static uint8_t got[FILE_MAX + 10];
	struct node *n = ops_find_ok(s, path);
	uint64_t at = rng_below(rng, m->size + 1), bytes = rng_below(rng, m->size + 1), begin, end;

	assert_int_equal(ops_attr_ok(s, path).size_bytes, m->size);
	assert_int_equal(store_read(s, n, got, sizeof(got), 0), m->size);
	assert_memory_equal(got, m->bytes, m->size);
	if (at + bytes > m->size)
		bytes = m->size - at;
	assert_int_equal(store_read(s, n, got, bytes, at), bytes);
	if (bytes > 0)
		assert_memory_equal(got, m->bytes + at, bytes);
	/* Bytes that are not data are zeros. */
	for (at = 0; at < m->size && store_next_data(s, n, at, &begin, &end); at = end)
		for (; at < begin; at++)
			assert_int_equal(m->bytes[at], 0);
	for (; at < m->size; at++)
		assert_int_equal(m->bytes[at], 0);
	store_unpin(s, n, 1);
}

static void random_change(struct store *s, struct node *n, struct naive *m, struct rng *rng)
{
	bool keep = m->size > 0 && rng_chance(rng, 90);
	uint64_t count = rng_below(rng, 5), size;
	struct store_staging *st = NULL;
	uint8_t bytes[4000];

	if (!keep) {
		memset(m->bytes, 0, sizeof(m->bytes));
		m->size = 0;
	}
	for (uint64_t i = 0; i < count; i++) {
		struct store_range r = { rng_below(rng, FILE_MAX - sizeof(bytes)),
					 1 + rng_below(rng, sizeof(bytes) - 1), bytes };

		for (size_t j = 0; j < sizeof(bytes); j++)
			bytes[j] = (uint8_t)(1 + rng_next(rng) % 255);
		if (rng_chance(rng, 20))
			r.data = NULL;
		assert_int_equal(store_stage(s, &st, &r, 1), 0);
		if (r.data != NULL)
			memcpy(m->bytes + r.offset, bytes, r.bytes);
		else
			memset(m->bytes + r.offset, 0, r.bytes);
		m->size = r.offset + r.bytes > m->size ? r.offset + r.bytes : m->size;
	}
	size = rng_chance(rng, 30) ? 1 + rng_below(rng, FILE_MAX) : m->size;
	naive_set_size(m, size);
	publish(s, n, &st, keep, size);
}

static void test_random(void **state)
{
	struct store_fixture *f = *state;
	static struct naive m;

	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		const char *path = unit_path("file%lu", (unsigned long)seed);
		struct rng rng = { seed };
		uint64_t live;

		memset(&m, 0, sizeof(m));
		if (f->s == NULL)
			fixture_open_store(f);
		store_unpin(f->s, make_file(f->s, path), 1);
		for (int step = 0; step < STEPS; step++) {
			struct node *n = ops_find_ok(f->s, path);

			random_change(f->s, n, &m, &rng);
			store_unpin(f->s, n, 1);
			check_file(f->s, path, &m, &rng);
			if (!rng_chance(&rng, 10))
				continue;
			live = stats_of(f->s).live_bytes;
			fixture_reopen_store(f);
			assert_int_equal(stats_of(f->s).live_bytes, live);
			check_file(f->s, path, &m, &rng);
		}
		assert_int_equal(ops_unlink(f->s, path), 0);
		assert_int_equal(stats_of(f->s).live_bytes, 0);
	}
}

/* --- large ones --- */

static void test_pieces_are_bounded(void **state)
{
	struct store_fixture *f = *state;
	struct store_staging *st = NULL;
	uint8_t *value = malloc(3 * MIB), *got = malloc(3 * MIB);
	struct store_range range = { 0, 3 * MIB, value };
	struct node *n;

	assert_true(value != NULL && got != NULL);
	for (uint64_t i = 0; i < 3 * MIB; i++)
		value[i] = (uint8_t)(i * 7 + (i >> 12));
	fixture_open_store(f);
	n = make_file(f->s, "a");
	assert_int_equal(store_stage(f->s, &st, &range, 1), 0);
	publish(f->s, n, &st, false, 3 * MIB);
	assert_int_equal(ops_attr_ok(f->s, "a").pieces, 3 * MIB / PIECE_MAX);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(store_read(f->s, n, got, 3 * MIB, 0), 3 * MIB);
		assert_memory_equal(got, value, 3 * MIB);
		store_unpin(f->s, n, 1);
		fixture_reopen_store(f);
		n = ops_find_ok(f->s, "a");
	}
	store_unpin(f->s, n, 1);
	free(value);
	free(got);
}

/* Past what a u32 can say: holes and offsets, in a log of a few bytes. */
static void test_beyond_4_gib(void **state)
{
	struct store_fixture *f = *state;
	struct store_staging *st = NULL;
	const uint64_t far = UINT64_C(6) << 30;
	uint64_t begin, end;
	struct node *n;
	char buf[8];

	fixture_open_store(f);
	n = make_file(f->s, "a");
	stage(f->s, &st, far, "end");
	publish(f->s, n, &st, false, far + 3);
	assert_true(store_end(f->s) < 500);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(ops_attr_ok(f->s, "a").size_bytes, far + 3);
		assert_int_equal(ops_attr_ok(f->s, "a").data_bytes, 3);
		assert_int_equal(store_read(f->s, n, buf, 8, far - 2), 5);
		assert_memory_equal(buf, "\0\0end", 5);
		assert_true(store_next_data(f->s, n, 0, &begin, &end));
		assert_int_equal(begin, far);
		assert_int_equal(end, far + 3);
		assert_false(store_next_data(f->s, n, far + 3, &begin, &end));
		store_unpin(f->s, n, 1);
		fixture_reopen_store(f);
		n = ops_find_ok(f->s, "a");
	}
	stage_hole(f->s, &st, 0, far);
	publish(f->s, n, &st, true, far);
	assert_int_equal(store_read(f->s, n, buf, 8, far - 2), 2);
	store_unpin(f->s, n, 1);
}

/* --- wrong bytes --- */

/* Inverts the byte of the log in which 'text' begins. */
static void rot(struct store_fixture *f, const char *text)
{
	struct unit_file log = unit_read_file(f->log_path);
	uint8_t *found = memmem(log.data, log.bytes, text, strlen(text));

	assert_non_null(found);
	*found ^= 0xff;
	unit_write_file(f->log_path, log.data, log.bytes);
	free(log.data);
}

/* Of each record by itself: what is in the others is still served. */
static void test_wrong_crc(void **state)
{
	struct store_fixture *f = *state;
	struct store_staging *st = NULL;
	struct node *n;
	char buf[32];

	fixture_open_store(f);
	n = make_file(f->s, "a");
	stage(f->s, &st, 0, "first");
	stage(f->s, &st, 5, "second");
	stage(f->s, &st, 11, "third");
	publish(f->s, n, &st, false, 16);
	rot(f, "second");
	assert_int_equal(store_read(f->s, n, buf, 5, 0), 5);
	assert_memory_equal(buf, "first", 5);
	assert_int_equal(store_read(f->s, n, buf, 5, 11), 5);
	assert_memory_equal(buf, "third", 5);
	assert_int_equal(store_read(f->s, n, buf, 1, 6), -EIO);
	assert_int_equal(store_read(f->s, n, buf, 16, 0), -EIO);
	assert_int_equal(ops_verify(f->s, n), -EIO);
	/* A piece of it that is left is no better. */
	stage(f->s, &st, 5, "s");
	publish(f->s, n, &st, true, 16);
	assert_int_equal(store_read(f->s, n, buf, 6, 0), 6);
	assert_int_equal(store_read(f->s, n, buf, 1, 6), -EIO);
	stage(f->s, &st, 5, "SECOND");
	publish(f->s, n, &st, true, 16);
	assert_int_equal(ops_verify(f->s, n), 0);
	assert_int_equal(store_read(f->s, n, buf, 16, 0), 16);
	assert_memory_equal(buf, "firstSECONDthird", 16);
	store_unpin(f->s, n, 1);
}

/* Bytes that compaction has dropped read as an error, each of them; bytes laid over them do not. */
static void test_dropped(void **state)
{
	struct store_fixture *f = *state;
	struct unit_file log = make_log("Z:a=0,6 Z:odd//key=0,3 e:1@2=xy Q:a=1,8 z:2@1=2 e:2@3=end "
					"P:b=2,6 Z:c=0,9 p:c=new Z:d=0,4 m:d>e p:f=old Z:f=0,2");
	struct node *n;
	size_t bytes;
	char buf[32];
	void *value;

	plant_log(f, log.data, log.bytes);
	fixture_open_store(f);
	n = ops_find_ok(f->s, "a");
	assert_int_equal(store_read(f->s, n, buf, 2, 2), 2);
	assert_memory_equal(buf, "xy", 2);
	assert_int_equal(store_read(f->s, n, buf, 2, 6), 2);
	assert_memory_equal(buf, "\0\0", 2);
	assert_int_equal(store_read(f->s, n, buf, 1, 1), -EIO);
	assert_int_equal(store_read(f->s, n, buf, 1, 4), -EIO);
	assert_int_equal(store_read(f->s, n, buf, 8, 0), -EIO);
	assert_int_equal(ops_verify(f->s, n), -EIO);
	store_unpin(f->s, n, 1);
	assert_int_equal(store_get(f->s, "b", 1, &value, &bytes), -EIO);
	assert_int_equal(store_get(f->s, "e", 1, &value, &bytes), -EIO);
	assert_int_equal(store_get(f->s, "f", 1, &value, &bytes), -EIO);
	assert_int_equal(store_get(f->s, "odd//key", 8, &value, &bytes), -EIO);
	assert_int_equal(store_get(f->s, "c", 1, &value, &bytes), 0);
	assert_int_equal(bytes, 3);
	free(value);
	/* Of live records: the value of c, and the two extents with their headers and keys. */
	assert_int_equal(stats_of(f->s).live_bytes,
			 record_bytes(1, 3) +
				 2 * record_bytes(META_EXTENT_KEY_BYTES, META_EXTENT_FIXED_BYTES) +
				 2 + 3);
	assert_int_equal(stats_of(f->s).unnamed_keys, 1);
	free(log.data);
}

static void test_wrong_crc_of_staged_bytes(void **state)
{
	struct store_fixture *f = *state;
	struct store_staging *st = NULL;
	char buf[32];

	fixture_open_store(f);
	stage(f->s, &st, 0, "staged");
	rot(f, "staged");
	assert_int_equal(store_staged_read(f->s, NULL, st, buf, 6, 0), -EIO);
	store_staging_free(st);
}

/* Once per open: a record that was right is not read again as a whole. */
static void test_crc_is_checked_once(void **state)
{
	struct store_fixture *f = *state;
	struct store_staging *st = NULL;
	struct node *n;
	char buf[32];

	fixture_open_store(f);
	n = make_file(f->s, "a");
	stage(f->s, &st, 0, "abcdef");
	publish(f->s, n, &st, false, 6);
	assert_int_equal(store_read(f->s, n, buf, 1, 0), 1);
	rot(f, "def");
	assert_int_equal(store_read(f->s, n, buf, 1, 1), 1);
	assert_int_equal(buf[0], 'b');
	store_unpin(f->s, n, 1);
}

/* --- by key --- */

static void test_key_interface(void **state)
{
	struct store_fixture *f = *state;
	struct store_staging *st = NULL;
	size_t bytes;
	void *value;
	struct node *n;

	fixture_open_store(f);
	n = make_file(f->s, "a");
	stage(f->s, &st, 1, "bc");
	publish(f->s, n, &st, false, 4);
	assert_int_equal(store_get(f->s, "a", 1, &value, &bytes), 0);
	assert_int_equal(bytes, 4);
	assert_memory_equal(value, "\0bc\0", 4);
	free(value);
	assert_int_equal(store_put(f->s, "a/b", 3, "x", 1, NULL), 0); /* gets in its way */
	assert_int_equal(store_get(f->s, "a", 1, &value, &bytes), 0);
	assert_int_equal(bytes, 4);
	assert_memory_equal(value, "\0bc\0", 4);
	free(value);
	assert_int_equal(store_delete(f->s, "a/b", 3), 0); /* and out of it */
	assert_tree(f->s, "f a=.bc.");
	assert_int_equal(store_delete(f->s, "a", 1), 0);
	assert_tree(f->s, "");
	store_unpin(f->s, n, 1);
}

/* --- threads --- */

struct reading {
	struct store *s;
	struct node *n;
	_Atomic bool stop;
};

/* Each state of the file is one letter over all of its 300 bytes. */
static void *read_on(void *arg)
{
	struct reading *r = arg;
	char buf[1];

	while (!r->stop) {
		uint64_t begin, end;

		if (store_read(r->s, r->n, buf, 1, 150) != 1 || buf[0] < 'a')
			return (void *)(uintptr_t) "a byte that nobody wrote";
		if (!store_next_data(r->s, r->n, 0, &begin, &end) || begin != 0)
			return (void *)(uintptr_t) "no data";
	}
	return NULL;
}

static void test_reads_while_it_changes(void **state)
{
	struct store_fixture *f = *state;
	struct store_staging *st = NULL;
	struct reading r = { .stop = false };
	pthread_t thread;
	char text[301] = "";
	void *why;

	fixture_open_store(f);
	r.s = f->s;
	memset(text, 'a', 300);
	ops_write_ok(f->s, "a", text);
	r.n = ops_find_ok(f->s, "a");
	assert_int_equal(pthread_create(&thread, NULL, read_on, &r), 0);
	for (int i = 0; i < 500; i++) {
		memset(text, 'a' + i % 26, 300);
		if (i % 5 == 4) {
			ops_write_ok(f->s, "a", text);
			continue;
		}
		text[100] = '\0';
		for (uint64_t at = 0; at < 300; at += 100)
			stage(f->s, &st, at, text);
		publish(f->s, r.n, &st, i % 2 == 0, 300);
	}
	r.stop = true;
	assert_int_equal(pthread_join(thread, &why), 0);
	assert_null(why);
	store_unpin(f->s, r.n, 1);
}

#define TEST(fn)                                                           \
	{                                                                  \
#fn, fn, store_fixture_setup, store_fixture_teardown, NULL \
	}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_publish),
		TEST(test_discard),
		TEST(test_plain_and_pieces),
		TEST(test_attributes),
		TEST(test_time_of_the_last_write),
		TEST(test_refusals),
		TEST(test_unlinked),
		TEST(test_staged_at),
		TEST(test_random),
		TEST(test_pieces_are_bounded),
		TEST(test_beyond_4_gib),
		TEST(test_wrong_crc),
		TEST(test_dropped),
		TEST(test_wrong_crc_of_staged_bytes),
		TEST(test_crc_is_checked_once),
		TEST(test_key_interface),
		TEST(test_reads_while_it_changes),
	};

	return unit_run("extents", tests, ARRAY_SIZE(tests));
}
