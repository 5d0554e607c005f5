/* SPDX-License-Identifier: MIT */
/* What a file is made of when it is more than one record: a map from its bytes to records of the
 * log, or of what is staged for one.
 *
 * Pieces do not overlap; between them are holes, which read as zeros.  In a content that keeps
 * holes (a staging) a piece can be a hole, too: zeros that are to be laid over something.
 *
 * Threads: as whoever holds it says; the keydir's under its lock.  Only content_map_new(),
 * content_map_copy() and content_map_reserve() allocate, so nothing else can fail. */
#ifndef FREYJAFS_WRITER_INDEX_CONTENT_MAP_H
#define FREYJAFS_WRITER_INDEX_CONTENT_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/compiler.h"
#include "writer/log/record_at.h"

struct content_map; /* opaque, see content_map.c */

struct content_piece {
	uint64_t offset, bytes;	  /* in the file */
	struct value_place place; /* the record that has the bytes */
	uint32_t value_offset;	  /* where in its value they begin */
	bool hole;		  /* there is no record: zeros */
	bool dropped;		  /* there is no record any more: the bytes cannot be read */
	bool verified;		  /* the CRC of the record has been checked since open */
};

/* Empty, of size 0.  NULL: no memory. */
struct content_map *content_map_new(bool keeps_holes);
struct content_map *content_map_copy(const struct content_map *c); /* without what is reserved */
void content_map_free(struct content_map *c);			   /* NULL is a no-op */

/* Makes sure that 'pieces' can be laid before the next call of it.  -ENOMEM. */
int content_map_reserve(struct content_map *c, size_t pieces) WARN_UNUSED;
/* Puts a piece over what is there, and makes the content longer if it goes past the end.  One piece
 * has been reserved. */
void content_map_lay(struct content_map *c, const struct content_piece *piece);
/* Lays all pieces of 'over'; as many have been reserved.  The size is that of the longer one. */
void content_map_lay_all(struct content_map *c, const struct content_map *over);
/* Cuts what is past the new size, or leaves a hole up to it. */
void content_map_set_size(struct content_map *c, uint64_t size_bytes);

/* Copies the first piece that ends behind 'offset'.  False: there is none. */
bool content_map_find(const struct content_map *c, uint64_t offset, struct content_piece *ret);
/* The piece at 'offset' has been checked, if it is still of the record at 'place'. */
void content_map_set_verified(struct content_map *c, uint64_t offset,
			      const struct value_place *place);

/* Calls 'fn' with each piece that is read from a record.  It may change the place of the record and
 * where in its value the bytes begin, and returns true then; nothing else. */
typedef bool (*content_piece_fn)(void *arg, struct content_piece *piece);
void content_map_each(struct content_map *c, content_piece_fn fn, void *arg);

uint64_t content_map_size(const struct content_map *c);
uint64_t content_map_pieces(const struct content_map *c);
uint64_t content_map_data_bytes(const struct content_map *c); /* without holes and dropped ones */
uint64_t content_map_dropped_bytes(const struct content_map *c); /* that cannot be read */
/* What keeps records of the log alive: the bytes that are read from them and, for each piece, what
 * a record has around them.  Of a record that is read from in two pieces the latter counts twice.
 */
uint64_t content_map_live_bytes(const struct content_map *c);

#endif
