/* SPDX-License-Identifier: MIT */
/* A filesystem that does nothing: the most that any daemon behind the same transport can reach.
 * Files can be created and written; their bytes are dropped.  All it remembers is a number
 * for each name, because the kernel may ask for one again.
 *
 *   nullfs [-f] MOUNTPOINT [-o io_uring=on|off,FUSE options]
 *
 * The transports are freyjafs' own.  It takes the same requests with the same caching and session
 * settings as freyjafs, so that the kernel asks it the same questions. */
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuse/transport/init_reply.h"
#include "fuse/transport/transport.h"

#define NULLFS_TIMEOUT_S      86400.0		    /* nobody else changes the names */
#define NULLFS_DIRECTORY_BIT  ((fuse_ino_t)1 << 48) /* in the inode numbers of directories */
#define NULLFS_INO_MASK	      (NULLFS_DIRECTORY_BIT - 1)
#define NULLFS_BACKGROUND_MAX 64
#define NULLFS_FILE_BYTES     4096		/* what stat(2) says of every file */
#define NULLFS_NAMES_MAX      ((size_t)1 << 22) /* places for them, of which half are used */
#define NULLFS_REMOVED	      1			/* in place of a number */

/* The inode numbers of what exists, by the hash of parent and name that they are made of. */
static _Atomic(fuse_ino_t) names[NULLFS_NAMES_MAX];
static atomic_size_t name_count;

/* FNV-1a. */
static fuse_ino_t hash_name(fuse_ino_t parent, const char *name)
{
	fuse_ino_t hash = (UINT64_C(0xcbf29ce484222325) ^ parent) * UINT64_C(0x100000001b3);

	for (; *name != '\0'; name++)
		hash = (hash ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
	hash = (hash ^ hash >> 32) & NULLFS_INO_MASK;
	return hash < 16 ? 16 : hash;
}

/* Finds the place of a name, or the free one where it would be. */
static _Atomic(fuse_ino_t) *find_name(fuse_ino_t hash)
{
	size_t i = hash % NULLFS_NAMES_MAX;
	fuse_ino_t ino;

	while ((ino = atomic_load(&names[i])) != 0 && (ino & NULLFS_INO_MASK) != hash)
		i = (i + 1) % NULLFS_NAMES_MAX;
	return &names[i];
}

/* Returns 0 if there are too many. */
static fuse_ino_t add_name(fuse_ino_t parent, const char *name, bool is_dir)
{
	fuse_ino_t hash = hash_name(parent, name), free_place;
	fuse_ino_t ino = hash | (is_dir ? NULLFS_DIRECTORY_BIT : 0);
	_Atomic(fuse_ino_t) *place;

	if (atomic_fetch_add(&name_count, 1) >= NULLFS_NAMES_MAX / 2)
		return 0;
	do {
		place = find_name(hash);
		free_place = 0;
	} while (atomic_load(place) == 0 &&
		 !atomic_compare_exchange_strong(place, &free_place, ino));
	return ino;
}

static void fill_stat(fuse_ino_t ino, struct stat *ret)
{
	bool is_dir = ino == FUSE_ROOT_ID || (ino & NULLFS_DIRECTORY_BIT) != 0;

	memset(ret, 0, sizeof(*ret));
	ret->st_ino = ino;
	ret->st_mode = is_dir ? S_IFDIR | 0755 : S_IFREG | 0644;
	ret->st_nlink = is_dir ? 2 : 1;
	ret->st_size = is_dir ? 0 : NULLFS_FILE_BYTES;
}

static void fill_entry(fuse_ino_t ino, struct fuse_entry_param *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->ino = ino;
	ret->attr_timeout = NULLFS_TIMEOUT_S;
	ret->entry_timeout = NULLFS_TIMEOUT_S;
	fill_stat(ret->ino, &ret->attr);
}

/* As the daemon does. */
static void null_init(void *userdata, struct fuse_conn_info *conn)
{
	conn->want |= conn->capable &
		      (FUSE_CAP_ASYNC_READ | FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_PARALLEL_DIROPS |
		       FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO);
	conn->want &= ~(unsigned int)(FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_HANDLE_KILLPRIV |
				      FUSE_CAP_WRITEBACK_CACHE);
	conn->max_background = NULLFS_BACKGROUND_MAX;
	conn->congestion_threshold = NULLFS_BACKGROUND_MAX * 3 / 4;
	conn->time_gran = 1;
}

static void null_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e = { .entry_timeout = NULLFS_TIMEOUT_S }; /* not there */
	fuse_ino_t ino = atomic_load(find_name(hash_name(parent, name)));

	if (ino != 0)
		fill_entry(ino, &e);
	(void)fuse_reply_entry(req, &e);
}

static void null_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	fuse_reply_none(req);
}

static void null_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	fill_stat(ino, &st);
	(void)fuse_reply_attr(req, &st, NULLFS_TIMEOUT_S);
}

static void null_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
			 struct fuse_file_info *fi)
{
	null_getattr(req, ino, fi);
}

static void null_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct fuse_entry_param e;

	fill_entry(add_name(parent, name, true), &e);
	if (e.ino == 0)
		(void)fuse_reply_err(req, ENOSPC);
	else
		(void)fuse_reply_entry(req, &e);
}

/* As the daemon does with a file that has no other handle. */
static void set_caching(struct fuse_file_info *fi)
{
	fi->keep_cache = 1;
	fi->direct_io = (fi->flags & O_ACCMODE) == O_WRONLY;
}

static void null_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
			struct fuse_file_info *fi)
{
	struct fuse_entry_param e;

	fill_entry(add_name(parent, name, false), &e);
	e.attr.st_size = 0;
	set_caching(fi);
	if (e.ino == 0)
		(void)fuse_reply_err(req, ENOSPC);
	else
		(void)fuse_reply_create(req, &e, fi);
}

static void null_remove(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	_Atomic(fuse_ino_t) *place = find_name(hash_name(parent, name));

	if (atomic_load(place) != 0)
		atomic_store(place, NULLFS_REMOVED);
	(void)fuse_reply_err(req, 0);
}

static void null_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	set_caching(fi);
	fi->noflush = (fi->flags & O_ACCMODE) == O_RDONLY;
	(void)fuse_reply_open(req, fi);
}

static void null_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		      struct fuse_file_info *fi)
{
	static const char zeros[NULLFS_FILE_BYTES];
	size_t left = offset < NULLFS_FILE_BYTES ? (size_t)(NULLFS_FILE_BYTES - offset) : 0;

	(void)fuse_reply_buf(req, zeros, size < left ? size : left);
}

static void null_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t offset,
		       struct fuse_file_info *fi)
{
	(void)fuse_reply_write(req, size);
}

static void null_done(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)fuse_reply_err(req, 0);
}

static void null_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)fuse_reply_err(req, 0);
}

static void null_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
			 struct fuse_file_info *fi)
{
	(void)fuse_reply_buf(req, NULL, 0);
}

/* There are extended attributes, and this file has none: the kernel asks before the first write to
 * a file whether it has capabilities to lose.  Who answers ENOSYS is not asked again, and has none.
 */
static void null_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	fuse_reply_err(req, ENODATA);
}

static const struct fuse_lowlevel_ops null_ops = {
	.init = null_init,
	.lookup = null_lookup,
	.forget = null_forget,
	.getattr = null_getattr,
	.getxattr = null_getxattr,
	.setattr = null_setattr,
	.mkdir = null_mkdir,
	.unlink = null_remove,
	.rmdir = null_remove,
	.create = null_create,
	.open = null_open,
	.read = null_read,
	.write = null_write,
	.flush = null_done,
	.release = null_done,
	.fsync = null_fsync,
	.opendir = null_open,
	.readdir = null_readdir,
	.releasedir = null_done,
	.fsyncdir = null_fsync,
};

/* --- the program --- */

static struct nullfs_options {
	int io_uring; /* on, not auto: what is measured should be what was asked for */
	char *mountpoint;
} options;

static const struct fuse_opt option_rows[] = {
	{ "io_uring=on", offsetof(struct nullfs_options, io_uring), 1 },
	{ "io_uring=off", offsetof(struct nullfs_options, io_uring), 0 },
	FUSE_OPT_END,
};

static const struct transport *transport;
static struct fuse_session *session;
static sigset_t signals; /* that end it */

static void block_signals(void)
{
	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGINT);
	(void)sigaddset(&signals, SIGTERM);
	(void)sigaddset(&signals, SIGUSR1); /* for the transport alone */
	(void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
	(void)sigdelset(&signals, SIGUSR1);
}

static int take_argument(void *data, const char *arg, int key, struct fuse_args *out)
{
	if (key != FUSE_OPT_KEY_NONOPT || options.mountpoint != NULL)
		return strcmp(arg, "-f") == 0 ? 0 : 1; /* it always is in the foreground */
	options.mountpoint = strdup(arg);
	return options.mountpoint == NULL ? -1 : 0;
}

static void *await_signal(void *arg)
{
	int number;

	(void)sigwait(arg, &number);
	transport->stop(session);
	return NULL;
}

static int serve(void)
{
	pthread_t waiter;
	int err;

	if (pthread_create(&waiter, NULL, await_signal, &signals) != 0)
		return 1;
	if (fuse_session_mount(session, options.mountpoint) != 0)
		return 1;
	err = init_reply_extend(session, transport, NULL, NULL);
	if (err == 0)
		err = transport->run(session);
	fuse_session_unmount(session);
	(void)pthread_kill(waiter, SIGTERM);
	(void)pthread_join(waiter, NULL);
	return err == 0 ? 0 : 1;
}

static int choose_transport(void)
{
	struct diag why = { "" };

	transport = options.io_uring ? &transport_uring : &transport_classic;
	if (!options.io_uring || transport_uring_prepare(true, &why) == 0)
		return 0;
	(void)fprintf(stderr, "nullfs: io_uring: %s\n", why.text);
	return 1;
}

/* Each name is in another page of the table.  A first touch can cost as much as a request, and is
 * not what a ceiling is to show. */
static void touch_names(void)
{
	const size_t names_in_page = 4096 / sizeof(names[0]);

	for (size_t i = 0; i < NULLFS_NAMES_MAX; i += names_in_page)
		atomic_store(&names[i], 0);
}

int main(int argc, char **argv)
{
	struct fuse_args args = FUSE_ARGS_INIT(argc, argv);
	int result = 1;

	touch_names();
	block_signals();
	if (fuse_opt_parse(&args, &options, option_rows, take_argument) != 0)
		return 1;
	if (options.mountpoint == NULL) {
		(void)printf("Usage: nullfs [-f] MOUNTPOINT [-o io_uring=on|off,FUSE options]\n");
		goto out;
	}
	session = fuse_session_new(&args, &null_ops, sizeof(null_ops), NULL);
	if (session && choose_transport() == 0)
		result = serve();
	if (session)
		fuse_session_destroy(session);
out:
	free(options.mountpoint);
	fuse_opt_free_args(&args);
	return result;
}
