/* SPDX-License-Identifier: MIT */
/* Folding: the oldest segments become the base.  It replaces segments 1 to k, and has their
 * combined result.  So names, moves and tombstones without effect disappear, too, and the log has
 * fewer files.
 *
 * A base is one segment or several, its parts.  Each part is at most as large as any segment, so it
 * can be compacted alone, on a full disk in the reserve.  The parts take the places of the last
 * folded segments: the last part has the number k.
 *
 * The segments are replayed into a separate tree, with no lock.  Their live bytes are collected as
 * in compaction.  The base is written next to them and takes their place in one change.  From then
 * on the older files have no meaning, and they are removed. */
#include <errno.h>
#include <stdlib.h>

#include "writer/compact/compact_private.h"
#include "writer/compact/fold_base.h"
#include "writer/compact/fold_replay.h"

#define SPACE_EXTRA_SHARE 64		   /* of the segments: additional space for the base */
#define HAND_BYTES_MIN	  ((uint64_t)4096) /* by hand: at least this much must be gained, */
#define HAND_SHARE	  4		   /* and a quarter of the bytes for names and attributes */

struct fold {
	struct compactor *c;
	struct compact_mode *mode;
	struct compact_pace pace;
	struct segment *segments; /* by number; borrowed from the look */
	struct segment *by_start;
	size_t count;
	uint64_t all_bytes;  /* of these segments */
	uint64_t as_of_ns;   /* time of their newest record */
	uint64_t judged_end; /* end of the log when the live bytes were collected */
	struct live live;
	struct fold_replay replay;
	struct fold_base base;
	size_t numbers;		     /* how many of the last segments have consecutive numbers */
	struct log_new_segment *new; /* an array of so many */
	size_t new_count;
};

/* --- choosing --- */

/* Figures of the first segments. */
struct sums {
	uint64_t bytes, live_bytes;
	uint64_t floor_bytes; /* bytes known to be neither live nor gainable */
};

static int compare_numbers(const void *a, const void *b)
{
	const struct compact_view *x = a, *y = b;

	return x->seg.number < y->seg.number ? -1 : x->seg.number > y->seg.number;
}

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

/* Returns whether a fold gains enough: the bytes that names and attributes need stay. */
static bool is_worth_it(const struct compactor *c, const struct compact_mode *mode,
			const struct sums *sums, uint64_t needed_bytes)
	REQUIRES(c->run_lock, round_class)
{
	uint64_t useless = less(sums->floor_bytes, needed_bytes);
	uint64_t share = sums->bytes / 200 * mode->dead_percent;

	uint64_t hand_min = c->bytes_min < HAND_BYTES_MIN ? c->bytes_min : HAND_BYTES_MIN;

	if (mode->run != 0)
		return useless >= needed_bytes / HAND_SHARE + hand_min;
	if (useless < mode->bytes_min || useless < share || useless < c->fold_from)
		return false;
	return less(sums->bytes - sums->live_bytes, needed_bytes) >=
	       sums->bytes / 100 * mode->dead_percent;
}

static bool may_be_folded(const struct compactor *c, const struct compact_view *v,
			  const struct compact_mode *mode)
{
	return !v->staged && !v->known.unreadable && !v->known.not_foldable &&
	       !compact_is_retained(c, v) && (mode->run == 0 || v->seg.number < mode->below);
}

/* Returns the number of segments to fold, counted from the first: as many as possible, if that
 * gains enough. */
static size_t choose_segments(struct compactor *c, const struct compact_survey *l,
			      const struct compact_mode *mode, struct sums *ret)
	REQUIRES(c->run_lock, round_class)
{
	struct sums sums = { 0 };
	size_t chosen = 0;

	for (size_t i = 0; i < l->count; i++) {
		const struct compact_view *v = &l->views[i];

		if (!may_be_folded(c, v, mode))
			break;
		sums.bytes += v->seg.bytes;
		sums.live_bytes += v->live_bytes < v->seg.bytes ? v->live_bytes : v->seg.bytes;
		sums.floor_bytes += v->known.floor_bytes;
		if (i + 1 < l->base_count) /* a base is folded as a whole */
			continue;
		if (!is_worth_it(c, mode, &sums, l->views[0].base_bytes))
			continue;
		chosen = i + 1;
		*ret = sums;
	}
	return chosen;
}

/* --- live bytes --- */

/* Returns whether a position is in one of the segments. */
static bool is_folded(const struct fold *f, uint64_t position)
{
	size_t low = 0, high = f->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (f->by_start[mid].start <= position)
			low = mid + 1;
		else
			high = mid;
	}
	return low > 0 && position < f->by_start[low - 1].start + f->by_start[low - 1].bytes;
}

static bool collect_folded_piece(void *arg, struct content_piece *piece)
{
	struct fold *f = arg;

	if (is_folded(f, piece->value.record_position))
		live_add(&f->live, piece);
	return false;
}

/* Collects the live bytes, and the end of the log at that time. */
static int collect_live_bytes(struct compactor *c, struct fold *f)
	REQUIRES(c->run_lock, round_class)
{
	int err = compact_each_piece(c, false, collect_folded_piece, f);

	f->judged_end = log_writer_size(c->log);
	return err < 0 ? err : live_sort(&f->live, 0);
}

/* --- writing the base --- */

static int compare_starts(const void *a, const void *b)
{
	const struct segment *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static int begin_fold(struct fold *f, const struct compact_survey *l, size_t count)
{
	f->segments = calloc(count, sizeof(f->segments[0]));
	f->by_start = calloc(count, sizeof(f->by_start[0]));
	if (f->segments == NULL || f->by_start == NULL)
		return -ENOMEM;
	f->count = count;
	for (size_t i = 0; i < count; i++) {
		const struct segment *seg = &l->views[i].seg;

		f->segments[i] = f->by_start[i] = *seg;
		f->all_bytes += seg->bytes;
		if (seg->facts.last_timestamp_ns > f->as_of_ns)
			f->as_of_ns = seg->facts.last_timestamp_ns;
	}
	qsort(f->by_start, count, sizeof(f->by_start[0]), compare_starts);
	for (f->numbers = 1; f->numbers < count; f->numbers++)
		if (f->segments[count - f->numbers].number !=
		    f->segments[count - f->numbers - 1].number + 1)
			break;
	f->new = calloc(f->numbers, sizeof(f->new[0]));
	f->base.parts = calloc(f->numbers, sizeof(f->base.parts[0]));
	if (f->new == NULL || f->base.parts == NULL)
		return -ENOMEM;
	live_init(&f->live, 0, UINT64_MAX);
	f->pace.all_bytes = 2 * f->all_bytes; /* read once, and written at most once */
	return fold_replay_init(&f->replay, keydir_defaults_of(f->c->keydir));
}

static int replay_all(struct compactor *c, struct fold *f) REQUIRES(c->run_lock, round_class)
{
	f->replay.pace = compact_pace;
	f->replay.arg = &f->pace;
	for (size_t i = 0; i < f->count; i++) {
		int err = fold_replay_segment(&f->replay, c->log, &f->segments[i]);
		struct compact_known *known;

		if (err == 0)
			continue;
		known = compact_known_of(c, f->segments[i].number);
		if (known != NULL && (err == -EBADMSG || err == -EIO))
			compact_set_unreadable(c, known);
		return err;
	}
	return 0;
}

static bool is_void(void *arg, uint64_t staging_id)
{
	const struct compact_pace *pace = arg;

	return store_is_void_staging(pace->c->s, staging_id);
}

/* Notes the reason why the base could not be written. */
static void learn_failure(struct compactor *c, struct fold *f, int err)
	REQUIRES(c->run_lock, round_class)
{
	uint64_t bad = f->base.bad_position;
	struct compact_known *known;

	for (size_t i = 0; i < f->count && bad != UINT64_MAX; i++) {
		const struct segment *seg = &f->segments[i];

		if (bad < seg->start || bad >= seg->start + seg->bytes)
			continue;
		known = compact_known_of(c, seg->number);
		if (known != NULL)
			compact_set_unreadable(c, known);
	}
	if (f->base.is_too_large || (err != -EFBIG && err != -ENAMETOOLONG))
		return;
	/* Any of the segments may be the cause: none of them is tried again. */
	known = compact_known_of(c, f->segments[0].number);
	if (known != NULL)
		known->not_foldable = true;
}

static uint64_t number_of(const struct fold *f)
{
	return f->segments[f->count - 1].number;
}

/* Returns the number of the segment that part 'index' of 'count' replaces. */
static uint64_t number_of_part(const struct fold *f, size_t index, size_t count)
{
	return number_of(f) - (count - 1 - index);
}

/* Creates the file of the next part.  Its name is the one for the largest possible number of
 * parts. */
static int new_part(void *arg) NO_THREAD_SAFETY /* the thread that folds */
{
	const struct compact_pace *pace = arg;
	struct fold *f = pace->fold;
	struct log_new_segment *new = &f->new[f->new_count];
	int err =
		log_writer_new_segment(f->c->log, number_of_part(f, f->new_count, f->numbers), new);

	if (err < 0)
		return err;
	new->fd = compact_new_file(f->c, f->mode, new->name);
	if (new->fd >= 0)
		f->new_count++;
	return new->fd;
}

/* Gives the parts their numbers after all of them are written. */
static int number_parts(struct compactor *c, struct fold *f)
{
	int err = 0;

	/* From the last one on: no name is that of another part. */
	for (size_t i = f->new_count; err == 0 && i-- > 0;) {
		struct log_new_segment *new = &f->new[i], as;

		err = log_writer_new_segment(c->log, number_of_part(f, i, f->new_count), &as);
		if (err == 0 && as.number != new->number)
			err = io_rename(c->io, c->dir_fd, new->name, as.name);
		if (err < 0)
			break;
		as.fd = new->fd;
		as.bytes = f->base.parts[i].bytes;
		as.is_base = i == 0;
		*new = as;
	}
	return err;
}

static int write_base_file(struct compactor *c, struct fold *f) REQUIRES(c->run_lock, round_class)
{
	int err;

	f->base = (struct fold_base){
		.io = c->io,
		.log = c->log,
		.tree = f->replay.tree,
		.replay = &f->replay,
		.live = &f->live,
		.as_of_ns = f->as_of_ns,
		.bytes_max = f->all_bytes,
		.last_number = number_of(f),
		/* So there are never more parts than there are numbers. */
		.part_least = f->all_bytes / f->numbers + 1,
		.part_most = log_writer_segment_size(c->log),
		.parts = f->base.parts,
		.parts_max = f->numbers,
		.new_part = new_part,
		.pace = compact_pace,
		.is_void = is_void,
		.arg = &f->pace,
	};
	err = fold_base_write(&f->base);
	if (err < 0)
		learn_failure(c, f, err);
	return err;
}

/* --- installing the base --- */

static bool move_folded_piece(void *arg, struct content_piece *piece)
{
	const struct fold *f = arg;

	return is_folded(f, piece->value.record_position) && live_move(&f->base.moved, piece);
}

/* Returns the number of ranges, from 'first' on, that belong to the same record, and stores whether
 * any two of them have the same bytes: then it is unknown which of the two is meant. */
static size_t count_doubles(const struct live *moved, size_t first, bool *ret_doubles)
{
	const struct live_range *r = &moved->ranges[first];
	uint64_t end = 0;
	size_t count = 0;

	*ret_doubles = false;
	for (; first + count < moved->count && r[count].record == r[0].record; count++) {
		*ret_doubles = *ret_doubles || r[count].from < end;
		if (end < (uint64_t)r[count].from + r[count].bytes)
			end = (uint64_t)r[count].from + r[count].bytes;
	}
	return count;
}

/* Reserves memory for the ranges that keep_doubles() will keep. */
static int prepare_doubles(struct fold *f)
{
	const struct live *moved = &f->base.moved;
	size_t doubles = 0;
	bool any;

	for (size_t i = 0, count; i < moved->count; i += count) {
		count = count_doubles(moved, i, &any);
		doubles += any ? count : 0;
	}
	return doubles == 0 ? 0 : store_reserve_kept(f->c->s, doubles);
}

/* If two files had the same record, which can happen if a key has hidden another, the base has two
 * records.  A replay reads each file from its own; here both are read from one of them.  The other
 * must not count as dead. */
static void keep_doubles(const struct fold *f)
{
	const struct live *moved = &f->base.moved;
	const struct live_range *r;
	struct value_position value;
	bool any;

	for (size_t i = 0, count; i < moved->count; i += count) {
		count = count_doubles(moved, i, &any);
		for (size_t j = 0; any && j < count; j++) {
			r = &moved->ranges[i + j];
			value = (struct value_position){ moved->to_start + r->to_record,
							 r->to_key_bytes, r->to_value_bytes };
			store_keep_piece(f->c->s, &value, r->to_from, r->bytes);
		}
	}
}

/* Gives the keydir all new positions; on return no thread reads from the old files. */
static void move_folded_pieces(struct compactor *c, struct fold *f)
	REQUIRES(c->run_lock, round_class)
{
	(void)!compact_each_piece(c, true, move_folded_piece, f); /* cannot be cancelled */
	keep_doubles(f);
	store_wait_for_readers(c->s);
}

/* Puts the base in the place of the segments.  Stores whether it is in place, which is possible in
 * spite of a failure. */
static int install_base(struct compactor *c, struct fold *f, bool *ret_replaced)
	REQUIRES(c->run_lock, round_class)
{
	int err = number_parts(c, f);

	for (size_t i = 0; err == 0 && i < f->new_count; i++)
		err = log_writer_check_new(c->log, &f->new[i], &c->stop,
					   !atomic_load(&c->growth->is_full));
	if (err == 0)
		err = compact_sync_judged(c, f->judged_end);
	if (err == 0)
		err = prepare_doubles(f);
	if (err == 0)
		err = compact_install(c, f->new, f->new_count, true, ret_replaced);
	if (!*ret_replaced)
		return err;
	f->base.moved.to_start = f->new[0].start; /* the positions of the others follow */
	move_folded_pieces(c, f);
	for (size_t i = 0; i < f->count; i++)
		log_writer_retire(c->log, f->segments[i].start);
	log_writer_remove_replaced(c->log);
	return err;
}

/* --- one fold --- */

/* Forgets the knowledge about the segments, which do not exist any more. */
static void learn_from_fold(struct compactor *c, struct fold *f) REQUIRES(c->run_lock, round_class)
{
	struct compact_known *known;
	size_t kept = 0;

	for (size_t i = 0; i < c->known_count; i++)
		if (c->known[i].number > number_of(f))
			c->known[kept++] = c->known[i];
	c->known_count = kept;
	for (size_t i = 0; i < f->new_count; i++) {
		known = compact_known_of(c, f->new[i].number);
		if (known == NULL)
			continue;
		known->floor_bytes = f->base.parts[i].other_bytes;
		known->run = f->mode->run;
	}
	compactor_lock(c);
	c->figures.folds++;
	c->figures.gained_bytes += f->all_bytes - f->base.to_bytes;
	compactor_unlock(c);
}

static void finish(struct fold *f)
{
	for (size_t i = 0; i < f->new_count; i++)
		log_writer_drop_new(f->c->log, &f->new[i]);
	free(f->new);
	free(f->base.parts);
	live_free(&f->base.moved);
	live_free(&f->live);
	fold_replay_free(&f->replay);
	free(f->segments);
	free(f->by_start);
}

/* Folds the first 'count' segments. */
static int fold(struct compactor *c, const struct compact_survey *l, size_t count,
		struct compact_mode *mode, bool *ret_folded) REQUIRES(c->run_lock, round_class)
{
	struct fold f = { .c = c, .mode = mode, .pace = { .c = c, .mode = mode } };
	int err;

	f.pace.fold = &f;
	err = begin_fold(&f, l, count);

	c->paced_ns = monotonic_ns();
	if (err == 0)
		err = replay_all(c, &f);
	if (err == 0)
		err = collect_live_bytes(c, &f);
	if (err == 0)
		err = write_base_file(c, &f);
	if (err == 0 && f.base.to_bytes < f.all_bytes)
		err = install_base(c, &f, ret_folded);
	else if (err == -EFBIG || err == -ENAMETOOLONG)
		err = 0; /* the segments stay as they are */
	if (*ret_folded)
		learn_from_fold(c, &f);
	finish(&f);
	return err;
}

int compact_fold(struct compactor *c, struct compact_survey *l, struct compact_mode *mode,
		 bool *ret_folded)
{
	struct sums sums = { 0 };
	uint64_t needed;
	size_t count;
	int err;

	if (l->count > 0)
		qsort(l->views, l->count, sizeof(l->views[0]), compare_numbers);
	count = choose_segments(c, l, mode, &sums);
	if (count == 0)
		return 0;
	needed = sums.live_bytes + sums.floor_bytes + sums.bytes / SPACE_EXTRA_SHARE;
	if (needed > sums.bytes)
		needed = sums.bytes;
	mode->takes_reserve = mode->no_space || needed > compact_space(c);
	if (mode->takes_reserve &&
	    needed > store_segment_reserve_bytes(c->s) + (mode->no_space ? 0 : compact_space(c))) {
		mode->takes_reserve = false;
		if (mode->lacking_bytes == 0)
			mode->lacking_bytes = needed;
		return 0;
	}
	err = fold(c, l, count, mode, ret_folded);
	c->fold_from = 0;
	if (!*ret_folded) /* worth another try when there is a quarter more */
		c->fold_from = less(sums.floor_bytes, l->views[0].base_bytes) / HAND_SHARE *
			       (HAND_SHARE + 1);
	return err;
}
