/* SPDX-License-Identifier: MIT */
#include "writer/log/segments.h"

#include <stdlib.h>
#include <string.h>

#include "codec/meta.h"
#include "codec/record.h"
#include "codec/array.h"
#include "writer/log/reader.h"
#include "writer/base/thread.h"

#define BASE_BYTES (RECORD_HEADER_BYTES + META_KEY_PREFIX_BYTES + META_BASE_BYTES)

void segment_file_name(const struct segment *seg, char ret[SEGMENT_NAME_BYTES])
{
	if (seg->rotated_bytes > 0)
		segment_rotated_name(seg->number, seg->rotated_bytes, ret);
	else
		segment_name((struct segment_id){ seg->number, seg->generation }, ret);
}

int segment_is_base(struct io *io, int fd, uint64_t file_bytes, struct meta_base *ret)
{
	uint8_t bytes[BASE_BYTES], key[META_KEY_PREFIX_BYTES];
	struct record_scan_result res;
	struct record rec;
	ssize_t got = io_pread_all(io, fd, bytes, sizeof(bytes), 0);

	if (got < 0)
		return (int)got;
	meta_key_prefix(META_BASE, key);
	if ((size_t)got < sizeof(bytes) ||
	    memcmp(bytes + RECORD_HEADER_BYTES, key, sizeof(key)) != 0)
		return 0;
	(void)record_decode_header(bytes, &rec);
	if (rec.key_bytes != sizeof(key))
		return 0;
	if (record_scan(bytes, sizeof(bytes), file_bytes, &res) != RECORD_WHOLE ||
	    meta_base_decode(res.rec.value, res.rec.value_bytes, ret) != META_OK)
		*ret = (struct meta_base){ 0 };
	return 1;
}

int segment_facts(struct io *io, int fd, uint64_t bytes, struct manifest_facts *ret)
{
	struct manifest_scan scan;
	struct log_reader *reader;
	struct log_entry entry;
	int more, err = log_reader_open(io, fd, 0, bytes, &reader);

	if (err < 0)
		return err;
	manifest_scan_init(&scan, true);
	while ((more = log_reader_next(reader, &entry)) > 0)
		manifest_scan_add(&scan, entry.offset, entry.crc, &entry.rec);
	*ret = manifest_scan_finish(&scan);
	if (more == 0)
		more = log_reader_stop(reader).scan == RECORD_END;
	log_reader_close(reader);
	return more;
}

/* --- the lock --- */

static void read_lock(struct segments *s) ACQUIRES_SHARED(s->lock, segments_class) NO_THREAD_SAFETY
{
	rwlock_read_lock(&s->lock);
}

static void read_unlock(struct segments *s)
	RELEASES_SHARED(s->lock, segments_class) NO_THREAD_SAFETY
{
	rwlock_read_unlock(&s->lock);
}

static void write_lock(struct segments *s) ACQUIRES(s->lock, segments_class) NO_THREAD_SAFETY
{
	rwlock_write_lock(&s->lock);
}

static void write_unlock(struct segments *s) RELEASES(s->lock, segments_class) NO_THREAD_SAFETY
{
	rwlock_write_unlock(&s->lock);
}

/* --- life --- */

void segments_init(struct segments *s, struct io *io, int dir_fd)
{
	*s = (struct segments){
		.io = io,
		.dir_fd = dir_fd,
		.next_start = SEGMENTS_REPLACED_START,
	};
	rwlock_init(&s->lock);
}

void segments_clear(struct segments *s) NO_THREAD_SAFETY
{
	for (size_t i = 0; i < s->range_count; i++)
		(void)io_close(s->io, &s->ranges[i].fd); /* only read from */
	free(s->list);
	free(s->ranges);
	s->list = NULL;
	s->ranges = NULL;
	s->count = s->capacity = s->range_count = s->range_capacity = 0;
}

void segments_close(struct segments *s)
{
	segments_clear(s);
	rwlock_destroy(&s->lock);
}

/* Reserves memory for 'more' ranges beyond the promised ones. */
static int reserve_ranges_locked(struct segments *s, size_t more) REQUIRES(s->lock, segments_class)
{
	return ARRAY_RESERVE(s->ranges, s->range_count + s->promised + more, s->range_capacity);
}

int segments_reserve(struct segments *s)
{
	int err;

	write_lock(s);
	err = ARRAY_RESERVE(s->list, s->count + 1, s->capacity);
	if (err == 0)
		err = reserve_ranges_locked(s, 1);
	write_unlock(s);
	return err;
}

int segments_promise(struct segments *s, size_t count)
{
	int err;

	write_lock(s);
	err = reserve_ranges_locked(s, count);
	if (err == 0)
		s->promised += count;
	write_unlock(s);
	return err;
}

void segments_unpromise(struct segments *s, size_t count)
{
	LOCKED(write, s, s->promised -= count);
}

static void add_range_locked(struct segments *s, uint64_t start, uint64_t bytes, int fd)
	REQUIRES(s->lock, segments_class)
{
	size_t i = s->range_count++;

	for (; i > 0 && s->ranges[i - 1].start > start; i--)
		s->ranges[i] = s->ranges[i - 1];
	s->ranges[i] = (struct segment_range){ .start = start, .bytes = bytes, .fd = fd };
}

void segments_add(struct segments *s, const struct segment *seg)
{
	write_lock(s);
	s->list[s->count++] = *seg;
	add_range_locked(s, seg->start, seg->bytes, seg->fd);
	write_unlock(s);
}

static struct segment *by_number_locked(struct segments *s, uint64_t number)
	REQUIRES_SHARED(s->lock, segments_class)
{
	for (size_t i = s->count; i > 0; i--) /* usually the last one */
		if (s->list[i - 1].number == number)
			return &s->list[i - 1];
	return NULL;
}

void segments_seal(struct segments *s, uint64_t number)
{
	LOCKED(write, s, by_number_locked(s, number)->rotated_bytes = 0);
}

/* Removes a file.  An empty one has the same start as the next. */
static void remove_range_locked(struct segments *s, int fd) REQUIRES(s->lock, segments_class)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->range_count; i++)
		if (s->ranges[i].fd != fd)
			s->ranges[kept++] = s->ranges[i];
	s->range_count = kept;
}

int segments_take_last(struct segments *s, uint64_t number)
{
	int fd;

	write_lock(s);
	fd = by_number_locked(s, number)->fd;
	s->count--;
	remove_range_locked(s, fd);
	write_unlock(s);
	return fd;
}

void segments_set_facts(struct segments *s, struct segment_id id,
			const struct manifest_facts *facts)
{
	struct segment *seg;

	write_lock(s);
	seg = by_number_locked(s, id.number);
	if (seg != NULL && seg->generation == id.generation)
		seg->facts = *facts;
	write_unlock(s);
}

uint64_t segments_replace(struct segments *s, const struct segment *with, bool folds)
{
	struct segment *seg;
	size_t gone = 0;
	uint64_t start;

	write_lock(s);
	start = s->next_start;
	s->next_start += with->bytes;
	seg = by_number_locked(s, with->number);
	*seg = *with;
	seg->start = start;
	seg->rotated_bytes = 0;
	add_range_locked(s, start, with->bytes, with->fd);
	s->promised--;
	while (folds && s->list[gone].number < with->number)
		gone++;
	s->count -= gone;
	memmove(s->list, s->list + gone, s->count * sizeof(s->list[0]));
	write_unlock(s);
	return start;
}

void segments_retire(struct segments *s, uint64_t start)
{
	int fd = -1;

	write_lock(s);
	for (size_t i = 0; i < s->range_count && fd < 0; i++)
		if (s->ranges[i].start == start)
			fd = s->ranges[i].fd;
	if (fd >= 0)
		remove_range_locked(s, fd);
	write_unlock(s);
	(void)io_close(s->io, &fd); /* without the lock: this close may free its blocks */
}

/* --- queries --- */

uint64_t segments_next_number(struct segments *s)
{
	return WITH_LOCK(read, s,
			 s->count == 0 ? SEGMENT_FIRST_NUMBER : s->list[s->count - 1].number + 1);
}

uint64_t segments_end(struct segments *s)
{
	return WITH_LOCK(read, s,
			 s->count == 0 ? 0
				       : s->list[s->count - 1].start + s->list[s->count - 1].bytes);
}

bool segments_get(struct segments *s, size_t index, struct segment *ret)
{
	bool there;

	read_lock(s);
	there = index < s->count;
	if (there)
		*ret = s->list[index];
	read_unlock(s);
	return there;
}

bool segments_by_number(struct segments *s, uint64_t number, struct segment *ret)
{
	const struct segment *seg;

	read_lock(s);
	seg = by_number_locked(s, number);
	if (seg != NULL)
		*ret = *seg;
	read_unlock(s);
	return seg != NULL;
}

/* Returns the file that has 'position', or NULL. */
static const struct segment_range *find_locked(const struct segments *s, uint64_t position)
	REQUIRES_SHARED(s->lock, segments_class)
{
	size_t low = 0, high = s->range_count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (s->ranges[mid].start + s->ranges[mid].bytes > position)
			high = mid;
		else
			low = mid + 1;
	}
	return low < s->range_count && s->ranges[low].start <= position ? &s->ranges[low] : NULL;
}

uint64_t segments_bytes_from(struct segments *s, uint64_t position)
{
	const struct segment_range *range;
	uint64_t left = 0;

	read_lock(s);
	range = find_locked(s, position);
	if (range != NULL)
		left = range->start + range->bytes - position;
	read_unlock(s);
	return left;
}

uint64_t segments_bytes(struct segments *s)
{
	uint64_t bytes = 0;

	read_lock(s);
	for (size_t i = 0; i < s->count; i++)
		bytes += s->list[i].bytes;
	read_unlock(s);
	return bytes;
}

void segments_hold(struct segments *s)
{
	read_lock(s);
}

void segments_release(struct segments *s)
{
	read_unlock(s);
}

int segments_file_at(struct segments *s, uint64_t position, uint64_t *ret_start)
{
	const struct segment_range *range = find_locked(s, position);

	*ret_start = range != NULL ? range->start : 0;
	return range != NULL ? range->fd : -1;
}

ssize_t segments_read(struct segments *s, void *buf, size_t n, uint64_t position)
{
	const struct segment_range *range;
	ssize_t got = 0;

	/* Held across the read, so that no thread closes the file in the meantime. */
	read_lock(s);
	range = find_locked(s, position);
	if (range != NULL) {
		uint64_t left = range->start + range->bytes - position;

		got = io_pread_all(s->io, range->fd, buf, left < n ? (size_t)left : n,
				   position - range->start);
	}
	read_unlock(s);
	return got;
}
