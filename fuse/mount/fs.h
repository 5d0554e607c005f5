/* SPDX-License-Identifier: MIT */
/* What all operations share: the store, the open files, and the translation between FUSE's node
 * numbers and nodes.
 *
 * Node numbers.  The root of the mount and the files beside keys/ have small fixed numbers.  All
 * else is a node of the store, and its number is its address: the kernel names only nodes that a
 * reply has given it, each such reply keeps one pin, and forget gives pins back.  So there is no
 * table of inodes.  The number of keys/ is that of the store's root, which needs no pin.  An
 * address is used again when its node is gone, with another generation: a file handle never comes
 * to mean another file.
 *
 * What is below history/ has numbers of its own: the address of its node (history_nodes.h) and a
 * bit that no address has. */
#ifndef FREYJAFS_FUSE_MOUNT_FS_H
#define FREYJAFS_FUSE_MOUNT_FS_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
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
	FS_INO_VIRTUAL_END = 16, /* from here on: addresses */
};

#define FS_HISTORY_BIT (UINT64_C(1) << 62)

/* Nobody but the kernel changes anything, so what it knows stays true. */
#define FS_CACHE_SECONDS (365 * 24 * 3600.0)

struct fs {
	struct store *store;
	struct open_files files;
	struct history_nodes *history; /* of /history; see virtual/history.h */
	const struct options *options;
	const struct transport *transport;
	struct fuse_session *session;
	struct workers workers;
	struct troubles troubles;
	const char *datadir;	/* resolved */
	const char *mountpoint; /* resolved */
	uint32_t uid, gid;	/* of the mount's own files: the daemon's */
	uint32_t generation;	/* random; added to those of nodes, so that each mount has others */
	struct timespec mounted_at;
	void (*on_ready)(void *arg); /* called once, when the kernel has taken the mount */
	void *on_ready_arg;
};

/* Logs it; 'arg' is a struct troubles. */
void fs_tell(void *arg, const struct trouble *t);

static inline struct fs *fs_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static inline bool fs_is_virtual(fuse_ino_t ino)
{
	return ino < FS_INO_VIRTUAL_END || (ino & FS_HISTORY_BIT) != 0;
}

/* Of the virtual ones: /history, or something below it. */
static inline bool fs_is_history(fuse_ino_t ino)
{
	return ino == FS_INO_HISTORY || (ino & FS_HISTORY_BIT) != 0;
}

/* Why a virtual directory cannot be changed. */
static inline int fs_refusal(fuse_ino_t ino)
{
	return fs_is_history(ino) ? -EROFS : -EPERM;
}

/* Says why 'name' in the root of the mount was refused: an error number does not. */
void fs_tell_refused(struct fs *fs, const char *name, const char *why);
/* Returns why a name cannot be made in a virtual directory, and logs the reason if that is the
 * root. */
int fs_refuse_name(struct fs *fs, fuse_ino_t parent, const char *name);

static inline struct node *fs_node(fuse_ino_t ino)
{
	return (struct node *)(uintptr_t)ino;
}

static inline fuse_ino_t fs_ino(const struct node *n)
{
	return (fuse_ino_t)(uintptr_t)n;
}

/* The node of /history, or of something below it. */
struct history_node *fs_history_node(struct fs *fs, fuse_ino_t ino);

/* Gives back 'count' pins of a node that the kernel has, or was to get.  Nothing for the root and
 * the virtual files. */
void fs_unpin(struct fs *fs, fuse_ino_t ino, uint64_t count);

/* What stat(2) shows of a node, its pending value included. */
void fs_stat(struct fs *fs, struct node *n, struct stat *ret);
void fs_stat_of(const struct store_attr *attr, struct stat *ret);
/* How long the kernel may keep these attributes.  A write takes setuid bits away here, and no reply
 * to a write says so: the kernel has to ask before it executes such a file. */
double fs_attr_seconds(const struct stat *attr);
/* The entry of a node whose pin goes to the kernel. */
void fs_entry(struct fs *fs, struct node *n, struct fuse_entry_param *ret);

/* Says that what was written to a file is lost. */
void fs_report_lost(struct fs *fs, struct node *n, int err);

/* Memory for a reply of 'bytes'.  Stores what is to be freed after the reply, or NULL if the memory
 * is the transport's: then nothing has to be freed or copied, and other requests wait for this
 * thread.  NULL: no memory. */
void *fs_reply_buffer(fuse_req_t req, size_t bytes, void **ret_own);

#endif
