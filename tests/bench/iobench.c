/* SPDX-License-Identifier: MIT */
/* Reads and writes one large file in each thread, in calls of one size.
 *
 *   iobench [options] DIR
 *
 * One line of JSON is printed for each step; rates are in MB/s (10^6 bytes), closing the file
 * included.  What is read is checked: each place of a file has the same bytes whoever wrote it. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"

#define POOL_BYTES	((size_t)1 << 20) /* the bytes of a file begin again after so many */
#define CHECKED_BYTES	64		  /* at the start of each call */
#define MIXED_READ_PART 70		  /* of 100 calls */

struct iobench {
	const char *dir;
	const struct step *step;
	unsigned int threads;
	uint64_t file_bytes; /* of each thread's file */
	size_t call_bytes;
	double seconds; /* stop a step early; 0: never */
	bool warm;
	uint8_t *pool; /* POOL_BYTES, not compressible */
	struct {
		_Alignas(64) uint64_t there; /* bytes in the file */
		uint64_t done;		     /* bytes of this step */
	} thread[BENCH_THREADS_MAX];
};

struct step {
	const char *name;
	const char *durability;
	int flags;
	unsigned int read_part; /* of 100 calls */
	bool random;
	bool sync;
};

static const struct step steps[] = {
	{ "write", "page cache", O_WRONLY | O_CREAT | O_TRUNC, 0, false, false },
	{ "write-fsync", "disk", O_WRONLY | O_CREAT | O_TRUNC, 0, false, true },
	{ "read", "none", O_RDONLY, 100, false, false },
	{ "random-read", "none", O_RDONLY, 100, true, false },
	{ "random-write", "page cache", O_WRONLY, 0, true, false },
	{ "mixed", "page cache", O_RDWR, MIXED_READ_PART, true, false },
};

static void one_read(const struct iobench *b, int fd, uint8_t *buf, size_t bytes, uint64_t offset)
{
	size_t checked = bytes < CHECKED_BYTES ? bytes : CHECKED_BYTES;

	if (pread(fd, buf, bytes, (off_t)offset) != (ssize_t)bytes)
		bench_die(errno, "read of %zu bytes at %llu", bytes, (unsigned long long)offset);
	if (memcmp(buf, b->pool + offset % POOL_BYTES, checked) != 0)
		bench_die(0, "wrong bytes at %llu", (unsigned long long)offset);
}

static void one_write(const struct iobench *b, int fd, size_t bytes, uint64_t offset)
{
	if (pwrite(fd, b->pool + offset % POOL_BYTES, bytes, (off_t)offset) != (ssize_t)bytes)
		bench_die(errno, "write of %zu bytes at %llu", bytes, (unsigned long long)offset);
}

static int open_file(const struct iobench *b, unsigned int thread)
{
	char path[4096];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/big%u", b->dir, thread);
	fd = open(path, b->step->flags | O_CLOEXEC, 0644);
	if (fd < 0)
		bench_die(errno, "%s", path);
	return fd;
}

static void run_thread(void *arg, unsigned int thread)
{
	struct iobench *b = arg;
	const struct step *step = b->step;
	bool makes = (step->flags & O_TRUNC) != 0;
	uint64_t limit = makes ? b->file_bytes : b->thread[thread].there, done;
	uint64_t seed = thread + 1, calls = limit / b->call_bytes;
	uint8_t *buf = malloc(b->call_bytes);
	int fd = open_file(b, thread);

	if (!buf)
		bench_die(0, "out of memory");
	for (done = 0; done + b->call_bytes <= limit && !bench_stopped(); done += b->call_bytes) {
		uint64_t at = step->random ? bench_random(&seed) % calls * b->call_bytes : done;

		if (bench_random(&seed) % 100 < step->read_part)
			one_read(b, fd, buf, b->call_bytes, at);
		else
			one_write(b, fd, b->call_bytes, at);
	}
	if (step->sync && fsync(fd) < 0)
		bench_die(errno, "fsync");
	if (close(fd) < 0)
		bench_die(errno, "close");
	free(buf);
	b->thread[thread].done = done;
	if (makes)
		b->thread[thread].there = done;
}

static void run_step(struct iobench *b, const struct step *step)
{
	uint64_t bytes = 0;
	double seconds;

	b->step = step;
	if (b->warm && step->read_part == 100)
		(void)bench_run(b->threads, 0, run_thread, b);
	seconds = bench_run(b->threads, b->seconds, run_thread, b);
	for (unsigned int i = 0; i < b->threads; i++)
		bytes += b->thread[i].done;
	(void)printf("{\"step\": \"%s\", \"class\": \"%s\", \"threads\": %u, \"call_bytes\": %zu, "
		     "\"bytes\": %llu, \"seconds\": %.4f, \"rate\": %.2f}\n",
		     step->name, step->durability, b->threads, b->call_bytes,
		     (unsigned long long)bytes, seconds, (double)bytes / seconds / 1e6);
	(void)fflush(stdout);
}

static void run_steps(struct iobench *b, char *list)
{
	char *rest = list, *name;
	size_t i;

	while ((name = strsep(&rest, ",")) != NULL) {
		for (i = 0; i < ARRAY_SIZE(steps) && strcmp(steps[i].name, name) != 0; i++)
			;
		if (i == ARRAY_SIZE(steps))
			bench_die(0, "%s: no such step; see --help", name);
		run_step(b, &steps[i]);
	}
}

static void prepare(struct iobench *b, uint64_t size, bool existing)
{
	if (b->threads == 0 || b->threads > BENCH_THREADS_MAX || b->call_bytes == 0 ||
	    POOL_BYTES % b->call_bytes != 0)
		bench_die(0, "--threads or --call is out of range");
	b->file_bytes = size / b->threads / b->call_bytes * b->call_bytes;
	if (b->file_bytes == 0)
		bench_die(0, "--size is too small");
	b->pool = bench_random_bytes(POOL_BYTES);
	for (unsigned int i = 0; i < b->threads; i++)
		b->thread[i].there = existing ? b->file_bytes : 0;
}

static void usage(void)
{
	(void)printf("Usage: iobench [options] DIR\n"
		     "  --size=BYTES     of the files of all threads together (64M)\n"
		     "  --call=BYTES     of one call, a power of two of at most 1M (128K)\n"
		     "  --threads=N      1 ... %d, each with its own file (1)\n"
		     "  --seconds=S      stop each step after so long (never)\n"
		     "  --warm           a step that reads does so first once untimed\n"
		     "  --existing       the files are there from an earlier run\n"
		     "  --steps=A,B,...  (write)\n"
		     "                  ",
		     BENCH_THREADS_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
		(void)printf(" %s", steps[i].name);
	(void)printf("\n");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "size", required_argument, NULL, 's' },
		{ "call", required_argument, NULL, 'c' },
		{ "threads", required_argument, NULL, 't' },
		{ "seconds", required_argument, NULL, 'e' },
		{ "warm", no_argument, NULL, 'm' },
		{ "existing", no_argument, NULL, 'x' },
		{ "steps", required_argument, NULL, 'w' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	static struct iobench b = { .threads = 1, .call_bytes = 128 * 1024 };
	uint64_t size = 64 << 20;
	bool existing = false;
	char *list = NULL;
	int letter;

	while ((letter = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (letter) {
		case 's':
			size = bench_parse_size(optarg);
			break;
		case 'c':
			b.call_bytes = bench_parse_size(optarg);
			break;
		case 't':
			b.threads = (unsigned int)bench_parse_size(optarg);
			break;
		case 'e':
			b.seconds = strtod(optarg, NULL);
			break;
		case 'm':
			b.warm = true;
			break;
		case 'x':
			existing = true;
			break;
		case 'w':
			list = optarg;
			break;
		case 'h':
			usage();
			return 0;
		default:
			return 2;
		}
	}
	if (optind != argc - 1)
		bench_die(0, "one directory is needed; see --help");
	b.dir = argv[optind];
	prepare(&b, size, existing);
	if (list)
		run_steps(&b, list);
	else
		run_step(&b, &steps[0]);
	free(b.pool);
	return 0;
}
