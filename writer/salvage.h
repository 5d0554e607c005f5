/* SPDX-License-Identifier: MIT */
/* Salvage: what is whole in a damaged segment, and the segment without the rest.
 *
 * A length whose CRC is wrong is not believed: behind a record that is not whole the next one is
 * searched for byte by byte.  But what stands inside the length that it claims may be its own
 * value, and a value can be the image of a log; what looks like records there is counted and not
 * taken, unless the caller says so.
 *
 * Threads: one at a time. */
#ifndef FREYJAFS_WRITER_SALVAGE_H
#define FREYJAFS_WRITER_SALVAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/compiler.h"
#include "writer/io.h"

#define SALVAGE_NAME_BYTES   128
#define SALVAGE_REASON_BYTES 120

/* Bytes of a segment that belong to no commit that can be kept. */
struct salvage_lost {
	uint64_t offset, bytes;
	char reason[SALVAGE_REASON_BYTES];
	uint64_t inside;      /* records in it that look whole, and may be part of a value */
	uint64_t inside_from; /* where the first of them is */
	char saved_as[SALVAGE_NAME_BYTES]; /* set by salvage_write() */
};

/* Lost ranges in the order of their offsets; they do not overlap. */
struct salvage {
	struct salvage_lost *lost; /* owned */
	size_t count, room;
	uint64_t records; /* that are kept */
};

/* Reads a segment of 'file_bytes' and adds what is lost in it.  'take_inside': records inside a
 * claimed length are taken, too.  -ENOMEM; -EIO and others while reading: nothing is concluded. */
int salvage_scan(struct io *io, int fd, uint64_t file_bytes, bool take_inside,
		 struct salvage *ret) WARN_UNUSED;
/* Adds a range.  -ENOMEM. */
int salvage_add(struct salvage *s, uint64_t offset, uint64_t bytes, const char *reason) WARN_UNUSED;
void salvage_free(struct salvage *s);

/* Where a byte of the old file is in the new one: if it is lost, where what was lost would be. */
uint64_t salvage_new_offset(const struct salvage *s, uint64_t offset);

/* Puts a file without the lost ranges in the place of 'name': 1. each range is saved in quarantine/
 * with a report, and synced; 2. the new file is written under another name and synced; 3. it is
 * renamed and the directory synced.  Killed at any point, the old file or the new one is there.
 * Stores the size of the new one. */
int salvage_write(struct io *io, int dir_fd, const char *name, int fd, uint64_t file_bytes,
		  struct salvage *s, uint64_t *ret_bytes) WARN_UNUSED;

#endif
