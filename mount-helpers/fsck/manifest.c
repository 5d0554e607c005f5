/* SPDX-License-Identifier: MIT */
/* MANIFEST and the durable mark: whether they match the files, and a new MANIFEST. */
#include "mount-helpers/fsck/fsck.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "writer/log/manifest_file.h"
#include "writer/log/names.h"

bool fsck_is_obsolete(const struct manifest *m, struct segment_id id)
{
	for (size_t i = 0; i < m->obsolete_count; i++)
		if (m->obsolete[i].number == id.number &&
		    m->obsolete[i].generation == id.generation)
			return true;
	return false;
}

void fsck_report_manifest(struct fsck *f, const char *how)
{
	printf(MANIFEST_NAME ": %s; the segments cannot be compared with it; restore it from a "
			     "copy, or -y makes it anew from the segments\n",
	       how);
	f->rebuild_manifest = true;
	f->found++;
}

void fsck_check_unlisted(struct fsck *f)
{
	char what[SEGMENT_NAME_BYTES + 64];

	for (size_t i = 0; f->has_manifest && !f->rebuild_manifest && i < f->count; i++) {
		const struct fsck_file *file = &f->files[i];

		/* Beyond the active number only rotated segments are not listed yet. */
		if (file->active || file->missing || file->listed || file->rotated_bytes > 0 ||
		    file->number < f->manifest.active_number)
			continue;
		(void)snprintf(what, sizeof(what), "is older than %s, which it does not list",
			       file->name);
		fsck_report_manifest(f, what);
	}
}

/* Returns whether MANIFEST knows a file with this name, as listed, obsolete, or still to come. */
static bool is_known(const struct manifest *m, struct segment_id id)
{
	const struct manifest_segment *listed = manifest_find(m, id.number);

	return id.number >= m->active_number ||
	       (listed != NULL && listed->id.generation == id.generation) ||
	       fsck_is_obsolete(m, id);
}

/* Reads MANIFEST again and returns whether it lists the file 'name': a mount that writes may have
 * changed MANIFEST since the last reading.  A file gets its name after MANIFEST lists it, and is
 * removed before MANIFEST forgets it.  Returns 1, 0 or -errno. */
static int is_known_now(struct fsck *f, const char *name, struct segment_id id)
{
	struct diag diag = { "" };
	struct manifest now;
	int known = manifest_file_read(f->io, f->dir_fd, f->options.datadir, &now, &diag);

	if (known > 0) {
		known = is_known(&now, id);
		manifest_free(&now);
	}
	return known == 0 ? !fsck_has_name(f, name) : known;
}

/* Reports a second file for a segment that MANIFEST does not list yet: a mount cannot know which of
 * them is the segment. */
static void check_second(struct fsck *f, const char *name, uint64_t number)
{
	for (size_t i = 0; number >= f->manifest.active_number && i < f->count; i++) {
		struct fsck_file *file = &f->files[i];

		if (file->number != number || file->active || file->missing ||
		    strcmp(file->name, name) == 0)
			continue;
		if (!fsck_has_name(f, file->name))
			return; /* a mount that writes has renamed it to 'name' */
		printf("%s: is a second file for the segment %s; move away the one that does not "
		       "belong there\n",
		       name, file->name);
		file->misplaced = true;
	}
}

int fsck_report_stranger(void *arg, const char *name)
{
	struct fsck *f = arg;
	struct segment_id id = { .number = 0 };
	bool sealed = segment_name_parse(name, &id);
	uint64_t rotated_bytes;
	int known;

	if (f->has_manifest)
		check_second(f, name,
			     sealed ? id.number : segment_rotated_number(name, &rotated_bytes));
	if (!f->has_manifest || !sealed || is_known(&f->manifest, id))
		return 0; /* the next mount removes an obsolete one */
	for (size_t i = 0; i < f->count; i++)
		if (f->files[i].spare && strcmp(f->files[i].name, name) == 0)
			return 0; /* it was reported */
	known = is_known_now(f, name, id);
	if (known < 0)
		return fsck_failed(f, MANIFEST_NAME, known);
	if (known == 0)
		fsck_note(f, "%s: is not in MANIFEST and no part of the log; nothing removes it\n",
			  name);
	return 0;
}

void fsck_check_mark(struct fsck *f, uint64_t next_number)
{
	if (f->has_manifest && f->manifest.active_number > next_number)
		next_number = f->manifest.active_number;
	if (f->mark.segment == 0 || fsck_is_in_reach(next_number, f->mark.segment))
		return;
	printf(ACTIVE_MARK_NAME
	       ": says that segment %" PRIu64 " was durable, but the log goes on with "
	       "segment %" PRIu64 ": no log can lack so many, so it is ignored, and -y "
	       "removes it\n",
	       f->mark.segment, next_number);
	f->mark.segment = f->mark.durable_offset = 0;
	f->wrong_mark = true;
	f->found++;
}

void fsck_check_manifest(struct fsck *f, bool damaged)
{
	const struct manifest *m = &f->manifest;

	if (f->has_manifest)
		synced_raise(&f->mark, m->durable_number, m->durable_offset);
	if (f->has_manifest || (!damaged && !f->mark.with_manifest))
		return;
	fsck_report_manifest(f, damaged ? "is damaged" : "is missing");
}

/* Removes the files that salvage has replaced; the new MANIFEST does not list them. */
static void remove_replaced(struct fsck *f)
{
	for (size_t i = 0; i < f->count; i++) {
		const struct fsck_file *file = &f->files[i];

		if (file->old_name[0] == '\0')
			continue;
		(void)!io_unlink(f->io, f->dir_fd, file->old_name); /* only takes space */
		(void)!io_unlink(f->io, f->dir_fd, file->hint_name);
	}
}

/* --- MANIFEST --- */

/* Adds a sealed segment in its present form. */
static int list_file(struct fsck *f, struct manifest *m, const struct fsck_file *file)
{
	struct manifest_segment seg = { .id = { file->number, file->generation },
					.is_base = m->count == 0 && file->base };
	char name[SEGMENT_NAME_BYTES];
	struct io_stat st = { 0 };
	int fd, err;

	segment_name(seg.id, name);
	fd = io_open(f->io, f->dir_fd, name, O_RDONLY, 0);
	if (fd == -ENOENT) /* it has not got its name yet */
		fd = io_open(f->io, f->dir_fd, file->name, O_RDONLY, 0);
	if (fd < 0)
		return fd;
	err = io_stat(f->io, fd, &st);
	seg.bytes = st.size_bytes;
	if (file->rotated_bytes > 0 && !file->sealed && seg.bytes > file->rotated_bytes)
		seg.bytes = file->rotated_bytes; /* zeros follow */
	if (err == 0)
		err = segment_facts(f->io, fd, seg.bytes, &seg.facts);
	(void)io_close(f->io, &fd); /* read only */
	if (err < 0)
		return err;
	m->active_number = seg.id.number + 1;
	return manifest_add(m, &seg) ? 0 : -ENOMEM;
}

/* Finds the store's id (a random one if no file has it), and the number from which on all files
 * have a segment record: salvage may have removed one. */
static int take_identity(struct fsck *f, struct manifest *m)
{
	struct meta_segment segment;
	bool known = f->has_manifest;

	for (size_t i = 0; i < f->count; i++) {
		int fd = io_open(f->io, f->dir_fd, f->files[i].name, O_RDONLY, 0);
		bool numbered = fsck_read_number(f, fd, &segment);

		(void)io_close(f->io, &fd); /* read only */
		if (numbered && !known) {
			memcpy(m->store_id, segment.store_id, sizeof(m->store_id));
			known = true;
		}
		if (i + 1 == f->count && numbered && !f->has_manifest)
			m->numbered_from = f->files[i].number;
		else if ((i + 1 == f->count || f->files[i].unnumbered) && !numbered &&
			 m->numbered_from <= f->files[i].number)
			m->numbered_from = f->files[i].number + 1;
	}
	if (known)
		return 0;
	return getrandom(m->store_id, sizeof(m->store_id), 0) == (ssize_t)sizeof(m->store_id)
		       ? 0
		       : -EIO;
}

/* Returns how many files to list in MANIFEST: all up to the last sealed one.  Rotated segments
 * before it are durable, and get their names at the next mount. */
static size_t count_listed(const struct fsck *f)
{
	size_t count = f->count;

	while (count > 0 &&
	       (f->files[count - 1].active || f->files[count - 1].ends ||
		(f->files[count - 1].rotated_bytes > 0 && !f->files[count - 1].sealed)))
		count--;
	return count;
}

/* Returns whether an obsolete file stays, because the file that has replaced it is missing. */
static bool stays(const struct fsck *f, struct segment_id id)
{
	for (size_t i = 0; i < f->count; i++) {
		const struct fsck_file *file = &f->files[i];

		if (file->number == id.number &&
		    (file->missing || (file->spare && file->generation == id.generation)))
			return true;
		if (file->missing && file->base && id.number <= file->number)
			return true;
	}
	return false;
}

int fsck_write_manifest(struct fsck *f)
{
	struct manifest m = { .numbered_from = f->manifest.numbered_from,
			      .active_number = SEGMENT_FIRST_NUMBER };
	bool replaced = false;
	int err = 0;

	if (!f->has_manifest && !f->rebuild_manifest)
		return 0; /* a store of a version without MANIFEST */
	memcpy(m.store_id, f->manifest.store_id, sizeof(m.store_id));
	for (size_t i = 0; err == 0 && i < count_listed(f); i++)
		err = list_file(f, &m, &f->files[i]);
	m.durable_number = f->count > 0 ? f->files[f->count - 1].number : m.active_number;
	if (m.durable_number < m.active_number)
		m.durable_number = m.active_number;
	if (!f->has_manifest)
		m.numbered_from = m.durable_number + 1;
	if (err == 0)
		err = take_identity(f, &m);
	for (size_t i = 0; err == 0 && i < f->manifest.obsolete_count; i++)
		if (!stays(f, f->manifest.obsolete[i]))
			err = manifest_add_obsolete(&m, f->manifest.obsolete[i]) ? 0 : -ENOMEM;
	if (err == 0)
		err = manifest_file_write(f->io, f->dir_fd, &m, &replaced);
	manifest_free(&m);
	if (err == 0)
		remove_replaced(f);
	if (err == 0 && f->rebuild_manifest)
		printf(MANIFEST_NAME ": made anew from the segments\n");
	f->corrected += err == 0 && f->rebuild_manifest;
	return err < 0 ? fsck_failed(f, MANIFEST_NAME, err) : 0;
}
