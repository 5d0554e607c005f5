/* SPDX-License-Identifier: MIT */
#include "writer/compact/live_ranges.h"

#include <errno.h>
#include <stdlib.h>

#include "codec/array.h"

void live_init(struct live *l, uint64_t start, uint64_t end)
{
	*l = (struct live){ .start = start, .end = end };
}

void live_free(struct live *l)
{
	free(l->ranges);
	l->ranges = NULL;
	l->count = l->capacity = 0;
}

static bool is_in_segment(const struct live *l, const struct content_piece *piece)
{
	return piece->value.record_position >= l->start && piece->value.record_position < l->end;
}

int live_add_moved(struct live *l, const struct live_range *range)
{
	if (ARRAY_RESERVE(l->ranges, l->count + 1, l->capacity) < 0) {
		l->no_memory = true;
		return -ENOMEM;
	}
	l->ranges[l->count++] = *range;
	return 0;
}

void live_add(struct live *l, const struct content_piece *piece)
{
	const struct live_range range = {
		.record = piece->value.record_position,
		.from = piece->value_offset,
		.bytes = (uint32_t)piece->bytes, /* at most one value */
		.to_value_bytes = piece->value.value_bytes,
		.to_key_bytes = piece->value.key_bytes,
	};

	if (is_in_segment(l, piece))
		(void)!live_add_moved(l, &range); /* live_sort() reports a failure */
}

static int compare_ranges(const void *a, const void *b)
{
	const struct live_range *x = a, *y = b;

	if (x->record != y->record)
		return x->record < y->record ? -1 : 1;
	if (x->from != y->from)
		return x->from < y->from ? -1 : 1;
	return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

void live_sort_moved(struct live *l)
{
	if (l->count > 0)
		qsort(l->ranges, l->count, sizeof(l->ranges[0]), compare_ranges);
}

int live_sort(struct live *l, uint32_t gap)
{
	size_t kept = 0;

	if (l->no_memory)
		return -ENOMEM;
	if (l->count == 0)
		return 0;
	qsort(l->ranges, l->count, sizeof(l->ranges[0]), compare_ranges);
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

/* Returns the number of ranges that begin at or before byte 'from' of the value of the record. */
static size_t count_up_to(const struct live *l, uint64_t record, uint64_t from)
{
	size_t low = 0, high = l->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct live_range *r = &l->ranges[mid];

		if (r->record < record || (r->record == record && r->from <= from))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

const struct live_range *live_next(const struct live *l, uint64_t record, uint64_t from)
{
	size_t i = count_up_to(l, record, from);
	const struct live_range *r = l->ranges + i;

	if (i > 0 && r[-1].record == record && (uint64_t)r[-1].from + r[-1].bytes > from)
		return r - 1;
	return i < l->count && r->record == record ? r : NULL;
}

/* Returns the range that has all of these bytes, or NULL.  Ranges may overlap, but rarely do. */
static const struct live_range *find_range(const struct live *l, uint64_t record, uint64_t from,
					   uint64_t bytes)
{
	size_t i = count_up_to(l, record, from);

	for (; i > 0 && l->ranges[i - 1].record == record; i--) {
		const struct live_range *r = &l->ranges[i - 1];

		if (from + bytes <= (uint64_t)r->from + r->bytes)
			return r;
	}
	return NULL;
}

bool live_has(const struct live *l, const struct live_range *range)
{
	return find_range(l, range->record, range->from, range->bytes) != NULL;
}

bool live_move(const struct live *l, struct content_piece *piece)
{
	const struct live_range *range;

	if (!is_in_segment(l, piece))
		return false;
	range = find_range(l, piece->value.record_position, piece->value_offset, piece->bytes);
	if (range == NULL)
		return false; /* cannot happen: bytes read now were read then */
	piece->value.record_position = l->to_start + range->to_record;
	piece->value.key_bytes = range->to_key_bytes;
	piece->value.value_bytes = range->to_value_bytes;
	piece->value_offset = range->to_from + (piece->value_offset - range->from);
	return true;
}
