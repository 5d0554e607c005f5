/* SPDX-License-Identifier: MIT */
/* Direct, buffered and mapped access to one file at once.
 *
 *   mixed_io FILE ROUNDS
 *
 * Each kind of writer fills the file again and again, while threads read it in each way.  When a
 * round has ended, each way of reading has to show that round alone.  First with a descriptor and a
 * mapping that stay, then without: the writer's is the only one then, or the first.  One line for
 * each way that fails; ends with 1 then. */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	BLOCK_BYTES = 16384,
	BLOCKS = 64,
	FILE_BYTES = BLOCK_BYTES * BLOCKS,
	PAGE_BYTES = 4096,
};

static struct {
	const char *path;
	unsigned int rounds;
	uint8_t *data;	 /* of the round; aligned for O_DIRECT */
	uint8_t *mapped; /* the file, all the time; or NULL */
	int kept_fd;	 /* the file, to be read, all the time; or -1 */
} t;

/* What changes while threads run. */
static atomic_bool stopping;

static void *aligned(size_t bytes)
{
	void *p = aligned_alloc(PAGE_BYTES, bytes);

	if (p == NULL)
		err(2, "memory");
	return p;
}

static int open_file(int flags)
{
	int fd = open(t.path, flags | O_CLOEXEC, 0644);

	if (fd < 0)
		err(2, "%s", t.path);
	return fd;
}

static void close_file(int fd)
{
	if (close(fd) < 0)
		err(2, "close");
}

/* --- writers --- */

static void write_blocks(int fd, unsigned int from, unsigned int step)
{
	for (unsigned int i = from; i < BLOCKS; i += step)
		if (pwrite(fd, t.data + (size_t)i * BLOCK_BYTES, BLOCK_BYTES,
			   (off_t)i * BLOCK_BYTES) != BLOCK_BYTES)
			err(2, "pwrite");
}

/* All blocks at once, by the kernel's asynchronous interface. */
static void submit_blocks(int fd)
{
	struct iocb cb[BLOCKS], *list[BLOCKS];
	struct io_event events[BLOCKS];
	aio_context_t ctx = 0;
	long n = 0, done = 0, k;

	if (syscall(SYS_io_setup, BLOCKS, &ctx) < 0)
		err(2, "io_setup");
	for (int i = 0; i < BLOCKS; i++) {
		cb[i] = (struct iocb){
			.aio_lio_opcode = IOCB_CMD_PWRITE,
			.aio_fildes = (uint32_t)fd,
			.aio_buf = (uint64_t)(uintptr_t)(t.data + (size_t)i * BLOCK_BYTES),
			.aio_nbytes = BLOCK_BYTES,
			.aio_offset = (int64_t)i * BLOCK_BYTES,
		};
		list[i] = &cb[i];
	}
	for (; n < BLOCKS; n += k) {
		k = syscall(SYS_io_submit, ctx, BLOCKS - n, list + n);
		if (k < 0)
			err(2, "io_submit");
	}
	for (; done < BLOCKS; done += k) {
		k = syscall(SYS_io_getevents, ctx, 1L, (long)BLOCKS, events, NULL);
		if (k < 0)
			err(2, "io_getevents");
		for (long i = 0; i < k; i++)
			if (events[i].res != BLOCK_BYTES)
				errx(2, "an asynchronous write: %lld", (long long)events[i].res);
	}
	(void)syscall(SYS_io_destroy, ctx);
}

static void write_map(unsigned int from, unsigned int step)
{
	for (unsigned int i = from; i < FILE_BYTES / PAGE_BYTES; i += step)
		memcpy(t.mapped + (size_t)i * PAGE_BYTES, t.data + (size_t)i * PAGE_BYTES,
		       PAGE_BYTES);
}

struct half {
	int fd;
	unsigned int from;
};

static void *write_half(void *arg)
{
	const struct half *h = arg;

	write_blocks(h->fd, h->from, 2);
	return NULL;
}

/* Every other block by each of two threads, through descriptors of different kinds. */
static void write_by_two(int first_fd, int second_fd)
{
	struct half first = { first_fd, 0 }, second = { second_fd, 1 };
	pthread_t thread;

	if (pthread_create(&thread, NULL, write_half, &first) != 0)
		errx(2, "pthread_create");
	(void)write_half(&second);
	(void)pthread_join(thread, NULL);
}

static void *map_half(void *arg)
{
	(void)arg;
	for (unsigned int i = 1; i < BLOCKS; i += 2)
		memcpy(t.mapped + (size_t)i * BLOCK_BYTES, t.data + (size_t)i * BLOCK_BYTES,
		       BLOCK_BYTES);
	return NULL;
}

static void direct(void)
{
	int fd = open_file(O_RDWR | O_DIRECT);

	write_blocks(fd, 0, 1);
	close_file(fd);
}

static void direct_async(void)
{
	int fd = open_file(O_RDWR | O_DIRECT);

	submit_blocks(fd);
	close_file(fd);
}

static void direct_async_write_only(void)
{
	int fd = open_file(O_WRONLY | O_DIRECT);

	submit_blocks(fd);
	close_file(fd);
}

static void buffered_async(void)
{
	int fd = open_file(O_RDWR);

	submit_blocks(fd);
	close_file(fd);
}

static void buffered(void)
{
	int fd = open_file(O_RDWR);

	write_blocks(fd, 0, 1);
	close_file(fd);
}

static void write_only(void)
{
	int fd = open_file(O_WRONLY);

	write_blocks(fd, 0, 1);
	close_file(fd);
}

static void mapped(void)
{
	write_map(0, 1);
}

static void direct_beside_buffered(void)
{
	int first = open_file(O_RDWR | O_DIRECT), second = open_file(O_RDWR);

	write_by_two(first, second);
	close_file(first);
	close_file(second);
}

static void direct_beside_mapped(void)
{
	int fd = open_file(O_RDWR | O_DIRECT);
	pthread_t thread;

	if (pthread_create(&thread, NULL, map_half, NULL) != 0)
		errx(2, "pthread_create");
	write_blocks(fd, 0, 2);
	(void)pthread_join(thread, NULL);
	close_file(fd);
}

static const struct writer {
	const char *name;
	void (*write)(void);
	bool maps;
} writers[] = {
	{ "direct", direct, false },
	{ "direct, asynchronous", direct_async, false },
	{ "direct, asynchronous, write only", direct_async_write_only, false },
	{ "buffered", buffered, false },
	{ "buffered, asynchronous", buffered_async, false },
	{ "buffered, write only", write_only, false },
	{ "mapped", mapped, true },
	{ "direct beside buffered", direct_beside_buffered, false },
	{ "direct beside mapped", direct_beside_mapped, true },
};

/* --- readers --- */

/* Returns the first page that is not the round's, or -1. */
static long first_wrong(const uint8_t *got, uint8_t round)
{
	for (long i = 0; i < FILE_BYTES / PAGE_BYTES; i++)
		if (got[i * PAGE_BYTES] != round || got[(i + 1) * PAGE_BYTES - 1] != round)
			return i;
	return -1;
}

static void read_all(int fd, uint8_t *buf)
{
	ssize_t n = pread(fd, buf, FILE_BYTES, 0);

	if (n != FILE_BYTES)
		err(2, "pread: %zd", n);
}

static void read_new(uint8_t *buf, int flags)
{
	int fd = open_file(flags);

	read_all(fd, buf);
	close_file(fd);
}

static void read_new_map(uint8_t *buf)
{
	int fd = open_file(O_RDONLY);
	void *map = mmap(NULL, FILE_BYTES, PROT_READ, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED)
		err(2, "mmap");
	close_file(fd);
	memcpy(buf, map, FILE_BYTES);
	(void)munmap(map, FILE_BYTES);
}

static void read_by_new(uint8_t *buf)
{
	read_new(buf, O_RDONLY);
}

static void read_direct(uint8_t *buf)
{
	read_new(buf, O_RDONLY | O_DIRECT);
}

static void read_by_old(uint8_t *buf)
{
	read_all(t.kept_fd, buf);
}

static void read_map(uint8_t *buf)
{
	memcpy(buf, t.mapped, FILE_BYTES);
}

/* A new mapping comes last: its pages are new only while nobody else has brought them in. */
static const struct reader {
	const char *name;
	void (*read)(uint8_t *buf);
	bool kept;
} readers[] = {
	{ "a new descriptor", read_by_new, false }, { "a direct read", read_direct, false },
	{ "an old descriptor", read_by_old, true }, { "an old mapping", read_map, true },
	{ "a new mapping", read_new_map, false },
};
enum {
	READERS = sizeof(readers) / sizeof(readers[0]),
};

static bool is_used(const struct reader *r)
{
	return !r->kept || t.mapped != NULL;
}

static void *read_on(void *arg)
{
	const struct reader *r = arg;
	uint8_t *buf = aligned(FILE_BYTES);

	while (!atomic_load(&stopping))
		r->read(buf);
	free(buf);
	return NULL;
}

/* Says whether each way of reading shows the round. */
static bool is_seen(const struct writer *w, uint8_t round, uint8_t *buf)
{
	bool right = true;
	long wrong;

	for (int i = 0; i < READERS; i++) {
		if (!is_used(&readers[i]))
			continue;
		readers[i].read(buf);
		wrong = first_wrong(buf, round);
		if (wrong < 0)
			continue;
		printf("%s%s: round %d: %s shows another page %ld\n", w->name,
		       t.mapped == NULL ? ", alone" : "", round, readers[i].name, wrong);
		right = false;
	}
	return right;
}

static unsigned int try_writer(const struct writer *w)
{
	pthread_t threads[READERS];
	uint8_t *buf = aligned(FILE_BYTES);
	unsigned int failed = 0;

	atomic_store(&stopping, false);
	for (int i = 0; i < READERS; i++)
		if (is_used(&readers[i]) &&
		    pthread_create(&threads[i], NULL, read_on, (void *)(uintptr_t)&readers[i]) != 0)
			errx(2, "pthread_create");
	for (unsigned int round = 1; round <= t.rounds && failed == 0; round++) {
		memset(t.data, (uint8_t)round, FILE_BYTES);
		w->write();
		failed += !is_seen(w, (uint8_t)round, buf);
	}
	atomic_store(&stopping, true);
	for (int i = 0; i < READERS; i++)
		if (is_used(&readers[i]))
			(void)pthread_join(threads[i], NULL);
	free(buf);
	return failed;
}

static unsigned int try_all(void)
{
	unsigned int failed = 0;

	for (size_t i = 0; i < sizeof(writers) / sizeof(writers[0]); i++)
		if (!writers[i].maps || t.mapped != NULL)
			failed += try_writer(&writers[i]);
	return failed;
}

int main(int argc, char *argv[])
{
	unsigned int failed;
	int fd;

	if (argc != 3)
		errx(2, "usage: mixed_io FILE ROUNDS");
	t.path = argv[1];
	t.rounds = (unsigned int)strtoul(argv[2], NULL, 10);
	t.data = aligned(FILE_BYTES);
	memset(t.data, 0, FILE_BYTES);
	fd = open_file(O_RDWR | O_CREAT | O_TRUNC);
	write_blocks(fd, 0, 1);
	t.mapped = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (t.mapped == MAP_FAILED)
		err(2, "mmap");
	close_file(fd);
	t.kept_fd = open_file(O_RDONLY);
	failed = try_all();
	(void)munmap(t.mapped, FILE_BYTES);
	close_file(t.kept_fd);
	t.mapped = NULL;
	t.kept_fd = -1;
	failed += try_all();
	free(t.data);
	return failed > 0;
}
