/* SPDX-License-Identifier: MIT */
/* LMDB: a put is one transaction. */
#include <stdlib.h>
#include <sys/stat.h>

#include <lmdb.h>

#include "bench.h"
#include "engine.h"

#define MAP_BYTES ((size_t)64 << 30)

struct lmdb {
	MDB_env *env;
	MDB_dbi dbi;
	uint32_t value_bytes;
};

static void check(int err)
{
	if (err != 0)
		bench_die(0, "lmdb: %s", mdb_strerror(err));
}

static void *lmdb_open(const struct engine_config *config)
{
	struct lmdb *l = calloc(1, sizeof(*l));
	char *path = engine_path(config, "lmdb");
	MDB_txn *txn;

	if (!l || mkdir(path, 0700) < 0)
		bench_die(0, "cannot make %s", path);
	l->value_bytes = config->value_bytes;
	check(mdb_env_create(&l->env));
	check(mdb_env_set_mapsize(l->env, MAP_BYTES));
	check(mdb_env_open(l->env, path, config->durable ? 0 : MDB_NOSYNC, 0600));
	check(mdb_txn_begin(l->env, NULL, 0, &txn));
	check(mdb_dbi_open(txn, NULL, 0, &l->dbi));
	check(mdb_txn_commit(txn));
	free(path);
	return l;
}

static void lmdb_put(void *arg, const char key[ENGINE_KEY_BYTES], const void *value)
{
	struct lmdb *l = arg;
	MDB_val k = { ENGINE_KEY_BYTES, (void *)(uintptr_t)key };
	MDB_val v = { l->value_bytes, (void *)(uintptr_t)value };
	MDB_txn *txn;

	check(mdb_txn_begin(l->env, NULL, 0, &txn));
	check(mdb_put(txn, l->dbi, &k, &v, 0));
	check(mdb_txn_commit(txn));
}

static void lmdb_close(void *arg, uint64_t puts)
{
	struct lmdb *l = arg;
	MDB_stat st;

	check(mdb_env_stat(l->env, &st));
	if (st.ms_entries != puts)
		bench_die(0, "lmdb: %zu entries after %llu puts", st.ms_entries,
			  (unsigned long long)puts);
	mdb_env_close(l->env);
	free(l);
}

const struct engine engine_lmdb = {
	.name = "lmdb",
	.durability = engine_peer_durability,
	.open = lmdb_open,
	.put = lmdb_put,
	.close = lmdb_close,
};
