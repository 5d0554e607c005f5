/* SPDX-License-Identifier: MIT */
/* fsck.freyjafs, inside of this process, on a DATADIR of any files (image.h) in a temporary
 * directory. Without -y it changes nothing; a store opens that it finds nothing wrong with, or that
 * it says it has corrected, and what it has corrected it does not correct again. */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fuzz/image.h"
#include "tests/fuzz/walk.h"
#include "writer/store.h"

enum {
	OK = 0,
	CORRECTED = 1,
	UNCORRECTED = 4,
	FAILED = 8
}; /* exit statuses */

FILE *quiet_out;
int quiet_main(int argc, char *argv[]);

static char top[] = "/tmp/freyjafs-fuzz.XXXXXX"; /* on /dev/shm, where there is one */
static char datadir[sizeof(top) + 8];

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

static void set_up(void)
{
	if (quiet_out != NULL)
		return;
	quiet_out = fopen("/dev/null", "we");
	FUZZ_CHECK(quiet_out != NULL);
	FUZZ_CHECK(access("/dev/shm", W_OK) < 0 ||
		   snprintf(top, sizeof(top), "/dev/shm/ffuzz.XXXXXX") > 0);
	FUZZ_CHECK(mkdtemp(top) != NULL);
	(void)snprintf(datadir, sizeof(datadir), "%s/data", top);
	FUZZ_CHECK(atexit(remove_top) == 0);
}

static void make_datadir(const struct image *image)
{
	remove_files(datadir);
	FUZZ_CHECK(mkdir(datadir, 0700) == 0);
	for (size_t i = 0; i < image->count; i++) {
		const struct image_file *f = &image->files[i];
		char path[sizeof(datadir) + IMAGE_NAME_BYTES];
		int fd;

		(void)snprintf(path, sizeof(path), "%s/%s", datadir, f->name);
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		FUZZ_CHECK(fd >= 0);
		FUZZ_CHECK(write(fd, f->data, f->bytes) == (ssize_t)f->bytes);
		FUZZ_CHECK(close(fd) == 0);
	}
}

static void check_unchanged(const struct image *image)
{
	for (size_t i = 0; i < image->count; i++) {
		const struct image_file *f = &image->files[i];
		char path[sizeof(datadir) + IMAGE_NAME_BYTES];
		uint8_t *now = malloc(f->bytes + 1);
		int fd;

		FUZZ_CHECK(now != NULL);
		(void)snprintf(path, sizeof(path), "%s/%s", datadir, f->name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		FUZZ_CHECK(fd >= 0);
		FUZZ_CHECK(read(fd, now, f->bytes + 1) == (ssize_t)f->bytes);
		FUZZ_CHECK(memcmp(now, f->data, f->bytes) == 0);
		(void)close(fd);
		free(now);
	}
}

static int fsck(const char *option)
{
	char program[] = "fsck.freyjafs", first[8];
	char *arguments[] = { program, first, datadir, NULL };
	int status;

	(void)snprintf(first, sizeof(first), "%s", option);
	status = quiet_main(3, arguments);
	FUZZ_CHECK(status == OK || status == CORRECTED || status == UNCORRECTED ||
		   status == FAILED);
	return status;
}

static void check_opens(void)
{
	const struct store_config config = {
		.dir_path = datadir,
		.fsync_interval_ns = LOG_WRITER_NEVER,
		.umask = 022,
		.no_background = true,
		/* A damaged base is taken out, and then nothing says that the log begins with it.
		 */
		.accept_missing_segments = true,
	};
	struct diag diag = { "" };
	struct store *s;

	FUZZ_CHECK(store_open(&config, &s, &diag) == 0);
	(void)walk_digest(s);
	FUZZ_CHECK(store_close(s) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct image image;
	int status, before;

	set_up();
	image_parse(data, size, &image);
	make_datadir(&image);
	before = fsck("-n");
	FUZZ_CHECK(before != CORRECTED);
	check_unchanged(&image);
	status = fsck("-y");
	FUZZ_CHECK(before != OK || status == OK);
	FUZZ_CHECK(status != CORRECTED || fsck("-y") != CORRECTED);
	if (fsck("-n") == OK || status == OK || status == CORRECTED)
		check_opens();
	image_free(&image);
	return 0;
}
