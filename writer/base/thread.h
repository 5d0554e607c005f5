/* SPDX-License-Identifier: MIT */
/* Locks and condition variables: mutexes that clang checks (-Wthread-safety) and calls that cannot
 * fail.  Lock order: docs/LOCKING.md. */
#ifndef FREYJAFS_WRITER_BASE_THREAD_H
#define FREYJAFS_WRITER_BASE_THREAD_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include "writer/base/times.h"

#ifdef __clang__
#define TSA(x) __attribute__((x))
#else
#define TSA(x)
#endif
#define CAPABILITY(name)     TSA(capability(name))
#define GUARDED_BY(class)    TSA(guarded_by(class))
#define REQUIRES(...)	     TSA(requires_capability(__VA_ARGS__))
#define REQUIRES_SHARED(...) TSA(requires_shared_capability(__VA_ARGS__))
#define EXCLUDES(...)	     TSA(locks_excluded(__VA_ARGS__))
#define ACQUIRES(...)	     TSA(acquire_capability(__VA_ARGS__))
#define ACQUIRES_SHARED(...) TSA(acquire_shared_capability(__VA_ARGS__))
#define RELEASES(...)	     TSA(release_capability(__VA_ARGS__))
#define RELEASES_SHARED(...) TSA(release_shared_capability(__VA_ARGS__))
#define NO_THREAD_SAFETY     TSA(no_thread_safety_analysis)

/* All locks that are the same member of the same struct: a row of the table in docs/LOCKING.md.  A
 * field names the class of the lock that guards it, because in C clang 14 cannot resolve the name
 * of another member in an attribute.  Each class has functions that take and release a lock
 * together with its class.  A class is declared with "extern", and no object of it exists. */
struct CAPABILITY("lock class") lock_class;

struct CAPABILITY("mutex") mutex {
	pthread_mutex_t impl;
};

/* Held by any number of readers, or by one writer. */
struct CAPABILITY("rwlock") rwlock {
	pthread_rwlock_t impl;
};

/* A pthread call on a lock can fail only if the program has a bug. */
static inline void thread_check(int err)
{
	if (err != 0)
		abort();
}

static inline void mutex_init(struct mutex *m)
{
	thread_check(pthread_mutex_init(&m->impl, NULL));
}

static inline void mutex_destroy(struct mutex *m)
{
	thread_check(pthread_mutex_destroy(&m->impl));
}

static inline void thread_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb");
#endif
}

/* Locks here are usually held for a few microseconds, which is less than a thread needs to sleep
 * and to be woken on another CPU.  So a thread tries for about that long before it sleeps. */
#define LOCK_TRIES 500

static inline bool lock_try_again(int err, int *tries)
{
	if (err != EBUSY || ++*tries > LOCK_TRIES)
		return false;
	thread_pause();
	return true;
}

static inline void mutex_lock(struct mutex *m) ACQUIRES(m) NO_THREAD_SAFETY
{
	int err, tries = 0;

	do
		err = pthread_mutex_trylock(&m->impl);
	while (lock_try_again(err, &tries));
	if (err != 0)
		thread_check(pthread_mutex_lock(&m->impl));
}

static inline void mutex_unlock(struct mutex *m) RELEASES(m) NO_THREAD_SAFETY
{
	thread_check(pthread_mutex_unlock(&m->impl));
}

/* Defines NAME_lock() and NAME_unlock(), which take and release the mutex 'member' of 'type'
 * together with its class. */
#define LOCK_FUNCTIONS(name, type, member, class)                                      \
	static inline void name##_lock(type *object) ACQUIRES(object->member, class)   \
		NO_THREAD_SAFETY                                                       \
	{                                                                              \
		mutex_lock(&object->member);                                           \
	}                                                                              \
	static inline void name##_unlock(type *object) RELEASES(object->member, class) \
		NO_THREAD_SAFETY                                                       \
	{                                                                              \
		mutex_unlock(&object->member);                                         \
	}                                                                              \
	struct lock_class /* takes the semicolon */

/* The value that 'expression' has between NAME_lock(object) and NAME_unlock(object). */
#define WITH_LOCK(name, object, expression)             \
	__extension__({                                 \
		__typeof__(expression) with_lock_value; \
		name##_lock(object);                    \
		with_lock_value = (expression);         \
		name##_unlock(object);                  \
		with_lock_value;                        \
	})

/* Executes 'statement' between NAME_lock(object) and NAME_unlock(object). */
#define LOCKED(name, object, statement) \
	do {                            \
		name##_lock(object);    \
		statement;              \
		name##_unlock(object);  \
	} while (0)

static inline void rwlock_init(struct rwlock *l)
{
	thread_check(pthread_rwlock_init(&l->impl, NULL));
}

static inline void rwlock_destroy(struct rwlock *l)
{
	thread_check(pthread_rwlock_destroy(&l->impl));
}

static inline void rwlock_read_lock(struct rwlock *l) ACQUIRES_SHARED(l) NO_THREAD_SAFETY
{
	int err, tries = 0;

	do
		err = pthread_rwlock_tryrdlock(&l->impl);
	while (lock_try_again(err, &tries));
	if (err != 0)
		thread_check(pthread_rwlock_rdlock(&l->impl));
}

static inline void rwlock_write_lock(struct rwlock *l) ACQUIRES(l) NO_THREAD_SAFETY
{
	int err, tries = 0;

	do
		err = pthread_rwlock_trywrlock(&l->impl);
	while (lock_try_again(err, &tries));
	if (err != 0)
		thread_check(pthread_rwlock_wrlock(&l->impl));
}

static inline void rwlock_read_unlock(struct rwlock *l) RELEASES_SHARED(l) NO_THREAD_SAFETY
{
	thread_check(pthread_rwlock_unlock(&l->impl));
}

static inline void rwlock_write_unlock(struct rwlock *l) RELEASES(l) NO_THREAD_SAFETY
{
	thread_check(pthread_rwlock_unlock(&l->impl));
}

/* Condition variables on the monotonic clock. */
static inline void cond_init(pthread_cond_t *c)
{
	pthread_condattr_t attr;

	thread_check(pthread_condattr_init(&attr));
	thread_check(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC));
	thread_check(pthread_cond_init(c, &attr));
	thread_check(pthread_condattr_destroy(&attr));
}

static inline void cond_wait(pthread_cond_t *c, struct mutex *m) REQUIRES(m)
{
	thread_check(pthread_cond_wait(c, &m->impl));
}

/* Waits until signalled or until monotonic_ns() reaches 'deadline_ns'. */
static inline void cond_wait_until(pthread_cond_t *c, struct mutex *m, uint64_t deadline_ns)
	REQUIRES(m)
{
	struct timespec ts = timespec_of_ns(ns_of_timestamp(deadline_ns));

	(void)pthread_cond_timedwait(c, &m->impl, &ts); /* ETIMEDOUT: the caller checks the clock */
}

static inline uint64_t monotonic_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail */
	return (uint64_t)ns_of_timespec(ts);
}

#endif
