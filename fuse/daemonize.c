/* SPDX-License-Identifier: MIT */
#include "fuse/daemonize.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuse/exit_code.h"
#include "fuse/log.h"

/* The parent: waits for the one byte, or for the end of the child. */
static _Noreturn void wait_for_child(int fd, pid_t child)
{
	uint8_t code;
	ssize_t n;
	int status;

	do
		n = read(fd, &code, 1);
	while (n < 0 && errno == EINTR);
	if (n == 1)
		_exit(code);
	if (waitpid(child, &status, 0) == child && WIFSIGNALED(status))
		log_error("the daemon was killed by signal %d (%s) while it started",
			  WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		log_error("the daemon ended while it started");
	_exit(EXIT_CODE_SYSTEM);
}

int daemonize_fork(struct daemonize *d)
{
	int fds[2];
	pid_t child;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	child = fork();
	if (child < 0) {
		int err = -errno;

		(void)close(fds[0]);
		(void)close(fds[1]);
		return err;
	}
	if (child > 0) {
		(void)close(fds[1]);
		wait_for_child(fds[0], child);
	}
	(void)close(fds[0]);
	(void)setsid(); /* cannot fail in a new process */
	d->ready_fd = fds[1];
	return 0;
}

static void tell_parent(struct daemonize *d, uint8_t code)
{
	ssize_t n;

	if (d->ready_fd < 0)
		return;
	do
		n = write(d->ready_fd, &code, 1);
	while (n < 0 && errno == EINTR);
	(void)close(d->ready_fd); /* if the write failed, the parent is gone */
	d->ready_fd = -1;
}

int daemonize_ready(struct daemonize *d)
{
	int fd, err = 0;

	fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	for (int target = STDIN_FILENO; target <= STDERR_FILENO; target++) {
		if (dup2(fd, target) < 0 && err == 0)
			err = -errno;
	}
	if (fd > STDERR_FILENO)
		(void)close(fd);
	tell_parent(d, EXIT_CODE_OK);
	return err;
}

void daemonize_failed(struct daemonize *d, int exit_code)
{
	tell_parent(d, (uint8_t)exit_code);
}
