/* SPDX-License-Identifier: MIT */
/* Opening a log after a crash: torn tails, the durable mark, damage, quarantine. */
#include "tests/unit/log_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "codec/le.h"
#include "codec/meta.h"
#include "codec/synced.h"
#include "tests/sim/rng.h"
#include "tests/sim/simdisk.h"

#define ROWS_MAX 256

static struct CMUnitTest rows[ROWS_MAX];
static size_t row_count;

static void add_row(const char *name, CMUnitTestFunction fn, const void *row)
{
	if (row_count == ROWS_MAX)
		abort();
	rows[row_count++] = (struct CMUnitTest){ name, fn, log_fixture_setup, log_fixture_teardown,
						 (void *)(uintptr_t)row };
}

static void add_test(const char *name, CMUnitTestFunction fn)
{
	add_row(name, fn, NULL);
}

/* --- a log to damage: three records, the last of 31 bytes at offset 53 --- */

#define RECORDS	    3
#define LAST_OFFSET 53
#define LOG_BYTES   84
#define LAST_BYTES  (LOG_BYTES - LAST_OFFSET)

static size_t add_record(uint8_t *out, uint64_t timestamp_ns, const char *key, const char *value)
{
	struct record rec = {
		.timestamp_ns = timestamp_ns,
		.key = key,
		.key_bytes = (uint32_t)strlen(key),
		.value = value,
		.value_bytes = (uint32_t)strlen(value),
	};

	record_encode(&rec, out);
	return record_bytes(rec.key_bytes, rec.value_bytes);
}

static void make_log(uint8_t log[LOG_BYTES])
{
	size_t n = add_record(log, 100, "first", "one");

	n += add_record(log + n, 200, "a", "four");
	assert_int_equal(n, LAST_OFFSET);
	n += add_record(log + n, 300, "hello", "world\n");
	assert_int_equal(n, LOG_BYTES);
}

/* Puts a log, and a durable mark unless 'durable' is UINT64_MAX, where the writer will find them.
 */
static void plant(struct log_fixture *f, const void *log, size_t bytes, uint64_t durable)
{
	if (!unit_exists(unit_path("%s/db", f->dir)))
		assert_int_equal(mkdir(unit_path("%s/db", f->dir), 0700), 0);
	unit_write_file(f->path, log, bytes);
	if (durable != UINT64_MAX) {
		uint8_t mark[SYNCED_BYTES];

		synced_encode(&(struct synced){ .segment = 1, .durable_offset = durable }, mark);
		unit_write_file(fixture_beside(f, "active.synced"), mark, sizeof(mark));
	}
}

static int count_files(const char *path)
{
	struct dirent *entry;
	DIR *dir = opendir(path);
	int count = 0;

	if (dir == NULL)
		return 0;
	while ((entry = readdir(dir)) != NULL)
		count += entry->d_name[0] != '.';
	assert_int_equal(closedir(dir), 0);
	return count;
}

static int quarantined(const struct log_fixture *f)
{
	return count_files(fixture_beside(f, "quarantine"));
}

/* --- tails --- */

enum filler {
	FILL_RECORD,
	FILL_ZEROS,
	FILL_FF,
	FILL_FLIP
};

struct tail_case {
	enum filler filler;
	size_t bytes; /* of the tail; FILL_FLIP: where the bit is flipped */
};

/* The name of the report in quarantine/ and what it says. */
static void check_report(struct log_fixture *f, const struct log_recovery *rec, uint64_t offset,
			 uint64_t bytes)
{
	char name[sizeof(rec->quarantine) + 4];
	struct unit_file report;
	size_t n = strlen(rec->quarantine);

	(void)snprintf(name, sizeof(name), "%s", rec->quarantine);
	assert_true(n > 4);
	memcpy(name + n - 4, ".txt", 4); /* instead of ".bad", or itself */
	report = unit_read_file(fixture_beside(f, name));
	assert_non_null(strstr((char *)report.data, "file: active.data\n"));
	assert_non_null(
		strstr((char *)report.data, unit_path("\noffset: %lu\n", (unsigned long)offset)));
	assert_non_null(
		strstr((char *)report.data, unit_path("\nlength: %lu\n", (unsigned long)bytes)));
	assert_non_null(strstr((char *)report.data, record_reason_text(rec->stop.reason)));
	free(report.data);
}

/* The bytes in quarantine/ and the zeros that the report speaks of are the bytes that were cut. */
static void check_quarantine(struct log_fixture *f, const struct log_recovery *rec,
			     const uint8_t *tail, size_t tail_bytes)
{
	size_t saved = tail_bytes;
	struct unit_file bad;
	struct stat st;

	while (saved > 0 && tail[saved - 1] == 0)
		saved--;
	assert_int_equal(quarantined(f), saved > 0 ? 2 : 1);
	assert_int_equal(strncmp(rec->quarantine, "quarantine/active.data.", 23), 0);
	check_report(f, rec, rec->kept_bytes, tail_bytes);
	assert_int_equal(stat(fixture_beside(f, "quarantine"), &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0700);
	if (saved == 0)
		return;
	bad = unit_read_file(fixture_beside(f, rec->quarantine));
	assert_int_equal(bad.bytes, saved);
	assert_memory_equal(bad.data, tail, saved);
	free(bad.data);
	assert_int_equal(stat(fixture_beside(f, rec->quarantine), &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
}

/* Appends go on behind the last whole record, and the log is whole again. */
static void check_goes_on(struct log_fixture *f, uint64_t kept, size_t records)
{
	struct unit_file log;

	assert_int_equal(unit_file_bytes(f->path), kept);
	assert_int_equal(log_writer_size(f->w), kept);
	assert_int_equal(fixture_put(f, "after", "crash"), kept);
	fixture_close(f);
	log = unit_read_file(f->path);
	assert_int_equal(log.bytes, kept + 30);
	assert_int_equal(assert_log_whole(&log), records + 1);
	free(log.data);
	fixture_open(f, LOG_WRITER_NEVER, 0); /* and it opens cleanly */
	assert_int_equal(log_writer_size(f->w), kept + 30);
}

/* Whole records, then the tail, then recovery. */
static void recover_tail(struct log_fixture *f, const uint8_t *log, uint64_t kept, size_t records,
			 size_t bytes, enum record_scan scan)
{
	struct log_recovery rec;
	struct diag diag;

	plant(f, log, bytes, UINT64_MAX);
	assert_int_equal(fixture_try_open(f, &rec, &diag), 0);
	assert_int_equal(rec.file_bytes, bytes);
	assert_int_equal(rec.kept_bytes, kept);
	assert_int_equal(rec.records, records);
	assert_int_equal(rec.stop.scan, scan);
	assert_int_equal(rec.stop.offset, kept);
	assert_true(rec.durable_mark_missing);
	assert_non_null(strstr(diag.text, f->path)); /* it is reported, not only done */
	check_quarantine(f, &rec, log + kept, bytes - kept);
	check_goes_on(f, kept, records);
}

static void test_tail(void **state)
{
	struct log_fixture *f = *state;
	const struct tail_case *c = f->row;
	uint8_t log[LOG_BYTES + 4096];

	make_log(log);
	switch (c->filler) {
	case FILL_RECORD: /* the last record, cut */
		recover_tail(f, log, LAST_OFFSET, RECORDS - 1, LAST_OFFSET + c->bytes, RECORD_TORN);
		break;
	case FILL_ZEROS: /* blocks that were allocated and never written */
		memset(log + LOG_BYTES, 0, c->bytes);
		recover_tail(f, log, LOG_BYTES, RECORDS, LOG_BYTES + c->bytes, RECORD_TORN);
		break;
	case FILL_FF:
		memset(log + LOG_BYTES, 0xff, c->bytes);
		recover_tail(f, log, LOG_BYTES, RECORDS, LOG_BYTES + c->bytes, RECORD_TORN);
		break;
	case FILL_FLIP: /* the last record has all its bytes, and one is wrong */
		log[LAST_OFFSET + c->bytes] ^= 0x01;
		recover_tail(f, log, LAST_OFFSET, RECORDS - 1, LOG_BYTES, RECORD_DAMAGED);
		break;
	}
}

/* The first record is bad: all is cut, nothing is lost, and it is said. */
static void test_bad_first_record(void **state)
{
	struct log_fixture *f = *state;
	uint8_t log[LOG_BYTES];

	make_log(log);
	log[22] ^= 0x80;
	recover_tail(f, log, 0, 0, sizeof(log), RECORD_DAMAGED);
}

/* Bytes behind a bad record are cut and saved with it, even if they look valid. */
static void test_bad_record_in_the_middle(void **state)
{
	struct log_fixture *f = *state;
	uint8_t log[LOG_BYTES];

	make_log(log);
	log[28 + 21] ^= 0x80;
	recover_tail(f, log, 28, 1, sizeof(log), RECORD_DAMAGED);
}

static void test_one_byte_file(void **state)
{
	recover_tail(*state, (const uint8_t *)"\1", 0, 0, 1, RECORD_TORN);
}

static void test_file_of_zeros(void **state)
{
	static const uint8_t zeros[70000];

	recover_tail(*state, zeros, 0, 0, sizeof(zeros), RECORD_TORN);
}

/* Zeros, then bytes: the zeros are part of the saved bytes. */
static void test_zeros_then_bytes(void **state)
{
	uint8_t log[LOG_BYTES + 600];

	make_log(log);
	memset(log + LOG_BYTES, 0, 600);
	log[LOG_BYTES + 512] = 7;
	recover_tail(*state, log, LOG_BYTES, RECORDS, sizeof(log), RECORD_TORN);
}

/* A tail larger than any buffer of the recovery. */
static void test_large_tail(void **state)
{
	size_t tail = ((size_t)3 << 20) + 17;
	uint8_t *log = malloc(LOG_BYTES + tail);

	assert_non_null(log);
	make_log(log);
	memset(log + LOG_BYTES, 0xa5, tail);
	recover_tail(*state, log, LOG_BYTES, RECORDS, LOG_BYTES + tail, RECORD_TORN);
	free(log);
}

/* A header that claims 8 GiB: torn, and nothing of that size is allocated. */
static void test_sizes_that_lie(void **state)
{
	uint8_t log[LOG_BYTES + 24];

	make_log(log);
	memset(log + LOG_BYTES, 1, 24);
	le32_store(log + LOG_BYTES + 4, UINT32_MAX);
	le32_store(log + LOG_BYTES + 8, UINT32_MAX);
	recover_tail(*state, log, LOG_BYTES, RECORDS, sizeof(log), RECORD_TORN);
}

static void test_sizes_that_overflow(void **state)
{
	uint8_t log[LOG_BYTES + 24];

	make_log(log);
	memset(log + LOG_BYTES, 1, 24);
	le32_store(log + LOG_BYTES + 4, 0xffffffff); /* 20 + key + value is 24 in 32 bits */
	le32_store(log + LOG_BYTES + 8, 5);
	recover_tail(*state, log, LOG_BYTES, RECORDS, sizeof(log), RECORD_TORN);
}

static void test_crash_again_and_again(void **state)
{
	struct log_fixture *f = *state;
	uint8_t log[LOG_BYTES];
	struct unit_file now;

	make_log(log);
	plant(f, log, LOG_BYTES, UINT64_MAX);
	for (int i = 1; i <= 5; i++) {
		struct log_recovery rec;

		assert_int_equal(fixture_try_open(f, &rec, NULL), 0);
		assert_int_equal(rec.stop.scan, i == 1 ? RECORD_END : RECORD_TORN);
		assert_int_equal(quarantined(f), 2 * (i - 1)); /* each has its own */
		fixture_put(f, "round", "again");
		fixture_close(f);
		now = unit_read_file(f->path);
		assert_int_equal(assert_log_whole(&now), RECORDS + (size_t)i);
		now.data = realloc(now.data, now.bytes + 4);
		memcpy(now.data + now.bytes, "torn", 4);
		unit_write_file(f->path, now.data, now.bytes + 4);
		free(now.data);
	}
}

/* --- groups --- */

static size_t add_attr(uint8_t *out, uint64_t timestamp_ns, const char *path, bool more)
{
	struct meta_attr attr = { .flags = more ? META_FLAG_MORE : 0,
				  .type = META_TYPE_DIRECTORY,
				  .mode = 0700 };
	uint8_t key[64], value[META_ATTR_BYTES_MAX];
	struct record rec = { .timestamp_ns = timestamp_ns, .key = key, .value = value };

	meta_key_prefix(META_ATTR, key);
	memcpy(key + META_KEY_PREFIX_BYTES, path, strlen(path));
	rec.key_bytes = (uint32_t)(META_KEY_PREFIX_BYTES + strlen(path));
	rec.value_bytes = (uint32_t)meta_attr_encode(&attr, value);
	record_encode(&rec, out);
	return record_bytes(rec.key_bytes, rec.value_bytes);
}

#define GROUP_PART_BYTES (20 + 3 + 16)

/* A log of three records, then a group of three: d, e, f. */
static size_t make_group_log(uint8_t *log)
{
	size_t n = LOG_BYTES;

	make_log(log);
	n += add_attr(log + n, 400, "d", true);
	n += add_attr(log + n, 401, "e", true);
	n += add_attr(log + n, 402, "f", false);
	assert_int_equal(n, LOG_BYTES + 3 * GROUP_PART_BYTES);
	return n;
}

/* Cut at each byte of the group: all of it is there, or none. */
static void test_cut_group(void **state)
{
	struct log_fixture *f = *state;
	size_t bytes = (size_t)(uintptr_t)f->row;
	uint8_t log[LOG_BYTES + 3 * GROUP_PART_BYTES];

	assert_int_equal(make_group_log(log), sizeof(log));
	recover_tail(f, log, LOG_BYTES, RECORDS, LOG_BYTES + bytes, RECORD_TORN);
}

static void test_group_reason(void **state)
{
	struct log_fixture *f = *state;
	uint8_t log[LOG_BYTES + 3 * GROUP_PART_BYTES];
	struct log_recovery rec;

	make_group_log(log);
	plant(f, log, LOG_BYTES + (size_t)2 * GROUP_PART_BYTES, UINT64_MAX);
	assert_int_equal(fixture_try_open(f, &rec, NULL), 0);
	assert_int_equal(rec.stop.reason, RECORD_REASON_GROUP);
}

static int open_with_segments(struct log_fixture *f, struct diag *diag)
{
	const struct log_writer_config config = {
		.file_path = f->path,
		.fsync_interval_ns = LOG_WRITER_NEVER,
		.segment_size_bytes = LOG_WRITER_SEGMENT_MIN,
		.no_background = true,
		.io = probe_io(f->probe),
	};

	return log_writer_open(&config, &f->w, diag);
}

/* A group that was cut is not among the records that MANIFEST lists its segment with. */
static void test_cut_group_is_not_listed(void **state)
{
	struct log_fixture *f = *state;
	uint8_t log[LOG_BYTES + 3 * GROUP_PART_BYTES];
	struct diag diag = { "" };

	make_group_log(log);
	plant(f, log, LOG_BYTES + (size_t)2 * GROUP_PART_BYTES, UINT64_MAX);
	assert_int_equal(open_with_segments(f, &diag), 0);
	assert_int_equal(log_writer_rotate(f->w), 0); /* nothing is appended before */
	fixture_close(f);
	if (open_with_segments(f, &diag) < 0)
		fail_msg("open: %s", diag.text);
}

struct seen {
	int commits;
	size_t records;
	size_t largest;
	uint64_t end;
};

static int on_commit(void *arg, const struct log_entry *entries, size_t count, struct diag *diag)
{
	struct seen *seen = arg;

	seen->commits++;
	seen->records += count;
	if (count > seen->largest)
		seen->largest = count;
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(entries[i].offset, seen->end);
		seen->end += entries[i].bytes;
		assert_non_null(entries[i].rec.key);
		assert_int_equal(entries[i].value_held_bytes, entries[i].rec.value_bytes);
	}
	return 0;
}

static int open_replay(struct log_fixture *f, log_replay_fn fn, void *arg, struct diag *diag)
{
	struct log_writer_config config = {
		.file_path = f->path,
		.fsync_interval_ns = LOG_WRITER_NEVER,
		.io = probe_io(f->probe),
	};

	return log_writer_open_replay(&config, fn, arg, &f->w, NULL, diag);
}

static void test_replay_hands_out_commits(void **state)
{
	struct log_fixture *f = *state;
	uint8_t log[LOG_BYTES + 3 * GROUP_PART_BYTES + 10];
	struct seen seen = { 0 };
	size_t n = make_group_log(log);

	memset(log + n, 9, 10);
	plant(f, log, n + 10, UINT64_MAX);
	assert_int_equal(open_replay(f, on_commit, &seen, NULL), 0);
	assert_int_equal(seen.commits, 4);
	assert_int_equal(seen.records, 6);
	assert_int_equal(seen.largest, 3);
	assert_int_equal(seen.end, n);
}

static void test_replay_of_the_golden_log(void **state)
{
	struct log_fixture *f = *state;
	struct unit_file golden = unit_read_file(GOLDEN_DIR "/freyjadb.data");
	struct seen seen = { 0 };
	struct unit_file log;

	plant(f, golden.data, golden.bytes, UINT64_MAX);
	assert_int_equal(open_replay(f, on_commit, &seen, NULL), 0);
	assert_int_equal(seen.commits, 14);
	assert_int_equal(seen.end, golden.bytes);
	assert_int_equal(log_writer_last_timestamp(f->w), UINT64_C(1795346587697741071));
	fixture_close(f);
	log = unit_read_file(f->path);
	assert_int_equal(log.bytes, golden.bytes);
	assert_memory_equal(log.data, golden.data, golden.bytes);
	assert_int_equal(quarantined(f), 0);
	free(log.data);
	free(golden.data);
}

static int refuse_second(void *arg, const struct log_entry *entries, size_t count,
			 struct diag *diag)
{
	return entries[0].offset == 0 ? 0 : diag_set(diag, -EBADMSG, "no, thank you");
}

/* The store refuses a commit: nothing is cut, whatever stands behind it. */
static void test_replay_refusal_changes_nothing(void **state)
{
	struct log_fixture *f = *state;
	uint8_t log[LOG_BYTES];
	struct unit_file after;
	struct diag diag;

	make_log(log);
	plant(f, log, LOG_BYTES - 1, UINT64_MAX);
	assert_int_equal(open_replay(f, refuse_second, NULL, &diag), -EBADMSG);
	assert_string_equal(diag.text, "no, thank you");
	after = unit_read_file(f->path);
	assert_int_equal(after.bytes, LOG_BYTES - 1);
	assert_int_equal(quarantined(f), 0);
	free(after.data);
}

/* --- the durable mark --- */

static const struct mark_case {
	const char *name;
	uint64_t durable; /* UINT64_MAX: no mark */
	size_t bytes;	  /* of the file */
	size_t flip;	  /* SIZE_MAX: none */
	bool refused;
	uint64_t kept;
} mark_cases[] = {
	{ "damage before the mark", LOG_BYTES, LOG_BYTES, 30, true, 0 },
	{ "damage in the first record, all durable", LOG_BYTES, LOG_BYTES, 0, true, 0 },
	{ "damage in the last record, all durable", LOG_BYTES, LOG_BYTES, 80, true, 0 },
	{ "damage before a mark in the middle", 53, LOG_BYTES, 30, true, 0 },
	{ "damage just before the mark", 29, LOG_BYTES, 30, true, 0 },
	{ "damage right at the mark", 28, LOG_BYTES, 30, false, 28 },
	{ "damage behind the mark", 28, LOG_BYTES, 80, false, 53 },
	{ "damage, nothing durable", 0, LOG_BYTES, 0, false, 0 },
	{ "damage, no mark", UINT64_MAX, LOG_BYTES, 0, false, 0 },
	{ "file one byte shorter than the mark", LOG_BYTES, LOG_BYTES - 1, SIZE_MAX, true, 0 },
	{ "file cut between records before the mark", LOG_BYTES, 53, SIZE_MAX, true, 0 },
	{ "file empty, mark not", LOG_BYTES, 0, SIZE_MAX, true, 0 },
	{ "file cut between records at the mark", 53, 53, SIZE_MAX, false, 53 },
	{ "torn behind the mark", 53, LOG_BYTES - 1, SIZE_MAX, false, 53 },
	{ "whole log, mark far beyond it", UINT64_C(1) << 40, LOG_BYTES, SIZE_MAX, true, 0 },
	{ "whole log, mark at its end", LOG_BYTES, LOG_BYTES, SIZE_MAX, false, LOG_BYTES },
};

static void test_mark(void **state)
{
	struct log_fixture *f = *state;
	const struct mark_case *c = f->row;
	struct log_recovery rec;
	struct unit_file after;
	uint8_t log[LOG_BYTES];
	struct diag diag;

	make_log(log);
	if (c->flip != SIZE_MAX)
		log[c->flip] ^= 0x40;
	plant(f, log, c->bytes, c->durable);
	if (c->refused) {
		assert_int_equal(fixture_try_open(f, &rec, &diag), -EBADMSG);
		assert_null(f->w);
		assert_non_null(strstr(diag.text, f->path));
		assert_non_null(strstr(diag.text, "fsck.freyjafs"));
		assert_int_equal(quarantined(f), 0);
		after = unit_read_file(f->path);
		assert_int_equal(after.bytes, c->bytes); /* nothing was changed */
		assert_memory_equal(after.data, log, c->bytes);
		free(after.data);
		assert_int_equal(fixture_try_open(f, &rec, &diag), -EBADMSG); /* nor forgotten */
	} else {
		assert_int_equal(fixture_try_open(f, &rec, &diag), 0);
		assert_int_equal(rec.kept_bytes, c->kept);
		assert_int_equal(unit_file_bytes(f->path), c->kept);
		assert_int_equal(rec.durable_mark_missing, c->durable == UINT64_MAX);
	}
}

/* A group that is torn before the mark was durable once: damage. */
static void test_torn_group_before_the_mark(void **state)
{
	struct log_fixture *f = *state;
	uint8_t log[LOG_BYTES + 3 * GROUP_PART_BYTES];

	make_group_log(log);
	plant(f, log, sizeof(log) - GROUP_PART_BYTES, sizeof(log) - GROUP_PART_BYTES);
	assert_int_equal(fixture_try_open(f, NULL, NULL), -EBADMSG);
	assert_int_equal(unit_file_bytes(f->path), sizeof(log) - GROUP_PART_BYTES);
}

static const struct bad_mark_case {
	const char *name;
	size_t bytes;
	size_t flip; /* SIZE_MAX: none */
} bad_mark_cases[] = {
	{ "empty mark", 0, SIZE_MAX },
	{ "mark cut by a byte", 31, SIZE_MAX },
	{ "mark with a byte more", 33, SIZE_MAX },
	{ "mark with a wrong magic", 32, 3 },
	{ "mark with a wrong version", 32, 8 },
	{ "mark with a wrong CRC", 32, 12 },
	{ "mark with a wrong offset", 32, 25 },
};

/* An invalid mark protects nothing and is in nobody's way: the log is recovered as without one. */
static void test_bad_mark(void **state)
{
	struct log_fixture *f = *state;
	const struct bad_mark_case *c = f->row;
	struct log_recovery rec;
	uint8_t log[LOG_BYTES], mark[SYNCED_BYTES + 1] = { 0 };

	make_log(log);
	plant(f, log, LOG_BYTES - 1, UINT64_MAX);
	synced_encode(&(struct synced){ 1, LOG_BYTES }, mark);
	if (c->flip != SIZE_MAX)
		mark[c->flip] ^= 1;
	unit_write_file(fixture_beside(f, "active.synced"), mark, c->bytes);
	assert_int_equal(fixture_try_open(f, &rec, NULL), 0);
	assert_int_equal(rec.durable_bytes, 0);
	assert_true(rec.durable_mark_missing);
	assert_int_equal(rec.kept_bytes, LAST_OFFSET);
	fixture_close(f);
	assert_int_equal(fixture_try_open(f, &rec, NULL), 0); /* and a good one is written */
	assert_int_equal(rec.durable_bytes, LAST_OFFSET);
}

static void test_new_log_has_no_missing_mark(void **state)
{
	struct log_fixture *f = *state;
	struct log_recovery rec;
	struct diag diag;

	assert_int_equal(fixture_try_open(f, &rec, &diag), 0);
	assert_false(rec.durable_mark_missing);
	assert_int_equal(rec.stop.scan, RECORD_END);
	assert_int_equal(rec.file_bytes, 0);
	assert_string_equal(rec.quarantine, "");
	assert_string_equal(diag.text, "");
}

/* --- errors while recovering --- */

/* EIO is no corruption: whichever read fails, the open fails with it and changes nothing. */
static void test_read_error_is_not_corruption(void **state)
{
	struct log_fixture *f = *state;
	struct unit_file golden = unit_read_file(GOLDEN_DIR "/freyjadb.data");
	struct fault_plan plan = { .times = 1, .kinds = IOCALL_BIT(IOCALL_PREAD), .err = -EIO };
	struct unit_file after;
	int err;

	plant(f, golden.data, golden.bytes, UINT64_MAX);
	for (plan.at = 1;; plan.at++) {
		faultio_set_plan(probe_faults(f->probe), &plan);
		err = fixture_try_open(f, NULL, NULL);
		if (faultio_hits(probe_faults(f->probe)) == 0)
			break;
		assert_int_equal(err, -EIO);
		after = unit_read_file(f->path);
		assert_int_equal(after.bytes, golden.bytes);
		assert_memory_equal(after.data, golden.data, golden.bytes);
		assert_int_equal(quarantined(f), 0);
		free(after.data);
	}
	assert_true(plan.at > 2); /* the mark and the log at least */
	assert_int_equal(err, 0);
	free(golden.data);
}

/* Nothing is cut before its copy is durable: whichever call fails, either the torn bytes are still
 * in the log, or they are in quarantine. */
static void test_nothing_is_cut_before_it_is_saved(void **state)
{
	struct log_fixture *f = *state;
	struct fault_plan plan = { .times = FAULT_FOR_EVER, .kinds = IOCALL_ALL, .err = -EIO };
	uint8_t log[LOG_BYTES];
	int failures = 0;

	make_log(log);
	for (plan.at = 1;; plan.at++) {
		int err;

		plant(f, log, LOG_BYTES - 1, UINT64_MAX);
		faultio_set_plan(probe_faults(f->probe), &plan);
		err = fixture_try_open(f, NULL, NULL);
		probe_heal(f->probe);
		if (err == 0)
			break;
		failures++;
		if (unit_file_bytes(f->path) != LOG_BYTES - 1)
			assert_true(quarantined(f) >= 2);
		assert_int_equal(fixture_try_open(f, NULL, NULL), 0); /* heals */
		fixture_close(f);
		assert_int_equal(unit_file_bytes(f->path), LAST_OFFSET);
		assert_true(quarantined(f) >= 2);
	}
	assert_true(failures > 10);
}

/* The order on disk: the copy is synced, its names are synced, then the cut. */
static void test_order_of_the_cut(void **state)
{
	struct log_fixture *f = *state;
	uint8_t log[LOG_BYTES];
	int made, dir_synced, names_synced, cut, cut_synced;

	make_log(log);
	plant(f, log, LOG_BYTES - 1, UINT64_MAX);
	assert_int_equal(fixture_try_open(f, NULL, NULL), 0);
	made = probe_find_event(f->probe, "mkdir:quarantine", 0);
	assert_true(made >= 0);
	dir_synced = probe_find_event(f->probe, "fsync:db", made);
	names_synced = probe_find_event(f->probe, "fsync:quarantine", made);
	cut = probe_find_event(f->probe, "truncate:active.data", 0);
	assert_true(dir_synced > made);
	assert_true(names_synced > dir_synced);
	assert_true(cut > names_synced);
	cut_synced = probe_find_event(f->probe, "fsync:active.data", cut);
	if (cut_synced < 0)
		cut_synced = probe_find_event(f->probe, "fdatasync:active.data", cut);
	assert_true(cut_synced > cut);
	assert_true(probe_find_event(f->probe, "pwrite:active.synced", 0) > cut_synced);
}

/* Where nothing can be written at all the log opens all the same, and says what was not saved. */
static void test_no_room_for_the_quarantine(void **state)
{
	static const int errors[] = { -ENOSPC, -EDQUOT };
	struct log_fixture *f = *state;
	struct log_recovery rec;
	uint8_t log[LOG_BYTES];
	struct diag diag;

	make_log(log);
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		plant(f, log, LOG_BYTES - 1, 0);
		probe_fail(f->probe, IOCALL_PWRITE, FAULT_FOR_EVER, errors[i]);
		assert_int_equal(fixture_try_open(f, &rec, &diag), 0);
		probe_heal(f->probe);
		assert_string_equal(rec.quarantine, "nothing: the disk is full");
		assert_non_null(strstr(diag.text, "the disk is full"));
		assert_int_equal(quarantined(f), 0);
		assert_int_equal(unit_file_bytes(f->path), LAST_OFFSET);
		fixture_put(f, "later", "value");
		fixture_close(f);
	}
}

/* Neither blocks nor inodes: hints go first, then the reserves, each only if what went before was
 * not enough. */
static void test_room_for_the_quarantine(void **state)
{
	static const char *const in_the_way[] = { "000001.hint", "reserve.segment", "reserve" };
	struct log_fixture *f = *state;
	struct log_recovery rec;
	uint8_t log[LOG_BYTES];

	make_log(log);
	for (unsigned int failures = 0; failures <= ARRAY_SIZE(in_the_way); failures++) {
		plant(f, log, LOG_BYTES - 1, 0);
		for (size_t i = 0; i < ARRAY_SIZE(in_the_way); i++)
			unit_write_file(fixture_beside(f, in_the_way[i]), log, sizeof(log));
		faultio_set_plan(
			probe_faults(f->probe),
			&(struct fault_plan){ .at = failures > 0 ? 2 : 0, /* not of the log */
					      .times = failures,
					      .kinds = IOCALL_BIT(IOCALL_MKDIR),
					      .err = -ENOSPC });
		assert_int_equal(fixture_try_open(f, &rec, NULL), 0);
		probe_heal(f->probe);
		check_quarantine(f, &rec, log + LAST_OFFSET, LOG_BYTES - 1 - LAST_OFFSET);
		for (size_t i = 0; i < ARRAY_SIZE(in_the_way); i++)
			assert_int_equal(unit_exists(fixture_beside(f, in_the_way[i])),
					 i >= failures);
		fixture_close(f);
		unit_tmpdir_remove(strdup(fixture_beside(f, "quarantine")));
	}
}

#define SIM_LOG	   "/db/active.data"
#define TAIL_BYTES ((size_t)3700000) /* in several pieces */

/* Says whether the pieces in quarantine, in the order of their offsets, are the tail. */
struct pieces {
	struct simdisk *disk;
	const uint8_t *tail;
	uint64_t saved_bytes;
};

static int check_piece(void *arg, const char *name)
{
	struct pieces *p = arg;
	uint64_t offset;
	uint8_t *bytes;
	size_t n;

	if (strstr(name, ".bad") == NULL)
		return 0;
	assert_int_equal(sscanf(name, "active.data.%lu.", &offset), 1);
	bytes = simdisk_read_file(p->disk, unit_path("/db/quarantine/%s", name), &n);
	assert_non_null(bytes);
	assert_true(offset >= LAST_OFFSET && offset - LAST_OFFSET + n <= TAIL_BYTES);
	assert_memory_equal(bytes, p->tail + (offset - LAST_OFFSET), n);
	p->saved_bytes += n;
	free(bytes);
	return 0;
}

/* A tail that is larger than all that is free moves to quarantine through the space that it has. */
static void test_tail_larger_than_the_space(void **state)
{
	struct log_writer_config config = { .file_path = SIM_LOG,
					    .fsync_interval_ns = LOG_WRITER_NEVER };
	uint8_t log[LOG_BYTES], *bytes = malloc(LAST_OFFSET + TAIL_BYTES);
	struct simdisk *disk = simdisk_new();
	struct pieces pieces = { .disk = disk };
	struct rng r = { 7 };
	struct log_writer *w;
	struct diag diag;

	assert_non_null(bytes);
	make_log(log);
	memcpy(bytes, log, LAST_OFFSET);
	for (size_t i = LAST_OFFSET; i < LAST_OFFSET + TAIL_BYTES; i++)
		bytes[i] = (uint8_t)(rng_next(&r) | 1);
	config.io = simdisk_io(disk);
	assert_int_equal(io_mkdir(config.io, AT_FDCWD, "/db", 0700), 0);
	assert_int_equal(simdisk_write_file(disk, SIM_LOG, bytes, LAST_OFFSET + TAIL_BYTES), 0);
	simdisk_set_capacity(disk, simdisk_used_bytes(disk));
	if (log_writer_open(&config, &w, &diag) < 0)
		fail_msg("%s", diag.text);
	assert_int_equal(log_writer_size(w), LAST_OFFSET);
	assert_int_equal(log_writer_close(w), 0);
	pieces.tail = bytes + LAST_OFFSET;
	assert_int_equal(simdisk_list_names(disk, "/db/quarantine", check_piece, &pieces), 0);
	assert_int_equal(pieces.saved_bytes, TAIL_BYTES);
	simdisk_free(disk);
	free(bytes);
}

/* Records that a dead process left in the page cache are made durable before they are served. */
static void test_open_makes_the_log_durable(void **state)
{
	struct log_fixture *f = *state;
	struct diag diag;
	uint8_t log[LOG_BYTES];

	make_log(log);
	plant(f, log, LOG_BYTES, UINT64_MAX);
	assert_int_equal(fixture_try_open(f, NULL, NULL), 0);
	assert_int_equal(probe_calls(f->probe, IOCALL_FDATASYNC), 1);
	assert_int_equal(log_writer_durable_position(f->w), LOG_BYTES);
	fixture_close(f);
	probe_fail(f->probe, IOCALL_FDATASYNC, 1, -EIO);
	assert_int_equal(fixture_try_open(f, NULL, &diag), -EIO);
}

static void add_tail_rows(void)
{
	static struct tail_case cases[ROWS_MAX];
	static const size_t runs[] = { 1, 2, 4, 8, 19, 20, 21, 100, 4096 };
	size_t n = 0;

	for (size_t bytes = 1; bytes < LAST_BYTES; bytes++) {
		cases[n] = (struct tail_case){ FILL_RECORD, bytes };
		add_row(unit_name("torn tail of %zu of 31 bytes", bytes), test_tail, &cases[n++]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(runs); i++) {
		cases[n] = (struct tail_case){ FILL_ZEROS, runs[i] };
		add_row(unit_name("tail of %zu zeros", runs[i]), test_tail, &cases[n++]);
		cases[n] = (struct tail_case){ FILL_FF, runs[i] };
		add_row(unit_name("tail of %zu bytes 0xff", runs[i]), test_tail, &cases[n++]);
	}
	for (size_t at = 0; at < LAST_BYTES; at++) {
		if (at >= RECORD_KEY_SIZE_OFFSET && at < RECORD_TIMESTAMP_OFFSET)
			continue; /* other sizes: other reasons, see test_record.c */
		cases[n] = (struct tail_case){ FILL_FLIP, at };
		add_row(unit_name("bit flip in byte %zu of the last record", at), test_tail,
			&cases[n++]);
	}
}

int main(void)
{
	add_tail_rows();
	for (uintptr_t n = 1; n < 3 * GROUP_PART_BYTES; n += n % GROUP_PART_BYTES < 2 ? 1 : 9)
		add_row(unit_name("group cut to %lu of 117 bytes", n), test_cut_group, (void *)n);
	for (size_t i = 0; i < ARRAY_SIZE(mark_cases); i++)
		add_row(unit_name("mark: %s", mark_cases[i].name), test_mark, &mark_cases[i]);
	for (size_t i = 0; i < ARRAY_SIZE(bad_mark_cases); i++)
		add_row(bad_mark_cases[i].name, test_bad_mark, &bad_mark_cases[i]);
	add_test("bad first record is cut, saved and reported", test_bad_first_record);
	add_test("bad record in the middle: all behind it is saved", test_bad_record_in_the_middle);
	add_test("file of one byte", test_one_byte_file);
	add_test("file of zeros", test_file_of_zeros);
	add_test("zeros, then bytes", test_zeros_then_bytes);
	add_test("tail of 3 MiB", test_large_tail);
	add_test("header that claims 8 GiB", test_sizes_that_lie);
	add_test("header whose sizes overflow 32 bits", test_sizes_that_overflow);
	add_test("crash again and again", test_crash_again_and_again);
	add_test("torn group has its reason", test_group_reason);
	add_test("torn group is not listed", test_cut_group_is_not_listed);
	add_test("torn group before the mark is damage", test_torn_group_before_the_mark);
	add_test("replay hands out commits", test_replay_hands_out_commits);
	add_test("replay of the golden log", test_replay_of_the_golden_log);
	add_test("replay that refuses changes nothing", test_replay_refusal_changes_nothing);
	add_test("new log has no missing mark", test_new_log_has_no_missing_mark);
	add_test("EIO on each read changes nothing", test_read_error_is_not_corruption);
	add_test("nothing is cut before it is saved", test_nothing_is_cut_before_it_is_saved);
	add_test("order of save and cut", test_order_of_the_cut);
	add_test("no room for the quarantine", test_no_room_for_the_quarantine);
	add_test("room for the quarantine", test_room_for_the_quarantine);
	add_test("a tail that is larger than the space", test_tail_larger_than_the_space);
	add_test("opening makes the log durable", test_open_makes_the_log_durable);
	return unit_run("log_recovery", rows, row_count);
}
