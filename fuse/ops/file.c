/* SPDX-License-Identifier: MIT */
/* Operations on open files.  The handle number that the kernel keeps (fi->fh) is the address of the
 * open file, which all handles of a node share, plus HANDLE_ bits; each handle has a reference to
 * the open file. */
#include "fuse/ops/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "fuse/transport/init_reply.h"
#include "fuse/ops/privileges.h"
#include "fuse/mount/reply.h"
#include "fuse/transport/request.h"
#include "fuse/virtual/virtual.h"

/* Bits that no address has.  They keep the mode of the open, because not every request has the
 * flags of open(2). */
#define HANDLE_WRITES UINT64_C(1)
#define HANDLE_MAPS   UINT64_C(2) /* can read, too: mmap(2) can write through it */

struct open_file *ops_handle(const struct fuse_file_info *fi)
{
	return (struct open_file *)(uintptr_t)(fi->fh & ~(HANDLE_WRITES | HANDLE_MAPS));
}

static bool can_map(const struct fuse_file_info *fi)
{
	return (fi->fh & HANDLE_MAPS) != 0;
}

static bool can_write(const struct fuse_file_info *fi)
{
	return (fi->fh & HANDLE_WRITES) != 0;
}

static int open_handle(fuse_req_t req, struct node *n, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct open_file *of = open_files_get(&fs->files, n);
	struct open_file_how how = {
		.truncate = (fi->flags & O_TRUNC) != 0,
		.writable = (fi->flags & (O_ACCMODE | O_TRUNC)) != O_RDONLY,
		.wants_bypass = (fi->flags & O_ACCMODE) == O_WRONLY && init_reply_allows_bypass(),
		.by = fuse_req_ctx(req)->pid,
	};
	bool maps = (fi->flags & O_ACCMODE) == O_RDWR, bypass;
	int err;

	if (of == NULL)
		return -ENOMEM;
	err = open_file_open(of, &how, &bypass);
	if (err < 0) {
		open_files_put(&fs->files, of);
		return err;
	}
	if (maps)
		open_file_count_maps(of, 1);
	fi->fh = (uint64_t)(uintptr_t)of | (how.writable ? HANDLE_WRITES : 0) |
		 (maps ? HANDLE_MAPS : 0);
	fi->direct_io = bypass;
	fi->keep_cache = 1;	     /* only the kernel changes the value */
	fi->noflush = !how.writable; /* its close commits nothing */
	return 0;
}

/* Undoes open_handle() after a failed reply: the kernel does not know the handle, so it will not
 * release it. */
static void forget_handle(struct fs *fs, struct fuse_file_info *fi)
{
	bool dropped;

	if (can_map(fi))
		open_file_count_maps(ops_handle(fi), -1);
	(void)!open_file_release(ops_handle(fi), can_write(fi), &dropped); /* no program to tell */
	open_files_put(&fs->files, ops_handle(fi));
}

/* Replies: create, err.  The file is in the log when it is closed or synced, with the bytes written
 * until then; a temporary file, when it is linked. */
void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	       struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct fuse_entry_param entry;
	struct node *n;
	int err;

	if (strcmp(name, REQUEST_TEMPORARY) == 0)
		err = ops_make_temporary(req, parent, mode, &n);
	else
		err = ops_make_file(req, parent, name, mode, &n);
	if (err < 0) {
		reply_err(req, err);
		return;
	}
	fi->flags &= ~O_TRUNC; /* a new file is empty */
	err = open_handle(req, n, fi);
	if (err < 0) {
		ops_unmake_file(req, parent, name, n);
		reply_err(req, err);
		return;
	}
	fs_entry(fs, n, &entry);
	if (fuse_reply_create(req, &entry, fi) < 0) {
		forget_handle(fs, fi);
		fs_unpin(fs, fs_ino(n), 1);
	}
}

struct shown {
	struct fs *fs;
	fuse_ino_t ino;
};

static void show_value(void *arg, void *value, size_t n)
{
	const struct shown *to = arg;
	struct fuse_bufvec pages = FUSE_BUFVEC_INIT(n);

	pages.buf[0].mem = value;
	(void)fuse_lowlevel_notify_store(to->fs->session, to->ino, 0, &pages, 0);
}

/* Gives the kernel the value of a small file that is opened for the first time, so that it does not
 * ask for it: one request less for each file of a tree that is read. */
static void show_unread(fuse_req_t req, fuse_ino_t ino, const struct fuse_file_info *fi)
{
	struct shown to = { fs_of(req), ino };

	if (!can_write(fi) && !fi->direct_io && (fi->flags & O_DIRECT) == 0)
		open_file_show_unread(ops_handle(fi), show_value, &to);
}

/* Replies: open, err. */
void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	int err;

	if (fs_is_history(ino)) {
		history_open_file(req, ino, fi);
		return;
	}
	if (fs_is_virtual(ino)) {
		virtual_open(req, ino, fi);
		return;
	}
	err = open_handle(req, fs_node(ino), fi);
	if (err == 0 && (fi->flags & O_TRUNC)) {
		err = privileges_drop(req, fs_node(ino));
		if (err < 0)
			forget_handle(fs, fi);
	}
	if (err < 0) {
		reply_err(req, err);
		return;
	}
	show_unread(req, ino, fi);
	if (fuse_reply_open(req, fi) < 0)
		forget_handle(fs, fi);
}

/* --- reading --- */

struct read_job {
	fuse_req_t req;
	struct open_file *of; /* the kernel releases it after the reply */
	void *buf;
	void *own; /* to be freed: 'buf', or NULL */
	size_t size;
	uint64_t offset;
};

/* Replies: buf, err. */
static void finish_read(const struct read_job *job, ssize_t n)
{
	if (n < 0)
		reply_err(job->req, (int)n);
	else
		(void)fuse_reply_buf(job->req, job->buf, (size_t)n);
	free(job->own);
}

/* Reads from the disk, and what lies around that.  Replies: buf, err. */
static void read_and_wait(const struct read_job *job)
{
	store_read_ahead(fs_of(job->req)->store, open_file_node(job->of), job->offset);
	finish_read(job, open_file_read(job->of, job->buf, job->size, job->offset));
}

static void run_read(void *arg)
{
	read_and_wait(arg);
	free(arg);
}

/* Makes a worker wait for the disk.  Returns false if no worker is available. */
static bool read_elsewhere(const struct read_job *job)
{
	struct read_job *copy = malloc(sizeof(*copy));

	if (copy == NULL)
		return false;
	*copy = *job;
	if (workers_run(&fs_of(job->req)->workers, run_read, copy))
		return true;
	free(copy);
	return false;
}

/* Replies: buf, err. */
void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct read_job job = { .req = req, .size = size, .offset = (uint64_t)off };
	ssize_t n;

	if (fs_is_history(ino)) {
		history_read(req, size, off, fi);
		return;
	}
	if (fs_is_virtual(ino)) {
		virtual_read(req, ino, size, off, fi);
		return;
	}
	job.of = ops_handle(fi);
	job.buf = fs_reply_buffer(req, size, &job.own);
	if (job.buf == NULL) {
		reply_err(req, -ENOMEM);
		return;
	}
	io_set_nowait(true);
	n = open_file_read(job.of, job.buf, size, job.offset);
	io_set_nowait(false);
	if (n != -EAGAIN)
		finish_read(&job, n);
	else if (job.own != NULL || !read_elsewhere(&job)) /* NULL: requests wait for this thread */
		read_and_wait(&job);
}

/* --- writing --- */

/* Replies: write, err.  The offset is right for O_APPEND, too, because the kernel knows the size.
 */
void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
	      struct fuse_file_info *fi)
{
	uint64_t end = 0;
	int err;

	if (fs_is_virtual(ino)) {
		virtual_write(req, ino, buf, size);
		return;
	}
	err = fi->writepage ? privileges_drop_all(req, fs_node(ino))
			    : privileges_drop(req, fs_node(ino));
	if (!fi->writepage) /* the kernel does not say which user wrote the page */
		open_file_set_user(ops_handle(fi), fuse_req_ctx(req)->uid);
	if (err == 0)
		err = open_file_write(ops_handle(fi), buf, size, (uint64_t)off,
				      (fi->flags & O_APPEND) != 0, fuse_req_ctx(req)->pid);
	if (err == 0 && (fi->flags & (O_SYNC | O_DSYNC)))
		err = open_file_commit(ops_handle(fi), &end);
	reply_written(req, err, size, REPLY_DURABLE, end);
}

/* Replies: err. */
void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t length,
		  struct fuse_file_info *fi)
{
	struct io_space space;
	int err = -EOPNOTSUPP;

	if (!fs_is_virtual(ino))
		err = store_space(fs_of(req)->store, &space);
	/* Allocated space must fit on the disk when the file is committed. */
	if (err == 0 && (mode & FALLOC_FL_PUNCH_HOLE) == 0 &&
	    (uint64_t)length / space.block_bytes > space.blocks_available)
		err = -ENOSPC;
	if (err == 0)
		err = privileges_drop(req, fs_node(ino));
	if (err == 0)
		err = open_file_fallocate(ops_handle(fi), mode, (uint64_t)off, (uint64_t)length,
					  fuse_req_ctx(req)->pid);
	reply_err(req, err);
}

/* Replies: lseek, err.  Called for SEEK_DATA and SEEK_HOLE only: the kernel handles the other
 * values itself. */
void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi)
{
	int64_t found = -EINVAL;

	if (fs_is_history(ino)) {
		history_lseek(req, off, whence, fi);
		return;
	}
	if (!fs_is_virtual(ino) && (whence == SEEK_DATA || whence == SEEK_HOLE))
		found = off < 0 ? -ENXIO
				: open_file_seek(ops_handle(fi), whence == SEEK_DATA,
						 (uint64_t)off);
	if (found < 0)
		reply_err(req, (int)found);
	else
		(void)fuse_reply_lseek(req, found);
}

/* Replies: err.  Called at each close(2) of a descriptor that can write. */
void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	uint64_t end = 0;
	int err = 0;

	if (!fs_is_virtual(ino) && can_write(fi))
		err = open_file_flush(ops_handle(fi), fuse_req_ctx(req)->pid, &end);
	reply_done(req, err, REPLY_AS_CONFIGURED, end);
}

/* Replies: err, when every commit of the whole store is durable. */
void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	uint64_t end;
	int err = 0;

	if (!fs_is_virtual(ino))
		err = open_file_commit(ops_handle(fi), &end);
	reply_done(req, err, REPLY_DURABLE, store_end(fs_of(req)->store));
}

/* Releases a handle.  Returns whether its value was lost, so that the kernel must drop the pages
 * that have it. */
static bool release(struct fs *fs, fuse_ino_t ino, const struct fuse_file_info *fi)
{
	struct open_file *of = ops_handle(fi);
	bool dropped;
	int err;

	if (can_map(fi))
		open_file_count_maps(of, -1);
	err = open_file_release(of, can_write(fi), &dropped);
	open_files_put(&fs->files, of);
	if (dropped)
		fs_report_lost(fs, fs_node(ino), err);
	return dropped;
}

/* A file whose cached pages the kernel must drop. */
struct stale {
	struct fs *fs;
	fuse_ino_t ino; /* pinned */
	bool releases;	/* then the handle */
	struct fuse_file_info fi;
};

static void drop_pages(void *arg)
{
	struct stale *s = arg;

	(void)fuse_lowlevel_notify_inval_inode(s->fs->session, s->ino, 0, 0);
	if (s->releases && release(s->fs, s->ino, &s->fi)) /* the pages have the lost value */
		(void)fuse_lowlevel_notify_inval_inode(s->fs->session, s->ino, 0, 0);
	store_unpin(s->fs->store, fs_node(s->ino), 1);
	free(s);
}

/* Drops the pages of a file in the thread for that, and then releases the handle if 'releases'.
 * Returns false without memory or that thread; then the pages stay until the kernel needs memory.
 *
 * The kernel waits for a page that it is reading.  So no other request may wait for the drop: it
 * would keep a thread or an entry of a ring that the reading of this page needs. */
static bool drop_pages_elsewhere(struct fs *fs, fuse_ino_t ino, const struct fuse_file_info *fi,
				 bool releases)
{
	struct stale *s = malloc(sizeof(*s));

	if (s == NULL)
		return false;
	*s = (struct stale){ .fs = fs, .ino = ino, .releases = releases, .fi = *fi };
	store_pin(fs->store, fs_node(ino));
	if (workers_run(&fs->dropper, drop_pages, s))
		return true;
	store_unpin(fs->store, fs_node(ino), 1);
	free(s);
	return false;
}

void ops_take_mapped(struct fs *fs)
{
	struct open_file **files = NULL;
	size_t n = open_files_hold_mapped(&fs->files, &files);

	for (size_t i = 0; i < n; i++) { /* the kernel sends a dirty page before it drops it */
		(void)fuse_lowlevel_notify_inval_inode(fs->session,
						       fs_ino(open_file_node(files[i])), 0, 0);
		open_files_let_go(&fs->files, files[i]);
	}
	free(files);
}

static void release_now(fuse_req_t req, fuse_ino_t ino, const struct fuse_file_info *fi)
{
	if (release(fs_of(req), ino, fi))
		(void)drop_pages_elsewhere(fs_of(req), ino, fi, false);
	reply_err(req, 0);
}

/* Replies: 0; no program sees the reply.  Commits changes that a mapping has made since the last
 * close, and a file that was only created or truncated. */
void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if (fs_is_history(ino))
		history_release(req, fi);
	else if (fs_is_virtual(ino))
		virtual_release(req, fi);
	else if (!open_file_has_stale_pages(ops_handle(fi)) ||
		 !drop_pages_elsewhere(fs_of(req), ino, fi, true))
		release_now(req, ino, fi);
	else
		reply_err(req, 0);
}
