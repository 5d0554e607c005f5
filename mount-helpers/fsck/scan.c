/* SPDX-License-Identifier: MIT */
/* The damage in the files of a log: first in each file, then between them. */
#include "mount-helpers/fsck/fsck.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "codec/meta.h"
#include "writer/log/names.h"
#include "writer/log/reader.h"

/* Returns the offset from which on the lost part was never promised to be durable; UINT64_MAX: all
 * of it was.  A damage may reach over the durable mark.  In the active segment all of it is then
 * removed, because nothing follows.  A rotated segment stays incomplete there. */
static uint64_t torn_from(const struct fsck_file *file, const struct salvage_lost *l)
{
	if (l->offset >= file->durable_bytes)
		return l->offset;
	if (file->durable_bytes < file->rotated_bytes && l->offset + l->bytes > file->durable_bytes)
		return file->durable_bytes;
	return UINT64_MAX;
}

/* Separates the torn tail from damage.  Bytes behind the durable mark were never promised: the next
 * mount cuts them, in the order of the log, so nothing behind them is damage. */
static void split_torn_tail(struct fsck *f, struct fsck_file *file)
{
	struct salvage *s = &file->lost;

	for (size_t i = 0; (file->active || file->rotated_bytes > 0) && i < s->count; i++) {
		struct salvage_lost *l = &s->lost[i];

		file->torn_at = torn_from(file, l);
		if (file->torn_at == UINT64_MAX)
			continue;
		fsck_note(f,
			  "%s: offset %" PRIu64 ", %" PRIu64
			  " bytes: the end of an append that did not finish (%s); the next mount "
			  "saves "
			  "it and cuts it off\n",
			  file->name, file->torn_at, file->bytes - file->torn_at, l->reason);
		l->bytes = file->torn_at - l->offset; /* the damaged part, if any */
		salvage_truncate(s, l->bytes > 0 ? i + 1 : i);
		file->torn = true;
	}
}

/* Compares a sealed segment with its entry in MANIFEST. */
static void check_listed(struct fsck_file *file)
{
	if (!file->listed || file->missing || fsck_is_too_short(file) || !file->lost.whole)
		return; /* a damaged one is reported as that */
	file->is_other = !fsck_has_facts(file, file->bytes, &file->lost.facts);
	if (file->is_other)
		printf("%s: is not the file that MANIFEST lists under its name: it has %" PRIu64
		       " bytes and %" PRIu64 " records, the listed one %" PRIu64 " and %" PRIu64
		       "; restore all files from one copy, or -y uses this one\n",
		       file->name, file->bytes, file->lost.facts.records, file->listed_bytes,
		       file->facts.records);
}

/* Reports files that should begin with a segment record, but do not.  Damage at their beginning is
 * reported as damage. */
static void check_numbered(const struct fsck *f, struct fsck_file *file)
{
	if (!f->has_manifest || file->missing || file->numbered || file->misplaced ||
	    (!file->active && file->rotated_bytes == 0) ||
	    file->number < f->manifest.numbered_from || file->lost.records == 0 ||
	    (file->lost.count > 0 && file->lost.lost[0].offset == 0) ||
	    (file->torn && file->torn_at == 0))
		return;
	file->unnumbered = true;
	printf("%s: does not begin with a segment record of this store; restore all files from one "
	       "copy, or -y uses this one\n",
	       file->name);
}

/* Ends the log in this file if a power cut has removed a part of a rotated segment.  Later files
 * are then no part of the log; the next mount saves them, and continues at the end of this file. */
static void end_here(struct fsck *f, size_t index)
{
	struct fsck_file *file = &f->files[index];
	uint64_t end = file->bytes;

	if (file->rotated_bytes == 0 || file->durable_bytes == file->rotated_bytes)
		return;
	if (file->torn)
		end = file->torn_at;
	if (end == file->rotated_bytes)
		return;
	file->ends = true;
	fsck_note(f,
		  "%s: had %" PRIu64 " bytes, of which a power cut has left %" PRIu64
		  ": the log ends there; the next mount saves what follows in " QUARANTINE_NAME
		  "/\n",
		  file->name, file->rotated_bytes, end);
	for (size_t i = index + 1; i < f->count; i++)
		(void)io_close(f->io, &f->files[i].fd); /* read only */
	f->count = index + 1;
}

/* Returns whether the bytes that a file is too short by are missing at its end: a record ends past
 * it, or the latest record is missing, or the file was only appended to.  In a base the latest
 * record can be anywhere. */
static bool is_end_lost(const struct fsck_file *file)
{
	const struct salvage *s = &file->lost;
	const struct salvage_lost *last = s->count > 0 ? &s->lost[s->count - 1] : NULL;

	if (!file->listed || (last != NULL && last->offset + last->bytes == file->bytes))
		return true;
	return !file->in_base && s->whole &&
	       s->facts.last_timestamp_ns < file->facts.last_timestamp_ns;
}

/* Adds a lost part behind the end of a file that is too short or missing, unless its hint names the
 * lost records. */
static int note_lost_end(struct fsck *f, struct fsck_file *file)
{
	if (fsck_is_too_short(file)) {
		file->lost_anywhere = !file->lost.used_hint && !is_end_lost(file);
		printf("%s: ends at offset %" PRIu64 ", though it was durable up to %" PRIu64
		       ": %s\n",
		       file->name, file->bytes,
		       file->listed ? file->listed_bytes : file->durable_bytes,
		       file->lost_anywhere ? "records are missing, and nothing says where"
					   : "its end is missing");
	} else if (!file->missing) {
		return 0;
	}
	if (file->lost.used_hint ||
	    salvage_add(&file->lost, file->bytes, 0, "its end is missing") != NULL)
		return 0;
	return -ENOMEM;
}

/* Reports the lost parts of a file, and compares it with MANIFEST. */
static int report_file(struct fsck *f, struct fsck_file *file)
{
	int err;

	split_torn_tail(f, file);
	for (size_t n = 0; n < file->lost.count; n++)
		fsck_print_lost(file, &file->lost.lost[n]);
	err = note_lost_end(f, file);
	if (err < 0)
		return fsck_failed_read(f, file->name, err);
	check_listed(file);
	check_numbered(f, file);
	return 0;
}

/* Finds the latest time among the records of a file without its lost parts. */
static int latest_timestamp(struct fsck *f, const struct fsck_file *file, uint64_t *ret)
{
	struct salvage_file sf = fsck_salvage_file(file, f->io, f->dir_fd, false);
	struct salvage_view view;
	struct log_reader *r;
	struct log_entry e;
	int got;

	salvage_view_init(&view, &sf, &file->lost);
	got = log_reader_open(&view.io, file->fd, 0, salvage_new_bytes(&file->lost, file->bytes),
			      &r);
	if (got < 0)
		return got;
	*ret = 0;
	while ((got = log_reader_next(r, &e)) > 0)
		if (e.rec.timestamp_ns > *ret)
			*ret = e.rec.timestamp_ns;
	log_reader_close(r);
	return got;
}

/* Replaces a lost first record of a base.  Without it, the older segments would count as missing.
 * Its 'as_of' is its own time, so the latest one that MANIFEST lists for the file, or else the
 * latest one that is left; only its 'other_bytes', a figure, is lost. */
static int mend_base(struct fsck *f, struct fsck_file *file)
{
	struct salvage_lost *l = file->lost.count > 0 ? &file->lost.lost[0] : NULL;
	uint8_t key[META_KEY_PREFIX_BYTES], value[META_BASE_BYTES];
	struct meta_base base = { 0 };
	struct record rec = {
		.key = key, .key_bytes = sizeof(key), .value = value, .value_bytes = sizeof(value)
	};
	int err;

	if (!file->base || l == NULL || l->offset > 0 || l->instead != NULL)
		return 0;
	err = latest_timestamp(f, file, &base.as_of_ns);
	if (err < 0)
		return fsck_failed(f, file->name, err);
	if (file->listed && base.as_of_ns < file->facts.last_timestamp_ns)
		base.as_of_ns = file->facts.last_timestamp_ns;
	meta_key_prefix(META_BASE, key);
	meta_base_encode(&base, value);
	rec.timestamp_ns = base.as_of_ns;
	err = salvage_put_instead(l, &rec);
	salvage_assign_offsets(&file->lost);
	return err < 0 ? fsck_failed(f, file->name, err) : 0;
}

/* --- all files --- */

/* A file that a thread reads. */
struct scan {
	const struct fsck *f;
	struct fsck_file *file;
	pthread_t thread;
	bool has_thread;
	int err;
};

static void *scan_main(void *arg)
{
	struct scan *s = arg;
	struct salvage_file sf =
		fsck_salvage_file(s->file, s->f->io, s->f->dir_fd, s->f->options.take_inside);

	s->err = salvage_scan(&sf, &s->file->lost);
	return NULL;
}

/* Starts to read file 'i', if there is one. */
static void scan_start(struct scan *s, struct fsck *f, size_t i)
{
	if (i >= f->count)
		return;
	*s = (struct scan){ .f = f, .file = &f->files[i] };
	s->has_thread = pthread_create(&s->thread, NULL, scan_main, s) == 0;
}

static int scan_finish(struct scan *s)
{
	if (s->has_thread)
		(void)pthread_join(s->thread, NULL);
	else
		(void)scan_main(s);
	return s->err < 0 ? fsck_failed_read(s->f, s->file->name, s->err) : 0;
}

/* Checks file 'i', which 's' reads, and starts to read the next one before the replay of this one.
 * After a failure of the replay, only the reports go on. */
static int check_file(struct fsck *f, size_t i, struct scan *s, struct fsck_replay *r,
		      struct diag *diag, int *replayed)
{
	struct fsck_file *file = &f->files[i];
	int err = scan_finish(s);

	if (err == 0)
		err = report_file(f, file);
	if (err == 0)
		end_here(f, i);
	if (err == 0 && i == 0)
		err = mend_base(f, file);
	if (err < 0)
		return err;
	scan_start(s, f, i + 1);
	if (*replayed == 0)
		*replayed = fsck_replay_file(r, file, diag);
	return 0;
}

static int check_all(struct fsck *f, struct fsck_replay *r)
{
	struct diag diag = { "" };
	int err = 0, replayed = 0;
	struct scan s;

	scan_start(&s, f, 0);
	for (size_t i = 0; err == 0 && i < f->count; i++)
		err = check_file(f, i, &s, r, &diag, &replayed);
	if (err < 0)
		return err;
	if (replayed == 0)
		replayed = fsck_replay_names(r, &f->names);
	if (replayed < 0)
		warnx("%s", diag.text[0] != '\0' ? diag.text : strerror(-replayed));
	return replayed;
}

int fsck_check_files(struct fsck *f)
{
	struct fsck_replay *r;
	int err = fsck_replay_begin(f->io, &r);

	if (err < 0)
		return fsck_failed(f, "the replay", err);
	err = check_all(f, r);
	fsck_replay_end(r);
	for (size_t i = 0; err == 0 && i < f->count; i++) {
		fsck_print_edits(&f->files[i]);
		f->found += fsck_damages_of(&f->files[i]);
	}
	return err;
}
