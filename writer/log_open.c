/* SPDX-License-Identifier: MIT */
/* Opening a log: its directory, its files, recovery, the sync thread; and closing it. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "codec/timestamp.h"
#include "writer/log_tail.h"
#include "writer/log_writer_private.h"

#define BLOCK_BYTES_MIN 4096 /* a page */
#define BLOCK_BYTES_MAX ((uint64_t)256 * 1024)

static int check_config(const struct log_writer_config *config, struct diag *diag)
{
	int64_t interval = config->fsync_interval_ns;

	if (config->file_path == NULL || config->file_path[0] == '\0')
		return diag_set(diag, -EINVAL, "file_path: empty");
	if (interval < 0 || (interval > LOG_WRITER_INTERVAL_MAX_NS && interval != LOG_WRITER_NEVER))
		return diag_set(diag, -EINVAL,
				"fsync_interval_ns: %" PRId64 " is not 0 ... one hour, or never",
				interval);
	if (config->buffer_size_bytes < 0 || config->buffer_size_bytes > LOG_WRITER_BUFFER_MAX)
		return diag_set(diag, -EINVAL,
				"buffer_size_bytes: %" PRId64 " is not 0 ... %" PRId64,
				config->buffer_size_bytes, LOG_WRITER_BUFFER_MAX);
	if (config->preallocate_bytes < 0 || config->preallocate_bytes > LOG_WRITER_ROOM_MAX)
		return diag_set(diag, -EINVAL,
				"preallocate_bytes: %" PRId64 " is not 0 ... %" PRId64,
				config->preallocate_bytes, LOG_WRITER_ROOM_MAX);
	if (config->segment_size_bytes != 0 &&
	    (config->segment_size_bytes < LOG_WRITER_SEGMENT_MIN ||
	     config->segment_size_bytes > LOG_WRITER_SEGMENT_MAX))
		return diag_set(
			diag, -EINVAL,
			"segment_size_bytes: %" PRId64 " is not 0 or %" PRId64 " ... %" PRId64,
			config->segment_size_bytes, LOG_WRITER_SEGMENT_MIN, LOG_WRITER_SEGMENT_MAX);
	return 0;
}

/* Opens the directory of the log, making it if it is missing. */
static int open_dir(struct log_writer *w, const char *dir, struct diag *diag)
{
	int err = io_mkdir(w->io, AT_FDCWD, dir, 0700);
	bool existed = err == -EEXIST;

	/* Whoever made it may have been killed before its name was durable. */
	if (err == 0 || existed)
		err = io_sync_parent(w->io, dir);
	if (err == -EACCES && existed)
		err = 0; /* somebody else's directory: its name is theirs to sync */
	if (err < 0)
		return diag_set(diag, err, "%s: cannot make the directory: %s", dir,
				strerror(-err));
	w->dir_fd = io_open(w->io, AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0);
	if (w->dir_fd < 0)
		return diag_set(diag, w->dir_fd, "%s: cannot open the directory: %s", dir,
				strerror(-w->dir_fd));
	return 0;
}

static int open_file(struct log_writer *w, struct io_stat *ret_st,
		     struct diag *diag) NO_THREAD_SAFETY
{
	int err;

	w->fd = io_open(w->io, w->dir_fd, w->name,
			O_RDWR | O_CREAT | (w->room_bytes > 0 ? 0 : O_APPEND), 0600);
	if (w->fd < 0)
		return diag_set(diag, w->fd, "%s: cannot open for appending: %s", w->path,
				strerror(-w->fd));
	err = io_lock(w->io, w->fd);
	if (err == -EWOULDBLOCK)
		return diag_set(diag, err, "%s: another writer has it open", w->path);
	if (err == 0)
		err = io_stat(w->io, w->fd, ret_st);
	if (err == 0)
		err = io_fsync(
			w->io,
			w->dir_fd); /* its name, too; also after an open that was cut off here */
	if (err < 0)
		return diag_set(diag, err, "%s: cannot open for appending: %s", w->path,
				strerror(-err));
	if (!S_ISREG(ret_st->mode))
		return diag_set(diag, -EINVAL, "%s: not a regular file", w->path);
	return 0;
}

/* Finds the first number that is missing among the sealed segments, from the base or the first one
 * that ever was to the one before the active segment, and counts them all. */
static uint64_t count_missing(struct log_writer *w, uint64_t active_number, uint64_t *ret_first)
{
	uint64_t next = SEGMENT_FIRST_NUMBER, missing = 0;
	struct segment seg;

	if (w->segments.base_number != 0)
		next = w->segments.base_number;
	for (size_t i = 0; segments_get(&w->segments, i, &seg); i++) {
		if (seg.number > next && missing == 0)
			*ret_first = next;
		missing += seg.number - next;
		next = seg.number + 1;
	}
	if (active_number > next && missing == 0)
		*ret_first = next;
	return active_number > next ? missing + active_number - next : missing;
}

/* Refuses a log that lacks sealed segments, unless that is accepted. */
static int check_missing(struct log_writer *w, const char *dir, struct log_recovery *rec,
			 struct diag *diag)
{
	char name[SEGMENT_NAME_BYTES];
	uint64_t first = 0;

	rec->segments_missing = count_missing(w, w->active_number, &first);
	if (rec->segments_missing == 0 || w->keeps_going)
		return 0;
	segment_name(first, name);
	return diag_set(diag, -EBADMSG,
			"%s/%s: is missing%s, and with it all that was written while it was the "
			"active segment; nothing was changed; put it back from a copy, or accept "
			"the loss with -o missing_segments=accept",
			dir, name, rec->segments_missing > 1 ? " (and others)" : "");
}

/* Whoever watches the replay watches that of 't'. */
static void observe(const struct log_writer *w, struct log_tail *t)
{
	t->ahead = w->ahead;
	t->progress = w->progress;
	t->all_bytes = w->replay_bytes;
}

/* Replays one sealed segment. */
static int replay_sealed(struct log_writer *w, const struct segment *seg, const char *dir,
			 log_replay_fn fn, void *arg, struct log_recovery *rec,
			 struct diag *diag) NO_THREAD_SAFETY
{
	char name[SEGMENT_NAME_BYTES], hint_name[SEGMENT_NAME_BYTES];
	char path[PATH_MAX + SEGMENT_NAME_BYTES];
	struct hint_about about = {
		.segment = seg->number,
		.segment_bytes = seg->bytes,
		.segment_fd = seg->fd,
		.name = hint_name,
	};
	struct log_tail t = {
		.io = w->io,
		.dir_fd = w->dir_fd,
		.fd = seg->fd,
		.name = name,
		.path = path,
		.number = seg->number,
		.start = seg->start,
		.until_ns = w->until_ns,
		.file_bytes = seg->bytes,
		.durable_bytes = seg->bytes,
		.sealed = true,
	};
	int err;

	segment_name(seg->number, name);
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	err = hint_file_name(name, hint_name, sizeof(hint_name));
	if (err < 0)
		return err; /* cannot be */
	observe(w, &t);
	if (!w->ignores_hints)
		t.hint = hint_reader_open(w->io, w->dir_fd, &about);
	if (t.hint == NULL && !w->read_only)
		t.add_to = hint_writer_open(w->io, w->dir_fd, hint_name);
	err = log_tail_replay(&t, fn, arg, diag);
	hint_writer_close(t.add_to, err == 0 ? &about : NULL);
	rec->hints += t.hint != NULL;
	hint_reader_close(t.hint);
	if (err < 0)
		return err;
	w->reached_until = t.reached_until;
	rec->records += t.records;
	rec->segments++;
	segments_set_timestamp(&w->segments, seg->number, t.last_timestamp_ns);
	if (t.last_timestamp_ns > w->last_timestamp_ns)
		w->last_timestamp_ns = t.last_timestamp_ns;
	return 0;
}

static int replay_all_sealed(struct log_writer *w, const char *dir, log_replay_fn fn, void *arg,
			     struct log_recovery *rec, struct diag *diag)
{
	struct segment seg;
	int err = 0;

	for (size_t i = 0; err == 0 && !w->reached_until && segments_get(&w->segments, i, &seg);
	     i++)
		err = replay_sealed(w, &seg, dir, fn, arg, rec, diag);
	return err;
}

/* Says what a hint of the active segment would be about; false: it has none. */
static bool active_hint(struct log_writer *w, uint64_t file_bytes, char hint_name[NAME_MAX + 1],
			struct hint_about *ret) NO_THREAD_SAFETY
{
	*ret = (struct hint_about){
		.segment = w->active_number,
		.segment_bytes = file_bytes,
		.segment_fd = w->fd,
		.name = hint_name,
	};
	return w->segment_bytes_max > 0 && hint_file_name(w->name, hint_name, NAME_MAX + 1) == 0;
}

/* Takes the hint that a clean close has left, if all of the file is known to be durable. */
static void use_active_hint(struct log_writer *w, struct log_tail *t)
{
	char hint_name[NAME_MAX + 1];
	struct hint_about about;

	if (t->durable_bytes == t->file_bytes && t->file_bytes > 0 && !w->ignores_hints &&
	    active_hint(w, t->file_bytes, hint_name, &about))
		t->hint = hint_reader_open(w->io, w->dir_fd, &about);
}

/* The segment is about to grow. */
static void drop_active_hint(struct log_writer *w)
{
	char hint_name[NAME_MAX + 1];
	struct hint_about about;

	if (active_hint(w, 0, hint_name, &about))
		(void)!io_unlink(w->io, w->dir_fd, hint_name); /* or it is seen to be too old */
}

/* Leaves a hint, so that the next open need not read the segment. */
static void leave_active_hint(struct log_writer *w) NO_THREAD_SAFETY
{
	char hint_name[NAME_MAX + 1];
	struct hint_about about;

	if (w->end_offset > w->active_start &&
	    active_hint(w, w->end_offset - w->active_start, hint_name, &about))
		hint_file_make(w->io, w->dir_fd, &about, NULL);
}

/* Replays the active segment, cuts a torn tail, and makes durable what is left: what a reader sees
 * from here on must not be lost by a power cut that follows a crash of the process alone. */
static int recover_active(struct log_writer *w, struct log_tail *t, log_replay_fn fn, void *arg,
			  struct log_recovery *rec, struct diag *diag) NO_THREAD_SAFETY
{
	bool zeros_cut = false;
	int err;

	observe(w, t);
	use_active_hint(w, t);
	err = log_tail_replay(t, fn, arg, diag);
	rec->hints += t->hint != NULL;
	hint_reader_close(t->hint);
	if (err < 0)
		return err;
	drop_active_hint(w);
	if (t->stop.scan != RECORD_END && w->room_bytes > 0) {
		err = log_tail_cut_zeros(t, &zeros_cut, diag);
		if (err < 0)
			return err;
		if (zeros_cut)
			t->stop = (struct log_stop){ .offset = t->kept_bytes, .scan = RECORD_END };
	}
	if (t->stop.scan != RECORD_END) {
		err = log_tail_cut(t, rec->quarantine, sizeof(rec->quarantine), diag);
		if (err < 0)
			return err;
		(void)diag_set(diag, 0,
			       "%s: cut %" PRIu64 " bytes at offset %" PRIu64
			       ", the end of an append that did not finish (%s); saved as %s",
			       t->path, t->file_bytes - t->kept_bytes, t->kept_bytes,
			       record_reason_text(t->stop.reason), rec->quarantine);
	}
	err = zeros_cut ? io_fsync(w->io, w->fd) : io_fdatasync(w->io, w->fd);
	if (err < 0)
		return diag_set(diag, err, "%s: cannot sync: %s", t->path, strerror(-err));
	synced_mark_write(w->io, w->mark_fd, w->active_number,
			  t->kept_bytes); /* only a lower bound */
	rec->file_bytes = t->file_bytes;
	rec->kept_bytes = t->kept_bytes;
	rec->durable_bytes = t->durable_bytes;
	rec->records += t->records;
	rec->stop = t->stop;
	w->active_start = t->start;
	w->end_offset = w->written_offset = w->durable_offset = t->start + t->kept_bytes;
	if (t->last_timestamp_ns > w->last_timestamp_ns)
		w->last_timestamp_ns = t->last_timestamp_ns;
	return 0;
}

/* Takes in what the durable mark says.  One of an earlier segment says nothing about the active
 * one: it was sealed since.  One of a later segment says that sealed ones are missing.  Returns how
 * much of the active segment is durable. */
static uint64_t take_mark(struct log_writer *w, const struct synced *mark, bool valid,
			  const struct io_stat *st, struct log_recovery *rec) NO_THREAD_SAFETY
{
	rec->durable_mark_missing = !valid && st->size_bytes > 0;
	w->replay_bytes = segments_end(&w->segments) + st->size_bytes;
	w->active_number = segments_next_number(&w->segments);
	if (mark->segment > w->active_number)
		w->active_number = mark->segment;
	return mark->segment == w->active_number ? mark->durable_offset : 0;
}

static int open_mark(struct log_writer *w, const char *dir, const struct io_stat *st,
		     uint64_t *ret_durable_bytes, struct log_recovery *rec,
		     struct diag *diag) NO_THREAD_SAFETY
{
	char mark_name[NAME_MAX + 1];
	struct synced mark = { 0 };
	bool valid = false;
	int err;

	err = synced_mark_name(w->name, mark_name, sizeof(mark_name));
	if (err == 0)
		err = synced_mark_open(w->io, w->dir_fd, mark_name, &w->mark_fd, &mark, &valid);
	if (err < 0)
		return diag_set(diag, err, "%s/%s: cannot open the durable mark: %s", dir, w->name,
				strerror(-err));
	*ret_durable_bytes = take_mark(w, &mark, valid, st, rec);
	return 0;
}

static int open_and_recover(struct log_writer *w, const char *dir, log_replay_fn fn, void *arg,
			    struct log_recovery *rec, struct diag *diag) NO_THREAD_SAFETY
{
	struct log_tail tail = { .io = w->io, .name = w->name, .path = w->path };
	struct io_stat st = { 0 };
	int err;

	err = open_dir(w, dir, diag);
	if (err < 0)
		return err;
	w->segments.dir_fd = w->dir_fd;
	err = open_file(w, &st, diag);
	if (err == 0 && w->segment_bytes_max > 0)
		err = segments_open(&w->segments, dir, diag);
	if (err == 0)
		err = open_mark(w, dir, &st, &tail.durable_bytes, rec, diag);
	if (err == 0)
		err = check_missing(w, dir, rec, diag);
	if (err == 0)
		err = replay_all_sealed(w, dir, fn, arg, rec, diag);
	if (err < 0)
		return err;
	tail.dir_fd = w->dir_fd;
	tail.fd = w->fd;
	tail.number = w->active_number;
	tail.start = segments_end(&w->segments);
	tail.file_bytes = st.size_bytes;
	err = recover_active(w, &tail, fn, arg, rec, diag);
	if (err == 0)
		segments_remove_leftovers(&w->segments);
	return err;
}

/* Replays the active segment of a log that is only read: nothing is cut. */
static int replay_active(struct log_writer *w, struct log_tail *t, log_replay_fn fn, void *arg,
			 struct log_recovery *rec, struct diag *diag) NO_THREAD_SAFETY
{
	int err = 0;

	t->dir_fd = w->dir_fd;
	t->fd = w->fd;
	t->number = w->active_number;
	t->start = segments_end(&w->segments);
	t->until_ns = w->until_ns;
	t->may_shrink = true;
	rec->file_bytes = t->file_bytes;
	rec->durable_bytes = t->durable_bytes;
	if (!w->reached_until) {
		observe(w, t);
		use_active_hint(w, t);
		err = log_tail_replay(t, fn, arg, diag);
		rec->hints += t->hint != NULL;
		hint_reader_close(t->hint);
	}
	rec->kept_bytes = t->kept_bytes;
	rec->records += t->records;
	rec->stop = t->stop;
	w->active_start = t->start;
	w->end_offset = w->written_offset = w->durable_offset = t->start + t->kept_bytes;
	if (t->last_timestamp_ns > w->last_timestamp_ns)
		w->last_timestamp_ns = t->last_timestamp_ns;
	return err;
}

/* A time that is inside what was folded cannot be gone back to. */
static int check_until(struct log_writer *w, const char *dir, struct diag *diag)
{
	char text[TIMESTAMP_BYTES];

	if (w->until_ns == 0 || w->until_ns >= w->segments.base_as_of_ns)
		return 0;
	return diag_set(diag, -ERANGE,
			"%s: compaction has folded everything up to %s into one state; earlier "
			"states are gone",
			dir, timestamp_format(w->segments.base_as_of_ns, text));
}

static int open_read_only(struct log_writer *w, const char *dir, log_replay_fn fn, void *arg,
			  struct log_recovery *rec, struct diag *diag) NO_THREAD_SAFETY
{
	struct log_tail tail = {
		.io = w->io, .name = w->name, .path = w->path, .stop = { .scan = RECORD_END }
	};
	struct io_stat st = { 0 };
	struct synced mark;
	bool valid;
	int err;

	w->dir_fd = io_open(w->io, AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0);
	if (w->dir_fd < 0)
		return diag_set(diag, w->dir_fd, "%s: cannot open the directory: %s", dir,
				strerror(-w->dir_fd));
	err = log_snapshot_open(w, dir, &st, &mark, &valid, diag);
	if (err < 0)
		return err;
	tail.durable_bytes = take_mark(w, &mark, valid, &st, rec);
	tail.file_bytes = st.size_bytes;
	err = check_missing(w, dir, rec, diag);
	if (err == 0)
		err = check_until(w, dir, diag);
	if (err == 0)
		err = replay_all_sealed(w, dir, fn, arg, rec, diag);
	return err < 0 ? err : replay_active(w, &tail, fn, arg, rec, diag);
}

/* Frees everything; for a writer whose syncer thread does not run. */
static void destroy(struct log_writer *w) NO_THREAD_SAFETY
{
	segments_close(&w->segments);
	(void)io_close(w->io, &w->mark_fd);
	(void)io_close(w->io, &w->fd); /* synced before, or failed before */
	(void)io_close(w->io, &w->dir_fd);
	thread_check(pthread_cond_destroy(&w->sealed));
	thread_check(pthread_cond_destroy(&w->gathered));
	thread_check(pthread_cond_destroy(&w->synced));
	thread_check(pthread_cond_destroy(&w->wake));
	mutex_destroy(&w->lock);
	free(w->buffer);
	free(w->name);
	free(w->path);
	free(w);
}

/* A full buffer is cut at the end of a block of so many bytes.  ext4 takes 64 KiB that begin at
 * a multiple of 64 KiB in two thirds of the time of 64 KiB that begin elsewhere: it makes one large
 * folio of them, and touches no page twice.  Cut at pages alone they take nine tenths. */
static uint64_t block_bytes(size_t buffer_room)
{
	uint64_t bytes = BLOCK_BYTES_MAX;

	if (buffer_room < BLOCK_BYTES_MIN)
		return 1;
	while (bytes > buffer_room)
		bytes /= 2;
	return bytes;
}

static struct log_writer *create(const struct log_writer_config *config,
				 const char *name) NO_THREAD_SAFETY
{
	struct log_writer *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return NULL;
	w->io = config->io != NULL ? config->io : &io_posix;
	w->fd = w->mark_fd = w->dir_fd = -1;
	w->fsync_interval_ns = config->fsync_interval_ns;
	/* A put that is durable when it returns leaves nothing in a buffer. */
	w->buffer_room = w->fsync_interval_ns == 0 ? 0 : (size_t)config->buffer_size_bytes;
	w->block_bytes = block_bytes(w->buffer_room);
	w->no_background = config->no_background;
	w->room_bytes = (uint64_t)config->preallocate_bytes;
	w->segment_bytes_max = w->segment_bytes_now = (uint64_t)config->segment_size_bytes;
	w->keeps_going = config->accept_missing_segments;
	w->read_only = config->read_only;
	w->ignores_hints = config->read_only && config->ignore_hints;
	w->until_ns = config->read_only ? config->until_ns : 0;
	w->progress = config->progress;
	w->ahead = config->ahead;
	w->active_number = SEGMENT_FIRST_NUMBER;
	w->requests_tail = &w->requests;
	segments_init(&w->segments, w->io, -1);
	mutex_init(&w->lock);
	cond_init(&w->wake);
	cond_init(&w->synced);
	cond_init(&w->gathered);
	cond_init(&w->sealed);
	w->path = strdup(config->file_path);
	w->name = strdup(name);
	if (w->buffer_room > 0)
		w->buffer = malloc(w->buffer_room);
	if (w->path == NULL || w->name == NULL || (w->buffer_room > 0 && w->buffer == NULL)) {
		destroy(w);
		return NULL;
	}
	return w;
}

static int start_threads(struct log_writer *w, bool background, struct diag *diag) NO_THREAD_SAFETY
{
	int err = -pthread_create(&w->syncer, NULL, log_writer_syncer_main, w);

	if (err < 0)
		return diag_set(diag, err, "%s: cannot start the sync thread: %s", w->path,
				strerror(-err));
	w->hint_from = w->active_number;
	if (background && w->segment_bytes_max > 0) /* without it the next open writes hints */
		w->has_hinter = pthread_create(&w->hinter, NULL, log_writer_hinter_main, w) == 0;
	return 0;
}

int log_writer_open_replay(const struct log_writer_config *config, log_replay_fn fn, void *arg,
			   struct log_writer **ret, struct log_recovery *ret_recovery,
			   struct diag *diag)
{
	struct log_recovery recovery = { 0 };
	char dir[PATH_MAX];
	const char *slash;
	struct log_writer *w;
	int err;

	(void)diag_set(diag, 0, "%s", "");
	err = check_config(config, diag);
	if (err < 0)
		return err;
	slash = strrchr(config->file_path, '/');
	if (strlen(config->file_path) >= sizeof(dir) || (slash != NULL && slash[1] == '\0'))
		return diag_set(diag, -EINVAL, "%s: not the path of a file", config->file_path);
	if (slash == NULL)
		(void)snprintf(dir, sizeof(dir), ".");
	else
		(void)snprintf(dir, sizeof(dir), "%.*s",
			       slash == config->file_path ? 1 : (int)(slash - config->file_path),
			       config->file_path);
	w = create(config, slash == NULL ? config->file_path : slash + 1);
	if (w == NULL)
		return diag_set(diag, -ENOMEM, "%s: out of memory", config->file_path);
	if (w->read_only)
		err = open_read_only(w, dir, fn, arg, &recovery, diag);
	else
		err = open_and_recover(w, dir, fn, arg, &recovery, diag);
	if (err == 0 && !w->read_only)
		err = start_threads(w, !config->no_background, diag);
	if (err < 0) {
		destroy(w);
		return err;
	}
	if (ret_recovery != NULL)
		*ret_recovery = recovery;
	*ret = w;
	return 0;
}

int log_writer_open(const struct log_writer_config *config, struct log_writer **ret,
		    struct diag *diag)
{
	return log_writer_open_replay(config, NULL, NULL, ret, NULL, diag);
}

/* Makes everything durable, and the file as long as its records. */
static int sync_and_trim(struct log_writer *w)
{
	int err = log_writer_sync(w);

	mutex_lock(&w->lock);
	/* Not a failure where it cannot be: the next open takes zeros for what they are. */
	if (err == 0 && w->room_end > w->written_offset && log_writer_trim_room_locked(w) == 0)
		(void)!io_fdatasync(w->io, w->fd);
	mutex_unlock(&w->lock);
	return err;
}

int log_writer_close(struct log_writer *w)
{
	int err;

	if (w == NULL)
		return 0;
	if (w->read_only) {
		destroy(w);
		return 0;
	}
	mutex_lock(&w->lock);
	w->stopping = true;
	thread_check(pthread_cond_signal(&w->wake));
	thread_check(pthread_cond_signal(&w->sealed));
	mutex_unlock(&w->lock);
	atomic_store(&w->stop_hinter, true);
	thread_check(pthread_join(w->syncer, NULL));
	if (w->has_hinter)
		thread_check(pthread_join(w->hinter, NULL));
	err = sync_and_trim(w);
	if (err == 0)
		leave_active_hint(w);
	destroy(w);
	return err;
}
