/* SPDX-License-Identifier: MIT */
#include "fuse/signals.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include "fuse/fs.h"
#include "fuse/log.h"
#include "writer/thread.h"

#define STOP_AGAIN_NS 20000000L

static void awaited(sigset_t *ret)
{
	(void)sigemptyset(ret);
	(void)sigaddset(ret, SIGTERM);
	(void)sigaddset(ret, SIGINT);
	(void)sigaddset(ret, SIGHUP);
}

void signals_block(void)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	sigset_t set;

	awaited(&set);
	(void)sigaddset(&set, SIGUSR1); /* only the transport wants it */
	thread_check(pthread_sigmask(SIG_BLOCK, &set, NULL));
	(void)sigaction(SIGPIPE, &ignore, NULL); /* write(2) says EPIPE */
	(void)sigaction(SIGXFSZ, &ignore, NULL); /* write(2) says EFBIG */
}

static void *wait_for_signal(void *arg)
{
	const struct timespec again = { .tv_nsec = STOP_AGAIN_NS };
	struct signals *s = arg;
	sigset_t set;
	int number;

	awaited(&set);
	thread_check(sigwait(&set, &number));
	if (atomic_load(&s->finished))
		return NULL;
	atomic_store(&s->received, number);
	log_notice("%s: unmounting: got %s", s->fs->mountpoint, strsignal(number));
	while (!atomic_load(&s->finished)) {
		s->fs->transport->stop(s->fs->session);
		(void)nanosleep(&again, NULL);
	}
	return NULL;
}

int signals_start(struct signals *s, struct fs *fs)
{
	s->fs = fs;
	atomic_init(&s->finished, false);
	atomic_init(&s->received, 0);
	return -pthread_create(&s->thread, NULL, wait_for_signal, s);
}

void signals_end(struct signals *s)
{
	atomic_store(&s->finished, true);
	(void)pthread_kill(s->thread, SIGHUP); /* wakes it; it may have ended already */
	thread_check(pthread_join(s->thread, NULL));
}
