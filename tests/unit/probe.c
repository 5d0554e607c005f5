/* SPDX-License-Identifier: MIT */
#include "tests/unit/probe.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/unit.h"

#define EVENTS_MAX 1024
#define NAME_BYTES 80
#define FDS_MAX	   1024

struct event {
	char text[NAME_BYTES + 16];
	int flags;
};

struct probe {
	struct io io; /* first: the operations get a pointer to it */
	struct faultio *faults;
	struct io *inner; /* of 'faults' */
	pthread_mutex_t lock;
	pthread_cond_t gate_changed;

	/* All below: by lock. */
	bool gate_closed;
	int at_gate;
	int64_t now_ns;
	uint64_t free_bytes; /* what space() says at most */
	struct event events[EVENTS_MAX];
	int event_count;
	char names[FDS_MAX][NAME_BYTES]; /* of open descriptors, by number */
};

static struct probe *probe_of(struct io *io)
{
	return (struct probe *)io;
}

static const char *last_component(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL || slash[1] == '\0' ? path : slash + 1;
}

/* Writes down one call.  Returns the seam to hand it to. */
static struct io *note(struct io *io, enum iocall kind, const char *name, int flags)
{
	struct probe *p = probe_of(io);

	pthread_mutex_lock(&p->lock);
	if (p->event_count < EVENTS_MAX) {
		struct event *e = &p->events[p->event_count++];

		(void)snprintf(e->text, sizeof(e->text), "%s:%s", iocall_name(kind), name);
		e->flags = flags;
	}
	pthread_mutex_unlock(&p->lock);
	return p->inner;
}

static struct io *note_fd(struct io *io, enum iocall kind, int fd)
{
	struct probe *p = probe_of(io);
	char name[NAME_BYTES] = "";

	if (fd >= 0 && fd < FDS_MAX) {
		pthread_mutex_lock(&p->lock);
		memcpy(name, p->names[fd], sizeof(name));
		pthread_mutex_unlock(&p->lock);
	}
	return note(io, kind, name, 0);
}

static int probe_op_open(struct io *io, int dir_fd, const char *path, int flags, mode_t mode)
{
	struct probe *p = probe_of(io);
	const char *name = last_component(path);
	struct io *inner = note(io, IOCALL_OPEN, name, flags);
	int fd = inner->ops->open(inner, dir_fd, path, flags, mode);

	if (fd >= 0 && fd < FDS_MAX) {
		char real[PATH_MAX], fd_path[32];
		ssize_t n;

		(void)snprintf(fd_path, sizeof(fd_path), "/proc/self/fd/%d", fd);
		n = readlink(fd_path, real, sizeof(real) - 1);
		real[n > 0 ? n : 0] = '\0'; /* "/a/b/." is b */
		pthread_mutex_lock(&p->lock);
		(void)snprintf(p->names[fd], NAME_BYTES, "%.79s", last_component(real));
		pthread_mutex_unlock(&p->lock);
	}
	return fd;
}

static int probe_op_close(struct io *io, int fd)
{
	struct io *inner = note_fd(io, IOCALL_CLOSE, fd);

	return inner->ops->close(inner, fd);
}

static ssize_t probe_op_pread(struct io *io, int fd, void *buf, size_t n, uint64_t offset)
{
	struct io *inner = note_fd(io, IOCALL_PREAD, fd);

	return inner->ops->pread(inner, fd, buf, n, offset);
}

static ssize_t probe_op_pwrite(struct io *io, int fd, const void *buf, size_t n, uint64_t offset)
{
	struct io *inner = note_fd(io, IOCALL_PWRITE, fd);

	return inner->ops->pwrite(inner, fd, buf, n, offset);
}

static ssize_t probe_op_writev(struct io *io, int fd, const struct iovec *iov, int iov_count)
{
	struct io *inner = note_fd(io, IOCALL_WRITEV, fd);

	return inner->ops->writev(inner, fd, iov, iov_count);
}

static ssize_t probe_op_pwritev(struct io *io, int fd, const struct iovec *iov, int iov_count,
				uint64_t offset)
{
	struct io *inner = note_fd(io, IOCALL_PWRITEV, fd);

	return inner->ops->pwritev(inner, fd, iov, iov_count, offset);
}

static int probe_op_truncate(struct io *io, int fd, uint64_t size_bytes)
{
	struct io *inner = note_fd(io, IOCALL_TRUNCATE, fd);

	return inner->ops->truncate(inner, fd, size_bytes);
}

static int probe_op_allocate(struct io *io, int fd, uint64_t size_bytes)
{
	struct io *inner = note_fd(io, IOCALL_ALLOCATE, fd);

	return inner->ops->allocate(inner, fd, size_bytes);
}

static int probe_op_fdatasync(struct io *io, int fd)
{
	struct probe *p = probe_of(io);
	struct io *inner = note_fd(io, IOCALL_FDATASYNC, fd);

	pthread_mutex_lock(&p->lock);
	p->at_gate++;
	while (p->gate_closed)
		pthread_cond_wait(&p->gate_changed, &p->lock);
	p->at_gate--;
	pthread_mutex_unlock(&p->lock);
	return inner->ops->fdatasync(inner, fd);
}

static int probe_op_fsync(struct io *io, int fd)
{
	struct io *inner = note_fd(io, IOCALL_FSYNC, fd);

	return inner->ops->fsync(inner, fd);
}

static int probe_op_stat(struct io *io, int fd, struct io_stat *ret)
{
	struct io *inner = note_fd(io, IOCALL_STAT, fd);

	return inner->ops->stat(inner, fd, ret);
}

static int probe_op_rename(struct io *io, int dir_fd, const char *from, const char *to)
{
	struct io *inner = note(io, IOCALL_RENAME, last_component(from), 0);

	return inner->ops->rename(inner, dir_fd, from, to);
}

static int probe_op_link(struct io *io, int dir_fd, const char *from, const char *to)
{
	struct io *inner = note(io, IOCALL_LINK, last_component(from), 0);

	return inner->ops->link(inner, dir_fd, from, to);
}

static int probe_op_unlink(struct io *io, int dir_fd, const char *name)
{
	struct io *inner = note(io, IOCALL_UNLINK, name, 0);

	return inner->ops->unlink(inner, dir_fd, name);
}

static int probe_op_mkdir(struct io *io, int dir_fd, const char *path, mode_t mode)
{
	struct io *inner = note(io, IOCALL_MKDIR, last_component(path), (int)mode);

	return inner->ops->mkdir(inner, dir_fd, path, mode);
}

static int probe_op_list(struct io *io, int dir_fd, io_list_fn fn, void *arg)
{
	struct io *inner = note_fd(io, IOCALL_LIST, dir_fd);

	return inner->ops->list(inner, dir_fd, fn, arg);
}

static int probe_op_lock(struct io *io, int fd)
{
	struct io *inner = note_fd(io, IOCALL_LOCK, fd);

	return inner->ops->lock(inner, fd);
}

static int probe_op_space(struct io *io, int dir_fd, struct io_space *ret)
{
	struct io *inner = note_fd(io, IOCALL_SPACE, dir_fd);
	struct probe *p = probe_of(io);
	int err = inner->ops->space(inner, dir_fd, ret);

	pthread_mutex_lock(&p->lock);
	if (err == 0 && ret->blocks_available > p->free_bytes / ret->block_bytes) {
		ret->block_bytes = 1;
		ret->blocks_available = p->free_bytes;
	}
	pthread_mutex_unlock(&p->lock);
	return err;
}

static int64_t probe_op_now_ns(struct io *io)
{
	struct probe *p = probe_of(io);
	int64_t now_ns;

	pthread_mutex_lock(&p->lock);
	now_ns = p->now_ns;
	pthread_mutex_unlock(&p->lock);
	return now_ns != 0 ? now_ns : p->inner->ops->now_ns(p->inner);
}

static const struct io_ops ops = {
	.open = probe_op_open,
	.close = probe_op_close,
	.pread = probe_op_pread,
	.pwrite = probe_op_pwrite,
	.writev = probe_op_writev,
	.pwritev = probe_op_pwritev,
	.truncate = probe_op_truncate,
	.allocate = probe_op_allocate,
	.fdatasync = probe_op_fdatasync,
	.fsync = probe_op_fsync,
	.stat = probe_op_stat,
	.rename = probe_op_rename,
	.link = probe_op_link,
	.unlink = probe_op_unlink,
	.mkdir = probe_op_mkdir,
	.list = probe_op_list,
	.lock = probe_op_lock,
	.space = probe_op_space,
	.now_ns = probe_op_now_ns,
};

struct probe *probe_new(void)
{
	struct probe *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	p->io.ops = &ops;
	p->faults = faultio_new(&io_posix);
	p->inner = faultio_io(p->faults);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->gate_changed, NULL);
	p->free_bytes = UINT64_MAX;
	return p;
}

void probe_free(struct probe *p)
{
	pthread_cond_destroy(&p->gate_changed);
	pthread_mutex_destroy(&p->lock);
	faultio_free(p->faults);
	free(p);
}

struct io *probe_io(struct probe *p)
{
	return &p->io;
}

struct faultio *probe_faults(struct probe *p)
{
	return p->faults;
}

uint64_t probe_calls(struct probe *p, enum iocall kind)
{
	return faultio_calls(p->faults, kind);
}

uint64_t probe_calls_all(struct probe *p)
{
	uint64_t n = 0;

	for (int kind = 0; kind < IOCALL_COUNT; kind++)
		n += faultio_calls(p->faults, (enum iocall)kind);
	return n;
}

void probe_fail(struct probe *p, enum iocall kind, uint64_t times, int err)
{
	struct fault_plan plan = { .at = 1,
				   .times = times,
				   .kinds = IOCALL_BIT(kind),
				   .action = FAULT_ERROR,
				   .err = err };

	faultio_set_plan(p->faults, &plan);
}

void probe_fail_partial(struct probe *p, enum iocall kind, uint64_t times, int err)
{
	struct fault_plan plan = {
		.at = 1,
		.times = times,
		.kinds = IOCALL_BIT(kind),
		.action = FAULT_PARTIAL,
		.err = err,
	};

	faultio_set_plan(p->faults, &plan);
}

void probe_heal(struct probe *p)
{
	faultio_set_plan(p->faults, NULL);
}

static void set_gate(struct probe *p, bool closed)
{
	pthread_mutex_lock(&p->lock);
	p->gate_closed = closed;
	pthread_cond_broadcast(&p->gate_changed);
	pthread_mutex_unlock(&p->lock);
}

void probe_close_gate(struct probe *p)
{
	set_gate(p, true);
}

void probe_open_gate(struct probe *p)
{
	set_gate(p, false);
}

bool probe_someone_at_gate(struct probe *p)
{
	bool is;

	pthread_mutex_lock(&p->lock);
	is = p->gate_closed && p->at_gate > 0;
	pthread_mutex_unlock(&p->lock);
	return is;
}

void probe_set_clock(struct probe *p, int64_t now_ns)
{
	pthread_mutex_lock(&p->lock);
	p->now_ns = now_ns;
	pthread_mutex_unlock(&p->lock);
}

void probe_set_free_bytes(struct probe *p, uint64_t free_bytes)
{
	pthread_mutex_lock(&p->lock);
	p->free_bytes = free_bytes;
	pthread_mutex_unlock(&p->lock);
}

int probe_find_event(struct probe *p, const char *event, int from)
{
	int found = -1;

	pthread_mutex_lock(&p->lock);
	for (int i = from; found < 0 && i < p->event_count; i++) {
		if (strcmp(p->events[i].text, event) == 0)
			found = i;
	}
	pthread_mutex_unlock(&p->lock);
	return found;
}

int probe_open_flags(struct probe *p, const char *name)
{
	int at = probe_find_event(p, unit_path("open:%s", name), 0);

	if (at < 0)
		fail_msg("%s was not opened", name);
	return p->events[at].flags;
}
