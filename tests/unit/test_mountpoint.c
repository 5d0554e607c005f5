/* SPDX-License-Identifier: MIT */
/* Mountpoints: which process is mounted where, the faults of a directory, and the holder's line in
 * DATADIR/lock. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuse/daemon/datadir.h"
#include "fuse/daemon/mountpoint.h"

/* --- mountinfo --- */

static const char mountinfo[] =
	"22 27 0:21 / /proc rw,relatime - proc proc rw\n"
	"36 27 98:0 /sub /mnt/plain rw,noatime shared:1 master:2 - ext4 /dev/sda1 rw,errors=x\n"
	"40 27 0:51 / /mnt/with\\040space rw - fuse.freyjafs /data\\040dir rw,user_id=0\n"
	"41 27 0:52 / /mnt/tab\\011back\\134slash rw - fuse.freyjafs /d rw\n"
	"42 36 0:53 / /mnt/plain rw - fuse.freyjafs /top rw\n"
	"a line that is none\n"
	"43 27 0:54 / /mnt/nosource rw - tmpfs\n";

static const struct find_case {
	const char *path;
	const char *type; /* NULL: nothing is mounted there */
	const char *source;
} finds[] = {
	{ "/proc", "proc", "proc" },
	{ "/mnt/plain", "fuse.freyjafs", "/top" }, /* the topmost */
	{ "/mnt/with space", "fuse.freyjafs", "/data dir" },
	{ "/mnt/tab\tback\\slash", "fuse.freyjafs", "/d" },
	{ "/mnt", NULL, NULL },
	{ "/mnt/nosource", NULL, NULL },
	{ "/sub", NULL, NULL },
	{ "", NULL, NULL },
};

static void test_find(void **state)
{
	char *dir = *state;

	unit_write_file(unit_path("%s/mountinfo", dir), mountinfo, sizeof(mountinfo) - 1);
	for (size_t i = 0; i < ARRAY_SIZE(finds); i++) {
		struct mount_entry entry;
		bool found = mountpoint_find(unit_path("%s/mountinfo", dir), finds[i].path, &entry);

		assert_int_equal(found, finds[i].type != NULL);
		if (!found)
			continue;
		assert_string_equal(entry.path, finds[i].path);
		assert_string_equal(entry.type, finds[i].type);
		assert_string_equal(entry.source, finds[i].source);
	}
}

static void test_find_without_the_file(void **state)
{
	struct mount_entry entry;

	assert_false(mountpoint_find(unit_path("%s/none", (char *)*state), "/proc", &entry));
}

static void test_find_in_proc(void **state)
{
	struct mount_entry entry;

	assert_true(mountpoint_find("/proc/self/mountinfo", "/proc", &entry));
	assert_string_equal(entry.type, "proc");
}

/* --- paths --- */

static void test_resolve(void **state)
{
	char *dir = *state, *real = realpath(dir, NULL), *got = NULL;

	assert_non_null(real);
	assert_int_equal(mkdir(unit_path("%s/a", dir), 0700), 0);
	assert_int_equal(symlink("a", unit_path("%s/link", dir)), 0);
	assert_int_equal(mountpoint_resolve(unit_path("%s/link/../a/.", dir), &got), 0);
	assert_string_equal(got, unit_path("%s/a", real));
	free(got);
	/* The last component need not be there. */
	assert_int_equal(mountpoint_resolve(unit_path("%s/link/new//", dir), &got), 0);
	assert_string_equal(got, unit_path("%s/a/new", real));
	free(got);
	assert_int_equal(mountpoint_resolve(unit_path("%s/none/new", dir), &got), -ENOENT);
	assert_int_equal(mountpoint_resolve("", &got), -ENOENT);
	assert_int_equal(mountpoint_resolve("/", &got), 0);
	assert_string_equal(got, "/");
	free(got);
	free(real);
}

/* --- checks --- */

static const struct check_case {
	const char *datadir, *mountpoint; /* below the test's directory */
	int want;
	const char *named; /* in the message */
} checks[] = {
	{ "data", "mnt", 0, NULL },
	{ "new", "mnt", 0, NULL },
	{ "link", "mnt", 0, NULL },
	{ "none/new", "mnt", -ENOENT, "parent" },
	{ "file", "mnt", -ENOTDIR, "not a directory" },
	{ "file/new", "mnt", -ENOTDIR, "file/new" },
	{ "data", "none", -ENOENT, "does not exist" },
	{ "data", "file", -ENOTDIR, "not a directory" },
	{ "data", "data", -EINVAL, "DATADIR" },
	{ "data", "link", -EINVAL, "DATADIR" },
	{ "data", "data/in", -EINVAL, "DATADIR" },
	{ "mnt/new", "mnt", -EINVAL, "DATADIR" },
	{ "data/in", "data", -EINVAL, "DATADIR" },
	{ "dat", "data", 0, NULL }, /* a prefix of the name is not a parent */
	{ "data", "../../../../../../../../../../../../proc", -EBUSY, "already" },
};

static void test_checks(void **state)
{
	char *dir = *state;

	assert_int_equal(mkdir(unit_path("%s/data", dir), 0700), 0);
	assert_int_equal(mkdir(unit_path("%s/data/in", dir), 0700), 0);
	assert_int_equal(mkdir(unit_path("%s/mnt", dir), 0700), 0);
	assert_int_equal(symlink("data", unit_path("%s/link", dir)), 0);
	unit_write_file(unit_path("%s/file", dir), "x", 1);
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		const struct check_case *c = &checks[i];
		char *datadir = NULL, *mountpoint = NULL;
		struct diag diag = { "" };
		int err;

		err = mountpoint_check_datadir(unit_path("%s/%s", dir, c->datadir), &datadir,
					       &diag);
		if (err == 0)
			err = mountpoint_check(unit_path("%s/%s", dir, c->mountpoint), datadir,
					       &mountpoint, &diag);
		if (err != c->want)
			fail_msg("%s on %s: %d, not %d (%s)", c->datadir, c->mountpoint, err,
				 c->want, diag.text);
		if (c->want != 0) {
			assert_non_null(strstr(diag.text, c->named));
			assert_null(strchr(diag.text, '\n'));
		}
		free(datadir);
		free(mountpoint);
	}
	assert_false(unit_exists(unit_path("%s/new", dir))); /* a check changes nothing */
}

/* --- the holder's line --- */

static const struct holder_case {
	const char *text;
	long pid; /* 0: not one of ours */
	const char *mountpoint;
} holders[] = {
	{ "pid 42 mounted on /mnt/x\n", 42, "/mnt/x" },
	{ "pid 42 mounted on /mnt/x", 42, "/mnt/x" },
	{ "pid 7 mounted on /a b mounted on /c\n", 7, "/a b mounted on /c" },
	{ "pid 42\n", 0, NULL },
	{ "pid 0 mounted on /x\n", 0, NULL },
	{ "pid -3 mounted on /x\n", 0, NULL },
	{ "pid 99999999999999 mounted on /x\n", 0, NULL },
	{ "pid mounted on /x\n", 0, NULL },
	{ "pid 42 mounted on \n", 0, NULL },
	{ "somebody else", 0, NULL },
	{ "", 0, NULL },
};

static void test_holder(void **state)
{
	struct datadir_holder h;
	char text[DATADIR_HOLDER_BYTES];

	for (size_t i = 0; i < ARRAY_SIZE(holders); i++) {
		assert_int_equal(datadir_holder_parse(holders[i].text, &h), holders[i].pid != 0);
		if (holders[i].pid == 0)
			continue;
		assert_int_equal(h.pid, holders[i].pid);
		assert_string_equal(h.mountpoint, holders[i].mountpoint);
	}
	datadir_holder_text(123, "/some where", text);
	assert_true(datadir_holder_parse(text, &h));
	assert_int_equal(h.pid, 123);
	assert_string_equal(h.mountpoint, "/some where");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_find, unit_setup_tmpdir, unit_teardown_tmpdir),
		cmocka_unit_test_setup_teardown(test_find_without_the_file, unit_setup_tmpdir,
						unit_teardown_tmpdir),
		cmocka_unit_test(test_find_in_proc),
		cmocka_unit_test_setup_teardown(test_resolve, unit_setup_tmpdir,
						unit_teardown_tmpdir),
		cmocka_unit_test_setup_teardown(test_checks, unit_setup_tmpdir,
						unit_teardown_tmpdir),
		cmocka_unit_test(test_holder),
	};

	return cmocka_run_group_tests_name("mountpoint", tests, NULL, NULL);
}
