/* SPDX-License-Identifier: MIT */
#include "writer/history/version.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "writer/log/record_at.h"

void history_log_release(struct shared_log *log)
{
	if (log == NULL || atomic_fetch_sub(&log->refs, 1) > 1)
		return;
	(void)!log_writer_close(log->w); /* read-only: nothing can be lost */
	free(log);
}

void history_version_close(struct history_version *v) NO_THREAD_SAFETY
{
	if (v == NULL)
		return;
	history_log_release(v->log);
	content_map_free(v->content);
	mutex_destroy(&v->lock);
	free(v->target);
	free(v->path);
	free(v);
}

void history_version_attr(const struct history_version *v, struct history_attr *ret)
{
	*ret = v->attr;
}

ssize_t history_version_target(const struct history_version *v, char *buf, size_t buf_bytes)
{
	if (v->target == NULL)
		return -EINVAL;
	if (v->attr.size_bytes > buf_bytes)
		return -ERANGE;
	memcpy(buf, v->target, v->attr.size_bytes);
	return (ssize_t)v->attr.size_bytes;
}

/* Finds the piece at or behind 'at'.  Returns false if there is none, or the version is not in
 * pieces. */
static bool find_piece(struct history_version *v, uint64_t at, struct content_piece *ret)
{
	return WITH_LOCK(version, v, content_map_find(v->content, at, ret));
}

bool history_version_is_hole(struct history_version *v, uint64_t offset,
			     uint64_t *ret_end) NO_THREAD_SAFETY
{
	struct content_piece p;

	if (v->content == NULL)
		return false;
	*ret_end = v->attr.size_bytes;
	if (!find_piece(v, offset, &p))
		return true;
	if (p.offset < *ret_end)
		*ret_end = p.offset;
	return p.offset > offset;
}

/* Reads 'n' bytes of 'value', from byte 'from' on, and checks the CRC of the record
 * unless that has been done. */
static int read_record(struct history_version *v, const struct value_position *value, bool verified,
		       uint64_t from, void *buf, size_t n)
{
	int err;

	from += value_position_header_bytes(value);
	err = verified ? record_at_read(v->log->w, value, from, buf, n)
		       : record_at_check(v->log->w, value, from, buf, n);
	return err == -EBADMSG ? -EIO : err;
}

static int read_version_piece(struct history_version *v, const struct content_piece *p,
			      uint64_t from, void *buf, size_t n)
{
	int err = p->dropped
			  ? -EIO
			  : read_record(v, &p->value, p->verified, p->value_offset + from, buf, n);

	if (err < 0 || p->verified)
		return err;
	LOCKED(version, v, content_map_set_verified(v->content, p->offset, &p->value));
	return 0;
}

/* Reads bytes of a version in pieces: up to the end of the piece, or of the hole, at 'at'.  Returns
 * the number of bytes, or -errno. */
static ssize_t read_some(struct history_version *v, uint8_t *buf, size_t n, uint64_t at)
{
	struct content_piece p;
	bool found = find_piece(v, at, &p);
	int err;

	if (!found || p.offset > at) {
		if (found && p.offset - at < n)
			n = (size_t)(p.offset - at);
		memset(buf, 0, n);
		return (ssize_t)n;
	}
	if (p.offset + p.bytes - at < n)
		n = (size_t)(p.offset + p.bytes - at);
	err = read_version_piece(v, &p, at - p.offset, buf, n);
	return err < 0 ? err : (ssize_t)n;
}

static int read_plain(struct history_version *v, void *buf, size_t n, uint64_t offset)
{
	int err = read_record(v, &v->value, atomic_load(&v->verified), offset, buf, n);

	if (err == 0)
		atomic_store(&v->verified, true);
	return err;
}

static bool has_pieces(const struct history_version *v) NO_THREAD_SAFETY
{
	return v->content != NULL; /* the pointer is constant */
}

static void tell_unreadable(struct history_version *v, uint64_t offset)
{
	struct trouble t = {
		.kind = TROUBLE_READ,
		.path = v->path,
		.path_bytes = v->path_bytes,
		.reason = "an old version: a record of it is damaged or cannot be read",
	};
	struct content_piece p = { .value = v->value };

	if (v->trouble == NULL)
		return;
	if (has_pieces(v))
		(void)find_piece(v, offset, &p);
	t.segment = log_writer_locate(v->log->w, p.value.record_position, &t.file_offset);
	v->trouble(v->trouble_arg, &t);
}

ssize_t history_version_read(struct history_version *v, void *buf, size_t n, uint64_t offset)
{
	size_t done = 0;
	int err;

	if (v->target != NULL)
		return -EINVAL;
	if (offset >= v->attr.size_bytes)
		return 0;
	if (n > v->attr.size_bytes - offset)
		n = (size_t)(v->attr.size_bytes - offset);
	if (!has_pieces(v)) {
		err = read_plain(v, buf, n, offset);
		if (err == -EIO)
			tell_unreadable(v, offset);
		return err < 0 ? err : (ssize_t)n;
	}
	while (done < n) {
		ssize_t got = read_some(v, (uint8_t *)buf + done, n - done, offset + done);

		if (got == -EIO)
			tell_unreadable(v, offset + done);
		if (got < 0)
			return got;
		done += (size_t)got;
	}
	return (ssize_t)done;
}
