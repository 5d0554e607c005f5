/* SPDX-License-Identifier: MIT */
#include "fuse/daemon/signals.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fuse/mount/messages.h"
#include "fuse/ops/ops.h"
#include "writer/base/thread.h"

#define AGAIN_NS 20000000L

enum phase {
	PHASE_LOADING,	/* a signal ends the process */
	PHASE_ENDING,	/* a signal has done so */
	PHASE_MOUNTING, /* a signal waits for PHASE_SERVING */
	PHASE_SERVING,	/* a signal stops the transport */
	PHASE_FINISHED, /* nothing is left to stop */
};

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
	(void)sigaddset(&set, SIGUSR1); /* only the transport uses it */
	thread_check(pthread_sigmask(SIG_BLOCK, &set, NULL));
	(void)sigaction(SIGPIPE, &ignore, NULL); /* write(2) returns EPIPE */
	(void)sigaction(SIGXFSZ, &ignore, NULL); /* write(2) returns EFBIG */
}

/* Ends the process by the signal, so that a shell, make(1) or systemd sees the reason. */
static _Noreturn void end_by(int number)
{
	struct sigaction standard = { .sa_handler = SIG_DFL };
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, number);
	(void)sigaction(number, &standard, NULL);
	thread_check(pthread_sigmask(SIG_UNBLOCK, &set, NULL));
	(void)raise(number);
	_exit(128 + number); /* not reached: the default action ends the process */
}

static void nap(void)
{
	const struct timespec again = { .tv_nsec = AGAIN_NS };

	(void)nanosleep(&again, NULL); /* a shorter sleep does no harm */
}

static void *wait_for_signal(void *arg)
{
	struct signals *s = arg;
	int number, loading = PHASE_LOADING;
	sigset_t set;

	awaited(&set);
	thread_check(sigwait(&set, &number));
	if (atomic_compare_exchange_strong(&s->phase, &loading, PHASE_ENDING)) {
		log_notice("%s: not mounted: got %s while the store was being loaded",
			   s->mountpoint, strsignal(number));
		end_by(number);
	}
	while (atomic_load(&s->phase) == PHASE_MOUNTING)
		nap();
	if (atomic_load(&s->phase) != PHASE_SERVING)
		return NULL;
	atomic_store(&s->received, number);
	log_notice("%s: unmounting: got %s", s->mountpoint, strsignal(number));
	ops_take_mapped(s->fs);
	while (atomic_load(&s->phase) == PHASE_SERVING) {
		s->fs->transport->stop(s->fs->session);
		nap();
	}
	return NULL;
}

int signals_start(struct signals *s, const char *mountpoint)
{
	int err;

	s->mountpoint = mountpoint;
	s->fs = NULL;
	atomic_init(&s->phase, PHASE_LOADING);
	atomic_init(&s->received, 0);
	err = pthread_create(&s->thread, NULL, wait_for_signal, s);
	s->has_thread = err == 0;
	return -err;
}

void signals_mounts(struct signals *s)
{
	int loading = PHASE_LOADING;

	if (atomic_compare_exchange_strong(&s->phase, &loading, PHASE_MOUNTING))
		return;
	for (;;) /* the other thread is ending the process */
		(void)pause();
}

void signals_serves(struct signals *s, struct fs *fs)
{
	s->fs = fs;
	atomic_store(&s->phase, PHASE_SERVING);
}

void signals_hang_up(struct signals *s)
{
	(void)pthread_kill(s->thread, SIGHUP); /* the thread may have ended already */
}

void signals_end(struct signals *s)
{
	if (!s->has_thread)
		return;
	s->has_thread = false;
	/* From here on a signal has no effect, because the process is ending. */
	atomic_store(&s->phase, PHASE_FINISHED);
	(void)pthread_kill(s->thread, SIGHUP); /* wakes it; it may have ended already */
	thread_check(pthread_join(s->thread, NULL));
}
