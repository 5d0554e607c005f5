/* SPDX-License-Identifier: MIT */
/* The main program of fsck.freyjafs, which checks a store and salvages a damaged one: fsck.freyjafs
 * [OPTION...] DATADIR. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "codec/timestamp.h"
#include "codec/commit.h"
#include "mount-helpers/fsck/old.h"
#include "mount-helpers/fsck/replay.h"
#include "mount-helpers/common/key_text.h"
#include "mount-helpers/common/mounted.h"
#include "writer/base/array.h"
#include "writer/log/hint_file.h"
#include "writer/log/names.h"
#include "writer/log/reader.h"
#include "writer/log/snapshot.h"
#include "writer/log/manifest_file.h"
#include "writer/log/salvage.h"

#define HOLDER_BYTES_MAX 4096
#define LOOKS_MAX	 8

/* X(name, number, meaning): the numbers of fsck(8) */
#define FSCK_EXITS(X)                                                                   \
	X(FSCK_OK, 0, "nothing is wrong")                                               \
	X(FSCK_CORRECTED, 1, "damage was found and salvaged")                           \
	X(FSCK_UNCORRECTED, 4, "damage was found and is still there")                   \
	X(FSCK_FAILED, 8,                                                               \
	  "it could not be checked: in use, of a newer version, or the system refused") \
	X(FSCK_USAGE, 16, "wrong arguments")

enum fsck_exit {
#define FSCK_ENUM(name, number, meaning) name = (number),
	FSCK_EXITS(FSCK_ENUM)
#undef FSCK_ENUM
};

struct options {
	const char *datadir;
	bool salvage, take_inside, prefer_none, help, version;
};

struct fsck {
	struct options options;
	struct io *io;
	int dir_fd, lock_fd;
	struct fsck_file *files; /* owned; in the order of the log */
	size_t count, room;
	struct synced mark;	  /* zeros: there is none, or it is ignored */
	uint64_t base_number;	  /* the base that the log begins with; 0: it begins with the first
				     segment */
	struct manifest manifest; /* owned */
	bool has_manifest, rebuild_manifest;
	bool wrong_mark; /* the durable mark has a number that no log can have */
	bool stands;	 /* nothing may be changed, because files are not where they belong */
	uint64_t found, corrected; /* number of damages */
	struct fsck_names names;   /* names that cannot be read whole */
	uint64_t restored;	   /* names that have an older version now */
	FILE *notes;	  /* findings that are no damage and stay; printed once, at the end */
	char *notes_text; /* owned */
	size_t notes_bytes;
};

/* --- messages --- */

static void complain(const char *fmt, ...) PRINTF_LIKE(1, 2);
static void complain(const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "fsck.freyjafs: ");
	va_start(args, fmt);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): a false positive */
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, "\n");
}

/* Notes a finding that is no damage.  Salvage checks all files repeatedly, and finds it each time,
 * so notes are kept and printed at the end. */
static void note(struct fsck *f, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void note(struct fsck *f, const char *fmt, ...)
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

/* Ends the notes of one check of the files, and prints them if it is the last one. */
static void end_notes(struct fsck *f, bool print)
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

static int failed(const struct fsck *f, const char *what, int err)
{
	complain("%s/%s: %s", f->options.datadir, what, strerror(-err));
	return err;
}

/* As failed(), for a file that cannot be read. */
static int failed_read(const struct fsck *f, const char *name, int err)
{
	if (err == -EIO)
		complain("%s: the disk cannot read all of it, so what was written is unknown; "
			 "copy it with ddrescue(1), which leaves zeros where it cannot "
			 "read, and check the copy",
			 name);
	return failed(f, name, err);
}

static void print_help(FILE *out)
{
	fprintf(out,
		"usage: fsck.freyjafs [-n | -y] [--prefer old|none] [--take-inside] DATADIR\n"
		"Reads the whole store in DATADIR and reports damage.\n\n"
		"  -n             check only, change nothing (the default); also beside a mount\n"
		"  -y, --salvage  remove damaged bytes, so that the store can be mounted; they\n"
		"                 are saved in DATADIR/" QUARANTINE_NAME "/ first, with a report\n"
		"  --take-inside  with -y: keep records also where they may be part of a damaged\n"
		"                 value (see the manual)\n"
		"  --prefer old   with -y: a file that cannot be read whole becomes its newest "
		"whole\n"
		"                 version, if there is one (the default)\n"
		"  --prefer none  with -y: it keeps its readable bytes; reading the others is EIO\n"
		"  -a, -p, -f     for fsck(8): -a and -p mean -n, -f has no effect\n"
		"  -h, --help     print this\n"
		"  -V, --version  print the version\n\nExit status:\n");
#define PRINT_EXIT(name, number, meaning) fprintf(out, "  %-2d %s\n", number, meaning);
	FSCK_EXITS(PRINT_EXIT)
#undef PRINT_EXIT
}

/* --- the files --- */

/* Adds a file and takes over 'fd'. */
static int add_file(struct fsck *f, const struct fsck_file *file)
{
	int fd = file->fd;

	if (ARRAY_RESERVE(f->files, f->count + 1, f->room) < 0) {
		(void)io_close(f->io, &fd); /* read only */
		return -ENOMEM;
	}
	f->files[f->count++] = *file;
	return 0;
}

/* Stores the facts that MANIFEST has about a sealed segment. */
static void look_up(const struct fsck *f, struct fsck_file *file)
{
	const struct manifest_segment *m = manifest_find(&f->manifest, file->number);

	if (m == NULL)
		return;
	file->listed = true;
	file->listed_bytes = m->bytes;
	file->facts = m->facts;
	file->base |= m->is_base;
	file->generation = m->id.generation;
	if (file->full_bytes > 0) /* MANIFEST lists it already; the next mount gives it its name */
		file->full_bytes = 0;
}

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
					  .full_bytes = seg.full_bytes,
					  .bytes = seg.bytes,
					  .durable_bytes = seg.bytes };

		segment_file_name(&seg, file.name);
		file.base = seg.number == s->base_number;
		look_up(f, &file);
		file.fd = segments_take_last(s, seg.number);
		err = add_file(f, &file);
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

	if (!file->active && file->full_bytes == 0)
		return;
	for (const struct fsck_file *later = file + 1; later < f->files + f->count; later++)
		sealed_behind |= !later->active && later->full_bytes == 0;
	file->durable_bytes =
		synced_durable_bytes(&f->mark, file->number, file->full_bytes, sealed_behind);
}

static bool has_name(const struct fsck *f, const char *name)
{
	int fd = io_open(f->io, f->dir_fd, name, O_RDONLY, 0);
	bool has = fd >= 0;

	(void)io_close(f->io, &fd); /* read only */
	return has;
}

static int add_missing_file(struct fsck *f, struct fsck_file *file, const char *how)
{
	printf("%s: is missing, with all that was written while it was the active segment; %s\n",
	       file->name, how);
	file->missing = true;
	file->fd = -1;
	return add_file(f, file);
}

/* A search for a file in the directory that can replace a missing segment. */
struct spare {
	const struct fsck *f;
	const struct fsck_file *missing;
	uint64_t generation; /* the newest one found; 0: none */
};

static bool is_obsolete(const struct manifest *m, struct segment_id id)
{
	for (size_t i = 0; i < m->obsolete_count; i++)
		if (m->obsolete[i].number == id.number &&
		    m->obsolete[i].generation == id.generation)
			return true;
	return false;
}

/* Notes the newest candidate.  For a listed file only the file that it has replaced is one. */
static int find_spare(void *arg, const char *name)
{
	struct spare *s = arg;
	struct segment_id id;

	if (segment_name_parse(name, &id) && id.number == s->missing->number &&
	    id.generation > s->generation &&
	    (!s->missing->listed || is_obsolete(&s->f->manifest, id)))
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
	struct fsck_file file = { .number = missing->number, .base = missing->base, .spare = true };
	struct spare s = { .f = f, .missing = missing };
	struct manifest_facts facts = { 0 };
	int got = f->has_manifest ? io_list(f->io, f->dir_fd, find_spare, &s) : 0;

	if (got < 0 || s.generation == 0)
		return got;
	file.generation = s.generation;
	segment_name((struct segment_id){ file.number, file.generation }, file.name);
	got = open_spare(f, &file, *after_ns, before_ns, &facts);
	if (got < 0)
		return failed_read(f, file.name, got);
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
	got = add_file(f, &file);
	return got < 0 ? got : 1;
}

/* Adds segment 'number', which is missing. */
static int add_missing_segment(struct fsck *f, uint64_t number, uint64_t *after_ns,
			       uint64_t before_ns)
{
	struct fsck_file file = { .number = number, .generation = 1 };
	int got;

	look_up(f, &file);
	segment_name((struct segment_id){ number, file.generation }, file.name);
	got = add_spare(f, &file, after_ns, before_ns);
	if (got != 0)
		return got < 0 ? got : 0;
	while (!file.listed && has_name(f, file.name)) /* that name is in use by another file */
		segment_name((struct segment_id){ number, ++file.generation }, file.name);
	if (file.listed)
		*after_ns = file.facts.last_timestamp_ns;
	return add_missing_file(f, &file,
				"put it back from a copy, mount with -o "
				"missing_segments=accept, or go on without it by -y");
}

/* Reads the time of the first record of a file; UINT64_MAX: it has no record, or cannot be read. */
static uint64_t read_first_time(const struct fsck *f, int fd)
{
	uint8_t header[RECORD_HEADER_BYTES];
	struct record rec;

	if (fd < 0 || io_pread_all(f->io, fd, header, sizeof(header), 0) != (ssize_t)sizeof(header))
		return UINT64_MAX;
	(void)record_decode_header(header, &rec);
	return rec.timestamp_ns;
}

/* Returns the time of the first record of a file; UINT64_MAX: unknown. */
static uint64_t first_time(const struct fsck *f, const struct fsck_file *file)
{
	if (file->listed)
		return file->facts.records > 0 ? file->facts.first_timestamp_ns : UINT64_MAX;
	return read_first_time(f, file->fd);
}

/* Returns whether a log that continues with segment 'next' can have segment 'number': it is not
 * more than the largest possible number of missing segments ahead. */
static bool is_in_reach(uint64_t next, uint64_t number)
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

		if (!is_in_reach(next, listed)) {
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

/* Adds the segments whose numbers are missing.  Salvage replaces them by stand-ins for the records
 * in their hints. */
static int add_missing(struct fsck *f)
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

/* Adds the active segment as missing.  After a crash it may be absent without a loss: if nothing
 * shows that it had durable records, and its number would be 'next_number'.  With a higher number,
 * the segments before it are missing, too. */
static int add_missing_active(struct fsck *f, struct fsck_file *active, uint64_t next_number)
{
	char hint[SEGMENT_NAME_BYTES];
	int err = hint_file_name(ACTIVE_NAME, hint, sizeof(hint));

	if (err < 0)
		return err; /* cannot happen */
	active->durable_bytes = synced_durable_bytes(&f->mark, active->number, 0, false);
	if (active->durable_bytes == 0 && active->number == next_number && !has_name(f, hint))
		return 0;
	return add_missing_file(f, active, "put it back from a copy, or go on without it by -y");
}

/* Returns whether a file begins with a segment record, and stores the record. */
static bool read_number(struct fsck *f, int fd, struct meta_segment *ret)
{
	uint8_t bytes[RECORD_HEADER_BYTES + META_KEY_PREFIX_BYTES + META_SEGMENT_BYTES];
	struct record_scan_result res;
	ssize_t got = fd < 0 ? -EBADF : io_pread_all(f->io, fd, bytes, sizeof(bytes), 0);

	return got == (ssize_t)sizeof(bytes) &&
	       record_scan(bytes, sizeof(bytes), sizeof(bytes), &res) == RECORD_WHOLE &&
	       meta_is_segment_key(res.rec.key, res.rec.key_bytes) &&
	       meta_segment_decode(res.rec.value, res.rec.value_bytes, ret) == META_OK;
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
	if (!f->has_manifest && read_number(f, fd, &segment) && segment.number > number &&
	    is_in_reach(next_number, segment.number))
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
		err = add_file(f, &active);
	else
		err = add_missing_active(f, &active, next_number);
	if (err == 0)
		err = take_segments(f, files->segments);
	if (err == 0 && f->count > 0)
		qsort(f->files, f->count, sizeof(f->files[0]), compare_files);
	if (err == 0)
		err = add_missing(f);
	if (err == 0 && f->count > 0)
		qsort(f->files, f->count, sizeof(f->files[0]), compare_files);
	return err;
}

static void report_manifest(struct fsck *f, const char *what)
{
	printf(MANIFEST_NAME ": %s; the segments cannot be compared with it; restore it from a "
			     "copy, or -y makes it anew from the segments\n",
	       what);
	f->rebuild_manifest = true;
	f->found++;
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
		bool numbered = !file->missing && read_number(f, file->fd, &segment);

		if (!f->has_manifest && !f->rebuild_manifest && (numbered || file->generation > 1))
			report_manifest(f, "is missing");
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

/* Returns whether MANIFEST knows a file with this name, as listed, obsolete, or still to come. */
static bool is_known(const struct manifest *m, struct segment_id id)
{
	const struct manifest_segment *listed = manifest_find(m, id.number);

	return id.number >= m->active_number ||
	       (listed != NULL && listed->id.generation == id.generation) || is_obsolete(m, id);
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
	return known == 0 ? !has_name(f, name) : known;
}

/* Reports files that have the name of a segment but are no part of the log. */
static int report_stranger(void *arg, const char *name)
{
	struct fsck *f = arg;
	struct segment_id id;
	int known;

	if (!f->has_manifest || !segment_name_parse(name, &id) || is_known(&f->manifest, id))
		return 0; /* the next mount removes an obsolete one */
	for (size_t i = 0; i < f->count; i++)
		if (f->files[i].spare && strcmp(f->files[i].name, name) == 0)
			return 0; /* it was reported */
	known = is_known_now(f, name, id);
	if (known < 0)
		return failed(f, MANIFEST_NAME, known);
	if (known == 0)
		note(f, "%s: is not in MANIFEST and no part of the log; nothing removes it\n",
		     name);
	return 0;
}

/* Ignores a durable mark with a number that no log of these files can have. */
static void check_mark(struct fsck *f, uint64_t next_number)
{
	if (f->has_manifest && f->manifest.active_number > next_number)
		next_number = f->manifest.active_number;
	if (f->mark.segment == 0 || is_in_reach(next_number, f->mark.segment))
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

/* Reports a damaged or missing MANIFEST.  If it has a later durable position than the mark, that
 * position is used. */
static void check_manifest(struct fsck *f, bool damaged)
{
	const struct manifest *m = &f->manifest;

	if (f->has_manifest)
		synced_raise(&f->mark, m->durable_number, m->durable_offset);
	if (f->has_manifest || (!damaged && !f->mark.with_manifest))
		return;
	report_manifest(f, damaged ? "is damaged" : "is missing");
}

/* --- files under the names of other files --- */

static bool are_facts(const struct fsck_file *file, uint64_t bytes,
		      const struct manifest_facts *facts)
{
	return bytes == file->listed_bytes && facts->records == file->facts.records &&
	       facts->first_timestamp_ns == file->facts.first_timestamp_ns &&
	       facts->last_timestamp_ns == file->facts.last_timestamp_ns &&
	       (!file->facts.has_digest || facts->digest == file->facts.digest);
}

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
	       (file->bytes == 0 || read_first_time(f, file->fd) == file->facts.first_timestamp_ns);
}

/* Finds the file that the content of file 'index' belongs to, if MANIFEST lists it. */
static int find_place(struct fsck *f, size_t index, struct content *ret)
{
	struct fsck_file *file = &f->files[index], *to;
	struct manifest_facts facts;
	int whole = segment_facts(f->io, file->fd, file->bytes, &facts);

	if (whole < 0)
		return failed_read(f, file->name, whole);
	for (size_t n = 0; whole > 0 && n < f->count; n++)
		if (n != index && f->files[n].listed &&
		    are_facts(&f->files[n], file->bytes, &facts))
			*ret = (struct content){ file->fd, file->bytes, n, false };
	if (ret->fd < 0)
		return 0;
	to = &f->files[ret->belongs_to];
	if (to->missing || !looks_listed(f, to))
		return 0;
	whole = segment_facts(f->io, to->fd, to->bytes, &facts);
	if (whole < 0)
		return failed_read(f, to->name, whole);
	ret->is_copy = whole > 0 && are_facts(to, to->bytes, &facts);
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

/* Assigns each listed content to the file that MANIFEST lists it as, whatever its present name is.
 */
static int put_in_order(struct fsck *f)
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

/* Opens the files as they were at one moment: the store may be mounted. */
static int open_files(struct fsck *f)
{
	struct segments segments;
	struct log_snapshot files = { .fd = -1, .segments = &segments };
	struct diag diag = { "" };
	int err;

	segments_init(&segments, f->io, f->dir_fd);
	segments.lenient = true;
	err = log_snapshot_open(&files, f->options.datadir, ACTIVE_NAME, &diag);
	if (err < 0)
		complain("%s", diag.text);
	f->mark = files.mark;
	f->base_number = segments.base_number;
	f->manifest = files.manifest;
	f->has_manifest = files.has_manifest;
	if (err == 0) {
		check_mark(f, segments_next_number(&segments));
		check_manifest(f, files.manifest_damaged);
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
	err = f->has_manifest ? put_in_order(f) : 0;
	if (err < 0)
		return err;
	check_numbers(f);
	return io_list(f->io, f->dir_fd, report_stranger, f);
}

/* --- damage --- */

/* Returns the offset from which on the lost part was never promised to be durable; UINT64_MAX: all
 * of it was.  A damage may reach over the durable mark.  In the active segment all of it is then
 * removed, because nothing follows.  A rotated segment stays incomplete there. */
static uint64_t torn_from(const struct fsck_file *file, const struct salvage_lost *l)
{
	if (l->offset >= file->durable_bytes)
		return l->offset;
	if (file->durable_bytes < file->full_bytes && l->offset + l->bytes > file->durable_bytes)
		return file->durable_bytes;
	return UINT64_MAX;
}

/* Separates the torn tail from damage.  Bytes behind the durable mark were never promised: the next
 * mount cuts them, in the order of the log, so nothing behind them is damage. */
static void split_torn_tail(struct fsck *f, struct fsck_file *file)
{
	struct salvage *s = &file->lost;

	for (size_t i = 0; (file->active || file->full_bytes > 0) && i < s->count; i++) {
		struct salvage_lost *l = &s->lost[i];

		file->torn_at = torn_from(file, l);
		if (file->torn_at == UINT64_MAX)
			continue;
		note(f,
		     "%s: offset %" PRIu64 ", %" PRIu64
		     " bytes: the end of an append that did not finish (%s); the next mount saves "
		     "it and cuts it off\n",
		     file->name, file->torn_at, file->bytes - file->torn_at, l->reason);
		l->bytes = file->torn_at - l->offset; /* the damaged part, if any */
		salvage_keep(s, l->bytes > 0 ? i + 1 : i);
		file->torn = true;
	}
}

struct salvage_file fsck_salvage_file(const struct fsck_file *file, struct io *io, int dir_fd,
				      bool take_inside)
{
	return (struct salvage_file){
		.io = io,
		.dir_fd = dir_fd,
		.name = file->name,
		.fd = file->fd,
		.bytes = file->bytes,
		.number = file->number,
		.hint_name = file->hint_name,
		.boundary_bytes = file->durable_bytes <= file->bytes ? file->durable_bytes : 0,
		.may_have_more = file->active,
		.is_cut = file->listed ? file->bytes != file->listed_bytes
				       : file->bytes < file->durable_bytes,
		.take_inside = take_inside,
	};
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

void fsck_print_record(const struct salvage_record *was)
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

static void print_lost(const struct fsck_file *file, const struct salvage_lost *l)
{
	printf("%s: offset %" PRIu64 ", %" PRIu64 " bytes: %s", file->name, l->offset, l->bytes,
	       l->reason);
	if (l->known == SALVAGE_PROVEN) {
		printf("; its hint says that it was ");
		fsck_print_record(&l->was);
		printf(l->exact ? ": nothing is lost\n" : "\n");
	} else if (l->known == SALVAGE_CLAIMED) {
		printf("; without a hint that proves it, it says that it is ");
		fsck_print_record(&l->was);
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

static bool is_too_short(const struct fsck_file *file)
{
	if (file->missing)
		return false;
	if (file->listed)
		return file->bytes < file->listed_bytes;
	return (file->active || file->full_bytes > 0) && file->bytes < file->durable_bytes;
}

/* Compares a sealed segment with its entry in MANIFEST. */
static int check_listed(struct fsck *f, struct fsck_file *file)
{
	struct manifest_facts facts;
	int whole;

	if (!file->listed || file->missing || is_too_short(file))
		return 0;
	whole = segment_facts(f->io, file->fd, file->bytes, &facts);
	if (whole <= 0)
		return whole; /* damage was reported already */
	file->is_other = !are_facts(file, file->bytes, &facts);
	if (file->is_other)
		printf("%s: is not the file that MANIFEST lists under its name: it has %" PRIu64
		       " bytes and %" PRIu64 " records, the listed one %" PRIu64 " and %" PRIu64
		       "; restore all files from one copy, or -y uses this one\n",
		       file->name, file->bytes, facts.records, file->listed_bytes,
		       file->facts.records);
	return 0;
}

/* Reports files that should begin with a segment record, but do not.  Damage at their beginning is
 * reported as damage. */
static void check_numbered(const struct fsck *f, struct fsck_file *file)
{
	if (!f->has_manifest || file->missing || file->numbered || file->misplaced ||
	    (!file->active && file->full_bytes == 0) || file->number < f->manifest.numbered_from ||
	    file->lost.records == 0 || (file->lost.count > 0 && file->lost.lost[0].offset == 0) ||
	    (file->torn && file->torn_at == 0))
		return;
	file->unnumbered = true;
	printf("%s: does not begin with a segment record of this store; restore all files from one "
	       "copy, or -y uses this one\n",
	       file->name);
}

/* Returns whether the log ends in this file, because a power cut has removed a part of a rotated
 * segment.  Later files are then no part of the log; the next mount saves them, and continues at
 * the end of this file. */
static bool ends_here(struct fsck *f, size_t index)
{
	struct fsck_file *file = &f->files[index];
	uint64_t end = file->bytes;

	if (file->full_bytes == 0 || file->durable_bytes == file->full_bytes)
		return false;
	if (file->torn)
		end = file->torn_at;
	if (end == file->full_bytes)
		return false;
	file->ends = true;
	note(f,
	     "%s: had %" PRIu64 " bytes, of which a power cut has left %" PRIu64
	     ": the log ends there; the next mount saves what follows in " QUARANTINE_NAME "/\n",
	     file->name, file->full_bytes, end);
	for (size_t i = index + 1; i < f->count; i++)
		(void)io_close(f->io, &f->files[i].fd); /* read only */
	f->count = index + 1;
	return true;
}

/* Returns the number of damages of a file. */
static uint64_t damages_of(const struct fsck_file *file)
{
	uint64_t count = file->missing || is_too_short(file) || file->is_other || file->misplaced ||
			 file->moved || file->spare || file->unnumbered;

	for (size_t i = 0; !file->missing && i < file->lost.count; i++)
		count += file->lost.lost[i].bytes > 0 || file->lost.lost[i].known == SALVAGE_PROVEN;
	for (size_t i = 0; i < file->edits.count; i++)
		count += file->edits.lost[i].reason[0] != '\0';
	return count;
}

/* Adds a lost part behind the end of a file that is too short or missing, unless its hint names the
 * lost records. */
static int note_lost_end(struct fsck *f, struct fsck_file *file)
{
	if (is_too_short(file)) {
		printf("%s: ends at offset %" PRIu64 ", though it was durable up to %" PRIu64
		       ": its end is missing\n",
		       file->name, file->bytes,
		       file->listed ? file->listed_bytes : file->durable_bytes);
	} else if (!file->missing) {
		return 0;
	}
	if (file->lost.used_hint ||
	    salvage_add(&file->lost, file->bytes, 0, "its end is missing") != NULL)
		return 0;
	return -ENOMEM;
}

static int scan_files(struct fsck *f)
{
	for (size_t i = 0; i < f->count; i++) {
		struct fsck_file *file = &f->files[i];
		struct salvage_file sf =
			fsck_salvage_file(file, f->io, f->dir_fd, f->options.take_inside);
		int err = salvage_scan(&sf, &file->lost);

		if (err < 0)
			return failed_read(f, file->name, err);
		split_torn_tail(f, file);
		for (size_t n = 0; n < file->lost.count; n++)
			print_lost(file, &file->lost.lost[n]);
		err = note_lost_end(f, file);
		if (err == 0)
			err = check_listed(f, file);
		if (err < 0)
			return failed_read(f, file->name, err);
		check_numbered(f, file);
		if (ends_here(f, i))
			break;
	}
	return 0;
}

/* --- a base without its first record --- */

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
 * Its 'as_of' is the latest time in the base; only its 'other_bytes', a figure, is lost. */
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
		return failed(f, file->name, err);
	meta_key_prefix(META_BASE, key);
	meta_base_encode(&base, value);
	rec.timestamp_ns = base.as_of_ns;
	err = salvage_put_instead(l, &rec);
	salvage_place(&file->lost);
	return err < 0 ? failed(f, file->name, err) : 0;
}

/* --- commits that do not fit, and names that cannot be read --- */

static void print_edits(const struct fsck_file *file)
{
	for (size_t i = 0; i < file->edits.count; i++) {
		const struct salvage_lost *l = &file->edits.lost[i];

		if (l->reason[0] == '\0')
			continue; /* it was printed as lost */
		printf("%s: offset %" PRIu64 ": ", file->name, l->offset);
		if (l->was.owned != NULL) {
			printf("an undamaged record that does not fit: %s: ", l->reason);
			fsck_print_record(&l->was);
			printf("\n");
		} else {
			printf("an uncertain content: %s\n", l->reason);
		}
	}
}

static void print_name(const struct fsck_name *name)
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

static int check_fit(struct fsck *f)
{
	struct diag diag = { "" };
	int err = f->count > 0 ? mend_base(f, &f->files[0]) : 0;

	if (err < 0)
		return err;
	err = fsck_replay(f->io, f->files, f->count, &f->names, &diag);
	if (err < 0) {
		complain("%s", diag.text[0] != '\0' ? diag.text : strerror(-err));
		return err;
	}
	for (size_t i = 0; i < f->count; i++) {
		print_edits(&f->files[i]);
		f->found += damages_of(&f->files[i]);
	}
	return 0;
}

/* --- salvage --- */

/* Writes the durable mark of a file that was cut: its rest was durable.  Until then the old mark
 * holds, whose offset is too high: a mount refuses the log, and fsck reports the file as too short.
 */
static int write_mark(struct fsck *f, const struct fsck_file *file, uint64_t durable_bytes)
{
	struct synced ignored;
	bool valid;
	int fd, err = synced_mark_open(f->io, f->dir_fd, ACTIVE_MARK_NAME, &fd, &ignored, &valid);

	if (err < 0)
		return failed(f, ACTIVE_MARK_NAME, err);
	synced_mark_write(
		f->io, fd,
		(struct synced){ .segment = file->number,
				 .durable_offset = durable_bytes,
				 .with_manifest = f->mark.with_manifest || f->rebuild_manifest });
	err = io_fsync(f->io, fd);
	(void)io_close(f->io, &fd);
	return err < 0 ? failed(f, ACTIVE_MARK_NAME, err) : 0;
}

/* Seals a rotated segment that is complete, or was durable as a whole: salvage has changed its
 * size, and so its name would be wrong.  A rotated segment that the log ends in keeps its name, and
 * stays incomplete. */
static int seal_full(struct fsck *f, struct fsck_file *file)
{
	char sealed[SEGMENT_NAME_BYTES];
	int err = 0;

	segment_name((struct segment_id){ file->number, file->generation }, sealed);
	/* A sealed segment implies that all segments before it are durable. */
	for (const struct fsck_file *before = f->files; err == 0 && before < file; before++)
		if (before->full_bytes > 0)
			err = io_fdatasync(f->io, before->fd);
	if (err == 0)
		err = io_rename(f->io, f->dir_fd, file->name, sealed);
	if (err == 0)
		err = io_fsync(f->io, f->dir_fd);
	file->sealed = err == 0;
	return err < 0 ? failed(f, file->name, err) : 0;
}

static void print_saved(const struct fsck_file *file)
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
	} while (has_name(f, file->name));
}

/* Writes the new file.  For a sealed segment in MANIFEST it gets another name, and becomes part of
 * the log when MANIFEST lists it, together with all others that salvage writes.  For other segments
 * it replaces the old file. */
static int salvage_one(struct fsck *f, struct fsck_file *file)
{
	struct salvage_file sf = fsck_salvage_file(file, f->io, f->dir_fd, f->options.take_inside);
	bool too_short = is_too_short(file), renamed = f->has_manifest && file->listed;
	uint64_t bytes = file->bytes;
	int err = 0;

	if (file->lost.count == 0 && file->edits.count == 0 && !too_short && !file->missing &&
	    !file->moved) {
		f->corrected += damages_of(file); /* only MANIFEST was wrong */
		return 0;
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
		return failed(f, file->name, err);
	print_saved(file);
	f->corrected += damages_of(file);
	if (file->full_bytes > 0 && !file->ends)
		return seal_full(f, file);
	return file->active || file->ends ? write_mark(f, file, new_durable(file, bytes)) : 0;
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
	if (file->full_bytes > 0 && !file->sealed && seg.bytes > file->full_bytes)
		seg.bytes = file->full_bytes; /* zeros follow */
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
		bool numbered = read_number(f, fd, &segment);

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

	while (count > 0 && (f->files[count - 1].active || f->files[count - 1].ends ||
			     (f->files[count - 1].full_bytes > 0 && !f->files[count - 1].sealed)))
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

/* Writes MANIFEST for the segments in their present form. */
static int write_manifest(struct fsck *f)
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
	return err < 0 ? failed(f, MANIFEST_NAME, err) : 0;
}

/* Removes a durable mark that is ignored: the next sync writes a new one. */
static int remove_mark(struct fsck *f)
{
	int err = f->wrong_mark ? io_unlink(f->io, f->dir_fd, ACTIVE_MARK_NAME) : 0;

	if (err == 0 && f->wrong_mark)
		err = io_fsync(f->io, f->dir_fd);
	f->corrected += err == 0 && f->wrong_mark;
	return err < 0 ? failed(f, ACTIVE_MARK_NAME, err) : 0;
}

/* Salvages the last file first.  If this process is killed, the losses in earlier files can still
 * be recognised, and so can the later commits that do not fit because of them. */
static int salvage_all(struct fsck *f)
{
	int err = remove_mark(f);

	for (size_t i = f->count; err == 0 && i > 0; i--)
		err = salvage_one(f, &f->files[i - 1]);
	return err == 0 && f->found > 0 ? write_manifest(f) : err;
}

/* Restores the newest whole versions of the names that cannot be read whole. */
static int restore_old(struct fsck *f)
{
	struct diag diag = { "" };
	int err;

	(void)io_close(f->io, &f->lock_fd); /* the store takes it itself */
	err = fsck_old(f->options.datadir, &f->names, &f->restored, &diag);
	if (err < 0)
		complain("older versions: %s", diag.text[0] != '\0' ? diag.text : strerror(-err));
	return err;
}

/* --- the whole check --- */

/* Reports the holder of the store, from the text in the lock file. */
static void say_who_holds(const struct fsck *f)
{
	char who[HOLDER_BYTES_MAX];
	ssize_t n = io_pread_all(f->io, f->lock_fd, who, sizeof(who) - 1, 0);

	who[n > 0 ? n : 0] = '\0';
	who[strcspn(who, "\n")] = '\0';
	complain("%s: in use; unmount it first: %s", f->options.datadir,
		 who[0] != '\0' ? who : "the holder is unknown");
}

static int take_lock(struct fsck *f)
{
	int err;

	f->lock_fd = io_open(f->io, f->dir_fd, LOCK_NAME, O_RDWR | O_CREAT, 0600);
	err = f->lock_fd < 0 ? f->lock_fd : io_lock(f->io, f->lock_fd);
	if (err == -EWOULDBLOCK) {
		say_who_holds(f);
		return err;
	}
	return err < 0 ? failed(f, LOCK_NAME, err) : 0;
}

static bool is_misplaced(const struct fsck *f)
{
	bool misplaced = false;

	for (size_t i = 0; i < f->count; i++)
		misplaced |= f->files[i].misplaced;
	return misplaced;
}

/* Frees the files and their losses.  The counts of damages stay. */
static void forget_files(struct fsck *f)
{
	for (size_t i = 0; i < f->count; i++) {
		salvage_free(&f->files[i].lost);
		salvage_free(&f->files[i].edits);
		(void)io_close(f->io, &f->files[i].fd); /* read only, or synced */
	}
	free(f->files);
	f->files = NULL;
	f->count = f->room = 0;
	manifest_free(&f->manifest);
	f->has_manifest = f->rebuild_manifest = f->wrong_mark = false;
	fsck_names_free(&f->names);
	end_notes(f, false);
}

static int look(struct fsck *f)
{
	int err = open_files(f);

	if (err == 0)
		err = scan_files(f);
	return err < 0 ? err : check_fit(f);
}

/* Checks the store, and with -y salvages it, until a check finds no further damage.  Behind a
 * commit that does not fit, of which a part may have been applied, findings are uncertain until
 * that commit is removed; so each salvage is followed by another check. */
static int look_and_salvage(struct fsck *f)
{
	int err = 0;

	for (int i = 0; err == 0 && i < LOOKS_MAX; i++) {
		uint64_t found = f->found;

		forget_files(f);
		err = look(f);
		f->stands = err == 0 && is_misplaced(f);
		if (err < 0 || f->found == found || f->stands || !f->options.salvage)
			break;
		err = salvage_all(f);
	}
	end_notes(f, true);
	for (size_t i = 0; err == 0 && i < f->names.count; i++)
		print_name(&f->names.list[i]);
	return err;
}

static int check_all(struct fsck *f)
{
	char datadir[PATH_MAX];
	int err;

	if (mounted_store(f->options.datadir, datadir)) {
		complain("%s: is a mount of the store in %s; give that directory",
			 f->options.datadir, datadir);
		return -EINVAL;
	}
	f->dir_fd = io_open(f->io, AT_FDCWD, f->options.datadir, O_RDONLY | O_DIRECTORY, 0);
	if (f->dir_fd < 0) {
		complain("%s: %s", f->options.datadir, strerror(-f->dir_fd));
		return f->dir_fd;
	}
	err = f->options.salvage ? take_lock(f) : 0;
	if (err == 0)
		err = look_and_salvage(f);
	if (err == 0 && f->options.salvage && !f->stands && !f->options.prefer_none &&
	    f->names.count > 0)
		err = restore_old(f);
	return err;
}

static void close_all(struct fsck *f)
{
	forget_files(f);
	(void)io_close(f->io, &f->lock_fd);
	(void)io_close(f->io, &f->dir_fd);
}

static enum fsck_exit summary(const struct fsck *f)
{
	uint64_t unreadable = f->names.count - f->restored;

	if (f->found == 0 && f->names.count == 0) {
		printf("%s: nothing is wrong\n", f->options.datadir);
		return FSCK_OK;
	}
	printf("%s: %" PRIu64 " damages, %" PRIu64 " salvaged; %" PRIu64
	       " names cannot be read whole\n",
	       f->options.datadir, f->found, f->corrected, unreadable);
	if (f->stands)
		printf("%s: files are not where they belong: -y salvages nothing while they are "
		       "not\n",
		       f->options.datadir);
	else if (!f->options.salvage)
		printf("%s: nothing was changed; -y salvages the store\n", f->options.datadir);
	else if (f->corrected == f->found && (f->corrected > 0 || unreadable == 0))
		return FSCK_CORRECTED;
	return FSCK_UNCORRECTED;
}

static int take_option(struct options *o, int letter)
{
	switch (letter) {
	case 'y':
		o->salvage = true;
		return 0;
	case 'i':
		o->take_inside = true;
		return 0;
	case 'r':
		if (strcmp(optarg, "old") != 0 && strcmp(optarg, "none") != 0) {
			complain("--prefer: '%s' is not old or none", optarg);
			return -EINVAL;
		}
		o->prefer_none = strcmp(optarg, "none") == 0;
		return 0;
	case 'h':
		o->help = true;
		return 0;
	case 'V':
		o->version = true;
		return 0;
	case 'n': /* the default; fsck(8) passes the others on */
	case 'a':
	case 'p':
	case 'f':
		return 0;
	default:
		complain("see fsck.freyjafs --help"); /* getopt_long() has printed the reason */
		return -EINVAL;
	}
}

static int parse(int argc, char *const argv[], struct options *ret)
{
	static const struct option long_options[] = {
		{ "salvage", no_argument, NULL, 'y' },
		{ "take-inside", no_argument, NULL, 'i' },
		{ "prefer", required_argument, NULL, 'r' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	int letter;

	optind = 0; /* a new command line: a test or a fuzzer calls main() again */
	while ((letter = getopt_long(argc, argv, "ynapfhV", long_options, NULL)) >= 0) {
		if (take_option(ret, letter) < 0)
			return -EINVAL;
	}
	ret->datadir = argv[optind];
	if (ret->datadir != NULL && argv[optind + 1] != NULL) {
		complain("one DATADIR at a time");
		return -EINVAL;
	}
	if (ret->datadir == NULL && !ret->help && !ret->version) {
		complain("DATADIR is missing: see --help");
		return -EINVAL;
	}
	return 0;
}

int main(int argc, char *argv[])
{
	struct fsck f = { .io = &io_posix, .dir_fd = -1, .lock_fd = -1 };
	enum fsck_exit status = FSCK_OK;

	if (parse(argc, argv, &f.options) < 0)
		return FSCK_USAGE;
	if (f.options.help) {
		print_help(stdout);
	} else if (f.options.version) {
		printf("fsck.freyjafs %s\n", FREYJAFS_VERSION);
	} else {
		io_posix_raise_file_limit();
		status = check_all(&f) < 0 ? FSCK_FAILED : summary(&f);
		close_all(&f);
	}
	if (fflush(stdout) != 0)
		return FSCK_FAILED;
	return status;
}
