/* SPDX-License-Identifier: MIT */
/* Quarantine: saving parts of files under quarantine/ before they are cut or replaced, with a
 * report for people next to each.  A file there is either durable or missing.  Threads: one at a
 * time. */
#ifndef FREYJAFS_WRITER_LOG_QUARANTINE_H
#define FREYJAFS_WRITER_LOG_QUARANTINE_H

#include <stddef.h>
#include <stdint.h>

#include "codec/compiler.h"
#include "writer/base/io.h"

/* A part of a file. */
struct file_part {
	struct io *io; /* for reading 'fd' */
	int fd;
	uint64_t from, bytes;
	const uint8_t *held; /* the bytes, if they are in memory; NULL: they are read */
};

/* Copies the part to offset 'to' of another file.  -EIO if the file is shorter than the part.
 * -ENOMEM. */
int file_part_copy(const struct file_part *part, struct io *io, int to_fd, uint64_t to) WARN_UNUSED;

/* Opens the directory, which is made if missing.  Returns a descriptor that the caller owns, or
 * -errno. */
int quarantine_open(struct io *io, int dir_fd) WARN_UNUSED;

/* Stores a name for bytes of 'file_name' from 'offset' on, with 'variant' ("" or ".unfit").
 * -ENAMETOOLONG. */
int quarantine_name(const char *file_name, const char *variant, uint64_t offset, uint64_t now_ns,
		    char *ret, size_t ret_size) WARN_UNUSED;

/* Saves the part as the new file 'name' and syncs it.  Removes it on failure. */
int quarantine_save(struct io *io, int quarantine_fd, const char *name,
		    const struct file_part *part) WARN_UNUSED;

/* Writes the report for a file that has, or would have, the name 'name'. */
int quarantine_report(struct io *io, int quarantine_fd, const char *name, const char *format, ...)
	__attribute__((format(printf, 4, 5))) WARN_UNUSED;

#endif
