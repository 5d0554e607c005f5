/* SPDX-License-Identifier: MIT */
/* A seam over another seam that lets chosen calls fail, counts all of them and remembers the last
 * ones.  Threads: any, but for faultio_free(). */
#ifndef FREYJAFS_TESTS_SIM_FAULTIO_H
#define FREYJAFS_TESTS_SIM_FAULTIO_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "tests/sim/iocall.h"
#include "writer/base/io.h"

struct faultio; /* opaque, see faultio.c */

enum fault_action {
	FAULT_ERROR,   /* the call does nothing and fails; a close closes all the same */
	FAULT_SHORT,   /* a read or a write does half of what was asked, at least a byte */
	FAULT_PARTIAL, /* a write does half of what was asked, and the call after it fails */
};

#define FAULT_FOR_EVER UINT64_MAX

struct fault_plan {
	uint64_t at;	    /* the first call that is hit, 1 ...; 0: none */
	uint64_t times;	    /* how many in a row; FAULT_FOR_EVER */
	unsigned int kinds; /* IOCALL_BIT()s: only these count and are hit */
	enum fault_action action;
	int err; /* -errno */
};

struct faultio *faultio_new(struct io *inner); /* borrows 'inner' */
void faultio_free(struct faultio *f);	       /* NULL is a no-op */
struct io *faultio_io(struct faultio *f);

/* From now on 'plan' holds (NULL: no call fails); its calls are counted from here. */
void faultio_set_plan(struct faultio *f, const struct fault_plan *plan);
/* While paused, calls are neither hit nor counted by the plan: for looking at what happened. */
void faultio_pause(struct faultio *f, bool paused);
/* How many calls the plan has hit. */
uint64_t faultio_hits(struct faultio *f);
/* How many calls of one kind the plan made fail (not: shortened). */
uint64_t faultio_failures(struct faultio *f, enum iocall kind);

/* Of these, syncs of a directory. */
uint64_t faultio_dir_sync_failures(struct faultio *f);

/* Calls of one kind since faultio_new(). */
uint64_t faultio_calls(struct faultio *f, enum iocall kind);
/* Writes the last calls with their results, oldest first. */
void faultio_print_log(struct faultio *f, FILE *out);

#endif
