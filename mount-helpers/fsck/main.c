/* SPDX-License-Identifier: MIT */
/* The main program of fsck.freyjafs, which checks a store and salvages a damaged one: fsck.freyjafs
 * [OPTION...] DATADIR. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "mount-helpers/common/mounted.h"
#include "mount-helpers/fsck/fsck.h"
#include "writer/log/names.h"

#define HOLDER_BYTES_MAX 4096
#define SALVAGES_MAX	 8

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

static void print_help(FILE *out)
{
	fprintf(out,
		"usage: fsck.freyjafs [-n | -y] [--prefer old|none] [--take-inside]\n"
		"                     [--accept-foreign] DATADIR\n"
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
		"  --accept-foreign  do not report files that another user owns or may write to\n"
		"  -a, -p, -f     for fsck(8): -a and -p mean -n, -f has no effect\n"
		"  -h, --help     print this\n"
		"  -V, --version  print the version\n\nExit status:\n");
#define PRINT_EXIT(name, number, meaning) fprintf(out, "  %-2d %s\n", number, meaning);
	FSCK_EXITS(PRINT_EXIT)
#undef PRINT_EXIT
}

/* Restores the newest whole versions of the names that cannot be read whole. */
static int restore_old(struct fsck *f)
{
	struct diag diag = { "" };
	int err;

	(void)io_close(f->io, &f->lock_fd); /* the store takes it itself */
	err = fsck_old(f->options.datadir, &f->names, &f->restored, &diag);
	if (err < 0)
		warnx("older versions: %s", diag.text[0] != '\0' ? diag.text : strerror(-err));
	return err;
}

/* Reports the holder of the store, from the text in the lock file. */
static void say_who_holds(const struct fsck *f)
{
	char who[HOLDER_BYTES_MAX];
	ssize_t n = io_pread_all(f->io, f->lock_fd, who, sizeof(who) - 1, 0);

	who[n > 0 ? n : 0] = '\0';
	who[strcspn(who, "\n")] = '\0';
	warnx("%s: in use; unmount it first: %s", f->options.datadir,
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
	return err < 0 ? fsck_failed(f, LOCK_NAME, err) : 0;
}

static bool is_misplaced(const struct fsck *f)
{
	bool misplaced = false;

	for (size_t i = 0; i < f->count; i++)
		misplaced |= f->files[i].misplaced;
	return misplaced;
}

static int look(struct fsck *f)
{
	int err = fsck_open_files(f);

	return err < 0 ? err : fsck_check_files(f);
}

/* Checks the store, and with -y salvages it, until a check finds no further damage.  Behind a
 * commit that does not fit, of which a part may have been applied, findings are uncertain until
 * that commit is removed; so each salvage is followed by another check. */
static int look_and_salvage(struct fsck *f)
{
	int err = 0;

	for (int salvages = 0; err == 0; salvages++) {
		uint64_t found = f->found;

		fsck_forget_files(f);
		err = look(f);
		f->stands = err == 0 && is_misplaced(f);
		if (err < 0 || f->found == found || f->stands || !f->options.salvage)
			break;
		f->unfinished = salvages == SALVAGES_MAX;
		if (f->unfinished)
			break;
		err = fsck_salvage_all(f);
	}
	fsck_end_notes(f, true);
	for (size_t i = 0; err == 0 && i < f->names.count; i++)
		fsck_print_name(&f->names.list[i]);
	return err;
}

static int check_all(struct fsck *f)
{
	char datadir[PATH_MAX];
	int err;

	if (mounted_store(f->options.datadir, datadir)) {
		warnx("%s: is a mount of the store in %s; give that directory", f->options.datadir,
		      datadir);
		return -EINVAL;
	}
	f->dir_fd = io_open(f->io, AT_FDCWD, f->options.datadir, O_RDONLY | O_DIRECTORY, 0);
	if (f->dir_fd < 0) {
		warnx("%s: %s", f->options.datadir, strerror(-f->dir_fd));
		return f->dir_fd;
	}
	err = f->options.salvage ? take_lock(f) : 0;
	if (err == 0)
		err = look_and_salvage(f);
	if (err == 0 && f->options.salvage && !f->stands && !f->unfinished &&
	    !f->options.prefer_none && f->names.count > 0)
		err = restore_old(f);
	return err;
}

static void close_all(struct fsck *f)
{
	fsck_forget_files(f);
	(void)io_close(f->io, &f->lock_fd);
	(void)io_close(f->io, &f->dir_fd);
}

static enum fsck_exit summary(const struct fsck *f)
{
	uint64_t unreadable = f->names.count - f->restored;

	if (f->found == 0 && f->names.count == 0) {
		if (f->refused)
			return FSCK_UNCORRECTED;
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
	else if (f->unfinished)
		printf("%s: damaged again after each of %d salvages; run fsck.freyjafs -y again; "
		       "if it finds new damage each time, the disk is failing: copy DATADIR to "
		       "another disk first\n",
		       f->options.datadir, SALVAGES_MAX);
	else if (!f->options.salvage)
		printf("%s: nothing was changed; -y salvages the store\n", f->options.datadir);
	else if (f->corrected == f->found && (f->corrected > 0 || unreadable == 0))
		return f->refused ? FSCK_UNCORRECTED : FSCK_CORRECTED;
	return FSCK_UNCORRECTED;
}

static int take_option(struct fsck_options *o, int letter)
{
	switch (letter) {
	case 'y':
		o->salvage = true;
		return 0;
	case 'o':
		o->accept_foreign = true;
		return 0;
	case 'i':
		o->take_inside = true;
		return 0;
	case 'r':
		if (strcmp(optarg, "old") != 0 && strcmp(optarg, "none") != 0) {
			warnx("--prefer: '%s' is not old or none", optarg);
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
	case 'n': /* the default */
		o->check_only = true;
		return 0;
	case 'a': /* fsck(8) passes these on */
	case 'p':
	case 'f':
		return 0;
	default:
		warnx("see fsck.freyjafs --help"); /* getopt_long() has printed the reason */
		return -EINVAL;
	}
}

static int parse(int argc, char *const argv[], struct fsck_options *ret)
{
	static const struct option long_options[] = {
		{ "salvage", no_argument, NULL, 'y' },
		{ "take-inside", no_argument, NULL, 'i' },
		{ "accept-foreign", no_argument, NULL, 'o' },
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
	if (ret->salvage && ret->check_only) {
		warnx("-n changes nothing, and -y salvages: give one of them");
		return -EINVAL;
	}
	ret->datadir = argv[optind];
	if (ret->datadir != NULL && argv[optind + 1] != NULL) {
		warnx("one DATADIR at a time");
		return -EINVAL;
	}
	if (ret->datadir == NULL && !ret->help && !ret->version) {
		warnx("DATADIR is missing: see --help");
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
