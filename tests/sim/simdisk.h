/* SPDX-License-Identifier: MIT */
/* A disk in memory behind the seam of writer/base/io.h, that remembers what a power cut may lose.
 *
 * Each file and each directory has a list of versions: the first is what is durable, the last is
 * what a program reads, one between for every operation that was not synced.  fdatasync() and
 * fsync() make the last version the only one.  A sync of a file does not make its name durable;
 * that takes an fsync() of the directory.  A power cut chooses, for each sector, for the size and
 * for each name, one of the versions.
 *
 * Paths are absolute ("/data") or relative to a directory descriptor; there is no working
 * directory.  The disk starts with an empty root.  Out of memory aborts the test.
 *
 * Threads: any, but for simdisk_free(). */
#ifndef FREYJAFS_TESTS_SIM_SIMDISK_H
#define FREYJAFS_TESTS_SIM_SIMDISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/sim/iocall.h"
#include "writer/base/io.h"

#define SIMDISK_SECTOR_BYTES 512
#define SIMDISK_NO_LIMIT     UINT64_MAX

struct simdisk; /* opaque, see simdisk.c */

struct simdisk *simdisk_new(void);
void simdisk_free(struct simdisk *d); /* NULL is a no-op; open descriptors go with it */

/* The seam; lives as long as 'd'. */
struct io *simdisk_io(struct simdisk *d);

/* --- calls --- */

/* Called before call 'number' (1, 2, ...) takes effect, in the thread that makes it: what the disk
 * holds then is the state after call 'number' - 1.  May call simdisk_copy() and
 * simdisk_power_cut() on 'd', no io operation.  now_ns() is not a call. */
typedef void (*simdisk_hook_fn)(void *arg, struct simdisk *d, uint64_t number, enum iocall kind);
void simdisk_set_hook(struct simdisk *d, simdisk_hook_fn fn, void *arg);

/* How many calls there were. */
uint64_t simdisk_calls(struct simdisk *d);

/* Cuts the power after call 'number' from now on (0: at once): every later call fails with -EIO and
 * changes nothing.  (Closing a descriptor frees it all the same.) */
void simdisk_cut_after(struct simdisk *d, uint64_t number);

/* --- knobs --- */

/* How many bytes all files together may have; a write that reaches the limit is short, one that
 * begins at it is -ENOSPC. */
void simdisk_set_capacity(struct simdisk *d, uint64_t capacity_bytes);
/* The same as a quota: -EDQUOT, and nothing to be seen of it in what the disk says is free. */
void simdisk_set_quota(struct simdisk *d, uint64_t quota_bytes);
/* From now on there are no more inodes than are in use now, or (false) as many as are needed. */
void simdisk_set_no_inodes(struct simdisk *d, bool none);
uint64_t simdisk_used_bytes(struct simdisk *d);

/* A sync takes this long; half of it before it takes effect, so that other threads write meanwhile
 * what it does not cover. */
void simdisk_set_sync_delay(struct simdisk *d, unsigned int delay_us);

/* --- images --- */

enum simdisk_keep {
	SIMDISK_KEEP_NONE, /* of what was not synced */
	SIMDISK_KEEP_ALL,
	SIMDISK_KEEP_SOME, /* chosen by the seed: sectors in any order, torn, missing, names apart
			    */
};

/* Returns the disk as it is after a power cut now.  All that is on it is durable, nothing is open
 * or locked, the limit and the hook are gone, calls count from 1.  The caller frees it. */
struct simdisk *simdisk_power_cut(struct simdisk *d, enum simdisk_keep keep, uint64_t seed);

/* Returns the disk as it is when the process dies and the machine runs on: what was not synced is
 * there and is still not synced.  Otherwise as simdisk_power_cut(). */
struct simdisk *simdisk_copy(struct simdisk *d);

/* Says whether anything on the disk is not durable: whether power cuts can differ. */
bool simdisk_has_pending(struct simdisk *d);

/* A hash over all names, sizes and contents, as a program reads them. */
uint64_t simdisk_hash(struct simdisk *d);

/* --- for the test itself; not counted as calls --- */

/* Makes everything durable, as sync(2). */
void simdisk_make_durable(struct simdisk *d);
/* Descriptors that are open. */
unsigned int simdisk_open_count(struct simdisk *d);
/* Returns the content of a file in a new buffer (not NULL, also for an empty file), or NULL if
 * there is none. */
uint8_t *simdisk_read_file(struct simdisk *d, const char *path, size_t *ret_bytes);
/* Replaces or makes a file, durable; its directory exists.  Returns 0 or -errno. */
int simdisk_write_file(struct simdisk *d, const char *path, const void *bytes, size_t byte_count);
/* Calls 'fn' with each name in a directory.  Returns what 'fn' returned, or -ENOENT. */
int simdisk_list_names(struct simdisk *d, const char *path, io_list_fn fn, void *arg);

#endif
