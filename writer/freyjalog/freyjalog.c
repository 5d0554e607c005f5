/* SPDX-License-Identifier: MIT */
/* The shared library: public functions that check sizes and keys, and call the functions of the
 * log. */
#include "writer/freyjalog/freyjalog.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "codec/meta.h"
#include "writer/log/names.h"
#include "writer/log/record_at.h"
#include "writer/log_writer.h"

#define GROUP_KEY_BYTES	 (sizeof(FREYJA_GROUP_KEY) - 1)
#define INTERVAL_NS	 INT64_C(1000000000) /* the default */
#define ITER_AHEAD_BYTES (64 * 1024)

struct freyja_log {
	struct log_writer *writer;
	uint64_t group_id;	 /* random; the keys of its groups begin with it */
	atomic_uint group_count; /* and end with this */
};

struct freyja_record {
	uint64_t position;
	struct record rec;	/* points into that of 'held' */
	struct log_record held; /* the record in the log; of an iterator, maybe a whole group */
};

struct freyja_iter {
	struct log_writer *writer;
	uint64_t position; /* of the next record in the log */
	size_t member_at;  /* in the group that 'current' holds: its next record; 0: in no group */
	struct freyja_record current;
};

const char *freyja_version(void)
{
	return FREYJAFS_VERSION;
}

/* --- opening and closing --- */

void freyja_config_init(struct freyja_config *config, size_t struct_bytes)
{
	struct freyja_config defaults = {
		.struct_bytes = struct_bytes,
		.fsync_interval_ns = INTERVAL_NS,
	};

	memset(config, 0, struct_bytes);
	memcpy(config, &defaults,
	       struct_bytes < sizeof(defaults) ? struct_bytes : sizeof(defaults));
}

/* Copies the fields that both sides know; fields that the program does not know become 0. */
static int take_config(const struct freyja_config *from, struct freyja_config *ret)
{
	size_t bytes = from->struct_bytes;
	const uint8_t *all = (const uint8_t *)from;

	for (size_t i = sizeof(*ret); i < bytes; i++)
		if (all[i] != 0)
			return -E2BIG;
	*ret = (struct freyja_config){ .struct_bytes = 0 };
	memcpy(ret, from, bytes < sizeof(*ret) ? bytes : sizeof(*ret));
	return 0;
}

/* Opens 'log->writer'. */
static int open_writer(struct freyja_log *log, const struct freyja_config *config,
		       struct diag *diag)
{
	struct log_writer_config to = {
		.fsync_interval_ns = config->fsync_interval_ns,
		.buffer_size_bytes = config->buffer_size_bytes,
		.segment_size_bytes = config->segment_size_bytes,
		.preallocate_bytes = config->preallocate_bytes,
		.read_only = (config->flags & FREYJA_READ_ONLY) != 0,
	};
	const char *path = config->path != NULL ? config->path : "";
	size_t path_bytes = strlen(path);
	bool is_dir = path_bytes > 0 && path[path_bytes - 1] == '/';
	char *file_path;
	int err;

	if ((config->flags & ~FREYJA_READ_ONLY) != 0)
		return diag_set(diag, -EINVAL, "flags: unknown ones");
	if (asprintf(&file_path, "%s%s", path, is_dir ? ACTIVE_NAME : "") < 0)
		return diag_set(diag, -ENOMEM, "%s: out of memory", path);
	to.file_path = file_path;
	err = log_writer_open(&to, &log->writer, diag);
	free(file_path);
	return err;
}

/* Makes a handle and opens its log. */
static int open_log(const struct freyja_config *config, struct freyja_log **ret, struct diag *diag)
{
	struct freyja_config known;
	struct freyja_log *log;
	int err = take_config(config, &known);

	if (err < 0)
		return diag_set(diag, err, "config: has fields that this version does not know");
	log = calloc(1, sizeof(*log));
	if (log == NULL)
		return diag_set(diag, -ENOMEM, "out of memory");
	if (getrandom(&log->group_id, sizeof(log->group_id), 0) < 0)
		err = diag_set(diag, -errno, "getrandom: %s", strerror(errno));
	else
		err = open_writer(log, &known, diag);
	if (err < 0)
		free(log);
	else
		*ret = log;
	return err;
}

int freyja_open(const struct freyja_config *config, struct freyja_log **ret, char *message,
		size_t message_bytes)
{
	struct diag diag = { .text = "" };
	int err = open_log(config, ret, &diag);

	if (message_bytes > 0)
		(void)snprintf(message, message_bytes, "%s", diag.text);
	return err;
}

int freyja_close(struct freyja_log **log)
{
	struct freyja_log *closing = *log;
	int err;

	if (closing == NULL)
		return 0;
	*log = NULL;
	err = log_writer_close(closing->writer);
	free(closing);
	return err;
}

/* --- writing --- */

static bool is_group_key(const void *key, size_t key_bytes)
{
	return key_bytes >= GROUP_KEY_BYTES && memcmp(key, FREYJA_GROUP_KEY, GROUP_KEY_BYTES) == 0;
}

/* Returns 0 if a record can have that key and value. */
static int check_item(const struct freyja_item *item)
{
	if (item->key_bytes > RECORD_KEY_BYTES_MAX || item->value_bytes > RECORD_VALUE_BYTES_MAX)
		return -EFBIG;
	if (meta_is_key(item->key, item->key_bytes) || is_group_key(item->key, item->key_bytes))
		return -EINVAL;
	return 0;
}

/* Makes a record of an item that was checked. */
static struct record record_of(const struct freyja_item *item)
{
	return (struct record){ .key = item->key,
				.key_bytes = (uint32_t)item->key_bytes,
				.value = item->value,
				.value_bytes = (uint32_t)item->value_bytes };
}

int freyja_put(struct freyja_log *log, const void *key, size_t key_bytes, const void *value,
	       size_t value_bytes, uint64_t *ret_position)
{
	struct freyja_item item = { key, key_bytes, value, value_bytes };
	int err = check_item(&item);

	if (err < 0)
		return err;
	return log_writer_put(log->writer, key, (uint32_t)key_bytes, value, (uint32_t)value_bytes,
			      ret_position);
}

/* Adds up the records of a group. */
static int group_bytes(const struct freyja_item *items, size_t item_count, uint64_t *ret)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < item_count; i++) {
		int err = check_item(&items[i]);

		if (err < 0)
			return err;
		bytes += record_bytes((uint32_t)items[i].key_bytes, (uint32_t)items[i].value_bytes);
		if (bytes > RECORD_VALUE_BYTES_MAX)
			return -EFBIG;
	}
	*ret = bytes;
	return item_count > 0 ? 0 : -EINVAL;
}

/* Encodes the records of a group, which group_bytes() has checked, into 'out'. */
static void encode_group(const struct freyja_item *items, size_t item_count, uint8_t *out)
{
	uint64_t now_ns = io_clock_ns(&io_posix);

	for (size_t i = 0; i < item_count; i++) {
		struct record rec = record_of(&items[i]);

		rec.timestamp_ns = now_ns;
		record_encode(&rec, out);
		out += record_bytes(rec.key_bytes, rec.value_bytes);
	}
}

int freyja_put_group(struct freyja_log *log, const struct freyja_item *items, size_t item_count,
		     uint64_t *ret_positions)
{
	char key[GROUP_KEY_BYTES + 32];
	uint64_t bytes = 0, position = 0;
	int err = group_bytes(items, item_count, &bytes), key_bytes;
	uint8_t *value;

	if (err < 0)
		return err;
	value = malloc((size_t)bytes);
	if (value == NULL)
		return -ENOMEM;
	encode_group(items, item_count, value);
	key_bytes =
		snprintf(key, sizeof(key), FREYJA_GROUP_KEY "%016llx-%x",
			 (unsigned long long)log->group_id, atomic_fetch_add(&log->group_count, 1));
	err = log_writer_put(log->writer, key, (uint32_t)key_bytes, value, (uint32_t)bytes,
			     &position);
	free(value);
	position += RECORD_HEADER_BYTES + (uint64_t)key_bytes;
	for (size_t i = 0; err == 0 && ret_positions != NULL && i < item_count; i++) {
		ret_positions[i] = position;
		position +=
			record_bytes((uint32_t)items[i].key_bytes, (uint32_t)items[i].value_bytes);
	}
	return err;
}

int freyja_sync(struct freyja_log *log)
{
	return log_writer_sync(log->writer);
}

int freyja_sync_async(struct freyja_log *log, freyja_sync_fn done, void *arg)
{
	return log_writer_sync_async(log->writer, log_writer_size(log->writer), done, arg);
}

/* --- reading --- */

/* Returns whether 'rec' is whole records from the first to the last byte of its value, under the
 * key of a group. */
static bool is_group(const struct record *rec)
{
	const uint8_t *value = rec->value;
	size_t left = rec->value_bytes;

	if (!is_group_key(rec->key, rec->key_bytes) || left == 0)
		return false;
	while (left > 0) {
		struct record_scan_result res;

		if (record_scan(value, left, left, &res) != RECORD_WHOLE)
			return false;
		value += res.bytes;
		left -= (size_t)res.bytes;
	}
	return true;
}

int freyja_get(struct freyja_log *log, uint64_t position, struct freyja_record **ret)
{
	struct freyja_record *record = calloc(1, sizeof(*record));
	int err;

	if (record == NULL)
		return -ENOMEM;
	err = record_at_load(log->writer, position, &record->held);
	if (err < 0) {
		freyja_record_free(record);
		return err;
	}
	record->position = position;
	record->rec = record->held.rec;
	*ret = record;
	return 0;
}

void freyja_record_free(struct freyja_record *record)
{
	if (record == NULL)
		return;
	free(record->held.data);
	free(record);
}

const void *freyja_record_key(const struct freyja_record *record, size_t *ret_bytes)
{
	if (ret_bytes != NULL)
		*ret_bytes = record->rec.key_bytes;
	return record->rec.key;
}

const void *freyja_record_value(const struct freyja_record *record, size_t *ret_bytes)
{
	if (ret_bytes != NULL)
		*ret_bytes = record->rec.value_bytes;
	return record->rec.value;
}

enum freyja_kind freyja_record_kind(const struct freyja_record *record)
{
	if (meta_is_key(record->rec.key, record->rec.key_bytes))
		return FREYJA_META;
	if (is_group(&record->rec))
		return FREYJA_GROUP;
	return record->rec.value_bytes == 0 ? FREYJA_TOMBSTONE : FREYJA_PUT;
}

uint64_t freyja_record_position(const struct freyja_record *record)
{
	return record->position;
}

uint64_t freyja_record_timestamp_ns(const struct freyja_record *record)
{
	return record->rec.timestamp_ns;
}

int freyja_iter_open(struct freyja_log *log, uint64_t position, struct freyja_iter **ret)
{
	struct freyja_iter *iter;

	if (position > log_writer_size(log->writer))
		return -ERANGE;
	iter = calloc(1, sizeof(*iter));
	if (iter == NULL)
		return -ENOMEM;
	iter->writer = log->writer;
	iter->position = position;
	iter->current.held.ahead_bytes = ITER_AHEAD_BYTES;
	*ret = iter;
	return 0;
}

/* Makes the next record of the group in 'held' the current one. */
static void take_member(struct freyja_iter *iter, uint64_t group_position)
{
	struct freyja_record *current = &iter->current;
	size_t left = current->held.bytes - iter->member_at;
	struct record_scan_result res;

	/* Whole: is_group() has seen it. */
	(void)record_scan(current->held.start + iter->member_at, left, left, &res);
	current->rec = res.rec;
	current->position = group_position + iter->member_at;
	iter->member_at += (size_t)res.bytes;
	if (iter->member_at == current->held.bytes)
		iter->member_at = 0;
}

int freyja_iter_next(struct freyja_iter *iter, const struct freyja_record **ret)
{
	struct freyja_record *current = &iter->current;
	int err;

	if (iter->member_at == 0) {
		err = record_at_load(iter->writer, iter->position, &current->held);
		if (err < 0)
			return err == -ERANGE ? 0 : err;
		current->rec = current->held.rec;
		current->position = iter->position;
		iter->position += current->held.bytes;
		if (is_group(&current->rec))
			iter->member_at = RECORD_HEADER_BYTES + current->rec.key_bytes;
	}
	if (iter->member_at > 0)
		take_member(iter, iter->position - current->held.bytes);
	*ret = current;
	return 1;
}

void freyja_iter_close(struct freyja_iter *iter)
{
	if (iter == NULL)
		return;
	free(iter->current.held.data);
	free(iter);
}

/* --- statistics --- */

void freyja_get_stats(struct freyja_log *log, struct freyja_stats *ret, size_t struct_bytes)
{
	struct log_writer_stats from;
	struct freyja_stats stats;

	log_writer_stats(log->writer, &from);
	stats = (struct freyja_stats){
		.end_position = from.end_position,
		.written_position = from.written_position,
		.durable_position = from.durable_position,
		.last_timestamp_ns = from.last_timestamp_ns,
		.appends = from.appends,
		.syncs = from.syncs,
		.sync_ns_total = from.sync_ns_total,
		.sync_ns_max = from.sync_ns_max,
		.segments = from.segments,
		.rotate_failures = from.rotate_failures,
		.sync_error = from.poison,
		.rotate_error = from.rotate_error,
	};
	memset(ret, 0, struct_bytes);
	memcpy(ret, &stats, struct_bytes < sizeof(stats) ? struct_bytes : sizeof(stats));
}
