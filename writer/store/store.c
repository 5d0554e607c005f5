/* SPDX-License-Identifier: MIT */
/* Open, close, durability and figures of a store. */
#include "writer/store/store_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "writer/index/lost.h"
#include "writer/index/paths.h"
#include "writer/index/replay.h"
#include "writer/index/staged.h"
#include "writer/log/names.h"

#define HOLDER_BYTES_MAX 4096

/* --- open and close --- */

static int replay(void *arg, const struct log_entry *entries, size_t entry_count, struct diag *diag)
{
	struct store *s = arg;
	int err = replay_commit(s->keydir, s->path, entries, entry_count, diag);

	if (err != -EBADMSG || !s->accepts_missing)
		return err;
	s->dropped_commits++; /* it is about a record in a missing segment */
	return 0;
}

static void replay_soon(void *arg, const struct record *rec)
{
	const struct store *s = arg;

	replay_ahead(s->keydir, rec);
}

static void tell_progress(void *arg, uint64_t done_bytes, uint64_t all_bytes)
{
	const struct store *s = arg;

	s->progress(s->progress_arg, done_bytes, all_bytes);
}

/* Opens DATADIR; makes it if it is missing. */
static int open_datadir(struct store *s, struct diag *diag)
{
	int err = s->read_only ? -EEXIST : io_mkdir(s->io, AT_FDCWD, s->path, 0700);

	if (err == -ENOENT)
		return diag_set(diag, err,
				"%s: its parent directory does not exist; create that first",
				s->path);
	if (err < 0 && err != -EEXIST)
		return diag_set(diag, err, "%s: cannot create it: %s", s->path, strerror(-err));
	s->dir_fd = io_open(s->io, AT_FDCWD, s->path, O_RDONLY | O_DIRECTORY, 0);
	if (s->dir_fd == -ENOTDIR)
		return diag_set(diag, s->dir_fd, "%s: not a directory", s->path);
	if (s->dir_fd < 0)
		return diag_set(diag, s->dir_fd, "%s: cannot open it: %s", s->path,
				strerror(-s->dir_fd));
	return 0;
}

/* Sets the message about the holder of the store, from its text in the lock file. */
static int say_who_holds(struct store *s, struct diag *diag)
{
	char who[HOLDER_BYTES_MAX];
	ssize_t n = io_pread_all(s->io, s->lock_fd, who, sizeof(who) - 1, 0);

	who[n > 0 ? n : 0] = '\0';
	who[strcspn(who, "\n")] = '\0';
	return diag_set(diag, -EWOULDBLOCK, "%s: in use: %s", s->path,
			who[0] != '\0' ? who : "by a process that did not leave its name");
}

static int write_holder(struct store *s, const char *holder)
{
	char who[HOLDER_BYTES_MAX];
	int len, err;

	if (holder != NULL)
		len = snprintf(who, sizeof(who), "%s\n", holder);
	else
		len = snprintf(who, sizeof(who), "pid %d\n", (int)getpid());
	if (len < 0 || (size_t)len >= sizeof(who))
		return -ENAMETOOLONG;
	err = io_truncate(s->io, s->lock_fd, 0);
	if (err == 0)
		err = io_pwrite_all(s->io, s->lock_fd, who, (size_t)len, 0);
	return err;
}

/* Takes the lock, which only one process can have. */
static int take_store_lock(struct store *s, const char *holder, struct diag *diag)
{
	int err;

	s->lock_fd = io_open(s->io, s->dir_fd, LOCK_NAME, O_RDWR | O_CREAT, 0600);
	if (s->lock_fd < 0)
		return diag_set(diag, s->lock_fd,
				"%s/" LOCK_NAME ": cannot open it for writing: %s", s->path,
				strerror(-s->lock_fd));
	err = io_lock(s->io, s->lock_fd);
	if (err == -EWOULDBLOCK)
		return say_who_holds(s, diag);
	if (err < 0)
		return diag_set(diag, err, "%s/" LOCK_NAME ": cannot lock it: %s", s->path,
				strerror(-err));
	/* The text is for people.  A full disk must not prevent opening the store. */
	err = write_holder(s, holder);
	if (err < 0 && err != -ENOSPC && err != -EDQUOT)
		return diag_set(diag, err, "%s/" LOCK_NAME ": cannot write to it: %s", s->path,
				strerror(-err));
	return 0;
}

static void note_void_staging(void *arg, uint64_t id, struct content_map *c) NO_THREAD_SAFETY
{
	struct store *s = arg;

	(void)!number_set_add(&s->void_stagings, id); /* without memory a fold keeps the extents */
}

static int open_store_log(struct store *s, const struct store_config *config, struct diag *diag)
{
	struct log_writer_config log = {
		.fsync_interval_ns = config->fsync_interval_ns,
		.buffer_size_bytes = config->buffer_size_bytes,
		.segment_size_bytes = (int64_t)s->segment_bytes_max,
		.preallocate_bytes = config->preallocate_bytes,
		.accept_missing_segments = config->accept_missing_segments,
		.no_background = config->no_background,
		.keeps_reserves = config->compact_at_percent > 0,
		.read_only = config->read_only,
		.until_ns = config->until_ns,
		.io = s->io,
		.progress = s->progress != NULL ? tell_progress : NULL,
		.ahead = replay_soon,
		.rotate_failed = store_tell_not_rotated,
		.rotate_failed_arg = s,
	};
	char *path;
	int err;

	if (asprintf(&path, "%s/" ACTIVE_NAME, s->path) < 0)
		return diag_set(diag, -ENOMEM, "%s: out of memory", s->path);
	/* Messages name the log file, not its directory. */
	free(s->path);
	s->path = path;
	log.file_path = path;
	keydir_set_alone(s->keydir, true);
	err = log_writer_open_replay(&log, replay, s, &s->log, &s->recovery, diag);
	keydir_set_alone(s->keydir, false);
	if (err == 0)
		s->incomplete_names = lost_count(s->keydir);
	/* No process will publish these any more. */
	staged_each(keydir_staged(s->keydir), note_void_staging, s);
	staged_drop_all(keydir_staged(s->keydir));
	*strrchr(s->path, '/') = '\0';
	return err;
}

static void destroy_store(struct store *s) NO_THREAD_SAFETY
{
	keydir_free(s->keydir);
	for (size_t i = 0; i < COMMIT_PARTS_MAX; i++)
		free(s->commit.parts[i].large);
	reserve_close(&s->reserve);
	reserve_close(&s->segment_reserve);
	number_set_destroy(&s->void_stagings);
	content_map_free(s->kept);
	(void)io_close(s->io, &s->lock_fd); /* this releases the lock */
	(void)io_close(s->io, &s->dir_fd);
	growth_destroy(&s->growth);
	mutex_destroy(&s->commit_lock);
	free(s->path);
	free(s);
}

static struct store *create_store(const struct store_config *config) NO_THREAD_SAFETY
{
	struct keydir_defaults defaults = { .uid = config->uid,
					    .gid = config->gid,
					    .umask = config->umask,
					    .inode32 = config->inode32 };
	struct store *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->io = config->io != NULL ? config->io : &io_posix;
	s->dir_fd = s->lock_fd = s->reserve.fd = s->segment_reserve.fd = -1;
	s->reserve.io = s->segment_reserve.io = s->io;
	s->accepts_missing = config->accept_missing_segments;
	s->progress = config->progress;
	s->progress_arg = config->progress_arg;
	s->read_only = config->read_only;
	s->clock_behind = config->clock_behind;
	s->clock_arg = config->clock_arg;
	s->trouble = config->trouble;
	s->trouble_arg = config->trouble_arg;
	s->synchronous = config->fsync_interval_ns == 0;
	s->segment_bytes_max = config->segment_size_bytes != 0
				       ? (uint64_t)config->segment_size_bytes
				       : STORE_SEGMENT_SIZE_DEFAULT;
	mutex_init(&s->commit_lock);
	growth_init(&s->growth);
	s->path = strdup(config->dir_path);
	if (s->path == NULL || keydir_create(&defaults, &s->keydir) < 0) {
		destroy_store(s);
		return NULL;
	}
	return s;
}

int store_open_alone(const struct store_config *config, struct store **ret, struct diag *diag)
{
	struct store *s;
	int err;

	(void)diag_set(diag, 0, "%s", "");
	if (config->dir_path == NULL || config->dir_path[0] == '\0')
		return diag_set(diag, -EINVAL, "DATADIR: empty");
	s = create_store(config);
	if (s == NULL)
		return diag_set(diag, -ENOMEM, "%s: out of memory", config->dir_path);
	err = open_datadir(s, diag);
	if (err == 0 && !s->read_only)
		err = take_store_lock(s, config->holder, diag);
	if (err == 0)
		err = open_store_log(s, config, diag);
	if (err < 0) {
		destroy_store(s);
		return err;
	}
	s->opened_end = log_writer_size(s->log);
	commit_lock(s);
	if (!s->read_only) {
		store_grow_reserves(s);
		commit_begin(s); /* compares the clock */
	}
	if (node_times(store_root(s)).mtime_ns == 0) /* an empty log; 1970 would surprise */
		keydir_touch(store_root(s), s->io->ops->now_ns(s->io));
	commit_unlock(s);
	if (!s->read_only)
		store_move_too_long(s);
	*ret = s;
	return 0;
}

int store_close_alone(struct store *s)
{
	int err = log_writer_close(s->log);

	destroy_store(s);
	return err;
}

struct background *store_background(struct store *s)
{
	return s->background;
}

void store_set_background(struct store *s, struct background *b)
{
	s->background = b;
}

struct store_parts store_parts(struct store *s)
{
	return (struct store_parts){
		.io = s->io,
		.dir_fd = s->dir_fd,
		.log = s->log,
		.keydir = s->keydir,
		.growth = &s->growth,
		.segment_bytes_max = s->segment_bytes_max,
		.read_only = s->read_only,
		.segments_missing = s->recovery.segments_missing > 0,
	};
}

/* --- nodes: functions without a commit --- */

struct node *store_root(struct store *s)
{
	return keydir_root(s->keydir);
}

void store_pin(struct store *s, struct node *n)
{
	node_pin(n);
}

void store_unpin(struct store *s, struct node *n, uint64_t count)
{
	if (n != keydir_root(s->keydir))
		keydir_unpin(s->keydir, n, count);
}

void store_getattr(struct store *s, struct node *n, struct store_attr *ret)
{
	keydir_getattr(s->keydir, n, ret);
}

struct node *store_parent(struct store *s, struct node *n)
{
	return keydir_parent(s->keydir, n);
}

size_t store_node_path(struct store *s, struct node *n, char *buf)
{
	return keydir_path_of(s->keydir, n, buf);
}

int store_lookup(struct store *s, struct node *dir, const char *name, size_t name_bytes,
		 struct node **ret, struct store_attr *ret_attr)
{
	return keydir_lookup(s->keydir, dir, name, name_bytes, ret, ret_attr);
}

int store_find_path(struct store *s, const char *path, size_t path_bytes, struct node **ret,
		    struct store_attr *ret_attr)
{
	struct node *n = store_root(s), *next = NULL;
	size_t pos = 0;
	int err = 0;

	if (path_bytes > 0 && !path_ok(path, path_bytes))
		return -ENOENT;
	store_pin(s, n);
	if (ret_attr != NULL)
		store_getattr(s, n, ret_attr);
	while (err == 0 && pos < path_bytes) {
		const char *name;
		size_t bytes = path_next(path, path_bytes, &pos, &name);

		err = store_lookup(s, n, name, bytes, &next, ret_attr);
		store_unpin(s, n, 1);
		n = next;
	}
	if (err == 0)
		*ret = n;
	return err == -ENOTDIR ? -ENOENT : err;
}

int store_list(struct store *s, struct node *dir, uint64_t cookie, store_list_fn fn, void *arg)
{
	return keydir_list(s->keydir, dir, cookie, fn, arg);
}

uint64_t store_list_end(struct store *s, struct node *dir)
{
	return keydir_list_end(s->keydir, dir);
}

void store_pin_in_list(struct node *n)
{
	node_pin(n);
}

/* --- durability --- */

int store_sync(struct store *s)
{
	return log_writer_sync(s->log);
}

int store_sync_async(struct store *s, uint64_t end, log_sync_fn done, void *arg)
{
	return log_writer_sync_async(s->log, end, done, arg);
}

void store_hurry(struct store *s)
{
	log_writer_hurry(s->log);
}

uint64_t store_end(struct store *s)
{
	return log_writer_size(s->log);
}

int store_rotate(struct store *s)
{
	return log_writer_rotate(s->log);
}

bool store_is_synchronous(const struct store *s)
{
	return s->synchronous;
}

/* --- figures --- */

void store_stats_alone(struct store *s, struct store_stats *ret)
{
	struct keydir_stats keydir;

	*ret = (struct store_stats){ .recovery = s->recovery };
	log_writer_stats(s->log, &ret->log);
	keydir_stats(s->keydir, &keydir);
	ret->files = keydir.files;
	ret->directories = keydir.directories;
	ret->dropped_commits = s->dropped_commits;
	ret->incomplete_names = s->incomplete_names;
	ret->moved_directories = s->moved_directories;
	ret->unnamed_keys = keydir.unnamed_keys;
	ret->live_bytes = keydir.live_bytes;
	ret->clock_behind_ns = store_clock_behind(s, s->io->ops->now_ns(s->io));
	ret->reserve_missing =
		WITH_LOCK(commit, s, !s->read_only && !reserve_is_whole(&s->reserve));
}

int store_space(struct store *s, struct io_space *ret)
{
	return io_space(s->io, s->dir_fd, ret);
}

const char *store_path(const struct store *s)
{
	return s->path;
}
