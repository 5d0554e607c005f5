/* SPDX-License-Identifier: MIT */
/* A buffer of a page or more: it is written out in whole blocks of the file, so that a record may
 * be in the file with its front and in the buffer with its rest. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "codec/meta.h"
#include "codec/record.h"
#include "tests/unit/log_fixture.h"

#define KEY_BYTES	    4
#define SMALL_BYTES	    100 /* values; a record has 24 more */
#define NUMBER_RECORD_BYTES 48	/* that each segment but the first begins with */
#define RECORDS_MAX	    2048
#define VALUE_BYTES_MAX	    10000
#define RECORD_BYTES(n)	    (RECORD_HEADER_BYTES + KEY_BYTES + (uint64_t)(n))
#define BUFFER_OF_BLOCKS    INT64_C(10000) /* two pages of it are used */

/* Value 'i', all bytes of which depend on 'i'. */
static void make_value(size_t i, uint32_t bytes, uint8_t *out)
{
	for (uint32_t k = 0; k < bytes; k++)
		out[k] = (uint8_t)(i * 31 + k * 7 + (k >> 8) + 1);
}

static int try_put(struct log_fixture *f, size_t i, uint32_t bytes)
{
	uint8_t value[VALUE_BYTES_MAX];
	uint32_t key = (uint32_t)i;
	struct log_writer_stats before = fixture_stats(f);
	uint64_t offset, begun;
	int err;

	make_value(i, bytes, value);
	err = log_writer_put(f->w, &key, KEY_BYTES, value, bytes, &offset);
	begun = fixture_stats(f).segments - before.segments;
	if (err == 0)
		assert_int_equal(offset, before.end_position + begun * NUMBER_RECORD_BYTES);
	return err;
}

static void put(struct log_fixture *f, size_t i, uint32_t bytes)
{
	assert_int_equal(try_put(f, i, bytes), 0);
}

/* Checks that 'data' is whole records 0, 1, ... with values of 'bytes', but for the numbers of
 * segments.  Returns how many. */
static size_t check_records(const uint8_t *data, uint64_t data_bytes, uint32_t bytes)
{
	uint8_t value[VALUE_BYTES_MAX];
	struct record_scan_result got;
	uint64_t at = 0;
	size_t i = 0;

	for (; at < data_bytes; at += got.bytes) {
		assert_int_equal(record_scan(data + at, data_bytes - at, data_bytes - at, &got),
				 RECORD_WHOLE);
		if (meta_is_segment_key(got.rec.key, got.rec.key_bytes))
			continue;
		make_value(i++, bytes, value);
		assert_int_equal(got.rec.value_bytes, bytes);
		assert_memory_equal(got.rec.value, value, bytes);
	}
	return i;
}

static void check_file(struct log_fixture *f, uint32_t bytes, size_t count)
{
	struct unit_file log = fixture_file(f);

	assert_int_equal(check_records(log.data, log.bytes, bytes), count);
	free(log.data);
}

/* --- where it is cut --- */

static const struct block_case {
	const char *name;
	int64_t buffer_bytes;
	uint64_t block_bytes;
	uint32_t value_bytes;
} block_cases[] = {
	{ "blocks of a page", 4096, 4096, SMALL_BYTES },
	{ "blocks of a page, large records", 4096, 4096, 4000 },
	{ "records of exactly the buffer", 4096, 4096, 4096 - 24 },
	{ "records of exactly half of the buffer", 4096, 4096, 2048 - 24 },
	{ "a buffer that is no power of two", BUFFER_OF_BLOCKS, 8192, SMALL_BYTES },
	{ "a buffer that is no power of two, large records", BUFFER_OF_BLOCKS, 8192, 9000 },
};

static void test_blocks(void **state)
{
	struct log_fixture *f = *state;
	const struct block_case *c = f->row;
	uint64_t written, end, syncs_at = 20 * c->block_bytes / RECORD_BYTES(c->value_bytes);
	uint8_t *all;
	size_t i;

	fixture_open(f, LOG_WRITER_NEVER, c->buffer_bytes);
	for (i = 0; i < 2 * syncs_at; i++) {
		put(f, i, c->value_bytes);
		end = (i + 1) * RECORD_BYTES(c->value_bytes);
		assert_int_equal(log_writer_size(f->w), end);
		written = unit_file_bytes(f->path);
		assert_int_equal(fixture_stats(f).written_position, written);
		assert_in_range(end - written, 0, c->buffer_bytes);
		if (i < syncs_at)
			assert_int_equal(written % c->block_bytes, 0);
		if (i != syncs_at)
			continue;
		assert_int_equal(log_writer_sync(f->w), 0); /* all of it, wherever it ends */
		assert_int_equal(unit_file_bytes(f->path), end);
		assert_int_equal(log_writer_durable_position(f->w), end);
	}
	assert_int_equal(unit_file_bytes(f->path) % c->block_bytes, 0); /* at its ends again */
	end = log_writer_size(f->w);
	all = malloc(end);
	assert_non_null(all);
	assert_int_equal(log_writer_read(f->w, all, end, 0), end); /* file and buffer */
	assert_int_equal(check_records(all, end, c->value_bytes), i);
	free(all);
	fixture_close(f);
	check_file(f, c->value_bytes, i);
}

static void test_one_write_for_each_block(void **state)
{
	struct log_fixture *f = *state;
	uint64_t before;

	fixture_open(f, LOG_WRITER_NEVER, 4096);
	before = probe_calls(f->probe, IOCALL_WRITEV);
	for (size_t i = 0; i < 1000; i++)
		put(f, i, SMALL_BYTES);
	assert_int_equal(probe_calls(f->probe, IOCALL_WRITEV) - before,
			 (1000 * RECORD_BYTES(SMALL_BYTES) - 1) / 4096);
}

/* A buffer that is larger than the largest block is cut between records. */
static void test_large_buffer(void **state)
{
	struct log_fixture *f = *state;
	uint64_t written = 0;

	fixture_open(f, LOG_WRITER_NEVER, INT64_C(128) * 1024 + 1);
	for (size_t i = 0; i < 4000; i++) {
		put(f, i, SMALL_BYTES);
		written = fixture_stats(f).written_position;
		assert_int_equal(written % RECORD_BYTES(SMALL_BYTES), 0);
		assert_int_equal(unit_file_bytes(f->path), written);
	}
	assert_true(written > UINT64_C(256) * 1024);
	fixture_close(f);
	check_file(f, SMALL_BYTES, 4000);
}

/* It is in the kernel when put returns, and the buffer went out with it. */
static void test_record_larger_than_the_buffer(void **state)
{
	struct log_fixture *f = *state;
	uint64_t before;

	fixture_open(f, LOG_WRITER_NEVER, 4096);
	put(f, 0, 5000);
	assert_int_equal(unit_file_bytes(f->path), RECORD_BYTES(5000));
	assert_int_equal(log_writer_put(f->w, "key", 3, "value", 5, NULL), 0);
	before = probe_calls(f->probe, IOCALL_WRITEV);
	put(f, 2, 5000);
	assert_int_equal(probe_calls(f->probe, IOCALL_WRITEV) - before, 1);
	assert_int_equal(unit_file_bytes(f->path), 2 * RECORD_BYTES(5000) + 28);
	assert_int_equal(log_writer_size(f->w), 2 * RECORD_BYTES(5000) + 28);
}

static void test_group(void **state)
{
	uint8_t value[LOG_WRITER_GROUP_MAX][SMALL_BYTES];
	struct record records[LOG_WRITER_GROUP_MAX];
	uint32_t keys[LOG_WRITER_GROUP_MAX];
	struct log_fixture *f = *state;
	struct log_append where;

	fixture_open(f, LOG_WRITER_NEVER, 4096);
	for (uint32_t i = 0; i < 100 * LOG_WRITER_GROUP_MAX; i++) {
		uint32_t n = i % LOG_WRITER_GROUP_MAX;

		keys[n] = i;
		make_value(i, SMALL_BYTES, value[n]);
		records[n] = (struct record){
			.key = &keys[n],
			.key_bytes = KEY_BYTES,
			.head = value[n], /* in two parts: a cut can be in each */
			.head_bytes = 50,
			.value = value[n] + 50,
			.value_bytes = SMALL_BYTES,
		};
		if (n + 1 < LOG_WRITER_GROUP_MAX)
			continue;
		assert_int_equal(log_writer_append(f->w, records, n + 1, &where), 0);
		assert_int_equal(where.end_position, (i + 1) * RECORD_BYTES(SMALL_BYTES));
		assert_int_equal(unit_file_bytes(f->path) % 4096, 0);
	}
	fixture_close(f);
	check_file(f, SMALL_BYTES, 100 * LOG_WRITER_GROUP_MAX);
}

/* Blocks are those of the file, not of the log. */
static void test_segments(void **state)
{
	struct log_fixture *f = *state;
	struct log_writer_config config = {
		.file_path = f->path,
		.fsync_interval_ns = LOG_WRITER_NEVER,
		.buffer_size_bytes = 4096,
		.segment_size_bytes = 10000,
		.no_background = true,
		.io = probe_io(f->probe),
	};
	uint64_t written;
	uint8_t *all;

	assert_int_equal(log_writer_open(&config, &f->w, NULL), 0);
	for (size_t i = 0; i < 200; i++) {
		put(f, i, SMALL_BYTES);
		written = unit_file_bytes(f->path);
		assert_true(written % 4096 == 0 || written == NUMBER_RECORD_BYTES);
	}
	assert_true(fixture_stats(f).segments > 2);
	assert_int_equal(log_writer_size(f->w),
			 200 * RECORD_BYTES(SMALL_BYTES) +
				 (fixture_stats(f).segments - 1) * NUMBER_RECORD_BYTES);
	all = malloc(log_writer_size(f->w));
	assert_non_null(all);
	for (uint64_t at = 0, end = log_writer_size(f->w); at < end;) {
		ssize_t got = log_writer_read(f->w, all + at, end - at, at);

		assert_true(got > 0);
		at += (uint64_t)got;
	}
	assert_int_equal(check_records(all, log_writer_size(f->w), SMALL_BYTES), 200);
	free(all);
}

/* --- with half a record in the file --- */

/* Puts until a record is in the file with its front alone.  Returns how many there are. */
static size_t put_until_cut(struct log_fixture *f)
{
	size_t i = 0;

	while (fixture_stats(f).written_position % RECORD_BYTES(SMALL_BYTES) == 0)
		put(f, i++, SMALL_BYTES);
	return i;
}

static void test_dies_with_the_process(void **state)
{
	struct log_recovery recovery;
	struct log_fixture *f = *state;
	struct diag diag;
	size_t whole;

	fixture_open(f, LOG_WRITER_NEVER, 4096);
	(void)put_until_cut(f);
	whole = (size_t)(unit_file_bytes(f->path) / RECORD_BYTES(SMALL_BYTES));
	fixture_kill(f);
	assert_int_equal(unit_file_bytes(f->path) % 4096, 0);
	assert_int_equal(fixture_try_open(f, &recovery, &diag), 0);
	assert_int_equal(recovery.stop.scan, RECORD_TORN);
	assert_int_equal(recovery.records, whole);
	assert_true(recovery.quarantine[0] != '\0');
	fixture_close(f);
	check_file(f, SMALL_BYTES, whole);
}

static int count_entries(void *arg, const struct log_entry *entries, size_t entry_count,
			 struct diag *diag)
{
	*(size_t *)arg += entry_count;
	return 0;
}

/* A reader beside the writer sees the whole records, and the rest later.  With head room there are
 * zeros behind the half record. */
static void read_beside(struct log_fixture *f, int64_t headroom_bytes)
{
	struct log_writer_config config = {
		.file_path = f->path,
		.fsync_interval_ns = LOG_WRITER_NEVER,
		.buffer_size_bytes = 4096,
		.preallocate_bytes = headroom_bytes,
		.no_background = true, /* else it syncs what room it makes, and the half with it */
		.io = probe_io(f->probe),
	};
	struct log_writer_config read_config = { .file_path = f->path, .read_only = true };
	size_t seen = 0, count, whole;
	struct log_writer *reader;

	assert_int_equal(log_writer_open(&config, &f->w, NULL), 0);
	put(f, 0, SMALL_BYTES);
	assert_int_equal(log_writer_sync(f->w), 0); /* makes the room */
	count = 1 + put_until_cut(f);
	whole = (size_t)(fixture_stats(f).written_position / RECORD_BYTES(SMALL_BYTES));
	assert_true(unit_file_bytes(f->path) >= (uint64_t)headroom_bytes);
	assert_int_not_equal(fixture_stats(f).written_position % RECORD_BYTES(SMALL_BYTES), 0);
	assert_int_equal(
		log_writer_open_replay(&read_config, count_entries, &seen, &reader, NULL, NULL), 0);
	assert_int_equal(seen, whole);
	assert_int_equal(log_writer_read_on(reader, count_entries, &seen, NULL), 0);
	assert_int_equal(seen, whole);
	assert_int_equal(log_writer_sync(f->w), 0);
	assert_int_equal(log_writer_read_on(reader, count_entries, &seen, NULL), 0);
	assert_int_equal(seen, count);
	assert_int_equal(log_writer_close(reader), 0);
}

static void test_read_only_beside_it(void **state)
{
	read_beside(*state, 0);
}

static void test_read_only_beside_it_with_room(void **state)
{
	read_beside(*state, 65536);
}

/* A refused record leaves nothing; an acknowledged one stays, although its front was cut off the
 * file with the refused one. */
static void test_full_disk(void **state)
{
	struct log_fixture *f = *state;
	uint64_t written;
	size_t count;
	int err;

	fixture_open(f, LOG_WRITER_NEVER, 4096);
	count = put_until_cut(f);
	written = unit_file_bytes(f->path);
	probe_fail_partial(f->probe, IOCALL_WRITEV, FAULT_FOR_EVER, -ENOSPC);
	for (int refused = 0; refused < 10; refused += err != 0) {
		err = try_put(f, count, SMALL_BYTES);
		assert_true(err == 0 || err == -ENOSPC);
		count += err == 0;
		assert_int_equal(log_writer_size(f->w), count * RECORD_BYTES(SMALL_BYTES));
		assert_int_equal(unit_file_bytes(f->path), written);
	}
	assert_int_equal(log_writer_sync(f->w), -ENOSPC);
	probe_heal(f->probe);
	put(f, count++, SMALL_BYTES);
	assert_int_equal(log_writer_sync(f->w), 0);
	check_file(f, SMALL_BYTES, count);
	fixture_close(f);
	check_file(f, SMALL_BYTES, count);
}

static void note_result(void *arg, int err)
{
	atomic_store((_Atomic int *)arg, err);
}

/* The bytes in the file are still made durable, but the mark, which is at the end of a record,
 * stays. */
static void test_full_disk_sync(void **state)
{
	struct log_fixture *f = *state;
	_Atomic int results[] = { 1, 1 };
	uint64_t record = RECORD_BYTES(SMALL_BYTES), whole, end;
	struct log_recovery recovery;
	struct diag diag;

	fixture_open(f, LOG_WRITER_NEVER, 4096);
	end = put_until_cut(f) * record;
	whole = fixture_stats(f).written_position / record;
	probe_fail(f->probe, IOCALL_WRITEV, FAULT_FOR_EVER, -ENOSPC);
	assert_int_equal(log_writer_sync_async(f->w, whole * record, note_result, &results[0]), 0);
	WAIT_FOR(atomic_load(&results[0]) != 1);
	assert_int_equal(results[0], 0);
	assert_int_equal(fixture_stats(f).durable_position, fixture_stats(f).written_position);
	assert_int_equal(log_writer_sync_async(f->w, end, note_result, &results[1]), 0);
	WAIT_FOR(atomic_load(&results[1]) != 1);
	assert_int_equal(results[1], -ENOSPC);
	assert_int_equal(log_writer_sync_to(f->w, whole * record), 0);
	assert_int_equal(log_writer_sync(f->w), -ENOSPC);
	assert_int_equal(fixture_stats(f).syncs, 1);
	assert_int_equal(fixture_stats(f).poison, 0);
	fixture_kill(f);
	assert_int_equal(fixture_try_open(f, &recovery, &diag), 0);
	assert_int_equal(recovery.records, whole);
}

/* On a full disk log_writer_sync_to() succeeds for records that are written already. */
static void test_full_disk_sync_to(void **state)
{
	struct log_fixture *f = *state;
	uint64_t record = RECORD_BYTES(SMALL_BYTES), whole;

	fixture_open(f, LOG_WRITER_NEVER, 4096);
	(void)put_until_cut(f);
	whole = fixture_stats(f).written_position / record;
	probe_fail(f->probe, IOCALL_WRITEV, FAULT_FOR_EVER, -ENOSPC);
	assert_int_equal(log_writer_sync_to(f->w, whole * record), 0);
	assert_int_equal(log_writer_sync(f->w), -ENOSPC);
	fixture_kill(f);
}

static void test_short_writes(void **state)
{
	struct fault_plan plan = { .at = 1,
				   .times = FAULT_FOR_EVER,
				   .kinds = IOCALL_BIT(IOCALL_WRITEV),
				   .action = FAULT_SHORT };
	struct log_fixture *f = *state;

	fixture_open(f, LOG_WRITER_NEVER, 4096);
	faultio_set_plan(probe_faults(f->probe), &plan);
	for (size_t i = 0; i < 200; i++)
		put(f, i, SMALL_BYTES);
	fixture_close(f);
	check_file(f, SMALL_BYTES, 200);
}

#define TEST(name, fn)                                                  \
	{                                                               \
		name, fn, log_fixture_setup, log_fixture_teardown, NULL \
	}

int main(void)
{
	struct CMUnitTest rows[ARRAY_SIZE(block_cases) + 17] = {
		TEST("one write for each block", test_one_write_for_each_block),
		TEST("a record larger than the buffer", test_record_larger_than_the_buffer),
		TEST("a large buffer ends with a record", test_large_buffer),
		TEST("groups, values in two parts", test_group),
		TEST("blocks of each segment", test_segments),
		TEST("half a record when the process dies", test_dies_with_the_process),
		TEST("half a record, read beside the writer", test_read_only_beside_it),
		TEST("half a record and head room, read beside the writer",
		     test_read_only_beside_it_with_room),
		TEST("half a record, and the disk is full", test_full_disk),
		TEST("half a record, the disk is full, synced", test_full_disk_sync),
		TEST("half a record, the disk is full, waited for", test_full_disk_sync_to),
		TEST("short writes", test_short_writes),
	};
	size_t count = 12;

	for (size_t i = 0; i < ARRAY_SIZE(block_cases); i++)
		rows[count++] = (struct CMUnitTest){ block_cases[i].name, test_blocks,
						     log_fixture_setup, log_fixture_teardown,
						     (void *)(uintptr_t)&block_cases[i] };
	return unit_run("log_buffer", rows, count);
}
