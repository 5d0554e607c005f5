/* SPDX-License-Identifier: MIT */
/* The graph behind a history: every file and directory that there ever was in a log, the names that
 * each had and when, the versions of each file.  Made commit by commit, by the rules of
 * docs/FORMAT.md, section 5, but without a judgement: what does not fit is left out, because
 * whoever mounts the log has judged it.  Keys that no path can name are left out, too.
 *
 * Private to history.c.  Threads: one at a time. */
#ifndef FREYJAFS_WRITER_HISTORY_GRAPH_H
#define FREYJAFS_WRITER_HISTORY_GRAPH_H

#include "codec/meta.h"
#include "writer/history.h"
#include "writer/index/content_map.h"
#include "writer/log/reader.h"
#include "writer/base/uthash_config.h"

enum version_kind {
	VERSION_PLAIN,	 /* one record */
	VERSION_LAID,	 /* pieces, by themselves or over the version before */
	VERSION_DROPPED, /* compaction has it no more */
	VERSION_SYMLINK,
};

/* What a file was from one commit to the next. */
struct version {
	uint64_t timestamp_ns;
	int64_t mtime_ns;
	uint64_t size_bytes;
	uint64_t offset;		 /* log position of the record that made it */
	uint64_t segment, file_offset;	 /* the same, on disk */
	uint32_t key_bytes, value_bytes; /* of that record */
	uint32_t uid, gid;
	uint16_t mode;		  /* permissions */
	uint8_t kind;		  /* enum version_kind */
	bool keep;		  /* VERSION_LAID: over the version before */
	struct content_map *laid; /* VERSION_LAID; owned; NULL: nothing, only the size changed */
	char *target;		  /* VERSION_SYMLINK; owned; 'size_bytes' of it */
};

struct graph_name;

/* A file or directory, from its first name to its last. */
struct graph_node {
	struct graph_node *next; /* of all there are */
	enum meta_type type;
	uint16_t mode; /* now */
	uint32_t uid, gid;

	/* Of a directory: */
	bool explicit;		     /* the log has an attr record of it */
	uint64_t live;		     /* names that are in it now */
	struct graph_node *dir;	     /* where it is now; NULL: nowhere, or the root */
	struct graph_name *own_name; /* there */
	struct graph_name *names;    /* uthash; all that ever were */

	/* Of a file or symlink: */
	struct version *versions; /* owned; oldest first */
	size_t version_count, version_room;
};

/* When a node had a name: from one commit up to another. */
struct graph_span {
	struct graph_node *node;
	uint64_t from_ns, until_ns;
};

/* A name in a directory, and what it meant; owned by the directory. */
struct graph_name {
	UT_hash_handle hh;
	struct graph_span *spans; /* oldest first; only the last one can go on */
	uint32_t span_count, span_room;
	uint16_t name_bytes;
	char name[];
};

struct graph_staged; /* content that is staged; see history/graph.c */

struct graph {
	struct graph_node *root, *nodes;
	struct graph_staged *staged; /* uthash */
	uint64_t base_segment; /* what it has was there from the beginning; 0: there is no base */
	uint32_t default_uid, default_gid;
	uint16_t default_mode; /* of files */
};

/* -ENOMEM. */
int graph_init(struct graph *g) WARN_UNUSED;
void graph_free(struct graph *g);

/* Applies one commit.  -ENOMEM. */
int graph_apply(struct graph *g, const struct log_entry *entries, size_t entry_count) WARN_UNUSED;

/* A name of a directory, or NULL. */
struct graph_name *graph_find(const struct graph_node *dir, const char *name, size_t name_bytes);

/* Puts the content of version 'index' together.  -ENOMEM. */
int graph_content(const struct graph_node *n, size_t index, struct content_map **ret) WARN_UNUSED;

#endif
