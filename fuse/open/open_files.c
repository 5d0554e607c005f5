/* SPDX-License-Identifier: MIT */
/* The table of open files, the bounds on their pending bytes, and the committer of appends. */
#include <errno.h>

#include "fuse/open/open_file_private.h"

#define DUE_MAX	  64 /* files that the committer takes at a time */
#define SPILL_MAX 16 /* files that are staged after one search of the table */

/* --- the table --- */

static int spill(void *arg, uint64_t *ret_freed);

void open_files_init(struct open_files *f, const struct open_files_config *config)
{
	*f = (struct open_files){ .config = *config };
	mutex_init(&f->lock);
	mutex_init(&f->append_lock);
	cond_init(&f->append_wake);
	budget_init(&f->budget, config->pending_max_bytes, spill, f);
}

static void open_file_free(struct open_file *of) NO_THREAD_SAFETY
{
	pending_drop(&of->pending);
	atomic_fetch_sub(&of->files->user_bytes[of->charged_user], of->charged_bytes);
	budget_give(&of->files->budget, of->charged_bytes);
	mutex_destroy(&of->lock);
	free(of);
}

void open_files_destroy(struct open_files *f) NO_THREAD_SAFETY
{
	struct open_file *of, *next;

	HASH_ITER (hh, f->by_node, of, next) {
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): HASH_ITER has read 'next' before */
		HASH_DEL(f->by_node, of);
		open_file_free(of);
	}
	budget_destroy(&f->budget);
	thread_check(pthread_cond_destroy(&f->append_wake));
	mutex_destroy(&f->append_lock);
	mutex_destroy(&f->lock);
}

uint64_t open_files_pending_bytes(struct open_files *f)
{
	return atomic_load(&f->budget.taken_bytes);
}

uint64_t open_files_user_bytes(struct open_files *f, uint32_t uid)
{
	return atomic_load(&f->user_bytes[uid % OPEN_FILES_USERS]);
}

static struct open_file *find_locked(struct open_files *f, struct node *n)
	REQUIRES(f->lock, open_files_class)
{
	struct open_file *of;

	HASH_FIND_PTR(f->by_node, &n, of);
	if (of != NULL)
		of->references++;
	return of;
}

/* Adds 'of' to the table.  Returns false without memory; then 'of' is unchanged. */
static bool add_locked(struct open_files *f, struct open_file *of)
	REQUIRES(f->lock, open_files_class)
{
	HASH_ADD_PTR(f->by_node, node, of);
	return of->hh.tbl != NULL;
}

struct open_file *open_files_find(struct open_files *f, struct node *n)
{
	return WITH_LOCK(open_files, f, find_locked(f, n));
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
	fresh->files = f;
	fresh->store = f->config.store;
	fresh->node = n;
	mutex_init(&fresh->lock);

	open_files_lock(f);
	fresh->references = 1;
	of = find_locked(f, n); /* another thread may have added it meanwhile */
	if (of == NULL && add_locked(f, fresh)) {
		of = fresh;
		fresh = NULL;
	}
	open_files_unlock(f);
	if (fresh != NULL)
		open_file_free(fresh);
	return of;
}

void open_files_put(struct open_files *f, struct open_file *of)
{
	bool last;

	open_files_lock(f);
	last = --of->references == 0;
	if (last)
		HASH_DEL(f->by_node, of);
	open_files_unlock(f);
	if (last)
		open_file_free(of);
}

int open_files_commit(struct open_files *f, struct node *n, uint64_t *ret_end)
{
	struct open_file *of = open_files_find(f, n);
	struct store_attr attr;
	int err;

	*ret_end = 0;
	if (of == NULL) {
		store_getattr(f->config.store, n, &attr);
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

/* Adds a reference and a pin of the daemon's own, because the handles of the file may be released
 * meanwhile. */
static void hold_locked(struct open_files *f, struct open_file *of)
	REQUIRES(f->lock, open_files_class)
{
	of->references++;
	store_pin(f->config.store, of->node);
}

void open_files_let_go(struct open_files *f, struct open_file *of)
{
	struct node *n = of->node;

	open_files_put(f, of);
	store_unpin(f->config.store, n, 1);
}

size_t open_files_hold_mapped(struct open_files *f, struct open_file ***ret)
{
	struct open_file *of, *next, **files;
	size_t n = 0;

	open_files_lock(f);
	files = calloc(HASH_COUNT(f->by_node) + 1, sizeof(*files));
	HASH_ITER (hh, f->by_node, of, next) {
		if (files == NULL || atomic_load(&of->maps) == 0)
			continue;
		hold_locked(f, of);
		files[n++] = of;
	}
	open_files_unlock(f);
	*ret = files;
	return n;
}

/* --- the bound on pending bytes --- */

/* Holds the user's largest files, namely the files with at least half as many bytes as the largest
 * one, so that one search of the table serves many small files. */
static size_t hold_largest(struct open_files *f, unsigned int user,
			   struct open_file *ret[SPILL_MAX])
{
	struct open_file *of, *next;
	uint64_t bytes, most = 1;
	size_t n = 0;

	open_files_lock(f);
	HASH_ITER (hh, f->by_node, of, next) {
		bytes = atomic_load(&of->charged_bytes);
		if (bytes > most && atomic_load(&of->user) == user)
			most = bytes;
	}
	HASH_ITER (hh, f->by_node, of, next) {
		bytes = atomic_load(&of->charged_bytes);
		if (bytes < (most + 1) / 2 || atomic_load(&of->user) != user || n == SPILL_MAX)
			continue;
		hold_locked(f, of);
		ret[n++] = of;
	}
	open_files_unlock(f);
	return n;
}

/* Stages all pending ranges of one file. */
static int spill_file(struct open_file *of, uint64_t *freed)
{
	struct file_content c;
	uint64_t bytes, left;
	int err;

	open_file_lock(of);
	c = open_file_content(of);
	bytes = atomic_load(&of->charged_bytes);
	err = file_content_stage_all(&c);
	open_file_charge_locked(of);
	left = atomic_load(&of->charged_bytes);
	open_file_mutex_unlock(of);
	*freed += bytes > left ? bytes - left : 0;
	return err;
}

static int spill_user(struct open_files *f, unsigned int user, uint64_t *ret_freed)
{
	struct open_file *files[SPILL_MAX];
	size_t n = hold_largest(f, user, files);
	int err = 0;

	*ret_freed = 0;
	for (size_t i = 0; i < n; i++) {
		if (err == 0)
			err = spill_file(files[i], ret_freed);
		open_files_let_go(f, files[i]);
	}
	return err;
}

/* A budget_free_fn: moves pending bytes of the user with the most of them to the log. */
static int spill(void *arg, uint64_t *ret_freed)
{
	struct open_files *f = arg;
	unsigned int user = 0;

	for (unsigned int i = 1; i < OPEN_FILES_USERS; i++)
		if (atomic_load(&f->user_bytes[i]) > atomic_load(&f->user_bytes[user]))
			user = i;
	return spill_user(f, user, ret_freed);
}

bool open_files_has_share(struct open_files *f, unsigned int user, uint64_t n)
{
	uint64_t taken = atomic_load_explicit(&f->user_bytes[user], memory_order_relaxed);

	return taken + n <= f->config.pending_max_bytes / 2;
}

int open_files_make_share(struct open_files *f, unsigned int user, uint64_t n)
{
	uint64_t freed = 1;
	int err = 0;

	while (err == 0 && freed > 0 && !open_files_has_share(f, user, n))
		err = spill_user(f, user, &freed);
	return err;
}

/* --- appends to files that stay open --- */

void open_files_append_begins(struct open_file *of)
{
	struct open_files *f = of->files;
	uint64_t now_ns;

	if (atomic_load(&of->append_since_ns) != 0)
		return;
	now_ns = monotonic_ns();
	atomic_store(&of->append_since_ns, now_ns);
	open_files_append_lock(f);
	if (f->append_due_ns == 0) {
		f->append_due_ns = now_ns + f->config.append_commit_ns;
		thread_check(pthread_cond_signal(&f->append_wake));
	}
	open_files_append_unlock(f);
}

/* Takes files whose oldest append was made at 'until_ns' or before.  Stores the time of the oldest
 * append among the other files (0: none). */
static size_t take_due(struct open_files *f, uint64_t until_ns, struct open_file *ret[DUE_MAX],
		       uint64_t *ret_next_ns)
{
	struct open_file *of, *next;
	size_t n = 0;

	*ret_next_ns = 0;
	open_files_lock(f);
	HASH_ITER (hh, f->by_node, of, next) {
		uint64_t since_ns = atomic_load(&of->append_since_ns);

		if (since_ns != 0 && since_ns <= until_ns && n < DUE_MAX) {
			hold_locked(f, of);
			ret[n++] = of;
		} else if (since_ns != 0 && (*ret_next_ns == 0 || since_ns < *ret_next_ns)) {
			*ret_next_ns = since_ns;
		}
	}
	open_files_unlock(f);
	return n;
}

/* Commits one file.  After a failure the committer tries again later, or the next close does, which
 * can report the error. */
static void commit_append(struct open_file *of, uint64_t *end)
{
	uint64_t committed = 0;

	open_file_lock(of);
	if (of->pending.close_err != 0) /* the value is lost, unless more is written */
		atomic_store(&of->append_since_ns, 0);
	else if (of->pending.dirty && open_file_commit_locked(of) == 0)
		committed = of->commit_end;
	else
		atomic_store(&of->append_since_ns, of->pending.dirty ? monotonic_ns() : 0);
	open_file_unlock(of);
	if (committed > *end)
		*end = committed;
}

static void ignore_sync(void *arg, int err)
{
	(void)arg;
	(void)err; /* the log is poisoned: each later operation reports it */
}

/* Commits appends that were made at 'until_ns' or before.  Returns the time of the oldest append
 * that is left, or 0. */
static uint64_t commit_appends(struct open_files *f, uint64_t until_ns)
{
	struct open_file *due[DUE_MAX];
	uint64_t end = 0, next_ns;
	size_t n;

	do {
		n = take_due(f, until_ns, due, &next_ns);
		for (size_t i = 0; i < n; i++) {
			commit_append(due[i], &end);
			open_files_let_go(f, due[i]);
		}
	} while (n == DUE_MAX);
	if (end != 0 && f->config.append_sync)
		(void)!store_sync_async(f->config.store, end, ignore_sync, NULL);
	return next_ns;
}

static void *committer_main(void *arg)
{
	struct open_files *f = arg;
	uint64_t oldest_ns, interval_ns = f->config.append_commit_ns, now_ns;

	open_files_append_lock(f);
	while (!f->stopping) {
		now_ns = monotonic_ns();
		if (f->append_due_ns == 0) {
			cond_wait(&f->append_wake, &f->append_lock);
		} else if (f->append_due_ns > now_ns) {
			cond_wait_until(&f->append_wake, &f->append_lock, f->append_due_ns);
		} else {
			/* An append after this line sets it again, unless commit_appends() sees
			 * that append. */
			f->append_due_ns = 0;
			open_files_append_unlock(f);
			oldest_ns = commit_appends(f, now_ns - interval_ns);
			open_files_append_lock(f);
			if (oldest_ns != 0)
				f->append_due_ns = oldest_ns + interval_ns;
		}
	}
	open_files_append_unlock(f);
	return NULL;
}

int open_files_start(struct open_files *f)
{
	int err = pthread_create(&f->committer, NULL, committer_main, f);

	f->has_committer = err == 0;
	return -err;
}

void open_files_stop(struct open_files *f)
{
	if (!f->has_committer)
		return;
	open_files_append_lock(f);
	f->stopping = true;
	thread_check(pthread_cond_signal(&f->append_wake));
	open_files_append_unlock(f);
	thread_check(pthread_join(f->committer, NULL));
	f->has_committer = false;
	(void)commit_appends(f, monotonic_ns());
}

void open_files_commit_all(struct open_files *f, open_files_lost_fn lost, void *arg,
			   struct open_files_end *ret) NO_THREAD_SAFETY
{
	struct open_file *of, *next;
	uint64_t end;
	int err;

	*ret = (struct open_files_end){ 0 };
	HASH_ITER (hh, f->by_node, of, next) {
		if (!of->pending.dirty || of->temporary)
			continue;
		err = of->pending.close_err;
		if (err == 0)
			err = open_file_commit(of, &end);
		if (err == 0) {
			ret->committed++;
		} else {
			ret->lost++;
			lost(arg, of->node, err);
		}
	}
}
