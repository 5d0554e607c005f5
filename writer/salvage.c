/* SPDX-License-Identifier: MIT */
#include "writer/salvage.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/meta.h"
#include "codec/path.h"
#include "codec/record.h"
#include "writer/log_reader.h"

#define QUARANTINE	 "quarantine"
#define TEMP_SUFFIX	 ".salvage"
#define WINDOW_BYTES	 ((size_t)1 << 20)
#define REPORT_BYTES_MAX 2048
/* The longest key that is searched for: every path, and most others. */
#define KEY_BYTES_MAX ((uint32_t)4 * PATH_BYTES_MAX)

/* --- lists --- */

int salvage_add(struct salvage *s, uint64_t offset, uint64_t bytes, const char *reason)
{
	struct salvage_lost *l;

	if (s->count == s->room) {
		size_t room = s->room == 0 ? 8 : 2 * s->room;
		void *lost = reallocarray(s->lost, room, sizeof(s->lost[0]));

		if (lost == NULL)
			return -ENOMEM;
		s->lost = lost;
		s->room = room;
	}
	l = &s->lost[s->count++];
	*l = (struct salvage_lost){ .offset = offset, .bytes = bytes };
	(void)snprintf(l->reason, sizeof(l->reason), "%s", reason);
	return 0;
}

void salvage_free(struct salvage *s)
{
	free(s->lost);
	*s = (struct salvage){ 0 };
}

uint64_t salvage_new_offset(const struct salvage *s, uint64_t offset)
{
	uint64_t gone = 0;

	for (size_t i = 0; i < s->count && s->lost[i].offset < offset; i++) {
		uint64_t before = offset - s->lost[i].offset;

		gone += s->lost[i].bytes < before ? s->lost[i].bytes : before;
	}
	return offset - gone;
}

/* --- searching --- */

struct search {
	struct io *io;
	int fd;
	uint64_t file_bytes;
	uint8_t *window; /* owned */
	uint64_t window_offset;
	size_t window_bytes;
};

/* Makes sure that the window has the header at 'offset'.  False: the file has none there. */
static int load(struct search *s, uint64_t offset)
{
	ssize_t got;

	if (s->file_bytes - offset < RECORD_HEADER_BYTES)
		return 0;
	if (offset >= s->window_offset &&
	    offset + RECORD_HEADER_BYTES <= s->window_offset + s->window_bytes)
		return 1;
	got = io_pread_all(s->io, s->fd, s->window, WINDOW_BYTES, offset);
	if (got < 0)
		return (int)got;
	s->window_offset = offset;
	s->window_bytes = (size_t)got;
	return got >= RECORD_HEADER_BYTES;
}

static bool is_zero(const uint8_t *header)
{
	static const uint8_t zeros[RECORD_HEADER_BYTES];

	return memcmp(header, zeros, sizeof(zeros)) == 0;
}

/* Says whether a whole record is at 'offset', and how long it is.  Returns 1, 0 or -errno. */
static int is_whole(struct search *s, uint64_t offset, uint64_t *ret_bytes)
{
	struct log_entry entry;
	struct log_reader *r;
	struct record rec;
	int got = load(s, offset);

	if (got <= 0)
		return got;
	(void)record_decode_header(s->window + (offset - s->window_offset), &rec);
	if (rec.key_bytes > KEY_BYTES_MAX ||
	    record_bytes(rec.key_bytes, rec.value_bytes) > s->file_bytes - offset ||
	    is_zero(s->window + (offset - s->window_offset)))
		return 0;
	got = log_reader_open(s->io, s->fd, offset, s->file_bytes, &r);
	if (got < 0)
		return got;
	got = log_reader_next(r, &entry);
	if (got > 0)
		*ret_bytes = entry.bytes;
	log_reader_close(r);
	return got;
}

/* Finds the first whole record in ['from', 'to').  Returns 1, 0 or -errno. */
static int find_whole(struct search *s, uint64_t from, uint64_t to, uint64_t *ret_offset,
		      uint64_t *ret_bytes)
{
	int got = 0;

	for (; got == 0 && from < to; from++) {
		got = is_whole(s, from, ret_bytes);
		if (got > 0)
			*ret_offset = from;
	}
	return got;
}

/* Where what the record at 'offset' claims to be ends: its length is wrong, or something in it. */
static int claimed_end(struct search *s, uint64_t offset, uint64_t *ret)
{
	struct record rec;
	uint64_t bytes;
	int got = load(s, offset);

	*ret = s->file_bytes;
	if (got <= 0)
		return got;
	*ret = offset;
	if (is_zero(s->window + (offset - s->window_offset)))
		return 0;
	(void)record_decode_header(s->window + (offset - s->window_offset), &rec);
	bytes = record_bytes(rec.key_bytes, rec.value_bytes);
	*ret = bytes > s->file_bytes - offset ? s->file_bytes : offset + bytes;
	return 0;
}

/* Counts what looks like records in a range that was given up. */
static int count_inside(struct search *s, uint64_t from, struct salvage_lost *lost)
{
	uint64_t end = lost->offset + lost->bytes, bytes;
	int got = 1;

	while (got > 0 && from < end) {
		got = find_whole(s, from, end, &from, &bytes);
		if (got <= 0)
			break;
		if (lost->inside++ == 0)
			lost->inside_from = from;
		from += bytes;
	}
	return got < 0 ? got : 0;
}

/* --- one segment --- */

/* Where reading stopped, and where what is lost begins: a group goes as a whole. */
struct stop {
	struct log_stop at;
	uint64_t lost_from;
};

/* Reads whole records from 'from' on. */
static int read_run(struct search *s, uint64_t from, struct salvage *ret, struct stop *ret_stop)
{
	uint64_t group_from = 0, in_group = 0;
	struct log_entry entry;
	struct log_reader *r;
	int got = log_reader_open(s->io, s->fd, from, s->file_bytes, &r);

	if (got < 0)
		return got;
	while ((got = log_reader_next(r, &entry)) > 0) {
		if (in_group == 0)
			group_from = entry.offset;
		in_group++;
		if (meta_has_more(entry.rec.key, entry.rec.key_bytes, entry.rec.value,
				  entry.value_held_bytes))
			continue;
		ret->records += in_group;
		in_group = 0;
	}
	if (got == 0) {
		ret_stop->at = log_reader_stop(r);
		ret_stop->lost_from = in_group > 0 ? group_from : ret_stop->at.offset;
		if (in_group > 0 && ret_stop->at.scan == RECORD_END)
			ret_stop->at.reason = RECORD_REASON_GROUP;
	}
	log_reader_close(r);
	return got;
}

/* Finds where to go on behind a position that is not whole, and notes what is lost. */
static int skip(struct search *s, const struct stop *stop, bool take_inside, struct salvage *ret,
		uint64_t *ret_next)
{
	uint64_t claimed, next = s->file_bytes, bytes;
	int err = claimed_end(s, stop->at.offset, &claimed);

	if (err == 0 && (take_inside || claimed <= stop->at.offset))
		claimed = stop->at.offset + 1;
	if (err == 0)
		err = find_whole(s, claimed, s->file_bytes, &next, &bytes);
	if (err >= 0)
		err = salvage_add(ret, stop->lost_from, next - stop->lost_from,
				  record_reason_text(stop->at.reason));
	if (err == 0)
		err = count_inside(s, stop->at.offset + 1, &ret->lost[ret->count - 1]);
	*ret_next = next;
	return err;
}

int salvage_scan(struct io *io, int fd, uint64_t file_bytes, bool take_inside, struct salvage *ret)
{
	struct search s = { .io = io, .fd = fd, .file_bytes = file_bytes };
	struct stop stop;
	uint64_t at = 0;
	int err = 0;

	s.window = malloc(WINDOW_BYTES);
	if (s.window == NULL)
		return -ENOMEM;
	while (err == 0) {
		err = read_run(&s, at, ret, &stop);
		if (err < 0)
			break;
		if (stop.at.scan == RECORD_END) {
			if (stop.lost_from < file_bytes)
				err = salvage_add(ret, stop.lost_from, file_bytes - stop.lost_from,
						  record_reason_text(stop.at.reason));
			break;
		}
		err = skip(&s, &stop, take_inside, ret, &at);
	}
	free(s.window);
	return err;
}

/* --- writing --- */

static int copy_range(struct io *io, int from_fd, uint64_t from, uint64_t bytes, int to_fd,
		      uint64_t to, uint8_t *chunk)
{
	for (uint64_t done = 0; done < bytes;) {
		size_t n = bytes - done < WINDOW_BYTES ? (size_t)(bytes - done) : WINDOW_BYTES;
		ssize_t got = io_pread_all(io, from_fd, chunk, n, from + done);
		int err;

		if (got < 0)
			return (int)got;
		if ((size_t)got != n)
			return -EIO; /* the file shrank */
		err = io_pwrite_all(io, to_fd, chunk, n, to + done);
		if (err < 0)
			return err;
		done += n;
	}
	return 0;
}

/* Syncs and closes a file that was written. */
static int finish(struct io *io, int fd, int err)
{
	int close_err;

	if (err == 0)
		err = io_fsync(io, fd);
	close_err = io_close(io, &fd);
	return err < 0 ? err : close_err;
}

static int save_report(struct io *io, int quarantine_fd, const char *file, const char *report,
		       const struct salvage_lost *l, uint64_t now_ns)
{
	char text[REPORT_BYTES_MAX];
	int fd, len;

	len = snprintf(text, sizeof(text),
		       "file: %s\n"
		       "offset: %" PRIu64 "\n"
		       "length: %" PRIu64 "\n"
		       "reason: %s\n"
		       "records_inside: %" PRIu64 "\n"
		       "saved_as: %s\n"
		       "salvaged_at_ns: %" PRIu64 "\n",
		       file, l->offset, l->bytes, l->reason, l->inside, l->saved_as, now_ns);
	if (len < 0 || (size_t)len >= sizeof(text))
		return -ENAMETOOLONG;
	fd = io_open(io, quarantine_fd, report, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (fd < 0)
		return fd;
	return finish(io, fd, io_pwrite_all(io, fd, text, (size_t)len, 0));
}

/* Saves one lost range. */
static int save(struct io *io, int quarantine_fd, const char *file, int fd, struct salvage_lost *l,
		uint64_t now_ns, uint8_t *chunk)
{
	char report[SALVAGE_NAME_BYTES];
	int out, err, len;

	len = snprintf(l->saved_as, sizeof(l->saved_as), "%s.%" PRIu64 ".%" PRIu64 ".bad", file,
		       l->offset, now_ns);
	if (len < 0 || (size_t)len >= sizeof(l->saved_as))
		return -ENAMETOOLONG;
	(void)snprintf(report, sizeof(report), "%.*s.txt", len - 4, l->saved_as);
	out = io_open(io, quarantine_fd, l->saved_as, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (out < 0)
		return out;
	err = finish(io, out, copy_range(io, fd, l->offset, l->bytes, out, 0, chunk));
	return err < 0 ? err : save_report(io, quarantine_fd, file, report, l, now_ns);
}

static int save_all(struct io *io, int dir_fd, const char *name, int fd, struct salvage *s,
		    uint8_t *chunk)
{
	uint64_t now_ns = io->ops->now_ns(io);
	int quarantine_fd, err;

	err = io_mkdir(io, dir_fd, QUARANTINE, 0700);
	if (err == 0 || err == -EEXIST)
		err = io_fsync(io, dir_fd);
	if (err < 0)
		return err;
	quarantine_fd = io_open(io, dir_fd, QUARANTINE, O_RDONLY | O_DIRECTORY, 0);
	if (quarantine_fd < 0)
		return quarantine_fd;
	for (size_t i = 0; err == 0 && i < s->count; i++)
		err = save(io, quarantine_fd, name, fd, &s->lost[i], now_ns, chunk);
	if (err == 0)
		err = io_fsync(io, quarantine_fd);
	(void)io_close(io, &quarantine_fd); /* a directory: nothing to lose */
	return err;
}

/* Copies what is between the lost ranges. */
static int copy_kept(struct io *io, int fd, uint64_t file_bytes, const struct salvage *s, int to,
		     uint8_t *chunk, uint64_t *ret_bytes)
{
	uint64_t at = 0, written = 0;
	int err = 0;

	for (size_t i = 0; err == 0 && i <= s->count; i++) {
		uint64_t end = i < s->count ? s->lost[i].offset : file_bytes;

		err = copy_range(io, fd, at, end - at, to, written, chunk);
		written += end - at;
		at = i < s->count ? end + s->lost[i].bytes : end;
	}
	*ret_bytes = written;
	return err;
}

static int replace(struct io *io, int dir_fd, const char *name, int fd, uint64_t file_bytes,
		   const struct salvage *s, uint8_t *chunk, uint64_t *ret_bytes)
{
	char temp[SALVAGE_NAME_BYTES];
	int to, err;

	(void)snprintf(temp, sizeof(temp), "%s" TEMP_SUFFIX, name);
	to = io_open(io, dir_fd, temp, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (to < 0)
		return to;
	err = finish(io, to, copy_kept(io, fd, file_bytes, s, to, chunk, ret_bytes));
	if (err == 0)
		err = io_rename(io, dir_fd, temp, name);
	if (err < 0)
		(void)!io_unlink(io, dir_fd, temp); /* it would only lie about */
	return err < 0 ? err : io_fsync(io, dir_fd);
}

int salvage_write(struct io *io, int dir_fd, const char *name, int fd, uint64_t file_bytes,
		  struct salvage *s, uint64_t *ret_bytes)
{
	uint8_t *chunk = malloc(WINDOW_BYTES);
	int err = chunk == NULL ? -ENOMEM : save_all(io, dir_fd, name, fd, s, chunk);

	if (err == 0)
		err = replace(io, dir_fd, name, fd, file_bytes, s, chunk, ret_bytes);
	free(chunk);
	return err;
}
