/* SPDX-License-Identifier: MIT */
/* Replay (docs/FORMAT.md, section 5): which tree a log gives, and which logs are refused. */
#include "tests/unit/store_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/meta.h"
#include "writer/index/entries.h"
#include "writer/index/keydir.h"
#include "writer/index/replay.h"

#define ROWS_MAX 256

static struct CMUnitTest rows[ROWS_MAX];
static size_t row_count;

static void add_test(const char *name, CMUnitTestFunction fn, const void *row)
{
	if (row_count == ROWS_MAX)
		abort();
	rows[row_count++] = (struct CMUnitTest){ name, fn, store_fixture_setup,
						 store_fixture_teardown, (void *)(uintptr_t)row };
}

/* --- logs and their trees --- */

static const struct tree_case {
	const char *name;
	const char *log;
	const char *tree;
	const char *unnamed; /* words "key=value" */
} tree_cases[] = {
	{ "empty log", "", "", "" },
	{ "one put", "p:a=1", "f a=1", "" },
	{ "put again", "p:a=1 p:a=2 p:a=3", "f a=3", "" },
	{ "two files", "p:b=1 p:a=2", "f a=2, f b=1", "" },
	{ "tombstone", "p:a=1 t:a", "", "" },
	{ "tombstone of nothing", "t:a", "", "" },
	{ "tombstone of something else", "p:a=1 t:b t:a/c", "f a=1", "" },
	{ "put after a tombstone", "p:a=1 t:a p:a=2", "f a=2", "" },
	{ "directories on the way", "p:a/b/c=1", "d a, d a/b, f a/b/c=1", "" },
	{ "directories go with their last key", "p:a/b/c=1 t:a/b/c", "", "" },
	{ "directories stay with another key", "p:a/b/c=1 p:a/d=2 t:a/b/c", "d a, f a/d=2", "" },
	{ "explicit directory", "D:a", "d a", "" },
	{ "explicit directory below others", "D:a/b/c", "d a, d a/b, d a/b/c", "" },
	{ "explicit directory stays empty", "D:a p:a/b=1 t:a/b", "d a", "" },
	{ "directory made explicit stays", "p:a/b=1 D:a t:a/b", "d a", "" },
	{ "tombstone of an empty directory", "D:a t:a", "", "" },
	{ "tombstone of a directory with something in it", "p:a/b=1 t:a", "d a, f a/b=1", "" },
	{ "tombstone of an explicit one with something", "D:a p:a/b=1 t:a", "d a, f a/b=1", "" },
	{ "removal of an empty one goes upwards", "p:a/b/c=1 D:a/b/d t:a/b/c t:a/b/d", "", "" },
	{ "empty file", "E:a", "f a=", "" },
	{ "empty file below a directory", "E:a/b", "d a, f a/b=", "" },
	{ "file made empty", "p:a=1 E:a", "f a=", "" },
	{ "empty file gets a value", "E:a p:a=1", "f a=1", "" },
	{ "empty file removed", "E:a t:a", "", "" },
	{ "attr keeps the content", "p:a=1 K:a", "f a=1", "" },
	{ "attr of the root", "D: p:a=1", "f a=1", "" },

	{ "move of a file", "p:a=1 m:a>b", "f b=1", "" },
	{ "move onto a file", "p:a=1 p:b=2 m:a>b", "f b=1", "" },
	{ "move of an empty file", "E:a m:a>b", "f b=", "" },
	{ "move into a directory", "p:a=1 D:d m:a>d/a", "d d, f d/a=1", "" },
	{ "move into a directory not yet there", "p:a=1 m:a>d/e/a", "d d, d d/e, f d/e/a=1", "" },
	{ "move of a directory", "p:a/b/c=1 m:a>x", "d x, d x/b, f x/b/c=1", "" },
	{ "move onto an empty directory", "p:a/b=1 D:x m:a>x", "d x, f x/b=1", "" },
	{ "move takes the last entry", "p:a/b=1 m:a/b>c", "f c=1", "" },
	{ "move takes the last entry of an explicit one", "D:a p:a/b=1 m:a/b>c", "d a, f c=1", "" },
	{ "move takes the last entry of two", "p:a/b/c=1 m:a/b/c>d", "f d=1", "" },
	{ "move of a directory takes the last entry", "p:a/b/c=1 m:a/b>x", "d x, f x/c=1", "" },
	{ "move up within itself", "p:a/a/f=1 m:a/a>b", "d b, f b/f=1", "" },
	{ "put under the old name after a move", "p:a=1 m:a>b p:a=2", "f a=2, f b=1", "" },
	{ "put under the new directory name", "p:a/b=1 m:a>x p:x/b=2", "d x, f x/b=2", "" },
	{ "move there and back", "p:a/b=1 m:a>x m:x>a", "d a, f a/b=1", "" },
	{ "exchange of files", "p:a=1 p:b=2 x:a>b", "f a=2, f b=1", "" },
	{ "exchange of file and directory", "p:a=1 p:d/f=2 x:a>d", "d a, f a/f=2, f d=1", "" },
	{ "exchange of directories", "p:a/f=1 p:b/g=2 x:a>b", "d a, f a/g=2, d b, f b/f=1", "" },
	{ "exchange across directories", "p:a/f=1 p:b/g=2 x:a/f>b/g", "d a, f a/f=2, d b, f b/g=1",
	  "" },

	{ "group of directory and file", "+D:a +E:a/b p:c=1", "d a, f a/b=, f c=1", "" },
	{ "group: attr before the put it is for", "+K:a p:a=1", "f a=1", "" },
	{ "group: parent kept, entry removed", "p:a/b=1 +D:a t:a/b", "d a", "" },
	{ "group: parent kept, entry moved", "p:a/b=1 +D:a m:a/b>c", "d a, f c=1", "" },
	{ "group: move, then the parent kept", "p:a/b=1 +m:a/b>c D:a", "d a, f c=1", "" },
	{ "group: attr of a directory that moves", "p:a/x=1 +D:a m:a>b p:a=2", "d a, d b, f b/x=1",
	  "a=2" },

	{ "key with an empty component", "p:a//b=1", "", "a//b=1" },
	{ "key with a dot", "p:./a=1", "", "./a=1" },
	{ "key with two dots", "p:odd/../name=1 p:a=2", "f a=2", "odd/../name=1" },
	{ "key that ends in a slash", "p:a/=1", "", "a/=1" },
	{ "key that begins with a slash", "p:/a=1", "", "/a=1" },
	{ "unnameable key again", "p:/a=1 p:/a=2", "", "/a=2" },
	{ "unnameable key removed", "p:/a=1 p:/b=2 t:/a", "", "/b=2" },
	{ "key that is a directory of another", "p:a=1 p:a/b=2", "d a, f a/b=2", "a=1" },
	{ "the same the other way round", "p:a/b=2 p:a=1", "d a, f a/b=2", "a=1" },
	{ "three deep", "p:a=1 p:a/b=2 p:a/b/c=3", "d a, d a/b, f a/b/c=3", "a=1 a/b=2" },
	{ "three deep and back", "p:a=1 p:a/b=2 p:a/b/c=3 t:a/b/c", "d a, f a/b=2", "a=1" },
	{ "three deep and all the way back", "p:a=1 p:a/b=2 p:a/b/c=3 t:a/b/c t:a/b", "f a=1", "" },
	{ "hidden key is put", "p:a=1 p:a/b=2 p:a=3", "d a, f a/b=2", "a=3" },
	{ "hidden key is removed", "p:a=1 p:a/b=2 t:a", "d a, f a/b=2", "" },
	{ "hidden key comes back", "p:a=1 p:a/b=2 t:a/b", "f a=1", "" },
	{ "hidden key comes back with its last value", "p:a/b=2 p:a=1 p:a=3 t:a/b", "f a=3", "" },
	{ "hidden key comes back when its directory moves", "p:a=1 p:a/b=2 m:a>c",
	  "f a=1, d c, f c/b=2", "" },
	{ "hidden key comes back when its entry moves", "p:a=1 p:a/b=2 m:a/b>c", "f a=1, f c=2",
	  "" },
	{ "hidden key is superseded by an exchange", "p:a=1 p:a/b=2 p:f=3 x:f>a",
	  "f a=3, d f, f f/b=2", "" },
	{ "hidden key is superseded by an exchange the other way", "p:a=1 p:a/b=2 p:f=3 x:a>f",
	  "f a=3, d f, f f/b=2", "" },
	{ "hidden key stays while its directory is explicit", "p:a=1 p:a/b=2 D:a t:a/b", "d a",
	  "a=1" },
	{ "tombstone takes hidden key and empty directory", "p:a=1 p:a/b=2 D:a t:a/b t:a", "", "" },
	{ "empty file gives way to a directory", "E:a p:a/b=1", "d a, f a/b=1", "" },
	{ "put where an explicit directory is", "D:a p:a=1", "d a", "a=1" },

	{ "base", "B:900 p:a=1", "f a=1", "" },
	{ "directory that exists only through its key", "p:a/b=1 I:a t:a/b", "", "" },
	{ "explicit, whatever is said later", "D:a I:a p:a/b=1 t:a/b", "d a", "" },
	{ "unnameable key by a mark", "p:a=1 +U:a=0,0 p:a=2", "f a=1", "a=2" },
	{ "unnameable key by a mark, nothing there", "+U:a/b=0,0 p:a/b=2", "", "a/b=2" },
	{ "unnameable key by a mark, no path", "+U:a//b=0,0 p:a//b=2", "", "a//b=2" },
	{ "unnameable key by a mark, dropped by now", "p:a=1 +U:a=0,0 Z:a=0,5 p:a/b=2",
	  "d a, f a/b=2", NULL },
	{ "unnameable key in pieces", "p:a=1 e:7@0=bc U:a=7,2", "f a=1", "a=bc" },
	{ "unnameable key in pieces comes back", "e:7@1=bc U:a=7,3 p:a/b=1 t:a/b", "f a=.bc", "" },

	{ "staged and published", "e:7@0=abc e:7@3=def P:a=7,6", "f a=abcdef", "" },
	{ "staged and not published", "p:a=1 e:7@0=abc", "f a=1", "" },
	{ "a staging has the order of the log", "e:7@0=abcdef e:7@2=XY e:7@5=Z P:a=7,6",
	  "f a=abXYeZ", "" },
	{ "two stagings at a time", "e:7@0=abc e:8@0=xyz P:a=8,3 e:7@3=def P:b=7,6",
	  "f a=xyz, f b=abcdef", "" },
	{ "publish replaces", "p:a=12345678 e:7@1=x P:a=7,3", "f a=.x.", "" },
	{ "publish keeps", "p:a=12345678 e:7@1=x Q:a=7,8", "f a=1x345678", "" },
	{ "keep and append", "p:a=1234 e:7@4=56 Q:a=7,6", "f a=123456", "" },
	{ "keep and append with a hole", "p:a=1234 e:7@6=78 Q:a=7,8", "f a=1234..78", "" },
	{ "keep truncates", "p:a=12345678 Q:a=0,3", "f a=123", "" },
	{ "keep extends", "p:a=123 Q:a=0,5", "f a=123..", "" },
	{ "keep truncates, then extends: the old bytes are gone", "p:a=12345678 Q:a=0,3 Q:a=0,8",
	  "f a=123.....", "" },
	{ "keep lays over what was laid", "p:a=12345678 e:1@2=ab Q:a=1,8 e:2@3=c Q:a=2,8",
	  "f a=12ac5678", "" },
	{ "hole over existing data", "p:a=12345678 h:7@2=3 Q:a=7,8", "f a=12...678", "" },
	{ "hole past the end", "p:a=1234 h:7@2=100 Q:a=7,6", "f a=12....", "" },
	{ "hole in what is staged", "e:7@0=abcdef h:7@1=2 P:a=7,6", "f a=a..def", "" },
	{ "bytes over a hole that is staged", "p:a=12345678 h:7@2=4 e:7@3=X Q:a=7,8",
	  "f a=12.X..78", "" },
	{ "staged bytes past the size are dropped", "e:7@0=abcdef P:a=7,2 Q:a=0,6", "f a=ab....",
	  "" },
	{ "publish of nothing", "P:a=0,0", "f a=", "" },
	{ "publish of a hole", "P:a=0,4", "f a=....", "" },
	{ "publish makes directories", "e:7@0=x P:a/b/c=7,1", "d a, d a/b, f a/b/c=x", "" },
	{ "publish takes a file out of the way", "p:a=1 e:7@0=x P:a/b=7,1", "d a, f a/b=x", "a=1" },
	{ "a file in pieces gets out of the way", "e:7@0=x P:a=7,1 p:a/b=1", "d a, f a/b=1",
	  "a=x" },
	{ "a file in pieces gets out of the way and comes back", "e:7@1=x P:a=7,3 p:a/b=1 t:a/b",
	  "f a=.x.", "" },
	{ "an empty file in pieces gets out of the way", "P:a=0,0 p:a/b=1 t:a/b", "", "" },
	{ "publish supersedes a hidden key", "p:a=1 p:a/b=2 D:a t:a/b m:a>c e:7@0=x P:a=7,1",
	  "f a=x, d c", "" },
	{ "put over pieces", "e:7@0=abc P:a=7,3 p:a=1", "f a=1", "" },
	{ "empty over pieces", "e:7@0=abc P:a=7,3 E:a", "f a=", "" },
	{ "keep over an empty file", "E:a e:7@1=x Q:a=7,2", "f a=.x", "" },
	{ "attr keeps pieces", "e:7@0=abc P:a=7,3 K:a", "f a=abc", "" },
	{ "tombstone of a file in pieces", "e:7@0=abc P:a=7,3 t:a", "", "" },
	{ "move of a file in pieces", "e:7@0=abc P:a=7,3 m:a>b", "f b=abc", "" },
	{ "keep after a move", "p:a=1234 m:a>b e:7@0=x Q:b=7,4 p:a=new", "f a=new, f b=x234", "" },
	{ "group: attr before the publish it is for", "e:7@0=x +K:a P:a=7,1", "f a=x", "" },
	{ "group: publish first", "e:7@0=x +P:a=7,1 K:a", "f a=x", "" },
};

static void check_unnamed(struct store *s, const char *words)
{
	char *copy = strdup(words), *state, *word;
	struct store_stats stats;
	uint64_t count = 0;

	assert_non_null(copy);
	for (word = strtok_r(copy, " ", &state); word != NULL; word = strtok_r(NULL, " ", &state)) {
		char *want = strchr(word, '=');
		size_t bytes;
		void *value;

		*want++ = '\0';
		assert_int_equal(store_get(s, word, strlen(word), &value, &bytes), 0);
		assert_int_equal(bytes, strlen(want));
		assert_memory_equal(value, want, bytes);
		free(value);
		count++;
	}
	free(copy);
	store_stats(s, &stats);
	assert_int_equal(stats.unnamed_keys, count);
}

/* The figures match the tree. */
static void check_figures(struct store *s, const char *tree)
{
	uint64_t files = 0, directories = 0;
	struct store_stats stats;

	for (const char *p = tree; *p != '\0'; p++) {
		if (p == tree || p[-1] == ' ') {
			files += strncmp(p, "f ", 2) == 0;
			directories += strncmp(p, "d ", 2) == 0;
		}
	}
	store_stats(s, &stats);
	assert_int_equal(stats.files, files);
	assert_int_equal(stats.directories, directories);
}

static void test_tree(void **state)
{
	struct store_fixture *f = *state;
	const struct tree_case *c = f->row;
	struct unit_file log = make_log(c->log), after;

	plant_log(f, log.data, log.bytes);
	for (int round = 0; round < 2; round++) { /* opening it changes nothing */
		fixture_open_store(f);
		assert_tree(f->s, c->tree);
		if (c->unnamed != NULL)
			check_unnamed(f->s, c->unnamed);
		check_figures(f->s, c->tree);
		fixture_close_store(f);
		after = unit_read_file(f->log_path);
		assert_int_equal(after.bytes, log.bytes);
		assert_memory_equal(after.data, log.data, log.bytes);
		free(after.data);
	}
	free(log.data);
}

/* --- logs that are refused --- */

static const struct refused_case {
	const char *name;
	const char *log; /* the last record is the bad one */
	const char *want_word;
} refused_cases[] = {
	{ "attr of a file that does not exist", "p:b=1 K:a", "does not exist" },
	{ "attr of a file where a directory is", "D:a E:a", "another type" },
	{ "attr of a directory where a file is", "p:a=1 D:a", "another type" },
	{ "attr of the root as a file", "p:a=1 E:", "root" },
	{ "attr of no path", "p:a=1 D:a//b", "no path" },
	{ "attr of two dots", "p:a=1 E:..", "no path" },
	{ "move of nothing", "p:a=1 m:b>c", "does not exist" },
	{ "move of the root", "p:a=1 m:>c", "no path" },
	{ "move to the root", "p:a=1 m:a>/", "no path" },
	{ "move to no path", "p:a=1 m:a>b//c", "no path" },
	{ "move of no path", "p:a=1 m:a//b>c", "no path" },
	{ "move to itself", "p:a=1 m:a>a", "itself" },
	{ "move of a file below itself", "p:a=1 m:a>a/b", "itself" },
	{ "move of a file far below itself", "p:a=1 m:a>a/b/c", "itself" },
	{ "move of a directory below itself", "p:a/f=1 m:a>a/b", "itself" },
	{ "move of a directory far below itself", "p:a/b/c/f=1 m:a>a/b/c/d", "itself" },
	{ "move of a file onto a directory", "p:a=1 D:d m:a>d", "cannot replace" },
	{ "move of a directory onto a file", "p:a=1 D:d m:d>a", "cannot replace" },
	{ "move of a directory onto one with something", "D:d p:e/f=1 m:d>e", "cannot replace" },
	{ "move onto the directory it is in", "p:a/b=1 m:a/b>a", "cannot replace" },
	{ "exchange with nothing", "p:a=1 x:a>b", "does not exist" },
	{ "exchange with itself", "p:a=1 x:a>a", "itself" },
	{ "exchange with what is below", "p:a/b=1 x:a>a/b", "itself" },
	{ "exchange with what is above", "p:a/b=1 x:a/b>a", "above" },
	{ "publish of what was not staged", "p:a=1 P:a=7,1", "not staged" },
	{ "publish of what was staged under another id", "e:8@0=x P:a=7,1", "not staged" },
	{ "publish for the second time", "e:7@0=x P:a=7,1 P:a=7,1", "not staged" },
	{ "keep of what was not staged", "p:a=1 Q:a=7,1", "not staged" },
	{ "publish to no path", "e:7@0=x P:a//b=7,1", "no path" },
	{ "publish to the root", "e:7@0=x P:=7,1", "no path" },
	{ "publish where a directory is", "D:a e:7@0=x P:a=7,1", "no file is" },
	{ "keep where a directory is", "D:a Q:a=0,1", "no file is" },
	{ "keep where nothing is", "p:b=1 e:7@0=x Q:a=7,1", "no file is" },
	{ "base behind something", "p:a=1 B:900", "not the beginning" },
	{ "base behind a tree that is empty again", "p:a=1 t:a B:900", "not the beginning" },
	{ "two bases", "B:900 B:900", "not the beginning" },
	{ "mark before the put of another key", "+U:a=0,0 p:b=1", "no put" },
	{ "publish to an unnameable key of what was not staged", "p:a=1 U:a=7,1", "not staged" },
};

/* Refused, said where, and nothing is changed, though a torn tail stands behind. */
static void check_refused(struct store_fixture *f, const struct unit_file *log, uint64_t offset,
			  const char *want_word)
{
	struct unit_file torn = { .data = malloc(log->bytes + 5), .bytes = log->bytes + 5 }, after;
	struct diag diag;

	assert_non_null(torn.data);
	memcpy(torn.data, log->data, log->bytes);
	memcpy(torn.data + log->bytes, "torn!", 5);
	plant_log(f, torn.data, torn.bytes);
	assert_int_equal(fixture_try_open_store(f, &diag), -EBADMSG);
	assert_null(f->s);
	assert_non_null(strstr(diag.text, f->log_path));
	assert_non_null(strstr(diag.text, unit_path("offset %lu:", (unsigned long)offset)));
	assert_non_null(strstr(diag.text, want_word));
	assert_null(strchr(diag.text, '\n'));
	after = unit_read_file(f->log_path);
	assert_int_equal(after.bytes, torn.bytes);
	assert_memory_equal(after.data, torn.data, torn.bytes);
	assert_false(unit_exists(unit_path("%s/quarantine", f->data_dir)));
	free(after.data);
	free(torn.data);
}

static uint64_t last_record(const struct unit_file *log)
{
	struct record_scan_result got;
	uint64_t offset = 0, last = 0;

	while (record_scan(log->data + offset, log->bytes - offset, log->bytes - offset, &got) ==
	       RECORD_WHOLE) {
		last = offset;
		offset += got.bytes;
	}
	assert_int_equal(offset, log->bytes);
	return last;
}

static void test_refused(void **state)
{
	struct store_fixture *f = *state;
	const struct refused_case *c = f->row;
	struct unit_file log = make_log(c->log);

	check_refused(f, &log, last_record(&log), c->want_word);
	free(log.data);
}

/* --- meta records that this version does not know --- */

#define S(text) (text), sizeof(text) - 1
#define ATTR	"\1\0\2\0\0\0\355\1\0\0\0\0\0\0\0\0"

static const struct unknown_case {
	const char *name;
	const char *key;
	size_t key_bytes;
	const char *value;
	size_t value_bytes;
	const char *want_word;
} unknown_cases[] = {
	{ "NUL alone", S("\0"), S(ATTR), "too early" },
	{ "kind q", S("\0qa"), S("\1\0b"), "kind" },
	{ "publish cut short", S("\0pa"), S("\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), "too early" },
	{ "publish of too much", S("\0pa"), S("\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\200"), "range" },
	{ "extent with half an id", S("\0e\7\0\0\0"), S("\1\0\0\0\0\0\0\0\0\0x"), "too early" },
	{ "extent of id 0", S("\0e\0\0\0\0\0\0\0\0"), S("\1\0\0\0\0\0\0\0\0\0x"), "range" },
	{ "extent with more", S("\0e\7\0\0\0\0\0\0\0"), S("\1\2\0\0\0\0\0\0\0\0x"), "flags" },
	{ "extent of nothing", S("\0e\7\0\0\0\0\0\0\0"), S("\1\0\0\0\0\0\0\0\0\0"), "range" },
	{ "kind A", S("\0Aa"), S(ATTR), "kind" },
	{ "kind NUL", S("\0\0a"), S(ATTR), "kind" },
	{ "version 2 of attr", S("\0aa"), S("\2\0\2\0\0\0\355\1\0\0\0\0\0\0\0\0"), "version" },
	{ "version 0 of attr", S("\0aa"), S("\0\0\2\0\0\0\355\1\0\0\0\0\0\0\0\0"), "version" },
	{ "version 2 of move", S("\0ma"), S("\2\0b"), "version" },
	{ "flag 2 of attr", S("\0aa"), S("\1\4\2\0\0\0\355\1\0\0\0\0\0\0\0\0"), "flags" },
	{ "exchange in attr", S("\0aa"), S("\1\2\2\0\0\0\355\1\0\0\0\0\0\0\0\0"), "flags" },
	{ "flag 7 of move", S("\0ma"), S("\1\200b"), "flags" },
	{ "field 8 of attr", S("\0aa"), S("\1\0\2\0\0\1\355\1\0\0\0\0\0\0\0\0"), "flags" },
	{ "field 15 of attr", S("\0aa"), S("\1\0\2\0\0\200\355\1\0\0\0\0\0\0\0\0"), "flags" },
	{ "type 3, a symlink of later", S("\0aa"), S("\1\0\3\0\0\0\355\1\0\0\0\0\0\0\0\0"),
	  "range" },
	{ "content 3", S("\0aa"), S("\1\0\1\3\0\0\355\1\0\0\0\0\0\0\0\0"), "range" },
	{ "byte behind the attr", S("\0aa"), S(ATTR "\0"), "range" },
	{ "attr cut by a byte", S("\0aa"), S("\1\0\2\0\0\0\355\1\0\0\0\0\0\0\0"), "too early" },
	{ "attr without a value", S("\0aa"), S(""), "too early" },
	{ "move without a new path", S("\0ma"), S("\1\0"), "too early" },
};

static void test_unknown(void **state)
{
	struct store_fixture *f = *state;
	const struct unknown_case *c = f->row;
	struct unit_file log = make_log("p:b=1 D:d");
	uint64_t offset = log.bytes;
	struct record rec = {
		.timestamp_ns = 5000,
		.key = c->key,
		.key_bytes = (uint32_t)c->key_bytes,
		.value = c->value,
		.value_bytes = (uint32_t)c->value_bytes,
	};

	record_encode(&rec, log.data + log.bytes);
	log.bytes += record_bytes(rec.key_bytes, rec.value_bytes);
	check_refused(f, &log, offset, c->want_word);
	free(log.data);
}

/* --- groups that have no end --- */

static const struct torn_case {
	const char *name;
	const char *log;
	const char *tree; /* without the group */
} torn_cases[] = {
	{ "attr with more at the end", "p:a=1 +D:d", "f a=1" },
	{ "move with more at the end", "p:a=1 +m:a>b", "f a=1" },
	{ "publish with more at the end", "p:a=1 e:7@0=x +P:a=7,1", "f a=1" },
	{ "two parts with more at the end", "p:a=1 +D:d +E:e", "f a=1" },
	{ "nothing but a part", "+D:d", "" },
};

/* The refused record is the first of the group here. */
static void test_extent_in_a_group(void **state)
{
	struct store_fixture *f = *state;
	struct unit_file log = make_log("p:a=1 +K:a e:7@0=x");
	struct diag diag;

	plant_log(f, log.data, log.bytes);
	assert_int_equal(fixture_try_open_store(f, &diag), -EBADMSG);
	assert_non_null(strstr(diag.text, "in a group"));
	free(log.data);
}

/* A refused commit, which a salvage takes out, must not have changed the meaning of the rest of the
 * log. */
static void test_refused_commit_leaves_the_tree(void **state)
{
	static const char *const logs[] = { "p:a=1 K:a/b", "p:a=1 m:b>a/c", "p:a=1 l:b>a/c",
					    "p:a=1 Q:a/b=0,1" };
	const struct keydir_defaults defaults = { .umask = 022 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(logs); i++) {
		struct unit_file log = make_log(logs[i]);
		uint64_t offsets[] = { 0, last_record(&log) };
		const struct dentry *d;
		struct keydir *k;

		assert_int_equal(keydir_create(&defaults, &k), 0);
		for (size_t n = 0; n < ARRAY_SIZE(offsets); n++) {
			struct record_scan_result got;
			struct log_entry e = { .offset = offsets[n] };
			struct diag diag;

			assert_int_equal(record_scan(log.data + e.offset, log.bytes - e.offset,
						     log.bytes - e.offset, &got),
					 RECORD_WHOLE);
			e.rec = got.rec;
			e.value_held_bytes = got.rec.value_bytes;
			assert_int_equal(replay_commit(k, "log", &e, 1, &diag),
					 n == 0 ? 0 : -EBADMSG);
		}
		d = keydir_find_path(k, "a", 1);
		assert_non_null(d);
		assert_true(node_is_file(dentry_node(d)));
		assert_int_equal(keydir_dir_count(keydir_root(k)), 1);
		keydir_free(k);
		free(log.data);
	}
}

static void test_torn_group(void **state)
{
	struct store_fixture *f = *state;
	const struct torn_case *c = f->row;
	struct unit_file log = make_log(c->log);
	struct store_stats stats;

	plant_log(f, log.data, log.bytes);
	fixture_open_store(f);
	assert_tree(f->s, c->tree);
	store_stats(f->s, &stats);
	assert_int_equal(stats.recovery.stop.reason, RECORD_REASON_GROUP);
	assert_true(stats.recovery.kept_bytes < log.bytes);
	free(log.data);
}

/* --- attributes and times --- */

static void assert_attributes(struct store *s, const char *want)
{
	char *got = dump_attributes(s, true);

	assert_string_equal(got, want);
	free(got);
}

static void test_default_attributes(void **state)
{
	struct store_fixture *f = *state;
	struct unit_file log = make_log("p:d/f=1");

	plant_log(f, log.data, log.bytes);
	fixture_open_store(f);
	assert_attributes(f->s, "d d mode=40755 uid=1000 gid=100 links=2 size=0"
				" mtime=0.000001000 ctime=0.000001000 atime=0.000001000\n"
				"f d/f=1 mode=100644 uid=1000 gid=100 links=1 size=1"
				" mtime=0.000001000 ctime=0.000001000 atime=0.000001000");
	free(log.data);
}

/* A put keeps what an attr record said; an attr record changes no mtime. */
static void test_attributes_are_kept(void **state)
{
	struct store_fixture *f = *state;
	struct unit_file log = make_log("p:f=1 K:f p:f=22");

	plant_log(f, log.data, log.bytes);
	fixture_open_store(f);
	assert_attributes(f->s, "f f=22 mode=100640 uid=7 gid=8 links=1 size=2"
				" mtime=0.000001002 ctime=0.000001002 atime=0.000001002");
	fixture_close_store(f);
	free(log.data);
	log = make_log("p:f=1 K:f");
	plant_log(f, log.data, log.bytes);
	fixture_open_store(f);
	assert_attributes(f->s, "f f=1 mode=100640 uid=7 gid=8 links=1 size=1"
				" mtime=0.000001000 ctime=0.000001001 atime=0.000001000");
	free(log.data);
}

/* All of a group happens at the time of its last record. */
static void test_time_of_a_group(void **state)
{
	struct store_fixture *f = *state;
	struct unit_file log = make_log("+D:d +E:e p:f=1");

	plant_log(f, log.data, log.bytes);
	fixture_open_store(f);
	assert_attributes(f->s, "d d mode=40750 uid=7 gid=8 links=2 size=0"
				" mtime=0.000001002 ctime=0.000001002 atime=0.000001002\n"
				"f e= mode=100640 uid=7 gid=8 links=1 size=0"
				" mtime=0.000001002 ctime=0.000001002 atime=0.000001002\n"
				"f f=1 mode=100644 uid=1000 gid=100 links=1 size=1"
				" mtime=0.000001002 ctime=0.000001002 atime=0.000001002");
	free(log.data);
}

/* As those of a put. */
static void test_times_of_a_publish(void **state)
{
	struct store_fixture *f = *state;
	struct unit_file log = make_log("p:f=1 K:f e:7@0=x P:f=7,2 p:g=1");

	plant_log(f, log.data, log.bytes);
	fixture_open_store(f);
	assert_attributes(f->s, "f f=x. mode=100640 uid=7 gid=8 links=1 size=2"
				" mtime=0.000001003 ctime=0.000001003 atime=0.000001003\n"
				"f g=1 mode=100644 uid=1000 gid=100 links=1 size=1"
				" mtime=0.000001004 ctime=0.000001004 atime=0.000001004");
	free(log.data);
}

static void test_explicit_times(void **state)
{
	struct store_fixture *f = *state;
	struct unit_file golden = unit_read_file(GOLDEN_DIR "/meta.data");
	char *got;

	plant_log(f, golden.data, golden.bytes);
	fixture_open_store(f);
	assert_tree(f->s,
		    "f empty=, f hard=content\n, d moved, f moved/f=content\n, l moved/sym->f");
	got = dump_attributes(f->s, true);
	assert_non_null(strstr(got,
			       "f moved/f=content\n mode=100640 uid=1000 gid=100 links=2 size=8"
			       " mtime=1600000000.000000005 "));
	assert_non_null(strstr(got, "d moved mode=40750 uid=1000 gid=100 links=2 "));
	assert_non_null(strstr(got, "f empty= mode=100600 "));
	free(got);
	free(golden.data);
}

int main(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(tree_cases); i++)
		add_test(tree_cases[i].name, test_tree, &tree_cases[i]);
	for (size_t i = 0; i < ARRAY_SIZE(refused_cases); i++)
		add_test(unit_name("refused: %s", refused_cases[i].name), test_refused,
			 &refused_cases[i]);
	for (size_t i = 0; i < ARRAY_SIZE(unknown_cases); i++)
		add_test(unit_name("unknown: %s", unknown_cases[i].name), test_unknown,
			 &unknown_cases[i]);
	for (size_t i = 0; i < ARRAY_SIZE(torn_cases); i++)
		add_test(unit_name("torn group: %s", torn_cases[i].name), test_torn_group,
			 &torn_cases[i]);
	add_test("refused: extent in a group", test_extent_in_a_group, NULL);
	add_test("refused: the tree stays as it was", test_refused_commit_leaves_the_tree, NULL);
	add_test("times of a publish", test_times_of_a_publish, NULL);
	add_test("default attributes", test_default_attributes, NULL);
	add_test("attributes are kept", test_attributes_are_kept, NULL);
	add_test("time of a group", test_time_of_a_group, NULL);
	add_test("explicit times, golden log", test_explicit_times, NULL);
	return unit_run("replay", rows, row_count);
}
