/* SPDX-License-Identifier: MIT */
/* The graph behind a history: every file and directory that ever existed in a log, with the names
 * that each had and when, and the versions of each file.  It is made commit by commit, by the rules
 * of docs/FORMAT.md, section 5, but without a verdict: records that do not fit are left out,
 * because the process that mounts the log has checked them.  Unnameable keys are left out, too.
 *
 * Private to writer/history/.  Threads: one at a time. */
#ifndef FREYJAFS_WRITER_HISTORY_GRAPH_H
#define FREYJAFS_WRITER_HISTORY_GRAPH_H

#include "codec/meta.h"
#include "writer/history.h"
#include "writer/index/content_map.h"
#include "writer/index/staged.h"
#include "writer/log/reader.h"
#include "writer/base/uthash_config.h"

enum version_kind {
	VERSION_PLAIN,	 /* one record */
	VERSION_LAID,	 /* pieces, alone or laid over the version before */
	VERSION_DROPPED, /* compaction has dropped its content */
	VERSION_SYMLINK,
};

/* A version: the state of a file from one commit to the next. */
struct version {
	uint64_t timestamp_ns;
	int64_t mtime_ns;
	uint64_t size_bytes;
	uint64_t offset;		 /* log position of the record that made it */
	uint64_t segment, file_offset;	 /* the same on disk */
	uint32_t key_bytes, value_bytes; /* of that record */
	uint32_t uid, gid;
	uint16_t mode;		  /* permissions */
	uint8_t kind;		  /* enum version_kind */
	bool keep;		  /* VERSION_LAID: laid over the version before */
	struct content_map *laid; /* VERSION_LAID; owned; NULL: only the size changed */
	char *target;		  /* VERSION_SYMLINK; owned; 'size_bytes' long */
};

struct graph_name;

/* A file or directory, from its first name to its last. */
struct graph_node {
	struct graph_node *next; /* in the list of all nodes */
	enum meta_type type;
	uint16_t mode; /* present mode */
	uint32_t uid, gid;

	/* Of a directory: */
	bool explicit;		     /* the log has an attr record of it */
	uint64_t live;		     /* number of names that are in it now */
	struct graph_node *dir;	     /* the directory it is in now; NULL: none, or the root */
	struct graph_name *own_name; /* its name there */
	struct graph_name *names;    /* uthash; all names that it ever had */

	/* Of a file or symlink: */
	struct version *versions; /* owned; oldest first */
	size_t version_count, version_capacity;
};

/* The time during which a node had a name: from one commit to another. */
struct graph_span {
	struct graph_node *node;
	uint64_t from_ns, until_ns;
};

/* A name in a directory, and the nodes that had it; owned by the directory. */
struct graph_name {
	UT_hash_handle hh;
	struct graph_span *spans; /* oldest first; only the last one may not have ended */
	uint32_t span_count, span_capacity;
	uint16_t name_bytes;
	char name[];
};

struct graph {
	struct graph_node *root, *nodes;
	struct staged_set staged;
	uint64_t base_ns; /* all that is not later existed from the beginning; 0: no base */
	uint32_t default_uid, default_gid;
	uint16_t default_mode; /* of files */
};

/* -ENOMEM. */
int graph_init(struct graph *g) WARN_UNUSED;
void graph_free(struct graph *g);

/* Applies one commit.  -ENOMEM. */
int graph_apply(struct graph *g, const struct log_entry *entries, size_t entry_count) WARN_UNUSED;

/* Returns a name of a directory, or NULL. */
struct graph_name *graph_find(const struct graph_node *dir, const char *name, size_t name_bytes);

/* Assembles the content of version 'index'; the caller frees it with content_map_free().  -ENOMEM.
 */
int graph_content(const struct graph_node *n, size_t index, struct content_map **ret) WARN_UNUSED;

#endif
