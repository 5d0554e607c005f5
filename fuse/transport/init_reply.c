/* SPDX-License-Identifier: MIT */
#include "fuse/transport/init_reply.h"

#include <linux/fuse.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

#include "fuse/transport/request.h"
#include "fuse/transport/uring_abi.h"

/* A process has one session, and INIT comes once, before all other requests.  All fields but the
 * atomic ones are written before the threads that read them exist. */
static struct {
	struct fuse_session *session;
	const struct transport *transport;
	void (*on_ready)(void *arg);
	void *on_ready_arg;
	uint32_t offered, offered2; /* flags of INIT */
	_Atomic uint64_t unique;    /* of INIT; 0: INIT has not come yet, or is answered */
	atomic_bool allows_bypass;
} init;

#define FLAGS2_DIRECT_IO_ALLOW_MMAP (UINT32_C(1) << 4) /* bit 36 of all flags; since Linux 6.6 */

#define FIELD_END(type, field) (offsetof(type, field) + sizeof(((type *)NULL)->field))

static ssize_t read_request(int fd, void *buf, size_t buf_bytes, void *userdata)
{
	ssize_t n = read(fd, buf, buf_bytes);
	const struct fuse_in_header *in = buf;
	const struct fuse_init_in *body = (const struct fuse_init_in *)(in + 1);

	if (n > 0)
		request_translate(buf, (size_t)n);
	/* every kernel sends at least the fields up to flags */
	if (n < (ssize_t)(sizeof(*in) + FIELD_END(struct fuse_init_in, flags)) ||
	    in->opcode != FUSE_INIT)
		return n;
	init.offered = body->flags;
	if ((body->flags & URING_INIT_EXT) &&
	    n >= (ssize_t)(sizeof(*in) + FIELD_END(struct fuse_init_in, flags2)))
		init.offered2 = body->flags2;
	atomic_store(&init.unique, in->unique);
	return n;
}

static bool accepts_uring(size_t reply_bytes)
{
	bool offered = (init.offered2 & URING_INIT_FLAGS2) != 0 &&
		       reply_bytes >= FIELD_END(struct fuse_init_out, flags2);

	return init.transport->offer != NULL && init.transport->offer(offered) && offered;
}

/* Sets flags of the second word in the reply.  Returns false if the kernel has not offered them. */
static bool set_flags2(struct fuse_init_out *body, size_t reply_bytes, uint32_t flags2)
{
	if ((init.offered2 & flags2) == 0 || reply_bytes < FIELD_END(struct fuse_init_out, flags2))
		return false;
	body->flags |= URING_INIT_EXT;
	body->flags2 |= flags2;
	return true;
}

/* Adds flags to the reply to INIT, which libfuse sends as two parts, header and body.  Returns
 * whether the reply is one to INIT without an error, so that the mount becomes usable. */
static bool extend(const struct iovec *iov, int count)
{
	const struct fuse_out_header *out = iov[0].iov_base;
	struct fuse_init_out *body;

	if (count < 2 || out->unique != atomic_load(&init.unique))
		return false;
	atomic_store(&init.unique, 0);
	if (out->error != 0 || iov[1].iov_len < offsetof(struct fuse_init_out, max_background))
		return false;
	body = iov[1].iov_base;
	body->flags |= init.offered & (FUSE_HANDLE_KILLPRIV_V2 | FUSE_PARALLEL_DIROPS);
	atomic_store(&init.allows_bypass,
		     set_flags2(body, iov[1].iov_len, FLAGS2_DIRECT_IO_ALLOW_MMAP));
	if (accepts_uring(iov[1].iov_len))
		(void)set_flags2(body, iov[1].iov_len, URING_INIT_FLAGS2);
	return true;
}

static ssize_t answer_init(int fd, struct iovec *iov, int count)
{
	bool mounts = extend(iov, count);
	ssize_t n = writev(fd, iov, count);

	if (!mounts || n < 0)
		return n;
	if (init.transport->answered != NULL && init.transport->answered(init.session) < 0)
		fuse_session_exit(init.session);
	else if (init.on_ready != NULL)
		init.on_ready(init.on_ready_arg);
	return n;
}

static ssize_t write_reply(int fd, struct iovec *iov, int count, void *userdata)
{
	if (atomic_load_explicit(&init.unique, memory_order_relaxed) != 0)
		return answer_init(fd, iov, count);
	if (init.transport->reply != NULL && init.transport->reply(iov, count))
		return (ssize_t)((const struct fuse_out_header *)iov[0].iov_base)->len;
	return writev(fd, iov, count);
}

bool init_reply_allows_bypass(void)
{
	return atomic_load_explicit(&init.allows_bypass, memory_order_relaxed);
}

int init_reply_extend(struct fuse_session *se, const struct transport *transport,
		      void (*on_ready)(void *arg), void *arg)
{
	static const struct fuse_custom_io io = { .read = read_request, .writev = write_reply };

	init.session = se;
	init.transport = transport;
	init.on_ready = on_ready;
	init.on_ready_arg = arg;
	return fuse_session_custom_io(se, &io, fuse_session_fd(se));
}
