/* SPDX-License-Identifier: MIT */
/* The store for the rest of writer/: writer/open.c opens and closes it, and compaction and scrub
 * work while it serves requests.  Any thread may call these functions, with no lock of the store
 * held. */
#ifndef FREYJAFS_WRITER_STORE_FOR_BACKGROUND_H
#define FREYJAFS_WRITER_STORE_FOR_BACKGROUND_H

#include "writer/index/content_map.h"
#include "writer/index/keydir.h"
#include "writer/store.h"
#include "writer/store/growth.h"

/* --- for writer/open.c --- */

/* As store_open(), without background work. */
int store_open_alone(const struct store_config *config, struct store **ret,
		     struct diag *diag) WARN_UNUSED;
/* As store_close(); requires that background work has ended. */
int store_close_alone(struct store *s) WARN_UNUSED;
/* As store_stats(), without the figures of compaction and scrub. */
void store_stats_alone(struct store *s, struct store_stats *ret);

/* The background work of 's' (NULL: none).  Its opener owns it; the store only keeps the pointer.
 */
struct background;
struct background *store_background(struct store *s);
void store_set_background(struct store *s, struct background *b);

/* --- the layers below the store --- */

/* Borrowed from the store; constant while it is open. */
struct store_parts {
	struct io *io;
	int dir_fd; /* DATADIR */
	struct log_writer *log;
	struct keydir *keydir;
	struct growth *growth;
	uint64_t segment_bytes_max; /* as configured */
	bool read_only;
	bool segments_missing;
};
struct store_parts store_parts(struct store *s);

/* Passes a message to the function that the store was opened with, if there is one. */
void store_tell(struct store *s, const struct trouble *t);

/* --- positions in the log that the store reads from --- */

/* As keydir_each_piece(), and with the last nodes also calls 'fn' for everything that
 * store_keep_piece() keeps.  Takes the commit lock. */
bool store_each_piece(struct store *s, uint64_t *cursor, size_t nodes, bool changes,
		      content_piece_fn fn, void *arg);
/* Calls 'fn' for every staged piece; 'fn' must not change anything. */
void store_each_staged(struct store *s, content_piece_fn fn, void *arg);
/* Returns the number of staged bytes that may become the content of a file. */
uint64_t store_all_staged_bytes(struct store *s);
/* Returns whether the extents staged under the id will certainly never be published. */
bool store_is_void_staging(struct store *s, uint64_t id);
/* store_keep_piece() keeps 'bytes' of the value at 'value', from 'value_offset' on: the store does
 * not read them, but a replay of the log needs them.  store_reserve_kept() reserves memory for
 * 'count' calls.  -ENOMEM. */
int store_reserve_kept(struct store *s, size_t count) WARN_UNUSED;
void store_keep_piece(struct store *s, const struct value_position *value, uint64_t value_offset,
		      uint64_t bytes);
/* Waits until no thread reads any more from a position that the keydir had before the call. */
void store_wait_for_readers(struct store *s);

/* --- the reserves (store/reserves.c) --- */

/* Makes both reserves as large as required for segments of 'segment_bytes'.  Returns the size that
 * segments may have, at most 'segment_bytes'. */
uint64_t store_keep_reserves(struct store *s, uint64_t segment_bytes);
/* Return the present and the intended size in bytes of the reserve for a new segment. */
uint64_t store_segment_reserve_bytes(struct store *s);
uint64_t store_segment_reserve_goal(struct store *s);
/* As reserve_probe() and reserve_take(), for that reserve. */
int store_probe_segment_reserve(struct store *s) WARN_UNUSED;
int store_take_segment_reserve(struct store *s, const char *name) WARN_UNUSED;
/* Gives up the hints, then a part of the reserve for removing names, then that reserve's inode: one
 * of these for each call.  Returns false if nothing is left. */
bool store_release_reserve(struct store *s);

#endif
