/* SPDX-License-Identifier: MIT */
/* Rotated segments: appends continue in the next segment before they are durable, and after a power
 * cut the log ends where the first of them is incomplete.  Every cut and every failing call:
 * tests/crash, tests/fault. */
#include "tests/unit/log_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "codec/meta.h"
#include "codec/record.h"
#include "codec/synced.h"
#include "writer/log/log_writer_private.h"

#define SEGMENT_BYTES	    1100
#define VALUE_BYTES	    480
#define RECORD_BYTES	    (RECORD_HEADER_BYTES + 2 + VALUE_BYTES)
#define NUMBER_RECORD_BYTES 48		       /* that each segment but the first begins with */
#define FIRST_BYTES	    (2 * RECORD_BYTES) /* a third one does not fit */
#define FULL_BYTES	    (NUMBER_RECORD_BYTES + FIRST_BYTES)
#define FULL1		    "000001.1004.full"
#define FULL2		    "000002.1052.full"
#define FULL3		    "000003.1052.full"
#define RECORDS		    7 /* in three rotated segments and the active one */
#define ACTIVE_BYTES	    (NUMBER_RECORD_BYTES + RECORD_BYTES) /* of the active one then */
#define KEYS_BYTES	    512

/* --- what is in the log --- */

static int add_key(void *arg, const struct log_entry *entries, size_t entry_count,
		   struct diag *diag)
{
	char *keys = arg;
	size_t used = strlen(keys);

	(void)diag;
	for (size_t i = 0; i < entry_count; i++)
		used += (size_t)snprintf(keys + used, KEYS_BYTES - used, "%.*s ",
					 (int)entries[i].rec.key_bytes,
					 (const char *)entries[i].rec.key);
	return 0;
}

static int try_open(struct log_fixture *f, bool read_only, char keys[KEYS_BYTES],
		    struct log_recovery *rec, struct diag *diag)
{
	const struct log_writer_config config = {
		.file_path = f->path,
		.fsync_interval_ns = LOG_WRITER_NEVER,
		.segment_size_bytes = SEGMENT_BYTES,
		.no_background = true,
		.read_only = read_only,
		.io = probe_io(f->probe),
	};

	keys[0] = '\0';
	return log_writer_open_replay(&config, add_key, keys, &f->w, rec, diag);
}

static void open_log(struct log_fixture *f, const char *want_keys, struct log_recovery *ret)
{
	char keys[KEYS_BYTES];
	struct diag diag = { "" };

	if (try_open(f, false, keys, ret, &diag) < 0)
		fail_msg("open: %s", diag.text);
	assert_string_equal(keys, want_keys);
}

static void put(struct log_fixture *f, const char *key)
{
	uint8_t value[VALUE_BYTES];

	memset(value, 'v', sizeof(value));
	assert_int_equal(log_writer_put(f->w, key, 2, value, sizeof(value), NULL), 0);
}

static void put_many(struct log_fixture *f, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		put(f, unit_path("k%u", i));
}

/* Where a log ends whose segments are all as full as they can be, but for the last. */
static uint64_t end_of(uint64_t records)
{
	return records * RECORD_BYTES + (records - 1) / 2 * NUMBER_RECORD_BYTES;
}

static bool is_there(const struct log_fixture *f, const char *name)
{
	return unit_exists(fixture_beside(f, name));
}

/* A log that died before anything was synced. */
static void make_dead(struct log_fixture *f)
{
	struct log_recovery rec;

	open_log(f, "", &rec);
	put_many(f, RECORDS);
	fixture_kill(f);
	assert_int_equal(unit_file_bytes(fixture_beside(f, FULL1)), FIRST_BYTES);
	assert_int_equal(unit_file_bytes(fixture_beside(f, FULL2)), FULL_BYTES);
	assert_int_equal(unit_file_bytes(fixture_beside(f, FULL3)), FULL_BYTES);
	assert_int_equal(unit_file_bytes(f->path), ACTIVE_BYTES);
}

/* How many bytes quarantine/ has, without the reports. */
static uint64_t quarantined_bytes(const struct log_fixture *f)
{
	const char *dir = fixture_beside(f, "quarantine");
	const struct dirent *entry;
	uint64_t bytes = 0;
	DIR *d = opendir(dir);

	while (d != NULL && (entry = readdir(d)) != NULL)
		if (strstr(entry->d_name, ".bad") != NULL)
			bytes += unit_file_bytes(unit_path("%s/%s", dir, entry->d_name));
	if (d != NULL)
		(void)closedir(d);
	return bytes;
}

/* --- sealing --- */

static void test_rotation_waits_for_nothing(void **state)
{
	struct log_fixture *f = *state;
	uint64_t datasyncs, syncs;
	struct log_recovery rec;
	struct segment seg;

	open_log(f, "", &rec);
	datasyncs = probe_calls(f->probe, IOCALL_FDATASYNC);
	syncs = probe_calls(f->probe, IOCALL_FSYNC);
	put_many(f, RECORDS);
	assert_int_equal(fixture_stats(f).segments, 4);
	assert_int_equal(probe_calls(f->probe, IOCALL_FDATASYNC), datasyncs);
	assert_int_equal(probe_calls(f->probe, IOCALL_FSYNC), syncs);
	assert_int_equal(fixture_stats(f).durable_position, 0);
	assert_false(log_writer_sealed(f->w, 0, &seg)); /* nothing to be compacted */
	assert_int_equal(log_writer_sync(f->w), 0);
	assert_int_equal(fixture_stats(f).durable_position, end_of(RECORDS));
	assert_false(log_writer_sealed(f->w, 0, &seg)); /* a sync waits for no list */
	assert_true(is_there(f, FULL1));
	assert_int_equal(log_writer_seal(f->w), 0);
	for (size_t i = 0; i < 3; i++) {
		uint64_t bytes = i == 0 ? FIRST_BYTES : FULL_BYTES;

		assert_true(log_writer_sealed(f->w, i, &seg));
		assert_int_equal(seg.bytes, bytes);
		assert_int_equal(
			unit_file_bytes(fixture_beside(f, unit_path("00000%zu.data", i + 1))),
			bytes);
	}
	assert_false(log_writer_sealed(f->w, 3, &seg));
}

/* The order that makes a promise of it: data, names, data of the next.  The list follows, and then
 * the names that it has. */
static void test_order(void **state)
{
	struct log_fixture *f = *state;
	struct log_recovery rec;
	int at;

	open_log(f, "", &rec);
	put_many(f, 3);
	at = probe_find_event(f->probe, "rename:active.data", 0);
	assert_true(at >= 0);
	assert_int_equal(log_writer_sync(f->w), 0);
	at = probe_find_event(f->probe, "fdatasync:active.data", at); /* as it was called */
	assert_true(at >= 0);
	at = probe_find_event(f->probe, "fsync:db", at);
	assert_true(at >= 0);
	at = probe_find_event(f->probe, "fdatasync:active.data", at);
	assert_true(at >= 0);
	assert_true(is_there(f, FULL1));
	assert_int_equal(log_writer_seal(f->w), 0);
	at = probe_find_event(f->probe, "fsync:MANIFEST.new", at);
	assert_true(at >= 0);
	at = probe_find_event(f->probe, "rename:MANIFEST.new", at);
	assert_true(at >= 0);
	at = probe_find_event(f->probe, "fsync:db", at);
	assert_true(at >= 0);
	assert_true(probe_find_event(f->probe, "rename:" FULL1, at) >= 0);
}

/* MANIFEST lists durable segments only: a power cut may take the end of any other. */
static void test_only_durable_ones_are_listed(void **state)
{
	struct log_fixture *f = *state;
	struct log_recovery rec;
	struct segment seg;

	open_log(f, "", &rec);
	put_many(f, 3);
	assert_int_equal(log_writer_sync(f->w), 0);
	put_many(f, 4);
	assert_int_equal(fixture_stats(f).segments, 4); /* the first of them is durable */
	assert_int_equal(log_set_list(f->w), 0);
	assert_true(log_writer_sealed(f->w, 0, &seg));
	assert_false(log_writer_sealed(f->w, 1, &seg));
	assert_true(is_there(f, FULL2));
	fixture_kill(f);
	open_log(f, "k0 k1 k2 k0 k1 k2 k3 ", &rec);
}

/* One that was synced before it was full is not synced again. */
static void test_durable_puts(void **state)
{
	struct log_fixture *f = *state;
	const struct log_writer_config config = {
		.file_path = f->path,
		.segment_size_bytes = SEGMENT_BYTES,
		.no_background = true,
		.io = probe_io(f->probe),
	};
	uint64_t datasyncs, syncs;

	assert_int_equal(log_writer_open(&config, &f->w, NULL), 0);
	datasyncs = probe_calls(f->probe, IOCALL_FDATASYNC);
	syncs = probe_calls(f->probe, IOCALL_FSYNC);
	put_many(f, 3);
	assert_int_equal(probe_calls(f->probe, IOCALL_FDATASYNC), datasyncs + 3);
	assert_int_equal(probe_calls(f->probe, IOCALL_FSYNC), syncs + 1);
	assert_int_equal(log_writer_seal(f->w), 0);
	assert_int_equal(probe_calls(f->probe, IOCALL_FDATASYNC), datasyncs + 3);
	assert_int_equal(probe_calls(f->probe, IOCALL_FSYNC), syncs + 3); /* of the list */
	assert_true(is_there(f, "000001.data"));
}

/* Appends may run ahead of the disk, but not without end. */
static void test_backlog(void **state)
{
	struct log_fixture *f = *state;
	struct log_recovery rec;

	open_log(f, "", &rec);
	for (unsigned int i = 0; i < 2 * (ROTATED_MAX + 1); i++)
		put(f, "kk");
	assert_int_equal(fixture_stats(f).durable_position, 0);
	assert_int_equal(fixture_stats(f).segments, ROTATED_MAX + 1);
	put(f, "kk");
	assert_int_equal(fixture_stats(f).durable_position, end_of(2 * (ROTATED_MAX + 1)));
	assert_int_equal(fixture_stats(f).segments, ROTATED_MAX + 2);
}

/* The backlog of rotated segments is limited by bytes, too, except that the first may be larger. */
static void test_backlog_bytes(void **state)
{
	static const struct {
		uint64_t bytes_max;
		unsigned int records, segments;
	} rows[] = {
		{ 3 * FULL_BYTES, 2 * 4, 4 }, /* the fourth is not full yet */
		{ FULL_BYTES, 2 * 2, 2 },
		{ 1, 2 * 2, 2 },
	};
	struct log_fixture *f = *state;
	struct log_recovery rec;
	uint64_t begun = 0, durable, end;
	char keys[KEYS_BYTES];
	struct diag diag;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(try_open(f, false, keys, &rec, &diag), 0);
		f->w->rotated_bytes_max = rows[i].bytes_max;
		assert_int_equal(log_writer_rotate(f->w), 0);	/* begins with an empty one */
		for (unsigned int done = 0; done < 2; done++) { /* records in the active one */
			assert_int_equal(log_writer_seal(f->w), 0);
			begun = fixture_stats(f).segments - 1;
			durable = fixture_stats(f).durable_position;
			end = fixture_stats(f).end_position +
			      (rows[i].records - done) * RECORD_BYTES +
			      (rows[i].segments - 1) * NUMBER_RECORD_BYTES;
			for (unsigned int n = done; n < rows[i].records; n++)
				put(f, "kk");
			assert_int_equal(fixture_stats(f).segments, begun + rows[i].segments);
			assert_int_equal(fixture_stats(f).durable_position, durable);
			assert_int_equal(fixture_stats(f).end_position, end);
			put(f, "kk");
			assert_int_equal(fixture_stats(f).segments, begun + rows[i].segments + 1);
			assert_int_equal(fixture_stats(f).durable_position, end);
		}
		fixture_close(f);
	}
}

/* With nobody to ask for a sync, the syncer begins when half of that is full. */
static void test_syncer(void **state)
{
	struct log_fixture *f = *state;
	const struct log_writer_config config = {
		.file_path = f->path,
		.fsync_interval_ns = LOG_WRITER_INTERVAL_MAX_NS,
		.segment_size_bytes = SEGMENT_BYTES,
		.io = probe_io(f->probe),
	};

	assert_int_equal(log_writer_open(&config, &f->w, NULL), 0);
	for (unsigned int i = 0; i <= ROTATED_MAX; i++)
		put(f, "kk");
	WAIT_FOR(fixture_stats(f).durable_position > 0);
	WAIT_FOR(is_there(f, "000016.hint"));
	WAIT_FOR(is_there(f, "000016.data"));
}

/* Without an interval it begins with the first one. */
static void test_syncer_never(void **state)
{
	struct log_fixture *f = *state;
	const struct log_writer_config config = {
		.file_path = f->path,
		.fsync_interval_ns = LOG_WRITER_NEVER,
		.segment_size_bytes = SEGMENT_BYTES,
		.io = probe_io(f->probe),
	};

	assert_int_equal(log_writer_open(&config, &f->w, NULL), 0);
	put_many(f, 3);
	WAIT_FOR(is_there(f, "000001.data"));
}

/* Segments that could not be listed or named are still durable, and named later. */
static void test_names_fail(void **state)
{
	struct log_fixture *f = *state;
	const struct fault_plan second = { .at = 2,
					   .times = 1,
					   .kinds = IOCALL_BIT(IOCALL_RENAME),
					   .action = FAULT_ERROR,
					   .err = -EIO };
	struct log_recovery rec;

	open_log(f, "", &rec);
	put_many(f, 5);
	probe_fail(f->probe, IOCALL_RENAME, FAULT_FOR_EVER, -EACCES);
	assert_int_equal(log_writer_sync(f->w), 0);
	assert_int_equal(fixture_stats(f).durable_position, end_of(5));
	assert_int_equal(log_writer_seal(f->w), -EACCES); /* MANIFEST cannot be replaced */
	assert_false(is_there(f, "MANIFEST.new"));
	faultio_set_plan(probe_faults(f->probe), &second); /* after MANIFEST */
	assert_int_equal(log_writer_seal(f->w), -EIO);
	assert_true(is_there(f, FULL1));
	assert_true(is_there(f, FULL2)); /* not before the first */
	probe_heal(f->probe);
	put(f, "kx");
	assert_int_equal(log_writer_seal(f->w), 0);
	assert_true(is_there(f, "000001.data"));
	assert_true(is_there(f, "000002.data"));
	assert_false(is_there(f, FULL1));
	assert_false(is_there(f, FULL2));
	fixture_close(f);
	open_log(f, "k0 k1 k2 k3 k4 kx ", &rec);
}

/* A buffer that cannot be written does not keep a rotated segment from being sealed. */
static void test_full_disk(void **state)
{
	struct log_fixture *f = *state;
	const struct log_writer_config config = {
		.file_path = f->path,
		.fsync_interval_ns = LOG_WRITER_NEVER,
		.segment_size_bytes = SEGMENT_BYTES,
		.buffer_size_bytes = VALUE_BYTES / 2,
		.no_background = true,
		.io = probe_io(f->probe),
	};

	assert_int_equal(log_writer_open(&config, &f->w, NULL), 0);
	put_many(f, 5); /* none fits the buffer */
	(void)fixture_put(f, "small", "in the buffer");
	probe_fail(f->probe, IOCALL_WRITEV, FAULT_FOR_EVER, -ENOSPC);
	assert_int_equal(log_writer_seal(f->w), 0);
	assert_true(is_there(f, "000001.data"));
	assert_true(is_there(f, "000002.data"));
	assert_int_equal(fixture_stats(f).durable_position, end_of(5));
	assert_int_equal(log_writer_sync(f->w), -ENOSPC);
	probe_heal(f->probe);
	assert_int_equal(log_writer_sync(f->w), 0);
}

/* A name that was taken back has to be gone before anything longer is durable. */
static void test_taken_back(void **state)
{
	struct log_fixture *f = *state;
	const struct fault_plan plan = { .at = 2, /* behind that of the reserve for MANIFEST */
					 .times = 1,
					 .kinds = IOCALL_BIT(IOCALL_OPEN),
					 .action = FAULT_ERROR,
					 .err = -ENOSPC };
	struct log_recovery rec;
	int at, synced;

	open_log(f, "", &rec);
	put_many(f, 2);
	faultio_set_plan(probe_faults(f->probe), &plan);
	put(f, "k2"); /* goes on in the old one */
	probe_heal(f->probe);
	assert_int_equal(fixture_stats(f).segments, 1);
	assert_int_equal(unit_file_bytes(f->path), FIRST_BYTES + RECORD_BYTES);
	at = probe_find_event(f->probe, "rename:" FULL1, 0);
	assert_true(at >= 0);
	assert_int_equal(log_writer_sync(f->w), 0);
	synced = probe_find_event(f->probe, "fdatasync:active.data", at);
	at = probe_find_event(f->probe, "fsync:db", at);
	assert_true(at >= 0 && synced > at);
	put(f, "k3");
	fixture_close(f);
	open_log(f, "k0 k1 k2 k3 ", &rec);
}

/* Bytes that were cut after a refused write are gone for good before the segment is durable. */
static void test_cut_is_synced(void **state)
{
	struct fault_plan plan = { .at = 1,
				   .times = 1,
				   .kinds = IOCALL_BIT(IOCALL_WRITEV),
				   .action = FAULT_PARTIAL,
				   .err = -ENOSPC };
	struct log_fixture *f = *state;
	uint8_t value[VALUE_BYTES] = { 1 };
	struct log_recovery rec;
	int renamed, synced;
	uint64_t syncs;

	open_log(f, "", &rec);
	put(f, "k0");
	assert_int_equal(log_writer_sync(f->w), 0);
	faultio_set_plan(probe_faults(f->probe), &plan);
	assert_int_equal(log_writer_put(f->w, "kx", 2, value, sizeof(value), NULL), -ENOSPC);
	probe_heal(f->probe);
	assert_int_equal(unit_file_bytes(f->path), RECORD_BYTES);
	syncs = probe_calls(f->probe, IOCALL_FDATASYNC);
	assert_int_equal(log_writer_rotate(f->w), 0);
	assert_int_equal(probe_calls(f->probe, IOCALL_FDATASYNC) - syncs, 2);
	/* Twice: the rotated file, which was durable before, and the new one. */
	renamed = probe_find_event(f->probe, "rename:active.data", 0);
	assert_true(renamed >= 0);
	synced = probe_find_event(f->probe, "fdatasync:active.data", renamed);
	assert_true(synced > probe_find_event(f->probe, "writev:active.data", renamed));
	assert_true(probe_find_event(f->probe, "fdatasync:active.data", synced) >= 0);
}

static void count_told(void *arg, int err)
{
	unsigned int *told = arg;

	assert_int_equal(err, -EMFILE);
	(*told)++;
}

/* A rotation that fails is told of once in a row of failures, and tried again when a sixteenth of a
 * segment of the present size was appended, not at each append. */
static void test_rotation_fails(void **state)
{
	struct log_fixture *f = *state;
	unsigned int told = 0, appends = 0;
	const struct log_writer_config config = {
		.file_path = f->path,
		.fsync_interval_ns = LOG_WRITER_NEVER,
		.segment_size_bytes = INT64_C(1) << 30,
		.no_background = true,
		.rotate_failed = count_told,
		.rotate_failed_arg = &told,
		.io = probe_io(f->probe),
	};
	uint64_t failures;

	assert_int_equal(log_writer_open(&config, &f->w, NULL), 0);
	log_writer_set_segment_size(f->w, 64 * SEGMENT_BYTES);
	for (unsigned int row = 1; row <= 2; row++) {
		while (fixture_stats(f).active_bytes + RECORD_BYTES <= 64 * SEGMENT_BYTES)
			put(f, "k0");
		failures = fixture_stats(f).rotate_failures;
		probe_fail(f->probe, IOCALL_OPEN, FAULT_FOR_EVER, -EMFILE);
		for (appends = 0; appends < 64 * SEGMENT_BYTES / RECORD_BYTES / 2; appends++)
			put(f, "k1");
		probe_heal(f->probe);
		assert_int_equal(told, row);
		assert_in_range(fixture_stats(f).rotate_failures - failures, 4, 9);
		assert_int_equal(fixture_stats(f).segments, row);
		while (fixture_stats(f).segments == row)
			put(f, "k2");
		assert_int_equal(fixture_stats(f).rotate_error, 0);
	}
}

static void *seal(void *arg)
{
	return log_writer_seal(arg) == 0 ? NULL : arg;
}

/* Only what was full when it was asked for: there may be others for ever. */
static void test_seal(void **state)
{
	struct log_fixture *f = *state;
	struct log_recovery rec;
	pthread_t thread;
	void *failed;

	open_log(f, "", &rec);
	put_many(f, 3);
	probe_close_gate(f->probe);
	assert_int_equal(pthread_create(&thread, NULL, seal, f->w), 0);
	WAIT_FOR(probe_someone_at_gate(f->probe));
	put_many(f, 4);
	probe_open_gate(f->probe);
	assert_int_equal(pthread_join(thread, &failed), 0);
	assert_null(failed);
	assert_true(is_there(f, "000001.data"));
	assert_true(is_there(f, FULL2));
	assert_true(is_there(f, FULL3));
}

static void test_close(void **state)
{
	struct log_fixture *f = *state;
	struct log_recovery rec;

	open_log(f, "", &rec);
	put_many(f, 3);
	fixture_close(f);
	assert_true(is_there(f, "000001.data"));
	open_log(f, "k0 k1 k2 ", &rec);
	assert_int_equal(rec.stop.scan, RECORD_END);
}

/* --- recovery --- */

static const struct torn {
	const char *name;
	const char *file; /* that a power cut has left differently; NULL: none */
	off_t bytes;	  /* that it has then; -1: it is gone */
	off_t zeros;	  /* from so many bytes on; 0: none; -1: others behind it */
	const char *keys; /* that are kept */
	uint64_t sealed;  /* segments */
	uint64_t numbers; /* segment records that are kept */
	uint64_t saved;	  /* bytes in quarantine, but for zeros */
	uint64_t trimmed; /* bytes of 000002.data, if that is of interest */
	enum record_scan stop;
} torn_rows[] = {
	{ "all there", NULL, 0, 0, "k0 k1 k2 k3 k4 k5 k6 ", 3, 3, 0, 0, RECORD_END },
	{ "no active one", "active.data", -1, 0, "k0 k1 k2 k3 k4 k5 ", 3, 2, 0, 0, RECORD_END },
	{ "active one torn", "active.data", 300, 0, "k0 k1 k2 k3 k4 k5 ", 3, 3,
	  300 - NUMBER_RECORD_BYTES, 0, RECORD_TORN },
	{ "a record less", FULL2, ACTIVE_BYTES, 0, "k0 k1 k2 ", 1, 1, FULL_BYTES + ACTIVE_BYTES, 0,
	  RECORD_TORN },
	{ "half a record less", FULL2, 700, 0, "k0 k1 k2 ", 1, 1,
	  700 - ACTIVE_BYTES + FULL_BYTES + ACTIVE_BYTES, 0, RECORD_TORN },
	{ "zeros", FULL2, FULL_BYTES, ACTIVE_BYTES, "k0 k1 k2 ", 1, 1, FULL_BYTES + ACTIVE_BYTES, 0,
	  RECORD_TORN },
	{ "its number alone", FULL2, NUMBER_RECORD_BYTES, 0, "k0 k1 ", 1, 1,
	  FULL_BYTES + ACTIVE_BYTES, 0, RECORD_TORN },
	{ "a part of its number", FULL2, RECORD_HEADER_BYTES + META_KEY_PREFIX_BYTES, 0, "k0 k1 ",
	  1, 0, RECORD_HEADER_BYTES + META_KEY_PREFIX_BYTES + FULL_BYTES + ACTIVE_BYTES, 0,
	  RECORD_TORN },
	{ "nothing of it", FULL2, 0, 0, "k0 k1 ", 1, 0, FULL_BYTES + ACTIVE_BYTES, 0, RECORD_TORN },
	{ "nothing of the first", FULL1, 0, 0, "", 0, 0, 2 * FULL_BYTES + ACTIVE_BYTES, 0,
	  RECORD_TORN },
	{ "the last full one", FULL3, ACTIVE_BYTES, 0, "k0 k1 k2 k3 k4 ", 2, 2, ACTIVE_BYTES, 0,
	  RECORD_TORN },
	{ "bytes behind it", FULL2, FULL_BYTES + 50, -1, "k0 k1 k2 k3 k4 k5 k6 ", 3, 3, 50,
	  FULL_BYTES, RECORD_END },
	{ "bytes behind a torn one", FULL2, FULL_BYTES + 50, -2, "k0 k1 k2 ", 1, 1,
	  RECORD_BYTES + 50 + FULL_BYTES + ACTIVE_BYTES, 0, RECORD_TORN },
	{ "zeros behind it", FULL2, 4096, FULL_BYTES, "k0 k1 k2 k3 k4 k5 k6 ", 3, 3, 0, FULL_BYTES,
	  RECORD_END },
};

static void damage(struct log_fixture *f, const struct torn *t)
{
	const char *path;
	struct unit_file file;
	uint8_t *data;

	if (t->file == NULL)
		return;
	path = fixture_beside(f, t->file);
	if (t->bytes < 0) {
		assert_int_equal(unlink(path), 0);
		return;
	}
	file = unit_read_file(path);
	data = calloc(1, (size_t)t->bytes + 1);
	assert_non_null(data);
	memcpy(data, file.data, file.bytes < (size_t)t->bytes ? file.bytes : (size_t)t->bytes);
	if (t->zeros < 0)
		memset(data + file.bytes, 7, (size_t)t->bytes - file.bytes);
	if (t->zeros == -2) /* and the record before them is torn */
		data[ACTIVE_BYTES + 4] ^= 1;
	if (t->zeros > 0)
		memset(data + t->zeros, 0, (size_t)(t->bytes - t->zeros));
	unit_write_file(path, data, (size_t)t->bytes);
	free(data);
	free(file.data);
}

/* The active segment, whichever file it is now, is the writer's alone. */
static void assert_locked(struct log_fixture *f)
{
	const struct log_writer_config config = { .file_path = f->path,
						  .segment_size_bytes = SEGMENT_BYTES };
	struct log_writer *other;

	assert_int_equal(log_writer_open(&config, &other, NULL), -EWOULDBLOCK);
}

static void test_torn(void **state)
{
	struct log_fixture *f = *state;
	const struct torn *t = f->row;
	char keys[KEYS_BYTES];
	struct diag diag = { "" };
	struct log_recovery rec;
	uint64_t records_bytes = strlen(t->keys) / 3 * RECORD_BYTES;
	bool ends_in_full = t->stop != RECORD_END && strcmp(t->file, "active.data") != 0;

	make_dead(f);
	damage(f, t);
	/* A read-only log has the same records, and changes nothing. */
	assert_int_equal(try_open(f, true, keys, &rec, &diag), 0);
	assert_string_equal(keys, t->keys);
	assert_int_equal(log_writer_size(f->w), records_bytes + t->numbers * NUMBER_RECORD_BYTES);
	fixture_close(f);
	assert_true(is_there(f, FULL1));
	assert_false(is_there(f, "quarantine"));

	assert_int_equal(try_open(f, false, keys, &rec, &diag), 0);
	assert_string_equal(keys, t->keys);
	assert_int_equal(rec.stop.scan, t->stop);
	assert_int_equal(rec.segments, t->sealed);
	assert_int_equal(rec.records, strlen(t->keys) / 3 + t->numbers);
	assert_int_equal(fixture_stats(f).segments, t->sealed + 1);
	/* The active one has its number again. */
	assert_int_equal(fixture_stats(f).end_position,
			 records_bytes + t->sealed * NUMBER_RECORD_BYTES);
	assert_int_equal(quarantined_bytes(f), t->saved);
	assert_false(is_there(f, FULL1) || is_there(f, FULL2) || is_there(f, FULL3));
	assert_int_equal(strstr(diag.text, "a power cut has left") != NULL, ends_in_full);
	if (t->trimmed > 0)
		assert_int_equal(unit_file_bytes(fixture_beside(f, "000002.data")), t->trimmed);
	assert_locked(f);

	put(f, "kx");				      /* it goes on from there */
	assert_int_equal(log_writer_rotate(f->w), 0); /* listed with all that it has */
	fixture_close(f);
	(void)snprintf(keys, sizeof(keys), "%skx ", t->keys);
	open_log(f, keys, &rec);
	assert_int_equal(rec.stop.scan, RECORD_END);
	assert_int_equal(quarantined_bytes(f), t->saved);
}

/* Segments behind the torn one are removed from the end on, each durably before the next: no power
 * cut leaves a gap. */
static void test_removed_in_order(void **state)
{
	struct log_fixture *f = *state;
	struct log_recovery rec;
	int at;

	make_dead(f);
	/* Nothing to be saved, which would sync the directory, too. */
	assert_int_equal(truncate(fixture_beside(f, FULL1), 0), 0);
	assert_int_equal(truncate(fixture_beside(f, FULL2), 0), 0);
	assert_int_equal(truncate(fixture_beside(f, FULL3), 0), 0);
	open_log(f, "", &rec);
	at = probe_find_event(f->probe, "unlink:" FULL3, 0);
	assert_true(at >= 0);
	at = probe_find_event(f->probe, "fsync:db", at);
	assert_true(at >= 0);
	assert_true(probe_find_event(f->probe, "unlink:" FULL2, at) > at);
	assert_int_equal(probe_find_event(f->probe, "unlink:" FULL2, 0),
			 probe_find_event(f->probe, "unlink:" FULL2, at));
}

/* An io that cuts a file just before one of its reads. */
struct cutting {
	struct io io;
	struct io_ops ops;
	const char *path; /* of that file */
	int reads, cut_at;
};

static ssize_t cutting_pread(struct io *io, int fd, void *buf, size_t n, uint64_t offset)
{
	struct cutting *c = (struct cutting *)(void *)io;

	if (c->reads++ == c->cut_at)
		assert_int_equal(truncate(c->path, ACTIVE_BYTES), 0);
	return io_posix.ops->pread(&io_posix, fd, buf, n, offset);
}

/* A reader that opens the log while a writer recovers it sees the remaining records, or those
 * before recovery. */
static void test_read_while_recovered(void **state)
{
	struct log_fixture *f = *state;
	struct cutting c = { .ops = *io_posix.ops };
	const struct log_writer_config config = {
		.file_path = f->path,
		.read_only = true,
		.io = &c.io,
	};
	struct log_recovery rec;
	struct log_writer *reader;
	struct unit_file torn;
	char keys[KEYS_BYTES];
	bool cut = true;

	c.ops.pread = cutting_pread;
	c.io.ops = &c.ops;
	open_log(f, "", &rec);
	put_many(f, RECORDS);
	c.path = fixture_beside(f, FULL2);
	assert_int_equal(truncate(c.path, FULL_BYTES - 1), 0);
	torn = unit_read_file(c.path);
	for (c.cut_at = 0; cut; c.cut_at++) {
		keys[0] = '\0';
		c.reads = 0;
		assert_int_equal(
			log_writer_open_replay(&config, add_key, keys, &reader, NULL, NULL), 0);
		assert_string_equal(keys, "k0 k1 k2 ");
		assert_int_equal(log_writer_close(reader), 0);
		cut = c.reads > c.cut_at;
		unit_write_file(c.path, torn.data, torn.bytes);
	}
	assert_true(c.cut_at > 3);
	free(torn.data);
}

static void write_mark(struct log_fixture *f, const struct synced *mark)
{
	uint8_t buf[SYNCED_BYTES];

	synced_encode(mark, buf);
	unit_write_file(fixture_beside(f, "active.synced"), buf, sizeof(buf));
}

/* Makes of 'from' the file 'to' of a log of version 0.1: without its segment record. */
static void strip_number(struct log_fixture *f, const char *from, const char *to)
{
	struct unit_file file = unit_read_file(fixture_beside(f, from));

	assert_int_equal(unlink(fixture_beside(f, from)), 0);
	unit_write_file(fixture_beside(f, to), file.data + NUMBER_RECORD_BYTES,
			file.bytes - NUMBER_RECORD_BYTES);
	free(file.data);
}

static void make_dead_without_manifest(struct log_fixture *f)
{
	make_dead(f);
	assert_int_equal(unlink(fixture_beside(f, "MANIFEST")), 0);
	strip_number(f, FULL2, "000002.1004.full");
	strip_number(f, FULL3, "000003.1004.full");
	strip_number(f, "active.data", "active.data");
}

/* Bytes that are certainly durable are not cut; the log is refused. */
static const struct damaged {
	const char *name;
	struct synced mark; /* with_manifest: of the log, too */
	const char *file;
	off_t bytes;
	const char *from, *to; /* a file gets another name; NULL: none does */
	const char *text;      /* NULL: no damage */
} damaged_rows[] = {
	{ "before the segment of the mark",
	  { 3, 0, true },
	  FULL2,
	  ACTIVE_BYTES,
	  NULL,
	  NULL,
	  FULL2 ": ends at offset 550, though the log is known to be durable up to offset 1052" },
	{ "before the mark",
	  { 2, ACTIVE_BYTES, true },
	  FULL2,
	  400,
	  NULL,
	  NULL,
	  FULL2 ": damaged at offset 48: the record would end past the end of the file, though" },
	{ "at the mark", { 2, ACTIVE_BYTES, true }, FULL2, ACTIVE_BYTES, NULL, NULL, NULL },
	{ "before a sealed one",
	  { 1, 0, false },
	  "000002.1004.full",
	  RECORD_BYTES,
	  "000003.1004.full",
	  "000003.data",
	  "000002.1004.full: ends at offset 502, though" },
	{ "one is sealed that is not listed",
	  { 1, 0, true },
	  FULL3,
	  FULL_BYTES,
	  FULL3,
	  "000003.data",
	  "000003.data: is not in MANIFEST, which ends before segment 1" },
	{ "two of one number",
	  { 1, 0, true },
	  FULL3,
	  FULL_BYTES,
	  FULL3,
	  "000002.data",
	  "000002.data and " FULL2 " are the same segment" },
	{ "two of one number, without MANIFEST",
	  { 1, 0, false },
	  "000003.1004.full",
	  FIRST_BYTES,
	  "000003.1004.full",
	  "000002.data",
	  "000002.data and 000002.1004.full are the same segment" },
	{ "one is missing", { 1, 0, true }, FULL2, -1, NULL, NULL, "000002.data: is missing" },
	{ "the MANIFEST is missing",
	  { 1, 0, true },
	  "MANIFEST",
	  -1,
	  NULL,
	  NULL,
	  "MANIFEST: is missing, and the durable mark says that there was one" },
};

static void test_damaged(void **state)
{
	struct log_fixture *f = *state;
	const struct damaged *d = f->row;
	char keys[KEYS_BYTES];
	struct diag diag = { "" };
	struct log_recovery rec;
	int err;

	if (d->mark.with_manifest)
		make_dead(f);
	else
		make_dead_without_manifest(f);
	damage(f, &(struct torn){ .file = d->file, .bytes = d->bytes });
	write_mark(f, &d->mark);
	if (d->from != NULL)
		assert_int_equal(rename(fixture_beside(f, d->from), fixture_beside(f, d->to)), 0);
	err = try_open(f, false, keys, &rec, &diag);
	assert_int_equal(err, d->text == NULL ? 0 : -EBADMSG);
	if (d->text == NULL)
		return;
	if (strstr(diag.text, d->text) == NULL)
		fail_msg("not '%s' but '%s'", d->text, diag.text);
	assert_false(is_there(f, "quarantine"));
	assert_true(is_there(f, FULL1)); /* nothing was changed */
	assert_int_equal(unit_file_bytes(f->path),
			 d->mark.with_manifest ? ACTIVE_BYTES : RECORD_BYTES);
}

int main(void)
{
	static const struct {
		const char *name;
		CMUnitTestFunction fn;
	} plain[] = {
		{ "rotation waits for nothing", test_rotation_waits_for_nothing },
		{ "order", test_order },
		{ "only durable ones are listed", test_only_durable_ones_are_listed },
		{ "durable puts", test_durable_puts },
		{ "backlog", test_backlog },
		{ "backlog, bytes", test_backlog_bytes },
		{ "syncer", test_syncer },
		{ "syncer, never", test_syncer_never },
		{ "names fail", test_names_fail },
		{ "full disk", test_full_disk },
		{ "a cut is synced", test_cut_is_synced },
		{ "a name taken back", test_taken_back },
		{ "rotation fails", test_rotation_fails },
		{ "removed in order", test_removed_in_order },
		{ "read while recovered", test_read_while_recovered },
		{ "seal", test_seal },
		{ "close", test_close },
	};
	static struct CMUnitTest
		tests[ARRAY_SIZE(plain) + ARRAY_SIZE(torn_rows) + ARRAY_SIZE(damaged_rows)];
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(plain); i++)
		tests[count++] = (struct CMUnitTest){ plain[i].name, plain[i].fn, log_fixture_setup,
						      log_fixture_teardown, NULL };
	for (size_t i = 0; i < ARRAY_SIZE(torn_rows); i++)
		tests[count++] =
			(struct CMUnitTest){ unit_name("recovery: %s", torn_rows[i].name),
					     test_torn, log_fixture_setup, log_fixture_teardown,
					     (void *)(uintptr_t)&torn_rows[i] };
	for (size_t i = 0; i < ARRAY_SIZE(damaged_rows); i++)
		tests[count++] =
			(struct CMUnitTest){ unit_name("damage: %s", damaged_rows[i].name),
					     test_damaged, log_fixture_setup, log_fixture_teardown,
					     (void *)(uintptr_t)&damaged_rows[i] };
	return unit_run("log_rotated", tests, count);
}
