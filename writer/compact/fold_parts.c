/* SPDX-License-Identifier: MIT */
/* The segments of a base.  A base is one sequence of records, which is divided between commits, so
 * that each part can be compacted by itself, with as much space as a segment needs.
 *
 * How many parts there are is known when all of them are written, and so are their numbers: the
 * last one gets the highest.  The segment record of each is written when it begins, with zeros, and
 * again at the end. */
#include "writer/compact/fold_private.h"

int fold_begin_record(struct fold_writer *w, uint64_t bytes)
{
	const struct fold_base *b = w->b;
	uint64_t in_part = compact_out_end(&w->to);

	if (w->in_group || in_part < b->part_least || in_part + bytes <= b->part_most ||
	    b->part_count == b->parts_max)
		return 0;
	return fold_begin_part(w);
}

/* The part at hand has all its records. */
static int end_part(struct fold_writer *w)
{
	struct fold_part *part = &w->b->parts[w->b->part_count - 1];
	int err = compact_out_flush(&w->to);

	if (err == 0) /* the reserve is longer; the next part may need what is left of it */
		err = io_truncate(w->b->io, part->fd, w->to.written);
	part->bytes = w->to.written;
	part->other_bytes = w->to.written - (w->live_bytes - w->live_before);
	w->before_bytes += w->to.written;
	w->live_before = w->live_bytes;
	w->to.written = w->to.unsynced = 0;
	return err;
}

int fold_begin_part(struct fold_writer *w)
{
	static const uint8_t zeros[LOG_WRITER_NUMBER_BYTES];
	struct fold_base *b = w->b;
	int err = b->part_count > 0 ? end_part(w) : 0, fd;

	if (err < 0)
		return err;
	fd = b->new_part(b->arg);
	if (fd < 0)
		return fd;
	b->parts[b->part_count++] = (struct fold_part){ .fd = fd };
	w->to.fd = fd;
	/* The first one begins with the base record. */
	return b->part_count == 1 ? 0 : compact_out_add(&w->to, zeros, sizeof(zeros));
}

/* Writes the base record again, now that it is known what it says. */
static int write_base_record(const struct fold_base *b)
{
	const struct meta_base base = { .as_of_ns = b->as_of_ns, .other_bytes = b->other_bytes };
	uint8_t bytes[RECORD_HEADER_BYTES + META_KEY_PREFIX_BYTES + META_BASE_BYTES];
	uint8_t key[META_KEY_PREFIX_BYTES], value[META_BASE_BYTES];
	const struct record rec = { .timestamp_ns = b->as_of_ns,
				    .key = key,
				    .key_bytes = sizeof(key),
				    .value = value,
				    .value_bytes = sizeof(value) };

	meta_key_prefix(META_BASE, key);
	meta_base_encode(&base, value);
	record_encode(&rec, bytes);
	return io_pwrite_all(b->io, b->parts[0].fd, bytes, sizeof(bytes), 0);
}

static int write_number(const struct fold_base *b, size_t index)
{
	uint64_t number = b->last_number - (b->part_count - 1 - index);
	uint8_t bytes[LOG_WRITER_NUMBER_BYTES];

	log_writer_number_record(b->log, number, b->as_of_ns, bytes);
	return io_pwrite_all(b->io, b->parts[index].fd, bytes, sizeof(bytes), 0);
}

int fold_finish_parts(struct fold_writer *w)
{
	struct fold_base *b = w->b;
	int err = end_part(w);

	b->to_bytes = w->before_bytes;
	b->other_bytes = w->before_bytes - w->live_bytes;
	for (size_t i = 0; err == 0 && i < b->part_count; i++) {
		err = i == 0 ? write_base_record(b) : write_number(b, i);
		if (err == 0)
			err = io_fsync(b->io, b->parts[i].fd);
	}
	return err;
}
