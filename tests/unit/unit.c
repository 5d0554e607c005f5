/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATHS	       8
#define PATH_BYTES     1024
#define PROC_BYTES_MAX 65536

const char *unit_path(const char *fmt, ...)
{
	static char paths[PATHS][PATH_BYTES];
	static unsigned int next;
	char *path = paths[next++ % PATHS];
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(path, PATH_BYTES, fmt, args);
	va_end(args);
	assert_in_range(n, 1, PATH_BYTES - 1);
	return path;
}

const char *unit_segment_path(const char *dir, uint64_t number, const char *suffix)
{
	char path[PATH_BYTES];
	int generation, n;

	for (generation = 9; generation > 1; generation--) {
		n = snprintf(path, sizeof(path), "%s/%06" PRIu64 ".%d%s", dir, number, generation,
			     suffix);
		assert_in_range(n, 1, PATH_BYTES - 1);
		if (access(path, F_OK) == 0)
			return unit_path("%s", path);
	}
	return unit_path("%s/%06" PRIu64 "%s", dir, number, suffix);
}

const char *unit_name(const char *fmt, ...)
{
	char *name;
	va_list args;
	int n;

	va_start(args, fmt);
	n = vasprintf(&name, fmt, args);
	va_end(args);
	if (n < 0)
		abort();
	return name;
}

struct unit_file unit_read_file(const char *path)
{
	struct unit_file f = { 0 };
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		fail_msg("%s: %s", path, strerror(errno));
	assert_int_equal(fstat(fd, &st), 0);
	f.data = malloc((size_t)st.st_size + 1);
	assert_non_null(f.data);
	while (f.bytes < (size_t)st.st_size) {
		ssize_t n = read(fd, f.data + f.bytes, (size_t)st.st_size - f.bytes);

		if (n <= 0)
			fail_msg("%s: read: %zd", path, n);
		f.bytes += (size_t)n;
	}
	f.data[f.bytes] = 0;
	assert_int_equal(close(fd), 0);
	return f;
}

struct unit_file unit_read_proc(const char *path)
{
	struct unit_file f = { .data = malloc(PROC_BYTES_MAX) };
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	assert_non_null(f.data);
	if (fd < 0)
		fail_msg("%s: %s", path, strerror(errno));
	n = read(fd, f.data, PROC_BYTES_MAX - 1);
	assert_true(n > 0);
	f.bytes = (size_t)n;
	f.data[f.bytes] = 0;
	assert_int_equal(close(fd), 0);
	return f;
}

void unit_write_file(const char *path, const void *data, size_t bytes)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	size_t done = 0;

	if (fd < 0)
		fail_msg("%s: %s", path, strerror(errno));
	while (done < bytes) {
		ssize_t n = write(fd, (const uint8_t *)data + done, bytes - done);

		if (n <= 0)
			fail_msg("%s: write: %zd", path, n);
		done += (size_t)n;
	}
	assert_int_equal(close(fd), 0);
}

int unit_exists(const char *path)
{
	struct stat st;

	if (lstat(path, &st) == 0)
		return 1;
	if (errno != ENOENT)
		fail_msg("%s: %s", path, strerror(errno));
	return 0;
}

uint64_t unit_file_bytes(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		fail_msg("%s: %s", path, strerror(errno));
	return (uint64_t)st.st_size;
}

char *unit_tmpdir(void)
{
	const char *base = getenv("TMPDIR");
	char *path;

	if (asprintf(&path, "%s/freyjafs-unit-XXXXXX", base != NULL ? base : "/tmp") < 0)
		abort();
	if (mkdtemp(path) == NULL)
		fail_msg("%s: %s", path, strerror(errno));
	return path;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	if (type == FTW_DNR)
		(void)chmod(path, 0700);
	return remove(path);
}

void unit_tmpdir_remove(char *path)
{
	if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
		fail_msg("%s: %s", path, strerror(errno));
	free(path);
}

int unit_setup_tmpdir(void **state)
{
	*state = unit_tmpdir();
	return 0;
}

int unit_teardown_tmpdir(void **state)
{
	unit_tmpdir_remove(*state);
	return 0;
}

int unit_run(const char *group, const struct CMUnitTest *tests, size_t count)
{
	return _cmocka_run_group_tests(group, tests, count, NULL, NULL);
}
