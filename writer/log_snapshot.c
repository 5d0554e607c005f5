/* SPDX-License-Identifier: MIT */
/* Opening the files of a log beside a writer that may be at work.  It seals the active segment
 * (rename), and compaction replaces or removes sealed ones, while we open one after the other.  So
 * all are opened first, and then each name is looked at again: if it still means the file that was
 * opened, there was a moment, the one between the two passes, at which the log was just these
 * files.  Else all is done again.  A file that is open stays what it is, whatever becomes of its
 * name; the active one only grows, and is read up to the size that it had. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "writer/log_tail.h"
#include "writer/log_writer_private.h"

#define ATTEMPTS_MAX 1000
#define PAUSE_NS     1000000L /* after an attempt in vain */

/* Says whether 'name' still means the file behind 'fd' (-1: there was none).  Returns 1, 0 or
 * -errno. */
static int is_same(struct log_writer *w, const char *name, int fd)
{
	struct io_stat now = { 0 }, then = { 0 };
	int now_fd = io_open(w->io, w->dir_fd, name, O_RDONLY, 0);
	int err;

	if (now_fd == -ENOENT)
		return fd < 0;
	if (now_fd < 0)
		return now_fd;
	if (fd < 0) {
		(void)io_close(w->io, &now_fd);
		return 0;
	}
	err = io_stat(w->io, now_fd, &now);
	if (err == 0)
		err = io_stat(w->io, fd, &then);
	(void)io_close(w->io, &now_fd); /* read-only */
	return err < 0 ? err : now.ino == then.ino;
}

/* Says whether all files are still those that were opened.  A new number cannot have come without
 * the active one having become another file.  Returns 1, 0 or -errno. */
static int is_unchanged(struct log_writer *w) NO_THREAD_SAFETY
{
	char name[SEGMENT_NAME_BYTES];
	int same = is_same(w, w->name, w->fd);
	struct segment seg;

	for (size_t i = 0; same > 0 && segments_get(&w->segments, i, &seg); i++) {
		segment_file_name(&seg, name);
		same = is_same(w, name, seg.fd);
	}
	return same;
}

/* One attempt.  Returns 1, 0 (something changed meanwhile) or -errno. */
static int try_open(struct log_writer *w, const char *dir, struct io_stat *ret_active,
		    struct synced *ret_mark, bool *ret_mark_valid,
		    struct diag *diag) NO_THREAD_SAFETY
{
	char mark_name[NAME_MAX + 1];
	int err;

	w->fd = io_open(w->io, w->dir_fd, w->name, O_RDONLY, 0);
	if (w->fd < 0 && w->fd != -ENOENT)
		return diag_set(diag, w->fd, "%s: cannot open it: %s", w->path, strerror(-w->fd));
	if (w->fd < 0)
		w->fd = -1;
	err = segments_open(&w->segments, dir, diag);
	if (err < 0)
		return err == -ENOENT ? 0 : err; /* listed, and gone before it was opened */
	err = synced_mark_name(w->name, mark_name, sizeof(mark_name));
	/* Before the size is looked at: what the mark says is then within it. */
	if (err == 0)
		err = synced_mark_read(w->io, w->dir_fd, mark_name, ret_mark, ret_mark_valid);
	*ret_active = (struct io_stat){ 0 };
	if (err == 0 && w->fd >= 0)
		err = io_stat(w->io, w->fd, ret_active);
	if (err == 0)
		err = is_unchanged(w);
	return err < 0 ? diag_set(diag, err, "%s: cannot read it: %s", w->path, strerror(-err))
		       : err;
}

int log_snapshot_open(struct log_writer *w, const char *dir, struct io_stat *ret_active,
		      struct synced *ret_mark, bool *ret_mark_valid,
		      struct diag *diag) NO_THREAD_SAFETY
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	struct segment seg;

	w->segments.dir_fd = w->dir_fd;
	for (int i = 0; i < ATTEMPTS_MAX; i++) {
		int got = try_open(w, dir, ret_active, ret_mark, ret_mark_valid, diag);

		if (got < 0)
			return got;
		/* Without an active segment the writer was killed, or is, while it sealed one. */
		if (got > 0 && (w->fd >= 0 || i > 0)) {
			if (w->fd < 0 && !segments_get(&w->segments, 0, &seg))
				return diag_set(diag, -ENOENT, "%s: there is no such file: no log",
						w->path);
			if (w->fd >= 0 && !S_ISREG(ret_active->mode))
				return diag_set(diag, -EINVAL, "%s: not a regular file", w->path);
			return 0;
		}
		segments_clear(&w->segments);
		(void)io_close(w->io, &w->fd);
		(void)nanosleep(&pause, NULL);
	}
	return diag_set(diag, -EAGAIN,
			"%s: the log is being changed all the time; try again when its writer has "
			"less to do",
			w->path);
}

/* Says whether a sealed segment was replaced or removed since it was opened.  Returns 1, 0 or
 * -errno. */
static int has_lost_name(struct log_writer *w)
{
	struct io_stat st = { 0 };
	struct segment seg;
	int err = 0;

	for (size_t i = 0; err == 0 && !st.unlinked && segments_get(&w->segments, i, &seg); i++)
		err = io_stat(w->io, seg.fd, &st);
	return err < 0 ? err : st.unlinked;
}

int log_writer_read_on(struct log_writer *w, log_replay_fn fn, void *arg,
		       struct diag *diag) NO_THREAD_SAFETY
{
	struct log_tail t = {
		.io = w->io,
		.dir_fd = w->dir_fd,
		.fd = w->fd,
		.name = w->name,
		.path = w->path,
		.number = w->active_number,
		.start = w->active_start,
		.from_bytes = w->end_offset - w->active_start,
		.until_ns = w->until_ns,
		.may_shrink = true,
	};
	struct io_stat st = { 0 };
	int same, lost, err;

	if (w->reached_until)
		return 0;
	same = is_same(w, w->name, w->fd);
	lost = same > 0 ? has_lost_name(w) : 0;
	if (same < 0 || lost < 0)
		return diag_set(diag, same < 0 ? same : lost, "%s: cannot look at it", w->path);
	if (same == 0 || lost > 0)
		return 1;
	if (w->fd < 0)
		return 0;
	err = io_stat(w->io, w->fd, &st);
	if (err < 0)
		return diag_set(diag, err, "%s: %s", w->path, strerror(-err));
	t.file_bytes = st.size_bytes > t.from_bytes ? st.size_bytes : t.from_bytes;
	err = log_tail_replay(&t, fn, arg, diag);
	mutex_lock(&w->lock);
	w->end_offset = w->written_offset = w->durable_offset = t.start + t.kept_bytes;
	w->reached_until = t.reached_until;
	mutex_unlock(&w->lock);
	return err;
}
