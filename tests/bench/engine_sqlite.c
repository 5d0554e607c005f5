/* SPDX-License-Identifier: MIT */
/* SQLite in WAL mode: a put is one autocommit INSERT; every thread has its own connection. */
#include <stdlib.h>

#include <sqlite3.h>

#include "bench.h"
#include "engine.h"

#define BUSY_TIMEOUT_MS 60000

struct sqlite {
	char *path;
	bool durable;
	uint32_t value_bytes;
};

struct sqlite_thread {
	sqlite3 *db;
	sqlite3_stmt *insert;
	uint32_t value_bytes;
};

static void check(sqlite3 *db, int result)
{
	if (result != SQLITE_OK && result != SQLITE_DONE && result != SQLITE_ROW)
		bench_die(0, "sqlite: %s", sqlite3_errmsg(db));
}

static sqlite3 *connect_to(const struct sqlite *s)
{
	sqlite3 *db;

	check(NULL, sqlite3_open(s->path, &db));
	check(db, sqlite3_busy_timeout(db, BUSY_TIMEOUT_MS));
	check(db, sqlite3_exec(db, "PRAGMA journal_mode=WAL", NULL, NULL, NULL));
	check(db,
	      sqlite3_exec(db, s->durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL",
			   NULL, NULL, NULL));
	return db;
}

static void *sqlite_open(const struct engine_config *config)
{
	struct sqlite *s = calloc(1, sizeof(*s));
	sqlite3 *db;

	if (!s)
		bench_die(0, "out of memory");
	s->path = engine_path(config, "sqlite.db");
	s->durable = config->durable;
	s->value_bytes = config->value_bytes;
	db = connect_to(s);
	check(db, sqlite3_exec(db, "CREATE TABLE kv(k BLOB PRIMARY KEY, v BLOB) WITHOUT ROWID",
			       NULL, NULL, NULL));
	check(db, sqlite3_close(db));
	return s;
}

static void *sqlite_open_thread(void *arg, unsigned int thread)
{
	const struct sqlite *s = arg;
	struct sqlite_thread *t = calloc(1, sizeof(*t));

	if (!t)
		bench_die(0, "out of memory");
	t->value_bytes = s->value_bytes;
	t->db = connect_to(s);
	check(t->db, sqlite3_prepare_v2(t->db, "INSERT OR REPLACE INTO kv VALUES(?, ?)", -1,
					&t->insert, NULL));
	return t;
}

static void sqlite_put(void *arg, const char key[ENGINE_KEY_BYTES], const void *value)
{
	struct sqlite_thread *t = arg;

	check(t->db, sqlite3_bind_blob(t->insert, 1, key, ENGINE_KEY_BYTES, SQLITE_STATIC));
	check(t->db, sqlite3_bind_blob64(t->insert, 2, value, t->value_bytes, SQLITE_STATIC));
	check(t->db, sqlite3_step(t->insert));
	check(t->db, sqlite3_reset(t->insert));
}

static void sqlite_close_thread(void *arg)
{
	struct sqlite_thread *t = arg;

	check(t->db, sqlite3_finalize(t->insert));
	check(NULL, sqlite3_close(t->db));
	free(t);
}

static void sqlite_close(void *arg, uint64_t puts)
{
	struct sqlite *s = arg;
	sqlite3 *db = connect_to(s);
	sqlite3_stmt *count;

	check(db, sqlite3_prepare_v2(db, "SELECT count(*) FROM kv", -1, &count, NULL));
	check(db, sqlite3_step(count));
	if ((uint64_t)sqlite3_column_int64(count, 0) != puts)
		bench_die(0, "sqlite: %lld rows after %llu puts",
			  (long long)sqlite3_column_int64(count, 0), (unsigned long long)puts);
	check(db, sqlite3_finalize(count));
	check(NULL, sqlite3_close(db));
	free(s->path);
	free(s);
}

const struct engine engine_sqlite = {
	.name = "sqlite",
	.durability = engine_peer_durability,
	.open = sqlite_open,
	.open_thread = sqlite_open_thread,
	.put = sqlite_put,
	.close_thread = sqlite_close_thread,
	.close = sqlite_close,
};
