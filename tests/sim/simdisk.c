/* SPDX-License-Identifier: MIT */
/* The calls on a simulated disk.  Images after a power cut are made in simcut.c. */
#include "tests/sim/simdisk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/sim/simdisk_impl.h"

#define FD_FIRST       1000 /* so that no descriptor can be one of the process */
#define CLOCK_START_NS UINT64_C(1700000000000000000)
#define CLOCK_STEP_NS  1000

static struct simdisk *from_io(struct io *io)
{
	return (struct simdisk *)io;
}

static void lock(struct simdisk *d)
{
	if (pthread_mutex_lock(&d->lock) != 0)
		abort();
}

static void unlock(struct simdisk *d)
{
	if (pthread_mutex_unlock(&d->lock) != 0)
		abort();
}

/* --- versions --- */

struct version version_ref(const struct version *v)
{
	return (struct version){
		.content = v->content == NULL ? NULL : content_ref(v->content),
		.names = v->names == NULL ? NULL : names_ref(v->names),
	};
}

void version_unref(struct version *v)
{
	content_unref(v->content);
	names_unref(v->names);
}

static void inode_push(struct inode *n, struct version v)
{
	n->versions = sim_realloc(n->versions, (n->version_count + 1) * sizeof(v));
	n->versions[n->version_count++] = v;
}

void inode_set_only(struct inode *n, struct version v)
{
	for (size_t i = 0; i < n->version_count; i++)
		version_unref(&n->versions[i]);
	n->version_count = 0;
	inode_push(n, v);
	for (size_t i = 0; i < n->renamed_count; i++)
		free(n->renamed[i]);
	free(n->renamed);
	n->renamed = NULL;
	n->renamed_count = 0;
}

static void inode_make_durable(struct inode *n)
{
	inode_set_only(n, version_ref(inode_last(n)));
}

static void inode_mark_renamed(struct inode *n, const char *text)
{
	n->renamed = sim_realloc(n->renamed, (n->renamed_count + 1) * sizeof(n->renamed[0]));
	n->renamed[n->renamed_count++] = sim_strdup(text, strlen(text));
}

void inode_copy_versions(struct inode *n, const struct inode *from)
{
	inode_set_only(n, version_ref(&from->versions[0]));
	for (size_t i = 1; i < from->version_count; i++)
		inode_push(n, version_ref(&from->versions[i]));
	for (size_t i = 0; i < from->renamed_count; i++)
		inode_mark_renamed(n, from->renamed[i]);
}

static void push_content(struct inode *n, struct content *c)
{
	inode_push(n, (struct version){ .content = c });
}

static void push_name(struct inode *dir, const char *text, uint64_t inode)
{
	inode_push(dir,
		   (struct version){ .names = names_set(inode_last(dir)->names, text, inode) });
}

uint64_t simdisk_add_inode(struct simdisk *d, mode_t mode)
{
	struct inode *n = sim_alloc(sizeof(*n));

	n->mode = mode;
	if (S_ISDIR(mode))
		inode_push(n, (struct version){ .names = names_new() });
	else
		inode_push(n, (struct version){ .content = content_new(0) });
	d->inodes = sim_realloc(d->inodes, (d->inode_count + 1) * sizeof(d->inodes[0]));
	d->inodes[d->inode_count] = n;
	return d->inode_count++;
}

/* --- entering and leaving a call --- */

/* Locks the disk and counts a call.  Returns 0 with the disk locked, or -EIO without power. */
static int call_begin(struct simdisk *d, enum iocall kind)
{
	lock(d);
	if (d->calls >= d->cut_after) {
		unlock(d);
		return -EIO;
	}
	d->calls++;
	if (d->hook != NULL)
		d->hook(d->hook_arg, d, d->calls, kind);
	return 0;
}

static ssize_t call_end(struct simdisk *d, ssize_t result)
{
	unlock(d);
	return result;
}

static struct descriptor *descriptor(struct simdisk *d, int fd)
{
	if (fd < FD_FIRST || fd >= FD_FIRST + SIMDISK_FD_MAX)
		return NULL;
	return d->fds[fd - FD_FIRST];
}

static struct inode *fd_inode(struct simdisk *d, int fd)
{
	const struct descriptor *f = descriptor(d, fd);

	return f == NULL ? NULL : d->inodes[f->inode];
}

static bool is_writable(const struct descriptor *f)
{
	return (f->flags & O_ACCMODE) != O_RDONLY;
}

static uint64_t inode_bytes(const struct inode *n)
{
	uint64_t size = inode_is_dir(n) ? 0 : inode_last(n)->content->size_bytes;

	return size > n->allocated_bytes ? size : n->allocated_bytes;
}

static uint64_t used_bytes(const struct simdisk *d)
{
	uint64_t used = 0;

	for (size_t i = 0; i < d->inode_count; i++) {
		if (d->inodes[i]->name_count > 0 || d->inodes[i]->open_count > 0)
			used += inode_bytes(d->inodes[i]);
	}
	return used;
}

static uint64_t used_inodes(const struct simdisk *d)
{
	uint64_t used = 0;

	for (size_t i = 0; i < d->inode_count; i++)
		used += d->inodes[i]->name_count > 0 || d->inodes[i]->open_count > 0;
	return used;
}

/* --- paths --- */

/* Finds the directory of the last component of 'path', and that component (owned by the caller). ""
 * means the directory itself. */
static int walk(struct simdisk *d, int dir_fd, const char *path, uint64_t *ret_dir, char **ret_name)
{
	const struct descriptor *f = descriptor(d, dir_fd);
	uint64_t dir = SIMDISK_ROOT;

	if (path[0] != '/') {
		if (f == NULL)
			return -EBADF;
		dir = f->inode;
	}
	for (;;) {
		size_t n;

		path += strspn(path, "/");
		n = strcspn(path, "/");
		if (!inode_is_dir(d->inodes[dir]))
			return -ENOTDIR;
		if (path[n + strspn(path + n, "/")] == '\0') {
			*ret_dir = dir;
			*ret_name =
				n == 1 && path[0] == '.' ? sim_strdup("", 0) : sim_strdup(path, n);
			return 0;
		}
		if (n != 1 || path[0] != '.') {
			char *part = sim_strdup(path, n);

			dir = names_find(inode_last(d->inodes[dir])->names, part);
			free(part);
		}
		if (dir == NAMES_NONE)
			return -ENOENT;
		path += n;
	}
}

/* Returns the inode of 'name' in 'dir', or NAMES_NONE. */
static uint64_t look_up(struct simdisk *d, uint64_t dir, const char *name)
{
	return name[0] == '\0' ? dir : names_find(inode_last(d->inodes[dir])->names, name);
}

static void add_name(struct simdisk *d, uint64_t dir, const char *name, uint64_t inode)
{
	push_name(d->inodes[dir], name, inode);
	d->inodes[inode]->name_count++;
}

/* --- the operations --- */

static int new_fd(struct simdisk *d, uint64_t inode, int flags)
{
	for (int i = 0; i < SIMDISK_FD_MAX; i++) {
		if (d->fds[i] != NULL)
			continue;
		d->fds[i] = sim_alloc(sizeof(*d->fds[i]));
		*d->fds[i] = (struct descriptor){ .inode = inode, .flags = flags };
		d->inodes[inode]->open_count++;
		return FD_FIRST + i;
	}
	return -EMFILE;
}

static int open_locked(struct simdisk *d, int dir_fd, const char *path, int flags, mode_t mode)
{
	uint64_t dir, inode;
	struct inode *n;
	char *name;
	int err = walk(d, dir_fd, path, &dir, &name);

	if (err < 0)
		return err;
	inode = look_up(d, dir, name);
	if (inode == NAMES_NONE && (flags & O_CREAT) != 0 && used_inodes(d) >= d->inodes_max) {
		err = -ENOSPC;
	} else if (inode == NAMES_NONE && (flags & O_CREAT) != 0) {
		inode = simdisk_add_inode(d, S_IFREG | (mode & 07777));
		add_name(d, dir, name, inode);
	} else if (inode != NAMES_NONE && (flags & O_CREAT) != 0 && (flags & O_EXCL) != 0) {
		err = -EEXIST;
	}
	free(name);
	if (err < 0)
		return err;
	if (inode == NAMES_NONE)
		return -ENOENT;
	n = d->inodes[inode];
	if ((flags & O_DIRECTORY) != 0 && !inode_is_dir(n))
		return -ENOTDIR;
	if ((flags & O_ACCMODE) != O_RDONLY && inode_is_dir(n))
		return -EISDIR;
	if ((flags & O_TRUNC) != 0 && !inode_is_dir(n) && inode_last(n)->content->size_bytes > 0)
		push_content(n, content_new(0));
	return new_fd(d, inode, flags);
}

static int sim_open(struct io *io, int dir_fd, const char *path, int flags, mode_t mode)
{
	struct simdisk *d = from_io(io);
	int err = call_begin(d, IOCALL_OPEN);

	return err < 0 ? err : (int)call_end(d, open_locked(d, dir_fd, path, flags, mode));
}

/* Works without power, too: the process still has the descriptor. */
static int sim_close(struct io *io, int fd)
{
	struct simdisk *d = from_io(io);
	int err = call_begin(d, IOCALL_CLOSE);
	struct descriptor *f;
	struct inode *n;

	if (err < 0)
		lock(d);
	f = descriptor(d, fd);
	if (f == NULL)
		return (int)call_end(d, -EBADF);
	n = d->inodes[f->inode];
	n->open_count--;
	if (n->lock_owner == f)
		n->lock_owner = NULL;
	d->fds[fd - FD_FIRST] = NULL;
	free(f);
	return (int)call_end(d, err);
}

static ssize_t sim_pread(struct io *io, int fd, void *buf, size_t n, uint64_t offset)
{
	struct simdisk *d = from_io(io);
	int err = call_begin(d, IOCALL_PREAD);
	struct inode *inode;

	if (err < 0)
		return err;
	inode = fd_inode(d, fd);
	if (inode == NULL)
		return call_end(d, -EBADF);
	if (inode_is_dir(inode))
		return call_end(d, -EISDIR);
	return call_end(d, (ssize_t)content_read(inode_last(inode)->content, buf, n, offset));
}

/* Writes as many bytes as the limit allows. */
static ssize_t write_locked(struct simdisk *d, const struct descriptor *f, const void *buf,
			    size_t n, uint64_t offset)
{
	struct inode *inode = d->inodes[f->inode];
	uint64_t have = inode_bytes(inode);
	uint64_t used = used_bytes(d);
	uint64_t left = d->capacity_bytes > used ? d->capacity_bytes - used : 0;

	if (n == 0)
		return 0;
	if (offset >= have && left <= offset - have)
		return d->is_quota ? -EDQUOT : -ENOSPC;
	if (offset + n > have && offset + n - have > left)
		n = have + left - offset;
	push_content(inode, content_write(inode_last(inode)->content, buf, n, offset));
	return (ssize_t)n;
}

static ssize_t sim_pwrite(struct io *io, int fd, const void *buf, size_t n, uint64_t offset)
{
	struct simdisk *d = from_io(io);
	int err = call_begin(d, IOCALL_PWRITE);
	const struct descriptor *f;

	if (err < 0)
		return err;
	f = descriptor(d, fd);
	if (f == NULL || !is_writable(f))
		return call_end(d, -EBADF);
	if ((f->flags & O_APPEND) != 0) /* Linux appends, whatever the offset */
		offset = inode_last(d->inodes[f->inode])->content->size_bytes;
	return call_end(d, write_locked(d, f, buf, n, offset));
}

/* Writes pieces at 'offset', or with 'append' at the end, wherever that is. */
static ssize_t write_pieces(struct simdisk *d, int fd, const struct iovec *iov, int iov_count,
			    bool append, uint64_t offset)
{
	const struct descriptor *f = descriptor(d, fd);
	size_t n = 0;
	ssize_t done;
	uint8_t *all;

	if (f == NULL || !is_writable(f))
		return -EBADF;
	/* The seam promises it; there is no file position here, and Linux appends whatever the
	 * offset. */
	if (((f->flags & O_APPEND) != 0) != append || iov_count < 0 || iov_count > IOV_MAX)
		return -EINVAL;
	for (int i = 0; i < iov_count; i++)
		n += iov[i].iov_len;
	all = sim_alloc(n + 1);
	n = 0;
	for (int i = 0; i < iov_count; i++) {
		if (iov[i].iov_len > 0)
			memcpy(all + n, iov[i].iov_base, iov[i].iov_len);
		n += iov[i].iov_len;
	}
	if (append)
		offset = inode_last(d->inodes[f->inode])->content->size_bytes;
	done = write_locked(d, f, all, n, offset);
	free(all);
	return done;
}

static ssize_t sim_writev(struct io *io, int fd, const struct iovec *iov, int iov_count)
{
	struct simdisk *d = from_io(io);
	int err = call_begin(d, IOCALL_WRITEV);

	if (err < 0)
		return err;
	return call_end(d, write_pieces(d, fd, iov, iov_count, true, 0));
}

static ssize_t sim_pwritev(struct io *io, int fd, const struct iovec *iov, int iov_count,
			   uint64_t offset)
{
	struct simdisk *d = from_io(io);
	int err = call_begin(d, IOCALL_PWRITEV);

	if (err < 0)
		return err;
	return call_end(d, write_pieces(d, fd, iov, iov_count, false, offset));
}

/* Truncates, or with 'at_least' allocates. */
static int resize(struct simdisk *d, int fd, uint64_t size_bytes, bool at_least)
{
	const struct descriptor *f = descriptor(d, fd);
	struct inode *n;
	uint64_t have;

	if (f == NULL || !is_writable(f))
		return -EBADF;
	n = d->inodes[f->inode];
	have = inode_bytes(n);
	if (at_least && size_bytes > have && size_bytes - have + used_bytes(d) > d->capacity_bytes)
		return d->is_quota ? -EDQUOT : -ENOSPC;
	if (at_least && size_bytes > n->allocated_bytes)
		n->allocated_bytes = size_bytes;
	if (!at_least && size_bytes < n->allocated_bytes)
		n->allocated_bytes = size_bytes;
	if (at_least ? size_bytes > inode_last(n)->content->size_bytes
		     : size_bytes != inode_last(n)->content->size_bytes)
		push_content(n, content_resize(inode_last(n)->content, size_bytes));
	return 0;
}

static int sim_truncate(struct io *io, int fd, uint64_t size_bytes)
{
	struct simdisk *d = from_io(io);
	int err = call_begin(d, IOCALL_TRUNCATE);

	return err < 0 ? err : (int)call_end(d, resize(d, fd, size_bytes, false));
}

static int sim_allocate(struct io *io, int fd, uint64_t size_bytes)
{
	struct simdisk *d = from_io(io);
	int err = call_begin(d, IOCALL_ALLOCATE);

	return err < 0 ? err : (int)call_end(d, resize(d, fd, size_bytes, true));
}

/* Makes 'v', if it is still a version of 'n', the durable one; later versions are not synced. */
static void make_durable_up_to(struct inode *n, const struct version *v)
{
	size_t i = 0;

	while (i < n->version_count &&
	       (n->versions[i].content != v->content || n->versions[i].names != v->names))
		i++;
	if (i == n->version_count)
		return; /* another sync was faster */
	if (i + 1 == n->version_count) {
		inode_make_durable(n);
		return;
	}
	for (size_t k = 0; k < i; k++)
		version_unref(&n->versions[k]);
	n->version_count -= i;
	memmove(n->versions, n->versions + i, n->version_count * sizeof(n->versions[0]));
}

static void wait_half(unsigned int delay_us)
{
	if (delay_us > 0)
		(void)usleep(delay_us / 2); /* a shorter delay does no harm */
}

/* Bytes written while the sync runs are not synced. */
static int sync_inode(struct io *io, int fd, enum iocall kind)
{
	struct simdisk *d = from_io(io);
	int err = call_begin(d, kind);
	unsigned int delay_us;
	struct version goal;
	struct inode *n;

	if (err < 0)
		return err;
	n = fd_inode(d, fd);
	if (n == NULL)
		return (int)call_end(d, -EBADF);
	goal = version_ref(inode_last(n));
	delay_us = d->sync_delay_us;
	unlock(d);
	wait_half(delay_us);
	lock(d);
	make_durable_up_to(n, &goal);
	version_unref(&goal);
	unlock(d);
	wait_half(delay_us);
	return 0;
}

static int sim_fdatasync(struct io *io, int fd)
{
	return sync_inode(io, fd, IOCALL_FDATASYNC);
}

static int sim_fsync(struct io *io, int fd)
{
	return sync_inode(io, fd, IOCALL_FSYNC);
}

static int sim_stat(struct io *io, int fd, struct io_stat *ret)
{
	struct simdisk *d = from_io(io);
	int err = call_begin(d, IOCALL_STAT);
	const struct inode *n;

	if (err < 0)
		return err;
	n = fd_inode(d, fd);
	if (n == NULL)
		return (int)call_end(d, -EBADF);
	*ret = (struct io_stat){
		.size_bytes = inode_is_dir(n) ? 0 : inode_last(n)->content->size_bytes,
		.mode = n->mode,
		.ino = (uint64_t)(uintptr_t)n,
	};
	return (int)call_end(d, 0);
}

/* Moves a name; 'from' and 'to' are not "". */
static int move_name(struct simdisk *d, uint64_t from_dir, const char *from, uint64_t to_dir,
		     const char *to)
{
	uint64_t moved = look_up(d, from_dir, from);
	uint64_t target = look_up(d, to_dir, to);
	struct inode *n;

	if (moved == NAMES_NONE)
		return -ENOENT;
	n = d->inodes[moved];
	if (target == moved)
		return 0;
	if (target != NAMES_NONE) {
		struct inode *old = d->inodes[target];

		if (inode_is_dir(old) != inode_is_dir(n))
			return inode_is_dir(old) ? -EISDIR : -ENOTDIR;
		if (inode_is_dir(old) && inode_last(old)->names->count > 0)
			return -ENOTEMPTY;
		old->name_count--;
	}
	if (from_dir == to_dir) { /* one operation, so one version */
		struct names *without =
			names_set(inode_last(d->inodes[from_dir])->names, from, NAMES_NONE);

		inode_push(d->inodes[from_dir],
			   (struct version){ .names = names_set(without, to, moved) });
		names_unref(without);
		inode_mark_renamed(d->inodes[from_dir], from);
		inode_mark_renamed(d->inodes[from_dir], to);
		return 0;
	}
	push_name(d->inodes[from_dir], from, NAMES_NONE);
	push_name(d->inodes[to_dir], to, moved);
	return 0;
}

static int sim_rename(struct io *io, int dir_fd, const char *from, const char *to)
{
	struct simdisk *d = from_io(io);
	int err = call_begin(d, IOCALL_RENAME);
	char *from_name = NULL, *to_name = NULL;
	uint64_t from_dir, to_dir;

	if (err < 0)
		return err;
	err = walk(d, dir_fd, from, &from_dir, &from_name);
	if (err == 0)
		err = walk(d, dir_fd, to, &to_dir, &to_name);
	if (err == 0 && (from_name[0] == '\0' || to_name[0] == '\0'))
		err = -EINVAL;
	if (err == 0)
		err = move_name(d, from_dir, from_name, to_dir, to_name);
	free(from_name);
	free(to_name);
	return (int)call_end(d, err);
}

static int sim_link(struct io *io, int dir_fd, const char *from, const char *to)
{
	struct simdisk *d = from_io(io);
	int err = call_begin(d, IOCALL_LINK);
	char *from_name = NULL, *to_name = NULL;
	uint64_t from_dir, to_dir, inode;

	if (err < 0)
		return err;
	err = walk(d, dir_fd, from, &from_dir, &from_name);
	if (err == 0)
		err = walk(d, dir_fd, to, &to_dir, &to_name);
	inode = err == 0 ? look_up(d, from_dir, from_name) : NAMES_NONE;
	if (err == 0 && inode == NAMES_NONE)
		err = -ENOENT;
	if (err == 0 && inode_is_dir(d->inodes[inode]))
		err = -EPERM;
	if (err == 0 && look_up(d, to_dir, to_name) != NAMES_NONE)
		err = -EEXIST;
	if (err == 0) {
		push_name(d->inodes[to_dir], to_name, inode);
		d->inodes[inode]->name_count++;
	}
	free(from_name);
	free(to_name);
	return (int)call_end(d, err);
}

static int sim_unlink(struct io *io, int dir_fd, const char *path)
{
	struct simdisk *d = from_io(io);
	int err = call_begin(d, IOCALL_UNLINK);
	uint64_t dir, inode;
	char *name;

	if (err < 0)
		return err;
	err = walk(d, dir_fd, path, &dir, &name);
	if (err < 0)
		return (int)call_end(d, err);
	inode = look_up(d, dir, name);
	if (inode == NAMES_NONE) {
		err = -ENOENT;
	} else if (inode_is_dir(d->inodes[inode])) {
		err = -EISDIR;
	} else {
		push_name(d->inodes[dir], name, NAMES_NONE);
		d->inodes[inode]->name_count--;
	}
	free(name);
	return (int)call_end(d, err);
}

static int sim_mkdir(struct io *io, int dir_fd, const char *path, mode_t mode)
{
	struct simdisk *d = from_io(io);
	int err = call_begin(d, IOCALL_MKDIR);
	uint64_t dir;
	char *name;

	if (err < 0)
		return err;
	err = walk(d, dir_fd, path, &dir, &name);
	if (err < 0)
		return (int)call_end(d, err);
	if (look_up(d, dir, name) != NAMES_NONE)
		err = -EEXIST;
	else
		add_name(d, dir, name, simdisk_add_inode(d, S_IFDIR | (mode & 07777)));
	free(name);
	return (int)call_end(d, err);
}

/* Lists the names that existed at the beginning; 'fn' runs with the disk locked and may use it. */
static int list_inode(const struct inode *n, io_list_fn fn, void *arg)
{
	struct names *names = names_ref(inode_last(n)->names);
	int stop = 0;

	for (size_t i = 0; i < names->count && stop == 0; i++)
		stop = fn(arg, names->list[i].text);
	names_unref(names);
	return stop;
}

static int sim_list(struct io *io, int dir_fd, io_list_fn fn, void *arg)
{
	struct simdisk *d = from_io(io);
	int err = call_begin(d, IOCALL_LIST);
	const struct inode *n;

	if (err < 0)
		return err;
	n = fd_inode(d, dir_fd);
	if (n == NULL)
		return (int)call_end(d, -EBADF);
	if (!inode_is_dir(n))
		return (int)call_end(d, -ENOTDIR);
	return (int)call_end(d, list_inode(n, fn, arg));
}

static int sim_lock(struct io *io, int fd)
{
	struct simdisk *d = from_io(io);
	int err = call_begin(d, IOCALL_LOCK);
	const struct descriptor *f;
	struct inode *n;

	if (err < 0)
		return err;
	f = descriptor(d, fd);
	if (f == NULL)
		return (int)call_end(d, -EBADF);
	n = d->inodes[f->inode];
	if (n->lock_owner != NULL && n->lock_owner != f)
		return (int)call_end(d, -EWOULDBLOCK);
	n->lock_owner = f;
	return (int)call_end(d, 0);
}

static int sim_space(struct io *io, int dir_fd, struct io_space *ret)
{
	struct simdisk *d = from_io(io);
	int err = call_begin(d, IOCALL_SPACE);
	uint64_t used, total;

	if (err < 0)
		return err;
	used = used_bytes(d);
	total = d->capacity_bytes == SIMDISK_NO_LIMIT || d->is_quota ? UINT64_C(1) << 40
								     : d->capacity_bytes;
	*ret = (struct io_space){
		.block_bytes = 1,
		.blocks = total,
		.blocks_free = total > used ? total - used : 0,
		.blocks_available = total > used ? total - used : 0,
		.files = 1000000,
		.files_free = 1000000 - d->inode_count,
	};
	return (int)call_end(d, 0);
}

static int64_t sim_now_ns(struct io *io)
{
	struct simdisk *d = from_io(io);
	int64_t now;

	lock(d);
	now = (int64_t)(d->clock_ns += CLOCK_STEP_NS);
	unlock(d);
	return now;
}

static const struct io_ops sim_ops = {
	.open = sim_open,
	.close = sim_close,
	.pread = sim_pread,
	.pwrite = sim_pwrite,
	.writev = sim_writev,
	.pwritev = sim_pwritev,
	.truncate = sim_truncate,
	.allocate = sim_allocate,
	.fdatasync = sim_fdatasync,
	.fsync = sim_fsync,
	.stat = sim_stat,
	.rename = sim_rename,
	.link = sim_link,
	.unlink = sim_unlink,
	.mkdir = sim_mkdir,
	.list = sim_list,
	.lock = sim_lock,
	.space = sim_space,
	.now_ns = sim_now_ns,
};

/* --- the disk --- */

struct simdisk *simdisk_new(void)
{
	struct simdisk *d = sim_alloc(sizeof(*d));
	pthread_mutexattr_t attr;

	d->io.ops = &sim_ops;
	if (pthread_mutexattr_init(&attr) != 0 ||
	    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE) != 0 ||
	    pthread_mutex_init(&d->lock, &attr) != 0 || pthread_mutexattr_destroy(&attr) != 0)
		abort();
	d->cut_after = UINT64_MAX;
	d->capacity_bytes = d->inodes_max = SIMDISK_NO_LIMIT;
	d->clock_ns = CLOCK_START_NS;
	(void)simdisk_add_inode(d, S_IFDIR | 0755); /* SIMDISK_ROOT */
	d->inodes[SIMDISK_ROOT]->name_count = 1;
	return d;
}

void simdisk_free(struct simdisk *d)
{
	if (d == NULL)
		return;
	for (size_t i = 0; i < d->inode_count; i++) {
		struct inode *n = d->inodes[i];

		inode_make_durable(n);
		version_unref(&n->versions[0]);
		free(n->versions);
		free(n);
	}
	free(d->inodes);
	for (size_t i = 0; i < SIMDISK_FD_MAX; i++)
		free(d->fds[i]);
	(void)pthread_mutex_destroy(&d->lock);
	free(d);
}

struct io *simdisk_io(struct simdisk *d)
{
	return &d->io;
}

void simdisk_set_hook(struct simdisk *d, simdisk_hook_fn fn, void *arg)
{
	lock(d);
	d->hook = fn;
	d->hook_arg = arg;
	unlock(d);
}

uint64_t simdisk_calls(struct simdisk *d)
{
	uint64_t calls;

	lock(d);
	calls = d->calls;
	unlock(d);
	return calls;
}

void simdisk_cut_after(struct simdisk *d, uint64_t number)
{
	lock(d);
	d->cut_after = number;
	unlock(d);
}

void simdisk_set_capacity(struct simdisk *d, uint64_t capacity_bytes)
{
	lock(d);
	d->capacity_bytes = capacity_bytes;
	d->is_quota = false;
	unlock(d);
}

void simdisk_set_no_inodes(struct simdisk *d, bool none)
{
	lock(d);
	d->inodes_max = none ? used_inodes(d) : SIMDISK_NO_LIMIT;
	unlock(d);
}

void simdisk_set_quota(struct simdisk *d, uint64_t quota_bytes)
{
	lock(d);
	d->capacity_bytes = quota_bytes;
	d->is_quota = true;
	unlock(d);
}

uint64_t simdisk_used_bytes(struct simdisk *d)
{
	uint64_t used;

	lock(d);
	used = used_bytes(d);
	unlock(d);
	return used;
}

void simdisk_set_sync_delay(struct simdisk *d, unsigned int delay_us)
{
	lock(d);
	d->sync_delay_us = delay_us;
	unlock(d);
}

void simdisk_make_durable(struct simdisk *d)
{
	lock(d);
	for (size_t i = 0; i < d->inode_count; i++)
		inode_make_durable(d->inodes[i]);
	unlock(d);
}

unsigned int simdisk_open_count(struct simdisk *d)
{
	unsigned int count = 0;

	lock(d);
	for (size_t i = 0; i < SIMDISK_FD_MAX; i++)
		count += d->fds[i] != NULL;
	unlock(d);
	return count;
}

/* Returns the inode of an absolute path, or NULL. */
static struct inode *find_locked(struct simdisk *d, const char *path)
{
	uint64_t dir, inode;
	char *name;

	if (walk(d, -1, path, &dir, &name) < 0)
		return NULL;
	inode = look_up(d, dir, name);
	free(name);
	return inode == NAMES_NONE ? NULL : d->inodes[inode];
}

uint8_t *simdisk_read_file(struct simdisk *d, const char *path, size_t *ret_bytes)
{
	uint8_t *bytes = NULL;
	const struct inode *n;

	lock(d);
	n = find_locked(d, path);
	if (n != NULL && !inode_is_dir(n)) {
		*ret_bytes = inode_last(n)->content->size_bytes;
		bytes = sim_alloc(*ret_bytes + 1);
		(void)content_read(inode_last(n)->content, bytes, *ret_bytes, 0);
	}
	unlock(d);
	return bytes;
}

int simdisk_write_file(struct simdisk *d, const char *path, const void *bytes, size_t byte_count)
{
	struct content *empty;
	uint64_t dir, inode;
	char *name;
	int err;

	lock(d);
	err = walk(d, -1, path, &dir, &name);
	if (err == 0) {
		inode = look_up(d, dir, name);
		if (inode == NAMES_NONE) {
			inode = simdisk_add_inode(d, S_IFREG | 0600);
			add_name(d, dir, name, inode);
			inode_make_durable(d->inodes[dir]);
		}
		empty = content_new(0);
		inode_set_only(
			d->inodes[inode],
			(struct version){ .content = content_write(empty, bytes, byte_count, 0) });
		content_unref(empty);
		free(name);
	}
	unlock(d);
	return err;
}

int simdisk_list_names(struct simdisk *d, const char *path, io_list_fn fn, void *arg)
{
	const struct inode *n;
	int ret = -ENOENT;

	lock(d);
	n = find_locked(d, path);
	if (n != NULL && inode_is_dir(n))
		ret = list_inode(n, fn, arg);
	unlock(d);
	return ret;
}
