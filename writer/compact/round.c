/* SPDX-License-Identifier: MIT */
/* A round of compaction: chooses segments, rewrites them, and installs the new files. */

#include <errno.h>
#include <stdlib.h>

#include "writer/compact/live_ranges.h"
#include "writer/compact/compact_private.h"
#include "writer/compact/rewrite.h"

#define BATCH_SHARE	  16 /* share of the live bytes that one round rewrites */
#define VICTIMS_MAX	  16
#define BATCH_BYTES_MIN	  ((uint64_t)64 * 1024 * 1024)
#define SPACE_EXTRA_SHARE 64 /* of a segment: additional space for the new one */

/* --- choosing --- */

static uint64_t gain_of(const struct compact_view *v)
{
	uint64_t used = v->live_bytes + v->known.floor_bytes;

	return used < v->seg.bytes ? v->seg.bytes - used : 0;
}

static bool may_be_victim(const struct compactor *c, const struct compact_view *v,
			  const struct compact_mode *mode)
{
	uint64_t gain = gain_of(v);

	return gain > 0 && gain >= v->seg.bytes / 100 * mode->dead_percent && !v->staged &&
	       !v->known.unreadable && !compact_is_retained(c, v) &&
	       (mode->run == 0 || (v->known.run != mode->run && v->seg.number < mode->below));
}

/* Orders by the dead share, the largest first; equal ones by age, the oldest first. */
static int compare_gain(const void *a, const void *b)
{
	const struct compact_view *x = a, *y = b;
	double share_x = (double)gain_of(x) / (double)x->seg.bytes;
	double share_y = (double)gain_of(y) / (double)y->seg.bytes;

	if (share_x != share_y)
		return share_x > share_y ? -1 : 1;
	return x->seg.number < y->seg.number ? -1 : x->seg.number > y->seg.number;
}

/* Returns the largest size that the new file can have. */
static uint64_t needed_bytes(const struct compact_view *v)
{
	uint64_t bytes = v->live_bytes + v->known.floor_bytes + v->seg.bytes / SPACE_EXTRA_SHARE;

	return bytes < v->seg.bytes ? bytes : v->seg.bytes;
}

static void swap_views(struct compact_view *a, struct compact_view *b)
{
	struct compact_view v = *a;

	*a = *b;
	*b = v;
}

/* Moves the victims of this round to the front and returns their number.  'l->views' is unordered
 * then.  If the disk has no space for any, the first one for which the reserve is large enough is
 * the only victim.  If the disk is full, the one that needs least is tried in any case, because its
 * need is an estimate. */
static size_t choose_victims(struct compactor *c, struct compact_survey *l,
			     struct compact_mode *mode, uint64_t batch_bytes)
	REQUIRES(c->run_lock, round_class)
{
	uint64_t bytes = 0, all_space = mode->no_space ? 0 : compact_space(c);
	uint64_t with_reserve = all_space + store_segment_reserve_bytes(c->s);
	uint64_t space = all_space / 2; /* writes must not find the disk full meanwhile */
	size_t chosen = 0, fitting = SIZE_MAX, least = SIZE_MAX;

	if (l->count > 0)
		qsort(l->views, l->count, sizeof(l->views[0]), compare_gain);
	for (size_t i = 0; i < l->count && chosen < VICTIMS_MAX; i++) {
		struct compact_view v = l->views[i];
		uint64_t needed = needed_bytes(&v);

		if (!may_be_victim(c, &v, mode))
			continue;
		if (needed > space - bytes) {
			if (fitting == SIZE_MAX && needed <= with_reserve)
				fitting = i;
			if (mode->lacking_bytes == 0 || needed < mode->lacking_bytes) {
				mode->lacking_bytes = needed;
				least = i;
			}
			continue;
		}
		if (chosen > 0 && bytes + needed > batch_bytes)
			break;
		bytes += needed;
		swap_views(&l->views[i], &l->views[chosen++]);
	}
	if (chosen > 0)
		return chosen;
	if (fitting == SIZE_MAX && mode->tries_least)
		fitting = least;
	if (fitting == SIZE_MAX)
		return 0;
	swap_views(&l->views[0], &l->views[fitting]);
	mode->takes_reserve = true;
	return 1;
}

/* --- one round --- */

static bool collect_victim_piece(void *arg, struct content_piece *piece)
{
	struct compact_batch *b = arg;

	for (size_t i = 0; i < b->count; i++)
		live_add(&b->victims[i].live, piece);
	return false;
}

/* Collects the live ranges of the victims, and the end of the log at that time. */
static int collect_victims(struct compactor *c, struct compact_batch *b)
	REQUIRES(c->run_lock, round_class)
{
	int err = compact_each_piece(c, false, collect_victim_piece, b);

	b->judged_end = log_writer_size(c->log);
	for (size_t i = 0; err == 0 && i < b->count; i++)
		err = live_sort(&b->victims[i].live, REWRITE_GAP_BYTES);
	return err;
}

/* Writes the new file of a victim.  'v->new.fd' stays -1 if it does not gain enough. */
static int rewrite(struct compactor *c, struct compact_victim *v, struct compact_pace *pace)
	REQUIRES(c->run_lock, round_class)
{
	struct rewrite r = {
		.io = c->io,
		.from_fd = v->seg.fd,
		.from_bytes = v->seg.bytes,
		.live = &v->live,
		.pace = compact_pace,
		.arg = pace,
	};
	int err = log_writer_new_segment(c->log, v->seg.number, &v->new);

	if (err < 0)
		return err;
	v->new.fd = compact_new_file(c, pace->mode, v->new.name);
	if (v->new.fd < 0)
		return v->new.fd;
	r.to_fd = v->new.fd;
	err = rewrite_segment(&r);
	v->new.bytes = r.to_bytes;
	v->new.is_base = v->seg.is_base;
	v->unreadable = r.unreadable;
	if (err == 0 && v->new.bytes < v->seg.bytes)
		err = log_writer_check_new(c->log, &v->new, &c->stop,
					   !atomic_load(&c->growth->is_full));
	if (err == 0 && v->new.bytes < v->seg.bytes)
		return 0;
	log_writer_drop_new(c->log, &v->new);
	v->new.bytes = v->seg.bytes;
	return err;
}

static bool move_victim_piece(void *arg, struct content_piece *piece)
{
	const struct compact_batch *b = arg;

	for (size_t i = 0; i < b->count; i++)
		if (b->victims[i].replaced && live_move(&b->victims[i].live, piece))
			return true;
	return false;
}

/* Gives the keydir all new positions, and closes the old files. */
static void move_victim_pieces(struct compactor *c, struct compact_batch *b)
	REQUIRES(c->run_lock, round_class)
{
	(void)!compact_each_piece(c, true, move_victim_piece, b); /* cannot be cancelled */
	store_wait_for_readers(c->s);
	for (size_t i = 0; i < b->count; i++)
		if (b->victims[i].replaced)
			log_writer_retire(c->log, b->victims[i].seg.start);
}

/* Notes the knowledge from rewriting a segment. */
static void learn_from_rewrite(struct compactor *c, const struct compact_victim *v,
			       const struct compact_mode *mode, int err)
	REQUIRES(c->run_lock, round_class)
{
	struct compact_known *known = compact_known_of(c, v->seg.number);

	if (known == NULL)
		return;	       /* it is tried again */
	if (!log_is_full(err)) /* otherwise it is tried with the reserve */
		known->run = mode->run;
	if (err == 0)
		known->floor_bytes =
			v->new.bytes > v->live_bytes ? v->new.bytes - v->live_bytes : 0;
	if (v->unreadable)
		compact_set_unreadable(c, known);
}

/* Installs the new files in the place of the old ones. */
static int replace_all(struct compactor *c, struct compact_batch *b)
	REQUIRES(c->run_lock, round_class)
{
	struct log_new_segment list[VICTIMS_MAX];
	bool installed = false;
	size_t count = 0;
	int err;

	for (size_t i = 0; i < b->count; i++)
		if (b->victims[i].new.fd >= 0)
			list[count++] = b->victims[i].new;
	err = compact_install(c, list, count, false, &installed);
	if (!installed)
		return err;
	count = 0;
	for (size_t i = 0; i < b->count; i++) {
		struct compact_victim *v = &b->victims[i];

		if (v->new.fd < 0)
			continue;
		v->new = list[count++];
		v->live.to_start = v->new.start;
		v->replaced = true;
		b->gained_bytes += v->seg.bytes - v->new.bytes;
	}
	move_victim_pieces(c, b);
	log_writer_remove_replaced(c->log);
	return err;
}

static void begin_batch(struct compact_batch *b, const struct compact_survey *l, size_t count)
{
	b->count = count;
	for (size_t i = 0; i < count; i++) {
		struct compact_victim *v = &b->victims[i];

		*v = (struct compact_victim){ .seg = l->views[i].seg, .new = { .fd = -1 } };
		v->live_bytes = l->views[i].live_bytes;
		live_init(&v->live, v->seg.start, v->seg.start + v->seg.bytes);
	}
}

/* Compacts the first 'count' segments of 'l'. */
static int compact_batch(struct compactor *c, const struct compact_survey *l, size_t count,
			 struct compact_pace *pace, struct compact_batch *b)
	REQUIRES(c->run_lock, round_class)
{
	size_t complete = 0;
	int err, first = 0;

	begin_batch(b, l, count);
	err = collect_victims(c, b);
	c->paced_ns = monotonic_ns();
	for (size_t i = 0; err == 0 && i < count; i++) {
		struct compact_victim *v = &b->victims[i];

		err = rewrite(c, v, pace);
		learn_from_rewrite(c, v, pace->mode, err);
		if (v->unreadable) {
			first = first < 0 ? first : err;
			err = 0; /* the other victims may be undamaged */
		}
	}
	for (size_t i = 0; i < count; i++)
		complete += b->victims[i].new.fd >= 0;
	/* Complete files are installed even if there is no space for the next one. */
	if (complete > 0 && (err == 0 || log_is_full(err))) {
		int replace_err = compact_sync_judged(c, b->judged_end);

		if (replace_err == 0)
			replace_err = replace_all(c, b);
		err = err < 0 ? err : replace_err;
	}
	for (size_t i = 0; i < count; i++) {
		log_writer_drop_new(c->log, &b->victims[i].new);
		live_free(&b->victims[i].live);
	}
	return err < 0 ? err : first;
}

/* Returns whether to seal the active segment so that it can be compacted. */
static bool wants_active(const struct compactor *c, const struct compact_survey *l,
			 const struct compact_mode *mode)
{
	uint64_t live = l->active_live_bytes;
	uint64_t dead = live < l->active_bytes ? l->active_bytes - live : 0;

	if (c->retain_ns > 0 || dead == 0 || l->active_bytes < mode->bytes_min)
		return false;
	return mode->seals_active && dead >= l->active_bytes / 100 * mode->dead_percent;
}

static void count_round(struct compactor *c, const struct compact_batch *b)
{
	compactor_lock(c);
	for (size_t i = 0; i < b->count; i++)
		c->figures.segments += b->victims[i].replaced;
	c->figures.gained_bytes += b->gained_bytes;
	compactor_unlock(c);
}

static int seal_active(struct compactor *c)
{
	/* Syncs first without the log's lock, so that the rotation holds the lock for less time. */
	int err = log_writer_sync_to(c->log, log_writer_size(c->log));

	return err < 0 ? err : log_writer_rotate(c->log);
}

/* Compacts segments in their places.  Stores whether any was compacted. */
static int compact_in_place(struct compactor *c, struct compact_survey *l,
			    struct compact_mode *mode, bool *ret_more)
	REQUIRES(c->run_lock, round_class)
{
	struct compact_batch *b = calloc(1, sizeof(*b) + VICTIMS_MAX * sizeof(b->victims[0]));
	struct compact_pace pace = { .c = c, .mode = mode };
	uint64_t batch_bytes;
	size_t count;
	int err = 0;

	if (b == NULL)
		return -ENOMEM;
	batch_bytes = compact_live_bytes(c) / BATCH_SHARE;
	if (batch_bytes < BATCH_BYTES_MIN)
		batch_bytes = BATCH_BYTES_MIN;
	count = choose_victims(c, l, mode, batch_bytes);
	for (size_t i = 0; i < count; i++)
		pace.all_bytes += l->views[i].seg.bytes;
	if (count > 0)
		err = compact_batch(c, l, count, &pace, b);
	count_round(c, b);
	*ret_more = count > 0;
	free(b);
	return err;
}

/* Without a request, a fold that gains enough comes first: if much is written, there is always
 * another segment to compact in its place.  The fold also removes the dead values of its segments.
 * If it fails, or has no space, the other segments are compacted. */
static int fold_or_compact(struct compactor *c, struct compact_survey *l, struct compact_mode *mode,
			   bool *ret_more) REQUIRES(c->run_lock, round_class)
{
	uint64_t lacking = 0;
	int fold_err = 0, err;

	if (mode->run == 0) {
		fold_err = compact_fold(c, l, mode, ret_more);
		lacking = mode->lacking_bytes;
		mode->lacking_bytes = 0;
	}
	if (*ret_more || fold_err == -ECANCELED)
		return fold_err;
	err = compact_in_place(c, l, mode, ret_more);
	if (err == 0 && !*ret_more && mode->run != 0)
		fold_err = compact_fold(c, l, mode, ret_more);
	if (!*ret_more && mode->lacking_bytes == 0)
		mode->lacking_bytes = lacking;
	return err < 0 ? err : fold_err;
}

int compact_round(struct compactor *c, struct compact_mode *mode, bool *ret_more)
{
	struct compact_survey l = { 0 };
	int err = compact_seal(c), seal_err = 0; /* rotated segments must be examined, too */

	if (err == 0 || log_is_full(err))
		err = compact_survey(c, &l);
	*ret_more = false;
	mode->lacking_bytes = 0;
	mode->takes_reserve = false;
	if (err == 0 && wants_active(c, &l, mode)) {
		err = seal_active(c);
		seal_err = log_is_full(err) ? err : 0;
		/* By hand once; on a full disk again after the other segments were compacted. */
		mode->seals_active = seal_err < 0 || (mode->run == 0 && err == 0);
		*ret_more = err == 0;
	}
	/* Without space, or an inode, for another segment, space can still be gained in the others.
	 */
	if (!*ret_more && (err == 0 || log_is_full(err)))
		err = fold_or_compact(c, &l, mode, ret_more);
	free(l.views);
	return err < 0 || *ret_more ? err : seal_err;
}
