/* SPDX-License-Identifier: MIT */
/* Operations on a store, a simple model of their effects, and the text of a tree: two trees are
 * equal if and only if their texts are.  Threads: one at a time. */
#ifndef FREYJAFS_TESTS_SIM_TREE_H
#define FREYJAFS_TESTS_SIM_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/sim/rng.h"
#include "writer/store.h"

#define TREE_PATH_BYTES 96
#define TREE_UID	1000 /* of nodes without a record of their own */
#define TREE_GID	1001
#define TREE_UMASK	022

enum tree_op_kind {
	TREE_END, /* of a list; does nothing */
	TREE_SYNC,
	TREE_ROTATE,  /* seals the active segment: all is durable then, too */
	TREE_PUT,     /* a value into a file, made with the attributes of the operation if new */
	TREE_PUT_SET, /* the same, and sets the attributes in the same commit, also of an old file
		       */
	TREE_EMPTY,   /* as TREE_PUT, of no bytes */
	TREE_PIECES,  /* as TREE_PUT, staged and published; laid over the content of an old file */
	TREE_MKDIR,
	TREE_UNLINK,
	TREE_RMDIR,
	TREE_RENAME,
	TREE_EXCHANGE,
	TREE_BIRTH, /* a file that is created under 'path', renamed to 'to' and never written */
	TREE_SETATTR,
	TREE_KEY_PUT, /* by key: makes missing directories */
	TREE_KEY_DELETE,
	TREE_LINK,    /* 'path' gets the name 'to', too */
	TREE_SYMLINK, /* 'path' points at 'to' */
	TREE_FIFO,
	TREE_SETXATTR, /* "user.a"; the value follows from the tag */
	TREE_REMOVEXATTR,
	TREE_REWRITE,  /* as TREE_PUT of an old file, but staged in pieces and published */
	TREE_PATCH,    /* lays a value over that of an old file, at 'offset' */
	TREE_TRUNCATE, /* gives an old file the size 'value_bytes' */
	TREE_COMPACT,  /* until no more can be gained */
	TREE_IDLE,     /* adaptive head room is cut */
};

/* The default attributes: TREE_UID, TREE_GID, mode 0644. */
struct tree_op {
	enum tree_op_kind kind;
	char path[TREE_PATH_BYTES];
	char to[TREE_PATH_BYTES]; /* of kinds that have two paths */
	uint32_t value_bytes;
	mode_t mode; /* 0: the default */
	uint32_t uid, gid;
	uint32_t offset;
};

/* Writes a description of 'op' into 'out'. */
void tree_op_text(const struct tree_op *op, char *out, size_t out_bytes);

/* Makes the steps of adaptive head room, and the payments for them, as small as the values here. */
void tree_small_headroom(struct store *s);

/* Applies 'op' to a store; 'tag' makes the value different from others.  Stores the log position to
 * wait for (0: none).  0 or -errno. */
int tree_op_do(struct store *s, const struct tree_op *op, uint64_t tag,
	       uint64_t *ret_end) WARN_UNUSED;

/* Looks up a path.  The node is pinned for the caller, unless it is the root. */
int tree_find(struct store *s, const char *path, struct node **ret) WARN_UNUSED;

/* Returns a tree as text, one line for each node in the order of the paths, with 'times' including
 * times; NULL after a failed read, with the error in 'ret_err'.  The caller frees it. */
char *tree_text(struct store *s, bool times, int *ret_err);

/* --- the model --- */

struct model; /* defined in model.c */

struct model *model_new(void);
struct model *model_copy(const struct model *m);
void model_free(struct model *m); /* NULL is a no-op */
/* Applies 'op' to the model, as tree_op_do() must: returns 0, or -errno if nothing has changed. */
int model_do(struct model *m, const struct tree_op *op, uint64_t tag) WARN_UNUSED;
/* Returns whether the model knows the effect of 'op': it does not for unnameable keys. */
bool model_knows(const struct model *m, const struct tree_op *op);
/* As tree_text() without times. */
char *model_text(const struct model *m);
/* Returns a random operation that is likely to succeed. */
struct tree_op model_random_op(const struct model *m, struct rng *rng);

/* Fills in the bytes of a value. */
void tree_fill(uint8_t *value, uint32_t value_bytes, uint64_t tag);
/* One line of a tree's text. */
struct tree_line {
	const char *path;
	char type; /* 'f', 'd', 'l', 'p' */
	mode_t mode;
	uint32_t uid, gid;
	uint32_t link_count;  /* 0: not shown */
	const uint8_t *value; /* or the target of a symlink */
	uint64_t value_bytes;
	uint64_t xattr;			/* of "user.a"; 0: none */
	const struct store_attr *times; /* NULL: without; those of a directory are not shown */
};
char *tree_line_text(const struct tree_line *line);

#endif
