/* SPDX-License-Identifier: MIT */
/* The main program of freyjafs: options, checks, fork, store, mount, transport, and the shutdown in
 * reverse order. */
#include <errno.h>
#include <limits.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codec/path.h"
#include "fuse/daemon/daemonize.h"
#include "fuse/daemon/datadir.h"
#include "fuse/base/exit_code.h"
#include "fuse/mount/fs.h"
#include "fuse/mount/messages.h"
#include "fuse/daemon/mountpoint.h"
#include "fuse/virtual/virtual.h"
#include "fuse/base/options.h"
#include "writer/base/progress.h"
#include "fuse/base/sandbox.h"
#include "fuse/daemon/session.h"
#include "fuse/daemon/signals.h"

#define APPEND_COMMIT_NS     UINT64_C(1000000000) /* without a sync interval */
#define APPEND_COMMIT_MIN_NS UINT64_C(10000000)	  /* with a sync interval of 0 */

struct daemon {
	struct options options;
	struct daemonize daemonize;
	struct fs fs;
	struct signals signals;
	char *datadir;	  /* owned; resolved */
	char *mountpoint; /* owned; resolved */
};

/* Returns the exit code for an error of the checks or of opening the store. */
static int exit_code_of(int err)
{
	switch (err) {
	case -EBUSY:
	case -EWOULDBLOCK:
		return EXIT_CODE_IN_USE;
	case -EBADMSG:
	case -EIO:
		return EXIT_CODE_DATA;
	default:
		return EXIT_CODE_SYSTEM;
	}
}

/* Runs the checks before a mount; nothing is changed yet. */
static int check_before_mount(struct daemon *d)
{
	struct diag diag = { "" };
	int err;

	err = mountpoint_check_datadir(d->options.datadir, &d->datadir, &diag);
	if (err == 0)
		err = mountpoint_check(d->options.mountpoint, d->datadir, &d->mountpoint, &diag);
	if (err == 0)
		err = mountpoint_check_fuse(&diag);
	if (err == 0)
		return EXIT_CODE_OK;
	log_error("%s", diag.text[0] != '\0' ? diag.text : strerror(-err));
	return err == -EBUSY ? EXIT_CODE_IN_USE : EXIT_CODE_SYSTEM;
}

static void report_missing(const struct daemon *d)
{
	struct store_stats stats;

	store_stats(d->fs.store, &stats);
	if (stats.recovery.segments_missing > 0)
		log_notice("%s: %" PRIu64 " files of the log are missing, as accepted; %" PRIu64
			   " later changes refer to their contents, and are left out",
			   d->datadir, stats.recovery.segments_missing, stats.dropped_commits);
	if (stats.incomplete_names > 0 && d->options.at == 0)
		log_notice("%s: %" PRIu64
			   " names cannot be read whole: fsck.freyjafs lists them and the "
			   "remains of each",
			   d->datadir, stats.incomplete_names);
	if (stats.moved_directories > 0)
		log_notice(
			"%s: %" PRIu64
			" directories had paths longer than %d bytes, which can be neither changed "
			"nor removed: they are now keys/moved-1 and so on",
			d->datadir, stats.moved_directories, PATH_BYTES_MAX);
}

static void tell_of_clock(void *arg, uint64_t behind_ns)
{
	const struct daemon *d = arg;

	log_notice("%s: the clock is %.3f s behind the last record of the log: new records are "
		   "stamped as if they came right after that one; times of files are right",
		   d->mountpoint, (double)behind_ns / 1e9);
}

static int open_store(struct daemon *d)
{
	const struct options *o = &d->options;
	struct store_config config = {
		.dir_path = d->datadir,
		.fsync_interval_ns = o->fsync_interval,
		.buffer_size_bytes = o->buffer_size,
		.segment_size_bytes = o->segment_size,
		.preallocate_bytes = o->preallocate,
		.read_only = o->at != 0,
		.until_ns = o->at == OPTION_TIME_NOW ? UINT64_MAX : (uint64_t)o->at,
		.compact_at_percent =
			o->compact_at == LOG_WRITER_NEVER ? 0 : (unsigned int)o->compact_at,
		.retain_ns = o->retain,
		.scrub_interval_ns = o->scrub,
		.accept_missing_segments = o->missing_segments != 0,
		.uid = o->uid == OPTION_OWN_ID ? getuid() : (uint32_t)o->uid,
		.gid = o->gid == OPTION_OWN_ID ? getgid() : (uint32_t)o->gid,
		.umask = (mode_t)o->umask,
		.clock_behind = tell_of_clock,
		.clock_arg = d,
		.trouble = fs_tell,
		.trouble_arg = &d->fs.troubles,
		.inode32 = o->inode32 != 0,
	};
	struct diag diag = { "" };
	char label[PATH_MAX + 32];
	struct progress progress;
	int err;

	io_posix_raise_file_limit();
	troubles_init(&d->fs.troubles, d->mountpoint);
	(void)snprintf(label, sizeof(label), "freyjafs: %s: loading", d->datadir);
	progress_begin(&progress, STDERR_FILENO, label);
	config.progress = progress_show;
	config.progress_arg = &progress;
	err = o->foreign_datadir != 0 ? 0 : datadir_check_owner(d->datadir, &diag);
	if (err == 0)
		err = datadir_open(&config, d->mountpoint, &d->fs.store, &diag);
	progress_end(&progress);
	if (err < 0) {
		if (diag.text[0] != '\0')
			log_error("%s", diag.text);
		else
			log_error("%s: cannot open the store: %s", d->datadir, strerror(-err));
		return exit_code_of(err);
	}
	if (diag.text[0] != '\0')
		log_notice("%s", diag.text);
	report_missing(d);
	return EXIT_CODE_OK;
}

/* Syncs and closes the store.  Returns an exit code if that fails. */
static int close_store(struct daemon *d)
{
	int err = store_close(d->fs.store);

	d->fs.store = NULL;
	if (err == 0)
		return EXIT_CODE_OK;
	log_error("%s: the last sync failed: %s: changes since the previous sync may be lost",
		  d->datadir, strerror(-err));
	return EXIT_CODE_NOT_DURABLE;
}

/* Chooses the transport.  Returns an exit code if the wanted one is not available. */
static int choose_transport(struct daemon *d)
{
	bool required = d->options.io_uring == OPTION_ON;
	struct diag why = { "" };

	d->fs.transport = &transport_classic;
	if (d->options.io_uring == OPTION_OFF)
		return EXIT_CODE_OK;
	if (transport_uring_prepare(required, &why) == 0) {
		d->fs.transport = &transport_uring;
	} else if (required) {
		log_error("option io_uring=on: %s", why.text);
		return EXIT_CODE_SYSTEM;
	} else {
		transport_classic_because(why.text);
	}
	return EXIT_CODE_OK;
}

/* Logs why io_uring is not used, if it was wanted. */
static void report_transport(const struct daemon *d)
{
	struct diag transport = { "" };

	d->fs.transport->describe(&transport);
	if (d->options.io_uring == OPTION_AUTO && strcmp(transport.text, "io_uring") != 0)
		log_notice("%s: transport: %s", d->mountpoint, transport.text);
}

/* Called in the thread that answers the kernel's first request. */
static void on_ready(void *arg)
{
	struct daemon *d = arg;
	int err;

	if (!d->options.foreground)
		log_to_syslog();
	report_transport(d);
	if (d->options.foreground)
		return;
	err = daemonize_ready(&d->daemonize);
	if (err == -EPIPE) {
		log_notice("%s: unmounting: the mounting command ended before the mount was "
			   "ready",
			   d->mountpoint);
		signals_hang_up(&d->signals);
	} else if (err < 0) {
		log_error("/dev/null: %s", strerror(-err));
	}
}

/* Logs why the transport has ended. */
static void report_end(const struct daemon *d, int err)
{
	struct diag transport = { "" };

	d->fs.transport->describe(&transport);
	if (err == -EOPNOTSUPP)
		log_error("option io_uring=on: only this transport is available: %s",
			  transport.text);
	else
		log_error("%s: the connection to the kernel failed: %s", d->mountpoint,
			  strerror(-err));
}

static void report_lost(void *arg, struct node *n, int err)
{
	fs_report_lost(arg, n, err);
}

/* Commits files that programs have written to and not closed; a local filesystem would keep these
 * bytes, too.  Returns an exit code if some of them are lost. */
static int commit_open_files(struct daemon *d)
{
	struct open_files_end end;

	open_files_stop(&d->fs.files);
	open_files_commit_all(&d->fs.files, report_lost, &d->fs, &end);
	if (end.committed > 0)
		log_notice("%s: %zu files were open with changes that no program had closed: they "
			   "are committed",
			   d->mountpoint, end.committed);
	if (end.lost == 0)
		return EXIT_CODE_OK;
	log_error("%s: what was written to %zu open files is lost", d->mountpoint, end.lost);
	return EXIT_CODE_NOT_DURABLE;
}

/* Serves until the mount ends, and unmounts. */
static int serve(struct daemon *d)
{
	struct fs *fs = &d->fs;
	int err, code;

	err = open_files_start(&fs->files);
	if (err == 0) {
		signals_serves(&d->signals, fs);
		err = fs->transport->run(fs->session);
	}
	signals_end(&d->signals);
	workers_end(&fs->workers);
	workers_end(&fs->dropper);
	code = commit_open_files(d);
	/* After a signal the mount still exists.  Sync before it ends, so that everything is on
	 * disk when it is gone. */
	if (atomic_load(&d->signals.received) != 0)
		(void)!store_sync(fs->store); /* closing the store reports a failure */
	session_unmount(fs);
	open_files_destroy(&fs->files);
	if (err == 0)
		return code;
	report_end(d, err);
	return EXIT_CODE_SYSTEM;
}

/* Files that are appended to while they stay open are committed in time for the sync interval.
 * Without one, the time is similar to the kernel's own. */
static void init_files(struct fs *fs)
{
	int64_t interval_ns = fs->options->fsync_interval;
	struct open_files_config config = {
		.store = fs->store,
		.pending_max_bytes = (uint64_t)fs->options->pending_max,
		.append_commit_ns = APPEND_COMMIT_NS,
		.append_sync = interval_ns != LOG_WRITER_NEVER,
	};

	if (interval_ns != LOG_WRITER_NEVER)
		config.append_commit_ns = (uint64_t)interval_ns;
	if (interval_ns == 0)
		config.append_commit_ns = APPEND_COMMIT_MIN_NS;
	open_files_init(&fs->files, &config);
}

static int mount_and_serve(struct daemon *d)
{
	struct fs *fs = &d->fs;
	struct diag diag = { "" };
	int code, close_code, err;

	fs->options = &d->options;
	fs->datadir = d->datadir;
	fs->mountpoint = d->mountpoint;
	fs->uid = getuid();
	fs->gid = getgid();
	if (getrandom(&fs->generation, sizeof(fs->generation), GRND_NONBLOCK) < 0)
		fs->generation = (uint32_t)getpid(); /* early after booting, before any mount */
	fs->on_ready = on_ready;
	fs->on_ready_arg = d;
	(void)clock_gettime(CLOCK_REALTIME, &fs->mounted_at); /* cannot fail */

	code = choose_transport(d);
	if (code != EXIT_CODE_OK)
		return code;
	code = open_store(d);
	if (code != EXIT_CODE_OK) {
		transport_uring_discard();
		return code;
	}
	err = history_start(fs);
	if (err < 0)
		(void)diag_set(&diag, err, "out of memory");
	else if (!daemonize_detach(&d->daemonize))
		err = diag_set(&diag, -EPIPE, "%s: not mounted: the mounting command has ended",
			       d->mountpoint);
	if (err == 0) {
		signals_mounts(&d->signals);
		err = session_start(fs, &diag);
	}
	if (err == 0 && sandbox_filter(&diag) < 0)
		log_notice("%s", diag.text);
	if (err == 0) {
		init_files(fs);
		workers_init(&fs->workers, WORKERS_MAX);
		workers_init(&fs->dropper, 1);
		code = serve(d);
	} else {
		transport_uring_discard();
		log_error("%s", diag.text);
		code = err == -EINVAL ? EXIT_CODE_USAGE : EXIT_CODE_SYSTEM;
	}
	/* Closing the store sends replies that wait for durability, so the session ends after it.
	 */
	close_code = close_store(d);
	if (fs->session != NULL)
		session_end(fs);
	history_end(fs);
	return close_code != EXIT_CODE_OK ? close_code : code;
}

/* Handles signals from the beginning, because replaying a large store takes long. */
static int mount_with_signals(struct daemon *d)
{
	int code, err = signals_start(&d->signals, d->mountpoint);

	if (err < 0) {
		log_error("cannot start a thread: %s", strerror(-err));
		return EXIT_CODE_SYSTEM;
	}
	code = mount_and_serve(d);
	signals_end(&d->signals);
	return code;
}

static int run(struct daemon *d)
{
	struct diag diag = { "" };
	int code, err;

	code = check_before_mount(d);
	if (code != EXIT_CODE_OK)
		return code;
	if (!d->options.foreground) {
		err = daemonize_fork(&d->daemonize);
		if (err < 0) {
			log_error("cannot start the daemon: %s", strerror(-err));
			return EXIT_CODE_SYSTEM;
		}
	}
	(void)umask(077);
	signals_block();
	if (chdir("/") < 0) {
		log_error("/: %s", strerror(errno));
		code = EXIT_CODE_SYSTEM;
	} else {
		if (sandbox_drop(d->datadir, d->options.foreign_datadir != 0, &diag) < 0)
			log_notice("%s", diag.text); /* the daemon works with privileges it does not
							need, too */
		code = mount_with_signals(d);
	}
	daemonize_failed(&d->daemonize, code); /* if the mount was never usable */
	return code;
}

/* Descriptors 0, 1 and 2 must not become files of the daemon, which daemonize_ready() would
 * replace. */
static int open_standard_fds(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		return -errno;
	(void)close(fd);
	return 0;
}

static int print(void (*what)(FILE *f))
{
	what(stdout);
	if (fflush(stdout) == 0)
		return EXIT_CODE_OK;
	log_error("standard output: %s", strerror(errno));
	return EXIT_CODE_SYSTEM;
}

static void print_version(FILE *f)
{
	fprintf(f, "freyjafs %s (libfuse %s)\n", FREYJAFS_VERSION, fuse_pkgversion());
}

int main(int argc, char *argv[])
{
	struct daemon d = { .daemonize = { .ready_fd = -1 } };
	struct diag diag = { "" };
	int code, err;

	log_init();
	err = open_standard_fds();
	if (err < 0)
		return EXIT_CODE_SYSTEM; /* no standard error to print to */
	err = options_parse(argc, argv, &d.options, &diag);
	if (err < 0) {
		log_error("%s", diag.text[0] != '\0' ? diag.text : strerror(-err));
		code = EXIT_CODE_USAGE;
	} else if (d.options.help) {
		code = print(options_print_help);
	} else if (d.options.version) {
		code = print(print_version);
	} else {
		code = run(&d);
	}
	options_free(&d.options);
	free(d.datadir);
	free(d.mountpoint);
	return code;
}
