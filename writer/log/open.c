/* SPDX-License-Identifier: MIT */
/* Opening a log: its directory, files and threads; and closing it. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "codec/timestamp.h"
#include "writer/log/recovery.h"
#include "writer/log/snapshot.h"
#include "writer/log/full_disk.h"
#include "writer/log/manifest_file.h"
#include "writer/log/names.h"

#define BLOCK_BYTES_MIN 4096 /* a page */
#define BLOCK_BYTES_MAX ((uint64_t)128 * 1024)

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
	if (config->preallocate_bytes != LOG_WRITER_HEADROOM_AUTO &&
	    (config->preallocate_bytes < 0 || config->preallocate_bytes > LOG_WRITER_HEADROOM_MAX))
		return diag_set(diag, -EINVAL,
				"preallocate_bytes: %" PRId64 " is not 0 ... %" PRId64,
				config->preallocate_bytes, LOG_WRITER_HEADROOM_MAX);
	if (config->segment_size_bytes != 0 &&
	    (config->segment_size_bytes < LOG_WRITER_SEGMENT_MIN ||
	     config->segment_size_bytes > LOG_WRITER_SEGMENT_MAX))
		return diag_set(
			diag, -EINVAL,
			"segment_size_bytes: %" PRId64 " is not 0 or %" PRId64 " ... %" PRId64,
			config->segment_size_bytes, LOG_WRITER_SEGMENT_MIN, LOG_WRITER_SEGMENT_MAX);
	return 0;
}

/* Opens the directory of the log, which is made if missing. */
static int open_log_dir(struct log_writer *w, const char *dir, struct diag *diag)
{
	int err = io_mkdir(w->io, AT_FDCWD, dir, 0700);
	bool existed = err == -EEXIST;

	/* The process that made it may have been killed before the name was durable. */
	if (err == 0 || existed)
		err = io_sync_parent(w->io, dir);
	if (err == -EACCES && existed)
		err = 0; /* another user's directory: its owner must sync its name */
	if (err < 0)
		return diag_set(diag, err, "%s: cannot make the directory: %s", dir,
				strerror(-err));
	w->dir_fd = io_open(w->io, AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0);
	if (w->dir_fd < 0)
		return diag_set(diag, w->dir_fd, "%s: cannot open the directory: %s", dir,
				strerror(-w->dir_fd));
	return 0;
}

/* Takes the lock of the active segment, whose descriptor is open. */
static int lock_file(struct log_writer *w, struct io_stat *ret_st,
		     struct diag *diag) NO_THREAD_SAFETY
{
	int err = io_lock(w->io, w->fd);

	if (err == -EWOULDBLOCK)
		return diag_set(diag, err, "%s: another writer has it open", w->path);
	if (err == 0)
		err = io_stat(w->io, w->fd, ret_st);
	if (err == 0)
		err = io_fsync(w->io, w->dir_fd); /* its name, too; also after an open that was
						     interrupted here */
	if (err < 0)
		return diag_set(diag, err, "%s: cannot open for appending: %s", w->path,
				strerror(-err));
	if (!S_ISREG(ret_st->mode))
		return diag_set(diag, -EINVAL, "%s: not a regular file", w->path);
	return 0;
}

/* Opens the active segment.  If it is missing, makes it; with 'make' false nothing is opened then.
 */
static int open_active(struct log_writer *w, bool make, struct io_stat *ret_st,
		       struct diag *diag) NO_THREAD_SAFETY
{
	int flags = w->headroom_bytes > 0 ? O_RDWR : O_RDWR | O_APPEND;

	w->fd = make ? log_open_or_make(w->io, w->dir_fd, w->name, flags)
		     : io_open(w->io, w->dir_fd, w->name, flags, 0);
	if (w->fd == -ENOENT && !make) {
		w->fd = -1;
		return 0;
	}
	if (w->fd < 0)
		return diag_set(diag, w->fd, "%s: cannot open for appending: %s", w->path,
				strerror(-w->fd));
	return lock_file(w, ret_st, diag);
}

/* Finds the first missing number among the segments, from the base or the first segment ever to the
 * one before the active segment, and returns how many are missing. */
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

/* Stores the name of segment 'number', as MANIFEST lists it. */
static void name_of(struct log_writer *w, uint64_t number,
		    char ret[SEGMENT_NAME_BYTES]) NO_THREAD_SAFETY
{
	const struct manifest_segment *listed = manifest_find(&w->manifest, number);
	struct segment_id id = { .number = number, .generation = 1 };

	segment_name(listed != NULL ? listed->id : id, ret);
}

/* Refuses a log with missing segments, unless they are accepted, and a log that would lack more
 * than a log can: its numbers would have no meaning. */
static int check_missing(struct log_opening *o) NO_THREAD_SAFETY
{
	char name[SEGMENT_NAME_BYTES];
	uint64_t first = 0;

	o->recovery->segments_missing = count_missing(o->w, o->w->active_number, &first);
	if (o->recovery->segments_missing > SEGMENTS_MISSING_MAX)
		return diag_set(o->diag, -EBADMSG,
				"%s: segment %" PRIu64 " and %" PRIu64
				" more would be missing, and no log lacks so many: a number in "
				"the durable mark, in MANIFEST or in the name of a file is wrong; "
				"nothing was changed; fsck.freyjafs says which one",
				o->dir, first, o->recovery->segments_missing - 1);
	if (o->recovery->segments_missing == 0 || o->w->accepts_missing)
		return 0;
	name_of(o->w, first, name);
	return diag_set(o->diag, -EBADMSG,
			"%s/%s: is missing%s, and with it all that was written while it was the "
			"active segment; nothing was changed; put it back from a copy, or accept "
			"the loss with -o missing_segments=accept",
			o->dir, name, o->recovery->segments_missing > 1 ? " (and others)" : "");
}

/* Uses the durable mark and MANIFEST: both are lower bounds, and the higher one counts.  A mark of
 * an earlier segment has no information about the active one.  A mark of a later segment shows that
 * segments are missing. */
static void take_mark(struct log_opening *o, bool valid, uint64_t active_bytes) NO_THREAD_SAFETY
{
	struct log_writer *w = o->w;
	const struct manifest *m = &w->manifest;

	o->recovery->durable_mark_missing = !valid && active_bytes > 0;
	if (w->has_manifest)
		synced_raise(&o->mark, m->durable_number, m->durable_offset);
	w->replay_bytes = segments_end(&w->segments) + active_bytes;
	w->active_number = segments_next_number(&w->segments);
	if (w->has_manifest && w->active_number < m->active_number)
		w->active_number = m->active_number; /* the last segments are missing */
	if (o->mark.segment > w->active_number)
		w->active_number = o->mark.segment;
}

/* Refuses a log whose MANIFEST is missing. */
static int check_mark(const struct log_opening *o, bool valid)
{
	if (!valid || !o->mark.with_manifest || o->w->has_manifest || o->w->segment_bytes_max == 0)
		return 0;
	return diag_set(o->diag, -EBADMSG,
			"%s/" MANIFEST_NAME ": is missing, and the durable mark says that there "
			"was one; nothing was changed; restore the file from a copy, or make it "
			"anew from the segments with fsck.freyjafs -y",
			o->dir);
}

/* Refuses to open a log in segments as one file: it would go on without its first segments. */
static int check_one_file(const struct log_opening *o)
{
	if (o->w->segment_bytes_max > 0 || o->mark.segment <= SEGMENT_FIRST_NUMBER)
		return 0;
	return diag_set(o->diag, -EINVAL,
			"%s: is segment %" PRIu64
			" of a log in segments; nothing was changed; open it with a "
			"segment_size_bytes that is not 0",
			o->w->path, o->mark.segment);
}

static int read_mark(struct log_opening *o, uint64_t active_bytes)
{
	struct log_writer *w = o->w;
	char mark_name[NAME_MAX + 1];
	bool valid = false;
	int err;

	err = synced_mark_name(w->name, mark_name, sizeof(mark_name));
	if (err == 0)
		err = synced_mark_read(w->io, w->dir_fd, mark_name, &o->mark, &valid);
	if (err < 0)
		return diag_set(o->diag, err, "%s/%s: cannot read the durable mark: %s", o->dir,
				mark_name, strerror(-err));
	err = check_mark(o, valid);
	if (err == 0)
		err = check_one_file(o);
	if (err == 0)
		take_mark(o, valid, active_bytes);
	return err;
}

/* Reads MANIFEST, if it exists. */
static int open_manifest(struct log_opening *o) NO_THREAD_SAFETY
{
	struct log_writer *w = o->w;
	int got = manifest_file_read(w->io, w->dir_fd, o->dir, &w->manifest, o->diag);

	if (got > 0)
		log_set_take(w);
	return got < 0 ? got : 0;
}

/* Refuses a log whose active segment is missing and had durable records. */
static int check_active(const struct log_opening *o) NO_THREAD_SAFETY
{
	const struct log_writer *w = o->w;

	if (w->fd >= 0 || o->mark.segment != w->active_number || o->mark.durable_offset == 0)
		return 0;
	return diag_set(o->diag, -EBADMSG,
			"%s: is missing, and with it %" PRIu64
			" bytes that are known to have been durable; nothing was changed; "
			"put it back from a copy, or go on without it after "
			"fsck.freyjafs -y",
			w->path, o->mark.durable_offset);
}

/* Makes the active segment and the mark, if they are missing.  Only after the log is accepted: a
 * refused log must not change. */
static int make_missing(struct log_opening *o) NO_THREAD_SAFETY
{
	struct log_writer *w = o->w;
	char mark_name[NAME_MAX + 1];
	struct synced ignored;
	struct io_stat st = { 0 };
	bool valid;
	int err = w->fd < 0 ? open_active(w, true, &st, o->diag) : 0;

	if (err == 0 && st.size_bytes > 0)
		err = diag_set(o->diag, -EBUSY, "%s: another process has just made it", w->path);
	if (err < 0)
		return err;
	err = synced_mark_name(w->name, mark_name, sizeof(mark_name));
	if (err == 0)
		err = synced_mark_open(w->io, w->dir_fd, mark_name, &w->mark_fd, &ignored, &valid);
	return err < 0 ? diag_set(o->diag, err, "%s/%s: cannot open the durable mark: %s", o->dir,
				  mark_name, strerror(-err))
		       : 0;
}

/* Makes the first MANIFEST.  From then on a log without one counts as damaged. */
static int create_set(struct log_writer *w) NO_THREAD_SAFETY
{
	int err = log_set_create(w);

	if (err == 0)
		synced_mark_write(
			w->io, w->mark_fd,
			(struct synced){ .segment = w->active_number,
					 .durable_offset = w->durable_position - w->active_start,
					 .with_manifest = true });
	return err;
}

/* Lists the segments that recovery has left, and gives all files their names.  On a full disk a
 * segment that is not listed waits: its name has its size. */
static int seal_recovered(struct log_opening *o) NO_THREAD_SAFETY
{
	struct log_writer *w = o->w;
	unsigned int given_up = 0;
	int err;

	if (w->segment_bytes_max == 0)
		return 0;
	reserve_open(&w->set_reserve, w->io, w->dir_fd, RESERVE_SET_NAME, RESERVE_STEP_BYTES);
	(void)!log_writer_refill_inodes(w); /* otherwise before the next rotation */
	do
		err = w->has_manifest ? 0 : create_set(w);
	while (log_is_full(err) && log_give_up(w->io, w->dir_fd, &given_up));
	if (err == 0)
		err = log_set_list(w);
	if (log_is_full(err) && w->has_manifest && w->poison == 0)
		err = 0;
	if (err < 0)
		return diag_set(o->diag, err, "%s/" MANIFEST_NAME ": cannot write it: %s", o->dir,
				strerror(-err));
	log_writer_remove_replaced(w);
	segments_remove_leftovers(&w->segments, o->recovery->segments_missing > 0);
	return 0;
}

static int open_and_recover(struct log_opening *o) NO_THREAD_SAFETY
{
	struct log_writer *w = o->w;
	struct io_stat st = { 0 };
	int err;

	err = open_log_dir(w, o->dir, o->diag);
	if (err < 0)
		return err;
	w->segments.dir_fd = w->dir_fd;
	w->segments.may_change = true;
	err = open_active(w, false, &st, o->diag);
	if (err == 0 && w->segment_bytes_max > 0)
		err = open_manifest(o);
	if (err == 0 && w->segment_bytes_max > 0)
		err = segments_open(&w->segments, w->has_manifest ? &w->manifest : NULL, o->dir,
				    o->diag);
	if (err == 0)
		err = read_mark(o, st.size_bytes);
	if (err == 0)
		err = check_missing(o);
	if (err == 0)
		err = check_active(o);
	o->accepted = make_missing;
	if (err == 0)
		err = log_recover(o, st.size_bytes);
	return err < 0 ? err : seal_recovered(o);
}

/* Refuses a time inside the folded segments, whose states are gone. */
static int check_until(struct log_opening *o)
{
	const struct log_writer *w = o->w;
	char text[TIMESTAMP_BYTES];

	if (w->until_ns == 0 || w->until_ns >= w->segments.base.as_of_ns)
		return 0;
	return diag_set(o->diag, -ERANGE,
			"%s: compaction has folded everything up to %s into one state; earlier "
			"states are gone",
			o->dir, timestamp_format(w->segments.base.as_of_ns, text));
}

/* Notes that the log begins after the requested time, so that it is empty. */
static int note_nothing_before(struct log_opening *o) NO_THREAD_SAFETY
{
	const struct log_writer *w = o->w;
	char until[TIMESTAMP_BYTES], first[TIMESTAMP_BYTES];
	struct segment seg = { .fd = w->fd };
	uint8_t header[RECORD_HEADER_BYTES];
	struct record rec = { .timestamp_ns = 0 };
	ssize_t got;

	if (w->until_ns == 0 || o->recovery->records > 0)
		return 0;
	(void)segments_get(&o->w->segments, 0, &seg);
	got = io_pread_all(w->io, seg.fd, header, sizeof(header), 0);
	if (got < 0)
		return diag_set(o->diag, (int)got, "%s: cannot read the first record: %s", o->dir,
				strerror((int)-got));
	if ((size_t)got == sizeof(header))
		(void)record_decode_header(header, &rec);
	if (rec.timestamp_ns > w->until_ns)
		(void)diag_set(o->diag, 0,
			       "%s: was empty at %s: the first record of the log is of %s", o->dir,
			       timestamp_format(w->until_ns, until),
			       timestamp_format(rec.timestamp_ns, first));
	return 0;
}

static int open_read_only(struct log_opening *o) NO_THREAD_SAFETY
{
	struct log_writer *w = o->w;
	struct log_snapshot files = { .fd = -1, .segments = &w->segments };
	int err;

	w->dir_fd = io_open(w->io, AT_FDCWD, o->dir, O_RDONLY | O_DIRECTORY, 0);
	if (w->dir_fd < 0)
		return diag_set(o->diag, w->dir_fd, "%s: cannot open the directory: %s", o->dir,
				strerror(-w->dir_fd));
	w->segments.dir_fd = w->dir_fd;
	err = log_snapshot_open(&files, o->dir, w->name, o->diag);
	w->fd = files.fd;
	w->manifest = files.manifest;
	if (err < 0)
		return err;
	if (files.has_manifest)
		log_set_take(w);
	o->mark = files.mark;
	err = check_mark(o, files.mark_valid);
	if (err < 0)
		return err;
	take_mark(o, files.mark_valid, files.active.size_bytes);
	err = check_missing(o);
	if (err == 0)
		err = check_active(o);
	if (err == 0)
		err = check_until(o);
	if (err == 0)
		err = log_recover_read_only(o, files.active.size_bytes);
	return err < 0 ? err : note_nothing_before(o);
}

/* Frees everything; for a writer whose syncer thread does not run. */
static void destroy_log(struct log_writer *w) NO_THREAD_SAFETY
{
	segments_close(&w->segments);
	reserve_close(&w->set_reserve);
	(void)io_close(w->io, &w->mark_fd);
	(void)io_close(w->io, &w->fd); /* synced or failed already */
	(void)io_close(w->io, &w->dir_fd);
	thread_check(pthread_cond_destroy(&w->rotated_durable));
	thread_check(pthread_cond_destroy(&w->gathered));
	thread_check(pthread_cond_destroy(&w->synced));
	thread_check(pthread_cond_destroy(&w->wake));
	mutex_destroy(&w->lock);
	mutex_destroy(&w->set_lock);
	manifest_free(&w->manifest);
	free(w->buffer);
	free(w->name);
	free(w->path);
	free(w);
}

/* Returns the size of the blocks at whose ends a full buffer is cut. ext4 takes 64 KiB that begin
 * at a multiple of 64 KiB in two thirds of the time of 64 KiB that begin elsewhere: it makes one
 * large folio of them, and touches no page twice.  With cuts at pages it takes nine tenths.  A
 * buffer larger than the largest block is cut at the end of a record: for such buffers whole blocks
 * cost more time than they save (docs/TUNING.md). */
static uint64_t block_bytes(size_t buffer_capacity)
{
	uint64_t bytes = BLOCK_BYTES_MAX;

	if (buffer_capacity < BLOCK_BYTES_MIN || buffer_capacity > BLOCK_BYTES_MAX)
		return 1;
	while (bytes > buffer_capacity)
		bytes /= 2;
	return bytes;
}

static struct log_writer *create_log(const struct log_writer_config *config,
				     const char *name) NO_THREAD_SAFETY
{
	struct log_writer *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return NULL;
	w->io = config->io != NULL ? config->io : &io_posix;
	w->fd = w->mark_fd = w->dir_fd = w->set_reserve.fd = -1;
	w->set_reserve.io = w->io;
	w->fsync_interval_ns = config->fsync_interval_ns;
	/* If puts must be durable on return, no record may stay in a buffer. */
	w->buffer_capacity = w->fsync_interval_ns == 0 ? 0 : (size_t)config->buffer_size_bytes;
	w->block_bytes = block_bytes(w->buffer_capacity);
	w->no_background = config->no_background;
	w->keeps_reserves = config->keeps_reserves;
	w->rotate_failed = config->rotate_failed;
	w->rotate_failed_arg = config->rotate_failed_arg;
	w->rotated_bytes_max = ROTATED_BYTES_MAX;
	log_writer_set_headroom(w, config->preallocate_bytes);
	w->segment_bytes_max = w->segment_bytes_now = (uint64_t)config->segment_size_bytes;
	w->accepts_missing = config->accept_missing_segments;
	w->read_only = config->read_only;
	w->ignores_hints = config->read_only && config->ignore_hints;
	w->until_ns = config->read_only ? config->until_ns : 0;
	w->progress = config->progress;
	w->ahead = config->ahead;
	w->active_number = SEGMENT_FIRST_NUMBER;
	w->requests_tail = &w->requests;
	segments_init(&w->segments, w->io, -1);
	mutex_init(&w->lock);
	mutex_init(&w->set_lock);
	cond_init(&w->wake);
	cond_init(&w->synced);
	cond_init(&w->gathered);
	cond_init(&w->rotated_durable);
	w->path = strdup(config->file_path);
	w->name = strdup(name);
	if (w->buffer_capacity > 0)
		w->buffer = malloc(w->buffer_capacity);
	if (w->path == NULL || w->name == NULL || (w->buffer_capacity > 0 && w->buffer == NULL)) {
		destroy_log(w);
		return NULL;
	}
	return w;
}

/* Returns the number of the first segment that the hinter must handle. */
static uint64_t first_without_digest(struct log_writer *w) NO_THREAD_SAFETY
{
	struct segment seg;

	for (size_t i = 0; segments_get(&w->segments, i, &seg); i++)
		if (!seg.facts.has_digest)
			return seg.number;
	return w->active_number;
}

static int start_log_threads(struct log_writer *w, bool background,
			     struct diag *diag) NO_THREAD_SAFETY
{
	int err = -pthread_create(&w->syncer, NULL, log_writer_syncer_main, w);

	if (err < 0)
		return diag_set(diag, err, "%s: cannot start the sync thread: %s", w->path,
				strerror(-err));
	w->hint_from = first_without_digest(w);
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
	struct log_opening o = {
		.dir = dir, .fn = fn, .arg = arg, .recovery = &recovery, .diag = diag
	};
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
	w = create_log(config, slash == NULL ? config->file_path : slash + 1);
	if (w == NULL)
		return diag_set(diag, -ENOMEM, "%s: out of memory", config->file_path);
	o.w = w;
	err = w->read_only ? open_read_only(&o) : open_and_recover(&o);
	if (err == 0 && !w->read_only)
		err = start_log_threads(w, !config->no_background, diag);
	if (err < 0) {
		destroy_log(w);
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

/* Makes everything durable, and cuts the file behind its records. */
static int sync_and_trim(struct log_writer *w)
{
	int err = log_writer_sync(w);

	if (err == 0)
		(void)!log_writer_seal(w); /* they are durable; or the next open seals */
	log_lock(w);
	/* A failure is harmless: the next open recognises the zeros. */
	if (err == 0 && w->headroom_end > w->written_position &&
	    log_writer_trim_headroom_locked(w) == 0)
		(void)!io_fdatasync(w->io, w->fd);
	log_unlock(w);
	return err;
}

int log_writer_close(struct log_writer *w)
{
	int err;

	if (w == NULL)
		return 0;
	if (w->read_only) {
		destroy_log(w);
		return 0;
	}
	log_lock(w);
	w->stopping = true;
	thread_check(pthread_cond_signal(&w->wake));
	thread_check(pthread_cond_signal(&w->rotated_durable));
	log_unlock(w);
	atomic_store(&w->stop_hinter, true);
	thread_check(pthread_join(w->syncer, NULL));
	if (w->has_hinter)
		thread_check(pthread_join(w->hinter, NULL));
	err = sync_and_trim(w);
	if (err == 0)
		log_recover_leave_hint(w);
	destroy_log(w);
	return err;
}
