/* SPDX-License-Identifier: MIT */
/* The nodes of /history that the kernel knows, and the history that they show (writer/history.h).
 *
 * A node is one version of a file, or a directory: a path that something once had.  The history is
 * made at the first use, brought up to date at each use, and freed after a minute without use,
 * because it needs memory and keeps files of the log open, even replaced ones.  A node stays and is
 * found again by its path and time.
 *
 * Threads: any.  No lock is held when a function returns.  Errors: 0 or -errno. */
#ifndef FREYJAFS_FUSE_MOUNT_HISTORY_NODES_H
#define FREYJAFS_FUSE_MOUNT_HISTORY_NODES_H

#include "writer/history.h"

struct history_nodes; /* defined in history_nodes.c */
struct history_node;  /* defined in history_nodes.c */

/* Makes an empty table of nodes; borrows 'config->dir_path'.  -ENOMEM. */
int history_nodes_create(const struct history_config *config,
			 struct history_nodes **ret) WARN_UNUSED;
void history_nodes_destroy(struct history_nodes *h); /* frees all nodes; NULL is a no-op */

/* Attributes for stat(2). */
struct history_stat {
	uint64_t ino;	     /* of its path */
	uint32_t generation; /* differs from the generations of earlier nodes at the same address */
	bool is_dir;
	struct history_attr version; /* unless it is a directory */
};

/* Returns the node of /history itself, which is never forgotten. */
struct history_node *history_nodes_root(struct history_nodes *h);

/* Finds 'name' below a node and counts one lookup, which history_nodes_forget() gives back; the
 * node stays valid until then.  -ENOENT, -ENOTDIR, -ENOMEM; -EIO: the log cannot be read. */
int history_nodes_lookup(struct history_nodes *h, struct history_node *parent, const char *name,
			 struct history_node **ret, struct history_stat *ret_stat) WARN_UNUSED;
/* Gives 'count' lookups back; frees the node with the last one. */
void history_nodes_forget(struct history_nodes *h, struct history_node *n, uint64_t count);
/* Stores the attributes of a node. */
void history_nodes_stat(struct history_nodes *h, struct history_node *n, struct history_stat *ret);

/* One name of a listing. */
struct history_dirent {
	uint64_t ino;
	mode_t mode;
	size_t name_at; /* offset in 'names', NUL-terminated */
};

struct history_listing {
	struct history_dirent *entries;
	size_t count, capacity;
	char *names;
	size_t names_used, names_capacity;
	uint64_t ino, parent_ino;
};

/* Lists a directory in its present state.  The caller frees the listing. */
int history_nodes_list(struct history_nodes *h, struct history_node *n,
		       struct history_listing **ret) WARN_UNUSED;
void history_listing_free(struct history_listing *l); /* NULL is a no-op */

/* Opens a version; history_version_close() closes it.  -EISDIR; -ESTALE: compaction has removed its
 * bytes meanwhile. */
int history_nodes_open(struct history_nodes *h, struct history_node *n,
		       struct history_version **ret) WARN_UNUSED;

#endif
