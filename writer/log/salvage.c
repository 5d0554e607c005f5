/* SPDX-License-Identifier: MIT */
#include "writer/log/salvage.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/le.h"
#include "codec/meta.h"
#include "codec/array.h"
#include "writer/log/names.h"
#include "writer/log/quarantine.h"

/* --- lists --- */

/* Stores the offset of a range in the new file, given the range before it. */
static void assign_offset_behind(const struct salvage_lost *before, struct salvage_lost *l)
{
	l->new_offset = l->offset;
	if (before != NULL)
		l->new_offset += before->new_offset + before->instead_bytes -
				 (before->offset + before->bytes);
}

void salvage_assign_offsets(struct salvage *s)
{
	for (size_t i = 0; i < s->count; i++)
		assign_offset_behind(i > 0 ? &s->lost[i - 1] : NULL, &s->lost[i]);
}

struct salvage_lost *salvage_add(struct salvage *s, uint64_t offset, uint64_t bytes,
				 const char *reason)
{
	struct salvage_lost *l;

	if (ARRAY_RESERVE(s->lost, s->count + 1, s->capacity) < 0)
		return NULL;
	l = &s->lost[s->count++];
	*l = (struct salvage_lost){ .offset = offset, .bytes = bytes };
	assign_offset_behind(s->count > 1 ? l - 1 : NULL, l);
	(void)snprintf(l->reason, sizeof(l->reason), "%s", reason);
	return l;
}

void salvage_truncate(struct salvage *s, size_t count)
{
	while (s->count > count) {
		struct salvage_lost *l = &s->lost[--s->count];

		free(l->was.owned);
		free(l->instead);
	}
}

void salvage_free(struct salvage *s)
{
	salvage_truncate(s, 0);
	free(s->lost);
	*s = (struct salvage){ 0 };
}

int salvage_put_instead(struct salvage_lost *l, const struct record *rec)
{
	uint64_t bytes = record_bytes(rec->key_bytes, rec->value_bytes);
	uint8_t *more = realloc(l->instead, l->instead_bytes + bytes);

	if (more == NULL)
		return -ENOMEM;
	record_encode(rec, more + l->instead_bytes);
	l->instead = more;
	l->instead_bytes += bytes;
	return 0;
}

/* Returns the last range that begins at or before 'offset' of the old file (with 'by_new': of the
 * new one); NULL: none. */
static const struct salvage_lost *last_before(const struct salvage *s, uint64_t offset, bool by_new)
{
	size_t low = 0, high = s->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if ((by_new ? s->lost[mid].new_offset : s->lost[mid].offset) <= offset)
			low = mid + 1;
		else
			high = mid;
	}
	return low == 0 ? NULL : &s->lost[low - 1];
}

uint64_t salvage_new_offset(const struct salvage *s, uint64_t offset)
{
	const struct salvage_lost *l = last_before(s, offset, false);

	if (l == NULL)
		return offset;
	if (offset < l->offset + l->bytes || offset == l->offset)
		return l->new_offset;
	return offset - (l->offset + l->bytes) + l->new_offset + l->instead_bytes;
}

uint64_t salvage_new_bytes(const struct salvage *s, uint64_t file_bytes)
{
	const struct salvage_lost *l = s->count == 0 ? NULL : &s->lost[s->count - 1];

	if (l == NULL)
		return file_bytes;
	return file_bytes - (l->offset + l->bytes) + l->new_offset + l->instead_bytes;
}

/* --- reading the new file --- */

/* A part of the new file: either the rest of what replaces a range, or bytes of the old file. */
struct view_part {
	const uint8_t *instead; /* NULL: of the old file, from 'in_old' on */
	uint64_t in_old, bytes;
};

/* Returns the part of the new file that begins at 'offset'. */
static struct view_part part_at(const struct salvage_view *v, uint64_t offset)
{
	const struct salvage_lost *l = last_before(v->s, offset, true);
	const struct salvage_lost *next = l == NULL ? v->s->lost : l + 1;
	struct view_part part = { .in_old = offset };
	uint64_t end;

	if (l != NULL && offset < l->new_offset + l->instead_bytes) {
		part.instead = l->instead + (offset - l->new_offset);
		part.bytes = l->new_offset + l->instead_bytes - offset;
		return part;
	}
	if (l != NULL)
		part.in_old = offset - (l->new_offset + l->instead_bytes) + l->offset + l->bytes;
	end = v->s->count > 0 && next < v->s->lost + v->s->count ? next->offset : v->file_bytes;
	part.bytes = part.in_old < end ? end - part.in_old : 0;
	return part;
}

static ssize_t view_pread(struct io *io, int fd, void *buf, size_t n, uint64_t offset)
{
	struct salvage_view *v = (struct salvage_view *)(void *)io; /* 'io' is its first member */
	struct view_part part;

	if (fd != v->fd)
		return v->base->ops->pread(v->base, fd, buf, n, offset);
	part = part_at(v, offset);
	if (n > part.bytes)
		n = (size_t)part.bytes;
	if (part.instead == NULL)
		return n > 0 ? v->base->ops->pread(v->base, fd, buf, n, part.in_old) : 0;
	memcpy(buf, part.instead, n);
	return (ssize_t)n;
}

static uint64_t view_next_data(struct io *io, int fd, uint64_t offset)
{
	struct salvage_view *v = (struct salvage_view *)(void *)io;
	struct view_part part;

	if (fd != v->fd)
		return io_next_data(v->base, fd, offset, UINT64_MAX);
	part = part_at(v, offset);
	if (part.instead != NULL)
		return offset;
	return offset - part.in_old +
	       io_next_data(v->base, fd, part.in_old, part.in_old + part.bytes);
}

void salvage_view_init(struct salvage_view *v, const struct salvage_file *f,
		       const struct salvage *s)
{
	*v = (struct salvage_view){
		.ops = *f->io->ops,
		.base = f->io,
		.fd = f->fd,
		.file_bytes = f->bytes,
		.s = s,
	};
	v->ops.pread = view_pread;
	v->ops.next_data = view_next_data;
	v->io.ops = &v->ops;
}

/* --- stand-ins --- */

int salvage_copy_record(const struct log_entry *e, struct salvage_record *ret)
{
	size_t key_bytes = e->rec.key_bytes;

	ret->owned = malloc(key_bytes + e->value_held_bytes + 1);
	if (ret->owned == NULL)
		return -ENOMEM;
	memcpy(ret->owned, e->rec.key, key_bytes);
	memcpy(ret->owned + key_bytes, e->rec.value, e->value_held_bytes);
	ret->rec = e->rec;
	ret->rec.key = ret->owned;
	ret->rec.value = ret->owned + key_bytes;
	ret->value_held_bytes = e->value_held_bytes;
	return 0;
}

int salvage_put_dropped(struct salvage_lost *l, const struct record *was, uint64_t size_bytes,
			uint8_t flags)
{
	const struct meta_publish publish = { .flags = META_FLAG_DROPPED | flags,
					      .size_bytes = size_bytes };
	uint8_t value[META_PUBLISH_BYTES];
	struct record rec = *was;
	uint8_t *key;
	int err;

	if (was->key_bytes > UINT32_MAX - META_KEY_PREFIX_BYTES)
		return -ENODATA;
	key = malloc(META_KEY_PREFIX_BYTES + (size_t)was->key_bytes);
	if (key == NULL)
		return -ENOMEM;
	meta_key_prefix(META_PUBLISH, key);
	memcpy(key + META_KEY_PREFIX_BYTES, was->key, was->key_bytes);
	meta_publish_encode(&publish, value);
	rec.key = key;
	rec.key_bytes += META_KEY_PREFIX_BYTES;
	rec.value = value;
	rec.value_bytes = sizeof(value);
	err = salvage_put_instead(l, &rec);
	free(key);
	return err;
}

/* Encodes a hole which states that the bytes of this extent were here. */
static int put_dropped_extent(struct salvage_lost *l, const struct salvage_record *was)
{
	struct record rec = was->rec;
	struct meta_extent extent;
	uint8_t value[META_HOLE_BYTES];

	if (was->value_held_bytes < META_EXTENT_FIXED_BYTES ||
	    rec.value_bytes <= META_EXTENT_FIXED_BYTES)
		return -ENODATA;
	extent = (struct meta_extent){
		.flags = META_FLAG_HOLE | META_FLAG_DROPPED,
		.offset = le64_load((const uint8_t *)rec.value + 2),
		.bytes = rec.value_bytes - META_EXTENT_FIXED_BYTES,
	};
	rec.value = value;
	rec.value_bytes = (uint32_t)meta_extent_encode_fixed(&extent, value);
	return salvage_put_instead(l, &rec);
}

/* Returns whether a record has bytes of a file, which neither a hint nor a claim proves. */
static bool has_content(const struct salvage_record *was)
{
	const struct record *rec = &was->rec;
	const uint8_t *value = rec->value;
	const char *operand;
	enum meta_kind kind;
	size_t bytes;

	if (!meta_is_key(rec->key, rec->key_bytes))
		return rec->value_bytes > 0;
	return meta_parse_key(rec->key, rec->key_bytes, &kind, &operand, &bytes) == META_OK &&
	       kind == META_EXTENT &&
	       (was->value_held_bytes < META_EXTENT_FIXED_BYTES ||
		(value[1] & META_FLAG_HOLE) == 0);
}

int salvage_stand_in(struct salvage_lost *l, const struct salvage_record *was)
{
	const struct record *rec = &was->rec;

	l->exact = !has_content(was) && was->value_held_bytes == rec->value_bytes;
	if (l->exact)
		return salvage_put_instead(l, rec);
	if (!has_content(was))
		return -ENODATA;
	if (!meta_is_key(rec->key, rec->key_bytes))
		return salvage_put_dropped(l, rec, rec->value_bytes, 0);
	return put_dropped_extent(l, was);
}

/* --- writing --- */

/* Saves 'count' adjacent lost ranges as one. */
static int save(const struct salvage_file *f, struct io *by, int quarantine_fd,
		struct salvage_lost *l, size_t count)
{
	const char *variant = by == f->io ? "" : ".unfit";
	uint64_t now_ns = io_clock_ns(f->io);
	struct file_part all = { by, f->fd, l->offset, 0, NULL };
	int err = quarantine_name(f->name, variant, l->offset, now_ns, l->saved_as,
				  sizeof(l->saved_as));

	if (err < 0)
		return err;
	for (size_t i = 0; i < count; i++) {
		all.bytes += l[i].bytes;
		if (i > 0)
			memcpy(l[i].saved_as, l->saved_as, sizeof(l->saved_as));
	}
	err = quarantine_save(f->io, quarantine_fd, l->saved_as, &all);
	if (err < 0)
		return err;
	return quarantine_report(f->io, quarantine_fd, l->saved_as,
				 "file: %s\n"
				 "offset: %" PRIu64 "\n"
				 "length: %" PRIu64 "\n"
				 "reason: %s\n"
				 "records_inside: %" PRIu64 "\n"
				 "saved_as: %s\n"
				 "salvaged_at_ns: %" PRIu64 "\n",
				 f->name, l->offset, all.bytes, l->reason, l->inside, l->saved_as,
				 now_ns);
}

/* Saves all ranges of 's' that have bytes. */
static int save_all(const struct salvage_file *f, struct io *by, int quarantine_fd,
		    struct salvage *s)
{
	int err = 0;

	for (size_t i = 0, n; err == 0 && i < s->count; i += n) {
		uint64_t end = s->lost[i].offset + s->lost[i].bytes;

		for (n = 1; i + n < s->count && s->lost[i + n].offset == end; n++)
			end += s->lost[i + n].bytes;
		if (end > s->lost[i].offset)
			err = save(f, by, quarantine_fd, &s->lost[i], n);
	}
	return err;
}

static int save_both(const struct salvage_file *f, struct io *view, struct salvage *s,
		     struct salvage *edits)
{
	int err, quarantine_fd = quarantine_open(f->io, f->dir_fd);

	if (quarantine_fd < 0)
		return quarantine_fd;
	err = save_all(f, f->io, quarantine_fd, s);
	if (err == 0)
		err = save_all(f, view, quarantine_fd, edits);
	if (err == 0)
		err = io_fsync(f->io, quarantine_fd);
	(void)io_close(f->io, &quarantine_fd); /* a directory: nothing can be lost */
	return err;
}

/* Copies the file that 'view' reads, of 'bytes', with the edits applied. */
static int copy_edited(const struct salvage_file *f, struct io *view, uint64_t bytes,
		       const struct salvage *edits, int to)
{
	uint64_t at = 0, written = 0;
	int err = 0;

	for (size_t i = 0; err == 0 && i <= edits->count; i++) {
		const struct salvage_lost *l = i < edits->count ? &edits->lost[i] : NULL;
		struct file_part kept = { view, f->fd, at, (l != NULL ? l->offset : bytes) - at,
					  NULL };

		err = file_part_copy(&kept, f->io, to, written);
		written += kept.bytes;
		if (err < 0 || l == NULL)
			break;
		err = io_pwrite_all(f->io, to, l->instead, l->instead_bytes, written);
		written += l->instead_bytes;
		at = l->offset + l->bytes;
	}
	return err;
}

static int replace(const struct salvage_file *f, struct io *view, uint64_t bytes,
		   const struct salvage *edits)
{
	const char *name = f->new_name != NULL ? f->new_name : f->name;
	char temp[SALVAGE_NAME_BYTES];
	bool replaced = false;
	int to, err, close_err;

	(void)snprintf(temp, sizeof(temp), "%s" SALVAGE_TEMP_SUFFIX, name);
	to = io_open(f->io, f->dir_fd, temp, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (to < 0)
		return to;
	err = copy_edited(f, view, bytes, edits, to);
	if (err == 0)
		err = io_fsync(f->io, to);
	close_err = io_close(f->io, &to);
	if (err == 0)
		err = close_err;
	if (err == 0)
		err = io_replace(f->io, f->dir_fd, temp, name, &replaced);
	if (!replaced)
		(void)!io_unlink(f->io, f->dir_fd, temp); /* nothing else would remove it */
	return err;
}

int salvage_write(const struct salvage_file *f, struct salvage *s, struct salvage *edits,
		  uint64_t *ret_bytes)
{
	uint64_t bytes = salvage_new_bytes(s, f->bytes);
	struct salvage_view view;
	int err;

	salvage_view_init(&view, f, s);
	err = save_both(f, &view.io, s, edits);
	if (err == 0)
		err = replace(f, &view.io, bytes, edits);
	*ret_bytes = salvage_new_bytes(edits, bytes);
	return err;
}
