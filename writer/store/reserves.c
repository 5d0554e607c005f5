/* SPDX-License-Identifier: MIT */
/* The reserves for a full disk: two files that keep space so that a store can work on. "reserve" is
 * for the tombstones of names that are removed.  Compaction writes the new file of a segment into
 * the blocks of "reserve.segment", which no other file can take in the meantime; "reserve.segment"
 * is made again when the old file, which had more blocks, is gone.
 *
 * A segment is at most as large as the reserve may be, so that the reserve serves for each of them.
 *
 * Both reserves grow with the log, so that a small store stays small.  The commit path enlarges
 * them before the log has outgrown them; a thread could be too late, as nothing can be allocated on
 * a full disk.
 *
 * Hints are given up first: each can be made again. */

#include "writer/log/file_set.h"
#include "writer/log/full_disk.h"
#include "writer/log/hint_file.h"
#include "writer/store/store_private.h"

/* The size of the reserve: this many bytes on a disk that is large enough, and this share of a
 * smaller disk; */
#define RESERVE_SEGMENT_BYTES ((uint64_t)8 * 1024 * 1024)
#define RESERVE_SHARE	      32
/* if there are larger segments, their size, but not a larger share than this of the disk or of the
 * free space. */
#define RESERVE_SHARE_MAX  64
#define RESERVE_FREE_SHARE 4
#define NAMES_SHARE	   4 /* share of the log that the tombstones of all its names may need */

/* --- sizes --- */

/* Returns 'bytes', or the share of the disk if that is less.  If the disk does not report its size,
 * returns 'bytes'. */
static uint64_t at_most_share(const struct io_space *disk, uint64_t bytes)
{
	uint64_t share = disk->blocks * disk->block_bytes / RESERVE_SHARE;

	return disk->blocks == 0 || bytes < share ? bytes : share;
}

/* The smallest and the largest intended size of the reserve on this disk. */
struct limits {
	uint64_t names_most; /* largest size of the reserve for names */
	uint64_t least, most;
	uint64_t free_bytes; /* on the disk */
};

static struct limits limits_of(struct store *s)
{
	uint64_t segment_bytes = s->segment_bytes_max;
	struct io_space disk = { .blocks = 0 };
	struct limits l;

	(void)!io_space(s->io, s->dir_fd, &disk);
	l.names_most = at_most_share(&disk, RESERVE_BYTES);
	l.least = l.most = at_most_share(&disk, RESERVE_SEGMENT_BYTES);
	if (l.most < disk.blocks * disk.block_bytes / RESERVE_SHARE_MAX)
		l.most = disk.blocks * disk.block_bytes / RESERVE_SHARE_MAX;
	if (l.most > segment_bytes)
		l.most = segment_bytes;
	if (l.least > segment_bytes)
		l.least = segment_bytes;
	l.free_bytes = disk.blocks_available * disk.block_bytes;
	return l;
}

/* A larger reserve helps if there are larger segments, from earlier or made by hand. */
static uint64_t largest_segment(struct store *s)
{
	struct segment seg;
	uint64_t bytes = 0;

	for (size_t i = 0; log_writer_sealed(s->log, i, &seg); i++)
		if (seg.bytes > bytes)
			bytes = seg.bytes;
	return bytes;
}

/* Returns the intended size of a reserve, 'most' at the most.  A reserve grows by more than is
 * needed now, and is not made smaller for a small difference. */
static uint64_t size_of(const struct reserve *r, uint64_t needed, uint64_t most)
{
	uint64_t size = needed + RESERVE_STEP_BYTES - 1;

	size -= size % RESERVE_STEP_BYTES;
	if (size < RESERVE_BYTES_MIN)
		size = RESERVE_BYTES_MIN;
	if (size > r->goal_bytes && r->goal_bytes > 0)
		size += size / 2;
	else if (size > r->goal_bytes / 2 && r->goal_bytes > 0)
		size = r->goal_bytes;
	return size < most ? size : most;
}

/* Returns the size of the log up to which the reserve does not have to grow. */
static uint64_t enough_for(const struct reserve *r, uint64_t share, uint64_t most)
{
	return r->goal_bytes + RESERVE_STEP_BYTES > most ? UINT64_MAX : r->goal_bytes * share;
}

/* Returns the largest intended size of the reserve for compaction. */
static uint64_t segment_most(struct store *s, const struct limits *l, uint64_t segment_bytes)
	REQUIRES(s->commit_lock, commit_class)
{
	const struct reserve *r = &s->segment_reserve;
	uint64_t most = largest_segment(s);

	most = most > segment_bytes ? most : segment_bytes;
	most = most < l->most ? most : l->most;
	if (most > l->least && most > r->bytes + l->free_bytes / RESERVE_FREE_SHARE)
		most = r->bytes + l->free_bytes / RESERVE_FREE_SHARE;
	most = most > l->least ? most : l->least;
	return most > r->goal_bytes ? most : r->goal_bytes;
}

static void keep_one(struct store *s, struct reserve *r, const char *name, uint64_t size)
	REQUIRES(s->commit_lock, commit_class)
{
	if (r->name == NULL)
		reserve_open(r, s->io, s->dir_fd, name, size);
	else
		reserve_resize(r, size);
}

/* Makes both reserves as large as intended; the one for compaction only with 'opens', or if it
 * exists.  Returns the size that a segment of 'segment_bytes' may have. */
static uint64_t keep_reserves(struct store *s, uint64_t segment_bytes, bool opens)
	REQUIRES(s->commit_lock, commit_class)
{
	struct reserve *names = &s->reserve, *segment = &s->segment_reserve;
	struct limits l = limits_of(s);
	struct log_writer_stats log;
	uint64_t log_bytes, enough, most;

	log_writer_stats(s->log, &log);
	log_bytes = log.active_bytes + log.sealed_bytes;
	keep_one(s, names, RESERVE_NAME, size_of(names, log_bytes / NAMES_SHARE, l.names_most));
	enough = enough_for(names, NAMES_SHARE, l.names_most);
	if (opens || segment->name != NULL) {
		most = segment_most(s, &l, segment_bytes);
		keep_one(s, segment, RESERVE_SEGMENT_NAME, size_of(segment, log_bytes, most));
		if (enough_for(segment, 1, most) < enough)
			enough = enough_for(segment, 1, most);
	}
	s->reserves_until = UINT64_MAX;
	if (enough != UINT64_MAX)
		s->reserves_until =
			log.end_position + (enough > log_bytes ? enough - log_bytes : 0);
	most = segment->bytes > l.least ? segment->bytes : l.least;
	return segment_bytes < most ? segment_bytes : most;
}

void store_grow_reserves(struct store *s)
{
	(void)keep_reserves(s, 0, false);
}

uint64_t store_keep_reserves(struct store *s, uint64_t segment_bytes)
{
	return WITH_LOCK(commit, s, keep_reserves(s, segment_bytes, true));
}

/* --- taking space from the reserves --- */

uint64_t store_segment_reserve_bytes(struct store *s)
{
	return WITH_LOCK(commit, s, s->segment_reserve.bytes);
}

uint64_t store_segment_reserve_goal(struct store *s)
{
	return WITH_LOCK(commit, s, s->segment_reserve.goal_bytes);
}

int store_probe_segment_reserve(struct store *s)
{
	return WITH_LOCK(commit, s, reserve_probe(&s->segment_reserve));
}

int store_take_segment_reserve(struct store *s, const char *name)
{
	return WITH_LOCK(commit, s, reserve_take(&s->segment_reserve, name));
}

bool store_release_reserve(struct store *s)
{
	bool released;

	if (log_writer_release_headroom(s->log) || hint_files_drop(s->io, s->dir_fd))
		return true;
	released = WITH_LOCK(commit, s, reserve_release(&s->reserve) || reserve_drop(&s->reserve));
	return released;
}

/* --- removals --- */

bool store_makes_space_for(struct store *s, int err)
{
	if (!log_is_full(err))
		return false;
	if (log_writer_release_headroom(s->log) || hint_files_drop(s->io, s->dir_fd))
		return true;
	return growth_wait_for_space(&s->growth);
}
