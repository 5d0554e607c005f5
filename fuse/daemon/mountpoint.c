/* SPDX-License-Identifier: MIT */
#include "fuse/daemon/mountpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <libmount/libmount.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- mountinfo --- */

bool mountpoint_find(const char *mountinfo_path, const char *path, struct mount_entry *ret)
{
	struct libmnt_table *table = mnt_new_table_from_file(mountinfo_path);
	/* The last mount at a path is the topmost one. */
	struct libmnt_fs *found =
		table == NULL ? NULL : mnt_table_find_target(table, path, MNT_ITER_BACKWARD);

	if (found != NULL) {
		const char *source = mnt_fs_get_source(found);

		(void)snprintf(ret->path, sizeof(ret->path), "%s", mnt_fs_get_target(found));
		(void)snprintf(ret->type, sizeof(ret->type), "%s", mnt_fs_get_fstype(found));
		(void)snprintf(ret->source, sizeof(ret->source), "%s",
			       source == NULL ? "none" : source);
	}
	mnt_unref_table(table);
	return found != NULL;
}

/* --- paths --- */

/* Splits off the last component: "a/b/" gives "a" and "b".  The parent is "." or "/" if 'path'
 * names no other one.  Writes NUL bytes into 'path'; both results may point into it. */
static void split_last(char *path, const char **ret_parent, const char **ret_last)
{
	size_t n = strlen(path);
	char *slash;

	while (n > 1 && path[n - 1] == '/')
		path[--n] = '\0';
	slash = strrchr(path, '/');
	*ret_last = slash == NULL ? path : slash + 1;
	*ret_parent = slash == NULL ? "." : slash == path ? "/" : path;
	if (slash != NULL)
		*slash = '\0';
}

int mountpoint_resolve(const char *path, char **ret)
{
	const char *parent, *last;
	char *copy, *resolved, *joined = NULL;
	int err = 0;

	resolved = realpath(path, NULL);
	if (resolved != NULL) {
		*ret = resolved;
		return 0;
	}
	if (errno != ENOENT || path[0] == '\0')
		return -errno;
	copy = strdup(path);
	if (copy == NULL)
		return -ENOMEM;
	split_last(copy, &parent, &last);
	resolved = realpath(parent, NULL);
	if (resolved == NULL)
		err = -errno;
	else if (asprintf(&joined, "%s/%s", strcmp(resolved, "/") == 0 ? "" : resolved, last) < 0)
		err = -ENOMEM;
	free(resolved);
	free(copy);
	if (err == 0)
		*ret = joined;
	return err;
}

/* Returns whether 'path' is 'dir' or inside it; both must be resolved. */
static bool is_inside(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	if (strcmp(dir, "/") == 0)
		return true;
	return strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/* --- checks --- */

static int dead_mount(const char *arg, struct diag *diag)
{
	return diag_set(
		diag, -ENOTCONN,
		"%s: a dead FUSE mount is here: remove it with fusermount3 -u (or umount) and "
		"try again",
		arg);
}

/* Checks whether a DATADIR that does not exist yet can be made. */
static int check_parent(const char *resolved, const char *arg, struct diag *diag)
{
	char *copy = strdup(resolved);
	const char *parent, *last;
	int err = 0;

	if (copy == NULL)
		return -ENOMEM;
	split_last(copy, &parent, &last);
	if (access(parent, W_OK | X_OK) < 0)
		err = diag_set(diag, -errno, "%s: cannot be made: %s: %s", arg, parent,
			       strerror(errno));
	free(copy);
	return err;
}

static int check_datadir_resolved(const char *arg, const char *resolved, struct diag *diag)
{
	struct stat st;

	if (stat(resolved, &st) < 0) {
		if (errno == ENOENT)
			return check_parent(resolved, arg, diag);
		return diag_set(diag, -errno, "%s: %s", arg, strerror(errno));
	}
	if (!S_ISDIR(st.st_mode))
		return diag_set(
			diag, -ENOTDIR,
			"%s: not a directory: DATADIR is the directory that holds the store", arg);
	if (access(resolved, R_OK | W_OK | X_OK) < 0)
		return diag_set(diag, -errno, "%s: cannot be written: %s", arg, strerror(errno));
	return 0;
}

int mountpoint_check_datadir(const char *arg, char **ret, struct diag *diag)
{
	char *resolved;
	int err;

	err = mountpoint_resolve(arg, &resolved);
	if (err == -ENOENT)
		return diag_set(diag, err,
				"%s: its parent directory does not exist: make it first (mkdir -p)",
				arg);
	if (err < 0)
		return diag_set(diag, err, "%s: %s", arg, strerror(-err));
	err = check_datadir_resolved(arg, resolved, diag);
	if (err < 0) {
		free(resolved);
		return err;
	}
	*ret = resolved;
	return 0;
}

/* Reports the mount at 'resolved'.  The kernel may answer stat(2) on a dead FUSE mount from its
 * cache, so the directory is opened. */
static int say_mounted(const char *arg, const char *resolved, const struct mount_entry *entry,
		       struct diag *diag)
{
	int fd;

	if (strncmp(entry->type, "fuse", strlen("fuse")) == 0) {
		fd = open(resolved, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0 && errno == ENOTCONN)
			return dead_mount(arg, diag);
		if (fd >= 0)
			(void)close(fd);
	}
	return diag_set(diag, -EBUSY,
			"%s: something is mounted here already (%s, from %s): unmount it first "
			"(umount or fusermount3 -u)",
			arg, entry->type, entry->source);
}

static int check_resolved(const char *arg, const char *resolved, const char *datadir,
			  struct diag *diag)
{
	struct mount_entry entry;
	struct stat st;

	if (stat(resolved, &st) < 0) {
		if (errno == ENOTCONN)
			return dead_mount(arg, diag);
		return diag_set(diag, -errno, "%s: %s", arg, strerror(errno));
	}
	if (mountpoint_find("/proc/self/mountinfo", resolved, &entry))
		return say_mounted(arg, resolved, &entry, diag);
	if (!S_ISDIR(st.st_mode))
		return diag_set(diag, -ENOTDIR,
				"%s: not a directory: MOUNTPOINT must be an existing directory",
				arg);
	if (is_inside(resolved, datadir))
		return diag_set(diag, -EINVAL, "%s: MOUNTPOINT must not be DATADIR or in it (%s)",
				arg, datadir);
	if (is_inside(datadir, resolved))
		return diag_set(diag, -EINVAL, "%s: MOUNTPOINT must not hold DATADIR (%s)", arg,
				datadir);
	return 0;
}

int mountpoint_check(const char *arg, const char *datadir, char **ret, struct diag *diag)
{
	char *resolved;
	int err;

	resolved = realpath(arg, NULL);
	if (resolved == NULL) {
		err = -errno;
		if (err == -ENOTCONN)
			return dead_mount(arg, diag);
		if (err == -ENOENT)
			return diag_set(diag, err, "%s: does not exist: make it first (mkdir)",
					arg);
		return diag_set(diag, err, "%s: %s", arg, strerror(-err));
	}
	err = check_resolved(arg, resolved, datadir, diag);
	if (err < 0) {
		free(resolved);
		return err;
	}
	*ret = resolved;
	return 0;
}

static bool in_path(const char *program)
{
	const char *path = getenv("PATH");
	char candidate[PATH_MAX];

	if (path == NULL || path[0] == '\0')
		path = "/usr/bin:/bin";
	while (*path != '\0') {
		int n = (int)strcspn(path, ":");

		(void)snprintf(candidate, sizeof(candidate), "%.*s/%s", n, path, program);
		if (access(candidate, X_OK) == 0)
			return true;
		path += n;
		path += *path == ':';
	}
	return false;
}

int mountpoint_check_fuse(struct diag *diag)
{
	struct stat st;
	int fd, err;

	if (stat("/dev/fuse", &st) == 0 && !S_ISCHR(st.st_mode))
		return diag_set(diag, -ENODEV,
				"/dev/fuse: not a device: make it with mknod /dev/fuse c 10 229");
	fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		err = -errno;
		if (err == -ENOENT || err == -ENODEV || err == -ENXIO)
			return diag_set(diag, err,
					"/dev/fuse: %s: load the fuse module (modprobe fuse), or "
					"pass the device into the container",
					strerror(-err));
		return diag_set(diag, err, "/dev/fuse: %s: this user or container may not use FUSE",
				strerror(-err));
	}
	(void)close(fd); /* nothing was mounted with it */
	if (geteuid() != 0 && access("/usr/bin/fusermount3", X_OK) < 0 && !in_path("fusermount3"))
		return diag_set(diag, -ENOENT,
				"fusermount3: not found, and only root mounts without it: install "
				"the package fuse3");
	return 0;
}
