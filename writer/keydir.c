/* SPDX-License-Identifier: MIT */
/* Entries are found by (directory, name) in one open-addressing hash table for the whole store, and
 * listed through a vector of slots in each directory.  Slots are sorted by cookie, and a cookie is
 * given out once: removing an entry leaves a hole, so the place of every other entry stays what it
 * was, and a listing finds its place again by binary search.  Holes are squeezed out when they are
 * the larger part. */
#include "writer/keydir.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "codec/path.h"
#include "codec/record.h"
#include "codec/xattrs.h"
#include "writer/thread.h"

#define TABLE_ROOM_MIN	  64
#define SLOT_ROOM_MIN	  4
#define SLOT_HOLES_MIN	  16
#define COOKIE_FIRST	  16 /* smaller ones are for the callers' "." and ".." */
#define INO_FIRST	  16 /* smaller ones are for what a mount shows beside the tree */
#define NSEC_PER_SEC	  INT64_C(1000000000)
#define FILE_MODE_DEFAULT 0666
#define DIR_MODE_DEFAULT  0777

struct slot {
	uint64_t cookie;
	struct dentry *entry; /* NULL: a hole */
};

struct dir {
	struct slot *slots;  /* sorted by cookie */
	size_t used, room;   /* 'used' counts the holes, too */
	size_t count;	     /* entries */
	size_t subdir_count; /* entries that are directories */
};

struct keydir {
	struct keydir_defaults defaults; /* constant */
	struct node *root;		 /* constant */

	pthread_rwlock_t lock; /* innermost */

	/* All below: by lock. */
	struct dentry **table; /* room is a power of two; NULL marks a free place */
	size_t table_room, table_count;
	uint64_t cookie_next;
	void *unnamed; /* tsearch() tree of struct unnamed */
	void *staged;  /* tsearch() tree of struct staged */
	struct keydir_stats stats;

	/* Inode numbers that no other node may get; see keydir_ino(). */
	struct mutex ino_lock; /* inside lock */
	void *strays GUARDED;  /* by ino_lock; tsearch() tree of struct node */
};

/* --- locks --- */

static void read_lock(struct keydir *k)
{
	thread_check(pthread_rwlock_rdlock(&k->lock));
}

static void read_unlock(struct keydir *k)
{
	thread_check(pthread_rwlock_unlock(&k->lock));
}

void keydir_write_lock(struct keydir *k)
{
	thread_check(pthread_rwlock_wrlock(&k->lock));
}

void keydir_write_unlock(struct keydir *k)
{
	thread_check(pthread_rwlock_unlock(&k->lock));
}

/* --- times --- */

int64_t keydir_ns(int64_t sec, uint32_t nsec)
{
	int64_t ns;

	if (!__builtin_mul_overflow(sec, NSEC_PER_SEC, &ns) &&
	    !__builtin_add_overflow(ns, (int64_t)nsec, &ns) && ns != NODE_ATIME_FOLLOWS_MTIME)
		return ns;
	return sec < 0 ? NODE_ATIME_FOLLOWS_MTIME + 1 : INT64_MAX;
}

struct timespec keydir_timespec(int64_t ns)
{
	int64_t sec = ns / NSEC_PER_SEC, nsec = ns % NSEC_PER_SEC;

	if (nsec < 0) {
		sec--;
		nsec += NSEC_PER_SEC;
	}
	return (struct timespec){ .tv_sec = sec, .tv_nsec = nsec };
}

/* --- the hash table --- */

static uint32_t hash_name(const struct node *dir, const char *name, size_t name_bytes)
{
	return (uint32_t)XXH3_64bits_withSeed(name, name_bytes, (uintptr_t)dir);
}

static void table_insert(struct dentry **table, size_t room, struct dentry *d)
{
	size_t i = d->hash & (room - 1);

	while (table[i] != NULL)
		i = (i + 1) & (room - 1);
	table[i] = d;
}

/* Makes room for one more entry. */
static int table_reserve(struct keydir *k)
{
	size_t room = k->table_room * 2;
	struct dentry **table;

	if ((k->table_count + 1) * 4 <= k->table_room * 3)
		return 0;
	table = calloc(room, sizeof(table[0]));
	if (table == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < k->table_room; i++)
		if (k->table[i] != NULL)
			table_insert(table, room, k->table[i]);
	free(k->table);
	k->table = table;
	k->table_room = room;
	return 0;
}

/* Takes 'd' out and moves up whatever had to step aside for it. */
static void table_remove(struct keydir *k, struct dentry *d)
{
	size_t mask = k->table_room - 1;
	size_t hole = d->hash & mask;
	size_t i;

	while (k->table[hole] != d)
		hole = (hole + 1) & mask;
	for (i = (hole + 1) & mask; k->table[i] != NULL; i = (i + 1) & mask) {
		size_t home = k->table[i]->hash & mask;

		if (((i - home) & mask) >= ((i - hole) & mask)) {
			k->table[hole] = k->table[i];
			hole = i;
		}
	}
	k->table[hole] = NULL;
	k->table_count--;
}

struct dentry *keydir_find(struct keydir *k, const struct node *dir, const char *name,
			   size_t name_bytes)
{
	uint32_t hash = hash_name(dir, name, name_bytes);
	size_t mask = k->table_room - 1;

	for (size_t i = hash & mask; k->table[i] != NULL; i = (i + 1) & mask) {
		struct dentry *d = k->table[i];

		if (d->hash == hash && d->dir == dir && d->name_bytes == name_bytes &&
		    memcmp(d->name, name, name_bytes) == 0)
			return d;
	}
	return NULL;
}

struct dentry *keydir_find_path(struct keydir *k, const char *path, size_t path_bytes)
{
	struct node *n = k->root;
	struct dentry *d = NULL;
	const char *name;
	size_t pos = 0, name_bytes;

	while ((name_bytes = path_next(path, path_bytes, &pos, &name)) > 0) {
		d = node_is_dir(n) ? keydir_find(k, n, name, name_bytes) : NULL;
		if (d == NULL)
			return NULL;
		n = d->node;
	}
	return d;
}

/* --- the slots of a directory --- */

static int slots_reserve(struct dir *dir)
{
	size_t room = dir->room == 0 ? SLOT_ROOM_MIN : dir->room * 2;
	struct slot *slots;

	if (dir->used < dir->room)
		return 0;
	slots = reallocarray(dir->slots, room, sizeof(slots[0]));
	if (slots == NULL)
		return -ENOMEM;
	dir->slots = slots;
	dir->room = room;
	return 0;
}

/* Returns the index of the first slot whose cookie is larger than 'cookie'. */
static size_t slot_after(const struct dir *dir, uint64_t cookie)
{
	size_t low = 0, high = dir->used;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (dir->slots[mid].cookie > cookie)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

static void squeeze(struct dir *dir)
{
	size_t kept = 0;

	for (size_t i = 0; i < dir->used; i++)
		if (dir->slots[i].entry != NULL)
			dir->slots[kept++] = dir->slots[i];
	dir->used = kept;
}

static void slot_add(struct keydir *k, struct dir *dir, struct dentry *d)
{
	d->cookie = k->cookie_next++;
	dir->slots[dir->used++] = (struct slot){ .cookie = d->cookie, .entry = d };
	dir->count++;
}

static void slot_remove(struct dir *dir, const struct dentry *d)
{
	size_t i = slot_after(dir, d->cookie) - 1;

	dir->slots[i].entry = NULL;
	dir->count--;
	if (dir->used - dir->count > dir->count + SLOT_HOLES_MIN)
		squeeze(dir);
}

uint64_t keydir_dir_count(const struct node *dir)
{
	return dir->dir->count;
}

/* --- inode numbers --- */

/* An inode number is a hash of the path, so that it stays over a remount without being stored.  A
 * node that was renamed or unlinked while in use keeps its number, and is then a stray: nobody else
 * gets it.  (Two paths that have the same 64-bit hash by chance are one in 10^5 stores of ten
 * million keys; programs then take them for hard links.) */
static int compare_ino(const void *a, const void *b)
{
	uint64_t x = ((const struct node *)a)->ino, y = ((const struct node *)b)->ino;

	return x < y ? -1 : x > y;
}

static void set_stray_locked(struct keydir *k, struct node *n) REQUIRES(k->ino_lock)
{
	struct node **found;

	if (n->stray)
		return;
	/* Without memory for it another node may get the same number: no reason to fail. */
	found = tsearch(n, &k->strays, compare_ino);
	n->stray = found != NULL && *found == n;
}

/* Gives 'n' the number of the path that 'name' has in 'dir', or the next free one, unless it has
 * one. */
static uint64_t assign_ino(struct keydir *k, struct node *n, struct node *dir, const char *name,
			   size_t name_bytes)
{
	uint64_t parent_ino = keydir_ino(k, dir); /* as deep as the path; the root has its number */
	uint64_t ino = XXH3_64bits_withSeed(name, name_bytes, parent_ino);
	struct node candidate = { 0 };
	bool taken = false;

	mutex_lock(&k->ino_lock);
	if (atomic_load(&n->ino) == 0) {
		for (;; ino++) {
			atomic_store(&candidate.ino, ino);
			if (ino >= INO_FIRST && tfind(&candidate, &k->strays, compare_ino) == NULL)
				break;
			taken = true;
		}
		atomic_store(&n->ino, ino);
		if (taken)
			set_stray_locked(k, n);
	}
	mutex_unlock(&k->ino_lock);
	return atomic_load(&n->ino);
}

uint64_t keydir_ino(struct keydir *k, struct node *n)
{
	uint64_t ino = atomic_load(&n->ino);
	const struct dentry *d = n->names;

	if (ino != 0 || d == NULL) /* without a name: not linked yet */
		return ino;
	return assign_ino(k, n, d->dir, d->name, d->name_bytes);
}

bool keydir_ino_for(struct keydir *k, struct node *n, struct node *dir, const char *name,
		    size_t name_bytes)
{
	(void)assign_ino(k, n, dir, name, name_bytes);
	return keydir_ino_is_given(k, n);
}

void keydir_ino_forget(struct keydir *k, struct node *n)
{
	mutex_lock(&k->ino_lock);
	if (n->stray)
		(void)tdelete(n, &k->strays, compare_ino);
	n->stray = false;
	mutex_unlock(&k->ino_lock);
}

bool keydir_ino_is_given(struct keydir *k, struct node *n)
{
	bool given;

	(void)keydir_ino(k, n);
	mutex_lock(&k->ino_lock);
	given = n->stray;
	mutex_unlock(&k->ino_lock);
	return given;
}

void keydir_set_ino(struct keydir *k, struct node *n, uint64_t ino)
{
	if (n == k->root)
		return; /* it has the same one always */
	mutex_lock(&k->ino_lock);
	if (n->stray)
		(void)tdelete(n, &k->strays, compare_ino);
	n->stray = false;
	atomic_store(&n->ino, ino);
	set_stray_locked(k, n);
	mutex_unlock(&k->ino_lock);
}

/* 'n' has left the path that its number comes from. */
static void set_stray(struct keydir *k, struct node *n)
{
	if (atomic_load(&n->ino) == 0)
		return;
	mutex_lock(&k->ino_lock);
	set_stray_locked(k, n);
	mutex_unlock(&k->ino_lock);
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

struct node *keydir_node_new(struct keydir *k, mode_t type)
{
	struct node *n = calloc(1, sizeof(*n));

	if (n == NULL)
		return NULL;
	if (S_ISDIR(type)) {
		n->dir = calloc(1, sizeof(*n->dir));
		if (n->dir == NULL) {
			free(n);
			return NULL;
		}
	}
	n->mode = type |
		  ((S_ISDIR(type) ? DIR_MODE_DEFAULT : FILE_MODE_DEFAULT) & ~k->defaults.umask);
	n->uid = k->defaults.uid;
	n->gid = k->defaults.gid;
	n->atime_ns = NODE_ATIME_FOLLOWS_MTIME;
	return n;
}

void keydir_node_free(struct node *n)
{
	if (n == NULL)
		return;
	if (n->dir != NULL)
		free(n->dir->slots);
	free(n->dir);
	if (n->extra != NULL) {
		free(n->extra->target);
		free(n->extra->xattrs);
		content_map_free(n->extra->content);
	}
	free(n->extra);
	free(n);
}

struct node_extra *node_extra_get(struct node *n)
{
	if (n->extra == NULL)
		n->extra = calloc(1, sizeof(*n->extra));
	return n->extra;
}

/* Frees a node that has neither name nor pin. */
static void release_if_unused(struct keydir *k, struct node *n)
{
	if (n->names != NULL || n == k->root || atomic_load(&n->pins) > 0)
		return;
	keydir_ino_forget(k, n);
	keydir_node_free(n);
}

static uint64_t place_bytes(const struct value_place *place)
{
	return place->value_bytes == 0 ? 0 : record_bytes(place->key_bytes, place->value_bytes);
}

static struct content_map *content_of(const struct node *n)
{
	return n->extra == NULL ? NULL : n->extra->content;
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

	*counter += (uint64_t)by;
	k->stats.live_bytes += (uint64_t)by * live_bytes(&n->value, content_of(n));
}

void keydir_touch(struct node *n, int64_t now_ns)
{
	n->mtime_ns = now_ns;
	n->ctime_ns = now_ns;
	n->mtime_set = false;
}

bool keydir_is_inside(const struct node *n, const struct node *dir)
{
	for (; n != dir;
	     n = n->names->dir) /* only directories are above anything, and they have one name */
		if (n->names == NULL)
			return false;
	return true;
}

bool keydir_is_gone(const struct keydir *k, const struct node *n)
{
	return n->names == NULL && n != k->root;
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

	for (at = n; at != k->root; at = at->names->dir)
		bytes += at->names->name_bytes + (bytes > 0 ? 1u : 0u);
	if (bytes > PATH_BYTES_MAX)
		return -ENAMETOOLONG;
	end = buf + bytes; /* filled from the back */
	if (name != NULL) {
		end -= name_bytes;
		memcpy(end, name, name_bytes);
	}
	for (at = n; at != k->root; at = at->names->dir) {
		if (end != buf + bytes)
			*--end = '/';
		end -= at->names->name_bytes;
		memcpy(end, at->names->name, at->names->name_bytes);
	}
	return (ssize_t)bytes;
}

/* --- linking --- */

struct dentry *keydir_dentry_new(struct keydir *k, struct node *dir, const char *name,
				 size_t name_bytes)
{
	struct dentry *d = malloc(sizeof(*d) + name_bytes);
	int err;

	if (d == NULL)
		return NULL;
	*d = (struct dentry){
		.dir = dir,
		.hash = hash_name(dir, name, name_bytes),
		.name_bytes = (uint16_t)name_bytes,
	};
	memcpy(d->name, name, name_bytes);
	keydir_write_lock(k);
	err = table_reserve(k);
	if (err == 0)
		err = slots_reserve(dir->dir);
	keydir_write_unlock(k);
	if (err == 0)
		return d;
	free(d);
	return NULL;
}

void keydir_dentry_free(struct dentry *d)
{
	free(d);
}

/* Puts a new entry into its directory. */
static void dentry_insert(struct keydir *k, struct dentry *d)
{
	table_insert(k->table, k->table_room, d);
	k->table_count++;
	slot_add(k, d->dir->dir, d);
}

static void dentry_remove(struct keydir *k, struct dentry *d)
{
	table_remove(k, d);
	slot_remove(d->dir->dir, d);
	free(d);
}

/* Puts 'd' behind the other names of 'n'. */
static void name_add(struct keydir *k, struct dentry *d, struct node *n)
{
	struct dentry **p = &n->names;

	while (*p != NULL)
		p = &(*p)->next_name;
	*p = d;
	d->next_name = NULL;
	d->node = n;
	if (n->name_count++ == 0)
		count_node(k, n, 1);
	if (node_is_dir(n))
		d->dir->dir->subdir_count++;
}

/* Takes 'd' from the names of its node, which is left alone. */
static void name_remove(struct keydir *k, struct dentry *d)
{
	struct node *n = d->node;
	struct dentry **p = &n->names;

	while (*p != d)
		p = &(*p)->next_name;
	*p = d->next_name;
	d->node = NULL;
	if (--n->name_count == 0)
		count_node(k, n, -1);
	if (node_is_dir(n))
		d->dir->dir->subdir_count--;
}

void keydir_link(struct keydir *k, struct dentry *d, struct node *n, int64_t now_ns)
{
	if (n->names != NULL) {
		/* It may outlive the name that its number comes from. */
		set_stray(k, n);
		n->ctime_ns = now_ns;
	}
	dentry_insert(k, d);
	name_add(k, d, n);
	keydir_touch(d->dir, now_ns);
}

/* The node behind 'd' loses that name. */
static void drop_name(struct keydir *k, struct dentry *d, int64_t now_ns)
{
	struct node *n = d->node;

	if (atomic_load(&n->pins) > 0)
		(void)keydir_ino(
			k, n); /* while it has a path: keydir_free() finds it among the strays */
	set_stray(k, n);
	name_remove(k, d);
	n->ctime_ns = now_ns;
	release_if_unused(k, n);
}

void keydir_unlink(struct keydir *k, struct dentry *d, int64_t now_ns)
{
	keydir_touch(d->dir, now_ns);
	drop_name(k, d, now_ns);
	dentry_remove(k, d);
}

void keydir_move(struct keydir *k, struct dentry *from, struct dentry *to, int64_t now_ns)
{
	struct node *n = from->node;

	keydir_touch(from->dir, now_ns);
	keydir_touch(to->dir, now_ns);
	set_stray(k, n);
	if (to->node != NULL)
		drop_name(k, to, now_ns);
	else
		dentry_insert(k, to);
	name_add(k, to, n); /* first, so that it never is without one */
	name_remove(k, from);
	n->ctime_ns = now_ns;
	dentry_remove(k, from);
}

void keydir_exchange(struct keydir *k, struct dentry *a, struct dentry *b, int64_t now_ns)
{
	struct node *at_a = a->node, *at_b = b->node;

	keydir_touch(a->dir, now_ns);
	keydir_touch(b->dir, now_ns);
	set_stray(k, at_a);
	set_stray(k, at_b);
	name_remove(k, a);
	name_remove(k, b);
	name_add(k, a, at_b);
	name_add(k, b, at_a);
	at_a->ctime_ns = now_ns;
	at_b->ctime_ns = now_ns;
}

/* The content is now 'place' or 'content'. */
static void replace_content(struct keydir *k, struct node *n, const struct value_place *place,
			    struct content_map *content, int64_t now_ns)
{
	struct content_map *old = content_of(n);

	if (n->names != NULL)
		k->stats.live_bytes += live_bytes(place, content) - live_bytes(&n->value, old);
	n->value = *place;
	if (old != NULL || content != NULL)
		n->extra->content = content;
	content_map_free(old);
	n->verified = false;
	n->committed = true;
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
	struct content_map *c = n->extra->content;
	uint64_t before = content_map_live_bytes(c);

	if (over != NULL)
		content_map_lay_all(c, over);
	content_map_set_size(c, size_bytes);
	if (n->names != NULL)
		k->stats.live_bytes += content_map_live_bytes(c) - before;
	n->committed = true;
	keydir_touch(n, now_ns);
}

/* The one record of a file as a piece. */
static struct content_piece whole_piece(const struct node *n)
{
	return (struct content_piece){
		.bytes = n->value.value_bytes,
		.place = n->value,
		.verified = n->verified,
	};
}

int keydir_prepare_content(struct keydir *k, struct node *n, const struct content_map *staged,
			   bool keep, uint64_t size_bytes, struct content_map **ret)
{
	size_t pieces = staged == NULL ? 0 : content_map_pieces(staged);
	struct content_piece base = whole_piece(n);
	struct content_map *c;

	if (node_extra_get(n) == NULL)
		return -ENOMEM;
	if (keep && n->extra->content != NULL) {
		*ret = NULL;
		return content_map_reserve(n->extra->content, pieces);
	}
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

void keydir_set_xattrs(struct keydir *k, struct node *n, uint8_t *list, size_t list_bytes)
{
	free(n->extra->xattrs);
	n->extra->xattrs = list;
	n->extra->xattrs_bytes = list_bytes;
}

/* --- reading --- */

struct node *keydir_root(const struct keydir *k)
{
	return k->root;
}

static uint32_t link_count(const struct keydir *k, const struct node *n)
{
	if (!node_is_dir(n))
		return n->name_count;
	if (keydir_is_gone(k, n))
		return 0;
	/* Its name, its ".", and the ".." of each directory in it. */
	return n->dir->subdir_count < UINT32_MAX - 2 ? (uint32_t)n->dir->subdir_count + 2
						     : UINT32_MAX;
}

static uint64_t size_of(const struct node *n)
{
	if (S_ISLNK(n->mode) && n->extra != NULL)
		return n->extra->target_bytes;
	if (content_of(n) != NULL)
		return content_map_size(content_of(n));
	return n->value.value_bytes;
}

static void fill_attr(struct keydir *k, struct node *n, struct store_attr *ret)
{
	*ret = (struct store_attr){
		.ino = keydir_ino(k, n),
		.mode = n->mode,
		.uid = n->uid,
		.gid = n->gid,
		.link_count = link_count(k, n),
		.rdev_major = n->extra != NULL ? n->extra->rdev_major : 0,
		.rdev_minor = n->extra != NULL ? n->extra->rdev_minor : 0,
		.size_bytes = size_of(n),
		.data_bytes =
			content_of(n) != NULL ? content_map_data_bytes(content_of(n)) : size_of(n),
		.pieces = content_of(n) != NULL ? content_map_pieces(content_of(n)) : 1,
		.mtime = keydir_timespec(n->mtime_ns),
		.ctime = keydir_timespec(n->ctime_ns),
		.atime = keydir_timespec(n->atime_ns == NODE_ATIME_FOLLOWS_MTIME ? n->mtime_ns
										 : n->atime_ns),
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
		atomic_fetch_add(&d->node->pins, 1);
		*ret = d->node;
		if (ret_attr != NULL)
			fill_attr(k, d->node, ret_attr);
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
	else if (n->names != NULL)
		parent = n->names->dir;
	if (parent != NULL)
		atomic_fetch_add(&parent->pins, 1);
	read_unlock(k);
	return parent;
}

int keydir_list(struct keydir *k, struct node *dir, uint64_t cookie, store_list_fn fn, void *arg)
{
	int err = 0;

	if (!node_is_dir(dir))
		return -ENOTDIR;
	read_lock(k);
	for (size_t i = slot_after(dir->dir, cookie); err == 0 && i < dir->dir->used; i++) {
		const struct dentry *d = dir->dir->slots[i].entry;
		struct store_dirent entry;

		if (d == NULL)
			continue;
		entry = (struct store_dirent){
			.name = d->name,
			.name_bytes = d->name_bytes,
			.node = d->node,
			.cookie = d->cookie,
		};
		fill_attr(k, d->node, &entry.attr);
		err = fn(arg, &entry);
	}
	read_unlock(k);
	return err;
}

void store_pin_in_list(struct node *n)
{
	atomic_fetch_add(&n->pins, 1);
}

void keydir_unpin(struct keydir *k, struct node *n, uint64_t count)
{
	keydir_write_lock(k);
	atomic_fetch_sub(&n->pins, count);
	release_if_unused(k, n);
	keydir_write_unlock(k);
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
	/* Constant from the day it is made. */
	if (!S_ISLNK(n->mode))
		return -EINVAL;
	return copy_out(buf, buf_bytes, n->extra->target, n->extra->target_bytes);
}

ssize_t keydir_xattr(struct keydir *k, struct node *n, const char *name, void *buf,
		     size_t buf_bytes)
{
	ssize_t got = -ENODATA;
	struct xattr x;

	read_lock(k);
	if (n->extra != NULL &&
	    xattrs_find(n->extra->xattrs, n->extra->xattrs_bytes, name, strlen(name), &x))
		got = copy_out(buf, buf_bytes, x.value, x.value_bytes);
	read_unlock(k);
	return got;
}

ssize_t keydir_xattr_names(struct keydir *k, struct node *n, store_xattr_filter filter, char *buf,
			   size_t buf_bytes)
{
	size_t pos = 0, used = 0;
	ssize_t err = 0;
	struct xattr x;

	read_lock(k);
	while (err == 0 && n->extra != NULL &&
	       xattrs_next(n->extra->xattrs, n->extra->xattrs_bytes, &pos, &x)) {
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
	c = content_of(n);
	*ret_size = size_of(n);
	if (c == NULL && n->value.value_bytes > offset && offset < end && pieces_max > 0)
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
	if (content_of(n) != NULL)
		content_map_set_verified(content_of(n), piece->offset, &piece->place);
	else if (n->value.record_offset == piece->place.record_offset)
		n->verified = true;
	keydir_write_unlock(k);
}

void keydir_stats(struct keydir *k, struct keydir_stats *ret)
{
	read_lock(k);
	*ret = k->stats;
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

/* --- life --- */

int keydir_create(const struct keydir_defaults *defaults, struct keydir **ret)
{
	struct keydir *k = calloc(1, sizeof(*k));

	if (k == NULL)
		return -ENOMEM;
	k->defaults = *defaults;
	k->cookie_next = COOKIE_FIRST;
	k->table_room = TABLE_ROOM_MIN;
	k->table = calloc(k->table_room, sizeof(k->table[0]));
	k->root = keydir_node_new(k, S_IFDIR);
	if (k->table == NULL || k->root == NULL) {
		keydir_node_free(k->root);
		free(k->table);
		free(k);
		return -ENOMEM;
	}
	k->root->committed = k->root->explicit = true;
	atomic_store(&k->root->ino, INO_FIRST);
	thread_check(pthread_rwlock_init(&k->lock, NULL));
	mutex_init(&k->ino_lock);
	*ret = k;
	return 0;
}

/* Those with a name are freed by it. */
static void free_nameless(void *p)
{
	struct node *n = p;

	if (n->names == NULL)
		keydir_node_free(n);
}

void keydir_free(struct keydir *k)
{
	if (k == NULL)
		return;
	tdestroy(k->strays, free_nameless);
	tdestroy(k->unnamed, unnamed_free);
	keydir_drop_all_staged(k);
	for (size_t i = 0; i < k->table_room; i++) {
		if (k->table[i] == NULL)
			continue;
		if (--k->table[i]->node->name_count == 0)
			keydir_node_free(k->table[i]->node);
		free(k->table[i]);
	}
	keydir_node_free(k->root);
	free(k->table);
	mutex_destroy(&k->ino_lock);
	thread_check(pthread_rwlock_destroy(&k->lock));
	free(k);
}
