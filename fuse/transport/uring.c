/* SPDX-License-Identifier: MIT */
/* The io_uring transport: its rings and their threads.
 *
 * Each CPU that the daemon may run on has a ring, whose thread is pinned to that CPU: the kernel
 * puts a request into the queue of the CPU that it was made on, so no thread is woken on another
 * CPU.  All other possible CPUs (offline, or not allowed to the daemon) have queues, too, because
 * the kernel uses no ring until each queue has an entry; one more thread, which is not pinned,
 * serves them together.
 *
 * The rings are made before the mount and registered when INIT is answered.  From then on the
 * kernel holds all requests back until each queue has an entry; so if one ring fails, ring_refuse()
 * makes the kernel give up rings.
 *
 * FORGET and INTERRUPT come by /dev/fuse: the classic transport runs next to the rings, and serves
 * everything if there are none. */
#include "fuse/transport/transport.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <fuse_lowlevel.h>

#include "fuse/transport/uring_ring.h"
#include "writer/base/thread.h"

#define SWITCH_PATH "/sys/module/fuse/parameters/enable_uring"
#define FORBID_PATH "/proc/sys/kernel/io_uring_disabled"

#define QUEUE_ENTRIES	    16 /* requests of one CPU that are processed or waited for at a time */
#define SPARE_QUEUE_ENTRIES 4  /* of a CPU without a ring of its own */
#define STOP_AGAIN_NS	    20000000L
#define PAYLOAD_PAGES	    256 /* limit of libfuse's requests, and the kernel's default */

enum phase {
	PHASE_PREPARE,
	PHASE_REGISTER,
	PHASE_REFUSE, /* a registration failed */
	PHASE_SERVE,
	PHASE_QUIT,
};

struct ring_thread {
	struct ring ring;
	pthread_t thread;
};

extern struct lock_class uring_class; /* of uring.lock */

static struct uring {
	/* Written by prepare(), before there are threads. */
	struct ring_thread *rings; /* never freed: late replies may come after run() has returned */
	size_t ring_count;
	struct ring_slot *slots;
	_Atomic uint64_t *unanswered; /* one for each slot */
	size_t slot_count;
	bool required;

	struct fuse_session *session; /* written by run(), before the session begins */
	atomic_bool serves;	      /* requests come by the rings */

	struct mutex lock;	/* no other lock is taken under it */
	pthread_cond_t changed; /* with lock: phase, reported */
	enum phase phase GUARDED_BY(uring_class);
	/* Number of rings that have finished the phase. */
	size_t reported GUARDED_BY(uring_class);
	int err GUARDED_BY(uring_class);       /* the first error of this phase */
	bool given_up GUARDED_BY(uring_class); /* there will be no rings */
	int run_err GUARDED_BY(uring_class);   /* result of run() */
} uring;

LOCK_FUNCTIONS(uring, struct uring, lock, uring_class);

/* --- the threads --- */

static void report(int err)
{
	uring_lock(&uring);
	uring.reported++;
	if (uring.err == 0)
		uring.err = err;
	thread_check(pthread_cond_broadcast(&uring.changed));
	uring_unlock(&uring);
}

static enum phase wait_for_phase(enum phase after)
{
	enum phase phase;

	uring_lock(&uring);
	while (uring.phase == after)
		cond_wait(&uring.changed, &uring.lock);
	phase = uring.phase;
	uring_unlock(&uring);
	return phase;
}

/* Starts a phase in all rings. */
static void enter_phase(enum phase phase)
{
	uring_lock(&uring);
	uring.phase = phase;
	uring.reported = 0;
	uring.err = 0;
	thread_check(pthread_cond_broadcast(&uring.changed));
	uring_unlock(&uring);
}

/* Waits until 'count' rings have reported.  Returns the first of their errors. */
static int await_reports(size_t count)
{
	int err;

	uring_lock(&uring);
	while (uring.reported < count)
		cond_wait(&uring.changed, &uring.lock);
	err = uring.err;
	uring_unlock(&uring);
	return err;
}

static void set_run_err(int err)
{
	uring_lock(&uring);
	if (uring.run_err == 0)
		uring.run_err = err;
	uring_unlock(&uring);
}

/* Serves until the end of the mount.  A ring that fails ends the mount. */
static void serve(struct ring *r)
{
	const struct timespec again = { .tv_nsec = STOP_AGAIN_NS };
	int err = ring_serve(r, uring.session);

	if (err == 0)
		return;
	set_run_err(err);
	while (!atomic_load(&r->stopping)) {
		transport_classic.stop(uring.session);
		(void)nanosleep(&again, NULL);
	}
}

static void *ring_main(void *arg)
{
	struct ring *r = &((struct ring_thread *)arg)->ring;
	enum phase phase;

	(void)pthread_setname_np(pthread_self(), r->cpu < 0 ? "ring" : "ring-cpu"); /* for ps(1) */
	ring_pin(r);
	report(ring_open(r, PAYLOAD_PAGES * (size_t)sysconf(_SC_PAGESIZE)));
	phase = wait_for_phase(PHASE_PREPARE);
	if (phase == PHASE_REGISTER) {
		report(ring_register(r, fuse_session_fd(uring.session)));
		phase = wait_for_phase(PHASE_REGISTER);
	}
	if (phase == PHASE_REFUSE)
		report(ring_refuse(r));
	if (phase == PHASE_SERVE)
		serve(r);
	ring_close(r);
	return NULL;
}

static void join_threads(size_t count)
{
	enter_phase(PHASE_QUIT);
	for (size_t i = 0; i < count; i++) {
		ring_stop(&uring.rings[i].ring);
		thread_check(pthread_join(uring.rings[i].thread, NULL));
	}
}

/* --- preparation before the mount --- */

/* Reads the first line of a file.  Returns 0 or -errno. */
static int read_line(const char *path, char *buf, size_t buf_bytes)
{
	FILE *f = fopen(path, "re");
	int err = 0;

	if (f == NULL)
		return -errno;
	if (fgets(buf, (int)buf_bytes, f) == NULL)
		err = -EIO;
	(void)fclose(f); /* opened only for reading */
	return err;
}

static int check_switch(struct diag *why)
{
	char line[16] = "";
	int err = read_line(SWITCH_PATH, line, sizeof(line));

	if (err == -ENOENT)
		return diag_set(why, -EOPNOTSUPP,
				"this kernel has no FUSE over io_uring: Linux 6.14 has");
	if (err == 0 && line[0] != 'Y' && line[0] != '1')
		return diag_set(why, -EOPNOTSUPP,
				"FUSE over io_uring is off: echo Y >" SWITCH_PATH ", as root");
	return 0; /* unreadable: the reply to INIT decides */
}

static int say_forbidden(int err, struct diag *why)
{
	char line[16] = "";

	if (read_line(FORBID_PATH, line, sizeof(line)) == 0 && line[0] != '0')
		return diag_set(why, err,
				"io_uring is not permitted to this user: "
				"echo 0 >" FORBID_PATH ", as root");
	return diag_set(why, err,
			"io_uring is not permitted to this process: "
			"a seccomp filter, as containers have, must let it through");
}

static int say_refusal(int err, struct diag *why)
{
	switch (err) {
	case -EPERM:
	case -EACCES:
		return say_forbidden(err, why);
	case -ENOMEM:
		return diag_set(why, err,
				"there is no memory for io_uring: see ulimit -l and ulimit -v");
	case -ENOSYS:
	case -EINVAL:
		return diag_set(why, err, "this kernel's io_uring is too old: Linux 6.14 is not");
	default:
		return diag_set(why, err, "io_uring cannot be used: %s", strerror(-err));
	}
}

/* Gives the ring the next slots, for the queue of one CPU. */
static void add_queue(struct ring *r, int cpu, size_t entries)
{
	if (r->slot_count == 0)
		r->slots = &uring.slots[uring.slot_count];
	for (size_t i = 0; i < entries; i++) {
		uring.slots[uring.slot_count] = (struct ring_slot){
			.ring = r,
			.qid = (uint16_t)cpu,
			.unanswered = &uring.unanswered[uring.slot_count],
		};
		uring.slot_count++;
		r->slot_count++;
	}
}

static bool is_ours(const cpu_set_t *ours, int cpu)
{
	return cpu < CPU_SETSIZE && CPU_ISSET((unsigned int)cpu, ours);
}

/* Distributes the queues of 'cpus' CPUs: one ring for each CPU in 'ours', and one ring for all
 * others. */
static int lay_out(int cpus, const cpu_set_t *ours)
{
	size_t slots_max = (size_t)cpus * QUEUE_ENTRIES;
	struct ring *spare;

	uring.rings = calloc((size_t)cpus + 1, sizeof(*uring.rings));
	uring.slots = calloc(slots_max, sizeof(*uring.slots));
	uring.unanswered = calloc(slots_max, sizeof(*uring.unanswered));
	if (uring.rings == NULL || uring.slots == NULL || uring.unanswered == NULL)
		return -ENOMEM;
	for (int cpu = 0; cpu < cpus; cpu++) {
		if (!is_ours(ours, cpu))
			continue;
		uring.rings[uring.ring_count].ring.cpu = cpu;
		add_queue(&uring.rings[uring.ring_count++].ring, cpu, QUEUE_ENTRIES);
	}
	spare = &uring.rings[uring.ring_count].ring;
	spare->cpu = -1;
	for (int cpu = 0; cpu < cpus; cpu++)
		if (!is_ours(ours, cpu))
			add_queue(spare, cpu, SPARE_QUEUE_ENTRIES);
	if (spare->slot_count > 0)
		uring.ring_count++;
	return 0;
}

static int start_threads(void)
{
	size_t started = 0;
	int err = 0;

	for (; started < uring.ring_count && err == 0; started++) {
		struct ring_thread *t = &uring.rings[started];

		t->ring.event_fd = eventfd(0, EFD_CLOEXEC);
		if (t->ring.event_fd < 0)
			err = -errno;
		else
			err = -pthread_create(&t->thread, NULL, ring_main, t);
		if (err < 0)
			break;
	}
	if (err == 0)
		err = await_reports(started);
	if (err < 0)
		join_threads(started);
	return err;
}

int transport_uring_prepare(bool required, struct diag *why)
{
	cpu_set_t ours;
	int err;

	err = check_switch(why);
	if (err < 0)
		return err;
	uring.required = required;
	mutex_init(&uring.lock);
	cond_init(&uring.changed);
	CPU_ZERO(&ours);
	(void)sched_getaffinity(0, sizeof(ours), &ours); /* empty if CPUs do not fit */
	err = lay_out(get_nprocs_conf(), &ours); /* the possible CPUs, as the kernel counts them */
	if (err == 0)
		err = start_threads();
	if (err < 0)
		return say_refusal(err, why);
	return 0;
}

void transport_uring_discard(void)
{
	if (WITH_LOCK(uring, &uring, uring.phase == PHASE_PREPARE && uring.ring_count > 0))
		join_threads(uring.ring_count);
}

/* --- INIT --- */

/* Gives up the rings: classic serves, or, if rings are required, run() fails. */
static void give_up(const char *why)
{
	LOCKED(uring, &uring, uring.given_up = true);
	if (uring.required)
		set_run_err(-EOPNOTSUPP);
	transport_classic_because(why);
}

static bool has_given_up(void)
{
	return WITH_LOCK(uring, &uring, uring.given_up);
}

static int run_err(void)
{
	return WITH_LOCK(uring, &uring, uring.run_err);
}

static bool uring_offer(bool offered)
{
	if (!offered)
		give_up("the kernel does not offer FUSE over io_uring to this mount");
	return offered;
}

/* After a failed registration: makes the kernel stop waiting for the other queues. */
static void refuse(int err)
{
	struct diag why = { "" };

	(void)diag_set(&why, 0, "the kernel refused a ring: %s", strerror(-err));
	give_up(why.text);
	enter_phase(PHASE_REFUSE);
	err = await_reports(uring.ring_count);
	if (err < 0)
		set_run_err(err); /* otherwise the kernel would wait for ever */
}

static int uring_answered(struct fuse_session *se)
{
	int err;

	if (has_given_up())
		return run_err();
	enter_phase(PHASE_REGISTER);
	err = await_reports(uring.ring_count);
	if (err < 0) {
		refuse(err);
		return run_err();
	}
	atomic_store(&uring.serves, true);
	enter_phase(PHASE_SERVE);
	return 0;
}

/* --- serving --- */

static bool uring_reply(const struct iovec *iov, int count)
{
	return atomic_load_explicit(&uring.serves, memory_order_relaxed) &&
	       ring_reply(uring.slots, uring.unanswered, uring.slot_count, iov, count);
}

static int uring_run(struct fuse_session *se)
{
	int err;

	uring.session = se;
	err = transport_classic.run(se);
	join_threads(uring.ring_count);
	return run_err() < 0 ? run_err() : err;
}

static void uring_stop(struct fuse_session *se)
{
	transport_classic.stop(se);
}

static void uring_describe(struct diag *ret)
{
	if (atomic_load(&uring.serves))
		(void)diag_set(ret, 0, "io_uring");
	else
		transport_classic.describe(ret);
}

const struct transport transport_uring = {
	.run = uring_run,
	.stop = uring_stop,
	.describe = uring_describe,
	.offer = uring_offer,
	.answered = uring_answered,
	.reply = uring_reply,
	.buffer = ring_buffer,
};
