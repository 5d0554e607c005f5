/* SPDX-License-Identifier: MIT */
/* Open, close, durability, figures, and the key interface of a store. */
#include "writer/store/store_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "codec/record.h"
#include "writer/index/entries.h"
#include "writer/index/lost.h"
#include "writer/index/node_attributes.h"
#include "writer/index/node_content.h"
#include "writer/index/paths.h"
#include "writer/index/replay.h"
#include "writer/index/staged.h"
#include "writer/index/unnameable.h"
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
static int open_dir(struct store *s, struct diag *diag)
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
static int take_lock(struct store *s, const char *holder, struct diag *diag)
{
	int err;

	s->lock_fd = io_open(s->io, s->dir_fd, LOCK_NAME, O_RDWR | O_CREAT, 0600);
	if (s->lock_fd < 0)
		return diag_set(diag, s->lock_fd, "%s: not writable: %s", s->path,
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

static int open_log(struct store *s, const struct store_config *config, struct diag *diag)
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
	keydir_staged_each(s->keydir, note_void_staging, s);
	keydir_drop_all_staged(s->keydir);
	*strrchr(s->path, '/') = '\0';
	return err;
}

static void destroy(struct store *s) NO_THREAD_SAFETY
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

static struct store *create(const struct store_config *config) NO_THREAD_SAFETY
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
		destroy(s);
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
	s = create(config);
	if (s == NULL)
		return diag_set(diag, -ENOMEM, "%s: out of memory", config->dir_path);
	err = open_dir(s, diag);
	if (err == 0 && !s->read_only)
		err = take_lock(s, config->holder, diag);
	if (err == 0)
		err = open_log(s, config, diag);
	if (err < 0) {
		destroy(s);
		return err;
	}
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

	destroy(s);
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

/* --- keys --- */

/* If the clock is behind: gives the times of the clock, instead of the record's timestamp from the
 * replay, to the file and to each directory that has changed. */
static void show_clock(struct store *s, const struct record *rec)
	REQUIRES(s->commit_lock, commit_class)
{
	const struct node_times now = { s->commit.now_ns, s->commit.now_ns,
					NODE_ATIME_FOLLOWS_MTIME };
	int64_t stamp_ns = ns_of_timestamp(s->commit.where.timestamp_ns[0]);
	const struct dentry *d = NULL;
	struct node *n = NULL;
	bool is_root = false;

	if (s->commit.behind_ns == 0)
		return;
	if (path_ok(rec->key, rec->key_bytes))
		d = keydir_find_path(s->keydir, rec->key, rec->key_bytes);
	if (d != NULL)
		n = dentry_node(d);
	else
		n = keydir_find_dir(s->keydir, rec->key,
				    keydir_dir_bytes(rec->key, rec->key_bytes));
	while (n != NULL && !is_root && node_times(n).ctime_ns == stamp_ns) {
		keydir_write_lock(s->keydir);
		keydir_set_times(n, &now);
		keydir_write_unlock(s->keydir);
		commit_keep_times(s, &n, 1);
		is_root = n == keydir_root(s->keydir);
		n = is_root ? NULL : node_parent(n);
	}
}

/* Appends one plain record and applies it as a replay would. */
static int append_plain_locked(struct store *s, const struct record *rec, bool removes,
			       uint64_t *ret_position, uint64_t *ret_end)
	REQUIRES(s->commit_lock, commit_class)
{
	struct log_entry entry = { .rec = *rec, .value_held_bytes = rec->value_bytes };
	int err;

	commit_begin(s);
	s->commit.records[0] = *rec;
	s->commit.count = 1;
	err = commit_append(s, removes);
	if (err < 0)
		return err;
	entry.rec.timestamp_ns = s->commit.where.timestamp_ns[0];
	entry.offset = s->commit.where.position[0];
	entry.bytes = record_bytes(rec->key_bytes, rec->value_bytes);
	*ret_position = entry.offset;
	err = replay_commit(s->keydir, s->path, &entry, 1, NULL);
	if (err == 0)
		show_clock(s, rec);
	*ret_end = s->commit.where.end_position;
	return err;
}

/* Location of the value of a key: one record, or pieces. */
struct key_value {
	struct value_position value;
	struct node *node;	     /* a file whose content is in pieces; not pinned */
	struct content_map *content; /* of an unnameable key whose content is in pieces */
};

/* Finds the value of a key: of a file, or of an unnameable key. */
static int find_key(struct store *s, const void *key, size_t key_bytes, struct key_value *ret)
	REQUIRES(s->commit_lock, commit_class)
{
	const struct unnameable *u = keydir_unnameable_find(s->keydir, key, key_bytes);
	const struct dentry *d = NULL;
	struct node *n;

	*ret = (struct key_value){ 0 };
	if (u != NULL) {
		ret->value = u->value;
		ret->content = u->content;
		return 0;
	}
	if (path_ok(key, key_bytes))
		d = keydir_find_path(s->keydir, key, key_bytes);
	if (d == NULL)
		return -ENOENT;
	n = dentry_node(d);
	if (!node_is_file(n))
		return -EISDIR;
	ret->value = node_value(n);
	if (node_content(n) != NULL)
		ret->node = n;
	return 0;
}

static int wait_if_synchronous(struct store *s, uint64_t end)
{
	return s->synchronous ? log_writer_sync_to(s->log, end) : 0;
}

int store_put(struct store *s, const void *key, size_t key_bytes, const void *value,
	      size_t value_bytes, uint64_t *ret_position)
{
	struct record rec = { .key = key, .value = value };
	struct key_value found;
	uint64_t offset, end;
	int err;

	if (key_bytes == 0 || value_bytes == 0 || meta_is_key(key, key_bytes))
		return -EINVAL;
	if (key_bytes > RECORD_KEY_BYTES_MAX || value_bytes > RECORD_VALUE_BYTES_MAX)
		return -EFBIG;
	rec.key_bytes = (uint32_t)key_bytes;
	rec.value_bytes = (uint32_t)value_bytes;
	commit_lock(s);
	err = find_key(s, key, key_bytes, &found) == -EISDIR ? -EISDIR : 0;
	if (err == 0)
		err = append_plain_locked(s, &rec, false, &offset, &end);
	commit_unlock(s);
	if (err < 0)
		return err;
	if (ret_position != NULL)
		*ret_position = offset;
	return wait_if_synchronous(s, end);
}

int store_delete(struct store *s, const void *key, size_t key_bytes)
{
	struct record rec = { .key = key };
	struct key_value found;
	uint64_t offset, end;
	int err;

	if (key_bytes == 0 || key_bytes > RECORD_KEY_BYTES_MAX)
		return -ENOENT;
	rec.key_bytes = (uint32_t)key_bytes;
	do {
		commit_lock(s);
		err = find_key(s, key, key_bytes, &found);
		if (err == 0)
			err = append_plain_locked(s, &rec, true, &offset, &end);
		commit_unlock(s);
	} while (store_makes_space_for(s, err));
	return err < 0 ? err : wait_if_synchronous(s, end);
}

static int get_at(struct store *s, uint64_t offset, struct record *ret, void **ret_buffer)
{
	struct log_record found = { .data = NULL };
	int err = record_at_load(s->log, offset, &found);

	if (err < 0) {
		free(found.data);
		return err == -ERANGE ? -EBADMSG : err;
	}
	*ret = found.rec;
	*ret_buffer = found.data;
	return 0;
}

int store_get_at(struct store *s, uint64_t offset, struct record *ret, void **ret_buffer)
{
	unsigned int side = read_gate_enter(&s->gate);
	int err = get_at(s, offset, ret, ret_buffer);

	read_gate_leave(&s->gate, side);
	return err;
}

/* Reads all of a content that no other thread can change. */
static int read_content(struct store *s, const struct content_map *c, uint8_t *buf, size_t bytes)
{
	const struct store_reader reader = { .s = s };
	struct content_piece piece;
	struct content_pieces list = { .pieces = &piece };
	uint64_t at = 0, end;
	int err = 0;

	while (err == 0 && at < bytes) {
		list.count = content_map_find(c, at, &piece);
		end = list.count > 0 ? piece.offset + piece.bytes : bytes;
		err = store_read_pieces(&reader, &list, buf + at, (size_t)(end - at), at);
		at = end;
	}
	return err;
}

/* Reads a value that is in pieces. */
static int get_pieces(struct store *s, const struct key_value *found, void **ret_value,
		      size_t *ret_value_bytes) REQUIRES(s->commit_lock, commit_class)
{
	const struct content_map *c =
		found->node != NULL ? node_content(found->node) : found->content;
	uint64_t bytes = content_map_size(c);
	uint8_t *buf;
	int err;

	if (bytes > STORE_VALUE_BYTES_MAX)
		return -EFBIG;
	buf = malloc(bytes > 0 ? bytes : 1);
	if (buf == NULL)
		return -ENOMEM;
	err = read_content(s, c, buf, bytes);
	if (err < 0) {
		free(buf);
		return err;
	}
	*ret_value = buf;
	*ret_value_bytes = bytes;
	return 0;
}

static int get(struct store *s, const void *key, size_t key_bytes, void **ret_value,
	       size_t *ret_value_bytes)
{
	struct key_value found;
	bool in_pieces;
	size_t bytes;
	void *buf;
	int err;

	commit_lock(s);
	err = find_key(s, key, key_bytes, &found);
	in_pieces = err == 0 && (found.node != NULL || found.content != NULL);
	if (in_pieces) /* with the lock held, no other thread changes them */
		err = get_pieces(s, &found, ret_value, ret_value_bytes);
	commit_unlock(s);
	if (err < 0 || in_pieces)
		return err;
	bytes = found.value.value_bytes;
	buf = malloc(bytes > 0 ? bytes : 1);
	if (buf == NULL)
		return -ENOMEM;
	if (bytes > 0)
		err = store_record_error(&found.value,
					 record_at_check(s->log, &found.value,
							 value_position_header_bytes(&found.value),
							 buf, bytes));
	if (err < 0) {
		free(buf);
		return err;
	}
	*ret_value = buf;
	*ret_value_bytes = bytes;
	return 0;
}

int store_get(struct store *s, const void *key, size_t key_bytes, void **ret_value,
	      size_t *ret_value_bytes)
{
	unsigned int side = read_gate_enter(&s->gate);
	int err = get(s, key, key_bytes, ret_value, ret_value_bytes);

	read_gate_leave(&s->gate, side);
	return err;
}

/* --- unnameable keys --- */

struct unnameable_list {
	store_unnameable_fn fn;
	void *arg;
	int stopped;
};

static void list_one_unnameable(void *arg, const struct unnameable *u)
{
	struct unnameable_list *l = arg;
	uint64_t bytes = u->content != NULL ? content_map_size(u->content) : u->value.value_bytes;

	if (l->stopped == 0)
		l->stopped = l->fn(l->arg, u->key, u->key_bytes, bytes);
}

int store_list_unnameable(struct store *s, store_unnameable_fn fn, void *arg)
{
	struct unnameable_list l = { fn, arg, 0 };

	commit_lock(s);
	keydir_unnameable_each(s->keydir, list_one_unnameable, &l);
	commit_unlock(s);
	return l.stopped;
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
	commit_lock(s);
	ret->reserve_missing = !s->read_only && !reserve_is_whole(&s->reserve);
	commit_unlock(s);
}

int store_space(struct store *s, struct io_space *ret)
{
	return io_space(s->io, s->dir_fd, ret);
}

const char *store_path(const struct store *s)
{
	return s->path;
}
