/* SPDX-License-Identifier: MIT */
/* Space for compaction on a full disk.  Compaction needs space to gain space: the new file of a
 * segment is written into the blocks of a reserve (store/reserves.c). */
#include <errno.h>
#include <fcntl.h>

#include "writer/compact/compact_private.h"

#define SPACE_SPARE_BYTES ((uint64_t)256 * 1024) /* left for others */
#define ENOUGH		  4 /* times the reserve is free: the disk is not full any more */

/* --- the reserves --- */

/* Nothing reports how much a quota leaves.  A store that was opened when its quota was nearly used
 * up would notice it only when a write has failed, and until then removals would give no space
 * back. */
void compact_detect_quota(struct compactor *c)
{
	if (store_probe_segment_reserve(c->s) == -EDQUOT)
		atomic_store(&c->growth->has_quota, true);
}

/* Takes the reserve, or makes a file. */
static int new_file(struct compactor *c, const struct compact_mode *mode, const char *name)
{
	int fd = mode->takes_reserve ? store_take_segment_reserve(c->s, name) : -ENOENT;

	return fd >= 0 ? fd : io_open(c->io, c->dir_fd, name, O_RDWR | O_CREAT | O_TRUNC, 0600);
}

int compact_new_file(struct compactor *c, const struct compact_mode *mode, const char *name)
{
	int fd;

	do
		fd = new_file(c, mode, name);
	while (log_is_full(fd) && mode->no_space && store_release_reserve(c->s));
	return fd;
}

/* --- rounds on a full disk --- */

int compact_sync_judged(struct compactor *c, uint64_t judged_end)
{
	int err;

	do
		err = log_writer_sync_to(c->log, judged_end);
	while (log_is_full(err) && store_release_reserve(c->s));
	return err;
}

int compact_seal(struct compactor *c)
{
	int err;

	do
		err = log_writer_seal(c->log);
	while (log_is_full(err) && store_release_reserve(c->s));
	return log_is_full(err) ? 0 : err;
}

int compact_install(struct compactor *c, struct log_new_segment *list, size_t count, bool folds,
		    bool *ret_installed)
{
	int err;

	do
		err = log_writer_install(c->log, list, count, folds, ret_installed);
	while (log_is_full(err) && !*ret_installed && store_release_reserve(c->s));
	return err;
}

uint64_t compact_gained_bytes(struct compactor *c)
{
	return WITH_LOCK(compactor, c, c->figures.gained_bytes);
}

uint64_t compact_space(struct compactor *c)
{
	uint64_t space = UINT64_MAX;
	struct io_space disk;

	if (store_space(c->s, &disk) == 0)
		space = disk.blocks_available * disk.block_bytes;
	return space > SPACE_SPARE_BYTES ? space - SPACE_SPARE_BYTES : 0;
}

bool compact_is_short(struct compactor *c)
{
	return atomic_load(&c->growth->is_full) || atomic_load(&c->growth->has_quota) ||
	       compact_space(c) < store_segment_reserve_goal(c->s);
}

void compact_space_done(struct compactor *c, uint64_t asked)
{
	if (compact_space(c) >= ENOUGH * store_segment_reserve_goal(c->s))
		atomic_store(&c->growth->is_full, false);
	growth_answer(c->growth, false, asked);
}
