/* SPDX-License-Identifier: MIT */
/* The content of a file: one record of the log, or a map of pieces of records.
 *
 * Threads: see keydir.h. */
#ifndef FREYJAFS_WRITER_INDEX_NODE_CONTENT_H
#define FREYJAFS_WRITER_INDEX_NODE_CONTENT_H

#include "writer/index/node.h"

/* --- reading; any thread; takes the lock --- */

/* Pieces of a content, copied. */
struct content_pieces {
	struct content_piece *pieces; /* owned by the caller; 'capacity' is their capacity */
	size_t capacity;
	size_t count;	     /* filled in */
	uint64_t size_bytes; /* filled in: the size of the whole content */
};
/* Copies the pieces that have bytes in ['offset', 'end'), up to the capacity; they are not cut to
 * the range.  Returns their number. */
size_t keydir_pieces(struct keydir *k, struct node *n, uint64_t offset, uint64_t end,
		     struct content_pieces *ret);
/* Notes that the CRC of the record of 'piece' is right, if the content still has that piece. */
void keydir_set_verified(struct keydir *k, struct node *n, const struct content_piece *piece);

/* Returns the size of a content, or of the target of a symlink.  With the lock. */
uint64_t node_size_bytes(const struct node *n);

/* --- all bytes of the log that a tree reads, for compaction and for a scrub --- */

/* Calls 'fn' for each position, as a piece of content: for the pieces of at most 'nodes' nodes from
 * '*cursor' (0: from the start) on, including pinned ones without a name and those of unnameable
 * keys.  Returns false if these were the last.  With the commit lock; if that is released between
 * two calls, some pieces may come twice, and pieces of records appended since the beginning may be
 * missed.  If a file got the content of another one in the meantime, all pieces come again.  'fn'
 * returns true if it has changed the position of the bytes, which is only allowed with 'changes'.
 * Takes the keydir lock. */
bool keydir_each_piece(struct keydir *k, uint64_t *cursor, size_t nodes, bool changes,
		       content_piece_fn fn, void *arg);

/* --- publishing staged content, in two steps: no step can fail after keydir_prepare_publish() ---
 */

struct content_change {
	const struct content_map *staged; /* NULL: nothing */
	bool keep;		   /* 'staged' is laid over the present content of the file */
	uint64_t size_bytes;	   /* of the file, after the change */
	struct content_map *fresh; /* made by keydir_prepare_publish() if needed; owned */
};
/* Prepares keydir_publish().  Takes the lock.  -ENOMEM. */
int keydir_prepare_publish(struct keydir *k, struct node *n,
			   struct content_change *change) WARN_UNUSED;
/* Frees the results of keydir_prepare_publish(). */
void keydir_drop_publish(struct content_change *change);
/* Changes the content of 'n', and sets mtime and ctime.  With the write lock. */
void keydir_publish(struct keydir *k, struct node *n, struct content_change *change,
		    int64_t now_ns);

/* Sets the content of 'n' to 'value'.  Sets mtime and ctime.  With the write lock. */
void keydir_set_value(struct keydir *k, struct node *n, const struct value_position *value,
		      int64_t now_ns);

#endif
