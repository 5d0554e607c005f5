/* SPDX-License-Identifier: MIT */
/* Values: commit and read. */
#include "writer/store/store_private.h"

#include <errno.h>
#include <string.h>

#include "writer/base/times.h"
#include "codec/record.h"
#include "writer/index/inode_numbers.h"
#include "writer/index/node_content.h"
#include "writer/index/unnameable.h"

#define MTIME_DRIFT_MAX_NS NSEC_PER_SEC /* largest error of an mtime that no program has seen */
#define PIECES_AT_ONCE	   16

/* --- commit --- */

/* The plan of a value's commit: which attr record it needs, and its timestamp. */
struct value_plan {
	struct meta_attr attr;
	bool attr_needed;
	uint64_t timestamp_ns; /* of the last record; 0: the time of the clock */
};

/* The mtime of a file without an explicit one is the timestamp of its record.  So that the two
 * agree, the record is stamped with the time of the last write, if that is later than the last
 * record in the log; otherwise the mtime is made explicit if the difference matters. */
static void plan_times(struct store *s, const struct node *n, const struct store_content *content,
		       struct value_plan *plan) REQUIRES(s->commit_lock, commit_class)
{
	int64_t written_ns = ns_of_timespec(content->written_at);
	uint64_t last_ns = log_writer_last_timestamp(s->log);
	uint64_t first_free_ns = last_ns + 1 + plan->attr_needed + commit_needs_parent_times(n);
	int64_t clock_ns = s->commit.clock_ns;
	/* A name that was given later than the last write shows in the directory's times, which
	 * follow the record's timestamp; the file's own times are then in the attr record, which is
	 * needed anyway. */
	bool named_later = plan->attr_needed && !node_is_committed(n) && node_name(n) != NULL &&
			   node_times(node_parent(n)).mtime_ns > written_ns;

	/* A time in the future, which a program has set, must not become a timestamp of the log. */
	if (written_ns > 0 && (uint64_t)written_ns >= first_free_ns && written_ns <= clock_ns &&
	    !named_later) {
		plan->timestamp_ns = (uint64_t)written_ns;
		return;
	}
	if (!content->written_at_shown && s->commit.behind_ns == 0 && written_ns > 0 &&
	    last_ns - (uint64_t)written_ns < MTIME_DRIFT_MAX_NS)
		return;
	plan->attr.mtime = meta_time_of_timespec(content->written_at);
	if ((plan->attr.fields & META_FIELD_CTIME) == 0) /* otherwise the caller has set it */
		plan->attr.ctime =
			written_ns <= clock_ns ? plan->attr.mtime : meta_time_of_ns(clock_ns);
	plan->attr.fields |= META_FIELD_MTIME | META_FIELD_CTIME;
	plan->attr_needed = true;
}

/* Writes the inode number down if it does not follow from the path, because another node had that
 * number already. */
static void plan_ino(struct store *s, struct node *n, struct value_plan *plan)
	REQUIRES(s->commit_lock, commit_class)
{
	if (!keydir_ino_is_given(n))
		return;
	plan->attr.fields |= META_FIELD_INO;
	plan->attr.ino = keydir_ino(s->keydir, n);
}

static bool is_empty(const struct content_commit *cc)
{
	return cc->publish == NULL && cc->content->bytes == 0;
}

static void plan_value(struct store *s, const struct content_commit *cc, struct value_plan *ret)
	REQUIRES(s->commit_lock, commit_class)
{
	const struct store_set *set = cc->content->set;
	struct node *n = cc->n;
	struct value_plan plan = { .attr = node_meta_attr(n) };

	/* The log has the attributes of a committed file; a new file gets the defaults. */
	if (!node_is_committed(n))
		node_meta_add_xattrs(n, &plan.attr);
	if (!node_is_committed(n))
		plan_ino(s, n, &plan);
	plan.attr_needed = !node_is_committed(n) &&
			   (plan.attr.fields != 0 || !keydir_is_default(s->keydir, n));
	if (set != NULL && set->which != 0) {
		store_set_to_attr(set, &plan.attr);
		plan.attr_needed = true;
	}
	if (is_empty(cc)) {
		plan.attr.content = META_CONTENT_EMPTY;
		plan.attr_needed = false; /* it is the only record */
	}
	if (set == NULL || (set->which & STORE_SET_MTIME) == 0)
		plan_times(s, n, cc->content, &plan);
	if (!is_empty(cc) && plan.attr_needed)
		plan.attr.flags = META_FLAG_MORE;
	*ret = plan;
}

static int append_content(struct store *s, const struct content_commit *cc,
			  const struct value_plan *plan) REQUIRES(s->commit_lock, commit_class)
{
	struct commit *c = &s->commit;
	int err;

	err = commit_add_parent_times(s, cc->n);
	if (err == 0 && (is_empty(cc) || plan->attr_needed))
		err = commit_add_attr(s, cc->n, NULL, 0, &plan->attr);
	if (err == 0 && cc->publish != NULL)
		err = commit_add_publish(s, cc->n, cc->publish);
	else if (err == 0 && !is_empty(cc))
		err = commit_add_plain(s, cc->n, NULL, 0, cc->content->value,
				       (uint32_t)cc->content->bytes);
	/* Timestamps rise strictly, and the last one is the time of the commit; plan_times() made
	 * sure that there are enough free ones. */
	for (size_t i = 0; err == 0 && plan->timestamp_ns > 0 && i < c->count; i++)
		c->records[i].timestamp_ns = plan->timestamp_ns - (c->count - 1 - i);
	return err < 0 ? err : commit_append(s, false);
}

/* Gives the node its content.  Requires the keydir's write lock. */
static void set_content(struct store *s, const struct content_commit *cc,
			struct content_change *change) REQUIRES(s->commit_lock, commit_class)
{
	const struct commit *c = &s->commit;
	const struct record *last = &c->records[c->count - 1];
	struct value_position value = { 0 };

	if (cc->publish != NULL) {
		keydir_publish(s->keydir, cc->n, change, c->now_ns);
	} else {
		if (!is_empty(cc))
			value = (struct value_position){
				.record_position = c->where.position[c->count - 1],
				.key_bytes = last->key_bytes,
				.value_bytes = (uint32_t)cc->content->bytes,
			};
		keydir_set_value(s->keydir, cc->n, &value, c->now_ns);
	}
}

/* Brings the keydir to the state of the log. */
static void apply_content(struct store *s, const struct content_commit *cc,
			  const struct value_plan *plan, struct content_change *change)
	REQUIRES(s->commit_lock, commit_class)
{
	const struct commit *c = &s->commit;
	const struct record *last = &c->records[c->count - 1];
	size_t prefix = cc->publish != NULL ? META_KEY_PREFIX_BYTES : 0;
	struct node *n = cc->n;
	struct node_times t;

	keydir_write_lock(s->keydir);
	if (!is_empty(cc)) /* a record of that key, nameable or not */
		keydir_unnameable_remove(s->keydir, (const uint8_t *)last->key + prefix,
					 last->key_bytes - prefix);
	set_content(s, cc, change);
	t = node_times(n);
	if (plan->attr.fields & META_FIELD_MTIME)
		t.mtime_ns = ns_of_meta_time(plan->attr.mtime);
	if (plan->attr.fields & META_FIELD_CTIME)
		t.ctime_ns = ns_of_meta_time(plan->attr.ctime);
	keydir_set_times(n, &t);
	if (cc->content->set != NULL)
		keydir_set_attributes(n, cc->content->set);
	keydir_write_unlock(s->keydir);
}

static int prepare_publish(struct store *s, const struct content_commit *cc,
			   struct content_change *change) REQUIRES(s->commit_lock, commit_class)
{
	change->keep = (cc->publish->flags & META_FLAG_KEEP) != 0;
	change->size_bytes = cc->publish->size_bytes;
	return keydir_prepare_publish(s->keydir, cc->n, change);
}

/* Returns whether the times after the commit need memory in the node: most files have one time. */
static bool needs_times(const struct meta_attr *attr)
{
	const uint16_t both = META_FIELD_MTIME | META_FIELD_CTIME;
	uint16_t given = attr->fields & (both | META_FIELD_ATIME);

	return given != 0 &&
	       (given != both || ns_of_meta_time(attr->mtime) != ns_of_meta_time(attr->ctime));
}

/* Sets the attributes of a file that has no name any more: fstat(2) still shows them. */
static int set_without_name(struct store *s, const struct content_commit *cc)
	REQUIRES(s->commit_lock, commit_class)
{
	int err;

	if (cc->content->set == NULL)
		return 0;
	err = keydir_prepare(s->keydir, cc->n);
	if (err < 0)
		return err;
	LOCKED(keydir_write, s->keydir, keydir_set_attributes(cc->n, cc->content->set));
	return 0;
}

static int commit_content(struct store *s, const struct content_commit *cc, uint64_t *ret_end)
	REQUIRES(s->commit_lock, commit_class)
{
	/* From here on the log has the file's name in the directory. */
	bool made = !node_is_committed(cc->n);
	struct content_change change = { .staged = cc->staged };
	struct value_plan plan;
	struct node *dir;
	int err = 0;

	*ret_end = 0;
	if (keydir_is_gone(s->keydir, cc->n))
		return set_without_name(s, cc);
	dir = node_parent(cc->n);
	commit_begin(s);
	plan_value(s, cc, &plan);
	if (needs_times(&plan.attr))
		err = keydir_prepare(s->keydir, cc->n);
	if (err == 0 && cc->publish != NULL)
		err = prepare_publish(s, cc, &change);
	if (err == 0)
		err = append_content(s, cc, &plan);
	if (err < 0) {
		keydir_drop_publish(&change);
		return err;
	}
	apply_content(s, cc, &plan, &change);
	if (made)
		commit_keep_times(s, &dir, 1);
	*ret_end = s->commit.where.end_position;
	return 0;
}

int store_commit_content(struct store *s, const struct content_commit *cc, uint64_t *ret_end)
{
	int err = commit_content(s, cc, ret_end);

	if (err < 0)
		store_tell_not_committed(s, cc->n, err);
	return err;
}

int store_commit(struct store *s, struct node *n, const struct store_content *content,
		 uint64_t *ret_end)
{
	const struct content_commit cc = { .n = n, .content = content };
	int err;

	if (content->bytes > STORE_VALUE_BYTES_MAX)
		return -EFBIG;
	if (!node_is_file(n))
		return node_is_dir(n) ? -EISDIR : -EINVAL;
	err = WITH_LOCK(commit, s, store_commit_content(s, &cc, ret_end));
	return err;
}

/* --- reading ahead --- */

/* The window that one read reads ahead grows with each value that is in memory at its first read,
 * and shrinks with each that is not: it reaches its maximum where at least one first read in 16
 * finds its value in memory.  Reads all over a large log keep the minimum. */
#define AHEAD_GROWTH (UINT32_C(64) << 10)
#define AHEAD_LOSS   (AHEAD_GROWTH + AHEAD_GROWTH / 16) /* the value is read, too, and grows it */

/* Larger values are many requests of their own, and the kernel reads them ahead in order. */
static bool is_read_ahead(const struct content_piece *piece)
{
	return !piece->verified && piece->value.value_bytes < STORE_AHEAD_MIN;
}

static void change_ahead(struct store *s, int64_t change)
{
	int64_t bytes = (int64_t)atomic_load(&s->ahead_bytes) + change;

	if (bytes < STORE_AHEAD_MIN)
		bytes = STORE_AHEAD_MIN;
	if (bytes > STORE_AHEAD_MAX)
		bytes = STORE_AHEAD_MAX;
	atomic_store(&s->ahead_bytes, (uint32_t)bytes); /* losing the change of another thread */
}

void store_read_ahead(struct store *s, struct node *n, uint64_t offset)
{
	unsigned int side = read_gate_enter(&s->gate);
	struct content_piece piece;
	struct content_pieces list = { .pieces = &piece, .capacity = 1 };

	if (keydir_pieces(s->keydir, n, offset, UINT64_MAX, &list) == 1 && !piece.hole &&
	    !piece.dropped && is_read_ahead(&piece)) {
		change_ahead(s, -(int64_t)AHEAD_LOSS);
		log_writer_read_ahead(s->log, piece.value.record_position,
				      atomic_load(&s->ahead_bytes));
	}
	read_gate_leave(&s->gate, side);
}

size_t store_unread_bytes(struct store *s, struct node *n)
{
	struct content_piece piece;
	struct content_pieces list = { .pieces = &piece, .capacity = 1 };

	if (keydir_pieces(s->keydir, n, 0, UINT64_MAX, &list) == 0 || piece.verified ||
	    piece.dropped || piece.hole || piece.bytes != list.size_bytes ||
	    piece.value.record_position >= s->opened_end)
		return 0;
	return (size_t)piece.bytes;
}

/* --- reading --- */

/* Reads 'n' bytes of a piece from byte 'from' on, and checks the CRC of its record unless that has
 * been done. */
static int read_content_piece(struct store *s, const struct content_piece *piece, uint64_t from,
			      void *buf, size_t n)
{
	const struct value_position *value = &piece->value;
	int err;

	if (piece->dropped)
		return store_bad_record(value, "its bytes are not in the log any more");
	from += value_position_header_bytes(value) + piece->value_offset;
	err = piece->verified ? record_at_read(s->log, value, from, buf, n)
			      : record_at_check(s->log, value, from, buf, n);
	return store_record_error(value, err);
}

static void set_verified(const struct store_reader *r, const struct content_piece *piece)
{
	if (r->node != NULL)
		keydir_set_verified(r->s->keydir, r->node, piece);
	if (r->map != NULL)
		content_map_set_verified(r->map, piece->offset, &piece->value);
}

int store_read_pieces(const struct store_reader *r, const struct content_pieces *pieces,
		      uint8_t *buf, size_t n, uint64_t offset)
{
	uint64_t end = offset + n, at = offset;
	int err = 0;

	for (size_t i = 0; err == 0 && i < pieces->count; i++) {
		const struct content_piece *p = &pieces->pieces[i];
		uint64_t begin = p->offset > at ? p->offset : at;
		uint64_t stop = p->offset + p->bytes < end ? p->offset + p->bytes : end;

		memset(buf + (at - offset), 0, (size_t)(begin - at));
		at = stop;
		if (p->hole) {
			memset(buf + (begin - offset), 0, (size_t)(stop - begin));
			continue;
		}
		err = read_content_piece(r->s, p, begin - p->offset, buf + (begin - offset),
					 (size_t)(stop - begin));
		if (err == 0 && is_read_ahead(p))
			change_ahead(r->s, AHEAD_GROWTH);
		if (err == 0 && !p->verified)
			set_verified(r, p);
	}
	if (err == 0)
		memset(buf + (at - offset), 0, (size_t)(end - at));
	return err;
}

ssize_t store_read_value(struct store *s, struct node *n, void *buf, size_t buf_bytes,
			 uint64_t offset)
{
	struct content_piece pieces[PIECES_AT_ONCE];
	struct content_pieces list = { .pieces = pieces, .capacity = PIECES_AT_ONCE };
	const struct store_reader reader = { s, n, NULL };
	uint64_t end;
	size_t done = 0;
	int err = 0;

	if (__builtin_add_overflow(offset, buf_bytes, &end))
		end = UINT64_MAX;
	while (err == 0 && offset < end) {
		size_t found = keydir_pieces(s->keydir, n, offset, end, &list);
		uint64_t stop;

		if (end > list.size_bytes)
			end = list.size_bytes;
		if (offset >= end)
			break;
		stop = end;
		if (found == PIECES_AT_ONCE &&
		    pieces[found - 1].offset + pieces[found - 1].bytes < stop)
			stop = pieces[found - 1].offset + pieces[found - 1].bytes;
		err = store_read_pieces(&reader, &list, (uint8_t *)buf + done,
					(size_t)(stop - offset), offset);
		done += (size_t)(stop - offset);
		offset = stop;
	}
	return err < 0 ? err : (ssize_t)done;
}

ssize_t store_read(struct store *s, struct node *n, void *buf, size_t buf_bytes, uint64_t offset)
{
	unsigned int side = read_gate_enter(&s->gate);
	ssize_t got = store_read_value(s, n, buf, buf_bytes, offset);

	read_gate_leave(&s->gate, side);
	if (got == -EIO)
		store_tell_unreadable(s, n);
	return got;
}

bool store_next_data(struct store *s, struct node *n, uint64_t offset, uint64_t *ret_begin,
		     uint64_t *ret_end)
{
	struct content_piece piece;
	struct content_pieces list = { .pieces = &piece, .capacity = 1 };

	if (keydir_pieces(s->keydir, n, offset, UINT64_MAX, &list) == 0)
		return false;
	*ret_begin = piece.offset > offset ? piece.offset : offset;
	*ret_end = piece.offset + piece.bytes;
	return true;
}

uint64_t store_position(struct store *s, struct node *n)
{
	struct content_piece piece;
	struct content_pieces list = { .pieces = &piece, .capacity = 1 };

	if (keydir_pieces(s->keydir, n, 0, UINT64_MAX, &list) == 0)
		return 0;
	return piece.value.record_position + 1; /* the first record has position 0 */
}
