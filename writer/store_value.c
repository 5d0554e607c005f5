/* SPDX-License-Identifier: MIT */
/* Values: commit, read, verify. */
#include "writer/store_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "codec/crc32.h"
#include "codec/record.h"

#define NSEC_PER_SEC	   UINT64_C(1000000000)
#define MTIME_DRIFT_MAX_NS NSEC_PER_SEC /* how far an mtime that nobody has seen may be off */
#define VERIFY_CHUNK_BYTES ((size_t)256 * 1024)

/* --- commit --- */

/* How a value goes into the log: which attr record goes with it, and when. */
struct value_plan {
	struct meta_attr attr;
	bool attr_needed;
	uint64_t timestamp_ns; /* of the last record; 0: the clock */
};

/* The mtime of a file without an explicit one is the timestamp of its record.  So that the two
 * agree, the record is stamped with the time of the last write if the log is not past that; else
 * the mtime is made explicit when it matters. */
static void plan_times(struct store *s, const struct node *n, struct timespec written_at,
		       bool written_at_shown, struct value_plan *plan) REQUIRES(s->commit_lock)
{
	int64_t written_ns = keydir_ns(written_at.tv_sec, (uint32_t)written_at.tv_nsec);
	uint64_t last_ns = log_writer_last_timestamp(s->log);
	uint64_t first_free_ns = last_ns + 1 + plan->attr_needed + commit_needs_parent_times(n);

	if (written_ns > 0 && (uint64_t)written_ns >= first_free_ns) {
		plan->timestamp_ns = (uint64_t)written_ns;
		return;
	}
	if (!written_at_shown && written_ns > 0 &&
	    last_ns - (uint64_t)written_ns < MTIME_DRIFT_MAX_NS)
		return;
	plan->attr.mtime.sec = written_at.tv_sec;
	plan->attr.mtime.nsec = (uint32_t)written_at.tv_nsec;
	if ((plan->attr.fields & META_FIELD_CTIME) == 0) /* else the caller has set it */
		plan->attr.ctime = plan->attr.mtime;
	plan->attr.fields |= META_FIELD_MTIME | META_FIELD_CTIME;
	plan->attr_needed = true;
}

/* A number that is not the one of the path, because another node had that already, is written down.
 */
static void plan_ino(struct store *s, struct node *n, struct value_plan *plan)
	REQUIRES(s->commit_lock)
{
	if (!keydir_ino_is_given(s->keydir, n))
		return;
	plan->attr.fields |= META_FIELD_INO;
	plan->attr.ino = keydir_ino(s->keydir, n);
}

static void plan_value(struct store *s, struct node *n, bool empty, struct timespec written_at,
		       bool written_at_shown, const struct store_set *set, struct value_plan *ret)
	REQUIRES(s->commit_lock)
{
	struct value_plan plan = { .attr = commit_attr_of(n) };

	/* The log knows the attributes of what it has; a new file gets the defaults. */
	if (!n->committed)
		commit_attr_add_xattrs(n, &plan.attr);
	if (!n->committed)
		plan_ino(s, n, &plan);
	plan.attr_needed =
		!n->committed && (plan.attr.fields != 0 || !keydir_is_default(s->keydir, n));
	if (set != NULL && set->which != 0) {
		store_set_to_attr(set, &plan.attr);
		plan.attr_needed = true;
	}
	if (empty) {
		plan.attr.content = META_CONTENT_EMPTY;
		plan.attr_needed = false; /* it is the only record */
	}
	if (set == NULL || (set->which & STORE_SET_MTIME) == 0)
		plan_times(s, n, written_at, written_at_shown, &plan);
	if (!empty && plan.attr_needed)
		plan.attr.flags = META_FLAG_MORE;
	*ret = plan;
}

static int append_value(struct store *s, const struct node *n, const void *value,
			uint32_t value_bytes, const struct value_plan *plan)
	REQUIRES(s->commit_lock)
{
	struct commit *c = &s->commit;
	int err;

	commit_begin(s);
	err = commit_add_parent_times(s, n);
	if (err == 0 && (value_bytes == 0 || plan->attr_needed))
		err = commit_add_attr(s, n, NULL, 0, &plan->attr, 0);
	if (err == 0 && value_bytes > 0)
		err = commit_add_plain(s, n, NULL, 0, value, value_bytes, 0);
	/* Strictly increasing, and the last one is the time of the commit: plan_times() left room.
	 */
	for (size_t i = 0; err == 0 && plan->timestamp_ns > 0 && i < c->count; i++)
		c->records[i].timestamp_ns = plan->timestamp_ns - (c->count - 1 - i);
	return err < 0 ? err : commit_append(s, false);
}

/* Brings the keydir to what the log now says. */
static void apply_value(struct store *s, struct node *n, uint32_t value_bytes,
			const struct value_plan *plan, const struct store_set *set)
	REQUIRES(s->commit_lock)
{
	const struct commit *c = &s->commit;
	struct value_place place = { 0 };

	if (value_bytes > 0)
		place = (struct value_place){
			.record_offset = c->where.offset[c->count - 1],
			.key_bytes = c->records[c->count - 1].key_bytes,
			.value_bytes = value_bytes,
		};
	keydir_write_lock(s->keydir);
	if (value_bytes > 0) /* a plain record of that key, named or not */
		keydir_unnamed_remove(s->keydir, c->records[c->count - 1].key, place.key_bytes);
	keydir_set_value(s->keydir, n, &place, c->now_ns);
	if (plan->attr.fields & META_FIELD_MTIME)
		n->mtime_ns = keydir_ns(plan->attr.mtime.sec, plan->attr.mtime.nsec);
	if (plan->attr.fields & META_FIELD_CTIME)
		n->ctime_ns = keydir_ns(plan->attr.ctime.sec, plan->attr.ctime.nsec);
	if (set != NULL)
		store_apply_set(n, set);
	keydir_write_unlock(s->keydir);
}

static int commit_locked(struct store *s, struct node *n, const void *value, uint32_t value_bytes,
			 struct timespec written_at, bool written_at_shown,
			 const struct store_set *set, uint64_t *ret_end) REQUIRES(s->commit_lock)
{
	struct value_plan plan;
	int err;

	if (keydir_is_gone(s->keydir, n)) {
		keydir_write_lock(s->keydir);
		if (set != NULL)
			store_apply_set(n, set); /* fstat(2) still asks for it */
		keydir_write_unlock(s->keydir);
		*ret_end = 0;
		return 0;
	}
	plan_value(s, n, value_bytes == 0, written_at, written_at_shown, set, &plan);
	err = append_value(s, n, value, value_bytes, &plan);
	if (err < 0)
		return err;
	apply_value(s, n, value_bytes, &plan, set);
	*ret_end = s->commit.where.end_offset;
	return 0;
}

int store_commit(struct store *s, struct node *n, const void *value, uint64_t value_bytes,
		 struct timespec written_at, bool written_at_shown, const struct store_set *set,
		 uint64_t *ret_end)
{
	int err;

	if (value_bytes > STORE_VALUE_BYTES_MAX)
		return -EFBIG;
	if (!node_is_file(n))
		return node_is_dir(n) ? -EISDIR : -EINVAL;
	mutex_lock(&s->commit_lock);
	err = commit_locked(s, n, value, (uint32_t)value_bytes, written_at, written_at_shown, set,
			    ret_end);
	mutex_unlock(&s->commit_lock);
	return err;
}

/* --- reading --- */

/* Reads exactly 'n' bytes that the log has. */
static int read_log(struct store *s, void *buf, size_t n, uint64_t offset)
{
	ssize_t got = log_writer_read(s->log, buf, n, offset);

	if (got < 0)
		return (int)got;
	return (size_t)got == n ? 0 : -EIO;
}

/* Reads the whole record at 'place' and compares its CRC, and the sizes that the keydir believes
 * in. */
static int check_crc(struct store *s, const struct value_place *place)
{
	uint64_t bytes = record_bytes(place->key_bytes, place->value_bytes);
	uint8_t *chunk = malloc(VERIFY_CHUNK_BYTES);
	struct record rec = { 0 };
	uint32_t crc = 0, stored = 0;
	uint64_t done = 0;
	int err = chunk == NULL ? -ENOMEM : 0;

	while (err == 0 && done < bytes) {
		size_t n = bytes - done < VERIFY_CHUNK_BYTES ? (size_t)(bytes - done)
							     : VERIFY_CHUNK_BYTES;
		size_t skip = 0;

		err = read_log(s, chunk, n, place->record_offset + done);
		if (err < 0)
			break;
		if (done == 0) {
			stored = record_decode_header(chunk, &rec);
			skip = RECORD_CRC_COVERS_FROM;
		}
		crc = crc32_extend(crc, chunk + skip, n - skip);
		done += n;
	}
	free(chunk);
	if (err < 0)
		return err == -ENOMEM ? err : -EIO;
	if (crc != stored || rec.key_bytes != place->key_bytes ||
	    rec.value_bytes != place->value_bytes)
		return -EIO;
	return 0;
}

/* Stores where the value of 'n' is, after checking it if that has not been done. */
static int verified_place(struct store *s, struct node *n, struct value_place *ret)
{
	bool verified;
	int err;

	keydir_value(s->keydir, n, ret, &verified);
	if (verified || ret->value_bytes == 0)
		return 0;
	err = check_crc(s, ret);
	if (err == 0)
		keydir_set_verified(s->keydir, n, ret);
	return err;
}

int store_verify(struct store *s, struct node *n)
{
	struct value_place place;

	return verified_place(s, n, &place);
}

ssize_t store_read(struct store *s, struct node *n, void *buf, size_t buf_bytes, uint64_t offset)
{
	struct value_place place;
	int err;

	err = verified_place(s, n, &place);
	if (err < 0)
		return err;
	if (offset >= place.value_bytes)
		return 0;
	if (buf_bytes > place.value_bytes - offset)
		buf_bytes = (size_t)(place.value_bytes - offset);
	err = read_log(s, buf, buf_bytes,
		       place.record_offset + RECORD_HEADER_BYTES + place.key_bytes + offset);
	return err < 0 ? err : (ssize_t)buf_bytes;
}
