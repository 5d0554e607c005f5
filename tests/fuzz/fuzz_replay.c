/* SPDX-License-Identifier: MIT */
/* A store is opened on a log made of the input, on a disk in memory.  It opens or refuses; a
 * refusal changes nothing; nothing is cut before the durable mark, and what is cut is in
 * quarantine/; the next open finds the same tree and nothing to cut.
 *
 * The first byte says how the rest is read: even, it is the log; odd, it says which records to
 * make, all of them whole, so that the mutations reach what is behind the CRC.  The second byte
 * puts the durable mark: 0 none, else so many parts of 255 of the log. */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "codec/meta.h"
#include "codec/record.h"
#include "codec/synced.h"
#include "tests/fuzz/walk.h"
#include "tests/sim/simdisk.h"
#include "writer/store.h"

#define LOG_BYTES_MAX 65536

struct bytes {
	uint8_t data[LOG_BYTES_MAX];
	size_t count;
};

/* --- making records --- */

static const char *const names[] = {
	"a", "b", "c", "a/b", "a/c", "a/b/c", "b/a", "a//b", "..", ""
};

struct source {
	const uint8_t *data;
	size_t left;
};

static uint8_t take(struct source *s)
{
	if (s->left == 0)
		return 0;
	s->left--;
	return *s->data++;
}

static size_t append_text(uint8_t *out, const char *text)
{
	memcpy(out, text, strlen(text));
	return strlen(text);
}

static const char *take_name(struct source *s)
{
	return names[take(s) % (sizeof(names) / sizeof(names[0]))];
}

static size_t make_attr(struct source *s, uint8_t *value)
{
	uint8_t what = take(s), type = take(s);
	struct meta_attr attr = {
		.flags = (what & 1 ? META_FLAG_MORE : 0) | (what & 128 ? META_FLAG_IMPLICIT : 0),
		.type = (enum meta_type)(1 + type % META_TYPE_BLOCK_DEVICE),
		.content = (what & 6) == 4 ? META_CONTENT_EMPTY : META_CONTENT_KEPT,
		.fields = (what >> 3) & META_FIELDS_KNOWN,
		.mode = (uint16_t)(what << 4) & META_MODE_BITS,
		.uid = what,
		.mtime = { .sec = (int64_t)(what * UINT64_C(0x0100000000000001)) },
		.atime = { .sec = -what, .nsec = what },
		.ctime = { .sec = what, .nsec = 999999999 },
		.ino = 1 + what % 4u,
		.target = "target",
		.target_bytes = 6,
	};

	if (attr.type != META_TYPE_DIRECTORY && (type & 64))
		attr.flags &= META_FLAG_MORE;
	if (type & 128) /* else most would be refused for the fields of another type */
		return meta_attr_encode(&attr, value);
	attr.fields &= ~(META_FIELD_RDEV | META_FIELD_TARGET);
	if (attr.type == META_TYPE_SYMLINK)
		attr.fields |= META_FIELD_TARGET;
	if (attr.type >= META_TYPE_CHAR_DEVICE)
		attr.fields |= META_FIELD_RDEV;
	return meta_attr_encode(&attr, value);
}

/* An extent (with its whole key) or a publish (with the name to come).  Returns the value's size.
 */
static size_t make_content(struct source *s, struct record *rec, uint8_t *key, uint8_t *value)
{
	uint8_t what = take(s);
	struct meta_extent extent = { .flags = what & META_FLAG_HOLE, .offset = take(s) % 32 };
	struct meta_publish publish = { .flags = what & (META_FLAG_MORE | META_FLAG_KEEP |
							 (what & 64 ? META_FLAG_UNNAMEABLE : 0)),
					.staging_id = (what >> 3) % 4 };
	size_t bytes;

	if (what & 128) {
		meta_key_prefix(META_PUBLISH, key);
		publish.size_bytes = extent.offset;
		meta_publish_encode(&publish, value);
		return META_PUBLISH_BYTES;
	}
	meta_key_prefix(META_EXTENT, key);
	meta_staging_id_encode((what >> 3) % 4, key + META_KEY_PREFIX_BYTES);
	rec->key_bytes = META_EXTENT_KEY_BYTES;
	extent.bytes = take(s) % 16;
	bytes = meta_extent_encode_fixed(&extent, value);
	if (extent.flags != 0)
		return bytes;
	memset(value + bytes, 'e', extent.bytes);
	return bytes + extent.bytes;
}

/* Now and then what begins a log, wherever it is. */
static size_t make_base(struct source *s, struct record *rec, uint8_t *key, uint8_t *value)
{
	const struct meta_base base = { .as_of_ns = take(s), .other_bytes = 40 };

	meta_key_prefix(META_BASE, key);
	rec->key_bytes = META_KEY_PREFIX_BYTES;
	meta_base_encode(&base, value);
	return META_BASE_BYTES;
}

/* Makes one record out of a few bytes of the source. */
static void make_record(struct source *s, struct bytes *log)
{
	uint8_t key[64], value[128];
	struct record rec = { .key = key, .value = value };
	static const enum meta_kind kinds[] = { META_ATTR, META_MOVE, META_MOVE, META_LINK };
	struct meta_move move = { 0 };
	uint8_t kind = take(s) % 12;

	if (kind == 11)
		rec.value_bytes = (uint32_t)make_base(s, &rec, key, value);
	if (kind >= 5 && kind < 11) {
		meta_key_prefix(kinds[kind > 8 ? 0 : kind - 5], key);
		rec.key_bytes = META_KEY_PREFIX_BYTES;
	}
	if (kind > 8 && kind < 11)
		rec.value_bytes = (uint32_t)make_content(s, &rec, key, value);
	if (kind < 11 && rec.key_bytes <= META_KEY_PREFIX_BYTES)
		rec.key_bytes += (uint32_t)append_text(key + rec.key_bytes, take_name(s));
	if (kind == 5) {
		rec.value_bytes = (uint32_t)make_attr(s, value);
	} else if (kind > 5 && kind < 9) {
		move.flags = take(s) & (META_FLAG_MORE | META_FLAG_EXCHANGE);
		move.ino = move.flags & META_FLAG_MORE ? 0 : 2;
		rec.value_bytes = (uint32_t)meta_move_encode_fixed(&move, value);
		rec.value_bytes += (uint32_t)append_text(value + rec.value_bytes, take_name(s));
	} else if (kind > 1 && kind < 5) {
		rec.value_bytes = 1 + take(s) % 20;
		memset(value, 'v', rec.value_bytes);
	}
	rec.timestamp_ns = take(s);
	if (log->count + record_bytes(rec.key_bytes, rec.value_bytes) > LOG_BYTES_MAX)
		return;
	record_encode(&rec, log->data + log->count);
	log->count += record_bytes(rec.key_bytes, rec.value_bytes);
}

static void make_log(const uint8_t *data, size_t size, bool records, struct bytes *ret)
{
	struct source s = { data, size };

	ret->count = 0;
	if (records) {
		while (s.left > 0)
			make_record(&s, ret);
		return;
	}
	ret->count = size < LOG_BYTES_MAX ? size : LOG_BYTES_MAX;
	memcpy(ret->data, data, ret->count);
}

/* --- the store --- */

/* Whether compaction has dropped something of the log: a file may then be cut off from the change
 * that made it whole again. */
static bool has_dropped(const struct bytes *log)
{
	struct record_scan_result got;

	for (size_t at = 0; at < log->count; at += got.bytes) {
		enum meta_kind kind;
		const char *operand;
		const uint8_t *value;
		size_t bytes;

		if (record_scan(log->data + at, log->count - at, log->count - at, &got) !=
		    RECORD_WHOLE)
			return false;
		value = got.rec.value;
		if (meta_is_key(got.rec.key, got.rec.key_bytes) &&
		    meta_parse_key(got.rec.key, got.rec.key_bytes, &kind, &operand, &bytes) ==
			    META_OK &&
		    (kind == META_EXTENT || kind == META_PUBLISH) && got.rec.value_bytes > 1 &&
		    (value[1] & META_FLAG_DROPPED))
			return true;
	}
	return false;
}

/* Else each value can be read: its CRC was right when the log was read. */
static uint64_t digest_of(struct store *s, bool may_be_lost)
{
	struct store_stats stats;
	uint64_t digest = walk_digest(s);

	FUZZ_CHECK(may_be_lost || walk_unreadable() == 0);
	store_stats(s, &stats);
	return digest ^ stats.live_bytes;
}

static int open_store(struct simdisk *d, struct store **ret)
{
	struct store_config config = {
		.dir_path = "/data",
		.fsync_interval_ns = LOG_WRITER_NEVER,
		.umask = 022,
		.io = simdisk_io(d),
	};
	struct diag diag;
	int err = store_open(&config, ret, &diag);

	FUZZ_CHECK(err == 0 || (err == -EBADMSG && diag.text[0] != '\0'));
	FUZZ_CHECK(strchr(diag.text, '\n') == NULL);
	return err;
}

static struct simdisk *make_disk(const struct bytes *log, uint64_t durable_offset)
{
	struct synced synced = { .segment = 1, .durable_offset = durable_offset };
	struct simdisk *d = simdisk_new();
	struct io *io = simdisk_io(d);
	uint8_t mark[SYNCED_BYTES];

	FUZZ_CHECK(io->ops->mkdir(io, AT_FDCWD, "/data", 0700) == 0);
	FUZZ_CHECK(simdisk_write_file(d, "/data/active.data", log->data, log->count) == 0);
	if (durable_offset > 0) {
		synced_encode(&synced, mark);
		FUZZ_CHECK(simdisk_write_file(d, "/data/active.synced", mark, sizeof(mark)) == 0);
	}
	return d;
}

/* The log begins with 'bytes' bytes of 'log' and has 'want_size' in all. */
static void check_log_is(struct simdisk *d, const struct bytes *log, uint64_t want_size)
{
	size_t size;
	uint8_t *now = simdisk_read_file(d, "/data/active.data", &size);

	FUZZ_CHECK(now != NULL && size == want_size);
	FUZZ_CHECK(memcmp(now, log->data, size) == 0);
	free(now);
}

/* Recovery saves the bytes that it cuts, without the zeros at their end.  If the bytes behind the
 * last record are all zeros and the durable mark is there, they are head room, and recovery cuts
 * them without a report. */
static void check_quarantine(struct simdisk *d, const struct bytes *log,
			     const struct log_recovery *rec)
{
	char path[256];
	size_t want = log->count, size, n = strlen(rec->quarantine);
	uint8_t *saved;

	while (want > rec->kept_bytes && log->data[want - 1] == 0)
		want--;
	FUZZ_CHECK((n == 0) == (rec->kept_bytes == log->count ||
				(want == rec->kept_bytes && !rec->durable_mark_missing)));
	if (n < 4 || want == rec->kept_bytes)
		return;
	(void)snprintf(path, sizeof(path), "/data/%s", rec->quarantine);
	saved = simdisk_read_file(d, path, &size);
	FUZZ_CHECK(saved != NULL && size == want - rec->kept_bytes);
	FUZZ_CHECK(memcmp(saved, log->data + rec->kept_bytes, size) == 0);
	free(saved);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct bytes log;
	struct store_stats stats;
	uint64_t durable_offset, digest;
	struct simdisk *d;
	struct store *s;

	if (size < 2)
		return 0;
	make_log(data + 2, size - 2, data[0] & 1, &log);
	durable_offset = log.count * data[1] / 255;
	d = make_disk(&log, durable_offset);
	if (open_store(d, &s) < 0) {
		check_log_is(d, &log, log.count);
		simdisk_free(d);
		return 0;
	}
	store_stats(s, &stats);
	FUZZ_CHECK(stats.recovery.kept_bytes >= durable_offset);
	check_log_is(d, &log, stats.recovery.kept_bytes);
	check_quarantine(d, &log, &stats.recovery);
	digest = digest_of(s, has_dropped(&log));
	FUZZ_CHECK(store_close(s) == 0);

	FUZZ_CHECK(open_store(d, &s) == 0);
	store_stats(s, &stats);
	FUZZ_CHECK(stats.recovery.stop.scan == RECORD_END);
	FUZZ_CHECK(digest_of(s, has_dropped(&log)) == digest);
	FUZZ_CHECK(store_close(s) == 0);
	simdisk_free(d);
	return 0;
}
