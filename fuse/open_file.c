/* SPDX-License-Identifier: MIT */
#include "fuse/open_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The table hashes addresses, whose low bits are always the same. */
static inline unsigned int hash_address(const void *key)
{
	uint64_t bits;

	memcpy(&bits, key, sizeof(bits));
	return (unsigned int)((bits * UINT64_C(0x9e3779b97f4a7c15)) >> 32);
}
#define HASH_FUNCTION(key, key_bytes, hash) ((hash) = hash_address(key))
#define HASH_NONFATAL_OOM		    1
#include <uthash.h>

#include "fuse/pending.h"

struct open_file {
	struct store *store; /* borrowed; constant */
	struct node *node;   /* pinned by the callers; constant; the key in the table */

	size_t references; /* by open_files.lock */
	UT_hash_handle hh; /* by open_files.lock */

	/* Held over the commit and the loading of the value, so across system calls; never across
	 * a wait for durability, and never across a reply. */
	struct mutex lock;
	size_t handles GUARDED;		/* by lock; open ones; each has a reference */
	bool ready GUARDED;		/* by lock; the state of the node was looked at */
	struct pending pending GUARDED; /* by lock */
	uint64_t commit_end GUARDED;	/* by lock; of the newest commit; 0: none */
};

static struct timespec now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts); /* cannot fail */
	return ts;
}

/* --- the table --- */

void open_files_init(struct open_files *f, struct store *s)
{
	f->store = s;
	mutex_init(&f->lock);
	f->by_node = NULL;
}

static void open_file_free(struct open_file *of) NO_THREAD_SAFETY
{
	pending_drop(&of->pending);
	mutex_destroy(&of->lock);
	free(of);
}

size_t open_files_destroy(struct open_files *f) NO_THREAD_SAFETY
{
	struct open_file *of, *next;
	size_t dirty = 0;

	HASH_ITER (hh, f->by_node, of, next) {
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): HASH_ITER has read 'next' before */
		HASH_DEL(f->by_node, of);
		dirty += of->pending.dirty;
		open_file_free(of);
	}
	mutex_destroy(&f->lock);
	return dirty;
}

static struct open_file *find_locked(struct open_files *f, struct node *n) REQUIRES(f->lock)
{
	struct open_file *of;

	HASH_FIND_PTR(f->by_node, &n, of);
	if (of != NULL)
		of->references++;
	return of;
}

/* Makes one; false: no memory, and 'of' is as it was. */
static bool add_locked(struct open_files *f, struct open_file *of) REQUIRES(f->lock)
{
	HASH_ADD_PTR(f->by_node, node, of);
	return of->hh.tbl != NULL;
}

struct open_file *open_files_find(struct open_files *f, struct node *n)
{
	struct open_file *of;

	mutex_lock(&f->lock);
	of = find_locked(f, n);
	mutex_unlock(&f->lock);
	return of;
}

struct open_file *open_files_get(struct open_files *f, struct node *n)
{
	struct open_file *of, *fresh;

	of = open_files_find(f, n);
	if (of != NULL)
		return of;
	fresh = calloc(1, sizeof(*fresh));
	if (fresh == NULL)
		return NULL;
	fresh->store = f->store;
	fresh->node = n;
	fresh->references = 1;
	mutex_init(&fresh->lock);

	mutex_lock(&f->lock);
	of = find_locked(f, n); /* somebody may have been faster */
	if (of == NULL && add_locked(f, fresh)) {
		of = fresh;
		fresh = NULL;
	}
	mutex_unlock(&f->lock);
	if (fresh != NULL)
		open_file_free(fresh);
	return of;
}

void open_files_put(struct open_files *f, struct open_file *of)
{
	bool last;

	mutex_lock(&f->lock);
	last = --of->references == 0;
	if (last)
		HASH_DEL(f->by_node, of);
	mutex_unlock(&f->lock);
	if (last)
		open_file_free(of);
}

/* --- the pending value --- */

/* A node that is not in the log yet has the empty value, and it is to be committed.  Only now that
 * the open file is in the table and locked can nobody else commit it meanwhile. */
static void lock_file(struct open_file *of) ACQUIRES(of->lock)
{
	struct store_attr attr;

	mutex_lock(&of->lock);
	if (of->ready)
		return;
	of->ready = true;
	store_getattr(of->store, of->node, &attr);
	if (attr.committed)
		return;
	of->pending = (struct pending){ .loaded = true,
					.dirty = true,
					.awaits_content = true,
					.shown = true,
					.written_at = attr.mtime,
					.changed_at = attr.ctime };
}

static int read_committed(struct open_file *of, uint64_t size_bytes) REQUIRES(of->lock)
{
	uint64_t done = 0;

	while (done < size_bytes) {
		ssize_t n = store_read(of->store, of->node, of->pending.bytes + done,
				       size_bytes - done, done);

		if (n < 0)
			return (int)n;
		if (n == 0)
			return -EIO; /* shorter than its size: cannot be */
		done += (uint64_t)n;
	}
	return 0;
}

/* Brings the committed value into memory, or an empty one if it is to be replaced. */
static int load_locked(struct open_file *of, bool replace) REQUIRES(of->lock)
{
	struct pending *p = &of->pending;
	struct store_attr attr;
	int err;

	if (p->loaded)
		return 0;
	store_getattr(of->store, of->node, &attr);
	err = pending_load(p, replace ? 0 : attr.size_bytes);
	if (err == 0)
		err = read_committed(of, p->size_bytes);
	if (err < 0) {
		pending_drop(p);
		return err;
	}
	p->written_at = attr.mtime;
	p->changed_at = attr.ctime;
	return 0;
}

ssize_t open_file_read(struct open_file *of, void *buf, size_t n, uint64_t offset)
{
	size_t got = 0;
	bool loaded;

	lock_file(of);
	loaded = of->pending.loaded;
	if (loaded)
		got = pending_read(&of->pending, buf, n, offset);
	mutex_unlock(&of->lock);
	if (loaded)
		return (ssize_t)got;
	return store_read(of->store, of->node, buf, n, offset);
}

int open_file_write(struct open_file *of, const void *buf, size_t n, uint64_t offset)
{
	struct store_attr attr;
	bool replace = false;
	int err;

	lock_file(of);
	if (!of->pending.loaded && offset == 0) {
		store_getattr(of->store, of->node, &attr);
		replace = n >= attr.size_bytes;
	}
	/* A replaced value is not read, so nothing below may fail once it is dropped from view. */
	if (replace && n > STORE_VALUE_BYTES_MAX)
		err = -EFBIG;
	else
		err = load_locked(of, replace);
	if (err == 0)
		err = pending_write(&of->pending, buf, n, offset, now());
	if (err < 0 && replace && !of->pending.dirty)
		pending_drop(&of->pending);
	mutex_unlock(&of->lock);
	return err;
}

static int truncate_locked(struct open_file *of, uint64_t size_bytes) REQUIRES(of->lock)
{
	int err;

	if (size_bytes > STORE_VALUE_BYTES_MAX)
		return -EFBIG;
	err = load_locked(of, size_bytes == 0);
	if (err < 0)
		return err;
	return pending_truncate(&of->pending, size_bytes, now());
}

int open_file_truncate(struct open_file *of, uint64_t size_bytes)
{
	int err;

	lock_file(of);
	err = truncate_locked(of, size_bytes);
	mutex_unlock(&of->lock);
	return err;
}

/* Makes the value at least 'size_bytes' long. */
static int extend_locked(struct open_file *of, uint64_t size_bytes, bool *ret_changed)
	REQUIRES(of->lock)
{
	int err = load_locked(of, false);

	if (err < 0 || of->pending.size_bytes >= size_bytes)
		return err;
	*ret_changed = true;
	return pending_truncate(&of->pending, size_bytes, now());
}

static int fallocate_locked(struct open_file *of, int mode, uint64_t offset, uint64_t n,
			    bool *ret_changed) REQUIRES(of->lock)
{
	int err;

	switch (mode) {
	case 0:
		return extend_locked(of, offset + n, ret_changed);
	case FALLOC_FL_KEEP_SIZE:
		return 0; /* a record has no room to reserve */
	case FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE:
	case FALLOC_FL_ZERO_RANGE:
	case FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE:
		*ret_changed = true;
		err = load_locked(of, false);
		return err < 0 ? err
			       : pending_zero(&of->pending, offset, n,
					      (mode & FALLOC_FL_KEEP_SIZE) == 0, now());
	default:
		return -EOPNOTSUPP;
	}
}

int open_file_fallocate(struct open_file *of, int mode, uint64_t offset, uint64_t n)
{
	struct store_set set = { .which = STORE_SET_MTIME, .mtime = now() };
	bool changed = false;
	uint64_t end;
	int err;

	if (offset > STORE_VALUE_BYTES_MAX || n > STORE_VALUE_BYTES_MAX - offset)
		return mode & FALLOC_FL_KEEP_SIZE ? -EOPNOTSUPP : -EFBIG;
	lock_file(of);
	err = fallocate_locked(of, mode, offset, n, &changed);
	mutex_unlock(&of->lock);
	if (err < 0 || changed)
		return err;
	return open_file_setattr(of, &set, &end); /* the times change all the same */
}

int open_file_open(struct open_file *of, bool truncate)
{
	int err = 0;

	lock_file(of);
	if (truncate)
		err = truncate_locked(of, 0);
	if (truncate && err == 0)
		of->pending.awaits_content = true;
	if (err == 0)
		of->handles++;
	mutex_unlock(&of->lock);
	return err;
}

/* --- commit --- */

static int commit_locked(struct open_file *of) REQUIRES(of->lock)
{
	struct pending *p = &of->pending;
	struct store_set set;
	bool has_set = pending_commit_set(p, &set);
	uint64_t end = 0;
	int err;

	err = store_commit(of->store, of->node, p->bytes, p->size_bytes, p->written_at, p->shown,
			   has_set ? &set : NULL, &end);
	if (err < 0)
		return err;
	pending_committed(p);
	if (end != 0)
		of->commit_end = end;
	return 0;
}

/* Commits if dirty, 'even_empty' also what an open made or emptied and nobody has filled yet. */
static int commit(struct open_file *of, bool even_empty, uint64_t *ret_end)
{
	int err = 0;

	lock_file(of);
	if (of->pending.dirty && (even_empty || !of->pending.awaits_content))
		err = commit_locked(of);
	if (err == 0)
		*ret_end = of->commit_end;
	mutex_unlock(&of->lock);
	return err;
}

int open_file_flush(struct open_file *of, uint64_t *ret_end)
{
	return commit(of, false, ret_end);
}

int open_file_commit(struct open_file *of, uint64_t *ret_end)
{
	return commit(of, true, ret_end);
}

int open_files_commit(struct open_files *f, struct node *n, uint64_t *ret_end)
{
	struct open_file *of = open_files_find(f, n);
	struct store_attr attr;
	int err;

	*ret_end = 0;
	if (of == NULL) {
		store_getattr(f->store, n, &attr);
		if (attr.committed)
			return 0;
		of = open_files_get(f, n);
	}
	if (of == NULL)
		return -ENOMEM;
	err = open_file_commit(of, ret_end);
	open_files_put(f, of);
	return err;
}

int open_file_release(struct open_file *of, bool writable, bool *ret_dropped)
{
	bool last;
	int err = 0;

	lock_file(of);
	last = --of->handles == 0;
	if (of->pending.dirty && (writable || last))
		err = commit_locked(of);
	*ret_dropped = err < 0 && last;
	if (*ret_dropped) {
		pending_drop(&of->pending);
		of->ready = false;
	}
	mutex_unlock(&of->lock);
	return err;
}

/* Truncates in memory, commits, and takes it back if that fails: shrinking leaves the bytes where
 * they are, and growing changes none. */
static int truncate_commit_locked(struct open_file *of, uint64_t size_bytes,
				  const struct store_set *set) REQUIRES(of->lock)
{
	struct pending *p = &of->pending;
	bool was_loaded = p->loaded;
	struct pending old;
	int err;

	err = load_locked(of, size_bytes == 0);
	if (err == 0)
		err = pending_reserve(p, size_bytes);
	if (err < 0)
		return err;
	old = *p;
	err = pending_truncate(p, size_bytes, now());
	if (err == 0) {
		pending_set_times(p, set, p->written_at);
		err = commit_locked(of);
	}
	if (err < 0 && was_loaded)
		*p = old;
	else if (err < 0)
		pending_drop(p);
	return err;
}

int open_file_truncate_commit(struct open_file *of, uint64_t size_bytes,
			      const struct store_set *set, uint64_t *ret_end)
{
	struct store_set rest = *set;
	uint64_t end = 0;
	int err;

	if (size_bytes > STORE_VALUE_BYTES_MAX)
		return -EFBIG;
	rest.which &= ~(unsigned int)(STORE_SET_MTIME | STORE_SET_ATIME);
	lock_file(of);
	err = truncate_commit_locked(of, size_bytes, set);
	if (err == 0 && rest.which != 0)
		err = store_setattr(of->store, of->node, &rest, &end);
	if (end != 0)
		of->commit_end = end;
	if (err == 0)
		*ret_end = of->commit_end;
	mutex_unlock(&of->lock);
	return err;
}

/* --- attributes --- */

/* The pending value is what is to be seen: before the commit, and for good when the node has no
 * name, because its commits go nowhere. */
static bool overlays(const struct pending *p, const struct store_attr *attr)
{
	return p->dirty || (p->loaded && attr->link_count == 0);
}

void open_file_getattr(struct open_file *of, struct store_attr *ret)
{
	lock_file(of);
	store_getattr(of->store, of->node, ret);
	if (overlays(&of->pending, ret))
		pending_show(&of->pending, ret);
	mutex_unlock(&of->lock);
}

int open_file_setattr(struct open_file *of, const struct store_set *set, uint64_t *ret_end)
{
	struct store_set rest = *set;
	struct store_attr attr;
	uint64_t end = 0;
	int err = 0;

	lock_file(of);
	store_getattr(of->store, of->node, &attr);
	if (overlays(&of->pending, &attr))
		rest.which &= ~(unsigned int)(STORE_SET_MTIME | STORE_SET_ATIME);
	if (rest.which != 0 || set->which == 0) /* nothing to set: the ctime alone */
		err = store_setattr(of->store, of->node, &rest, &end);
	if (err == 0 && rest.which != set->which)
		pending_set_times(&of->pending, set, now());
	else if (err == 0 && (set->which & STORE_SET_MTIME))
		of->pending.written_at = set->mtime; /* what it shows when it has no name */
	if (err == 0)
		of->pending.awaits_content = false; /* somebody means it, as touch(1) does */
	if (err == 0 && end != 0)
		of->commit_end = end;
	if (err == 0)
		*ret_end = end;
	mutex_unlock(&of->lock);
	return err;
}
