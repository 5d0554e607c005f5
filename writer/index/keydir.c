/* SPDX-License-Identifier: MIT */
/* Entries are found by (directory, name) in one hash table for the whole store, and listed through
 * a vector of slots in each directory.  Slots are sorted by cookie, and a cookie is given out once:
 * removing an entry leaves a hole, so the place of every other entry stays what it was, and a
 * listing finds its place again by binary search.  Holes are squeezed out when they are the larger
 * part, or when there is no room for a new entry.
 *
 * Nodes, entries and the rest of fixed size are in a slab, and refer to each other by its
 * references: half of what pointers take. */
#include "writer/index/keydir.h"

#include <errno.h>
#include <search.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "codec/path.h"
#include "codec/record.h"
#include "codec/xattrs.h"
#include "writer/base/times.h"
#include "writer/index/hash_table.h"
#include "writer/index/keydir_private.h"
#include "writer/base/number_set.h"
#include "writer/base/thread.h"

#define SLOT_ROOM_MIN	    4
#define SLOT_HOLES_MIN	    16
#define SLOT_HOLES_SHARE    8  /* one in so many is squeezed out rather than grown around */
#define COOKIE_FIRST	    16 /* smaller ones are for the callers' "." and ".." */
#define INO_FIRST	    16 /* smaller ones are for what a mount shows beside the tree */
#define FILE_MODE_DEFAULT   0666
#define DIR_MODE_DEFAULT    0777
#define FOUND_DIR_BYTES_MAX 256

/* Kinds of objects in the slab. */
enum {
	KIND_OTHER,
	KIND_NODE = SLAB_KIND_DATED, /* the mount hands out addresses of nodes */
};

_Static_assert(sizeof(struct node) == 48, "there are millions of them");
_Static_assert(SLAB_CHUNKS_MAX << SLAB_CHUNK_REF_BITS <= UINT32_MAX - INO_FIRST, "ino32()");
_Static_assert(offsetof(struct dentry, name) == 13, "there are millions of them");
_Static_assert(PATH_BYTES_MAX <= UINT16_MAX, "node.key_bytes: the value of a node has a path");
_Static_assert(PATH_NAME_BYTES_MAX <= UINT8_MAX, "dentry.name_bytes");
_Static_assert(sizeof(struct dentry) + PATH_NAME_BYTES_MAX <= SLAB_OBJECT_BYTES_MAX, "it fits");

/* The directory that was found last by a path. */
struct found_dir {
	struct node *node; /* NULL: none */
	size_t bytes;
	char path[FOUND_DIR_BYTES_MAX];
};

struct keydir {
	struct keydir_defaults defaults; /* constant */
	struct node *root;		 /* constant */
	bool alone;			 /* the lock is not taken; see keydir_set_alone() */

	struct rwlock lock; /* innermost */

	/* All below: by lock. */
	struct slab slab;
	struct hash_table table;
	/* The inode numbers of nodes that have another one than that of their path, or once had. */
	struct number_set given;
	void *unnamed; /* tsearch() tree of struct unnamed */
	void *staged;  /* tsearch() tree of struct staged */
	struct keydir_stats stats;

	/* Of the one thread that changes the keydir: */
	struct found_dir last_dir;
	bool begun; /* a record has been replayed */
};

/* --- locks --- */

static void read_lock(struct keydir *k)
{
	if (!k->alone)
		rwlock_read_lock(&k->lock);
}

static void read_unlock(struct keydir *k)
{
	if (!k->alone)
		rwlock_unlock(&k->lock);
}

void keydir_write_lock(struct keydir *k)
{
	if (!k->alone)
		rwlock_write_lock(&k->lock);
}

void keydir_write_unlock(struct keydir *k)
{
	if (!k->alone)
		rwlock_unlock(&k->lock);
}

void keydir_set_alone(struct keydir *k, bool alone)
{
	k->alone = alone;
}

/* --- finding --- */

static uint32_t hash_name(const struct node *dir, const char *name, size_t name_bytes)
{
	return (uint32_t)XXH3_64bits_withSeed(name, name_bytes, (uintptr_t)dir);
}

struct dentry *keydir_find(struct keydir *k, const struct node *dir, const char *name,
			   size_t name_bytes)
{
	slab_ref_t dir_ref = slab_ref(dir);
	const struct hash_slot *s;

	s = hash_table_find(&k->table, hash_name(dir, name, name_bytes));
	for (; s != NULL; s = hash_table_next(s)) {
		struct dentry *d = slab_at(&k->slab, s->ref);

		if (d->dir == dir_ref && d->name_bytes == name_bytes &&
		    memcmp(d->name, name, name_bytes) == 0)
			return d;
	}
	return NULL;
}

void keydir_prefetch(const struct keydir *k, const struct node *dir, const char *name,
		     size_t name_bytes)
{
	hash_table_prefetch(&k->table, hash_name(dir, name, name_bytes));
}

size_t keydir_dir_bytes(const char *path, size_t path_bytes)
{
	const char *slash = memrchr(path, '/', path_bytes);

	return slash == NULL ? 0 : (size_t)(slash - path) + 1;
}

struct node *keydir_find_dir(struct keydir *k, const char *path, size_t dir_bytes)
{
	struct found_dir *last = &k->last_dir;
	struct node *n = k->root;
	const char *name;
	size_t pos = 0, name_bytes;

	if (dir_bytes == 0)
		return n;
	if (last->node != NULL && last->bytes == dir_bytes &&
	    memcmp(last->path, path, dir_bytes) == 0)
		return last->node;
	while ((name_bytes = path_next(path, dir_bytes, &pos, &name)) > 0) {
		struct dentry *d = keydir_find(k, n, name, name_bytes);

		if (d == NULL || !node_is_dir(dentry_node(d)))
			return NULL;
		n = dentry_node(d);
	}
	if (dir_bytes <= sizeof(last->path)) {
		memcpy(last->path, path, dir_bytes);
		last->bytes = dir_bytes;
		last->node = n;
	}
	return n;
}

struct dentry *keydir_find_path(struct keydir *k, const char *path, size_t path_bytes)
{
	size_t dir_bytes = keydir_dir_bytes(path, path_bytes);
	struct node *dir = keydir_find_dir(k, path, dir_bytes);

	return dir == NULL ? NULL : keydir_find(k, dir, path + dir_bytes, path_bytes - dir_bytes);
}

/* --- the slots of a directory --- */

static struct slot *slots_of(struct dir *dir)
{
	return dir->room > 1 ? dir->slots : &dir->one;
}

/* Returns the index of the first slot whose cookie is larger than 'cookie'. */
static uint32_t slot_after(struct dir *dir, uint64_t cookie)
{
	const struct slot *slots = slots_of(dir);
	uint32_t low = 0, high = dir->used;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (dir->cookie_base + slots[mid].cookie > cookie)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

static void squeeze(struct dir *dir)
{
	struct slot *slots = slots_of(dir);
	uint32_t kept = 0;

	for (uint32_t i = 0; i < dir->used; i++)
		if (slots[i].entry != 0)
			slots[kept++] = slots[i];
	dir->used = kept;
}

/* The cookies have come to what 32 bits can say: counts on from a larger base.  Where an entry is
 * older than four thousand million others all get new ones, behind the old ones: a listing that
 * is under way then meets entries again, or ends if it has a bound. */
static void rebase(struct keydir *k, struct dir *dir)
{
	uint32_t first, base;

	squeeze(dir);
	first = dir->used > 0 ? slots_of(dir)[0].cookie : dir->cookie_next;
	base = first > UINT32_MAX / 2 ? first : dir->cookie_next;
	for (uint32_t i = 0; i < dir->used; i++) {
		struct dentry *d = slab_at(&k->slab, slots_of(dir)[i].entry);

		d->cookie = base == first ? d->cookie - base : i;
		slots_of(dir)[i].cookie = d->cookie;
	}
	dir->cookie_next = base == first ? dir->cookie_next - base : dir->used;
	dir->cookie_base += base;
}

/* Makes room for one more entry. */
static int slots_reserve(struct keydir *k, struct dir *dir)
{
	uint32_t room = dir->room + dir->room / 2;
	struct slot *slots;

	if (dir->cookie_next == UINT32_MAX)
		rebase(k, dir);
	if (dir->used == dir->room && (dir->used - dir->count) * SLOT_HOLES_SHARE > dir->used)
		squeeze(dir);
	if (dir->used < dir->room)
		return 0;
	if (room < SLOT_ROOM_MIN)
		room = SLOT_ROOM_MIN;
	if (room < dir->room)
		return -ENOMEM; /* no 32 bits can count them */
	slots = reallocarray(dir->room > 1 ? dir->slots : NULL, room, sizeof(slots[0]));
	if (slots == NULL)
		return -ENOMEM;
	if (dir->room == 1)
		slots[0] = dir->one;
	dir->slots = slots;
	dir->room = room;
	return 0;
}

static void slot_add(struct dir *dir, struct dentry *d)
{
	d->cookie = dir->cookie_next++;
	slots_of(dir)[dir->used++] = (struct slot){ .cookie = d->cookie, .entry = slab_ref(d) };
	dir->count++;
}

static void slot_remove(struct dir *dir, const struct dentry *d)
{
	uint32_t i = slot_after(dir, dir->cookie_base + d->cookie) - 1;

	slots_of(dir)[i].entry = 0;
	dir->count--;
	if (dir->used - dir->count > dir->count + SLOT_HOLES_MIN)
		squeeze(dir);
	if (dir->count == 0)
		dir->below_bytes = dir->below_levels = 0;
}

uint64_t keydir_dir_count(const struct node *dir)
{
	return dir->dir->count;
}

/* --- inode numbers --- */

/* Makes a number of 53 bits from any. */
static uint64_t fold_ino(uint64_t ino)
{
	ino &= STORE_INO_MAX;
	return ino < INO_FIRST ? ino + INO_FIRST : ino;
}

/* The first number from 'ino' on that no node was given. */
static uint64_t next_free_ino(const struct keydir *k, uint64_t ino)
{
	while (number_set_has(&k->given, ino))
		ino = fold_ino(ino + 1);
	return ino;
}

/* An inode number is a hash of the path, so that it stays over a remount without being stored, and
 * takes no memory.  A node that was renamed, linked or unlinked while in use keeps its number, as
 * one that it was given, and nobody else gets it.  (Two paths that have the same hash by chance are
 * one in 20,000 stores of a million keys; programs then take them for hard links.) */
static uint64_t ino_of_path(const struct keydir *k, const struct node *dir, const char *name,
			    size_t name_bytes)
{
	uint64_t parent_ino = keydir_ino(k, dir); /* as deep as the path; the root has its number */

	return fold_ino(XXH3_64bits_withSeed(name, name_bytes, parent_ino));
}

bool keydir_ino_is_given(const struct node *n)
{
	const struct node_rare *r = node_rare(n);

	return r != NULL && r->ino != 0;
}

bool keydir_ino_is_special(const struct keydir *k, const struct node *n)
{
	const struct dentry *d = node_name(n);

	if (keydir_ino_is_given(n))
		return true;
	return node_is_dir(n) && d != NULL &&
	       keydir_ino(k, n) != ino_of_path(k, dentry_dir(d), d->name, d->name_bytes);
}

uint64_t keydir_ino(const struct keydir *k, const struct node *n)
{
	const struct dentry *d = node_name(n);
	uint64_t ino;

	if (n == k->root)
		return INO_FIRST;
	if (keydir_ino_is_given(n))
		return node_rare(n)->ino;
	if (d == NULL) /* not linked yet */
		return 0;
	if (!node_is_dir(n))
		return ino_of_path(k, dentry_dir(d), d->name, d->name_bytes);
	ino = atomic_load_explicit(&n->dir->ino, memory_order_relaxed);
	if (ino == 0) {
		ino = ino_of_path(k, dentry_dir(d), d->name, d->name_bytes);
		atomic_store_explicit(&n->dir->ino, ino, memory_order_relaxed);
	}
	return ino;
}

/* A number of 32 bits that no other node has now: where the node is in memory. */
static uint64_t ino32(const struct node *n)
{
	return (uint64_t)slab_ref(n) + INO_FIRST;
}

static void forget_ino(struct keydir *k, struct node *n)
{
	if (keydir_ino_is_given(n)) {
		number_set_remove(&k->given, node_rare(n)->ino);
		node_rare(n)->ino = 0;
	}
}

void keydir_set_ino(struct keydir *k, struct node *n, uint64_t ino)
{
	if (n == k->root || n->rare == 0)
		return; /* the root has the same one always */
	forget_ino(k, n);
	/* An earlier version gave numbers of 64 bits. */
	if (ino > STORE_INO_MAX)
		ino = next_free_ino(k, fold_ino(ino));
	node_rare(n)->ino = ino;
	if (node_is_dir(n))
		atomic_store_explicit(&n->dir->ino, ino, memory_order_relaxed);
	/* Without memory for it another node may get the same number: no reason to fail. */
	(void)!number_set_add(&k->given, ino);
}

/* 'n' is about to leave the path that its number comes from. */
static void keep_ino(struct keydir *k, struct node *n)
{
	if (!keydir_ino_is_given(n))
		keydir_set_ino(k, n, keydir_ino(k, n));
}

/* Finds the number that a new node gets as 'name' in 'dir', and says whether it is not the one of
 * the path. */
static bool free_ino(struct keydir *k, const struct node *dir, const char *name, size_t name_bytes,
		     uint64_t *ret)
{
	uint64_t ino;

	if (k->given.count == 0)
		return false;
	ino = ino_of_path(k, dir, name, name_bytes);
	if (!number_set_has(&k->given, ino))
		return false;
	*ret = next_free_ino(k, ino);
	return true;
}

bool keydir_ino_for(struct keydir *k, struct node *n, const struct node *dir, const char *name,
		    size_t name_bytes)
{
	uint64_t ino = 0;
	bool differs;

	if (keydir_ino_is_given(n))
		return true;
	read_lock(k); /* whoever gives the last pin back takes a number away */
	differs = free_ino(k, dir, name, name_bytes, &ino);
	read_unlock(k);
	if (!differs || keydir_prepare(k, n) < 0)
		return false; /* without memory the two have the same one: no reason to fail */
	keydir_write_lock(k);
	keydir_set_ino(k, n, ino);
	keydir_write_unlock(k);
	return true;
}

int keydir_give_ino(struct keydir *k, struct node *n, const struct node *dir)
{
	uint64_t ino;
	int err = keydir_prepare(k, n);

	if (err < 0)
		return err;
	keydir_write_lock(k);
	/* No name is like the bytes of an address, which have a NUL in them. */
	ino = ino_of_path(k, dir, (const char *)&n, sizeof(n));
	keydir_set_ino(k, n, next_free_ino(k, ino));
	keydir_write_unlock(k);
	return 0;
}

/* --- nodes --- */

static const mode_t type_bits[] = {
	[META_TYPE_FILE] = S_IFREG,	    [META_TYPE_DIRECTORY] = S_IFDIR,
	[META_TYPE_SYMLINK] = S_IFLNK,	    [META_TYPE_FIFO] = S_IFIFO,
	[META_TYPE_SOCKET] = S_IFSOCK,	    [META_TYPE_CHAR_DEVICE] = S_IFCHR,
	[META_TYPE_BLOCK_DEVICE] = S_IFBLK,
};

mode_t node_type_bits(enum meta_type type)
{
	return type_bits[type];
}

enum meta_type node_type(const struct node *n)
{
	size_t type = META_TYPE_FILE;

	while (type_bits[type] != (n->mode & S_IFMT))
		type++; /* nothing else is ever made */
	return (enum meta_type)type;
}

/* A node that the kernel has asked for so often is never freed: the count stays where it is. */
void node_pin(struct node *n)
{
	uint32_t pins = atomic_load_explicit(&n->pins, memory_order_relaxed);

	while (pins != UINT32_MAX && !atomic_compare_exchange_weak(&n->pins, &pins, pins + 1))
		;
}

static void unpin(struct node *n, uint64_t count)
{
	uint32_t pins = atomic_load_explicit(&n->pins, memory_order_relaxed);

	while (pins != UINT32_MAX &&
	       !atomic_compare_exchange_weak(&n->pins, &pins, pins - (uint32_t)count))
		;
}

static struct node *node_new(struct keydir *k, mode_t type)
{
	struct node *n = slab_new(&k->slab, KIND_NODE, sizeof(*n));

	if (n == NULL)
		return NULL;
	if (S_ISDIR(type)) {
		n->dir = slab_new(&k->slab, KIND_OTHER, sizeof(*n->dir));
		if (n->dir == NULL) {
			slab_free(n);
			return NULL;
		}
		n->dir->cookie_next = COOKIE_FIRST;
		n->dir->room = 1;
	}
	n->mode = (uint16_t)(type | ((S_ISDIR(type) ? DIR_MODE_DEFAULT : FILE_MODE_DEFAULT) &
				     ~k->defaults.umask));
	n->uid = k->defaults.uid;
	n->gid = k->defaults.gid;
	return n;
}

struct node *keydir_node_new(struct keydir *k, mode_t type)
{
	struct node *n;

	keydir_write_lock(k);
	n = node_new(k, type);
	keydir_write_unlock(k);
	return n;
}

static void extra_free(struct node_extra *extra)
{
	if (extra == NULL)
		return;
	free(extra->target);
	free(extra->xattrs);
	free(extra->more_names.refs);
	content_map_free(extra->content);
	free(extra);
}

/* Frees what of a node is not in the slab. */
static void node_empty(struct node *n)
{
	if (node_is_dir(n) && n->dir->room > 1)
		free(n->dir->slots);
	extra_free(node_extra(n));
}

static void node_free(struct keydir *k, struct node *n)
{
	forget_ino(k, n);
	node_empty(n);
	if (node_is_dir(n))
		slab_free(n->dir);
	slab_free(node_rare(n));
	slab_free(n);
}

void keydir_node_free(struct keydir *k, struct node *n)
{
	if (n == NULL)
		return;
	keydir_write_lock(k);
	node_free(k, n);
	keydir_write_unlock(k);
}

static struct node_rare *rare_get(struct keydir *k, struct node *n)
{
	struct node_rare *r = node_rare(n);

	if (r != NULL)
		return r;
	r = slab_new(&k->slab, KIND_OTHER, sizeof(*r));
	if (r == NULL)
		return NULL;
	r->ctime_ns = n->mtime_ns;
	r->atime_ns = NODE_ATIME_FOLLOWS_MTIME;
	n->rare = slab_ref(r);
	return r;
}

int keydir_prepare(struct keydir *k, struct node *n)
{
	struct node_rare *r;

	if (n->rare != 0)
		return 0;
	keydir_write_lock(k);
	r = rare_get(k, n);
	keydir_write_unlock(k);
	return r == NULL ? -ENOMEM : 0;
}

struct node_extra *node_extra_get(struct keydir *k, struct node *n)
{
	struct node_extra *extra = node_extra(n);
	struct node_rare *r;

	if (extra != NULL)
		return extra;
	extra = calloc(1, sizeof(*extra));
	if (extra == NULL)
		return NULL;
	keydir_write_lock(k);
	r = rare_get(k, n);
	if (r != NULL)
		r->extra = extra;
	keydir_write_unlock(k);
	if (r != NULL)
		return extra;
	free(extra);
	return NULL;
}

int keydir_prepare_name(struct keydir *k, struct node *n)
{
	struct node_extra *extra = node_extra_get(k, n);
	struct node_names *more;
	slab_ref_t *refs;
	uint32_t room;

	if (extra == NULL)
		return -ENOMEM;
	more = &extra->more_names;
	if (more->count < more->room)
		return 0;
	room = more->room * 2 + 1;
	refs = reallocarray(NULL, room, sizeof(refs[0]));
	if (refs == NULL)
		return -ENOMEM;
	keydir_write_lock(k);
	if (more->count > 0)
		memcpy(refs, more->refs, more->count * sizeof(refs[0]));
	free(more->refs);
	more->refs = refs;
	more->room = room;
	keydir_write_unlock(k);
	return 0;
}

/* Frees a node that has neither name nor pin. */
static void release_if_unused(struct keydir *k, struct node *n)
{
	if (n->name == 0 && n != k->root && atomic_load(&n->pins) == 0)
		node_free(k, n);
}

static uint64_t place_bytes(const struct value_place *place)
{
	return place->value_bytes == 0 ? 0 : record_bytes(place->key_bytes, place->value_bytes);
}

/* What keeps records of the log alive; see content_map_live_bytes(). */
static uint64_t live_bytes(const struct value_place *place, const struct content_map *content)
{
	return content != NULL ? content_map_live_bytes(content) : place_bytes(place);
}

/* Counts a node that got its first name (+1) or lost its last (-1). */
static void count_node(struct keydir *k, const struct node *n, int by)
{
	uint64_t *counter = node_is_dir(n) ? &k->stats.directories : &k->stats.files;
	struct value_place value = node_value(n);

	*counter += (uint64_t)by;
	k->stats.live_bytes += (uint64_t)by * live_bytes(&value, node_content(n));
}

void keydir_touch(struct node *n, int64_t now_ns)
{
	n->mtime_ns = now_ns;
	keydir_set_ctime(n, now_ns);
	n->mtime_set = false;
}

void keydir_set_ctime(struct node *n, int64_t ctime_ns)
{
	struct node_rare *r = node_rare(n);

	if (r != NULL)
		r->ctime_ns = ctime_ns;
}

void keydir_set_times(struct node *n, const struct node_times *times)
{
	struct node_rare *r = node_rare(n);

	n->mtime_ns = times->mtime_ns;
	if (r != NULL) {
		r->ctime_ns = times->ctime_ns;
		r->atime_ns = times->atime_ns;
	}
}

void keydir_set_mode(struct node *n, mode_t mode)
{
	n->mode = (uint16_t)((n->mode & S_IFMT) | (mode & 07777));
}

bool keydir_is_inside(const struct node *n, const struct node *dir)
{
	while (n != dir) {
		if (n->name == 0)
			return false;
		n = node_parent(
			n); /* only directories are above anything, and they have one name */
	}
	return true;
}

bool keydir_is_gone(const struct keydir *k, const struct node *n)
{
	return n->name == 0 && n != k->root;
}

bool keydir_is_default(const struct keydir *k, const struct node *n)
{
	mode_t full = node_is_dir(n) ? DIR_MODE_DEFAULT : FILE_MODE_DEFAULT;

	return n->uid == k->defaults.uid && n->gid == k->defaults.gid &&
	       (n->mode & 07777) == (full & ~k->defaults.umask);
}

ssize_t keydir_path(const struct keydir *k, const struct node *n, const char *name,
		    size_t name_bytes, char *buf)
{
	size_t bytes = name == NULL ? 0 : name_bytes;
	const struct node *at;
	char *end;

	for (at = n; at != k->root; at = node_parent(at))
		bytes += node_name(at)->name_bytes + (bytes > 0 ? 1u : 0u);
	if (bytes > PATH_BYTES_MAX)
		return -ENAMETOOLONG;
	end = buf + bytes; /* filled from the back */
	if (name != NULL) {
		end -= name_bytes;
		memcpy(end, name, name_bytes);
	}
	for (at = n; at != k->root; at = node_parent(at)) {
		const struct dentry *d = node_name(at);

		if (end != buf + bytes)
			*--end = '/';
		end -= d->name_bytes;
		memcpy(end, d->name, d->name_bytes);
	}
	return (ssize_t)bytes;
}

struct node *keydir_each_node(const struct keydir *k, uint32_t *cursor)
{
	return slab_each(&k->slab, KIND_NODE, cursor);
}

/* --- linking --- */

struct dentry *keydir_dentry_new(struct keydir *k, struct node *dir, const char *name,
				 size_t name_bytes)
{
	size_t bytes = offsetof(struct dentry, name) + name_bytes;
	struct dentry *d;

	keydir_write_lock(k);
	d = slab_new(&k->slab, KIND_OTHER, bytes < sizeof(*d) ? sizeof(*d) : bytes);
	if (d != NULL && (hash_table_reserve(&k->table, hash_name(dir, name, name_bytes)) < 0 ||
			  slots_reserve(k, dir->dir) < 0)) {
		slab_free(d);
		d = NULL;
	}
	keydir_write_unlock(k);
	if (d == NULL)
		return NULL;
	d->dir = slab_ref(dir);
	d->name_bytes = (uint8_t)name_bytes;
	memcpy(d->name, name, name_bytes);
	return d;
}

void keydir_dentry_free(struct keydir *k, struct dentry *d)
{
	keydir_write_lock(k);
	slab_free(d);
	keydir_write_unlock(k);
}

/* --- how long and how deep paths are --- */

static uint16_t saturated(uint32_t n)
{
	return n < UINT16_MAX ? (uint16_t)n : UINT16_MAX;
}

/* Raises the bounds of the directory of 'd' by what 'd' and all below it has.  Says whether that
 * changed them. */
static bool raise_bounds(const struct dentry *d)
{
	const struct node *n = dentry_node(d);
	struct dir *dir = dentry_dir(d)->dir;
	uint32_t bytes = d->name_bytes, levels = 1;
	bool raised = false;

	if (node_is_dir(n) && n->dir->below_bytes > 0) {
		bytes += 1u + n->dir->below_bytes;
		levels += n->dir->below_levels;
	}
	if (dir->below_bytes < saturated(bytes)) {
		dir->below_bytes = saturated(bytes);
		raised = true;
	}
	if (dir->below_levels < saturated(levels)) {
		dir->below_levels = saturated(levels);
		raised = true;
	}
	return raised;
}

/* The same for all directories above. */
static void raise_all_bounds(const struct dentry *d)
{
	while (d != NULL && raise_bounds(d))
		d = node_name(dentry_dir(d)); /* NULL: the root */
}

static struct dentry *next_entry(const struct node *dir, uint32_t *i)
{
	struct dentry *d = NULL;

	while (d == NULL && *i < dir->dir->used)
		d = slab_beside(dir, slots_of(dir->dir)[(*i)++].entry);
	return d;
}

/* Makes the bounds of 'top' and of all directories below it what they are. */
static void tighten_bounds(struct node *top)
{
	struct node *at = top;
	uint32_t i = 0;

	top->dir->below_bytes = top->dir->below_levels = 0;
	for (;;) {
		struct dentry *d = next_entry(at, &i);

		if (d == NULL && at == top)
			return;
		if (d == NULL) {
			d = node_name(at);
			(void)raise_bounds(d);
			at = dentry_dir(d);
			i = slot_after(at->dir, at->dir->cookie_base + d->cookie);
		} else if (node_is_dir(dentry_node(d))) {
			at = dentry_node(d);
			at->dir->below_bytes = at->dir->below_levels = 0;
			i = 0;
		} else {
			(void)raise_bounds(d);
		}
	}
}

/* How long the path of 'n' is, with a slash behind it, and how deep. */
static void measure_path(const struct node *n, size_t *ret_bytes, size_t *ret_levels)
{
	*ret_bytes = *ret_levels = 0;
	for (; n->name != 0; n = node_parent(n)) {
		*ret_bytes += node_name(n)->name_bytes + 1u;
		(*ret_levels)++;
	}
}

/* Says whether the directory 'n' is too long or too deep behind so many bytes and levels. */
static bool is_too_much(const struct node *n, size_t bytes, size_t levels, size_t levels_max)
{
	if (n != NULL && n->dir->below_bytes > 0) {
		bytes += 1u + n->dir->below_bytes;
		levels += n->dir->below_levels;
	}
	return bytes > PATH_BYTES_MAX || levels > levels_max;
}

int keydir_fits(struct node *n, const struct node *dir, size_t name_bytes)
{
	size_t bytes, levels, old_bytes, old_levels = 0, levels_max = PATH_LEVELS_MAX;

	measure_path(dir, &bytes, &levels);
	bytes += name_bytes;
	levels++;
	if (n != NULL)
		measure_path(n, &old_bytes, &old_levels);
	if (levels <= old_levels)
		levels_max = SIZE_MAX; /* it becomes no deeper than it is */
	if (!is_too_much(n, bytes, levels, levels_max))
		return 0;
	if (n == NULL)
		return -ENAMETOOLONG;
	tighten_bounds(n); /* a long path may have been there once */
	return is_too_much(n, bytes, levels, levels_max) ? -ENAMETOOLONG : 0;
}

struct node *keydir_find_too_long(struct keydir *k)
{
	struct node *n = k->root;
	size_t bytes = 0;

	if (n->dir->below_bytes < PATH_BYTES_MAX)
		return NULL;
	tighten_bounds(n);
	/* Down the longest path, to where half of a key is full. */
	while (bytes < PATH_BYTES_MAX / 2) {
		const struct dentry *d, *longest = NULL;
		uint32_t i = 0, most = 0;

		while ((d = next_entry(n, &i)) != NULL) {
			if (!node_is_dir(dentry_node(d)) ||
			    d->name_bytes + dentry_node(d)->dir->below_bytes <= most)
				continue;
			most = d->name_bytes + dentry_node(d)->dir->below_bytes;
			longest = d;
		}
		if (longest == NULL)
			return NULL;
		n = dentry_node(longest);
		bytes += longest->name_bytes + 1u;
	}
	return bytes + n->dir->below_bytes > PATH_BYTES_MAX ? n : NULL;
}

/* Puts a new entry into its directory. */
static void dentry_insert(struct keydir *k, struct dentry *d)
{
	struct node *dir = dentry_dir(d);

	hash_table_add(&k->table, hash_name(dir, d->name, d->name_bytes), slab_ref(d));
	slot_add(dir->dir, d);
}

static void dentry_remove(struct keydir *k, struct dentry *d)
{
	struct node *dir = dentry_dir(d);

	hash_table_remove(&k->table, hash_name(dir, d->name, d->name_bytes), slab_ref(d));
	slot_remove(dir->dir, d);
	slab_free(d);
}

/* Puts 'd' behind the other names of 'n'. */
static void name_add(struct keydir *k, struct dentry *d, struct node *n)
{
	d->node = slab_ref(n);
	if (node_is_dir(n))
		dentry_dir(d)->dir->subdir_count++;
	if (n->name == 0) {
		n->name = slab_ref(d);
		count_node(k, n, 1);
	} else {
		struct node_names *more = &node_extra(n)->more_names;

		more->refs[more->count++] = slab_ref(d);
	}
	raise_all_bounds(d);
}

/* Takes 'd' from the names of its node, which is left alone. */
static void name_remove(struct keydir *k, struct dentry *d)
{
	struct node *n = dentry_node(d);
	struct node_extra *extra = node_extra(n);
	struct node_names *more = extra == NULL ? NULL : &extra->more_names;
	uint32_t i = 0;

	d->node = 0;
	if (node_is_dir(n)) {
		dentry_dir(d)->dir->subdir_count--;
		k->last_dir.node = NULL; /* its path, or one below it, is another now */
	}
	if (more == NULL || more->count == 0) {
		n->name = 0;
		count_node(k, n, -1);
		return;
	}
	if (n->name == slab_ref(d))
		n->name = more->refs[0];
	else
		while (more->refs[i] != slab_ref(d))
			i++;
	more->count--;
	memmove(&more->refs[i], &more->refs[i + 1], (more->count - i) * sizeof(more->refs[0]));
}

void keydir_link(struct keydir *k, struct dentry *d, struct node *n, int64_t now_ns)
{
	if (n->name != 0) {
		keep_ino(k, n); /* it may outlive the name that its number comes from */
		keydir_set_ctime(n, now_ns);
	}
	dentry_insert(k, d);
	name_add(k, d, n);
	keydir_touch(dentry_dir(d), now_ns);
}

/* The node behind 'd' loses that name. */
static void drop_name(struct keydir *k, struct dentry *d, int64_t now_ns)
{
	struct node *n = dentry_node(d);

	if (atomic_load(&n->pins) > 0 || node_name_count(n) > 1) {
		(void)rare_get(k, n); /* has been made, but where it does not matter much */
		keep_ino(k, n);	      /* while it has a path */
	}
	name_remove(k, d);
	keydir_set_ctime(n, now_ns);
	release_if_unused(k, n);
}

void keydir_unlink(struct keydir *k, struct dentry *d, int64_t now_ns)
{
	keydir_touch(dentry_dir(d), now_ns);
	drop_name(k, d, now_ns);
	dentry_remove(k, d);
}

void keydir_move(struct keydir *k, struct dentry *from, struct dentry *to, int64_t now_ns)
{
	struct node *n = dentry_node(from);

	keydir_touch(dentry_dir(from), now_ns);
	keydir_touch(dentry_dir(to), now_ns);
	keep_ino(k, n);
	if (to->node != 0)
		drop_name(k, to, now_ns);
	else
		dentry_insert(k, to);
	name_remove(k, from);
	name_add(k, to, n); /* in the room that its old name had */
	keydir_set_ctime(n, now_ns);
	dentry_remove(k, from);
}

void keydir_exchange(struct keydir *k, struct dentry *a, struct dentry *b, int64_t now_ns)
{
	struct node *at_a = dentry_node(a), *at_b = dentry_node(b);

	keydir_touch(dentry_dir(a), now_ns);
	keydir_touch(dentry_dir(b), now_ns);
	keep_ino(k, at_a);
	keep_ino(k, at_b);
	name_remove(k, a);
	name_remove(k, b);
	name_add(k, a, at_b);
	name_add(k, b, at_a);
	keydir_set_ctime(at_a, now_ns);
	keydir_set_ctime(at_b, now_ns);
}

static void set_value(struct node *n, const struct value_place *place)
{
	n->record_offset = place->record_offset;
	n->key_bytes = (uint16_t)place->key_bytes;
	n->value_bytes = place->value_bytes;
}

/* A file comes into the log, at 'now_ns'.  A replay will make its entry then, and so its directory
 * shows that time from here on, too; unless its time was set by hand, which is in the log as well.
 */
static void commit_entry(struct node *n, int64_t now_ns)
{
	if (!n->committed && n->name != 0 && !node_parent(n)->mtime_set &&
	    node_parent(n)->mtime_ns < now_ns)
		keydir_touch(node_parent(n), now_ns);
	n->committed = true;
}

/* The content is now 'place' or 'content'. */
static void replace_content(struct keydir *k, struct node *n, const struct value_place *place,
			    struct content_map *content, int64_t now_ns)
{
	struct content_map *old = node_content(n);
	struct value_place old_place = node_value(n);

	if (n->name != 0)
		k->stats.live_bytes += live_bytes(place, content) - live_bytes(&old_place, old);
	set_value(n, place);
	if (old != NULL || content != NULL)
		node_extra(n)->content = content;
	content_map_free(old);
	n->verified = false;
	commit_entry(n, now_ns);
	keydir_touch(n, now_ns);
}

void keydir_set_value(struct keydir *k, struct node *n, const struct value_place *place,
		      int64_t now_ns)
{
	replace_content(k, n, place, NULL, now_ns);
}

void keydir_set_content(struct keydir *k, struct node *n, struct content_map *content,
			int64_t now_ns)
{
	struct value_place none = { 0 };

	replace_content(k, n, &none, content, now_ns);
}

void keydir_lay_content(struct keydir *k, struct node *n, const struct content_map *over,
			uint64_t size_bytes, int64_t now_ns)
{
	struct content_map *c = node_content(n);
	uint64_t before = content_map_live_bytes(c);

	if (over != NULL)
		content_map_lay_all(c, over);
	content_map_set_size(c, size_bytes);
	if (n->name != 0)
		k->stats.live_bytes += content_map_live_bytes(c) - before;
	commit_entry(n, now_ns);
	keydir_touch(n, now_ns);
}

/* The one record of a file as a piece. */
static struct content_piece whole_piece(const struct node *n)
{
	return (struct content_piece){
		.bytes = n->value_bytes,
		.place = node_value(n),
		.verified = n->verified,
	};
}

int keydir_prepare_content(struct keydir *k, struct node *n, const struct content_map *staged,
			   bool keep, uint64_t size_bytes, struct content_map **ret)
{
	size_t pieces = staged == NULL ? 0 : content_map_pieces(staged);
	struct content_piece base;
	struct content_map *c;

	if (node_extra_get(k, n) == NULL)
		return -ENOMEM;
	if (keep && node_content(n) != NULL) {
		*ret = NULL;
		return content_map_reserve(node_content(n), pieces);
	}
	read_lock(k); /* others tell of a CRC that they have checked */
	base = whole_piece(n);
	read_unlock(k);
	c = content_map_new(false);
	if (c == NULL)
		return -ENOMEM;
	if (content_map_reserve(c, pieces + 1) < 0) {
		content_map_free(c);
		return -ENOMEM;
	}
	if (keep && base.bytes > 0)
		content_map_lay(c, &base);
	if (staged != NULL)
		content_map_lay_all(c, staged);
	content_map_set_size(c, size_bytes);
	*ret = c;
	return 0;
}

int keydir_change_xattrs(const struct node *n, const struct xattr *change, uint8_t **ret,
			 size_t *ret_bytes)
{
	const struct node_extra *extra = node_extra(n);
	const uint8_t *old = extra == NULL ? NULL : extra->xattrs;
	size_t old_bytes = extra == NULL ? 0 : extra->xattrs_bytes;
	size_t bytes = xattrs_set_bytes(old, old_bytes, change);
	uint8_t *list = NULL;

	if (bytes > 0) {
		list = malloc(bytes);
		if (list == NULL)
			return -ENOMEM;
		xattrs_set(old, old_bytes, change, list);
	}
	*ret = list;
	*ret_bytes = bytes;
	return 0;
}

void keydir_set_xattrs(struct keydir *k, struct node *n, uint8_t *list, size_t list_bytes)
{
	struct node_extra *extra = node_extra(n);

	free(extra->xattrs);
	extra->xattrs = list;
	extra->xattrs_bytes = list_bytes;
}

/* --- reading --- */

struct node *keydir_root(const struct keydir *k)
{
	return k->root;
}

static uint32_t link_count(const struct keydir *k, const struct node *n)
{
	if (!node_is_dir(n))
		return node_name_count(n);
	if (keydir_is_gone(k, n))
		return 0;
	/* Its name, its ".", and the ".." of each directory in it. */
	return n->dir->subdir_count < UINT32_MAX - 2 ? n->dir->subdir_count + 2 : UINT32_MAX;
}

static uint64_t size_of(const struct node *n)
{
	const struct node_extra *extra = node_extra(n);

	if (S_ISLNK(n->mode) && extra != NULL)
		return extra->target_bytes;
	if (extra != NULL && extra->content != NULL)
		return content_map_size(extra->content);
	return n->value_bytes;
}

static void fill_attr(const struct keydir *k, const struct node *n, struct store_attr *ret)
{
	const struct node_extra *extra = node_extra(n);
	const struct content_map *content = node_content(n);
	struct node_times t = node_times(n);

	*ret = (struct store_attr){
		.ino = k->defaults.inode32 ? ino32(n) : keydir_ino(k, n),
		.generation = slab_generation(n),
		.mode = n->mode,
		.uid = n->uid,
		.gid = n->gid,
		.link_count = link_count(k, n),
		.rdev_major = extra != NULL ? extra->rdev_major : 0,
		.rdev_minor = extra != NULL ? extra->rdev_minor : 0,
		.size_bytes = size_of(n),
		.data_bytes = content != NULL ? content_map_data_bytes(content) : size_of(n),
		.pieces = content != NULL ? content_map_pieces(content) : 1,
		.mtime = timespec_of_ns(t.mtime_ns),
		.ctime = timespec_of_ns(t.ctime_ns),
		.atime = timespec_of_ns(t.atime_ns == NODE_ATIME_FOLLOWS_MTIME ? t.mtime_ns
									       : t.atime_ns),
		.committed = n->committed,
	};
}

int keydir_lookup(struct keydir *k, struct node *dir, const char *name, size_t name_bytes,
		  struct node **ret, struct store_attr *ret_attr)
{
	struct dentry *d;
	int err = 0;

	if (!node_is_dir(dir))
		return -ENOTDIR;
	if (name_bytes > PATH_NAME_BYTES_MAX)
		return -ENAMETOOLONG;
	read_lock(k);
	d = keydir_find(k, dir, name, name_bytes);
	if (d == NULL) {
		err = -ENOENT;
	} else {
		*ret = slab_at(&k->slab, d->node);
		node_pin(*ret);
		if (ret_attr != NULL)
			fill_attr(k, *ret, ret_attr);
	}
	read_unlock(k);
	return err;
}

void keydir_getattr(struct keydir *k, struct node *n, struct store_attr *ret)
{
	read_lock(k);
	fill_attr(k, n, ret);
	read_unlock(k);
}

struct node *keydir_parent(struct keydir *k, struct node *n)
{
	struct node *parent = NULL;

	read_lock(k);
	if (n == k->root)
		parent = n;
	else if (n->name != 0)
		parent = node_parent(n);
	if (parent != NULL)
		node_pin(parent);
	read_unlock(k);
	return parent;
}

int keydir_list(struct keydir *k, struct node *dir, uint64_t cookie, store_list_fn fn, void *arg)
{
	int err = 0;

	if (!node_is_dir(dir))
		return -ENOTDIR;
	read_lock(k);
	for (uint32_t i = slot_after(dir->dir, cookie); err == 0 && i < dir->dir->used; i++) {
		const struct dentry *d = slab_beside(dir, slots_of(dir->dir)[i].entry);
		struct store_dirent entry;

		if (d == NULL)
			continue;
		entry = (struct store_dirent){
			.name = d->name,
			.name_bytes = d->name_bytes,
			.node = slab_at(&k->slab, d->node),
			.cookie = dir->dir->cookie_base + d->cookie,
		};
		fill_attr(k, entry.node, &entry.attr);
		err = fn(arg, &entry);
	}
	read_unlock(k);
	return err;
}

uint64_t keydir_list_end(struct keydir *k, struct node *dir)
{
	uint64_t end = 0;

	read_lock(k);
	if (node_is_dir(dir))
		end = dir->dir->cookie_base + dir->dir->cookie_next - 1;
	read_unlock(k);
	return end;
}

void keydir_unpin(struct keydir *k, struct node *n, uint64_t count)
{
	keydir_write_lock(k);
	unpin(n, count);
	release_if_unused(k, n);
	keydir_write_unlock(k);
}

size_t keydir_path_of(struct keydir *k, const struct node *n, char *buf)
{
	const struct dentry *d;
	ssize_t bytes = 0;

	read_lock(k);
	d = node_name(n);
	if (d != NULL)
		bytes = keydir_path(k, dentry_dir(d), d->name, d->name_bytes, buf);
	read_unlock(k);
	return bytes < 0 ? 0 : (size_t)bytes;
}

/* Copies 'n' bytes if they fit; a buffer of 0 bytes asks only for the size. */
static ssize_t copy_out(void *buf, size_t buf_bytes, const void *bytes, size_t n)
{
	if (buf_bytes == 0)
		return (ssize_t)n;
	if (n > buf_bytes)
		return -ERANGE;
	if (n > 0)
		memcpy(buf, bytes, n);
	return (ssize_t)n;
}

ssize_t keydir_target(struct keydir *k, struct node *n, char *buf, size_t buf_bytes)
{
	ssize_t got = -EINVAL;

	read_lock(k);
	if (S_ISLNK(n->mode))
		got = copy_out(buf, buf_bytes, node_extra(n)->target, node_extra(n)->target_bytes);
	read_unlock(k);
	return got;
}

ssize_t keydir_xattr(struct keydir *k, struct node *n, const char *name, void *buf,
		     size_t buf_bytes)
{
	const struct node_extra *extra;
	ssize_t got = -ENODATA;
	struct xattr x;

	read_lock(k);
	extra = node_extra(n);
	if (extra != NULL &&
	    xattrs_find(extra->xattrs, extra->xattrs_bytes, name, strlen(name), &x))
		got = copy_out(buf, buf_bytes, x.value, x.value_bytes);
	read_unlock(k);
	return got;
}

ssize_t keydir_xattr_names(struct keydir *k, struct node *n, store_xattr_filter filter, char *buf,
			   size_t buf_bytes)
{
	const struct node_extra *extra;
	size_t pos = 0, used = 0;
	ssize_t err = 0;
	struct xattr x;

	read_lock(k);
	extra = node_extra(n);
	while (err == 0 && extra != NULL &&
	       xattrs_next(extra->xattrs, extra->xattrs_bytes, &pos, &x)) {
		if (filter != NULL && !filter(x.name, x.name_bytes))
			continue;
		if (buf_bytes > 0 && used + x.name_bytes + 1 > buf_bytes) {
			err = -ERANGE;
		} else if (buf_bytes > 0) {
			memcpy(buf + used, x.name, x.name_bytes);
			buf[used + x.name_bytes] = '\0';
		}
		used += x.name_bytes + 1;
	}
	read_unlock(k);
	return err < 0 ? err : (ssize_t)used;
}

size_t keydir_pieces(struct keydir *k, struct node *n, uint64_t offset, uint64_t end,
		     struct content_piece *ret, size_t pieces_max, uint64_t *ret_size)
{
	const struct content_map *c;
	size_t found = 0;

	read_lock(k);
	c = node_content(n);
	*ret_size = size_of(n);
	if (c == NULL && n->value_bytes > offset && offset < end && pieces_max > 0)
		ret[found++] = whole_piece(n);
	while (c != NULL && offset < end && found < pieces_max &&
	       content_map_find(c, offset, &ret[found]) && ret[found].offset < end) {
		offset = ret[found].offset + ret[found].bytes;
		found++;
	}
	read_unlock(k);
	return found;
}

void keydir_set_verified(struct keydir *k, struct node *n, const struct content_piece *piece)
{
	keydir_write_lock(k);
	if (node_content(n) != NULL)
		content_map_set_verified(node_content(n), piece->offset, &piece->place);
	else if (node_value(n).record_offset == piece->place.record_offset)
		n->verified = true;
	keydir_write_unlock(k);
}

void keydir_stats(struct keydir *k, struct keydir_stats *ret)
{
	read_lock(k);
	*ret = k->stats;
	ret->memory_bytes = slab_bytes(&k->slab) + hash_table_bytes(&k->table);
	read_unlock(k);
}

/* --- keys that no path can name --- */

static int compare_unnamed(const void *a, const void *b)
{
	const struct unnamed *x = a, *y = b;
	size_t n = x->key_bytes < y->key_bytes ? x->key_bytes : y->key_bytes;
	int order = memcmp(x->key, y->key, n);

	if (order != 0)
		return order;
	return x->key_bytes < y->key_bytes ? -1 : x->key_bytes > y->key_bytes;
}

static struct unnamed *unnamed_new(const void *key, size_t key_bytes)
{
	struct unnamed *u = calloc(1, sizeof(*u) + key_bytes);

	if (u == NULL)
		return NULL;
	u->key_bytes = key_bytes;
	memcpy(u->key, key, key_bytes);
	return u;
}

struct unnamed *keydir_unnamed_find(struct keydir *k, const void *key, size_t key_bytes)
{
	struct unnamed *probe, **found;

	if (k->stats.unnamed_keys == 0)
		return NULL; /* the common case: nothing to look through */
	probe = unnamed_new(key, key_bytes);
	if (probe == NULL)
		return NULL;
	found = tfind(probe, &k->unnamed, compare_unnamed);
	free(probe);
	return found == NULL ? NULL : *found;
}

static void unnamed_free(void *p)
{
	struct unnamed *u = p;

	content_map_free(u->content);
	free(u);
}

int keydir_unnamed_put(struct keydir *k, const void *key, size_t key_bytes,
		       const struct value_place *place, struct content_map *content,
		       uint64_t timestamp_ns)
{
	struct unnamed *u = unnamed_new(key, key_bytes), **found;

	if (u == NULL)
		return -ENOMEM;
	found = tsearch(u, &k->unnamed, compare_unnamed);
	if (found == NULL) {
		free(u);
		return -ENOMEM;
	}
	if (*found == u) {
		k->stats.unnamed_keys++;
	} else {
		free(u);
		u = *found;
		k->stats.live_bytes -= live_bytes(&u->place, u->content);
		content_map_free(u->content);
	}
	u->place = *place;
	u->content = content;
	u->timestamp_ns = timestamp_ns;
	k->stats.live_bytes += live_bytes(place, content);
	return 0;
}

void keydir_unnamed_remove(struct keydir *k, const void *key, size_t key_bytes)
{
	struct unnamed *u = keydir_unnamed_find(k, key, key_bytes);

	if (u == NULL)
		return;
	(void)tdelete(u, &k->unnamed, compare_unnamed);
	k->stats.unnamed_keys--;
	k->stats.live_bytes -= live_bytes(&u->place, u->content);
	unnamed_free(u);
}

struct content_map *keydir_unnamed_take_content(struct keydir *k, struct unnamed *u)
{
	struct content_map *content = u->content;

	k->stats.live_bytes -= content_map_live_bytes(content);
	u->content = NULL;
	return content;
}

struct each {
	void (*fn)(void *arg, const struct unnamed *u);
	void *arg;
};

static void visit(const void *node, VISIT which, void *closure)
{
	const struct each *each = closure;

	if (which == postorder || which == leaf)
		each->fn(each->arg, *(const struct unnamed *const *)node);
}

void keydir_unnamed_each(struct keydir *k, void (*fn)(void *arg, const struct unnamed *u),
			 void *arg)
{
	struct each each = { fn, arg };

	twalk_r(k->unnamed, visit, &each);
}

/* --- staged --- */

struct staged {
	uint64_t id;
	struct content_map *content; /* owned */
};

static int compare_staged(const void *a, const void *b)
{
	uint64_t x = ((const struct staged *)a)->id, y = ((const struct staged *)b)->id;

	return x < y ? -1 : x > y;
}

static void staged_free(void *p)
{
	struct staged *s = p;

	content_map_free(s->content);
	free(s);
}

struct content_map *keydir_staged(struct keydir *k, uint64_t id, bool make)
{
	struct staged probe = { .id = id }, **found, *s;

	found = tfind(&probe, &k->staged, compare_staged);
	if (found != NULL)
		return (*found)->content;
	s = make ? calloc(1, sizeof(*s)) : NULL;
	if (s == NULL)
		return NULL;
	s->id = id;
	s->content = content_map_new(true);
	if (s->content == NULL || tsearch(s, &k->staged, compare_staged) == NULL) {
		staged_free(s);
		return NULL;
	}
	return s->content;
}

void keydir_drop_staged(struct keydir *k, uint64_t id)
{
	struct staged probe = { .id = id }, **found, *s;

	found = tfind(&probe, &k->staged, compare_staged);
	if (found == NULL)
		return;
	s = *found;
	(void)tdelete(s, &k->staged, compare_staged);
	staged_free(s);
}

void keydir_drop_all_staged(struct keydir *k)
{
	tdestroy(k->staged, staged_free);
	k->staged = NULL;
}

struct each_staged {
	void (*fn)(void *arg, uint64_t id, struct content_map *c);
	void *arg;
};

static void visit_staged(const void *item, VISIT which, void *closure)
{
	const struct staged *s = *(const struct staged *const *)item;
	const struct each_staged *each = closure;

	if (which == postorder || which == leaf)
		each->fn(each->arg, s->id, s->content);
}

void keydir_staged_each(struct keydir *k, void (*fn)(void *arg, uint64_t id, struct content_map *c),
			void *arg)
{
	struct each_staged each = { fn, arg };

	twalk_r(k->staged, visit_staged, &each);
}

bool keydir_has_begun(const struct keydir *k)
{
	return k->begun;
}

void keydir_begin(struct keydir *k)
{
	k->begun = true;
}

/* --- places --- */

struct each_place {
	struct keydir *k;
	bool changes;
	content_piece_fn fn;
	void *arg;
};

static uint64_t node_live_bytes(const struct node *n)
{
	struct value_place value = node_value(n);

	return live_bytes(&value, node_content(n));
}

static void node_places(struct keydir *k, struct node *n, const struct each_place *each)
{
	uint64_t before = each->changes ? node_live_bytes(n) : 0;
	struct content_piece piece;

	if (node_content(n) != NULL) {
		content_map_each(node_content(n), each->fn, each->arg);
	} else if (n->value_bytes > 0) {
		piece = whole_piece(n);
		if (each->fn(each->arg, &piece)) {
			n->record_offset = piece.place.record_offset;
			n->key_bytes = (uint16_t)piece.place.key_bytes; /* of a path */
		}
	}
	if (each->changes && n->name != 0)
		k->stats.live_bytes += node_live_bytes(n) - before;
}

static void unnamed_places(const void *item, VISIT visit, void *arg)
{
	struct unnamed *u = *(struct unnamed *const *)item;
	const struct each_place *each = arg;
	struct content_piece piece = { .bytes = u->place.value_bytes, .place = u->place };
	uint64_t before;

	if (visit != postorder && visit != leaf)
		return;
	before = each->changes ? live_bytes(&u->place, u->content) : 0;
	if (u->content != NULL)
		content_map_each(u->content, each->fn, each->arg);
	else if (u->place.value_bytes > 0 && each->fn(each->arg, &piece))
		u->place = piece.place;
	if (each->changes)
		each->k->stats.live_bytes += live_bytes(&u->place, u->content) - before;
}

bool keydir_each_place(struct keydir *k, uint32_t *cursor, size_t nodes, bool changes,
		       content_piece_fn fn, void *arg)
{
	struct each_place each = { .k = k, .changes = changes, .fn = fn, .arg = arg };
	struct node *n = NULL;

	if (changes)
		keydir_write_lock(k);
	else
		read_lock(k);
	for (; nodes > 0 && (n = keydir_each_node(k, cursor)) != NULL; nodes--)
		if (node_is_file(n))
			node_places(k, n, &each);
	if (n == NULL)
		twalk_r(k->unnamed, unnamed_places, &each);
	keydir_write_unlock(k);
	return n != NULL;
}

/* --- life --- */

int keydir_create(const struct keydir_defaults *defaults, struct keydir **ret)
{
	struct keydir *k = calloc(1, sizeof(*k));

	if (k == NULL)
		return -ENOMEM;
	k->defaults = *defaults;
	slab_init(&k->slab);
	hash_table_init(&k->table);
	number_set_init(&k->given);
	k->root = node_new(k, S_IFDIR);
	if (k->root == NULL) {
		slab_destroy(&k->slab);
		free(k);
		return -ENOMEM;
	}
	k->root->committed = k->root->explicit = true;
	rwlock_init(&k->lock);
	*ret = k;
	return 0;
}

const struct keydir_defaults *keydir_defaults_of(const struct keydir *k)
{
	return &k->defaults;
}

void keydir_free(struct keydir *k)
{
	struct node *n;
	uint32_t cursor = 0;

	if (k == NULL)
		return;
	tdestroy(k->unnamed, unnamed_free);
	keydir_drop_all_staged(k);
	while ((n = keydir_each_node(k, &cursor)) != NULL)
		node_empty(n);
	slab_destroy(&k->slab);
	hash_table_destroy(&k->table);
	number_set_destroy(&k->given);
	rwlock_destroy(&k->lock);
	free(k);
}
