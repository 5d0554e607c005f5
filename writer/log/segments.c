/* SPDX-License-Identifier: MIT */
#include "writer/log/segments.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "codec/meta.h"
#include "codec/record.h"
#include "writer/base/array.h"
#include "writer/log/names.h"
#include "writer/log/reader.h"
#include "writer/base/thread.h"

#define BASE_BYTES (RECORD_HEADER_BYTES + META_KEY_PREFIX_BYTES + META_BASE_BYTES)

void segment_file_name(const struct segment *seg, char ret[SEGMENT_NAME_BYTES])
{
	if (seg->full_bytes > 0)
		segment_full_name(seg->number, seg->full_bytes, ret);
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

void segments_clear(struct segments *s)
{
	for (size_t i = 0; i < s->range_count; i++)
		(void)io_close(s->io, &s->ranges[i].fd); /* only read from */
	free(s->list);
	free(s->ranges);
	s->list = NULL;
	s->ranges = NULL;
	s->count = s->room = s->range_count = s->range_room = 0;
}

void segments_close(struct segments *s)
{
	segments_clear(s);
	rwlock_destroy(&s->lock);
}

/* Makes room for 'more' ranges beyond those that are promised. */
static int reserve_ranges_locked(struct segments *s, size_t more)
{
	return ARRAY_RESERVE(s->ranges, s->range_count + s->promised + more, s->range_room);
}

int segments_reserve(struct segments *s)
{
	int err;

	rwlock_write_lock(&s->lock);
	err = ARRAY_RESERVE(s->list, s->count + 1, s->room);
	if (err == 0)
		err = reserve_ranges_locked(s, 1);
	rwlock_unlock(&s->lock);
	return err;
}

int segments_promise(struct segments *s, size_t count)
{
	int err;

	rwlock_write_lock(&s->lock);
	err = reserve_ranges_locked(s, count);
	if (err == 0)
		s->promised += count;
	rwlock_unlock(&s->lock);
	return err;
}

void segments_unpromise(struct segments *s, size_t count)
{
	rwlock_write_lock(&s->lock);
	s->promised -= count;
	rwlock_unlock(&s->lock);
}

static void add_range_locked(struct segments *s, uint64_t start, uint64_t bytes, int fd)
{
	size_t i = s->range_count++;

	for (; i > 0 && s->ranges[i - 1].start > start; i--)
		s->ranges[i] = s->ranges[i - 1];
	s->ranges[i] = (struct segment_range){ .start = start, .bytes = bytes, .fd = fd };
}

void segments_add(struct segments *s, const struct segment *seg)
{
	rwlock_write_lock(&s->lock);
	s->list[s->count++] = *seg;
	add_range_locked(s, seg->start, seg->bytes, seg->fd);
	rwlock_unlock(&s->lock);
}

static struct segment *by_number_locked(struct segments *s, uint64_t number)
{
	for (size_t i = s->count; i > 0; i--) /* mostly the last */
		if (s->list[i - 1].number == number)
			return &s->list[i - 1];
	return NULL;
}

void segments_seal(struct segments *s, uint64_t number)
{
	rwlock_write_lock(&s->lock);
	by_number_locked(s, number)->full_bytes = 0;
	rwlock_unlock(&s->lock);
}

/* Forgets a file.  An empty one has the start of the next. */
static void remove_range_locked(struct segments *s, int fd)
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

	rwlock_write_lock(&s->lock);
	fd = by_number_locked(s, number)->fd;
	s->count--;
	remove_range_locked(s, fd);
	rwlock_unlock(&s->lock);
	return fd;
}

void segments_set_facts(struct segments *s, struct segment_id id,
			const struct manifest_facts *facts)
{
	struct segment *seg;

	rwlock_write_lock(&s->lock);
	seg = by_number_locked(s, id.number);
	if (seg != NULL && seg->generation == id.generation)
		seg->facts = *facts;
	rwlock_unlock(&s->lock);
}

uint64_t segments_replace(struct segments *s, const struct segment *with, bool folds)
{
	struct segment *seg;
	size_t gone = 0;
	uint64_t start;

	rwlock_write_lock(&s->lock);
	start = s->next_start;
	s->next_start += with->bytes;
	seg = by_number_locked(s, with->number);
	*seg = *with;
	seg->start = start;
	seg->full_bytes = 0;
	add_range_locked(s, start, with->bytes, with->fd);
	s->promised--;
	while (folds && s->list[gone].number < with->number)
		gone++;
	s->count -= gone;
	memmove(s->list, s->list + gone, s->count * sizeof(s->list[0]));
	rwlock_unlock(&s->lock);
	return start;
}

void segments_retire(struct segments *s, uint64_t start)
{
	int fd = -1;

	rwlock_write_lock(&s->lock);
	for (size_t i = 0; i < s->range_count && fd < 0; i++)
		if (s->ranges[i].start == start)
			fd = s->ranges[i].fd;
	if (fd >= 0)
		remove_range_locked(s, fd);
	rwlock_unlock(&s->lock);
	(void)io_close(s->io, &fd); /* outside: this may be what frees its blocks */
}

/* --- the directory --- */

/* What the name of a file says. */
struct found_file {
	struct segment_id id;
	uint64_t full_bytes; /* 0: it is a sealed one */
};

/* The files that are there, in no order. */
struct found {
	struct found_file *files;
	size_t count, room;
};

static int add_found(struct found *f, struct segment_id id, uint64_t full_bytes)
{
	if (ARRAY_RESERVE(f->files, f->count + 1, f->room) < 0)
		return -ENOMEM;
	f->files[f->count++] = (struct found_file){ .id = id, .full_bytes = full_bytes };
	return 0;
}

static int find_segment(void *arg, const char *name)
{
	struct segment_id id = { .generation = 1 };
	struct found *f = arg;
	uint64_t bytes;

	if (segment_name_parse(name, &id))
		return add_found(f, id, 0);
	id.number = segment_full_number(name, &bytes);
	return id.number != 0 ? add_found(f, id, bytes) : 0;
}

static int compare_found(const void *a, const void *b)
{
	const struct found_file *x = a, *y = b;

	if (x->id.number != y->id.number)
		return x->id.number < y->id.number ? -1 : 1;
	if (x->id.generation != y->id.generation)
		return x->id.generation < y->id.generation ? -1 : 1;
	return x->full_bytes < y->full_bytes ? -1 : x->full_bytes > y->full_bytes;
}

/* By number, and each once: io_list() may repeat. */
static void sort_found(struct found *f)
{
	size_t kept = 0;

	if (f->count == 0)
		return;
	qsort(f->files, f->count, sizeof(f->files[0]), compare_found);
	for (size_t i = 0; i < f->count; i++)
		if (kept == 0 || compare_found(&f->files[i], &f->files[kept - 1]) != 0)
			f->files[kept++] = f->files[i];
	f->count = kept;
}

static void found_name(const struct found_file *f, char ret[SEGMENT_NAME_BYTES])
{
	segment_file_name(&(struct segment){ .number = f->id.number,
					     .generation = f->id.generation,
					     .full_bytes = f->full_bytes },
			  ret);
}

/* No step of a rotation leaves two files of one number. */
static int check_single(const struct found *f, const char *dir, struct diag *diag)
{
	char name[SEGMENT_NAME_BYTES], other[SEGMENT_NAME_BYTES];

	for (size_t i = 1; i < f->count; i++) {
		if (f->files[i].id.number != f->files[i - 1].id.number)
			continue;
		found_name(&f->files[i - 1], name);
		found_name(&f->files[i], other);
		return diag_set(diag, -EBADMSG,
				"%s: %s and %s are the same segment; nothing was changed; move the "
				"one away that does not belong there",
				dir, name, other);
	}
	return 0;
}

/* Of the generations of a segment only the newest counts: a file has its name only after MANIFEST
 * has listed it. */
static void drop_older_generations(struct found *f)
{
	size_t kept = 0;

	for (size_t i = 0; i < f->count; i++) {
		if (kept > 0 && f->files[kept - 1].id.number == f->files[i].id.number)
			kept--;
		f->files[kept++] = f->files[i];
	}
	f->count = kept;
}

/* --- opening --- */

/* Opens a regular file and looks at its size.  -ENOENT is not explained. */
static int open_regular(struct segments *s, const char *name, const char *dir, int *ret_fd,
			uint64_t *ret_bytes, struct diag *diag)
{
	struct io_stat st = { 0 };
	int fd = io_open(s->io, s->dir_fd, name, O_RDONLY, 0), err;

	if (fd == -ENOENT)
		return fd;
	if (fd < 0)
		return diag_set(diag, fd, "%s/%s: cannot open it: %s", dir, name, strerror(-fd));
	err = io_stat(s->io, fd, &st);
	if (err == 0 && !S_ISREG(st.mode))
		err = -EINVAL;
	if (err < 0) {
		(void)io_close(s->io, &fd);
		return diag_set(diag, err, "%s/%s: %s", dir, name,
				err == -EINVAL ? "not a regular file" : strerror(-err));
	}
	*ret_fd = fd;
	*ret_bytes = st.size_bytes;
	return 0;
}

/* Adds an open segment behind the others; takes over 'seg->fd', also on failure. */
static int add_open(struct segments *s, struct segment *seg, const char *dir, struct diag *diag)
{
	int err = segments_reserve(s);

	if (err < 0) {
		(void)io_close(s->io, &seg->fd); /* read-only */
		return diag_set(diag, err, "%s: out of memory", dir);
	}
	/* Behind what a rotated one had, there can only be zeros that were to be cut off. */
	if (seg->full_bytes > 0 && seg->bytes > seg->full_bytes)
		seg->bytes = seg->full_bytes;
	seg->start = segments_end(s);
	segments_add(s, seg);
	return 0;
}

/* --- opening by MANIFEST --- */

static int rename_listed(struct segments *s, const char *from, const char *to, const char *dir,
			 struct diag *diag)
{
	int err = io_rename(s->io, s->dir_fd, from, to);

	return err < 0 ? diag_set(diag, err, "%s/%s: cannot give it its name, %s: %s", dir, from,
				  to, strerror(-err))
		       : 0;
}

/* MANIFEST changes first, then the file gets its name: until then it has the one that it was
 * written under.  Opens it by whichever of them it has. */
static int open_listed_file(struct segments *s, const struct manifest_segment *m, const char *dir,
			    struct segment *ret, struct diag *diag)
{
	char name[SEGMENT_NAME_BYTES], other[SEGMENT_TEMP_NAME_BYTES];
	int err;

	segment_name(m->id, name);
	err = open_regular(s, name, dir, &ret->fd, &ret->bytes, diag);
	if (err != -ENOENT)
		return err;
	if (m->id.generation == 1)
		segment_full_name(m->id.number, m->bytes, other);
	else
		segment_temp_name(m->id, other);
	err = open_regular(s, other, dir, &ret->fd, &ret->bytes, diag);
	if (err == 0 && m->id.generation == 1)
		ret->full_bytes = m->bytes;
	else if (err == 0 && s->may_change)
		err = rename_listed(s, other, name, dir, diag);
	if (err == -ENOENT) /* a writer may have renamed it between the two looks */
		err = open_regular(s, name, dir, &ret->fd, &ret->bytes, diag);
	return err;
}

static int open_listed(struct segments *s, const struct manifest_segment *m, const char *dir,
		       struct diag *diag)
{
	struct segment seg = { .number = m->id.number,
			       .generation = m->id.generation,
			       .is_base = m->is_base,
			       .facts = m->facts,
			       .fd = -1 };
	char name[SEGMENT_NAME_BYTES];
	int err = open_listed_file(s, m, dir, &seg, diag);

	segment_name(m->id, name);
	if (err == -ENOENT)
		return 0;
	if (err == 0 && s->lenient)
		return add_open(s, &seg, dir, diag);
	if (err < 0 || (seg.bytes < m->bytes || (seg.bytes > m->bytes && seg.full_bytes == 0))) {
		(void)io_close(s->io, &seg.fd); /* read-only */
		if (err < 0)
			return err;
		return diag_set(diag, -EBADMSG,
				"%s/%s: has %" PRIu64 " bytes, and %" PRIu64
				" by MANIFEST; nothing was changed; restore the file from a copy, "
				"or salvage with fsck.freyjafs",
				dir, name, seg.bytes, m->bytes);
	}
	return add_open(s, &seg, dir, diag);
}

/* Checks that the first segment is a base if MANIFEST says so. */
static int check_base(struct segments *s, const struct manifest *m, const char *dir,
		      struct diag *diag)
{
	char name[SEGMENT_NAME_BYTES];
	struct segment first;
	int base;

	if (m->count == 0 || !m->segments[0].is_base)
		return 0;
	s->base_number = m->segments[0].id.number;
	if (!segments_by_number(s, s->base_number, &first))
		return 0; /* it is missing */
	segment_file_name(&first, name);
	base = segment_is_base(s->io, first.fd, first.bytes, &s->base);
	if (base < 0)
		return diag_set(diag, base, "%s/%s: cannot read it: %s", dir, name,
				strerror(-base));
	return base > 0 || s->lenient
		       ? 0
		       : diag_set(diag, -EBADMSG,
				  "%s/%s: is a base by MANIFEST, and does not begin as one; "
				  "nothing was changed; restore the file from a copy",
				  dir, name);
}

/* Opens what was rotated after the last change of MANIFEST. */
static int open_rotated(struct segments *s, const struct manifest *m, const struct found *f,
			const char *dir, struct diag *diag)
{
	char name[SEGMENT_NAME_BYTES];
	int err = 0;

	for (size_t i = 0; err == 0 && i < f->count; i++) {
		const struct found_file *file = &f->files[i];
		struct segment seg = { .number = file->id.number,
				       .generation = file->id.generation,
				       .full_bytes = file->full_bytes,
				       .fd = -1 };

		if (file->id.number < m->active_number)
			continue; /* listed, or no part of the log */
		found_name(file, name);
		if (file->full_bytes == 0 && !s->lenient)
			return diag_set(diag, -EBADMSG,
					"%s/%s: is not in MANIFEST, which ends before segment "
					"%" PRIu64 ": it is older than this file; nothing was "
					"changed; restore MANIFEST from the same copy as the "
					"segments, or make it anew with fsck.freyjafs -y",
					dir, name, m->active_number);
		err = open_regular(s, name, dir, &seg.fd, &seg.bytes, diag);
		if (err == 0)
			err = add_open(s, &seg, dir, diag);
	}
	return err;
}

static int open_by_manifest(struct segments *s, const struct manifest *m, struct found *f,
			    const char *dir, struct diag *diag)
{
	struct found rotated = { .files = f->files };
	int err = 0;

	for (size_t i = 0; err == 0 && i < m->count; i++)
		err = open_listed(s, &m->segments[i], dir, diag);
	if (err == 0)
		err = check_base(s, m, dir, diag);
	/* Files of older numbers that are not listed are no part of the log. */
	while (rotated.count < f->count && f->files[rotated.count].id.number < m->active_number)
		rotated.count++;
	rotated.files += rotated.count;
	rotated.count = f->count - rotated.count;
	if (err == 0 && !s->lenient)
		err = check_single(&rotated, dir, diag);
	else
		drop_older_generations(&rotated);
	return err < 0 ? err : open_rotated(s, m, &rotated, dir, diag);
}

/* --- opening without MANIFEST --- */

/* A file of the listing. */
struct opened {
	struct found_file file;
	uint64_t bytes;
	int fd;
};

/* Opens files from the last number on, down to the newest base.  Stores how many of the list are
 * older than that. */
static int open_down(struct segments *s, const struct found *f, struct opened *opened,
		     const char *dir, size_t *ret_older, struct diag *diag)
{
	char name[SEGMENT_NAME_BYTES];
	size_t i = f->count;
	int found = 0;

	while (found == 0 && i > 0) {
		struct opened *o = &opened[--i];
		int err;

		o->file = f->files[i];
		found_name(&o->file, name);
		err = open_regular(s, name, dir, &o->fd, &o->bytes, diag);
		if (err < 0)
			return err;
		found = segment_is_base(s->io, o->fd, o->bytes, &s->base);
		if (found > 0)
			s->base_number = o->file.id.number;
	}
	*ret_older = i;
	return found < 0 ? diag_set(diag, found, "%s: reading a segment failed: %s", dir,
				    strerror(-found))
			 : 0;
}

/* Checks that the base has taken in the segments before it: their first records are not later.  If
 * they are, files have each other's names. */
static int check_older(struct segments *s, const struct found *f, size_t older, const char *dir,
		       struct diag *diag)
{
	uint8_t header[RECORD_HEADER_BYTES];
	char name[SEGMENT_NAME_BYTES];
	uint64_t bytes;

	for (size_t i = 0; i < older; i++) {
		struct record rec = { .timestamp_ns = 0 };
		int fd = -1, err;
		ssize_t got;

		found_name(&f->files[i], name);
		err = open_regular(s, name, dir, &fd, &bytes, diag);
		if (err < 0)
			return err;
		got = io_pread_all(s->io, fd, header, sizeof(header), 0);
		(void)io_close(s->io, &fd); /* read-only */
		if (got == (ssize_t)sizeof(header))
			(void)record_decode_header(header, &rec);
		if (got < 0)
			return diag_set(diag, (int)got, "%s/%s: cannot read it: %s", dir, name,
					strerror((int)-got));
		if (rec.timestamp_ns > s->base.as_of_ns)
			return diag_set(diag, -EBADMSG,
					"%s/%s: stands before segment %06" PRIu64
					", a base, and is newer: files have each other's names; "
					"nothing was changed; restore them from a copy",
					dir, name, s->base_number);
	}
	return 0;
}

/* Hands the open files over, oldest first. */
static int add_opened(struct segments *s, struct opened *opened, size_t count, const char *dir,
		      struct diag *diag)
{
	int err = 0;

	for (size_t i = 0; err == 0 && i < count; i++) {
		struct segment seg = { .number = opened[i].file.id.number,
				       .generation = opened[i].file.id.generation,
				       .bytes = opened[i].bytes,
				       .full_bytes = opened[i].file.full_bytes,
				       .is_base = opened[i].file.id.number == s->base_number,
				       .fd = opened[i].fd };

		if (opened[i].fd < 0)
			continue;
		opened[i].fd = -1;
		err = add_open(s, &seg, dir, diag);
	}
	return err;
}

/* Names as they were before there was a MANIFEST. */
static int check_names(const struct segments *s, struct found *f, const char *dir,
		       struct diag *diag)
{
	char name[SEGMENT_NAME_BYTES];

	if (s->lenient) {
		drop_older_generations(f);
		return 0;
	}

	for (size_t i = 0; i < f->count; i++) {
		if (f->files[i].id.generation == 1)
			continue;
		found_name(&f->files[i], name);
		return diag_set(diag, -EBADMSG,
				"%s/MANIFEST: is missing, and %s says that there was one; nothing "
				"was changed; restore the file from a copy, or make it anew from "
				"the segments with fsck.freyjafs -y",
				dir, name);
	}
	return check_single(f, dir, diag);
}

static int open_all(struct segments *s, struct found *f, const char *dir, struct diag *diag)
{
	struct opened *opened;
	size_t older = 0;
	int err = check_names(s, f, dir, diag);

	if (err < 0 || f->count == 0)
		return err;
	opened = calloc(f->count, sizeof(opened[0]));
	if (opened == NULL)
		return diag_set(diag, -ENOMEM, "%s: out of memory", dir);
	for (size_t i = 0; i < f->count; i++)
		opened[i].fd = -1;
	err = open_down(s, f, opened, dir, &older, diag);
	if (err == 0 && !s->lenient)
		err = check_older(s, f, older, dir, diag);
	if (err == 0)
		err = add_opened(s, opened, f->count, dir, diag);
	for (size_t i = 0; i < f->count; i++)
		(void)io_close(s->io, &opened[i].fd); /* only read from */
	free(opened);
	return err;
}

int segments_open(struct segments *s, const struct manifest *m, const char *dir, struct diag *diag)
{
	struct found found = { .files = NULL };
	int err = io_list(s->io, s->dir_fd, find_segment, &found);

	s->base_number = 0;
	s->base = (struct meta_base){ 0 };
	if (err < 0)
		err = diag_set(diag, err, "%s: cannot list it: %s", dir, strerror(-err));
	sort_found(&found);
	if (err == 0)
		err = m != NULL ? open_by_manifest(s, m, &found, dir, diag)
				: open_all(s, &found, dir, diag);
	free(found.files);
	return err;
}

/* --- leftovers --- */

struct leftovers {
	struct segments *s;
	bool keep_hints;
	char (*names)[SEGMENT_TEMP_NAME_BYTES]; /* owned */
	size_t count, room;
};

static int find_leftover(void *arg, const char *name)
{
	struct leftovers *l = arg;
	struct segment_id id;
	struct segment seg;
	bool temp = true;

	if (!segment_temp_name_parse(name, &id) && !hint_name_parse(name, &id, &temp))
		return 0;
	if (!temp && (l->keep_hints || (segments_by_number(l->s, id.number, &seg) &&
					seg.generation == id.generation)))
		return 0;
	if (ARRAY_RESERVE(l->names, l->count + 1, l->room) < 0)
		return -ENOMEM;
	(void)snprintf(l->names[l->count++], sizeof(l->names[0]), "%s", name);
	return 0;
}

/* What cannot be removed is in nobody's way. */
void segments_remove_leftovers(struct segments *s, bool keep_hints)
{
	struct leftovers l = { .s = s, .keep_hints = keep_hints };

	if (io_list(s->io, s->dir_fd, find_leftover, &l) == 0)
		for (size_t i = 0; i < l.count; i++)
			(void)!io_unlink(s->io, s->dir_fd, l.names[i]);
	free(l.names);
}

/* --- looking --- */

uint64_t segments_next_number(struct segments *s)
{
	uint64_t number;

	rwlock_read_lock(&s->lock);
	number = s->count == 0 ? SEGMENT_FIRST_NUMBER : s->list[s->count - 1].number + 1;
	rwlock_unlock(&s->lock);
	return number;
}

uint64_t segments_end(struct segments *s)
{
	uint64_t end = 0;

	rwlock_read_lock(&s->lock);
	if (s->count > 0)
		end = s->list[s->count - 1].start + s->list[s->count - 1].bytes;
	rwlock_unlock(&s->lock);
	return end;
}

bool segments_get(struct segments *s, size_t index, struct segment *ret)
{
	bool there;

	rwlock_read_lock(&s->lock);
	there = index < s->count;
	if (there)
		*ret = s->list[index];
	rwlock_unlock(&s->lock);
	return there;
}

bool segments_by_number(struct segments *s, uint64_t number, struct segment *ret)
{
	const struct segment *seg;

	rwlock_read_lock(&s->lock);
	seg = by_number_locked(s, number);
	if (seg != NULL)
		*ret = *seg;
	rwlock_unlock(&s->lock);
	return seg != NULL;
}

/* Returns the file that holds 'position', or NULL. */
static const struct segment_range *find_locked(const struct segments *s, uint64_t position)
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

uint64_t segments_room(struct segments *s, uint64_t position)
{
	const struct segment_range *range;
	uint64_t room = 0;

	rwlock_read_lock(&s->lock);
	range = find_locked(s, position);
	if (range != NULL)
		room = range->start + range->bytes - position;
	rwlock_unlock(&s->lock);
	return room;
}

uint64_t segments_bytes(struct segments *s)
{
	uint64_t bytes = 0;

	rwlock_read_lock(&s->lock);
	for (size_t i = 0; i < s->count; i++)
		bytes += s->list[i].bytes;
	rwlock_unlock(&s->lock);
	return bytes;
}

void segments_hold(struct segments *s)
{
	rwlock_read_lock(&s->lock);
}

void segments_release(struct segments *s)
{
	rwlock_unlock(&s->lock);
}

ssize_t segments_read(struct segments *s, void *buf, size_t n, uint64_t position)
{
	const struct segment_range *range;
	ssize_t got = 0;

	/* Held across the read, so that nobody closes the file meanwhile. */
	rwlock_read_lock(&s->lock);
	range = find_locked(s, position);
	if (range != NULL) {
		uint64_t left = range->start + range->bytes - position;

		got = io_pread_all(s->io, range->fd, buf, left < n ? (size_t)left : n,
				   position - range->start);
	}
	rwlock_unlock(&s->lock);
	return got;
}
