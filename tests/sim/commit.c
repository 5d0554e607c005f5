/* SPDX-License-Identifier: MIT */
#include "tests/sim/commit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/content.h"
#include "tests/sim/rng.h"

#define HUGE_BYTES 150000

static uint32_t value_bytes(const struct commit_style *style, uint64_t thread, uint64_t number)
{
	struct rng rng = { rng_mix(thread, number, 1) };
	uint64_t class = rng_below(&rng, 100);

	if (style->huge && number == 5)
		return HUGE_BYTES;
	if (class < 60)
		return (uint32_t)(1 + rng_below(&rng, 200));
	if (class < 90)
		return (uint32_t)(1 + rng_below(&rng, 1500));
	return (uint32_t)(1 + rng_below(&rng, 6000));
}

static void make_part(uint64_t thread, uint64_t number, size_t i, struct commit *c)
{
	struct meta_attr attr = {
		.flags = META_FLAG_MORE,
		.type = META_TYPE_FILE,
		.mode = 0600,
		.uid = (uint32_t)number,
		.gid = (uint32_t)i,
	};
	int len;

	meta_key_prefix(META_ATTR, c->keys[i]);
	len = snprintf((char *)c->keys[i] + META_KEY_PREFIX_BYTES,
		       COMMIT_KEY_BYTES - META_KEY_PREFIX_BYTES, "%" PRIu64 ".%" PRIu64, thread,
		       number);
	c->records[i] = (struct record){
		.key = c->keys[i],
		.key_bytes = META_KEY_PREFIX_BYTES + (uint32_t)len,
		.value = c->attrs[i],
		.value_bytes = (uint32_t)meta_attr_encode(&attr, c->attrs[i]),
	};
}

void commit_make(const struct commit_style *style, uint64_t thread, uint64_t number,
		 struct commit *ret)
{
	uint32_t n = value_bytes(style, thread, number);
	struct rng rng = { rng_mix(thread, number, 2) };
	size_t parts = style->groups && number % 3 == 2 ? 1 + number % 4 : 0;
	int len;

	ret->value = sim_alloc(n);
	for (uint32_t i = 0; i < n; i++)
		ret->value[i] = (uint8_t)rng_next(&rng);
	for (size_t i = 0; i < parts; i++)
		make_part(thread, number, i, ret);
	len = snprintf((char *)ret->keys[parts], COMMIT_KEY_BYTES, "%" PRIu64 ".%" PRIu64, thread,
		       number);
	ret->records[parts] = (struct record){
		.key = ret->keys[parts],
		.key_bytes = (uint32_t)len,
		.value = ret->value,
		.value_bytes = n,
	};
	ret->count = parts + 1;
}

void commit_free(struct commit *c)
{
	free(c->value);
	c->value = NULL;
}

int commit_append(const struct commit_style *style, struct log_writer *w, uint64_t thread,
		  uint64_t number, bool durable)
{
	struct log_append where;
	struct commit c;
	int err;

	commit_make(style, thread, number, &c);
	if (c.count == 1) { /* the call of the seed: waits by itself with an interval of 0 */
		err = log_writer_put(w, c.records[0].key, c.records[0].key_bytes,
				     c.records[0].value, c.records[0].value_bytes, NULL);
	} else {
		err = log_writer_append(w, c.records, c.count, &where);
		if (err == 0 && durable)
			err = log_writer_sync_to(w, where.end_position);
	}
	commit_free(&c);
	return err;
}

static bool same_record(const struct log_entry *e, const struct record *want)
{
	return e->rec.key_bytes == want->key_bytes && e->rec.value_bytes == want->value_bytes &&
	       memcmp(e->rec.key, want->key, want->key_bytes) == 0 &&
	       memcmp(e->rec.value, want->value, e->value_held_bytes) == 0;
}

int commit_check(const struct commit_style *style, const struct log_entry *entries, size_t count,
		 uint64_t *ret_thread, uint64_t *ret_number, char why[COMMIT_WHY_BYTES])
{
	const struct record *last = &entries[count - 1].rec;
	char label[COMMIT_KEY_BYTES] = "";
	struct commit want;
	bool same;

	if (last->key_bytes < sizeof(label))
		memcpy(label, last->key, last->key_bytes);
	if (sscanf(label, "%" SCNu64 ".%" SCNu64, ret_thread, ret_number) != 2 ||
	    *ret_thread >= COMMIT_THREADS) {
		(void)snprintf(why, COMMIT_WHY_BYTES, "a commit with the key '%s'", label);
		return -EPROTO;
	}
	commit_make(style, *ret_thread, *ret_number, &want);
	same = count == want.count;
	for (size_t i = 0; i < count && same; i++)
		same = same_record(&entries[i], &want.records[i]);
	commit_free(&want);
	if (same)
		return 0;
	(void)snprintf(why, COMMIT_WHY_BYTES, "commit %s is not what was appended (%zu records)",
		       label, count);
	return -EPROTO;
}
