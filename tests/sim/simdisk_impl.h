/* SPDX-License-Identifier: MIT */
/* The inside of a simulated disk, for simdisk.c (calls) and simcut.c (images) alone. */
#ifndef FREYJAFS_TESTS_SIM_SIMDISK_IMPL_H
#define FREYJAFS_TESTS_SIM_SIMDISK_IMPL_H

#include <pthread.h>
#include <sys/stat.h>

#include "tests/sim/content.h"
#include "tests/sim/simdisk.h"

#define SIMDISK_ROOT   0 /* inode number */
#define SIMDISK_FD_MAX 512

/* One moment of an inode: 'content' for a file, 'names' for a directory. */
struct version {
	struct content *content;
	struct names *names;
};

struct inode {
	mode_t mode;
	struct version *versions; /* [0] is durable, the last is what a program sees */
	size_t version_count;	  /* at least 1 */
	char **renamed;		  /* names in a rename that is not durable: they go together */
	size_t renamed_count;
	uint64_t allocated_bytes; /* by allocate() */
	unsigned int name_count;
	unsigned int open_count;
	const struct descriptor *lock_owner; /* flock; NULL: free */
};

struct descriptor {
	uint64_t inode;
	int flags; /* of open() */
};

struct simdisk {
	struct io io; /* first, so that a pointer to it is one to the disk */

	/* Protects all below.  Recursive: a hook looks at the disk. */
	pthread_mutex_t lock;
	struct inode **inodes; /* by number; never freed before the disk */
	size_t inode_count;
	struct descriptor *fds[SIMDISK_FD_MAX];
	uint64_t calls;
	uint64_t cut_after; /* UINT64_MAX: never */
	simdisk_hook_fn hook;
	void *hook_arg;
	uint64_t capacity_bytes;
	bool is_quota; /* the same, but it is not shown */
	uint64_t inodes_max;
	uint64_t clock_ns;
	unsigned int sync_delay_us;
};

static inline bool inode_is_dir(const struct inode *n)
{
	return S_ISDIR(n->mode);
}

static inline const struct version *inode_last(const struct inode *n)
{
	return &n->versions[n->version_count - 1];
}

/* Adds an inode with one empty version; returns its number. */
uint64_t simdisk_add_inode(struct simdisk *d, mode_t mode);
/* Makes 'v' (its reference is taken over) the one version of 'n'. */
void inode_set_only(struct inode *n, struct version v);
/* Gives 'n' all the versions of 'from'. */
void inode_copy_versions(struct inode *n, const struct inode *from);
struct version version_ref(const struct version *v);
void version_unref(struct version *v);

#endif
