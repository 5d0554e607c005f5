/* SPDX-License-Identifier: MIT */
/* Many small files through ordinary system calls, as fast as they go.
 *
 *   filebench [options] DIR
 *
 * Each thread works in its own directory DIR/t0, DIR/t1, ..., which are made first and not timed,
 * or all of them on different files of DIR/t0 (--together). One line of JSON is printed for each
 * step. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"

#define SAVED_FILES 100 /* that a thread saves again and again */

enum kind {
	KIND_CREATES,  /* makes the files, each once */
	KIND_CHANGES,  /* once for each file that exists */
	KIND_READS,    /* the same, and again in each further pass */
	KIND_ANY_FILE, /* of those that exist, again and again */
	KIND_SAVES,    /* of SAVED_FILES, again and again */
	KIND_LISTS,    /* the whole directory in each pass */
};

struct filebench {
	const char *dir;
	const struct step *step;
	unsigned int threads;
	unsigned int files;  /* of all threads */
	unsigned int passes; /* of KIND_READS and KIND_LISTS; 0: until 'seconds' have passed */
	size_t file_bytes;
	size_t call_bytes; /* of one read(2) or write(2) */
	uint8_t *data;	   /* call_bytes, not compressible */
	double seconds;	   /* stop a step early; 0: never */
	bool warm;	   /* reading steps: a pass first that is not timed */
	bool latency;	   /* print the time of single operations, too */
	bool pin;	   /* each thread to one CPU */
	bool together;	   /* all threads in one directory */
	struct {
		int dir_fd;
		unsigned int made; /* files that exist */
		unsigned int done; /* operations of this step */
		unsigned int slots;
		float *took_us; /* of the first 'slots' operations; NULL without 'latency' */
	} thread[BENCH_THREADS_MAX];
};

/* One step does one thing to one file. */
struct step {
	const char *name;
	const char *durability;
	enum kind kind;
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

/* As editors and package managers do it. */
static void step_save(const struct filebench *b, int dir_fd, const char *name)
{
	char temporary[40];

	(void)snprintf(temporary, sizeof(temporary), "%s.tmp", name);
	write_file(b, dir_fd, temporary, O_CREAT | O_EXCL, true);
	if (renameat(dir_fd, temporary, dir_fd, name) < 0)
		bench_die(errno, "rename %s", name);
	if (fsync(dir_fd) < 0)
		bench_die(errno, "fsync of the directory of %s", name);
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
	{ "create", "page cache", KIND_CREATES, step_create },
	{ "create-fsync", "disk", KIND_CREATES, step_create_fsync },
	{ "save", "disk", KIND_SAVES, step_save },
	{ "overwrite", "page cache", KIND_CHANGES, step_overwrite },
	{ "overwrite-random", "page cache", KIND_ANY_FILE, step_overwrite },
	{ "stat", "none", KIND_READS, step_stat },
	{ "read", "none", KIND_READS, step_read },
	{ "readdir", "none", KIND_LISTS, NULL },
	{ "unlink", "page cache", KIND_CHANGES, step_unlink },
};

/* Returns the number of entries, "." and ".." not among them. */
static unsigned int list_directory(int dir_fd)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	unsigned int entries = 0;

	if (!dir)
		bench_die(errno, "opendir");
	errno = 0;
	while (readdir(dir))
		entries++;
	if (errno != 0)
		bench_die(errno, "readdir");
	(void)closedir(dir);
	return entries - 2;
}

static void lists(struct filebench *b, unsigned int thread)
{
	unsigned int made = b->thread[thread].made, done = 0;

	for (unsigned int pass = 0; !bench_stopped() && (b->passes == 0 || pass < b->passes);
	     pass++) {
		unsigned int entries = list_directory(b->thread[thread].dir_fd);

		if (entries != made)
			bench_die(0, "t%u: %u entries and %u files", thread, entries, made);
		done += entries;
	}
	b->thread[thread].done = done;
}

static void one_operation(struct filebench *b, unsigned int thread, unsigned int operation,
			  unsigned int file)
{
	double started_at = b->latency ? bench_seconds() : 0;
	char name[32];

	if (b->together)
		file += thread * (b->files / b->threads);
	(void)snprintf(name, sizeof(name), "f%07u", file);
	b->step->fn(b, b->thread[thread].dir_fd, name);
	if (b->latency && operation < b->thread[thread].slots)
		b->thread[thread].took_us[operation] =
			(float)((bench_seconds() - started_at) * 1e6);
}

static void pin_to_cpu(unsigned int number)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(number, &one);
	if (sched_setaffinity(0, sizeof(one), &one) < 0)
		bench_die(errno, "sched_setaffinity to CPU %u", number);
}

static void run_thread(void *arg, unsigned int thread)
{
	struct filebench *b = arg;
	enum kind kind = b->step->kind;
	unsigned int made = b->thread[thread].made, each = b->files / b->threads, n;
	unsigned int limit = kind == KIND_CHANGES ? made : each;
	uint64_t seed = thread + 1;

	if (b->pin)
		pin_to_cpu(thread % (unsigned int)sysconf(_SC_NPROCESSORS_ONLN));
	if (kind == KIND_LISTS) {
		lists(b, thread);
		return;
	}
	if (kind == KIND_READS)
		limit = b->passes == 0 ? UINT32_MAX : made * b->passes;
	if (kind == KIND_ANY_FILE && b->seconds > 0)
		limit = UINT32_MAX;
	if (made == 0 && kind != KIND_CREATES && kind != KIND_SAVES)
		limit = 0;
	for (n = 0; n < limit && !bench_stopped(); n++) {
		unsigned int file = n;

		if (kind == KIND_SAVES)
			file = n % SAVED_FILES;
		else if (kind == KIND_ANY_FILE)
			file = (unsigned int)(bench_random(&seed) % made);
		else if (kind == KIND_READS)
			file = n % made;
		one_operation(b, thread, n, file);
	}
	b->thread[thread].done = n;
	if (kind == KIND_CREATES)
		b->thread[thread].made = n;
	if (kind == KIND_SAVES && made < SAVED_FILES)
		b->thread[thread].made = n < SAVED_FILES ? n : SAVED_FILES;
}

static int compare_float(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

/* Of the operations of all threads. */
static void print_latency(const struct filebench *b)
{
	size_t count = 0, n = 0;
	float *all;

	for (unsigned int i = 0; i < b->threads; i++)
		count += b->thread[i].done < b->thread[i].slots ? b->thread[i].done
								: b->thread[i].slots;
	if (!b->latency || count == 0)
		return;
	all = calloc(count, sizeof(all[0]));
	if (!all)
		bench_die(0, "out of memory");
	for (unsigned int i = 0; i < b->threads; i++)
		for (unsigned int j = 0; j < b->thread[i].done && j < b->thread[i].slots; j++)
			all[n++] = b->thread[i].took_us[j];
	qsort(all, count, sizeof(all[0]), compare_float);
	(void)printf("\"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f, ",
		     (double)all[count / 2], (double)all[count * 99 / 100], (double)all[count - 1]);
	free(all);
}

static void run_step(struct filebench *b, const struct step *step)
{
	bool reads = step->kind == KIND_READS || step->kind == KIND_LISTS;
	unsigned int files = 0, passes = b->passes;
	double seconds;

	b->step = step;
	if (b->warm && reads) {
		b->passes = 1;
		(void)bench_run(b->threads, 0, run_thread, b);
		b->passes = passes;
	}
	seconds = bench_run(b->threads, b->seconds, run_thread, b);
	for (unsigned int i = 0; i < b->threads; i++)
		files += b->thread[i].done;
	(void)printf("{\"step\": \"%s\", \"class\": \"%s\", \"threads\": %u, "
		     "\"file_bytes\": %zu, \"call_bytes\": %zu, ",
		     step->name, step->durability, b->threads, b->file_bytes, b->call_bytes);
	print_latency(b);
	(void)printf("\"files\": %u, \"seconds\": %.4f, \"rate\": %.1f}\n", files, seconds,
		     (double)files / seconds);
	(void)fflush(stdout);
}

static void make_directories(struct filebench *b)
{
	char path[4096];

	for (unsigned int i = 0; i < b->threads; i++) {
		(void)snprintf(path, sizeof(path), "%s/t%u", b->dir, b->together ? 0 : i);
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			bench_die(errno, "%s", path);
		b->thread[i].dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (b->thread[i].dir_fd < 0)
			bench_die(errno, "%s", path);
	}
}

static const struct step *find_step(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
		if (strcmp(steps[i].name, name) == 0)
			return &steps[i];
	bench_die(0, "%s: no such step; see --help", name);
}

static void run_steps(struct filebench *b, char *list)
{
	char *rest = list, *name;

	while ((name = strsep(&rest, ",")) != NULL)
		run_step(b, find_step(name));
}

static void usage(void)
{
	(void)printf(
		"Usage: filebench [options] DIR\n"
		"  --files=N        of all threads together (10000)\n"
		"  --size=BYTES     of a file (4K)\n"
		"  --call=BYTES     of one read or write call (128K)\n"
		"  --threads=N      1 ... %d (1)\n"
		"  --seconds=S      stop each step after so long (never)\n"
		"  --passes=N       over the files, of a step that reads (1); 0: until --seconds\n"
		"  --warm           a step that reads does one more pass first, not timed\n"
		"  --existing       all of the files are there from an earlier run\n"
		"  --latency        print the time that single operations took, too\n"
		"  --pin            each thread to one CPU\n"
		"  --together       all threads in one directory (not with readdir)\n"
		"  --steps=A,B,...  (create)\n"
		"                  ",
		BENCH_THREADS_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
		(void)printf(" %s", steps[i].name);
	(void)printf("\n");
}

static void prepare(struct filebench *b, bool existing)
{
	unsigned int each;

	if (b->threads == 0 || b->threads > BENCH_THREADS_MAX || b->call_bytes == 0)
		bench_die(0, "--threads or --call is out of range");
	if (b->passes == 0 && !(b->seconds > 0))
		bench_die(0, "--passes=0 needs --seconds");
	b->data = bench_random_bytes(b->call_bytes);
	each = b->files / b->threads;
	for (unsigned int i = 0; i < b->threads; i++) {
		b->thread[i].made = existing ? each : 0;
		b->thread[i].slots = b->latency ? each : 0;
		b->thread[i].took_us = b->latency ? calloc(each + 1, sizeof(float)) : NULL;
		if (b->latency && !b->thread[i].took_us)
			bench_die(0, "out of memory");
	}
	make_directories(b);
}

/* One option of the command line; returns false after --help. */
static bool take_option(int letter, struct filebench *b, bool *existing, char **list)
{
	switch (letter) {
	case 'n':
		b->files = (unsigned int)bench_parse_size(optarg);
		return true;
	case 's':
		b->file_bytes = bench_parse_size(optarg);
		return true;
	case 'c':
		b->call_bytes = bench_parse_size(optarg);
		return true;
	case 't':
		b->threads = (unsigned int)bench_parse_size(optarg);
		return true;
	case 'e':
		b->seconds = strtod(optarg, NULL);
		return true;
	case 'p':
		b->passes = (unsigned int)bench_parse_size(optarg);
		return true;
	case 'm':
		b->warm = true;
		return true;
	case 'x':
		*existing = true;
		return true;
	case 'l':
		b->latency = true;
		return true;
	case 'i':
		b->pin = true;
		return true;
	case 'g':
		b->together = true;
		return true;
	case 'w':
		*list = optarg;
		return true;
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
		{ "files", required_argument, NULL, 'n' },
		{ "size", required_argument, NULL, 's' },
		{ "call", required_argument, NULL, 'c' },
		{ "threads", required_argument, NULL, 't' },
		{ "seconds", required_argument, NULL, 'e' },
		{ "passes", required_argument, NULL, 'p' },
		{ "warm", no_argument, NULL, 'm' },
		{ "existing", no_argument, NULL, 'x' },
		{ "latency", no_argument, NULL, 'l' },
		{ "pin", no_argument, NULL, 'i' },
		{ "together", no_argument, NULL, 'g' },
		{ "steps", required_argument, NULL, 'w' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	static struct filebench b = {
		.threads = 1,
		.files = 10000,
		.passes = 1,
		.file_bytes = 4096,
		.call_bytes = 128 * 1024,
	};
	bool existing = false;
	char *list = NULL;
	int letter;

	while ((letter = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (!take_option(letter, &b, &existing, &list))
			return 0;
	if (optind != argc - 1)
		bench_die(0, "one directory is needed; see --help");
	b.dir = argv[optind];
	prepare(&b, existing);
	if (list)
		run_steps(&b, list);
	else
		run_step(&b, &steps[0]);
	for (unsigned int i = 0; i < b.threads; i++)
		free(b.thread[i].took_us);
	free(b.data);
	return 0;
}
