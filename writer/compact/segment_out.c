/* SPDX-License-Identifier: MIT */
#include "writer/compact/segment_out.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SYNC_EVERY_BYTES \
	((uint64_t)8 * 1024 * 1024) /* small syncs block other threads for less time */

int compact_out_init(struct compact_out *o, struct io *io, int fd)
{
	*o = (struct compact_out){ .io = io, .fd = fd, .buffer = malloc(COMPACT_OUT_BYTES) };
	return o->buffer == NULL ? -ENOMEM : 0;
}

void compact_out_free(struct compact_out *o)
{
	free(o->buffer);
	o->buffer = NULL;
}

int compact_out_flush(struct compact_out *o)
{
	size_t n = o->used;
	int err;

	if (n == 0)
		return 0;
	err = io_pwrite_all(o->io, o->fd, o->buffer, n, o->written);
	if (err < 0)
		return err;
	o->used = 0;
	o->written += n;
	o->unsynced += n;
	if (o->unsynced >= SYNC_EVERY_BYTES) {
		err = io_fdatasync(o->io, o->fd);
		o->unsynced = 0;
	}
	return err;
}

int compact_out_added(struct compact_out *o, size_t n)
{
	o->used += n;
	return o->used == COMPACT_OUT_BYTES ? compact_out_flush(o) : 0;
}

int compact_out_add(struct compact_out *o, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	while (n > 0) {
		size_t part = n < COMPACT_OUT_BYTES - o->used ? n : COMPACT_OUT_BYTES - o->used;
		int err;

		memcpy(o->buffer + o->used, p, part);
		p += part;
		n -= part;
		err = compact_out_added(o, part);
		if (err < 0)
			return err;
	}
	return 0;
}

int compact_out_record(struct compact_out *o, const struct record *rec)
{
	uint8_t header[RECORD_HEADER_BYTES];
	int err;

	record_encode_header(rec, header);
	err = compact_out_add(o, header, sizeof(header));
	if (err == 0)
		err = compact_out_add(o, rec->key, rec->key_bytes);
	if (err == 0)
		err = compact_out_add(o, rec->head, rec->head_bytes);
	if (err == 0)
		err = compact_out_add(o, rec->value, rec->value_bytes - rec->head_bytes);
	return err;
}
