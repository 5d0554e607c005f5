/* SPDX-License-Identifier: MIT */
/* The test doubles themselves: a simulator that loses nothing would let every crash test pass. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/compiler.h"
#include "tests/sim/faultio.h"
#include "tests/sim/simdisk.h"

#define SEEDS	   400
#define FILE_BYTES 4000

struct fixture {
	struct simdisk *disk;
	struct io *io;
	int dir; /* "/d", durable */
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->disk = simdisk_new();
	f->io = simdisk_io(f->disk);
	assert_int_equal(f->io->ops->mkdir(f->io, AT_FDCWD, "/d", 0700), 0);
	simdisk_make_durable(f->disk);
	f->dir = io_open(f->io, AT_FDCWD, "/d", O_RDONLY | O_DIRECTORY, 0);
	assert_true(f->dir >= 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	simdisk_free(f->disk);
	free(f);
	return 0;
}

static int make(struct fixture *f, const char *name)
{
	int fd = io_open(f->io, f->dir, name, O_RDWR | O_CREAT | O_EXCL | O_APPEND, 0600);

	assert_true(fd >= 0);
	return fd;
}

static void append(struct fixture *f, int fd, char byte, size_t n)
{
	char *bytes = malloc(n);
	struct iovec iov = { .iov_base = bytes, .iov_len = n };

	assert_non_null(bytes);
	memset(bytes, byte, n);
	assert_int_equal(io_writev_all(f->io, fd, &iov, 1), 0);
	free(bytes);
}

/* The content of a file after a power cut: "" for an empty one, NULL for none. */
static uint8_t *after_cut(struct fixture *f, enum simdisk_keep keep, uint64_t seed,
			  const char *path, size_t *ret_bytes)
{
	struct simdisk *image = simdisk_power_cut(f->disk, keep, seed);
	uint8_t *bytes = simdisk_read_file(image, path, ret_bytes);

	simdisk_free(image);
	return bytes;
}

static void expect_bytes(struct fixture *f, enum simdisk_keep keep, const char *path,
			 ssize_t want) /* -1: no file */
{
	size_t n = 0;
	uint8_t *bytes = after_cut(f, keep, 0, path, &n);

	assert_int_equal(bytes == NULL ? -1 : (ssize_t)n, want);
	free(bytes);
}

static void test_name_needs_directory_sync(void **state)
{
	struct fixture *f = *state;
	int fd = make(f, "a");

	append(f, fd, 'x', 10);
	assert_int_equal(io_fsync(f->io, fd), 0);
	expect_bytes(f, SIMDISK_KEEP_NONE, "/d/a", -1);
	expect_bytes(f, SIMDISK_KEEP_ALL, "/d/a", 10);
	assert_int_equal(io_fsync(f->io, f->dir), 0);
	expect_bytes(f, SIMDISK_KEEP_NONE, "/d/a", 10);
}

static void test_data_needs_sync(void **state)
{
	struct fixture *f = *state;
	int fd = make(f, "a");

	assert_int_equal(io_fsync(f->io, f->dir), 0);
	append(f, fd, 'x', 10);
	expect_bytes(f, SIMDISK_KEEP_NONE, "/d/a", 0);
	assert_int_equal(io_fdatasync(f->io, fd), 0);
	append(f, fd, 'y', 10);
	expect_bytes(f, SIMDISK_KEEP_NONE, "/d/a", 10);
	expect_bytes(f, SIMDISK_KEEP_ALL, "/d/a", 20);
	assert_int_equal(io_truncate(f->io, fd, 3), 0);
	expect_bytes(f, SIMDISK_KEEP_NONE, "/d/a", 10);
	assert_true(simdisk_has_pending(f->disk));
	assert_int_equal(io_fsync(f->io, fd), 0);
	expect_bytes(f, SIMDISK_KEEP_NONE, "/d/a", 3);
	assert_false(simdisk_has_pending(f->disk));
}

static void test_unlink_needs_directory_sync(void **state)
{
	struct fixture *f = *state;

	(void)make(f, "a");
	assert_int_equal(io_fsync(f->io, f->dir), 0);
	assert_int_equal(io_unlink(f->io, f->dir, "a"), 0);
	expect_bytes(f, SIMDISK_KEEP_NONE, "/d/a", 0);
	expect_bytes(f, SIMDISK_KEEP_ALL, "/d/a", -1);
	assert_int_equal(io_fsync(f->io, f->dir), 0);
	expect_bytes(f, SIMDISK_KEEP_NONE, "/d/a", -1);
}

/* Over many seeds a cut leaves every kind of ruin, and never touches what is durable. */
static void test_some(void **state)
{
	struct fixture *f = *state;
	unsigned int shorter = 0, whole = 0, zeros = 0, holes = 0, garbage = 0, torn = 0;
	int fd = make(f, "a");

	assert_int_equal(io_fsync(f->io, f->dir), 0);
	append(f, fd, 'x', SIMDISK_SECTOR_BYTES);
	assert_int_equal(io_fdatasync(f->io, fd), 0);
	append(f, fd, 'y', FILE_BYTES / 2);
	append(f, fd, 'z', FILE_BYTES / 2);
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		size_t n = 0, counts[256] = { 0 };
		bool ordered = true, edge = false;
		uint8_t *bytes = after_cut(f, SIMDISK_KEEP_SOME, seed, "/d/a", &n);

		assert_non_null(bytes);
		assert_true(n >= SIMDISK_SECTOR_BYTES && n <= SIMDISK_SECTOR_BYTES + FILE_BYTES);
		for (size_t i = 0; i < SIMDISK_SECTOR_BYTES; i++)
			assert_int_equal(bytes[i], 'x');
		for (size_t i = SIMDISK_SECTOR_BYTES; i < n; i++) {
			counts[bytes[i]]++;
			ordered = ordered && (bytes[i] != 0 || i + 1 == n || bytes[i + 1] == 0);
			edge = edge || (bytes[i] == 0 && bytes[i - 1] != 0 &&
					i % SIMDISK_SECTOR_BYTES != 0 &&
					i != SIMDISK_SECTOR_BYTES + FILE_BYTES / 2);
		}
		shorter += n < SIMDISK_SECTOR_BYTES + FILE_BYTES;
		whole += counts['y'] == FILE_BYTES / 2 && counts['z'] == FILE_BYTES / 2;
		zeros += n > SIMDISK_SECTOR_BYTES && counts[0] == n - SIMDISK_SECTOR_BYTES;
		holes += !ordered && counts['z'] > 0;
		garbage += counts[0] + counts['y'] + counts['z'] != n - SIMDISK_SECTOR_BYTES;
		torn += edge;
		free(bytes);
	}
	assert_true(shorter > 0);
	assert_true(whole > 0);
	assert_true(zeros > 0);
	assert_true(holes > 0);
	assert_true(garbage > 0);
	assert_true(torn > 0);
}

/* A rename is there or not, and never makes two files of one.  The file that it replaces may have
 * gone before that, unless it has another name. */
static void check_rename(struct fixture *f, bool keep_old)
{
	unsigned int before = 0, after = 0, gone = 0;

	append(f, make(f, "new"), 'n', 20);
	append(f, make(f, "old"), 'o', 10);
	simdisk_make_durable(f->disk);
	if (keep_old)
		assert_int_equal(io_link(f->io, f->dir, "old", "older"), 0);
	assert_int_equal(f->io->ops->rename(f->io, f->dir, "new", "old"), 0);
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct simdisk *image = simdisk_power_cut(f->disk, SIMDISK_KEEP_SOME, seed);
		size_t old_bytes = 0, new_bytes = 0;
		uint8_t *old = simdisk_read_file(image, "/d/old", &old_bytes);
		uint8_t *new = simdisk_read_file(image, "/d/new", &new_bytes);

		if (old == NULL)
			assert_non_null(new);
		else
			assert_int_equal(old_bytes, new == NULL ? 20 : 10);
		before += old != NULL && new != NULL;
		after += new == NULL;
		gone += old == NULL;
		free(old);
		free(new);
		simdisk_free(image);
	}
	assert_true(before > 0);
	assert_true(after > 0);
	assert_int_equal(gone > 0, !keep_old);
}

static void test_rename(void **state)
{
	check_rename(*state, false);
}

static void test_rename_keeps_linked(void **state)
{
	check_rename(*state, true);
}

static void test_same_seed_same_image(void **state)
{
	struct fixture *f = *state;
	unsigned int different = 0;

	append(f, make(f, "a"), 'a', FILE_BYTES);
	for (uint64_t seed = 0; seed < 20; seed++) {
		struct simdisk *one = simdisk_power_cut(f->disk, SIMDISK_KEEP_SOME, seed);
		struct simdisk *two = simdisk_power_cut(f->disk, SIMDISK_KEEP_SOME, seed);
		struct simdisk *other = simdisk_power_cut(f->disk, SIMDISK_KEEP_SOME, seed + 1);

		assert_int_equal(simdisk_hash(one), simdisk_hash(two));
		different += simdisk_hash(one) != simdisk_hash(other);
		simdisk_free(one);
		simdisk_free(two);
		simdisk_free(other);
	}
	assert_true(different > 5);
}

static void test_copy_is_apart(void **state)
{
	struct fixture *f = *state;
	int fd = make(f, "a");
	struct simdisk *copy;
	size_t n = 0;
	uint8_t *bytes;

	append(f, fd, 'a', 100);
	copy = simdisk_copy(f->disk);
	append(f, fd, 'b', 100);
	assert_int_equal(io_fdatasync(f->io, fd), 0);
	bytes = simdisk_read_file(copy, "/d/a", &n);
	assert_int_equal(n, 100);
	free(bytes);
	assert_true(simdisk_has_pending(copy)); /* nobody synced it there */
	assert_int_equal(simdisk_open_count(copy), 0);
	simdisk_free(copy);
}

static void test_power(void **state)
{
	struct fixture *f = *state;
	int fd = make(f, "a");
	char byte;

	simdisk_cut_after(f->disk, simdisk_calls(f->disk) + 1);
	append(f, fd, 'a', 5);
	assert_int_equal(io_fdatasync(f->io, fd), -EIO);
	assert_int_equal(io_pread_all(f->io, fd, &byte, 1, 0), -EIO);
	assert_int_equal(io_open(f->io, f->dir, "b", O_RDWR | O_CREAT, 0600), -EIO);
	assert_int_equal(simdisk_open_count(f->disk), 2);
	assert_int_equal(io_close(f->io, &fd), -EIO);
	assert_int_equal(simdisk_open_count(f->disk), 1);
	expect_bytes(f, SIMDISK_KEEP_ALL, "/d/a", 5);
	expect_bytes(f, SIMDISK_KEEP_ALL, "/d/b", -1);
}

static void test_capacity(void **state)
{
	struct fixture *f = *state;
	int fd = make(f, "a");
	char bytes[100] = "";

	simdisk_set_capacity(f->disk, 150);
	append(f, fd, 'a', 100);
	assert_int_equal(f->io->ops->pwrite(f->io, fd, bytes, 100, 100), 50);
	assert_int_equal(f->io->ops->pwrite(f->io, fd, bytes, 100, 150), -ENOSPC);
	assert_int_equal(io_truncate(f->io, fd, 10), 0);
	assert_int_equal(io_allocate(f->io, fd, 151), -ENOSPC);
	assert_int_equal(io_allocate(f->io, fd, 150), 0);
	assert_int_equal(simdisk_used_bytes(f->disk), 150);
}

static void test_lock(void **state)
{
	struct fixture *f = *state;
	int one = make(f, "a"), two = io_open(f->io, f->dir, "a", O_RDWR, 0);

	assert_int_equal(io_lock(f->io, one), 0);
	assert_int_equal(io_lock(f->io, one), 0);
	assert_int_equal(io_lock(f->io, two), -EWOULDBLOCK);
	assert_int_equal(io_close(f->io, &one), 0);
	assert_int_equal(io_lock(f->io, two), 0);
}

/* --- faultio --- */

static void test_nth_call_fails(void **state)
{
	struct fixture *f = *state;
	struct faultio *faults = faultio_new(f->io);
	struct io *io = faultio_io(faults);
	struct fault_plan plan = { .at = 2,
				   .times = 1,
				   .kinds = IOCALL_BIT(IOCALL_FSYNC),
				   .action = FAULT_ERROR,
				   .err = -EDQUOT };

	faultio_set_plan(faults, &plan);
	assert_int_equal(io_fsync(io, f->dir), 0);
	assert_int_equal(io_fdatasync(io, f->dir), 0);
	faultio_pause(faults, true);
	assert_int_equal(io_fsync(io, f->dir), 0);
	faultio_pause(faults, false);
	assert_int_equal(io_fsync(io, f->dir), -EDQUOT);
	assert_int_equal(io_fsync(io, f->dir), 0);
	assert_int_equal(faultio_hits(faults), 1);
	assert_int_equal(faultio_failures(faults, IOCALL_FSYNC), 1);
	assert_int_equal(faultio_calls(faults, IOCALL_FSYNC), 4);
	plan.times = FAULT_FOR_EVER;
	faultio_set_plan(faults, &plan);
	assert_int_equal(io_fsync(io, f->dir), 0);
	assert_int_equal(io_fsync(io, f->dir), -EDQUOT);
	assert_int_equal(io_fsync(io, f->dir), -EDQUOT);
	faultio_set_plan(faults, NULL);
	assert_int_equal(io_fsync(io, f->dir), 0);
	faultio_free(faults);
}

static void test_short_and_partial(void **state)
{
	struct fixture *f = *state;
	struct faultio *faults = faultio_new(f->io);
	struct io *io = faultio_io(faults);
	struct fault_plan plan = {
		.at = 1, .times = 1, .kinds = IOCALL_ALL, .action = FAULT_SHORT
	};
	char bytes[100] = "";
	struct iovec iov[2] = { { bytes, 60 }, { bytes, 40 } };
	int fd = make(f, "a");

	faultio_set_plan(faults, &plan);
	assert_int_equal(io->ops->writev(io, fd, iov, 2), 50);
	assert_int_equal(io->ops->writev(io, fd, iov, 2), 100);
	plan.action = FAULT_PARTIAL;
	plan.err = -EIO;
	faultio_set_plan(faults, &plan);
	assert_int_equal(io->ops->pwrite(io, fd, bytes, 100, 0), 50);
	assert_int_equal(io->ops->pwrite(io, fd, bytes, 50, 0), -EIO);
	assert_int_equal(io->ops->pwrite(io, fd, bytes, 50, 0), 50);
	assert_int_equal(io->ops->close(io, fd), 0);
	faultio_free(faults);
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		ROW(test_name_needs_directory_sync),
		ROW(test_data_needs_sync),
		ROW(test_unlink_needs_directory_sync),
		ROW(test_some),
		ROW(test_rename),
		ROW(test_rename_keeps_linked),
		ROW(test_same_seed_same_image),
		ROW(test_copy_is_apart),
		ROW(test_power),
		ROW(test_capacity),
		ROW(test_lock),
		ROW(test_nth_call_fails),
		ROW(test_short_and_partial),
	};

	return cmocka_run_group_tests_name("sim", tests, NULL, NULL);
}
