/* SPDX-License-Identifier: MIT */
#include "fuse/daemon/daemonize.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuse/base/exit_code.h"
#include "fuse/mount/messages.h"

/* In the parent: waits for the child's byte, or for its end. */
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
	pid_t parent, child;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	parent = getpid();
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
	/* Ctrl-C ends only the parent, and then no mount is expected. */
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM); /* cannot fail */
	if (getppid() != parent)
		_exit(EXIT_CODE_SYSTEM); /* the parent has ended already */
	d->ready_fd = fds[1];
	return 0;
}

bool daemonize_detach(struct daemonize *d)
{
	struct pollfd parent = { .fd = d->ready_fd };

	if (d->ready_fd < 0)
		return true;
	(void)prctl(PR_SET_PDEATHSIG, 0); /* affects the thread that set it */
	return poll(&parent, 1, 0) <= 0;  /* POLLERR: the other end of the pipe is closed */
}

/* Sends the exit code.  -EPIPE: the parent has ended. */
static int tell_parent(struct daemonize *d, uint8_t code)
{
	int err = 0;

	if (d->ready_fd < 0)
		return 0;
	while (err == 0 && write(d->ready_fd, &code, 1) < 0)
		err = errno == EINTR ? 0 : -errno;
	(void)close(d->ready_fd); /* the code is the whole message */
	d->ready_fd = -1;
	return err;
}

int daemonize_ready(struct daemonize *d)
{
	int fd, told, err = 0;

	fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	for (int target = STDIN_FILENO; target <= STDERR_FILENO; target++) {
		if (dup2(fd, target) < 0 && err == 0)
			err = -errno;
	}
	if (fd > STDERR_FILENO)
		(void)close(fd);
	told = tell_parent(d, EXIT_CODE_OK);
	return told < 0 ? told : err;
}

void daemonize_failed(struct daemonize *d, int exit_code)
{
	(void)!tell_parent(d, (uint8_t)exit_code); /* fails only if the parent has ended */
}
