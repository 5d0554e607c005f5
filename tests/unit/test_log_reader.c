/* SPDX-License-Identifier: MIT */
/* The sequential reader: every record, small or larger than its window, and where it stops. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "codec/le.h"
#include "tests/sim/faultio.h"
#include "writer/log/reader.h"

#define ROWS_MAX   128
#define BODY_BYTES ((size_t)5 << 20)

static struct CMUnitTest rows[ROWS_MAX];
static size_t row_count;

/* A log in memory and in a file. */
struct reader_fixture {
	const void *row;
	char *dir;
	char *path;
	uint8_t *log;
	size_t bytes, capacity; /* of log: used, allocated */
	int fd;
};

static int setup(void **state)
{
	struct reader_fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->row = *state;
	f->dir = unit_tmpdir();
	f->fd = -1;
	if (asprintf(&f->path, "%s/x.data", f->dir) < 0)
		abort();
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct reader_fixture *f = *state;

	if (f->fd >= 0)
		assert_int_equal(close(f->fd), 0);
	unit_tmpdir_remove(f->dir);
	free(f->path);
	free(f->log);
	free(f);
	return 0;
}

static void add_test(const char *name, CMUnitTestFunction fn, const void *row)
{
	if (row_count == ROWS_MAX)
		abort();
	rows[row_count++] =
		(struct CMUnitTest){ name, fn, setup, teardown, (void *)(uintptr_t)row };
}

/* Bytes that differ from place to place. */
static const uint8_t *body(void)
{
	static uint8_t bytes[BODY_BYTES];

	if (bytes[1] == 0) {
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)(i * 31 + (i >> 8) * 7 + 1);
	}
	return bytes;
}

static void add_record(struct reader_fixture *f, uint32_t key_bytes, uint32_t value_bytes)
{
	struct record rec = {
		.timestamp_ns = f->bytes + 1,
		.key = body() + 1,
		.key_bytes = key_bytes,
		.value = body() + 5,
		.value_bytes = value_bytes,
	};
	uint64_t n = record_bytes(key_bytes, value_bytes);

	if (f->bytes + n > f->capacity) { /* not each time: a sanitizer copies it all */
		f->capacity = 2 * (f->bytes + n);
		f->log = realloc(f->log, f->capacity);
		assert_non_null(f->log);
	}
	record_encode(&rec, f->log + f->bytes);
	f->bytes += n;
}

static void store_log(struct reader_fixture *f)
{
	unit_write_file(f->path, f->log, f->bytes);
	f->fd = open(f->path, O_RDONLY | O_CLOEXEC);
	assert_true(f->fd >= 0);
}

/* Reads on to the end, comparing each record with the log in memory.  Returns how many. */
static size_t read_and_compare(struct reader_fixture *f, struct io *io, uint64_t from,
			       uint64_t file_bytes, struct log_stop *ret_stop)
{
	struct log_reader *r;
	struct log_entry entry;
	uint64_t offset = from;
	size_t count = 0;
	int err;

	assert_int_equal(log_reader_open(io, f->fd, from, file_bytes, &r), 0);
	while ((err = log_reader_next(r, &entry)) == 1) {
		const uint8_t *want = f->log + offset;
		uint32_t held = entry.rec.value_bytes;

		if (held > LOG_READER_VALUE_BYTES)
			held = LOG_READER_VALUE_BYTES;
		assert_int_equal(entry.offset, offset);
		assert_int_equal(entry.rec.key_bytes, le32_load(want + 4));
		assert_int_equal(entry.rec.value_bytes, le32_load(want + 8));
		assert_int_equal(entry.rec.timestamp_ns, le64_load(want + 12));
		assert_int_equal(entry.value_held_bytes, held);
		assert_memory_equal(entry.rec.key, want + 20, entry.rec.key_bytes);
		assert_memory_equal(entry.rec.value, want + 20 + entry.rec.key_bytes, held);
		assert_int_equal(entry.bytes,
				 20 + (uint64_t)entry.rec.key_bytes + entry.rec.value_bytes);
		offset += entry.bytes;
		count++;
	}
	assert_int_equal(err, 0);
	*ret_stop = log_reader_stop(r);
	assert_int_equal(ret_stop->offset, offset);
	log_reader_close(r);
	return count;
}

/* --- records of all sizes --- */

#define MIB (1 << 20)

static const struct size_case {
	const char *name;
	uint32_t sizes[8][2]; /* of key and value */
	size_t count;
} size_cases[] = {
	{ "small records", { { 5, 6 }, { 1, 0 }, { 0, 3 }, { 0, 0 }, { 3, 3 } }, 5 },
	{ "record of the window's size", { { 3, 3 }, { 4, MIB - 24 }, { 3, 3 } }, 3 },
	{ "record a byte larger than the window", { { 3, 3 }, { 4, MIB - 23 }, { 3, 3 } }, 3 },
	{ "record a byte smaller than the window", { { 3, 3 }, { 4, MIB - 25 }, { 3, 3 } }, 3 },
	{ "value of exactly what is held", { { 3, LOG_READER_VALUE_BYTES }, { 3, 3 } }, 2 },
	{ "value a byte longer than what is held",
	  { { 3, LOG_READER_VALUE_BYTES + 1 }, { 3, 3 } },
	  2 },
	{ "value of 3 MiB", { { 3, 3 * MIB }, { 3, 3 } }, 2 },
	{ "values of 3 MiB one after the other", { { 3, 3 * MIB }, { 3, 3 * MIB }, { 3, 3 } }, 3 },
	{ "key of 2 MiB", { { 2 * MIB, 3 }, { 3, 3 } }, 2 },
	{ "key and value of 2 MiB", { { 2 * MIB, 2 * MIB }, { 3, 3 } }, 2 },
	{ "key of 2 MiB, no value", { { 2 * MIB, 0 }, { 3, 3 } }, 2 },
	{ "many that straddle the window",
	  { { 3, 700000 }, { 3, 700000 }, { 3, 700000 }, { 9, 9 }, { 3, 700000 } },
	  5 },
};

static void test_sizes(void **state)
{
	struct reader_fixture *f = *state;
	const struct size_case *c = f->row;
	struct log_stop stop;

	for (size_t i = 0; i < c->count; i++)
		add_record(f, c->sizes[i][0], c->sizes[i][1]);
	store_log(f);
	assert_int_equal(read_and_compare(f, &io_posix, 0, f->bytes, &stop), c->count);
	assert_int_equal(stop.scan, RECORD_END);
	assert_int_equal(stop.reason, RECORD_REASON_NONE);
}

/* The last record is cut by a byte, or one byte of it is flipped: key, value and the far end. */
static void test_sizes_damaged(void **state)
{
	struct reader_fixture *f = *state;
	const struct size_case *c = f->row;
	size_t last = c->count - 1, start;
	struct log_stop stop;

	add_record(f, 7, 7); /* the record of the row is the last here */
	for (size_t i = 0; i < last; i++)
		add_record(f, c->sizes[i][0], c->sizes[i][1]);
	start = f->bytes - 20 - c->sizes[last - 1][0] - c->sizes[last - 1][1];
	store_log(f);
	assert_int_equal(read_and_compare(f, &io_posix, 0, f->bytes - 1, &stop), last);
	assert_int_equal(stop.scan, RECORD_TORN);
	assert_int_equal(stop.offset, start);

	f->log[f->bytes - 1] ^= 0x20;
	assert_int_equal(close(f->fd), 0);
	store_log(f);
	assert_int_equal(read_and_compare(f, &io_posix, 0, f->bytes, &stop), last);
	assert_int_equal(stop.scan, RECORD_DAMAGED);
	assert_int_equal(stop.reason, RECORD_REASON_CRC);
	assert_int_equal(stop.crc_stored, le32_load(f->log + start));
	assert_int_not_equal(stop.crc_computed, stop.crc_stored);
}

static void test_many_records(void **state)
{
	struct reader_fixture *f = *state;
	struct log_stop stop;
	uint32_t records = 40000;

	for (uint32_t i = 0; i < records; i++)
		add_record(f, i % 13, i % 29);
	store_log(f);
	assert_int_equal(read_and_compare(f, &io_posix, 0, f->bytes, &stop), records);
	assert_int_equal(stop.scan, RECORD_END);
}

static void test_start_in_the_middle(void **state)
{
	struct reader_fixture *f = *state;
	struct log_stop stop;

	add_record(f, 3, 3);
	add_record(f, 4, 2 * MIB);
	add_record(f, 5, 5);
	store_log(f);
	assert_int_equal(read_and_compare(f, &io_posix, 26, f->bytes, &stop), 2);
	assert_int_equal(read_and_compare(f, &io_posix, f->bytes - 30, f->bytes, &stop), 1);
	assert_int_equal(read_and_compare(f, &io_posix, f->bytes, f->bytes, &stop), 0);
	assert_int_equal(stop.scan, RECORD_END);
	assert_int_equal(read_and_compare(f, &io_posix, 0, 26, &stop), 1); /* an earlier end */
	assert_int_equal(stop.scan, RECORD_END);
}

static void test_short_reads(void **state)
{
	struct reader_fixture *f = *state;
	struct faultio *faults = faultio_new(&io_posix);
	struct fault_plan plan = {
		.at = 1, .times = 40, .kinds = IOCALL_BIT(IOCALL_PREAD), .action = FAULT_SHORT
	};
	struct log_stop stop;

	add_record(f, 3, 3);
	add_record(f, 4, 3 * MIB);
	add_record(f, 5, 5);
	store_log(f);
	faultio_set_plan(faults, &plan);
	assert_int_equal(read_and_compare(f, faultio_io(faults), 0, f->bytes, &stop), 3);
	assert_true(faultio_hits(faults) > 20);
	faultio_free(faults);
}

/* An error of the disk is an error, at whichever read, and no end of the log. */
static void test_read_errors(void **state)
{
	struct reader_fixture *f = *state;
	struct faultio *faults = faultio_new(&io_posix);
	struct fault_plan plan = { .times = 1, .kinds = IOCALL_BIT(IOCALL_PREAD), .err = -EIO };
	int err;

	add_record(f, 3, 3);
	add_record(f, 4, 3 * MIB);
	add_record(f, 5, 5);
	store_log(f);
	for (plan.at = 1;; plan.at++) {
		struct log_reader *r;
		struct log_entry entry;

		faultio_set_plan(faults, &plan);
		assert_int_equal(log_reader_open(faultio_io(faults), f->fd, 0, f->bytes, &r), 0);
		while ((err = log_reader_next(r, &entry)) == 1)
			continue;
		log_reader_close(r);
		if (faultio_hits(faults) == 0)
			break;
		assert_int_equal(err, -EIO);
	}
	assert_int_equal(err, 0);
	assert_true(plan.at > 5);
	faultio_free(faults);
}

/* The file is shorter than it was when it was opened: an error, and no end of the log either. */
static void test_file_that_shrank(void **state)
{
	struct reader_fixture *f = *state;
	struct log_reader *r;
	struct log_entry entry;

	add_record(f, 3, 3);
	store_log(f);
	assert_int_equal(log_reader_open(&io_posix, f->fd, 0, f->bytes + 10, &r), 0);
	assert_int_equal(log_reader_next(r, &entry), -EIO);
	log_reader_close(r);
}

/* Lets the process grow by at most 'bytes', so that a larger allocation fails.  A sanitizer's own
 * memory is too much for that. */
static void limit_memory(uint64_t bytes, struct rlimit *ret_before)
{
	struct unit_file statm = unit_read_proc("/proc/self/statm");
	struct rlimit limit;
	uint64_t pages = strtoull((char *)statm.data, NULL, 10);

	free(statm.data);
	assert_int_equal(getrlimit(RLIMIT_AS, ret_before), 0);
	limit = *ret_before;
#if !UNIT_SANITIZED
	limit.rlim_cur = pages * (uint64_t)sysconf(_SC_PAGESIZE) + bytes;
#endif
	assert_true(pages > 0);
	assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
}

/* A header that claims gigabytes, in a sparse file that has them: the CRC is wrong, and nothing of
 * that size was allocated to find out. */
static void test_claims_of_a_bad_header(void **state)
{
	struct reader_fixture *f = *state;
	uint64_t file_bytes = UINT64_C(600) << 20;
	uint8_t header[20] = { 1, 2, 3, 4 };
	struct log_reader *r;
	struct log_entry entry;
	struct rlimit before;
	struct log_stop stop;

	add_record(f, 3, 3);
	store_log(f);
	le32_store(header + 4, (uint32_t)(file_bytes - 100)); /* all of it the key */
	unit_write_file(f->path, header, sizeof(header));
	assert_int_equal(truncate(f->path, (off_t)file_bytes), 0);
	limit_memory(UINT64_C(100) << 20, &before);
	assert_int_equal(log_reader_open(&io_posix, f->fd, 0, file_bytes, &r), 0);
	assert_int_equal(log_reader_next(r, &entry), 0);
	assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
	stop = log_reader_stop(r);
	assert_int_equal(stop.scan, RECORD_DAMAGED);
	log_reader_close(r);
}

/* The log image inside a value is stepped over. */
static void test_golden(void **state)
{
	struct reader_fixture *f = *state;
	struct unit_file golden = unit_read_file(GOLDEN_DIR "/freyjadb.data");
	struct log_stop stop;

	f->log = golden.data;
	f->bytes = golden.bytes;
	store_log(f);
	assert_int_equal(read_and_compare(f, &io_posix, 0, f->bytes, &stop), 14);
	assert_int_equal(stop.scan, RECORD_END);
	assert_int_equal(stop.offset, 70790);
}

int main(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(size_cases); i++) {
		add_test(size_cases[i].name, test_sizes, &size_cases[i]);
		add_test(unit_name("%s, damaged", size_cases[i].name), test_sizes_damaged,
			 &size_cases[i]);
	}
	add_test("40000 records", test_many_records, NULL);
	add_test("start in the middle", test_start_in_the_middle, NULL);
	add_test("short reads", test_short_reads, NULL);
	add_test("EIO at each read", test_read_errors, NULL);
	add_test("file that shrank", test_file_that_shrank, NULL);
	add_test("claims of a bad header", test_claims_of_a_bad_header, NULL);
	add_test("golden log", test_golden, NULL);
	return unit_run("log_reader", rows, row_count);
}
