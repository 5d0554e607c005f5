/* SPDX-License-Identifier: MIT */
#include "writer/compact_live.h"

#include <errno.h>
#include <stdlib.h>

#define ROOM_MIN 256

void live_init(struct live *l, uint64_t start, uint64_t end)
{
	*l = (struct live){ .start = start, .end = end };
}

void live_free(struct live *l)
{
	free(l->ranges);
	l->ranges = NULL;
	l->count = l->room = 0;
}

static bool is_inside(const struct live *l, const struct content_piece *piece)
{
	return piece->place.record_offset >= l->start && piece->place.record_offset < l->end;
}

void live_add(struct live *l, const struct content_piece *piece)
{
	size_t room = l->room == 0 ? ROOM_MIN : l->room * 2;
	struct live_range *ranges;

	if (!is_inside(l, piece))
		return;
	if (l->count == l->room) {
		ranges = reallocarray(l->ranges, room, sizeof(ranges[0]));
		if (ranges == NULL) {
			l->no_memory = true;
			return;
		}
		l->ranges = ranges;
		l->room = room;
	}
	l->ranges[l->count++] = (struct live_range){
		.record = piece->place.record_offset,
		.from = piece->value_offset,
		.bytes = (uint32_t)piece->bytes, /* at most a value */
	};
}

static int compare(const void *a, const void *b)
{
	const struct live_range *x = a, *y = b;

	if (x->record != y->record)
		return x->record < y->record ? -1 : 1;
	return x->from < y->from ? -1 : x->from > y->from;
}

int live_sort(struct live *l, uint32_t gap)
{
	size_t kept = 0;

	if (l->no_memory)
		return -ENOMEM;
	if (l->count == 0)
		return 0;
	qsort(l->ranges, l->count, sizeof(l->ranges[0]), compare);
	for (size_t i = 1; i < l->count; i++) {
		struct live_range *last = &l->ranges[kept], *next = &l->ranges[i];
		uint64_t end = (uint64_t)last->from + last->bytes;

		if (next->record != last->record || next->from > end + gap) {
			l->ranges[++kept] = *next;
			continue;
		}
		if ((uint64_t)next->from + next->bytes > end)
			last->bytes = next->from + next->bytes - last->from;
	}
	l->count = kept + 1;
	return 0;
}

size_t live_of(const struct live *l, uint64_t record, size_t *at, struct live_range **ret)
{
	size_t first;

	while (*at < l->count && l->ranges[*at].record < record)
		(*at)++;
	first = *at;
	*ret = l->ranges + first;
	while (*at < l->count && l->ranges[*at].record == record)
		(*at)++;
	return *at - first;
}

bool live_move(const struct live *l, struct content_piece *piece)
{
	size_t low = 0, high = l->count;
	const struct live_range *range;

	if (!is_inside(l, piece))
		return false;
	while (low < high) { /* the last one that begins at or before it */
		size_t mid = low + (high - low) / 2;
		const struct live_range *r = &l->ranges[mid];

		if (r->record < piece->place.record_offset ||
		    (r->record == piece->place.record_offset && r->from <= piece->value_offset))
			low = mid + 1;
		else
			high = mid;
	}
	if (low == 0)
		return false; /* cannot be: what is read now was read then */
	range = &l->ranges[low - 1];
	piece->place.record_offset = l->to_start + range->to_record;
	piece->place.value_bytes = range->to_value_bytes;
	piece->value_offset = range->to_from + (piece->value_offset - range->from);
	return true;
}
