/* SPDX-License-Identifier: MIT */
/* The images of a simulated disk after a power cut.
 *
 * A sector that reached the disk has the content of the page cache at some moment between the last
 * sync and the cut, and each sector has its own moment; so does the size of a file.  A sector may
 * also be torn, or have the bytes that were there before the file grew over it.  Names follow the
 * same rule, except that names which a rename ties together change together.
 *
 * A file that has lost its last name may be freed on the disk before the directory is written, as
 * on ext2: then none of its names is there, also the one that a rename has given to another file.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/rng.h"
#include "tests/sim/simdisk_impl.h"

/* The way in which the sectors of one file, or the names of one directory, choose among the
 * versions. */
enum choice {
	CHOICE_MOMENT,	  /* all the same: the disk stopped at a point in time */
	CHOICE_ALL_NEW,	  /* the last: useful with another size */
	CHOICE_NONE_NEW,  /* the first: a size without data */
	CHOICE_EACH,	  /* each independently */
	CHOICE_MOST_NEW,  /* nine in ten the last, the others independently */
	CHOICE_MOST_OLD,  /* nine in ten the first, the others the last */
	CHOICE_ONE_OLD,	  /* one sector is missing */
	CHOICE_ONE_NEW,	  /* one sector arrived */
	CHOICE_TAIL_LOST, /* up to some sector the last, behind it the first */
	CHOICE_TAIL_ONLY, /* the opposite */
	CHOICE_COUNT,
};

struct chooser {
	struct rng *rng;
	enum choice how;
	size_t version_count;
	size_t moment;	/* CHOICE_MOMENT */
	uint64_t pivot; /* the sector of CHOICE_ONE_... and CHOICE_TAIL_... */
	unsigned int torn_percent;
	bool garbage; /* a sector that never arrived has any bytes, not zeros */
};

static struct chooser make_chooser(struct rng *rng, size_t version_count, uint64_t first_sector,
				   uint64_t end_sector)
{
	struct chooser c = {
		.rng = rng,
		.how = (enum choice)rng_below(rng, CHOICE_COUNT),
		.version_count = version_count,
		.moment = rng_below(rng, version_count),
		.pivot = first_sector,
		.torn_percent = rng_chance(rng, 30) ? 30 : 0,
		.garbage = rng_chance(rng, 20),
	};

	if (end_sector > first_sector)
		c.pivot += rng_below(rng, end_sector - first_sector);
	return c;
}

static size_t choose(struct chooser *c, uint64_t sector)
{
	size_t last = c->version_count - 1;

	switch (c->how) {
	case CHOICE_MOMENT:
		return c->moment;
	case CHOICE_ALL_NEW:
		return last;
	case CHOICE_NONE_NEW:
		return 0;
	case CHOICE_MOST_NEW:
		return rng_chance(c->rng, 90) ? last : rng_below(c->rng, c->version_count);
	case CHOICE_MOST_OLD:
		return rng_chance(c->rng, 90) ? 0 : last;
	case CHOICE_ONE_OLD:
		return sector == c->pivot ? 0 : last;
	case CHOICE_ONE_NEW:
		return sector == c->pivot ? last : 0;
	case CHOICE_TAIL_LOST:
		return sector < c->pivot ? last : 0;
	case CHOICE_TAIL_ONLY:
		return sector < c->pivot ? 0 : last;
	case CHOICE_EACH:
	case CHOICE_COUNT:
		break;
	}
	return rng_below(c->rng, c->version_count);
}

/* Copies one sector out of version 'v'. */
static void sector_of(const struct inode *n, size_t v, uint64_t sector,
		      uint8_t out[SIMDISK_SECTOR_BYTES])
{
	memset(out, 0, SIMDISK_SECTOR_BYTES);
	(void)content_read(n->versions[v].content, out, SIMDISK_SECTOR_BYTES,
			   sector * SIMDISK_SECTOR_BYTES);
}

static void build_sector(struct chooser *c, const struct inode *n, uint64_t sector,
			 uint8_t out[SIMDISK_SECTOR_BYTES])
{
	uint8_t other[SIMDISK_SECTOR_BYTES];
	size_t v = choose(c, sector), at;

	sector_of(n, v, sector, out);
	if (c->garbage && sector * SIMDISK_SECTOR_BYTES >= n->versions[v].content->size_bytes) {
		for (size_t i = 0; i < SIMDISK_SECTOR_BYTES; i++)
			out[i] = (uint8_t)rng_next(c->rng);
	}
	if (c->torn_percent == 0 || !rng_chance(c->rng, c->torn_percent))
		return;
	sector_of(n, rng_below(c->rng, c->version_count), sector, other);
	at = rng_below(c->rng, SIMDISK_SECTOR_BYTES);
	memcpy(out + at, other + at, SIMDISK_SECTOR_BYTES - at);
}

/* Returns whether all versions of a page are equal; a missing page counts as zeros. */
static bool page_is_same(const struct inode *n, size_t index)
{
	for (size_t v = 1; v < n->version_count; v++) {
		const struct content *a = n->versions[0].content, *b = n->versions[v].content;
		const struct page *in_a = index < a->page_count ? a->pages[index] : NULL;
		const struct page *in_b = index < b->page_count ? b->pages[index] : NULL;

		if (in_a != in_b)
			return false;
	}
	return true;
}

static struct content *choose_content(struct rng *rng, const struct inode *n)
{
	const struct content *first = n->versions[0].content;
	const struct content *last = inode_last(n)->content;
	uint64_t low = first->size_bytes < last->size_bytes ? first->size_bytes : last->size_bytes;
	uint64_t high = first->size_bytes + last->size_bytes - low;
	struct chooser c = make_chooser(rng, n->version_count, low / SIMDISK_SECTOR_BYTES,
					high / SIMDISK_SECTOR_BYTES + 1);
	size_t size_of = c.moment;
	uint8_t bytes[PAGE_BYTES];
	struct content *new;

	c.garbage = c.garbage && n->allocated_bytes == 0; /* allocate() leaves zeros */
	if (c.how != CHOICE_MOMENT && rng_chance(rng, 60))
		size_of = n->version_count - 1;
	new = content_new(n->versions[size_of].content->size_bytes);
	for (size_t i = 0; i < new->page_count; i++) {
		if (!c.garbage && page_is_same(n, i)) {
			content_share_page(new, first, i);
			continue;
		}
		for (size_t at = 0; at < PAGE_BYTES; at += SIMDISK_SECTOR_BYTES)
			build_sector(&c, n, (i * PAGE_BYTES + at) / SIMDISK_SECTOR_BYTES,
				     bytes + at);
		content_set_page(new, i, bytes);
	}
	return new;
}

static bool is_renamed(const struct inode *n, const char *text)
{
	for (size_t i = 0; i < n->renamed_count; i++) {
		if (strcmp(n->renamed[i], text) == 0)
			return true;
	}
	return false;
}

/* Gives every name in any version the inode that it has in the version chosen for it. */
static struct names *choose_names(struct rng *rng, const struct simdisk *d, const struct inode *n)
{
	struct chooser c = make_chooser(rng, n->version_count, 0, 1);
	size_t renamed_from = choose(&c, 0);
	bool frees_early = rng_chance(rng, 30);
	struct names *new = names_new(), *seen = names_new();

	for (size_t v = 0; v < n->version_count; v++) {
		const struct names *from = n->versions[v].names;

		for (size_t i = 0; i < from->count; i++) {
			const char *text = from->list[i].text;
			struct names *more;
			uint64_t inode;
			size_t chosen;

			if (names_find(seen, text) != NAMES_NONE)
				continue;
			more = names_set(seen, text, 0);
			names_unref(seen);
			seen = more;
			chosen = is_renamed(n, text) ? renamed_from : choose(&c, 0);
			inode = names_find(n->versions[chosen].names, text);
			if (inode != NAMES_NONE && frees_early && d->inodes[inode]->name_count == 0)
				inode = NAMES_NONE;
			more = names_set(new, text, inode);
			names_unref(new);
			new = more;
		}
	}
	names_unref(seen);
	return new;
}

static struct version choose_version(struct rng *rng, const struct simdisk *d,
				     const struct inode *n, enum simdisk_keep keep)
{
	if (keep == SIMDISK_KEEP_NONE || n->version_count == 1)
		return version_ref(&n->versions[0]);
	if (keep == SIMDISK_KEEP_ALL)
		return version_ref(inode_last(n));
	if (inode_is_dir(n))
		return (struct version){ .names = choose_names(rng, d, n) };
	return (struct version){ .content = choose_content(rng, n) };
}

/* Counts the names of all inodes, from the directories that can be reached. */
static void count_names(struct simdisk *d, uint64_t dir)
{
	const struct names *names = inode_last(d->inodes[dir])->names;

	for (size_t i = 0; i < names->count; i++) {
		struct inode *n = d->inodes[names->list[i].inode];

		n->name_count++;
		if (inode_is_dir(n) && n->name_count == 1)
			count_names(d, names->list[i].inode);
	}
}

/* Makes an empty disk with the inodes of 'd'. */
static struct simdisk *like(const struct simdisk *d)
{
	struct simdisk *new = simdisk_new();

	for (size_t i = 1; i < d->inode_count; i++) /* SIMDISK_ROOT exists */
		(void)simdisk_add_inode(new, d->inodes[i]->mode);
	for (size_t i = 0; i < d->inode_count; i++)
		new->inodes[i]->allocated_bytes = d->inodes[i]->allocated_bytes;
	new->clock_ns = d->clock_ns;
	return new;
}

struct simdisk *simdisk_power_cut(struct simdisk *d, enum simdisk_keep keep, uint64_t seed)
{
	struct rng rng = { seed };
	struct simdisk *new;

	if (pthread_mutex_lock(&d->lock) != 0)
		abort();
	new = like(d);
	for (size_t i = 0; i < d->inode_count; i++)
		inode_set_only(new->inodes[i], choose_version(&rng, d, d->inodes[i], keep));
	(void)pthread_mutex_unlock(&d->lock);
	count_names(new, SIMDISK_ROOT);
	return new;
}

struct simdisk *simdisk_copy(struct simdisk *d)
{
	struct simdisk *new;

	if (pthread_mutex_lock(&d->lock) != 0)
		abort();
	new = like(d);
	for (size_t i = 0; i < d->inode_count; i++)
		inode_copy_versions(new->inodes[i], d->inodes[i]);
	(void)pthread_mutex_unlock(&d->lock);
	count_names(new, SIMDISK_ROOT);
	return new;
}

bool simdisk_has_pending(struct simdisk *d)
{
	bool pending = false;

	if (pthread_mutex_lock(&d->lock) != 0)
		abort();
	for (size_t i = 0; i < d->inode_count; i++)
		pending = pending || d->inodes[i]->version_count > 1;
	(void)pthread_mutex_unlock(&d->lock);
	return pending;
}

/* Eight bytes at a time; a rest is padded with zeros. */
static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	for (size_t i = 0; i < n; i += sizeof(uint64_t)) {
		uint64_t word = 0;

		memcpy(&word, p + i, n - i < sizeof(word) ? n - i : sizeof(word));
		hash = (hash ^ word) * UINT64_C(0x9fb21c651e98df25);
		hash ^= hash >> 32;
	}
	return hash;
}

static uint64_t hash_file(uint64_t hash, const struct content *c)
{
	uint8_t bytes[PAGE_BYTES];

	hash = hash_bytes(hash, &c->size_bytes, sizeof(c->size_bytes));
	for (size_t i = 0; i < c->page_count; i++) {
		if (c->pages[i] == NULL) /* all zeros, and large when allocated ahead */
			continue;
		content_page(c, i, bytes);
		hash = hash_bytes(hash, &i, sizeof(i));
		hash = hash_bytes(hash, bytes, sizeof(bytes));
	}
	return hash;
}

/* The hashes of names are added, so that their order does not matter. */
static uint64_t hash_dir(const struct simdisk *d, uint64_t dir)
{
	const struct names *names = inode_last(d->inodes[dir])->names;
	uint64_t sum = names->count;

	for (size_t i = 0; i < names->count; i++) {
		const struct inode *n = d->inodes[names->list[i].inode];
		uint64_t hash = hash_bytes(1, names->list[i].text, strlen(names->list[i].text) + 1);
		uint64_t inner = inode_is_dir(n) ? hash_dir(d, names->list[i].inode)
						 : hash_file(hash, inode_last(n)->content);

		sum += hash_bytes(hash, &inner, sizeof(inner));
	}
	return sum;
}

uint64_t simdisk_hash(struct simdisk *d)
{
	uint64_t hash;

	if (pthread_mutex_lock(&d->lock) != 0)
		abort();
	hash = hash_dir(d, SIMDISK_ROOT);
	(void)pthread_mutex_unlock(&d->lock);
	return hash;
}
