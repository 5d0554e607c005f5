/* SPDX-License-Identifier: MIT */
#include "writer/compact/rewrite.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "codec/meta.h"
#include "codec/record.h"
#include "writer/compact/segment_out.h"
#include "writer/log/reader.h"

#define PACE_BYTES ((size_t)256 * 1024)
#define HOLE_RECORD_BYTES \
	(RECORD_HEADER_BYTES + META_EXTENT_KEY_BYTES + META_HOLE_BYTES) /* a hole in the log */

/* The new file while it is written.  Bytes to be written are in three parts, in this order: in
 * 'to', in a piece of the old file to be copied, in a hole. */
struct out {
	struct rewrite *r;
	struct compact_out to;
	uint64_t copy_offset, copy_bytes;
	struct record hole_rec; /* timestamp and key of the hole; the key is in 'hole_key' */
	uint8_t hole_key[META_EXTENT_KEY_BYTES];
	struct meta_extent hole; /* 0 bytes: no hole */
};

/* --- writing --- */

/* Copies the pending piece unchanged: its CRC still detects damage on the way. */
static int flush_copy(struct out *o)
{
	struct rewrite *r = o->r;

	while (o->copy_bytes > 0) {
		size_t free_bytes = COMPACT_OUT_BYTES - o->to.used;
		size_t n = o->copy_bytes < free_bytes ? (size_t)o->copy_bytes : free_bytes;
		ssize_t got = io_pread_all(r->io, r->from_fd, o->to.buffer + o->to.used, n,
					   o->copy_offset);
		int err;

		if (got < 0 || (size_t)got != n) {
			r->unreadable = true;
			return got < 0 ? (int)got : -EIO;
		}
		o->copy_offset += n;
		o->copy_bytes -= n;
		err = compact_out_added(&o->to, n);
		if (err < 0)
			return err;
	}
	return 0;
}

static int flush_hole(struct out *o)
{
	uint8_t value[META_HOLE_BYTES];
	struct record rec = o->hole_rec;
	int err;

	if (o->hole.bytes == 0)
		return 0;
	err = flush_copy(o);
	rec.key = o->hole_key;
	rec.value = value;
	rec.value_bytes = (uint32_t)meta_extent_encode_fixed(&o->hole, value);
	o->hole.bytes = 0;
	return err < 0 ? err : compact_out_record(&o->to, &rec);
}

/* Returns the offset of the next record. */
static uint64_t position(const struct out *o)
{
	return compact_out_end(&o->to) + o->copy_bytes +
	       (o->hole.bytes > 0 ? HOLE_RECORD_BYTES : 0);
}

static int add_record(struct out *o, const struct record *rec)
{
	int err = flush_hole(o);

	if (err == 0)
		err = flush_copy(o);
	return err < 0 ? err : compact_out_record(&o->to, rec);
}

/* Adds a record of the old file unchanged. */
static int keep(struct out *o, const struct log_entry *entry)
{
	int err = flush_hole(o);

	if (err == 0 && o->copy_offset + o->copy_bytes != entry->offset) {
		err = flush_copy(o);
		o->copy_offset = entry->offset;
	}
	if (err == 0)
		o->copy_bytes += entry->bytes;
	return err;
}

/* Adds dropped bytes of a staging; merges them with the pending hole if they follow it. */
static int add_hole(struct out *o, const struct record *rec, uint64_t offset, uint64_t bytes)
{
	int err;

	if (o->hole.bytes > 0 && o->hole.offset + o->hole.bytes == offset &&
	    memcmp(o->hole_key, rec->key, sizeof(o->hole_key)) == 0) {
		o->hole.bytes += bytes;
		return 0;
	}
	err = flush_hole(o);
	if (err < 0)
		return err;
	memcpy(o->hole_key, rec->key, sizeof(o->hole_key));
	o->hole_rec = (struct record){ .timestamp_ns = rec->timestamp_ns,
				       .key_bytes = sizeof(o->hole_key) };
	o->hole = (struct meta_extent){ .flags = META_FLAG_HOLE | META_FLAG_DROPPED,
					.offset = offset,
					.bytes = bytes };
	return 0;
}

/* --- records --- */

/* Sets the new positions of a record that is kept: its bytes stay at the same offsets of its value.
 */
static void set_kept(struct live_range *ranges, size_t count, uint64_t to_record,
		     uint32_t key_bytes, uint32_t value_bytes)
{
	for (size_t i = 0; i < count; i++) {
		ranges[i].to_record = to_record;
		ranges[i].to_from = ranges[i].from;
		ranges[i].to_value_bytes = value_bytes;
		ranges[i].to_key_bytes = key_bytes;
	}
}

static int keep_live(struct out *o, const struct log_entry *entry, struct live_range *ranges,
		     size_t count)
{
	set_kept(ranges, count, position(o), entry->rec.key_bytes, entry->rec.value_bytes);
	return keep(o, entry);
}

/* Replaces a put whose value is not read by a record with the same effects, but without the value.
 */
static int drop_put(struct out *o, const struct log_entry *entry)
{
	const struct meta_publish publish = { .flags = META_FLAG_DROPPED,
					      .size_bytes = entry->rec.value_bytes };
	uint64_t key_bytes = (uint64_t)META_KEY_PREFIX_BYTES + entry->rec.key_bytes;
	uint8_t value[META_PUBLISH_BYTES], *key;
	struct record rec = { .timestamp_ns = entry->rec.timestamp_ns,
			      .value = value,
			      .value_bytes = sizeof(value) };
	int err;

	if (key_bytes + sizeof(value) >= (uint64_t)entry->rec.key_bytes + entry->rec.value_bytes ||
	    key_bytes > RECORD_KEY_BYTES_MAX)
		return keep(o, entry);
	key = malloc((size_t)key_bytes);
	if (key == NULL)
		return -ENOMEM;
	meta_key_prefix(META_PUBLISH, key);
	memcpy(key + META_KEY_PREFIX_BYTES, entry->rec.key, entry->rec.key_bytes);
	meta_publish_encode(&publish, value);
	rec.key = key;
	rec.key_bytes = (uint32_t)key_bytes;
	err = add_record(o, &rec);
	free(key);
	return err;
}

/* Adds the bytes of 'range' as a separate extent. */
static int add_part(struct out *o, const struct log_entry *entry, const struct meta_extent *extent,
		    struct live_range *range, uint8_t *value)
{
	struct meta_extent part = {
		.offset = extent->offset + (range->from - META_EXTENT_FIXED_BYTES),
		.bytes = range->bytes,
	};
	struct record rec = entry->rec;
	size_t fixed = meta_extent_encode_fixed(&part, value);

	memcpy(value + fixed, (const uint8_t *)entry->rec.value + range->from, range->bytes);
	rec.value = value;
	rec.value_bytes = (uint32_t)(fixed + range->bytes);
	range->to_record = position(o);
	range->to_from = (uint32_t)fixed;
	range->to_value_bytes = rec.value_bytes;
	range->to_key_bytes = rec.key_bytes;
	return add_record(o, &rec);
}

/* Splits an extent of which some bytes are read and others are not. */
static int split_extent(struct out *o, const struct log_entry *entry,
			const struct meta_extent *extent, struct live_range *ranges, size_t count)
{
	uint8_t *value = malloc(entry->rec.value_bytes);
	uint32_t at = META_EXTENT_FIXED_BYTES;
	int err = value == NULL ? -ENOMEM : 0;

	for (size_t i = 0; err == 0 && i <= count; i++) {
		uint32_t next = i < count ? ranges[i].from : entry->rec.value_bytes;

		if (next > at)
			err = add_hole(o, &entry->rec,
				       extent->offset + (at - META_EXTENT_FIXED_BYTES), next - at);
		if (err == 0 && i < count) {
			err = add_part(o, entry, extent, &ranges[i], value);
			at = ranges[i].from + ranges[i].bytes;
		}
	}
	free(value);
	return err;
}

/* Returns the number of bytes that the parts of an extent would need. */
static uint64_t split_bytes(const struct log_entry *entry, const struct live_range *ranges,
			    size_t count)
{
	uint64_t bytes = 0;
	uint32_t at = META_EXTENT_FIXED_BYTES;

	for (size_t i = 0; i < count; i++) {
		bytes += ranges[i].from > at ? HOLE_RECORD_BYTES : 0;
		bytes += RECORD_HEADER_BYTES + META_EXTENT_KEY_BYTES + META_EXTENT_FIXED_BYTES;
		bytes += ranges[i].bytes;
		at = ranges[i].from + ranges[i].bytes;
	}
	return bytes + (entry->rec.value_bytes > at ? HOLE_RECORD_BYTES : 0);
}

static int take_extent(struct out *o, const struct log_entry *entry, struct live_range *ranges,
		       size_t count)
{
	struct meta_extent extent;

	if (entry->rec.key_bytes != META_EXTENT_KEY_BYTES ||
	    meta_extent_decode(entry->rec.value, entry->rec.value_bytes, &extent) != META_OK) {
		o->r->unreadable = true; /* a replay would have refused it */
		return -EBADMSG;
	}
	if (extent.flags == (META_FLAG_HOLE | META_FLAG_DROPPED))
		return add_hole(o, &entry->rec, extent.offset, extent.bytes);
	if (extent.flags != 0 || entry->value_held_bytes < entry->rec.value_bytes ||
	    split_bytes(entry, ranges, count) >= entry->bytes)
		return keep_live(o, entry, ranges, count);
	return split_extent(o, entry, &extent, ranges, count);
}

static int take(struct out *o, const struct log_entry *entry, size_t *at)
{
	const struct record *rec = &entry->rec;
	const uint8_t *key = rec->key;
	struct live *l = o->r->live;
	struct live_range *ranges;
	size_t count = live_of(l, l->start + entry->offset, at, &ranges);

	if (!meta_is_key(key, rec->key_bytes)) {
		if (count > 0 || rec->value_bytes == 0)
			return keep_live(o, entry, ranges, count);
		return drop_put(o, entry);
	}
	if (rec->key_bytes >= META_KEY_PREFIX_BYTES && key[1] == META_EXTENT)
		return take_extent(o, entry, ranges, count);
	return keep(o, entry);
}

static int take_all(struct out *o, struct log_reader *reader)
{
	struct rewrite *r = o->r;
	struct log_entry entry;
	uint64_t paced = 0;
	size_t at = 0;
	int err;

	while ((err = log_reader_next(reader, &entry)) > 0) {
		err = take(o, &entry, &at);
		if (err == 0 && entry.offset + entry.bytes - paced >= PACE_BYTES) {
			err = r->pace(r->arg, entry.offset + entry.bytes - paced);
			paced = entry.offset + entry.bytes;
		}
		if (err < 0)
			return err;
	}
	if (err == 0 && log_reader_stop(reader).scan != RECORD_END)
		err = -EBADMSG;
	r->unreadable = err == -EIO || err == -EBADMSG;
	return err;
}

int rewrite_segment(struct rewrite *r)
{
	struct out o = { .r = r };
	struct log_reader *reader = NULL;
	int err = compact_out_init(&o.to, r->io, r->to_fd);

	if (err == 0)
		err = log_reader_open(r->io, r->from_fd, 0, r->from_bytes, &reader);
	if (err == 0)
		err = take_all(&o, reader);
	if (err == 0)
		err = flush_hole(&o);
	if (err == 0)
		err = flush_copy(&o);
	if (err == 0)
		err = compact_out_flush(&o.to);
	if (err == 0) /* it may be made from the reserve, and longer */
		err = io_truncate(r->io, r->to_fd, o.to.written);
	if (err == 0)
		err = io_fsync(r->io, r->to_fd);
	r->to_bytes = o.to.written;
	log_reader_close(reader);
	compact_out_free(&o.to);
	return err;
}
