/* SPDX-License-Identifier: MIT */
/* fsck.freyjafs in this process (quiet.h), on a log whose files say something that is not possible,
 * or change while it looks. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codec/crc32.h"
#include "codec/le.h"
#include "codec/meta.h"
#include "codec/synced.h"
#include "tests/fuzz/quiet.h"
#include "tests/unit/store_fixture.h"
#include "writer/log/manifest_file.h"

#undef printf
#undef stdout
#undef stderr
#undef main

#define SEGMENT_BYTES	 1100
#define VALUE_BYTES	 480
#define SEALED		 3 /* segments of make_segments(), and one that is active */
#define OUTPUT_BYTES	 ((size_t)64 * 1024)
#define OUTPUT_BYTES_MAX ((rlim_t)64 * 1024 * 1024)
#define FAR		 ((uint64_t)1 << 60)

enum {
	OK = 0,
	CORRECTED = 1,
	UNCORRECTED = 4,
	FAILED = 8
}; /* exit statuses */

FILE *quiet_out;

/* --- a directory that changes while fsck lists it --- */

static struct {
	int left; /* so many listings before it changes */
	void (*before)(struct log_fixture *f);
	void (*after)(struct log_fixture *f); /* the names were read, and fsck has not got them */
	struct log_fixture *f;
} change;

struct names {
	char list[64][64];
	size_t count;
};

static int take_name(void *arg, const char *name)
{
	struct names *n = arg;

	assert_true(n->count < ARRAY_SIZE(n->list));
	(void)snprintf(n->list[n->count++], sizeof(n->list[0]), "%s", name);
	return 0;
}

static int list(struct io *io, int dir_fd, io_list_fn fn, void *arg)
{
	struct names names = { .count = 0 };
	bool now = change.left > 0 && --change.left == 0;
	int err;

	(void)io;
	if (now && change.before != NULL)
		change.before(change.f);
	err = io_list(&io_posix, dir_fd, take_name, &names);
	if (now && change.after != NULL)
		change.after(change.f);
	for (size_t i = 0; err == 0 && i < names.count; i++)
		err = fn(arg, names.list[i]);
	return err;
}

static atomic_uint_least64_t bytes_read; /* by two threads */

static ssize_t count_pread(struct io *io, int fd, void *buf, size_t n, uint64_t offset)
{
	ssize_t got = io_posix.ops->pread(io, fd, buf, n, offset);

	atomic_fetch_add(&bytes_read, got > 0 ? (uint64_t)got : 0);
	return got;
}

static struct io_ops fsck_ops;
struct io fsck_io = { &fsck_ops };

/* --- a log, and fsck --- */

static const struct log_writer_config *config_of(const struct log_fixture *f)
{
	static struct log_writer_config config;

	config = (struct log_writer_config){ .file_path = f->path,
					     .fsync_interval_ns = LOG_WRITER_NEVER,
					     .segment_size_bytes = SEGMENT_BYTES,
					     .no_background = true };
	return &config;
}

static void open_log(struct log_fixture *f)
{
	struct diag diag = { "" };

	if (log_writer_open(config_of(f), &f->w, &diag) < 0)
		fail_msg("open: %s", diag.text);
}

/* Three sealed segments and an active one, with two records each. */
static void make_segments(struct log_fixture *f)
{
	uint8_t value[VALUE_BYTES] = { 1 };

	open_log(f);
	for (unsigned int i = 0; i < 2 * (SEALED + 1); i++)
		assert_int_equal(
			log_writer_put(f->w, unit_path("k%u", i), 2, value, sizeof(value), NULL),
			0);
	fixture_close(f);
	open_log(f); /* adds the digests */
	fixture_close(f);
	assert_true(unit_exists(fixture_beside(f, "000003.data")));
	assert_false(unit_exists(fixture_beside(f, "000004.data")));
}

static char output[OUTPUT_BYTES];

/* Returns the exit status; what it printed is in 'output' then. */
static int fsck(const struct log_fixture *f, const char *option)
{
	char program[] = "fsck.freyjafs", *dir = strdup(unit_path("%s/db", f->dir));
	char *which = strdup(option);
	char *arguments[] = { program, which, dir, NULL };
	size_t got;
	int status;

	assert_true(dir != NULL && which != NULL);
	quiet_out = tmpfile();
	assert_non_null(quiet_out);
	status = quiet_main(3, arguments);
	rewind(quiet_out);
	got = fread(output, 1, sizeof(output) - 1, quiet_out);
	output[got] = '\0';
	(void)fclose(quiet_out);
	free(dir);
	free(which);
	return status;
}

static unsigned int times_said(const char *text)
{
	unsigned int count = 0;

	for (const char *p = output; (p = strstr(p, text)) != NULL; p += strlen(text))
		count++;
	return count;
}

static void assert_said_once(const char *text)
{
	if (times_said(text) != 1)
		fail_msg("'%s' is %u times in: %s", text, times_said(text), output);
}

static void assert_fsck(const struct log_fixture *f, const char *option, int want)
{
	int status = fsck(f, option);

	if (status != want)
		fail_msg("%s: %d, and not %d: %s", option, status, want, output);
}

static struct manifest read_manifest(const struct log_fixture *f)
{
	struct unit_file file = unit_read_file(fixture_beside(f, MANIFEST_NAME));
	struct manifest m;

	assert_int_equal(manifest_parse((const char *)file.data, file.bytes, &m), MANIFEST_OK);
	free(file.data);
	return m;
}

/* Frees 'm', too. */
static void write_manifest(const struct log_fixture *f, struct manifest *m)
{
	size_t bytes;
	char *text = manifest_format(m, &bytes);

	assert_non_null(text);
	unit_write_file(fixture_beside(f, MANIFEST_NAME), text, bytes);
	free(text);
	manifest_free(m);
}

static void write_mark(const struct log_fixture *f, uint64_t segment, bool with_manifest)
{
	uint8_t mark[SYNCED_BYTES];

	synced_encode(&(struct synced){ segment, 0, with_manifest }, mark);
	unit_write_file(fixture_beside(f, "active.synced"), mark, sizeof(mark));
}

static void rename_file(const struct log_fixture *f, const char *from, const char *to)
{
	char *path = strdup(fixture_beside(f, from));

	assert_non_null(path);
	assert_int_equal(rename(path, fixture_beside(f, to)), 0);
	free(path);
}

static void set_crc(uint8_t *record, size_t bytes)
{
	le32_store(record + RECORD_CRC_OFFSET, crc32_extend(0, record + RECORD_CRC_COVERS_FROM,
							    bytes - RECORD_CRC_COVERS_FROM));
}

/* --- numbers that no log can have --- */

static void test_mark(void **state)
{
	static const uint64_t numbers[] = { SEALED + 2 + SEGMENTS_MISSING_MAX, FAR, UINT64_MAX };
	struct log_fixture *f = *state;

	make_segments(f);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		write_mark(f, numbers[i], true);
		assert_fsck(f, "-n", UNCORRECTED);
		assert_said_once("active.synced: says that segment ");
		assert_fsck(f, "-y", CORRECTED);
		assert_fsck(f, "-n", OK);
		open_log(f);
		fixture_close(f);
	}
}

/* It still says that there was a MANIFEST. */
static void test_mark_without_manifest(void **state)
{
	struct log_fixture *f = *state;

	make_segments(f);
	assert_int_equal(unlink(fixture_beside(f, MANIFEST_NAME)), 0);
	write_mark(f, FAR, true);
	assert_fsck(f, "-n", UNCORRECTED);
	assert_said_once("active.synced: says that segment ");
	assert_said_once("MANIFEST: is missing");
	assert_fsck(f, "-y", CORRECTED);
	assert_fsck(f, "-n", OK);
	open_log(f);
}

/* Nothing is changed, and without the file that says so the log is whole. */
static void assert_stands(const struct log_fixture *f, const char *text)
{
	assert_fsck(f, "-n", UNCORRECTED);
	assert_said_once(text);
	assert_fsck(f, "-y", UNCORRECTED);
	assert_said_once(text);
	assert_said_once("-y salvages nothing");
}

static void test_durable_number(void **state)
{
	struct log_fixture *f = *state;
	struct manifest m;

	make_segments(f);
	m = read_manifest(f);
	m.durable_number = FAR;
	write_manifest(f, &m);
	assert_stands(f, "segments 4 to 1152921504606846975: are missing in front of active.data");
	assert_int_equal(unlink(fixture_beside(f, MANIFEST_NAME)), 0);
	assert_fsck(f, "-y", CORRECTED);
	assert_fsck(f, "-n", OK);
	open_log(f);
}

static void test_listed_number(void **state)
{
	struct log_fixture *f = *state;
	struct manifest m;

	make_segments(f);
	m = read_manifest(f);
	m.segments[2].id.number = FAR;
	m.active_number = m.durable_number = FAR + 1;
	write_manifest(f, &m);
	assert_stands(f, "segments 3 to 1152921504606846975: are missing in front of ");
}

static void test_name(void **state)
{
	struct log_fixture *f = *state;

	make_segments(f);
	unit_write_file(fixture_beside(f, "1152921504606846976.data"), "", 0);
	assert_fsck(f, "-n", UNCORRECTED);
	assert_said_once("segments 4 to 1152921504606846975: are missing in front of 11529");
	assert_int_equal(unlink(fixture_beside(f, "1152921504606846976.data")), 0);
	assert_fsck(f, "-n", OK);
}

/* The active segment says it, and neither MANIFEST nor the mark says anything. */
static void test_segment_record(void **state)
{
	struct log_fixture *f = *state;
	struct unit_file file;
	struct record_scan_result res;
	uint8_t *number;

	make_segments(f);
	file = unit_read_file(f->path);
	assert_int_equal(record_scan(file.data, file.bytes, file.bytes, &res), RECORD_WHOLE);
	number = file.data + RECORD_HEADER_BYTES + META_KEY_PREFIX_BYTES + 2;
	assert_int_equal(le64_load(number), SEALED + 1);
	le64_store(number, FAR);
	set_crc(file.data, (size_t)res.bytes);
	unit_write_file(f->path, file.data, file.bytes);
	free(file.data);
	assert_int_equal(unlink(fixture_beside(f, MANIFEST_NAME)), 0);
	assert_int_equal(unlink(fixture_beside(f, "active.synced")), 0);
	assert_stands(f, "active.data: says that it is segment 1152921504606846976 of the log");
}

/* As many as a log can lack are added, and the log is one again. */
static void test_in_reach(void **state)
{
	struct log_fixture *f = *state;
	struct manifest m;

	make_segments(f);
	m = read_manifest(f);
	m.durable_number += 3;
	m.durable_offset = 0;
	write_manifest(f, &m);
	rename_file(f, "active.data", "elsewhere");
	assert_fsck(f, "-n", UNCORRECTED);
	assert_said_once("000004.data: is missing");
	assert_said_once("000006.data: is missing");
	assert_int_equal(times_said("000007.data: "), 0);
}

/* --- a writer that goes on --- */

/* Compaction gives segment 1 the generation 'generation', and nothing knows of others then. */
static void replace_first(struct log_fixture *f, uint64_t generation)
{
	struct manifest m = read_manifest(f);
	char from[SEGMENT_NAME_BYTES], to[SEGMENT_NAME_BYTES];

	segment_name(m.segments[0].id, from);
	m.segments[0].id.generation = generation;
	segment_name(m.segments[0].id, to);
	write_manifest(f, &m);
	rename_file(f, from, to);
}

static void replace_once(struct log_fixture *f)
{
	replace_first(f, 2);
}

static void replace_again(struct log_fixture *f)
{
	replace_first(f, 3);
}

/* The second listing is the one for files that are no part of the log. */
static void test_new_generation(void **state)
{
	struct log_fixture *f = *state;

	make_segments(f);
	change.f = f;
	change.left = 2;
	change.before = replace_once;
	change.after = NULL;
	assert_fsck(f, "-n", OK);
	assert_int_equal(change.left, 0);
	assert_int_equal(times_said("no part of the log"), 0);
	assert_true(unit_exists(fixture_beside(f, "000001.2.data")));
}

/* One that has come and gone since MANIFEST was read. */
static void test_forgotten_generation(void **state)
{
	struct log_fixture *f = *state;

	make_segments(f);
	change.f = f;
	change.left = 2;
	change.before = replace_once;
	change.after = replace_again;
	assert_fsck(f, "-n", OK);
	assert_int_equal(change.left, 0);
	assert_int_equal(times_said("no part of the log"), 0);
	assert_true(unit_exists(fixture_beside(f, "000001.3.data")));
}

/* --- an old version that is larger than any disk --- */

/* Its holes stay holes. */
static void test_sparse_version(void **state)
{
	struct log_fixture *f = *state;
	struct unit_file log = make_log("e:7@3=abc P:a=7,2305843009213693952 p:a=later");

	assert_int_equal(mkdir(unit_path("%s/db", f->dir), 0700), 0);
	unit_write_file(f->path, log.data, log.bytes);
	open_log(f);
	fixture_close(f);
	log.data[log.bytes - 1] ^= 1;
	unit_write_file(f->path, log.data, log.bytes);
	free(log.data);
	assert_fsck(f, "-y", CORRECTED);
	assert_said_once("a: is its version of");
	assert_true(unit_file_bytes(f->path) < 1024 * 1024);
}

/* --- another file under the name of a segment --- */

/* It has the size, the number of records and the times that MANIFEST lists, and all its CRCs are
 * right: only the digest differs. */
static void test_digest(void **state)
{
	struct log_fixture *f = *state;
	struct record_scan_result number, first;
	struct unit_file file;

	make_segments(f);
	file = unit_read_file(fixture_beside(f, "000002.data"));
	assert_int_equal(record_scan(file.data, file.bytes, file.bytes, &number), RECORD_WHOLE);
	assert_int_equal(record_scan(file.data + number.bytes, file.bytes, file.bytes, &first),
			 RECORD_WHOLE);
	file.data[number.bytes + first.bytes - 1] ^= 1;
	set_crc(file.data + number.bytes, (size_t)first.bytes);
	unit_write_file(fixture_beside(f, "000002.data"), file.data, file.bytes);
	free(file.data);
	assert_fsck(f, "-n", UNCORRECTED);
	assert_said_once("000002.data: is not the file that MANIFEST lists under its name");
	assert_fsck(f, "-y", CORRECTED);
	assert_fsck(f, "-n", OK);
}

/* --- damage in many files --- */

/* Flips a bit of the last value of a segment. */
static void damage_end(const struct log_fixture *f, unsigned int number)
{
	const char *path = fixture_beside(f, unit_path("%06u.data", number));
	struct unit_file file = unit_read_file(path);

	file.data[file.bytes - 1] ^= 1;
	unit_write_file(path, file.data, file.bytes);
	free(file.data);
}

/* Returns the position in the output of the first damage of a segment. */
static const char *damage_said(unsigned int number)
{
	const char *at = strstr(output, unit_path("%06u.data: offset ", number));

	if (at == NULL)
		fail_msg("no damage of segment %u in: %s", number, output);
	return at;
}

/* A thread reads a file while the one before is replayed: the reports stay in the order of the log.
 */
static void test_in_order(void **state)
{
	struct log_fixture *f = *state;

	make_segments(f);
	for (unsigned int i = SEALED; i > 0; i--)
		damage_end(f, i);
	assert_fsck(f, "-n", UNCORRECTED);
	for (unsigned int i = 1; i < SEALED; i++)
		assert_true(damage_said(i) < damage_said(i + 1));
}

/* The replay stops at a record of a newer version; the damage behind it is reported all the same.
 */
static void test_newer_record(void **state)
{
	struct log_fixture *f = *state;
	struct record_scan_result first;
	struct unit_file file;

	make_segments(f);
	file = unit_read_file(fixture_beside(f, "000001.data"));
	assert_int_equal(record_scan(file.data, file.bytes, file.bytes, &first), RECORD_WHOLE);
	meta_key_prefix(META_ATTR, file.data + RECORD_HEADER_BYTES);
	file.data[RECORD_HEADER_BYTES + META_KEY_PREFIX_BYTES] = UINT8_MAX;
	set_crc(file.data, (size_t)first.bytes);
	unit_write_file(fixture_beside(f, "000001.data"), file.data, file.bytes);
	free(file.data);
	damage_end(f, 2);
	damage_end(f, SEALED);
	assert_fsck(f, "-n", FAILED);
	assert_true(damage_said(2) < damage_said(SEALED));
}

/* Each segment is read once for its damage and its digest, and once for the replay; MANIFEST and
 * the hints are small. */
static void test_reads(void **state)
{
	struct log_fixture *f = *state;
	uint64_t log_bytes;

	make_segments(f);
	log_bytes = unit_file_bytes(f->path);
	for (unsigned int i = 1; i <= SEALED; i++)
		log_bytes += unit_file_bytes(fixture_beside(f, unit_path("%06u.data", i)));
	atomic_store(&bytes_read, 0);
	assert_fsck(f, "-n", OK);
	assert_in_range(atomic_load(&bytes_read), 2 * log_bytes, log_bytes / 2 * 5);
}

/* --- a salvage that does not end --- */

static int fail_rename(struct io *io, int dir_fd, const char *from, const char *to)
{
	(void)io;
	(void)dir_fd;
	(void)from;
	(void)to;
	return -EIO;
}

/* The hint of the active segment names the lost record, also for the next salvage. */
static void test_hint_stays(void **state)
{
	static const char proven[] = "its hint says that it was 480 bytes, the content of k6";
	struct log_fixture *f = *state;
	struct unit_file file;

	make_segments(f);
	file = unit_read_file(f->path);
	file.data[file.bytes - (RECORD_HEADER_BYTES + 2 + VALUE_BYTES) - 1] ^= 1;
	unit_write_file(f->path, file.data, file.bytes);
	free(file.data);
	assert_fsck(f, "-n", UNCORRECTED);
	assert_said_once(proven);
	fsck_ops.rename = fail_rename;
	assert_fsck(f, "-y", FAILED);
	fsck_ops.rename = io_posix.ops->rename;
	assert_fsck(f, "-y", CORRECTED);
	assert_said_once(proven);
}

/* --- a disk that damages what it has --- */

static void damage_again(struct log_fixture *f)
{
	struct unit_file file = unit_read_file(f->path);

	file.data[file.bytes - 1] += 1; /* also when a check lists twice */
	unit_write_file(f->path, file.data, file.bytes);
	free(file.data);
	change.left = 1; /* at the next listing, too */
}

/* The last salvage is checked like all others. */
static void test_damaged_again(void **state)
{
	struct log_fixture *f = *state;

	make_segments(f);
	change.f = f;
	change.left = 1;
	change.before = damage_again;
	change.after = NULL;
	assert_fsck(f, "-y", UNCORRECTED);
	assert_said_once("damaged again after each of 8 salvages");
	assert_int_equal(times_said(": version of "), 1); /* and no older version is restored */
	change.left = 0;
	assert_fsck(f, "-y", CORRECTED);
}

/* --- what is no damage --- */

/* Salvage looks at the files more than once, and says it once. */
static void test_notes_once(void **state)
{
	static const char torn[] = "the end of an append that did not finish";
	struct log_fixture *f = *state;
	struct unit_file file;

	make_segments(f);
	unit_write_file(fixture_beside(f, "000001.7.data"), "not ours", 8);
	assert_fsck(f, "-n", OK);
	assert_said_once("000001.7.data: is not in MANIFEST and no part of the log");
	file = unit_read_file(fixture_beside(f, "000002.data"));
	file.data[file.bytes - 1] ^= 1;
	unit_write_file(fixture_beside(f, "000002.data"), file.data, file.bytes);
	free(file.data);
	file = unit_read_file(f->path);
	file.data = realloc(file.data, file.bytes + 10);
	assert_non_null(file.data);
	memset(file.data + file.bytes, 7, 10);
	unit_write_file(f->path, file.data, file.bytes + 10);
	free(file.data);
	assert_fsck(f, "-n", UNCORRECTED);
	assert_said_once("000001.7.data: is not in MANIFEST and no part of the log");
	assert_said_once(torn);
	assert_fsck(f, "-y", CORRECTED);
	assert_said_once("000001.7.data: is not in MANIFEST and no part of the log");
	assert_said_once(torn);
}

int main(void)
{
	/* A fsck that prints without bounds ends this test, and does not fill the disk. */
	const struct rlimit limit = { OUTPUT_BYTES_MAX, OUTPUT_BYTES_MAX };
	static const struct CMUnitTest tests[] = {
#define TEST(fn) { #fn, fn, log_fixture_setup, log_fixture_teardown, NULL }
		TEST(test_mark),
		TEST(test_mark_without_manifest),
		TEST(test_durable_number),
		TEST(test_listed_number),
		TEST(test_name),
		TEST(test_segment_record),
		TEST(test_in_reach),
		TEST(test_new_generation),
		TEST(test_forgotten_generation),
		TEST(test_sparse_version),
		TEST(test_digest),
		TEST(test_in_order),
		TEST(test_newer_record),
		TEST(test_reads),
		TEST(test_hint_stays),
		TEST(test_damaged_again),
		TEST(test_notes_once),
	};

	fsck_ops = *io_posix.ops;
	fsck_ops.list = list;
	fsck_ops.pread = count_pread;
	if (setrlimit(RLIMIT_FSIZE, &limit) < 0)
		return 1;
	return unit_run("fsck", tests, ARRAY_SIZE(tests));
}
