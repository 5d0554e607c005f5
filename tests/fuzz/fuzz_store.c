/* SPDX-License-Identifier: MIT */
/* A store is opened on a DATADIR of any files (image.h), on a disk in memory.  It opens, or refuses
 * with a line that says why.  What opened can be listed and read, each file to its bytes or to EIO;
 * it closes; it opens again with the same tree; it can be compacted, which changes nothing that is
 * seen; and the store as it was at any time can be opened beside it. */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/fuzz/image.h"
#include "tests/fuzz/walk.h"
#include "writer/store.h"

#define DATADIR "/data"

static int open_store(struct simdisk *d, uint64_t until_ns, struct store **ret)
{
	struct store_config config = {
		.dir_path = DATADIR,
		.fsync_interval_ns = LOG_WRITER_NEVER,
		.segment_size_bytes = 4096,
		.umask = 022,
		.no_background = true,
		.read_only = until_ns != 0,
		.until_ns = until_ns,
		.io = simdisk_io(d),
	};
	struct diag diag = { "" };
	int err = store_open(&config, ret, &diag);

	FUZZ_CHECK(err == 0 || (err < 0 && diag.text[0] != '\0'));
	FUZZ_CHECK(strchr(diag.text, '\n') == NULL);
	return err;
}

static struct simdisk *make_disk(const struct image *image)
{
	struct simdisk *d = simdisk_new();
	struct io *io = simdisk_io(d);
	char path[IMAGE_NAME_BYTES + 16];

	FUZZ_CHECK(io->ops->mkdir(io, AT_FDCWD, DATADIR, 0700) == 0);
	for (size_t i = 0; i < image->count; i++) {
		const struct image_file *f = &image->files[i];

		(void)snprintf(path, sizeof(path), DATADIR "/%s", f->name);
		FUZZ_CHECK(simdisk_write_file(d, path, f->data, f->bytes) == 0);
	}
	return d;
}

static void look_back(struct simdisk *d, uint64_t until_ns)
{
	struct store *s;

	if (open_store(d, until_ns, &s) < 0)
		return;
	(void)walk_digest(s);
	FUZZ_CHECK(store_close(s) == 0);
}

/* Opens the store again: the tree has that digest.  False: it was refused. */
static bool look_again(struct simdisk *d, uint64_t digest, bool by_hints, struct store **ret)
{
	int err = open_store(d, 0, ret);

	FUZZ_CHECK(err == 0 || by_hints);
	FUZZ_CHECK(err < 0 || by_hints || walk_digest(*ret) == digest);
	return err == 0;
}

/* 'by_hints': a hint is believed, and what it hides is seen at the latest when it is gone. */
static void look(struct simdisk *d, bool by_hints)
{
	struct store *s;
	uint64_t digest;
	int err;

	if (open_store(d, 0, &s) < 0)
		return;
	digest = walk_digest(s);
	FUZZ_CHECK(store_close(s) == 0);
	if (!look_again(d, digest, by_hints, &s))
		return;
	err = store_compact(s, NULL, NULL);
	FUZZ_CHECK(err < 0 || by_hints || walk_digest(s) == digest);
	FUZZ_CHECK(store_close(s) == 0);
	if (err == 0 && look_again(d, digest, by_hints, &s))
		FUZZ_CHECK(store_close(s) == 0);
}

static bool has_hints(const struct image *image)
{
	for (size_t i = 0; i < image->count; i++)
		if (strstr(image->files[i].name, ".hint") != NULL)
			return true;
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct image image;
	struct simdisk *d;

	image_parse(data, size, &image);
	d = make_disk(&image);
	look_back(d, UINT64_C(1) << (size % 64));
	look_back(d, INT64_MAX);
	look(d, has_hints(&image));
	FUZZ_CHECK(simdisk_open_count(d) == 0);
	simdisk_free(d);
	image_free(&image);
	return 0;
}
