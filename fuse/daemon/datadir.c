/* SPDX-License-Identifier: MIT */
#include "fuse/daemon/datadir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "codec/segment_name.h"
#include "fuse/daemon/mountpoint.h"
#include "writer/base/thread.h"
#include "writer/log/names.h"

#define WAIT_NS	   UINT64_C(10000000000) /* wait for a holder that is closing the store */
#define WAIT_STEP  20000000L		 /* ns */
#define MOUNTED_ON " mounted on "

void datadir_holder_text(pid_t pid, const char *mountpoint, char buf[DATADIR_HOLDER_BYTES])
{
	(void)snprintf(buf, DATADIR_HOLDER_BYTES, "pid %ld" MOUNTED_ON "%s", (long)pid, mountpoint);
}

bool datadir_holder_parse(const char *text, struct datadir_holder *ret)
{
	const char *p = text;
	long pid = 0;
	size_t n;

	if (strncmp(p, "pid ", 4) != 0)
		return false;
	for (p += 4; *p >= '0' && *p <= '9' && pid < INT_MAX / 10; p++)
		pid = pid * 10 + (*p - '0');
	if (pid == 0 || strncmp(p, MOUNTED_ON, strlen(MOUNTED_ON)) != 0)
		return false;
	p += strlen(MOUNTED_ON);
	n = strlen(p);
	if (n > 0 && p[n - 1] == '\n')
		n--;
	if (n == 0 || n >= sizeof(ret->mountpoint))
		return false;
	ret->pid = (pid_t)pid;
	memcpy(ret->mountpoint, p, n);
	ret->mountpoint[n] = '\0';
	return true;
}

/* Reads DATADIR/lock; stores "" if that fails. */
static void read_holder(const char *datadir, char text[DATADIR_HOLDER_BYTES])
{
	char path[PATH_MAX];
	ssize_t n;
	int fd;

	text[0] = '\0';
	if ((size_t)snprintf(path, sizeof(path), "%s/" LOCK_NAME, datadir) >= sizeof(path))
		return;
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return;
	n = read(fd, text, DATADIR_HOLDER_BYTES - 1);
	text[n > 0 ? n : 0] = '\0';
	(void)close(fd); /* opened only for reading */
}

/* Returns whether the holder's mount exists.  The holder may be in another mount namespace, so its
 * own mountinfo is read if possible. */
static bool is_mounted(const struct datadir_holder *h)
{
	struct mount_entry entry;
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%ld/mountinfo", (long)h->pid);
	if (access(path, R_OK) < 0)
		(void)snprintf(path, sizeof(path), "/proc/self/mountinfo");
	return mountpoint_find(path, h->mountpoint, &entry) &&
	       strncmp(entry.type, "fuse", strlen("fuse")) == 0;
}

/* Returns whether the holder may be about to close the store: it has no mount, or has not written
 * its name yet.  Otherwise 'diag' gets the holder's mount, if there is one. */
static bool may_end_soon(const struct store_config *config, struct diag *diag)
{
	char text[DATADIR_HOLDER_BYTES];
	struct datadir_holder h;

	read_holder(config->dir_path, text);
	if (text[0] == '\0')
		return true;
	if (!datadir_holder_parse(text, &h))
		return false; /* not a mount */
	if (!is_mounted(&h))
		return true;
	(void)diag_set(diag, 0,
		       "%s: already mounted on %s (by process %ld): one mount at a time; "
		       "unmount it with fusermount3 -u %s",
		       config->dir_path, h.mountpoint, (long)h.pid, h.mountpoint);
	return false;
}

/* --- owner --- */

static int refuse_foreign(const char *path, const char *name, const char *what, struct diag *diag)
{
	return diag_set(diag, -EPERM,
			"%s%s%s: %s: another user could change the mounted data; make it this "
			"user's alone (chown, chmod go-w), or mount with -o foreign_datadir=accept",
			path, name[0] != '\0' ? "/" : "", name, what);
}

static int check_files(DIR *dir, const char *datadir, struct diag *diag)
{
	const struct dirent *entry;
	struct stat st;
	int err = 0;

	while (err == 0 && (entry = readdir(dir)) != NULL) {
		const char *what;

		if (!store_uses_name(entry->d_name) ||
		    fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue; /* it was removed meanwhile */
		what = store_file_foreign(&st, geteuid());
		if (what != NULL)
			err = refuse_foreign(datadir, entry->d_name, what, diag);
	}
	return err;
}

int datadir_check_owner(const char *datadir, struct diag *diag)
{
	DIR *dir = opendir(datadir);
	const char *what;
	struct stat st;
	int err;

	if (dir == NULL)
		return 0; /* store_open() makes it, or reports the error */
	if (fstat(dirfd(dir), &st) < 0) {
		err = diag_set(diag, -errno, "%s: %s", datadir, strerror(errno));
	} else {
		what = store_file_foreign(&st, geteuid());
		err = what != NULL ? refuse_foreign(datadir, "", what, diag)
				   : check_files(dir, datadir, diag);
	}
	(void)closedir(dir); /* opened only for reading */
	return err;
}

/* --- a directory of something else --- */

/* Returns whether a file with that name shows that its directory has a store. */
static bool is_store_file(const char *name)
{
	struct segment_id id;
	uint64_t bytes;

	return strcmp(name, ACTIVE_NAME) == 0 || strcmp(name, MANIFEST_NAME) == 0 ||
	       segment_name_parse(name, &id) || segment_rotated_number(name, &bytes) != 0;
}

/* Counts the other files in a directory that has no store yet, and stores the name of one. */
static size_t count_others(const char *datadir, char ret_name[NAME_MAX + 1])
{
	DIR *dir = opendir(datadir);
	const struct dirent *entry;
	bool has_store = false;
	size_t count = 0;

	if (dir == NULL)
		return 0; /* store_open() makes it, or reports the error */
	while (!has_store && (entry = readdir(dir)) != NULL) {
		const char *name = entry->d_name;

		has_store = is_store_file(name);
		if (name[0] == '.' || strcmp(name, "lost+found") == 0 ||
		    (store_uses_name(name) && (name[0] < '0' || name[0] > '9')))
			continue; /* other files of a store do not make one; a name that begins with
				     a digit may be a date */
		(void)snprintf(ret_name, NAME_MAX + 1, "%s", name);
		count++;
	}
	(void)closedir(dir); /* opened only for reading */
	return has_store ? 0 : count;
}

/* --- opening --- */

int datadir_open(struct store_config *config, const char *mountpoint, struct store **ret,
		 struct diag *diag)
{
	const struct timespec step = { .tv_nsec = WAIT_STEP };
	char holder[DATADIR_HOLDER_BYTES], other[NAME_MAX + 1];
	size_t others = config->read_only ? 0 : count_others(config->dir_path, other);
	uint64_t deadline = 0;
	int err;

	datadir_holder_text(getpid(), mountpoint, holder);
	config->holder = holder;
	for (;;) {
		err = store_open(config, ret, diag);
		if (err != -EWOULDBLOCK)
			break;
		if (!may_end_soon(config, diag))
			break;
		if (deadline == 0)
			deadline = monotonic_ns() + WAIT_NS;
		if (monotonic_ns() > deadline)
			break;
		(void)nanosleep(&step, NULL); /* a shorter wait does no harm */
	}
	config->holder = NULL;
	if (err == 0 && others > 0 && diag->text[0] == '\0')
		(void)diag_set(diag, 0,
			       "%s: a new store was made beside %zu other files (%s); is that the "
			       "right directory? Only a file named active.data is "
			       "recognised as a log",
			       config->dir_path, others, other);
	return err;
}
