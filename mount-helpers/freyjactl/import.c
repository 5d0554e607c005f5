/* SPDX-License-Identifier: MIT */
/* freyjactl import: puts the entries of a tar archive into a store. */
#include "mount-helpers/freyjactl/ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mount-helpers/freyjactl/import_tree.h"
#include "writer/base/progress.h"

#define READ_BYTES     ((size_t)1 << 20)
#define ENTRIES_A_LOOK 256 /* between two looks at the log */
#define MESSAGES_MAX   20  /* about entries that are left out */

static volatile sig_atomic_t is_stopped;

static void stop(int number)
{
	(void)number;
	is_stopped = 1;
}

/* Entries that the log has, up to a position of the log. */
struct milestone {
	uint64_t entries, position;
};

struct import {
	const char *name; /* of the archive, for messages */
	int fd;
	uint8_t *buf; /* READ_BYTES; owned */
	struct archive *a;
	struct store *s;
	struct import_tree *tree;
	struct progress progress;
	uint64_t file_bytes; /* of the archive; 0: not known */
	uint64_t left_out;   /* entries */
	uint64_t warnings; /* each is something that the archive lacks or libarchive cannot read */
	/* The kernel has all of 'safe'; 'next' is newer. */
	struct milestone safe, next;
};

/* --- reading the archive --- */

static la_ssize_t read_block(struct archive *a, void *arg, const void **ret)
{
	struct import *im = arg;
	ssize_t got;

	do
		got = read(im->fd, im->buf, READ_BYTES);
	while (got < 0 && errno == EINTR && !is_stopped);
	if (got < 0)
		archive_set_error(a, errno, "%s", strerror(errno));
	*ret = im->buf;
	return got;
}

static enum ctl_exit open_archive(struct import *im, const char *file)
{
	struct stat st;

	im->name = strcmp(file, "-") == 0 ? "standard input" : file;
	im->fd = strcmp(file, "-") == 0 ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC);
	if (im->fd < 0) {
		warnx("%s: %s", im->name, strerror(errno));
		return CTL_SYSTEM;
	}
	im->buf = malloc(READ_BYTES);
	im->a = archive_read_new();
	if (im->buf == NULL || im->a == NULL)
		return ctl_failed(-ENOMEM, im->name, NULL);
	if (fstat(im->fd, &st) == 0 && S_ISREG(st.st_mode))
		im->file_bytes = (uint64_t)st.st_size;
	ctl_set_locale();
	(void)archive_read_support_filter_all(im->a); /* as far as this libarchive has them */
	if (archive_read_support_format_tar(im->a) != ARCHIVE_OK ||
	    archive_read_support_format_empty(im->a) != ARCHIVE_OK ||
	    archive_read_open(im->a, im, NULL, read_block, NULL) != ARCHIVE_OK) {
		warnx("%s: %s", im->name, archive_error_string(im->a));
		return CTL_SYSTEM;
	}
	return CTL_OK;
}

static void close_archive(struct import *im)
{
	if (im->a != NULL)
		(void)archive_read_free(im->a);
	if (im->fd > STDIN_FILENO)
		(void)close(im->fd); /* opened only for reading */
	free(im->buf);
}

/* --- entries --- */

/* Notes how far the log has come, for the case that its end cannot be written. */
static void look_at_log(struct import *im)
{
	struct import_counts counts;
	struct store_stats stats;

	import_tree_counts(im->tree, &counts);
	store_stats(im->s, &stats);
	if (stats.log.written_position < im->next.position)
		return;
	im->safe = im->next;
	im->next = (struct milestone){ counts.entries, stats.log.end_position };
}

/* Returns whether the import can go on after this error of one entry. */
static bool concerns_entry(int err)
{
	switch (err) {
	case -EINVAL:
	case -EISDIR:
	case -ENOTDIR:
	case -ENAMETOOLONG:
	case -ENOENT: /* the target of a hard link */
	case -EPERM:
	case -EMLINK:
	case -EOVERFLOW:
	case -EFBIG:
	case -E2BIG:
	case -ERANGE:
		return true;
	default:
		return false;
	}
}

static const char *path_of(struct archive_entry *e)
{
	const char *path = archive_entry_pathname(e);

	return path == NULL ? "an entry without a name" : path;
}

static const char *reason_of(int err)
{
	switch (err) {
	case -EINVAL:
		return "a store cannot have this name or type";
	case -E2BIG:
		return "it has more than 64 KiB of extended attributes";
	case -ERANGE:
		return "the name of an extended attribute has more than 255 bytes";
	default:
		return strerror(-err);
	}
}

static void say_left_out(struct import *im, struct archive_entry *e, int err)
{
	char text[128];

	if (++im->left_out > MESSAGES_MAX)
		return;
	(void)snprintf(text, sizeof(text), "left out: %s", reason_of(err));
	ctl_warn_path(path_of(e), text);
}

/* Notes a warning of libarchive.  It also warns of a path that is no UTF-8, and keeps it as it is.
 */
static void note_warning(struct import *im, struct archive_entry *e)
{
	const char *text = archive_error_string(im->a);

	if (text == NULL || strstr(text, "can't be converted") != NULL)
		return;
	if (++im->warnings <= MESSAGES_MAX)
		ctl_warn_path(path_of(e), text);
}

/* Reports an archive without the blocks of zeros that end one: it can have been cut between two
 * entries, by a program that died or a connection that broke. */
static void check_end(struct import *im)
{
	if (archive_filter_bytes(im->a, 0) > archive_read_header_position(im->a))
		return; /* libarchive has consumed them */
	warnx("%s: ends without the mark of its end: entries may be missing", im->name);
	im->warnings++;
}

/* Adds entries to the end of the archive.  Returns 0, or -errno after a message. */
static int add_entries(struct import *im)
{
	struct archive_entry *e;
	int status, err = 0;

	for (uint64_t i = 1; !is_stopped; i++) {
		status = archive_read_next_header(im->a, &e);
		if (status == ARCHIVE_EOF) {
			check_end(im);
			return 0;
		}
		if (status < ARCHIVE_WARN)
			break;
		if (status == ARCHIVE_WARN)
			note_warning(im, e);
		err = import_tree_add(im->tree, im->a, e);
		if (concerns_entry(err)) {
			say_left_out(im, e, err);
		} else if (err != 0 && err != -EBADMSG) {
			ctl_warn_path(path_of(e), strerror(-err));
			return err;
		} else if (err != 0) {
			break;
		}
		if (i % ENTRIES_A_LOOK == 0) {
			look_at_log(im);
			if (im->file_bytes > 0)
				progress_show(&im->progress,
					      (uint64_t)archive_filter_bytes(im->a, -1),
					      im->file_bytes);
		}
	}
	if (is_stopped)
		warnx("interrupted");
	else
		warnx("%s: %s", im->name,
		      archive_error_string(im->a) ? archive_error_string(im->a) : "damaged");
	return is_stopped ? -EINTR : -EBADMSG;
}

/* --- the command --- */

static enum ctl_exit report(const struct import *im, int err, int close_err,
			    const struct import_counts *counts)
{
	if (close_err < 0) {
		(void)ctl_failed(close_err, "the store", NULL);
		warnx("%" PRIu64 " entries were read; at least the first %" PRIu64
		      " are in the store",
		      counts->entries, im->safe.entries);
		return CTL_NOT_DURABLE;
	}
	printf("%" PRIu64 " entries imported, %" PRIu64 " bytes in files\n", counts->entries,
	       counts->bytes);
	if (im->left_out > 0)
		warnx("%" PRIu64 " entries were left out", im->left_out);
	if (counts->skipped_xattrs > 0)
		warnx("%" PRIu64 " extended attributes were left out: only user.*, trusted.* "
		      "and security.* are kept",
		      counts->skipped_xattrs);
	if (counts->skipped_acls > 0)
		warnx("%" PRIu64 " access control lists were left out: a store has none",
		      counts->skipped_acls);
	if (err < 0)
		warnx("the import is not complete: the rest of %s is not in the store", im->name);
	return err < 0 || im->left_out > 0 || im->warnings > 0 ? CTL_SYSTEM : CTL_OK;
}

static void handle_signals(void)
{
	const struct sigaction act = { .sa_handler = stop };

	(void)sigaction(SIGINT, &act, NULL);
	(void)sigaction(SIGTERM, &act, NULL);
}

/* Imports into an open store, which is closed. */
static enum ctl_exit import(struct import *im, const char *into)
{
	struct import_counts counts;
	int err = import_tree_new(im->s, into, &im->tree), late_err, close_err;

	if (err < 0) {
		(void)!store_close(im->s); /* nothing has been imported */
		return ctl_failed(err, into, NULL);
	}
	handle_signals();
	progress_begin(&im->progress, STDERR_FILENO, "freyjactl: importing");
	err = add_entries(im);
	progress_end(&im->progress);
	late_err = import_tree_finish(im->tree);
	if (late_err < 0 && err == 0)
		warnx("times of directories: %s", strerror(-late_err));
	import_tree_counts(im->tree, &counts);
	import_tree_free(im->tree);
	close_err = store_close(im->s);
	return report(im, err < 0 ? err : late_err, close_err, &counts);
}

enum ctl_exit ctl_import(const char *datadir, char *const args[], int count)
{
	struct import im = { .fd = -1 };
	enum ctl_exit status = open_archive(&im, count > 0 ? args[0] : "-");

	if (status == CTL_OK)
		status = ctl_open_to_fill(datadir, &im.s);
	if (status == CTL_OK)
		status = import(&im, count > 1 ? args[1] : "");
	close_archive(&im);
	return ctl_flush(status);
}
