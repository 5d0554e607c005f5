/* SPDX-License-Identifier: MIT */
#include "writer/log/mark.h"

#include <errno.h>
#include <fcntl.h>

#include "writer/log/full_disk.h"

int synced_mark_open(struct io *io, int dir_fd, const char *name, int *ret_fd, struct synced *ret,
		     bool *ret_valid)
{
	uint8_t buf[SYNCED_BYTES + 1]; /* one more byte: a longer file is not a mark */
	struct synced synced = { 0 };
	bool valid = false;
	ssize_t got;
	int fd;

	fd = log_open_or_make(io, dir_fd, name, O_RDWR);
	if (fd < 0)
		return fd;
	got = io_pread_all(io, fd, buf, sizeof(buf), 0);
	if (got < 0) {
		(void)io_close(io, &fd);
		return (int)got;
	}
	valid = synced_decode(buf, (size_t)got, &synced);
	/* A longer file would stay invalid even after its front is overwritten.  If the cut fails,
	 * there is no mark, as before. */
	if (got > SYNCED_BYTES && io_truncate(io, fd, 0) < 0)
		valid = false;
	*ret_fd = fd;
	*ret = valid ? synced : (struct synced){ 0 };
	*ret_valid = valid;
	return 0;
}

int synced_mark_read(struct io *io, int dir_fd, const char *name, struct synced *ret,
		     bool *ret_valid)
{
	uint8_t buf[SYNCED_BYTES + 1];
	ssize_t got;
	int fd;

	*ret = (struct synced){ 0 };
	*ret_valid = false;
	fd = io_open(io, dir_fd, name, O_RDONLY, 0);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	got = io_pread_all(io, fd, buf, sizeof(buf), 0);
	(void)io_close(io, &fd); /* read-only */
	if (got < 0)
		return (int)got;
	*ret_valid = synced_decode(buf, (size_t)got, ret);
	return 0;
}

void synced_mark_write(struct io *io, int fd, struct synced mark)
{
	uint8_t buf[SYNCED_BYTES];

	synced_encode(&mark, buf);
	if (io_pwrite_all(io, fd, buf, sizeof(buf), 0) < 0)
		return; /* an older mark is still valid (see the header) */
}
