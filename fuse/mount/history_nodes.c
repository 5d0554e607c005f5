/* SPDX-License-Identifier: MIT */
#include "fuse/mount/history_nodes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "codec/path.h"
#include "codec/timestamp.h"
#include "codec/array.h"
#include "writer/store.h"
#include "writer/base/thread.h"
#include "writer/base/uthash_config.h"

#define IDLE_NS UINT64_C(60000000000) /* idle time after which the history is freed */
/* Prefix of each directory entry whose name looks like a version, or like such a name with this
 * mark.  So names and versions never collide, and each shown name has one meaning. */
#define NAME_MARK '~'

struct history_node {
	UT_hash_handle hh;
	uint64_t lookups; /* by the kernel */
	uint32_t generation;
	bool is_dir;
	struct history_attr version; /* unless it is a directory */
	size_t key_bytes;
	size_t path_bytes; /* part of the key with the path; for a version, the file's path, before
			      the version's name */
	char key[];
};

extern struct lock_class history_nodes_class; /* of history_nodes.lock */

struct history_nodes {
	struct history_config config; /* constant */

	/* Held while the log is read.  No other lock of the daemon is taken under it. */
	struct mutex lock;
	pthread_cond_t wake; /* with lock: 'stopping', or a history was made */

	/* NULL: not used for a while. */
	struct history *history GUARDED_BY(history_nodes_class);
	uint64_t used_ns GUARDED_BY(history_nodes_class);	    /* monotonic; last use */
	struct history_node *nodes GUARDED_BY(history_nodes_class); /* uthash, by key */
	struct history_node *root GUARDED_BY(history_nodes_class);  /* not in 'nodes' */
	uint32_t newest GUARDED_BY(history_nodes_class); /* highest generation of a node */
	bool has_reaper GUARDED_BY(history_nodes_class);
	bool stopping GUARDED_BY(history_nodes_class);
	pthread_t reaper GUARDED_BY(history_nodes_class); /* frees an idle history */
};

LOCK_FUNCTIONS(history_nodes, struct history_nodes, lock, history_nodes_class);

/* --- life --- */

static struct history_node *node_new(const char *path, size_t path_bytes, const char *version)
{
	size_t version_bytes = version != NULL ? strlen(version) + 1 : 0;
	struct history_node *n = calloc(1, sizeof(*n) + path_bytes + version_bytes + 1);

	if (n == NULL)
		return NULL;
	n->is_dir = version == NULL;
	n->path_bytes = path_bytes;
	n->key_bytes = path_bytes + version_bytes;
	memcpy(n->key, path, path_bytes);
	if (version != NULL) /* a NUL before it, which no path has */
		memcpy(n->key + path_bytes + 1, version, version_bytes - 1);
	return n;
}

int history_nodes_create(const struct history_config *config,
			 struct history_nodes **ret) NO_THREAD_SAFETY
{
	struct history_nodes *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return -ENOMEM;
	h->config = *config;
	h->root = node_new("", 0, NULL);
	if (h->root == NULL) {
		free(h);
		return -ENOMEM;
	}
	mutex_init(&h->lock);
	cond_init(&h->wake);
	*ret = h;
	return 0;
}

void history_nodes_destroy(struct history_nodes *h) NO_THREAD_SAFETY
{
	struct history_node *n, *next;

	if (h == NULL)
		return;
	history_nodes_lock(h);
	h->stopping = true;
	thread_check(pthread_cond_signal(&h->wake));
	history_nodes_unlock(h);
	if (h->has_reaper)
		thread_check(pthread_join(h->reaper, NULL));
	HASH_ITER (hh, h->nodes, n, next) {
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): HASH_ITER has read 'next' before */
		HASH_DEL(h->nodes, n);
		free(n);
	}
	free(h->root);
	history_close(h->history);
	thread_check(pthread_cond_destroy(&h->wake));
	mutex_destroy(&h->lock);
	free(h);
}

/* Frees the history when it is idle. */
static void *reaper_main(void *arg)
{
	struct history_nodes *h = arg;

	history_nodes_lock(h);
	while (!h->stopping) {
		if (h->history == NULL) {
			cond_wait(&h->wake, &h->lock);
		} else if (monotonic_ns() >= h->used_ns + IDLE_NS) {
			history_close(h->history);
			h->history = NULL;
		} else {
			cond_wait_until(&h->wake, &h->lock, h->used_ns + IDLE_NS);
		}
	}
	history_nodes_unlock(h);
	return NULL;
}

/* Makes the history, or brings it up to date. */
static int look_locked(struct history_nodes *h) REQUIRES(h->lock, history_nodes_class)
{
	int err;

	if (h->history != NULL)
		err = history_refresh(h->history, NULL);
	else
		err = history_open(&h->config, &h->history, NULL);
	if (err < 0) {
		history_close(h->history);
		h->history = NULL;
		return err == -ENOMEM ? err : -EIO;
	}
	h->used_ns = monotonic_ns();
	if (!h->has_reaper) /* without a reaper the history only stays longer */
		h->has_reaper = pthread_create(&h->reaper, NULL, reaper_main, h) == 0;
	thread_check(pthread_cond_signal(&h->wake));
	return 0;
}

/* --- nodes --- */

struct history_node *history_nodes_root(struct history_nodes *h) NO_THREAD_SAFETY
{
	return h->root; /* constant */
}

/* Returns an inode number for stat(2): FNV-1a in 53 bits, which is good enough for display. */
static uint64_t ino_of(const char *key, size_t key_bytes)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < key_bytes; i++)
		hash = (hash ^ (uint8_t)key[i]) * UINT64_C(0x100000001b3);
	hash &= STORE_INO_MAX;
	return hash == 0 ? 1 : hash;
}

static void stat_of(const struct history_node *n, struct history_stat *ret)
{
	*ret = (struct history_stat){ .ino = ino_of(n->key, n->key_bytes),
				      .generation = n->generation,
				      .is_dir = n->is_dir,
				      .version = n->version };
}

/* Writes the path of 'name' below a directory.  Returns its size, or 0 if it is too long. */
static size_t join(const struct history_node *dir, const char *name, char path[PATH_BYTES_MAX])
{
	size_t name_bytes = strlen(name), slash = dir->path_bytes > 0;

	if (dir->path_bytes + slash + name_bytes > PATH_BYTES_MAX)
		return 0;
	memcpy(path, dir->key, dir->path_bytes);
	if (slash)
		path[dir->path_bytes] = '/';
	memcpy(path + dir->path_bytes + slash, name, name_bytes);
	return dir->path_bytes + slash + name_bytes;
}

/* Fills in the attributes of a version.  -ENOENT: it does not exist. */
static int describe_locked(struct history_nodes *h, struct history_node *n)
	REQUIRES(h->lock, history_nodes_class)
{
	struct history_version *v;
	uint64_t timestamp_ns;
	int err;

	if (!timestamp_parse(n->key + n->path_bytes + 1, &timestamp_ns))
		return -ENOENT;
	err = history_version_open(h->history, n->key, n->path_bytes, timestamp_ns, &v);
	if (err < 0)
		return err;
	history_version_attr(v, &n->version);
	history_version_close(v);
	return 0;
}

/* Returns whether 'name' is a version's name: only the output of timestamp_format() is one. */
static bool is_version_name(const char *name)
{
	char canonical[TIMESTAMP_BYTES];
	uint64_t timestamp_ns;

	return timestamp_parse(name, &timestamp_ns) &&
	       strcmp(timestamp_format(timestamp_ns, canonical), name) == 0;
}

/* Returns whether 'name' is listed with a mark before it. */
static bool needs_mark(const char *name)
{
	while (*name == NAME_MARK)
		name++;
	return is_version_name(name);
}

static int add_locked(struct history_nodes *h, struct history_node *n, struct history_node **ret)
	REQUIRES(h->lock, history_nodes_class)
{
	struct history_node *known;
	int err = 0;

	HASH_FIND(hh, h->nodes, n->key, n->key_bytes, known);
	if (known != NULL) {
		free(n);
		if (!known->is_dir) /* the times of the newest version may have changed */
			err = describe_locked(h, known);
		if (err == 0)
			*ret = known;
		return err;
	}
	if (!n->is_dir)
		err = describe_locked(h, n);
	if (err == 0) {
		n->generation = ++h->newest;
		HASH_ADD_KEYPTR(hh, h->nodes, n->key, n->key_bytes, n);
		if (n->hh.tbl == NULL)
			err = -ENOMEM;
	}
	if (err < 0) {
		free(n);
		return err;
	}
	*ret = n;
	return 0;
}

static int lookup_locked(struct history_nodes *h, const struct history_node *parent,
			 const char *name, struct history_node **ret)
	REQUIRES(h->lock, history_nodes_class)
{
	char path[PATH_BYTES_MAX];
	struct history_node *n;
	size_t path_bytes;
	int err;

	if (!parent->is_dir)
		return -ENOTDIR;
	err = look_locked(h);
	if (err < 0)
		return err;
	if (is_version_name(name)) {
		n = node_new(parent->key, parent->path_bytes, name);
		return n == NULL ? -ENOMEM : add_locked(h, n, ret);
	}
	path_bytes = join(parent, needs_mark(name) ? name + 1 : name, path);
	if (path_bytes == 0 || !history_has(h->history, path, path_bytes))
		return -ENOENT;
	n = node_new(path, path_bytes, NULL);
	return n == NULL ? -ENOMEM : add_locked(h, n, ret);
}

int history_nodes_lookup(struct history_nodes *h, struct history_node *parent, const char *name,
			 struct history_node **ret, struct history_stat *ret_stat)
{
	int err;

	history_nodes_lock(h);
	err = lookup_locked(h, parent, name, ret);
	if (err == 0) {
		(*ret)->lookups++;
		stat_of(*ret, ret_stat);
	}
	history_nodes_unlock(h);
	return err;
}

void history_nodes_forget(struct history_nodes *h, struct history_node *n, uint64_t count)
{
	history_nodes_lock(h);
	if (n != h->root) {
		n->lookups -= count;
		if (n->lookups == 0) {
			HASH_DEL(h->nodes, n);
			free(n);
		}
	}
	history_nodes_unlock(h);
}

void history_nodes_stat(struct history_nodes *h, struct history_node *n, struct history_stat *ret)
{
	LOCKED(history_nodes, h, stat_of(n, ret));
}

/* --- listings --- */

struct collecting {
	struct history_listing *listing;
	const struct history_node *dir;
};

/* Returns the inode number that stat(2) shows for an entry of 'dir'. */
static uint64_t ino_below(const struct history_node *dir, const char *name, bool is_version)
{
	char path[PATH_BYTES_MAX + TIMESTAMP_BYTES + 1];
	size_t bytes;

	if (!is_version)
		return ino_of(path, join(dir, name, path));
	bytes = dir->path_bytes;
	memcpy(path, dir->key, bytes);
	path[bytes++] = '\0';
	memcpy(path + bytes, name, strlen(name));
	return ino_of(path, bytes + strlen(name));
}

/* Adds 'name' to a listing, with a mark before it if 'marked'. */
static int add_to_listing(struct history_listing *l, const char *name, size_t bytes, bool marked,
			  const struct history_dirent *entry)
{
	int err = ARRAY_RESERVE(l->entries, l->count + 1, l->capacity);

	if (err == 0)
		err = ARRAY_RESERVE(l->names, l->names_used + marked + bytes + 1,
				    l->names_capacity);
	if (err < 0)
		return err;
	l->entries[l->count] = *entry;
	l->entries[l->count++].name_at = l->names_used;
	if (marked)
		l->names[l->names_used++] = NAME_MARK;
	memcpy(l->names + l->names_used, name, bytes);
	l->names[l->names_used + bytes] = '\0';
	l->names_used += bytes + 1;
	return 0;
}

static int list_version(void *arg, const struct history_entry *e)
{
	struct collecting *c = arg;
	struct history_dirent entry = { .mode = S_IFDIR };
	char name[PATH_NAME_BYTES_MAX + 1];

	if (e->name == NULL) {
		if (!e->version.available)
			return 0;
		(void)timestamp_format(e->version.timestamp_ns, name);
		entry.mode = e->version.mode & S_IFMT;
	} else {
		memcpy(name, e->name, e->name_bytes);
		name[e->name_bytes] = '\0';
	}
	entry.ino = ino_below(c->dir, name, e->name == NULL);
	return add_to_listing(c->listing, name, strlen(name), e->name != NULL && needs_mark(name),
			      &entry);
}

static size_t parent_bytes(const struct history_node *n)
{
	const char *slash = n->path_bytes > 0 ? memrchr(n->key, '/', n->path_bytes) : NULL;

	return slash == NULL ? 0 : (size_t)(slash - n->key);
}

int history_nodes_list(struct history_nodes *h, struct history_node *n,
		       struct history_listing **ret)
{
	struct collecting c = { calloc(1, sizeof(*c.listing)), n };
	int err;

	if (c.listing == NULL)
		return -ENOMEM;
	history_nodes_lock(h);
	err = n->is_dir ? look_locked(h) : -ENOTDIR;
	if (err == 0)
		err = history_list(h->history, n->key, n->path_bytes, list_version, &c);
	if (err == -ENOENT) /* compaction has removed all versions */
		err = 0;
	c.listing->ino = ino_of(n->key, n->key_bytes);
	c.listing->parent_ino = ino_of(n->key, parent_bytes(n));
	history_nodes_unlock(h);
	if (err < 0) {
		history_listing_free(c.listing);
		return err;
	}
	*ret = c.listing;
	return 0;
}

void history_listing_free(struct history_listing *l)
{
	if (l == NULL)
		return;
	free(l->entries);
	free(l->names);
	free(l);
}

/* --- versions --- */

int history_nodes_open(struct history_nodes *h, struct history_node *n,
		       struct history_version **ret)
{
	uint64_t timestamp_ns;
	int err;

	history_nodes_lock(h);
	err = n->is_dir ? -EISDIR : look_locked(h);
	if (err == 0 && !timestamp_parse(n->key + n->path_bytes + 1, &timestamp_ns))
		err = -ENOENT;
	if (err == 0)
		err = history_version_open(h->history, n->key, n->path_bytes, timestamp_ns, ret);
	history_nodes_unlock(h);
	return err == -ENOENT ? -ESTALE : err;
}
