/* SPDX-License-Identifier: MIT */
/* A request in three parts becomes one, a reply goes where the kernel looks for it. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <linux/fuse.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "fuse/transport/ring_entry.h"

#define CAPACITY 8192
#define UNIQUE	 UINT64_C(0x1122334455667788)
#define COMMIT	 UINT64_C(0x99aabbccddeeff00)

static struct ring_entry entry;

static int setup(void **state)
{
	void *memory = aligned_alloc(4096, RING_ENTRY_HEAD_BYTES + CAPACITY);

	if (memory == NULL)
		return -1;
	memset(memory, 0xee, RING_ENTRY_HEAD_BYTES + CAPACITY);
	ring_entry_init(&entry, memory, CAPACITY);
	return 0;
}

static int teardown(void **state)
{
	free(entry.header);
	return 0;
}

static uint8_t pattern(size_t i, uint8_t seed)
{
	return (uint8_t)(seed + i * 7 + (i >> 8));
}

static void test_buffers(void **state)
{
	struct iovec iov[2];

	ring_entry_buffers(&entry, iov);
	assert_ptr_equal(iov[0].iov_base, entry.header);
	assert_int_equal(iov[0].iov_len, 288);
	assert_int_equal((uint8_t *)iov[1].iov_base - (uint8_t *)iov[0].iov_base,
			 RING_ENTRY_HEAD_BYTES);
	assert_int_equal(iov[1].iov_len, CAPACITY);
}

/* --- requests --- */

static const struct request_case {
	const char *name;
	size_t op_bytes, payload_bytes;
	size_t len; /* 0: what they add up to */
	int want;
} requests[] = {
	{ "lookup: a name alone", 0, 9, 0, 0 },
	{ "getattr: a header alone", sizeof(struct fuse_getattr_in), 0, 0, 0 },
	{ "statfs: nothing", 0, 0, 0, 0 },
	{ "create: header and name", sizeof(struct fuse_create_in), 6, 0, 0 },
	{ "rename2: header and two names", sizeof(struct fuse_rename2_in), 12, 0, 0 },
	{ "write of 1 byte", sizeof(struct fuse_write_in), 1, 0, 0 },
	{ "write of all there is room for", sizeof(struct fuse_write_in), CAPACITY, 0, 0 },
	{ "the biggest header", URING_OP_BYTES, 100, 0, 0 },
	{ "a header that is too big", URING_OP_BYTES + 1, 100, 0, -EBADMSG },
	{ "a payload that is too big", 40, CAPACITY + 1, 0, -EBADMSG },
	{ "shorter than its payload", 0, 100, sizeof(struct fuse_in_header) + 99, -EBADMSG },
	{ "shorter than its header", 0, 0, sizeof(struct fuse_in_header) - 1, -EBADMSG },
	{ "no length", 0, 0, UINT32_MAX, -EBADMSG },
};

static void test_request(void **state)
{
	const struct request_case *c = *state;
	struct fuse_in_header in = { .opcode = FUSE_WRITE, .unique = UNIQUE, .nodeid = 42 };
	size_t bytes = 0;
	void *whole = NULL;
	uint8_t *p;

	in.len = (uint32_t)(c->len != 0 ? c->len : sizeof(in) + c->op_bytes + c->payload_bytes);
	memcpy(entry.header->in_out, &in, sizeof(in));
	for (size_t i = 0; i < c->op_bytes && i < URING_OP_BYTES; i++)
		entry.header->op[i] = pattern(i, 1);
	for (size_t i = 0; i < c->payload_bytes && i < CAPACITY; i++)
		entry.payload[i] = pattern(i, 2);
	entry.header->commit_id = COMMIT;
	entry.header->payload_bytes = (uint32_t)c->payload_bytes;

	assert_int_equal(ring_entry_request(&entry, &whole, &bytes), c->want);
	assert_true(entry.unique == UNIQUE); /* so that it can be answered */
	assert_true(entry.commit_id == COMMIT);
	if (c->want != 0) {
		assert_null(whole);
		return;
	}
	assert_int_equal(bytes, in.len);
	assert_memory_equal(whole, &in, sizeof(in));
	p = (uint8_t *)whole + sizeof(in);
	for (size_t i = 0; i < c->op_bytes; i++)
		assert_int_equal(p[i], pattern(i, 1));
	assert_ptr_equal(p + c->op_bytes, entry.payload); /* it was not moved */
	for (size_t i = 0; i < c->payload_bytes; i++)
		assert_int_equal(entry.payload[i], pattern(i, 2));
}

/* --- replies --- */

static const struct reply_case {
	const char *name;
	size_t parts[3];
	bool in_place; /* the parts are the payload */
	int want;
} replies[] = {
	{ "nothing but a header", { 0, 0, 0 }, false, 0 },
	{ "one part", { 144, 0, 0 }, false, 0 },
	{ "three parts", { 144, 16, 5 }, false, 0 },
	{ "all there is room for", { CAPACITY - 1, 1, 0 }, false, 0 },
	{ "in place", { 4096, 0, 0 }, true, 0 },
	{ "in place, in parts", { 100, 0, 28 }, true, 0 },
	{ "one byte too many", { CAPACITY, 1, 0 }, false, -EMSGSIZE },
	{ "a part that is too long", { CAPACITY + 1, 0, 0 }, false, -EMSGSIZE },
};

static void test_reply(void **state)
{
	const struct reply_case *c = *state;
	struct fuse_out_header out = { .len = 99, .error = 0, .unique = UNIQUE };
	struct iovec iov[4] = { { &out, sizeof(out) } };
	uint8_t *bytes = c->in_place ? entry.payload : malloc(CAPACITY + 1);
	size_t total = 0;

	assert_non_null(bytes);
	for (size_t i = 0; i < ARRAY_SIZE(c->parts); i++) {
		iov[i + 1] = (struct iovec){ bytes + total, c->parts[i] };
		total += c->parts[i];
	}
	for (size_t i = 0; i < total; i++)
		bytes[i] = pattern(i, 3);
	assert_int_equal(ring_entry_reply(&entry, iov, 4), c->want);
	if (c->want == 0) {
		assert_memory_equal(entry.header->in_out, &out, sizeof(out));
		assert_int_equal(entry.header->payload_bytes, total);
		for (size_t i = 0; i < total; i++)
			assert_int_equal(entry.payload[i], pattern(i, 3));
	}
	if (!c->in_place)
		free(bytes);
}

/* Bytes that are in the payload, but not where they belong. */
static void test_reply_moves(void **state)
{
	struct fuse_out_header out = { .unique = UNIQUE };
	struct iovec iov[2] = { { &out, sizeof(out) }, { entry.payload + 3, 1000 } };

	for (size_t i = 0; i < 1000; i++)
		entry.payload[3 + i] = pattern(i, 4);
	assert_int_equal(ring_entry_reply(&entry, iov, 2), 0);
	for (size_t i = 0; i < 1000; i++)
		assert_int_equal(entry.payload[i], pattern(i, 4));
}

static void test_fail(void **state)
{
	struct fuse_out_header out;

	entry.unique = UNIQUE;
	entry.header->payload_bytes = 17;
	ring_entry_fail(&entry, -EIO);
	memcpy(&out, entry.header->in_out, sizeof(out));
	assert_int_equal(out.len, sizeof(out));
	assert_int_equal(out.error, -EIO);
	assert_true(out.unique == UNIQUE);
	assert_int_equal(entry.header->payload_bytes, 0);
}

int main(void)
{
	static struct CMUnitTest tests[ARRAY_SIZE(requests) + ARRAY_SIZE(replies) + 3];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
		tests[n++] = (struct CMUnitTest){ requests[i].name, test_request, setup, teardown,
						  (void *)(uintptr_t)&requests[i] };
	for (size_t i = 0; i < ARRAY_SIZE(replies); i++)
		tests[n++] = (struct CMUnitTest){ replies[i].name, test_reply, setup, teardown,
						  (void *)(uintptr_t)&replies[i] };
	tests[n++] = (struct CMUnitTest){ "buffers", test_buffers, setup, teardown, NULL };
	tests[n++] = (struct CMUnitTest){ "a reply that moves", test_reply_moves, setup, teardown,
					  NULL };
	tests[n++] = (struct CMUnitTest){ "a failure", test_fail, setup, teardown, NULL };
	return unit_run("ring_entry", tests, n);
}
