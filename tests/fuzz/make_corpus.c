/* SPDX-License-Identifier: MIT */
/* Makes a corpus out of real stores: random changes of a tree, with every kind of record, small
 * segments, compactions and folds, on a disk in memory.  Each store is written as an image
 *(image.h) while it is open, after a power cut that kept some of what was not synced, and after it
 *was closed, which is when its hints are there.
 *
 * usage: make_corpus FLAGS STORES DIRECTORY
 *	FLAGS	the first byte of each image, in hexadecimal */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/image.h"
#include "tests/sim/rng.h"
#include "tests/sim/tree.h"

#define DATADIR "/data"
#define CHANGES 120

static const char *out_dir;
static uint8_t flags;

static void save(struct simdisk *d, unsigned int store, const char *what)
{
	char path[512];
	FILE *out;

	(void)snprintf(path, sizeof(path), "%s/store-%02u-%s", out_dir, store, what);
	out = fopen(path, "wbe");
	FUZZ_CHECK(out != NULL);
	FUZZ_CHECK(image_write(out, flags, d, DATADIR) == 0);
	FUZZ_CHECK(fclose(out) == 0);
}

static struct store *open_store(struct simdisk *d, unsigned int number)
{
	static const int64_t segment_bytes[] = { 1024, 4096, 0 };
	const struct store_config config = {
		.dir_path = DATADIR,
		.fsync_interval_ns = LOG_WRITER_NEVER,
		.segment_size_bytes = segment_bytes[number % 3],
		.uid = TREE_UID,
		.gid = TREE_GID,
		.umask = TREE_UMASK,
		.io = simdisk_io(d),
	};
	struct diag diag;
	struct store *s;

	FUZZ_CHECK(store_open(&config, &s, &diag) == 0);
	return s;
}

static void change(struct store *s, struct model *m, struct rng *rng, uint64_t tag)
{
	struct tree_op op = model_random_op(m, rng);
	uint64_t end;

	if (op.value_bytes > 2000)
		op.value_bytes %= 2000;
	if (!model_knows(m, &op) || model_do(m, &op, tag) < 0)
		return;
	FUZZ_CHECK(tree_op_do(s, &op, tag, &end) == 0);
}

static void make_store(unsigned int number)
{
	struct rng rng = { rng_mix(number, 77, 0) };
	struct simdisk *d = simdisk_new(), *cut;
	struct model *m = model_new();
	struct store *s = open_store(d, number);

	for (unsigned int i = 0; i < CHANGES; i++) {
		change(s, m, &rng, i);
		if (i != CHANGES / 2)
			continue;
		FUZZ_CHECK(store_close(s) == 0);
		save(d, number, "closed-early");
		s = open_store(d, number);
	}
	save(d, number, "open");
	cut = simdisk_power_cut(d, SIMDISK_KEEP_SOME, number);
	save(cut, number, "cut");
	simdisk_free(cut);
	FUZZ_CHECK(store_compact(s, NULL, NULL) == 0);
	FUZZ_CHECK(store_close(s) == 0);
	save(d, number, "compacted");
	model_free(m);
	simdisk_free(d);
}

int main(int argc, char **argv)
{
	unsigned int stores;

	if (argc != 4)
		return 2;
	flags = (uint8_t)strtoul(argv[1], NULL, 16);
	stores = (unsigned int)strtoul(argv[2], NULL, 10);
	out_dir = argv[3];
	for (unsigned int i = 0; i < stores; i++)
		make_store(i);
	return 0;
}
