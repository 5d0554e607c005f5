/* SPDX-License-Identifier: MIT */
/* Recovery of a log that is being opened.  Sealed segments are whole.  Of the rotated segments, and
 * of the active one, a power cut may have left any part of the bytes that were not durable.  The
 * log ends with the last commit before which nothing is missing: bytes behind it go to quarantine/,
 * and the rest is made durable before any program sees it. */
#include "writer/log/recovery.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "writer/log/names.h"
#include "writer/log/segment_replay.h"

/* The last whole commit of a rotated segment, or of the active one. */
struct log_end {
	struct segment seg; /* number 0: all rotated segments are complete */
	struct log_stop stop;
	struct manifest_facts kept; /* of the records before it */
};

/* Forwards the progress and prefetch callbacks to 't'. */
static void observe(const struct log_writer *w, struct log_tail *t)
{
	t->ahead = w->ahead;
	t->progress = w->progress;
	t->all_bytes = w->replay_bytes;
}

static void add_replayed(struct log_opening *o, const struct log_tail *t) NO_THREAD_SAFETY
{
	o->recovery->records += t->kept.records;
	o->recovery->hints += t->hint != NULL;
	if (t->facts.last_timestamp_ns > o->w->last_timestamp_ns)
		o->w->last_timestamp_ns = t->facts.last_timestamp_ns;
}

/* --- segments --- */

/* Returns whether a segment that is not sealed must begin with its number. */
static bool is_numbered(const struct log_writer *w, uint64_t number)
{
	return w->has_manifest && number >= w->numbered_from;
}

/* Returns how many bytes of a rotated segment are certainly durable. */
static uint64_t durable_bytes_of(const struct log_opening *o, const struct segment *seg)
{
	bool sealed_behind = false;
	struct segment later;

	for (size_t i = 0; segments_get(&o->w->segments, i, &later); i++)
		sealed_behind |= later.number > seg->number && later.rotated_bytes == 0;
	return synced_durable_bytes(&o->mark, seg->number, seg->rotated_bytes, sealed_behind);
}

/* Refuses a sealed segment that is whole but is not the one that MANIFEST lists. */
static int check_facts(const struct log_opening *o, const struct segment *seg,
		       const struct log_tail *t)
{
	const struct manifest_facts *want = &seg->facts, *got = &t->facts;

	if (want->records == 0 || t->reached_until)
		return 0; /* not listed, or not read to its end */
	if (got->records == want->records && got->first_timestamp_ns == want->first_timestamp_ns &&
	    got->last_timestamp_ns == want->last_timestamp_ns &&
	    (!got->has_digest || !want->has_digest || got->digest == want->digest))
		return 0;
	return diag_set(o->diag, -EBADMSG,
			"%s: is another file than the one that MANIFEST lists under its name: it "
			"has %" PRIu64 " records, and %" PRIu64
			" by MANIFEST, or other ones; nothing was changed; restore all files from "
			"one copy",
			t->path, got->records, want->records);
}

/* Notes the facts of a segment after its replay: a hint has no digest, but MANIFEST may have one.
 */
static void note_facts(const struct log_opening *o, const struct segment *seg,
		       const struct log_tail *t)
{
	struct segment_id id = { seg->number, seg->generation };

	if (!seg->facts.has_digest && !t->reached_until)
		segments_set_facts(&o->w->segments, id, &t->facts);
}

/* Describes the hint of a segment.  Returns whether it may be used. */
static bool segment_hint(const struct log_writer *w, const struct segment *seg,
			 char hint_name[SEGMENT_NAME_BYTES], struct hint_about *ret)
{
	hint_name_of((struct segment_id){ seg->number, seg->generation }, hint_name);
	*ret = (struct hint_about){
		.segment = seg->number,
		.segment_bytes = seg->bytes,
		.segment_fd = seg->fd,
		.name = hint_name,
		.facts = seg->facts.records > 0 ? &seg->facts : NULL,
	};
	return !w->ignores_hints && seg->rotated_bytes == 0;
}

/* Opens the hint of segment 'i', which is 'about', and starts to read the next one. */
static struct hint_reader *open_hint(struct log_opening *o, size_t i,
				     const struct hint_about *about)
{
	struct log_writer *w = o->w;
	struct hint_reader *r = hint_ahead_take(&o->hint_ahead, w->io, w->dir_fd, about);
	char name[SEGMENT_NAME_BYTES];
	struct hint_about next;
	struct segment seg;

	if (segments_get(&w->segments, i + 1, &seg) && segment_hint(w, &seg, name, &next))
		hint_ahead_start(&o->hint_ahead, w->io, w->dir_fd, &next);
	return r;
}

/* Replays sealed or rotated segment 'i'.  Stores the position at which it stops with the facts of
 * the part before it, and whether the segment is complete. */
static int replay_segment(struct log_opening *o, size_t i, const struct segment *seg,
			  struct log_end *ret, bool *ret_complete)
{
	struct log_writer *w = o->w;
	char name[SEGMENT_NAME_BYTES], hint_name[SEGMENT_NAME_BYTES];
	char path[PATH_MAX + SEGMENT_NAME_BYTES];
	struct hint_about about;
	struct log_tail t = {
		.io = w->io,
		.dir_fd = w->dir_fd,
		.fd = seg->fd,
		.name = name,
		.path = path,
		.number = seg->number,
		.store_id = w->has_manifest ? w->store_id : NULL,
		.numbered = is_numbered(w, seg->number) && seg->rotated_bytes > 0,
		.start = seg->start,
		.until_ns = w->until_ns,
		.file_bytes = seg->bytes,
		.durable_bytes = seg->rotated_bytes == 0 ? seg->bytes : durable_bytes_of(o, seg),
		.sealed = seg->rotated_bytes == 0,
		.may_shrink = w->read_only && seg->rotated_bytes > 0, /* its writer recovers it */
	};
	int err;

	segment_file_name(seg, name);
	(void)snprintf(path, sizeof(path), "%s/%s", o->dir, name);
	observe(w, &t);
	if (segment_hint(w, seg, hint_name, &about))
		t.hint = open_hint(o, i, &about);
	if (t.hint == NULL && !w->read_only)
		t.add_to = hint_writer_open(w->io, w->dir_fd, hint_name);
	err = log_tail_replay(&t, o->fn, o->arg, o->diag);
	if (err == 0)
		err = check_facts(o, seg, &t);
	ret->stop = t.stop;
	ret->kept = t.kept;
	*ret_complete = err == 0 && (t.sealed || t.kept_bytes == seg->rotated_bytes);
	hint_writer_close(t.add_to, *ret_complete ? &about : NULL);
	if (err == 0) {
		add_replayed(o, &t);
		o->recovery->segments += *ret_complete;
		w->reached_until = t.reached_until;
		note_facts(o, seg, &t);
	}
	hint_reader_close(t.hint);
	return err;
}

/* Replays all segments before the active one, up to the first that is not complete. */
static int replay_segments(struct log_opening *o, struct log_end *ret)
{
	struct segments *segments = &o->w->segments;
	struct segment seg;
	bool complete = true;
	int err = 0;

	*ret = (struct log_end){ .seg = { .fd = -1 } };
	for (size_t i = 0; complete && !o->w->reached_until && segments_get(segments, i, &seg);
	     i++) {
		err = replay_segment(o, i, &seg, ret, &complete);
		if (err < 0)
			return err;
	}
	if (!complete && !o->w->reached_until)
		ret->seg = seg;
	return 0;
}

/* --- hints of the active segment --- */

/* Describes the hint; returns false if the log has none. */
static bool active_hint(struct log_writer *w, uint64_t file_bytes, char hint_name[NAME_MAX + 1],
			struct hint_about *ret) NO_THREAD_SAFETY
{
	*ret = (struct hint_about){
		.segment = w->active_number,
		.segment_bytes = file_bytes,
		.segment_fd = w->fd,
		.name = hint_name,
	};
	return w->segment_bytes_max > 0 && hint_file_name(w->name, hint_name, NAME_MAX + 1) == 0;
}

/* Uses the hint that a clean close has left, if all of the file is certainly durable. */
static void use_active_hint(struct log_writer *w, struct log_tail *t)
{
	char hint_name[NAME_MAX + 1];
	struct hint_about about;

	if (t->durable_bytes == t->file_bytes && t->file_bytes > 0 && !w->ignores_hints &&
	    active_hint(w, t->file_bytes, hint_name, &about))
		t->hint = hint_reader_open(w->io, w->dir_fd, &about);
}

/* Removes the hint, because the segment is about to grow. */
static void drop_active_hint(struct log_writer *w)
{
	char hint_name[NAME_MAX + 1];
	struct hint_about about;

	if (active_hint(w, 0, hint_name, &about))
		(void)!io_unlink(w->io, w->dir_fd, hint_name); /* or it is seen to be old */
}

void log_recover_leave_hint(struct log_writer *w) NO_THREAD_SAFETY
{
	char hint_name[NAME_MAX + 1];
	struct hint_about about;

	if (!log_writer_active_is_empty_locked(w) &&
	    active_hint(w, w->end_position - w->active_start, hint_name, &about))
		(void)hint_file_make(w->io, w->dir_fd, &about, NULL, NULL);
}

/* --- the active segment --- */

/* Sets the end of the log to the end of 't'. */
static void take_end(struct log_opening *o, const struct log_tail *t) NO_THREAD_SAFETY
{
	struct log_writer *w = o->w;

	o->recovery->file_bytes = t->file_bytes;
	o->recovery->kept_bytes = t->kept_bytes;
	o->recovery->durable_bytes = t->durable_bytes;
	o->recovery->stop = t->stop;
	w->active_start = t->start;
	w->end_position = w->written_position = w->durable_position = t->start + t->kept_bytes;
	w->durable_record_end = w->durable_position;
	w->active_facts = t->kept;
	w->number_pending = t->kept_bytes == 0 && is_numbered(w, w->active_number);
}

static int replay_active(struct log_opening *o, struct log_tail *t)
{
	int err;

	observe(o->w, t);
	use_active_hint(o->w, t);
	err = log_tail_replay(t, o->fn, o->arg, o->diag);
	if (err == 0)
		add_replayed(o, t);
	hint_reader_close(t->hint);
	t->hint = NULL;
	return err;
}

/* Cuts the bytes behind the whole commits of the active segment, and makes the rest durable:
 * commits that a program has read must not be lost by a power cut that follows a crash of only the
 * process. */
static int finish_active(struct log_opening *o, struct log_tail *t) NO_THREAD_SAFETY
{
	struct log_writer *w = o->w;
	struct log_recovery *rec = o->recovery;
	bool zeros_cut = false;
	int err;

	/* Head room is cut without a report.  Without a mark, zeros may be all that is left of
	 * durable records. */
	if (t->stop.scan != RECORD_END && !rec->durable_mark_missing) {
		err = log_tail_cut_zeros(t, &zeros_cut, o->diag);
		if (err < 0)
			return err;
		if (zeros_cut)
			t->stop = (struct log_stop){ .offset = t->kept_bytes, .scan = RECORD_END };
	}
	if (t->stop.scan != RECORD_END) {
		err = log_tail_cut(t, rec->quarantine, sizeof(rec->quarantine), o->diag);
		if (err < 0)
			return err;
		(void)diag_set(o->diag, 0,
			       "%s: cut %" PRIu64 " bytes at offset %" PRIu64
			       ", the end of an append that did not finish (%s); saved as %s",
			       t->path, t->file_bytes - t->kept_bytes, t->kept_bytes,
			       record_reason_text(t->stop.reason), rec->quarantine);
	}
	err = zeros_cut ? io_fsync(w->io, w->fd) : io_fdatasync(w->io, w->fd);
	if (err < 0)
		return diag_set(o->diag, err, "%s: cannot sync: %s", t->path, strerror(-err));
	synced_mark_write(w->io, w->mark_fd, /* it is only a lower bound */
			  (struct synced){ .segment = w->active_number,
					   .durable_offset = t->kept_bytes,
					   .with_manifest = w->has_manifest });
	take_end(o, t);
	log_lock(w);
	(void)!log_writer_number_active_locked(w); /* the first append tries again */
	log_unlock(w);
	return 0;
}

static struct log_tail active_tail(const struct log_opening *o,
				   uint64_t active_bytes) NO_THREAD_SAFETY
{
	struct log_writer *w = o->w;

	return (struct log_tail){
		.io = w->io,
		.dir_fd = w->dir_fd,
		.fd = w->fd,
		.name = w->name,
		.path = w->path,
		.number = w->active_number,
		.store_id = w->has_manifest ? w->store_id : NULL,
		.numbered = is_numbered(w, w->active_number),
		.start = segments_end(&w->segments),
		.until_ns = w->until_ns,
		.file_bytes = active_bytes,
		.durable_bytes = synced_durable_bytes(&o->mark, w->active_number, 0, false),
		.may_shrink = w->read_only,
		.stop = { .scan = RECORD_END },
	};
}

/* --- complete rotated segments --- */

/* Cuts the file of a rotated segment to the size of its records.  The bytes behind are zeros, or
 * were appended after its name was taken back, and were never acknowledged as durable. */
static int trim_rotated(struct log_opening *o, const struct segment *seg, const char *name)
{
	struct log_writer *w = o->w;
	char path[PATH_MAX + SEGMENT_NAME_BYTES];
	struct log_recovery *rec = o->recovery;
	struct io_stat st = { 0 };
	struct log_tail t = {
		.io = w->io,
		.dir_fd = w->dir_fd,
		.name = name,
		.path = path,
		.kept_bytes = seg->rotated_bytes,
		.stop = { .scan = RECORD_TORN, .reason = RECORD_REASON_BEHIND },
	};
	bool cut = false;
	int err = io_stat(w->io, seg->fd, &st);

	if (err < 0 || st.size_bytes == seg->rotated_bytes)
		return err;
	(void)snprintf(path, sizeof(path), "%s/%s", o->dir, name);
	t.file_bytes = st.size_bytes;
	t.fd = io_open(w->io, w->dir_fd, name, O_RDWR, 0);
	if (t.fd < 0)
		return t.fd;
	err = log_tail_cut_zeros(&t, &cut, o->diag);
	if (err == 0 && !cut)
		err = log_tail_cut(&t, rec->quarantine, sizeof(rec->quarantine), o->diag);
	(void)io_close(w->io, &t.fd); /* synced through the other descriptor */
	return err;
}

/* Makes the segments before number 'end' durable: they can be sealed when all is recovered. */
static int sync_complete(struct log_opening *o, uint64_t end)
{
	struct log_writer *w = o->w;
	char name[SEGMENT_NAME_BYTES];
	struct segment seg;
	bool any = false;
	int err = 0;

	for (size_t i = 0; segments_get(&w->segments, i, &seg) && seg.number < end; i++) {
		if (seg.rotated_bytes == 0)
			continue;
		segment_file_name(&seg, name);
		err = trim_rotated(o, &seg, name);
		if (err == 0)
			err = io_fdatasync(w->io, seg.fd);
		if (err < 0)
			return diag_set(o->diag, err, "%s/%s: cannot sync it: %s", o->dir, name,
					strerror(-err));
		any = true;
	}
	if (any)
		err = io_fsync(w->io, w->dir_fd);
	return err < 0 ? diag_set(o->diag, err, "%s: cannot sync: %s", o->dir, strerror(-err)) : 0;
}

/* --- an incomplete rotated segment --- */

/* Empties a file behind the end of the log; its bytes go to quarantine. */
static int empty_behind(struct log_opening *o, const char *name, int fd)
{
	char path[PATH_MAX + SEGMENT_NAME_BYTES];
	struct log_recovery *rec = o->recovery;
	struct io_stat st = { 0 };
	struct log_tail t = {
		.io = o->w->io,
		.dir_fd = o->w->dir_fd,
		.fd = fd,
		.name = name,
		.path = path,
		.stop = { .scan = RECORD_TORN, .reason = RECORD_REASON_BEHIND },
	};
	int err = io_stat(o->w->io, fd, &st);

	(void)snprintf(path, sizeof(path), "%s/%s", o->dir, name);
	if (err < 0)
		return diag_set(o->diag, err, "%s: %s", path, strerror(-err));
	t.file_bytes = st.size_bytes;
	return t.file_bytes == 0
		       ? 0
		       : log_tail_cut(&t, rec->quarantine, sizeof(rec->quarantine), o->diag);
}

/* Removes a rotated segment behind the end of the log. */
static int remove_behind(struct log_opening *o, const struct segment *seg)
{
	struct log_writer *w = o->w;
	char name[SEGMENT_NAME_BYTES];
	int fd, err;

	segment_file_name(seg, name);
	fd = io_open(w->io, w->dir_fd, name, O_RDWR, 0);
	if (fd < 0)
		return diag_set(o->diag, fd, "%s/%s: cannot open it: %s", o->dir, name,
				strerror(-fd));
	err = empty_behind(o, name, fd);
	(void)io_close(w->io, &fd); /* synced */
	if (err < 0)
		return err;
	fd = segments_take_last(&w->segments, seg->number);
	(void)io_close(w->io, &fd); /* only read from */
	err = io_unlink(w->io, w->dir_fd, name);
	if (err == 0)
		err = io_fsync(w->io, w->dir_fd); /* before the next one is removed */
	return err < 0 ? diag_set(o->diag, err, "%s/%s: cannot remove it: %s", o->dir, name,
				  strerror(-err))
		       : 0;
}

static bool last_segment(struct segments *s, struct segment *ret)
{
	return segments_by_number(s, segments_next_number(s) - 1, ret);
}

/* Removes the newest first: whatever part of this a power cut leaves, the torn segment stays the
 * first that is not complete, and no number is missing between two segments.  None of them is
 * sealed: before a sealed segment a torn one would be damage (durable_bytes_of). */
static int remove_all_behind(struct log_opening *o, const struct segment *torn) NO_THREAD_SAFETY
{
	struct log_writer *w = o->w;
	struct segment seg;
	int err = empty_behind(o, w->name, w->fd);

	while (err == 0 && last_segment(&w->segments, &seg) && seg.number > torn->number)
		err = remove_behind(o, &seg);
	return err;
}

/* Makes the torn segment the active one again, in the place of the present one, which is empty now.
 * The file is locked before it has that name. */
static int reactivate(struct log_writer *w, const char *name) NO_THREAD_SAFETY
{
	int append = w->headroom_bytes > 0 ? 0 : O_APPEND;
	int fd = io_open(w->io, w->dir_fd, name, O_RDWR | append, 0);
	int err;

	if (fd < 0)
		return fd;
	err = io_lock(w->io, fd);
	if (err == 0)
		err = io_rename(w->io, w->dir_fd, name, w->name);
	if (err == 0)
		err = io_fsync(w->io, w->dir_fd);
	if (err < 0) {
		(void)io_close(w->io, &fd);
		return err;
	}
	(void)io_close(w->io, &w->fd); /* empty */
	w->fd = fd;
	return 0;
}

/* Returns the torn segment as an active segment. */
static struct log_tail torn_tail(const struct log_opening *o, const struct log_end *end)
{
	struct log_tail t = active_tail(o, end->seg.bytes);

	t.number = end->seg.number;
	t.start = end->seg.start;
	t.durable_bytes = durable_bytes_of(o, &end->seg);
	t.kept_bytes = end->stop.offset;
	t.kept = end->kept;
	t.stop = end->stop;
	return t;
}

static void report_torn(struct log_opening *o, const char *name, const struct log_end *end)
{
	o->recovery->stop.scan = RECORD_TORN;
	o->recovery->stop.reason = RECORD_REASON_BEHIND;
	(void)diag_set(o->diag, 0,
		       "%s/%s: had %" PRIu64 " bytes, of which a power cut has left %" PRIu64
		       ": the log ends there; what followed is saved in " QUARANTINE_NAME "/",
		       o->dir, name, end->seg.rotated_bytes, end->stop.offset);
}

/* Handles a log that ends in a rotated segment: a power cut has removed the end of that segment,
 * whatever it has left of later ones. */
static int recover_torn(struct log_opening *o, const struct log_end *end) NO_THREAD_SAFETY
{
	struct log_writer *w = o->w;
	char name[SEGMENT_NAME_BYTES];
	struct log_tail t = torn_tail(o, end);
	struct io_stat st = { 0 };
	int fd, err;

	segment_file_name(&end->seg, name);
	drop_active_hint(w);
	err = remove_all_behind(o, &end->seg);
	if (err < 0)
		return err;
	err = reactivate(w, name);
	if (err < 0)
		return diag_set(o->diag, err, "%s/%s: cannot make it the active segment: %s",
				o->dir, name, strerror(-err));
	fd = segments_take_last(&w->segments, end->seg.number);
	(void)io_close(w->io, &fd); /* only read from */
	w->active_number = end->seg.number;
	t.fd = w->fd;
	/* All its bytes are saved, also those behind the size in its name (trim_rotated). */
	err = io_stat(w->io, w->fd, &st);
	if (err < 0)
		return diag_set(o->diag, err, "%s/%s: %s", o->dir, name, strerror(-err));
	t.file_bytes = st.size_bytes;
	err = finish_active(o, &t);
	if (err == 0)
		report_torn(o, name, end);
	return err;
}

/* Ends a read-only log in a torn segment.  The segment keeps its name, because only a writer's
 * recovery changes it. */
static int end_in_torn(struct log_opening *o, const struct log_end *end) NO_THREAD_SAFETY
{
	struct log_writer *w = o->w;
	struct log_tail t = torn_tail(o, end);
	char full[SEGMENT_NAME_BYTES], *name;
	struct segment seg;

	segment_file_name(&end->seg, full);
	name = strdup(full);
	if (name == NULL)
		return -ENOMEM;
	free(w->name);
	w->name = name;
	while (last_segment(&w->segments, &seg) && seg.number >= end->seg.number) {
		(void)io_close(w->io, &w->fd); /* only read from */
		w->fd = segments_take_last(&w->segments, seg.number);
	}
	w->active_number = end->seg.number;
	take_end(o, &t);
	report_torn(o, full, end);
	return 0;
}

/* --- the whole recovery --- */

int log_recover(struct log_opening *o, uint64_t active_bytes) NO_THREAD_SAFETY
{
	struct log_writer *w = o->w;
	struct log_tail t = { .fd = -1 };
	struct log_end end;
	bool torn;
	int err = replay_segments(o, &end);

	hint_ahead_drop(&o->hint_ahead);
	torn = err == 0 && end.seg.number > 0;
	if (err == 0 && !torn) {
		t = active_tail(o, active_bytes);
		err = replay_active(o, &t);
	}
	if (err == 0)
		err = o->accepted(o);
	if (err == 0)
		err = sync_complete(o, torn ? end.seg.number : UINT64_MAX);
	if (err < 0)
		return err;
	if (torn)
		return recover_torn(o, &end);
	t.fd = w->fd;
	drop_active_hint(w);
	return finish_active(o, &t);
}

int log_recover_read_only(struct log_opening *o, uint64_t active_bytes)
{
	struct log_end end;
	struct log_tail t;
	int err = replay_segments(o, &end);

	hint_ahead_drop(&o->hint_ahead);
	if (err < 0)
		return err;
	if (end.seg.number > 0)
		return end_in_torn(o, &end);
	t = active_tail(o, active_bytes);
	if (!o->w->reached_until)
		err = replay_active(o, &t);
	if (err == 0)
		take_end(o, &t);
	return err;
}
