/* SPDX-License-Identifier: MIT */
/* Cutting the power at every call of a workload: the common part of both crash tests.
 *
 * A workload runs once on a simulated disk.  Before each call the disk is copied (an instant), with
 * the promises made by then.  Afterwards images are made of each instant, as a dying process
 * and several power cuts would leave it, and the test recovers from each.
 *
 * Environment:
 *   CRASH_SEED=n   the seed of random workloads and images (default 1)
 *   CRASH_RUNS=n   how many random workloads (default: few)
 *   CRASH_IMAGES=n random images of each instant (default: few)
 *   CRASH_EVERY=n  look at one image in n (default 1; more where a sanitizer makes it slow)
 *   CRASH_CALL=n CRASH_IMAGE=n   only this instant, only this image: what a failure prints */
#ifndef FREYJAFS_TESTS_CRASH_CRASH_H
#define FREYJAFS_TESTS_CRASH_CRASH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "codec/compiler.h"
#include "tests/sim/simdisk.h"
#include "writer/log_writer.h"

#define CRASH_THREADS_MAX 4
#define CRASH_WHY_BYTES	  8192

/* The progress of one thread of a workload, in steps; each number is at most the one before. */
struct crash_progress {
	uint64_t issued;   /* begun */
	uint64_t returned; /* the call returned 0 */
	uint64_t synced;   /* certainly durable */
};

struct crash_instant {
	struct simdisk *disk;
	uint64_t call; /* before this call of the workload; the last instants are after it */
	struct crash_progress progress[CRASH_THREADS_MAX];
};

struct crash_recorder {
	struct crash_instant *list;
	size_t count;
	/* Written by the workload with crash_set(), read by the hook in any thread. */
	struct {
		atomic_uint_least64_t issued, returned, synced;
	} now[CRASH_THREADS_MAX];
};

struct crash_options {
	uint64_t seed;
	uint64_t runs;
	unsigned int images;
	uint64_t every;	     /* one image of this many */
	uint64_t only_call;  /* 0: all */
	uint64_t only_image; /* UINT64_MAX: all */
};

struct crash_options crash_options(unsigned int default_runs, unsigned int default_images);

/* Records every call on 'd' from now on. */
void crash_record(struct crash_recorder *r, struct simdisk *d);
/* Adds the present state of 'd', behind the last call. */
void crash_record_end(struct crash_recorder *r, struct simdisk *d);
void crash_recorder_free(struct crash_recorder *r);

/* The origin of an image. */
enum crash_kind {
	CRASH_KILLED, /* the process died, the machine keeps running; index 0 */
	CRASH_CUT,    /* the power was cut */
};

struct crash_image {
	struct simdisk *disk;
	const struct crash_instant *instant;
	enum crash_kind kind;
	uint64_t index; /* of the image, for CRASH_IMAGE */
	uint64_t seed;	/* for later random choices */
};

/* The system under test: a log or a store.  A state is a text; equal content has equal text. */
struct crash_system {
	const char *name;    /* of the workload */
	const char *log_dir; /* directory of active.data */
	void *arg;
	/* Opens the files on 'd' and stores their state, which the caller frees.  NULL: an
	 * impossible result, and 'why' has the reason. */
	void *(*open)(void *arg, struct simdisk *d, char **ret_state, struct log_recovery *recovery,
		      char why[CRASH_WHY_BYTES]);
	/* Returns whether the state is allowed after these promises. */
	bool (*is_allowed)(void *arg, const char *state,
			   const struct crash_progress progress[CRASH_THREADS_MAX],
			   enum crash_kind kind, char why[CRASH_WHY_BYTES]);
	/* Commits new records, makes them durable, and stores the state after them.  0 or -errno.
	 */
	int (*go_on)(void *arg, void *handle, char **ret_state);
	int (*close)(void *arg, void *handle);
};

/* Recovers from every image of every instant:
 * - the state is one that the promises allow;
 * - what recovery cut is in quarantine, byte for byte, and that and the rest are durable;
 * - it goes on from there, and that survives the next power cut, which finds nothing to cut;
 * - of some images: the power is cut again at each call of the recovery.  No state but the same
 *   comes back, and nothing is destroyed.
 * Fails the test otherwise, and when the images were not worth looking at. */
void crash_check(const struct crash_system *system, const struct crash_recorder *recorder,
		 const struct crash_options *options);

/* Runs the tests, or those of a shard (CRASH_SHARD), which are moved to the front; argv[1], if
 * given, is a pattern: only those whose names match it. */
int crash_run(const char *group, struct CMUnitTest *tests, size_t count, int argc, char **argv);

#endif
