/* SPDX-License-Identifier: MIT */
#include "fuse/daemon/session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <unistd.h>

#include "fuse/transport/init_reply.h"
#include "fuse/mount/messages.h"
#include "fuse/ops/ops.h"

/* --- messages of libfuse and fusermount3 --- */

/* Standard error is redirected to a file in memory, because fusermount3 prints its reasons there.
 */
struct capture {
	int memory_fd, saved_fd;
};

static void capture_begin(struct capture *c, struct diag *libfuse_text)
{
	libfuse_text->text[0] = '\0';
	log_capture_libfuse(libfuse_text);
	c->memory_fd = memfd_create("stderr", MFD_CLOEXEC);
	c->saved_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (c->memory_fd >= 0 && c->saved_fd >= 0)
		(void)dup2(c->memory_fd, STDERR_FILENO);
}

/* Stores the last line printed, or, without one, the last error of libfuse; "" if there is none. */
static void capture_end(struct capture *c, const struct diag *libfuse_text, struct diag *ret)
{
	char *line;
	ssize_t n = 0;

	log_capture_libfuse(NULL);
	if (c->memory_fd >= 0 && c->saved_fd >= 0) {
		(void)dup2(c->saved_fd, STDERR_FILENO);
		n = pread(c->memory_fd, ret->text, sizeof(ret->text) - 1, 0);
	}
	if (c->memory_fd >= 0)
		(void)close(c->memory_fd);
	if (c->saved_fd >= 0)
		(void)close(c->saved_fd);
	while (n > 0 && ret->text[n - 1] == '\n')
		n--;
	ret->text[n > 0 ? n : 0] = '\0';
	line = strrchr(ret->text, '\n');
	if (line != NULL)
		memmove(ret->text, line + 1, strlen(line + 1) + 1);
	if (ret->text[0] == '\0')
		*ret = *libfuse_text;
}

/* --- the session --- */

/* Returns the options for libfuse, which the caller frees.  NULL: no memory. */
static char *mount_options(const struct fs *fs)
{
	const struct options *o = fs->options;
	char *text = NULL;
	size_t bytes = 0;
	FILE *f = open_memstream(&text, &bytes);

	if (f == NULL)
		return NULL;
	fprintf(f, "%s", o->has_subtype ? "rw" : "subtype=freyjafs");
	if (o->at != 0)
		fprintf(f, ",ro");
	/* Also for a mount that only root may access: root can be a server that acts for other
	 * users (setfsuid(2)), or lack capabilities. */
	fprintf(f, ",default_permissions");
	if (o->mount_options[0] != '\0')
		fprintf(f, ",%s", o->mount_options);
	if (!o->has_fsname) {
		fprintf(f, ",fsname=");
		for (const char *p = fs->datadir; *p != '\0'; p++)
			fprintf(f, "%s%c", *p == ',' || *p == '\\' ? "\\" : "", *p);
	}
	if (o->debug)
		fprintf(f, ",debug");
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

static struct fuse_session *new_session(struct fs *fs)
{
	char *options = mount_options(fs);
	char *argv[] = { (char[]){ "freyjafs" }, (char[]){ "-o" }, options, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(3, argv);
	struct fuse_session *se = NULL;

	if (options != NULL)
		se = fuse_session_new(&args, &ops, sizeof(ops), fs);
	fuse_opt_free_args(&args); /* libfuse keeps a copy of them */
	free(options);
	return se;
}

/* Sets the flags that libfuse cannot set, because it refuses option names that it does not know. */
static int set_mount_flags(const struct fs *fs, struct diag *diag)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_NOSYMFOLLOW };

	if (!fs->options->nosymfollow ||
	    mount_setattr(AT_FDCWD, fs->mountpoint, AT_SYMLINK_NOFOLLOW, &attr, sizeof(attr)) == 0)
		return 0;
	return diag_set(diag, -errno, "option nosymfollow: %s%s", strerror(errno),
			errno == EPERM ? ": only root can set it" : "");
}

int session_start(struct fs *fs, struct diag *diag)
{
	struct diag libfuse_text, why;
	struct capture capture;
	int err = 0;

	capture_begin(&capture, &libfuse_text);
	fs->session = new_session(fs);
	if (fs->session == NULL)
		err = -EINVAL;
	else if (fuse_session_mount(fs->session, fs->mountpoint) < 0)
		err = -EIO;
	else
		err = init_reply_extend(fs->session, fs->transport, fs->on_ready, fs->on_ready_arg);
	capture_end(&capture, &libfuse_text, &why);
	if (err == 0)
		err = set_mount_flags(fs, &why);
	if (err == 0)
		return 0;
	if (fs->session != NULL)
		fuse_session_unmount(fs->session); /* a no-op if it is not mounted */
	if (fs->session != NULL)
		fuse_session_destroy(fs->session);
	fs->session = NULL;
	return diag_set(diag, err, "%s: cannot mount: %s", fs->mountpoint,
			why.text[0] != '\0' ? why.text : "libfuse gives no reason");
}

void session_unmount(struct fs *fs)
{
	fuse_session_exit(fs->session); /* makes libfuse ignore errors of late replies */
	fuse_session_unmount(fs->session);
}

void session_end(struct fs *fs)
{
	fuse_session_destroy(fs->session);
	fs->session = NULL;
}
