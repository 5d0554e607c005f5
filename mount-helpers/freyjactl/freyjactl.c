/* SPDX-License-Identifier: MIT */
/* The main program of freyjactl, which works on a store without a mount: freyjactl COMMAND DATADIR
 * [ARGUMENT...]. */
#include "mount-helpers/freyjactl/ctl.h"

#include <getopt.h>
#include <string.h>
#include <unistd.h>

#include "mount-helpers/common/mounted.h"

/* A command: its name, its arguments after DATADIR as --help prints them, and the limits of their
 * number. */
struct command {
	const char *name, *arguments;
	int count_min, count_max;
	const char *help;
	enum ctl_exit (*run)(const char *datadir, char *const args[], int count);
};

static const struct command commands[] = {
	{ "log", "[PATH]", 0, 1,
	  "print every record: time, kind, size, segment:offset, key; with PATH the\n"
	  "      versions of the files that had this path, under other names, too",
	  ctl_log },
	{ "ls", "[KEY]", 0, 1,
	  "print all keys, or KEY and the keys below it; '!' marks a key that no\n"
	  "      path can name",
	  ctl_ls },
	{ "get", "KEY", 1, 1, "write the value to standard output", ctl_get },
	{ "put", "KEY [FILE]", 1, 2, "put a value: all of FILE, or of standard input", ctl_put },
	{ "rm", "KEY", 1, 1, "delete a key", ctl_rm },
	{ "stat", "KEY", 1, 1, "print the attributes of a key", ctl_stat },
	{ "verify", "", 0, 0, "read every record and check every CRC", ctl_verify },
	{ "compact", "", 0, 0, "free the space of old values", ctl_compact },
	{ "export", "[PATH [TAR]]", 0, 2,
	  "write the store, or PATH and the files below it, as a tar archive to a file\n"
	  "      or to standard output (-)",
	  ctl_export },
	{ "import", "[TAR [DIR]]", 0, 2,
	  "put the files of a tar archive, or of standard input (-), into the store or\n"
	  "      its directory DIR; makes the store if it is missing",
	  ctl_import },
};

static void print_help(FILE *f)
{
	fprintf(f, "usage: freyjactl COMMAND DATADIR [ARGUMENT...]\n"
		   "Reads or changes the store in DATADIR without a mount.\n\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(f, "  %s DATADIR %s\n      %s\n", commands[i].name, commands[i].arguments,
			commands[i].help);
	fprintf(f, "\n  -h, --help     print this\n"
		   "  -V, --version  print the version\n\n"
		   "put, rm, compact and import need the store for themselves; all others work "
		   "beside a\n"
		   "mount and change nothing.  In a key \\xHH is the byte HH and \\\\ a backslash; "
		   "printed keys\n"
		   "have \\xHH for bytes that are not printable ASCII.\n\nExit status:\n");
#define PRINT_EXIT(name, number, meaning) fprintf(f, "  %d  %s\n", number, meaning);
	CTL_EXITS(PRINT_EXIT)
#undef PRINT_EXIT
}

/* Refuses arguments that look like a DATADIR but are none: an option after the command, or a mount.
 */
static enum ctl_exit check_datadir(const char *arg)
{
	char datadir[PATH_MAX];

	if (arg[0] == '-' && access(arg, F_OK) < 0) {
		warnx("unknown option '%s': see freyjactl --help", arg);
		return CTL_USAGE;
	}
	if (mounted_store(arg, datadir)) {
		warnx("%s: is a mount of the store in %s; give that directory", arg, datadir);
		return CTL_USAGE;
	}
	return CTL_OK;
}

static bool is_help(const char *arg)
{
	return strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0;
}

/* Runs a command. args[]: COMMAND DATADIR [ARGUMENT...], followed by NULL. */
static enum ctl_exit run(char *const args[], int count)
{
	enum ctl_exit status;

	if (strcmp(args[0], "help") == 0 || (count == 2 && is_help(args[1]))) {
		print_help(stdout);
		return ctl_flush(CTL_OK);
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		const struct command *c = &commands[i];

		if (strcmp(args[0], c->name) != 0)
			continue;
		if (count - 2 < c->count_min || count - 2 > c->count_max) {
			warnx("usage: freyjactl %s DATADIR %s", c->name, c->arguments);
			return CTL_USAGE;
		}
		status = check_datadir(args[1]);
		if (status != CTL_OK)
			return status;
		io_posix_raise_file_limit();
		return c->run(args[1], args + 2, count - 2);
	}
	warnx("unknown command '%s': see freyjactl --help", args[0]);
	return CTL_USAGE;
}

int main(int argc, char *argv[])
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};

	/* '+': options end at the command, so that a key may begin with '-'. */
	switch (getopt_long(argc, argv, "+hV", options, NULL)) {
	case 'h':
		print_help(stdout);
		return ctl_flush(CTL_OK);
	case 'V':
		printf("freyjactl %s\n", FREYJAFS_VERSION);
		return ctl_flush(CTL_OK);
	case -1:
		break;
	default: /* getopt_long() has printed the reason */
		return CTL_USAGE;
	}
	if (optind == argc) {
		warnx("a command is missing: see freyjactl --help");
		return CTL_USAGE;
	}
	return run(argv + optind, argc - optind);
}
