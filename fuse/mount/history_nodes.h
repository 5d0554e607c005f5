/* SPDX-License-Identifier: MIT */
/* The nodes of /history that the kernel knows, and the history behind them (writer/history.h).
 *
 * A node is a path that something once had, and then a directory, or one version of a file.  The
 * history is made at the first look, brought up to date at each, and given up when nobody has
 * looked for a minute: it needs memory and keeps the files of the log open, also those that
 * compaction has replaced.  A node stays and finds its way back by its path and time.
 *
 * Threads: any.  No lock is held when a function returns. */
#ifndef FREYJAFS_FUSE_MOUNT_HISTORY_NODES_H
#define FREYJAFS_FUSE_MOUNT_HISTORY_NODES_H

#include "writer/history.h"

struct history_nodes; /* opaque, see history_nodes.c */
struct history_node;  /* opaque */

/* 'config->dir_path' is borrowed.  -ENOMEM. */
int history_nodes_create(const struct history_config *config,
			 struct history_nodes **ret) WARN_UNUSED;
void history_nodes_destroy(struct history_nodes *h); /* with all nodes; NULL is a no-op */

/* What stat(2) needs; a directory has a mode and an 'ino' alone. */
struct history_stat {
	uint64_t ino;	     /* of its path */
	uint32_t generation; /* differs from those of nodes that had its address before */
	bool is_dir;
	struct history_attr version; /* unless it is a directory */
};

/* The node that stands for all of /history; it is never forgotten. */
struct history_node *history_nodes_root(struct history_nodes *h);

/* Finds 'name' below a node and counts one look-up, to be given back by history_nodes_forget().
 * -ENOENT, -ENOTDIR, -ENOMEM; -EIO: the log cannot be read. */
int history_nodes_lookup(struct history_nodes *h, struct history_node *parent, const char *name,
			 struct history_node **ret, struct history_stat *ret_stat) WARN_UNUSED;
void history_nodes_forget(struct history_nodes *h, struct history_node *n, uint64_t count);
void history_nodes_stat(struct history_nodes *h, struct history_node *n, struct history_stat *ret);

/* One name of a listing. */
struct history_dirent {
	uint64_t ino;
	mode_t mode;
	size_t name_at; /* in 'names', NUL-terminated */
};

struct history_listing {
	struct history_dirent *entries;
	size_t count, room;
	char *names;
	size_t names_used, names_room;
	uint64_t ino, parent_ino;
};

/* Lists a directory as it is now.  The caller frees it. */
int history_nodes_list(struct history_nodes *h, struct history_node *n,
		       struct history_listing **ret) WARN_UNUSED;
void history_listing_free(struct history_listing *l); /* NULL is a no-op */

/* Opens a version, to be closed by history_version_close().  -EISDIR; -ESTALE: compaction has taken
 * its bytes meanwhile. */
int history_nodes_open(struct history_nodes *h, struct history_node *n,
		       struct history_version **ret) WARN_UNUSED;

#endif
