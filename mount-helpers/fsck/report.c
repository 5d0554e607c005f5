/* SPDX-License-Identifier: MIT */
/* Messages of fsck.freyjafs, and the lines of its report on stdout. */
#include "mount-helpers/fsck/fsck.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/commit.h"
#include "codec/timestamp.h"
#include "mount-helpers/common/key_text.h"
#include "writer/log/names.h"

void fsck_note(struct fsck *f, const char *fmt, ...)
{
	va_list args;

	if (f->notes == NULL)
		f->notes = open_memstream(&f->notes_text, &f->notes_bytes);
	if (f->notes == NULL)
		return; /* no memory: a note is lost, no finding */
	va_start(args, fmt);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): va_start() is on the line before */
	(void)vfprintf(f->notes, fmt, args);
	va_end(args);
}

void fsck_end_notes(struct fsck *f, bool print)
{
	if (f->notes == NULL)
		return;
	(void)fclose(f->notes); /* of memory */
	if (print)
		printf("%s", f->notes_text);
	free(f->notes_text);
	f->notes = NULL;
	f->notes_text = NULL;
}

int fsck_failed(const struct fsck *f, const char *name, int err)
{
	warnx("%s/%s: %s", f->options.datadir, name, strerror(-err));
	return err;
}

int fsck_failed_read(const struct fsck *f, const char *name, int err)
{
	if (err == -EIO)
		warnx("%s: the disk cannot read all of it, so what was written is unknown; "
		      "copy it with ddrescue(1), which leaves zeros where it cannot "
		      "read, and check the copy",
		      name);
	return fsck_failed(f, name, err);
}

static void print_meta_record(const struct record *rec, const struct commit_record *r)
{
	switch (r->kind) {
	case META_ATTR:
		printf("attributes of ");
		break;
	case META_BASE:
		printf("the beginning of a base");
		return;
	case META_EXTENT:
		printf("%" PRIu32 " bytes of a content in pieces", rec->value_bytes);
		return;
	case META_LINK:
		printf("a link of ");
		break;
	case META_MOVE:
		printf("a rename of ");
		break;
	case META_PUBLISH:
		printf("a content in pieces of ");
		break;
	case META_SEGMENT:
		printf("the number of the segment");
		return;
	}
	key_text_print(stdout, r->path, r->path_bytes);
}

static void print_record(const struct salvage_record *was)
{
	const struct record *rec = &was->rec;
	struct commit_record r;
	bool ok = commit_record_decode(rec, was->value_held_bytes, &r) == META_OK;

	if (!ok && r.kind == 0) {
		printf("a record of an unknown kind");
	} else if (r.kind != 0) {
		print_meta_record(rec, &r);
	} else {
		if (rec->value_bytes == 0)
			printf("the removal of ");
		else
			printf("%" PRIu32 " bytes, the content of ", rec->value_bytes);
		key_text_print(stdout, rec->key, rec->key_bytes);
	}
	if (ok && (r.kind == META_MOVE || r.kind == META_LINK)) {
		printf(r.move.flags & META_FLAG_EXCHANGE ? " with " : " to ");
		key_text_print(stdout, r.move.new_path, r.move.new_path_bytes);
	}
}

void fsck_print_lost(const struct fsck_file *file, const struct salvage_lost *l)
{
	printf("%s: offset %" PRIu64 ", %" PRIu64 " bytes: %s", file->name, l->offset, l->bytes,
	       l->reason);
	if (l->known == SALVAGE_PROVEN) {
		printf("; its hint says that it was ");
		print_record(&l->was);
		printf(l->exact ? ": nothing is lost\n" : "\n");
	} else if (l->known == SALVAGE_CLAIMED) {
		printf("; without a hint that proves it, it says that it is ");
		print_record(&l->was);
		printf(l->exact ? ", but for one byte: nothing is lost\n" : "\n");
	} else if (l->known == SALVAGE_NOTHING) {
		printf(": nothing is lost\n");
	} else {
		printf("; nothing says what it was\n");
	}
	if (l->inside > 0)
		printf("%s: offset %" PRIu64 ": %" PRIu64
		       " records in there look whole; they may be part of a damaged value and are "
		       "not taken without --take-inside\n",
		       file->name, l->inside_from, l->inside);
}

void fsck_print_edits(const struct fsck_file *file)
{
	for (size_t i = 0; i < file->edits.count; i++) {
		const struct salvage_lost *l = &file->edits.lost[i];

		if (l->reason[0] == '\0')
			continue; /* it was printed as lost */
		printf("%s: offset %" PRIu64 ": ", file->name, l->offset);
		if (l->was.owned != NULL) {
			printf("an undamaged record that does not fit: %s: ", l->reason);
			print_record(&l->was);
			printf("\n");
		} else {
			printf("an uncertain content: %s\n", l->reason);
		}
	}
}

void fsck_print_name(const struct fsck_name *name)
{
	char text[TIMESTAMP_BYTES];

	printf("lost: ");
	key_text_print(stdout, name->path, name->path_bytes);
	printf(": version of %s: %" PRIu64 " of %" PRIu64
	       " bytes cannot be read, the first at offset %" PRIu64 "; ",
	       timestamp_format(name->version_ns, text), name->lost_bytes, name->size_bytes,
	       name->first_lost);
	if (name->has_older)
		printf("the newest whole version is of %s, %" PRIu64 " bytes\n",
		       timestamp_format(name->older_ns, text), name->older_bytes);
	else
		printf("no older version is whole\n");
}

void fsck_print_saved(const struct fsck_file *file)
{
	const char *last = "";

	for (size_t i = 0; i < file->lost.count; i++) {
		const struct salvage_lost *l = &file->lost.lost[i];

		if (l->saved_as[0] != '\0' && strcmp(l->saved_as, last) != 0)
			printf("%s: offset %" PRIu64 ": taken out, saved as " QUARANTINE_NAME
			       "/%s\n",
			       file->name, l->offset, l->saved_as);
		last = l->saved_as;
	}
	for (size_t i = 0; i < file->edits.count; i++)
		if (file->edits.lost[i].saved_as[0] != '\0')
			printf("%s: saved as " QUARANTINE_NAME "/%s\n", file->name,
			       file->edits.lost[i].saved_as);
}
