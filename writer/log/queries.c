/* SPDX-License-Identifier: MIT */
/* Reading from an open log, and its figures. */
#include <string.h>

#include "writer/log/log_writer_private.h"

/* --- reading --- */

/* Reads from the active segment, whose end may still be in the buffer. */
static ssize_t read_active(struct log_writer *w, void *buf, size_t n, uint64_t position)
	RELEASES(w->lock, log_class)
{
	size_t from_file = 0, from_buffer;
	uint64_t start = w->active_start;
	int fd = w->fd;
	ssize_t got = 0;

	if (n > w->end_position - position)
		n = (size_t)(w->end_position - position);
	if (position < w->written_position)
		from_file = w->written_position - position < n
				    ? (size_t)(w->written_position - position)
				    : n;
	from_buffer = n - from_file;
	if (from_buffer > 0)
		memcpy((uint8_t *)buf + from_file,
		       w->buffer + (position + from_file - w->written_position), from_buffer);
	segments_hold(&w->segments); /* it may be rotated, sealed and replaced in the meantime */
	log_unlock(w);
	if (from_file > 0)
		got = io_pread_all(w->io, fd, buf, from_file, position - start);
	segments_release(&w->segments);
	if (got < 0)
		return got;
	return (size_t)got < from_file ? got : (ssize_t)n;
}

ssize_t log_writer_read(struct log_writer *w, void *buf, size_t n, uint64_t position)
{
	log_lock(w);
	if (position >= w->active_start && position < w->end_position)
		return read_active(w, buf, n, position);
	log_unlock(w);
	return segments_read(&w->segments, buf, n, position); /* also 0 behind the end of the log */
}

void log_writer_read_ahead(struct log_writer *w, uint64_t position, uint64_t n)
{
	uint64_t start, offset;
	int fd;

	if (w->io->ops->will_need == NULL)
		return;
	log_lock(w);
	start = w->active_start;
	fd = position >= start && position < w->written_position ? w->fd : -1;
	segments_hold(&w->segments); /* as in read_active() */
	log_unlock(w);
	if (fd < 0)
		fd = segments_file_at(&w->segments, position, &start);
	offset = position - start;
	if (fd >= 0)
		w->io->ops->will_need(w->io, fd, offset - offset % n, n);
	segments_release(&w->segments);
}

uint64_t log_writer_bytes_from(struct log_writer *w, uint64_t position)
{
	uint64_t left = 0;

	log_lock(w);
	if (position >= w->active_start && position < w->end_position)
		left = w->end_position - position;
	log_unlock(w);
	return left > 0 ? left : segments_bytes_from(&w->segments, position);
}

bool log_writer_segment(struct log_writer *w, size_t index, struct segment *ret)
{
	struct segment before;
	uint64_t durable;

	if (segments_get(&w->segments, index, ret))
		return true;
	log_lock(w);
	durable = w->durable_position > w->active_start ? w->durable_position - w->active_start : 0;
	*ret = (struct segment){
		.number = w->active_number, .start = w->active_start, .bytes = durable, .fd = w->fd
	};
	log_unlock(w);
	/* A rotation may have happened in between. */
	return index == 0 ||
	       (segments_get(&w->segments, index - 1, &before) && before.number < ret->number);
}

uint64_t log_writer_locate(struct log_writer *w, uint64_t position, uint64_t *ret_file_offset)
{
	struct segment seg;

	*ret_file_offset = 0;
	log_lock(w);
	seg = (struct segment){ .number = w->active_number,
				.start = w->active_start,
				.bytes = w->end_position - w->active_start };
	log_unlock(w);
	for (size_t i = 0; position < seg.start || position - seg.start >= seg.bytes; i++)
		if (!segments_get(&w->segments, i, &seg))
			return 0;
	*ret_file_offset = position - seg.start;
	return seg.number;
}

/* --- figures --- */

void log_writer_stats(struct log_writer *w, struct log_writer_stats *ret)
{
	log_lock(w);
	*ret = (struct log_writer_stats){
		.end_position = w->end_position,
		.written_position = w->written_position,
		.durable_position = w->durable_position,
		.last_timestamp_ns = w->last_timestamp_ns,
		.appends = w->appends,
		.syncs = w->syncs,
		.sync_ns_total = w->sync_ns_total,
		.sync_ns_max = w->sync_ns_max,
		.poison = w->poison,
		.segments = w->active_number,
		.active_bytes = w->end_position - w->active_start,
		.rotate_failures = w->rotate_failures,
		.rotate_error = w->rotate_error,
	};
	log_unlock(w);
	ret->sealed_bytes = segments_bytes(&w->segments);
}

uint64_t log_writer_size(struct log_writer *w)
{
	return WITH_LOCK(log, w, w->end_position);
}

uint64_t log_writer_durable_position(struct log_writer *w)
{
	return WITH_LOCK(log, w, w->durable_position);
}

uint64_t log_writer_last_timestamp(struct log_writer *w)
{
	return WITH_LOCK(log, w, w->last_timestamp_ns);
}
