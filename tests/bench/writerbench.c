/* SPDX-License-Identifier: MIT */
/* Puts as fast as they go into one engine and prints one line of JSON.
 *
 *   writerbench --engine=NAME [options] DIR
 *
 * DIR must exist and be empty; what is in it afterwards is the caller's to remove.  Keys are new
 * and ascending in each thread; values do not compress. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "codec/record.h"
#include "engine.h"
#include "writer/log_writer.h"

#define VALUE_SLACK_BYTES 4096 /* values begin at different places of a pool this much larger */
#define VALUE_STEP_BYTES  64

static const struct engine *const engines[] = {
	&engine_freyjafs,
	&engine_store,
	&engine_ceiling_buffer,
	&engine_ceiling_writev,
	&engine_ceiling_fdatasync,
	&engine_ceiling_batch,
#ifdef HAVE_ROCKSDB
	&engine_rocksdb,
#endif
#ifdef HAVE_LMDB
	&engine_lmdb,
#endif
#ifdef HAVE_SQLITE
	&engine_sqlite,
#endif
};

struct run {
	const struct engine *engine;
	struct engine_config config;
	void *opened;
	uint8_t *pool;	    /* random bytes, value_bytes + VALUE_SLACK_BYTES */
	uint64_t calls_max; /* of each thread */
	struct {
		_Alignas(64) void *handle; /* one cache line a thread */
		uint64_t calls;
	} thread[BENCH_THREADS_MAX];
};

char *engine_path(const struct engine_config *config, const char *name)
{
	char *path;

	if (asprintf(&path, "%s/%s", config->dir, name) < 0)
		bench_die(0, "out of memory");
	return path;
}

const char *engine_peer_durability(const struct engine_config *config)
{
	return config->durable ? CLASS_DISK : CLASS_PAGE_CACHE;
}

/* The next number in ASCII digits. */
static void count_up(char *key)
{
	size_t i = ENGINE_KEY_BYTES - 1;

	while (key[i] == '9')
		key[i--] = '0';
	key[i]++;
}

static void put_many(void *arg, unsigned int thread)
{
	struct run *run = arg;
	void (*put)(void *, const char[ENGINE_KEY_BYTES], const void *) = run->engine->put;
	void *handle = run->thread[thread].handle;
	char key[ENGINE_KEY_BYTES + 1];
	uint64_t n = 0;

	(void)snprintf(key, sizeof(key), "k%02u/%012d", thread % 100, 0);
	while (!bench_stopped()) {
		put(handle, key, run->pool + n * VALUE_STEP_BYTES % VALUE_SLACK_BYTES);
		count_up(key);
		if (++n == run->calls_max)
			bench_stop();
	}
	run->thread[thread].calls = n;
}

static void print_result(const struct run *run, uint64_t puts, double seconds, double close_seconds)
{
	const struct engine_config *c = &run->config;

	(void)printf("{\"engine\": \"%s\", \"class\": \"%s\", \"threads\": %u, ", run->engine->name,
		     run->engine->durability(c), c->threads);
	(void)printf("\"value_bytes\": %" PRIu32 ", \"interval_ns\": %" PRId64
		     ", \"buffer_bytes\": %" PRId64 ", ",
		     c->value_bytes, c->interval_ns, c->buffer_bytes);
	(void)printf("\"puts\": %" PRIu64 ", \"seconds\": %.4f, \"close_seconds\": %.4f, "
		     "\"rate\": %.1f}\n",
		     puts, seconds, close_seconds, (double)puts / seconds);
}

static void measure(struct run *run, double seconds)
{
	const struct engine *e = run->engine;
	unsigned int threads = e->batched ? 1 : run->config.threads;
	double took, closing;
	uint64_t puts = 0;

	run->opened = e->open(&run->config);
	for (unsigned int i = 0; i < threads; i++)
		run->thread[i].handle =
			e->open_thread ? e->open_thread(run->opened, i) : run->opened;
	took = bench_run(threads, seconds, put_many, run);
	for (unsigned int i = 0; i < threads; i++)
		puts += run->thread[i].calls * (e->batched ? run->config.threads : 1);
	closing = bench_seconds();
	for (unsigned int i = 0; i < threads && e->close_thread; i++)
		e->close_thread(run->thread[i].handle);
	e->close(run->opened, puts);
	print_result(run, puts, took, bench_seconds() - closing);
}

static void usage(void)
{
	(void)printf("Usage: writerbench --engine=NAME [options] DIR\n"
		     "  --engine=NAME    one of --list\n"
		     "  --list           print the engines and exit\n"
		     "  --value=BYTES    size of a value (100)\n"
		     "  --threads=N      1 ... %d (1)\n"
		     "  --interval=T     fsync_interval of freyjafs: 0, never or milliseconds "
		     "(1000)\n"
		     "  --buffer=BYTES   buffer_size of freyjafs (0)\n"
		     "  --preallocate=BYTES  preallocate of freyjafs (0)\n"
		     "  --durable        peers: a put is durable when it returns\n"
		     "  --seconds=S      how long (1)\n"
		     "  --bytes-max=N    stop before, after so many bytes (1G)\n",
		     BENCH_THREADS_MAX);
}

static int64_t parse_interval(const char *text)
{
	if (strcmp(text, "never") == 0)
		return LOG_WRITER_NEVER;
	return (int64_t)bench_parse_size(text) * 1000000;
}

static const struct engine *find_engine(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(engines); i++)
		if (strcmp(engines[i]->name, name) == 0)
			return engines[i];
	bench_die(0, "%s: no such engine in this build; see --list", name);
}

static void prepare(struct run *run, uint64_t bytes_max)
{
	uint64_t call_bytes = record_bytes(ENGINE_KEY_BYTES, run->config.value_bytes);
	size_t pool_bytes = (size_t)run->config.value_bytes + VALUE_SLACK_BYTES;

	run->calls_max = bytes_max / call_bytes / run->config.threads + 1;
	run->pool = bench_random_bytes(pool_bytes);
}

/* One option of the command line; returns false after --help and --list. */
static bool take_option(int letter, struct run *run, double *seconds, uint64_t *bytes_max)
{
	switch (letter) {
	case 'e':
		run->engine = find_engine(optarg);
		return true;
	case 'v':
		run->config.value_bytes = (uint32_t)bench_parse_size(optarg);
		return true;
	case 't':
		run->config.threads = (unsigned int)bench_parse_size(optarg);
		return true;
	case 'i':
		run->config.interval_ns = parse_interval(optarg);
		return true;
	case 'b':
		run->config.buffer_bytes = (int64_t)bench_parse_size(optarg);
		return true;
	case 'p':
		run->config.headroom_bytes = (int64_t)bench_parse_size(optarg);
		return true;
	case 'd':
		run->config.durable = true;
		return true;
	case 's':
		*seconds = strtod(optarg, NULL);
		return true;
	case 'm':
		*bytes_max = bench_parse_size(optarg);
		return true;
	case 'l':
		for (size_t i = 0; i < ARRAY_SIZE(engines); i++)
			(void)puts(engines[i]->name);
		return false;
	case 'h':
		usage();
		return false;
	default:
		exit(2);
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "engine", required_argument, NULL, 'e' },
		{ "value", required_argument, NULL, 'v' },
		{ "threads", required_argument, NULL, 't' },
		{ "interval", required_argument, NULL, 'i' },
		{ "buffer", required_argument, NULL, 'b' },
		{ "preallocate", required_argument, NULL, 'p' },
		{ "durable", no_argument, NULL, 'd' },
		{ "seconds", required_argument, NULL, 's' },
		{ "bytes-max", required_argument, NULL, 'm' },
		{ "list", no_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	static struct run run = {
		.config = { .threads = 1, .value_bytes = 100, .interval_ns = 1000000000 },
	};
	uint64_t bytes_max = UINT64_C(1) << 30;
	double seconds = 1;
	int letter;

	while ((letter = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (!take_option(letter, &run, &seconds, &bytes_max))
			return 0;
	if (!run.engine || optind != argc - 1)
		bench_die(0, "--engine and one directory are needed; see --help");
	if (run.config.threads == 0 || run.config.threads > BENCH_THREADS_MAX || !(seconds > 0))
		bench_die(0, "--threads or --seconds is out of range");
	run.config.dir = argv[optind];
	prepare(&run, bytes_max);
	measure(&run, seconds);
	free(run.pool);
	return 0;
}
