/* SPDX-License-Identifier: MIT */
/* A mail server's work on one directory, as filebench's varmail has it.
 *
 *   mailbench [options] DIR
 *
 * Each thread, again and again: removes a mail; writes a new one and syncs it; reads one, appends
 * to it and syncs it; reads another one.  Which ones is random; no two threads have the same one.
 * The pool is filled first, to four fifths, and not timed.  One line of JSON is printed; its rate
 * is in such rounds, of four operations and two fsync(2) each. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#define CALL_BYTES_MAX	 (64 * 1024)
#define MAIL_APPENDS_MAX 8 /* one that has grown by more is replaced */

enum mail_state {
	MAIL_GONE,
	MAIL_THERE,
	MAIL_TAKEN, /* by one of the threads */
};

struct mail {
	atomic_int state;
	size_t bytes;	 /* while taken: of the file; else of no meaning to others */
	unsigned int at; /* appends, the first one among them */
};

struct mailbench {
	const char *dir;
	int dir_fd;
	unsigned int threads, files;
	size_t mean_bytes; /* of a mail, and of what is appended */
	double seconds;
	uint8_t *data; /* twice mean_bytes */
	struct mail *mails;
	struct {
		_Alignas(64) unsigned int rounds;
	} thread[BENCH_THREADS_MAX];
};

static void mail_name(char name[32], const struct mailbench *b, const struct mail *m)
{
	(void)snprintf(name, 32, "mail%07zu", (size_t)(m - b->mails));
}

/* Finds one in the state 'from' and takes it.  Returns NULL if there is none. */
static struct mail *take(const struct mailbench *b, uint64_t *seed, int from)
{
	size_t start = bench_random(seed) % b->files;

	for (size_t i = 0; i < b->files; i++) {
		struct mail *m = &b->mails[(start + i) % b->files];
		int state = from;

		if (atomic_compare_exchange_strong(&m->state, &state, MAIL_TAKEN))
			return m;
	}
	return NULL;
}

/* From half of the mean to one and a half of it, evenly. */
static size_t random_bytes(const struct mailbench *b, uint64_t *seed)
{
	return b->mean_bytes / 2 + bench_random(seed) % (b->mean_bytes + 1);
}

static int open_mail(const struct mailbench *b, const struct mail *m, int flags)
{
	char name[32];
	int fd;

	mail_name(name, b, m);
	fd = openat(b->dir_fd, name, flags | O_CLOEXEC, 0644);
	if (fd < 0)
		bench_die(errno, "open %s", name);
	return fd;
}

static void append_and_close(const struct mailbench *b, struct mail *m, int fd, uint64_t *seed,
			     bool sync)
{
	size_t bytes = random_bytes(b, seed);

	if (write(fd, b->data, bytes) != (ssize_t)bytes)
		bench_die(errno, "write");
	if (sync && fsync(fd) < 0)
		bench_die(errno, "fsync");
	if (close(fd) < 0)
		bench_die(errno, "close");
	m->bytes += bytes;
	m->at++;
}

static void read_all(const struct mail *m, int fd)
{
	uint8_t buf[CALL_BYTES_MAX];
	size_t got = 0;
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		got += (size_t)n;
	if (n < 0 || got != m->bytes)
		bench_die(n < 0 ? errno : 0, "read %zu bytes of %zu", got, m->bytes);
}

static void give_back(struct mail *m, int state)
{
	atomic_store(&m->state, state);
}

static void remove_mail(const struct mailbench *b, struct mail *m)
{
	char name[32];

	mail_name(name, b, m);
	if (unlinkat(b->dir_fd, name, 0) < 0)
		bench_die(errno, "unlink %s", name);
	give_back(m, MAIL_GONE);
}

static void write_mail(const struct mailbench *b, struct mail *m, uint64_t *seed, bool sync)
{
	m->bytes = 0;
	m->at = 0;
	append_and_close(b, m, open_mail(b, m, O_WRONLY | O_CREAT | O_EXCL | O_APPEND), seed, sync);
	give_back(m, MAIL_THERE);
}

static void answer_mail(const struct mailbench *b, struct mail *m, uint64_t *seed)
{
	int flags = O_RDWR | O_APPEND | (m->at > MAIL_APPENDS_MAX ? O_TRUNC : 0);
	int fd;

	if ((flags & O_TRUNC) != 0)
		m->bytes = m->at = 0;
	fd = open_mail(b, m, flags);
	read_all(m, fd);
	append_and_close(b, m, fd, seed, true);
	give_back(m, MAIL_THERE);
}

static void read_mail(const struct mailbench *b, struct mail *m)
{
	int fd = open_mail(b, m, O_RDONLY);

	read_all(m, fd);
	(void)close(fd);
	give_back(m, MAIL_THERE);
}

static void run_thread(void *arg, unsigned int thread)
{
	struct mailbench *b = arg;
	uint64_t seed = thread + 1;
	unsigned int rounds = 0;
	struct mail *m;

	while (!bench_stopped()) {
		m = take(b, &seed, MAIL_THERE);
		if (m)
			remove_mail(b, m);
		m = take(b, &seed, MAIL_GONE);
		if (m)
			write_mail(b, m, &seed, true);
		m = take(b, &seed, MAIL_THERE);
		if (m)
			answer_mail(b, m, &seed);
		m = take(b, &seed, MAIL_THERE);
		if (m)
			read_mail(b, m);
		rounds++;
	}
	b->thread[thread].rounds = rounds;
}

static void prepare(struct mailbench *b)
{
	uint64_t seed = 1;

	if (b->threads == 0 || b->threads > BENCH_THREADS_MAX || b->files < 8 * b->threads ||
	    b->mean_bytes == 0 || !(b->seconds > 0))
		bench_die(0, "an option is out of range; --files: at least 8 for each thread");
	b->dir_fd = open(b->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (b->dir_fd < 0)
		bench_die(errno, "%s", b->dir);
	b->data = bench_random_bytes(2 * b->mean_bytes);
	b->mails = calloc(b->files, sizeof(b->mails[0]));
	if (!b->mails)
		bench_die(0, "out of memory");
	for (unsigned int i = 0; i < b->files; i++)
		if (i % 5 != 0)
			write_mail(b, &b->mails[i], &seed, false);
	if (syncfs(b->dir_fd) < 0)
		bench_die(errno, "syncfs");
}

static void usage(void)
{
	(void)printf("Usage: mailbench [options] DIR\n"
		     "  --files=N        places in the pool (1000)\n"
		     "  --size=BYTES     mean size of a mail and of what is appended (16K)\n"
		     "  --threads=N      1 ... %d (16)\n"
		     "  --seconds=S      how long (1)\n",
		     BENCH_THREADS_MAX);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "files", required_argument, NULL, 'n' },
		{ "size", required_argument, NULL, 's' },
		{ "threads", required_argument, NULL, 't' },
		{ "seconds", required_argument, NULL, 'e' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	static struct mailbench b = {
		.threads = 16, .files = 1000, .mean_bytes = 16 * 1024, .seconds = 1
	};
	unsigned int rounds = 0;
	double seconds;
	int letter;

	while ((letter = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (letter) {
		case 'n':
			b.files = (unsigned int)bench_parse_size(optarg);
			break;
		case 's':
			b.mean_bytes = bench_parse_size(optarg);
			break;
		case 't':
			b.threads = (unsigned int)bench_parse_size(optarg);
			break;
		case 'e':
			b.seconds = strtod(optarg, NULL);
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
	seconds = bench_run(b.threads, b.seconds, run_thread, &b);
	for (unsigned int i = 0; i < b.threads; i++)
		rounds += b.thread[i].rounds;
	(void)printf(
		"{\"step\": \"mail\", \"class\": \"disk\", \"threads\": %u, \"mean_bytes\": %zu, "
		"\"rounds\": %u, \"seconds\": %.4f, \"rate\": %.1f}\n",
		b.threads, b.mean_bytes, rounds, seconds, (double)rounds / seconds);
	free(b.mails);
	free(b.data);
	return 0;
}
