/* SPDX-License-Identifier: MIT */
/* A seam over another seam that lets selected calls fail, counts all calls and remembers the last
 * ones.  Threads: any, except for faultio_free(). */
#ifndef FREYJAFS_TESTS_SIM_FAULTIO_H
#define FREYJAFS_TESTS_SIM_FAULTIO_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "tests/sim/iocall.h"
#include "writer/base/io.h"

struct faultio; /* defined in faultio.c */

enum fault_action {
	FAULT_ERROR,   /* the call does nothing and fails; a close still closes */
	FAULT_SHORT,   /* a read or a write does half of the requested bytes, at least one */
	FAULT_PARTIAL, /* a write does half of the requested bytes, and the next call fails */
};

#define FAULT_FOR_EVER UINT64_MAX

struct fault_plan {
	uint64_t at;	    /* the first call that is hit, 1 ...; 0: none */
	uint64_t times;	    /* number of consecutive calls; FAULT_FOR_EVER */
	unsigned int kinds; /* IOCALL_BIT()s: only these calls count and are hit */
	enum fault_action action;
	int err; /* -errno */
};

struct faultio *faultio_new(struct io *inner); /* borrows 'inner' */
void faultio_free(struct faultio *f);	       /* NULL is a no-op */
struct io *faultio_io(struct faultio *f);

/* Sets the plan (NULL: no call fails), which counts calls from now on. */
void faultio_set_plan(struct faultio *f, const struct fault_plan *plan);
/* While paused, calls are neither hit nor counted by the plan: for examining the result. */
void faultio_pause(struct faultio *f, bool paused);
/* Returns the number of calls that the plan has hit. */
uint64_t faultio_hits(struct faultio *f);
/* Returns the number of calls of one kind that the plan made fail; shortened calls do not count. */
uint64_t faultio_failures(struct faultio *f, enum iocall kind);

/* Returns the number of directory syncs that the plan made fail. */
uint64_t faultio_dir_sync_failures(struct faultio *f);

/* Returns the number of calls of one kind since faultio_new(). */
uint64_t faultio_calls(struct faultio *f, enum iocall kind);
/* Writes the last calls with their results, oldest first. */
void faultio_print_log(struct faultio *f, FILE *out);

#endif
