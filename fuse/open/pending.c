/* SPDX-License-Identifier: MIT */
#include "fuse/open/pending.h"

#include <errno.h>

#include "writer/base/times.h"

void pending_begin(struct pending *p, bool keep, uint64_t size_bytes)
{
	p->active = true;
	p->keep = keep;
	p->size_bytes = keep ? size_bytes : 0;
}

/* After a write: the mtime is 'now', whatever time was set by hand before. */
static void touch(struct pending *p, struct timespec now)
{
	p->dirty = true;
	p->awaits_content = false;
	p->close_err = 0;
	p->shown = false;
	p->written_at = now;
	p->changed_at = now;
	p->set_times &= ~(unsigned int)STORE_SET_MTIME;
}

static int check_end(uint64_t offset, uint64_t n, uint64_t *ret_end)
{
	if (__builtin_add_overflow(offset, n, ret_end) || *ret_end > STORE_CONTENT_BYTES_MAX)
		return -EFBIG;
	return 0;
}

int pending_write(struct pending *p, const void *buf, size_t n, uint64_t offset,
		  struct timespec now)
{
	uint64_t end;
	int err = check_end(offset, n, &end);

	if (err == 0 && n > 0)
		err = ranges_write(&p->ranges, offset, buf, n);
	if (err < 0)
		return err;
	if (n > 0 && end > p->size_bytes)
		p->size_bytes = end;
	touch(p, now);
	return 0;
}

/* Makes a range read as zeros.  A hole is needed only if a lower layer exists. */
static int clear_range(struct pending *p, uint64_t offset, uint64_t end)
{
	if (p->keep || p->staging != NULL)
		return ranges_hole(&p->ranges, offset, end);
	return ranges_clear(&p->ranges, offset, end);
}

static void drop_layers(struct pending *p)
{
	ranges_free(&p->ranges);
	store_staging_free(p->staging);
	p->staging = NULL;
	p->staged_ranges = 0;
	p->keep = false;
	p->size_bytes = 0;
}

int pending_truncate(struct pending *p, uint64_t size_bytes, struct timespec now)
{
	int err = 0;

	if (size_bytes > STORE_CONTENT_BYTES_MAX)
		return -EFBIG;
	if (size_bytes == 0)
		drop_layers(p);
	else if (size_bytes < p->size_bytes)
		err = clear_range(p, size_bytes, p->size_bytes);
	if (err < 0)
		return err;
	p->size_bytes = size_bytes;
	touch(p, now);
	return 0;
}

int pending_zero(struct pending *p, uint64_t offset, uint64_t n, bool extend, struct timespec now)
{
	uint64_t end, zeros_end;
	int err = check_end(offset, n, &end);

	if (err < 0)
		return err;
	zeros_end = end < p->size_bytes ? end : p->size_bytes;
	if (offset < zeros_end)
		err = clear_range(p, offset, zeros_end);
	if (err < 0)
		return err;
	if (extend && end > p->size_bytes)
		p->size_bytes = end;
	touch(p, now);
	return 0;
}

int pending_staged(struct pending *p, uint64_t offset, uint64_t n, struct timespec now)
{
	int err = ranges_clear(&p->ranges, offset, offset + n);

	if (err < 0)
		return err;
	p->staged_ranges++;
	if (offset + n > p->size_bytes)
		p->size_bytes = offset + n;
	touch(p, now);
	return 0;
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
	/* An atime that was never set follows the mtime. */
	bool follows = attr->atime.tv_sec == attr->mtime.tv_sec &&
		       attr->atime.tv_nsec == attr->mtime.tv_nsec;

	attr->size_bytes = p->size_bytes;
	attr->mtime = p->set_times & STORE_SET_MTIME ? p->mtime : p->written_at;
	if (p->set_times & STORE_SET_ATIME)
		attr->atime = p->atime;
	else if (follows)
		attr->atime = attr->mtime;
	/* The node's own ctime has a chmod that was made while the value was dirty. */
	if (timespec_is_later(attr->ctime, p->changed_at))
		p->changed_at = attr->ctime;
	attr->ctime = p->changed_at;
	p->shown = true;
}

bool pending_commit_set(const struct pending *p, struct store_set *ret)
{
	*ret = (struct store_set){
		.which = p->set_times, .mtime = p->mtime, .atime = p->atime, .ctime = p->changed_at
	};
	/* The ctime is the record's timestamp, unless a program has seen another one. */
	if (p->set_times != 0 || (p->shown && timespec_is_later(p->changed_at, p->written_at)))
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
	p->writers.count = 0;
	p->mapped = false;
	p->close_err = 0;
}

void pending_drop(struct pending *p)
{
	drop_layers(p);
	*p = (struct pending)PENDING_INIT;
}
