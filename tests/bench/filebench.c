/* SPDX-License-Identifier: MIT */
/* Many small files through ordinary system calls, as fast as they go.
 *
 *   filebench [options] DIR
 *
 * Each thread works in its own directory DIR/t0, DIR/t1, ..., which are made first and not timed.
 * One line of JSON is printed for each step. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"

struct filebench {
	const char *dir;
	const struct step *step;
	unsigned int threads;
	unsigned int files; /* of all threads */
	size_t file_bytes;
	size_t call_bytes; /* of one read(2) or write(2) */
	uint8_t *data;	   /* call_bytes, not compressible */
	double seconds;	   /* stop a step early; 0: never */
	int dir_fd[BENCH_THREADS_MAX];
	unsigned int made[BENCH_THREADS_MAX]; /* files that exist */
	unsigned int done[BENCH_THREADS_MAX]; /* files of this step */
};

/* One step does one thing to one file. */
struct step {
	const char *name;
	const char *durability;
	bool creates;
	void (*fn)(const struct filebench *b, int dir_fd, const char *name);
};

static void write_all(const struct filebench *b, int fd, const char *name)
{
	size_t left = b->file_bytes;

	while (left > 0) {
		size_t n = left < b->call_bytes ? left : b->call_bytes;
		ssize_t wrote = write(fd, b->data, n);

		if (wrote <= 0)
			bench_die(errno, "write %s", name);
		left -= (size_t)wrote;
	}
}

static void write_file(const struct filebench *b, int dir_fd, const char *name, int flags,
		       bool sync)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CLOEXEC | flags, 0644);

	if (fd < 0)
		bench_die(errno, "open %s", name);
	write_all(b, fd, name);
	if (sync && fsync(fd) < 0)
		bench_die(errno, "fsync %s", name);
	if (close(fd) < 0)
		bench_die(errno, "close %s", name);
}

static void step_create(const struct filebench *b, int dir_fd, const char *name)
{
	write_file(b, dir_fd, name, O_CREAT | O_EXCL, false);
}

static void step_create_fsync(const struct filebench *b, int dir_fd, const char *name)
{
	write_file(b, dir_fd, name, O_CREAT | O_EXCL, true);
}

static void step_overwrite(const struct filebench *b, int dir_fd, const char *name)
{
	write_file(b, dir_fd, name, O_TRUNC, false);
}

static void step_stat(const struct filebench *b, int dir_fd, const char *name)
{
	struct stat st;

	if (fstatat(dir_fd, name, &st, 0) < 0)
		bench_die(errno, "stat %s", name);
	if ((size_t)st.st_size != b->file_bytes)
		bench_die(0, "%s has %lld bytes", name, (long long)st.st_size);
}

static void step_read(const struct filebench *b, int dir_fd, const char *name)
{
	uint8_t buf[64 * 1024];
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
	size_t got = 0;
	ssize_t n;

	if (fd < 0)
		bench_die(errno, "open %s", name);
	while ((n = read(fd, buf, sizeof(buf) < b->call_bytes ? sizeof(buf) : b->call_bytes)) > 0)
		got += (size_t)n;
	if (n < 0)
		bench_die(errno, "read %s", name);
	if (got != b->file_bytes)
		bench_die(0, "%s has %zu bytes", name, got);
	(void)close(fd);
}

static void step_unlink(const struct filebench *b, int dir_fd, const char *name)
{
	if (unlinkat(dir_fd, name, 0) < 0)
		bench_die(errno, "unlink %s", name);
}

static const struct step steps[] = {
	{ "create", "page cache", true, step_create },
	{ "create-fsync", "disk", true, step_create_fsync },
	{ "overwrite", "page cache", false, step_overwrite },
	{ "stat", "none", false, step_stat },
	{ "read", "none", false, step_read },
	{ "unlink", "page cache", false, step_unlink },
};

static void run_thread(void *arg, unsigned int thread)
{
	struct filebench *b = arg;
	unsigned int count = b->step->creates ? b->files / b->threads : b->made[thread];
	unsigned int n;
	char name[32];

	for (n = 0; n < count && !bench_stopped(); n++) {
		(void)snprintf(name, sizeof(name), "f%07u", n);
		b->step->fn(b, b->dir_fd[thread], name);
	}
	b->done[thread] = n;
	if (b->step->creates)
		b->made[thread] = n;
}

static void run_step(struct filebench *b, const struct step *step)
{
	unsigned int files = 0;
	double seconds;

	b->step = step;
	seconds = bench_run(b->threads, b->seconds, run_thread, b);
	for (unsigned int i = 0; i < b->threads; i++)
		files += b->done[i];
	(void)printf("{\"step\": \"%s\", \"class\": \"%s\", \"threads\": %u, "
		     "\"file_bytes\": %zu, \"call_bytes\": %zu, "
		     "\"files\": %u, \"seconds\": %.4f, \"rate\": %.1f}\n",
		     step->name, step->durability, b->threads, b->file_bytes, b->call_bytes, files,
		     seconds, (double)files / seconds);
	(void)fflush(stdout);
}

static void make_directories(struct filebench *b)
{
	char path[4096];

	for (unsigned int i = 0; i < b->threads; i++) {
		(void)snprintf(path, sizeof(path), "%s/t%u", b->dir, i);
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			bench_die(errno, "%s", path);
		b->dir_fd[i] = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (b->dir_fd[i] < 0)
			bench_die(errno, "%s", path);
	}
}

static void run_steps(struct filebench *b, char *list)
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

static void usage(void)
{
	(void)printf("Usage: filebench [options] DIR\n"
		     "  --files=N        of all threads together (10000)\n"
		     "  --size=BYTES     of a file (4K)\n"
		     "  --call=BYTES     of one read or write call (128K)\n"
		     "  --threads=N      1 ... %d (1)\n"
		     "  --seconds=S      stop each step after so long (never)\n"
		     "  --steps=A,B,...  create create-fsync overwrite stat read unlink (create)\n",
		     BENCH_THREADS_MAX);
}

static void prepare(struct filebench *b)
{
	if (b->threads == 0 || b->threads > BENCH_THREADS_MAX || b->call_bytes == 0)
		bench_die(0, "--threads or --call is out of range");
	b->data = malloc(b->call_bytes);
	if (!b->data)
		bench_die(0, "out of memory");
	srandom(1);
	for (size_t i = 0; i < b->call_bytes; i++)
		b->data[i] = (uint8_t)(random() >> 8);
	make_directories(b);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "files", required_argument, NULL, 'n' },
		{ "size", required_argument, NULL, 's' },
		{ "call", required_argument, NULL, 'c' },
		{ "threads", required_argument, NULL, 't' },
		{ "seconds", required_argument, NULL, 'e' },
		{ "steps", required_argument, NULL, 'w' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	static struct filebench b = {
		.threads = 1,
		.files = 10000,
		.file_bytes = 4096,
		.call_bytes = 128 * 1024,
	};
	char *list = NULL;
	int letter;

	while ((letter = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (letter) {
		case 'n':
			b.files = (unsigned int)bench_parse_size(optarg);
			break;
		case 's':
			b.file_bytes = bench_parse_size(optarg);
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
	prepare(&b);
	if (list)
		run_steps(&b, list);
	else
		run_step(&b, &steps[0]);
	free(b.data);
	return 0;
}
