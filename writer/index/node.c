/* SPDX-License-Identifier: MIT */
#include "writer/index/node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "codec/path.h"
#include "writer/base/times.h"
#include "writer/index/keydir_private.h"

_Static_assert(sizeof(struct node) == 48, "there are millions of them");
_Static_assert(PATH_BYTES_MAX <= UINT16_MAX, "node.key_bytes: the value of a node has a path");

/* --- reading --- */

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
		type++; /* no other type exists */
	return (enum meta_type)type;
}

bool node_is_committed(const struct node *n)
{
	return n->committed;
}

bool node_is_explicit(const struct node *n)
{
	return n->explicit;
}

struct dentry *node_nth_name(const struct node *n, uint32_t i)
{
	return slab_beside(n, i == 0 ? n->name : node_extra(n)->more_names.refs[i - 1]);
}

bool node_mtime_is_set(const struct node *n)
{
	return n->mtime_set;
}

const uint8_t *node_xattrs(const struct node *n, size_t *ret_bytes)
{
	const struct node_extra *e = node_extra(n);

	*ret_bytes = e == NULL ? 0 : e->xattrs_bytes;
	return e == NULL ? NULL : e->xattrs;
}

bool keydir_is_default(const struct keydir *k, const struct node *n)
{
	mode_t full = node_is_dir(n) ? DIR_MODE_DEFAULT : FILE_MODE_DEFAULT;

	return n->uid == k->defaults.uid && n->gid == k->defaults.gid &&
	       (n->mode & 07777) == (full & ~k->defaults.umask);
}

/* --- as the meta records of the log describe it --- */

struct meta_attr node_meta_attr(const struct node *n)
{
	const struct node_extra *extra = node_extra(n);
	struct meta_attr attr = {
		.type = node_type(n),
		.content = META_CONTENT_KEPT,
		.mode = n->mode & META_MODE_BITS,
		.uid = n->uid,
		.gid = n->gid,
	};

	if (attr.type == META_TYPE_CHAR_DEVICE || attr.type == META_TYPE_BLOCK_DEVICE) {
		attr.fields |= META_FIELD_RDEV;
		attr.rdev_major = extra->rdev_major;
		attr.rdev_minor = extra->rdev_minor;
	}
	if (attr.type == META_TYPE_SYMLINK) {
		attr.fields |= META_FIELD_TARGET;
		attr.target = extra->target;
		attr.target_bytes = extra->target_bytes;
	}
	return attr;
}

void node_meta_add_xattrs(const struct node *n, struct meta_attr *attr)
{
	const struct node_extra *extra = node_extra(n);

	if (extra == NULL || extra->xattrs == NULL)
		return;
	attr->fields |= META_FIELD_XATTRS;
	attr->xattrs = extra->xattrs;
	attr->xattrs_bytes = extra->xattrs_bytes;
}

/* --- pins --- */

/* If the kernel asks for a node this often, the count stays at its maximum, and the node is never
 * freed. */
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

void keydir_unpin(struct keydir *k, struct node *n, uint64_t count)
{
	keydir_write_lock(k);
	unpin(n, count);
	node_release_if_unused(k, n);
	keydir_write_unlock(k);
}

/* --- making and freeing --- */

struct node *node_new(struct keydir *k, mode_t type)
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
		directory_init(n->dir);
	}
	n->mode = (uint16_t)(type | ((S_ISDIR(type) ? DIR_MODE_DEFAULT : FILE_MODE_DEFAULT) &
				     ~k->defaults.umask));
	n->uid = k->defaults.uid;
	n->gid = k->defaults.gid;
	return n;
}

struct node *keydir_node_new(struct keydir *k, mode_t type)
{
	return WITH_LOCK(keydir_write, k, node_new(k, type));
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

void node_empty(struct node *n)
{
	if (node_is_dir(n))
		directory_empty(n->dir);
	extra_free(node_extra(n));
}

static void node_free(struct keydir *k, struct node *n)
{
	node_forget_ino(k, n);
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
	LOCKED(keydir_write, k, node_free(k, n));
}

void node_release_if_unused(struct keydir *k, struct node *n)
{
	if (n->name == 0 && n != k->root && !node_is_pinned(n))
		node_free(k, n);
}

/* --- preparing --- */

struct node_rare *node_rare_get(struct keydir *k, struct node *n)
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
	if (n->rare != 0)
		return 0;
	return WITH_LOCK(keydir_write, k, node_rare_get(k, n)) == NULL ? -ENOMEM : 0;
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
	r = node_rare_get(k, n);
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
	uint32_t capacity;

	if (extra == NULL)
		return -ENOMEM;
	more = &extra->more_names;
	if (more->count < more->capacity)
		return 0;
	capacity = more->capacity * 2 + 1;
	refs = reallocarray(NULL, capacity, sizeof(refs[0]));
	if (refs == NULL)
		return -ENOMEM;
	keydir_write_lock(k);
	if (more->count > 0)
		memcpy(refs, more->refs, more->count * sizeof(refs[0]));
	free(more->refs);
	more->refs = refs;
	more->capacity = capacity;
	keydir_write_unlock(k);
	return 0;
}

/* --- changing --- */

void keydir_set_committed(struct node *n)
{
	n->committed = true;
}

void keydir_set_explicit(struct node *n)
{
	n->explicit = true;
}

static void set_mode(struct node *n, mode_t mode)
{
	n->mode = (uint16_t)((n->mode & S_IFMT) | (mode & 07777));
}

void keydir_set_owner(struct node *n, const struct store_owner *owner)
{
	set_mode(n, owner->mode);
	n->uid = owner->uid;
	n->gid = owner->gid;
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

void keydir_set_ctime(struct node *n, int64_t ctime_ns)
{
	struct node_rare *r = node_rare(n);

	if (r != NULL)
		r->ctime_ns = ctime_ns;
}

void keydir_touch(struct node *n, int64_t now_ns)
{
	n->mtime_ns = now_ns;
	keydir_set_ctime(n, now_ns);
	n->mtime_set = false;
}

void keydir_set_attributes(struct node *n, const struct store_set *set)
{
	struct node_times t = node_times(n);

	if (set->which & STORE_SET_MODE)
		set_mode(n, set->mode);
	if (set->which & STORE_SET_UID)
		n->uid = set->uid;
	if (set->which & STORE_SET_GID)
		n->gid = set->gid;
	if (set->which & STORE_SET_MTIME) {
		t.mtime_ns = ns_of_timespec(set->mtime);
		n->mtime_set = true;
	}
	if (set->which & STORE_SET_ATIME)
		t.atime_ns = ns_of_timespec(set->atime);
	if (set->which & STORE_SET_CTIME)
		t.ctime_ns = ns_of_timespec(set->ctime);
	keydir_set_times(n, &t);
}
