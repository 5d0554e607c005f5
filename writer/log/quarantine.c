/* SPDX-License-Identifier: MIT */
#include "writer/log/quarantine.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "writer/log/names.h"

#define CHUNK_BYTES	 ((size_t)256 * 1024)
#define REPORT_BYTES_MAX 2048
#define SUFFIX		 ".bad"

/* Copies the part in chunks.  Its holes become holes. */
static int copy_by(const struct file_part *part, struct io *io, int to_fd, uint64_t to,
		   uint8_t *chunk)
{
	const uint64_t end = part->from + part->bytes;
	uint64_t copied = part->from, at;

	while ((at = io_next_data(part->io, part->fd, copied, end)) < end) {
		size_t n = end - at < CHUNK_BYTES ? (size_t)(end - at) : CHUNK_BYTES;
		ssize_t got = io_pread_all(part->io, part->fd, chunk, n, at);
		int err;

		if (got < 0)
			return (int)got;
		if ((size_t)got != n)
			return -EIO; /* the file shrank */
		err = io_pwrite_all(io, to_fd, chunk, n, to + (at - part->from));
		if (err < 0)
			return err;
		copied = at + n;
	}
	return copied < end ? io_truncate(io, to_fd, to + part->bytes) : 0;
}

int file_part_copy(const struct file_part *part, struct io *io, int to_fd, uint64_t to)
{
	uint8_t *chunk;
	int err;

	if (part->held != NULL)
		return io_pwrite_all(io, to_fd, part->held, (size_t)part->bytes, to);
	chunk = malloc(CHUNK_BYTES);
	err = chunk == NULL ? -ENOMEM : copy_by(part, io, to_fd, to, chunk);
	free(chunk);
	return err;
}

int quarantine_open(struct io *io, int dir_fd)
{
	int err = io_mkdir(io, dir_fd, QUARANTINE_NAME, 0700);

	if (err == 0 || err == -EEXIST)
		err = io_fsync(io, dir_fd);
	return err < 0 ? err : io_open(io, dir_fd, QUARANTINE_NAME, O_RDONLY | O_DIRECTORY, 0);
}

int quarantine_name(const char *file_name, const char *variant, uint64_t offset, uint64_t now_ns,
		    char *ret, size_t ret_size)
{
	int len = snprintf(ret, ret_size, "%s%s.%" PRIu64 ".%" PRIu64 SUFFIX, file_name, variant,
			   offset, now_ns);

	return len < 0 || (size_t)len >= ret_size ? -ENAMETOOLONG : 0;
}

int quarantine_save(struct io *io, int quarantine_fd, const char *name,
		    const struct file_part *part)
{
	int fd = io_open(io, quarantine_fd, name, O_RDWR | O_CREAT | O_EXCL, 0600);
	int err, close_err;

	if (fd < 0)
		return fd;
	err = file_part_copy(part, io, fd, 0);
	if (err == 0)
		err = io_fsync(io, fd);
	close_err = io_close(io, &fd);
	if (err < 0)
		(void)!io_unlink(io, quarantine_fd, name);
	return err < 0 ? err : close_err;
}

int quarantine_report(struct io *io, int quarantine_fd, const char *name, const char *format, ...)
{
	char text[REPORT_BYTES_MAX], report[NAME_MAX + 1];
	struct file_part all = { .held = (const uint8_t *)text };
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (len < 0 || (size_t)len >= sizeof(text))
		return -ENAMETOOLONG;
	all.bytes = (uint64_t)len;
	(void)snprintf(report, sizeof(report), "%.*s.txt", (int)(strlen(name) - strlen(SUFFIX)),
		       name); /* as long as 'name' */
	return quarantine_save(io, quarantine_fd, report, &all);
}
