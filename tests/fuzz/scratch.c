/* SPDX-License-Identifier: MIT */
#include "tests/fuzz/scratch.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

static char top[] = "/tmp/freyjafs-fuzz.XXXXXX";
static char data_dir[sizeof(top) + 8]; /* "": not made yet */

static void remove_files(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *e;

	while (dir != NULL && (e = readdir(dir)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (unlinkat(dirfd(dir), e->d_name, 0) < 0) {
			char below[600];

			(void)snprintf(below, sizeof(below), "%s/%s", path, e->d_name);
			remove_files(below);
		}
	}
	if (dir != NULL)
		(void)closedir(dir);
	(void)rmdir(path);
}

static void remove_top(void)
{
	remove_files(top);
}

const char *scratch_make(void)
{
	if (data_dir[0] == '\0') {
		FUZZ_CHECK(access("/dev/shm", W_OK) < 0 ||
			   snprintf(top, sizeof(top), "/dev/shm/ffuzz.XXXXXX") > 0);
		FUZZ_CHECK(mkdtemp(top) != NULL);
		(void)snprintf(data_dir, sizeof(data_dir), "%s/data", top);
		FUZZ_CHECK(atexit(remove_top) == 0);
	}
	remove_files(data_dir);
	FUZZ_CHECK(mkdir(data_dir, 0700) == 0);
	return data_dir;
}

static int open_file(const char *name, int flags)
{
	char path[sizeof(data_dir) + 64];
	int fd;

	FUZZ_CHECK(snprintf(path, sizeof(path), "%s/%s", data_dir, name) < (int)sizeof(path));
	fd = open(path, flags | O_CLOEXEC, 0600);
	FUZZ_CHECK(fd >= 0);
	return fd;
}

void scratch_write(const char *name, const void *bytes, size_t n)
{
	int fd = open_file(name, O_WRONLY | O_CREAT | O_EXCL);

	FUZZ_CHECK(write(fd, bytes, n) == (ssize_t)n);
	FUZZ_CHECK(close(fd) == 0);
}

void scratch_check(const char *name, const void *bytes, size_t n)
{
	int fd = open_file(name, O_RDONLY);
	void *now = malloc(n + 1);

	FUZZ_CHECK(now != NULL);
	FUZZ_CHECK(read(fd, now, n + 1) == (ssize_t)n);
	FUZZ_CHECK(memcmp(now, bytes, n) == 0);
	(void)close(fd);
	free(now);
}
