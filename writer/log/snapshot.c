/* SPDX-License-Identifier: MIT */
/* The snapshot of a log while its writer works.  The writer rotates and seals segments while the
 * reader opens one after the other, and compaction replaces sealed ones.  So MANIFEST is read
 * first, then all files are opened.  If after that MANIFEST and the name of the active segment
 * still lead to the same files, there was a moment at which these files were the log: each rotation
 * gives the active name to another file, and all other changes are changes of MANIFEST.  Otherwise
 * everything is done again.  An open file does not change, whatever becomes of its name.  A segment
 * that is not sealed is read up to the size that it had, or to its end, if its writer has cut it in
 * the meantime. */
#include "writer/log/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "writer/log/segment_replay.h"
#include "writer/log/log_writer_private.h"
#include "writer/log/manifest_file.h"
#include "writer/log/names.h"

#define ATTEMPTS_MAX 1000
#define PAUSE_NS     1000000L /* after a failed attempt */

/* Returns whether 'name' still leads to the file behind 'fd' (-1: there was none): 1, 0 or -errno.
 */
static int is_same_file(struct io *io, int dir_fd, const char *name, int fd)
{
	struct io_stat now = { 0 }, then = { 0 };
	int now_fd = io_open(io, dir_fd, name, O_RDONLY, 0);
	int err;

	if (now_fd == -ENOENT)
		return fd < 0;
	if (now_fd < 0)
		return now_fd;
	if (fd < 0) {
		(void)io_close(io, &now_fd);
		return 0;
	}
	err = io_stat(io, now_fd, &now);
	if (err == 0)
		err = io_stat(io, fd, &then);
	(void)io_close(io, &now_fd); /* read-only */
	return err < 0 ? err : now.ino == then.ino;
}

/* Reads MANIFEST.  Stores a descriptor that identifies the file while it is open, or -1. */
static int read_manifest(struct log_snapshot *s, const char *dir, int *ret_fd, struct diag *diag)
{
	struct io *io = s->segments->io;
	int fd = io_open(io, s->segments->dir_fd, MANIFEST_NAME, O_RDONLY, 0), got;

	if (fd < 0 && fd != -ENOENT)
		return diag_set(diag, fd, "%s/" MANIFEST_NAME ": cannot open it: %s", dir,
				strerror(-fd));
	got = fd < 0 ? 0 : manifest_file_read(io, s->segments->dir_fd, dir, &s->manifest, diag);
	s->manifest_damaged = got == -EBADMSG;
	if (got < 0 && !(s->manifest_damaged && s->segments->lenient)) {
		(void)io_close(io, &fd);
		return got;
	}
	s->has_manifest = got > 0;
	*ret_fd = fd < 0 ? -1 : fd;
	return 0;
}

/* Opens the segments, and reads the mark and the state of the active one. */
static int open_files(struct log_snapshot *s, const char *dir, const char *active_name,
		      struct diag *diag)
{
	struct segments *segments = s->segments;
	char mark_name[NAME_MAX + 1];
	int err = segments_open(segments, s->has_manifest ? &s->manifest : NULL, dir, diag);

	if (err < 0)
		return err;
	err = synced_mark_name(active_name, mark_name, sizeof(mark_name));
	/* Before the size is read, so that the mark is within it. */
	if (err == 0)
		err = synced_mark_read(segments->io, segments->dir_fd, mark_name, &s->mark,
				       &s->mark_valid);
	if (err < 0)
		return diag_set(diag, err, "%s/%s: cannot read the durable mark: %s", dir,
				mark_name, strerror(-err));
	s->active = (struct io_stat){ 0 };
	if (s->fd >= 0)
		err = io_stat(segments->io, s->fd, &s->active);
	return err < 0 ? diag_set(diag, err, "%s/%s: cannot read it: %s", dir, active_name,
				  strerror(-err))
		       : 0;
}

/* Returns whether the names still lead to the opened files: 1, 0 or -errno. */
static int is_unchanged(const struct log_snapshot *s, const char *active_name, int manifest_fd)
{
	struct segments *segments = s->segments;
	int same = is_same_file(segments->io, segments->dir_fd, MANIFEST_NAME, manifest_fd);

	if (same > 0)
		same = is_same_file(segments->io, segments->dir_fd, active_name, s->fd);
	return same;
}

/* Makes one attempt.  Returns 1, 0 (a file has changed in the meantime) or -errno. */
static int try_open(struct log_snapshot *s, const char *dir, const char *active_name,
		    struct diag *diag)
{
	struct io *io = s->segments->io;
	int manifest_fd = -1, err, same;

	err = read_manifest(s, dir, &manifest_fd, diag);
	if (err < 0)
		return err;
	s->fd = io_open(io, s->segments->dir_fd, active_name, O_RDONLY, 0);
	if (s->fd < 0 && s->fd != -ENOENT)
		err = diag_set(diag, s->fd, "%s/%s: cannot open it: %s", dir, active_name,
			       strerror(-s->fd));
	if (s->fd < 0)
		s->fd = -1;
	if (err == 0)
		err = open_files(s, dir, active_name, diag);
	/* A failure may be the result of a change. */
	same = is_unchanged(s, active_name, manifest_fd);
	(void)io_close(io, &manifest_fd); /* read-only */
	if (same == 0)
		return 0;
	if (err < 0)
		return err;
	return same < 0 ? diag_set(diag, same, "%s: cannot look at it: %s", dir, strerror(-same))
			: same;
}

/* Closes the files of a failed attempt. */
static void close_snapshot_files(struct log_snapshot *s)
{
	segments_clear(s->segments);
	manifest_free(&s->manifest);
	(void)io_close(s->segments->io, &s->fd);
}

int log_snapshot_open(struct log_snapshot *ret, const char *dir, const char *active_name,
		      struct diag *diag)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	struct segment seg;

	for (int i = 0; i < ATTEMPTS_MAX; i++) {
		int got = try_open(ret, dir, active_name, diag);

		if (got < 0)
			return got;
		/* Without an active segment the writer was killed during a rotation, or is in one.
		 */
		if (got > 0 && (ret->fd >= 0 || i > 0)) {
			if (ret->fd < 0 && !segments_get(ret->segments, 0, &seg))
				return diag_set(diag, -ENOENT,
						"%s/%s: there is no such file: no log", dir,
						active_name);
			if (ret->fd >= 0 && !S_ISREG(ret->active.mode))
				return diag_set(diag, -EINVAL, "%s/%s: not a regular file", dir,
						active_name);
			return diag_set(diag, 0, "%s", ""); /* of a failed attempt */
		}
		close_snapshot_files(ret);
		(void)nanosleep(&pause, NULL);
	}
	return diag_set(
		diag, -EAGAIN,
		"%s/%s: the log is being changed all the time; try again when its writer has "
		"less to do",
		dir, active_name);
}

/* Returns whether a sealed segment was replaced or removed since it was opened: 1, 0 or -errno. */
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
		.store_id = w->has_manifest ? w->store_id : NULL,
		.start = w->active_start,
		.from_bytes = w->end_position - w->active_start,
		.until_ns = w->until_ns,
		.may_shrink = true,
	};
	struct io_stat st = { 0 };
	int same, lost, err;

	if (w->reached_until)
		return 0;
	same = is_same_file(w->io, w->dir_fd, w->name, w->fd);
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
	log_lock(w);
	w->end_position = w->written_position = w->durable_position = t.start + t.kept_bytes;
	w->reached_until = t.reached_until;
	log_unlock(w);
	return err;
}
