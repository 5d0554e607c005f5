/* SPDX-License-Identifier: MIT */
#include "writer/log/full_disk.h"

#include <errno.h>
#include <fcntl.h>

#include "writer/log/hint_file.h"

bool log_is_full(int err)
{
	return err == -ENOSPC || err == -EDQUOT;
}

bool log_give_up(struct io *io, int dir_fd, unsigned int *step)
{
	switch ((*step)++) {
	case 0:
		return hint_files_drop(io, dir_fd) || log_give_up(io, dir_fd, step);
	case 1:
		return io_unlink(io, dir_fd, RESERVE_SEGMENT_NAME) == 0 ||
		       log_give_up(io, dir_fd, step);
	case 2:
		return io_unlink(io, dir_fd, RESERVE_NAME) == 0;
	default:
		return false;
	}
}

int log_open_or_make(struct io *io, int dir_fd, const char *name, int flags)
{
	unsigned int given_up = 0;
	int fd;

	do
		fd = io_open(io, dir_fd, name, flags | O_CREAT, 0600);
	while (log_is_full(fd) && log_give_up(io, dir_fd, &given_up));
	return fd;
}
