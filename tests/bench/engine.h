/* SPDX-License-Identifier: MIT */
/* What can be put into: our log writer, the ceilings of the machine, the peers. */
#ifndef FREYJAFS_BENCH_ENGINE_H
#define FREYJAFS_BENCH_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "codec/compiler.h"

#define ENGINE_KEY_BYTES 16

/* How far a put has come when it returns.  Rows of different classes are never compared. */
#define CLASS_USER_BUFFER "user buffer" /* memory of the process: lost when it is killed */
#define CLASS_PAGE_CACHE  "page cache"	/* memory of the kernel: lost when the power goes */
#define CLASS_DISK	  "disk"	/* durable */

struct engine_config {
	const char *dir; /* an empty directory */
	unsigned int threads;
	uint32_t value_bytes;
	int64_t interval_ns;	/* freyjafs */
	int64_t buffer_bytes;	/* freyjafs */
	int64_t headroom_bytes; /* freyjafs: preallocate */
	bool durable;		/* peers: a put is durable when it returns */
};

/* Functions die on errors: there is nothing to measure then. */
struct engine {
	const char *name;
	const char *(*durability)(const struct engine_config *config);
	void *(*open)(const struct engine_config *config);
	/* NULL: every thread puts through what open() returned. */
	void *(*open_thread)(void *engine, unsigned int thread);
	void (*put)(void *thread, const char key[ENGINE_KEY_BYTES], const void *value);
	void (*close_thread)(void *thread);
	/* 'puts' were made: dies if they are not all there, where that is cheap to tell. */
	void (*close)(void *engine, uint64_t puts);
	/* One call to put() counts as config->threads puts, and only one thread makes them. */
	bool batched;
};

extern const struct engine engine_freyjafs;
extern const struct engine engine_store;
extern const struct engine engine_ceiling_buffer;
extern const struct engine engine_ceiling_writev;
extern const struct engine engine_ceiling_fdatasync;
extern const struct engine engine_ceiling_batch;
#ifdef HAVE_ROCKSDB
extern const struct engine engine_rocksdb;
#endif
#ifdef HAVE_LMDB
extern const struct engine engine_lmdb;
#endif
#ifdef HAVE_SQLITE
extern const struct engine engine_sqlite;
#endif

/* CLASS_DISK if config->durable, else CLASS_PAGE_CACHE. */
const char *engine_peer_durability(const struct engine_config *config);

/* What the interval and the buffer size make of it. */
const char *engine_freyjafs_durability(const struct engine_config *config);

/* A malloc()ed "dir/name". */
char *engine_path(const struct engine_config *config, const char *name);

#endif
