/* SPDX-License-Identifier: MIT */
/* The set of files that MANIFEST lists: whatever is not as it says is refused and left as it is;
 * what is between two states of it is completed; what is not in it is nobody's.  Every cut and
 * every failing call: tests/crash, tests/fault. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codec/crc32.h"
#include "codec/manifest.h"
#include "codec/meta.h"
#include "codec/record.h"
#include "codec/synced.h"
#include "tests/unit/log_fixture.h"
#include "writer/log/file_set.h"
#include "writer/log_writer.h"
#include "writer/log/manifest_file.h"

#define SEGMENT_BYTES	    1100
#define VALUE_BYTES	    480
#define RECORD_BYTES	    (RECORD_HEADER_BYTES + 2 + VALUE_BYTES)
#define NUMBER_RECORD_BYTES 48 /* that each segment but the first begins with */
#define FIRST_BYTES	    (2 * RECORD_BYTES)
#define FULL_BYTES	    (NUMBER_RECORD_BYTES + FIRST_BYTES)
#define SEALED		    3 /* segments of make_sealed() */
#define KEYS		    "k0 k1 k2 k3 k4 k5 k6 "
#define KEYS_BYTES	    4096
#define TEXT_BYTES	    16384

/* --- a log --- */

static int add_key(void *arg, const struct log_entry *entries, size_t entry_count,
		   struct diag *diag)
{
	char *keys = arg;
	size_t used = strlen(keys);

	(void)diag;
	for (size_t i = 0; i < entry_count; i++)
		if (!meta_is_key(entries[i].rec.key, entries[i].rec.key_bytes))
			used += (size_t)snprintf(keys + used, KEYS_BYTES - used, "%.*s ",
						 (int)entries[i].rec.key_bytes,
						 (const char *)entries[i].rec.key);
	return 0;
}

static int try_open(struct log_fixture *f, const struct log_writer_config *more,
		    char keys[KEYS_BYTES], struct diag *diag)
{
	struct log_writer_config config = *more;

	config.file_path = f->path;
	config.fsync_interval_ns = LOG_WRITER_NEVER;
	config.segment_size_bytes = SEGMENT_BYTES;
	config.io = probe_io(f->probe);
	keys[0] = '\0';
	return log_writer_open_replay(&config, add_key, keys, &f->w, NULL, diag);
}

static const struct log_writer_config quiet = { .no_background = true };
static const struct log_writer_config reader = { .read_only = true };

static void open_as(struct log_fixture *f, const struct log_writer_config *more,
		    const char *want_keys)
{
	char keys[KEYS_BYTES];
	struct diag diag = { "" };

	if (try_open(f, more, keys, &diag) < 0)
		fail_msg("open: %s", diag.text);
	assert_string_equal(keys, want_keys);
}

static void open_log(struct log_fixture *f, const char *want_keys)
{
	open_as(f, &quiet, want_keys);
}

static void put(struct log_fixture *f, const char *key)
{
	uint8_t value[VALUE_BYTES];

	memset(value, key[1], sizeof(value));
	assert_int_equal(log_writer_put(f->w, key, 2, value, sizeof(value), NULL), 0);
}

/* Three sealed segments of two records each, and one with one; closed.  With 'hints' each has its
 * own. */
static void make_sealed(struct log_fixture *f, bool hints)
{
	open_log(f, "");
	for (unsigned int i = 0; i < 2 * SEALED + 1; i++)
		put(f, unit_path("k%u", i));
	fixture_close(f);
	open_log(f, KEYS); /* adds the digests, and makes the hints */
	fixture_close(f);
	for (unsigned int i = 1; !hints && i <= SEALED; i++)
		assert_int_equal(unlink(fixture_beside(f, unit_path("%06u.hint", i))), 0);
	if (!hints)
		assert_int_equal(unlink(fixture_beside(f, "active.hint")), 0);
}

static const char *segment_path(const struct log_fixture *f, uint64_t number)
{
	return fixture_beside(f, unit_path("%06lu.data", (unsigned long)number));
}

/* --- the directory --- */

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static size_t list_names(const char *dir, char *names[256])
{
	const struct dirent *entry;
	DIR *d = opendir(dir);
	size_t count = 0;

	assert_non_null(d);
	while ((entry = readdir(d)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		assert_true(count < 256);
		names[count++] = strdup(entry->d_name);
	}
	assert_int_equal(closedir(d), 0);
	qsort(names, count, sizeof(names[0]), compare_names);
	return count;
}

/* Hints are made from segments again, a mark that is empty says nothing, nor does a reserve. */
static bool is_of_no_account(const char *path)
{
	const char *end = strrchr(path, '.');

	return end != NULL && (strcmp(end, ".hint") == 0 || strcmp(end, ".manifest") == 0 ||
			       (strcmp(end, ".synced") == 0 && unit_file_bytes(path) == 0));
}

/* Every file of the log's directory with its size and the CRC of its bytes. */
static char *dump_dir(const struct log_fixture *f)
{
	char *names[256], *text = calloc(1, TEXT_BYTES);
	size_t count = list_names(fixture_beside(f, ""), names), used = 0;

	assert_non_null(text);
	for (size_t i = 0; i < count; i++) {
		const char *path = fixture_beside(f, names[i]);
		struct unit_file file = { 0 };
		struct stat st;

		assert_int_equal(lstat(path, &st), 0);
		if (S_ISREG(st.st_mode))
			file = unit_read_file(path);
		used += is_of_no_account(path)
				? 0
				: (size_t)snprintf(text + used, TEXT_BYTES - used, "%s %zu %08x\n",
						   names[i], file.bytes,
						   crc32_extend(0, file.data, file.bytes));
		free(file.data);
		free(names[i]);
	}
	return text;
}

/* Opening fails with 'err', says 'text', and leaves everything as it is; for a reader, too. */
static void assert_refused(struct log_fixture *f, int err, const char *text)
{
	const struct log_writer_config *both[] = { &reader, &quiet };
	char *before = dump_dir(f), *after, keys[KEYS_BYTES];
	struct diag diag = { "" };

	for (size_t i = 0; i < ARRAY_SIZE(both); i++) {
		if (try_open(f, both[i], keys, &diag) != err)
			fail_msg("not %d with '%s' but '%s'", err, text, diag.text);
		if (strstr(diag.text, text) == NULL)
			fail_msg("not '%s' but '%s'", text, diag.text);
		after = dump_dir(f);
		assert_string_equal(after, before);
		free(after);
	}
	free(before);
}

static void swap_files(struct log_fixture *f, const char *a, const char *b)
{
	const char *between = fixture_beside(f, "between");

	assert_int_equal(rename(fixture_beside(f, a), between), 0);
	assert_int_equal(rename(fixture_beside(f, b), fixture_beside(f, a)), 0);
	assert_int_equal(rename(between, fixture_beside(f, b)), 0);
}

/* --- sealed segments that are not as MANIFEST says --- */

static void remove_it(struct log_fixture *f, uint64_t number)
{
	assert_int_equal(unlink(segment_path(f, number)), 0);
}

static void cut_a_record(struct log_fixture *f, uint64_t number)
{
	const char *path = segment_path(f, number);

	assert_int_equal(truncate(path, (off_t)unit_file_bytes(path) - RECORD_BYTES), 0);
}

static void empty_it(struct log_fixture *f, uint64_t number)
{
	assert_int_equal(truncate(segment_path(f, number), 0), 0);
}

static void add_a_byte(struct log_fixture *f, uint64_t number)
{
	const char *path = segment_path(f, number);

	assert_int_equal(truncate(path, (off_t)unit_file_bytes(path) + 1), 0);
}

/* Whole records of the right times: the last one twice. */
static void add_a_record(struct log_fixture *f, uint64_t number)
{
	struct unit_file file = unit_read_file(segment_path(f, number));
	uint8_t *longer = malloc(file.bytes + RECORD_BYTES);

	assert_non_null(longer);
	memcpy(longer, file.data, file.bytes);
	memcpy(longer + file.bytes, file.data + file.bytes - RECORD_BYTES, RECORD_BYTES);
	unit_write_file(segment_path(f, number), longer, file.bytes + RECORD_BYTES);
	free(longer);
	free(file.data);
}

/* The last record is another one, with the right CRC, of the same key, size and time. */
static void rewrite_last(struct log_fixture *f, uint64_t number)
{
	struct unit_file file = unit_read_file(segment_path(f, number));
	uint8_t *at = file.data + file.bytes - RECORD_BYTES, value[VALUE_BYTES] = { 1 };
	struct record_scan_result got;

	assert_int_equal(record_scan(at, RECORD_BYTES, RECORD_BYTES, &got), RECORD_WHOLE);
	got.rec.value = value;
	got.rec.key = "k?";
	record_encode(&got.rec, at);
	unit_write_file(segment_path(f, number), file.data, file.bytes);
	free(file.data);
}

/* Takes the segment of that number from a store that was written in the same way. */
static void take_from_another(struct log_fixture *f, uint64_t number)
{
	struct log_fixture other = *f;
	struct unit_file file;
	char *path;

	assert_true(asprintf(&path, "%s/other/active.data", f->dir) > 0);
	other.path = path;
	open_log(&other, "");
	for (unsigned int i = 0; i < 2 * SEALED + 1; i++)
		put(&other, unit_path("k%u", i));
	fixture_close(&other);
	file = unit_read_file(unit_path("%s/other/%06lu.data", f->dir, (unsigned long)number));
	unit_write_file(segment_path(f, number), file.data, file.bytes);
	free(file.data);
	free(path);
}

static const struct damage_case {
	const char *name;
	void (*damage)(struct log_fixture *f, uint64_t number);
	const char *text; /* behind the name of the file */
	const char *text_of_first;
} damage_cases[] = {
	{ "missing", remove_it, "is missing", NULL },
	{ "cut at a record", cut_a_record, "has 550 bytes, and 1052 by MANIFEST",
	  "has 502 bytes, and 1004 by MANIFEST" },
	{ "emptied", empty_it, "has 0 bytes, and 1052 by MANIFEST",
	  "has 0 bytes, and 1004 by MANIFEST" },
	{ "a byte longer", add_a_byte, "has 1053 bytes, and 1052 by MANIFEST",
	  "has 1005 bytes, and 1004 by MANIFEST" },
	{ "a record longer", add_a_record, "has 1554 bytes, and 1052 by MANIFEST",
	  "has 1506 bytes, and 1004 by MANIFEST" },
	{ "the last record is another", rewrite_last, "is another file than the one", NULL },
	{ "of another store", take_from_another,
	  "does not begin with a segment record of this store", "is another file than the one" },
};

#define DAMAGE_ROWS (ARRAY_SIZE(damage_cases) * SEALED * 2)

static void test_damage(void **state)
{
	struct log_fixture *f = *state;
	size_t row = (size_t)(uintptr_t)f->row;
	const struct damage_case *c = &damage_cases[row / 2 / SEALED];
	uint64_t number = 1 + row / 2 % SEALED;
	char text[256];

	make_sealed(f, row % 2 != 0);
	c->damage(f, number);
	(void)snprintf(text, sizeof(text), "%06lu.data: ", (unsigned long)number);
	assert_refused(f, -EBADMSG, text);
	assert_refused(f, -EBADMSG,
		       number == 1 && c->text_of_first != NULL ? c->text_of_first : c->text);
}

static const struct swap_case {
	unsigned int a, b;
	const char *text;
} swap_cases[] = {
	{ 1, 2, "000001.data: has 1052 bytes, and 1004 by MANIFEST" },
	{ 1, 3, "000001.data: has 1052 bytes, and 1004 by MANIFEST" },
	{ 2, 3,
	  "000002.data: says that it is segment 3 of the log, and stands where segment 2 should "
	  "be" },
};

static void test_swapped(void **state)
{
	struct log_fixture *f = *state;
	const struct swap_case *c = f->row;

	make_sealed(f, true);
	swap_files(f, unit_path("%06u.data", c->a), unit_path("%06u.data", c->b));
	assert_refused(f, -EBADMSG, c->text);
	swap_files(f, unit_path("%06u.hint", c->a), unit_path("%06u.hint", c->b));
	assert_refused(f, -EBADMSG, c->text);
	(void)unlink(fixture_beside(f, unit_path("%06u.hint", c->a)));
	(void)unlink(fixture_beside(f, unit_path("%06u.hint", c->b)));
	assert_refused(f, -EBADMSG, c->text);
	swap_files(f, unit_path("%06u.data", c->a), unit_path("%06u.data", c->b));
	open_log(f, KEYS);
}

/* A missing segment can be accepted, and stays listed: an open that does not accept it reports it
 * again. */
static void test_accepted(void **state)
{
	const struct log_writer_config accepting = { .no_background = true,
						     .accept_missing_segments = true };
	struct log_fixture *f = *state;
	struct unit_file saved;

	make_sealed(f, true);
	saved = unit_read_file(segment_path(f, 2));
	assert_int_equal(unlink(segment_path(f, 2)), 0);
	assert_refused(f, -EBADMSG, "000002.data: is missing");
	open_as(f, &accepting, "k0 k1 k4 k5 k6 ");
	put(f, "k7");
	assert_int_equal(log_writer_rotate(f->w), 0);
	fixture_close(f);
	assert_refused(f, -EBADMSG, "000002.data: is missing");
	unit_write_file(segment_path(f, 2), saved.data, saved.bytes); /* it is found again */
	open_log(f, KEYS "k7 ");
	fixture_close(f);
	assert_int_equal(unlink(segment_path(f, 4)), 0); /* the last one */
	assert_refused(f, -EBADMSG, "000004.data: is missing");
	open_as(f, &accepting, "k0 k1 k2 k3 k4 k5 ");
	put(f, "k8");
	assert_int_equal(log_writer_rotate(f->w), 0);
	fixture_close(f);
	open_as(f, &accepting, "k0 k1 k2 k3 k4 k5 k8 ");
	fixture_close(f);
	/* Nothing else is. */
	unit_write_file(segment_path(f, 2), saved.data, saved.bytes - 1);
	assert_int_equal(
		log_writer_open(&(struct log_writer_config){ .file_path = f->path,
							     .segment_size_bytes = 1100,
							     .accept_missing_segments = true },
				&f->w, NULL),
		-EBADMSG);
	free(saved.data);
}

/* --- MANIFEST itself --- */

static void forget_mark(struct log_fixture *f)
{
	assert_int_equal(unlink(fixture_beside(f, "active.synced")), 0);
}

static void test_manifest_missing(void **state)
{
	struct log_fixture *f = *state;

	make_sealed(f, true);
	assert_int_equal(rename(fixture_beside(f, "MANIFEST"), fixture_beside(f, "elsewhere")), 0);
	assert_refused(f, -EBADMSG, "MANIFEST: is missing, and the durable mark says that there");
	forget_mark(f); /* the segments say so, too */
	assert_refused(f, -EBADMSG, "000002.data: begins with the number of a segment");
	assert_int_equal(rename(fixture_beside(f, "elsewhere"), fixture_beside(f, "MANIFEST")), 0);
	open_log(f, KEYS);
}

static void test_manifest_damaged(void **state)
{
	struct log_fixture *f = *state;
	struct unit_file file;
	char *later;
	size_t line;

	make_sealed(f, true);
	file = unit_read_file(fixture_beside(f, "MANIFEST"));
	file.data[file.bytes / 2] ^= 1;
	unit_write_file(fixture_beside(f, "MANIFEST"), file.data, file.bytes);
	assert_refused(f, -EBADMSG, "MANIFEST: it is damaged: its CRC does not match");
	file.data[file.bytes / 2] ^= 1;
	unit_write_file(fixture_beside(f, "MANIFEST"), file.data, file.bytes - 1);
	assert_refused(f, -EBADMSG, "MANIFEST: it is damaged: its CRC does not match");
	unit_write_file(fixture_beside(f, "MANIFEST"), "", 0);
	assert_refused(f, -EBADMSG, "MANIFEST: it is damaged: its CRC does not match");
	/* With the right CRC. */
	line = strlen("crc32 00000000\n");
	file.data[strlen("freyjafs manifest ")] = '2';
	assert_true(asprintf(&later, "%.*scrc32 %08x\n", (int)(file.bytes - line),
			     (char *)file.data, crc32_extend(0, file.data, file.bytes - line)) > 0);
	unit_write_file(fixture_beside(f, "MANIFEST"), later, file.bytes);
	assert_refused(f, -EPROTONOSUPPORT, "MANIFEST: it was written by a later version");
	assert_int_equal(unlink(fixture_beside(f, "MANIFEST")), 0);
	assert_int_equal(mkdir(fixture_beside(f, "MANIFEST"), 0700), 0);
	assert_refused(f, -EINVAL, "MANIFEST: cannot read it: not a regular file");
	free(later);
	free(file.data);
}

/* One of an earlier moment: all that was sealed since is there, and not in it. */
static void test_manifest_older(void **state)
{
	struct log_fixture *f = *state;
	struct unit_file file;

	open_log(f, "");
	put(f, "k0");
	put(f, "k1");
	put(f, "k2");
	assert_int_equal(log_writer_seal(f->w), 0);
	file = unit_read_file(fixture_beside(f, "MANIFEST"));
	for (unsigned int i = 3; i < 7; i++)
		put(f, unit_path("k%u", i));
	fixture_close(f);
	unit_write_file(fixture_beside(f, "MANIFEST"), file.data, file.bytes);
	assert_refused(f, -EBADMSG, "000002.data: is not in MANIFEST, which ends before segment 2");
	free(file.data);
}

/* A temporary one of a change that did not come to its end is not looked at. */
static void test_manifest_temporary(void **state)
{
	struct log_fixture *f = *state;

	make_sealed(f, true);
	unit_write_file(fixture_beside(f, "MANIFEST.new"), "half", 4);
	open_as(f, &reader, KEYS);
	fixture_close(f);
	open_log(f, KEYS);
	assert_int_equal(log_writer_rotate(f->w), 0);
	assert_false(unit_exists(fixture_beside(f, "MANIFEST.new")));
}

/* --- the active segment --- */

static void test_active_missing(void **state)
{
	struct log_fixture *f = *state;
	char keys[KEYS_BYTES];
	struct diag diag;

	make_sealed(f, false);
	assert_int_equal(rename(f->path, fixture_beside(f, "elsewhere")), 0);
	assert_int_equal(try_open(f, &quiet, keys, &diag), -EBADMSG);
	assert_non_null(strstr(diag.text, "active.data: is missing, and with it 550 bytes that"));
	assert_refused(f, -EBADMSG, "active.data: is missing, and with it 550 bytes that");
	forget_mark(f); /* MANIFEST knows, too */
	assert_refused(f, -EBADMSG, "active.data: is missing, and with it 550 bytes that");
	assert_false(unit_exists(f->path));
	assert_false(unit_exists(fixture_beside(f, "active.synced")));
	assert_int_equal(rename(fixture_beside(f, "elsewhere"), f->path), 0);
	open_log(f, KEYS);
}

static void test_active_others(void **state)
{
	struct log_fixture *f = *state;
	struct unit_file active, file;

	make_sealed(f, false);
	active = unit_read_file(f->path);
	assert_int_equal(truncate(f->path, 0), 0);
	assert_refused(f, -EBADMSG, "active.data: ends at offset 0, though");
	file = unit_read_file(segment_path(f, 3));
	unit_write_file(f->path, file.data, file.bytes);
	assert_refused(f, -EBADMSG, "active.data: says that it is segment 3 of the log");
	free(file.data);
	file = unit_read_file(segment_path(f, 1));
	unit_write_file(f->path, file.data, file.bytes);
	assert_refused(f, -EBADMSG, "active.data: stands where segment 4 of the log should be");
	unit_write_file(f->path, active.data, active.bytes);
	open_log(f, KEYS);
	free(file.data);
	free(active.data);
}

/* --- files that are not in MANIFEST --- */

static void test_strangers(void **state)
{
	static const char *const names[] = {
		"000002.7.data", "000001.4.data",	"000099.data.bak", "000002.data.orig",
		"000001.5.full", "MANIFEST.bak",	"active.data.old", "notes.txt",
		"MANIFEST.old",	 "000001.data.new.tmp", "0000002.data",	   "2.data",
		".hidden.data",	 "000004.data~",
	};
	struct log_fixture *f = *state;
	struct unit_file file;

	make_sealed(f, true);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		unit_write_file(fixture_beside(f, names[i]), names[i], strlen(names[i]));
	assert_int_equal(mkdir(fixture_beside(f, "000003.9.data"), 0700), 0);
	open_as(f, &reader, KEYS);
	fixture_close(f);
	open_log(f, KEYS);
	put(f, "k7");
	put(f, "k8");
	assert_int_equal(log_writer_rotate(f->w), 0);
	fixture_close(f);
	open_log(f, KEYS "k7 k8 ");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		file = unit_read_file(fixture_beside(f, names[i]));
		assert_int_equal(file.bytes, strlen(names[i]));
		assert_memory_equal(file.data, names[i], file.bytes);
		free(file.data);
	}
	assert_true(unit_exists(fixture_beside(f, "000003.9.data")));
}

/* One that could be a part of the log that MANIFEST does not know is not passed over. */
static void test_strangers_behind_the_end(void **state)
{
	static const struct {
		const char *name, *text;
	} rows[] = {
		{ "000004.data", "000004.data: is not in MANIFEST" },
		{ "000005.data", "000005.data: is not in MANIFEST" },
		{ "000099.2.data", "000099.2.data: is not in MANIFEST" },
		{ "000006.4.full", "000004.data: is missing" },
	};
	struct log_fixture *f = *state;

	make_sealed(f, true);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		unit_write_file(fixture_beside(f, rows[i].name), "what", 4);
		assert_refused(f, -EBADMSG, rows[i].text);
		assert_int_equal(unlink(fixture_beside(f, rows[i].name)), 0);
	}
	/* No step of a rotation leaves two files of one number. */
	unit_write_file(fixture_beside(f, "000004.4.full"), "what", 4);
	unit_write_file(fixture_beside(f, "000004.5.full"), "whats", 5);
	assert_refused(f, -EBADMSG, "000004.4.full and 000004.5.full are the same segment");
	assert_int_equal(unlink(fixture_beside(f, "000004.4.full")), 0);
	assert_int_equal(unlink(fixture_beside(f, "000004.5.full")), 0);
	open_log(f, KEYS);
}

/* Files that can be made again, or were never complete, are removed. */
static void test_leftovers(void **state)
{
	static const char *const names[] = { "000002.2.data.new",   "000009.data.new",
					     "000009.hint",	    "000002.2.hint",
					     "000001.hint.new",	    "MANIFEST.new",
					     "MANIFEST.replaced",   "000002.data.replaced",
					     "active.data.replaced" };
	struct log_fixture *f = *state;

	make_sealed(f, true);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		unit_write_file(fixture_beside(f, names[i]), "half", 4);
	unit_write_file(fixture_beside(f, "000002.data.old"), "mine", 4);
	open_as(f, &reader, KEYS);
	fixture_close(f);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_true(unit_exists(fixture_beside(f, names[i])));
	open_log(f, KEYS);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_false(unit_exists(fixture_beside(f, names[i])));
	assert_true(unit_exists(fixture_beside(f, "000002.hint")));
	assert_true(unit_exists(fixture_beside(f, "000002.data.old")));
}

/* --- between two states --- */

/* Killed after MANIFEST has listed a rotated segment, before that has its name. */
static void test_listed_not_named(void **state)
{
	struct log_fixture *f = *state;

	make_sealed(f, false);
	assert_int_equal(rename(segment_path(f, 1), fixture_beside(f, "000001.1004.full")), 0);
	assert_int_equal(rename(segment_path(f, 3), fixture_beside(f, "000003.1052.full")), 0);
	open_as(f, &reader, KEYS);
	fixture_close(f);
	assert_true(unit_exists(fixture_beside(f, "000003.1052.full")));
	open_log(f, KEYS);
	for (uint64_t number = 1; number <= SEALED; number++)
		assert_true(unit_exists(segment_path(f, number)));
	assert_false(unit_exists(fixture_beside(f, "000001.1004.full")));
	assert_false(unit_exists(fixture_beside(f, "000003.1052.full")));
	fixture_close(f);
	/* It is a sealed one all the same: nothing of it is cut. */
	assert_int_equal(rename(segment_path(f, 2), fixture_beside(f, "000002.1052.full")), 0);
	assert_int_equal(truncate(fixture_beside(f, "000002.1052.full"), FULL_BYTES - 1), 0);
	assert_refused(f, -EBADMSG, "has 1051 bytes, and 1052 by MANIFEST");
}

/* A power cut may leave the old MANIFEST or the new one: no file gets a name that the old one does
 * not list, and the log promises nothing more. */
static void test_list_not_durable(void **state)
{
	static const struct fault_plan second = { .at = 2, /* behind that of MANIFEST.new */
						  .times = 1,
						  .kinds = IOCALL_BIT(IOCALL_FSYNC),
						  .action = FAULT_ERROR,
						  .err = -EIO };
	struct log_fixture *f = *state;
	struct log_writer *w;

	open_log(f, "");
	for (unsigned int i = 0; i < 3; i++)
		put(f, unit_path("k%u", i));
	assert_int_equal(log_writer_sync(f->w), 0);
	faultio_set_plan(probe_faults(f->probe), &second);
	assert_int_equal(log_writer_seal(f->w), -EIO);
	probe_heal(f->probe);
	assert_int_equal(log_writer_seal(f->w), -EIO);
	assert_int_equal(log_writer_put(f->w, "kx", 2, "v", 1, NULL), -EIO);
	w = f->w;
	f->w = NULL;
	assert_int_equal(log_writer_close(w), -EIO);
	assert_true(unit_exists(fixture_beside(f, "000001.1004.full")));
	assert_false(unit_exists(segment_path(f, 1)));
	open_log(f, "k0 k1 k2 ");
	assert_true(unit_exists(segment_path(f, 1)));
}

/* Writes a new generation of a segment, with the same bytes. */
static struct log_new_segment write_again(struct log_fixture *f, const struct segment *seg)
{
	struct log_new_segment n;
	uint8_t bytes[FULL_BYTES];

	assert_int_equal(pread(seg->fd, bytes, seg->bytes, 0), seg->bytes);
	assert_int_equal(log_writer_new_segment(f->w, seg->number, &n), 0);
	n.fd = open(fixture_beside(f, n.name), O_RDWR | O_CREAT | O_TRUNC, 0600);
	assert_true(n.fd >= 0);
	assert_int_equal(pwrite(n.fd, bytes, seg->bytes, 0), seg->bytes);
	assert_int_equal(fdatasync(n.fd), 0);
	n.bytes = seg->bytes;
	assert_int_equal(log_writer_check_new(f->w, &n, NULL, true), 0);
	return n;
}

static void replace(struct log_fixture *f, size_t index)
{
	struct log_new_segment n;
	struct segment old;
	bool installed = false;

	assert_true(log_writer_sealed(f->w, index, &old));
	n = write_again(f, &old);
	assert_int_equal(log_writer_install(f->w, &n, 1, false, &installed), 0);
	assert_true(installed);
	assert_int_equal(n.fd, -1);
	log_writer_retire(f->w, old.start);
}

static void test_replaced(void **state)
{
	struct log_fixture *f = *state;
	struct log_new_segment n;
	struct segment old;
	int at;

	make_sealed(f, true);
	unit_write_file(fixture_beside(f, "000002.2.data"), "taken", 5); /* by somebody else */
	open_log(f, KEYS);
	replace(f, 1);
	assert_true(unit_exists(segment_path(f, 2)));
	assert_true(unit_exists(fixture_beside(f, "000002.3.data")));
	assert_true(unit_exists(fixture_beside(f, "000002.3.hint")));
	log_writer_remove_replaced(f->w);
	assert_false(unit_exists(segment_path(f, 2)));
	assert_false(unit_exists(fixture_beside(f, "000002.hint")));
	/* It is listed as obsolete until it is gone for good. */
	at = probe_find_event(f->probe, "unlink:000002.data", 0);
	assert_true(at >= 0);
	at = probe_find_event(f->probe, "fsync:db", at);
	assert_true(at >= 0);
	assert_int_equal(probe_find_event(f->probe, "rename:MANIFEST.new", at), -1);
	replace(f, 1); /* and again */
	log_writer_remove_replaced(f->w);
	assert_false(unit_exists(fixture_beside(f, "000002.3.data")));
	/* One that is not installed leaves nothing. */
	assert_true(log_writer_sealed(f->w, 0, &old));
	n = write_again(f, &old);
	log_writer_drop_new(f->w, &n);
	assert_false(unit_exists(fixture_beside(f, "000001.2.data.new")));
	assert_false(unit_exists(fixture_beside(f, "000001.2.hint")));
	fixture_close(f);
	open_log(f, KEYS);
	assert_true(unit_exists(fixture_beside(f, "000002.4.data")));
	assert_int_equal(unit_file_bytes(fixture_beside(f, "000002.2.data")), 5);
}

/* Killed between the steps of that. */
static void test_replaced_not_named(void **state)
{
	struct log_fixture *f = *state;

	make_sealed(f, true);
	open_log(f, KEYS);
	replace(f, 1);
	fixture_kill(f);
	assert_true(unit_exists(segment_path(f, 2))); /* the old one was not removed */
	assert_int_equal(
		rename(fixture_beside(f, "000002.2.data"), fixture_beside(f, "000002.2.data.new")),
		0);
	open_as(f, &reader, KEYS);
	fixture_close(f);
	assert_true(unit_exists(fixture_beside(f, "000002.2.data.new")));
	assert_true(unit_exists(segment_path(f, 2)));
	open_log(f, KEYS);
	assert_true(unit_exists(fixture_beside(f, "000002.2.data")));
	assert_false(unit_exists(fixture_beside(f, "000002.2.data.new")));
	assert_false(unit_exists(segment_path(f, 2))); /* it is listed as obsolete */
	fixture_close(f);
	/* The old one does not stand for the new one. */
	assert_int_equal(rename(fixture_beside(f, "000002.2.data"), segment_path(f, 2)), 0);
	assert_refused(f, -EBADMSG, "000002.2.data: is missing");
}

/* A power cut may leave either MANIFEST: the old file stays with the new one. */
static void test_replaced_not_durable(void **state)
{
	static const struct fault_plan third = { .at = 3, /* behind the names and MANIFEST.new */
						 .times = 1,
						 .kinds = IOCALL_BIT(IOCALL_FSYNC),
						 .action = FAULT_ERROR,
						 .err = -EIO };
	struct log_fixture *f = *state;
	struct log_new_segment n;
	bool installed = false;
	struct segment old;

	make_sealed(f, true);
	open_log(f, KEYS);
	assert_true(log_writer_sealed(f->w, 1, &old));
	n = write_again(f, &old);
	faultio_set_plan(probe_faults(f->probe), &third);
	assert_int_equal(log_writer_install(f->w, &n, 1, false, &installed), -EIO);
	probe_heal(f->probe);
	assert_true(installed);
	log_writer_retire(f->w, old.start);
	log_writer_remove_replaced(f->w);
	assert_true(unit_exists(segment_path(f, 2)));
	assert_true(unit_exists(fixture_beside(f, "000002.2.data")));
	fixture_kill(f);
	open_log(f, KEYS);
	assert_false(unit_exists(segment_path(f, 2)));
}

/* The new file could not get its name: the next one must not be written over it. */
static void test_replaced_under_a_temporary_name(void **state)
{
	static const struct fault_plan third = { .at = 3, /* behind its hint and MANIFEST.new */
						 .times = 1,
						 .kinds = IOCALL_BIT(IOCALL_RENAME),
						 .action = FAULT_ERROR,
						 .err = -EIO };
	struct log_fixture *f = *state;
	struct log_new_segment n;

	make_sealed(f, true);
	open_log(f, KEYS);
	for (uint64_t generation = 2; generation <= 3; generation++) {
		const char *name = unit_path("000002.%lu.data.new", (unsigned long)generation);

		assert_int_equal(log_writer_new_segment(f->w, 2, &n), 0);
		assert_string_equal(n.name, name);
		faultio_set_plan(probe_faults(f->probe), &third);
		replace(f, 1);
		probe_heal(f->probe);
		assert_true(unit_exists(fixture_beside(f, name)));
	}
	log_writer_remove_replaced(f->w);
	fixture_close(f);
	open_log(f, KEYS);
	assert_true(unit_exists(fixture_beside(f, "000002.3.data")));
}

/* --- logs without MANIFEST --- */

/* Writes a file of one record for each word of 'keys'; "B" is a base as of 'as_of_ns'. */
static void plant(struct log_fixture *f, const char *name, const char *keys, uint64_t first_ns,
		  uint64_t as_of_ns)
{
	const struct meta_base base = { .as_of_ns = as_of_ns };
	uint8_t bytes[4096], base_key[META_KEY_PREFIX_BYTES], base_value[META_BASE_BYTES];
	size_t used = 0;

	meta_key_prefix(META_BASE, base_key);
	meta_base_encode(&base, base_value);
	for (const char *word = keys; *word != '\0'; word += strcspn(word, " ") + 1) {
		struct record rec = { .timestamp_ns = first_ns++,
				      .key = word,
				      .key_bytes = (uint32_t)strcspn(word, " "),
				      .value = "value",
				      .value_bytes = 5 };

		if (*word == 'B') {
			rec.key = base_key;
			rec.key_bytes = sizeof(base_key);
			rec.value = base_value;
			rec.value_bytes = sizeof(base_value);
		}
		record_encode(&rec, bytes + used);
		used += record_bytes(rec.key_bytes, rec.value_bytes);
	}
	(void)mkdir(fixture_beside(f, ""), 0700);
	unit_write_file(fixture_beside(f, name), bytes, used);
}

static struct manifest read_manifest(const struct log_fixture *f)
{
	struct unit_file file = unit_read_file(fixture_beside(f, "MANIFEST"));
	struct manifest m;

	assert_int_equal(manifest_parse((const char *)file.data, file.bytes, &m), MANIFEST_OK);
	free(file.data);
	return m;
}

static size_t count_digests(const struct log_fixture *f)
{
	struct manifest m = read_manifest(f);
	size_t count = 0;

	for (size_t i = 0; i < m.count; i++)
		count += m.segments[i].facts.has_digest;
	manifest_free(&m);
	return count;
}

static void plant_old(struct log_fixture *f)
{
	plant(f, "000001.data", "a0 a1 ", 100, 0);
	plant(f, "000002.data", "b0 b1 b2 ", 200, 0);
	plant(f, "active.data", "c0 ", 300, 0);
}

static void test_adoption(void **state)
{
	struct log_fixture *f = *state;
	struct manifest m;

	plant_old(f);
	open_as(f, &reader, "a0 a1 b0 b1 b2 c0 ");
	fixture_close(f);
	assert_false(unit_exists(fixture_beside(f, "MANIFEST")));
	open_log(f, "a0 a1 b0 b1 b2 c0 ");
	m = read_manifest(f);
	assert_int_equal(m.count, 2);
	assert_int_equal(m.numbered_from, 4); /* the active one has no number */
	assert_int_equal(m.active_number, 3);
	assert_int_equal(m.segments[1].facts.records, 3);
	assert_int_equal(m.segments[1].facts.first_timestamp_ns, 200);
	assert_int_equal(m.segments[1].facts.last_timestamp_ns, 202);
	assert_int_equal(m.durable_number, 3);
	assert_true(m.segments[0].facts.has_digest && m.segments[1].facts.has_digest);
	assert_int_equal(m.obsolete_count, 0);
	manifest_free(&m);
	put(f, "k0");
	assert_int_equal(log_writer_rotate(f->w), 0); /* segment 3 */
	put(f, "k1");
	assert_int_equal(log_writer_rotate(f->w), 0); /* segment 4 */
	assert_int_equal(unit_file_bytes(segment_path(f, 4)), NUMBER_RECORD_BYTES + RECORD_BYTES);
	fixture_close(f);
	open_log(f, "a0 a1 b0 b1 b2 c0 k0 k1 ");
	fixture_close(f);
	assert_int_equal(unlink(segment_path(f, 2)), 0); /* it is a log with MANIFEST now */
	assert_refused(f, -EBADMSG, "000002.data: is missing");
}

/* The last steps of a rotation as version 0.1 did it. */
static void test_adoption_of_full_ones(void **state)
{
	struct log_fixture *f = *state;
	struct manifest m;

	plant(f, "000001.data", "a0 a1 ", 100, 0);
	plant(f, "000002.81.full", "b0 b1 b2 ", 200, 0);
	open_log(f, "a0 a1 b0 b1 b2 ");
	m = read_manifest(f);
	assert_int_equal(m.count, 2);
	assert_int_equal(m.numbered_from, 4);
	assert_int_equal(m.active_number, 3);
	manifest_free(&m);
	assert_true(unit_exists(segment_path(f, 2)));
	assert_false(unit_exists(fixture_beside(f, "000002.81.full")));
	fixture_close(f);
	open_log(f, "a0 a1 b0 b1 b2 ");
}

static void test_adoption_of_a_base(void **state)
{
	struct log_fixture *f = *state;
	struct manifest m;
	uint64_t bytes;

	plant(f, "000001.data", "a0 a1 ", 100, 0); /* folded, and not removed yet */
	plant(f, "000002.data", "b0 b1 ", 200, 0);
	plant(f, "000003.data", "B a1 b1 ", 250, 252);
	plant(f, "000004.data", "c0 ", 300, 0);
	plant(f, "active.data", "d0 ", 400, 0);
	unit_write_file(fixture_beside(f, "000001.hint"), "old", 3);
	open_as(f, &reader, "a1 b1 c0 d0 ");
	fixture_close(f);
	assert_true(unit_exists(segment_path(f, 1)));
	open_log(f, "a1 b1 c0 d0 ");
	assert_false(unit_exists(segment_path(f, 1)));
	assert_false(unit_exists(fixture_beside(f, "000001.hint")));
	assert_false(unit_exists(segment_path(f, 2)));
	m = read_manifest(f);
	assert_int_equal(m.count, 2);
	assert_true(m.segments[0].is_base);
	assert_int_equal(m.segments[0].id.number, 3);
	assert_false(m.segments[1].is_base);
	manifest_free(&m);
	fixture_close(f);
	open_log(f, "a1 b1 c0 d0 ");
	fixture_close(f);
	/* MANIFEST says that it is one. */
	bytes = unit_file_bytes(segment_path(f, 3));
	plant(f, "000003.data", "X a1 b1 000000000000000000 ", 250, 252);
	assert_int_equal(truncate(segment_path(f, 3), (off_t)bytes), 0);
	assert_refused(f, -EBADMSG,
		       "000003.data: is a base by MANIFEST, and does not begin as one");
}

/* Names that no version without MANIFEST gives. */
static void test_not_adopted(void **state)
{
	struct log_fixture *f = *state;

	plant_old(f);
	plant(f, "000002.2.data", "b0 b1 b2 ", 200, 0);
	assert_int_equal(unlink(segment_path(f, 2)), 0);
	assert_refused(f, -EBADMSG,
		       "MANIFEST: is missing, and 000002.2.data says that there was one");
	assert_int_equal(unlink(fixture_beside(f, "000002.2.data")), 0);
	plant(f, "000002.data", "b0 b1 b2 ", 200, 0);
	plant(f, "000002.81.full", "b0 b1 b2 ", 200, 0);
	assert_refused(f, -EBADMSG, "000002.data and 000002.81.full are the same segment");
	assert_int_equal(unlink(fixture_beside(f, "000002.81.full")), 0);
	open_log(f, "a0 a1 b0 b1 b2 c0 ");
}

/* A file before the base that is newer than it was not folded into it. */
static void test_misnamed_base(void **state)
{
	struct log_fixture *f = *state;

	plant(f, "000001.data", "a0 a1 ", 100, 0);
	plant(f, "000003.data", "B a1 ", 250, 252);
	plant(f, "000002.data", "c0 ", 300, 0);
	plant(f, "active.data", "d0 ", 400, 0);
	assert_refused(f, -EBADMSG,
		       "000002.data: stands before segment 000003, a base, and is newer");
	swap_files(f, "000002.data", "000003.data");
	open_log(f, "a1 c0 d0 ");
}

/* Where a hint was read there is no digest yet: the hinter adds it. */
static void test_digest_comes_later(void **state)
{
	struct log_fixture *f = *state;
	const struct synced mark = { .segment = 3 };
	uint8_t buf[SYNCED_BYTES];

	plant_old(f);
	open_log(f, "a0 a1 b0 b1 b2 c0 "); /* makes the hints */
	fixture_close(f);
	synced_encode(&mark, buf);
	unit_write_file(fixture_beside(f, "active.synced"), buf, sizeof(buf));
	assert_int_equal(unlink(fixture_beside(f, "MANIFEST")), 0);
	open_log(f, "a0 a1 b0 b1 b2 c0 ");
	assert_int_equal(count_digests(f), 0);
	fixture_close(f);
	open_as(f, &(struct log_writer_config){ 0 }, "a0 a1 b0 b1 b2 c0 ");
	WAIT_FOR(count_digests(f) == 2);
}

/* A store of another implementation, made by tests/tools/make_golden.py. */
static void test_golden_store(void **state)
{
	static const char *const names[] = { "000001.data", "000002.2.data", "active.data",
					     "MANIFEST", "active.synced" };
	struct log_fixture *f = *state;
	struct unit_file file;
	char *before, *after;

	assert_int_equal(mkdir(fixture_beside(f, ""), 0700), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		file = unit_read_file(unit_path(GOLDEN_DIR "/store/%s", names[i]));
		unit_write_file(fixture_beside(f, names[i]), file.data, file.bytes);
		free(file.data);
	}
	unit_write_file(fixture_beside(f, "000002.data"), "replaced", 8);
	before = dump_dir(f);
	open_as(f, &reader, "a dir/b a ");
	fixture_close(f);
	after = dump_dir(f);
	assert_string_equal(after, before);
	free(after);
	assert_int_equal(unlink(fixture_beside(f, "000002.data")), 0);
	free(before);
	before = dump_dir(f);
	open_log(f, "a dir/b a ");
	after = dump_dir(f);
	assert_string_equal(after, before); /* MANIFEST is as we would write it */
	free(before);
	free(after);
	fixture_close(f);
	unit_write_file(fixture_beside(f, "000002.data"), "replaced", 8);
	open_log(f, "a dir/b a ");
	assert_false(unit_exists(fixture_beside(f, "000002.data"))); /* as MANIFEST says */
}

/* --- readers beside a writer --- */

struct beside {
	const char *path;
	atomic_uint put;
	atomic_bool stop;
	atomic_uint rounds, wrong;
};

/* All records that were there before the open are there, and in order. */
static void *read_beside(void *arg)
{
	struct beside *b = arg;
	const struct log_writer_config config = { .file_path = b->path, .read_only = true };
	char keys[KEYS_BYTES], want[8];
	struct log_writer *w;

	while (!atomic_load(&b->stop)) {
		unsigned int at_least = atomic_load(&b->put), count;

		keys[0] = '\0';
		if (log_writer_open_replay(&config, add_key, keys, &w, NULL, NULL) < 0) {
			atomic_fetch_add(&b->wrong, 1);
			continue;
		}
		count = (unsigned int)strlen(keys) / 3;
		for (unsigned int i = 0; i < count; i++) {
			(void)snprintf(want, sizeof(want), "%c%c ", 'A' + i / 26, 'a' + i % 26);
			if (memcmp(keys + (size_t)i * 3, want, 3) != 0)
				atomic_fetch_add(&b->wrong, 1);
		}
		if (count < at_least || log_writer_close(w) < 0)
			atomic_fetch_add(&b->wrong, 1);
		atomic_fetch_add(&b->rounds, 1);
	}
	return NULL;
}

static void test_readers_beside(void **state)
{
	struct log_fixture *f = *state;
	struct beside b = { .path = f->path };
	pthread_t thread;
	struct segment seg;

	open_as(f, &(struct log_writer_config){ 0 }, "");
	assert_int_equal(pthread_create(&thread, NULL, read_beside, &b), 0);
	for (unsigned int i = 0; i < 400; i++) {
		put(f, unit_path("%c%c", 'A' + i / 26, 'a' + i % 26));
		atomic_store(&b.put, i + 1);
		if (i % 5 == 4)
			assert_int_equal(log_writer_seal(f->w), 0);
		if (i % 3 == 0 && log_writer_sealed(f->w, i / 7, &seg)) {
			replace(f, i / 7);
			log_writer_remove_replaced(f->w);
		}
	}
	WAIT_FOR(atomic_load(&b.rounds) > 10);
	atomic_store(&b.stop, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(atomic_load(&b.wrong), 0);
}

/* A full disk may leave a part of a record in the file, and the bytes before it are synced: the
 * durable position is the end of a record. */
static void test_durable_is_a_record_end(void **state)
{
	struct log_fixture *f = *state;
	const struct log_writer_config c = {
		.file_path = f->path,
		.fsync_interval_ns = LOG_WRITER_NEVER,
		.buffer_size_bytes = 4096,
		.segment_size_bytes = 20000,
		.no_background = true,
		.io = probe_io(f->probe),
	};
	uint8_t value[3000] = { 1 };
	struct diag diag = { "" };
	struct manifest m;

	assert_int_equal(log_writer_open(&c, &f->w, &diag), 0);
	for (int i = 0; i < 6; i++)
		assert_int_equal(log_writer_put(f->w, "aa", 2, value, sizeof(value), NULL), 0);
	assert_int_equal(log_writer_sync(f->w), 0);
	for (int i = 0; i < 3; i++) /* rotates; the last record is half in the file */
		assert_int_equal(log_writer_put(f->w, "bb", 2, value, sizeof(value), NULL), 0);
	probe_fail(f->probe, IOCALL_WRITEV, FAULT_FOR_EVER, -ENOSPC);
	assert_int_equal(log_writer_sync(f->w), -ENOSPC);
	assert_int_equal(log_writer_seal(f->w), 0);
	m = read_manifest(f);
	assert_int_equal(m.active_number, 2);
	manifest_free(&m);
	probe_heal(f->probe);
	fixture_kill(f);
	if (log_writer_open(&c, &f->w, &diag) < 0)
		fail_msg("open: %s", diag.text);
}

/* A store of version 0.1 may have a segment that was not sealed before one that is.  Killed at any
 * rename, the next open goes on. */
static void test_adopt_out_of_order(void **state)
{
	struct fault_plan plan = { .times = FAULT_FOR_EVER,
				   .kinds = IOCALL_BIT(IOCALL_RENAME),
				   .action = FAULT_ERROR,
				   .err = -EIO };
	struct log_fixture *f = *state;
	char keys[KEYS_BYTES];
	struct diag diag = { "" };

	for (plan.at = 1; plan.at < 8; plan.at++) {
		assert_int_equal(system(unit_path("rm -rf %s/db", f->dir)), 0);
		plant(f, "000001.data", "a0 a1 ", 100, 0);
		plant(f, "000002.81.full", "b0 b1 b2 ", 200, 0);
		plant(f, "000003.data", "c0 c1 ", 300, 0);
		plant(f, "active.data", "d0 ", 400, 0);
		faultio_set_plan(probe_faults(f->probe), &plan);
		if (try_open(f, &quiet, keys, &diag) == 0)
			(void)!log_writer_close(f->w);
		faultio_set_plan(probe_faults(f->probe), NULL);
		if (try_open(f, &quiet, keys, &diag) < 0)
			fail_msg("killed at rename %d: %s", (int)plan.at, diag.text);
		assert_string_equal(keys, "a0 a1 b0 b1 b2 c0 c1 d0 ");
		fixture_close(f);
	}
}

/* A first segment whose only record is as large as a segment record is not empty. */
static void test_as_large_as_a_number(void **state)
{
	struct log_fixture *f = *state;
	uint8_t value[26] = { 1 };

	open_log(f, "");
	assert_int_equal(log_writer_put(f->w, "k0", 2, value, sizeof(value), NULL), 0);
	assert_int_equal(log_writer_rotate(f->w), 0);
	assert_int_equal(fixture_stats(f).segments, 2);
}

/* The hint of a missing segment stays, for the repair of the store. */
static void test_hint_of_a_missing_one(void **state)
{
	const struct log_writer_config accept = { .accept_missing_segments = true,
						  .no_background = true };
	struct log_fixture *f = *state;
	char keys[KEYS_BYTES];
	struct diag diag = { "" };

	plant(f, "000001.data", "a0 a1 ", 100, 0);
	plant(f, "000002.data", "b0 b1 b2 ", 200, 0);
	plant(f, "active.data", "d0 ", 400, 0);
	assert_int_equal(try_open(f, &quiet, keys, &diag), 0);
	fixture_close(f);
	assert_true(unit_exists(fixture_beside(f, "000002.hint")));
	assert_int_equal(unlink(fixture_beside(f, "000002.data")), 0);
	assert_int_equal(try_open(f, &accept, keys, &diag), 0);
	fixture_close(f);
	assert_true(unit_exists(fixture_beside(f, "000002.hint")));
}

/* A mark with a number that no log can have is no reason to go on behind it, also where missing
 * segments are accepted. */
static void test_number_without_bounds(void **state)
{
	static const uint64_t numbers[] = { 4 + SEGMENTS_MISSING_MAX + 1, (uint64_t)1 << 60,
					    UINT64_MAX };
	const struct log_writer_config accept = { .accept_missing_segments = true,
						  .no_background = true };
	struct log_fixture *f = *state;
	char keys[KEYS_BYTES], *before, *after;
	uint8_t mark[SYNCED_BYTES];
	struct diag diag = { "" };

	make_sealed(f, false);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		synced_encode(&(struct synced){ numbers[i], 0, true }, mark);
		unit_write_file(fixture_beside(f, "active.synced"), mark, sizeof(mark));
		assert_refused(f, -EBADMSG, "segment 4 and ");
		before = dump_dir(f);
		assert_int_equal(try_open(f, &accept, keys, &diag), -EBADMSG);
		assert_non_null(strstr(diag.text, "more would be missing, and no log lacks so "));
		after = dump_dir(f);
		assert_string_equal(after, before);
		free(before);
		free(after);
	}
	synced_encode(&(struct synced){ 4 + SEGMENTS_MISSING_MAX, 0, true }, mark);
	unit_write_file(fixture_beside(f, "active.synced"), mark, sizeof(mark));
	assert_refused(f, -EBADMSG, "000004.data: is missing (and others)");
}

/* Writes a MANIFEST that a reader would refuse, and looks whether anything was changed. */
static void assert_not_written(struct log_fixture *f, const struct manifest *m, int err)
{
	int dir_fd = open(fixture_beside(f, "."), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool replaced = true;
	char *before = dump_dir(f), *after;

	assert_true(dir_fd >= 0);
	assert_int_equal(manifest_file_write(probe_io(f->probe), dir_fd, m, &replaced), err);
	assert_false(replaced);
	(void)close(dir_fd);
	after = dump_dir(f);
	assert_string_equal(after, before);
	free(before);
	free(after);
}

static void test_not_written(void **state)
{
	struct log_fixture *f = *state;
	struct manifest good, m;
	struct manifest_segment far = { .id = { 0, UINT64_MAX / 4 }, .bytes = UINT64_MAX };

	make_sealed(f, false);
	good = m = read_manifest(f);
	m.active_number = SEALED; /* that is listed */
	assert_not_written(f, &m, -EINVAL);
	m = good;
	m.durable_number = m.active_number - 1;
	assert_not_written(f, &m, -EINVAL);
	m.active_number = m.durable_number = UINT64_MAX / 2;
	assert_not_written(f, &m, -EINVAL);
	m = good;
	m.numbered_from = 0;
	assert_not_written(f, &m, -EINVAL);
	m = good;
	m.segments[1].id.generation = UINT64_MAX; /* not a name */
	assert_not_written(f, &m, -EINVAL);
	m.segments[1].id = m.segments[0].id;
	assert_not_written(f, &m, -EINVAL);
	manifest_free(&m);
	/* One that is too large. */
	m = read_manifest(f);
	far.facts = (struct manifest_facts){ UINT64_MAX, UINT64_MAX, UINT64_MAX, 1, true };
	for (size_t i = 0; i < MANIFEST_BYTES_MAX / 128; i++) {
		far.id.number = m.active_number++;
		assert_true(manifest_add(&m, &far));
	}
	m.durable_number = m.active_number;
	assert_not_written(f, &m, -EFBIG);
	manifest_free(&m);
}

int main(void)
{
	static const struct {
		const char *name;
		CMUnitTestFunction fn;
	} plain[] = {
		{ "durable is the end of a record", test_durable_is_a_record_end },
		{ "adopted out of order", test_adopt_out_of_order },
		{ "as large as a segment record", test_as_large_as_a_number },
		{ "the hint of a missing segment", test_hint_of_a_missing_one },
		{ "a number without bounds", test_number_without_bounds },
		{ "a MANIFEST that is not written", test_not_written },
		{ "MANIFEST is missing", test_manifest_missing },
		{ "MANIFEST is damaged", test_manifest_damaged },
		{ "MANIFEST is older", test_manifest_older },
		{ "a temporary MANIFEST", test_manifest_temporary },
		{ "the active segment is missing", test_active_missing },
		{ "the active segment is another file", test_active_others },
		{ "strangers are left alone", test_strangers },
		{ "strangers behind the end", test_strangers_behind_the_end },
		{ "leftovers", test_leftovers },
		{ "listed, not named", test_listed_not_named },
		{ "listed, and that is not durable", test_list_not_durable },
		{ "missing ones are accepted", test_accepted },
		{ "replaced", test_replaced },
		{ "replaced, not named", test_replaced_not_named },
		{ "replaced, not durable", test_replaced_not_durable },
		{ "replaced, under a temporary name", test_replaced_under_a_temporary_name },
		{ "adoption", test_adoption },
		{ "adoption of rotated ones", test_adoption_of_full_ones },
		{ "adoption of a base", test_adoption_of_a_base },
		{ "not adopted", test_not_adopted },
		{ "a misnamed base", test_misnamed_base },
		{ "a digest comes later", test_digest_comes_later },
		{ "golden store", test_golden_store },
		{ "readers beside a writer", test_readers_beside },
	};
	static struct CMUnitTest tests[ARRAY_SIZE(plain) + DAMAGE_ROWS + ARRAY_SIZE(swap_cases)];
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(plain); i++)
		tests[count++] = (struct CMUnitTest){ plain[i].name, plain[i].fn, log_fixture_setup,
						      log_fixture_teardown, NULL };
	for (size_t i = 0; i < DAMAGE_ROWS; i++)
		tests[count++] = (struct CMUnitTest){
			unit_name("segment %zu: %s%s", 1 + i / 2 % SEALED,
				  damage_cases[i / 2 / SEALED].name, i % 2 ? ", hints" : ""),
			test_damage, log_fixture_setup, log_fixture_teardown, (void *)i
		};
	for (size_t i = 0; i < ARRAY_SIZE(swap_cases); i++)
		tests[count++] =
			(struct CMUnitTest){ unit_name("swapped: %u and %u", swap_cases[i].a,
						       swap_cases[i].b),
					     test_swapped, log_fixture_setup, log_fixture_teardown,
					     (void *)(uintptr_t)&swap_cases[i] };
	return unit_run("log_set", tests, count);
}
