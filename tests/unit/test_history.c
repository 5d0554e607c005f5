/* SPDX-License-Identifier: MIT */
/* History: what a path shows of the versions in the log. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codec/crc32.h"
#include "codec/le.h"
#include "codec/record.h"
#include "tests/sim/rng.h"
#include "tests/unit/store_fixture.h"
#include "tests/unit/store_ops.h"
#include "tests/unit/unit.h"
#include "writer/history.h"

#define TEXT_MAX  4096
#define NAMES_MAX 64
#define STEPS	  150
#define SEEDS	  6

static int open_history(const struct store_fixture *f, uint64_t until_ns, struct history **ret)
{
	const struct history_config config = { .dir_path = f->data_dir,
					       .until_ns = until_ns,
					       .uid = OPS_UID,
					       .gid = OPS_GID,
					       .umask = 022 };

	return history_open(&config, ret, NULL);
}

/* --- histories as text --- */

struct text {
	struct history *h;
	const char *path;
	char *names[NAMES_MAX];
	size_t name_count;
	char versions[TEXT_MAX];
};

/* Reads a version in steps of three bytes. */
static void read_version(const struct text *t, const struct history_attr *attr, char *buf)
{
	struct history_version *v;
	struct history_attr again;
	size_t done = 0;
	ssize_t got;
	int err = history_version_open(t->h, t->path, strlen(t->path), attr->timestamp_ns, &v);

	assert_int_equal(err, attr->available ? 0 : -ENOENT);
	if (err < 0) {
		strcpy(buf, "!");
		return;
	}
	history_version_attr(v, &again);
	assert_memory_equal(&again, attr, sizeof(again));
	if (S_ISLNK(attr->mode)) {
		got = history_version_target(v, buf, 64);
		assert_int_equal(got, attr->size_bytes);
		done = (size_t)got;
	} else {
		while ((got = history_version_read(v, buf + done, 3, done)) > 0)
			done += (size_t)got;
		assert_int_equal(got, 0);
		assert_int_equal(done, attr->size_bytes);
	}
	for (size_t i = 0; i < done; i++)
		if (buf[i] == '\0')
			buf[i] = '.';
	buf[done] = '\0';
	history_version_close(v);
}

static int add_entry(void *arg, const struct history_entry *e)
{
	struct text *t = arg;
	size_t n = strlen(t->versions);
	char value[256];

	if (e->name != NULL) {
		assert_true(t->name_count < NAMES_MAX);
		t->names[t->name_count++] = strndup(e->name, e->name_bytes);
		return 0;
	}
	read_version(t, &e->version, value);
	(void)snprintf(t->versions + n, sizeof(t->versions) - n, " %" PRIu64 "=%s",
		       e->version.timestamp_ns, value);
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* "NAME... TIME=VALUE...", or "-" where there is nothing.  The caller frees it. */
static char *history_text(struct history *h, const char *path)
{
	struct text *t = calloc(1, sizeof(*t));
	char *text = calloc(1, TEXT_MAX);
	int err;

	assert_non_null(t);
	assert_non_null(text);
	t->h = h;
	t->path = path;
	err = history_list(h, path, strlen(path), add_entry, t);
	assert_int_equal(history_has(h, path, strlen(path)), err == 0);
	if (err == -ENOENT)
		strcpy(text, " -");
	else
		assert_int_equal(err, 0);
	qsort(t->names, t->name_count, sizeof(t->names[0]), compare_names);
	for (size_t i = 0; i < t->name_count; i++) {
		strcat(strcat(text, " "), t->names[i]);
		free(t->names[i]);
	}
	strcat(text, t->versions);
	free(t);
	memmove(text, text + (text[0] == ' '), strlen(text + (text[0] == ' ')) + 1);
	return text;
}

static void assert_history(struct history *h, const char *path, const char *want)
{
	char *got = history_text(h, path);

	if (strcmp(got, want) != 0)
		fail_msg("history of '%s': wanted '%s', got '%s'", path, want, got);
	free(got);
}

/* --- logs written down --- */

/* The first record has the time 1000, the next 1001, ... */
static const struct log_case {
	const char *name, *log, *path, *want;
} logs[] = {
	{ "overwritten", "p:a=1 p:a=2 p:a=3", "a", "1000=1 1001=2 1002=3" },
	{ "the root", "p:a=1 p:d/b=2", "", "a d" },
	{ "what never was", "p:a=1", "b", "-" },
	{ "below a file", "p:a=1", "a/b", "-" },
	{ "no path", "p:a=1 p:x//y=2", "x//y", "-" },
	{ "deleted", "p:a=1 t:a", "a", "1000=1" },
	{ "deleted and made again", "p:a=1 t:a p:a=2", "a", "1000=1 1002=2" },
	{ "deleted, in the listing", "p:a=1 t:a", "", "a" },
	{ "deleted with its directory", "D:d p:d/x=1 t:d/x t:d", "d", "x" },
	{ "deleted with its directory: the file", "D:d p:d/x=1 t:d/x t:d", "d/x", "1001=1" },
	{ "empty", "E:a p:a=1 E:a", "a", "1000= 1001=1 1002=" },
	{ "attributes only", "p:a=1 K:a", "a", "1000=1" },
	{ "renamed: new name", "p:a=1 m:a>b p:b=2", "b", "1000=1 1002=2" },
	{ "renamed: old name", "p:a=1 m:a>b p:b=2", "a", "1000=1" },
	{ "renamed, old name used again", "p:a=1 m:a>b p:a=2", "a", "1000=1 1002=2" },
	{ "renamed, old name used again: new", "p:a=1 m:a>b p:a=2", "b", "1000=1" },
	{ "renamed over", "p:a=1 p:t=2 m:t>a p:a=3", "a", "1000=1 1001=2 1003=3" },
	{ "renamed and back", "p:a=1 m:a>b p:b=2 m:b>a p:a=3", "a", "1000=1 1002=2 1004=3" },
	{ "renamed directory: new name", "p:d/x=1 m:d>e p:e/x=2", "e/x", "1000=1 1002=2" },
	{ "renamed directory: old name", "p:d/x=1 m:d>e p:e/x=2", "d/x", "1000=1" },
	{ "renamed directory: listing", "p:d/x=1 m:d>e p:e/y=2", "e", "x y" },
	{ "renamed directory: old listing", "p:d/x=1 m:d>e p:e/y=2", "d", "x" },
	{ "renamed twice", "p:d/x=1 m:d>e m:e>f p:f/x=2", "f/x", "1000=1 1003=2" },
	{ "exchanged", "p:a=1 p:b=2 x:a>b p:a=3", "a", "1000=1 1001=2 1003=3" },
	{ "exchanged: the other", "p:a=1 p:b=2 x:a>b p:a=3", "b", "1000=1 1001=2" },
	{ "a directory where a file was", "p:a=1 t:a p:a/b=2", "a", "b 1000=1" },
	{ "a key that becomes a directory", "p:a=1 p:a/b=2", "a", "b 1000=1" },
	{ "staged", "e:7@0=abc e:7@3=def P:a=7,6", "a", "1002=abcdef" },
	{ "laid over", "p:a=abcdef e:7@1=XY Q:a=7,8 e:8@0=Z Q:a=8,3", "a",
	  "1000=abcdef 1002=aXYdef.. 1004=ZXY" },
	{ "laid over what was renamed", "p:a=abcdef m:a>b e:7@1=XY Q:b=7,6", "b",
	  "1000=abcdef 1003=aXYdef" },
	{ "holes", "h:7@2=3 e:7@5=x P:a=7,7", "a", "1002=.....x." },
	{ "not published", "e:7@0=abc p:a=1", "a", "1001=1" },
	{ "dropped", "Z:a=0,5 p:a=1", "a", "1000=! 1001=1" },
	{ "laid over what was dropped", "Z:a=0,3 e:7@1=XY Q:a=7,3 e:8@0=Z Q:a=8,3", "a",
	  "1000=! 1002=! 1004=ZXY" },
	{ "dropped extents", "z:7@0=2 e:7@2=x P:a=7,3 p:a=1", "a", "1002=! 1003=1" },
	{ "a group", "+D:d p:d/x=1", "d/x", "1001=1" },
	{ "a group about a directory that it moves", "p:a/x=1 +D:a m:a>b p:a=2", "a", "x" },
	{ "a group with the key of a directory and a file", "p:a/x=1 +U:a=0,0 +Z:a=0,3 p:b=2", "b",
	  "1003=2" },
};

static void test_log(void **state)
{
	struct store_fixture *f = *state;
	const struct log_case *c = f->row;
	struct unit_file log = make_log(c->log);
	struct history *h;

	plant_log(f, log.data, log.bytes);
	assert_int_equal(open_history(f, 0, &h), 0);
	assert_history(h, c->path, c->want);
	history_close(h);
	free(log.data);
}

/* --- times and owners --- */

static int first_version(void *arg, const struct history_entry *e)
{
	struct history_attr *ret = arg;

	if (e->name == NULL)
		*ret = e->version;
	return 0;
}

static void test_attributes(void **state)
{
	struct store_fixture *f = *state;
	const struct store_set set = { .which = STORE_SET_MTIME | STORE_SET_MODE | STORE_SET_UID,
				       .mtime = { .tv_sec = 12345, .tv_nsec = 678 },
				       .mode = 0750,
				       .uid = 77 };
	struct history_attr attr = { 0 };
	struct history *h;

	fixture_open_store(f);
	ops_write_ok(f->s, "a", "value");
	assert_int_equal(open_history(f, 0, &h), 0);
	assert_int_equal(history_list(h, "a", 1, first_version, &attr), 0);
	assert_int_equal(attr.mode, S_IFREG | 0644);
	assert_int_equal(attr.uid, OPS_UID);
	assert_int_equal(attr.mtime_ns, attr.timestamp_ns);
	assert_int_equal(ops_setattr(f->s, "a", &set), 0);
	assert_int_equal(history_refresh(h, NULL), 0);
	assert_int_equal(history_list(h, "a", 1, first_version, &attr), 0);
	assert_int_equal(attr.mode, S_IFREG | 0750);
	assert_int_equal(attr.uid, 77);
	assert_int_equal(attr.mtime_ns, INT64_C(12345000000678));
	assert_int_equal(attr.size_bytes, 5);
	history_close(h);
}

/* --- a log that goes on --- */

static void test_refresh(void **state)
{
	struct store_fixture *f = *state;
	struct history_version *v;
	struct history_attr attr;
	struct history *h;
	char buf[8];

	fixture_open_store(f);
	ops_write_ok(f->s, "a", "one");
	assert_int_equal(open_history(f, 0, &h), 0);
	assert_int_equal(history_list(h, "a", 1, first_version, &attr), 0);
	assert_int_equal(history_version_open(h, "a", 1, attr.timestamp_ns, &v), 0);
	assert_int_equal(ops_unlink(f->s, "a"), 0);
	ops_write_ok(f->s, "b", "two");
	assert_history(h, "", "a");
	assert_int_equal(history_refresh(h, NULL), 0);
	assert_history(h, "", "a b");
	assert_int_equal(store_rotate(f->s), 0);
	ops_write_ok(f->s, "c", "three");
	assert_int_equal(history_refresh(h, NULL), 0);
	assert_history(h, "", "a b c");
	/* It outlives all that. */
	history_close(h);
	assert_int_equal(history_version_read(v, buf, sizeof(buf), 0), 3);
	assert_memory_equal(buf, "one", 3);
	history_version_close(v);
}

static void test_wrong_crc(void **state)
{
	struct store_fixture *f = *state;
	struct unit_file log = make_log("p:a=first p:a=second e:1@0=third P:a=1,5");
	struct history_version *v;
	struct history *h;
	char buf[8];

	plant_log(f, log.data, log.bytes);
	assert_int_equal(open_history(f, 0, &h), 0);
	for (size_t i = 0; i < log.bytes; i++) /* the first letter of each value */
		if (strchr("fst", log.data[i]) != NULL && log.data[i] != '\0')
			log.data[i] ^= 1;
	unit_write_file(f->log_path, log.data, log.bytes);
	assert_int_equal(history_version_open(h, "a", 1, 1000, &v), 0);
	assert_int_equal(history_version_read(v, buf, 5, 0), -EIO);
	assert_int_equal(history_version_read(v, buf, 1, 3), -EIO);
	history_version_close(v);
	assert_int_equal(history_version_open(h, "a", 1, 1003, &v), 0);
	assert_int_equal(history_version_read(v, buf, 2, 2), -EIO);
	history_version_close(v);
	history_close(h);
	free(log.data);
}

/* Gives the record at 'offset' another timestamp.  Returns the offset of the next one. */
static size_t restamp(struct unit_file *log, size_t offset, uint64_t timestamp_ns)
{
	uint8_t *bytes = (uint8_t *)log->data + offset;
	struct record rec;
	size_t n;

	(void)record_decode_header(bytes, &rec);
	n = record_bytes(rec.key_bytes, rec.value_bytes);
	le64_store(bytes + 12, timestamp_ns);
	le32_store(bytes,
		   crc32_extend(0, bytes + RECORD_CRC_COVERS_FROM, n - RECORD_CRC_COVERS_FROM));
	return offset + n;
}

/* Two files of a base have one timestamp, and then the path of one comes to the other: each version
 * has a name of its own, and is found by it. */
static void test_same_timestamp(void **state)
{
	struct store_fixture *f = *state;
	struct unit_file log = make_log("B:900 p:a=one p:b=two m:b>a");
	struct history *h;
	size_t at = 0;

	at = restamp(&log, at, 900);
	at = restamp(&log, at, 800);
	(void)restamp(&log, at, 800);
	plant_log(f, log.data, log.bytes);
	assert_int_equal(open_history(f, 0, &h), 0);
	assert_history(h, "a", "800=one 801=two");
	history_close(h);
	free(log.data);
}

/* --- random stores --- */

static const char *random_path(struct rng *rng)
{
	static const char *const paths[] = { "a", "b", "d", "d/a", "d/b", "e", "e/a", "e/d/a" };

	return paths[rng_below(rng, ARRAY_SIZE(paths))];
}

static void lay_over(struct store *s, const char *path, int step, struct rng *rng)
{
	const char *text = unit_path("<%d>", step);
	const struct store_range range = { rng_below(rng, 12), strlen(text), text };
	struct store_staging *st = NULL;
	struct store_attr attr;
	struct node *n;
	uint64_t end;

	if (ops_find(s, path, &n) < 0)
		return;
	store_getattr(s, n, &attr);
	if (S_ISREG(attr.mode)) {
		assert_int_equal(store_stage(s, &st, &range, 1), 0);
		assert_int_equal(
			store_publish(s, n, &st,
				      &(struct store_content){
					      .keep = true,
					      .bytes = rng_below(rng, 20),
					      .written_at = (struct timespec){ .tv_sec = 1 } },
				      &end),
			0);
	}
	store_unpin(s, n, 1);
}

static void random_change(struct store *s, int step, struct rng *rng)
{
	const char *path = random_path(rng), *other = random_path(rng);

	switch (rng_below(rng, 9)) {
	case 0:
		(void)!ops_mkdir(s, path);
		break;
	case 1:
		(void)!ops_rename(s, path, other, 0);
		break;
	case 2:
		(void)!ops_rename(s, path, other, RENAME_EXCHANGE);
		break;
	case 3:
		(void)!ops_unlink(s, path);
		break;
	case 4:
		(void)!ops_rmdir(s, path);
		break;
	case 5:
	case 6:
		lay_over(s, path, step, rng);
		break;
	default:
		(void)!ops_write(s, path, unit_path("v%d", step));
	}
}

/* Every file that a tree had: its path still shows that content. */
static void check_tree(struct history *h, const char *tree)
{
	char *copy = strdup(tree), *state, *word;

	assert_non_null(copy);
	for (word = strtok_r(copy, ",", &state); word != NULL; word = strtok_r(NULL, ",", &state)) {
		char *value = strchr(word, '='), *text;

		word += word[0] == ' ';
		if (word[0] != 'f')
			continue;
		*value++ = '\0';
		text = history_text(h, word + 2);
		if (strstr(strcat(text, " "), unit_path("=%s ", value)) == NULL)
			fail_msg("'%s' was once '%s', and its history is '%s'", word + 2, value,
				 text);
		free(text);
	}
	free(copy);
}

static void test_random(void **state)
{
	struct store_fixture *f = *state;

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct rng rng = { rng_mix(seed, 1, 2) };
		char *trees[STEPS], *grown, *fresh;
		struct history *h, *again;

		fixture_open_store(f);
		assert_int_equal(open_history(f, 0, &h), 0);
		for (int i = 0; i < STEPS; i++) {
			random_change(f->s, i, &rng);
			trees[i] = dump_tree(f->s);
			if (rng_below(&rng, 20) == 0)
				assert_int_equal(store_rotate(f->s), 0);
			if (rng_below(&rng, 4) == 0)
				assert_int_equal(history_refresh(h, NULL), 0);
		}
		assert_int_equal(history_refresh(h, NULL), 0);
		for (int i = 0; i < STEPS; i++) {
			check_tree(h, trees[i]);
			free(trees[i]);
		}
		/* Read in one go, or as it grew. */
		assert_int_equal(open_history(f, 0, &again), 0);
		for (size_t i = 0; i < 40; i++) {
			const char *path = random_path(&rng);

			grown = history_text(h, path);
			fresh = history_text(again, path);
			assert_string_equal(grown, fresh);
			free(grown);
			free(fresh);
		}
		history_close(h);
		history_close(again);
		fixture_close_store(f);
		unit_tmpdir_remove(strdup(f->data_dir));
	}
}

int main(void)
{
	static struct CMUnitTest tests[ARRAY_SIZE(logs) + 5];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(logs); i++)
		tests[n++] =
			(struct CMUnitTest){ logs[i].name, test_log, store_fixture_setup,
					     store_fixture_teardown, (void *)(uintptr_t)&logs[i] };
#define ADD(test)                                                                                  \
	tests[n++] = (struct CMUnitTest)cmocka_unit_test_setup_teardown(test, store_fixture_setup, \
									store_fixture_teardown)
	ADD(test_attributes);
	ADD(test_refresh);
	ADD(test_wrong_crc);
	ADD(test_same_timestamp);
	ADD(test_random);
	return unit_run("history", tests, n);
}
