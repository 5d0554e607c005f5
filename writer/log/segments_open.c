/* SPDX-License-Identifier: MIT */
/* Opening the segments of a log: which files of a directory they are, with MANIFEST and without. */
#include "writer/log/segments.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "codec/record.h"
#include "codec/array.h"
#include "writer/log/names.h"

/* --- the directory --- */

/* A file, described by its name. */
struct found_file {
	struct segment_id id;
	uint64_t rotated_bytes; /* 0: sealed */
};

/* The files in the directory, in no order. */
struct found {
	struct found_file *files;
	size_t count, capacity;
};

static int add_found(struct found *f, struct segment_id id, uint64_t rotated_bytes)
{
	if (ARRAY_RESERVE(f->files, f->count + 1, f->capacity) < 0)
		return -ENOMEM;
	f->files[f->count++] = (struct found_file){ .id = id, .rotated_bytes = rotated_bytes };
	return 0;
}

static int find_segment(void *arg, const char *name)
{
	struct segment_id id = { .generation = 1 };
	struct found *f = arg;
	uint64_t bytes;

	if (segment_name_parse(name, &id))
		return add_found(f, id, 0);
	id.number = segment_rotated_number(name, &bytes);
	return id.number != 0 ? add_found(f, id, bytes) : 0;
}

static int compare_found_files(const void *a, const void *b)
{
	const struct found_file *x = a, *y = b;

	if (x->id.number != y->id.number)
		return x->id.number < y->id.number ? -1 : 1;
	if (x->id.generation != y->id.generation)
		return x->id.generation < y->id.generation ? -1 : 1;
	return x->rotated_bytes < y->rotated_bytes ? -1 : x->rotated_bytes > y->rotated_bytes;
}

/* Sorts by number and removes duplicates: io_list() may repeat names. */
static void sort_found(struct found *f)
{
	size_t kept = 0;

	if (f->count == 0)
		return;
	qsort(f->files, f->count, sizeof(f->files[0]), compare_found_files);
	for (size_t i = 0; i < f->count; i++)
		if (kept == 0 || compare_found_files(&f->files[i], &f->files[kept - 1]) != 0)
			f->files[kept++] = f->files[i];
	f->count = kept;
}

static void found_name(const struct found_file *f, char ret[SEGMENT_NAME_BYTES])
{
	segment_file_name(&(struct segment){ .number = f->id.number,
					     .generation = f->id.generation,
					     .rotated_bytes = f->rotated_bytes },
			  ret);
}

/* Refuses two files of one number: no step of a rotation leaves them. */
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

/* Keeps only the newest generation of a segment: a file has its name only after MANIFEST has listed
 * it. */
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

/* Opens a regular file and stores its size.  Does not explain -ENOENT in 'diag'. */
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
	/* Behind its size, a rotated segment can only have zeros that were not cut off yet. */
	if (seg->rotated_bytes > 0 && seg->bytes > seg->rotated_bytes)
		seg->bytes = seg->rotated_bytes;
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

/* Opens a file that MANIFEST lists.  MANIFEST changes first, then the file gets its name: until
 * then it has the name under which it was written.  Tries both. */
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
		segment_rotated_name(m->id.number, m->bytes, other);
	else
		segment_temp_name(m->id, other);
	err = open_regular(s, other, dir, &ret->fd, &ret->bytes, diag);
	if (err == 0 && m->id.generation == 1)
		ret->rotated_bytes = m->bytes;
	else if (err == 0 && s->may_change)
		err = rename_listed(s, other, name, dir, diag);
	if (err == -ENOENT) /* a writer may have renamed it between the two attempts */
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
	if (err < 0 || (seg.bytes < m->bytes || (seg.bytes > m->bytes && seg.rotated_bytes == 0))) {
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

/* Opens the segments that were rotated after the last change of MANIFEST. */
static int open_rotated(struct segments *s, const struct manifest *m, const struct found *f,
			const char *dir, struct diag *diag)
{
	char name[SEGMENT_NAME_BYTES];
	int err = 0;

	for (size_t i = 0; err == 0 && i < f->count; i++) {
		const struct found_file *file = &f->files[i];
		struct segment seg = { .number = file->id.number,
				       .generation = file->id.generation,
				       .rotated_bytes = file->rotated_bytes,
				       .fd = -1 };

		if (file->id.number < m->active_number)
			continue; /* listed, or not part of the log */
		found_name(file, name);
		if (file->rotated_bytes == 0 && !s->lenient)
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
	/* Files with older numbers that are not listed are not part of the log. */
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

/* Opens files from the last number down to the newest base.  Stores how many files of the list are
 * older than that base. */
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

/* Checks that the base includes the segments before it: their first records must not be later.  If
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

/* Adds the open files, oldest first. */
static int add_opened(struct segments *s, struct opened *opened, size_t count, const char *dir,
		      struct diag *diag)
{
	int err = 0;

	for (size_t i = 0; err == 0 && i < count; i++) {
		struct segment seg = { .number = opened[i].file.id.number,
				       .generation = opened[i].file.id.generation,
				       .bytes = opened[i].bytes,
				       .rotated_bytes = opened[i].file.rotated_bytes,
				       .is_base = opened[i].file.id.number == s->base_number,
				       .fd = opened[i].fd };

		if (opened[i].fd < 0)
			continue;
		opened[i].fd = -1;
		err = add_open(s, &seg, dir, diag);
	}
	return err;
}

/* Checks that the names are those from before MANIFEST existed. */
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
	size_t count, capacity;
};

/* Returns whether 'name' is left over from the replacement of MANIFEST or of a segment. */
static bool is_replacement(const char *name)
{
	size_t bytes = strlen(name), suffix = strlen(IO_OLD_SUFFIX);
	char replaced[SEGMENT_TEMP_NAME_BYTES];
	struct segment_id id;

	if (strcmp(name, MANIFEST_TEMP_NAME) == 0)
		return true;
	if (bytes <= suffix || bytes - suffix >= sizeof(replaced) ||
	    strcmp(name + bytes - suffix, IO_OLD_SUFFIX) != 0)
		return false;
	(void)snprintf(replaced, sizeof(replaced), "%.*s", (int)(bytes - suffix), name);
	return strcmp(replaced, MANIFEST_NAME) == 0 || strcmp(replaced, ACTIVE_NAME) == 0 ||
	       segment_name_parse(replaced, &id);
}

static int find_leftover(void *arg, const char *name)
{
	struct leftovers *l = arg;
	struct segment_id id;
	struct segment seg;
	bool temp = true;

	if (!is_replacement(name) && !segment_temp_name_parse(name, &id) &&
	    !hint_name_parse(name, &id, &temp))
		return 0;
	if (!temp && (l->keep_hints || (segments_by_number(l->s, id.number, &seg) &&
					seg.generation == id.generation)))
		return 0;
	if (ARRAY_RESERVE(l->names, l->count + 1, l->capacity) < 0)
		return -ENOMEM;
	(void)snprintf(l->names[l->count++], sizeof(l->names[0]), "%s", name);
	return 0;
}

/* A file that cannot be removed does no harm. */
void segments_remove_leftovers(struct segments *s, bool keep_hints)
{
	struct leftovers l = { .s = s, .keep_hints = keep_hints };

	if (io_list(s->io, s->dir_fd, find_leftover, &l) == 0)
		for (size_t i = 0; i < l.count; i++)
			(void)!io_unlink(s->io, s->dir_fd, l.names[i]);
	free(l.names);
}
