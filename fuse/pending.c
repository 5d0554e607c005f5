/* SPDX-License-Identifier: MIT */
#include "fuse/pending.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_later(struct timespec a, struct timespec b)
{
	return a.tv_sec > b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec > b.tv_nsec);
}

/* Room for 'size_bytes'.  Grows by half, so that n appends cost O(n). */
static int grow(struct pending *p, uint64_t size_bytes)
{
	uint64_t capacity = p->capacity_bytes + p->capacity_bytes / 2;
	uint8_t *bytes;

	if (size_bytes > STORE_VALUE_BYTES_MAX)
		return -EFBIG;
	if (size_bytes <= p->capacity_bytes)
		return 0;
	if (capacity < size_bytes)
		capacity = size_bytes;
	bytes = realloc(p->bytes, capacity);
	if (bytes == NULL && capacity > size_bytes) {
		capacity = size_bytes;
		bytes = realloc(p->bytes, capacity);
	}
	if (bytes == NULL)
		return -ENOMEM;
	p->bytes = bytes;
	p->capacity_bytes = capacity;
	return 0;
}

int pending_load(struct pending *p, uint64_t size_bytes)
{
	int err = grow(p, size_bytes);

	if (err < 0)
		return err;
	p->size_bytes = size_bytes;
	p->loaded = true;
	return 0;
}

/* A write: the mtime is now, whatever was set by hand before. */
static void touch(struct pending *p, struct timespec now)
{
	p->dirty = true;
	p->awaits_content = false;
	p->shown = false;
	p->written_at = now;
	p->changed_at = now;
	p->set_times &= ~(unsigned int)STORE_SET_MTIME;
}

int pending_reserve(struct pending *p, uint64_t size_bytes)
{
	int err = grow(p, size_bytes);

	if (err == 0 && size_bytes > p->size_bytes)
		memset(p->bytes + p->size_bytes, 0, size_bytes - p->size_bytes);
	return err;
}

int pending_write(struct pending *p, const void *buf, size_t n, uint64_t offset,
		  struct timespec now)
{
	uint64_t end;
	int err;

	if (__builtin_add_overflow(offset, n, &end))
		return -EFBIG;
	err = grow(p, end);
	if (err < 0)
		return err;
	if (offset > p->size_bytes)
		memset(p->bytes + p->size_bytes, 0, offset - p->size_bytes);
	if (n > 0)
		memcpy(p->bytes + offset, buf, n);
	if (n > 0 && end > p->size_bytes)
		p->size_bytes = end;
	touch(p, now);
	return 0;
}

int pending_truncate(struct pending *p, uint64_t size_bytes, struct timespec now)
{
	int err = pending_reserve(p, size_bytes);

	if (err < 0)
		return err;
	p->size_bytes = size_bytes;
	touch(p, now);
	return 0;
}

int pending_zero(struct pending *p, uint64_t offset, uint64_t n, bool extend, struct timespec now)
{
	uint64_t end;
	int err = 0;

	if (__builtin_add_overflow(offset, n, &end))
		return -EFBIG;
	if (extend && end > p->size_bytes) {
		err = pending_reserve(p, end);
		if (err < 0)
			return err;
		p->size_bytes = end;
	}
	if (end > p->size_bytes)
		end = p->size_bytes;
	if (offset < end)
		memset(p->bytes + offset, 0, end - offset);
	touch(p, now);
	return 0;
}

size_t pending_read(const struct pending *p, void *buf, size_t n, uint64_t offset)
{
	if (offset >= p->size_bytes)
		return 0;
	if (n > p->size_bytes - offset)
		n = p->size_bytes - offset;
	if (n > 0)
		memcpy(buf, p->bytes + offset, n);
	return n;
}

void pending_set_times(struct pending *p, const struct store_set *set, struct timespec now)
{
	if (set->which & STORE_SET_MTIME)
		p->mtime = set->mtime;
	if (set->which & STORE_SET_ATIME)
		p->atime = set->atime;
	p->set_times |= set->which & (STORE_SET_MTIME | STORE_SET_ATIME);
	p->changed_at = now;
}

void pending_show(struct pending *p, struct store_attr *attr)
{
	/* An atime that nobody has set follows the mtime. */
	bool follows = attr->atime.tv_sec == attr->mtime.tv_sec &&
		       attr->atime.tv_nsec == attr->mtime.tv_nsec;

	attr->size_bytes = p->size_bytes;
	attr->mtime = p->set_times & STORE_SET_MTIME ? p->mtime : p->written_at;
	if (p->set_times & STORE_SET_ATIME)
		attr->atime = p->atime;
	else if (follows)
		attr->atime = attr->mtime;
	/* A chmod while dirty is in the node's own ctime. */
	if (is_later(attr->ctime, p->changed_at))
		p->changed_at = attr->ctime;
	attr->ctime = p->changed_at;
	p->shown = true;
}

bool pending_commit_set(const struct pending *p, struct store_set *ret)
{
	*ret = (struct store_set){
		.which = p->set_times, .mtime = p->mtime, .atime = p->atime, .ctime = p->changed_at
	};
	/* The ctime is that of the record, unless another one was promised. */
	if (p->set_times != 0 || (p->shown && is_later(p->changed_at, p->written_at)))
		ret->which |= STORE_SET_CTIME;
	return ret->which != 0;
}

void pending_committed(struct pending *p)
{
	if (p->set_times & STORE_SET_MTIME)
		p->written_at = p->mtime;
	p->set_times = 0;
	p->dirty = false;
	p->awaits_content = false;
}

void pending_drop(struct pending *p)
{
	free(p->bytes);
	*p = (struct pending)PENDING_INIT;
}
