/* SPDX-License-Identifier: MIT */
/* fsck.freyjafs [OPTION...] DATADIR: checks a store, and salvages a damaged one. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mount-helpers/fsck_replay.h"
#include "writer/hint_file.h"
#include "writer/log_snapshot.h"
#include "writer/salvage.h"

#define ACTIVE_NAME "active.data"
#define MARK_NAME   "active.synced"

/* X(name, number, meaning): as fsck(8) has them */
#define FSCK_EXITS(X)                                                               \
	X(FSCK_OK, 0, "nothing is wrong")                                           \
	X(FSCK_CORRECTED, 1, "damage was found and salvaged")                       \
	X(FSCK_UNCORRECTED, 4, "damage was found and is still there")               \
	X(FSCK_FAILED, 8, "it could not be checked: in use, or the system refused") \
	X(FSCK_USAGE, 16, "wrong arguments")

enum fsck_exit {
#define FSCK_ENUM(name, number, meaning) name = (number),
	FSCK_EXITS(FSCK_ENUM)
#undef FSCK_ENUM
};

struct options {
	const char *datadir;
	bool salvage, take_inside, help, version;
};

/* One file of the log. */
struct file {
	char name[SEGMENT_NAME_BYTES];
	uint64_t number; /* of the active one: that it will have */
	bool active;
	uint64_t full_bytes; /* what the name of a full one says; 0: it is none */
	int fd;		     /* owned */
	uint64_t bytes;
	uint64_t durable_bytes; /* all of a sealed one */
	bool ends;		/* a full one that is not complete: the log ends in it */
	bool torn;		/* at 'torn_at', behind what is durable */
	uint64_t torn_at;
	struct salvage lost;
};

struct fsck {
	struct options options;
	struct io *io;
	int dir_fd, lock_fd;
	struct file *files; /* owned; in the order of the log */
	size_t count, room;
	struct synced mark;
	bool has_mark;
	uint64_t base_number;	   /* the log begins there; 0: with the first segment */
	uint64_t found, corrected; /* damages */
	struct fsck_gap *gaps;	   /* owned */
	size_t gap_count;
};

/* --- messages --- */

static void complain(const char *fmt, ...) PRINTF_LIKE(1, 2);
static void complain(const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "fsck.freyjafs: ");
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, "\n");
}

static int failed(const struct fsck *f, const char *what, int err)
{
	complain("%s/%s: %s", f->options.datadir, what, strerror(-err));
	return err;
}

static void print_help(FILE *out)
{
	fprintf(out,
		"usage: fsck.freyjafs [-n | -y] [--take-inside] DATADIR\n"
		"Reads all of the store in DATADIR and says what is damaged.\n\n"
		"  -n             check only, change nothing (the default); also beside a mount\n"
		"  -y, --salvage  take out what is damaged, so that the store can be mounted; "
		"what\n"
		"                 is taken out is in DATADIR/quarantine/ first, with a report\n"
		"  --take-inside  with -y: keep records also where they may be part of a damaged\n"
		"                 value (see the manual)\n"
		"  -a, -p, -f     as fsck(8) calls it: -a and -p mean -n, -f nothing\n"
		"  -h, --help     print this\n"
		"  -V, --version  print the version\n\nExit status:\n");
#define PRINT_EXIT(name, number, meaning) fprintf(out, "  %-2d %s\n", number, meaning);
	FSCK_EXITS(PRINT_EXIT)
#undef PRINT_EXIT
}

/* --- the files --- */

/* Adds a file and takes over 'fd'. */
static int add_file(struct fsck *f, const struct file *file)
{
	int fd = file->fd;

	if (f->count == f->room) {
		size_t room = f->room == 0 ? 16 : 2 * f->room;
		void *files = reallocarray(f->files, room, sizeof(f->files[0]));

		if (files == NULL) {
			(void)io_close(f->io, &fd); /* read only */
			return -ENOMEM;
		}
		f->files = files;
		f->room = room;
	}
	f->files[f->count++] = *file;
	return 0;
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
		struct file file = { .number = seg.number,
				     .full_bytes = seg.full_bytes,
				     .bytes = seg.bytes,
				     .durable_bytes = seg.bytes };

		segment_file_name(&seg, file.name);
		file.fd = segments_take_last(s, seg.number);
		err = add_file(f, &file);
	}
	return err;
}

static int compare_files(const void *a, const void *b)
{
	const struct file *x = a, *y = b;

	return x->number < y->number ? -1 : x->number > y->number;
}

static int report_folded(void *arg, const char *name)
{
	const struct fsck *f = arg;
	uint64_t number = segment_number(name);

	if (number != 0 && number < f->base_number)
		printf("%s: left by a compaction that was cut off; no part of the log, the next "
		       "mount removes it\n",
		       name);
	return 0;
}

/* How much of a file is known to be durable.  Full ones are sealed in their order. */
static void set_durable(const struct fsck *f, struct file *file)
{
	if (!file->active && file->full_bytes == 0)
		return;
	file->durable_bytes =
		f->has_mark && f->mark.segment == file->number ? f->mark.durable_offset : 0;
	if (!file->active && f->has_mark && f->mark.segment > file->number)
		file->durable_bytes = file->full_bytes;
	for (const struct file *later = file + 1; later < f->files + f->count; later++)
		if (!later->active && later->full_bytes == 0)
			file->durable_bytes = file->full_bytes;
}

/* The files as they were at one moment: there may be a mount. */
static int open_files(struct fsck *f)
{
	struct segments segments;
	struct log_snapshot files = { .fd = -1, .segments = &segments };
	struct file active = { .name = ACTIVE_NAME, .active = true };
	struct diag diag = { "" };
	int err;

	segments_init(&segments, f->io, f->dir_fd);
	err = log_snapshot_open(&files, f->options.datadir, ACTIVE_NAME, &diag);
	if (err < 0)
		complain("%s", diag.text);
	f->mark = files.mark;
	f->has_mark = files.mark_valid;
	f->base_number = segments.base_number;
	active.number = segments_next_number(&segments);
	if (f->has_mark && f->mark.segment > active.number)
		active.number = f->mark.segment;
	active.fd = files.fd;
	active.bytes = files.active.size_bytes;
	if (files.fd >= 0 && err < 0)
		(void)io_close(f->io, &files.fd); /* read only */
	else if (files.fd >= 0)
		err = add_file(f, &active);
	if (err == 0)
		err = take_segments(f, &segments);
	segments_close(&segments);
	if (err < 0)
		return err;
	if (f->count > 0)
		qsort(f->files, f->count, sizeof(f->files[0]), compare_files);
	for (size_t i = 0; i < f->count; i++)
		set_durable(f, &f->files[i]);
	return f->base_number == 0 ? 0 : io_list(f->io, f->dir_fd, report_folded, f);
}

static void report_missing(struct fsck *f)
{
	uint64_t next = f->base_number != 0 ? f->base_number : SEGMENT_FIRST_NUMBER;
	char name[SEGMENT_NAME_BYTES];

	for (size_t i = 0; i < f->count; i++) {
		for (; next < f->files[i].number; next++) {
			segment_name(next, name);
			printf("%s: is missing, and with it all that was written while it was the "
			       "active segment; put it back from a copy, or mount with -o "
			       "missing_segments=accept\n",
			       name);
			f->found++;
		}
		next = f->files[i].number + 1;
	}
}

/* --- damage --- */

/* Says from where on what is lost was never promised; UINT64_MAX: all of it was.  A damage may
 * reach over the mark.  In the active segment all of that is taken out: nothing follows.  A full
 * one stays one that is not complete. */
static uint64_t torn_from(const struct file *file, const struct salvage_lost *l)
{
	if (l->offset >= file->durable_bytes)
		return l->offset;
	if (file->durable_bytes < file->full_bytes && l->offset + l->bytes > file->durable_bytes)
		return file->durable_bytes;
	return UINT64_MAX;
}

/* What stands behind the durable mark was never promised: the next mount cuts it, in the order of
 * the log, so nothing behind it is damage. */
static void split_torn_tail(struct file *file)
{
	struct salvage *s = &file->lost;

	for (size_t i = 0; (file->active || file->full_bytes > 0) && i < s->count; i++) {
		struct salvage_lost *l = &s->lost[i];

		file->torn_at = torn_from(file, l);
		if (file->torn_at == UINT64_MAX)
			continue;
		printf("%s: offset %" PRIu64 ", %" PRIu64
		       " bytes: the end of an append that did not finish (%s); the next mount cuts "
		       "it, and saves it before\n",
		       file->name, file->torn_at, file->bytes - file->torn_at, l->reason);
		l->bytes = file->torn_at - l->offset; /* damage, if anything */
		s->count = l->bytes > 0 ? i + 1 : i;
		file->torn = true;
	}
}

static void print_lost(const struct file *file, const struct salvage_lost *l)
{
	printf("%s: offset %" PRIu64 ", %" PRIu64 " bytes: %s\n", file->name, l->offset, l->bytes,
	       l->reason);
	if (l->inside > 0)
		printf("%s: offset %" PRIu64 ": %" PRIu64
		       " records in there look whole; they may be part of a damaged value and are "
		       "not taken without --take-inside\n",
		       file->name, l->inside_from, l->inside);
}

static bool is_too_short(const struct file *file)
{
	return (file->active || file->full_bytes > 0) && file->bytes < file->durable_bytes;
}

/* Says whether a power cut has left something of a full segment out.  The log ends there: what
 * later files have is no part of it, and the next mount saves it and goes on there. */
static bool ends_here(struct fsck *f, size_t index)
{
	struct file *file = &f->files[index];
	uint64_t end = file->bytes;

	if (file->full_bytes == 0 || file->durable_bytes == file->full_bytes)
		return false;
	if (file->torn)
		end = file->torn_at;
	if (end == file->full_bytes)
		return false;
	file->ends = true;
	printf("%s: had %" PRIu64 " bytes, of which a power cut has left %" PRIu64
	       ": the log ends there; the next mount saves what follows in quarantine/\n",
	       file->name, file->full_bytes, end);
	for (size_t i = index + 1; i < f->count; i++)
		(void)io_close(f->io, &f->files[i].fd); /* read only */
	f->count = index + 1;
	return true;
}

static int scan_files(struct fsck *f)
{
	for (size_t i = 0; i < f->count; i++) {
		struct file *file = &f->files[i];
		int err = salvage_scan(f->io, file->fd, file->bytes, f->options.take_inside,
				       &file->lost);

		if (err < 0)
			return failed(f, file->name, err);
		split_torn_tail(file);
		for (size_t n = 0; n < file->lost.count; n++)
			print_lost(file, &file->lost.lost[n]);
		f->found += file->lost.count;
		if (is_too_short(file)) {
			printf("%s: ends at offset %" PRIu64
			       ", though it was durable up to %" PRIu64 ": its end is missing\n",
			       file->name, file->bytes, file->durable_bytes);
			f->found++;
		}
		if (ends_here(f, i))
			break;
	}
	return 0;
}

/* Counts what is lost as gaps of the new files. */
static int note_gaps(struct fsck *f, const struct file *file)
{
	size_t count = file->lost.count + is_too_short(file);
	void *gaps = reallocarray(f->gaps, f->gap_count + count + 1, sizeof(f->gaps[0]));

	if (gaps == NULL)
		return -ENOMEM;
	f->gaps = gaps;
	for (size_t i = 0; i < count; i++) {
		uint64_t offset = i < file->lost.count ? file->lost.lost[i].offset : file->bytes;

		f->gaps[f->gap_count++] =
			(struct fsck_gap){ file->number, salvage_new_offset(&file->lost, offset) };
	}
	return 0;
}

/* The mark of a file that was cut: what is left was durable.  Until it is there the old one holds,
 * which is too high: a mount refuses the log then, and fsck finds it too short. */
static int write_mark(struct fsck *f, const struct file *file, uint64_t durable_bytes)
{
	struct synced ignored;
	bool valid;
	int fd, err = synced_mark_open(f->io, f->dir_fd, MARK_NAME, &fd, &ignored, &valid);

	if (err < 0)
		return failed(f, MARK_NAME, err);
	synced_mark_write(f->io, fd, file->number, durable_bytes);
	err = io_fsync(f->io, fd);
	(void)io_close(f->io, &fd);
	return err < 0 ? failed(f, MARK_NAME, err) : 0;
}

/* A full segment that is complete, or was durable as a whole, gets another size, and so another
 * name: what is left of it is sealed.  One that the log ends in keeps its name: it stays
 * incomplete. */
static int salvage_full(struct fsck *f, struct file *file)
{
	char sealed[SEGMENT_NAME_BYTES];
	uint64_t bytes;
	int err = 0;

	if (file->lost.count > 0)
		err = salvage_write(f->io, f->dir_fd, file->name, file->fd, file->bytes,
				    &file->lost, &bytes);
	if (err < 0)
		return failed(f, file->name, err);
	for (size_t i = 0; i < file->lost.count; i++)
		printf("%s: offset %" PRIu64 ": taken out, saved as quarantine/%s\n", file->name,
		       file->lost.lost[i].offset, file->lost.lost[i].saved_as);
	segment_name(file->number, sealed);
	/* Where one is sealed, those before it are durable. */
	for (const struct file *before = f->files; err == 0 && before < file; before++)
		if (before->full_bytes > 0)
			err = io_fdatasync(f->io, before->fd);
	if (err == 0)
		err = io_rename(f->io, f->dir_fd, file->name, sealed);
	if (err == 0)
		err = io_fsync(f->io, f->dir_fd);
	if (err < 0)
		return failed(f, file->name, err);
	(void)snprintf(file->name, sizeof(file->name), "%s", sealed);
	f->corrected += file->lost.count + is_too_short(file);
	file->full_bytes = 0;
	return 0;
}

/* Puts the new file in the place of the old one, which stays open no longer. */
static int salvage_file(struct fsck *f, struct file *file)
{
	bool too_short = is_too_short(file), last = file->active || file->ends;
	char hint[SEGMENT_NAME_BYTES];
	uint64_t durable, bytes;
	int err;

	if (file->lost.count == 0 && !too_short)
		return 0;
	if (file->full_bytes > 0 && !file->ends)
		return salvage_full(f, file);
	durable = too_short ? file->bytes : file->durable_bytes;
	durable = salvage_new_offset(&file->lost, durable);
	if (hint_file_name(file->name, hint, sizeof(hint)) == 0)
		(void)!io_unlink(f->io, f->dir_fd, hint); /* it would not fit */
	err = file->lost.count == 0 ? 0
				    : salvage_write(f->io, f->dir_fd, file->name, file->fd,
						    file->bytes, &file->lost, &bytes);
	if (err < 0)
		return failed(f, file->name, err);
	for (size_t i = 0; i < file->lost.count; i++)
		printf("%s: offset %" PRIu64 ": taken out, saved as quarantine/%s\n", file->name,
		       file->lost.lost[i].offset, file->lost.lost[i].saved_as);
	f->corrected += file->lost.count + too_short;
	return last ? write_mark(f, file, durable) : 0;
}

/* --- what does not fit --- */

/* Takes the misfits of one file out of it. */
static int take_out(struct fsck *f, struct file *file, const struct fsck_misfits *m)
{
	struct io_stat st = { 0 };
	int err = 0;

	salvage_free(&file->lost);
	(void)io_close(f->io, &file->fd);
	file->fd = io_open(f->io, f->dir_fd, file->name, O_RDONLY, 0); /* as it is now */
	if (file->fd < 0)
		return failed(f, file->name, file->fd);
	err = io_stat(f->io, file->fd, &st);
	file->bytes = st.size_bytes;
	if (file->full_bytes > 0 && file->bytes > file->full_bytes)
		file->bytes = file->full_bytes;
	file->durable_bytes = file->bytes;
	if (err == 0)
		err = synced_mark_read(f->io, f->dir_fd, MARK_NAME, &f->mark, &f->has_mark);
	set_durable(f, file);
	for (size_t i = 0; err == 0 && i < m->count; i++)
		if (m->list[i].segment == file->number)
			err = salvage_add(&file->lost, m->list[i].offset, m->list[i].bytes,
					  m->list[i].reason);
	return err < 0 ? failed(f, file->name, err) : salvage_file(f, file);
}

static int check_fit(struct fsck *f)
{
	struct fsck_misfits m = { 0 };
	struct diag diag = { "" };
	int err = fsck_replay(f->options.datadir, f->gaps, f->gap_count, &m, &diag);

	if (err < 0)
		complain("%s", diag.text[0] != '\0' ? diag.text : strerror(-err));
	for (size_t i = 0; err == 0 && i < m.count; i++)
		printf("segment %06" PRIu64 ": offset %" PRIu64 ", %" PRIu64
		       " bytes: a whole record that does not fit: %s: %s\n",
		       m.list[i].segment, m.list[i].offset, m.list[i].bytes, m.list[i].key,
		       m.list[i].reason);
	f->found += m.count;
	for (size_t i = 0; err == 0 && m.count > 0 && f->options.salvage && i < f->count; i++)
		err = take_out(f, &f->files[i], &m);
	fsck_misfits_free(&m);
	return err;
}

/* --- all of it --- */

static int take_lock(struct fsck *f)
{
	int err;

	f->lock_fd = io_open(f->io, f->dir_fd, "lock", O_RDWR | O_CREAT, 0600);
	err = f->lock_fd < 0 ? f->lock_fd : io_lock(f->io, f->lock_fd);
	if (err == -EWOULDBLOCK) {
		complain("%s: in use; unmount it first", f->options.datadir);
		return err;
	}
	return err < 0 ? failed(f, "lock", err) : 0;
}

static int check_all(struct fsck *f)
{
	uint64_t missing;
	int err;

	f->dir_fd = io_open(f->io, AT_FDCWD, f->options.datadir, O_RDONLY | O_DIRECTORY, 0);
	if (f->dir_fd < 0) {
		complain("%s: %s", f->options.datadir, strerror(-f->dir_fd));
		return f->dir_fd;
	}
	err = f->options.salvage ? take_lock(f) : 0;
	if (err == 0)
		err = open_files(f);
	if (err < 0)
		return err;
	report_missing(f);
	missing = f->found;
	err = scan_files(f);
	for (size_t i = 0; err == 0 && i < f->count; i++)
		err = note_gaps(f, &f->files[i]);
	for (size_t i = 0; err == 0 && f->options.salvage && i < f->count; i++)
		err = salvage_file(f, &f->files[i]);
	/* Without what is missing nothing can be expected to fit: a mount leaves that out. */
	if (err == 0 && missing == 0 && (f->found == 0 || f->options.salvage))
		err = check_fit(f);
	return err;
}

static void close_all(struct fsck *f)
{
	for (size_t i = 0; i < f->count; i++) {
		salvage_free(&f->files[i].lost);
		(void)io_close(f->io, &f->files[i].fd);
	}
	free(f->files);
	free(f->gaps);
	(void)io_close(f->io, &f->lock_fd);
	(void)io_close(f->io, &f->dir_fd);
}

static enum fsck_exit summary(const struct fsck *f)
{
	if (f->found == 0) {
		printf("%s: nothing is wrong\n", f->options.datadir);
		return FSCK_OK;
	}
	printf("%s: %" PRIu64 " damages, %" PRIu64 " salvaged\n", f->options.datadir, f->found,
	       f->corrected);
	if (f->corrected == f->found)
		return FSCK_CORRECTED;
	if (!f->options.salvage)
		printf("%s: nothing was changed; -y salvages what is left\n", f->options.datadir);
	return FSCK_UNCORRECTED;
}

static int take_option(struct options *o, const char *arg)
{
	if (strcmp(arg, "-y") == 0 || strcmp(arg, "--salvage") == 0)
		o->salvage = true;
	else if (strcmp(arg, "--take-inside") == 0)
		o->take_inside = true;
	else if (strcmp(arg, "-h") == 0 || strcmp(arg, "--help") == 0)
		o->help = true;
	else if (strcmp(arg, "-V") == 0 || strcmp(arg, "--version") == 0)
		o->version = true;
	else if (strcmp(arg, "-n") != 0 && strcmp(arg, "-a") != 0 && strcmp(arg, "-p") != 0 &&
		 strcmp(arg, "-f") != 0)
		return -EINVAL;
	return 0;
}

static int parse(int argc, char *const argv[], struct options *ret)
{
	for (int i = 1; i < argc; i++) {
		if (argv[i][0] == '-' && argv[i][1] != '\0') {
			if (take_option(ret, argv[i]) < 0) {
				complain("unknown option '%s': see --help", argv[i]);
				return -EINVAL;
			}
		} else if (ret->datadir != NULL) {
			complain("one DATADIR at a time");
			return -EINVAL;
		} else {
			ret->datadir = argv[i];
		}
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
