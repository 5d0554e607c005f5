/* SPDX-License-Identifier: MIT */
/* The files of a store as they were at one moment, in the order of the log. */
#include "mount-helpers/fsck/fsck.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "writer/log/names.h"
#include "writer/log/snapshot.h"

/* Takes the files out of 's', the newest first. */
static int take_segments(struct fsck *f, struct segments *s)
{
	struct segment seg;
	size_t count = 0;
	int err = 0;

	while (segments_get(s, count, &seg))
		count++;
	while (err == 0 && count > 0 && segments_get(s, --count, &seg)) {
		struct fsck_file file = { .number = seg.number,
					  .generation = seg.generation,
					  .rotated_bytes = seg.rotated_bytes,
					  .bytes = seg.bytes,
					  .durable_bytes = seg.bytes };

		segment_file_name(&seg, file.name);
		file.base = seg.number == s->base_number;
		fsck_look_up(f, &file);
		file.fd = segments_take_last(s, seg.number);
		err = fsck_add_file(f, &file);
	}
	return err;
}

static int compare_files(const void *a, const void *b)
{
	const struct fsck_file *x = a, *y = b;

	return x->number < y->number ? -1 : x->number > y->number;
}

/* Sets how much of a file is known to be durable.  Rotated segments are sealed in their order, so
 * one before a sealed segment is durable as a whole. */
static void set_durable(const struct fsck *f, struct fsck_file *file)
{
	bool sealed_behind = false;

	if (!file->active && file->rotated_bytes == 0)
		return;
	for (const struct fsck_file *later = file + 1; later < f->files + f->count; later++)
		sealed_behind |= !later->active && later->rotated_bytes == 0;
	file->durable_bytes =
		synced_durable_bytes(&f->mark, file->number, file->rotated_bytes, sealed_behind);
}

/* Returns the number of the active segment: the one after the last sealed or rotated segment.  The
 * durable mark may show a later number, and without MANIFEST so may the file itself; then the
 * segments between are missing. */
static uint64_t active_number(struct fsck *f, int fd, uint64_t next_number)
{
	uint64_t number = next_number;
	struct meta_segment segment;

	if (f->mark.segment > number)
		number = f->mark.segment;
	if (!f->has_manifest && fsck_read_number(f, fd, &segment) && segment.number > number &&
	    fsck_is_in_reach(next_number, segment.number))
		number = segment.number;
	return number;
}

/* Takes the opened files into the list of files, in the order of the log. */
static int take_files(struct fsck *f, struct log_snapshot *files)
{
	struct fsck_file active = { .name = ACTIVE_NAME, .active = true };
	uint64_t next_number = segments_next_number(files->segments);
	int err = 0;

	active.number = active_number(f, files->fd, next_number);
	active.fd = files->fd;
	active.bytes = files->active.size_bytes;
	if (files->fd >= 0)
		err = fsck_add_file(f, &active);
	else
		err = fsck_add_missing_active(f, &active, next_number);
	if (err == 0)
		err = take_segments(f, files->segments);
	if (err == 0 && f->count > 0)
		qsort(f->files, f->count, sizeof(f->files[0]), compare_files);
	if (err == 0)
		err = fsck_add_missing(f);
	if (err == 0 && f->count > 0)
		qsort(f->files, f->count, sizeof(f->files[0]), compare_files);
	return err;
}

/* Returns whether a segment record belongs to another store than MANIFEST, or, without MANIFEST,
 * than the first segment record. */
static bool is_foreign(const struct fsck *f, const struct meta_segment *first,
		       const struct meta_segment *segment)
{
	const uint8_t *id = f->has_manifest ? f->manifest.store_id : first->store_id;

	return memcmp(id, segment->store_id, sizeof(segment->store_id)) != 0;
}

/* Reports files whose segment record does not match their position.  A name with a generation, or a
 * segment record, proves that a MANIFEST has existed. */
static void check_numbers(struct fsck *f)
{
	struct meta_segment segment, first = { .number = 0 };

	for (size_t i = 0; i < f->count; i++) {
		struct fsck_file *file = &f->files[i];
		bool numbered = !file->missing && fsck_read_number(f, file->fd, &segment);

		if (!f->has_manifest && !f->rebuild_manifest && (numbered || file->generation > 1))
			fsck_report_manifest(f, "is missing");
		file->numbered = numbered;
		if (!numbered)
			continue;
		if (first.number == 0)
			first = segment;
		if (is_foreign(f, &first, &segment)) {
			printf("%s: says that it is a segment of another store; restore all files "
			       "from one copy\n",
			       file->name);
			file->misplaced = true;
			continue;
		}
		if (segment.number == file->number)
			continue;
		printf("%s: says that it is segment %" PRIu64
		       " of the log, but is in the place of segment %" PRIu64
		       ": files are missing, or come from different moments; restore all files "
		       "from one copy\n",
		       file->name, segment.number, file->number);
		file->misplaced = true;
	}
}

/* Reports a file that a mount refuses, or DATADIR itself.  The user who mounts is its owner. */
static void check_refused(struct fsck *f, const char *name)
{
	const char *foreign;
	struct stat dir, st;

	if ((name[0] != '\0' && !store_uses_name(name)) || fstat(f->dir_fd, &dir) < 0 ||
	    fstatat(f->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) < 0)
		return; /* it was removed meanwhile */
	foreign = f->options.accept_foreign ? NULL : store_file_foreign(&st, dir.st_uid);
	if (foreign == NULL && (S_ISREG(st.st_mode) || strcmp(name, LOCK_NAME) != 0))
		return;
	f->refused = true;
	fsck_note(f, "%s%s%s: %s; a mount refuses it, and -y leaves it as it is\n",
		  f->options.datadir, name[0] != '\0' ? "/" : "", name,
		  foreign != NULL ? foreign : "is not a regular file");
}

static int check_name(void *arg, const char *name)
{
	check_refused(arg, name);
	return fsck_report_stranger(arg, name);
}

int fsck_open_files(struct fsck *f)
{
	struct segments segments;
	struct log_snapshot files = { .fd = -1, .segments = &segments };
	struct diag diag = { "" };
	int err;

	segments_init(&segments, f->io, f->dir_fd);
	segments.lenient = true;
	err = log_snapshot_open(&files, f->options.datadir, ACTIVE_NAME, &diag);
	if (err < 0)
		warnx("%s", diag.text);
	f->mark = files.mark;
	f->base_number = segments.base_number;
	f->manifest = files.manifest;
	f->has_manifest = files.has_manifest;
	if (err == 0) {
		fsck_check_mark(f, segments_next_number(&segments));
		fsck_check_manifest(f, files.manifest_damaged);
	}
	if (err < 0)
		(void)io_close(f->io, &files.fd); /* read only */
	else
		err = take_files(f, &files);
	segments_close(&segments);
	for (size_t i = 0; err == 0 && i < f->count; i++) {
		struct fsck_file *file = &f->files[i];
		char log_name[SEGMENT_NAME_BYTES];

		set_durable(f, file);
		segment_name((struct segment_id){ file->number, file->generation }, log_name);
		err = hint_file_name(file->active ? ACTIVE_NAME : log_name, file->hint_name,
				     sizeof(file->hint_name));
	}
	if (err < 0)
		return err;
	err = f->has_manifest ? fsck_put_in_order(f) : 0;
	if (err < 0)
		return err;
	check_numbers(f);
	fsck_check_unlisted(f);
	f->refused = false;
	check_refused(f, "");
	return io_list(f->io, f->dir_fd, check_name, f);
}

void fsck_forget_files(struct fsck *f)
{
	for (size_t i = 0; i < f->count; i++) {
		salvage_free(&f->files[i].lost);
		salvage_free(&f->files[i].edits);
		(void)io_close(f->io, &f->files[i].fd); /* read only, or synced */
	}
	free(f->files);
	f->files = NULL;
	f->count = f->capacity = 0;
	manifest_free(&f->manifest);
	f->has_manifest = f->rebuild_manifest = f->wrong_mark = false;
	fsck_names_free(&f->names);
	fsck_end_notes(f, false);
}
