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

struct simdisk; /* defined in simdisk.c */

struct simdisk *simdisk_new(void);
void simdisk_free(struct simdisk *d); /* NULL is a no-op; closes open descriptors */

/* The seam; lives as long as 'd'. */
struct io *simdisk_io(struct simdisk *d);

/* --- calls --- */

/* Called before call 'number' (1, 2, ...) takes effect, in the thread that makes it: the disk then
 * has the state after call 'number' - 1.  May call simdisk_copy() and simdisk_power_cut() on 'd',
 * but no io operation. now_ns() does not count as a call. */
typedef void (*simdisk_hook_fn)(void *arg, struct simdisk *d, uint64_t number, enum iocall kind);
void simdisk_set_hook(struct simdisk *d, simdisk_hook_fn fn, void *arg);

/* Returns the number of calls so far. */
uint64_t simdisk_calls(struct simdisk *d);

/* Cuts the power after call 'number' from now on (0: immediately): every later call fails with -EIO
 * and changes nothing, except that closing a descriptor still frees it. */
void simdisk_cut_after(struct simdisk *d, uint64_t number);

/* --- knobs --- */

/* Sets the capacity of all files together; a write that reaches the limit is short, one that begins
 * at it returns -ENOSPC. */
void simdisk_set_capacity(struct simdisk *d, uint64_t capacity_bytes);
/* Sets a quota for all files together: a write that begins at it returns -EDQUOT, and the figures
 * of free space do not show the quota. */
void simdisk_set_quota(struct simdisk *d, uint64_t quota_bytes);
/* From now on no inodes are free beyond those in use now; with false, as many as needed. */
void simdisk_set_no_inodes(struct simdisk *d, bool none);
uint64_t simdisk_used_bytes(struct simdisk *d);

/* Sets the duration of a sync.  Half of it passes before the sync takes effect, so that other
 * threads write bytes in the meantime which it does not cover. */
void simdisk_set_sync_delay(struct simdisk *d, unsigned int delay_us);

/* --- images --- */

enum simdisk_keep {
	SIMDISK_KEEP_NONE, /* of the bytes that were not synced */
	SIMDISK_KEEP_ALL,
	SIMDISK_KEEP_SOME, /* chosen by the seed: sectors in any order, torn, missing, names apart
			    */
};

/* Returns the disk as it is after a power cut now.  Everything on it is durable, nothing is open or
 * locked, it has no limit and no hook, and calls count from 1.  The caller frees it. */
struct simdisk *simdisk_power_cut(struct simdisk *d, enum simdisk_keep keep, uint64_t seed);

/* Returns the disk as it is when the process dies and the machine keeps running: bytes that were
 * not synced are there and still not synced.  Otherwise as simdisk_power_cut(). */
struct simdisk *simdisk_copy(struct simdisk *d);

/* Returns whether any part of the disk is not durable, so that power cuts can differ. */
bool simdisk_has_pending(struct simdisk *d);

/* Returns a hash over all names, sizes and contents, as a program reads them. */
uint64_t simdisk_hash(struct simdisk *d);

/* --- for the test itself; not counted as calls --- */

/* Makes everything durable, as sync(2). */
void simdisk_make_durable(struct simdisk *d);
/* Returns the number of open descriptors. */
unsigned int simdisk_open_count(struct simdisk *d);
/* Returns the content of a file in a new buffer (not NULL, also for an empty file), or NULL if
 * there is none. */
uint8_t *simdisk_read_file(struct simdisk *d, const char *path, size_t *ret_bytes);
/* Replaces or makes a file and makes it durable; its directory must exist.  Returns 0 or -errno. */
int simdisk_write_file(struct simdisk *d, const char *path, const void *bytes, size_t byte_count);
/* Calls 'fn' for each name in a directory.  Returns the value that 'fn' returned, or -ENOENT. */
int simdisk_list_names(struct simdisk *d, const char *path, io_list_fn fn, void *arg);

#endif
