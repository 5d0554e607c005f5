/* SPDX-License-Identifier: MIT */
/* libfreyjalog on a log of any bytes.  It opens, or refuses with a line that says why.  An iterator
 * returns each record of the log with its own bytes, as freyja_get() does; one that begins anywhere
 * else returns a record or says that there is none.  Records put behind them are read, too.
 *
 * The first byte of the input has flags, the rest is the log. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "codec/record.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/image.h"
#include "tests/fuzz/scratch.h"
#include "writer/freyjalog/freyjalog.h"

#define FLAG_MEND     1u /* the checksums of the records are computed anew */
#define FLAG_WRITE    2u
#define NAME	      "x.data"
#define LOG_BYTES_MAX 65536u
#define PLACES	      512u /* at most so many positions to begin at */

static const char *dir;

struct log {
	uint8_t data[LOG_BYTES_MAX];
	size_t bytes;
};

static int open_log(bool writes, struct freyja_log **ret)
{
	struct freyja_config config;
	char path[100], message[500] = "";
	int err;

	freyja_config_init(&config, sizeof(config));
	(void)snprintf(path, sizeof(path), "%s/" NAME, dir);
	config.path = path;
	config.fsync_interval_ns = FREYJA_NEVER;
	config.buffer_size_bytes = 100;
	config.flags = writes ? 0 : FREYJA_READ_ONLY;
	err = freyja_open(&config, ret, message, sizeof(message));
	FUZZ_CHECK(err == 0 || message[0] != '\0');
	FUZZ_CHECK(strchr(message, '\n') == NULL);
	return err;
}

static struct record fields_of(const struct freyja_record *r)
{
	size_t key_bytes, value_bytes;
	struct record rec = { .timestamp_ns = freyja_record_timestamp_ns(r) };

	rec.key = freyja_record_key(r, &key_bytes);
	rec.value = freyja_record_value(r, &value_bytes);
	rec.key_bytes = (uint32_t)key_bytes;
	rec.value_bytes = (uint32_t)value_bytes;
	return rec;
}

static bool is_same(const struct record *a, const struct record *b)
{
	return a->timestamp_ns == b->timestamp_ns && a->key_bytes == b->key_bytes &&
	       a->value_bytes == b->value_bytes && memcmp(a->key, b->key, a->key_bytes) == 0 &&
	       memcmp(a->value, b->value, a->value_bytes) == 0;
}

/* Checks a record that an iterator has returned, by its bytes in the log (those put later are not
 * in 'log') and by freyja_get(). */
static void check_record(struct freyja_log *l, const struct log *log, const struct freyja_record *r)
{
	uint64_t position = freyja_record_position(r);
	struct record rec = fields_of(r), again_rec;
	uint64_t bytes = record_bytes(rec.key_bytes, rec.value_bytes);
	enum freyja_kind kind = freyja_record_kind(r);
	struct freyja_record *again;

	FUZZ_CHECK(kind >= FREYJA_PUT && kind <= FREYJA_META);
	FUZZ_CHECK(kind != FREYJA_TOMBSTONE || rec.value_bytes == 0);
	if (position + bytes <= log->bytes) {
		uint8_t *encoded = malloc(bytes);

		FUZZ_CHECK(encoded != NULL);
		record_encode(&rec, encoded);
		FUZZ_CHECK(memcmp(encoded, log->data + position, bytes) == 0);
		free(encoded);
	}
	FUZZ_CHECK(freyja_get(l, position, &again) == 0);
	again_rec = fields_of(again);
	FUZZ_CHECK(is_same(&rec, &again_rec) && freyja_record_kind(again) == kind);
	freyja_record_free(again);
}

/* Reads all records.  Returns how many there are. */
static size_t read_all(struct freyja_log *l, const struct log *log)
{
	const struct freyja_record *r;
	struct freyja_iter *iter;
	uint64_t next = 0;
	size_t count = 0;
	int got;

	FUZZ_CHECK(freyja_iter_open(l, 0, &iter) == 0);
	while ((got = freyja_iter_next(iter, &r)) > 0) {
		FUZZ_CHECK(freyja_record_position(r) >= next);
		next = freyja_record_position(r) + 1;
		check_record(l, log, r);
		count++;
	}
	FUZZ_CHECK(got == 0); /* the open has read all of them */
	freyja_iter_close(iter);
	return count;
}

/* Reads from each position on, of a record or not. */
static void read_anywhere(struct freyja_log *l, const struct log *log)
{
	const struct freyja_record *r;
	struct freyja_iter *iter;

	for (uint64_t at = 0; at <= log->bytes && at < PLACES; at++) {
		int got;

		FUZZ_CHECK(freyja_iter_open(l, at, &iter) == 0);
		got = freyja_iter_next(iter, &r);
		FUZZ_CHECK(got == 1 || got == -EBADMSG || (got == 0 && at == log->bytes));
		if (got > 0)
			check_record(l, log, r);
		freyja_iter_close(iter);
	}
	FUZZ_CHECK(freyja_iter_open(l, log->bytes + 1, &iter) == -ERANGE);
}

/* Puts a record, and a group of two.  Returns how many records that are. */
static size_t put_some(struct freyja_log *l, const struct log *log)
{
	size_t half = (log->bytes < 64 ? log->bytes : 64) / 2;
	const struct freyja_item items[] = { { log->data, half, log->data + half, half },
					     { "k", 1, NULL, 0 } };
	uint64_t positions[2];
	size_t count = 0;
	int err;

	err = freyja_put(l, log->data, half, log->data + half, half, NULL);
	/* A log whose last record has the largest timestamp takes no record. */
	FUZZ_CHECK(err == 0 || err == -EINVAL || err == -EOVERFLOW);
	count += err == 0;
	err = freyja_put_group(l, items, 2, positions);
	FUZZ_CHECK(err == 0 || err == -EINVAL || err == -EOVERFLOW);
	FUZZ_CHECK(err < 0 ||
		   positions[1] == positions[0] + record_bytes((uint32_t)half, (uint32_t)half));
	return err == 0 ? count + 2 : count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct log log;
	uint8_t flags = size > 0 ? data[0] : 0;
	struct freyja_stats stats;
	struct freyja_log *l;
	size_t count;

	log.bytes = size < 1 ? 0 : size - 1 < LOG_BYTES_MAX ? size - 1 : LOG_BYTES_MAX;
	if (log.bytes > 0)
		memcpy(log.data, data + 1, log.bytes);
	if (flags & FLAG_MEND)
		image_mend_records(log.data, log.bytes);
	dir = scratch_make();
	scratch_write(NAME, log.data, log.bytes);
	if (open_log(flags & FLAG_WRITE, &l) < 0) {
		scratch_check(NAME, log.data, log.bytes);
		return 0;
	}
	freyja_get_stats(l, &stats, sizeof(stats));
	FUZZ_CHECK(stats.end_position <= log.bytes);
	log.bytes = (size_t)stats.end_position; /* the rest is cut off */
	count = read_all(l, &log);
	read_anywhere(l, &log);
	if (flags & FLAG_WRITE) {
		count += put_some(l, &log);
		FUZZ_CHECK(read_all(l, &log) == count);
		FUZZ_CHECK(freyja_close(&l) == 0);
		FUZZ_CHECK(open_log(false, &l) == 0);
		FUZZ_CHECK(read_all(l, &log) == count);
	} else {
		FUZZ_CHECK(freyja_put(l, "k", 1, "v", 1, NULL) == -EROFS);
	}
	FUZZ_CHECK(freyja_close(&l) == 0);
	return 0;
}
