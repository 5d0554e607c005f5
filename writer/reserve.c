/* SPDX-License-Identifier: MIT */
#include "writer/reserve.h"

#include <fcntl.h>

#include "writer/thread.h"

#define RETRY_NS UINT64_C(1000000000)

static void allocate(struct reserve *r)
{
	r->next_try_ns = monotonic_ns() + RETRY_NS;
	if (io_allocate(r->io, r->fd, RESERVE_BYTES) == 0)
		r->bytes = RESERVE_BYTES;
	else if (io_truncate(r->io, r->fd, r->bytes) < 0) /* whatever part it got */
		r->bytes = 0;
}

void reserve_open(struct reserve *r, struct io *io, int dir_fd)
{
	*r = (struct reserve){ .io = io };
	r->fd = io_open(io, dir_fd, "reserve", O_RDWR | O_CREAT, 0600);
	if (r->fd >= 0)
		allocate(r);
}

bool reserve_release(struct reserve *r)
{
	if (r->bytes == 0)
		return false;
	r->bytes -= RESERVE_STEP_BYTES;
	r->next_try_ns = monotonic_ns() + RETRY_NS;
	return io_truncate(r->io, r->fd, r->bytes) == 0;
}

bool reserve_is_whole(const struct reserve *r)
{
	return r->bytes == RESERVE_BYTES;
}

void reserve_refill(struct reserve *r)
{
	if (r->fd < 0 || reserve_is_whole(r) || monotonic_ns() < r->next_try_ns)
		return;
	allocate(r);
}

void reserve_close(struct reserve *r)
{
	(void)io_close(r->io, &r->fd); /* holds nothing but space */
}
