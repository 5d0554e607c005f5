/* SPDX-License-Identifier: MIT */
#include "fuse/init_reply.h"

#include <linux/fuse.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

/* One session a process, and INIT comes once, before anything else. */
static _Atomic uint64_t init_unique; /* of the request; 0: none is to be answered */
static uint32_t init_offered;

static ssize_t read_request(int fd, void *buf, size_t buf_bytes, void *userdata)
{
	ssize_t n = read(fd, buf, buf_bytes);
	const struct fuse_in_header *in = buf;
	const struct fuse_init_in *init = (const struct fuse_init_in *)(in + 1);

	/* flags is the last field that every kernel sends */
	if (n >= (ssize_t)(sizeof(*in) + offsetof(struct fuse_init_in, flags) +
			   sizeof(init->flags)) &&
	    in->opcode == FUSE_INIT) {
		init_offered = init->flags;
		atomic_store(&init_unique, in->unique);
	}
	return n;
}

/* libfuse sends header and body as two pieces. */
static void extend(const struct iovec *iov, int count)
{
	const struct fuse_out_header *out = iov[0].iov_base;
	struct fuse_init_out *init;

	if (count < 2 || out->unique != atomic_load(&init_unique))
		return;
	atomic_store(&init_unique, 0);
	if (out->error != 0 || iov[1].iov_len < offsetof(struct fuse_init_out, max_background))
		return;
	init = iov[1].iov_base;
	init->flags |= init_offered & (FUSE_HANDLE_KILLPRIV_V2 | FUSE_PARALLEL_DIROPS);
}

static ssize_t write_reply(int fd, struct iovec *iov, int count, void *userdata)
{
	if (atomic_load_explicit(&init_unique, memory_order_relaxed) != 0)
		extend(iov, count);
	return writev(fd, iov, count);
}

int init_reply_extend(struct fuse_session *se)
{
	static const struct fuse_custom_io io = { .read = read_request, .writev = write_reply };

	return fuse_session_custom_io(se, &io, fuse_session_fd(se));
}
