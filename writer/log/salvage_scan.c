/* SPDX-License-Identifier: MIT */
/* The scan of a segment: reads its whole records one after the other and, at one that is not whole,
 * finds the position at which to continue. */
#include <errno.h>
#include <stdlib.h>

#include "codec/le.h"
#include "codec/commit.h"
#include "codec/path.h"
#include "writer/log/reader.h"
#include "writer/log/salvage.h"
#include "writer/log/salvage_hint.h"
#include "writer/log/salvage_locate.h"
#include "writer/log/salvage_search.h"

#define LOCATE_BYTES_MAX 8192 /* of the front of a record; a path has at most half of that */
#define CLAIMS_MAX	 64   /* damaged records in sequence */
#define MENDED_BYTES_MAX 512  /* a longer record may have other damage that looks like one byte */

/* The position where reading stopped, and the beginning of the lost part: a group is lost as a
 * whole. */
struct stop {
	struct log_stop at;
	uint64_t before_ns; /* time of the record before it; 0: none */
	uint64_t lost_from;
	uint64_t in_group; /* whole records before it in its group */
};

/* Reads whole records from 'from' on. */
static int read_run(const struct salvage_file *f, uint64_t from, struct salvage *ret,
		    struct stop *ret_stop)
{
	uint64_t group_from = 0, in_group = 0;
	struct manifest_scan scan;
	struct log_entry entry;
	struct log_reader *r;
	int got = log_reader_open(f->io, f->fd, from, f->bytes, &r);

	if (got < 0)
		return got;
	manifest_scan_init(&scan, true);
	ret_stop->before_ns = 0;
	while ((got = log_reader_next(r, &entry)) > 0) {
		manifest_scan_add(&scan, entry.offset, entry.crc, &entry.rec);
		ret_stop->before_ns = entry.rec.timestamp_ns;
		if (in_group == 0)
			group_from = entry.offset;
		in_group++;
		if (meta_has_more(entry.rec.key, entry.rec.key_bytes, entry.rec.value,
				  entry.value_held_bytes))
			continue;
		ret->records += in_group;
		in_group = 0;
	}
	if (got == 0) {
		ret_stop->at = log_reader_stop(r);
		ret_stop->in_group = in_group;
		ret_stop->lost_from = in_group > 0 ? group_from : ret_stop->at.offset;
		if (in_group > 0 && ret_stop->at.scan == RECORD_END)
			ret_stop->at.reason = RECORD_REASON_GROUP;
	}
	ret->whole = got == 0 && from == 0 && ret_stop->at.scan == RECORD_END;
	ret->facts = manifest_scan_finish(&scan);
	log_reader_close(r);
	return got;
}

/* The claim of a damaged record, and whether one byte of the claim was wrong and has been
 * corrected. */
struct claim {
	struct salvage_record was;
	bool located;
};

/* Returns the number of bytes of the value that describe the record. */
static uint32_t claimed_value_bytes(const struct record *rec)
{
	uint32_t most = META_EXCHANGE_FIXED_BYTES + PATH_BYTES_MAX;

	return rec->value_bytes < most ? rec->value_bytes : most;
}

/* Copies the time of the record at 'offset', its key, and the front of its value. */
static int read_claim(struct search *s, uint64_t offset, struct claim *ret)
{
	uint8_t header[RECORD_HEADER_BYTES];
	struct salvage_record *was = &ret->was;
	struct record rec;
	uint32_t syndrome = 0;
	size_t front, time_bytes = RECORD_HEADER_BYTES - RECORD_TIMESTAMP_OFFSET;
	ssize_t got = io_pread_all(s->io, s->fd, header, sizeof(header), offset);
	int err;

	if (got != (ssize_t)sizeof(header))
		return got < 0 ? (int)got : -EIO;
	(void)record_decode_header(header, &rec);
	was->value_held_bytes = claimed_value_bytes(&rec);
	front = time_bytes + rec.key_bytes + was->value_held_bytes;
	was->owned = malloc(front);
	if (was->owned == NULL)
		return -ENOMEM;
	got = io_pread_all(s->io, s->fd, was->owned, front, offset + RECORD_TIMESTAMP_OFFSET);
	if (got < 0)
		return (int)got;
	err = search_syndrome(s, offset, &syndrome);
	if (err < 0)
		return err;
	if (front <= LOCATE_BYTES_MAX)
		ret->located =
			salvage_locate(was->owned, front, RECORD_TIMESTAMP_OFFSET,
				       record_bytes(rec.key_bytes, rec.value_bytes), syndrome);
	rec.timestamp_ns = le64_load(was->owned);
	rec.key = was->owned + time_bytes;
	rec.value = was->owned + time_bytes + rec.key_bytes;
	was->rec = rec;
	return 0;
}

/* Returns whether the claim has all of a record, so that all its bytes were tried for the wrong
 * one, and the record has no content: near certainty is not enough for content. */
static bool is_mended(const struct claim *c)
{
	const struct record *rec = &c->was.rec;
	struct commit_record decoded;

	if (!c->located || c->was.value_held_bytes != rec->value_bytes ||
	    record_bytes(rec->key_bytes, rec->value_bytes) > MENDED_BYTES_MAX)
		return false;
	if (commit_record_decode(rec, rec->value_bytes, &decoded) != META_OK)
		return false;
	if (decoded.kind == 0)
		return rec->value_bytes == 0 && path_ok(rec->key, rec->key_bytes);
	return decoded.kind != META_BASE && decoded.kind != META_EXTENT;
}

/* Adds a record that is what it claims to be.  A stand-in replaces a value, also one that is the
 * last record of its group.  'stop' has the beginning of the group; NULL: not in a group. */
static int add_claimed(struct search *s, uint64_t offset, const struct stop *stop,
		       struct salvage *ret)
{
	bool is_put, mended, in_group = stop != NULL && stop->in_group > 0;
	struct claim c = { 0 };
	struct salvage_record *was = &c.was;
	struct salvage_lost *l = NULL;
	uint64_t from = offset, end = 0;
	int err = read_claim(s, offset, &c);

	mended = err == 0 && is_mended(&c);
	is_put = err == 0 && was->rec.value_bytes > 0 && path_ok(was->rec.key, was->rec.key_bytes);
	if (in_group && !is_put && !mended)
		from = stop->lost_from;
	if (err == 0)
		err = search_claimed_end(s, offset, &end);
	if (err == 0)
		l = salvage_add(ret, from, end - from, record_reason_text(RECORD_REASON_CRC));
	if (l == NULL) {
		free(was->owned);
		return err < 0 ? err : -ENOMEM;
	}
	l->was = *was;
	if (is_put || mended || !in_group)
		l->known = SALVAGE_CLAIMED;
	if (!is_put && !mended)
		return 0;
	ret->records += in_group ? stop->in_group : 0;
	return salvage_stand_in(l, was);
}

/* Follows the claimed lengths of damaged records from the stop to a whole record, or to a position
 * where a record certainly ends: then the sizes are right.  Stores that position.  Returns the
 * number of these records, 0 if their lengths do not lead to one, or -errno. */
static int follow_claims(struct search *s, const struct salvage_file *f, const struct stop *stop,
			 uint64_t *ret_end)
{
	uint64_t at = stop->at.offset, end, last_ns = stop->before_ns, ns, bytes;

	/* The front of one record and the rest of another can look like one record. */
	if (f->is_cut)
		return 0;
	for (int count = 1; count <= CLAIMS_MAX; count++) {
		int got = search_is_likely(s, at);

		if (got > 0)
			got = search_timestamp(s, at, &ns) < 0 ? -EIO : 1;
		if (got <= 0 || (ns < last_ns && count > 1))
			return got < 0 ? got : 0;
		last_ns = ns;
		got = search_claimed_end(s, at, &end);
		if (got < 0)
			return got;
		at = *ret_end = end;
		if (at == f->boundary_bytes)
			return count;
		got = search_is_whole(s, at, &bytes);
		if (got != 0)
			return got < 0 ? got : count;
	}
	return 0;
}

/* Returns whether a claimed length is refuted, or -errno.  It is refuted if an unbroken sequence of
 * whole records begins inside the claimed record and reaches over its end, up to the next whole
 * record or to a position where a record certainly ends: bytes of a value cannot continue behind
 * the value.  The records must also be later than the claimed record, which an image of the log in
 * its value is not. */
static int is_refuted(struct search *s, const struct salvage_file *f, const struct stop *stop,
		      const struct search_result *found)
{
	uint64_t at = found->inside_from, last_ns, ns, bytes;
	int err = 0, got = 1;

	if (found->inside == 0 || (found->offset == f->bytes && f->boundary_bytes != f->bytes))
		return 0;
	err = search_timestamp(s, stop->at.offset, &last_ns);
	if (err < 0 || last_ns < stop->before_ns)
		return err;
	while (err == 0 && got > 0 && at < found->offset) {
		got = search_is_whole(s, at, &bytes);
		if (got > 0)
			err = search_timestamp(s, at, &ns);
		if (got <= 0 || err < 0 || ns < last_ns ||
		    (at == found->inside_from && ns == last_ns))
			return got < 0 ? got : err;
		last_ns = ns;
		at += bytes;
	}
	if (err == 0 && at == found->offset && at < f->bytes) {
		err = search_timestamp(s, at, &ns);
		return err < 0 ? err : ns >= last_ns;
	}
	return err < 0 ? err : at == found->offset;
}

/* Adds a lost range of unknown records, from the stop to 'found'. */
static int add_unknown(const struct stop *stop, const struct search_result *found,
		       struct salvage *ret)
{
	struct salvage_lost *l = salvage_add(ret, stop->lost_from, found->offset - stop->lost_from,
					     record_reason_text(stop->at.reason));

	if (l == NULL)
		return -ENOMEM;
	l->inside = found->inside;
	l->inside_from = found->inside_from;
	return 0;
}

/* Returns whether the time of a record that ends at 'end' is between those around it. */
static bool is_in_order(struct search *s, uint64_t before_ns, uint64_t ns, uint64_t end)
{
	uint64_t after_ns;

	return ns >= before_ns && (search_timestamp(s, end, &after_ns) < 0 || ns <= after_ns);
}

/* Adds the records that are what they claim to be, from the stop to 'found'. */
static int add_claims(struct search *s, const struct stop *stop, int count,
		      const struct search_result *found, struct salvage *ret)
{
	uint64_t at = stop->at.offset, before_ns = stop->before_ns;
	size_t first = ret->count;
	struct salvage_lost *l;
	int err = 0;

	for (int i = 0; err == 0 && i < count; i++) {
		err = add_claimed(s, at, i == 0 ? stop : NULL, ret);
		if (err == 0)
			err = search_claimed_end(s, at, &at);
		if (err < 0)
			break;
		l = &ret->lost[ret->count - 1];
		l->in_order = is_in_order(s, before_ns, l->was.rec.timestamp_ns, at);
		before_ns = l->was.rec.timestamp_ns;
	}
	if (err == 0) {
		ret->lost[first].inside = found->inside;
		ret->lost[first].inside_from = found->inside_from;
	}
	return err;
}

/* Finds the position at which to continue behind one that is not whole, and adds the lost ranges.
 */
static int skip(struct search *s, const struct salvage_file *f, const struct stop *stop,
		struct salvage *ret, uint64_t *ret_next)
{
	struct search_result found = { 0 };
	uint64_t claimed = 0, end = 0;
	int count = follow_claims(s, f, stop, &end);
	int got = count < 0 ? count : search_claimed_end(s, stop->at.offset, &claimed);

	/* No record extends over a position where a record certainly ends. */
	if (stop->at.offset < f->boundary_bytes && claimed > f->boundary_bytes)
		claimed = f->boundary_bytes;
	if (count > 0)
		claimed = end;
	if (f->take_inside || claimed <= stop->at.offset)
		claimed = stop->at.offset + 1;
	if (got == 0)
		got = search_whole(s, stop->at.offset + 1, claimed, &found);
	if (got == 0 && count == 0)
		got = is_refuted(s, f, stop, &found);
	if (got < 0)
		return got;
	if (got > 0)
		found = (struct search_result){ .offset = found.inside_from };
	*ret_next = found.offset;
	if (count > 0 && found.offset == end)
		return add_claims(s, stop, count, &found, ret);
	return add_unknown(stop, &found, ret);
}

/* Scans from 'at' on. */
static int scan_from(const struct salvage_file *f, uint64_t at, struct salvage *ret)
{
	struct search s;
	struct stop stop;
	int err = search_init(&s, f->io, f->fd, f->bytes);

	while (err == 0) {
		err = read_run(f, at, ret, &stop);
		if (err < 0)
			break;
		if (stop.at.scan == RECORD_END) {
			if (stop.lost_from < f->bytes &&
			    salvage_add(ret, stop.lost_from, f->bytes - stop.lost_from,
					record_reason_text(stop.at.reason)) == NULL)
				err = -ENOMEM;
			break;
		}
		err = skip(&s, f, &stop, ret, &at);
	}
	search_free(&s);
	return err;
}

int salvage_scan(const struct salvage_file *f, struct salvage *ret)
{
	struct salvage by_hint = { 0 };
	uint64_t next = 0;
	int err = f->fd < 0 ? 0 : scan_from(f, 0, ret);

	if (err < 0 || f->hint_name == NULL)
		return err;
	err = salvage_by_hint(f, ret, &by_hint, &next);
	if (err == 0 && by_hint.used_hint && f->fd >= 0 && next < f->bytes)
		err = scan_from(f, next, &by_hint);
	if (err < 0 || !by_hint.used_hint) {
		salvage_free(&by_hint);
		return err;
	}
	by_hint.whole = ret->whole;
	by_hint.facts = ret->facts;
	salvage_free(ret);
	*ret = by_hint;
	return 0;
}
