/* SPDX-License-Identifier: MIT */
/* Shared by the files of writer/store/ alone: store.c (open, close, keys), commit.c (putting a
 * commit together), names.c, attributes.c, content.c (values), staging.c, reserves.c (a full disk)
 * and trouble.c (messages). */
#ifndef FREYJAFS_WRITER_STORE_STORE_PRIVATE_H
#define FREYJAFS_WRITER_STORE_STORE_PRIVATE_H

#include "codec/commit.h"
#include "codec/meta.h"
#include "codec/path.h"
#include "writer/index/content_map.h"
#include "writer/index/keydir.h"
#include "writer/index/node.h"
#include "writer/index/node_meta.h"
#include "writer/base/number_set.h"
#include "writer/store/for_background.h"
#include "writer/store/growth.h"
#include "writer/store/read_gate.h"
#include "writer/log/reserve.h"
#include "writer/store.h"
#include "writer/base/thread.h"

#define COMMIT_PARTS_MAX 3

/* One record of a commit that is being put together.  A plain record's key begins behind the
 * prefix. */
struct commit_part {
	uint8_t key[META_KEY_PREFIX_BYTES + PATH_BYTES_MAX];
	uint8_t value[META_EXCHANGE_FIXED_BYTES + PATH_BYTES_MAX];
	uint8_t *large; /* for an attr value that does not fit 'value'; owned; grows */
	size_t large_bytes;
};

/* A commit that is being put together: the records of one group. */
struct commit {
	struct commit_part parts[COMMIT_PARTS_MAX];
	struct record records[COMMIT_PARTS_MAX];
	size_t count;
	struct log_append where; /* filled by commit_append() */
	int64_t now_ns;		 /* filled by commit_append(): the time that it shows */
	int64_t clock_ns;	 /* filled by commit_begin() */
	/* Filled by commit_begin(): how far the clock is behind the last record, 0 when it is not.
	 * Timestamps go on from that record then, and nobody is to see them as a time. */
	uint64_t behind_ns;
};

struct store {
	/* Constant after open. */
	struct io *io;
	char *path;
	int dir_fd;
	int lock_fd; /* holds the flock */
	bool read_only;
	bool synchronous;
	uint64_t segment_bytes_max;  /* of a segment, as configured */
	store_clock_fn clock_behind; /* may be NULL */
	void *clock_arg;
	uint64_t told_behind_ns GUARDED; /* by commit_lock; see commit_begin() */
	store_progress_fn progress;	 /* while it is opened; may be NULL */
	void *progress_arg;
	bool keeps_going;	    /* missing segments are accepted */
	uint64_t dropped_commits;   /* that they made impossible to apply */
	uint64_t incomplete_names;  /* whose content is not all in the log, when it was opened */
	uint64_t moved_directories; /* by store_move_too_long() */
	uint64_t moved_names;	    /* the last one that it has tried */
	struct log_writer *log;
	struct keydir *keydir;
	struct log_recovery recovery;

	trouble_fn trouble; /* may be NULL */
	void *trouble_arg;

	struct read_gate gate; /* those inside may read from where the keydir has said */
	struct growth growth;
	struct background *background; /* see store_background() */

	/* Outermost lock of the store: held while the tree is changed, the append included.  Log
	 * order is tree order. */
	struct mutex commit_lock;
	struct commit commit GUARDED;		/* by commit_lock */
	struct reserve reserve GUARDED;		/* by commit_lock; for names that are removed */
	struct reserve segment_reserve GUARDED; /* by commit_lock; for a segment written anew */
	uint64_t reserves_until GUARDED; /* by commit_lock: the log's end when they have to grow */
	struct store_staging *stagings GUARDED; /* by commit_lock; all that there are */
	/* By commit_lock; ids under which something is staged in the log that nothing will ever
	 * publish.  Some may be missing. */
	struct number_set void_stagings GUARDED;
	/* By commit_lock; owned; NULL: nothing.  Values that nothing here is read from and that a
	 * replay of the log needs: where two files have had one record a fold has made one for
	 * each, and here both are read from the same. */
	struct content_map *kept GUARDED;
};

/* How far a clock is behind the last record; 0: it is not. */
uint64_t store_clock_behind(struct store *s, int64_t clock_ns);

/* --- putting a commit together; all with commit_lock --- */

void commit_begin(struct store *s) REQUIRES(s->commit_lock);

/* While the clock is behind, an attr record of 'n' says the times that a replay would take from its
 * timestamp: the ctime; both times of what is made or changed. */
void commit_say_ctime(struct store *s, struct meta_attr *attr) REQUIRES(s->commit_lock);
void commit_say_times(struct store *s, struct meta_attr *attr) REQUIRES(s->commit_lock);
/* The same in commits that follow: for directories, and for nodes that a commit about a name has
 * changed (NULL: none).  What cannot be appended has a time in the future after a remount. */
void commit_keep_times(struct store *s, struct node *const *nodes, size_t count)
	REQUIRES(s->commit_lock);

/* Each adds a record about the node 'n' or, unless 'name' is NULL, about 'name' in directory 'n'.
 * A move or link is about entry 'from'. -ENAMETOOLONG: the path is longer than a key can be. */
int commit_add_plain(struct store *s, const struct node *n, const char *name, size_t name_bytes,
		     const void *value, uint32_t value_bytes) REQUIRES(s->commit_lock) WARN_UNUSED;
int commit_add_attr(struct store *s, const struct node *n, const char *name, size_t name_bytes,
		    const struct meta_attr *attr) REQUIRES(s->commit_lock) WARN_UNUSED;
/* Fills in the paths of 'move', which live until the next commit begins. */
int commit_add_move(struct store *s, const struct dentry *from, const struct store_name *to,
		    struct commit_record *move) REQUIRES(s->commit_lock) WARN_UNUSED;

int commit_add_publish(struct store *s, const struct node *n, const struct meta_publish *publish)
	REQUIRES(s->commit_lock) WARN_UNUSED;

/* Appends the commit.  'removes' lets it use the reserve when the disk is full. */
int commit_append(struct store *s, bool removes) REQUIRES(s->commit_lock) WARN_UNUSED;
/* Makes the reserves larger, when the log's end has come to 'reserves_until'.  The first call makes
 * the one for names. */
void store_grow_reserves(struct store *s) REQUIRES(s->commit_lock);
/* For a commit that removes something and has failed with 'err'.  Where that means a full disk,
 * hints are given up, or dead space is compacted, and this waits for it.  True: there is space, try
 * again.  With no lock held. */
bool store_makes_space_for(struct store *s, int err);

/* In the log a file begins with its commit, and a replay gives its directory that time.  A time
 * that was set by hand since the file was made must not be lost by that: adds an attr record of the
 * directory where that is so. */
bool commit_needs_parent_times(const struct node *n);
int commit_add_parent_times(struct store *s, const struct node *n)
	REQUIRES(s->commit_lock) WARN_UNUSED;

/* Commits 'n' as an empty file under the name that it has.  For a node that is not in the log yet.
 */
int store_commit_empty(struct store *s, struct node *n) REQUIRES(s->commit_lock) WARN_UNUSED;

/* Reads pieces of the log into 'buf', which is for ['offset', 'offset' + 'n'): zeros between them.
 * The CRC of each record that was not verified is checked, and 'set_verified' told. */
typedef void (*set_verified_fn)(void *arg, const struct content_piece *piece);
int store_read_pieces(struct store *s, const struct content_piece *pieces, size_t piece_count,
		      uint8_t *buf, size_t n, uint64_t offset, set_verified_fn set_verified,
		      void *arg) WARN_UNUSED;

/* Notes, for this thread, where and why a record could not be read.  Returns -EIO. */
int store_bad_record(const struct value_place *place, const char *reason);
/* The same for an error of a function of writer/log/record_at.h.  Returns -EIO, or 'err' if the
 * record can be read another time or there is none. */
int store_record_error(const struct value_place *place, int err);
/* Tells of a read that got EIO because of the record noted last; 'n' may be NULL.
 * The same of a value that was not committed. */
void store_tell_unreadable(struct store *s, struct node *n);
void store_tell_not_committed(struct store *s, struct node *n, int err);
/* log_writer_config.rotate_failed; "arg" is the store. */
void store_tell_not_rotated(void *arg, int err);

/* What store_commit() and store_publish() have in common: a commit of the content of one file. */
struct content_commit {
	struct node *n;
	struct timespec written_at;
	bool written_at_shown;
	const struct store_set *set;
	/* The content: 'value' or, unless 'publish' is NULL, what that says. */
	const void *value;
	uint32_t value_bytes; /* 0: empty */
	const struct meta_publish *publish;
	const struct content_map *staged;
};
/* 'ret_end' is 0 when the node has no name, so that nothing was appended. */
int store_commit_content(struct store *s, const struct content_commit *cc, uint64_t *ret_end)
	REQUIRES(s->commit_lock) WARN_UNUSED;

/* Moves directories with paths that are longer than a key can be.  When opened; an error leaves
 * them. */
void store_move_too_long(struct store *s);

/* Sets in an attr record the attributes that 'set' has. */
void store_set_to_attr(const struct store_set *set, struct meta_attr *attr);

#endif
