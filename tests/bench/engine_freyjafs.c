/* SPDX-License-Identifier: MIT */
/* Puts through writer/log_writer.h. */
#include <stdlib.h>
#include <sys/stat.h>

#include "bench.h"
#include "codec/record.h"
#include "engine.h"
#include "writer/log_writer.h"

struct freyjafs {
	struct log_writer *writer;
	char *path;
	uint32_t value_bytes;
};

const char *engine_freyjafs_durability(const struct engine_config *config)
{
	if (config->interval_ns == 0)
		return CLASS_DISK;
	return config->buffer_bytes > 0 ? CLASS_USER_BUFFER : CLASS_PAGE_CACHE;
}

static void *freyjafs_open(const struct engine_config *config)
{
	struct freyjafs *f = calloc(1, sizeof(*f));
	struct log_writer_config wc;
	struct diag diag;
	int err;

	if (!f)
		bench_die(0, "out of memory");
	f->path = engine_path(config, "active.data");
	f->value_bytes = config->value_bytes;
	wc = (struct log_writer_config){ .file_path = f->path,
					 .fsync_interval_ns = config->interval_ns,
					 .buffer_size_bytes = config->buffer_bytes,
					 .preallocate_bytes = config->headroom_bytes };
	err = log_writer_open(&wc, &f->writer, &diag);
	if (err < 0)
		bench_die(-err, "%s", diag.text);
	return f;
}

static void freyjafs_put(void *arg, const char key[ENGINE_KEY_BYTES], const void *value)
{
	struct freyjafs *f = arg;
	int err = log_writer_put(f->writer, key, ENGINE_KEY_BYTES, value, f->value_bytes, NULL);

	if (err < 0)
		bench_die(-err, "put");
}

static void freyjafs_close(void *arg, uint64_t puts)
{
	struct freyjafs *f = arg;
	struct stat st;
	int err = log_writer_close(f->writer);

	if (err < 0)
		bench_die(-err, "close");
	if (stat(f->path, &st) < 0)
		bench_die(0, "%s is not there", f->path);
	if ((uint64_t)st.st_size != puts * record_bytes(ENGINE_KEY_BYTES, f->value_bytes))
		bench_die(0, "%s has %lld bytes after %llu puts", f->path, (long long)st.st_size,
			  (unsigned long long)puts);
	free(f->path);
	free(f);
}

const struct engine engine_freyjafs = {
	.name = "freyjafs",
	.durability = engine_freyjafs_durability,
	.open = freyjafs_open,
	.put = freyjafs_put,
	.close = freyjafs_close,
};
