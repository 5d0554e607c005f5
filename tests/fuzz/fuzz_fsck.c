/* SPDX-License-Identifier: MIT */
/* fsck.freyjafs, inside of this process, on a DATADIR of any files (image.h) in a temporary
 * directory. Without -y it changes nothing; a store opens that it finds nothing wrong with, or that
 * it says it has corrected, and what it has corrected it does not correct again. */
#include "tests/fuzz/fuzz.h"

#include <stdbool.h>

#include "tests/fuzz/image.h"
#include "tests/fuzz/scratch.h"
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

static const char *datadir;

static void make_datadir(const struct image *image)
{
	if (quiet_out == NULL)
		quiet_out = fopen("/dev/null", "we");
	FUZZ_CHECK(quiet_out != NULL);
	datadir = scratch_make();
	for (size_t i = 0; i < image->count; i++) {
		const struct image_file *f = &image->files[i];

		scratch_write(f->name, f->data, f->bytes);
	}
}

static void check_unchanged(const struct image *image)
{
	for (size_t i = 0; i < image->count; i++) {
		const struct image_file *f = &image->files[i];

		scratch_check(f->name, f->data, f->bytes);
	}
}

static int fsck(const char *option)
{
	char program[] = "fsck.freyjafs", first[8], dir[64];
	char *arguments[] = { program, first, dir, NULL };
	int status;

	(void)snprintf(first, sizeof(first), "%s", option);
	(void)snprintf(dir, sizeof(dir), "%s", datadir);
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
