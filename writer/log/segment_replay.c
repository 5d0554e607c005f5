/* SPDX-License-Identifier: MIT */
#include "writer/log/segment_replay.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "codec/meta.h"
#include "codec/array.h"
#include "writer/log/reader.h"

#define BATCH_RECORDS 16 /* announced before the first of them is replayed */

/* The records of a group that has begun but not ended.  Each owns one buffer for its key and value.
 */
struct group {
	struct log_entry *entries;
	size_t count, capacity;
	uint64_t offset; /* of the first record */
};

/* One replay of a segment. */
struct replay {
	struct group group;
	struct manifest_scan scan;
	log_replay_fn fn; /* may be NULL */
	void *arg;
};

static void group_reset(struct group *g)
{
	for (size_t i = 0; i < g->count; i++)
		free((void *)(uintptr_t)g->entries[i].rec.key);
	g->count = 0;
}

static void group_free(struct group *g)
{
	group_reset(g);
	free(g->entries);
}

/* Appends a copy of 'entry'; of a plain record without its value, of which only the position is
 * needed. */
static int group_add(struct group *g, const struct log_entry *entry)
{
	size_t key_bytes = entry->rec.key_bytes;
	bool is_meta = meta_is_key(entry->rec.key, key_bytes);
	uint32_t value_bytes = is_meta ? entry->value_held_bytes : 0;
	uint8_t *copy;

	if (ARRAY_RESERVE(g->entries, g->count + 1, g->capacity) < 0)
		return -ENOMEM;
	copy = malloc(key_bytes + value_bytes + 1); /* never 0 bytes */
	if (copy == NULL)
		return -ENOMEM;
	memcpy(copy, entry->rec.key, key_bytes);
	memcpy(copy + key_bytes, entry->rec.value, value_bytes);
	if (g->count == 0)
		g->offset = entry->offset;
	g->entries[g->count] = *entry;
	g->entries[g->count].rec.key = copy;
	g->entries[g->count].rec.value = copy + key_bytes;
	g->entries[g->count].value_held_bytes = value_bytes;
	g->count++;
	return 0;
}

/* Refuses a segment that is not the expected one. */
static int refuse_segment(const struct log_tail *t, uint64_t number, struct diag *diag)
{
	if (t->store_id == NULL)
		return diag_set(
			diag, -EBADMSG,
			"%s: begins with the number of a segment, so the store had a "
			"MANIFEST, which is missing; nothing was changed; restore it from a "
			"copy, or make it anew from the segments with fsck.freyjafs -y",
			t->path);
	if (number == 0)
		return diag_set(
			diag, -EBADMSG,
			"%s: stands where segment %" PRIu64
			" of the log should be, and does not begin with a segment record of "
			"this store; nothing was changed; restore all files from one copy",
			t->path, t->number);
	return diag_set(diag, -EBADMSG,
			"%s: says that it is segment %" PRIu64
			" of the log, and stands where segment %" PRIu64
			" should be: files are missing, or are of different moments; nothing was "
			"changed; restore all files from one copy",
			t->path, number, t->number);
}

static void add_kept(struct manifest_facts *kept, const struct record *rec)
{
	if (kept->records++ == 0)
		kept->first_timestamp_ns = rec->timestamp_ns;
	if (rec->timestamp_ns > kept->last_timestamp_ns)
		kept->last_timestamp_ns = rec->timestamp_ns;
}

/* Checks a segment record, which has the number of its segment. */
static int take_segment_record(struct log_tail *t, const struct group *g,
			       const struct log_entry *entry, struct diag *diag)
{
	const struct record *rec = &entry->rec;
	struct meta_segment segment;

	if (meta_segment_decode(rec->value, rec->value_bytes, &segment) != META_OK ||
	    entry->file_offset != 0 || g->count > 0)
		return diag_set(diag, -EBADMSG,
				"%s: offset %" PRIu64
				": a segment record that this version does not understand, or that "
				"does not belong there; nothing was changed",
				t->path, entry->file_offset);
	if (!t->any_number && (t->store_id == NULL || segment.number != t->number))
		return refuse_segment(t, segment.number, diag);
	if (!t->any_number && memcmp(segment.store_id, t->store_id, sizeof(segment.store_id)) != 0)
		return refuse_segment(t, 0, diag);
	t->kept_bytes = entry->bytes;
	add_kept(&t->kept, rec);
	return 0;
}

/* Takes one record: completes a commit and passes it on, or keeps the record for the rest of its
 * group. */
static int take(struct log_tail *t, struct replay *r, const struct log_entry *entry,
		struct diag *diag)
{
	struct group *g = &r->group;
	bool more = meta_has_more(entry->rec.key, entry->rec.key_bytes, entry->rec.value,
				  entry->value_held_bytes);
	size_t count = g->count + 1;
	int err = 0;

	if (meta_is_segment_key(entry->rec.key, entry->rec.key_bytes))
		return take_segment_record(t, g, entry, diag);
	if (t->numbered && entry->file_offset == 0)
		return refuse_segment(t, 0, diag);
	if (more || g->count > 0) {
		err = group_add(g, entry);
		if (err < 0)
			return diag_set(diag, err, "%s: out of memory", t->path);
	}
	if (more)
		return 0;
	if (t->until_ns != 0 && entry->rec.timestamp_ns > t->until_ns) {
		t->reached_until = true;
		group_reset(g);
		return 0;
	}
	if (r->fn != NULL)
		err = r->fn(r->arg, g->count > 0 ? g->entries : entry, count, diag);
	if (err == 0) {
		t->kept_bytes = entry->offset - t->start + entry->bytes;
		for (size_t i = 0; i < count; i++)
			add_kept(&t->kept, g->count > 0 ? &g->entries[i].rec : &entry->rec);
	}
	group_reset(g);
	return err;
}

/* Reads up to BATCH_RECORDS records that are in memory at the same time. */
static int next_batch(struct log_tail *t, struct log_reader *r, struct log_entry *ret)
{
	int count;

	if (t->hint != NULL)
		hint_reader_drop(t->hint);
	count = t->hint != NULL ? hint_reader_next(t->hint, ret) : log_reader_next(r, ret);
	if (count <= 0)
		return count;
	while (count < BATCH_RECORDS &&
	       (t->hint != NULL ? hint_reader_next(t->hint, &ret[count]) > 0
				: log_reader_next_held(r, &ret[count])))
		count++;
	return count;
}

/* Passes on the records of a batch. */
static int take_batch(struct log_tail *t, struct replay *r, struct log_entry *entries, size_t count,
		      struct diag *diag)
{
	int err = 0;

	for (size_t i = 0; t->ahead != NULL && i < count; i++)
		t->ahead(r->arg, &entries[i].rec);
	for (size_t i = 0; err == 0 && !t->reached_until && i < count; i++) {
		struct log_entry *entry = &entries[i];

		hint_writer_add(t->add_to, entry);
		manifest_scan_add(&r->scan, entry->offset, entry->crc, &entry->rec);
		entry->segment = t->number;
		entry->file_offset = entry->offset;
		entry->offset += t->start;
		err = take(t, r, entry, diag);
	}
	return err;
}

static int read_all(struct log_tail *t, struct log_reader *reader, struct replay *r,
		    struct diag *diag)
{
	struct log_entry batch[BATCH_RECORDS];
	int count, err = 0;

	while ((count = next_batch(t, reader, batch)) > 0) {
		if (t->progress != NULL)
			t->progress(r->arg, t->start + batch[0].offset, t->all_bytes);
		err = take_batch(t, r, batch, (size_t)count, diag);
		if (err < 0)
			return err;
		if (t->reached_until) {
			t->stop = (struct log_stop){ .offset = t->kept_bytes, .scan = RECORD_END };
			return 0;
		}
	}
	if (count < 0)
		return diag_set(diag, count,
				"%s: reading failed after offset %" PRIu64
				": %s; nothing was changed",
				t->path, t->kept_bytes, strerror(-count));
	t->stop = t->hint != NULL ? (struct log_stop){ .offset = t->file_bytes, .scan = RECORD_END }
				  : log_reader_stop(reader);
	if (r->group.count > 0) {
		/* The group has no end, whatever is behind it: the log stops at the group's
		 * beginning. */
		if (t->stop.scan == RECORD_END)
			t->stop.reason = RECORD_REASON_GROUP;
		t->stop.scan = RECORD_TORN;
		t->stop.offset = r->group.offset - t->start;
	}
	return 0;
}

/* Refuses a log without some of its durable bytes: that is damage, not a torn append. */
static int check_durable(const struct log_tail *t, struct diag *diag)
{
	if (t->stop.scan != RECORD_END && t->sealed)
		return diag_set(diag, -EBADMSG,
				"%s: damaged at offset %" PRIu64
				": %s, in a segment that was complete and durable; nothing was "
				"changed; restore the file from a copy, or salvage with "
				"fsck.freyjafs",
				t->path, t->stop.offset, record_reason_text(t->stop.reason));
	if (t->stop.scan != RECORD_END && t->stop.offset < t->durable_bytes)
		return diag_set(
			diag, -EBADMSG,
			"%s: damaged at offset %" PRIu64
			": %s, though the log is known to be durable up "
			"to offset %" PRIu64
			"; nothing was changed; restore the file from a copy, or salvage with "
			"fsck.freyjafs",
			t->path, t->stop.offset, record_reason_text(t->stop.reason),
			t->durable_bytes);
	if (t->file_bytes < t->durable_bytes && !t->reached_until)
		return diag_set(diag, -EBADMSG,
				"%s: ends at offset %" PRIu64
				", though the log is known to be durable up to offset %" PRIu64
				": its end is missing; nothing was changed; restore the file from "
				"a copy, or "
				"salvage with fsck.freyjafs",
				t->path, t->file_bytes, t->durable_bytes);
	return 0;
}

int log_tail_replay(struct log_tail *t, log_replay_fn fn, void *arg, struct diag *diag)
{
	struct replay r = { .fn = fn, .arg = arg };
	struct log_reader *reader = NULL;
	int err = 0;

	t->kept_bytes = t->from_bytes;
	t->kept = (struct manifest_facts){ .records = 0 };
	t->reached_until = false;
	if (t->hint == NULL)
		err = log_reader_open(t->io, t->fd, t->from_bytes, t->file_bytes, &reader);
	if (err < 0)
		return diag_set(diag, err, "%s: out of memory", t->path);
	if (t->may_shrink && reader != NULL)
		log_reader_allow_shrinking(reader);
	manifest_scan_init(&r.scan, t->hint == NULL && t->from_bytes == 0);
	err = read_all(t, reader, &r, diag);
	t->facts = manifest_scan_finish(&r.scan);
	if (err == 0)
		err = check_durable(t, diag);
	group_free(&r.group);
	log_reader_close(reader);
	return err;
}
