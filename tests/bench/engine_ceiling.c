/* SPDX-License-Identifier: MIT */
/* What the machine can do at all: the least work that a log of each durability class needs, without
 * errors handled, offsets returned or time stamps kept in order. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "bench.h"
#include "codec/record.h"
#include "engine.h"

#define CEILING_BUFFER_BYTES (1024 * 1024)

struct ceiling {
	int fd;
	uint32_t value_bytes;
	unsigned int batch;   /* records in one writev(2) */
	pthread_mutex_t lock; /* of the buffer, or held over writev(2) and fdatasync(2) */
	uint8_t *buffer;      /* CEILING_BUFFER_BYTES */
	size_t buffer_used;
};

static const char *class_user_buffer(const struct engine_config *config)
{
	return CLASS_USER_BUFFER;
}

static const char *class_page_cache(const struct engine_config *config)
{
	return CLASS_PAGE_CACHE;
}

static const char *class_disk(const struct engine_config *config)
{
	return CLASS_DISK;
}

static void *ceiling_open(const struct engine_config *config)
{
	struct ceiling *c = calloc(1, sizeof(*c));
	char *path = engine_path(config, "ceiling.data");

	if (!c)
		bench_die(0, "out of memory");
	c->value_bytes = config->value_bytes;
	c->batch = config->threads;
	c->buffer = malloc(CEILING_BUFFER_BYTES);
	if (!c->buffer || pthread_mutex_init(&c->lock, NULL) != 0)
		bench_die(0, "out of memory");
	memset(c->buffer, 0, CEILING_BUFFER_BYTES);
	c->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
	if (c->fd < 0)
		bench_die(errno, "%s", path);
	free(path);
	return c;
}

static void encode(const struct ceiling *c, const char key[ENGINE_KEY_BYTES], const void *value,
		   uint8_t header[RECORD_HEADER_BYTES])
{
	struct record rec = {
		.timestamp_ns = 1,
		.key = key,
		.value = value,
		.key_bytes = ENGINE_KEY_BYTES,
		.value_bytes = c->value_bytes,
	};

	record_encode_header(&rec, header);
}

static void write_out(struct ceiling *c)
{
	if (c->buffer_used == 0)
		return;
	if (write(c->fd, c->buffer, c->buffer_used) != (ssize_t)c->buffer_used)
		bench_die(errno, "write");
	c->buffer_used = 0;
}

static void writev_once(struct ceiling *c, const uint8_t *header, const char key[ENGINE_KEY_BYTES],
			const void *value, unsigned int records)
{
	struct iovec iov[3 * BENCH_THREADS_MAX];
	size_t bytes = records * record_bytes(ENGINE_KEY_BYTES, c->value_bytes);

	for (unsigned int i = 0; i < records; i++) {
		iov[3 * i] = (struct iovec){ (void *)(uintptr_t)header, RECORD_HEADER_BYTES };
		iov[3 * i + 1] = (struct iovec){ (void *)(uintptr_t)key, ENGINE_KEY_BYTES };
		iov[3 * i + 2] = (struct iovec){ (void *)(uintptr_t)value, c->value_bytes };
	}
	if (writev(c->fd, iov, (int)(3 * records)) != (ssize_t)bytes)
		bench_die(errno, "writev");
}

/* CRC-32, then memcpy(3) into a buffer, and one write(2) for each full buffer. */
static void put_buffer(void *arg, const char key[ENGINE_KEY_BYTES], const void *value)
{
	struct ceiling *c = arg;
	size_t bytes = record_bytes(ENGINE_KEY_BYTES, c->value_bytes);
	uint8_t header[RECORD_HEADER_BYTES], *to;

	encode(c, key, value, header);
	(void)pthread_mutex_lock(&c->lock);
	if (c->buffer_used + bytes > CEILING_BUFFER_BYTES)
		write_out(c);
	if (bytes > CEILING_BUFFER_BYTES) {
		writev_once(c, header, key, value, 1);
	} else {
		to = c->buffer + c->buffer_used;
		memcpy(to, header, RECORD_HEADER_BYTES);
		memcpy(to + RECORD_HEADER_BYTES, key, ENGINE_KEY_BYTES);
		memcpy(to + RECORD_HEADER_BYTES + ENGINE_KEY_BYTES, value, c->value_bytes);
		c->buffer_used += bytes;
	}
	(void)pthread_mutex_unlock(&c->lock);
}

static void put_writev(void *arg, const char key[ENGINE_KEY_BYTES], const void *value)
{
	struct ceiling *c = arg;
	uint8_t header[RECORD_HEADER_BYTES];

	encode(c, key, value, header);
	writev_once(c, header, key, value, 1);
}

static void put_fdatasync(void *arg, const char key[ENGINE_KEY_BYTES], const void *value)
{
	struct ceiling *c = arg;
	uint8_t header[RECORD_HEADER_BYTES];

	encode(c, key, value, header);
	(void)pthread_mutex_lock(&c->lock);
	writev_once(c, header, key, value, 1);
	if (fdatasync(c->fd) < 0)
		bench_die(errno, "fdatasync");
	(void)pthread_mutex_unlock(&c->lock);
}

/* The group commit that no log can beat: a record of each thread in every fdatasync(2), and nobody
 * to be woken. */
static void put_batch(void *arg, const char key[ENGINE_KEY_BYTES], const void *value)
{
	struct ceiling *c = arg;
	uint8_t header[RECORD_HEADER_BYTES];

	for (unsigned int i = 0; i < c->batch; i++)
		encode(c, key, value, header);
	writev_once(c, header, key, value, c->batch);
	if (fdatasync(c->fd) < 0)
		bench_die(errno, "fdatasync");
}

static void ceiling_close(void *arg, uint64_t puts)
{
	struct ceiling *c = arg;
	off_t end;

	write_out(c);
	end = lseek(c->fd, 0, SEEK_END);
	if ((uint64_t)end != puts * record_bytes(ENGINE_KEY_BYTES, c->value_bytes))
		bench_die(0, "the file has %lld bytes after %llu puts", (long long)end,
			  (unsigned long long)puts);
	(void)close(c->fd);
	(void)pthread_mutex_destroy(&c->lock);
	free(c->buffer);
	free(c);
}

const struct engine engine_ceiling_buffer = {
	.name = "ceiling-buffer",
	.durability = class_user_buffer,
	.open = ceiling_open,
	.put = put_buffer,
	.close = ceiling_close,
};

const struct engine engine_ceiling_writev = {
	.name = "ceiling-writev",
	.durability = class_page_cache,
	.open = ceiling_open,
	.put = put_writev,
	.close = ceiling_close,
};

const struct engine engine_ceiling_fdatasync = {
	.name = "ceiling-fdatasync",
	.durability = class_disk,
	.open = ceiling_open,
	.put = put_fdatasync,
	.close = ceiling_close,
};

const struct engine engine_ceiling_batch = {
	.name = "ceiling-batch",
	.durability = class_disk,
	.open = ceiling_open,
	.put = put_batch,
	.close = ceiling_close,
	.batched = true,
};
