/* SPDX-License-Identifier: MIT */
/* The interface of a transport: the way of requests from the kernel and of replies back.  A
 * transport feeds requests to libfuse in its own threads; operations do not depend on the thread
 * that calls them, and may reply in any thread.
 *
 * A process runs at most one transport, once. */
#ifndef FREYJAFS_FUSE_TRANSPORT_TRANSPORT_H
#define FREYJAFS_FUSE_TRANSPORT_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#include "codec/compiler.h"
#include "writer/base/diag.h"

struct fuse_session;

struct transport {
	/* Serves a mounted session in the calling thread and in others until it is unmounted or
	 * stopped.  Returns 0 or -errno.  At return no request is being processed; replies that
	 * wait for durability may still follow. */
	int (*run)(struct fuse_session *se);
	/* Makes run() return soon.  May be called repeatedly, in any thread except the one in
	 * run(). */
	void (*stop)(struct fuse_session *se);
	/* Describes the transport in use, and the reason if no faster one is: "classic (...)".  Any
	 * thread. */
	void (*describe)(struct diag *ret);

	/* The functions below are for io_uring, and NULL in a transport without it. init_reply.c
	 * calls them. */

	/* Called at INIT, with whether the kernel offers io_uring.  Returns whether the reply
	 * should accept it. */
	bool (*offer)(bool offered);
	/* Called when the kernel has the reply to INIT.  Returns 0, or -errno if the mount cannot
	 * be used; then run() returns that error. */
	int (*answered)(struct fuse_session *se);
	/* Takes a reply, as writev() would, and returns true.  Returns false if the reply must go
	 * to /dev/fuse. */
	bool (*reply)(const struct iovec *iov, int count);
	/* Returns memory for the reply to the request that the calling thread processes; a reply in
	 * it is not copied again.  Valid until that reply.  NULL: not available, or less than
	 * 'bytes' bytes.  If it is not NULL, other requests wait for the calling thread. */
	void *(*buffer)(size_t bytes);
};

/* Reads and writes /dev/fuse with libfuse's pool of threads. */
extern const struct transport transport_classic;

/* FUSE over io_uring, with /dev/fuse for the requests that the kernel does not send by a ring.  If
 * the kernel does not accept the ring after all, /dev/fuse serves everything, or run() fails if the
 * ring is 'required'. */
extern const struct transport transport_uring;

/* Makes everything that can be made before the mount.  Returns 0, or -errno if transport_uring
 * cannot be used, with the reason and the remedy for the user in 'why'. */
int transport_uring_prepare(bool required, struct diag *why) WARN_UNUSED;
/* Frees what transport_uring_prepare() made, if run() was not called.  A no-op if prepare() failed
 * or was not called. */
void transport_uring_discard(void);

/* Stores the reason for using classic, for its description; the text is copied.  Call before run().
 */
void transport_classic_because(const char *why);

#endif
