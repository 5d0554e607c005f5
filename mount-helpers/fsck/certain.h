/* SPDX-License-Identifier: MIT */
/* The facts that are certain although records are lost.  A gap is a position where unknown records
 * were lost.  Behind a gap, a file is certain to be as the log describes it only if its whole
 * content was written behind the gap, too (it is "fresh").  A staging is certain only if it began
 * behind the gap, or has all bytes of the file. */
#ifndef FREYJAFS_MOUNT_HELPERS_FSCK_CERTAIN_H
#define FREYJAFS_MOUNT_HELPERS_FSCK_CERTAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/commit.h"
#include "codec/compiler.h"
#include "writer/base/uthash_config.h"
#include "writer/index/keydir.h"

/* A file of which more is known than the keydir has. */
struct known_file {
	UT_hash_handle hh;
	const struct node *node;
	size_t fresh_behind; /* the gaps before its last whole content; 0: irrelevant */
	bool has_older;	     /* the version before it ceased to be whole, with the values below */
	int64_t older_ns;
	uint64_t older_bytes;
};

struct certain {
	struct keydir *k;	  /* owned */
	size_t gaps;		  /* that were passed, in all files */
	bool behind_gap;	  /* no record has followed the last gap yet */
	uint64_t gap_next_ns;	  /* time of the first record behind the last gap */
	struct known_file *files; /* uthash, by node */
	struct staging *stagings; /* uthash, by id */
};

/* Frees the contents of 'c'. */
void certain_free(struct certain *c);

/* Passes a gap. */
void certain_pass_gap(struct certain *c);
/* Passes the record that begins a commit. */
void certain_pass_record(struct certain *c, uint64_t timestamp_ns);

/* Returns the entry of a file; NULL: there is none. */
struct known_file *certain_find_file(const struct certain *c, const struct node *n);
/* Returns the entry of a file, a new one if there is none; NULL: no memory. */
struct known_file *certain_file(struct certain *c, const struct node *n);
bool certain_is_fresh(const struct certain *c, const struct node *n);
/* Notes that the whole content of a file was written.  'n' may be NULL.  -ENOMEM. */
int certain_add_fresh(struct certain *c, const struct node *n) WARN_UNUSED;

bool certain_has_staging(const struct certain *c, uint64_t id);
/* Adds an extent to a staging.  'claimed': damaged bytes claim it, and nothing proves it.  -ENOMEM.
 */
int certain_add_extent(struct certain *c, uint64_t id, uint64_t bytes, bool claimed) WARN_UNUSED;
/* Forgets a staging. */
void certain_forget_staging(struct certain *c, uint64_t id);
/* Returns whether everything that was staged for a publish is present.  'n' is the file that the
 * publish changes, or NULL; 'in_base': the publish is a record of a base. */
bool certain_is_complete(const struct certain *c, const struct meta_publish *p,
			 const struct node *n, bool in_base);

#endif
