/* SPDX-License-Identifier: MIT */
/* The common part of the store's tests: a directory, a probed 'struct io', a store, and short
 * notations for logs and trees.  If a helper fails, the test fails. */
#ifndef FREYJAFS_TESTS_UNIT_STORE_FIXTURE_H
#define FREYJAFS_TESTS_UNIT_STORE_FIXTURE_H

#include "tests/unit/log_fixture.h"
#include "writer/store.h"

struct store_fixture {
	const void *row; /* the initial state of the test: a row of its table, or NULL */
	char *dir;
	char *data_dir; /* DIR/data; does not exist yet */
	char *log_path; /* DIR/data/active.data */
	struct probe *probe;
	struct store *s; /* NULL: closed */
};

/* cmocka setup and teardown: *state becomes the fixture. */
int store_fixture_setup(void **state);
int store_fixture_teardown(void **state);

int fixture_try_open_store(struct store_fixture *f, struct diag *diag);
void fixture_open_store(struct store_fixture *f); /* never synced by itself */
void fixture_open_store_with(struct store_fixture *f, int64_t fsync_interval_ns,
			     int64_t buffer_size_bytes);
void fixture_close_store(struct store_fixture *f);
void fixture_reopen_store(struct store_fixture *f);

/* The whole tree as text, in the order of the names: "d a", "f a/b=value", one behind the other
 * with
 * ", " between; a value longer than 40 bytes as "#CRC", NUL
 * bytes as '.'.  The caller frees it. */
char *dump_tree(struct store *s);
/* As dump_tree(), with mode, owner, size and times of each node (of directories the times only if
 * 'dir_times'), one line each. */
char *dump_attributes(struct store *s, bool dir_times);
void assert_tree(struct store *s, const char *want);

/* Encodes records that are written down as words: "p:a/b=v" put, "t:a/b" tombstone, "D:a" attr of a
 * directory, "E:a" of an empty file, "K:a" of a file whose content is kept, "m:a>b" move, "x:a>b"
 * exchange, "l:a>b" link; "e:7@3=abc" extent of staging 7 at offset 3, "h:7@3=9" a hole of 9 bytes
 * there, "P:a=7,12" publish of staging 7 as "a" of 12 bytes, "Q:a=7,12" the same with keep;
 * dropped: "z:7@3=9" a hole, "Z:a=0,5" a put of 5 bytes; "B:900" a base as of then, "I:a" attr of a
 * directory that exists only through its keys, "U:a=7,5" publish to a key that no path can name,
 * "+U:a=0,0" says so of the put behind it.  '+' before a word: the next one belongs to its group.
 * Timestamps count from 1000.
 * "\0"-free paths only.  The caller frees 'data'. */
struct unit_file make_log(const char *words);
/* Puts a log where the store will find it. */
void plant_log(struct store_fixture *f, const void *data, size_t bytes);

#endif
