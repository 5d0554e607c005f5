/* SPDX-License-Identifier: MIT */
/* Three positions move through the file, each at most as far as the one before:
 *
 *   end_offset	     the last acknowledged record ends here
 *   written_offset  the kernel has everything below; the rest is in 'buffer'
 *   durable_offset  fdatasync() has returned 0 for everything below
 *
 * Syncs.  At most one fdatasync() runs.  A thread that needs durability runs it itself if none is
 * running: with one thread, a durable put costs no switch to another thread.  Otherwise it waits,
 * and all who came meanwhile are served by the next one (group commit).  The syncer thread runs
 * those that nobody waits for: at the deadline of the oldest record that is not durable, and for
 * log_writer_sync_async(). */
#include "writer/log_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "writer/log_tail.h"
#include "writer/synced_mark.h"
#include "writer/thread.h"

#define GATHER_SHARE 4 /* at most a fourth of the last sync is spent on waiting for company */

/* Somebody who asked to be called when the log is durable up to 'offset'. */
struct sync_request {
	struct sync_request *next;
	uint64_t offset;
	log_sync_fn done;
	void *arg;
};

struct log_writer {
	/* Constant after open. */
	struct io *io;
	char *path;
	int dir_fd;
	int fd;	     /* owned */
	int mark_fd; /* owned; written by whoever has 'syncing' set */
	int64_t fsync_interval_ns;
	size_t buffer_room; /* 0: no buffer */
	uint8_t *buffer;
	pthread_t syncer;

	/* Released around fdatasync(), so appends go on during a sync. */
	struct mutex lock;
	pthread_cond_t wake;	 /* with lock: the syncer has something new to look at */
	pthread_cond_t synced;	 /* with lock: a sync ended */
	pthread_cond_t gathered; /* with lock: as many wait as before */

	/* All below: by lock. */
	uint64_t end_offset GUARDED;
	uint64_t written_offset GUARDED;
	uint64_t durable_offset GUARDED; /* moves after fdatasync(), not when it is queued */
	uint64_t last_timestamp_ns GUARDED;
	uint64_t oldest_unsynced_ns GUARDED; /* monotonic; 0: no deadline is running */
	bool tail_dirty GUARDED;   /* bytes of a failed write may stand behind written_offset */
	bool syncing GUARDED;	   /* a sync runs, or waits for company */
	bool gathering GUARDED;	   /* it waits for company */
	uint32_t waiting GUARDED;  /* callers that the next sync will serve */
	uint32_t expected GUARDED; /* callers that waited when the last sync ended, served or not */
	uint64_t sync_ns_last GUARDED;
	bool stopping GUARDED;
	int poison GUARDED; /* 0 or the first -errno of a sync; never reset */
	struct sync_request *requests GUARDED;
	struct sync_request **requests_tail GUARDED;

	uint64_t appends GUARDED;
	uint64_t syncs GUARDED;
	uint64_t sync_ns_max GUARDED;
};

/* --- writing --- */

static void poison_locked(struct log_writer *w, int err) REQUIRES(w->lock)
{
	if (w->poison == 0)
		w->poison = err;
}

/* Takes away what a failed write may have left behind the last whole record, and makes that
 * durable: else, after a power cut, a later record could be followed by a piece of what was
 * refused. */
static int restore_tail_locked(struct log_writer *w) REQUIRES(w->lock)
{
	int err;

	if (!w->tail_dirty)
		return 0;
	err = io_truncate(w->io, w->fd, w->written_offset);
	if (err < 0)
		return err;
	err = io_fdatasync(w->io, w->fd);
	if (err < 0) {
		poison_locked(w, err);
		return -EIO;
	}
	w->tail_dirty = false;
	return 0;
}

/* Hands 'bytes' to the kernel in one piece, or none of them. */
static int write_locked(struct log_writer *w, struct iovec *iov, int iov_count, uint64_t bytes)
	REQUIRES(w->lock)
{
	int err = restore_tail_locked(w);

	if (err < 0)
		return err;
	err = io_writev_all(w->io, w->fd, iov, iov_count);
	if (err == 0) {
		w->written_offset += bytes;
		return 0;
	}
	w->tail_dirty = true;
	(void)restore_tail_locked(w); /* if this fails too, the next write tries again first */
	return err;
}

static size_t buffered_locked(struct log_writer *w) REQUIRES(w->lock)
{
	return (size_t)(w->end_offset - w->written_offset);
}

/* Writes the buffer out.  On failure it keeps its records. */
static int flush_buffer_locked(struct log_writer *w) REQUIRES(w->lock)
{
	struct iovec iov = { .iov_base = w->buffer, .iov_len = buffered_locked(w) };

	return iov.iov_len == 0 ? 0 : write_locked(w, &iov, 1, iov.iov_len);
}

/* Gives each record its timestamp, strictly increasing. */
static int stamp_locked(struct log_writer *w, struct record *records, size_t record_count)
	REQUIRES(w->lock)
{
	uint64_t now_ns = w->io->ops->now_ns(w->io);
	uint64_t last_ns = w->last_timestamp_ns;

	for (size_t i = 0; i < record_count; i++) {
		if (records[i].timestamp_ns <= last_ns)
			records[i].timestamp_ns = now_ns;
		if (records[i].timestamp_ns <= last_ns)
			records[i].timestamp_ns = last_ns + 1;
		if (records[i].timestamp_ns == 0)
			return -EOVERFLOW; /* the log holds the last timestamp there is */
		last_ns = records[i].timestamp_ns;
	}
	return 0;
}

static void encode_into_buffer_locked(struct log_writer *w, const struct record *records,
				      size_t record_count) REQUIRES(w->lock)
{
	uint8_t *out = w->buffer + buffered_locked(w);

	for (size_t i = 0; i < record_count; i++) {
		record_encode(&records[i], out);
		out += record_bytes(records[i].key_bytes, records[i].value_bytes);
	}
}

/* Writes records past the buffer, without copying them. */
static int write_records_locked(struct log_writer *w, const struct record *records,
				size_t record_count, uint64_t bytes) REQUIRES(w->lock)
{
	uint8_t headers[LOG_WRITER_GROUP_MAX][RECORD_HEADER_BYTES];
	struct iovec iov[3 * LOG_WRITER_GROUP_MAX];

	for (size_t i = 0; i < record_count; i++) {
		const struct record *rec = &records[i];

		record_encode_header(rec, headers[i]);
		iov[3 * i] = (struct iovec){ headers[i], RECORD_HEADER_BYTES };
		iov[3 * i + 1] = (struct iovec){ (void *)(uintptr_t)rec->key, rec->key_bytes };
		iov[3 * i + 2] = (struct iovec){ (void *)(uintptr_t)rec->value, rec->value_bytes };
	}
	return write_locked(w, iov, (int)(3 * record_count), bytes);
}

/* Starts the clock of promise "at most an interval", unless an older record has started it. */
static void start_deadline_locked(struct log_writer *w) REQUIRES(w->lock)
{
	if (w->fsync_interval_ns == 0 || w->fsync_interval_ns == LOG_WRITER_NEVER)
		return;
	if (w->oldest_unsynced_ns != 0)
		return;
	w->oldest_unsynced_ns = monotonic_ns();
	thread_check(pthread_cond_signal(&w->wake));
}

/* Appends stamped records of 'bytes' in all. */
static int append_locked(struct log_writer *w, const struct record *records, size_t record_count,
			 uint64_t bytes) REQUIRES(w->lock)
{
	int err;

	if (buffered_locked(w) + bytes > w->buffer_room) {
		err = flush_buffer_locked(w);
		if (err < 0)
			return err;
	}
	if (bytes <= w->buffer_room) {
		encode_into_buffer_locked(w, records, record_count);
	} else {
		err = write_records_locked(w, records, record_count, bytes);
		if (err < 0)
			return err;
	}
	w->end_offset += bytes;
	w->appends++;
	start_deadline_locked(w);
	return 0;
}

int log_writer_append(struct log_writer *w, const struct record *records, size_t record_count,
		      struct log_append *ret)
{
	struct record stamped[LOG_WRITER_GROUP_MAX];
	uint64_t bytes = 0, offset;
	int err;

	if (record_count == 0 || record_count > LOG_WRITER_GROUP_MAX)
		return -EINVAL;
	for (size_t i = 0; i < record_count; i++) {
		stamped[i] = records[i];
		bytes += record_bytes(records[i].key_bytes, records[i].value_bytes);
	}
	mutex_lock(&w->lock);
	err = w->poison < 0 ? -EIO : stamp_locked(w, stamped, record_count);
	offset = w->end_offset;
	if (err == 0)
		err = append_locked(w, stamped, record_count, bytes);
	if (err == 0)
		w->last_timestamp_ns = stamped[record_count - 1].timestamp_ns;
	mutex_unlock(&w->lock);
	if (err < 0)
		return err;
	for (size_t i = 0; i < record_count; i++) {
		ret->timestamp_ns[i] = stamped[i].timestamp_ns;
		ret->offset[i] = offset;
		offset += record_bytes(stamped[i].key_bytes, stamped[i].value_bytes);
	}
	ret->end_offset = offset;
	return 0;
}

int log_writer_put(struct log_writer *w, const void *key, uint32_t key_bytes, const void *value,
		   uint32_t value_bytes, uint64_t *ret_offset)
{
	struct record rec = {
		.key = key, .key_bytes = key_bytes, .value = value, .value_bytes = value_bytes
	};
	struct log_append where;
	int err;

	err = log_writer_append(w, &rec, 1, &where);
	if (err == 0 && w->fsync_interval_ns == 0)
		err = log_writer_sync_to(w, where.end_offset);
	if (err == 0 && ret_offset != NULL)
		*ret_offset = where.offset[0];
	return err;
}

/* --- syncing --- */

/* Counts a caller that waits for a sync that has not begun. */
static void join_sync_locked(struct log_writer *w) REQUIRES(w->lock)
{
	w->waiting++;
	if (w->gathering && w->waiting >= w->expected)
		thread_check(pthread_cond_signal(&w->gathered));
}

/* Threads that were served a moment ago are about to put again: waits a little for them, or every
 * sync would serve one half of the threads while the other half waits for the next. */
static void gather_locked(struct log_writer *w) REQUIRES(w->lock)
{
	uint64_t until_ns;

	if (w->waiting == 0 || w->waiting >= w->expected)
		return;
	until_ns = monotonic_ns() + w->sync_ns_last / GATHER_SHARE;
	w->syncing = w->gathering = true;
	while (w->waiting < w->expected && monotonic_ns() < until_ns)
		cond_wait_until(&w->gathered, &w->lock, until_ns);
	w->syncing = w->gathering = false;
}

/* Runs one sync of all that is in the log now.  The caller has made sure that none is running. */
static int sync_once_locked(struct log_writer *w) REQUIRES(w->lock)
{
	uint64_t goal, started_ns, took_ns;
	uint32_t served;
	int err;

	gather_locked(w);
	(void)restore_tail_locked(w); /* best effort here: only a write depends on it */
	err = flush_buffer_locked(w);
	if (err < 0) {
		/* The records are still in the buffer.  Who came while this one gathered sees for
		 * itself. */
		w->waiting = 0;
		thread_check(pthread_cond_broadcast(&w->synced));
		return err;
	}
	goal = w->written_offset;
	w->oldest_unsynced_ns = 0; /* what comes from here on is younger */
	w->syncing = true;
	served = w->waiting;
	w->waiting = 0;
	mutex_unlock(&w->lock);
	started_ns = monotonic_ns();
	err = io_fdatasync(w->io, w->fd);
	took_ns = monotonic_ns() - started_ns;
	if (err == 0)
		synced_mark_write(w->io, w->mark_fd, goal); /* only a lower bound */
	mutex_lock(&w->lock);
	w->syncing = false;
	w->expected = served + w->waiting;
	w->sync_ns_last = took_ns;
	if (err < 0) {
		poison_locked(w, err);
	} else {
		w->durable_offset = goal;
		w->syncs++;
		if (took_ns > w->sync_ns_max)
			w->sync_ns_max = took_ns;
	}
	thread_check(pthread_cond_broadcast(&w->synced));
	if (w->requests != NULL)
		thread_check(pthread_cond_signal(&w->wake));
	return err;
}

static int sync_to_locked(struct log_writer *w, uint64_t offset) REQUIRES(w->lock)
{
	int err = 0;

	if (w->poison < 0)
		return -EIO;
	if (w->durable_offset < offset)
		join_sync_locked(w);
	while (err == 0 && w->durable_offset < offset) {
		if (w->syncing)
			cond_wait(&w->synced, &w->lock);
		else
			err = sync_once_locked(w);
		/* Whatever the sync failed with: -ENOSPC, say, would mean that nothing was
		 * appended. */
		if (w->poison < 0)
			return -EIO;
	}
	return err;
}

int log_writer_sync_to(struct log_writer *w, uint64_t offset)
{
	int err;

	mutex_lock(&w->lock);
	err = offset > w->end_offset ? -EINVAL : sync_to_locked(w, offset);
	mutex_unlock(&w->lock);
	return err;
}

int log_writer_sync(struct log_writer *w)
{
	int err;

	mutex_lock(&w->lock);
	err = sync_to_locked(w, w->end_offset);
	mutex_unlock(&w->lock);
	return err;
}

int log_writer_sync_async(struct log_writer *w, uint64_t offset, log_sync_fn done, void *arg)
{
	struct sync_request *req = malloc(sizeof(*req));
	bool wait = false;
	int err = 0;

	if (req == NULL)
		return -ENOMEM;
	*req = (struct sync_request){ .offset = offset, .done = done, .arg = arg };
	mutex_lock(&w->lock);
	if (w->poison < 0) {
		err = -EIO;
	} else if (offset > w->end_offset) {
		err = -EINVAL;
	} else if (w->durable_offset < offset) {
		wait = true;
		*w->requests_tail = req;
		w->requests_tail = &req->next;
		join_sync_locked(w);
		thread_check(pthread_cond_signal(&w->wake));
	}
	mutex_unlock(&w->lock);
	if (!wait) {
		free(req);
		done(arg, err);
	}
	return 0;
}

/* Takes off the list the requests that can be answered: all of them after a failure. */
static struct sync_request *take_answered_locked(struct log_writer *w, int err) REQUIRES(w->lock)
{
	struct sync_request *answered = NULL, **answered_tail = &answered;
	struct sync_request **p = &w->requests;

	while (*p != NULL) {
		struct sync_request *req = *p;

		if (err == 0 && req->offset > w->durable_offset) {
			p = &req->next;
			continue;
		}
		*p = req->next;
		req->next = NULL;
		*answered_tail = req;
		answered_tail = &req->next;
	}
	w->requests_tail = p;
	return answered;
}

/* Calls back, with the lock released. */
static void answer_locked(struct log_writer *w, int err) REQUIRES(w->lock)
{
	struct sync_request *req = take_answered_locked(w, err), *next;

	if (w->poison < 0)
		err = -EIO; /* as sync_to_locked() */
	if (req == NULL)
		return;
	mutex_unlock(&w->lock);
	for (; req != NULL; req = next) {
		next = req->next;
		req->done(req->arg, err);
		free(req);
	}
	mutex_lock(&w->lock);
}

/* Says when the next sync is due: 0 now, UINT64_MAX when nobody needs one. */
static uint64_t sync_due_locked(struct log_writer *w) REQUIRES(w->lock)
{
	if (w->requests != NULL)
		return 0;
	if (w->poison < 0 || w->oldest_unsynced_ns == 0)
		return UINT64_MAX;
	return w->oldest_unsynced_ns + (uint64_t)w->fsync_interval_ns;
}

/* One sync by the syncer, and the answers to all whom it served. */
static void syncer_sync_locked(struct log_writer *w) REQUIRES(w->lock)
{
	int err = 0;

	answer_locked(w, w->poison); /* served, or failed, by another thread's sync meanwhile */
	if (w->poison < 0)
		return;
	if (w->requests == NULL && w->oldest_unsynced_ns == 0)
		return;
	if (w->syncing) {
		cond_wait(&w->synced, &w->lock);
		return;
	}
	err = sync_once_locked(w);
	if (err < 0 && w->poison == 0 && w->oldest_unsynced_ns != 0)
		w->oldest_unsynced_ns =
			monotonic_ns(); /* the disk is full: again after an interval */
	answer_locked(w, err);
}

static void *syncer_main(void *arg)
{
	struct log_writer *w = arg;

	mutex_lock(&w->lock);
	for (;;) {
		uint64_t due_ns = sync_due_locked(w);

		if (due_ns != 0 && w->stopping)
			break;
		if (due_ns == UINT64_MAX)
			cond_wait(&w->wake, &w->lock);
		else if (due_ns > monotonic_ns())
			cond_wait_until(&w->wake, &w->lock, due_ns);
		else
			syncer_sync_locked(w);
	}
	mutex_unlock(&w->lock);
	return NULL;
}

/* --- queries --- */

ssize_t log_writer_read(struct log_writer *w, void *buf, size_t n, uint64_t offset)
{
	size_t from_file, from_buffer;
	ssize_t got = 0;

	mutex_lock(&w->lock);
	if (offset >= w->end_offset) {
		mutex_unlock(&w->lock);
		return 0;
	}
	if (n > w->end_offset - offset)
		n = (size_t)(w->end_offset - offset);
	from_file = 0;
	if (offset < w->written_offset)
		from_file =
			w->written_offset - offset < n ? (size_t)(w->written_offset - offset) : n;
	from_buffer = n - from_file;
	if (from_buffer > 0)
		memcpy((uint8_t *)buf + from_file,
		       w->buffer + (offset + from_file - w->written_offset), from_buffer);
	mutex_unlock(&w->lock);
	if (from_file > 0)
		got = io_pread_all(w->io, w->fd, buf, from_file, offset);
	if (got < 0)
		return got;
	return (size_t)got < from_file ? got : (ssize_t)n;
}

void log_writer_stats(struct log_writer *w, struct log_writer_stats *ret)
{
	mutex_lock(&w->lock);
	*ret = (struct log_writer_stats){
		.end_offset = w->end_offset,
		.written_offset = w->written_offset,
		.durable_offset = w->durable_offset,
		.last_timestamp_ns = w->last_timestamp_ns,
		.appends = w->appends,
		.syncs = w->syncs,
		.sync_ns_max = w->sync_ns_max,
		.poison = w->poison,
	};
	mutex_unlock(&w->lock);
}

uint64_t log_writer_size(struct log_writer *w)
{
	struct log_writer_stats stats;

	log_writer_stats(w, &stats);
	return stats.end_offset;
}

uint64_t log_writer_durable_offset(struct log_writer *w)
{
	struct log_writer_stats stats;

	log_writer_stats(w, &stats);
	return stats.durable_offset;
}

uint64_t log_writer_last_timestamp(struct log_writer *w)
{
	struct log_writer_stats stats;

	log_writer_stats(w, &stats);
	return stats.last_timestamp_ns;
}

const char *log_writer_path(const struct log_writer *w)
{
	return w->path;
}

/* --- open and close --- */

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

static int open_file(struct log_writer *w, const char *name, struct io_stat *ret_st,
		     struct diag *diag)
{
	int err;

	w->fd = io_open(w->io, w->dir_fd, name, O_RDWR | O_APPEND | O_CREAT, 0600);
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

/* Replays the log, cuts a torn tail, and makes durable what is left: what a reader sees from here
 * on must not be lost by a power cut that follows a crash of the process alone. */
static int recover(struct log_writer *w, struct log_tail *t, log_replay_fn fn, void *arg,
		   struct log_recovery *rec, struct diag *diag) NO_THREAD_SAFETY
{
	int err = log_tail_replay(t, fn, arg, diag);

	if (err < 0)
		return err;
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
	err = io_fdatasync(w->io, w->fd);
	if (err < 0)
		return diag_set(diag, err, "%s: cannot sync: %s", t->path, strerror(-err));
	synced_mark_write(w->io, w->mark_fd, t->kept_bytes); /* only a lower bound */
	rec->file_bytes = t->file_bytes;
	rec->kept_bytes = t->kept_bytes;
	rec->durable_bytes = t->durable_bytes;
	rec->records = t->records;
	rec->stop = t->stop;
	w->end_offset = w->written_offset = w->durable_offset = t->kept_bytes;
	w->last_timestamp_ns = t->last_timestamp_ns;
	return 0;
}

static int open_and_recover(struct log_writer *w, const char *dir, const char *name,
			    log_replay_fn fn, void *arg, struct log_recovery *rec,
			    struct diag *diag)
{
	struct log_tail tail = { .io = w->io, .name = name, .path = w->path };
	char mark_name[NAME_MAX + 1];
	struct io_stat st = { 0 };
	bool mark_valid = false;
	int err;

	err = open_dir(w, dir, diag);
	if (err < 0)
		return err;
	err = open_file(w, name, &st, diag);
	if (err < 0)
		return err;
	err = synced_mark_name(name, mark_name, sizeof(mark_name));
	if (err == 0)
		err = synced_mark_open(w->io, w->dir_fd, mark_name, &w->mark_fd,
				       &tail.durable_bytes, &mark_valid);
	if (err < 0)
		return diag_set(diag, err, "%s/%s: cannot open the durable mark: %s", dir, name,
				strerror(-err));
	rec->durable_mark_missing = !mark_valid && st.size_bytes > 0;
	tail.dir_fd = w->dir_fd;
	tail.fd = w->fd;
	tail.file_bytes = st.size_bytes;
	return recover(w, &tail, fn, arg, rec, diag);
}

/* Frees everything; for a writer whose syncer thread does not run. */
static void destroy(struct log_writer *w)
{
	(void)io_close(w->io, &w->mark_fd);
	(void)io_close(w->io, &w->fd); /* synced before, or failed before */
	(void)io_close(w->io, &w->dir_fd);
	thread_check(pthread_cond_destroy(&w->gathered));
	thread_check(pthread_cond_destroy(&w->synced));
	thread_check(pthread_cond_destroy(&w->wake));
	mutex_destroy(&w->lock);
	free(w->buffer);
	free(w->path);
	free(w);
}

static struct log_writer *create(const struct log_writer_config *config) NO_THREAD_SAFETY
{
	struct log_writer *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return NULL;
	w->io = config->io != NULL ? config->io : &io_posix;
	w->fd = w->mark_fd = w->dir_fd = -1;
	w->fsync_interval_ns = config->fsync_interval_ns;
	/* A put that is durable when it returns leaves nothing in a buffer. */
	w->buffer_room = w->fsync_interval_ns == 0 ? 0 : (size_t)config->buffer_size_bytes;
	w->requests_tail = &w->requests;
	mutex_init(&w->lock);
	cond_init(&w->wake);
	cond_init(&w->synced);
	cond_init(&w->gathered);
	w->path = strdup(config->file_path);
	if (w->buffer_room > 0)
		w->buffer = malloc(w->buffer_room);
	if (w->path == NULL || (w->buffer_room > 0 && w->buffer == NULL)) {
		destroy(w);
		return NULL;
	}
	return w;
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
	w = create(config);
	if (w == NULL)
		return diag_set(diag, -ENOMEM, "%s: out of memory", config->file_path);
	err = open_and_recover(w, dir, slash == NULL ? config->file_path : slash + 1, fn, arg,
			       &recovery, diag);
	if (err == 0) {
		err = -pthread_create(&w->syncer, NULL, syncer_main, w);
		if (err < 0)
			(void)diag_set(diag, err, "%s: cannot start the sync thread: %s", w->path,
				       strerror(-err));
	}
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

int log_writer_close(struct log_writer *w)
{
	int err;

	if (w == NULL)
		return 0;
	mutex_lock(&w->lock);
	w->stopping = true;
	thread_check(pthread_cond_signal(&w->wake));
	mutex_unlock(&w->lock);
	thread_check(pthread_join(w->syncer, NULL));
	err = log_writer_sync(w);
	destroy(w);
	return err;
}
