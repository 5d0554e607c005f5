/* SPDX-License-Identifier: MIT */
/* A hint is read to its end while its memory goes. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "writer/log/hint_file.h"

#define RECORDS	    200000
#define KEY_BYTES   100
#define VALUE_BYTES 1000
#define BATCH	    16

static uint64_t resident_bytes(void)
{
	struct unit_file f = unit_read_proc("/proc/self/statm");
	unsigned long pages = 0;

	assert_int_equal(sscanf((char *)f.data, "%*u %lu", &pages), 1);
	free(f.data);
	return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void make_key(char key[KEY_BYTES + 1], unsigned int i)
{
	(void)snprintf(key, KEY_BYTES + 1, "%0*u", KEY_BYTES, i);
}

/* A hint of a segment that is a hole. */
static void make_hint(int dir_fd, const struct hint_about *about)
{
	struct hint_writer *w = hint_writer_open(&io_posix, dir_fd, about->name);
	char key[KEY_BYTES + 1];

	assert_non_null(w);
	for (unsigned int i = 0; i < RECORDS; i++) {
		struct log_entry entry = {
			.rec = { .key = key,
				 .key_bytes = KEY_BYTES,
				 .value = "",
				 .value_bytes = VALUE_BYTES,
				 .timestamp_ns = i + 1 },
			.bytes = record_bytes(KEY_BYTES, VALUE_BYTES),
		};

		make_key(key, i);
		hint_writer_add(w, &entry);
	}
	hint_writer_close(w, about);
}

static void test_memory_goes(void **state)
{
	const char *dir = *state;
	int dir_fd = open(dir, O_RDONLY | O_DIRECTORY);
	int fd = open(unit_path("%s/segment", dir), O_RDWR | O_CREAT, 0600);
	struct hint_about about = {
		.segment = 1,
		.segment_bytes = RECORDS * record_bytes(KEY_BYTES, VALUE_BYTES),
		.segment_fd = fd,
		.name = "hint",
	};
	struct log_entry entries[BATCH];
	uint64_t hint_bytes, loaded;
	char key[KEY_BYTES + 1];
	struct hint_reader *r;

	assert_int_equal(ftruncate(fd, (off_t)about.segment_bytes), 0);
	make_hint(dir_fd, &about);
	hint_bytes = unit_file_bytes(unit_path("%s/hint", dir));
	r = hint_reader_open(&io_posix, dir_fd, &about);
	assert_non_null(r);
	loaded = resident_bytes();
	for (unsigned int i = 0; i < RECORDS; i += BATCH) {
		hint_reader_drop(r);
		for (unsigned int j = 0; j < BATCH; j++)
			assert_int_equal(hint_reader_next(r, &entries[j]), 1);
		for (unsigned int j = 0; j < BATCH; j++) {
			make_key(key, i + j);
			assert_memory_equal(entries[j].rec.key, key, KEY_BYTES);
			assert_int_equal(entries[j].rec.timestamp_ns, i + j + 1);
		}
	}
	/* A huge page may be left of it. */
	if (!UNIT_SANITIZED)
		assert_true(resident_bytes() < loaded - hint_bytes * 3 / 4);
	hint_reader_drop(r);
	assert_int_equal(hint_reader_next(r, &entries[0]), 0);
	hint_reader_close(r);
	(void)close(fd);
	(void)close(dir_fd);
}

/* One that is closed in the middle, or before it was read. */
static void test_close_early(void **state)
{
	const char *dir = *state;
	int dir_fd = open(dir, O_RDONLY | O_DIRECTORY);
	int fd = open(unit_path("%s/segment", dir), O_RDWR | O_CREAT, 0600);
	struct hint_about about = {
		.segment = 1,
		.segment_bytes = RECORDS * record_bytes(KEY_BYTES, VALUE_BYTES),
		.segment_fd = fd,
		.name = "hint",
	};
	uint64_t before = 0;

	assert_int_equal(ftruncate(fd, (off_t)about.segment_bytes), 0);
	make_hint(dir_fd, &about);
	for (int round = 0; round < 6; round++) {
		struct hint_reader *r = hint_reader_open(&io_posix, dir_fd, &about);
		struct log_entry entry;

		assert_non_null(r);
		for (unsigned int i = 0; i < RECORDS / 2 && round % 2 == 0; i++) {
			hint_reader_drop(r);
			assert_int_equal(hint_reader_next(r, &entry), 1);
		}
		hint_reader_close(r);
		if (round == 1)
			before = resident_bytes();
	}
	/* Twenty-four megabytes each time, were they left. */
	if (!UNIT_SANITIZED)
		assert_true(resident_bytes() < before + 10000000);
	(void)close(fd);
	(void)close(dir_fd);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		{ "memory goes while it is read", test_memory_goes, unit_setup_tmpdir,
		  unit_teardown_tmpdir, NULL },
		{ "closed early", test_close_early, unit_setup_tmpdir, unit_teardown_tmpdir, NULL },
	};

	return unit_run("hint_file", tests, ARRAY_SIZE(tests));
}
