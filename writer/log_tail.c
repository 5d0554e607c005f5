/* SPDX-License-Identifier: MIT */
#include "writer/log_tail.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/meta.h"
#include "writer/log_reader.h"

#define COPY_CHUNK_BYTES ((size_t)256 * 1024)
#define REPORT_BYTES_MAX 2048
#define BATCH_RECORDS	 16 /* that are announced before the first one of them is replayed */

/* The records of a group that has begun and not ended.  Each owns one buffer for its key and value.
 */
struct group {
	struct log_entry *entries;
	size_t count, room;
	uint64_t offset; /* of the first record */
};

static void group_reset(struct group *g)
{
	for (size_t i = 0; i < g->count; i++)
		free((void *)(uintptr_t)g->entries[i].rec.key);
	g->count = 0;
}

static void group_free(struct group *g)
{
	group_reset(g);
	free(g->entries);
}

/* Appends a copy of 'entry'; of a plain record without the value, which nobody needs in order to
 * know where it is. */
static int group_add(struct group *g, const struct log_entry *entry)
{
	size_t key_bytes = entry->rec.key_bytes;
	bool is_meta = meta_is_key(entry->rec.key, key_bytes);
	uint32_t value_bytes = is_meta ? entry->value_held_bytes : 0;
	uint8_t *copy;

	if (g->count == g->room) {
		size_t room = g->room == 0 ? LOG_WRITER_GROUP_MAX : g->room * 2;
		void *entries = reallocarray(g->entries, room, sizeof(g->entries[0]));

		if (entries == NULL)
			return -ENOMEM;
		g->entries = entries;
		g->room = room;
	}
	copy = malloc(key_bytes + value_bytes + 1); /* never 0 bytes */
	if (copy == NULL)
		return -ENOMEM;
	memcpy(copy, entry->rec.key, key_bytes);
	memcpy(copy + key_bytes, entry->rec.value, value_bytes);
	if (g->count == 0)
		g->offset = entry->offset;
	g->entries[g->count] = *entry;
	g->entries[g->count].rec.key = copy;
	g->entries[g->count].rec.value = copy + key_bytes;
	g->entries[g->count].value_held_bytes = value_bytes;
	g->count++;
	return 0;
}

/* Takes in one record: completes a commit and hands it on, or keeps it for the rest of its group.
 */
static int take(struct log_tail *t, struct group *g, const struct log_entry *entry,
		log_replay_fn fn, void *arg, struct diag *diag)
{
	bool more = meta_has_more(entry->rec.key, entry->rec.key_bytes, entry->rec.value,
				  entry->value_held_bytes);
	size_t count = g->count + 1;
	int err = 0;

	if (more || g->count > 0) {
		err = group_add(g, entry);
		if (err < 0)
			return diag_set(diag, err, "%s: out of memory", t->path);
	}
	if (more)
		return 0;
	if (t->until_ns != 0 && entry->rec.timestamp_ns > t->until_ns) {
		t->reached_until = true;
		group_reset(g);
		return 0;
	}
	if (fn != NULL)
		err = fn(arg, g->count > 0 ? g->entries : entry, count, diag);
	if (err == 0) {
		t->kept_bytes = entry->offset - t->start + entry->bytes;
		t->records += count;
	}
	group_reset(g);
	return err;
}

/* Reads up to BATCH_RECORDS records that are in memory at the same time. */
static int next_batch(struct log_tail *t, struct log_reader *r, struct log_entry *ret)
{
	int count;

	if (t->hint != NULL)
		hint_reader_drop(t->hint);
	count = t->hint != NULL ? hint_reader_next(t->hint, ret) : log_reader_next(r, ret);
	if (count <= 0)
		return count;
	while (count < BATCH_RECORDS &&
	       (t->hint != NULL ? hint_reader_next(t->hint, &ret[count]) > 0
				: log_reader_next_held(r, &ret[count])))
		count++;
	return count;
}

/* Hands on the records of a batch. */
static int take_batch(struct log_tail *t, struct group *g, struct log_entry *entries, size_t count,
		      log_replay_fn fn, void *arg, struct diag *diag)
{
	int err = 0;

	for (size_t i = 0; t->ahead != NULL && i < count; i++)
		t->ahead(arg, &entries[i].rec);
	for (size_t i = 0; err == 0 && !t->reached_until && i < count; i++) {
		struct log_entry *entry = &entries[i];

		hint_writer_add(t->add_to, entry);
		if (entry->rec.timestamp_ns > t->last_timestamp_ns)
			t->last_timestamp_ns = entry->rec.timestamp_ns;
		entry->segment = t->number;
		entry->file_offset = entry->offset;
		entry->offset += t->start;
		err = take(t, g, entry, fn, arg, diag);
	}
	return err;
}

static int read_all(struct log_tail *t, struct log_reader *r, struct group *g, log_replay_fn fn,
		    void *arg, struct diag *diag)
{
	struct log_entry batch[BATCH_RECORDS];
	int count, err = 0;

	while ((count = next_batch(t, r, batch)) > 0) {
		if (t->progress != NULL)
			t->progress(arg, t->start + batch[0].offset, t->all_bytes);
		err = take_batch(t, g, batch, (size_t)count, fn, arg, diag);
		if (err < 0)
			return err;
		if (t->reached_until) {
			t->stop = (struct log_stop){ .offset = t->kept_bytes, .scan = RECORD_END };
			return 0;
		}
	}
	if (count < 0)
		return diag_set(diag, count,
				"%s: reading failed after offset %" PRIu64
				": %s; nothing was changed",
				t->path, t->kept_bytes, strerror(-count));
	t->stop = t->hint != NULL ? (struct log_stop){ .offset = t->file_bytes, .scan = RECORD_END }
				  : log_reader_stop(r);
	if (g->count > 0) {
		/* Whatever stands behind it, the group has no end: the log stops where it began. */
		if (t->stop.scan == RECORD_END)
			t->stop.reason = RECORD_REASON_GROUP;
		t->stop.scan = RECORD_TORN;
		t->stop.offset = g->offset - t->start;
	}
	return 0;
}

/* Refuses a log that lacks bytes which were durable: that is damage, not a torn append. */
static int check_durable(const struct log_tail *t, struct diag *diag)
{
	if (t->stop.scan != RECORD_END && t->sealed)
		return diag_set(diag, -EBADMSG,
				"%s: damaged at offset %" PRIu64
				": %s, in a segment that was complete and durable; nothing was "
				"changed; restore the file from a copy, or salvage with "
				"fsck.freyjafs",
				t->path, t->stop.offset, record_reason_text(t->stop.reason));
	if (t->stop.scan != RECORD_END && t->stop.offset < t->durable_bytes)
		return diag_set(
			diag, -EBADMSG,
			"%s: damaged at offset %" PRIu64
			": %s, though the log is known to be durable up "
			"to offset %" PRIu64
			"; nothing was changed; restore the file from a copy, or salvage with "
			"fsck.freyjafs",
			t->path, t->stop.offset, record_reason_text(t->stop.reason),
			t->durable_bytes);
	if (t->file_bytes < t->durable_bytes && !t->reached_until)
		return diag_set(diag, -EBADMSG,
				"%s: ends at offset %" PRIu64
				", though the log is known to be durable up to offset %" PRIu64
				": its end is missing; nothing was changed; restore the file from "
				"a copy, or "
				"salvage with fsck.freyjafs",
				t->path, t->file_bytes, t->durable_bytes);
	return 0;
}

int log_tail_replay(struct log_tail *t, log_replay_fn fn, void *arg, struct diag *diag)
{
	struct group group = { 0 };
	struct log_reader *reader = NULL;
	int err = 0;

	t->kept_bytes = t->from_bytes;
	t->records = 0;
	t->reached_until = false;
	t->last_timestamp_ns = 0;
	if (t->hint == NULL)
		err = log_reader_open(t->io, t->fd, t->from_bytes, t->file_bytes, &reader);
	if (err < 0)
		return diag_set(diag, err, "%s: out of memory", t->path);
	if (t->may_shrink && reader != NULL)
		log_reader_allow_shrinking(reader);
	err = read_all(t, reader, &group, fn, arg, diag);
	if (err == 0)
		err = check_durable(t, diag);
	group_free(&group);
	log_reader_close(reader);
	return err;
}

/* Finds the end of the last byte at or behind 'from' that is not zero; 'from' if there is none. */
static int find_last_nonzero(const struct log_tail *t, uint8_t *chunk, uint64_t *ret_end)
{
	uint64_t end = t->file_bytes;

	while (end > t->kept_bytes) {
		uint64_t left = end - t->kept_bytes;
		size_t n = left < COPY_CHUNK_BYTES ? (size_t)left : COPY_CHUNK_BYTES;
		ssize_t got = io_pread_all(t->io, t->fd, chunk, n, end - n);

		if (got < 0)
			return (int)got;
		for (size_t i = (size_t)got; i > 0; i--) {
			if (chunk[i - 1] != 0) {
				*ret_end = end - n + i;
				return 0;
			}
		}
		end -= n;
	}
	*ret_end = end;
	return 0;
}

static int copy_range(const struct log_tail *t, uint64_t from, uint64_t to, int out_fd,
		      uint8_t *chunk)
{
	uint64_t done = from;

	while (done < to) {
		size_t n = to - done < COPY_CHUNK_BYTES ? (size_t)(to - done) : COPY_CHUNK_BYTES;
		ssize_t got = io_pread_all(t->io, t->fd, chunk, n, done);
		int err;

		if (got < 0)
			return (int)got;
		if ((size_t)got != n)
			return -EIO; /* the file shrank */
		err = io_pwrite_all(t->io, out_fd, chunk, n, done - from);
		if (err < 0)
			return err;
		done += n;
	}
	return 0;
}

/* Creates file 'name' in quarantine/, which must not exist. */
static int create_in(struct io *io, int dir_fd, const char *name)
{
	return io_open(io, dir_fd, name, O_RDWR | O_CREAT | O_EXCL, 0600);
}

static int save_bytes(const struct log_tail *t, int quarantine_fd, const char *name, uint64_t end,
		      uint8_t *chunk)
{
	int fd = create_in(t->io, quarantine_fd, name);
	int err, close_err;

	if (fd < 0)
		return fd;
	err = copy_range(t, t->kept_bytes, end, fd, chunk);
	if (err == 0)
		err = io_fsync(t->io, fd);
	close_err = io_close(t->io, &fd);
	return err < 0 ? err : close_err;
}

static int save_report(const struct log_tail *t, int quarantine_fd, const char *name,
		       const char *bytes_name, uint64_t end, uint64_t now_ns)
{
	char text[REPORT_BYTES_MAX];
	int fd, err, close_err, len;

	len = snprintf(text, sizeof(text),
		       "file: %s\n"
		       "offset: %" PRIu64 "\n"
		       "length: %" PRIu64 "\n"
		       "reason: %s\n"
		       "durable_offset: %" PRIu64 "\n"
		       "saved_as: %s\n"
		       "saved_bytes: %" PRIu64 "\n"
		       "trailing_zero_bytes: %" PRIu64 "\n"
		       "cut_at_ns: %" PRIu64 "\n",
		       t->name, t->kept_bytes, t->file_bytes - t->kept_bytes,
		       record_reason_text(t->stop.reason), t->durable_bytes, bytes_name,
		       end - t->kept_bytes, t->file_bytes - end, now_ns);
	if (len < 0 || (size_t)len >= sizeof(text))
		return -ENAMETOOLONG;
	fd = create_in(t->io, quarantine_fd, name);
	if (fd < 0)
		return fd;
	err = io_pwrite_all(t->io, fd, text, (size_t)len, 0);
	if (err == 0)
		err = io_fsync(t->io, fd);
	close_err = io_close(t->io, &fd);
	return err < 0 ? err : close_err;
}

/* Writes the bytes and the report into quarantine/ and makes them durable. */
static int save(const struct log_tail *t, int quarantine_fd, char *ret_name, size_t ret_name_size)
{
	uint64_t now_ns = t->io->ops->now_ns(t->io);
	uint8_t *chunk = malloc(COPY_CHUNK_BYTES);
	char name[NAME_MAX + 1], report[NAME_MAX + 1];
	uint64_t end = t->kept_bytes;
	int err, len;

	if (chunk == NULL)
		return -ENOMEM;
	len = snprintf(name, sizeof(name), "%s.%" PRIu64 ".%" PRIu64 ".bad", t->name, t->kept_bytes,
		       now_ns);
	if (len < 0 || (size_t)len >= sizeof(name)) {
		free(chunk);
		return -ENAMETOOLONG;
	}
	(void)snprintf(report, sizeof(report), "%.*s.txt", len - 4, name); /* as long as 'name' */
	err = find_last_nonzero(t, chunk, &end);
	if (err == 0 && end > t->kept_bytes)
		err = save_bytes(t, quarantine_fd, name, end, chunk);
	if (err == 0)
		err = save_report(t, quarantine_fd, report, end > t->kept_bytes ? name : "-", end,
				  now_ns);
	if (err == 0)
		err = io_fsync(t->io, quarantine_fd);
	if (err == 0)
		(void)snprintf(ret_name, ret_name_size, LOG_QUARANTINE "/%s",
			       end > t->kept_bytes ? name : report);
	free(chunk);
	return err;
}

int log_tail_cut_zeros(struct log_tail *t, bool *ret_cut, struct diag *diag)
{
	uint8_t *chunk = malloc(COPY_CHUNK_BYTES);
	uint64_t end = t->kept_bytes;
	int err;

	if (chunk == NULL)
		return diag_set(diag, -ENOMEM, "%s: out of memory", t->path);
	err = find_last_nonzero(t, chunk, &end);
	free(chunk);
	if (err == 0 && end == t->kept_bytes) {
		err = io_truncate(t->io, t->fd, t->kept_bytes);
		*ret_cut = err == 0;
	}
	if (err < 0)
		return diag_set(diag, err, "%s: cannot cut the zeros at offset %" PRIu64 ": %s",
				t->path, t->kept_bytes, strerror(-err));
	return 0;
}

int log_tail_cut(struct log_tail *t, char *ret_name, size_t ret_name_size, struct diag *diag)
{
	int quarantine_fd, err;

	err = io_mkdir(t->io, t->dir_fd, LOG_QUARANTINE, 0700);
	if (err == 0 || err == -EEXIST)
		err = io_fsync(t->io, t->dir_fd);
	if (err < 0)
		return diag_set(diag, err,
				"%s: cannot make " LOG_QUARANTINE
				"/ beside it: %s; nothing was cut",
				t->path, strerror(-err));
	quarantine_fd = io_open(t->io, t->dir_fd, LOG_QUARANTINE, O_RDONLY | O_DIRECTORY, 0);
	if (quarantine_fd < 0)
		return diag_set(diag, quarantine_fd,
				"%s: cannot open " LOG_QUARANTINE "/: %s; nothing was cut", t->path,
				strerror(-quarantine_fd));
	err = save(t, quarantine_fd, ret_name, ret_name_size);
	(void)io_close(t->io, &quarantine_fd); /* a directory: nothing to lose */
	if (err < 0)
		return diag_set(diag, err,
				"%s: cannot save the torn tail at offset %" PRIu64
				" under " LOG_QUARANTINE "/: %s; nothing was cut",
				t->path, t->kept_bytes, strerror(-err));
	err = io_truncate(t->io, t->fd, t->kept_bytes);
	if (err == 0)
		err = io_fsync(t->io, t->fd);
	if (err < 0)
		return diag_set(diag, err, "%s: cannot cut the torn tail at offset %" PRIu64 ": %s",
				t->path, t->kept_bytes, strerror(-err));
	return 0;
}
