/* SPDX-License-Identifier: MIT */
/* How requests come from the kernel and replies go back.  A transport feeds them to libfuse, from
 * threads of its own; the operations never ask which thread they are in, and may reply from any.
 *
 * A transport runs at most once in a process. */
#ifndef FREYJAFS_FUSE_TRANSPORT_TRANSPORT_H
#define FREYJAFS_FUSE_TRANSPORT_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#include "codec/compiler.h"
#include "writer/base/diag.h"

struct fuse_session;

struct transport {
	/* Serves a mounted session in the calling thread and others, until it is unmounted or
	 * stopped.  Returns 0 or -errno.  No request is being worked on when it returns; replies
	 * that wait for durability may still be to come. */
	int (*run)(struct fuse_session *se);
	/* Makes run() return soon.  Any thread but that of run(); may be called again. */
	void (*stop)(struct fuse_session *se);
	/* What is served by, and why by nothing better: "classic (...)".  Any thread. */
	void (*describe)(struct diag *ret);

	/* What follows concerns io_uring, and is NULL in a transport that knows nothing of it.  It
	 * is called by init_reply.c. */

	/* INIT has come, and says whether the kernel offers to take a ring.  Returns whether the
	 * answer is to accept. */
	bool (*offer)(bool offered);
	/* The kernel has the answer.  Returns 0, or -errno: the mount is of no use, run() will
	 * return that. */
	int (*answered)(struct fuse_session *se);
	/* Takes a reply, as writev() would.  False: it is for /dev/fuse. */
	bool (*reply)(const struct iovec *iov, int count);
	/* Memory for the reply to the request that the calling thread works on, from where it is
	 * not copied any more; good until that reply.  NULL: there is none, or not so many bytes.
	 * If there is, others wait for this thread. */
	void *(*buffer)(size_t bytes);
};

/* /dev/fuse, read and written by the thread pool of libfuse. */
extern const struct transport transport_classic;

/* FUSE over io_uring, and /dev/fuse for what does not go there.  Where the kernel does not take the
 * ring in the end, /dev/fuse for everything, unless the ring was 'required'. */
extern const struct transport transport_uring;

/* Makes ready what can be made before there is a mount.  0, or -errno: transport_uring cannot be
 * used, and 'why' says for the user why that is and what to do about it. */
int transport_uring_prepare(bool required, struct diag *why) WARN_UNUSED;
/* Takes that back, if run() was not called.  Nothing if prepare() failed or was not called. */
void transport_uring_discard(void);

/* Remembers why classic serves: part of its description.  Before run(). */
void transport_classic_because(const char *why);

#endif
