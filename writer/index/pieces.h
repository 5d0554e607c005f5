/* SPDX-License-Identifier: MIT */
/* Pieces: all bytes of the log that a tree reads, for compaction and for a scrub. */
#ifndef FREYJAFS_WRITER_INDEX_PIECES_H
#define FREYJAFS_WRITER_INDEX_PIECES_H

#include "writer/index/content_map.h"
#include "writer/index/keydir.h"

/* Calls 'fn' for each position, as a piece of content: for the pieces of at most 'nodes' nodes from
 * '*cursor' (0: from the start) on, including pinned ones without a name and those of unnameable
 * keys.  Returns false if these were the last.  With the commit lock; if that is released between
 * two calls, some pieces may come twice, and pieces of records appended since the beginning may be
 * missed.  If a file got the content of another one in the meantime, all pieces come again.  'fn'
 * returns true if it has changed the position of the bytes, which is only allowed with 'changes'.
 * Takes the keydir lock. */
bool keydir_each_piece(struct keydir *k, uint64_t *cursor, size_t nodes, bool changes,
		       content_piece_fn fn, void *arg);

#endif
