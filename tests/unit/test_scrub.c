/* SPDX-License-Identifier: MIT */
/* Scrub: each damaged record is found and told of, whatever stands behind it; nothing else is, also
 * while compaction replaces the segments. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "codec/crc32.h"
#include "codec/le.h"
#include "codec/record.h"
#include "tests/unit/store_fixture.h"
#include "tests/unit/store_ops.h"
#include "tests/unit/unit.h"
#include "writer/base/thread.h"

#define FILES	    40
#define NUMBERS	    2 /* segments that begin with a segment record */
#define VALUE_BYTES 3000
#define LARGE_BYTES 700000 /* a record that is larger than one read */
#define ROUNDS	    60

/* The messages of a store, as text. */
struct told {
	struct mutex lock;
	char text[4096];
};

static void tell(void *arg, const struct trouble *t) NO_THREAD_SAFETY
{
	struct told *told = arg;
	size_t used;

	mutex_lock(&told->lock);
	used = strlen(told->text);
	(void)snprintf(told->text + used, sizeof(told->text) - used, "%s%.*s %" PRIu64 ":%" PRIu64,
		       used > 0 ? ", " : "", (int)t->path_bytes, t->path != NULL ? t->path : "",
		       t->segment, t->file_offset);
	mutex_unlock(&told->lock);
	assert_int_equal(t->kind, TROUBLE_SCRUB);
}

static struct store *open_store(struct store_fixture *f, struct told *told) NO_THREAD_SAFETY
{
	struct store_config config = { .dir_path = f->data_dir,
				       .segment_size_bytes = 1 << 20,
				       .fsync_interval_ns = LOG_WRITER_NEVER,
				       .compact_at_percent = 0,
				       .uid = OPS_UID,
				       .gid = OPS_GID,
				       .umask = 022,
				       .trouble = tell,
				       .trouble_arg = told };
	struct diag diag;

	*told = (struct told){ .text = "" };
	mutex_init(&told->lock);
	if (store_open(&config, &f->s, &diag) < 0)
		fail_msg("%s", diag.text);
	return f->s;
}

/* Waits until one more scrub has come to its end. */
static struct store_scrub scrub(struct store *s)
{
	struct store_stats stats;
	uint64_t runs;

	store_stats(s, &stats);
	runs = stats.scrub.runs;
	assert_int_equal(store_scrub(s), 0);
	do {
		(void)usleep(1000);
		store_stats(s, &stats);
	} while (stats.scrub.runs == runs);
	return stats.scrub;
}

static void write_value(struct store *s, const char *path, char letter, size_t bytes)
{
	struct timespec now;
	struct node *n;
	uint64_t end;
	char *value = malloc(bytes);

	(void)clock_gettime(CLOCK_REALTIME, &now);
	assert_non_null(value);
	memset(value, letter, bytes);
	if (ops_find(s, path, &n) < 0)
		assert_int_equal(ops_create(s, path, OPS_FILE_MODE, &n), 0);
	assert_int_equal(store_commit(s, n,
				      &(struct store_content){
					      .value = value, .bytes = bytes, .written_at = now },
				      &end),
			 0);
	store_unpin(s, n, 1);
	free(value);
}

/* Files "000" ... in segment 1, "100" ... in segment 2, "200" ... in the active one. */
static void write_files(struct store *s)
{
	for (int segment = 0; segment < 3; segment++) {
		for (int i = 0; i < FILES; i++)
			write_value(s, unit_path("%d%02d", segment, i), 'v', VALUE_BYTES);
		write_value(s, unit_path("%dlarge", segment), 'l', LARGE_BYTES);
		if (segment < 2)
			assert_int_equal(store_rotate(s), 0);
	}
	assert_int_equal(store_sync(s), 0);
}

/* Another thread makes the hints, which a scrub asks about damaged records. */
static void wait_for_hints(struct store_fixture *f)
{
	for (int segment = 1; segment < 3; segment++)
		while (!unit_exists(unit_path("%s/%06d.hint", f->data_dir, segment)))
			(void)usleep(1000);
}

static uint64_t durable_bytes(struct store *s)
{
	struct store_stats stats;

	store_stats(s, &stats);
	return stats.log.durable_position;
}

/* Changes one byte of the record of 'key' in a log file: 'at' is where in the record.  Returns the
 * offset of the record. */
static size_t flip(struct store_fixture *f, const char *file, const char *key, size_t at)
{
	const char *path = unit_path("%s/%s", f->data_dir, file);
	struct unit_file log = unit_read_file(path);
	uint8_t *found = memmem(log.data, log.bytes, key, strlen(key));
	size_t offset;

	assert_non_null(found);
	offset = (size_t)(found - log.data) - RECORD_HEADER_BYTES;
	log.data[offset + at] ^= 0x40;
	unit_write_file(path, log.data, log.bytes);
	free(log.data);
	return offset;
}

static void test_nothing_wrong(void **state)
{
	struct store_fixture *f = *state;
	struct store_scrub r;
	struct told told;

	open_store(f, &told);
	r = scrub(f->s);
	assert_int_equal(r.records, 0);
	write_files(f->s);
	r = scrub(f->s);
	assert_int_equal(r.records, 3 * (FILES + 1) + NUMBERS);
	assert_int_equal(r.bytes, durable_bytes(f->s));
	assert_int_equal(r.damaged, 0);
	/* A scrub does not read records that are not durable yet: they may be torn. */
	write_value(f->s, "more", 'v', VALUE_BYTES);
	assert_int_equal(scrub(f->s).records, 3 * (FILES + 1) + NUMBERS);
	assert_string_equal(told.text, "");
	fixture_close_store(f);
}

/* In the value, the CRC, the key and the sizes, of records with a hint and without, where the next
 * ones must still be checked. */
static void test_damage(void **state)
{
	static const size_t places[] = { RECORD_HEADER_BYTES + 100, 0, RECORD_HEADER_BYTES, 9, 4 };
	struct store_fixture *f = *state;
	struct told told;

	open_store(f, &told);
	write_files(f->s);
	wait_for_hints(f);
	fixture_close_store(f);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		static const struct {
			const char *file, *key;
			unsigned int segment;
		} records[] = { { "000001.data", "007", 1 },
				{ "000001.data", "0large", 1 },
				{ "000002.data", "112", 2 },
				{ "active.data", "203", 3 },
				{ "active.data", "222", 3 } };
		struct store_scrub r;
		char want[512] = "";

		open_store(f, &told);
		for (size_t j = 0; j < ARRAY_SIZE(records); j++) {
			/* Of the active one, which has no hint, the key is what the file has. */
			bool bad_key = places[i] == RECORD_HEADER_BYTES && j > 2;
			size_t offset = flip(f, records[j].file, records[j].key, places[i]);

			(void)snprintf(want + strlen(want), sizeof(want) - strlen(want),
				       "%s%c%s %u:%zu", j > 0 ? ", " : "",
				       records[j].key[0] ^ (bad_key ? 0x40 : 0), records[j].key + 1,
				       records[j].segment, offset);
		}
		r = scrub(f->s);
		assert_int_equal(r.damaged, ARRAY_SIZE(records));
		assert_int_equal(r.unchecked_bytes, 0);
		assert_int_equal(r.records, 3 * (FILES + 1) + NUMBERS - ARRAY_SIZE(records));
		assert_int_equal(r.bytes, durable_bytes(f->s));
		assert_string_equal(told.text, want);
		/* It goes on being found, and is not told of when it is whole again. */
		assert_int_equal(scrub(f->s).damaged, ARRAY_SIZE(records));
		for (size_t j = 0; j < ARRAY_SIZE(records); j++) {
			const char *path = unit_path("%s/%s", f->data_dir, records[j].file);
			struct unit_file log = unit_read_file(path);
			char *at = strstr(want, unit_path("%u:", records[j].segment));

			for (size_t k = 0; k < j; k++)
				if (records[k].segment == records[j].segment)
					at = strstr(at + 1, unit_path("%u:", records[j].segment));
			log.data[strtoul(at + 2, NULL, 10) + places[i]] ^= 0x40;
			unit_write_file(path, log.data, log.bytes);
			free(log.data);
		}
		assert_int_equal(scrub(f->s).damaged, 0);
		fixture_close_store(f);
	}
}

/* A file that was cut. */
static void test_cut(void **state)
{
	struct store_fixture *f = *state;
	struct told told;
	size_t offset;

	open_store(f, &told);
	write_files(f->s);
	wait_for_hints(f);
	offset = flip(f, "000002.data", "1large", RECORD_HEADER_BYTES);
	assert_int_equal(truncate(unit_path("%s/000002.data", f->data_dir), (off_t)offset + 1), 0);
	assert_int_equal(scrub(f->s).damaged, 1);
	assert_string_equal(told.text, unit_path("1large 2:%zu", offset));
	fixture_close_store(f);
}

/* All records are whole, and one is not the one that was written: the digest of the segment tells.
 */
static void test_other_record(void **state)
{
	struct store_fixture *f = *state;
	const char *path;
	struct unit_file log;
	struct record rec;
	struct told told;
	size_t offset;
	uint8_t *at;

	open_store(f, &told);
	write_files(f->s);
	wait_for_hints(f);
	offset = flip(f, "000001.data", "007", RECORD_HEADER_BYTES + 100);
	path = unit_path("%s/000001.data", f->data_dir);
	log = unit_read_file(path);
	at = log.data + offset;
	(void)record_decode_header(at, &rec);
	le32_store(at, crc32_extend(0, at + RECORD_CRC_COVERS_FROM,
				    record_bytes(rec.key_bytes, rec.value_bytes) -
					    RECORD_CRC_COVERS_FROM));
	unit_write_file(path, log.data, log.bytes);
	free(log.data);
	while (scrub(f->s).damaged == 0) /* the digest is known a moment after the hint */
		(void)usleep(1000);
	assert_string_equal(told.text, " 1:0");
	fixture_close_store(f);
}

static atomic_bool compacted;

static void *compact_main(void *arg)
{
	struct store *s = arg;

	for (int i = 0; i < ROUNDS; i++) {
		for (int j = 0; j < FILES; j += 3)
			write_value(s, unit_path("%d%02d", i % 3, j), 'w', VALUE_BYTES);
		if (i % 10 == 9)
			write_value(s, unit_path("%dlarge", i % 3), 'w', LARGE_BYTES);
		assert_int_equal(store_rotate(s), 0);
		assert_int_equal(store_compact(s, NULL, NULL), 0);
	}
	atomic_store(&compacted, true);
	return NULL;
}

static void test_beside_compaction(void **state)
{
	struct store_fixture *f = *state;
	struct store_stats stats;
	struct told told;
	pthread_t thread;

	open_store(f, &told);
	write_files(f->s);
	thread_check(pthread_create(&thread, NULL, compact_main, f->s));
	while (!atomic_load(&compacted))
		assert_int_equal(scrub(f->s).damaged, 0);
	thread_check(pthread_join(thread, NULL));
	store_stats(f->s, &stats);
	assert_in_range(stats.compaction.segments, ROUNDS / 2, UINT64_MAX);
	assert_int_equal(scrub(f->s).damaged, 0);
	assert_string_equal(told.text, "");
	fixture_close_store(f);
}

/* Closed in the middle of one. */
static void test_close(void **state)
{
	struct store_fixture *f = *state;
	struct told told;

	for (int i = 0; i < 20; i++) {
		open_store(f, &told);
		if (i == 0)
			write_files(f->s);
		assert_int_equal(store_scrub(f->s), 0);
		fixture_close_store(f);
	}
}

static void test_interval(void **state) NO_THREAD_SAFETY
{
	struct store_fixture *f = *state;
	struct told told = { .text = "" };
	struct store_config config = { .dir_path = f->data_dir,
				       .fsync_interval_ns = LOG_WRITER_NEVER,
				       .scrub_interval_ns = 1000000,
				       .trouble = tell,
				       .trouble_arg = &told };
	struct store_stats stats;

	mutex_init(&told.lock);
	assert_int_equal(store_open(&config, &f->s, NULL), 0);
	do {
		(void)usleep(1000);
		store_stats(f->s, &stats);
	} while (stats.scrub.runs < 3);
	assert_true(stats.scrub.ended_ns > 0);
	fixture_close_store(f);
}

int main(void)
{
#define TEST(test) \
	cmocka_unit_test_setup_teardown(test, store_fixture_setup, store_fixture_teardown)
	static const struct CMUnitTest tests[] = {
		TEST(test_nothing_wrong),
		TEST(test_damage),
		TEST(test_cut),
		TEST(test_other_record),
		TEST(test_beside_compaction),
		TEST(test_close),
		TEST(test_interval),
	};

	return unit_run("scrub", tests, ARRAY_SIZE(tests));
}
