/* SPDX-License-Identifier: MIT */
/* The tree of an import: puts the entries of an archive into a store, one after the other.
 *
 * Each entry is one commit, so a crash leaves whole files, and a prefix of the archive.  An entry
 * that takes the name of another file is made under a temporary name and renamed.  Times of
 * directories are set at the end, because the entries that follow change them.
 *
 * Threads: one. */
#ifndef FREYJAFS_MOUNT_HELPERS_FREYJACTL_IMPORT_TREE_H
#define FREYJAFS_MOUNT_HELPERS_FREYJACTL_IMPORT_TREE_H

#include <archive.h>
#include <archive_entry.h>

#include "writer/store.h"

/* The name that an entry has until it takes the place of another file. */
#define IMPORT_TEMPORARY_NAME ".freyjactl-import"

struct import_tree; /* defined in import_tree.c */

/* Begins an import into directory 'path' of 's' ("": the root), which is made if it is missing.
 * Stores a tree that the caller frees with import_tree_free().  -EINVAL, -ENOTDIR. */
int import_tree_new(struct store *s, const char *path, struct import_tree **ret) WARN_UNUSED;
void import_tree_free(struct import_tree *t); /* NULL is a no-op; before store_close() */

/* Adds the entry whose header 'a' has just read.  Returns 0 or -errno; then nothing or, of an entry
 * that is a directory, some of its attributes are in the store.  -EBADMSG: 'a' has the error.
 * -EINVAL: a name or type that the store cannot have.  -EISDIR: a directory has the name.  -E2BIG,
 * -ERANGE: xattrs that the store cannot have. */
int import_tree_add(struct import_tree *t, struct archive *a, struct archive_entry *e) WARN_UNUSED;

/* Sets the times of the directories.  To be called once, also after an error. */
int import_tree_finish(struct import_tree *t) WARN_UNUSED;

struct import_counts {
	uint64_t entries, bytes; /* bytes of files */
	uint64_t skipped_xattrs; /* extended attributes that a mount would not show */
	uint64_t skipped_acls;
};
void import_tree_counts(const struct import_tree *t, struct import_counts *ret);

#endif
