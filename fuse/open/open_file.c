/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>

#include "fuse/open/open_file_private.h"

#define SEEK_BLOCK_BYTES UINT64_C(4096) /* unit of holes, as st_blksize says */
/* Most memory that a write can need beyond its own bytes: a range that grows. */
#define WRITE_EXTRA_BYTES (RANGE_BYTES_MAX + 4096)

_Static_assert(OPEN_FILES_PENDING_MIN >= 2 * WRITE_EXTRA_BYTES, "the largest write fits");

static struct timespec now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts); /* cannot fail */
	return ts;
}

/* --- the pending value --- */

/* A node that is not in the log yet has an empty value, which must be committed.  The check waits
 * until the open file is in the table and locked, because only then no other thread can commit the
 * value. */
void open_file_lock(struct open_file *of)
{
	struct store_attr attr;

	open_file_mutex_lock(of);
	if (of->ready)
		return;
	of->ready = true;
	store_getattr(of->store, of->node, &attr);
	if (attr.committed)
		return;
	of->temporary = attr.link_count == 0;
	of->pending = (struct pending){ .active = true,
					.dirty = true,
					.awaits_content = true,
					.shown = true,
					.written_at = attr.mtime,
					.changed_at = attr.ctime };
}

/* Corrects the charge after a change of the pending value's memory, or of its user. */
void open_file_charge_locked(struct open_file *of)
{
	uint64_t bytes = of->pending.ranges.memory_bytes, old = atomic_load(&of->charged_bytes);
	_Atomic uint64_t *users = of->files->user_bytes;
	unsigned int user = atomic_load(&of->user);

	if (bytes == old && (bytes == 0 || user == of->charged_user))
		return;
	atomic_fetch_sub(&users[of->charged_user], old);
	atomic_fetch_add(&users[user], bytes);
	of->charged_user = user;
	budget_change(&of->files->budget, old, bytes);
	atomic_store(&of->charged_bytes, bytes);
}

void open_file_unlock(struct open_file *of)
{
	open_file_charge_locked(of);
	open_file_mutex_unlock(of);
}

struct node *open_file_node(const struct open_file *of)
{
	return of->node;
}

struct file_content open_file_content(struct open_file *of)
{
	return (struct file_content){ .store = of->store, .node = of->node, .p = &of->pending };
}

/* Makes the pending value active before a change. */
static void begin_locked(struct open_file *of) REQUIRES(of->lock, open_file_class)
{
	struct pending *p = &of->pending;
	struct store_attr attr;

	if (p->active)
		return;
	store_getattr(of->store, of->node, &attr);
	pending_begin(p, attr.size_bytes > 0, attr.size_bytes);
	p->written_at = attr.mtime;
	p->changed_at = attr.ctime;
}

/* Makes the pending value inactive again after a change that failed without any effect. */
static void end_unchanged_locked(struct open_file *of) REQUIRES(of->lock, open_file_class)
{
	struct store_attr attr;

	store_getattr(of->store, of->node, &attr);
	if (!of->pending.dirty && attr.link_count > 0)
		pending_drop(&of->pending);
}

/* Pages of a mapping arrive without a thread: they are ascribed to the thread that opened the file.
 */
static void changed_by_locked(struct open_file *of, pid_t by) REQUIRES(of->lock, open_file_class)
{
	if (by == 0)
		of->pending.mapped = true;
	writers_add(&of->pending.writers, by != 0 ? by : of->opener, of->opener);
}

ssize_t open_file_read(struct open_file *of, void *buf, size_t n, uint64_t offset)
{
	struct file_content c;
	ssize_t got = 0;
	bool active;

	open_file_lock(of);
	active = of->pending.active;
	c = open_file_content(of);
	if (active)
		got = file_content_read(&c, buf, n, offset);
	open_file_mutex_unlock(of);
	if (active)
		return got;
	return store_read(of->store, of->node, buf, n, offset);
}

/* Returns the offset of the first hole or the first data at or behind 'offset', or -ENXIO. */
static int64_t seek_locked(struct open_file *of, bool data, uint64_t offset)
	REQUIRES(of->lock, open_file_class)
{
	struct file_content c = open_file_content(of);
	uint64_t begin, end = offset, size, at = offset;
	struct store_attr attr;

	store_getattr(of->store, of->node, &attr);
	size = of->pending.active ? of->pending.size_bytes : attr.size_bytes;
	if (offset >= size)
		return -ENXIO;
	if (atomic_load(&of->maps) > 0)
		return (int64_t)(data ? offset : size);
	while (file_content_next_data(&c, end - end % SEEK_BLOCK_BYTES, &begin, &end) &&
	       begin < size) {
		begin -= begin % SEEK_BLOCK_BYTES;
		if (data)
			return (int64_t)(begin > offset ? begin : offset);
		if (begin > at)
			break;
		if (__builtin_add_overflow(end, SEEK_BLOCK_BYTES - 1, &end) || end >= size)
			return (int64_t)size;
		end -= end % SEEK_BLOCK_BYTES;
		at = end > at ? end : at;
	}
	return data ? -ENXIO : (int64_t)at;
}

void open_file_set_user(struct open_file *of, uint32_t uid)
{
	atomic_store_explicit(&of->user, uid % OPEN_FILES_USERS, memory_order_relaxed);
}

void open_file_count_maps(struct open_file *of, int change)
{
	atomic_fetch_add(&of->maps, (uint32_t)change);
}

int64_t open_file_seek(struct open_file *of, bool data, uint64_t offset)
{
	int64_t found;

	open_file_lock(of);
	found = seek_locked(of, data, offset);
	open_file_mutex_unlock(of);
	return found;
}

/* Takes the memory that a write may need from the budget; may release the lock meanwhile. */
static int take_locked(struct open_file *of, uint64_t offset, uint64_t n, uint64_t *ret_taken)
	REQUIRES(of->lock, open_file_class)
{
	unsigned int user = atomic_load(&of->user);
	struct budget *b = &of->files->budget;
	int err;

	*ret_taken = ranges_growth(&of->pending.ranges, offset, n);
	if (open_files_has_share(of->files, user, *ret_taken) && budget_try(b, *ret_taken))
		return 0;
	open_file_unlock(of);
	err = open_files_make_share(of->files, user, *ret_taken);
	*ret_taken = n + WRITE_EXTRA_BYTES;
	if (err == 0)
		err = budget_take(b, *ret_taken);
	if (err < 0)
		*ret_taken = 0;
	open_file_lock(of);
	begin_locked(of);
	return err;
}

/* Writes into ranges in memory. */
static int buffer_locked(struct open_file *of, const void *buf, size_t n, uint64_t offset)
	REQUIRES(of->lock, open_file_class)
{
	struct file_content c = open_file_content(of);
	uint64_t taken;
	int err = take_locked(of, offset, n, &taken);

	if (err < 0)
		return err;
	if (offset + n > FILE_CONTENT_INLINE_BYTES ||
	    of->pending.size_bytes > FILE_CONTENT_INLINE_BYTES)
		err = file_content_stage_full(&c);
	if (err == 0)
		err = pending_write(&of->pending, buf, n, offset, now());
	open_file_charge_locked(of);
	budget_give(&of->files->budget, taken);
	return err;
}

static int write_locked(struct open_file *of, const void *buf, size_t n, uint64_t offset)
	REQUIRES(of->lock, open_file_class)
{
	struct file_content c = open_file_content(of);

	if (n > STORE_CONTENT_BYTES_MAX || offset > STORE_CONTENT_BYTES_MAX - n)
		return -EFBIG;
	begin_locked(of);
	if (file_content_streams(&c, offset, n))
		return file_content_stage_write(&c, buf, n, offset, now());
	return buffer_locked(of, buf, n, offset);
}

int open_file_write(struct open_file *of, const void *buf, size_t n, uint64_t offset, bool appends,
		    pid_t by)
{
	int err;

	open_file_lock(of);
	err = write_locked(of, buf, n, offset);
	if (err < 0)
		end_unchanged_locked(of);
	else
		changed_by_locked(of, by);
	if (err == 0 && appends && !of->temporary)
		open_files_append_begins(of);
	open_file_unlock(of);
	return err;
}

static int truncate_locked(struct open_file *of, uint64_t size_bytes)
	REQUIRES(of->lock, open_file_class)
{
	int err;

	begin_locked(of);
	err = pending_truncate(&of->pending, size_bytes, now());
	if (err < 0)
		end_unchanged_locked(of);
	return err;
}

int open_file_truncate(struct open_file *of, uint64_t size_bytes, pid_t by)
{
	int err;

	open_file_lock(of);
	err = truncate_locked(of, size_bytes);
	if (err == 0)
		changed_by_locked(of, by);
	open_file_unlock(of);
	return err;
}

/* Makes the value at least 'size_bytes' long. */
static int extend_locked(struct open_file *of, uint64_t size_bytes, bool *ret_changed)
	REQUIRES(of->lock, open_file_class)
{
	begin_locked(of);
	if (of->pending.size_bytes >= size_bytes)
		return 0;
	*ret_changed = true;
	return pending_truncate(&of->pending, size_bytes, now());
}

static int fallocate_locked(struct open_file *of, int mode, uint64_t offset, uint64_t n,
			    bool *ret_changed) REQUIRES(of->lock, open_file_class)
{
	switch (mode) {
	case 0:
		return extend_locked(of, offset + n, ret_changed);
	case FALLOC_FL_KEEP_SIZE:
		return 0; /* a log has no space to reserve for a value */
	case FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE:
	case FALLOC_FL_ZERO_RANGE:
	case FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE:
		*ret_changed = true;
		begin_locked(of);
		return pending_zero(&of->pending, offset, n, (mode & FALLOC_FL_KEEP_SIZE) == 0,
				    now());
	default:
		return -EOPNOTSUPP;
	}
}

int open_file_fallocate(struct open_file *of, int mode, uint64_t offset, uint64_t n, pid_t by)
{
	struct store_set set = { .which = STORE_SET_MTIME, .mtime = now() };
	bool changed = false;
	uint64_t end;
	int err;

	if (offset > STORE_CONTENT_BYTES_MAX || n > STORE_CONTENT_BYTES_MAX - offset)
		return mode & FALLOC_FL_KEEP_SIZE ? -EOPNOTSUPP : -EFBIG;
	open_file_lock(of);
	err = fallocate_locked(of, mode, offset, n, &changed);
	if (err < 0 || !changed)
		end_unchanged_locked(of);
	else
		changed_by_locked(of, by);
	open_file_unlock(of);
	if (err < 0 || changed)
		return err;
	return open_file_setattr(of, &set, by, &end); /* the times change in any case */
}

/* All handles of a file must use the same mode, so the first one decides. */
static bool add_handle_locked(struct open_file *of, bool wants_bypass)
	REQUIRES(of->lock, open_file_class)
{
	if (of->handles++ == 0) {
		of->bypass = wants_bypass;
		of->shared = false;
	} else {
		of->shared = true;
	}
	return of->bypass;
}

int open_file_open(struct open_file *of, const struct open_file_how *how, bool *ret_bypass)
{
	int err = 0;

	open_file_lock(of);
	if (how->truncate)
		err = truncate_locked(of, 0);
	if (how->truncate && err == 0)
		of->pending.awaits_content = true;
	if (err == 0)
		*ret_bypass = add_handle_locked(of, how->wants_bypass);
	if (err == 0 && how->writable) {
		of->writable_handles++;
		of->opener = how->by;
	}
	open_file_unlock(of);
	return err;
}

static void show_locked(struct open_file *of, open_file_show_fn show, void *arg)
	REQUIRES(of->lock, open_file_class)
{
	size_t n = store_unread_bytes(of->store, of->node);
	void *value;
	ssize_t got;

	if (n == 0 || n > OPEN_FILE_SHOW_BYTES_MAX)
		return;
	value = malloc(n);
	if (value == NULL)
		return;
	io_set_nowait(true); /* if it is not in memory, the program may not read it at all */
	got = store_read(of->store, of->node, value, n, 0);
	io_set_nowait(false);
	if (got == (ssize_t)n)
		show(arg, value, n);
	free(value);
}

void open_file_show_unread(struct open_file *of, open_file_show_fn show, void *arg)
{
	open_file_lock(of);
	if (of->handles == 1 && !of->pending.active)
		show_locked(of, show, arg);
	open_file_unlock(of);
}

bool open_file_has_stale_pages(struct open_file *of)
{
	return WITH_LOCK(open_file, of, of->bypass && of->shared);
}

/* --- commit --- */

int open_file_commit_locked(struct open_file *of)
{
	struct file_content c = open_file_content(of);
	uint64_t end;
	int err;

	if (of->temporary)
		return 0;
	err = file_content_commit(&c, &end);
	if (err < 0)
		return err;
	atomic_store(&of->append_since_ns, 0);
	if (end != 0)
		of->commit_end = end;
	return 0;
}

/* Returns whether a close by the process of thread 'by' commits the pending value.  It does if the
 * process has written some of it and has no other descriptor to write more with.  The descriptors
 * are looked up only if an earlier close was not the last one (as by a shell that redirects),
 * because the look-up costs more than a commit.  After a close has failed to commit, only a process
 * that certainly wrote to the value tries again. */
static bool flush_commits_locked(struct open_file *of, pid_t by) REQUIRES(of->lock, open_file_class)
{
	const struct pending *p = &of->pending;
	enum writers_answer wrote;
	struct store_attr attr;

	if (!p->dirty || p->awaits_content)
		return false;
	wrote = writers_include(&p->writers, by);
	if (wrote == WRITERS_NO || (wrote == WRITERS_MAYBE && p->close_err != 0))
		return false;
	if (of->flushes == 0)
		return true; /* nothing suggests that descriptors were copied */
	store_getattr(of->store, of->node, &attr);
	return !writers_has_another(by, attr.ino);
}

int open_file_flush(struct open_file *of, pid_t by, uint64_t *ret_end)
{
	int err = 0;

	open_file_lock(of);
	if (flush_commits_locked(of, by)) {
		err = open_file_commit_locked(of);
		of->pending.close_err = err;
	}
	of->flushes++;
	if (err == 0)
		*ret_end = of->commit_end;
	open_file_unlock(of);
	return err;
}

int open_file_commit(struct open_file *of, uint64_t *ret_end)
{
	int err = 0;

	open_file_lock(of);
	if (of->pending.dirty)
		err = open_file_commit_locked(of);
	if (err == 0)
		*ret_end = of->commit_end;
	open_file_unlock(of);
	return err;
}

int open_file_give_name(struct open_file *of, const struct store_name *to, uint64_t *ret_end)
{
	uint64_t end;
	int err;

	open_file_lock(of);
	err = of->temporary ? store_give_name(of->store, of->node, to) : -ENOENT;
	if (err == 0) {
		of->temporary = false;
		of->pending.changed_at = now(); /* a link changes the ctime, but not the mtime */
		of->pending.shown = true;
		err = open_file_commit_locked(of);
		if (err == 0) {
			*ret_end = of->commit_end;
		} else { /* the name is not in the log yet, so removing it cannot fail */
			(void)!store_unlink(of->store, to, &end);
			of->temporary = true;
		}
	}
	open_file_unlock(of);
	return err;
}

/* Returns whether a release must commit the pending value.  The last handle must, and the last one
 * that can write, because no other close will.  Other handles that can write commit a value that an
 * open has emptied or a mapping has written, because the kernel names no process for these changes.
 */
static bool release_commits_locked(const struct open_file *of, bool writable)
	REQUIRES(of->lock, open_file_class)
{
	const struct pending *p = &of->pending;

	if (!p->dirty)
		return false;
	return of->handles == 0 ||
	       (writable && (of->writable_handles == 0 || p->awaits_content || p->mapped));
}

int open_file_release(struct open_file *of, bool writable, bool *ret_dropped)
{
	bool last;
	int err = 0;

	open_file_lock(of);
	last = --of->handles == 0;
	if (writable)
		of->writable_handles--;
	if (writable && of->flushes > 0)
		of->flushes--;
	if (release_commits_locked(of, writable))
		err = of->pending.close_err;
	if (err == 0 && release_commits_locked(of, writable))
		err = open_file_commit_locked(of);
	*ret_dropped = err < 0 && last;
	if (*ret_dropped) {
		pending_drop(&of->pending);
		atomic_store(&of->append_since_ns, 0);
		of->ready = false;
	}
	open_file_unlock(of);
	return err;
}

/* Commits the pending value first, so that a failure of the truncation can restore the value. */
static int truncate_commit_locked(struct open_file *of, uint64_t size_bytes,
				  const struct store_set *set) REQUIRES(of->lock, open_file_class)
{
	struct pending *p = &of->pending;
	struct pending old;
	int err = 0;

	if (p->dirty && !p->awaits_content)
		err = open_file_commit_locked(of);
	if (err < 0)
		return err;
	old = *p; /* inactive, or without a name, or empty */
	begin_locked(of);
	err = pending_truncate(p, size_bytes, now());
	if (err < 0)
		return err;
	pending_set_times(p, set, p->written_at);
	err = open_file_commit_locked(of);
	if (err < 0) { /* only a file with a name can fail */
		pending_drop(p);
		*p = old;
	}
	return err;
}

int open_file_truncate_commit(struct open_file *of, uint64_t size_bytes,
			      const struct store_set *set, uint64_t *ret_end)
{
	struct store_set rest = *set;
	uint64_t end = 0;
	int err;

	if (size_bytes > STORE_CONTENT_BYTES_MAX)
		return -EFBIG;
	rest.which &= ~(unsigned int)(STORE_SET_MTIME | STORE_SET_ATIME);
	open_file_lock(of);
	err = truncate_commit_locked(of, size_bytes, set);
	if (err == 0 && rest.which != 0)
		err = store_setattr(of->store, of->node, &rest, &end);
	if (end != 0)
		of->commit_end = end;
	if (err == 0)
		*ret_end = of->commit_end;
	open_file_unlock(of);
	return err;
}

/* --- attributes --- */

/* Returns whether the pending size and times are shown: until the commit, and always for a node
 * without a name, whose values are never committed. */
static bool overlays(const struct pending *p, const struct store_attr *attr)
{
	return p->dirty || (p->active && attr->link_count == 0);
}

void open_file_getattr(struct open_file *of, struct store_attr *ret)
{
	struct file_content c;

	open_file_lock(of);
	store_getattr(of->store, of->node, ret);
	if (overlays(&of->pending, ret)) {
		c = open_file_content(of);
		pending_show(&of->pending, ret);
		ret->data_bytes = file_content_data_bytes(&c);
	}
	open_file_mutex_unlock(of);
}

int open_file_setattr(struct open_file *of, const struct store_set *set, pid_t by,
		      uint64_t *ret_end)
{
	struct store_set rest = *set;
	struct store_attr attr;
	uint64_t end = 0;
	int err = 0;

	open_file_lock(of);
	store_getattr(of->store, of->node, &attr);
	if (overlays(&of->pending, &attr))
		rest.which &= ~(unsigned int)(STORE_SET_MTIME | STORE_SET_ATIME);
	if (rest.which != 0 || set->which == 0) /* nothing to set: only the ctime changes */
		err = store_setattr(of->store, of->node, &rest, &end);
	if (err == 0 && rest.which != set->which)
		pending_set_times(&of->pending, set, now());
	else if (err == 0 && (set->which & STORE_SET_MTIME))
		of->pending.written_at = set->mtime;  /* shown while the file has no name */
	if (err == 0 && of->pending.awaits_content) { /* set on purpose, as by touch(1) */
		of->pending.awaits_content = false;
		changed_by_locked(of, by);
	}
	if (err == 0 && end != 0)
		of->commit_end = end;
	if (err == 0)
		*ret_end = end;
	open_file_mutex_unlock(of);
	return err;
}
