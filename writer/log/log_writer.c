/* SPDX-License-Identifier: MIT */
/* The log writer: appending and syncing.  Three positions move through the file, each at most as
 * far as the one before:
 *
 *   end_position	     the last acknowledged record ends here
 *   written_position  the kernel has everything below; the rest is in 'buffer', which may begin
 *		     inside a record
 *   durable_position  fdatasync() has returned 0 for everything below
 *
 * Syncs.  At most one fdatasync() runs at a time.  A thread that needs durability runs it itself if
 * none is running: with one thread, a durable put needs no switch to another thread.  Otherwise it
 * waits, and the next sync serves all threads that have come in the meantime (group commit).  The
 * syncer thread runs the syncs for which no thread waits: at the deadline of the oldest record that
 * is not durable, and for log_writer_sync_async(). */
#include "writer/log_writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "writer/log/log_writer_private.h"
#include "writer/log/mark.h"

#define RECORD_PARTS  4 /* header, key, head and rest of the value */
#define PARTS_MAX     (1 + RECORD_PARTS * LOG_WRITER_GROUP_MAX) /* plus the buffer */
#define GATHER_SHARES 4 /* a single thread waits for this share of a sync */

/* --- writing --- */

/* Removes bytes that a failed write may have left behind the last whole record. */
int log_writer_restore_tail_locked(struct log_writer *w)
{
	int err;

	if (!w->tail_dirty)
		return 0;
	err = io_truncate(w->io, w->fd, w->written_position - w->active_start);
	if (err < 0)
		return err;
	w->tail_dirty = false;
	w->headroom_end = 0; /* the cut removes the head room, too */
	return 0;
}

/* Notes a failed write.  If the file has not changed, there is nothing to remove; on a full disk
 * that is the usual case. */
static void note_refused_locked(struct log_writer *w, uint64_t bytes) REQUIRES(w->lock, log_class)
{
	uint64_t in_file = w->written_position - w->active_start;
	struct io_stat st;

	if (w->headroom_end <= w->written_position && io_stat(w->io, w->fd, &st) == 0)
		bytes = st.size_bytes > in_file ? st.size_bytes - in_file : 0;
	if (bytes == 0)
		return;
	w->tail_dirty = true;
	if (w->refused_bytes < bytes)
		w->refused_bytes = bytes;
	/* If this fails, too, the next write first tries again. */
	(void)!log_writer_restore_tail_locked(w);
}

/* After a power cut refused bytes could be in the file again: behind a record that is shorter than
 * them, a piece of them could follow.  So the cut is made durable before such a record is written.
 * It is not made durable earlier, or each removal that a full disk refuses would cost a sync. */
static int forget_refused_locked(struct log_writer *w, uint64_t bytes) REQUIRES(w->lock, log_class)
{
	int err = log_writer_restore_tail_locked(w);

	if (err == 0 && bytes < w->refused_bytes) {
		err = io_fdatasync(w->io, w->fd);
		if (err < 0) {
			log_writer_poison_locked(w, err);
			return -EIO;
		}
		w->refused_bytes = 0;
	}
	return err;
}

/* Passes all of 'bytes' to the kernel, or none of them. */
static int write_parts_locked(struct log_writer *w, struct iovec *iov, int iov_count,
			      uint64_t bytes) REQUIRES(w->lock, log_class)
{
	int err = forget_refused_locked(w, bytes);

	if (err < 0)
		return err;
	if (w->headroom_bytes > 0)
		err = io_pwritev_all(w->io, w->fd, iov, iov_count,
				     w->written_position - w->active_start);
	else
		err = io_writev_all(w->io, w->fd, iov, iov_count);
	if (err == 0) {
		w->written_position += bytes;
		w->refused_bytes = 0;
		if (!w->no_background && log_writer_wants_headroom_locked(w))
			thread_check(pthread_cond_signal(&w->wake));
		return 0;
	}
	note_refused_locked(w, bytes);
	return err;
}

int log_writer_write_locked(struct log_writer *w, const void *bytes, size_t n)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = n };

	return write_parts_locked(w, &iov, 1, n);
}

static size_t buffered_locked(struct log_writer *w) REQUIRES(w->lock, log_class)
{
	return (size_t)(w->end_position - w->written_position);
}

/* Writes the buffer to the file.  On failure the buffer keeps its records. */
int log_writer_flush_locked(struct log_writer *w)
{
	struct iovec iov = { .iov_base = w->buffer, .iov_len = buffered_locked(w) };

	return iov.iov_len == 0 ? 0 : write_parts_locked(w, &iov, 1, iov.iov_len);
}

/* Gives each record its timestamp, strictly increasing. */
static int stamp_locked(struct log_writer *w, struct record *records, size_t record_count)
	REQUIRES(w->lock, log_class)
{
	uint64_t now_ns = io_clock_ns(w->io);
	uint64_t last_ns = w->last_timestamp_ns;

	for (size_t i = 0; i < record_count; i++) {
		if (records[i].timestamp_ns <= last_ns)
			records[i].timestamp_ns = now_ns;
		if (records[i].timestamp_ns <= last_ns)
			records[i].timestamp_ns = last_ns + 1;
		if (records[i].timestamp_ns == 0)
			return -EOVERFLOW; /* the log has the largest timestamp already */
		last_ns = records[i].timestamp_ns;
	}
	return 0;
}

static void encode_into_buffer_locked(struct log_writer *w, const struct record *records,
				      size_t record_count) REQUIRES(w->lock, log_class)
{
	uint8_t *out = w->buffer + buffered_locked(w);

	for (size_t i = 0; i < record_count; i++) {
		record_encode(&records[i], out);
		out += record_bytes(records[i].key_bytes, records[i].value_bytes);
	}
}

/* Returns the position at which the buffer is full: the last end of a block of the file that it can
 * reach. */
static uint64_t buffer_end_locked(const struct log_writer *w) REQUIRES(w->lock, log_class)
{
	uint64_t end = w->written_position + w->buffer_capacity;

	return end - ((end - w->active_start) & (w->block_bytes - 1));
}

/* Returns the position up to which to write if records of 'bytes' do not fit the buffer: the end of
 * a block if the buffer is cut at blocks, so that the kernel gets whole ones; the end of the
 * records if they are larger than the buffer. */
static uint64_t write_up_to_locked(const struct log_writer *w, uint64_t bytes)
	REQUIRES(w->lock, log_class)
{
	uint64_t end = w->end_position + bytes;

	if (bytes > w->buffer_capacity)
		return end;
	if (w->block_bytes == 1)
		return w->end_position;
	return end - ((end - w->active_start) & (w->block_bytes - 1));
}

static struct iovec *add_iovec(struct iovec *part, const void *bytes, size_t n)
{
	if (n > 0)
		*part++ = (struct iovec){ (void *)(uintptr_t)bytes, n };
	return part;
}

/* Lists the parts of 'records', with their headers encoded into 'headers'.  Returns the end of the
 * list. */
static struct iovec *list_parts(const struct record *records, size_t record_count,
				uint8_t headers[][RECORD_HEADER_BYTES], struct iovec *part)
{
	for (size_t i = 0; i < record_count; i++) {
		const struct record *rec = &records[i];

		record_encode_header(rec, headers[i]);
		part = add_iovec(part, headers[i], RECORD_HEADER_BYTES);
		part = add_iovec(part, rec->key, rec->key_bytes);
		part = add_iovec(part, rec->head, rec->head_bytes);
		part = add_iovec(part, rec->value, rec->value_bytes - rec->head_bytes);
	}
	return part;
}

/* Removes the last 'bytes' from the parts and stores them: the removed bytes of part i are in
 * rest[i].  Returns the first such i; the part before it is the last complete one. */
static int cut_parts(struct iovec *parts, int count, uint64_t bytes, struct iovec *rest)
{
	while (bytes > 0) {
		struct iovec *part = &parts[--count];
		size_t n = part->iov_len < bytes ? part->iov_len : (size_t)bytes;

		part->iov_len -= n;
		rest[count] = (struct iovec){ (uint8_t *)part->iov_base + part->iov_len, n };
		bytes -= n;
	}
	return count;
}

/* Writes the buffer and records that do not fit it in one piece, without copying the records.
 * Bytes behind the last whole block begin the next buffer. */
static int write_records_locked(struct log_writer *w, const struct record *records,
				size_t record_count, uint64_t bytes) REQUIRES(w->lock, log_class)
{
	uint8_t headers[LOG_WRITER_GROUP_MAX][RECORD_HEADER_BYTES], *out = w->buffer;
	struct iovec parts[PARTS_MAX], rest[PARTS_MAX];
	uint64_t up_to = write_up_to_locked(w, bytes);
	int count, first, err;

	parts[0] = (struct iovec){ w->buffer, buffered_locked(w) };
	count = (int)(list_parts(records, record_count, headers, parts + 1) - parts);
	first = cut_parts(parts, count, w->end_position + bytes - up_to, rest);
	err = write_parts_locked(w, parts, first < count ? first + 1 : count,
				 up_to - w->written_position);
	for (int i = first; err == 0 && i < count; i++) {
		memcpy(out, rest[i].iov_base, rest[i].iov_len);
		out += rest[i].iov_len;
	}
	return err;
}

/* Starts the fsync_interval deadline unless an older unsynced record has already started it. */
static void start_deadline_locked(struct log_writer *w) REQUIRES(w->lock, log_class)
{
	if (w->fsync_interval_ns == 0 || w->fsync_interval_ns == LOG_WRITER_NEVER)
		return;
	if (w->oldest_unsynced_ns != 0)
		return;
	w->oldest_unsynced_ns = monotonic_ns();
	thread_check(pthread_cond_signal(&w->wake));
}

/* Appends stamped records of 'bytes' in total. */
static int append_locked(struct log_writer *w, const struct record *records, size_t record_count,
			 uint64_t bytes) REQUIRES(w->lock, log_class)
{
	int err;

	if (w->end_position + bytes <= buffer_end_locked(w)) {
		encode_into_buffer_locked(w, records, record_count);
	} else {
		err = write_records_locked(w, records, record_count, bytes);
		if (err < 0)
			return err;
	}
	if (w->active_facts.records == 0)
		w->active_facts.first_timestamp_ns = records[0].timestamp_ns;
	w->active_facts.last_timestamp_ns = records[record_count - 1].timestamp_ns;
	w->active_facts.records += record_count;
	w->end_position += bytes;
	w->appends++;
	start_deadline_locked(w);
	return 0;
}

/* Stamps the records in place and appends them.  Stores the position of the first one. */
static int stamp_and_append(struct log_writer *w, struct record *records, size_t record_count,
			    uint64_t bytes, uint64_t *ret_position)
{
	int err;

	if (w->read_only)
		return -EROFS;
	log_lock(w);
	err = log_writer_rotate_if_full_locked(w, bytes);
	if (err == 0)
		err = stamp_locked(w, records, record_count);
	*ret_position = w->end_position;
	if (err == 0)
		err = append_locked(w, records, record_count, bytes);
	if (err == 0)
		w->last_timestamp_ns = records[record_count - 1].timestamp_ns;
	log_unlock(w);
	return err;
}

int log_writer_append(struct log_writer *w, const struct record *records, size_t record_count,
		      struct log_append *ret)
{
	struct record stamped[LOG_WRITER_GROUP_MAX];
	uint64_t bytes = 0, position;
	int err;

	if (record_count == 0 || record_count > LOG_WRITER_GROUP_MAX)
		return -EINVAL;
	for (size_t i = 0; i < record_count; i++) {
		stamped[i] = records[i];
		bytes += record_bytes(records[i].key_bytes, records[i].value_bytes);
	}
	err = stamp_and_append(w, stamped, record_count, bytes, &position);
	if (err < 0)
		return err;
	for (size_t i = 0; i < record_count; i++) {
		ret->timestamp_ns[i] = stamped[i].timestamp_ns;
		ret->position[i] = position;
		position += record_bytes(stamped[i].key_bytes, stamped[i].value_bytes);
	}
	ret->end_position = position;
	return 0;
}

int log_writer_put(struct log_writer *w, const void *key, uint32_t key_bytes, const void *value,
		   uint32_t value_bytes, uint64_t *ret_position)
{
	struct record rec = {
		.key = key, .key_bytes = key_bytes, .value = value, .value_bytes = value_bytes
	};
	uint64_t bytes = record_bytes(key_bytes, value_bytes), position;
	int err;

	err = stamp_and_append(w, &rec, 1, bytes, &position);
	if (err == 0 && w->fsync_interval_ns == 0)
		err = log_writer_sync_to(w, position + bytes);
	if (err == 0 && ret_position != NULL)
		*ret_position = position;
	return err;
}

/* --- syncing --- */

/* Counts a caller that waits for the next sync. */
static void join_sync_locked(struct log_writer *w) REQUIRES(w->lock, log_class)
{
	w->waiting++;
	log_writer_pay_headroom_locked(w);
	if (w->gathering && w->waiting >= w->expected)
		thread_check(pthread_cond_signal(&w->gathered));
}

/* Threads that the last sync has served are about to put again.  This waits for them, because
 * otherwise every sync would serve one half of the threads while the other half waits for the next.
 * It waits for the next thread only as long as the wait costs the present threads, in total, half
 * of the duration of the last sync, and not after log_writer_hurry(). */
static void gather_locked(struct log_writer *w) REQUIRES(w->lock, log_class)
{
	uint32_t seen = 0;

	w->gathering = true;
	while (!w->hurries && w->waiting > seen && w->waiting < w->expected) {
		uint64_t share = 2 * (uint64_t)w->waiting;
		uint64_t until_ns =
			monotonic_ns() +
			w->sync_ns_last / (share > GATHER_SHARES ? share : GATHER_SHARES);

		seen = w->waiting;
		while (!w->hurries && w->waiting < w->expected && monotonic_ns() < until_ns)
			cond_wait_until(&w->gathered, &w->lock, until_ns);
	}
	w->gathering = false;
	w->hurries = false;
}

void log_writer_hurry(struct log_writer *w)
{
	log_lock(w);
	w->hurries = true;
	thread_check(pthread_cond_signal(&w->gathered));
	log_unlock(w);
}

/* The work of one sync. */
struct sync_work {
	uint64_t durable_position; /* before the sync */
	uint64_t goal;		   /* after the sync */
	uint64_t number;	   /* of the active segment */
	uint64_t goal_in_file;	   /* the goal as an offset in it */
	int fd;			   /* of the active segment */
	uint32_t rotated_count;	   /* number of rotated segments that are not durable */
	bool sync_names;	   /* also for a reason other than rotated segments */
	bool ends_record;	   /* the goal is not inside a record */
};

/* Syncs in the order of the log: a position must not count as durable before everything in front of
 * it is.  The names of the files are included: without its name the active segment is lost. */
static int do_sync(struct log_writer *w, const struct sync_work *work)
{
	uint64_t first = work->number - work->rotated_count;
	int err = 0;

	if (work->rotated_count > 0)
		err = log_writer_sync_rotated(w, first, work->rotated_count,
					      work->durable_position);
	if (err == 0 && (work->rotated_count > 0 || work->sync_names))
		err = io_fsync(w->io, w->dir_fd);
	if (err == 0)
		err = io_fdatasync(w->io, work->fd);
	return err;
}

/* Returns whether a sync would make anything in the files durable. */
static bool has_unsynced_locked(const struct log_writer *w) REQUIRES(w->lock, log_class)
{
	return w->durable_position < w->written_position || w->rotated_count > 0 || w->names_dirty;
}

/* Describes a sync of everything that is written. */
static struct sync_work take_work_locked(struct log_writer *w) REQUIRES(w->lock, log_class)
{
	struct sync_work work = { .durable_position = w->durable_position,
				  .goal = w->written_position,
				  .number = w->active_number,
				  .goal_in_file = w->written_position - w->active_start,
				  .fd = w->fd,
				  .rotated_count = w->rotated_count,
				  .sync_names = w->names_dirty,
				  .ends_record = w->written_position == w->end_position };

	w->names_dirty = false; /* if the sync fails, the log is poisoned */
	return work;
}

static void note_synced_locked(struct log_writer *w, const struct sync_work *work, uint64_t took_ns)
	REQUIRES(w->lock, log_class)
{
	w->durable_position = work->goal;
	if (work->ends_record)
		w->durable_record_end = work->goal;
	log_writer_note_rotated_durable_locked(w, work->rotated_count);
	w->syncs++;
	w->sync_ns_total += took_ns;
	if (took_ns > w->sync_ns_max)
		w->sync_ns_max = took_ns;
}

static int sync_written_locked(struct log_writer *w) REQUIRES(w->lock, log_class)
{
	struct sync_work work = take_work_locked(w);
	uint64_t started_ns, took_ns;
	int err;

	log_unlock(w);
	started_ns = monotonic_ns();
	err = do_sync(w, &work);
	took_ns = monotonic_ns() - started_ns;
	log_lock(w);
	w->sync_ns_last = took_ns;
	/* The kernel reports an error of the disk to only one fdatasync():
	 * log_writer_restore_tail_locked() may have received the error of this one. */
	if (err == 0)
		err = w->poison;
	if (err < 0) {
		log_writer_poison_locked(w, err);
		return err;
	}
	if (work.ends_record) { /* the mark is a lower bound */
		log_unlock(w);
		synced_mark_write(w->io, w->mark_fd,
				  (struct synced){ .segment = work.number,
						   .durable_offset = work.goal_in_file,
						   .with_manifest = w->has_manifest });
		log_lock(w);
	}
	note_synced_locked(w, &work, took_ns);
	return 0;
}

/* Runs one sync of everything that is in the log now.  If the buffer cannot be written, it keeps
 * its records, and the log in front of them is still synced.  Requires that no sync is running. */
static int sync_once_locked(struct log_writer *w) REQUIRES(w->lock, log_class)
{
	uint32_t served;
	int flush_err, err = 0;

	w->syncing = true;
	gather_locked(w);
	(void)!log_writer_restore_tail_locked(w); /* best effort: only writes depend on it */
	flush_err = log_writer_flush_locked(w);
	if (flush_err == 0 && w->no_background && log_writer_wants_headroom_locked(w))
		log_writer_make_headroom_locked(w);
	if (flush_err == 0)
		w->oldest_unsynced_ns = 0; /* later records are younger */
	served = w->waiting;
	w->waiting = 0; /* callers this sync does not serve check again */
	if (w->poison == 0 && (flush_err == 0 || has_unsynced_locked(w))) {
		err = sync_written_locked(w);
		w->expected = served + w->waiting;
	}
	w->syncing = false;
	thread_check(pthread_cond_broadcast(&w->synced));
	if (w->requests != NULL)
		thread_check(pthread_cond_signal(&w->wake));
	return err < 0 ? err : flush_err;
}

int log_writer_sync_to_seal_locked(struct log_writer *w)
{
	uint32_t before = w->rotated_count;
	int err = 0;

	if (w->poison < 0)
		return -EIO;
	if (w->syncing) {
		cond_wait(&w->synced, &w->lock);
		return 0;
	}
	err = sync_once_locked(w);
	if (w->poison < 0)
		return -EIO;
	if (w->rotated_count < before)
		return 0;
	return err;
}

/* Returns whether the next sync makes everything below 'position' durable, although the last one
 * could not write the buffer: the buffer was written in the meantime. */
static bool is_next_locked(const struct log_writer *w, uint64_t position)
	REQUIRES(w->lock, log_class)
{
	return w->poison == 0 && position <= w->written_position;
}

static int sync_to_locked(struct log_writer *w, uint64_t position) REQUIRES(w->lock, log_class)
{
	int err = 0;

	if (w->poison < 0)
		return -EIO;
	if (w->durable_position < position)
		join_sync_locked(w);
	while (w->durable_position < position && (err == 0 || is_next_locked(w, position))) {
		if (w->syncing)
			cond_wait(&w->synced, &w->lock);
		else
			err = sync_once_locked(w);
		/* Always -EIO, whatever the error of the sync: -ENOSPC, for example, would mean
		 * that nothing was appended. */
		if (w->poison < 0)
			return -EIO;
	}
	return w->durable_position < position ? err : 0; /* the failure was behind 'position' */
}

int log_writer_sync_to(struct log_writer *w, uint64_t position)
{
	return WITH_LOCK(log, w,
			 position > w->end_position ? -EINVAL : sync_to_locked(w, position));
}

int log_writer_sync(struct log_writer *w)
{
	return WITH_LOCK(log, w, sync_to_locked(w, w->end_position));
}

int log_writer_sync_async(struct log_writer *w, uint64_t position, log_sync_fn done, void *arg)
{
	struct sync_request *req = malloc(sizeof(*req));
	bool wait = false;
	int err = 0;

	if (req == NULL)
		return -ENOMEM;
	*req = (struct sync_request){ .position = position, .done = done, .arg = arg };
	log_lock(w);
	if (w->poison < 0) {
		err = -EIO;
	} else if (position > w->end_position) {
		err = -EINVAL;
	} else if (w->durable_position < position) {
		wait = true;
		*w->requests_tail = req;
		w->requests_tail = &req->next;
		join_sync_locked(w);
		thread_check(pthread_cond_signal(&w->wake));
	}
	log_unlock(w);
	if (!wait) {
		free(req);
		done(arg, err);
	}
	return 0;
}

/* Removes the requests that can be answered from the list: after a failure all except those the
 * next sync can serve. */
static struct sync_request *take_answered_locked(struct log_writer *w, int err)
	REQUIRES(w->lock, log_class)
{
	struct sync_request *answered = NULL, **answered_tail = &answered;
	struct sync_request **p = &w->requests;

	while (*p != NULL) {
		struct sync_request *req = *p;

		if (req->position > w->durable_position &&
		    (err == 0 || is_next_locked(w, req->position))) {
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

/* Calls the callbacks, with the lock released. */
static void answer_locked(struct log_writer *w, int err) REQUIRES(w->lock, log_class)
{
	struct sync_request *req = take_answered_locked(w, err), *next;
	uint64_t durable_position = w->poison < 0 ? 0 : w->durable_position;

	if (w->poison < 0)
		err = -EIO; /* as in sync_to_locked() */
	if (req == NULL)
		return;
	log_unlock(w);
	for (; req != NULL; req = next) {
		next = req->next;
		req->done(req->arg, req->position <= durable_position ? 0 : err);
		free(req);
	}
	log_lock(w);
}

/* Returns the time of the syncer's next work: 0 now, UINT64_MAX if there is none. */
static uint64_t sync_due_locked(struct log_writer *w) REQUIRES(w->lock, log_class)
{
	uint64_t idle_ns = log_writer_headroom_idle_locked(w);
	uint64_t due_ns;

	if (w->requests != NULL || log_writer_syncs_to_seal_locked(w) ||
	    (!w->no_background && log_writer_wants_headroom_locked(w)))
		return 0;
	if (w->poison < 0 || w->oldest_unsynced_ns == 0)
		return idle_ns;
	due_ns = w->oldest_unsynced_ns + (uint64_t)w->fsync_interval_ns;
	return due_ns < idle_ns ? due_ns : idle_ns;
}

/* Runs one sync by the syncer, and answers all requests that it served. */
static void syncer_sync_locked(struct log_writer *w) REQUIRES(w->lock, log_class)
{
	bool made_headroom;
	int err = 0;

	answer_locked(w, w->poison); /* served, or failed, by another thread's sync */
	if (w->poison < 0)
		return;
	made_headroom = !w->no_background && log_writer_wants_headroom_locked(w);
	if (made_headroom)
		log_writer_make_headroom_locked(w);
	/* The first sync of new head room is slow: the syncer does it, so that no other thread
	 * waits for it. */
	if (w->requests == NULL && w->oldest_unsynced_ns == 0 && !made_headroom &&
	    !log_writer_syncs_to_seal_locked(w))
		return;
	if (w->syncing) {
		cond_wait(&w->synced, &w->lock);
		return;
	}
	err = sync_once_locked(w);
	if (err < 0 && w->poison == 0) { /* the disk is full: do not retry immediately */
		log_writer_rotate_later_locked(w);
		if (w->oldest_unsynced_ns != 0)
			w->oldest_unsynced_ns = monotonic_ns();
	}
	answer_locked(w, err);
}

void *log_writer_syncer_main(void *arg)
{
	struct log_writer *w = arg;

	log_lock(w);
	for (;;) {
		uint64_t due_ns = sync_due_locked(w);

		if (due_ns != 0 && w->stopping)
			break;
		if (due_ns == UINT64_MAX)
			cond_wait(&w->wake, &w->lock);
		else if (due_ns > monotonic_ns())
			cond_wait_until(&w->wake, &w->lock, due_ns);
		else if (!log_writer_cut_idle_headroom_locked(w))
			syncer_sync_locked(w);
	}
	log_unlock(w);
	return NULL;
}
