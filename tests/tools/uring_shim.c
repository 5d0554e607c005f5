/* SPDX-License-Identifier: MIT */
/* Preloaded into the daemon, lets io_uring and what goes with it fail as on other systems:
 *
 *   FREYJAFS_SHIM_SETUP=EPERM	no ring can be made, with that error
 *   FREYJAFS_SHIM_SUBMIT=N	the Nth submission of the process fails with ENOMEM
 *   FREYJAFS_SHIM_PIN=1	no thread can be pinned: its CPU has just gone offline
 */
#include <dlfcn.h>
#include <errno.h>
#include <liburing.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	int err;
} errors[] = {
	{ "EPERM", EPERM },
	{ "ENOMEM", ENOMEM },
	{ "ENOSYS", ENOSYS },
	{ "EMFILE", EMFILE },
};

int io_uring_queue_init_params(unsigned entries, struct io_uring *ring, struct io_uring_params *p)
{
	int (*next)(unsigned, struct io_uring *, struct io_uring_params *);
	const char *name = getenv("FREYJAFS_SHIM_SETUP");

	for (size_t i = 0; name != NULL && i < sizeof(errors) / sizeof(errors[0]); i++) {
		if (strcmp(errors[i].name, name) == 0)
			return -errors[i].err;
	}
	*(void **)&next = dlsym(RTLD_NEXT, "io_uring_queue_init_params");
	return next(entries, ring, p);
}

int io_uring_submit(struct io_uring *ring)
{
	static atomic_int calls;
	const char *nth = getenv("FREYJAFS_SHIM_SUBMIT");
	int (*next)(struct io_uring *);

	if (nth != NULL && atomic_fetch_add(&calls, 1) + 1 == strtol(nth, NULL, 10))
		return -ENOMEM;
	*(void **)&next = dlsym(RTLD_NEXT, "io_uring_submit");
	return next(ring);
}

int pthread_setaffinity_np(pthread_t thread, size_t bytes, const cpu_set_t *cpus)
{
	int (*next)(pthread_t, size_t, const cpu_set_t *);

	if (getenv("FREYJAFS_SHIM_PIN") != NULL)
		return EINVAL;
	*(void **)&next = dlsym(RTLD_NEXT, "pthread_setaffinity_np");
	return next(thread, bytes, cpus);
}
