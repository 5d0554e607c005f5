/* SPDX-License-Identifier: MIT */
/* A store whose disk is full: everything can be removed, and its bytes become free space again,
 * also on a quota, without a reserve, and after the process has died. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/simdisk.h"
#include "tests/unit/log_fixture.h"
#include "tests/unit/store_ops.h"
#include "writer/log/file_set.h"
#include "writer/log/hint_file.h"
#include "writer/log/reserve.h"
#include "writer/open_private.h"
#include "writer/store.h"
#include "writer/store/for_background.h"
#include "writer/store/store_private.h"

#define DISK_BYTES  ((uint64_t)24 * 1024 * 1024)
#define LARGE_BYTES ((size_t)400 * 1024)
#define SMALL_BYTES 600
#define DATADIR	    "/data"

struct full_row {
	const char *name;
	bool is_quota;
	bool others;	     /* somebody else takes the bytes that are left, */
	bool no_inodes;	     /* and the inodes, also those of hints; */
	bool large_active;   /* the inodes when the log has grown by a half, so that it goes on
				in one file; this is not for removing half, as no reserve is enough
				for what is live in that file */
	bool dies;	     /* the process, when the disk is full */
	const char *loses;   /* the reserve that is removed then; */
	bool loses_reserves; /* all of them */
	bool never_compacts;
	int64_t headroom_bytes;
};

static const struct full_row rows[] = {
	{ "full disk", .is_quota = false },
	{ "full disk, to the last byte", .others = true },
	{ "full disk without an inode", .no_inodes = true },
	{ "full disk without an inode, no reserve.manifest", .no_inodes = true,
	  .loses = "reserve.manifest" },
	{ "full disk without an inode, a large active segment", .large_active = true },
	{ "full disk without an inode, killed", .no_inodes = true, .dies = true },
	{ "full disk without an inode, killed, no reserve.manifest", .no_inodes = true,
	  .dies = true, .loses = "reserve.manifest" },
	{ "full disk without an inode, killed, no reserve.segment", .no_inodes = true, .dies = true,
	  .loses = "reserve.segment" },
	{ "full disk without an inode, killed, no reserve", .no_inodes = true, .dies = true,
	  .loses = "reserve" },
	{ "full disk, killed", .dies = true },
	{ "full disk to the last byte, killed", .others = true, .dies = true },
	{ "full disk, killed, no reserves", .dies = true, .loses_reserves = true },
	{ "quota", .is_quota = true },
	{ "quota, killed", .is_quota = true, .dies = true },
};

struct world {
	const struct full_row *row;
	struct simdisk *disk;
	struct store *s;
	char *large, *small;
	unsigned int large_count, small_count;
};

static struct store_stats stats_of(const struct world *w)
{
	struct store_stats stats;

	store_stats(w->s, &stats);
	return stats;
}

static void open_store(struct world *w)
{
	const struct store_config config = {
		.dir_path = DATADIR,
		.fsync_interval_ns = LOG_WRITER_NEVER,
		.compact_at_percent = w->row != NULL && w->row->never_compacts ? 0 : 50,
		.preallocate_bytes = w->row != NULL ? w->row->headroom_bytes : 0,
		.uid = OPS_UID,
		.gid = OPS_GID,
		.io = simdisk_io(w->disk),
	};
	struct diag diag;

	if (store_open(&config, &w->s, &diag) < 0)
		fail_msg("%s", diag.text);
}

static char *text_of(size_t bytes)
{
	char *text = malloc(bytes + 1);

	assert_non_null(text);
	memset(text, 'v', bytes);
	text[bytes] = '\0';
	return text;
}

static void begin(struct world *w, const void *row)
{
	*w = (struct world){ .row = row,
			     .disk = simdisk_new(),
			     .large = text_of(LARGE_BYTES),
			     .small = text_of(SMALL_BYTES) };
	if (w->row->is_quota)
		simdisk_set_quota(w->disk, DISK_BYTES);
	else
		simdisk_set_capacity(w->disk, DISK_BYTES);
	open_store(w);
}

static void end(struct world *w)
{
	assert_int_equal(store_close(w->s), 0);
	simdisk_free(w->disk);
	free(w->large);
	free(w->small);
}

static bool is_full(int err)
{
	return err == -ENOSPC || err == -EDQUOT;
}

static const char *name_of(const char *kind, unsigned int i)
{
	return unit_path("%s.%u", kind, i);
}

static void drop_hints(struct world *w)
{
	struct io *io = simdisk_io(w->disk);
	int fd = io_open(io, AT_FDCWD, DATADIR, O_RDONLY | O_DIRECTORY, 0);

	assert_true(fd >= 0);
	(void)hint_files_drop(io, fd);
	assert_int_equal(io_close(io, &fd), 0);
}

/* A segment fits the reserve from the first one on, however late the thread of compaction begins.
 */
static void test_first_segment(void **state)
{
	static const struct full_row row = { .others = true };
	struct world w;

	(void)state;
	begin(&w, &row);
	assert_in_range(log_writer_segment_size(store_background(w.s)->compactor.log), 1,
			DISK_BYTES / 32);
	end(&w);
}

/* Small files in a third of the disk, and large ones until there is no space. */
static void fill(struct world *w)
{
	int err;

	for (unsigned int i = 0; i < DISK_BYTES / SMALL_BYTES / 3; i++, w->small_count++)
		ops_write_ok(w->s, name_of("small", i), w->small);
	if (w->row->large_active) {
		drop_hints(w);
		simdisk_set_no_inodes(w->disk, true);
	}
	while ((err = ops_write(w->s, name_of("large", w->large_count), w->large)) == 0)
		w->large_count++;
	assert_true(is_full(err));
	(void)!ops_unlink(w->s, name_of("large", w->large_count)); /* it was never in the log */
	assert_true(w->large_count > 5);
}

static void lose(struct world *w, const char *name)
{
	int err = io_unlink(simdisk_io(w->disk), AT_FDCWD, unit_path(DATADIR "/%s", name));

	assert_true(err == 0 || err == -ENOENT); /* it may be in use */
}

/* The disk has as little left as before, but for the reserves that were lost. */
static void take_what_is_left(struct world *w)
{
	uint64_t used = simdisk_used_bytes(w->disk);

	if (w->row->no_inodes)
		drop_hints(w);
	if (w->row->is_quota)
		simdisk_set_quota(w->disk, DISK_BYTES);
	else
		simdisk_set_capacity(w->disk, w->row->others ? used : DISK_BYTES);
	if (w->row->loses_reserves) {
		lose(w, "reserve");
		lose(w, "reserve.segment");
		lose(w, "reserve.manifest");
	}
	if (w->row->loses != NULL)
		lose(w, w->row->loses);
	if (w->row->no_inodes)
		simdisk_set_no_inodes(w->disk, true);
}

/* Takes the image that the killed process leaves.  Returns false for one without a reserve that
 * compaction has just taken, if the row loses another one: only one at a time may be lost. */
static bool copy_disk(struct world *w, struct simdisk *from)
{
	static const char *const names[] = { "reserve", "reserve.segment", "reserve.manifest",
					     "reserve.active" };
	struct simdisk *copy = simdisk_copy(from);

	for (size_t i = 0; w->row->loses != NULL && i < ARRAY_SIZE(names); i++) {
		int fd = io_open(simdisk_io(copy), AT_FDCWD, unit_path(DATADIR "/%s", names[i]),
				 O_RDONLY, 0);

		if (fd < 0) {
			simdisk_free(copy);
			return false;
		}
		assert_int_equal(io_close(simdisk_io(copy), &fd), 0);
	}
	w->disk = copy;
	return true;
}

/* Happens to the full disk before files are removed. */
static void suffer(struct world *w)
{
	struct simdisk *old = w->disk;

	if (!w->row->dies) {
		take_what_is_left(w);
		return;
	}
	WAIT_FOR(copy_disk(w, old));
	take_what_is_left(w);
	assert_int_equal(store_close(w->s), 0);
	simdisk_free(old);
	open_store(w);
}

/* Returns whether the disk has at most the live bytes, and a quarter for names; the reserves, which
 * are at most a sixteenth of a disk; and the dead bytes that are not worth a round when there is
 * space again. */
static bool is_back(struct world *w, uint64_t live_bytes)
{
	return simdisk_used_bytes(w->disk) <=
	       live_bytes + live_bytes / 4 + DISK_BYTES / 4 + (w->row->is_quota ? 8500000 : 0);
}

static void test_remove_everything(void **state)
{
	struct world w;

	begin(&w, *state);
	fill(&w);
	suffer(&w);
	for (unsigned int i = 0; i < w.small_count; i++)
		assert_int_equal(ops_unlink(w.s, name_of("small", i)), 0);
	for (unsigned int i = 0; i < w.large_count; i++)
		assert_int_equal(ops_unlink(w.s, name_of("large", i)), 0);
	WAIT_FOR(is_back(&w, 0));
	ops_write_ok(w.s, "later", w.large);
	end(&w);
}

/* Every second file, the large ones last: most of the segments have something live. */
static void test_remove_half(void **state)
{
	struct world w;
	uint64_t live;

	begin(&w, *state);
	fill(&w);
	suffer(&w);
	for (unsigned int i = 0; i < w.small_count; i += 2)
		assert_int_equal(ops_unlink(w.s, name_of("small", i)), 0);
	for (unsigned int i = 0; i < w.large_count; i += 2)
		assert_int_equal(ops_unlink(w.s, name_of("large", i)), 0);
	live = w.small_count / 2 * (SMALL_BYTES + 32) + w.large_count / 2 * (LARGE_BYTES + 32);
	WAIT_FOR(is_back(&w, live));
	for (unsigned int i = 1; i < w.small_count; i += 2)
		assert_int_equal(ops_read(w.s, name_of("small", i), w.small), 0);
	for (unsigned int i = 1; i < w.large_count; i += 2)
		assert_int_equal(ops_read(w.s, name_of("large", i), w.large), 0);
	end(&w);
}

/* Returns how many files of the log are larger than 'bytes'. */
static unsigned int count_larger(struct world *w, uint64_t bytes)
{
	unsigned int count = 0;
	struct segment seg;

	for (size_t i = 0; log_writer_sealed(store_background(w->s)->compactor.log, i, &seg); i++)
		count += seg.bytes > bytes;
	return count;
}

/* Half of what a base has is removed, and nothing else.  No reserve is enough for what is live in
 * the base; it is enough for each part. */
static void test_large_base(void **state)
{
	static const struct full_row row = { .others = true };
	uint64_t used;
	struct world w;

	(void)state;
	begin(&w, &row);
	for (; w.large_count < 20; w.large_count++) {
		ops_write_ok(w.s, name_of("large", w.large_count), w.large);
		for (unsigned int i = 0; i < 50; i++) {
			ops_write_ok(w.s, "comes and goes", "x");
			assert_int_equal(ops_unlink(w.s, "comes and goes"), 0);
		}
	}
	assert_int_equal(store_compact(w.s, NULL, NULL), 0);
	assert_true(stats_of(&w).compaction.folds > 0);
	assert_int_equal(count_larger(&w, 3 * LARGE_BYTES), 0);
	fill(&w);
	suffer(&w);
	used = simdisk_used_bytes(w.disk);
	for (unsigned int i = 0; i < 20; i += 2)
		assert_int_equal(ops_unlink(w.s, name_of("large", i)), 0);
	WAIT_FOR(simdisk_used_bytes(w.disk) <= used - 9 * LARGE_BYTES);
	for (unsigned int i = 1; i < 20; i += 2)
		assert_int_equal(ops_read(w.s, name_of("large", i), w.large), 0);
	end(&w);
}

static void note_used(void *arg, struct simdisk *d, uint64_t number, enum iocall kind)
{
	uint64_t *most = arg, used = simdisk_used_bytes(d);

	(void)number;
	(void)kind;
	*most = used > *most ? used : *most;
}

/* Compaction leaves other writes some space: its new files take half of it, and MANIFEST and a
 * rotation a little. */
static void test_space_for_writes(void **state)
{
	static const struct full_row row = { .never_compacts = true };
	uint64_t used, most = 0;
	struct world w;

	(void)state;
	begin(&w, &row);
	for (; w.large_count < 44; w.large_count++) {
		ops_write_ok(w.s, name_of("large", w.large_count), w.large);
		if (w.large_count % 2 == 1)
			assert_int_equal(store_rotate(w.s), 0);
	}
	for (unsigned int i = 0; i < w.large_count; i += 2)
		assert_int_equal(ops_unlink(w.s, name_of("large", i)), 0);
	used = simdisk_used_bytes(w.disk);
	simdisk_set_hook(w.disk, note_used, &most);
	assert_int_equal(store_compact(w.s, NULL, NULL), 0);
	simdisk_set_hook(w.disk, NULL, NULL);
	assert_true(simdisk_used_bytes(w.disk) < used - 20 * LARGE_BYTES);
	assert_in_range(most, used, used + (DISK_BYTES - used) / 3 * 2);
	end(&w);
}

static uint64_t file_bytes(const struct world *w, const char *name)
{
	size_t bytes = 0;

	free(simdisk_read_file(w->disk, unit_path(DATADIR "/%s", name), &bytes));
	return bytes;
}

/* Head room is given back before a reserve is. */
static void test_head_room_given_back(void **state)
{
	static const struct full_row row = { .headroom_bytes = 1024 * 1024,
					     .never_compacts = true };
	uint64_t used, reserve_bytes;
	struct world w;

	(void)state;
	begin(&w, &row);
	for (int removal = 0; removal < 2; removal++) {
		used = simdisk_used_bytes(w.disk) + LARGE_BYTES;
		ops_write_ok(w.s, name_of("large", 0), w.large);
		WAIT_FOR(simdisk_used_bytes(w.disk) >= used + (uint64_t)row.headroom_bytes / 2);
		reserve_bytes = file_bytes(&w, "reserve");
		assert_true(reserve_bytes > 0);
		assert_true(removal ? store_makes_space_for(w.s, -ENOSPC)
				    : store_release_reserve(w.s));
		assert_in_range(simdisk_used_bytes(w.disk), used, used + LARGE_BYTES);
		assert_int_equal(file_bytes(&w, "reserve"), reserve_bytes);
	}
	end(&w);
}

/* Where nothing is compacted, the reserve alone has the space for the tombstones of all names.  It
 * is made again by later puts when there is space. */
static void test_without_compaction(void **state)
{
	static const struct full_row row = { .others = true, .never_compacts = true };
	uint64_t reserve_bytes;
	struct world w;

	(void)state;
	begin(&w, &row);
	fill(&w);
	reserve_bytes = file_bytes(&w, "reserve");
	assert_true(reserve_bytes >= DISK_BYTES / 32); /* puts have taken none of it */
	suffer(&w);
	assert_true(is_full(ops_write(w.s, "no", w.small)));
	assert_int_equal(file_bytes(&w, "reserve"), reserve_bytes);
	for (unsigned int i = 0; i < w.small_count; i++)
		assert_int_equal(ops_unlink(w.s, name_of("small", i)), 0);
	for (unsigned int i = 0; i < w.large_count; i++)
		assert_int_equal(ops_unlink(w.s, name_of("large", i)), 0);
	assert_true(file_bytes(&w, "reserve") < reserve_bytes);
	simdisk_set_capacity(w.disk, 2 * DISK_BYTES);
	WAIT_FOR(ops_write(w.s, "later", "value") == 0 &&
		 file_bytes(&w, "reserve") >= reserve_bytes);
	end(&w);
}

static uint64_t log_bytes(const struct world *w)
{
	struct store_stats stats = stats_of(w);

	return stats.log.active_bytes + stats.log.sealed_bytes;
}

static uint64_t at_most(uint64_t bytes, uint64_t most)
{
	return bytes < most ? bytes : most;
}

/* Both are there before the log needs them, however fast it grows, and go when it is small again.
 */
static void test_reserves_follow(void **state)
{
	const uint64_t slack = 2 * LARGE_BYTES; /* appended since they were looked at */
	struct world w = { .disk = simdisk_new(), .large = text_of(LARGE_BYTES) };

	(void)state;
	open_store(&w);
	ops_write_ok(w.s, "first", w.large);
	assert_in_range(file_bytes(&w, "reserve"), 1, 512 * 1024);
	assert_in_range(file_bytes(&w, "reserve.segment"), 1, 2 * LARGE_BYTES);
	for (; w.large_count < 40; w.large_count++) {
		uint64_t needed = log_bytes(&w);

		ops_write_ok(w.s, name_of("large", w.large_count), w.large);
		assert_true(file_bytes(&w, "reserve") >= at_most(needed / 4, RESERVE_BYTES));
		assert_true(file_bytes(&w, "reserve.segment") + slack >= at_most(needed, 8 << 20));
	}
	assert_int_equal(file_bytes(&w, "reserve"), RESERVE_BYTES);
	for (unsigned int i = 0; i < w.large_count; i++)
		assert_int_equal(ops_unlink(w.s, name_of("large", i)), 0);
	assert_int_equal(store_compact(w.s, NULL, NULL), 0);
	WAIT_FOR(simdisk_used_bytes(w.disk) < 3 * LARGE_BYTES);
	assert_int_equal(store_close(w.s), 0);
	open_store(&w);
	WAIT_FOR(simdisk_used_bytes(w.disk) < 3 * LARGE_BYTES);
	end(&w);
}

int main(void)
{
	static struct CMUnitTest tests[2 * ARRAY_SIZE(rows) + 5] = {
		{ "the reserves follow the log", test_reserves_follow, NULL, NULL, NULL },
		{ "the first segment", test_first_segment, NULL, NULL, NULL },
		{ "without compaction", test_without_compaction, NULL, NULL, NULL },
		{ "a large base", test_large_base, NULL, NULL, NULL },
		{ "space for writes", test_space_for_writes, NULL, NULL, NULL },
		{ "head room given back", test_head_room_given_back, NULL, NULL, NULL },
	};
	static char names[ARRAY_SIZE(tests)][80];
	size_t count = 5;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (int half = 0; half < (rows[i].large_active ? 1 : 2); half++, count++) {
			(void)snprintf(names[count], sizeof(names[0]), "%s: remove %s",
				       rows[i].name, half ? "half" : "everything");
			tests[count] = (struct CMUnitTest){
				names[count], half ? test_remove_half : test_remove_everything,
				NULL, NULL, (void *)(uintptr_t)&rows[i]
			};
		}
	}
	return unit_run("full disk", tests, count);
}
