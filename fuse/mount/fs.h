/* SPDX-License-Identifier: MIT */
/* The state that all operations share: the store, the open files, and the mapping between FUSE's
 * node numbers and nodes.
 *
 * Node numbers.  The root of the mount and the virtual files have small fixed numbers.  Every other
 * number is the address of a node of the store: the kernel names only nodes that a reply has given
 * to it, each such reply keeps one pin, and forget gives pins back.  So no table of inodes is
 * needed.  The number of keys/ is the address of the store's root, which needs no pin.  When a node
 * is gone, its address is used again with another generation, so a file handle never refers to
 * another file.
 *
 * Nodes below history/ have numbers of their own: the address of a history node (history_nodes.h)
 * with a bit that no address has. */
#ifndef FREYJAFS_FUSE_MOUNT_FS_H
#define FREYJAFS_FUSE_MOUNT_FS_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <fuse_lowlevel.h>

#include "fuse/open/open_file.h"
#include "fuse/base/options.h"
#include "fuse/transport/transport.h"
#include "fuse/base/troubles.h"
#include "fuse/transport/workers.h"
#include "writer/store.h"

enum {
	FS_INO_ROOT = FUSE_ROOT_ID,
	FS_INO_STATUS = 2,
	FS_INO_CONTROL = 3,
	FS_INO_HISTORY = 4,
	FS_INO_METRICS = 5,
	FS_INO_VIRTUAL_END = 16, /* numbers from here on are addresses */
};

#define FS_HISTORY_BIT (UINT64_C(1) << 62)

/* Only the kernel changes the tree, so its cached entries stay valid. */
#define FS_CACHE_SECONDS (365 * 24 * 3600.0)

struct fs {
	struct store *store;
	struct open_files files;
	struct history_nodes *history; /* of /history; see virtual/virtual.h */
	const struct options *options;
	const struct transport *transport;
	struct fuse_session *session;
	struct workers workers;
	struct workers dropper; /* one thread, for pages that the kernel must drop */
	struct troubles troubles;
	/* The directory of the last FSYNCDIR. */
	atomic_uint_least64_t synced_dir;
	const char *datadir;	/* resolved */
	const char *mountpoint; /* resolved */
	uint32_t uid, gid;	/* owner of the virtual files: the daemon's */
	uint32_t generation;	/* random; added to the generations of nodes, so that they differ
				   between mounts */
	struct timespec mounted_at;
	void (*on_ready)(void *arg); /* called once, when the kernel has accepted the mount */
	void *on_ready_arg;
};

/* Logs trouble, at a limited rate; 'arg' is a struct troubles.  A trouble_fn. */
void fs_tell(void *arg, const struct trouble *t);

static inline struct fs *fs_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static inline bool fs_is_virtual(fuse_ino_t ino)
{
	return ino < FS_INO_VIRTUAL_END || (ino & FS_HISTORY_BIT) != 0;
}

/* Of virtual numbers: returns whether it is /history or something below it. */
static inline bool fs_is_history(fuse_ino_t ino)
{
	return ino == FS_INO_HISTORY || (ino & FS_HISTORY_BIT) != 0;
}

/* Returns the error of a change of a virtual directory, -EROFS or -EPERM. */
static inline int fs_refusal(fuse_ino_t ino)
{
	return fs_is_history(ino) ? -EROFS : -EPERM;
}

/* Logs why 'name' in the root of the mount was refused, because an error number does not say it. */
void fs_tell_refused(struct fs *fs, const char *name, const char *why);
/* Returns the error of making a name in a virtual directory, -EROFS or -EPERM; logs the reason if
 * the directory is the root. */
int fs_refuse_name(struct fs *fs, fuse_ino_t parent, const char *name);

static inline struct node *fs_node(fuse_ino_t ino)
{
	return (struct node *)(uintptr_t)ino;
}

/* Returns a name in a directory of the store; it borrows 'name'. */
static inline struct store_name fs_name(fuse_ino_t parent, const char *name)
{
	return (struct store_name){ fs_node(parent), name, strlen(name) };
}

static inline fuse_ino_t fs_ino(const struct node *n)
{
	return (fuse_ino_t)(uintptr_t)n;
}

/* Returns the node of /history or of something below it. */
struct history_node *fs_history_node(struct fs *fs, fuse_ino_t ino);

/* Gives back 'count' pins that the kernel has of a node, or that a reply was about to give to it.
 * A no-op for the root and the virtual files. */
void fs_unpin(struct fs *fs, fuse_ino_t ino, uint64_t count);

/* Fills in the attributes of a node, its pending size and times included. */
void fs_stat(struct fs *fs, struct node *n, struct stat *ret);
/* Returns for how many seconds the kernel may cache these attributes: 0 for a file with setuid or
 * setgid bits, because a write clears them here and its reply cannot say so.  The kernel must then
 * ask before it executes the file. */
double fs_attr_seconds(const struct stat *attr);
/* Fills in the entry of a node; the caller's pin goes to the kernel with the reply. */
void fs_entry(struct fs *fs, struct node *n, struct fuse_entry_param *ret);

/* Logs that the uncommitted bytes of a file are lost, because of 'err' (-errno). */
void fs_report_lost(struct fs *fs, struct node *n, int err);

/* Returns memory for a reply of 'bytes', or NULL without memory.  Stores in 'ret_own' the pointer
 * to free(3) after the reply, or NULL if the memory is the transport's: then nothing must be freed,
 * the reply is not copied, and other requests wait for the calling thread. */
void *fs_reply_buffer(fuse_req_t req, size_t bytes, void **ret_own);

#endif
