/* SPDX-License-Identifier: MIT */
/* Salvage: new files without the lost parts, a new durable mark and a new MANIFEST. */
#include "mount-helpers/fsck/fsck.h"

#include <stdio.h>
#include <string.h>

#include "writer/log/mark.h"
#include "writer/log/names.h"

/* Writes the durable mark of a file that was cut: its rest was durable.  Until then the old mark
 * holds, whose offset is too high: a mount refuses the log, and fsck reports the file as too short.
 */
static int write_mark(struct fsck *f, const struct fsck_file *file, uint64_t durable_bytes)
{
	struct synced ignored;
	bool valid;
	int fd, err = synced_mark_open(f->io, f->dir_fd, ACTIVE_MARK_NAME, &fd, &ignored, &valid);

	if (err < 0)
		return fsck_failed(f, ACTIVE_MARK_NAME, err);
	synced_mark_write(
		f->io, fd,
		(struct synced){ .segment = file->number,
				 .durable_offset = durable_bytes,
				 .with_manifest = f->mark.with_manifest || f->rebuild_manifest });
	err = io_fsync(f->io, fd);
	(void)io_close(f->io, &fd);
	return err < 0 ? fsck_failed(f, ACTIVE_MARK_NAME, err) : 0;
}

/* Seals a rotated segment that is complete, or was durable as a whole: salvage has changed its
 * size, and so its name would be wrong.  A rotated segment that the log ends in keeps its name, and
 * stays incomplete. */
static int seal_rotated(struct fsck *f, struct fsck_file *file)
{
	char sealed[SEGMENT_NAME_BYTES];
	int err = 0;

	segment_name((struct segment_id){ file->number, file->generation }, sealed);
	/* A sealed segment implies that all segments before it are durable. */
	for (const struct fsck_file *before = f->files; err == 0 && before < file; before++)
		if (before->rotated_bytes > 0)
			err = io_fdatasync(f->io, before->fd);
	if (err == 0)
		err = io_rename(f->io, f->dir_fd, file->name, sealed);
	if (err == 0)
		err = io_fsync(f->io, f->dir_fd);
	file->sealed = err == 0;
	return err < 0 ? fsck_failed(f, file->name, err) : 0;
}

/* Returns how much of the new file is durable: all parts that replace durable parts. */
static uint64_t new_durable(const struct fsck_file *file, uint64_t new_bytes)
{
	uint64_t durable = file->durable_bytes;

	if (file->missing || durable >= file->bytes)
		return new_bytes;
	return salvage_new_offset(&file->edits, salvage_new_offset(&file->lost, durable));
}

/* Finds a name that no sealed segment has had. */
static void take_new_name(const struct fsck *f, struct fsck_file *file)
{
	memcpy(file->old_name, file->name, sizeof(file->old_name));
	do {
		file->generation++;
		segment_name((struct segment_id){ file->number, file->generation }, file->name);
	} while (fsck_has_name(f, file->name));
}

/* Writes the new file.  For a sealed segment in MANIFEST it gets another name, and becomes part of
 * the log when MANIFEST lists it, together with all others that salvage writes.  For other segments
 * it replaces the old file. */
static int salvage_one(struct fsck *f, struct fsck_file *file)
{
	struct salvage_file sf = fsck_salvage_file(file, f->io, f->dir_fd, f->options.take_inside);
	bool too_short = fsck_is_too_short(file), renamed = f->has_manifest && file->listed;
	uint64_t bytes = file->bytes;
	int err = 0;

	if (file->lost.count == 0 && file->edits.count == 0 && !too_short && !file->missing &&
	    !file->moved) {
		/* Only MANIFEST was wrong, or the hint is of another file with the same sizes. */
		if (file->is_other && io_unlink(f->io, f->dir_fd, file->hint_name) == 0)
			err = io_fsync(f->io, f->dir_fd);
		f->corrected += fsck_damages_of(file);
		return err < 0 ? fsck_failed(f, file->hint_name, err) : 0;
	}
	if (renamed) {
		take_new_name(f, file);
		sf.name = file->old_name;
		sf.new_name = file->name;
	}
	if (renamed || file->lost.count > 0 || file->edits.count > 0 || file->missing)
		err = salvage_write(&sf, &file->lost, &file->edits, &bytes);
	/* Not earlier: the hint names the lost records.  A mount ignores it when the size of its
	 * segment has changed. */
	if (err == 0 && !renamed && io_unlink(f->io, f->dir_fd, file->hint_name) == 0)
		err = io_fsync(f->io, f->dir_fd);
	if (err < 0)
		return fsck_failed(f, file->name, err);
	fsck_print_saved(file);
	f->corrected += fsck_damages_of(file);
	if (file->rotated_bytes > 0 && !file->ends)
		return seal_rotated(f, file);
	return file->active || file->ends ? write_mark(f, file, new_durable(file, bytes)) : 0;
}

/* Removes a durable mark that is ignored: the next sync writes a new one. */
static int remove_mark(struct fsck *f)
{
	int err = f->wrong_mark ? io_unlink(f->io, f->dir_fd, ACTIVE_MARK_NAME) : 0;

	if (err == 0 && f->wrong_mark)
		err = io_fsync(f->io, f->dir_fd);
	f->corrected += err == 0 && f->wrong_mark;
	return err < 0 ? fsck_failed(f, ACTIVE_MARK_NAME, err) : 0;
}

int fsck_salvage_all(struct fsck *f)
{
	int err = remove_mark(f);

	for (size_t i = f->count; err == 0 && i > 0; i--)
		err = salvage_one(f, &f->files[i - 1]);
	return err == 0 && f->found > 0 ? fsck_write_manifest(f) : err;
}
