/* SPDX-License-Identifier: MIT */
/* Files under the names of other files. */
#include "mount-helpers/fsck/fsck.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* The content of a file that MANIFEST lists under another name. */
struct content {
	int fd; /* owned; -1: it is where it belongs, or unknown */
	uint64_t bytes;
	size_t belongs_to;
	bool is_copy; /* the file under the other name has it, too */
};

/* Returns whether a file has its listed content, judged by its size and its first record. */
static bool looks_listed(const struct fsck *f, const struct fsck_file *file)
{
	return file->bytes == file->listed_bytes &&
	       (file->bytes == 0 || fsck_first_time(f, file->fd) == file->facts.first_timestamp_ns);
}

/* Finds the file that the content of file 'index' belongs to, if MANIFEST lists it. */
static int find_place(struct fsck *f, size_t index, struct content *ret)
{
	struct fsck_file *file = &f->files[index], *to;
	struct manifest_facts facts;
	int whole = segment_facts(f->io, file->fd, file->bytes, &facts);

	if (whole < 0)
		return fsck_failed_read(f, file->name, whole);
	for (size_t n = 0; whole > 0 && n < f->count; n++)
		if (n != index && f->files[n].listed &&
		    fsck_has_facts(&f->files[n], file->bytes, &facts))
			*ret = (struct content){ file->fd, file->bytes, n, false };
	if (ret->fd < 0)
		return 0;
	to = &f->files[ret->belongs_to];
	if (to->missing || !looks_listed(f, to))
		return 0;
	whole = segment_facts(f->io, to->fd, to->bytes, &facts);
	if (whole < 0)
		return fsck_failed_read(f, to->name, whole);
	ret->is_copy = whole > 0 && fsck_has_facts(to, to->bytes, &facts);
	return 0;
}

/* Finds the files whose content is listed under the name of another one. */
static int find_moved(struct fsck *f, struct content *contents)
{
	int err = 0;

	for (size_t i = 0; err == 0 && i < f->count; i++) {
		const struct fsck_file *file = &f->files[i];

		contents[i] = (struct content){ .fd = -1 };
		if (file->listed && !file->missing && !looks_listed(f, file))
			err = find_place(f, i, &contents[i]);
	}
	return err;
}

int fsck_put_in_order(struct fsck *f)
{
	struct content *contents = calloc(f->count + 1, sizeof(contents[0]));
	int err = contents == NULL ? -ENOMEM : find_moved(f, contents);

	for (size_t i = 0; err == 0 && i < f->count; i++) {
		if (contents[i].fd < 0)
			continue;
		printf(contents[i].is_copy
			       ? "%s: is a copy of %s; what was in it is missing; put it back from "
				 "a copy, or go on without it by -y\n"
			       : "%s: has the content that MANIFEST lists as %s; -y puts it "
				 "there\n",
		       f->files[i].name, f->files[contents[i].belongs_to].name);
		f->files[i].fd = -1; /* until its own is found */
		f->files[i].bytes = 0;
		f->files[i].missing = true;
	}
	for (size_t i = 0; err == 0 && i < f->count; i++) {
		struct fsck_file *to = &f->files[contents[i].belongs_to];

		if (contents[i].fd < 0)
			continue;
		if (contents[i].is_copy) {
			(void)io_close(f->io, &contents[i].fd); /* read only */
			continue;
		}
		if (!to->missing)
			(void)io_close(f->io, &to->fd); /* read only */
		to->fd = contents[i].fd;
		to->bytes = to->durable_bytes = contents[i].bytes;
		to->missing = false;
		to->moved = true;
	}
	free(contents);
	return err;
}
