/* SPDX-License-Identifier: MIT */
/* The seam between the log and the operating system.  Every file operation of writer/ goes through
 * a 'struct io', so that a test can fail the Nth one, cut the power after it, or keep a disk in
 * memory.
 *
 * Operations return the result of the system call, but failures as -errno.  Each makes one system
 * call and may be interrupted (-EINTR) or short; the io_..._all() functions below loop.  Threads:
 * any. */
#ifndef FREYJAFS_WRITER_BASE_IO_H
#define FREYJAFS_WRITER_BASE_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "codec/compiler.h"

struct io;

struct io_stat {
	uint64_t size_bytes;
	mode_t mode;	  /* as st_mode: type and permissions */
	uint64_t ino;	  /* identifies a file while any process has it open */
	bool unlinked;	  /* the file has no name any more */
	int64_t mtime_ns; /* of the last write, by the system clock of that moment, right or wrong
			   */
};

struct io_space { /* space of the filesystem that holds a directory */
	uint64_t block_bytes;
	uint64_t blocks, blocks_free, blocks_available;
	uint64_t files, files_free;
};

/* Called by list() for each name except "." and "..".  If it does not return 0, the listing stops
 * and returns that value. */
typedef int (*io_list_fn)(void *arg, const char *name);

#define IO_OLD_SUFFIX ".replaced"

struct io_ops {
	/* openat(2) with O_CLOEXEC added, and in a directory O_NOFOLLOW and O_NONBLOCK.  Returns a
	 * file descriptor; -ELOOP if it is a symbolic link. */
	int (*open)(struct io *io, int dir_fd, const char *path, int flags, mode_t mode);
	int (*close)(struct io *io, int fd);
	ssize_t (*pread)(struct io *io, int fd, void *buf, size_t n, uint64_t offset);
	ssize_t (*pwrite)(struct io *io, int fd, const void *buf, size_t n, uint64_t offset);
	/* Appends; requires a descriptor opened with O_APPEND. */
	ssize_t (*writev)(struct io *io, int fd, const struct iovec *iov, int iov_count);
	/* Writes at 'offset'; requires a descriptor opened without O_APPEND. */
	ssize_t (*pwritev)(struct io *io, int fd, const struct iovec *iov, int iov_count,
			   uint64_t offset);
	int (*truncate)(struct io *io, int fd, uint64_t size_bytes);
	/* Allocates blocks for the first 'size_bytes' of the file (posix_fallocate). */
	int (*allocate)(struct io *io, int fd, uint64_t size_bytes);
	int (*fdatasync)(struct io *io, int fd);
	int (*fsync)(struct io *io, int fd); /* of a file or a directory; makes it durable */
	int (*stat)(struct io *io, int fd, struct io_stat *ret);
	/* Returns the first offset at or behind 'offset' that is in no hole of a sparse file; the
	 * end of the file if there is none.  Cannot fail.  NULL: holes are not known. */
	uint64_t (*next_data)(struct io *io, int fd, uint64_t offset);
	/* Begins to read these bytes into memory.  A failure is not reported: a later pread waits
	 * for the disk.  NULL: nothing is read ahead. */
	void (*will_need)(struct io *io, int fd, uint64_t offset, uint64_t n);
	int (*rename)(struct io *io, int dir_fd, const char *from, const char *to);
	int (*link)(struct io *io, int dir_fd, const char *from, const char *to);
	int (*unlink)(struct io *io, int dir_fd, const char *name);
	int (*mkdir)(struct io *io, int dir_fd, const char *path, mode_t mode);
	int (*list)(struct io *io, int dir_fd, io_list_fn fn, void *arg);
	/* flock(LOCK_EX | LOCK_NB).  -EWOULDBLOCK if another open file description holds the lock.
	 */
	int (*lock)(struct io *io, int fd);
	int (*space)(struct io *io, int dir_fd, struct io_space *ret);
	/* Returns the wall clock, ns since the epoch; below 0 before 1970.  Cannot fail. */
	int64_t (*now_ns)(struct io *io);
};

struct io {
	const struct io_ops *ops;
};

/* While it is set, a pread of the calling thread fails with -EAGAIN instead of waiting for the
 * disk, if the filesystem below DATADIR supports that (preadv2(2), RWF_NOWAIT).  For one read by a
 * thread that others wait for; another thread then repeats the read.  Thread-local, because a read
 * passes through many layers. */
void io_set_nowait(bool nowait);

/* The operating system itself. */
extern struct io io_posix;

/* Raises this process's limit of open files to the maximum: an open log has one file for each
 * segment.  A failure is not reported; a later open(2) reports its own. */
void io_posix_raise_file_limit(void);

/* Returns the wall clock, 0 before 1970, for values that cannot be negative: timestamps of records,
 * names of files. */
uint64_t io_clock_ns(struct io *io);

/* Each restarts after EINTR.  Errors: -errno of the system call. */
int io_open(struct io *io, int dir_fd, const char *path, int flags, mode_t mode) WARN_UNUSED;
int io_fdatasync(struct io *io, int fd) WARN_UNUSED;
int io_fsync(struct io *io, int fd) WARN_UNUSED;
int io_truncate(struct io *io, int fd, uint64_t size_bytes) WARN_UNUSED;
int io_allocate(struct io *io, int fd, uint64_t size_bytes) WARN_UNUSED;
int io_stat(struct io *io, int fd, struct io_stat *ret) WARN_UNUSED;
int io_mkdir(struct io *io, int dir_fd, const char *path, mode_t mode) WARN_UNUSED;
int io_rename(struct io *io, int dir_fd, const char *from, const char *to) WARN_UNUSED;
/* Gives the file 'from' a second name, 'to'. */
int io_link(struct io *io, int dir_fd, const char *from, const char *to) WARN_UNUSED;
int io_unlink(struct io *io, int dir_fd, const char *name) WARN_UNUSED;
int io_lock(struct io *io, int fd) WARN_UNUSED;
int io_space(struct io *io, int dir_fd, struct io_space *ret) WARN_UNUSED;
/* May call 'fn' again with the same names. */
int io_list(struct io *io, int dir_fd, io_list_fn fn, void *arg) WARN_UNUSED;

/* Renames 'from', whose content is durable, to 'to' and makes that durable: a power cut leaves the
 * old file or the new one.  Until then an old file 'to' has a second name as well, 'to' +
 * IO_OLD_SUFFIX: a file system without a journal may free a file that has lost its last name before
 * it writes the directory, and after a power cut neither of the two would be there (seen on ext2).
 * The next call, or the next open of a log, removes a second name that is left over.  Stores
 * whether the file has its new name; with an error it is not known to be durable. */
int io_replace(struct io *io, int dir_fd, const char *from, const char *to,
	       bool *ret_replaced) WARN_UNUSED;
/* Makes the name of 'path' durable: syncs the directory that holds it. */
int io_sync_parent(struct io *io, const char *path) WARN_UNUSED;

/* Reads 'n' bytes, or fewer if the file ends.  Returns the number of bytes, or -errno. */
ssize_t io_pread_all(struct io *io, int fd, void *buf, size_t n, uint64_t offset) WARN_UNUSED;

/* Write all bytes.  Return 0, or -errno; then some bytes may have been written.  They change 'iov'.
 */
int io_pwrite_all(struct io *io, int fd, const void *buf, size_t n, uint64_t offset) WARN_UNUSED;
int io_writev_all(struct io *io, int fd, struct iovec *iov, int iov_count) WARN_UNUSED;
int io_pwritev_all(struct io *io, int fd, struct iovec *iov, int iov_count,
		   uint64_t offset) WARN_UNUSED;

/* Returns the first offset from 'offset' to 'end' that may be in no hole of the file; 'end' if
 * there is none.  All bytes before it are zeros. */
uint64_t io_next_data(struct io *io, int fd, uint64_t offset, uint64_t end) WARN_UNUSED;

/* Closes '*fd' unless it is negative, and sets it to -1.  Returns 0 or -errno; the descriptor is
 * closed either way. */
int io_close(struct io *io, int *fd);

#endif
