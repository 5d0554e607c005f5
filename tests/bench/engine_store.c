/* SPDX-License-Identifier: MIT */
/* Puts through writer/store.h: the log and the index over it, as the daemon has them. */
#include <stdlib.h>

#include "bench.h"
#include "engine.h"
#include "writer/store.h"

struct engine_store {
	struct store *store;
	uint32_t value_bytes;
};

static void *store_engine_open(const struct engine_config *config)
{
	struct engine_store *s = calloc(1, sizeof(*s));
	char *path = engine_path(config, "store");
	struct diag diag;
	int err;

	if (!s)
		bench_die(0, "out of memory");
	s->value_bytes = config->value_bytes;
	err = store_open(&(struct store_config){ .dir_path = path,
						 .fsync_interval_ns = config->interval_ns,
						 .buffer_size_bytes = config->buffer_bytes,
						 .preallocate_bytes = config->headroom_bytes,
						 .umask = 022 },
			 &s->store, &diag);
	if (err < 0)
		bench_die(-err, "%s", diag.text);
	free(path);
	return s;
}

static void store_engine_put(void *arg, const char key[ENGINE_KEY_BYTES], const void *value)
{
	struct engine_store *s = arg;
	int err = store_put(s->store, key, ENGINE_KEY_BYTES, value, s->value_bytes, NULL);

	if (err < 0)
		bench_die(-err, "store_put");
}

static void store_engine_close(void *arg, uint64_t puts)
{
	struct engine_store *s = arg;
	struct store_stats stats;
	int err;

	store_stats(s->store, &stats);
	if (stats.files != puts)
		bench_die(0, "%llu files after %llu puts", (unsigned long long)stats.files,
			  (unsigned long long)puts);
	err = store_close(s->store);
	if (err < 0)
		bench_die(-err, "store_close");
	free(s);
}

const struct engine engine_store = {
	.name = "freyjafs-store",
	.durability = engine_freyjafs_durability,
	.open = store_engine_open,
	.put = store_engine_put,
	.close = store_engine_close,
};
