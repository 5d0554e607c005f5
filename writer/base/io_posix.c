/* SPDX-License-Identifier: MIT */
/* The seam's implementation for Linux. */
#include "writer/base/io.h"
#include "writer/base/times.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static int result(int ret)
{
	return ret < 0 ? -errno : ret;
}

static ssize_t result_bytes(ssize_t ret)
{
	return ret < 0 ? -errno : ret;
}

/* Other processes may have put files into the directory: a symlink leads out of it, and opening a
 * FIFO would block forever. */
static int posix_open(struct io *io, int dir_fd, const char *path, int flags, mode_t mode)
{
	if (dir_fd != AT_FDCWD)
		flags |= O_NOFOLLOW | O_NONBLOCK;
	return result(openat(dir_fd, path, flags | O_CLOEXEC, mode));
}

static int posix_close(struct io *io, int fd)
{
	return result(close(fd));
}

static _Thread_local bool must_not_wait;

void io_set_nowait(bool nowait)
{
	must_not_wait = nowait;
}

static ssize_t posix_pread(struct io *io, int fd, void *buf, size_t n, uint64_t offset)
{
	struct iovec iov = { .iov_base = buf, .iov_len = n };
	ssize_t got;

	if (must_not_wait) {
		got = preadv2(fd, &iov, 1, (off_t)offset, RWF_NOWAIT);
		if (got >= 0 || errno != EOPNOTSUPP)
			return result_bytes(got);
	}
	return result_bytes(pread(fd, buf, n, (off_t)offset));
}

static ssize_t posix_pwrite(struct io *io, int fd, const void *buf, size_t n, uint64_t offset)
{
	return result_bytes(pwrite(fd, buf, n, (off_t)offset));
}

static ssize_t posix_writev(struct io *io, int fd, const struct iovec *iov, int iov_count)
{
	return result_bytes(writev(fd, iov, iov_count));
}

static ssize_t posix_pwritev(struct io *io, int fd, const struct iovec *iov, int iov_count,
			     uint64_t offset)
{
	return result_bytes(pwritev(fd, iov, iov_count, (off_t)offset));
}

static int posix_truncate(struct io *io, int fd, uint64_t size_bytes)
{
	return result(ftruncate(fd, (off_t)size_bytes));
}

static int posix_allocate(struct io *io, int fd, uint64_t size_bytes)
{
	return -posix_fallocate(fd, 0, (off_t)size_bytes);
}

static int posix_fdatasync(struct io *io, int fd)
{
	return result(fdatasync(fd));
}

static int posix_fsync(struct io *io, int fd)
{
	return result(fsync(fd));
}

static int posix_stat(struct io *io, int fd, struct io_stat *ret)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	ret->size_bytes = (uint64_t)st.st_size;
	ret->mode = st.st_mode;
	ret->ino = st.st_ino;
	ret->unlinked = st.st_nlink == 0;
	ret->mtime_ns = ns_of_timespec(st.st_mtim);
	return 0;
}

#define ADVISED_BYTES 65536

static void posix_will_need(struct io *io, int fd, uint64_t offset, uint64_t n)
{
	/* Linux reads no more for one call than the device reads ahead, often 128 KiB. */
	for (uint64_t end = offset + n; offset < end; offset += ADVISED_BYTES)
		(void)posix_fadvise(fd, (off_t)offset, ADVISED_BYTES, POSIX_FADV_WILLNEED);
}

static uint64_t posix_next_data(struct io *io, int fd, uint64_t offset)
{
	off_t at = lseek(fd, (off_t)offset, SEEK_DATA);

	if (at < 0 && errno == ENXIO)
		at = lseek(fd, 0, SEEK_END);
	return at < 0 ? offset : (uint64_t)at;
}

static int posix_rename(struct io *io, int dir_fd, const char *from, const char *to)
{
	return result(renameat(dir_fd, from, dir_fd, to));
}

static int posix_link(struct io *io, int dir_fd, const char *from, const char *to)
{
	(void)io;
	return result(linkat(dir_fd, from, dir_fd, to, 0));
}

static int posix_unlink(struct io *io, int dir_fd, const char *name)
{
	return result(unlinkat(dir_fd, name, 0));
}

static int posix_mkdir(struct io *io, int dir_fd, const char *path, mode_t mode)
{
	return result(mkdirat(dir_fd, path, mode));
}

static int posix_list(struct io *io, int dir_fd, io_list_fn fn, void *arg)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *entry;
	DIR *dir;
	int err = 0;

	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (dir == NULL) {
		err = -errno;
		(void)close(fd);
		return err;
	}
	while (err == 0) {
		errno = 0;
		entry = readdir(dir);
		if (entry == NULL) {
			err = -errno;
			break;
		}
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			err = fn(arg, entry->d_name);
	}
	(void)closedir(dir); /* read-only: nothing to lose */
	return err;
}

static int posix_lock(struct io *io, int fd)
{
	return result(flock(fd, LOCK_EX | LOCK_NB));
}

static int posix_space(struct io *io, int dir_fd, struct io_space *ret)
{
	struct statvfs st;

	if (fstatvfs(dir_fd, &st) < 0)
		return -errno;
	*ret = (struct io_space){
		.block_bytes = st.f_frsize,
		.blocks = st.f_blocks,
		.blocks_free = st.f_bfree,
		.blocks_available = st.f_bavail,
		.files = st.f_files,
		.files_free = st.f_ffree,
	};
	return 0;
}

static int64_t posix_now_ns(struct io *io)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts); /* cannot fail */
	return ns_of_timespec(ts);
}

static const struct io_ops posix_ops = {
	.open = posix_open,
	.close = posix_close,
	.pread = posix_pread,
	.pwrite = posix_pwrite,
	.writev = posix_writev,
	.pwritev = posix_pwritev,
	.truncate = posix_truncate,
	.allocate = posix_allocate,
	.fdatasync = posix_fdatasync,
	.fsync = posix_fsync,
	.stat = posix_stat,
	.next_data = posix_next_data,
	.will_need = posix_will_need,
	.rename = posix_rename,
	.link = posix_link,
	.unlink = posix_unlink,
	.mkdir = posix_mkdir,
	.list = posix_list,
	.lock = posix_lock,
	.space = posix_space,
	.now_ns = posix_now_ns,
};

struct io io_posix = { .ops = &posix_ops };

void io_posix_raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}
