/* SPDX-License-Identifier: MIT */
/* Any bytes through record_scan(), the meta decoders, the paths and the durable mark: nothing is
 * read outside of them, and what is accepted encodes to the same bytes. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "codec/meta.h"
#include "codec/path.h"
#include "codec/record.h"
#include "codec/synced.h"

static void check_path(const char *path, size_t bytes)
{
	size_t pos = 0, total = 0, n;
	const char *name;

	if (!path_ok(path, bytes))
		return;
	while ((n = path_next(path, bytes, &pos, &name)) > 0) {
		FUZZ_CHECK(path_name_ok(name, n));
		FUZZ_CHECK(name == path + total);
		total += n + 1;
	}
	FUZZ_CHECK(total == bytes + 1);
	FUZZ_CHECK(memchr(path, '\0', bytes) == NULL);
}

static void check_attr(const void *value, size_t bytes)
{
	struct meta_attr attr;
	uint8_t *again;

	if (meta_attr_decode(value, bytes, &attr) != META_OK)
		return;
	FUZZ_CHECK(meta_attr_bytes(&attr) == bytes);
	again = malloc(bytes);
	FUZZ_CHECK(again != NULL);
	FUZZ_CHECK(meta_attr_encode(&attr, again) == bytes);
	FUZZ_CHECK(memcmp(again, value, bytes) == 0);
	free(again);
}

static void check_move(enum meta_kind kind, const void *value, size_t bytes)
{
	uint8_t again[META_EXCHANGE_FIXED_BYTES];
	struct meta_move move;
	enum meta_error err;
	size_t fixed;

	if (kind == META_LINK)
		err = meta_link_decode(value, bytes, &move);
	else
		err = meta_move_decode(value, bytes, &move);
	if (err != META_OK)
		return;
	fixed = meta_move_encode_fixed(&move, again);
	FUZZ_CHECK(memcmp(again, value, fixed) == 0);
	FUZZ_CHECK(move.new_path == (const char *)value + fixed);
	FUZZ_CHECK(move.new_path_bytes == bytes - fixed);
	check_path(move.new_path, move.new_path_bytes);
}

static void check_extent(const void *value, size_t bytes)
{
	uint8_t again[META_HOLE_BYTES];
	struct meta_extent extent;
	size_t fixed;

	if (meta_extent_decode(value, (uint32_t)bytes, &extent) != META_OK)
		return;
	FUZZ_CHECK(extent.bytes > 0 && extent.offset + extent.bytes <= META_CONTENT_BYTES_MAX);
	fixed = meta_extent_encode_fixed(&extent, again);
	FUZZ_CHECK(memcmp(again, value, fixed) == 0);
	FUZZ_CHECK(bytes == (extent.flags & META_FLAG_HOLE ? fixed : fixed + extent.bytes));
}

static void check_publish(const void *value, size_t bytes)
{
	uint8_t again[META_PUBLISH_BYTES];
	struct meta_publish publish;

	if (meta_publish_decode(value, bytes, &publish) != META_OK)
		return;
	FUZZ_CHECK(bytes == sizeof(again));
	meta_publish_encode(&publish, again);
	FUZZ_CHECK(memcmp(again, value, bytes) == 0);
}

static void check_base(const void *value, size_t bytes)
{
	uint8_t again[META_BASE_BYTES];
	struct meta_base base;

	if (meta_base_decode(value, bytes, &base) != META_OK)
		return;
	FUZZ_CHECK(bytes == sizeof(again));
	meta_base_encode(&base, again);
	FUZZ_CHECK(memcmp(again, value, bytes) == 0);
}

static void check_meta(const struct record *rec)
{
	enum meta_kind kind;
	const char *operand;
	size_t bytes;

	(void)meta_has_more(rec->key, rec->key_bytes, rec->value, rec->value_bytes);
	if (!meta_is_key(rec->key, rec->key_bytes)) {
		check_path(rec->key, rec->key_bytes);
		return;
	}
	if (meta_parse_key(rec->key, rec->key_bytes, &kind, &operand, &bytes) != META_OK)
		return;
	check_path(operand, bytes);
	if (kind == META_ATTR)
		check_attr(rec->value, rec->value_bytes);
	else if (kind == META_EXTENT)
		check_extent(rec->value, rec->value_bytes);
	else if (kind == META_PUBLISH)
		check_publish(rec->value, rec->value_bytes);
	else if (kind == META_BASE)
		check_base(rec->value, rec->value_bytes);
	else
		check_move(kind, rec->value, rec->value_bytes);
}

static void check_whole(const uint8_t *buf, const struct record_scan_result *got)
{
	uint8_t *again = malloc(got->bytes);

	FUZZ_CHECK(again != NULL);
	record_encode(&got->rec, again);
	FUZZ_CHECK(memcmp(again, buf, got->bytes) == 0);
	free(again);
	check_meta(&got->rec);
}

/* Scans at every offset: with all of the bytes, with part of them, in a larger file. */
static void check_scan(const uint8_t *data, size_t size)
{
	for (size_t at = 0; at <= size; at++) {
		struct record_scan_result got, part;
		size_t left = size - at;
		enum record_scan scan = record_scan(data + at, left, left, &got);

		FUZZ_CHECK(scan != RECORD_NEED_MORE);
		FUZZ_CHECK((scan == RECORD_END) == (left == 0));
		if (scan == RECORD_WHOLE) {
			FUZZ_CHECK(got.bytes >= RECORD_HEADER_BYTES && got.bytes <= left);
			check_whole(data + at, &got);
			scan = record_scan(data + at, got.bytes - 1, left, &part);
			FUZZ_CHECK(scan == RECORD_NEED_MORE);
			FUZZ_CHECK(part.bytes > got.bytes - 1 && part.bytes <= got.bytes);
		}
		scan = record_scan(data + at, left, left + 1000, &part);
		if (scan == RECORD_NEED_MORE)
			FUZZ_CHECK(part.bytes > left && part.bytes <= left + 1000);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct synced synced;
	uint8_t again[SYNCED_BYTES];

	if (size > 4096)
		size = 4096; /* scanning at every offset is quadratic */
	check_scan(data, size);
	check_attr(data, size);
	check_extent(data, size);
	check_publish(data, size);
	check_base(data, size);
	check_move(META_MOVE, data, size);
	check_move(META_LINK, data, size);
	check_path((const char *)data, size);
	if (synced_decode(data, size, &synced)) {
		synced_encode(&synced, again);
		FUZZ_CHECK(memcmp(again, data, SYNCED_BYTES) == 0);
	}
	return 0;
}
