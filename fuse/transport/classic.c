/* SPDX-License-Identifier: MIT */
/* The classic transport: requests from /dev/fuse, served by the thread pool of libfuse. */
#include "fuse/transport/transport.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <unistd.h>

#include <fuse_lowlevel.h>

#define THREADS_PER_CPU 4
#define THREADS_MIN	8
#define THREADS_MAX	64

static pthread_t runner; /* the thread in run(); valid while 'running' */
static atomic_bool running;

static struct diag because; /* reason for not using a faster transport; "" if none was wanted */

static void ignore_signal(int signal_number)
{
}

/* Returns the limit on libfuse's threads; libfuse starts one more when all are busy.  It exceeds
 * the number of processors, because a request thread may sleep while it reads from DATADIR. */
static unsigned int thread_count(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (cpus < THREADS_MIN / THREADS_PER_CPU)
		return THREADS_MIN;
	if (cpus > THREADS_MAX / THREADS_PER_CPU)
		return THREADS_MAX;
	return (unsigned int)cpus * THREADS_PER_CPU;
}

static int classic_run(struct fuse_session *se)
{
	/* SIGUSR1 interrupts the sem_wait() of libfuse's main thread, which then sees the exit
	 * flag. */
	struct sigaction action = { .sa_handler = ignore_signal };
	struct fuse_loop_config *config;
	sigset_t usr1;
	int err;

	config = fuse_loop_cfg_create();
	if (config == NULL)
		return -ENOMEM;
	fuse_loop_cfg_set_clone_fd(config, 1);
	fuse_loop_cfg_set_max_threads(config, thread_count());
	fuse_loop_cfg_set_idle_threads(config, thread_count());
	(void)sigaction(SIGUSR1, &action, NULL); /* cannot fail */
	(void)sigemptyset(&usr1);
	(void)sigaddset(&usr1, SIGUSR1);
	(void)pthread_sigmask(SIG_UNBLOCK, &usr1, NULL);
	runner = pthread_self();
	atomic_store(&running, true);
	err = fuse_session_loop_mt(se, config);
	atomic_store(&running, false);
	fuse_loop_cfg_destroy(config);
	return err < 0 ? err : 0;
}

static void classic_stop(struct fuse_session *se)
{
	fuse_session_exit(se);
	if (atomic_load(&running))
		(void)pthread_kill(runner, SIGUSR1); /* the thread exists: it is the main one */
}

void transport_classic_because(const char *why)
{
	(void)diag_set(&because, 0, "%s", why);
}

static void classic_describe(struct diag *ret)
{
	if (because.text[0] == '\0')
		(void)diag_set(ret, 0, "classic");
	else
		(void)diag_set(ret, 0, "classic (%s)", because.text);
}

const struct transport transport_classic = {
	.run = classic_run,
	.stop = classic_stop,
	.describe = classic_describe,
};
