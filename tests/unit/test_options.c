/* SPDX-License-Identifier: MIT */
/* The command line: what is taken, what is refused and how, and that help and man page tell all. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <strings.h>

#include "fuse/base/exit_code.h"
#include "fuse/base/options.h"

#ifndef MAN_PAGE
#error "meson.build defines MAN_PAGE"
#endif

#define SECOND INT64_C(1000000000)

/* --- one option --- */

static const struct value_case {
	const char *item;
	const char *option; /* of the table */
	int64_t want;	    /* REFUSED: an error that names the option and its range */
} values[] = {
#define REFUSED INT64_MIN
	{ "fsync_interval=0", "fsync_interval", 0 },
	{ "fsync_interval=0s", "fsync_interval", REFUSED },
	{ "fsync_interval=10ms", "fsync_interval", SECOND / 100 },
	{ "fsync_interval=250ms", "fsync_interval", SECOND / 4 },
	{ "fsync_interval=1s", "fsync_interval", SECOND },
	{ "fsync_interval=2m", "fsync_interval", 120 * SECOND },
	{ "fsync_interval=1h", "fsync_interval", 3600 * SECOND },
	{ "fsync_interval=60m", "fsync_interval", 3600 * SECOND },
	{ "fsync_interval=never", "fsync_interval", LOG_WRITER_NEVER },
	{ "fsync_interval=9ms", "fsync_interval", REFUSED },
	{ "fsync_interval=61m", "fsync_interval", REFUSED },
	{ "fsync_interval=2h", "fsync_interval", REFUSED },
	{ "fsync_interval=1", "fsync_interval", REFUSED },
	{ "fsync_interval=10x", "fsync_interval", REFUSED },
	{ "fsync_interval=1ss", "fsync_interval", REFUSED },
	{ "fsync_interval=1sm", "fsync_interval", REFUSED },
	{ "fsync_interval=1 s", "fsync_interval", REFUSED },
	{ "fsync_interval= 1s", "fsync_interval", REFUSED },
	{ "fsync_interval=-1", "fsync_interval", REFUSED },
	{ "fsync_interval=-1s", "fsync_interval", REFUSED },
	{ "fsync_interval=+1s", "fsync_interval", REFUSED },
	{ "fsync_interval=1.5s", "fsync_interval", REFUSED },
	{ "fsync_interval=0x10s", "fsync_interval", REFUSED },
	{ "fsync_interval=1S", "fsync_interval", REFUSED },
	{ "fsync_interval=s", "fsync_interval", REFUSED },
	{ "fsync_interval=", "fsync_interval", REFUSED },
	{ "fsync_interval", "fsync_interval", REFUSED },
	{ "fsync_interval=Never", "fsync_interval", REFUSED },
	{ "fsync_interval=neverr", "fsync_interval", REFUSED },
	{ "fsync_interval=9223372036854775807ms", "fsync_interval", REFUSED },
	{ "fsync_interval=18446744073709551617s", "fsync_interval", REFUSED },
	{ "fsync_interval=99999999999999999999999s", "fsync_interval", REFUSED },
	{ "preallocate=auto", "preallocate", LOG_WRITER_HEADROOM_AUTO },
	{ "preallocate=off", "preallocate", 0 },
	{ "preallocate=0", "preallocate", 0 },
	{ "preallocate=4M", "preallocate", 4194304 },
	{ "preallocate=1G", "preallocate", INT64_C(1) << 30 },
	{ "preallocate=1073741825", "preallocate", REFUSED },
	{ "preallocate=-1", "preallocate", REFUSED },
	{ "preallocate=9223372036854775807", "preallocate", REFUSED },
	{ "preallocate=on", "preallocate", REFUSED },
	{ "preallocate=auto1M", "preallocate", REFUSED },
	{ "preallocate", "preallocate", REFUSED },
	{ "preallocate=4X", "preallocate", REFUSED },
	{ "buffer_size=0", "buffer_size", 0 },
	{ "buffer_size=1", "buffer_size", 1 },
	{ "buffer_size=64K", "buffer_size", 65536 },
	{ "buffer_size=1M", "buffer_size", 1048576 },
	{ "buffer_size=1G", "buffer_size", INT64_C(1) << 30 },
	{ "buffer_size=1073741824", "buffer_size", INT64_C(1) << 30 },
	{ "buffer_size=1073741825", "buffer_size", REFUSED },
	{ "buffer_size=2G", "buffer_size", REFUSED },
	{ "buffer_size=1k", "buffer_size", REFUSED },
	{ "buffer_size=1KK", "buffer_size", REFUSED },
	{ "buffer_size=1T", "buffer_size", REFUSED },
	{ "buffer_size=-1", "buffer_size", REFUSED },
	{ "buffer_size=9007199254740992K", "buffer_size", REFUSED },
	{ "buffer_size=17179869184G", "buffer_size", REFUSED },
	{ "uid=0", "uid", 0 },
	{ "uid=4294967294", "uid", 4294967294 },
	{ "uid=4294967295", "uid", REFUSED },
	{ "uid=4294967296", "uid", REFUSED },
	{ "uid=-1", "uid", REFUSED },
	{ "uid=root", "uid", REFUSED },
	{ "uid=1K", "uid", REFUSED },
	{ "gid=1000", "gid", 1000 },
	{ "gid=", "gid", REFUSED },
	{ "umask=022", "umask", 022 },
	{ "umask=77", "umask", 077 },
	{ "umask=0777", "umask", 0777 },
	{ "umask=0", "umask", 0 },
	{ "umask=1000", "umask", REFUSED },
	{ "umask=8", "umask", REFUSED },
	{ "umask=0o22", "umask", REFUSED },
	{ "at=off", "at", 0 },
	{ "at=2026-11-24T12:00:00Z", "at", 1795521600 * SECOND },
	{ "at=2026-11-24T12:00:00.000000001Z", "at", 1795521600 * SECOND + 1 },
	{ "at=@1795521600.5", "at", 1795521600 * SECOND + SECOND / 2 },
	{ "at=@0", "at", REFUSED },
	{ "at=0", "at", REFUSED },
	{ "at=", "at", REFUSED },
	{ "at", "at", REFUSED },
	{ "at=noon", "at", REFUSED },
	{ "at=2026-11-24", "at", 1795478400 * SECOND },
	{ "at=2026-11-24T12:00:00", "at", REFUSED },
	{ "at=2026-02-29T12:00:00Z", "at", REFUSED },
	{ "at=1h", "at", REFUSED },
	{ "missing_segments=refuse", "missing_segments", 0 },
	{ "missing_segments=accept", "missing_segments", 1 },
	{ "missing_segments=auto", "missing_segments", REFUSED },
	{ "inode32", "inode32", 1 },
	{ "inode32=on", "inode32", 1 },
	{ "inode32=off", "inode32", 0 },
	{ "inode32=", "inode32", REFUSED },
	{ "inode32=1", "inode32", REFUSED },
	{ "io_uring=auto", "io_uring", OPTION_AUTO },
	{ "io_uring=on", "io_uring", OPTION_ON },
	{ "io_uring=off", "io_uring", OPTION_OFF },
	{ "io_uring", "io_uring", REFUSED },
	{ "io_uring=", "io_uring", REFUSED },
	{ "io_uring=o", "io_uring", REFUSED },
	{ "io_uring=ON", "io_uring", REFUSED },
	{ "io_uring=onn", "io_uring", REFUSED },
	{ "io_uring=1", "io_uring", REFUSED },
	{ "io_uring=yes", "io_uring", REFUSED },
};

static const struct option_row *find_row(const char *name)
{
	for (size_t i = 0; i < options_row_count; i++) {
		if (strcmp(options_rows[i].name, name) == 0)
			return &options_rows[i];
	}
	fail_msg("no option %s in the table", name);
	return NULL;
}

static int64_t field_of(const struct options *o, const struct option_row *row)
{
	int64_t value;

	memcpy(&value, (const char *)o + row->field_offset, sizeof(value));
	return value;
}

static int parse_item(const char *item, struct options *ret, struct diag *diag)
{
	char *copy = strdup(item);
	char *argv[] = { (char[]){ "freyjafs" }, (char[]){ "/data" }, (char[]){ "/mnt" },
			 (char[]){ "-o" }, copy };
	int err;

	assert_non_null(copy);
	diag->text[0] = '\0';
	err = options_parse(5, argv, ret, diag);
	free(copy);
	return err;
}

static void test_value(void **state)
{
	const struct value_case *c = *state;
	const struct option_row *row = find_row(c->option);
	char range[OPTION_RANGE_BYTES];
	struct options o;
	struct diag diag;

	if (c->want == REFUSED) {
		assert_int_equal(parse_item(c->item, &o, &diag), -EINVAL);
		assert_non_null(strstr(diag.text, c->option));
		assert_non_null(strstr(diag.text, options_range_text(row, range)));
		assert_null(strchr(diag.text, '\n'));
		assert_true(field_of(&o, row) == row->default_value);
	} else {
		assert_int_equal(parse_item(c->item, &o, &diag), 0);
		assert_true(field_of(&o, row) == c->want);
		assert_string_equal(o.mount_options, "");
	}
	options_free(&o);
}

/* --- lists --- */

static const struct list_case {
	const char *list;
	const char *want;  /* what libfuse gets; NULL: refused */
	const char *named; /* in the error */
} lists[] = {
	{ "", "", NULL },
	{ "ro", "ro", NULL },
	{ "rw,allow_other,nodev", "rw,allow_other,nodev", NULL },
	{ "fsname=disk,subtype=x", "fsname=disk,subtype=x", NULL },
	{ "fsname=a\\,b", "fsname=a\\,b", NULL },
	{ "fsname=a\\\\b,ro", "fsname=a\\\\b,ro", NULL },
	{ "max_read=65536", "max_read=65536", NULL },
	{ "nofail,_netdev,noauto,auto,user,users,nouser,owner,group,defaults", "", NULL },
	{ "x-systemd.automount,x-gvfs-show,relatime", "", NULL },
	{ "nodiratime,norelatime,nostrictatime,lazytime,iversion,mand,silent", "", NULL },
	{ "user=root,comment=any,X-mount.mkdir,nosymfollow", "", NULL },
	{ "remount,ro", NULL, "remount" },
	{ "remount", NULL, "unmount it" },
	{ ",ro,,nofail,", "ro", NULL },
	{ "debug", "", NULL },
	{ "fsync_interval=1s,ro,buffer_size=1K", "ro", NULL },
	{ "retain=7x", NULL, "(units ms s m h d)" },
	{ "max_read=10x", NULL, "max_read" },
	{ "max_read=4095", NULL, "max_read" },
	{ "max_read=1048577", NULL, "max_read" },
	{ "max_read=-1", NULL, "max_read" },
	{ "max_read=", NULL, "max_read" },
	{ "nonsense", NULL, "'nonsense'" },
	{ "ro,nonsense=1", NULL, "'nonsense=1'" },
	{ "ro=1", NULL, "'ro=1'" },
	{ "nofail=1", NULL, "'nofail=1'" },
	{ "fsname", NULL, "'fsname'" },
	{ "fsync_intervall=1s", NULL, "'fsync_intervall=1s'" },
	{ "fsync_interva=1s", NULL, "'fsync_interva=1s'" },
	{ "FSYNC_INTERVAL=1s", NULL, "'FSYNC_INTERVAL=1s'" },
	{ "ro rw", NULL, "'ro rw'" },
	{ "fsync_interval=1s,fsync_interval=10x", NULL, "'10x'" },
};

static void test_list(void **state)
{
	const struct list_case *c = *state;
	struct options o;
	struct diag diag;

	if (c->want == NULL) {
		assert_int_equal(parse_item(c->list, &o, &diag), -EINVAL);
		assert_non_null(strstr(diag.text, c->named));
		assert_null(strchr(diag.text, '\n'));
	} else {
		assert_int_equal(parse_item(c->list, &o, &diag), 0);
		assert_string_equal(o.mount_options, c->want);
	}
	options_free(&o);
}

static void test_list_sets(void **state)
{
	struct options o;
	struct diag diag;

	assert_int_equal(parse_item("uid=1,uid=2,fsname=a,max_read=8192,debug", &o, &diag), 0);
	assert_int_equal(o.uid, 2); /* the last one counts, as in mount(8) */
	assert_true(o.has_fsname);
	assert_false(o.has_subtype);
	assert_int_equal(o.max_read_bytes, 8192);
	assert_true(o.debug);
	assert_true(o.foreground);
	options_free(&o);
}

/* --- the command line --- */

static const struct line_case {
	const char *name;
	const char *argv[8];
	int want;
	const char *datadir, *mountpoint;
	const char *named; /* in the error */
} lines[] = {
	{ "plain", { "D", "M" }, 0, "D", "M", NULL },
	{ "options first", { "-f", "-o", "ro", "D", "M" }, 0, "D", "M", NULL },
	{ "options between", { "D", "-oro", "M", "-d" }, 0, "D", "M", NULL },
	{ "dashes end options", { "--", "-f", "-o" }, 0, "-f", "-o", NULL },
	{ "a dash alone is a name", { "-", "M" }, 0, "-", "M", NULL },
	{ "nothing", { NULL }, -EINVAL, NULL, NULL, "DATADIR is missing" },
	{ "no mountpoint", { "D" }, -EINVAL, NULL, NULL, "MOUNTPOINT is missing" },
	{ "one too many", { "D", "M", "X" }, -EINVAL, NULL, NULL, "'X'" },
	{ "empty datadir", { "", "M" }, -EINVAL, NULL, NULL, "DATADIR is empty" },
	{ "empty mountpoint", { "D", "" }, -EINVAL, NULL, NULL, "MOUNTPOINT is empty" },
	{ "-o without a list", { "D", "M", "-o" }, -EINVAL, NULL, NULL, "-o" },
	{ "unknown short option", { "D", "M", "-x" }, -EINVAL, NULL, NULL, "'-x'" },
	{ "unknown long option", { "D", "M", "--foo" }, -EINVAL, NULL, NULL, "'--foo'" },
	{ "options run together", { "-fd", "D", "M" }, 0, "D", "M", NULL },
	{ "an unknown one among them", { "D", "M", "-fx" }, -EINVAL, NULL, NULL, "'-fx'" },
};

static void test_line(void **state)
{
	const struct line_case *c = *state;
	char *argv[9] = { (char[]){ "freyjafs" } };
	struct diag diag = { "" };
	struct options o;
	int argc = 1;

	for (size_t i = 0; i < ARRAY_SIZE(c->argv) && c->argv[i] != NULL; i++) {
		argv[argc] = strdup(c->argv[i]);
		assert_non_null(argv[argc++]);
	}
	assert_int_equal(options_parse(argc, argv, &o, &diag), c->want);
	if (c->want == 0) {
		assert_string_equal(o.datadir, c->datadir);
		assert_string_equal(o.mountpoint, c->mountpoint);
	} else {
		assert_non_null(strstr(diag.text, c->named));
	}
	for (int i = 1; i < argc; i++)
		free(argv[i]);
	options_free(&o);
}

static void test_help_needs_nothing_else(void **state)
{
	char *help[] = { (char[]){ "freyjafs" }, (char[]){ "--help" }, (char[]){ "--nonsense" } };
	char *version[] = { (char[]){ "freyjafs" }, (char[]){ "-V" } };
	struct diag diag = { "" };
	struct options o;

	assert_int_equal(options_parse(3, help, &o, &diag), 0);
	assert_true(o.help);
	options_free(&o);
	assert_int_equal(options_parse(2, version, &o, &diag), 0);
	assert_true(o.version);
	options_free(&o);
}

static void test_defaults_are_in_range(void **state)
{
	char text[OPTION_TEXT_BYTES];

	for (size_t i = 0; i < options_row_count; i++) {
		const struct option_row *row = &options_rows[i];
		char item[160];
		struct options o;
		struct diag diag;

		if (row->default_value == OPTION_OWN_ID)
			continue;
		(void)snprintf(item, sizeof(item), "%s=%s", row->name,
			       options_value_text(row->kind, row->default_value, text));
		assert_int_equal(parse_item(item, &o, &diag), 0);
		assert_true(field_of(&o, row) == row->default_value);
		options_free(&o);
	}
}

/* A relative time is relative to the clock. */
static void test_time_ago(void **state)
{
	int64_t clock_ns = (int64_t)time(NULL) * SECOND;
	struct options now, ago;
	struct diag diag;

	assert_int_equal(parse_item("at=now", &now, &diag), 0);
	assert_int_equal(parse_item("at=-1h", &ago, &diag), 0);
	assert_int_equal(now.at, OPTION_TIME_NOW); /* the end of the log, whatever the clock says */
	assert_true(ago.at >= clock_ns - 3600 * SECOND);
	assert_true(ago.at <= clock_ns);
	options_free(&now);
	options_free(&ago);
}

/* --- help and man page --- */

/* Inlined, gcc takes the text for its own pointer to it. */
__attribute__((noinline)) static char *help_text(void)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *f = open_memstream(&text, &bytes);

	assert_non_null(f);
	options_print_help(f);
	assert_int_equal(fclose(f), 0);
	return text;
}

/* The man page without its font macros and escapes: words alone. */
static char *man_text(void)
{
	struct unit_file file = unit_read_file(MAN_PAGE);
	char *text = malloc(file.bytes + 1);
	size_t n = 0;

	assert_non_null(text);
	for (size_t i = 0; i < file.bytes; i++) {
		if (file.data[i] != '\\')
			text[n++] = (char)file.data[i];
	}
	text[n] = '\0';
	free(file.data);
	return text;
}

/* As a word of its own: what stands around it could not belong to a name. */
static bool has_word(const char *text, const char *word)
{
	static const char name_bytes[] = "abcdefghijklmnopqrstuvwxyz_0123456789";
	size_t n = strlen(word);

	for (const char *p = strstr(text, word); p != NULL; p = strstr(p + 1, word)) {
		char before = p == text ? ' ' : p[-1];
		char after = word[n - 1] == '=' || p[n] == '\0' ? ' ' : p[n];

		if (strchr(name_bytes, before) == NULL && strchr(name_bytes, after) == NULL)
			return true;
	}
	return false;
}

static void test_man_page_has_option(void **state)
{
	const struct option_row *row = *state;
	char *man = man_text(), *help = help_text();
	char word[64], text[OPTION_TEXT_BYTES];

	(void)snprintf(word, sizeof(word), "%s=", row->name);
	assert_true(has_word(man, word));
	assert_true(has_word(help, word));
	assert_non_null(strstr(help, row->help));
	/* The limits, too. */
	assert_non_null(strstr(man, options_value_text(row->kind, row->max, text)));
	if (row->default_value != OPTION_OWN_ID)
		assert_non_null(
			strstr(man, options_value_text(row->kind, row->default_value, text)));
	free(man);
	free(help);
}

/* Every name that --help lists as handed on or without effect is in the man page. */
static void test_man_page_has_the_rest(void **state)
{
	char *man = man_text(), *help = help_text();
	char *from = strstr(help, "Handed on to the mount:"), *to = strstr(help, "Exit status:");
	size_t words = 0;

	assert_non_null(from);
	assert_non_null(to);
	*to = '\0';
	for (char *w = strtok(from, " \n"); w != NULL; w = strtok(NULL, " \n")) {
		if (strcmp(w, "Handed") == 0 || strcmp(w, "Taken") == 0) {
			while (w != NULL && strchr(w, ':') == NULL) /* a headline */
				w = strtok(NULL, " \n");
			continue;
		}
		if (strcasecmp(w, "x-*") != 0 && !has_word(man, w))
			fail_msg("%s is not in the man page", w);
		words++;
	}
	assert_true(words > 30);
	free(man);
	free(help);
}

static void test_exit_codes_are_told(void **state)
{
	char *man = man_text(), *help = help_text();
	char line[256];

#define CHECK_EXIT_CODE(name, number, meaning)                             \
	(void)snprintf(line, sizeof(line), ".B %d\n", number);             \
	assert_non_null(strstr(man, line));                                \
	(void)snprintf(line, sizeof(line), "  %d  %s\n", number, meaning); \
	assert_non_null(strstr(help, line));
	EXIT_CODES(CHECK_EXIT_CODE)
#undef CHECK_EXIT_CODE
	free(man);
	free(help);
}

int main(void)
{
	static const struct CMUnitTest fixed[] = {
		cmocka_unit_test(test_list_sets),
		cmocka_unit_test(test_time_ago),
		cmocka_unit_test(test_help_needs_nothing_else),
		cmocka_unit_test(test_defaults_are_in_range),
		cmocka_unit_test(test_man_page_has_the_rest),
		cmocka_unit_test(test_exit_codes_are_told),
	};
	static struct CMUnitTest *tests; /* with the names, until the program ends */
	size_t n = 0;

	tests = calloc(ARRAY_SIZE(values) + ARRAY_SIZE(lists) + ARRAY_SIZE(lines) +
			       options_row_count + ARRAY_SIZE(fixed),
		       sizeof(*tests));
	if (tests == NULL)
		return 1;

	for (size_t i = 0; i < ARRAY_SIZE(values); i++)
		tests[n++] = (struct CMUnitTest){ values[i].item, test_value, NULL, NULL,
						  (void *)(uintptr_t)&values[i] };
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		tests[n++] = (struct CMUnitTest){ unit_name("list '%s'", lists[i].list), test_list,
						  NULL, NULL, (void *)(uintptr_t)&lists[i] };
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		tests[n++] = (struct CMUnitTest){ lines[i].name, test_line, NULL, NULL,
						  (void *)(uintptr_t)&lines[i] };
	for (size_t i = 0; i < options_row_count; i++)
		tests[n++] = (struct CMUnitTest){
			unit_name("man page and help have %s", options_rows[i].name),
			test_man_page_has_option, NULL, NULL, (void *)(uintptr_t)&options_rows[i]
		};
	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
		tests[n++] = fixed[i];
	return unit_run("options", tests, n);
}
