/* SPDX-License-Identifier: MIT */
/* Operations as tables of tests have them: each is an initializer of a struct tree_op. */
#ifndef FREYJAFS_TESTS_SIM_TREE_OPS_H
#define FREYJAFS_TESTS_SIM_TREE_OPS_H

#include "tests/sim/tree.h"

#define PUT(p, n)                                             \
	{                                                     \
		.kind = TREE_PUT, .path = p, .value_bytes = n \
	}
#define PUT_AS(p, n, m)                                                                      \
	{                                                                                    \
		.kind = TREE_PUT, .path = p, .value_bytes = n, .mode = m, .uid = 7, .gid = 8 \
	}
#define PUT_SET(p, n, m)                                                                         \
	{                                                                                        \
		.kind = TREE_PUT_SET, .path = p, .value_bytes = n, .mode = m, .uid = 9, .gid = 1 \
	}
#define PIECES(p, n)                                             \
	{                                                        \
		.kind = TREE_PIECES, .path = p, .value_bytes = n \
	}
#define EMPTY(p)                              \
	{                                     \
		.kind = TREE_EMPTY, .path = p \
	}
#define MKDIR(p)                              \
	{                                     \
		.kind = TREE_MKDIR, .path = p \
	}
#define MKDIR_AS(p, m)                                             \
	{                                                          \
		.kind = TREE_MKDIR, .path = p, .mode = m, .uid = 3 \
	}
#define UNLINK(p)                              \
	{                                      \
		.kind = TREE_UNLINK, .path = p \
	}
#define RMDIR(p)                              \
	{                                     \
		.kind = TREE_RMDIR, .path = p \
	}
#define RENAME(p, q)                                    \
	{                                               \
		.kind = TREE_RENAME, .path = p, .to = q \
	}
#define EXCHANGE(p, q)                                    \
	{                                                 \
		.kind = TREE_EXCHANGE, .path = p, .to = q \
	}
#define BIRTH(p, q)                                    \
	{                                              \
		.kind = TREE_BIRTH, .path = p, .to = q \
	}
#define SETATTR(p, m)                                                \
	{                                                            \
		.kind = TREE_SETATTR, .path = p, .mode = m, .gid = 5 \
	}
#define KEY_PUT(p, n)                                             \
	{                                                         \
		.kind = TREE_KEY_PUT, .path = p, .value_bytes = n \
	}
#define KEY_DELETE(p)                              \
	{                                          \
		.kind = TREE_KEY_DELETE, .path = p \
	}
#define LINK(p, q)                                    \
	{                                             \
		.kind = TREE_LINK, .path = p, .to = q \
	}
#define SYMLINK(p, q)                                    \
	{                                                \
		.kind = TREE_SYMLINK, .path = p, .to = q \
	}
#define FIFO(p)                                            \
	{                                                  \
		.kind = TREE_FIFO, .path = p, .mode = 0600 \
	}
#define SETXATTR(p)                              \
	{                                        \
		.kind = TREE_SETXATTR, .path = p \
	}
#define REMOVEXATTR(p)                              \
	{                                           \
		.kind = TREE_REMOVEXATTR, .path = p \
	}
#define ROTATE                      \
	{                           \
		.kind = TREE_ROTATE \
	}
#define COMPACT                      \
	{                            \
		.kind = TREE_COMPACT \
	}
#define IDLE                      \
	{                         \
		.kind = TREE_IDLE \
	}
#define REWRITE(p, n)                                             \
	{                                                         \
		.kind = TREE_REWRITE, .path = p, .value_bytes = n \
	}
#define PATCH(p, at, n)                                                       \
	{                                                                     \
		.kind = TREE_PATCH, .path = p, .offset = at, .value_bytes = n \
	}
#define TRUNCATE(p, n)                                             \
	{                                                          \
		.kind = TREE_TRUNCATE, .path = p, .value_bytes = n \
	}
/* Comes and goes: records that a fold leaves nothing of. */
#define LONG                                                                               \
	"a name that is long so that a few of them are worth a fold of all that there is " \
	"in the log"
#define COMES_GOES MKDIR(LONG), RMDIR(LONG)
#define CHURN	   COMES_GOES, COMES_GOES, COMES_GOES, COMES_GOES
#define SYNC                      \
	{                         \
		.kind = TREE_SYNC \
	}

#endif
