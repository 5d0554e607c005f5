/* SPDX-License-Identifier: MIT */
/* Salvage: every byte of a log flipped, every length of it, images of logs inside of values. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "codec/meta.h"
#include "codec/record.h"
#include "tests/sim/faultio.h"
#include "tests/unit/store_fixture.h"
#include "tests/unit/unit.h"
#include "writer/log/salvage.h"

#define WORDS                                                                            \
	"p:a=first p:b=second D:d p:d/c=third t:b m:a>e +D:f p:f/g=fourth e:1@0=staged " \
	"P:h=1,6 p:i=fifth"
#define RECORDS_MAX 64

/* A log, and where its records and its groups begin; the end is one more. */
struct sample {
	struct unit_file log;
	uint64_t starts[RECORDS_MAX], timestamps[RECORDS_MAX];
	char keys[RECORDS_MAX][64];
	uint32_t value_bytes[RECORDS_MAX];
	uint8_t copy[4096];
	size_t count;
};

static struct sample make_sample(const struct unit_file *log)
{
	struct sample s = { .log = *log };
	struct record_scan_result got;
	uint64_t at = 0;

	while (at < log->bytes) {
		assert_int_equal(
			record_scan(log->data + at, log->bytes - at, log->bytes - at, &got),
			RECORD_WHOLE);
		s.timestamps[s.count] = got.rec.timestamp_ns;
		s.value_bytes[s.count] = got.rec.value_bytes;
		(void)snprintf(s.keys[s.count], sizeof(s.keys[0]), "%.*s", (int)got.rec.key_bytes,
			       (const char *)got.rec.key);
		s.starts[s.count++] = at;
		at += got.bytes;
	}
	s.starts[s.count] = at;
	assert_true(log->bytes <= sizeof(s.copy));
	memcpy(s.copy, log->data, log->bytes);
	return s;
}

/* The record that a byte belongs to. */
static size_t record_of(const struct sample *s, uint64_t offset)
{
	size_t i = 0;

	while (i + 1 < s->count && s->starts[i + 1] <= offset)
		i++;
	return i;
}

static struct salvage_file sample_file(int dir_fd, int fd, uint64_t bytes)
{
	return (struct salvage_file){
		.io = &io_posix, .dir_fd = dir_fd, .name = "log", .fd = fd, .bytes = bytes
	};
}

static struct salvage scan(const char *dir, const void *data, size_t bytes, bool take_inside)
{
	const char *path = unit_path("%s/log", dir);
	struct salvage got = { 0 };
	struct salvage_file f;
	int fd;

	unit_write_file(path, data, bytes);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	f = sample_file(-1, fd, bytes);
	f.take_inside = take_inside;
	assert_int_equal(salvage_scan(&f, &got), 0);
	(void)close(fd);
	return got;
}

/* The kept records are records of the sample, at their offsets, from one group to another. */
static void assert_only_originals(const struct sample *s, const struct salvage *got, size_t bytes)
{
	uint64_t at = 0;

	for (size_t i = 0; i <= got->count; i++) {
		uint64_t end = i < got->count ? got->lost[i].offset : bytes;
		size_t n = record_of(s, at);

		assert_true(end >= at);
		if (end > at) {
			assert_int_equal(s->starts[n], at);
			n = record_of(s, end - 1) + 1;
			assert_int_equal(s->starts[n], end);
		}
		at = i < got->count ? end + got->lost[i].bytes : end;
	}
	assert_int_equal(at, bytes);
}

/* The group of records 6 and 7 of WORDS goes together. */
static void group_of(const struct sample *s, size_t record, uint64_t *ret_from, uint64_t *ret_to)
{
	*ret_from = s->starts[record == 7 ? 6 : record];
	*ret_to = s->starts[record + 1];
}

/* A stand-in for a value has its key, size and time, and cannot be read.  There are no other
 * stand-ins. */
static void assert_claim(const struct sample *s, const struct salvage_lost *l, size_t record)
{
	struct record_scan_result got;
	struct meta_publish publish;

	if (l->instead == NULL)
		return;
	assert_int_equal(l->known, SALVAGE_CLAIMED);
	if (l->exact) { /* no content, and one byte was wrong */
		assert_int_equal(l->instead_bytes, s->starts[record + 1] - s->starts[record]);
		assert_memory_equal(l->instead, s->copy + s->starts[record], l->instead_bytes);
		return;
	}
	assert_int_equal(record_scan(l->instead, l->instead_bytes, l->instead_bytes, &got),
			 RECORD_WHOLE);
	assert_int_equal(got.bytes, l->instead_bytes);
	assert_int_equal(got.rec.timestamp_ns, s->timestamps[record]);
	assert_int_equal(got.rec.key_bytes, META_KEY_PREFIX_BYTES + strlen(s->keys[record]));
	assert_memory_equal((const char *)got.rec.key + META_KEY_PREFIX_BYTES, s->keys[record],
			    strlen(s->keys[record]));
	assert_int_equal(meta_publish_decode(got.rec.value, got.rec.value_bytes, &publish),
			 META_OK);
	assert_int_equal(publish.flags, META_FLAG_DROPPED);
	assert_int_equal(publish.size_bytes, s->value_bytes[record]);
}

static void test_every_byte(void **state)
{
	static const uint8_t flips[] = { 0x01, 0x80, 0xff };
	struct unit_file log = make_log(WORDS);
	struct sample s = make_sample(&log);

	for (size_t f = 0; f < ARRAY_SIZE(flips); f++) {
		for (uint64_t at = 0; at < log.bytes; at++) {
			size_t record = record_of(&s, at);
			uint64_t in_record = at - s.starts[record], from, to;
			struct salvage got;

			log.data[at] ^= flips[f];
			group_of(&s, record, &from, &to);
			got = scan(*state, log.data, log.bytes, true);
			assert_only_originals(&s, &got, log.bytes);
			assert_int_equal(got.count, 1);
			assert_claim(&s, &got.lost[0], record);
			/* A value that is lost leaves the rest of its group as it is. */
			assert_int_equal(got.lost[0].offset,
					 got.lost[0].instead != NULL ? s.starts[record] : from);
			assert_int_equal(got.lost[0].offset + got.lost[0].bytes, to);
			salvage_free(&got);

			got = scan(*state, log.data, log.bytes, false);
			assert_only_originals(&s, &got, log.bytes);
			assert_claim(&s, &got.lost[0], record);
			if (got.lost[0].instead != NULL)
				from = s.starts[record];
			assert_int_equal(got.lost[0].offset, from);
			assert_true(got.lost[0].offset + got.lost[0].bytes >= to);
			/* Its length is right: so it costs that record alone. */
			if (in_record < RECORD_KEY_SIZE_OFFSET ||
			    in_record >= RECORD_TIMESTAMP_OFFSET)
				assert_int_equal(got.lost[0].bytes, to - from);
			else if (got.lost[0].offset + got.lost[0].bytes > to)
				assert_true(got.lost[0].inside > 0);
			salvage_free(&got);
			log.data[at] ^= flips[f];
		}
	}
	free(log.data);
}

static void test_every_length(void **state)
{
	struct unit_file log = make_log(WORDS);
	struct sample s = make_sample(&log);

	for (size_t bytes = 0; bytes <= log.bytes; bytes++) {
		struct salvage got = scan(*state, log.data, bytes, false);
		size_t record = record_of(&s, bytes);
		uint64_t from = s.starts[record];

		if (bytes == log.bytes)
			from = bytes;
		else if (record == 7)
			from = s.starts[6]; /* the first of the group alone is nothing */
		assert_int_equal(got.count, from < bytes);
		if (from < bytes) {
			assert_int_equal(got.lost[0].offset, from);
			assert_int_equal(got.lost[0].bytes, bytes - from);
			assert_int_equal(got.lost[0].inside, record == 7 && bytes > s.starts[7]
								     ? 0
								     : got.lost[0].inside);
		}
		salvage_free(&got);
	}
	free(log.data);
}

/* Two records of three are damaged, one beside the other, and zeros stand in between. */
static void test_several(void **state)
{
	struct unit_file log = make_log("p:a=first p:b=second p:c=third p:d=fourth p:e=fifth");
	struct sample s = make_sample(&log);
	struct salvage got;

	log.data[s.starts[1] + 21] ^= 1;
	log.data[s.starts[3] + 21] ^= 1;
	got = scan(*state, log.data, log.bytes, false);
	assert_int_equal(got.count, 2);
	assert_int_equal(got.records, 3);
	assert_int_equal(got.lost[1].offset, s.starts[3]);
	assert_int_equal(salvage_new_offset(&got, s.starts[2]),
			 s.starts[1] + got.lost[0].instead_bytes);
	assert_int_equal(salvage_new_offset(&got, s.starts[1] + 5), s.starts[1]);
	salvage_free(&got);

	memset(log.data + s.starts[1] + 10, 0, s.starts[3] - s.starts[1]);
	got = scan(*state, log.data, log.bytes, false);
	assert_only_originals(&s, &got, log.bytes);
	assert_int_equal(got.lost[0].offset, s.starts[1]);
	salvage_free(&got);

	free(log.data);
	log = make_log("p:a=first p:b=second p:c=third p:d=fourth p:e=fifth");
	memset(log.data + s.starts[1], 0, s.starts[3] - s.starts[1]);
	got = scan(*state, log.data, log.bytes, false);
	assert_int_equal(got.count, 1);
	assert_int_equal(got.lost[0].bytes, s.starts[3] - s.starts[1]);
	salvage_free(&got);
	free(log.data);
}

/* A value that is the image of a log: whatever byte of its record is wrong, none of its records is
 * taken for one of the log. */
static void test_image(void **state)
{
	struct unit_file image = make_log("p:evil=1 t:a p:worse=2"), before = make_log("p:a=first"),
			 after = make_log("p:b=second p:c=third");
	struct record rec = { .timestamp_ns = 1001,
			      .key = "image",
			      .key_bytes = 5,
			      .value = image.data,
			      .value_bytes = (uint32_t)image.bytes };
	struct unit_file log = { malloc(4096), 0 };
	uint64_t begin = before.bytes;
	uint64_t end = begin + record_bytes(rec.key_bytes, rec.value_bytes);
	struct sample s;

	assert_non_null(log.data);
	memcpy(log.data, before.data, before.bytes);
	record_encode(&rec, log.data + begin);
	memcpy(log.data + end, after.data, after.bytes);
	log.bytes = end + after.bytes;
	s = make_sample(&log);
	for (uint64_t at = begin; at < end; at++) {
		for (unsigned int bit = 0; bit < 8; bit++) {
			struct salvage got;
			bool in_sizes = at - begin >= RECORD_KEY_SIZE_OFFSET &&
					at - begin < RECORD_TIMESTAMP_OFFSET;

			log.data[at] ^= (uint8_t)(1u << bit);
			got = scan(*state, log.data, log.bytes, false);
			assert_int_equal(got.lost[0].offset, begin);
			assert_true(got.lost[0].inside > 0); /* they are told of */
			if (!in_sizes) {
				assert_only_originals(&s, &got, log.bytes);
				assert_int_equal(got.lost[0].bytes, end - begin);
			}
			salvage_free(&got);
			log.data[at] ^= (uint8_t)(1u << bit);
		}
	}
	free(image.data);
	free(before.data);
	free(after.data);
	free(log.data);
}

/* --- writing --- */

static void test_write(void **state)
{
	struct unit_file log = make_log("p:a=first p:b=second p:c=third"), got_file;
	struct sample s = make_sample(&log);
	const char *path = unit_path("%s/log", (const char *)*state);
	struct salvage got, edits = { 0 };
	struct salvage_file f;
	uint64_t bytes = 0, instead;
	int dir_fd, fd;

	log.data[s.starts[1] + 21] ^= 1;
	got = scan(*state, log.data, log.bytes, false);
	dir_fd = open(*state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	f = sample_file(dir_fd, fd, log.bytes);
	assert_int_equal(salvage_write(&f, &got, &edits, &bytes), 0);
	instead = got.lost[0].instead_bytes;
	assert_int_equal(bytes, log.bytes - (s.starts[2] - s.starts[1]) + instead);
	assert_int_equal(bytes, salvage_new_bytes(&got, log.bytes));
	got_file = unit_read_file(path);
	assert_int_equal(got_file.bytes, bytes);
	assert_memory_equal(got_file.data, log.data, s.starts[1]);
	assert_memory_equal(got_file.data + s.starts[1], got.lost[0].instead, instead);
	assert_memory_equal(got_file.data + s.starts[1] + instead, log.data + s.starts[2],
			    log.bytes - s.starts[2]);
	free(got_file.data);
	got_file = unit_read_file(
		unit_path("%s/quarantine/%s", (const char *)*state, got.lost[0].saved_as));
	assert_int_equal(got_file.bytes, s.starts[2] - s.starts[1]);
	assert_memory_equal(got_file.data, log.data + s.starts[1], got_file.bytes);
	free(got_file.data);
	(void)close(fd);
	(void)close(dir_fd);
	salvage_free(&got);
	free(log.data);
}

/* Each call fails, alone or with all that follow, as if the program was killed: the old file or the
 * new one is there, and what the new one lacks was saved before. */
static void fail_at(const char *dir, uint64_t at, uint64_t times, const struct unit_file *log,
		    const struct sample *s, bool *ret_hit)
{
	const struct fault_plan plan = {
		.at = at, .times = times, .kinds = IOCALL_ALL, .action = FAULT_ERROR, .err = -EIO
	};
	uint64_t lost_bytes = s->starts[2] - s->starts[1], bytes = 0;
	struct salvage got = scan(dir, log->data, log->bytes, false), edits = { 0 };
	struct salvage_file file;
	struct faultio *f = faultio_new(&io_posix);
	int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = open(unit_path("%s/log", dir), O_RDONLY | O_CLOEXEC);
	struct unit_file now, saved;
	int err;

	faultio_set_plan(f, &plan);
	file = sample_file(dir_fd, fd, log->bytes);
	file.io = faultio_io(f);
	err = salvage_write(&file, &got, &edits, &bytes);
	*ret_hit = faultio_hits(f) > 0;
	now = unit_read_file(unit_path("%s/log", dir));
	assert_true(now.bytes == log->bytes ||
		    now.bytes == log->bytes - lost_bytes + got.lost[0].instead_bytes);
	if (err == 0)
		assert_int_equal(now.bytes, bytes);
	/* A failure of one call leaves no part of a copy. */
	if (now.bytes != log->bytes ||
	    (times == 1 && got.lost[0].saved_as[0] != '\0' &&
	     unit_exists(unit_path("%s/quarantine/%s", dir, got.lost[0].saved_as)))) {
		saved = unit_read_file(unit_path("%s/quarantine/%s", dir, got.lost[0].saved_as));
		assert_int_equal(saved.bytes, lost_bytes);
		assert_memory_equal(saved.data, log->data + s->starts[1], lost_bytes);
		free(saved.data);
	}
	free(now.data);
	faultio_free(f);
	salvage_free(&got);
	(void)close(fd);
	(void)close(dir_fd);
}

static void test_every_call_fails(void **state)
{
	struct unit_file log = make_log("p:a=first p:b=second p:c=third");
	struct sample s = make_sample(&log);
	bool hit = true;
	uint64_t at;

	log.data[s.starts[1] + 21] ^= 1;
	for (at = 1; hit; at++)
		fail_at(*state, at, 1, &log, &s, &hit);
	assert_true(at > 15);
	for (at = 1, hit = true; hit; at++)
		fail_at(*state, at, FAULT_FOR_EVER, &log, &s, &hit);
	free(log.data);
}

/* The new file is synced before its rename, and so are the lost bytes in quarantine; the new name
 * is synced afterwards. */
static void test_order(void **state)
{
	struct unit_file log = make_log("p:a=first p:b=second p:c=third");
	struct sample s = make_sample(&log);
	struct probe *p = probe_new();
	struct salvage got, edits = { 0 };
	struct salvage_file f;
	uint64_t bytes;
	int dir_fd, fd, bad, temp, renamed;

	log.data[s.starts[1] + 21] ^= 1;
	got = scan(*state, log.data, log.bytes, false);
	dir_fd = io_open(probe_io(p), AT_FDCWD, *state, O_RDONLY | O_DIRECTORY, 0);
	fd = open(unit_path("%s/log", (const char *)*state), O_RDONLY | O_CLOEXEC);
	f = sample_file(dir_fd, fd, log.bytes);
	f.io = probe_io(p);
	assert_int_equal(salvage_write(&f, &got, &edits, &bytes), 0);
	bad = probe_find_event(p, unit_path("fsync:%s", got.lost[0].saved_as), 0);
	assert_true(bad >= 0);
	assert_true(probe_find_event(p, "fsync:quarantine", bad) > bad);
	temp = probe_find_event(p, "fsync:log.salvage", bad);
	renamed = probe_find_event(p, "rename:log", 0);
	if (renamed < 0)
		renamed = probe_find_event(p, "rename:log.salvage", 0);
	assert_true(temp > bad && renamed > temp);
	assert_true(renamed > probe_find_event(p, "fsync:quarantine", bad));
	assert_true(probe_find_event(p, unit_path("fsync:%s", strrchr(*state, '/') + 1), renamed) >
		    renamed);
	salvage_free(&got);
	(void)close(fd);
	(void)io_close(probe_io(p), &dir_fd);
	probe_free(p);
	free(log.data);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, unit_setup_tmpdir, unit_teardown_tmpdir)
	static const struct CMUnitTest tests[] = {
		TEST(test_every_byte), TEST(test_every_length), TEST(test_several),
		TEST(test_image),      TEST(test_write),	TEST(test_every_call_fails),
		TEST(test_order),
	};

	return unit_run("salvage", tests, ARRAY_SIZE(tests));
}
