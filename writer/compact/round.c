/* SPDX-License-Identifier: MIT */
#include "writer/compact/compact.h"

#include <errno.h>
#include <stdlib.h>

#include "writer/base/times.h"
#include "codec/record.h"
#include "writer/compact/live_ranges.h"
#include "writer/compact/compact_private.h"
#include "writer/compact/rewrite.h"
#include "writer/store/store_private.h"

#define BATCH_SHARE	  16 /* of what is live: that much is written anew in one round */
#define VICTIMS_MAX	  16
#define BATCH_BYTES_MIN	  ((uint64_t)64 * 1024 * 1024)
#define SPACE_SPARE_BYTES ((uint64_t)256 * 1024) /* left to others */
#define SPACE_EXTRA_SHARE 64 /* of a segment: what a new one may need beside what is live */
#define NAP_NS_MAX	  (NSEC_PER_SEC / 20)
#define GENTLE_PERCENT	  180 /* the log, of what is live: up to here it takes its time, */
#define URGENT_PERCENT	  200 /* and from here on all of it */

#define FUTURE_MIN_NS NSEC_PER_SEC /* a timestamp may be a little ahead of the clock */

/* --- choosing --- */

static uint64_t gain_of(const struct compact_view *v)
{
	uint64_t used = v->live_bytes + v->known.floor_bytes;

	return used < v->seg.bytes ? v->seg.bytes - used : 0;
}

bool compact_is_retained(const struct store *s, const struct compact_view *v)
{
	int64_t retain_ns = s->compactor.retain_ns;
	uint64_t now_ns = io_clock_ns(s->io);
	uint64_t age_ns = now_ns > v->written_ns ? now_ns - v->written_ns : 0;

	return retain_ns == LOG_WRITER_NEVER || (retain_ns > 0 && age_ns < (uint64_t)retain_ns);
}

/* When the clock was ahead once, a segment has timestamps of the future.  Then its file says when
 * it was written, or if the clock was ahead at that time, it is older than the segments behind it,
 * and than the time for which the store has been open. */
void compact_date(struct store *s, struct compact_look *l)
{
	uint64_t now_ns = io_clock_ns(s->io);
	uint64_t open_ns = monotonic_ns() - s->compactor.opened_ns;
	uint64_t newest_ns = now_ns > open_ns ? now_ns - open_ns : 0;
	uint64_t future_ns = now_ns + FUTURE_MIN_NS;
	struct io_stat st;

	for (size_t i = l->count; i-- > 0;) {
		struct compact_view *v = &l->views[i];

		v->written_ns = v->seg.facts.last_timestamp_ns;
		if (v->written_ns > future_ns && io_stat(s->io, v->seg.fd, &st) == 0)
			v->written_ns = st.mtime_ns > 0 ? (uint64_t)st.mtime_ns : 0;
		if (v->written_ns > future_ns)
			v->written_ns = newest_ns;
		else if (v->written_ns < newest_ns)
			newest_ns = v->written_ns;
	}
}

static bool may_be_victim(const struct store *s, const struct compact_view *v,
			  const struct compact_mode *mode)
{
	uint64_t gain = gain_of(v);

	return gain > 0 && gain >= v->seg.bytes / 100 * mode->dead_percent && !v->staged &&
	       !v->known.unreadable && !compact_is_retained(s, v) &&
	       (mode->run == 0 || (v->known.run != mode->run && v->seg.number < mode->below));
}

/* The one with the larger dead share first; of equal ones the older. */
static int compare_gain(const void *a, const void *b)
{
	const struct compact_view *x = a, *y = b;
	double share_x = (double)gain_of(x) / (double)x->seg.bytes;
	double share_y = (double)gain_of(y) / (double)y->seg.bytes;

	if (share_x != share_y)
		return share_x > share_y ? -1 : 1;
	return x->seg.number < y->seg.number ? -1 : x->seg.number > y->seg.number;
}

/* What the new file can have at most. */
static uint64_t needed_bytes(const struct compact_view *v)
{
	uint64_t bytes = v->live_bytes + v->known.floor_bytes + v->seg.bytes / SPACE_EXTRA_SHARE;

	return bytes < v->seg.bytes ? bytes : v->seg.bytes;
}

uint64_t compact_space(struct store *s)
{
	uint64_t space = UINT64_MAX;
	struct io_space disk;

	if (store_space(s, &disk) == 0)
		space = disk.blocks_available * disk.block_bytes;
	return space > SPACE_SPARE_BYTES ? space - SPACE_SPARE_BYTES : 0;
}

static void swap_views(struct compact_view *a, struct compact_view *b)
{
	struct compact_view v = *a;

	*a = *b;
	*b = v;
}

/* Moves the victims of this round to the front; returns how many.  'l->views' is in no order then.
 * Where there is no space for any, the first one that the reserve is enough for is the only one; if
 * the disk is full, the one that needs least is tried in any case, as that is an estimate. */
static size_t choose(struct store *s, struct compact_look *l, struct compact_mode *mode,
		     uint64_t batch_bytes) REQUIRES(s->compactor.run_lock)
{
	uint64_t bytes = 0, space = mode->no_space ? 0 : compact_space(s);
	uint64_t with_reserve = space + compact_reserve_bytes(s);
	size_t chosen = 0, fitting = SIZE_MAX, least = SIZE_MAX;

	if (l->count > 0)
		qsort(l->views, l->count, sizeof(l->views[0]), compare_gain);
	for (size_t i = 0; i < l->count && chosen < VICTIMS_MAX; i++) {
		struct compact_view v = l->views[i];
		uint64_t needed = needed_bytes(&v);

		if (!may_be_victim(s, &v, mode))
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

static bool collect_piece(void *arg, struct content_piece *piece)
{
	struct compact_batch *b = arg;

	for (size_t i = 0; i < b->count; i++)
		live_add(&b->victims[i].live, piece);
	return false;
}

/* Collects what is live in the victims, and where the log ends when it is known. */
static int collect(struct store *s, struct compact_batch *b) REQUIRES(s->compactor.run_lock)
{
	int err = compact_each_place(s, false, collect_piece, b);

	b->judged_end = log_writer_size(s->log);
	for (size_t i = 0; err == 0 && i < b->count; i++)
		err = live_sort(&b->victims[i].live, REWRITE_GAP_BYTES);
	return err;
}

/* Lets the others work: the more, the less urgent it is. */
static void give_way(struct store *s) REQUIRES(s->compactor.run_lock)
{
	struct compactor *c = &s->compactor;
	struct log_writer_stats log;
	struct keydir_stats keydir;
	uint64_t now_ns = monotonic_ns(), took_ns = now_ns - c->paced_ns, percent;
	struct timespec nap;

	log_writer_stats(s->log, &log);
	keydir_stats(s->keydir, &keydir);
	percent = (log.active_bytes + log.sealed_bytes) / (keydir.live_bytes / 100 + 1);
	if (log.end_offset != c->paced_end && percent < URGENT_PERCENT && !atomic_load(&c->full)) {
		if (percent >= GENTLE_PERCENT)
			took_ns /= 4;
		if (took_ns > NAP_NS_MAX)
			took_ns = NAP_NS_MAX;
		nap = timespec_of_ns((int64_t)took_ns);
		(void)nanosleep(&nap, NULL);
	}
	c->paced_end = log.end_offset;
	c->paced_ns = monotonic_ns();
}

int compact_pace(void *arg, uint64_t bytes) NO_THREAD_SAFETY
{
	struct compact_pace *p = arg;

	if (atomic_load(&p->s->compactor.stop))
		return -ECANCELED;
	give_way(p->s); /* run_lock is held by whoever writes */
	p->done_bytes += bytes;
	if (p->mode->progress == NULL)
		return 0;
	return p->mode->progress(p->mode->arg, p->done_bytes, p->all_bytes) != 0 ? -ECANCELED : 0;
}

/* Writes the new file of a victim.  'v->new.fd' stays -1 if it is not worth it. */
static int rewrite(struct store *s, struct compact_victim *v, struct compact_pace *pace)
	REQUIRES(s->compactor.run_lock)
{
	struct rewrite r = {
		.io = s->io,
		.from_fd = v->seg.fd,
		.from_bytes = v->seg.bytes,
		.live = &v->live,
		.pace = compact_pace,
		.arg = pace,
	};
	int err = log_writer_new_segment(s->log, v->seg.number, &v->new);

	if (err < 0)
		return err;
	v->new.fd = compact_new_file(s, pace->mode, v->new.name);
	if (v->new.fd < 0)
		return v->new.fd;
	r.to_fd = v->new.fd;
	err = rewrite_segment(&r);
	v->new.bytes = r.to_bytes;
	v->new.is_base = v->seg.is_base;
	v->unreadable = r.unreadable;
	if (err == 0 && v->new.bytes < v->seg.bytes)
		err = log_writer_check_new(s->log, &v->new, &s->compactor.stop,
					   !atomic_load(&s->compactor.full));
	if (err == 0 && v->new.bytes < v->seg.bytes)
		return 0;
	log_writer_drop_new(s->log, &v->new);
	v->new.bytes = v->seg.bytes;
	return err;
}

static bool move_piece(void *arg, struct content_piece *piece)
{
	const struct compact_batch *b = arg;

	for (size_t i = 0; i < b->count; i++)
		if (b->victims[i].replaced && live_move(&b->victims[i].live, piece))
			return true;
	return false;
}

/* Tells the keydir where everything is now, and closes the old files. */
static void move_places(struct store *s, struct compact_batch *b) REQUIRES(s->compactor.run_lock)
{
	(void)!compact_each_place(s, true, move_piece, b); /* is not cancelled */
	read_gate_wait(&s->gate);
	for (size_t i = 0; i < b->count; i++)
		if (b->victims[i].replaced)
			log_writer_retire(s->log, b->victims[i].seg.start);
}

void compact_set_unreadable(struct store *s, struct compact_known *known)
{
	if (known->unreadable)
		return;
	known->unreadable = true;
	mutex_lock(&s->compactor.lock);
	s->compactor.figures.unreadable_segments++;
	mutex_unlock(&s->compactor.lock);
}

/* What is known of a segment after it was looked through. */
static void learn(struct store *s, const struct compact_victim *v, const struct compact_mode *mode,
		  int err) REQUIRES(s->compactor.run_lock)
{
	struct compact_known *known = compact_known_of(&s->compactor, v->seg.number);

	if (known == NULL)
		return; /* it is tried again */
	known->run = mode->run;
	if (err == 0)
		known->floor_bytes =
			v->new.bytes > v->live_bytes ? v->new.bytes - v->live_bytes : 0;
	if (v->unreadable)
		compact_set_unreadable(s, known);
}

/* Puts the new files in the place of the old ones. */
static int replace_all(struct store *s, struct compact_batch *b) REQUIRES(s->compactor.run_lock)
{
	struct log_new_segment list[VICTIMS_MAX];
	bool installed = false;
	size_t count = 0;
	int err;

	for (size_t i = 0; i < b->count; i++)
		if (b->victims[i].new.fd >= 0)
			list[count++] = b->victims[i].new;
	err = compact_install(s, list, count, false, &installed);
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
	move_places(s, b);
	log_writer_remove_replaced(s->log);
	return err;
}

static void begin_batch(struct compact_batch *b, const struct compact_look *l, size_t count)
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
static int compact_batch(struct store *s, const struct compact_look *l, size_t count,
			 struct compact_pace *pace, struct compact_batch *b)
	REQUIRES(s->compactor.run_lock)
{
	size_t complete = 0;
	int err, first = 0;

	begin_batch(b, l, count);
	err = collect(s, b);
	s->compactor.paced_ns = monotonic_ns();
	for (size_t i = 0; err == 0 && i < count; i++) {
		struct compact_victim *v = &b->victims[i];

		err = rewrite(s, v, pace);
		learn(s, v, pace->mode, err);
		if (v->unreadable) {
			first = first < 0 ? first : err;
			err = 0; /* the others may be whole */
		}
	}
	for (size_t i = 0; i < count; i++)
		complete += b->victims[i].new.fd >= 0;
	/* Those that are complete are put in place even if there is no room for the next. */
	if (complete > 0 && (err == 0 || log_is_full(err))) {
		int replace_err = compact_sync_judged(s, b->judged_end);

		if (replace_err == 0)
			replace_err = replace_all(s, b);
		err = err < 0 ? err : replace_err;
	}
	for (size_t i = 0; i < count; i++) {
		log_writer_drop_new(s->log, &b->victims[i].new);
		live_free(&b->victims[i].live);
	}
	return err < 0 ? err : first;
}

/* Says whether the active segment is to be sealed, so that it can be compacted. */
static bool wants_active(const struct store *s, const struct compact_look *l,
			 const struct compact_mode *mode)
{
	uint64_t live = l->active_live_bytes;
	uint64_t dead = live < l->active_bytes ? l->active_bytes - live : 0;

	if (s->compactor.retain_ns > 0 || dead == 0 || l->active_bytes < mode->bytes_min)
		return false;
	return mode->seals_active && dead >= l->active_bytes / 100 * mode->dead_percent;
}

static void count_round(struct compactor *c, const struct compact_batch *b)
{
	mutex_lock(&c->lock);
	for (size_t i = 0; i < b->count; i++)
		c->figures.segments += b->victims[i].replaced;
	c->figures.gained_bytes += b->gained_bytes;
	mutex_unlock(&c->lock);
}

static int seal_active(struct store *s)
{
	/* What can be synced before is not waited for with the log held. */
	int err = log_writer_sync_to(s->log, log_writer_size(s->log));

	return err < 0 ? err : log_writer_rotate(s->log);
}

/* Compacts segments in their places.  Stores whether there were any. */
static int compact_in_place(struct store *s, struct compact_look *l, struct compact_mode *mode,
			    bool *ret_more) REQUIRES(s->compactor.run_lock)
{
	struct compact_batch *b = calloc(1, sizeof(*b) + VICTIMS_MAX * sizeof(b->victims[0]));
	struct compact_pace pace = { .s = s, .mode = mode };
	uint64_t batch_bytes;
	size_t count;
	int err = 0;

	if (b == NULL)
		return -ENOMEM;
	batch_bytes = compact_live_bytes(s) / BATCH_SHARE;
	if (batch_bytes < BATCH_BYTES_MIN)
		batch_bytes = BATCH_BYTES_MIN;
	count = choose(s, l, mode, batch_bytes);
	for (size_t i = 0; i < count; i++)
		pace.all_bytes += l->views[i].seg.bytes;
	if (count > 0)
		err = compact_batch(s, l, count, &pace, b);
	count_round(&s->compactor, b);
	*ret_more = count > 0;
	free(b);
	return err;
}

/* By itself a fold that is worth it goes first: where much is written there is always another
 * segment to be compacted in its place.  Its dead values go with it, too.  If it fails, or there is
 * no room for it, the others go on. */
static int fold_or_compact(struct store *s, struct compact_look *l, struct compact_mode *mode,
			   bool *ret_more) REQUIRES(s->compactor.run_lock)
{
	uint64_t lacking = 0;
	int fold_err = 0, err;

	if (mode->run == 0) {
		fold_err = compact_fold(s, l, mode, ret_more);
		lacking = mode->lacking_bytes;
		mode->lacking_bytes = 0;
	}
	if (*ret_more || fold_err == -ECANCELED)
		return fold_err;
	err = compact_in_place(s, l, mode, ret_more);
	if (err == 0 && !*ret_more && mode->run != 0)
		fold_err = compact_fold(s, l, mode, ret_more);
	if (!*ret_more && mode->lacking_bytes == 0)
		mode->lacking_bytes = lacking;
	return err < 0 ? err : fold_err;
}

int compact_round(struct store *s, struct compact_mode *mode, bool *ret_more)
{
	struct compact_look l = { 0 };
	int err = compact_seal(s); /* rotated segments are to be looked at, too */

	if (err == 0 || log_is_full(err))
		err = compact_look(s, &l);
	*ret_more = false;
	mode->lacking_bytes = 0;
	mode->takes_reserve = false;
	if (err == 0 && wants_active(s, &l, mode)) {
		err = seal_active(s);
		mode->seals_active = mode->run == 0 && err == 0; /* by hand once */
		*ret_more = err == 0;
	}
	/* Without space, or an inode, for another segment there is something to gain in the others.
	 */
	if (!*ret_more && (err == 0 || log_is_full(err)))
		err = fold_or_compact(s, &l, mode, ret_more);
	free(l.views);
	return err;
}
