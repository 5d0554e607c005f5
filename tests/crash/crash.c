/* SPDX-License-Identifier: MIT */
#include "tests/crash/crash.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "tests/sim/content.h"
#include "tests/sim/quarantine.h"
#include "tests/sim/rng.h"
#include "writer/log/segments.h"

#define PATH_BYTES 512

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define EVERY_DEFAULT 10
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define EVERY_DEFAULT 10
#endif
#endif
#ifndef EVERY_DEFAULT
#define EVERY_DEFAULT 1
#endif

static uint64_t env_number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	char *end;
	uint64_t n;

	if (text == NULL || text[0] == '\0')
		return otherwise;
	n = strtoull(text, &end, 10);
	if (*end != '\0')
		fail_msg("%s=%s is not a number", name, text);
	return n;
}

struct crash_options crash_options(unsigned int default_runs, unsigned int default_images)
{
	return (struct crash_options){
		.seed = env_number("CRASH_SEED", 1),
		.runs = env_number("CRASH_RUNS", default_runs),
		.images = (unsigned int)env_number("CRASH_IMAGES", default_images),
		.every = env_number("CRASH_EVERY", EVERY_DEFAULT),
		.only_call = env_number("CRASH_CALL", 0),
		.only_image = env_number("CRASH_IMAGE", UINT64_MAX),
	};
}

/* --- instants --- */

static void add_instant(struct crash_recorder *r, struct simdisk *d, uint64_t call)
{
	struct crash_instant *i;

	r->list = sim_realloc(r->list, (r->count + 1) * sizeof(r->list[0]));
	i = &r->list[r->count++];
	*i = (struct crash_instant){ .call = call };
	/* Reads the weakest promise first: a number that is read late is too low, not too high. */
	for (size_t t = 0; t < CRASH_THREADS_MAX; t++) {
		i->progress[t].synced = atomic_load(&r->now[t].synced);
		i->progress[t].returned = atomic_load(&r->now[t].returned);
		i->progress[t].issued = atomic_load(&r->now[t].issued);
	}
	i->disk = simdisk_copy(d);
}

static void record(void *arg, struct simdisk *d, uint64_t number, enum iocall kind)
{
	(void)kind;
	add_instant(arg, d, number);
}

void crash_record(struct crash_recorder *r, struct simdisk *d)
{
	simdisk_set_hook(d, record, r);
}

void crash_record_end(struct crash_recorder *r, struct simdisk *d)
{
	simdisk_set_hook(d, NULL, NULL);
	add_instant(r, d, simdisk_calls(d) + 1);
}

void crash_recorder_free(struct crash_recorder *r)
{
	for (size_t i = 0; i < r->count; i++)
		simdisk_free(r->list[i].disk);
	free(r->list);
	r->list = NULL;
	r->count = 0;
}

/* --- images --- */

/* Hashes of the examined images, so that none is examined twice. */
struct seen {
	uint64_t *slots; /* 0: free */
	size_t count, capacity;
};

static bool seen_before(struct seen *s, uint64_t hash)
{
	size_t i;

	hash += hash == 0;
	if (s->count * 2 >= s->capacity) {
		struct seen bigger = { .capacity = s->capacity == 0 ? 1024 : s->capacity * 2 };

		bigger.slots = sim_alloc(bigger.capacity * sizeof(bigger.slots[0]));
		for (i = 0; i < s->capacity; i++) {
			if (s->slots[i] != 0)
				(void)seen_before(&bigger, s->slots[i]);
		}
		free(s->slots);
		*s = bigger;
	}
	for (i = hash % s->capacity; s->slots[i] != 0; i = (i + 1) % s->capacity) {
		if (s->slots[i] == hash)
			return true;
	}
	s->slots[i] = hash;
	s->count++;
	return false;
}

static uint64_t image_hash(const struct crash_image *image)
{
	uint64_t hash = rng_mix(simdisk_hash(image->disk), image->kind,
				image->kind == CRASH_KILLED && simdisk_has_pending(image->disk)
					? image->instant->call
					: 0);

	for (size_t t = 0; t < CRASH_THREADS_MAX; t++) {
		const struct crash_progress *p = &image->instant->progress[t];

		hash = rng_mix(hash, p->issued, rng_mix(p->returned, p->synced, t));
	}
	return hash;
}

/* Image 0 is the dead process, 1 keeps no pending bytes, 2 keeps all, the others keep some. */
static struct crash_image make_image(const struct crash_instant *instant, uint64_t index,
				     uint64_t seed)
{
	struct crash_image image = { .instant = instant, .index = index };

	image.seed = rng_mix(seed, instant->call, index);
	image.kind = index == 0 ? CRASH_KILLED : CRASH_CUT;
	if (index == 0)
		image.disk = simdisk_copy(instant->disk);
	else
		image.disk = simdisk_power_cut(instant->disk,
					       index == 1   ? SIMDISK_KEEP_NONE
					       : index == 2 ? SIMDISK_KEEP_ALL
							    : SIMDISK_KEEP_SOME,
					       image.seed);
	return image;
}

typedef void (*image_fn)(void *arg, const struct crash_image *image);

static bool is_chosen(const struct crash_options *options, const struct crash_image *image)
{
	return options->every <= 1 || options->only_image != UINT64_MAX ||
	       rng_mix(image->seed, 5, 0) % options->every == 0;
}

/* Calls 'fn' for each different image of all instants; returns their number. */
static uint64_t for_each_image(const struct crash_recorder *r, const struct crash_options *options,
			       image_fn fn, void *arg)
{
	struct seen seen = { 0 };
	uint64_t count = 0;

	for (size_t i = 0; i < r->count; i++) {
		const struct crash_instant *instant = &r->list[i];
		/* If everything is durable, all power cuts have the same result. */
		uint64_t images = simdisk_has_pending(instant->disk) ? 3 + options->images : 2;

		if (options->only_call != 0 && options->only_call != instant->call)
			continue;
		for (uint64_t k = 0; k < images; k++) {
			struct crash_image image;

			if (options->only_image != UINT64_MAX && options->only_image != k)
				continue;
			image = make_image(instant, k, options->seed);
			if (is_chosen(options, &image) && !seen_before(&seen, image_hash(&image))) {
				fn(arg, &image);
				count++;
			}
			simdisk_free(image.disk);
		}
	}
	free(seen.slots);
	return count;
}

/* --- checking one image --- */

#define SECOND_EVERY 13 /* one image of this many is also cut during its recovery */
#define FILES_MAX    34 /* rotated segments, and the active one */

/* A file of the log that is not sealed, as it was before recovery. */
struct log_file {
	char name[SEGMENT_NAME_BYTES];
	uint64_t number; /* 0: the active one */
	uint8_t *data;	 /* NULL: it does not exist */
	size_t bytes;	 /* at most the size in the name of a rotated one, while it may be sealed */
	size_t all_bytes;
};

struct check {
	const struct crash_system *system;
	const struct crash_options *options;
	uint64_t torn_count;   /* number of images with a tail to cut */
	uint64_t second_count; /* number of images that were cut again */

	/* The current image. */
	const struct crash_image *image;
	struct log_file files[FILES_MAX]; /* in the order of the log */
	size_t file_count;		  /* at least the active one, the last */
	size_t last; /* the file in which the log ends: the active one after recovery */
	char *state; /* after recovery */
	uint64_t kept_bytes;
};

/* Fails the test, and prints how to run only this image. */
static void check_fail(const struct check *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void check_fail(const struct check *c, const char *fmt, ...)
{
	static char text[2 * CRASH_WHY_BYTES];
	const struct crash_image *image = c->image;
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	/* Not by cmocka, which cuts long texts. */
	(void)fprintf(stderr,
		      "%s, %s before call %llu: %s\n"
		      "alone: CRASH_SEED=%llu CRASH_CALL=%llu CRASH_IMAGE=%llu %s '%s'\n",
		      c->system->name, image->kind == CRASH_KILLED ? "killed" : "power cut",
		      (unsigned long long)image->instant->call, text,
		      (unsigned long long)c->options->seed,
		      (unsigned long long)image->instant->call, (unsigned long long)image->index,
		      program_invocation_name, c->system->name);
	fail();
}

static void *open_image(const struct check *c, struct simdisk *d, const char *when,
			char **ret_state, struct log_recovery *ret_recovery)
{
	char why[CRASH_WHY_BYTES] = "";
	void *handle = c->system->open(c->system->arg, d, ret_state, ret_recovery, why);

	if (handle == NULL)
		check_fail(c, "%s: %s", when, why);
	return handle;
}

static void close_image(const struct check *c, void *handle, struct simdisk *d, const char *when)
{
	int err = c->system->close(c->system->arg, handle);

	if (err < 0)
		check_fail(c, "%s: close: %s", when, strerror(-err));
	if (simdisk_open_count(d) != 0)
		check_fail(c, "%s: descriptors leak", when);
}

static uint8_t *read_beside(const struct check *c, struct simdisk *d, const char *name,
			    size_t *ret_bytes)
{
	char path[PATH_BYTES];

	*ret_bytes = 0;
	(void)snprintf(path, sizeof(path), "%s/%s", c->system->log_dir, name);
	return simdisk_read_file(d, path, ret_bytes);
}

/* --- the files of the image --- */

static int add_full(void *arg, const char *name)
{
	struct check *c = arg;
	struct log_file *f = &c->files[c->file_count];
	uint64_t bytes, number = segment_rotated_number(name, &bytes);

	if (number == 0)
		return 0;
	assert_true(c->file_count < FILES_MAX - 1);
	c->file_count++;
	(void)snprintf(f->name, sizeof(f->name), "%s", name);
	f->number = number;
	f->data = read_beside(c, c->image->disk, name, &f->all_bytes);
	assert_non_null(f->data);
	f->bytes = f->all_bytes < bytes ? f->all_bytes : bytes;
	return 0;
}

static int compare_files(const void *a, const void *b)
{
	const struct log_file *x = a, *y = b;

	return x->number < y->number ? -1 : x->number > y->number;
}

static void read_files(struct check *c)
{
	struct log_file *active;

	c->file_count = 0;
	(void)simdisk_list_names(c->image->disk, c->system->log_dir, add_full, c);
	qsort(c->files, c->file_count, sizeof(c->files[0]), compare_files);
	active = &c->files[c->file_count++];
	*active = (struct log_file){ .name = "active.data" };
	active->data = read_beside(c, c->image->disk, active->name, &active->all_bytes);
	active->bytes = active->all_bytes;
}

static void free_files(struct check *c)
{
	for (size_t i = 0; i < c->file_count; i++)
		free(c->files[i].data);
}

static bool has_same(const struct check *c, struct simdisk *d, const char *name,
		     const struct log_file *f)
{
	size_t bytes;
	uint8_t *data = read_beside(c, d, name, &bytes);
	bool same = data != NULL && bytes == f->bytes &&
		    (bytes == 0 || memcmp(data, f->data, bytes) == 0);

	free(data);
	return same;
}

/* Finds the file in which the log ends after recovery: the first one that was not sealed.  MANIFEST
 * seals; the name may follow after the next power cut. */
static size_t find_last(const struct check *c, struct simdisk *durable)
{
	char sealed[SEGMENT_NAME_BYTES];
	size_t i;

	for (i = 0; i < c->file_count - 1; i++) {
		segment_name((struct segment_id){ c->files[i].number, 1 }, sealed);
		if (!has_same(c, durable, sealed, &c->files[i]) &&
		    !has_same(c, durable, c->files[i].name, &c->files[i]))
			break;
	}
	return i;
}

/* Returns the offset from which recovery cuts a file. */
static size_t cut_from(const struct check *c, size_t i)
{
	return i == c->last ? (size_t)c->kept_bytes : 0;
}

/* --- */

/* Returns whether the cut must be reported: zeros that a writer keeps ready are not, unless there
 * is no durable mark to show that nothing else was there. */
static bool wants_report(const struct check *c, const struct log_recovery *recovery)
{
	for (size_t i = c->last; i < c->file_count; i++) {
		const struct log_file *f = &c->files[i];
		bool zeros = i + 1 < c->file_count || !recovery->durable_mark_missing;

		for (size_t at = cut_from(c, i); at < f->bytes && zeros; at++)
			zeros = f->data[at] == 0;
		if (cut_from(c, i) < f->bytes && !zeros)
			return true;
	}
	return false;
}

/* Checks that the kept part is unchanged even if the power is cut right after recovery, and that
 * the rest is in quarantine and no longer in the log. */
static void check_cut(struct check *c, const struct log_recovery *recovery)
{
	struct simdisk *durable = simdisk_power_cut(c->image->disk, SIMDISK_KEEP_NONE, 0);
	size_t bytes = 0, kept = (size_t)c->kept_bytes;
	uint8_t *log = read_beside(c, durable, "active.data", &bytes);
	const struct log_file *last;
	bool cut;

	c->last = find_last(c, durable);
	last = &c->files[c->last];
	/* All their bytes are cut, also those behind the size in their names. */
	for (size_t i = c->last; i < c->file_count; i++)
		c->files[i].bytes = c->files[i].all_bytes;
	if (log == NULL || bytes != kept || kept > last->bytes ||
	    (kept > 0 && memcmp(log, last->data, kept) != 0))
		check_fail(c, "the recovered log is not durable: kept %zu bytes, durable %zu", kept,
			   bytes);
	for (size_t i = c->last; i < c->file_count; i++) {
		const struct log_file *f = &c->files[i];
		size_t from = cut_from(c, i);

		if (from < f->bytes &&
		    !quarantine_holds(durable, c->system->log_dir, f->data + from, f->bytes - from))
			check_fail(c,
				   "%zu bytes at offset %zu of %s were cut and are not in "
				   "quarantine",
				   f->bytes - from, from, f->name);
	}
	if (wants_report(c, recovery) && quarantine_count(durable, c->system->log_dir) == 0)
		check_fail(c, "no report of the cut");
	cut = wants_report(c, recovery) || c->last < c->file_count - 1;
	if (cut != (recovery->stop.scan != RECORD_END))
		check_fail(c, "%s is kept up to offset %zu, reported as %d", last->name, kept,
			   (int)recovery->stop.scan);
	free(log);
	simdisk_free(durable);
}

/* Writes after recovery, and opens the log as the next power cut leaves it. */
static void check_goes_on(const struct check *c, void *handle)
{
	char *want = NULL, *state = NULL;
	struct log_recovery recovery;
	struct simdisk *durable;
	int err = c->system->go_on(c->system->arg, handle, &want);

	if (err < 0)
		check_fail(c, "going on after recovery: %s", strerror(-err));
	if (strcmp(want, c->state) == 0)
		check_fail(c, "going on after recovery changes nothing:\n%s", want);
	durable = simdisk_power_cut(c->image->disk, SIMDISK_KEEP_NONE, 0);
	close_image(c, handle, c->image->disk, "after recovery");
	handle = open_image(c, durable, "second cycle", &state, &recovery);
	if (strcmp(state, want) != 0)
		check_fail(c, "second cycle: not what was there:\n%sbut:\n%s", want, state);
	/* Head room, if the durable mark was lost with the power. */
	if (recovery.stop.scan != RECORD_END &&
	    !(recovery.durable_mark_missing &&
	      (recovery.stop.reason == RECORD_REASON_ZERO_HEADER ||
	       recovery.stop.reason == RECORD_REASON_SHORT_HEADER)))
		check_fail(c, "the second recovery cuts again: %s",
			   record_reason_text(recovery.stop.reason));
	close_image(c, handle, durable, "second cycle");
	simdisk_free(durable);
	free(want);
	free(state);
}

/* --- a second power cut, during recovery --- */

/* Returns whether the bytes behind the kept part are in the log or in quarantine, whatever
 * happened. */
static bool tail_is_somewhere(const struct check *c, struct simdisk *d)
{
	for (size_t i = c->last; i < c->file_count; i++) {
		const struct log_file *f = &c->files[i];
		size_t from = cut_from(c, i);

		if (from < f->bytes && !has_same(c, d, f->name, f) &&
		    !has_same(c, d, "active.data", f) &&
		    !quarantine_holds(d, c->system->log_dir, f->data + from, f->bytes - from))
			return false;
	}
	return true;
}

/* Checks 'second', an image of the recovery of c->image. */
static void check_second_image(void *arg, const struct crash_image *second)
{
	struct check *c = arg;
	const struct crash_instant *first = c->image->instant;
	char when[128], why[CRASH_WHY_BYTES] = "", *state = NULL;
	struct log_recovery recovery;
	void *handle;
	bool ok;

	(void)snprintf(
		when, sizeof(when), "cut again before call %llu of the recovery (image %llu)",
		(unsigned long long)second->instant->call, (unsigned long long)second->index);
	if (c->image->kind == CRASH_CUT && !tail_is_somewhere(c, second->disk))
		check_fail(c, "%s: the tail is destroyed", when);
	handle = open_image(c, second->disk, when, &state, &recovery);
	/* Everything in a cut image is on the disk, so only the same state can come back. */
	if (c->image->kind == CRASH_CUT)
		ok = strcmp(state, c->state) == 0;
	else
		ok = c->system->is_allowed(c->system->arg, state, first->progress, CRASH_CUT, why);
	if (!ok)
		check_fail(c, "%s: not what the recovery saw; %s:\n%sbut:\n%s", when, why, c->state,
			   state);
	close_image(c, handle, second->disk, when);
	free(state);
}

/* Recovers 'start', a copy of the image, and cuts the power at each call of the recovery. */
static void check_second_cut(struct check *c, struct simdisk *start)
{
	struct crash_options options = { .seed = c->image->seed,
					 .images = 1,
					 .only_image = UINT64_MAX };
	struct crash_recorder recorder = { 0 };
	struct log_recovery recovery;
	char *state = NULL;
	void *handle;

	crash_record(&recorder, start);
	handle = open_image(c, start, "once more", &state, &recovery);
	crash_record_end(&recorder, start);
	if (strcmp(state, c->state) != 0)
		check_fail(c, "two recoveries of one image differ:\n%sand:\n%s", c->state, state);
	close_image(c, handle, start, "once more");
	free(state);
	(void)for_each_image(&recorder, &options, check_second_image, c);
	crash_recorder_free(&recorder);
	c->second_count++;
}

static void check_image(void *arg, const struct crash_image *image)
{
	struct check *c = arg;
	bool again = image->seed % SECOND_EVERY == 0 || c->options->only_image != UINT64_MAX;
	struct simdisk *copy = again ? simdisk_copy(image->disk) : NULL;
	char why[CRASH_WHY_BYTES] = "";
	struct log_recovery recovery;
	void *handle;

	c->image = image;
	read_files(c);
	handle = open_image(c, image->disk, "recovery", &c->state, &recovery);
	c->kept_bytes = recovery.kept_bytes;
	if (!c->system->is_allowed(c->system->arg, c->state, image->instant->progress, image->kind,
				   why))
		check_fail(c, "%s", why);
	check_cut(c, &recovery);
	check_goes_on(c, handle);
	c->torn_count += recovery.stop.scan != RECORD_END;
	if (again)
		check_second_cut(c, copy);
	free_files(c);
	free(c->state);
	simdisk_free(copy);
}

void crash_check(const struct crash_system *system, const struct crash_recorder *recorder,
		 const struct crash_options *options)
{
	struct check c = { .system = system, .options = options };
	uint64_t images = for_each_image(recorder, options, check_image, &c);

	if (options->only_call != 0 || options->only_image != UINT64_MAX) {
		print_message("%s: %llu images\n", system->name, (unsigned long long)images);
		return;
	}
	print_message("%s: %zu instants, %llu images, %llu with a torn tail, %llu cut again\n",
		      system->name, recorder->count, (unsigned long long)images,
		      (unsigned long long)c.torn_count, (unsigned long long)c.second_count);
	if (recorder->count > 50 * options->every) /* otherwise a sample may be too small */
		assert_true(images > recorder->count / (2 * options->every));
	if (options->every == 1) {
		assert_true(images > recorder->count / 2);
		assert_true(c.torn_count > 0);
		assert_true(c.second_count > 0);
	}
}

/* Keeps every nth test, from the ith on, as CRASH_SHARD="i/n" requires: several processes can then
 * share the work.  Returns the number of tests. */
static size_t take_shard(struct CMUnitTest *tests, size_t count)
{
	const char *text = getenv("CRASH_SHARD");
	unsigned int first = 0, every = 1;
	size_t kept = 0;

	if (text != NULL && (sscanf(text, "%u/%u", &first, &every) != 2 || first >= every))
		fail_msg("CRASH_SHARD: %s: not like 0/2", text);
	for (size_t i = first; i < count; i += every)
		tests[kept++] = tests[i];
	return kept;
}

int crash_run(const char *group, struct CMUnitTest *tests, size_t count, int argc, char **argv)
{
	/* Opening a log allocates and frees large buffers of which little is used; without this
	 * most of the time is spent mapping them and zeroing huge pages. */
	(void)mallopt(M_MMAP_THRESHOLD, 64 << 20);
	(void)mallopt(M_TRIM_THRESHOLD, 256 << 20);
	(void)prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	count = take_shard(tests, count);
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return _cmocka_run_group_tests(group, tests, count, NULL, NULL);
}
