/* SPDX-License-Identifier: MIT */
/* A 'struct io' that hands every call to the operating system, counts it, writes it down, and on
 * request fails it (tests/sim/faultio.h) or holds it back.  Threads: any. */
#ifndef FREYJAFS_TESTS_UNIT_PROBE_H
#define FREYJAFS_TESTS_UNIT_PROBE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/sim/faultio.h"
#include "tests/sim/iocall.h"
#include "writer/base/io.h"

struct probe; /* opaque, see probe.c */

struct probe *probe_new(void);
void probe_free(struct probe *p);
struct io *probe_io(struct probe *p);

/* Calls since probe_new(); all of them without the clock. */
uint64_t probe_calls(struct probe *p, enum iocall kind);
uint64_t probe_calls_all(struct probe *p);

/* Lets the next calls of one kind fail; 'times' may be FAULT_FOR_EVER.  The partial one does half
 * of the first write before. */
void probe_fail(struct probe *p, enum iocall kind, uint64_t times, int err);
void probe_fail_partial(struct probe *p, enum iocall kind, uint64_t times, int err);
void probe_heal(struct probe *p);
/* For other plans. */
struct faultio *probe_faults(struct probe *p);

/* While the gate is closed, fdatasync() waits in front of it. */
void probe_close_gate(struct probe *p);
void probe_open_gate(struct probe *p);
bool probe_someone_at_gate(struct probe *p);

/* Makes the clock stand still at 'now_ns', also before 1970; 0: the real clock. */
void probe_set_clock(struct probe *p, int64_t now_ns);

/* The filesystem says that so many bytes are free, if it has them. */
void probe_set_free_bytes(struct probe *p, uint64_t free_bytes);

/* The calls in order, one word each: "fsync:DIR", "open:active.data" ...; the path is the last
 * component.  Says at which position 'event' is found for the first time at or behind 'from', or
 * -1. */
int probe_find_event(struct probe *p, const char *event, int from);
/* Flags of the first open of a file of that name; fails the test if there was none. */
int probe_open_flags(struct probe *p, const char *name);

#endif
