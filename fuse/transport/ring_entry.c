/* SPDX-License-Identifier: MIT */
#include "fuse/transport/ring_entry.h"

#include <errno.h>
#include <linux/fuse.h>
#include <string.h>

_Static_assert(sizeof(struct uring_header) + sizeof(struct fuse_in_header) + URING_OP_BYTES <=
		       RING_ENTRY_HEAD_BYTES,
	       "the headers have room before the payload");

void ring_entry_init(struct ring_entry *e, void *memory, size_t payload_capacity)
{
	*e = (struct ring_entry){
		.header = memory,
		.payload = (uint8_t *)memory + RING_ENTRY_HEAD_BYTES,
		.payload_capacity = payload_capacity,
	};
}

void ring_entry_buffers(const struct ring_entry *e, struct iovec ret[2])
{
	ret[0] = (struct iovec){ .iov_base = e->header, .iov_len = sizeof(*e->header) };
	ret[1] = (struct iovec){ .iov_base = e->payload, .iov_len = e->payload_capacity };
}

int ring_entry_request(struct ring_entry *e, void **ret, size_t *ret_bytes)
{
	size_t payload_bytes = e->header->payload_bytes, op_bytes;
	struct fuse_in_header in;
	uint8_t *begin;

	memcpy(&in, e->header->in_out, sizeof(in));
	e->commit_id = e->header->commit_id;
	e->unique = in.unique;
	if (payload_bytes > e->payload_capacity || in.len < sizeof(in) + payload_bytes)
		return -EBADMSG;
	/* The kernel does not store the length of the operation's header. */
	op_bytes = in.len - sizeof(in) - payload_bytes;
	if (op_bytes > URING_OP_BYTES)
		return -EBADMSG;
	begin = e->payload - op_bytes - sizeof(in);
	memcpy(begin, &in, sizeof(in));
	memcpy(begin + sizeof(in), e->header->op, op_bytes);
	*ret = begin;
	*ret_bytes = in.len;
	return 0;
}

int ring_entry_reply(struct ring_entry *e, const struct iovec *iov, int count)
{
	size_t bytes = 0;

	for (int i = 1; i < count; i++) {
		if (iov[i].iov_len > e->payload_capacity - bytes)
			return -EMSGSIZE;
		if (iov[i].iov_len > 0 && iov[i].iov_base != e->payload + bytes)
			memmove(e->payload + bytes, iov[i].iov_base, iov[i].iov_len);
		bytes += iov[i].iov_len;
	}
	memcpy(e->header->in_out, iov[0].iov_base, sizeof(struct fuse_out_header));
	e->header->payload_bytes = (uint32_t)bytes;
	return 0;
}

void ring_entry_fail(struct ring_entry *e, int error)
{
	const struct fuse_out_header out = {
		.len = sizeof(out),
		.error = error,
		.unique = e->unique,
	};

	memcpy(e->header->in_out, &out, sizeof(out));
	e->header->payload_bytes = 0;
}
