/* SPDX-License-Identifier: MIT */
#include "writer/log/file_set.h"
#include "writer/scrub/scrub.h"

#include <errno.h>
#include <stdlib.h>

#include "codec/crc32.h"
#include "codec/le.h"
#include "codec/manifest.h"
#include "codec/meta.h"
#include "codec/record.h"
#include "writer/log/hint_file.h"
#include "writer/store/for_background.h"

#define WINDOW_BYTES ((size_t)256 * 1024)
/* A rest lasts for this multiple of the time that reading a window took, and at least this long. */
#define REST_TIMES	 3
#define REST_NS_MIN	 UINT64_C(2000000)
#define REST_BUSY_TIMES	 15 /* while other threads append */
#define REST_BUSY_NS_MIN UINT64_C(10000000)
#define NODES_AT_ONCE	 512
#define WITHOUT_HINT_MAX 32 /* each search examines all files */
#define SCRUB_REPLACED	 1  /* the segment's file was replaced */

struct scan {
	struct scrubber *c;
	struct segment seg;
	uint8_t *window; /* owned; bytes of the segment from 'from' on */
	uint64_t from;
	size_t held;
	uint64_t read_ns, appends; /* time of the last read, and the number of appends then */
	bool asked_hint;
	struct hint_reader *hint;   /* owned; NULL: none */
	struct manifest_scan facts; /* of the segment, for its digest */
	size_t without_hint;	    /* damaged records of this segment that a hint does not have */
	struct store_scrub result;
};

/* --- reading --- */

/* Rests between two windows.  Returns false if the scrub must stop. */
static bool rest_after_window(struct scan *sc, uint64_t took_ns)
{
	struct scrubber *c = sc->c;
	struct log_writer_stats log;
	uint64_t rest_ns, until;
	bool busy;

	log_writer_stats(c->log, &log);
	busy = log.appends != sc->appends;
	sc->appends = log.appends;
	rest_ns = took_ns * (busy ? REST_BUSY_TIMES : REST_TIMES);
	if (rest_ns < (busy ? REST_BUSY_NS_MIN : REST_NS_MIN))
		rest_ns = busy ? REST_BUSY_NS_MIN : REST_NS_MIN;
	until = monotonic_ns() + rest_ns;
	scrubber_lock(c);
	c->figures.done_bytes += sc->held;
	while (!atomic_load(&c->stop) && monotonic_ns() < until)
		cond_wait_until(&c->wake, &c->lock, until);
	scrubber_unlock(c);
	return !atomic_load(&c->stop);
}

static bool get_segment(struct scrubber *c, uint64_t number, struct segment *ret)
{
	for (size_t i = 0; log_writer_segment(c->log, i, ret); i++)
		if (ret->number >= number)
			return true;
	return false;
}

/* Returns whether compaction has replaced the segment's file since it was opened. */
static bool is_replaced(const struct scan *sc)
{
	struct segment now;

	return !get_segment(sc->c, sc->seg.number, &now) || now.number != sc->seg.number ||
	       now.start != sc->seg.start;
}

/* Fills the window from 'offset' on, at most to the end of the segment.  -EIO if no byte can be
 * read there.  SCRUB_REPLACED.  -ECANCELED. */
static int fill_window(struct scan *sc, uint64_t offset)
{
	size_t n = WINDOW_BYTES;
	ssize_t got;
	uint64_t began_ns = monotonic_ns();

	if (n > sc->seg.bytes - offset)
		n = (size_t)(sc->seg.bytes - offset);
	sc->from = offset;
	sc->held = 0;
	got = log_writer_read(sc->c->log, sc->window, n, sc->seg.start + offset);
	if (got <= 0 && is_replaced(sc))
		return SCRUB_REPLACED;
	if (got <= 0)
		return -EIO;
	sc->held = (size_t)got;
	return rest_after_window(sc, monotonic_ns() - began_ns) ? 0 : -ECANCELED;
}

/* --- damage --- */

/* Opens the hint of the segment, which names its records.  NULL: none, or it belongs to another
 * file of that number. */
static struct hint_reader *open_hint(const struct scan *sc)
{
	char hint_name[SEGMENT_NAME_BYTES];
	struct hint_header header;
	struct hint_reader *r;

	hint_name_of((struct segment_id){ sc->seg.number, sc->seg.generation }, hint_name);
	r = hint_reader_open_any(sc->c->io, sc->c->dir_fd, hint_name, sc->seg.number, &header);
	if (r == NULL || (header.segment_bytes == sc->seg.bytes && !is_replaced(sc)))
		return r;
	hint_reader_close(r);
	return NULL;
}

/* Finds the record at 'offset' in the hint.  Returns false if the hint has none. */
static bool find_in_hint(struct scan *sc, uint64_t offset, struct log_entry *ret)
{
	if (!sc->asked_hint)
		sc->hint = open_hint(sc);
	sc->asked_hint = true;
	while (sc->hint != NULL && hint_reader_next(sc->hint, ret) == 1)
		if (ret->offset >= offset)
			return ret->offset == offset;
	return false;
}

/* Finds the first record at or after a position that a file is read from. */
struct next_live {
	uint64_t from, end;
	struct value_position value; /* the first; 'value_bytes' 0: none */
};

static bool take_next(void *arg, struct content_piece *piece)
{
	struct next_live *l = arg;
	const struct value_position *p = &piece->value;

	if (p->record_position >= l->from && p->record_position < l->end &&
	    (l->value.value_bytes == 0 || p->record_position < l->value.record_position))
		l->value = *p;
	return false;
}

/* Finds the first record at or behind 'offset' that a file is read from.  Returns false if there is
 * none. */
static bool find_live(struct scan *sc, uint64_t offset, uint64_t *ret_offset,
		      struct value_position *ret)
{
	struct next_live l = { .from = sc->seg.start + offset,
			       .end = sc->seg.start + sc->seg.bytes };
	struct scrubber *c = sc->c;
	uint64_t cursor = 0;
	bool more = true;

	while (more && !atomic_load(&c->stop))
		more = store_each_piece(c->s, &cursor, NODES_AT_ONCE, false, take_next, &l);
	*ret_offset = l.value.record_position - sc->seg.start;
	*ret = l.value;
	return l.value.value_bytes > 0;
}

static void set_key(struct trouble *t, const void *key, size_t key_bytes)
{
	size_t skip = meta_is_key(key, key_bytes) ? META_KEY_PREFIX_BYTES : 0;

	if (key_bytes <= skip)
		return;
	t->path = (const char *)key + skip;
	t->path_bytes = key_bytes - skip;
}

/* Finds out which record is damaged, and where the next one begins: the length in the record may
 * itself be wrong.  The hint has both; without a hint only records that files are read from are
 * checked, one by one. */
static void find_out(struct scan *sc, uint64_t offset, struct trouble *t, uint64_t *ret_next)
{
	uint64_t at = 0, skip = offset - sc->from;
	struct value_position value;
	struct log_entry e;

	if (find_in_hint(sc, offset, &e)) {
		set_key(t, e.rec.key, e.rec.key_bytes);
		*ret_next = offset + e.bytes;
		return;
	}
	*ret_next = sc->seg.bytes;
	if (sc->without_hint++ < WITHOUT_HINT_MAX && find_live(sc, offset, &at, &value)) {
		*ret_next = at;
		if (at == offset)
			*ret_next = at + record_bytes(value.key_bytes, value.value_bytes);
		if (at == offset && offset >= sc->from &&
		    skip + RECORD_HEADER_BYTES + value.key_bytes <= sc->held)
			set_key(t, sc->window + skip + RECORD_HEADER_BYTES, value.key_bytes);
	}
	if (at != offset)
		sc->result.unchecked_bytes += *ret_next - offset;
}

/* Reports a damaged record, and stores the offset at which the scrub continues. */
static void damage(struct scan *sc, uint64_t offset, const char *reason, uint64_t *ret_next)
{
	struct trouble t = { .kind = TROUBLE_SCRUB,
			     .segment = sc->seg.number,
			     .file_offset = offset,
			     .reason = reason };

	sc->result.damaged++;
	find_out(sc, offset, &t, ret_next);
	store_tell(sc->c->s, &t);
}

/* Reports a segment whose records are whole, but which is not the one that MANIFEST lists: it is
 * from an older copy, or another file. */
static void wrong_digest(struct scan *sc)
{
	const struct trouble t = { .kind = TROUBLE_SCRUB,
				   .segment = sc->seg.number,
				   .reason =
					   "the records of the segment are whole, but not the ones "
					   "that MANIFEST lists" };

	sc->result.damaged++;
	store_tell(sc->c->s, &t);
}

/* --- records --- */

/* Checks a record that is larger than the window. */
static int check_large_record(struct scan *sc, uint64_t offset,
			      const struct record_scan_result *res, const char **ret_problem)
{
	uint64_t end = offset + res->bytes, at = offset;
	uint32_t crc = 0, stored = 0;
	struct record rec = { 0 };

	while (at < end) {
		size_t skip = at == offset ? RECORD_CRC_COVERS_FROM : 0, n;
		int err = fill_window(sc, at);

		if (err != 0)
			return err;
		n = sc->held < end - at ? sc->held : (size_t)(end - at);
		if (at == offset && n < RECORD_HEADER_BYTES)
			return -EIO;
		if (at == offset)
			stored = record_decode_header(sc->window, &rec);
		crc = crc32_extend(crc, sc->window + skip, n - skip);
		at += n;
	}
	if (crc != stored)
		*ret_problem = record_reason_text(RECORD_REASON_CRC);
	else
		manifest_scan_add(&sc->facts, offset, stored, &rec);
	return 0;
}

/* Checks the record at 'offset' and stores its size, or the fault. */
static int check_record(struct scan *sc, uint64_t offset, uint64_t *ret_bytes,
			const char **ret_problem)
{
	struct record_scan_result res;
	enum record_scan scan;
	int err = 0;

	*ret_problem = NULL;
	for (;;) {
		size_t skip = (size_t)(offset - sc->from);

		if (offset < sc->from || skip >= sc->held) {
			err = fill_window(sc, offset);
			if (err != 0)
				return err;
			skip = 0;
		}
		scan = record_scan(sc->window + skip, sc->held - skip, sc->seg.bytes - offset,
				   &res);
		*ret_bytes = res.bytes;
		if (scan == RECORD_WHOLE) {
			manifest_scan_add(&sc->facts, offset, le32_load(sc->window + skip),
					  &res.rec);
			return 0;
		}
		if (scan != RECORD_NEED_MORE) {
			*ret_problem = record_reason_text(res.reason);
			return 0;
		}
		if (res.bytes > WINDOW_BYTES)
			return check_large_record(sc, offset, &res, ret_problem);
		if (skip == 0 && sc->held >= res.bytes)
			return -EIO; /* cannot happen: the window has all needed bytes */
		err = fill_window(sc, offset);
		if (err != 0)
			return err;
		if (sc->held < res.bytes)
			return -EIO; /* the file has become shorter */
	}
}

/* Returns 0, SCRUB_REPLACED or -ECANCELED. */
static int check_segment(struct scan *sc)
{
	uint64_t offset = 0, bytes = 0, damaged = sc->result.damaged;
	struct manifest_facts facts;
	const char *problem;
	int err = 0;

	manifest_scan_init(&sc->facts, sc->seg.facts.has_digest);
	sc->held = 0;
	sc->from = 0;
	while (offset < sc->seg.bytes) {
		uint64_t next;

		err = check_record(sc, offset, &bytes, &problem);
		if (err == SCRUB_REPLACED || err == -ECANCELED)
			break;
		next = offset + bytes;
		if (err == -EIO)
			damage(sc, offset, "it cannot be read", &next);
		else if (problem != NULL)
			damage(sc, offset, problem, &next);
		else
			sc->result.records++;
		sc->result.bytes += next - offset;
		offset = next;
		err = 0;
	}
	facts = manifest_scan_finish(&sc->facts);
	if (err == 0 && damaged == sc->result.damaged && sc->seg.facts.has_digest &&
	    facts.has_digest && facts.digest != sc->seg.facts.digest)
		wrong_digest(sc);
	hint_reader_close(sc->hint);
	sc->hint = NULL;
	sc->asked_hint = false;
	sc->without_hint = 0;
	return err;
}

/* Checks the log up to its present end; of the active segment only the durable part. */
static int check_log(struct scan *sc)
{
	struct log_writer_stats log;
	struct store_scrub before;
	uint64_t number = 0;
	int err = 0;

	log_writer_stats(sc->c->log, &log);
	sc->appends = log.appends;
	while (err >= 0 && get_segment(sc->c, number, &sc->seg) && sc->seg.number <= log.segments) {
		before = sc->result;
		err = check_segment(sc);
		if (err == SCRUB_REPLACED)
			sc->result = before;
		else
			number = sc->seg.number + 1;
	}
	return err < 0 ? err : 0;
}

/* --- the thread --- */

static void run_locked(struct scrubber *c) REQUIRES(c->lock, scrubber_class)
{
	struct scan sc = { .c = c };
	struct log_writer_stats log;
	int err;

	c->requested = false;
	c->figures.running = true;
	c->figures.done_bytes = 0;
	scrubber_unlock(c);
	log_writer_stats(c->log, &log);
	sc.window = malloc(WINDOW_BYTES);
	err = sc.window == NULL ? -ENOMEM : check_log(&sc);
	free(sc.window);
	scrubber_lock(c);
	c->figures.running = false;
	if (err == -ECANCELED)
		return;
	c->figures.runs++;
	c->figures.err = err;
	c->figures.ended_ns = io_clock_ns(c->io);
	c->figures.bytes = sc.result.bytes;
	c->figures.records = sc.result.records;
	c->figures.damaged = sc.result.damaged;
	c->figures.unchecked_bytes = sc.result.unchecked_bytes;
}

static void *scrub_main(void *arg)
{
	struct scrubber *c = arg;
	uint64_t due_ns = monotonic_ns() + (uint64_t)c->interval_ns;

	scrubber_lock(c);
	while (!atomic_load(&c->stop)) {
		if (c->requested || (c->interval_ns > 0 && monotonic_ns() >= due_ns)) {
			run_locked(c);
			due_ns = monotonic_ns() + (uint64_t)c->interval_ns;
		} else if (c->interval_ns > 0) {
			cond_wait_until(&c->wake, &c->lock, due_ns);
		} else {
			cond_wait(&c->wake, &c->lock);
		}
	}
	scrubber_unlock(c);
	return NULL;
}

static int start_thread_locked(struct scrubber *c) REQUIRES(c->lock, scrubber_class)
{
	int err = 0;

	if (!c->has_thread)
		err = -pthread_create(&c->thread, NULL, scrub_main, c);
	c->has_thread = c->has_thread || err == 0;
	return err;
}

int scrub_request(struct scrubber *c)
{
	int err;

	scrubber_lock(c);
	err = start_thread_locked(c);
	if (err == 0)
		c->requested = true;
	thread_check(pthread_cond_signal(&c->wake));
	scrubber_unlock(c);
	return err;
}

/* --- life --- */

void scrub_init(struct scrubber *c, struct store *s, const struct store_config *config)
{
	const struct store_parts parts = store_parts(s);

	c->s = s;
	c->io = parts.io;
	c->dir_fd = parts.dir_fd;
	c->log = parts.log;
	c->interval_ns = config->scrub_interval_ns > 0 ? config->scrub_interval_ns : 0;
	mutex_init(&c->lock);
	cond_init(&c->wake);
}

int scrub_start(struct scrubber *c)
{
	return WITH_LOCK(scrubber, c, start_thread_locked(c));
}

void scrub_stop(struct scrubber *c)
{
	bool has_thread;
	pthread_t thread;

	scrubber_lock(c);
	atomic_store(&c->stop, true);
	has_thread = c->has_thread;
	thread = c->thread;
	thread_check(pthread_cond_signal(&c->wake));
	scrubber_unlock(c);
	if (has_thread)
		thread_check(pthread_join(thread, NULL));
}

void scrub_destroy(struct scrubber *c)
{
	thread_check(pthread_cond_destroy(&c->wake));
	mutex_destroy(&c->lock);
}

void scrub_figures(struct scrubber *c, struct store_scrub *ret)
{
	*ret = WITH_LOCK(scrubber, c, c->figures);
}
