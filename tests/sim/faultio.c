/* SPDX-License-Identifier: MIT */
#include "tests/sim/faultio.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/sim/content.h"

#define LOG_ENTRIES 64
#define IOV_COPY    64

struct log_line {
	enum iocall kind;
	int fd;
	uint64_t number, bytes, offset;
	long long result;
	bool hit;
};

struct faultio {
	struct io io; /* first, so that a pointer to it is a pointer to the whole */
	struct io *inner;

	/* Protects all below. */
	pthread_mutex_t lock;
	struct fault_plan plan;
	uint64_t seen; /* calls that the plan counts */
	uint64_t hits;
	bool paused;
	bool error_is_due; /* FAULT_PARTIAL: the short write is done */
	uint64_t failures[IOCALL_COUNT];
	uint64_t dir_sync_failures;
	uint64_t calls[IOCALL_COUNT];
	uint64_t call_count;
	struct log_line log[LOG_ENTRIES];
};

/* The result of one call. */
enum verdict {
	PASS,
	FAIL,
	SHORTEN
};

static struct faultio *from_io(struct io *io)
{
	return (struct faultio *)io;
}

static void lock(struct faultio *f)
{
	if (pthread_mutex_lock(&f->lock) != 0)
		abort();
}

static void unlock(struct faultio *f)
{
	if (pthread_mutex_unlock(&f->lock) != 0)
		abort();
}

static bool can_be_short(enum iocall kind)
{
	return kind == IOCALL_PREAD || kind == IOCALL_PWRITE || kind == IOCALL_WRITEV ||
	       kind == IOCALL_PWRITEV;
}

static enum verdict judge_locked(struct faultio *f, enum iocall kind)
{
	const struct fault_plan *plan = &f->plan;

	if (f->paused || plan->at == 0 || (plan->kinds & IOCALL_BIT(kind)) == 0)
		return PASS;
	f->seen++;
	if (f->error_is_due) { /* the other half of FAULT_PARTIAL */
		f->error_is_due = plan->times == FAULT_FOR_EVER;
		return FAIL;
	}
	if (f->seen < plan->at || (plan->times != FAULT_FOR_EVER && f->hits >= plan->times))
		return PASS;
	if (plan->action != FAULT_ERROR && !can_be_short(kind))
		return PASS;
	f->hits++;
	if (plan->action == FAULT_ERROR)
		return FAIL;
	if (plan->action == FAULT_PARTIAL)
		f->error_is_due = true;
	return SHORTEN;
}

/* Counts a call and returns its result; '*ret_err' is the failure, '*ret_number' its number. */
static enum verdict begin(struct faultio *f, enum iocall kind, int *ret_err, uint64_t *ret_number)
{
	enum verdict verdict;

	lock(f);
	f->calls[kind]++;
	*ret_number = ++f->call_count;
	verdict = judge_locked(f, kind);
	f->failures[kind] += verdict == FAIL;
	*ret_err = f->plan.err;
	unlock(f);
	return verdict;
}

static long long note(struct faultio *f, struct log_line line)
{
	lock(f);
	f->log[line.number % LOG_ENTRIES] = line;
	unlock(f);
	return line.result;
}

/* The body of an operation that passes or fails and has no size. */
#define PASS_OR_FAIL(io_, kind_, fd_, call_)                                      \
	do {                                                                      \
		struct faultio *f = from_io(io_);                                 \
		uint64_t number;                                                  \
		int err;                                                          \
		enum verdict verdict = begin(f, kind_, &err, &number);            \
		int result = verdict == FAIL ? err : (call_);                     \
                                                                                  \
		return (int)note(f, (struct log_line){ .kind = (kind_),           \
						       .fd = (fd_),               \
						       .number = number,          \
						       .result = result,          \
						       .hit = verdict != PASS }); \
	} while (0)

#define INNER(io_, op_, ...) from_io(io_)->inner->ops->op_(from_io(io_)->inner, __VA_ARGS__)

static int fault_open(struct io *io, int dir_fd, const char *path, int flags, mode_t mode)
{
	PASS_OR_FAIL(io, IOCALL_OPEN, dir_fd, INNER(io, open, dir_fd, path, flags, mode));
}

/* The descriptor is gone whatever close(2) returns. */
static int fault_close(struct io *io, int fd)
{
	int inner = INNER(io, close, fd);

	PASS_OR_FAIL(io, IOCALL_CLOSE, fd, inner);
}

static ssize_t shorten(size_t n)
{
	return (ssize_t)(n / 2 > 0 ? n / 2 : n);
}

static ssize_t fault_pread(struct io *io, int fd, void *buf, size_t n, uint64_t offset)
{
	struct faultio *f = from_io(io);
	uint64_t number;
	int err;
	enum verdict verdict = begin(f, IOCALL_PREAD, &err, &number);
	ssize_t result = err;

	if (verdict == SHORTEN)
		n = (size_t)shorten(n);
	if (verdict != FAIL)
		result = INNER(io, pread, fd, buf, n, offset);
	return note(f, (struct log_line){ IOCALL_PREAD, fd, number, n, offset, result,
					  verdict != PASS });
}

static ssize_t fault_pwrite(struct io *io, int fd, const void *buf, size_t n, uint64_t offset)
{
	struct faultio *f = from_io(io);
	uint64_t number;
	int err;
	enum verdict verdict = begin(f, IOCALL_PWRITE, &err, &number);
	ssize_t result = err;

	if (verdict == SHORTEN)
		n = (size_t)shorten(n);
	if (verdict != FAIL)
		result = INNER(io, pwrite, fd, buf, n, offset);
	return note(f, (struct log_line){ IOCALL_PWRITE, fd, number, n, offset, result,
					  verdict != PASS });
}

/* Copies the first 'n' bytes of 'iov' as parts; returns the number of parts. */
static int cut_iov(const struct iovec *iov, int iov_count, size_t n, struct iovec out[IOV_COPY])
{
	int count = 0;

	while (count < iov_count && count < IOV_COPY && n > 0) {
		out[count] = iov[count];
		if (out[count].iov_len > n)
			out[count].iov_len = n;
		n -= out[count].iov_len;
		count++;
	}
	return count;
}

/* One call of writev() or, with an offset, of pwritev(). */
static ssize_t write_pieces(struct io *io, enum iocall kind, int fd, const struct iovec *iov,
			    int iov_count, uint64_t offset)
{
	struct faultio *f = from_io(io);
	struct iovec cut[IOV_COPY];
	uint64_t number;
	int err;
	enum verdict verdict = begin(f, kind, &err, &number);
	ssize_t result = err;
	size_t n = 0;

	for (int i = 0; i < iov_count; i++)
		n += iov[i].iov_len;
	if (verdict == SHORTEN) {
		n = (size_t)shorten(n);
		iov_count = cut_iov(iov, iov_count, n, cut);
		iov = cut;
	}
	if (verdict != FAIL && kind == IOCALL_PWRITEV)
		result = INNER(io, pwritev, fd, iov, iov_count, offset);
	else if (verdict != FAIL)
		result = INNER(io, writev, fd, iov, iov_count);
	return note(f, (struct log_line){ kind, fd, number, n, offset, result, verdict != PASS });
}

static ssize_t fault_writev(struct io *io, int fd, const struct iovec *iov, int iov_count)
{
	return write_pieces(io, IOCALL_WRITEV, fd, iov, iov_count, 0);
}

static ssize_t fault_pwritev(struct io *io, int fd, const struct iovec *iov, int iov_count,
			     uint64_t offset)
{
	return write_pieces(io, IOCALL_PWRITEV, fd, iov, iov_count, offset);
}

static int fault_truncate(struct io *io, int fd, uint64_t size_bytes)
{
	PASS_OR_FAIL(io, IOCALL_TRUNCATE, fd, INNER(io, truncate, fd, size_bytes));
}

static int fault_allocate(struct io *io, int fd, uint64_t size_bytes)
{
	PASS_OR_FAIL(io, IOCALL_ALLOCATE, fd, INNER(io, allocate, fd, size_bytes));
}

static int fault_fdatasync(struct io *io, int fd)
{
	PASS_OR_FAIL(io, IOCALL_FDATASYNC, fd, INNER(io, fdatasync, fd));
}

static bool is_dir(struct faultio *f, int fd)
{
	struct io_stat st = { 0 };

	return f->inner->ops->stat(f->inner, fd, &st) == 0 && S_ISDIR(st.mode);
}

static int fault_fsync(struct io *io, int fd)
{
	struct faultio *f = from_io(io);
	uint64_t number;
	int err;
	enum verdict verdict = begin(f, IOCALL_FSYNC, &err, &number);
	int result = verdict == FAIL ? err : INNER(io, fsync, fd);

	if (verdict == FAIL && is_dir(f, fd)) {
		lock(f);
		f->dir_sync_failures++;
		unlock(f);
	}
	return (int)note(f, (struct log_line){ .kind = IOCALL_FSYNC,
					       .fd = fd,
					       .number = number,
					       .result = result,
					       .hit = verdict != PASS });
}

static int fault_stat(struct io *io, int fd, struct io_stat *ret)
{
	PASS_OR_FAIL(io, IOCALL_STAT, fd, INNER(io, stat, fd, ret));
}

static int fault_rename(struct io *io, int dir_fd, const char *from, const char *to)
{
	PASS_OR_FAIL(io, IOCALL_RENAME, dir_fd, INNER(io, rename, dir_fd, from, to));
}

static int fault_link(struct io *io, int dir_fd, const char *from, const char *to)
{
	PASS_OR_FAIL(io, IOCALL_LINK, dir_fd, INNER(io, link, dir_fd, from, to));
}

static int fault_unlink(struct io *io, int dir_fd, const char *name)
{
	PASS_OR_FAIL(io, IOCALL_UNLINK, dir_fd, INNER(io, unlink, dir_fd, name));
}

static int fault_mkdir(struct io *io, int dir_fd, const char *path, mode_t mode)
{
	PASS_OR_FAIL(io, IOCALL_MKDIR, dir_fd, INNER(io, mkdir, dir_fd, path, mode));
}

static int fault_list(struct io *io, int dir_fd, io_list_fn fn, void *arg)
{
	PASS_OR_FAIL(io, IOCALL_LIST, dir_fd, INNER(io, list, dir_fd, fn, arg));
}

static int fault_lock(struct io *io, int fd)
{
	PASS_OR_FAIL(io, IOCALL_LOCK, fd, INNER(io, lock, fd));
}

static int fault_space(struct io *io, int dir_fd, struct io_space *ret)
{
	PASS_OR_FAIL(io, IOCALL_SPACE, dir_fd, INNER(io, space, dir_fd, ret));
}

static int64_t fault_now_ns(struct io *io)
{
	struct io *inner = from_io(io)->inner;

	return inner->ops->now_ns(inner);
}

static const struct io_ops fault_ops = {
	.open = fault_open,
	.close = fault_close,
	.pread = fault_pread,
	.pwrite = fault_pwrite,
	.writev = fault_writev,
	.pwritev = fault_pwritev,
	.truncate = fault_truncate,
	.allocate = fault_allocate,
	.fdatasync = fault_fdatasync,
	.fsync = fault_fsync,
	.stat = fault_stat,
	.rename = fault_rename,
	.link = fault_link,
	.unlink = fault_unlink,
	.mkdir = fault_mkdir,
	.list = fault_list,
	.lock = fault_lock,
	.space = fault_space,
	.now_ns = fault_now_ns,
};

struct faultio *faultio_new(struct io *inner)
{
	struct faultio *f = sim_alloc(sizeof(*f));

	f->io.ops = &fault_ops;
	f->inner = inner;
	if (pthread_mutex_init(&f->lock, NULL) != 0)
		abort();
	return f;
}

void faultio_free(struct faultio *f)
{
	if (f == NULL)
		return;
	(void)pthread_mutex_destroy(&f->lock);
	free(f);
}

struct io *faultio_io(struct faultio *f)
{
	return &f->io;
}

void faultio_set_plan(struct faultio *f, const struct fault_plan *plan)
{
	lock(f);
	f->plan = plan != NULL ? *plan : (struct fault_plan){ 0 };
	f->seen = 0;
	f->hits = 0;
	memset(f->failures, 0, sizeof(f->failures));
	f->dir_sync_failures = 0;
	f->error_is_due = false;
	unlock(f);
}

void faultio_pause(struct faultio *f, bool paused)
{
	lock(f);
	f->paused = paused;
	unlock(f);
}

uint64_t faultio_hits(struct faultio *f)
{
	uint64_t hits;

	lock(f);
	hits = f->hits;
	unlock(f);
	return hits;
}

uint64_t faultio_failures(struct faultio *f, enum iocall kind)
{
	uint64_t failures;

	lock(f);
	failures = f->failures[kind];
	unlock(f);
	return failures;
}

uint64_t faultio_dir_sync_failures(struct faultio *f)
{
	uint64_t failures;

	lock(f);
	failures = f->dir_sync_failures;
	unlock(f);
	return failures;
}

uint64_t faultio_calls(struct faultio *f, enum iocall kind)
{
	uint64_t calls;

	lock(f);
	calls = f->calls[kind];
	unlock(f);
	return calls;
}

void faultio_print_log(struct faultio *f, FILE *out)
{
	lock(f);
	for (size_t i = 1; i <= LOG_ENTRIES; i++) {
		const struct log_line *line = &f->log[(f->call_count + i) % LOG_ENTRIES];

		if (line->number == 0)
			continue;
		(void)fprintf(out, "  call %llu: %s(fd %d, %llu bytes at %llu) = %lld%s\n",
			      (unsigned long long)line->number, iocall_name(line->kind), line->fd,
			      (unsigned long long)line->bytes, (unsigned long long)line->offset,
			      line->result, line->hit ? "   <- fault" : "");
	}
	unlock(f);
}
