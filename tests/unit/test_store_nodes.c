/* SPDX-License-Identifier: MIT */
/* The store: nodes with several names, nodes that are not files, extended attributes, inode
 * numbers.  The tree that a test builds must be the same after the log was replayed. */
#include "tests/unit/store_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "codec/meta.h"
#include "codec/xattrs.h"
#include "tests/unit/store_ops.h"
#include "writer/store/for_background.h"

static void reopen_and_compare(struct store_fixture *f)
{
	char *before = dump_attributes(f->s, false), *after;

	fixture_reopen_store(f);
	after = dump_attributes(f->s, false);
	assert_string_equal(after, before);
	free(before);
	free(after);
}

static int link_path(struct store_fixture *f, const char *path, const char *new_name)
{
	struct node *n = ops_find_ok(f->s, path);
	uint64_t end;
	int err = store_link(f->s, n,
			     &(struct store_name){ store_root(f->s), new_name, strlen(new_name) },
			     &end);

	store_unpin(f->s, n, 1);
	return err;
}

/* --- several names --- */

static void test_link(void **state)
{
	struct store_fixture *f = *state;
	struct store_stats stats;

	fixture_open_store(f);
	ops_mkdir_ok(f->s, "d");
	ops_write_ok(f->s, "d/a", "one");
	assert_int_equal(link_path(f, "d/a", "b"), 0);
	assert_int_equal(link_path(f, "b", "c"), 0);
	assert_int_equal(ops_attr_ok(f->s, "c").link_count, 3);
	assert_true(ops_attr_ok(f->s, "c").ino == ops_attr_ok(f->s, "d/a").ino);
	ops_write_ok(f->s, "c", "two"); /* one content under all names */
	assert_tree(f->s, "f b=two, f c=two, d d, f d/a=two");
	store_stats(f->s, &stats);
	assert_int_equal(stats.files, 1);
	reopen_and_compare(f);
	assert_int_equal(ops_unlink(f->s, "d/a"), 0); /* the name that the others came from */
	assert_int_equal(ops_attr_ok(f->s, "b").link_count, 2);
	assert_tree(f->s, "f b=two, f c=two, d d");
	ops_write_ok(f->s, "b", "three");
	reopen_and_compare(f);
	assert_tree(f->s, "f b=three, f c=three, d d");
	assert_int_equal(ops_unlink(f->s, "b"), 0);
	assert_int_equal(ops_unlink(f->s, "c"), 0);
	reopen_and_compare(f);
	assert_tree(f->s, "d d");
}

static void test_link_and_rename(void **state)
{
	struct store_fixture *f = *state;

	fixture_open_store(f);
	ops_write_ok(f->s, "a", "1");
	ops_write_ok(f->s, "x", "other");
	assert_int_equal(link_path(f, "a", "b"), 0);
	assert_int_equal(ops_rename(f->s, "a", "b", 0), 0); /* one node: nothing happens */
	assert_tree(f->s, "f a=1, f b=1, f x=other");
	assert_int_equal(ops_rename(f->s, "a", "x", 0), 0);
	assert_tree(f->s, "f b=1, f x=1");
	assert_int_equal(ops_attr_ok(f->s, "x").link_count, 2);
	ops_write_ok(f->s, "y", "2");
	assert_int_equal(ops_rename(f->s, "y", "b", RENAME_EXCHANGE), 0);
	assert_tree(f->s, "f b=2, f x=1, f y=1");
	reopen_and_compare(f);
	ops_write_ok(f->s, "x", "3");
	assert_tree(f->s, "f b=2, f x=3, f y=3");
}

/* The first name of the file is below the directory that its second changes places with. */
static void test_exchange_of_a_second_name(void **state)
{
	struct store_fixture *f = *state;

	fixture_open_store(f);
	ops_mkdir_ok(f->s, "d");
	ops_write_ok(f->s, "d/a", "1");
	assert_int_equal(link_path(f, "d/a", "b"), 0);
	assert_int_equal(ops_rename(f->s, "b", "d", RENAME_EXCHANGE), 0);
	assert_tree(f->s, "d b, f b/a=1, f d=1");
	reopen_and_compare(f);
	assert_int_equal(ops_rename(f->s, "d", "b/x", 0), 0);
	reopen_and_compare(f);
	assert_tree(f->s, "d b, f b/a=1, f b/x=1");
}

static void test_link_refused(void **state)
{
	struct store_fixture *f = *state;
	struct store_stats before, after;
	struct node *gone;
	uint64_t end;

	fixture_open_store(f);
	ops_mkdir_ok(f->s, "d");
	ops_write_ok(f->s, "a", "1");
	ops_write_ok(f->s, "gone", "1");
	gone = ops_find_ok(f->s, "gone");
	assert_int_equal(ops_unlink(f->s, "gone"), 0);
	store_stats(f->s, &before);
	assert_int_equal(link_path(f, "d", "e"), -EPERM);
	assert_int_equal(link_path(f, "a", "d"), -EEXIST);
	assert_int_equal(link_path(f, "a", "a"), -EEXIST);
	assert_int_equal(
		store_link(f->s, gone, &(struct store_name){ store_root(f->s), "g", 1 }, &end),
		-ENOENT);
	store_unpin(f->s, gone, 1);
	store_stats(f->s, &after);
	assert_int_equal(after.log.end_position, before.log.end_position);
}

/* --- neither files nor directories --- */

static const struct special_case {
	const char *name;
	struct store_special special;
} special_cases[] = {
	{ "symlink",
	  { .owner.mode = S_IFLNK | 0777,
	    .owner.uid = 1,
	    .owner.gid = 2,
	    .target = "../some/where" } },
	{ "fifo", { .owner.mode = S_IFIFO | 0600, .owner.uid = 3 } },
	{ "socket", { .owner.mode = S_IFSOCK | 0755 } },
	{ "character device",
	  { .owner.mode = S_IFCHR | 0640,
	    .owner.gid = 5,
	    .rdev_major = 4000,
	    .rdev_minor = 1000000 } },
	{ "block device", { .owner.mode = S_IFBLK | 0660, .rdev_major = 8, .rdev_minor = 1 } },
};

static void check_special(struct store_fixture *f, const struct store_special *want)
{
	struct store_attr attr = ops_attr_ok(f->s, "n");
	struct node *n = ops_find_ok(f->s, "n");
	char target[64];
	ssize_t got;

	assert_int_equal(attr.mode, want->owner.mode);
	assert_int_equal(attr.uid, want->owner.uid);
	assert_int_equal(attr.gid, want->owner.gid);
	assert_int_equal(attr.rdev_major, want->rdev_major);
	assert_int_equal(attr.rdev_minor, want->rdev_minor);
	got = store_readlink(f->s, n, target, sizeof(target));
	if (want->target == NULL) {
		assert_int_equal(got, -EINVAL);
	} else {
		assert_int_equal(got, strlen(want->target));
		assert_memory_equal(target, want->target, (size_t)got);
		assert_int_equal(attr.size_bytes, got);
	}
	store_unpin(f->s, n, 1);
}

static void test_special(void **state)
{
	struct store_fixture *f = *state;
	const struct special_case *c = f->row;
	struct store_set chown = { .which = STORE_SET_UID | STORE_SET_GID, .uid = 77, .gid = 78 };
	struct store_special owned = c->special;
	struct node *n;
	uint64_t end;

	fixture_open_store(f);
	assert_int_equal(store_mknod(f->s, &(struct store_name){ store_root(f->s), "n", 1 },
				     &c->special, &n, NULL, &end),
			 0);
	store_unpin(f->s, n, 1);
	check_special(f, &c->special);
	reopen_and_compare(f);
	check_special(f, &c->special);
	assert_int_equal(ops_setattr(f->s, "n", &chown), 0); /* says all the rest again */
	owned.owner.uid = 77;
	owned.owner.gid = 78;
	check_special(f, &owned);
	reopen_and_compare(f);
	check_special(f, &owned);
	assert_int_equal(store_mknod(f->s, &(struct store_name){ store_root(f->s), "n", 1 },
				     &c->special, &n, NULL, &end),
			 -EEXIST);
	assert_int_equal(ops_unlink(f->s, "n"), 0);
	reopen_and_compare(f);
	assert_tree(f->s, "");
}

static void test_target_limits(void **state)
{
	struct store_fixture *f = *state;
	static char target[META_TARGET_BYTES_MAX + 2];
	struct store_special special = { .owner.mode = S_IFLNK | 0777, .target = target };
	struct node *n;
	uint64_t end;

	fixture_open_store(f);
	assert_int_equal(store_mknod(f->s, &(struct store_name){ store_root(f->s), "n", 1 },
				     &special, &n, NULL, &end),
			 -ENOENT); /* empty */
	memset(target, 'x', META_TARGET_BYTES_MAX + 1);
	assert_int_equal(store_mknod(f->s, &(struct store_name){ store_root(f->s), "n", 1 },
				     &special, &n, NULL, &end),
			 -ENAMETOOLONG);
	assert_tree(f->s, "");
	target[META_TARGET_BYTES_MAX] = '\0';
	assert_int_equal(store_mknod(f->s, &(struct store_name){ store_root(f->s), "n", 1 },
				     &special, &n, NULL, &end),
			 0);
	store_unpin(f->s, n, 1);
	fixture_reopen_store(f);
	assert_int_equal(ops_attr_ok(f->s, "n").size_bytes, META_TARGET_BYTES_MAX);
}

static void test_subdirectories_count(void **state)
{
	struct store_fixture *f = *state;

	fixture_open_store(f);
	ops_mkdir_ok(f->s, "d");
	assert_int_equal(ops_attr_ok(f->s, "d").link_count, 2);
	ops_mkdir_ok(f->s, "d/a");
	ops_mkdir_ok(f->s, "d/b");
	ops_write_ok(f->s, "d/f", "1");
	assert_int_equal(ops_attr_ok(f->s, "d").link_count, 4);
	assert_int_equal(ops_rename(f->s, "d/a", "e", 0), 0);
	assert_int_equal(ops_rename(f->s, "d/f", "d/b", RENAME_EXCHANGE), 0);
	assert_int_equal(ops_attr_ok(f->s, "d").link_count, 3);
	assert_int_equal(ops_rmdir(f->s, "d/f"), 0);
	assert_int_equal(ops_attr_ok(f->s, "d").link_count, 2);
	reopen_and_compare(f);
	assert_int_equal(ops_attr_ok(f->s, "d").link_count, 2);
}

/* --- extended attributes --- */

static int set_xattr(struct store_fixture *f, const char *path, const char *name, const char *value,
		     int flags)
{
	struct node *n = ops_find_ok(f->s, path);
	uint64_t end;
	int err = store_setxattr(
		f->s, n, &(struct xattr){ name, strlen(name), value, strlen(value) }, flags, &end);

	store_unpin(f->s, n, 1);
	return err;
}

static int remove_xattr(struct store_fixture *f, const char *path, const char *name)
{
	struct node *n = ops_find_ok(f->s, path);
	uint64_t end;
	int err = store_removexattr(f->s, n, name, &end);

	store_unpin(f->s, n, 1);
	return err;
}

/* Compares the names, and the values of all of them, with "name=value name=value". */
static void assert_xattrs(struct store_fixture *f, const char *path, const char *want)
{
	struct node *n = ops_find_ok(f->s, path);
	char names[256], value[64], got[512] = "";
	ssize_t bytes = store_listxattr(f->s, n, NULL, names, sizeof(names));

	assert_in_range(bytes, 0, sizeof(names));
	for (char *name = names; name < names + bytes; name += strlen(name) + 1) {
		ssize_t size = store_getxattr(f->s, n, name, value, sizeof(value));
		size_t used = strlen(got);

		assert_in_range(size, 0, sizeof(value));
		assert_int_equal(store_getxattr(f->s, n, name, NULL, 0), size);
		(void)snprintf(got + used, sizeof(got) - used, "%s%s=%.*s", used > 0 ? " " : "",
			       name, (int)size, value);
	}
	assert_string_equal(got, want);
	store_unpin(f->s, n, 1);
}

static void test_xattrs(void **state)
{
	struct store_fixture *f = *state;
	uint64_t log_end;

	fixture_open_store(f);
	ops_write_ok(f->s, "a", "1");
	assert_xattrs(f, "a", "");
	assert_int_equal(set_xattr(f, "a", "user.x", "one", 0), 0);
	assert_int_equal(set_xattr(f, "a", "user.y", "", XATTR_CREATE), 0);
	assert_int_equal(set_xattr(f, "a", "user.x", "2", XATTR_CREATE), -EEXIST);
	assert_int_equal(set_xattr(f, "a", "user.z", "2", XATTR_REPLACE), -ENODATA);
	assert_xattrs(f, "a", "user.x=one user.y=");
	/* Setting the present value is not a change and appends no record. */
	log_end = store_end(f->s);
	assert_int_equal(set_xattr(f, "a", "user.x", "one", XATTR_REPLACE), 0);
	assert_int_equal(set_xattr(f, "a", "user.y", "", 0), 0);
	assert_int_equal(store_end(f->s), log_end);
	ops_write_ok(f->s, "a", "22"); /* a new value has the old attributes */
	reopen_and_compare(f);
	assert_xattrs(f, "a", "user.x=one user.y=");
	assert_int_equal(set_xattr(f, "a", "user.x", "other", XATTR_REPLACE), 0);
	assert_int_equal(remove_xattr(f, "a", "user.y"), 0);
	assert_int_equal(remove_xattr(f, "a", "user.y"), -ENODATA);
	reopen_and_compare(f);
	assert_xattrs(f, "a", "user.x=other");
	assert_int_equal(remove_xattr(f, "a", "user.x"), 0);
	fixture_reopen_store(f);
	assert_xattrs(f, "a", "");
}

static void test_xattrs_before_the_commit(void **state)
{
	struct store_fixture *f = *state;
	struct node *n;

	fixture_open_store(f);
	assert_int_equal(ops_create(f->s, "a", OPS_FILE_MODE, &n), 0);
	assert_int_equal(set_xattr(f, "a", "user.x", "1", 0), 0);
	assert_int_equal(ops_commit(f->s, n, "value", NULL), 0);
	store_unpin(f->s, n, 1);
	assert_int_equal(ops_create(f->s, "e", OPS_FILE_MODE, &n), 0);
	assert_int_equal(set_xattr(f, "e", "user.y", "2", 0), 0);
	assert_int_equal(ops_commit(f->s, n, "", NULL), 0);
	store_unpin(f->s, n, 1);
	reopen_and_compare(f);
	assert_xattrs(f, "a", "user.x=1");
	assert_xattrs(f, "e", "user.y=2");
}

static void test_xattr_limits(void **state)
{
	struct store_fixture *f = *state;
	char *big = calloc(1, XATTRS_BYTES_MAX), small[4], name[XATTRS_NAME_BYTES_MAX + 2];
	const size_t most = XATTRS_SET_BYTES_MAX - XATTRS_ENTRY_BYTES - strlen("user.64k");
	struct node *n;
	uint64_t end;

	assert_non_null(big);
	fixture_open_store(f);
	ops_mkdir_ok(f->s, "d");
	n = ops_find_ok(f->s, "d");
	assert_int_equal(
		store_setxattr(f->s, n, &(struct xattr){ "user.64k", 8, big, most + 1 }, 0, &end),
		-E2BIG);
	assert_int_equal(
		store_setxattr(f->s, n, &(struct xattr){ "user.64k", 8, big, most }, 0, &end), 0);
	assert_int_equal(store_setxattr(f->s, n, &(struct xattr){ "user.x", 6, "", 0 }, 0, &end),
			 -E2BIG);
	assert_int_equal(store_getxattr(f->s, n, "user.64k", small, sizeof(small)), -ERANGE);
	assert_int_equal(store_listxattr(f->s, n, NULL, small, sizeof(small)), -ERANGE);
	assert_int_equal(store_listxattr(f->s, n, NULL, NULL, 0), sizeof("user.64k"));
	memset(name, 'n', sizeof(name));
	name[XATTRS_NAME_BYTES_MAX + 1] = '\0';
	assert_int_equal(
		store_setxattr(f->s, n, &(struct xattr){ name, strlen(name), "", 0 }, 0, &end),
		-ERANGE);
	name[XATTRS_NAME_BYTES_MAX] = '\0';
	assert_int_equal(
		store_setxattr(f->s, n, &(struct xattr){ name, strlen(name), "", 0 }, 0, &end),
		-E2BIG);
	assert_int_equal(
		store_setxattr(f->s, n, &(struct xattr){ "user.64k", 8, big, most - 300 }, 0, &end),
		0);
	assert_int_equal(
		store_setxattr(f->s, n, &(struct xattr){ name, strlen(name), "", 0 }, 0, &end), 0);
	store_unpin(f->s, n, 1);
	fixture_reopen_store(f);
	n = ops_find_ok(f->s, "d");
	assert_int_equal(store_getxattr(f->s, n, "user.64k", NULL, 0), most - 300);
	assert_int_equal(store_getxattr(f->s, n, name, NULL, 0), 0);
	store_unpin(f->s, n, 1);
	free(big);
}

/* A change of one attribute is one attribute in the log, however many there are. */
static void test_xattr_log_bytes(void **state)
{
	struct store_fixture *f = *state;
	uint64_t before;

	fixture_open_store(f);
	ops_write_ok(f->s, "a", "1");
	for (int i = 0; i < 1000; i++)
		assert_int_equal(set_xattr(f, "a", unit_path("user.%d", i), "value", 0), 0);
	before = store_end(f->s);
	assert_int_equal(set_xattr(f, "a", "user.500", "other", 0), 0);
	assert_int_equal(remove_xattr(f, "a", "user.501"), 0);
	assert_in_range(store_end(f->s) - before, 1, 160);
	reopen_and_compare(f);
	assert_int_equal(remove_xattr(f, "a", "user.501"), -ENODATA);
	assert_int_equal(set_xattr(f, "a", "user.502", "value", XATTR_CREATE), -EEXIST);
}

/* A list that is longer than one may grow to, from a log of an earlier version: it is read, and can
 * be made shorter, but not longer. */
static void test_xattrs_of_an_old_log(void **state)
{
	struct store_fixture *f = *state;
	struct meta_attr attr = { .type = META_TYPE_FILE,
				  .content = META_CONTENT_EMPTY,
				  .fields = META_FIELD_XATTRS };
	struct xattr x = { "user.long", 9, calloc(1, 100000), 100000 };
	uint8_t *list = malloc(xattr_bytes(&x)), *value, key[] = { 0, 'a', 'f' }, *rec_bytes;
	struct record rec = { .timestamp_ns = 1000, .key = key, .key_bytes = sizeof(key) };
	struct node *n;
	uint64_t end;

	assert_true(x.value != NULL && list != NULL);
	attr.xattrs = list;
	attr.xattrs_bytes = (size_t)(xattr_encode(&x, list) - list);
	value = malloc(meta_attr_bytes(&attr));
	assert_non_null(value);
	rec.value = value;
	rec.value_bytes = (uint32_t)meta_attr_encode(&attr, value);
	rec_bytes = malloc(record_bytes(rec.key_bytes, rec.value_bytes));
	assert_non_null(rec_bytes);
	record_encode(&rec, rec_bytes);
	plant_log(f, rec_bytes, record_bytes(rec.key_bytes, rec.value_bytes));
	fixture_open_store(f);
	assert_int_equal(set_xattr(f, "f", "user.short", "1", 0), -E2BIG);
	reopen_and_compare(f);
	n = ops_find_ok(f->s, "f");
	x.value_bytes--; /* still longer than the limit */
	assert_int_equal(store_setxattr(f->s, n,
					&(struct xattr){ "user.long", 9, x.value, x.value_bytes },
					0, &end),
			 0);
	assert_int_equal(store_getxattr(f->s, n, "user.long", NULL, 0), x.value_bytes);
	store_unpin(f->s, n, 1);
	reopen_and_compare(f);
	assert_int_equal(set_xattr(f, "f", "user.long", "2", XATTR_REPLACE), 0);
	assert_int_equal(set_xattr(f, "f", "user.short", "1", 0), 0);
	reopen_and_compare(f);
	assert_xattrs(f, "f", "user.long=2 user.short=1");
	free(rec_bytes);
	free(value);
	free(list);
	free((void *)(uintptr_t)x.value);
}

static void test_golden_xattrs(void **state)
{
	struct store_fixture *f = *state;
	struct unit_file golden = unit_read_file(GOLDEN_DIR "/xattrs.data");

	plant_log(f, golden.data, golden.bytes);
	fixture_open_store(f);
	assert_xattrs(f, "f", "user.c= user.a=longer than before user.new=");
	assert_xattrs(f, "d", "user.d=x");
	assert_xattrs(f, "", "user.root=y");
	free(golden.data);
}

/* A file has at most as many names as on ext4, and all of them can be removed. */
static void test_many_links(void **state)
{
	struct store_fixture *f = *state;
	struct node *n, *root;
	uint64_t end;
	size_t links = 1;
	int err;

	fixture_open_store(f);
	root = store_root(f->s);
	ops_write_ok(f->s, "a", "1");
	n = ops_find_ok(f->s, "a");
	do {
		const char *name = unit_path("link.%zu", links);

		err = store_link(f->s, n, &(struct store_name){ root, name, strlen(name) }, &end);
		links += err == 0;
	} while (err == 0);
	assert_int_equal(err, -EMLINK);
	assert_int_equal(links, 65000);
	store_unpin(f->s, n, 1);
	assert_int_equal(ops_unlink(f->s, "link.1"), 0);
	fixture_reopen_store(f);
	assert_int_equal(ops_attr_ok(f->s, "a").link_count, links - 1);
}

/* --- inode numbers and times that stay --- */

static void test_inode_numbers_stay(void **state)
{
	static const char *const paths[] = { "e", "e/f", "e/sub", "kept", "p", "q", "h", "t", "d" };
	uint64_t ino[ARRAY_SIZE(paths)];
	struct store_fixture *f = *state;

	fixture_open_store(f);
	ops_mkdir_ok(f->s, "d");
	ops_write_ok(f->s, "d/f", "1");
	ops_mkdir_ok(f->s, "d/sub");
	(void)ops_attr_ok(f->s, "d/sub"); /* somebody has seen its number */
	assert_int_equal(ops_rename(f->s, "d", "e", 0), 0);
	ops_write_ok(f->s, "tmp", "2");
	assert_int_equal(ops_rename(f->s, "tmp", "kept", 0), 0);
	ops_write_ok(f->s, "p", "3");
	ops_write_ok(f->s, "q", "4");
	assert_int_equal(ops_rename(f->s, "p", "q", RENAME_EXCHANGE), 0);
	ops_write_ok(f->s, "g", "5");
	assert_int_equal(link_path(f, "g", "h"), 0);
	assert_int_equal(ops_unlink(f->s, "g"), 0);
	ops_write_ok(f->s, "tmp", "6"); /* its number is another's by now */
	assert_int_equal(ops_rename(f->s, "tmp", "t", 0), 0);
	ops_mkdir_ok(f->s, "d"); /* and so is this one */
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		ino[i] = ops_attr_ok(f->s, paths[i]).ino;
		for (size_t j = 0; j < i; j++)
			assert_true(ino[i] != ino[j]);
	}
	assert_int_equal(ops_rename(f->s, "e", "x", 0), 0);
	assert_int_equal(ops_rename(f->s, "x", "e", 0), 0); /* by any way it came there */
	fixture_reopen_store(f);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		assert_true(ops_attr_ok(f->s, paths[i]).ino == ino[i]);
}

/* A file that was made before the time of its directory was set by hand is committed after. */
static void test_directory_time_by_hand(void **state)
{
	struct store_set set = { .which = STORE_SET_MTIME, .mtime = { 1234, 5 } };
	struct store_fixture *f = *state;
	struct node *n, *empty;

	fixture_open_store(f);
	ops_mkdir_ok(f->s, "d");
	assert_int_equal(ops_create(f->s, "d/a", OPS_FILE_MODE, &n), 0);
	assert_int_equal(ops_create(f->s, "d/e", OPS_FILE_MODE, &empty), 0);
	assert_int_equal(ops_setattr(f->s, "d", &set), 0);
	assert_int_equal(ops_commit(f->s, n, "value", NULL), 0);
	assert_int_equal(ops_commit(f->s, empty, "", NULL), 0);
	store_unpin(f->s, n, 1);
	store_unpin(f->s, empty, 1);
	assert_int_equal(ops_attr_ok(f->s, "d").mtime.tv_sec, 1234);
	fixture_reopen_store(f);
	assert_int_equal(ops_attr_ok(f->s, "d").mtime.tv_sec, 1234);
	assert_int_equal(ops_attr_ok(f->s, "d").mtime.tv_nsec, 5);
	ops_write_ok(f->s, "d/b", "1"); /* and the next entry changes it */
	assert_true(ops_attr_ok(f->s, "d").mtime.tv_sec > 1234);
	fixture_reopen_store(f);
	assert_true(ops_attr_ok(f->s, "d").mtime.tv_sec > 1234);
}

/* --- files without a name --- */

static int give_name(struct store_fixture *f, struct node *n, const char *name)
{
	return store_give_name(f->s, n,
			       &(struct store_name){ store_root(f->s), name, strlen(name) });
}

static void test_unnamed(void **state)
{
	struct store_fixture *f = *state;
	struct store_stats before, after;
	struct store_attr attr;
	struct node *n, *other;
	uint64_t end, ino, other_ino;

	fixture_open_store(f);
	ops_mkdir_ok(f->s, "d");
	ops_write_ok(f->s, "taken", "1");
	store_stats(f->s, &before);
	assert_int_equal(store_create_temporary(f->s, store_root(f->s),
						&(struct store_owner){ 02640, 7, 8 }, &n),
			 0);
	assert_int_equal(store_create_temporary(f->s, store_root(f->s),
						&(struct store_owner){ 0600, 7, 8 }, &other),
			 0);
	store_getattr(f->s, n, &attr);
	assert_int_equal(attr.link_count, 0);
	assert_int_equal(attr.mode, S_IFREG | 02640);
	assert_false(attr.committed);
	ino = attr.ino;
	store_getattr(f->s, other, &attr);
	other_ino = attr.ino;
	assert_true(ino != 0 && other_ino != 0 && other_ino != ino);
	/* A commit goes nowhere, and no name is taken or odd. */
	assert_int_equal(ops_commit(f->s, n, "value", NULL), 0);
	assert_int_equal(
		store_link(f->s, n, &(struct store_name){ store_root(f->s), "x", 1 }, &end),
		-ENOENT);
	assert_int_equal(give_name(f, n, "taken"), -EEXIST);
	store_stats(f->s, &after);
	assert_int_equal(after.log.end_position, before.log.end_position);
	assert_int_equal(after.files, before.files);
	/* A name that is taken back leaves it as it was. */
	assert_int_equal(give_name(f, n, "named"), 0);
	assert_int_equal(give_name(f, n, "again"), -EINVAL);
	assert_int_equal(ops_unlink(f->s, "named"), 0);
	assert_int_equal(give_name(f, n, "named"), 0);
	assert_int_equal(ops_commit(f->s, n, "value", NULL), 0);
	attr = ops_attr_ok(f->s, "named");
	assert_true(attr.ino == ino && attr.committed && attr.link_count == 1);
	assert_int_equal(give_name(f, n, "more"), -EINVAL);
	assert_int_equal(give_name(f, other, "other"), 0);
	assert_int_equal(ops_commit(f->s, other, "", NULL), 0);
	store_unpin(f->s, n, 1);
	store_unpin(f->s, other, 1);
	reopen_and_compare(f);
	assert_tree(f->s, "d d, f named=value, f other=, f taken=1");
	assert_true(ops_attr_ok(f->s, "other").ino == other_ino);
	attr = ops_attr_ok(f->s, "named");
	assert_true(attr.ino == ino);
	assert_int_equal(attr.mode, S_IFREG | 02640);
	assert_int_equal(attr.uid, 7);
}

static void test_unnamed_in_a_removed_directory(void **state)
{
	struct store_fixture *f = *state;
	struct node *dir, *n;

	fixture_open_store(f);
	ops_mkdir_ok(f->s, "d");
	ops_write_ok(f->s, "a", "1");
	dir = ops_find_ok(f->s, "d");
	assert_int_equal(store_create_temporary(f->s, dir, &(struct store_owner){ 0600, 0, 0 }, &n),
			 0);
	assert_int_equal(ops_rmdir(f->s, "d"), 0);
	assert_int_equal(store_give_name(f->s, n, &(struct store_name){ dir, "x", 1 }), -ENOENT);
	store_unpin(f->s, n, 1);
	assert_int_equal(store_create_temporary(f->s, dir, &(struct store_owner){ 0600, 0, 0 }, &n),
			 -ENOENT);
	store_unpin(f->s, dir, 1);
	dir = ops_find_ok(f->s, "a");
	assert_int_equal(store_create_temporary(f->s, dir, &(struct store_owner){ 0600, 0, 0 }, &n),
			 -ENOTDIR);
	store_unpin(f->s, dir, 1);
}

/* --- memory --- */

#define TIMED_FILES 20000

static uint64_t memory_bytes(struct store_fixture *f)
{
	struct keydir_stats stats;

	keydir_stats(store_parts(f->s).keydir, &stats);
	return stats.memory_bytes;
}

/* A file whose mtime was given takes the memory of any other file, before a remount, too. */
static void test_memory_of_times(void **state)
{
	const struct timespec then = { .tv_sec = 1000, .tv_nsec = 7 };
	const struct store_set set = { .which = STORE_SET_MTIME | STORE_SET_CTIME,
				       .mtime = then,
				       .ctime = then };
	struct store_fixture *f = *state;
	struct store_attr attr;
	struct node *n;
	uint64_t before;

	fixture_open_store(f);
	for (int i = 0; i < TIMED_FILES; i++) {
		assert_int_equal(ops_create(f->s, unit_path("file-%d", i), 0644, &n), 0);
		assert_int_equal(ops_commit(f->s, n, "value", &set), 0);
		store_unpin(f->s, n, 1);
	}
	before = memory_bytes(f);
	attr = ops_attr_ok(f->s, "file-1");
	assert_int_equal(attr.mtime.tv_sec, 1000);
	assert_int_equal(attr.ctime.tv_nsec, 7);
	fixture_reopen_store(f);
	assert_int_equal(ops_attr_ok(f->s, "file-1").ctime.tv_sec, 1000);
	assert_in_range(before, 1, memory_bytes(f) + 8 * TIMED_FILES);
}

#define TEST(name, fn)                                                      \
	{                                                                   \
		name, fn, store_fixture_setup, store_fixture_teardown, NULL \
	}

int main(void)
{
	static struct CMUnitTest tests[32] = {
		TEST("link: one content, one node, many names", test_link),
		TEST("link and rename", test_link_and_rename),
		TEST("exchange of a second name", test_exchange_of_a_second_name),
		TEST("link refused", test_link_refused),
		TEST("target of a symlink: limits", test_target_limits),
		TEST("a directory counts its subdirectories", test_subdirectories_count),
		TEST("xattrs", test_xattrs),
		TEST("xattrs before the commit", test_xattrs_before_the_commit),
		TEST("xattrs: limits", test_xattr_limits),
		TEST("many links", test_many_links),
		TEST("xattrs: bytes of the log", test_xattr_log_bytes),
		TEST("xattrs: of an old log", test_xattrs_of_an_old_log),
		TEST("xattrs: golden log", test_golden_xattrs),
		TEST("inode numbers stay over a reopen", test_inode_numbers_stay),
		TEST("time of a directory, set by hand", test_directory_time_by_hand),
		TEST("a file without a name", test_unnamed),
		TEST("a file without a name and a directory that goes",
		     test_unnamed_in_a_removed_directory),
		TEST("memory of given times", test_memory_of_times),
	};
	size_t count = 0;

	while (tests[count].name != NULL)
		count++;
	for (size_t i = 0; i < ARRAY_SIZE(special_cases); i++)
		tests[count++] = (struct CMUnitTest){ special_cases[i].name, test_special,
						      store_fixture_setup, store_fixture_teardown,
						      (void *)(uintptr_t)&special_cases[i] };
	return unit_run("store_nodes", tests, count);
}
