/* SPDX-License-Identifier: MIT */
#include "bench.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

atomic_bool bench_stop_flag;
static atomic_uint threads_running;

struct bench_thread {
	pthread_t id;
	pthread_barrier_t *start;
	bench_fn fn;
	void *arg;
	unsigned int number;
	double started_at, ended_at;
};

void bench_die(int err, const char *fmt, ...)
{
	va_list ap;

	(void)fflush(stdout);
	(void)fprintf(stderr, "%s: ", program_invocation_short_name);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	if (err != 0)
		(void)fprintf(stderr, ": %s", strerror(err));
	(void)fputc('\n', stderr);
	_exit(1); /* the other threads are still at work */
}

double bench_seconds(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail */
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* xorshift64* */
uint64_t bench_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(0x2545f4914f6cdd1d) >> 8;
}

uint8_t *bench_random_bytes(size_t bytes)
{
	uint8_t *data = malloc(bytes);
	uint64_t state = 1;

	if (!data)
		bench_die(0, "out of memory");
	for (size_t i = 0; i < bytes; i++)
		data[i] = (uint8_t)bench_random(&state);
	return data;
}

uint64_t bench_parse_size(const char *text)
{
	unsigned int shift = 0;
	uint64_t n;
	char *end;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (*end == 'K')
		shift = 10;
	else if (*end == 'M')
		shift = 20;
	else if (*end == 'G')
		shift = 30;
	if (shift != 0)
		end++;
	if (end == text || *end != '\0' || *text == '-' || errno != 0 || n > (UINT64_MAX >> shift))
		bench_die(0, "%s: not a size", text);
	return n << shift;
}

static void *thread_main(void *arg)
{
	struct bench_thread *t = arg;

	(void)pthread_barrier_wait(t->start);
	t->started_at = bench_seconds();
	t->fn(t->arg, t->number);
	t->ended_at = bench_seconds();
	atomic_fetch_sub(&threads_running, 1);
	return NULL;
}

static void start_threads(struct bench_thread *t, unsigned int threads, pthread_barrier_t *start,
			  bench_fn fn, void *arg)
{
	int err;

	for (unsigned int i = 0; i < threads; i++) {
		t[i] = (struct bench_thread){ .start = start, .fn = fn, .arg = arg, .number = i };
		err = pthread_create(&t[i].id, NULL, thread_main, &t[i]);
		if (err != 0)
			bench_die(err, "thread");
	}
}

/* Returns the time from the first start to the last end.  Our own clock would not do: when the
 * threads are many, they may be done before this one has a CPU again. */
static double join_threads(struct bench_thread *t, unsigned int threads)
{
	double first = 0, last = 0;

	for (unsigned int i = 0; i < threads; i++) {
		(void)pthread_join(t[i].id, NULL);
		if (i == 0 || t[i].started_at < first)
			first = t[i].started_at;
		if (i == 0 || t[i].ended_at > last)
			last = t[i].ended_at;
	}
	return last - first;
}

double bench_run(unsigned int threads, double seconds, bench_fn fn, void *arg)
{
	struct bench_thread t[BENCH_THREADS_MAX];
	pthread_barrier_t start;
	struct timespec pause;
	double stop_at, took;

	if (threads == 0 || threads > BENCH_THREADS_MAX)
		bench_die(0, "%u threads: 1 to %d are possible", threads, BENCH_THREADS_MAX);
	atomic_store(&bench_stop_flag, false);
	atomic_store(&threads_running, threads);
	if (pthread_barrier_init(&start, NULL, threads + 1) != 0)
		bench_die(0, "out of memory");
	start_threads(t, threads, &start, fn, arg);
	(void)pthread_barrier_wait(&start);
	stop_at = bench_seconds() + seconds;
	while (seconds > 0 && atomic_load(&threads_running) > 0 && bench_seconds() < stop_at) {
		pause = (struct timespec){ .tv_nsec = 5000000 };
		(void)nanosleep(&pause, NULL);
	}
	if (seconds > 0)
		bench_stop();
	took = join_threads(t, threads);
	(void)pthread_barrier_destroy(&start);
	return took;
}
