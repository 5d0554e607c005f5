/* SPDX-License-Identifier: MIT */
/* To be preloaded: stops a program at one of its calls that change a file, or makes calls fail.
 *
 * STOP_AT=N STOP_HOW=kill   the Nth such call is not done, and the process is gone
 *                   =full   from the Nth on, those that take space fail by ENOSPC
 *                   =error  the Nth fails by EIO
 *                   =read   from the Nth read on all of them fail by EIO */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum call {
	CALL_READ,
	CALL_CHANGE, /* of a name, or it makes something durable */
	CALL_SPACE,  /* takes space */
};

static long changes, reads;

/* Returns whether the call fails; 'errno' says how then. */
static int stops(enum call call)
{
	const char *at_text = getenv("STOP_AT"), *how = getenv("STOP_HOW");
	long at = at_text == NULL ? 0 : atol(at_text);
	long count = call == CALL_READ ? ++reads : ++changes;

	if (at == 0 || how == NULL || count < at ||
	    (call == CALL_READ) != (strcmp(how, "read") == 0))
		return 0;
	if (strcmp(how, "kill") == 0)
		_exit(99);
	if (strcmp(how, "full") == 0 && call != CALL_SPACE)
		return 0;
	if (strcmp(how, "error") == 0 && count > at)
		return 0;
	errno = strcmp(how, "full") == 0 ? ENOSPC : EIO;
	return 1;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* NOLINTBEGIN: they have the names and the parameters of the C library */
int openat64(int dir, const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list args;

	va_start(args, flags);
	if (flags & O_CREAT)
		mode = va_arg(args, mode_t);
	va_end(args);
	if ((flags & O_CREAT) && stops(CALL_SPACE))
		return -1;
	return NEXT(openat64)(dir, path, flags, mode);
}

ssize_t pread64(int fd, void *buf, size_t n, off64_t offset)
{
	return stops(CALL_READ) ? -1 : NEXT(pread64)(fd, buf, n, offset);
}

ssize_t pwrite64(int fd, const void *buf, size_t n, off64_t offset)
{
	return stops(CALL_SPACE) ? -1 : NEXT(pwrite64)(fd, buf, n, offset);
}

int fsync(int fd)
{
	return stops(CALL_CHANGE) ? -1 : NEXT(fsync)(fd);
}

int fdatasync(int fd)
{
	return stops(CALL_CHANGE) ? -1 : NEXT(fdatasync)(fd);
}

int ftruncate64(int fd, off64_t size)
{
	return stops(CALL_CHANGE) ? -1 : NEXT(ftruncate64)(fd, size);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	return stops(CALL_CHANGE) ? -1 : NEXT(renameat)(from_dir, from, to_dir, to);
}

int unlinkat(int dir, const char *path, int flags)
{
	return stops(CALL_CHANGE) ? -1 : NEXT(unlinkat)(dir, path, flags);
}

int mkdirat(int dir, const char *path, mode_t mode)
{
	return stops(CALL_SPACE) ? -1 : NEXT(mkdirat)(dir, path, mode);
}
/* NOLINTEND */
