/* SPDX-License-Identifier: MIT */
/* Operations of a store on paths, for tests: each gives its pins back.  They return what the store
 * returned; what must not fail ends in "_ok" and fails the test. */
#ifndef FREYJAFS_TESTS_UNIT_STORE_OPS_H
#define FREYJAFS_TESTS_UNIT_STORE_OPS_H

#include <sys/types.h>

#include "writer/store.h"

/* Attributes of nodes made here; the store's own defaults give files 0644, 1000:100. */
#define OPS_FILE_MODE 0644
#define OPS_DIR_MODE  0755
#define OPS_UID	      1000
#define OPS_GID	      100

/* Looks a path up; the node is pinned for the caller.  "" is the root. */
int ops_find(struct store *s, const char *path, struct node **ret);
struct node *ops_find_ok(struct store *s, const char *path);
struct store_attr ops_attr_ok(struct store *s, const char *path);

int ops_create(struct store *s, const char *path, mode_t mode, struct node **ret);
int ops_commit(struct store *s, struct node *n, const char *value, const struct store_set *set);
/* Creates the file if it is missing, and commits a value. */
int ops_write(struct store *s, const char *path, const char *value);
void ops_write_ok(struct store *s, const char *path, const char *value);
int ops_mkdir(struct store *s, const char *path);
void ops_mkdir_ok(struct store *s, const char *path);
int ops_unlink(struct store *s, const char *path);
int ops_rmdir(struct store *s, const char *path);
int ops_rename(struct store *s, const char *from, const char *to, unsigned int flags);
int ops_setattr(struct store *s, const char *path, const struct store_set *set);
/* Reads all of the value: 0, or what store_read() returned. */
int ops_verify(struct store *s, struct node *n);
/* Compares the value with a text; returns 0 or what store_read() returned. */
int ops_read(struct store *s, const char *path, const char *want);

#endif
