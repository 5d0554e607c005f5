/* SPDX-License-Identifier: MIT */
/* The tree of an import: which entries of an archive a store gets, and under which names; and the
 * order of an export. */
#include "tests/unit/store_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "codec/path.h"
#include "codec/xattrs.h"
#include "mount-helpers/freyjactl/export_order.h"
#include "tests/sim/archives.h"
#include "tests/sim/tree.h"
#include "tests/unit/store_ops.h"

#define ROWS_MAX 8
#define NAME_256                                                           \
	"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn" \
	"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn" \
	"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn" \
	"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"

/* --- entries --- */

static char long_value[XATTRS_SET_BYTES_MAX + 1]; /* of an xattr that no node can have */

static const struct import_case {
	const char *name, *into;
	struct archive_row rows[ROWS_MAX];
	int errors[ROWS_MAX]; /* of each entry */
	const char *want;     /* names with their types */
} cases[] = {
	{ "a file whose directories are missing",
	  "",
	  { { 'f', "a/b/c" } },
	  { 0 },
	  "da da/b fa/b/c" },
	{ "dots and slashes",
	  "",
	  { { 'f', "./x//y" }, { 'd', "./" }, { 'f', "x/./z" } },
	  { 0 },
	  "dx fx/y fx/z" },
	{ "an absolute name", "", { { 'f', "/abs" } }, { 0 }, "fabs" },
	{ "into a directory",
	  "a/b",
	  { { 'f', "/../c" }, { 'f', "c" } },
	  { -EINVAL },
	  "da da/b fa/b/c" },
	{ "a name that leads up",
	  "",
	  { { 'f', "d/../x" }, { 'd', ".." }, { 'f', "y" } },
	  { -EINVAL, -EINVAL },
	  "dd fy" },
	{ "a name through a symlink",
	  "",
	  { { 'l', "l", "." }, { 'f', "l/x" }, { 'd', "l" }, { 'h', "h", "l/x" } },
	  { 0, -ENOTDIR, -ENOTDIR, -ENOTDIR },
	  "ll" },
	{ "a name that is too long",
	  "",
	  { { 'f', NAME_256 }, { 'f', "x/" NAME_256 "/y" } },
	  { -ENAMETOOLONG, -EINVAL },
	  "dx" },
	{ "files and directories in each other's place",
	  "",
	  { { 'f', "f" }, { 'd', "d" }, { 'd', "f" }, { 'f', "d" }, { 'f', "f/x" }, { 'd', "d" } },
	  { 0, 0, -ENOTDIR, -EISDIR, -ENOTDIR },
	  "ff dd" },
	{ "the directory of the import as a file",
	  "a",
	  { { 'f', "." }, { 'f', "x" } },
	  { -EISDIR },
	  "da fa/x" },
	{ "links",
	  "",
	  { { 'f', "a", NULL, 5 },
	    { 'h', "b", "a" },
	    { 'h', "b", "./a" },
	    { 'h', "c", "x" },
	    { 'l', "a", "z" },
	    { 'd', "d" },
	    { 'h', "e", "d" } },
	  { 0, 0, 0, -ENOENT, 0, 0, -EPERM },
	  "la fb dd" },
	{ "files take the place of others",
	  "",
	  { { 'f', "a", NULL, 5 },
	    { 'f', "a", NULL, 9 },
	    { 'l', "l", "a" },
	    { 'f', "l", NULL, 3 },
	    { 'p', "l" },
	    { 'p', "p" },
	    { 'h', "p", "a" } },
	  { 0 },
	  "fa pl fp" },
	{ "the temporary name of an import that was killed",
	  "",
	  { { 'f', IMPORT_TEMPORARY_NAME, NULL, 4 }, { 'f', "a", NULL, 4 }, { 'f', "a", NULL, 5 } },
	  { 0 },
	  "fa" },
	{ "files of all sizes",
	  "",
	  { { 'f', "0" },
	    { 'f', "1", NULL, 1 },
	    { 'f', "m", NULL, 1 << 20 },
	    { 'f', "n", NULL, (1 << 20) + 1 },
	    { 'f', "n", NULL, 3000000 } },
	  { 0 },
	  "f0 f1 fm fn" },
	{ "attributes of all types",
	  "",
	  { { 'f', "f", NULL, 3, "x" }, { 'd', "d", NULL, 0, "y" }, { 'p', "p" }, { 'd', "." } },
	  { 0 },
	  "ff dd pp" },
	{ "attributes that are too large",
	  "",
	  { { 'f', "f", NULL, 3, long_value },
	    { 'p', "p", NULL, 0, long_value },
	    { 'f', "q", NULL, 3 },
	    { 'p', "q", NULL, 0, long_value },
	    { 'd', "d", NULL, 0, long_value },
	    { 'f', "z" } },
	  { -E2BIG, -E2BIG, 0, -E2BIG, -E2BIG },
	  "fq dd fz" },
};

/* Prints the names of a tree with the types of their nodes. */
static void print_names(struct store *s, struct node *dir, const char *above, FILE *out);

struct printing {
	struct store *s;
	const char *above;
	FILE *out;
	char *dirs[ROWS_MAX]; /* paths, to be printed when the listing has ended */
	size_t dir_count;
};

static int print_name(void *arg, const struct store_dirent *e)
{
	struct printing *p = arg;
	char *path;

	if (asprintf(&path, "%s%.*s", p->above, (int)e->name_bytes, e->name) < 0)
		abort();
	fprintf(p->out, " %c%s",
		S_ISDIR(e->attr.mode)	? 'd'
		: S_ISLNK(e->attr.mode) ? 'l'
		: S_ISREG(e->attr.mode) ? 'f'
					: 'p',
		path);
	if (S_ISDIR(e->attr.mode))
		p->dirs[p->dir_count++] = path;
	else
		free(path);
	return 0;
}

static void print_names(struct store *s, struct node *dir, const char *above, FILE *out)
{
	struct printing p = { .s = s, .above = above, .out = out };

	assert_int_equal(store_list(s, dir, 0, print_name, &p), 0);
	for (size_t i = 0; i < p.dir_count; i++) {
		struct node *n = ops_find_ok(s, p.dirs[i]);

		print_names(s, n, unit_path("%s/", p.dirs[i]), out);
		store_unpin(s, n, 1);
		free(p.dirs[i]);
	}
}

static void assert_names(struct store *s, const char *want)
{
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	assert_non_null(out);
	print_names(s, store_root(s), "", out);
	assert_int_equal(fclose(out), 0);
	assert_string_equal(bytes > 0 ? text + 1 : "", want);
	free(text);
}

/* The content and the attributes of the last row that has a path. */
static void assert_row(struct store *s, const char *into, const struct archive_row *row,
		       uint64_t number)
{
	const char *path = into[0] == '\0' ? row->path : unit_path("%s/%s", into, row->path);
	struct store_attr attr = ops_attr_ok(s, path);
	struct node *n = ops_find_ok(s, path);
	uint8_t *want = malloc((size_t)row->value_bytes + 1);
	uint8_t *got = malloc((size_t)row->value_bytes + 1);
	char xattr[8] = "";

	assert_true(want != NULL && got != NULL);
	assert_int_equal(attr.uid, 7);
	assert_int_equal(attr.gid, 8);
	assert_int_equal(attr.mtime.tv_sec, ARCHIVE_MTIME);
	assert_int_equal(attr.mode & 07777, row->type == 'd' ? 0750 : 0640);
	if (row->type == 'f') {
		tree_fill(want, row->value_bytes, number);
		assert_int_equal(store_read(s, n, got, (size_t)row->value_bytes + 1, 0),
				 row->value_bytes);
		assert_memory_equal(got, want, row->value_bytes);
	}
	if (row->xattr != NULL) {
		assert_int_equal(store_getxattr(s, n, "user.a", xattr, sizeof(xattr)),
				 strlen(row->xattr));
		assert_string_equal(xattr, row->xattr);
	}
	store_unpin(s, n, 1);
	free(want);
	free(got);
}

/* Returns whether a later row without an error has the same path. */
static bool is_replaced(const struct import_case *c, size_t row)
{
	for (size_t i = row + 1; i < ROWS_MAX && c->rows[i].type != 0; i++)
		if (c->errors[i] == 0 && (strcmp(c->rows[i].path, c->rows[row].path) == 0))
			return true;
	return false;
}

/* Returns whether the path of a row is also the one in the store. */
static bool is_plain(const char *path)
{
	return path_ok(path, strlen(path)) && strcmp(path, IMPORT_TEMPORARY_NAME) != 0;
}

static void assert_rows(struct store *s, const struct import_case *c)
{
	for (size_t i = 0; i < ROWS_MAX && c->rows[i].type != 0; i++)
		if (c->errors[i] == 0 && c->rows[i].type != 'h' && !is_replaced(c, i) &&
		    is_plain(c->rows[i].path))
			assert_row(s, c->into, &c->rows[i], i);
}

struct outcome {
	const struct import_case *c;
	size_t entries;
};

static void compare_error(void *arg, uint64_t entry, int err)
{
	struct outcome *o = arg;

	if (err != o->c->errors[entry])
		fail_msg("entry %d: %d and not %d", (int)entry, err, o->c->errors[entry]);
	o->entries++;
}

/* The entries have their errors, and the tree is the same before and after a replay. */
static void test_entries(void **state)
{
	struct store_fixture *f = *state;
	struct outcome o = { .c = f->row };
	const struct archive_watch watch = { .arg = &o, .after = compare_error };
	struct archive_bytes archive = archive_make(o.c->rows);
	size_t rows = 0;

	while (rows < ROWS_MAX && o.c->rows[rows].type != 0)
		rows++;
	fixture_open_store(f);
	assert_int_equal(archive_import(f->s, &archive, o.c->into, &watch), 0);
	assert_int_equal(o.entries, rows);
	assert_names(f->s, o.c->want);
	assert_rows(f->s, o.c);
	fixture_reopen_store(f);
	assert_names(f->s, o.c->want);
	assert_rows(f->s, o.c);
	free(archive.data);
}

/* A directory has the time of the archive, whatever was put into it afterwards. */
static void test_times_of_directories(void **state)
{
	static const struct archive_row rows[] = { { 'd', "." },   { 'd', "d" },     { 'f', "d/x" },
						   { 'd', "d/e" }, { 'f', "d/e/y" }, { 'f', "z" },
						   { 0 } };
	static const struct import_case none = { .errors = { 0 } };
	struct store_fixture *f = *state;
	struct outcome o = { .c = &none };
	const struct archive_watch watch = { .arg = &o, .after = compare_error };
	struct archive_bytes archive = archive_make(rows);

	fixture_open_store(f);
	assert_int_equal(archive_import(f->s, &archive, "", &watch), 0);
	fixture_reopen_store(f);
	for (size_t i = 0; rows[i].type != 0; i++) {
		const char *path = rows[i].path[0] == '.' ? "" : rows[i].path;

		assert_int_equal(ops_attr_ok(f->s, path).mtime.tv_sec, ARCHIVE_MTIME);
		assert_int_equal(ops_attr_ok(f->s, path).ctime.tv_sec, ARCHIVE_MTIME);
	}
	free(archive.data);
}

/* An archive that ends inside an entry gives an error, and the file of that entry is not made. */
static void test_cut_archive(void **state)
{
	static const struct archive_row rows[] = { { 'f', "a", NULL, 700 },
						   { 'f', "b", NULL, 2000 },
						   { 'f', "c", NULL, 3000000 },
						   { 0 } };
	static const struct {
		size_t bytes; /* of the archive */
		const char *want;
	} cuts[] = { { 512 + 1024 + 512 + 600, "fa" },
		     { 512 + 1024 + 512 + 2048 + 512 + 2000000, "fa fb" } };
	struct store_fixture *f = *state;
	struct archive_bytes archive = archive_make(rows);

	for (size_t i = 0; i < ARRAY_SIZE(cuts); i++) {
		struct import_case c = { .errors = { 0 } };
		struct outcome o = { .c = &c };
		const struct archive_watch watch = { .arg = &o, .after = compare_error };
		struct archive_bytes cut = { archive.data, cuts[i].bytes };

		c.errors[i + 1] = -EBADMSG; /* the last one that is read */
		fixture_open_store(f);
		assert_int_equal(archive_import(f->s, &cut, "", &watch), -EBADMSG);
		assert_names(f->s, cuts[i].want);
		fixture_reopen_store(f);
		assert_names(f->s, cuts[i].want);
		fixture_close_store(f);
	}
	free(archive.data);
}

/* --- the order of an export --- */

#define FILES 50

static const size_t passes[] = { 1, 2, 7, FILES - 1, FILES, 1000 };

/* Each file comes once, in the order of the log, whatever fits into a pass. */
static void test_order(void **state)
{
	struct store_fixture *f = *state;
	struct node *nodes[FILES], *n;
	struct export_order *o;

	fixture_open_store(f);
	for (size_t i = 0; i < FILES; i++) /* 0, 3, 6, ... are empty or written anew */
		ops_write_ok(f->s, unit_path("f%zu", i), i % 6 == 3 ? "" : "first");
	for (size_t i = 0; i < FILES; i += 6)
		ops_write_ok(f->s, unit_path("f%zu", (i * 7) % FILES), "second");
	for (size_t i = 0; i < FILES; i++)
		nodes[i] = ops_find_ok(f->s, unit_path("f%zu", i));
	for (size_t p = 0; p < ARRAY_SIZE(passes); p++) {
		bool seen[FILES] = { false };
		uint64_t last = 0;
		size_t count = 0;

		assert_int_equal(export_order_new(f->s, passes[p], &o), 0);
		do {
			for (size_t i = 0; i < FILES; i++)
				export_order_add(o, nodes[i]);
			while ((n = export_order_next(o)) != NULL) {
				assert_true(store_position(f->s, n) >= last);
				last = store_position(f->s, n);
				for (size_t i = 0; i < FILES; i++) {
					assert_false(seen[i] && nodes[i] == n);
					seen[i] |= nodes[i] == n;
				}
				count++;
			}
		} while (export_order_again(o));
		assert_int_equal(count, FILES);
		assert_true(last > 0);
		export_order_free(o);
	}
	for (size_t i = 0; i < FILES; i++)
		store_unpin(f->s, nodes[i], 1);
}

#define TEST(name, fn)                                                      \
	{                                                                   \
		name, fn, store_fixture_setup, store_fixture_teardown, NULL \
	}

int main(void)
{
	static struct CMUnitTest tests[ARRAY_SIZE(cases) + 3] = {
		TEST("import: times of directories", test_times_of_directories),
		TEST("import: an archive that is cut", test_cut_archive),
		TEST("export: the order of the log", test_order),
	};

	memset(long_value, 'v', sizeof(long_value) - 1);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		tests[3 + i] =
			(struct CMUnitTest){ unit_name("import: %s", cases[i].name), test_entries,
					     store_fixture_setup, store_fixture_teardown,
					     (void *)(uintptr_t)&cases[i] };
	return unit_run("import", tests, ARRAY_SIZE(tests));
}
