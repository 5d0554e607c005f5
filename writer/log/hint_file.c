/* SPDX-License-Identifier: MIT */
#include "writer/log/hint_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/crc32.h"
#include "codec/le.h"
#include "codec/record.h"
#include "writer/base/pages.h"

#define BUFFER_BYTES ((size_t)256 * 1024)
#define DROP_BYTES   PAGES_HUGE_BYTES /* bytes of a hint given back at a time */
/* No hint is made if less than this is free, and less than this share of the disk. */
#define SPARE_BYTES ((uint64_t)64 * 1024 * 1024)
#define SPARE_SHARE 32

/* Reads the first bytes of the last record of a segment: its CRC. */
static bool read_last_crc(struct io *io, int fd, uint64_t offset, uint32_t *ret)
{
	uint8_t bytes[sizeof(*ret)];

	if (io_pread_all(io, fd, bytes, sizeof(bytes), offset) != (ssize_t)sizeof(bytes))
		return false;
	*ret = le32_load(bytes);
	return true;
}

/* --- reading --- */

struct hint_reader {
	uint8_t *bytes;	      /* owned; the whole file, checked */
	size_t mapped_bytes;  /* of memory by pages_map(); 0: it is from malloc() */
	size_t dropped_bytes; /* of it, given back from the front */
	size_t byte_count, pos;
	uint64_t offset; /* of the next record in the segment */
};

/* Returns whether the hint belongs to this very segment. */
static bool is_about(struct io *io, const struct hint_header *h, const struct hint_about *about)
{
	const struct manifest_facts *f = about->facts;
	uint32_t crc;

	if (f != NULL &&
	    (h->records != f->records || h->first_timestamp_ns != f->first_timestamp_ns ||
	     h->last_timestamp_ns != f->last_timestamp_ns))
		return false;
	return h->segment == about->segment && h->segment_bytes == about->segment_bytes &&
	       h->records > 0 &&
	       read_last_crc(io, about->segment_fd, h->last_record_offset, &crc) &&
	       crc == h->last_record_crc;
}

/* Allocates memory for 'bytes'.  A mapping is not useful for a hint from which nothing could be
 * dropped. */
static void take_memory(struct hint_reader *r, size_t bytes)
{
	r->byte_count = bytes;
	if (bytes < DROP_BYTES) {
		r->bytes = malloc(bytes);
		return;
	}
	r->mapped_bytes = (bytes + DROP_BYTES - 1) / DROP_BYTES * DROP_BYTES;
	r->bytes = pages_map(r->mapped_bytes, PAGES_HUGE_BYTES);
}

/* Reads a whole file of at most 'bytes_max'. */
static bool read_file(struct hint_reader *r, struct io *io, int dir_fd, const char *name,
		      uint64_t bytes_max)
{
	int fd = io_open(io, dir_fd, name, O_RDONLY, 0);
	struct io_stat st = { 0 };
	bool whole = false;

	if (fd < 0)
		return false;
	if (io_stat(io, fd, &st) == 0 && st.size_bytes > 0 && st.size_bytes <= bytes_max)
		take_memory(r, (size_t)st.size_bytes);
	if (r->bytes != NULL)
		whole = io_pread_all(io, fd, r->bytes, r->byte_count, 0) == (ssize_t)r->byte_count;
	(void)io_close(io, &fd);
	return whole;
}

struct hint_reader *hint_reader_open(struct io *io, int dir_fd, const struct hint_about *about)
{
	struct hint_reader *r;
	struct hint_header h;

	/* No entry is larger than its record. */
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return NULL;
	if (!read_file(r, io, dir_fd, about->name, about->segment_bytes + HINT_HEADER_BYTES) ||
	    !hint_check(r->bytes, r->byte_count, &h) || !is_about(io, &h, about)) {
		hint_reader_close(r);
		return NULL;
	}
	r->pos = HINT_HEADER_BYTES;
	return r;
}

struct hint_reader *hint_reader_open_any(struct io *io, int dir_fd, const char *name,
					 uint64_t segment, struct hint_header *ret)
{
	struct hint_reader *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	if (!read_file(r, io, dir_fd, name, SIZE_MAX) ||
	    !hint_check(r->bytes, r->byte_count, ret) || ret->segment != segment ||
	    ret->records == 0) {
		hint_reader_close(r);
		return NULL;
	}
	r->pos = HINT_HEADER_BYTES;
	return r;
}

void hint_reader_drop(struct hint_reader *r)
{
	size_t drop = r->pos / DROP_BYTES * DROP_BYTES;

	pages_unmap(r->bytes + r->dropped_bytes, drop - r->dropped_bytes);
	r->dropped_bytes = drop;
}

int hint_reader_next(struct hint_reader *r, struct log_entry *ret)
{
	size_t bytes;

	if (r->pos == r->byte_count)
		return 0;
	bytes = hint_entry_decode(r->bytes + r->pos, r->byte_count - r->pos, &ret->rec,
				  &ret->value_held_bytes);
	ret->offset = r->offset;
	ret->bytes = record_bytes(ret->rec.key_bytes, ret->rec.value_bytes);
	r->offset += ret->bytes;
	r->pos += bytes;
	return 1;
}

void hint_reader_close(struct hint_reader *r)
{
	if (r == NULL)
		return;
	if (r->mapped_bytes == 0)
		free(r->bytes);
	else if (r->bytes != NULL)
		pages_unmap(r->bytes + r->dropped_bytes, r->mapped_bytes - r->dropped_bytes);
	free(r);
}

/* --- writing --- */

struct hint_writer {
	struct io *io;
	int dir_fd;
	int fd;
	char name[NAME_MAX + 1]; /* the temporary name */
	uint8_t *buffer;
	size_t buffered;
	uint64_t written; /* bytes of the file */
	uint32_t body_crc;
	struct hint_header header;
	bool failed;
};

/* The last free space is for files that cannot be made again. */
static bool is_nearly_full(struct io *io, int dir_fd)
{
	struct io_space disk;
	uint64_t available;

	if (io_space(io, dir_fd, &disk) < 0)
		return false;
	available = disk.blocks_available * disk.block_bytes;
	return available < SPARE_BYTES && available < disk.blocks * disk.block_bytes / SPARE_SHARE;
}

struct hint_writer *hint_writer_open(struct io *io, int dir_fd, const char *name)
{
	struct hint_writer *w;
	int len;

	if (is_nearly_full(io, dir_fd))
		return NULL;
	w = calloc(1, sizeof(*w));
	if (w == NULL)
		return NULL;
	w->io = io;
	w->dir_fd = dir_fd;
	w->written = HINT_HEADER_BYTES; /* the header is written last */
	len = snprintf(w->name, sizeof(w->name), "%s" SEGMENT_TEMP_SUFFIX, name);
	w->fd = -1;
	w->buffer = malloc(BUFFER_BYTES);
	if (w->buffer != NULL && len > 0 && (size_t)len < sizeof(w->name))
		w->fd = io_open(io, dir_fd, w->name, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (w->fd < 0) {
		free(w->buffer);
		free(w);
		return NULL;
	}
	return w;
}

static void write_out(struct hint_writer *w, const void *bytes, size_t n)
{
	if (!w->failed && io_pwrite_all(w->io, w->fd, bytes, n, w->written) < 0)
		w->failed = true;
	w->written += n;
}

static void flush(struct hint_writer *w)
{
	if (w->buffered > 0)
		write_out(w, w->buffer, w->buffered);
	w->buffered = 0;
}

void hint_writer_add(struct hint_writer *w, const struct log_entry *entry)
{
	const struct record *rec = &entry->rec;
	uint8_t *out, *large = NULL;
	uint32_t held;
	size_t bytes;

	if (w == NULL || w->failed)
		return;
	held = hint_held_bytes(rec->key, rec->key_bytes, rec->value_bytes);
	bytes = hint_entry_bytes(rec->key_bytes, held);
	if (held > entry->value_held_bytes) {
		w->failed = true; /* a meta record that no version writes */
		return;
	}
	if (w->buffered + bytes > BUFFER_BYTES)
		flush(w);
	if (bytes > BUFFER_BYTES) {
		large = malloc(bytes);
		w->failed = large == NULL;
		if (w->failed)
			return;
	}
	out = large != NULL ? large : w->buffer + w->buffered;
	hint_entry_encode(rec, held, out);
	w->body_crc = crc32_extend(w->body_crc, out, bytes);
	if (large != NULL)
		write_out(w, large, bytes);
	else
		w->buffered += bytes;
	free(large);
	w->header.records++;
	w->header.last_record_offset = w->header.segment_bytes;
	w->header.segment_bytes += entry->bytes;
}

/* Writes the header and gives the file its name. */
static bool complete(struct hint_writer *w, const struct hint_about *about)
{
	uint8_t header[HINT_HEADER_BYTES];

	flush(w);
	if (w->failed || w->header.records == 0 || w->header.segment_bytes != about->segment_bytes)
		return false;
	w->header.segment = about->segment;
	w->header.hint_bytes = w->written;
	if (!read_last_crc(w->io, about->segment_fd, w->header.last_record_offset,
			   &w->header.last_record_crc))
		return false;
	hint_header_encode(&w->header, w->body_crc, header);
	return io_pwrite_all(w->io, w->fd, header, sizeof(header), 0) == 0 &&
	       io_rename(w->io, w->dir_fd, w->name, about->name) == 0;
}

void hint_writer_close(struct hint_writer *w, const struct hint_about *about)
{
	if (w == NULL)
		return;
	if (about == NULL || !complete(w, about))
		(void)!io_unlink(w->io, w->dir_fd, w->name); /* nothing else would remove it */
	(void)io_close(w->io, &w->fd); /* the CRC shows bytes that are missing */
	free(w->buffer);
	free(w);
}

bool hint_file_make(struct io *io, int dir_fd, const struct hint_about *about,
		    const atomic_bool *stop, struct manifest_facts *ret_facts)
{
	struct manifest_facts facts;
	struct manifest_scan scan;
	struct hint_writer *w;
	struct log_reader *r;
	struct log_entry entry;
	bool whole = false;
	int more = 1;

	if (log_reader_open(io, about->segment_fd, 0, about->segment_bytes, &r) < 0)
		return false;
	manifest_scan_init(&scan, true);
	w = about->name != NULL ? hint_writer_open(io, dir_fd, about->name) : NULL;
	while ((stop == NULL || !atomic_load(stop)) && (more = log_reader_next(r, &entry)) > 0) {
		hint_writer_add(w, &entry);
		manifest_scan_add(&scan, entry.offset, entry.crc, &entry.rec);
	}
	if (more == 0) {
		struct log_stop end = log_reader_stop(r);

		whole = end.scan == RECORD_END && end.offset == about->segment_bytes;
	}
	facts = manifest_scan_finish(&scan);
	if (whole && ret_facts != NULL)
		*ret_facts = facts;
	hint_writer_close(w, whole ? about : NULL);
	log_reader_close(r);
	return whole;
}

/* --- a full disk --- */

/* Names of hints, one after the other, each with its NUL byte. */
struct hint_names {
	char *text;
	size_t bytes;
};

/* Adds the name of a hint: of a segment, of the active one, or of one that is being written. */
static int add_hint_name(void *arg, const char *name)
{
	struct hint_names *names = arg;
	struct segment_id id;
	char *text;
	bool temp;

	if (!hint_name_parse(name, &id, &temp))
		return 0;
	text = realloc(names->text, names->bytes + strlen(name) + 1);
	if (text == NULL)
		return -ENOMEM;
	memcpy(text + names->bytes, name, strlen(name) + 1);
	names->text = text;
	names->bytes += strlen(name) + 1;
	return 0;
}

bool hint_files_drop(struct io *io, int dir_fd)
{
	struct hint_names names = { NULL, 0 };
	bool any = false;

	(void)!io_list(io, dir_fd, add_hint_name, &names); /* or a part of the names */
	for (size_t at = 0; at < names.bytes; at += strlen(names.text + at) + 1)
		any = io_unlink(io, dir_fd, names.text + at) == 0 || any;
	free(names.text);
	return any;
}
