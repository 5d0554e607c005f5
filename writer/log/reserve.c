/* SPDX-License-Identifier: MIT */
#include "writer/log/reserve.h"

#include <errno.h>
#include <fcntl.h>

#include "writer/base/times.h"
#include "writer/log/full_disk.h"
#include "writer/base/thread.h"

#define RETRY_NS ((uint64_t)NSEC_PER_SEC)

static uint64_t whole_steps(uint64_t bytes)
{
	return bytes - bytes % RESERVE_STEP_BYTES;
}

bool reserve_is_whole(const struct reserve *r)
{
	return r->bytes >= r->goal_bytes;
}

/* If there is no space for all of it, tries half of it, and so on: a part of a reserve helps, too.
 */
static void allocate(struct reserve *r)
{
	uint64_t more = r->goal_bytes > r->bytes ? r->goal_bytes - r->bytes : 0;
	int err;

	for (; more > 0 && !reserve_is_whole(r); more = whole_steps(more / 2)) {
		err = io_allocate(r->io, r->fd, r->bytes + more);
		if (err == 0) {
			r->bytes += more;
			continue;
		}
		if (io_truncate(r->io, r->fd, r->bytes) < 0) { /* a part may be allocated */
			r->bytes = 0;
			return;
		}
		if (!log_is_full(err))
			return;
	}
}

void reserve_open(struct reserve *r, struct io *io, int dir_fd, const char *name,
		  uint64_t goal_bytes)
{
	*r = (struct reserve){ .io = io,
			       .name = name,
			       .dir_fd = dir_fd,
			       .fd = -1,
			       .goal_bytes = whole_steps(goal_bytes) };
	reserve_fill(r);
}

/* Takes over the blocks that the file has: on a full disk they could not be allocated again. */
static void open_reserve_file(struct reserve *r)
{
	struct io_stat st = { 0 };
	uint64_t bytes;

	r->fd = io_open(r->io, r->dir_fd, r->name, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
	if (r->fd < 0 || io_stat(r->io, r->fd, &st) < 0)
		return;
	bytes = whole_steps(st.size_bytes < r->goal_bytes ? st.size_bytes : r->goal_bytes);
	if (bytes > 0 && io_allocate(r->io, r->fd, bytes) == 0)
		r->bytes = bytes;
	if (st.size_bytes > r->bytes && io_truncate(r->io, r->fd, r->bytes) < 0)
		r->bytes = 0;
}

void reserve_fill(struct reserve *r)
{
	r->next_try_ns = monotonic_ns() + RETRY_NS;
	if (r->fd < 0)
		open_reserve_file(r);
	if (r->fd >= 0)
		allocate(r);
}

void reserve_resize(struct reserve *r, uint64_t goal_bytes)
{
	r->goal_bytes = whole_steps(goal_bytes);
	if (r->bytes > r->goal_bytes)
		r->bytes = io_truncate(r->io, r->fd, r->goal_bytes) == 0 ? r->goal_bytes : 0;
	if (!reserve_is_whole(r))
		reserve_fill(r);
}

int reserve_probe(struct reserve *r)
{
	int err;

	if (r->fd < 0)
		return -EBADF;
	err = io_allocate(r->io, r->fd, r->bytes + r->goal_bytes);
	if (io_truncate(r->io, r->fd, r->bytes) < 0)
		r->bytes = 0;
	return err;
}

bool reserve_release(struct reserve *r)
{
	if (r->bytes == 0)
		return false;
	r->bytes -= RESERVE_STEP_BYTES;
	r->next_try_ns = monotonic_ns() + RETRY_NS;
	return io_truncate(r->io, r->fd, r->bytes) == 0;
}

bool reserve_drop(struct reserve *r)
{
	if (r->fd < 0)
		return false;
	r->bytes = 0;
	r->next_try_ns = monotonic_ns() + RETRY_NS;
	(void)io_close(r->io, &r->fd); /* an empty file that only keeps space */
	return io_unlink(r->io, r->dir_fd, r->name) == 0;
}

int reserve_take(struct reserve *r, const char *to)
{
	int fd, err;

	if (r->fd < 0 && r->name != NULL)
		reserve_fill(r); /* a rotation may have made the file (log/rotation.c) */
	fd = r->fd;
	if (fd < 0)
		return -ENOENT;
	err = io_rename(r->io, r->dir_fd, r->name, to);
	if (err == -ENOENT)
		(void)io_close(r->io, &fd); /* another process removed it: frees the inode */
	else if (err < 0)
		return err;
	r->fd = -1;
	r->bytes = 0;
	return err < 0 ? err : fd;
}

void reserve_refill(struct reserve *r)
{
	if (!reserve_is_whole(r) && monotonic_ns() >= r->next_try_ns)
		reserve_fill(r);
}

void reserve_close(struct reserve *r)
{
	(void)io_close(r->io, &r->fd); /* an empty file that only keeps space */
}
