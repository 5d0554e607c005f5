/* SPDX-License-Identifier: MIT */
/* RocksDB: a put is one record in its write-ahead log and an insert in a skip list. */
#include <stdlib.h>

#include <rocksdb/c.h>

#include "bench.h"
#include "engine.h"

struct rocks {
	rocksdb_t *db;
	rocksdb_options_t *options;
	rocksdb_writeoptions_t *write;
	uint32_t value_bytes;
};

static void *rocks_open(const struct engine_config *config)
{
	struct rocks *r = calloc(1, sizeof(*r));
	char *path = engine_path(config, "rocksdb");
	char *error = NULL;

	if (!r)
		bench_die(0, "out of memory");
	r->value_bytes = config->value_bytes;
	r->options = rocksdb_options_create();
	rocksdb_options_set_create_if_missing(r->options, 1);
	rocksdb_options_set_compression(r->options, rocksdb_no_compression);
	r->write = rocksdb_writeoptions_create();
	rocksdb_writeoptions_set_sync(r->write, config->durable);
	r->db = rocksdb_open(r->options, path, &error);
	if (error)
		bench_die(0, "rocksdb: %s", error);
	free(path);
	return r;
}

static void rocks_put(void *arg, const char key[ENGINE_KEY_BYTES], const void *value)
{
	struct rocks *r = arg;
	char *error = NULL;

	rocksdb_put(r->db, r->write, key, ENGINE_KEY_BYTES, value, r->value_bytes, &error);
	if (error)
		bench_die(0, "rocksdb: %s", error);
}

static void rocks_close(void *arg, uint64_t puts)
{
	struct rocks *r = arg;

	rocksdb_cancel_all_background_work(r->db, 1);
	rocksdb_close(r->db);
	rocksdb_writeoptions_destroy(r->write);
	rocksdb_options_destroy(r->options);
	free(r);
}

const struct engine engine_rocksdb = {
	.name = "rocksdb",
	.durability = engine_peer_durability,
	.open = rocks_open,
	.put = rocks_put,
	.close = rocks_close,
};
