/* SPDX-License-Identifier: MIT */
/* Long and deep paths: no rename makes one that can neither be used nor removed, and a log that has
 * such paths, or keys that would make very many directories, can be opened and used. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "codec/path.h"
#include "tests/unit/store_fixture.h"
#include "tests/unit/store_ops.h"
#include "tests/unit/unit.h"
#include "writer/history.h"

#define NAME_BYTES  200
#define LEVELS	    170 /* of a chain of such names: more than half of the longest path */
#define DEEP_LEVELS (PATH_KEY_LEVELS_MAX + 1)

/* "TOP/nnn/nnn": 'levels' names of 'name_bytes' each behind the first.  The caller frees it. */
static char *chain(const char *top, size_t levels, size_t name_bytes)
{
	char *path = malloc(strlen(top) + levels * (name_bytes + 1) + 1), *end;

	assert_non_null(path);
	end = stpcpy(path, top);
	for (size_t i = 0; i < levels; i++) {
		*end++ = '/';
		memset(end, 'n', name_bytes);
		end += name_bytes;
	}
	*end = '\0';
	return path;
}

/* The caller frees it. */
static char *joined(const char *a, const char *between, const char *b)
{
	char *path = malloc(strlen(a) + strlen(between) + strlen(b) + 1);

	assert_non_null(path);
	(void)stpcpy(stpcpy(stpcpy(path, a), between), b);
	return path;
}

/* Makes all directories of a path. */
static void make_dirs(struct store *s, char *path)
{
	for (char *slash = path; slash != NULL;) {
		slash = strchr(slash + 1, '/');
		if (slash != NULL)
			*slash = '\0';
		ops_mkdir_ok(s, path);
		if (slash != NULL)
			*slash = '/';
	}
}

static void rename_is(struct store *s, const char *from, const char *to, unsigned int flags,
		      int want)
{
	uint64_t end = store_end(s);

	assert_int_equal(ops_rename(s, from, to, flags), want);
	if (want < 0)
		assert_int_equal(store_end(s), end);
}

static void test_rename(void **state)
{
	struct store_fixture *f = *state;
	char *a = chain("A", LEVELS, NAME_BYTES), *b = chain("B", LEVELS, NAME_BYTES);
	char *leaf = joined(a, "/", "leaf"), *in_b = joined(b, "/", "A"), *x = joined(b, "/", "x");
	struct node *n;

	fixture_open_store(f);
	make_dirs(f->s, a);
	make_dirs(f->s, b);
	ops_write_ok(f->s, leaf, "data");
	rename_is(f->s, "A", in_b, 0, -ENAMETOOLONG);
	ops_mkdir_ok(f->s, x);
	rename_is(f->s, "A", x, 0, -ENAMETOOLONG);
	rename_is(f->s, "A", x, RENAME_EXCHANGE, -ENAMETOOLONG);
	rename_is(f->s, x, "A", RENAME_EXCHANGE, -ENAMETOOLONG);
	ops_write_ok(f->s, leaf, "changed");
	/* Once the long paths are removed the rename works. */
	assert_int_equal(ops_unlink(f->s, leaf), 0);
	for (size_t i = LEVELS; i > 10; i--) {
		assert_int_equal(ops_rmdir(f->s, a), 0);
		*strrchr(a, '/') = '\0';
	}
	rename_is(f->s, "A", in_b, 0, 0);
	fixture_reopen_store(f);
	assert_int_equal(ops_find(f->s, in_b, &n), 0);
	store_unpin(f->s, n, 1);
	rename_is(f->s, in_b, "A", 0, 0);
	free(a);
	free(b);
	free(leaf);
	free(in_b);
	free(x);
}

/* Paths that a rename or a replay has put below a directory count as well. */
static void test_rename_of_what_was_moved(void **state)
{
	struct store_fixture *f = *state;
	char *a = chain("A", LEVELS, NAME_BYTES), *b = chain("B", LEVELS, NAME_BYTES);
	char *in_b = joined(b, "/", "T");

	fixture_open_store(f);
	make_dirs(f->s, a);
	make_dirs(f->s, b);
	ops_mkdir_ok(f->s, "T");
	ops_mkdir_ok(f->s, "U");
	rename_is(f->s, "A", "T/A", 0, 0);
	rename_is(f->s, "T", in_b, 0, -ENAMETOOLONG);
	fixture_reopen_store(f);
	rename_is(f->s, "T", in_b, 0, -ENAMETOOLONG);
	rename_is(f->s, "T/A", "U", RENAME_EXCHANGE, 0);
	rename_is(f->s, "U", in_b, 0, -ENAMETOOLONG);
	rename_is(f->s, "T", in_b, 0, 0);
	free(a);
	free(b);
	free(in_b);
}

static void test_levels(void **state)
{
	struct store_fixture *f = *state;
	char *deep = chain("d", PATH_LEVELS_MAX - 1, 1), *more = joined(deep, "/", "more");
	char *ten = chain("t", 9, 1);

	fixture_open_store(f);
	make_dirs(f->s, deep);
	assert_int_equal(ops_mkdir(f->s, more), -ENAMETOOLONG);
	ops_write_ok(f->s, more, "a file");
	make_dirs(f->s, ten);
	*strrchr(more, '/') = '\0';
	memcpy(strrchr(more, '/'), "/x", sizeof("/x")); /* beside the last directory */
	rename_is(f->s, "t", more, 0, -ENAMETOOLONG);
	for (int i = 0; i < 9; i++)
		*strrchr(more, '/') = '\0';
	memcpy(strrchr(more, '/'), "/x", sizeof("/x"));
	rename_is(f->s, "t", more, 0, 0);
	free(deep);
	free(more);
	free(ten);
}

struct first {
	struct node *node;
	char name[PATH_NAME_BYTES_MAX + 1];
	bool is_dir;
};

static int take_first(void *arg, const struct store_dirent *e)
{
	struct first *first = arg;

	store_pin_in_list(e->node);
	first->node = e->node;
	first->is_dir = S_ISDIR(e->attr.mode);
	memcpy(first->name, e->name, e->name_bytes);
	first->name[e->name_bytes] = '\0';
	return 1;
}

/* Removes all that is in a directory; returns how much that was. */
static size_t remove_below(struct store *s, struct node *dir)
{
	size_t removed = 0;
	struct first first;
	uint64_t end;

	while (store_list(s, dir, 0, take_first, &first) == 1) {
		if (first.is_dir)
			removed += remove_below(s, first.node);
		store_unpin(s, first.node, 1);
		assert_int_equal(first.is_dir
					 ? store_rmdir(s,
						       &(struct store_name){ dir, first.name,
									     strlen(first.name) },
						       &end)
					 : store_unlink(s,
							&(struct store_name){ dir, first.name,
									      strlen(first.name) },
							&end),
				 0);
		removed++;
	}
	return removed;
}

/* A log in which an earlier version has moved A to the bottom of B. */
static void test_old_log(void **state)
{
	struct store_fixture *f = *state;
	char *a = chain("A", LEVELS, NAME_BYTES), *b = chain("B", LEVELS, NAME_BYTES);
	char *leaf = joined("p:", a, "/leaf=data "), *dir = joined("D:", b, " ");
	char *both = joined(leaf, dir, "m:A>"), *in_b = joined(b, "/A", ""), *first, *words;
	struct store_stats stats;
	struct unit_file log;

	/* A key makes no directories that deep, so the first one is made before it. */
	first = joined("D:", a, " ");
	words = joined(first, both, in_b);
	log = make_log(words);
	plant_log(f, log.data, log.bytes);
	fixture_open_store(f);
	store_stats(f->s, &stats);
	assert_int_equal(stats.moved_directories, 1);
	assert_int_equal(stats.directories, 2 * (LEVELS + 1));
	assert_int_equal(stats.files, 1);
	fixture_reopen_store(f);
	store_stats(f->s, &stats);
	assert_int_equal(stats.moved_directories, 0);
	assert_int_equal(remove_below(f->s, store_root(f->s)), 2 * (LEVELS + 1) + 1);
	fixture_reopen_store(f);
	assert_tree(f->s, "");
	free(a);
	free(b);
	free(leaf);
	free(dir);
	free(both);
	free(in_b);
	free(first);
	free(words);
	free(log.data);
}

/* --- keys that would make many directories --- */

static void check_figures(struct store_fixture *f, uint64_t files, uint64_t directories,
			  uint64_t unnamed_keys)
{
	struct store_stats stats;

	store_stats(f->s, &stats);
	assert_int_equal(stats.files, files);
	assert_int_equal(stats.directories, directories);
	assert_int_equal(stats.unnamed_keys, unnamed_keys);
}

static void open_words(struct store_fixture *f, const char *words)
{
	struct unit_file log = make_log(words);

	plant_log(f, log.data, log.bytes);
	fixture_open_store(f);
	free(log.data);
}

static void test_deep_keys(void **state)
{
	struct store_fixture *f = *state;
	char *most = chain("a", PATH_KEY_LEVELS_MAX - 1, 1), *deep = chain("b", DEEP_LEVELS - 1, 1);
	char *longest = chain("c", 32000, 1), *more;
	char *first = joined("p:", most, "=1 p:"), *second = joined(first, deep, "=2 p:");
	char *words = joined(second, longest, "=3");
	void *value;
	size_t bytes;

	open_words(f, words);
	check_figures(f, 1, PATH_KEY_LEVELS_MAX - 1, 2);
	assert_int_equal(store_get(f->s, longest, strlen(longest), &value, &bytes), 0);
	assert_int_equal(bytes, 1);
	free(value);
	/* Below a directory that is there a key is a file. */
	*strrchr(most, '/') = '\0';
	more = joined(most, "/", "more");
	ops_mkdir_ok(f->s, more);
	assert_int_equal(store_put(f->s, deep, strlen(deep), "22", 2, NULL), 0);
	free(most);
	most = joined(more, "/", "file");
	assert_int_equal(store_put(f->s, most, strlen(most), "4", 1, NULL), 0);
	check_figures(f, 2, PATH_KEY_LEVELS_MAX, 2);
	fixture_reopen_store(f);
	check_figures(f, 2, PATH_KEY_LEVELS_MAX, 2);
	assert_int_equal(store_delete(f->s, deep, strlen(deep)), 0);
	fixture_reopen_store(f);
	check_figures(f, 2, PATH_KEY_LEVELS_MAX, 1);
	free(most);
	free(deep);
	free(longest);
	free(first);
	free(second);
	free(words);
	free(more);
}

/* A file that a rename brings to the path of such a key supersedes it. */
static void test_rename_to_a_deep_key(void **state)
{
	struct store_fixture *f = *state;
	char *deep = chain("b", DEEP_LEVELS - 1, 1), *dir = chain("b", DEEP_LEVELS - 2, 1);

	fixture_open_store(f);
	assert_int_equal(store_put(f->s, deep, strlen(deep), "1", 1, NULL), 0);
	check_figures(f, 0, 0, 1);
	make_dirs(f->s, dir);
	ops_write_ok(f->s, "x", "2");
	check_figures(f, 1, DEEP_LEVELS - 1, 1);
	rename_is(f->s, "x", deep, 0, 0);
	check_figures(f, 1, DEEP_LEVELS - 1, 0);
	fixture_reopen_store(f);
	check_figures(f, 1, DEEP_LEVELS - 1, 0);
	free(deep);
	free(dir);
}

/* An earlier version has made a file of such a key, and its records are about that. */
static void test_deep_keys_of_an_old_log(void **state)
{
	struct store_fixture *f = *state;
	static const struct {
		const char *before, *behind; /* the path */
		uint64_t directories;
	} cases[] = {
		{ "K:", "", DEEP_LEVELS - 1 },
		{ "l:", ">x", DEEP_LEVELS - 1 },
		{ "m:", ">x", 0 },
		{ "Q:", "=0,1", DEEP_LEVELS - 1 },
		{ "m:b>x/y t:", "", DEEP_LEVELS },
	};
	char *deep = chain("b", DEEP_LEVELS - 1, 1);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *put = joined("p:", deep, "=value p:b2=1 ");
		char *change = joined(cases[i].before, deep, cases[i].behind);
		char *words = joined(put, change, "");

		open_words(f, words);
		check_figures(f, 2, cases[i].directories, 0);
		fixture_close_store(f);
		unit_tmpdir_remove(strdup(f->data_dir));
		free(put);
		free(change);
		free(words);
	}
	free(deep);
}

static int count_names(void *arg, const struct history_entry *e)
{
	*(int *)arg += e->name != NULL;
	return 0;
}

/* A look at the history makes no directories for them either. */
static void test_deep_keys_in_history(void **state)
{
	struct store_fixture *f = *state;
	char *deep = chain("b", DEEP_LEVELS - 1, 1), *words = joined("p:a=1 p:", deep, "=2");
	const struct history_config config = { .dir_path = f->data_dir };
	struct history *h;
	int names = 0;

	open_words(f, words);
	assert_int_equal(history_open(&config, &h, NULL), 0);
	assert_int_equal(history_list(h, "", 0, count_names, &names), 0);
	assert_int_equal(names, 1);
	history_close(h);
	free(deep);
	free(words);
}

int main(void)
{
#define TEST(name, test)                                                      \
	{                                                                     \
		name, test, store_fixture_setup, store_fixture_teardown, NULL \
	}
	static const struct CMUnitTest tests[] = {
		TEST("rename", test_rename),
		TEST("rename of what was moved", test_rename_of_what_was_moved),
		TEST("levels", test_levels),
		TEST("too long paths of an old log", test_old_log),
		TEST("deep keys", test_deep_keys),
		TEST("rename to a deep key", test_rename_to_a_deep_key),
		TEST("deep keys of an old log", test_deep_keys_of_an_old_log),
		TEST("deep keys in the history", test_deep_keys_in_history),
	};

	return unit_run("long_paths", tests, ARRAY_SIZE(tests));
}
