/* SPDX-License-Identifier: MIT */
/* The survey of all segments: how much of each is live. */
#include <errno.h>
#include <stdlib.h>

#include "codec/meta.h"
#include "codec/record.h"
#include "codec/array.h"
#include "writer/base/times.h"
#include "writer/compact/compact_private.h"

#define FUTURE_MIN_NS NSEC_PER_SEC /* a timestamp may be slightly ahead of the clock */
#define NODES_AT_ONCE 512	   /* nodes examined in one go, with the locks held */
#define LET_IN_NS     20000	   /* pause in between */

static int compare_views(const void *a, const void *b)
{
	const struct compact_view *x = a, *y = b;

	return x->seg.start < y->seg.start ? -1 : x->seg.start > y->seg.start;
}

static struct compact_view *view_at(struct compact_survey *l, uint64_t position)
{
	size_t low = 0, high = l->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (l->views[mid].seg.start <= position)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == 0 || position >= l->views[low - 1].seg.start + l->views[low - 1].seg.bytes)
		return NULL;
	return &l->views[low - 1];
}

/* Returns the bytes of the log that a piece keeps.  Only the first piece of a put counts its
 * record's header and key; each piece of an extent may become an extent of its own. */
static uint64_t kept_bytes(const struct content_piece *piece)
{
	uint64_t around = RECORD_HEADER_BYTES + piece->value.key_bytes;

	if (piece->value_offset == 0)
		return around + piece->bytes;
	if (piece->value.key_bytes == META_EXTENT_KEY_BYTES)
		return around + META_EXTENT_FIXED_BYTES + piece->bytes;
	return piece->bytes;
}

static void count_active(struct compact_survey *l, const struct content_piece *piece)
{
	if (piece->value.record_position < SEGMENTS_REPLACED_START)
		l->active_live_bytes += kept_bytes(piece);
}

static bool count_piece(void *arg, struct content_piece *piece)
{
	struct compact_survey *l = arg;
	struct compact_view *v = view_at(l, piece->value.record_position);

	if (v != NULL)
		v->live_bytes += kept_bytes(piece);
	else
		count_active(l, piece);
	return false;
}

uint64_t compact_live_bytes(struct compactor *c)
{
	struct keydir_stats keydir;

	keydir_stats(c->keydir, &keydir);
	return keydir.live_bytes + store_all_staged_bytes(c->s);
}

static bool count_staged(void *arg, struct content_piece *piece)
{
	struct compact_survey *l = arg;
	struct compact_view *v = view_at(l, piece->value.record_position);

	if (v != NULL)
		v->staged = true;
	else
		count_active(l, piece);
	return false;
}

struct compact_known *compact_known_of(struct compactor *c, uint64_t number)
{
	struct compact_known *known;

	for (size_t i = 0; i < c->known_count; i++)
		if (c->known[i].number == number)
			return &c->known[i];
	known = reallocarray(c->known, c->known_count + 1, sizeof(known[0]));
	if (known == NULL)
		return NULL;
	c->known = known;
	known[c->known_count] = (struct compact_known){ .number = number };
	return &known[c->known_count++];
}

/* --- knowledge about segments --- */

void compact_set_unreadable(struct compactor *c, struct compact_known *known)
{
	if (known->unreadable)
		return;
	known->unreadable = true;
	LOCKED(compactor, c, c->figures.unreadable_segments++);
}

/* Finds the parts of a base: its first segment, and the segments behind it with records that are
 * not later than the state of the base.  Returns the size of all parts; 0: no base. */
static uint64_t find_base(struct compactor *c, struct compact_survey *l)
{
	struct meta_base base;
	uint64_t bytes = 0;

	l->base_count = 0;
	if (l->count == 0 ||
	    segment_is_base(c->io, l->views[0].seg.fd, l->views[0].seg.bytes, &base) <= 0)
		return 0;
	l->views[0].base_bytes = base.other_bytes;
	do
		bytes += l->views[l->base_count].seg.bytes;
	while (++l->base_count < l->count &&
	       l->views[l->base_count].seg.facts.last_timestamp_ns <= base.as_of_ns);
	return bytes;
}

/* Sets the bytes that are certainly neither live nor gainable, before the first compaction.  For a
 * base they are known of all parts together. */
static void add_floors(struct compactor *c, struct compact_survey *l)
{
	uint64_t bytes = find_base(c, l);

	for (size_t i = 0; i < l->count; i++) {
		struct compact_view *v = &l->views[i];
		uint64_t floor = log_writer_number_bytes(c->log, v->seg.number);

		if (i < l->base_count && v->known.floor_bytes == 0)
			floor = (uint64_t)((double)l->views[0].base_bytes *
					   ((double)v->seg.bytes / (double)bytes));
		if (v->known.floor_bytes < floor)
			v->known.floor_bytes = floor;
	}
}

bool compact_is_retained(const struct compactor *c, const struct compact_view *v)
{
	int64_t retain_ns = c->retain_ns;
	uint64_t now_ns = io_clock_ns(c->io);
	uint64_t age_ns = now_ns > v->written_ns ? now_ns - v->written_ns : 0;

	return retain_ns == LOG_WRITER_NEVER || (retain_ns > 0 && age_ns < (uint64_t)retain_ns);
}

/* If the clock was ahead once, a segment has timestamps in the future.  Its date is then the mtime
 * of its file or, if the clock was ahead at that time, too, a time before that of the segments
 * behind it and before the store was opened. */
static void date_segments(const struct compactor *c, struct compact_survey *l)
{
	uint64_t now_ns = io_clock_ns(c->io);
	uint64_t open_ns = monotonic_ns() - c->opened_ns;
	uint64_t newest_ns = now_ns > open_ns ? now_ns - open_ns : 0;
	uint64_t future_ns = now_ns + FUTURE_MIN_NS;
	struct io_stat st;

	for (size_t i = l->count; i-- > 0;) {
		struct compact_view *v = &l->views[i];

		v->written_ns = v->seg.facts.last_timestamp_ns;
		if (v->written_ns > future_ns && io_stat(c->io, v->seg.fd, &st) == 0)
			v->written_ns = st.mtime_ns > 0 ? (uint64_t)st.mtime_ns : 0;
		if (v->written_ns > future_ns)
			v->written_ns = newest_ns;
		else if (v->written_ns < newest_ns)
			newest_ns = v->written_ns;
	}
}

static int list_segments(struct compactor *c, struct compact_survey *l)
	REQUIRES(c->run_lock, round_class)
{
	size_t capacity = 64;

	l->views = calloc(capacity, sizeof(l->views[0]));
	if (l->views == NULL)
		return -ENOMEM;
	while (log_writer_sealed(c->log, l->count, &l->views[l->count].seg)) {
		struct compact_known *known = compact_known_of(c, l->views[l->count].seg.number);

		if (known == NULL)
			return -ENOMEM;
		l->views[l->count].known = *known;
		if (ARRAY_RESERVE(l->views, ++l->count + 1, capacity) < 0)
			return -ENOMEM;
		l->views[l->count] = (struct compact_view){ .live_bytes = 0 };
	}
	date_segments(c, l);
	add_floors(c, l);
	if (l->count > 0)
		qsort(l->views, l->count, sizeof(l->views[0]), compare_views);
	return 0;
}

int compact_each_piece(struct compactor *c, bool changes, content_piece_fn fn, void *arg)
{
	const struct timespec nap = { .tv_nsec = LET_IN_NS };
	uint64_t seen_end = log_writer_size(c->log), cursor = 0, end;
	bool more = true;

	while (more) {
		more = store_each_piece(c->s, &cursor, NODES_AT_ONCE, changes, fn, arg);
		if (!changes && atomic_load(&c->stop))
			return -ECANCELED;
		/* pthread mutexes are unfair: without a pause this thread would take the mutex
		 * again before the threads that wait for it. */
		end = log_writer_size(c->log);
		if (more && end != seen_end)
			(void)nanosleep(&nap, NULL);
		seen_end = end;
	}
	return 0;
}

int compact_survey(struct compactor *c, struct compact_survey *l)
{
	struct log_writer_stats log;
	uint64_t number_bytes;
	int err = list_segments(c, l);

	if (err == 0)
		err = compact_each_piece(c, false, count_piece, l);
	if (err < 0)
		return err;
	store_each_staged(c->s, count_staged, l);
	log_writer_stats(c->log, &log);
	number_bytes = log_writer_number_bytes(c->log, log.segments);
	l->active_bytes = log.active_bytes > number_bytes ? log.active_bytes - number_bytes : 0;
	return 0;
}
