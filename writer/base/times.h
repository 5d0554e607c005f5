/* SPDX-License-Identifier: MIT */
/* Times: conversions between nanoseconds since the epoch in 64 bits and the formats of the system
 * and the log.
 *
 * A time that 64 bits cannot hold (before 1677 or after 2262) becomes the nearest time that they
 * can hold.  INT64_MIN is never a time: callers use it as a special value. */
#ifndef FREYJAFS_WRITER_BASE_TIMES_H
#define FREYJAFS_WRITER_BASE_TIMES_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "codec/meta.h"

#define NSEC_PER_SEC INT64_C(1000000000)

static inline int64_t ns_of_meta_time(struct meta_time t)
{
	int64_t ns;

	if (!__builtin_mul_overflow(t.sec, NSEC_PER_SEC, &ns) &&
	    !__builtin_add_overflow(ns, (int64_t)t.nsec, &ns) && ns != INT64_MIN)
		return ns;
	return t.sec < 0 ? INT64_MIN + 1 : INT64_MAX;
}

static inline struct meta_time meta_time_of_timespec(struct timespec t)
{
	return (struct meta_time){ .sec = t.tv_sec, .nsec = (uint32_t)t.tv_nsec };
}

static inline int64_t ns_of_timespec(struct timespec t)
{
	return ns_of_meta_time(meta_time_of_timespec(t));
}

/* Converts the timestamp of a record; the largest time if it does not fit. */
static inline int64_t ns_of_timestamp(uint64_t timestamp_ns)
{
	return timestamp_ns > INT64_MAX ? INT64_MAX : (int64_t)timestamp_ns;
}

static inline struct timespec timespec_of_ns(int64_t ns)
{
	struct timespec t = { .tv_sec = ns / NSEC_PER_SEC, .tv_nsec = ns % NSEC_PER_SEC };

	if (t.tv_nsec < 0) {
		t.tv_sec--;
		t.tv_nsec += NSEC_PER_SEC;
	}
	return t;
}

static inline bool timespec_is_later(struct timespec a, struct timespec than)
{
	return a.tv_sec > than.tv_sec || (a.tv_sec == than.tv_sec && a.tv_nsec > than.tv_nsec);
}

static inline struct meta_time meta_time_of_ns(int64_t ns)
{
	return meta_time_of_timespec(timespec_of_ns(ns));
}

#endif
