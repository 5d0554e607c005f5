/* SPDX-License-Identifier: MIT */
/* The store's structures, for the files of writer/store/ only: store.c (open, close), keys.c,
 * commit.c (assembling a commit), names.c, attributes.c, content.c (values), staging.c, reserves.c
 * (a full disk), pieces.c (bytes of the log in use) and trouble.c (messages). */
#ifndef FREYJAFS_WRITER_STORE_STORE_PRIVATE_H
#define FREYJAFS_WRITER_STORE_STORE_PRIVATE_H

#include "codec/commit.h"
#include "codec/meta.h"
#include "codec/path.h"
#include "writer/index/content_map.h"
#include "writer/index/keydir.h"
#include "writer/index/node_content.h"
#include "writer/index/node.h"
#include "writer/base/number_set.h"
#include "writer/store/for_background.h"
#include "writer/store/growth.h"
#include "writer/store/read_gate.h"
#include "writer/log/reserve.h"
#include "writer/store.h"
#include "writer/base/thread.h"

#define COMMIT_PARTS_MAX 3

/* One record of a commit that is being assembled.  The key of a plain record begins behind the
 * prefix. */
struct commit_part {
	uint8_t key[META_KEY_PREFIX_BYTES + PATH_BYTES_MAX];
	uint8_t value[META_EXCHANGE_FIXED_BYTES + PATH_BYTES_MAX];
	uint8_t *large; /* for an attr value that does not fit 'value'; owned; grows */
	size_t large_bytes;
};

/* A commit that is being assembled: the records of one group. */
struct commit {
	struct commit_part parts[COMMIT_PARTS_MAX];
	struct record records[COMMIT_PARTS_MAX];
	size_t count;
	struct log_append where; /* filled by commit_append() */
	int64_t now_ns;		 /* filled by commit_append(): the time that the commit shows */
	int64_t clock_ns;	 /* filled by commit_begin() */
	/* Filled by commit_begin(): how far the clock is behind the last record; 0: not behind.  If
	 * it is behind, timestamps continue from that record, and programs must not see them as a
	 * time. */
	uint64_t behind_ns;
};

extern struct lock_class commit_class; /* of store.commit_lock */

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
	uint64_t told_behind_ns GUARDED_BY(commit_class); /* see commit_begin() */
	store_progress_fn progress; /* called while the store is opened; may be NULL */
	void *progress_arg;
	bool accepts_missing;	    /* missing segments are accepted */
	uint64_t dropped_commits;   /* not applied because of missing segments */
	uint64_t incomplete_names;  /* at open: names whose content is not completely in the log */
	uint64_t moved_directories; /* number of directories that store_move_too_long() has moved */
	uint64_t moved_names;	    /* the number in the newest name that it has tried */
	struct log_writer *log;
	struct keydir *keydir;
	struct log_recovery recovery;

	trouble_fn trouble; /* may be NULL */
	void *trouble_arg;

	uint64_t opened_end;	      /* end of the log at open; constant */
	_Atomic uint32_t ahead_bytes; /* of the next store_read_ahead() */
	struct read_gate gate;	      /* inside, positions from the keydir can be read */
	struct growth growth;
	struct background *background; /* see store_background() */

	/* Outermost lock of the store: held while the tree is changed, including the append, so
	 * that the order of the log is the order of the changes. */
	struct mutex commit_lock;
	struct commit commit GUARDED_BY(commit_class);
	struct reserve reserve GUARDED_BY(commit_class); /* for removing names */
	/* For rewriting a segment. */
	struct reserve segment_reserve GUARDED_BY(commit_class);
	uint64_t reserves_until GUARDED_BY(commit_class);	 /* log end at which they grow */
	struct store_staging *stagings GUARDED_BY(commit_class); /* list of all stagings */
	/* Ids of staged extents in the log that will never be published.  Some may
	 * be missing. */
	struct number_set void_stagings GUARDED_BY(commit_class);
	/* Owned; NULL: none.  Values that the store does not read but a replay of
	 * the log needs: if two files had one record, a fold has made one record for each, and here
	 * both files are read from the same. */
	struct content_map *kept GUARDED_BY(commit_class);
};

LOCK_FUNCTIONS(commit, struct store, commit_lock, commit_class);

/* Returns how far a clock is behind the last record; 0: not behind. */
uint64_t store_clock_behind(struct store *s, int64_t clock_ns);

/* --- assembling a commit; all with commit_lock --- */

void commit_begin(struct store *s) REQUIRES(s->commit_lock, commit_class);

/* If the clock is behind, add to an attr record of 'n' the times that a replay would otherwise take
 * from its timestamp: the ctime, or, for a node that is made or changed, both times. */
void commit_say_ctime(struct store *s, struct meta_attr *attr)
	REQUIRES(s->commit_lock, commit_class);
void commit_say_times(struct store *s, struct meta_attr *attr)
	REQUIRES(s->commit_lock, commit_class);
/* If the clock is behind, keeps the times of nodes by commits that follow: of directories, and of
 * nodes that a commit about a name has changed (NULL: none).  A node whose commit cannot be
 * appended has a time in the future after a remount. */
void commit_keep_times(struct store *s, struct node *const *nodes, size_t count)
	REQUIRES(s->commit_lock, commit_class);

/* Each adds a record about the node 'n' or, unless 'name' is NULL, about the entry 'name' in
 * directory 'n'.  A move or link is about entry 'from'.  -ENAMETOOLONG if the path is longer than a
 * key can be. */
int commit_add_plain(struct store *s, const struct node *n, const char *name, size_t name_bytes,
		     const void *value, uint32_t value_bytes)
	REQUIRES(s->commit_lock, commit_class) WARN_UNUSED;
int commit_add_attr(struct store *s, const struct node *n, const char *name, size_t name_bytes,
		    const struct meta_attr *attr)
	REQUIRES(s->commit_lock, commit_class) WARN_UNUSED;
/* Fills in the paths of 'move', which are valid until the next commit begins. */
int commit_add_move(struct store *s, const struct dentry *from, const struct store_name *to,
		    struct commit_record *move) REQUIRES(s->commit_lock, commit_class) WARN_UNUSED;

int commit_add_publish(struct store *s, const struct node *n, const struct meta_publish *publish)
	REQUIRES(s->commit_lock, commit_class) WARN_UNUSED;

/* Appends the commit.  'removes' lets it use the reserve if the disk is full. */
int commit_append(struct store *s, bool removes) REQUIRES(s->commit_lock, commit_class) WARN_UNUSED;
/* Enlarges the reserves if the end of the log has reached 'reserves_until'.  The first call makes
 * the reserve for names. */
void store_grow_reserves(struct store *s) REQUIRES(s->commit_lock, commit_class);
/* For a commit that removes something and has failed with 'err'.  If 'err' means a full disk, gives
 * up hints, or waits until dead space is compacted.  Returns true if space was gained, so that the
 * caller can try again.  No lock may be held. */
bool store_makes_space_for(struct store *s, int err);

/* In the log a file begins with its commit, and a replay gives its directory the time of that
 * commit.  If the directory's time was set explicitly after the file was made, an attr record of
 * the directory in the same commit preserves it: commit_needs_parent_times() returns whether that
 * is so, and commit_add_parent_times() adds the record if it is. */
bool commit_needs_parent_times(const struct node *n);
int commit_add_parent_times(struct store *s, const struct node *n)
	REQUIRES(s->commit_lock, commit_class) WARN_UNUSED;

/* Commits 'n', which must not be in the log yet, as an empty file under its present name. */
int store_commit_empty(struct store *s, struct node *n)
	REQUIRES(s->commit_lock, commit_class) WARN_UNUSED;

/* Reads pieces of the log into 'buf', which receives the range ['offset', 'offset' + 'n'); bytes
 * between the pieces become zeros.  Checks the CRC of each record that was not verified, and then
 * notes that: for the content of 'node', or in 'map', unless both are NULL. */
struct store_reader {
	struct store *s;
	struct node *node;
	struct content_map *map;
};
int store_read_pieces(const struct store_reader *r, const struct content_pieces *pieces,
		      uint8_t *buf, size_t n, uint64_t offset) WARN_UNUSED;
/* As store_read(), without a message.  The caller must be inside the gate. */
ssize_t store_read_value(struct store *s, struct node *n, void *buf, size_t buf_bytes,
			 uint64_t offset) WARN_UNUSED;

/* Notes, for this thread, the position of a record that could not be read, and the reason.  Returns
 * -EIO. */
int store_bad_record(const struct value_position *value, const char *reason);
/* Notes the position as store_bad_record() does, for an error of a function of
 * writer/log/record_at.h.  Returns -EIO, or 'err' if it is 0 or a later read may succeed. */
int store_record_error(const struct value_position *value, int err);
/* Report a read that failed with EIO because of the record noted last ('n' may be NULL), and a
 * value that was not committed. */
void store_tell_unreadable(struct store *s, struct node *n);
void store_tell_not_committed(struct store *s, struct node *n, int err);
/* log_writer_config.rotate_failed; 'arg' is the store. */
void store_tell_not_rotated(void *arg, int err);

/* The common part of store_commit() and store_publish(): a commit of the content of one file. */
struct content_commit {
	struct node *n;
	const struct store_content *content;
	const struct meta_publish *publish; /* of 'staged'; NULL: the value in 'content' */
	const struct content_map *staged;
};
/* 'ret_end' is 0 if the node has no name, so that nothing was appended. */
int store_commit_content(struct store *s, const struct content_commit *cc, uint64_t *ret_end)
	REQUIRES(s->commit_lock, commit_class) WARN_UNUSED;

/* Moves directories whose paths are longer than a key can be.  For opening; on errors they stay. */
void store_move_too_long(struct store *s);

/* Sets the attributes that 'set' has in an attr record. */
void store_set_to_attr(const struct store_set *set, struct meta_attr *attr);

#endif
