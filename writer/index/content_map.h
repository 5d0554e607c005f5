/* SPDX-License-Identifier: MIT */
/* The content of a file that is more than one record: a map from the bytes of the file to records
 * of the log, also for content that is staged.
 *
 * Pieces do not overlap; between them are holes, which read as zeros.  In a content that keeps
 * holes (a staging) a piece can be a hole, too: zeros that replace bytes of the content it is laid
 * over.
 *
 * Threads: one at a time; the keydir's maps are under its lock.  Only content_map_new() and
 * content_map_reserve() allocate memory, so no other function can fail. */
#ifndef FREYJAFS_WRITER_INDEX_CONTENT_MAP_H
#define FREYJAFS_WRITER_INDEX_CONTENT_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/compiler.h"
#include "writer/log/record_at.h"

struct content_map; /* defined in content_map.c */

struct content_piece {
	uint64_t offset, bytes;	     /* in the file */
	struct value_position value; /* the record that has the bytes */
	uint32_t value_offset;	     /* offset in its value */
	bool hole;		     /* no record: zeros */
	bool dropped;  /* the record does not exist any more: the bytes cannot be read */
	bool verified; /* the CRC of the record has been checked since open */
};

/* Makes an empty content of size 0.  The caller frees it with content_map_free().  NULL: no memory.
 */
struct content_map *content_map_new(bool keeps_holes);
void content_map_free(struct content_map *c); /* NULL is a no-op */

/* Reserves memory for 'pieces' calls of content_map_lay() before the next reservation.  -ENOMEM. */
int content_map_reserve(struct content_map *c, size_t pieces) WARN_UNUSED;
/* Lays a piece over the content, and makes the content longer if the piece ends behind its end.
 * Requires a reservation for one piece. */
void content_map_lay(struct content_map *c, const struct content_piece *piece);
/* Lays all pieces of 'over'.  Requires a reservation for as many.  The new size is the larger of
 * the two. */
void content_map_lay_all(struct content_map *c, const struct content_map *over);
/* Cuts the content at the new size, or extends it by a hole. */
void content_map_set_size(struct content_map *c, uint64_t size_bytes);

/* Copies the first piece that ends behind 'offset'.  Returns false if there is none. */
bool content_map_find(const struct content_map *c, uint64_t offset, struct content_piece *ret);
/* Notes that the record of the piece at 'offset' has been checked, if the piece still belongs to
 * the record at 'value'. */
void content_map_set_verified(struct content_map *c, uint64_t offset,
			      const struct value_position *value);

/* Calls 'fn' for each piece that is read from a record.  'fn' may change the position of the record
 * and the offset in its value, and then returns true; it must not change anything else. */
typedef bool (*content_piece_fn)(void *arg, struct content_piece *piece);
void content_map_each(struct content_map *c, content_piece_fn fn, void *arg);

uint64_t content_map_size(const struct content_map *c);
uint64_t content_map_pieces(const struct content_map *c);
uint64_t content_map_data_bytes(const struct content_map *c); /* without holes and dropped bytes */
uint64_t content_map_dropped_bytes(const struct content_map *c); /* bytes that cannot be read */
/* Returns the bytes of the log that the content keeps alive: the bytes that are read from records
 * and, for each piece, a record's header and key.  For a record that is read in two pieces the
 * latter count twice. */
uint64_t content_map_live_bytes(const struct content_map *c);

#endif
