/* SPDX-License-Identifier: MIT */
#include "fuse/base/options.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "codec/timestamp.h"
#include "fuse/base/exit_code.h"
#include "writer/base/times.h"

const struct option_row options_rows[] = {
#define OPTIONS_ROW(name, kind, def, min, max, help) \
	{ #name, kind, def, min, max, help, offsetof(struct options, name) },
	OPTIONS_TABLE(OPTIONS_ROW)
#undef OPTIONS_ROW
};
const size_t options_row_count = ARRAY_SIZE(options_rows);

/* A unit of a duration or a size, the largest one first. */
struct unit {
	const char *suffix;
	int64_t factor;
};
static const struct unit duration_units[] = {
	{ "d", INT64_C(86400000000000) }, { "h", INT64_C(3600000000000) },
	{ "m", INT64_C(60000000000) },	  { "s", INT64_C(1000000000) },
	{ "ms", INT64_C(1000000) },
};
static const struct unit size_units[] = {
	{ "G", INT64_C(1) << 30 },
	{ "M", INT64_C(1) << 20 },
	{ "K", INT64_C(1) << 10 },
	{ "", 1 },
};
static const struct unit no_units[] = { { "", 1 } };

/* A word that stands for a value.  The range of an option lists words before the numbers (the
 * default) or behind them. */
struct word {
	const char *text; /* NULL: the end of the list */
	int64_t value;
	enum {
		WORD_BEFORE,
		WORD_BEHIND,
		WORD_UNLISTED,
		WORD_ONLY_PARSED,
		WORD_ONLY_PRINTED,
	} use;
};

#define UNITS(table) .units = (table), .unit_count = ARRAY_SIZE(table)

static const struct kind {
	struct word words[4];
	const struct unit *units; /* NULL: no numbers */
	size_t unit_count;
	size_t largest_printed; /* index of a unit: larger ones are parsed, but never printed */
	int base;		/* of the digits; 0: 10 */
	const char *hint;	/* for the message about a value that is not legal; may be NULL */
} kinds[] = {
	[OPTION_DURATION] = { { { "0", 0 }, { "never", LOG_WRITER_NEVER, WORD_BEHIND } },
			      UNITS(duration_units),
			      .largest_printed = 1,
			      .hint = " (units ms s m h d)" },
	[OPTION_SIZE] = { UNITS(size_units), .hint = " (bytes, or units K M G)" },
	[OPTION_HEADROOM] = { { { "auto", LOG_WRITER_HEADROOM_AUTO },
				{ "off", 0, WORD_ONLY_PARSED } },
			      UNITS(size_units),
			      .hint = " (bytes, or units K M G)" },
	[OPTION_ID] = { { { "the daemon's own", OPTION_OWN_ID, WORD_ONLY_PRINTED } },
			UNITS(no_units) },
	[OPTION_MODE] = { UNITS(no_units), .base = 8, .hint = " (octal)" },
	[OPTION_PERCENT] = { { { "never", LOG_WRITER_NEVER, WORD_BEHIND } },
			     UNITS(no_units),
			     .hint = " (percent)" },
	[OPTION_LOSS] = { { { "refuse", 0 }, { "accept", 1 } } },
	[OPTION_TIME] = { { { "off", 0 }, { "now", OPTION_TIME_NOW, WORD_UNLISTED } } },
	[OPTION_FLAG] = { { { "off", 0 }, { "on", 1 } } },
	[OPTION_WANTED] = { { { "auto", OPTION_AUTO },
			      { "on", OPTION_ON },
			      { "off", OPTION_OFF } } },
};

/* Options of mount(8), fstab and libfuse that freyjafs passes on to libfuse.  A name that ends in
 * '=' takes a value. */
static const char *const passed_on[] = {
	"allow_other", "allow_root",  "auto_unmount", "default_permissions",
	"ro",	       "rw",	      "dev",	      "nodev",
	"suid",	       "nosuid",      "exec",	      "noexec",
	"sync",	       "async",	      "dirsync",      "noatime",
	"fsname=",     "subtype=",    "max_read=",    "context=",
	"fscontext=",  "defcontext=", "rootcontext=",
};

/* Options that other programs read from fstab, and options of mount(8) without effect here: reading
 * never updates an access time, and there are no mandatory locks and no inode versions. */
static const char *const ignored[] = {
	"nofail",	 "_netdev",  "noauto",	   "auto",	"user",	      "user=",
	"users",	 "nouser",   "owner",	   "group",	"defaults",   "comment=",
	"atime",	 "diratime", "nodiratime", "relatime",	"norelatime", "strictatime",
	"nostrictatime", "lazytime", "nolazytime", "iversion",	"noiversion", "mand",
	"nomand",	 "silent",   "loud",	   "symfollow",
};

/* --- values to text --- */

static void unit_text(const struct kind *k, int64_t value, char buf[OPTION_TEXT_BYTES])
{
	size_t i = k->largest_printed;

	while (i + 1 < k->unit_count && (value == 0 || value % k->units[i].factor != 0))
		i++;
	(void)snprintf(buf, OPTION_TEXT_BYTES, "%" PRId64 "%s", value / k->units[i].factor,
		       k->units[i].suffix);
}

const char *options_value_text(enum option_kind kind, int64_t value, char buf[OPTION_TEXT_BYTES])
{
	const struct word *w = kinds[kind].words;

	while (w->text != NULL && (w->value != value || w->use == WORD_ONLY_PARSED))
		w++;
	if (w->text != NULL)
		(void)snprintf(buf, OPTION_TEXT_BYTES, "%s", w->text);
	else if (kind == OPTION_TIME)
		(void)timestamp_format((uint64_t)value, buf);
	else if (kind == OPTION_MODE)
		(void)snprintf(buf, OPTION_TEXT_BYTES, "%#" PRIo64, (uint64_t)value);
	else
		unit_text(&kinds[kind], value, buf);
	return buf;
}

/* Adds an item to the text of a range. */
static void add_to_range(char buf[OPTION_RANGE_BYTES], const char *item)
{
	size_t n = strlen(buf);

	(void)snprintf(buf + n, OPTION_RANGE_BYTES - n, "%s%s", n > 0 ? ", " : "", item);
}

const char *options_range_text(const struct option_row *row, char buf[OPTION_RANGE_BYTES])
{
	const struct kind *k = &kinds[row->kind];
	char min[OPTION_TEXT_BYTES], max[OPTION_TEXT_BYTES], numbers[2 * OPTION_TEXT_BYTES + 8];

	buf[0] = '\0';
	for (const struct word *w = k->words; w->text != NULL; w++)
		if (w->use == WORD_BEFORE)
			add_to_range(buf, w->text);
	if (k->units != NULL) {
		(void)snprintf(numbers, sizeof(numbers), "%s ... %s",
			       options_value_text(row->kind, row->min, min),
			       options_value_text(row->kind, row->max, max));
		add_to_range(buf, numbers);
	} else if (row->kind == OPTION_TIME) {
		add_to_range(buf, TIMESTAMP_LEGAL);
	}
	for (const struct word *w = k->words; w->text != NULL; w++)
		if (w->use == WORD_BEHIND)
			add_to_range(buf, w->text);
	return buf;
}

/* --- text to values --- */

/* Parses digits of 'base' (8 or 10) and stores the position behind them.  Returns false if there is
 * no digit, or if the number is above INT64_MAX. */
static bool parse_digits(const char *text, int base, int64_t *ret, const char **ret_end)
{
	int64_t value = 0;
	const char *p = text;

	for (; *p >= '0' && *p < '0' + base; p++) {
		if (__builtin_mul_overflow(value, base, &value) ||
		    __builtin_add_overflow(value, *p - '0', &value))
			return false;
	}
	if (p == text)
		return false;
	*ret = value;
	*ret_end = p;
	return true;
}

static bool parse_number(const char *text, const struct kind *k, int64_t *ret)
{
	const char *end;
	int64_t number;

	if (!parse_digits(text, k->base == 0 ? 10 : k->base, &number, &end))
		return false;
	for (size_t i = 0; i < k->unit_count; i++) {
		if (strcmp(end, k->units[i].suffix) == 0)
			return !__builtin_mul_overflow(number, k->units[i].factor, ret);
	}
	return false;
}

static bool parse_time(const char *text, int64_t *ret)
{
	struct timespec now;
	uint64_t ns;

	(void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail */
	if (now.tv_sec < 0)
		now = (struct timespec){ 0 }; /* before 1970: no log is so old */
	if (!timestamp_parse_human(text, (uint64_t)ns_of_timespec(now), &ns) || ns == 0 ||
	    ns >= OPTION_TIME_NOW)
		return false;
	*ret = (int64_t)ns;
	return true;
}

static bool parse_value(const struct option_row *row, const char *text, int64_t *ret)
{
	const struct kind *k = &kinds[row->kind];
	int64_t value;

	for (const struct word *w = k->words; w->text != NULL; w++) {
		if (strcmp(text, w->text) == 0 && w->use != WORD_ONLY_PRINTED) {
			*ret = w->value;
			return true;
		}
	}
	if (row->kind == OPTION_TIME)
		return parse_time(text, ret);
	if (!parse_number(text, k, &value) || value < row->min || value > row->max)
		return false;
	*ret = value;
	return true;
}

/* --- -o --- */

static int bad_value(const struct option_row *row, const char *value, struct diag *diag)
{
	const char *hint = kinds[row->kind].hint;
	char range[OPTION_RANGE_BYTES];

	return diag_set(diag, -EINVAL, "option %s: '%s' is not legal; legal is %s%s", row->name,
			value, options_range_text(row, range), hint != NULL ? hint : "");
}

/* Returns whether 'item' is the option 'name'.  If 'name' ends in '=', 'item' must begin with it.
 */
static bool item_is(const char *item, const char *name)
{
	size_t name_bytes = strlen(name);

	if (name[name_bytes - 1] == '=')
		return strncmp(item, name, name_bytes) == 0;
	return strcmp(item, name) == 0;
}

/* Appends 'item' to the list of options for libfuse; escapes its commas and backslashes again. */
static int pass_on(struct options *o, const char *item)
{
	size_t old = strlen(o->mount_options);
	char *grown, *p;

	grown = realloc(o->mount_options, old + 1 + 2 * strlen(item) + 1);
	if (grown == NULL)
		return -ENOMEM;
	o->mount_options = grown;
	p = grown + old;
	if (old > 0)
		*p++ = ',';
	for (; *item != '\0'; item++) {
		if (*item == ',' || *item == '\\')
			*p++ = '\\';
		*p++ = *item;
	}
	*p = '\0';
	if (strncmp(grown + (old > 0 ? old + 1 : 0), "fsname=", 7) == 0)
		o->has_fsname = true;
	if (strncmp(grown + (old > 0 ? old + 1 : 0), "subtype=", 8) == 0)
		o->has_subtype = true;
	return 0;
}

/* libfuse parses max_read, but it accepts "10x" and "-1", and the value must be repeated in
 * fuse_conn_info: check it here and keep the number. */
static int take_max_read(struct options *o, const char *item, struct diag *diag)
{
	static const struct option_row row = {
		.name = "max_read", .kind = OPTION_ID, .min = 4096, .max = INT64_C(1) << 20
	};
	const char *value = item + strlen("max_read=");
	int64_t bytes;

	if (!parse_value(&row, value, &bytes))
		return bad_value(&row, value, diag);
	o->max_read_bytes = (unsigned int)bytes;
	return 0;
}

static int take_own(struct options *o, const struct option_row *row, const char *item,
		    struct diag *diag)
{
	const char *value = strchr(item, '=');
	int64_t *field = (int64_t *)(void *)((char *)o + row->field_offset);

	if (value == NULL && row->kind == OPTION_FLAG) {
		*field = 1;
		return 0;
	}
	value = value == NULL ? "" : value + 1;
	return parse_value(row, value, field) ? 0 : bad_value(row, value, diag);
}

/* Takes one unescaped item of an -o list. */
static int take_item(struct options *o, const char *item, struct diag *diag)
{
	size_t name_bytes = strcspn(item, "=");

	if (item[0] == '\0')
		return 0;
	for (size_t i = 0; i < options_row_count; i++) {
		const char *name = options_rows[i].name;

		if (strlen(name) == name_bytes && strncmp(item, name, name_bytes) == 0)
			return take_own(o, &options_rows[i], item, diag);
	}
	if (strcmp(item, "debug") == 0) {
		o->debug = true;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(passed_on); i++) {
		if (!item_is(item, passed_on[i]))
			continue;
		if (item_is(item, "max_read=") && take_max_read(o, item, diag) < 0)
			return -EINVAL;
		return pass_on(o, item);
	}
	for (size_t i = 0; i < ARRAY_SIZE(ignored); i++) {
		if (item_is(item, ignored[i]))
			return 0;
	}
	if (strncmp(item, "x-", 2) == 0 || strncmp(item, "X-", 2) == 0)
		return 0;
	if (strcmp(item, "nosymfollow") == 0) {
		o->nosymfollow = true;
		return 0;
	}
	if (strcmp(item, "remount") == 0)
		return diag_set(diag, -EINVAL,
				"option remount: the options of a mount cannot be changed: "
				"unmount it and mount it again with the new ones");
	return diag_set(diag, -EINVAL, "unknown option '%s': see freyjafs --help", item);
}

/* Splits a list at its commas.  A backslash removes the special meaning of the next character (as
 * in libfuse's option parser). */
static int take_list(struct options *o, const char *list, struct diag *diag)
{
	char *item = malloc(strlen(list) + 1);
	int err = 0;

	if (item == NULL)
		return -ENOMEM;
	while (err == 0) {
		size_t n = 0;

		for (; *list != '\0' && *list != ','; list++) {
			if (*list == '\\' && list[1] != '\0')
				list++;
			item[n++] = *list;
		}
		item[n] = '\0';
		err = take_item(o, item, diag);
		if (*list == '\0')
			break;
		list++;
	}
	free(item);
	return err;
}

/* --- the command line --- */

static int take_positional(struct options *o, const char *arg, struct diag *diag)
{
	if (o->datadir == NULL)
		o->datadir = arg;
	else if (o->mountpoint == NULL)
		o->mountpoint = arg;
	else
		return diag_set(diag, -EINVAL,
				"unexpected argument '%s': wanted are DATADIR and MOUNTPOINT", arg);
	return 0;
}

static const struct option long_options[] = {
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

/* Takes one result of getopt_long(). */
static int take_option(struct options *o, int letter, const char *arg, struct diag *diag)
{
	switch (letter) {
	case 'h':
		o->help = true;
		return 0;
	case 'V':
		o->version = true;
		return 0;
	case 'd':
		o->debug = true;
		return 0;
	case 'f':
		o->foreground = true;
		return 0;
	case 'o':
		return take_list(o, optarg, diag);
	case 1: /* the leading '-' of the option string: an argument that is not an option */
		return take_positional(o, optarg, diag);
	case ':':
		return diag_set(diag, -EINVAL, "-o wants a list of options after it");
	default:
		return diag_set(diag, -EINVAL, "unknown option '%s': see freyjafs --help", arg);
	}
}

static int take_arguments(struct options *o, int argc, char *const argv[], struct diag *diag)
{
	int err = 0, letter;

	optind = 0; /* makes getopt_long() begin with a new command line */
	opterr = 0;
	while (err == 0 && !o->help && !o->version) {
		int at = optind == 0 ? 1 : optind;
		const char *arg = at < argc ? argv[at] : "";

		letter = getopt_long(argc, argv, "-:hVdfo:", long_options, NULL);
		if (letter < 0)
			break;
		err = take_option(o, letter, arg, diag);
	}
	for (; err == 0 && optind < argc; optind++) /* arguments after "--" */
		err = take_positional(o, argv[optind], diag);
	return err;
}

int options_parse(int argc, char *const argv[], struct options *ret, struct diag *diag)
{
	int err;

	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < options_row_count; i++) {
		char *field = (char *)ret + options_rows[i].field_offset;

		memcpy(field, &options_rows[i].default_value, sizeof(int64_t));
	}
	ret->mount_options = calloc(1, 1);
	if (ret->mount_options == NULL)
		return -ENOMEM;
	err = take_arguments(ret, argc, argv, diag);
	if (err == 0 && (ret->help || ret->version))
		return 0;
	if (err < 0)
		return err;
	if (ret->debug)
		ret->foreground = true;
	if (ret->datadir != NULL && ret->datadir[0] == '\0')
		return diag_set(diag, -EINVAL, "DATADIR is empty");
	if (ret->mountpoint != NULL && ret->mountpoint[0] == '\0')
		return diag_set(diag, -EINVAL, "MOUNTPOINT is empty");
	if (ret->mountpoint == NULL)
		return diag_set(diag, -EINVAL,
				"%s is missing: freyjafs DATADIR MOUNTPOINT [-o OPTIONS]",
				ret->datadir == NULL ? "DATADIR" : "MOUNTPOINT");
	return 0;
}

void options_free(struct options *o)
{
	free(o->mount_options);
	o->mount_options = NULL;
}

void options_print_help(FILE *f)
{
	char text[OPTION_TEXT_BYTES], range[OPTION_RANGE_BYTES];

	fprintf(f, "usage: freyjafs DATADIR MOUNTPOINT [-f] [-d] [-o name=value,...]\n"
		   "Mounts the key-value store in DATADIR (made if missing) as a directory.\n\n"
		   "  -f             stay in the foreground\n"
		   "  -d             the same, and print every FUSE request\n"
		   "  -h, --help     print this\n"
		   "  -V, --version  print the version\n\n"
		   "Options after -o:\n");
	for (size_t i = 0; i < options_row_count; i++) {
		const struct option_row *row = &options_rows[i];

		fprintf(f, "  %s=VALUE\n      %s\n      (%s; default %s)\n", row->name, row->help,
			options_range_text(row, range),
			options_value_text(row->kind, row->default_value, text));
	}
	fprintf(f, "Handed on to the mount:\n     ");
	for (size_t i = 0; i < ARRAY_SIZE(passed_on); i++)
		fprintf(f, "%s %s", i % 6 == 0 && i > 0 ? "\n     " : "", passed_on[i]);
	fprintf(f, " nosymfollow debug\nTaken and without effect here:\n     ");
	for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
		fprintf(f, "%s %s", i % 8 == 0 && i > 0 ? "\n     " : "", ignored[i]);
	fprintf(f, " x-* X-*\n\nExit status:\n");
#define PRINT_EXIT_CODE(name, number, meaning) fprintf(f, "  %d  %s\n", number, meaning);
	EXIT_CODES(PRINT_EXIT_CODE)
#undef PRINT_EXIT_CODE
}
