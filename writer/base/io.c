/* SPDX-License-Identifier: MIT */
#include "writer/base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

/* The value of 'call', which restarts for as long as a signal interrupts it. */
#define RESTART(call)                     \
	__extension__({                   \
		__typeof__(call) result;  \
		do                        \
			result = (call);  \
		while (result == -EINTR); \
		result;                   \
	})

int io_open(struct io *io, int dir_fd, const char *path, int flags, mode_t mode)
{
	return RESTART(io->ops->open(io, dir_fd, path, flags, mode));
}

int io_fdatasync(struct io *io, int fd)
{
	/* An interrupted sync has not reported an error yet, so the repeated call hides none. */
	return RESTART(io->ops->fdatasync(io, fd));
}

int io_fsync(struct io *io, int fd)
{
	return RESTART(io->ops->fsync(io, fd));
}

int io_truncate(struct io *io, int fd, uint64_t size_bytes)
{
	return RESTART(io->ops->truncate(io, fd, size_bytes));
}

int io_allocate(struct io *io, int fd, uint64_t size_bytes)
{
	return RESTART(io->ops->allocate(io, fd, size_bytes));
}

uint64_t io_clock_ns(struct io *io)
{
	int64_t now_ns = io->ops->now_ns(io);

	return now_ns > 0 ? (uint64_t)now_ns : 0;
}

int io_stat(struct io *io, int fd, struct io_stat *ret)
{
	return RESTART(io->ops->stat(io, fd, ret));
}

uint64_t io_next_data(struct io *io, int fd, uint64_t offset, uint64_t end)
{
	uint64_t at = io->ops->next_data != NULL ? io->ops->next_data(io, fd, offset) : offset;

	if (at < offset) /* the file shrank: a read will tell */
		at = offset;
	return at < end ? at : end;
}

int io_mkdir(struct io *io, int dir_fd, const char *path, mode_t mode)
{
	return RESTART(io->ops->mkdir(io, dir_fd, path, mode));
}

int io_rename(struct io *io, int dir_fd, const char *from, const char *to)
{
	return RESTART(io->ops->rename(io, dir_fd, from, to));
}

int io_link(struct io *io, int dir_fd, const char *from, const char *to)
{
	return RESTART(io->ops->link(io, dir_fd, from, to));
}

int io_replace(struct io *io, int dir_fd, const char *from, const char *to, bool *ret_replaced)
{
	char old[NAME_MAX + 1];
	int len = snprintf(old, sizeof(old), "%s" IO_OLD_SUFFIX, to), err;

	*ret_replaced = false;
	if (len < 0 || (size_t)len >= sizeof(old))
		return -ENAMETOOLONG;
	err = io_link(io, dir_fd, to, old);
	if (err == -EEXIST && io_unlink(io, dir_fd, old) == 0)
		(void)!io_link(io, dir_fd, to, old);
	/* Other errors: there is no old file, or the file system has no second names. */
	err = io_rename(io, dir_fd, from, to);
	*ret_replaced = err == 0;
	if (err == 0)
		err = io_fsync(io, dir_fd);
	if (err == 0)
		(void)!io_unlink(io, dir_fd, old);
	return err;
}

int io_unlink(struct io *io, int dir_fd, const char *name)
{
	return RESTART(io->ops->unlink(io, dir_fd, name));
}

int io_lock(struct io *io, int fd)
{
	return RESTART(io->ops->lock(io, fd));
}

int io_space(struct io *io, int dir_fd, struct io_space *ret)
{
	return RESTART(io->ops->space(io, dir_fd, ret));
}

int io_list(struct io *io, int dir_fd, io_list_fn fn, void *arg)
{
	return RESTART(io->ops->list(io, dir_fd, fn, arg));
}

int io_sync_parent(struct io *io, const char *path)
{
	char parent[PATH_MAX];
	size_t n = strlen(path);
	int fd, err;

	if (n + 1 >= sizeof(parent))
		return -ENAMETOOLONG;
	while (n > 1 && path[n - 1] == '/')
		n--;
	while (n > 0 && path[n - 1] != '/')
		n--; /* the parent of "a" is "." */
	memcpy(parent, path, n);
	memcpy(parent + n, ".", sizeof("."));
	fd = io_open(io, AT_FDCWD, parent, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	err = io_fsync(io, fd);
	(void)io_close(io, &fd); /* a directory: nothing to lose */
	return err;
}

ssize_t io_pread_all(struct io *io, int fd, void *buf, size_t n, uint64_t offset)
{
	size_t done = 0;
	ssize_t got;

	while (done < n) {
		got = RESTART(io->ops->pread(io, fd, (char *)buf + done, n - done, offset + done));
		if (got < 0)
			return got;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

int io_pwrite_all(struct io *io, int fd, const void *buf, size_t n, uint64_t offset)
{
	size_t done = 0;
	ssize_t put;

	while (done < n) {
		put = RESTART(
			io->ops->pwrite(io, fd, (const char *)buf + done, n - done, offset + done));
		if (put < 0)
			return (int)put;
		if (put == 0)
			return -EIO;
		done += (size_t)put;
	}
	return 0;
}

/* Writes at '*offset', or at the end of the file if it is NULL. */
static int write_all(struct io *io, int fd, struct iovec *iov, int iov_count,
		     const uint64_t *offset)
{
	uint64_t done = 0;
	ssize_t put;

	for (;;) {
		while (iov_count > 0 && iov->iov_len == 0) {
			iov++;
			iov_count--;
		}
		if (iov_count == 0)
			return 0;
		if (offset != NULL)
			put = RESTART(io->ops->pwritev(io, fd, iov, iov_count, *offset + done));
		else
			put = RESTART(io->ops->writev(io, fd, iov, iov_count));
		if (put < 0)
			return (int)put;
		if (put == 0)
			return -EIO;
		done += (uint64_t)put;
		while (put > 0) {
			size_t n = (size_t)put < iov->iov_len ? (size_t)put : iov->iov_len;

			iov->iov_base = (char *)iov->iov_base + n;
			iov->iov_len -= n;
			put -= (ssize_t)n;
			if (iov->iov_len == 0) {
				iov++;
				iov_count--;
			}
		}
	}
}

int io_writev_all(struct io *io, int fd, struct iovec *iov, int iov_count)
{
	return write_all(io, fd, iov, iov_count, NULL);
}

int io_pwritev_all(struct io *io, int fd, struct iovec *iov, int iov_count, uint64_t offset)
{
	return write_all(io, fd, iov, iov_count, &offset);
}

int io_close(struct io *io, int *fd)
{
	int err = 0;

	if (*fd >= 0)
		err = io->ops->close(io, *fd);
	*fd = -1;
	return err == -EINTR ? 0 : err; /* on Linux the descriptor is closed in this case, too */
}
