/* SPDX-License-Identifier: MIT */
/* Segments that the log should have and that are missing, and files that can replace them. */
#include "mount-helpers/fsck/fsck.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#include "writer/log/names.h"

static int add_missing_file(struct fsck *f, struct fsck_file *file, const char *how)
{
	printf("%s: is missing, with all that was written while it was the active segment; %s\n",
	       file->name, how);
	file->missing = true;
	file->fd = -1;
	return fsck_add_file(f, file);
}

/* A search for a file in the directory that can replace a missing segment. */
struct spare {
	const struct fsck *f;
	const struct fsck_file *missing;
	uint64_t generation; /* the newest one found; 0: none */
};

/* Notes the newest candidate.  For a listed file only the file that it has replaced is one. */
static int find_spare(void *arg, const char *name)
{
	struct spare *s = arg;
	struct segment_id id;

	if (segment_name_parse(name, &id) && id.number == s->missing->number &&
	    id.generation > s->generation &&
	    (!s->missing->listed || fsck_is_obsolete(&s->f->manifest, id)))
		s->generation = id.generation;
	return 0;
}

/* Opens a candidate for a missing file.  Accepts it if it is undamaged, its records are later than
 * 'after_ns' and earlier than 'before_ns', and it is a base exactly if the missing one is.  Returns
 * 1, 0 (not accepted) or -errno. */
static int open_spare(struct fsck *f, struct fsck_file *file, uint64_t after_ns, uint64_t before_ns,
		      struct manifest_facts *ret)
{
	struct meta_base ignored;
	struct io_stat st = { 0 };
	int got, base;

	file->fd = io_open(f->io, f->dir_fd, file->name, O_RDONLY, 0);
	if (file->fd < 0)
		return file->fd;
	got = io_stat(f->io, file->fd, &st);
	if (got == 0)
		got = segment_facts(f->io, file->fd, st.size_bytes, ret);
	base = got > 0 ? segment_is_base(f->io, file->fd, st.size_bytes, &ignored) : 0;
	if (base < 0)
		got = base;
	/* A base has replaced all segments up to it, so a single one of them cannot stand in for
	 * it. */
	if (got > 0 && (file->base != (base > 0) ||
			(ret->records > 0 && (ret->first_timestamp_ns <= after_ns ||
					      ret->last_timestamp_ns >= before_ns))))
		got = 0;
	if (got <= 0)
		(void)io_close(f->io, &file->fd); /* read only */
	file->bytes = file->durable_bytes = st.size_bytes;
	return got;
}

/* Adds a file that can replace a missing one.  Returns 1, 0 (there is none) or -errno. */
static int add_spare(struct fsck *f, const struct fsck_file *missing, uint64_t *after_ns,
		     uint64_t before_ns)
{
	struct fsck_file file = { .number = missing->number,
				  .base = missing->base,
				  .in_base = missing->in_base,
				  .spare = true };
	struct spare s = { .f = f, .missing = missing };
	struct manifest_facts facts = { 0 };
	int got = f->has_manifest ? io_list(f->io, f->dir_fd, find_spare, &s) : 0;

	if (got < 0 || s.generation == 0)
		return got;
	file.generation = s.generation;
	segment_name((struct segment_id){ file.number, file.generation }, file.name);
	got = open_spare(f, &file, *after_ns, before_ns, &facts);
	if (got < 0)
		return fsck_failed_read(f, file.name, got);
	if (got == 0)
		return 0;
	if (missing->listed)
		printf("%s: is missing; %s, which it has replaced, is whole, and -y goes back to "
		       "it\n",
		       missing->name, file.name);
	else
		printf("%s: is not in MANIFEST, is whole, and fits where segment %" PRIu64
		       " is missing; -y lists it\n",
		       file.name, file.number);
	if (facts.records > 0)
		*after_ns = facts.last_timestamp_ns;
	got = fsck_add_file(f, &file);
	return got < 0 ? got : 1;
}

/* Adds segment 'number', which is missing. */
static int add_missing_segment(struct fsck *f, uint64_t number, uint64_t *after_ns,
			       uint64_t before_ns)
{
	struct fsck_file file = { .number = number, .generation = 1 };
	int got;

	fsck_look_up(f, &file);
	segment_name((struct segment_id){ number, file.generation }, file.name);
	got = add_spare(f, &file, after_ns, before_ns);
	if (got != 0)
		return got < 0 ? got : 0;
	while (!file.listed &&
	       fsck_has_name(f, file.name)) /* that name is in use by another file */
		segment_name((struct segment_id){ number, ++file.generation }, file.name);
	if (file.listed)
		*after_ns = file.facts.last_timestamp_ns;
	return add_missing_file(f, &file,
				"put it back from a copy, mount with -o "
				"missing_segments=accept, or go on without it by -y");
}

/* Returns the time of the first record of a file; UINT64_MAX: unknown. */
static uint64_t first_time(const struct fsck *f, const struct fsck_file *file)
{
	if (file->listed)
		return file->facts.records > 0 ? file->facts.first_timestamp_ns : UINT64_MAX;
	return fsck_first_time(f, file->fd);
}

bool fsck_is_in_reach(uint64_t next, uint64_t number)
{
	return number <= next || number - next <= SEGMENTS_MISSING_MAX;
}

/* Returns the number of the first segment at or after 'next' that MANIFEST lists, or 'end' if it
 * lists none before that. */
static uint64_t next_listed(const struct fsck *f, uint64_t next, uint64_t end)
{
	for (size_t i = 0; i < f->manifest.count; i++)
		if (f->manifest.segments[i].id.number >= next)
			return f->manifest.segments[i].id.number < end
				       ? f->manifest.segments[i].id.number
				       : end;
	return end;
}

/* Adds the segments at or after 'next' that are missing before 'file'.  If their number is too
 * large, and only the number of a file implies it, that number is wrong, and none of them is added.
 */
static int add_missing_before(struct fsck *f, uint64_t next, size_t file, uint64_t *after_ns)
{
	uint64_t before_ns = first_time(f, &f->files[file]), end = f->files[file].number;
	int err = 0;

	while (err == 0 && next < end) {
		uint64_t listed = next_listed(f, next, end);

		if (!fsck_is_in_reach(next, listed)) {
			printf("segments %" PRIu64 " to %" PRIu64
			       ": are missing in front of %s, more than a log can lack: its number "
			       "or " MANIFEST_NAME
			       " is wrong; move that file away, or restore both "
			       "from one copy\n",
			       next, listed - 1, f->files[file].name);
			f->files[file].misplaced = true;
			next = listed;
		}
		for (; err == 0 && next <= listed && next < end; next++)
			err = add_missing_segment(f, next, after_ns, before_ns);
	}
	return err;
}

int fsck_add_missing(struct fsck *f)
{
	uint64_t next = f->base_number != 0 ? f->base_number : SEGMENT_FIRST_NUMBER;
	size_t count = f->count; /* in the order of the log; added files come after these */
	uint64_t after_ns = 0;
	int err = 0;

	for (size_t i = 0; err == 0 && i < count; i++) {
		err = add_missing_before(f, next, i, &after_ns);
		next = f->files[i].number + 1;
		if (f->files[i].listed && f->files[i].facts.records > 0)
			after_ns = f->files[i].facts.last_timestamp_ns;
	}
	return err;
}

int fsck_add_missing_active(struct fsck *f, struct fsck_file *active, uint64_t next_number)
{
	char hint[SEGMENT_NAME_BYTES];
	int err = hint_file_name(ACTIVE_NAME, hint, sizeof(hint));

	if (err < 0)
		return err; /* cannot happen */
	active->durable_bytes = synced_durable_bytes(&f->mark, active->number, 0, false);
	if (active->durable_bytes == 0 && active->number == next_number && !fsck_has_name(f, hint))
		return 0;
	return add_missing_file(f, active, "put it back from a copy, or go on without it by -y");
}
