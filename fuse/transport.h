/* SPDX-License-Identifier: MIT */
/* How requests come from the kernel and replies go back.  A transport feeds them to libfuse, from
 * threads of its own; the operations never ask which thread they are in, and may reply from any.
 *
 * A transport runs at most once in a process. */
#ifndef FREYJAFS_FUSE_TRANSPORT_H
#define FREYJAFS_FUSE_TRANSPORT_H

struct fuse_session;

struct transport {
	const char *name;
	/* Serves a mounted session in the calling thread and others, until it is unmounted or
	 * stopped.  Returns 0 or -errno.  No request is being worked on when it returns; replies
	 * that wait for durability may still be to come. */
	int (*run)(struct fuse_session *se);
	/* Makes run() return soon.  Any thread but that of run(); may be called again. */
	void (*stop)(struct fuse_session *se);
};

/* /dev/fuse, read and written by the thread pool of libfuse. */
extern const struct transport transport_classic;

#endif
