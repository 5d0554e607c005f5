/* SPDX-License-Identifier: MIT */
#include "fuse/transport/uring_ring.h"

#include <errno.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include <fuse_lowlevel.h>

#include "fuse/transport/request.h"
#include "writer/base/thread.h"

#define PIN_AGAIN_NS 1000000000ULL

/* The state of a thread that serves a ring. */
struct current {
	struct ring *ring;
	struct ring_slot *slot; /* NULL: no request */
	bool replied;
};
static _Thread_local struct current current;

/* Everything before a reply happened before each request that is made after the reply: the kernel
 * orders them.  The thread sanitizer knows that order for read(2) and write(2), and these
 * annotations declare it for rings. */
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>

static char replies;
#define BEFORE_REPLY()	__tsan_release(&replies)
#define AFTER_REQUEST() __tsan_acquire(&replies)
#else
#define BEFORE_REPLY()	((void)0)
#define AFTER_REQUEST() ((void)0)
#endif

/* Data of the completion of a cancelled command. */
static char nothing;

/* --- the CPU --- */

void ring_pin(struct ring *r)
{
	cpu_set_t set;

	if (r->cpu < 0)
		return;
	r->pinned_ns = monotonic_ns();
	CPU_ZERO(&set);
	CPU_SET((unsigned int)r->cpu, &set);
	(void)pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

/* Pins the thread again.  The kernel lets a thread that was busy while its CPU went offline run on
 * any CPU afterwards.  A thread that an administrator has moved on purpose cannot run on the ring's
 * CPU and stays there. */
static void pin_again(struct ring *r)
{
	cpu_set_t set;

	if (r->cpu < 0 || sched_getcpu() == r->cpu || monotonic_ns() - r->pinned_ns < PIN_AGAIN_NS)
		return;
	r->pinned_ns = monotonic_ns();
	if (pthread_getaffinity_np(pthread_self(), sizeof(set), &set) == 0 &&
	    CPU_ISSET((unsigned int)r->cpu, &set))
		ring_pin(r);
}

/* --- open and close --- */

static int map_entries(struct ring *r, size_t payload_capacity)
{
	size_t each = RING_ENTRY_HEAD_BYTES + payload_capacity;

	r->memory_bytes = each * r->slot_count;
	r->memory = mmap(NULL, r->memory_bytes, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (r->memory == MAP_FAILED) {
		r->memory = NULL;
		return -errno;
	}
	/* Most requests touch only the first pages of a payload. */
	(void)madvise(r->memory, r->memory_bytes, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < r->slot_count; i++)
		ring_entry_init(&r->slots[i].entry, (uint8_t *)r->memory + i * each,
				payload_capacity);
	return 0;
}

int ring_open(struct ring *r, size_t payload_capacity)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SQE128 | IORING_SETUP_CLAMP | IORING_SETUP_SINGLE_ISSUER |
			 IORING_SETUP_DEFER_TASKRUN,
	};
	int err;

	err = io_uring_queue_init_params((unsigned int)r->slot_count + 1, &r->io, &params);
	if (err < 0)
		return err;
	r->is_open = true;
	(void)io_uring_register_ring_fd(&r->io); /* makes system calls cheaper */
	return map_entries(r, payload_capacity);
}

void ring_close(struct ring *r)
{
	if (r->is_open)
		io_uring_queue_exit(&r->io);
	r->is_open = false;
	if (r->memory != NULL)
		(void)munmap(r->memory, r->memory_bytes);
	r->memory = NULL;
}

/* --- commands to the kernel --- */

static struct io_uring_sqe *next_sqe(struct ring *r)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&r->io);

	while (sqe == NULL) { /* only if the kernel has made the ring smaller than requested */
		(void)io_uring_submit(&r->io);
		sqe = io_uring_get_sqe(&r->io);
	}
	/* liburing does not clear the second half of an SQE128 */
	memset(sqe, 0, 2 * sizeof(*sqe));
	return sqe;
}

/* Fixed file 0 of the ring is /dev/fuse. */
static struct io_uring_sqe *fuse_command(struct ring *r, uint32_t op, uint64_t commit_id,
					 uint16_t qid)
{
	const struct uring_command command = { .commit_id = commit_id, .qid = qid };
	struct io_uring_sqe *sqe = next_sqe(r);

	sqe->opcode = IORING_OP_URING_CMD;
	sqe->flags = IOSQE_FIXED_FILE;
	sqe->fd = 0;
	sqe->cmd_op = op;
	memcpy(sqe->cmd, &command, sizeof(command));
	return sqe;
}

static void commit(struct ring *r, struct ring_slot *s)
{
	struct io_uring_sqe *sqe = fuse_command(r, URING_COMMIT, s->entry.commit_id, s->qid);

	io_uring_sqe_set_data(sqe, s);
	BEFORE_REPLY();
	r->busy--;
}

static void await_event(struct ring *r)
{
	struct io_uring_sqe *sqe = next_sqe(r);

	io_uring_prep_read(sqe, r->event_fd, &r->event_count, sizeof(r->event_count), 0);
	io_uring_sqe_set_data(sqe, NULL);
}

/* Submits the waiting commands.  The kernel starts each of them at once, so after the call the
 * completions of refused commands are available. */
static int submit_all(struct ring *r)
{
	int n;

	do
		n = io_uring_submit(&r->io);
	while (n == -EINTR || (n > 0 && io_uring_sq_ready(&r->io) > 0));
	return n < 0 ? n : 0;
}

/* --- registration --- */

static struct io_uring_sqe *queue_registration(struct ring *r, struct ring_slot *s)
{
	struct io_uring_sqe *sqe = fuse_command(r, URING_REGISTER, 0, s->qid);

	ring_entry_buffers(&s->entry, s->buffers);
	sqe->addr = (uint64_t)(uintptr_t)s->buffers;
	sqe->len = ARRAY_SIZE(s->buffers);
	io_uring_sqe_set_data(sqe, s);
	return sqe;
}

/* Returns the error of a refused registration, or 0.  An accepted registration has no completion
 * before its first request; such completions stay for ring_serve(). */
static int find_refusal(struct ring *r)
{
	struct io_uring_cqe *cqe;
	unsigned int head;

	io_uring_for_each_cqe(&r->io, head, cqe)
	{
		if (cqe->res < 0)
			return cqe->res;
	}
	return 0;
}

static int register_slot(struct ring *r, struct ring_slot *s)
{
	struct io_uring_sqe *sqe = queue_registration(r, s);
	int err;

	err = submit_all(r);
	if (err == 0)
		return find_refusal(r);
	/* The submission is still queued: turn it into a no-op, so that the next submit does not
	 * register the queue after all. */
	io_uring_prep_nop(sqe);
	io_uring_sqe_set_data(sqe, &nothing);
	return err;
}

static bool is_first_of_queue(const struct ring *r, size_t i)
{
	return i == 0 || r->slots[i].qid != r->slots[i - 1].qid;
}

int ring_register(struct ring *r, int fuse_fd)
{
	int err;

	err = io_uring_register_files(&r->io, &fuse_fd, 1);
	for (size_t i = 0; i < r->slot_count && err == 0; i++)
		if (is_first_of_queue(r, i))
			err = register_slot(r, &r->slots[i]);
	return err < 0 ? err : 0;
}

static void register_rest(struct ring *r)
{
	for (size_t i = 0; i < r->slot_count; i++)
		if (!is_first_of_queue(r, i))
			(void)!register_slot(r, &r->slots[i]); /* a failure: fewer entries */
}

int ring_refuse(struct ring *r)
{
	int err;

	/* No such CPU exists.  The kernel refuses the command, and then serves requests by
	 * /dev/fuse. */
	(void)fuse_command(r, URING_REGISTER, 0, UINT16_MAX);
	err = submit_all(r);
	if (err == 0)
		err = find_refusal(r) < 0 ? 0 : -EPROTO;
	return err;
}

/* --- replies --- */

static void put_reply(struct ring_slot *s, const struct iovec *iov, int count)
{
	int err = ring_entry_reply(&s->entry, iov, count);

	if (err < 0)
		ring_entry_fail(&s->entry, -EIO); /* larger than the kernel's limit */
}

/* Hands a slot over to its ring's thread, and wakes the thread if it may be asleep. */
static void hand_over(struct ring_slot *s)
{
	struct ring *r = s->ring;
	struct ring_slot *head = atomic_load(&r->late);

	do
		s->next = head;
	while (!atomic_compare_exchange_weak(&r->late, &head, s));
	if (head == NULL && current.ring != r)
		(void)eventfd_write(r->event_fd, 1); /* fails only at a count of 2^64 */
}

bool ring_reply(struct ring_slot *slots, _Atomic uint64_t *unanswered, size_t slot_count,
		const struct iovec *iov, int count)
{
	uint64_t unique = ((const struct fuse_out_header *)iov[0].iov_base)->unique, expected;
	struct ring_slot *s = current.slot;

	if (unique == 0) /* a notification */
		return false;
	if (s != NULL && atomic_load_explicit(s->unanswered, memory_order_relaxed) == unique) {
		atomic_store_explicit(s->unanswered, 0, memory_order_relaxed);
		put_reply(s, iov, count);
		current.replied = true;
		return true;
	}
	for (size_t i = 0; i < slot_count; i++) {
		expected = unique;
		if (atomic_load_explicit(&unanswered[i], memory_order_relaxed) == unique &&
		    atomic_compare_exchange_strong(&unanswered[i], &expected, 0)) {
			put_reply(&slots[i], iov, count);
			hand_over(&slots[i]);
			return true;
		}
	}
	return false;
}

void *ring_buffer(size_t bytes)
{
	struct ring_slot *s = current.slot;

	return s != NULL && bytes <= s->entry.payload_capacity ? s->entry.payload : NULL;
}

/* --- requests --- */

static void serve_request(struct ring *r, struct fuse_session *se, struct ring_slot *s)
{
	struct fuse_buf buf = { .fd = -1 };

	AFTER_REQUEST();
	r->busy++;
	if (ring_entry_request(&s->entry, &buf.mem, &buf.size) < 0) {
		ring_entry_fail(&s->entry, -EIO);
		commit(r, s);
		return;
	}
	request_translate(buf.mem, buf.size);
	current.slot = s;
	current.replied = false;
	atomic_store(s->unanswered, s->entry.unique);
	fuse_session_process_buf(se, &buf);
	current.slot = NULL;
	if (current.replied)
		commit(r, s);
}

static void take_late_replies(struct ring *r)
{
	struct ring_slot *s = atomic_exchange(&r->late, NULL), *next;

	for (; s != NULL; s = next) {
		next = s->next;
		commit(r, s);
	}
}

static void take_completion(struct ring *r, struct fuse_session *se, const struct io_uring_cqe *cqe)
{
	void *data = io_uring_cqe_get_data(cqe);

	if (data == NULL)
		await_event(r);
	else if (data != &nothing && cqe->res == 0 &&
		 !atomic_load_explicit(&r->stopping, memory_order_relaxed))
		serve_request(r, se, data);
	/* Otherwise the connection has ended, or is about to end. */
}

int ring_serve(struct ring *r, struct fuse_session *se)
{
	struct io_uring_cqe *cqe;
	unsigned int head, count;
	int n = 0;

	current.ring = r;
	register_rest(r);
	await_event(r);
	while (!(atomic_load(&r->stopping) && r->busy == 0)) {
		n = io_uring_submit_and_wait(&r->io, 1);
		if (n < 0 && n != -EINTR && n != -EAGAIN && n != -EBUSY)
			break;
		pin_again(r);
		count = 0;
		io_uring_for_each_cqe(&r->io, head, cqe)
		{
			take_completion(r, se, cqe);
			count++;
		}
		io_uring_cq_advance(&r->io, count);
		take_late_replies(r);
	}
	n = submit_all(r); /* the last replies */
	current.ring = NULL;
	return n;
}

void ring_stop(struct ring *r)
{
	atomic_store(&r->stopping, true);
	(void)eventfd_write(r->event_fd, 1);
}
